#include "crypto/x509.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/x509_internal.h"

/* PEM of CERT_CHAIN_MAX certificates with room for text between them. */
#define PEM_MAX (4 * 1024 * 1024)

/* ---- counting ---- */

struct cert *cert_ref(struct cert *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

struct cert *cert_unref(struct cert *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    X509_free(c->x);
    pubkey_unref(c->key);
    free(c->subject_cn);
    free(c->issuer_cn);
    free(c);
    return NULL;
}

/* ---- parsing ---- */

static STATUS asn1_time_to_s(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
        return ERR_INVALID;
    const struct utc utc = {
        .year = tm.tm_year + 1900,
        .month = tm.tm_mon + 1,
        .day = tm.tm_mday,
        .hour = tm.tm_hour,
        .minute = tm.tm_min,
        .second = tm.tm_sec,
    };
    *out = utc_to_s(&utc);
    return OK;
}

/* The first common name as UTF-8 in the heap; *out stays NULL where there is none. */
static STATUS name_cn(const X509_NAME *name, char **out, size_t *len)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0)
        return OK;
    unsigned char *text = NULL;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (n < 0)
        return ERR_INVALID;
    *out = malloc((size_t)n + 1);
    if (*out != NULL) {
        memcpy(*out, text, (size_t)n);
        *len = (size_t)n;
    }
    OPENSSL_free(text);
    return *out == NULL ? ERR_NOMEM : OK;
}

static STATUS read_fields(struct cert *c, struct error *err)
{
    if (asn1_time_to_s(X509_get0_notBefore(c->x), &c->not_before) != OK ||
        asn1_time_to_s(X509_get0_notAfter(c->x), &c->not_after) != OK)
        return crypto_failed(ERR_INVALID, err, "certificate has no valid dates");

    enum status st = name_cn(X509_get_subject_name(c->x), &c->subject_cn, &c->subject_cn_len);
    if (st == OK)
        st = name_cn(X509_get_issuer_name(c->x), &c->issuer_cn, &c->issuer_cn_len);
    if (st != OK)
        return crypto_failed(
            st, err, st == ERR_NOMEM ? "out of memory" : "certificate has a malformed name");

    EVP_PKEY *pkey = X509_get_pubkey(c->x);
    if (pkey == NULL)
        return crypto_failed(ERR_INVALID, err, "certificate has no readable public key");
    st = pubkey_wrap(pkey, &c->key, err);
    if (st != OK)
        return st;

    /* Reads and remembers the extensions, which otherwise the first chain would do under a lock. */
    X509_check_purpose(c->x, -1, 0);
    c->ca = X509_check_ca(c->x) == 1;
    ERR_clear_error();
    return OK;
}

/* Takes over `x`. */
static STATUS wrap(X509 *x, struct str der, struct cert **out, struct error *err)
{
    CLEANUP(cert_cleanup) struct cert *c = calloc(1, sizeof(*c) + der.len);
    if (c == NULL) {
        X509_free(x);
        return error_nomem(err);
    }
    atomic_init(&c->refs, 1);
    c->x = x;
    c->der_len = der.len;
    memcpy(c->der, der.ptr, der.len);

    enum status st = read_fields(c, err);
    if (st == OK)
        *out = TAKE(c);
    return st;
}

enum status cert_from_der(struct str der, struct cert **out, struct error *err)
{
    if (der.len > CERT_DER_MAX) {
        error_set(err, "certificate is longer than %d bytes", CERT_DER_MAX);
        return ERR_LIMIT;
    }
    const unsigned char *p = str_u8(der);
    X509 *x = d2i_X509(NULL, &p, (long)der.len);
    if (x == NULL)
        return crypto_failed(ERR_INVALID, err, "not a certificate in DER");
    if (p != str_u8(der) + der.len) {
        X509_free(x);
        error_set(err, "certificate has bytes after its end");
        return ERR_INVALID;
    }
    return wrap(x, der, out, err);
}

/*
 * The next block with one of two names; blocks of other kinds are passed over
 * (files of keys and certificates are common).  ERR_NOT_FOUND at the end.
 */
static STATUS pem_next(BIO *bio, const char *want, const char * or, unsigned char **data, long *len)
{
    for (;;) {
        char *name = NULL, *header = NULL;
        if (PEM_read_bio(bio, &name, &header, data, len) != 1) {
            bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            return crypto_failed(end ? ERR_NOT_FOUND : ERR_INVALID, NULL, "");
        }
        bool found = strcmp(name, want) == 0 || strcmp(name, or) == 0;
        OPENSSL_free(name);
        OPENSSL_free(header);
        if (found)
            return OK;
        OPENSSL_clear_free(*data, (size_t)*len);
    }
}

