#include "crypto/crypto_internal.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#define GCM_IV_LEN 12
#define GCM_TAG_LEN 16
#define WRAP_BLOCK 8 /* bytes of a register */

static inline void cipher_ctx_cleanup(EVP_CIPHER_CTX **p)
{
    EVP_CIPHER_CTX_free(*p);
}

/* ---- key agreement ---- */

enum status ecdh_compute(const struct privkey *mine, const struct pubkey *theirs, struct buf *out,
                         struct error *err)
{
    const struct curve *curve = curve_of(theirs->kind);
    if (curve == NULL || theirs->kind != mine->pub->kind || theirs->kind == KEY_SM2) {
        error_set(err, "keys are not of one curve");
        return ERR_INVALID;
    }

    CLEANUP(evp_pkey_ctx_cleanup)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, mine->pub->pkey, NULL);
    /*
     * The last argument leaves out a multiplication by the order, which costs
     * as much as the agreement itself: every point was checked to be on its
     * curve when it was imported, and all our curves have cofactor 1.
     */
    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
        EVP_PKEY_derive_set_peer_ex(ctx, theirs->pkey, 0) != 1)
        return crypto_failed(ERR_NOMEM, err, "out of memory");

    uint8_t z[EC_WIDTH_MAX];
    size_t len = sizeof(z);
    if (EVP_PKEY_derive(ctx, z, &len) != 1 || len != curve->width)
        return crypto_failed(ERR_INTERNAL, err, "key agreement failed");
    buf_add(out, str_bytes(z, len));
    bytes_wipe(z, sizeof(z));
    return buf_status(out);
}

/* ---- key wrap ---- */

/*
 * RFC 3394, 2.2.1 and 2.2.2, over single blocks: OpenSSL's own wrap of version 3.0
 * runs AES in portable code, ten times slower than the processor's.
 */
static const uint8_t wrap_iv[WRAP_BLOCK] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};

static const EVP_CIPHER *block_cipher(size_t kek_len)
{
    const struct crypto_lib *lib = crypto_lib();
    return kek_len == 16   ? lib->aes_128_ecb
           : kek_len == 24 ? lib->aes_192_ecb
           : kek_len == 32 ? lib->aes_256_ecb
                           : NULL;
}

/* One pass of step j over register i (from 1) of `n`: A is XORed with t = n * j + i. */
static bool wrap_step(EVP_CIPHER_CTX *ctx, uint8_t a[WRAP_BLOCK], uint8_t *r, uint64_t t,
                      bool encrypt)
{
    uint8_t block[2 * WRAP_BLOCK];
    int len = 0;
    uint64_t head = load_be64(a) ^ (encrypt ? 0 : t);
    store_be64(block, head);
    memcpy(block + WRAP_BLOCK, r, WRAP_BLOCK);
    bool good =
        EVP_CipherUpdate(ctx, block, &len, block, sizeof(block)) == 1 && len == (int)sizeof(block);
    store_be64(a, load_be64(block) ^ (encrypt ? t : 0));
    memcpy(r, block + WRAP_BLOCK, WRAP_BLOCK);
    bytes_wipe(block, sizeof(block));
    return good;
}

/* `bytes`: A and then the n registers, replaced in place. */
static STATUS wrap_run(struct str kek, uint8_t *bytes, size_t n, bool encrypt)
{
    CLEANUP(cipher_ctx_cleanup) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL || EVP_CipherInit_ex2(ctx, block_cipher(kek.len), str_u8(kek), NULL,
                                          encrypt ? 1 : 0, NULL) != 1)
        return crypto_failed(ERR_NOMEM, NULL, "");
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    for (size_t step = 0; step < 6 * n; step++) {
        size_t k = encrypt ? step : 6 * n - 1 - step;
        if (!wrap_step(ctx, bytes, bytes + (k % n + 1) * WRAP_BLOCK, k + 1, encrypt))
            return crypto_failed(ERR_INTERNAL, NULL, "");
    }
    return OK;
}

