/*
 * Builders of the machine: collections of comprehensions and partial rules.
 */
#include "rego/vm.h"

#include <stdlib.h>

struct nest_entry {
    const value *path;
    uint32_t len;
    uint32_t seq;
    uint32_t rule;
    bool element; /* of a set at the path */
    value val;
};

struct vm_builder *builder_new(struct rego_ctx *ctx, uint32_t kind)
{
    struct vm_builder *b = arena_new(&ctx->arena, struct vm_builder);
    if (b == NULL)
        return NULL;
    b->kind = kind;
    value_builder_init(&b->b, &ctx->arena, 0);
    return b;
}

static void *grow(struct rego_ctx *ctx, const void *items, uint32_t len, uint32_t *cap, size_t size)
{
    uint32_t more = *cap == 0 ? 8 : *cap * 2;
    void *bigger = arena_alloc(&ctx->arena, (size_t)more * size);
    if (bigger == NULL)
        return NULL;
    if (len > 0)
        memcpy(bigger, items, (size_t)len * size);
    *cap = more;
    return bigger;
}

bool builder_put(struct rego_ctx *ctx, struct vm_builder *b, value key, value val, uint32_t rule)
{
    uint32_t at = (uint32_t)(b->b.len / 2);
    if (at == b->rules_cap) {
        uint32_t *rules = grow(ctx, b->rules, at, &b->rules_cap, sizeof(*rules));
        if (rules == NULL)
            return false;
        b->rules = rules;
    }
    b->rules[at] = rule;
    value_builder_put(&b->b, key, val);
    return !b->b.failed;
}

bool builder_nest(struct rego_ctx *ctx, struct vm_builder *b, const value *path, uint32_t len,
                  value val, bool element, uint32_t rule)
{
    value *copy = arena_alloc(&ctx->arena, len * sizeof(value));
    if (b->nest_len == b->nest_cap) {
        struct nest_entry *nests = grow(ctx, b->nests, b->nest_len, &b->nest_cap, sizeof(*nests));
        if (nests == NULL)
            return false;
        b->nests = nests;
    }
    if (copy == NULL)
        return false;
    memcpy(copy, path, len * sizeof(value));
    b->nests[b->nest_len] = (struct nest_entry){copy, len, b->nest_len, rule, element, val};
    b->nest_len++;
    return true;
}

static bool conflict(struct rego_ctx *ctx, uint32_t rule)
{
    vm_fail(ctx, ERR_INVALID, "eval_conflict_error", &ctx->policy->rules[rule].pos,
            "object keys must be unique");
    return false;
}

/* The rule of the second pair with this key and another value. */
static uint32_t conflicting_rule(const struct vm_builder *b, value key)
{
    bool have = false;
    value first = VALUE_UNDEFINED;
    for (size_t i = 0; i + 1 < b->b.len; i += 2) {
        if (!value_equal(b->b.items[i], key))
            continue;
        if (have && !value_equal(first, b->b.items[i + 1]))
            return b->rules[i / 2];
        first = b->b.items[i + 1];
        have = true;
    }
    return b->rules[0];
}

static bool finish_object(struct rego_ctx *ctx, struct vm_builder *b, value *out)
{
    value duplicate = VALUE_UNDEFINED;
    /* Finishing may reorder the items: keep what an error text needs. */
    size_t n = b->b.len;
    value *copy = NULL;
    if (n > 2) {
        copy = arena_alloc(&ctx->arena, n * sizeof(value));
        if (copy == NULL)
            return false;
        memcpy(copy, b->b.items, n * sizeof(value));
    }
    *out = value_object_finish(&b->b, VALUE_DUP_SAME, &duplicate);
    if (value_is_defined(*out) || !value_is_defined(duplicate))
        return value_is_defined(*out) && vm_spend_whole(ctx, *out);
    b->b.items = copy;
    b->b.len = n;
    return conflict(ctx, conflicting_rule(b, duplicate));
}

/* ---- nested ---- */

static int by_path(const void *x, const void *y)
{
    const struct nest_entry *a = x;
    const struct nest_entry *b = y;
    for (uint32_t i = 0; i < a->len && i < b->len; i++) {
        int order = value_compare(a->path[i], b->path[i]);
        if (order != 0)
            return order;
    }
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* All entries end here: one value, or the elements of one set. */
static bool build_leaf(struct rego_ctx *ctx, const struct nest_entry *e, uint32_t n, value *out)
{
    for (uint32_t i = 1; i < n; i++) {
        bool same = e[i].len == e[0].len && e[i].element == e[0].element;
        if (!same || (!e[i].element && !value_equal(e[i].val, e[0].val)))
            return conflict(ctx, e[i].rule);
    }
    if (!e[0].element) {
        *out = e[0].val;
        return true;
    }
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, n);
    for (uint32_t i = 0; i < n; i++)
        value_builder_add(&b, e[i].val);
    *out = value_set_finish(&b);
    return value_is_defined(*out);
}

/* Entries that agree in `depth` parts; recursion is as deep as the paths of rules are long. */
static bool build_nest(struct rego_ctx *ctx, const struct nest_entry *e, uint32_t n, uint32_t depth,
                       value *out)
{
    if (n > 0 && e[0].len == depth)
        return build_leaf(ctx, e, n, out);
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, n);
    for (uint32_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && value_equal(e[k].path[depth], e[i].path[depth]); k++) {
        }
        value v;
        if (!build_nest(ctx, e + i, k - i, depth + 1, &v))
            return false;
        value_builder_put(&b, e[i].path[depth], v);
    }
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out);
}

bool builder_finish(struct rego_ctx *ctx, struct vm_builder *b, uint32_t kind, value *out)
{
    if (kind == 4 && b->nest_len == 0) {
        *out = VALUE_UNDEFINED;
        return true;
    }
    switch (b->kind) {
    case 0:
        *out = value_array_finish(&b->b);
        return value_is_defined(*out);
    case 1:
        *out = value_set_finish(&b->b);
        return value_is_defined(*out) && vm_spend_whole(ctx, *out);
    case 2:
        return finish_object(ctx, b, out);
    default:
        if (b->nest_len > 1)
            qsort(b->nests, b->nest_len, sizeof(*b->nests), by_path);
        return build_nest(ctx, b->nests, b->nest_len, 0, out) && vm_spend_whole(ctx, *out);
    }
}

/* ---- in one instruction ---- */

value build_object(struct rego_ctx *ctx, const value *pairs, uint32_t n)
{
    return value_object(&ctx->arena, (const struct value_pair *)pairs, n);
}

value build_set(struct rego_ctx *ctx, const value *items, uint32_t n)
{
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, n);
    for (uint32_t i = 0; i < n; i++)
        value_builder_add(&b, items[i]);
    return value_set_finish(&b);
}

value build_items(struct rego_ctx *ctx, value c, int n)
{
    enum value_kind kind = value_kind(c);
    if (kind == (n == 0 ? VALUE_KIND_ARRAY : VALUE_KIND_SET))
        return c;
    size_t len = value_len(c);
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, len);
    for (size_t i = 0; i < len; i++)
        value_builder_add(&b,
                          kind == VALUE_KIND_OBJECT ? value_pairs(c)[i].val : value_items(c)[i]);
    return n == 0 ? value_array_finish(&b) : value_set_finish(&b);
}
