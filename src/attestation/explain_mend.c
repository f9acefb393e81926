#include "attestation/explain_internal.h"

#define DEPTH_MAX 8 /* rules that ask for rules */

struct mending {
    struct search *s;
    unsigned evaluations; /* since the beginning, at most */
};

static bool is_over(const struct mending *m)
{
    return m->s->evaluations >= m->evaluations || search_is_late(m->s);
}

static struct attempt *try_change(struct mending *m, const struct change *c, struct documents *d)
{
    struct attempt *at = arena_new(&m->s->scratch, struct attempt);
    return at != NULL && search_try(m->s, c, d, at) ? at : NULL;
}

static bool same_body(const struct tried *x, const struct tried *y)
{
    return x->head_row == y->head_row && x->head_col == y->head_col && str_equal(x->rule, y->rule);
}

/* The expression at which a body fails; NULL: it does not. */
static const struct tried *failing(const struct attempt *at, const struct tried *body)
{
    for (size_t i = 0; i < at->failed_len; i++)
        if (same_body(&at->failed[i], body))
            return &at->failed[i];
    return NULL;
}

/* Has the body of `t` come further than `t`? */
static bool is_past(const struct attempt *at, const struct tried *t)
{
    const struct tried *now = at->passes ? NULL : failing(at, t);
    return now == NULL || now->row != t->row || now->col != t->col;
}

static void keep_better(struct change *best, bool *any, const struct change *c)
{
    if (!*any || c->len < best->len || (c->len == best->len && change_compare(c, best) < 0))
        *best = *c;
    *any = true;
}

static bool mend_body(struct mending *m, struct change *c, const struct tried *body,
                      unsigned depth);

static bool holds(const struct attempt *at, const struct tried *body)
{
    for (size_t i = 0; i < at->held_len; i++)
        if (same_body(&at->held[i], body))
            return true;
    return false;
}

/*
 * One body less of those that `t` asks for and that held, directly or not: the first operation
 * that achieves it, or gets the body of `t` past it.
 */
static bool break_one(struct mending *m, struct change *c, const struct attempt *at,
                      const struct documents *d, const struct tried *t, unsigned depth)
{
    struct str rules[CLOSURE_MAX];
    size_t n = search_closure(at, t, rules);
    struct change best;
    bool any = false;
    for (size_t i = 0; i < at->held_len && !is_over(m); i++) {
        const struct tried *h = &at->held[i];
        struct operation ops[OPERATIONS_MAX];
        struct change longer = *c;
        struct documents after;
        bool asked = false;
        for (size_t k = 0; k < n && !asked; k++)
            asked = str_equal(rules[k], h->rule);
        if (!asked)
            continue;
        if (operations_for(&m->s->scratch, m->s->subject, d, h, ops) > 0) {
            if (!change_extend(c, &ops[0], &longer))
                continue;
        } else {
            /* `not x` held: it no longer does once x does. */
            const struct tried *f = NULL;
            for (size_t k = 0; k < at->failed_len && f == NULL; k++)
                if (tried_calls(h, at->failed[k].rule))
                    f = &at->failed[k];
            if (f == NULL || !mend_body(m, &longer, f, depth + 1))
                continue;
        }
        if (any && longer.len >= best.len && change_compare(&longer, &best) >= 0)
            continue;
        const struct attempt *now = try_change(m, &longer, &after);
        if (now != NULL && (is_past(now, t) || !holds(now, h)))
            keep_better(&best, &any, &longer);
    }
    if (any)
        *c = best;
    return any;
}

/* Nothing of `t` itself can be changed: what it asks for is made to hold, or not to. */
static bool mend_asked(struct mending *m, struct change *c, const struct attempt *at,
                       const struct documents *d, const struct tried *t, unsigned depth)
{
    struct change best;
    bool any = false;
    for (size_t i = 0; i < at->failed_len && !is_over(m); i++) {
        const struct tried *f = &at->failed[i];
        if (!tried_calls(t, f->rule) || same_body(f, t))
            continue;
        struct change longer = *c;
        struct documents after;
        if (!mend_body(m, &longer, f, depth + 1))
            continue;
        const struct attempt *now = try_change(m, &longer, &after);
        if (now != NULL && is_past(now, t))
            keep_better(&best, &any, &longer);
    }
    struct change longer = *c;
    if (break_one(m, &longer, at, d, t, depth))
        keep_better(&best, &any, &longer);
    if (any)
        *c = best;
    return any;
}

/* Until the body holds. */
static bool mend_body(struct mending *m, struct change *c, const struct tried *body, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    for (;;) {
        struct documents d;
        const struct attempt *at = is_over(m) ? NULL : try_change(m, c, &d);
        if (at == NULL)
            return false;
        const struct tried *t = at->passes ? NULL : failing(at, body);
        if (t == NULL)
            return true;
        struct operation ops[OPERATIONS_MAX];
        struct change longer = *c;
        if (operations_for(&m->s->scratch, m->s->subject, &d, t, ops) > 0) {
            if (!change_extend(c, &ops[0], &longer))
                return false;
        } else if (!mend_asked(m, &longer, at, &d, t, depth)) {
            return false;
        }
        if (longer.len <= c->len)
            return false;
        *c = longer;
    }
}

/* The first rule that makes the decision; without one, a rule that no other expression asks for. */
static const struct tried *root_of(const struct search *s, const struct attempt *at)
{
    for (size_t i = 0; i < at->failed_len; i++)
        if (is_result(s->subject, at->failed[i].rule))
            return &at->failed[i];
    for (size_t i = 0; i < at->failed_len; i++) {
        bool asked = false;
        for (size_t k = 0; k < at->failed_len && !asked; k++)
            asked = tried_calls(&at->failed[k], at->failed[i].rule);
        for (size_t k = 0; k < at->held_len && !asked; k++)
            asked = tried_calls(&at->held[k], at->failed[i].rule);
        if (!asked)
            return &at->failed[i];
    }
    return NULL;
}

bool mend(struct search *s, unsigned evaluations, struct change *out)
{
    struct mending m = {s, evaluations};
    struct change c = {.len = 0};
    for (;;) {
        struct documents d;
        const struct attempt *at = is_over(&m) ? NULL : try_change(&m, &c, &d);
        if (at == NULL)
            return false;
        if (at->passes) {
            *out = c;
            return true;
        }
        const struct tried *root = root_of(s, at);
        struct change best;
        bool any = false;
        for (size_t i = 0; root != NULL && i < at->failed_len; i++) {
            struct change longer = c;
            if (str_equal(at->failed[i].rule, root->rule) &&
                mend_body(&m, &longer, &at->failed[i], 0))
                keep_better(&best, &any, &longer);
        }
        if (!any || best.len <= c.len)
            return false;
        c = best;
    }
}
