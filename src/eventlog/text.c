#include "eventlog/text.h"

#include "base/utf8.h"

#define REPLACEMENT 0xfffdu

bool text_from_utf16(struct arena *a, struct str bytes, bool lossy, struct str *out)
{
    if (bytes.len % 2 != 0 && !lossy)
        return false;
    size_t units = bytes.len / 2;
    char *text = arena_alloc(a, units * 3 + 4); /* a unit takes at most three bytes */
    if (text == NULL)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < units; i++) {
        uint32_t c = load_le16(bytes.ptr + 2 * i);
        if (c >= 0xd800 && c <= 0xdbff && i + 1 < units) {
            uint32_t low = load_le16(bytes.ptr + 2 * i + 2);
            if (low >= 0xdc00 && low <= 0xdfff) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i++;
            }
        }
        if (c >= 0xd800 && c <= 0xdfff) {
            if (!lossy)
                return false;
            c = REPLACEMENT;
        }
        len += utf8_encode(c, text + len);
    }
    if (bytes.len % 2 != 0)
        len += utf8_encode(REPLACEMENT, text + len);
    *out = (struct str){text, len};
    return true;
}

/* Bytes of the longest part that could begin a character and does not: Unicode 3.9, U+FFFD. */
static size_t invalid_part(struct str s)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t want = lead >= 0xf0 && lead <= 0xf4   ? 3
                  : lead >= 0xe0 && lead <= 0xef ? 2
                  : lead >= 0xc2 && lead <= 0xdf ? 1
                                                 : 0;
    size_t n = 1;
    for (; n <= want && n < s.len; n++) {
        unsigned char c = (unsigned char)s.ptr[n];
        unsigned char low = 0x80, high = 0xbf;
        if (n == 1 && lead == 0xe0)
            low = 0xa0;
        if (n == 1 && lead == 0xed)
            high = 0x9f;
        if (n == 1 && lead == 0xf0)
            low = 0x90;
        if (n == 1 && lead == 0xf4)
            high = 0x8f;
        if (c < low || c > high)
            break;
    }
    return n;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

struct str text_lossy(struct arena *a, struct str bytes, enum text_filter filter)
{
    char *text = arena_alloc(a, bytes.len * 3 + 1);
    if (text == NULL)
        return (struct str){NULL, 0};
    size_t len = 0;
    while (bytes.len > 0) {
        uint32_t c;
        size_t n = utf8_decode(bytes, &c);
        if (n == 0) {
            c = REPLACEMENT;
            n = invalid_part(bytes);
        }
        bytes = str_from(bytes, n);
        if (filter == TEXT_NO_NULS && c == 0)
            continue;
        if (filter == TEXT_CLEAN && c == 0x10)
            c = ' ';
        else if (filter == TEXT_CLEAN && is_control(c))
            continue;
        len += utf8_encode(c, text + len);
    }
    return (struct str){text, len};
}
