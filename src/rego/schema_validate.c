#include <arpa/inet.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/layout.h"
#include "rego/regex.h"
#include "rego/schema_internal.h"
#include "value/json.h"
#include "value/number.h"

static bool schema_format_fits(struct rego_call *call, struct str format, struct str s);

/* ---- results ---- */

struct complaint {
    struct complaint *next;
    struct str field, desc;
    const char *type;
};

/* The score chooses, among alternatives that all fail, the one whose complaints are shown. */
struct result {
    struct complaint *first, *last;
    int score;
};

struct validator {
    const struct schema *s;
    struct rego_call *call;
    struct arena *a;
    enum rego_outcome failed;
    unsigned depth;
};

/* "a.0.b"; empty for the root. */
struct place {
    const struct place *parent;
    struct str name;
};

static bool charge(struct validator *v, uint64_t units)
{
    if (v->failed == REGO_VALUE && !rego_call_charge(v->call, units))
        v->failed = REGO_FATAL;
    return v->failed == REGO_VALUE;
}

/* The whole text or a failure: never a shorter one. */
static struct str finished(struct validator *v, const struct buf *b)
{
    value text = VALUE_UNDEFINED;
    enum rego_outcome o = give_buf(v->call, b, &text);
    if (o != REGO_VALUE && v->failed == REGO_VALUE)
        v->failed = o;
    return value_str(text);
}

static void write_place(struct buf *b, const struct place *p)
{
    if (p->parent == NULL)
        return;
    write_place(b, p->parent); /* as deep as the document */
    if (b->len > 0)
        buf_add_byte(b, '.');
    buf_add(b, p->name);
}

static struct str place_text(struct validator *v, const struct place *p)
{
    CLEANUP(buf_done) struct buf b;
    output_init(v->call, &b);
    write_place(&b, p);
    if (b.len == 0 && b.failed == OK)
        return STR("(Root)");
    charge(v, 1 + b.len / BYTES_PER_UNIT);
    return finished(v, &b);
}

static void complain(struct validator *v, struct result *r, const struct place *p, const char *type,
                     struct str desc)
{
    struct complaint *c = arena_new(v->a, struct complaint);
    if (c == NULL || !charge(v, 4))
        return;
    *c = (struct complaint){NULL, place_text(v, p), desc.ptr == NULL ? STR_EMPTY : desc, type};
    if (r->last != NULL)
        r->last->next = c;
    else
        r->first = c;
    r->last = c;
    r->score -= 2;
}

static void merge(struct result *r, const struct result *other)
{
    if (other->first != NULL) {
        if (r->last != NULL)
            r->last->next = other->first;
        else
            r->first = other->first;
        r->last = other->last;
    }
    r->score += other->score;
}

static void validate(struct validator *v, value schema, value doc, struct result *r,
                     const struct place *p);

static struct result sub_validate(struct validator *v, value schema, value doc,
                                  const struct place *p)
{
    struct result r = {NULL, NULL, 0};
    validate(v, schema, doc, &r, p);
    return r;
}

static struct str number_text(struct validator *v, value n)
{
    value rounded = VALUE_UNDEFINED; /* as the original's floats: 1.50 is 1.5 */
    char scratch[VALUE_NUMBER_SCRATCH];
    if (number_div(v->a, n, value_small_int(1), &rounded, NULL) != OK)
        rounded = n;
    return arena_str(v->a, value_number_text(rounded, scratch));
}

/* ---- combinations ---- */

static void any_of(struct validator *v, value list, value doc, struct result *r,
                   const struct place *p)
{
    struct result best = {NULL, NULL, 0};
    for (size_t i = 0; i < value_len(list); i++) {
        struct result sub = sub_validate(v, value_at(list, i), doc, p);
        if (sub.first == NULL)
            return;
        if (i == 0 || sub.score > best.score)
            best = sub;
    }
    complain(v, r, p, "number_any_of", STR("Must validate at least one schema (anyOf)"));
    merge(r, &best);
}

