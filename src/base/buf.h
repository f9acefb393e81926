/*
 * buf - owned, growing bytes with a maximum.
 *
 * A writer that appends remembers its first failure: after it, appends do
 * nothing and buf_status() says what happened, so a sequence of appends needs
 * one check.  Memory is wiped before it is freed or moved when the buffer was
 * started with buf_init_secret().
 */
#pragma once

#include "base/defs.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;         /* append beyond it: ERR_LIMIT */
    enum status failed; /* the first failure, or OK */
    bool wipe;
};

/* An empty buffer that will hold at most `max` bytes. */
void buf_init(struct buf *b, size_t max);
void buf_init_secret(struct buf *b, size_t max);

/* Release the memory; the buffer is empty and usable again afterwards. */
void buf_done(struct buf *b);

/* Forget the content and the failure, keep the memory. */
void buf_reset(struct buf *b);

/* Make room for `n` more bytes; true when there is. */
bool buf_reserve_slow(struct buf *b, size_t n);

static inline bool buf_reserve(struct buf *b, size_t n)
{
    return LIKELY(b->failed == OK && n <= b->cap - b->len) || buf_reserve_slow(b, n);
}

/* Where the next byte goes, after buf_reserve(); NULL when there never was room (C has no NULL +
 * 0). */
static inline char *buf_end(struct buf *b)
{
    return b->ptr == NULL ? NULL : b->ptr + b->len;
}

void buf_add(struct buf *b, struct str s);
void buf_add_cstr(struct buf *b, const char *s);
void buf_add_format(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

static inline void buf_add_byte(struct buf *b, char c)
{
    if (buf_reserve(b, 1))
        b->ptr[b->len++] = c;
}

/* OK, or the first failure (ERR_NOMEM, ERR_LIMIT). */
STATUS buf_status(const struct buf *b);

/* What is in it, borrowed until the next change. */
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr == NULL ? "" : b->ptr, b->len};
}

/* For CLEANUP(buf_done): the variable is the struct itself. */
