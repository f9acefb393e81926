/*
 * Safety (../shared/spec/rego.md 4.7): every variable is bound before it is
 * needed.  Bodies are reordered with the fewest moves that make them safe.
 */
#include "rego/front.h"

#include <stdlib.h>

/* A set of variables of one rule. */
struct varset {
    uint64_t *bits;
    uint32_t words;
};

static bool has(const struct varset *s, uint32_t id)
{
    return id / 64 < s->words && (s->bits[id / 64] >> (id % 64) & 1) != 0;
}

static void add(struct varset *s, uint32_t id)
{
    if (id / 64 < s->words)
        s->bits[id / 64] |= 1ull << (id % 64);
}

/* Variables of one literal, each once. */
struct varlist {
    uint32_t *ids;
    uint32_t len, cap;
};

struct unsafe {
    uint32_t id;
    const struct expr *expr;
    struct unsafe *next;
};

struct safety {
    struct rego_compiler *c;
    struct arena *a;
    struct module *m;
    struct rule *rule;
    struct scope_vars *vars;
    uint32_t words;
    struct unsafe *unsafe;
};

/* What the reorder loop knows about one literal. */
struct item {
    struct expr *e;
    struct varlist needs;   /* all variables outside of closures */
    struct varlist closure; /* those of closures that occur in the body, too */
    bool done;
};

static struct varset new_set(struct safety *s)
{
    struct varset v = {arena_new_array(s->a, uint64_t, s->words), s->words};
    if (v.bits == NULL)
        v.words = 0;
    return v;
}

static struct varset copy_set(struct safety *s, const struct varset *from)
{
    struct varset v = {arena_alloc(s->a, from->words * sizeof(uint64_t)), from->words};
    if (v.bits == NULL)
        v.words = 0;
    else
        memcpy(v.bits, from->bits, from->words * sizeof(uint64_t));
    return v;
}

/* ---- collecting variables ---- */

struct collect {
    struct safety *s;
    struct varset *into;
    bool closures;  /* only what is inside of closures */
    bool inside;    /* we are inside of one */
    bool skip_keys; /* not object keys */
    bool skip_sets;
    bool skip_heads; /* not heads of references */
};

static void collect_body(struct collect *k, const struct body *b);

static void collect_term(struct collect *k, const struct term *t)
{
    if (t == NULL)
        return;
    switch (t->kind) {
    case TERM_VALUE:
        return;
    case TERM_VAR:
        if (t->var.id >= VAR_FIRST && (!k->closures || k->inside))
            add(k->into, t->var.id);
        return;
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP: {
        if (!k->closures)
            return;
        bool inside = k->inside;
        k->inside = true;
        collect_term(k, t->comp.key);
        collect_term(k, t->comp.head);
        collect_body(k, t->comp.body);
        k->inside = inside;
        return;
    }
    case TERM_SET:
        if (k->skip_sets)
            return;
        break;
    case TERM_OBJECT:
        if (k->skip_keys) {
            for (uint32_t i = 1; i < t->len; i += 2)
                collect_term(k, t->items[i]);
            return;
        }
        break;
    default:
        break;
    }
    for (uint32_t i = (t->kind == TERM_REF && k->skip_heads) || t->kind == TERM_CALL ? 1 : 0;
         i < t->len; i++)
        collect_term(k, t->items[i]);
}

/* With closures: everything in nested bodies; without: nothing of them. */
static void collect_nested(struct collect *k, const struct body *b)
{
    if (!k->closures || b == NULL)
        return;
    bool inside = k->inside;
    k->inside = true;
    collect_body(k, b);
    k->inside = inside;
}

static void collect_expr(struct collect *k, const struct expr *e)
{
    collect_term(k, e->term);
    collect_term(k, e->domain);
    if (e->kind == EXPR_EVERY && k->closures) {
        bool inside = k->inside;
        k->inside = true;
        collect_term(k, e->key);
        collect_term(k, e->val);
        k->inside = inside;
    }
    collect_nested(k, e->body);
    collect_nested(k, e->right);
    for (uint32_t i = 0; i < e->with_count; i++) {
        if (e->withs[i].replacement == NULL)
            collect_term(k, e->withs[i].val);
        if (e->withs[i].callee == NULL)
            collect_term(k, e->withs[i].target);
    }
}

