/*
 * json.patch: RFC 6902 on any value (rego.md 6.9).
 *
 * Values are immutable, so an operation builds the containers on its path
 * anew and shares the rest; it pays for their lengths.
 */
#include "rego/builtins_internal.h"
#include "rego/builtins_path.h"
#include "rego/text.h"
#include "value/number.h"

struct patch {
    struct rego_call *call;
    value doc; /* undefined: the root was removed */
};

/* Text of a value for a message, cut when it is long. */
static const char *text_of(struct rego_call *call, value v)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, SHOWN_MAX);
    rego_text_write(&b, v);
    worked(rego_call_arena(call), buf_status(&b)); /* a limit only cuts */
    b.failed = OK;
    struct str copy = arena_str(rego_call_arena(call), buf_str(&b));
    return copy.ptr == NULL ? "" : copy.ptr;
}

/* The name that Go has for the type of a scalar. */
static const char *go_type(value v)
{
    switch (value_kind(v)) {
    case VALUE_KIND_NULL:
        return "ast.Null";
    case VALUE_KIND_BOOLEAN:
        return "ast.Boolean";
    case VALUE_KIND_NUMBER:
        return "ast.Number";
    default:
        return "ast.String";
    }
}

/* ---- array indexes ---- */

static bool all_digits(struct str s)
{
    for (size_t i = s.len > 0 && s.ptr[0] == '-'; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0;
}

static enum rego_outcome to_index(struct rego_call *call, value array, value key, int64_t *out)
{
    if (value_kind(key) == VALUE_KIND_NUMBER) {
        if (!number_machine_int(key, out))
            return rego_call_error(call, "invalid number type for indexing");
        return REGO_VALUE;
    }
    if (!value_is_string(key))
        return rego_call_error(call, "invalid type for indexing");
    struct str s = value_str(key);
    if (str_is(s, "-")) {
        *out = (int64_t)value_len(array);
        return REGO_VALUE;
    }
    if (!all_digits(s) || s.len > 19 || (s.ptr[0] == '-' && s.len == 1))
        return rego_call_error(call, "invalid string for indexing");
    if (s.ptr[0] == '0' && s.len > 1)
        return rego_call_error(call, "leading zeros are not allowed in JSON paths");
    uint64_t n = 0;
    for (size_t i = s.ptr[0] == '-'; i < s.len; i++)
        n = n * 10 + (uint64_t)(s.ptr[i] - '0'); /* 19 digits fit */
    if (n > INT64_MAX)
        return rego_call_error(call, "invalid string for indexing");
    *out = s.ptr[0] == '-' ? -(int64_t)n : (int64_t)n;
    return REGO_VALUE;
}

/* ---- one container ---- */

/* The element under `key`; an error if there is none. */
static enum rego_outcome child_of(struct rego_call *call, value container, value key, value *out)
{
    switch (value_kind(container)) {
    case VALUE_KIND_OBJECT:
        *out = value_get(container, key);
        if (!value_is_defined(*out))
            return rego_call_error(call, "path %s does not exist in object term %s",
                                   text_of(call, key), text_of(call, container));
        return REGO_VALUE;
    case VALUE_KIND_SET:
        *out = key;
        if (!value_set_has(container, key))
            return rego_call_error(call, "path [%s] does not exist in set term %s",
                                   text_of(call, key), text_of(call, container));
        return REGO_VALUE;
    case VALUE_KIND_ARRAY: {
        int64_t index = 0;
        enum rego_outcome o = to_index(call, container, key, &index);
        if (o != REGO_VALUE)
            return o;
        *out = index < 0 ? VALUE_UNDEFINED : value_at(container, (size_t)index);
        if (!value_is_defined(*out))
            return rego_call_error(call, "path %lld does not exist in array term %s",
                                   (long long)index, text_of(call, container));
        return REGO_VALUE;
    }
    default:
        return rego_call_error(call,
                               "expected composite type for path %s, found value: %s (type: %s)",
                               text_of(call, key), text_of(call, container), go_type(container));
    }
}

/* A set without `old` (if defined) and with `added` (if defined). */
static value edit_set(struct arena *a, value set, value old, value added)
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(set) + 1);
    for (size_t i = 0; i < value_len(set); i++)
        if (!value_is_defined(old) || !value_equal(value_items(set)[i], old))
            value_builder_add(&b, value_items(set)[i]);
    if (value_is_defined(added))
        value_builder_add(&b, added);
    return value_set_finish(&b);
}

