/*
 * An HCL report.  Property: its parts lie in the blob where the header says,
 * zeros behind the variable data change nothing, and every fault has a field.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "verifier/az_vtpm/hcl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_padded(struct str blob, enum hcl_type type, const struct hcl_report *first)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1024 * 1024);
    buf_add(&b, blob);
    buf_add_byte(&b, '\0');
    if (buf_status(&b) != OK)
        return;
    struct hcl_report again;
    struct hcl_fault fault = {0};
    if (hcl_parse(buf_str(&b), type, &again, &fault) != OK ||
        !str_equal(again.variable_data, first->variable_data) ||
        !str_equal(again.hardware, first->hardware))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const enum hcl_type types[] = {HCL_SNP, HCL_TDX};
    struct str blob = str_bytes(data, size);
    unsigned accepted = 0;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct hcl_report r;
        struct hcl_fault fault = {0};
        if (hcl_parse(blob, types[i], &r, &fault) != OK) {
            if (fault.field == NULL || fault.message == NULL)
                abort();
            continue;
        }
        accepted++;
        if (r.hardware.ptr != blob.ptr + 0x20 || r.hardware.len != HCL_HARDWARE_LEN ||
            r.variable_data.ptr != blob.ptr + HCL_HEADER_LEN ||
            r.variable_data.len > blob.len - HCL_HEADER_LEN)
            abort();
        check_padded(blob, types[i], &r);
    }
    if (accepted > 1)
        abort();
    return 0;
}
