/*
 * Rewriting (../shared/spec/rego.md 4.3): afterwards every call stands alone in
 * a literal, references begin with a variable, and heads, comprehension terms
 * and `with` values hold only variables and constants.
 *
 * References inside of call operands stay where they are: the planner
 * evaluates them in front of the call, and in front of a legacy `not`.
 */
#include "rego/front.h"

struct rewriter {
    struct rego_compiler *c;
    struct arena *a;
    struct module *m;
    struct rule *rule;
    struct scope_vars *vars;
    struct expr *origin; /* the literal that is being rewritten */
    struct body *out;    /* where generated literals go */
    struct with *withs;  /* that they get */
    uint32_t with_count;
};

static void rewrite_body(struct rewriter *w, struct body *b);
static struct term *expand(struct rewriter *w, struct term *t);

static struct expr *generate(struct rewriter *w, enum expr_kind kind, struct term *call,
                             struct pos pos)
{
    struct expr *e = ast_expr(w->a, kind, pos);
    if (e == NULL || call == NULL)
        return NULL;
    e->term = call;
    e->generated = true;
    e->withs = w->withs;
    e->with_count = w->with_count;
    e->origin = w->origin;
    return ast_body_add(w->a, w->out, e) ? e : NULL;
}

/* A fresh variable that equals `t`, in a literal of its own. */
static struct term *assign_fresh(struct rewriter *w, struct term *t)
{
    if (t == NULL || arena_status(w->a) != OK)
        return NULL;
    struct term *v = scope_fresh(w->c, w->vars, t->pos);
    struct term *operands[2] = {v, t};
    struct term *call = ast_operator(w->a, "eq", operands, 2, t->pos);
    struct expr *e = generate(w, EXPR_UNIFY, call, t->pos);
    if (e != NULL)
        e->relation = REGO_REL_OTHER;
    return v;
}

static struct term *use(struct rewriter *w, const struct term *v)
{
    return v == NULL ? NULL : ast_var_id(w->a, v->var.id, v->pos);
}

/* References or comprehensions inside: needs evaluation. */
static bool finds_eval(void *user, struct term *t)
{
    if (t->kind == TERM_REF || (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP))
        *(bool *)user = true;
    return !*(bool *)user;
}

static bool needs_eval(struct term *t)
{
    bool found = false;
    if (t != NULL)
        walk_term(t, finds_eval, &found);
    return found;
}

/* Calls inside become literals before the present one, left to right, innermost first. */
static struct term *expand_call(struct rewriter *w, struct term *t)
{
    struct term *v = scope_fresh(w->c, w->vars, t->pos);
    struct term **items = arena_new_array(w->a, struct term *, t->len + 1);
    if (v == NULL || items == NULL)
        return NULL;
    items[0] = t->items[0];
    for (uint32_t i = 1; i < t->len; i++)
        items[i] = expand(w, t->items[i]);
    items[t->len] = v;
    struct term *call = ast_list(w->a, TERM_CALL, items, t->len + 1, t->pos);
    if (call == NULL)
        return NULL;
    call->callee = t->callee;
    generate(w, EXPR_CALL, call, t->pos);
    return use(w, v);
}

static void expand_comprehension(struct rewriter *w, struct term *t)
{
    struct rewriter inner = *w;
    inner.withs = NULL;
    inner.with_count = 0;
    rewrite_body(&inner, t->comp.body);
    if (arena_status(w->a) != OK)
        return;
    inner.out = t->comp.body;
    inner.origin = t->comp.body->items[t->comp.body->len - 1];
    struct term **parts[2] = {&t->comp.key, &t->comp.head};
    for (size_t i = 0; i < 2; i++) {
        if (*parts[i] == NULL)
            continue;
        *parts[i] = expand(&inner, *parts[i]);
        if (needs_eval(*parts[i]))
            *parts[i] = use(w, assign_fresh(&inner, *parts[i]));
    }
}

