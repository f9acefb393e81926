/*
 * toml_scalar - strings, numbers, dates and times of TOML 1.0.
 */
#include "base/utf8.h"
#include "value/toml_internal.h"
#include "value/value_internal.h"

/* ---- results ---- */

/* The suite's form of a scalar: {"type": ..., "value": text}. */
static enum status tag(struct toml *t, const char *type, struct str text, value *out)
{
    struct value_builder b;
    value_builder_init(&b, t->arena, 4);
    value_builder_put_str(&b, "type", value_cstring(t->arena, type));
    value_builder_put_str(&b, "value", value_string(t->arena, text));
    *out = value_object_finish(&b, VALUE_DUP_REFUSE, NULL);
    return value_is_defined(*out) ? OK : toml_fail_memory(t);
}

static enum status finish(struct toml *t, const char *type, struct str text, value plain,
                          value *out)
{
    if (t->tagged)
        return tag(t, type, text, out);
    *out = plain;
    return value_is_defined(plain) ? OK : toml_fail_memory(t);
}

/* ---- strings ---- */

static bool starts_with(const struct toml *t, const char *text, size_t len)
{
    return (size_t)(t->end - t->p) >= len && memcmp(t->p, text, len) == 0;
}

static enum status read_unicode(struct toml *t, int digits, struct buf *out)
{
    const char *at = t->p - 2;
    uint32_t rune = 0;
    for (int i = 0; i < digits; i++, t->p++) {
        char c = t->p < t->end ? *t->p : '\0';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return toml_fail(t, at, ERR_INVALID, "escape needs %d hexadecimal digits", digits);
        rune = rune << 4 | (uint32_t)digit;
    }
    char utf8[4];
    size_t n = utf8_encode(rune, utf8);
    if (n == 0)
        return toml_fail(t, at, ERR_INVALID, "escape is no Unicode scalar value");
    buf_add(out, str_bytes(utf8, n));
    return OK;
}

/* A backslash at the end of a line: it, the line ending and all white space after it are skipped.
 */
static bool skip_line_continuation(struct toml *t)
{
    const char *p = t->p + 1;
    while (p < t->end && (*p == ' ' || *p == '\t'))
        p++;
    if (toml_newline_at(t, p) == 0)
        return false;
    while (p < t->end && (*p == ' ' || *p == '\t' || toml_newline_at(t, p) > 0))
        p++;
    t->p = p;
    return true;
}

static enum status read_escape(struct toml *t, bool multiline, struct buf *out)
{
    static const char from[] = "btnfr\"\\";
    static const char to[] = "\b\t\n\f\r\"\\";

    if (multiline && skip_line_continuation(t))
        return OK;
    char c = t->p + 1 < t->end ? t->p[1] : '\0';
    t->p += t->p + 1 < t->end ? 2 : 1;
    if (c == 'u' || c == 'U')
        return read_unicode(t, c == 'u' ? 4 : 8, out);
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found == NULL) {
        t->p--;
        return toml_fail_unexpected(t, "an escape");
    }
    buf_add_byte(out, to[found - from]);
    return OK;
}

/* One to five quotes inside or at the end of a multi-line string; true if they end it. */
static bool read_quotes(struct toml *t, char quote, struct buf *out)
{
    size_t n = 0;
    while (n < 5 && t->p + n < t->end && t->p[n] == quote)
        n++;
    t->p += n;
    size_t inside = n >= 3 ? n - 3 : n;
    for (size_t i = 0; i < inside; i++)
        buf_add_byte(out, quote);
    return n >= 3;
}

static enum status read_multiline(struct toml *t, char quote, struct buf *out)
{
    t->p += 3;
    t->p += toml_newline_at(t, t->p); /* one right behind the quotes does not count */
    for (;;) {
        const char *plain = t->p;
        while (t->p < t->end && toml_is_text(*t->p) && *t->p != quote &&
               (*t->p != '\\' || quote == '\''))
            t->p++;
        buf_add(out, str_bytes(plain, (size_t)(t->p - plain)));

        size_t newline = toml_newline_at(t, t->p);
        if (newline > 0) { /* CR LF becomes LF, as in toml-rs */
            buf_add_byte(out, '\n');
            t->p += newline;
        } else if (t->p < t->end && *t->p == quote) {
            if (read_quotes(t, quote, out))
                return OK;
        } else if (t->p < t->end && *t->p == '\\') {
            enum status st = read_escape(t, true, out);
            if (st != OK)
                return st;
        } else {
            return toml_fail_unexpected(t, "the end of the string");
        }
    }
}

