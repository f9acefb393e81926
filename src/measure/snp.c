#include "measure/snp.h"

/* AMD 56860, table "PAGE_INFO": kinds of pages. */
enum page_kind {
    PAGE_NORMAL = 1,
    PAGE_VMSA = 2,
    PAGE_ZERO = 3,
    PAGE_UNMEASURED = 4,
    PAGE_SECRETS = 5,
    PAGE_CPUID = 6,
};

#define FOUR_GIB 0x100000000ull
#define RESET_EIP 0xfffffff0u
/* Save areas have no address in the guest: all ones, cut to a page and to 52 bits. */
#define VMSA_GPA 0x0000fffffffff000ull
#define INFO_LEN 0x70

static const uint8_t zeros[48];

/*
 * One page more:
 *
 *   0 digest so far | 48 digest of the page | 96 length 0x70 u16, kind u8, 5 zeros | 104 address
 */
static void page_update(struct digest *ld, enum page_kind kind, uint64_t gpa, const uint8_t *hash)
{
    uint8_t info[INFO_LEN] = {0};
    memcpy(info, ld->bytes, 48);
    memcpy(info + 48, hash, 48);
    store_le16(info + 96, INFO_LEN);
    info[98] = (uint8_t)kind;
    store_le64(info + 104, gpa);
    digest_compute(DIGEST_SHA384, str_bytes(info, sizeof(info)), ld);
}

static void page_content(struct digest *ld, enum page_kind kind, uint64_t gpa, struct str page)
{
    struct digest d;
    digest_compute(DIGEST_SHA384, page, &d);
    page_update(ld, kind, gpa, d.bytes);
}

static void pages_without_content(struct digest *ld, enum page_kind kind, uint64_t gpa,
                                  uint64_t len)
{
    for (uint64_t at = 0; at < len; at += OVMF_PAGE)
        page_update(ld, kind, gpa + at, zeros);
}

/* The page with the kernel's hashes, or zeros where no kernel was given. */
static enum status hashes_update(struct digest *ld, const struct snp_launch *l,
                                 const struct ovmf_sev *sev, const struct sev_section *s,
                                 struct error *err)
{
    if (l->kernel.ptr == NULL) {
        pages_without_content(ld, PAGE_ZERO, s->gpa, s->len);
        return OK;
    }
    size_t at = sev->hashes_gpa % OVMF_PAGE;
    if (sev->hashes_gpa == 0 || sev->hashes_gpa - at != s->gpa || s->len != OVMF_PAGE ||
        at > OVMF_PAGE - SNP_HASHES_LEN) {
        error_set(err, "the firmware's table of kernel hashes is not in the section for it");
        return ERR_INVALID;
    }
    uint8_t page[OVMF_PAGE] = {0};
    snp_hashes_table(l->kernel, l->initrd, l->cmdline, page + at);
    page_content(ld, PAGE_NORMAL, s->gpa, str_bytes(page, sizeof(page)));
    return OK;
}

static enum status section_update(struct digest *ld, const struct snp_launch *l,
                                  const struct ovmf_sev *sev, const struct sev_section *s,
                                  struct error *err)
{
    switch (s->kind) {
    case SEV_SECTION_MEMORY:
        pages_without_content(ld, l->vmm == SNP_VMM_GCE ? PAGE_UNMEASURED : PAGE_ZERO, s->gpa,
                              s->len);
        return OK;
    case SEV_SECTION_SECRETS:
        page_update(ld, PAGE_SECRETS, s->gpa, zeros);
        return OK;
    case SEV_SECTION_CPUID:
        if (l->vmm != SNP_VMM_EC2) /* EC2 adds it after everything else */
            page_update(ld, PAGE_CPUID, s->gpa, zeros);
        return OK;
    case SEV_SECTION_SVSM_CAA:
        pages_without_content(ld, PAGE_ZERO, s->gpa, s->len);
        return OK;
    case SEV_SECTION_KERNEL_HASHES:
        return hashes_update(ld, l, sev, s, err);
    }
    error_set(err, "a section of the firmware is of the unknown kind 0x%x", (unsigned)s->kind);
    return ERR_UNSUPPORTED;
}

static enum status launch_check(const struct snp_launch *l, const struct ovmf_sev *sev,
                                struct error *err)
{
    if (l->vcpus < 1 || l->vcpus > SNP_VCPUS_MAX) {
        error_set(err, "%u virtual processors: from 1 to %d are possible", l->vcpus, SNP_VCPUS_MAX);
        return ERR_INVALID;
    }
    if (l->vcpus > 1 && sev->reset_eip == 0) {
        error_set(err, "the firmware does not say where a second processor starts");
        return ERR_INVALID;
    }
    if (l->firmware.len % OVMF_PAGE != 0) {
        error_set(err, "the firmware's length is not a multiple of %d bytes", OVMF_PAGE);
        return ERR_INVALID;
    }
    size_t hashes = 0;
    for (size_t i = 0; i < sev->len; i++)
        hashes += sev->sections[i].kind == SEV_SECTION_KERNEL_HASHES;
    if (l->kernel.ptr != NULL && hashes != 1) {
        error_set(err, "a kernel was given, but the firmware has no section for its hashes: such "
                       "a machine would not measure it");
        return ERR_INVALID;
    }
    return OK;
}

enum status snp_launch_digest(const struct snp_launch *l, struct digest *out, struct error *err)
{
    struct ovmf_sev sev;
    enum status st = ovmf_sev_parse(l->firmware, &sev, err);
    if (st == OK)
        st = launch_check(l, &sev, err);
    if (st != OK)
        return st;

    struct digest ld = {.len = 48};
    uint64_t base = FOUR_GIB - l->firmware.len;
    for (size_t at = 0; at < l->firmware.len; at += OVMF_PAGE)
        page_content(&ld, PAGE_NORMAL, base + at, str_slice(l->firmware, at, OVMF_PAGE));
    for (size_t i = 0; i < sev.len; i++) {
        st = section_update(&ld, l, &sev, &sev.sections[i], err);
        if (st != OK)
            return st;
    }
    for (size_t i = 0; i < sev.len && l->vmm == SNP_VMM_EC2; i++)
        if (sev.sections[i].kind == SEV_SECTION_CPUID)
            page_update(&ld, PAGE_CPUID, sev.sections[i].gpa, zeros);

    uint8_t page[OVMF_PAGE];
    for (uint32_t i = 0; i < l->vcpus; i++) {
        uint32_t eip = i == 0 ? RESET_EIP : sev.reset_eip;
        snp_vmsa_page(l->vmm, eip, l->cpu_signature, l->features, page);
        page_content(&ld, PAGE_VMSA, VMSA_GPA, str_bytes(page, sizeof(page)));
    }
    *out = ld;
    return OK;
}
