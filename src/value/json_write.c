/*
 * json_write - values as JSON text, and the writer for texts whose order matters.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes16.h"
#include "base/utf8.h"
#include "value/json.h"
#include "value/value_internal.h"

static bool is_special(unsigned char c, bool go)
{
    return c < 0x20 || c >= 0x80 || c == '"' || c == '\\' ||
           (go && (c == '<' || c == '>' || c == '&'));
}

/* Less than 0x20 as signed numbers: control characters, and what is no ASCII. */
static inline bool any_special(bytes16 v, bool go)
{
    bytes16 stop = (bytes16)((signed16)v < 0x20) | (bytes16)(v == '"') | (bytes16)(v == '\\');
    if (go)
        stop |= (bytes16)(v == '<') | (bytes16)(v == '>') | (bytes16)(v == '&');
    return !is_zero16(stop);
}

/* The ends of fewer than 16 bytes, at least 4, which meet or overlap. */
static inline bytes16 load_ends(struct str s)
{
    uint64_t w[2];
    if (s.len >= 8) {
        w[0] = load_le64(s.ptr);
        w[1] = load_le64(s.ptr + s.len - 8);
    } else {
        w[0] = w[1] = load_le32(s.ptr) | (uint64_t)load_le32(s.ptr + s.len - 4) << 32;
    }
    return load16((const char *)w);
}

/* Length of the part that needs no attention: ASCII without escapes. */
static inline size_t plain_prefix(struct str s, bool go)
{
    size_t i = 0;
    while (s.len - i >= 16 && !any_special(load16(s.ptr + i), go))
        i += 16;
    /* What is left, together with bytes that were seen before. */
    if (s.len - i < 16 && s.len >= 4 &&
        !any_special(s.len >= 16 ? load16(s.ptr + s.len - 16) : load_ends(s), go))
        return s.len;
    while (i < s.len && !is_special((unsigned char)s.ptr[i], go))
        i++;
    return i;
}

static void write_escaped(struct buf *out, uint32_t rune)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";

    const char *found = rune == 0 || rune > 0x7f ? NULL : strchr(from, (int)rune);
    if (found != NULL) {
        buf_add(out, str_bytes((char[]){'\\', to[found - from]}, 2));
        return;
    }
    char text[6] = {
        '\\', 'u', hex[rune >> 12 & 15], hex[rune >> 8 & 15], hex[rune >> 4 & 15], hex[rune & 15]};
    buf_add(out, str_bytes(text, sizeof(text)));
}

static void write_string(struct buf *out, struct str s, bool go)
{
    size_t n = plain_prefix(s, go);
    if (LIKELY(n == s.len && n > 0 && buf_reserve(out, n + 2))) {
        char *p = buf_end(out);
        *p = '"';
        memcpy(p + 1, s.ptr, n);
        p[n + 1] = '"';
        out->len += n + 2;
        return;
    }
    buf_add_byte(out, '"');
    while (s.len > 0) {
        buf_add(out, str_slice(s, 0, n));
        s = str_from(s, n);
        if (s.len == 0)
            break;

        uint32_t rune;
        n = utf8_decode(s, &rune);
        if (n == 0) { /* each bad byte by itself, as Go does */
            buf_add(out, go ? STR("\\ufffd") : STR("\xef\xbf\xbd"));
            n = 1;
        } else if (rune < 0x80 || (go && (rune == 0x2028 || rune == 0x2029))) {
            write_escaped(out, rune);
        } else {
            buf_add(out, str_slice(s, 0, n));
        }
        s = str_from(s, n);
        n = plain_prefix(s, go);
    }
    buf_add_byte(out, '"');
}

void json_write_string(struct buf *out, struct str s)
{
    write_string(out, s, false);
}

/* ---- numbers as ECMAScript prints them (ECMA-262, Number::toString) ---- */

