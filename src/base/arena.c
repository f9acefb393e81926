#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* with this header */
    char data[] __attribute__((aligned(ARENA_ALIGN)));
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_init_secret(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max, .wipe = true};
}

static void free_chunk(struct arena *a, struct arena_chunk *c)
{
    a->used -= c->size;
    if (a->wipe)
        explicit_bzero(c, c->size);
    free(c);
}

void arena_done(struct arena *a)
{
    while (a->chunk != NULL) {
        struct arena_chunk *older = a->chunk->older;
        free_chunk(a, a->chunk);
        a->chunk = older;
    }
    a->next = a->end = NULL;
    a->failed = OK;
}

void arena_reset(struct arena *a)
{
    arena_reset_keeping(a, 0);
}

/* Newer chunks are larger than older ones, unless something large needed one of its own. */
void arena_reset_keeping(struct arena *a, size_t size)
{
    bool dirty_to_end = false;
    while (a->chunk != NULL && a->chunk->older != NULL && a->chunk->size > size) {
        struct arena_chunk *older = a->chunk->older;
        free_chunk(a, a->chunk);
        a->chunk = older;
        dirty_to_end = true;
    }
    while (a->chunk != NULL && a->chunk->older != NULL) {
        struct arena_chunk *older = a->chunk->older;
        a->chunk->older = older->older;
        free_chunk(a, older);
    }
    if (a->chunk != NULL) {
        /* Only what was handed out: what rollbacks gave back was wiped by them. */
        char *end = dirty_to_end ? (char *)a->chunk + a->chunk->size : a->next;
        if (a->wipe)
            explicit_bzero(a->chunk->data, (size_t)(end - a->chunk->data));
        a->next = a->chunk->data;
        a->end = (char *)a->chunk + a->chunk->size;
    }
    a->failed = OK;
}

/* After a failure nothing is handed out any more, not even what would still fit. */
static void *fail(struct arena *a, enum status st)
{
    if (a->failed == OK)
        a->failed = st;
    a->end = a->next;
    return NULL;
}

void arena_fail(struct arena *a, enum status why)
{
    fail(a, why);
}

void *arena_alloc_slow(struct arena *a, size_t size)
{
    if (a->failed != OK)
        return NULL;

    size_t room = a->chunk == NULL ? ARENA_CHUNK_MIN : a->chunk->size * 2;
    if (room > ARENA_CHUNK_MAX)
        room = ARENA_CHUNK_MAX;
    size_t need;
    if (!size_add(size, sizeof(struct arena_chunk) + ARENA_ALIGN, &need))
        return fail(a, ERR_LIMIT);
    if (room < need)
        room = need;
    if (room > a->max - (a->used < a->max ? a->used : a->max))
        room = need; /* the last bytes of the allowance may still be enough */
    if (a->used > a->max || room > a->max - a->used)
        return fail(a, ERR_LIMIT);

    struct arena_chunk *c = malloc(room);
    if (c == NULL)
        return fail(a, ERR_NOMEM);
    c->older = a->chunk;
    c->size = room;
    a->chunk = c;
    a->used += room;
    a->next = c->data;
    a->end = (char *)c + room;
    return arena_alloc(a, size);
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (!size_mul(count, size, &total))
        return fail(a, ERR_LIMIT);
    void *p = arena_alloc(a, total);
    if (p != NULL)
        memset(p, 0, total);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = s.len == SIZE_MAX ? NULL : arena_alloc(a, s.len + 1);
    if (p == NULL)
        return (struct str){NULL, 0};
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return (struct str){p, s.len};
}

struct str arena_join(struct arena *a, const struct str *parts, size_t n)
{
    size_t len = 1;
    bool fits = true;
    for (size_t i = 0; i < n; i++)
        fits = fits && size_add(len, parts[i].len, &len);
    char *p = fits ? arena_alloc(a, len) : NULL;
    if (p == NULL)
        return (struct str){NULL, 0};
    char *w = p;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > 0)
            memcpy(w, parts[i].ptr, parts[i].len);
        w += parts[i].len;
    }
    *w = '\0';
    return (struct str){p, len - 1};
}

struct str arena_format(struct arena *a, const char *format, ...)
{
    /* Where the text will most likely lie, so that it is made once. */
    char *here = a->next;
    size_t room = here == NULL ? 0 : (size_t)(a->end - here);
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(here, room, format, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p != NULL && p == here)
        return (struct str){p, (size_t)n};
    if (a->wipe && room > 0) /* what was begun; a reset wipes what was handed out only */
        explicit_bzero(here, room);
    if (p == NULL)
        return (struct str){NULL, 0};

    va_start(ap, format);
    vsnprintf(p, (size_t)n + 1, format, ap);
    va_end(ap);
    return (struct str){p, (size_t)n};
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->chunk, a->next};
}

void arena_rollback(struct arena *a, struct arena_mark mark)
{
    if (a->failed != OK)
        return;
    bool older_chunk = a->chunk != mark.chunk;
    while (a->chunk != mark.chunk && a->chunk != NULL) {
        struct arena_chunk *older = a->chunk->older;
        if (older == NULL && mark.chunk == NULL) {
            /* Marked while empty: keep the first chunk, as arena_reset() does. */
            if (a->wipe)
                explicit_bzero(a->chunk->data, a->chunk->size - sizeof(*a->chunk));
            a->next = a->chunk->data;
            a->end = (char *)a->chunk + a->chunk->size;
            return;
        }
        free_chunk(a, a->chunk);
        a->chunk = older;
    }
    if (a->chunk != NULL) {
        char *used = older_chunk ? (char *)a->chunk + a->chunk->size : a->next;
        if (a->wipe)
            explicit_bzero(mark.next, (size_t)(used - mark.next));
        a->next = mark.next;
        a->end = (char *)a->chunk + a->chunk->size;
    }
}

enum status arena_status(const struct arena *a)
{
    return a->failed;
}
