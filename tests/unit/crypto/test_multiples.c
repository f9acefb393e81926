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

#define WIDTH 48

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

/* R has an x of the order and more, r is what is above it: Q = (s R - e G) / r. */
static void test_x_above_order(void)
{
    BIGNUM *x = BN_dup(order), *r = BN_new(), *s = BN_new(), *e = BN_new(), *inv = BN_new();
    EC_POINT *point = EC_POINT_new(group), *q = EC_POINT_new(group);
    int met = 0;
    for (int i = 1; met < 10; i++) {
        BN_add_word(x, 1);
        if (EC_POINT_set_compressed_coordinates(group, point, x, i & 1, ctx) != 1)
            continue;
        BN_set_word(r, (BN_ULONG)i);
        BN_rand_range(s, order);
        BN_rand_range(e, order);
        struct signature sig;
        BN_bn2binpad(e, sig.digest, WIDTH);
        BN_bn2binpad(r, sig.raw, WIDTH);
        BN_bn2binpad(s, sig.raw + WIDTH, WIDTH);
        BN_mod_inverse(inv, r, order, ctx);
        BN_mod_mul(s, s, inv, order, ctx);
        BN_mod_mul(e, e, inv, order, ctx);
        BN_sub(e, order, e);
        EC_POINT_mul(group, q, e, point, s, ctx);

        CLEANUP(pubkey_cleanup) struct pubkey *k = key_of(q);
        struct multiples *m = multiples_make(k);
        CHECK(we_say(m, &sig));
        CHECK(openssl_says(k, &sig));
        check_altered(k, m, &sig, (size_t)i * 8 + 1);
        multiples_free(m);
        met++;
    }
    ERR_clear_error();
    EC_POINT_free(point);
    EC_POINT_free(q);
    BN_free(x);
    BN_free(r);
    BN_free(s);
    BN_free(e);
    BN_free(inv);
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
}

int main(void)
{
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
        test_chosen();
        test_infinity();
        test_x_above_order();
        test_out_of_range();
        test_pubkey();
    }
    multiples_free(any);
    for (size_t i = 0; i < SCALARS; i++)
        BN_free(scalars[i]);
    EC_GROUP_free(group);
    BN_CTX_free(ctx);
    return tap_done();
}
