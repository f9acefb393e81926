/*
 * Terms: values, patterns, unification and references.
 */
#include "rego/plan.h"

#define PATH_MAX_KEYS 250
#define PAIRS_SORTED_MAX 64

static bool is_root(const struct term *t)
{
    return t->kind == TERM_VAR && t->var.id < VAR_FIRST;
}

bool can_evaluate(const struct plan *p, const struct term *t)
{
    switch (t->kind) {
    case TERM_VAR:
        return is_root(t) || is_bound(p, t);
    case TERM_REF:
        return can_evaluate(p, t->items[0]);
    case TERM_ARRAY:
    case TERM_SET:
    case TERM_OBJECT:
        for (uint32_t i = 0; i < t->len; i++)
            if (!can_evaluate(p, t->items[i]))
                return false;
        return true;
    default:
        return true;
    }
}

bool constant_value(struct plan *p, const struct term *t, value *out)
{
    if (t->kind == TERM_VALUE) {
        *out = t->val;
        return true;
    }
    if (t->kind != TERM_ARRAY && t->kind != TERM_SET && t->kind != TERM_OBJECT)
        return false;
    struct value_builder b;
    value_builder_init(&b, p->scratch, t->len);
    for (uint32_t i = 0; i < t->len; i++) {
        value v;
        if (!constant_value(p, t->items[i], &v))
            return false;
        value_builder_add(&b, v);
    }
    if (t->kind == TERM_OBJECT) {
        /* The builder takes keys and values in turn. */
        struct value_builder pairs;
        value_builder_init(&pairs, p->scratch, t->len);
        for (uint32_t i = 0; i + 1 < t->len && !b.failed; i += 2)
            value_builder_put(&pairs, b.items[i], b.items[i + 1]);
        *out = value_object_finish(&pairs, VALUE_DUP_LAST, NULL);
    } else {
        *out = t->kind == TERM_ARRAY ? value_array_finish(&b) : value_set_finish(&b);
    }
    if (!value_is_defined(*out))
        p->failed = true;
    return value_is_defined(*out);
}

/* ---- references ---- */

/*
 * A loop over a collection: the key goes to `key` (OPERAND_NONE: nowhere), the value
 * is returned.  `part`: of the reference, that loops.
 */
static operand plan_scan(struct plan *p, operand base, operand key, const struct term *part)
{
    operand state = new_regs(p, 2);
    operand val = new_reg(p);
    if (part == p->narrowed && !p->failed) {
        struct prog_loop loop = {p->paths.items[p->narrowed_path], p->in_document};
        uint32_t number = PLAN_PUSH(p, p->loops, loop);
        emit(p, OP_SCAN_BY, number, state, base, p->narrowed_to, p->fail);
        p->narrowed = NULL;
    } else {
        emit(p, OP_SCAN, 0, state, base, 0, p->fail);
    }
    uint32_t next = new_label(p);
    place_label(p, next);
    emit(p, OP_NEXT, 0, state, key, val, p->fail);
    p->fail = next;
    return val;
}

/* base[part], for any part. */
static operand plan_step(struct plan *p, operand base, struct term *part)
{
    value k;
    if (constant_value(p, part, &k)) {
        operand r = new_reg(p);
        emit(p, OP_GET, p->in_document, r, base, constant(p, k), p->fail);
        return r;
    }
    if (part->kind == TERM_VAR && !is_bound(p, part) && !is_root(part)) {
        operand key = part->wildcard ? OPERAND_NONE : new_reg(p);
        operand val = plan_scan(p, base, key, part);
        if (!part->wildcard)
            bind_slot(p, part, key);
        return val;
    }
    if (!can_evaluate(p, part)) {
        operand key = new_reg(p);
        operand val = plan_scan(p, base, key, part);
        plan_match(p, part, key);
        return val;
    }
    bool document = p->in_document;
    p->in_document = false;
    operand x = plan_value(p, part);
    p->in_document = document;
    operand r = new_reg(p);
    emit(p, OP_GET, document, r, base, x, p->fail);
    return r;
}

