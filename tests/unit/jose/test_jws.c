/* Keys, tokens, times and endorsement. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "jose/jose.h"
#include "tap.h"
#include "value/json.h"

#define NOW 1800000000
#define DAY 86400

static struct arena memory;

static value parse(const char *text)
{
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(&memory, str_of(text), NULL, &v, &err), OK, &err, text);
    return v;
}

static const char *encoded(struct str bytes, enum base64_form form)
{
    return arena_str(&memory, base64_text(&memory, bytes, form)).ptr;
}

static const char *base64url(const char *text)
{
    return encoded(str_of(text), BASE64_URL);
}

/* ---- keys ---- */

/* RFC 7517, A.1, first key; RFC 8037, A.2; the generator of P-256 for the zero cases. */
#define EC_X "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define EC_Y "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""

/* 65537^129: as all moduli of CVE-2017-15361, a power of 65537 modulo each small prime. */
static const char roca[] =
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""
    "AQCBIEVV6A3JEYH6ld58f6EIVsU2Nji5v7PEomRpbGSm4eL0lqsdbIyKs_OmKSusfrtS32B-MGS51-Ws"
    "5hg0ashlEyRlJgvTHyTpkNSo3T7IlB5O3CxkNX2YsWp80jGpcvBI3zAhq6bOeSMRzYSmNcji_va60iwM"
    "zW8Ev-FBybUzWvx4QQu1p6sxngnyhunqYwyiP32sf97Bq7009C8gr5ukWoFwrdxysZxdgz7YSPGEDteX"
    "12Svdfu5upiLKFBj7ObKaVjpG7LvtOYMjm3Ao0qmjcu-PH0VlA0cd53_e2xfr16Z62-8jFDSjuLo0SNZ"
    "n6LkO8rEJ78H_WVVQCBAAIEAAQ"
    "\"}";

