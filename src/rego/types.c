/*
 * The algebra of types.
 */
#include "rego/types.h"

#include <stdlib.h>

static int type_compare(struct type_maker *m, const struct type *a, const struct type *b);

const struct type type_null = {.kind = TYPE_NULL};
const struct type type_boolean = {.kind = TYPE_BOOLEAN};
const struct type type_number = {.kind = TYPE_NUMBER};
const struct type type_string = {.kind = TYPE_STRING};
const struct type type_any = {.kind = TYPE_ANY};

static bool is_spent(struct type_maker *m)
{
    return m->work++ > TYPE_WORK_MAX || arena_status(m->a) != OK;
}

/* ---- making ---- */

static void note(struct type *t, const struct type *part, bool nil_matters)
{
    t->has_nil |= nil_matters && type_is_nil(part);
    if (part != NULL && part->depth >= t->depth)
        t->depth = (uint16_t)(part->depth + 1);
}

static const struct type *finish(struct type *t)
{
    return t->depth > TYPE_DEPTH_MAX ? &type_any : t;
}

static struct type *new_type(struct type_maker *m, enum type_kind kind)
{
    struct type *t = arena_new(m->a, struct type);
    if (t != NULL)
        t->kind = (uint8_t)kind;
    return t;
}

static const struct type *const *copy_items(struct type_maker *m, const struct type *const *items,
                                            uint32_t len)
{
    const struct type **copy = arena_new_array(m->a, const struct type *, len);
    if (copy != NULL && len > 0)
        memcpy(copy, items, len * sizeof(*copy));
    return copy;
}

const struct type *type_array(struct type_maker *m, const struct type *const *items, uint32_t len,
                              const struct type *of)
{
    struct type *t = new_type(m, TYPE_ARRAY);
    if (t == NULL || (t->items = copy_items(m, items, len)) == NULL)
        return &type_any;
    t->len = len;
    t->of = of;
    for (uint32_t i = 0; i < len; i++)
        note(t, items[i], true);
    note(t, of, of != NULL);
    return finish(t);
}

static int by_key(const void *x, const void *y)
{
    return value_compare(((const struct type_property *)x)->key,
                         ((const struct type_property *)y)->key);
}

static bool is_sorted(const struct type_property *p, uint32_t len)
{
    for (uint32_t i = 1; i < len; i++)
        if (by_key(&p[i - 1], &p[i]) >= 0)
            return false;
    return true;
}

const struct type *type_object(struct type_maker *m, struct type_property *properties, uint32_t len,
                               const struct type *key, const struct type *of)
{
    struct type *t = new_type(m, TYPE_OBJECT);
    if (t == NULL)
        return &type_any;
    if (!is_sorted(properties, len)) {
        qsort(properties, len, sizeof(*properties), by_key);
        uint32_t n = 0;
        for (uint32_t i = 0; i < len; i++) {
            if (n > 0 && by_key(&properties[n - 1], &properties[i]) == 0)
                n--;
            properties[n++] = properties[i];
        }
        len = n;
    }
    t->properties = properties;
    t->len = len;
    t->key = key;
    t->of = of;
    for (uint32_t i = 0; i < len; i++)
        note(t, properties[i].type, true);
    /* Further members are there when one of the two is. */
    note(t, key, key != NULL || of != NULL);
    note(t, of, key != NULL || of != NULL);
    return finish(t);
}

const struct type *type_object_unknown(struct type_maker *m, struct type_property *properties,
                                       uint32_t len)
{
    struct type *t = (struct type *)(uintptr_t)type_object(m, properties, len, NULL, NULL);
    if (t != &type_any) /* else it is new, and ours */
        t->has_nil = true;
    return t;
}

const struct type *type_set(struct type_maker *m, const struct type *of)
{
    struct type *t = new_type(m, TYPE_SET);
    if (t == NULL)
        return &type_any;
    t->of = of;
    note(t, of, true);
    return finish(t);
}

