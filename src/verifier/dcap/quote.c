#include "verifier/dcap/quote.h"

#include <stdarg.h>
#include <stdio.h>

/* verifiers-intel.md 2; two names have a dot, as upstream's claims do. */
const struct body_field sgx_body_fields[] = {
    {"cpu_svn", 0, 16},          {"misc_select", 16, 4},      {"reserved1", 20, 12},
    {"isv_ext_prod_id", 32, 16}, {"attributes.flags", 48, 8}, {"attributes.xfrm", 56, 8},
    {"mr_enclave", 64, 32},      {"reserved2", 96, 32},       {"mr_signer", 128, 32},
    {"reserved3", 160, 32},      {"config_id", 192, 64},      {"isv_prod_id", 256, 2},
    {"isv_svn", 258, 2},         {"config_svn", 260, 2},      {"reserved4", 262, 42},
    {"isv_family_id", 304, 16},  {"report_data", 320, 64},
};
const size_t sgx_body_field_count = ARRAY_LEN(sgx_body_fields);

const struct body_field td_body_fields[] = {
    {"tcb_svn", 0, 16},           {"mr_seam", 16, 48},       {"mrsigner_seam", 64, 48},
    {"seam_attributes", 112, 8},  {"td_attributes", 120, 8}, {"xfam", 128, 8},
    {"mr_td", 136, 48},           {"mr_config_id", 184, 48}, {"mr_owner", 232, 48},
    {"mr_owner_config", 280, 48}, {"rtmr_0", 328, 48},       {"rtmr_1", 376, 48},
    {"rtmr_2", 424, 48},          {"rtmr_3", 472, 48},       {"report_data", 520, 64},
    {"tee_tcb_svn2", 584, 16},    {"mr_servicetd", 600, 48},
};

size_t td_body_field_count(enum quote_body kind)
{
    return kind == QUOTE_TD15 ? ARRAY_LEN(td_body_fields) : ARRAY_LEN(td_body_fields) - 2;
}

static struct str field_of(struct str body, const struct body_field *fields, size_t n,
                           const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return str_slice(body, fields[i].offset, fields[i].len);
    return STR_EMPTY;
}

struct str sgx_body_field(struct str body, const char *name)
{
    return field_of(body, sgx_body_fields, sgx_body_field_count, name);
}

struct str quote_field(const struct dcap_quote *q, const char *name)
{
    return q->kind == QUOTE_SGX
               ? sgx_body_field(q->body, name)
               : field_of(q->body, td_body_fields, td_body_field_count(q->kind), name);
}

static enum status PRINTF_LIKE(3, 4)
    refuse(struct quote_fault *fault, const char *field, const char *format, ...)
{
    fault->field = field;
    va_list ap;
    va_start(ap, format);
    vsnprintf(fault->message, sizeof(fault->message), format, ap);
    va_end(ap);
    return ERR_INVALID;
}

/* A cursor that takes bounded parts. */
struct reader {
    struct str left;
};

static bool take(struct reader *r, size_t n, struct str *out)
{
    if (n > r->left.len)
        return false;
    *out = str_slice(r->left, 0, n);
    r->left = str_from(r->left, n);
    return true;
}

static enum status read_body(struct reader *r, struct dcap_quote *q, struct quote_fault *fault)
{
    static const size_t lengths[] = {SGX_BODY_LEN, TD10_BODY_LEN, TD15_BODY_LEN};
    if (q->version == 5) {
        if (!take(r, 6, &q->descriptor))
            return refuse(fault, "/body/type", "quote is too short for a body descriptor");
        uint16_t type = load_le16(q->descriptor.ptr);
        if (type != 2 && type != 3)
            return refuse(fault, "/body/type", "parse QuoteV5 Type failed. %u not defined.", type);
        q->kind = type == 2 ? QUOTE_TD10 : QUOTE_TD15;
        /* HARDEN intel-1: the size is that of the type. */
        if (load_le32(q->descriptor.ptr + 2) != lengths[q->kind])
            return refuse(fault, "/body/size", "quote body of type %u has a size of %u", type,
                          load_le32(q->descriptor.ptr + 2));
    }
    if (!take(r, lengths[q->kind], &q->body)) /* BUG intel-b1: upstream panics */
        return refuse(fault, "/body", "quote is too short for its body");
    return OK;
}

