/* Graphs and walking: rego.md 6.14. */
#include "rego/builtins_internal.h"
#include "rego/vm.h"

static bool is_collection(value v)
{
    return value_is_array(v) || value_kind(v) == VALUE_KIND_SET;
}

/* Number of neighbours; anything but an array or a set has none. */
static size_t edge_count(value edges)
{
    return is_collection(edges) ? value_len(edges) : 0;
}

static bool arg_graph(struct rego_call *call, const value *args)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT))
        return false;
    if (is_collection(args[1]))
        return true;
    rego_call_type_error(call, 2, "{array, set}", args[1]);
    return false;
}

/* Position of a key in the object's pairs, SIZE_MAX if it has none. */
static size_t node_index(value graph, value node)
{
    const struct value_pair *pairs = value_pairs(graph);
    size_t lo = 0;
    size_t hi = value_len(graph);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = value_compare(pairs[mid].key, node);
        if (order == 0)
            return mid;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return SIZE_MAX;
}

struct frontier {
    value graph;
    bool *reached;
    size_t *queue; /* each node at most once */
    size_t len;
};

static void reach(struct frontier *f, value node)
{
    size_t i = node_index(f->graph, node);
    if (i == SIZE_MAX || f->reached[i])
        return;
    f->reached[i] = true;
    f->queue[f->len++] = i;
}

enum rego_outcome builtin_graph_reachable(struct rego_call *call, const value *args, value *out)
{
    if (!arg_graph(call, args))
        return REGO_FAILED;
    struct arena *a = rego_call_arena(call);
    size_t n = value_len(args[0]);
    struct frontier f = {args[0], arena_new_array(a, bool, n + 1),
                         arena_new_array(a, size_t, n + 1), 0};
    if (f.reached == NULL || f.queue == NULL)
        return rego_call_status(call, arena_status(a), NULL);
    if (!rego_call_charge(call, 1 + 4 * (uint64_t)value_len(args[1])))
        return REGO_FATAL;
    for (size_t i = 0; i < value_len(args[1]); i++)
        reach(&f, value_items(args[1])[i]);

    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (size_t next = 0; next < f.len; next++) {
        const struct value_pair *p = &value_pairs(args[0])[f.queue[next]];
        size_t edges = edge_count(p->val);
        if (!rego_call_charge(call, 1 + 4 * (uint64_t)edges))
            return REGO_FATAL;
        value_builder_add(&b, p->key);
        for (size_t i = 0; i < edges; i++)
            reach(&f, value_items(p->val)[i]);
    }
    return give(call, value_set_finish(&b), out);
}

/* ---- all paths ---- */

/*
 * The search goes depth first over an explicit stack, one level for each node
 * of the present path.  There may be exponentially many paths: each step and
 * each node of a result is paid for.
 */
struct level {
    value node;  /* on the path */
    value edges; /* its neighbours */
    size_t next; /* the neighbour to try */
    size_t index;
};

struct paths {
    struct rego_call *call;
    value graph;
    struct level *levels;
    size_t depth;
    bool *on_path;
    struct value_builder result;
};

/* The present path as a result. */
static bool commit(struct paths *p)
{
    if (!rego_call_charge(p->call, 1 + p->depth))
        return false;
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(p->call), p->depth);
    for (size_t i = 0; i < p->depth; i++)
        value_builder_add(&b, p->levels[i].node);
    value_builder_add(&p->result, value_array_finish(&b));
    return true;
}

/*
 * Goes on to a neighbour of the last node.  The one place where a node comes
 * twice is a start node that is its own neighbour: ["a", "a"], as in OPA.
 */
static bool visit(struct paths *p, value node)
{
    size_t index = node_index(p->graph, node);
    if (index == SIZE_MAX || (p->on_path[index] && p->depth > 1))
        return commit(p);
    value edges = value_pairs(p->graph)[index].val;
    p->levels[p->depth++] = (struct level){node, edges, 0, p->on_path[index] ? SIZE_MAX : index};
    p->on_path[index] = true;
    return edge_count(edges) > 0 || commit(p);
}

