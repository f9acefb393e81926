/*
 * The tree of packages and rules below `data`, groups of rules with one path,
 * and conflicts between them (../shared/spec/rego.md 4.4).
 */
#include "rego/front.h"

#include <stdlib.h>

static size_t bucket_of(const struct rego_compiler *c, const struct tree_node *parent, value key)
{
    uint64_t h = hash_mix(value_hash(key), (uint64_t)(uintptr_t)parent >> 4);
    return h & (c->bucket_count - 1);
}

struct tree_node *tree_child(const struct rego_compiler *c, const struct tree_node *n, value key)
{
    struct tree_node *child = c->buckets[bucket_of(c, n, key)];
    while (child != NULL && (child->parent != n || !value_equal(child->key, key)))
        child = child->bucket;
    return child;
}

struct tree_node *tree_walk(const struct rego_compiler *c, const struct term *ref, uint32_t *used)
{
    struct tree_node *n = c->root;
    uint32_t i = 1;
    for (; i < ref->len && ref->items[i]->kind == TERM_VALUE; i++) {
        struct tree_node *child = tree_child(c, n, ref->items[i]->val);
        if (child == NULL)
            break;
        n = child;
        if (n->group != NULL && !n->group->absorbed) {
            i++;
            break;
        }
    }
    *used = i;
    return n;
}

static bool grow_buckets(struct rego_compiler *c)
{
    size_t count = c->bucket_count == 0 ? 64 : c->bucket_count * 2;
    struct tree_node **old = c->buckets;
    size_t old_count = c->bucket_count;
    struct tree_node **buckets = arena_new_array(&c->arena, struct tree_node *, count);
    if (buckets == NULL)
        return false;
    c->buckets = buckets;
    c->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct tree_node *n = old[i], *next; n != NULL; n = next) {
            next = n->bucket;
            size_t b = bucket_of(c, n->parent, n->key);
            n->bucket = buckets[b];
            buckets[b] = n;
        }
    }
    return true;
}

static struct tree_node *add_child(struct rego_compiler *c, struct tree_node *parent, value key)
{
    struct tree_node *n = tree_child(c, parent, key);
    if (n != NULL)
        return n;
    if (c->node_count >= c->bucket_count && !grow_buckets(c))
        return NULL;
    n = arena_new(&c->arena, struct tree_node);
    if (n == NULL)
        return NULL;
    n->key = key;
    n->parent = parent;
    size_t b = bucket_of(c, parent, key);
    n->bucket = c->buckets[b];
    c->buckets[b] = n;
    n->sibling = parent->children;
    parent->children = n;
    parent->child_count++;
    c->node_count++;
    return n;
}

static struct tree_node *add_path(struct rego_compiler *c, const struct term *ref, uint32_t len)
{
    struct tree_node *n = c->root;
    for (uint32_t i = 1; n != NULL && i < len; i++)
        n = add_child(c, n, ref->items[i]->val);
    return n;
}

/* data.package + the reference of the head, in place of the latter. */
static bool qualify_head(struct rego_compiler *c, struct rule *r)
{
    const struct term *package = r->module->package;
    struct term *ref = r->head.ref;
    uint32_t len = package->len + ref->len;
    struct term **items = arena_new_array(&c->arena, struct term *, len);
    if (items == NULL)
        return false;
    memcpy(items, package->items, package->len * sizeof(*items));
    items[0] = ast_var_id(&c->arena, VAR_DATA, ref->pos);
    items[package->len] = ast_string(&c->arena, ref->items[0]->var.name, ref->items[0]->pos);
    for (uint32_t i = 1; i < ref->len; i++)
        items[package->len + i] = ref->items[i];
    struct term *full = ast_list(&c->arena, TERM_REF, items, len, ref->pos);
    if (full == NULL)
        return false;
    r->head.ref = full;
    r->ground_len = package->len + 1;
    while (r->ground_len < full->len && full->items[r->ground_len]->kind == TERM_VALUE)
        r->ground_len++;
    return true;
}

