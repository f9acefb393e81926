#include "measure/snp.h"

/* Offsets in the save area: AMD64 Architecture Programmer's Manual, volume 2, table B-4. */
enum {
    VMSA_ES = 0x000,
    VMSA_CS = 0x010,
    VMSA_SS = 0x020,
    VMSA_DS = 0x030,
    VMSA_FS = 0x040,
    VMSA_GS = 0x050,
    VMSA_GDTR = 0x060,
    VMSA_LDTR = 0x070,
    VMSA_IDTR = 0x080,
    VMSA_TR = 0x090,
    VMSA_EFER = 0x0d0,
    VMSA_CR4 = 0x148,
    VMSA_CR0 = 0x158,
    VMSA_DR7 = 0x160,
    VMSA_DR6 = 0x168,
    VMSA_RFLAGS = 0x170,
    VMSA_RIP = 0x178,
    VMSA_PAT = 0x268,
    VMSA_RDX = 0x310,
    VMSA_FEATURES = 0x3b0,
    VMSA_XCR0 = 0x3e8,
    VMSA_MXCSR = 0x408,
    VMSA_FCW = 0x410,
};

#define RESET_EIP 0xfffffff0u

/* What hosts do differently when they make a processor. */
static const struct vmm_state {
    uint16_t ss, tr;
    uint64_t pat;
    uint32_t mxcsr;
    uint16_t fcw;
} states[] = {
    [SNP_VMM_QEMU] = {0x93, 0x8b, 0x0007040600070406, 0x1f80, 0x37f},
    [SNP_VMM_EC2] = {0x92, 0x83, 0x0007040600070406, 0, 0},
    [SNP_VMM_GCE] = {0x93, 0x8b, 0x0000000000070106, 0, 0},
};

static void segment(uint8_t *page, size_t at, uint16_t selector, uint16_t attributes, uint64_t base)
{
    store_le16(page + at, selector);
    store_le16(page + at + 2, attributes);
    store_le32(page + at + 4, 0xffff);
    store_le64(page + at + 8, base);
}

void snp_vmsa_page(enum snp_vmm vmm, uint32_t eip, uint32_t cpu_sig, uint64_t features,
                   uint8_t page[OVMF_PAGE])
{
    const struct vmm_state *s = &states[vmm];
    bool qemu = vmm == SNP_VMM_QEMU;
    memset(page, 0, OVMF_PAGE);

    /* EC2's first processor has not touched its code segment yet. */
    uint16_t cs = vmm == SNP_VMM_EC2 && eip == RESET_EIP ? 0x9a : 0x9b;
    segment(page, VMSA_ES, 0, 0x93, 0);
    segment(page, VMSA_CS, 0xf000, cs, eip & 0xffff0000u);
    segment(page, VMSA_SS, 0, s->ss, 0);
    segment(page, VMSA_DS, 0, 0x93, 0);
    segment(page, VMSA_FS, 0, 0x93, 0);
    segment(page, VMSA_GS, 0, 0x93, 0);
    segment(page, VMSA_GDTR, 0, 0, 0);
    segment(page, VMSA_LDTR, 0, 0x82, 0);
    segment(page, VMSA_IDTR, 0, 0, 0);
    segment(page, VMSA_TR, 0, s->tr, 0);

    store_le64(page + VMSA_EFER, 0x1000); /* KVM: SVME */
    store_le64(page + VMSA_CR4, 0x40);    /* KVM: MCE */
    store_le64(page + VMSA_CR0, 0x10);
    store_le64(page + VMSA_DR7, 0x400);
    store_le64(page + VMSA_DR6, 0xffff0ff0);
    store_le64(page + VMSA_RFLAGS, 2);
    store_le64(page + VMSA_RIP, eip & 0xffff);
    store_le64(page + VMSA_PAT, s->pat);
    /* After a reset, RDX holds the signature; the clouds' hosts leave family 6 there. */
    store_le64(page + VMSA_RDX, qemu ? cpu_sig : 0x600);
    store_le64(page + VMSA_FEATURES, features);
    store_le64(page + VMSA_XCR0, 1);
    store_le32(page + VMSA_MXCSR, s->mxcsr);
    store_le16(page + VMSA_FCW, s->fcw);
}
