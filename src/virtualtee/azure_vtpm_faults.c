/*
 * The faults of paravisor and vTPM, in the order of the verifier's checks:
 * shared by Azure's SNP and TDX machines.
 */
#include "virtualtee/azure_vtpm.h"

/*
 * The end of a quote with one bank: count (4), hash (2), size (1), bitmap (3),
 * digest with its size (34).
 */
#define QUOTE_TAIL 44

#define FAULT_FN(fn) static void fn(void *build)
#define AZ ((struct azure_build *)build)

/* ---- evidence ---- */

FAULT_FN(omit_quote)
{
    AZ->omit_quote = true;
}

FAULT_FN(break_signature_text)
{
    edit_replace(&AZ->members[AZURE_SIGNATURE], "\"not hex\"");
}

FAULT_FN(break_message_text)
{
    edit_replace(&AZ->members[AZURE_MESSAGE], "\"not hex\"");
}

FAULT_FN(break_hcl_text)
{
    edit_replace(&AZ->members[AZURE_HCL], "\"not base64!\"");
}

FAULT_FN(break_pcrs_text)
{
    edit_replace(&AZ->members[AZURE_PCRS], "{\"0\":\"00\"}");
}

FAULT_FN(unknown_version)
{
    edit_replace(&AZ->members[AZURE_VERSION], "3");
}

/* ---- HCL header ---- */

FAULT_FN(cut_hcl)
{
    AZ->hcl.len = 1000;
}

FAULT_FN(hcl_mark)
{
    edit_flip(&AZ->hcl, 0);
}

FAULT_FN(hcl_request_type)
{
    edit_store_le32(&AZ->hcl, 0x0C, 1);
}

FAULT_FN(hcl_variable_data_size)
{
    edit_store_le32(&AZ->hcl, 0x4D0, HCL_BLOB_MAX);
}

FAULT_FN(hcl_data_size)
{
    edit_store_le32(&AZ->hcl, 0x4C0, 20);
}

FAULT_FN(hcl_report_type)
{
    uint32_t other = AZ->vtpm.hcl_report_type == HCL_TYPE_SNP ? HCL_TYPE_TDX : HCL_TYPE_SNP;
    edit_store_le32(&AZ->hcl, 0x4C8, other);
}

FAULT_FN(hcl_hash_type)
{
    edit_store_le32(&AZ->hcl, 0x4CC, 3);
}

/* ---- variable data: hashed and reported as it is, so only its content is wrong ---- */

FAULT_FN(variable_data_text)
{
    edit_exchange(&AZ->variable_data, "{\"keys\"", "{'keys'");
}

FAULT_FN(no_attestation_key)
{
    edit_exchange(&AZ->variable_data, "HCLAkPub", "HCLXkPub");
}

FAULT_FN(attestation_key_kind)
{
    edit_exchange(&AZ->variable_data, "\"kty\":\"RSA\"", "\"kty\":\"oct\"");
}

FAULT_FN(attestation_key_modulus)
{
    edit_exchange(&AZ->variable_data, "\"n\":\"", "\"n\":\"*");
}

/* 128 bytes of the modulus: 171 digits, of which the last carries four bits ("E" makes it odd). */
FAULT_FN(attestation_key_small)
{
    struct buf *b = &AZ->variable_data;
    char *n = edit_behind(b, "\"n\":\"");
    char *end = n != NULL ? memchr(n, '"', (size_t)(b->ptr + b->len - n)) : NULL;
    if (end == NULL || end - n < 171)
        return;
    n[170] = 'E';
    memmove(n + 171, end, (size_t)(b->ptr + b->len - end));
    b->len -= (size_t)(end - (n + 171));
}

FAULT_FN(other_user_data)
{
    AZ->vtpm.user_data = (struct field_data){.set = true, .len = 4, .bytes = {1, 2, 3, 4}};
}

FAULT_FN(user_data_text)
{
    edit_exchange(&AZ->variable_data, "\"user-data\":\"", "\"user-data\":\"xx");
}

FAULT_FN(no_user_data)
{
    AZ->vtpm.user_data_present = false;
}

/* ---- quote ---- */

FAULT_FN(stranger_signs)
{
    AZ->ak = AZ->stranger_ak;
}

FAULT_FN(quote_magic)
{
    edit_flip(&AZ->message, 0);
}

