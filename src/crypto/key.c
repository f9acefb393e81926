#include "crypto/crypto_internal.h"
#include "crypto/multiples.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define RSA_BITS_MIN 2048        /* NIST SP 800-131A */
#define RSA_BITS_MIN_RAW 1024    /* of numbers that a caller judges himself */
#define RSA_BITS_MAX 16384       /* OpenSSL's own limit; 60 ms a verification */
#define RSA_EXPONENT_BITS_MAX 64 /* a longer one makes verification as slow as signing */
#define KEY_TEXT_MAX (64 * 1024)

static const struct curve curves[] = {
    {KEY_EC_P256, "prime256v1", 32, 256},
    {KEY_EC_P384, "secp384r1", 48, 384},
    {KEY_EC_P521, "secp521r1", 66, 521},
    {KEY_SM2, "SM2", 32, 256},
};

const struct curve *curve_of(enum key_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (curves[i].kind == kind)
            return &curves[i];
    return NULL;
}

static inline void bn_cleanup(BIGNUM **p)
{
    BN_clear_free(*p);
}

/*
 * What was made for a key's coordinates takes those of the next key: making it anew costs
 * more than checking that they are on the curve.
 */
static _Atomic(EVP_PKEY *) spare[KEY_EC_P521 + 1];

static void spare_give(enum key_kind kind, EVP_PKEY *pkey)
{
    EVP_PKEY_free(atomic_exchange_explicit(&spare[kind], pkey, memory_order_acq_rel));
}

static EVP_PKEY *spare_take(enum key_kind kind)
{
    return atomic_exchange_explicit(&spare[kind], NULL, memory_order_acq_rel);
}

/* ---- counting ---- */

struct pubkey *pubkey_ref(struct pubkey *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

struct pubkey *pubkey_unref(struct pubkey *k)
{
    if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    EVP_PKEY_CTX_free(idle_take(&k->verifier));
    multiples_free(atomic_load_explicit(&k->multiples, memory_order_acquire));
    if (k->from_point)
        spare_give(k->kind, k->pkey);
    else
        EVP_PKEY_free(k->pkey);
    free(k);
    return NULL;
}

struct privkey *privkey_ref(struct privkey *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

struct privkey *privkey_unref(struct privkey *k)
{
    if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    EVP_PKEY_CTX_free(idle_take(&k->signer));
    pubkey_unref(k->pub);
    bytes_wipe(k->reject_key, sizeof(k->reject_key));
    free(k);
    return NULL;
}

struct pubkey *privkey_public(const struct privkey *k)
{
    return k->pub;
}

enum key_kind pubkey_kind(const struct pubkey *k)
{
    return k->kind;
}

unsigned pubkey_bits(const struct pubkey *k)
{
    return k->bits;
}

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->bits != b->bits || a->raw_len != b->raw_len)
        return false;
    if (a->raw_len > 0)
        return memcmp(a->raw, b->raw, a->raw_len) == 0;
    bool equal = EVP_PKEY_eq(a->pkey, b->pkey) == 1;
    ERR_clear_error();
    return equal;
}

/* ---- what kind of key it is ---- */

static const struct curve *curve_by_pkey(const EVP_PKEY *pkey)
{
    /*
     * A curve given by its parameters is refused even where they are those of
     * a named one: comparing them was wrong too often (CVE-2020-0601).
     */
    int is_explicit = 0;
    if (EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &is_explicit) == 1 &&
        is_explicit != 0)
        return NULL;

    char name[64];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), &len) != 1)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (strcmp(name, curves[i].name) == 0)
            return &curves[i];
    return NULL;
}

static bool read_coordinate(const EVP_PKEY *pkey, const char *name, uint8_t *out, size_t width)
{
    CLEANUP(bn_cleanup) BIGNUM *n = NULL;
    return EVP_PKEY_get_bn_param(pkey, name, &n) == 1 &&
           BN_bn2binpad(n, out, (int)width) == (int)width;
}