static STATUS pem_open(struct str pem, BIO **out, struct error *err)
{
    if (pem.len > PEM_MAX) {
        error_set(err, "PEM text is longer than %d bytes", PEM_MAX);
        return ERR_LIMIT;
    }
    *out = BIO_new_mem_buf(pem.len == 0 ? "" : pem.ptr, (int)pem.len);
    return *out != NULL ? OK : crypto_failed(ERR_NOMEM, err, "out of memory");
}

static STATUS pem_next_cert(BIO *bio, struct cert **out, struct error *err)
{
    unsigned char *data = NULL;
    long len = 0;
    enum status st = pem_next(bio, PEM_STRING_X509, PEM_STRING_X509_OLD, &data, &len);
    if (st != OK) {
        error_set(err, st == ERR_NOT_FOUND ? "PEM text has no certificate" : "malformed PEM text");
        return st;
    }
    st = cert_from_der(str_bytes(data, (size_t)len), out, err);
    OPENSSL_free(data);
    return st;
}

enum status cert_from_pem(struct str pem, struct cert **out, struct error *err)
{
    CLEANUP(bio_cleanup) BIO *bio = NULL;
    enum status st = pem_open(pem, &bio, err);
    if (st == OK)
        st = pem_next_cert(bio, out, err);
    return st == ERR_NOT_FOUND ? ERR_INVALID : st;
}

enum status cert_list_from_pem(struct str pem, struct cert **out, size_t *count, struct error *err)
{
    CLEANUP(bio_cleanup) BIO *bio = NULL;
    enum status st = pem_open(pem, &bio, err);
    size_t n = 0;
    while (st == OK) {
        struct cert *c = NULL;
        st = pem_next_cert(bio, &c, err);
        if (st != OK)
            break;
        if (n == CERT_CHAIN_MAX) {
            cert_unref(c);
            error_set(err, "PEM text has more than %d certificates", CERT_CHAIN_MAX);
            st = ERR_LIMIT;
            break;
        }
        out[n++] = c;
    }
    if (st == ERR_NOT_FOUND && n > 0) {
        *count = n;
        return OK;
    }
    while (n-- > 0)
        out[n] = cert_unref(out[n]);
    return st == ERR_NOT_FOUND ? ERR_INVALID : st;
}

/* ---- reading ---- */

struct str cert_der(const struct cert *c)
{
    return str_bytes(c->der, c->der_len);
}

struct pubkey *cert_pubkey(const struct cert *c)
{
    return c->key;
}

int64_t cert_not_before(const struct cert *c)
{
    return c->not_before;
}

int64_t cert_not_after(const struct cert *c)
{
    return c->not_after;
}

bool cert_valid_at(const struct cert *c, int64_t now_s)
{
    return now_s >= c->not_before && now_s <= c->not_after;
}

bool cert_is_ca(const struct cert *c)
{
    return c->ca;
}

bool cert_is_self_issued(const struct cert *c)
{
    return X509_NAME_cmp(X509_get_subject_name(c->x), X509_get_issuer_name(c->x)) == 0;
}

struct str cert_subject_cn(const struct cert *c)
{
    return c->subject_cn == NULL ? STR_EMPTY : str_bytes(c->subject_cn, c->subject_cn_len);
}

struct str cert_issuer_cn(const struct cert *c)
{
    return c->issuer_cn == NULL ? STR_EMPTY : str_bytes(c->issuer_cn, c->issuer_cn_len);
}

static STATUS name_text(const X509_NAME *name, struct buf *out)
{
    CLEANUP(bio_cleanup) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL ||
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
        return crypto_failed(ERR_NOMEM, NULL, "");
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, str_bytes(text, (size_t)len));
    return buf_status(out);
}

enum status cert_subject_text(const struct cert *c, struct buf *out)
{
    return name_text(X509_get_subject_name(c->x), out);
}

enum status cert_issuer_text(const struct cert *c, struct buf *out)
{
    return name_text(X509_get_issuer_name(c->x), out);
}

struct str cert_serial(const struct cert *c)
{
    const ASN1_INTEGER *n = X509_get0_serialNumber(c->x);
    return str_bytes(ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n));
}

