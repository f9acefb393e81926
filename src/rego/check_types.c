/*
 * The static type checker: what can never hold is refused.
 *
 * Rules are typed after the rules that they use.  A variable has the type of
 * the first literal that says anything about it; later literals must overlap
 * with it.  Rules and messages are OPA's (v1/ast/check.go), but that JSON schemas
 * of annotations are not read.
 */
#include "rego/check_types.h"

#include <stdlib.h>

static void check_body(struct checker *k, struct body *b);

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
        uint32_t n = 0;
        for (uint32_t i = 0; p != NULL && i + 1 < t->len; i += 2) {
            const struct type *v = part_type(k, t->items[i + 1]);
            value constant;
            if (ast_constant(k->m.a, t->items[i], &constant)) {
                p[n++] = (struct type_property){constant, v};
            } else {
                key = part_type(k, t->items[i]);
                of = v;
                if (key == NULL || of == NULL) /* a part that is not known yet */
                    of = of == NULL ? key : of;
            }
        }
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

/*
 * Inside of calls and collections OPA has references and comprehensions in
 * variables of their own: of those whose type is not known it knows nothing.
 */
static bool is_hoisted(const struct term *t)
{
    return t->kind == TERM_REF || (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP);
}

const struct type *part_type(struct checker *k, struct term *t)
{
    const struct type *type = type_of(k, t);
    bool unknown = t->kind == TERM_REF ? type_is_nil(type) : type == NULL && is_hoisted(t);
    return unknown ? &type_any : type;
}

/* ---- unification ---- */

static bool infer(struct checker *k, struct term *t, const struct type *type, bool join);

static bool infer_any(struct checker *k, struct term *t, const struct type *any)
{
    if (any->len == 0) {
        for (uint32_t i = 0; i < t->len; i++)
            (void)infer(k, t->items[i], &type_any, true);
        return true;
    }
    bool overlaps = false;
    for (uint32_t i = 0; i < any->len; i++)
        overlaps = infer(k, t, any->items[i], true) || overlaps;
    return overlaps;
}

static bool infer_array(struct checker *k, struct term *t, const struct type *type, bool join)
{
    if (t->len != type->len && type->of == NULL)
        return false;
    for (uint32_t i = 0; i < t->len; i++)
        if (!infer(k, t->items[i], i < type->len ? type->items[i] : type->of, join))
            return false;
    return true;
}

static bool infer_object(struct checker *k, struct term *t, const struct type *type, bool join)
{
    if (t->len / 2 != type->len && type->of == NULL)
        return false;
    for (uint32_t i = 0; i + 1 < t->len; i += 2) {
        value key;
        if (!ast_constant(k->m.a, t->items[i], &key)) {
            (void)infer(k, t->items[i + 1], &type_any, join);
            continue;
        }
        const struct type *member = type_select(&k->m, type, key);
        if (member == NULL || !infer(k, t->items[i + 1], member, join))
            return false;
    }
    return true;
}

static bool infer_set(struct checker *k, struct term *t, const struct type *type, bool join)
{
    for (uint32_t i = 0; i < t->len; i++)
        if (!infer(k, t->items[i], type->of, join))
            return false;
    return true;
}

static bool infer_var(struct checker *k, const struct term *t, const struct type *type, bool join)
{
    const struct type *have = type_of(k, (struct term *)(uintptr_t)t);
    if (join)
        put_var(k, t->var.id, type_or(&k->m, have, type));
    else if (have != NULL)
        return type_overlap(&k->m, have, type);
    else
        put_var(k, t->var.id, type);
    return true;
}