static bool read_point(struct pubkey *k, const struct curve *curve)
{
    size_t want = 1 + 2 * curve->width, len = 0;
    if (EVP_PKEY_get_octet_string_param(k->pkey, OSSL_PKEY_PARAM_PUB_KEY, k->raw, sizeof(k->raw),
                                        &len) == 1 &&
        len == want && k->raw[0] == POINT_CONVERSION_UNCOMPRESSED) {
        k->raw_len = len;
        return true;
    }
    /* A certificate's key was compressed, and is written so again. */
    k->raw[0] = POINT_CONVERSION_UNCOMPRESSED;
    if (!read_coordinate(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, k->raw + 1, curve->width) ||
        !read_coordinate(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, k->raw + 1 + curve->width,
                         curve->width))
        return false;
    k->raw_len = want;
    return true;
}

/* An even or tiny exponent is no RSA key, a huge one an attack on our time. */
static bool exponent_is_sane(const EVP_PKEY *pkey)
{
    CLEANUP(bn_cleanup) BIGNUM *e = NULL;
    return EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
           !BN_is_one(e) && !BN_is_negative(e) && BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;
}

static void classify(struct pubkey *k)
{
    k->kind = KEY_OTHER;
    k->bits = (unsigned)EVP_PKEY_get_bits(k->pkey);
    if (EVP_PKEY_is_a(k->pkey, "RSA")) {
        if (k->bits >= RSA_BITS_MIN_RAW && k->bits <= RSA_BITS_MAX && exponent_is_sane(k->pkey))
            k->kind = KEY_RSA;
    } else if (EVP_PKEY_is_a(k->pkey, "EC") || EVP_PKEY_is_a(k->pkey, "SM2")) {
        const struct curve *curve = curve_by_pkey(k->pkey);
        if (curve != NULL && read_point(k, curve))
            k->kind = curve->kind;
    } else if (EVP_PKEY_is_a(k->pkey, "ED25519")) {
        size_t len = 32;
        if (EVP_PKEY_get_raw_public_key(k->pkey, k->raw, &len) == 1 && len == 32) {
            k->raw_len = len;
            k->kind = KEY_ED25519;
        }
    }
    ERR_clear_error();
}

static STATUS pubkey_alloc(EVP_PKEY *pkey, struct pubkey **out, struct error *err)
{
    struct pubkey *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        EVP_PKEY_free(pkey);
        return error_nomem(err);
    }
    atomic_init(&k->refs, 1);
    k->pkey = pkey;
    *out = k;
    return OK;
}

enum status pubkey_wrap(EVP_PKEY *pkey, struct pubkey **out, struct error *err)
{
    enum status st = pubkey_alloc(pkey, out, err);
    if (st == OK)
        classify(*out);
    return st;
}

/* For keys that come alone, outside of a certificate. */
static STATUS wrap_usable(EVP_PKEY *pkey, unsigned rsa_min, struct pubkey **out, struct error *err)
{
    CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
    enum status st = pubkey_wrap(pkey, &k, err);
    if (st != OK)
        return st;

    if (k->kind == KEY_OTHER) {
        error_set(err, "public key is of a kind, curve or size that is not supported");
        return ERR_UNSUPPORTED;
    }
    if (k->kind == KEY_RSA && k->bits < rsa_min) {
        error_set(err, "RSA key of %u bits is shorter than %u", k->bits, rsa_min);
        return ERR_INVALID;
    }
    *out = TAKE(k);
    return OK;
}

/* ---- public keys, in and out ---- */

enum status pubkey_from_der(struct str der, struct pubkey **out, struct error *err)
{
    if (der.len > KEY_TEXT_MAX) {
        error_set(err, "public key is longer than %d bytes", KEY_TEXT_MAX);
        return ERR_LIMIT;
    }
    const unsigned char *p = str_u8(der);
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)der.len);
    if (pkey == NULL)
        return crypto_failed(ERR_INVALID, err, "public key is no SubjectPublicKeyInfo");
    if (p != str_u8(der) + der.len) {
        EVP_PKEY_free(pkey);
        error_set(err, "public key has bytes after its end");
        return ERR_INVALID;
    }
    return wrap_usable(pkey, RSA_BITS_MIN, out, err);
}

