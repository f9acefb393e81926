/*
 * fp64 - binary floating point with a 64-bit mantissa and a wide exponent, as
 * Go's big.Float of precision 64: round to nearest, ties to even.
 *
 * Internal to this module.  Done in integers, so that every machine gives the
 * same digits.
 */
#pragma once

#include "value/bigint.h"
#include "value/value_internal.h"

/* (-1)^negative * mantissa * 2^exponent; the mantissa's top bit is set, or it is zero. */
struct fp64 {
    uint64_t mantissa;
    int64_t exponent;
    bool negative;
};

/* The first `places` significant digits as an integer, with zeros behind the last one. */
struct big decimal_digits(struct arena *a, const struct decimal *d, size_t places);

/* The nearest; scratch space in `a`, whose status tells whether the result counts. */
struct fp64 fp64_of_decimal(struct arena *a, const struct decimal *d);

struct fp64 fp64_add(struct fp64 x, struct fp64 y);
struct fp64 fp64_mul(struct fp64 x, struct fp64 y);
struct fp64 fp64_div(struct fp64 x, struct fp64 y); /* y is not zero */

bool fp64_is_integer(struct fp64 x);

/*
 * The fewest digits that read back to x: digits[0] . digits[1..] * 10^*exponent.
 * Of several with the same length the nearest to x.  Returns how many; x is not zero.
 */
#define FP64_DIGITS_MAX 24
size_t fp64_digits(struct arena *a, struct fp64 x, char digits[FP64_DIGITS_MAX], int64_t *exponent);
