/* cert - a self-signed certificate for 127.0.0.1, made at test time. */
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "tap.h"

/* Writes DIR/name.crt and DIR/name.key, DIR being the test's own. */
static inline void make_cert(const char *name, char cert_path[256], char key_path[256])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    X509_sign(cert, key, EVP_sha256());

    snprintf(cert_path, 256, "%s/%s.crt", tap_tmpdir(), name);
    snprintf(key_path, 256, "%s/%s.key", tap_tmpdir(), name);
    FILE *f = fopen(cert_path, "w");
    CHECK(f != NULL && PEM_write_X509(f, cert) == 1 && fclose(f) == 0);
    f = fopen(key_path, "w");
    CHECK(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
          fclose(f) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}