/* The first block of PEM text.  *name and *data are OpenSSL's and to be freed. */
static STATUS pem_read(struct str pem, char **name, unsigned char **data, long *len,
                       struct error *err)
{
    if (pem.len > KEY_TEXT_MAX) {
        error_set(err, "key file is longer than %d bytes", KEY_TEXT_MAX);
        return ERR_LIMIT;
    }
    CLEANUP(bio_cleanup) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL)
        return crypto_failed(ERR_NOMEM, err, "out of memory");

    char *header = NULL;
    if (PEM_read_bio(bio, name, &header, data, len) != 1)
        return crypto_failed(ERR_INVALID, err, "key file has no PEM block");
    bool encrypted = header != NULL && header[0] != '\0';
    OPENSSL_free(header);
    if (encrypted) {
        OPENSSL_free(*name);
        OPENSSL_clear_free(*data, (size_t)*len);
        error_set(err, "key file is encrypted");
        return ERR_UNSUPPORTED;
    }
    return OK;
}

enum status pubkey_from_pem(struct str pem, struct pubkey **out, struct error *err)
{
    char *name = NULL;
    unsigned char *data = NULL;
    long len = 0;
    enum status st = pem_read(pem, &name, &data, &len, err);
    if (st != OK)
        return st;

    struct str der = str_bytes(data, (size_t)len);
    if (strcmp(name, "PUBLIC KEY") == 0) {
        st = pubkey_from_der(der, out, err);
    } else if (strcmp(name, "RSA PUBLIC KEY") == 0) { /* PKCS#1 */
        const unsigned char *p = data;
        EVP_PKEY *pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, len);
        st = pkey == NULL ? crypto_failed(ERR_INVALID, err, "key file has no RSA public key")
                          : wrap_usable(pkey, RSA_BITS_MIN, out, err);
    } else {
        error_set(err, "PEM block \"%s\" is no public key", QUOTED(str_of(name)));
        st = ERR_INVALID;
    }
    OPENSSL_free(name);
    OPENSSL_clear_free(data, (size_t)len);
    ERR_clear_error();
    return st;
}

/* NULL on failure; `type` is OpenSSL's key manager name. */
static EVP_PKEY *pkey_from_params(const char *type, int selection, OSSL_PARAM *params)
{
    CLEANUP(evp_pkey_ctx_cleanup) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, selection, params) != 1)
        return NULL;
    return pkey;
}

enum status pubkey_from_rsa(struct str modulus, struct str exponent, struct pubkey **out,
                            struct error *err)
{
    if (modulus.len > RSA_BITS_MAX / 8 || exponent.len > RSA_EXPONENT_BITS_MAX / 8) {
        error_set(err, "RSA key is longer than %d bits or has a huge exponent", RSA_BITS_MAX);
        return ERR_LIMIT;
    }
    CLEANUP(bn_cleanup) BIGNUM *n = BN_bin2bn(str_u8(modulus), (int)modulus.len, NULL);
    CLEANUP(bn_cleanup) BIGNUM *e = BN_bin2bn(str_u8(exponent), (int)exponent.len, NULL);
    if (n == NULL || e == NULL)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    if (BN_num_bits(n) < RSA_BITS_MIN_RAW || !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e)) {
        error_set(err, "RSA key is shorter than %d bits, or modulus or exponent is impossible",
                  RSA_BITS_MIN_RAW);
        return ERR_INVALID;
    }

    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (bld != NULL && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params != NULL)
        pkey = pkey_from_params("RSA", EVP_PKEY_PUBLIC_KEY, params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    if (pkey == NULL)
        return crypto_failed(ERR_INVALID, err, "RSA key was not accepted");
    return wrap_usable(pkey, RSA_BITS_MIN_RAW, out, err);
}

