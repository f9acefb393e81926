/*
 * Algorithms of tokens, and the keys that verify them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "rego/builtins_jwt.h"
#include "rego/pem.h"

static const struct algorithm algorithms[] = {
    {"HS256", FAMILY_HMAC, DIGEST_SHA256}, {"HS384", FAMILY_HMAC, DIGEST_SHA384},
    {"HS512", FAMILY_HMAC, DIGEST_SHA512}, {"RS256", FAMILY_RSA, DIGEST_SHA256},
    {"RS384", FAMILY_RSA, DIGEST_SHA384},  {"RS512", FAMILY_RSA, DIGEST_SHA512},
    {"PS256", FAMILY_PSS, DIGEST_SHA256},  {"PS384", FAMILY_PSS, DIGEST_SHA384},
    {"PS512", FAMILY_PSS, DIGEST_SHA512},  {"ES256", FAMILY_EC, DIGEST_SHA256},
    {"ES384", FAMILY_EC, DIGEST_SHA384},   {"ES512", FAMILY_EC, DIGEST_SHA512},
    {"EdDSA", FAMILY_ED, DIGEST_SHA512},
};

const struct algorithm *jwt_algorithm(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (str_is(name, algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

bool jwt_key_fits(enum family f, enum key_kind k)
{
    switch (f) {
    case FAMILY_RSA:
    case FAMILY_PSS:
        return k == KEY_RSA;
    case FAMILY_EC:
        return k == KEY_EC_P256 || k == KEY_EC_P384 || k == KEY_EC_P521;
    case FAMILY_ED:
        return k == KEY_ED25519;
    default:
        return false;
    }
}

enum sig_alg jwt_sig_alg(enum family f)
{
    return f == FAMILY_RSA   ? SIG_RSA_PKCS1
           : f == FAMILY_PSS ? SIG_RSA_PSS
           : f == FAMILY_EC  ? SIG_ECDSA_RAW
                             : SIG_ED25519;
}

void jwt_keys_done(struct jwt_keys *k)
{
    for (size_t i = 0; i < k->len; i++)
        pubkey_unref(k->items[i].key);
    k->len = 0;
}

static enum rego_outcome key_from_pem(struct rego_call *call, const struct pem_block *block,
                                      struct str rest, struct jwt_keys *keys)
{
    struct error err = ERROR_INIT;
    struct jwt_key *k = &keys->items[0];
    *k = (struct jwt_key){.key = NULL};
    if (rest.len > 0)
        return rego_call_error(call, "extra data after a PEM certificate block");
    if (str_is(block->type, "CERTIFICATE")) {
        CLEANUP(cert_cleanup) struct cert *c = NULL;
        if (cert_from_der(block->der, &c, &err) != OK)
            return rego_call_error(call, "failed to parse a PEM certificate: %s", err.text);
        k->key = pubkey_ref(cert_pubkey(c));
    } else if (str_is(block->type, "PUBLIC KEY")) {
        if (pubkey_from_der(block->der, &k->key, &err) != OK)
            return rego_call_error(call, "failed to parse a PEM public key: %s", err.text);
    } else {
        return rego_call_error(call, "failed to extract a Key from the PEM certificate");
    }
    keys->len = 1;
    return REGO_VALUE;
}

/* A curve that JWK knows, though nothing here may verify with it. */
static bool is_known_curve(struct str kty, struct str crv)
{
    static const char *const ec[] = {"P-256", "P-384", "P-521", "secp256k1"};
    static const char *const okp[] = {"Ed25519", "Ed448", "X25519", "X448"};
    bool is_ec = str_is(kty, "EC");
    if (!is_ec && !str_is(kty, "OKP"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(ec); i++)
        if (str_is(crv, is_ec ? ec[i] : okp[i]))
            return true;
    return false;
}

/*
 * Number and exponent are there, though the key is too short, say, or even.  As in OPA
 * nothing verifies with it, and the other keys of a set still count.
 */
static bool is_useless_rsa(struct rego_call *call, value json)
{
    if (!str_is(value_str(value_get_lit(json, "kty")), "RSA"))
        return false;
    const char *const members[] = {"n", "e"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct str bytes = STR_EMPTY;
        struct str text = value_str(value_get_str(json, str_of(members[i])));
        if (base64_bytes(rego_call_arena(call), text, BASE64_URL_ANY, &bytes, NULL) != OK)
            return false;
        while (bytes.len > 0 && bytes.ptr[0] == 0)
            bytes = str_from(bytes, 1);
        if (bytes.len == 0)
            return false;
    }
    return true;
}

static enum rego_outcome add_jwk(struct rego_call *call, value json, struct jwt_keys *keys)
{
    struct str alg = value_str(value_get_lit(json, "alg"));
    if (alg.len > 0 && jwt_algorithm(alg) == NULL)
        return REGO_VALUE; /* for something else */
    if (keys->len == KEYS_MAX)
        return rego_call_error(call, "more than %d keys", KEYS_MAX);
    struct jwt_key *k = &keys->items[keys->len];
    *k = (struct jwt_key){.alg = alg, .kid = value_str(value_get_lit(json, "kid"))};
    struct error err = ERROR_INIT;
    enum status st = OK;
    struct str kty = value_str(value_get_lit(json, "kty"));
    if (!str_is(kty, "RSA") && !str_is(kty, "EC") && !str_is(kty, "OKP") && !str_is(kty, "oct"))
        return rego_call_error(call, "failed to parse a JWK key (set): unknown key type \"%s\"",
                               shown(call, kty));
    struct str crv = value_str(value_get_lit(json, "crv"));
    if (!is_known_curve(kty, crv))
        return rego_call_error(
            call, "failed to parse a JWK key (set): unknown EllipticCurveAlgorithm: \"%s\"",
            shown(call, crv));
    if (str_is(kty, "oct")) {
        st = base64_bytes(rego_call_arena(call), value_str(value_get_lit(json, "k")),
                          BASE64_URL_ANY, &k->secret, &err);
        if (st == OK && k->secret.len == 0)
            return rego_call_error(call, "failed to parse a JWK key (set): missing \"k\" field");
    } else {
        /* "use" and "key_ops" are for those who choose keys: here the policy does */
        struct arena *a = rego_call_arena(call);
        value bare = value_object_with(a, json, value_cstring(a, "use"), VALUE_UNDEFINED);
        bare = value_object_with(a, bare, value_cstring(a, "key_ops"), VALUE_UNDEFINED);
        if (!value_is_defined(bare))
            return rego_call_status(call, arena_status(a), NULL);
        struct jwk jwk = {.key = NULL};
        st = jwk_parse(bare, true, &jwk, &err);
        if (st == OK)
            k->key = pubkey_ref(jwk.key);
        jwk_done(&jwk);
    }
    if (st == ERR_NOMEM || st == ERR_LIMIT)
        return rego_call_status(call, st, &err);
    if (st == ERR_INVALID && is_useless_rsa(call, json))
        st = OK;
    if (st == ERR_INVALID)
        return rego_call_error(call, "failed to parse a JWK key (set): %s", err.text);
    keys->len += st == OK; /* of another kind: nothing verifies with it */
    return REGO_VALUE;
}

/* A PEM certificate or public key, a JWK or a JWK set. */
static enum rego_outcome parse_keys(struct rego_call *call, struct str text, struct jwt_keys *keys)
{
    if (!rego_call_charge(call, SIGNATURE_COST / 4) || !charge_bytes(call, text.len * 8))
        return REGO_FATAL;
    struct str rest = text;
    struct pem_block block;
    if (pem_next(rego_call_arena(call), &rest, &block))
        return key_from_pem(call, &block, rest, keys);

    value json = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = read_json(call, text, &json, &err);
    if (st != OK && st != ERR_INVALID)
        return rego_call_status(call, st, &err);
    if (st != OK || !value_is_object(json))
        return rego_call_error(call, "failed to parse a JWK key (set): %s",
                               st != OK ? err.text : "not an object");
    value set = value_get_lit(json, "keys");
    if (!value_is_defined(set))
        return add_jwk(call, json, keys);
    for (size_t i = 0; i < value_len(set); i++) {
        enum rego_outcome o = add_jwk(call, value_at(set, i), keys);
        if (o != REGO_VALUE)
            return o;
        if (!rego_call_charge(call, SIGNATURE_COST / 4))
            return REGO_FATAL;
    }
    return REGO_VALUE;
}

/*
 * Reading a key costs more than a signature.  Public ones are kept with the
 * context, with copies of their texts; sets with secrets among them are not.
 */
static void destroy_keys(void *object)
{
    struct jwt_keys *keys = object;
    for (size_t i = 0; i < keys->len; i++) {
        free((char *)(uintptr_t)keys->items[i].alg.ptr);
        free((char *)(uintptr_t)keys->items[i].kid.ptr);
    }
    jwt_keys_done(keys);
    free(keys);
}

static bool copy_text(struct str *s)
{
    char *copy = malloc(s->len + 1);
    if (copy != NULL && s->len > 0)
        memcpy(copy, s->ptr, s->len);
    *s = str_bytes(copy, s->len);
    return copy != NULL;
}

static void keep_keys(struct rego_call *call, struct str text, const struct jwt_keys *keys)
{
    for (size_t i = 0; i < keys->len; i++)
        if (keys->items[i].key == NULL)
            return;
    struct jwt_keys *copy =
        calloc(1, offsetof(struct jwt_keys, items) + keys->len * sizeof(keys->items[0]));
    if (copy == NULL)
        return; /* nothing depends on it */
    bool ok = true;
    for (; copy->len < keys->len; copy->len++) {
        struct jwt_key *k = &copy->items[copy->len];
        *k = keys->items[copy->len];
        k->key = pubkey_ref(k->key);
        ok = copy_text(&k->alg) && ok;
        ok = copy_text(&k->kid) && ok;
    }
    if (!ok || !rego_call_cache_put(call, "jwt", text, copy, destroy_keys))
        destroy_keys(copy);
}

enum rego_outcome jwt_keys_read(struct rego_call *call, struct str text, struct jwt_keys *keys)
{
    keys->len = 0;
    const struct jwt_keys *kept = rego_call_cache_get(call, "jwt", text);
    for (; kept != NULL && keys->len < kept->len; keys->len++) {
        keys->items[keys->len] = kept->items[keys->len];
        (void)pubkey_ref(kept->items[keys->len].key);
    }
    if (kept != NULL)
        return charge_bytes(call, text.len) ? REGO_VALUE : REGO_FATAL;
    enum rego_outcome o = parse_keys(call, text, keys);
    if (o == REGO_VALUE)
        keep_keys(call, text, keys);
    return o;
}
