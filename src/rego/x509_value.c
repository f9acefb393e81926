#include "rego/x509_value.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/der.h"

/* Lists of a certificate: null while empty, as Go's nil slices. */
struct list {
    struct value_builder b;
};

struct reader {
    struct rego_call *call;
    struct arena *a;
    struct value_builder object;
    /* subject alternative names */
    struct list dns, email, ip, uri, uri_text;
    /* name constraints: permitted, excluded */
    struct list dns_domains[2], emails[2], ip_ranges[2], uri_domains[2];
    struct list extensions, unhandled, usages, unknown_usages, crl, ocsp, issuers, policies,
        policy_texts;
    bool has_alt_names, constraints_critical;
    bool basic_valid, is_ca, path_zero;
    int64_t path_len;
    int key_usage;
    value subject_key_id, authority_key_id;
};

static void put(struct reader *r, const char *name, value v)
{
    value_builder_put_str(&r->object, name, v);
}

static void list_init(struct reader *r, struct list *l)
{
    value_builder_init(&l->b, r->a, 0);
}

static void list_add(struct list *l, value v)
{
    value_builder_add(&l->b, v);
}

static value list_value(struct list *l)
{
    return l->b.len == 0 && !l->b.failed ? VALUE_NULL : value_array_finish(&l->b);
}

static void reader_init(struct reader *r, struct rego_call *call)
{
    *r = (struct reader){.call = call,
                         .a = rego_call_arena(call),
                         .subject_key_id = VALUE_NULL,
                         .authority_key_id = VALUE_NULL};
    value_builder_init(&r->object, r->a, 48);
    struct list *lists[] = {&r->dns,       &r->email,       &r->ip,
                            &r->uri,       &r->uri_text,    &r->extensions,
                            &r->unhandled, &r->usages,      &r->unknown_usages,
                            &r->crl,       &r->ocsp,        &r->issuers,
                            &r->policies,  &r->policy_texts};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(r, lists[i]);
    for (size_t i = 0; i < 2; i++) {
        list_init(r, &r->dns_domains[i]);
        list_init(r, &r->emails[i]);
        list_init(r, &r->ip_ranges[i]);
        list_init(r, &r->uri_domains[i]);
    }
}

/* ---- names ---- */

static const struct name_member {
    const char *oid;
    const char *name;
    bool single;
} name_members[] = {
    {"2.5.4.3", "CommonName", true},     {"2.5.4.5", "SerialNumber", true},
    {"2.5.4.6", "Country", false},       {"2.5.4.7", "Locality", false},
    {"2.5.4.8", "Province", false},      {"2.5.4.9", "StreetAddress", false},
    {"2.5.4.10", "Organization", false}, {"2.5.4.11", "OrganizationalUnit", false},
    {"2.5.4.17", "PostalCode", false},
};

#define BMP_STRING 30

static value bmp_text(struct arena *a, struct str s)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, s.len * 2 + 4);
    for (size_t i = 0; i + 1 < s.len; i += 2) {
        char text[4];
        size_t n = utf8_encode(load_be16(s.ptr + i), text);
        buf_add(&b, n == 0 ? STR("\xef\xbf\xbd") : str_bytes(text, n));
    }
    return value_string(a, buf_str(&b));
}

/* UTF8, Printable, Teletex, IA5, Numeric and BMP strings. */
static bool read_text(struct arena *a, const struct der *d, value *out)
{
    switch (d->tag) {
    case 12:
    case 18:
    case 19:
    case 20:
    case 22:
        *out = value_string(a, d->content);
        return true;
    case BMP_STRING:
        *out = bmp_text(a, d->content);
        return d->content.len % 2 == 0;
    default:
        return false;
    }
}

