/*
 * What the files of this module share: block layout, decimals, and
 * constructors for callers that have checked their input already.
 */
#pragma once

#include "value/number.h"
#include "value/value.h"

/* Fail the arena and return the undefined value. */
value value_fail(struct arena *a, enum status why);

/* A string whose code points the caller has counted; `runes` == s.len means ASCII. */
value value_string_counted(struct arena *a, struct str s, size_t runes);

/* Room for a string of `len` bytes, to be filled and then sealed with its final, smaller length. */
struct value_heap *value_string_reserve(struct arena *a, size_t len);
value value_string_seal(struct value_heap *h, size_t len, size_t runes);

/* A number whose text has passed number_check() and is no canonical 63-bit integer. */
value value_number_heap(struct arena *a, struct str text);

/* The object of `n` pairs in any order. */
value value_object_from(struct arena *a, const struct value_pair *pairs, size_t n,
                        enum value_duplicates dup, value *duplicate);

/* Slots of the open-addressing index behind `len` > VALUE_LINEAR_MAX keys: at most half are used.
 */
static inline uint32_t value_index_slots(size_t len)
{
    uint32_t slots = 4 * VALUE_LINEAR_MAX;
    while (slots < 2 * len && slots < 0x80000000u)
        slots *= 2;
    return slots;
}

uint32_t value_hash_str(struct str s);
uint32_t value_hash_int(int64_t n);

/* ---- decimals (decimal.c) ---- */

/*
 * The exact value of a number's text: d.ddd * 10^exponent, with `count`
 * significant digits in [digits, end), among which there may be one point.
 * Neither the first nor the last digit is zero; zero has count 0.
 */
struct decimal {
    const char *digits;
    const char *end;
    size_t count;
    int64_t exponent;
    bool negative;
};

/* OK, ERR_INVALID for bad syntax, ERR_LIMIT past the limits of number.h. */
enum status number_check(struct str text);

/* `text` has passed number_check(). */
struct decimal decimal_of(struct str text);

static inline struct decimal decimal_of_value(value v, char scratch[VALUE_NUMBER_SCRATCH])
{
    return decimal_of(value_number_text(v, scratch));
}

static inline bool decimal_is_integer(const struct decimal *d)
{
    return d->count == 0 || d->exponent >= (int64_t)d->count - 1;
}

/* The magnitude of an integer, if it fits 64 bits. */
bool decimal_magnitude(const struct decimal *d, uint64_t *out);

/* The integer, if it fits 64 bits signed. */
bool decimal_int64(const struct decimal *d, int64_t *out);

int decimal_compare(const struct decimal *a, const struct decimal *b);

/* Equal for equal values, whatever their text. */
uint32_t decimal_hash(const struct decimal *d);

/* Print n; returns the text inside `scratch`, NUL-terminated. */
struct str decimal_print_int64(int64_t n, char scratch[VALUE_NUMBER_SCRATCH]);

/*
 * Digits without a point and a separate exponent, cut (with a sticky digit) where no double can
 * tell the difference: what strtod() reads the same way in every locale.  Returns the length.
 */
#define DECIMAL_STRTOD_MAX 840
size_t decimal_strtod_text(const struct decimal *d, char out[DECIMAL_STRTOD_MAX]);
