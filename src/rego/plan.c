/*
 * Rules and the program as a whole.
 */
#include "rego/index.h"
#include "rego/plan.h"

#include <stdlib.h>

#define POLICY_MEMORY_MAX ((size_t)1 << 30)

const struct opcode_info rego_opcodes[OP_COUNT] = {
#define OP(name, operands, meaning) {#name, operands},
#include "rego/opcodes.def"
#undef OP
};

/* ---- rules ---- */

/* How the rules of a group deliver what they found. */
enum delivery { DELIVER_RESULT, DELIVER_SET, DELIVER_OBJECT, DELIVER_NESTED, DELIVER_KEY };

struct group_plan {
    struct rule_group *g;
    enum delivery how;
    operand into;    /* result register or builder */
    uint32_t depth;  /* nested: parts of the reference before this are the group's own */
    bool constant;   /* all rules give this same constant: the first solution decides */
    bool may_return; /* the function ends with the result */
    bool by_key;     /* register 0 holds the key that is asked for */
    uint32_t key_at; /* part of the reference that is the key */
    struct prog_index *index;
    operand cursor; /* of the index */
    uint32_t next;  /* label: the next rule that the index admits */
};

static bool same_constants(const struct rule_group *g)
{
    const struct term *first = NULL;
    for (const struct rule *r = g->first; r != NULL; r = r->next_in_group) {
        for (const struct rule *b = r; b != NULL && !r->is_default; b = b->els) {
            const struct term *v = b->head.val;
            if (v == NULL || v->kind != TERM_VALUE)
                return false;
            if (first == NULL)
                first = v;
            /* The same text, not only the same value: 1 and 1.0 conflict in no way but print
             * differently. */
            if (first->val.word != v->val.word &&
                (!value_is_string(v->val) || !value_equal(first->val, v->val)))
                return false;
        }
    }
    return first != NULL;
}

static void start_rule(struct plan *p, struct rule *r)
{
    trail_undo(p, 0);
    p->m = r->module;
    p->rule = r;
    p->vars = r->vars;
}

static void match_args(struct plan *p, struct rule *r)
{
    for (uint32_t i = 0; i < r->head.arg_count; i++) {
        struct term *arg = r->head.args[i];
        if (arg->kind == TERM_VAR && !is_bound(p, arg))
            bind_slot(p, arg, (operand)i);
    }
    for (uint32_t i = 0; i < r->head.arg_count && !p->failed; i++)
        if (r->head.args[i]->kind != TERM_VAR || p->where[r->head.args[i]->var.id] != i)
            plan_match(p, r->head.args[i], (operand)i);
}

/* The path below the group's own, in consecutive registers. */
static operand nested_path(struct plan *p, const struct group_plan *gp, const struct rule *r,
                           uint32_t *len)
{
    *len = r->head.ref->len > gp->depth ? r->head.ref->len - gp->depth : 0;
    GROWING(operand) xs = {0};
    for (uint32_t i = gp->depth; i < r->head.ref->len; i++)
        PLAN_PUSH(p, xs, plan_value(p, r->head.ref->items[i]));
    operand first = new_regs(p, *len);
    for (uint32_t i = 0; i < *len && !p->failed; i++)
        emit(p, OP_MOVE, 0, first + i, xs.items[i], 0, 0);
    return first;
}

/* Nothing else of the group can add to, or contradict, what this rule gives. */
static bool is_only_rule(const struct rule_group *g, const struct rule *rule)
{
    for (const struct rule *r = g->first; r != NULL; r = r->next_in_group)
        if (r != rule && !r->is_default)
            return false;
    return true;
}

/*
 * The body holds: hand the value over.  `final`: there can be no other value.  An n of 1 tells
 * these instructions from those of comprehensions and of the end of a function (trace_held()).
 */
