#include "base/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool form_is_url(enum base64_form form)
{
    return form == BASE64_URL || form == BASE64_URL_PAD || form == BASE64_URL_ANY;
}

/* Value of each hexadecimal digit plus one, 0 for what is none. */
static const uint8_t hex_table[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int hex_digit(char c)
{
    return hex_table[(unsigned char)c] - 1;
}

/* ---- hexadecimal, eight digits at a time: a byte of the word each ---- */

#define EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

/* The lower-case digits of nibbles; of greater bytes (up to 24), something else. */
static inline uint64_t hex_digits_of(uint64_t nibbles)
{
    uint64_t letters = ((nibbles + EACH(6)) >> 4) & EACH(1);
    return nibbles + EACH('0') + letters * ('a' - 10 - '0');
}

static void hex_encode(struct str bytes, char *out)
{
    size_t i = 0;
    for (; i + 4 <= bytes.len; i += 4) {
        uint64_t w = load_le32(bytes.ptr + i);
        w = (w | w << 16) & 0x0000ffff0000ffffu;
        w = (w | w << 8) & 0x00ff00ff00ff00ffu; /* a byte in every second one */
        store_le64(out + 2 * i, hex_digits_of((w >> 4 | w << 8) & EACH(15)));
    }
    for (; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        out[2 * i] = hex_digits[c >> 4];
        out[2 * i + 1] = hex_digits[c & 15];
    }
}

bool hex_is_lower(struct str digits)
{
    uint64_t letters = 0;
    size_t i = 0;
    for (; i + 8 <= digits.len; i += 8) {
        uint64_t w = load_le64(digits.ptr + i);
        letters |= w & ~(w << 1); /* bit 6: of letters; bit 5: of lower case */
    }
    for (; i < digits.len; i++)
        letters |= (uint64_t)(digits.ptr[i] & ~(digits.ptr[i] << 1) & 0x40);
    return (letters & EACH(0x40)) == 0;
}

/* SIZE_MAX when the length does not fit. */
static size_t base64_len(size_t n, enum base64_form form)
{
    if (n > SIZE_MAX / 4 * 3 - 3)
        return SIZE_MAX;
    bool padded = form == BASE64_STD || form == BASE64_URL_PAD;
    return padded ? (n + 2) / 3 * 4 : n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1);
}

static void base64_encode(struct str bytes, enum base64_form form, char *out)
{
    const char *digits = form_is_url(form) ? url_digits : std_digits;
    bool padded = form == BASE64_STD || form == BASE64_URL_PAD;
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;

    for (; left >= 3; left -= 3, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = digits[v >> 6 & 63];
        *out++ = digits[v & 63];
    }
    if (left == 0)
        return;
    uint32_t v = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
    *out++ = digits[v >> 18];
    *out++ = digits[v >> 12 & 63];
    if (left == 2)
        *out++ = digits[v >> 6 & 63];
    else if (padded)
        *out++ = '=';
    if (padded)
        *out = '=';
}

void hex_write(struct buf *out, struct str bytes)
{
    size_t n;
    if (!size_mul(bytes.len, 2, &n))
        n = SIZE_MAX;
    if (n == 0 || !buf_reserve(out, n))
        return;
    hex_encode(bytes, buf_end(out));
    out->len += n;
}

void base64_write(struct buf *out, struct str bytes, enum base64_form form)
{
    size_t n = base64_len(bytes.len, form);
    if (n == 0 || !buf_reserve(out, n))
        return;
    base64_encode(bytes, form, buf_end(out));
    out->len += n;
}

struct str hex_text(struct arena *a, struct str bytes)
{
    size_t n;
    char *p = size_mul(bytes.len, 2, &n) ? arena_alloc(a, n) : NULL;
    if (p == NULL)
        return (struct str){NULL, 0};
    hex_encode(bytes, p);
    return (struct str){p, n};
}

struct str base64_text(struct arena *a, struct str bytes, enum base64_form form)
{
    size_t n = base64_len(bytes.len, form);
    char *p = arena_alloc(a, n);
    if (p == NULL)
        return (struct str){NULL, 0};
    base64_encode(bytes, form, p);
    return (struct str){p, n};
}

/* One pass without a branch; where a text was wrong is looked for afterwards. */
static enum status hex_decode(struct str text, char *out, struct error *err)
{
    unsigned wrong = 0;
    uint64_t differs = 0;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t w = load_le64(text.ptr + i), letters = (w >> 6) & EACH(1);
        uint64_t n = (w & EACH(15)) + letters * 9;
        /* A digit is what its value is written as, but for the case of letters. */
        differs |= (n & EACH(0xf0)) | (hex_digits_of(n) ^ (w | letters << 5));
        w = (n << 4 | n >> 8) & 0x00ff00ff00ff00ffu;
        w = (w | w >> 8) & 0x0000ffff0000ffffu;
        store_le32(out + i / 2, (uint32_t)(w | w >> 16));
    }
    for (; i < text.len; i += 2) {
        unsigned hi = hex_table[(unsigned char)text.ptr[i]] - 1u;
        unsigned lo = hex_table[(unsigned char)text.ptr[i + 1]] - 1u;
        wrong |= hi | lo; /* of what is no digit: all bits */
        out[i / 2] = (char)(hi << 4 | lo);
    }
    if (wrong < 16 && differs == 0)
        return OK;
    size_t at = 0;
    while (hex_digit(text.ptr[at]) >= 0)
        at++;
    error_set(err, "not a hexadecimal digit at offset %zu", at);
    return ERR_INVALID;
}

