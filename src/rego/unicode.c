#include "rego/unicode.h"

#include "base/utf8.h"

struct case_run {
    uint32_t first, last;
    uint32_t stride; /* 2: every other code point, as in Latin Extended-A */
    int32_t delta;
};

struct run {
    uint32_t first, last;
};

#include "rego/unicode_tables.h"

/*
 * The runs are sorted by their first code point, and runs with different
 * deltas may interleave: look back from the last that begins at or before.
 * Those that a code point can fall into are few and near.
 */
static int32_t case_delta(const struct case_run *runs, size_t n, uint32_t rune)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (runs[mid].first <= rune)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t i = lo; i > 0; i--) {
        const struct case_run *r = &runs[i - 1];
        if (rune <= r->last && (rune - r->first) % r->stride == 0)
            return r->delta;
    }
    return 0;
}

uint32_t unicode_to_upper(uint32_t rune)
{
    if (rune < 0x80)
        return rune >= 'a' && rune <= 'z' ? rune - 32 : rune;
    return (uint32_t)((int32_t)rune + case_delta(upper_runs, ARRAY_LEN(upper_runs), rune));
}

uint32_t unicode_to_lower(uint32_t rune)
{
    if (rune < 0x80)
        return rune >= 'A' && rune <= 'Z' ? rune + 32 : rune;
    return (uint32_t)((int32_t)rune + case_delta(lower_runs, ARRAY_LEN(lower_runs), rune));
}

bool unicode_is_space(uint32_t rune)
{
    return (rune >= 0x09 && rune <= 0x0d) || rune == 0x20 || rune == 0x85 || rune == 0xa0 ||
           rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 ||
           rune == 0x2029 || rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

bool unicode_is_printable(uint32_t rune)
{
    if (rune < 0x80)
        return rune >= 0x20 && rune < 0x7f;
    size_t lo = 0;
    size_t hi = ARRAY_LEN(printable_runs);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (printable_runs[mid].last < rune)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < ARRAY_LEN(printable_runs) && rune >= printable_runs[lo].first;
}

void unicode_quote_rune(struct buf *out, uint32_t rune, char quote)
{
    static const char named[] = "\a\b\t\n\v\f\r";
    static const char letters[] = "abtnvfr";
    const char *p = rune != 0 && rune < 0x20 ? strchr(named, (int)rune) : NULL;
    if (rune == (unsigned char)quote || rune == '\\') {
        buf_add_byte(out, '\\');
        buf_add_byte(out, (char)rune);
    } else if (p != NULL) {
        buf_add_byte(out, '\\');
        buf_add_byte(out, letters[p - named]);
    } else if (unicode_is_printable(rune)) {
        char text[4];
        buf_add(out, str_bytes(text, utf8_encode(rune, text)));
    } else if (rune < 0x20 || rune == 0x7f) {
        buf_add_format(out, "\\x%02x", rune);
    } else if (rune < 0x10000) {
        buf_add_format(out, "\\u%04x", rune);
    } else {
        buf_add_format(out, "\\U%08x", rune);
    }
}

void unicode_quote(struct buf *out, struct str s)
{
    buf_add_byte(out, '"');
    for (size_t at = 0; at < s.len;) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, at), &rune);
        if (n == 0)
            buf_add_format(out, "\\x%02x", (unsigned char)s.ptr[at]);
        else
            unicode_quote_rune(out, rune, '"');
        at += n == 0 ? 1 : n;
    }
    buf_add_byte(out, '"');
}
