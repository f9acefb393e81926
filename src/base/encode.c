#include "base/encode.h"

#include "base/bytes16.h"

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

/* ---- hexadecimal, many digits at a time: a byte of the word each ---- */

#define EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

#define WORDS_ARE_LE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

static void hex_encode(struct str bytes, char *out)
{
    size_t i = 0;
    for (; i + 4 <= bytes.len; i += 4) {
        uint64_t w = load_le32(bytes.ptr + i);
        w = (w | w << 16) & 0x0000ffff0000ffffu;
        w = (w | w << 8) & 0x00ff00ff00ff00ffu; /* a byte in every second one */
        w = (w >> 4 | w << 8) & EACH(15);
        uint64_t letters = ((w + EACH(6)) >> 4) & EACH(1);
        store_le64(out + 2 * i, w + EACH('0') + letters * ('a' - 10 - '0'));
    }
    for (; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        out[2 * i] = hex_digits[c >> 4];
        out[2 * i + 1] = hex_digits[c & 15];
    }
}

/* SIZE_MAX when the length does not fit. */
static size_t base64_len(size_t n, enum base64_form form)
{
    if (n > SIZE_MAX / 4 * 3 - 3)
        return SIZE_MAX;
    bool padded = form == BASE64_STD || form == BASE64_URL_PAD;
    return padded ? (n + 2) / 3 * 4 : n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1);
}

/* Twelve bytes as sixteen digits. */
static inline void base64_encode12(const unsigned char *p, const char *digits, char *out)
{
    typedef uint32_t words4 __attribute__((vector_size(16)));
    words4 w = {load_be32(p) >> 8, load_be32(p + 3) >> 8, load_be32(p + 6) >> 8,
                load_be32(p + 8) & 0xffffff};
    signed16 d = (signed16)(w >> 18 | (w >> 4 & 0x3f00) | (w << 10 & 0x3f0000) |
                            (w << 24 & 0x3f000000)); /* the first digit in the lowest byte */
    signed16 c = d + 'A' + ((d > 25) & ('a' - 'Z' - 1)) - ((d > 51) & ('z' + 1 - '0'));
    c += (d == 62) & (int8_t)(digits[62] - '9' - 1); /* above: as if they followed '9' */
    c += (d == 63) & (int8_t)(digits[63] - '9' - 2);
    memcpy(out, &c, sizeof(c));
}

