#include "jose/jose_internal.h"

#define TEE_RSA_BITS_MAX 4096 /* kbs.md 4.4 */
#define TEE_EXPONENT_BITS_MAX 33

const char tee_alg_rsa15[] = "RSA1_5";
const char tee_alg_oaep[] = "RSA-OAEP-256";
const char tee_alg_ecdh[] = "ECDH-ES+A256KW";

/* kbs.md 3.7: all members are strings, and required. */
static const struct form {
    const char *kty;
    const char *members[5]; /* up to NULL */
} forms[] = {
    {"RSA", {"alg", "n", "e"}},
    {"EC", {"crv", "alg", "x", "y"}},
    {"AKP", {"alg", "pub"}},
};

static STATUS require_string(value jwk, const char *name, struct str *out, struct error *err)
{
    value v = value_get_str(jwk, str_of(name));
    if (!value_is_string(v)) {
        error_set(err, "TEE key has no member \"%s\", or it is no string", name);
        return ERR_INVALID;
    }
    *out = value_str(v);
    return OK;
}

/* The form of a key that has one of 3.7; nothing is said about its content. */
static STATUS find_form(value jwk, const struct form **out, struct error *err)
{
    if (!value_is_object(jwk)) {
        error_set(err, "TEE key is no object");
        return ERR_INVALID;
    }
    struct str kty, text;
    enum status st = require_string(jwk, "kty", &kty, err);
    if (st != OK)
        return st;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (!str_is(kty, forms[i].kty))
            continue;
        for (const char *const *m = forms[i].members; st == OK && *m != NULL; m++)
            st = require_string(jwk, *m, &text, err);
        *out = &forms[i];
        return st;
    }
    error_set(err, "TEE key is of unknown type \"%s\"", QUOTED(kty));
    return ERR_INVALID;
}

static STATUS unsupported(const char *what, struct str text, struct error *err)
{
    error_set(err, "%s \"%s\" of the TEE key is not supported", what, QUOTED(text));
    return ERR_UNSUPPORTED;
}

static STATUS parse_rsa(value jwk, struct str alg, bool allow_rsa15, struct tee_key *out,
                        struct error *err)
{
    /*
     * HARDEN kbs-6: RSA1_5 is open to padding oracles on the guest's side;
     * only guests up to v0.11 need it.
     */
    if (str_is(alg, tee_alg_oaep))
        out->alg = tee_alg_oaep;
    else if (str_is(alg, tee_alg_rsa15) && allow_rsa15)
        out->alg = tee_alg_rsa15;
    else
        return unsupported("algorithm", alg, err);
    return jwk_read_rsa(jwk, TEE_RSA_BITS_MAX, TEE_EXPONENT_BITS_MAX, &out->key, err);
}

static STATUS parse_ec(value jwk, struct str alg, struct tee_key *out, struct error *err)
{
    if (!str_is(alg, tee_alg_ecdh))
        return unsupported("algorithm", alg, err);
    struct str crv = value_str(value_get_lit(jwk, "crv"));
    enum key_kind kind = jwk_curve_kind(crv);
    if (kind != KEY_EC_P256 && kind != KEY_EC_P521)
        return unsupported("curve", crv, err);
    out->alg = tee_alg_ecdh;
    /*
     * No padding here: a coordinate that lost its zero byte got a wrong digit
     * at its end as well (kbs.md 3.7), so there is nothing to repair.
     */
    return jwk_read_ec(jwk, kind, false, &out->key, err);
}

enum status tee_key_parse(value jwk, bool allow_rsa15, struct tee_key *out, struct error *err)
{
    const struct form *form;
    enum status st = find_form(jwk, &form, err);
    if (st != OK)
        return st;

    struct tee_key k = {NULL, NULL};
    struct str alg = value_str(value_get_lit(jwk, "alg"));
    if (strcmp(form->kty, "RSA") == 0)
        st = parse_rsa(jwk, alg, allow_rsa15, &k, err);
    else if (strcmp(form->kty, "EC") == 0)
        st = parse_ec(jwk, alg, &k, err);
    else
        st = unsupported("algorithm", alg, err);
    if (st == OK)
        *out = k;
    /* A well-formed key with which nothing can be done: upstream's JweError, not a parse error. */
    return st == ERR_INVALID || st == ERR_LIMIT ? ERR_UNSUPPORTED : st;
}

void tee_key_done(struct tee_key *k)
{
    k->key = pubkey_unref(k->key);
}

/* ---- the hashed form ---- */

enum status tee_key_members(struct arena *a, value jwk, value *out, struct error *err)
{
    const struct form *form;
    enum status st = find_form(jwk, &form, err);
    if (st != OK)
        return st;
    struct value_builder b;
    value_builder_init(&b, a, 5);
    value_builder_put_str(&b, "kty", value_get_lit(jwk, "kty"));
    for (const char *const *m = form->members; *m != NULL; m++)
        value_builder_put_str(&b, *m, value_get_str(jwk, str_of(*m)));
    value v = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    if (!value_is_defined(v))
        return arena_status(a);
    *out = v;
    return OK;
}
