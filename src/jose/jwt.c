#include "jose/jose_internal.h"

#include <math.h>

#include "base/encode.h"
#include "value/number.h"

/* Room for the decoded certificates of one x5c. */
#define X5C_MEMORY_MAX (4 * CERT_CHAIN_MAX * CERT_DER_MAX)

/* ---- times ---- */

/*
 * A NumericDate (RFC 7519, 2), which may have a fraction; it is cut towards
 * zero.  *found is false when the claim is absent.
 */
static STATUS read_time(value claims, const char *name, int64_t *out, bool *found,
                        struct error *err)
{
    value v = value_get_str(claims, str_of(name));
    *found = value_is_defined(v);
    if (!*found || value_get_int64(v, out))
        return OK;
    if (value_kind(v) != VALUE_KIND_NUMBER) {
        error_set(err, "claim \"%s\" is no number", name);
        return ERR_INVALID;
    }
    double d = number_double(v);
    if (!(fabs(d) < 9e18)) {
        error_set(err, "claim \"%s\" is no time", name);
        return ERR_INVALID;
    }
    *out = (int64_t)d;
    return OK;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

enum status jwt_check_times(value claims, const struct jwt_checks *checks, int64_t now_s,
                            struct error *err)
{
    if (!value_is_object(claims)) {
        error_set(err, "claims of the token are no object");
        return ERR_INVALID;
    }
    int64_t exp = 0, nbf = 0, iat = 0;
    bool has_exp, has_nbf, has_iat;
    enum status st = read_time(claims, "exp", &exp, &has_exp, err);
    if (st == OK)
        st = read_time(claims, "nbf", &nbf, &has_nbf, err);
    if (st == OK)
        st = read_time(claims, "iat", &iat, &has_iat, err);
    if (st != OK)
        return st;

    if (checks->require_exp && !has_exp) {
        error_set(err, "token has no expiry");
        return ERR_DENIED;
    }
    /* kbs.md 5.2 and 6.2: at the last second of the leeway a token is still good. */
    if (has_exp && add_saturated(exp, checks->leeway_s) < now_s) {
        error_set(err, "token has expired");
        return ERR_DENIED;
    }
    int64_t latest = add_saturated(now_s, checks->leeway_s);
    if (checks->check_nbf && has_nbf && nbf > latest) {
        error_set(err, "token is not valid yet");
        return ERR_DENIED;
    }
    if (checks->check_iat && has_iat && iat > latest) {
        error_set(err, "token is from the future");
        return ERR_DENIED;
    }
    return OK;
}

/* ---- x5c ---- */

struct chain {
    struct cert *certs[CERT_CHAIN_MAX];
    size_t n;
};

static void chain_done(struct chain *c)
{
    while (c->n > 0)
        cert_unref(c->certs[--c->n]);
}

/* kbs.md 5.3: line feeds removed, then base64, else base64url. */
static STATUS read_x5c_entry(struct arena *a, value entry, struct cert **out, struct error *err)
{
    struct str text = value_str(entry);
    char *clean = arena_alloc(a, text.len);
    if (clean == NULL)
        return arena_status(a);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\n')
            clean[len++] = text.ptr[i];

    struct str der, trimmed = str_trim(str_bytes(clean, len));
    enum status st = base64_bytes(a, trimmed, BASE64_STD, &der, NULL);
    if (st == ERR_INVALID)
        st = base64_bytes(a, trimmed, BASE64_URL, &der, NULL);
    if (st != OK) {
        error_set(err, "certificate in \"x5c\" is no base64");
        return st;
    }
    return cert_from_der(der, out, err);
}

static STATUS read_x5c(value jwk, struct chain *out, struct error *err)
{
    value x5c = value_get_lit(jwk, "x5c");
    size_t n = value_is_array(x5c) ? value_len(x5c) : 0;
    if (n == 0 || n > CERT_CHAIN_MAX) {
        error_set(err, "key has no \"x5c\" of 1 to %d certificates", CERT_CHAIN_MAX);
        return ERR_DENIED;
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, X5C_MEMORY_MAX);
    while (out->n < n) {
        enum status st = read_x5c_entry(&a, value_at(x5c, out->n), &out->certs[out->n], err);
        if (st != OK)
            return st;
        out->n++;
    }
    return OK;
}

enum status jwk_endorsed(value jwk, const struct pubkey *key, struct cert *const *roots,
                         size_t n_roots, int64_t now_s, struct error *err)
{
    if (pubkey_kind(key) != KEY_RSA && pubkey_kind(key) != KEY_EC_P256) {
        error_set(err, "only RSA and P-256 keys can be endorsed by certificates");
        return ERR_DENIED;
    }
    CLEANUP(chain_done) struct chain chain = {.n = 0};
    enum status st = read_x5c(jwk, &chain, err);
    if (st != OK)
        return st;
    if (!pubkey_equal(cert_pubkey(chain.certs[0]), key)) {
        error_set(err, "first certificate of \"x5c\" is for another key");
        return ERR_DENIED;
    }
    return cert_verify_chain(chain.certs[0], chain.certs + 1, chain.n - 1, roots, n_roots, now_s,
                             err);
}
