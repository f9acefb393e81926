/*
 * plain_snp - a guest on AMD SEV-SNP that sends its report and certificates
 * itself (../shared/spec/verifiers-snp.md 1).
 *
 * The report travels decoded: JSON members, and the signature over the bytes
 * that the verifier puts together from them.
 */
#pragma once

#include "virtualtee/amd_machine.h"

/* What `cert_chain` holds. */
enum snp_chain {
    SNP_CHAIN_VEK,  /* the VCEK or VLEK alone */
    SNP_CHAIN_FULL, /* then ASK (or ASVK) and ARK */
    SNP_CHAIN_NONE, /* null: the verifier has to find the VCEK */
};

struct plain_snp {
    struct amd_machine amd;
    uint8_t chain;  /* enum snp_chain */
    bool old_shape; /* members of guests up to v0.13 */
    struct vek_cache vek;
    struct report_cache report;
};

#define SNP_CERTS_MAX 3
#define SNP_CERT_DER_MAX (16 * 1024)

struct snp_cert {
    const char *type; /* "VCEK" */
    struct buf der;
};

struct plain_snp_build {
    struct amd_build hw;
    struct snp_cert certs[SNP_CERTS_MAX];
    size_t cert_count;
    bool has_chain;
    struct buf json;
};

extern const struct field plain_snp_fields[];
extern const size_t plain_snp_field_count;
extern const struct fault plain_snp_faults[];
extern const size_t plain_snp_fault_count;

void plain_snp_init(struct plain_snp *m);
void plain_snp_done(struct plain_snp *m);

/* Append the evidence JSON; `fault` may be NULL. */
STATUS plain_snp_evidence(struct plain_snp *m, struct pki *p, const struct fault *fault,
                          struct str report_data, struct buf *out, struct error *err);
