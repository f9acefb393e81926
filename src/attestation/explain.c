#include "attestation/explain.h"

#include <time.h>

#include "attestation/explain_internal.h"
#include "base/clock.h"

#define SCRATCH_MAX ((size_t)64 * 1024 * 1024)
#define BEAM 48 /* changes that are followed at each length; keeps the search within its budget */
/* Evaluations for each kind of search. */
#define BRIEF_EVALUATIONS 70
#define MEND_EVALUATIONS 150
#define SHORTER_EVALUATIONS 60
#define EXPIRED_MAX 64 /* names told */
#define RULES_DEEP 8   /* rules that ask for rules, in what is told of those that held */

static int64_t thread_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* What a guest sends may make each evaluation nearly as slow as the limit of one allows. */
bool search_is_late(const struct search *s)
{
    return thread_ns() > s->until_ns;
}

static void search_done(struct search *s)
{
    arena_done(&s->scratch);
}

static value copied(struct search *s, value v)
{
    return value_is_defined(v) ? value_copy(&s->scratch, v) : VALUE_UNDEFINED;
}

static const struct str *copied_names(struct arena *a, const struct str *names, size_t n)
{
    struct str *out = n == 0 ? NULL : arena_new_array(a, struct str, n);
    for (size_t i = 0; out != NULL && i < n; i++)
        out[i] = arena_str(a, names[i]);
    return out;
}

/* s[x] is x in s, where s is a set that was made of a list. */
static bool is_lookup(const struct rego_trace_rule *r)
{
    enum rego_relation relation = r->relation == REGO_REL_NOT ? r->inner : r->relation;
    return relation == REGO_REL_DEFINED && value_is_defined(r->part) && r->whole_path.len > 0;
}

/* Copied out of the evaluation's memory. */
static struct tried tried_from(struct search *s, const struct rego_trace_rule *r)
{
    struct arena *a = &s->scratch;
    struct tried t = {
        .rule = arena_str(a, r->rule),
        .relation = r->relation,
        .inner = r->inner,
        .held = r->held,
        .left = copied(s, r->left),
        .right = copied(s, r->right),
        .left_path = path_told(a, s->subject, r->left_path),
        .right_path = path_told(a, s->subject, r->right_path),
        .part = copied(s, r->part),
        .whole = copied(s, r->whole),
        .part_path = path_told(a, s->subject, r->part_path),
        .whole_path = path_told(a, s->subject, r->whole_path),
        .row = r->row,
        .col = r->col,
        .head_row = r->head_row,
        .head_col = r->head_col,
        .calls = copied_names(a, r->calls, r->call_count),
        .call_count = r->call_count,
    };
    if (is_lookup(r)) {
        *(r->relation == REGO_REL_NOT ? &t.inner : &t.relation) = REGO_REL_IN;
        t.left = t.part;
        t.left_path = t.part_path;
        t.right = VALUE_UNDEFINED;
    }
    return t;
}

/*
 * A function's argument has no path of its own: it has that of what the caller passed, when the
 * call did not hold either and passed the same value.  A guess that the evaluation proves.
 */
static void lend_paths(struct tried *callee, const struct tried *caller)
{
    enum rego_relation call = caller->relation == REGO_REL_NOT ? caller->inner : caller->relation;
    if (call != REGO_REL_OTHER)
        return;
    for (int i = 0; i < 2; i++) {
        struct str path = i == 0 ? caller->left_path : caller->right_path;
        value v = i == 0 ? caller->left : caller->right;
        if (path.len == 0 || !value_is_defined(v))
            continue;
        if (callee->left_path.len == 0 && value_equal(callee->left, v))
            callee->left_path = path;
        else if (callee->right_path.len == 0 && value_equal(callee->right, v))
            callee->right_path = path;
    }
}

