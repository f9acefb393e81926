#include "virtualtee/plain_tpm.h"

#include "base/encode.h"
#include "value/json.h"

#define ALG_SHA1 0x0004u
#define ALG_SHA256 0x000Bu
#define ALG_RSASSA 0x0014u
#define ALG_RSAPSS 0x0016u

/* PCRs, quote and its signature are built as a vTPM's; the endorsement is the key. */
struct tpm_build {
    struct azure_build az;
    uint16_t scheme, hash; /* of TPMT_SIGNATURE */
    bool short_size;
    bool ec_key;
};

static void init(void *m)
{
    azure_vtpm_init(m);
}

static void done(void *m)
{
    (void)m;
}

static size_t fields(struct field_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct field_table){tpm_fields, tpm_field_count, 0};
    return 1;
}

static void init_data(void *m, struct str digest)
{
    azure_vtpm_extend(m, 8, digest);
}

static uint8_t (*pcrs(void *m))[32]
{
    return ((struct azure_vtpm *)m)->pcrs;
}

/* ---- evidence ---- */

/* DER of the attestation key's public half. */
static STATUS add_key(struct tpm_build *b, struct error *err)
{
    CLEANUP(privkey_cleanup) struct privkey *other = NULL;
    const struct pubkey *key = b->az.ak_public;
    enum status st = OK;
    if (b->ec_key) {
        st = privkey_generate(KEY_EC_P256, 0, &other, err);
        key = other == NULL ? NULL : privkey_public(other);
    }
    if (st == OK)
        st = pubkey_to_der(key, &b->az.endorsement);
    if (st != OK)
        error_set(err, "could not write the attestation key: %s", status_name(st));
    return st;
}

static void add_base64(struct buf *out, struct str bytes)
{
    buf_add_byte(out, '"');
    base64_write(out, bytes, BASE64_STD);
    buf_add_byte(out, '"');
}

/* TPMT_SIGNATURE: algorithm, hash, size, signature; big endian. */
static void add_signature(const struct tpm_build *b, struct buf *out)
{
    CLEANUP(buf_done) struct buf t;
    buf_init(&t, 1024);
    const struct str signature = buf_str(&b->az.signature);
    uint8_t head[6];
    store_be16(head, b->scheme);
    store_be16(head + 2, b->hash);
    store_be16(head + 4, (uint16_t)(signature.len - (b->short_size ? 1 : 0)));
    buf_add(&t, str_bytes(head, sizeof(head)));
    buf_add(&t, signature);
    add_base64(out, buf_str(&t));
}

static void build_members(struct tpm_build *b)
{
    struct azure_build *az = &b->az;
    add_signature(b, &az->members[AZURE_SIGNATURE]);
    add_base64(&az->members[AZURE_MESSAGE], buf_str(&az->message));
    add_base64(&az->members[AZURE_ENDORSEMENT], buf_str(&az->endorsement));
    struct buf *list = &az->members[AZURE_PCRS];
    for (size_t i = 0; i < az->pcr_count; i++) {
        buf_add_cstr(list, i == 0 ? "[\"" : "\",\"");
        hex_write(list, str_bytes(az->pcrs[i].bytes, az->pcrs[i].len));
    }
    buf_add_cstr(list, "\"]");
}

static STATUS write_json(const struct tpm_build *b, struct buf *out, struct error *err)
{
    const struct buf *members = b->az.members;
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "ak_public");
    json_raw(&w, buf_str(&members[AZURE_ENDORSEMENT]));
    if (!b->az.omit_quote) {
        json_key(&w, "tpm_quote");
        json_object_begin(&w);
        json_key(&w, "signature");
        json_raw(&w, buf_str(&members[AZURE_SIGNATURE]));
        json_key(&w, "message");
        json_raw(&w, buf_str(&members[AZURE_MESSAGE]));
        json_key(&w, "pcrs");
        json_raw(&w, buf_str(&members[AZURE_PCRS]));
        json_object_end(&w);
    }
    json_object_end(&w);
    enum status st = json_finish(&w);
    if (st != OK)
        error_set(err, "could not write the evidence: %s", status_name(st));
    return st;
}

static STATUS build(struct tpm_build *b, const struct fault *fault, struct buf *out,
                    struct error *err)
{
    fault_strike(fault, FAULT_MACHINE, b);
    enum status st = azure_build_quote(&b->az, err);
    if (st != OK)
        return st;
    fault_strike(fault, FAULT_QUOTE, b);
    st = azure_sign_quote(&b->az, err);
    if (st == OK)
        st = add_key(b, err);
    if (st != OK)
        return st;
    fault_strike(fault, FAULT_PARTS, b);
    build_members(b);
    fault_strike(fault, FAULT_MEMBERS, b);
    return write_json(b, out, err);
}

