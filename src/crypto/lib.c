#include "crypto/crypto_internal.h"

#include <openssl/err.h>
#include <pthread.h>

static struct crypto_lib lib;
static pthread_once_t lib_once = PTHREAD_ONCE_INIT;

static const char *const digest_names[DIGEST_COUNT] = {
    [DIGEST_MD5] = "MD5",       [DIGEST_SHA1] = "SHA1",     [DIGEST_SHA256] = "SHA256",
    [DIGEST_SHA384] = "SHA384", [DIGEST_SHA512] = "SHA512", [DIGEST_SM3] = "SM3",
};

static EVP_PKEY *curve_only(enum key_kind kind)
{
    CLEANUP(evp_pkey_ctx_cleanup) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *pkey = NULL;
    if (ctx == NULL || EVP_PKEY_paramgen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_group_name(ctx, curve_of(kind)->name) != 1 ||
        EVP_PKEY_paramgen(ctx, &pkey) != 1)
        return NULL;
    return pkey;
}

static void lib_load(void)
{
    for (size_t i = 0; i < DIGEST_COUNT; i++)
        lib.md[i] = EVP_MD_fetch(NULL, digest_names[i], NULL);
    lib.aes_128_gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    lib.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    lib.aes_128_ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    lib.aes_192_ecb = EVP_CIPHER_fetch(NULL, "AES-192-ECB", NULL);
    lib.aes_256_ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    lib.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    for (enum key_kind kind = KEY_EC_P256; kind <= KEY_EC_P521; kind++)
        lib.curve[kind] = curve_only(kind);
    ERR_clear_error();
}

const struct crypto_lib *crypto_lib(void)
{
    pthread_once(&lib_once, lib_load);
    return &lib;
}

const char *digest_openssl_name(enum digest_alg alg)
{
    return digest_names[alg];
}

enum status crypto_failed(enum status st, struct error *err, const char *what)
{
    unsigned long code;
    bool nomem = false;
    while ((code = ERR_get_error()) != 0)
        nomem = nomem || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    if (nomem)
        return error_nomem(err);
    error_set(err, "%s", what);
    return st;
}