static void collect_body(struct collect *k, const struct body *b)
{
    for (uint32_t i = 0; i < b->len; i++)
        collect_expr(k, b->items[i]);
}

/* SafetyCheckVisitorParams: all variables outside of closures. */
static void vars_of_expr(struct safety *s, const struct expr *e, struct varset *into)
{
    struct collect k = {.s = s, .into = into};
    collect_expr(&k, e);
}

static void vars_of_body(struct safety *s, const struct body *b, struct varset *into)
{
    struct collect k = {.s = s, .into = into};
    collect_body(&k, b);
}

static struct varlist to_list(struct safety *s, struct varset *set, const struct varset *only)
{
    struct varlist l = {0};
    uint32_t n = 0;
    for (uint32_t w = 0; w < set->words; w++)
        n += (uint32_t)__builtin_popcountll(set->bits[w]);
    l.ids = arena_new_array(s->a, uint32_t, n);
    for (uint32_t w = 0; l.ids != NULL && w < set->words; w++) {
        uint64_t bits = set->bits[w];
        while (bits != 0) {
            uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(bits);
            bits &= bits - 1;
            if (only == NULL || has(only, id))
                l.ids[l.len++] = id;
        }
        set->bits[w] = 0;
    }
    return l;
}

/* ---- what a literal binds ---- */

struct outputs {
    struct safety *s;
    const struct varset *safe;
    struct varset *out;
};

static bool known(const struct outputs *o, uint32_t id)
{
    return id < VAR_FIRST || has(o->safe, id) || has(o->out, id);
}

static bool is_safe_head(const struct outputs *o, const struct term *head)
{
    return head->kind == TERM_VAR && (head->var.id < VAR_FIRST || has(o->safe, head->var.id));
}

/* References bind the variables among their parts, if their head is safe. */
static void outputs_of_refs(struct outputs *o, const struct term *t)
{
    if (t == NULL || t->kind <= TERM_VAR || (t->kind >= TERM_ARRAY_COMP))
        return;
    if (t->kind == TERM_REF) {
        if (!is_safe_head(o, t->items[0]))
            return;
        struct collect k = {.s = o->s, .into = o->out, .skip_heads = true};
        for (uint32_t i = 1; i < t->len; i++)
            if (t->items[i]->kind != TERM_REF)
                collect_term(&k, t->items[i]);
    }
    for (uint32_t i = t->kind == TERM_CALL ? 1 : 0; i < t->len; i++)
        outputs_of_refs(o, t->items[i]);
}

/*
 * Nothing in t refers into a variable that is not known: in `x = {"a": x.b}` the
 * reference would come first, and has nothing to refer into.
 */
static bool heads_known(struct outputs *o, const struct term *t)
{
    if (t->kind <= TERM_VAR || t->kind >= TERM_ARRAY_COMP)
        return true;
    if (t->kind == TERM_REF && t->items[0]->kind == TERM_VAR && !known(o, t->items[0]->var.id))
        return false;
    for (uint32_t i = t->kind == TERM_CALL ? 1 : 0; i < t->len; i++)
        if (!heads_known(o, t->items[i]))
            return false;
    return true;
}

static bool all_known(struct outputs *o, const struct term *t);

static bool all_known_list(struct outputs *o, struct term *const *items, uint32_t from,
                           uint32_t len, uint32_t step)
{
    for (uint32_t i = from; i < len; i += step)
        if (!all_known(o, items[i]))
            return false;
    return true;
}

/* Variables of a pattern, without object keys, reference heads and closures. */
static bool all_known(struct outputs *o, const struct term *t)
{
    switch (t->kind) {
    case TERM_VAR:
        return known(o, t->var.id);
    case TERM_REF:
        return all_known_list(o, t->items, 1, t->len, 1);
    case TERM_OBJECT:
        return all_known_list(o, t->items, 1, t->len, 2);
    case TERM_ARRAY:
    case TERM_SET:
        return all_known_list(o, t->items, 0, t->len, 1);
    default:
        return true;
    }
}

