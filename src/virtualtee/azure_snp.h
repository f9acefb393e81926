/*
 * azure_snp - an Azure confidential VM on AMD SEV-SNP: a hardware report under
 * the paravisor's vTPM (../shared/spec/verifiers-azure-vtpm.md).
 *
 * A machine is made of fields; azure_snp_evidence() builds bit-exact evidence
 * of it for any report data.  One thread a machine.
 */
#pragma once

#include "virtualtee/amd_machine.h"
#include "virtualtee/azure_vtpm.h"
#include "virtualtee/fault.h"

struct azure_snp {
    struct azure_vtpm vtpm;
    struct amd_machine amd;
    struct vek_cache vcek;
    struct report_cache report;
};

/* What a fault's apply() gets. */
struct azure_snp_build {
    struct amd_build hw;
    struct azure_build az;
};

extern const struct fault azure_snp_faults[];
extern const size_t azure_snp_fault_count;

void azure_snp_init(struct azure_snp *m);
void azure_snp_done(struct azure_snp *m);

/* Append the evidence JSON; `fault` may be NULL.  ERR_UNSUPPORTED: no such evidence version. */
STATUS azure_snp_evidence(struct azure_snp *m, struct pki *p, const struct fault *fault,
                          struct str report_data, struct buf *out, struct error *err);

/*
 * What a paravisor puts into the vTPM and Azure's metadata service serves: the
 * HCL report (appended to `hcl`) that names the attestation key `ak`, and the
 * VCEK.  User data is that of the fields, else zeros.  The caller unrefs *vcek.
 */
STATUS azure_snp_endorse(struct azure_snp *m, struct pki *p, const struct pubkey *ak,
                         struct buf *hcl, struct cert **vcek, struct error *err);
