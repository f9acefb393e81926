/*
 * Numbers: number_is_valid() and arithmetic.  The input is two texts with a
 * line ending between them; identities of exact integers and of rounding hold.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "value/number.h"

#define MEMORY (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum status (*operation)(struct arena *, value, value, value *, struct error *);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* The result, or undefined past a limit. */
static value run(struct arena *a, operation op, value x, value y)
{
    value out = VALUE_UNDEFINED;
    if (value_is_defined(x) && value_is_defined(y)) {
        enum status st = op(a, x, y, &out, NULL);
        must(st == OK || st == ERR_LIMIT);
    }
    return out;
}

static value bits(struct arena *a, enum number_bits op, value x, value y)
{
    value out = VALUE_UNDEFINED;
    enum status st = number_bitop(a, op, x, y, &out, NULL);
    must(st == OK || st == ERR_LIMIT);
    return out;
}

static void must_equal(value x, value y)
{
    if (value_is_defined(x) && value_is_defined(y))
        must(value_equal(x, y) && value_hash(x) == value_hash(y));
}

static void check_integers(struct arena *a, value x, value y)
{
    must_equal(run(a, number_sub, run(a, number_add, x, y), y), x);

    value and = bits(a, NUMBER_AND, x, y);
    value or = bits(a, NUMBER_OR, x, y);
    must_equal(run(a, number_add, and, or), run(a, number_add, x, y));
    must_equal(bits(a, NUMBER_XOR, x, y), run(a, number_sub, or, and));
    must_equal(bits(a, NUMBER_ANDNOT, x, y), run(a, number_sub, x, and));
    value not = VALUE_UNDEFINED;
    if (number_not(a, x, &not, NULL) == OK)
        must_equal(not, run(a, number_sub, value_small_int(-1), x));

    value n = value_small_int(value_hash(x) % 200);
    value shifted = VALUE_UNDEFINED;
    value back = VALUE_UNDEFINED;
    if (number_shift(a, x, n, true, &shifted, NULL) == OK &&
        number_shift(a, shifted, n, false, &back, NULL) == OK)
        must_equal(back, x);

    if (number_compare(y, value_small_int(0)) == 0)
        return;
    value rest = run(a, number_rem, x, y);
    value product = run(a, number_mul, x, y);
    must_equal(run(a, number_rem, product, y), value_small_int(0));
    must_equal(run(a, number_rem, run(a, number_sub, x, rest), y), value_small_int(0));
    value size_x = VALUE_UNDEFINED;
    value size_y = VALUE_UNDEFINED;
    if (value_is_defined(rest) && number_abs(a, rest, &size_x, NULL) == OK &&
        number_abs(a, y, &size_y, NULL) == OK)
        must(number_compare(size_x, size_y) < 0);
}

/* What was rounded once stays: the shortest digits read back to the same float. */
static void check_float(struct arena *a, value x)
{
    value half = value_number(a, STR("0.5"));
    value zero = value_small_int(0);
    value once = run(a, number_mul, run(a, number_mul, x, half), value_small_int(2));
    if (!value_is_defined(once) || number_is_integer(once))
        return;
    value twice = run(a, number_add, once, zero);
    must_equal(once, twice);
    char s1[VALUE_NUMBER_SCRATCH];
    char s2[VALUE_NUMBER_SCRATCH];
    must(!value_is_defined(twice) ||
         str_equal(value_number_text(once, s1), value_number_text(twice, s2)));
    must_equal(run(a, number_sub, zero, run(a, number_sub, zero, once)), once);

    value floor = VALUE_UNDEFINED;
    value ceil = VALUE_UNDEFINED;
    must(number_round(a, once, NUMBER_FLOOR, &floor, NULL) == OK);
    must(number_round(a, once, NUMBER_CEIL, &ceil, NULL) == OK);
    must(number_compare(floor, once) < 0 && number_compare(once, ceil) < 0);
    must_equal(run(a, number_sub, ceil, floor), value_small_int(1));
}

static void check_double(value x)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str text = value_number_text(x, scratch);
    must(number_double(x) == strtod(text.ptr, NULL)); /* the text ends in NUL, the locale is C */
}

/* Large exponents are correct, but slow: left to the unit tests, so that there are more runs. */
static bool is_moderate(struct arena *a, value x)
{
    value zero = value_small_int(0);
    if (number_compare(x, zero) == 0)
        return true;
    value least = value_number(a, STR("1e-700"));
    value most = value_number(a, STR("1e700"));
    value minus_least = value_number(a, STR("-1e-700"));
    value minus_most = value_number(a, STR("-1e700"));
    bool positive = number_compare(x, zero) > 0;
    return positive ? number_compare(least, x) < 0 && number_compare(x, most) < 0
                    : number_compare(minus_most, x) < 0 && number_compare(x, minus_least) < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct str text = str_bytes(data, size);
    size_t end = str_find(text, '\n', 0);
    struct str first = str_slice(text, 0, end);
    struct str second = str_from(text, end + 1);
    if (first.len > 2000 || second.len > 2000 || !number_is_valid(first) ||
        !number_is_valid(second))
        return 0;
    value x = value_number(&a, first);
    value y = value_number(&a, second);
    if (!value_is_defined(x) || !value_is_defined(y))
        return 0;

    int c = number_compare(x, y);
    must(number_compare(y, x) == -c && (c == 0) == value_equal(x, y));
    must(c != 0 || value_hash(x) == value_hash(y));
    if (!is_moderate(&a, x) || !is_moderate(&a, y))
        return 0;
    must_equal(run(&a, number_add, x, y), run(&a, number_add, y, x));
    must_equal(run(&a, number_mul, x, y), run(&a, number_mul, y, x));
    value difference = run(&a, number_sub, x, y);
    if (value_is_defined(difference) && number_is_integer(x) && number_is_integer(y)) {
        must(number_compare(difference, value_small_int(0)) == c);
        check_integers(&a, x, y);
    }
    if (number_compare(y, value_small_int(0)) != 0)
        run(&a, number_div, x, y);
    check_float(&a, x);
    check_double(x);
    return 0;
}
