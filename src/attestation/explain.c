#include "attestation/explain.h"

#include <time.h>

#include "attestation/explain_internal.h"
#include "base/clock.h"

#define SCRATCH_MAX ((size_t)64 * 1024 * 1024)
#define BEAM 48 /* changes that are followed at each length; keeps the search within its budget */
#define BROAD_EVALUATIONS                                                                          \
    80                 /* of the exhaustive search; then rules are mended one after the other */
#define EXPIRED_MAX 64 /* names told */

/* One search; everything lives in `scratch` until it is over. */
struct search {
    const struct explain_subject *subject;
    struct arena scratch;
    struct documents start;
    struct failed first[EXPLAIN_RULES_MAX]; /* of the unchanged evaluation */
    size_t first_len;
    unsigned evaluations;
    int64_t until_ns; /* of the thread's own clock */
};

static int64_t thread_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* What a guest sends may make each evaluation nearly as slow as the limit of one allows. */
static bool is_late(const struct search *s)
{
    return thread_ns() > s->until_ns;
}

static void search_done(struct search *s)
{
    arena_done(&s->scratch);
}

/* What did not hold, copied out of the evaluation's memory. */
static size_t failures(struct search *s, const struct rego_trace *trace, struct failed *out)
{
    size_t n = 0;
    struct arena *a = &s->scratch;
    for (size_t i = 0; i < trace->len && n < EXPLAIN_RULES_MAX; i++) {
        const struct rego_trace_rule *r = &trace->items[i];
        out[n++] = (struct failed){
            arena_str(a, r->rule),
            r->relation,
            value_is_defined(r->left) ? value_copy(a, r->left) : VALUE_UNDEFINED,
            value_is_defined(r->right) ? value_copy(a, r->right) : VALUE_UNDEFINED,
            path_told(a, s->subject, r->left_path),
            path_told(a, s->subject, r->right_path),
        };
    }
    return n;
}

static bool run(struct search *s, const struct documents *d, struct rego_trace *trace)
{
    *trace = (struct rego_trace){0};
    s->evaluations++;
    return s->subject->passes(s->subject->user, &s->scratch, d->input, d->data, d->references,
                              trace);
}

/* ---- the smallest change ---- */

/* A change with one more operation, in order; false when it has that one, or is full. */
static bool extend(const struct change *c, const struct operation *op, struct change *out)
{
    if (c->len == EXPLAIN_OPERATIONS_MAX)
        return false;
    size_t at = 0;
    while (at < c->len && operation_compare(&c->ops[at], op) < 0)
        at++;
    if (at < c->len && operation_compare(&c->ops[at], op) == 0)
        return false;
    *out = *c;
    memmove(&out->ops[at + 1], &out->ops[at], (c->len - at) * sizeof(*op));
    out->ops[at] = *op;
    out->len++;
    return true;
}

static int change_compare(const struct change *x, const struct change *y)
{
    for (size_t i = 0; i < x->len && i < y->len; i++) {
        int c = operation_compare(&x->ops[i], &y->ops[i]);
        if (c != 0)
            return c;
    }
    return (x->len > y->len) - (x->len < y->len);
}

/* Changes of one length, best first, each once. */
struct level {
    struct change *items;
    size_t len;
};

static void level_add(struct level *l, const struct change *c)
{
    size_t at = 0;
    while (at < l->len && change_compare(&l->items[at], c) < 0)
        at++;
    if (at == BEAM || (at < l->len && change_compare(&l->items[at], c) == 0))
        return;
    size_t tail = (l->len < BEAM ? l->len : BEAM - 1) - at;
    memmove(&l->items[at + 1], &l->items[at], tail * sizeof(*c));
    l->items[at] = *c;
    if (l->len < BEAM)
        l->len++;
}

/*
 * `one_rule`: follow only the bodies of the first rule that anything can be done
 * about.  When all rules that failed must hold, the order in which they are
 * mended makes no difference, and this way only one order is looked at.
 */
