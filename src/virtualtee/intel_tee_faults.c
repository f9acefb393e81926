/* The faults of quotes, in the order of the verifier's checks, for tdx, sgx and az-tdx-vtpm. */
#include "virtualtee/intel_tee.h"

#define FAULT_FN(fn) static void fn(void *part)
#define Q ((struct intel_build *)part)
#define JSON (&((struct intel_tee_build *)part)->json)

/* ---- evidence ---- */

FAULT_FN(quote_text)
{
    edit_exchange(JSON, "\"quote\":\"", "\"quote\":\"*");
}

FAULT_FN(quote_empty)
{
    edit_exchange(JSON, "\"quote\":\"", "\"quote\":\"\",\"rest\":\"");
}

FAULT_FN(eventlog_number)
{
    edit_exchange(JSON, "\"cc_eventlog\":null", "\"cc_eventlog\":7");
}

FAULT_FN(eventlog_garbled)
{
    edit_exchange(JSON, "\"cc_eventlog\":null", "\"cc_eventlog\":\"AAAA\"");
}

/* ---- format of the quote ---- */

FAULT_FN(header_version)
{
    store_le16(Q->header, 9);
}

FAULT_FN(header_tee)
{
    store_le32(Q->header + 4, Q->m.tdx ? 0 : 0x81);
}

FAULT_FN(header_key_type)
{
    store_le16(Q->header + 2, 3);
}

FAULT_FN(header_vendor)
{
    Q->header[12] ^= 1;
}

FAULT_FN(descriptor_type)
{
    Q->m.version = 5;
    Q->m.body_type = 4;
}

FAULT_FN(descriptor_size)
{
    /* Struck when the header is there, so its version is set as well. */
    Q->m.version = 5;
    store_le16(Q->header, 5);
    store_le16(Q->descriptor, 2);
    store_le32(Q->descriptor + 2, TD15_BODY_LEN);
    Q->m.body_type = 2;
}

FAULT_FN(quote_cut)
{
    Q->quote.len = INTEL_HEADER_LEN + 100;
}

FAULT_FN(signature_cut)
{
    Q->quote.len -= 1;
}

FAULT_FN(certification_type)
{
    Q->certification = 5;
}

FAULT_FN(qe_certification_type)
{
    Q->qe_certification = 1;
}

/* ---- PCK ---- */

FAULT_FN(pck_garbled)
{
    edit_exchange(&Q->pck_chain, "-----BEGIN CERTIFICATE-----\nM",
                  "-----BEGIN CERTIFICATE-----\nN");
}

FAULT_FN(pck_two)
{
    char *end = edit_behind(&Q->pck_chain, "-----END CERTIFICATE-----\n");
    if (end != NULL) {
        size_t n = (size_t)(end - Q->pck_chain.ptr);
        memmove(Q->pck_chain.ptr, end, Q->pck_chain.len - n);
        Q->pck_chain.len -= n;
    }
}

FAULT_FN(pck_name)
{
    Q->pck_name = "Intel SGX Something Else";
}

FAULT_FN(pck_issuer)
{
    Q->pck_issuer_key = Q->pck_key;
}

FAULT_FN(pck_no_extension)
{
    Q->pck_extension = false;
}

/* Of another FMSPC there would be no collateral at all, which is no refusal. */
FAULT_FN(other_pceid)
{
    Q->m.pceid[0] ^= 1;
}

/* ---- module ---- */

FAULT_FN(module_unknown)
{
    Q->m.body[1] = 0x7F;
}

FAULT_FN(module_signer)
{
    Q->m.body[64] ^= 1;
}

FAULT_FN(module_attributes)
{
    Q->m.body[112] ^= 1;
}

/* ---- quoting enclave ---- */

FAULT_FN(qe_altered)
{
    /* After it was signed. */
    Q->qe_report[64] ^= 1;
}

FAULT_FN(qe_other_key)
{
    Q->qe_report[SGX_REPORT_DATA] ^= 1;
}

FAULT_FN(qe_misc_select)
{
    Q->m.qe_body[16] ^= 1;
}

FAULT_FN(qe_attributes)
{
    Q->m.qe_body[48] |= 0x02; /* a debug enclave signs for anybody */
}

FAULT_FN(qe_signer)
{
    Q->m.qe_body[128] ^= 1;
}

FAULT_FN(qe_product)
{
    store_le16(Q->m.qe_body + 256, 77);
}

FAULT_FN(quote_altered)
{
    Q->m.body[Q->m.tdx ? 136 : 64] ^= 1; /* MRTD, MRENCLAVE */
}

/* ---- TCB ---- */

FAULT_FN(tcb_unknown)
{
    memset(Q->m.tcb_components, 0, sizeof(Q->m.tcb_components));
}

FAULT_FN(qe_svn_unknown)
{
    store_le16(Q->m.qe_body + 258, 0);
}

FAULT_FN(module_svn_unknown)
{
    Q->m.body[0] = 0;
}

FAULT_FN(tcb_revoked)
{
    memset(Q->m.tcb_components, 2, sizeof(Q->m.tcb_components));
}