/* A loop tries one expression again and again; the first few tell enough. */
static bool is_told(const struct attempt *at, const struct rego_trace_rule *r)
{
    size_t same = 0;
    for (size_t i = 0; i < at->held_len; i++)
        same += at->held[i].row == r->row && at->held[i].col == r->col &&
                str_equal(at->held[i].rule, r->rule);
    return same >= EXPLAIN_OPERATIONS_MAX;
}

static void take(struct search *s, const struct rego_trace *trace, struct attempt *out)
{
    out->failed_len = out->held_len = 0;
    for (size_t i = 0; i < trace->len; i++) {
        const struct rego_trace_rule *r = &trace->items[i];
        if (r->held && out->held_len < HELD_MAX && !is_told(out, r))
            out->held[out->held_len++] = tried_from(s, r);
        else if (!r->held && out->failed_len < EXPLAIN_RULES_MAX)
            out->failed[out->failed_len++] = tried_from(s, r);
    }
    /* Rules that are called come before those that call them. */
    for (size_t i = 0; i < out->failed_len; i++) {
        for (size_t k = 0; k < i; k++)
            lend_paths(&out->failed[k], &out->failed[i]);
        for (size_t k = 0; k < out->held_len; k++)
            lend_paths(&out->held[k], &out->failed[i]);
    }
}

static bool run(struct search *s, const struct documents *d, struct rego_trace *trace)
{
    *trace = (struct rego_trace){0};
    s->evaluations++;
    return s->subject->passes(s->subject->user, &s->scratch, d->input, d->data, d->references,
                              trace);
}

/* ---- the smallest change ---- */

bool search_try(struct search *s, const struct change *c, struct documents *d, struct attempt *at)
{
    struct rego_trace trace;
    at->passes = false;
    at->failed_len = at->held_len = 0;
    if (!change_apply(&s->scratch, &s->start, c, d))
        return false;
    at->passes = run(s, d, &trace);
    if (!at->passes)
        take(s, &trace, at);
    return true;
}

bool tried_calls(const struct tried *t, struct str rule)
{
    for (size_t i = 0; t->calls != NULL && i < t->call_count; i++)
        if (str_equal(t->calls[i], rule))
            return true;
    return false;
}

static bool rules_have(const struct str *rules, size_t n, struct str rule)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(rules[i], rule))
            return true;
    return false;
}

bool is_result(const struct explain_subject *s, struct str rule)
{
    return rules_have(s->results, s->result_count, rule);
}

size_t search_closure(const struct attempt *at, const struct tried *t,
                      struct str rules[CLOSURE_MAX])
{
    size_t n = 0;
    for (size_t i = 0; t->calls != NULL && i < t->call_count && n < CLOSURE_MAX; i++)
        rules[n++] = t->calls[i];
    for (size_t done = 0; done < n; done++)
        for (size_t k = 0; k < at->held_len; k++) {
            const struct tried *h = &at->held[k];
            for (size_t i = 0; str_equal(h->rule, rules[done]) && h->calls != NULL &&
                               i < h->call_count && n < CLOSURE_MAX;
                 i++)
                if (!rules_have(rules, n, h->calls[i]))
                    rules[n++] = h->calls[i];
        }
    return n;
}

bool change_extend(const struct change *c, const struct operation *op, struct change *out)
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

int change_compare(const struct change *x, const struct change *y)
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

/* How a search goes. */
struct how {
    bool all;      /* each way to make an expression hold, not the preferred one only */
    bool one_rule; /* see level_grow() */
    size_t longest;
    unsigned evaluations; /* since the beginning, at most */
};

/* The changes with one more operation that is for this expression; false when there is none. */
static bool grow_by(struct search *s, const struct how *how, const struct change *from,
                    const struct documents *d, const struct tried *t, int expression,
                    struct level *next)
{
    struct operation ops[OPERATIONS_MAX];
    size_t n = operations_for(&s->scratch, s->subject, d, t, ops);
    for (size_t i = 0; i < n && (i == 0 || how->all); i++) {
        struct change longer;
        ops[i].expression = from->len == 0 ? expression : -1;
        if (change_extend(from, &ops[i], &longer))
            level_add(next, &longer);
    }
    return n > 0;
}

