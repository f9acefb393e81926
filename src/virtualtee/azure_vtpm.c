#include "virtualtee/azure_vtpm.h"

#include <stdio.h>

#include "base/encode.h"
#include "value/json.h"

#define TPM_GENERATED 0xFF544347u
#define TPM_ST_ATTEST_QUOTE 0x8018u
#define TPM_ALG_SHA256 0x000Bu

/* ---- fields ---- */

static enum status set_pcr(void *machine, const struct field *f, struct str text, struct error *err)
{
    const struct field as_bytes = {.name = f->name, .type = FIELD_BYTES, .size = VTPM_PCR_LEN};
    struct azure_vtpm *v = machine;
    if (text.len != 2 * VTPM_PCR_LEN) {
        error_set(err, "PCR \"%s\" takes %d hex digits", f->name, 2 * VTPM_PCR_LEN);
        return ERR_INVALID;
    }
    return field_set(&as_bytes, v->pcrs[f->shift], text, err);
}

#define AT(member) offsetof(struct azure_vtpm, member)
#define UINT(name, member, bytes, what)                                                            \
    {                                                                                              \
        name, FIELD_UINT, AT(member), bytes, 0, what, NULL                                         \
    }
#define BOOL(name, member, what)                                                                   \
    {                                                                                              \
        name, FIELD_BOOL, AT(member), 0, 0, what, NULL                                             \
    }
#define DATA(name, member, what)                                                                   \
    {                                                                                              \
        name, FIELD_DATA, AT(member), 0, 0, what, NULL                                             \
    }
#define PCR(digits, n)                                                                             \
    {                                                                                              \
        "pcr" digits, FIELD_CALL, AT(pcrs[n]), 0, n, "64 hex digits, as --pcr " #n, set_pcr        \
    }

const struct field azure_vtpm_fields[] = {
    UINT("evidence_version", evidence_version, 1, "0, 1 or 2"),
    UINT("hcl_version", hcl_version, 4, "HCL header: 1 older hosts, 2"),
    UINT("hcl_request_type", hcl_request_type, 4, "HCL header: 2"),
    UINT("hcl_status", hcl_status, 4, "HCL header: 0"),
    UINT("hcl_data_version", hcl_data_version, 4, "runtime data header: 1"),
    UINT("hcl_report_type", hcl_report_type, 4, "runtime data header: 2 SNP, 4 TDX"),
    UINT("hcl_hash_type", hcl_hash_type, 4, "runtime data header: 1 SHA-256"),
    UINT("hcl_size", hcl_size, 4, "bytes of the blob: 2600, 2048 on early hosts"),
    BOOL("ek_present", ek_present, "variable data has HCLEkPub"),
    BOOL("console_enabled", console_enabled, "vm-configuration"),
    BOOL("secure_boot", secure_boot, "vm-configuration"),
    BOOL("tpm_enabled", tpm_enabled, "vm-configuration"),
    {"vm_unique_id", FIELD_TEXT, AT(vm_unique_id), 0, 0, "vm-configuration", NULL},
    BOOL("user_data_present", user_data_present, "absent in 2023 reports"),
    BOOL("user_data_upper", user_data_upper, "hex digits of HCL version 1"),
    DATA("user_data", user_data, "default: report data in version 2, else zeros"),
};
const size_t azure_vtpm_field_count = ARRAY_LEN(azure_vtpm_fields);

const struct field tpm_fields[] = {
    DATA("nonce", nonce, "extraData of the quote; default: report data"),
    DATA("qualified_signer", qualified_signer, "of the quote"),
    UINT("clock", clock, 8, "of the quote, milliseconds"),
    UINT("reset_count", reset_count, 4, "of the quote"),
    UINT("restart_count", restart_count, 4, "of the quote"),
    BOOL("safe", safe, "of the quote"),
    UINT("firmware_version", firmware_version, 8, "of the quote"),
    PCR("00", 0),
    PCR("01", 1),
    PCR("02", 2),
    PCR("03", 3),
    PCR("04", 4),
    PCR("05", 5),
    PCR("06", 6),
    PCR("07", 7),
    PCR("08", 8),
    PCR("09", 9),
    PCR("10", 10),
    PCR("11", 11),
    PCR("12", 12),
    PCR("13", 13),
    PCR("14", 14),
    PCR("15", 15),
    PCR("16", 16),
    PCR("17", 17),
    PCR("18", 18),
    PCR("19", 19),
    PCR("20", 20),
    PCR("21", 21),
    PCR("22", 22),
    PCR("23", 23),
};
const size_t tpm_field_count = ARRAY_LEN(tpm_fields);

