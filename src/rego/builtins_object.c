/* Objects, and documents by path: rego.md 6.8.  json.patch is in builtins_patch.c. */
#include "rego/builtins_internal.h"
#include "rego/builtins_path.h"
#include "value/number.h"

enum rego_outcome builtin_object_get(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    value v = args[0];
    if (value_is_array(args[1])) {
        if (!rego_call_charge(call, 1 + value_len(args[1])))
            return REGO_FATAL;
        for (size_t i = 0; i < value_len(args[1]) && value_is_defined(v); i++)
            v = value_lookup(v, value_items(args[1])[i]);
    } else {
        v = value_get(v, args[1]);
    }
    *out = value_is_defined(v) ? v : args[2];
    return REGO_VALUE;
}

enum rego_outcome builtin_object_keys(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    if (!rego_call_charge(call, 1 + value_len(args[0])))
        return REGO_FATAL;
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), value_len(args[0]));
    for (size_t i = 0; i < value_len(args[0]); i++)
        value_builder_add(&b, value_pairs(args[0])[i].key);
    return give(call, value_set_finish(&b), out);
}

/* ---- some of the keys ---- */

/* The second operand as something in which a key can be looked up. */
static bool arg_keys(struct rego_call *call, const value *args, value *out)
{
    value v = args[1];
    switch (value_kind(v)) {
    case VALUE_KIND_SET:
    case VALUE_KIND_OBJECT:
        *out = v;
        return true;
    case VALUE_KIND_ARRAY: {
        struct value_builder b;
        value_builder_init(&b, rego_call_arena(call), value_len(v));
        for (size_t i = 0; i < value_len(v); i++)
            value_builder_add(&b, value_items(v)[i]);
        *out = value_set_finish(&b);
        return true;
    }
    default:
        rego_call_type_text(call, "operand 2 must be one of {object, set, array} but got %s",
                            value_kind_name(value_kind(v)));
        return false;
    }
}

static enum rego_outcome select_keys(struct rego_call *call, const value *args, bool keep,
                                     value *out)
{
    value keys = VALUE_UNDEFINED;
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT) || !arg_keys(call, args, &keys))
        return REGO_FAILED;
    if (!value_is_defined(keys))
        return give(call, keys, out);
    if (!rego_call_charge(call, 1 + value_len(args[0]) + value_len(args[1])))
        return REGO_FATAL;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), value_len(args[0]));
    for (size_t i = 0; i < value_len(args[0]); i++) {
        const struct value_pair *p = &value_pairs(args[0])[i];
        bool listed = value_is_object(keys) ? value_is_defined(value_get(keys, p->key))
                                            : value_set_has(keys, p->key);
        if (listed == keep)
            value_builder_put(&b, p->key, p->val);
    }
    return give(call, value_object_finish(&b, VALUE_DUP_LAST, NULL), out);
}

enum rego_outcome builtin_object_filter(struct rego_call *call, const value *args, value *out)
{
    return select_keys(call, args, true, out);
}

enum rego_outcome builtin_object_remove(struct rego_call *call, const value *args, value *out)
{
    return select_keys(call, args, false, out);
}

/* ---- union ---- */

static int compare_keys(const void *a, const void *b)
{
    return value_compare(((const struct value_pair *)a)->key, ((const struct value_pair *)b)->key);
}

/* All pairs of the objects, sorted by key, those of earlier objects first.  NULL: see *fatal. */
static struct value_pair *all_pairs(struct rego_call *call, const value *objects, size_t n,
                                    size_t *count, bool *fatal)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += value_len(objects[i]);
    *count = total;
    *fatal = !rego_call_charge(call, sort_cost(total));
    if (*fatal)
        return NULL;

    struct value_pair *pairs = arena_new_array(rego_call_arena(call), struct value_pair, total + 1);
    struct value_pair *scratch =
        arena_new_array(rego_call_arena(call), struct value_pair, total + 1);
    if (pairs == NULL || scratch == NULL)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(pairs + at, value_pairs(objects[i]), value_len(objects[i]) * sizeof(*pairs));
        at += value_len(objects[i]);
    }
    stable_sort(pairs, scratch, total, sizeof(*pairs), compare_keys);
    return pairs;
}

