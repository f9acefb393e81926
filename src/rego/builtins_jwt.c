/*
 * JSON Web Tokens: rego.md 6.16.
 *
 * The service's own tokens are judged by the jose module, which lets the key
 * decide the algorithm.  Here the policy decides it (by the function's name or
 * by the constraint "alg"), as OPA's functions promise; a key of another kind
 * just does not verify.
 */
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "jose/jose.h"
#include "rego/builtins_internal.h"
#include "rego/pem.h"
#include "value/json.h"
#include "value/number.h"

/* Asymmetric work, in units: about 0.1 ms. */
#define SIGNATURE_COST 2000
#define KEYS_MAX 100
#define NESTING_MAX 16 /* tokens within tokens */

/* ---- algorithms ---- */

enum family { FAMILY_HMAC, FAMILY_RSA, FAMILY_PSS, FAMILY_EC, FAMILY_ED };

struct algorithm {
    const char *name;
    enum family family;
    enum digest_alg digest;
};

static const struct algorithm algorithms[] = {
    {"HS256", FAMILY_HMAC, DIGEST_SHA256}, {"HS384", FAMILY_HMAC, DIGEST_SHA384},
    {"HS512", FAMILY_HMAC, DIGEST_SHA512}, {"RS256", FAMILY_RSA, DIGEST_SHA256},
    {"RS384", FAMILY_RSA, DIGEST_SHA384},  {"RS512", FAMILY_RSA, DIGEST_SHA512},
    {"PS256", FAMILY_PSS, DIGEST_SHA256},  {"PS384", FAMILY_PSS, DIGEST_SHA384},
    {"PS512", FAMILY_PSS, DIGEST_SHA512},  {"ES256", FAMILY_EC, DIGEST_SHA256},
    {"ES384", FAMILY_EC, DIGEST_SHA384},   {"ES512", FAMILY_EC, DIGEST_SHA512},
    {"EdDSA", FAMILY_ED, DIGEST_SHA512},
};

