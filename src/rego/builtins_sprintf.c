/*
 * sprintf: rego.md 6.5, which is Go's package fmt for four types of argument.
 *
 * A format is a sequence of literal text and directives; each directive sets
 * the flags below, then prints one argument.  Faults never fail the call, they
 * print as "%!verb(...)".
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/text.h"
#include "rego/unicode.h"
#include "value/number.h"

/* Go's own cap on width, precision and argument index. */
#define SPRINTF_NUMBER_MAX 1000000

struct format {
    struct rego_call *call;
    struct buf *out;
    struct str text;
    size_t at;
    const value *args;
    size_t arg_count;
    size_t next; /* index of the argument for the next verb */

    /* of the present directive */
    bool sharp, zero, plus, minus, space;
    bool sharp_v, plus_v; /* # and + of the verb v, which mean something else there */
    bool has_width, has_precision;
    int width, precision;
    bool good_index; /* every [n] so far was in range */

    bool reordered; /* some [n] was used: no complaint about left-over arguments */
    bool fatal;     /* the limit on work is reached */
};

enum arg_type { ARG_INT, ARG_BIG, ARG_FLOAT, ARG_STRING };

struct arg {
    enum arg_type type;
    int64_t n;
    double f;
    value v; /* the original: of a big integer */
    struct str s;
};

static const char *const arg_type_names[] = {"int64", "*big.Int", "float64", "string"};

static void clear_flags(struct format *f)
{
    f->sharp = f->zero = f->plus = f->minus = f->space = false;
    f->sharp_v = f->plus_v = false;
    f->has_width = f->has_precision = false;
    f->width = f->precision = 0;
}

/* ---- arguments ---- */

