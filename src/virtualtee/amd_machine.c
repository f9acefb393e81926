#include "virtualtee/amd_machine.h"

/* ---- short hands ---- */

static enum status set_generation(void *machine, const struct field *f, struct str text,
                                  struct error *err)
{
    static const uint8_t cpuid[AMD_GENERATIONS][3] = {
        [AMD_MILAN] = {0x19, 0x01, 0x01},
        [AMD_GENOA] = {0x19, 0x11, 0x01},
        [AMD_TURIN] = {AMD_FAMILY_TURIN, 0x02, 0x01},
    };
    struct amd_machine *m = machine;
    enum amd_generation g;
    if (!amd_generation_by_name(text, &g)) {
        error_set(err, "field \"%s\" is milan, genoa or turin, not \"%s\"", f->name, QUOTED(text));
        return ERR_INVALID;
    }

    m->report.cpuid_family = cpuid[g][0];
    m->report.cpuid_model = cpuid[g][1];
    m->report.cpuid_stepping = cpuid[g][2];
    if (g == AMD_TURIN) /* whose chips have ids of 8 bytes */
        memset(m->report.chip_id + 8, 0, AMD_CHIP_ID_LEN - 8);
    return OK;
}

/* One part of all four TCBs: what a firmware update that was committed changes. */
static enum status set_tcb_part(void *machine, const struct field *f, struct str text,
                                struct error *err)
{
    struct amd_report *r = &((struct amd_machine *)machine)->report;
    uint64_t n;
    if (!field_number(text, UINT8_MAX, &n)) {
        error_set(err, "field \"%s\" takes a number of at most 255, not \"%s\"", f->name,
                  QUOTED(text));
        return ERR_INVALID;
    }

    struct amd_tcb *const tcbs[] = {&r->current_tcb, &r->reported_tcb, &r->committed_tcb,
                                    &r->launch_tcb};
    for (size_t i = 0; i < ARRAY_LEN(tcbs); i++)
        *((uint8_t *)tcbs[i] + f->shift) = (uint8_t)n;
    return OK;
}

/* ---- the table ---- */

#define AT(member) offsetof(struct amd_machine, member)
#define UINT(name, member, bytes, what)                                                            \
    {                                                                                              \
        name, FIELD_UINT, AT(member), bytes, 0, what, NULL                                         \
    }
#define BYTES(name, member, len, what)                                                             \
    {                                                                                              \
        name, FIELD_BYTES, AT(member), len, 0, what, NULL                                          \
    }
#define BIT(name, member, bit, what)                                                               \
    {                                                                                              \
        name, FIELD_BITS, AT(member), 1, bit, what, NULL                                           \
    }
#define TEXT(name, member, what)                                                                   \
    {                                                                                              \
        name, FIELD_TEXT, AT(member), 0, 0, what, NULL                                             \
    }
#define TIME(name, member, what)                                                                   \
    {                                                                                              \
        name, FIELD_TIME, AT(member), 0, 0, what, NULL                                             \
    }
#define TCB_PART(name, part)                                                                       \
    {                                                                                              \
        "tcb_" name, FIELD_CALL, 0, 0, offsetof(struct amd_tcb, part),                             \
            "the same part of all four TCBs", set_tcb_part                                         \
    }
#define TCB(prefix, member, what)                                                                  \
    UINT(prefix "_fmc", member.fmc, 1, what ", Turin only"),                                       \
        UINT(prefix "_bootloader", member.bootloader, 1, what),                                    \
        UINT(prefix "_tee", member.tee, 1, what), UINT(prefix "_snp", member.snp, 1, what),        \
        UINT(prefix "_microcode", member.microcode, 1, what)
#define FOLLOW(name, member)                                                                       \
    {                                                                                              \
        name, FIELD_FOLLOW, AT(member), 1, 0, "in the certificate; default: as reported", NULL     \
    }