static enum group_kind kind_of(const struct rule *r)
{
    if (r->head.has_args)
        return GROUP_FUNCTION;
    bool ground = r->ground_len == r->head.ref->len;
    if (!ground)
        return GROUP_OBJECT;
    return r->head.key != NULL ? GROUP_SET : GROUP_COMPLETE;
}

static struct rule_group *add_group(struct rego_compiler *c, struct tree_node *n, struct rule *r)
{
    struct rule_group *g = arena_new(&c->arena, struct rule_group);
    if (g == NULL)
        return NULL;
    g->node = n;
    g->kind = kind_of(r);
    g->end = &g->first;
    g->arity = r->head.arg_count;
    n->group = g;
    *c->groups_end = g;
    c->groups_end = &g->next;
    c->group_count++;
    return g;
}

static void add_rule(struct rego_compiler *c, struct rule *r)
{
    if (!qualify_head(c, r))
        return;
    for (struct rule *e = r->els; e != NULL; e = e->els)
        if (!qualify_head(c, e))
            return;
    struct tree_node *n = add_path(c, r->head.ref, r->ground_len);
    if (n == NULL)
        return;
    struct tree_node *name = add_path(c, r->head.ref, r->module->package->len + 1);
    if (name != NULL)
        name->names_rule = true;
    struct rule_group *g = n->group != NULL ? n->group : add_group(c, n, r);
    if (g == NULL)
        return;
    r->index = c->rule_count++;
    r->group = g;
    *g->end = r;
    g->end = &r->next_in_group;
}

static int by_key(const void *x, const void *y)
{
    const struct tree_node *const *a = x;
    const struct tree_node *const *b = y;
    return value_compare((*a)->key, (*b)->key);
}

/* Children in order, and numbers of the walk; iterative, since paths may be long. */
static void number_nodes(struct rego_compiler *c)
{
    uint32_t next = 0;
    struct tree_node *n = c->root;
    struct tree_node **scratch = arena_new_array(&c->arena, struct tree_node *, c->node_count + 1);
    if (scratch == NULL)
        return;
    while (n != NULL) {
        n->pre = next++;
        uint32_t k = 0;
        for (struct tree_node *child = n->children; child != NULL; child = child->sibling)
            scratch[k++] = child;
        if (k > 1) {
            qsort(scratch, k, sizeof(*scratch), by_key);
            for (uint32_t i = 0; i < k; i++)
                scratch[i]->sibling = i + 1 < k ? scratch[i + 1] : NULL;
            n->children = scratch[0];
        }
        if (n->children != NULL) {
            n = n->children;
            continue;
        }
        n->post = next;
        while (n != NULL && n->sibling == NULL) {
            n = n->parent;
            if (n != NULL)
                n->post = next;
        }
        if (n != NULL)
            n = n->sibling;
    }
}

struct tree_node *tree_next(const struct tree_node *n, const struct tree_node *top)
{
    if (n->children != NULL)
        return n->children;
    while (n != top && n->sibling == NULL)
        n = n->parent;
    return n == top ? NULL : n->sibling;
}

/* The rules that belong to the group of a node above: p.a := 1 beside p[k] := v. */
static void absorb_below(const struct tree_node *top)
{
    for (struct tree_node *n = tree_next(top, top); n != NULL; n = tree_next(n, top))
        if (n->group != NULL)
            n->group->absorbed = true;
}

void pass_tree(struct rego_compiler *c)
{
    c->root = arena_new(&c->arena, struct tree_node);
    if (c->root == NULL || !grow_buckets(c))
        return;
    for (struct module *m = c->modules; m != NULL; m = m->next) {
        struct tree_node *n = add_path(c, m->package, m->package->len);
        if (n != NULL && n->package == NULL)
            n->package = m;
    }
    for (struct module *m = c->modules; m != NULL; m = m->next)
        for (struct rule *r = m->rules; r != NULL && arena_status(&c->arena) == OK; r = r->next)
            add_rule(c, r);
    if (arena_status(&c->arena) == OK)
        number_nodes(c);
}