const struct type *type_function(struct type_maker *m, const struct type *const *operands,
                                 uint32_t len, const struct type *result)
{
    struct type *t = new_type(m, TYPE_FUNCTION);
    if (t == NULL || (t->items = copy_items(m, operands, len)) == NULL)
        return NULL;
    t->len = len;
    t->of = result;
    for (uint32_t i = 0; i < len; i++)
        note(t, operands[i], true);
    note(t, result, true);
    return t;
}

/* ---- comparing ---- */

static int compare_kinds(const struct type *a, const struct type *b)
{
    int x = a == NULL ? -1 : a->kind;
    int y = b == NULL ? -1 : b->kind;
    return x < y ? -1 : x > y;
}

static int compare_lists(struct type_maker *m, const struct type *a, const struct type *b)
{
    for (uint32_t i = 0; i < a->len && i < b->len; i++) {
        int c = type_compare(m, a->items[i], b->items[i]);
        if (c != 0)
            return c;
    }
    return a->len < b->len ? -1 : a->len > b->len;
}

static int compare_objects(struct type_maker *m, const struct type *a, const struct type *b)
{
    if ((a->of != NULL) != (b->of != NULL))
        return a->of != NULL ? 1 : -1;
    int c = type_compare(m, a->key, b->key);
    if (c == 0)
        c = type_compare(m, a->of, b->of);
    for (uint32_t i = 0; c == 0 && i < a->len && i < b->len; i++) {
        c = value_compare(a->properties[i].key, b->properties[i].key);
        if (c == 0)
            c = type_compare(m, a->properties[i].type, b->properties[i].type);
    }
    return c != 0 ? c : a->len < b->len ? -1 : a->len > b->len;
}

static int type_compare(struct type_maker *m, const struct type *a, const struct type *b)
{
    if (a == b || is_spent(m))
        return 0;
    int c = compare_kinds(a, b);
    if (c != 0 || a == NULL || b == NULL)
        return c;
    switch (a->kind) {
    case TYPE_ARRAY:
        if ((a->of != NULL) != (b->of != NULL))
            return a->of != NULL ? 1 : -1;
        c = type_compare(m, a->of, b->of);
        return c != 0 ? c : compare_lists(m, a, b);
    case TYPE_OBJECT:
        return compare_objects(m, a, b);
    case TYPE_SET:
        return type_compare(m, a->of, b->of);
    case TYPE_ANY:
        return compare_lists(m, a, b);
    case TYPE_FUNCTION:
        if (a->len != b->len)
            return a->len < b->len ? -1 : 1;
        c = compare_lists(m, a, b);
        return c != 0 ? c : type_compare(m, a->of, b->of);
    default:
        return 0;
    }
}

/* ---- unions ---- */

static bool any_contains(struct type_maker *m, const struct type *any, const struct type *t)
{
    if (t != NULL && t->kind == TYPE_FUNCTION)
        return false;
    for (uint32_t i = 0; i < any->len; i++)
        if (type_compare(m, any->items[i], t) == 0)
            return true;
    return any->len == 0;
}

static const struct type *any_of(struct type_maker *m, const struct type *const *items,
                                 uint32_t len)
{
    struct type *t = new_type(m, TYPE_ANY);
    if (t == NULL || (t->items = copy_items(m, items, len)) == NULL)
        return &type_any;
    t->len = len;
    for (uint32_t i = 0; i < len; i++)
        note(t, items[i], false);
    return finish(t);
}

/* Members of both, in order. */
static const struct type *any_union(struct type_maker *m, const struct type *a,
                                    const struct type *b)
{
    if (a->len == 0 || b->len == 0)
        return &type_any;
    const struct type **items = arena_new_array(m->a, const struct type *, a->len + b->len);
    uint32_t n = 0, i = 0, k = 0;
    while (items != NULL && (i < a->len || k < b->len)) {
        int c = i == a->len ? 1 : k == b->len ? -1 : type_compare(m, a->items[i], b->items[k]);
        items[n++] = c <= 0 ? a->items[i] : b->items[k];
        i += c <= 0;
        k += c >= 0;
    }
    return items == NULL ? &type_any : any_of(m, items, n);
}