static void one_of(struct validator *v, value list, value doc, struct result *r,
                   const struct place *p)
{
    struct result best = {NULL, NULL, 0};
    bool have = false;
    size_t valid = 0;
    for (size_t i = 0; i < value_len(list); i++) {
        struct result sub = sub_validate(v, value_at(list, i), doc, p);
        if (sub.first == NULL) {
            valid++;
        } else if (valid == 0 && (!have || sub.score > best.score)) {
            best = sub;
            have = true;
        }
    }
    if (valid == 1)
        return;
    complain(v, r, p, "number_one_of", STR("Must validate one and only one schema (oneOf)"));
    if (valid == 0)
        merge(r, &best);
}

static void all_of(struct validator *v, value list, value doc, struct result *r,
                   const struct place *p)
{
    bool all = true;
    for (size_t i = 0; i < value_len(list); i++) {
        struct result sub = sub_validate(v, value_at(list, i), doc, p);
        all = all && sub.first == NULL;
        merge(r, &sub);
    }
    if (!all)
        complain(v, r, p, "number_all_of", STR("Must validate all the schemas (allOf)"));
}

static void dependencies(struct validator *v, value list, value doc, struct result *r,
                         const struct place *p)
{
    for (size_t i = 0; i < value_len(doc); i++) {
        value d = value_get(list, value_pairs(doc)[i].key);
        if (value_is_defined(d) && !value_is_array(d))
            validate(v, d, doc, r, p);
        for (size_t j = 0; value_is_array(d) && j < value_len(d); j++)
            if (!value_is_defined(value_get(doc, value_at(d, j))))
                complain(v, r, p, "missing_dependency",
                         arena_format(v->a, "Has a dependency on %.*s",
                                      STR_ARG(value_str(value_at(d, j)))));
    }
}

static void condition(struct validator *v, value schema, value doc, struct result *r,
                      const struct place *p)
{
    value test = value_get_lit(schema, "if");
    if (!value_is_defined(test) || !schema_has_draft(v->s, 7))
        return;
    bool holds = sub_validate(v, test, doc, p).first == NULL;
    value branch = holds ? value_get_lit(schema, "then") : value_get_lit(schema, "else");
    if (!value_is_defined(branch))
        return;
    struct result sub = sub_validate(v, branch, doc, p);
    if (sub.first == NULL)
        return;
    complain(v, r, p, holds ? "condition_then" : "condition_else",
             holds ? STR("Must validate \"then\" as \"if\" was valid")
                   : STR("Must validate \"else\" as \"if\" was not valid"));
    merge(r, &sub);
}

static void combinations(struct validator *v, value schema, value doc, struct result *r,
                         const struct place *p)
{
    value any = value_get_lit(schema, "anyOf");
    value one = value_get_lit(schema, "oneOf");
    value all = value_get_lit(schema, "allOf");
    value not = value_get_lit(schema, "not");
    if (value_len(any) > 0)
        any_of(v, any, doc, r, p);
    if (value_len(one) > 0)
        one_of(v, one, doc, r, p);
    if (value_len(all) > 0)
        all_of(v, all, doc, r, p);
    if (value_is_defined(not ) && sub_validate(v, not, doc, p).first == NULL)
        complain(v, r, p, "number_not", STR("Must not validate the schema (not)"));
    if (value_is_object(doc))
        dependencies(v, value_get_lit(schema, "dependencies"), doc, r, p);
    condition(v, schema, doc, r, p);
    r->score++;
}

/* ---- every kind of value ---- */

/* Numbers are equal by value, also within. */
static void common(struct validator *v, value schema, value doc, struct result *r,
                   const struct place *p)
{
    value wanted = value_get_lit(schema, "const");
    value choice = value_get_lit(schema, "enum");
    struct str format = value_str(value_get_lit(schema, "format"));
    struct str field = place_text(v, p);
    if (value_is_defined(wanted) && schema_has_draft(v->s, 6) && !value_equal(doc, wanted))
        complain(v, r, p, "const",
                 arena_format(v->a, "%.*s does not match: %.*s", STR_ARG(field),
                              STR_ARG(json_text(v->a, wanted, JSON_GO))));
    if (value_is_array(choice)) {
        bool listed = false;
        for (size_t i = 0; i < value_len(choice) && !listed && charge(v, 1); i++)
            listed = value_equal(value_at(choice, i), doc);
        if (!listed) {
            CLEANUP(buf_done) struct buf b;
            output_init(v->call, &b);
            for (size_t i = 0; i < value_len(choice) && b.failed == OK; i++) {
                buf_add_cstr(&b, i > 0 ? ", " : "");
                output_json(&b, value_at(choice, i));
            }
            complain(v, r, p, "enum",
                     arena_format(v->a, "%.*s must be one of the following: %.*s", STR_ARG(field),
                                  STR_ARG(finished(v, &b))));
        }
    }
    if (format.len > 0 && value_is_string(doc) && charge(v, 1 + value_str(doc).len / 8) &&
        !schema_format_fits(v->call, format, value_str(doc)))
        complain(v, r, p, "format",
                 arena_format(v->a, "Does not match format '%.*s'", STR_ARG(format)));
    r->score++;
}

