/*
 * Modifiers and types: inside of `expr with data.a.b as v`, data.a.b may be what
 * it was or what v is, and of the rules that depend on it nothing is known.
 */
#include "rego/check_types.h"

#include <stdlib.h>

struct replaced {
    value key;
    const struct type *type;   /* or NULL: only something below has one */
    const struct type *extent; /* of a node without a type, once it was asked for */
    struct replaced *children; /* in order of keys */
    uint32_t len, cap;
};

#define LAYER_NODE_WORK 16 /* units of work for a node of a layer */

/* From data and input; NULL: this layer says nothing of it. */
struct layer {
    struct replaced *roots[2];
    const struct layer *next;
};

struct rule_group_user {
    struct rule_group *g;
    struct rule_group_user *next;
};

static int root_of(const struct term *ref)
{
    if (ref->kind != TERM_REF || ref->items[0]->kind != TERM_VAR)
        return -1;
    return ref->items[0]->var.id == VAR_DATA ? 0 : ref->items[0]->var.id == VAR_INPUT ? 1 : -1;
}

/* Index of the child with this key, or where it would be. */
static uint32_t child_at(const struct replaced *n, value key, bool *found)
{
    uint32_t lo = 0, hi = n->len;
    *found = false;
    while (lo < hi && !*found) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = value_compare(key, n->children[mid].key);
        *found = c == 0;
        if (c <= 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return hi;
}

static struct replaced *child_of(const struct replaced *n, value key)
{
    bool found;
    uint32_t i = child_at(n, key, &found);
    return found ? &n->children[i] : NULL;
}

/* ---- putting types into a layer ---- */

/* NULL: no memory, or too much work.  Pointers to other children are no longer good. */
static struct replaced *put_child(struct checker *k, struct replaced *n, value key)
{
    bool found;
    uint32_t i = child_at(n, key, &found);
    if (found)
        return &n->children[i];
    if (!front_work(k->c, LAYER_NODE_WORK + (n->len - i)))
        return NULL;
    if (n->len == n->cap) {
        uint32_t cap = n->cap == 0 ? 4 : n->cap * 2;
        struct replaced *more = arena_new_array(k->m.a, struct replaced, cap);
        if (more == NULL)
            return NULL;
        if (n->len > 0)
            memcpy(more, n->children, n->len * sizeof(*more));
        n->children = more;
        n->cap = cap;
    }
    memmove(n->children + i + 1, n->children + i, (n->len - i) * sizeof(*n->children));
    n->children[i] = (struct replaced){.key = key};
    n->len++;
    return &n->children[i];
}

static struct replaced *put_root(struct checker *k, struct layer *l, int root)
{
    if (l->roots[root] == NULL)
        l->roots[root] = arena_new(k->m.a, struct replaced);
    return l->roots[root];
}

/* At the target's constant parts. */
static void put_target(struct checker *k, struct layer *l, const struct term *target,
                       const struct type *t)
{
    struct replaced *n = put_root(k, l, root_of(target));
    for (uint32_t i = 1; n != NULL && i < target->len && target->items[i]->kind == TERM_VALUE; i++)
        n = put_child(k, n, target->items[i]->val);
    if (n != NULL)
        n->type = t;
}

static struct replaced *put_node(struct checker *k, struct layer *l, const struct tree_node *at)
{
    if (at->parent == NULL)
        return put_root(k, l, 0);
    const struct tree_node *path[TYPE_PATH_MAX];
    uint32_t len = 0;
    for (; at->parent != NULL && len < TYPE_PATH_MAX; at = at->parent)
        path[len++] = at;
    struct replaced *n = at->parent == NULL ? put_root(k, l, 0) : NULL;
    while (n != NULL && len > 0)
        n = put_child(k, n, path[--len]->key);
    return n;
}

/* ---- which rules a target may mean ---- */

typedef void (*group_visitor)(struct checker *k, struct rule_group *g, void *user);

static void all_below(struct checker *k, const struct tree_node *top, group_visitor visit,
                      void *user)
{
    const struct tree_node *n = top;
    while (front_work(k->c, 1)) {
        if (n->group != NULL)
            visit(k, n->group, user);
        if (n->children != NULL) {
            n = n->children;
            continue;
        }
        while (n != top && n->sibling == NULL)
            n = n->parent;
        if (n == top)
            return;
        n = n->sibling;
    }
}

/* The depth of this recursion is that of the rule tree along computed parts. */
static void groups_of(struct checker *k, const struct tree_node *n, const struct term *target,
                      uint32_t i, group_visitor visit, void *user)
{
    for (; i < target->len && target->items[i]->kind == TERM_VALUE; i++) {
        n = tree_child(k->c, n, target->items[i]->val);
        if (n == NULL)
            return;
        if (n->group != NULL && i + 1 < target->len)
            visit(k, n->group, user);
    }
    if (i == target->len) {
        all_below(k, n, visit, user);
        return;
    }
    for (const struct tree_node *c = n->children; c != NULL && front_work(k->c, 1);
         c = c->sibling) {
        if (c->group != NULL && i + 1 < target->len)
            visit(k, c->group, user);
        groups_of(k, c, target, i + 1, visit, user);
    }
}

static void mark_group(struct checker *k, struct rule_group *g, void *user)
{
    (void)k;
    (void)user;
    g->replaced = true;
}

static void mark_body(struct checker *k, struct body *b);

static bool mark_term(void *user, struct term *t)
{
    if (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP)
        mark_body(user, t->comp.body);
    return true;
}

static void mark_body(struct checker *k, struct body *b)
{
    for (uint32_t i = 0; b != NULL && i < b->len; i++) {
        struct expr *e = b->items[i];
        for (uint32_t n = 0; n < e->with_count; n++)
            if (root_of(e->withs[n].target) == 0)
                groups_of(k, k->c->root, e->withs[n].target, 1, mark_group, NULL);
        walk_term(e->term, mark_term, k);
        walk_term(e->domain, mark_term, k);
        mark_body(k, e->body);
        mark_body(k, e->right);
    }
}

void mark_replaced(struct checker *k)
{
    for (struct module *m = k->c->modules; m != NULL; m = m->next)
        for (struct rule *r = m->rules; r != NULL; r = r->next)
            for (struct rule *b = r; b != NULL; b = b->els)
                mark_body(k, b->body);
}

/* ---- rules that depend on others ---- */

static void collect_users(struct checker *k)
{
    k->users_known = true;
    for (struct rule_group *g = k->c->groups; g != NULL; g = g->next)
        for (uint32_t i = 0; i < g->dep_count && front_work(k->c, 1); i++) {
            struct rule_group_user *u = arena_new(k->m.a, struct rule_group_user);
            if (u == NULL)
                return;
            *u = (struct rule_group_user){g, g->deps[i]->users};
            g->deps[i]->users = u;
        }
}

struct search {
    struct rule_group **stack;
    uint32_t len;
    uint32_t mark;
};

static void push_group(struct checker *k, struct rule_group *g, void *user)
{
    (void)k;
    struct search *s = user;
    if (g->user_mark == s->mark)
        return;
    g->user_mark = s->mark;
    s->stack[s->len++] = g;
}

struct known_layer {
    const struct term *target;
    bool function;
    struct layer *layer; /* or NULL: no rule depends on it */
    struct known_layer *next;
};

static bool same_path(const struct term *a, const struct term *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 1; i < a->len; i++)
        if (a->items[i]->kind != TERM_VALUE || b->items[i]->kind != TERM_VALUE ||
            !value_equal(a->items[i]->val, b->items[i]->val))
            return false;
    return true;
}

