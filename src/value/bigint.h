/*
 * bigint - magnitudes of any size: 64-bit limbs, least significant first.
 *
 * Internal to this module.  Results are new limbs in the arena given, which
 * callers use as scratch space; a failed allocation gives a magnitude with
 * NULL limbs that every function passes on, so that callers check once, with
 * arena_status().  Costs are quadratic in the number of limbs; NUMBER_DIGITS_MAX
 * bounds that at some 5,200.
 */
#pragma once

#include "base/arena.h"
#include "base/defs.h"

struct big {
    uint64_t *limbs; /* no zero at the top */
    size_t len;      /* 0: zero */
};

struct big big_of(struct arena *a, uint64_t n);

/* -1, 0, 1 */
int big_compare(struct big x, struct big y);
size_t big_bits(struct big x); /* position above the highest one bit; 0 for zero */
bool big_bit(struct big x, size_t bit);

struct big big_add(struct arena *a, struct big x, struct big y);
struct big big_sub(struct arena *a, struct big x, struct big y); /* x >= y */
struct big big_mul(struct arena *a, struct big x, struct big y);

/* x = x * factor + add, in place where there is room. */
struct big big_mul_word(struct arena *a, struct big x, uint64_t factor, uint64_t add);

/* y is not zero.  Either result may be NULL. */
void big_divide(struct arena *a, struct big x, struct big y, struct big *quotient,
                struct big *remainder);

struct big big_shift_left(struct arena *a, struct big x, size_t bits);
struct big big_shift_right(struct arena *a, struct big x, size_t bits); /* rounds down */
bool big_has_bits_below(struct big x, size_t bits); /* would a right shift lose any? */

/* ten[k] = 10^(19 * 2^k), as far as numbers of `digits` digits are cut with them. */
#define BIG_POWERS_MAX 16
struct big_powers {
    struct big ten[BIG_POWERS_MAX];
    size_t len;
};
bool big_powers_init(struct arena *a, struct big_powers *powers, size_t digits);

struct big big_pow5(struct arena *a, size_t n);

/* Decimal text without sign; {NULL, 0} after a failure. */
struct str big_text(struct arena *a, struct big x);