/* Leading constant parts in one instruction. `n` says what the base is, see PATH. */
static operand plan_path(struct plan *p, uint32_t n, operand base, const struct term *ref,
                         uint32_t *i)
{
    value keys[PATH_MAX_KEYS];
    uint32_t len = 0;
    while (*i < ref->len && len < PATH_MAX_KEYS && ref->items[*i]->kind == TERM_VALUE)
        keys[len++] = ref->items[(*i)++]->val;
    operand r = new_reg(p);
    if (len == 0) {
        if (n == 0)
            return base;
        emit(p, n == 1 ? OP_INPUT : OP_DATA, 0, r, 0, 0, p->fail);
        return r;
    }
    uint32_t place;
    if (n != 0 && add_place(p, n == 2, keys, len, &place))
        emit(p, OP_PLACE, 0, r, 0, place, p->fail);
    else if (n == 0 && len == 1)
        emit(p, OP_GET, p->in_document, r, base, constant(p, keys[0]), p->fail);
    else if (n == 0 && p->in_document)
        emit(p, OP_PATH, 3, r, in_register(p, base), add_path(p, keys, len), p->fail);
    else
        emit(p, OP_PATH, n, r, n == 0 ? in_register(p, base) : 0, add_path(p, keys, len), p->fail);
    return r;
}

static operand plan_parts(struct plan *p, operand base, const struct term *ref, uint32_t i)
{
    while (i < ref->len) {
        if (ref->items[i]->kind == TERM_VALUE)
            base = plan_path(p, 0, base, ref, &i);
        else
            base = plan_step(p, base, ref->items[i++]);
    }
    return base;
}

/* From an inner node on, with parts that are not known now: by cursor. */
static operand plan_cursor(struct plan *p, const struct term *ref, const struct tree_node *n,
                           uint32_t i)
{
    operand cursor = new_regs(p, 3);
    emit(p, OP_TREE, 0, cursor, 0, n->pre, 0);
    for (; i < ref->len; i++) {
        struct term *part = ref->items[i];
        operand key;
        if (can_evaluate(p, part)) {
            key = plan_value(p, part);
        } else {
            operand state = new_regs(p, 2);
            key = new_reg(p);
            emit(p, OP_TREE_SCAN, 0, state, cursor, 0, 0);
            uint32_t next = new_label(p);
            place_label(p, next);
            emit(p, OP_TREE_NEXT, 0, state, cursor, key, p->fail);
            p->fail = next;
            plan_match(p, part, key);
        }
        operand to = new_regs(p, 3);
        emit(p, OP_TREE_STEP, 0, to, cursor, key, p->fail);
        cursor = to;
    }
    operand r = new_reg(p);
    emit(p, OP_UNDEF, 0, (uint32_t)cursor + 2, 0, 0, 0);
    emit(p, OP_TREE_END, 0, r, cursor, 0, p->fail);
    return r;
}

static void record_read(struct plan *p, const struct term *ref, bool data)
{
    if (p->again)
        return;
    uint32_t len = 1;
    while (len < ref->len && ref->items[len]->kind == TERM_VALUE)
        len++;
    struct str *parts = arena_new_array(p->out, struct str, len);
    for (uint32_t i = 1; parts != NULL && i < len; i++)
        if (value_is_string(ref->items[i]->val))
            parts[i - 1] = arena_str(p->out, value_str(ref->items[i]->val));
    if (parts == NULL)
        p->failed = true;
    else
        PLAN_PUSH(p, p->reads, ((struct prog_read){.len = len - 1, .parts = parts, .data = data}));
}