static bool read_name(struct arena *a, struct str rdns, value *out)
{
    struct value_builder names;
    struct value_builder members[ARRAY_LEN(name_members)];
    value_builder_init(&names, a, 0);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        value_builder_init(&members[i], a, 0);

    struct str set;
    while (rdns.len > 0) {
        if (!der_take(&rdns, DER_SET, &set))
            return false;
        struct str attribute;
        while (set.len > 0) {
            struct str oid;
            struct der d;
            value text = VALUE_UNDEFINED;
            if (!der_take(&set, DER_SEQUENCE, &attribute) || !der_take(&attribute, DER_OID, &oid) ||
                !der_next(&attribute, &d) || !read_text(a, &d, &text))
                return false;
            struct value_builder one;
            value_builder_init(&one, a, 2);
            value_builder_put_str(&one, "Type", der_oid_array(a, oid));
            value_builder_put_str(&one, "Value", text);
            value_builder_add(&names, value_object_finish(&one, VALUE_DUP_LAST, NULL));
            for (size_t i = 0; i < ARRAY_LEN(members); i++)
                if (der_oid_is(oid, name_members[i].oid))
                    value_builder_add(&members[i], text);
        }
    }

    struct value_builder b;
    value_builder_init(&b, a, 12);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        size_t n = members[i].len;
        value v = name_members[i].single ? (n > 0 ? members[i].items[n - 1] : value_cstring(a, ""))
                  : n > 0                ? value_array_finish(&members[i])
                                         : VALUE_NULL;
        value_builder_put_str(&b, name_members[i].name, v);
    }
    value_builder_put_str(&b, "Names", names.len > 0 ? value_array_finish(&names) : VALUE_NULL);
    value_builder_put_str(&b, "ExtraNames", VALUE_NULL);
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return true;
}

/* ---- times ---- */

static bool digits(struct str s, size_t at, size_t n, int *out)
{
    *out = 0;
    for (size_t i = at; i < at + n; i++) {
        if (i >= s.len || s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        *out = *out * 10 + (s.ptr[i] - '0');
    }
    return true;
}

/* RFC 5280, 4.1.2.5: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ */
static bool read_time(struct arena *a, struct str *in, value *out)
{
    struct der d;
    if (!der_next(in, &d) || (d.tag != 23 && d.tag != 24))
        return false;
    size_t year_len = d.tag == 23 ? 2 : 4;
    struct str s = d.content;
    int f[6];
    if (s.len != year_len + 11 || s.ptr[s.len - 1] != 'Z' || !digits(s, 0, year_len, &f[0]))
        return false;
    for (size_t i = 1; i < 6; i++)
        if (!digits(s, year_len + 2 * (i - 1), 2, &f[i]))
            return false;
    if (d.tag == 23)
        f[0] += f[0] < 50 ? 2000 : 1900;
    if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > 31 || f[3] > 23 || f[4] > 59 || f[5] > 59)
        return false;
    struct str text =
        arena_format(a, "%04d-%02d-%02dT%02d:%02d:%02dZ", f[0], f[1], f[2], f[3], f[4], f[5]);
    *out = text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
    return true;
}

/* ---- keys and algorithms ---- */

static bool rsa_key(struct arena *a, struct str key, value *out)
{
    struct str seq;
    struct str n;
    struct str e;
    if (!der_take(&key, DER_SEQUENCE, &seq) || !der_take_unsigned(&seq, &n) ||
        !der_take_unsigned(&seq, &e))
        return false;
    struct value_builder b;
    value_builder_init(&b, a, 2);
    value_builder_put_str(&b, "N", der_number(a, n));
    value_builder_put_str(&b, "E", der_number(a, e));
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out);
}

static bool ec_key(struct arena *a, struct str point, value *out)
{
    if (point.len < 3 || point.len % 2 == 0 || point.ptr[0] != 4)
        return false;
    size_t width = (point.len - 1) / 2;
    struct value_builder b;
    value_builder_init(&b, a, 3);
    value_builder_put_str(&b, "Curve", VALUE_EMPTY_OBJECT(a));
    value_builder_put_str(&b, "X", der_number(a, str_slice(point, 1, width)));
    value_builder_put_str(&b, "Y", der_number(a, str_slice(point, 1 + width, width)));
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out);
}

