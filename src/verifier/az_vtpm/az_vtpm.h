/*
 * az_vtpm - what Azure's SNP and TDX machines have in common: evidence forms,
 * HCL report, attestation key, TPM quote, user data, PCR claims.
 *
 *   hardware key -> report -> variable data -> AK -> TPM quote -> nonce, PCRs
 *
 * verifiers-azure-vtpm.md 1 to 5.  HARDEN az-1: only the launch measurement of
 * the paravisor tells Azure's chain from one that the owner of any SNP or TDX
 * machine makes; az_check_paravisor() compares it.
 */
#pragma once

#include "verifier/az_vtpm/hcl.h"
#include "verifier/deny_check.h"
#include "verifier/tpm/quote.h"
#include "verifier/verifier_internal.h"

#define AZ_PCRS_MAX 64 /* presented; a quote covers 24 */
#define AZ_EXTRA_MAX (64 * 1024)

/* What differs between the two machines. */
struct az_machine {
    enum hcl_type type;
    const char *undecodable;                     /* upstream's text of step 2 */
    const char *v0_quote, *v0_report, *v0_extra; /* member names of version 0 */
    const char *extra;                           /* of versions 1 and 2: "vcek", "td_quote" */
    bool v0_extra_is_text;                       /* a PEM text, not an array of bytes */
};

struct az_run {
    struct verify *v;
    const struct az_machine *machine;
    int version; /* 0, 1, 2 */
    struct str signature, message, pcrs[AZ_PCRS_MAX];
    size_t pcr_count;
    struct str blob, extra;
    const char *quote_field, *hcl_field, *hardware_field, *extra_field; /* JSON pointers */

    struct hcl_report hcl;
    value variable_data;
    struct tpm_quote quote;
    struct digest ak_spki; /* SHA-256 of the AK's SubjectPublicKeyInfo; with a deny list only */
};

/* Steps 1 and 2: report data is expected, the evidence decodes. */
STATUS az_open(struct az_run *r);

/* Steps 3 to 7: HCL blob, AK, quote signature, nonce, PCR digest. */
STATUS az_check_quote(struct az_run *r);

/* Step 8 (SNP) or 11 (TDX): the hardware report's data begins with the digest of the variable data.
 */
STATUS az_check_variable_data(struct az_run *r, const char *field, struct str report_data,
                              const char *message);

/* Step 9: version 2 carries the report data in the variable data, too. */
STATUS az_check_user_data(struct az_run *r);

/* HARDEN az-1: one of the names of the paravisor is in the configured list, if there is one. */
STATUS az_check_paravisor(struct az_run *r, const char *field, const struct str *names, size_t n);

/* Step 17: PCR 8 is what one extension with the init data digest gives. */
STATUS az_check_init_data(struct az_run *r);

/* What a deny list may name: the AK. */
void az_deny_facts(struct az_run *r, struct deny_facts *f);

/* Claims "tpm", "report_data" (the nonce) and "init_data" (PCR 8). */
#define AZ_CLAIMS "report_data init_data tpm/pcr# "
void az_claims(struct az_run *r, struct value_builder *claims);
