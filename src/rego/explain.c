/*
 * What explanations need to know about the code: which literal an instruction
 * belongs to, where its two sides are, and which references they were.
 */
#include "rego/plan.h"

#define SIDE_PARTS_MAX CLAIM_PARTS_MAX

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
        .left = {.operand = OPERAND_NONE},
        .right = {.operand = OPERAND_NONE},
    };
    return PLAN_PUSH(p, p->exprs, x);
}

/* ---- references ---- */

struct chain {
    struct plan *p;
    struct prog_part parts[SIDE_PARTS_MAX];
    uint32_t len;
    uint8_t root;
};

static bool add_part(struct chain *k, const struct term *t)
{
    struct plan *p = k->p;
    if (k->len == SIDE_PARTS_MAX)
        return false;
    if (t->kind == TERM_VALUE) {
        k->parts[k->len++] = (struct prog_part){constant(p, t->val), 0};
        return true;
    }
    if (t->kind != TERM_VAR || t->var.id < VAR_FIRST || !is_bound(p, t))
        return false;
    uint32_t ready = p->bound_at[t->var.id];
    k->parts[k->len++] = (struct prog_part){p->where[t->var.id], ready};
    return true;
}

static bool trace_term(struct chain *k, const struct term *t, unsigned depth);

/* A rule that is nothing but another name of a part of input or data. */
static const struct term *alias_of(const struct rule_group *g)
{
    const struct rule *r = g->first;
    if (g->kind != GROUP_COMPLETE || r->next_in_group != NULL || r->els != NULL || r->is_default)
        return NULL;
    const struct body *b = r->body;
    if (b->len != 2 || !b->items[0]->generated || b->items[0]->kind != EXPR_TERM ||
        !b->items[1]->generated || b->items[1]->kind != EXPR_UNIFY)
        return NULL;
    const struct term *call = b->items[1]->term;
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
        /* query_reference_value("pcr08"): the host's own documents. */
        if (t->callee == NULL || t->callee->kind != CALLEE_HOST || t->callee->arity != 1)
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
static void describe_path(struct plan *p, bool right, const struct term *t)
{
    struct chain k = {.p = p};
    if (!trace_term(&k, t, 0) || k.root == SIDE_NONE)
        return;
    struct prog_part *parts = arena_new_array(p->out, struct prog_part, k.len);
    if (parts == NULL) {
        p->failed = true;
        return;
    }
    memcpy(parts, k.parts, k.len * sizeof(*parts));
    /* constant() may have moved the table. */
    struct prog_expr *e = &p->exprs.items[p->expr];
    struct prog_side *side = right ? &e->right : &e->left;
    side->root = k.root;
    side->len = (uint8_t)k.len;
    side->parts = parts;
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
