/*
 * Literals: calls, negation, every, with, and, or, comprehensions.
 */
#include "rego/plan.h"

/* What a nested body must leave as it was. */
struct nest {
    uint32_t fail;
    uint32_t trail;
};

static struct nest enter(struct plan *p, uint32_t fail)
{
    struct nest n = {p->fail, trail_mark(p)};
    p->fail = fail;
    return n;
}

static void leave(struct plan *p, struct nest n)
{
    p->fail = n.fail;
    trail_undo(p, n.trail);
}

/* ---- calls ---- */

static bool is_called(const struct term *call, const char *name)
{
    return call->callee->kind == CALLEE_BUILTIN && !call->callee->mocked &&
           str_is(call->callee->name, name);
}

/* Comparisons: the instruction, and whether its operands are swapped. */
struct comparison {
    const char *name;
    enum opcode op;
    uint8_t number; /* of COMPARE */
    bool swap;
};

static const struct comparison comparisons[] = {
    {"equal", OP_EQ, 0, false}, {"neq", OP_NEQ, 1, false}, {"lt", OP_LT, 2, false},
    {"lte", OP_LE, 3, false},   {"gt", OP_LT, 2, true},    {"gte", OP_LE, 3, true},
};

static const struct comparison *comparison_of(const struct term *call)
{
    for (size_t i = 0; i < ARRAY_LEN(comparisons); i++)
        if (is_called(call, comparisons[i].name))
            return &comparisons[i];
    return NULL;
}

static char arithmetic_of(const struct term *call)
{
    return is_called(call, "plus")    ? '+'
           : is_called(call, "minus") ? '-'
           : is_called(call, "mul")   ? '*'
                                      : '\0';
}

static void plan_comparison(struct plan *p, const struct comparison *cmp, struct term *call,
                            bool captured)
{
    operand x = plan_value(p, call->items[1]);
    describe_side(p, false, call->items[1], x);
    operand y = plan_value(p, call->items[2]);
    describe_side(p, true, call->items[2], y);
    operand a = cmp->swap ? y : x;
    operand b = cmp->swap ? x : y;
    if (!captured) {
        emit(p, cmp->op, 0, a, b, 0, p->fail);
        return;
    }
    operand r = new_reg(p);
    emit(p, OP_COMPARE, cmp->number, r, a, b, 0);
    plan_match(p, call->items[3], r);
}

static void record_constant_call(struct plan *p, const struct term *call)
{
    if (call->len < 2 || !ast_is_string(call->items[1]) || call->callee->arity != 1)
        return;
    struct prog_constant_call k = {
        arena_str(p->out, call->callee->name),
        arena_str(p->out, value_str(call->items[1]->val)),
    };
    for (uint32_t i = 0; i < p->constant_calls.len; i++)
        if (str_equal(p->constant_calls.items[i].function, k.function) &&
            str_equal(p->constant_calls.items[i].arg, k.arg))
            return;
    PLAN_PUSH(p, p->constant_calls, k);
}

/* Operands in consecutive registers. */
static operand plan_operands(struct plan *p, struct term *call, uint32_t n)
{
    operand *xs = arena_new_array(p->scratch, operand, n);
    if (xs == NULL) {
        p->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        xs[i] = plan_value(p, call->items[i + 1]);
        if (i < 2)
            describe_side(p, i == 1, call->items[i + 1], xs[i]);
    }
    operand first = new_regs(p, n);
    for (uint32_t i = 0; i < n; i++)
        emit(p, OP_MOVE, 0, first + i, xs[i], 0, 0);
    return first;
}

/* A built-in of one or two operands takes them where they are. */
static bool plan_short_call(struct plan *p, struct term *call, uint32_t n, uint32_t external,
                            operand *out)
{
    if (n == 0 || n > 2 || external > UINT8_MAX || call->callee->mocked)
        return false;
    operand xs[2] = {0, 0};
    for (uint32_t i = 0; i < n; i++) {
        xs[i] = plan_value(p, call->items[i + 1]);
        describe_side(p, i == 1, call->items[i + 1], xs[i]);
    }
    *out = new_reg(p);
    emit(p, n == 1 ? OP_CALL_1 : OP_CALL_2, external, *out, xs[0], xs[1], p->fail);
    return true;
}