/* The term may have this type; its variables get what that says about them. */
static bool infer(struct checker *k, struct term *t, const struct type *type, bool join)
{
    if (t->kind == TERM_VAR)
        return infer_var(k, t, type, join);
    if (t->kind != TERM_ARRAY && t->kind != TERM_OBJECT && t->kind != TERM_SET)
        return (join && is_hoisted(t)) || type_overlap(&k->m, part_type(k, t), type);
    if (type == NULL)
        return false;
    if (type->kind == TYPE_ANY)
        return infer_any(k, t, type);
    if (t->kind == TERM_ARRAY)
        return type->kind == TYPE_ARRAY && infer_array(k, t, type, join);
    if (t->kind == TERM_OBJECT)
        return type->kind == TYPE_OBJECT && infer_object(k, t, type, join);
    return type->kind == TYPE_SET && infer_set(k, t, type, join);
}

static bool unify(struct checker *k, struct term *a, const struct type *ta, struct term *b,
                  const struct type *tb);

static bool unify_with_var(struct checker *k, struct term *t, struct term *var)
{
    return infer(k, t, &type_any, false) && infer(k, var, type_of(k, t), false);
}

static bool unify_arrays(struct checker *k, struct term *a, struct term *b)
{
    if (b->kind == TERM_VAR)
        return unify_with_var(k, a, b);
    if (b->kind != TERM_ARRAY || a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!unify(k, a->items[i], type_of(k, a->items[i]), b->items[i], type_of(k, b->items[i])))
            return false;
    return true;
}

static struct term *member(const struct term *object, const struct term *key)
{
    for (uint32_t i = 0; i + 1 < object->len; i += 2) {
        const struct term *k = object->items[i];
        if ((k->kind == TERM_VALUE && key->kind == TERM_VALUE && value_equal(k->val, key->val)) ||
            (k->kind == TERM_VAR && key->kind == TERM_VAR && k->var.id == key->var.id))
            return object->items[i + 1];
    }
    return NULL;
}

static bool unify_objects(struct checker *k, struct term *a, struct term *b)
{
    if (b->kind == TERM_VAR)
        return unify_with_var(k, a, b);
    if (b->kind != TERM_OBJECT || a->len != b->len)
        return false;
    for (uint32_t i = 0; i + 1 < a->len; i += 2) {
        struct term *other = member(b, a->items[i]);
        if (other == NULL ||
            !unify(k, a->items[i + 1], type_of(k, a->items[i + 1]), other, type_of(k, other)))
            return false;
    }
    return true;
}

