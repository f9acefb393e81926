#include "value/bigint.h"

__extension__ typedef unsigned __int128 u128;

#define LIMB_BITS 64

/* Shorter factors, and shorter numbers in text, are done limb by limb. */
#define KARATSUBA_MIN 40
#define TEXT_PARTS_MIN 40

/* The largest power of ten in a limb.  Its top bit is set, which division makes use of. */
#define TEN19 10000000000000000000u
#define TEN19_DIGITS 19
#define TEN19_INVERSE 0xd83c94fb6d2ac34au /* (2^128 - 1) / 10^19 - 2^64 */

static struct big allocate(struct arena *a, size_t len)
{
    struct big x = {arena_new_array(a, uint64_t, len == 0 ? 1 : len), len};
    return x.limbs == NULL ? (struct big){NULL, 0} : x;
}

static struct big trim(struct big x)
{
    while (x.len > 0 && x.limbs[x.len - 1] == 0)
        x.len--;
    return x;
}

struct big big_of(struct arena *a, uint64_t n)
{
    struct big x = allocate(a, 1);
    if (x.limbs != NULL)
        x.limbs[0] = n;
    return trim(x);
}

int big_compare(struct big x, struct big y)
{
    if (x.len != y.len)
        return x.len < y.len ? -1 : 1;
    for (size_t i = x.len; i-- > 0;)
        if (x.limbs[i] != y.limbs[i])
            return x.limbs[i] < y.limbs[i] ? -1 : 1;
    return 0;
}

size_t big_bits(struct big x)
{
    if (x.len == 0)
        return 0;
    return x.len * LIMB_BITS - (size_t)__builtin_clzll(x.limbs[x.len - 1]);
}

bool big_bit(struct big x, size_t bit)
{
    size_t limb = bit / LIMB_BITS;
    return limb < x.len && (x.limbs[limb] >> bit % LIMB_BITS & 1) != 0;
}

struct big big_add(struct arena *a, struct big x, struct big y)
{
    if (x.len < y.len) {
        struct big swap = x;
        x = y;
        y = swap;
    }
    struct big sum = allocate(a, x.len + 1);
    if (sum.limbs == NULL)
        return sum;

    u128 carry = 0;
    for (size_t i = 0; i < x.len; i++) {
        carry += (u128)x.limbs[i] + (i < y.len ? y.limbs[i] : 0);
        sum.limbs[i] = (uint64_t)carry;
        carry >>= LIMB_BITS;
    }
    sum.limbs[x.len] = (uint64_t)carry;
    return trim(sum);
}

/* x -= y for x >= y, or at least of len limbs; returns the borrow. */
static uint64_t subtract(uint64_t *x, size_t x_len, const uint64_t *y, size_t y_len)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < x_len && (i < y_len || borrow != 0); i++) {
        u128 d = (u128)x[i] - (i < y_len ? y[i] : 0) - borrow;
        x[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> LIMB_BITS) & 1;
    }
    return borrow;
}

struct big big_sub(struct arena *a, struct big x, struct big y)
{
    struct big diff = allocate(a, x.len);
    if (diff.limbs == NULL)
        return diff;
    if (x.len > 0)
        memcpy(diff.limbs, x.limbs, x.len * sizeof(*x.limbs));
    subtract(diff.limbs, x.len, y.limbs, y.len);
    return trim(diff);
}

/* out[0..len] += x * factor; returns what does not fit. */
static uint64_t add_product(uint64_t *out, const uint64_t *x, size_t len, uint64_t factor)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < len; i++) {
        u128 t = (u128)x[i] * factor + out[i] + carry;
        out[i] = (uint64_t)t;
        carry = (uint64_t)(t >> LIMB_BITS);
    }
    return carry;
}