/* Certification data: type u16, length u32, content. */
static bool take_certification(struct reader *r, uint16_t *type, struct reader *content)
{
    struct str head;
    if (!take(r, 6, &head))
        return false;
    *type = load_le16(head.ptr);
    return take(r, load_le32(head.ptr + 2), &content->left);
}

static enum status read_qe(struct reader *r, struct dcap_quote *q, struct quote_fault *fault)
{
    struct str len;
    uint16_t type = 0;
    struct reader chain = {STR_EMPTY};
    if (!take(r, SGX_BODY_LEN, &q->qe_report) || !take(r, 64, &q->qe_signature))
        return refuse(fault, "/signature/qe_report", "QE report out of bounds");
    if (!take(r, 2, &len) || !take(r, load_le16(len.ptr), &q->qe_auth))
        return refuse(fault, "/signature/qe_auth_data", "QE authentication data out of bounds");
    if (r->left.len >= 2 && load_le16(r->left.ptr) != 5)
        return refuse(fault, "/signature/qe_certification/type",
                      "expected cert chain type 5, got %u", load_le16(r->left.ptr));
    if (!take_certification(r, &type, &chain))
        return refuse(fault, "/signature/qe_certification",
                      "PCK certificate chain data out of bounds");
    q->pck_chain = chain.left;
    while (q->pck_chain.len > 0 && q->pck_chain.ptr[q->pck_chain.len - 1] == '\0')
        q->pck_chain.len--; /* some producers count a C string's end */
    return OK;
}

static enum status read_signature(struct reader *r, struct dcap_quote *q, struct quote_fault *fault)
{
    struct str len = {NULL, 0}, data;
    if (!take(r, 4, &len) || !take(r, load_le32(len.ptr), &data))
        return refuse(fault, "/signature",
                      "quote too short for declared signature data length (%u)",
                      len.len == 4 ? load_le32(len.ptr) : 0);
    struct reader s = {data};
    if (!take(&s, 64, &q->signature) || !take(&s, 64, &q->key))
        return refuse(fault, "/signature/quote_signature", "quote signature out of bounds");
    if (q->version == 3)
        return read_qe(&s, q, fault);

    uint16_t type = 0;
    struct reader content = {STR_EMPTY};
    if (s.left.len >= 2 && load_le16(s.left.ptr) != 6)
        return refuse(fault, "/signature/certification/type", "expected cert data type 6, got %u",
                      load_le16(s.left.ptr));
    if (!take_certification(&s, &type, &content))
        return refuse(fault, "/signature/certification", "certification data out of bounds");
    return read_qe(&content, q, fault);
}

STATUS dcap_quote_parse(struct str bytes, struct dcap_quote *out, struct quote_fault *fault)
{
    static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    struct reader r = {bytes};
    struct dcap_quote q = {.descriptor = STR_EMPTY};
    if (!take(&r, QUOTE_HEADER_LEN, &q.header))
        return refuse(fault, "/header", "quote is too short for its header");

    const char *h = q.header.ptr;
    uint32_t tee = load_le32(h + 4);
    q.version = load_le16(h);
    bool sgx = q.version == 3 && tee == 0;
    if (!sgx && !((q.version == 4 || q.version == 5) && tee == 0x81))
        return refuse(fault,
                      q.version < 3 || q.version > 5 ? "/header/version" : "/header/tee_type",
                      "unsupported quote version %u / tee_type 0x%08x", q.version, tee);
    if (load_le16(h + 2) != 2)
        return refuse(fault, "/header/att_key_type",
                      "unsupported att_key_type %u, expected 2 (ECDSA-256-with-P-256)",
                      load_le16(h + 2));
    if (memcmp(h + 12, vendor, sizeof(vendor)) != 0)
        return refuse(fault, "/header/vendor_id", "quote is not of Intel's quoting enclave");

    q.kind = sgx ? QUOTE_SGX : QUOTE_TD10;
    enum status st = read_body(&r, &q, fault);
    if (st == OK) {
        q.signed_part = str_slice(bytes, 0, bytes.len - r.left.len);
        st = read_signature(&r, &q, fault);
    }
    if (st == OK)
        *out = q;
    return st;
}
