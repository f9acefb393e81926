#include "crypto/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "crypto/x509_internal.h"

static inline void x509_cleanup(X509 **x)
{
    X509_free(*x);
}

static inline void x509_crl_cleanup(X509_CRL **x)
{
    X509_CRL_free(*x);
}

static inline void md_ctx_cleanup(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

/* "CN=A,O=B" without escapes, in that order. */
static bool add_name(X509_NAME *name, struct str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = str_find(text, ',', at);
        struct str part = str_slice(text, at, end - at);
        size_t eq = str_find(part, '=', 0);
        char key[16];
        if (eq == 0 || eq >= sizeof(key) || eq == part.len)
            return false;
        memcpy(key, part.ptr, eq);
        key[eq] = '\0';
        struct str val = str_from(part, eq + 1);
        if (X509_NAME_add_entry_by_txt(name, key, MBSTRING_UTF8, str_u8(val), (int)val.len, -1,
                                       0) != 1)
            return false;
        at = end + 1;
    }
    return true;
}

static ASN1_INTEGER *make_serial(struct str magnitude)
{
    BIGNUM *n = BN_bin2bn(str_u8(magnitude), (int)magnitude.len, NULL);
    ASN1_INTEGER *serial = n == NULL ? NULL : BN_to_ASN1_INTEGER(n, NULL);
    BN_free(n);
    return serial;
}

static bool set_serial(X509 *x, struct str magnitude)
{
    ASN1_INTEGER *serial = make_serial(magnitude);
    bool ok = serial != NULL && X509_set_serialNumber(x, serial) == 1;
    ASN1_INTEGER_free(serial);
    return ok;
}

static bool add_extension(X509 *x, const struct cert_extension *ext)
{
    ASN1_OBJECT *obj = OBJ_txt2obj(ext->oid, 1);
    ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
    bool ok = false;
    if (obj != NULL && content != NULL &&
        ASN1_OCTET_STRING_set(content, str_u8(ext->der), (int)ext->der.len) == 1) {
        X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, obj, ext->critical, content);
        ok = e != NULL && X509_add_ext(x, e, -1) == 1;
        X509_EXTENSION_free(e);
    }
    ASN1_OBJECT_free(obj);
    ASN1_OCTET_STRING_free(content);
    return ok;
}

/* RFC 5280, 4.2.1.3 and 4.2.1.9: what path building asks of an issuer. */
static bool add_ca(X509 *x)
{
    const struct cert_extension constraints = {"2.5.29.19", true, STR("\x30\x03\x01\x01\xff")};
    const struct cert_extension usage = {"2.5.29.15", true, STR("\x03\x02\x01\x06")};
    return add_extension(x, &constraints) && add_extension(x, &usage);
}

static bool fill(X509 *x, const struct cert_request *req, const struct pubkey *subject_key,
                 const struct cert *issuer)
{
    X509_NAME *name = X509_get_subject_name(x);
    if (X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x, req->serial) ||
        !add_name(name, str_of(req->subject)) ||
        X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer->x) : name) != 1 ||
        ASN1_TIME_set(X509_getm_notBefore(x), (time_t)req->not_before) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(x), (time_t)req->not_after) == NULL ||
        X509_set_pubkey(x, subject_key->pkey) != 1)
        return false;
    if (req->ca && !add_ca(x))
        return false;
    for (size_t i = 0; i < req->extension_count; i++)
        if (!add_extension(x, &req->extensions[i]))
            return false;
    return true;
}

/* A context that is ready to sign; NULL on failure. */
static EVP_MD_CTX *signing_context(const struct privkey *key, enum digest_alg digest, bool rsa_pss)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL; /* the context's */
    const EVP_MD *md =
        key->pub->kind == KEY_ED25519 ? NULL : crypto_lib()->md[rsa_pss ? DIGEST_SHA384 : digest];
    if (ctx != NULL && EVP_DigestSignInit(ctx, &pctx, md, NULL, key->pub->pkey) == 1 &&
        (!rsa_pss || (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                      EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 48) > 0)))
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

enum status cert_make(const struct cert_request *req, const struct pubkey *subject_key,
                      const struct cert *issuer, const struct privkey *issuer_key,
                      struct cert **out, struct error *err)
{
    CLEANUP(x509_cleanup) X509 *x = X509_new();
    if (x == NULL || !fill(x, req, subject_key, issuer))
        return crypto_failed(ERR_INVALID, err, "certificate could not be made");
    CLEANUP(md_ctx_cleanup)
    EVP_MD_CTX *ctx = signing_context(issuer_key, req->digest, req->rsa_pss);
    if (ctx == NULL || X509_sign_ctx(x, ctx) <= 0)
        return crypto_failed(ERR_INVALID, err, "certificate could not be signed");