/* v > data.l[v]: operands in an order in which each has what it needs. */
static struct term *order_operands(struct plan *p, struct term *call, uint32_t n)
{
    bool copied = false;
    for (uint32_t i = 1; i <= n && !p->failed; i++) {
        if (can_evaluate(p, call->items[i]))
            continue;
        if (!copied) {
            struct term *copy = ast_list(p->scratch, TERM_CALL, call->items, call->len, call->pos);
            if (copy == NULL) {
                p->failed = true;
                return call;
            }
            copy->callee = call->callee;
            call = copy;
            copied = true;
        }
        bool progress = false;
        for (uint32_t k = 1; k <= n && !progress && !p->failed; k++)
            progress = plan_loop_first(p, &call->items[k]);
        if (!progress)
            break;
        i = 0;
    }
    return call;
}

/* The last argument receives the result. */
static void plan_result(struct plan *p, struct term *call, uint32_t n, operand r)
{
    plan_match(p, call->items[n + 1], r);
    if (call->items[n + 1]->kind == TERM_VAR && call->items[n + 1]->var.id < p->where_cap)
        p->origins[call->items[n + 1]->var.id] = call;
}

/* Strings and array indexes, whose spelling does not matter for finding them. */
static bool is_step(const struct term *t)
{
    return t->kind == TERM_VALUE &&
           (value_is_string(t->val) || (value_is_small(t->val) && value_small(t->val) >= 0));
}

/*
 * walk(x, [path, v]): no paths where nobody asks for them; where the path is written
 * as an array, only nodes as deep as that, below what it begins with.
 */
static bool plan_walk(struct plan *p, struct term *call, operand *out)
{
    struct term *result = call->len == 3 ? call->items[2] : NULL;
    if (result == NULL || result->kind != TERM_ARRAY || result->len != 2 ||
        !str_is(call->callee->name, "walk"))
        return false;
    const struct term *path = result->items[0];
    bool unused = path->kind == TERM_VAR && path->wildcard && !is_bound(p, path);
    if (!unused && (path->kind != TERM_ARRAY || path->len + 2 > UINT8_MAX))
        return false;
    struct value_builder b;
    value_builder_init(&b, p->scratch, 0);
    for (uint32_t i = 0; !unused && i < path->len && is_step(path->items[i]); i++)
        value_builder_add(&b, path->items[i]->val);
    value prefix = value_array_finish(&b);
    if (!value_is_defined(prefix)) {
        p->failed = true;
        return true;
    }
    operand x = plan_value(p, call->items[1]);
    describe_side(p, false, call->items[1], x);
    *out = new_reg(p);
    emit(p, OP_WALK, unused ? 1 : path->len + 2, *out, x, constant(p, prefix), 0);
    return true;
}

/* Membership in a constant array of some length: in the set of its items, by hash. */
static operand as_set(struct plan *p, operand x)
{
    if ((x & OPERAND_CONST) == 0 || p->failed)
        return x;
    value array = p->consts.items[x & ~OPERAND_CONST];
    if (!value_is_array(array) || value_len(array) <= VALUE_LINEAR_MAX)
        return x;
    struct value_builder b;
    value_builder_init(&b, p->scratch, value_len(array));
    for (size_t i = 0; i < value_len(array); i++)
        value_builder_add(&b, value_items(array)[i]);
    value set = value_set_finish(&b);
    p->failed |= !value_is_defined(set);
    return p->failed ? x : constant(p, set);
}

