/* Project Wycheproof's JOSE vectors; refused.txt beside this file has the known differences. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "jose/jose.h"
#include "tap.h"
#include "value/json.h"

#define MEMORY_MAX (256 * 1024 * 1024)
#define RULES_MAX 64

static struct arena memory;

static struct rule {
    struct str file, what, value;
    bool used;
} rules[RULES_MAX];
static size_t rule_count;

static struct str next_word(struct str *line)
{
    *line = str_trim(*line);
    size_t end = str_find(*line, ' ', 0);
    struct str word = str_slice(*line, 0, end);
    *line = str_from(*line, end);
    return word;
}

static void read_rules(void)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 64 * 1024);
    CHECK(file_read(tap_source("tests/conformance/jose/refused.txt"), &text, NULL) == OK);
    struct str all = arena_str(&memory, buf_str(&text));
    for (size_t at = 0; at < all.len && rule_count < RULES_MAX;) {
        size_t end = str_find(all, '\n', at);
        struct str line = str_slice(all, at, end - at);
        at = end + 1;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        struct rule *r = &rules[rule_count++];
        r->file = next_word(&line);
        r->what = next_word(&line);
        r->value = next_word(&line);
    }
}

static bool use_rule(struct str file, const char *what, struct str val)
{
    for (size_t i = 0; i < rule_count; i++) {
        if (str_equal(rules[i].file, file) && str_is(rules[i].what, what) &&
            str_equal(rules[i].value, val)) {
            rules[i].used = true;
            return true;
        }
    }
    return false;
}

/* ---- keys ---- */

static struct str member(value jwk, const char *name)
{
    struct str out = STR_EMPTY;
    status_ignore(
        base64_bytes(&memory, value_str(value_get_str(jwk, str_of(name))), BASE64_URL, &out, NULL));
    return out;
}

static void der_append(struct buf *out, uint8_t tag, struct str content)
{
    buf_add_byte(out, (char)tag);
    if (content.len < 0x80) {
        buf_add_byte(out, (char)content.len);
    } else {
        buf_add_byte(out, (char)0x82);
        buf_add_byte(out, (char)(content.len >> 8));
        buf_add_byte(out, (char)content.len);
    }
    buf_add(out, content);
}

/* PKCS#1 from the members of a private JWK. */
static struct privkey *rsa_private(value jwk)
{
    static const char *const names[] = {"n", "e", "d", "p", "q", "dp", "dq", "qi"};
    CLEANUP(buf_done) struct buf body, der, pem, padded;
    buf_init(&body, 16384);
    buf_init(&der, 16384);
    buf_init(&pem, 32768);
    buf_init(&padded, 16384);
    der_append(&body, 0x02, STR("\0"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        buf_reset(&padded);
        buf_add_byte(&padded, 0);
        buf_add(&padded, member(jwk, names[i]));
        der_append(&body, 0x02, buf_str(&padded));
    }
    der_append(&der, 0x30, buf_str(&body));
    struct str text = base64_text(&memory, buf_str(&der), BASE64_STD);
    buf_add_cstr(&pem, "-----BEGIN RSA PRIVATE KEY-----\n");
    for (size_t at = 0; at < text.len; at += 64) {
        buf_add(&pem, str_slice(text, at, 64));
        buf_add_byte(&pem, '\n');
    }
    buf_add_cstr(&pem, "-----END RSA PRIVATE KEY-----\n");
    struct privkey *k = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(privkey_from_pem(buf_str(&pem), &k, &err), OK, &err);
    return k;
}

static struct privkey *private_key(value jwk)
{
    struct str kty = value_str(value_get_lit(jwk, "kty"));
    struct str crv = value_str(value_get_lit(jwk, "crv"));
    struct privkey *k = NULL;
    if (str_is(kty, "RSA"))
        return rsa_private(jwk);
    if (str_is(kty, "EC")) {
        enum key_kind kind = str_is(crv, "P-256") ? KEY_EC_P256 : KEY_EC_P384;
        CHECK(privkey_from_raw(kind, member(jwk, "d"), &k, NULL) == OK);
    }
    return k;
}

/* ---- JWS ---- */

static bool verify_with_jwk(const struct jws *t, value key)
{
    if (str_is(value_str(value_get_lit(key, "kty")), "oct")) {
        /* jws_verify_hmac() is for callers who have a secret; the key's "alg" is theirs to check.
         */
        struct str alg = value_str(value_get_lit(key, "alg"));
        return str_equal(alg, t->alg) && jws_verify_hmac(t, member(key, "k"), NULL) == OK;
    }
    struct jwk jwk = {0};
    if (jwk_parse(key, false, &jwk, NULL) != OK)
        return false;
    bool ok = jws_verify(t, jwk.key, jwk.alg, NULL) == OK;
    jwk_done(&jwk);
    return ok;
}

static bool verify_with_set(const struct jws *t, value json)
{
    struct jwk_set set = {0};
    if (jwk_set_parse(&memory, json, &set, NULL) != OK)
        return false;
    bool ok = false;
    for (size_t i = 0; i < set.len; i++) {
        if (!str_equal(set.keys[i].kid, t->kid))
            continue;
        ok = set.keys[i].key != NULL && jws_verify(t, set.keys[i].key, set.keys[i].alg, NULL) == OK;
        break; /* the first key with the kid, kbs.md 5.2 */
    }
    jwk_set_done(&set);
    return ok;
}

static bool accepts_jws(value jws, value key)
{
    struct jws t;
    struct str text = value_is_string(jws) ? value_str(jws) : json_text(&memory, jws, JSON_COMPACT);
    if (jws_parse(&memory, text, &t, NULL) != OK)
        return false;
    return value_is_defined(value_get_lit(key, "keys")) ? verify_with_set(&t, key)
                                                        : verify_with_jwk(&t, key);
}

/* ---- JWE ---- */

/* The compact form as a flattened object; anything else as it is. */
static struct str as_object(value jwe)
{
    static const char *const names[] = {"protected", "encrypted_key", "iv", "ciphertext", "tag"};
    if (!value_is_string(jwe))
        return json_text(&memory, jwe, JSON_COMPACT);
    struct str text = value_str(jwe);
    if (str_has_prefix(text, STR("{")))
        return text;
    struct value_builder b;
    value_builder_init(&b, &memory, ARRAY_LEN(names));
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(names) && at <= text.len; i++) {
        size_t dot = i + 1 < ARRAY_LEN(names) ? str_find(text, '.', at) : text.len;
        value_builder_put_str(&b, names[i], value_string(&memory, str_slice(text, at, dot - at)));
        at = dot + 1;
    }
    return json_text(&memory, value_object_finish(&b, VALUE_DUP_REFUSE, NULL), JSON_COMPACT);
}