static struct layer *remember(struct checker *k, const struct term *target, bool function,
                              struct layer *l)
{
    struct known_layer *c = arena_new(k->m.a, struct known_layer);
    if (c != NULL) {
        *c = (struct known_layer){target, function, l, k->known};
        k->known = c;
    }
    return l;
}

static int order_of_paths(const void *x, const void *y)
{
    const struct rule_group *a = *(struct rule_group *const *)x;
    const struct rule_group *b = *(struct rule_group *const *)y;
    return a->node->pre < b->node->pre ? -1 : a->node->pre > b->node->pre;
}

/*
 * A layer in which the rules that the target may mean, and all that use them, are
 * anything.  The same target is asked for again and again (tests of policies).
 */
static struct layer *dependents(struct checker *k, const struct term *target, bool function)
{
    if (!k->users_known)
        collect_users(k);
    for (const struct known_layer *c = k->known; c != NULL && front_work(k->c, 1); c = c->next)
        if (c->function == function && same_path(c->target, target))
            return c->layer;
    struct search s = {.mark = ++k->searches};
    s.stack = arena_new_array(k->m.a, struct rule_group *, k->c->group_count + 1);
    struct layer *l = arena_new(k->m.a, struct layer);
    if (s.stack == NULL || l == NULL)
        return NULL;
    groups_of(k, k->c->root, target, 1, push_group, &s);
    uint32_t first = function ? s.len : 0;
    for (uint32_t i = 0; i < s.len && front_work(k->c, 1); i++)
        for (struct rule_group_user *u = s.stack[i]->users; u != NULL; u = u->next)
            push_group(k, u->g, &s);
    /* In the order of the tree, so that each child is put behind the others. */
    qsort(s.stack + first, s.len - first, sizeof(*s.stack), order_of_paths);
    for (uint32_t i = first; i < s.len; i++) {
        struct replaced *n = put_node(k, l, s.stack[i]->node);
        if (n == NULL)
            return NULL;
        n->type = &type_any;
    }
    return remember(k, target, function, l->roots[0] == NULL ? NULL : l);
}