static void plan_call(struct plan *p, struct term *call)
{
    const struct callee *f = call->callee;
    uint32_t n = f->arity < 0 ? call->len - 1 : (uint32_t)f->arity;
    call = order_operands(p, call, n);
    bool captured = call->len - 1 > n;
    value folded;
    if (captured && fold_call(p, call, n, &folded)) {
        plan_result(p, call, n, constant(p, folded));
        return;
    }
    const struct comparison *cmp = comparison_of(call);
    if (cmp != NULL) {
        plan_comparison(p, cmp, call, captured);
        return;
    }
    if (!captured && is_called(call, "internal.member_2")) {
        operand x = plan_value(p, call->items[1]);
        describe_side(p, false, call->items[1], x);
        operand y = plan_value(p, call->items[2]);
        describe_side(p, true, call->items[2], y);
        describe_member(p, call->items[2]);
        y = as_set(p, y);
        emit(p, OP_IN, is_document(p, call->items[2]), x, y, 0, p->fail);
        return;
    }
    operand r = 0;
    char sign = arithmetic_of(call);
    if (sign != '\0') {
        operand x = plan_value(p, call->items[1]);
        operand y = plan_value(p, call->items[2]);
        if (sign == '-')
            describe_minus(p, call, x, y);
        r = new_reg(p);
        emit(p, OP_ARITH, (uint8_t)sign, r, x, y, p->fail);
    } else if (f->kind == CALLEE_RULE) {
        operand first = plan_operands(p, call, n);
        r = new_reg(p);
        emit(p, OP_CALL_RULE, n, r, first, f->group->index, p->fail);
    } else {
        uint32_t external = external_index(p, f);
        if (f->kind == CALLEE_HOST || n == 1)
            record_constant_call(p, call);
        bool done =
            f->relation ? plan_walk(p, call, &r) : plan_short_call(p, call, n, external, &r);
        if (!done) {
            operand first = plan_operands(p, call, n);
            r = new_reg(p);
            emit(p, f->relation ? OP_CALL_ALL : OP_CALL, n, r, first, external, p->fail);
        }
    }
    if (f->relation) {
        operand state = new_regs(p, 2);
        operand item = new_reg(p);
        emit(p, OP_SCAN, 0, state, r, 0, p->fail);
        uint32_t next = new_label(p);
        place_label(p, next);
        emit(p, OP_NEXT, 0, state, OPERAND_NONE, item, p->fail);
        p->fail = next;
        r = item;
    }
    if (captured) {
        plan_result(p, call, n, r);
    } else if (f->has_result) {
        describe_side(p, false, NULL, r);
        emit(p, OP_TEST, 0, r, 0, 0, p->fail);
    }
}

/* ---- with ---- */

static bool same_withs(const struct expr *a, const struct expr *b)
{
    return a->with_count == b->with_count && a->withs == b->withs;
}

static uint32_t target_node(struct plan *p, const struct term *target)
{
    struct tree_node *n = p->c->root;
    for (uint32_t i = 1; n != NULL && i < target->len; i++)
        n = target->items[i]->kind == TERM_VALUE ? tree_child(p->c, n, target->items[i]->val)
                                                 : NULL;
    return n == NULL ? FN_NONE : n->pre;
}

static struct prog_target plan_target(struct plan *p, const struct with *w)
{
    struct prog_target t = {.node = FN_NONE};
    if (w->callee == NULL) {
        bool input = w->target->items[0]->var.id == VAR_INPUT;
        t.kind = input ? WITH_INPUT : WITH_DATA;
        t.path_len = w->target->len - 1;
        if (!input)
            t.node = target_node(p, w->target);
        return t;
    }
    bool rule = w->callee->kind == CALLEE_RULE;
    t.what = rule ? w->callee->group->index : external_index(p, w->callee);
    if (w->replacement == NULL) {
        t.kind = rule ? WITH_RULE_VALUE : WITH_EXTERNAL_VALUE;
        return t;
    }
    t.kind = rule ? WITH_RULE_FN : WITH_EXTERNAL_FN;
    t.replacement = w->replacement->kind == CALLEE_RULE
                        ? w->replacement->group->index
                        : REPLACEMENT_EXTERNAL | external_index(p, w->replacement);
    return t;
}

/* Values and path keys in a row, then the instruction that enters the modifiers. */
static operand plan_enter_with(struct plan *p, const struct expr *e)
{
    struct prog_target *targets = arena_new_array(p->out, struct prog_target, e->with_count);
    GROWING(operand) xs = {0};
    if (targets == NULL) {
        p->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < e->with_count; i++) {
        const struct with *w = &e->withs[i];
        targets[i] = plan_target(p, w);
        if (w->replacement == NULL)
            PLAN_PUSH(p, xs, plan_value(p, w->val));
        for (uint32_t k = 1; w->callee == NULL && k < w->target->len; k++)
            PLAN_PUSH(p, xs, plan_value(p, w->target->items[k]));
    }
    operand first = new_regs(p, xs.len);
    for (uint32_t i = 0; i < xs.len; i++)
        emit(p, OP_MOVE, 0, first + i, xs.items[i], 0, 0);
    uint32_t index = PLAN_PUSH(p, p->withs, ((struct prog_with){e->with_count, targets}));
    operand handle = new_reg(p);
    emit(p, OP_WITH, 0, handle, first, index, 0);
    return handle;
}

