/*
 * json_read - the reader: one pass, no recursion.
 *
 *   text   {"a":[1,2],"b":...
 *   frames  { [               one per open bracket: where its values begin
 *   stack  "a" 1 2            finished values that wait for their bracket
 *
 * A closing bracket takes its values off the stack, builds the composite and
 * puts that there instead.  Keys lie on the stack before their values.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes16.h"
#include "base/utf8.h"
#include "value/json.h"
#include "value/json_internal.h"
#include "value/value_internal.h"

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* Nearly all documents fit; deeper or wider ones move the stack to the heap. */
#define STACK_INLINE 256

/* Keys repeat: most are found here and cost neither a hash nor memory. */
#define KEY_CACHE 128
#define KEY_CACHE_LEN_MAX 64

struct frame {
    size_t base;  /* stack length when the bracket opened */
    size_t start; /* offset of the bracket */
    bool object;
};

struct reader {
    struct arena *arena;
    const char *begin;
    const char *p;
    const char *end;
    struct error *err;
    enum json_duplicates duplicates;
    unsigned depth_max;
    unsigned depth;
    struct json_tracker *tracker;

    value *stack;
    size_t len;
    size_t cap;
    value *heap_stack; /* NULL while the inline one suffices */
    value key_cache[KEY_CACHE];
    value inline_stack[STACK_INLINE];
    struct frame frames[VALUE_DEPTH_MAX];
};

/* ---- errors ---- */

static PRINTF_LIKE(4, 5) enum status
    fail_at(struct reader *r, const char *at, enum status st, const char *format, ...)
{
    if (r->err == NULL)
        return st;

    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);

    uint32_t line;
    uint32_t col;
    json_position(str_bytes(r->begin, (size_t)(r->end - r->begin)), (size_t)(at - r->begin), &line,
                  &col);
    error_set_at(r->err, line, col, "%s", text);
    return st;
}

static enum status fail_arena(struct reader *r)
{
    enum status st = arena_status(r->arena);
    if (st == ERR_NOMEM)
        return error_nomem(r->err);
    return fail_at(r, r->p, st == OK ? ERR_INTERNAL : st, "text needs more memory than allowed");
}

static enum status fail_unexpected(struct reader *r, const char *wanted)
{
    if (r->p == r->end)
        return fail_at(r, r->p, ERR_INVALID, "unexpected end of text, expected %s", wanted);
    uint32_t rune;
    size_t n = utf8_decode(str_bytes(r->p, (size_t)(r->end - r->p)), &rune);
    return fail_at(r, r->p, ERR_INVALID, "unexpected \"%s\", expected %s",
                   QUOTED(str_bytes(r->p, n == 0 ? 1 : n)), wanted);
}

/* ---- white space ---- */

static inline void skip_space(struct reader *r)
{
    while (r->p < r->end && (unsigned char)*r->p <= ' ' &&
           (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* ---- strings ---- */

static inline uint64_t zero_bytes(uint64_t w)
{
    return (w - ONES) & ~w & HIGHS;
}

/*
 * Over sixteens without a quote, a backslash, a control character, or what is no ASCII.
 * Not inline, or the compilers leave scan_plain() out of line, which short texts pay for.
 */
__attribute__((noinline)) static const char *skip_plain16(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        bytes16 w = load16(p);
        bytes16 stop = (bytes16)((signed16)w < 0x20) | (bytes16)(w == '"') | (bytes16)(w == '\\');
        if (!is_zero16(stop))
            break;
    }
    return p;
}

/*
 * From *p to the next quote, backslash or control character, eight bytes at a
 * time, and more where there is none in sixteen; true if all of them were ASCII.
 */
static inline bool scan_plain(const char **p, const char *end)
{
    uint64_t seen = 0;
    const char *q = *p;
    while (end - q >= 8) {
        uint64_t w = load_le64(q);
        uint64_t stop = zero_bytes(w ^ ONES * '"') | zero_bytes(w ^ ONES * '\\') |
                        ((w - ONES * 0x20) & ~w & HIGHS);
        if (stop != 0) {
            /* The lowest mark is exact; borrows disturb only the ones above it. */
            unsigned n = (unsigned)__builtin_ctzll(stop) / 8;
            seen |= w & ((1ull << (8 * n)) - 1);
            *p = q + n;
            return (seen & HIGHS) == 0;
        }
        seen |= w;
        q += 8;
        if (q - *p == 16)
            q = skip_plain16(q, end);
    }
    while (q < end && *q != '"' && *q != '\\' && (unsigned char)*q >= 0x20)
        seen |= (unsigned char)*q++;
    *p = q;
    return (seen & HIGHS) == 0;
}

/* Number of code points; false and the offset of the first bad byte in *runes otherwise. */
static bool count_runes(struct str s, size_t *runes)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len;) {
        if (s.len - i >= 8 && (load_le64(s.ptr + i) & HIGHS) == 0) {
            i += 8;
            count += 8;
            continue;
        }
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, i), &rune);
        if (n == 0) {
            *runes = i;
            return false;
        }
        i += n;
        count++;
    }
    *runes = count;
    return true;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t read_hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t n = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        n = n * 16 + digit;
    }
    return n;
}