bool x509_public_key(struct arena *a, struct str spki, value *out, int *algorithm)
{
    struct str seq;
    struct str alg;
    struct str oid;
    struct str key;
    *algorithm = 0;
    *out = VALUE_NULL;
    if (!der_take(&spki, DER_SEQUENCE, &seq) || !der_take(&seq, DER_SEQUENCE, &alg) ||
        !der_take(&alg, DER_OID, &oid) || !der_take_bits(&seq, &key))
        return false;
    if (der_oid_is(oid, "1.2.840.113549.1.1.1")) {
        *algorithm = 1;
        return rsa_key(a, key, out);
    }
    if (der_oid_is(oid, "1.2.840.10045.2.1")) {
        *algorithm = 3;
        return ec_key(a, key, out);
    }
    if (der_oid_is(oid, "1.3.101.112")) {
        *algorithm = 4;
        *out = der_base64(a, key);
    }
    return true;
}

/* Go's x509.SignatureAlgorithm. */
static int signature_algorithm(struct str alg)
{
    static const struct {
        const char *oid;
        int number;
    } known[] = {
        {"1.2.840.113549.1.1.2", 1},  {"1.2.840.113549.1.1.4", 2},  {"1.2.840.113549.1.1.5", 3},
        {"1.3.14.3.2.29", 3},         {"1.2.840.113549.1.1.11", 4}, {"1.2.840.113549.1.1.12", 5},
        {"1.2.840.113549.1.1.13", 6}, {"1.2.840.10040.4.3", 7},     {"2.16.840.1.101.3.4.3.2", 8},
        {"1.2.840.10045.4.1", 9},     {"1.2.840.10045.4.3.2", 10},  {"1.2.840.10045.4.3.3", 11},
        {"1.2.840.10045.4.3.4", 12},  {"1.3.101.112", 16},
    };
    struct str oid;
    if (!der_take(&alg, DER_OID, &oid))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (der_oid_is(oid, known[i].oid))
            return known[i].number;
    /* RSASSA-PSS (RFC 4055): the digest is in the parameters */
    struct str params;
    struct str hash;
    struct str inner;
    if (!der_oid_is(oid, "1.2.840.113549.1.1.10") || !der_take(&alg, DER_SEQUENCE, &params) ||
        !der_take(&params, DER_CONTEXT_CONSTRUCTED(0), &hash) ||
        !der_take(&hash, DER_SEQUENCE, &inner) || !der_take(&inner, DER_OID, &oid))
        return 0;
    return der_oid_is(oid, "2.16.840.1.101.3.4.2.1")   ? 13
           : der_oid_is(oid, "2.16.840.1.101.3.4.2.2") ? 14
           : der_oid_is(oid, "2.16.840.1.101.3.4.2.3") ? 15
                                                       : 0;
}

/* ---- extensions ---- */

static value ip_text(struct arena *a, struct str bytes)
{
    const uint8_t *b = (const uint8_t *)bytes.ptr;
    struct str text = STR_EMPTY;
    if (bytes.len == 4) {
        text = arena_format(a, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
        return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
    }
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 64);
    net_write_v6(&out, b);
    return value_string(a, buf_str(&out));
}

static bool alt_names(struct reader *r, struct str in)
{
    struct str names;
    struct der d;
    if (!der_take(&in, DER_SEQUENCE, &names))
        return false;
    while (names.len > 0) {
        if (!der_next(&names, &d))
            return false;
        value text = value_string(r->a, d.content);
        if (d.tag == DER_CONTEXT(1)) {
            list_add(&r->email, text);
        } else if (d.tag == DER_CONTEXT(2)) {
            list_add(&r->dns, text);
        } else if (d.tag == DER_CONTEXT(6)) {
            value uri = uri_object(r->call, d.content);
            if (!value_is_defined(uri))
                return false;
            list_add(&r->uri, uri);
            list_add(&r->uri_text, text);
        } else if (d.tag == DER_CONTEXT(7)) {
            if (d.content.len != 4 && d.content.len != 16)
                return false;
            list_add(&r->ip, ip_text(r->a, d.content));
        }
    }
    r->has_alt_names = true;
    return true;
}