const struct field amd_fields[] = {
    {"generation", FIELD_CALL, 0, 0, 0, "milan, genoa or turin: sets cpuid_*", set_generation},
    UINT("report_version", report.version, 4, "2 to 5"),
    UINT("guest_svn", report.guest_svn, 4, "of the guest's owner"),
    {"policy_abi_minor", FIELD_BITS, AT(report.policy), 8, 0, "guest policy", NULL},
    {"policy_abi_major", FIELD_BITS, AT(report.policy), 8, 8, "guest policy", NULL},
    BIT("policy_smt_allowed", report.policy, 16, "guest policy"),
    BIT("policy_migrate_ma", report.policy, 18, "guest policy: migration agent"),
    BIT("policy_debug_allowed", report.policy, 19, "guest policy: the host may debug"),
    BIT("policy_single_socket", report.policy, 20, "guest policy"),
    BIT("policy_cxl_allowed", report.policy, 21, "guest policy"),
    BIT("policy_aes_256_xts", report.policy, 22, "guest policy"),
    BIT("policy_rapl_disabled", report.policy, 23, "guest policy"),
    BIT("policy_ciphertext_hiding", report.policy, 24, "guest policy"),
    BIT("policy_page_swap_disabled", report.policy, 25, "guest policy"),
    UINT("policy", report.policy, 8, "guest policy, the whole word"),
    BYTES("family_id", report.family_id, 16, "of the guest's owner"),
    BYTES("image_id", report.image_id, 16, "of the guest's owner"),
    UINT("vmpl", report.vmpl, 4, "privilege level that asked for the report"),
    UINT("signature_algorithm", report.signature_algorithm, 4, "1: ECDSA P-384 with SHA-384"),
    BIT("platform_smt_enabled", report.platform_info, 0, "platform information"),
    BIT("platform_tsme_enabled", report.platform_info, 1, "platform information"),
    BIT("platform_ecc_enabled", report.platform_info, 2, "platform information"),
    BIT("platform_rapl_disabled", report.platform_info, 3, "platform information"),
    BIT("platform_ciphertext_hiding", report.platform_info, 4, "platform information"),
    BIT("platform_alias_check_complete", report.platform_info, 5, "BadRAM was looked for"),
    BIT("platform_tio_enabled", report.platform_info, 7, "platform information"),
    UINT("platform_info", report.platform_info, 8, "platform information, the whole word"),
    BIT("author_key_enabled", report.key_info, 0, "key information"),
    BIT("chip_key_masked", report.key_info, 1, "key information"),
    {"signing_key", FIELD_BITS, AT(report.key_info), 3, AMD_KEY_SHIFT, "0 VCEK, 1 VLEK", NULL},
    BYTES("report_data", report.report_data, 64, "set by the attester when it makes evidence"),
    BYTES("measurement", report.measurement, 48, "launch digest: Azure's paravisor, or the guest"),
    BYTES("host_data", report.host_data, 32, "init data of plain SNP guests"),
    BYTES("id_key_digest", report.id_key_digest, 48, "key of the guest's owner"),
    BYTES("author_key_digest", report.author_key_digest, 48, "key above it"),
    BYTES("report_id", report.report_id, 32, "of this guest"),
    BYTES("report_id_ma", report.report_id_ma, 32, "of its migration agent"),
    TCB("current_tcb", report.current_tcb, "running"),
    TCB("reported_tcb", report.reported_tcb, "what the VCEK is derived from"),
    TCB("committed_tcb", report.committed_tcb, "no way back below it"),
    TCB("launch_tcb", report.launch_tcb, "when the guest was launched"),
    TCB_PART("fmc", fmc),
    TCB_PART("bootloader", bootloader),
    TCB_PART("tee", tee),
    TCB_PART("snp", snp),
    TCB_PART("microcode", microcode),
    UINT("cpuid_family", report.cpuid_family, 1, "report version 3 and later"),
    UINT("cpuid_model", report.cpuid_model, 1, "report version 3 and later"),
    UINT("cpuid_stepping", report.cpuid_stepping, 1, "report version 3 and later"),
    BYTES("chip_id", report.chip_id, 64, "Turin: 8 bytes, then zeros"),
    UINT("current_major", report.current.major, 1, "firmware version"),
    UINT("current_minor", report.current.minor, 1, "firmware version"),
    UINT("current_build", report.current.build, 1, "firmware version"),
    UINT("committed_major", report.committed.major, 1, "firmware version"),
    UINT("committed_minor", report.committed.minor, 1, "firmware version"),
    UINT("committed_build", report.committed.build, 1, "firmware version"),
    UINT("launch_mit_vector", report.launch_mit_vector, 8, "report version 5"),
    UINT("current_mit_vector", report.current_mit_vector, 8, "report version 5"),
    FOLLOW("vcek_fmc", vek_fmc),
    FOLLOW("vcek_bootloader", vek_bootloader),
    FOLLOW("vcek_tee", vek_tee),
    FOLLOW("vcek_snp", vek_snp),
    FOLLOW("vcek_microcode", vek_microcode),
    {"vcek_chip_id", FIELD_DATA, AT(vek_chip_id), 0, 0, "in the certificate; default: as reported",
     NULL},
    TIME("vcek_not_before", vek_not_before, "certificate"),
    TIME("vcek_not_after", vek_not_after, "certificate"),
    TEXT("vcek_common_name", vek_common_name, "certificate; default: SEV-VCEK or SEV-VLEK"),
    TEXT("vcek_product_name", vek_product_name, "certificate; default: by generation"),
    TEXT("vlek_csp_id", vek_csp_id, "certificate of a VLEK"),
};
const size_t amd_field_count = ARRAY_LEN(amd_fields);

