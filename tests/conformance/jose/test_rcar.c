/* Every intermediate value of vectors/rcar: runtime data, keys, tokens, encrypted answers. */
#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "jose/jose.h"
#include "tap.h"
#include "value/json.h"

#define MEMORY_MAX (64 * 1024 * 1024)

static struct arena memory;

static value read_json(const char *relative)
{
    const char *path = tap_shared(relative);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, MEMORY_MAX);
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    if (path == NULL)
        return v;
    CHECK_STATUS_ROW(file_read(path, &text, &err), OK, &err, relative);
    CHECK_STATUS_ROW(json_parse(&memory, buf_str(&text), NULL, &v, &err), OK, &err, relative);
    return v;
}

static struct str text_at(value v, const char *pointer)
{
    return value_str(value_pointer(v, str_of(pointer)));
}

static struct str hex_at(value v, const char *pointer)
{
    struct str out = STR_EMPTY;
    CHECK_ROW(hex_bytes(&memory, text_at(v, pointer), &out, NULL) == OK, pointer);
    return out;
}

static struct str base64_at(value v, const char *pointer)
{
    struct str out = STR_EMPTY;
    CHECK_ROW(base64_bytes(&memory, text_at(v, pointer), BASE64_STD, &out, NULL) == OK, pointer);
    return out;
}

static value parse(struct str text, const char *row)
{
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(&memory, text, NULL, &v, &err), OK, &err, row);
    return v;
}

/* ---- runtime data ---- */

/* The key as the server hashes it: parsed from the wire, cut to its members, written canonically.
 */
static void check_runtime(value ex, value wire_key, const char *text_name, const char *digest_name,
                          bool primary, const char *row)
{
    struct str want = text_at(ex, text_name);
    if (want.len == 0)
        return;
    value key = VALUE_UNDEFINED;
    CHECK_ROW(tee_key_members(&memory, wire_key, &key, NULL) == OK, row);
    struct str nonce = base64_text(&memory, hex_at(ex, "/server/nonce_hex"), BASE64_STD);
    struct value_builder b;
    value_builder_init(&b, &memory, 3);
    value_builder_put_str(&b, "nonce", value_string(&memory, nonce));
    value_builder_put_str(&b, "tee-pubkey", key);
    if (primary)
        value_builder_put_str(&b, "additional-evidence",
                              value_string(&memory, text_at(ex, "/runtime/additional_evidence")));
    value data = value_object_finish(&b, VALUE_DUP_REFUSE, NULL);
    struct str text = json_text(&memory, data, JSON_CANONICAL);
    CHECK_STR_ROW(text, want, row);
    struct digest d;
    digest_compute(DIGEST_SHA384, text, &d);
    CHECK_STR_ROW(digest_str(&d), hex_at(ex, digest_name), row);
}

/* ---- the encrypted answer ---- */

static void check_ec_steps(value ex, const struct tee_key *key, const struct privkey *ephemeral,
                           const char *row)
{
    CLEANUP(buf_done) struct buf z, wrapped;
    buf_init_secret(&z, 66);
    buf_init(&wrapped, 40);
    CHECK_ROW(ecdh_compute(ephemeral, key->key, &z, NULL) == OK, row);
    CHECK_STR_ROW(buf_str(&z), hex_at(ex, "/jwe/z_hex"), row);

    struct digest d;
    digest_compute(DIGEST_SHA256, hex_at(ex, "/jwe/kdf_input_hex"), &d);
    CHECK_STR_ROW(digest_str(&d), hex_at(ex, "/jwe/kek_hex"), row);
    uint8_t kek[32];
    concat_kdf(buf_str(&z), STR("ECDH-ES+A256KW"), STR_EMPTY, STR_EMPTY, 256, kek);
    CHECK_STR_ROW(str_bytes(kek, 32), hex_at(ex, "/jwe/kek_hex"), row);
    CHECK_ROW(keywrap_wrap(str_bytes(kek, 32), hex_at(ex, "/jwe/cek_hex"), &wrapped) == OK, row);
    CHECK_STR_ROW(buf_str(&wrapped), hex_at(ex, "/jwe/encrypted_key_hex"), row);
}

static void check_rsa_steps(value ex, const struct tee_key *key, const char *row)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1024);
    CHECK_ROW(pubkey_encrypt_raw(key->key, hex_at(ex, "/jwe/encoded_message_hex"), &out, NULL) ==
                  OK,
              row);
    CHECK_STR_ROW(buf_str(&out), hex_at(ex, "/jwe/encrypted_key_hex"), row);
}

static void check_content(value ex, const char *row)
{
    CLEANUP(buf_done) struct buf sealed;
    buf_init(&sealed, 4096);
    CHECK_ROW(aead_seal(hex_at(ex, "/jwe/cek_hex"), hex_at(ex, "/jwe/iv_hex"),
                        text_at(ex, "/jwe/aad_text"), base64_at(ex, "/plaintext_b64"),
                        &sealed) == OK,
              row);
    struct str both = hex_at(ex, "/jwe/ciphertext_and_tag_hex");
    struct str c = hex_at(ex, "/jwe/ciphertext_hex"), tag = hex_at(ex, "/jwe/tag_hex");
    if (c.len > 0) {
        CHECK_STR_ROW(str_slice(buf_str(&sealed), 0, c.len), c, row);
        CHECK_STR_ROW(str_from(buf_str(&sealed), c.len), tag, row);
    } else {
        CHECK_STR_ROW(buf_str(&sealed), both, row);
    }
}

