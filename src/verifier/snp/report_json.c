/* The report as guests send it, decoded into JSON members: verifiers-snp.md 1. */
#include "verifier/snp/report.h"

enum member_kind {
    M_U8,
    M_U32,
    M_U64,
    M_BYTES,
    M_TCB,     /* object; the layout of its bytes depends on the generation */
    M_TCB_OLD, /* object with `_reserved` */
    M_U8_NULL, /* a byte or null: 0 */
    M_U64_OPT, /* a number, null or absent: 0 */
};

struct member {
    const char *name; /* "a" or "a/b": pointer without its first slash */
    enum member_kind kind;
    uint16_t offset, len;
};

/* v0.14 and later (sev crate 6). */
static const struct member members[] = {
    {"version", M_U32, 0x00, 4},
    {"guest_svn", M_U32, 0x04, 4},
    {"policy", M_U64, 0x08, 8},
    {"family_id", M_BYTES, 0x10, 16},
    {"image_id", M_BYTES, 0x20, 16},
    {"vmpl", M_U32, 0x30, 4},
    {"sig_algo", M_U32, 0x34, 4},
    {"current_tcb", M_TCB, 0x38, 8},
    {"plat_info", M_U64, 0x40, 8},
    {"key_info", M_U32, 0x48, 4},
    {"report_data", M_BYTES, 0x50, 64},
    {"measurement", M_BYTES, 0x90, 48},
    {"host_data", M_BYTES, 0xc0, 32},
    {"id_key_digest", M_BYTES, 0xe0, 48},
    {"author_key_digest", M_BYTES, 0x110, 48},
    {"report_id", M_BYTES, 0x140, 32},
    {"report_id_ma", M_BYTES, 0x160, 32},
    {"reported_tcb", M_TCB, 0x180, 8},
    {"cpuid_fam_id", M_U8_NULL, 0x188, 1},
    {"cpuid_mod_id", M_U8_NULL, 0x189, 1},
    {"cpuid_step", M_U8_NULL, 0x18a, 1},
    {"chip_id", M_BYTES, 0x1a0, 64},
    {"committed_tcb", M_TCB, 0x1e0, 8},
    {"current/build", M_U8, 0x1e8, 1},
    {"current/minor", M_U8, 0x1e9, 1},
    {"current/major", M_U8, 0x1ea, 1},
    {"committed/build", M_U8, 0x1ec, 1},
    {"committed/minor", M_U8, 0x1ed, 1},
    {"committed/major", M_U8, 0x1ee, 1},
    {"launch_tcb", M_TCB, 0x1f0, 8},
    {"launch_mit_vector", M_U64_OPT, 0x1f8, 8},
    {"current_mit_vector", M_U64_OPT, 0x200, 8},
    {"signature/r", M_BYTES, 0x2a0, 72},
    {"signature/s", M_BYTES, 0x2e8, 72},
};

/* v0.9 to v0.13 (sev crates 3 and 4): reserved bytes travel, too, and were signed. */
static const struct member old_members[] = {
    {"version", M_U32, 0x00, 4},
    {"guest_svn", M_U32, 0x04, 4},
    {"policy", M_U64, 0x08, 8},
    {"family_id", M_BYTES, 0x10, 16},
    {"image_id", M_BYTES, 0x20, 16},
    {"vmpl", M_U32, 0x30, 4},
    {"sig_algo", M_U32, 0x34, 4},
    {"current_tcb", M_TCB_OLD, 0x38, 8},
    {"plat_info", M_U64, 0x40, 8},
    {"_author_key_en", M_U32, 0x48, 4},
    {"_reserved_0", M_U32, 0x4c, 4},
    {"report_data", M_BYTES, 0x50, 64},
    {"measurement", M_BYTES, 0x90, 48},
    {"host_data", M_BYTES, 0xc0, 32},
    {"id_key_digest", M_BYTES, 0xe0, 48},
    {"author_key_digest", M_BYTES, 0x110, 48},
    {"report_id", M_BYTES, 0x140, 32},
    {"report_id_ma", M_BYTES, 0x160, 32},
    {"reported_tcb", M_TCB_OLD, 0x180, 8},
    {"_reserved_1", M_BYTES, 0x188, 24},
    {"chip_id", M_BYTES, 0x1a0, 64},
    {"committed_tcb", M_TCB_OLD, 0x1e0, 8},
    {"current_build", M_U8, 0x1e8, 1},
    {"current_minor", M_U8, 0x1e9, 1},
    {"current_major", M_U8, 0x1ea, 1},
    {"_reserved_2", M_U8, 0x1eb, 1},
    {"committed_build", M_U8, 0x1ec, 1},
    {"committed_minor", M_U8, 0x1ed, 1},
    {"committed_major", M_U8, 0x1ee, 1},
    {"_reserved_3", M_U8, 0x1ef, 1},
    {"launch_tcb", M_TCB_OLD, 0x1f0, 8},
    {"_reserved_4", M_BYTES, 0x1f8, 168},
    {"signature/r", M_BYTES, 0x2a0, 72},
    {"signature/s", M_BYTES, 0x2e8, 72},
    {"signature/_reserved", M_BYTES, 0x330, 368},
};

