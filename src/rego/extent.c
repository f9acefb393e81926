/*
 * Documents of inner nodes: base data and rules merged (../shared/spec/rego.md
 * 5.10).
 */
#include "rego/vm.h"

bool vm_is_hidden(const struct rego_ctx *ctx, uint32_t node)
{
    for (const struct hide *h = ctx->view->hides; h != NULL; h = h->next)
        if (h->pre <= node && node < h->post)
            return true;
    return false;
}

value vm_memo(const struct rego_ctx *ctx, uint32_t fn)
{
    return ctx->view->memo == NULL ? (value){0} : ctx->view->memo[fn];
}

value vm_base(struct rego_ctx *ctx, uint32_t node)
{
    const struct prog_node *nodes = ctx->policy->nodes;
    const value *keys[256];
    uint32_t n = 0;
    for (uint32_t at = node; at != 0 && n < ARRAY_LEN(keys); at = nodes[at].parent)
        keys[n++] = &nodes[at].key;
    value v = ctx->view->data;
    while (n > 0 && value_is_defined(v))
        v = value_lookup(v, *keys[--n]);
    return v;
}

uint32_t vm_missing(struct rego_ctx *ctx, uint32_t top, uint32_t *at)
{
    const struct rego_policy *p = ctx->policy;
    while (*at < p->nodes[top].post) {
        const struct prog_node *n = &p->nodes[*at];
        if (n->fn == FN_NONE) {
            ++*at;
            continue;
        }
        bool needed = p->fns[n->fn].kind != FN_FUNCTION && !vm_is_hidden(ctx, *at);
        if (needed && vm_memo(ctx, n->fn).word == 0)
            return n->fn;
        *at = n->post;
    }
    return FN_NONE;
}

/* Objects merge, otherwise the base document wins. Depth is bounded by VALUE_DEPTH_MAX. */
static value merge(struct rego_ctx *ctx, value base, value virtual)
{
    if (!value_is_object(base) || !value_is_object(virtual))
        return base;
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, value_len(base) + value_len(virtual));
    for (size_t i = 0; i < value_len(virtual); i++) {
        struct value_pair pair = value_pairs(virtual)[i];
        value other = value_get(base, pair.key);
        value_builder_put(&b, pair.key,
                          value_is_defined(other) ? merge(ctx, other, pair.val) : pair.val);
    }
    for (size_t i = 0; i < value_len(base); i++)
        if (!value_is_defined(value_get(virtual, value_pairs(base)[i].key)))
            value_builder_put(&b, value_pairs(base)[i].key, value_pairs(base)[i].val);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* As deep as package paths are long. */
static value rules_below(struct rego_ctx *ctx, uint32_t node)
{
    const struct rego_policy *p = ctx->policy;
    const struct prog_node *n = &p->nodes[node];
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, n->child_count);
    for (uint32_t i = 0; i < n->child_count; i++) {
        uint32_t child = n->children[i];
        uint32_t fn = p->nodes[child].fn;
        if (vm_is_hidden(ctx, child))
            continue;
        value v = VALUE_UNDEFINED;
        if (fn == FN_NONE)
            v = rules_below(ctx, child);
        else if (p->fns[fn].kind != FN_FUNCTION)
            v = vm_memo(ctx, fn);
        if (v.word != 0 && value_is_defined(v))
            value_builder_put(&b, p->nodes[child].key, v);
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

value vm_document(struct rego_ctx *ctx, uint32_t node)
{
    value base = vm_base(ctx, node);
    if (vm_is_hidden(ctx, node))
        return base;
    value virtual = rules_below(ctx, node);
    return value_is_defined(base) ? merge(ctx, base, virtual) : virtual;
}

/* ---- cursors ---- */

/* Child of a tree node by key; FN_NONE: none. */
static uint32_t child_node(const struct rego_policy *p, uint32_t node, value key)
{
    const struct prog_node *n = &p->nodes[node];
    uint32_t lo = 0;
    uint32_t hi = n->child_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = value_compare(key, p->nodes[n->children[mid]].key);
        if (order == 0)
            return n->children[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return FN_NONE;
}

uint32_t cursor_step(struct rego_ctx *ctx, const value *from, value key, value *out, bool *defined)
{
    const struct rego_policy *p = ctx->policy;
    value base =
        value_is_defined(from[1]) ? vm_document_lookup(ctx, from[1], key, 0) : VALUE_UNDEFINED;
    int64_t node = value_small(from[0]);
    uint32_t child = node < 0 ? FN_NONE : child_node(p, (uint32_t)node, key);
    *defined = true;
    if (child != FN_NONE && !vm_is_hidden(ctx, child)) {
        uint32_t fn = p->nodes[child].fn;
        if (fn == FN_NONE) {
            out[0] = value_small_int(child);
            out[1] = base;
            return FN_NONE;
        }
        if (p->fns[fn].kind != FN_FUNCTION) {
            base = vm_memo(ctx, fn);
            if (base.word == 0)
                return fn;
        }
    }
    out[0] = CURSOR_VALUE;
    out[1] = base;
    *defined = value_is_defined(base);
    return FN_NONE;
}

bool cursor_next(struct rego_ctx *ctx, value *state, const value *cursor, value *key)
{
    value val;
    int64_t i = value_small(state[1]);
    state[1] = value_small_int(i + 1);
    size_t n = value_is_defined(cursor[1]) ? value_len(cursor[1]) : 0;
    if ((size_t)i < n)
        return vm_next_item(cursor[1], (size_t)i, key, &val);
    int64_t node = value_small(cursor[0]);
    size_t k = (size_t)i - n;
    if (node < 0 || k >= ctx->policy->nodes[node].child_count)
        return false;
    *key = ctx->policy->nodes[ctx->policy->nodes[node].children[k]].key;
    return true;
}