static enum status evidence(void *m, struct pki *p, const struct fault *fault,
                            struct str report_data, struct buf *out, struct error *err)
{
    uint8_t nonce[32] = {0}; /* padded or cut: the guest's doing */
    if (report_data.len > 0)
        memcpy(nonce, report_data.ptr, report_data.len < 32 ? report_data.len : 32);
    struct tpm_build b = {.scheme = ALG_RSASSA, .hash = ALG_SHA256};
    azure_build_init(&b.az, NULL, m, p, str_bytes(nonce, sizeof(nonce)));
    enum status st = pki_tpm_ak(p, &b.az.ak, err);
    if (st == OK)
        b.az.ak_public = privkey_public(b.az.ak);
    if (st == OK)
        st = build(&b, fault, out, err);
    azure_build_done(&b.az);
    return st;
}

/* ---- faults: those of a vTPM's quote are shared, where field and meaning are the same ---- */

#define FAULT_FN(fn) static void fn(void *part)
#define B ((struct tpm_build *)part)

FAULT_FN(omit_quote)
{
    B->az.omit_quote = true;
}

FAULT_FN(key_number)
{
    edit_replace(&B->az.members[AZURE_ENDORSEMENT], "7");
}

FAULT_FN(key_text)
{
    edit_replace(&B->az.members[AZURE_ENDORSEMENT], "\"not base64!\"");
}

FAULT_FN(key_garbled)
{
    edit_replace(&B->az.endorsement, "no key");
}

FAULT_FN(key_elliptic)
{
    B->ec_key = true;
}

FAULT_FN(signature_text)
{
    edit_replace(&B->az.members[AZURE_SIGNATURE], "\"not base64!\"");
}

FAULT_FN(signature_scheme)
{
    B->scheme = ALG_RSAPSS;
}

FAULT_FN(signature_hash)
{
    B->hash = ALG_SHA1;
}

FAULT_FN(signature_size)
{
    B->short_size = true;
}

FAULT_FN(message_text)
{
    edit_replace(&B->az.members[AZURE_MESSAGE], "\"not base64!\"");
}

FAULT_FN(pcrs_object)
{
    edit_replace(&B->az.members[AZURE_PCRS], "{}");
}

FAULT_FN(pcr_missing)
{
    B->az.pcr_count = VTPM_PCRS - 1;
}

FAULT_FN(pcr_short)
{
    B->az.pcrs[8].len = VTPM_PCR_LEN - 1;
}

FAULT_FN(trailing)
{
    buf_add_byte(&B->az.message, 0);
}

#define QUOTE "/evidence/tpm_quote"
#define KEY "/evidence/ak_public"

static const struct fault own_faults[] = {
    {"evidence-without-quote", "evidence-format", QUOTE, "evidence has no quote", FAULT_MEMBERS,
     .apply = omit_quote},
    {"key-number", "evidence-format", KEY, "attestation key is a number", FAULT_MEMBERS,
     .apply = key_number},
    {"evidence-pcrs", "evidence-format", QUOTE "/pcrs", "PCRs are an object", FAULT_MEMBERS,
     .apply = pcrs_object},
    {"signature-text", "quote-format", QUOTE "/signature", "signature is no base64", FAULT_MEMBERS,
     .apply = signature_text},
    {"signature-scheme", "signature-algorithm", QUOTE "/signature/sig_alg",
     "signature says RSASSA-PSS", FAULT_PARTS, .apply = signature_scheme},
    {"signature-size", "quote-format", QUOTE "/signature/size", "signature is longer than it says",
     FAULT_PARTS, .apply = signature_size},
    {"signature-hash", "signature-algorithm", QUOTE "/signature/hash", "signature says SHA-1",
     FAULT_PARTS, .apply = signature_hash},
    {"message-text", "quote-format", QUOTE "/message", "quote is no base64", FAULT_MEMBERS,
     .apply = message_text},
    {"pcr-missing", "pcr-values", QUOTE "/pcrs", "PCR 23 is left out", FAULT_PARTS,
     .apply = pcr_missing},
    {"pcr-short", "pcr-values", QUOTE "/pcrs/8", "PCR 8 has 31 bytes", FAULT_PARTS,
     .apply = pcr_short},
    {"key-text", "attestation-key", KEY, "attestation key is no base64", FAULT_MEMBERS,
     .apply = key_text},
    {"key-garbled", "attestation-key", KEY "/der", "attestation key is no key", FAULT_PARTS,
     .apply = key_garbled},
    {"key-elliptic", "attestation-key", KEY "/kind", "attestation key is no RSA key", FAULT_QUOTE,
     .apply = key_elliptic},
    {"quote-trailing", "quote-format", QUOTE "/message/structure", "one byte behind the quote",
     FAULT_QUOTE, .apply = trailing},
};

static size_t faults(struct fault_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct fault_table){own_faults, ARRAY_LEN(own_faults), 0};
    out[1] = (struct fault_table){tpm_faults, tpm_fault_count, offsetof(struct tpm_build, az)};
    return 2;
}

const struct machine_kind plain_tpm_kind = {
    .tee = "tpm",
    .needs_pki = true,
    .size = sizeof(struct azure_vtpm),
    .init = init,
    .done = done,
    .fields = fields,
    .faults = faults,
    .set_init_data = init_data,
    .pcrs = pcrs,
    .evidence = evidence,
};
