/* TEE keys and encrypted answers; the known answers are in tests/conformance/jose/test_rcar.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "jose/jose.h"
#include "tap.h"
#include "value/json.h"

static struct arena memory;

static value parse(const char *text)
{
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(&memory, str_of(text), NULL, &v, &err), OK, &err, text);
    return v;
}

/* ---- keys ---- */

#define X256 "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define Y256 "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define EC(alg, crv, x, y)                                                                         \
    "{\"kty\":\"EC\",\"alg\":\"" alg "\",\"crv\":\"" crv "\",\"x\":\"" x "\",\"y\":\"" y "\"}"

static void test_ec_keys(void)
{
    const struct {
        const char *name, *text;
        enum status want;
    } rows[] = {
        {"P-256", EC("ECDH-ES+A256KW", "P-256", X256, Y256), OK},
        {"members exchanged", EC("ECDH-ES+A256KW", "P-256", Y256, X256), ERR_UNSUPPORTED},
        {"another algorithm", EC("ECDH-ES", "P-256", X256, Y256), ERR_UNSUPPORTED},
        {"an RSA algorithm", EC("RSA-OAEP-256", "P-256", X256, Y256), ERR_UNSUPPORTED},
        {"another curve", EC("ECDH-ES+A256KW", "P-384", X256, Y256), ERR_UNSUPPORTED},
        {"wrong width", EC("ECDH-ES+A256KW", "P-521", X256, Y256), ERR_UNSUPPORTED},
        {"padded", EC("ECDH-ES+A256KW", "P-256", X256 "=", Y256), ERR_UNSUPPORTED},
        {"short x", EC("ECDH-ES+A256KW", "P-256", "AAAA", Y256), ERR_UNSUPPORTED},
        {"zero byte lost, digit appended (kbs.md 3.7)",
         EC("ECDH-ES+A256KW", "P-256", "oEJM0hwpRIOKLXXJKzfnbqINnwCJOjtO7oo8Cq_sPjA", Y256),
         ERR_UNSUPPORTED},
        {"unknown type", "{\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"x\":\"AAAA\"}", ERR_INVALID},
        {"y is no string", "{\"kty\":\"EC\",\"alg\":\"a\",\"crv\":\"c\",\"x\":\"AAAA\",\"y\":1}",
         ERR_INVALID},
        {"ML-KEM", "{\"kty\":\"AKP\",\"alg\":\"ML-KEM-768+A192KW\",\"pub\":\"AAAA\"}",
         ERR_UNSUPPORTED},
        {"no type", "{\"alg\":\"ECDH-ES+A256KW\"}", ERR_INVALID},
        {"no algorithm", "{\"kty\":\"EC\"}", ERR_INVALID},
        {"null", "null", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tee_key k = {0};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(tee_key_parse(parse(rows[i].text), true, &k, &err), rows[i].want, &err,
                         rows[i].name);
        CHECK_ROW((k.key != NULL) == (rows[i].want == OK), rows[i].name);
        tee_key_done(&k);
    }
}

static value rsa_key(const char *alg, size_t bytes, const char *e)
{
    char *n = arena_alloc(&memory, bytes);
    memset(n, 0xa5, bytes);
    struct str text = base64_text(&memory, str_bytes(n, bytes), BASE64_URL);
    return parse(arena_format(&memory,
                              "{\"kty\":\"RSA\",\"alg\":\"%s\",\"n\":\"%.*s\",\"e\":\"%s\"}", alg,
                              STR_ARG(text), e)
                     .ptr);
}

static void test_rsa_keys(void)
{
    const struct {
        const char *name, *alg;
        size_t bytes;
        const char *e;
        bool allow_rsa15;
        enum status want;
    } rows[] = {
        {"OAEP", "RSA-OAEP-256", 256, "AQAB", false, OK},
        {"HARDEN kbs-6: RSA1_5 is refused", "RSA1_5", 256, "AQAB", false, ERR_UNSUPPORTED},
        {"HARDEN kbs-6: unless it is allowed", "RSA1_5", 256, "AQAB", true, OK},
        {"OAEP with SHA-1", "RSA-OAEP", 256, "AQAB", true, ERR_UNSUPPORTED},
        {"largest", "RSA-OAEP-256", 512, "AQAB", false, OK},
        {"one byte more", "RSA-OAEP-256", 513, "AQAB", false, ERR_UNSUPPORTED},
        {"one byte less than the smallest", "RSA-OAEP-256", 255, "AQAB", false, ERR_UNSUPPORTED},
        {"exponent 3", "RSA-OAEP-256", 256, "Aw", false, OK},
        {"exponent 1", "RSA-OAEP-256", 256, "AQ", false, ERR_UNSUPPORTED},
        {"exponent 4", "RSA-OAEP-256", 256, "BA", false, ERR_UNSUPPORTED},
        {"exponent of 33 bits", "RSA-OAEP-256", 256, "AQAAAAE", false, OK},
        {"exponent of 34 bits", "RSA-OAEP-256", 256, "AgAAAAE", false, ERR_UNSUPPORTED},
        {"no exponent", "RSA-OAEP-256", 256, "", false, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tee_key k = {0};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(tee_key_parse(rsa_key(rows[i].alg, rows[i].bytes, rows[i].e),
                                       rows[i].allow_rsa15, &k, &err),
                         rows[i].want, &err, rows[i].name);
        tee_key_done(&k);
    }
}

static void test_members(void)
{
    const struct {
        const char *text, *want; /* NULL: ERR_INVALID */
    } rows[] = {
        {"{\"kty\":\"EC\",\"crv\":\"c\",\"alg\":\"a\",\"x\":\"1\",\"y\":\"2\",\"kid\":\"k\"}",
         "{\"alg\":\"a\",\"crv\":\"c\",\"kty\":\"EC\",\"x\":\"1\",\"y\":\"2\"}"},
        {"{\"kty\":\"RSA\",\"alg\":\"a\",\"n\":\"1\",\"e\":\"2\",\"d\":\"3\"}",
         "{\"alg\":\"a\",\"e\":\"2\",\"kty\":\"RSA\",\"n\":\"1\"}"},
        {"{\"kty\":\"AKP\",\"alg\":\"a\",\"pub\":\"p\",\"x\":1}",
         "{\"alg\":\"a\",\"kty\":\"AKP\",\"pub\":\"p\"}"},
        {"{\"kty\":\"EC\",\"crv\":\"c\",\"alg\":\"a\",\"x\":\"1\"}", NULL},
        {"{\"kty\":\"EC\",\"crv\":\"c\",\"alg\":\"a\",\"x\":\"1\",\"y\":2}", NULL},
        {"{}", NULL},
        {"[]", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value v = VALUE_UNDEFINED;
        enum status st = tee_key_members(&memory, parse(rows[i].text), &v, NULL);
        CHECK_ROW(st == (rows[i].want == NULL ? ERR_INVALID : OK), rows[i].text);
        if (rows[i].want != NULL)
            CHECK_STR_ROW(json_text(&memory, v, JSON_CANONICAL), str_of(rows[i].want),
                          rows[i].text);
    }
    value v = VALUE_UNDEFINED;
    CHECK(tee_key_members(&memory, parse("{\"kty\":\"OKP\"}"), &v, NULL) == ERR_INVALID);
}

/* ---- answers ---- */

static void fill_counting(void *user, void *out, size_t len)
{
    uint8_t *next = user, *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (*next)++;
}

static void test_round_trips(void)
{
    const struct {
        const char *name, *alg;
        enum key_kind kind;
        enum jwe_form form;
    } rows[] = {
        {"P-256", "ECDH-ES+A256KW", KEY_EC_P256, JWE_RFC7516},
        {"P-521", "ECDH-ES+A256KW", KEY_EC_P521, JWE_RFC7516},
        {"OAEP", "RSA-OAEP-256", KEY_RSA, JWE_RFC7516},
        {"legacy", "RSA1_5", KEY_RSA, JWE_LEGACY},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(privkey_cleanup) struct privkey *k = NULL, *other = NULL;
        CHECK(privkey_generate(rows[i].kind, 2048, &k, NULL) == OK);
        CHECK(privkey_generate(rows[i].kind, 2048, &other, NULL) == OK);
        const struct tee_key tee = {privkey_public(k), rows[i].alg};
        const size_t sizes[] = {0, 1, 20, 70000};
        for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
            uint8_t next = 0;
            const struct random_source counting = {fill_counting, &next};
            const struct random_source *random = j == 2 ? &counting : &random_system;
            char *bytes = arena_alloc(&memory, sizes[j] + 1);
            memset(bytes, 'x', sizes[j] + 1);
            struct str plain = str_bytes(bytes, sizes[j]);
            CLEANUP(buf_done) struct buf out, back;
            buf_init(&out, 1024 * 1024);
            buf_init_secret(&back, 1024 * 1024);
            struct error err = ERROR_INIT;
            CHECK_STATUS_ROW(jwe_encrypt(&tee, rows[i].form, plain, random, NULL, &out, &err), OK,
                             &err, rows[i].name);
            bool legacy = rows[i].form == JWE_LEGACY;
            enum status st = legacy ? jwe_decrypt_legacy(&memory, buf_str(&out), k, &back, &err)
                                    : jwe_decrypt(&memory, buf_str(&out), k, &back, &err);
            CHECK_STATUS_ROW(st, OK, &err, rows[i].name);
            CHECK_STR_ROW(buf_str(&back), plain, rows[i].name);
            buf_reset(&back);
            st = legacy ? jwe_decrypt_legacy(&memory, buf_str(&out), other, &back, &err)
                        : jwe_decrypt(&memory, buf_str(&out), other, &back, &err);
            CHECK_STATUS_ROW(st, ERR_DENIED, &err, rows[i].name);
            CHECK_ROW(back.len == 0, rows[i].name);
        }
    }
    /* Only RSA1_5 has a legacy form. */
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &k, NULL) == OK);
    const struct tee_key tee = {privkey_public(k), "ECDH-ES+A256KW"};
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 4096);
    CHECK(jwe_encrypt(&tee, JWE_LEGACY, STR("x"), &random_system, NULL, &out, NULL) ==
          ERR_UNSUPPORTED);
    CHECK(out.len == 0);
}