/* r->p is behind "\u".  A pair of surrogates is one code point, a lone one none. */
static enum status read_unicode_escape(struct reader *r, char **w)
{
    const char *at = r->p - 2;
    int32_t rune = read_hex4(r->p, r->end);
    if (rune < 0)
        return fail_at(r, at, ERR_INVALID, "\\u is not followed by four hexadecimal digits");
    r->p += 4;

    if (rune >= 0xd800 && rune <= 0xdfff) {
        int32_t low = -1;
        if (rune < 0xdc00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u')
            low = read_hex4(r->p + 2, r->end);
        if (low < 0xdc00 || low > 0xdfff)
            return fail_at(r, at, ERR_INVALID, "lone surrogate in string");
        rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
        r->p += 6;
    }
    *w += utf8_encode((uint32_t)rune, *w);
    return OK;
}

static enum status read_escape(struct reader *r, char **w)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";

    r->p++; /* the backslash */
    if (r->p == r->end)
        return fail_unexpected(r, "an escape");
    if (*r->p == 'u') {
        r->p++;
        return read_unicode_escape(r, w);
    }
    const char *found = *r->p == '\0' ? NULL : strchr(from, *r->p);
    if (found == NULL)
        return fail_unexpected(r, "an escape");
    *(*w)++ = to[found - from];
    r->p++;
    return OK;
}

static const char *closing_quote(const char *p, const char *end)
{
    while (p < end && *p != '"') {
        if (*p == '\\' && p + 1 < end)
            p++;
        p++;
    }
    return p;
}

/* A string with escapes; `start` is behind the opening quote.  The result is never longer. */
static enum status read_escaped(struct reader *r, const char *start, value *out)
{
    struct value_heap *h =
        value_string_reserve(r->arena, (size_t)(closing_quote(r->p, r->end) - start));
    if (h == NULL)
        return fail_arena(r);

    char *text = (char *)(h + 1);
    char *w = text;
    r->p = start;
    for (;;) {
        const char *plain = r->p;
        scan_plain(&r->p, r->end);
        memcpy(w, plain, (size_t)(r->p - plain));
        w += r->p - plain;
        if (r->p < r->end && *r->p == '"')
            break;
        if (r->p == r->end || *r->p != '\\')
            return fail_unexpected(r, "the end of the string");
        enum status st = read_escape(r, &w);
        if (st != OK)
            return st;
    }
    r->p++;

    size_t len = (size_t)(w - text);
    size_t runes;
    if (!count_runes(str_bytes(text, len), &runes))
        return fail_at(r, start, ERR_INVALID, "string is not valid UTF-8");
    *out = value_string_seal(h, len, runes);
    return OK;
}

static inline value *key_slot(struct reader *r, struct str s)
{
    uint64_t w = s.len;
    if (s.len >= 8) {
        w ^= load_le64(s.ptr) * 3 ^ load_le64(s.ptr + s.len - 8);
    } else {
        for (size_t i = 0; i < s.len; i++)
            w = w << 8 ^ (unsigned char)s.ptr[i];
    }
    return &r->key_cache[w * 0x9e3779b97f4a7c15u >> 57];
}

_Static_assert(KEY_CACHE == 1 << (64 - 57), "the shift in key_slot() fits the cache");

/* r->p is at the opening quote. */
static enum status read_string(struct reader *r, bool key, value *out)
{
    const char *start = ++r->p;
    bool ascii = scan_plain(&r->p, r->end);
    if (r->p < r->end && *r->p == '\\')
        return read_escaped(r, start, out);
    if (r->p == r->end || *r->p != '"')
        return fail_unexpected(r, "the end of the string");

    struct str s = {start, (size_t)(r->p - start)};
    r->p++;
    value *slot = key && s.len <= KEY_CACHE_LEN_MAX ? key_slot(r, s) : NULL;
    if (slot != NULL && slot->word != 0 && str_equal(value_str(*slot), s)) {
        *out = *slot;
        return OK;
    }

    size_t runes = s.len;
    if (!ascii && !count_runes(s, &runes))
        return fail_at(r, start + runes, ERR_INVALID, "string is not valid UTF-8");
    *out = value_string_counted(r->arena, s, runes);
    if (!value_is_defined(*out))
        return fail_arena(r);
    if (slot != NULL)
        *slot = *out;
    return OK;
}

