#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max, .wipe = true};
}

static void release(struct buf *b)
{
    if (b->wipe && b->ptr != NULL)
        explicit_bzero(b->ptr, b->cap);
    free(b->ptr);
}

void buf_done(struct buf *b)
{
    release(b);
    *b = (struct buf){.max = b->max, .wipe = b->wipe};
}

void buf_reset(struct buf *b)
{
    if (b->wipe && b->ptr != NULL)
        explicit_bzero(b->ptr, b->len);
    b->len = 0;
    b->failed = OK;
}

bool buf_reserve_slow(struct buf *b, size_t n)
{
    if (b->failed != OK)
        return false;

    size_t want;
    if (!size_add(b->len, n, &want) || want > b->max) {
        b->failed = ERR_LIMIT;
        return false;
    }
    if (want <= b->cap)
        return true;

    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap < want)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    if (cap < want)
        cap = want;
    if (cap > b->max) /* or buf_add_byte() would fill what was rounded up */
        cap = b->max;

    /* Not realloc(): it would leave the old bytes of a secret behind. */
    char *p = malloc(cap);
    if (p == NULL) {
        b->failed = ERR_NOMEM;
        return false;
    }
    if (b->len > 0)
        memcpy(p, b->ptr, b->len);
    release(b);
    b->ptr = p;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, struct str s)
{
    if (s.len == 0 || !buf_reserve(b, s.len))
        return;
    memcpy(b->ptr + b->len, s.ptr, s.len);
    b->len += s.len;
}

void buf_add_cstr(struct buf *b, const char *s)
{
    buf_add(b, str_of(s));
}

void buf_add_format(struct buf *b, const char *format, ...)
{
    if (b->failed != OK)
        return;

    size_t room = b->cap - b->len;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(buf_end(b), room, format, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = ERR_INTERNAL;
    } else if ((size_t)n >= room && buf_reserve(b, (size_t)n + 1)) {
        va_start(ap, format);
        vsnprintf(buf_end(b), (size_t)n + 1, format, ap);
        va_end(ap);
    }
    if (b->failed != OK) {
        if (b->wipe && room > 0) /* what was begun; buf_reset() wipes up to the length only */
            explicit_bzero(buf_end(b), room);
        return;
    }
    b->len += (size_t)n;
}

enum status buf_status(const struct buf *b)
{
    return b->failed;
}