static void mark_all(struct outputs *o, const struct term *t)
{
    struct collect k = {.s = o->s, .into = o->out, .skip_keys = true, .skip_heads = true};
    collect_term(&k, t);
}

static const struct term *object_get(const struct term *t, const struct term *key)
{
    for (uint32_t i = 0; i < t->len; i += 2) {
        const struct term *k = t->items[i];
        if (k->kind == TERM_VALUE && key->kind == TERM_VALUE && value_equal(k->val, key->val))
            return t->items[i + 1];
        if (k->kind == TERM_VAR && key->kind == TERM_VAR && k->var.id == key->var.id)
            return t->items[i + 1];
    }
    return NULL;
}

/* One round of OPA's unifier; true when something new became safe. */
static bool unify_round(struct outputs *o, const struct term *a, const struct term *b)
{
    if (a->kind == TERM_ARRAY && b->kind == TERM_ARRAY) {
        bool changed = false;
        for (uint32_t i = 0; a->len == b->len && i < a->len; i++)
            changed |= unify_round(o, a->items[i], b->items[i]);
        return changed;
    }
    if (a->kind == TERM_OBJECT && b->kind == TERM_OBJECT) {
        bool changed = false;
        for (uint32_t i = 0; a->len == b->len && i < a->len; i += 2) {
            const struct term *other = object_get(b, a->items[i]);
            if (other != NULL)
                changed |= unify_round(o, a->items[i + 1], other);
        }
        return changed;
    }
    /* One side is a variable or evaluates to a value. */
    for (int swap = 0; swap < 2; swap++) {
        if (swap == 1) {
            const struct term *t = a;
            a = b;
            b = t;
        }
        bool pattern = b->kind == TERM_VAR || b->kind == TERM_ARRAY || b->kind == TERM_OBJECT;
        if (!pattern)
            continue;
        bool from_known =
            a->kind == TERM_VAR   ? known(o, a->var.id)
            : a->kind == TERM_REF ? is_safe_head(o, a->items[0]) || known(o, a->items[0]->var.id)
            : a->kind == TERM_SET || a->kind == TERM_VALUE || a->kind >= TERM_ARRAY_COMP
                ? true
                : all_known(o, a);
        if (a->kind == TERM_SET && b->kind != TERM_VAR)
            continue;
        if (a->kind == TERM_VALUE && b->kind != TERM_VAR)
            continue;
        if ((a->kind == TERM_ARRAY || a->kind == TERM_OBJECT) && b->kind != TERM_VAR)
            continue;
        if (from_known && heads_known(o, a) && !all_known(o, b)) {
            mark_all(o, b);
            return true;
        }
    }
    return false;
}

static void remove_known(struct outputs *o)
{
    for (uint32_t w = 0; w < o->out->words; w++)
        o->out->bits[w] &= ~o->safe->bits[w];
}

static void outputs_of_unify(struct outputs *o, const struct expr *e)
{
    const struct term *a = e->term->items[1];
    const struct term *b = e->term->items[2];
    outputs_of_refs(o, a);
    outputs_of_refs(o, b);
    struct varset before = {0};
    if (e->assign)
        before = copy_set(o->s, o->out);
    while (unify_round(o, a, b) && front_work(o->s->c, 1)) {
    }
    if (!e->assign)
        return;
    /* `:=` never binds its right side. */
    struct varset right = new_set(o->s);
    struct collect k = {.s = o->s, .into = &right};
    collect_term(&k, b);
    for (uint32_t w = 0; w < right.words && w < before.words; w++)
        o->out->bits[w] &= ~(right.bits[w] & ~before.bits[w]);
}