static void bound(struct validator *v, struct result *r, const struct place *p, bool broken,
                  const char *type, const char *text, value limit)
{
    if (broken)
        complain(v, r, p, type, arena_format(v->a, "%s%.*s", text, STR_ARG(number_text(v, limit))));
}

/* x / y is an integer; exact for decimals: both are scaled to integers. */
static bool is_multiple(struct validator *v, value x, value y)
{
    value ten = value_small_int(10);
    for (int i = 0; i < 400 && !(number_is_integer(x) && number_is_integer(y)); i++)
        if (number_mul(v->a, x, ten, &x, NULL) != OK || number_mul(v->a, y, ten, &y, NULL) != OK)
            return false;
    value rest = VALUE_UNDEFINED;
    return number_is_integer(x) && number_is_integer(y) &&
           number_rem(v->a, x, y, &rest, NULL) == OK &&
           number_compare(rest, value_small_int(0)) == 0;
}

/* The limit that a keyword and its exclusive form give together. */
static void number_bound(struct validator *v, value schema, value doc, struct result *r,
                         const struct place *p, bool upper)
{
    value limit = value_get_str(schema, upper ? STR("maximum") : STR("minimum"));
    value exclusive =
        value_get_str(schema, upper ? STR("exclusiveMaximum") : STR("exclusiveMinimum"));
    if (value_is_true(exclusive)) { /* draft 4 */
        exclusive = limit;
        limit = VALUE_UNDEFINED;
    }
    int sign = upper ? 1 : -1;
    bool has_limit = value_kind(limit) == VALUE_KIND_NUMBER;
    bool has_exclusive = value_kind(exclusive) == VALUE_KIND_NUMBER;
    bound(v, r, p, has_limit && number_compare(doc, limit) * sign > 0,
          upper ? "number_lte" : "number_gte",
          upper ? "Must be less than or equal to " : "Must be greater than or equal to ", limit);
    bound(v, r, p, has_exclusive && number_compare(doc, exclusive) * sign >= 0,
          upper ? "number_lt" : "number_gt", upper ? "Must be less than " : "Must be greater than ",
          exclusive);
}

static void number(struct validator *v, value schema, value doc, struct result *r,
                   const struct place *p)
{
    value multiple = value_get_lit(schema, "multipleOf");
    bound(v, r, p, value_is_defined(multiple) && !is_multiple(v, doc, multiple), "multiple_of",
          "Must be a multiple of ", multiple);
    number_bound(v, schema, doc, r, p, true);
    number_bound(v, schema, doc, r, p, false);
    r->score++;
}

/* True with the count of a keyword like minLength. */
static bool count_of(value schema, const char *key, int64_t *out)
{
    value v = value_get_str(schema, str_of(key));
    return value_is_defined(v) && value_get_int64(v, out);
}

static void counted(struct validator *v, value schema, const char *min_key, const char *max_key,
                    int64_t n, const char *types[2], const char *texts[2], const char *unit,
                    struct result *r, const struct place *p)
{
    int64_t limit = 0;
    if (count_of(schema, min_key, &limit) && n < limit)
        complain(v, r, p, types[0],
                 arena_format(v->a, "%s%lld%s", texts[0], (long long)limit, unit));
    if (count_of(schema, max_key, &limit) && n > limit)
        complain(v, r, p, types[1],
                 arena_format(v->a, "%s%lld%s", texts[1], (long long)limit, unit));
}