static enum status hex_check_length(struct str text, struct error *err)
{
    if (text.len % 2 == 0)
        return OK;
    error_set(err, "odd number of hexadecimal digits (%zu)", text.len);
    return ERR_INVALID;
}

enum status hex_read(struct str text, struct buf *out, struct error *err)
{
    enum status st = hex_check_length(text, err);
    if (st != OK)
        return st;
    if (!buf_reserve(out, text.len / 2)) {
        error_set(err, "hexadecimal text is too long");
        return buf_status(out);
    }
    st = hex_decode(text, buf_end(out), err);
    if (st == OK)
        out->len += text.len / 2;
    return st;
}

enum status hex_bytes(struct arena *a, struct str text, struct str *out, struct error *err)
{
    enum status st = hex_check_length(text, err);
    if (st != OK)
        return st;
    char *p = arena_alloc(a, text.len / 2);
    if (p == NULL) {
        error_set(err, "no room for %zu bytes", text.len / 2);
        return arena_status(a);
    }
    st = hex_decode(text, p, err);
    if (st == OK)
        *out = (struct str){p, text.len / 2};
    return st;
}

/* Value of each digit plus one, 0 for what is none; one row for each alphabet. */
static const uint8_t digit_table[2][256] = {
#define DIGITS                                                                                     \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,        \
    ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, \
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23,            \
    ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,            \
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37,            \
    ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44,            \
    ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51,            \
    ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58,            \
    ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62
    {DIGITS, ['+'] = 63, ['/'] = 64},
    {DIGITS, ['-'] = 63, ['_'] = 64},
#undef DIGITS
};

/* Take the padding off, checked against the form. */
static enum status strip_padding(struct str *text, enum base64_form form, struct error *err)
{
    size_t pad = 0;
    while (pad < 3 && pad < text->len && text->ptr[text->len - 1 - pad] == '=')
        pad++;
    struct str body = {text->ptr, text->len - pad};
    size_t rest = body.len % 4;
    size_t wanted = rest == 0 ? 0 : 4 - rest;

    bool none_allowed = form == BASE64_URL;
    bool required = form == BASE64_STD || form == BASE64_URL_PAD;
    if (rest == 1 || (pad != 0 && (none_allowed || pad != wanted)) || (required && pad != wanted)) {
        error_set(err, "base64 text has the wrong length or padding");
        return ERR_INVALID;
    }
    *text = body;
    return OK;
}

static enum status base64_decode(struct str body, enum base64_form form, char *out,
                                 struct error *err)
{
    const uint8_t *table = digit_table[form_is_url(form)];
    const unsigned char *p = (const unsigned char *)body.ptr;
    size_t i = 0;
    for (; i + 4 <= body.len; i += 4) {
        uint32_t a = table[p[i]] - 1u, b = table[p[i + 1]] - 1u, c = table[p[i + 2]] - 1u,
                 d = table[p[i + 3]] - 1u;
        if ((a | b | c | d) > 63) /* of what is no digit: all bits */
            break;
        uint32_t v = a << 18 | b << 12 | c << 6 | d;
        *out++ = (char)(v >> 16);
        *out++ = (char)(v >> 8);
        *out++ = (char)v;
    }
    uint32_t acc = 0;
    int bits = 0;
    for (; i < body.len; i++) {
        if (table[p[i]] == 0) {
            error_set(err, "not a base64%s digit at offset %zu", form_is_url(form) ? "url" : "", i);
            return ERR_INVALID;
        }
        acc = acc << 6 | (uint32_t)(table[p[i]] - 1);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *out++ = (char)(acc >> bits);
        }
    }
    if ((acc & ((1u << bits) - 1)) != 0) {
        error_set(err, "base64 text has stray bits at its end");
        return ERR_INVALID;
    }
    return OK;
}

enum status base64_read(struct str text, enum base64_form form, struct buf *out, struct error *err)
{
    enum status st = strip_padding(&text, form, err);
    if (st != OK)
        return st;
    size_t n = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    if (!buf_reserve(out, n)) {
        error_set(err, "base64 text is too long");
        return buf_status(out);
    }
    st = base64_decode(text, form, buf_end(out), err);
    if (st == OK)
        out->len += n;
    return st;
}

enum status base64_bytes(struct arena *a, struct str text, enum base64_form form, struct str *out,
                         struct error *err)
{
    enum status st = strip_padding(&text, form, err);
    if (st != OK)
        return st;
    size_t n = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    char *p = arena_alloc(a, n);
    if (p == NULL) {
        error_set(err, "no room for %zu bytes", n);
        return arena_status(a);
    }
    st = base64_decode(text, form, p, err);
    if (st == OK)
        *out = (struct str){p, n};
    return st;
}
