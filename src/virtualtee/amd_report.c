#include "virtualtee/amd_report.h"

#include <strings.h>

static const char *const generation_names[AMD_GENERATIONS] = {"Milan", "Genoa", "Turin"};

const char *amd_generation_name(enum amd_generation g)
{
    return generation_names[g];
}

bool amd_generation_by_name(struct str name, enum amd_generation *out)
{
    for (int g = 0; g < AMD_GENERATIONS; g++) {
        if (name.len == strlen(generation_names[g]) &&
            strncasecmp(name.ptr, generation_names[g], name.len) == 0) {
            *out = (enum amd_generation)g;
            return true;
        }
    }
    return false;
}

enum amd_generation amd_generation_of(uint8_t family, uint8_t model)
{
    if (family == AMD_FAMILY_TURIN)
        return AMD_TURIN;
    if (family == 0x19 && ((model >= 0x10 && model <= 0x1F) || (model >= 0xA0 && model <= 0xAF)))
        return AMD_GENOA;
    return AMD_MILAN;
}

/* TCB_VERSION, 8 bytes; Turin put the FMC in front (verifiers-snp.md 2). */
static void tcb_write(const struct amd_tcb *t, bool turin, uint8_t out[8])
{
    memset(out, 0, 8);
    if (turin) {
        out[0] = t->fmc;
        out[1] = t->bootloader;
        out[2] = t->tee;
        out[3] = t->snp;
    } else {
        out[0] = t->bootloader;
        out[1] = t->tee;
        out[6] = t->snp;
    }
    out[7] = t->microcode;
}

static void version_write(const struct amd_version *v, uint8_t out[4])
{
    out[0] = v->build;
    out[1] = v->minor;
    out[2] = v->major;
    out[3] = 0;
}

void amd_report_write(const struct amd_report *r, uint8_t out[AMD_REPORT_LEN])
{
    bool turin = r->cpuid_family == AMD_FAMILY_TURIN;
    memset(out, 0, AMD_REPORT_LEN);
    store_le32(out + 0x000, r->version);
    store_le32(out + 0x004, r->guest_svn);
    store_le64(out + 0x008, r->policy);
    memcpy(out + 0x010, r->family_id, sizeof(r->family_id));
    memcpy(out + 0x020, r->image_id, sizeof(r->image_id));
    store_le32(out + 0x030, r->vmpl);
    store_le32(out + 0x034, r->signature_algorithm);
    tcb_write(&r->current_tcb, turin, out + 0x038);
    store_le64(out + 0x040, r->platform_info);
    store_le32(out + 0x048, (uint32_t)r->key_info);
    memcpy(out + 0x050, r->report_data, sizeof(r->report_data));
    memcpy(out + 0x090, r->measurement, sizeof(r->measurement));
    memcpy(out + 0x0C0, r->host_data, sizeof(r->host_data));
    memcpy(out + 0x0E0, r->id_key_digest, sizeof(r->id_key_digest));
    memcpy(out + 0x110, r->author_key_digest, sizeof(r->author_key_digest));
    memcpy(out + 0x140, r->report_id, sizeof(r->report_id));
    memcpy(out + 0x160, r->report_id_ma, sizeof(r->report_id_ma));
    tcb_write(&r->reported_tcb, turin, out + 0x180);
    if (r->version >= 3) {
        out[0x188] = r->cpuid_family;
        out[0x189] = r->cpuid_model;
        out[0x18A] = r->cpuid_stepping;
    }
    memcpy(out + 0x1A0, r->chip_id, sizeof(r->chip_id));
    tcb_write(&r->committed_tcb, turin, out + 0x1E0);
    version_write(&r->current, out + 0x1E8);
    version_write(&r->committed, out + 0x1EC);
    tcb_write(&r->launch_tcb, turin, out + 0x1F0);
    if (r->version >= 5) {
        store_le64(out + 0x1F8, r->launch_mit_vector);
        store_le64(out + 0x200, r->current_mit_vector);
    }
}

STATUS amd_report_sign(uint8_t report[AMD_REPORT_LEN], const struct privkey *vek, struct error *err)
{
    CLEANUP(buf_done) struct buf raw;
    buf_init(&raw, 256);
    enum status st = privkey_sign(vek, SIG_ECDSA_RAW, DIGEST_SHA384,
                                  str_bytes(report, AMD_SIGNED_LEN), &raw, err);
    if (st != OK)
        return st;

    /* r and s: big endian in `raw`, little endian in 72 bytes each of the report. */
    size_t half = raw.len / 2;
    memset(report + AMD_SIGNED_LEN, 0, AMD_REPORT_LEN - AMD_SIGNED_LEN);
    for (size_t i = 0; i < half && half <= 72; i++) {
        report[0x2A0 + i] = (uint8_t)raw.ptr[half - 1 - i];
        report[0x2E8 + i] = (uint8_t)raw.ptr[raw.len - 1 - i];
    }
    return OK;
}
