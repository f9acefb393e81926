/*
 * decimal - numbers as text: syntax, exact comparison, hashes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "value/value_internal.h"

#define HASH_NUMBER 0x6e756d626572u
#define HASH_INT 0x696e74u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Step over digits; returns how many there were. */
static size_t skip_digits(const char **p, const char *end)
{
    const char *start = *p;
    while (*p < end && is_digit(**p))
        (*p)++;
    return (size_t)(*p - start);
}

/* The digits of an exponent, stopping short of overflow: anything large is past the limit anyway.
 */
static int64_t read_exponent(const char *p, const char *end)
{
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    int64_t n = 0;
    for (; p < end && n <= NUMBER_EXPONENT_MAX; p++)
        n = n * 10 + (*p - '0');
    return negative ? -n : n;
}

enum status number_check(struct str text)
{
    const char *p = text.ptr;
    const char *end = p + text.len;

    if (p < end && *p == '-')
        p++;
    const char *first = p;
    size_t digits = skip_digits(&p, end);
    if (digits == 0 || (digits > 1 && *first == '0'))
        return ERR_INVALID;
    if (p < end && *p == '.') {
        p++;
        size_t fraction = skip_digits(&p, end);
        if (fraction == 0)
            return ERR_INVALID;
        digits += fraction;
    }
    int64_t exponent = 0;
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *start = ++p;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (skip_digits(&p, end) == 0)
            return ERR_INVALID;
        exponent = read_exponent(start, p);
    }
    if (p != end)
        return ERR_INVALID;
    if (digits > NUMBER_DIGITS_MAX || exponent > NUMBER_EXPONENT_MAX ||
        exponent < -NUMBER_EXPONENT_MAX)
        return ERR_LIMIT;
    return OK;
}

bool number_is_valid(struct str text)
{
    return number_check(text) != ERR_INVALID;
}

struct decimal decimal_of(struct str text)
{
    struct decimal d = {0};
    const char *p = text.ptr;
    const char *end = p + text.len;

    if (p < end && *p == '-') {
        d.negative = true;
        p++;
    }
    const char *start = p;
    while (p < end && (is_digit(*p) || *p == '.'))
        p++;
    if (p < end) /* at the 'e' */
        d.exponent = read_exponent(p + 1, end);
    end = p;

    const char *point = memchr(start, '.', (size_t)(end - start));
    const char *ones = (point == NULL ? end : point) - 1; /* the digit that counts ones */
    const char *first = start;
    while (first < end && (*first == '0' || *first == '.'))
        first++;
    if (first == end)
        return (struct decimal){.negative = d.negative};
    while (end[-1] == '0' || end[-1] == '.')
        end--;

    d.digits = first;
    d.end = end;
    d.count = (size_t)(end - first) - (point != NULL && point > first && point < end);
    d.exponent += ones - first + (first > ones); /* the point itself is no place */
    return d;
}

/* The next significant digit; *p is before the end. */
static inline char next_digit(const char **p)
{
    if (**p == '.')
        (*p)++;
    return *(*p)++;
}

bool decimal_magnitude(const struct decimal *d, uint64_t *out)
{
    if (!decimal_is_integer(d) || d->exponent > 19)
        return false;

    uint64_t n = 0;
    int64_t places = d->count == 0 ? 0 : d->exponent + 1;
    for (const char *p = d->digits; places > 0; places--) {
        unsigned digit = p < d->end ? (unsigned)(next_digit(&p) - '0') : 0;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
            return false;
    }
    *out = n;
    return true;
}

bool decimal_int64(const struct decimal *d, int64_t *out)
{
    uint64_t n;
    if (!decimal_magnitude(d, &n) || n > (uint64_t)INT64_MAX + d->negative)
        return false;
    *out = d->negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b)
{
    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;

    const char *p = a->digits;
    const char *q = b->digits;
    while (p < a->end && q < b->end) {
        char x = next_digit(&p);
        char y = next_digit(&q);
        if (x != y)
            return x < y ? -1 : 1;
    }
    /* The last digit is never zero, so whoever has digits left is larger. */
    return (p < a->end) - (q < b->end);
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    int sign_a = a->count == 0 ? 0 : a->negative ? -1 : 1;
    int sign_b = b->count == 0 ? 0 : b->negative ? -1 : 1;
    if (sign_a != sign_b)
        return sign_a < sign_b ? -1 : 1;
    return sign_a == 0 ? 0 : sign_a * compare_magnitude(a, b);
}

