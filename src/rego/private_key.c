#include "rego/private_key.h"

#include "base/encode.h"
#include "crypto/crypto.h"
#include "rego/builtins_internal.h"
#include "rego/der.h"
#include "value/number.h"

static const struct {
    const char *oid;
    const char *name;
    enum key_kind kind;
    size_t width;
} curves[] = {
    {"1.2.840.10045.3.1.7", "P-256", KEY_EC_P256, 32},
    {"1.3.132.0.34", "P-384", KEY_EC_P384, 48},
    {"1.3.132.0.35", "P-521", KEY_EC_P521, 66},
};

/* e * d = 1 (mod prime - 1) */
static bool is_inverse(struct arena *a, value product, struct str prime)
{
    value order = VALUE_UNDEFINED;
    value rest = VALUE_UNDEFINED;
    value one = value_uint(a, 1);
    return worked(a, number_sub(a, der_number(a, prime), one, &order, NULL)) &&
           worked(a, number_rem(a, product, order, &rest, NULL)) && value_equal(rest, one);
}

/* Numbers that belong together: with others a signature would give the primes away. */
static bool is_consistent(struct arena *a, const struct private_key *k)
{
    value n = VALUE_UNDEFINED;
    value product = VALUE_UNDEFINED;
    return worked(a, number_mul(a, der_number(a, k->p), der_number(a, k->q), &n, NULL)) &&
           value_equal(n, der_number(a, k->n)) &&
           worked(a, number_mul(a, der_number(a, k->e), der_number(a, k->d), &product, NULL)) &&
           is_inverse(a, product, k->p) && is_inverse(a, product, k->q);
}

/* RFC 8017, A.1.2 */
static bool parse_rsa(struct arena *a, struct str in, struct private_key *k)
{
    struct str seq;
    struct str version;
    *k = (struct private_key){.kind = PRIVATE_RSA};
    struct str *parts[] = {&k->n, &k->e, &k->d, &k->p, &k->q, &k->dp, &k->dq, &k->qi};
    if (!der_take(&in, DER_SEQUENCE, &seq) || in.len != 0 || !der_take_unsigned(&seq, &version))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!der_take_unsigned(&seq, parts[i]) || parts[i]->len > DER_NUMBER_MAX)
            return false;
    return is_consistent(a, k);
}

/* The public point or key, computed from the private number. */
static bool add_public(struct arena *a, struct private_key *k, enum key_kind kind)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    if (!worked(a, privkey_from_raw(kind, k->d, &key, NULL)))
        return false;
    if (kind == KEY_ED25519)
        return worked(a, pubkey_ed25519_raw(privkey_public(key), a, &k->x));
    return worked(a, pubkey_ec_xy(privkey_public(key), a, &k->x, &k->y));
}

/* RFC 5915; the curve is named inside or, in PKCS#8, outside. */
static bool parse_ec(struct arena *a, struct str in, struct str curve_oid, struct private_key *k)
{
    struct str seq;
    struct str version;
    struct str number;
    struct str named;
    *k = (struct private_key){.kind = PRIVATE_EC};
    if (!der_take(&in, DER_SEQUENCE, &seq) || in.len != 0 || !der_take_unsigned(&seq, &version) ||
        version.len != 1 || version.ptr[0] != 1 || !der_take(&seq, DER_OCTETS, &number))
        return false;
    if (der_take(&seq, DER_CONTEXT_CONSTRUCTED(0), &named) &&
        !der_take(&named, DER_OID, &curve_oid))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        size_t width = curves[i].width;
        if (!der_oid_is(curve_oid, curves[i].oid) || number.len > width)
            continue;
        char *d = arena_zalloc(a, 1, width);
        if (d == NULL)
            return false;
        memcpy(d + width - number.len, number.ptr, number.len);
        k->d = str_bytes(d, width);
        k->curve = curves[i].name;
        return add_public(a, k, curves[i].kind);
    }
    return false;
}

/* RFC 5208, RFC 8410 */
static bool parse_pkcs8(struct arena *a, struct str in, struct private_key *k)
{
    struct str seq;
    struct str version;
    struct str algorithm;
    struct str oid;
    struct str key;
    if (!der_take(&in, DER_SEQUENCE, &seq) || in.len != 0 || !der_take_unsigned(&seq, &version) ||
        !der_take(&seq, DER_SEQUENCE, &algorithm) || !der_take(&algorithm, DER_OID, &oid) ||
        !der_take(&seq, DER_OCTETS, &key))
        return false;
    if (der_oid_is(oid, "1.2.840.113549.1.1.1"))
        return parse_rsa(a, key, k);
    struct str curve = STR_EMPTY;
    if (der_oid_is(oid, "1.2.840.10045.2.1"))
        return der_take(&algorithm, DER_OID, &curve) && parse_ec(a, key, curve, k);
    struct str seed;
    if (!der_oid_is(oid, "1.3.101.112") || !der_take(&key, DER_OCTETS, &seed) || seed.len != 32)
        return false;
    *k = (struct private_key){.kind = PRIVATE_ED25519, .d = seed, .curve = "Ed25519"};
    return add_public(a, k, KEY_ED25519);
}

