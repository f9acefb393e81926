#include "tools/story.h"

#include "base/utf8.h"
#include "value/json.h"

#define VALUE_SHOWN 100 /* characters of a value in the text */

/*
 * Strangers choose paths, names and values: what would act on the reader's
 * terminal is written as JSON would.
 */
static void add_visible(struct buf *out, struct str s)
{
    while (s.len > 0) {
        uint32_t rune = (uint8_t)s.ptr[0];
        size_t n = utf8_decode(s, &rune);
        if (n > 0 && rune_is_visible(rune))
            buf_add(out, str_slice(s, 0, n));
        else
            buf_add_format(out, "\\u%04x", rune);
        s = str_from(s, n == 0 ? 1 : n);
    }
}

/* The first so many characters. */
static struct str first_characters(struct str s, size_t count)
{
    size_t at = 0;
    for (; count > 0 && at < s.len; count--) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, at), &rune);
        at += n == 0 ? 1 : n;
    }
    return str_slice(s, 0, at);
}

static void shorten(struct buf *out, value v)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024 * 1024);
    if (!value_is_defined(v)) {
        buf_add_cstr(out, "(nothing)");
        return;
    }
    if (json_write(&text, v, JSON_COMPACT) != OK) {
        buf_add_cstr(out, "(large)");
        return;
    }
    struct str s = buf_str(&text);
    struct str shown = first_characters(s, VALUE_SHOWN);
    add_visible(out, shown);
    if (shown.len < s.len)
        buf_add_format(out, "... (%zu characters)", utf8_count(s));
}

static struct str member(value v, const char *key)
{
    return value_str(value_get_str(v, str_of(key)));
}

static void line(struct buf *out, const char *indent, const char *label, struct str text)
{
    if (text.len == 0)
        return;
    buf_add_format(out, "%s%-10s", indent, label);
    add_visible(out, text);
    buf_add_byte(out, '\n');
}

static void value_line(struct buf *out, const char *indent, const char *label, value v)
{
    if (!value_is_defined(v))
        return;
    buf_add_format(out, "%s%-10s", indent, label);
    shorten(out, v);
    buf_add_byte(out, '\n');
}

void story_operation(struct buf *out, value operation)
{
    struct str path = member(operation, "path");
    struct str op = member(operation, "op");
    value v = value_get_lit(operation, "value");
    struct str prefix = STR("/reference-values/");
    if (str_has_prefix(path, prefix)) {
        struct str name = str_from(path, prefix.len);
        bool append = str_has_suffix(name, STR("/-"));
        if (append)
            name.len -= 2;
        buf_add_cstr(out, "reference value ");
        add_visible(out, name);
        buf_add_cstr(out, ": ");
        buf_add_cstr(out, append                 ? "also accept "
                          : str_is(op, "add")    ? "register "
                          : str_is(op, "remove") ? "remove"
                                                 : "set to ");
    } else {
        add_visible(out, path);
        buf_add_cstr(out, ": ");
        buf_add_cstr(out, str_is(op, "remove") ? "remove" : "should have been ");
    }
    if (value_is_defined(v))
        shorten(out, v);
}

/* An absent side was undefined; where both are, the expression was no comparison. */
static void sides(struct buf *out, value left, value right)
{
    if (!value_is_defined(left) && !value_is_defined(right))
        return;
    static const char indent[] = "        ";
    if (value_is_defined(left))
        value_line(out, indent, "left", left);
    else
        line(out, indent, "left", STR("undefined"));
    if (value_is_defined(right))
        value_line(out, indent, "right", right);
    else
        line(out, indent, "right", STR("undefined"));
}

static void rules(struct buf *out, value list)
{
    if (value_len(list) == 0)
        return;
    buf_add_cstr(out, "  rules tried, and the first expression of each that did not hold:\n");
    for (size_t i = 0; i < value_len(list); i++) {
        value r = value_at(list, i);
        int64_t row = 0;
        value_get_int64(value_get_lit(r, "row"), &row);
        buf_add_cstr(out, "    ");
        add_visible(out, member(r, "rule"));
        buf_add_cstr(out, " (");
        add_visible(out, member(r, "file"));
        buf_add_format(out, ":%lld)\n      ", (long long)row);
        add_visible(out, member(r, "expression"));
        buf_add_byte(out, '\n');
        sides(out, value_get_lit(r, "left"), value_get_lit(r, "right"));
    }
}

static void expired(struct buf *out, value list)
{
    for (size_t i = 0; i < value_len(list); i++) {
        value e = value_at(list, i);
        buf_add_cstr(out, "  expired   reference value ");
        add_visible(out, member(e, "name"));
        buf_add_cstr(out, ", on ");
        add_visible(out, member(e, "expiration"));
        buf_add_byte(out, '\n');
    }
}

static void change(struct buf *out, value list)
{
    if (value_len(list) == 0)
        return;
    buf_add_cstr(out, "  the smallest change that would have passed:\n");
    for (size_t i = 0; i < value_len(list); i++) {
        buf_add_cstr(out, "    ");
        story_operation(out, value_at(list, i));
        buf_add_byte(out, '\n');
    }
}

static void strings(struct buf *out, const char *label, value list)
{
    for (size_t i = 0; i < value_len(list); i++)
        line(out, "  ", label, value_str(value_at(list, i)));
}

static void tell(struct buf *out, value d)
{
    static const struct {
        const char *before, *key;
    } head[] = {{"", "kind"}, {" ", "outcome"}, {" at ", "time"}, {", decision ", "id"}};
    for (size_t i = 0; i < ARRAY_LEN(head); i++) {
        buf_add_cstr(out, head[i].before);
        add_visible(out, member(d, head[i].key));
    }
    buf_add_byte(out, '\n');
    line(out, "  ", "status", member(d, "status"));
    line(out, "  ", "check", member(d, "check"));
    line(out, "  ", "reason", member(d, "message"));
    line(out, "  ", "field", member(d, "field"));
    value_line(out, "  ", "expected", value_get_lit(d, "expected"));
    value_line(out, "  ", "actual", value_get_lit(d, "actual"));
    rules(out, value_get_lit(d, "rules"));
    expired(out, value_get_lit(d, "expired"));
    change(out, value_get_lit(d, "change"));
    strings(out, "anchor", value_get_lit(d, "anchors"));
    strings(out, "note", value_get_lit(d, "notes"));
}

void story_write(struct buf *out, value decision, value cause)
{
    tell(out, decision);
    if (!value_is_defined(cause))
        return;
    buf_add_cstr(out, "\nIt rests on this attestation:\n");
    tell(out, cause);
}
