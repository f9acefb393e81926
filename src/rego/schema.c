#include "rego/schema_internal.h"

#include "base/encode.h"
#include "rego/builtins_internal.h"
#include "rego/regex.h"
#include "value/json.h"
#include "value/number.h"

struct checker {
    const struct schema *s;
    struct rego_call *call;
    struct arena *a;
    struct str why;
    bool fatal;
    unsigned depth;
    struct value_builder seen; /* referenced schemas that are checked already or being checked */
};

static bool wrong(struct checker *c, const char *format, const char *a, const char *b)
{
    struct str text = arena_format(c->a, "%s%s%s", a, format, b);
    if (c->why.len == 0)
        c->why = text.ptr == NULL ? STR("memory is exhausted") : text;
    return false;
}

static bool invalid_type(struct checker *c, const char *expected, const char *given)
{
    struct str text = arena_format(c->a, "Invalid type. Expected: %s, given: %s", expected, given);
    if (c->why.len == 0)
        c->why = text.ptr == NULL ? STR("memory is exhausted") : text;
    return false;
}

const char *schema_type_of(value v)
{
    if (value_kind(v) == VALUE_KIND_NUMBER)
        return number_is_integer(v) ? "integer" : "number";
    return value_kind(v) == VALUE_KIND_SET ? "array" : value_kind_name(value_kind(v));
}

/* ---- references ---- */

/* RFC 3986: %41 in a fragment. */
static struct str unescape(struct arena *a, struct str s)
{
    char *text = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; text != NULL && i < s.len; i++) {
        int high = i + 2 < s.len && s.ptr[i] == '%' ? hex_digit(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.ptr[i + 2]) : -1;
        text[n++] = low >= 0 ? (char)(high << 4 | low) : s.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return text == NULL ? STR_EMPTY : str_bytes(text, n);
}

static struct str id_of(value schema)
{
    value id = value_get_lit(schema, "$id");
    return value_str(value_is_defined(id) ? id : value_get_lit(schema, "id"));
}

/* The subschema with this "$id"; recursive, the depth of values is bounded. */
static value find_id(const struct schema *s, value v, struct str id)
{
    if (!rego_call_charge(s->call, 1))
        return VALUE_UNDEFINED;
    if (value_is_object(v) && str_equal(id_of(v), id))
        return v;
    for (size_t i = 0; i < value_len(v); i++) {
        value child = value_is_object(v) ? value_pairs(v)[i].val : value_items(v)[i];
        value found =
            value_kind(child) >= VALUE_KIND_ARRAY ? find_id(s, child, id) : VALUE_UNDEFINED;
        if (value_is_defined(found))
            return found;
    }
    return VALUE_UNDEFINED;
}

/* RFC 6901, with the message for the first part that leads nowhere. */
static value follow(const struct schema *s, value from, struct str pointer, struct str *why)
{
    struct arena *a = rego_call_arena(s->call);
    for (size_t at = 1; pointer.len > 0 && at <= pointer.len;) {
        size_t slash = str_find(pointer, '/', at);
        struct str step = str_slice(pointer, at - 1, slash - at + 1);
        value next = value_pointer(from, step);
        if (!value_is_defined(next)) {
            *why = arena_format(a, "Object has no key '%.*s'", STR_ARG(str_from(step, 1)));
            return VALUE_UNDEFINED;
        }
        from = next;
        at = slash + 1;
    }
    return from;
}

