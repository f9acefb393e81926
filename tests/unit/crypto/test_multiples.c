/*
 * Verification by multiples of the key says what OpenSSL's own says: for signatures whose u1
 * and u2 were chosen (r = x(u1 G + u2 Q), s = r / u2, e = u1 s), where additions meet equal,
 * opposite and missing points, where x is above the order, and for altered ones.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/multiples.h"
#include "tap.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

#define WIDTH 48

/* OpenSSL's allocations by this program's malloc(), which can be made to fail. */
static void *mem_new(size_t size, const char *file, int line)
{
    return malloc(size);
}

static void *mem_resize(void *p, size_t size, const char *file, int line)
{
    return realloc(p, size);
}

static void mem_free(void *p, const char *file, int line)
{
    free(p);
}

static EC_GROUP *group;
static const BIGNUM *order;
static BN_CTX *ctx;

struct signature {
    uint8_t digest[WIDTH];
    uint8_t raw[2 * WIDTH];
};

static bool openssl_says(const struct pubkey *k, const struct signature *sig)
{
    ECDSA_SIG *parts = ECDSA_SIG_new();
    ECDSA_SIG_set0(parts, BN_bin2bn(sig->raw, WIDTH, NULL),
                   BN_bin2bn(sig->raw + WIDTH, WIDTH, NULL));
    unsigned char *der = NULL;
    int len = i2d_ECDSA_SIG(parts, &der);
    CLEANUP(evp_pkey_ctx_cleanup)
    EVP_PKEY_CTX *pctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    bool good = EVP_PKEY_verify_init(pctx) == 1 &&
                EVP_PKEY_verify(pctx, der, (size_t)len, sig->digest, sizeof(sig->digest)) == 1;
    OPENSSL_free(der);
    ECDSA_SIG_free(parts);
    return good;
}

static bool we_say(const struct multiples *m, const struct signature *sig)
{
    enum multiples_verdict verdict =
        multiples_verify(m, str_bytes(sig->digest, sizeof(sig->digest)), sig->raw);
    CHECK(verdict != MULTIPLES_UNABLE);
    return verdict == MULTIPLES_GOOD;
}

/* The key of a point, read as a key of evidence is. */
static struct pubkey *key_of(const EC_POINT *q)
{
    uint8_t raw[1 + 2 * WIDTH];
    CHECK(EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, raw, sizeof(raw), ctx) ==
          sizeof(raw));
    struct pubkey *k = NULL;
    CHECK(pubkey_from_ec(KEY_EC_P384, str_bytes(raw + 1, WIDTH), str_bytes(raw + 1 + WIDTH, WIDTH),
                         &k, NULL) == OK);
    return k;
}

/* False where no signature has these: u2 is 0, or the sum is infinity. */
static bool make_signature(const EC_POINT *q, const BIGNUM *u1, const BIGNUM *u2,
                           struct signature *out)
{
    BIGNUM *r = BN_new(), *s = BN_new(), *e = BN_new();
    EC_POINT *sum = EC_POINT_new(group);
    bool made = !BN_is_zero(u2) && EC_POINT_mul(group, sum, u1, q, u2, ctx) == 1 &&
                !EC_POINT_is_at_infinity(group, sum);
    if (made) {
        EC_POINT_get_affine_coordinates(group, sum, r, NULL, ctx);
        BN_nnmod(r, r, order, ctx);
        BN_mod_inverse(s, u2, order, ctx);
        BN_mod_mul(s, s, r, order, ctx);
        BN_mod_mul(e, u1, s, order, ctx);
        BN_bn2binpad(e, out->digest, WIDTH);
        BN_bn2binpad(r, out->raw, WIDTH);
        BN_bn2binpad(s, out->raw + WIDTH, WIDTH);
    }
    EC_POINT_free(sum);
    BN_free(r);
    BN_free(s);
    BN_free(e);
    return made;
}