static struct term *expand(struct rewriter *w, struct term *t)
{
    if (t == NULL || arena_status(w->a) != OK)
        return NULL;
    switch (t->kind) {
    case TERM_VALUE:
    case TERM_VAR:
    case TERM_TEMPLATE:
        return t;
    case TERM_CALL:
        return expand_call(w, t);
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        expand_comprehension(w, t);
        return t;
    default:
        for (uint32_t i = 0; i < t->len; i++)
            t->items[i] = expand(w, t->items[i]);
        if (t->kind == TERM_REF && t->items[0] != NULL && t->items[0]->kind != TERM_VAR)
            t->items[0] = use(w, assign_fresh(w, t->items[0]));
        return t;
    }
}

static void rewrite_withs(struct rewriter *w, struct expr *e)
{
    w->withs = NULL;
    w->with_count = 0;
    for (uint32_t i = 0; i < e->with_count; i++) {
        struct with *with = &e->withs[i];
        if (with->replacement != NULL)
            continue;
        with->val = expand(w, with->val);
        if (needs_eval(with->val))
            with->val = use(w, assign_fresh(w, with->val));
        for (uint32_t k = 1; with->callee == NULL && k < with->target->len; k++) {
            with->target->items[k] = expand(w, with->target->items[k]);
            if (needs_eval(with->target->items[k]))
                with->target->items[k] = use(w, assign_fresh(w, with->target->items[k]));
        }
    }
    w->withs = e->withs;
    w->with_count = e->with_count;
}

static bool is_builtin(const struct term *call, const char *name)
{
    return call->callee != NULL && call->callee->kind == CALLEE_BUILTIN &&
           str_is(call->callee->name, name);
}

/* A call that only passes make, name([...]). */
static struct term *internal_call(struct rewriter *w, struct str name, struct term *array,
                                  struct pos pos)
{
    struct term *op = ast_var(w->a, name, pos);
    struct term *items[2] = {op, array};
    struct term *t = ast_list(w->a, TERM_CALL, items, 2, pos);
    struct callee *f = arena_new(w->a, struct callee);
    if (t == NULL || f == NULL)
        return NULL;
    for (struct callee *have = w->c->callees; have != NULL; have = have->next)
        if (str_equal(have->name, name)) {
            t->callee = have;
            return t;
        }
    *f = (struct callee){.kind = CALLEE_BUILTIN,
                         .name = name,
                         .builtin = rego_builtin_find(name),
                         .arity = 1,
                         .next = w->c->callees};
    w->c->callees = f;
    t->callee = f;
    return t;
}

/* print(a, b) becomes internal.print([{x | x = a}, {x | x = b}]). */
static struct term *rewrite_print(struct rewriter *w, struct term *call)
{
    struct term **sets = arena_new_array(w->a, struct term *, call->len);
    if (sets == NULL)
        return NULL;
    for (uint32_t i = 1; i < call->len; i++) {
        struct term *t = ast_term(w->a, TERM_SET_COMP, call->items[i]->pos);
        struct body *b = ast_body(w->a);
        struct term *v = scope_fresh(w->c, w->vars, call->items[i]->pos);
        struct expr *e = ast_expr(w->a, EXPR_UNIFY, call->items[i]->pos);
        if (t == NULL || b == NULL || v == NULL || e == NULL)
            return NULL;
        struct term *operands[2] = {v, call->items[i]};
        e->term = ast_operator(w->a, "eq", operands, 2, e->pos);
        e->generated = true;
        e->origin = w->origin;
        if (!ast_body_add(w->a, b, e))
            return NULL;
        t->comp.head = use(w, v);
        t->comp.body = b;
        t->depth = (uint16_t)(call->items[i]->depth + 3);
        sets[i - 1] = t;
    }
    struct term *array = ast_list(w->a, TERM_ARRAY, sets, call->len - 1, call->pos);
    return internal_call(w, STR("internal.print"), array, call->pos);
}