static void deliver(struct plan *p, const struct group_plan *gp, struct rule *r, bool final)
{
    if (p->failed)
        return;
    if (p->c->options.coverage)
        emit(p, OP_COVER, 1, 0, 0, 0, r->index);
    switch (gp->how) {
    case DELIVER_KEY:
        emit(p, OP_RETURN, 1, 0, 0, 0, 0);
        return;
    case DELIVER_SET:
        emit(p, OP_ADD, 1, gp->into, plan_value(p, r->head.key), 0, 0);
        return;
    case DELIVER_OBJECT: {
        operand key = plan_value(p, r->head.ref->items[r->head.ref->len - 1]);
        emit(p, OP_PUT, 1, gp->into, key, plan_value(p, r->head.val), r->index);
        return;
    }
    case DELIVER_NESTED: {
        uint32_t len;
        operand path = nested_path(p, gp, r, &len);
        operand x = plan_value(p, r->head.key != NULL ? r->head.key : r->head.val);
        emit(p, r->head.key != NULL ? OP_NEST_ADD : OP_NEST, len, gp->into, path, x, r->index);
        return;
    }
    case DELIVER_RESULT: {
        operand x = plan_value(p, r->head.val);
        bool may_be_false =
            r->head.val->kind != TERM_VALUE || r->head.val->val.word == VALUE_FALSE.word;
        if (may_be_false)
            emit(p, OP_VALUE, 0, x, 0, 0, r->index);
        if (gp->may_return && (final || gp->constant))
            emit(p, OP_RETURN, 1, x, 0, 0, 0);
        else
            emit(p, OP_RESULT, 0, gp->into, x, 0, r->index);
    }
    }
}

/* The part of the head that a lookup with a known key asks for. */
static struct term *key_term(const struct group_plan *gp, const struct rule *r)
{
    return gp->g->kind == GROUP_SET ? r->head.key : r->head.ref->items[gp->key_at];
}

/* Matching may bind its variables: everything else in it must have a value first. */
static bool is_open_pattern(const struct term *t)
{
    if (t->kind == TERM_OBJECT)
        for (uint32_t i = 0; i + 1 < t->len; i += 2)
            if (!ast_is_constant(t->items[i]) || !is_open_pattern(t->items[i + 1]))
                return false;
    if (t->kind == TERM_ARRAY)
        for (uint32_t i = 0; i < t->len; i++)
            if (!is_open_pattern(t->items[i]))
                return false;
    return t->kind == TERM_VAR || t->kind == TERM_ARRAY || t->kind == TERM_OBJECT ||
           ast_is_constant(t);
}

static void plan_rule(struct plan *p, const struct group_plan *gp, struct rule *rule)
{
    uint32_t end = new_label(p);
    uint32_t base = p->next_reg;
    operand matched = new_reg(p);
    emit(p, OP_UNDEF, 0, matched, 0, 0, 0);
    bool is_only = is_only_rule(gp->g, rule);
    for (struct rule *r = rule; r != NULL && !p->failed; r = r->els) {
        uint32_t after = new_label(p);
        start_rule(p, r);
        p->next_reg = base + 1;
        p->fail = after;
        p->expr = EXPR_NONE;
        mark_line(p, EXPR_NONE);
        describe_minus_begin(p);
        match_args(p, r);
        struct term *key = gp->by_key ? key_term(gp, r) : NULL;
        if (key != NULL && is_open_pattern(key))
            plan_match(p, key, 0);
        plan_body(p, r->body);
        if (key != NULL && !is_open_pattern(key))
            plan_match(p, key, 0);
        bool loops = p->fail != after;
        deliver(p, gp, r, is_only && !loops);
        if (loops) {
            emit(p, OP_MOVE, 0, matched, constant(p, VALUE_TRUE), 0, 0);
            emit(p, OP_JUMP, 0, 0, 0, 0, p->fail);
        } else {
            emit(p, OP_JUMP, 0, 0, 0, 0, end);
        }
        place_label(p, after);
        if (loops && r->els != NULL)
            emit(p, OP_IF_DEFINED, 0, matched, 0, 0, end);
        emit(p, OP_MISS, 0, loops ? matched : OPERAND_NONE, 0, 0, r->index);
    }
    place_label(p, end);
    p->next_reg = base;
}

/* All rules of the group but its default, by the index where there is one. */
static void plan_rules(struct plan *p, struct group_plan *gp)
{
    gp->index = index_build(p, gp->g);
    uint32_t done = 0;
    if (gp->index != NULL) {
        done = new_label(p);
        gp->next = new_label(p);
        gp->cursor = new_regs(p, 2);
        uint32_t index = PLAN_PUSH(p, p->indexes, gp->index);
        emit(p, OP_INDEX, 0, gp->cursor, 0, 0, index);
        place_label(p, gp->next);
        emit(p, OP_INDEX_NEXT, 0, gp->cursor, 0, 0, done);
    }
    uint32_t n = 0;
    for (struct rule *r = gp->g->first; r != NULL && !p->failed; r = r->next_in_group) {
        if (r->is_default)
            continue;
        if (gp->index != NULL)
            gp->index->entries[n++] = p->code.len;
        plan_rule(p, gp, r);
        if (gp->index != NULL)
            emit(p, OP_JUMP, 0, 0, 0, 0, gp->next);
    }
    if (gp->index != NULL)
        place_label(p, done);
    gp->index = NULL;
}