value schema_resolve(const struct schema *s, struct str ref, struct str *why)
{
    struct arena *a = rego_call_arena(s->call);
    size_t hash = str_find(ref, '#', 0);
    struct str base = str_slice(ref, 0, hash);
    struct str fragment = unescape(a, str_from(ref, hash + 1));
    value from = s->root;
    struct str root_id = id_of(s->root);
    if (root_id.len > 0 && root_id.ptr[root_id.len - 1] == '#')
        root_id.len--;
    if (base.len > 0 && !str_equal(base, root_id)) {
        from = find_id(s, s->root, base);
        if (!value_is_defined(from)) {
            *why = arena_format(a, "reference %.*s leads outside of the schema", STR_ARG(ref));
            return from;
        }
    }
    if (fragment.len == 0)
        return from;
    if (fragment.ptr[0] == '/')
        return follow(s, from, fragment, why);
    value named = find_id(s, from, str_from(ref, hash));
    if (!value_is_defined(named))
        *why = arena_format(a, "reference %.*s leads nowhere", STR_ARG(ref));
    return named;
}

/* ---- checking ---- */

static bool check(struct checker *c, value v);

static bool check_string(struct checker *c, value m, const char *key, struct str *out)
{
    value v = value_get_str(m, str_of(key));
    *out = value_str(v);
    return !value_is_defined(v) || value_is_string(v) || invalid_type(c, "string", key);
}

static bool is_schema(value v)
{
    return value_is_object(v) || value_kind(v) == VALUE_KIND_BOOLEAN;
}

static bool check_members(struct checker *c, value v)
{
    for (size_t i = 0; i < value_len(v); i++)
        if (!check(c, value_pairs(v)[i].val))
            return false;
    return true;
}

static bool check_definitions(struct checker *c, value m)
{
    value v = value_get_lit(m, "definitions");
    if (!value_is_defined(v))
        return true;
    for (size_t i = 0; i < value_len(v); i++)
        if (!value_is_object(v) || !is_schema(value_pairs(v)[i].val))
            return invalid_type(c, "Array Of Schemas", "definitions");
    return value_is_object(v) ? check_members(c, v)
                              : invalid_type(c, "Array Of Schemas", "definitions");
}

