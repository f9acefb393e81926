/*
 * Types of rules, each after what it uses, and of the documents that they make.
 */
#include "rego/check_types.h"

#include <stdlib.h>

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

/*
 * `replaced`: a modifier may put another value in its place.  OPA asks that of the
 * first rule of a chain only: an empty collection of an `else` stays one.
 */
static void check_rule(struct checker *k, struct rule *r, bool replaced)
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
    if (t != NULL && replaced)
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
            check_rule(k, b, g->replaced && b == r);
        }
}

/* With the groups of longer paths that contribute to the same document. */
static void check_group(struct checker *k, struct rule_group *g)
{
    check_rules(k, g);
    for (const struct tree_node *n = tree_next(g->node, g->node); n != NULL;
         n = tree_next(n, g->node))
        if (n->group != NULL && n->group->absorbed)
            check_rules(k, n->group);
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
        check_rule(&k, c->query, false);
    }
    if (c->errors.len > 1)
        qsort(c->errors.items, c->errors.len, sizeof(*c->errors.items), by_place);
}