static void level_grow(struct search *s, const struct change *from, const struct documents *d,
                       const struct failed *failed, size_t n, bool one_rule, struct level *next)
{
    const struct str *rule = NULL;
    for (size_t i = 0; i < n; i++) {
        struct operation op;
        struct change longer;
        if (one_rule && rule != NULL && !str_equal(failed[i].rule, *rule))
            continue;
        if (!operation_for(&s->scratch, s->subject, d, &failed[i], &op))
            continue;
        rule = &failed[i].rule;
        op.expression = from->len == 0 ? (int)i : -1;
        if (extend(from, &op, &longer))
            level_add(next, &longer);
    }
}

/* Without this operation it still passes?  Then it goes.  False: no time to find out. */
static bool minimise(struct search *s, struct change *c)
{
    for (size_t i = 0; i < c->len && !is_late(s);) {
        struct change less = *c;
        struct documents d;
        struct rego_trace trace;
        memmove(&less.ops[i], &less.ops[i + 1], (less.len - i - 1) * sizeof(less.ops[0]));
        less.len--;
        if (change_apply(&s->scratch, &s->start, &less, &d) && run(s, &d, &trace)) {
            *c = less;
            i = 0;
        } else {
            i++;
        }
    }
    return !is_late(s);
}

/*
 * Breadth first over the number of operations: an evaluation says which
 * expressions did not hold, each gives an operation that would make it hold,
 * and a longer change is looked at only when no shorter one passes.
 */
static bool search_change(struct search *s, bool one_rule, unsigned budget, struct change *found)
{
    struct level now = {arena_new_array(&s->scratch, struct change, BEAM), 0};
    struct level next = {arena_new_array(&s->scratch, struct change, BEAM), 0};
    struct failed *failed = arena_new_array(&s->scratch, struct failed, EXPLAIN_RULES_MAX);
    if (now.items == NULL || next.items == NULL || failed == NULL)
        return false;
    level_grow(s, &(struct change){0}, &s->start, s->first, s->first_len, one_rule, &now);

    while (now.len > 0 && s->evaluations < budget && !is_late(s)) {
        next.len = 0;
        for (size_t i = 0; i < now.len && s->evaluations < budget && !is_late(s); i++) {
            struct documents d;
            struct rego_trace trace;
            if (!change_apply(&s->scratch, &s->start, &now.items[i], &d))
                continue;
            if (run(s, &d, &trace)) { /* items are best first */
                *found = now.items[i];
                return minimise(s, found);
            }
            size_t n = failures(s, &trace, failed);
            level_grow(s, &now.items[i], &d, failed, n, one_rule, &next);
        }
        struct level swap = now;
        now = next;
        next = swap;
    }
    return false;
}

/* ---- expired values that would have counted ---- */

struct expired {
    const struct reference_value *items[EXPIRED_MAX];
    size_t len;
};

static const struct reference_value *expired_entry(struct search *s, struct str path)
{
    const struct explain_subject *x = s->subject;
    struct str name = reference_name(&s->scratch, path);
    if (name.ptr == NULL || x->reference_values == NULL ||
        !rvps_enforces_expiration(x->reference_values))
        return NULL;
    const struct reference_value *v = rvps_entry(x->reference_values, name);
    return v != NULL && x->now_s > v->expires_s ? v : NULL;
}

static bool expired_has(const struct expired *e, const struct reference_value *v)
{
    for (size_t i = 0; i < e->len; i++)
        if (e->items[i] == v)
            return true;
    return false;
}

static bool expired_add(struct expired *e, const struct reference_value *v)
{
    if (v == NULL || e->len == EXPIRED_MAX || expired_has(e, v))
        return false;
    e->items[e->len++] = v;
    return true;
}

static void expired_drop(struct expired *e, const struct reference_value *v)
{
    for (size_t i = 0; i < e->len; i++) {
        if (e->items[i] != v)
            continue;
        e->items[i] = e->items[--e->len];
        return;
    }
}