static bool accepts_jwe(value jwe, const struct privkey *key, struct str want)
{
    if (key == NULL)
        return false;
    CLEANUP(buf_done) struct buf plain;
    buf_init_secret(&plain, 1024 * 1024);
    if (jwe_decrypt(&memory, as_object(jwe), key, &plain, NULL) != OK)
        return false;
    CHECK_STR(buf_str(&plain), want);
    return true;
}

/* ---- verdicts ---- */

static value token_header(value token)
{
    value v = VALUE_UNDEFINED;
    struct str text = value_str(token), bytes = STR_EMPTY;
    if (base64_bytes(&memory, str_slice(text, 0, str_find(text, '.', 0)), BASE64_URL, &bytes,
                     NULL) == OK)
        status_ignore(json_parse(&memory, bytes, NULL, &v, NULL));
    return v;
}

static bool set_has_kty(value set, struct str kty)
{
    value keys = value_get_lit(set, "keys");
    for (size_t i = 0; i < value_len(keys); i++)
        if (str_equal(value_str(value_get_lit(value_at(keys, i), "kty")), kty))
            return true;
    return false;
}

static bool is_known(struct str file, value test, value token, value key, bool accepted)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str id = value_number_text(value_get_lit(test, "tcId"), scratch);
    if (use_rule(file, "case", id))
        return true;
    if (accepted)
        return false;
    value header = token_header(token);
    struct str alg = value_str(value_get_lit(header, "alg"));
    struct str algs = arena_format(&memory, "%.*s/%.*s",
                                   STR_ARG(value_str(value_get_lit(key, "alg"))), STR_ARG(alg));
    return use_rule(file, "alg", alg) ||
           use_rule(file, "enc", value_str(value_get_lit(header, "enc"))) ||
           use_rule(file, "algs", algs) ||
           (set_has_kty(key, STR("oct")) && use_rule(file, "kty-in-set", STR("oct")));
}

static void run_test(struct str file, value test, value key, const struct privkey *private)
{
    value jws = value_get_lit(test, "jws"), jwe = value_get_lit(test, "jwe");
    struct str result = value_str(value_get_lit(test, "result"));
    struct str want = STR_EMPTY;
    status_ignore(hex_bytes(&memory, value_str(value_get_lit(test, "pt")), &want, NULL));
    bool is_jws = value_is_defined(jws);
    bool accepted = is_jws ? accepts_jws(jws, key) : accepts_jwe(jwe, private, want);

    char scratch[VALUE_NUMBER_SCRATCH];
    struct str row = arena_format(&memory, "%.*s %.*s %.*s", STR_ARG(file),
                                  STR_ARG(value_number_text(value_get_lit(test, "tcId"), scratch)),
                                  STR_ARG(value_str(value_get_lit(test, "comment"))));
    bool agrees = str_is(result, "acceptable") || accepted == str_is(result, "valid");
    CHECK_ROW(agrees || is_known(file, test, is_jws ? jws : jwe, key, accepted), row.ptr);
}

static size_t run_file(const char *name)
{
    char relative[256];
    snprintf(relative, sizeof(relative), "conformance/jose/json_web_%s_test.json", name);
    const char *path = tap_shared(relative);
    if (path == NULL)
        return 0;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, MEMORY_MAX);
    value all = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS(file_read(path, &text, &err), OK, &err);
    CHECK_STATUS(json_parse(&memory, buf_str(&text), NULL, &all, &err), OK, &err);

    size_t count = 0;
    value groups = value_get_lit(all, "testGroups");
    for (size_t i = 0; i < value_len(groups); i++) {
        value group = value_at(groups, i);
        value priv = value_get_lit(group, "private"), key = value_get_lit(group, "public");
        if (!value_is_defined(key))
            key = priv;
        value tests = value_get_lit(group, "tests");
        bool has_jwe = value_is_defined(value_get_lit(value_at(tests, 0), "jwe"));
        CLEANUP(privkey_cleanup) struct privkey *k = has_jwe ? private_key(priv) : NULL;
        for (size_t j = 0; j < value_len(tests); j++, count++)
            run_test(str_of(name), value_at(tests, j), key, k);
    }
    return count;
}

int main(void)
{
    arena_init(&memory, MEMORY_MAX);
    read_rules();
    static const char *const names[] = {"signature", "encryption", "key", "crypto"};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        count += run_file(names[i]);
    if (count > 0) {
        CHECK(count == 649);
        for (size_t i = 0; i < rule_count; i++)
            CHECK_ROW(rules[i].used, rules[i].value.ptr);
    }
    arena_done(&memory);
    return tap_done();
}
