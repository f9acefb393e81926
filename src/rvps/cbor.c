#include "rvps/cbor.h"

#include "base/encode.h"
#include "base/utf8.h"

struct reader {
    struct arena *a;
    struct str rest;
    struct error *err;
};

static enum status read_item(struct reader *r, unsigned depth, value *out);

static enum status bad(struct reader *r, const char *what)
{
    error_set(r->err, "CBOR: %s", what);
    return ERR_INVALID;
}

static struct str take(struct reader *r, size_t n)
{
    struct str s = str_slice(r->rest, 0, n);
    r->rest = str_from(r->rest, n);
    return s;
}

/* Major type and argument (RFC 8949, 3). */
static enum status read_head(struct reader *r, unsigned *major, unsigned *info, uint64_t *arg)
{
    if (r->rest.len == 0)
        return bad(r, "an item is cut off");
    uint8_t first = (uint8_t)take(r, 1).ptr[0];
    *major = first >> 5;
    *info = first & 31;
    *arg = *info;
    if (*info < 24)
        return OK;
    if (*info > 27)
        return bad(r, "indefinite lengths are not allowed");
    size_t n = (size_t)1 << (*info - 24);
    if (r->rest.len < n)
        return bad(r, "an item is cut off");
    struct str s = take(r, n);
    *arg = 0;
    for (size_t i = 0; i < n; i++)
        *arg = *arg << 8 | (uint8_t)s.ptr[i];
    return OK;
}

static value single(struct arena *a, const char *key, value v)
{
    struct value_builder b;
    value_builder_init(&b, a, 1);
    value_builder_put_str(&b, key, v);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static enum status read_string(struct reader *r, bool text, uint64_t len, value *out)
{
    if (len > r->rest.len)
        return bad(r, "a string is cut off");
    struct str s = take(r, (size_t)len);
    if (text && !utf8_is_valid(s))
        return bad(r, "a text is not UTF-8");
    if (text) {
        *out = value_string(r->a, s);
        return OK;
    }
    struct str hex = hex_text(r->a, s);
    *out = hex.ptr == NULL ? VALUE_UNDEFINED : single(r->a, "bytes", value_string(r->a, hex));
    return OK;
}

/* Each element takes a byte at least, so `n` beyond the rest is a lie. */
static enum status read_array(struct reader *r, unsigned depth, uint64_t n, value *out)
{
    if (n > r->rest.len)
        return bad(r, "an array is cut off");
    struct value_builder b;
    value_builder_init(&b, r->a, 0);
    for (uint64_t i = 0; i < n; i++) {
        value v;
        enum status st = read_item(r, depth - 1, &v);
        if (st != OK)
            return st;
        value_builder_add(&b, v);
    }
    *out = value_array_finish(&b);
    return OK;
}

static enum status read_map(struct reader *r, unsigned depth, uint64_t n, value *out)
{
    if (n > r->rest.len / 2)
        return bad(r, "a map is cut off");
    struct value_builder b;
    value_builder_init(&b, r->a, 0);
    for (uint64_t i = 0; i < n; i++) {
        value k, v;
        enum status st = read_item(r, depth - 1, &k);
        if (st == OK)
            st = read_item(r, depth - 1, &v);
        if (st != OK)
            return st;
        value_builder_put(&b, k, v);
    }
    value twice = VALUE_UNDEFINED;
    *out = value_object_finish(&b, VALUE_DUP_REFUSE, &twice);
    return value_is_defined(twice) ? bad(r, "a map has the same key twice") : OK;
}

static enum status read_tag(struct reader *r, unsigned depth, uint64_t n, value *out)
{
    value v;
    enum status st = read_item(r, depth - 1, &v);
    if (st != OK)
        return st;
    struct value_builder b;
    value_builder_init(&b, r->a, 2);
    value_builder_put_str(&b, "tag", value_uint(r->a, n));
    value_builder_put_str(&b, "of", v);
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return OK;
}

static value negative(struct arena *a, uint64_t arg)
{
    return arg <= INT64_MAX ? value_int(a, -1 - (int64_t)arg) : VALUE_NULL;
}

static enum status read_item(struct reader *r, unsigned depth, value *out)
{
    unsigned major = 0, info = 0;
    uint64_t arg = 0;
    enum status st = read_head(r, &major, &info, &arg);
    if (st != OK)
        return st;
    if (depth == 0)
        return bad(r, "items are nested too deep");
    *out = VALUE_UNDEFINED;
    switch (major) {
    case 0:
        *out = value_uint(r->a, arg);
        break;
    case 1:
        *out = negative(r->a, arg);
        break;
    case 2:
    case 3:
        st = read_string(r, major == 3, arg, out);
        break;
    case 4:
        st = read_array(r, depth, arg, out);
        break;
    case 5:
        st = read_map(r, depth, arg, out);
        break;
    case 6:
        st = read_tag(r, depth, arg, out);
        break;
    default:
        *out = info == 20 ? VALUE_FALSE : info == 21 ? VALUE_TRUE : VALUE_NULL;
        break;
    }
    if (st == OK && !value_is_defined(*out))
        return arena_status(r->a) == OK ? bad(r, "an item has no value") : error_nomem(r->err);
    return st;
}

enum status cbor_read(struct arena *a, struct str bytes, value *out, struct error *err)
{
    struct reader r = {a, bytes, err};
    enum status st = read_item(&r, CBOR_DEPTH_MAX, out);
    if (st != OK)
        return st;
    return r.rest.len == 0 ? OK : bad(&r, "there is more than one item");
}

struct str cbor_bytes(struct arena *a, value v)
{
    value hex = value_get_lit(v, "bytes");
    struct str out = {NULL, 0};
    if (value_is_string(hex) && hex_bytes(a, value_str(hex), &out, NULL) != OK)
        out.ptr = NULL;
    return out;
}

value cbor_tagged(value v, uint64_t n)
{
    uint64_t tag;
    return value_get_uint64(value_get_lit(v, "tag"), &tag) && tag == n ? value_get_lit(v, "of")
                                                                       : VALUE_UNDEFINED;
}
