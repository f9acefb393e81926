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