/*
 * The union of all objects at once, which equals merging them one by one: of
 * the values of one key, the last counts, together with the objects directly
 * before it if it is an object.  So the work is n log n, whatever the shape.
 * Of equal keys (1, 1.0) the first stays or, as OPA's union_n() has it, the last.
 * Recursive; the depth of values is bounded.
 */
static value union_all(struct rego_call *call, const value *objects, size_t n, bool last_key,
                       bool *fatal)
{
    struct arena *a = rego_call_arena(call);
    size_t count = 0;
    struct value_pair *pairs = all_pairs(call, objects, n, &count, fatal);
    if (pairs == NULL)
        return VALUE_UNDEFINED;

    struct value_builder b;
    value_builder_init(&b, a, count);
    for (size_t from = 0, end; from < count && !*fatal; from = end) {
        end = from + 1;
        while (end < count && value_equal(pairs[end].key, pairs[from].key))
            end++;
        size_t first = end - 1;
        while (first > from && value_is_object(pairs[first].val) &&
               value_is_object(pairs[first - 1].val))
            first--;

        value merged = pairs[end - 1].val;
        if (first < end - 1) {
            value *members = arena_new_array(a, value, end - first);
            if (members == NULL)
                return VALUE_UNDEFINED;
            for (size_t i = first; i < end; i++)
                members[i - first] = pairs[i].val;
            merged = union_all(call, members, end - first, last_key, fatal);
        }
        value_builder_put(&b, pairs[last_key ? end - 1 : from].key, merged);
    }
    return *fatal ? VALUE_UNDEFINED : value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static enum rego_outcome give_union(struct rego_call *call, const value *objects, size_t n,
                                    bool last_key, value *out)
{
    bool fatal = false;
    value v = union_all(call, objects, n, last_key, &fatal);
    return fatal ? REGO_FATAL : give(call, v, out);
}

enum rego_outcome builtin_object_union(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT) || !arg_kind(call, args, 2, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    return give_union(call, args, 2, false, out);
}

enum rego_outcome builtin_object_union_n(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_ARRAY))
        return REGO_FAILED;
    for (size_t i = 0; i < value_len(args[0]); i++)
        if (!value_is_object(value_items(args[0])[i]))
            return element_error(call, 1, args[0], value_items(args[0])[i], "object");
    return give_union(call, value_items(args[0]), value_len(args[0]), true, out);
}

/* ---- subset ---- */

static bool set_in_set(struct rego_call *call, value super, value sub, bool *fatal)
{
    *fatal = *fatal || !rego_call_charge(call, 1 + value_len(sub));
    if (*fatal || value_len(sub) > value_len(super))
        return false;
    for (size_t i = 0; i < value_len(sub); i++)
        if (!value_set_has(super, value_items(sub)[i]))
            return false;
    return true;
}

/* `sub` is a contiguous run of `super`; Knuth, Morris and Pratt, so that the time is linear. */
static bool run_in_array(struct rego_call *call, value super, value sub, bool *fatal)
{
    size_t n = value_len(super);
    size_t m = value_len(sub);
    *fatal = *fatal || !rego_call_charge(call, 1 + n + m);
    if (*fatal || m > n)
        return false;
    if (m == 0)
        return true;

    /* border[i]: length of the longest proper prefix of sub[0..i] that is also its end */
    const value *s = value_items(sub);
    size_t *border = arena_new_array(rego_call_arena(call), size_t, m);
    if (border == NULL) {
        *fatal = true;
        return false;
    }
    for (size_t i = 1, k = 0; i < m; i++) {
        while (k > 0 && !value_equal(s[i], s[k]))
            k = border[k - 1];
        k += value_equal(s[i], s[k]);
        border[i] = k;
    }
    for (size_t i = 0, k = 0; i < n; i++) {
        while (k > 0 && !value_equal(value_items(super)[i], s[k]))
            k = border[k - 1];
        k += value_equal(value_items(super)[i], s[k]);
        if (k == m)
            return true;
    }
    return false;
}

/* Every member occurs; counted once each, unlike in OPA (rego.md 9, trap 16). */
static bool set_in_array(struct rego_call *call, value super, value sub, bool *fatal)
{
    if (value_len(super) == 0)
        return false; /* even for the empty set (rego.md 6.8) */
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), value_len(super));
    *fatal = *fatal || !rego_call_charge(call, 1 + value_len(super) * 4);
    if (*fatal)
        return false;
    for (size_t i = 0; i < value_len(super); i++)
        value_builder_add(&b, value_items(super)[i]);
    value members = value_set_finish(&b);
    *fatal = !value_is_defined(members);
    return !*fatal && set_in_set(call, members, sub, fatal);
}