static operand plan_default(struct plan *p, struct rule *r, uint32_t quit)
{
    start_rule(p, r);
    p->fail = quit;
    match_args(p, r);
    plan_body(p, r->body);
    return plan_value(p, r->head.val);
}

/* Complete rules and functions: the result stays in gp->into. */
static void plan_complete(struct plan *p, struct group_plan *gp)
{
    struct rule_group *g = gp->g;
    gp->constant = same_constants(g);
    emit(p, OP_UNDEF, 0, gp->into, 0, 0, 0);
    plan_rules(p, gp);
    if (g->default_rule == NULL)
        return;
    uint32_t done = new_label(p);
    emit(p, OP_IF_DEFINED, 0, gp->into, 0, 0, done);
    operand x = plan_default(p, g->default_rule, done);
    emit(p, OP_MOVE, 0, gp->into, x, 0, 0);
    place_label(p, done);
}

/* ---- partial objects with longer references ---- */

static bool is_simple_object(const struct rule_group *g)
{
    if (g->node->children != NULL)
        return false;
    for (const struct rule *r = g->first; r != NULL; r = r->next_in_group)
        if (r->head.key != NULL || r->head.ref->len != r->ground_len + 1)
            return false;
    return true;
}

/* A complete rule inside of the extent of a partial one: its value is one entry. */
static void plan_absorbed(struct plan *p, struct group_plan *top, struct rule_group *g)
{
    struct group_plan gp = *top;
    gp.g = g;
    if (g->kind != GROUP_COMPLETE) {
        plan_rules(p, &gp);
        return;
    }
    uint32_t base = p->next_reg;
    uint32_t missing = new_label(p);
    gp.how = DELIVER_RESULT;
    gp.into = new_reg(p);
    gp.may_return = false;
    if (gp.by_key) {
        emit(p, OP_EQ, 0, 0, constant(p, g->first->head.ref->items[top->key_at]->val), 0, missing);
        gp.by_key = false;
    }
    plan_complete(p, &gp);
    uint32_t defined = new_label(p);
    emit(p, OP_IF_DEFINED, 0, gp.into, 0, 0, defined);
    emit(p, OP_JUMP, 0, 0, 0, 0, missing);
    place_label(p, defined);
    uint32_t len;
    operand path = nested_path(p, top, g->first, &len);
    emit(p, OP_NEST, len, top->into, path, gp.into, g->first->index);
    place_label(p, missing);
    p->next_reg = base;
}

static void plan_object(struct plan *p, struct group_plan *gp)
{
    struct rule_group *g = gp->g;
    bool simple = is_simple_object(g);
    gp->how = simple ? DELIVER_OBJECT : DELIVER_NESTED;
    emit(p, OP_BUILD, simple ? 2 : 3, gp->into, 0, 0, 0);
    plan_rules(p, gp);
    for (struct tree_node *n = g->node->children; n != NULL && !p->failed;
         n = tree_next(n, g->node))
        if (n->group != NULL)
            plan_absorbed(p, gp, n->group);
    emit(p, OP_FINISH, simple ? 2 : 3, gp->into, gp->into, 0, 0);
}

static void plan_set(struct plan *p, struct group_plan *gp)
{
    gp->how = DELIVER_SET;
    emit(p, OP_BUILD, 1, gp->into, 0, 0, 0);
    plan_rules(p, gp);
    emit(p, OP_FINISH, 1, gp->into, gp->into, 0, 0);
}

static void end_function(struct plan *p, struct prog_fn *f)
{
    patch_labels(p);
    f->entry = p->first_pc;
    f->end = p->code.len;
    f->regs = (uint16_t)(p->max_reg < OPERAND_MAX ? p->max_reg + 1 : OPERAND_MAX);
}

/* ---- lookups with a known key ---- */

struct key_use {
    uint32_t id;
    bool found;
};