static bool matches(struct validator *v, struct str pattern, struct str text)
{
    const struct regex *re = NULL;
    enum rego_outcome o = schema_regex(v->call, pattern, &re);
    if (o != REGO_VALUE) {
        v->failed = v->failed == REGO_VALUE ? o : v->failed;
        return false;
    }
    return charge(v, 1 + text.len * regex_size(re) / BYTES_PER_UNIT) &&
           regex_match(re, text, 0, NULL, 0);
}

static void string(struct validator *v, value schema, value doc, struct result *r,
                   const struct place *p)
{
    struct str s = value_str(doc);
    struct str pattern = value_str(value_get_lit(schema, "pattern"));
    counted(v, schema, "minLength", "maxLength", (int64_t)rune_count(s),
            (const char *[2]){"string_gte", "string_lte"},
            (const char *[2]){"String length must be greater than or equal to ",
                              "String length must be less than or equal to "},
            "", r, p);
    if (value_is_defined(value_get_lit(schema, "pattern")) && !matches(v, pattern, s) &&
        v->failed == REGO_VALUE)
        complain(v, r, p, "pattern",
                 arena_format(v->a, "Does not match pattern '%.*s'", STR_ARG(pattern)));
    r->score++;
}

/* ---- arrays ---- */

static struct place element(struct validator *v, const struct place *p, size_t i)
{
    return (struct place){p, arena_format(v->a, "%zu", i)};
}

static void items(struct validator *v, value schema, value doc, struct result *r,
                  const struct place *p)
{
    value spec = value_get_lit(schema, "items");
    value additional = value_get_lit(schema, "additionalItems");
    bool list = value_is_array(spec);
    if (!value_is_defined(spec) || (list && value_len(spec) == 0))
        return;
    for (size_t i = 0; i < value_len(doc) && charge(v, 1); i++) {
        struct place here = element(v, p, i);
        value one = !list ? spec : i < value_len(spec) ? value_at(spec, i) : additional;
        if (list && i >= value_len(spec) && !value_is_object(additional))
            break;
        struct result sub = sub_validate(v, one, value_at(doc, i), &here);
        merge(r, &sub);
    }
    if (list && value_len(doc) > value_len(spec) && value_kind(additional) == VALUE_KIND_BOOLEAN &&
        !value_is_true(additional))
        complain(v, r, p, "array_no_additional_items", STR("No additional items allowed on array"));
}

struct numbered {
    value v;
    size_t i;
};

static int compare_numbered(const void *a, const void *b)
{
    return value_compare(((const struct numbered *)a)->v, ((const struct numbered *)b)->v);
}

/* A stable sort brings equal elements together, in their order. */
static void unique_items(struct validator *v, value doc, struct result *r, const struct place *p)
{
    size_t n = value_len(doc);
    struct numbered *all = arena_new_array(v->a, struct numbered, n + 1);
    struct numbered *scratch = arena_new_array(v->a, struct numbered, n + 1);
    if (all == NULL || scratch == NULL || !charge(v, sort_cost(n)))
        return;
    for (size_t i = 0; i < n; i++)
        all[i] = (struct numbered){value_at(doc, i), i};
    stable_sort(all, scratch, n, sizeof(*all), compare_numbered);
    for (size_t i = 1; i < n; i++)
        if (value_equal(all[i - 1].v, all[i].v))
            complain(
                v, r, p, "unique",
                arena_format(v->a, "array items[%zu,%zu] must be unique", all[i - 1].i, all[i].i));
}

static void contains(struct validator *v, value schema, value doc, struct result *r,
                     const struct place *p)
{
    struct result best = {NULL, NULL, 0};
    for (size_t i = 0; i < value_len(doc); i++) {
        struct place here = element(v, p, i);
        struct result sub = sub_validate(v, schema, value_at(doc, i), &here);
        if (sub.first == NULL)
            return;
        if (i == 0 || sub.score > best.score)
            best = sub;
    }
    complain(v, r, p, "contains", STR("At least one of the items must match"));
    merge(r, &best);
}

