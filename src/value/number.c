/*
 * number - arithmetic on values: small integers first, then big ones, then floats.
 */
#include "value/number.h"

#include "base/buf.h"
#include "value/bigint.h"
#include "value/fp64.h"
#include "value/value_internal.h"

/* For the limbs of one operation; 100,000 digits are some 41 KB. */
#define SCRATCH_MAX ((size_t)16 << 20)

/* 10^NUMBER_DIGITS_MAX has 332,193 bits. */
#define RESULT_BITS_MAX ((size_t)332193)

/* A signed integer of any size. */
struct integer {
    struct big magnitude;
    bool negative;
};

/* ---- results ---- */

static enum status too_large(struct error *err)
{
    error_set(err, "number is larger than %d digits", NUMBER_DIGITS_MAX);
    return ERR_LIMIT;
}

static enum status scratch_failed(const struct arena *scratch, struct error *err)
{
    enum status st = arena_status(scratch);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    error_set(err, "number is too large");
    return st == OK ? ERR_INTERNAL : st;
}

static enum status finish(struct arena *a, value v, value *out, struct error *err)
{
    if (!value_is_defined(v)) {
        enum status st = arena_status(a);
        if (st == ERR_NOMEM)
            return error_nomem(err);
        error_set(err, "number needs more memory than allowed");
        return st == OK ? ERR_INTERNAL : st;
    }
    *out = v;
    return OK;
}

static enum status finish_text(struct arena *a, struct str text, value *out, struct error *err)
{
    enum status st = number_check(text);
    if (st == ERR_LIMIT)
        return too_large(err);
    return finish(a, value_number(a, text), out, err);
}

static enum status finish_integer(struct arena *a, struct arena *scratch, struct integer n,
                                  value *out, struct error *err)
{
    if (big_bits(n.magnitude) > RESULT_BITS_MAX)
        return too_large(err);
    struct str text = big_text(scratch, n.magnitude);
    if (arena_status(scratch) != OK || text.ptr == NULL)
        return scratch_failed(scratch, err);
    if (n.negative && n.magnitude.len > 0)
        text = arena_format(scratch, "-%.*s", STR_ARG(text));
    if (text.ptr == NULL)
        return scratch_failed(scratch, err);
    return finish_text(a, text, out, err);
}

/* Plain digits of an integer: what there is, then zeros. */
static void write_plain(struct buf *out, struct str digits, int64_t exponent)
{
    buf_add(out, digits);
    for (int64_t i = (int64_t)digits.len; i <= exponent; i++)
        buf_add_byte(out, '0');
}

/* The %g style of rego.md 3.2, with the shortest digits. */
static void write_general(struct buf *out, struct str digits, int64_t exponent)
{
    if (exponent < -4 || exponent >= 6) {
        buf_add_byte(out, digits.ptr[0]);
        if (digits.len > 1) {
            buf_add_byte(out, '.');
            buf_add(out, str_from(digits, 1));
        }
        int64_t size = exponent < 0 ? -exponent : exponent;
        buf_add_format(out, "e%c%02lld", exponent < 0 ? '-' : '+', (long long)size);
        return;
    }
    if (exponent < 0) {
        buf_add(out, STR("0."));
        for (int64_t i = exponent + 1; i < 0; i++)
            buf_add_byte(out, '0');
        buf_add(out, digits);
        return;
    }
    size_t whole = (size_t)exponent + 1; /* no integer, so there are more digits than that */
    buf_add(out, str_slice(digits, 0, whole));
    buf_add_byte(out, '.');
    buf_add(out, str_from(digits, whole));
}

static enum status finish_float(struct arena *a, struct arena *scratch, struct fp64 x, value *out,
                                struct error *err)
{
    if (arena_status(scratch) != OK)
        return scratch_failed(scratch, err);
    if (x.mantissa == 0) {
        *out = value_small_int(0);
        return OK;
    }
    char digits[FP64_DIGITS_MAX];
    int64_t exponent = 0;
    size_t n = fp64_digits(scratch, x, digits, &exponent);
    if (arena_status(scratch) != OK)
        return scratch_failed(scratch, err);
    if (exponent > NUMBER_EXPONENT_MAX || exponent < -NUMBER_EXPONENT_MAX)
        return too_large(err);

    CLEANUP(buf_done) struct buf text;
    buf_init(&text, NUMBER_DIGITS_MAX + 64);
    if (x.negative)
        buf_add_byte(&text, '-');
    if (fp64_is_integer(x))
        write_plain(&text, str_bytes(digits, n), exponent);
    else
        write_general(&text, str_bytes(digits, n), exponent);
    if (text.failed == ERR_NOMEM)
        return error_nomem(err);
    if (text.failed != OK)
        return too_large(err);
    return finish_text(a, buf_str(&text), out, err);
}

/* ---- operands ---- */

