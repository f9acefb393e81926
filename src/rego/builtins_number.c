/* Numbers and bits: rego.md 6.2, without the operators. */
#include <math.h>
#include <stdlib.h>

#include "rego/builtins_internal.h"
#include "value/number.h"

/* rego.md 7.7: longest range. */
#define RANGE_MAX 1000000

static enum rego_outcome rounded(struct rego_call *call, const value *args,
                                 enum number_rounding how, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_NUMBER))
        return REGO_FAILED;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = number_round(rego_call_arena(call), args[0], how, &v, &err);
    return give_status(call, st, &err, v, out);
}

enum rego_outcome builtin_round(struct rego_call *call, const value *args, value *out)
{
    return rounded(call, args, NUMBER_ROUND, out);
}

enum rego_outcome builtin_ceil(struct rego_call *call, const value *args, value *out)
{
    return rounded(call, args, NUMBER_CEIL, out);
}

enum rego_outcome builtin_floor(struct rego_call *call, const value *args, value *out)
{
    return rounded(call, args, NUMBER_FLOOR, out);
}

enum rego_outcome builtin_abs(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_NUMBER))
        return REGO_FAILED;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = number_abs(rego_call_arena(call), args[0], &v, &err);
    return give_status(call, st, &err, v, out);
}

/* ---- ranges ---- */

/* The usual case: all within 62 bits, so that no sum overflows. */
static enum rego_outcome small_range(struct rego_call *call, int64_t from, int64_t to, int64_t step,
                                     value *out)
{
    uint64_t distance = (uint64_t)(from <= to ? to - from : from - to);
    uint64_t count = distance / (uint64_t)step + 1;
    if (count > RANGE_MAX)
        return give_limit(call, "range has more than %d numbers", RANGE_MAX);
    if (!rego_call_charge(call, count))
        return REGO_FATAL;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), count);
    for (uint64_t i = 0; i < count; i++) {
        int64_t offset = (int64_t)i * step;
        value_builder_add(
            &b, value_int(rego_call_arena(call), from <= to ? from + offset : from - offset));
    }
    return give(call, value_array_finish(&b), out);
}

static enum rego_outcome big_range(struct rego_call *call, value from, value to, value step,
                                   value *out)
{
    struct arena *a = rego_call_arena(call);
    struct error err = ERROR_INIT;
    bool up = number_compare(from, to) <= 0;

    /* through addition, so that "2.0" becomes 2 like all later numbers */
    value at = VALUE_UNDEFINED;
    enum status st = number_add(a, from, value_small_int(0), &at, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);

    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (size_t n = 0; up ? number_compare(at, to) <= 0 : number_compare(at, to) >= 0; n++) {
        if (n == RANGE_MAX)
            return give_limit(call, "range has more than %d numbers", RANGE_MAX);
        if (!rego_call_charge(call, 1))
            return REGO_FATAL;
        value_builder_add(&b, at);
        st = up ? number_add(a, at, step, &at, &err) : number_sub(a, at, step, &at, &err);
        if (st != OK)
            return rego_call_status(call, st, &err);
    }
    return give(call, value_array_finish(&b), out);
}

static enum rego_outcome range(struct rego_call *call, value from, value to, value step, value *out)
{
    int64_t f = 0;
    int64_t t = 0;
    int64_t s = 0;
    if (value_get_int64(from, &f) && value_get_int64(to, &t) && value_get_int64(step, &s) &&
        value_small_fits(f) && value_small_fits(t))
        return small_range(call, f, t, s, out);
    return big_range(call, from, to, step, out);
}

enum rego_outcome builtin_numbers_range(struct rego_call *call, const value *args, value *out)
{
    if (!arg_integer(call, args, 1) || !arg_integer(call, args, 2))
        return REGO_FAILED;
    return range(call, args[0], args[1], value_small_int(1), out);
}

enum rego_outcome builtin_numbers_range_step(struct rego_call *call, const value *args, value *out)
{
    if (!arg_integer(call, args, 1) || !arg_integer(call, args, 2) || !arg_integer(call, args, 3))
        return REGO_FAILED;
    if (number_compare(args[2], value_small_int(0)) <= 0)
        return rego_call_error(call, "numbers.range_step: step must be a positive integer");
    return range(call, args[0], args[1], args[2], out);
}

