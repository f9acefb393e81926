/*
 * number - Rego's arithmetic on values (../shared/spec/rego.md 3.2).
 *
 * Integers of any size are exact.  Division, and any operation with a
 * non-integer operand, rounds to a binary floating-point number with a 64-bit
 * mantissa (nearest even) and prints with the fewest digits that read back to
 * it.  Comparison is exact for every pair of numbers.
 *
 * Limits (rego.md 7.7): NUMBER_DIGITS_MAX digits, NUMBER_EXPONENT_MAX decimal
 * exponent; past them ERR_LIMIT.
 */
#pragma once

#include "value/value.h"

#define NUMBER_DIGITS_MAX 100000
#define NUMBER_EXPONENT_MAX 100000
#define NUMBER_SHIFT_MAX 1000000 /* more bits than any number has */

/* RFC 8259 number syntax (no sign but "-", no leading zeros), whole text. */
bool number_is_valid(struct str text);

/* -1, 0, 1.  Both must be numbers. */
int number_compare(value a, value b);

/* Mathematical value is an integer ("2.0", "1e3" too). */
bool number_is_integer(value v);

/* Text within 64 bits without exponent, fraction of zeros allowed: "machine integer" of 3.2. */
bool number_machine_int(value v, int64_t *out);

STATUS number_add(struct arena *a, value x, value y, value *out, struct error *err);
STATUS number_sub(struct arena *a, value x, value y, value *out, struct error *err);
STATUS number_mul(struct arena *a, value x, value y, value *out, struct error *err);
STATUS number_div(struct arena *a, value x, value y, value *out,
                  struct error *err); /* by zero: ERR_INVALID */
STATUS number_rem(struct arena *a, value x, value y, value *out,
                  struct error *err); /* integers only */
STATUS number_abs(struct arena *a, value x, value *out, struct error *err);

enum number_rounding { NUMBER_ROUND, NUMBER_CEIL, NUMBER_FLOOR, NUMBER_TRUNC };
STATUS number_round(struct arena *a, value x, enum number_rounding how, value *out,
                    struct error *err);

/* Bit operations on integers of any size, two's complement semantics. */
enum number_bits { NUMBER_AND, NUMBER_OR, NUMBER_XOR, NUMBER_ANDNOT };
STATUS number_bitop(struct arena *a, enum number_bits op, value x, value y, value *out,
                    struct error *err);
STATUS number_not(struct arena *a, value x, value *out, struct error *err);
STATUS number_shift(struct arena *a, value x, value count, bool left, value *out,
                    struct error *err);

/* Integer part (truncated) in a base of 2, 8, 10 or 16, lower case, with sign. */
STATUS number_format_int(struct arena *a, value x, int base, struct str *out, struct error *err);

/* Nearest double; for host code that has no other use. */
double number_double(value v);