/* SM2 is rare enough to be looked up by name. */
static EVP_PKEY *pkey_from_sm2_point(const struct curve *curve, uint8_t *point)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)curve->name,
                                         0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->width),
        OSSL_PARAM_construct_end(),
    };
    return pkey_from_params("SM2", EVP_PKEY_PUBLIC_KEY, params);
}

/*
 * The import checks that both coordinates are below p and on the curve.  With
 * the cofactor 1 of all our curves that is the full check of NIST SP 800-56A,
 * 5.6.2.3.3: infinity has no uncompressed form.
 */
static EVP_PKEY *pkey_from_point(const struct curve *curve, uint8_t *point)
{
    if (curve->kind == KEY_SM2)
        return pkey_from_sm2_point(curve, point);
    EVP_PKEY *base = crypto_lib()->curve[curve->kind], *pkey = spare_take(curve->kind);
    if (pkey == NULL && base != NULL)
        pkey = EVP_PKEY_dup(base);
    if (pkey != NULL && EVP_PKEY_set1_encoded_public_key(pkey, point, 1 + 2 * curve->width) == 1)
        return pkey;
    EVP_PKEY_free(pkey);
    return NULL;
}

/*
 * Keys of guests, which come again with each resource that they ask for.  A slot is taken
 * whole and given back, so that no two threads hold its only reference.
 */
#define RECENT_KEYS 64

static _Atomic(struct pubkey *) recent_keys[RECENT_KEYS];

static _Atomic(struct pubkey *) *recent_slot(const uint8_t *point)
{
    return &recent_keys[load_le64(point + 1) % RECENT_KEYS]; /* of hostile keys: no more misses */
}

static struct pubkey *recent_find(enum key_kind kind, const uint8_t *point, size_t len)
{
    _Atomic(struct pubkey *) *slot = recent_slot(point);
    struct pubkey *k = atomic_exchange_explicit(slot, NULL, memory_order_acq_rel);
    bool same =
        k != NULL && k->kind == kind && k->raw_len == len && memcmp(k->raw, point, len) == 0;
    struct pubkey *found = same ? pubkey_ref(k) : NULL;
    pubkey_unref(atomic_exchange_explicit(slot, k, memory_order_acq_rel));
    return found;
}

static void recent_put(struct pubkey *k)
{
    pubkey_unref(
        atomic_exchange_explicit(recent_slot(k->raw), pubkey_ref(k), memory_order_acq_rel));
}

enum status pubkey_from_ec(enum key_kind kind, struct str x, struct str y, struct pubkey **out,
                           struct error *err)
{
    const struct curve *curve = curve_of(kind);
    if (curve == NULL) {
        error_set(err, "not an elliptic curve that is supported");
        return ERR_UNSUPPORTED;
    }
    if (x.len != curve->width || y.len != curve->width) {
        error_set(err, "coordinates are not of the curve's %zu bytes", curve->width);
        return ERR_INVALID;
    }
    uint8_t point[1 + 2 * EC_WIDTH_MAX];
    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x.ptr, x.len);
    memcpy(point + 1 + x.len, y.ptr, y.len);
    struct pubkey *k = recent_find(kind, point, 1 + 2 * curve->width);
    if (k != NULL) {
        *out = k;
        return OK;
    }
    EVP_PKEY *pkey = pkey_from_point(curve, point);
    if (pkey == NULL)
        return crypto_failed(ERR_INVALID, err, "coordinates are no point of the curve");

    enum status st = pubkey_alloc(pkey, &k, err);
    if (st != OK)
        return st;
    k->kind = kind;
    k->bits = curve->bits;
    k->from_point = kind != KEY_SM2;
    k->raw_len = 1 + 2 * curve->width;
    memcpy(k->raw, point, k->raw_len);
    recent_put(k);
    *out = k;
    return OK;
}

enum status pubkey_from_ed25519(struct str raw, struct pubkey **out, struct error *err)
{
    if (raw.len != 32) {
        error_set(err, "Ed25519 key is not of 32 bytes");
        return ERR_INVALID;
    }
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, str_u8(raw), raw.len);
    if (pkey == NULL)
        return crypto_failed(ERR_INVALID, err, "Ed25519 key was not accepted");
    return wrap_usable(pkey, RSA_BITS_MIN, out, err);
}