/*
 * `one_rule`: follow only the bodies of the first rule that anything can be done
 * about.  When all rules that failed must hold, the order in which they are
 * mended makes no difference, and this way only one order is looked at.
 *
 * An expression that nothing can be done about directly (`not helper`, `count(deny) == 0`)
 * may hold once a rule that held no longer does.
 */
static void level_grow(struct search *s, const struct how *how, const struct change *from,
                       const struct documents *d, const struct attempt *at, struct level *next)
{
    const struct str *rule = NULL;
    for (size_t i = 0; i < at->failed_len; i++) {
        const struct tried *t = &at->failed[i];
        if (how->one_rule && rule != NULL && !str_equal(t->rule, *rule))
            continue;
        if (grow_by(s, how, from, d, t, (int)i, next)) {
            rule = &t->rule;
            continue;
        }
        const struct str *broken = NULL;
        struct str rules[CLOSURE_MAX];
        size_t n = search_closure(at, t, rules);
        for (size_t k = 0; k < at->held_len; k++) {
            const struct tried *h = &at->held[k];
            if (!rules_have(rules, n, h->rule))
                continue;
            if (how->one_rule && broken != NULL && !str_equal(h->rule, *broken))
                continue;
            if (grow_by(s, how, from, d, h, (int)i, next))
                broken = &h->rule;
        }
        if (broken != NULL)
            rule = &t->rule;
    }
    /* Nothing failed: a rule that makes the decision gave a value that is not good enough. */
    for (size_t k = 0; at->failed_len == 0 && k < at->held_len; k++)
        if (is_result(s->subject, at->held[k].rule))
            grow_by(s, how, from, d, &at->held[k], -1, next);
}