static bool is_ground(const struct term *ref)
{
    for (uint32_t i = 1; i < ref->len; i++)
        if (ref->items[i]->kind != TERM_VALUE)
            return false;
    return true;
}

const struct layer *layers_of(struct checker *k, const struct expr *e)
{
    const struct layer *below = k->layers;
    struct layer *targets = arena_new(k->m.a, struct layer);
    if (targets == NULL)
        return below;
    for (uint32_t i = 0; i < e->with_count; i++) {
        const struct with *w = &e->withs[i];
        int root = root_of(w->target);
        if (root < 0)
            continue;
        const struct type *was = type_of(k, w->target);
        bool function = was != NULL && was->kind == TYPE_FUNCTION;
        const struct layer *shared = root == 0 ? dependents(k, w->target, function) : NULL;
        struct layer *l = shared == NULL ? NULL : arena_new(k->m.a, struct layer);
        if (l != NULL) {
            *l = (struct layer){{shared->roots[0], shared->roots[1]}, below};
            below = l;
        }
        if (function)
            continue;
        const struct type *t = &type_any;
        const struct type *is = w->val == NULL ? NULL : part_type(k, w->val);
        if (is_ground(w->target) && was != NULL && is != NULL)
            t = type_or(&k->m, was, is);
        put_target(k, targets, w->target, t == NULL ? &type_any : t);
    }
    targets->next = below;
    return targets->roots[0] == NULL && targets->roots[1] == NULL ? below : targets;
}

/* ---- looking things up ---- */

/* A node without a type of its own: its members, and perhaps others. */
static const struct type *layer_extent(struct checker *k, struct replaced *n)
{
    if (n->type != NULL || n->extent != NULL)
        return n->type != NULL ? n->type : n->extent;
    struct type_property *p = arena_new_array(k->m.a, struct type_property, n->len);
    if (p == NULL)
        return &type_any;
    uint32_t len = 0;
    for (uint32_t i = 0; i < n->len; i++) {
        struct replaced *c = &n->children[i];
        if (value_kind(c->key) >= VALUE_KIND_BOOLEAN && value_kind(c->key) <= VALUE_KIND_STRING)
            p[len++] = (struct type_property){c->key, layer_extent(k, c)};
    }
    return n->extent = type_object(&k->m, p, len, &type_string, &type_any);
}

bool layers_type(struct checker *k, const struct term *ref, const struct type **out)
{
    int root = root_of(ref);
    for (const struct layer *l = k->layers; l != NULL && root >= 0; l = l->next) {
        struct replaced *n = l->roots[root];
        for (uint32_t i = 1; n != NULL; i++) {
            bool constant = i < ref->len && ref->items[i]->kind == TERM_VALUE;
            struct replaced *c = constant ? child_of(n, ref->items[i]->val) : NULL;
            if (!constant || (n->type != NULL && c == NULL)) {
                *out = select_ref(k, layer_extent(k, n), ref, i);
                return true;
            }
            n = c; /* NULL: the layer below may know */
        }
    }
    return false;
}

bool layers_replace(const struct checker *k, const struct tree_node *at)
{
    const struct tree_node *path[TYPE_PATH_MAX];
    uint32_t len = 0;
    for (; at->parent != NULL && len < TYPE_PATH_MAX; at = at->parent)
        path[len++] = at;
    for (const struct layer *l = k->layers; l != NULL; l = l->next) {
        struct replaced *n = l->roots[0];
        for (uint32_t i = len; n != NULL; i--) {
            if (n->type != NULL)
                return true;
            if (i == 0)
                break;
            n = child_of(n, path[i - 1]->key);
        }
    }
    return false;
}

bool layers_check(struct checker *k, const struct term *ref, bool *ok)
{
    int root = root_of(ref);
    *ok = true;
    for (const struct layer *l = k->layers; l != NULL && root >= 0; l = l->next) {
        struct replaced *n = l->roots[root];
        for (uint32_t i = 1; n != NULL; i++) {
            if (n->type != NULL || i == ref->len) {
                *ok = n->type == NULL || check_parts(k, ref, n->type, i);
                return true;
            }
            const struct term *part = ref->items[i];
            if ((i <= 2 && !is_computed(part) && !ast_is_string(part) &&
                 !(*ok = undefined_ref(k, ref))) ||
                (is_computed(part) &&
                 !(*ok = check_computed_part(k, ref, part, type_keys(&k->m, layer_extent(k, n))))))
                return true;
            n = part->kind == TERM_VALUE ? child_of(n, part->val) : NULL;
        }
    }
    return false;
}
