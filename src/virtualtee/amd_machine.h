/*
 * amd_machine - the processor under a virtual SEV-SNP guest: what its firmware
 * reports, and the certificate that its maker issued for it.
 *
 * Part of the machines of azure_snp and snp.  The certificate follows the
 * report (chip id, reported TCB) unless a field or a fault says otherwise.
 */
#pragma once

#include "virtualtee/fault.h"
#include "virtualtee/field.h"
#include "virtualtee/vek.h"

struct amd_machine {
    struct amd_report report;
    /* -1: as reported_tcb_* */
    int16_t vek_fmc, vek_bootloader, vek_tee, vek_snp, vek_microcode;
    struct field_data vek_chip_id; /* unset: chip_id */
    int64_t vek_not_before, vek_not_after;
    char vek_common_name[FIELD_TEXT_MAX];
    char vek_product_name[FIELD_TEXT_MAX];
    char vek_csp_id[FIELD_TEXT_MAX];
};

extern const struct field amd_fields[];
extern const size_t amd_field_count;

/* A Milan processor with a current TCB, running a production guest. */
void amd_machine_init(struct amd_machine *m);

enum amd_generation amd_machine_generation(const struct amd_machine *m);

/* What to ask vek_make() for. */
void amd_machine_vek(const struct amd_machine *m, struct vek_request *out);

/* The key that signs its reports, borrowed. */
const struct privkey *amd_machine_key(const struct amd_machine *m, const struct pki *p);

/* A certificate that is made again only when the request changes: it costs an RSA-4096 signature.
 */
struct vek_cache {
    struct vek_request request;
    struct cert *cert;
};
STATUS vek_cache_get(struct vek_cache *c, struct pki *p, const struct vek_request *req,
                     struct cert **out, struct error *err); /* borrowed */
void vek_cache_done(struct vek_cache *c);

/*
 * The last signed report: a vTPM whose variable data does not change (evidence
 * versions 0 and 1) shows the same one for every nonce, as Azure's does.
 */
struct report_cache {
    const struct privkey *key;
    uint8_t report[AMD_REPORT_LEN];
};
STATUS report_cache_sign(struct report_cache *c, uint8_t report[AMD_REPORT_LEN],
                         const struct privkey *key, struct error *err);

/*
 * The part of a build that has to do with the processor.  It is the first
 * member of the builds of azure_snp and plain_snp, so that faults can be shared.
 */
struct amd_build {
    struct amd_machine amd;
    struct vek_request vek;
    const struct privkey *key; /* signs the report */
    uint8_t report[AMD_REPORT_LEN];
};

/* Key and certificate request, by the fields as they are now. */
void amd_build_choose(struct amd_build *b, const struct pki *p);

/* Write and sign the report, with the faults that strike there. */
STATUS amd_build_report(struct amd_build *b, struct report_cache *cache, const struct fault *fault,
                        struct error *err);

/* Faults of processor and certificate that both machines have; `build` begins with amd_build. */
void amd_fault_version(void *build);
void amd_fault_family(void *build);
void amd_fault_model(void *build);
void amd_fault_algorithm(void *build);
void amd_fault_key_kind(void *build);
void amd_fault_vmpl(void *build);
void amd_fault_weak_curve(void *build);
void amd_fault_issuer(void *build);
void amd_fault_expired(void *build);
void amd_fault_early(void *build);
void amd_fault_no_microcode(void *build);
void amd_fault_wide_snp(void *build);
void amd_fault_no_chip(void *build);
void amd_fault_other_chip(void *build);
void amd_fault_tcb_microcode(void *build);
void amd_fault_tcb_snp(void *build);
void amd_fault_tcb_tee(void *build);
void amd_fault_tcb_bootloader(void *build);
void amd_fault_tcb_fmc(void *build);