/* Without this operation it still passes?  Then it goes.  False: no time to find out. */
static bool minimise(struct search *s, struct change *c)
{
    for (size_t i = 0; i < c->len && !search_is_late(s);) {
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
    return !search_is_late(s);
}

/* As it is told.  False: it rests on a list with nothing of use in it, or no time is left. */
static bool finish(struct search *s, struct change *c)
{
    struct change fewer;
    struct documents d;
    struct rego_trace trace;
    if (!minimise(s, c))
        return false;
    size_t before = c->len;
    for (size_t i = 0; i < c->len; i++)
        if (change_fold(&s->scratch, &s->start, c, i, &fewer) &&
            change_apply(&s->scratch, &s->start, &fewer, &d) && run(s, &d, &trace))
            *c = fewer;
    if (c->len < before && !minimise(s, c))
        return false;
    for (size_t i = 0; i < c->len; i++)
        if (c->ops[i].seed)
            return false;
    return !search_is_late(s);
}

/*
 * Breadth first over the number of operations: an evaluation says which
 * expressions did not hold, each gives an operation that would make it hold,
 * and a longer change is looked at only when no shorter one passes.
 */
static bool search_change(struct search *s, const struct how *how, struct change *found)
{
    struct level now = {arena_new_array(&s->scratch, struct change, BEAM), 0};
    struct level next = {arena_new_array(&s->scratch, struct change, BEAM), 0};
    struct attempt *at = arena_new(&s->scratch, struct attempt);
    if (now.items == NULL || next.items == NULL || at == NULL)
        return false;
    level_grow(s, how, &(struct change){0}, &s->start, s->first, &now);

    while (now.len > 0 && s->evaluations < how->evaluations && !search_is_late(s)) {
        next.len = 0;
        for (size_t i = 0; i < now.len && s->evaluations < how->evaluations && !search_is_late(s);
             i++) {
            struct documents d;
            if (!search_try(s, &now.items[i], &d, at))
                continue;
            if (at->passes) { /* items are best first */
                *found = now.items[i];
                if (finish(s, found))
                    return true;
                continue;
            }
            if (now.items[i].len < how->longest)
                level_grow(s, how, &now.items[i], &d, at, &next);
        }
        struct level swap = now;
        now = next;
        next = swap;
    }
    return false;
}

/*
 * First short changes of all kinds; then a longer one of what is preferred for each expression,
 * and whether fewer operations do, which serve several expressions; then whatever there is.
 */
static bool find_change(struct search *s, struct change *found)
{
    const struct how brief = {.all = true, .longest = 2, .evaluations = BRIEF_EVALUATIONS};
    if (search_change(s, &brief, found))
        return true;
    if (mend(s, s->evaluations + MEND_EVALUATIONS, found) && finish(s, found)) {
        struct how shorter = {.all = true, .one_rule = true, .longest = found->len - 1};
        struct change less;
        shorter.evaluations = s->evaluations + SHORTER_EVALUATIONS;
        if (found->len > brief.longest + 1 && search_change(s, &shorter, &less) &&
            less.len < found->len)
            *found = less;
        return true;
    }
    const struct how any = {
        .all = true, .longest = EXPLAIN_OPERATIONS_MAX, .evaluations = EXPLAIN_EVALUATIONS_MAX};
    return search_change(s, &any, found);
}

/* ---- expired values that would have counted ---- */

struct expired {
    const struct reference_value *items[EXPIRED_MAX];
    size_t len;
};

static const struct reference_value *expired_entry(struct search *s, struct str path)
{
    const struct explain_subject *x = s->subject;
    struct str name = reference_name(&s->scratch, reference_path(path));
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
    struct attempt *at = arena_new(&s->scratch, struct attempt);
    if (at == NULL)
        return;
    *at = *s->first;
    bool more = true;
    for (int round = 0; more && round < EXPIRED_MAX && !search_is_late(s); round++) {
        more = false;
        for (size_t i = 0; i < at->failed_len; i++) {
            const struct tried *f = &at->failed[i];
            if (!value_is_defined(f->right))
                more |= expired_add(out, expired_entry(s, f->right_path));
            if (!value_is_defined(f->left))
                more |= expired_add(out, expired_entry(s, f->left_path));
            more |= expired_add(out, expired_entry(s, f->whole_path));
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
        take(s, &trace, at);
    }
    for (size_t i = 0; i < at->failed_len; i++) {
        expired_drop(out, expired_entry(s, at->failed[i].right_path));
        expired_drop(out, expired_entry(s, at->failed[i].left_path));
        expired_drop(out, expired_entry(s, at->failed[i].whole_path));
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

/* What of a set that has to be part of another is not there; or the x of s[x]. */
static value lacking(struct arena *a, const struct rego_trace_rule *r)
{
    if (is_lookup(r) && r->relation == REGO_REL_DEFINED && !r->held) {
        value item = value_copy(a, r->part);
        return value_array(a, &item, 1);
    }
    if (value_kind(r->part) != VALUE_KIND_SET || !value_is_defined(r->whole))
        return VALUE_UNDEFINED;
    struct value_builder b;
    value_builder_init(&b, a, value_len(r->part));
    for (size_t i = 0; i < value_len(r->part); i++) {
        value item = value_items(r->part)[i];
        if (!collection_has(r->whole, item))
            value_builder_add(&b, value_copy(a, item));
    }
    value items = value_array_finish(&b);
    return value_len(items) > 0 ? items : VALUE_UNDEFINED;
}

/* INTERFACES.md, Decisions: an absent side was undefined. */
static value rule_value(struct arena *a, const struct rego_trace_rule *r)
{
    struct value_builder b;
    value_builder_init(&b, a, 8);
    value_builder_put_str(&b, "rule", value_string(a, r->rule));
    value_builder_put_str(&b, "file", value_string(a, r->file));
    value_builder_put_str(&b, "row", value_int(a, r->row));
    value_builder_put_str(&b, "col", value_int(a, r->col));
    value_builder_put_str(&b, "expression", value_string(a, r->expression));
    put_side(&b, a, "left", r->left);
    put_side(&b, a, "right", r->right);
    put_side(&b, a, "lacking", lacking(a, r));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value rules_value(struct arena *a, const struct rego_trace *trace)
{
    size_t n = 0;
    struct value_builder list;
    value_builder_init(&list, a, trace->len < EXPLAIN_RULES_MAX ? trace->len : EXPLAIN_RULES_MAX);
    for (size_t i = 0; i < trace->len && n < EXPLAIN_RULES_MAX; i++) {
        if (trace->items[i].held)
            continue;
        n++;
        value_builder_add(&list, rule_value(a, &trace->items[i]));
    }
    return n == 0 ? VALUE_UNDEFINED : value_array_finish(&list);
}

/* Is the rule named in the expression?  `calls` are those of the body as far as it came. */
static bool mentions(const struct rego_trace_rule *r, struct str rule)
{
    size_t name = rule.len;
    while (name > 0 && rule.ptr[name - 1] != '.')
        name--;
    return rule.len > name &&
           memmem(r->expression.ptr, r->expression.len, rule.ptr + name, rule.len - name) != NULL;
}

/* The rules that expressions which did not hold ask for, and those that these ask for. */
static size_t asked_in_vain(const struct rego_trace *trace, struct str rules[CLOSURE_MAX])
{
    size_t n = 0;
    /* Evidence decides how often a loop runs: what is not told is not looked at, either. */
    for (size_t before = SIZE_MAX, round = 0; n != before && round < RULES_DEEP; round++) {
        before = n;
        for (size_t i = 0, failed = 0; i < trace->len; i++) {
            const struct rego_trace_rule *r = &trace->items[i];
            if (r->held ? !rules_have(rules, n, r->rule) : ++failed > EXPLAIN_RULES_MAX)
                continue;
            for (size_t k = 0; k < r->call_count && n < CLOSURE_MAX; k++)
                if (mentions(r, r->calls[k]) && !rules_have(rules, n, r->calls[k]))
                    rules[n++] = r->calls[k];
        }
    }
    return n;
}

static bool is_same_place(const struct rego_trace_rule *x, const struct rego_trace_rule *y)
{
    return x->row == y->row && x->col == y->col && str_equal(x->rule, y->rule);
}

static bool is_later(const struct rego_trace_rule *x, const struct rego_trace_rule *y)
{
    return str_equal(x->rule, y->rule) &&
           (x->row > y->row || (x->row == y->row && x->col > y->col));
}

/*
 * `not revoked` and `count(violation) == 0` did not hold: what made `revoked` and `violation`
 * hold is the reason.  Each expression once, however often a loop met it, and those of a rule as
 * they are written.  Where nothing failed, the rules that make the decision gave what is not good
 * enough (`hardware := 97 if input.snp.policy_debug_allowed`), and are told of.
 */
static value held_value(struct arena *a, const struct explain_subject *s,
                        const struct rego_trace *trace)
{
    struct str rules[CLOSURE_MAX];
    size_t asked = asked_in_vain(trace, rules);
    bool failed = false;
    for (size_t i = 0; i < trace->len && !failed; i++)
        failed = !trace->items[i].held;
    const struct rego_trace_rule *told[EXPLAIN_HELD_MAX];
    size_t n = 0;
    for (size_t i = 0; i < trace->len && n < EXPLAIN_HELD_MAX; i++) {
        const struct rego_trace_rule *r = &trace->items[i];
        bool counts = rules_have(rules, asked, r->rule) || (!failed && is_result(s, r->rule));
        bool again = !r->held || r->expression.len == 0 || !counts;
        for (size_t k = 0; k < n && !again; k++)
            again = is_same_place(told[k], r);
        if (again)
            continue;
        size_t at = n++;
        for (; at > 0 && is_later(told[at - 1], r); at--)
            told[at] = told[at - 1];
        told[at] = r;
    }
    struct value_builder list;
    value_builder_init(&list, a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_add(&list, rule_value(a, told[i]));
    return n == 0 ? VALUE_UNDEFINED : value_array_finish(&list);
}

/* How much an expression tells: a comparison of something with a reference value before all else.
 */
static int telling(const struct tried *f)
{
    bool reference =
        place_of(f->right_path) == PLACE_REFERENCE || place_of(f->left_path) == PLACE_REFERENCE;
    int sides = value_is_defined(f->left) + value_is_defined(f->right);
    return (reference && sides > 0) * 4 + sides;
}

/* A loop over nothing tells nothing: what asks for its rule may. */
static const struct tried *with_sides(const struct search *s, const struct tried *t)
{
    for (size_t i = 0; i < s->first->failed_len && telling(t) == 0; i++)
        if (tried_calls(&s->first->failed[i], t->rule) && telling(&s->first->failed[i]) > 0)
            return &s->first->failed[i];
    return t;
}

static const struct tried *reason_expression(const struct search *s, const struct change *c)
{
    for (size_t i = 0; i < c->len; i++)
        if (c->ops[i].expression >= 0)
            return with_sides(s, &s->first->failed[c->ops[i].expression]);
    const struct tried *best = NULL;
    for (size_t i = 0; i < s->first->failed_len; i++)
        if (best == NULL || telling(&s->first->failed[i]) > telling(best))
            best = &s->first->failed[i];
    return best;
}

/* The side that came from the evidence is the actual one, the other the expected. */
static enum status tell_reason(struct search *s, struct arena *a, const struct change *c,
                               const struct expired *told, struct explanation *out,
                               struct error *err)
{
    const struct tried *f = reason_expression(s, c);
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
    bool member = f->relation == REGO_REL_IN || f->inner == REGO_REL_IN;
    if (member && place_of(f->whole_path) == PLACE_REFERENCE)
        out->check = CHECK_REFERENCE_VALUE;
    /* A set that was made of an expired value is empty. */
    if (expired_has(told, expired_entry(s, f->whole_path)))
        out->check = CHECK_REFERENCE_VALUE_EXPIRED;
    if (place_of(actual_path) == PLACE_INPUT || place_of(actual_path) == PLACE_DATA) {
        out->field = arena_str(a, list_of(actual_path));
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
    *out = (struct explanation){
        .rules = VALUE_UNDEFINED,
        .held = VALUE_UNDEFINED,
        .expired = VALUE_UNDEFINED,
        .change = VALUE_UNDEFINED,
        .examples = VALUE_UNDEFINED,
        .check = CHECK_NONE,
        .expected = VALUE_UNDEFINED,
        .actual = VALUE_UNDEFINED,
    };
    CLEANUP(search_done) struct search s = {.subject = subject};
    arena_init(&s.scratch, SCRATCH_MAX);
    s.until_ns = thread_ns() + EXPLAIN_CPU_NS;
    s.start = (struct documents){subject->input, subject->data, subject->references};

    struct rego_trace trace;
    if (run(&s, &s.start, &trace))
        return OK; /* it passes: nothing to explain */
    out->rules = rules_value(a, &trace);
    out->held = held_value(a, subject, &trace);
    s.first = arena_new(&s.scratch, struct attempt);
    if (s.first == NULL)
        return error_nomem(err);
    take(&s, &trace, s.first);

    struct expired expired = {.len = 0};
    find_expired(&s, &expired);
    out->expired = expired_value(a, &expired);

    struct change change = {.len = 0};
    if (find_change(&s, &change))
        out->change = change_value(a, &s.start, &change);
    else
        change.len = 0;
    out->examples = change_examples(a, &change);
    enum status st = tell_reason(&s, a, &change, &expired, out, err);
    if (st != OK)
        return st;
    return arena_status(a) == OK ? OK : error_nomem(err);
}