/* Recursive over objects; the depth of values is bounded. */
static bool object_in_object(struct rego_call *call, value super, value sub, bool *fatal)
{
    *fatal = *fatal || !rego_call_charge(call, 1 + value_len(sub));
    for (size_t i = 0; i < value_len(sub) && !*fatal; i++) {
        const struct value_pair *p = &value_pairs(sub)[i];
        value have = value_get(super, p->key);
        if (!value_is_defined(have))
            return false;
        if (value_equal(have, p->val))
            continue;
        enum value_kind k = value_kind(have);
        if (k != value_kind(p->val))
            return false;
        bool ok = k == VALUE_KIND_OBJECT  ? object_in_object(call, have, p->val, fatal)
                  : k == VALUE_KIND_SET   ? set_in_set(call, have, p->val, fatal)
                  : k == VALUE_KIND_ARRAY ? run_in_array(call, have, p->val, fatal)
                                          : false;
        if (!ok)
            return false;
    }
    return !*fatal;
}

enum rego_outcome builtin_object_subset(struct rego_call *call, const value *args, value *out)
{
    enum value_kind super = value_kind(args[0]);
    enum value_kind sub = value_kind(args[1]);
    bool fatal = false;
    bool result;
    if (super == VALUE_KIND_OBJECT && sub == VALUE_KIND_OBJECT)
        result = object_in_object(call, args[0], args[1], &fatal);
    else if (super == VALUE_KIND_SET && sub == VALUE_KIND_SET)
        result = set_in_set(call, args[0], args[1], &fatal);
    else if (super == VALUE_KIND_ARRAY && sub == VALUE_KIND_ARRAY)
        result = run_in_array(call, args[0], args[1], &fatal);
    else if (super == VALUE_KIND_ARRAY && sub == VALUE_KIND_SET)
        result = set_in_array(call, args[0], args[1], &fatal);
    else
        return rego_call_type_text(
            call, "both arguments object.subset must be of the same type or array and set");
    if (!fatal)
        return give_bool(result, out);
    enum status st = arena_status(rego_call_arena(call));
    return st != OK ? rego_call_status(call, st, NULL) : REGO_FATAL;
}

/* ---- json.filter, json.remove ---- */

/*
 * The paths as one object: {"a": {"b": null}} for a/b, null where a path ends.
 * `paths` is a sorted set, so that a path stands directly before the longer
 * ones that begin with it and wins over them.
 */