static bool uses_as_key(void *user, struct term *t)
{
    struct key_use *k = user;
    for (uint32_t i = 1; t->kind == TERM_REF && i < t->len; i++)
        k->found |= t->items[i]->kind == TERM_VAR && t->items[i]->var.id == k->id;
    return !k->found;
}

/* A known element saves a loop; otherwise the whole set, once, is better. */
static bool helps_set(const struct rule_group *g)
{
    for (const struct rule *r = g->first; r != NULL; r = r->next_in_group) {
        struct key_use k = {.found = r->head.key->kind != TERM_VAR};
        if (!k.found) {
            k.id = r->head.key->var.id;
            walk_body(r->body, uses_as_key, &k);
        }
        if (!k.found)
            return false;
    }
    return true;
}

bool plan_has_key_entry(const struct rule_group *g)
{
    return g->kind == GROUP_OBJECT || (g->kind == GROUP_SET && helps_set(g));
}

/* p[k] with a known k: only rules that give this key, with the key bound before the body. */
static void plan_keyed(struct plan *p, struct rule_group *g, struct prog_fn *f,
                       const struct prog_fn *main)
{
    plan_begin(p, 1);
    struct group_plan gp = {
        .g = g,
        .into = new_reg(p),
        .depth = g->first->ground_len + 1,
        .by_key = true,
        .key_at = g->first->ground_len,
        .may_return = true,
    };
    start_rule(p, g->first);
    if (g->kind == GROUP_SET) {
        gp.how = DELIVER_KEY;
        emit(p, OP_UNDEF, 0, gp.into, 0, 0, 0);
        plan_rules(p, &gp);
    } else if (is_simple_object(g)) {
        gp.how = DELIVER_RESULT;
        emit(p, OP_UNDEF, 0, gp.into, 0, 0, 0);
        plan_rules(p, &gp);
    } else {
        gp.how = DELIVER_NESTED;
        emit(p, OP_BUILD, 3, gp.into, 0, 0, 0);
        plan_rules(p, &gp);
        for (struct tree_node *n = g->node->children; n != NULL && !p->failed;
             n = tree_next(n, g->node))
            if (n->group != NULL)
                plan_absorbed(p, &gp, n->group);
        /* n 4: nothing built is undefined */
        emit(p, OP_FINISH, 4, gp.into, gp.into, 0, 0);
    }
    emit(p, OP_RETURN, 0, gp.into, 0, 0, 0);
    *f = *main;
    f->kind = FN_FUNCTION;
    f->keyed = true;
    f->args = 1;
    f->by_key = FN_NONE;
    end_function(p, f);
}

static struct str group_name(struct plan *p, const struct rule_group *g)
{
    struct term *ref = g->first->head.ref;
    uint32_t len = ref->len;
    ref->len = g->first->ground_len;
    struct str s = ast_text(p->out, ref);
    ref->len = len;
    return s;
}

void plan_begin(struct plan *p, uint32_t args)
{
    p->first_pc = p->code.len;
    p->next_reg = args;
    p->max_reg = args;
    p->labels.len = 0;
    trail_undo(p, 0);
    p->rule = NULL;
    mark_line(p, EXPR_NONE);
}

static void plan_group(struct plan *p, struct rule_group *g, struct prog_fn *f)
{
    plan_begin(p, g->arity);
    struct group_plan gp = {
        .g = g,
        .how = DELIVER_RESULT,
        .into = new_reg(p),
        .depth = g->first->ground_len,
        .may_return = true,
    };
    start_rule(p, g->first);
    if (g->kind == GROUP_OBJECT)
        plan_object(p, &gp);
    else if (g->kind == GROUP_SET)
        plan_set(p, &gp);
    else
        plan_complete(p, &gp);
    emit(p, OP_RETURN, 0, gp.into, 0, 0, 0);
    f->name = group_name(p, g);
    f->node = g->node->pre;
    f->args = (uint16_t)g->arity;
    f->kind = (uint8_t)g->kind;
    f->mocked = g->callee.mocked;
    f->by_key = FN_NONE;
    f->pos = (struct prog_pos){g->first->module->file, g->first->pos.row, g->first->pos.col};
    end_function(p, f);
}

/* ---- functions whose results are not worth remembering ---- */

