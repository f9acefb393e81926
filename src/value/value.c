/*
 * value - constructors and builders; see lookup.c for reading.
 */
#include "value/value.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "value/value_internal.h"

#define HASH_COMPOSITE 0x636f6d70u

/* Where insertion sort stops being the fastest. */
#define SORT_RUN 16

_Static_assert(sizeof(struct value_heap) == 16, "elements follow the header without a gap");
_Static_assert(sizeof(struct value_pair) == 16, "pairs are two words");

value value_fail(struct arena *a, enum status why)
{
    arena_fail(a, why);
    return VALUE_UNDEFINED;
}

static value of_heap(const struct value_heap *h)
{
    return (value){(uint64_t)(uintptr_t)h};
}

static value *items_of(struct value_heap *h)
{
    return (value *)(h + 1);
}

static struct value_pair *pairs_of(struct value_heap *h)
{
    return (struct value_pair *)(h + 1);
}

/* ---- sizes ---- */

/* Composites keep their deep size in `extra`, in units of 16 bytes, and saturate. */
#define SIZE_UNIT 16

static uint32_t units(size_t bytes)
{
    size_t n = bytes / SIZE_UNIT + (bytes % SIZE_UNIT != 0);
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static size_t index_size(enum value_kind kind, size_t len)
{
    if (kind == VALUE_KIND_ARRAY || len <= VALUE_LINEAR_MAX)
        return 0;
    return (size_t)value_index_slots(len) * sizeof(uint32_t);
}

/* Bytes of one block, without what it points to. */
static size_t block_size(enum value_kind kind, size_t len)
{
    switch (kind) {
    case VALUE_KIND_ARRAY:
    case VALUE_KIND_SET:
        return sizeof(struct value_heap) + len * sizeof(value) + index_size(kind, len);
    case VALUE_KIND_OBJECT:
        return sizeof(struct value_heap) + len * sizeof(struct value_pair) + index_size(kind, len);
    default:
        return sizeof(struct value_heap) + len + 1;
    }
}

static uint32_t deep_units(value v)
{
    if (!value_is_heap(v))
        return 0;
    const struct value_heap *h = value_heap(v);
    if (h->kind == VALUE_KIND_STRING) /* most are: units(block_size()) of its short length */
        return (uint32_t)((sizeof(*h) + (size_t)h->len + 1 + SIZE_UNIT - 1) / SIZE_UNIT);
    return h->kind >= VALUE_KIND_ARRAY ? h->extra : units(block_size(h->kind, h->len));
}

size_t value_size(value v)
{
    return (size_t)deep_units(v) * SIZE_UNIT;
}

/* A block for `len` elements; len is below 2^32 and memory for them exists, so sums cannot wrap. */
static struct value_heap *new_block(struct arena *a, enum value_kind kind, size_t len)
{
    if (len >= UINT32_MAX) {
        arena_fail(a, ERR_LIMIT);
        return NULL;
    }
    struct value_heap *h = arena_alloc(a, block_size(kind, len));
    if (h != NULL)
        *h = (struct value_heap){.kind = (uint8_t)kind, .len = (uint32_t)len};
    return h;
}

/* ---- scalars ---- */

struct value_heap *value_string_reserve(struct arena *a, size_t len)
{
    return new_block(a, VALUE_KIND_STRING, len);
}

value value_string_seal(struct value_heap *h, size_t len, size_t runes)
{
    char *text = (char *)(h + 1);
    text[len] = '\0';
    h->len = (uint32_t)len;
    h->extra = (uint32_t)runes;
    h->flags = runes == len ? VALUE_FLAG_ASCII : 0;
    h->hash = value_hash_str(str_bytes(text, len));
    return of_heap(h);
}

value value_string_counted(struct arena *a, struct str s, size_t runes)
{
    struct value_heap *h = value_string_reserve(a, s.len);
    if (h == NULL)
        return VALUE_UNDEFINED;
    if (s.len > 0)
        memcpy(h + 1, s.ptr, s.len);
    return value_string_seal(h, s.len, runes);
}

static inline bool is_ascii(struct str s)
{
    uint64_t seen = 0;
    if (s.len >= 8) {
        for (size_t i = 0; s.len - i > 8; i += 8)
            seen |= load_le64(s.ptr + i);
        seen |= load_le64(s.ptr + s.len - 8); /* overlaps the word before */
    } else if (s.len >= 4) {
        seen = load_le32(s.ptr) | load_le32(s.ptr + s.len - 4);
    } else {
        for (size_t i = 0; i < s.len; i++)
            seen |= (unsigned char)s.ptr[i];
    }
    return (seen & 0x8080808080808080u) == 0;
}

value value_string(struct arena *a, struct str s)
{
    if (is_ascii(s))
        return value_string_counted(a, s, s.len);

    /* As many code points as bytes, but not ASCII: invalid UTF-8 through and through. */
    size_t runes = utf8_count(s);
    value v = value_string_counted(a, s, runes);
    if (value_is_heap(v) && runes == s.len)
        ((struct value_heap *)(uintptr_t)v.word)->flags = 0;
    return v;
}

value value_cstring(struct arena *a, const char *s)
{
    return value_string(a, str_of(s));
}

value value_number_heap(struct arena *a, struct str text)
{
    struct value_heap *h = new_block(a, VALUE_KIND_NUMBER, text.len);
    if (h == NULL)
        return VALUE_UNDEFINED;

    char *copy = (char *)(h + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct decimal d = decimal_of(text);
    h->hash = decimal_hash(&d);
    h->flags = decimal_is_integer(&d) ? VALUE_FLAG_INTEGER : 0;
    return of_heap(h);
}

/* The canonical text of a small integer: digits only, no "-0".  `text` is a valid number. */
static bool read_small(struct str text, int64_t *out)
{
    bool negative = text.ptr[0] == '-';
    struct str digits = str_from(text, negative);
    if (digits.len > 19 || (negative && digits.ptr[0] == '0'))
        return false;

    uint64_t n = 0;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned)(unsigned char)digits.ptr[i] - '0';
        if (digit > 9)
            return false;
        n = n * 10 + digit; /* 19 digits stay below 2^64 */
    }
    if (n > (uint64_t)VALUE_SMALL_MAX + negative)
        return false;
    *out = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

value value_number(struct arena *a, struct str text)
{
    enum status st = number_check(text);
    if (st != OK)
        return value_fail(a, st);

    int64_t n;
    return read_small(text, &n) ? value_small_int(n) : value_number_heap(a, text);
}

value value_int(struct arena *a, int64_t n)
{
    if (LIKELY(value_small_fits(n)))
        return value_small_int(n);
    char scratch[VALUE_NUMBER_SCRATCH];
    return value_number_heap(a, decimal_print_int64(n, scratch));
}

value value_uint(struct arena *a, uint64_t n)
{
    if (n <= INT64_MAX)
        return value_int(a, (int64_t)n);

    char scratch[VALUE_NUMBER_SCRATCH];
    char *end = scratch + sizeof(scratch);
    char *p = end;
    for (; n != 0; n /= 10)
        *--p = (char)('0' + n % 10);
    return value_number_heap(a, str_bytes(p, (size_t)(end - p)));
}

/* ---- sorting ---- */

/*
 * Stable merge sort of pairs by key.  Most input is small or sorted already,
 * so runs of SORT_RUN are sorted in place first.
 */
static void insertion_sort(struct value_pair *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct value_pair x = p[i];
        size_t j = i;
        for (; j > 0 && value_compare(p[j - 1].key, x.key) > 0; j--)
            p[j] = p[j - 1];
        p[j] = x;
    }
}

