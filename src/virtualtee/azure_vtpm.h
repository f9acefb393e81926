/*
 * azure_vtpm - the paravisor (HCL, OpenHCL) of a virtual Azure confidential VM
 * and the vTPM that it owns: HCL report, variable data, quote, PCRs
 * (../shared/spec/verifiers-azure-vtpm.md 2 to 4).
 *
 * Evidence is built in steps.  Everything that a step made stays in the build
 * until the end, and between two steps a fault may change it; so a fault is
 * covered by the signatures that come after it and breaks those before.
 */
#pragma once

#include "virtualtee/fault.h"
#include "virtualtee/field.h"
#include "virtualtee/pki.h"

#define VTPM_PCRS 24
#define VTPM_PCR_LEN 32
#define HCL_HARDWARE_LEN 1184 /* SNP report, or TDREPORT and zeros */
#define HCL_VARIABLE_OFFSET 0x4D4
#define HCL_BLOB_MAX 8192
#define AZURE_TEXT_MAX (128 * 1024) /* one member of the evidence as JSON */

enum { HCL_TYPE_SNP = 2, HCL_TYPE_TDX = 4 };

struct azure_vtpm {
    uint8_t evidence_version; /* 0, 1, 2 */
    uint32_t hcl_version, hcl_request_type, hcl_status;
    uint32_t hcl_data_version, hcl_report_type, hcl_hash_type;
    uint32_t hcl_size; /* of the whole blob: the NV index */
    bool ek_present, user_data_present, user_data_upper;
    bool console_enabled, secure_boot, tpm_enabled;
    char vm_unique_id[FIELD_TEXT_MAX];
    struct field_data user_data; /* unset: the report data in version 2, else zeros */
    struct field_data nonce;     /* unset: the report data */
    struct field_data qualified_signer;
    uint64_t clock, firmware_version;
    uint32_t reset_count, restart_count;
    bool safe;
    uint8_t pcrs[VTPM_PCRS][VTPM_PCR_LEN];
};

/* Of the paravisor, and of any TPM: quote and PCRs. */
extern const struct field azure_vtpm_fields[], tpm_fields[];
extern const size_t azure_vtpm_field_count, tpm_field_count;

void azure_vtpm_init(struct azure_vtpm *v);

/* Measure a digest of init data as a guest does: PCR 8 is extended with its first 32 bytes. */
void azure_vtpm_extend(struct azure_vtpm *v, unsigned pcr, struct str digest);

/* What the boot of such a machine extended a PCR with, once; false: with nothing. */
bool azure_vtpm_boot_digest(unsigned pcr, struct digest *out);

struct vtpm_pcr {
    uint8_t len;
    uint8_t bytes[2 * VTPM_PCR_LEN]; /* room for faults */
};

/* Members of the evidence, as JSON text; `omit`: left out. */
enum azure_member {
    AZURE_VERSION,
    AZURE_SIGNATURE,
    AZURE_MESSAGE,
    AZURE_PCRS,
    AZURE_HCL,
    AZURE_ENDORSEMENT, /* vcek, td_quote */
    AZURE_MEMBERS,
};

/* What differs between the evidence of the two TEEs. */
struct azure_names {
    const char *quote_v0, *hcl_v0, *endorsement;
    bool endorsement_is_text_v0; /* else an array of numbers */
};

struct azure_build {
    const struct azure_names *names;
    struct azure_vtpm vtpm;
    struct str report_data;         /* borrowed */
    const struct privkey *ak;       /* signs the quote */
    const struct pubkey *ak_public; /* named in the variable data */
    const struct pubkey *ek_public;
    const struct privkey *stranger_ak; /* an attacker's, for faults */
    struct buf variable_data;
    uint8_t hardware[HCL_HARDWARE_LEN];
    struct buf hcl;
    struct buf message, signature;
    struct vtpm_pcr pcrs[VTPM_PCRS + 1];
    size_t pcr_count;
    struct buf endorsement; /* DER of the VCEK, or a TD quote */
    struct buf members[AZURE_MEMBERS];
    bool omit[AZURE_MEMBERS];
    bool omit_quote;
};

void azure_build_init(struct azure_build *b, const struct azure_names *names,
                      const struct azure_vtpm *v, const struct pki *p, struct str report_data);
void azure_build_done(struct azure_build *b);

/* The steps, in order. */
STATUS azure_build_variable_data(struct azure_build *b, struct error *err);
STATUS azure_build_hcl(struct azure_build *b, struct error *err);
STATUS azure_build_quote(struct azure_build *b, struct error *err);
STATUS azure_sign_quote(struct azure_build *b, struct error *err);
STATUS azure_build_members(struct azure_build *b, struct error *err);
STATUS azure_write_evidence(const struct azure_build *b, struct buf *out, struct error *err);

/* SHA-256 of the variable data: what the hardware report carries. */
void azure_variable_data_digest(const struct azure_build *b, struct digest *out);

/* Faults whose part of the build is a struct azure_build: of the paravisor, and of any TPM. */
extern const struct fault azure_vtpm_faults[], tpm_faults[];
extern const size_t azure_vtpm_fault_count, tpm_fault_count;

/* Two more, whose fields have other names in each TEE. */
void azure_fault_other_machine(void *part);
void azure_fault_endorsement_text(void *part);
