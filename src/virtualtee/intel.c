#include "virtualtee/intel.h"

#include <stdio.h>

#define OCTETS 0x04
#define INTEGER 0x02
#define BOOLEAN 0x01
#define OID 0x06
#define ENUMERATED 0x0A
#define SEQUENCE 0x30

/* ---- fields ---- */

/* One number for all 16 components: what a level of TCB information compares. */
static enum status set_svn(void *machine, const struct field *f, struct str text, struct error *err)
{
    uint64_t n;
    if (!field_number(text, UINT8_MAX, &n)) {
        error_set(err, "field \"%s\" takes a number of at most 255", f->name);
        return ERR_INVALID;
    }
    memset(((struct intel_machine *)machine)->tcb_components, (int)n, 16);
    return OK;
}

static enum status set_ca(void *machine, const struct field *f, struct str text, struct error *err)
{
    if (!str_is(text, "platform") && !str_is(text, "processor")) {
        error_set(err, "field \"%s\" is platform or processor", f->name);
        return ERR_INVALID;
    }
    ((struct intel_machine *)machine)->processor_ca = str_is(text, "processor");
    return OK;
}

/* Little-endian numbers inside a body. */
static enum status set_le16(void *machine, const struct field *f, struct str text,
                            struct error *err)
{
    uint64_t n;
    if (!field_number(text, UINT16_MAX, &n)) {
        error_set(err, "field \"%s\" takes a number of at most 65535", f->name);
        return ERR_INVALID;
    }
    store_le16((char *)machine + f->offset, (uint16_t)n);
    return OK;
}

/* A bit of the TD attributes, bytes 120 to 127 of the body. */
static enum status set_td_attribute(void *machine, const struct field *f, struct str text,
                                    struct error *err)
{
    uint8_t *byte = &((struct intel_machine *)machine)->body[120 + f->shift / 8];
    if (!str_is(text, "true") && !str_is(text, "false")) {
        error_set(err, "field \"%s\" is true or false", f->name);
        return ERR_INVALID;
    }
    uint8_t bit = (uint8_t)(1u << f->shift % 8);
    *byte = (uint8_t)(str_is(text, "true") ? *byte | bit : *byte & ~bit);
    return OK;
}

#define AT(member) offsetof(struct intel_machine, member)
#define UINT(name, member, bytes, what)                                                            \
    {                                                                                              \
        name, FIELD_UINT, AT(member), bytes, 0, what, NULL                                         \
    }
#define BOOL(name, member, what)                                                                   \
    {                                                                                              \
        name, FIELD_BOOL, AT(member), 0, 0, what, NULL                                             \
    }
#define BYTES(name, member, len, what)                                                             \
    {                                                                                              \
        name, FIELD_BYTES, AT(member), len, 0, what, NULL                                          \
    }
#define BODY(name, offset, len, what)                                                              \
    {                                                                                              \
        name, FIELD_BYTES, AT(body) + (offset), len, 0, what, NULL                                 \
    }
#define QE(name, offset, len, what)                                                                \
    {                                                                                              \
        name, FIELD_BYTES, AT(qe_body) + (offset), len, 0, what, NULL                              \
    }
#define QE16(name, offset, what)                                                                   \
    {                                                                                              \
        name, FIELD_CALL, AT(qe_body) + (offset), 2, 0, what, set_le16                             \
    }
#define TIME(name, member, what)                                                                   \
    {                                                                                              \
        name, FIELD_TIME, AT(member), 0, 0, what, NULL                                             \
    }
#define TD_BIT(name, bit, what)                                                                    \
    {                                                                                              \
        name, FIELD_CALL, 0, 0, bit, what, set_td_attribute                                        \
    }

