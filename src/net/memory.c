#include <event2/event.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/server_internal.h"

/*
 * Flat memory after a crowd of connections.
 *
 * libevent keeps a record of 16 bytes for each descriptor number
 * that was ever used, until the base is freed.  Taken from malloc() between the
 * connections' own blocks, these few bytes pin a page each: of 145 MiB that
 * 10,000 TLS connections need, 35 stayed resident after they were closed
 * (bench_http).  So small blocks get pages of their own.
 *
 * The state is the process's because libevent's functions are.
 */
#define CELL 32 /* with its header */
#define HEADER sizeof(size_t)
#define CELLS 2048 /* a slab: 64 KiB */

/*
 * Before each block stands its size, which tells a cell from a block of
 * malloc(); those have 16 bytes in front, for their alignment.
 */
static size_t *size_of(void *p)
{
    return (size_t *)p - 1;
}

static struct {
    pthread_mutex_t lock;
    void **free;  /* each points to the next */
    void **slabs; /* likewise, for leak checkers: their first cell holds the link */
} cells = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void put_cell(void *p)
{
    *(void **)p = cells.free;
    cells.free = p;
}

static void *take_cell(void)
{
    pthread_mutex_lock(&cells.lock);
    if (cells.free == NULL) {
        char *slab = aligned_alloc(4096, (size_t)CELL * CELLS);
        for (size_t i = 1; slab != NULL && i < CELLS; i++)
            put_cell(slab + i * CELL + HEADER);
        if (slab != NULL) {
            *(void **)(void *)slab = cells.slabs;
            cells.slabs = (void **)(void *)slab;
        }
    }
    void **p = cells.free;
    if (p != NULL)
        cells.free = *p;
    pthread_mutex_unlock(&cells.lock);
    return p;
}

static void *allocate(size_t size)
{
    char *p = NULL;
    if (size <= CELL - HEADER)
        p = take_cell();
    else if (size <= SIZE_MAX - 2 * HEADER && (p = malloc(size + 2 * HEADER)) != NULL)
        p += 2 * HEADER;
    if (p != NULL)
        *size_of(p) = size;
    return p;
}

static void release(void *p)
{
    if (p == NULL)
        return;
    if (*size_of(p) > CELL - HEADER) {
        free((char *)p - 2 * HEADER);
        return;
    }
    pthread_mutex_lock(&cells.lock);
    put_cell(p);
    pthread_mutex_unlock(&cells.lock);
}

static void *resize(void *p, size_t size)
{
    if (p == NULL)
        return allocate(size);
    if (size == 0) {
        release(p);
        return NULL;
    }
    void *q = allocate(size);
    if (q == NULL)
        return NULL;
    size_t old = *size_of(p);
    memcpy(q, p, old < size ? old : size);
    release(p);
    return q;
}

/* Modules do not log: what libevent warns about comes back as an error of the call, too. */
static void on_log(int severity, const char *text)
{
    if (severity == EVENT_LOG_ERR) /* it ends the process */
        fprintf(stderr, "libevent: %s\n", text);
}

/*
 * Blocks of this size and more are mapped and unmapped one by one.  glibc begins
 * there, too, but raises its threshold to the size of the first such block that
 * is freed: after a dozen bodies of 2 MiB, which anybody can send, 40 MiB of
 * their values stayed resident for ever (9 MiB at rest, now 2 above it).
 */
#define MAPPED_MIN (128 * 1024)

/*
 * What the end of the heap may keep.  Less than what one attestation takes, 170 KiB,
 * made each of them give its pages back and have them zeroed anew: 42 page faults.
 */
#define TRIMMED_MIN (1024 * 1024)

static void set_functions(void)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
    mallopt(M_TRIM_THRESHOLD, TRIMMED_MIN);
    /* Each thread has a cache of small blocks; these bins are merged at each large free. */
    mallopt(M_MXFAST, 0);
    event_set_mem_functions(allocate, resize, release);
    event_set_log_callback(on_log);
}

void memory_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* before the first call of libevent */
    pthread_once(&once, set_functions);
}

/* ---- giving back ---- */

/*
 * glibc keeps the last 7 blocks of each size up to 1032 bytes for the thread
 * (its tcache), wherever they lie: after a crowd has left, 448 of them are
 * spread over the heap and pin 2 MiB.  Take 14 of each size, the 7 and 7 that
 * lie together, and free the latter first: the cache is full then, and the
 * scattered ones return to the heap.  With another allocator this is harmless.
 */
static void move_thread_cache(void)
{
    enum { CACHED = 7, SMALLEST = 24, LARGEST = 1032 };
    for (size_t size = SMALLEST; size <= LARGEST; size += 16) {
        void *volatile blocks[2 * CACHED]; /* volatile: all this is not optimised away */
        for (int i = 0; i < 2 * CACHED; i++)
            blocks[i] = malloc(size);
        for (int i = 2 * CACHED - 1; i >= 0; i--)
            free(blocks[i]);
    }
}

void memory_give_back(void)
{
    move_thread_cache();
    malloc_trim(0);
}