static const struct algorithm *find_algorithm(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (str_is(name, algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

static bool fits(enum family f, enum key_kind k)
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

static enum sig_alg sig_alg_of(enum family f)
{
    return f == FAMILY_RSA   ? SIG_RSA_PKCS1
           : f == FAMILY_PSS ? SIG_RSA_PSS
           : f == FAMILY_EC  ? SIG_ECDSA_RAW
                             : SIG_ED25519;
}

/* ---- tokens ---- */

struct token {
    struct str text;
    struct str parts[3];      /* base64url texts */
    struct str signing_input; /* header.payload */
    value header;
    struct str alg, kid, cty;
    bool crit_ok; /* no critical extension that is unknown */
};

static enum rego_outcome split_token(struct rego_call *call, value v, struct token *t)
{
    if (!value_is_string(v))
        return rego_call_type_error(call, 1, "string", v);
    struct str s = value_str(v);
    *t = (struct token){.text = s, .header = VALUE_UNDEFINED, .crit_ok = true};
    size_t points = 0;
    for (size_t i = 0; i < s.len; i++)
        points += s.ptr[i] == '.';
    if (points == 0)
        return rego_call_error(call, "encoded JWT had no period separators");
    if (points != 2)
        return rego_call_error(call, "encoded JWT must have 3 sections, found %zu", points + 1);
    size_t first = str_find(s, '.', 0);
    size_t second = str_find(s, '.', first + 1);
    t->parts[0] = str_slice(s, 0, first);
    t->parts[1] = str_slice(s, first + 1, second - first - 1);
    t->parts[2] = str_from(s, second + 1);
    t->signing_input = str_slice(s, 0, second);
    return charge_bytes(call, s.len * 8) ? REGO_VALUE : REGO_FATAL;
}

/* A part's bytes, in the arena; `prefix` begins the message. */
static enum rego_outcome decode_part(struct rego_call *call, struct str part, const char *prefix,
                                     struct str *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    const char *why = "";
    if (!read_base64url(call, part, &b, &why))
        return rego_call_error(call, "%s%s", prefix, why);
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = give_buf(call, &b, &v);
    *out = value_str(v);
    return o;
}

static enum rego_outcome parse_object(struct rego_call *call, struct str text, const char *prefix,
                                      value *out)
{
    struct error err = ERROR_INIT;
    enum status st = read_json(call, text, out, &err);
    if (st == ERR_INVALID)
        return rego_call_error(call, "%sinvalid JSON: %s", prefix, err.text);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (!value_is_object(*out))
        return rego_call_error(call, "%sdecoded JSON type was not an Object", prefix);
    return REGO_VALUE;
}

static enum rego_outcome decode_header(struct rego_call *call, struct token *t)
{
    struct str text = STR_EMPTY;
    enum rego_outcome o =
        decode_part(call, t->parts[0], "JWT header had invalid encoding: ", &text);
    if (o == REGO_VALUE)
        o = parse_object(call, text, "bad JWT header: ", &t->header);
    if (o == REGO_VALUE && value_is_defined(value_get_lit(t->header, "enc")))
        o = rego_call_error(call, "JWT is a JWE object, which is not supported");
    return o;
}

/* RFC 7515, 4.1.11: a token with a critical extension that we do not know is not for us. */
static enum rego_outcome read_crit(struct rego_call *call, struct token *t)
{
    value crit = value_get_lit(t->header, "crit");
    if (!value_is_defined(crit))
        return REGO_VALUE;
    if (!value_is_array(crit))
        return rego_call_error(call, "crit: must be a list");
    static const char *const known[] = {"alg", "kid", "typ", "cty", "crit"};
    for (size_t i = 0; i < value_len(crit); i++) {
        value name = value_at(crit, i);
        bool is_known = false;
        for (size_t j = 0; j < ARRAY_LEN(known); j++)
            is_known = is_known || str_is(value_str(name), known[j]);
        if (!value_is_string(name))
            return rego_call_error(call, "crit: must be a list of strings");
        if (!is_known)
            t->crit_ok = false;
    }
    if (value_len(crit) == 0)
        return rego_call_error(call, "crit: must be a nonempty list");
    return REGO_VALUE;
}

/* The members of the header that have a meaning here. */
static enum rego_outcome read_header(struct rego_call *call, struct token *t)
{
    const struct {
        const char *name;
        struct str *out;
    } members[] = {{"alg", &t->alg}, {"cty", &t->cty}, {"kid", &t->kid}, {"typ", NULL}};
    t->alg = t->kid = t->cty = STR_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        value v = value_get_str(t->header, str_of(members[i].name));
        if (value_is_defined(v) && !value_is_string(v))
            return rego_call_error(call, "%s: must be a string", members[i].name);
        if (members[i].out != NULL)
            *members[i].out = value_str(v);
    }
    return read_crit(call, t);
}

static enum rego_outcome decode_signature(struct rego_call *call, const struct token *t,
                                          struct str *out)
{
    return decode_part(call, t->parts[2], "", out);
}

/* ---- keys ---- */

struct verify_key {
    struct pubkey *key; /* NULL: a symmetric one, or unusable */
    struct str secret;  /* of kty "oct" */
    struct str alg, kid;
};

struct verify_keys {
    size_t len;
    struct verify_key items[KEYS_MAX];
};

static void verify_keys_done(struct verify_keys *k)
{
    for (size_t i = 0; i < k->len; i++)
        pubkey_unref(k->items[i].key);
    k->len = 0;
}

static enum rego_outcome key_from_pem(struct rego_call *call, const struct pem_block *block,
                                      struct str rest, struct verify_keys *keys)
{
    struct error err = ERROR_INIT;
    struct verify_key *k = &keys->items[0];
    *k = (struct verify_key){.key = NULL};
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

static enum rego_outcome add_jwk(struct rego_call *call, value json, struct verify_keys *keys)
{
    struct str alg = value_str(value_get_lit(json, "alg"));
    if (alg.len > 0 && find_algorithm(alg) == NULL)
        return REGO_VALUE; /* for something else */
    if (keys->len == KEYS_MAX)
        return rego_call_error(call, "more than %d keys", KEYS_MAX);
    struct verify_key *k = &keys->items[keys->len];
    *k = (struct verify_key){.alg = alg, .kid = value_str(value_get_lit(json, "kid"))};
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
    if (st == ERR_INVALID)
        return rego_call_error(call, "failed to parse a JWK key (set): %s", err.text);
    keys->len += st == OK; /* of another kind: nothing verifies with it */
    return REGO_VALUE;
}

/* A PEM certificate or public key, a JWK or a JWK set. */
static enum rego_outcome parse_keys(struct rego_call *call, struct str text,
                                    struct verify_keys *keys)
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
    struct verify_keys *keys = object;
    for (size_t i = 0; i < keys->len; i++) {
        free((char *)(uintptr_t)keys->items[i].alg.ptr);
        free((char *)(uintptr_t)keys->items[i].kid.ptr);
    }
    verify_keys_done(keys);
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

static void keep_keys(struct rego_call *call, struct str text, const struct verify_keys *keys)
{
    for (size_t i = 0; i < keys->len; i++)
        if (keys->items[i].key == NULL)
            return;
    struct verify_keys *copy =
        calloc(1, offsetof(struct verify_keys, items) + keys->len * sizeof(keys->items[0]));
    if (copy == NULL)
        return; /* nothing depends on it */
    bool ok = true;
    for (; copy->len < keys->len; copy->len++) {
        struct verify_key *k = &copy->items[copy->len];
        *k = keys->items[copy->len];
        k->key = pubkey_ref(k->key);
        ok = copy_text(&k->alg) && ok;
        ok = copy_text(&k->kid) && ok;
    }
    if (!ok || !rego_call_cache_put(call, "jwt", text, copy, destroy_keys))
        destroy_keys(copy);
}

static enum rego_outcome read_keys(struct rego_call *call, struct str text,
                                   struct verify_keys *keys)
{
    keys->len = 0;
    const struct verify_keys *kept = rego_call_cache_get(call, "jwt", text);
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

/* ---- verifying ---- */

static bool verify_hmac(struct str secret, enum digest_alg digest, struct str message,
                        struct str signature)
{
    struct digest d;
    hmac_compute(digest, secret, message, &d);
    return signature.len == d.len && bytes_equal_ct(digest_str(&d), signature);
}

static bool verify_with(struct rego_call *call, const struct verify_key *k,
                        const struct algorithm *alg, struct str message, struct str signature)
{
    if (alg->family == FAMILY_HMAC)
        return k->key == NULL && k->secret.len > 0 &&
               verify_hmac(k->secret, alg->digest, message, signature);
    return k->key != NULL && fits(alg->family, pubkey_kind(k->key)) &&
           worked(rego_call_arena(call), pubkey_verify(k->key, sig_alg_of(alg->family), alg->digest,
                                                       message, signature, NULL));
}

/*
 * The key of the token's "kid" alone, if there is one; else any that either
 * names no algorithm or the header's.
 */
static enum rego_outcome verify_any(struct rego_call *call, const struct token *t,
                                    const struct verify_keys *keys, const struct algorithm *alg,
                                    struct str signature, bool *verified)
{
    *verified = false;
    if (!rego_call_charge(call, SIGNATURE_COST))
        return REGO_FATAL;
    for (size_t i = 0; t->kid.len > 0 && i < keys->len; i++) {
        if (str_equal(keys->items[i].kid, t->kid)) {
            *verified = verify_with(call, &keys->items[i], alg, t->signing_input, signature);
            return REGO_VALUE;
        }
    }
    for (size_t i = 0; i < keys->len && !*verified; i++) {
        const struct verify_key *k = &keys->items[i];
        if (k->alg.len > 0 && !str_equal(k->alg, t->alg))
            continue;
        if (i > 0 && !rego_call_charge(call, SIGNATURE_COST))
            return REGO_FATAL;
        *verified = verify_with(call, k, alg, t->signing_input, signature);
    }
    return REGO_VALUE;
}

static enum rego_outcome verify(struct rego_call *call, const value *args, const char *name,
                                value *out)
{
    const struct algorithm *alg = find_algorithm(str_of(name));
    struct token t;
    struct str key = STR_EMPTY;
    struct str signature = STR_EMPTY;
    enum rego_outcome o = split_token(call, args[0], &t);
    if (o != REGO_VALUE)
        return o;
    if (!arg_string(call, args, 2, &key))
        return REGO_FAILED;
    if (alg->family == FAMILY_HMAC) {
        o = decode_signature(call, &t, &signature);
        return o == REGO_VALUE
                   ? give_bool(verify_hmac(key, alg->digest, t.signing_input, signature), out)
                   : o;
    }

    CLEANUP(verify_keys_done) struct verify_keys keys = {.len = 0};
    bool verified = false;
    o = read_keys(call, key, &keys);
    if (o == REGO_VALUE)
        o = decode_signature(call, &t, &signature);
    if (o == REGO_VALUE)
        o = decode_header(call, &t);
    if (o == REGO_VALUE)
        o = read_header(call, &t);
    if (o == REGO_VALUE)
        o = verify_any(call, &t, &keys, alg, signature, &verified);
    return o == REGO_VALUE ? give_bool(verified, out) : o;
}

enum rego_outcome builtin_io_jwt_verify_hs256(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "HS256", out);
}

enum rego_outcome builtin_io_jwt_verify_hs384(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "HS384", out);
}

enum rego_outcome builtin_io_jwt_verify_hs512(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "HS512", out);
}

enum rego_outcome builtin_io_jwt_verify_rs256(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "RS256", out);
}

