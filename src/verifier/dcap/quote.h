/*
 * quote - Intel's attestation quotes: versions 3 (SGX), 4 and 5 (TDX).
 *
 * verifiers-intel.md 2; Intel "DCAP ECDSA Quote Library API", appendix A.
 * Little-endian but for keys and signatures.  Bytes behind the signature data
 * are allowed and ignored: guests pad.  Bytes in, borrowed parts out.
 */
#pragma once

#include "base/defs.h"

#define QUOTE_LEN_MAX (64 * 1024) /* 4.6 to 8 KiB in the field */
#define QUOTE_HEADER_LEN 48
#define SGX_BODY_LEN 384
#define TD10_BODY_LEN 584
#define TD15_BODY_LEN 648

enum quote_body { QUOTE_SGX, QUOTE_TD10, QUOTE_TD15 };

struct dcap_quote {
    uint16_t version;
    enum quote_body kind;
    struct str header;     /* 48 bytes */
    struct str descriptor; /* version 5: type and size of the body, 6 bytes; else empty */
    struct str body;
    struct str signed_part; /* header to body */
    struct str signature;   /* r || s, 64 bytes */
    struct str key;         /* x || y of the attestation key, 64 bytes */
    struct str qe_report;   /* 384 bytes, an SGX report body */
    struct str qe_signature;
    struct str qe_auth;
    struct str pck_chain; /* PEM */
};

/* A field of a report body, for claims and comparison. */
struct body_field {
    const char *name;
    uint16_t offset, len;
};
extern const struct body_field sgx_body_fields[], td_body_fields[];
extern const size_t sgx_body_field_count;
/* Fields of a TD body: those of TD 1.5 come last. */
size_t td_body_field_count(enum quote_body kind);

/* Bytes of a field by name; empty for an unknown one. */
struct str quote_field(const struct dcap_quote *q, const char *name);
struct str sgx_body_field(struct str body, const char *name);

struct quote_fault {
    const char *field; /* "/header/version" */
    char message[128]; /* upstream's text */
};

/* ERR_INVALID: *fault says why. */
STATUS dcap_quote_parse(struct str bytes, struct dcap_quote *out, struct quote_fault *fault);