/* The padding of the 0.1.1 exchange: 01, 02, ... ff, 01, ... (221 of them). */
static struct str pkcs1_ps(void)
{
    uint8_t *p = arena_alloc(&memory, 221);
    for (size_t i = 0; i < 221; i++)
        p[i] = (uint8_t)(i % 255 + 1);
    return str_bytes(p, 221);
}

static void check_answer(value ex, const struct tee_key *key, const struct privkey *private_key,
                         enum jwe_form form, const char *row)
{
    CLEANUP(privkey_cleanup) struct privkey *ephemeral = NULL;
    struct jwe_fixed fixed = {
        .cek = hex_at(ex, "/server/cek_hex"),
        .iv = hex_at(ex, "/server/iv_hex"),
        .oaep_seed = hex_at(ex, "/server/oaep_seed_hex"),
        .pkcs1_ps = pkcs1_ps(),
    };
    struct str pem = text_at(ex, "/server/ephemeral_key_pem");
    if (pem.len > 0) {
        CHECK_ROW(privkey_from_pem(pem, &ephemeral, NULL) == OK, row);
        check_ec_steps(ex, key, ephemeral, row);
    } else {
        check_rsa_steps(ex, key, row);
    }
    fixed.ephemeral = ephemeral;
    check_content(ex, row);

    CLEANUP(buf_done) struct buf out, plain;
    buf_init(&out, 64 * 1024);
    buf_init_secret(&plain, 64 * 1024);
    struct error err = ERROR_INIT;
    struct str want = base64_at(ex, "/plaintext_b64");
    CHECK_STATUS_ROW(jwe_encrypt(key, form, want, &random_system, &fixed, &out, &err), OK, &err,
                     row);
    CHECK_STR_ROW(buf_str(&out), text_at(ex, "/steps/3/response/body"), row);

    struct str body = text_at(ex, "/steps/4/response/body");
    CHECK_STATUS_ROW(form == JWE_LEGACY
                         ? jwe_decrypt_legacy(&memory, body, private_key, &plain, &err)
                         : jwe_decrypt(&memory, body, private_key, &plain, &err),
                     OK, &err, row);
    CHECK_STR_ROW(buf_str(&plain), want, row);

    /* The other form's reader refuses it: nobody chooses by what the answer looks like. */
    CHECK_ROW((form == JWE_LEGACY
                   ? jwe_decrypt(&memory, body, private_key, &plain, NULL)
                   : jwe_decrypt_legacy(&memory, body, private_key, &plain, NULL)) != OK,
              row);
}

/* ---- the token ---- */

static void check_token(value ex, value wire_key, const char *row)
{
    struct jws t;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(jws_parse(&memory, text_at(ex, "/token/compact"), &t, &err), OK, &err, row);
    CHECK_STR_ROW(t.payload, text_at(ex, "/token/payload"), row);
    CHECK_STR_ROW(t.alg, STR("ES256"), row);
    CHECK_STR_ROW(t.typ, STR("JWT"), row);

    struct jwk jwk = {0};
    CHECK_STATUS_ROW(jwk_parse(value_get_lit(t.header, "jwk"), true, &jwk, &err), OK, &err, row);
    CHECK_STATUS_ROW(jws_verify(&t, jwk.key, jwk.alg, &err), OK, &err, row);

    /* ES256 is randomised here, so our own signature is another one, and good. */
    CLEANUP(privkey_cleanup) struct privkey *signer = NULL;
    CHECK_ROW(privkey_from_pem(text_at(ex, "/server/token_signing_key_pem"), &signer, NULL) == OK,
              row);
    CHECK_ROW(pubkey_equal(privkey_public(signer), jwk.key), row);
    CLEANUP(buf_done) struct buf ours;
    buf_init(&ours, 64 * 1024);
    CHECK_ROW(jws_sign(signer, STR("ES256"), text_at(ex, "/token/header"),
                       text_at(ex, "/token/payload"), &ours, NULL) == OK,
              row);
    struct jws again;
    CHECK_ROW(jws_parse(&memory, buf_str(&ours), &again, NULL) == OK, row);
    CHECK_STR_ROW(again.signing_input, t.signing_input, row);
    CHECK_ROW(jws_verify(&again, jwk.key, jwk.alg, NULL) == OK, row);

    value claims = parse(t.payload, row);
    const struct jwt_checks checks = {.require_exp = true, .leeway_s = 60};
    int64_t now = 0;
    value_get_int64(value_pointer(ex, STR("/server/clock_token")), &now);
    CHECK_ROW(jwt_check_times(claims, &checks, now, NULL) == OK, row);
    CHECK_ROW(jwt_check_times(claims, &checks, now + 1000000, NULL) == ERR_DENIED, row);

    value in_token = value_pointer(claims, text_at(ex, "/token/tee_pubkey_pointer"));
    value key = VALUE_UNDEFINED, key_in_token = VALUE_UNDEFINED;
    CHECK_ROW(tee_key_members(&memory, wire_key, &key, NULL) == OK, row);
    CHECK_ROW(tee_key_members(&memory, in_token, &key_in_token, NULL) == OK, row);
    CHECK_ROW(value_equal(key, key_in_token), row);
    jwk_done(&jwk);
}