static void extend(uint8_t pcr[VTPM_PCR_LEN], struct str digest)
{
    const struct str parts[] = {str_bytes(pcr, VTPM_PCR_LEN), digest};
    struct digest d;
    digest_parts(DIGEST_SHA256, parts, ARRAY_LEN(parts), &d);
    memcpy(pcr, d.bytes, VTPM_PCR_LEN);
}

void azure_vtpm_extend(struct azure_vtpm *v, unsigned pcr, struct str digest)
{
    /* Longer digests are cut, shorter ones padded: guest-initdata.md 4, 7.4. */
    uint8_t fitted[VTPM_PCR_LEN] = {0};
    memcpy(fitted, digest.ptr, digest.len < VTPM_PCR_LEN ? digest.len : VTPM_PCR_LEN);
    extend(v->pcrs[pcr], str_bytes(fitted, sizeof(fitted)));
}

/*
 * What a booted machine has: firmware and kernel in some, the separator alone
 * in 2, 3 and 6, zeros where nothing is measured, ones where only a dynamic
 * launch would measure (TCG PC Client Platform Firmware Profile).
 */
bool azure_vtpm_boot_digest(unsigned pcr, struct digest *out)
{
    static const uint8_t measured[] = {0, 1, 4, 5, 7, 9, 10, 11, 12, 14};
    if (pcr == 2 || pcr == 3 || pcr == 6) {
        digest_compute(DIGEST_SHA256, STR("\0\0\0\0"), out);
        return true;
    }
    if (memchr(measured, (int)pcr, sizeof(measured)) == NULL)
        return false;
    char label[32];
    snprintf(label, sizeof(label), "virtual-tee pcr %u", pcr);
    digest_compute(DIGEST_SHA256, str_of(label), out);
    return true;
}

static void init_pcrs(struct azure_vtpm *v)
{
    for (unsigned n = 0; n < VTPM_PCRS; n++) {
        struct digest d;
        if (n >= 17 && n <= 22)
            memset(v->pcrs[n], 0xff, VTPM_PCR_LEN);
        else if (azure_vtpm_boot_digest(n, &d))
            azure_vtpm_extend(v, n, digest_str(&d));
    }
}

void azure_vtpm_init(struct azure_vtpm *v)
{
    *v = (struct azure_vtpm){
        .evidence_version = 2,
        .hcl_version = 2,
        .hcl_request_type = 2,
        .hcl_data_version = 1,
        .hcl_report_type = HCL_TYPE_SNP,
        .hcl_hash_type = 1,
        .hcl_size = 2600,
        .ek_present = true,
        .user_data_present = true,
        .user_data_upper = true,
        .secure_boot = true,
        .tpm_enabled = true,
        .vm_unique_id = "00000000-7669-7274-7561-6C2D54454500",
        .clock = 332075238,
        .reset_count = 2,
        .safe = true,
        .firmware_version = 0x2020031200120003u,
    };

    /* The name of a key: algorithm and digest (34 bytes). */
    struct digest d;
    digest_compute(DIGEST_SHA256, STR("virtual-tee qualified signer"), &d);
    v->qualified_signer = (struct field_data){.set = true, .len = 34, .bytes = {0x00, 0x0B}};
    memcpy(v->qualified_signer.bytes + 2, d.bytes, d.len);
    init_pcrs(v);
}

/* ---- the build ---- */