/* Significant digits of x > 0 in scientific form, nothing else; no point in any locale. */
static size_t round_digits(double x, int precision, char digits[32], int *exponent)
{
    char text[48];
    snprintf(text, sizeof(text), "%.*e", precision - 1, x);
    const char *e = strchr(text, 'e');
    size_t n = 0;
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    *exponent = (int)strtol(e + 1, NULL, 10);
    return n;
}

static bool reads_back(double x, const char *digits, size_t n, int exponent)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*se%d", (int)n, digits, exponent - (int)n + 1);
    return strtod(text, NULL) == x;
}

/* The next larger number of so many digits; false when that would need one more. */
static bool next_up(char *digits, size_t n)
{
    size_t nines = 0;
    while (nines < n && digits[n - nines - 1] == '9')
        nines++;
    if (nines == n)
        return false;
    memset(digits + n - nines, '0', nines);
    digits[n - nines - 1]++;
    return true;
}

/*
 * The fewest digits that read back to x.  Of two with the same length the
 * nearer counts; but below a power of two the gap is half as wide, so that the
 * nearer may miss where the one above reads back.
 */
static size_t shortest_digits(double x, char digits[32], int *exponent)
{
    /* Up to 15 digits survive in any normal double, so zeros at the end of 15 are no digits. */
    for (int precision = x < DBL_MIN ? 1 : 15; precision < 17; precision++) {
        size_t n = round_digits(x, precision, digits, exponent);
        if (!reads_back(x, digits, n, *exponent) &&
            !(next_up(digits, n) && reads_back(x, digits, n, *exponent)))
            continue;
        while (n > 1 && digits[n - 1] == '0')
            n--;
        return n;
    }
    return round_digits(x, 17, digits, exponent);
}

static void write_ecma_number(struct buf *out, double x)
{
    if (x == 0) { /* -0, too */
        buf_add_byte(out, '0');
        return;
    }
    if (x < 0)
        buf_add_byte(out, '-');

    char digits[32];
    int exponent;
    int k = (int)shortest_digits(fabs(x), digits, &exponent);
    int n = exponent + 1; /* digits before the point, as in ECMA-262 */
    struct str d = str_bytes(digits, (size_t)k);
    static const char zeros[] = "000000000000000000000";

    if (k <= n && n <= 21) {
        buf_add(out, d);
        buf_add(out, str_bytes(zeros, (size_t)(n - k)));
    } else if (0 < n && n <= 21) {
        buf_add(out, str_slice(d, 0, (size_t)n));
        buf_add_byte(out, '.');
        buf_add(out, str_from(d, (size_t)n));
    } else if (-6 < n && n <= 0) {
        buf_add(out, STR("0."));
        buf_add(out, str_bytes(zeros, (size_t)-n));
        buf_add(out, d);
    } else {
        buf_add_byte(out, digits[0]);
        if (k > 1) {
            buf_add_byte(out, '.');
            buf_add(out, str_from(d, 1));
        }
        buf_add_format(out, "e%+d", n - 1);
    }
}

/* ---- values ---- */

struct writer {
    struct buf *out;
    enum json_style style;
    unsigned indent;
    enum status failed; /* what is no failure of the buf */
};

static void write_value(struct writer *w, value v);

static void new_line(struct writer *w)
{
    if (w->style != JSON_PRETTY)
        return;
    buf_add_byte(w->out, '\n');
    for (unsigned i = 0; i < w->indent; i++)
        buf_add(w->out, STR("  "));
}

static void write_items(struct writer *w, const value *items, size_t n)
{
    buf_add_byte(w->out, '[');
    w->indent++;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_byte(w->out, ',');
        new_line(w);
        write_value(w, items[i]);
    }
    w->indent--;
    if (n > 0)
        new_line(w);
    buf_add_byte(w->out, ']');
}

static void write_member(struct writer *w, bool first, struct str key, value val)
{
    if (!first)
        buf_add_byte(w->out, ',');
    new_line(w);
    write_string(w->out, key, w->style == JSON_GO);
    buf_add_byte(w->out, ':');
    if (w->style == JSON_PRETTY)
        buf_add_byte(w->out, ' ');
    write_value(w, val);
}