/* ---- random numbers ---- */

enum rego_outcome builtin_rand_intn(struct rego_call *call, const value *args, value *out)
{
    struct str name = STR_EMPTY;
    int64_t n = 0;
    if (!arg_string(call, args, 1, &name) || !arg_int(call, args, 2, &n))
        return REGO_FAILED;
    if (n == 0)
        return give_int(call, 0, out);
    uint64_t bound = n < 0 ? -(uint64_t)n : (uint64_t)n;

    /* one number for each (string, bound) and query */
    struct arena *a = rego_call_arena(call);
    const value parts[] = {args[0], value_uint(a, bound)};
    value key = value_array(a, parts, ARRAY_LEN(parts));
    value known = value_is_defined(key) ? rego_call_memo_get(call, "rand.intn", key) : key;
    if (value_is_defined(known)) {
        *out = known;
        return REGO_VALUE;
    }

    /* reject the incomplete last run of [0, bound), so that every result is as likely */
    uint64_t r;
    uint64_t limit = UINT64_MAX - (UINT64_MAX % bound + 1) % bound;
    do {
        rego_call_random(call, &r, sizeof(r));
        if (!rego_call_charge(call, 1))
            return REGO_FATAL;
    } while (r > limit);

    value v = value_uint(a, r % bound);
    if (value_is_defined(key) && value_is_defined(v))
        rego_call_memo_put(call, "rand.intn", key, v);
    return give(call, v, out);
}

/* ---- bits ---- */

static enum rego_outcome bits(struct rego_call *call, const value *args, enum number_bits op,
                              value *out)
{
    if (!arg_integer(call, args, 1) || !arg_integer(call, args, 2))
        return REGO_FAILED;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = number_bitop(rego_call_arena(call), op, args[0], args[1], &v, &err);
    return give_status(call, st, &err, v, out);
}

enum rego_outcome builtin_bits_and(struct rego_call *call, const value *args, value *out)
{
    return bits(call, args, NUMBER_AND, out);
}

enum rego_outcome builtin_bits_or(struct rego_call *call, const value *args, value *out)
{
    return bits(call, args, NUMBER_OR, out);
}

enum rego_outcome builtin_bits_xor(struct rego_call *call, const value *args, value *out)
{
    return bits(call, args, NUMBER_XOR, out);
}

enum rego_outcome builtin_bits_negate(struct rego_call *call, const value *args, value *out)
{
    if (!arg_integer(call, args, 1))
        return REGO_FAILED;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = number_not(rego_call_arena(call), args[0], &v, &err);
    return give_status(call, st, &err, v, out);
}

static enum rego_outcome shifted(struct rego_call *call, const value *args, bool left, value *out)
{
    if (!arg_integer(call, args, 1) || !arg_integer(call, args, 2))
        return REGO_FAILED;
    if (number_compare(args[1], value_small_int(0)) < 0)
        return rego_call_type_text(
            call, "operand 2 must be an unsigned integer number but got a negative integer");
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = number_shift(rego_call_arena(call), args[0], args[1], left, &v, &err);
    return give_status(call, st, &err, v, out);
}

enum rego_outcome builtin_bits_lsh(struct rego_call *call, const value *args, value *out)
{
    return shifted(call, args, true, out);
}

enum rego_outcome builtin_bits_rsh(struct rego_call *call, const value *args, value *out)
{
    return shifted(call, args, false, out);
}

/* ---- text to number and back ---- */

/* The parts of a decimal float literal as Go's strconv.ParseFloat takes it. */
struct float_text {
    bool negative;
    struct str whole, fraction; /* digits, at least one in all */
    struct str exponent;        /* with its "e" and sign, empty when absent */
};

