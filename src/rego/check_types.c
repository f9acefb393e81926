/*
 * The static type checker: what can never hold is refused.
 *
 * Rules are typed after the rules that they use.  A variable has the type of
 * the first literal that says anything about it; later literals must overlap
 * with it.  Rules and messages are OPA's (v1/ast/check.go), but that JSON schemas
 * of annotations are not read.
 */
#include "rego/check_types.h"

/* ---- errors ---- */

static void report(struct checker *k, struct pos pos, const char *format, struct str name)
{
    k->found++;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 65536);
    for (const char *p = format; *p != '\0'; p++) {
        if (*p == '@')
            buf_add(&b, name);
        else
            buf_add_byte(&b, *p);
    }
    front_error(k->c, TYPE_ERROR, k->module, pos, "%.*s", STR_ARG(buf_str(&b)));
}

/* A reference as it was written: generated names would tell nobody anything. */
static struct str shown(struct checker *k, const struct term *ref)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 65536);
    struct term *copy = ast_copy(k->m.a, ref);
    for (uint32_t i = 0; copy != NULL && i < copy->len; i++) {
        struct term *t = copy->items[i];
        if (t->kind == TERM_VAR && t->var.id >= VAR_FIRST && t->var.id < k->var_cap &&
            t->var.name.len == 0)
            t->var.name = STR("_");
    }
    if (copy != NULL)
        ast_write(&b, copy);
    return arena_str(k->m.a, buf_str(&b));
}

bool undefined_ref(struct checker *k, const struct term *ref)
{
    k->nil_ref = true;
    report(k, ref->items[0]->pos, "undefined ref: @", shown(k, ref));
    return false;
}

/* ---- variables ---- */

const struct type *var_type(const struct checker *k, uint32_t id)
{
    return id < k->var_cap ? k->vars[id] : NULL;
}

void put_var(struct checker *k, uint32_t id, const struct type *t)
{
    if (id >= k->var_cap || id < VAR_FIRST)
        return;
    if (k->trail_len == k->trail_cap) {
        uint32_t cap = k->trail_cap == 0 ? 64 : k->trail_cap * 2;
        struct binding *more = arena_new_array(k->m.a, struct binding, cap);
        if (more == NULL)
            return;
        if (k->trail_len > 0)
            memcpy(more, k->trail, k->trail_len * sizeof(*more));
        k->trail = more;
        k->trail_cap = cap;
    }
    k->trail[k->trail_len++] = (struct binding){id, k->vars[id]};
    k->vars[id] = t;
}

static void undo(struct checker *k, uint32_t mark)
{
    while (k->trail_len > mark) {
        struct binding b = k->trail[--k->trail_len];
        k->vars[b.id] = b.before;
    }
}

/* ---- the tree of documents ---- */

/* An inner node: known members, and perhaps base documents beside them. */
static const struct type *extent(struct checker *k, const struct tree_node *n)
{
    if (n->type != NULL)
        return n->type;
    uint32_t len = 0;
    for (const struct tree_node *c = n->children; c != NULL; c = c->sibling)
        len += c->typed;
    struct type_property *p = arena_new_array(k->m.a, struct type_property, len);
    if (p == NULL)
        return &type_any;
    len = 0;
    for (const struct tree_node *c = n->children; c != NULL; c = c->sibling)
        if (c->typed && value_kind(c->key) <= VALUE_KIND_STRING &&
            value_kind(c->key) >= VALUE_KIND_BOOLEAN)
            p[len++] = (struct type_property){c->key, extent(k, c)};
    return type_object(&k->m, p, len, &type_string, &type_any);
}

static const struct tree_node *typed_child(const struct checker *k, const struct tree_node *n,
                                           const struct term *part)
{
    struct tree_node *c = part->kind == TERM_VALUE ? tree_child(k->c, n, part->val) : NULL;
    return c != NULL && c->typed ? c : NULL;
}

static bool is_pattern(const struct term *t)
{
    return t->kind == TERM_VAR || t->kind == TERM_REF || t->kind == TERM_ARRAY ||
           t->kind == TERM_OBJECT || t->kind == TERM_SET;
}

