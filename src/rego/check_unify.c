/*
 * Unification: what an equality says of the types of variables on its sides.
 */
#include "rego/check_types.h"

static bool infer_any(struct checker *k, struct term *t, const struct type *any)
{
    if (any->len == 0) {
        for (uint32_t i = 0; i < t->len; i++)
            (void)check_infer(k, t->items[i], &type_any, true);
        return true;
    }
    bool overlaps = false;
    for (uint32_t i = 0; i < any->len; i++)
        overlaps = check_infer(k, t, any->items[i], true) || overlaps;
    return overlaps;
}

static bool infer_array(struct checker *k, struct term *t, const struct type *type, bool join)
{
    if (t->len != type->len && type->of == NULL)
        return false;
    for (uint32_t i = 0; i < t->len; i++)
        if (!check_infer(k, t->items[i], i < type->len ? type->items[i] : type->of, join))
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
            (void)check_infer(k, t->items[i + 1], &type_any, join);
            continue;
        }
        const struct type *member = type_select(&k->m, type, key);
        if (member == NULL || !check_infer(k, t->items[i + 1], member, join))
            return false;
    }
    return true;
}

static bool infer_set(struct checker *k, struct term *t, const struct type *type, bool join)
{
    for (uint32_t i = 0; i < t->len; i++)
        if (!check_infer(k, t->items[i], type->of, join))
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

/* OPA has it in a variable of its own, which from here on may be of this type, too. */
static bool infer_hoisted(struct checker *k, struct term *t, const struct type *type)
{
    const struct type *joined = type_or(&k->m, part_type(k, t), type);
    if (t->kind == TERM_REF)
        t->joined = joined;
    else
        t->comp.type = joined;
    return true;
}

bool check_infer(struct checker *k, struct term *t, const struct type *type, bool join)
{
    if (t->kind == TERM_VAR)
        return infer_var(k, t, type, join);
    if (t->kind != TERM_ARRAY && t->kind != TERM_OBJECT && t->kind != TERM_SET)
        return join && is_hoisted(t) ? infer_hoisted(k, t, type)
                                     : type_overlap(&k->m, part_type(k, t), type);
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

static bool unify_with_var(struct checker *k, struct term *t, struct term *var)
{
    return check_infer(k, t, &type_any, false) && check_infer(k, var, type_of(k, t), false);
}

static bool unify_arrays(struct checker *k, struct term *a, struct term *b)
{
    if (b->kind == TERM_VAR)
        return unify_with_var(k, a, b);
    if (b->kind != TERM_ARRAY || a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!check_unify(k, a->items[i], type_of(k, a->items[i]), b->items[i],
                         type_of(k, b->items[i])))
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
            !check_unify(k, a->items[i + 1], type_of(k, a->items[i + 1]), other, type_of(k, other)))
            return false;
    }
    return true;
}

bool check_unify(struct checker *k, struct term *a, const struct type *ta, struct term *b,
                 const struct type *tb)
{
    bool na = type_is_nil(ta);
    bool nb = type_is_nil(tb);
    if (na && !nb)
        return is_hoisted(a) ? ta != NULL && type_overlap(&k->m, ta, tb)
                             : check_infer(k, a, tb, false);
    if (nb && !na)
        return is_hoisted(b) ? tb != NULL && type_overlap(&k->m, ta, tb)
                             : check_infer(k, b, ta, false);
    if (!na)
        return type_overlap(&k->m, ta, tb);
    switch (a->kind) {
    case TERM_ARRAY:
        return unify_arrays(k, a, b);
    case TERM_OBJECT:
        return unify_objects(k, a, b);
    case TERM_VAR:
        if (b->kind == TERM_VAR)
            return check_infer(k, a, &type_any, false) && check_infer(k, b, type_of(k, a), false);
        if (b->kind == TERM_ARRAY)
            return unify_arrays(k, b, a);
        if (b->kind == TERM_OBJECT)
            return unify_objects(k, b, a);
        if (b->kind == TERM_REF)
            return check_infer(k, a, &type_any, false);
        break;
    case TERM_REF:
        if (b->kind == TERM_VAR)
            return check_infer(k, b, &type_any, false);
        break;
    default:
        break;
    }
    if (a->kind == TERM_VAR && ta == NULL && tb != NULL)
        return check_infer(k, a, tb, false);
    if (b->kind == TERM_VAR && tb == NULL && ta != NULL)
        return check_infer(k, b, ta, false);
    return false;
}
