#include "value/fp64.h"

__extension__ typedef unsigned __int128 u128;

/* Digits from which reading in two parts pays. */
#define READ_PARTS_MIN 1000

static unsigned leading_zeros(u128 n)
{
    uint64_t high = (uint64_t)(n >> 64);
    return high != 0 ? (unsigned)__builtin_clzll(high)
                     : 64 + (unsigned)__builtin_clzll((uint64_t)n);
}

/*
 * Round n * 2^exponent, of which at least 65 bits are known; `sticky` says that
 * the true value is a little larger.
 */
static struct fp64 round_bits(bool negative, u128 n, int64_t exponent, bool sticky)
{
    if (n == 0)
        return (struct fp64){0};
    unsigned shift = leading_zeros(n);
    n <<= shift;
    exponent -= shift;

    uint64_t high = (uint64_t)(n >> 64);
    uint64_t low = (uint64_t)n;
    const uint64_t half = (uint64_t)1 << 63;
    bool up = low > half || (low == half && (sticky || (high & 1) != 0));
    exponent += 64;
    if (up && ++high == 0) {
        high = half;
        exponent++;
    }
    return (struct fp64){high, exponent, negative};
}

/* Round x * 2^exponent. */
static struct fp64 round_big(bool negative, struct big x, int64_t exponent, bool sticky)
{
    if (x.len == 0)
        return (struct fp64){0};
    if (x.len == 1)
        return round_bits(negative, x.limbs[0], exponent, sticky);

    size_t bits = big_bits(x);
    size_t drop = bits > 128 ? bits - 128 : 0;
    size_t word = drop / 64;
    unsigned shift = drop % 64;
    u128 top = (u128)x.limbs[word + 1] << 64 | x.limbs[word];
    if (shift != 0)
        top = top >> shift | (u128)x.limbs[word + 2] << (128 - shift);
    return round_bits(negative, top, exponent + (int64_t)drop,
                      sticky || big_has_bits_below(x, drop));
}

/* The next `places` digits from *p on, zeros behind the last one. */
static struct big read_limbs(struct arena *a, const struct decimal *d, const char **p,
                             size_t places)
{
    struct big x = big_of(a, 0);
    while (places > 0 && x.limbs != NULL) {
        uint64_t factor = 1;
        uint64_t chunk = 0;
        for (int i = 0; i < 19 && places > 0; i++, places--) {
            if (*p < d->end && **p == '.')
                (*p)++;
            chunk = chunk * 10 + (*p < d->end ? (uint64_t)(*(*p)++ - '0') : 0);
            factor *= 10;
        }
        x = big_mul_word(a, x, factor, chunk);
    }
    return x;
}

/* A long number is read in two parts, so that the work is in the multiplication. */
static struct big read_parts(struct arena *a, const struct big_powers *powers,
                             const struct decimal *d, const char **p, size_t places)
{
    size_t k = powers->len;
    while (k > 0 && (size_t)19 << (k - 1) > places / 2)
        k--;
    if (places < READ_PARTS_MIN || k == 0)
        return read_limbs(a, d, p, places);
    size_t low_places = (size_t)19 << (k - 1);
    struct big high = read_parts(a, powers, d, p, places - low_places);
    struct big low = read_parts(a, powers, d, p, low_places);
    return big_add(a, big_mul(a, high, powers->ten[k - 1]), low);
}

struct big decimal_digits(struct arena *a, const struct decimal *d, size_t places)
{
    const char *p = d->digits;
    if (places < READ_PARTS_MIN)
        return read_limbs(a, d, &p, places);
    struct big_powers powers;
    if (!big_powers_init(a, &powers, places))
        return (struct big){NULL, 0};
    return read_parts(a, &powers, d, &p, places);
}

struct fp64 fp64_of_decimal(struct arena *a, const struct decimal *d)
{
    if (d->count == 0)
        return (struct fp64){0};