static void plan_plain(struct plan *p, struct expr *e);

/*
 *   WITH           -> fail: outside, before the modifiers
 *   ...literals    -> fail: leave, then outside
 *   WITH_END
 *   ...rest of the body; when that fails: enter again, next solution inside
 */
static void plan_with(struct plan *p, struct expr *const *items, uint32_t n)
{
    operand handle = plan_enter_with(p, items[0]);
    uint32_t outer = p->fail;
    uint32_t quit = new_label(p);
    uint32_t over = new_label(p);
    p->fail = quit;
    for (uint32_t i = 0; i < n; i++)
        plan_plain(p, items[i]);
    uint32_t inner = p->fail;
    uint32_t again = inner != quit ? new_label(p) : over;
    emit(p, OP_WITH_END, 0, 0, 0, 0, again);
    emit(p, OP_JUMP, 0, 0, 0, 0, over);
    if (inner != quit) {
        place_label(p, again);
        emit(p, OP_WITH_AGAIN, 0, handle, 0, 0, 0);
        emit(p, OP_JUMP, 0, 0, 0, 0, inner);
        p->fail = again;
    } else {
        p->fail = outer;
    }
    place_label(p, quit);
    emit(p, OP_WITH_END, 0, 0, 0, 0, outer);
    emit(p, OP_JUMP, 0, 0, 0, 0, outer);
    place_label(p, over);
}

/* ---- literals ---- */

static bool is_equality(const struct plan *p, const struct expr *e)
{
    /* In rules `==` has become `=` (spec 4.3); a query keeps it as a call. */
    return e->kind == EXPR_CALL && !p->in_query && e->term->len == 3 && is_called(e->term, "equal");
}

static void plan_core(struct plan *p, struct expr *e)
{
    switch (e->kind) {
    case EXPR_TERM: {
        uint32_t reads = p->reads.len;
        operand x = plan_value(p, e->term);
        if (e->term->kind == TERM_REF && p->reads.len == reads + 1 && !e->captured)
            p->reads.items[reads].tested = true;
        describe_side(p, false, e->term, x);
        describe_lookup(p, e->term);
        bool always = e->term->kind == TERM_VALUE && e->term->val.word != VALUE_FALSE.word;
        if (!always)
            emit(p, OP_TEST, 0, x, 0, 0, p->fail);
        break;
    }
    case EXPR_UNIFY:
        plan_unify(p, e->term->items[1], e->term->items[2], e->pos);
        break;
    default:
        if (is_equality(p, e))
            plan_unify(p, e->term->items[1], e->term->items[2], e->pos);
        else
            plan_call(p, e->term);
    }
}

/* `not e`, legacy: parts of e that OPA hoists are computed before, and may fail the body. */
static void plan_negated(struct plan *p, struct expr *e)
{
    struct expr inner = *e;
    if (e->kind == EXPR_TERM) {
        inner.term = plan_hoist(p, e->term, true);
    } else {
        bool sides = e->kind == EXPR_UNIFY || is_equality(p, e);
        struct term **items = arena_new_array(p->scratch, struct term *, e->term->len);
        if (items == NULL) {
            p->failed = true;
            return;
        }
        items[0] = e->term->items[0];
        for (uint32_t i = 1; i < e->term->len; i++)
            items[i] = plan_hoist(p, e->term->items[i], sides);
        inner.term = ast_list(p->scratch, TERM_CALL, items, e->term->len, e->term->pos);
        if (inner.term == NULL) {
            p->failed = true;
            return;
        }
        inner.term->callee = e->term->callee;
    }
    uint32_t holds = new_label(p);
    struct nest n = enter(p, holds);
    plan_core(p, &inner);
    mark_line(p, p->expr);
    leave(p, n);
    emit(p, OP_FAIL, 0, 0, 0, 0, p->fail);
    place_label(p, holds);
}