/* An array without its element `skip` (SIZE_MAX: none), and with `added` before element `at`. */
static value edit_array(struct arena *a, value array, size_t skip, size_t at, value added)
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(array) + 1);
    for (size_t i = 0; i <= value_len(array); i++) {
        if (i == at && value_is_defined(added))
            value_builder_add(&b, added);
        if (i < value_len(array) && i != skip)
            value_builder_add(&b, value_items(array)[i]);
    }
    return value_array_finish(&b);
}

static enum rego_outcome insert(struct rego_call *call, value container, value key, value v,
                                value *out)
{
    struct arena *a = rego_call_arena(call);
    switch (value_kind(container)) {
    case VALUE_KIND_OBJECT:
        return give(call, value_object_with(a, container, key, v), out);
    case VALUE_KIND_SET:
        if (!value_equal(key, v))
            return rego_call_error(call, "set key %s does not equal value to be inserted %s",
                                   text_of(call, key), text_of(call, v));
        return give(call, edit_set(a, container, VALUE_UNDEFINED, v), out);
    case VALUE_KIND_ARRAY: {
        int64_t index = 0;
        enum rego_outcome o = to_index(call, container, key, &index);
        if (o != REGO_VALUE)
            return o;
        if (index < 0 || (uint64_t)index > value_len(container))
            return rego_call_error(call, "index for array insertion out of bounds");
        return give(call, edit_array(a, container, SIZE_MAX, (size_t)index, v), out);
    }
    default:
        return rego_call_error(call, "expected composite type, found value: %s (type: %s)",
                               text_of(call, container), go_type(container));
    }
}

static enum rego_outcome drop(struct rego_call *call, value container, value key, value *out)
{
    struct arena *a = rego_call_arena(call);
    switch (value_kind(container)) {
    case VALUE_KIND_OBJECT:
    case VALUE_KIND_SET: {
        bool is_set = value_kind(container) == VALUE_KIND_SET;
        if (is_set ? !value_set_has(container, key) : !value_is_defined(value_get(container, key)))
            return rego_call_error(call, "cannot delete child key %s that does not exist",
                                   text_of(call, key));
        return give(call,
                    is_set ? edit_set(a, container, key, VALUE_UNDEFINED)
                           : value_object_with(a, container, key, VALUE_UNDEFINED),
                    out);
    }
    case VALUE_KIND_ARRAY: {
        int64_t index = 0;
        enum rego_outcome o = to_index(call, container, key, &index);
        if (o != REGO_VALUE)
            return o;
        if (index < 0 || (uint64_t)index >= value_len(container))
            return rego_call_error(call, "index for array delete out of bounds");
        return give(call, edit_array(a, container, (size_t)index, SIZE_MAX, VALUE_UNDEFINED), out);
    }
    default:
        return rego_call_error(call, "expected composite type, found value: %s (type: %s)",
                               text_of(call, container), go_type(container));
    }
}

/* The container with the child under `key`, which was `old`, replaced. */
static enum rego_outcome put_back(struct rego_call *call, value container, value key, value old,
                                  value child, value *out)
{
    struct arena *a = rego_call_arena(call);
    int64_t index = 0;
    enum rego_outcome o;
    switch (value_kind(container)) {
    case VALUE_KIND_OBJECT:
        return give(call, value_object_with(a, container, key, child), out);
    case VALUE_KIND_SET:
        return give(call, edit_set(a, container, old, child), out);
    default:
        o = to_index(call, container, key, &index);
        if (o != REGO_VALUE)
            return o;
        return give(call, edit_array(a, container, (size_t)index, (size_t)index, child), out);
    }
}

/* ---- paths ---- */

/*
 * The document with `v` inserted at the path, or what is there removed (v
 * undefined).  Recursive: every step but the last needs an element that is
 * there, so the depth is that of the document.
 */
static enum rego_outcome edit(struct rego_call *call, value doc, const value *path, size_t len,
                              value v, value *out)
{
    if (!rego_call_charge(call, 1 + value_len(doc)))
        return REGO_FATAL;
    if (len == 1)
        return value_is_defined(v) ? insert(call, doc, path[0], v, out)
                                   : drop(call, doc, path[0], out);
    value old = VALUE_UNDEFINED;
    value child = VALUE_UNDEFINED;
    enum rego_outcome o = child_of(call, doc, path[0], &old);
    if (o == REGO_VALUE)
        o = edit(call, old, path + 1, len - 1, v, &child);
    return o == REGO_VALUE ? put_back(call, doc, path[0], old, child, out) : o;
}

static enum rego_outcome edit_at(struct patch *p, value path, value v)
{
    size_t len = value_len(path);
    if (len == 0) {
        if (!value_is_defined(v) && !value_is_defined(p->doc))
            return rego_call_error(p->call, "deleted node encountered during delete operation");
        p->doc = v;
        return REGO_VALUE;
    }
    if (!value_is_defined(p->doc))
        return rego_call_error(p->call, "deleted node encountered during insert operation");
    return edit(p->call, p->doc, value_items(path), len, v, &p->doc);
}

