/*
 * Hash indexes for loops: which items of a collection have a given value in a given
 * place.  Those over base documents can be kept beside the documents and are then
 * shared by all evaluations (struct rego_indexes); others are made when one
 * evaluation loops over the same collection again, and go with it.
 */
#include "rego/vm.h"

#include <stdlib.h>

#include "base/hash.h"

/* Collections that are worth it, and how many an evaluation remembers that it has seen. */
#define ITEMS_MIN 16
#define SEEN_MAX 64 /* a power of two */
#define ITEMS_A_STEP 16

#define KEPT_BUCKETS 256 /* a power of two */

/* `heads` by hash, then `next` by item: numbers of items, ascending, LOOP_END at the end. */
struct loop_index {
    struct loop_index *chain; /* of kept ones */
    uint64_t id;              /* likewise: of collection and path */
    value of;
    uint32_t path_len;
    uint32_t mask;
    uint32_t *heads;
    uint32_t *next;
    value *path; /* kept ones: a copy, for the policy may go first */
};

struct loop_seen {
    uint64_t collection;
    const value *path;
    uint32_t count;
    struct loop_index *index;
};

/* ---- building ---- */

static value item_of(value c, size_t i)
{
    return value_is_object(c) ? value_pairs(c)[i].val : value_items(c)[i];
}

static value member(value v, const value *path, uint32_t len, uint32_t *near)
{
    for (uint32_t i = 0; i < len && value_is_defined(v); i++)
        v = value_is_object(v) ? value_get_near(v, path[i], &near[i % 4])
                               : value_lookup(v, path[i]); /* a set of names */
    return v;
}

static uint32_t heads_for(size_t n)
{
    uint32_t heads = 16;
    while (heads < n)
        heads *= 2;
    return heads;
}

static size_t index_bytes(size_t n)
{
    return sizeof(struct loop_index) + (heads_for(n) + n) * sizeof(uint32_t);
}

/* `memory` has index_bytes(). */
static struct loop_index *build(void *memory, value c, const value *path, uint32_t len)
{
    size_t n = value_len(c);
    struct loop_index *x = memory;
    *x = (struct loop_index){.of = c, .path_len = len, .mask = heads_for(n) - 1};
    x->heads = (uint32_t *)(x + 1);
    x->next = x->heads + x->mask + 1;
    memset(x->heads, 0xff, ((size_t)x->mask + 1) * sizeof(uint32_t));
    uint32_t near[4] = {0};
    for (size_t i = n; i-- > 0;) {
        value v = member(item_of(c, i), path, len, near);
        if (!value_is_defined(v))
            continue;
        uint32_t at = value_hash(v) & x->mask;
        x->next[i] = x->heads[at];
        x->heads[at] = (uint32_t)i;
    }
    return x;
}

static uint32_t loop_first(const struct loop_index *x, value key)
{
    return x->heads[value_hash(key) & x->mask];
}

uint32_t loop_next(const struct loop_index *x, uint32_t item)
{
    return x->next[item];
}

value loop_collection(const struct loop_index *x)
{
    return x->of;
}

/* ---- kept ones ---- */

struct rego_indexes {
    value data;
    size_t max;
    _Atomic size_t used;
    _Atomic(struct loop_index *) buckets[KEPT_BUCKETS];
};

struct rego_indexes *rego_indexes_new(value data, size_t max)
{
    struct rego_indexes *all = calloc(1, sizeof(*all));
    if (all != NULL) {
        all->data = data;
        all->max = max == 0 ? REGO_INDEXES_MAX : max;
    }
    return all;
}

struct rego_indexes *rego_indexes_free(struct rego_indexes *all)
{
    for (size_t i = 0; all != NULL && i < KEPT_BUCKETS; i++) {
        struct loop_index *x = atomic_load_explicit(&all->buckets[i], memory_order_relaxed);
        while (x != NULL) {
            struct loop_index *next = x->chain;
            free(x);
            x = next;
        }
    }
    free(all);
    return NULL;
}

static uint64_t id_of(value c, const value *path, uint32_t len)
{
    uint64_t h = hash_mix(0x6c6f6f70, c.word);
    for (uint32_t i = 0; i < len; i++)
        h = hash_mix(h, value_hash(path[i]));
    return h;
}

static bool is_same(const struct loop_index *x, value c, const value *path, uint32_t len)
{
    if (x->of.word != c.word || x->path_len != len)
        return false;
    for (uint32_t i = 0; i < len; i++)
        if (!value_equal(x->path[i], path[i]))
            return false;
    return true;
}