static const struct type *any_with(struct type_maker *m, const struct type *any,
                                   const struct type *t)
{
    if (any_contains(m, any, t))
        return any;
    const struct type **items = arena_new_array(m->a, const struct type *, any->len + 1);
    if (items == NULL)
        return &type_any;
    uint32_t n = 0;
    while (n < any->len && type_compare(m, any->items[n], t) < 0) {
        items[n] = any->items[n];
        n++;
    }
    items[n] = t;
    for (uint32_t i = n; i < any->len; i++)
        items[i + 1] = any->items[i];
    return any_of(m, items, any->len + 1);
}

static const struct type *function_union(struct type_maker *m, const struct type *a,
                                         const struct type *b)
{
    if (a->len != b->len)
        return NULL;
    const struct type **items = arena_new_array(m->a, const struct type *, a->len);
    if (items == NULL)
        return NULL;
    for (uint32_t i = 0; i < a->len; i++)
        items[i] = type_or(m, a->items[i], b->items[i]);
    return type_function(m, items, a->len, type_or(m, a->of, b->of));
}

const struct type *type_or(struct type_maker *m, const struct type *a, const struct type *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (is_spent(m))
        return &type_any;
    if (a->kind == TYPE_FUNCTION || b->kind == TYPE_FUNCTION)
        return a->kind == b->kind ? function_union(m, a, b) : NULL;
    if (a->kind == TYPE_ANY)
        return b->kind == TYPE_ANY ? any_union(m, a, b) : any_with(m, a, b);
    if (b->kind == TYPE_ANY)
        return any_with(m, b, a);
    int c = type_compare(m, a, b);
    if (c == 0)
        return a;
    const struct type *pair[2] = {c < 0 ? a : b, c < 0 ? b : a};
    return any_of(m, pair, 2);
}

/* ---- members ---- */

static const struct type *composite_of(struct type_maker *m, value v)
{
    uint32_t n = (uint32_t)value_len(v);
    if (value_is_object(v)) {
        struct type_property *p = arena_new_array(m->a, struct type_property, n);
        for (uint32_t i = 0; p != NULL && i < n; i++)
            p[i] = (struct type_property){value_pairs(v)[i].key,
                                          type_of_value(m, value_pairs(v)[i].val)};
        return p == NULL ? &type_any : type_object(m, p, n, NULL, NULL);
    }
    if (value_is_array(v)) {
        const struct type **items = arena_new_array(m->a, const struct type *, n);
        for (uint32_t i = 0; items != NULL && i < n; i++)
            items[i] = type_of_value(m, value_items(v)[i]);
        return items == NULL ? &type_any : type_array(m, items, n, NULL);
    }
    const struct type *of = NULL;
    for (uint32_t i = 0; i < n; i++)
        of = type_or(m, of, type_of_value(m, value_items(v)[i]));
    return type_set(m, of);
}

const struct type *type_of_value(struct type_maker *m, value v)
{
    if (is_spent(m))
        return &type_any;
    switch (value_kind(v)) {
    case VALUE_KIND_NULL:
        return &type_null;
    case VALUE_KIND_BOOLEAN:
        return &type_boolean;
    case VALUE_KIND_NUMBER:
        return &type_number;
    case VALUE_KIND_STRING:
        return &type_string;
    case VALUE_KIND_UNDEFINED:
        return NULL;
    default:
        return composite_of(m, v);
    }
}

