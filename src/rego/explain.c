/*
 * What explanations need to know about the code: which literal an instruction
 * belongs to, where its two sides are, and which references they were.
 */
#include "rego/plan.h"

#define SIDE_PARTS_MAX CLAIM_PARTS_MAX
#define SETS_DEEP 2  /* sets of sets with several bodies each */
#define BODIES_MAX 8 /* looked at, of a set: all of them for each expression would be too many */

void mark_line(struct plan *p, uint32_t expr)
{
    if (p->lines.len > 0 && p->lines.items[p->lines.len - 1].pc == p->code.len)
        p->lines.items[p->lines.len - 1].expr = expr;
    else
        PLAN_PUSH(p, p->lines, ((struct prog_line){p->code.len, expr}));
}

uint32_t describe(struct plan *p, const struct expr *e)
{
    const struct expr *shown = e->origin != NULL ? e->origin : e;
    uint32_t end = shown->pos.end > shown->pos.off ? shown->pos.end : shown->pos.off;
    struct prog_expr x = {
        .pos = {p->m->file, shown->pos.row, shown->pos.col},
        .text = str_slice(p->m->text, shown->pos.off, end - shown->pos.off),
        .relation = shown->negated || shown->kind == EXPR_NOT ? REGO_REL_NOT : shown->relation,
        .inner = shown->relation,
        .left = {.operand = OPERAND_NONE},
        .right = {.operand = OPERAND_NONE},
        .part = {.operand = OPERAND_NONE},
        .whole = {.operand = OPERAND_NONE},
    };
    return PLAN_PUSH(p, p->exprs, x);
}

/* ---- references ---- */

struct chain {
    struct plan *p;
    struct prog_part parts[SIDE_PARTS_MAX];
    uint32_t len;
    uint8_t root;
    bool items; /* l[_] may be told, as l/- */
    bool over;  /* it ended so */
    bool sets;  /* no arrays that are collected */
};

/* Any item of what stands there. */
static bool add_any(struct chain *k)
{
    if (k->len == SIDE_PARTS_MAX)
        return false;
    k->over = true;
    k->parts[k->len++] = (struct prog_part){constant(k->p, value_cstring(k->p->scratch, "-")), 0};
    return true;
}

static bool add_part(struct chain *k, const struct term *t)
{
    struct plan *p = k->p;
    if (k->len == SIDE_PARTS_MAX || k->over)
        return false;
    if (t->kind == TERM_VALUE) {
        k->parts[k->len++] = (struct prog_part){constant(p, t->val), 0};
        return true;
    }
    if (t->kind != TERM_VAR || t->var.id < VAR_FIRST)
        return false;
    if (!is_bound(p, t))
        return k->items && add_any(k);
    uint32_t ready = p->bound_at[t->var.id];
    k->parts[k->len++] = (struct prog_part){p->where[t->var.id], ready};
    return true;
}

static bool trace_term(struct chain *k, const struct term *t, unsigned depth);
static bool trace_set_rule(struct chain *k, const struct rule_group *g, unsigned depth);

/* Of a body, the call whose result is this variable. */
static const struct term *call_for(const struct body *b, const struct term *var)
{
    if (var->kind != TERM_VAR)
        return NULL;
    for (uint32_t i = 0; i < b->len; i++) {
        const struct term *t = b->items[i]->term;
        if (b->items[i]->kind == EXPR_CALL && t->callee != NULL && t->callee->arity >= 0 &&
            t->len == (uint32_t)t->callee->arity + 2 && t->items[t->len - 1]->kind == TERM_VAR &&
            t->items[t->len - 1]->var.id == var->var.id)
            return t;
    }
    return NULL;
}

/* query_reference_value("pcr08"): the host's own documents. */
static bool is_host_document(const struct term *t)
{
    return t->kind == TERM_CALL && t->callee != NULL && t->callee->kind == CALLEE_HOST &&
           t->callee->arity == 1;
}