const struct type *select_ref(struct checker *k, const struct type *t, const struct term *ref,
                              uint32_t i)
{
    for (; t != NULL && i < ref->len; i++) {
        const struct term *part = ref->items[i];
        if (part->kind == TERM_VALUE)
            t = type_select(&k->m, t, part->val);
        else if (is_pattern(part))
            t = type_is_empty(t) ? &type_any : type_values(&k->m, t);
        else
            t = NULL;
    }
    return t;
}

static const struct type *data_type(struct checker *k, const struct term *ref)
{
    const struct tree_node *n = k->c->root;
    for (uint32_t i = 1; i < ref->len; i++) {
        const struct tree_node *child = typed_child(k, n, ref->items[i]);
        if (n->type != NULL && child == NULL)
            return select_ref(k, n->type, ref, i);
        if (ref->items[i]->kind != TERM_VALUE)
            return select_ref(k, extent(k, n), ref, i);
        if (child == NULL)
            return &type_any;
        n = child;
    }
    return extent(k, n);
}

static const struct type *ref_type(struct checker *k, const struct term *ref)
{
    const struct term *head = ref->items[0];
    if (head->kind != TERM_VAR)
        return select_ref(k, type_of(k, ref->items[0]), ref, 1);
    const struct type *t;
    if (head->var.id < VAR_FIRST && layers_type(k, ref, &t))
        return t;
    if (head->var.id == VAR_INPUT)
        return &type_any;
    if (head->var.id == VAR_DATA)
        return data_type(k, ref);
    return select_ref(k, var_type(k, head->var.id), ref, 1);
}

/* ---- terms ---- */

static const struct type *collection_type(struct checker *k, struct term *t)
{
    if (t->kind == TERM_OBJECT) {
        struct type_property *p = arena_new_array(k->m.a, struct type_property, t->len / 2);
        const struct type *key = NULL;
        const struct type *of = NULL;
        bool is_open = false;
        uint32_t n = 0;
        for (uint32_t i = 0; p != NULL && i + 1 < t->len; i += 2) {
            const struct type *v = part_type(k, t->items[i + 1]);
            value constant;
            if (ast_constant(k->m.a, t->items[i], &constant)) {
                p[n++] = (struct type_property){constant, v};
            } else {
                is_open = true;
                key = part_type(k, t->items[i]);
                of = v; /* NULL: not known yet */
            }
        }
        if (p != NULL && is_open && key == NULL && of == NULL)
            return type_object_unknown(&k->m, p, n);
        return p == NULL ? &type_any : type_object(&k->m, p, n, key, of);
    }
    if (t->kind == TERM_SET) {
        const struct type *of = NULL;
        for (uint32_t i = 0; i < t->len; i++)
            of = type_or(&k->m, of, part_type(k, t->items[i]));
        return type_set(&k->m, of);
    }
    const struct type **items = arena_new_array(k->m.a, const struct type *, t->len);
    for (uint32_t i = 0; items != NULL && i < t->len; i++)
        items[i] = part_type(k, t->items[i]);
    return items == NULL ? &type_any : type_array(&k->m, items, t->len, NULL);
}

/* Once for each comprehension: its errors and its type. */
static const struct type *comprehension_type(struct checker *k, struct term *t)
{
    if (t->comp.typed)
        return t->comp.type;
    uint32_t mark = k->trail_len;
    uint32_t found = k->found;
    bool nil = k->nil_ref;
    k->found = 0;
    check_body(k, t->comp.body);
    const struct type *head = type_of(k, t->comp.head);
    const struct type *key = t->comp.key == NULL ? NULL : type_of(k, t->comp.key);
    bool ok = k->found == 0;
    undo(k, mark);
    k->found += found;
    k->nil_ref = nil || !ok;
    t->comp.typed = true;
    if (!ok)
        t->comp.type = NULL;
    else if (t->kind == TERM_ARRAY_COMP)
        t->comp.type = type_array(&k->m, NULL, 0, head);
    else if (t->kind == TERM_SET_COMP)
        t->comp.type = type_set(&k->m, head);
    else
        t->comp.type = type_object(&k->m, NULL, 0, key, head);
    return t->comp.type;
}

