#include "rego/index.h"

#include "base/hash.h"
#include "rego/plan.h"
#include "rego/vm.h"

/* ---- at run time ---- */

static uint64_t tuple_hash(const value *tuple, uint32_t n)
{
    uint64_t h = 0x696e646578;
    for (uint32_t i = 0; i < n; i++)
        h = hash_mix(h, value_hash(tuple[i]));
    return h ^ h >> 31;
}

static const struct index_slot *find_slot(const struct index_class *k, const value *tuple)
{
    uint64_t hash = tuple_hash(tuple, k->ref_count);
    for (uint64_t at = hash;; at++) {
        const struct index_slot *s = &k->slots[at & (k->cap - 1)];
        if (s->tuple == NULL)
            return NULL;
        if (s->hash != hash)
            continue;
        uint32_t i = 0;
        while (i < k->ref_count && value_equal(s->tuple[i], tuple[i]))
            i++;
        if (i == k->ref_count)
            return s;
    }
}

static value ref_value(struct rego_ctx *ctx, const struct index_ref *r, const value *regs)
{
    value v;
    if (r->place != PLACE_NONE) {
        v = vm_place(ctx, r->place);
    } else {
        v = r->is_arg ? regs[r->arg] : ctx->view->input;
        for (uint32_t i = 0; i < r->path.len && value_is_defined(v); i++)
            v = value_lookup(v, r->path.keys[i]);
    }
    if (!r->exists || !value_is_defined(v))
        return v;
    return v.word == VALUE_FALSE.word ? VALUE_UNDEFINED : VALUE_TRUE;
}

static bool merge_lists(struct rego_ctx *ctx, const struct index_list *lists, uint32_t n,
                        struct index_list *out)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total += lists[i].len;
    uint32_t *rules = arena_alloc(&ctx->arena, (total + 1) * sizeof(*rules));
    if (rules == NULL)
        return false;
    uint32_t at[INDEX_CLASSES_MAX] = {0};
    uint32_t len = 0;
    for (;;) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < n; i++)
            if (at[i] < lists[i].len && lists[i].rules[at[i]] < best)
                best = lists[i].rules[at[i]];
        if (best == UINT32_MAX)
            break;
        rules[len++] = best;
        for (uint32_t i = 0; i < n; i++)
            if (at[i] < lists[i].len && lists[i].rules[at[i]] == best)
                at[i]++;
    }
    *out = (struct index_list){len, rules};
    return true;
}

bool index_lookup(struct rego_ctx *ctx, const struct prog_index *x, const value *regs,
                  struct index_list *out)
{
    /* Explanations tell of every rule. */
    if (ctx->params.trace != REGO_TRACE_OFF) {
        *out = x->all;
        return true;
    }
    value values[INDEX_CLASSES_MAX * INDEX_REFS_MAX];
    for (uint32_t i = 0; i < x->ref_count; i++)
        values[i] = ref_value(ctx, &x->refs[i], regs);
    if (arena_status(&ctx->arena) != OK)
        return false;
    struct index_list lists[INDEX_CLASSES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->class_count; i++) {
        const struct index_class *k = &x->classes[i];
        value tuple[INDEX_REFS_MAX];
        bool defined = true;
        for (uint32_t r = 0; r < k->ref_count; r++) {
            tuple[r] = values[k->refs[r]];
            defined = defined && value_is_defined(tuple[r]);
        }
        const struct index_slot *s = defined ? find_slot(k, tuple) : NULL;
        if (s != NULL)
            lists[n++] = s->list;
    }
    if (n > 1)
        return merge_lists(ctx, lists, n, out);
    *out = n == 1 ? lists[0] : (struct index_list){0, NULL};
    return true;
}

/* ---- building ---- */

struct choice {
    uint32_t ref;
    uint32_t len;
    value values[INDEX_TUPLES_MAX];
};

struct requirement {
    uint32_t count;
    struct choice choices[INDEX_REFS_MAX];
};

struct index_builder {
    struct plan *p;
    struct index_ref refs[INDEX_CLASSES_MAX * INDEX_REFS_MAX];
    uint32_t ref_count;
    struct {
        uint32_t key; /* bit set of refs */
        GROWING(struct index_slot) tuples;
    } classes[INDEX_CLASSES_MAX];
    uint32_t class_count;
    const struct rule *rule;
    const struct term **aliases; /* by variable: the input reference that it names */
    uint32_t alias_cap;
};