/* A rule that is nothing but another name of a part of input, data or the host's documents. */
static const struct term *alias_of(const struct rule_group *g)
{
    const struct rule *r = g->first;
    if (g->kind != GROUP_COMPLETE || r->next_in_group != NULL || r->els != NULL || r->is_default)
        return NULL;
    const struct body *b = r->body;
    if (b->len != 2 || !b->items[0]->generated || b->items[0]->kind != EXPR_TERM ||
        !b->items[1]->generated)
        return NULL;
    const struct term *call = b->items[1]->term;
    if (b->items[1]->kind == EXPR_CALL && is_host_document(call) &&
        call->items[1]->kind == TERM_VALUE && call_for(b, r->head.val) == call)
        return call;
    if (b->items[1]->kind != EXPR_UNIFY)
        return NULL;
    bool named = r->head.val->kind == TERM_VAR && call->items[1]->kind == TERM_VAR &&
                 call->items[1]->var.id == r->head.val->var.id;
    const struct term *ref = call->items[2];
    if (!named || ref->kind != TERM_REF)
        return NULL;
    for (uint32_t i = 1; i < ref->len; i++)
        if (ref->items[i]->kind != TERM_VALUE)
            return NULL;
    return ref;
}

static bool trace_ref(struct chain *k, const struct term *ref, unsigned depth)
{
    const struct term *head = ref->items[0];
    uint32_t i = 1;
    if (head->kind != TERM_VAR)
        return false;
    if (head->var.id == VAR_INPUT) {
        k->root = SIDE_INPUT;
    } else if (head->var.id == VAR_DATA) {
        uint32_t used;
        const struct tree_node *n = tree_walk(k->p->c, ref, &used);
        const struct term *alias = n->group == NULL ? NULL : alias_of(n->group);
        k->root = SIDE_DATA;
        if (alias != NULL) {
            if (!trace_term(k, alias, depth + 1))
                return false;
            i = used;
        } else if (k->items && n->group != NULL && used + 1 == ref->len &&
                   ref->items[used]->kind == TERM_VAR && trace_set_rule(k, n->group, depth + 1)) {
            return add_any(k);
        }
    } else if (!trace_term(k, head, depth + 1)) {
        return false;
    }
    for (; i < ref->len; i++)
        if (!add_part(k, ref->items[i]))
            return false;
    return true;
}

static bool trace_term(struct chain *k, const struct term *t, unsigned depth)
{
    if (depth > 16)
        return false;
    if (t->kind == TERM_REF)
        return trace_ref(k, t, depth);
    if (t->kind == TERM_CALL) {
        if (!is_host_document(t))
            return false;
        k->root = SIDE_REFERENCE;
        return add_part(k, t->items[1]);
    }
    if (t->kind != TERM_VAR || t->var.id < VAR_FIRST || t->var.id >= k->p->where_cap)
        return false;
    const struct term *from = k->p->origins[t->var.id];
    return from != NULL && trace_term(k, from, depth + 1);
}

/* Where the side comes from, when that is a ground reference. */
static void keep_chain(struct plan *p, const struct chain *k, struct prog_side *side)
{
    struct prog_part *parts = arena_new_array(p->out, struct prog_part, k->len);
    if (parts == NULL) {
        p->failed = true;
        return;
    }
    memcpy(parts, k->parts, k->len * sizeof(*parts));
    side->root = k->root;
    side->len = (uint8_t)k->len;
    side->parts = parts;
}

static void describe_path(struct plan *p, bool right, const struct term *t)
{
    struct chain k = {.p = p, .items = true};
    if (!trace_term(&k, t, 0) || k.root == SIDE_NONE)
        return;
    /* constant() may have moved the table. */
    struct prog_expr *e = &p->exprs.items[p->expr];
    keep_chain(p, &k, right ? &e->right : &e->left);
}

