#include "rego/der.h"

#include <stdio.h>

#include "base/encode.h"

bool der_next(struct str *in, struct der *out)
{
    const uint8_t *p = (const uint8_t *)in->ptr;
    if (in->len < 2 || (p[0] & 0x1f) == 0x1f)
        return false;
    size_t header = 2;
    size_t len = p[1];
    if (len >= 0x80) {
        size_t n = len & 0x7f;
        if (n == 0 || n > 4 || in->len < 2 + n || p[2] == 0)
            return false;
        len = 0;
        for (size_t i = 0; i < n; i++)
            len = len << 8 | p[2 + i];
        if (len < 0x80)
            return false;
        header += n;
    }
    if (in->len - header < len)
        return false;
    *out = (struct der){p[0], str_slice(*in, header, len), str_slice(*in, 0, header + len)};
    *in = str_from(*in, header + len);
    return true;
}

bool der_take(struct str *in, uint8_t tag, struct str *content)
{
    struct str rest = *in;
    struct der d;
    if (!der_next(&rest, &d) || d.tag != tag)
        return false;
    *in = rest;
    *content = d.content;
    return true;
}

bool der_take_unsigned(struct str *in, struct str *out)
{
    if (!der_take(in, DER_INTEGER, out) || out->len == 0 ||
        ((unsigned char)out->ptr[0] & 0x80) != 0)
        return false;
    while (out->len > 1 && out->ptr[0] == 0)
        *out = str_from(*out, 1);
    return true;
}

bool der_take_bits(struct str *in, struct str *out)
{
    if (!der_take(in, DER_BITS, out) || out->len == 0 || out->ptr[0] != 0)
        return false;
    *out = str_from(*out, 1);
    return true;
}

/* ---- object identifiers ---- */

#define OID_ARCS_MAX 64

static bool read_oid(struct str oid, uint32_t arcs[OID_ARCS_MAX], size_t *count)
{
    *count = 0;
    uint32_t arc = 0;
    bool within = false;
    for (size_t i = 0; i < oid.len; i++) {
        uint8_t byte = (uint8_t)oid.ptr[i];
        if (arc > (INT32_MAX >> 7) || (!within && byte == 0x80) || *count + 2 > OID_ARCS_MAX)
            return false;
        arc = arc << 7 | (byte & 0x7f);
        within = (byte & 0x80) != 0;
        if (within)
            continue;
        if (*count == 0) { /* the first two arcs in one */
            arcs[(*count)++] = arc < 80 ? arc / 40 : 2;
            arcs[(*count)++] = arc < 80 ? arc % 40 : arc - 80;
        } else {
            arcs[(*count)++] = arc;
        }
        arc = 0;
    }
    return *count > 0 && !within;
}

static bool oid_text(struct str oid, char *out, size_t size)
{
    uint32_t arcs[OID_ARCS_MAX];
    size_t n = 0;
    if (!read_oid(oid, arcs, &n))
        return false;
    size_t at = 0;
    for (size_t i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%u", i > 0 ? "." : "", arcs[i]);
    return at < size;
}

bool der_oid_is(struct str oid, const char *dotted)
{
    char text[OID_ARCS_MAX * 11];
    return oid_text(oid, text, sizeof(text)) && strcmp(text, dotted) == 0;
}

value der_oid_text(struct arena *a, struct str oid)
{
    char text[OID_ARCS_MAX * 11];
    return oid_text(oid, text, sizeof(text)) ? value_cstring(a, text) : VALUE_UNDEFINED;
}

value der_oid_array(struct arena *a, struct str oid)
{
    uint32_t arcs[OID_ARCS_MAX];
    size_t n = 0;
    if (!read_oid(oid, arcs, &n))
        return VALUE_UNDEFINED;
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_add(&b, value_int(a, arcs[i]));
    return value_array_finish(&b);
}

/* ---- numbers ---- */

value der_number(struct arena *a, struct str bytes)
{
    if (bytes.len > DER_NUMBER_MAX)
        return VALUE_UNDEFINED;
    /* repeated division by 10^9, most significant word first */
    size_t n = (bytes.len + 3) / 4;
    uint32_t *words = arena_new_array(a, uint32_t, n + 1);
    size_t room = n * 10 + 10;
    char *text = arena_alloc(a, room);
    if (words == NULL || text == NULL)
        return VALUE_UNDEFINED;
    for (size_t i = 0; i < bytes.len; i++) {
        size_t low = bytes.len - 1 - i; /* place of the byte, from the end */
        words[n - 1 - low / 4] |= (uint32_t)(uint8_t)bytes.ptr[i] << (low % 4 * 8);
    }
    size_t at = room;
    size_t first = 0;
    while (first < n) {
        uint64_t rest = 0;
        for (size_t i = first; i < n; i++) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        while (first < n && words[first] == 0)
            first++;
        for (int digit = 0; digit < 9; digit++) {
            text[--at] = (char)('0' + rest % 10);
            rest /= 10;
        }
    }
    while (at < room && text[at] == '0')
        at++;
    return at == room ? value_int(a, 0) : value_number(a, str_bytes(text + at, room - at));
}

value der_base64(struct arena *a, struct str bytes)
{
    if (bytes.ptr == NULL)
        return VALUE_NULL;
    struct str text = base64_text(a, bytes, BASE64_STD);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
}