static void base64_encode(struct str bytes, enum base64_form form, char *out)
{
    const char *digits = form_is_url(form) ? url_digits : std_digits;
    bool padded = form == BASE64_STD || form == BASE64_URL_PAD;
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;

    for (; WORDS_ARE_LE && left >= 12; left -= 12, p += 12, out += 16)
        base64_encode12(p, digits, out);

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

/* The values of sixteen digits; bits of *good go where one is none. */
static inline bytes16 hex_nibbles(bytes16 w, bytes16 *good)
{
    bytes16 digit = w - '0', letter = (w | 0x20) - 'a';
    bytes16 is_digit = (bytes16)(digit <= 9), is_letter = (bytes16)(letter <= 5);
    *good &= is_digit | is_letter;
    return (digit & is_digit) | ((letter + 10) & is_letter);
}

/* Two and two of them as bytes: the first of two is the upper half. */
static inline bytes16 hex_pairs(bytes16 a, bytes16 b)
{
    typedef uint16_t halves8 __attribute__((vector_size(16)));
    halves8 x = (halves8)a, y = (halves8)b;
    x = x << 4 | x >> 8;
    y = y << 4 | y >> 8;
    return __builtin_shufflevector((bytes16)x, (bytes16)y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
                                   22, 24, 26, 28, 30);
}

/* Bit 6: a letter; bit 5: of lower case.  Bit 6 of the answer: an upper-case letter. */
static inline bytes16 hex_upper(bytes16 w)
{
    return w & ~(w + w);
}

/*
 * One pass without a branch; where a text was wrong is looked for afterwards.
 * *upper: whether a digit is an upper-case letter, unless NULL.
 */
static inline enum status hex_decode_case(struct str text, char *out, bool *upper,
                                          struct error *err)
{
    unsigned wrong = 0;
    bytes16 good = ~(bytes16){0}, capital = {0};
    size_t i = 0;
    for (; WORDS_ARE_LE && i + 32 <= text.len; i += 32) {
        bytes16 a = load16(text.ptr + i), b = load16(text.ptr + i + 16);
        capital |= hex_upper(a) | hex_upper(b);
        bytes16 n = hex_pairs(hex_nibbles(a, &good), hex_nibbles(b, &good));
        memcpy(out + i / 2, &n, sizeof(n));
    }
    for (; i < text.len; i += 2) {
        unsigned char a = (unsigned char)text.ptr[i], b = (unsigned char)text.ptr[i + 1];
        unsigned hi = hex_table[a] - 1u, lo = hex_table[b] - 1u;
        wrong |= hi | lo; /* of what is no digit: all bits */
        capital[0] |= (uint8_t)(a & ~(a << 1)) | (uint8_t)(b & ~(b << 1));
        out[i / 2] = (char)(hi << 4 | lo);
    }
    if (upper != NULL)
        *upper = !is_zero16(capital & 0x40);
    if (wrong < 16 && is_zero16(~good))
        return OK;
    size_t at = 0;
    while (hex_digit(text.ptr[at]) >= 0)
        at++;
    error_set(err, "not a hexadecimal digit at offset %zu", at);
    return ERR_INVALID;
}

static enum status hex_decode(struct str text, char *out, struct error *err)
{
    return hex_decode_case(text, out, NULL, err);
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

bool hex_exact(struct str text, void *out, size_t len, bool *upper)
{
    return text.len % 2 == 0 && text.len / 2 == len &&
           hex_decode_case(text, out, upper, NULL) == OK;
}

#define BASE64_DIGIT 64u

/* Value of each digit with BASE64_DIGIT set, 0 for what is none; one row for each alphabet. */
static const uint8_t digit_table[2][256] = {
#define D(value) (BASE64_DIGIT | (value))
#define DIGITS                                                                                     \
    ['A'] = D(0), ['B'] = D(1), ['C'] = D(2), ['D'] = D(3), ['E'] = D(4), ['F'] = D(5),            \
    ['G'] = D(6), ['H'] = D(7), ['I'] = D(8), ['J'] = D(9), ['K'] = D(10), ['L'] = D(11),          \
    ['M'] = D(12), ['N'] = D(13), ['O'] = D(14), ['P'] = D(15), ['Q'] = D(16), ['R'] = D(17),      \
    ['S'] = D(18), ['T'] = D(19), ['U'] = D(20), ['V'] = D(21), ['W'] = D(22), ['X'] = D(23),      \
    ['Y'] = D(24), ['Z'] = D(25), ['a'] = D(26), ['b'] = D(27), ['c'] = D(28), ['d'] = D(29),      \
    ['e'] = D(30), ['f'] = D(31), ['g'] = D(32), ['h'] = D(33), ['i'] = D(34), ['j'] = D(35),      \
    ['k'] = D(36), ['l'] = D(37), ['m'] = D(38), ['n'] = D(39), ['o'] = D(40), ['p'] = D(41),      \
    ['q'] = D(42), ['r'] = D(43), ['s'] = D(44), ['t'] = D(45), ['u'] = D(46), ['v'] = D(47),      \
    ['w'] = D(48), ['x'] = D(49), ['y'] = D(50), ['z'] = D(51), ['0'] = D(52), ['1'] = D(53),      \
    ['2'] = D(54), ['3'] = D(55), ['4'] = D(56), ['5'] = D(57), ['6'] = D(58), ['7'] = D(59),      \
    ['8'] = D(60), ['9'] = D(61)
    {DIGITS, ['+'] = D(62), ['/'] = D(63)},
    {DIGITS, ['-'] = D(62), ['_'] = D(63)},
#undef DIGITS
#undef D
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

/* Sixteen digits, twelve bytes; false if one of them is none. */
static inline bool base64_decode16(const char *text, char last, char last_but_one, char *out)
{
    bytes16 w = load16(text), upper = w - 'A', lower = w - 'a', digit = w - '0';
    bytes16 is_upper = (bytes16)(upper <= 25), is_lower = (bytes16)(lower <= 25);
    bytes16 is_digit = (bytes16)(digit <= 9);
    bytes16 is_62 = (bytes16)(w == (uint8_t)last_but_one), is_63 = (bytes16)(w == (uint8_t)last);
    if (!is_zero16(~(is_upper | is_lower | is_digit | is_62 | is_63)))
        return false;
    bytes16 n = (upper & is_upper) | ((lower + 26) & is_lower) | ((digit + 52) & is_digit) |
                (62 & is_62) | (63 & is_63);
    typedef uint64_t words2 __attribute__((vector_size(16)));
    words2 t = (words2)n; /* the first digit of each group in its lowest byte */
    t = (t & 0x003f003f003f003fu) << 6 | (t >> 8 & 0x003f003f003f003fu);
    t = (t & 0x00000fff00000fffu) << 12 | (t >> 16 & 0x00000fff00000fffu);
    t = (t & 0x0000000000ffffffu) << 24 | t >> 32; /* 48 bits in order */
    store_be64(out, t[0] << 16 | t[1] >> 32);
    store_be32(out + 8, (uint32_t)t[1]);
    return true;
}

static enum status base64_decode(struct str body, enum base64_form form, char *out,
                                 struct error *err)
{
    bool url = form_is_url(form);
    const uint8_t *table = digit_table[url];
    const unsigned char *p = (const unsigned char *)body.ptr;
    size_t i = 0;
    while (WORDS_ARE_LE && i + 16 <= body.len &&
           base64_decode16(body.ptr + i, url ? '_' : '/', url ? '-' : '+', out)) {
        i += 16;
        out += 12;
    }
    for (; i + 4 <= body.len; i += 4) {
        uint32_t a = table[p[i]], b = table[p[i + 1]], c = table[p[i + 2]], d = table[p[i + 3]];
        if ((a & b & c & d & BASE64_DIGIT) == 0)
            break;
        /* The marks add up to the same for any four digits. */
        uint32_t v = (a << 18) + (b << 12) + (c << 6) + d - 0x41041u * BASE64_DIGIT;
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
        acc = acc << 6 | (table[p[i]] ^ BASE64_DIGIT);
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