bool input_path(struct plan *p, const struct term *ref, struct prog_part parts[CLAIM_PARTS_MAX],
                uint32_t *len)
{
    struct chain k = {.p = p};
    trace_term(&k, ref, 0); /* as far as it can be followed */
    memcpy(parts, k.parts, k.len * sizeof(k.parts[0]));
    *len = k.len;
    return k.root == SIDE_INPUT;
}

void describe_side(struct plan *p, bool right, const struct term *t, operand x)
{
    if (p->failed || p->whole || p->expr >= p->exprs.len)
        return;
    struct prog_expr *e = &p->exprs.items[p->expr];
    struct prog_side *side = right ? &e->right : &e->left;
    if (side->operand != OPERAND_NONE)
        return;
    side->operand = x;
    side->ready = p->code.len == 0 ? 0 : p->code.len - 1;
    if (t != NULL)
        describe_path(p, right, t);
}

/*
 * `a in f(b)` computes f(b) in a literal of its own.  When that fails, what a
 * reader wants are the sides of the whole, not the operands of f.
 */
bool describe_begin_part(struct plan *p, const struct expr *e)
{
    const struct expr *o = e->origin;
    p->whole = e->generated && o != NULL && o != e && !o->negated &&
               (o->kind == EXPR_CALL || o->kind == EXPR_UNIFY) && o->term->len == 3 &&
               o->relation >= REGO_REL_EQUAL && o->relation <= REGO_REL_IN;
    return p->whole;
}

void describe_end_part(struct plan *p, const struct expr *e)
{
    p->whole = false;
    for (uint32_t i = 0; i < 2 && !p->failed; i++) {
        const struct term *t = e->origin->term->items[1 + i];
        struct prog_expr *x = &p->exprs.items[p->expr];
        struct prog_side *side = i == 1 ? &x->right : &x->left;
        if (t->kind == TERM_VALUE) {
            operand c = constant(p, t->val);
            x = &p->exprs.items[p->expr];
            (i == 1 ? &x->right : &x->left)->operand = c;
        } else if (t->kind == TERM_VAR && t->var.id >= VAR_FIRST && is_bound(p, t)) {
            side->operand = p->where[t->var.id];
            side->ready = p->bound_at[t->var.id];
        }
        describe_path(p, i == 1, t);
    }
}

void describe_not_body(struct plan *p, uint32_t outer, const struct expr *e)
{
    if (p->failed || e->body->len != 1 || outer + 1 >= p->exprs.len)
        return;
    const struct prog_expr *inner = &p->exprs.items[outer + 1]; /* the first after it */
    struct prog_expr *x = &p->exprs.items[outer];
    x->inner = inner->relation;
    x->left = inner->left;
    x->right = inner->right;
    x->part = inner->part;
    x->whole = inner->whole;
}

void describe_item(struct plan *p, const struct expr *every)
{
    struct term *domain = every->domain, *key = every->key, *val = every->val;
    bool ref = domain->kind == TERM_REF;
    if (p->failed || key == NULL || key->kind != TERM_VAR || val->kind != TERM_VAR ||
        val->var.id >= p->where_cap || (!ref && domain->kind != TERM_VAR))
        return;
    uint32_t len = ref ? domain->len : 1;
    struct term **items = arena_new_array(p->scratch, struct term *, len + 1);
    if (items == NULL)
        return;
    memcpy(items, ref ? domain->items : &domain, len * sizeof(struct term *));
    items[len] = key;
    p->origins[val->var.id] = ast_list(p->scratch, TERM_REF, items, len + 1, domain->pos);
}

/* ---- sets that have to be parts of others ---- */

void describe_minus_begin(struct plan *p)
{
    p->minuses.len = 0;
}

void describe_minus(struct plan *p, const struct term *call, operand a, operand b)
{
    uint32_t ready = p->code.len == 0 ? 0 : p->code.len - 1;
    PLAN_PUSH(p, p->minuses, ((struct plan_minus){call, a, b, ready}));
}

