/* Aggregates, arrays, sets: rego.md 6.3; the set operators are in builtins.c. */
#include "rego/builtins_internal.h"
#include "value/number.h"

enum rego_outcome builtin_count(struct rego_call *call, const value *args, value *out)
{
    switch (value_kind(args[0])) {
    case VALUE_KIND_ARRAY:
    case VALUE_KIND_OBJECT:
    case VALUE_KIND_SET:
        return give_int(call, (int64_t)value_len(args[0]), out);
    case VALUE_KIND_STRING:
        return give_int(call, value_heap(args[0])->extra, out);
    default:
        return rego_call_type_text(
            call, "operand 1 must be one of {array, object, set, string} but got %s",
            value_kind_name(value_kind(args[0])));
    }
}

typedef enum status (*fold_step)(struct arena *a, value x, value y, value *out, struct error *err);

/*
 * The memory of intermediate results of ordinary size is nothing to speak of;
 * a product of huge integers is bounded by the arena and by NUMBER_DIGITS_MAX.
 */
static enum rego_outcome fold(struct rego_call *call, value all, int64_t start, fold_step step,
                              value *out)
{
    if (!rego_call_charge(call, 1 + value_len(all)))
        return REGO_FATAL;

    value acc = value_small_int(start);
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < value_len(all); i++) {
        value x = value_items(all)[i];
        if (value_kind(x) != VALUE_KIND_NUMBER)
            return element_error(call, 1, all, x, "number");
        if (!rego_call_charge(call, rego_number_work(acc)))
            return REGO_FATAL;
        enum status st = step(rego_call_arena(call), acc, x, &acc, &err);
        if (st != OK)
            return rego_call_status(call, st, &err);
    }
    return give(call, acc, out);
}

enum rego_outcome builtin_sum(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "set, array"))
        return REGO_FAILED;
    return fold(call, args[0], 0, number_add, out);
}

enum rego_outcome builtin_product(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "set, array"))
        return REGO_FAILED;
    return fold(call, args[0], 1, number_mul, out);
}

static enum rego_outcome extreme(struct rego_call *call, const value *args, int want, value *out)
{
    if (!arg_collection(call, args, 1, "set, array"))
        return REGO_FAILED;
    size_t n = value_len(args[0]);
    if (n == 0)
        return REGO_UNDEFINED;
    if (!rego_call_charge(call, n))
        return REGO_FATAL;

    const value *items = value_items(args[0]);
    value best = items[0];
    for (size_t i = 1; i < n; i++)
        if (value_compare(items[i], best) * want > 0)
            best = items[i];
    *out = best;
    return REGO_VALUE;
}

enum rego_outcome builtin_max(struct rego_call *call, const value *args, value *out)
{
    return extreme(call, args, 1, out);
}

enum rego_outcome builtin_min(struct rego_call *call, const value *args, value *out)
{
    return extreme(call, args, -1, out);
}

/* ---- sort ---- */

/* Stable, so that equal numbers keep their order and spelling. */
static int compare_values(const void *a, const void *b)
{
    return value_compare(*(const value *)a, *(const value *)b);
}

enum rego_outcome builtin_sort(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "set, array"))
        return REGO_FAILED;
    size_t n = value_len(args[0]);
    struct arena *a = rego_call_arena(call);
    if (value_kind(args[0]) == VALUE_KIND_SET || n < 2)
        return give(call, value_array(a, value_items(args[0]), n), out);
    if (!rego_call_charge(call, sort_cost(n)))
        return REGO_FATAL;

    value *items = arena_new_array(a, value, n);
    value *scratch = arena_new_array(a, value, n);
    if (items == NULL || scratch == NULL)
        return give(call, VALUE_UNDEFINED, out);
    memcpy(items, value_items(args[0]), n * sizeof(*items));
    stable_sort(items, scratch, n, sizeof(*items), compare_values);
    return give(call, value_array(a, items, n), out);
}

/* ---- arrays ---- */

static void add_all(struct value_builder *b, value collection)
{
    for (size_t i = 0; i < value_len(collection); i++)
        value_builder_add(b, value_items(collection)[i]);
}

