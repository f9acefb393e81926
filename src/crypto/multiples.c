/* EC_POINTs_mul(3) and the like are deprecated since 3.0, where nothing has replaced them. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/multiples.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdlib.h>

#if OPENSSL_VERSION_NUMBER < 0x30200000L && !defined(OPENSSL_NO_DEPRECATED_3_0)

#define WIDTH 48
#define PARTS 8
#define PART_BITS (WIDTH * 8 / PARTS)

struct multiples {
    EC_POINT *part[PARTS]; /* 2^(48 i) Q, affine */
};

static _Atomic unsigned made; /* and not freed */

/* A place of MULTIPLES_MAX, which multiples_free() gives back. */
static bool take_place(void)
{
    if (atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) < MULTIPLES_MAX)
        return true;
    atomic_fetch_sub_explicit(&made, 1, memory_order_relaxed);
    return false;
}

/* P-384 with OpenSSL's table of multiples of its generator, made for the first key. */
static EC_GROUP *group;
static BIGNUM *prime;
static pthread_once_t group_once = PTHREAD_ONCE_INIT;

static void group_make(void)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(NID_secp384r1);
    BIGNUM *p = BN_new();
    if (g != NULL && p != NULL && EC_GROUP_precompute_mult(g, NULL) == 1 &&
        EC_GROUP_get_curve(g, p, NULL, NULL, NULL) == 1) {
        group = g;
        prime = p;
        return;
    }
    EC_GROUP_free(g);
    BN_free(p);
}

static bool add_next(struct multiples *m, size_t i, BN_CTX *ctx)
{
    m->part[i] = EC_POINT_dup(m->part[i - 1], group);
    if (m->part[i] == NULL)
        return false;
    for (size_t j = 0; j < PART_BITS; j++)
        if (EC_POINT_dbl(group, m->part[i], m->part[i], ctx) != 1)
            return false;
    return true;
}

static bool fill(struct multiples *m, const struct pubkey *k, BN_CTX *ctx)
{
    m->part[0] = EC_POINT_new(group);
    if (m->part[0] == NULL || EC_POINT_oct2point(group, m->part[0], k->raw, k->raw_len, ctx) != 1)
        return false;
    for (size_t i = 1; i < PARTS; i++)
        if (!add_next(m, i, ctx))
            return false;
    return EC_POINTs_make_affine(group, PARTS, m->part, ctx) == 1;
}

struct multiples *multiples_make(const struct pubkey *k)
{
    if (k->kind != KEY_EC_P384 || OpenSSL_version_num() >= 0x30200000L ||
        EVP_default_properties_is_fips_enabled(NULL) == 1 ||
        OSSL_PROVIDER_available(NULL, "fips") == 1)
        return NULL;
    pthread_once(&group_once, group_make);
    if (group == NULL || !take_place())
        return NULL;

    BN_CTX *ctx = BN_CTX_new();
    struct multiples *m = calloc(1, sizeof(*m));
    if (m == NULL)
        atomic_fetch_sub_explicit(&made, 1, memory_order_relaxed);
    else if (ctx == NULL || !fill(m, k, ctx))
        m = multiples_free(m);
    BN_CTX_free(ctx);
    ERR_clear_error();
    return m;
}

struct multiples *multiples_free(struct multiples *m)
{
    if (m == NULL)
        return NULL;
    for (size_t i = 0; i < PARTS; i++)
        EC_POINT_free(m->part[i]);
    free(m);
    atomic_fetch_sub_explicit(&made, 1, memory_order_relaxed);
    return NULL;
}

/* `out` = u1 G + u2 Q. */
static bool add_up(const struct multiples *m, const BIGNUM *u1, const BIGNUM *u2, EC_POINT *out,
                   BN_CTX *ctx)
{
    BIGNUM *scalar[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        scalar[i] = BN_CTX_get(ctx);
        if (scalar[i] == NULL || BN_rshift(scalar[i], u2, (int)i * PART_BITS) != 1)
            return false;
        if (BN_num_bits(scalar[i]) > PART_BITS && BN_mask_bits(scalar[i], PART_BITS) != 1)
            return false;
    }
    return EC_POINTs_mul(group, out, u1, PARTS, (const EC_POINT **)(uintptr_t)m->part,
                         (const BIGNUM **)(uintptr_t)scalar, ctx) == 1;
}

