/*
 * hcl - the attestation report of Azure's paravisor (HCL, OpenHCL), as it
 * stands in a vTPM's NV index: verifiers-azure-vtpm.md 3.
 *
 *   0x000  header: "HCLA", version, report_size, request_type, status
 *   0x020  hardware report: SNP report, or TDREPORT and zeros
 *   0x4c0  data_size, version, report_type, hash_type, variable_data_size
 *   0x4d4  variable data, JSON; then zeros to the end of the index
 *
 * Bytes in, borrowed parts out.
 */
#pragma once

#include "base/defs.h"

#define HCL_HEADER_LEN 0x4d4
#define HCL_HARDWARE_LEN 1184
#define HCL_BLOB_MAX (64 * 1024) /* NV indices hold 2,048 or 2,600 bytes today */

enum hcl_type { HCL_SNP = 2, HCL_TDX = 4 };

struct hcl_report {
    uint32_t version;
    enum hcl_type type;
    struct str hardware;      /* 1184 bytes */
    struct str variable_data; /* what the hardware report's data is the SHA-256 of */
};

/* Where and why a blob is refused. */
struct hcl_fault {
    const char *field;   /* "/report_type", "" for the blob */
    const char *message; /* upstream's text where it has one */
    uint64_t expected, actual;
};

/* ERR_INVALID: *fault says why.  The type must be `type`. */
STATUS hcl_parse(struct str blob, enum hcl_type type, struct hcl_report *out,
                 struct hcl_fault *fault);
