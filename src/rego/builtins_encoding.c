/* JSON, base64, hex and URL encoding: rego.md 6.8 and 6.10; YAML is in builtins_yaml.c. */
#include "base/encode.h"
#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/unicode.h"
#include "value/json.h"

/* ---- JSON ---- */

enum rego_outcome builtin_json_marshal(struct rego_call *call, const value *args, value *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    output_json(&b, args[0]);
    return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

static void new_line(struct buf *b, struct str prefix, struct str indent, size_t depth)
{
    buf_add_byte(b, '\n');
    buf_add(b, prefix);
    for (size_t i = 0; i < depth && b->failed == OK; i++)
        buf_add(b, indent);
}

/* Compact JSON text laid out in lines, as Go's json.MarshalIndent() does. */
static void indent_json(struct buf *out, struct str json, struct str prefix, struct str indent)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.len && out->failed == OK; i++) {
        char c = json.ptr[i];
        if (quoted || c == '"') {
            buf_add_byte(out, c);
            if (c == '\\')
                buf_add_byte(out, json.ptr[++i]); /* never the last byte of a valid text */
            else if (c == '"')
                quoted = !quoted;
            continue;
        }
        bool opens = c == '{' || c == '[';
        bool closes = c == '}' || c == ']';
        bool empty = closes && (json.ptr[i - 1] == '{' || json.ptr[i - 1] == '[');
        depth -= closes;
        if (closes && !empty)
            new_line(out, prefix, indent, depth);
        buf_add_byte(out, c);
        depth += opens;
        char next = i + 1 < json.len ? json.ptr[i + 1] : '\0';
        if (c == ',' || (opens && next != '}' && next != ']'))
            new_line(out, prefix, indent, depth);
        else if (c == ':')
            buf_add_byte(out, ' ');
    }
}

struct marshal_options {
    bool pretty;
    struct str prefix, indent;
};

static enum rego_outcome read_marshal_options(struct rego_call *call, value options,
                                              struct marshal_options *o)
{
    *o = (struct marshal_options){false, STR_EMPTY, STR("\t")};
    bool explicit = false;
    bool pretty = false;
    for (size_t i = 0; i < value_len(options); i++) {
        const struct value_pair *p = &value_pairs(options)[i];
        struct str key = value_str(p->key);
        if (!value_is_string(p->key))
            return rego_call_type_text(call, "operand 2 failed to stringify key at index %zu", i);
        if (str_is(key, "pretty")) {
            if (value_kind(p->val) != VALUE_KIND_BOOLEAN)
                return rego_call_type_text(call, "operand 2 key \"pretty\" failed cast to bool");
            explicit = true;
            pretty = value_is_true(p->val);
        } else if (str_is(key, "prefix") || str_is(key, "indent")) {
            if (!value_is_string(p->val))
                return rego_call_type_text(call,
                                           "operand 2 key %s failed cast to string: operand "
                                           "%zu must be string but got %s",
                                           quoted(call, key), i,
                                           value_kind_name(value_kind(p->val)));
            *(str_is(key, "prefix") ? &o->prefix : &o->indent) = value_str(p->val);
            o->pretty = true;
        } else {
            return rego_call_type_text(call, "operand 2 object contained unknown key %s",
                                       quoted(call, key));
        }
    }
    if (explicit)
        o->pretty = pretty;
    return REGO_VALUE;
}