const struct field intel_fields[] = {
    UINT("padding", padding, 2, "zero bytes behind the quote"),
    BYTES("quote_user_data", user_data, 20, "of the quote's header"),
    {"pck_ca", FIELD_CALL, 0, 0, 0, "platform (default) or processor", set_ca},
    BYTES("fmspc", fmspc, 6, "PCK: family, model, stepping, platform, custom"),
    BYTES("pceid", pceid, 2, "PCK"),
    BYTES("ppid", ppid, 16, "PCK: id of the platform"),
    BYTES("platform_instance_id", instance_id, 16, "PCK of the Platform CA, as stored"),
    BYTES("tcb_components", tcb_components, 16, "PCK: SVNs of the 16 components"),
    {"tcb_svn_all", FIELD_CALL, 0, 0, 0, "all 16 components at once", set_svn},
    BYTES("cpusvn", cpusvn, 16, "PCK"),
    UINT("pcesvn", pcesvn, 2, "PCK"),
    UINT("sgx_type", sgx_type, 1, "PCK: 0 standard, 1 scalable, 2 with integrity"),
    BOOL("dynamic_platform", dynamic_platform, "PCK of the Platform CA"),
    BOOL("cached_keys", cached_keys, "PCK of the Platform CA"),
    BOOL("smt_enabled", smt_enabled, "PCK of the Platform CA"),
    TIME("pck_not_before", pck_not_before, "PCK"),
    TIME("pck_not_after", pck_not_after, "PCK"),
    QE("qe_misc_select", 16, 4, "quoting enclave"),
    QE("qe_attributes", 48, 16, "quoting enclave"),
    QE("qe_mr_enclave", 64, 32, "quoting enclave"),
    QE("qe_mr_signer", 128, 32, "quoting enclave"),
    QE16("qe_isv_prod_id", 256, "quoting enclave: 1 SGX, 2 TDX"),
    QE16("qe_isv_svn", 258, "quoting enclave"),
    {"qe_auth_data", FIELD_DATA, AT(qe_auth), UINT16_MAX, 0, "quoting enclave", NULL},
};
const size_t intel_field_count = ARRAY_LEN(intel_fields);

const struct field sgx_fields[] = {
    UINT("qe_svn", qe_svn, 2, "of the quote's header"),
    UINT("pce_svn", pce_svn, 2, "of the quote's header"),
    BODY("body_cpu_svn", 0, 16, "enclave"),
    BODY("misc_select", 16, 4, "enclave"),
    BODY("isv_ext_prod_id", 32, 16, "enclave"),
    BODY("attributes_flags", 48, 8, "enclave: bit 1 debug"),
    BODY("attributes_xfrm", 56, 8, "enclave"),
    BODY("mr_enclave", 64, 32, "enclave"),
    BODY("mr_signer", 128, 32, "enclave"),
    BODY("config_id", 192, 64, "enclave: init data"),
    {"isv_prod_id", FIELD_CALL, AT(body) + 256, 2, 0, "enclave", set_le16},
    {"isv_svn", FIELD_CALL, AT(body) + 258, 2, 0, "enclave", set_le16},
    {"config_svn", FIELD_CALL, AT(body) + 260, 2, 0, "enclave", set_le16},
    BODY("isv_family_id", 304, 16, "enclave"),
};
const size_t sgx_field_count = ARRAY_LEN(sgx_fields);

const struct field tdx_fields[] = {
    UINT("quote_version", version, 2, "4 or 5"),
    UINT("body_type", body_type, 2, "of version 5: 2 TD 1.0, 3 TD 1.5"),
    BODY("tcb_svn", 0, 16, "module minor, module version, SEAM loader"),
    BODY("mr_seam", 16, 48, "module"),
    BODY("mrsigner_seam", 64, 48, "module: zeros are Intel's"),
    BODY("seam_attributes", 112, 8, "module"),
    BODY("td_attributes", 120, 8, "TD"),
    TD_BIT("td_attributes_debug", 0, "TD: the host may debug"),
    TD_BIT("td_attributes_septve_disable", 28, "TD"),
    TD_BIT("td_attributes_protection_keys", 30, "TD"),
    TD_BIT("td_attributes_key_locker", 31, "TD"),
    TD_BIT("td_attributes_perfmon", 63, "TD"),
    BODY("xfam", 128, 8, "TD"),
    BODY("mr_td", 136, 48, "TD: Azure's paravisor, or the firmware"),
    BODY("mr_config_id", 184, 48, "TD: init data"),
    BODY("mr_owner", 232, 48, "TD"),
    BODY("mr_owner_config", 280, 48, "TD"),
    BODY("rtmr_0", 328, 48, "TD"),
    BODY("rtmr_1", 376, 48, "TD"),
    BODY("rtmr_2", 424, 48, "TD"),
    BODY("rtmr_3", 472, 48, "TD"),
    BODY("tee_tcb_svn2", 584, 16, "TD 1.5: current TCB"),
    BODY("mr_servicetd", 600, 48, "TD 1.5"),
};
const size_t tdx_field_count = ARRAY_LEN(tdx_fields);

