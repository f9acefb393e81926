/*
 * Operators and the calls that the compiler makes.  The evaluator has fast
 * paths of its own for most of these; here they are as functions, for
 * replacement by `with` and for values that are not small integers.
 */
#include "base/buf.h"
#include "rego/builtin.h"
#include "rego/text.h"
#include "value/number.h"

#define DEFINE(fn)                                                                                 \
    enum rego_outcome builtin_##fn(struct rego_call *call, const value *args, value *out);
DEFINE(eq)
DEFINE(neq)
DEFINE(lt)
DEFINE(lte)
DEFINE(gt)
DEFINE(gte)
DEFINE(and)
DEFINE(or)
DEFINE(plus)
DEFINE(minus)
DEFINE(mul)
DEFINE(div)
DEFINE(rem)
DEFINE(member_2)
DEFINE(member_3)
DEFINE(internal_print)
DEFINE(internal_test_case)
DEFINE(template_string)
DEFINE(metadata_chain)
DEFINE(metadata_rule)

enum rego_outcome builtin_eq(struct rego_call *call, const value *args, value *out)
{
    *out = value_bool(value_equal(args[0], args[1]));
    return REGO_VALUE;
}

enum rego_outcome builtin_neq(struct rego_call *call, const value *args, value *out)
{
    *out = value_bool(!value_equal(args[0], args[1]));
    return REGO_VALUE;
}

enum rego_outcome builtin_lt(struct rego_call *call, const value *args, value *out)
{
    *out = value_bool(value_compare(args[0], args[1]) < 0);
    return REGO_VALUE;
}

enum rego_outcome builtin_lte(struct rego_call *call, const value *args, value *out)
{
    *out = value_bool(value_compare(args[0], args[1]) <= 0);
    return REGO_VALUE;
}

enum rego_outcome builtin_gt(struct rego_call *call, const value *args, value *out)
{
    *out = value_bool(value_compare(args[0], args[1]) > 0);
    return REGO_VALUE;
}

enum rego_outcome builtin_gte(struct rego_call *call, const value *args, value *out)
{
    *out = value_bool(value_compare(args[0], args[1]) >= 0);
    return REGO_VALUE;
}

/* A value was built unless the arena is exhausted. */
static enum rego_outcome built(struct rego_call *call, value v, value *out)
{
    if (!value_is_defined(v))
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    *out = v;
    return REGO_VALUE;
}

/* Elements of the first set that are in the second (`want` true) or not (false). */
static enum rego_outcome select_items(struct rego_call *call, value a, value b, bool want,
                                      value *out)
{
    if (!rego_call_charge(call, value_len(a)))
        return REGO_FATAL;
    struct value_builder builder;
    value_builder_init(&builder, rego_call_arena(call), value_len(a));
    for (size_t i = 0; i < value_len(a); i++)
        if (value_set_has(b, value_items(a)[i]) == want)
            value_builder_add(&builder, value_items(a)[i]);
    return built(call, value_set_finish(&builder), out);
}

static enum rego_outcome check_sets(struct rego_call *call, const value *args)
{
    for (unsigned i = 0; i < 2; i++)
        if (value_kind(args[i]) != VALUE_KIND_SET)
            return rego_call_type_error(call, i + 1, "set", args[i]);
    return REGO_VALUE;
}

static enum rego_outcome check_numbers(struct rego_call *call, const value *args)
{
    for (unsigned i = 0; i < 2; i++)
        if (value_kind(args[i]) != VALUE_KIND_NUMBER)
            return rego_call_type_error(call, i + 1, "number", args[i]);
    return REGO_VALUE;
}

enum rego_outcome builtin_and(struct rego_call *call, const value *args, value *out)
{
    enum rego_outcome ok = check_sets(call, args);
    if (ok != REGO_VALUE)
        return ok;
    /* The smaller set is the one to go through; its numbers keep their text, as in OPA. */
    bool second = value_len(args[1]) < value_len(args[0]);
    return select_items(call, args[second], args[!second], true, out);
}