static void plan_not_body(struct plan *p, struct expr *e)
{
    uint32_t holds = new_label(p);
    uint32_t expr = p->expr;
    struct nest n = enter(p, holds);
    plan_body(p, e->body);
    leave(p, n);
    describe_not_body(p, expr, e);
    mark_line(p, expr);
    emit(p, OP_FAIL, 0, 0, 0, 0, p->fail);
    place_label(p, holds);
}

static void plan_every(struct plan *p, struct expr *e)
{
    operand domain = plan_value(p, e->domain);
    operand state = new_regs(p, 2);
    operand key = new_reg(p);
    operand val = new_reg(p);
    uint32_t done = new_label(p);
    uint32_t next = new_label(p);
    uint32_t expr = p->expr;
    /* n 1: an empty collection is fine, only another kind fails. */
    emit(p, OP_SCAN, 1, state, domain, 0, p->fail);
    place_label(p, next);
    emit(p, OP_NEXT, 0, state, key, val, done);
    struct nest n = enter(p, p->fail);
    bind_slot(p, e->key, key);
    bind_slot(p, e->val, val);
    describe_item(p, e);
    plan_body(p, e->body);
    leave(p, n);
    mark_line(p, expr);
    emit(p, OP_JUMP, 0, 0, 0, 0, next);
    place_label(p, done);
}

/* Both operands contribute no bindings; the first solution of each is enough. */
static void plan_and(struct plan *p, struct expr *e)
{
    struct nest n = enter(p, p->fail);
    plan_body(p, e->body);
    leave(p, n);
    if (e->right == NULL)
        return;
    n = enter(p, p->fail);
    plan_body(p, e->right);
    leave(p, n);
}

static void plan_or(struct plan *p, struct expr *e)
{
    uint32_t other = new_label(p);
    uint32_t done = new_label(p);
    struct nest n = enter(p, other);
    plan_body(p, e->body);
    leave(p, n);
    emit(p, OP_JUMP, 0, 0, 0, 0, done);
    place_label(p, other);
    n = enter(p, p->fail);
    plan_body(p, e->right);
    leave(p, n);
    place_label(p, done);
}

static void plan_plain(struct plan *p, struct expr *e)
{
    const struct body *body = p->body;
    uint32_t at = p->at;
    p->body = NULL;
    p->narrowed = NULL;
    p->expr = describe(p, e);
    mark_line(p, p->expr);
    if (p->c->options.coverage)
        emit(p, OP_COVER, 0, 0, 0, 0, p->expr);
    switch (e->kind) {
    case EXPR_EVERY:
        plan_every(p, e);
        break;
    case EXPR_NOT:
        plan_not_body(p, e);
        break;
    case EXPR_AND:
        plan_and(p, e);
        break;
    case EXPR_OR:
        plan_or(p, e);
        break;
    default:
        if (e->negated) {
            plan_negated(p, e);
        } else {
            bool part = describe_begin_part(p, e);
            if (body != NULL)
                plan_narrow(p, body, at);
            plan_core(p, e);
            if (part)
                describe_end_part(p, e);
            describe_minus_test(p, e);
        }
    }
}

void plan_body(struct plan *p, struct body *b)
{
    for (uint32_t i = 0; i < b->len && !p->failed;) {
        uint32_t n = 1;
        if (b->items[i]->with_count == 0) {
            p->body = b;
            p->at = i;
            plan_plain(p, b->items[i]);
        } else {
            /* Neighbours with the same modifiers share them. */
            while (i + n < b->len && same_withs(b->items[i], b->items[i + n]))
                n++;
            plan_with(p, &b->items[i], n);
        }
        i += n;
    }
}

/* A loop over it is one over the members of a value, not over the tree of rules. */
static bool is_value_ref(const struct plan *p, const struct term *ref)
{
    uint32_t used;
    if (ref->items[0]->kind != TERM_VAR || ref->items[0]->var.id != VAR_DATA)
        return true;
    const struct tree_node *n = tree_walk(p->c, ref, &used);
    return n->group != NULL ? n->group->kind != GROUP_FUNCTION : is_document(p, ref);
}