/* ---- machine ---- */

static void fill(const char *label, uint8_t *out, size_t len)
{
    struct digest d;
    digest_compute(DIGEST_SHA512, str_of(label), &d);
    memcpy(out, d.bytes, len);
}

static void init_td(struct intel_machine *m)
{
    static const uint8_t tcb_svn[16] = {7, 1, 6};
    m->version = 4;
    m->body_type = 3;
    memcpy(m->body, tcb_svn, sizeof(tcb_svn));
    memcpy(m->body + 584, tcb_svn, sizeof(tcb_svn));
    fill("virtual-tee TDX module", m->body + 16, 48);
    m->body[123] = 0x10; /* SEPT_VE_DISABLE */
    m->body[128] = 0xE7; /* XFAM */
    fill("virtual-tee TD", m->body + 136, 48);
    fill("virtual-tee RTMR 0", m->body + 328, 48);
    fill("virtual-tee RTMR 1", m->body + 376, 48);
    fill("virtual-tee RTMR 2", m->body + 424, 48);
}

static void init_enclave(struct intel_machine *m)
{
    m->version = 3;
    m->qe_svn = 9;
    m->pce_svn = 15;
    memset(m->body, 9, 16);
    m->body[48] = 0x05; /* initialised, 64 bit */
    m->body[56] = 0xE7;
    fill("virtual-tee enclave", m->body + 64, 32);
    fill("virtual-tee enclave signer", m->body + 128, 32);
    store_le16(m->body + 258, 1);
}

void intel_machine_init(struct intel_machine *m, bool tdx)
{
    *m = (struct intel_machine){
        .tdx = tdx,
        .fmspc = PKI_FMSPC,
        .pcesvn = 15,
        .sgx_type = 1,
        .dynamic_platform = true,
        .smt_enabled = true,
        .pck_not_before = PKI_NOT_BEFORE,
        .pck_not_after = PKI_NOT_AFTER,
    };
    fill("virtual-tee QE id", m->user_data, 16);
    fill("virtual-tee PPID", m->ppid, sizeof(m->ppid));
    fill("virtual-tee platform instance", m->instance_id, sizeof(m->instance_id));
    memset(m->tcb_components, 9, sizeof(m->tcb_components));
    memset(m->cpusvn, 9, sizeof(m->cpusvn));
    if (tdx)
        init_td(m);
    else
        init_enclave(m);

    memset(m->qe_body, 9, 16);
    m->qe_body[48] = 0x15; /* initialised, 64 bit, provisioning key */
    m->qe_body[56] = 0xE7;
    fill("virtual-tee QE", m->qe_body + 64, 32);
    pki_qe_signer(tdx, m->qe_body + 128);
    store_le16(m->qe_body + 256, tdx ? PKI_QE_PROD_ID_TDX : PKI_QE_PROD_ID_SGX);
    store_le16(m->qe_body + 258, 8);
    m->qe_auth.set = true;
    m->qe_auth.len = 32; /* as Intel's */
    for (uint8_t i = 0; i < 32; i++)
        m->qe_auth.bytes[i] = i;
}

size_t intel_body_len(const struct intel_machine *m)
{
    if (!m->tdx)
        return SGX_BODY_LEN;
    return m->version >= 5 && m->body_type == 3 ? TD15_BODY_LEN : TD10_BODY_LEN;
}