enum rego_outcome builtin_io_jwt_verify_rs384(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "RS384", out);
}

enum rego_outcome builtin_io_jwt_verify_rs512(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "RS512", out);
}

enum rego_outcome builtin_io_jwt_verify_ps256(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "PS256", out);
}

enum rego_outcome builtin_io_jwt_verify_ps384(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "PS384", out);
}

enum rego_outcome builtin_io_jwt_verify_ps512(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "PS512", out);
}

enum rego_outcome builtin_io_jwt_verify_es256(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "ES256", out);
}

enum rego_outcome builtin_io_jwt_verify_es384(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "ES384", out);
}

enum rego_outcome builtin_io_jwt_verify_es512(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "ES512", out);
}

enum rego_outcome builtin_io_jwt_verify_eddsa(struct rego_call *call, const value *args, value *out)
{
    return verify(call, args, "EdDSA", out);
}

/* ---- decoding ---- */

static struct str trim_quotes(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == '"' || s.ptr[0] == '\''))
        s = str_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == '"' || s.ptr[s.len - 1] == '\''))
        s.len--;
    return s;
}

enum rego_outcome builtin_io_jwt_decode(struct rego_call *call, const value *args, value *out)
{
    struct arena *a = rego_call_arena(call);
    value text = args[0];
    struct token t;
    struct str payload = STR_EMPTY;
    for (unsigned depth = 0;; depth++) {
        if (depth == NESTING_MAX)
            return rego_call_error(call, "tokens nest deeper than %d", NESTING_MAX);
        enum rego_outcome o = split_token(call, text, &t);
        if (o == REGO_VALUE)
            o = decode_header(call, &t);
        if (o == REGO_VALUE)
            o = decode_part(call, t.parts[1], "JWT payload had invalid encoding: ", &payload);
        if (o != REGO_VALUE)
            return o;
        if (!str_is(value_str(value_get_lit(t.header, "cty")), "JWT"))
            break;
        text = value_string(a, trim_quotes(payload)); /* a token in the token */
        if (!value_is_defined(text))
            return give(call, text, out);
    }