static void outputs_of_call(struct outputs *o, const struct expr *e)
{
    const struct term *call = e->term;
    for (uint32_t i = 1; i < call->len; i++)
        outputs_of_refs(o, call->items[i]);
    int arity = call->callee == NULL ? 0 : call->callee->arity;
    if (arity < 0 || (uint32_t)arity + 1 >= call->len)
        return;
    struct varset operands = new_set(o->s);
    struct collect k = {
        .s = o->s, .into = &operands, .skip_keys = true, .skip_sets = true, .skip_heads = true};
    for (uint32_t i = 1; i <= (uint32_t)arity; i++)
        collect_term(&k, call->items[i]);
    for (uint32_t w = 0; w < operands.words; w++) {
        if ((operands.bits[w] & ~o->safe->bits[w] & ~o->out->bits[w]) != 0) {
            memset(o->out->bits, 0, o->out->words * sizeof(uint64_t));
            return;
        }
    }
    k.into = o->out;
    for (uint32_t i = (uint32_t)arity + 1; i < call->len; i++)
        collect_term(&k, call->items[i]);
}

/* The variables that become safe when this literal runs with `safe`; into the empty set `out`. */
static void outputs_of(struct safety *s, const struct expr *e, const struct varset *safe,
                       struct varset *out)
{
    struct outputs o = {s, safe, out};
    if (e->negated)
        return;
    for (uint32_t i = 0; i < e->with_count; i++)
        if (e->withs[i].replacement == NULL && !all_known(&o, e->withs[i].val))
            return;
    switch (e->kind) {
    case EXPR_TERM:
        outputs_of_refs(&o, e->term);
        break;
    case EXPR_UNIFY:
        outputs_of_unify(&o, e);
        break;
    case EXPR_CALL:
        outputs_of_call(&o, e);
        break;
    case EXPR_EVERY:
        outputs_of_refs(&o, e->domain);
        break;
    default:
        break;
    }
    remove_known(&o);
}

/* ---- reorder ---- */

static void report(struct safety *s, const struct expr *e, uint32_t id)
{
    struct unsafe *u = arena_new(s->a, struct unsafe);
    if (u == NULL)
        return;
    *u = (struct unsafe){.id = id, .expr = e, .next = s->unsafe};
    s->unsafe = u;
}

static bool is_temporary(const struct safety *s, uint32_t id)
{
    return id < s->vars->len && s->vars->items[id].generated && !s->vars->items[id].wildcard;
}

/*
 * Variables that must be safe before the literal: without closures all of
 * them; of an unbraced `not e` also those of the wrapped body, but for the
 * temporaries that e was expanded to.
 */
static void needs_of(struct safety *s, const struct expr *e, struct varset *into)
{
    vars_of_expr(s, e, into);
    if (e->kind == EXPR_NOT && !e->braced) {
        struct varset inner = new_set(s);
        struct collect k = {.s = s, .into = &inner};
        collect_body(&k, e->body);
        for (uint32_t id = VAR_FIRST; id < s->vars->len; id++)
            if (has(&inner, id) && !is_temporary(s, id))
                add(into, id);
    }
}

static struct item *make_items(struct safety *s, struct body *b, struct varset *scratch)
{
    struct item *items = arena_new_array(s->a, struct item, b->len);
    struct varset body_vars = new_set(s);
    for (uint32_t i = 0; items != NULL && i < b->len; i++)
        needs_of(s, b->items[i], &body_vars);
    for (uint32_t i = 0; items != NULL && i < b->len; i++) {
        struct item *it = &items[i];
        it->e = b->items[i];
        needs_of(s, it->e, scratch);
        it->needs = to_list(s, scratch, NULL);
        struct collect k = {.s = s, .into = scratch, .closures = true};
        collect_expr(&k, it->e);
        it->closure = to_list(s, scratch, &body_vars);
    }
    return items;
}

static bool all_in(const struct varlist *l, const struct varset *a, const struct varset *b)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (!has(a, l->ids[i]) && !has(b, l->ids[i]))
            return false;
    return true;
}