/* ---- PCK certificate ---- */

/* One DER element around `content`. */
static void add_der(struct buf *out, uint8_t tag, struct str content)
{
    buf_add_byte(out, (char)tag);
    if (content.len < 0x80) {
        buf_add_byte(out, (char)content.len);
    } else if (content.len < 0x100) {
        buf_add_byte(out, (char)0x81);
        buf_add_byte(out, (char)content.len);
    } else {
        buf_add_byte(out, (char)0x82);
        buf_add_byte(out, (char)(content.len >> 8));
        buf_add_byte(out, (char)content.len);
    }
    buf_add(out, content);
}

/* SEQUENCE { OID 1.2.840.113741.1.13.1.a[.b], value }. */
static void add_pair(struct buf *out, uint8_t a, uint8_t b, uint8_t tag, struct str content)
{
    uint8_t oid[11] = {0x2A, 0x86, 0x48, 0x86, 0xF8, 0x4D, 0x01, 0x0D, 0x01, a, b};
    CLEANUP(buf_done) struct buf pair;
    buf_init(&pair, 1024);
    add_der(&pair, OID, str_bytes(oid, b == 0 ? 10 : 11));
    add_der(&pair, tag, content);
    add_der(out, SEQUENCE, buf_str(&pair));
}

static void add_number(struct buf *out, uint8_t a, uint8_t b, uint8_t tag, uint16_t n)
{
    uint8_t bytes[3] = {0, (uint8_t)(n >> 8), (uint8_t)n};
    size_t from = n < 0x80 ? 2 : n < 0x8000 ? 1 : 0; /* the first bit is the sign */
    add_pair(out, a, b, tag, str_bytes(bytes + from, sizeof(bytes) - from));
}

static void write_sgx_extension(const struct intel_machine *m, struct buf *out)
{
    CLEANUP(buf_done) struct buf all;
    CLEANUP(buf_done) struct buf part;
    buf_init(&all, 1024);
    buf_init(&part, 1024);
    add_pair(&all, 1, 0, OCTETS, str_bytes(m->ppid, 16));
    for (uint8_t i = 0; i < 16; i++)
        add_number(&part, 2, (uint8_t)(i + 1), INTEGER, m->tcb_components[i]);
    add_number(&part, 2, 17, INTEGER, m->pcesvn);
    add_pair(&part, 2, 18, OCTETS, str_bytes(m->cpusvn, 16));
    add_pair(&all, 2, 0, SEQUENCE, buf_str(&part));
    add_pair(&all, 3, 0, OCTETS, str_bytes(m->pceid, 2));
    add_pair(&all, 4, 0, OCTETS, str_bytes(m->fmspc, 6));
    add_number(&all, 5, 0, ENUMERATED, m->sgx_type);
    if (!m->processor_ca) {
        add_pair(&all, 6, 0, OCTETS, str_bytes(m->instance_id, 16));
        buf_reset(&part);
        const bool flags[] = {m->dynamic_platform, m->cached_keys, m->smt_enabled};
        for (uint8_t i = 0; i < 3; i++)
            add_pair(&part, 7, (uint8_t)(i + 1), BOOLEAN, flags[i] ? STR("\xff") : STR("\0"));
        add_pair(&all, 7, 0, SEQUENCE, buf_str(&part));
    }
    add_der(out, SEQUENCE, buf_str(&all));
}

