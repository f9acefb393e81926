/* The faults of snp evidence, in the order of the verifier's checks. */
#include "virtualtee/plain_snp.h"

#define FAULT_FN(fn) static void fn(void *build)
#define B ((struct plain_snp_build *)build)

/* ---- evidence ---- */

FAULT_FN(no_report)
{
    edit_exchange(&B->json, "\"attestation_report\"", "\"attestation_rapport\"");
}

FAULT_FN(no_policy)
{
    edit_exchange(&B->json, "\"policy\"", "\"polity\"");
}

FAULT_FN(long_measurement)
{
    edit_exchange(&B->json, "\"measurement\":[", "\"measurement\":[0,");
}

FAULT_FN(big_vmpl)
{
    edit_exchange(&B->json, "\"vmpl\":", "\"vmpl\":99999999999");
}

FAULT_FN(family_null)
{
    edit_exchange(&B->json, "\"cpuid_fam_id\":25", "\"cpuid_fam_id\":null");
}

FAULT_FN(chain_object)
{
    edit_exchange(&B->json, "\"cert_chain\":[", "\"cert_chain\":{},\"rest\":[");
}

FAULT_FN(cert_text)
{
    edit_exchange(&B->json, "\"data\":[", "\"data\":\"text\",\"rest\":[");
}

FAULT_FN(cert_unknown)
{
    B->certs[0].type = "CERT";
}

/* ---- chain ---- */

FAULT_FN(chain_empty)
{
    B->cert_count = 0;
}

FAULT_FN(foreign_ark)
{
    /* The VEK, which signs itself as little as a root must. */
    B->cert_count = 2;
    B->certs[1].type = "ARK";
    buf_reset(&B->certs[1].der);
    buf_add(&B->certs[1].der, buf_str(&B->certs[0].der));
}

FAULT_FN(vek_garbled)
{
    edit_replace(&B->certs[0].der, "no certificate");
}

FAULT_FN(vek_mislabelled)
{
    B->certs[0].type = B->hw.vek.vlek ? "VCEK" : "VLEK";
}

/* ---- report, changed after it was signed ---- */

FAULT_FN(altered)
{
    B->hw.amd.report.measurement[0] ^= 1;
}

FAULT_FN(signature_r)
{
    memset(B->hw.report + 0x2A0, 0xFF, 48); /* above the order of the group */
}

FAULT_FN(signature_s)
{
    B->hw.report[0x2E8 + 48] = 1; /* beyond the 48 significant bytes */
}

/* ---- binding ---- */

FAULT_FN(other_session)
{
    struct digest d;
    digest_compute(DIGEST_SHA512, STR("report data of another session"), &d);
    memcpy(B->hw.amd.report.report_data, d.bytes, d.len);
}

FAULT_FN(other_init_data)
{
    struct digest d;
    digest_compute(DIGEST_SHA256, STR("another document"), &d);
    memcpy(B->hw.amd.report.host_data, d.bytes, d.len);
}

#define REP "/evidence/attestation_report"
#define CHAIN "/evidence/cert_chain"
#define VEK CHAIN "/0"