/*
 * Members in another order than the value's: their keys are no strings, or the
 * order is RFC 8785's.
 */
struct member {
    struct str key;
    value val;
    size_t order; /* place in the object */
    size_t text;  /* offset of a key that had to be written */
};

struct members {
    struct member *items;
    size_t len;
    bool utf16;
};

/*
 * Order of UTF-16 code units (RFC 8785, 3.2.3).  It is the order of bytes, but
 * for code points above U+FFFF, whose surrogates stand before U+E000.
 */
static int compare_utf16(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a.ptr[i];
        unsigned char y = (unsigned char)b.ptr[i];
        if (x == y)
            continue;
        if (x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0))
            return x >= 0xf0 ? -1 : 1;
        return x < y ? -1 : 1;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static bool member_below(const struct members *m, size_t i, size_t j)
{
    const struct member *a = &m->items[i];
    const struct member *b = &m->items[j];
    int c = m->utf16 ? compare_utf16(a->key, b->key) : str_compare(a->key, b->key);
    return c < 0 || (c == 0 && a->order < b->order);
}

static void sift_down(struct members *m, size_t root, size_t end)
{
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && member_below(m, child, child + 1))
            child++;
        if (!member_below(m, root, child))
            return;
        struct member swap = m->items[root];
        m->items[root] = m->items[child];
        m->items[child] = swap;
    }
}

/* Heap sort: n log n for any input, and no memory. */
static void sort_members(struct members *m)
{
    for (size_t i = m->len / 2; i-- > 0;)
        sift_down(m, i, m->len);
    for (size_t end = m->len; end-- > 1;) {
        struct member swap = m->items[0];
        m->items[0] = m->items[end];
        m->items[end] = swap;
        sift_down(m, 0, end);
    }
}

/* The keys as text: strings as they are, others as their JSON in `texts`. */
static void collect_members(struct writer *w, value v, struct members *m, struct buf *texts)
{
    const struct value_pair *pairs = value_pairs(v);
    for (size_t i = 0; i < m->len; i++) {
        struct member *x = &m->items[i];
        *x = (struct member){.val = pairs[i].val, .order = i, .text = texts->len};
        if (value_is_string(pairs[i].key)) {
            x->key = value_str(pairs[i].key);
            continue;
        }
        struct writer inner = {.out = texts, .style = w->style == JSON_GO ? JSON_GO : JSON_COMPACT};
        write_value(&inner, pairs[i].key);
        if (w->failed == OK)
            w->failed = inner.failed;
    }
    /* Only now do the texts stay where they are. */
    for (size_t i = 0; i < m->len; i++) {
        struct member *x = &m->items[i];
        size_t end = i + 1 < m->len ? m->items[i + 1].text : texts->len;
        if (!value_is_string(pairs[i].key))
            x->key = str_slice(buf_str(texts), x->text, end - x->text);
    }
}

static void write_sorted(struct writer *w, value v)
{
    struct members m = {.len = value_len(v), .utf16 = w->style == JSON_CANONICAL};
    m.items = calloc(m.len, sizeof(*m.items));
    if (m.items == NULL) {
        w->failed = ERR_NOMEM;
        return;
    }
    /* A key in a key is escaped twice, and so on: bounded like the text itself. */
    struct buf texts;
    buf_init(&texts, w->out->max);
    collect_members(w, v, &m, &texts);
    if (texts.failed != OK && w->failed == OK)
        w->failed = texts.failed;

    sort_members(&m);
    bool first = true;
    for (size_t i = 0; i < m.len && w->failed == OK; i++) {
        if (i + 1 < m.len && str_equal(m.items[i].key, m.items[i + 1].key))
            continue; /* the later one wins */
        write_member(w, first, m.items[i].key, m.items[i].val);
        first = false;
    }
    buf_done(&texts);
    free(m.items);
}