/* Leaf, intermediate and root as PEM. */
static STATUS write_chain(struct intel_build *b, const struct pki_intel *intel, struct error *err)
{
    CLEANUP(buf_done) struct buf extension;
    buf_init(&extension, 1024);
    write_sgx_extension(&b->m, &extension);
    const struct cert_extension extensions[] = {
        {.oid = "1.2.840.113741.1.13.1", .der = buf_str(&extension)}};
    char subject[128];
    snprintf(subject, sizeof(subject), "CN=%s,O=Claviger virtual TEE", b->pck_name);
    const struct cert_request req = {
        .subject = subject,
        .serial = STR("\x61\x01"),
        .not_before = b->m.pck_not_before,
        .not_after = b->m.pck_not_after,
        .digest = DIGEST_SHA256,
        .extensions = extensions,
        .extension_count = b->pck_extension ? 1 : 0,
    };
    const struct cert *ca = b->m.processor_ca ? intel->processor_ca : intel->platform_ca;
    CLEANUP(cert_cleanup) struct cert *leaf = NULL;
    enum status st = cert_make(&req, privkey_public(b->pck_key), ca, b->pck_issuer_key, &leaf, err);
    if (st != OK)
        return st;
    st = cert_to_pem(leaf, &b->pck_chain);
    if (st == OK)
        st = cert_to_pem(ca, &b->pck_chain);
    if (st == OK)
        st = cert_to_pem(intel->root, &b->pck_chain);
    if (st != OK)
        error_set(err, "could not write the PCK chain: %s", status_name(st));
    return st;
}

/* ---- quote ---- */

void intel_build_init(struct intel_build *b, const struct intel_machine *m)
{
    *b = (struct intel_build){
        .m = *m,
        .certification = 6,
        .qe_certification = 5,
        .pck_name = "Intel SGX PCK Certificate",
        .pck_extension = true,
    };
    buf_init(&b->signature, 256);
    buf_init(&b->qe_signature, 256);
    buf_init(&b->pck_chain, INTEL_QUOTE_MAX);
    buf_init(&b->quote, INTEL_QUOTE_MAX + UINT16_MAX);
}

void intel_build_done(struct intel_build *b)
{
    buf_done(&b->signature);
    buf_done(&b->qe_signature);
    buf_done(&b->pck_chain);
    buf_done(&b->quote);
}

static void write_header(struct intel_build *b)
{
    static const uint8_t vendor[16] = {0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9,
                                       0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07};
    const struct intel_machine *m = &b->m;
    uint8_t *h = b->header;
    store_le16(h, m->version);
    store_le16(h + 2, 2); /* ECDSA-256 with P-256 */
    store_le32(h + 4, m->tdx ? 0x81 : 0);
    if (!m->tdx) {
        store_le16(h + 8, m->qe_svn);
        store_le16(h + 10, m->pce_svn);
    }
    memcpy(h + 12, vendor, sizeof(vendor));
    memcpy(h + 28, m->user_data, sizeof(m->user_data));
    store_le16(b->descriptor, m->body_type);
    store_le32(b->descriptor + 2, (uint32_t)intel_body_len(m));
}

/* Header to body: what the attestation key signs. */
static void write_signed_part(const struct intel_build *b, struct buf *out)
{
    buf_add(out, str_bytes(b->header, sizeof(b->header)));
    if (b->m.version >= 5)
        buf_add(out, str_bytes(b->descriptor, sizeof(b->descriptor)));
    buf_add(out, str_bytes(b->m.body, intel_body_len(&b->m)));
}

/* The enclave vouches for the attestation key, the PCK for the enclave. */
static STATUS make_qe_report(struct intel_build *b, struct error *err)
{
    struct arena a;
    arena_init(&a, 4096);
    struct str x, y;
    enum status st = pubkey_ec_xy(privkey_public(b->qe_key), &a, &x, &y);
    if (st == OK && x.len == 32 && y.len == 32) {
        memcpy(b->key, x.ptr, 32);
        memcpy(b->key + 32, y.ptr, 32);
    }
    arena_done(&a);
    if (st != OK) {
        error_set(err, "attestation key is no P-256 key");
        return st;
    }
    const struct str parts[] = {str_bytes(b->key, sizeof(b->key)),
                                str_bytes(b->m.qe_auth.bytes, b->m.qe_auth.len)};
    struct digest d;
    digest_parts(DIGEST_SHA256, parts, 2, &d);
    memcpy(b->qe_report, b->m.qe_body, SGX_BODY_LEN);
    memset(b->qe_report + SGX_REPORT_DATA, 0, 64);
    memcpy(b->qe_report + SGX_REPORT_DATA, d.bytes, d.len);
    return OK;
}