bool private_key_parse(struct arena *a, struct str der, struct private_key *out)
{
    return parse_rsa(a, der, out) || parse_pkcs8(a, der, out) || parse_ec(a, der, STR_EMPTY, out);
}

/* ---- values ---- */

static void put_number(struct value_builder *b, const char *name, struct str bytes)
{
    value_builder_put_str(b, name, der_number(b->arena, bytes));
}

static value rsa_value(struct arena *a, const struct private_key *k)
{
    const value primes[] = {der_number(a, k->p), der_number(a, k->q)};
    struct value_builder computed;
    value_builder_init(&computed, a, 4);
    put_number(&computed, "Dp", k->dp);
    put_number(&computed, "Dq", k->dq);
    put_number(&computed, "Qinv", k->qi);
    value_builder_put_str(&computed, "CRTValues", VALUE_EMPTY_ARRAY(a));
    struct value_builder b;
    value_builder_init(&b, a, 5);
    put_number(&b, "N", k->n);
    put_number(&b, "E", k->e);
    put_number(&b, "D", k->d);
    value_builder_put_str(&b, "Primes", value_array(a, primes, 2));
    value_builder_put_str(&b, "Precomputed", value_object_finish(&computed, VALUE_DUP_LAST, NULL));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

value private_key_value(struct arena *a, const struct private_key *k)
{
    if (k->kind == PRIVATE_RSA)
        return rsa_value(a, k);
    if (k->kind == PRIVATE_ED25519) {
        char both[64];
        memcpy(both, k->d.ptr, 32);
        memcpy(both + 32, k->x.ptr, 32);
        return der_base64(a, str_bytes(both, sizeof(both)));
    }
    struct value_builder b;
    value_builder_init(&b, a, 4);
    value_builder_put_str(&b, "Curve", VALUE_EMPTY_OBJECT(a));
    put_number(&b, "X", k->x);
    put_number(&b, "Y", k->y);
    put_number(&b, "D", k->d);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static void put_base64url(struct value_builder *b, const char *name, struct str bytes)
{
    struct str text = base64_text(b->arena, bytes, BASE64_URL);
    value_builder_put_str(b, name,
                          text.ptr == NULL ? VALUE_UNDEFINED : value_string(b->arena, text));
}

value private_key_jwk(struct arena *a, const struct private_key *k)
{
    struct value_builder b;
    value_builder_init(&b, a, 9);
    if (k->kind == PRIVATE_RSA) {
        const struct {
            const char *name;
            struct str bytes;
        } members[] = {{"n", k->n}, {"e", k->e},   {"d", k->d},   {"p", k->p},
                       {"q", k->q}, {"dp", k->dp}, {"dq", k->dq}, {"qi", k->qi}};
        value_builder_put_str(&b, "kty", value_cstring(a, "RSA"));
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            put_base64url(&b, members[i].name, members[i].bytes);
        return value_object_finish(&b, VALUE_DUP_LAST, NULL);
    }
    value_builder_put_str(&b, "kty", value_cstring(a, k->kind == PRIVATE_EC ? "EC" : "OKP"));
    value_builder_put_str(&b, "crv", value_cstring(a, k->curve));
    put_base64url(&b, "x", k->x);
    if (k->kind == PRIVATE_EC)
        put_base64url(&b, "y", k->y);
    put_base64url(&b, "d", k->d);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

bool private_key_matches(struct arena *a, const struct private_key *k, value public_key)
{
    if (k->kind == PRIVATE_ED25519)
        return value_equal(public_key, der_base64(a, k->x));
    if (k->kind == PRIVATE_RSA)
        return value_equal(value_get_lit(public_key, "N"), der_number(a, k->n)) &&
               value_equal(value_get_lit(public_key, "E"), der_number(a, k->e));
    return value_equal(value_get_lit(public_key, "X"), der_number(a, k->x)) &&
           value_equal(value_get_lit(public_key, "Y"), der_number(a, k->y));
}