static bool same_ref(const struct index_ref *a, const struct index_ref *b)
{
    if (a->exists != b->exists || a->is_arg != b->is_arg || a->arg != b->arg ||
        a->path.len != b->path.len)
        return false;
    for (uint32_t i = 0; i < a->path.len; i++)
        if (!value_equal(a->path.keys[i], b->path.keys[i]))
            return false;
    return true;
}

/* Number of the reference among those of the index; UINT32_MAX: no room. */
static uint32_t ref_number(struct index_builder *x, const struct index_ref *r)
{
    for (uint32_t i = 0; i < x->ref_count; i++)
        if (same_ref(&x->refs[i], r))
            return i;
    if (x->ref_count == 31)
        return UINT32_MAX;
    x->refs[x->ref_count] = *r;
    return x->ref_count++;
}

/* A constant path into input or an argument, or a variable that names one of them. */
static bool as_ref(struct index_builder *x, const struct term *t, struct index_ref *out)
{
    *out = (struct index_ref){.place = PLACE_NONE};
    if (t->kind == TERM_VAR) {
        for (uint32_t i = 0; i < x->rule->head.arg_count; i++) {
            const struct term *arg = x->rule->head.args[i];
            if (arg->kind == TERM_VAR && arg->var.id == t->var.id) {
                out->is_arg = true;
                out->arg = i;
                return true;
            }
        }
        const struct term *named = t->var.id < x->alias_cap ? x->aliases[t->var.id] : NULL;
        return named != NULL && as_ref(x, named, out);
    }
    if (t->kind != TERM_REF || t->items[0]->kind != TERM_VAR || t->len < 2)
        return false;
    if (t->items[0]->var.id != VAR_INPUT && !as_ref(x, t->items[0], out))
        return false;
    value keys[64];
    uint32_t len = out->path.len;
    if (len + t->len > ARRAY_LEN(keys))
        return false;
    if (len > 0)
        memcpy(keys, out->path.keys, len * sizeof(value));
    for (uint32_t i = 1; i < t->len; i++) {
        if (t->items[i]->kind != TERM_VALUE)
            return false;
        keys[len++] = t->items[i]->val;
    }
    uint32_t path = add_path(x->p, keys, len);
    if (x->p->failed)
        return false;
    out->path = x->p->paths.items[path];
    if (out->is_arg || !add_place(x->p, false, keys, len, &out->place))
        out->place = PLACE_NONE;
    return true;
}

static void require(struct index_builder *x, struct requirement *q, const struct index_ref *r,
                    const value *values, uint32_t len)
{
    uint32_t ref = ref_number(x, r);
    uint64_t tuples = len;
    for (uint32_t i = 0; i < q->count; i++) {
        if (q->choices[i].ref == ref)
            return; /* the first test is enough */
        tuples *= q->choices[i].len;
    }
    if (ref == UINT32_MAX || q->count == INDEX_REFS_MAX || tuples > INDEX_TUPLES_MAX)
        return;
    struct choice *k = &q->choices[q->count++];
    k->ref = ref;
    k->len = len;
    memcpy(k->values, values, len * sizeof(value));
}

/* Terms that can be evaluated without raising an error or entering a rule. */
static bool finds_risk(void *user, struct term *t)
{
    bool rule =
        t->kind == TERM_REF && t->items[0]->kind == TERM_VAR && t->items[0]->var.id == VAR_DATA;
    if (rule || t->kind >= TERM_ARRAY_COMP || (t->kind == TERM_CALL && t->callee == NULL))
        *(bool *)user = true;
    return !*(bool *)user;
}

bool index_is_harmless(const struct expr *e)
{
    static const char *const names[] = {
        "equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2"};
    bool risk = e->with_count > 0 || e->kind > EXPR_UNIFY;
    if (e->kind == EXPR_CALL && !risk) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            known |= e->term->callee->kind == CALLEE_BUILTIN && !e->term->callee->mocked &&
                     str_is(e->term->callee->name, names[i]);
        risk = !known;
    }
    if (risk)
        return false;
    if (e->kind == EXPR_TERM) {
        walk_term(e->term, finds_risk, &risk);
        return !risk;
    }
    for (uint32_t i = 1; i < e->term->len; i++)
        walk_term(e->term->items[i], finds_risk, &risk);
    return !risk;
}

static void name_alias(struct index_builder *x, const struct term *var, const struct term *ref)
{
    struct index_ref r;
    if (var->kind != TERM_VAR || var->var.id < VAR_FIRST || !as_ref(x, ref, &r))
        return;
    if (var->var.id < x->alias_cap && x->aliases[var->var.id] == NULL)
        x->aliases[var->var.id] = ref;
}