const struct fault plain_snp_faults[] = {
    {"report-missing", "evidence-format", REP, "evidence has no report", FAULT_MEMBERS,
     .apply = no_report},
    {"report-without-policy", "evidence-format", REP "/policy", "report has no guest policy",
     FAULT_MEMBERS, .apply = no_policy},
    {"measurement-long", "evidence-format", REP "/measurement", "measurement of 49 bytes",
     FAULT_MEMBERS, .apply = long_measurement},
    {"vmpl-range", "evidence-format", REP "/vmpl", "VMPL of more than 32 bits", FAULT_MEMBERS,
     .apply = big_vmpl},
    {"chain-object", "evidence-format", CHAIN, "certificate chain is an object", FAULT_MEMBERS,
     .apply = chain_object},
    {"certificate-text", "evidence-format", VEK "/data", "certificate is text", FAULT_MEMBERS,
     .apply = cert_text},
    {"certificate-type", "evidence-format", VEK "/cert_type", "certificate of an unknown type",
     FAULT_PARTS, .apply = cert_unknown},

    {"report-version", "report-version", REP "/version", "report of version 6", FAULT_REPORT,
     .apply = amd_fault_version},
    {"processor-family-null", "report-version", REP "/cpuid_fam_id",
     "version 3 without a processor family", FAULT_MEMBERS, .apply = family_null},
    {"processor-family", "processor", REP "/cpuid_fam_id", "processor of an unknown family",
     FAULT_REPORT, .apply = amd_fault_family},
    {"processor-model", "processor", REP "/cpuid_mod_id", "processor of an unknown model",
     FAULT_REPORT, .apply = amd_fault_model},

    {"chain-empty", "certificate-chain", CHAIN, "certificate chain without a VCEK", FAULT_PARTS,
     .apply = chain_empty},
    {"ark-foreign", "certificate-chain", CHAIN "/1", "root that AMD's did not sign", FAULT_PARTS,
     .apply = foreign_ark},
    {"vcek-garbled", "certificate-format", VEK, "VCEK is no certificate", FAULT_PARTS,
     .apply = vek_garbled},
    {"vcek-curve", "certificate-format", VEK "/public_key", "VCEK is a P-256 key", FAULT_VEK,
     .apply = amd_fault_weak_curve},
    {"vcek-mislabelled", "signing-key", VEK "/cert_type", "VCEK is said to be a VLEK", FAULT_PARTS,
     .apply = vek_mislabelled},
    {"vcek-issuer", "certificate-chain", VEK, "VCEK not signed by the key of its issuer", FAULT_VEK,
     .apply = amd_fault_issuer},
    {"vcek-expired", "certificate-validity", VEK "/validity/not_after", "VCEK has expired",
     FAULT_VEK, .apply = amd_fault_expired},
    {"vcek-not-yet-valid", "certificate-validity", VEK "/validity/not_before",
     "VCEK is not yet valid", FAULT_VEK, .apply = amd_fault_early},

    {"report-altered", "report-signature", REP "/signature", "measurement changed after signing",
     FAULT_SIGNED_REPORT, .apply = altered},
    {"report-signature-r", "report-signature", REP "/signature/r", "r is no scalar of the curve",
     FAULT_SIGNED_REPORT, .apply = signature_r},
    {"report-signature-s", "report-signature", REP "/signature/s", "s is no scalar of the curve",
     FAULT_SIGNED_REPORT, .apply = signature_s},
    {"report-algorithm", "signature-algorithm", REP "/sig_algo",
     "report names another signature algorithm", FAULT_REPORT, .apply = amd_fault_algorithm},
    {"report-key-kind", "signing-key", REP "/key_info", "report says that the other kind signed",
     FAULT_REPORT, .apply = amd_fault_key_kind},

    {"vcek-without-chip", "chip-id", VEK "/hw_id", "VCEK names no chip", FAULT_VEK,
     .apply = amd_fault_no_chip},
    {"vcek-other-chip", "chip-id", REP "/chip_id", "VCEK of another chip", FAULT_VEK,
     .apply = amd_fault_other_chip},
    {"vcek-without-microcode", "certificate-format", VEK "/tcb/microcode",
     "VCEK does not name its microcode", FAULT_VEK, .apply = amd_fault_no_microcode},
    {"vcek-wide-snp", "certificate-format", VEK "/tcb/snp", "SNP firmware number of 9 bits",
     FAULT_VEK, .apply = amd_fault_wide_snp},
    {"tcb-microcode", "tcb", REP "/reported_tcb/microcode", "microcode differs from the VCEK's",
     FAULT_VEK, .apply = amd_fault_tcb_microcode},
    {"tcb-snp", "tcb", REP "/reported_tcb/snp", "SNP firmware differs from the VCEK's", FAULT_VEK,
     .apply = amd_fault_tcb_snp},
    {"tcb-tee", "tcb", REP "/reported_tcb/tee", "TEE firmware differs from the VCEK's", FAULT_VEK,
     .apply = amd_fault_tcb_tee},
    {"tcb-bootloader", "tcb", REP "/reported_tcb/bootloader", "boot loader differs from the VCEK's",
     FAULT_VEK, .apply = amd_fault_tcb_bootloader},
    {"tcb-fmc", "tcb", REP "/reported_tcb/fmc", "FMC differs from the VCEK's (a Turin machine)",
     FAULT_VEK, .turin = true, .apply = amd_fault_tcb_fmc},
    {"vmpl", "vmpl", REP "/vmpl", "report asked for by the guest at another level", FAULT_REPORT,
     .apply = amd_fault_vmpl},

    {"nonce-replayed", "report-data", REP "/report_data", "report of another session",
     FAULT_MACHINE, .apply = other_session},
    {"init-data-other", "init-data", REP "/host_data", "host data is of another document",
     FAULT_MACHINE, .init_data = true, .apply = other_init_data},
};
const size_t plain_snp_fault_count = ARRAY_LEN(plain_snp_faults);