static bool is_plain_integer(struct str text)
{
    size_t i = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    for (; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return true;
}

static void classify_number(struct format *f, value v, struct arg *arg)
{
    if (number_machine_int(v, &arg->n)) {
        arg->type = ARG_INT;
        return;
    }
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str text = value_number_text(v, scratch);
    arg->s = text.ptr == scratch ? arena_str(rego_call_arena(f->call), text) : text;
    if (str_find(text, '.', 0) < text.len) {
        arg->f = strtod(text.ptr, NULL); /* number texts end with a NUL */
        arg->type = isinf(arg->f) ? ARG_STRING : ARG_FLOAT;
    } else {
        arg->type = is_plain_integer(text) ? ARG_BIG : ARG_STRING;
    }
}

static void classify(struct format *f, value v, struct arg *arg)
{
    *arg = (struct arg){.type = ARG_STRING, .v = v};
    if (value_kind(v) == VALUE_KIND_NUMBER) {
        classify_number(f, v, arg);
    } else if (value_is_string(v)) {
        arg->s = value_str(v);
    } else {
        CLEANUP(buf_done) struct buf b;
        output_init(f->call, &b);
        rego_text_write(&b, v);
        if (b.failed != OK && f->out->failed == OK)
            f->out->failed = b.failed;
        arg->s = arena_str(rego_call_arena(f->call), buf_str(&b));
    }
    if (arg->s.ptr == NULL)
        arg->s = STR_EMPTY; /* the arena remembers the failure */
    if (!charge_bytes(f->call, arg->s.len))
        f->fatal = true;
}

/* ---- padding ---- */

static void add_repeated(struct format *f, char c, int n)
{
    if (n <= 0 || f->fatal)
        return;
    if (!charge_bytes(f->call, (size_t)n)) {
        f->fatal = true;
        return;
    }
    if (buf_reserve(f->out, (size_t)n)) {
        memset(f->out->ptr + f->out->len, c, (size_t)n);
        f->out->len += (size_t)n;
    }
}

static void add_padding(struct format *f, int n)
{
    add_repeated(f, f->zero && !f->minus ? '0' : ' ', n);
}

static void add_padded(struct format *f, struct str s)
{
    int runes = (int)rune_count(s); /* texts are shorter than the output limit */
    int missing = f->has_width ? f->width - runes : 0;
    if (!f->minus)
        add_padding(f, missing);
    buf_add(f->out, s);
    if (f->minus)
        add_padding(f, missing);
}

static void add_padded_with_spaces(struct format *f, struct str s)
{
    bool zero = f->zero;
    f->zero = false;
    add_padded(f, s);
    f->zero = zero;
}

/* A scratch buffer's text, padded; its failure becomes that of the output. */
static void add_padded_buf(struct format *f, const struct buf *b, bool spaces)
{
    if (b->failed != OK && f->out->failed == OK)
        f->out->failed = b->failed;
    if (spaces)
        add_padded_with_spaces(f, buf_str(b));
    else
        add_padded(f, buf_str(b));
}

/* ---- integers ---- */

/*
 * Digits without sign of an integer of any size, as lower-case text.
 * UINT64 magnitudes have at most 64 binary digits.
 */
static struct str magnitude(struct format *f, const struct arg *arg, int base, char scratch[72])
{
    if (arg->type == ARG_BIG) {
        struct str text = STR_EMPTY;
        struct error err = ERROR_INIT;
        enum status st = number_format_int(rego_call_arena(f->call), arg->v, base, &text, &err);
        if (st != OK && f->out->failed == OK)
            f->out->failed = st;
        return st == OK && text.len > 0 && text.ptr[0] == '-' ? str_from(text, 1) : text;
    }
    uint64_t u = arg->n < 0 ? -(uint64_t)arg->n : (uint64_t)arg->n;
    size_t at = 72;
    do {
        scratch[--at] = "0123456789abcdef"[u % (unsigned)base];
        u /= (unsigned)base;
    } while (u != 0);
    return str_bytes(scratch + at, 72 - at);
}

static const char *base_prefix(const struct format *f, int base, uint32_t verb, bool leading_zero)
{
    if (verb == 'O')
        return "0o";
    if (!f->sharp)
        return "";
    switch (base) {
    case 2:
        return "0b";
    case 8:
        return leading_zero ? "" : "0";
    case 16:
        return verb == 'X' ? "0X" : "0x";
    default:
        return "";
    }
}

static void write_integer(struct format *f, const struct arg *arg, int base, uint32_t verb)
{
    char scratch[72];
    struct str digits = magnitude(f, arg, base, scratch);
    bool negative = arg->type == ARG_BIG ? arg->s.ptr[0] == '-' : arg->n < 0;
    bool is_zero = str_is(digits, "0");
    if (f->has_precision && f->precision == 0 && is_zero) {
        if (f->has_width)
            add_repeated(f, ' ', f->width);
        return;
    }
    const char *sign = negative                                         ? "-"
                       : f->plus || (f->plus_v && arg->type == ARG_BIG) ? "+"
                       : f->space                                       ? " "
                                                                        : "";

    int zeros = 0;
    if (f->has_precision)
        zeros = f->precision - (int)digits.len;
    else if (f->zero && !f->minus && f->has_width)
        zeros = f->width - (int)digits.len - (sign[0] != '\0');
    bool padded = zeros > 0;
    const char *prefix = base_prefix(f, base, verb, arg->type != ARG_BIG && (is_zero || padded));
    if (arg->type == ARG_BIG && padded && !f->has_precision)
        zeros -= (int)strlen(prefix); /* math/big counts the prefix, fmt does not */

    CLEANUP(buf_done) struct buf b;
    output_init(f->call, &b);
    buf_add_cstr(&b, sign);
    buf_add_cstr(&b, prefix);
    if (zeros > 0 && !charge_bytes(f->call, (size_t)zeros))
        f->fatal = true;
    for (int i = 0; i < zeros && !f->fatal; i++)
        buf_add_byte(&b, '0');
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        buf_add_byte(&b, verb == 'X' && c >= 'a' ? (char)(c - 32) : c);
    }
    add_padded_buf(f, &b, true);
}

static void write_unicode(struct format *f, int64_t n)
{
    CLEANUP(buf_done) struct buf b;
    output_init(f->call, &b);
    int digits = f->has_precision && f->precision > 4 ? f->precision : 4;
    buf_add_format(&b, "U+%0*llX", digits, (unsigned long long)n);
    if (f->sharp && n >= 0 && n <= 0x10ffff && unicode_is_printable((uint32_t)n)) {
        char text[4];
        buf_add(&b, STR(" '"));
        buf_add(&b, str_bytes(text, utf8_encode((uint32_t)n, text)));
        buf_add_byte(&b, '\'');
    }
    add_padded_buf(f, &b, true);
}

