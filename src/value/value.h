/*
 * value - one immutable value model for JSON, configuration, claims, policy
 * input and policy results.
 *
 * Kinds and order are Rego's (../shared/spec/rego.md 3): null < boolean <
 * number < string < array < object < set.  A value is one 64-bit word that
 * travels by value:
 *
 *   .......xxx1   small integer, 63 bits signed
 *   .......0000   pointer to a struct value_heap, 16-byte aligned, not NULL
 *   .......0010   immediates: undefined, null, false, true
 *
 * Integral numbers that fit 63 bits and are written canonically are always
 * small integers; other numbers keep their text ("1.0", "1e3", big integers).
 *
 * Ownership: heap values live in an arena and are valid until it is reset;
 * they may point to values of arenas that live longer.  They never change
 * after they were built, so threads share them without locks.
 *
 * Failure: constructors return VALUE_UNDEFINED when the arena is exhausted;
 * the arena remembers why (arena_status()), so building code checks once.
 * Constructors given VALUE_UNDEFINED as an element return it, too.
 *
 * Nesting is bounded by VALUE_DEPTH_MAX: a constructor that would exceed it
 * fails the arena with ERR_LIMIT.  So everything recursive here is bounded.
 */
#pragma once

#include "base/arena.h"
#include "base/defs.h"
#include "base/error.h"

/* Deepest nesting of arrays, objects and sets; each level costs C stack in compare and write. */
#define VALUE_DEPTH_MAX 512

typedef struct value {
    uint64_t word;
} value;

enum value_kind {
    VALUE_KIND_UNDEFINED = 0, /* the absence of a value; never inside a composite */
    VALUE_KIND_NULL = 1,
    VALUE_KIND_BOOLEAN = 2,
    VALUE_KIND_NUMBER = 3,
    VALUE_KIND_STRING = 4,
    VALUE_KIND_ARRAY = 5,
    VALUE_KIND_OBJECT = 6,
    VALUE_KIND_SET = 7,
};

#define VALUE_UNDEFINED ((value){0x02})
#define VALUE_NULL ((value){0x12})
#define VALUE_FALSE ((value){0x22})
#define VALUE_TRUE ((value){0x32})

/*
 * Heap layout, public so that hot loops can be inlined; only value.c writes it.
 *
 *   string   len bytes of text, then a NUL
 *   number   len bytes of text (the number as written), then a NUL
 *   array    len values
 *   set      len values in ascending order, then an index when len > VALUE_LINEAR_MAX
 *   object   len struct value_pair in ascending order of keys, then an index likewise
 */
struct value_heap {
    uint8_t kind;
    uint8_t flags;  /* VALUE_FLAG_* */
    uint16_t depth; /* 0 for scalars, 1 + deepest element for composites */
    uint32_t hash;  /* keyed hash of the content; equal values have equal hashes */
    uint32_t len;
    uint32_t extra; /* strings: number of code points; others: value.c's */
};

#define VALUE_FLAG_ASCII 1   /* string of ASCII only: byte index is code point index */
#define VALUE_FLAG_INTEGER 2 /* number whose mathematical value is an integer */

#define VALUE_LINEAR_MAX 16

struct value_pair {
    value key;
    value val;
};

static inline bool value_is_small(value v)
{
    return (v.word & 1) != 0;
}

static inline bool value_is_heap(value v)
{
    return (v.word & 15) == 0;
}

static inline const struct value_heap *value_heap(value v)
{
    return (const struct value_heap *)(uintptr_t)v.word;
}

static inline int64_t value_small(value v)
{
    return (int64_t)v.word >> 1;
}

static inline enum value_kind value_kind(value v)
{
    if (value_is_small(v))
        return VALUE_KIND_NUMBER;
    if (value_is_heap(v))
        return (enum value_kind)value_heap(v)->kind;
    return v.word == VALUE_TRUE.word || v.word == VALUE_FALSE.word ? VALUE_KIND_BOOLEAN
           : v.word == VALUE_NULL.word                             ? VALUE_KIND_NULL
                                                                   : VALUE_KIND_UNDEFINED;
}

/* "null", "boolean", ..., as Rego's type_name(); "undefined". */
const char *value_kind_name(enum value_kind kind);

static inline bool value_is_defined(value v)
{
    return v.word != VALUE_UNDEFINED.word;
}

static inline bool value_is_string(value v)
{
    return value_kind(v) == VALUE_KIND_STRING;
}

static inline bool value_is_object(value v)
{
    return value_kind(v) == VALUE_KIND_OBJECT;
}

static inline bool value_is_array(value v)
{
    return value_kind(v) == VALUE_KIND_ARRAY;
}

/* ---- scalars ---- */

static inline value value_bool(bool b)
{
    return b ? VALUE_TRUE : VALUE_FALSE;
}

#define VALUE_SMALL_MAX ((int64_t)0x3fffffffffffffff)
#define VALUE_SMALL_MIN (-VALUE_SMALL_MAX - 1)

static inline bool value_small_fits(int64_t n)
{
    return n >= VALUE_SMALL_MIN && n <= VALUE_SMALL_MAX;
}

static inline value value_small_int(int64_t n) /* n must fit */
{
    return (value){(uint64_t)n << 1 | 1};
}

value value_int(struct arena *a, int64_t n);
value value_uint(struct arena *a, uint64_t n);

/* A copy of the bytes, which should be UTF-8 (rego.md 3.3 says where they may not be). */
value value_string(struct arena *a, struct str s);
value value_cstring(struct arena *a, const char *s);

