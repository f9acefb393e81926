/*
 * Evidence of a TDX or SGX guest; evidence_property.h has the property.
 * Through it: dcap_open().
 */
#include "evidence_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    evidence_must_fail("tdx", str_bytes(data, size), NULL);
    evidence_must_fail("sgx", str_bytes(data, size), NULL);
    return 0;
}