enum status keywrap_wrap(struct str kek, struct str key, struct buf *out)
{
    if (block_cipher(kek.len) == NULL || key.len < 2 * WRAP_BLOCK || key.len % WRAP_BLOCK != 0 ||
        key.len > KEYWRAP_MAX)
        return ERR_INVALID;
    if (!buf_reserve(out, key.len + WRAP_BLOCK))
        return buf_status(out);
    uint8_t *bytes = (uint8_t *)out->ptr + out->len;
    memcpy(bytes, wrap_iv, WRAP_BLOCK);
    memcpy(bytes + WRAP_BLOCK, key.ptr, key.len);
    enum status st = wrap_run(kek, bytes, key.len / WRAP_BLOCK, true);
    if (st != OK) {
        bytes_wipe(bytes, key.len + WRAP_BLOCK); /* half wrapped */
        return st;
    }
    out->len += key.len + WRAP_BLOCK;
    return buf_status(out);
}

enum status keywrap_unwrap(struct str kek, struct str wrapped, struct buf *out, struct error *err)
{
    if (block_cipher(kek.len) == NULL) {
        error_set(err, "key encryption key is not of 16, 24 or 32 bytes");
        return ERR_INVALID;
    }
    if (wrapped.len < 3 * WRAP_BLOCK || wrapped.len % WRAP_BLOCK != 0 ||
        wrapped.len > KEYWRAP_MAX + WRAP_BLOCK) {
        error_set(err, "wrapped key does not open");
        return ERR_DENIED;
    }
    uint8_t plain[KEYWRAP_MAX + WRAP_BLOCK];
    memcpy(plain, wrapped.ptr, wrapped.len);
    enum status st = wrap_run(kek, plain, wrapped.len / WRAP_BLOCK - 1, false);
    if (st != OK) {
        error_set(err, "out of memory");
    } else if (CRYPTO_memcmp(plain, wrap_iv, WRAP_BLOCK) != 0) {
        error_set(err, "wrapped key does not open");
        st = ERR_DENIED;
    } else {
        buf_add(out, str_bytes(plain + WRAP_BLOCK, wrapped.len - WRAP_BLOCK));
        st = buf_status(out);
    }
    bytes_wipe(plain, sizeof(plain));
    return st;
}

/* ---- RSA ---- */

static bool set_padding(EVP_PKEY_CTX *ctx, enum rsa_padding padding)
{
    if (padding == RSA_PAD_PKCS1_15)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
    const EVP_MD *md = crypto_lib()->md[padding == RSA_PAD_OAEP_SHA1 ? DIGEST_SHA1 : DIGEST_SHA256];
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) > 0;
}

static EVP_PKEY_CTX *rsa_encrypt_begin(const struct pubkey *k)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    if (ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

static STATUS require_rsa(const struct pubkey *k, struct error *err)
{
    if (k->kind == KEY_RSA)
        return OK;
    error_set(err, "not an RSA key");
    return ERR_UNSUPPORTED;
}

static STATUS rsa_encrypt(EVP_PKEY_CTX *ctx, struct str in, struct buf *out, struct error *err)
{
    uint8_t cipher[SIGNATURE_MAX];
    size_t len = sizeof(cipher);
    if (EVP_PKEY_encrypt(ctx, cipher, &len, str_u8(in), in.len) != 1)
        return crypto_failed(ERR_INVALID, err, "text does not fit the RSA key");
    buf_add(out, str_bytes(cipher, len));
    return buf_status(out);
}

enum status pubkey_encrypt(const struct pubkey *k, enum rsa_padding padding, struct str plain,
                           struct buf *out, struct error *err)
{
    enum status st = require_rsa(k, err);
    if (st != OK)
        return st;
    CLEANUP(evp_pkey_ctx_cleanup) EVP_PKEY_CTX *ctx = rsa_encrypt_begin(k);
    if (ctx == NULL || !set_padding(ctx, padding))
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    return rsa_encrypt(ctx, plain, out, err);
}

enum status pubkey_encrypt_raw(const struct pubkey *k, struct str block, struct buf *out,
                               struct error *err)
{
    enum status st = require_rsa(k, err);
    if (st != OK)
        return st;
    CLEANUP(evp_pkey_ctx_cleanup) EVP_PKEY_CTX *ctx = rsa_encrypt_begin(k);
    if (ctx == NULL || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) <= 0)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    return rsa_encrypt(ctx, block, out, err);
}