    struct big digits = decimal_digits(a, d, d->count);
    int64_t ten = d->exponent - (int64_t)d->count + 1; /* value = digits * 10^ten */
    if (ten >= 0)
        digits = big_mul(a, digits, big_pow5(a, (size_t)ten));
    if (digits.limbs == NULL)
        return (struct fp64){0};
    if (ten >= 0)
        return round_big(d->negative, digits, ten, false);

    /* digits * 2^up / 5^-ten with a few bits more than needed, then the remainder. */
    struct big power = big_pow5(a, (size_t)-ten);
    size_t want = big_bits(power) + 68;
    size_t have = big_bits(digits);
    size_t up = want > have ? want - have : 0;
    struct big quotient;
    struct big rest;
    big_divide(a, big_shift_left(a, digits, up), power, &quotient, &rest);
    if (arena_status(a) != OK)
        return (struct fp64){0};
    return round_big(d->negative, quotient, ten - (int64_t)up, rest.len != 0);
}

static bool magnitude_below(struct fp64 x, struct fp64 y)
{
    if (x.mantissa == 0 || y.mantissa == 0)
        return x.mantissa < y.mantissa;
    return x.exponent != y.exponent ? x.exponent < y.exponent : x.mantissa < y.mantissa;
}

struct fp64 fp64_add(struct fp64 x, struct fp64 y)
{
    if (magnitude_below(x, y)) {
        struct fp64 swap = x;
        x = y;
        y = swap;
    }
    if (y.mantissa == 0)
        return x;

    /* 63 bits below x's last: enough for what y adds, and for one bit of cancellation. */
    u128 wide = (u128)x.mantissa << 63;
    u128 addend = (u128)y.mantissa << 63;
    uint64_t distance = (uint64_t)(x.exponent - y.exponent);
    bool sticky = false;
    if (distance > 127) {
        addend = 0;
        sticky = true;
    } else if (distance > 0) {
        sticky = (addend & (((u128)1 << distance) - 1)) != 0;
        addend >>= distance;
    }
    if (x.negative == y.negative)
        wide += addend;
    else
        wide -= addend + sticky; /* the true value lies a little above this */
    return round_bits(x.negative, wide, x.exponent - 63, sticky);
}

struct fp64 fp64_mul(struct fp64 x, struct fp64 y)
{
    return round_bits(x.negative != y.negative, (u128)x.mantissa * y.mantissa,
                      x.exponent + y.exponent, false);
}

struct fp64 fp64_div(struct fp64 x, struct fp64 y)
{
    if (x.mantissa == 0)
        return x;
    u128 wide = (u128)x.mantissa << 64;
    u128 quotient = wide / y.mantissa; /* 64 or 65 bits */
    u128 rest = wide % y.mantissa;
    int64_t exponent = x.exponent - y.exponent - 64;
    for (int i = 0; i < 2; i++) { /* two bits more, so that rounding has one to look at */
        rest <<= 1;
        bool bit = rest >= y.mantissa;
        quotient = quotient << 1 | bit;
        if (bit)
            rest -= y.mantissa;
        exponent--;
    }
    return round_bits(x.negative != y.negative, quotient, exponent, rest != 0);
}

bool fp64_is_integer(struct fp64 x)
{
    if (x.mantissa == 0 || x.exponent >= 0)
        return true;
    return x.exponent > -64 && (x.mantissa & (((uint64_t)1 << -x.exponent) - 1)) == 0;
}

/* ---- printing: Steele and White's free-format algorithm, with exact integers ---- */

/*
 * x = value / scale; a text reads back to x while it is above x - below/scale
 * and under x + above/scale (ends included if x's mantissa is even).
 */
struct interval {
    struct big value;
    struct big scale;
    struct big below;
    struct big above;
    bool inclusive;
};

static bool reaches_top(struct arena *a, const struct interval *v)
{
    int c = big_compare(big_add(a, v->value, v->above), v->scale);
    return v->inclusive ? c >= 0 : c > 0;
}