int number_compare(value a, value b)
{
    if (value_is_small(a) && value_is_small(b)) {
        int64_t x = value_small(a);
        int64_t y = value_small(b);
        return (x > y) - (x < y);
    }
    char scratch_a[VALUE_NUMBER_SCRATCH];
    char scratch_b[VALUE_NUMBER_SCRATCH];
    struct decimal x = decimal_of_value(a, scratch_a);
    struct decimal y = decimal_of_value(b, scratch_b);
    return decimal_compare(&x, &y);
}

bool number_is_integer(value v)
{
    if (value_is_small(v))
        return true;
    return value_kind(v) == VALUE_KIND_NUMBER && (value_heap(v)->flags & VALUE_FLAG_INTEGER) != 0;
}

bool number_machine_int(value v, int64_t *out)
{
    if (value_is_small(v)) {
        *out = value_small(v);
        return true;
    }
    if (!number_is_integer(v))
        return false;
    struct str text = value_number_text(v, NULL);
    if (memchr(text.ptr, 'e', text.len) != NULL || memchr(text.ptr, 'E', text.len) != NULL)
        return false;
    struct decimal d = decimal_of(text);
    return decimal_int64(&d, out);
}

uint32_t value_hash_int(int64_t n)
{
    return (uint32_t)hash_bytes(&n, sizeof(n), HASH_INT);
}

uint32_t decimal_hash(const struct decimal *d)
{
    /* What a small integer can hold must hash like one. */
    int64_t n;
    if (decimal_int64(d, &n) && value_small_fits(n))
        return value_hash_int(n);

    int64_t head[2] = {d->negative, d->exponent};
    uint64_t h = hash_bytes(head, sizeof(head), HASH_NUMBER);
    char chunk[256];
    size_t n_chunk = 0;
    for (const char *p = d->digits; p < d->end;) {
        chunk[n_chunk++] = next_digit(&p);
        if (n_chunk == sizeof(chunk) || p == d->end) {
            h = hash_bytes(chunk, n_chunk, h);
            n_chunk = 0;
        }
    }
    return (uint32_t)h;
}

struct str decimal_print_int64(int64_t n, char scratch[VALUE_NUMBER_SCRATCH])
{
    char *end = scratch + VALUE_NUMBER_SCRATCH - 1;
    char *p = end;
    uint64_t m = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

    *end = '\0';
    do {
        *--p = (char)('0' + m % 10);
        m /= 10;
    } while (m != 0);
    if (n < 0)
        *--p = '-';
    return str_bytes(p, (size_t)(end - p));
}

size_t decimal_strtod_text(const struct decimal *d, char out[DECIMAL_STRTOD_MAX])
{
    /* No double, and no midpoint of two, has more than 768 significant digits. */
    enum { DIGITS = 800 };
    size_t n = 0;
    size_t kept = 0;

    if (d->negative)
        out[n++] = '-';
    if (d->count == 0)
        out[n++] = '0';
    for (const char *p = d->digits; p < d->end && kept < DIGITS; kept++)
        out[n++] = next_digit(&p);
    if (kept < d->count) {
        out[n++] = '1'; /* there was something more */
        kept++;
    }
    int64_t exponent = d->count == 0 ? 0 : d->exponent - (int64_t)kept + 1;
    n += (size_t)snprintf(out + n, DECIMAL_STRTOD_MAX - n, "e%lld", (long long)exponent);
    return n;
}

double number_double(value v)
{
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return 0;
    if (value_is_small(v))
        return (double)value_small(v);
    char text[DECIMAL_STRTOD_MAX];
    struct decimal d = decimal_of(value_number_text(v, NULL));
    decimal_strtod_text(&d, text);
    return strtod(text, NULL);
}