static enum status check_number(value v, struct error *err)
{
    if (value_kind(v) == VALUE_KIND_NUMBER)
        return OK;
    error_set(err, "must be number but got %s", value_kind_name(value_kind(v)));
    return ERR_INVALID;
}

static enum status check_integer(value v, struct error *err)
{
    enum status st = check_number(v, err);
    if (st != OK || number_is_integer(v))
        return st;
    error_set(err, "must be integer number but got floating-point number");
    return ERR_INVALID;
}

/* The value without its fraction. */
static struct integer integer_of(struct arena *scratch, value v)
{
    if (value_is_small(v)) {
        int64_t n = value_small(v);
        return (struct integer){big_of(scratch, n < 0 ? 0 - (uint64_t)n : (uint64_t)n), n < 0};
    }
    struct decimal d = decimal_of(value_number_text(v, NULL));
    size_t places = d.count == 0 || d.exponent < 0 ? 0 : (size_t)d.exponent + 1;
    return (struct integer){decimal_digits(scratch, &d, places), d.negative && places > 0};
}

static struct fp64 float_of(struct arena *scratch, value v)
{
    char text[VALUE_NUMBER_SCRATCH];
    struct decimal d = decimal_of_value(v, text);
    return fp64_of_decimal(scratch, &d);
}

static bool both_small(value x, value y)
{
    return value_is_small(x) && value_is_small(y);
}

/* ---- the four operations ---- */

static struct integer add_integers(struct arena *scratch, struct integer x, struct integer y)
{
    if (x.negative == y.negative)
        return (struct integer){big_add(scratch, x.magnitude, y.magnitude), x.negative};
    if (big_compare(x.magnitude, y.magnitude) >= 0)
        return (struct integer){big_sub(scratch, x.magnitude, y.magnitude), x.negative};
    return (struct integer){big_sub(scratch, y.magnitude, x.magnitude), y.negative};
}

/* x + y, or x - y. */
static enum status add(struct arena *a, value x, value y, bool negate, value *out,
                       struct error *err)
{
    if (LIKELY(both_small(x, y))) { /* 63 bits each: the sum fits 64 */
        int64_t n = negate ? value_small(x) - value_small(y) : value_small(x) + value_small(y);
        return finish(a, value_int(a, n), out, err);
    }
    enum status st = check_number(x, err);
    if (st == OK)
        st = check_number(y, err);
    if (st != OK)
        return st;

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    if (number_is_integer(x) && number_is_integer(y)) {
        struct integer n = integer_of(&scratch, y);
        n.negative = n.negative != negate;
        return finish_integer(a, &scratch, add_integers(&scratch, integer_of(&scratch, x), n), out,
                              err);
    }
    struct fp64 f = float_of(&scratch, y);
    f.negative = f.negative != negate;
    return finish_float(a, &scratch, fp64_add(float_of(&scratch, x), f), out, err);
}

enum status number_add(struct arena *a, value x, value y, value *out, struct error *err)
{
    return add(a, x, y, false, out, err);
}

enum status number_sub(struct arena *a, value x, value y, value *out, struct error *err)
{
    return add(a, x, y, true, out, err);
}

enum status number_mul(struct arena *a, value x, value y, value *out, struct error *err)
{
    int64_t n;
    if (LIKELY(both_small(x, y)) && !__builtin_mul_overflow(value_small(x), value_small(y), &n))
        return finish(a, value_int(a, n), out, err);
    enum status st = check_number(x, err);
    if (st == OK)
        st = check_number(y, err);
    if (st != OK)
        return st;

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    if (number_is_integer(x) && number_is_integer(y)) {
        struct integer p = integer_of(&scratch, x);
        struct integer q = integer_of(&scratch, y);
        /* Refused before the work is done. */
        if (big_bits(p.magnitude) + big_bits(q.magnitude) > RESULT_BITS_MAX + 1)
            return too_large(err);
        struct integer product = {big_mul(&scratch, p.magnitude, q.magnitude),
                                  p.negative != q.negative};
        return finish_integer(a, &scratch, product, out, err);
    }
    return finish_float(a, &scratch, fp64_mul(float_of(&scratch, x), float_of(&scratch, y)), out,
                        err);
}

static bool is_zero(value v)
{
    char text[VALUE_NUMBER_SCRATCH];
    return decimal_of_value(v, text).count == 0;
}

enum status number_div(struct arena *a, value x, value y, value *out, struct error *err)
{
    /* Exact quotients of small integers are what floats would give, too. */
    if (both_small(x, y) && value_small(y) != 0 && value_small(x) % value_small(y) == 0)
        return finish(a, value_int(a, value_small(x) / value_small(y)), out, err);
    enum status st = check_number(x, err);
    if (st == OK)
        st = check_number(y, err);
    if (st != OK)
        return st;
    if (is_zero(y)) {
        error_set(err, "divide by zero");
        return ERR_INVALID;
    }

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    struct fp64 p = float_of(&scratch, x);
    struct fp64 q = float_of(&scratch, y);
    if (arena_status(&scratch) != OK)
        return scratch_failed(&scratch, err);
    return finish_float(a, &scratch, fp64_div(p, q), out, err);
}