/* A closure over exactly what the literal itself binds can never be ready. */
static bool is_self_closure(const struct item *it, const struct varset *globals,
                            const struct varset *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < it->closure.len; i++) {
        if (has(globals, it->closure.ids[i]))
            continue;
        if (!has(out, it->closure.ids[i]))
            return false;
        n++;
    }
    uint32_t total = 0;
    for (uint32_t w = 0; w < out->words; w++)
        total += (uint32_t)__builtin_popcountll(out->bits[w]);
    return n > 0 && n == total;
}

static void report_item(struct safety *s, const struct item *it, const struct varset *safe)
{
    const struct varlist *lists[2] = {&it->needs, &it->closure};
    for (size_t k = 0; k < 2; k++)
        for (uint32_t i = 0; i < lists[k]->len; i++)
            if (!has(safe, lists[k]->ids[i]))
                report(s, it->e, lists[k]->ids[i]);
}

static void check_nested(struct safety *s, struct expr *e, struct varset *globals);

/* Orders the body; what stays unsafe goes to s->unsafe.  `globals` is what is known from outside.
 */
static void reorder(struct safety *s, struct body *b, const struct varset *globals)
{
    if (arena_status(s->a) != OK)
        return;
    struct varset scratch = new_set(s);
    struct item *items = make_items(s, b, &scratch);
    struct expr **ordered = arena_new_array(s->a, struct expr *, b->len);
    struct varset safe = copy_set(s, globals);
    struct varset out = new_set(s);
    if (items == NULL || ordered == NULL || arena_status(s->a) != OK)
        return;

    uint32_t n = 0;
    for (uint32_t before = UINT32_MAX; n != before && n < b->len;) {
        before = n;
        for (uint32_t i = 0; i < b->len; i++) {
            struct item *it = &items[i];
            if (it->done)
                continue;
            if (!front_work(s->c, 2 + it->needs.len + out.words))
                return;
            memset(out.bits, 0, out.words * sizeof(uint64_t));
            outputs_of(s, it->e, &safe, &out);
            if (is_self_closure(it, globals, &out))
                continue;
            if (!all_in(&it->needs, &safe, &out) || !all_in(&it->closure, &safe, &out))
                continue;
            it->done = true;
            ordered[n++] = it->e;
            for (uint32_t w = 0; w < out.words; w++)
                safe.bits[w] |= out.bits[w];
        }
    }
    if (n < b->len) {
        for (uint32_t i = 0; i < b->len; i++)
            if (!items[i].done)
                report_item(s, &items[i], &safe);
        return;
    }
    memcpy(b->items, ordered, n * sizeof(*ordered));

    struct varset g = copy_set(s, globals);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            vars_of_expr(s, b->items[i - 1], &g);
        check_nested(s, b->items[i], &g);
    }
}

struct nested {
    struct safety *s;
    struct expr *e;
    struct varset *globals;
};

/* An expression of a template string cannot bind: its variables come from the body around it. */
static void check_template(struct nested *n, struct term *t)
{
    const struct expr *e = t->comp.body->items[0];
    if (e->kind == EXPR_UNIFY && e->term->items[2]->kind == TERM_VAR)
        return; /* a name alone is unsafe like any other */
    struct varset inside = new_set(n->s);
    vars_of_body(n->s, t->comp.body, &inside);
    for (uint32_t id = VAR_FIRST; id < n->s->vars->len; id++) {
        const struct variable *v = &n->s->vars->items[id];
        if (has(&inside, id) && !has(n->globals, id) && !v->generated)
            front_error(n->s->c, COMPILE_ERROR, n->s->m, n->e->pos, "var %.*s is undeclared",
                        STR_ARG(v->name));
    }
}

static void reorder_comprehension(struct nested *n, struct term *t)
{
    struct varset known_inside = copy_set(n->s, n->globals);
    if (t->in_text)
        check_template(n, t);
    vars_of_body(n->s, t->comp.body, &known_inside);
    struct varset head = new_set(n->s);
    struct collect k = {.s = n->s, .into = &head};
    collect_term(&k, t->comp.key);
    collect_term(&k, t->comp.head);
    for (uint32_t id = VAR_FIRST; id < n->s->vars->len; id++)
        if (has(&head, id) && !has(&known_inside, id))
            report(n->s, n->e, id);
    reorder(n->s, t->comp.body, n->globals);
}