/* Are the members in the wanted order as they are? */
static bool needs_sort(const struct writer *w, value v)
{
    const struct value_pair *pairs = value_pairs(v);
    size_t n = value_len(v);
    /* Strings are the last scalars: with arrays behind them or numbers before them, ends tell. */
    if (n > 0 && (!value_is_string(pairs[0].key) || !value_is_string(pairs[n - 1].key)))
        return true;
    if (w->style != JSON_CANONICAL)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((value_heap(pairs[i].key)->flags & VALUE_FLAG_ASCII) == 0)
            return true;
    return false;
}

static void write_object(struct writer *w, value v)
{
    const struct value_pair *pairs = value_pairs(v);
    size_t n = value_len(v);

    buf_add_byte(w->out, '{');
    w->indent++;
    if (needs_sort(w, v)) {
        write_sorted(w, v);
    } else {
        for (size_t i = 0; i < n; i++)
            write_member(w, i == 0, value_str(pairs[i].key), pairs[i].val);
    }
    w->indent--;
    if (n > 0)
        new_line(w);
    buf_add_byte(w->out, '}');
}

static void write_number(struct writer *w, value v)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    const int64_t exact = (int64_t)1 << 53; /* beyond it ECMAScript rounds */
    bool as_it_is = value_is_small(v) && value_small(v) <= exact && value_small(v) >= -exact;
    if (w->style != JSON_CANONICAL || as_it_is) {
        buf_add(w->out, value_number_text(v, scratch));
        return;
    }
    double x = number_double(v);
    if (isfinite(x))
        write_ecma_number(w->out, x);
    else
        w->failed = ERR_INVALID;
}

/* RFC 8785 has no sets, no keys but strings, and no way out of bad UTF-8. */
static bool is_canonical(value v)
{
    const struct value_pair *pairs;
    switch (value_kind(v)) {
    case VALUE_KIND_STRING:
        return (value_heap(v)->flags & VALUE_FLAG_ASCII) != 0 || utf8_is_valid(value_str(v));
    case VALUE_KIND_OBJECT:
        pairs = value_pairs(v);
        for (size_t i = 0; i < value_len(v); i++)
            if (!value_is_string(pairs[i].key) || !is_canonical(pairs[i].key))
                return false;
        return true;
    case VALUE_KIND_SET:
        return false;
    default:
        return true;
    }
}

static void write_value(struct writer *w, value v)
{
    if (w->failed != OK || w->out->failed != OK)
        return;
    if (w->style == JSON_CANONICAL && !is_canonical(v)) {
        w->failed = ERR_INVALID;
        return;
    }

    switch (value_kind(v)) {
    case VALUE_KIND_BOOLEAN:
        buf_add(w->out, value_is_true(v) ? STR("true") : STR("false"));
        break;
    case VALUE_KIND_NUMBER:
        write_number(w, v);
        break;
    case VALUE_KIND_STRING:
        write_string(w->out, value_str(v), w->style == JSON_GO);
        break;
    case VALUE_KIND_ARRAY:
    case VALUE_KIND_SET:
        write_items(w, value_items(v), value_len(v));
        break;
    case VALUE_KIND_OBJECT:
        write_object(w, v);
        break;
    default:
        buf_add(w->out, STR("null"));
    }
}

enum status json_write(struct buf *out, value v, enum json_style style)
{
    struct writer w = {.out = out, .style = style};
    if (!value_is_defined(v))
        return ERR_INVALID;
    write_value(&w, v);
    return w.failed != OK ? w.failed : buf_status(out);
}

struct str json_text(struct arena *a, value v, enum json_style style)
{
    CLEANUP(buf_done) struct buf b;
    if (a->wipe)
        buf_init_secret(&b, a->max);
    else
        buf_init(&b, a->max);
    enum status st = json_write(&b, v, style);
    if (st == OK)
        return arena_str(a, buf_str(&b));
    if (st == ERR_NOMEM || st == ERR_LIMIT)
        arena_fail(a, st);
    return (struct str){NULL, 0};
}

/* ---- the writer ---- */

