#include "tools/story.h"

#include "value/json.h"

#define VALUE_SHOWN 100 /* characters of a value in the text */

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
    buf_add(out, str_slice(s, 0, VALUE_SHOWN));
    if (s.len > VALUE_SHOWN)
        buf_add_format(out, "... (%zu characters)", s.len);
}

static struct str member(value v, const char *key)
{
    return value_str(value_get_str(v, str_of(key)));
}

static void line(struct buf *out, const char *indent, const char *label, struct str text)
{
    if (text.len > 0)
        buf_add_format(out, "%s%-10s%.*s\n", indent, label, STR_ARG(text));
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
        buf_add_format(out, "reference value %.*s: ", STR_ARG(name));
        buf_add_cstr(out, append                 ? "also accept "
                          : str_is(op, "add")    ? "register "
                          : str_is(op, "remove") ? "remove"
                                                 : "set to ");
    } else {
        buf_add_format(out, "%.*s: ", STR_ARG(path));
        buf_add_cstr(out, str_is(op, "remove") ? "remove" : "should have been ");
    }
    if (value_is_defined(v))
        shorten(out, v);
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
        buf_add_format(out, "    %.*s (%.*s:%lld)\n      %.*s\n", STR_ARG(member(r, "rule")),
                       STR_ARG(member(r, "file")), (long long)row,
                       STR_ARG(member(r, "expression")));
        value_line(out, "        ", "left", value_get_lit(r, "left"));
        value_line(out, "        ", "right", value_get_lit(r, "right"));
    }
}

static void expired(struct buf *out, value list)
{
    for (size_t i = 0; i < value_len(list); i++) {
        value e = value_at(list, i);
        buf_add_format(out, "  expired   reference value %.*s, on %.*s\n",
                       STR_ARG(member(e, "name")), STR_ARG(member(e, "expiration")));
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
    buf_add_format(out, "%.*s %.*s at %.*s, decision %.*s\n", STR_ARG(member(d, "kind")),
                   STR_ARG(member(d, "outcome")), STR_ARG(member(d, "time")),
                   STR_ARG(member(d, "id")));
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