enum status number_rem(struct arena *a, value x, value y, value *out, struct error *err)
{
    enum status st = check_number(x, err);
    if (st == OK)
        st = check_number(y, err);
    if (st != OK)
        return st;
    if (!number_is_integer(x) || !number_is_integer(y)) {
        error_set(err, "modulo on floating-point number");
        return ERR_INVALID;
    }
    if (is_zero(y)) {
        error_set(err, "modulo by zero");
        return ERR_INVALID;
    }
    if (both_small(x, y)) {
        *out = value_small_int(value_small(x) % value_small(y));
        return OK;
    }

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    struct integer p = integer_of(&scratch, x);
    struct integer rest = {.negative = p.negative};
    big_divide(&scratch, p.magnitude, integer_of(&scratch, y).magnitude, NULL, &rest.magnitude);
    return finish_integer(a, &scratch, rest, out, err);
}

enum status number_abs(struct arena *a, value x, value *out, struct error *err)
{
    enum status st = check_number(x, err);
    if (st != OK)
        return st;
    bool negative = number_compare(x, value_small_int(0)) < 0;
    return add(a, value_small_int(0), x, negative, out, err);
}

/* ---- rounding ---- */

/* A float between -2^63 and 2^63 that is no integer. */
static int64_t round_float(struct fp64 x, enum number_rounding how)
{
    /* mantissa = whole . fraction, with -exponent bits behind the point */
    unsigned bits = x.exponent <= -64 ? 64 : (unsigned)-x.exponent;
    uint64_t whole = bits == 64 ? 0 : x.mantissa >> bits;
    bool half = x.exponent >= -64 && (x.mantissa >> (bits - 1) & 1) != 0;

    bool up = false;
    if (how == NUMBER_ROUND) /* half away from zero */
        up = half;
    else if (how == NUMBER_CEIL)
        up = !x.negative;
    else if (how == NUMBER_FLOOR)
        up = x.negative;
    whole += up;
    return x.negative ? (int64_t)(0 - whole) : (int64_t)whole;
}

enum status number_round(struct arena *a, value x, enum number_rounding how, value *out,
                         struct error *err)
{
    enum status st = check_number(x, err);
    if (st != OK)
        return st;
    if (number_is_integer(x))
        return number_add(a, x, value_small_int(0), out, err);

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    struct fp64 f = float_of(&scratch, x);
    if (arena_status(&scratch) == OK && f.exponent > 0) {
        /* All digits of what the mantissa stands for: 2^128 - 0.5 is 2^128. */
        if ((uint64_t)f.exponent > RESULT_BITS_MAX)
            return too_large(err);
        struct integer n = {
            big_shift_left(&scratch, big_of(&scratch, f.mantissa), (size_t)f.exponent), f.negative};
        return finish_integer(a, &scratch, n, out, err);
    }
    if (fp64_is_integer(f) || arena_status(&scratch) != OK)
        return finish_float(a, &scratch, f, out, err);
    return finish(a, value_int(a, round_float(f, how)), out, err);
}

/* ---- bits ---- */

/* Two's complement of `len` limbs, enough for the sign bit. */
static uint64_t *to_twos_complement(struct arena *scratch, struct integer n, size_t len)
{
    uint64_t *limbs = arena_new_array(scratch, uint64_t, len);
    if (limbs == NULL || n.magnitude.limbs == NULL)
        return NULL;
    if (n.magnitude.len > 0)
        memcpy(limbs, n.magnitude.limbs, n.magnitude.len * sizeof(*limbs));
    bool carry = n.negative;
    for (size_t i = 0; n.negative && i < len; i++) {
        limbs[i] = ~limbs[i] + carry;
        carry = carry && limbs[i] == 0;
    }
    return limbs;
}

static struct integer of_twos_complement(uint64_t *limbs, size_t len)
{
    struct integer n = {{limbs, len}, limbs[len - 1] >> 63 != 0};
    bool carry = n.negative;
    for (size_t i = 0; n.negative && i < len; i++) {
        limbs[i] = ~limbs[i] + carry;
        carry = carry && limbs[i] == 0;
    }
    while (n.magnitude.len > 0 && limbs[n.magnitude.len - 1] == 0)
        n.magnitude.len--;
    return n;
}

static uint64_t bit_operation(enum number_bits op, uint64_t x, uint64_t y)
{
    switch (op) {
    case NUMBER_AND:
        return x & y;
    case NUMBER_OR:
        return x | y;
    case NUMBER_XOR:
        return x ^ y;
    default:
        return x & ~y;
    }
}