static bool basic_constraints(struct reader *r, struct str in)
{
    struct str seq;
    struct str flag = STR_EMPTY;
    struct str length;
    if (!der_take(&in, DER_SEQUENCE, &seq))
        return false;
    if (der_take(&seq, DER_BOOLEAN, &flag))
        r->is_ca = flag.len == 1 && flag.ptr[0] != 0;
    r->path_len = -1;
    if (der_take_unsigned(&seq, &length)) {
        if (length.len > 4)
            return false;
        r->path_len = 0;
        for (size_t i = 0; i < length.len; i++)
            r->path_len = r->path_len << 8 | (uint8_t)length.ptr[i];
    }
    r->path_zero = r->path_len == 0;
    r->basic_valid = true;
    return true;
}

static bool key_usage(struct reader *r, struct str in)
{
    struct str bits;
    if (!der_take(&in, DER_BITS, &bits) || bits.len == 0)
        return false;
    for (size_t i = 0; i < 9; i++)
        if (1 + i / 8 < bits.len && ((unsigned char)bits.ptr[1 + i / 8] >> (7 - i % 8) & 1) != 0)
            r->key_usage |= 1 << i;
    return true;
}

static bool ext_key_usage(struct reader *r, struct str in)
{
    static const char *const known[] = {
        "2.5.29.37.0",
        "1.3.6.1.5.5.7.3.1",
        "1.3.6.1.5.5.7.3.2",
        "1.3.6.1.5.5.7.3.3",
        "1.3.6.1.5.5.7.3.4",
        "1.3.6.1.5.5.7.3.5",
        "1.3.6.1.5.5.7.3.6",
        "1.3.6.1.5.5.7.3.7",
        "1.3.6.1.5.5.7.3.8",
        "1.3.6.1.5.5.7.3.9",
        "1.3.6.1.4.1.311.10.3.3",
        "2.16.840.1.113730.4.1",
        "1.3.6.1.4.1.311.2.1.22",
        "1.3.6.1.4.1.311.61.1.1",
    };
    struct str seq;
    struct str oid;
    if (!der_take(&in, DER_SEQUENCE, &seq))
        return false;
    while (seq.len > 0) {
        if (!der_take(&seq, DER_OID, &oid))
            return false;
        size_t i = 0;
        while (i < ARRAY_LEN(known) && !der_oid_is(oid, known[i]))
            i++;
        if (i < ARRAY_LEN(known))
            list_add(&r->usages, value_int(r->a, (int64_t)i));
        else
            list_add(&r->unknown_usages, der_oid_array(r->a, oid));
    }
    return true;
}

static bool crl_points(struct reader *r, struct str in)
{
    struct str seq;
    struct str point;
    struct str name;
    struct str full;
    if (!der_take(&in, DER_SEQUENCE, &seq))
        return false;
    while (seq.len > 0) {
        if (!der_take(&seq, DER_SEQUENCE, &point))
            return false;
        if (!der_take(&point, DER_CONTEXT_CONSTRUCTED(0), &name) ||
            !der_take(&name, DER_CONTEXT_CONSTRUCTED(0), &full))
            continue;
        struct der d;
        while (der_next(&full, &d))
            if (d.tag == DER_CONTEXT(6))
                list_add(&r->crl, value_string(r->a, d.content));
    }
    return true;
}

static bool info_access(struct reader *r, struct str in)
{
    struct str seq;
    struct str access;
    struct str oid;
    struct str uri;
    if (!der_take(&in, DER_SEQUENCE, &seq))
        return false;
    while (seq.len > 0) {
        if (!der_take(&seq, DER_SEQUENCE, &access) || !der_take(&access, DER_OID, &oid))
            return false;
        if (!der_take(&access, DER_CONTEXT(6), &uri))
            continue;
        if (der_oid_is(oid, "1.3.6.1.5.5.7.48.1"))
            list_add(&r->ocsp, value_string(r->a, uri));
        else if (der_oid_is(oid, "1.3.6.1.5.5.7.48.2"))
            list_add(&r->issuers, value_string(r->a, uri));
    }
    return true;
}