/* ---- conflicts ---- */

static struct str path_text(struct rego_compiler *c, const struct rule *r)
{
    struct term *t = r->head.ref;
    uint32_t len = t->len;
    t->len = r->ground_len;
    struct str s = ast_text(&c->arena, t);
    t->len = len;
    return s;
}

static void conflicting(struct rego_compiler *c, struct rule_group *g)
{
    struct str path = path_text(c, g->first);
    front_error(c, TYPE_ERROR, g->first->module, g->first->pos, "conflicting rules %.*s found",
                STR_ARG(path));
}

static void multiple_defaults(struct rego_compiler *c, struct rule_group *g)
{
    CLEANUP(buf_done) struct buf where;
    buf_init(&where, 900);
    for (struct rule *r = g->first; r != NULL; r = r->next_in_group)
        if (r->is_default)
            buf_add_format(&where, "%s%.*s:%u", where.len == 0 ? "" : ", ",
                           STR_ARG(r->module->file), (unsigned)r->pos.row);
    struct str path = path_text(c, g->first);
    front_error(c, TYPE_ERROR, g->default_rule->module, g->default_rule->pos,
                "multiple default rules %.*s found at %.*s", STR_ARG(path),
                STR_ARG(buf_str(&where)));
}

static void check_group(struct rego_compiler *c, struct rule_group *g)
{
    size_t complete = 0;
    size_t partial = 0;
    size_t multi = 0;
    size_t single = 0;
    size_t defaults = 0;
    bool arities_differ = false;
    for (struct rule *r = g->first; r != NULL; r = r->next_in_group) {
        bool ground = r->ground_len == r->head.ref->len;
        *(r->head.key != NULL ? &multi : &single) += 1;
        *(ground && r->head.key == NULL ? &complete : &partial) += 1;
        arities_differ |=
            r->head.arg_count != g->arity || r->head.has_args != g->first->head.has_args;
        if (r->is_default && defaults++ == 0)
            g->default_rule = r;
    }
    if ((multi > 0 && single > 0) || (complete > 0 && partial > 0) || arities_differ)
        conflicting(c, g);
    else if (defaults > 1)
        multiple_defaults(c, g);
}

/* The first rule somewhere below a node. */
static struct rule *first_below(const struct tree_node *top)
{
    for (const struct tree_node *n = tree_next(top, top); n != NULL; n = tree_next(n, top))
        if (n->group != NULL)
            return n->group->first;
    return NULL;
}

static void check_extent(struct rego_compiler *c, struct rule_group *g)
{
    if (g->node->package != NULL) {
        struct str path = path_text(c, g->first);
        front_error(c, TYPE_ERROR, g->node->package, g->node->package->package_pos,
                    "package %.*s conflicts with rule %.*s defined at %.*s:%u", STR_ARG(path),
                    STR_ARG(path), STR_ARG(g->first->module->file), (unsigned)g->first->pos.row);
    }
    struct rule *below = first_below(g->node);
    if (below == NULL || (g->kind == GROUP_OBJECT && g->absorbed))
        return;
    if (g->kind == GROUP_OBJECT) {
        absorb_below(g->node);
        return;
    }
    struct str path = path_text(c, g->first);
    struct str other = path_text(c, below);
    front_error(c, TYPE_ERROR, g->first->module, g->first->pos,
                "rule %.*s conflicts with:\n  rule %.*s at %.*s:%u", STR_ARG(path), STR_ARG(other),
                STR_ARG(below->module->file), (unsigned)below->pos.row);
}

void pass_conflicts(struct rego_compiler *c)
{
    for (struct rule_group *g = c->groups; g != NULL; g = g->next)
        check_group(c, g);
    for (struct rule_group *g = c->groups; g != NULL; g = g->next)
        check_extent(c, g);
}