/* ---- binding ---- */

FAULT_FN(other_session)
{
    struct digest d;
    digest_compute(DIGEST_SHA512, STR("report data of another session"), &d);
    memcpy(Q->m.body + (Q->m.tdx ? TD_REPORT_DATA : SGX_REPORT_DATA), d.bytes, d.len);
}

FAULT_FN(other_init_data)
{
    Q->m.body[Q->m.tdx ? 184 : 192] ^= 1;
}

/* ---- tables ---- */

#define QUOTE "/evidence/quote"
#define SIG QUOTE "/signature"
#define PCK SIG "/pck_chain"
#define QE SIG "/qe_report"

static const struct fault common[] = {
    {"quote-text", "evidence-format", QUOTE, "quote is no base64", FAULT_MEMBERS,
     .apply = quote_text},
    {"quote-empty", "evidence-format", QUOTE "/length", "quote is empty", FAULT_MEMBERS,
     .apply = quote_empty},
    {"quote-version", "quote-format", QUOTE "/header/version", "quote of version 9", FAULT_REPORT,
     .apply = header_version},
    {"quote-tee-type", "quote-format", QUOTE "/header/tee_type",
     "quote of the other kind of TEE for its version", FAULT_REPORT, .apply = header_tee},
    {"quote-key-type", "quote-format", QUOTE "/header/att_key_type", "P-384 attestation key",
     FAULT_REPORT, .apply = header_key_type},
    {"quote-vendor", "quote-format", QUOTE "/header/vendor_id", "quoting enclave of another vendor",
     FAULT_REPORT, .apply = header_vendor},
    {"quote-cut", "quote-format", QUOTE "/body", "quote ends inside its body", FAULT_HCL,
     .apply = quote_cut},
    {"signature-cut", "quote-format", SIG, "quote ends inside its signature", FAULT_HCL,
     .apply = signature_cut},
    {"qe-certification-type", "quote-format", SIG "/qe_certification/type",
     "certification data of type 1", FAULT_PARTS, .apply = qe_certification_type},

    {"pck-garbled", "certificate-format", PCK, "PCK chain is no certificates", FAULT_PARTS,
     .apply = pck_garbled},
    {"pck-two", "certificate-format", PCK "/count", "PCK chain of two certificates", FAULT_PARTS,
     .apply = pck_two},
    {"pck-name", "certificate-format", PCK "/0/subject", "leaf is no PCK certificate", FAULT_VEK,
     .apply = pck_name},
    {"pck-issuer", "certificate-chain", PCK "/0", "PCK not signed by the key of its issuer",
     FAULT_VEK, .apply = pck_issuer},
    {"pck-without-extension", "certificate-format", PCK "/0/sgx_extension",
     "PCK says nothing about its platform", FAULT_VEK, .apply = pck_no_extension},
    {"pck-pceid", "tcb-info", PCK "/0/pceid", "PCK of another PCE than the TCB information",
     FAULT_MACHINE, .apply = other_pceid},

    {"qe-altered", "qe-report", SIG "/qe_report_signature",
     "quoting enclave's report changed after signing", FAULT_PARTS, .apply = qe_altered},
    {"qe-other-key", "qe-report", QE "/report_data",
     "quoting enclave vouches for another attestation key", FAULT_QUOTE, .apply = qe_other_key},
    {"qe-misc-select", "qe-identity", QE "/misc_select", "quoting enclave of another MISCSELECT",
     FAULT_MACHINE, .apply = qe_misc_select},
    {"qe-debug", "qe-identity", QE "/attributes", "quoting enclave in debug mode", FAULT_MACHINE,
     .apply = qe_attributes},
    {"qe-signer", "qe-identity", QE "/mr_signer", "quoting enclave of another signer",
     FAULT_MACHINE, .apply = qe_signer},
    {"qe-product", "qe-identity", QE "/isv_prod_id", "another product of the same signer",
     FAULT_MACHINE, .apply = qe_product},
    {"qe-svn", "tcb", QE "/isv_svn", "quoting enclave older than any level", FAULT_MACHINE,
     .apply = qe_svn_unknown},
    {"tcb-revoked", "tcb", QUOTE "/tcb_status", "platform at a revoked level", FAULT_MACHINE,
     .apply = tcb_revoked},
};

