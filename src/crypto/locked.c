#include "crypto/locked.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "confine/confine.h"
#include "crypto/crypto.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/*
 * Blocks follow each other without gaps; `size` is what follows the header.
 *
 *   | header | size bytes | header | size bytes | ...
 *
 * They are few and live long, so the first that fits is taken, in order, and
 * free neighbours are joined on the way.
 */
struct block {
    size_t size;
    size_t used; /* 0: free */
};
#define UNIT sizeof(struct block) /* 16: what malloc() aligns to, too */

static struct {
    pthread_mutex_t lock;
    char *begin, *end; /* NULL: no region */
    size_t used, spilled;
    bool locked;
} region = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread unsigned depth; /* of locked_begin() */

static struct block *block_of(void *p)
{
    return (struct block *)p - 1;
}

static struct block *next_of(struct block *b)
{
    return (struct block *)(void *)((char *)(b + 1) + b->size);
}

static bool is_end(const struct block *b)
{
    return (const char *)b >= region.end;
}

bool locked_holds(const void *p)
{
    return (const char *)p >= region.begin && (const char *)p < region.end;
}

static void *take(size_t size)
{
    size = size > LOCKED_MAX ? LOCKED_MAX : (size + UNIT - 1) / UNIT * UNIT;
    struct block *found = NULL;
    pthread_mutex_lock(&region.lock);
    for (struct block *b = (struct block *)(void *)region.begin; !is_end(b) && found == NULL;
         b = next_of(b)) {
        if (b->used)
            continue;
        for (struct block *n = next_of(b); !is_end(n) && !n->used; n = next_of(b))
            b->size += UNIT + n->size;
        if (b->size >= size)
            found = b;
    }
    if (found != NULL) {
        if (found->size > size + UNIT) {
            size_t rest = found->size - size - UNIT;
            found->size = size;
            *next_of(found) = (struct block){rest, 0};
        }
        found->used = 1;
        region.used += found->size;
    } else {
        region.spilled++;
    }
    pthread_mutex_unlock(&region.lock);
    return found == NULL ? NULL : found + 1;
}

static void give_back(void *p)
{
    struct block *b = block_of(p);
    explicit_bzero(p, b->size);
    pthread_mutex_lock(&region.lock);
    region.used -= b->size;
    b->used = 0;
    pthread_mutex_unlock(&region.lock);
}

/* ---- OpenSSL's three functions ---- */

static void *allocate(size_t size, const char *file, int line)
{
    void *p = depth > 0 ? take(size) : NULL;
    return p != NULL ? p : malloc(size);
}

static void release(void *p, const char *file, int line)
{
    if (locked_holds(p))
        give_back(p);
    else
        free(p);
}

static void *resize(void *p, size_t size, const char *file, int line)
{
    if (p == NULL)
        return allocate(size, file, line);
    if (!locked_holds(p))
        return realloc(p, size);
    if (size == 0) {
        give_back(p);
        return NULL;
    }
    /* What was a secret stays one, whoever makes it longer. */
    void *q = take(size);
    if (q == NULL && (q = malloc(size)) == NULL)
        return NULL;
    size_t old = block_of(p)->size;
    memcpy(q, p, old < size ? old : size);
    give_back(p);
    return q;
}

/* ---- the region ---- */

bool locked_init(void)
{
    if (region.begin != NULL)
        return false;
    if (CONFINE_SANITIZED) /* which would take what only the region points to for lost */
        return false;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, LOCKED_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    char *begin = map + page;
    if (mprotect(begin, LOCKED_MAX, PROT_READ | PROT_WRITE) != 0 ||
        CRYPTO_set_mem_functions(allocate, resize, release) != 1) {
        munmap(map, LOCKED_MAX + 2 * page);
        return false;
    }
    region.locked = mlock2(begin, LOCKED_MAX, MLOCK_ONFAULT) == 0;
    madvise(begin, LOCKED_MAX, MADV_DONTDUMP);
    madvise(begin, LOCKED_MAX, MADV_WIPEONFORK);
    *(struct block *)(void *)begin = (struct block){LOCKED_MAX - UNIT, 0};
    region.begin = begin;
    region.end = begin + LOCKED_MAX;
    return true;
}

/* What OpenSSL allocates once for the whole process is no key, and far too much: a first pair. */
static void warm_up(void)
{
    struct privkey *first = NULL;
    status_ignore(privkey_generate(KEY_EC_P256, 0, &first, NULL));
    privkey_unref(first);
}

void locked_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (region.begin == NULL)
        return;
    pthread_once(&once, warm_up);
    depth++;
}

void locked_end(void)
{
    depth -= region.begin != NULL;
}

void locked_get_state(struct locked_state *out)
{
    pthread_mutex_lock(&region.lock);
    *out = (struct locked_state){region.locked, region.used, region.spilled};
    pthread_mutex_unlock(&region.lock);
}