    value claims = VALUE_UNDEFINED;
    struct str signature = STR_EMPTY;
    enum rego_outcome o = parse_object(call, payload, "", &claims);
    if (o == REGO_VALUE)
        o = decode_part(call, t.parts[2], "JWT signature had invalid encoding: ", &signature);
    if (o != REGO_VALUE)
        return o;
    struct str hex = hex_text(a, signature);
    const value parts[] = {t.header, claims, value_string(a, hex.ptr == NULL ? STR_EMPTY : hex)};
    return give(call, value_array(a, parts, 3), out);
}

struct constraints {
    struct verify_keys keys;
    bool has_keys;
    struct str secret, alg, iss, aud;
    value time; /* nanoseconds */
};

static void constraints_done(struct constraints *c)
{
    verify_keys_done(&c->keys);
}

static enum rego_outcome constraint_time(struct rego_call *call, value v, struct constraints *c)
{
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return rego_call_error(call, "token time constraint: must be a number");
    if (number_compare(v, value_small_int(0)) < 0)
        return rego_call_error(call, "token time constraint: must not be negative");
    c->time = v;
    return REGO_VALUE;
}

static enum rego_outcome read_constraint(struct rego_call *call, const struct value_pair *p,
                                         struct constraints *c)
{
    struct str name = value_str(p->key);
    const struct {
        const char *name;
        struct str *out;
    } texts[] = {{"secret", &c->secret}, {"alg", &c->alg}, {"iss", &c->iss}, {"aud", &c->aud}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!str_is(name, texts[i].name))
            continue;
        if (!value_is_string(p->val))
            return rego_call_error(call, "%s constraint: must be a string", texts[i].name);
        *texts[i].out = value_str(p->val);
        return REGO_VALUE;
    }
    if (str_is(name, "time"))
        return constraint_time(call, p->val, c);
    if (!str_is(name, "cert"))
        return rego_call_error(call, "unknown token validation constraint: %s", shown(call, name));
    if (!value_is_string(p->val))
        return rego_call_error(call, "cert constraint: must be a string");
    c->has_keys = true;
    return read_keys(call, value_str(p->val), &c->keys);
}