/*
 * Is the x coordinate of `point`, modulo the order, r?  With x = X / Z^2 that is X = r Z^2
 * or X = (r + n) Z^2, which spares the inversion.
 */
static enum multiples_verdict compare_x(const EC_POINT *point, const BIGNUM *r, BN_CTX *ctx)
{
    BIGNUM *x = BN_CTX_get(ctx), *z = BN_CTX_get(ctx), *zz = BN_CTX_get(ctx);
    BIGNUM *candidate = BN_CTX_get(ctx), *product = BN_CTX_get(ctx);
    if (product == NULL || BN_copy(candidate, r) == NULL ||
        EC_POINT_get_Jprojective_coordinates_GFp(group, point, x, NULL, z, ctx) != 1 ||
        BN_mod_sqr(zz, z, prime, ctx) != 1)
        return MULTIPLES_UNABLE;
    while (BN_cmp(candidate, prime) < 0) {
        if (BN_mod_mul(product, candidate, zz, prime, ctx) != 1)
            return MULTIPLES_UNABLE;
        if (BN_cmp(product, x) == 0)
            return MULTIPLES_GOOD;
        if (BN_add(candidate, candidate, EC_GROUP_get0_order(group)) != 1)
            return MULTIPLES_UNABLE;
    }
    return MULTIPLES_BAD;
}

static enum multiples_verdict verify(const struct multiples *m, struct str digest,
                                     const uint8_t *raw, EC_POINT *point, BN_CTX *ctx)
{
    const BIGNUM *n = EC_GROUP_get0_order(group);
    BIGNUM *r = BN_CTX_get(ctx), *s = BN_CTX_get(ctx), *e = BN_CTX_get(ctx);
    BIGNUM *u1 = BN_CTX_get(ctx), *u2 = BN_CTX_get(ctx);
    if (u2 == NULL || BN_bin2bn(raw, WIDTH, r) == NULL || BN_bin2bn(raw + WIDTH, WIDTH, s) == NULL)
        return MULTIPLES_UNABLE;
    if (BN_is_zero(r) || BN_is_zero(s) || BN_cmp(r, n) >= 0 || BN_cmp(s, n) >= 0)
        return MULTIPLES_BAD;

    /* The leftmost bits of the digest, as many as the order has: whole bytes here. */
    if (BN_bin2bn(str_u8(digest), digest.len < WIDTH ? (int)digest.len : WIDTH, e) == NULL ||
        BN_mod_inverse(s, s, n, ctx) == NULL || BN_mod_mul(u1, e, s, n, ctx) != 1 ||
        BN_mod_mul(u2, r, s, n, ctx) != 1 || !add_up(m, u1, u2, point, ctx))
        return MULTIPLES_UNABLE;
    if (EC_POINT_is_at_infinity(group, point))
        return MULTIPLES_BAD;
    return compare_x(point, r, ctx);
}

enum multiples_verdict multiples_verify(const struct multiples *m, struct str digest,
                                        const uint8_t *raw)
{
    enum multiples_verdict verdict = MULTIPLES_UNABLE;
    BN_CTX *ctx = BN_CTX_new();
    EC_POINT *point = EC_POINT_new(group);
    if (ctx != NULL && point != NULL) {
        BN_CTX_start(ctx);
        verdict = verify(m, digest, raw, point, ctx);
        BN_CTX_end(ctx);
    }
    EC_POINT_free(point);
    BN_CTX_free(ctx);
    ERR_clear_error();
    return verdict;
}

#else /* an OpenSSL that needs no help, or was built without these functions */

struct multiples *multiples_make(const struct pubkey *k)
{
    (void)k;
    return NULL;
}

struct multiples *multiples_free(struct multiples *m)
{
    (void)m;
    return NULL;
}

enum multiples_verdict multiples_verify(const struct multiples *m, struct str digest,
                                        const uint8_t *raw)
{
    (void)m, (void)digest, (void)raw;
    return MULTIPLES_UNABLE;
}

#endif