/* ---- cases of tests ---- */

struct case_search {
    const struct term *name; /* a part of the head's reference */
    bool found;
    bool simple;
};

static bool finds_same(void *user, struct term *t)
{
    struct case_search *s = user;
    if (t->kind == TERM_VAR && t->var.id == s->name->var.id)
        s->found = true;
    return !s->found;
}

static bool is_plain_part(void *user, struct term *t)
{
    struct case_search *s = user;
    if (t->kind != TERM_VALUE && t->kind != TERM_VAR && t->kind != TERM_REF)
        s->simple = false;
    return s->simple;
}

/* The first literal of the rule that has the variable, counted from 1. */
static uint32_t first_use(struct rule *r, const struct term *var)
{
    for (uint32_t i = 0; i < r->body->len; i++) {
        struct case_search s = {.name = var};
        walk_expr(r->body->items[i], finds_same, &s);
        for (uint32_t k = 0; k < r->body->items[i]->symbol_count; k++)
            walk_term(r->body->items[i]->symbols[k], finds_same, &s);
        if (s.found)
            return i + 1;
    }
    return 0;
}

struct case_place {
    struct rule *rule;
    uint32_t at;
};

static bool places_case(void *user, struct term *t)
{
    struct case_place *p = user;
    uint32_t at = t->kind == TERM_VAR && t->var.id >= VAR_FIRST ? first_use(p->rule, t) : 0;
    if (at > p->at)
        p->at = at;
    return true;
}

/*
 * test_p[x.note] tells of a case for each x, also when the rest of the body fails:
 * as soon as what names the case is there, internal.test_case([x.note]) reports it.
 */
static void add_test_case(struct rewriter *w, struct rule *r)
{
    struct term *ref = r->head.ref;
    uint32_t name = r->module->package->len;
    while (name < r->ground_len &&
           (!ast_is_string(ref->items[name]) ||
            !str_has_prefix(value_str(ref->items[name]->val), STR("test_"))))
        name++;
    if (name >= r->ground_len || name + 1 >= ref->len || r->is_default)
        return;
    struct term **names = arena_new_array(w->a, struct term *, ref->len);
    struct case_place place = {.rule = r};
    struct case_search s = {.simple = true};
    for (uint32_t i = name + 1; names != NULL && i < ref->len; i++) {
        walk_term(ref->items[i], is_plain_part, &s);
        walk_term(ref->items[i], places_case, &place);
        names[i - name - 1] = ast_copy(w->a, ref->items[i]);
    }
    struct expr *e = ast_expr(w->a, EXPR_CALL, r->pos);
    if (names == NULL || e == NULL || !s.simple || arena_status(w->a) != OK)
        return;
    struct term *array = ast_list(w->a, TERM_ARRAY, names, ref->len - name - 1, r->pos);
    e->term = internal_call(w, STR("internal.test_case"), array, r->pos);
    e->generated = true;
    e->origin = r->body->items[0];
    if (e->term == NULL || !ast_body_add(w->a, r->body, e))
        return;
    memmove(&r->body->items[place.at + 1], &r->body->items[place.at],
            (r->body->len - 1 - place.at) * sizeof(e));
    r->body->items[place.at] = e;
}