static void array(struct validator *v, value schema, value doc, struct result *r,
                  const struct place *p)
{
    value wanted = value_get_lit(schema, "contains");
    items(v, schema, doc, r, p);
    counted(v, schema, "minItems", "maxItems", (int64_t)value_len(doc),
            (const char *[2]){"array_min_items", "array_max_items"},
            (const char *[2]){"Array must have at least ", "Array must have at most "}, " items", r,
            p);
    if (value_is_true(value_get_lit(schema, "uniqueItems")))
        unique_items(v, doc, r, p);
    if (value_is_defined(wanted) && schema_has_draft(v->s, 6))
        contains(v, wanted, doc, r, p);
    r->score++;
}

/* ---- objects ---- */

static bool pattern_properties(struct validator *v, value schema, const struct value_pair *member,
                               struct result *r, const struct place *p)
{
    value patterns = value_get_lit(schema, "patternProperties");
    bool any = false;
    for (size_t i = 0; i < value_len(patterns) && v->failed == REGO_VALUE; i++) {
        const struct value_pair *pattern = &value_pairs(patterns)[i];
        if (!matches(v, value_str(pattern->key), value_str(member->key)))
            continue;
        struct place here = {p, value_str(member->key)};
        struct result sub = sub_validate(v, pattern->val, member->val, &here);
        merge(r, &sub);
        any = true;
    }
    r->score += any;
    return any;
}

static void members(struct validator *v, value schema, value doc, struct result *r,
                    const struct place *p)
{
    value properties = value_get_lit(schema, "properties");
    value additional = value_get_lit(schema, "additionalProperties");
    for (size_t i = 0; i < value_len(doc) && charge(v, 1); i++) {
        const struct value_pair *m = &value_pairs(doc)[i];
        bool found = value_is_defined(value_get(properties, m->key));
        bool matched = pattern_properties(v, schema, m, r, p);
        if (found || matched)
            continue;
        if (value_is_object(additional)) {
            struct place here = {p, value_str(m->key)};
            struct result sub = sub_validate(v, additional, m->val, &here);
            merge(r, &sub);
        } else if (value_kind(additional) == VALUE_KIND_BOOLEAN && !value_is_true(additional)) {
            complain(v, r, p, "additional_property_not_allowed",
                     arena_format(v->a, "Additional property %.*s is not allowed",
                                  STR_ARG(value_str(m->key))));
        }
    }
}

static void property_names(struct validator *v, value schema, value doc, struct result *r,
                           const struct place *p)
{
    for (size_t i = 0; i < value_len(doc); i++) {
        value key = value_pairs(doc)[i].key;
        struct result sub = sub_validate(v, schema, key, p);
        if (sub.first == NULL)
            continue;
        complain(v, r, p, "invalid_property_name",
                 arena_format(v->a, "Property name of \"%.*s\" does not match",
                              STR_ARG(value_str(key))));
        merge(r, &sub);
    }
}

static void object(struct validator *v, value schema, value doc, struct result *r,
                   const struct place *p)
{
    value required = value_get_lit(schema, "required");
    value names = value_get_lit(schema, "propertyNames");
    counted(v, schema, "minProperties", "maxProperties", (int64_t)value_len(doc),
            (const char *[2]){"array_min_properties", "array_max_properties"},
            (const char *[2]){"Must have at least ", "Must have at most "}, " properties", r, p);
    for (size_t i = 0; i < value_len(required) && charge(v, 1); i++) {
        value key = value_at(required, i);
        if (value_is_defined(value_get(doc, key)))
            r->score++;
        else
            complain(v, r, p, "required",
                     arena_format(v->a, "%.*s is required", STR_ARG(value_str(key))));
    }
    members(v, schema, doc, r, p);
    if (value_is_defined(names) && schema_has_draft(v->s, 6))
        property_names(v, names, doc, r, p);
    r->score++;
}

static void properties(struct validator *v, value schema, value doc, struct result *r,
                       const struct place *p)
{
    value list = value_get_lit(schema, "properties");
    for (size_t i = 0; i < value_len(list) && charge(v, 1); i++) {
        const struct value_pair *property = &value_pairs(list)[i];
        value member = value_get(doc, property->key);
        struct place here = {p, value_str(property->key)};
        if (value_is_defined(member))
            validate(v, property->val, member, r, &here);
    }
}

/* ---- types ---- */