static struct str take_digits(struct str s, size_t *at)
{
    size_t from = *at;
    while (*at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9')
        (*at)++;
    return str_slice(s, from, *at - from);
}

static bool read_float(struct str s, struct float_text *f)
{
    *f = (struct float_text){false, STR_EMPTY, STR_EMPTY, STR_EMPTY};
    size_t at = 0;
    if (at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-'))
        f->negative = s.ptr[at++] == '-';
    f->whole = take_digits(s, &at);
    if (at < s.len && s.ptr[at] == '.') {
        at++;
        f->fraction = take_digits(s, &at);
    }
    if (f->whole.len + f->fraction.len == 0)
        return false;
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        size_t from = at++;
        if (at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-'))
            at++;
        if (take_digits(s, &at).len == 0)
            return false;
        f->exponent = str_slice(s, from, at - from);
    }
    return at == s.len;
}

/*
 * As JSON writes it: OPA keeps the text, which is no JSON for "+5", "007", "5."
 * or ".5" (rego.md 9, trap 16).
 */
static void write_float(struct buf *b, const struct float_text *f)
{
    if (f->negative)
        buf_add_byte(b, '-');
    struct str whole = f->whole;
    while (whole.len > 1 && whole.ptr[0] == '0')
        whole = str_from(whole, 1);
    buf_add(b, whole.len == 0 ? STR("0") : whole);
    if (f->fraction.len > 0) {
        buf_add_byte(b, '.');
        buf_add(b, f->fraction);
    }
    buf_add(b, f->exponent);
}

bool normal_number(struct str s, struct buf *out)
{
    struct float_text f;
    if (!read_float(s, &f))
        return false;
    write_float(out, &f);
    return true;
}

static bool is_infinity_or_nan(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == '+' || s.ptr[0] == '-'))
        s = str_from(s, 1);
    static const char *const names[] = {"inf", "infinity", "nan"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (s.len == strlen(names[i]) && strncasecmp(s.ptr, names[i], s.len) == 0)
            return true;
    return false;
}

static enum rego_outcome string_to_number(struct rego_call *call, value v, value *out)
{
    struct str s = value_str(v);
    if (is_infinity_or_nan(s))
        return rego_call_type_error(call, 1, "valid number string", v);

    struct float_text f;
    if (!read_float(s, &f))
        return rego_call_error(call, "strconv.ParseFloat: parsing %s: invalid syntax",
                               quoted(call, s));
    if (s.len > NUMBER_DIGITS_MAX)
        return give_limit(call, "number has more than %d digits", NUMBER_DIGITS_MAX);

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    if (!normal_number(s, &b))
        return rego_call_error(call, "strconv.ParseFloat: parsing %s: invalid syntax",
                               quoted(call, s));
    struct str text = buf_str(&b);
    buf_add_byte(&b, '\0');
    if (buf_status(&b) != OK)
        return give_buf(call, &b, out);
    text.ptr = b.ptr;

    /* the text is C's own syntax by now, and the locale is always "C" */
    if (isinf(strtod(text.ptr, NULL)))
        return rego_call_error(call, "strconv.ParseFloat: parsing %s: value out of range",
                               quoted(call, s));
    return give(call, value_number(rego_call_arena(call), text), out);
}

enum rego_outcome builtin_to_number(struct rego_call *call, const value *args, value *out)
{
    switch (value_kind(args[0])) {
    case VALUE_KIND_NULL:
        return give_int(call, 0, out);
    case VALUE_KIND_BOOLEAN:
        return give_int(call, value_is_true(args[0]), out);
    case VALUE_KIND_NUMBER:
        *out = args[0];
        return REGO_VALUE;
    case VALUE_KIND_STRING:
        return string_to_number(call, args[0], out);
    default:
        return rego_call_type_text(
            call, "operand 1 must be one of {null, boolean, number, string} but got %s",
            value_kind_name(value_kind(args[0])));
    }
}

enum rego_outcome builtin_format_int(struct rego_call *call, const value *args, value *out)
{
    if (!arg_kind(call, args, 1, VALUE_KIND_NUMBER) || !arg_kind(call, args, 2, VALUE_KIND_NUMBER))
        return REGO_FAILED;

    /* OPA compares the text of the base: "2.0" is none */
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str base = value_number_text(args[1], scratch);
    if (!str_is(base, "2") && !str_is(base, "8") && !str_is(base, "10") && !str_is(base, "16"))
        return rego_call_type_text(call, "operand 2 must be one of {2, 8, 10, 16}");

    int64_t radix = 0;
    value_get_int64(args[1], &radix);
    struct str text = STR_EMPTY;
    struct error err = ERROR_INIT;
    enum status st = number_format_int(rego_call_arena(call), args[0], (int)radix, &text, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    return give_str(call, text, out);
}