static bool policies(struct reader *r, struct str in)
{
    struct str seq;
    struct str policy;
    struct str oid;
    if (!der_take(&in, DER_SEQUENCE, &seq))
        return false;
    while (seq.len > 0) {
        if (!der_take(&seq, DER_SEQUENCE, &policy) || !der_take(&policy, DER_OID, &oid))
            return false;
        list_add(&r->policies, der_oid_array(r->a, oid));
        list_add(&r->policy_texts, der_oid_text(r->a, oid));
    }
    return true;
}

static bool constraint(struct reader *r, const struct der *d, size_t excluded)
{
    value text = value_string(r->a, d->content);
    size_t half = d->content.len / 2;
    switch (d->tag) {
    case DER_CONTEXT(1):
        list_add(&r->emails[excluded], text);
        return true;
    case DER_CONTEXT(2):
        list_add(&r->dns_domains[excluded], text);
        return true;
    case DER_CONTEXT(6):
        list_add(&r->uri_domains[excluded], text);
        return true;
    case DER_CONTEXT(7): {
        if (half != 4 && half != 16)
            return false;
        struct value_builder b;
        value_builder_init(&b, r->a, 2);
        value_builder_put_str(&b, "IP", ip_text(r->a, str_slice(d->content, 0, half)));
        value_builder_put_str(&b, "Mask", der_base64(r->a, str_from(d->content, half)));
        list_add(&r->ip_ranges[excluded], value_object_finish(&b, VALUE_DUP_LAST, NULL));
        return true;
    }
    default:
        return true;
    }
}

static bool name_constraints(struct reader *r, struct str in, bool critical)
{
    struct str seq;
    if (!der_take(&in, DER_SEQUENCE, &seq))
        return false;
    for (uint8_t excluded = 0; excluded < 2; excluded++) {
        struct str trees;
        if (!der_take(&seq, DER_CONTEXT_CONSTRUCTED(excluded), &trees))
            continue;
        while (trees.len > 0) {
            struct str tree;
            struct der d;
            if (!der_take(&trees, DER_SEQUENCE, &tree) || !der_next(&tree, &d) ||
                !constraint(r, &d, excluded))
                return false;
        }
    }
    r->constraints_critical = critical;
    return true;
}

/* False: malformed.  *known: Go reads it. */
static bool read_extension(struct reader *r, struct str oid, struct str in, bool critical,
                           bool *known)
{
    *known = true;
    if (der_oid_is(oid, "2.5.29.15"))
        return key_usage(r, in);
    if (der_oid_is(oid, "2.5.29.19"))
        return basic_constraints(r, in);
    if (der_oid_is(oid, "2.5.29.17"))
        return alt_names(r, in);
    if (der_oid_is(oid, "2.5.29.30"))
        return name_constraints(r, in, critical);
    if (der_oid_is(oid, "2.5.29.31"))
        return crl_points(r, in);
    if (der_oid_is(oid, "2.5.29.32"))
        return policies(r, in);
    if (der_oid_is(oid, "2.5.29.37"))
        return ext_key_usage(r, in);
    if (der_oid_is(oid, "1.3.6.1.5.5.7.1.1"))
        return info_access(r, in);
    struct str inner;
    if (der_oid_is(oid, "2.5.29.14")) {
        bool ok = der_take(&in, DER_OCTETS, &inner);
        r->subject_key_id = ok ? der_base64(r->a, inner) : VALUE_NULL;
        return ok;
    }
    if (der_oid_is(oid, "2.5.29.35")) {
        struct str seq;
        if (!der_take(&in, DER_SEQUENCE, &seq))
            return false;
        if (der_take(&seq, DER_CONTEXT(0), &inner))
            r->authority_key_id = der_base64(r->a, inner);
        return true;
    }
    *known = false;
    return true;
}