static const struct type_property *find_property(const struct type *t, value key)
{
    uint32_t lo = 0, hi = t->len;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = value_compare(key, t->properties[mid].key);
        if (c == 0)
            return &t->properties[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static bool contains(struct type_maker *m, const struct type *a, const struct type *b)
{
    return a != NULL && a->kind == TYPE_ANY ? any_contains(m, a, b) : type_compare(m, a, b) == 0;
}

static const struct type *item_at(const struct type *t, uint64_t i)
{
    return i < t->len ? t->items[i] : t->of;
}

const struct type *type_select(struct type_maker *m, const struct type *t, value key)
{
    if (t == NULL || is_spent(m))
        return t == NULL ? NULL : &type_any;
    switch (t->kind) {
    case TYPE_ARRAY: {
        uint64_t i;
        return value_get_uint64(key, &i) ? item_at(t, i) : NULL;
    }
    case TYPE_OBJECT: {
        const struct type_property *p = find_property(t, key);
        if (p != NULL)
            return p->type;
        return t->of != NULL && contains(m, t->key, type_of_value(m, key)) ? t->of : NULL;
    }
    case TYPE_SET: {
        const struct type *own = type_of_value(m, key);
        if (type_compare(m, t->of, own) == 0)
            return t->of;
        return t->of != NULL && t->of->kind == TYPE_ANY && any_contains(m, t->of, own) ? own : NULL;
    }
    case TYPE_ANY: {
        const struct type *of = NULL;
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(m, type_select(m, t->items[i], key), of);
        return t->len == 0 ? &type_any : of;
    }
    default:
        return NULL;
    }
}

const struct type *type_keys(struct type_maker *m, const struct type *t)
{
    const struct type *of = NULL;
    if (t == NULL)
        return NULL;
    switch (t->kind) {
    case TYPE_ARRAY:
        return &type_number;
    case TYPE_OBJECT:
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(m, of, type_of_value(m, t->properties[i].key));
        return type_or(m, of, t->key);
    case TYPE_SET:
        return t->of;
    case TYPE_ANY:
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(m, type_keys(m, t->items[i]), of);
        return t->len == 0 ? &type_any : of;
    default:
        return NULL;
    }
}

const struct type *type_values(struct type_maker *m, const struct type *t)
{
    const struct type *of = NULL;
    if (t == NULL)
        return NULL;
    switch (t->kind) {
    case TYPE_ARRAY:
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(m, of, t->items[i]);
        return type_or(m, of, t->of);
    case TYPE_OBJECT:
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(m, of, t->properties[i].type);
        return type_or(m, of, t->of);
    case TYPE_SET:
        return t->of;
    case TYPE_ANY:
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(m, type_values(m, t->items[i]), of);
        return t->len == 0 ? &type_any : of;
    default:
        return NULL;
    }
}

/* ---- overlap ---- */

static bool any_overlaps(struct type_maker *m, const struct type *any, const struct type *t)
{
    if (t->kind == TYPE_FUNCTION)
        return false;
    for (uint32_t i = 0; i < any->len; i++)
        if (type_overlap(m, any->items[i], t))
            return true;
    return any->len == 0;
}

static bool items_overlap(struct type_maker *m, const struct type *a, const struct type *b)
{
    for (uint32_t i = 0; i < a->len; i++)
        if (!type_overlap(m, a->items[i], item_at(b, i)))
            return false;
    return true;
}

static bool properties_overlap(struct type_maker *m, const struct type *a, const struct type *b)
{
    for (uint32_t i = 0; i < a->len; i++) {
        const struct type *other = type_select(m, b, a->properties[i].key);
        if (other == NULL) {
            if (a->of == NULL && b->of == NULL)
                return false;
        } else if (!type_overlap(m, a->properties[i].type, other)) {
            return false;
        }
    }
    return true;
}

static bool functions_overlap(struct type_maker *m, const struct type *a, const struct type *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!type_overlap(m, a->items[i], b->items[i]))
            return false;
    return true;
}

bool type_overlap(struct type_maker *m, const struct type *a, const struct type *b)
{
    if (a == NULL || b == NULL)
        return false;
    if (is_spent(m))
        return true;
    if (a->kind == TYPE_ANY && any_overlaps(m, a, b))
        return true;
    if (b->kind == TYPE_ANY && any_overlaps(m, b, a))
        return true;
    if (a->kind == TYPE_ANY || b->kind == TYPE_ANY || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TYPE_ARRAY:
        return items_overlap(m, a, b) && items_overlap(m, b, a) &&
               (a->of == NULL || b->of == NULL || type_overlap(m, a->of, b->of));
    case TYPE_OBJECT:
        return properties_overlap(m, a, b) && properties_overlap(m, b, a) &&
               (a->of == NULL || b->of == NULL || type_overlap(m, a->of, b->of));
    case TYPE_SET:
        return a->of == NULL || b->of == NULL || type_overlap(m, a->of, b->of);
    case TYPE_FUNCTION:
        return functions_overlap(m, a, b);
    default:
        return true;
    }
}

/* ---- several rules of one document ---- */

static const struct type *merge_objects(struct type_maker *m, const struct type *a,
                                        const struct type *b)
{
    if (a->of == NULL)
        return b;
    if (b->of == NULL)
        return a;
    return type_object(m, NULL, 0, type_or(m, a->key, b->key), type_merge(m, a->of, b->of));
}

/* An object without known keys joins such a one among the members of `any`. */
static const struct type *merge_into_any(struct type_maker *m, const struct type *object,
                                         const struct type *any)
{
    for (uint32_t i = 0; i < any->len; i++) {
        const struct type *o = any->items[i];
        if (o->kind != TYPE_OBJECT || o->len > 0 || o->of == NULL)
            continue;
        const struct type **items = arena_new_array(m->a, const struct type *, any->len);
        if (items == NULL)
            return &type_any;
        memcpy(items, any->items, any->len * sizeof(*items));
        items[i] =
            type_object(m, NULL, 0, type_or(m, o->key, object->key), type_or(m, o->of, object->of));
        return any_of(m, items, any->len);
    }
    return type_or(m, object, any);
}

const struct type *type_merge(struct type_maker *m, const struct type *a, const struct type *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (a->kind == TYPE_ANY && b->kind != TYPE_ANY) {
        const struct type *t = a;
        a = b;
        b = t;
    }
    if (a->kind == TYPE_OBJECT && a->len == 0) {
        if (b->kind == TYPE_OBJECT && b->len == 0)
            return merge_objects(m, a, b);
        if (b->kind == TYPE_ANY && a->of != NULL)
            return merge_into_any(m, a, b);
    }
    if (a->kind == TYPE_SET && b->kind == TYPE_SET)
        return type_set(m, type_or(m, a->of, b->of));
    return type_or(m, a, b);
}

/* ---- empty collections ---- */

bool type_is_empty(const struct type *t)
{
    return t != NULL && t->of == NULL &&
           ((t->len == 0 && (t->kind == TYPE_OBJECT || t->kind == TYPE_ARRAY)) ||
            t->kind == TYPE_SET);
}

const struct type *type_relax(struct type_maker *m, const struct type *t)
{
    if (t == NULL || is_spent(m))
        return t;
    if (type_is_empty(t))
        return &type_any;
    if (t->kind == TYPE_OBJECT) {
        struct type_property *p = arena_new_array(m->a, struct type_property, t->len);
        for (uint32_t i = 0; p != NULL && i < t->len; i++)
            p[i] =
                (struct type_property){t->properties[i].key, type_relax(m, t->properties[i].type)};
        return p == NULL ? &type_any : type_object(m, p, t->len, t->key, type_relax(m, t->of));
    }
    if (t->kind == TYPE_SET)
        return type_set(m, type_relax(m, t->of));
    if (t->kind != TYPE_ARRAY && t->kind != TYPE_ANY)
        return t;
    const struct type **items = arena_new_array(m->a, const struct type *, t->len);
    if (items == NULL)
        return &type_any;
    for (uint32_t i = 0; i < t->len; i++)
        items[i] = type_relax(m, t->items[i]);
    if (t->kind == TYPE_ARRAY)
        return type_array(m, items, t->len, type_relax(m, t->of));
    const struct type *all = NULL;
    for (uint32_t i = 0; i < t->len; i++)
        all = type_or(m, all, items[i]);
    return t->len == 0 ? t : all;
}

/* ---- the notation of builtins.def ---- */

struct notation {
    struct type_maker *m;
    const char *p;
};

static const struct type *parse_type(struct notation *n);

static bool skip(struct notation *n, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(n->p, text, len) != 0)
        return false;
    n->p += len;
    return true;
}