void cert_fingerprint(const struct cert *c, struct digest *out)
{
    digest_compute(DIGEST_SHA256, cert_der(c), out);
}

enum status cert_extension(const struct cert *c, const char *oid, struct str *out)
{
    ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
    if (obj == NULL)
        return crypto_failed(ERR_NOMEM, NULL, "");
    int at = X509_get_ext_by_OBJ(c->x, obj, -1);
    bool twice = at >= 0 && X509_get_ext_by_OBJ(c->x, obj, at) >= 0;
    ASN1_OBJECT_free(obj);
    if (at < 0)
        return ERR_NOT_FOUND;
    if (twice)
        return ERR_INVALID;
    const ASN1_OCTET_STRING *content = X509_EXTENSION_get_data(X509_get_ext(c->x, at));
    *out = str_bytes(ASN1_STRING_get0_data(content), (size_t)ASN1_STRING_length(content));
    return OK;
}

/* ---- signatures ---- */

static bool digest_is_allowed(int nid)
{
    return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

/*
 * RFC 4055, 3.1.  The defaults are SHA-1, so hash and mask must be spelled
 * out; the trailer field may be (AMD's older certificates do) and must then be 1.
 */
static bool pss_is_allowed(const X509_ALGOR *alg)
{
    const void *value = NULL;
    int type = 0;
    X509_ALGOR_get0(NULL, &type, &value, alg);
    if (type != V_ASN1_SEQUENCE)
        return false;
    RSA_PSS_PARAMS *pss = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
    if (pss == NULL)
        return false;

    bool ok = false;
    const ASN1_OBJECT *hash = NULL, *mask = NULL;
    if (pss->hashAlgorithm != NULL && pss->maskGenAlgorithm != NULL && pss->saltLength != NULL) {
        const void *mask_param = NULL;
        X509_ALGOR_get0(&hash, NULL, NULL, pss->hashAlgorithm);
        X509_ALGOR_get0(&mask, &type, &mask_param, pss->maskGenAlgorithm);
        X509_ALGOR *mgf = OBJ_obj2nid(mask) == NID_mgf1 && type == V_ASN1_SEQUENCE
                              ? ASN1_item_unpack(mask_param, ASN1_ITEM_rptr(X509_ALGOR))
                              : NULL;
        const ASN1_OBJECT *mgf_hash = NULL;
        if (mgf != NULL)
            X509_ALGOR_get0(&mgf_hash, NULL, NULL, mgf);
        const EVP_MD *md = EVP_get_digestbynid(OBJ_obj2nid(hash));
        ok = mgf_hash != NULL && OBJ_cmp(hash, mgf_hash) == 0 &&
             digest_is_allowed(OBJ_obj2nid(hash)) && md != NULL &&
             ASN1_INTEGER_get(pss->saltLength) == EVP_MD_get_size(md) &&
             (pss->trailerField == NULL || ASN1_INTEGER_get(pss->trailerField) == 1);
        X509_ALGOR_free(mgf);
    }
    RSA_PSS_PARAMS_free(pss);
    return ok;
}

/* The algorithm is one of ours and belongs to the issuer's kind of key. */
static bool algorithm_fits(const X509_ALGOR *alg, enum key_kind kind)
{
    const ASN1_OBJECT *obj = NULL;
    X509_ALGOR_get0(&obj, NULL, NULL, alg);
    int nid = OBJ_obj2nid(obj), md = 0, pk = 0;
    if (nid == NID_rsassaPss)
        return kind == KEY_RSA && pss_is_allowed(alg);
    if (nid == NID_ED25519)
        return kind == KEY_ED25519;
    if (OBJ_find_sigid_algs(nid, &md, &pk) != 1 || !digest_is_allowed(md))
        return false;
    if (pk == NID_rsaEncryption)
        return kind == KEY_RSA;
    return pk == NID_X9_62_id_ecPublicKey && curve_of(kind) != NULL && kind != KEY_SM2;
}

static STATUS check_algorithm(const X509_ALGOR *alg, const struct pubkey *issuer, const char *what,
                              struct error *err)
{
    bool fits =
        algorithm_fits(alg, issuer->kind) && (issuer->kind != KEY_RSA || issuer->bits >= 2048);
    ERR_clear_error();
    if (fits)
        return OK;
    error_set(err, "%s is signed with an algorithm that is not accepted, or not the issuer's",
              what);
    return ERR_DENIED;
}

enum status cert_signed_by(const struct cert *c, const struct pubkey *issuer, struct error *err)
{
    enum status st = check_algorithm(X509_get0_tbs_sigalg(c->x), issuer, "certificate", err);
    if (st != OK)
        return st;
    /* This also compares the algorithm inside with the one beside the signature. */
    if (X509_verify(c->x, issuer->pkey) != 1)
        return crypto_failed(ERR_DENIED, err, "certificate is not signed by its issuer's key");
    return OK;
}

/* ---- chains ---- */

static STATUS chain_error(X509_STORE_CTX *ctx, struct error *err)
{
    int code = X509_STORE_CTX_get_error(ctx);
    int depth = X509_STORE_CTX_get_error_depth(ctx);
    ERR_clear_error();
    if (code == X509_V_ERR_OUT_OF_MEM)
        return error_nomem(err);
    error_set(err, "certificate chain does not verify at depth %d: %s", depth,
              X509_verify_cert_error_string(code));
    return ERR_DENIED;
}

/* Each certificate of the chain that was built is also judged by our own list. */
static STATUS check_built_chain(X509_STORE_CTX *ctx, struct error *err)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
        EVP_PKEY *pkey = X509_get_pubkey(sk_X509_value(chain, i + 1));
        if (pkey == NULL)
            return crypto_failed(ERR_DENIED, err, "certificate has no readable public key");
        CLEANUP(pubkey_cleanup) struct pubkey *issuer = NULL;
        enum status st = pubkey_wrap(pkey, &issuer, err);
        if (st == OK)
            st = check_algorithm(X509_get0_tbs_sigalg(sk_X509_value(chain, i)), issuer,
                                 "certificate", err);
        if (st != OK)
            return st;
    }
    return OK;
}