/* Base documents only: there a number also finds the member of that name. */
static operand plan_document(struct plan *p, const struct term *ref)
{
    uint32_t i = 1;
    bool outer = p->in_document;
    p->in_document = true;
    p->policy->reads_data = true;
    record_read(p, ref, true);
    operand base = plan_path(p, 2, 0, ref, &i);
    base = plan_parts(p, base, ref, i);
    p->in_document = outer;
    return base;
}

bool is_document(const struct plan *p, const struct term *ref)
{
    uint32_t i;
    if (ref->kind != TERM_REF || ref->items[0]->kind != TERM_VAR ||
        ref->items[0]->var.id != VAR_DATA)
        return false;
    const struct tree_node *n = tree_walk(p->c, ref, &i);
    bool leaves_tree = i < ref->len && ref->items[i]->kind == TERM_VALUE;
    return n->group == NULL && (leaves_tree || (n->children == NULL && n->package == NULL));
}

static operand plan_data_ref(struct plan *p, const struct term *ref)
{
    uint32_t i;
    const struct tree_node *n = tree_walk(p->c, ref, &i);
    if (n->group != NULL) {
        if (n->group->kind == GROUP_FUNCTION) {
            struct str name = ast_text(p->scratch, ref);
            front_error(p->c, TYPE_ERROR, p->m, ref->pos,
                        "function %.*s used as reference, not called", STR_ARG(name));
            p->failed = true;
            return 0;
        }
        if (i < ref->len && plan_has_key_entry(n->group) && can_evaluate(p, ref->items[i]) &&
            ref->items[i]->kind != TERM_REF) {
            operand key = plan_value(p, ref->items[i]);
            operand v = new_reg(p);
            emit(p, OP_RULE_KEY, 0, v, key, n->group->index, p->fail);
            return plan_parts(p, v, ref, i + 1);
        }
        operand r = new_reg(p);
        emit(p, OP_RULE, 0, r, 0, n->group->index, p->fail);
        return plan_parts(p, r, ref, i);
    }
    bool leaves_tree = i < ref->len && ref->items[i]->kind == TERM_VALUE;
    if (leaves_tree || (n->children == NULL && n->package == NULL))
        return plan_document(p, ref);
    p->policy->reads_data |= n == p->c->root;
    if (i < ref->len)
        return plan_cursor(p, ref, n, i);
    operand r = new_reg(p);
    operand scratch = new_reg(p);
    emit(p, OP_UNDEF, 0, scratch, 0, 0, 0);
    emit(p, OP_EXTENT, 0, r, scratch, n->pre, p->fail);
    return r;
}

static operand plan_ref_parts(struct plan *p, const struct term *ref)
{
    const struct term *head = ref->items[0];
    if (head->kind == TERM_VAR && head->var.id == VAR_DATA)
        return plan_data_ref(p, ref);
    if (head->kind == TERM_VAR && head->var.id == VAR_INPUT) {
        record_read(p, ref, false);
        uint32_t i = 1;
        operand base = plan_path(p, 1, 0, ref, &i);
        return plan_parts(p, base, ref, i);
    }
    return plan_parts(p, plan_value(p, ref->items[0]), ref, 1);
}

static operand plan_ref(struct plan *p, const struct term *ref)
{
    bool outer = p->in_document;
    p->in_document = false;
    operand x = plan_ref_parts(p, ref);
    p->in_document = outer;
    if (!p->again)
        claims_check(p, ref);
    return x;
}

/* ---- values ---- */

/* Constant keys in their order: then the object need not be sorted when it is made. */
static void sort_pairs(struct term *const *items, operand *xs, uint32_t len)
{
    for (uint32_t i = 0; i < len; i += 2)
        if (!ast_is_string(items[i]))
            return;
    value keys[PAIRS_SORTED_MAX];
    for (uint32_t i = 0; i < len / 2; i++) {
        uint32_t k = i;
        operand pair[2] = {xs[2 * i], xs[2 * i + 1]};
        for (; k > 0 && value_compare(keys[k - 1], items[2 * i]->val) > 0; k--) {
            keys[k] = keys[k - 1];
            memcpy(&xs[2 * k], &xs[2 * k - 2], sizeof(pair));
        }
        keys[k] = items[2 * i]->val;
        memcpy(&xs[2 * k], pair, sizeof(pair));
    }
}

