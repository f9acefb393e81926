#include "crypto/crypto_internal.h"
#include "crypto/multiples.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

/* SEQUENCE of two INTEGERs of up to 66 bytes and a sign byte each. */
#define ECDSA_DER_MAX (3 + 2 * (3 + EC_WIDTH_MAX + 1))

/* ---- r || s and its ASN.1 form ---- */

static size_t write_integer(uint8_t *w, const uint8_t *n, size_t width)
{
    while (width > 1 && n[0] == 0) {
        n++;
        width--;
    }
    size_t sign = n[0] >> 7;
    w[0] = 0x02;
    w[1] = (uint8_t)(width + sign);
    w[2] = 0;
    memcpy(w + 2 + sign, n, width);
    return 2 + sign + width;
}

/* `der` has ECDSA_DER_MAX bytes; returns the length. */
static size_t raw_to_der(const uint8_t *raw, size_t width, uint8_t *der)
{
    uint8_t body[ECDSA_DER_MAX];
    size_t len = write_integer(body, raw, width);
    len += write_integer(body + len, raw + width, width);

    size_t head = 2;
    der[0] = 0x30;
    if (len < 0x80) {
        der[1] = (uint8_t)len;
    } else {
        der[1] = 0x81;
        der[2] = (uint8_t)len;
        head = 3;
    }
    memcpy(der + head, body, len);
    return head + len;
}

/* One INTEGER of our own signature, right-aligned into `width` bytes; false when it is none. */
static bool read_integer(struct str *in, uint8_t *out, size_t width)
{
    if (in->len < 3 || in->ptr[0] != 0x02)
        return false;
    size_t len = (uint8_t)in->ptr[1];
    if (len == 0 || len > in->len - 2)
        return false;
    struct str n = str_slice(*in, 2, len);
    *in = str_from(*in, 2 + len);
    if (n.ptr[0] == 0)
        n = str_from(n, 1);
    if (n.len > width)
        return false;
    memset(out, 0, width - n.len);
    if (n.len > 0)
        memcpy(out + width - n.len, n.ptr, n.len);
    return true;
}

static bool der_to_raw(struct str der, size_t width, uint8_t *raw)
{
    if (der.len < 3 || der.ptr[0] != 0x30)
        return false;
    struct str body = str_from(der, (uint8_t)der.ptr[1] == 0x81 ? 3 : 2);
    return read_integer(&body, raw, width) && read_integer(&body, raw + width, width);
}

/* ---- contexts ---- */

static bool alg_fits(enum sig_alg alg, enum key_kind kind)
{
    switch (alg) {
    case SIG_RSA_PKCS1:
    case SIG_RSA_PSS:
        return kind == KEY_RSA;
    case SIG_ECDSA_DER:
    case SIG_ECDSA_RAW:
        return curve_of(kind) != NULL && kind != KEY_SM2;
    case SIG_ED25519:
        return kind == KEY_ED25519;
    }
    return false;
}

static STATUS check_alg(enum sig_alg alg, const struct pubkey *k, struct error *err)
{
    if (alg_fits(alg, k->kind))
        return OK;
    error_set(err, "signature algorithm does not fit the key");
    return ERR_UNSUPPORTED;
}

/* Digest and padding of an RSA context that is ready to sign or to verify. */
static bool set_rsa(EVP_PKEY_CTX *ctx, enum sig_alg alg, enum digest_alg digest)
{
    const EVP_MD *md = crypto_lib()->md[digest];
    if (alg == SIG_RSA_PKCS1)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
               EVP_PKEY_CTX_set_signature_md(ctx, md) > 0;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_signature_md(ctx, md) > 0 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

static inline void md_ctx_cleanup(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

/* ---- verify ---- */

static STATUS verify_ed25519(const struct pubkey *k, struct str message, struct str signature,
                             bool *good, struct error *err)
{
    CLEANUP(md_ctx_cleanup) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) != 1)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    *good =
        EVP_DigestVerify(ctx, str_u8(signature), signature.len, str_u8(message), message.len) == 1;
    return OK;
}

static EVP_PKEY_CTX *verifier_make(const struct pubkey *k, enum sig_alg alg, enum digest_alg digest)
{
    CLEANUP(evp_pkey_ctx_cleanup)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 ||
        (k->kind == KEY_RSA && !set_rsa(ctx, alg, digest)))
        return NULL;
    return TAKE(ctx);
}

/*
 * NULL: not yet, or never.  They cost half a verification and save as much, so the second one
 * makes them; of threads that come together, one.
 */
static const struct multiples *multiples_of(const struct pubkey *k)
{
    struct pubkey *mine = (struct pubkey *)(uintptr_t)k; /* no part of the key's value */
    struct multiples *m = atomic_load_explicit(&mine->multiples, memory_order_acquire);
    if (m == NULL && k->kind == KEY_EC_P384 &&
        atomic_fetch_add_explicit(&mine->verified, 1, memory_order_relaxed) == 1) {
        m = multiples_make(k);
        atomic_store_explicit(&mine->multiples, m, memory_order_release);
    }
    return m;
}

static STATUS verify_digest(const struct pubkey *k, enum sig_alg alg, enum digest_alg digest,
                            struct str message, struct str signature, bool *good, struct error *err)
{
    struct digest d;
    digest_compute(digest, message, &d);

    uint8_t der[ECDSA_DER_MAX];
    if (alg == SIG_ECDSA_RAW) {
        const uint8_t *raw = str_u8(signature);
        const struct multiples *m = multiples_of(k);
        enum multiples_verdict verdict =
            m != NULL ? multiples_verify(m, digest_str(&d), raw) : MULTIPLES_UNABLE;
        *good = verdict == MULTIPLES_GOOD;
        if (verdict != MULTIPLES_UNABLE)
            return OK;
        signature = str_bytes(der, raw_to_der(raw, curve_of(k->kind)->width, der));
    }

