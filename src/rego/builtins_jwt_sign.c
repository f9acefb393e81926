/*
 * Signing tokens: the keys are JWKs of the policy's own.
 */
#include <string.h>

#include "base/encode.h"
#include "rego/builtins_jwt.h"
#include "value/json.h"

static void der_length(struct buf *b, size_t n)
{
    if (n < 0x80) {
        buf_add_byte(b, (char)n);
    } else if (n < 0x100) {
        buf_add_byte(b, (char)0x81);
        buf_add_byte(b, (char)n);
    } else {
        buf_add_byte(b, (char)0x82); /* the parts of a key are shorter than 64 KiB */
        buf_add_byte(b, (char)(n >> 8));
        buf_add_byte(b, (char)n);
    }
}

static bool der_integer(struct buf *b, struct arena *a, value jwk, const char *name)
{
    struct str n = STR_EMPTY;
    struct str text = value_str(value_get_str(jwk, str_of(name)));
    if (text.len == 0 || text.len > 8192 || base64_bytes(a, text, BASE64_URL_ANY, &n, NULL) != OK)
        return false;
    while (n.len > 1 && n.ptr[0] == 0)
        n = str_from(n, 1);
    bool pad = n.len > 0 && ((unsigned char)n.ptr[0] & 0x80) != 0;
    buf_add_byte(b, 0x02);
    der_length(b, n.len + pad);
    if (pad)
        buf_add_byte(b, 0);
    buf_add(b, n);
    return true;
}

/* RFC 8017, A.1.2, as PEM: the form in which the crypto module takes private RSA keys. */
static enum status rsa_from_jwk(struct arena *a, value jwk, struct privkey **out, struct error *err)
{
    static const char *const names[] = {"n", "e", "d", "p", "q", "dp", "dq", "qi"};
    CLEANUP(buf_done) struct buf body;
    CLEANUP(buf_done) struct buf der;
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&body, 60000);
    buf_init_secret(&der, 65535);
    buf_init_secret(&pem, 131072);
    buf_add(&body, STR("\x02\x01\x00")); /* version 0 */
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!der_integer(&body, a, jwk, names[i])) {
            error_set(err, "private key has no usable \"%s\"", names[i]);
            return ERR_INVALID;
        }
    }
    buf_add_byte(&der, 0x30);
    der_length(&der, body.len);
    buf_add(&der, buf_str(&body));
    buf_add(&pem, STR("-----BEGIN RSA PRIVATE KEY-----\n"));
    base64_write(&pem, buf_str(&der), BASE64_STD);
    buf_add(&pem, STR("\n-----END RSA PRIVATE KEY-----\n"));
    if (body.failed != OK || der.failed != OK || pem.failed != OK)
        return ERR_NOMEM;
    return privkey_from_pem(buf_str(&pem), out, err);
}

static enum status privkey_from_jwk(struct arena *a, value jwk, struct privkey **out,
                                    struct error *err)
{
    struct str kty = value_str(value_get_lit(jwk, "kty"));
    struct str crv = value_str(value_get_lit(jwk, "crv"));
    if (str_is(kty, "RSA"))
        return rsa_from_jwk(a, jwk, out, err);
    static const struct {
        const char *crv;
        enum key_kind kind;
        size_t len;
    } curves[] = {{"P-256", KEY_EC_P256, 32},
                  {"P-384", KEY_EC_P384, 48},
                  {"P-521", KEY_EC_P521, 66},
                  {"Ed25519", KEY_ED25519, 32}};
    struct str d = STR_EMPTY;
    enum status st = base64_bytes(a, value_str(value_get_lit(jwk, "d")), BASE64_URL_ANY, &d, err);
    if (st != OK)
        return st;
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (!str_is(crv, curves[i].crv))
            continue;
        uint8_t raw[66] = {0};
        if (d.len > curves[i].len || d.len == 0)
            break;
        memcpy(raw + curves[i].len - d.len, d.ptr, d.len);
        return privkey_from_raw(curves[i].kind, str_bytes(raw, curves[i].len), out, err);
    }
    error_set(err, "private key is not of a kind that can sign");
    return ERR_INVALID;
}