/* out[at..] += x; out has room for the carry. */
static void add_at(struct big out, size_t at, struct big x)
{
    uint64_t carry = 0;
    for (size_t i = 0; at + i < out.len && (i < x.len || carry != 0); i++) {
        u128 t = (u128)out.limbs[at + i] + (i < x.len ? x.limbs[i] : 0) + carry;
        out.limbs[at + i] = (uint64_t)t;
        carry = (uint64_t)(t >> LIMB_BITS);
    }
}

/* The limbs [from, from + len) of x. */
static struct big part(struct big x, size_t from, size_t len)
{
    if (from >= x.len)
        return (struct big){x.limbs, 0};
    return trim((struct big){x.limbs + from, x.len - from < len ? x.len - from : len});
}

/*
 * Karatsuba: with x = x1 B + x0 and y = y1 B + y0, three products instead of
 * four; x0 y1 + x1 y0 = (x0 + x1) (y0 + y1) - x0 y0 - x1 y1.  When y is too
 * short to be cut, x is.
 */
static void multiply_parts(struct arena *a, struct big x, struct big y, struct big product)
{
    size_t half = (x.len + 1) / 2;
    struct big x0 = part(x, 0, half);
    struct big x1 = part(x, half, half);
    if (y.len <= half) {
        add_at(product, 0, big_mul(a, x0, y));
        add_at(product, half, big_mul(a, x1, y));
        return;
    }
    struct big y0 = part(y, 0, half);
    struct big y1 = part(y, half, half);
    struct big low = big_mul(a, x0, y0);
    struct big high = big_mul(a, x1, y1);
    struct big middle = big_mul(a, big_add(a, x0, x1), big_add(a, y0, y1));
    if (arena_status(a) != OK)
        return;
    subtract(middle.limbs, middle.len, low.limbs, low.len);
    subtract(middle.limbs, middle.len, high.limbs, high.len);
    add_at(product, 0, low);
    add_at(product, half, middle);
    add_at(product, 2 * half, high);
}

struct big big_mul(struct arena *a, struct big x, struct big y)
{
    if (x.len < y.len) {
        struct big swap = x;
        x = y;
        y = swap;
    }
    struct big product = allocate(a, x.len + y.len);
    if (product.limbs == NULL)
        return product;
    if (y.len < KARATSUBA_MIN) {
        for (size_t i = 0; i < y.len; i++)
            product.limbs[i + x.len] = add_product(product.limbs + i, x.limbs, x.len, y.limbs[i]);
    } else {
        struct arena_mark mark = arena_mark(a);
        multiply_parts(a, x, y, product);
        arena_rollback(a, mark);
    }
    return arena_status(a) == OK ? trim(product) : (struct big){NULL, 0};
}

struct big big_mul_word(struct arena *a, struct big x, uint64_t factor, uint64_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < x.len; i++) {
        u128 t = (u128)x.limbs[i] * factor + carry;
        x.limbs[i] = (uint64_t)t;
        carry = (uint64_t)(t >> LIMB_BITS);
    }
    if (carry == 0)
        return trim(x);

    size_t size = x.len * sizeof(*x.limbs);
    if (x.limbs == NULL || !arena_resize(a, x.limbs, size, size + sizeof(*x.limbs))) {
        /* Room for some more digits: this is how numbers are read. */
        struct big bigger = allocate(a, x.len + 1);
        if (bigger.limbs == NULL)
            return bigger;
        if (x.len > 0)
            memcpy(bigger.limbs, x.limbs, size);
        x.limbs = bigger.limbs;
    }
    x.limbs[x.len++] = carry;
    return x;
}

struct big big_shift_left(struct arena *a, struct big x, size_t bits)
{
    size_t words = bits / LIMB_BITS;
    unsigned shift = bits % LIMB_BITS;
    if (x.len == 0)
        return x;
    struct big out = allocate(a, x.len + words + 1);
    if (out.limbs == NULL)
        return out;
    for (size_t i = 0; i < x.len; i++) {
        u128 t = (u128)x.limbs[i] << shift;
        out.limbs[i + words] |= (uint64_t)t;
        out.limbs[i + words + 1] = (uint64_t)(t >> LIMB_BITS);
    }
    return trim(out);
}