static void write_character(struct format *f, int64_t n, bool quoted)
{
    char text[4];
    uint32_t rune = n < 0 || n > 0x10ffff ? 0xfffd : (uint32_t)n;
    size_t len = utf8_encode(rune, text);
    if (len == 0) /* a surrogate */
        len = utf8_encode(rune = 0xfffd, text);

    CLEANUP(buf_done) struct buf b;
    output_init(f->call, &b);
    if (quoted) {
        buf_add_byte(&b, '\'');
        unicode_quote_rune(&b, rune, '\'');
        buf_add_byte(&b, '\'');
    } else {
        buf_add(&b, str_bytes(text, len));
    }
    add_padded_buf(f, &b, false);
}

/* ---- floating point ---- */

/* The fewest significant digits that read back to v, and its decimal exponent. */
static int shortest_digits(double v, int *exponent)
{
    char text[40];
    int digits = 0;
    do {
        digits++;
        snprintf(text, sizeof(text), "%.*e", digits - 1, v);
    } while (digits < 17 && strtod(text, NULL) != v);
    *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    return digits;
}

/* %g and %v: exponent form below 1e-4 and from `threshold` digits on. */
static void add_general(struct buf *b, const struct format *f, double v)
{
    if (f->has_precision) {
        buf_add_format(b, "%.*g", f->precision == 0 ? 1 : f->precision, v);
        return;
    }
    int exponent = 0;
    int digits = shortest_digits(v, &exponent);
    if (exponent < -4 || exponent >= 6)
        buf_add_format(b, "%.*e", digits - 1, v);
    else
        buf_add_format(b, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, v);
}

/* %b: the 53-bit mantissa as an integer, and its binary exponent. */
static void add_mantissa(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t mantissa = bits & 0xfffffffffffffu;
    if (exponent == 0)
        exponent = 1;
    else
        mantissa |= 1ull << 52;
    buf_add_format(b, "%s%llup%+d", bits >> 63 != 0 ? "-" : "", (unsigned long long)mantissa,
                   exponent - 1075);
}

/* %x: as printf's %a, but normalised for subnormals and with two digits of exponent. */
static void add_hex_float(struct buf *b, const struct format *f, double v)
{
    int exponent = 0;
    double m = frexp(v, &exponent) * 2; /* [1, 2), or 0 */
    exponent = v == 0 ? 0 : exponent - 1;
    size_t from = b->len;
    if (f->has_precision)
        buf_add_format(b, "%.*a", f->precision, m);
    else
        buf_add_format(b, "%a", m);
    buf_add_byte(b, '\0');
    if (b->failed != OK)
        return;
    char *digit = strchr(b->ptr + from, 'x') + 1;
    char *p = strchr(digit, 'p');
    exponent += (int)strtol(p + 1, NULL, 10);
    if (*digit == '2') { /* rounded up to the next power of two */
        *digit = '1';
        exponent++;
    }
    b->len = (size_t)(p - b->ptr);
    buf_add_format(b, "p%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

static void add_float(struct buf *b, const struct format *f, double v, uint32_t verb)
{
    int precision = f->has_precision ? f->precision : 6;
    switch (verb) {
    case 'e':
    case 'E':
        buf_add_format(b, "%.*e", precision, v);
        break;
    case 'f':
    case 'F':
        buf_add_format(b, "%.*f", precision, v);
        break;
    case 'b':
        add_mantissa(b, v);
        break;
    case 'x':
    case 'X':
        add_hex_float(b, f, v);
        break;
    default:
        add_general(b, f, v);
        break;
    }
    if (verb == 'E' || verb == 'G' || verb == 'X')
        for (size_t i = 0; i < b->len; i++)
            if (b->ptr[i] >= 'a' && b->ptr[i] <= 'z')
                b->ptr[i] = (char)(b->ptr[i] - 32);
}

/* The flag #: always a point, and the zeros that %g would cut. */
static void restore_zeros(struct buf *out, const struct format *f, struct str num, uint32_t verb)
{
    bool hex = verb == 'x' || verb == 'X';
    int digits = 0;
    if (hex || verb == 'v' || verb == 'g' || verb == 'G')
        digits = f->has_precision ? f->precision : 6;
    size_t tail = 0;
    bool point = false;
    bool significant = false;
    for (; tail < num.len; tail++) {
        char c = num.ptr[tail];
        if (c == 'p' || c == 'P' || (!hex && (c == 'e' || c == 'E')))
            break;
        if (c == '.') {
            point = true;
        } else if (c != '-' && c != '+' && c != ' ') {
            significant = significant || c != '0';
            digits -= significant;
        }
    }
    buf_add(out, str_slice(num, 0, tail));
    if (!point) {
        if (tail == 1 && num.ptr[0] == '0')
            digits--;
        buf_add_byte(out, '.');
    }
    for (; digits > 0 && out->failed == OK; digits--)
        buf_add_byte(out, '0');
    buf_add(out, str_from(num, tail));
}

static void write_float(struct format *f, double v, uint32_t verb)
{
    if (f->has_precision && !charge_bytes(f->call, (size_t)f->precision)) {
        f->fatal = true;
        return;
    }
    CLEANUP(buf_done) struct buf b;
    output_init(f->call, &b);
    add_float(&b, f, fabs(v), verb);
    struct str num = buf_str(&b);
    CLEANUP(buf_done) struct buf sharp;
    output_init(f->call, &sharp);
    if (f->sharp && verb != 'b') {
        restore_zeros(&sharp, f, num, verb);
        num = buf_str(&sharp);
    }

    const char *sign = signbit(v) ? "-" : f->plus ? "+" : f->space ? " " : "";
    if (f->zero && !f->minus && f->has_width && sign[0] != '\0') {
        buf_add_cstr(f->out, sign); /* the sign before the zeros */
        f->width--;
        sign = "";
    }
    CLEANUP(buf_done) struct buf all;
    output_init(f->call, &all);
    buf_add_cstr(&all, sign);
    buf_add(&all, num);
    if (b.failed != OK || sharp.failed != OK)
        all.failed = b.failed != OK ? b.failed : sharp.failed;
    add_padded_buf(f, &all, false);
}

/* ---- strings ---- */

static struct str truncated(const struct format *f, struct str s)
{
    if (!f->has_precision)
        return s;
    size_t at = 0;
    for (int n = f->precision; n > 0 && at < s.len; n--) {
        uint32_t rune;
        at += rune_at(s, at, &rune);
    }
    return str_slice(s, 0, at);
}

/* Go's strconv.CanBackquote(). */
static bool can_backquote(struct str s)
{
    for (size_t at = 0; at < s.len;) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, at), &rune);
        if (n == 0 || rune == 0xfeff || (rune < 0x20 && rune != '\t') || rune == '`' ||
            rune == 0x7f)
            return false;
        at += n;
    }
    return true;
}