static void merge_runs(const struct value_pair *from, struct value_pair *to, size_t left,
                       size_t right)
{
    size_t i = 0;
    size_t j = left;
    for (size_t k = 0; k < left + right; k++) {
        bool take_left =
            j == left + right || (i < left && value_compare(from[i].key, from[j].key) <= 0);
        to[k] = take_left ? from[i++] : from[j++];
    }
}

static void merge_sort(struct value_pair *p, struct value_pair *scratch, size_t n)
{
    for (size_t i = 0; i < n; i += SORT_RUN)
        insertion_sort(p + i, n - i < SORT_RUN ? n - i : SORT_RUN);

    struct value_pair *from = p;
    struct value_pair *to = scratch;
    for (size_t width = SORT_RUN; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t left = n - i < width ? n - i : width;
            size_t right = n - i - left < width ? n - i - left : width;
            merge_runs(from + i, to + i, left, right);
        }
        struct value_pair *swap = from;
        from = to;
        to = swap;
    }
    if (from != p)
        memcpy(p, from, n * sizeof(*p));
}

/* Each key is above the one before: sorted, and none of them twice. */
static bool is_ascending(const struct value_pair *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        value a = p[i - 1].key, b = p[i].key;
        int c = value_is_string(a) && value_is_string(b) ? str_compare(value_str(a), value_str(b))
                                                         : value_compare(a, b);
        if (c >= 0)
            return false;
    }
    return true;
}