enum status number_bitop(struct arena *a, enum number_bits op, value x, value y, value *out,
                         struct error *err)
{
    if (both_small(x, y)) {
        uint64_t n = bit_operation(op, (uint64_t)value_small(x), (uint64_t)value_small(y));
        *out = value_small_int((int64_t)n);
        return OK;
    }
    enum status st = check_integer(x, err);
    if (st == OK)
        st = check_integer(y, err);
    if (st != OK)
        return st;

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    struct integer p = integer_of(&scratch, x);
    struct integer q = integer_of(&scratch, y);
    size_t len = (p.magnitude.len > q.magnitude.len ? p.magnitude.len : q.magnitude.len) + 1;
    uint64_t *u = to_twos_complement(&scratch, p, len);
    uint64_t *v = to_twos_complement(&scratch, q, len);
    if (u == NULL || v == NULL)
        return scratch_failed(&scratch, err);
    for (size_t i = 0; i < len; i++)
        u[i] = bit_operation(op, u[i], v[i]);
    return finish_integer(a, &scratch, of_twos_complement(u, len), out, err);
}

enum status number_not(struct arena *a, value x, value *out, struct error *err)
{
    return number_bitop(a, NUMBER_XOR, x, value_small_int(-1), out, err);
}

/* Toward minus infinity: -5 >> 1 is -3. */
static struct integer shift_right(struct arena *scratch, struct integer n, size_t bits)
{
    bool lost = big_has_bits_below(n.magnitude, bits);
    n.magnitude = big_shift_right(scratch, n.magnitude, bits);
    if (n.negative && lost)
        n.magnitude = big_add(scratch, n.magnitude, big_of(scratch, 1));
    return n;
}

enum status number_shift(struct arena *a, value x, value count, bool left, value *out,
                         struct error *err)
{
    enum status st = check_integer(x, err);
    if (st == OK)
        st = check_integer(count, err);
    if (st != OK)
        return st;
    if (number_compare(count, value_small_int(0)) < 0) {
        error_set(err, "must be an unsigned integer number but got a negative integer");
        return ERR_INVALID;
    }
    uint64_t bits;
    if (!value_get_uint64(count, &bits) || bits > NUMBER_SHIFT_MAX) {
        if (left) {
            error_set(err, "shift count is larger than %d", NUMBER_SHIFT_MAX);
            return ERR_LIMIT;
        }
        bits = NUMBER_SHIFT_MAX; /* no number has so many bits */
    }

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    struct integer n = integer_of(&scratch, x);
    if (left)
        n.magnitude = big_shift_left(&scratch, n.magnitude, (size_t)bits);
    else
        n = shift_right(&scratch, n, (size_t)bits);
    return finish_integer(a, &scratch, n, out, err);
}

/* ---- text ---- */

/* `shift` bits a digit: 1, 3 or 4. */
static struct str power_of_two_text(struct arena *scratch, struct integer n, unsigned shift)
{
    size_t digits = (big_bits(n.magnitude) + shift - 1) / shift;
    if (digits == 0)
        digits = 1;
    char *text = arena_alloc(scratch, digits + 1);
    if (text == NULL)
        return (struct str){NULL, 0};
    char *p = text;
    if (n.negative)
        *p++ = '-';
    for (size_t i = digits; i-- > 0;) {
        unsigned digit = 0;
        for (unsigned bit = shift; bit-- > 0;)
            digit = digit << 1 | big_bit(n.magnitude, i * shift + bit);
        *p++ = "0123456789abcdef"[digit];
    }
    return str_bytes(text, (size_t)(p - text));
}

enum status number_format_int(struct arena *a, value x, int base, struct str *out,
                              struct error *err)
{
    enum status st = check_number(x, err);
    if (st != OK)
        return st;
    if (base != 2 && base != 8 && base != 10 && base != 16) {
        error_set(err, "must be one of {2, 8, 10, 16}");
        return ERR_INVALID;
    }

    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    struct integer n = integer_of(&scratch, x);
    if (big_bits(n.magnitude) > RESULT_BITS_MAX)
        return too_large(err);
    struct str text;
    if (base == 10) {
        text = big_text(&scratch, n.magnitude);
        if (text.ptr != NULL && n.negative)
            text = arena_format(&scratch, "-%.*s", STR_ARG(text));
    } else {
        text = power_of_two_text(&scratch, n, base == 2 ? 1 : base == 8 ? 3 : 4);
    }
    if (arena_status(&scratch) != OK)
        return scratch_failed(&scratch, err);

    struct str copy = arena_str(a, text);
    if (copy.ptr == NULL)
        return finish(a, VALUE_UNDEFINED, NULL, err);
    *out = copy;
    return OK;
}
