/*
 * Views: what `with` changes (../shared/spec/rego.md 5.9).
 */
#include "rego/vm.h"

/* `doc` with the value at a path; what stands in the way becomes an object. */
static value set_path(struct rego_ctx *ctx, value doc, const value *path, uint32_t len, value val)
{
    value levels[256];
    if (len == 0)
        return val;
    if (len > ARRAY_LEN(levels))
        return VALUE_UNDEFINED;
    for (uint32_t i = 0; i < len; i++) {
        levels[i] = doc;
        doc = value_is_object(doc) ? value_get(doc, path[i]) : VALUE_UNDEFINED;
    }
    for (uint32_t i = len; i > 0; i--) {
        value base =
            value_is_object(levels[i - 1]) ? levels[i - 1] : VALUE_EMPTY_OBJECT(&ctx->arena);
        if (!value_is_defined(base))
            return base;
        val = value_object_with(&ctx->arena, base, path[i - 1], val);
        if (!value_is_defined(val))
            return val;
    }
    return val;
}

static struct view *new_view(struct rego_ctx *ctx)
{
    if (ctx->view->depth >= WITH_DEPTH_MAX) {
        vm_fail(ctx, ERR_LIMIT, "eval_cancel_error", NULL, "with modifiers are nested too deeply");
        return NULL;
    }
    struct view *v = arena_new(&ctx->arena, struct view);
    if (v == NULL) {
        vm_no_memory(ctx);
        return NULL;
    }
    v->outer = ctx->view;
    v->input = ctx->view->input;
    v->data = ctx->view->data;
    v->hides = ctx->view->hides;
    v->mocks = ctx->view->mocks;
    v->depth = ctx->view->depth + 1;
    return v;
}

static bool add_hide(struct rego_ctx *ctx, struct view *v, const struct prog_target *t)
{
    if (t->node == FN_NONE)
        return true;
    struct hide *h = arena_new(&ctx->arena, struct hide);
    if (h == NULL)
        return false;
    *h = (struct hide){t->node, ctx->policy->nodes[t->node].post, v->hides};
    v->hides = h;
    return true;
}

static bool add_mock(struct rego_ctx *ctx, struct view *v, const struct prog_target *t, value val)
{
    struct mock *m = arena_new(&ctx->arena, struct mock);
    if (m == NULL)
        return false;
    *m = (struct mock){
        .rule = t->kind == WITH_RULE_VALUE || t->kind == WITH_RULE_FN,
        .is_value = t->kind == WITH_RULE_VALUE || t->kind == WITH_EXTERNAL_VALUE,
        .what = t->what,
        .replacement = t->replacement,
        .val = val,
        .next = v->mocks,
    };
    v->mocks = m;
    return true;
}

struct view *view_enter(struct rego_ctx *ctx, const struct prog_with *w, const value *values)
{
    struct view *v = new_view(ctx);
    for (uint32_t i = 0; v != NULL && i < w->count; i++) {
        const struct prog_target *t = &w->targets[i];
        bool has_value = t->kind != WITH_EXTERNAL_FN && t->kind != WITH_RULE_FN;
        value val = has_value ? *values++ : VALUE_UNDEFINED;
        bool ok = true;
        if (t->kind == WITH_INPUT || t->kind == WITH_DATA) {
            value *doc = t->kind == WITH_INPUT ? &v->input : &v->data;
            *doc = set_path(ctx, *doc, values, t->path_len, val);
            ok = value_is_defined(*doc) && (t->kind == WITH_INPUT || add_hide(ctx, v, t));
            values += t->path_len;
        } else {
            ok = add_mock(ctx, v, t, val);
        }
        if (!ok) {
            vm_no_memory(ctx);
            return NULL;
        }
    }
    return v;
}

struct view *view_without(struct rego_ctx *ctx, bool rule, uint32_t what)
{
    struct view *v = new_view(ctx);
    if (v == NULL)
        return NULL;
    const struct mock *have = v->mocks;
    v->mocks = NULL;
    for (; have != NULL; have = have->next) {
        if (have->rule == rule && have->what == what)
            continue;
        struct mock *m = arena_new(&ctx->arena, struct mock);
        if (m == NULL) {
            vm_no_memory(ctx);
            return NULL;
        }
        *m = *have;
        m->next = v->mocks;
        v->mocks = m;
    }
    return v;
}

const struct mock *find_mock(const struct view *v, bool rule, uint32_t what)
{
    for (const struct mock *m = v->mocks; m != NULL; m = m->next)
        if (m->rule == rule && m->what == what)
            return m;
    return NULL;
}