/* The scratch space lies in the arena only while it is needed. */
static bool sort_pairs(struct arena *a, struct value_pair *p, size_t n)
{
    if (n <= SORT_RUN) {
        insertion_sort(p, n);
        return true;
    }
    struct arena_mark mark = arena_mark(a);
    struct value_pair *scratch = arena_alloc(a, n * sizeof(*p));
    if (scratch == NULL)
        return false;
    merge_sort(p, scratch, n);
    arena_rollback(a, mark);
    return true;
}

/* Sets use the same sort: an element is a key without a value. */
static bool sort_items(struct arena *a, value *items, size_t n)
{
    size_t i = 1;
    while (i < n && value_compare(items[i - 1], items[i]) < 0)
        i++;
    if (i >= n)
        return true;

    struct arena_mark mark = arena_mark(a);
    struct value_pair small[SORT_RUN];
    struct value_pair *p = small;
    if (n > SORT_RUN)
        p = arena_alloc(a, n * 2 * sizeof(*p));
    if (p == NULL)
        return false;

    for (i = 0; i < n; i++)
        p[i] = (struct value_pair){items[i], VALUE_NULL};
    if (n > SORT_RUN)
        merge_sort(p, p + n, n);
    else
        insertion_sort(p, n);
    for (i = 0; i < n; i++)
        items[i] = p[i].key;
    if (n > SORT_RUN)
        arena_rollback(a, mark);
    return true;
}

/* ---- sealing: hash, depth, size and index of a finished block ---- */

struct seal {
    uint64_t hash;
    uint32_t pending[64];
    size_t n_pending;
    uint64_t units;
    unsigned depth;
};

static void seal_flush(struct seal *s)
{
    s->hash = hash_bytes(s->pending, s->n_pending * sizeof(s->pending[0]), s->hash);
    s->n_pending = 0;
}

static inline void seal_add(struct seal *s, value v)
{
    if (s->n_pending == ARRAY_LEN(s->pending))
        seal_flush(s);
    if (!value_is_heap(v)) {
        s->pending[s->n_pending++] = value_hash(v);
        return;
    }
    const struct value_heap *h = value_heap(v);
    s->pending[s->n_pending++] = h->hash;
    s->units += deep_units(v);
    if (h->depth > s->depth)
        s->depth = h->depth;
}

static void build_index(struct value_heap *h)
{
    size_t stride = h->kind == VALUE_KIND_OBJECT ? 2 : 1;
    const value *keys = items_of(h);
    uint32_t *slots = (uint32_t *)(items_of(h) + (size_t)h->len * stride);
    uint32_t mask = value_index_slots(h->len) - 1;

    memset(slots, 0, ((size_t)mask + 1) * sizeof(*slots));
    for (uint32_t i = 0; i < h->len; i++) {
        value key = keys[i * stride];
        uint32_t slot = (value_is_heap(key) ? value_heap(key)->hash : value_hash(key)) & mask;
        while (slots[slot] != 0)
            slot = (slot + 1) & mask;
        slots[slot] = i + 1;
    }
}

/* The elements stand in their final order, and the block has room for its index. */
static value seal(struct arena *a, struct value_heap *h)
{
    struct seal s = {.hash = HASH_COMPOSITE + h->kind};
    size_t words = h->kind == VALUE_KIND_OBJECT ? (size_t)h->len * 2 : h->len;
    const value *items = items_of(h);
    for (size_t i = 0; i < words; i++)
        seal_add(&s, items[i]);
    seal_flush(&s);

    if (s.depth + 1 > VALUE_DEPTH_MAX)
        return value_fail(a, ERR_LIMIT);
    s.units += units(block_size(h->kind, h->len));
    if (a->unshared_max != 0 && s.units > a->unshared_max)
        return value_fail(a, ERR_LIMIT);
    h->extra = s.units > UINT32_MAX ? UINT32_MAX : (uint32_t)s.units;
    h->depth = (uint16_t)(s.depth + 1);
    h->hash = (uint32_t)s.hash;
    if (index_size(h->kind, h->len) > 0)
        build_index(h);
    return of_heap(h);
}