/* What a variable names, as far as it can be followed. */
static const struct term *named(const struct plan *p, const struct term *t)
{
    for (int i = 0; i < 16 && t->kind == TERM_VAR; i++) {
        const struct term *from =
            t->var.id >= VAR_FIRST && t->var.id < p->where_cap ? p->origins[t->var.id] : NULL;
        if (from == NULL)
            break;
        t = from;
    }
    return t;
}

static bool is_called_count(const struct term *t)
{
    return t->kind == TERM_CALL && t->callee != NULL && str_is(t->callee->name, "count");
}

static bool is_zero(const struct term *t)
{
    int64_t n;
    return t->kind == TERM_VALUE && value_get_int64(t->val, &n) && n == 0;
}

static bool is_empty_set(const struct term *t)
{
    return (t->kind == TERM_SET && t->len == 0) ||
           (t->kind == TERM_VALUE && value_kind(t->val) == VALUE_KIND_SET &&
            value_len(t->val) == 0) ||
           (t->kind == TERM_CALL && t->callee != NULL && str_is(t->callee->name, "set"));
}

/* count(a - b) against 0, or a - b against set(): the subtraction. */
static const struct plan_minus *tested_minus(const struct plan *p, const struct term *a,
                                             const struct term *b)
{
    a = named(p, a);
    b = named(p, b);
    if (is_called_count(a) && is_zero(b))
        a = named(p, a->items[1]);
    else if (!is_empty_set(b))
        return NULL;
    for (uint32_t i = 0; i < p->minuses.len; i++)
        if (p->minuses.items[i].call == a)
            return &p->minuses.items[i];
    return NULL;
}

/*
 * The collection of {x | some x in l}, from its body: a literal x = l[_], and before it the one
 * that computes l, if that is a call.
 */
static bool trace_members(struct chain *k, const struct term *x, const struct body *b,
                          unsigned depth)
{
    const struct expr *e = b->len == 0 ? NULL : b->items[b->len - 1];
    if (e == NULL || e->kind != EXPR_UNIFY || e->negated || x->kind != TERM_VAR)
        return false;
    for (uint32_t i = 0; i + 1 < b->len; i++)
        if (!b->items[i]->generated)
            return false; /* a condition on x: not all of l */
    const struct term *left = e->term->items[1], *right = e->term->items[2];
    const struct term *l = left->kind == TERM_REF ? left : right;
    const struct term *item = left->kind == TERM_REF ? right : left;
    if (l->kind != TERM_REF || item->kind != TERM_VAR || item->var.id != x->var.id || l->len < 2 ||
        l->items[l->len - 1]->kind != TERM_VAR)
        return false;
    struct term all = *l; /* without the index */
    all.len--;
    if (all.len > 1)
        return trace_ref(k, &all, depth);
    const struct term *call = call_for(b, l->items[0]);
    return trace_term(k, call != NULL ? call : l->items[0], depth);
}

/* Such a set, or an array. */
static bool is_collected(const struct chain *k, const struct term *t)
{
    return (t->kind == TERM_SET_COMP && !t->in_text) || (t->kind == TERM_ARRAY_COMP && !k->sets);
}

/* A rule that is one. */
static bool trace_set_rule(struct chain *k, const struct rule_group *g, unsigned depth)
{
    const struct rule *r = g->first;
    if (depth > SETS_DEEP && (depth > 16 || (r != NULL && r->next_in_group != NULL)))
        return false;
    /* Of several bodies the first that is one: what its list learns, the set learns. */
    for (int i = 0; g->kind == GROUP_SET && r != NULL && i < BODIES_MAX;
         i++, r = r->next_in_group) {
        struct chain tried = *k;
        if (r->head.key == NULL || !trace_members(&tried, r->head.key, r->body, depth))
            continue;
        *k = tried;
        return true;
    }
    if (g->kind == GROUP_SET || r == NULL || r->next_in_group != NULL || r->els != NULL ||
        r->is_default)
        return false;
    const struct expr *e = r->body->len == 0 ? NULL : r->body->items[r->body->len - 1];
    if (g->kind != GROUP_COMPLETE || e == NULL || e->kind != EXPR_UNIFY)
        return false;
    for (uint32_t i = 1; i <= 2; i++) {
        const struct term *t = e->term->items[i];
        if (is_collected(k, t))
            return trace_members(k, t->comp.head, t->comp.body, depth);
    }
    return false;
}