static const char *const scalar_texts[] = {
    "0",
    "1",
    "2",
    "3",
    "FF",
    "FFFFFFFFFFFF",
    "1000000000000",
    "1000000000001",
    /* 2^383, 2^383 - 1, 2^336, the upper parts full, all parts 1, every other part full */
    "80000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000",
    "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "FFFF",
    "1000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000000000000000000000000000000000000000000"
    "00",
    "00000000000100000000000100000000000100000000000100000000000100000000000100000000000100000000"
    "0001",
    "FFFFFFFFFFFF000000000000FFFFFFFFFFFF000000000000FFFFFFFFFFFF000000000000FFFFFFFFFFFF00000000"
    "0000",
};

/* Each of them modulo the order, and the order less each. */
#define SCALARS (2 * ARRAY_LEN(scalar_texts))
static BIGNUM *scalars[SCALARS];

static void make_scalars(void)
{
    for (size_t i = 0; i < SCALARS; i++) {
        BN_hex2bn(&scalars[i], scalar_texts[i / 2]);
        BN_nnmod(scalars[i], scalars[i], order, ctx);
        if (i % 2 == 1)
            BN_mod_sub(scalars[i], order, scalars[i], order, ctx);
    }
}

/* The key is d times the generator; NULL at the end. */
static BIGNUM *chosen_key(size_t i)
{
    static const char *const numbers[] = {"1", "2", "3", "1000000000000"};
    BIGNUM *d = NULL;
    if (i < ARRAY_LEN(numbers)) {
        BN_hex2bn(&d, numbers[i]);
    } else if (i == ARRAY_LEN(numbers)) {
        d = BN_new();
        BN_sub(d, order, BN_value_one());
    } else if (i == ARRAY_LEN(numbers) + 1) {
        BN_hex2bn(&d, "1000000000000");
        BN_mod_inverse(d, d, order, ctx);
    } else if (i < ARRAY_LEN(numbers) + 4) {
        d = BN_new();
        BN_rand_range(d, order);
    }
    return d;
}