/* Equal neighbours are merged; false if `dup` does not allow that. */
static bool merge_pairs(struct value_heap *h, enum value_duplicates dup, value *duplicate)
{
    struct value_pair *p = pairs_of(h);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->len; i++) {
        if (kept == 0 || !value_equal(p[kept - 1].key, p[i].key)) {
            p[kept++] = p[i];
            continue;
        }
        if (dup == VALUE_DUP_LAST) {
            p[kept - 1].val = p[i].val;
            continue;
        }
        if (dup == VALUE_DUP_SAME && value_equal(p[kept - 1].val, p[i].val))
            continue;
        if (duplicate != NULL)
            *duplicate = p[kept - 1].key;
        return false;
    }
    h->len = kept;
    return true;
}

static void merge_items(struct value_heap *h)
{
    value *items = items_of(h);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->len; i++)
        if (kept == 0 || !value_equal(items[kept - 1], items[i]))
            items[kept++] = items[i];
    h->len = kept;
}

static value finish_object(struct arena *a, struct value_heap *h, enum value_duplicates dup,
                           value *duplicate)
{
    if (!is_ascending(pairs_of(h), h->len) &&
        (!sort_pairs(a, pairs_of(h), h->len) || !merge_pairs(h, dup, duplicate)))
        return VALUE_UNDEFINED;
    return seal(a, h);
}

static bool all_defined(const value *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!value_is_defined(v[i]))
            return false;
    return true;
}

value value_object_from(struct arena *a, const struct value_pair *pairs, size_t n,
                        enum value_duplicates dup, value *duplicate)
{
    if (!all_defined((const value *)pairs, 2 * n))
        return VALUE_UNDEFINED;
    struct value_heap *h = new_block(a, VALUE_KIND_OBJECT, n);
    if (h == NULL)
        return VALUE_UNDEFINED;
    if (n > 0)
        memcpy(pairs_of(h), pairs, n * sizeof(*pairs));
    return finish_object(a, h, dup, duplicate);
}

value value_object(struct arena *a, const struct value_pair *pairs, size_t n)
{
    return value_object_from(a, pairs, n, VALUE_DUP_LAST, NULL);
}

value value_array(struct arena *a, const value *items, size_t n)
{
    if (!all_defined(items, n))
        return VALUE_UNDEFINED;
    struct value_heap *h = new_block(a, VALUE_KIND_ARRAY, n);
    if (h == NULL)
        return VALUE_UNDEFINED;
    if (n > 0)
        memcpy(items_of(h), items, n * sizeof(*items));
    return seal(a, h);
}

/* ---- builders: a block that is filled before it knows its kind and length ---- */

static size_t builder_size(size_t cap)
{
    return sizeof(struct value_heap) + cap * sizeof(value);
}

static struct value_heap *builder_block(const struct value_builder *b)
{
    return (struct value_heap *)(void *)b->items - 1;
}

static bool builder_grow(struct value_builder *b, size_t cap)
{
    if (cap >= UINT32_MAX) {
        arena_fail(b->arena, ERR_LIMIT);
        return false;
    }
    if (b->items != NULL &&
        arena_resize(b->arena, builder_block(b), builder_size(b->cap), builder_size(cap))) {
        b->cap = cap;
        return true;
    }
    struct value_heap *h = arena_alloc(b->arena, builder_size(cap));
    if (h == NULL)
        return false;
    if (b->len > 0)
        memcpy(h + 1, b->items, b->len * sizeof(value));
    b->items = items_of(h);
    b->cap = cap;
    return true;
}

void value_builder_init(struct value_builder *b, struct arena *a, size_t expected)
{
    *b = (struct value_builder){.arena = a};
    if (expected > 0 && !builder_grow(b, expected))
        b->failed = true;
}

void value_builder_add(struct value_builder *b, value v)
{
    if (b->failed || !value_is_defined(v)) {
        b->failed = true;
        return;
    }
    if (b->len == b->cap && !builder_grow(b, b->cap < 4 ? 8 : b->cap * 2)) {
        b->failed = true;
        return;
    }
    b->items[b->len++] = v;
}