/* False: the literal is erased. */
static bool rewrite_expr(struct rewriter *w, struct expr *e)
{
    if (arena_status(w->a) != OK)
        return false;
    w->origin = e->origin != NULL ? e->origin : e;
    if (e->kind == EXPR_CALL && e->term->kind == TERM_VALUE)
        e->kind = EXPR_TERM; /* a call that became a constant */
    if (e->kind == EXPR_CALL && is_builtin(e->term, "print")) {
        if (!w->c->options.keep_print)
            return false;
        e->term = rewrite_print(w, e->term);
        if (e->term == NULL)
            return false;
    }
    if (e->kind == EXPR_CALL && is_builtin(e->term, "eq") && e->term->len == 3)
        e->kind = EXPR_UNIFY;
    rewrite_withs(w, e);
    switch (e->kind) {
    case EXPR_TERM:
        e->term = expand(w, e->term);
        break;
    case EXPR_CALL:
    case EXPR_UNIFY:
        for (uint32_t i = 1; i < e->term->len; i++)
            e->term->items[i] = expand(w, e->term->items[i]);
        break;
    case EXPR_EVERY:
        e->domain = expand(w, e->domain);
        if (e->domain != NULL && e->domain->kind != TERM_VAR)
            e->domain = use(w, assign_fresh(w, e->domain));
        rewrite_body(w, e->body);
        break;
    default:
        rewrite_body(w, e->body);
        if (e->right != NULL)
            rewrite_body(w, e->right);
    }
    return true;
}

static void rewrite_body(struct rewriter *w, struct body *b)
{
    struct body *out = ast_body(w->a);
    struct rewriter inner = *w;
    inner.out = out;
    for (uint32_t i = 0; out != NULL && i < b->len; i++) {
        struct expr *e = b->items[i];
        if (rewrite_expr(&inner, e) && !ast_body_add(w->a, out, e))
            return;
    }
    if (arena_status(w->a) != OK)
        return;
    if (out->len == 0) {
        struct expr *e = b->items[0];
        *e =
            (struct expr){.kind = EXPR_TERM, .pos = e->pos, .generated = true, .capture = VAR_NONE};
        e->term = ast_value(w->a, VALUE_TRUE, e->pos);
        if (!ast_body_add(w->a, out, e))
            return;
    }
    *b = *out;
}

/* Head terms: calls go to the end of the body, and so does what needs evaluation. */
static struct term *rewrite_head_term(struct rewriter *w, struct term *t)
{
    if (t == NULL)
        return NULL;
    /* Explanations show the term as the expression that it is. */
    w->origin = ast_expr(w->a, EXPR_TERM, t->pos);
    if (w->origin == NULL)
        return NULL;
    w->origin->term = t;
    w->origin->relation = (uint8_t)(t->kind == TERM_CALL ? ast_relation(t) : REGO_REL_DEFINED);
    t = expand(w, t);
    return needs_eval(t) ? use(w, assign_fresh(w, t)) : t;
}

static void rewrite_rule(struct rewriter *w, struct rule *r)
{
    w->rule = r;
    w->vars = r->vars;
    if (w->c->options.test_cases)
        add_test_case(w, r);
    rewrite_body(w, r->body);
    if (arena_status(w->a) != OK)
        return;
    w->out = r->body;
    w->origin = r->body->items[r->body->len - 1];
    w->withs = NULL;
    w->with_count = 0;
    struct term *ref = r->head.ref;
    for (uint32_t i = r->module->package->len + 1; i < ref->len; i++)
        if (ref->items[i]->kind != TERM_VALUE && ref->items[i]->kind != TERM_VAR)
            ref->items[i] = use(w, assign_fresh(w, expand(w, ref->items[i])));
    r->head.key = rewrite_head_term(w, r->head.key);
    r->head.val = rewrite_head_term(w, r->head.val);
    for (uint32_t i = 0; i < r->head.arg_count; i++) {
        r->head.args[i] = expand(w, r->head.args[i]);
        if (needs_eval(r->head.args[i]))
            r->head.args[i] = use(w, assign_fresh(w, r->head.args[i]));
    }
}

void pass_rewrite(struct rego_compiler *c)
{
    for (struct module *m = c->modules; m != NULL; m = m->next) {
        struct rewriter w = {.c = c, .a = &c->arena, .m = m};
        for (struct rule *r = m->rules; r != NULL; r = r->next)
            for (struct rule *b = r; b != NULL && arena_status(&c->arena) == OK; b = b->els)
                rewrite_rule(&w, b);
    }
}