static void skip_space(struct notation *n)
{
    while (*n->p == ' ' || *n->p == ',')
        n->p++;
}

#define NOTATION_ITEMS_MAX 16

static uint32_t parse_list(struct notation *n, char close, const struct type *items[])
{
    uint32_t len = 0;
    skip_space(n);
    while (*n->p != close && *n->p != '\0' && len < NOTATION_ITEMS_MAX) {
        items[len++] = parse_type(n);
        skip_space(n);
    }
    if (*n->p == close)
        n->p++;
    return len;
}

/* {op: string, path: any}: members that are known, in the order of their names. */
static uint32_t parse_members(struct notation *n, struct type_property items[])
{
    uint32_t len = 0;
    skip_space(n);
    while (*n->p != '}' && *n->p != '\0' && len < NOTATION_ITEMS_MAX) {
        size_t name = strcspn(n->p, ":");
        items[len].key = value_string(n->m->a, str_bytes(n->p, name));
        n->p += name;
        (void)skip(n, ":");
        items[len++].type = parse_type(n);
        skip_space(n);
    }
    (void)skip(n, "}");
    return len;
}

static const struct type *parse_object(struct notation *n)
{
    bool has_members = skip(n, "{");
    struct type_property *known =
        has_members ? arena_new_array(n->m->a, struct type_property, NOTATION_ITEMS_MAX) : NULL;
    uint32_t len = known != NULL ? parse_members(n, known) : 0;
    const struct type *key = has_members ? NULL : &type_any;
    const struct type *of = has_members ? NULL : &type_any;
    if (skip(n, "[")) {
        key = parse_type(n);
        if (skip(n, ":"))
            skip_space(n);
        of = parse_type(n);
        skip_space(n);
        (void)skip(n, "]");
    }
    return type_object(n->m, known, len, key, of);
}

