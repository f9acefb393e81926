/*
 * What the files of this module share: the insides of keys, the algorithms
 * that were fetched once, and how a failure of OpenSSL becomes a status.
 */
#pragma once

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdatomic.h>

#include "crypto/crypto.h"

#define EC_WIDTH_MAX 66 /* P-521 */
#define DIGEST_COUNT (DIGEST_SM3 + 1)

/*
 * A context that is ready for its next use, or NULL while somebody has it: making one
 * costs 15,000 instructions, most of them for the names of a key manager.  Whoever
 * finds none makes another, and one of the two is freed in the end.
 */
struct idle_ctx {
    _Atomic(EVP_PKEY_CTX *) ctx;
};

struct multiples;

struct pubkey {
    _Atomic unsigned refs;
    enum key_kind kind;
    unsigned bits;
    EVP_PKEY *pkey;
    /* pkey was made for coordinates: nothing that outlives this key has it, and others fit in. */
    bool from_point;
    /* EC, or RSA with PKCS#1 v1.5 and SHA-256: after EVP_PKEY_verify_init(). */
    struct idle_ctx verifier;
    /* P-384, from the second r || s that it verifies (multiples.h). */
    _Atomic(struct multiples *) multiples;
    _Atomic unsigned verified;
    /* EC: 04 || x || y.  Ed25519: the 32 bytes.  RSA and others: nothing. */
    size_t raw_len;
    uint8_t raw[1 + 2 * EC_WIDTH_MAX];
};

struct privkey {
    _Atomic unsigned refs;
    struct idle_ctx signer; /* EC: after EVP_PKEY_sign_init() */
    struct pubkey *pub;     /* its pkey has the private part, too */
    uint8_t reject_key[32]; /* RSA: keys the implicit rejection of PKCS#1 v1.5 */
};

/*
 * Algorithms of the default provider, fetched once per process and never
 * changed.  A fetch by name at each use costs more than hashing a token.
 * Entries may be NULL where the platform (FIPS) lacks one.
 */
struct crypto_lib {
    EVP_MD *md[DIGEST_COUNT];
    EVP_CIPHER *aes_128_gcm, *aes_256_gcm;
    EVP_CIPHER *aes_128_ecb, *aes_192_ecb, *aes_256_ecb;
    EVP_MAC *hmac;
    /*
     * Keys with a curve and nothing else, by kind: a copy of one costs 4 us, and a
     * curve looked up by name 12.
     */
    EVP_PKEY *curve[KEY_EC_P521 + 1];
};
const struct crypto_lib *crypto_lib(void);

/* The name that OpenSSL knows a digest by. */
const char *digest_openssl_name(enum digest_alg alg);

struct curve {
    enum key_kind kind;
    const char *name; /* as EVP_PKEY_get_group_name() says it */
    size_t width;     /* bytes of a coordinate */
    unsigned bits;
};
const struct curve *curve_of(enum key_kind kind); /* NULL: not an EC kind */

/*
 * Turn a failed OpenSSL call into a status: ERR_NOMEM when its queue says so,
 * else `st` with the text.  OpenSSL's own texts are dropped, as they may quote
 * input.  The queue is empty afterwards.
 */
STATUS crypto_failed(enum status st, struct error *err, const char *what);

/* Take over `pkey` (also on failure): classify it, read its coordinates. */
STATUS pubkey_wrap(EVP_PKEY *pkey, struct pubkey **out, struct error *err);

static inline void evp_pkey_cleanup(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static inline void evp_pkey_ctx_cleanup(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

static inline EVP_PKEY_CTX *idle_take(struct idle_ctx *idle)
{
    return atomic_exchange_explicit(&idle->ctx, NULL, memory_order_acquire);
}

static inline void idle_give(struct idle_ctx *idle, EVP_PKEY_CTX *ctx)
{
    EVP_PKEY_CTX *none = NULL;
    if (!atomic_compare_exchange_strong_explicit(&idle->ctx, &none, ctx, memory_order_release,
                                                 memory_order_relaxed))
        EVP_PKEY_CTX_free(ctx);
}

static inline void bio_cleanup(BIO **p)
{
    BIO_free(*p);
}

static inline const unsigned char *str_u8(struct str s)
{
    return (const unsigned char *)s.ptr;
}
