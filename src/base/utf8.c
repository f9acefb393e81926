#include "base/utf8.h"

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t utf8_decode(struct str s, uint32_t *rune)
{
    if (s.len == 0)
        return 0;

    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80) {
        *rune = p[0];
        return 1;
    }
    if (p[0] < 0xc2) /* a continuation byte, or the over-long C0 and C1 */
        return 0;
    if (p[0] < 0xe0) {
        if (s.len < 2 || !is_continuation(s.ptr[1]))
            return 0;
        *rune = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        return 2;
    }
    if (p[0] < 0xf0) {
        if (s.len < 3 || !is_continuation(s.ptr[1]) || !is_continuation(s.ptr[2]))
            return 0;
        uint32_t r = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        if (r < 0x800 || (r >= 0xd800 && r <= 0xdfff))
            return 0;
        *rune = r;
        return 3;
    }
    if (p[0] > 0xf4 || s.len < 4 || !is_continuation(s.ptr[1]) || !is_continuation(s.ptr[2]) ||
        !is_continuation(s.ptr[3]))
        return 0;
    uint32_t r = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
                 (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    if (r < 0x10000 || r > 0x10ffff)
        return 0;
    *rune = r;
    return 4;
}

size_t utf8_encode(uint32_t rune, char out[4])
{
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    if (rune < 0x800) {
        out[0] = (char)(0xc0 | rune >> 6);
        out[1] = (char)(0x80 | (rune & 0x3f));
        return 2;
    }
    if (rune < 0x10000) {
        if (rune >= 0xd800 && rune <= 0xdfff)
            return 0;
        out[0] = (char)(0xe0 | rune >> 12);
        out[1] = (char)(0x80 | (rune >> 6 & 0x3f));
        out[2] = (char)(0x80 | (rune & 0x3f));
        return 3;
    }
    if (rune > 0x10ffff)
        return 0;
    out[0] = (char)(0xf0 | rune >> 18);
    out[1] = (char)(0x80 | (rune >> 12 & 0x3f));
    out[2] = (char)(0x80 | (rune >> 6 & 0x3f));
    out[3] = (char)(0x80 | (rune & 0x3f));
    return 4;
}

bool utf8_is_valid(struct str s)
{
    size_t i = 0;
    while (i < s.len) {
        /* Eight ASCII bytes at a time: nearly all text is. */
        if (s.len - i >= 8) {
            uint64_t w;
            memcpy(&w, s.ptr + i, 8);
            if ((w & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, i), &rune);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t utf8_count(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; count++) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, i), &rune);
        i += n == 0 ? 1 : n;
    }
    return count;
}

bool rune_is_visible(uint32_t rune)
{
    if (rune < 0x20 || (rune >= 0x7f && rune < 0xa0))
        return false;
    return rune != 0x061c && rune != 0x200e && rune != 0x200f &&
           !(rune >= 0x2028 && rune <= 0x202e) && !(rune >= 0x2066 && rune <= 0x2069);
}