static enum rego_outcome read_constraints(struct rego_call *call, value object,
                                          struct constraints *c)
{
    for (size_t i = 0; i < value_len(object); i++) {
        enum rego_outcome o = read_constraint(call, &value_pairs(object)[i], c);
        if (o != REGO_VALUE)
            return o;
    }
    if (c->has_keys && c->secret.len > 0)
        return rego_call_error(call, "duplicate key constraints");
    if (!c->has_keys && c->secret.len == 0)
        return rego_call_error(call, "no key constraint");
    if (value_is_defined(c->time))
        return REGO_VALUE;
    return constraint_time(call, value_int(rego_call_arena(call), rego_call_now_ns(call)), c);
}

/* *ok: the signature and the header fit the constraints. */
static enum rego_outcome check_token(struct rego_call *call, struct token *t,
                                     const struct constraints *c, bool *ok)
{
    *ok = false;
    struct str signature = STR_EMPTY;
    enum rego_outcome o = decode_header(call, t);
    if (o == REGO_VALUE)
        o = read_header(call, t);
    if (o != REGO_VALUE || t->alg.len == 0 || !t->crit_ok ||
        (c->alg.len > 0 && !str_equal(c->alg, t->alg)))
        return o;
    o = decode_signature(call, t, &signature);
    const struct algorithm *alg = find_algorithm(t->alg);
    if (o != REGO_VALUE || alg == NULL)
        return o;
    if (c->has_keys)
        return verify_any(call, t, &c->keys, alg, signature, ok);
    *ok = alg->family == FAMILY_HMAC &&
          verify_hmac(c->secret, alg->digest, t->signing_input, signature);
    return REGO_VALUE;
}

static bool audience_fits(value aud, struct str wanted)
{
    if (value_is_string(aud))
        return str_equal(value_str(aud), wanted);
    for (size_t i = 0; i < (value_is_array(aud) ? value_len(aud) : 0); i++)
        if (value_is_string(value_at(aud, i)) && str_equal(value_str(value_at(aud, i)), wanted))
            return true;
    return false;
}

