/*
 * arena - things of one lifetime, allocated by bumping and released together.
 *
 * An arena has a byte limit: past it allocations return NULL and the arena
 * remembers ERR_LIMIT (or ERR_NOMEM), so that code which builds a large
 * structure may check once at the end.  One thread at a time; a finished arena
 * that nobody allocates from any more may be read by all.
 */
#pragma once

#include "base/defs.h"

#define ARENA_ALIGN 16
#define ARENA_CHUNK_MIN 4096          /* the first chunk */
#define ARENA_CHUNK_MAX (1024 * 1024) /* later ones double up to this */

struct arena_chunk;

struct arena {
    char *next; /* free space of the current chunk */
    char *end;
    struct arena_chunk *chunk; /* the current one, linked to the older ones */
    size_t used;               /* bytes of all chunks: what counts against `max` */
    size_t max;
    enum status failed;
    bool wipe; /* zero the chunks before they are freed or reused */
    /* Of a value made in it: the size that it would have if nothing were shared, in units of
       16 bytes (value.c); 0: any. */
    uint32_t unshared_max;
};

/* A point to go back to with arena_rollback(). */
struct arena_mark {
    struct arena_chunk *chunk;
    char *next;
};

void arena_init(struct arena *a, size_t max);
void arena_init_secret(struct arena *a, size_t max);
void arena_done(struct arena *a);

/* Forget everything but the first chunk, which stays for the next round. */
void arena_reset(struct arena *a);

/* The same, but the largest chunk of up to `size` bytes stays. */
void arena_reset_keeping(struct arena *a, size_t size);

/* Uninitialised memory, aligned to ARENA_ALIGN; NULL after a failure, and only then. */
void *arena_alloc_slow(struct arena *a, size_t size);

static inline void *arena_alloc(struct arena *a, size_t size)
{
    if (UNLIKELY(size > SIZE_MAX - ARENA_ALIGN))
        return arena_alloc_slow(a, size);
    size += size == 0; /* of a fresh arena, nothing would be at NULL, and look like a failure */
    size_t rounded = (size + (ARENA_ALIGN - 1)) & ~(size_t)(ARENA_ALIGN - 1);
    if (LIKELY(rounded <= (size_t)(a->end - a->next))) {
        void *p = a->next;
        a->next += rounded;
        return p;
    }
    return arena_alloc_slow(a, size);
}

/* `count` items of `size` bytes, zeroed; NULL when the product overflows too. */
void *arena_zalloc(struct arena *a, size_t count, size_t size);

#define arena_new(a, type) ((type *)arena_zalloc((a), 1, sizeof(type)))
#define arena_new_array(a, type, count) ((type *)arena_zalloc((a), (count), sizeof(type)))

/* A NUL-terminated copy; {NULL, 0} after a failure. */
struct str arena_str(struct arena *a, struct str s);

/* The parts one after the other, NUL-terminated; {NULL, 0} after a failure. */
struct str arena_join(struct arena *a, const struct str *parts, size_t n);

/* printf() into the arena, NUL-terminated; {NULL, 0} after a failure. */
struct str arena_format(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

struct arena_mark arena_mark(const struct arena *a);

/* Release everything allocated since the mark; after a failure nothing happens. */
void arena_rollback(struct arena *a, struct arena_mark mark);

/*
 * Grow or shrink the newest allocation where it lies.  False, and nothing has
 * happened, when `p` is not the newest or its chunk has no room.
 */
static inline bool arena_resize(struct arena *a, void *p, size_t old_size, size_t new_size)
{
    size_t mask = ARENA_ALIGN - 1;
    if (a->failed != OK || new_size > SIZE_MAX - ARENA_ALIGN ||
        (char *)p + ((old_size + mask) & ~mask) != a->next)
        return false;
    size_t rounded = (new_size + mask) & ~mask;
    if (rounded > (size_t)(a->end - (char *)p))
        return false;
    if (UNLIKELY(a->wipe) && (char *)p + rounded < a->next)
        explicit_bzero((char *)p + rounded, (size_t)(a->next - ((char *)p + rounded)));
    a->next = (char *)p + rounded;
    return true;
}

/* Make the arena fail from now on, as if an allocation had; the first reason stays. */
void arena_fail(struct arena *a, enum status why);

/* OK, or why the first failed allocation failed. */
STATUS arena_status(const struct arena *a);