/* ---- the machine ---- */

/* Bytes that look like measurements and are the same everywhere: a digest of a label. */
static void fill(const char *label, uint8_t *out, size_t len)
{
    struct digest d;
    digest_compute(DIGEST_SHA512, str_of(label), &d);
    memcpy(out, d.bytes, len);
}

void amd_machine_init(struct amd_machine *m)
{
    *m = (struct amd_machine){
        .vek_fmc = -1,
        .vek_bootloader = -1,
        .vek_tee = -1,
        .vek_snp = -1,
        .vek_microcode = -1,
        .vek_not_before = PKI_NOT_BEFORE,
        .vek_not_after = PKI_NOT_AFTER,
    };
    struct amd_report *r = &m->report;
    const struct amd_tcb tcb = {.fmc = 1, .bootloader = 4, .snp = 24, .microcode = 219};
    r->version = 3;
    r->policy = 31 | 1u << 16 | 1u << 17; /* ABI 0.31, SMT allowed, bit 17 must be one */
    r->signature_algorithm = 1;
    r->current_tcb = r->reported_tcb = r->committed_tcb = r->launch_tcb = tcb;
    r->platform_info = 1u << 0 | 1u << 2 | 1u << 5; /* SMT, ECC, no aliases found */
    r->current = r->committed = (struct amd_version){.major = 1, .minor = 55, .build = 29};
    r->cpuid_family = 0x19;
    r->cpuid_model = 0x01;
    r->cpuid_stepping = 0x01;
    memset(r->report_id_ma, 0xff, sizeof(r->report_id_ma)); /* no migration agent */
    fill("virtual-tee measurement", r->measurement, sizeof(r->measurement));
    fill("virtual-tee id key", r->id_key_digest, sizeof(r->id_key_digest));
    fill("virtual-tee report id", r->report_id, sizeof(r->report_id));
    fill("virtual-tee chip id", r->chip_id, sizeof(r->chip_id));
}

enum amd_generation amd_machine_generation(const struct amd_machine *m)
{
    return amd_generation_of(m->report.cpuid_family, m->report.cpuid_model);
}

static uint8_t follow(int16_t own, uint8_t reported)
{
    return own >= 0 ? (uint8_t)own : reported;
}

static bool is_vlek(const struct amd_machine *m)
{
    return (m->report.key_info >> AMD_KEY_SHIFT & 7) == AMD_KEY_VLEK;
}

