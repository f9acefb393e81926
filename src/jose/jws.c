#include "jose/jose_internal.h"

#include "base/encode.h"
#include "value/json.h"

#define HEADER_DEPTH_MAX 16

static const struct jws_alg {
    const char *name;
    enum key_kind kind;
    enum sig_alg sig;
    enum digest_alg digest;
} algs[] = {
    /* The first of a kind is its default. */
    {"ES256", KEY_EC_P256, SIG_ECDSA_RAW, DIGEST_SHA256},
    {"ES384", KEY_EC_P384, SIG_ECDSA_RAW, DIGEST_SHA384},
    {"ES512", KEY_EC_P521, SIG_ECDSA_RAW, DIGEST_SHA512},
    {"EdDSA", KEY_ED25519, SIG_ED25519, DIGEST_SHA512},
    {"RS256", KEY_RSA, SIG_RSA_PKCS1, DIGEST_SHA256},
    {"RS384", KEY_RSA, SIG_RSA_PKCS1, DIGEST_SHA384},
    {"RS512", KEY_RSA, SIG_RSA_PKCS1, DIGEST_SHA512},
    {"PS256", KEY_RSA, SIG_RSA_PSS, DIGEST_SHA256},
    {"PS384", KEY_RSA, SIG_RSA_PSS, DIGEST_SHA384},
    {"PS512", KEY_RSA, SIG_RSA_PSS, DIGEST_SHA512},
};

static const struct {
    const char *name;
    enum digest_alg digest;
} hmac_algs[] = {
    {"HS256", DIGEST_SHA256},
    {"HS384", DIGEST_SHA384},
    {"HS512", DIGEST_SHA512},
};

/* Names of algorithms are case-sensitive (RFC 7515, 4.1.1). */
static const struct jws_alg *find_alg(struct str name, enum key_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++)
        if (algs[i].kind == kind && str_is(name, algs[i].name))
            return &algs[i];
    return NULL;
}

struct str jws_default_alg(const struct pubkey *k)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++)
        if (algs[i].kind == pubkey_kind(k))
            return str_of(algs[i].name);
    return STR_EMPTY;
}

/* ---- parse ---- */

static STATUS header_string(value header, const char *name, struct str *out, struct error *err)
{
    value v = value_get_str(header, str_of(name));
    if (value_is_defined(v) && !value_is_string(v)) {
        error_set(err, "member \"%s\" of the token's header is no string", name);
        return ERR_INVALID;
    }
    *out = value_str(v);
    return OK;
}

static STATUS decode_part(struct arena *a, struct str text, const char *what, struct str *out,
                          struct error *err)
{
    enum status st = base64_bytes(a, text, BASE64_URL, out, NULL);
    if (st != OK)
        error_set(err,
                  st == ERR_INVALID ? "%s of the token is no base64url"
                                    : "%s of the token does not fit into memory",
                  what);
    return st;
}

static STATUS parse_header(struct arena *a, struct str text, struct jws *t, struct error *err)
{
    if (text.len > JWS_HEADER_MAX) {
        error_set(err, "header of the token is longer than %d bytes", JWS_HEADER_MAX);
        return ERR_LIMIT;
    }
    struct str bytes;
    enum status st = decode_part(a, text, "header", &bytes, err);
    if (st != OK)
        return st;

    const struct json_options options = {JSON_DUP_REFUSE, HEADER_DEPTH_MAX};
    st = json_parse(a, bytes, &options, &t->header, NULL);
    if (st == OK && !value_is_object(t->header))
        st = ERR_INVALID;
    if (st != OK) {
        error_set(err, "header of the token is no JSON object");
        return st;
    }
    if (value_is_defined(value_get_lit(t->header, "crit"))) {
        error_set(err, "token has a \"crit\" header"); /* RFC 7515, 4.1.11: we know no extension */
        return ERR_UNSUPPORTED;
    }
    st = header_string(t->header, "alg", &t->alg, err);
    if (st == OK)
        st = header_string(t->header, "kid", &t->kid, err);
    if (st == OK)
        st = header_string(t->header, "typ", &t->typ, err);
    if (st == OK && t->alg.len == 0) {
        error_set(err, "header of the token has no \"alg\"");
        return ERR_INVALID;
    }
    return st;
}

