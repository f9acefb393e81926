/* Types and the rest: rego.md 6.1 and 6.18. */
#include "rego/builtins_internal.h"

enum rego_outcome builtin_is_array(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_ARRAY, out);
}

enum rego_outcome builtin_is_boolean(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_BOOLEAN, out);
}

enum rego_outcome builtin_is_null(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_NULL, out);
}

enum rego_outcome builtin_is_number(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_NUMBER, out);
}

enum rego_outcome builtin_is_object(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_OBJECT, out);
}

enum rego_outcome builtin_is_set(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_SET, out);
}

enum rego_outcome builtin_is_string(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    return give_bool(value_kind(args[0]) == VALUE_KIND_STRING, out);
}

enum rego_outcome builtin_type_name(struct rego_call *call, const value *args, value *out)
{
    return give_str(call, str_of(value_kind_name(value_kind(args[0]))), out);
}

enum rego_outcome builtin_trace(struct rego_call *call, const value *args, value *out)
{
    struct str note = STR_EMPTY;
    if (!arg_string(call, args, 1, &note))
        return REGO_FAILED;
    rego_call_print(call, note);
    return give_bool(true, out);
}

/* ---- rego.parse_module ---- */

enum rego_outcome builtin_rego_parse_module(struct rego_call *call, const value *args, value *out)
{
    struct str file = STR_EMPTY;
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &file) || !arg_string(call, args, 2, &text))
        return REGO_FAILED;
    /* Reading a byte of a policy takes about as long as an instruction. */
    if (!rego_call_charge(call, 16 + text.len))
        return REGO_FATAL;
    return rego_call_parse_module(call, file, text, out);
}