/*
 * To find a result that was remembered, all arguments are hashed and compared, and
 * to remember one takes memory; a few comparisons are done in the same time.  Loops
 * and calls of anything that is not itself cheap are worth it; the sum is taken over
 * callees, too, or a chain of cheap functions could cost its exponential.
 */
#define CHEAP_MAX 48

static uint32_t cost_of(const struct plan *p, uint32_t fn, uint8_t *costs, uint32_t depth);

static uint32_t insn_cost(const struct plan *p, const struct insn *i, uint8_t *costs,
                          uint32_t depth)
{
    switch ((enum opcode)i->op) {
    case OP_CALL_RULE:
        return 4 + cost_of(p, i->c, costs, depth + 1);
    case OP_CALL:
        return (p->externals.items[i->c].flags & REGO_CHEAP) != 0 ? 4 : CHEAP_MAX;
    case OP_CALL_1:
    case OP_CALL_2:
        return (p->externals.items[i->n].flags & REGO_CHEAP) != 0 ? 4 : CHEAP_MAX;
    case OP_RULE: /* remembered itself */
        return 2;
    case OP_IN:
    case OP_ARRAY:
    case OP_SET:
    case OP_OBJECT:
        return 8;
    case OP_SCAN:
    case OP_SCAN_BY:
    case OP_COLLECT:
    case OP_BUILD:
    case OP_CALL_ALL:
    case OP_WALK:
    case OP_RULE_KEY:
    case OP_EXTENT:
    case OP_TREE:
    case OP_TREE_STEP:
    case OP_TREE_END:
    case OP_WITH:
        return CHEAP_MAX;
    default:
        return 1;
    }
}

/* 0 in `costs`: not known.  A long chain of calls costs too much, whatever is at its end. */
static uint32_t cost_of(const struct plan *p, uint32_t fn, uint8_t *costs, uint32_t depth)
{
    if (depth > CHEAP_MAX / 4)
        return CHEAP_MAX;
    if (costs[fn] == 0) {
        uint32_t sum = 1;
        const struct prog_fn *f = &p->policy->fns[fn];
        for (uint32_t pc = f->entry; pc < f->end && sum < CHEAP_MAX; pc++)
            sum += insn_cost(p, &p->code.items[pc], costs, depth);
        costs[fn] = sum < CHEAP_MAX ? (uint8_t)sum : CHEAP_MAX;
    }
    return costs[fn];
}

/* print() and the like; what it calls has effects of its own, or not. */
static bool has_effects(const struct plan *p, const struct prog_fn *f)
{
    for (uint32_t pc = f->entry; pc < f->end; pc++) {
        const struct insn *i = &p->code.items[pc];
        bool call = i->op == OP_CALL || i->op == OP_CALL_ALL;
        bool small = i->op == OP_CALL_1 || i->op == OP_CALL_2;
        if ((call || small) && (p->externals.items[call ? i->c : i->n].flags & REGO_PURE) == 0)
            return true;
    }
    return false;
}

static bool find_cheap(struct plan *p)
{
    uint8_t *costs = arena_new_array(p->scratch, uint8_t, p->policy->fn_count);
    if (costs == NULL)
        return false;
    for (uint32_t i = 0; i < p->policy->fn_count; i++) {
        struct prog_fn *f = &p->policy->fns[i];
        f->effects = has_effects(p, f);
        f->cheap = f->kind == FN_FUNCTION && !f->keyed && !f->effects &&
                   cost_of(p, i, costs, 0) < CHEAP_MAX;
    }
    return true;
}

/* ---- tables ---- */

static bool plan_nodes(struct plan *p)
{
    struct rego_policy *pol = p->policy;
    pol->nodes = arena_new_array(p->out, struct prog_node, p->c->node_count + 1);
    if (pol->nodes == NULL)
        return false;
    pol->node_count = (uint32_t)p->c->node_count + 1;
    struct tree_node *top = p->c->root;
    for (struct tree_node *n = top; n != NULL; n = tree_next(n, top)) {
        struct prog_node *out = &pol->nodes[n->pre];
        bool is_rule = n->group != NULL && !n->group->absorbed;
        out->key = n == top ? VALUE_NULL : value_copy(p->out, n->key);
        out->parent = n == top ? 0 : n->parent->pre;
        out->post = n->post;
        out->fn = is_rule ? n->group->index : FN_NONE;
        if (n->group != NULL)
            continue;
        uint32_t *children = arena_new_array(p->out, uint32_t, n->child_count);
        if (children == NULL)
            return false;
        out->children = children;
        for (struct tree_node *child = n->children; child != NULL; child = child->sibling)
            children[out->child_count++] = child->pre;
    }
    return true;
}