const struct type *type_of(struct checker *k, struct term *t)
{
    switch (t->kind) {
    case TERM_VALUE:
        return type_of_value(&k->m, t->val);
    case TERM_VAR:
        return t->var.id == VAR_INPUT || t->var.id == VAR_DATA ? &type_any : var_type(k, t->var.id);
    case TERM_REF:
        return ref_type(k, t);
    case TERM_ARRAY:
    case TERM_SET:
    case TERM_OBJECT:
        return collection_type(k, t);
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        return comprehension_type(k, t);
    case TERM_TEMPLATE:
        return &type_string;
    default:
        return NULL;
    }
}

const struct type *part_type(struct checker *k, struct term *t)
{
    if (t->kind == TERM_REF && t->joined != NULL)
        return t->joined;
    const struct type *type = type_of(k, t);
    bool unknown = t->kind == TERM_REF ? type_is_nil(type) : type == NULL && is_hoisted(t);
    return unknown ? &type_any : type;
}

/* ---- references ---- */

static bool check_empty_part(struct checker *k, const struct term *ref, const struct term *part,
                             const struct type *t)
{
    if (part->kind == TERM_VALUE && value_kind(part->val) <= VALUE_KIND_STRING)
        return undefined_ref(k, ref);
    if (part->kind != TERM_VAR)
        return true;
    const struct type *have = var_type(k, part->var.id);
    const struct type *keys = type_keys(&k->m, t);
    if (have == NULL)
        put_var(k, part->var.id, &type_any);
    else if (keys != NULL && !type_overlap(&k->m, have, keys))
        return undefined_ref(k, ref);
    return true;
}

/* From part i on; `t` is the type of what is before it. */
bool check_parts(struct checker *k, const struct term *ref, const struct type *t, uint32_t i)
{
    for (; i < ref->len; i++) {
        struct term *part = ref->items[i];
        if (type_is_empty(t))
            return check_empty_part(k, ref, part, t);
        const struct type *keys = type_keys(&k->m, t);
        if (keys == NULL)
            return undefined_ref(k, ref);
        const struct type *have = NULL;
        switch (part->kind) {
        case TERM_VAR:
            have = type_of(k, part);
            if (have == NULL)
                put_var(k, part->var.id, keys);
            else if (!type_overlap(&k->m, have, keys))
                return undefined_ref(k, ref);
            break;
        case TERM_REF:
            have = k->nested ? NULL : ref_type(k, part);
            /* OPA has it in a variable of its own: of what is not known it knows nothing. */
            if (!type_is_nil(have) && !type_overlap(&k->m, have, keys))
                return undefined_ref(k, ref);
            break;
        case TERM_ARRAY:
        case TERM_OBJECT:
        case TERM_SET:
            if (!check_infer(k, part, keys, false))
                return undefined_ref(k, ref);
            break;
        default:
            t = part->kind == TERM_VALUE ? type_select(&k->m, t, part->val) : NULL;
            if (t == NULL)
                return undefined_ref(k, ref);
            continue;
        }
        t = type_values(&k->m, t);
    }
    return true;
}

bool check_computed_part(struct checker *k, const struct term *ref, const struct term *part,
                         const struct type *keys)
{
    const struct type *have = part->kind == TERM_VAR ? var_type(k, part->var.id)
                              : k->nested            ? NULL
                                                     : ref_type(k, part);
    if (part->kind == TERM_REF && type_is_nil(have))
        return true;
    if (have == NULL && part->kind == TERM_VAR)
        put_var(k, part->var.id, keys);
    else if (have != NULL && !type_overlap(&k->m, keys, have))
        return undefined_ref(k, ref);
    return true;
}

static bool check_data_ref(struct checker *k, const struct term *ref)
{
    const struct tree_node *n = k->c->root;
    if (!n->typed) /* nothing is known of data yet, not even that its members have names */
        return check_parts(k, ref, &type_any, 1);
    for (uint32_t i = 1; i < ref->len; i++) {
        const struct term *part = ref->items[i];
        if (i <= 2 && !is_computed(part) && !ast_is_string(part))
            return undefined_ref(k, ref);
        if (is_computed(part) && !check_computed_part(k, ref, part, type_keys(&k->m, extent(k, n))))
            return false;
        const struct tree_node *child = typed_child(k, n, part);
        if (child == NULL)
            return check_parts(k, ref, &type_any, 1);
        if (child->type != NULL)
            return check_parts(k, ref, child->type, i + 1);
        n = child;
    }
    return true;
}