enum status pubkey_to_der(const struct pubkey *k, struct buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(k->pkey, &der);
    if (len <= 0)
        return crypto_failed(ERR_INTERNAL, NULL, "");
    buf_add(out, str_bytes(der, (size_t)len));
    OPENSSL_free(der);
    return buf_status(out);
}

enum status pubkey_to_pem(const struct pubkey *k, struct buf *out)
{
    CLEANUP(bio_cleanup) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, k->pkey) != 1)
        return crypto_failed(ERR_NOMEM, NULL, "");
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, str_bytes(text, (size_t)len));
    return buf_status(out);
}

enum status pubkey_fingerprint(const struct pubkey *k, struct digest *out)
{
    CLEANUP(buf_done) struct buf der;
    buf_init(&der, KEY_TEXT_MAX);
    enum status st = pubkey_to_der(k, &der);
    if (st == OK)
        digest_compute(DIGEST_SHA256, buf_str(&der), out);
    return st;
}

enum status pubkey_ec_xy(const struct pubkey *k, struct arena *a, struct str *x, struct str *y)
{
    const struct curve *curve = curve_of(k->kind);
    if (curve == NULL)
        return ERR_UNSUPPORTED;
    struct str point = arena_str(a, str_bytes(k->raw + 1, 2 * curve->width));
    if (point.ptr == NULL)
        return arena_status(a);
    *x = str_slice(point, 0, curve->width);
    *y = str_from(point, curve->width);
    return OK;
}

static STATUS bn_to_arena(const EVP_PKEY *pkey, const char *name, struct arena *a, struct str *out)
{
    CLEANUP(bn_cleanup) BIGNUM *n = NULL;
    if (EVP_PKEY_get_bn_param(pkey, name, &n) != 1)
        return crypto_failed(ERR_NOMEM, NULL, "");
    size_t len = (size_t)BN_num_bytes(n);
    unsigned char *p = arena_alloc(a, len);
    if (p == NULL)
        return arena_status(a);
    BN_bn2bin(n, p);
    *out = str_bytes(p, len);
    return OK;
}

enum status pubkey_rsa_ne(const struct pubkey *k, struct arena *a, struct str *n, struct str *e)
{
    if (k->kind != KEY_RSA)
        return ERR_UNSUPPORTED;
    enum status st = bn_to_arena(k->pkey, OSSL_PKEY_PARAM_RSA_N, a, n);
    return st != OK ? st : bn_to_arena(k->pkey, OSSL_PKEY_PARAM_RSA_E, a, e);
}

enum status pubkey_ed25519_raw(const struct pubkey *k, struct arena *a, struct str *raw)
{
    if (k->kind != KEY_ED25519)
        return ERR_UNSUPPORTED;
    *raw = arena_str(a, str_bytes(k->raw, k->raw_len));
    return raw->ptr == NULL ? arena_status(a) : OK;
}

/*
 * Nemec and others, "The Return of Coppersmith's Attack" (CCS 2017), 2.2: the
 * weak primes, and so their product, are powers of 65537 modulo each small prime.
 */
static bool is_power_of_65537(unsigned residue, unsigned prime)
{
    unsigned step = 65537 % prime, power = 1;
    do {
        if (power == residue)
            return true;
        power = power * step % prime;
    } while (power != 1);
    return false;
}