void azure_build_init(struct azure_build *b, const struct azure_names *names,
                      const struct azure_vtpm *v, const struct pki *p, struct str report_data)
{
    *b = (struct azure_build){
        .names = names,
        .vtpm = *v,
        .report_data = report_data,
        .ak = pki_ak(p),
        .ak_public = privkey_public(pki_ak(p)),
        .ek_public = privkey_public(pki_ek(p)),
        .stranger_ak = pki_stranger_ak(p),
    };
    buf_init(&b->variable_data, HCL_BLOB_MAX);
    buf_init(&b->hcl, HCL_BLOB_MAX);
    buf_init(&b->message, 1024);
    buf_init(&b->signature, 1024);
    buf_init(&b->endorsement, AZURE_TEXT_MAX);
    for (int m = 0; m < AZURE_MEMBERS; m++)
        buf_init(&b->members[m], AZURE_TEXT_MAX);
}

void azure_build_done(struct azure_build *b)
{
    buf_done(&b->variable_data);
    buf_done(&b->hcl);
    buf_done(&b->message);
    buf_done(&b->signature);
    buf_done(&b->endorsement);
    for (int m = 0; m < AZURE_MEMBERS; m++)
        buf_done(&b->members[m]);
}

/* ---- variable data ---- */

static STATUS write_key(struct json_writer *w, const char *kid, const char *op,
                        const struct pubkey *key, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024);
    struct str n, e;
    enum status st = pubkey_rsa_ne(key, &a, &n, &e);
    if (st != OK) {
        error_set(err, "vTPM key \"%s\" is no RSA key", kid);
        return st;
    }
    struct str n_text = base64_text(&a, n, BASE64_URL);
    struct str e_text = base64_text(&a, e, BASE64_URL);
    if (n_text.ptr == NULL || e_text.ptr == NULL)
        return error_nomem(err);

    json_object_begin(w);
    json_key(w, "kid");
    json_cstring(w, kid);
    json_key(w, "key_ops");
    json_array_begin(w);
    json_cstring(w, op);
    json_array_end(w);
    json_key(w, "kty");
    json_cstring(w, "RSA");
    json_key(w, "e");
    json_string(w, e_text);
    json_key(w, "n");
    json_string(w, n_text);
    json_object_end(w);
    return OK;
}

/* 64 bytes as hex; HCL version 1 writes capitals, OpenHCL small letters. */
static void write_user_data(struct json_writer *w, const struct azure_build *b)
{
    uint8_t bytes[64] = {0};
    const struct azure_vtpm *v = &b->vtpm;
    struct str from = v->user_data.set          ? str_bytes(v->user_data.bytes, v->user_data.len)
                      : v->evidence_version < 2 ? STR_EMPTY
                                                : b->report_data;
    memcpy(bytes, from.ptr, from.len < sizeof(bytes) ? from.len : sizeof(bytes));

    char text[2 * sizeof(bytes) + 1];
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, v->user_data_upper ? "%02X" : "%02x", bytes[i]);
    json_key(w, "user-data");
    json_cstring(w, text);
}

STATUS azure_build_variable_data(struct azure_build *b, struct error *err)
{
    struct json_writer w;
    json_begin(&w, &b->variable_data);
    json_object_begin(&w);
    json_key(&w, "keys");
    json_array_begin(&w);
    enum status st = write_key(&w, "HCLAkPub", "sign", b->ak_public, err);
    if (st == OK && b->vtpm.ek_present)
        st = write_key(&w, "HCLEkPub", "encrypt", b->ek_public, err);
    if (st != OK)
        return st;

    json_array_end(&w);
    json_key(&w, "vm-configuration");
    json_object_begin(&w);
    json_key(&w, "console-enabled");
    json_bool(&w, b->vtpm.console_enabled);
    json_key(&w, "secure-boot");
    json_bool(&w, b->vtpm.secure_boot);
    json_key(&w, "tpm-enabled");
    json_bool(&w, b->vtpm.tpm_enabled);
    json_key(&w, "vmUniqueId");
    json_cstring(&w, b->vtpm.vm_unique_id);
    json_object_end(&w);
    if (b->vtpm.user_data_present)
        write_user_data(&w, b);
    json_object_end(&w);
    st = json_finish(&w);
    if (st != OK)
        error_set(err, "could not write the variable data: %s", status_name(st));
    return st;
}