struct big big_shift_right(struct arena *a, struct big x, size_t bits)
{
    size_t words = bits / LIMB_BITS;
    unsigned shift = bits % LIMB_BITS;
    if (words >= x.len)
        return big_of(a, 0);
    struct big out = allocate(a, x.len - words);
    if (out.limbs == NULL)
        return out;
    for (size_t i = 0; i < out.len; i++) {
        uint64_t high = i + words + 1 < x.len ? x.limbs[i + words + 1] : 0;
        u128 t = (u128)high << LIMB_BITS | x.limbs[i + words];
        out.limbs[i] = (uint64_t)(t >> shift);
    }
    return trim(out);
}

bool big_has_bits_below(struct big x, size_t bits)
{
    size_t words = bits / LIMB_BITS;
    unsigned shift = bits % LIMB_BITS;
    for (size_t i = 0; i < words && i < x.len; i++)
        if (x.limbs[i] != 0)
            return true;
    return words < x.len && (x.limbs[words] & (((uint64_t)1 << shift) - 1)) != 0;
}

/* ---- division: Knuth, The Art of Computer Programming, vol. 2, 4.3.1, algorithm D ---- */

/* One limb of the quotient: x is one limb longer than y, y's top bit is set, x < y * 2^64. */
static uint64_t divide_step(uint64_t *x, struct big y)
{
    size_t n = y.len;
    uint64_t top = y.limbs[n - 1];
    u128 head = (u128)x[n] << LIMB_BITS | x[n - 1];
    u128 guess = x[n] >= top ? (u128)UINT64_MAX : head / top;
    u128 rest = head - guess * top;

    /* Too large by two at most; the second limb finds nearly every case. */
    while (n > 1 && rest >> LIMB_BITS == 0 &&
           guess * y.limbs[n - 2] > (rest << LIMB_BITS | x[n - 2])) {
        guess--;
        rest += top;
    }
    uint64_t q = (uint64_t)guess;
    uint64_t borrow = 0;
    uint64_t carry = 0;
    for (size_t i = 0; i < n; i++) {
        u128 t = (u128)y.limbs[i] * q + carry;
        carry = (uint64_t)(t >> LIMB_BITS);
        u128 d = (u128)x[i] - (uint64_t)t - borrow;
        x[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> LIMB_BITS) & 1;
    }
    u128 d = (u128)x[n] - carry - borrow;
    x[n] = (uint64_t)d;
    if ((d >> LIMB_BITS & 1) != 0) { /* one too large after all: add y back */
        q--;
        u128 sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += (u128)x[i] + y.limbs[i];
            x[i] = (uint64_t)sum;
            sum >>= LIMB_BITS;
        }
        x[n] += (uint64_t)sum;
    }
    return q;
}

void big_divide(struct arena *a, struct big x, struct big y, struct big *quotient,
                struct big *remainder)
{
    struct big q = {NULL, 0};
    struct big r = {NULL, 0};
    size_t steps = x.len < y.len ? 0 : x.len - y.len + 1;
    if (x.limbs != NULL && y.limbs != NULL) {
        unsigned shift = (unsigned)__builtin_clzll(y.limbs[y.len - 1]);
        struct big divisor = big_shift_left(a, y, shift);
        struct big work = allocate(a, x.len + 2);
        q = allocate(a, steps);
        struct big shifted = big_shift_left(a, x, shift);
        if (arena_status(a) == OK) {
            if (shifted.len > 0)
                memcpy(work.limbs, shifted.limbs, shifted.len * sizeof(*work.limbs));
            for (size_t i = steps; i-- > 0;)
                q.limbs[i] = divide_step(work.limbs + i, divisor);
            q = trim(q);
            r = big_shift_right(a, trim(work), shift);
        }
    }
    if (quotient != NULL)
        *quotient = q;
    if (remainder != NULL)
        *remainder = r;
}

/* ---- powers and decimal text ---- */