static bool type_fits(value type, const char *have)
{
    if (value_is_array(type)) {
        for (size_t i = 0; i < value_len(type); i++)
            if (type_fits(value_at(type, i), have))
                return true;
        return false;
    }
    struct str name = value_str(type);
    return str_is(name, have) || (str_is(name, "number") && strcmp(have, "integer") == 0);
}

/* [] asks for nothing, as in OPA. */
static bool is_empty_list(value type)
{
    return value_is_array(type) && value_len(type) == 0;
}

static struct str type_text(struct validator *v, value type)
{
    if (!value_is_array(type) || value_len(type) == 1)
        return value_str(value_is_array(type) ? value_at(type, 0) : type);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 256);
    for (size_t i = 0; i < value_len(type); i++) {
        buf_add_byte(&b, i > 0 ? ',' : '[');
        buf_add(&b, value_str(value_at(type, i)));
    }
    buf_add_byte(&b, ']');
    return finished(v, &b);
}

static void by_kind(struct validator *v, value schema, value doc, struct result *r,
                    const struct place *p)
{
    combinations(v, schema, doc, r, p);
    switch (value_kind(doc)) {
    case VALUE_KIND_NUMBER:
        number(v, schema, doc, r, p);
        common(v, schema, doc, r, p);
        break;
    case VALUE_KIND_STRING:
        common(v, schema, doc, r, p);
        string(v, schema, doc, r, p);
        break;
    case VALUE_KIND_ARRAY:
        array(v, schema, doc, r, p);
        common(v, schema, doc, r, p);
        break;
    case VALUE_KIND_OBJECT:
        object(v, schema, doc, r, p);
        common(v, schema, doc, r, p);
        properties(v, schema, doc, r, p);
        break;
    default:
        common(v, schema, doc, r, p);
        break;
    }
}

/* Recursive; bounded by SCHEMA_DEPTH_MAX, references included. */
static void validate(struct validator *v, value schema, value doc, struct result *r,
                     const struct place *p)
{
    if (!charge(v, 4))
        return;
    if (++v->depth > SCHEMA_DEPTH_MAX) {
        v->failed = rego_call_error(v->call, "document and schema are nested deeper than %d",
                                    SCHEMA_DEPTH_MAX);
        return;
    }
    value ref = value_get_lit(schema, "$ref");
    value type = value_get_lit(schema, "type");
    const char *have = schema_type_of(doc);
    if (value_kind(schema) == VALUE_KIND_BOOLEAN) {
        if (!value_is_true(schema))
            complain(v, r, p, "false", STR("False always fails validation"));
    } else if (value_is_string(ref)) {
        struct str why = STR_EMPTY;
        value target = schema_resolve(v->s, value_str(ref), &why);
        if (value_is_defined(target))
            validate(v, target, doc, r, p);
        else if (v->failed == REGO_VALUE)
            v->failed = why.len == 0 ? REGO_FATAL : rego_call_error(v->call, "%.*s", STR_ARG(why));
    } else if (value_is_defined(type) && !is_empty_list(type) && !type_fits(type, have)) {
        complain(v, r, p, "invalid_type",
                 arena_format(v->a, "Invalid type. Expected: %.*s, given: %s",
                              STR_ARG(type_text(v, type)), have));
    } else {
        by_kind(v, schema, doc, r, p);
        r->score++;
    }
    v->depth--;
}

enum rego_outcome schema_validate(const struct schema *s, value doc, value *out)
{
    struct validator v = {s, s->call, rego_call_arena(s->call), REGO_VALUE, 0};
    struct place root = {NULL, STR_EMPTY};
    struct result r = {NULL, NULL, 0};
    validate(&v, s->root, doc, &r, &root);
    if (v.failed != REGO_VALUE)
        return v.failed;
    struct value_builder b;
    value_builder_init(&b, v.a, 0);
    for (const struct complaint *c = r.first; c != NULL; c = c->next) {
        struct str error = arena_format(v.a, "%.*s: %.*s", STR_ARG(c->field), STR_ARG(c->desc));
        struct value_builder one;
        value_builder_init(&one, v.a, 4);
        value_builder_put_str(&one, "desc", value_string(v.a, c->desc));
        value_builder_put_str(&one, "error",
                              value_string(v.a, error.ptr == NULL ? STR_EMPTY : error));
        value_builder_put_str(&one, "field", value_string(v.a, c->field));
        value_builder_put_str(&one, "type", value_cstring(v.a, c->type));
        value_builder_add(&b, value_object_finish(&one, VALUE_DUP_LAST, NULL));
    }
    return give(s->call, value_array_finish(&b), out);
}