FAULT_FN(quote_type)
{
    /* TPM_ST_ATTEST_TIME: its attested part is read differently, so it ends elsewhere. */
    struct buf *m = &AZ->message;
    if (m->len >= QUOTE_TAIL) {
        m->ptr[5] = 0x19;
        m->len -= QUOTE_TAIL;
        for (int i = 0; i < 8 + 8 + 4 + 4 + 1 + 8; i++)
            buf_add_byte(m, 0);
    }
}

FAULT_FN(quote_trailing)
{
    buf_add_byte(&AZ->message, 0);
}

FAULT_FN(old_nonce)
{
    struct digest d;
    digest_compute(DIGEST_SHA384, STR("report data of another session"), &d);
    AZ->vtpm.nonce = (struct field_data){.set = true, .len = (uint8_t)d.len};
    memcpy(AZ->vtpm.nonce.bytes, d.bytes, d.len);
}

FAULT_FN(select_without_8)
{
    struct buf *m = &AZ->message;
    if (m->len >= QUOTE_TAIL)
        m->ptr[m->len - 36] = (char)0xFE; /* second byte of the bitmap */
}

/* ---- PCRs ---- */

FAULT_FN(pcr_changed)
{
    AZ->pcrs[11].bytes[0] ^= 1;
}

/* The same bytes cut in other places have the same digest. */
FAULT_FN(pcr_missing)
{
    struct vtpm_pcr *last = &AZ->pcrs[VTPM_PCRS - 2];
    memcpy(last->bytes + VTPM_PCR_LEN, AZ->pcrs[VTPM_PCRS - 1].bytes, VTPM_PCR_LEN);
    last->len = 2 * VTPM_PCR_LEN;
    AZ->pcr_count = VTPM_PCRS - 1;
}

FAULT_FN(pcr_short)
{
    struct vtpm_pcr *short_one = &AZ->pcrs[8], *long_one = &AZ->pcrs[9];
    memmove(long_one->bytes + 1, long_one->bytes, VTPM_PCR_LEN);
    long_one->bytes[0] = short_one->bytes[VTPM_PCR_LEN - 1];
    long_one->len = VTPM_PCR_LEN + 1;
    short_one->len = VTPM_PCR_LEN - 1;
}

/* ---- init data ---- */

FAULT_FN(init_data_twice)
{
    struct digest d;
    digest_compute(DIGEST_SHA256, STR("another document"), &d);
    azure_vtpm_extend(&AZ->vtpm, 8, digest_str(&d));
}

/* ---- the table ---- */

#define EV "/evidence"
#define HCL EV "/hcl_report"
#define VAR HCL "/variable_data"
#define AK VAR "/keys/HCLAkPub"
#define QUOTE EV "/tpm_quote"