static operand plan_collection(struct plan *p, struct term *t)
{
    operand *items = arena_new_array(p->scratch, operand, t->len);
    if (items == NULL) {
        p->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < t->len; i++)
        items[i] = plan_value(p, t->items[i]);
    if (t->kind == TERM_OBJECT && t->len <= 2 * PAIRS_SORTED_MAX)
        sort_pairs(t->items, items, t->len);
    operand first = new_regs(p, t->len);
    for (uint32_t i = 0; i < t->len; i++)
        emit(p, OP_MOVE, 0, first + i, items[i], 0, 0);
    operand r = new_reg(p);
    if (t->kind == TERM_OBJECT)
        emit(p, OP_OBJECT, 0, r, first, t->len / 2, 0);
    else
        emit(p, t->kind == TERM_ARRAY ? OP_ARRAY : OP_SET, 0, r, first, t->len, 0);
    return r;
}

operand plan_value(struct plan *p, struct term *t)
{
    value k;
    p->failed = p->failed || arena_status(p->scratch) != OK || arena_status(p->out) != OK;
    if (p->failed)
        return 0;
    switch (t->kind) {
    case TERM_VAR:
        if (is_root(t)) {
            struct term *ref = ast_list(p->scratch, TERM_REF, &t, 1, t->pos);
            if (ref == NULL) {
                p->failed = true;
                return 0;
            }
            return plan_ref(p, ref);
        }
        if (!is_bound(p, t)) {
            plan_fail(p, t->pos, "expression is unsafe");
            return 0;
        }
        return p->where[t->var.id];
    case TERM_REF:
        return plan_ref(p, t);
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        return plan_comprehension(p, t);
    default:
        break;
    }
    if (ast_is_constant(t) && constant_value(p, t, &k))
        return constant(p, k);
    if (t->kind == TERM_CALL || t->kind == TERM_TEMPLATE || t->kind == TERM_VALUE) {
        p->failed = true;
        return 0;
    }
    return plan_collection(p, t);
}

operand plan_known(struct plan *p, struct term *t)
{
    p->again = true;
    operand x = plan_value(p, t);
    p->again = false;
    return x;
}

/* ---- patterns ---- */

static void plan_equal(struct plan *p, operand x, operand y)
{
    if (x != y)
        emit(p, OP_EQ, 0, x, y, 0, p->fail);
}

void plan_match(struct plan *p, struct term *pattern, operand x)
{
    if (p->failed)
        return;
    switch (pattern->kind) {
    case TERM_VAR:
        if (is_root(pattern) || is_bound(p, pattern))
            break;
        bind_slot(p, pattern, x);
        return;
    case TERM_ARRAY: {
        operand array = in_register(p, x);
        emit(p, OP_IS_ARRAY, 0, array, 0, pattern->len, p->fail);
        for (uint32_t i = 0; i < pattern->len; i++) {
            struct term *item = pattern->items[i];
            if (item->kind == TERM_VAR && item->wildcard && !is_bound(p, item))
                continue;
            operand r = new_reg(p);
            emit(p, OP_ITEM, 0, r, array, i, 0);
            plan_match(p, item, r);
        }
        return;
    }
    case TERM_OBJECT: {
        operand object = in_register(p, x);
        emit(p, OP_IS_OBJECT, 0, object, 0, pattern->len / 2, p->fail);
        for (uint32_t i = 0; i + 1 < pattern->len; i += 2) {
            operand key = plan_value(p, pattern->items[i]);
            operand r = new_reg(p);
            emit(p, OP_GET, 0, r, object, key, p->fail);
            plan_match(p, pattern->items[i + 1], r);
        }
        return;
    }
    default:
        break;
    }
    plan_equal(p, plan_value(p, pattern), x);
}

