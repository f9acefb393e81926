/* json.match_schema and json.verify_schema: rego.md 6.8; the work is in schema.c. */
#include "rego/builtins_internal.h"
#include "rego/schema.h"
#include "value/json.h"

/*
 * A JSON text, or an object or array as JSON sees it (sets are arrays, keys
 * strings).  REGO_UNDEFINED: *why says what is wrong.
 */
static enum rego_outcome as_json(struct rego_call *call, value v, value *out, const char **why)
{
    struct str text = value_str(v);
    if (!value_is_string(v)) {
        if (!value_is_object(v) && !value_is_array(v)) {
            *why = "wrong type, expected string or object";
            return REGO_UNDEFINED;
        }
        text = json_text(rego_call_arena(call), v, JSON_COMPACT);
        if (text.ptr == NULL)
            return give(call, VALUE_UNDEFINED, out);
    }
    if (!charge_bytes(call, text.len * 8))
        return REGO_FATAL;
    struct error err = ERROR_INIT;
    enum status st = read_json(call, text, out, &err);
    *why = "invalid JSON string";
    if (st == ERR_INVALID)
        return REGO_UNDEFINED;
    return st == OK ? REGO_VALUE : rego_call_status(call, st, &err);
}

static enum rego_outcome give_pair(struct rego_call *call, bool ok, value second, value *out)
{
    const value pair[] = {value_bool(ok), second};
    return give(call, value_array(rego_call_arena(call), pair, 2), out);
}

enum rego_outcome builtin_json_verify_schema(struct rego_call *call, const value *args, value *out)
{
    value root = VALUE_UNDEFINED;
    const char *plain = "";
    struct str why = STR_EMPTY;
    struct schema s;
    enum rego_outcome o = as_json(call, args[0], &root, &plain);
    if (o == REGO_VALUE)
        o = schema_check(call, root, &s, &why);
    else
        why = str_of(plain);
    if (o == REGO_VALUE)
        return give_pair(call, true, VALUE_NULL, out);
    if (o != REGO_UNDEFINED)
        return o;
    struct str text = arena_format(rego_call_arena(call), "jsonschema: %.*s", STR_ARG(why));
    return give_pair(call, false,
                     value_string(rego_call_arena(call), text.ptr == NULL ? STR_EMPTY : text), out);
}

enum rego_outcome builtin_json_match_schema(struct rego_call *call, const value *args, value *out)
{
    value doc = VALUE_UNDEFINED;
    value root = VALUE_UNDEFINED;
    value complaints = VALUE_UNDEFINED;
    const char *plain = "";
    struct str why = STR_EMPTY;
    struct schema s;
    enum rego_outcome o = as_json(call, args[0], &doc, &plain);
    if (o == REGO_VALUE)
        o = as_json(call, args[1], &root, &plain);
    if (o == REGO_UNDEFINED)
        return rego_call_error(call, "%s", plain);
    if (o == REGO_VALUE)
        o = schema_check(call, root, &s, &why);
    if (o == REGO_UNDEFINED)
        return rego_call_error(call, "%.*s", STR_ARG(why));
    if (o == REGO_VALUE)
        o = schema_validate(&s, doc, &complaints);
    return o == REGO_VALUE ? give_pair(call, value_len(complaints) == 0, complaints, out) : o;
}
