/*
 * Which rules reach which (../shared/spec/rego.md 4.8): no rule may depend on
 * itself.
 */
#include "rego/front.h"

#define EDGE_WORK 8 /* units: edges stay */

struct graph {
    struct rego_compiler *c;
    struct rule_group *from;
    uint32_t generation;
};

static struct rule_group *owner(struct rule_group *g)
{
    while (g->absorbed) {
        struct tree_node *n = g->node->parent;
        while (n->group == NULL)
            n = n->parent;
        g = n->group;
    }
    return g;
}

static void add_edge(struct graph *k, struct rule_group *to)
{
    to = owner(to);
    struct rule_group *g = k->from;
    if (to->seen == k->generation || !front_work(k->c, EDGE_WORK))
        return;
    to->seen = k->generation;
    if (g->dep_count == g->dep_cap) {
        uint32_t cap = g->dep_cap == 0 ? 4 : g->dep_cap * 2;
        struct rule_group **deps = arena_new_array(&k->c->arena, struct rule_group *, cap);
        if (deps == NULL)
            return;
        if (g->dep_count > 0)
            memcpy(deps, g->deps, g->dep_count * sizeof(*deps));
        g->deps = deps;
        g->dep_cap = cap;
    }
    g->deps[g->dep_count++] = to;
}

/* Next node of a walk over everything below `top`; NULL at the end. */
static struct tree_node *next_below(struct tree_node *n, const struct tree_node *top, bool enter)
{
    if (enter && n->children != NULL)
        return n->children;
    while (n != top && n->sibling == NULL)
        n = n->parent;
    return n == top ? NULL : n->sibling;
}

static void add_below(struct graph *k, struct tree_node *top)
{
    for (struct tree_node *n = top; n != NULL; n = next_below(n, top, n->group == NULL)) {
        if (!front_work(k->c, 1))
            return;
        if (n->group != NULL)
            add_edge(k, n->group);
    }
}

/* Rules that a reference from data may reach: dynamic parts reach all children. */
static void add_reference(struct graph *k, const struct term *ref, struct tree_node *n, uint32_t i)
{
    for (; i < ref->len; i++) {
        if (n->group != NULL) {
            add_edge(k, n->group);
            return;
        }
        if (ref->items[i]->kind != TERM_VALUE)
            break;
        n = tree_child(k->c, n, ref->items[i]->val);
        if (n == NULL)
            return;
    }
    if (i == ref->len) {
        add_below(k, n);
        return;
    }
    /* The depth of this recursion is that of the rule tree along dynamic parts. */
    for (struct tree_node *child = n->children; child != NULL; child = child->sibling)
        if (front_work(k->c, 1))
            add_reference(k, ref, child, i + 1);
}

static bool visit(void *user, struct term *t)
{
    struct graph *k = user;
    if (t->kind == TERM_REF && t->items[0]->kind == TERM_VAR && t->items[0]->var.id == VAR_DATA)
        add_reference(k, t, k->c->root, 1);
    if (t->kind == TERM_CALL && t->callee != NULL && t->callee->kind == CALLEE_RULE)
        add_edge(k, t->callee->group);
    return true;
}

static void visit_rule(struct graph *k, struct rule *r)
{
    for (struct rule *b = r; b != NULL; b = b->els) {
        walk_body(b->body, visit, k);
        walk_term(b->head.val, visit, k);
        walk_term(b->head.key, visit, k);
        for (uint32_t i = 1; i < b->head.ref->len; i++)
            walk_term(b->head.ref->items[i], visit, k);
    }
}

/* ---- cycles ---- */

struct step {
    struct rule_group *g;
    uint32_t next; /* dependency to look at */
};

/*
 * A path from `start` back to itself; its length, 0: none.  `stack` has room
 * for all groups.  Groups that were visited in this search are not entered again.
 */
static uint32_t find_cycle(struct graph *k, struct rule_group *start, struct step *stack)
{
    uint32_t n = 0;
    k->generation++;
    stack[n++] = (struct step){start, 0};
    while (n > 0) {
        struct step *top = &stack[n - 1];
        if (top->next == top->g->dep_count) {
            n--;
            continue;
        }
        struct rule_group *to = top->g->deps[top->next++];
        if (to == start)
            return n;
        if (to->seen == k->generation || !front_work(k->c, 1))
            continue;
        to->seen = k->generation;
        stack[n++] = (struct step){to, 0};
    }
    return 0;
}

/* Cheap test for the usual case: depth-first search with three colours finds no back edge. */
static bool is_acyclic(struct rego_compiler *c, struct step *stack)
{
    enum { WHITE, GREY, BLACK };
    for (struct rule_group *g = c->groups; g != NULL; g = g->next) {
        if (g->mark != WHITE)
            continue;
        uint32_t n = 0;
        stack[n++] = (struct step){g, 0};
        g->mark = GREY;
        while (n > 0) {
            struct step *top = &stack[n - 1];
            if (top->next == top->g->dep_count) {
                top->g->mark = BLACK;
                n--;
                continue;
            }
            struct rule_group *to = top->g->deps[top->next++];
            if (to->mark == GREY)
                return false;
            if (to->mark == BLACK)
                continue;
            to->mark = GREY;
            stack[n++] = (struct step){to, 0};
        }
    }
    return true;
}

static struct str group_path(struct rego_compiler *c, const struct rule_group *g)
{
    struct term *ref = g->first->head.ref;
    uint32_t len = ref->len;
    ref->len = g->first->ground_len;
    struct str s = ast_text(&c->arena, ref);
    ref->len = len;
    return s;
}

static void report_cycle(struct graph *k, struct rule_group *g, const struct step *stack,
                         uint32_t n)
{
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 700);
    for (uint32_t i = 0; i < n; i++)
        buf_add_format(&path, "%.*s -> ", STR_ARG(group_path(k->c, stack[i].g)));
    struct str name = group_path(k->c, g);
    buf_add(&path, name);
    front_error(k->c, RECURSION_ERROR, g->first->module, g->first->pos,
                "rule %.*s is recursive: %.*s", STR_ARG(name), STR_ARG(buf_str(&path)));
}

void pass_graph(struct rego_compiler *c)
{
    struct graph k = {.c = c};
    for (struct rule_group *g = c->groups; g != NULL; g = g->next) {
        k.from = owner(g);
        k.generation++;
        for (uint32_t i = 0; i < k.from->dep_count; i++)
            k.from->deps[i]->seen = k.generation;
        for (struct rule *r = g->first; r != NULL; r = r->next_in_group)
            visit_rule(&k, r);
    }
    struct step *stack = arena_new_array(&c->arena, struct step, c->group_count + 1);
    if (stack == NULL || is_acyclic(c, stack))
        return;
    for (struct rule_group *g = c->groups; g != NULL && c->errors.total < front_errors_max(c);
         g = g->next) {
        uint32_t n = find_cycle(&k, g, stack);
        if (n > 0)
            report_cycle(&k, g, stack, n);
    }
}
