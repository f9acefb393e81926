#include "rego/builtins_internal.h"
#include "value/json.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "rego/unicode.h"
#include "value/number.h"

bool arg_kind(struct rego_call *call, const value *args, unsigned operand, enum value_kind kind)
{
    value v = args[operand - 1];
    if (LIKELY(value_kind(v) == kind))
        return true;
    rego_call_type_error(call, operand, value_kind_name(kind), v);
    return false;
}

bool arg_string(struct rego_call *call, const value *args, unsigned operand, struct str *out)
{
    if (!arg_kind(call, args, operand, VALUE_KIND_STRING))
        return false;
    *out = value_str(args[operand - 1]);
    return true;
}

bool arg_int(struct rego_call *call, const value *args, unsigned operand, int64_t *out)
{
    if (!arg_kind(call, args, operand, VALUE_KIND_NUMBER))
        return false;
    if (number_machine_int(args[operand - 1], out))
        return true;
    rego_call_type_text(call, "operand %u must be integer number but got floating-point number",
                        operand);
    return false;
}

bool arg_integer(struct rego_call *call, const value *args, unsigned operand)
{
    value v = args[operand - 1];
    if (value_kind(v) != VALUE_KIND_NUMBER) {
        rego_call_type_error(call, operand, "integer", v);
        return false;
    }
    if (number_is_integer(v))
        return true;
    rego_call_type_text(call, "operand %u must be integer number but got floating-point number",
                        operand);
    return false;
}

static void one_of_error(struct rego_call *call, unsigned operand, const char *names, value got)
{
    rego_call_type_text(call, "operand %u must be one of {%s} but got %s", operand, names,
                        value_kind_name(value_kind(got)));
}

bool arg_collection(struct rego_call *call, const value *args, unsigned operand, const char *names)
{
    value v = args[operand - 1];
    enum value_kind k = value_kind(v);
    if (k == VALUE_KIND_ARRAY || k == VALUE_KIND_SET)
        return true;
    one_of_error(call, operand, names, v);
    return false;
}

bool arg_strings(struct rego_call *call, const value *args, unsigned operand, const char *names,
                 const value **items, size_t *len)
{
    value v = args[operand - 1];
    if (value_is_string(v)) {
        *items = &args[operand - 1];
        *len = 1;
        return true;
    }
    if (!arg_collection(call, args, operand, names))
        return false;
    *items = value_items(v);
    *len = value_len(v);
    for (size_t i = 0; i < *len; i++) {
        if (!value_is_string((*items)[i])) {
            element_error(call, operand, v, (*items)[i], "string");
            return false;
        }
    }
    return true;
}

enum rego_outcome element_error(struct rego_call *call, unsigned operand, value composite,
                                value element, const char *expected)
{
    const char *kind = value_kind_name(value_kind(composite));
    return rego_call_type_text(call, "operand %u must be %s of %ss but got %s containing %s",
                               operand, kind, expected, kind, value_kind_name(value_kind(element)));
}

enum rego_outcome give(struct rego_call *call, value v, value *out)
{
    if (UNLIKELY(!value_is_defined(v))) {
        struct error err = ERROR_INIT;
        enum status st = arena_status(rego_call_arena(call));
        error_set(&err, "result does not fit into the memory of the evaluation");
        return rego_call_status(call, st == OK ? ERR_INTERNAL : st, &err);
    }
    *out = v;
    return REGO_VALUE;
}

enum rego_outcome give_str(struct rego_call *call, struct str s, value *out)
{
    if (s.len > rego_call_output_max(call))
        return give_limit(call, "result is longer than %zu bytes", rego_call_output_max(call));
    return give(call, value_string(rego_call_arena(call), s), out);
}

enum rego_outcome give_int(struct rego_call *call, int64_t n, value *out)
{
    return give(call, value_int(rego_call_arena(call), n), out);
}

enum rego_outcome give_buf(struct rego_call *call, const struct buf *b, value *out)
{
    enum status st = buf_status(b);
    if (st == ERR_LIMIT)
        return give_limit(call, "result is longer than %zu bytes", b->max);
    if (st != OK)
        return rego_call_status(call, st, NULL);
    return give(call, value_string(rego_call_arena(call), buf_str(b)), out);
}

enum rego_outcome give_status(struct rego_call *call, enum status st, const struct error *err,
                              value v, value *out)
{
    if (st != OK)
        return rego_call_status(call, st, err);
    return give(call, v, out);
}