static void check_altered(const struct pubkey *k, const struct multiples *m,
                          const struct signature *good, size_t bit)
{
    struct signature bad = *good;
    bit %= 8 * sizeof(bad);
    ((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    CHECK(!we_say(m, &bad));
    CHECK(!openssl_says(k, &bad));
}

/* All pairs of chosen scalars with one key; one in three, or in seven where OpenSSL is asked, too.
 */
static size_t check_chosen(const EC_POINT *q, size_t from)
{
    CLEANUP(pubkey_cleanup) struct pubkey *k = key_of(q);
    struct multiples *m = multiples_make(k);
    CHECK(m != NULL);
    size_t good = 0, n = from;
    bool right = true, same = true;
    for (size_t a = 0; a < SCALARS; a++)
        for (size_t b = 0; b < SCALARS; b++) {
            struct signature sig;
            if (n++ % 3 != 0 || !make_signature(q, scalars[a], scalars[b], &sig))
                continue;
            right = right && we_say(m, &sig);
            if (good++ % 7 == 0) {
                same = same && openssl_says(k, &sig);
                check_altered(k, m, &sig, 61 * n);
            }
        }
    CHECK(right);
    CHECK(same);
    multiples_free(m);
    return good;
}

static void test_chosen(void)
{
    size_t good = 0;
    EC_POINT *q = EC_POINT_new(group);
    for (size_t i = 0;; i++) {
        BIGNUM *d = chosen_key(i);
        if (d == NULL)
            break;
        EC_POINT_mul(group, q, d, NULL, NULL, ctx);
        good += check_chosen(q, i);
        BN_free(d);
    }
    EC_POINT_free(q);
    CHECK(good > 1500);
}

/* u1 G = -u2 Q: e = -d r.  No signature, whatever r and s. */
static void test_infinity(void)
{
    BIGNUM *d = BN_new(), *r = BN_new(), *e = BN_new();
    EC_POINT *q = EC_POINT_new(group);
    BN_rand_range(d, order);
    EC_POINT_mul(group, q, d, NULL, NULL, ctx);
    CLEANUP(pubkey_cleanup) struct pubkey *k = key_of(q);
    struct multiples *m = multiples_make(k);
    for (int i = 0; i < 20; i++) {
        struct signature sig = {.raw[2 * WIDTH - 1] = 1};
        if (i == 0)
            BN_one(r);
        else
            BN_rand_range(r, order);
        BN_mod_mul(e, d, r, order, ctx);
        BN_sub(e, order, e);
        BN_bn2binpad(e, sig.digest, WIDTH);
        BN_bn2binpad(r, sig.raw, WIDTH);
        CHECK(!we_say(m, &sig));
        CHECK(!openssl_says(k, &sig));
    }
    multiples_free(m);
    EC_POINT_free(q);
    BN_free(d);
    BN_free(r);
    BN_free(e);
}

/* The point of the next x from `x` on that has one. */
static void next_point(BIGNUM *x, EC_POINT *out)
{
    do
        BN_add_word(x, 1);
    while (EC_POINT_set_compressed_coordinates(group, out, x, 0, ctx) != 1);
    ERR_clear_error();
}

/* For the point of x and an r of one's own: Q = (s R - e G) / r, with any s and e. */
static struct pubkey *key_for(const EC_POINT *point, const BIGNUM *r, struct signature *sig)
{
    BIGNUM *s = BN_new(), *e = BN_new(), *inv = BN_new();
    EC_POINT *q = EC_POINT_new(group);
    BN_rand_range(s, order);
    BN_rand_range(e, order);
    BN_bn2binpad(e, sig->digest, WIDTH);
    BN_bn2binpad(r, sig->raw, WIDTH);
    BN_bn2binpad(s, sig->raw + WIDTH, WIDTH);
    BN_mod_inverse(inv, r, order, ctx);
    BN_mod_mul(s, s, inv, order, ctx);
    BN_mod_mul(e, e, inv, order, ctx);
    BN_sub(e, order, e);
    EC_POINT_mul(group, q, e, point, s, ctx);
    struct pubkey *k = key_of(q);
    EC_POINT_free(q);
    BN_free(s);
    BN_free(e);
    BN_free(inv);
    return k;
}

static void check_both(const struct pubkey *k, const struct signature *sig, bool good)
{
    struct multiples *m = multiples_make(k);
    CHECK(we_say(m, sig) == good);
    CHECK(openssl_says(k, sig) == good);
    multiples_free(m);
}

/* R has an x above the order, and r is what is above it. */
static void test_x_above_order(void)
{
    BIGNUM *x = BN_dup(order), *r = BN_new();
    EC_POINT *point = EC_POINT_new(group);
    for (int i = 0; i < 10; i++) {
        next_point(x, point);
        BN_sub(r, x, order);
        struct signature sig;
        CLEANUP(pubkey_cleanup) struct pubkey *k = key_for(point, r, &sig);
        check_both(k, &sig, true);
        /* Not reduced. */
        BN_bn2binpad(x, sig.raw, WIDTH);
        check_both(k, &sig, false);
    }
    EC_POINT_free(point);
    BN_free(x);
    BN_free(r);
}

/* r + n is x modulo the prime, but above it: no coordinate. */
static void test_x_beyond_prime(void)
{
    BIGNUM *x = BN_new(), *r = BN_new(), *prime = BN_new();
    EC_POINT *point = EC_POINT_new(group);
    EC_GROUP_get_curve(group, prime, NULL, NULL, ctx);
    BN_zero(x);
    for (int i = 0; i < 10; i++) {
        next_point(x, point);
        BN_sub(r, prime, order);
        BN_add(r, r, x);
        struct signature sig;
        CLEANUP(pubkey_cleanup) struct pubkey *k = key_for(point, r, &sig);
        check_both(k, &sig, false);
    }
    EC_POINT_free(point);
    BN_free(x);
    BN_free(r);
    BN_free(prime);
}

static void test_out_of_range(void)
{
    BIGNUM *two = BN_new(), *up = BN_new();
    BN_set_word(two, 2);
    EC_POINT *q = EC_POINT_new(group);
    EC_POINT_mul(group, q, two, NULL, NULL, ctx);
    CLEANUP(pubkey_cleanup) struct pubkey *k = key_of(q);
    struct multiples *m = multiples_make(k);
    struct signature good;
    CHECK(make_signature(q, two, two, &good) && we_say(m, &good));
    for (size_t part = 0; part < 2; part++) {
        struct signature sig = good;
        memset(sig.raw + part * WIDTH, 0, WIDTH);
        CHECK(!we_say(m, &sig));
        BN_bn2binpad(order, sig.raw + part * WIDTH, WIDTH);
        CHECK(!we_say(m, &sig));
        memset(sig.raw + part * WIDTH, 0xff, WIDTH);
        CHECK(!we_say(m, &sig));
        CHECK(!openssl_says(k, &sig));
    }

    /* With nothing to add up there is no x either. */
    struct signature nothing = {.raw[2 * WIDTH - 1] = 1};
    CHECK(!we_say(m, &nothing));
    CHECK(!openssl_says(k, &nothing));

    /* A digest of the order and more counts modulo the order; of a longer one, the beginning. */
    BN_add(up, order, BN_value_one());
    struct signature one;
    CHECK(make_signature(q, BN_value_one(), two, &one));
    BIGNUM *r = BN_bin2bn(one.raw, WIDTH, NULL), *s = BN_new();
    BN_mod_inverse(s, two, order, ctx);
    BN_mod_mul(s, s, r, order, ctx);
    BN_mod_inverse(up, s, order, ctx); /* u1 of e = 1 */
    if (make_signature(q, up, BN_value_one(), &one)) {
        CHECK(we_say(m, &one) && openssl_says(k, &one));
        BIGNUM *e = BN_bin2bn(one.digest, WIDTH, NULL);
        BN_add(e, e, order);
        if (BN_bn2binpad(e, one.digest, WIDTH) == WIDTH) {
            CHECK(we_say(m, &one));
            CHECK(openssl_says(k, &one));
        }
        BN_free(e);
    }
    uint8_t longer[64] = {0};
    memcpy(longer, good.digest, WIDTH);
    memset(longer + WIDTH, 0xa5, sizeof(longer) - WIDTH);
    CHECK(multiples_verify(m, str_bytes(longer, sizeof(longer)), good.raw) == MULTIPLES_GOOD);
    multiples_free(m);
    EC_POINT_free(q);
    BN_free(two);
    BN_free(up);
    BN_free(r);
    BN_free(s);
}

/* ---- memory ---- */

/* Without memory nothing is decided, and what is decided is right. */
static void test_no_memory(void)
{
    CLEANUP(privkey_cleanup) struct privkey *signer = NULL;
    CHECK(privkey_generate(KEY_EC_P384, 0, &signer, NULL) == OK);
    const struct pubkey *k = privkey_public(signer);
    struct multiples *m = NULL;
    long n = 1;
    for (; m == NULL && n < 2000; n++) {
        tap_fail_malloc_after(n);
        m = multiples_make(k);
        tap_fail_malloc_after(0);
    }
    CHECK(m != NULL);
    CHECK(n > 20 || !tap_malloc_can_fail());

    CLEANUP(buf_done) struct buf raw;
    buf_init(&raw, 1024);
    struct digest d;
    digest_compute(DIGEST_SHA384, STR("m"), &d);
    CHECK(privkey_sign(signer, SIG_ECDSA_RAW, DIGEST_SHA384, STR("m"), &raw, NULL) == OK);
    for (int good = 0; good < 2; good++) {
        d.bytes[0] ^= 1;
        raw.ptr[0] ^= (char)(good == 0);
        if (good == 1)
            digest_compute(DIGEST_SHA384, STR("m"), &d);
        const enum multiples_verdict right = good == 1 ? MULTIPLES_GOOD : MULTIPLES_BAD;
        enum multiples_verdict verdict = MULTIPLES_UNABLE;
        for (n = 1; verdict == MULTIPLES_UNABLE && n < 2000; n++) {
            tap_fail_malloc_after(n);
            verdict = multiples_verify(m, digest_str(&d), str_u8(buf_str(&raw)));
            tap_fail_malloc_after(0);
        }
        CHECK(verdict == right);
        CHECK(n > 20 || !tap_malloc_can_fail());
        raw.ptr[0] ^= (char)(good == 0);
    }
    multiples_free(m);
}

/* Of one process so many, and again when some were given back. */
static void test_bound(void)
{
    CLEANUP(privkey_cleanup) struct privkey *p384 = NULL;
    CHECK(privkey_generate(KEY_EC_P384, 0, &p384, NULL) == OK);
    static struct multiples *all[MULTIPLES_MAX];
    bool made = true;
    for (size_t i = 0; i < MULTIPLES_MAX; i++)
        made = (all[i] = multiples_make(privkey_public(p384))) != NULL && made;
    CHECK(made);
    CHECK(multiples_make(privkey_public(p384)) == NULL);
    all[0] = multiples_free(all[0]);
    all[0] = multiples_make(privkey_public(p384));
    CHECK(all[0] != NULL);
    for (size_t i = 0; i < MULTIPLES_MAX; i++)
        multiples_free(all[i]);
}

/* ---- through pubkey_verify(): which of a key's verifications makes them, and threads ---- */

struct shared_key {
    struct pubkey *k;
    struct str signature;
};

static void *verify_often(void *arg)
{
    const struct shared_key *shared = arg;
    bool right = true;
    for (int i = 0; i < 20; i++) {
        right = right && pubkey_verify(shared->k, SIG_ECDSA_RAW, DIGEST_SHA384, STR("m"),
                                       shared->signature, NULL) == OK;
        right = right && pubkey_verify(shared->k, SIG_ECDSA_RAW, DIGEST_SHA384, STR("n"),
                                       shared->signature, NULL) == ERR_DENIED;
        right = right && pubkey_verify(shared->k, SIG_ECDSA_RAW, DIGEST_SHA512, STR("m"),
                                       shared->signature, NULL) == ERR_DENIED;
    }
    return right ? arg : NULL;
}

static void test_pubkey(void)
{
    CLEANUP(privkey_cleanup) struct privkey *signer = NULL;
    CLEANUP(buf_done) struct buf text, sig;
    buf_init(&text, 8192);
    buf_init(&sig, 1024);
    CHECK(privkey_generate(KEY_EC_P384, 0, &signer, NULL) == OK);
    CHECK(privkey_sign(signer, SIG_ECDSA_RAW, DIGEST_SHA384, STR("m"), &sig, NULL) == OK);
    CHECK(pubkey_to_pem(privkey_public(signer), &text) == OK);
    CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
    CHECK(pubkey_from_pem(buf_str(&text), &k, NULL) == OK);
    CHECK(pubkey_verify(k, SIG_ECDSA_RAW, DIGEST_SHA384, STR("m"), buf_str(&sig), NULL) == OK);
    CHECK(k->multiples == NULL);

    struct shared_key shared = {k, buf_str(&sig)};
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, verify_often, &shared) == 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *right = NULL;
        CHECK(pthread_join(threads[i], &right) == 0);
        CHECK(right != NULL);
    }
    CHECK(k->multiples != NULL);

    /* Digests that are shorter and longer than the order. */
    static const enum digest_alg others[] = {DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        buf_reset(&sig);
        CHECK(privkey_sign(signer, SIG_ECDSA_RAW, others[i], STR("m"), &sig, NULL) == OK);
        CHECK(pubkey_verify(k, SIG_ECDSA_RAW, others[i], STR("m"), buf_str(&sig), NULL) == OK);
    }
}

int main(void)
{
    CHECK(CRYPTO_set_mem_functions(mem_new, mem_resize, mem_free) == 1);
    ctx = BN_CTX_new();
    group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    order = EC_GROUP_get0_order(group);
    make_scalars();

    CLEANUP(privkey_cleanup) struct privkey *p256 = NULL, *p384 = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &p256, NULL) == OK);
    CHECK(multiples_make(privkey_public(p256)) == NULL);

    CHECK(privkey_generate(KEY_EC_P384, 0, &p384, NULL) == OK);
    struct multiples *any = multiples_make(privkey_public(p384));
    if (any == NULL && OpenSSL_version_num() >= 0x30200000L) {
        tap_skip("openssl-3.2", "its P-384 needs no multiples");
    } else {
        CHECK(any != NULL);
        any = multiples_free(any);
        test_chosen();
        test_infinity();
        test_x_above_order();
        test_x_beyond_prime();
        test_out_of_range();
        test_no_memory();
        test_bound();
        test_pubkey();
    }
    multiples_free(any);
    for (size_t i = 0; i < SCALARS; i++)
        BN_free(scalars[i]);
    EC_GROUP_free(group);
    BN_CTX_free(ctx);
    return tap_done();
}