static struct str rule_path(struct plan *p, const struct rule *r)
{
    return ast_text(p->out, r->head.ref);
}

static bool plan_rules_table(struct plan *p)
{
    struct prog_rule *rules = arena_new_array(p->out, struct prog_rule, p->c->rule_count);
    if (rules == NULL)
        return false;
    for (struct module *m = p->c->modules; m != NULL; m = m->next)
        for (struct rule *r = m->rules; r != NULL; r = r->next)
            for (struct rule *b = r; b != NULL; b = b->els)
                rules[b->index] = (struct prog_rule){{m->file, b->pos.row, b->pos.col},
                                                     rule_path(p, r),
                                                     r->is_default,
                                                     r->head.has_args,
                                                     b != r};
    p->policy->rules = rules;
    p->policy->rule_count = p->c->rule_count;
    return true;
}

static bool copy_sources(struct plan *p)
{
    struct rego_policy *pol = p->policy;
    struct prog_source *sources = arena_new_array(p->out, struct prog_source, p->c->module_count);
    struct str *packages = arena_new_array(p->out, struct str, p->c->module_count);
    if (sources == NULL || packages == NULL)
        return false;
    uint32_t n = 0;
    for (struct module *m = p->c->modules; m != NULL; m = m->next) {
        m->file = arena_str(p->out, m->file);
        m->text = arena_str(p->out, m->text);
        if (m == p->c->query_module)
            continue;
        sources[n] = (struct prog_source){m->file, m->text, m->version};
        packages[n] = ast_text(p->out, m->package);
        n++;
    }
    pol->sources = sources;
    pol->source_count = n;
    pol->packages = packages;
    pol->package_count = n;
    return arena_status(p->out) == OK;
}

static bool index_names(struct plan *p)
{
    struct rego_policy *pol = p->policy;
    uint32_t cap = 16;
    while (cap < pol->named_fn_count * 2)
        cap *= 2;
    pol->fn_by_name = arena_new_array(p->out, uint32_t, cap);
    if (pol->fn_by_name == NULL)
        return false;
    pol->fn_by_name_cap = cap;
    memset(pol->fn_by_name, 0xff, cap * sizeof(uint32_t));
    for (uint32_t i = 0; i < pol->named_fn_count; i++) {
        uint64_t at = hash_bytes(pol->fns[i].name.ptr, pol->fns[i].name.len, 0);
        while (pol->fn_by_name[at & (cap - 1)] != FN_NONE)
            at++;
        pol->fn_by_name[at & (cap - 1)] = i;
    }
    return true;
}

STATUS program_find(const struct rego_policy *p, struct str path, uint32_t *fn)
{
    for (uint64_t at = hash_bytes(path.ptr, path.len, 0);; at++) {
        uint32_t i = p->fn_by_name[at & (p->fn_by_name_cap - 1)];
        if (i == FN_NONE)
            return ERR_NOT_FOUND;
        if (str_equal(p->fns[i].name, path)) {
            *fn = i;
            return OK;
        }
    }
}