static const struct type *element(struct notation *n)
{
    if (!skip(n, "["))
        return &type_any;
    const struct type *of = parse_type(n);
    skip_space(n);
    (void)skip(n, "]");
    return of;
}

static const struct type *parse_type(struct notation *n)
{
    const struct type *items[NOTATION_ITEMS_MAX];
    skip_space(n);
    if (skip(n, "any<")) {
        uint32_t len = parse_list(n, '>', items);
        const struct type *all = NULL;
        for (uint32_t i = 0; i < len; i++)
            all = type_or(n->m, all, items[i]);
        return all;
    }
    if (skip(n, "["))
        return type_array(n->m, items, parse_list(n, ']', items), NULL);
    if (skip(n, "array"))
        return type_array(n->m, NULL, 0, element(n));
    if (skip(n, "set"))
        return type_set(n->m, element(n));
    if (skip(n, "object"))
        return parse_object(n);
    if (skip(n, "null"))
        return &type_null;
    if (skip(n, "boolean"))
        return &type_boolean;
    if (skip(n, "number"))
        return &type_number;
    if (skip(n, "string"))
        return &type_string;
    if (!skip(n, "any"))
        while (*n->p != '\0' && strchr(",)>] ", *n->p) == NULL)
            n->p++;
    return &type_any;
}

const struct type *type_parse(struct type_maker *m, const char *text)
{
    struct notation n = {m, text};
    if (!skip(&n, "(") || strncmp(n.p, "...", 3) == 0)
        return NULL;
    const struct type *operands[NOTATION_ITEMS_MAX];
    uint32_t len = parse_list(&n, ')', operands);
    skip_space(&n);
    return type_function(m, operands, len, *n.p == '\0' ? NULL : parse_type(&n));
}