/*
 * Put the expired values that an evaluation missed back and evaluate again,
 * until it misses no more.  One with which its expression still does not hold
 * would not have counted.
 */
static void find_expired(struct search *s, struct expired *out)
{
    struct documents d = s->start;
    struct failed *failed = arena_new_array(&s->scratch, struct failed, EXPLAIN_RULES_MAX);
    if (failed == NULL)
        return;
    memcpy(failed, s->first, s->first_len * sizeof(*failed));
    size_t n = s->first_len;
    bool more = true;
    for (int round = 0; more && round < EXPIRED_MAX && !is_late(s); round++) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            const struct failed *f = &failed[i];
            if (!value_is_defined(f->right))
                more |= expired_add(out, expired_entry(s, f->right_path));
            if (!value_is_defined(f->left))
                more |= expired_add(out, expired_entry(s, f->left_path));
        }
        if (!more)
            break;
        for (size_t i = 0; i < out->len; i++)
            d.references = value_object_with(&s->scratch, d.references,
                                             value_string(&s->scratch, out->items[i]->name),
                                             out->items[i]->val);
        struct rego_trace trace;
        if (!value_is_defined(d.references) || run(s, &d, &trace))
            return;
        n = failures(s, &trace, failed);
    }
    for (size_t i = 0; i < n; i++) {
        expired_drop(out, expired_entry(s, failed[i].right_path));
        expired_drop(out, expired_entry(s, failed[i].left_path));
    }
}

static int expired_order(const struct reference_value *x, const struct reference_value *y)
{
    return str_compare(x->name, y->name);
}

static value expired_value(struct arena *a, struct expired *e)
{
    if (e->len == 0)
        return VALUE_UNDEFINED;
    for (size_t i = 1; i < e->len; i++)
        for (size_t k = i; k > 0 && expired_order(e->items[k - 1], e->items[k]) > 0; k--) {
            const struct reference_value *swap = e->items[k];
            e->items[k] = e->items[k - 1];
            e->items[k - 1] = swap;
        }
    struct value_builder list;
    value_builder_init(&list, a, e->len);
    for (size_t i = 0; i < e->len; i++) {
        struct value_builder b;
        value_builder_init(&b, a, 2);
        value_builder_put_str(&b, "name", value_string(a, e->items[i]->name));
        value_builder_put_str(&b, "expiration", value_string(a, e->items[i]->expires));
        value_builder_add(&list, value_object_finish(&b, VALUE_DUP_LAST, NULL));
    }
    return value_array_finish(&list);
}

/* ---- the story ---- */

static void put_side(struct value_builder *b, struct arena *a, const char *key, value v)
{
    if (value_is_defined(v))
        value_builder_put_str(b, key, value_copy(a, v));
}

/* INTERFACES.md, Decisions: an absent side was undefined. */
static value rules_value(struct arena *a, const struct rego_trace *trace)
{
    size_t n = trace->len < EXPLAIN_RULES_MAX ? trace->len : EXPLAIN_RULES_MAX;
    if (n == 0)
        return VALUE_UNDEFINED;
    struct value_builder list;
    value_builder_init(&list, a, n);
    for (size_t i = 0; i < n; i++) {
        const struct rego_trace_rule *r = &trace->items[i];
        struct value_builder b;
        value_builder_init(&b, a, 7);
        value_builder_put_str(&b, "rule", value_string(a, r->rule));
        value_builder_put_str(&b, "file", value_string(a, r->file));
        value_builder_put_str(&b, "row", value_int(a, r->row));
        value_builder_put_str(&b, "col", value_int(a, r->col));
        value_builder_put_str(&b, "expression", value_string(a, r->expression));
        put_side(&b, a, "left", r->left);
        put_side(&b, a, "right", r->right);
        value_builder_add(&list, value_object_finish(&b, VALUE_DUP_LAST, NULL));
    }
    return value_array_finish(&list);
}