/* HARDEN gkbs-1: an answer with RSA1_5 does not open, though the key could. */
static void test_rsa15_answer(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CHECK(privkey_generate(KEY_RSA, 2048, &k, NULL) == OK);
    const struct tee_key tee = {privkey_public(k), "RSA1_5"};
    CLEANUP(buf_done) struct buf out, back;
    buf_init(&out, 8192);
    buf_init_secret(&back, 8192);
    CHECK_ROW(jwe_encrypt(&tee, JWE_RFC7516, STR("x"), &random_system, NULL, &out, NULL) == OK,
              "HARDEN gkbs-1");
    CHECK_ROW(jwe_decrypt(&memory, buf_str(&out), k, &back, NULL) == ERR_UNSUPPORTED,
              "HARDEN gkbs-1");
}

/* The same random bytes make the same answer, so that a decision can be replayed. */
static void test_replay(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CHECK(privkey_generate(KEY_EC_P521, 0, &k, NULL) == OK);
    const struct tee_key tee = {privkey_public(k), "ECDH-ES+A256KW"};
    CLEANUP(buf_done) struct buf a, b, c;
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    buf_init(&c, 4096);
    uint8_t next = 7;
    const struct random_source counting = {fill_counting, &next};
    CHECK(jwe_encrypt(&tee, JWE_RFC7516, STR("x"), &counting, NULL, &a, NULL) == OK);
    next = 7;
    CHECK(jwe_encrypt(&tee, JWE_RFC7516, STR("x"), &counting, NULL, &b, NULL) == OK);
    CHECK(jwe_encrypt(&tee, JWE_RFC7516, STR("x"), &counting, NULL, &c, NULL) == OK);
    CHECK_STR(buf_str(&a), buf_str(&b));
    CHECK(!str_equal(buf_str(&a), buf_str(&c)));
}