    /* What is idle is no part of the key's value, and taken by one thread at a time. */
    struct idle_ctx *idle = (struct idle_ctx *)(uintptr_t)&k->verifier;
    bool kept = k->kind != KEY_RSA || (alg == SIG_RSA_PKCS1 && digest == DIGEST_SHA256);
    EVP_PKEY_CTX *ctx = kept ? idle_take(idle) : NULL;
    if (ctx == NULL)
        ctx = verifier_make(k, alg, digest);
    if (ctx == NULL)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    *good = EVP_PKEY_verify(ctx, str_u8(signature), signature.len, d.bytes, d.len) == 1;
    if (*good && kept)
        idle_give(idle, ctx);
    else
        EVP_PKEY_CTX_free(ctx);
    return OK;
}

enum status pubkey_verify(const struct pubkey *k, enum sig_alg alg, enum digest_alg digest,
                          struct str message, struct str signature, struct error *err)
{
    enum status st = check_alg(alg, k, err);
    if (st != OK)
        return st;

    bool good = false;
    if (alg == SIG_ECDSA_RAW && signature.len != 2 * curve_of(k->kind)->width) {
        error_set(err, "signature does not verify");
        return ERR_DENIED;
    }
    if (alg == SIG_ED25519)
        st = verify_ed25519(k, message, signature, &good, err);
    else
        st = verify_digest(k, alg, digest, message, signature, &good, err);
    if (st == OK && !good)
        return crypto_failed(ERR_DENIED, err, "signature does not verify");
    return st;
}

enum status pubkey_verify_sm2(const struct pubkey *k, struct str user_id, struct str message,
                              struct str signature, struct error *err)
{
    if (k->kind != KEY_SM2) {
        error_set(err, "signature algorithm does not fit the key");
        return ERR_UNSUPPORTED;
    }
    if (signature.len != 64) {
        error_set(err, "signature does not verify");
        return ERR_DENIED;
    }
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len = raw_to_der(str_u8(signature), 32, der);

    CLEANUP(evp_pkey_ctx_cleanup)
    EVP_PKEY_CTX *pctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    CLEANUP(md_ctx_cleanup) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || pctx == NULL ||
        EVP_PKEY_CTX_set1_id(pctx, user_id.ptr, (int)user_id.len) != 1)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    EVP_MD_CTX_set_pkey_ctx(ctx, pctx);
    if (EVP_DigestVerifyInit(ctx, NULL, crypto_lib()->md[DIGEST_SM3], NULL, k->pkey) != 1)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    if (EVP_DigestVerify(ctx, der, der_len, str_u8(message), message.len) != 1)
        return crypto_failed(ERR_DENIED, err, "signature does not verify");
    return OK;
}

/* ---- sign ---- */

static bool sign_ed25519(const struct pubkey *k, struct str message, uint8_t *sig, size_t *len)
{
    CLEANUP(md_ctx_cleanup) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    return ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
           EVP_DigestSign(ctx, sig, len, str_u8(message), message.len) == 1;
}

static bool sign_ec(const struct privkey *k, const struct digest *d, uint8_t *sig, size_t *len)
{
    /* What is idle is no part of the key's value, and taken by one thread at a time. */
    struct idle_ctx *idle = (struct idle_ctx *)(uintptr_t)&k->signer;
    EVP_PKEY_CTX *ctx = idle_take(idle);
    if (ctx == NULL) {
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pub->pkey, NULL);
        if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1) {
            EVP_PKEY_CTX_free(ctx);
            return false;
        }
    }
    bool made = EVP_PKEY_sign(ctx, sig, len, d->bytes, d->len) == 1;
    if (made)
        idle_give(idle, ctx);
    else
        EVP_PKEY_CTX_free(ctx);
    return made;
}

static bool sign_digest(const struct privkey *k, enum sig_alg alg, enum digest_alg digest,
                        struct str message, uint8_t *sig, size_t *len)
{
    struct digest d;
    digest_compute(digest, message, &d);
    if (k->pub->kind != KEY_RSA)
        return sign_ec(k, &d, sig, len);
    CLEANUP(evp_pkey_ctx_cleanup)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pub->pkey, NULL);
    return ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && set_rsa(ctx, alg, digest) &&
           EVP_PKEY_sign(ctx, sig, len, d.bytes, d.len) == 1;
}

enum status privkey_sign(const struct privkey *k, enum sig_alg alg, enum digest_alg digest,
                         struct str message, struct buf *out, struct error *err)
{
    enum status st = check_alg(alg, k->pub, err);
    if (st != OK)
        return st;

    uint8_t sig[SIGNATURE_MAX];
    size_t len = sizeof(sig);
    bool made = alg == SIG_ED25519 ? sign_ed25519(k->pub, message, sig, &len)
                                   : sign_digest(k, alg, digest, message, sig, &len);
    if (!made)
        return crypto_failed(ERR_INTERNAL, err, "signature could not be made");

    struct str signature = str_bytes(sig, len);
    uint8_t raw[2 * EC_WIDTH_MAX];
    if (alg == SIG_ECDSA_RAW) {
        size_t width = curve_of(k->pub->kind)->width;
        if (!der_to_raw(signature, width, raw)) {
            error_set(err, "signature could not be made");
            return ERR_INTERNAL;
        }
        signature = str_bytes(raw, 2 * width);
    }
    buf_add(out, signature);
    return buf_status(out);
}