static enum status read_line(struct toml *t, char quote, struct buf *out)
{
    t->p++;
    for (;;) {
        const char *plain = t->p;
        while (t->p < t->end && toml_is_text(*t->p) && *t->p != quote &&
               (*t->p != '\\' || quote == '\''))
            t->p++;
        buf_add(out, str_bytes(plain, (size_t)(t->p - plain)));

        if (t->p < t->end && *t->p == quote) {
            t->p++;
            return OK;
        }
        if (t->p == t->end || *t->p != '\\')
            return toml_fail_unexpected(t, "the end of the string");
        enum status st = read_escape(t, false, out);
        if (st != OK)
            return st;
    }
}

enum status toml_read_string(struct toml *t, bool key, value *out)
{
    char quote = *t->p;
    bool multiline = starts_with(t, quote == '"' ? "\"\"\"" : "'''", 3);
    if (key && multiline)
        return toml_fail(t, t->p, ERR_INVALID, "a key is no multi-line string");

    CLEANUP(buf_done) struct buf text;
    if (t->arena->wipe)
        buf_init_secret(&text, t->arena->max);
    else
        buf_init(&text, t->arena->max);
    enum status st = multiline ? read_multiline(t, quote, &text) : read_line(t, quote, &text);
    if (st != OK)
        return st;
    if (text.failed != OK)
        arena_fail(t->arena, text.failed);
    *out = value_string(t->arena, buf_str(&text));
    return value_is_defined(*out) ? OK : toml_fail_memory(t);
}

/* ---- dates and times (RFC 3339) ---- */