void amd_machine_vek(const struct amd_machine *m, struct vek_request *out)
{
    const struct amd_tcb *reported = &m->report.reported_tcb;
    *out = (struct vek_request){
        .generation = amd_machine_generation(m),
        .vlek = is_vlek(m),
        .tcb = {.fmc = follow(m->vek_fmc, reported->fmc),
                .bootloader = follow(m->vek_bootloader, reported->bootloader),
                .tee = follow(m->vek_tee, reported->tee),
                .snp = follow(m->vek_snp, reported->snp),
                .microcode = follow(m->vek_microcode, reported->microcode)},
        .not_before = m->vek_not_before,
        .not_after = m->vek_not_after,
    };
    if (m->vek_chip_id.set) {
        size_t len = m->vek_chip_id.len < AMD_CHIP_ID_LEN ? m->vek_chip_id.len : AMD_CHIP_ID_LEN;
        memcpy(out->chip_id, m->vek_chip_id.bytes, len);
    } else {
        memcpy(out->chip_id, m->report.chip_id, AMD_CHIP_ID_LEN);
    }
    memcpy(out->common_name, m->vek_common_name, FIELD_TEXT_MAX);
    memcpy(out->product_name, m->vek_product_name, FIELD_TEXT_MAX);
    memcpy(out->csp_id, m->vek_csp_id, FIELD_TEXT_MAX);
}

const struct privkey *amd_machine_key(const struct amd_machine *m, const struct pki *p)
{
    return is_vlek(m) ? pki_vlek(p) : pki_vcek(p);
}

/* Member by member: padding between them is nobody's. */
static bool same_request(const struct vek_request *a, const struct vek_request *b)
{
    return a->generation == b->generation && a->vlek == b->vlek && a->flaw == b->flaw &&
           a->not_before == b->not_before && a->not_after == b->not_after &&
           memcmp(&a->tcb, &b->tcb, sizeof(a->tcb)) == 0 &&
           memcmp(a->chip_id, b->chip_id, sizeof(a->chip_id)) == 0 &&
           strcmp(a->common_name, b->common_name) == 0 &&
           strcmp(a->product_name, b->product_name) == 0 && strcmp(a->csp_id, b->csp_id) == 0;
}

STATUS vek_cache_get(struct vek_cache *c, struct pki *p, const struct vek_request *req,
                     struct cert **out, struct error *err)
{
    if (c->cert == NULL || !same_request(&c->request, req)) {
        CLEANUP(cert_cleanup) struct cert *cert = NULL;
        enum status st = vek_make(p, req, &cert, err);
        if (st != OK)
            return st;
        cert_unref(c->cert);
        c->cert = TAKE(cert);
        c->request = *req;
    }
    *out = c->cert;
    return OK;
}

void vek_cache_done(struct vek_cache *c)
{
    c->cert = cert_unref(c->cert);
}

STATUS report_cache_sign(struct report_cache *c, uint8_t report[AMD_REPORT_LEN],
                         const struct privkey *key, struct error *err)
{
    if (c->key != key || memcmp(c->report, report, AMD_SIGNED_LEN) != 0) {
        enum status st = amd_report_sign(report, key, err);
        if (st != OK)
            return st;
        memcpy(c->report, report, AMD_REPORT_LEN);
        c->key = key;
    }
    memcpy(report, c->report, AMD_REPORT_LEN);
    return OK;
}

void amd_build_choose(struct amd_build *b, const struct pki *p)
{
    b->key = amd_machine_key(&b->amd, p);
    amd_machine_vek(&b->amd, &b->vek);
}

STATUS amd_build_report(struct amd_build *b, struct report_cache *cache, const struct fault *fault,
                        struct error *err)
{
    fault_strike(fault, FAULT_REPORT, b);
    amd_report_write(&b->amd.report, b->report);
    fault_strike(fault, FAULT_REPORT_BYTES, b);
    return report_cache_sign(cache, b->report, b->key, err);
}