void value_builder_put(struct value_builder *b, value key, value val)
{
    value_builder_add(b, key);
    value_builder_add(b, val);
}

void value_builder_put_str(struct value_builder *b, const char *key, value val)
{
    value_builder_put(b, value_cstring(b->arena, key), val);
}

/* Turn what was collected into a block of `len` elements with room for an index. */
static struct value_heap *builder_close(struct value_builder *b, enum value_kind kind, size_t len)
{
    if (b->failed)
        return NULL;
    if (b->items == NULL)
        return new_block(b->arena, kind, 0);

    struct value_heap *h = builder_block(b);
    size_t need = block_size(kind, len);
    if (!arena_resize(b->arena, h, builder_size(b->cap), need) && need > builder_size(b->cap)) {
        struct value_heap *bigger = new_block(b->arena, kind, len);
        if (bigger == NULL)
            return NULL;
        memcpy(bigger + 1, b->items, b->len * sizeof(value));
        h = bigger;
    }
    *h = (struct value_heap){.kind = (uint8_t)kind, .len = (uint32_t)len};
    *b = (struct value_builder){.arena = b->arena, .failed = true}; /* it is spent */
    return h;
}

value value_array_finish(struct value_builder *b)
{
    struct value_heap *h = builder_close(b, VALUE_KIND_ARRAY, b->len);
    return h == NULL ? VALUE_UNDEFINED : seal(b->arena, h);
}

value value_set_finish(struct value_builder *b)
{
    struct value_heap *h = builder_close(b, VALUE_KIND_SET, b->len);
    if (h == NULL || !sort_items(b->arena, items_of(h), h->len))
        return VALUE_UNDEFINED;
    merge_items(h);
    return seal(b->arena, h);
}

value value_object_finish(struct value_builder *b, enum value_duplicates dup, value *duplicate)
{
    struct value_heap *h = builder_close(b, VALUE_KIND_OBJECT, b->len / 2);
    return h == NULL ? VALUE_UNDEFINED : finish_object(b->arena, h, dup, duplicate);
}

/* ---- changed copies ---- */

value value_object_with(struct arena *a, value object, value key, value val)
{
    if (!value_is_object(object) || !value_is_defined(key))
        return VALUE_UNDEFINED;

    const struct value_pair *old = value_pairs(object);
    size_t n = value_len(object);
    size_t at = 0; /* the first key that is not below `key` */
    for (size_t end = n; at < end;) {
        size_t mid = at + (end - at) / 2;
        if (value_compare(old[mid].key, key) < 0)
            at = mid + 1;
        else
            end = mid;
    }
    bool present = at < n && value_equal(old[at].key, key);
    bool wanted = value_is_defined(val);
    if (!present && !wanted)
        return object;

    struct value_heap *h = new_block(a, VALUE_KIND_OBJECT, n + wanted - present);
    if (h == NULL)
        return VALUE_UNDEFINED;
    struct value_pair *p = pairs_of(h);
    if (at > 0)
        memcpy(p, old, at * sizeof(*p));
    if (wanted)
        p[at] = (struct value_pair){present ? old[at].key : key, val};
    size_t rest = n - at - present;
    if (rest > 0)
        memcpy(p + at + wanted, old + at + present, rest * sizeof(*p));
    return seal(a, h);
}

static value copy_tree(struct arena *a, value v)
{
    if (!value_is_heap(v))
        return v;

    const struct value_heap *old = value_heap(v);
    size_t size = block_size(old->kind, old->len);
    struct value_heap *h = arena_alloc(a, size);
    if (h == NULL)
        return VALUE_UNDEFINED;
    memcpy(h, old, size);
    if (h->kind < VALUE_KIND_ARRAY)
        return of_heap(h);

    size_t words = h->kind == VALUE_KIND_OBJECT ? (size_t)h->len * 2 : h->len;
    value *items = items_of(h);
    for (size_t i = 0; i < words; i++) {
        items[i] = copy_tree(a, items[i]);
        if (!value_is_defined(items[i]))
            return VALUE_UNDEFINED;
    }
    return of_heap(h);
}

value value_copy(struct arena *a, value v)
{
    /* Shared parts are copied each time they occur; the size is known before the work is done. */
    if (value_size(v) > a->max)
        return value_fail(a, ERR_LIMIT);
    return copy_tree(a, v);
}