/* ---- formats ---- */

static bool layout_fits(struct str s, const char *layout)
{
    int64_t unix_s;
    int ns;
    return layout_parse(str_of(layout), s, &unix_s, &ns, NULL) == OK;
}

static bool address_fits(struct str s, int family)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];
    if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(family, text, bytes) == 1;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool hostname_fits(struct str s)
{
    size_t label = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool edge = label == 0 || i + 1 == s.len || s.ptr[i + 1] == '.';
        if (c == '.' ? label == 0 : !(is_alnum(c) || (c == '-' && !edge)) || label == 63)
            return false;
        label = c == '.' ? 0 : label + 1;
    }
    return s.len > 0 && s.len < 256 && label > 0;
}

static bool email_fits(struct str s)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] <= 0x20 || strchr("<>(),;:\\\"[]", s.ptr[i]) != NULL)
            return false;
        at = s.ptr[i] == '@' ? i : at;
    }
    return at != SIZE_MAX && at > 0 && at + 1 < s.len && str_find(s, '@', 0) == at &&
           s.ptr[0] != '.' && s.ptr[at - 1] != '.';
}

static bool uri_fits(struct rego_call *call, struct str s, bool absolute)
{
    value text = value_string(rego_call_arena(call), s);
    value valid = VALUE_FALSE;
    if (!value_is_defined(text) || builtin_uri_is_valid(call, &text, &valid) != REGO_VALUE)
        return false;
    size_t colon = str_find(s, ':', 0);
    return value_is_true(valid) && memchr(s.ptr, '\\', s.len) == NULL &&
           (!absolute || (colon > 0 && colon < s.len));
}

static bool pointer_fits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '~' && (i + 1 == s.len || (s.ptr[i + 1] != '0' && s.ptr[i + 1] != '1')))
            return false;
    return s.len == 0 || s.ptr[0] == '/';
}

static bool relative_pointer_fits(struct str s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    bool number = n > 0 && (n == 1 || s.ptr[0] != '0');
    return number && (str_is(str_from(s, n), "#") || pointer_fits(str_from(s, n)));
}

static bool uuid_fits(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
                   ((s.ptr[i] | 32) >= 'a' && (s.ptr[i] | 32) <= 'f');
        if (dash ? s.ptr[i] != '-' : !hex)
            return false;
    }
    return s.len == 36;
}

static bool schema_format_fits(struct rego_call *call, struct str format, struct str s)
{
    if (str_is(format, "date"))
        return layout_fits(s, "2006-01-02");
    if (str_is(format, "time"))
        return layout_fits(s, "15:04:05Z07:00") || layout_fits(s, "15:04:05");
    if (str_is(format, "date-time"))
        return layout_fits(s, "2006-01-02T15:04:05Z07:00") ||
               layout_fits(s, "2006-01-02 15:04:05Z07:00");
    if (str_is(format, "ipv4"))
        return address_fits(s, AF_INET);
    if (str_is(format, "ipv6"))
        return address_fits(s, AF_INET6);
    if (str_is(format, "hostname"))
        return hostname_fits(s);
    if (str_is(format, "email") || str_is(format, "idn-email"))
        return email_fits(s);
    if (str_is(format, "uri") || str_is(format, "iri"))
        return uri_fits(call, s, true);
    if (str_is(format, "uri-reference") || str_is(format, "iri-reference"))
        return s.len == 0 || uri_fits(call, s, false);
    if (str_is(format, "json-pointer"))
        return pointer_fits(s);
    if (str_is(format, "relative-json-pointer"))
        return relative_pointer_fits(s);
    if (str_is(format, "uuid"))
        return uuid_fits(s);
    if (str_is(format, "regex")) {
        const struct regex *re = NULL;
        return schema_regex(call, s, &re) == REGO_VALUE;
    }
    return true;
}
