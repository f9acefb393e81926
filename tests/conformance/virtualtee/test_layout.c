/*
 * Bytes of real machines, made again: every field of a recorded SNP report and
 * TPM quote is set by name, and the result must be the recorded bytes.  (What
 * is signed cannot be made again; what is under the signature can.)
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "value/json.h"
#include "virtualtee/azure_snp.h"

#include "tap.h"

#define FILE_MAX (1024 * 1024)

static bool load(struct arena *a, const char *relative, struct str *out)
{
    const char *path = tap_shared(relative);
    if (path == NULL)
        return false;
    struct buf text;
    buf_init(&text, FILE_MAX);
    struct error err = ERROR_INIT;
    enum status st = file_read(path, &text, &err);
    if (st == OK)
        *out = arena_str(a, buf_str(&text));
    buf_done(&text);
    return CHECK_STATUS_ROW(st, OK, &err, relative);
}

/* Set a field of the processor from `len` little-endian bytes, or as hex. */
static void set_from(struct amd_machine *m, const char *name, const uint8_t *p, unsigned len,
                     bool number)
{
    const struct field_table table = {amd_fields, amd_field_count, 0};
    const struct field *f = field_find(&table, str_of(name));
    char text[2 * 64 + 1];
    uint64_t n = 0;
    for (unsigned i = len; number && i > 0; i--)
        n = n << 8 | p[i - 1];
    if (number)
        snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    for (unsigned i = 0; i < len && !number; i++)
        snprintf(text + 2 * i, 3, "%02x", p[i]);
    struct error err = ERROR_INIT;
    if (CHECK_ROW(f != NULL, name)) {
        enum status st = field_set(f, m, str_of(text), &err);
        CHECK_STATUS_ROW(st, OK, &err, name);
    }
}

/* AMD 56860; verifiers-snp.md 2. */
static const struct {
    const char *name;
    unsigned offset, len;
    bool number;
    uint8_t min_version;
} layout[] = {
    {"report_version", 0x000, 4, true, 0},
    {"guest_svn", 0x004, 4, true, 0},
    {"policy", 0x008, 8, true, 0},
    {"family_id", 0x010, 16, false, 0},
    {"image_id", 0x020, 16, false, 0},
    {"vmpl", 0x030, 4, true, 0},
    {"signature_algorithm", 0x034, 4, true, 0},
    {"platform_info", 0x040, 8, true, 0},
    {"report_data", 0x050, 64, false, 0},
    {"measurement", 0x090, 48, false, 0},
    {"host_data", 0x0C0, 32, false, 0},
    {"id_key_digest", 0x0E0, 48, false, 0},
    {"author_key_digest", 0x110, 48, false, 0},
    {"report_id", 0x140, 32, false, 0},
    {"report_id_ma", 0x160, 32, false, 0},
    {"cpuid_family", 0x188, 1, true, 3},
    {"cpuid_model", 0x189, 1, true, 3},
    {"cpuid_stepping", 0x18A, 1, true, 3},
    {"chip_id", 0x1A0, 64, false, 0},
    {"current_build", 0x1E8, 1, true, 0},
    {"current_minor", 0x1E9, 1, true, 0},
    {"current_major", 0x1EA, 1, true, 0},
    {"committed_build", 0x1EC, 1, true, 0},
    {"committed_minor", 0x1ED, 1, true, 0},
    {"committed_major", 0x1EE, 1, true, 0},
    {"launch_mit_vector", 0x1F8, 8, true, 5},
    {"current_mit_vector", 0x200, 8, true, 5},
};

static void set_tcb(struct amd_machine *m, const char *prefix, const uint8_t *p, bool turin)
{
    static const char *const parts[] = {"fmc", "bootloader", "tee", "snp", "microcode"};
    static const int before[] = {-1, 0, 1, 6, 7}, of_turin[] = {0, 1, 2, 3, 7};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int at = turin ? of_turin[i] : before[i];
        char name[64];
        snprintf(name, sizeof(name), "%s_%s", prefix, parts[i]);
        set_from(m, name, at >= 0 ? p + at : (const uint8_t *)"", 1, true);
    }
}

static void check_report(const char *name, const uint8_t *p)
{
    struct amd_machine m;
    amd_machine_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(layout); i++) {
        if (p[0] >= layout[i].min_version)
            set_from(&m, layout[i].name, p + layout[i].offset, layout[i].len, layout[i].number);
    }
    bool turin = p[0] >= 3 && p[0x188] == 0x1A;
    if (p[0] < 3)
        m.report.cpuid_family = 0;
    set_tcb(&m, "current_tcb", p + 0x038, turin);
    set_tcb(&m, "reported_tcb", p + 0x180, turin);
    set_tcb(&m, "committed_tcb", p + 0x1E0, turin);
    set_tcb(&m, "launch_tcb", p + 0x1F0, turin);
    m.report.key_info = load_le32(p + 0x048);

    uint8_t got[AMD_REPORT_LEN];
    amd_report_write(&m.report, got);
    for (size_t i = 0; i < AMD_SIGNED_LEN; i++) {
        if (got[i] != p[i]) {
            printf("# %s: byte 0x%zx is %02x, not %02x\n", name, i, got[i], p[i]);
            break;
        }
    }
    CHECK_ROW(memcmp(got, p, AMD_SIGNED_LEN) == 0, name);
}