const struct fault azure_vtpm_faults[] = {
    {"evidence-without-quote", "evidence-format", QUOTE, "evidence has no quote", FAULT_MEMBERS,
     .apply = omit_quote},
    {"evidence-version", "evidence-version", EV "/version", "evidence says version 3",
     FAULT_MEMBERS, .min_version = 1, .apply = unknown_version},
    {"evidence-signature", "evidence-format", QUOTE "/signature",
     "signature of the quote is no hex", FAULT_MEMBERS, .apply = break_signature_text},
    {"evidence-message", "evidence-format", QUOTE "/message", "the quote is no hex", FAULT_MEMBERS,
     .apply = break_message_text},
    {"evidence-pcrs", "evidence-format", QUOTE "/pcrs", "PCRs are an object", FAULT_MEMBERS,
     .apply = break_pcrs_text},
    {"evidence-hcl", "evidence-format", HCL, "HCL report is no base64", FAULT_MEMBERS,
     .apply = break_hcl_text},
    {"hcl-cut", "hcl-header", HCL, "HCL report of 1,000 bytes", FAULT_HCL, .apply = cut_hcl},
    {"hcl-signature", "hcl-header", HCL "/signature", "HCL report does not begin with HCLA",
     FAULT_HCL, .apply = hcl_mark},
    {"hcl-request-type", "hcl-header", HCL "/request_type", "HCL report is for another purpose",
     FAULT_HCL, .apply = hcl_request_type},
    {"hcl-variable-data-size", "hcl-header", HCL "/variable_data_size",
     "variable data reaches past the end", FAULT_HCL, .apply = hcl_variable_data_size},
    {"hcl-data-size", "hcl-header", HCL "/data_size", "sizes in the header disagree", FAULT_HCL,
     .apply = hcl_data_size},
    {"hcl-report-type", "hcl-header", HCL "/report_type",
     "HCL report is of the other kind of machine", FAULT_HCL, .apply = hcl_report_type},
    {"hcl-hash-type", "hcl-header", HCL "/hash_type", "variable data is hashed with SHA-512",
     FAULT_HCL, .apply = hcl_hash_type},
    {"variable-data-json", "variable-data-format", VAR, "variable data is no JSON",
     FAULT_VARIABLE_DATA, .apply = variable_data_text},
    {"attestation-key-missing", "attestation-key", VAR "/keys", "variable data has no HCLAkPub",
     FAULT_VARIABLE_DATA, .apply = no_attestation_key},
    {"attestation-key-type", "attestation-key", AK "/kty", "attestation key is no RSA key",
     FAULT_VARIABLE_DATA, .apply = attestation_key_kind},
    {"attestation-key-modulus", "attestation-key", AK "/n",
     "modulus of the attestation key is no base64url", FAULT_VARIABLE_DATA,
     .apply = attestation_key_modulus},
    {"attestation-key-small", "attestation-key", AK, "attestation key of 1,024 bits",
     FAULT_VARIABLE_DATA, .apply = attestation_key_small},
    {"user-data-missing", "user-data", VAR, "no user data in the variable data", FAULT_MACHINE,
     .min_version = 2, .apply = no_user_data},
    {"user-data-other", "user-data", VAR "/user-data",
     "hardware report was made for another session", FAULT_MACHINE, .min_version = 2,
     .apply = other_user_data},
    {"user-data-text", "variable-data-format", VAR "/user-data", "user data is no hex",
     FAULT_VARIABLE_DATA, .min_version = 2, .apply = user_data_text},
    {"quote-trailing", "quote-format", QUOTE "/message", "one byte behind the quote", FAULT_QUOTE,
     .apply = quote_trailing},
    {"pcr-missing", "pcr-values", QUOTE "/pcrs", "the values of PCRs 22 and 23 in one", FAULT_PARTS,
     .min_version = 1, .apply = pcr_missing},
    {"pcr-short", "pcr-values", QUOTE "/pcrs/8", "the last byte of PCR 8 stands before PCR 9",
     FAULT_PARTS, .min_version = 1, .apply = pcr_short},
};
const size_t azure_vtpm_fault_count = ARRAY_LEN(azure_vtpm_faults);

/* Of any TPM. */
const struct fault tpm_faults[] = {
    {"quote-signature", "quote-signature", QUOTE "/signature", "quote signed by another key",
     FAULT_QUOTE, .apply = stranger_signs},
    {"quote-magic", "quote-format", QUOTE "/message/magic", "quote was not made by a TPM",
     FAULT_QUOTE, .apply = quote_magic},
    {"quote-type", "quote-format", QUOTE "/message/type", "TPM signed its clock, not its PCRs",
     FAULT_QUOTE, .apply = quote_type},
    {"nonce-replayed", "nonce", QUOTE "/message/extra_data", "quote of another session",
     FAULT_MACHINE, .apply = old_nonce},
    {"pcr-selection", "pcr-selection", QUOTE "/message/pcr_select", "quote does not cover PCR 8",
     FAULT_QUOTE, .apply = select_without_8},
    {"pcr-changed", "pcr-digest", QUOTE "/pcrs", "PCR 11 is not the quoted one", FAULT_PARTS,
     .apply = pcr_changed},
    {"init-data-other", "init-data", QUOTE "/pcrs/8",
     "PCR 8 has another document measured on top of the init data", FAULT_MACHINE,
     .init_data = true, .apply = init_data_twice},
};
const size_t tpm_fault_count = ARRAY_LEN(tpm_faults);

void azure_fault_other_machine(void *part)
{
    char *id = edit_behind(&((struct azure_build *)part)->hcl, "\"vmUniqueId\":\"");
    if (id != NULL)
        *id ^= 1;
}

void azure_fault_endorsement_text(void *part)
{
    edit_replace(&((struct azure_build *)part)->members[AZURE_ENDORSEMENT], "[\"not\",\"bytes\"]");
}
