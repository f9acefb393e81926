/* Deprecated functions, which v0 policies may still call: rego.md 6.17. */
#include "rego/builtins_internal.h"

enum rego_outcome builtin_any(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "array, set"))
        return REGO_FAILED;
    if (!rego_call_charge(call, 1 + value_len(args[0]) / 8))
        return REGO_FATAL;
    bool any = false;
    for (size_t i = 0; i < value_len(args[0]) && !any; i++)
        any = value_is_true(value_items(args[0])[i]);
    return give_bool(any, out);
}

enum rego_outcome builtin_all(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "array, set"))
        return REGO_FAILED;
    if (!rego_call_charge(call, 1 + value_len(args[0]) / 8))
        return REGO_FATAL;
    bool all = true;
    for (size_t i = 0; i < value_len(args[0]) && all; i++)
        all = value_is_true(value_items(args[0])[i]);
    return give_bool(all, out);
}

static enum rego_outcome cast_to(struct rego_call *call, const value *args, enum value_kind kind,
                                 value *out)
{
    if (!arg_kind(call, args, 1, kind))
        return REGO_FAILED;
    *out = args[0];
    return REGO_VALUE;
}

enum rego_outcome builtin_cast_string(struct rego_call *call, const value *args, value *out)
{
    return cast_to(call, args, VALUE_KIND_STRING, out);
}

enum rego_outcome builtin_cast_boolean(struct rego_call *call, const value *args, value *out)
{
    return cast_to(call, args, VALUE_KIND_BOOLEAN, out);
}

enum rego_outcome builtin_cast_null(struct rego_call *call, const value *args, value *out)
{
    return cast_to(call, args, VALUE_KIND_NULL, out);
}

enum rego_outcome builtin_cast_object(struct rego_call *call, const value *args, value *out)
{
    return cast_to(call, args, VALUE_KIND_OBJECT, out);
}

enum rego_outcome builtin_cast_array(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "array, set"))
        return REGO_FAILED;
    size_t n = value_len(args[0]);
    if (!rego_call_charge(call, 1 + n / 8))
        return REGO_FATAL;
    return give(call, value_array(rego_call_arena(call), value_items(args[0]), n), out);
}

enum rego_outcome builtin_cast_set(struct rego_call *call, const value *args, value *out)
{
    if (!arg_collection(call, args, 1, "array, set"))
        return REGO_FAILED;
    size_t n = value_len(args[0]);
    if (!rego_call_charge(call, 1 + n))
        return REGO_FATAL;
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), n);
    for (size_t i = 0; i < n; i++)
        value_builder_add(&b, value_items(args[0])[i]);
    return give(call, value_set_finish(&b), out);
}

enum rego_outcome builtin_set_diff(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_SET) || !arg_kind(call, args, 2, VALUE_KIND_SET))
        return REGO_FAILED;
    if (!rego_call_charge(call, 1 + value_len(args[0])))
        return REGO_FATAL;
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), value_len(args[0]));
    for (size_t i = 0; i < value_len(args[0]); i++)
        if (!value_set_has(args[1], value_items(args[0])[i]))
            value_builder_add(&b, value_items(args[0])[i]);
    return give(call, value_set_finish(&b), out);
}