static value path_tree(struct arena *a, const value *paths, size_t n, size_t depth)
{
    if (value_len(paths[0]) == depth)
        return VALUE_NULL;
    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (size_t from = 0, end; from < n; from = end) {
        value key = value_items(paths[from])[depth];
        end = from + 1;
        while (end < n && value_equal(value_items(paths[end])[depth], key))
            end++;
        value_builder_put(&b, key, path_tree(a, paths + from, end - from, depth + 1));
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/*
 * Reads the operand "paths".  A path that is longer than values are deep is
 * cut or dropped: what it would reach does not exist.
 */
static enum rego_outcome arg_path_tree(struct rego_call *call, const value *args, bool cut,
                                       value *tree)
{
    struct arena *a = rego_call_arena(call);
    if (!arg_collection(call, args, 2, "set, array"))
        return REGO_FAILED;

    size_t total = 1;
    struct value_builder b;
    value_builder_init(&b, a, value_len(args[1]));
    for (size_t i = 0; i < value_len(args[1]); i++) {
        value item = value_items(args[1])[i];
        value path = VALUE_UNDEFINED;
        enum rego_outcome o = builtin_path(call, item, &path);
        if (o == REGO_FAILED)
            return rego_call_type_text(
                call,
                "operand 2 must be one of {set, array} containing string paths or "
                "array of path segments but got %s",
                value_kind_name(value_kind(item)));
        if (o != REGO_VALUE)
            return o;
        total += 1 + value_len(path) * 4;
        if (value_len(path) > VALUE_DEPTH_MAX) {
            if (!cut)
                continue;
            path = value_array(a, value_items(path), VALUE_DEPTH_MAX);
        }
        if (value_len(path) > 0)
            value_builder_add(&b, path);
    }
    if (!rego_call_charge(call, total))
        return REGO_FATAL;

    value set = value_set_finish(&b);
    if (!value_is_defined(set))
        return give(call, set, tree);
    if (value_len(set) == 0)
        return give(call, VALUE_EMPTY_OBJECT(a), tree);
    return give(call, path_tree(a, value_items(set), value_len(set), 0), tree);
}

/* The tree's node for the i-th element: array positions are decimal text. */
static value node_at(struct arena *a, value tree, size_t i)
{
    struct str text = arena_format(a, "%zu", i);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_get_str(tree, text);
}

/* What the tree says about v; both recursive functions are bounded by the depth of v. */
static value filtered(struct rego_call *call, value v, value tree, bool *fatal)
{
    enum value_kind k = value_kind(v);
    if (!value_is_object(tree) || k < VALUE_KIND_ARRAY)
        return v;
    struct arena *a = rego_call_arena(call);
    struct value_builder b;
    value_builder_init(&b, a, 0);
    *fatal = *fatal || !rego_call_charge(call, 1 + value_len(v));
    for (size_t i = 0; i < value_len(v) && !*fatal; i++) {
        if (k == VALUE_KIND_OBJECT) {
            const struct value_pair *p = &value_pairs(v)[i];
            value node = value_get(tree, p->key);
            if (value_is_defined(node))
                value_builder_put(&b, p->key, filtered(call, p->val, node, fatal));
            continue;
        }
        value item = value_items(v)[i];
        value node = k == VALUE_KIND_ARRAY ? node_at(a, tree, i) : value_get(tree, item);
        if (value_is_defined(node))
            value_builder_add(&b, filtered(call, item, node, fatal));
    }
    return k == VALUE_KIND_OBJECT  ? value_object_finish(&b, VALUE_DUP_LAST, NULL)
           : k == VALUE_KIND_ARRAY ? value_array_finish(&b)
                                   : value_set_finish(&b);
}

/* VALUE_UNDEFINED when v itself goes (or on failure). */
static value without(struct rego_call *call, value v, value tree, bool *fatal)
{
    enum value_kind k = value_kind(v);
    if (!value_is_object(tree))
        return value_is_defined(tree) ? VALUE_UNDEFINED : v;
    if (k < VALUE_KIND_ARRAY)
        return v;
    struct arena *a = rego_call_arena(call);
    struct value_builder b;
    value_builder_init(&b, a, 0);
    *fatal = *fatal || !rego_call_charge(call, 1 + value_len(v));
    for (size_t i = 0; i < value_len(v) && !*fatal; i++) {
        if (k == VALUE_KIND_OBJECT) {
            const struct value_pair *p = &value_pairs(v)[i];
            value kept = without(call, p->val, value_get(tree, p->key), fatal);
            if (value_is_defined(kept))
                value_builder_put(&b, p->key, kept);
            continue;
        }
        value item = value_items(v)[i];
        value node = k == VALUE_KIND_ARRAY ? node_at(a, tree, i) : value_get(tree, item);
        value kept = without(call, item, node, fatal);
        if (value_is_defined(kept))
            value_builder_add(&b, kept);
    }
    return k == VALUE_KIND_OBJECT  ? value_object_finish(&b, VALUE_DUP_LAST, NULL)
           : k == VALUE_KIND_ARRAY ? value_array_finish(&b)
                                   : value_set_finish(&b);
}

static enum rego_outcome by_paths(struct rego_call *call, const value *args, bool keep, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    value tree = VALUE_UNDEFINED;
    enum rego_outcome o = arg_path_tree(call, args, keep, &tree);
    if (o != REGO_VALUE)
        return o;
    bool fatal = false;
    value v = keep ? filtered(call, args[0], tree, &fatal) : without(call, args[0], tree, &fatal);
    if (fatal)
        return REGO_FATAL;
    if (arena_status(rego_call_arena(call)) != OK)
        v = VALUE_UNDEFINED; /* an inner one may have been taken for "removed" */
    return give(call, v, out);
}

enum rego_outcome builtin_json_filter(struct rego_call *call, const value *args, value *out)
{
    return by_paths(call, args, true, out);
}

enum rego_outcome builtin_json_remove(struct rego_call *call, const value *args, value *out)
{
    return by_paths(call, args, false, out);
}