/* ---- PKCS#1 v1.5 without an oracle ---- */

/* All ones when the condition holds, else zero; without branches. */
static uint32_t ct_is_zero(uint32_t v)
{
    return (uint32_t)(((int64_t)v - 1) >> 63);
}

static uint32_t ct_less(uint32_t a, uint32_t b)
{
    return (uint32_t)(((int64_t)a - (int64_t)b) >> 63);
}

static uint32_t ct_select(uint32_t mask, uint32_t yes, uint32_t no)
{
    return (mask & yes) | (~mask & no);
}

/* Index of the message in an encoded block; *good is all ones when the padding is right. */
static uint32_t pkcs1_find(const uint8_t *em, uint32_t k, uint32_t *good)
{
    uint32_t found = 0, start = 0;
    *good = ct_is_zero(em[0]) & ct_is_zero(em[1] ^ 2u);
    for (uint32_t i = 2; i < k; i++) {
        uint32_t here = ct_is_zero(em[i]) & ~found;
        start = ct_select(here, i + 1, start);
        found |= here;
    }
    /* RFC 8017, 7.2.2: at least eight bytes of padding. */
    *good &= found & ~ct_less(start, 11);
    return start;
}

/*
 * What a wrong ciphertext decrypts to: bytes of a length that follow from the
 * key and the ciphertext alone, so that asking twice gives one answer.
 */
static uint32_t rejected_message(const struct privkey *key, struct str cipher, uint8_t *out,
                                 uint32_t k)
{
    struct digest seed;
    hmac_compute(DIGEST_SHA256, str_bytes(key->reject_key, sizeof(key->reject_key)), cipher, &seed);
    hkdf_compute(DIGEST_SHA256, digest_str(&seed), STR_EMPTY, STR("message"), out, k);
    uint8_t draw[2];
    hkdf_compute(DIGEST_SHA256, digest_str(&seed), STR_EMPTY, STR("length"), draw, sizeof(draw));
    bytes_wipe(&seed, sizeof(seed));
    return (uint32_t)load_be16(draw) % (k - 10); /* 0 to k - 11, as a right one */
}

/* `em` of k bytes becomes a block whose last *len bytes are the true or the made-up message. */
static void pkcs1_open(const struct privkey *key, struct str cipher, uint8_t *em, uint32_t k,
                       uint32_t *len)
{
    uint8_t synthetic[SIGNATURE_MAX];
    uint32_t synthetic_len = rejected_message(key, cipher, synthetic, k);
    uint32_t good;
    uint32_t start = pkcs1_find(em, k, &good);
    for (uint32_t i = 0; i < k; i++)
        em[i] = (uint8_t)ct_select(good, em[i], synthetic[i]);
    *len = ct_select(good, k - start, synthetic_len);
    bytes_wipe(synthetic, sizeof(synthetic));
}

static STATUS decrypt_pkcs1(const struct privkey *key, EVP_PKEY_CTX *ctx, struct str cipher,
                            struct buf *out, struct error *err)
{
    uint8_t em[SIGNATURE_MAX];
    uint32_t k = (key->pub->bits + 7) / 8;
    size_t em_len = sizeof(em);
    /* RFC 8017, 7.2.2: the length is checked first.  It is no secret, nor is a number above n. */
    if (cipher.len != k || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) <= 0 ||
        EVP_PKEY_decrypt(ctx, em, &em_len, str_u8(cipher), cipher.len) != 1 || em_len != k)
        return crypto_failed(ERR_DENIED, err, "ciphertext does not open");

    uint32_t len;
    pkcs1_open(key, cipher, em, k, &len);
    buf_add(out, str_bytes(em + k - len, len));
    bytes_wipe(em, sizeof(em));
    return buf_status(out);
}