/* ---- unification ---- */

struct pair {
    struct term *a, *b;
};

struct pairs {
    GROWING(struct pair) list;
};

static bool is_free_var(const struct plan *p, const struct term *t)
{
    return t->kind == TERM_VAR && !is_root(t) && !is_bound(p, t);
}

static struct term *object_value(const struct term *t, const struct term *key)
{
    for (uint32_t i = 0; i + 1 < t->len; i += 2)
        if (t->items[i]->kind == TERM_VALUE && value_equal(t->items[i]->val, key->val))
            return t->items[i + 1];
    return NULL;
}

static bool has_constant_keys(const struct term *t)
{
    for (uint32_t i = 0; i < t->len; i += 2) {
        if (t->items[i]->kind != TERM_VALUE)
            return false;
        for (uint32_t k = 0; k < i; k += 2)
            if (value_equal(t->items[k]->val, t->items[i]->val))
                return false;
    }
    return true;
}

/* Two patterns of one kind are taken apart; false when they cannot be. */
static bool split_pair(struct plan *p, struct pairs *l, struct term *a, struct term *b)
{
    if (a->kind == TERM_ARRAY && b->kind == TERM_ARRAY) {
        if (a->len != b->len)
            emit(p, OP_FAIL, 0, 0, 0, 0, p->fail);
        else
            for (uint32_t i = 0; i < a->len; i++)
                PLAN_PUSH(p, l->list, ((struct pair){a->items[i], b->items[i]}));
        return true;
    }
    if (a->kind != TERM_OBJECT || b->kind != TERM_OBJECT || !has_constant_keys(a) ||
        !has_constant_keys(b))
        return false;
    bool same = a->len == b->len;
    for (uint32_t i = 0; same && i < a->len; i += 2)
        same = object_value(b, a->items[i]) != NULL;
    if (!same)
        emit(p, OP_FAIL, 0, 0, 0, 0, p->fail);
    for (uint32_t i = 0; same && i < a->len; i += 2)
        PLAN_PUSH(p, l->list, ((struct pair){a->items[i + 1], object_value(b, a->items[i])}));
    return true;
}

/* A variable takes the name of what it is equal to, for explanations. */
static void name_origin(struct plan *p, const struct term *var, const struct term *from)
{
    if (var->var.id < p->where_cap)
        p->origins[var->var.id] = from;
}

/* One pair if it is ready; false: not yet. */
static bool unify_pair(struct plan *p, struct pairs *l, struct term *a, struct term *b)
{
    if (split_pair(p, l, a, b))
        return true;
    bool swapped =
        is_free_var(p, b) || (b->kind != TERM_REF && !can_evaluate(p, b) && can_evaluate(p, a));
    if (swapped) {
        struct term *t = a;
        a = b;
        b = t;
    }
    if (!can_evaluate(p, b))
        return false;
    if (can_evaluate(p, a) && a->kind != TERM_VAR && a->kind != TERM_ARRAY &&
        a->kind != TERM_OBJECT) {
        /* References first, as OPA has it: what is undefined hides the errors of the other side. */
        bool b_first = a->kind != TERM_REF && b->kind == TERM_REF;
        operand y = b_first ? plan_value(p, b) : 0;
        operand x = plan_value(p, a);
        if (!b_first)
            y = plan_value(p, b);
        describe_side(p, swapped, a, x);
        describe_side(p, !swapped, b, y);
        plan_equal(p, x, y);
        return true;
    }
    operand y = plan_value(p, b);
    describe_side(p, !swapped, b, y);
    if (is_free_var(p, a)) {
        bind_slot(p, a, y);
        name_origin(p, a, b);
        return true;
    }
    if (can_evaluate(p, a)) {
        operand x = plan_value(p, a);
        describe_side(p, swapped, a, x);
        plan_equal(p, x, y);
        return true;
    }
    plan_match(p, a, y);
    return true;
}

