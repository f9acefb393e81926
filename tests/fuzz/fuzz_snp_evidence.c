/*
 * Evidence of a plain SNP guest or a TPM; evidence_property.h has the property.
 * Through it: snp_vek_parse().
 */
#include "evidence_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evidence_must_fail("snp", str_bytes(data, size), NULL);
    evidence_must_fail("tpm", str_bytes(data, size), NULL);
    return 0;
}