/*
 * A number from its text, RFC 8259 syntax (already checked by the caller or
 * refused: ERR_INVALID fails the arena).  Canonical integers of up to 63 bits
 * become small integers, anything else keeps its text.
 */
value value_number(struct arena *a, struct str text);

/* ---- reading ---- */

static inline struct str value_str(value v) /* of a string; empty for anything else */
{
    if (!value_is_string(v))
        return STR_EMPTY;
    const struct value_heap *h = value_heap(v);
    return (struct str){(const char *)(h + 1), h->len};
}

/* The text of a number; small integers are printed into `scratch`. */
#define VALUE_NUMBER_SCRATCH 24
struct str value_number_text(value v, char scratch[VALUE_NUMBER_SCRATCH]);

/* True and *out when v is a number with an integral value (of any spelling) in range. */
bool value_get_int64(value v, int64_t *out);
bool value_get_uint64(value v, uint64_t *out);

static inline bool value_is_true(value v)
{
    return v.word == VALUE_TRUE.word;
}

/* Elements of an array or set, pairs of an object; 0 for anything else. */
static inline size_t value_len(value v)
{
    enum value_kind k = value_kind(v);
    return k >= VALUE_KIND_ARRAY ? value_heap(v)->len : 0;
}

/* Items of an array or a set, in order; valid for value_len() of them. */
static inline const value *value_items(value v)
{
    return (const value *)(value_heap(v) + 1);
}

static inline const struct value_pair *value_pairs(value v)
{
    return (const struct value_pair *)(value_heap(v) + 1);
}

static inline value value_at(value array, size_t i) /* undefined when out of range or no array */
{
    return value_is_array(array) && i < value_len(array) ? value_items(array)[i] : VALUE_UNDEFINED;
}

/* The value of a key, or undefined (also when `object` is no object). */
value value_get(value object, value key);
value value_get_str(value object, struct str key);
#define value_get_lit(object, literal) value_get_str((object), STR(literal))

bool value_set_has(value set, value item);

/* Rego's lookup `base[key]`: array index, object key, set member; undefined otherwise. */
value value_lookup(value base, value key);

/* RFC 6901 pointer; undefined when it leads nowhere or is malformed. */
value value_pointer(value root, struct str pointer);

/* ---- comparison ---- */

int value_compare(value a, value b); /* -1, 0, 1 in Rego's total order; undefined first */
bool value_equal_slow(value a, value b);

static inline bool value_equal(value a, value b)
{
    if (a.word == b.word)
        return true;
    if (value_is_heap(a))
        return value_is_heap(b)
                   ? value_heap(a)->hash == value_heap(b)->hash && value_equal_slow(a, b)
                   : value_is_small(b) && value_equal_slow(a, b);
    return value_is_small(a) && value_is_heap(b) && value_equal_slow(a, b);
}

uint32_t value_hash(value v);

/*
 * As value_get(), for a place in a program that reads the same key from objects of
 * the same shape: *hint is where it was found last, and any number at first.
 */
value value_get_far(value object, value key, uint32_t *hint);

static inline value value_get_near(value object, value key, uint32_t *hint)
{
    if (!value_is_object(object))
        return VALUE_UNDEFINED;
    const struct value_pair *pairs = value_pairs(object);
    if (*hint < value_heap(object)->len && value_equal(pairs[*hint].key, key))
        return pairs[*hint].val;
    return value_get_far(object, key, hint);
}

/* ---- builders ---- */

/*
 * Append, then finish: the composite is in the arena, the builder's own array
 * is arena memory too (it becomes the composite; some is wasted on growth).  A
 * builder is spent when it was finished, and must be finished or abandoned
 * before the arena is reset.
 */
struct value_builder {
    struct arena *arena;
    value *items; /* objects: key, value, key, value, ... */
    size_t len;
    size_t cap;
    bool failed;
};

void value_builder_init(struct value_builder *b, struct arena *a, size_t expected);
void value_builder_add(struct value_builder *b, value v);

value value_array_finish(struct value_builder *b);
value value_set_finish(struct value_builder *b); /* sorts, drops later equals */

/* For objects: add pairs with value_builder_put(), in any order. */
void value_builder_put(struct value_builder *b, value key, value val);
void value_builder_put_str(struct value_builder *b, const char *key, value val);

enum value_duplicates {
    VALUE_DUP_LAST,   /* the last value of a key wins, the first key's spelling stays */
    VALUE_DUP_REFUSE, /* equal keys: VALUE_UNDEFINED and *duplicate is the key */
    VALUE_DUP_SAME,   /* as REFUSE, unless the values are equal, too (Rego's conflict rule) */
};
value value_object_finish(struct value_builder *b, enum value_duplicates dup, value *duplicate);

/* Ready-made: the array or object of `n` items or pairs; the last pair of a key wins. */
value value_array(struct arena *a, const value *items, size_t n);
value value_object(struct arena *a, const struct value_pair *pairs, size_t n);
#define VALUE_EMPTY_ARRAY(a) value_array((a), NULL, 0)
#define VALUE_EMPTY_OBJECT(a) value_object((a), NULL, 0)

/* An object with one pair changed, added, or (VALUE_UNDEFINED) removed; shares the rest. */
value value_object_with(struct arena *a, value object, value key, value val);

/* Everything copied into `a`, so that the source arena may go. */
value value_copy(struct arena *a, value v);

/* Bytes that a deep copy would take; for limits on rings and caches. */
size_t value_size(value v);