uint32_t program_lines_to(const struct rego_policy *p, uint32_t pc)
{
    uint32_t lo = 0;
    for (uint32_t hi = p->line_count; lo < hi;) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->lines[mid].pc <= pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

#define COPY_TABLE(p, list, out_items, out_len)                                                    \
    __extension__({                                                                                \
        void *copy_ = arena_alloc((p)->out, ((list).len + 1) * sizeof(*(list).items));             \
        if (copy_ != NULL && (list).len > 0)                                                       \
            memcpy(copy_, (list).items, (list).len * sizeof(*(list).items));                       \
        (out_items) = copy_;                                                                       \
        (out_len) = (list).len;                                                                    \
        copy_ != NULL;                                                                             \
    })

static bool copy_tables(struct plan *p)
{
    struct rego_policy *pol = p->policy;
    return COPY_TABLE(p, p->code, pol->code, pol->code_len) &&
           COPY_TABLE(p, p->consts, pol->consts, pol->const_count) &&
           COPY_TABLE(p, p->paths, pol->paths, pol->path_count) &&
           COPY_TABLE(p, p->places, pol->places, pol->place_count) &&
           COPY_TABLE(p, p->loops, pol->loops, pol->loop_count) &&
           COPY_TABLE(p, p->externals, pol->externals, pol->external_count) &&
           COPY_TABLE(p, p->withs, pol->withs, pol->with_count) &&
           COPY_TABLE(p, p->exprs, pol->exprs, pol->expr_count) &&
           COPY_TABLE(p, p->lines, pol->lines, pol->line_count) &&
           COPY_TABLE(p, p->reads, pol->reads, pol->read_count) &&
           COPY_TABLE(p, p->indexes, pol->indexes, pol->index_count) &&
           COPY_TABLE(p, p->constant_calls, pol->constant_calls, pol->constant_call_count);
}

/* Branches get indexes of their own behind those of the rules. */
static void number_rules(struct rego_compiler *c)
{
    c->rule_count = 0;
    for (struct module *m = c->modules; m != NULL; m = m->next)
        for (struct rule *r = m->rules; r != NULL; r = r->next)
            for (struct rule *b = r; b != NULL; b = b->els)
                b->index = c->rule_count++;
}

static bool plan_all(struct plan *p)
{
    struct rego_compiler *c = p->c;
    uint32_t n = 0;
    number_rules(c);
    for (struct rule_group *g = c->groups; g != NULL; g = g->next)
        if (!g->absorbed)
            g->index = n++;
    uint32_t keyed = n;
    for (struct rule_group *g = c->groups; g != NULL; g = g->next)
        keyed += !g->absorbed && plan_has_key_entry(g);
    struct prog_fn *fns = p->policy->fns = arena_new_array(p->out, struct prog_fn, keyed + 1);
    if (fns == NULL || !copy_sources(p))
        return false;
    p->policy->fn_count = keyed;
    p->policy->named_fn_count = n;
    keyed = n;
    for (struct rule_group *g = c->groups; g != NULL && !p->failed; g = g->next) {
        if (g->absorbed)
            continue;
        if (front_late(c))
            return false;
        plan_group(p, g, &fns[g->index]);
        if (!plan_has_key_entry(g) || p->failed)
            continue;
        fns[g->index].by_key = keyed;
        plan_keyed(p, g, &fns[keyed++], &fns[g->index]);
    }
    p->policy->query_fn = FN_NONE;
    if (c->query != NULL && !p->failed)
        plan_query(p);
    return !p->failed && find_cheap(p) && plan_nodes(p) && plan_rules_table(p) && index_names(p) &&
           copy_tables(p);
}

static STATUS finish(struct plan *p)
{
    struct rego_compiler *c = p->c;
    struct rego_policy *pol = p->policy;
    bool ok = plan_all(p);
    if (arena_status(&pol->arena) != OK)
        return arena_status(&pol->arena);
    if (arena_status(&c->arena) != OK)
        return arena_status(&c->arena);
    if (!ok)
        return ERR_INVALID;
    uint32_t at;
    enum status st = program_verify(pol, &at);
    if (st == ERR_LIMIT)
        front_error(c, COMPILE_ERROR, c->modules, (struct pos){0}, "rule is too complex");
    if (st == ERR_INTERNAL)
        front_error(c, COMPILE_ERROR, c->modules, (struct pos){0},
                    "internal error: instruction %u is not valid", (unsigned)at);
    return st == OK ? fold_rules(p) : st;
}

STATUS plan_program(struct rego_compiler *c, struct rego_policy **out)
{
    CLEANUP(rego_policy_cleanup) struct rego_policy *pol = calloc(1, sizeof(*pol));
    if (pol == NULL)
        return ERR_NOMEM;
    atomic_init(&pol->refs, 1);
    arena_init(&pol->arena, POLICY_MEMORY_MAX);
    pol->options = c->options;
    pol->options.deadline_ns = 0;
    struct plan p = {.c = c, .scratch = &c->arena, .policy = pol, .out = &pol->arena};
    enum status st = finish(&p);
    rego_ctx_free(p.folding);
    if (st == OK)
        *out = TAKE(pol);
    return st;
}

void plan_end(struct plan *p, struct prog_fn *f)
{
    end_function(p, f);
}

void plan_start_rule(struct plan *p, struct rule *r)
{
    start_rule(p, r);
}