struct big big_pow5(struct arena *a, size_t n)
{
    struct big power = big_of(a, 1);
    for (size_t bit = (size_t)1 << 40; bit > 0 && power.limbs != NULL; bit >>= 1) {
        if (power.len > 1 || power.limbs[0] != 1)
            power = big_mul(a, power, power);
        if ((n & bit) != 0 && power.limbs != NULL)
            power = big_mul_word(a, power, 5, 0);
    }
    return power;
}

/*
 * x / 10^19 in place, by multiplication with the inverse (Moeller and Granlund,
 * "Improved division by invariant integers", algorithm 4).  Returns the remainder.
 */
static uint64_t divide_ten19(struct big x)
{
    uint64_t rest = 0;
    for (size_t i = x.len; i-- > 0;) {
        uint64_t low = x.limbs[i];
        u128 q = (u128)TEN19_INVERSE * rest + ((u128)rest << LIMB_BITS | low);
        uint64_t digit = (uint64_t)(q >> LIMB_BITS) + 1;
        uint64_t r = low - digit * TEN19;
        if (r > (uint64_t)q) {
            digit--;
            r += TEN19;
        }
        if (r >= TEN19) {
            digit++;
            r -= TEN19;
        }
        x.limbs[i] = digit;
        rest = r;
    }
    return rest;
}

/* Exactly so many digits, with zeros in front; x is used up. */
static void write_limbs(struct big x, char *out, size_t digits)
{
    uint64_t chunk = 0;
    for (size_t i = 0; i < digits; i++) {
        if (i % TEN19_DIGITS == 0) {
            chunk = divide_ten19(x);
            x = trim(x);
        }
        out[digits - 1 - i] = (char)('0' + chunk % 10);
        chunk /= 10;
    }
}

/* A long number is cut in two at a power of ten, for one long division is cheaper than many short.
 */
static void write_parts(struct arena *a, const struct big_powers *powers, struct big x, char *out,
                        size_t digits)
{
    if (x.len < TEXT_PARTS_MIN || arena_status(a) != OK) {
        write_limbs(x, out, digits);
        return;
    }
    size_t k = powers->len - 1;
    while (k > 0 && (size_t)TEN19_DIGITS << k > digits / 2)
        k--;
    size_t low = (size_t)TEN19_DIGITS << k;
    struct arena_mark mark = arena_mark(a);
    struct big quotient;
    struct big rest;
    big_divide(a, x, powers->ten[k], &quotient, &rest);
    write_parts(a, powers, quotient, out, digits - low);
    write_parts(a, powers, rest, out + digits - low, low);
    arena_rollback(a, mark);
}

bool big_powers_init(struct arena *a, struct big_powers *powers, size_t digits)
{
    powers->len = 0;
    struct big power = big_of(a, TEN19);
    for (size_t n = TEN19_DIGITS; powers->len < BIG_POWERS_MAX; n *= 2) {
        powers->ten[powers->len++] = power;
        if (n >= digits / 2)
            break;
        power = big_mul(a, power, power);
    }
    return arena_status(a) == OK;
}

struct str big_text(struct arena *a, struct big x)
{
    if (x.limbs == NULL)
        return (struct str){NULL, 0};
    size_t digits = big_bits(x) * 30103 / 100000 + 1; /* log10(2) and a little */
    char *text = arena_alloc(a, digits + 1);
    struct big work = allocate(a, x.len);
    struct big_powers powers;
    if (text == NULL || work.limbs == NULL || !big_powers_init(a, &powers, digits))
        return (struct str){NULL, 0};
    if (x.len > 0)
        memcpy(work.limbs, x.limbs, x.len * sizeof(*x.limbs));

    write_parts(a, &powers, work, text, digits);
    if (arena_status(a) != OK)
        return (struct str){NULL, 0};
    text[digits] = '\0';
    while (digits > 1 && *text == '0') {
        text++;
        digits--;
    }
    return str_bytes(text, digits);
}