/* How much an expression tells: a comparison of something with a reference value before all else.
 */
static int telling(const struct failed *f)
{
    bool reference =
        place_of(f->right_path) == PLACE_REFERENCE || place_of(f->left_path) == PLACE_REFERENCE;
    int sides = value_is_defined(f->left) + value_is_defined(f->right);
    return (reference && sides > 0) * 4 + sides;
}

static const struct failed *reason_expression(const struct search *s, const struct change *c)
{
    for (size_t i = 0; i < c->len; i++)
        if (c->ops[i].expression >= 0)
            return &s->first[c->ops[i].expression];
    const struct failed *best = NULL;
    for (size_t i = 0; i < s->first_len; i++)
        if (best == NULL || telling(&s->first[i]) > telling(best))
            best = &s->first[i];
    return best;
}

/* The side that came from the evidence is the actual one, the other the expected. */
static enum status tell_reason(struct search *s, struct arena *a, const struct change *c,
                               struct explanation *out, struct error *err)
{
    const struct failed *f = reason_expression(s, c);
    if (f == NULL)
        return OK;
    bool right_is_actual =
        place_of(f->right_path) == PLACE_INPUT && place_of(f->left_path) != PLACE_INPUT;
    struct str actual_path = right_is_actual ? f->right_path : f->left_path;
    struct str other_path = right_is_actual ? f->left_path : f->right_path;
    value actual = right_is_actual ? f->right : f->left;
    value expected = right_is_actual ? f->left : f->right;

    out->check = CHECK_POLICY;
    if (place_of(other_path) == PLACE_REFERENCE || place_of(actual_path) == PLACE_REFERENCE) {
        bool expired = (expired_entry(s, other_path) != NULL && !value_is_defined(expected)) ||
                       (expired_entry(s, actual_path) != NULL && !value_is_defined(actual));
        out->check = expired ? CHECK_REFERENCE_VALUE_EXPIRED : CHECK_REFERENCE_VALUE;
    }
    if (place_of(actual_path) == PLACE_INPUT || place_of(actual_path) == PLACE_DATA) {
        out->field = arena_str(a, actual_path);
        if (out->field.ptr == NULL)
            return error_nomem(err);
    }
    if (value_is_defined(actual))
        out->actual = value_copy(a, actual);
    if (value_is_defined(expected))
        out->expected = value_copy(a, expected);
    return OK;
}

enum status explain(struct arena *a, const struct explain_subject *subject, struct explanation *out,
                    struct error *err)
{
    *out = (struct explanation){VALUE_UNDEFINED, VALUE_UNDEFINED, VALUE_UNDEFINED, CHECK_NONE,
                                STR_EMPTY,       VALUE_UNDEFINED, VALUE_UNDEFINED};
    CLEANUP(search_done) struct search s = {.subject = subject};
    arena_init(&s.scratch, SCRATCH_MAX);
    s.until_ns = thread_ns() + EXPLAIN_CPU_NS;
    s.start = (struct documents){subject->input, subject->data, subject->references};

    struct rego_trace trace;
    if (run(&s, &s.start, &trace))
        return OK; /* it passes: nothing to explain */
    out->rules = rules_value(a, &trace);
    s.first_len = failures(&s, &trace, s.first);

    struct expired expired = {.len = 0};
    find_expired(&s, &expired);
    out->expired = expired_value(a, &expired);

    struct change change = {.len = 0};
    if (search_change(&s, false, s.evaluations + BROAD_EVALUATIONS, &change) ||
        search_change(&s, true, EXPLAIN_EVALUATIONS_MAX, &change))
        out->change = change_value(a, &change);
    enum status st = tell_reason(&s, a, &change, out, err);
    if (st != OK)
        return st;
    return arena_status(a) == OK ? OK : error_nomem(err);
}