static void add_le(struct buf *out, uint32_t n, unsigned bytes)
{
    uint8_t le[4];
    store_le32(le, n);
    buf_add(out, str_bytes(le, bytes));
}

static void write_qe_part(const struct intel_build *b, struct buf *out)
{
    buf_add(out, str_bytes(b->qe_report, sizeof(b->qe_report)));
    buf_add(out, buf_str(&b->qe_signature));
    add_le(out, b->m.qe_auth.len, 2);
    buf_add(out, str_bytes(b->m.qe_auth.bytes, b->m.qe_auth.len));
    add_le(out, b->qe_certification, 2);
    add_le(out, (uint32_t)b->pck_chain.len, 4);
    buf_add(out, buf_str(&b->pck_chain));
}

static STATUS assemble(struct intel_build *b, struct error *err)
{
    CLEANUP(buf_done) struct buf qe;
    CLEANUP(buf_done) struct buf data;
    buf_init(&qe, INTEL_QUOTE_MAX);
    buf_init(&data, INTEL_QUOTE_MAX);
    write_qe_part(b, &qe);
    buf_add(&data, buf_str(&b->signature));
    buf_add(&data, str_bytes(b->key, sizeof(b->key)));
    if (b->m.version >= 4) { /* version 3 has the parts one after the other */
        add_le(&data, b->certification, 2);
        add_le(&data, (uint32_t)qe.len, 4);
    }
    buf_add(&data, buf_str(&qe));

    write_signed_part(b, &b->quote);
    add_le(&b->quote, (uint32_t)data.len, 4);
    buf_add(&b->quote, buf_str(&data));
    for (unsigned i = 0; i < b->m.padding; i++)
        buf_add_byte(&b->quote, 0);
    enum status st = data.failed != OK ? data.failed : buf_status(&b->quote);
    if (st != OK)
        error_set(err, "could not write the quote: %s", status_name(st));
    return st;
}

static STATUS sign(const struct privkey *key, struct str bytes, struct buf *out, struct error *err)
{
    return privkey_sign(key, SIG_ECDSA_RAW, DIGEST_SHA256, bytes, out, err);
}

STATUS intel_build_quote(struct intel_build *b, struct pki *p, struct str report_data,
                         const struct fault *fault, void *build, struct error *err)
{
    const struct pki_intel *intel = NULL;
    enum status st = pki_intel(p, &intel, err);
    if (st != OK)
        return st;

    uint8_t *field = b->m.body + (b->m.tdx ? TD_REPORT_DATA : SGX_REPORT_DATA);
    memset(field, 0, 64);
    memcpy(field, report_data.ptr, report_data.len < 64 ? report_data.len : 64);
    fault_strike(fault, FAULT_MACHINE, build);
    b->qe_key = intel->qe_key;
    b->pck_key = intel->pck_key;
    b->pck_issuer_key = b->m.processor_ca ? intel->processor_ca_key : intel->platform_ca_key;
    write_header(b);
    fault_strike(fault, FAULT_REPORT, build);
    CLEANUP(buf_done) struct buf part;
    buf_init(&part, INTEL_QUOTE_MAX);
    write_signed_part(b, &part);
    st = sign(b->qe_key, buf_str(&part), &b->signature, err);
    if (st == OK)
        st = make_qe_report(b, err);
    if (st != OK)
        return st;

    fault_strike(fault, FAULT_QUOTE, build);
    st = sign(b->pck_key, str_bytes(b->qe_report, SGX_BODY_LEN), &b->qe_signature, err);
    if (st != OK)
        return st;
    fault_strike(fault, FAULT_VEK, build);
    st = write_chain(b, intel, err);
    if (st != OK)
        return st;
    fault_strike(fault, FAULT_PARTS, build);
    st = assemble(b, err);
    if (st == OK)
        fault_strike(fault, FAULT_HCL, build);
    return st;
}
