/* Evidence of an Azure machine; evidence_property.h has the property. */
#include "evidence_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evidence_must_fail("az-snp-vtpm", str_bytes(data, size), NULL);
    evidence_must_fail("aztdxvtpm", str_bytes(data, size), NULL);
    return 0;
}