static const struct fault tdx_only[] = {
    {"eventlog-number", "evidence-format", "/evidence/cc_eventlog", "event log is a number",
     FAULT_MEMBERS, .apply = eventlog_number},
    {"certification-type", "quote-format", SIG "/certification/type",
     "certification data of type 5", FAULT_PARTS, .apply = certification_type},
    {"body-type", "quote-format", QUOTE "/body/type", "version 5 with a body of type 4",
     FAULT_MACHINE, .apply = descriptor_type},
    {"body-size", "quote-format", QUOTE "/body/size", "version 5 whose size is not its type's",
     FAULT_REPORT, .apply = descriptor_size},
    {"module-unknown", "tcb-info", QUOTE "/body/tcb_svn", "TDX module that Intel does not list",
     FAULT_MACHINE, .apply = module_unknown},
    {"module-signer", "tcb-info", QUOTE "/body/mrsigner_seam", "TDX module of another signer",
     FAULT_MACHINE, .apply = module_signer},
    {"module-attributes", "tcb-info", QUOTE "/body/seam_attributes", "TDX module with attributes",
     FAULT_MACHINE, .apply = module_attributes},
    {"quote-altered", "quote-signature", SIG "/quote_signature", "MRTD changed after signing",
     FAULT_PARTS, .apply = quote_altered},
    {"tcb-unknown", "tcb", QUOTE "/body/tcb_svn/platform", "platform older than any level",
     FAULT_MACHINE, .apply = tcb_unknown},
    {"module-svn", "tcb", QUOTE "/body/tcb_svn/module", "TDX module older than any level",
     FAULT_MACHINE, .apply = module_svn_unknown},
    {"nonce-replayed", "report-data", QUOTE "/body/report_data", "quote of another session",
     FAULT_MACHINE, .apply = other_session},
    {"init-data-other", "init-data", QUOTE "/body/mr_config_id",
     "MRCONFIGID is of another document", FAULT_MACHINE, .init_data = true,
     .apply = other_init_data},
    {"eventlog-garbled", "event-log", "/evidence/cc_eventlog", "event log of three zero bytes",
     FAULT_MEMBERS, .apply = eventlog_garbled},
};

static const struct fault sgx_only[] = {
    {"quote-altered", "quote-signature", SIG "/quote_signature", "MRENCLAVE changed after signing",
     FAULT_PARTS, .apply = quote_altered},
    {"tcb-unknown", "tcb", PCK "/0/tcb", "platform older than any level", FAULT_MACHINE,
     .apply = tcb_unknown},
    {"nonce-replayed", "report-data", QUOTE "/body/report_data", "quote of another session",
     FAULT_MACHINE, .apply = other_session},
    {"init-data-other", "init-data", QUOTE "/body/config_id", "CONFIGID is of another document",
     FAULT_MACHINE, .init_data = true, .apply = other_init_data},
};

size_t intel_tee_faults(bool tdx, struct fault_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct fault_table){common, ARRAY_LEN(common), 0};
    out[1] = tdx ? (struct fault_table){tdx_only, ARRAY_LEN(tdx_only), 0}
                 : (struct fault_table){sgx_only, ARRAY_LEN(sgx_only), 0};
    return 2;
}

/* ---- az-tdx-vtpm ---- */

FAULT_FN(az_quote_text)
{
    azure_fault_endorsement_text(part);
}

FAULT_FN(az_other_machine)
{
    azure_fault_other_machine(part);
}

FAULT_FN(az_quote_cut)
{
    ((struct azure_build *)part)->endorsement.len = 20;
}

/* Bytes of the quote as it stands in the evidence: header 48, body, length 4, signature. */
static void az_flip(void *part, size_t offset)
{
    edit_flip(&((struct azure_build *)part)->endorsement, offset);
}

FAULT_FN(az_quote_altered)
{
    az_flip(part, INTEL_HEADER_LEN + 136);
}

FAULT_FN(az_module_signer)
{
    az_flip(part, INTEL_HEADER_LEN + 64);
}

FAULT_FN(az_qe_altered)
{
    az_flip(part, INTEL_HEADER_LEN + TD10_BODY_LEN + 4 + 128 + 6 + 64);
}

#define TDQ "/evidence/td_quote"

static const struct fault az_only[] = {
    {"evidence-td-quote", "evidence-format", TDQ, "TD quote is an array of texts", FAULT_MEMBERS,
     .apply = az_quote_text},
    {"td-quote-cut", "quote-format", TDQ "/header", "TD quote of 20 bytes", FAULT_PARTS,
     .apply = az_quote_cut},
    {"td-module-signer", "tcb-info", TDQ "/body/mrsigner_seam", "TDX module of another signer",
     FAULT_PARTS, .apply = az_module_signer},
    {"td-qe-altered", "qe-report", TDQ "/signature/qe_report_signature",
     "quoting enclave's report changed after signing", FAULT_PARTS, .apply = az_qe_altered},
    {"td-quote-altered", "quote-signature", TDQ "/signature/quote_signature",
     "MRTD changed after signing", FAULT_PARTS, .apply = az_quote_altered},
    {"variable-data-altered", "variable-data-digest", TDQ "/body/report_data",
     "variable data of another machine beside the TD quote", FAULT_HCL, .apply = az_other_machine},
};

size_t azure_tdx_faults(struct fault_table out[MACHINE_TABLES_MAX])
{
    const size_t az = offsetof(struct azure_tdx_build, az);
    out[0] = (struct fault_table){azure_vtpm_faults, azure_vtpm_fault_count, az};
    out[1] = (struct fault_table){tpm_faults, tpm_fault_count, az};
    out[2] = (struct fault_table){az_only, ARRAY_LEN(az_only), az};
    return 3;
}