/* %+q: as unicode_quote(), ASCII only. */
static void quote_ascii(struct buf *b, struct str s)
{
    buf_add_byte(b, '"');
    for (size_t at = 0; at < s.len;) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, at), &rune);
        if (n == 0)
            buf_add_format(b, "\\x%02x", (unsigned char)s.ptr[at]);
        else if (rune < 0x80)
            unicode_quote_rune(b, rune, '"');
        else
            buf_add_format(b, rune < 0x10000 ? "\\u%04x" : "\\U%08x", rune);
        at += n == 0 ? 1 : n;
    }
    buf_add_byte(b, '"');
}

static void write_quoted(struct format *f, struct str s)
{
    s = truncated(f, s);
    CLEANUP(buf_done) struct buf b;
    output_init(f->call, &b);
    if (f->sharp && can_backquote(s)) {
        buf_add_byte(&b, '`');
        buf_add(&b, s);
        buf_add_byte(&b, '`');
    } else if (f->plus) {
        quote_ascii(&b, s);
    } else {
        unicode_quote(&b, s);
    }
    add_padded_buf(f, &b, false);
}

static void write_hex(struct format *f, struct str s, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t len = f->has_precision && (size_t)f->precision < s.len ? (size_t)f->precision : s.len;
    CLEANUP(buf_done) struct buf b;
    output_init(f->call, &b);
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && f->space)
            buf_add_byte(&b, ' ');
        if (f->sharp && (i == 0 || f->space))
            buf_add_cstr(&b, upper ? "0X" : "0x");
        buf_add_byte(&b, digits[(unsigned char)s.ptr[i] >> 4]);
        buf_add_byte(&b, digits[(unsigned char)s.ptr[i] & 15]);
    }
    add_padded_buf(f, &b, false);
}

/* ---- verbs ---- */