static bool visit_nested(void *user, struct term *t)
{
    if (t->kind != TERM_ARRAY_COMP && t->kind != TERM_SET_COMP && t->kind != TERM_OBJECT_COMP)
        return true;
    reorder_comprehension(user, t);
    return false;
}

static void check_nested(struct safety *s, struct expr *e, struct varset *globals)
{
    struct nested n = {s, e, globals};
    walk_term(e->term, visit_nested, &n);
    walk_term(e->domain, visit_nested, &n);
    if (e->kind == EXPR_EVERY) {
        struct varset inner = copy_set(s, globals);
        struct collect k = {.s = s, .into = &inner};
        collect_term(&k, e->domain);
        collect_term(&k, e->key);
        collect_term(&k, e->val);
        reorder(s, e->body, &inner);
    } else {
        if (e->body != NULL)
            reorder(s, e->body, globals);
        if (e->right != NULL)
            reorder(s, e->right, globals);
    }
}

/* ---- errors ---- */

static int by_place(const void *x, const void *y)
{
    const struct unsafe *const *a = x;
    const struct unsafe *const *b = y;
    uint32_t p = (*a)->expr->pos.off;
    uint32_t q = (*b)->expr->pos.off;
    if (p != q)
        return p < q ? -1 : 1;
    return (*a)->id < (*b)->id ? -1 : (*a)->id > (*b)->id;
}

/* The reference of the head as written, "a.b.c". */
static struct str rule_name(struct safety *s, const struct rule *r)
{
    uint32_t from = r->module->package->len;
    struct term *items[1] = {
        ast_var(s->a, value_str(r->head.ref->items[from]->val), r->head.ref->pos)};
    struct term *t = ast_list(s->a, TERM_REF, r->head.ref->items + from, r->head.ref->len - from,
                              r->head.ref->pos);
    if (t == NULL || items[0] == NULL)
        return STR_EMPTY;
    t->items[0] = items[0];
    return ast_text(s->a, t);
}

/* Where a line holds rules of several names, the error says which rule it means. */
static bool line_is_shared(struct safety *s, const struct expr *e)
{
    for (const struct rule *r = s->m->rules; r != NULL; r = r->next) {
        if (str_equal(rule_name(s, r), rule_name(s, s->rule)))
            continue;
        if (r->pos.row == s->rule->pos.row || r->pos.row == e->pos.row)
            return true;
    }
    return false;
}

static void report_var(struct safety *s, const struct expr *e, struct pos pos, uint32_t id)
{
    struct str name = s->vars->items[id].name;
    const char *sep = line_is_shared(s, e) ? " in rule " : "";
    struct str rule = sep[0] != '\0' ? rule_name(s, s->rule) : STR_EMPTY;
    front_error(s->c, UNSAFE_ERROR, s->m, pos, "var %.*s is unsafe%s%.*s", STR_ARG(name), sep,
                STR_ARG(rule));
}

struct find {
    uint32_t id;
    struct pos pos;
    bool found;
};

static bool find_var(void *user, struct term *t)
{
    struct find *f = user;
    if (!f->found && t->kind == TERM_VAR && t->var.id == f->id) {
        f->found = true;
        f->pos = t->pos;
    }
    return !f->found;
}

static bool is_print(const struct expr *e)
{
    return e->kind == EXPR_CALL && e->term->callee != NULL &&
           str_is(e->term->callee->name, "internal.print");
}

/* Operands of print() are inside of comprehensions that the user did not write: say it in other
 * words. */