static void require_equal(struct index_builder *x, struct requirement *q, const struct term *a,
                          const struct term *b)
{
    struct index_ref r;
    value v;
    if (constant_value(x->p, b, &v) && as_ref(x, a, &r))
        require(x, q, &r, &v, 1);
    else if (constant_value(x->p, a, &v) && as_ref(x, b, &r))
        require(x, q, &r, &v, 1);
}

static void require_member(struct index_builder *x, struct requirement *q, const struct term *a,
                           const struct term *c)
{
    struct index_ref r;
    value v;
    if (!constant_value(x->p, c, &v) || value_len(v) == 0 || value_len(v) > INDEX_TUPLES_MAX ||
        !as_ref(x, a, &r))
        return;
    value values[INDEX_TUPLES_MAX];
    for (size_t i = 0; i < value_len(v); i++)
        values[i] = value_is_object(v) ? value_pairs(v)[i].val : value_items(v)[i];
    require(x, q, &r, values, (uint32_t)value_len(v));
}

/* What the literals say that stand before anything that could raise an error. */
static void requirement_of(struct index_builder *x, const struct rule *r, struct requirement *q)
{
    q->count = 0;
    x->rule = r;
    if (r->els != NULL)
        return; /* its other branches may apply */
    x->alias_cap = r->vars->len;
    x->aliases = arena_new_array(x->p->scratch, const struct term *, x->alias_cap);
    if (x->aliases == NULL)
        return;
    for (uint32_t i = 0; i < r->head.arg_count; i++) {
        value v;
        struct index_ref ref = {.is_arg = true, .arg = i, .place = PLACE_NONE};
        if (constant_value(x->p, r->head.args[i], &v))
            require(x, q, &ref, &v, 1);
    }
    for (uint32_t i = 0; i < r->body->len; i++) {
        const struct expr *e = r->body->items[i];
        struct index_ref ref;
        value yes = VALUE_TRUE;
        if (!index_is_harmless(e))
            return;
        if (e->negated)
            continue;
        if (e->kind == EXPR_TERM && as_ref(x, e->term, &ref)) {
            ref.exists = true;
            require(x, q, &ref, &yes, 1);
        } else if (e->kind == EXPR_UNIFY) {
            name_alias(x, e->term->items[1], e->term->items[2]);
            require_equal(x, q, e->term->items[1], e->term->items[2]);
        } else if (e->kind == EXPR_CALL && e->term->len == 3 &&
                   str_is(e->term->callee->name, "equal")) {
            require_equal(x, q, e->term->items[1], e->term->items[2]);
        } else if (e->kind == EXPR_CALL && e->term->len == 3 &&
                   str_is(e->term->callee->name, "internal.member_2")) {
            require_member(x, q, e->term->items[1], e->term->items[2]);
        }
    }
}

static void sort_choices(struct requirement *q)
{
    for (uint32_t i = 1; i < q->count; i++)
        for (uint32_t k = i; k > 0 && q->choices[k - 1].ref > q->choices[k].ref; k--) {
            struct choice t = q->choices[k];
            q->choices[k] = q->choices[k - 1];
            q->choices[k - 1] = t;
        }
}

static uint32_t class_of(struct index_builder *x, struct requirement *q)
{
    for (;;) {
        uint32_t key = 0;
        for (uint32_t i = 0; i < q->count; i++)
            key |= 1u << q->choices[i].ref;
        for (uint32_t i = 0; i < x->class_count; i++)
            if (x->classes[i].key == key)
                return i;
        /* The last class is kept for rules without requirements. */
        if (x->class_count + (key != 0) < INDEX_CLASSES_MAX) {
            x->classes[x->class_count].key = key;
            return x->class_count++;
        }
        q->count--; /* requires less, but stays correct */
    }
}

/* One entry for each combination of the rule's values; `number` is in `list` of the slot for now.
 */