enum status privkey_decrypt(const struct privkey *k, enum rsa_padding padding, struct str cipher,
                            struct buf *out, struct error *err)
{
    enum status st = require_rsa(k->pub, err);
    if (st != OK)
        return st;
    CLEANUP(evp_pkey_ctx_cleanup)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pub->pkey, NULL);
    if (ctx == NULL || EVP_PKEY_decrypt_init(ctx) != 1)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    if (padding == RSA_PAD_PKCS1_15)
        return decrypt_pkcs1(k, ctx, cipher, out, err);

    uint8_t plain[SIGNATURE_MAX];
    size_t len = sizeof(plain);
    if (!set_padding(ctx, padding))
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    if (EVP_PKEY_decrypt(ctx, plain, &len, str_u8(cipher), cipher.len) != 1) {
        st = crypto_failed(ERR_DENIED, err, "ciphertext does not open");
    } else {
        buf_add(out, str_bytes(plain, len));
        st = buf_status(out);
    }
    bytes_wipe(plain, sizeof(plain));
    return st;
}

/* ---- AES-GCM ---- */

static EVP_CIPHER_CTX *gcm_begin(struct str key, struct str iv, struct str aad, int encrypt)
{
    const struct crypto_lib *lib = crypto_lib();
    const EVP_CIPHER *cipher = key.len == 16 ? lib->aes_128_gcm : lib->aes_256_gcm;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len;
    if (ctx != NULL &&
        EVP_CipherInit_ex2(ctx, cipher, str_u8(key), str_u8(iv), encrypt, NULL) == 1 &&
        (aad.len == 0 || EVP_CipherUpdate(ctx, NULL, &len, str_u8(aad), (int)aad.len) == 1))
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static bool gcm_lengths_ok(struct str key, struct str iv, struct str aad, struct str text)
{
    return (key.len == 16 || key.len == 32) && iv.len == GCM_IV_LEN && aad.len <= AEAD_MAX &&
           text.len <= AEAD_MAX;
}

enum status aead_seal(struct str key, struct str iv, struct str aad, struct str plain,
                      struct buf *out)
{
    if (!gcm_lengths_ok(key, iv, aad, plain))
        return ERR_INVALID;
    CLEANUP(cipher_ctx_cleanup) EVP_CIPHER_CTX *ctx = gcm_begin(key, iv, aad, 1);
    if (ctx == NULL)
        return crypto_failed(ERR_NOMEM, NULL, "");
    if (!buf_reserve(out, plain.len + GCM_TAG_LEN))
        return buf_status(out);

    unsigned char *w = (unsigned char *)out->ptr + out->len;
    int len = 0, last = 0;
    if ((plain.len > 0 && EVP_CipherUpdate(ctx, w, &len, str_u8(plain), (int)plain.len) != 1) ||
        EVP_CipherFinal_ex(ctx, w + len, &last) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, w + plain.len) != 1)
        return crypto_failed(ERR_INTERNAL, NULL, "");
    out->len += plain.len + GCM_TAG_LEN;
    return buf_status(out);
}

enum status aead_open(struct str key, struct str iv, struct str aad, struct str sealed,
                      struct buf *out, struct error *err)
{
    if (!gcm_lengths_ok(key, iv, aad, sealed)) {
        error_set(err, "key, IV or text of an impossible length");
        return ERR_INVALID;
    }
    if (sealed.len < GCM_TAG_LEN) {
        error_set(err, "text does not open");
        return ERR_DENIED;
    }
    struct str text = str_slice(sealed, 0, sealed.len - GCM_TAG_LEN);
    uint8_t tag[GCM_TAG_LEN];
    memcpy(tag, sealed.ptr + text.len, GCM_TAG_LEN);

    CLEANUP(cipher_ctx_cleanup) EVP_CIPHER_CTX *ctx = gcm_begin(key, iv, aad, 0);
    if (ctx == NULL)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    if (!buf_reserve(out, text.len))
        return buf_status(out);

    /* Until the tag is checked the text stays beyond the buffer's length. */
    unsigned char none;
    unsigned char *w = text.len == 0 ? &none : (unsigned char *)out->ptr + out->len;
    int len = 0, last = 0;
    if ((text.len > 0 && EVP_CipherUpdate(ctx, w, &len, str_u8(text), (int)text.len) != 1) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag) != 1 ||
        EVP_CipherFinal_ex(ctx, w + len, &last) != 1) {
        bytes_wipe(w, text.len);
        return crypto_failed(ERR_DENIED, err, "text does not open");
    }
    out->len += text.len;
    return buf_status(out);
}