/* The constraint's time against a claim in seconds: -1, 0, 1; exact. */
static enum rego_outcome compare_time(struct rego_call *call, const struct constraints *c,
                                      value claim, const char *name, int *order)
{
    if (value_kind(claim) != VALUE_KIND_NUMBER)
        return rego_call_error(call, "%s value must be a number", name);
    value ns = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st =
        number_mul(rego_call_arena(call), claim, value_small_int(1000000000), &ns, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    *order = number_compare(c->time, ns);
    return REGO_VALUE;
}

static enum rego_outcome check_claims(struct rego_call *call, value claims,
                                      const struct constraints *c, bool *ok)
{
    value iss = value_get_lit(claims, "iss");
    value aud = value_get_lit(claims, "aud");
    value exp = value_get_lit(claims, "exp");
    value nbf = value_get_lit(claims, "nbf");
    *ok = false;
    if (c->iss.len > 0 && !(value_is_string(iss) && str_equal(value_str(iss), c->iss)))
        return REGO_VALUE;
    if (value_is_defined(aud) ? !audience_fits(aud, c->aud) : c->aud.len > 0)
        return REGO_VALUE;
    int order = 0;
    if (value_is_defined(exp)) {
        enum rego_outcome o = compare_time(call, c, exp, "exp", &order);
        if (o != REGO_VALUE || order >= 0) /* RFC 7519, 4.1.4: refused at the expiry time, too */
            return o;
    }
    if (value_is_defined(nbf)) {
        enum rego_outcome o = compare_time(call, c, nbf, "nbf", &order);
        if (o != REGO_VALUE || order < 0)
            return o;
    }
    *ok = true;
    return REGO_VALUE;
}

static enum rego_outcome give_verdict(struct rego_call *call, bool ok, value header, value claims,
                                      value *out)
{
    struct arena *a = rego_call_arena(call);
    value none = VALUE_EMPTY_OBJECT(a);
    const value parts[] = {value_bool(ok), ok ? header : none, ok ? claims : none};
    return give(call, value_array(a, parts, 3), out);
}

enum rego_outcome builtin_io_jwt_decode_verify(struct rego_call *call, const value *args,
                                               value *out)
{
    if (!arg_kind(call, args, 2, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    CLEANUP(constraints_done) struct constraints c = {.time = VALUE_UNDEFINED};
    enum rego_outcome o = read_constraints(call, args[1], &c);
    if (o != REGO_VALUE)
        return o;

    value text = args[0];
    struct token t;
    struct str payload = STR_EMPTY;
    bool ok = false;
    for (unsigned depth = 0;; depth++) {
        if (depth == NESTING_MAX)
            return rego_call_error(call, "tokens nest deeper than %d", NESTING_MAX);
        o = split_token(call, text, &t);
        if (o == REGO_VALUE)
            o = check_token(call, &t, &c, &ok);
        if (o != REGO_VALUE)
            return o;
        if (!ok)
            return give_verdict(call, false, VALUE_NULL, VALUE_NULL, out);
        o = decode_part(call, t.parts[1], "JWT payload had invalid encoding: ", &payload);
        if (o != REGO_VALUE)
            return o;
        if (t.cty.len != 3 || strncasecmp(t.cty.ptr, "JWT", 3) != 0)
            break;
        text = value_string(rego_call_arena(call), payload);
        if (!value_is_defined(text))
            return give(call, text, out);
    }

    value claims = VALUE_UNDEFINED;
    o = parse_object(call, payload, "", &claims);
    if (o == REGO_VALUE)
        o = check_claims(call, claims, &c, &ok);
    return o == REGO_VALUE ? give_verdict(call, ok, t.header, claims, out) : o;
}

/* ---- signing ---- */

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
    if (!fits(alg->family, pubkey_kind(privkey_public(key))))
        return rego_call_error(call, "key is not of the kind that %s needs", alg->name);
    st = privkey_sign(key, sig_alg_of(alg->family), alg->digest, input, out, &err);
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
    const struct algorithm *alg = find_algorithm(value_str(name));
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