bool pubkey_is_roca(const struct pubkey *k)
{
    static const uint8_t primes[] = {
        3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
        73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
    CLEANUP(bn_cleanup) BIGNUM *n = NULL;
    if (k->kind != KEY_RSA || EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(primes); i++)
        if (!is_power_of_65537((unsigned)BN_mod_word(n, primes[i]), primes[i]))
            return false;
    return true;
}

/* ---- private keys ---- */

/* The secret that makes rejected ciphertexts look like accepted ones: see privkey_decrypt(). */
static STATUS derive_reject_key(struct privkey *k, struct error *err)
{
    CLEANUP(bn_cleanup) BIGNUM *d = NULL;
    if (EVP_PKEY_get_bn_param(k->pub->pkey, OSSL_PKEY_PARAM_RSA_D, &d) != 1)
        return crypto_failed(ERR_INVALID, err, "RSA key has no private exponent");

    uint8_t bytes[RSA_BITS_MAX / 8];
    int len = BN_bn2binpad(d, bytes, (int)(k->pub->bits + 7) / 8);
    enum status st = ERR_INVALID;
    if (len > 0) {
        hkdf_compute(DIGEST_SHA256, str_bytes(bytes, (size_t)len), STR_EMPTY,
                     STR("claviger implicit rejection"), k->reject_key, sizeof(k->reject_key));
        st = OK;
    } else {
        error_set(err, "RSA key has an impossible private exponent");
    }
    bytes_wipe(bytes, sizeof(bytes));
    return st;
}

/* Take over a pair that was just made on `curve`: nothing is to be found out about it. */
static STATUS wrap_made(EVP_PKEY *pkey, const struct curve *curve, struct pubkey **out,
                        struct error *err)
{
    CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
    enum status st = pubkey_alloc(pkey, &k, err);
    if (st != OK)
        return st;
    if (!read_point(k, curve))
        return crypto_failed(ERR_INTERNAL, err, "key could not be made");
    k->kind = curve->kind;
    k->bits = curve->bits;
    *out = TAKE(k);
    return OK;
}

/* Takes over `pkey`; `made_on`: the curve where that is known, else NULL. */
static STATUS privkey_wrap(EVP_PKEY *pkey, const struct curve *made_on, struct privkey **out,
                           struct error *err)
{
    CLEANUP(pubkey_cleanup) struct pubkey *pub = NULL;
    enum status st = made_on != NULL ? wrap_made(pkey, made_on, &pub, err)
                                     : wrap_usable(pkey, RSA_BITS_MIN, &pub, err);
    if (st != OK)
        return st;

    CLEANUP(privkey_cleanup) struct privkey *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return error_nomem(err);
    atomic_init(&k->refs, 1);
    k->pub = TAKE(pub);
    if (k->pub->kind == KEY_RSA) {
        st = derive_reject_key(k, err);
        if (st != OK)
            return st;
    }
    *out = TAKE(k);
    return OK;
}

static EVP_PKEY *generate_ec(enum key_kind kind)
{
    static struct idle_ctx idle[KEY_EC_P521 + 1]; /* no secret in them: curves */
    EVP_PKEY *base = crypto_lib()->curve[kind], *pkey = NULL;
    EVP_PKEY_CTX *ctx = idle_take(&idle[kind]);
    if (ctx == NULL && base != NULL) {
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, base, NULL);
        if (ctx != NULL && EVP_PKEY_keygen_init(ctx) != 1) {
            EVP_PKEY_CTX_free(ctx);
            ctx = NULL;
        }
    }
    if (ctx != NULL && EVP_PKEY_keygen(ctx, &pkey) == 1)
        idle_give(&idle[kind], ctx);
    else
        EVP_PKEY_CTX_free(ctx);
    return pkey;
}

enum status privkey_generate(enum key_kind kind, unsigned rsa_bits, struct privkey **out,
                             struct error *err)
{
    EVP_PKEY *pkey = NULL;
    const struct curve *made_on = NULL;
    if (kind == KEY_EC_P256 || kind == KEY_EC_P384 || kind == KEY_EC_P521) {
        pkey = generate_ec(kind);
        made_on = curve_of(kind);
    } else if (kind == KEY_SM2) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
    } else if (kind == KEY_ED25519) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    } else if (kind == KEY_RSA && rsa_bits >= RSA_BITS_MIN && rsa_bits <= RSA_BITS_MAX) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)rsa_bits);
    } else {
        error_set(err, "no key of this kind can be made");
        return ERR_UNSUPPORTED;
    }
    if (pkey == NULL)
        return crypto_failed(ERR_INTERNAL, err, "key could not be made");
    return privkey_wrap(pkey, made_on, out, err);
}