static bool report_prints(struct safety *s, struct unsafe *const *all, uint32_t n)
{
    bool any = false;
    struct varset seen = new_set(s);
    for (uint32_t i = 0; i < n; i++) {
        const struct expr *e = all[i]->expr->origin != NULL ? all[i]->expr->origin : all[i]->expr;
        if (!is_print(e) || has(&seen, all[i]->id) || is_temporary(s, all[i]->id))
            continue;
        add(&seen, all[i]->id);
        struct find f = {.id = all[i]->id, .pos = e->pos};
        walk_term(e->term, find_var, &f);
        front_error(s->c, COMPILE_ERROR, s->m, f.pos, "var %.*s is undeclared",
                    STR_ARG(s->vars->items[all[i]->id].name));
        any = true;
    }
    return any;
}

static void report_all(struct safety *s)
{
    uint32_t n = 0;
    for (struct unsafe *u = s->unsafe; u != NULL; u = u->next)
        n++;
    struct unsafe **all = arena_new_array(s->a, struct unsafe *, n);
    if (all == NULL || n == 0)
        return;
    n = 0;
    for (struct unsafe *u = s->unsafe; u != NULL; u = u->next)
        all[n++] = u;
    qsort(all, n, sizeof(*all), by_place);
    if (report_prints(s, all, n))
        return;

    struct varset seen = new_set(s);
    bool named = false;
    for (uint32_t i = 0; i < n; i++) {
        const struct variable *v = &s->vars->items[all[i]->id];
        if ((v->generated && !v->wildcard) || has(&seen, all[i]->id))
            continue;
        add(&seen, all[i]->id);
        report_var(s, all[i]->expr, all[i]->expr->pos, all[i]->id);
        named = true;
    }
    /* Only generated ones: the user knows no name, so say which expression. */
    for (uint32_t i = 0; !named && i < n; i++) {
        if (has(&seen, all[i]->id))
            continue;
        add(&seen, all[i]->id);
        front_error(s->c, UNSAFE_ERROR, s->m, all[i]->expr->pos, "expression is unsafe");
        break;
    }
}

static void check_head(struct safety *s, struct rule *r)
{
    struct varset body = new_set(s);
    vars_of_body(s, r->body, &body);
    struct varset head = new_set(s);
    struct collect k = {.s = s, .into = &body};
    for (uint32_t i = 0; i < r->head.arg_count; i++)
        collect_term(&k, r->head.args[i]);
    k.into = &head;
    collect_term(&k, r->head.ref);
    collect_term(&k, r->head.key);
    collect_term(&k, r->head.val);
    for (uint32_t id = VAR_FIRST; id < s->vars->len; id++) {
        if (!has(&head, id) || has(&body, id) || is_temporary(s, id))
            continue;
        struct expr at = {.pos = s->vars->items[id].pos};
        report_var(s, &at, at.pos, id);
    }
}

static void check_rule(struct safety *s, struct rule *r)
{
    s->rule = r;
    s->vars = r->vars;
    s->words = (r->vars->len + 63) / 64 + 1;
    s->unsafe = NULL;
    struct varset globals = new_set(s);
    struct collect k = {.s = s, .into = &globals};
    for (uint32_t i = 0; i < r->head.arg_count; i++)
        collect_term(&k, r->head.args[i]);
    reorder(s, r->body, &globals);
    if (s->unsafe != NULL)
        report_all(s);
}

void pass_safety(struct rego_compiler *c)
{
    for (struct module *m = c->modules; m != NULL; m = m->next) {
        for (struct rule *r = m->rules; r != NULL; r = r->next) {
            for (struct rule *b = r; b != NULL; b = b->els) {
                struct safety s = {.c = c, .a = &c->arena, .m = m, .rule = b, .vars = b->vars};
                s.words = (b->vars->len + 63) / 64 + 1;
                check_head(&s, b);
            }
        }
    }
    if (c->errors.total > 0)
        return;
    for (struct module *m = c->modules; m != NULL; m = m->next) {
        for (struct rule *r = m->rules; r != NULL; r = r->next) {
            for (struct rule *b = r; b != NULL && arena_status(&c->arena) == OK; b = b->els) {
                struct safety s = {.c = c, .a = &c->arena, .m = m};
                check_rule(&s, b);
            }
        }
    }
}