/* ---- numbers and words ---- */

static bool is_number_char(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

static enum status read_number_slow(struct reader *r, value *out)
{
    const char *start = r->p;
    while (r->p < r->end && is_number_char(*r->p))
        r->p++;
    struct str text = {start, (size_t)(r->p - start)};
    enum status st = number_check(text);
    if (st == ERR_LIMIT)
        return fail_at(r, start, st, "number has too many digits or too large an exponent");
    if (st != OK)
        return fail_at(r, start, st, "\"%s\" is no number", QUOTED(text));

    *out = value_number(r->arena, text);
    return value_is_defined(*out) ? OK : fail_arena(r);
}

static enum status read_number(struct reader *r, value *out)
{
    /* Up to 18 digits, nothing behind them: nearly every number. */
    const char *p = r->p;
    bool negative = *p == '-';
    p += negative;
    const char *digits = p;
    uint64_t n = 0;
    while (p < r->end && *p >= '0' && *p <= '9' && p - digits < 19)
        n = n * 10 + (uint64_t)(*p++ - '0');
    size_t count = (size_t)(p - digits);
    if (count == 0 || count > 18 || (digits[0] == '0' && (count > 1 || negative)) ||
        (p < r->end && is_number_char(*p)))
        return read_number_slow(r, out);
    r->p = p;
    *out = value_small_int(negative ? -(int64_t)n : (int64_t)n);
    return OK;
}

static bool read_word(struct reader *r, const char *word, size_t len, value v, value *out)
{
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return false;
    r->p += len;
    *out = v;
    return true;
}

static enum status read_scalar(struct reader *r, value *out)
{
    char c = r->p < r->end ? *r->p : '\0';
    if (c == '"')
        return read_string(r, false, out);
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_number(r, out);
    if (read_word(r, "true", 4, VALUE_TRUE, out) || read_word(r, "false", 5, VALUE_FALSE, out) ||
        read_word(r, "null", 4, VALUE_NULL, out))
        return OK;
    return fail_unexpected(r, "a value");
}

/* ---- composites ---- */

static enum status grow_stack(struct reader *r)
{
    /* Not arena memory, but within the same allowance. */
    size_t cap = r->cap * 2;
    if (cap > r->arena->max / sizeof(value))
        return fail_at(r, r->p, ERR_LIMIT, "text needs more memory than allowed");
    value *bigger = realloc(r->heap_stack, cap * sizeof(value));
    if (bigger == NULL)
        return error_nomem(r->err);
    if (r->heap_stack == NULL)
        memcpy(bigger, r->inline_stack, r->len * sizeof(value));
    r->stack = r->heap_stack = bigger;
    r->cap = cap;
    return OK;
}

static inline enum status push(struct reader *r, value v)
{
    if (UNLIKELY(r->len == r->cap)) {
        enum status st = grow_stack(r);
        if (st != OK)
            return st;
    }
    r->stack[r->len++] = v;
    return OK;
}

/* Over one value of text that was read before. */
static void skip_value(struct reader *r)
{
    unsigned depth = 0;
    for (; r->p < r->end; r->p++) {
        char c = *r->p;
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return;
        if (c == '"')
            r->p = closing_quote(r->p + 1, r->end);
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
    }
}

/* Find the second occurrence of a key in an object that was read before, to point at it. */
static enum status fail_duplicate(struct reader *r, size_t start, value key)
{
    unsigned seen = 0;
    const char *at = r->begin + start;
    for (r->p = at + 1; r->p < r->end;) {
        skip_space(r);
        const char *here = r->p;
        value k;
        if (r->p == r->end || *r->p != '"' || read_string(r, true, &k) != OK)
            break;
        if (value_equal(k, key) && ++seen == 2) {
            at = here;
            break;
        }
        skip_value(r); /* the colon is no end of a value, so it is skipped, too */
        r->p++;
    }
    return fail_at(r, at, ERR_INVALID, "duplicate key \"%s\"", QUOTED(value_str(key)));
}

static enum status close_bracket(struct reader *r, value *out)
{
    const struct frame *f = &r->frames[--r->depth];
    const value *items = r->stack + f->base;
    size_t n = r->len - f->base;
    value duplicate = VALUE_UNDEFINED;

    r->p++;
    if (f->object)
        *out = value_object_from(r->arena, (const struct value_pair *)items, n / 2,
                                 r->duplicates == JSON_DUP_LAST ? VALUE_DUP_LAST : VALUE_DUP_REFUSE,
                                 &duplicate);
    else
        *out = value_array(r->arena, items, n);
    r->len = f->base;
    if (value_is_defined(*out))
        return OK;
    return value_is_defined(duplicate) ? fail_duplicate(r, f->start, duplicate) : fail_arena(r);
}

static enum status open_bracket(struct reader *r)
{
    if (r->depth == r->depth_max)
        return fail_at(r, r->p, ERR_LIMIT, "nested deeper than %u levels", r->depth_max);
    r->frames[r->depth++] =
        (struct frame){.base = r->len, .start = (size_t)(r->p - r->begin), .object = *r->p == '{'};
    r->p++;
    return OK;
}

/* A key and its colon. */
static enum status read_key(struct reader *r)
{
    skip_space(r);
    if (r->p == r->end || *r->p != '"')
        return fail_unexpected(r, "a key");
    size_t at = (size_t)(r->p - r->begin);
    value key;
    enum status st = read_string(r, true, &key);
    if (st != OK)
        return st;
    skip_space(r);
    if (r->p == r->end || *r->p != ':')
        return fail_unexpected(r, "\":\"");
    r->p++;
    if (r->tracker != NULL)
        json_track_member(r->tracker, value_str(key), at);
    return push(r, key);
}

/* What stands before a value: the key of a member, the index of an element. */
static enum status begin_item(struct reader *r)
{
    const struct frame *f = &r->frames[r->depth - 1];
    if (f->object)
        return read_key(r);
    if (r->tracker != NULL) {
        skip_space(r);
        json_track_element(r->tracker, r->len - f->base, (size_t)(r->p - r->begin));
    }
    return OK;
}

static enum status end_item(struct reader *r, value v, bool *more)
{
    enum status st = push(r, v);
    if (st != OK)
        return st;
    if (r->tracker != NULL)
        json_track_leave(r->tracker);

    skip_space(r);
    bool object = r->frames[r->depth - 1].object;
    char c = r->p < r->end ? *r->p : '\0';
    *more = c == ',';
    if (*more)
        r->p++;
    else if (c != (object ? '}' : ']'))
        return fail_unexpected(r, object ? "\",\" or \"}\"" : "\",\" or \"]\"");
    return OK;
}

/* One value, however deep. */
static enum status read_value(struct reader *r, value *out)
{
    enum status st;
    for (;;) {
        /* Down to a scalar or an empty composite ... */
        skip_space(r);
        if (r->p < r->end && (*r->p == '{' || *r->p == '[')) {
            char closing = *r->p == '{' ? '}' : ']';
            st = open_bracket(r);
            if (st != OK)
                return st;
            skip_space(r);
            if (r->p == r->end || *r->p != closing) {
                st = begin_item(r);
                if (st != OK)
                    return st;
                continue;
            }
            st = close_bracket(r, out);
        } else {
            st = read_scalar(r, out);
        }

        /* ... and up again through everything that ends with it. */
        bool more = false;
        while (st == OK && r->depth > 0 && !more) {
            st = end_item(r, *out, &more);
            if (st == OK)
                st = more ? begin_item(r) : close_bracket(r, out);
        }
        if (st != OK || !more)
            return st;
    }
}

/* ---- entry points ---- */

enum status json_read(struct arena *a, struct str text, const struct json_options *options,
                      struct json_tracker *tracker, value *out, size_t *used, struct error *err)
{
    /* 15 KB, of which a small document touches little: zeroing them all would cost more than it. */
    struct reader r __attribute__((uninitialized));
    r.arena = a;
    r.begin = r.p = text.len == 0 ? "" : text.ptr;
    r.end = r.begin + text.len;
    r.err = err;
    r.duplicates = options == NULL ? JSON_DUP_REFUSE : options->duplicates;
    r.depth_max = options == NULL || options->depth_max == 0 ? JSON_DEPTH_MAX : options->depth_max;
    if (r.depth_max > VALUE_DEPTH_MAX)
        r.depth_max = VALUE_DEPTH_MAX;
    r.depth = 0;
    r.tracker = tracker;
    r.stack = r.inline_stack;
    r.len = 0;
    r.cap = STACK_INLINE;
    r.heap_stack = NULL;
    memset(r.key_cache, 0, sizeof(r.key_cache));

    value v = VALUE_UNDEFINED;
    enum status st = read_value(&r, &v);
    if (st == OK && used != NULL) {
        *used = (size_t)(r.p - r.begin);
    } else if (st == OK) {
        skip_space(&r);
        if (r.p < r.end)
            st = fail_unexpected(&r, "the end of the text");
    }
    free(r.heap_stack);
    if (st == OK)
        *out = v;
    return st;
}

enum status json_parse(struct arena *a, struct str text, const struct json_options *options,
                       value *out, struct error *err)
{
    return json_read(a, text, options, NULL, out, NULL, err);
}

enum status json_parse_prefix(struct arena *a, struct str text, const struct json_options *options,
                              value *out, size_t *used, struct error *err)
{
    return json_read(a, text, options, NULL, out, used, err);
}
