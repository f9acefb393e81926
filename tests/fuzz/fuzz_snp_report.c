/*
 * An SNP report: bytes, or (text that begins with "{") its JSON form.
 * Property: parts lie inside; what the JSON form became reads back to the
 * numbers that it held.
 */
#include <stdlib.h>

#include "value/json.h"
#include "verifier/snp/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bytes(struct str bytes)
{
    struct snp_report r;
    if (snp_report_parse(bytes, &r) != OK) {
        if (bytes.len >= SNP_REPORT_LEN)
            abort();
        return;
    }
    const struct str parts[] = {r.report_data, r.measurement, r.host_data, r.id_key_digest,
                                r.chip_id,     r.signed_part, r.r,         r.s};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].ptr < bytes.ptr || parts[i].ptr + parts[i].len > bytes.ptr + SNP_REPORT_LEN)
            abort();
    size_t offset = 0;
    if (!snp_report_reserved_zero(&r, &offset) &&
        (offset >= SNP_REPORT_LEN || bytes.ptr[offset] == 0))
        abort();
    enum snp_generation g = SNP_MILAN;
    enum snp_generation_status st = snp_report_generation(&r, &g);
    if ((st == SNP_GENERATION_NO_FAMILY) != (r.version < 3) ||
        (st == SNP_GENERATION_OK && (r.family == 0x1a) != (g == SNP_TURIN)))
        abort();
}

static void check_json(struct arena *a, value report)
{
    uint8_t bytes[SNP_REPORT_LEN];
    const char *field = NULL, *wanted = NULL;
    enum status st = snp_report_from_json(a, report, bytes, &field, &wanted);
    if (st == ERR_INVALID && (field == NULL || wanted == NULL))
        abort();
    if (st != OK)
        return;
    struct snp_report r;
    uint64_t n = 0;
    if (snp_report_parse(str_bytes(bytes, sizeof(bytes)), &r) != OK ||
        !value_get_uint64(value_get_lit(report, "version"), &n) || n != r.version ||
        !value_get_uint64(value_get_lit(report, "policy"), &n) || n != r.policy ||
        value_len(value_get_lit(report, "measurement")) != r.measurement.len)
        abort();
    for (size_t i = 0; i < r.measurement.len; i++)
        if (!value_get_uint64(value_at(value_get_lit(report, "measurement"), i), &n) ||
            n != (uint8_t)r.measurement.ptr[i])
            abort();
    check_bytes(r.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size);
    if (size == 0 || data[0] != '{') {
        check_bytes(input);
        return 0;
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    value v;
    if (json_parse(&a, input, NULL, &v, NULL) == OK)
        check_json(&a, v);
    return 0;
}