static bool unify(struct checker *k, struct term *a, const struct type *ta, struct term *b,
                  const struct type *tb)
{
    bool na = type_is_nil(ta);
    bool nb = type_is_nil(tb);
    if (na && !nb)
        return is_hoisted(a) ? ta != NULL && type_overlap(&k->m, ta, tb) : infer(k, a, tb, false);
    if (nb && !na)
        return is_hoisted(b) ? tb != NULL && type_overlap(&k->m, ta, tb) : infer(k, b, ta, false);
    if (!na)
        return type_overlap(&k->m, ta, tb);
    switch (a->kind) {
    case TERM_ARRAY:
        return unify_arrays(k, a, b);
    case TERM_OBJECT:
        return unify_objects(k, a, b);
    case TERM_VAR:
        if (b->kind == TERM_VAR)
            return infer(k, a, &type_any, false) && infer(k, b, type_of(k, a), false);
        if (b->kind == TERM_ARRAY)
            return unify_arrays(k, b, a);
        if (b->kind == TERM_OBJECT)
            return unify_objects(k, b, a);
        if (b->kind == TERM_REF)
            return infer(k, a, &type_any, false);
        break;
    case TERM_REF:
        if (b->kind == TERM_VAR)
            return infer(k, b, &type_any, false);
        break;
    default:
        break;
    }
    if (a->kind == TERM_VAR && ta == NULL && tb != NULL)
        return infer(k, a, tb, false);
    if (b->kind == TERM_VAR && tb == NULL && ta != NULL)
        return infer(k, b, ta, false);
    return false;
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
            if (!infer(k, part, keys, false))
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
        (void)infer_var(k, e->term->items[2], &type_any, true);
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
    if ((nil || type_overlap(&k->m, have, type)) && infer(k, t, type, false))
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
        if (!clash && infer(k, call->items[i], want, false))
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
    if (!unify(k, a, ta, b, tb))
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
    if (e->kind == EXPR_EVERY && type_is_nil(type_of(k, e->domain)))
        (void)infer(k, e->domain, &type_any, false);
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

static void check_body(struct checker *k, struct body *b)
{
    for (uint32_t i = 0; i < b->len && arena_status(k->m.a) == OK; i++)
        check_expr(k, b->items[i]);
}

/* ---- rules ---- */

/* {key: {key: ... type}} for the parts of a head that are not constant. */
static const struct type *nested(struct checker *k, const struct rule *r, const struct type *t)
{
    for (uint32_t i = r->head.ref->len; t != NULL && i > r->ground_len; i--) {
        const struct type *key = type_of(k, r->head.ref->items[i - 1]);
        t = key == NULL ? NULL : type_object(&k->m, NULL, 0, key, t);
    }
    return t;
}

static bool args_unknown(void *user, struct term *t)
{
    struct checker *k = user;
    if (t->kind == TERM_VAR && var_type(k, t->var.id) == NULL)
        put_var(k, t->var.id, &type_any);
    return true;
}

static const struct type *rule_type(struct checker *k, struct rule *r)
{
    if (r->head.has_args) {
        const struct type **args = arena_new_array(k->m.a, const struct type *, r->head.arg_count);
        if (args == NULL)
            return NULL;
        for (uint32_t i = 0; i < r->head.arg_count; i++) {
            walk_term(r->head.args[i], args_unknown, k);
            args[i] = type_of(k, r->head.args[i]);
        }
        return type_function(&k->m, args, r->head.arg_count, type_of(k, r->head.val));
    }
    if (r->head.key == NULL)
        return nested(k, r, type_of(k, r->head.val));
    const struct type *element = type_of(k, r->head.key);
    return element == NULL ? NULL : nested(k, r, type_set(&k->m, element));
}

/* `t` below an object: among the members whose keys are not known one by one. */
static const struct type *insert_below(struct checker *k, const struct type *object,
                                       const struct tree_node *const *path, uint32_t len,
                                       const struct type *t)
{
    if (len == 0)
        return object;
    const struct type *empty = type_object(&k->m, NULL, 0, NULL, NULL);
    const struct type *member = len == 1 ? t : insert_below(k, empty, path + 1, len - 1, t);
    const struct type *key = type_of_value(&k->m, path[0]->key);
    struct type_property *p = arena_new_array(k->m.a, struct type_property, object->len);
    if (p == NULL)
        return &type_any;
    if (object->len > 0)
        memcpy(p, object->properties, object->len * sizeof(*p));
    return type_object(&k->m, p, object->len, type_or(&k->m, object->key, key),
                       type_or(&k->m, object->of, member));
}

/* Types of the nodes below an object join it. */
static const struct type *join_below(struct checker *k, const struct type *object,
                                     const struct tree_node *n, const struct tree_node **path,
                                     uint32_t len)
{
    for (const struct tree_node *c = n->children; c != NULL && len < TYPE_PATH_MAX;
         c = c->sibling) {
        if (!c->typed)
            continue;
        path[len] = c;
        object = c->type != NULL ? insert_below(k, object, path, len + 1, c->type)
                                 : join_below(k, object, c, path, len + 1);
        if (object->kind != TYPE_OBJECT)
            return object;
    }
    return object;
}

static void insert_type(struct checker *k, struct tree_node *n, const struct type *t)
{
    const struct tree_node *path[TYPE_PATH_MAX];
    uint32_t len = 0;
    for (struct tree_node *p = n; p != NULL && p->parent != NULL && len < TYPE_PATH_MAX;
         p = p->parent)
        path[TYPE_PATH_MAX - ++len] = p;
    const struct tree_node **at = path + TYPE_PATH_MAX - len;
    for (uint32_t i = 0; i < len; i++) {
        struct tree_node *p = (struct tree_node *)(uintptr_t)at[i];
        p->typed = true;
        if (i + 1 < len && p->type != NULL && p->type->kind == TYPE_OBJECT)
            p->type = insert_below(k, p->type, at + i + 1, len - i - 1, t);
    }
    if (n->lost && t->kind == TYPE_OBJECT)
        t = type_object(&k->m, NULL, 0, &type_any, &type_any);
    k->c->root->typed = true;
    n->type = type_merge(&k->m, n->type, t);
    if (t->kind == TYPE_OBJECT && n->type != NULL && n->type->kind == TYPE_OBJECT)
        n->type = join_below(k, n->type, n, path, 0);
}

static void set_node(struct tree_node *n, const struct type *t)
{
    n->type = t;
    for (struct tree_node *p = n; p != NULL; p = p->parent)
        p->typed = true;
}

static void check_rule(struct checker *k, struct rule *r)
{
    k->module = r->module;
    k->var_cap = r->vars == NULL ? 0 : r->vars->len;
    k->vars = arena_new_array(k->m.a, const struct type *, k->var_cap);
    k->trail_len = 0;
    k->found = 0;
    if (k->vars == NULL || front_late(k->c))
        return;
    check_body(k, r->body);
    struct tree_node *n = r->group == NULL ? NULL : r->group->node;
    if (n == NULL)
        return;
    if (k->found > 0) {
        /* What uses it must not fail, too. */
        n->lost = r->head.ref->len > r->ground_len;
        set_node(n, n->lost ? n->type : &type_any);
        return;
    }
    const struct type *t = rule_type(k, r);
    if (t != NULL && r->group->replaced)
        t = type_relax(&k->m, t);
    if (t != NULL)
        insert_type(k, n, t);
}

/* ---- all rules, each after what it uses ---- */

struct step {
    struct rule_group *g;
    uint32_t next;
};

static void check_rules(struct checker *k, struct rule_group *g)
{
    for (struct rule *r = g->first; r != NULL; r = r->next_in_group)
        for (struct rule *b = r; b != NULL; b = b->els) {
            b->group = g;
            check_rule(k, b);
        }
}

/* With the groups of longer paths that contribute to the same document. */
static void check_group(struct checker *k, struct rule_group *g)
{
    check_rules(k, g);
    for (const struct tree_node *n = g->node->children; n != NULL;) {
        if (n->group != NULL && n->group->absorbed)
            check_rules(k, n->group);
        if (n->children != NULL) {
            n = n->children;
            continue;
        }
        while (n != g->node && n->sibling == NULL)
            n = n->parent;
        n = n == g->node ? NULL : n->sibling;
    }
}

static int by_place(const void *x, const void *y)
{
    const struct rego_error *a = x;
    const struct rego_error *b = y;
    int c = str_compare(a->file, b->file);
    if (c != 0)
        return c;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return a->col < b->col ? -1 : a->col > b->col;
}

static void check_all(struct checker *k)
{
    struct rego_compiler *c = k->c;
    struct step *stack = arena_new_array(&c->arena, struct step, c->group_count + 1);
    if (stack == NULL)
        return;
    for (struct rule_group *top = c->groups; top != NULL; top = top->next) {
        uint32_t depth = 0;
        if (!top->type_seen && !top->absorbed)
            stack[depth++] = (struct step){top, 0};
        top->type_seen = true;
        while (depth > 0) {
            struct step *s = &stack[depth - 1];
            if (s->next == s->g->dep_count) {
                check_group(k, s->g);
                depth--;
                continue;
            }
            struct rule_group *d = s->g->deps[s->next++];
            if (!d->type_seen)
                stack[depth++] = (struct step){d, 0};
            d->type_seen = true;
        }
    }
}

void pass_types(struct rego_compiler *c)
{
    struct checker k = {.m = {.c = c, .a = &c->arena}, .c = c};
    mark_replaced(&k);
    check_all(&k);
    if (c->query != NULL) {
        k.in_query = true;
        check_rule(&k, c->query);
    }
    if (c->errors.len > 1)
        qsort(c->errors.items, c->errors.len, sizeof(*c->errors.items), by_place);
}
