/*
 * intel - quotes of Intel's quoting enclaves: SGX version 3, TDX versions 4 and
 * 5, with the PCK certificate of a platform (../shared/spec/verifiers-intel.md 2, 3).
 *
 * The report body is kept as bytes; fields point into it.  What differs between
 * the kinds is its length and where it stands.
 */
#pragma once

#include "virtualtee/fault.h"
#include "virtualtee/field.h"
#include "virtualtee/pki.h"

#define INTEL_HEADER_LEN 48
#define SGX_BODY_LEN 384
#define TD10_BODY_LEN 584
#define TD15_BODY_LEN 648
#define INTEL_QUOTE_MAX (32 * 1024 + UINT16_MAX)
#define SGX_REPORT_DATA 320 /* offsets of report data */
#define TD_REPORT_DATA 520

struct intel_machine {
    bool tdx;
    uint16_t version;   /* 3, 4, 5 */
    uint16_t body_type; /* of version 5: 2 TD 1.0, 3 TD 1.5 */
    uint16_t padding;   /* bytes behind the quote, as Azure's 70 */
    uint8_t user_data[20];
    uint16_t qe_svn, pce_svn; /* of version 3's header */
    uint8_t body[TD15_BODY_LEN];

    /* The platform: what its PCK certificate says. */
    bool processor_ca;
    uint8_t fmspc[6], pceid[2], ppid[16], instance_id[16];
    uint8_t tcb_components[16], cpusvn[16];
    uint16_t pcesvn;
    uint8_t sgx_type;
    bool dynamic_platform, cached_keys, smt_enabled;
    int64_t pck_not_before, pck_not_after;

    /* Its quoting enclave. */
    uint8_t qe_body[SGX_BODY_LEN];
    struct field_long_data qe_auth;
};

extern const struct field intel_fields[], sgx_fields[], tdx_fields[];
extern const size_t intel_field_count, sgx_field_count, tdx_field_count;

/* An up-to-date platform; TDX: version 4, a TD 1.0. */
void intel_machine_init(struct intel_machine *m, bool tdx);

/* Length and place of the report body of the machine's version. */
size_t intel_body_len(const struct intel_machine *m);

struct intel_build {
    struct intel_machine m;
    uint8_t header[INTEL_HEADER_LEN], descriptor[6];
    uint8_t qe_report[SGX_BODY_LEN];
    uint8_t key[64]; /* x || y of the attestation key */
    struct buf signature, qe_signature;
    uint16_t certification, qe_certification; /* types: 6 and 5 */
    const struct privkey *qe_key, *pck_key;
    const struct privkey *pck_issuer_key;
    const char *pck_name;
    bool pck_extension;   /* the SGX extension is there */
    struct buf pck_chain; /* PEM */
    struct buf quote;
};

void intel_build_init(struct intel_build *b, const struct intel_machine *m);
void intel_build_done(struct intel_build *b);

/*
 * Build the quote for that report data (as it is, zeros behind it), with the
 * faults that strike on the way.  `build` is what a fault gets: it begins with
 * the intel_build.
 */
STATUS intel_build_quote(struct intel_build *b, struct pki *p, struct str report_data,
                         const struct fault *fault, void *build, struct error *err);