/* Digits at *p, exactly n of them. */
static bool take_number(struct str s, size_t *at, size_t n, unsigned *out)
{
    unsigned v = 0;
    if (s.len - *at < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = s.ptr[*at + i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (unsigned)(c - '0');
    }
    *at += n;
    *out = v;
    return true;
}

static bool take_char(struct str s, size_t *at, char c)
{
    if (*at >= s.len || s.ptr[*at] != c)
        return false;
    (*at)++;
    return true;
}

static bool take_date(struct str s, size_t *at)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned y, m, d;
    if (!take_number(s, at, 4, &y) || !take_char(s, at, '-') || !take_number(s, at, 2, &m) ||
        !take_char(s, at, '-') || !take_number(s, at, 2, &d))
        return false;
    if (m < 1 || m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return d <= days[m - 1] + (m == 2 && leap ? 1u : 0u);
}

static bool take_time(struct str s, size_t *at)
{
    unsigned h, m, sec;
    if (!take_number(s, at, 2, &h) || !take_char(s, at, ':') || !take_number(s, at, 2, &m) ||
        !take_char(s, at, ':') || !take_number(s, at, 2, &sec))
        return false;
    if (h > 23 || m > 59 || sec > 60) /* RFC 3339, 5.7: leap seconds */
        return false;
    if (!take_char(s, at, '.'))
        return true;
    unsigned digit;
    size_t start = *at;
    while (take_number(s, at, 1, &digit))
        ;
    return *at > start;
}

static bool take_offset(struct str s, size_t *at)
{
    unsigned h, m;
    if (take_char(s, at, 'Z') || take_char(s, at, 'z'))
        return true;
    if (!take_char(s, at, '+') && !take_char(s, at, '-'))
        return false;
    return take_number(s, at, 2, &h) && take_char(s, at, ':') && take_number(s, at, 2, &m) &&
           h <= 23 && m <= 59;
}

/* The type of a whole date or time, or NULL. */
static const char *datetime_type(struct str s)
{
    size_t at = 0;
    if (s.len > 2 && s.ptr[2] == ':')
        return take_time(s, &at) && at == s.len ? "time-local" : NULL;
    if (!take_date(s, &at))
        return NULL;
    if (at == s.len)
        return "date-local";
    if (!take_char(s, &at, 'T') && !take_char(s, &at, 't') && !take_char(s, &at, ' '))
        return NULL;
    if (!take_time(s, &at))
        return NULL;
    if (at == s.len)
        return "datetime-local";
    return take_offset(s, &at) && at == s.len ? "datetime" : NULL;
}

static enum status read_datetime(struct toml *t, const char *at, struct str s, value *out)
{
    char text[64]; /* a fraction of 30 digits */
    const char *type = s.len <= sizeof(text) ? datetime_type(s) : NULL;
    if (type == NULL)
        return toml_fail(t, at, ERR_INVALID, "\"%s\" is no date or time", QUOTED(s));

    /* One spelling for all: capital T and Z. */
    memcpy(text, s.ptr, s.len);
    if (s.len > 10 && text[2] != ':')
        text[10] = 'T';
    if (text[s.len - 1] == 'z')
        text[s.len - 1] = 'Z';
    s.ptr = text;
    return finish(t, type, s, value_string(t->arena, s), out);
}

/* ---- numbers ---- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Digits of a base with single underscores between them, appended to `out` without these. */
static bool take_digits(struct str s, size_t *at, int base, struct buf *out)
{
    size_t start = *at;
    while (*at < s.len) {
        char c = s.ptr[*at];
        if (c == '_') {
            bool between = *at > start && s.ptr[*at - 1] != '_' && *at + 1 < s.len &&
                           digit_value(s.ptr[*at + 1]) < base;
            if (!between)
                return false;
        } else if (digit_value(c) < base) {
            buf_add_byte(out, c);
        } else {
            break;
        }
        (*at)++;
    }
    return *at > start;
}

static enum status read_based(struct toml *t, const char *at, struct str s, value *out)
{
    int base = s.ptr[1] == 'x' ? 16 : s.ptr[1] == 'o' ? 8 : 2;
    CLEANUP(buf_done) struct buf digits;
    buf_init(&digits, t->arena->max);
    size_t i = 2;
    if (!take_digits(s, &i, base, &digits) || i != s.len)
        return toml_fail(t, at, ERR_INVALID, "\"%s\" is no number", QUOTED(s));
    if (digits.failed != OK) {
        arena_fail(t->arena, digits.failed);
        return toml_fail_memory(t);
    }

    uint64_t n = 0;
    for (i = 0; i < digits.len; i++) {
        n = n * (unsigned)base + (unsigned)digit_value(digits.ptr[i]);
        if (n > INT64_MAX)
            return toml_fail(t, at, ERR_INVALID, "integer does not fit 64 bits");
    }
    value v = value_int(t->arena, (int64_t)n);
    char scratch[VALUE_NUMBER_SCRATCH];
    return finish(t, "integer", value_number_text(v, scratch), v, out);
}

/* [+-] inf or nan: no number of JSON's has such a value. */
static enum status read_special(struct toml *t, const char *at, struct str s, value *out)
{
    bool sign = s.ptr[0] == '+' || s.ptr[0] == '-';
    struct str word = str_from(s, sign);
    if (!str_is(word, "inf") && !str_is(word, "nan"))
        return toml_fail(t, at, ERR_INVALID, "\"%s\" is no value", QUOTED(s));
    if (!t->tagged)
        return toml_fail(t, at, ERR_INVALID, "\"%s\" cannot be represented", QUOTED(s));
    return tag(t, "float", s.ptr[0] == '-' && str_is(word, "inf") ? s : word, out);
}

/* A decimal integer or float without its underscores and plus sign: JSON's syntax then. */
static bool take_decimal(struct str s, struct buf *out, bool *is_float)
{
    size_t at = 0;
    *is_float = false;
    if (take_char(s, &at, '-'))
        buf_add_byte(out, '-');
    else
        take_char(s, &at, '+');
    size_t first = at;
    if (!take_digits(s, &at, 10, out) || (s.ptr[first] == '0' && at - first > 1))
        return false;
    if (take_char(s, &at, '.')) {
        *is_float = true;
        buf_add_byte(out, '.');
        if (!take_digits(s, &at, 10, out))
            return false;
    }
    if (take_char(s, &at, 'e') || take_char(s, &at, 'E')) {
        *is_float = true;
        buf_add_byte(out, 'e');
        if (take_char(s, &at, '-'))
            buf_add_byte(out, '-');
        else
            take_char(s, &at, '+');
        if (!take_digits(s, &at, 10, out))
            return false;
    }
    return at == s.len;
}

static enum status read_decimal(struct toml *t, const char *at, struct str s, value *out)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, t->arena->max);
    bool is_float;
    bool ok = take_decimal(s, &text, &is_float);
    if (text.failed != OK) {
        arena_fail(t->arena, text.failed);
        return toml_fail_memory(t);
    }
    if (!ok)
        return toml_fail(t, at, ERR_INVALID, "\"%s\" is no value", QUOTED(s));

    struct str number = buf_str(&text);
    if (number_check(number) != OK)
        return toml_fail(t, at, ERR_LIMIT, "number has too many digits or too large an exponent");
    value v = value_number(t->arena, number);
    if (!value_is_defined(v))
        return toml_fail_memory(t);
    if (is_float)
        return finish(t, "float", number, v, out);

    int64_t n;
    if (!value_get_int64(v, &n))
        return toml_fail(t, at, ERR_INVALID, "integer does not fit 64 bits");
    char scratch[VALUE_NUMBER_SCRATCH];
    v = value_int(t->arena, n); /* "-0" is 0 here: TOML's integers have no sign of zero */
    return finish(t, "integer", value_number_text(v, scratch), v, out);
}