void azure_variable_data_digest(const struct azure_build *b, struct digest *out)
{
    digest_compute(DIGEST_SHA256, buf_str(&b->variable_data), out);
}

/* ---- HCL report ---- */

STATUS azure_build_hcl(struct azure_build *b, struct error *err)
{
    const struct azure_vtpm *v = &b->vtpm;
    struct str data = buf_str(&b->variable_data);
    size_t used = HCL_VARIABLE_OFFSET + data.len;
    if (v->hcl_size > HCL_BLOB_MAX || used > v->hcl_size) {
        error_set(err, "the HCL report needs %zu bytes and the NV index has %u", used, v->hcl_size);
        return ERR_LIMIT;
    }

    uint8_t head[32] = "HCLA";
    store_le32(head + 0x04, v->hcl_version);
    store_le32(head + 0x08, (uint32_t)(32 + HCL_HARDWARE_LEN + 20 + data.len));
    store_le32(head + 0x0C, v->hcl_request_type);
    store_le32(head + 0x10, v->hcl_status);

    uint8_t data_head[20] = {0};
    store_le32(data_head + 0x00, (uint32_t)(20 + data.len));
    store_le32(data_head + 0x04, v->hcl_data_version);
    store_le32(data_head + 0x08, v->hcl_report_type);
    store_le32(data_head + 0x0C, v->hcl_hash_type);
    store_le32(data_head + 0x10, (uint32_t)data.len);

    buf_add(&b->hcl, str_bytes(head, sizeof(head)));
    buf_add(&b->hcl, str_bytes(b->hardware, sizeof(b->hardware)));
    buf_add(&b->hcl, str_bytes(data_head, sizeof(data_head)));
    buf_add(&b->hcl, data);
    while (b->hcl.len < v->hcl_size && b->hcl.failed == OK)
        buf_add_byte(&b->hcl, 0);
    enum status st = buf_status(&b->hcl);
    return st == ERR_NOMEM ? error_nomem(err) : st;
}

/* ---- quote ---- */

static void add_be(struct buf *out, uint64_t n, unsigned bytes)
{
    uint8_t be[8];
    store_be64(be, n);
    buf_add(out, str_bytes(be + 8 - bytes, bytes));
}

static void add_sized(struct buf *out, struct str bytes) /* TPM2B: u16 length first */
{
    add_be(out, bytes.len, 2);
    buf_add(out, bytes);
}

static void take_pcrs(struct azure_build *b)
{
    b->pcr_count = VTPM_PCRS;
    for (size_t i = 0; i < VTPM_PCRS; i++) {
        b->pcrs[i].len = VTPM_PCR_LEN;
        memcpy(b->pcrs[i].bytes, b->vtpm.pcrs[i], VTPM_PCR_LEN);
    }
}

/* TPMS_ATTEST of a quote (TPM 2.0 part 2, 10.12.8), big endian. */
STATUS azure_build_quote(struct azure_build *b, struct error *err)
{
    const struct azure_vtpm *v = &b->vtpm;
    take_pcrs(b);
    struct digest pcr_digest;
    digest_compute(DIGEST_SHA256, str_bytes(v->pcrs, sizeof(v->pcrs)), &pcr_digest);

    struct buf *m = &b->message;
    add_be(m, TPM_GENERATED, 4);
    add_be(m, TPM_ST_ATTEST_QUOTE, 2);
    add_sized(m, str_bytes(v->qualified_signer.bytes, v->qualified_signer.len));
    add_sized(m, v->nonce.set ? str_bytes(v->nonce.bytes, v->nonce.len) : b->report_data);
    add_be(m, v->clock, 8);
    add_be(m, v->reset_count, 4);
    add_be(m, v->restart_count, 4);
    add_be(m, v->safe, 1);
    add_be(m, v->firmware_version, 8);
    add_be(m, 1, 4); /* one bank: SHA-256, PCRs 0 to 23 */
    add_be(m, TPM_ALG_SHA256, 2);
    add_be(m, 3, 1);
    add_be(m, 0xFFFFFF, 3);
    add_sized(m, digest_str(&pcr_digest));
    enum status st = buf_status(m);
    if (st != OK)
        error_set(err, "could not write the quote: %s", status_name(st));
    return st;
}