static bool binds_something(const struct plan *p, const struct term *ref)
{
    for (uint32_t i = 1; i < ref->len; i++)
        if (!can_evaluate(p, ref->items[i]))
            return true;
    return false;
}

bool plan_loop_first(struct plan *p, struct term **t)
{
    struct term *x = *t;
    if (x->kind == TERM_REF && can_evaluate(p, x) && binds_something(p, x)) {
        struct term *v = scope_fresh(p->c, p->vars, x->pos);
        if (v == NULL) {
            p->failed = true;
            return false;
        }
        operand y = plan_value(p, x);
        bind_slot(p, v, y);
        name_origin(p, v, x);
        *t = v;
        return true;
    }
    if (x->kind != TERM_ARRAY && x->kind != TERM_OBJECT && x->kind != TERM_SET)
        return false;
    for (uint32_t i = 0; i < x->len && !p->failed; i++) {
        struct term *item = x->items[i];
        if (!plan_loop_first(p, &item))
            continue;
        struct term *copy = ast_list(p->scratch, x->kind, x->items, x->len, x->pos);
        if (copy == NULL) {
            p->failed = true;
            return false;
        }
        copy->items[i] = item;
        *t = copy;
        return true;
    }
    return false;
}

void plan_unify(struct plan *p, struct term *a, struct term *b, struct pos pos)
{
    struct pairs l = {0};
    PLAN_PUSH(p, l.list, ((struct pair){a, b}));
    while (!p->failed && l.list.len > 0) {
        bool progress = false;
        for (uint32_t i = 0; i < l.list.len && !p->failed; i++) {
            struct pair pair = l.list.items[i];
            struct pairs more = {0};
            if (!unify_pair(p, &more, pair.a, pair.b))
                continue;
            progress = true;
            /* What it was taken apart to comes in its place. */
            uint32_t rest = l.list.len - i - 1;
            struct pairs next = {0};
            for (uint32_t k = 0; k < i; k++)
                PLAN_PUSH(p, next.list, l.list.items[k]);
            for (uint32_t k = 0; k < more.list.len; k++)
                PLAN_PUSH(p, next.list, more.list.items[k]);
            for (uint32_t k = 0; k < rest; k++)
                PLAN_PUSH(p, next.list, l.list.items[i + 1 + k]);
            l = next;
            break;
        }
        for (uint32_t i = 0; i < l.list.len && !progress && !p->failed; i++)
            progress =
                plan_loop_first(p, &l.list.items[i].a) || plan_loop_first(p, &l.list.items[i].b);
        if (!progress && !p->failed)
            plan_fail(p, pos, "expression is unsafe");
    }
}

/* ---- hoisting for the legacy `not` (spec 5.5) ---- */

struct term *plan_hoist(struct plan *p, struct term *t, bool top)
{
    if (p->failed || t->kind == TERM_VALUE || t->kind == TERM_VAR)
        return t;
    bool comprehension = t->kind >= TERM_ARRAY_COMP;
    if (!comprehension) {
        struct term **items = arena_new_array(p->scratch, struct term *, t->len);
        if (items == NULL) {
            p->failed = true;
            return t;
        }
        for (uint32_t i = 0; i < t->len; i++)
            items[i] =
                i == 0 && t->kind == TERM_REF ? t->items[0] : plan_hoist(p, t->items[i], false);
        struct term *copy = ast_list(p->scratch, t->kind, items, t->len, t->pos);
        if (copy == NULL) {
            p->failed = true;
            return t;
        }
        t = copy;
    }
    if (top || (t->kind != TERM_REF && !comprehension))
        return t;
    struct term *v = scope_fresh(p->c, p->vars, t->pos);
    if (v == NULL) {
        p->failed = true;
        return t;
    }
    operand x = plan_value(p, t);
    bind_slot(p, v, x);
    name_origin(p, v, t);
    return v;
}