enum rego_outcome builtin_or(struct rego_call *call, const value *args, value *out)
{
    enum rego_outcome ok = check_sets(call, args);
    if (ok != REGO_VALUE)
        return ok;
    if (!rego_call_charge(call, value_len(args[0]) + value_len(args[1])))
        return REGO_FATAL;
    struct value_builder builder;
    value_builder_init(&builder, rego_call_arena(call), value_len(args[0]) + value_len(args[1]));
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < value_len(args[k]); i++)
            value_builder_add(&builder, value_items(args[k])[i]);
    return built(call, value_set_finish(&builder), out);
}

typedef enum status (*arithmetic)(struct arena *a, value x, value y, value *out, struct error *err);

/* Big operands cost the square of their digits. */
static bool charge_digits(struct rego_call *call, const value *args)
{
    uint64_t units = 1;
    for (size_t i = 0; i < 2; i++)
        if (value_is_heap(args[i]))
            units *= 1 + value_heap(args[i])->len / 16;
    return rego_call_charge(call, units);
}

static enum rego_outcome calculate(struct rego_call *call, const value *args, arithmetic fn,
                                   value *out)
{
    enum rego_outcome ok = check_numbers(call, args);
    if (ok != REGO_VALUE)
        return ok;
    if (!charge_digits(call, args))
        return REGO_FATAL;
    struct error err = ERROR_INIT;
    enum status st = fn(rego_call_arena(call), args[0], args[1], out, &err);
    return st == OK ? REGO_VALUE : rego_call_status(call, st, &err);
}

enum rego_outcome builtin_plus(struct rego_call *call, const value *args, value *out)
{
    return calculate(call, args, number_add, out);
}

enum rego_outcome builtin_mul(struct rego_call *call, const value *args, value *out)
{
    return calculate(call, args, number_mul, out);
}

enum rego_outcome builtin_minus(struct rego_call *call, const value *args, value *out)
{
    if (value_kind(args[0]) == VALUE_KIND_NUMBER)
        return value_kind(args[1]) == VALUE_KIND_NUMBER
                   ? calculate(call, args, number_sub, out)
                   : rego_call_type_error(call, 2, "number", args[1]);
    if (value_kind(args[0]) != VALUE_KIND_SET)
        return rego_call_type_error(call, 1, "one of {number, set}", args[0]);
    if (value_kind(args[1]) != VALUE_KIND_SET) /* OPA's words */
        return rego_call_type_error(
            call, 2, value_kind(args[1]) == VALUE_KIND_NUMBER ? "set" : "number", args[1]);
    return select_items(call, args[0], args[1], false, out);
}

/* number.h keeps zero of any spelling ("0.0") apart from other numbers by sign only. */
static bool is_zero(value v)
{
    return number_compare(v, value_small_int(0)) == 0;
}

enum rego_outcome builtin_div(struct rego_call *call, const value *args, value *out)
{
    enum rego_outcome ok = check_numbers(call, args);
    if (ok != REGO_VALUE)
        return ok;
    if (is_zero(args[1]))
        return rego_call_error(call, "divide by zero");
    return calculate(call, args, number_div, out);
}

enum rego_outcome builtin_rem(struct rego_call *call, const value *args, value *out)
{
    enum rego_outcome ok = check_numbers(call, args);
    if (ok != REGO_VALUE)
        return ok;
    if (!number_is_integer(args[0]) || !number_is_integer(args[1]))
        return rego_call_error(call, "modulo on floating-point number");
    if (is_zero(args[1]))
        return rego_call_error(call, "modulo by zero");
    return calculate(call, args, number_rem, out);
}

enum rego_outcome builtin_member_2(struct rego_call *call, const value *args, value *out)
{
    bool found = false;
    size_t n = value_len(args[1]);
    switch (value_kind(args[1])) {
    case VALUE_KIND_SET:
        found = value_set_has(args[1], args[0]);
        break;
    case VALUE_KIND_ARRAY:
        for (size_t i = 0; i < n && !found; i++)
            found = value_equal(value_items(args[1])[i], args[0]);
        break;
    case VALUE_KIND_OBJECT:
        for (size_t i = 0; i < n && !found; i++)
            found = value_equal(value_pairs(args[1])[i].val, args[0]);
        break;
    default:
        break;
    }
    *out = value_bool(found);
    return n < 64 || rego_call_charge(call, n / 64) ? REGO_VALUE : REGO_FATAL;
}

