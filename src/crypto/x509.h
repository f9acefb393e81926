/*
 * x509 - certificates and revocation lists, parsed by OpenSSL, judged by us.
 *
 * Strict where it protects and lenient where the field's hardware is odd: AMD's
 * VCEKs have serial number 0 and spell out RSA-PSS defaults (verifiers.md 6).
 * Certificates are immutable and counted by references.
 */
#pragma once

#include "crypto/crypto.h"

#define CERT_DER_MAX (64 * 1024)
#define CERT_CHAIN_MAX 16

struct cert;

struct cert *cert_ref(struct cert *c);
struct cert *cert_unref(struct cert *c);
DEFINE_CLEANUP(cert, struct cert, cert_unref)

STATUS cert_from_der(struct str der, struct cert **out, struct error *err); /* whole input */
STATUS cert_from_pem(struct str pem, struct cert **out, struct error *err); /* the first block */

/* Every CERTIFICATE block, in order; at most CERT_CHAIN_MAX.  The caller unrefs each. */
STATUS cert_list_from_pem(struct str pem, struct cert **out, size_t *count, struct error *err);

struct str cert_der(const struct cert *c);
struct pubkey *cert_pubkey(const struct cert *c); /* borrowed */
int64_t cert_not_before(const struct cert *c);    /* Unix seconds */
int64_t cert_not_after(const struct cert *c);
bool cert_is_ca(const struct cert *c);
bool cert_is_self_issued(const struct cert *c);

/* Common name of subject / issuer, or empty; RFC 4514 text of either. */
struct str cert_subject_cn(const struct cert *c);
struct str cert_issuer_cn(const struct cert *c);
STATUS cert_subject_text(const struct cert *c, struct buf *out);
STATUS cert_issuer_text(const struct cert *c, struct buf *out);
struct str cert_serial(const struct cert *c); /* big-endian magnitude */
/* SHA-256 of the DER. */
void cert_fingerprint(const struct cert *c, struct digest *out);

/* Content of the extension's OCTET STRING by dotted OID; ERR_NOT_FOUND; ERR_INVALID if it occurs
 * twice. */
STATUS cert_extension(const struct cert *c, const char *oid, struct str *out);

/* The key signed this certificate (any algorithm that OpenSSL and our allow-list know: no MD5, no
 * SHA-1). */
STATUS cert_signed_by(const struct cert *c, const struct pubkey *issuer, struct error *err);

/* now within the validity dates, both ends included. */
bool cert_valid_at(const struct cert *c, int64_t now_s);

/*
 * Path building as X509_verify_cert() without purpose: leaf, untrusted
 * intermediates in any order, self-signed roots; time as given.
 */
STATUS cert_verify_chain(const struct cert *leaf, struct cert *const *untrusted, size_t n_untrusted,
                         struct cert *const *roots, size_t n_roots, int64_t now_s,
                         struct error *err);

/* ---- revocation lists ---- */

#define CRL_DER_MAX (4 * 1024 * 1024)

struct crl;
struct crl *crl_free(struct crl *c);
DEFINE_CLEANUP(crl, struct crl, crl_free)
STATUS crl_from_der(struct str der, struct crl **out, struct error *err);
STATUS crl_from_pem(struct str pem, struct crl **out, struct error *err);
STATUS crl_signed_by(const struct crl *c, const struct pubkey *issuer, struct error *err);
int64_t crl_this_update(const struct crl *c);
int64_t crl_next_update(const struct crl *c); /* INT64_MAX when absent */
struct str crl_issuer_cn(const struct crl *c);
bool crl_revokes(const struct crl *c, struct str serial);
/* cRLNumber (RFC 5280, 5.2.3); ERR_NOT_FOUND when absent, ERR_INVALID beyond 64 bits. */
STATUS crl_number(const struct crl *c, uint64_t *out);
bool crl_has_authority_key_id(const struct crl *c);

/* ---- making certificates: for virtual TEEs and `trustee run` only ---- */

struct cert_extension {
    const char *oid;
    bool critical;
    struct str der; /* content of the OCTET STRING */
};

struct cert_request {
    const char *subject; /* "CN=SEV-VCEK,O=Test" */
    struct str serial;   /* big-endian; {0}: zero */
    int64_t not_before, not_after;
    bool ca;
    bool rsa_pss; /* sign with RSA-PSS SHA-384, salt 48 */
    enum digest_alg digest;
    const struct cert_extension *extensions;
    size_t extension_count;
};

/* `issuer` NULL: self-signed. */
STATUS cert_make(const struct cert_request *req, const struct pubkey *subject_key,
                 const struct cert *issuer, const struct privkey *issuer_key, struct cert **out,
                 struct error *err);
STATUS cert_to_pem(const struct cert *c, struct buf *out);
STATUS crl_make(const struct cert *issuer, const struct privkey *key, int64_t this_update,
                int64_t next_update, const struct str *serials, size_t n, bool rsa_pss,
                struct buf *der_out, struct error *err);