static void add_tuples(struct index_builder *x, struct requirement *q, uint32_t number)
{
    sort_choices(q);
    uint32_t k = class_of(x, q);
    uint32_t at[INDEX_REFS_MAX] = {0};
    for (bool more = true; more;) {
        value *tuple = arena_new_array(x->p->out, value, q->count + 1);
        if (tuple == NULL) {
            x->p->failed = true;
            return;
        }
        for (uint32_t i = 0; i < q->count; i++)
            tuple[i] = value_copy(x->p->out, q->choices[i].values[at[i]]);
        struct index_slot s = {tuple_hash(tuple, q->count), tuple, {number, NULL}};
        PLAN_PUSH(x->p, x->classes[k].tuples, s);
        more = false;
        for (uint32_t i = 0; i < q->count && !more; i++) {
            more = ++at[i] < q->choices[i].len;
            if (!more)
                at[i] = 0;
        }
    }
}

static bool same_tuple(const struct index_slot *a, const struct index_slot *b, uint32_t n)
{
    if (a->hash != b->hash)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!value_equal(a->tuple[i], b->tuple[i]))
            return false;
    return true;
}

static bool append_rule(struct plan *p, struct index_slot *s, uint32_t number)
{
    /* Lists grow by doubling: the capacity is the next power of two. */
    struct index_list *l = &s->list;
    if (l->len > 0 && l->rules[l->len - 1] == number)
        return true;
    uint32_t *rules = (uint32_t *)(uintptr_t)l->rules;
    if (l->len == 0 || (l->len & (l->len - 1)) == 0) {
        rules = arena_new_array(p->out, uint32_t, l->len == 0 ? 1 : l->len * 2);
        if (rules == NULL)
            return false;
        if (l->len > 0)
            memcpy(rules, l->rules, l->len * sizeof(*rules));
    }
    rules[l->len++] = number;
    l->rules = rules;
    return true;
}

static bool finish_class(struct index_builder *x, uint32_t number, struct index_class *out)
{
    struct plan *p = x->p;
    uint32_t n = x->classes[number].tuples.len;
    out->cap = 4;
    while (out->cap < n * 2)
        out->cap *= 2;
    out->slots = arena_new_array(p->out, struct index_slot, out->cap);
    if (out->slots == NULL)
        return false;
    for (uint32_t bit = 0; bit < 32; bit++)
        if ((x->classes[number].key >> bit & 1) != 0)
            out->refs[out->ref_count++] = (uint8_t)bit;
    for (uint32_t i = 0; i < n; i++) {
        const struct index_slot *t = &x->classes[number].tuples.items[i];
        uint64_t at = t->hash;
        while (out->slots[at & (out->cap - 1)].tuple != NULL &&
               !same_tuple(&out->slots[at & (out->cap - 1)], t, out->ref_count))
            at++;
        struct index_slot *s = &out->slots[at & (out->cap - 1)];
        s->hash = t->hash;
        s->tuple = t->tuple;
        if (!append_rule(p, s, t->list.len))
            return false;
    }
    return true;
}

struct prog_index *index_build(struct plan *p, const struct rule_group *g)
{
    struct index_builder *x = arena_new(p->scratch, struct index_builder);
    struct requirement *q = arena_new(p->scratch, struct requirement);
    if (x == NULL || q == NULL) {
        p->failed = true;
        return NULL;
    }
    x->p = p;
    uint32_t n = 0;
    uint32_t constrained = 0;
    for (const struct rule *r = g->first; r != NULL && !p->failed; r = r->next_in_group) {
        if (r->is_default)
            continue;
        requirement_of(x, r, q);
        constrained += q->count > 0;
        add_tuples(x, q, n++);
    }
    /* Not worth it when most rules are tried anyway. */
    if (p->failed || n < INDEX_RULES_MIN || constrained * 2 < n)
        return NULL;
    struct prog_index *out = arena_new(p->out, struct prog_index);
    struct index_class *classes = arena_new_array(p->out, struct index_class, x->class_count);
    struct index_ref *refs = arena_new_array(p->out, struct index_ref, x->ref_count + 1);
    uint32_t *all = arena_new_array(p->out, uint32_t, n);
    if (out == NULL || classes == NULL || refs == NULL || all == NULL) {
        p->failed = true;
        return NULL;
    }
    for (uint32_t i = 0; i < x->class_count; i++) {
        if (!finish_class(x, i, &classes[i])) {
            p->failed = true;
            return NULL;
        }
    }
    memcpy(refs, x->refs, x->ref_count * sizeof(*refs));
    for (uint32_t i = 0; i < n; i++)
        all[i] = i;
    *out = (struct prog_index){
        .refs = refs,
        .ref_count = x->ref_count,
        .classes = classes,
        .class_count = x->class_count,
        .all = {n, all},
        .entries = arena_new_array(p->out, uint32_t, n),
    };
    p->failed |= out->entries == NULL;
    return out;
}