enum status jws_parse(struct arena *a, struct str text, struct jws *out, struct error *err)
{
    if (text.len > JWS_MAX) {
        error_set(err, "token is longer than %d bytes", JWS_MAX);
        return ERR_LIMIT;
    }
    size_t first = str_find(text, '.', 0);
    size_t second = str_find(text, '.', first + 1);
    if (second >= text.len || str_find(text, '.', second + 1) < text.len) {
        error_set(err, "token has not three parts");
        return ERR_INVALID;
    }

    struct jws t = {.text = text, .signing_input = str_slice(text, 0, second)};
    enum status st = parse_header(a, str_slice(text, 0, first), &t, err);
    if (st == OK)
        st = decode_part(a, str_slice(text, first + 1, second - first - 1), "payload", &t.payload,
                         err);
    if (st == OK)
        st = decode_part(a, str_from(text, second + 1), "signature", &t.signature, err);
    if (st == OK)
        *out = t;
    return st;
}

/* ---- verify ---- */

enum status jws_verify(const struct jws *t, const struct pubkey *key, struct str key_alg,
                       struct error *err)
{
    /* HARDEN kbs-7: what the token says must be what the key is for; it chooses nothing. */
    const struct jws_alg *alg = find_alg(t->alg, pubkey_kind(key));
    if (alg == NULL || (key_alg.len > 0 && !str_equal(key_alg, t->alg))) {
        error_set(err, "algorithm \"%s\" of the token is not the key's", QUOTED(t->alg));
        return ERR_DENIED;
    }
    if (pubkey_kind(key) == KEY_RSA && pubkey_bits(key) < JWK_RSA_BITS_MIN) {
        error_set(err, "RSA key of %u bits is shorter than %d", pubkey_bits(key), JWK_RSA_BITS_MIN);
        return ERR_DENIED;
    }
    return pubkey_verify(key, alg->sig, alg->digest, t->signing_input, t->signature, err);
}

enum status jws_verify_hmac(const struct jws *t, struct str secret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(hmac_algs); i++) {
        if (!str_is(t->alg, hmac_algs[i].name))
            continue;
        struct digest d;
        hmac_compute(hmac_algs[i].digest, secret, t->signing_input, &d);
        if (bytes_equal_ct(digest_str(&d), t->signature))
            return OK;
        error_set(err, "signature does not verify");
        return ERR_DENIED;
    }
    error_set(err, "algorithm \"%s\" of the token is no HMAC", QUOTED(t->alg));
    return ERR_DENIED;
}

/* ---- sign ---- */

enum status jws_sign(const struct privkey *key, struct str alg_name, struct str header_json,
                     struct str payload_json, struct buf *out, struct error *err)
{
    const struct jws_alg *alg = find_alg(alg_name, pubkey_kind(privkey_public(key)));
    if (alg == NULL) {
        error_set(err, "key cannot sign with \"%s\"", QUOTED(alg_name));
        return ERR_UNSUPPORTED;
    }
    size_t start = out->len;
    base64_write(out, header_json, BASE64_URL);
    buf_add_byte(out, '.');
    base64_write(out, payload_json, BASE64_URL);
    if (buf_status(out) != OK)
        return buf_status(out);

    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, SIGNATURE_MAX);
    enum status st =
        privkey_sign(key, alg->sig, alg->digest, str_from(buf_str(out), start), &sig, err);
    if (st != OK)
        return st;
    buf_add_byte(out, '.');
    base64_write(out, buf_str(&sig), BASE64_URL);
    return buf_status(out);
}