static void test_refused_answers(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &k, NULL) == OK);
    const char *const texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"protected\":1}",
        "{\"protected\":\"\",\"encrypted_key\":\"\",\"iv\":\"\",\"ciphertext\":\"\",\"tag\":\"\"}",
        ("{\"protected\":\"e30\",\"encrypted_key\":\"AAAA\",\"iv\":\"AAECAwQFBgcICQoL\","
         "\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"}"),
        "{\"protected\":\"e30\",\"protected\":\"e30\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(buf_done) struct buf out;
        buf_init_secret(&out, 4096);
        struct error err = ERROR_INIT;
        enum status st = jwe_decrypt(&memory, str_of(texts[i]), k, &out, &err);
        CHECK_ROW(st == ERR_INVALID || st == ERR_UNSUPPORTED, texts[i]);
        CHECK_ROW(err.text[0] != '\0' && out.len == 0, texts[i]);
        CHECK_ROW(jwe_decrypt_legacy(&memory, str_of(texts[i]), k, &out, &err) != OK, texts[i]);
    }
}

static void test_no_memory(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &k, NULL) == OK);
    const struct tee_key tee = {privkey_public(k), "ECDH-ES+A256KW"};
    bool done = false;
    for (long n = 1; n < 5000 && !done; n++) {
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, 4096);
        tap_fail_malloc_after(n);
        enum status st = jwe_encrypt(&tee, JWE_RFC7516, STR("x"), &random_system, NULL, &out, NULL);
        tap_fail_malloc_after(0);
        done = st == OK;
        if (!done && st != ERR_NOMEM && st != ERR_INTERNAL && !CHECK(false))
            return;
    }
    CHECK(done);
}

int main(void)
{
    arena_init(&memory, 64 * 1024 * 1024);
    test_ec_keys();
    test_rsa_keys();
    test_members();
    test_round_trips();
    test_rsa15_answer();
    test_replay();
    test_refused_answers();
    test_no_memory();
    arena_done(&memory);
    return tap_done();
}