STATUS azure_sign_quote(struct azure_build *b, struct error *err)
{
    return privkey_sign(b->ak, SIG_RSA_PKCS1, DIGEST_SHA256, buf_str(&b->message), &b->signature,
                        err);
}

/* ---- JSON ---- */

static void add_numbers(struct buf *out, struct str bytes)
{
    buf_add_byte(out, '[');
    for (size_t i = 0; i < bytes.len; i++)
        buf_add_format(out, "%s%u", i == 0 ? "" : ",", (unsigned)(uint8_t)bytes.ptr[i]);
    buf_add_byte(out, ']');
}

static void add_hex(struct buf *out, struct str bytes)
{
    buf_add_byte(out, '"');
    hex_write(out, bytes);
    buf_add_byte(out, '"');
}

static void add_base64(struct buf *out, struct str bytes)
{
    buf_add_byte(out, '"');
    base64_write(out, bytes, BASE64_URL_PAD);
    buf_add_byte(out, '"');
}

STATUS azure_build_members(struct azure_build *b, struct error *err)
{
    bool v0 = b->vtpm.evidence_version == 0;
    void (*add)(struct buf *, struct str) = v0 ? add_numbers : add_hex;
    void (*add_blob)(struct buf *, struct str) = v0 ? add_numbers : add_base64;

    buf_add_format(&b->members[AZURE_VERSION], "%u", b->vtpm.evidence_version);
    add(&b->members[AZURE_SIGNATURE], buf_str(&b->signature));
    add(&b->members[AZURE_MESSAGE], buf_str(&b->message));
    struct buf *pcrs = &b->members[AZURE_PCRS];
    buf_add_byte(pcrs, '[');
    for (size_t i = 0; i < b->pcr_count; i++) {
        if (i > 0)
            buf_add_byte(pcrs, ',');
        add(pcrs, str_bytes(b->pcrs[i].bytes, b->pcrs[i].len));
    }
    buf_add_byte(pcrs, ']');
    add_blob(&b->members[AZURE_HCL], buf_str(&b->hcl));
    if (v0 && b->names->endorsement_is_text_v0)
        json_write_string(&b->members[AZURE_ENDORSEMENT], buf_str(&b->endorsement));
    else
        add_blob(&b->members[AZURE_ENDORSEMENT], buf_str(&b->endorsement));
    b->omit[AZURE_VERSION] = v0;

    for (int m = 0; m < AZURE_MEMBERS; m++) {
        enum status st = buf_status(&b->members[m]);
        if (st != OK) {
            error_set(err, "could not write the evidence: %s", status_name(st));
            return st;
        }
    }
    return OK;
}

static void write_member(struct json_writer *w, const struct azure_build *b, const char *name,
                         enum azure_member m)
{
    if (b->omit[m])
        return;
    json_key(w, name);
    json_raw(w, buf_str(&b->members[m]));
}

STATUS azure_write_evidence(const struct azure_build *b, struct buf *out, struct error *err)
{
    bool v0 = b->vtpm.evidence_version == 0;
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    write_member(&w, b, "version", AZURE_VERSION);
    if (!b->omit_quote) {
        json_key(&w, v0 ? b->names->quote_v0 : "tpm_quote");
        json_object_begin(&w);
        write_member(&w, b, "signature", AZURE_SIGNATURE);
        write_member(&w, b, "message", AZURE_MESSAGE);
        write_member(&w, b, "pcrs", AZURE_PCRS);
        json_object_end(&w);
    }
    write_member(&w, b, v0 ? b->names->hcl_v0 : "hcl_report", AZURE_HCL);
    write_member(&w, b, b->names->endorsement, AZURE_ENDORSEMENT);
    json_object_end(&w);
    enum status st = json_finish(&w);
    if (st != OK)
        error_set(err, "could not write the evidence: %s", status_name(st));
    return st;
}