static void times_ten(struct arena *a, struct interval *v)
{
    v->value = big_mul_word(a, v->value, 10, 0);
    v->below = big_mul_word(a, v->below, 10, 0);
    v->above = big_mul_word(a, v->above, 10, 0);
}

/* Scaled by powers of two, and by the power of ten that makes the value 0.1 to 1, about. */
static void set_up(struct arena *a, struct fp64 x, int64_t ten, struct interval *v)
{
    /* The gap below a power of two is half of the one above it: quarters of a unit. */
    bool narrow = x.mantissa == (uint64_t)1 << 63;
    int64_t two = x.exponent - 2;
    struct big power = big_pow5(a, (size_t)(ten < 0 ? -ten : ten));
    struct big one = big_of(a, 1);

    v->value = big_shift_left(a, big_of(a, x.mantissa), 2);
    v->below = big_of(a, narrow ? 1 : 2);
    v->above = big_of(a, 2);
    v->scale = one;
    v->inclusive = (x.mantissa & 1) == 0;
    if (ten < 0) {
        v->value = big_mul(a, v->value, power);
        v->below = big_mul(a, v->below, power);
        v->above = big_mul(a, v->above, power);
    } else {
        v->scale = power;
    }
    two -= ten;
    if (two >= 0) {
        v->value = big_shift_left(a, v->value, (size_t)two);
        v->below = big_shift_left(a, v->below, (size_t)two);
        v->above = big_shift_left(a, v->above, (size_t)two);
    } else {
        v->scale = big_shift_left(a, v->scale, (size_t)-two);
    }
}

/* The next digit, value % scale stays; at most nine subtractions of numbers of one size. */
static unsigned take_digit(struct big *x, struct big scale)
{
    unsigned digit = 0;
    while (big_compare(*x, scale) >= 0) {
        uint64_t borrow = 0;
        for (size_t i = 0; i < x->len; i++) {
            uint64_t subtrahend = i < scale.len ? scale.limbs[i] : 0;
            u128 d = (u128)x->limbs[i] - subtrahend - borrow;
            x->limbs[i] = (uint64_t)d;
            borrow = (uint64_t)(d >> 64) & 1;
        }
        while (x->len > 0 && x->limbs[x->len - 1] == 0)
            x->len--;
        digit++;
    }
    return digit;
}

static size_t generate(struct arena *a, struct interval *v, char digits[FP64_DIGITS_MAX],
                       int64_t *exponent)
{
    size_t n = 0;
    while (n < FP64_DIGITS_MAX && arena_status(a) == OK) {
        times_ten(a, v);
        unsigned digit = take_digit(&v->value, v->scale);
        int below = big_compare(v->value, v->below);
        bool low = v->inclusive ? below <= 0 : below < 0;
        bool high = reaches_top(a, v);
        if (low && high) {
            int c = big_compare(big_add(a, v->value, v->value), v->scale);
            high = c > 0 || (c == 0 && (digit & 1) != 0);
        }
        digits[n++] =
            (char)('0' + digit + high);   /* never past 9: the top would have been reached */
        if (n == 1 && digits[0] == '0') { /* the estimate was one too large */
            n = 0;
            (*exponent)--;
        }
        if (low || high)
            break;
    }
    return n;
}

size_t fp64_digits(struct arena *a, struct fp64 x, char digits[FP64_DIGITS_MAX], int64_t *exponent)
{
    /* The value is 2^bits at least, so 10^(ten - 1), about: 0.30102999566 is log10(2). */
    int64_t bits = x.exponent + 63;
    int64_t ten = bits * 30102999566 / 100000000000 + (bits < 0 ? 0 : 1);
    struct interval v;
    set_up(a, x, ten, &v);
    while (arena_status(a) == OK && reaches_top(a, &v))
        set_up(a, x, ++ten, &v);
    *exponent = ten - 1;
    return generate(a, &v, digits, exponent);
}