static enum rego_outcome sign_with(struct rego_call *call, value jwk, const struct algorithm *alg,
                                   struct str input, struct buf *out)
{
    struct arena *a = rego_call_arena(call);
    struct error err = ERROR_INIT;
    if (!rego_call_charge(call, SIGNATURE_COST * 4))
        return REGO_FATAL;
    if (alg->family == FAMILY_HMAC) {
        struct str secret = STR_EMPTY;
        if (!str_is(value_str(value_get_lit(jwk, "kty")), "oct") ||
            base64_bytes(a, value_str(value_get_lit(jwk, "k")), BASE64_URL_ANY, &secret, &err) !=
                OK)
            return rego_call_error(call, "key is not of the kind that %s needs", alg->name);
        if (secret.len == 0)
            return rego_call_error(call, "key validation failed: missing \"k\" field");
        struct digest d;
        hmac_compute(alg->digest, secret, input, &d);
        buf_add(out, digest_str(&d));
        return out->failed == OK ? REGO_VALUE : rego_call_status(call, out->failed, NULL);
    }
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    enum status st = privkey_from_jwk(a, jwk, &key, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (!jwt_key_fits(alg->family, pubkey_kind(privkey_public(key))))
        return rego_call_error(call, "key is not of the kind that %s needs", alg->name);
    st = privkey_sign(key, jwt_sig_alg(alg->family), alg->digest, input, out, &err);
    return st == OK ? REGO_VALUE : rego_call_status(call, st, &err);
}

static enum rego_outcome encode_sign(struct rego_call *call, struct str header_text,
                                     struct str payload, value key, value *out)
{
    value set = value_get_lit(key, "keys");
    value jwk = value_is_defined(set) ? value_at(set, 0) : key;
    if (!value_is_object(jwk))
        return rego_call_error(call, "no keys found in JWK set");
    value header = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    if (header_text.len == 0)
        return rego_call_error(
            call, "missing or invalid 'alg' header: cannot parse JSON: cannot parse empty string");
    enum status st = read_json(call, header_text, &header, &err);
    if (st == ERR_INVALID && header_text.ptr[0] == '{')
        return rego_call_error(call, "missing or invalid 'alg' header: cannot parse JSON: %s",
                               err.text);
    if (st != OK && st != ERR_INVALID)
        return rego_call_status(call, st, &err);
    value name = value_get_lit(header, "alg");
    if (!value_is_string(name))
        return rego_call_error(call,
                               "missing or invalid 'alg' header: jwsbb: header \"alg\" not found");
    const struct algorithm *alg = jwt_algorithm(value_str(name));
    if (alg == NULL)
        return rego_call_error(call, "unknown JWS algorithm: %s", shown(call, value_str(name)));

    value typ = value_get_lit(header, "typ");
    value unused;
    if (!value_is_string(typ) || str_is(value_str(typ), "JWT")) {
        st = read_json(call, payload, &unused, NULL);
        if (st == ERR_INVALID)
            return rego_call_error(call, "type is JWT but payload is not JSON");
        if (st != OK)
            return rego_call_status(call, st, NULL);
    }

    CLEANUP(buf_done) struct buf b;
    CLEANUP(buf_done) struct buf signature;
    output_init(call, &b);
    buf_init(&signature, SIGNATURE_MAX);
    base64_write(&b, header_text, BASE64_URL);
    buf_add_byte(&b, '.');
    base64_write(&b, payload, BASE64_URL);
    if (buf_status(&b) != OK)
        return give_buf(call, &b, out);
    enum rego_outcome o = sign_with(call, jwk, alg, buf_str(&b), &signature);
    if (o != REGO_VALUE)
        return o;
    buf_add_byte(&b, '.');
    base64_write(&b, buf_str(&signature), BASE64_URL);
    return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

enum rego_outcome builtin_io_jwt_encode_sign(struct rego_call *call, const value *args, value *out)
{
    for (unsigned i = 1; i <= 3; i++)
        if (!arg_kind(call, args, i, VALUE_KIND_OBJECT))
            return REGO_FAILED;
    struct arena *a = rego_call_arena(call);
    struct str header = json_text(a, args[0], JSON_GO);
    struct str payload = json_text(a, args[1], JSON_GO);
    if (header.ptr == NULL || payload.ptr == NULL)
        return give(call, VALUE_UNDEFINED, out);
    return encode_sign(call, header, payload, args[2], out);
}

enum rego_outcome builtin_io_jwt_encode_sign_raw(struct rego_call *call, const value *args,
                                                 value *out)
{
    struct str key_text = STR_EMPTY;
    struct str header = STR_EMPTY;
    struct str payload = STR_EMPTY;
    if (!arg_string(call, args, 3, &key_text) || !arg_string(call, args, 1, &header) ||
        !arg_string(call, args, 2, &payload))
        return REGO_FAILED;
    value key = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = read_json(call, key_text, &key, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    return encode_sign(call, header, payload, key, out);
}