static bool push_all(STACK_OF(X509) * stack, struct cert *const *certs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sk_X509_push(stack, certs[i]->x) <= 0)
            return false;
    return true;
}

static STATUS run_chain(X509_STORE_CTX *ctx, X509_STORE *store, const struct cert *leaf,
                        STACK_OF(X509) * untrusted, int64_t now_s, struct error *err)
{
    if (X509_STORE_CTX_init(ctx, store, leaf->x, untrusted) != 1)
        return crypto_failed(ERR_NOMEM, err, "out of memory");
    X509_STORE_CTX_set_time(ctx, 0, (time_t)now_s);
    if (X509_verify_cert(ctx) != 1)
        return chain_error(ctx, err);
    return check_built_chain(ctx, err);
}

enum status cert_verify_chain(const struct cert *leaf, struct cert *const *untrusted,
                              size_t n_untrusted, struct cert *const *roots, size_t n_roots,
                              int64_t now_s, struct error *err)
{
    if (n_untrusted > CERT_CHAIN_MAX) {
        error_set(err, "more than %d certificates in a chain", CERT_CHAIN_MAX);
        return ERR_LIMIT;
    }
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *stack = sk_X509_new_null();
    bool ready =
        store != NULL && ctx != NULL && stack != NULL && push_all(stack, untrusted, n_untrusted);
    for (size_t i = 0; ready && i < n_roots; i++)
        ready = X509_STORE_add_cert(store, roots[i]->x) == 1;

    enum status st = ready ? run_chain(ctx, store, leaf, stack, now_s, err)
                           : crypto_failed(ERR_NOMEM, err, "out of memory");
    X509_STORE_CTX_free(ctx);
    sk_X509_free(stack);
    X509_STORE_free(store);
    ERR_clear_error();
    return st;
}

/* ---- revocation lists ---- */

struct crl *crl_free(struct crl *c)
{
    if (c == NULL)
        return NULL;
    X509_CRL_free(c->x);
    free(c->issuer_cn);
    free(c);
    return NULL;
}

/*
 * RFC 5280, 5.2: a list with a critical extension that is not understood must
 * not be used.  Delta lists (5.2.4) are of that kind here.
 */
static bool crl_extensions_known(const X509_CRL *x)
{
    for (int i = 0; i < X509_CRL_get_ext_count(x); i++) {
        X509_EXTENSION *ext = X509_CRL_get_ext(x, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));
        if (X509_EXTENSION_get_critical(ext) && nid != NID_authority_key_identifier &&
            nid != NID_crl_number && nid != NID_issuing_distribution_point)
            return false;
    }
    return true;
}