static void test_jwk(void)
{
    const struct {
        const char *name, *text;
        enum status want;
    } rows[] = {
        {"P-256", "{" EC "}", OK},
        {"Ed25519", "{" ED "}", OK},
        {"kid and alg", "{" EC ",\"kid\":\"1\",\"alg\":\"ES256\"}", OK},
        {"private member", "{" EC ",\"d\":\"AAAA\"}", OK},
        {"for signatures", "{" EC ",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]}", OK},
        {"ROCA", roca, ERR_INVALID},
        {"for encryption", "{" EC ",\"use\":\"enc\"}", ERR_UNSUPPORTED},
        {"use is no string", "{" EC ",\"use\":1}", ERR_UNSUPPORTED},
        {"other operations", "{" EC ",\"key_ops\":[\"deriveKey\"]}", ERR_UNSUPPORTED},
        {"operations are no array", "{" EC ",\"key_ops\":\"verify\"}", ERR_UNSUPPORTED},
        {"no object", "[]", ERR_INVALID},
        {"no kty", "{\"crv\":\"P-256\"}", ERR_UNSUPPORTED},
        {"HARDEN kbs-7: HMAC", "{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}", ERR_UNSUPPORTED},
        {"kty in another case", "{\"kty\":\"ec\"}", ERR_UNSUPPORTED},
        {"unknown curve", "{\"kty\":\"EC\",\"crv\":\"secp256k1\"}", ERR_UNSUPPORTED},
        {"no Ed25519", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}", ERR_UNSUPPORTED},
        {"short Ed25519", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", ERR_INVALID},
        {"x and y exchanged",
         "{\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"" EC_X "\",\"x\":\"" EC_Y "\"}", ERR_INVALID},
        {"no y", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", ERR_INVALID},
        {"x is no string", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":1,\"y\":\"" EC_Y "\"}",
         ERR_INVALID},
        {"padding", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "=\",\"y\":\"" EC_Y "\"}",
         ERR_INVALID},
        {"empty x", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"" EC_Y "\"}",
         ERR_INVALID},
        {"kid is no string", "{" EC ",\"kid\":1}", ERR_INVALID},
        {"alg is no string", "{" EC ",\"alg\":null}", ERR_INVALID},
        {"short RSA", "{\"kty\":\"RSA\",\"n\":\"" EC_X "\",\"e\":\"AQAB\"}", ERR_INVALID},
        {"no e", "{\"kty\":\"RSA\",\"n\":\"" EC_X "\"}", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jwk k = {0};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(jwk_parse(parse(rows[i].text), false, &k, &err), rows[i].want, &err,
                         rows[i].name);
        CHECK_ROW((k.key != NULL) == (rows[i].want == OK), rows[i].name);
        CHECK_ROW(rows[i].want == OK || err.text[0] != '\0', rows[i].name);
        jwk_done(&k);
    }
}

/* kbs.md 5, PRODUCT: x or y of an old attestation service lacks leading zeros. */
static void test_jwk_padding(void)
{
    for (int found = 0, draws = 0; found < 2 && draws < 20000; draws++) {
        CLEANUP(privkey_cleanup) struct privkey *k = NULL;
        if (privkey_generate(KEY_EC_P256, 0, &k, NULL) != OK)
            break;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024);
        struct str x, y;
        status_ignore(pubkey_ec_xy(privkey_public(k), &a, &x, &y));
        if (x.ptr[0] != 0 && y.ptr[0] != 0)
            continue;
        found++;
        struct str short_x = x.ptr[0] == 0 ? str_from(x, 1) : x;
        struct str short_y = y.ptr[0] == 0 ? str_from(y, 1) : y;
        value json = parse(arena_format(&memory,
                                        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\","
                                        "\"y\":\"%s\"}",
                                        encoded(short_x, BASE64_URL), encoded(short_y, BASE64_URL))
                               .ptr);
        struct jwk jwk = {0};
        CHECK(jwk_parse(json, false, &jwk, NULL) == ERR_INVALID);
        CHECK(jwk_parse(json, true, &jwk, NULL) == OK);
        CHECK(jwk.key != NULL && pubkey_equal(jwk.key, privkey_public(k)));
        jwk_done(&jwk);
    }
}

static void test_jwk_write(void)
{
    struct jwk ec = {0}, ed = {0};
    CHECK(jwk_parse(parse("{" EC "}"), false, &ec, NULL) == OK);
    CHECK(jwk_parse(parse("{" ED "}"), false, &ed, NULL) == OK);
    value v = VALUE_UNDEFINED;
    CHECK(jwk_from_pubkey(&memory, ec.key, &v) == OK);
    CHECK(value_equal(v, parse("{" EC "}")));
    CHECK(jwk_from_pubkey(&memory, ed.key, &v) == OK);
    CHECK(value_equal(v, parse("{" ED "}")));
    struct str print = STR_EMPTY;
    CHECK(jwk_thumbprint(&memory, ed.key, &print) == OK);
    CHECK_STR_ROW(print, STR("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), "RFC 8037, A.3");
    CHECK_STR(jws_default_alg(ec.key), STR("ES256"));
    CHECK_STR(jws_default_alg(ed.key), STR("EdDSA"));
    jwk_done(&ec);
    jwk_done(&ed);

    CLEANUP(privkey_cleanup) struct privkey *rsa = NULL;
    struct jwk back = {0};
    CHECK(privkey_generate(KEY_RSA, 2048, &rsa, NULL) == OK);
    CHECK(jwk_from_pubkey(&memory, privkey_public(rsa), &v) == OK);
    CHECK(jwk_parse(v, false, &back, NULL) == OK);
    CHECK(back.key != NULL && pubkey_equal(back.key, privkey_public(rsa)));
    CHECK_STR(jws_default_alg(privkey_public(rsa)), STR("RS256"));
    jwk_done(&back);
}

static void test_jwk_set(void)
{
    struct jwk_set set = {0};
    CHECK(jwk_set_parse(&memory,
                        parse("{\"keys\":[{" EC ",\"kid\":\"a\"},{\"kty\":\"oct\",\"kid\":\"b\"},"
                              "7,{" ED ",\"kid\":\"d\",\"alg\":\"EdDSA\"}]}"),
                        &set, NULL) == OK);
    CHECK(set.len == 4);
    if (set.len == 4) {
        CHECK(set.keys[0].key != NULL && str_is(set.keys[0].kid, "a"));
        CHECK(set.keys[1].key == NULL && str_is(set.keys[1].kid, "b"));
        CHECK(set.keys[2].key == NULL && set.keys[2].kid.len == 0);
        CHECK(set.keys[3].key != NULL && str_is(set.keys[3].alg, "EdDSA"));
    }
    jwk_set_done(&set);
    CHECK(jwk_set_parse(&memory, parse("{\"keys\":[]}"), &set, NULL) == OK && set.len == 0);
    CHECK(jwk_set_parse(&memory, parse("{}"), &set, NULL) == ERR_INVALID);
    CHECK(jwk_set_parse(&memory, parse("[]"), &set, NULL) == ERR_INVALID);

    struct value_builder b;
    value_builder_init(&b, &memory, JWK_SET_MAX + 1);
    for (int i = 0; i < JWK_SET_MAX; i++)
        value_builder_add(&b, VALUE_NULL);
    const struct value_pair pair = {value_cstring(&memory, "keys"), value_array_finish(&b)};
    CHECK(jwk_set_parse(&memory, value_object(&memory, &pair, 1), &set, NULL) == OK);
    CHECK(set.len == JWK_SET_MAX);
    value_builder_init(&b, &memory, JWK_SET_MAX + 1);
    for (int i = 0; i <= JWK_SET_MAX; i++)
        value_builder_add(&b, VALUE_NULL);
    const struct value_pair more = {value_cstring(&memory, "keys"), value_array_finish(&b)};
    CHECK(jwk_set_parse(&memory, value_object(&memory, &more, 1), &set, NULL) == ERR_LIMIT);
}

/* ---- tokens ---- */

/* RFC 8037, A.4 and A.5. */
static void test_jws_rfc8037(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    struct str seed = STR_EMPTY;
    CHECK(base64_bytes(&memory, STR("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"), BASE64_URL,
                       &seed, NULL) == OK);
    CHECK(privkey_from_raw(KEY_ED25519, seed, &k, NULL) == OK);
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 4096);
    CHECK(jws_sign(k, STR("EdDSA"), STR("{\"alg\":\"EdDSA\"}"), STR("Example of Ed25519 signing"),
                   &out, NULL) == OK);
    CHECK_STR(
        buf_str(&out),
        STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPO"
            "t7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"));
    struct jws t;
    CHECK(jws_parse(&memory, buf_str(&out), &t, NULL) == OK);
    CHECK(jws_verify(&t, privkey_public(k), STR_EMPTY, NULL) == OK);
    CHECK_STR(t.payload, STR("Example of Ed25519 signing"));
}

static void test_jws_forms(void)
{
    const struct {
        const char *name, *header;
        enum status want;
    } headers[] = {
        {"plain", "{\"alg\":\"ES256\"}", OK},
        {"everything", "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k\",\"other\":[1]}", OK},
        {"none is a name, no key has it", "{\"alg\":\"none\"}", OK},
        {"no alg", "{}", ERR_INVALID},
        {"empty alg", "{\"alg\":\"\"}", ERR_INVALID},
        {"alg is no string", "{\"alg\":256}", ERR_INVALID},
        {"kid is no string", "{\"alg\":\"ES256\",\"kid\":1}", ERR_INVALID},
        {"typ is no string", "{\"alg\":\"ES256\",\"typ\":null}", ERR_INVALID},
        {"alg twice", "{\"alg\":\"ES256\",\"alg\":\"ES256\"}", ERR_INVALID},
        {"crit", "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}", ERR_UNSUPPORTED},
        {"crit is null", "{\"alg\":\"ES256\",\"crit\":null}", ERR_UNSUPPORTED},
        {"array", "[\"alg\"]", ERR_INVALID},
        {"no JSON", "alg", ERR_INVALID},
        {"two values", "{\"alg\":\"ES256\"}{}", ERR_INVALID},
        {"empty", "", ERR_INVALID},
        {"too deep", "{\"alg\":\"ES256\",\"a\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}", ERR_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct str text = arena_format(&memory, "%s.e30.AAAA", base64url(headers[i].header));
        struct jws t;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(jws_parse(&memory, text, &t, &err), headers[i].want, &err,
                         headers[i].name);
    }

    const struct {
        const char *name;
        struct str text;
        enum status want;
    } texts[] = {
        {"empty payload and signature", STR("eyJhbGciOiJub25lIn0.."), OK},
        {"empty", STR(""), ERR_INVALID},
        {"one part", STR("eyJhbGciOiJub25lIn0"), ERR_INVALID},
        {"two parts", STR("eyJhbGciOiJub25lIn0.e30"), ERR_INVALID},
        {"four parts", STR("eyJhbGciOiJub25lIn0.e30.AAAA."), ERR_INVALID},
        {"five parts", STR("eyJhbGciOiJub25lIn0.e30.AAAA.AA.AA"), ERR_INVALID},
        {"no header", STR(".e30.AAAA"), ERR_INVALID},
        {"padding", STR("eyJhbGciOiJub25lIn0=.e30.AAAA"), ERR_INVALID},
        {"padded payload", STR("eyJhbGciOiJub25lIn0.e30=.AAAA"), ERR_INVALID},
        {"stray bits", STR("eyJhbGciOiJub25lIn0.e31.AAAB"), ERR_INVALID},
        {"standard alphabet", STR("eyJhbGciOiJub25lIn0.e30.++++"), ERR_INVALID},
        {"line feed", STR("eyJhbGciOiJub25lIn0.e30.AAAA\n"), ERR_INVALID},
        {"blank before", STR(" eyJhbGciOiJub25lIn0.e30.AAAA"), ERR_INVALID},
        {"NUL", STR("eyJhbGciOiJub25lIn0.e30.AAA\0"), ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct jws t;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(jws_parse(&memory, texts[i].text, &t, &err), texts[i].want, &err,
                         texts[i].name);
    }

    /* The limits, and one past each. */
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, JWS_MAX + 64);
    buf_add_cstr(&text, "eyJhbGciOiJub25lIn0.");
    while (text.len + 2 < JWS_MAX - 3)
        buf_add_cstr(&text, "AAAA");
    while (text.len < JWS_MAX)
        buf_add_byte(&text, '.');
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * JWS_MAX);
    struct jws t;
    enum status at_limit = jws_parse(&a, buf_str(&text), &t, NULL);
    CHECK(at_limit == OK || at_limit == ERR_INVALID);
    buf_add_byte(&text, '.');
    CHECK(jws_parse(&a, buf_str(&text), &t, NULL) == ERR_LIMIT);
}

/* HARDEN kbs-7: the key decides the algorithm, never the token. */
static void test_jws_algorithms(void)
{
    const struct {
        enum key_kind kind;
        const char *alg;
        const char *jwk_alg;
        enum status want;
    } rows[] = {
        {KEY_EC_P256, "ES256", "", OK},
        {KEY_EC_P256, "ES256", "ES256", OK},
        {KEY_EC_P256, "ES256", "ES384", ERR_DENIED},
        {KEY_EC_P256, "ES384", "", ERR_UNSUPPORTED},
        {KEY_EC_P256, "es256", "", ERR_UNSUPPORTED},
        {KEY_EC_P256, "HS256", "", ERR_UNSUPPORTED},
        {KEY_EC_P256, "none", "", ERR_UNSUPPORTED},
        {KEY_EC_P384, "ES384", "", OK},
        {KEY_EC_P521, "ES512", "", OK},
        {KEY_ED25519, "EdDSA", "", OK},
        {KEY_ED25519, "ES256", "", ERR_UNSUPPORTED},
        {KEY_RSA, "RS256", "", OK},
        {KEY_RSA, "RS384", "", OK},
        {KEY_RSA, "RS512", "", OK},
        {KEY_RSA, "PS256", "", OK},
        {KEY_RSA, "PS384", "PS384", OK},
        {KEY_RSA, "PS512", "", OK},
        {KEY_RSA, "PS256", "RS256", ERR_DENIED},
        {KEY_RSA, "RS256", "RSA-OAEP-256", ERR_DENIED},
        {KEY_RSA, "HS256", "", ERR_UNSUPPORTED},
    };
    struct privkey *keys[KEY_ED25519 + 1];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        CHECK(privkey_generate((enum key_kind)i, 2048, &keys[i], NULL) == OK);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct privkey *k = keys[rows[i].kind];
        char header[64], row[64];
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", rows[i].alg);
        snprintf(row, sizeof(row), "HARDEN kbs-7: %s with a key for \"%s\"", rows[i].alg,
                 rows[i].jwk_alg);
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, 8192);
        enum status st = jws_sign(k, str_of(rows[i].alg), str_of(header), STR("{}"), &out, NULL);
        if (rows[i].want == ERR_UNSUPPORTED) {
            /* What we refuse to sign with is refused when somebody else did. */
            CHECK_ROW(st == ERR_UNSUPPORTED && out.len == 0, row);
            struct str text = arena_format(&memory, "%s.e30.AAAA", base64url(header));
            struct jws t;
            CHECK_ROW(jws_parse(&memory, text, &t, NULL) == OK, row);
            CHECK_ROW(jws_verify(&t, privkey_public(k), STR_EMPTY, NULL) == ERR_DENIED, row);
            continue;
        }
        CHECK_ROW(st == OK, row);
        struct jws t;
        CHECK_ROW(jws_parse(&memory, buf_str(&out), &t, NULL) == OK, row);
        CHECK_ROW(jws_verify(&t, privkey_public(k), str_of(rows[i].jwk_alg), NULL) == rows[i].want,
                  row);
        for (size_t other = 0; other < ARRAY_LEN(keys); other++)
            if (keys[other] != k)
                CHECK_ROW(jws_verify(&t, privkey_public(keys[other]), STR_EMPTY, NULL) ==
                              ERR_DENIED,
                          row);
        out.ptr[out.len / 2] ^= 1; /* inside the payload or the signature */
        if (jws_parse(&memory, buf_str(&out), &t, NULL) == OK)
            CHECK_ROW(jws_verify(&t, privkey_public(k), STR_EMPTY, NULL) == ERR_DENIED, row);
    }

    /* The public key's text as HMAC secret: the classic confusion. */
    CLEANUP(buf_done) struct buf pem, token;
    buf_init(&pem, 8192);
    buf_init(&token, 8192);
    CHECK(pubkey_to_pem(privkey_public(keys[KEY_RSA]), &pem) == OK);
    struct str input = arena_format(&memory, "%s.e30", base64url("{\"alg\":\"HS256\"}"));
    struct digest mac;
    hmac_compute(DIGEST_SHA256, buf_str(&pem), input, &mac);
    buf_add(&token, input);
    buf_add_byte(&token, '.');
    base64_write(&token, digest_str(&mac), BASE64_URL);
    struct jws t;
    CHECK(jws_parse(&memory, buf_str(&token), &t, NULL) == OK);
    CHECK(jws_verify(&t, privkey_public(keys[KEY_RSA]), STR_EMPTY, NULL) == ERR_DENIED);
    CHECK(jws_verify_hmac(&t, buf_str(&pem), NULL) == OK);
    CHECK(jws_verify_hmac(&t, STR("other"), NULL) == ERR_DENIED);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        privkey_unref(keys[i]);
}

