#include "verifier/dcap/pck.h"

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_OCTETS = 0x04,
    TAG_OID = 0x06,
    TAG_ENUMERATED = 0x0a,
    TAG_SEQUENCE = 0x30
};

/* One DER element of a tag off the front; lengths below 64 KiB, shortest form. */
static bool take(struct str *in, uint8_t tag, struct str *content)
{
    const uint8_t *p = (const uint8_t *)in->ptr;
    if (in->len < 2 || p[0] != tag)
        return false;
    size_t head = 2, len = p[1];
    if (len == 0x81) {
        head = 3;
        if (in->len < head || p[2] < 0x80)
            return false;
        len = p[2];
    } else if (len == 0x82) {
        head = 4;
        if (in->len < head || p[2] == 0)
            return false;
        len = load_be16(p + 2);
    } else if (len >= 0x80) {
        return false;
    }
    if (len > in->len - head)
        return false;
    *content = str_slice(*in, head, len);
    *in = str_from(*in, head + len);
    return true;
}

/* 1.2.840.113741.1.13.1 and up to two numbers below 128. */
static bool oid_is(struct str oid, unsigned a, unsigned b)
{
    static const uint8_t stem[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    const uint8_t *p = (const uint8_t *)oid.ptr;
    size_t n = sizeof(stem);
    return oid.len == n + 1 + (b != 0) && memcmp(p, stem, n) == 0 && p[n] == a &&
           (b == 0 || p[n + 1] == b);
}

/* SEQUENCE { OID stem.a[.b], value }: what is left is the value. */
static bool take_pair(struct str *in, unsigned a, unsigned b, struct str *val)
{
    struct str pair, oid;
    if (!take(in, TAG_SEQUENCE, &pair) || !take(&pair, TAG_OID, &oid) || !oid_is(oid, a, b))
        return false;
    *val = pair;
    return true;
}

static bool take_octets(struct str *in, unsigned a, unsigned b, uint8_t *out, size_t len)
{
    struct str val, content;
    if (!take_pair(in, a, b, &val) || !take(&val, TAG_OCTETS, &content) || val.len != 0 ||
        content.len != len)
        return false;
    memcpy(out, content.ptr, len);
    return true;
}

static bool take_number(struct str *in, uint8_t tag, unsigned a, unsigned b, unsigned max,
                        unsigned *out)
{
    struct str val, content;
    if (!take_pair(in, a, b, &val) || !take(&val, tag, &content) || val.len != 0 ||
        content.len == 0 || content.len > 3 || (content.ptr[0] & 0x80) != 0)
        return false;
    if (content.len > 1 && content.ptr[0] == 0 && (content.ptr[1] & 0x80) == 0)
        return false;
    unsigned n = 0;
    for (size_t i = 0; i < content.len; i++)
        n = n << 8 | (uint8_t)content.ptr[i];
    *out = n;
    return n <= max;
}

static bool take_flag(struct str *in, unsigned b, bool *out)
{
    struct str val, content;
    if (!take_pair(in, 7, b, &val) || !take(&val, TAG_BOOLEAN, &content) || val.len != 0 ||
        content.len != 1)
        return false;
    *out = content.ptr[0] != 0;
    return true;
}

static bool read_tcb(struct str *in, struct pck_info *out)
{
    struct str val, tcb;
    unsigned n = 0;
    uint8_t cpusvn[16];
    if (!take_pair(in, 2, 0, &val) || !take(&val, TAG_SEQUENCE, &tcb) || val.len != 0)
        return false;
    for (unsigned i = 0; i < 16; i++) {
        if (!take_number(&tcb, TAG_INTEGER, 2, i + 1, UINT8_MAX, &n))
            return false;
        out->svn[i] = (uint8_t)n;
    }
    if (!take_number(&tcb, TAG_INTEGER, 2, 17, UINT16_MAX, &n))
        return false;
    out->pcesvn = (uint16_t)n;
    return take_octets(&tcb, 2, 18, cpusvn, sizeof(cpusvn)) && tcb.len == 0;
}

static bool read_configuration(struct str *in, struct pck_info *out)
{
    struct str val, flags;
    return take_pair(in, 7, 0, &val) && take(&val, TAG_SEQUENCE, &flags) && val.len == 0 &&
           take_flag(&flags, 1, &out->dynamic_platform) &&
           take_flag(&flags, 2, &out->cached_keys) && take_flag(&flags, 3, &out->smt_enabled) &&
           flags.len == 0;
}

STATUS pck_parse(struct str extension, bool platform, struct pck_info *out, const char **message)
{
    struct str in;
    struct pck_info p = {0};
    *message = "SGX extension of the PCK certificate is malformed";
    if (!take(&extension, TAG_SEQUENCE, &in) || extension.len != 0)
        return ERR_INVALID;
    if (!take_octets(&in, 1, 0, p.ppid, sizeof(p.ppid)) || !read_tcb(&in, &p) ||
        !take_octets(&in, 3, 0, p.pceid, sizeof(p.pceid)))
        return ERR_INVALID;
    if (!take_octets(&in, 4, 0, p.fmspc, sizeof(p.fmspc))) {
        *message = "fmspc is not 6 bytes";
        return ERR_INVALID;
    }
    if (!take_number(&in, TAG_ENUMERATED, 5, 0, 255, &p.sgx_type))
        return ERR_INVALID;

    if (!platform && in.len != 0) {
        *message = "Processor CA cert unexpectedly contains platform_instance or configuration";
        return ERR_INVALID;
    }
    if (platform) {
        if (!take_octets(&in, 6, 0, p.instance_id, sizeof(p.instance_id))) {
            *message = "Platform PCK cert is missing platform_instance";
            return ERR_INVALID;
        }
        if (!read_configuration(&in, &p)) {
            *message = "Platform PCK cert is missing configuration";
            return ERR_INVALID;
        }
        p.has_instance = true;
        if (in.len != 0) {
            *message = "SGX extension has unexpected trailing bytes";
            return ERR_INVALID;
        }
    }
    *out = p;
    return OK;
}