/* SEQUENCE OF Extension */
static bool read_extensions(struct reader *r, struct str seq)
{
    struct str extension;
    while (seq.len > 0) {
        struct str oid;
        struct str flag = STR_EMPTY;
        struct str content;
        if (!der_take(&seq, DER_SEQUENCE, &extension) || !der_take(&extension, DER_OID, &oid))
            return false;
        bool critical =
            der_take(&extension, DER_BOOLEAN, &flag) && flag.len == 1 && flag.ptr[0] != 0;
        bool known = false;
        if (!der_take(&extension, DER_OCTETS, &content) ||
            !read_extension(r, oid, content, critical, &known))
            return false;
        struct value_builder b;
        value_builder_init(&b, r->a, 3);
        value_builder_put_str(&b, "Critical", value_bool(critical));
        value_builder_put_str(&b, "Id", der_oid_array(r->a, oid));
        value_builder_put_str(&b, "Value", der_base64(r->a, content));
        list_add(&r->extensions, value_object_finish(&b, VALUE_DUP_LAST, NULL));
        if (critical && !known)
            list_add(&r->unhandled, der_oid_array(r->a, oid));
    }
    return true;
}

/* ---- the objects ---- */

static void put_extensions(struct reader *r, bool uri_strings)
{
    value no = value_int(r->a, 0);
    put(r, "Extensions", list_value(&r->extensions));
    put(r, "ExtraExtensions", VALUE_NULL);
    put(r, "UnhandledCriticalExtensions", list_value(&r->unhandled));
    put(r, "KeyUsage", value_int(r->a, r->key_usage));
    put(r, "UnknownExtKeyUsage", list_value(&r->unknown_usages));
    put(r, "BasicConstraintsValid", value_bool(r->basic_valid));
    put(r, "IsCA", value_bool(r->is_ca));
    put(r, "MaxPathLen", value_int(r->a, r->path_len));
    put(r, "MaxPathLenZero", value_bool(r->path_zero));
    put(r, "SubjectKeyId", r->subject_key_id);
    put(r, "AuthorityKeyId", r->authority_key_id);
    put(r, "OCSPServer", list_value(&r->ocsp));
    put(r, "IssuingCertificateURL", list_value(&r->issuers));
    put(r, "EmailAddresses", list_value(&r->email));
    put(r, "URIs", list_value(&r->uri));
    if (uri_strings)
        put(r, "URIStrings", list_value(&r->uri_text));
    put(r, "PermittedDNSDomainsCritical", value_bool(r->constraints_critical));
    put(r, "PermittedDNSDomains", list_value(&r->dns_domains[0]));
    put(r, "ExcludedDNSDomains", list_value(&r->dns_domains[1]));
    put(r, "PermittedIPRanges", list_value(&r->ip_ranges[0]));
    put(r, "ExcludedIPRanges", list_value(&r->ip_ranges[1]));
    put(r, "PermittedEmailAddresses", list_value(&r->emails[0]));
    put(r, "ExcludedEmailAddresses", list_value(&r->emails[1]));
    put(r, "PermittedURIDomains", list_value(&r->uri_domains[0]));
    put(r, "ExcludedURIDomains", list_value(&r->uri_domains[1]));
    put(r, "CRLDistributionPoints", list_value(&r->crl));
    put(r, "PolicyIdentifiers", list_value(&r->policies));
    put(r, "Policies", list_value(&r->policy_texts));
    put(r, "PolicyMappings", VALUE_NULL);
    put(r, "InhibitAnyPolicy", no);
    put(r, "InhibitAnyPolicyZero", VALUE_FALSE);
    put(r, "InhibitPolicyMapping", no);
    put(r, "InhibitPolicyMappingZero", VALUE_FALSE);
    put(r, "RequireExplicitPolicy", no);
    put(r, "RequireExplicitPolicyZero", VALUE_FALSE);
}

static bool put_name(struct reader *r, struct str *tbs, const char *raw_name, const char *name)
{
    struct der d;
    value v = VALUE_UNDEFINED;
    if (!der_next(tbs, &d) || d.tag != DER_SEQUENCE || !read_name(r->a, d.content, &v))
        return false;
    put(r, raw_name, der_base64(r->a, d.whole));
    put(r, name, v);
    return true;
}

