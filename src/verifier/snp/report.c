#include "verifier/snp/report.h"

const char *snp_generation_name(enum snp_generation g)
{
    static const char *const names[] = {"milan", "genoa", "turin"};
    return names[g];
}

const char *snp_generation_product(enum snp_generation g)
{
    static const char *const names[] = {"Milan", "Genoa", "Turin"};
    return names[g];
}

/*
 * TCB_VERSION, verifiers-snp.md 2:
 *
 *   byte        0           1            2     3     4 5   6     7
 *   Turin       FMC         boot loader  TEE   SNP   -     -     microcode
 *   before      boot loader TEE          -     -     -     SNP   microcode
 */
static struct snp_tcb read_tcb(const uint8_t *p, bool turin)
{
    if (turin)
        return (struct snp_tcb){p[0], p[1], p[2], p[3], p[7]};
    return (struct snp_tcb){0, p[0], p[1], p[6], p[7]};
}

STATUS snp_report_parse(struct str bytes, struct snp_report *out)
{
    if (bytes.len < SNP_REPORT_LEN)
        return ERR_INVALID;
    bytes.len = SNP_REPORT_LEN;
    const uint8_t *p = (const uint8_t *)bytes.ptr;

    struct snp_report r = {
        .bytes = bytes,
        .version = load_le32(p),
        .guest_svn = load_le32(p + 0x04),
        .policy = load_le64(p + 0x08),
        .vmpl = load_le32(p + 0x30),
        .sig_algo = load_le32(p + 0x34),
        .platform_info = load_le64(p + 0x40),
        .key_info = load_le32(p + 0x48),
        .report_data = str_slice(bytes, 0x50, 64),
        .measurement = str_slice(bytes, 0x90, 48),
        .host_data = str_slice(bytes, 0xc0, 32),
        .id_key_digest = str_slice(bytes, 0xe0, 48),
        .author_key_digest = str_slice(bytes, 0x110, 48),
        .family_id = str_slice(bytes, 0x10, 16),
        .image_id = str_slice(bytes, 0x20, 16),
        .report_id = str_slice(bytes, 0x140, 32),
        .report_id_ma = str_slice(bytes, 0x160, 32),
        .chip_id = str_slice(bytes, 0x1a0, 64),
        .signed_part = str_slice(bytes, 0, SNP_SIGNED_LEN),
        .r = str_slice(bytes, 0x2a0, SNP_SIGNATURE_PART),
        .s = str_slice(bytes, 0x2e8, SNP_SIGNATURE_PART),
    };
    if (r.version >= 3) {
        r.family = p[0x188];
        r.model = p[0x189];
        r.stepping = p[0x18a];
    }
    bool turin = r.family == 0x1a;
    r.current = read_tcb(p + 0x38, turin);
    r.reported = read_tcb(p + 0x180, turin);
    r.committed = read_tcb(p + 0x1e0, turin);
    r.launch = read_tcb(p + 0x1f0, turin);
    *out = r;
    return OK;
}

bool snp_report_reserved_zero(const struct snp_report *r, size_t *offset)
{
    const struct {
        size_t from, to;
    } ranges[] = {
        {0x4c, 0x50},   {r->version >= 3 ? 0x18b : 0x188, 0x1a0}, {0x1eb, 0x1ec},
        {0x1ef, 0x1f0}, {r->version >= 5 ? 0x208 : 0x1f8, 0x2a0}, {0x330, SNP_REPORT_LEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        for (size_t k = ranges[i].from; k < ranges[i].to; k++) {
            if (r->bytes.ptr[k] != 0) {
                *offset = k;
                return false;
            }
        }
    }
    return true;
}

enum snp_generation_status snp_report_generation(const struct snp_report *r,
                                                 enum snp_generation *out)
{
    /* verifiers-snp.md 3.  0xaf is Genoa, too: upstream's range misses it by one. */
    static const struct {
        uint8_t family, first, last;
        enum snp_generation generation;
    } rows[] = {
        {0x19, 0x00, 0x0f, SNP_MILAN},
        {0x19, 0x10, 0x1f, SNP_GENOA},
        {0x19, 0xa0, 0xaf, SNP_GENOA},
        {0x1a, 0x00, 0x11, SNP_TURIN},
    };
    if (r->version < 3)
        return SNP_GENERATION_NO_FAMILY;
    bool family = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (r->family != rows[i].family)
            continue;
        family = true;
        if (r->model >= rows[i].first && r->model <= rows[i].last) {
            *out = rows[i].generation;
            return SNP_GENERATION_OK;
        }
    }
    return family ? SNP_GENERATION_MODEL : SNP_GENERATION_FAMILY;
}