/*
 * {x | some x in c}: what is looped over, c, when nothing else is done with it.
 * NULL: it is none of these.
 */
static struct term *collected(struct plan *p, const struct term *t)
{
    const struct body *b = t->comp.body;
    const struct expr *e = b->len == 1 ? b->items[0] : NULL;
    if (e == NULL || t->kind == TERM_OBJECT_COMP || e->kind != EXPR_UNIFY || e->negated ||
        e->with_count > 0 || p->c->options.coverage)
        return NULL;
    bool swapped = e->term->items[1]->kind == TERM_REF;
    const struct term *x = e->term->items[swapped ? 2 : 1];
    struct term *ref = e->term->items[swapped ? 1 : 2];
    const struct term *head = t->comp.head;
    if (x->kind != TERM_VAR || ref->kind != TERM_REF || ref->len < 2 || head->kind != TERM_VAR ||
        head->var.id != x->var.id || x->var.id < VAR_FIRST || is_bound(p, x))
        return NULL;
    const struct term *key = ref->items[ref->len - 1];
    if (key->kind != TERM_VAR || key->var.id < VAR_FIRST || key->var.id == x->var.id ||
        is_bound(p, key))
        return NULL;
    for (uint32_t i = 0; i + 1 < ref->len; i++)
        if (!can_evaluate(p, ref->items[i]))
            return NULL;
    struct term *c = ref->items[0];
    if (ref->len > 2) {
        c = ast_list(p->scratch, TERM_REF, ref->items, ref->len - 1, ref->pos);
        p->failed |= c == NULL;
    }
    return c != NULL && c->kind == TERM_REF && is_value_ref(p, c)       ? c
           : c != NULL && c->kind == TERM_VAR && c->var.id >= VAR_FIRST ? c
                                                                        : NULL;
}

/* Undefined or no collection: nothing is collected, as nothing would be looped over. */
static operand plan_collected(struct plan *p, struct term *t, struct term *from)
{
    value empty = t->kind == TERM_ARRAY_COMP ? VALUE_EMPTY_ARRAY(p->scratch) : VALUE_UNDEFINED;
    if (t->kind == TERM_SET_COMP) {
        struct value_builder b;
        value_builder_init(&b, p->scratch, 0);
        empty = value_set_finish(&b);
    }
    if (!value_is_defined(empty)) {
        p->failed = true;
        return 0;
    }
    operand r = new_reg(p);
    emit(p, OP_MOVE, 0, r, constant(p, empty), 0, 0);
    uint32_t end = new_label(p);
    uint32_t expr = p->expr;
    struct nest n = enter(p, end);
    operand c = plan_value(p, from);
    emit(p, OP_COLLECT, t->kind == TERM_SET_COMP, r, c, 0, 0);
    leave(p, n);
    place_label(p, end);
    p->expr = expr;
    mark_line(p, expr);
    return r;
}

operand plan_comprehension(struct plan *p, struct term *t)
{
    struct term *from = collected(p, t);
    if (from != NULL)
        return plan_collected(p, t, from);
    uint32_t kind = t->kind == TERM_ARRAY_COMP ? 0 : t->kind == TERM_SET_COMP ? 1 : 2;
    operand builder = new_reg(p);
    emit(p, OP_BUILD, kind, builder, 0, 0, 0);
    uint32_t end = new_label(p);
    uint32_t expr = p->expr;
    struct nest n = enter(p, end);
    plan_body(p, t->comp.body);
    if (kind == 2) {
        operand key = plan_value(p, t->comp.key);
        emit(p, OP_PUT, 0, builder, key, plan_value(p, t->comp.head), p->rule->index);
    } else {
        emit(p, OP_ADD, 0, builder, plan_value(p, t->comp.head), 0, 0);
    }
    emit(p, OP_JUMP, 0, 0, 0, 0, p->fail);
    leave(p, n);
    place_label(p, end);
    p->expr = expr;
    mark_line(p, expr);
    operand r = new_reg(p);
    emit(p, OP_FINISH, kind, r, builder, 0, 0);
    return r;
}
