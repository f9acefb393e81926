#include "crypto/crypto_internal.h"

#include <assert.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

static const struct {
    const char *name; /* NULL: not to be named from outside */
    size_t len;
} digests[DIGEST_COUNT] = {
    [DIGEST_MD5] = {NULL, 16},        [DIGEST_SHA1] = {NULL, 20},
    [DIGEST_SHA256] = {"sha256", 32}, [DIGEST_SHA384] = {"sha384", 48},
    [DIGEST_SHA512] = {"sha512", 64}, [DIGEST_SM3] = {"sm3", 32},
};

size_t digest_len(enum digest_alg alg)
{
    return digests[alg].len;
}

static bool equal_any_case(struct str a, const char *lower)
{
    if (a.len != strlen(lower))
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char c = a.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != lower[i])
            return false;
    }
    return true;
}

enum status digest_by_name(struct str name, bool any_case, enum digest_alg *out)
{
    for (size_t i = 0; i < DIGEST_COUNT; i++) {
        const char *known = digests[i].name;
        if (known == NULL)
            continue;
        if (any_case ? equal_any_case(name, known) : str_is(name, known)) {
            *out = (enum digest_alg)i;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

/*
 * One context per thread and algorithm, kept: making one costs three
 * allocations, about as much as hashing a nonce, and a kept one makes digests
 * independent of whether memory is left.
 */
static _Thread_local EVP_MD_CTX *contexts[DIGEST_COUNT];
static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;

static void contexts_free(void *array)
{
    EVP_MD_CTX **all = array;
    for (size_t i = 0; i < DIGEST_COUNT; i++) {
        EVP_MD_CTX_free(all[i]);
        all[i] = NULL;
    }
}

static void contexts_key_make(void)
{
    if (pthread_key_create(&contexts_key, contexts_free) != 0)
        abort();
}

static EVP_MD_CTX *digest_begin(enum digest_alg alg)
{
    const EVP_MD *md = crypto_lib()->md[alg];
    EVP_MD_CTX *ctx = contexts[alg];
    if (ctx == NULL) {
        pthread_once(&contexts_once, contexts_key_make);
        ctx = EVP_MD_CTX_new();
        if (md == NULL || ctx == NULL || pthread_setspecific(contexts_key, contexts) != 0)
            abort();
        contexts[alg] = ctx;
    }
    if (EVP_DigestInit_ex(ctx, md, NULL) != 1)
        abort();
    return ctx;
}

void digest_parts(enum digest_alg alg, const struct str *parts, size_t n, struct digest *out)
{
    EVP_MD_CTX *ctx = digest_begin(alg);
    for (size_t i = 0; i < n; i++)
        if (parts[i].len > 0 && EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) != 1)
            abort();
    unsigned len = 0;
    if (EVP_DigestFinal_ex(ctx, out->bytes, &len) != 1)
        abort();
    out->len = len;
}

void digest_compute(enum digest_alg alg, struct str data, struct digest *out)
{
    digest_parts(alg, &data, 1, out);
}

static void hmac_parts(enum digest_alg alg, struct str key, const struct str *parts, size_t n,
                       struct digest *out)
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(crypto_lib()->hmac);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                         (char *)(uintptr_t)digest_openssl_name(alg), 0),
        OSSL_PARAM_construct_end(),
    };
    /* A NULL key would mean "the one from before" (EVP_MAC(3)). */
    const unsigned char *key_ptr = key.len == 0 ? (const unsigned char *)"" : str_u8(key);
    if (ctx == NULL || EVP_MAC_init(ctx, key_ptr, key.len, params) != 1)
        abort();
    for (size_t i = 0; i < n; i++)
        if (parts[i].len > 0 && EVP_MAC_update(ctx, str_u8(parts[i]), parts[i].len) != 1)
            abort();
    if (EVP_MAC_final(ctx, out->bytes, &out->len, sizeof(out->bytes)) != 1)
        abort();
    EVP_MAC_CTX_free(ctx);
}

void hmac_compute(enum digest_alg alg, struct str key, struct str data, struct digest *out)
{
    hmac_parts(alg, key, &data, 1, out);
}

/*
 * RFC 5869, 2.2 and 2.3.  Not EVP_KDF's: that refuses an empty input key, which
 * the RFC allows, and is slower for one block.
 */
void hkdf_compute(enum digest_alg alg, struct str key, struct str salt, struct str info, void *out,
                  size_t out_len)
{
    size_t block = digest_len(alg);
    assert(out_len <= 255 * block);

    static const uint8_t zeros[DIGEST_MAX];
    struct digest prk, t = {.len = 0};
    hmac_compute(alg, salt.len > 0 ? salt : str_bytes(zeros, block), key, &prk);

    uint8_t *w = out;
    for (uint8_t i = 1; out_len > 0; i++) {
        const struct str parts[] = {digest_str(&t), info, str_bytes(&i, 1)};
        struct digest next;
        hmac_parts(alg, digest_str(&prk), parts, ARRAY_LEN(parts), &next);
        t = next;
        size_t n = out_len < block ? out_len : block;
        memcpy(w, t.bytes, n);
        w += n;
        out_len -= n;
        bytes_wipe(&next, sizeof(next));
    }
    bytes_wipe(&prk, sizeof(prk));
    bytes_wipe(&t, sizeof(t));
}

/* NIST SP 800-56A, 5.8.1, with the AlgorithmID, PartyUInfo and PartyVInfo of RFC 7518, 4.6.2. */
void concat_kdf(struct str z, struct str alg_id, struct str apu, struct str apv, uint32_t key_bits,
                uint8_t *out)
{
    uint8_t round[4], alg_len[4], apu_len[4], apv_len[4], bits[4];
    store_be32(alg_len, (uint32_t)alg_id.len);
    store_be32(apu_len, (uint32_t)apu.len);
    store_be32(apv_len, (uint32_t)apv.len);
    store_be32(bits, key_bits);

    const struct str parts[] = {
        str_bytes(round, 4),   z,   str_bytes(alg_len, 4), alg_id, str_bytes(apu_len, 4), apu,
        str_bytes(apv_len, 4), apv, str_bytes(bits, 4),
    };
    size_t left = key_bits / 8;
    struct digest d;
    for (uint32_t i = 1; left > 0; i++) {
        store_be32(round, i);
        digest_parts(DIGEST_SHA256, parts, ARRAY_LEN(parts), &d);
        size_t n = left < d.len ? left : d.len;
        memcpy(out, d.bytes, n);
        out += n;
        left -= n;
    }
    bytes_wipe(&d, sizeof(d));

    /* The thread's context still holds the state that the key came from. */
    digest_compute(DIGEST_SHA256, STR_EMPTY, &d);
}