/* The path's names, behind the index in one block. */
static struct loop_index *make_kept(value c, const value *path, uint32_t len, size_t *bytes)
{
    size_t index = (index_bytes(value_len(c)) + 15) & ~(size_t)15;
    size_t texts = 0;
    for (uint32_t i = 0; i < len; i++)
        texts += value_size(path[i]);
    *bytes = index + len * sizeof(value) + 15 + texts;
    char *memory = malloc(*bytes);
    if (memory == NULL)
        return NULL;
    struct loop_index *x = build(memory, c, path, len);
    x->path = (value *)(memory + index);
    char *text = memory + ((index + len * sizeof(value) + 15) & ~(size_t)15);
    for (uint32_t i = 0; i < len; i++) {
        memcpy(text, value_heap(path[i]), sizeof(struct value_heap) + value_str(path[i]).len + 1);
        x->path[i] = (value){(uint64_t)(uintptr_t)text};
        text += value_size(path[i]);
    }
    return x;
}

static struct loop_index *find_kept(struct rego_ctx *ctx, value c, const value *path, uint32_t len)
{
    struct rego_indexes *all = ctx->params.indexes;
    uint64_t id = id_of(c, path, len);
    _Atomic(struct loop_index *) *bucket = &all->buckets[(id ^ id >> 32) & (KEPT_BUCKETS - 1)];
    struct loop_index *first = atomic_load_explicit(bucket, memory_order_acquire);
    for (struct loop_index *x = first; x != NULL; x = x->chain)
        if (x->id == id && is_same(x, c, path, len))
            return x;

    size_t bytes = 0;
    if (atomic_load_explicit(&all->used, memory_order_relaxed) > all->max ||
        !vm_spend(ctx, value_len(c) / ITEMS_A_STEP))
        return NULL;
    struct loop_index *x = make_kept(c, path, len, &bytes);
    if (x == NULL)
        return NULL;
    if (atomic_fetch_add_explicit(&all->used, bytes, memory_order_relaxed) + bytes > all->max) {
        atomic_fetch_sub_explicit(&all->used, bytes, memory_order_relaxed);
        free(x);
        return NULL;
    }
    x->id = id;
    x->chain = first;
    /* Two threads may both add the same one; the second is found no more and does no harm. */
    while (!atomic_compare_exchange_weak_explicit(bucket, &x->chain, x, memory_order_release,
                                                  memory_order_acquire)) {
    }
    return x;
}

bool loop_is_kept(const struct rego_ctx *ctx)
{
    const struct rego_indexes *all = ctx->params.indexes;
    return all != NULL && ctx->view->data.word == all->data.word;
}

/* ---- those of one evaluation ---- */

/* The first time it is cheaper to go through all items. */
static struct loop_index *find_seen(struct rego_ctx *ctx, value c, const value *path, uint32_t len)
{
    if (ctx->loops_seen == NULL)
        ctx->loops_seen = arena_new_array(&ctx->arena, struct loop_seen, SEEN_MAX);
    if (ctx->loops_seen == NULL)
        return NULL;
    uint64_t at = hash_mix(c.word, (uint64_t)(uintptr_t)path);
    struct loop_seen *s = &ctx->loops_seen[(at ^ at >> 20) % SEEN_MAX];
    if (s->collection != c.word || s->path != path)
        *s = (struct loop_seen){.collection = c.word, .path = path};
    if (s->index != NULL || s->count++ == 0)
        return s->index;
    void *memory = vm_spend(ctx, value_len(c) / ITEMS_A_STEP)
                       ? arena_alloc(&ctx->arena, index_bytes(value_len(c)))
                       : NULL;
    if (memory != NULL)
        s->index = build(memory, c, path, len);
    return s->index;
}

const struct loop_index *loop_find(struct rego_ctx *ctx, value c, const value *path, uint32_t len,
                                   bool document)
{
    if (value_len(c) < ITEMS_MIN || ctx->params.trace != REGO_TRACE_OFF)
        return NULL;
    if (document && loop_is_kept(ctx)) {
        const struct loop_index *x = find_kept(ctx, c, path, len);
        if (x != NULL || ctx->status != OK)
            return x;
    }
    return find_seen(ctx, c, path, len);
}

/* ---- what instructions ask for ---- */

bool loop_begin(struct rego_ctx *ctx, const struct prog_loop *loop, value c, value key,
                value *state)
{
    const struct loop_index *x = loop_find(ctx, c, loop->path.keys, loop->path.len, loop->document);
    state[0] = c;
    state[1] = value_small_int(0);
    if (x == NULL)
        return ctx->status == OK;
    uint32_t first = value_is_defined(key) ? loop_first(x, key) : LOOP_END;
    state[0] = vm_tag(x);
    state[1] = value_small_int(first);
    return first != LOOP_END;
}

bool loop_has(const struct loop_index *items, value x)
{
    const value *all = value_items(loop_collection(items));
    uint32_t i = loop_first(items, x);
    while (i != LOOP_END && !value_equal(all[i], x))
        i = loop_next(items, i);
    return i != LOOP_END;
}