enum rego_outcome builtin_array_concat(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_ARRAY) || !arg_kind(call, args, 2, VALUE_KIND_ARRAY))
        return REGO_FAILED;
    size_t n = value_len(args[0]) + value_len(args[1]);
    if (!rego_call_charge(call, 1 + n / 8))
        return REGO_FATAL;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), n);
    add_all(&b, args[0]);
    add_all(&b, args[1]);
    return give(call, value_array_finish(&b), out);
}

enum rego_outcome builtin_array_reverse(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_ARRAY))
        return REGO_FAILED;
    size_t n = value_len(args[0]);
    if (!rego_call_charge(call, 1 + n / 8))
        return REGO_FATAL;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), n);
    for (size_t i = n; i > 0; i--)
        value_builder_add(&b, value_items(args[0])[i - 1]);
    return give(call, value_array_finish(&b), out);
}

static size_t clamp(int64_t index, size_t max)
{
    if (index < 0)
        return 0;
    return (uint64_t)index > max ? max : (size_t)index;
}

enum rego_outcome builtin_array_slice(struct rego_call *call, const value *args, value *out)
{
    int64_t start = 0;
    int64_t stop = 0;
    if (!arg_kind(call, args, 1, VALUE_KIND_ARRAY) || !arg_int(call, args, 2, &start) ||
        !arg_int(call, args, 3, &stop))
        return REGO_FAILED;
    size_t to = clamp(stop, value_len(args[0]));
    size_t from = clamp(start, to);
    if (!rego_call_charge(call, 1 + (to - from) / 8))
        return REGO_FATAL;
    return give(call, value_array(rego_call_arena(call), value_items(args[0]) + from, to - from),
                out);
}

enum rego_outcome builtin_array_flatten(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_ARRAY))
        return REGO_FAILED;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), value_len(args[0]));
    for (size_t i = 0; i < value_len(args[0]); i++) {
        value v = value_items(args[0])[i];
        if (!rego_call_charge(call, 1 + (value_is_array(v) ? value_len(v) / 8 : 0)))
            return REGO_FATAL;
        if (value_is_array(v))
            add_all(&b, v);
        else
            value_builder_add(&b, v);
    }
    return give(call, value_array_finish(&b), out);
}

/* ---- sets of sets ---- */

static bool arg_set_of_sets(struct rego_call *call, const value *args)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_SET))
        return false;
    for (size_t i = 0; i < value_len(args[0]); i++) {
        value v = value_items(args[0])[i];
        if (value_kind(v) != VALUE_KIND_SET) {
            rego_call_type_error(call, 1, "set", v);
            return false;
        }
    }
    return true;
}

enum rego_outcome builtin_union(struct rego_call *call, const value *args, value *out)
{
    if (!arg_set_of_sets(call, args))
        return REGO_FAILED;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), 0);
    for (size_t i = 0; i < value_len(args[0]); i++) {
        value v = value_items(args[0])[i];
        if (!rego_call_charge(call, 1 + value_len(v)))
            return REGO_FATAL;
        add_all(&b, v);
    }
    return give(call, value_set_finish(&b), out);
}

enum rego_outcome builtin_intersection(struct rego_call *call, const value *args, value *out)
{
    if (!arg_set_of_sets(call, args))
        return REGO_FAILED;

    struct arena *a = rego_call_arena(call);
    if (value_len(args[0]) == 0)
        return give(call, args[0], out);
    value common = value_items(args[0])[0];
    for (size_t i = 1; i < value_len(args[0]); i++) {
        value few = common;
        value many = value_items(args[0])[i];
        if (value_len(many) < value_len(few)) { /* as operator & has it */
            few = many;
            many = common;
        }
        if (!rego_call_charge(call, 1 + value_len(few)))
            return REGO_FATAL;
        struct value_builder b;
        value_builder_init(&b, a, value_len(few));
        for (size_t k = 0; k < value_len(few); k++)
            if (value_set_has(many, value_items(few)[k]))
                value_builder_add(&b, value_items(few)[k]);
        common = value_set_finish(&b);
        if (!value_is_defined(common))
            break;
    }
    return give(call, common, out);
}
