/* Faults of processor and certificate; those of the TCB make the certificate another firmware's. */
#include "virtualtee/amd_machine.h"

void amd_fault_version(void *build)
{
    struct amd_build *b = build;
    b->amd.report.version = 6;
}

void amd_fault_family(void *build)
{
    struct amd_build *b = build;
    b->amd.report.cpuid_family = 0x17;
}

void amd_fault_model(void *build)
{
    struct amd_build *b = build;
    b->amd.report.cpuid_model = 0xFF;
}

void amd_fault_algorithm(void *build)
{
    struct amd_build *b = build;
    b->amd.report.signature_algorithm = 2;
}

void amd_fault_key_kind(void *build)
{
    struct amd_build *b = build;
    b->amd.report.key_info ^= AMD_KEY_VLEK << AMD_KEY_SHIFT;
}

void amd_fault_vmpl(void *build)
{
    struct amd_build *b = build;
    b->amd.report.vmpl = 1;
}

void amd_fault_weak_curve(void *build)
{
    struct amd_build *b = build;
    b->vek.flaw = VEK_WEAK_CURVE;
}

void amd_fault_issuer(void *build)
{
    struct amd_build *b = build;
    b->vek.flaw = VEK_OTHER_ISSUER;
}

void amd_fault_expired(void *build)
{
    struct amd_build *b = build;
    b->vek.not_after = PKI_NOT_BEFORE + 86400;
}

void amd_fault_early(void *build)
{
    struct amd_build *b = build;
    b->vek.not_before = PKI_NOT_AFTER - 86400;
}

void amd_fault_no_microcode(void *build)
{
    struct amd_build *b = build;
    b->vek.flaw = VEK_NO_MICROCODE;
}

void amd_fault_wide_snp(void *build)
{
    struct amd_build *b = build;
    b->vek.flaw = VEK_WIDE_SNP;
}

void amd_fault_no_chip(void *build)
{
    struct amd_build *b = build;
    b->vek.flaw = VEK_NO_CHIP;
}

void amd_fault_other_chip(void *build)
{
    struct amd_build *b = build;
    b->vek.chip_id[0] ^= 1;
}

void amd_fault_tcb_microcode(void *build)
{
    struct amd_build *b = build;
    b->vek.tcb.microcode ^= 1;
}

void amd_fault_tcb_snp(void *build)
{
    struct amd_build *b = build;
    b->vek.tcb.snp ^= 1;
}

void amd_fault_tcb_tee(void *build)
{
    struct amd_build *b = build;
    b->vek.tcb.tee ^= 1;
}

void amd_fault_tcb_bootloader(void *build)
{
    struct amd_build *b = build;
    b->vek.tcb.bootloader ^= 1;
}

void amd_fault_tcb_fmc(void *build)
{
    struct amd_build *b = build;
    b->vek.tcb.fmc ^= 1;
}
