/* td_claims - what tdx and az-tdx-vtpm say of a trust domain: verifiers-intel.md 9. */
#pragma once

#include "verifier/dcap/dcap.h"

/* "quote", "td_attributes", "platform_instance_id". */
void td_claims(struct dcap_run *r, struct value_builder *claims);

/* What upstream's claims leave out: TD attributes one by one, and dcap_details(). */
value td_details(struct dcap_run *r);

/*
 * Forms of older dialects (attestation-service.md S5): A has the status names
 * of v0.13 and always a `ccel`; `aael` is known to A and B only.
 */
value td_shape(struct arena *a, value claims, enum dialect dialect);