/* Digits only, as upstream's decoder wants them: "3.0" and "3e0" are no integers here. */
static bool read_number(value v, uint64_t max, uint64_t *out)
{
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return false;
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str text = value_number_text(v, scratch);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return value_get_uint64(v, out) && *out <= max;
}

static bool read_byte(value v, uint8_t *out)
{
    if (!value_is_small(v) || value_small(v) < 0 || value_small(v) > UINT8_MAX)
        return false;
    *out = (uint8_t)value_small(v);
    return true;
}

static bool read_bytes(value v, uint8_t *out, size_t len)
{
    if (!value_is_array(v) || value_len(v) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!read_byte(value_items(v)[i], &out[i]))
            return false;
    return true;
}

static bool read_byte_or_null(value v, uint8_t *out)
{
    return value_kind(v) == VALUE_KIND_NULL || read_byte(v, out);
}

/* FMC decides nothing: the processor family does (verifiers-snp.md 2). */
static bool read_tcb(value v, bool turin, uint8_t *out)
{
    uint8_t fmc = 0, bootloader, tee, snp, microcode;
    value fmc_member = value_get_lit(v, "fmc");
    if ((value_is_defined(fmc_member) && !read_byte_or_null(fmc_member, &fmc)) ||
        !read_byte(value_get_lit(v, "bootloader"), &bootloader) ||
        !read_byte(value_get_lit(v, "tee"), &tee) || !read_byte(value_get_lit(v, "snp"), &snp) ||
        !read_byte(value_get_lit(v, "microcode"), &microcode))
        return false;
    out[0] = turin ? fmc : bootloader;
    out[1] = turin ? bootloader : tee;
    out[2] = turin ? tee : 0;
    out[3] = turin ? snp : 0;
    out[6] = turin ? 0 : snp;
    out[7] = microcode;
    return true;
}

static bool read_old_tcb(value v, uint8_t *out)
{
    return read_byte(value_get_lit(v, "bootloader"), &out[0]) &&
           read_byte(value_get_lit(v, "tee"), &out[1]) &&
           read_bytes(value_get_lit(v, "_reserved"), &out[2], 4) &&
           read_byte(value_get_lit(v, "snp"), &out[6]) &&
           read_byte(value_get_lit(v, "microcode"), &out[7]);
}

static bool read_member(value v, const struct member *m, bool turin, uint8_t *report)
{
    uint8_t *out = report + m->offset;
    uint64_t n = 0;
    switch (m->kind) {
    case M_U8:
        return read_byte(v, out);
    case M_U8_NULL:
        return read_byte_or_null(v, out);
    case M_U32:
        if (!read_number(v, UINT32_MAX, &n))
            return false;
        store_le32(out, (uint32_t)n);
        return true;
    case M_U64_OPT:
    case M_U64:
        if (m->kind == M_U64_OPT && (!value_is_defined(v) || value_kind(v) == VALUE_KIND_NULL))
            return true;
        if (!read_number(v, UINT64_MAX, &n))
            return false;
        store_le64(out, n);
        return true;
    case M_BYTES:
        return read_bytes(v, out, m->len);
    case M_TCB:
        return read_tcb(v, turin, out);
    case M_TCB_OLD:
        return read_old_tcb(v, out);
    }
    return false;
}

static const char *wanted_text(enum member_kind kind)
{
    static const char *const texts[] = {
        [M_U8] = "number of 8 bits",
        [M_U32] = "number of 32 bits",
        [M_U64] = "number of 64 bits",
        [M_BYTES] = "array of bytes of the field's length",
        [M_TCB] = "TCB object",
        [M_TCB_OLD] = "TCB object",
        [M_U8_NULL] = "number of 8 bits or null",
        [M_U64_OPT] = "number of 64 bits or null",
    };
    return texts[kind];
}

STATUS snp_report_from_json(struct arena *a, value report, uint8_t out[SNP_REPORT_LEN],
                            const char **field, const char **wanted)
{
    if (!value_is_object(report)) {
        *field = "";
        *wanted = "object";
        return ERR_INVALID;
    }
    bool old = value_is_defined(value_get_lit(report, "_author_key_en"));
    const struct member *table = old ? old_members : members;
    size_t count = old ? ARRAY_LEN(old_members) : ARRAY_LEN(members);
    int64_t family = 0;
    bool turin =
        !old && value_get_int64(value_get_lit(report, "cpuid_fam_id"), &family) && family == 0x1a;

    memset(out, 0, SNP_REPORT_LEN);
    for (size_t i = 0; i < count; i++) {
        struct str pointer = arena_format(a, "/%s", table[i].name);
        if (pointer.ptr == NULL)
            return arena_status(a);
        if (!read_member(value_pointer(report, pointer), &table[i], turin, out)) {
            *field = pointer.ptr;
            *wanted = wanted_text(table[i].kind);
            return ERR_INVALID;
        }
    }
    return OK;
}