static bool put_key(struct reader *r, struct str *tbs, struct str *spki)
{
    struct der d;
    value key = VALUE_NULL;
    int algorithm = 0;
    if (!der_next(tbs, &d) || !x509_public_key(r->a, d.whole, &key, &algorithm))
        return false;
    *spki = d.whole;
    put(r, "RawSubjectPublicKeyInfo", der_base64(r->a, d.whole));
    put(r, "PublicKey", key);
    put(r, "PublicKeyAlgorithm", value_int(r->a, algorithm));
    return true;
}

/* RFC 5280, 4.1: Certificate.tbsCertificate */
static bool read_tbs(struct reader *r, struct str tbs, struct str *spki)
{
    struct str version;
    struct str number;
    struct str serial;
    struct str algorithm;
    struct str validity;
    int64_t v = 1;
    if (der_take(&tbs, DER_CONTEXT_CONSTRUCTED(0), &version)) {
        if (!der_take_unsigned(&version, &number) || number.len != 1 || number.ptr[0] > 2)
            return false;
        v = number.ptr[0] + 1;
    }
    value not_before = VALUE_UNDEFINED;
    value not_after = VALUE_UNDEFINED;
    if (!der_take_unsigned(&tbs, &serial) || !der_take(&tbs, DER_SEQUENCE, &algorithm) ||
        !put_name(r, &tbs, "RawIssuer", "Issuer") || !der_take(&tbs, DER_SEQUENCE, &validity) ||
        !read_time(r->a, &validity, &not_before) || !read_time(r->a, &validity, &not_after) ||
        !put_name(r, &tbs, "RawSubject", "Subject") || !put_key(r, &tbs, spki))
        return false;
    put(r, "Version", value_int(r->a, v));
    put(r, "SerialNumber", der_number(r->a, serial));
    put(r, "NotBefore", not_before);
    put(r, "NotAfter", not_after);

    struct str unused;
    struct str wrapped;
    struct str extensions;
    der_take(&tbs, DER_CONTEXT(1), &unused); /* unique identifiers */
    der_take(&tbs, DER_CONTEXT(2), &unused);
    if (!der_take(&tbs, DER_CONTEXT_CONSTRUCTED(3), &wrapped))
        return tbs.len == 0;
    return tbs.len == 0 && der_take(&wrapped, DER_SEQUENCE, &extensions) &&
           read_extensions(r, extensions);
}

bool x509_certificate(struct rego_call *call, struct str der, bool uri_strings,
                      struct x509_parts *out)
{
    struct reader r;
    reader_init(&r, call);
    struct str raw = der;
    struct str seq;
    struct der tbs;
    struct str algorithm;
    struct str signature;
    struct str spki = STR_EMPTY;
    if (!der_take(&der, DER_SEQUENCE, &seq) || der.len != 0 || !der_next(&seq, &tbs) ||
        tbs.tag != DER_SEQUENCE || !der_take(&seq, DER_SEQUENCE, &algorithm) ||
        !der_take_bits(&seq, &signature) || !read_tbs(&r, tbs.content, &spki))
        return false;
    put(&r, "Raw", der_base64(r.a, raw));
    put(&r, "RawTBSCertificate", der_base64(r.a, tbs.whole));
    put(&r, "Signature", der_base64(r.a, signature));
    put(&r, "SignatureAlgorithm", value_int(r.a, signature_algorithm(algorithm)));
    bool unknown = r.unknown_usages.b.len > 0;
    *out = (struct x509_parts){.dns_names = list_value(&r.dns),
                               .ip_addresses = list_value(&r.ip),
                               .ext_key_usage = list_value(&r.usages),
                               .has_unknown_usage = unknown,
                               .has_alt_names = r.has_alt_names,
                               .spki = spki};
    put(&r, "DNSNames", out->dns_names);
    put(&r, "IPAddresses", out->ip_addresses);
    put(&r, "ExtKeyUsage", out->ext_key_usage);
    put_extensions(&r, uri_strings);
    out->object = value_object_finish(&r.object, VALUE_DUP_LAST, NULL);
    return value_is_defined(out->object);
}