/* The call that a template string stands for takes anything, and says so of its variables. */
static void forget_shown_variable(struct checker *k, const struct term *t)
{
    const struct expr *e = t->in_text ? t->comp.body->items[0] : NULL;
    if (e != NULL && e->kind == EXPR_UNIFY && e->term->items[2]->kind == TERM_VAR && !k->nested)
        (void)check_infer(k, e->term->items[2], &type_any, true);
}

static bool check_ref(void *user, struct term *t)
{
    struct checker *k = user;
    if (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP) {
        (void)comprehension_type(k, t);
        forget_shown_variable(k, t);
        return false;
    }
    if (t->kind != TERM_REF || t->len == 0 || t->items[0]->kind != TERM_VAR)
        return true;
    const struct term *head = t->items[0];
    if (head->var.id == VAR_DATA) {
        const struct type *whole = ref_type(k, t);
        if (whole != NULL && whole->kind == TYPE_FUNCTION) {
            k->nil_ref = true;
            report(k, head->pos, "function @ used as reference, not called", shown(k, t));
            return false;
        }
    }
    bool ok;
    if (head->var.id < VAR_FIRST && layers_check(k, t, &ok))
        return true;
    if (head->var.id == VAR_DATA) {
        (void)check_data_ref(k, t);
    } else {
        const struct type *of = head->var.id < VAR_FIRST ? &type_any : var_type(k, head->var.id);
        if (of == NULL)
            put_var(k, head->var.id, of = &type_any);
        (void)check_parts(k, t, of, 1);
    }
    return true;
}

/* ---- literals ---- */

static const struct type *callee_type(struct checker *k, const struct callee *f)
{
    if (f->kind == CALLEE_RULE)
        return layers_replace(k, f->group->node) ? &type_any : f->group->node->type;
    struct callee *own = (struct callee *)(uintptr_t)f;
    if (!own->typed) {
        own->typed = true;
        own->type = type_parse(&k->m, f->kind == CALLEE_HOST ? f->host->type : f->builtin->type);
    }
    return own->type;
}

static void match_error(struct checker *k, const struct expr *e, bool nil)
{
    if (!(k->nil_ref && nil))
        report(k, e->pos, "match error", STR_EMPTY);
}

static bool check_member_operand(struct checker *k, const struct expr *e, struct term *t,
                                 const struct type *type)
{
    if (type_is_nil(type))
        return true;
    const struct type *have = type_of(k, t);
    bool nil = type_is_nil(have);
    if ((nil || type_overlap(&k->m, have, type)) && check_infer(k, t, type, false))
        return true;
    match_error(k, e, nil);
    return false;
}

/* x in c, k, x in c: what is looked for may occur there. */
static bool check_member(struct checker *k, const struct expr *e)
{
    const struct term *call = e->term;
    uint32_t arity = str_is(call->callee->name, "internal.member_3") ? 3 : 2;
    if (call->len < arity + 1)
        return true;
    const struct type *collection = part_type(k, call->items[arity]);
    const struct type *values = type_values(&k->m, collection);
    if (values == NULL)
        return true;
    if (arity == 3 && !check_member_operand(k, e, call->items[1], type_keys(&k->m, collection)))
        return false;
    return check_member_operand(k, e, call->items[arity - 1], values);
}