static STATUS read_crl(struct crl *c, struct error *err)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(c->x);
    c->next_update = INT64_MAX;
    if (asn1_time_to_s(X509_CRL_get0_lastUpdate(c->x), &c->this_update) != OK ||
        (next != NULL && asn1_time_to_s(next, &c->next_update) != OK))
        return crypto_failed(ERR_INVALID, err, "revocation list has no valid dates");
    if (!crl_extensions_known(c->x)) {
        error_set(err, "revocation list has a critical extension that is not known");
        return ERR_UNSUPPORTED;
    }
    enum status st = name_cn(X509_CRL_get_issuer(c->x), &c->issuer_cn, &c->issuer_cn_len);
    if (st != OK)
        return crypto_failed(
            st, err, st == ERR_NOMEM ? "out of memory" : "revocation list has a malformed issuer");
    ERR_clear_error();
    return OK;
}

enum status crl_from_der(struct str der, struct crl **out, struct error *err)
{
    if (der.len > CRL_DER_MAX) {
        error_set(err, "revocation list is longer than %d bytes", CRL_DER_MAX);
        return ERR_LIMIT;
    }
    const unsigned char *p = str_u8(der);
    X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.len);
    if (x == NULL)
        return crypto_failed(ERR_INVALID, err, "not a revocation list in DER");

    CLEANUP(crl_cleanup) struct crl *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        X509_CRL_free(x);
        return error_nomem(err);
    }
    c->x = x;
    if (p != str_u8(der) + der.len) {
        error_set(err, "revocation list has bytes after its end");
        return ERR_INVALID;
    }
    enum status st = read_crl(c, err);
    if (st == OK)
        *out = TAKE(c);
    return st;
}

enum status crl_from_pem(struct str pem, struct crl **out, struct error *err)
{
    CLEANUP(bio_cleanup) BIO *bio = NULL;
    enum status st = pem_open(pem, &bio, err);
    if (st != OK)
        return st;
    unsigned char *data = NULL;
    long len = 0;
    if (pem_next(bio, PEM_STRING_X509_CRL, PEM_STRING_X509_CRL, &data, &len) != OK) {
        error_set(err, "PEM text has no revocation list");
        return ERR_INVALID;
    }
    st = crl_from_der(str_bytes(data, (size_t)len), out, err);
    OPENSSL_free(data);
    return st;
}

enum status crl_signed_by(const struct crl *c, const struct pubkey *issuer, struct error *err)
{
    const X509_ALGOR *alg = NULL;
    X509_CRL_get0_signature(c->x, NULL, &alg);
    enum status st = check_algorithm(alg, issuer, "revocation list", err);
    if (st != OK)
        return st;
    if (X509_CRL_verify(c->x, issuer->pkey) != 1)
        return crypto_failed(ERR_DENIED, err, "revocation list is not signed by its issuer's key");
    return OK;
}

int64_t crl_this_update(const struct crl *c)
{
    return c->this_update;
}

int64_t crl_next_update(const struct crl *c)
{
    return c->next_update;
}

struct str crl_issuer_cn(const struct crl *c)
{
    return c->issuer_cn == NULL ? STR_EMPTY : str_bytes(c->issuer_cn, c->issuer_cn_len);
}

static struct str without_zeros(struct str n)
{
    while (n.len > 0 && n.ptr[0] == 0)
        n = str_from(n, 1);
    return n;
}

bool crl_revokes(const struct crl *c, struct str serial)
{
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(c->x);
    struct str want = without_zeros(serial);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        const ASN1_INTEGER *n = X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i));
        struct str have = str_bytes(ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n));
        if (str_equal(without_zeros(have), want))
            return true;
    }
    return false;
}

enum status crl_number(const struct crl *c, uint64_t *out)
{
    int critical = 0;
    ASN1_INTEGER *n = X509_CRL_get_ext_d2i(c->x, NID_crl_number, &critical, NULL);
    if (n == NULL) {
        ERR_clear_error();
        return critical == -1 ? ERR_NOT_FOUND : ERR_INVALID;
    }
    int ok = ASN1_INTEGER_get_uint64(out, n);
    ASN1_INTEGER_free(n);
    ERR_clear_error();
    return ok == 1 ? OK : ERR_INVALID;
}

bool crl_has_authority_key_id(const struct crl *c)
{
    return X509_CRL_get_ext_by_NID(c->x, NID_authority_key_identifier, -1) >= 0;
}