/* RFC 2986, 4.1: the attributes; Go shows those whose values are lists of names with values. */
static bool read_attributes(struct reader *r, struct str set)
{
    struct list attributes;
    list_init(r, &attributes);
    while (set.len > 0) {
        struct str attribute;
        struct str oid;
        struct str values;
        if (!der_take(&set, DER_SEQUENCE, &attribute) || !der_take(&attribute, DER_OID, &oid) ||
            !der_take(&attribute, DER_SET, &values))
            return false;
        struct str all = values;
        struct str seq;
        struct list outer;
        list_init(r, &outer);
        bool shown_fully = true;
        while (all.len > 0 && shown_fully) {
            struct list inner;
            list_init(r, &inner);
            shown_fully = der_take(&all, DER_SEQUENCE, &seq);
            while (shown_fully && seq.len > 0) {
                struct str pair;
                struct str name;
                struct der v;
                shown_fully = der_take(&seq, DER_SEQUENCE, &pair) &&
                              der_take(&pair, DER_OID, &name) && der_next(&pair, &v);
                if (!shown_fully)
                    break;
                if (v.tag == DER_BOOLEAN && !der_next(&pair, &v))
                    shown_fully = false;
                struct value_builder b;
                value text = VALUE_UNDEFINED;
                value_builder_init(&b, r->a, 2);
                value_builder_put_str(&b, "Type", der_oid_array(r->a, name));
                value_builder_put_str(
                    &b, "Value", read_text(r->a, &v, &text) ? text : der_base64(r->a, v.content));
                list_add(&inner, value_object_finish(&b, VALUE_DUP_LAST, NULL));
            }
            list_add(&outer, list_value(&inner));
        }
        if (shown_fully) {
            struct value_builder b;
            value_builder_init(&b, r->a, 2);
            value_builder_put_str(&b, "Type", der_oid_array(r->a, oid));
            value_builder_put_str(&b, "Value", list_value(&outer));
            list_add(&attributes, value_object_finish(&b, VALUE_DUP_LAST, NULL));
        }
        struct str extensions;
        if (der_oid_is(oid, "1.2.840.113549.1.9.14") &&
            (!der_take(&values, DER_SEQUENCE, &extensions) || !read_extensions(r, extensions)))
            return false;
    }
    put(r, "Attributes", list_value(&attributes));
    return true;
}

bool x509_request(struct rego_call *call, struct str der, value *out)
{
    struct reader r;
    reader_init(&r, call);
    struct str raw = der;
    struct str seq;
    struct der info;
    struct str algorithm;
    struct str signature;
    struct str version;
    struct str attributes = STR_EMPTY;
    struct str spki;
    if (!der_take(&der, DER_SEQUENCE, &seq) || der.len != 0 || !der_next(&seq, &info) ||
        info.tag != DER_SEQUENCE || !der_take(&seq, DER_SEQUENCE, &algorithm) ||
        !der_take_bits(&seq, &signature))
        return false;
    struct str tbs = info.content;
    if (!der_take_unsigned(&tbs, &version) || !put_name(&r, &tbs, "RawSubject", "Subject") ||
        !put_key(&r, &tbs, &spki))
        return false;
    der_take(&tbs, DER_CONTEXT_CONSTRUCTED(0), &attributes);
    if (!read_attributes(&r, attributes))
        return false;
    put(&r, "Raw", der_base64(r.a, raw));
    put(&r, "RawTBSCertificateRequest", der_base64(r.a, info.whole));
    put(&r, "Version", der_number(r.a, version));
    put(&r, "Signature", der_base64(r.a, signature));
    put(&r, "SignatureAlgorithm", value_int(r.a, signature_algorithm(algorithm)));
    put(&r, "Extensions", list_value(&r.extensions));
    put(&r, "ExtraExtensions", VALUE_NULL);
    put(&r, "DNSNames", list_value(&r.dns));
    put(&r, "EmailAddresses", list_value(&r.email));
    put(&r, "IPAddresses", list_value(&r.ip));
    put(&r, "URIs", list_value(&r.uri));
    *out = value_object_finish(&r.object, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out);
}
