/* td_claims - what tdx and az-tdx-vtpm say of a trust domain: verifiers-intel.md 9. */
#pragma once

#include "verifier/dcap/dcap.h"

/* "quote", "td_attributes", "platform_instance_id". */
#define TD_CLAIMS /* and what td_shape() adds */                                                   \
    "quote/header/version quote/header/att_key_type quote/header/tee_type quote/header/reserved "  \
    "quote/header/vendor_id quote/header/user_data quote/type quote/size quote/body/tcb_svn "      \
    "quote/body/mr_seam quote/body/mrsigner_seam quote/body/seam_attributes "                      \
    "quote/body/td_attributes quote/body/xfam quote/body/mr_td quote/body/mr_config_id "           \
    "quote/body/mr_owner quote/body/mr_owner_config quote/body/rtmr_0 quote/body/rtmr_1 "          \
    "quote/body/rtmr_2 quote/body/rtmr_3 quote/body/report_data quote/body/tee_tcb_svn2 "          \
    "quote/body/mr_servicetd td_attributes/debug td_attributes/septve_disable "                    \
    "td_attributes/protection_keys td_attributes/key_locker td_attributes/perfmon ccel "
void td_claims(struct dcap_run *r, struct value_builder *claims);

/* What upstream's claims leave out: TD attributes one by one, and dcap_details(). */
value td_details(struct dcap_run *r);

/*
 * Forms of older dialects (attestation-service.md S5): A has the status names
 * of v0.13 and always a `ccel`; `aael` is known to A and B only.
 */
value td_shape(struct arena *a, value claims, enum dialect dialect);