static bool print_integer(struct format *f, const struct arg *arg, uint32_t verb)
{
    switch (verb) {
    case 's':
        if (arg->type != ARG_BIG)
            return false;
        write_integer(f, arg, 10, verb);
        return true;
    case 'd':
    case 'v':
        write_integer(f, arg, 10, verb);
        return true;
    case 'b':
        write_integer(f, arg, 2, verb);
        return true;
    case 'o':
    case 'O':
        write_integer(f, arg, 8, verb);
        return true;
    case 'x':
    case 'X':
        write_integer(f, arg, 16, verb);
        return true;
    case 'c':
    case 'q':
    case 'U':
        if (arg->type == ARG_BIG)
            return false;
        if (verb == 'U')
            write_unicode(f, arg->n);
        else
            write_character(f, arg->n, verb == 'q');
        return true;
    default:
        return false;
    }
}

static bool print_string(struct format *f, struct str s, uint32_t verb)
{
    switch (verb) {
    case 'v':
        if (f->sharp_v) {
            write_quoted(f, s);
            return true;
        }
        __attribute__((fallthrough));
    case 's':
        add_padded(f, truncated(f, s));
        return true;
    case 'q':
        write_quoted(f, s);
        return true;
    case 'x':
    case 'X':
        write_hex(f, s, verb == 'X');
        return true;
    default:
        return false;
    }
}

static bool print_typed(struct format *f, const struct arg *arg, uint32_t verb)
{
    switch (arg->type) {
    case ARG_INT:
    case ARG_BIG:
        return print_integer(f, arg, verb);
    case ARG_FLOAT:
        if (verb > 'z' || strchr("vbgGxXfFeE", (int)verb) == NULL)
            return false;
        write_float(f, arg->f, verb);
        return true;
    default:
        return print_string(f, arg->s, verb);
    }
}

static void add_rune(struct format *f, uint32_t rune)
{
    char text[4];
    buf_add(f->out, str_bytes(text, utf8_encode(rune, text)));
}

static void print_argument(struct format *f, value v, uint32_t verb)
{
    struct arg arg;
    classify(f, v, &arg);
    if (verb == 'T') {
        add_padded(f, truncated(f, str_of(arg_type_names[arg.type])));
        return;
    }
    if (verb == 'v' || verb == 'w') { /* %w is bad, but its flags are those of %v */
        f->sharp_v = f->sharp;
        f->plus_v = f->plus;
        f->sharp = f->plus = false;
    }
    if (print_typed(f, &arg, verb))
        return;

    buf_add(f->out, STR("%!"));
    add_rune(f, verb);
    buf_add_byte(f->out, '(');
    /* *big.Int reports itself, under the name of the value type */
    buf_add_cstr(f->out, arg.type == ARG_BIG ? "big.Int" : arg_type_names[arg.type]);
    buf_add_byte(f->out, '=');
    if (arg.type == ARG_BIG)
        clear_flags(f);
    print_typed(f, &arg, 'v');
    buf_add_byte(f->out, ')');
}

/* ---- directives ---- */

static bool peek(const struct format *f, char c)
{
    return f->at < f->text.len && f->text.ptr[f->at] == c;
}

static void read_flags(struct format *f)
{
    clear_flags(f);
    for (; f->at < f->text.len; f->at++) {
        switch (f->text.ptr[f->at]) {
        case '#':
            f->sharp = true;
            break;
        case '0':
            f->zero = true;
            break;
        case '+':
            f->plus = true;
            break;
        case '-':
            f->minus = true;
            break;
        case ' ':
            f->space = true;
            break;
        default:
            return;
        }
    }
}

/* Decimal digits before `end`; an absurdly long number swallows the rest of the text. */
static bool read_number(struct format *f, size_t end, int *out)
{
    *out = 0;
    bool any = false;
    for (; f->at < end && f->text.ptr[f->at] >= '0' && f->text.ptr[f->at] <= '9'; f->at++) {
        if (*out > SPRINTF_NUMBER_MAX) {
            f->at = end;
            *out = 0;
            return false;
        }
        *out = *out * 10 + (f->text.ptr[f->at] - '0');
        any = true;
    }
    return any;
}

/* "[n]": selects the next argument.  True when one was read. */
static bool read_index(struct format *f)
{
    if (!peek(f, '['))
        return false;
    f->reordered = true;
    size_t close = str_find(f->text, ']', f->at);
    if (f->text.len - f->at < 3 || close >= f->text.len) {
        f->at++;
        f->good_index = false;
        return false;
    }
    f->at++;
    int index = 0;
    bool ok = read_number(f, close, &index) && f->at == close;
    f->at = close + 1;
    if (ok && index >= 1 && (size_t)index <= f->arg_count) {
        f->next = (size_t)index - 1;
        return true;
    }
    f->good_index = false;
    return ok;
}

