/* What an SNP report and its VEK say beside the claims (AMD 56860, ATTESTATION_REPORT). */
#include "base/clock.h"
#include "verifier/snp/vek.h"

struct bit {
    const char *name;
    unsigned bit;
};

static value bits(struct arena *a, uint64_t word, const struct bit *rows, size_t n)
{
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_put_str(&b, rows[i].name, value_bool(word >> rows[i].bit & 1));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value tcb(struct arena *a, const struct snp_tcb *t, bool turin)
{
    struct value_builder b;
    value_builder_init(&b, a, 5);
    if (turin)
        value_builder_put_str(&b, "fmc", value_small_int(t->fmc));
    value_builder_put_str(&b, "bootloader", value_small_int(t->bootloader));
    value_builder_put_str(&b, "tee", value_small_int(t->tee));
    value_builder_put_str(&b, "snp", value_small_int(t->snp));
    value_builder_put_str(&b, "microcode", value_small_int(t->microcode));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* Firmware version at an offset: build, minor, major. */
static value firmware(struct arena *a, const struct snp_report *r, size_t at)
{
    const uint8_t *p = (const uint8_t *)r->bytes.ptr + at;
    struct str text = arena_format(a, "%u.%u.%u", p[2], p[1], p[0]);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
}

static value vek(struct snp_run *r)
{
    struct arena *a = r->v->a;
    char text[TIME_RFC3339_LEN + 1];
    struct value_builder b;
    value_builder_init(&b, a, 3);
    value_builder_put_str(&b, "kind", value_cstring(a, r->kind == VEK_VLEK ? "vlek" : "vcek"));
    time_write_rfc3339(cert_not_before(r->vek), text);
    value_builder_put_str(&b, "not_before", value_cstring(a, text));
    time_write_rfc3339(cert_not_after(r->vek), text);
    value_builder_put_str(&b, "not_after", value_cstring(a, text));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static void words(struct snp_run *r, struct value_builder *b)
{
    static const struct bit policy[] = {
        {"smt_allowed", 16},   {"migrate_ma", 18},        {"debug_allowed", 19},
        {"single_socket", 20}, {"cxl_allowed", 21},       {"aes_256_xts_required", 22},
        {"rapl_disabled", 23}, {"ciphertext_hiding", 24}, {"page_swap_disabled", 25},
    };
    static const struct bit platform[] = {
        {"smt_enabled", 0},   {"tsme_enabled", 1},      {"ecc_enabled", 2},
        {"rapl_disabled", 3}, {"ciphertext_hiding", 4}, {"alias_check_complete", 5},
        {"tio_enabled", 7},
    };
    static const struct bit key_info[] = {{"author_key_enabled", 0}, {"chip_key_masked", 1}};
    struct arena *a = r->v->a;
    const struct snp_report *rep = &r->report;
    value_builder_put_str(b, "policy", bits(a, rep->policy, policy, ARRAY_LEN(policy)));
    /* alias_check_complete: memory was probed for aliases at boot (BadRAM, AMD-SB-3015). */
    value_builder_put_str(b, "platform",
                          bits(a, rep->platform_info, platform, ARRAY_LEN(platform)));
    value_builder_put_str(b, "key_info", bits(a, rep->key_info, key_info, ARRAY_LEN(key_info)));
}

static void processor(struct snp_run *r, struct value_builder *b)
{
    struct arena *a = r->v->a;
    const struct snp_report *rep = &r->report;
    value_builder_put_str(b, "generation", value_cstring(a, snp_generation_name(r->generation)));
    if (rep->version >= 3) {
        value_builder_put_str(b, "cpuid_family", value_small_int(rep->family));
        value_builder_put_str(b, "cpuid_model", value_small_int(rep->model));
        value_builder_put_str(b, "cpuid_stepping", value_small_int(rep->stepping));
    }
    value_builder_put_str(b, "firmware_current", firmware(a, rep, 0x1e8));
    value_builder_put_str(b, "firmware_committed", firmware(a, rep, 0x1ec));
    if (rep->version >= 5) {
        const char *p = rep->bytes.ptr;
        value_builder_put_str(b, "launch_mit_vector", value_uint(a, load_le64(p + 0x1f8)));
        value_builder_put_str(b, "current_mit_vector", value_uint(a, load_le64(p + 0x200)));
    }
}

static value tcbs(struct snp_run *r)
{
    struct arena *a = r->v->a;
    const struct snp_report *rep = &r->report;
    bool turin = r->generation == SNP_TURIN;
    struct value_builder b;
    value_builder_init(&b, a, 4);
    value_builder_put_str(&b, "current", tcb(a, &rep->current, turin));
    value_builder_put_str(&b, "reported", tcb(a, &rep->reported, turin));
    value_builder_put_str(&b, "committed", tcb(a, &rep->committed, turin));
    value_builder_put_str(&b, "launch", tcb(a, &rep->launch, turin));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

value snp_details(struct snp_run *r)
{
    const struct {
        const char *name;
        struct str bytes;
    } rows[] = {
        {"chip_id", r->report.chip_id},
        {"host_data", r->report.host_data},
        {"family_id", r->report.family_id},
        {"image_id", r->report.image_id},
        {"id_key_digest", r->report.id_key_digest},
        {"author_key_digest", r->report.author_key_digest},
        {"report_id", r->report.report_id},
        {"report_id_ma", r->report.report_id_ma},
    };
    struct arena *a = r->v->a;
    struct value_builder b;
    value_builder_init(&b, a, 32);
    value_builder_put_str(&b, "report_version", value_small_int(r->report.version));
    value_builder_put_str(&b, "guest_svn", value_small_int(r->report.guest_svn));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        value_builder_put_str(&b, rows[i].name, claim_hex(a, rows[i].bytes));
    words(r, &b);
    processor(r, &b);
    value_builder_put_str(&b, "tcb", tcbs(r));
    value_builder_put_str(&b, "vek", vek(r));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}