    /* Read back from its bytes, so that what is handed out is what others will see. */
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    if (len <= 0)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    enum status st = cert_from_der(str_bytes(der, (size_t)len), out, err);
    OPENSSL_free(der);
    return st;
}

enum status cert_to_pem(const struct cert *c, struct buf *out)
{
    CLEANUP(bio_cleanup) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_X509(bio, c->x) != 1)
        return crypto_failed(ERR_NOMEM, NULL, "");
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, str_bytes(text, (size_t)len));
    return buf_status(out);
}

static bool add_revoked(X509_CRL *x, struct str magnitude, int64_t at_s)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *serial = make_serial(magnitude);
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)at_s);
    bool ok = entry != NULL && serial != NULL && at != NULL &&
              X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
              X509_REVOKED_set_revocationDate(entry, at) == 1 &&
              X509_CRL_add0_revoked(x, entry) == 1;
    if (!ok)
        X509_REVOKED_free(entry);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(at);
    return ok;
}

static bool set_update_times(X509_CRL *x, int64_t this_update, int64_t next_update)
{
    ASN1_TIME *last = ASN1_TIME_set(NULL, (time_t)this_update);
    ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)next_update);
    bool ok = last != NULL && next != NULL && X509_CRL_set1_lastUpdate(x, last) == 1 &&
              X509_CRL_set1_nextUpdate(x, next) == 1;
    ASN1_TIME_free(last);
    ASN1_TIME_free(next);
    return ok;
}

static bool add_crl_extension(X509_CRL *x, const char *oid, const void *der, size_t len)
{
    ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = NULL;
    if (obj != NULL && content != NULL && ASN1_OCTET_STRING_set(content, der, (int)len) == 1)
        e = X509_EXTENSION_create_by_OBJ(NULL, obj, 0, content);
    bool ok = e != NULL && X509_CRL_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    ASN1_OBJECT_free(obj);
    ASN1_OCTET_STRING_free(content);
    return ok;
}

/* RFC 5280, 5.2.1 and 5.2.3: every list has a number and the key id of its issuer. */
static bool add_crl_extensions(X509_CRL *x, const struct cert *issuer)
{
    static const uint8_t number[] = {0x02, 0x01, 0x01};
    uint8_t key_id[24] = {0x30, 22, 0x80, 20}; /* SEQUENCE { [0] SHA-1 of the public key } */
    unsigned len = 0;
    return X509_pubkey_digest(issuer->x, EVP_sha1(), key_id + 4, &len) == 1 && len == 20 &&
           add_crl_extension(x, "2.5.29.20", number, sizeof(number)) &&
           add_crl_extension(x, "2.5.29.35", key_id, sizeof(key_id));
}

enum status crl_make(const struct cert *issuer, const struct privkey *key, int64_t this_update,
                     int64_t next_update, const struct str *serials, size_t n, bool rsa_pss,
                     struct buf *der_out, struct error *err)
{
    CLEANUP(x509_crl_cleanup) X509_CRL *x = X509_CRL_new();
    bool ok = x != NULL && X509_CRL_set_version(x, X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(x, X509_get_subject_name(issuer->x)) == 1 &&
              set_update_times(x, this_update, next_update);
    for (size_t i = 0; ok && i < n; i++)
        ok = add_revoked(x, serials[i], this_update);
    if (!ok || !add_crl_extensions(x, issuer))
        return crypto_failed(ERR_INVALID, err, "revocation list could not be made");

    CLEANUP(md_ctx_cleanup) EVP_MD_CTX *ctx = signing_context(key, DIGEST_SHA256, rsa_pss);
    if (ctx == NULL || X509_CRL_sort(x) != 1 || X509_CRL_sign_ctx(x, ctx) <= 0)
        return crypto_failed(ERR_INVALID, err, "revocation list could not be signed");
    unsigned char *der = NULL;
    int len = i2d_X509_CRL(x, &der);
    if (len <= 0)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    buf_add(der_out, str_bytes(der, (size_t)len));
    OPENSSL_free(der);
    return buf_status(der_out);
}