enum status privkey_from_pem(struct str pem, struct privkey **out, struct error *err)
{
    char *name = NULL;
    unsigned char *data = NULL;
    long len = 0;
    enum status st = pem_read(pem, &name, &data, &len, err);
    if (st != OK)
        return st;

    const unsigned char *p = data;
    EVP_PKEY *pkey = NULL;
    if (strcmp(name, "PRIVATE KEY") == 0 || strcmp(name, "RSA PRIVATE KEY") == 0 ||
        strcmp(name, "EC PRIVATE KEY") == 0)
        pkey = d2i_AutoPrivateKey(NULL, &p, len);
    if (pkey == NULL)
        st = crypto_failed(ERR_INVALID, err, "key file has no unencrypted private key");
    else
        st = privkey_wrap(pkey, NULL, out, err);
    OPENSSL_free(name);
    OPENSSL_clear_free(data, (size_t)len);
    ERR_clear_error();
    return st;
}

enum status privkey_to_pem(const struct privkey *k, struct buf *out)
{
    CLEANUP(bio_cleanup) BIO *bio = BIO_new(BIO_s_mem()); /* wipes itself, BUF_MEM_free(3) */
    if (bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(bio, k->pub->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        return crypto_failed(ERR_NOMEM, NULL, "");
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, str_bytes(text, (size_t)len));
    return buf_status(out);
}

/* The public point of a scalar: OpenSSL's import by parameters leaves it out. */
static bool public_of_scalar(const struct curve *curve, const BIGNUM *d, uint8_t *point)
{
    bool ok = false;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_txt2nid(curve->name));
    EC_POINT *q = group == NULL ? NULL : EC_POINT_new(group);
    if (q != NULL && BN_cmp(d, EC_GROUP_get0_order(group)) < 0 && !BN_is_zero(d) &&
        EC_POINT_mul(group, q, d, NULL, NULL, NULL) == 1)
        ok = EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point,
                                1 + 2 * curve->width, NULL) == 1 + 2 * curve->width;
    EC_POINT_free(q);
    EC_GROUP_free(group);
    return ok;
}

static EVP_PKEY *pkey_from_scalar(const struct curve *curve, struct str raw)
{
    CLEANUP(bn_cleanup) BIGNUM *d = BN_secure_new();
    if (d == NULL || BN_bin2bn(str_u8(raw), (int)raw.len, d) == NULL)
        return NULL;
    BN_set_flags(d, BN_FLG_CONSTTIME);

    uint8_t point[1 + 2 * EC_WIDTH_MAX];
    if (!public_of_scalar(curve, d, point))
        return NULL;

    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (bld != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         1 + 2 * curve->width) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params != NULL)
        pkey = pkey_from_params(curve->kind == KEY_SM2 ? "SM2" : "EC", EVP_PKEY_KEYPAIR, params);
    OSSL_PARAM_free(params); /* wipes what came from a secure BIGNUM */
    OSSL_PARAM_BLD_free(bld);
    return pkey;
}

enum status privkey_from_raw(enum key_kind kind, struct str raw, struct privkey **out,
                             struct error *err)
{
    const struct curve *curve = curve_of(kind);
    size_t want = kind == KEY_ED25519 ? 32 : curve != NULL ? curve->width : 0;
    if (want == 0) {
        error_set(err, "no private key of this kind can be read from its scalar");
        return ERR_UNSUPPORTED;
    }
    if (raw.len != want) {
        error_set(err, "private key is not of %zu bytes", want);
        return ERR_INVALID;
    }
    EVP_PKEY *pkey = curve != NULL ? pkey_from_scalar(curve, raw)
                                   : EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL,
                                                                     str_u8(raw), raw.len);
    if (pkey == NULL)
        return crypto_failed(ERR_INVALID, err, "private key is out of range");
    return privkey_wrap(pkey, NULL, out, err);
}
