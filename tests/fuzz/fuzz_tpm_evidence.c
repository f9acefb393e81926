/*
 * Evidence of a plain TPM; evidence_property.h has the property.  Whoever has a
 * key can sign a quote with it, but no fuzzer factors the one of a corpus.
 */
#include "evidence_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evidence_must_fail("tpm", str_bytes(data, size), NULL);
    return 0;
}
