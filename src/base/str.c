#include "base/defs.h"

size_t str_find(struct str s, char c, size_t from)
{
    if (from >= s.len)
        return s.len;
    const char *p = memchr(s.ptr + from, c, s.len - from);
    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

int str_compare(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}
