/*
 * Loops that an equality narrows: `some b in data.bindings; b.user == input.user`
 * visits only the bindings that a hash index has under that user (loops.c).
 *
 * The equality stays where it is and is tested as ever; the index only leaves out
 * items that would fail there.  So nothing between the loop and the equality may
 * have an effect or raise an error, and the other side must be known before the
 * loop begins: index.c has the same rules for whole rules.
 */
#include "rego/index.h"
#include "rego/plan.h"

#define NARROW_PARTS_MAX 16

/* A reference into what `c[key]` has: its members by name. */
struct narrowing {
    const struct term *key; /* the part of a reference that loops */
    value path[NARROW_PARTS_MAX];
    uint32_t len;
    struct term *to; /* what the member must be equal to */
};

static bool is_free(const struct plan *p, const struct term *t)
{
    return t->kind == TERM_VAR && t->var.id >= VAR_FIRST && !is_bound(p, t);
}

/* Names only: a number means different things in arrays and in base documents. */
static bool take_names(struct narrowing *n, const struct term *ref, uint32_t from)
{
    n->len = 0;
    for (uint32_t i = from; i < ref->len; i++) {
        if (!ast_is_string(ref->items[i]) || n->len == NARROW_PARTS_MAX)
            return false;
        n->path[n->len++] = ref->items[i]->val;
    }
    return true;
}

/* Constants, variables with a value, members of these and of input: no rule is entered for them. */
static bool is_known(const struct plan *p, const struct term *t)
{
    if (t->kind == TERM_VAR)
        return t->var.id >= VAR_FIRST && is_bound(p, t);
    if (t->kind != TERM_REF)
        return ast_is_constant(t);
    const struct term *head = t->items[0];
    if (head->kind != TERM_VAR || (head->var.id != VAR_INPUT && !is_known(p, head)))
        return false;
    for (uint32_t i = 1; i < t->len; i++)
        if (t->items[i]->kind != TERM_VALUE)
            return false;
    return true;
}

/* c[k].a.b: the part k, the last one that has no value yet. */
static const struct term *loop_key(const struct plan *p, const struct term *ref, uint32_t *at)
{
    if (ref->kind != TERM_REF)
        return NULL;
    for (uint32_t i = ref->len; i-- > 1;) {
        if (is_free(p, ref->items[i])) {
            *at = i;
            return ref->items[i];
        }
        if (ref->items[i]->kind != TERM_VALUE)
            return NULL;
    }
    return NULL;
}

static bool sides_of(const struct expr *e, struct term **a, struct term **b)
{
    bool equality = e->kind == EXPR_UNIFY ||
                    (e->kind == EXPR_CALL && e->term->len == 3 && e->term->callee != NULL &&
                     e->term->callee->kind == CALLEE_BUILTIN && !e->term->callee->mocked &&
                     str_is(e->term->callee->name, "equal"));
    if (!equality || e->negated || e->with_count > 0)
        return false;
    *a = e->term->items[1];
    *b = e->term->items[2];
    return true;
}

/* `x` or `x.a.b` on one side, something known on the other. */
static bool narrows(const struct plan *p, const struct expr *e, const struct term *x,
                    struct narrowing *n)
{
    struct term *a, *b;
    if (!sides_of(e, &a, &b))
        return false;
    for (int turn = 0; turn < 2; turn++) {
        const struct term *head = a->kind == TERM_REF ? a->items[0] : a;
        bool of_x = head->kind == TERM_VAR && head->var.id == x->var.id;
        n->len = 0;
        if (of_x && is_known(p, b) && (a->kind == TERM_VAR || take_names(n, a, 1))) {
            n->to = b;
            return true;
        }
        struct term *other = a;
        a = b;
        b = other;
    }
    return false;
}

/* What narrows the loop of literal `at`, if it has one. */
static bool find_narrowing(const struct plan *p, const struct body *body, uint32_t at,
                           struct narrowing *n)
{
    struct term *a, *b;
    uint32_t part;
    const struct expr *e = body->items[at];
    if (!sides_of(e, &a, &b))
        return false;
    if (a->kind == TERM_REF && !is_known(p, a)) {
        struct term *other = a;
        a = b;
        b = other;
    }
    n->key = loop_key(p, b, &part);
    if (n->key == NULL)
        return false;
    n->to = a;
    if (is_known(p, a)) /* c[k].user == input.user */
        return take_names(n, b, part + 1);
    if (!is_free(p, a) || part + 1 != b->len) /* x = c[k], and somewhere behind: x.user == ... */
        return false;
    for (uint32_t i = at + 1; i < body->len && index_is_harmless(body->items[i]); i++)
        if (narrows(p, body->items[i], a, n))
            return true;
    return false;
}

void plan_narrow(struct plan *p, const struct body *body, uint32_t at)
{
    struct narrowing n;
    p->narrowed = NULL;
    if (p->c->options.coverage || p->failed || p->loops.len > UINT8_MAX ||
        !find_narrowing(p, body, at, &n))
        return;
    uint32_t path = add_path(p, n.path, n.len);
    operand to = new_reg(p);
    uint32_t fail = p->fail;
    uint32_t undefined = new_label(p);
    emit(p, OP_UNDEF, 0, to, 0, 0, 0);
    p->fail = undefined;
    emit(p, OP_MOVE, 0, to, plan_known(p, n.to), 0, 0);
    p->fail = fail;
    place_label(p, undefined);
    p->narrowed = n.key;
    p->narrowed_path = path;
    p->narrowed_to = to;
}