static void test_reports(void)
{
    static const struct {
        const char *file;
        size_t offset;
    } rows[] = {
        {"vectors/verifiers/az-snp-vtpm/raw/hcl-report.bin", 32},
        {"vectors/verifiers/az-snp-vtpm/kinvolk/hcl-report-snp.bin", 32},
        {"vectors/verifiers/snp/milan-v2.report.bin", 0},
        {"vectors/verifiers/snp/milan-v2-gce.report.bin", 0},
        {"vectors/verifiers/snp/milan-v3-aci.report.bin", 0},
        {"vectors/verifiers/snp/milan-v3-vlek-vmpl1.report.bin", 0},
        {"vectors/verifiers/snp/genoa-v3-aci.report.bin", 0},
        {"vectors/verifiers/snp/turin-v5-aci.report.bin", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, FILE_MAX);
        struct str bytes;
        if (load(&a, rows[i].file, &bytes) &&
            CHECK_ROW(bytes.len >= rows[i].offset + AMD_REPORT_LEN, rows[i].file))
            check_report(rows[i].file, (const uint8_t *)bytes.ptr + rows[i].offset);
    }
}

/* TPMS_ATTEST of a recorded quote, taken apart and made again; then the HCL header. */
static void check_azure(const char *name, struct str message, value pcrs, struct str blob)
{
    struct azure_build b = {.names = NULL};
    azure_vtpm_init(&b.vtpm);
    buf_init(&b.message, 1024);
    buf_init(&b.variable_data, HCL_BLOB_MAX);
    buf_init(&b.hcl, HCL_BLOB_MAX);
    struct azure_vtpm *v = &b.vtpm;
    const uint8_t *p = (const uint8_t *)message.ptr;
    size_t signer = load_be16(p + 6), nonce = load_be16(p + 8 + signer);
    v->qualified_signer.len = (uint8_t)signer;
    memcpy(v->qualified_signer.bytes, p + 8, signer);
    b.report_data = str_slice(message, 10 + signer, nonce);
    const uint8_t *clock = p + 10 + signer + nonce;
    v->clock = load_be64(clock);
    v->reset_count = load_be32(clock + 8);
    v->restart_count = load_be32(clock + 12);
    v->safe = clock[16] != 0;
    v->firmware_version = load_be64(clock + 17);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, FILE_MAX);
    for (size_t i = 0; i < VTPM_PCRS; i++) {
        struct str pcr;
        if (CHECK_ROW(hex_bytes(&a, value_str(value_at(pcrs, i)), &pcr, NULL) == OK, name))
            memcpy(v->pcrs[i], pcr.ptr, VTPM_PCR_LEN);
    }
    struct error err = ERROR_INIT;
    enum status st = azure_build_quote(&b, &err);
    CHECK_STATUS_ROW(st, OK, &err, name);
    CHECK_STR_ROW(buf_str(&b.message), message, name);

    v->hcl_version = load_le32(blob.ptr + 4);
    v->hcl_size = (uint32_t)blob.len;
    buf_add(&b.variable_data, str_slice(blob, HCL_VARIABLE_OFFSET, load_le32(blob.ptr + 0x4D0)));
    memcpy(b.hardware, blob.ptr + 32, HCL_HARDWARE_LEN);
    st = azure_build_hcl(&b, &err);
    CHECK_STATUS_ROW(st, OK, &err, name);
    CHECK_STR_ROW(buf_str(&b.hcl), blob, name);
    azure_build_done(&b);
}

static void test_azure(void)
{
    static const char *const files[] = {"v1", "v2", "milan-report-v2", "milan-empty-nonce"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 8 * FILE_MAX);
        char path[96];
        snprintf(path, sizeof(path), "vectors/verifiers/az-snp-vtpm/%s.evidence.json", files[i]);
        struct str text, message, blob;
        value v;
        if (!load(&a, path, &text))
            continue;
        enum status st = json_parse(&a, text, NULL, &v, NULL);
        if (st == OK)
            st = hex_bytes(&a, value_str(value_pointer(v, STR("/tpm_quote/message"))), &message,
                           NULL);
        if (st == OK)
            st = base64_bytes(&a, value_str(value_get_lit(v, "hcl_report")), BASE64_URL_ANY, &blob,
                              NULL);
        if (CHECK_ROW(st == OK, files[i]))
            check_azure(files[i], message, value_pointer(v, STR("/tpm_quote/pcrs")), blob);
    }
}

int main(void)
{
    test_reports();
    test_azure();
    return tap_done();
}