static bool all_paths_from(struct paths *p, value start)
{
    size_t index = node_index(p->graph, start);
    if (index == SIZE_MAX)
        return true;
    value edges = value_pairs(p->graph)[index].val;
    p->levels[0] = (struct level){start, edges, 0, index};
    p->depth = 1;
    p->on_path[index] = true;
    if (edge_count(edges) == 0 && !commit(p))
        return false;
    while (p->depth > 0) {
        struct level *top = &p->levels[p->depth - 1];
        if (top->next < edge_count(top->edges)) {
            if (!rego_call_charge(p->call, 4) || !visit(p, value_items(top->edges)[top->next++]))
                return false;
            continue;
        }
        if (top->index != SIZE_MAX)
            p->on_path[top->index] = false;
        p->depth--;
    }
    return true;
}

enum rego_outcome builtin_graph_reachable_paths(struct rego_call *call, const value *args,
                                                value *out)
{
    if (!arg_graph(call, args))
        return REGO_FAILED;
    struct arena *a = rego_call_arena(call);
    size_t n = value_len(args[0]);
    struct paths p = {.call = call,
                      .graph = args[0],
                      .levels = arena_new_array(a, struct level, n + 2),
                      .on_path = arena_new_array(a, bool, n + 1)};
    if (p.levels == NULL || p.on_path == NULL)
        return rego_call_status(call, arena_status(a), NULL);
    value_builder_init(&p.result, a, 0);
    for (size_t i = 0; i < value_len(args[1]); i++)
        if (!rego_call_charge(call, 4) || !all_paths_from(&p, value_items(args[1])[i]))
            return REGO_FATAL;
    return give(call, value_set_finish(&p.result), out);
}

/* ---- walk ---- */

struct walker {
    struct rego_call *call;
    struct value_builder results; /* [path, value], node before children */
    bool paths;                   /* build them; else null in their place */
    size_t depth;                 /* only nodes at it; SIZE_MAX: all */
    value keys[VALUE_DEPTH_MAX];  /* the present path */
};

static void add_node(struct walker *w, value v, size_t depth)
{
    struct arena *a = rego_call_arena(w->call);
    const value pair[] = {w->paths ? value_array(a, w->keys, depth) : VALUE_NULL, v};
    value_builder_add(&w->results, value_array(a, pair, 2));
}

/* Recursive; the depth of values is bounded. */
static bool walk(struct walker *w, value v, size_t depth)
{
    if (!rego_call_charge(w->call, 1 + depth / 8))
        return false;
    if (w->depth == SIZE_MAX || depth == w->depth)
        add_node(w, v, depth);
    enum value_kind k = value_kind(v);
    if (k < VALUE_KIND_ARRAY || depth == VALUE_DEPTH_MAX || depth >= w->depth)
        return true;
    for (size_t i = 0; i < value_len(v) && !w->results.failed; i++) {
        value child = k == VALUE_KIND_OBJECT ? value_pairs(v)[i].val : value_items(v)[i];
        w->keys[depth] = k == VALUE_KIND_OBJECT  ? value_pairs(v)[i].key
                         : k == VALUE_KIND_ARRAY ? value_small_int((int64_t)i)
                                                 : child;
        if (!walk(w, child, depth + 1))
            return false;
    }
    return true;
}

enum rego_outcome builtin_walk(struct rego_call *call, const value *args, value *out)
{
    return walk_narrowed(call, args[0], VALUE_UNDEFINED, true, SIZE_MAX, out);
}

enum rego_outcome walk_narrowed(struct rego_call *call, value v, value prefix, bool paths,
                                size_t depth, value *out)
{
    struct walker *w = arena_new(rego_call_arena(call), struct walker);
    if (w == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    w->call = call;
    w->paths = paths;
    w->depth = depth;
    value_builder_init(&w->results, rego_call_arena(call), 0);
    size_t n = value_len(prefix);
    for (size_t i = 0; i < n && value_is_defined(v); i++) {
        w->keys[i] = value_items(prefix)[i];
        v = value_lookup(v, w->keys[i]);
    }
    if (value_is_defined(v) && !walk(w, v, n))
        return REGO_FATAL;
    return give(call, value_array_finish(&w->results), out);
}