enum rego_outcome builtin_json_marshal_with_options(struct rego_call *call, const value *args,
                                                    value *out)
{
    if (!arg_kind(call, args, 2, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    struct marshal_options options;
    enum rego_outcome o = read_marshal_options(call, args[1], &options);
    if (o != REGO_VALUE)
        return o;
    if (!options.pretty)
        return builtin_json_marshal(call, args, out);

    CLEANUP(buf_done) struct buf compact;
    output_init(call, &compact);
    output_json(&compact, args[0]);
    if (buf_status(&compact) != OK)
        return give_buf(call, &compact, out);
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    buf_add(&b, options.prefix);
    indent_json(&b, buf_str(&compact), options.prefix, options.indent);
    return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

/* The code unit of a "\uXXXX" at `at`, or -1. */
static int unit_at(struct str s, size_t at)
{
    if (at + 6 > s.len || s.ptr[at] != '\\' || s.ptr[at + 1] != 'u')
        return -1;
    int unit = 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        int digit = hex_digit(s.ptr[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/*
 * Go's reader puts U+FFFD in place of bad UTF-8 and of unpaired surrogates,
 * both of which our own reader refuses: the text with the replacements made.
 */
static void repair_json(struct buf *out, struct str s)
{
    for (size_t at = 0; at < s.len && out->failed == OK;) {
        uint32_t rune;
        size_t n = rune_at(s, at, &rune);
        int unit = unit_at(s, at);
        if (unit >= 0xd800 && unit < 0xe000) {
            int low = unit_at(s, at + 6);
            bool pair = unit < 0xdc00 && low >= 0xdc00 && low < 0xe000;
            buf_add(out, pair ? str_slice(s, at, 12) : STR("\\ufffd"));
            at += pair ? 12 : 6;
        } else if (s.ptr[at] == '\\' && at + 1 < s.len && (unsigned char)s.ptr[at + 1] < 0x80) {
            buf_add(out, str_slice(s, at, 2));
            at += 2;
        } else {
            char text[4];
            buf_add(out, str_bytes(text, utf8_encode(rune, text)));
            at += n;
        }
    }
}

static bool needs_repair(struct str s)
{
    return !utf8_is_valid(s) || memmem(s.ptr, s.len, "\\ud", 3) != NULL ||
           memmem(s.ptr, s.len, "\\uD", 3) != NULL;
}

enum status read_json(struct rego_call *call, struct str text, value *v, struct error *err)
{
    const struct json_options options = {JSON_DUP_LAST, VALUE_DEPTH_MAX};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    if (text.len > 0 && needs_repair(text)) {
        repair_json(&b, text);
        if (buf_status(&b) != OK)
            return b.failed;
        text = buf_str(&b);
    }
    return json_parse(rego_call_arena(call), text, &options, v, err);
}

enum rego_outcome builtin_json_unmarshal(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len * 4))
        return REGO_FATAL;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = read_json(call, s, &v, &err);
    return give_status(call, st, &err, v, out);
}

enum rego_outcome builtin_json_is_valid(struct rego_call *call, const value *args, value *out)
{
    if (!value_is_string(args[0]))
        return give_bool(false, out);
    struct str s = value_str(args[0]);
    if (!charge_bytes(call, s.len * 4))
        return REGO_FATAL;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = read_json(call, s, &v, &err);
    if (st == ERR_LIMIT || st == ERR_NOMEM)
        return rego_call_status(call, st, &err);
    return give_bool(st == OK, out);
}

/* ---- base64 ---- */

static enum rego_outcome encoded(struct rego_call *call, const value *args, enum base64_form form,
                                 value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    base64_write(&b, s, form);
    return charge_bytes(call, s.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

enum rego_outcome builtin_base64_encode(struct rego_call *call, const value *args, value *out)
{
    return encoded(call, args, BASE64_STD, out);
}

enum rego_outcome builtin_base64url_encode(struct rego_call *call, const value *args, value *out)
{
    return encoded(call, args, BASE64_URL_PAD, out);
}

enum rego_outcome builtin_base64url_encode_no_pad(struct rego_call *call, const value *args,
                                                  value *out)
{
    return encoded(call, args, BASE64_URL, out);
}

static int base64_digit(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

static size_t skip_line_ends(struct str s, size_t at)
{
    while (at < s.len && (s.ptr[at] == '\n' || s.ptr[at] == '\r'))
        at++;
    return at;
}

/*
 * Go's lenient reader: line ends are skipped, trailing bits need not be zero,
 * padding is required.  False with *bad, the offset that Go would name.  Our
 * own reader is strict, which is right everywhere else.
 */
static bool decode_base64(struct str s, bool url, struct buf *out, size_t *bad)
{
    size_t at = 0;
    for (;;) {
        uint32_t bits = 0;
        int n = 0;
        while (n < 4) {
            at = skip_line_ends(s, at);
            if (at == s.len) {
                *bad = at - (size_t)n;
                return n == 0;
            }
            int digit = base64_digit(s.ptr[at++], url);
            if (digit < 0)
                break;
            bits = bits << 6 | (uint32_t)digit;
            n++;
        }
        if (n == 4) {
            buf_add_byte(out, (char)(bits >> 16));
            buf_add_byte(out, (char)(bits >> 8));
            buf_add_byte(out, (char)bits);
            continue;
        }

        *bad = at - 1;
        if (s.ptr[at - 1] != '=' || n < 2)
            return false;
        if (n == 2) { /* a second one */
            at = skip_line_ends(s, at);
            *bad = at == s.len ? at : at - 1;
            if (at == s.len || s.ptr[at] != '=')
                return false;
            at++;
        }
        bits <<= 6 * (4 - n);
        buf_add_byte(out, (char)(bits >> 16));
        if (n == 3)
            buf_add_byte(out, (char)(bits >> 8));
        *bad = skip_line_ends(s, at);
        return *bad == s.len;
    }
}

enum rego_outcome builtin_base64_decode(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len * 2))
        return REGO_FATAL;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    size_t bad = 0;
    if (!decode_base64(s, false, &b, &bad))
        return rego_call_error(call, "illegal base64 data at input byte %zu", bad);
    return give_buf(call, &b, out);
}

enum rego_outcome builtin_base64_is_valid(struct rego_call *call, const value *args, value *out)
{
    if (!value_is_string(args[0]))
        return give_bool(false, out);
    struct str s = value_str(args[0]);
    if (!charge_bytes(call, s.len * 2))
        return REGO_FATAL;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    size_t bad = 0;
    return give_bool(decode_base64(s, false, &b, &bad), out);
}

bool read_base64(struct str s, struct buf *out, size_t *bad)
{
    return decode_base64(s, false, out, bad);
}

bool read_base64url(struct rego_call *call, struct str s, struct buf *out, const char **why)
{
    /* RFC 7515, appendix C: padding may be missing */
    CLEANUP(buf_done) struct buf padded;
    buf_init(&padded, SIZE_MAX / 2);
    struct arena *a = rego_call_arena(call);
    struct str text = STR_EMPTY;
    if (!str_has_suffix(s, STR("=")) && s.len % 4 != 0) {
        if (s.len % 4 == 1) {
            text = arena_format(a, "illegal base64url string: %s", shown(call, s));
            *why = text.ptr == NULL ? "" : text.ptr;
            return false;
        }
        buf_add(&padded, s);
        buf_add(&padded, s.len % 4 == 2 ? STR("==") : STR("="));
        if (padded.failed != OK) {
            out->failed = out->failed == OK ? padded.failed : out->failed;
            return true;
        }
        s = buf_str(&padded);
    }
    size_t bad = 0;
    if (decode_base64(s, true, out, &bad))
        return true;
    text = arena_format(a, "illegal base64 data at input byte %zu", bad);
    *why = text.ptr == NULL ? "" : text.ptr;
    return false;
}

enum rego_outcome builtin_base64url_decode(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len * 2))
        return REGO_FATAL;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    const char *why = "";
    if (!read_base64url(call, s, &b, &why))
        return rego_call_error(call, "%s", why);
    return give_buf(call, &b, out);
}

/* ---- hex ---- */

enum rego_outcome builtin_hex_encode(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    hex_write(&b, s);
    return charge_bytes(call, s.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

/* Go's %#U of one byte taken as a code point. */
static enum rego_outcome bad_hex_byte(struct rego_call *call, char byte)
{
    uint32_t rune = (unsigned char)byte;
    char text[4];
    size_t len = utf8_encode(rune, text);
    if (!unicode_is_printable(rune))
        return rego_call_error(call, "encoding/hex: invalid byte: U+%04X", rune);
    return rego_call_error(call, "encoding/hex: invalid byte: U+%04X '%.*s'", rune, (int)len, text);
}

enum rego_outcome builtin_hex_decode(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    for (size_t i = 0; i < s.len; i++)
        if (hex_digit(s.ptr[i]) < 0)
            return bad_hex_byte(call, s.ptr[i]);
    if (s.len % 2 != 0)
        return rego_call_error(call, "encoding/hex: odd length hex string");

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    for (size_t i = 0; i < s.len; i += 2)
        buf_add_byte(&b, (char)(hex_digit(s.ptr[i]) << 4 | hex_digit(s.ptr[i + 1])));
    return give_buf(call, &b, out);
}

/* ---- URL queries ---- */

static void query_escape(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.' || c == '~')
            buf_add_byte(out, (char)c);
        else if (c == ' ')
            buf_add_byte(out, '+');
        else
            buf_add_format(out, "%%%02X", c);
    }
}

/* REGO_VALUE, or the error was reported. */
static enum rego_outcome query_unescape(struct rego_call *call, struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '%') {
            buf_add_byte(out, s.ptr[i] == '+' ? ' ' : s.ptr[i]);
            continue;
        }
        int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return rego_call_error(call, "invalid URL escape %s", quoted(call, str_slice(s, i, 3)));
        }
        buf_add_byte(out, (char)(high << 4 | low));
        i += 2;
    }
    return REGO_VALUE;
}

enum rego_outcome builtin_urlquery_encode(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    query_escape(&b, s);
    return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

enum rego_outcome builtin_urlquery_decode(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    enum rego_outcome o = query_unescape(call, &b, s);
    return o == REGO_VALUE ? give_buf(call, &b, out) : o;
}

static void add_parameter(struct buf *b, struct str key, value v)
{
    if (b->len > 0)
        buf_add_byte(b, '&');
    query_escape(b, key);
    buf_add_byte(b, '=');
    query_escape(b, value_str(v));
}

enum rego_outcome builtin_urlquery_encode_object(struct rego_call *call, const value *args,
                                                 value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    for (size_t i = 0; i < value_len(args[0]); i++) {
        const struct value_pair *p = &value_pairs(args[0])[i];
        struct str key = value_is_string(p->key)
                             ? value_str(p->key)
                             : json_text(rego_call_arena(call), p->key, JSON_COMPACT);
        if (key.ptr == NULL)
            return give(call, VALUE_UNDEFINED, out);
        const value *items = &p->val;
        size_t n = 1;
        if (value_is_array(p->val) || value_kind(p->val) == VALUE_KIND_SET) {
            items = value_items(p->val);
            n = value_len(p->val);
        }
        for (size_t j = 0; j < n; j++) {
            if (!value_is_string(items[j]))
                return rego_call_type_text(
                    call, "operand 1 values must be string, array[string], or set[string]");
            add_parameter(&b, key, items[j]);
            if (!charge_bytes(call, key.len + value_str(items[j]).len))
                return REGO_FATAL;
        }
    }
    return give_buf(call, &b, out);
}

/* One "key=value" as a pair of strings into the builder of an object of lists, see below. */
static enum rego_outcome decode_parameter(struct rego_call *call, struct str s,
                                          struct value_builder *b)
{
    struct arena *a = rego_call_arena(call);
    if (str_find(s, ';', 0) < s.len)
        return rego_call_error(call, "invalid semicolon separator in query");
    size_t equals = str_find(s, '=', 0);
    const struct str halves[] = {str_slice(s, 0, equals), str_from(s, equals + 1)};
    value parts[2];
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(buf_done) struct buf text;
        output_init(call, &text);
        enum rego_outcome o = query_unescape(call, &text, halves[i]);
        if (o == REGO_VALUE)
            o = give_buf(call, &text, &parts[i]);
        if (o != REGO_VALUE)
            return o;
    }
    value_builder_add(b, parts[0]);
    value_builder_add(b, parts[1]);
    return arena_status(a) == OK ? REGO_VALUE : give(call, VALUE_UNDEFINED, parts);
}

/* Keys and values in turn: an object from each key to the array of its values, in order. */
static value group_parameters(struct arena *a, const struct value_builder *flat)
{
    struct value_builder keys;
    value_builder_init(&keys, a, flat->len / 2);
    for (size_t i = 0; i < flat->len; i += 2)
        value_builder_put(&keys, flat->items[i], VALUE_NULL);
    value distinct = value_object_finish(&keys, VALUE_DUP_LAST, NULL);
    size_t n = value_len(distinct);
    struct value_builder *lists = arena_new_array(a, struct value_builder, n + 1);
    if (!value_is_defined(distinct) || lists == NULL)
        return VALUE_UNDEFINED;

    const struct value_pair *pairs = value_pairs(distinct);
    for (size_t i = 0; i < n; i++)
        value_builder_init(&lists[i], a, 0);
    for (size_t i = 0; i < flat->len; i += 2) {
        size_t lo = 0;
        size_t hi = n;
        while (lo + 1 < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (value_compare(pairs[mid].key, flat->items[i]) <= 0)
                lo = mid;
            else
                hi = mid;
        }
        value_builder_add(&lists[lo], flat->items[i + 1]);
    }
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_put(&b, pairs[i].key, value_array_finish(&lists[i]));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

enum rego_outcome builtin_urlquery_decode_object(struct rego_call *call, const value *args,
                                                 value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len * 4))
        return REGO_FATAL;
    struct value_builder flat;
    value_builder_init(&flat, rego_call_arena(call), 0);
    for (size_t at = 0; at < s.len;) {
        size_t end = str_find(s, '&', at);
        if (end > at) {
            enum rego_outcome o = decode_parameter(call, str_slice(s, at, end - at), &flat);
            if (o != REGO_VALUE)
                return o;
        }
        at = end + 1;
    }
    return give(call, group_parameters(rego_call_arena(call), &flat), out);
}