/* The rule that a reference leads to, and how many of its parts that takes; NULL: none. */
static const struct rule_group *rule_of(struct plan *p, const struct term *t, uint32_t *used)
{
    if (t->kind != TERM_REF || t->items[0]->kind != TERM_VAR || t->items[0]->var.id != VAR_DATA)
        return NULL;
    return tree_walk(p->c, t, used)->group;
}

static bool trace_set(struct chain *k, const struct term *t)
{
    t = named(k->p, t);
    if (is_collected(k, t))
        return trace_members(k, t->comp.head, t->comp.body, 1);
    uint32_t used;
    const struct rule_group *g = rule_of(k->p, t, &used);
    return g != NULL && used == t->len && trace_set_rule(k, g, 1);
}

static void describe_set(struct plan *p, bool whole, const struct term *t, operand x,
                         uint32_t ready)
{
    struct chain k = {.p = p};
    bool known = trace_set(&k, t) && k.root != SIDE_NONE;
    struct prog_expr *e = &p->exprs.items[p->expr];
    struct prog_side *side = whole ? &e->whole : &e->part;
    side->operand = x;
    side->ready = ready;
    if (known)
        keep_chain(p, &k, side);
}

void describe_minus_test(struct plan *p, const struct expr *e)
{
    if (p->failed || p->expr >= p->exprs.len || e->term == NULL || e->term->kind != TERM_CALL ||
        e->term->len != 3 || (e->kind != EXPR_UNIFY && e->kind != EXPR_CALL) ||
        p->exprs.items[p->expr].relation != REGO_REL_EQUAL)
        return;
    const struct plan_minus *m = tested_minus(p, e->term->items[1], e->term->items[2]);
    if (m == NULL)
        m = tested_minus(p, e->term->items[2], e->term->items[1]);
    if (m == NULL)
        return;
    describe_set(p, false, m->call->items[1], m->a, m->ready);
    describe_set(p, true, m->call->items[2], m->b, m->ready);
}

static bool describe_list(struct plan *p, const struct term *set, bool sets)
{
    struct chain k = {.p = p, .sets = sets};
    if (p->failed || p->whole || p->expr >= p->exprs.len || !trace_set(&k, set) ||
        k.root == SIDE_NONE)
        return false;
    keep_chain(p, &k, &p->exprs.items[p->expr].whole);
    return !p->failed;
}

void describe_member(struct plan *p, const struct term *set)
{
    (void)describe_list(p, set, false);
}

void describe_lookup(struct plan *p, const struct term *ref)
{
    uint32_t used;
    if (p->failed || rule_of(p, ref, &used) == NULL || used + 1 != ref->len)
        return;
    struct term set = *ref;
    set.len = used;
    const struct term *item = ref->items[used];
    struct prog_side part = {.operand = OPERAND_NONE};
    if (item->kind == TERM_VALUE) {
        part.operand = constant(p, item->val);
    } else if (item->kind == TERM_VAR && item->var.id >= VAR_FIRST && is_bound(p, item)) {
        part.operand = p->where[item->var.id];
        part.ready = p->bound_at[item->var.id];
    }
    struct chain k = {.p = p};
    if (trace_term(&k, item, 0) && k.root != SIDE_NONE)
        keep_chain(p, &k, &part);
    bool known = part.operand != OPERAND_NONE || part.root != SIDE_NONE;
    if (known && describe_list(p, &set, true))
        p->exprs.items[p->expr].part = part;
}