/*
 * state[depth] is about the innermost open bracket; state[0] is the outside,
 * which has room for one value.
 */
#define STATE_OBJECT 1
#define STATE_USED 2 /* something stands in it: the next thing needs a comma */
#define STATE_KEY 4  /* a key waits for its value */

void json_begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out, .failed = OK};
}

static void misuse(struct json_writer *w)
{
    if (w->failed == OK)
        w->failed = ERR_INTERNAL;
}

/* Before each value: checks that one may stand here, and writes the comma. */
static bool begin_value(struct json_writer *w)
{
    uint8_t *state = &w->state[w->depth];
    bool object = (*state & STATE_OBJECT) != 0;
    bool allowed = object ? (*state & STATE_KEY) != 0 : w->depth > 0 || (*state & STATE_USED) == 0;
    if (w->failed != OK || !allowed) {
        misuse(w);
        return false;
    }
    if (!object && (*state & STATE_USED) != 0)
        buf_add_byte(w->out, ',');
    *state = (uint8_t)((*state | STATE_USED) & ~STATE_KEY);
    return true;
}

static void open_bracket(struct json_writer *w, char bracket, uint8_t state)
{
    if (w->depth + 1 >= JSON_WRITER_DEPTH) {
        misuse(w);
        return;
    }
    if (!begin_value(w))
        return;
    buf_add_byte(w->out, bracket);
    w->state[++w->depth] = state;
}

static void close_bracket(struct json_writer *w, char bracket, uint8_t wanted)
{
    if (w->failed != OK || w->depth == 0 || (w->state[w->depth] & ~STATE_USED) != wanted) {
        misuse(w);
        return;
    }
    buf_add_byte(w->out, bracket);
    w->depth--;
}

void json_object_begin(struct json_writer *w)
{
    open_bracket(w, '{', STATE_OBJECT);
}

void json_object_end(struct json_writer *w)
{
    close_bracket(w, '}', STATE_OBJECT);
}

void json_array_begin(struct json_writer *w)
{
    open_bracket(w, '[', 0);
}

void json_array_end(struct json_writer *w)
{
    close_bracket(w, ']', 0);
}

void json_key_str(struct json_writer *w, struct str key)
{
    uint8_t *state = &w->state[w->depth];
    if (w->failed != OK || (*state & (STATE_OBJECT | STATE_KEY)) != STATE_OBJECT) {
        misuse(w);
        return;
    }
    if ((*state & STATE_USED) != 0)
        buf_add_byte(w->out, ',');
    write_string(w->out, key, false);
    buf_add_byte(w->out, ':');
    *state |= STATE_KEY;
}

void json_key(struct json_writer *w, const char *key)
{
    json_key_str(w, str_of(key));
}

void json_string(struct json_writer *w, struct str s)
{
    if (begin_value(w))
        write_string(w->out, s, false);
}

void json_cstring(struct json_writer *w, const char *s)
{
    json_string(w, str_of(s));
}

void json_raw(struct json_writer *w, struct str text)
{
    if (begin_value(w))
        buf_add(w->out, text);
}

void json_int(struct json_writer *w, int64_t n)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    json_raw(w, decimal_print_int64(n, scratch));
}

void json_bool(struct json_writer *w, bool b)
{
    json_raw(w, b ? STR("true") : STR("false"));
}

void json_null(struct json_writer *w)
{
    json_raw(w, STR("null"));
}

void json_value(struct json_writer *w, value v)
{
    if (!value_is_defined(v)) {
        json_null(w);
        return;
    }
    if (!begin_value(w))
        return;
    enum status st = json_write(w->out, v, JSON_COMPACT);
    if (st != OK && w->failed == OK)
        w->failed = st;
}

enum status json_finish(struct json_writer *w)
{
    if (w->failed == OK && (w->depth != 0 || (w->state[0] & STATE_USED) == 0))
        misuse(w);
    enum status st = buf_status(w->out);
    return w->failed != OK ? w->failed : st;
}