/* ---- times ---- */

static void test_times(void)
{
    const struct jwt_checks admin_old = {.check_nbf = true, .check_iat = true, .leeway_s = 900};
    const struct jwt_checks token = {.require_exp = true, .leeway_s = 60};
    const struct {
        const char *name, *claims;
        const struct jwt_checks *checks;
        enum status want;
    } rows[] = {
        {"no claims, none required", "{}", &admin_old, OK},
        {"no claims, expiry required", "{}", &token, ERR_DENIED},
        {"at the end of the leeway", "{\"exp\":940}", &token, OK},
        {"past the leeway", "{\"exp\":939}", &token, ERR_DENIED},
        {"nbf not looked at", "{\"exp\":940,\"nbf\":5000,\"iat\":5000}", &token, OK},
        {"nbf within the leeway", "{\"nbf\":1900}", &admin_old, OK},
        {"nbf past the leeway", "{\"nbf\":1901}", &admin_old, ERR_DENIED},
        {"iat within the leeway", "{\"iat\":1900}", &admin_old, OK},
        {"iat past the leeway", "{\"iat\":1901}", &admin_old, ERR_DENIED},
        {"expired long ago", "{\"exp\":99}", &admin_old, ERR_DENIED},
        {"fraction", "{\"exp\":940.5}", &token, OK},
        {"exponent", "{\"exp\":1e3}", &token, OK},
        {"far future", "{\"exp\":9223372036854775807}", &token, OK},
        {"beyond 64 bits", "{\"exp\":9223372036854775808}", &token, ERR_INVALID},
        {"huge", "{\"exp\":1e300}", &token, ERR_INVALID},
        {"distant past", "{\"exp\":-9223372036854775808}", &token, ERR_DENIED},
        {"exp is a string", "{\"exp\":\"940\"}", &token, ERR_INVALID},
        {"exp is null", "{\"exp\":null}", &admin_old, ERR_INVALID},
        {"iat is a string, not looked at", "{\"exp\":940,\"iat\":\"1\"}", &token, ERR_INVALID},
        {"array", "[]", &admin_old, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(jwt_check_times(parse(rows[i].claims), rows[i].checks, 1000, &err),
                         rows[i].want, &err, rows[i].name);
    }
}

/* ---- endorsement ---- */

static struct cert *issue(const char *subject, bool ca, const struct privkey *key,
                          const struct cert *issuer, const struct privkey *issuer_key)
{
    const struct cert_request req = {
        .subject = subject,
        .serial = STR("\1"),
        .not_before = NOW - DAY,
        .not_after = NOW + DAY,
        .ca = ca,
        .digest = DIGEST_SHA256,
    };
    struct cert *c = NULL;
    CHECK(cert_make(&req, privkey_public(key), issuer, issuer_key, &c, NULL) == OK);
    return c;
}

static value key_with_x5c(const struct privkey *k, struct cert *const *certs, size_t n, bool url)
{
    value jwk = VALUE_UNDEFINED;
    CHECK(jwk_from_pubkey(&memory, privkey_public(k), &jwk) == OK);
    struct value_builder b;
    value_builder_init(&b, &memory, n);
    for (size_t i = 0; i < n; i++) {
        const char *text = encoded(cert_der(certs[i]), url ? BASE64_URL : BASE64_STD);
        if (!url) /* line feeds are removed before anything else */
            text = arena_format(&memory, " %.64s\n%s\n ", text, text + 64).ptr;
        value_builder_add(&b, value_cstring(&memory, text));
    }
    return value_object_with(&memory, jwk, value_cstring(&memory, "x5c"), value_array_finish(&b));
}

/* kbs.md 5.4, by number. */
static void test_endorsement(void)
{
    struct privkey *k[5];
    for (size_t i = 0; i < ARRAY_LEN(k); i++)
        CHECK(privkey_generate(KEY_EC_P256, 0, &k[i], NULL) == OK);
    struct cert *root = issue("CN=root", true, k[0], NULL, k[0]);
    struct cert *other = issue("CN=other", true, k[4], NULL, k[4]);
    struct cert *mid1 = issue("CN=mid1", true, k[1], root, k[0]);
    struct cert *mid2 = issue("CN=mid2", true, k[2], mid1, k[1]);
    struct cert *leaf0 = issue("CN=leaf", false, k[3], root, k[0]);
    struct cert *leaf1 = issue("CN=leaf", false, k[3], mid1, k[1]);
    struct cert *leaf2 = issue("CN=leaf", false, k[3], mid2, k[2]);

    struct cert *const plain[] = {leaf0}, *const one[] = {leaf1, mid1};
    struct cert *const two[] = {leaf2, mid1, mid2}, *const part[] = {leaf2, mid2};
    struct cert *const not_first[] = {root, leaf0};
    struct cert *const trust[] = {root}, *const wrong[] = {other};
    struct cert *const shuffled[] = {other, root}, *const with_mid[] = {mid1, root};
    const struct {
        const char *name;
        struct cert *const *x5c;
        size_t n;
        const struct privkey *key;
        struct cert *const *roots;
        size_t n_roots;
        int64_t now;
        enum status want;
    } rows[] = {
        {"01 self-signed root", plain, 1, k[3], trust, 1, NOW, OK},
        {"02 leaf of another key", plain, 1, k[2], trust, 1, NOW, ERR_DENIED},
        {"03 no x5c", NULL, 0, k[3], trust, 1, NOW, ERR_DENIED},
        {"04 unrelated anchor", plain, 1, k[3], wrong, 1, NOW, ERR_DENIED},
        {"05 one intermediate", one, 2, k[3], trust, 1, NOW, OK},
        {"06 permuted intermediates", two, 3, k[3], shuffled, 2, NOW, OK},
        {"07 part of the chain in the trust file", part, 2, k[3], with_mid, 2, NOW, OK},
        {"no anchors", plain, 1, k[3], NULL, 0, NOW, ERR_DENIED},
        {"leaf not first", not_first, 2, k[3], trust, 1, NOW, ERR_DENIED},
        {"expired", plain, 1, k[3], trust, 1, NOW + 2 * DAY, ERR_DENIED},
        {"missing intermediate", part, 2, k[3], trust, 1, NOW, ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int url = 0; url < 2; url++) {
            value jwk = key_with_x5c(rows[i].key, rows[i].x5c, rows[i].n, url);
            struct error err = ERROR_INIT;
            CHECK_STATUS_ROW(jwk_endorsed(jwk, privkey_public(rows[i].key), rows[i].roots,
                                          rows[i].n_roots, rows[i].now, &err),
                             rows[i].want, &err, rows[i].name);
        }
    }

    CLEANUP(privkey_cleanup) struct privkey *p384 = NULL;
    CHECK(privkey_generate(KEY_EC_P384, 0, &p384, NULL) == OK);
    struct cert *leaf384 = issue("CN=leaf", false, p384, root, k[0]);
    value jwk = key_with_x5c(p384, &leaf384, 1, true);
    CHECK(jwk_endorsed(jwk, privkey_public(p384), trust, 1, NOW, NULL) == ERR_DENIED);

    const char *const bad[] = {"{\"x5c\":[]}",     "{\"x5c\":{}}",      "{\"x5c\":[1]}",
                               "{\"x5c\":[\"\"]}", "{\"x5c\":[\"?\"]}", "{\"x5c\":[\"MIIB\"]}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ROW(jwk_endorsed(parse(bad[i]), privkey_public(k[3]), trust, 1, NOW, NULL) != OK,
                  bad[i]);

    struct cert *const all[] = {root, other, mid1, mid2, leaf0, leaf1, leaf2, leaf384};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        cert_unref(all[i]);
    for (size_t i = 0; i < ARRAY_LEN(k); i++)
        privkey_unref(k[i]);
}

/* ---- allocation failures ---- */

static void test_no_memory(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &k, NULL) == OK);
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, 4096);
    CHECK(jws_sign(k, STR("ES256"), STR("{\"alg\":\"ES256\"}"), STR("{\"exp\":1}"), &token, NULL) ==
          OK);
    enum status st = ERR_NOMEM;
    for (long n = 1; st == ERR_NOMEM && n < 100; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024);
        struct jws t = {.alg = STR("untouched")};
        tap_fail_malloc_after(n);
        st = jws_parse(&a, buf_str(&token), &t, NULL);
        tap_fail_malloc_after(0);
        CHECK(st == OK || str_is(t.alg, "untouched"));
    }
    CHECK(st == OK);

    value json = parse("{" EC "}");
    struct jwk jwk = {0};
    st = ERR_NOMEM;
    /* OpenSSL cannot always say that memory was what it lacked, so it may be "no point". */
    for (long n = 1; (st == ERR_NOMEM || st == ERR_INVALID) && n < 1000; n++) {
        CHECK(jwk.key == NULL);
        tap_fail_malloc_after(n);
        st = jwk_parse(json, false, &jwk, NULL);
        tap_fail_malloc_after(0);
    }
    CHECK(st == OK);
    jwk_done(&jwk);
}

int main(void)
{
    arena_init(&memory, 64 * 1024 * 1024);
    test_jwk();
    test_jwk_padding();
    test_jwk_write();
    test_jwk_set();
    test_jws_rfc8037();
    test_jws_forms();
    test_jws_algorithms();
    test_times();
    test_endorsement();
    test_no_memory();
    arena_done(&memory);
    return tap_done();
}