/* The next argument as a width or precision. */
static bool star_argument(struct format *f, int *out)
{
    *out = 0;
    int64_t n = 0;
    if (f->next >= f->arg_count)
        return false;
    value v = f->args[f->next++];
    if (value_kind(v) != VALUE_KIND_NUMBER || !number_machine_int(v, &n) ||
        n > SPRINTF_NUMBER_MAX || n < -SPRINTF_NUMBER_MAX)
        return false;
    *out = (int)n;
    return true;
}

static void read_width(struct format *f, bool *after_index)
{
    if (peek(f, '*')) {
        f->at++;
        f->has_width = star_argument(f, &f->width);
        if (!f->has_width)
            buf_add(f->out, STR("%!(BADWIDTH)"));
        if (f->width < 0) {
            f->width = -f->width;
            f->minus = true;
            f->zero = false;
        }
        *after_index = false;
        return;
    }
    f->has_width = read_number(f, f->text.len, &f->width);
    if (*after_index && f->has_width) /* "%[3]2d" */
        f->good_index = false;
}

static void read_precision(struct format *f, bool *after_index)
{
    f->at++;          /* the point */
    if (*after_index) /* "%[3].2d" */
        f->good_index = false;
    *after_index = read_index(f);
    if (peek(f, '*')) {
        f->at++;
        f->has_precision = star_argument(f, &f->precision);
        if (f->precision < 0) {
            f->precision = 0;
            f->has_precision = false;
        }
        if (!f->has_precision)
            buf_add(f->out, STR("%!(BADPREC)"));
        *after_index = false;
        return;
    }
    if (!read_number(f, f->text.len, &f->precision))
        f->precision = 0;
    f->has_precision = true;
}

/* One directive, from after its percent sign.  False at the end of the text. */
static bool directive(struct format *f)
{
    f->good_index = true;
    read_flags(f);
    bool after_index = read_index(f);
    read_width(f, &after_index);
    if (peek(f, '.') && f->at + 1 < f->text.len)
        read_precision(f, &after_index);
    if (!after_index)
        read_index(f);
    if (f->at >= f->text.len) {
        buf_add(f->out, STR("%!(NOVERB)"));
        return false;
    }

    uint32_t verb;
    f->at += rune_at(f->text, f->at, &verb);
    if (verb == '%') {
        buf_add_byte(f->out, '%');
    } else if (!f->good_index || f->next >= f->arg_count) {
        buf_add(f->out, STR("%!"));
        add_rune(f, verb);
        buf_add_cstr(f->out, f->good_index ? "(MISSING)" : "(BADINDEX)");
    } else {
        print_argument(f, f->args[f->next++], verb);
    }
    return true;
}

static void print_left_over(struct format *f)
{
    clear_flags(f);
    buf_add(f->out, STR("%!(EXTRA "));
    for (size_t i = f->next; i < f->arg_count && !f->fatal && f->out->failed == OK; i++) {
        struct arg arg;
        classify(f, f->args[i], &arg);
        if (i > f->next)
            buf_add(f->out, STR(", "));
        buf_add_cstr(f->out, arg_type_names[arg.type]);
        buf_add_byte(f->out, '=');
        print_typed(f, &arg, 'v');
    }
    buf_add_byte(f->out, ')');
}

enum rego_outcome builtin_sprintf(struct rego_call *call, const value *args, value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text) || !arg_kind(call, args, 2, VALUE_KIND_ARRAY))
        return REGO_FAILED;

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    struct format f = {.call = call,
                       .out = &b,
                       .text = text,
                       .args = value_items(args[1]),
                       .arg_count = value_len(args[1])};
    while (f.at < text.len && !f.fatal && b.failed == OK) {
        size_t percent = str_find(text, '%', f.at);
        if (!charge_bytes(call, percent - f.at))
            return REGO_FATAL;
        buf_add(&b, str_slice(text, f.at, percent - f.at));
        f.at = percent + 1;
        if (percent >= text.len || !directive(&f))
            break;
    }
    if (!f.reordered && f.next < f.arg_count && !f.fatal)
        print_left_over(&f);

    if (f.fatal)
        return REGO_FATAL;
    if (arena_status(rego_call_arena(call)) != OK)
        return give(call, VALUE_UNDEFINED, out);
    return give_buf(call, &b, out);
}
