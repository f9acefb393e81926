/* verifiers - the entries of the table in verifier.c, one a TEE. */
#pragma once

#include "verifier/verifier.h"

extern const struct verifier verifier_sample, verifier_sample_device;
extern const struct verifier verifier_snp, verifier_az_snp_vtpm;
extern const struct verifier verifier_tdx, verifier_az_tdx_vtpm, verifier_sgx, verifier_tpm;