enum rego_outcome give_limit(struct rego_call *call, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    struct error err = ERROR_INIT;
    error_set(&err, "%s", text);
    return rego_call_status(call, ERR_LIMIT, &err);
}

const char *shown(struct rego_call *call, struct str s)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 * SHOWN_MAX + 16);
    for (size_t at = 0; at < s.len;) {
        if (b.len >= SHOWN_MAX) {
            buf_add(&b, STR("..."));
            break;
        }
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, at), &rune);
        if (n == 0 || rune < 0x20 || rune == 0x7f)
            buf_add_format(&b, "\\x%02x", (unsigned char)s.ptr[at]);
        else
            buf_add(&b, str_slice(s, at, n));
        at += n == 0 ? 1 : n;
    }
    struct arena *a = rego_call_arena(call);
    struct str copy = worked(a, buf_status(&b)) ? arena_str(a, buf_str(&b)) : STR_EMPTY;
    return copy.ptr == NULL ? "" : copy.ptr;
}

const char *quoted(struct rego_call *call, struct str s)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 * SHOWN_MAX + 64); /* no byte takes more than four */
    size_t end = 0;
    uint32_t rune;
    for (size_t n; end < s.len && end < SHOWN_MAX; end += n == 0 ? 1 : n)
        n = utf8_decode(str_from(s, end), &rune);
    unicode_quote(&b, str_slice(s, 0, end));
    if (end < s.len && b.len > 0) {
        b.len--; /* the dots stand inside of the quotes */
        buf_add(&b, STR("...\""));
    }
    struct arena *a = rego_call_arena(call);
    struct str copy = worked(a, buf_status(&b)) ? arena_str(a, buf_str(&b)) : STR_EMPTY;
    return copy.ptr == NULL ? "" : copy.ptr;
}

bool worked(struct arena *a, enum status st)
{
    if (st == ERR_NOMEM || st == ERR_INTERNAL)
        arena_fail(a, st);
    return st == OK;
}

void output_init(struct rego_call *call, struct buf *b)
{
    buf_init(b, rego_call_output_max(call));
}

void output_json(struct buf *b, value v)
{
    enum status st = json_write(b, v, JSON_GO);
    if (st != OK && b->failed == OK)
        b->failed = st; /* a key that is no string has a buffer of its own */
}

size_t rune_at(struct str s, size_t at, uint32_t *rune)
{
    unsigned char c = (unsigned char)s.ptr[at];
    if (c < 0x80) {
        *rune = c;
        return 1;
    }
    size_t n = utf8_decode((struct str){s.ptr + at, s.len - at}, rune);
    if (n != 0)
        return n;
    *rune = 0xfffd;
    return 1;
}

size_t rune_count(struct str s)
{
    return utf8_count(s);
}

size_t text_find(struct str s, struct str needle, size_t from)
{
    if (from > s.len || needle.len > s.len - from)
        return SIZE_MAX;
    if (needle.len == 0)
        return from;
    /*
     * Mostly the first byte of the needle is not there, or only where the needle is.
     * glibc's memmem() prepares itself first; it is two-way, linear in the worst case, too.
     */
    const char *at = s.ptr + from;
    const char *last = s.ptr + s.len - needle.len;
    for (int i = 0; i < 4 && at <= last; i++, at++) {
        at = memchr(at, needle.ptr[0], (size_t)(last - at) + 1);
        if (at == NULL)
            return SIZE_MAX;
        if (memcmp(at, needle.ptr, needle.len) == 0)
            return (size_t)(at - s.ptr);
    }
    const char *p =
        at > last ? NULL : memmem(at, (size_t)(s.ptr + s.len - at), needle.ptr, needle.len);
    return p == NULL ? SIZE_MAX : (size_t)(p - s.ptr);
}

void stable_sort(void *items, void *scratch, size_t n, size_t size,
                 int (*compare)(const void *a, const void *b))
{
    char *in = items;
    char *out = scratch;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t mid = from + width < n ? from + width : n;
            size_t end = mid + width < n ? mid + width : n;
            size_t i = from;
            size_t j = mid;
            for (size_t k = from; k < end; k++) {
                bool left = i < mid && (j >= end || compare(in + i * size, in + j * size) <= 0);
                memcpy(out + k * size, in + (left ? i++ : j++) * size, size);
            }
        }
        memcpy(in, out, n * size);
    }
}

uint64_t sort_cost(size_t n)
{
    uint64_t bits = 0;
    while (n >> bits != 0)
        bits++;
    return 1 + n * bits / 2;
}