/* ---- any scalar ---- */

static bool is_scalar_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '-' || c == '_' || c == '.' || c == ':';
}

static bool all_digits(struct str s, size_t from, size_t n)
{
    unsigned unused;
    return s.len >= from + n && take_number(s, &from, n, &unused);
}

/* The longest run of characters that scalars are made of, with the one space of a date and time. */
static struct str scalar_text(struct toml *t)
{
    const char *start = t->p;
    while (t->p < t->end && is_scalar_char(*t->p))
        t->p++;
    struct str s = {start, (size_t)(t->p - start)};
    bool date = s.len == 10 && all_digits(s, 0, 4) && s.ptr[4] == '-';
    if (date && t->end - t->p >= 3 && *t->p == ' ' && t->p[1] >= '0' && t->p[1] <= '9') {
        t->p++;
        while (t->p < t->end && is_scalar_char(*t->p))
            t->p++;
        s.len = (size_t)(t->p - start);
    }
    return s;
}

enum status toml_read_scalar(struct toml *t, value *out)
{
    const char *at = t->p;
    if (at < t->end && (*at == '"' || *at == '\'')) {
        value v;
        enum status st = toml_read_string(t, false, &v);
        return st != OK ? st : finish(t, "string", value_str(v), v, out);
    }
    struct str s = scalar_text(t);
    if (s.len == 0)
        return toml_fail_unexpected(t, "a value");
    if (str_is(s, "true") || str_is(s, "false"))
        return finish(t, "bool", s, value_bool(s.len == 4), out);
    if ((all_digits(s, 0, 4) && s.len > 4 && s.ptr[4] == '-') ||
        (all_digits(s, 0, 2) && s.len > 2 && s.ptr[2] == ':'))
        return read_datetime(t, at, s, out);
    if (s.len > 2 && s.ptr[0] == '0' && (s.ptr[1] == 'x' || s.ptr[1] == 'o' || s.ptr[1] == 'b'))
        return read_based(t, at, s, out);
    char first = s.ptr[s.len > 1 && (s.ptr[0] == '+' || s.ptr[0] == '-')];
    return first >= '0' && first <= '9' ? read_decimal(t, at, s, out) : read_special(t, at, s, out);
}
