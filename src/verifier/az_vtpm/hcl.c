#include "verifier/az_vtpm/hcl.h"

static enum status refuse(struct hcl_fault *fault, const char *field, const char *message,
                          uint64_t expected, uint64_t actual)
{
    *fault = (struct hcl_fault){field, message, expected, actual};
    return ERR_INVALID;
}

STATUS hcl_parse(struct str blob, enum hcl_type type, struct hcl_report *out,
                 struct hcl_fault *fault)
{
    if (blob.len < HCL_HEADER_LEN)
        return refuse(fault, "", "invalid report size", HCL_HEADER_LEN, blob.len);

    /* HARDEN az-3: upstream looks at neither the mark nor the kind of request. */
    const uint8_t *p = (const uint8_t *)blob.ptr;
    if (memcmp(p, "HCLA", 4) != 0)
        return refuse(fault, "/signature", "HCL report does not begin with HCLA", load_le32("HCLA"),
                      load_le32(p));
    if (load_le32(p + 0x0c) != 2)
        return refuse(fault, "/request_type", "HCL report is no attestation report", 2,
                      load_le32(p + 0x0c));

    uint64_t variable = load_le32(p + 0x4d0), data = load_le32(p + 0x4c0);
    if (variable > blob.len - HCL_HEADER_LEN)
        return refuse(fault, "/variable_data_size", "invalid report size",
                      blob.len - HCL_HEADER_LEN, variable);
    if (data != variable + 20)
        return refuse(fault, "/data_size", "invalid report size", variable + 20, data);
    if (load_le32(p + 0x4c8) != (uint32_t)type)
        return refuse(fault, "/report_type", "invalid report type", type, load_le32(p + 0x4c8));
    if (load_le32(p + 0x4cc) != 1)
        return refuse(fault, "/hash_type", "variable data is not bound by SHA-256", 1,
                      load_le32(p + 0x4cc));

    *out = (struct hcl_report){load_le32(p + 0x04), type, str_slice(blob, 0x20, HCL_HARDWARE_LEN),
                               str_slice(blob, HCL_HEADER_LEN, variable)};
    return OK;
}
