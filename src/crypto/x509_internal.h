/* What x509.c and x509_make.c share. */
#pragma once

#include <openssl/x509.h>

#include "base/clock.h"
#include "crypto/crypto_internal.h"
#include "crypto/x509.h"

struct cert {
    _Atomic unsigned refs;
    X509 *x;
    struct pubkey *key;
    int64_t not_before, not_after;
    bool ca;
    char *subject_cn, *issuer_cn; /* UTF-8, or NULL */
    size_t subject_cn_len, issuer_cn_len;
    size_t der_len;
    unsigned char der[];
};

struct crl {
    X509_CRL *x;
    int64_t this_update, next_update;
    char *issuer_cn;
    size_t issuer_cn_len;
};
