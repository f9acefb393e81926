/* The faults of hardware report and VCEK of az-snp-vtpm; the vTPM's are shared. */
#include "virtualtee/azure_snp.h"

#define FAULT_FN(fn) static void fn(void *build)
#define B ((struct azure_snp_build *)build)

FAULT_FN(vcek_text)
{
    azure_fault_endorsement_text(&B->az);
}

FAULT_FN(other_machine)
{
    azure_fault_other_machine(&B->az);
}

FAULT_FN(vcek_garbled)
{
    edit_replace(&B->az.endorsement, "no certificate");
}

/* ---- hardware report, signed as it is ---- */

FAULT_FN(report_reserved)
{
    B->hw.report[0x18B + 20] = 1;
}

/* ---- hardware report, changed after it was signed ---- */

FAULT_FN(report_altered)
{
    B->az.hardware[0x090] ^= 1; /* measurement */
}

FAULT_FN(signature_r)
{
    memset(B->az.hardware + 0x2A0, 0xFF, 48); /* above the order of the group */
}

FAULT_FN(signature_s)
{
    B->az.hardware[0x2E8 + 48] = 1; /* beyond the 48 significant bytes */
}

/* ---- the table ---- */

#define HW "/evidence/hcl_report/hardware_report"
#define VCEK "/evidence/vcek"

const struct fault azure_snp_faults[] = {
    {"evidence-vcek", "evidence-format", VCEK, "VCEK is an array of texts", FAULT_MEMBERS,
     .apply = vcek_text},
    {"variable-data-altered", "variable-data-digest", HW "/report_data",
     "variable data of another machine beside the hardware report", FAULT_HCL,
     .apply = other_machine},
    {"vcek-garbled", "certificate-format", VCEK, "VCEK is no certificate", FAULT_PARTS,
     .apply = vcek_garbled},
    {"vcek-curve", "certificate-format", VCEK "/public_key", "VCEK is a P-256 key", FAULT_VEK,
     .apply = amd_fault_weak_curve},
    {"vcek-issuer", "certificate-chain", VCEK, "VCEK not signed by the key of its issuer",
     FAULT_VEK, .apply = amd_fault_issuer},
    {"vcek-expired", "certificate-validity", VCEK "/validity/not_after", "VCEK has expired",
     FAULT_VEK, .apply = amd_fault_expired},
    {"vcek-not-yet-valid", "certificate-validity", VCEK "/validity/not_before",
     "VCEK is not yet valid", FAULT_VEK, .apply = amd_fault_early},
    {"vcek-without-microcode", "certificate-format", VCEK "/tcb/microcode",
     "VCEK does not name its microcode", FAULT_VEK, .apply = amd_fault_no_microcode},
    {"vcek-wide-snp", "certificate-format", VCEK "/tcb/snp", "SNP firmware number of 9 bits",
     FAULT_VEK, .apply = amd_fault_wide_snp},
    {"vcek-without-chip", "chip-id", VCEK "/hw_id", "VCEK names no chip", FAULT_VEK,
     .apply = amd_fault_no_chip},
    {"vcek-other-chip", "chip-id", HW "/chip_id", "VCEK of another chip", FAULT_VEK,
     .apply = amd_fault_other_chip},
    {"tcb-microcode", "tcb", HW "/reported_tcb/microcode", "microcode differs from the VCEK's",
     FAULT_VEK, .apply = amd_fault_tcb_microcode},
    {"tcb-snp", "tcb", HW "/reported_tcb/snp", "SNP firmware differs from the VCEK's", FAULT_VEK,
     .apply = amd_fault_tcb_snp},
    {"tcb-tee", "tcb", HW "/reported_tcb/tee", "TEE firmware differs from the VCEK's", FAULT_VEK,
     .apply = amd_fault_tcb_tee},
    {"tcb-bootloader", "tcb", HW "/reported_tcb/bootloader", "boot loader differs from the VCEK's",
     FAULT_VEK, .apply = amd_fault_tcb_bootloader},
    {"tcb-fmc", "tcb", HW "/reported_tcb/fmc", "FMC differs from the VCEK's (a Turin machine)",
     FAULT_VEK, .turin = true, .apply = amd_fault_tcb_fmc},
    {"report-version", "report-version", HW "/version", "hardware report of version 6",
     FAULT_REPORT, .apply = amd_fault_version},
    {"report-reserved", "report-reserved", HW "/reserved", "a reserved byte is not zero",
     FAULT_REPORT_BYTES, .apply = report_reserved},
    {"processor-family", "processor", HW "/cpuid_fam_id", "processor of an unknown family",
     FAULT_REPORT, .apply = amd_fault_family},
    {"processor-model", "processor", HW "/cpuid_mod_id", "processor of an unknown model",
     FAULT_REPORT, .apply = amd_fault_model},
    {"report-algorithm", "signature-algorithm", HW "/sig_algo",
     "report names another signature algorithm", FAULT_REPORT, .apply = amd_fault_algorithm},
    {"report-key-kind", "signing-key", HW "/key_info", "report says that a VLEK signed it",
     FAULT_REPORT, .apply = amd_fault_key_kind},
    {"report-altered", "report-signature", HW "/signature", "measurement changed after signing",
     FAULT_SIGNED_REPORT, .apply = report_altered},
    {"report-signature-r", "report-signature", HW "/signature/r", "r is no scalar of the curve",
     FAULT_SIGNED_REPORT, .apply = signature_r},
    {"report-signature-s", "report-signature", HW "/signature/s", "s is no scalar of the curve",
     FAULT_SIGNED_REPORT, .apply = signature_s},
    {"vmpl", "vmpl", HW "/vmpl", "report asked for by the guest, not by the paravisor",
     FAULT_REPORT, .apply = amd_fault_vmpl},
};
const size_t azure_snp_fault_count = ARRAY_LEN(azure_snp_faults);