static void test_exchange(const char *name)
{
    char relative[256];
    snprintf(relative, sizeof(relative), "vectors/rcar/exchange-%s.json", name);
    value ex = read_json(relative);
    if (!value_is_defined(ex))
        return;
    value body = parse(text_at(ex, "/steps/2/request/body"), name);
    value wire_key = value_get_lit(body, "tee-pubkey");
    if (!value_is_defined(wire_key))
        wire_key = value_pointer(body, STR("/runtime-data/tee-pubkey"));

    check_runtime(ex, wire_key, "/runtime/runtime_data", "/runtime/report_data_hex", false, name);
    check_runtime(ex, wire_key, "/runtime/device_runtime_data", "/runtime/device_report_data_hex",
                  false, name);
    check_runtime(ex, wire_key, "/runtime/primary_runtime_data", "/runtime/primary_report_data_hex",
                  true, name);

    bool legacy = str_is(text_at(ex, "/protocol"), "0.1.1");
    struct tee_key key = {0};
    struct error err = ERROR_INIT;
    CLEANUP(privkey_cleanup) struct privkey *private_key = NULL;
    CHECK_STATUS_ROW(privkey_from_pem(text_at(ex, "/tee_key/pem"), &private_key, &err), OK, &err,
                     name);
    /* HARDEN kbs-6: the 0.1.1 guest's key is refused unless it was allowed. */
    CHECK_STATUS_ROW(tee_key_parse(wire_key, false, &key, &err), legacy ? ERR_UNSUPPORTED : OK,
                     &err, name);
    tee_key_done(&key);
    CHECK_STATUS_ROW(tee_key_parse(wire_key, true, &key, &err), OK, &err, name);
    CHECK_ROW(pubkey_equal(key.key, privkey_public(private_key)), name);

    check_answer(ex, &key, private_key, legacy ? JWE_LEGACY : JWE_RFC7516, name);
    check_token(ex, wire_key, name);
    tee_key_done(&key);
}

/*
 * MANIFEST.md, "jwe-forms.json": our client follows RFC 7516 where upstream's
 * does not, and differs from the verdict of main in these.
 */
static bool differs(struct str name)
{
    static const char *const names[] = {
        "header-order-enc-first",
        "header-order-epk-kty-first",
        "header-order-extra-unsorted",
        "header-white-space",
        "header-escape",
        "aad-member-string",
        "rsa15-rfc-form",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

static void test_forms(void)
{
    value forms = read_json("vectors/rcar/jwe-forms.json");
    size_t different = 0;
    for (size_t i = 0; i < value_len(forms); i++) {
        value form = value_at(forms, i);
        struct str name = text_at(form, "/name");
        bool want = str_is(text_at(form, "/expect/main"), "ok");
        if (differs(name)) {
            want = !want;
            different++;
        }
        CLEANUP(privkey_cleanup) struct privkey *key = NULL;
        CHECK_ROW(privkey_from_pem(text_at(form, "/tee_key_pem"), &key, NULL) == OK, name.ptr);
        CLEANUP(buf_done) struct buf plain;
        buf_init_secret(&plain, 4096);
        struct error err = ERROR_INIT;
        enum status st = jwe_decrypt(&memory, text_at(form, "/body"), key, &plain, &err);
        CHECK_ROW((st == OK) == want, name.ptr);
        if (st != OK && !CHECK_ROW(err.text[0] != '\0', name.ptr))
            continue;
        if (st == OK) {
            struct str text = text_at(form, "/plaintext_b64");
            if (!value_is_defined(value_get_lit(form, "plaintext_b64")))
                text = STR("Q29uZmlkZW50aWFsX1NlY3JldCE=");
            struct str expected = STR_EMPTY;
            CHECK_ROW(base64_bytes(&memory, text, BASE64_STD, &expected, NULL) == OK, name.ptr);
            CHECK_STR_ROW(buf_str(&plain), expected, name.ptr);
        } else {
            CHECK_ROW(plain.len == 0, name.ptr);
        }
    }
    if (value_len(forms) > 0)
        CHECK(value_len(forms) >= 23 && different == 7);
}

int main(void)
{
    arena_init(&memory, MEMORY_MAX);
    static const char *const names[] = {
        "0.1.1-rsa",     "0.2.0-ec-p256",
        "0.2.0-rsa",     "0.4.0-ec-p256",
        "0.4.0-rsa",     "0.4.0-ec-p256-devices-initdata",
        "0.4.0-ec-p521", "0.4.0-ec-p256-leading-zero",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        test_exchange(names[i]);
    test_forms();
    arena_done(&memory);
    return tap_done();
}
