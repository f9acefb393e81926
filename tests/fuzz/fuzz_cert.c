/*
 * A certificate, a revocation list, PEM text of either (cert_from_pem,
 * crl_from_pem), or a public key.
 * Property: what was read is what was given, and its PEM reads back to it.
 */
#include <stdlib.h>

#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pem(const struct cert *c)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, 4 * CERT_DER_MAX);
    CLEANUP(cert_cleanup) struct cert *back = NULL;
    if (cert_to_pem(c, &pem) != OK)
        abort();
    /* OpenSSL writes DER where it was given something looser outside of what is signed. */
    if (cert_from_pem(buf_str(&pem), &back, NULL) == OK &&
        (!str_equal(cert_subject_cn(c), cert_subject_cn(back)) ||
         !pubkey_equal(cert_pubkey(c), cert_pubkey(back))))
        abort();
}

static void read_everything(const struct cert *c)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024 * 1024);
    status_ignore(cert_subject_text(c, &text));
    status_ignore(cert_issuer_text(c, &text));
    struct digest d;
    cert_fingerprint(c, &d);
    struct str ext;
    static const char *const oids[] = {"2.5.29.19", "1.3.6.1.4.1.3704.1.3.1",
                                       "1.2.840.113741.1.13.1"};
    for (size_t i = 0; i < ARRAY_LEN(oids); i++)
        if (cert_extension(c, oids[i], &ext) == OK && ext.len > cert_der(c).len)
            abort();
    if (cert_serial(c).len > cert_der(c).len)
        abort();

    /* Only a certificate that names itself as issuer can be its own root. */
    struct cert *self = cert_ref((struct cert *)(uintptr_t)c);
    enum status own = cert_signed_by(c, cert_pubkey(c), NULL);
    enum status chain = cert_verify_chain(c, NULL, 0, &self, 1,
                                          cert_not_before(c) / 2 + cert_not_after(c) / 2, NULL);
    if (chain == OK && !cert_is_self_issued(c))
        abort();
    if (own == OK && pubkey_kind(cert_pubkey(c)) == KEY_OTHER)
        abort();
    cert_unref(self);
    check_pem(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size);
    CLEANUP(cert_cleanup) struct cert *c = NULL;
    CLEANUP(crl_cleanup) struct crl *crl = NULL;
    CLEANUP(pubkey_cleanup) struct pubkey *key = NULL;
    struct error err = ERROR_INIT;
    if (cert_from_der(input, &c, &err) == OK) {
        if (!str_equal(cert_der(c), input))
            abort();
        read_everything(c);
    } else if (err.text[0] == '\0') {
        abort();
    }
    if (crl_from_der(input, &crl, NULL) == OK) {
        (void)crl_revokes(crl, STR("\1"));
        (void)crl_issuer_cn(crl);
        if (crl_next_update(crl) == INT64_MIN)
            abort();
    }
    if (pubkey_from_der(input, &key, NULL) == OK) {
        CLEANUP(buf_done) struct buf der;
        buf_init(&der, 64 * 1024);
        CLEANUP(pubkey_cleanup) struct pubkey *back = NULL;
        if (pubkey_kind(key) == KEY_OTHER || pubkey_to_der(key, &der) != OK ||
            pubkey_from_der(buf_str(&der), &back, NULL) != OK || !pubkey_equal(key, back))
            abort();
    }

    CLEANUP(crl_cleanup) struct crl *pem_crl = NULL;
    if (crl_from_pem(input, &pem_crl, NULL) == OK && crl_next_update(pem_crl) == INT64_MIN)
        abort();

    struct cert *list[CERT_CHAIN_MAX];
    size_t n = 0;
    if (cert_list_from_pem(input, list, &n, NULL) == OK)
        while (n > 0)
            cert_unref(list[--n]);
    return 0;
}