enum rego_outcome builtin_member_3(struct rego_call *call, const value *args, value *out)
{
    value found = VALUE_UNDEFINED;
    if (value_kind(args[2]) >= VALUE_KIND_ARRAY)
        found = value_lookup(args[2], args[0]);
    *out = value_bool(value_is_defined(found) && value_equal(found, args[1]));
    return REGO_VALUE;
}

/* A string as it is, anything else in the text form. */
static void write_plain(struct buf *out, value v)
{
    if (value_is_string(v))
        buf_add(out, value_str(v));
    else
        rego_text_write(out, v);
}

/*
 * print(a, b) was compiled to internal.print([{a}, {b}]): one line for each
 * combination, an empty set stands for an undefined operand.
 */
enum rego_outcome builtin_internal_print(struct rego_call *call, const value *args, value *out)
{
    size_t n = value_len(args[0]);
    uint64_t lines = 1;
    for (size_t i = 0; i < n; i++) {
        size_t len = value_len(value_items(args[0])[i]);
        if (len > 0 && __builtin_mul_overflow(lines, (uint64_t)len, &lines))
            return rego_call_charge(call, UINT64_MAX) ? REGO_FAILED : REGO_FATAL;
    }
    for (uint64_t line = 0; line < lines; line++) {
        if (!rego_call_charge(call, 1 + n))
            return REGO_FATAL;
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, rego_call_output_max(call));
        uint64_t rest = line;
        uint64_t block = lines;
        for (size_t i = 0; i < n; i++) {
            value operand = value_items(args[0])[i];
            size_t len = value_len(operand);
            if (i > 0)
                buf_add_byte(&text, ' ');
            if (len == 0) {
                buf_add_cstr(&text, "<undefined>");
                continue;
            }
            block /= len;
            write_plain(&text, value_items(operand)[rest / block]);
            rest %= block;
        }
        if (buf_status(&text) == OK)
            rego_call_print(call, buf_str(&text));
    }
    *out = VALUE_TRUE;
    return REGO_VALUE;
}

/* Made by the compiler for rules test_p[name] (rewrite.c). */
enum rego_outcome builtin_internal_test_case(struct rego_call *call, const value *args, value *out)
{
    rego_call_test_case(call, args[0]);
    *out = VALUE_TRUE;
    return REGO_VALUE;
}

/* Parts are constants, or sets of the results of an expression (rego.md 2.7). */
enum rego_outcome builtin_template_string(struct rego_call *call, const value *args, value *out)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, rego_call_output_max(call));
    for (size_t i = 0; i < value_len(args[0]); i++) {
        value part = value_items(args[0])[i];
        if (!rego_call_charge(call, 1))
            return REGO_FATAL;
        if (value_kind(part) != VALUE_KIND_SET)
            write_plain(&text, part);
        else if (value_len(part) == 0)
            buf_add_cstr(&text, "<undefined>");
        else if (value_len(part) == 1)
            write_plain(&text, value_items(part)[0]);
        else
            return rego_call_conflict(call, "template-strings must not produce multiple outputs");
    }
    if (buf_status(&text) != OK)
        return rego_call_status(call, buf_status(&text), NULL);
    return built(call, value_string(rego_call_arena(call), buf_str(&text)), out);
}

/* Inside of rules the compiler has replaced these calls. */
enum rego_outcome builtin_metadata_chain(struct rego_call *call, const value *args, value *out)
{
    return rego_call_error(
        call, "the rego.metadata.chain function must only be called within the scope of a rule");
}

enum rego_outcome builtin_metadata_rule(struct rego_call *call, const value *args, value *out)
{
    return rego_call_error(
        call, "the rego.metadata.rule function must only be called within the scope of a rule");
}