static bool check_type_name(struct checker *c, struct str name)
{
    static const char *const names[] = {"array", "boolean", "integer", "number",
                                        "null",  "object",  "string"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return true;
    return wrong(c, shown(c->call, name), "has a primitive type that is NOT VALID -- given: /",
                 "/ Expected valid values are:[array boolean integer number null object string]");
}

static bool check_type(struct checker *c, value m)
{
    value v = value_get_lit(m, "type");
    if (!value_is_defined(v))
        return true;
    if (value_is_string(v))
        return check_type_name(c, value_str(v));
    if (!value_is_array(v))
        return invalid_type(c, "type", "string/Array Of Strings");
    for (size_t i = 0; i < value_len(v); i++) {
        value name = value_at(v, i);
        if (!value_is_string(name))
            return invalid_type(c, "type", "string/Array Of Strings");
        if (!check_type_name(c, value_str(name)))
            return false;
        for (size_t j = 0; j < i; j++) /* at most seven differ */
            if (value_equal(value_at(v, j), name))
                return wrong(c, "", shown(c->call, value_str(name)), " type is duplicated");
    }
    return true;
}

static bool check_pattern(struct checker *c, struct str pattern, bool *valid)
{
    const struct regex *re = NULL;
    enum rego_outcome o = schema_regex(c->call, pattern, &re);
    c->fatal = c->fatal || o == REGO_FATAL;
    *valid = o == REGO_VALUE;
    return !c->fatal;
}

static bool check_properties(struct checker *c, value m)
{
    value properties = value_get_lit(m, "properties");
    value additional = value_get_lit(m, "additionalProperties");
    value patterns = value_get_lit(m, "patternProperties");
    value names = value_get_lit(m, "propertyNames");
    if (value_is_defined(properties) && !value_is_object(properties))
        return wrong(c, " must be of type ", "Properties", "object");
    if (!check_members(c, properties))
        return false;
    if (value_is_defined(additional) && !is_schema(additional))
        return invalid_type(c, "boolean/Valid Schema", "additionalProperties");
    if (value_is_object(additional) && !check(c, additional))
        return false;
    if (value_is_defined(patterns) && !value_is_object(patterns))
        return invalid_type(c, "Valid Schema", "patternProperties");
    for (size_t i = 0; i < value_len(patterns); i++) {
        bool valid = false;
        struct str pattern = value_str(value_pairs(patterns)[i].key);
        if (!check_pattern(c, pattern, &valid))
            return false;
        if (!valid)
            return wrong(c, shown(c->call, pattern), "Invalid regex pattern '", "'");
        if (!check(c, value_pairs(patterns)[i].val))
            return false;
    }
    if (!value_is_defined(names) || !schema_has_draft(c->s, 6))
        return true;
    return is_schema(names) ? check(c, names)
                            : invalid_type(c, "Valid Schema", "patternProperties");
}

static bool check_dependencies(struct checker *c, value m)
{
    value v = value_get_lit(m, "dependencies");
    if (value_is_defined(v) && !value_is_object(v))
        return wrong(c, " must be of type ", "dependencies", "object");
    for (size_t i = 0; i < value_len(v); i++) {
        value d = value_pairs(v)[i].val;
        bool texts = value_is_array(d);
        for (size_t j = 0; texts && j < value_len(d); j++)
            texts = value_is_string(value_at(d, j));
        if (!texts && !is_schema(d))
            return wrong(c, " must be of type ", "Dependency", "Schema Or Array Of Strings");
        if (!texts && !check(c, d))
            return false;
    }
    return true;
}

static bool check_items(struct checker *c, value m)
{
    value items = value_get_lit(m, "items");
    value additional = value_get_lit(m, "additionalItems");
    if (value_is_defined(items) && !value_is_array(items) && !is_schema(items))
        return invalid_type(c, "Valid Schema/Array Of Schemas", "items");
    if (is_schema(items) && !check(c, items))
        return false;
    for (size_t i = 0; value_is_array(items) && i < value_len(items); i++) {
        if (!is_schema(value_at(items, i)))
            return invalid_type(c, "Valid Schema/Array Of Schemas", "items");
        if (!check(c, value_at(items, i)))
            return false;
    }
    if (value_is_defined(additional) && !is_schema(additional))
        return invalid_type(c, "boolean/Valid Schema", "additionalItems");
    return !value_is_object(additional) || check(c, additional);
}

static bool is_number(value v)
{
    return value_kind(v) == VALUE_KIND_NUMBER;
}

/* exclusiveMinimum and its like: a boolean in draft 4, a number later. */
static bool check_exclusive(struct checker *c, value m, const char *key, const char *bound)
{
    value v = value_get_str(m, str_of(key));
    bool boolean = value_kind(v) == VALUE_KIND_BOOLEAN;
    if (!value_is_defined(v))
        return true;
    if (c->s->draft == 4 && !boolean)
        return invalid_type(c, "boolean", key);
    if ((c->s->draft == 6 || c->s->draft == 7) && !is_number(v))
        return invalid_type(c, "number", key);
    if (!boolean && !is_number(v))
        return invalid_type(c, "boolean/number", key);
    if (boolean && !value_is_defined(value_get_str(m, str_of(bound))))
        return wrong(c, " cannot be used without ", key, bound);
    return true;
}

static bool check_numbers(struct checker *c, value m)
{
    value multiple = value_get_lit(m, "multipleOf");
    if (value_is_defined(multiple) && !is_number(multiple))
        return invalid_type(c, "Number", "multipleOf");
    if (value_is_defined(multiple) && number_compare(multiple, value_small_int(0)) <= 0)
        return wrong(c, " must be strictly greater than 0", "multipleOf", "");
    static const char *const bounds[][2] = {{"minimum", "exclusiveMinimum"},
                                            {"maximum", "exclusiveMaximum"}};
    for (size_t i = 0; i < 2; i++) {
        value bound = value_get_str(m, str_of(bounds[i][0]));
        if (value_is_defined(bound) && !is_number(bound))
            return wrong(c, " must be of a Number", bounds[i][0], "");
        if (!check_exclusive(c, m, bounds[i][1], bounds[i][0]))
            return false;
    }
    return true;
}

static bool check_count(struct checker *c, value m, const char *key, int64_t *out)
{
    value v = value_get_str(m, str_of(key));
    *out = -1;
    if (!value_is_defined(v))
        return true;
    if (!value_get_int64(v, out))
        return wrong(c, " must be of an integer", key, "");
    return *out >= 0 || wrong(c, " must be greater than or equal to 0", key, "");
}

static bool check_counts(struct checker *c, value m, const char *min, const char *max)
{
    int64_t lo = -1;
    int64_t hi = -1;
    if (!check_count(c, m, min, &lo) || !check_count(c, m, max, &hi))
        return false;
    return lo < 0 || hi < 0 || lo <= hi || wrong(c, " cannot be greater than ", min, max);
}

static bool check_list(struct checker *c, value m, const char *key, value *out)
{
    *out = value_get_str(m, str_of(key));
    return !value_is_defined(*out) || value_is_array(*out) ||
           wrong(c, " must be of an array", key, "");
}

/* As a set, so that the work stays n log n. */
static bool is_unique(struct checker *c, value list)
{
    struct value_builder b;
    value_builder_init(&b, c->a, value_len(list));
    c->fatal = c->fatal || !rego_call_charge(c->call, sort_cost(value_len(list)));
    for (size_t i = 0; i < value_len(list) && !c->fatal; i++)
        value_builder_add(&b, value_at(list, i));
    return !c->fatal && value_len(value_set_finish(&b)) == value_len(list);
}

static bool check_texts(struct checker *c, value m)
{
    struct str pattern;
    struct str format;
    value required;
    bool valid = true;
    if (!check_counts(c, m, "minLength", "maxLength") || !check_string(c, m, "pattern", &pattern))
        return false;
    if (pattern.len > 0 && !check_pattern(c, pattern, &valid))
        return false;
    if (!valid)
        return wrong(c, " must be a valid regex", "pattern", "");
    if (!check_string(c, m, "format", &format) ||
        !check_counts(c, m, "minProperties", "maxProperties") ||
        !check_list(c, m, "required", &required))
        return false;
    for (size_t i = 0; i < value_len(required); i++)
        if (!value_is_string(value_at(required, i)))
            return invalid_type(c, "string", "required");
    return value_len(required) == 0 || is_unique(c, required) ||
           wrong(c, " items must be unique", "required", "");
}

static bool check_each(struct checker *c, value m, const char *key)
{
    value list;
    if (!check_list(c, m, key, &list))
        return false;
    for (size_t i = 0; i < value_len(list); i++)
        if (!check(c, value_at(list, i)))
            return false;
    return true;
}

static bool check_one(struct checker *c, value m, const char *key)
{
    value v = value_get_str(m, str_of(key));
    if (!value_is_defined(v))
        return true;
    return is_schema(v) ? check(c, v) : wrong(c, " must be of an object", key, "");
}

static bool check_combinations(struct checker *c, value m)
{
    value list;
    value unique = value_get_lit(m, "uniqueItems");
    value contains = value_get_lit(m, "contains");
    int64_t n; /* their order is not checked, unlike that of the other pairs */
    if (!check_count(c, m, "minItems", &n) || !check_count(c, m, "maxItems", &n))
        return false;
    if (value_is_defined(unique) && value_kind(unique) != VALUE_KIND_BOOLEAN)
        return wrong(c, " must be of a boolean", "uniqueItems", "");
    if (value_is_defined(contains) && schema_has_draft(c->s, 6) && !check(c, contains))
        return false;
    if (!check_list(c, m, "enum", &list))
        return false;
    if (value_len(list) > 0 && !is_unique(c, list))
        return wrong(c, " items must be unique", "enum", "");
    if (!check_each(c, m, "oneOf") || !check_each(c, m, "anyOf") || !check_each(c, m, "allOf") ||
        !check_one(c, m, "not"))
        return false;
    return !schema_has_draft(c->s, 7) ||
           (check_one(c, m, "if") && check_one(c, m, "then") && check_one(c, m, "else"));
}

static bool check_reference(struct checker *c, struct str ref)
{
    value target = schema_resolve(c->s, ref, &c->why);
    if (!value_is_defined(target)) {
        if (c->why.len == 0)
            c->fatal = true; /* the limit on work */
        return false;
    }
    if (!is_schema(target))
        return wrong(c, " must be of type ", "Valid Schema", "object");
    for (size_t i = 0; i < c->seen.len; i++) {
        if (!rego_call_charge(c->call, 1)) {
            c->fatal = true;
            return false;
        }
        if (c->seen.items[i].word == target.word)
            return true;
    }
    value_builder_add(&c->seen, target);
    return check(c, target);
}

static bool check_object(struct checker *c, value m)
{
    struct str text;
    const char *id =
        c->s->draft == 4 || (c->s->draft == 99 && value_is_defined(value_get_lit(m, "id"))) ? "id"
                                                                                            : "$id";
    struct str ref;
    if (!check_string(c, m, id, &text) || !check_definitions(c, m) ||
        !check_string(c, m, "title", &text) || !check_string(c, m, "description", &text) ||
        !check_string(c, m, "$ref", &ref))
        return false;
    if (value_is_defined(value_get_lit(m, "$ref")))
        return check_reference(c, ref); /* everything beside it is ignored */
    return check_type(c, m) && check_properties(c, m) && check_dependencies(c, m) &&
           check_items(c, m) && check_numbers(c, m) && check_texts(c, m) &&
           check_combinations(c, m);
}

static bool check(struct checker *c, value v)
{
    if (!rego_call_charge(c->call, 8 + value_len(v))) {
        c->fatal = true;
        return false;
    }
    if (value_kind(v) == VALUE_KIND_BOOLEAN && schema_has_draft(c->s, 6))
        return true;
    if (!value_is_object(v))
        return wrong(c, "Expected: Valid Schema, given: Invalid JSON", "", "");
    if (++c->depth > SCHEMA_DEPTH_MAX)
        return wrong(c, "schema is nested too deeply", "", "");
    bool ok = check_object(c, v);
    c->depth--;
    return ok;
}

static int draft_of(value root)
{
    struct str s = value_str(value_get_lit(root, "$schema"));
    static const struct {
        const char *text;
        int draft;
    } drafts[] = {{"draft-04", 4}, {"draft-06", 6}, {"draft-07", 7}};
    for (size_t i = 0; i < ARRAY_LEN(drafts); i++)
        if (text_find(s, str_of(drafts[i].text), 0) != SIZE_MAX)
            return drafts[i].draft;
    return 99;
}

enum rego_outcome schema_check(struct rego_call *call, value root, struct schema *out,
                               struct str *why)
{
    *out = (struct schema){call, root, draft_of(root)};
    *why = STR_EMPTY;
    if (!is_schema(root)) {
        *why = STR("schema is invalid");
        return REGO_UNDEFINED;
    }
    value draft = value_get_lit(root, "$schema");
    if (value_is_defined(draft) && !value_is_string(draft)) {
        *why = STR("$schema must be of type string");
        return REGO_UNDEFINED;
    }
    struct checker *c = arena_new(rego_call_arena(call), struct checker);
    if (c == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    *c = (struct checker){.s = out, .call = call, .a = rego_call_arena(call), .why = STR_EMPTY};
    value_builder_init(&c->seen, c->a, 0);
    bool ok = check(c, root);
    if (arena_status(c->a) != OK)
        return rego_call_status(call, arena_status(c->a), NULL);
    if (ok)
        return REGO_VALUE;
    *why = c->why;
    return c->fatal ? REGO_FATAL : REGO_UNDEFINED;
}
