/*
 * Checks of calls and of `with` (../shared/spec/rego.md 4.5, 4.6), once names are
 * resolved.
 */
#include "rego/front.h"

struct call_check {
    struct rego_compiler *c;
    struct module *m;
    bool value_position; /* calls here give a value */
};

/* http.send and its like, called or named by a modifier, where the host wants none of them. */
static void refuse_missing(struct call_check *k, const struct callee *f, struct pos pos)
{
    if (f != NULL && f->builtin != NULL && f->builtin->fn == NULL &&
        k->c->options.refuse_missing_builtins && !(f->builtin->flags & REGO_INFIX) &&
        !str_is(f->name, "print") && !str_has_prefix(f->name, STR("internal.")))
        front_error(k->c, TYPE_ERROR, k->m, pos, "undefined function %.*s", STR_ARG(f->name));
}

static void check_call(struct call_check *k, struct term *t, bool is_value)
{
    struct str name = ast_text(&k->c->arena, t->items[0]);
    if (t->callee == NULL) {
        front_error(k->c, TYPE_ERROR, k->m, t->pos, "undefined function %.*s", STR_ARG(name));
        return;
    }
    const struct callee *f = t->callee;
    int given = (int)t->len - 1;
    if (f->arity >= 0 && given != f->arity && (is_value || given != f->arity + 1 || !f->has_result))
        front_error(k->c, TYPE_ERROR, k->m, t->pos, "%.*s: arity mismatch", STR_ARG(name));
    if (is_value && !f->has_result) {
        struct str text = ast_text(&k->c->arena, t);
        front_error(k->c, TYPE_ERROR, k->m, t->pos, "%.*s used as value", STR_ARG(text));
    }
    bool modern = k->m != k->c->query_module && (k->m->version == REGO_V1 || k->m->rego_v1);
    if (f->builtin != NULL && (f->builtin->flags & REGO_DEPRECATED) != 0 &&
        (modern || k->c->options.strict))
        front_error(k->c, TYPE_ERROR, k->m, t->pos,
                    "deprecated built-in function calls in expression: %.*s", STR_ARG(name));
    refuse_missing(k, f, t->pos);
}

static bool check_value_calls(void *user, struct term *t);

static void check_body(struct call_check *k, struct body *b);

static void check_values_in(struct call_check *k, struct term *t)
{
    walk_term(t, check_value_calls, k);
}

static bool check_value_calls(void *user, struct term *t)
{
    struct call_check *k = user;
    if (t->kind == TERM_CALL) {
        check_call(k, t, true);
        for (uint32_t i = 1; i < t->len; i++)
            check_values_in(k, t->items[i]);
        return false;
    }
    if (t->kind == TERM_ARRAY_COMP || t->kind == TERM_SET_COMP || t->kind == TERM_OBJECT_COMP) {
        check_values_in(k, t->comp.key);
        check_values_in(k, t->comp.head);
        check_body(k, t->comp.body);
        return false;
    }
    return true;
}

static bool is_rule_above(const struct rego_compiler *c, const struct term *target)
{
    uint32_t used;
    const struct tree_node *n = tree_walk(c, target, &used);
    return n->group != NULL && used < target->len;
}

static void check_with(struct call_check *k, struct expr *e, struct with *w)
{
    struct term *target = w->target;
    const struct term *head = target->kind == TERM_REF ? target->items[0] : target;
    bool rooted = head->kind == TERM_VAR && (head->var.id == VAR_INPUT || head->var.id == VAR_DATA);
    check_values_in(k, w->val);
    refuse_missing(k, w->callee, w->pos);
    refuse_missing(k, w->replacement, w->pos);
    if (w->callee != NULL) {
        struct callee *f = (struct callee *)(uintptr_t)w->callee;
        const char *why = f->kind != CALLEE_BUILTIN ? NULL
                          : str_is(f->name, "eq") || str_has_prefix(f->name, STR("internal."))
                              ? "must not be internal"
                          : str_has_prefix(f->name, STR("rego.metadata."))
                              ? "must not be a rego metadata function"
                          : f->relation    ? "must not be a relation"
                          : !f->has_result ? "must not be a void function"
                                           : NULL;
        if (why != NULL) {
            front_error(k->c, COMPILE_ERROR, k->m, w->pos,
                        "with keyword replacing built-in function: target %s", why);
            return;
        }
        f->mocked = true;
        if (w->replacement != NULL && w->replacement->arity != f->arity) {
            front_error(k->c, TYPE_ERROR, k->m, w->pos, "%.*s: arity mismatch", STR_ARG(f->name));
            return;
        }
        if (w->replacement != NULL && w->replacement->relation)
            front_error(k->c, COMPILE_ERROR, k->m, w->pos,
                        "with keyword replacing function: replacement must not be a relation");
        return;
    }
    w->replacement = NULL;
    if (!rooted || target->kind != TERM_REF) {
        front_error(k->c, TYPE_ERROR, k->m, w->pos,
                    "with keyword target must reference existing input, data, or a function");
        return;
    }
    if (head->var.id == VAR_DATA && is_rule_above(k->c, target))
        front_error(k->c, COMPILE_ERROR, k->m, w->pos,
                    "with keyword cannot partially replace virtual document(s)");
    for (uint32_t i = 1; i < target->len; i++)
        if (target->items[i]->kind == TERM_CALL || target->items[i]->kind > TERM_OBJECT)
            front_error(k->c, TYPE_ERROR, k->m, w->pos,
                        "with keyword target must be a ground reference");
    (void)e;
}

static void check_expr(struct call_check *k, struct expr *e)
{
    if (e->kind == EXPR_CALL) {
        check_call(k, e->term, false);
        for (uint32_t i = 1; i < e->term->len; i++)
            check_values_in(k, e->term->items[i]);
    } else if (e->kind == EXPR_UNIFY) {
        check_values_in(k, e->term->items[1]);
        check_values_in(k, e->term->items[2]);
    } else {
        check_values_in(k, e->term);
    }
    check_values_in(k, e->domain);
    if (e->body != NULL)
        check_body(k, e->body);
    if (e->right != NULL)
        check_body(k, e->right);
    for (uint32_t i = 0; i < e->with_count; i++)
        check_with(k, e, &e->withs[i]);
}

static void check_body(struct call_check *k, struct body *b)
{
    for (uint32_t i = 0; i < b->len; i++)
        check_expr(k, b->items[i]);
}

static bool has_call(void *user, struct term *t)
{
    bool template = t->kind == TERM_CALL && t->callee != NULL &&
                    str_is(t->callee->name, "internal.template_string");
    *(bool *)user |= t->kind == TERM_CALL && !template;
    return !template;
}

static void check_rule_calls(struct call_check *k, struct rule *r)
{
    bool calls = false;
    for (uint32_t i = 0; i < r->head.arg_count; i++)
        walk_term(r->head.args[i], has_call, &calls);
    if (calls)
        front_error(k->c, COMPILE_ERROR, k->m, r->head.pos, "rule arguments cannot contain calls");
    for (uint32_t i = 1; i < r->head.ref->len; i++)
        check_values_in(k, r->head.ref->items[i]);
    check_body(k, r->body);
    check_values_in(k, r->head.key);
    check_values_in(k, r->head.val);
}

void pass_calls(struct rego_compiler *c)
{
    for (struct module *m = c->modules; m != NULL; m = m->next) {
        struct call_check k = {.c = c, .m = m};
        for (struct rule *r = m->rules; r != NULL; r = r->next)
            for (struct rule *b = r; b != NULL; b = b->els)
                check_rule_calls(&k, b);
    }
}