static enum rego_outcome read_at(struct patch *p, value path, value *out)
{
    *out = p->doc;
    if (!value_is_defined(p->doc))
        return rego_call_error(p->call, "nil value encountered where composite value was expected");
    for (size_t i = 0; i < value_len(path); i++) {
        enum rego_outcome o = child_of(p->call, *out, value_items(path)[i], out);
        if (o != REGO_VALUE)
            return o;
    }
    return rego_call_charge(p->call, 1 + value_len(path)) ? REGO_VALUE : REGO_FATAL;
}

/* ---- operations ---- */

static enum rego_outcome parse_path(struct rego_call *call, value path, value *out)
{
    enum rego_outcome o = builtin_path(call, path, out);
    if (o == REGO_FAILED)
        return rego_call_type_text(
            call,
            "operand 2 must be one of {set, array} containing string paths or array "
            "of path segments but got %s",
            value_kind_name(value_kind(path)));
    return o;
}

static enum rego_outcome missing(struct patch *p, const char *attribute)
{
    return rego_call_error(p->call, "missing required attribute '%s'", attribute);
}

static enum rego_outcome move_or_copy(struct patch *p, value op, value path, bool move)
{
    value from = value_get_lit(op, "from");
    value source = VALUE_UNDEFINED;
    value chunk = VALUE_UNDEFINED;
    if (!value_is_defined(from))
        return missing(p, "from");
    enum rego_outcome o = parse_path(p->call, from, &source);
    if (o == REGO_VALUE)
        o = read_at(p, source, &chunk);
    if (o == REGO_VALUE && move)
        o = edit_at(p, source, VALUE_UNDEFINED);
    return o == REGO_VALUE ? edit_at(p, path, chunk) : o;
}

static enum rego_outcome test(struct patch *p, value op, value path)
{
    value have = VALUE_UNDEFINED;
    enum rego_outcome o = read_at(p, path, &have);
    if (o != REGO_VALUE)
        return o;
    value want = value_get_lit(op, "value");
    if (!value_is_defined(want))
        return missing(p, "value");
    if (value_equal(have, want))
        return REGO_VALUE;
    return rego_call_error(p->call,
                           "value from EditTree != patch value.\n\nExpected: %s\n\nFound: %s",
                           text_of(p->call, want), text_of(p->call, have));
}

static enum rego_outcome apply(struct patch *p, value op)
{
    if (!value_is_object(op))
        return rego_call_error(
            p->call,
            "must be an array of JSON-Patch objects, but at least one element is not an object");
    value path_value = value_get_lit(op, "path");
    value name_value = value_get_lit(op, "op");
    if (!value_is_defined(path_value))
        return missing(p, "path");
    if (!value_is_defined(name_value))
        return missing(p, "op");
    if (!value_is_string(name_value))
        return rego_call_error(p->call, "attribute 'op' must be a string but found: %s",
                               value_kind_name(value_kind(name_value)));
    value path = VALUE_UNDEFINED;
    enum rego_outcome o = parse_path(p->call, path_value, &path);
    if (o != REGO_VALUE)
        return o;

    struct str name = value_str(name_value);
    value v = value_get_lit(op, "value");
    bool replace = str_is(name, "replace");
    if (str_is(name, "remove"))
        return edit_at(p, path, VALUE_UNDEFINED);
    if (str_is(name, "move") || str_is(name, "copy"))
        return move_or_copy(p, op, path, str_is(name, "move"));
    if (str_is(name, "test"))
        return test(p, op, path);
    if (!replace && !str_is(name, "add"))
        return rego_call_error(p->call, "unrecognized op: '%s'", shown(p->call, name));
    if (replace) {
        o = edit_at(p, path, VALUE_UNDEFINED);
        if (o != REGO_VALUE)
            return o;
    }
    return value_is_defined(v) ? edit_at(p, path, v) : missing(p, "value");
}

enum rego_outcome builtin_json_patch(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 2, VALUE_KIND_ARRAY))
        return REGO_FAILED;
    struct patch p = {call, args[0]};
    for (size_t i = 0; i < value_len(args[1]); i++) {
        enum rego_outcome o = apply(&p, value_items(args[1])[i]);
        if (o != REGO_VALUE)
            return o;
    }
    if (!value_is_defined(p.doc))
        return REGO_UNDEFINED;
    *out = p.doc;
    return REGO_VALUE;
}