static void check_call(struct checker *k, const struct expr *e)
{
    const struct term *call = e->term;
    const struct callee *f = call->callee;
    if (f == NULL)
        return;
    bool is_member = f->kind == CALLEE_BUILTIN && str_has_prefix(f->name, STR("internal.member_"));
    if (is_member && !check_member(k, e))
        return;
    const struct type *type = callee_type(k, f);
    if (type == NULL && f->kind == CALLEE_RULE && f->group->node->typed)
        report(k, e->pos, "undefined function @", f->name); /* another of its rules was refused */
    if (type == NULL || type->kind != TYPE_FUNCTION)
        return;
    const struct type **before = arena_new_array(k->m.a, const struct type *, call->len);
    if (before == NULL)
        return;
    for (uint32_t i = 1; i < call->len; i++)
        before[i] = part_type(k, call->items[i]);
    for (uint32_t i = 1; i < call->len; i++) {
        const struct type *want = i <= type->len ? type->items[i - 1] : type->of;
        if (want == NULL)
            continue;
        bool clash = !type_is_nil(before[i]) && !type_overlap(&k->m, before[i], want);
        if (!clash && check_infer(k, call->items[i], want, false))
            continue;
        report(k, e->pos, "@: invalid argument(s)", f->name);
        return;
    }
}

static void check_equality(struct checker *k, const struct expr *e)
{
    struct term *a = e->term->items[1];
    struct term *b = e->term->items[2];
    const struct type *ta = type_of(k, a);
    const struct type *tb = type_of(k, b);
    /* `some x in 1` has the collection in a variable; OPA lets it stand, and finds nothing wrong.
     */
    if (e->generated && a->kind == TERM_VAR && ta == NULL && b->kind == TERM_VALUE &&
        value_kind(b->val) <= VALUE_KIND_STRING)
        tb = &type_any;
    if (!check_unify(k, a, ta, b, tb))
        match_error(k, e, type_is_nil(ta) || type_is_nil(tb));
}

/* References and comprehensions anywhere in a literal; what a call calls is none. */
static void check_references(struct checker *k, struct expr *e)
{
    if (e->kind == EXPR_CALL || e->kind == EXPR_UNIFY)
        for (uint32_t i = 1; i < e->term->len; i++)
            walk_term(e->term->items[i], check_ref, k);
    else
        walk_term(e->term, check_ref, k);
    walk_term(e->domain, check_ref, k);
    /* OPA puts the domain into a variable first, which may be anything. */
    if (e->kind == EXPR_EVERY && !k->nested && type_is_nil(type_of(k, e->domain)))
        (void)check_infer(k, e->domain, &type_any, false);
    struct body *const bodies[] = {e->body, e->right};
    bool outer = k->nested;
    k->nested = true;
    for (size_t i = 0; i < 2; i++)
        for (uint32_t n = 0; bodies[i] != NULL && n < bodies[i]->len; n++)
            check_references(k, bodies[i]->items[n]);
    k->nested = outer;
}

/* A function may take the place of another that it overlaps with. */
static bool check_replacements(struct checker *k, const struct expr *e)
{
    for (uint32_t i = 0; i < e->with_count; i++) {
        const struct with *w = &e->withs[i];
        if (w->callee == NULL || w->replacement == NULL)
            continue;
        const struct type *a = callee_type(k, w->callee);
        const struct type *b = callee_type(k, w->replacement);
        if (a == NULL || b == NULL || a->kind != TYPE_FUNCTION || b->kind != TYPE_FUNCTION ||
            type_overlap(&k->m, a, b))
            continue;
        report(k, w->pos, "@: arity mismatch", w->callee->name);
        return false;
    }
    return true;
}

static void check_expr(struct checker *k, struct expr *e)
{
    const struct layer *outer = k->layers;
    if (e->with_count > 0)
        k->layers = layers_of(k, e);
    k->nil_ref = false;
    check_references(k, e);
    bool ok = check_replacements(k, e);
    if (ok && e->kind == EXPR_UNIFY)
        check_equality(k, e);
    else if (ok && e->kind == EXPR_CALL && e->term->callee != NULL && !k->in_query &&
             e->term->len == 3 && str_is(e->term->callee->name, "equal"))
        check_equality(k, e); /* == of a rule is an equality (4.3) */
    else if (ok && e->kind == EXPR_CALL)
        check_call(k, e);
    k->layers = outer;
}

void check_body(struct checker *k, struct body *b)
{
    for (uint32_t i = 0; i < b->len && arena_status(k->m.a) == OK; i++)
        check_expr(k, b->items[i]);
}
