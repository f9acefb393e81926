/*
 * types - what the static type checker knows of values (../shared/spec/rego.md 4.9).
 *
 * A type stands for a set of values; NULL is "nothing known yet", which is not
 * `any`.  Types are immutable and live in the compiler's arena.  Operations are
 * OPA's (v1/types): where the two would differ, programs would be refused that
 * OPA takes, or the other way round.
 */
#pragma once

#include "rego/front.h"

/* In OPA's order of types. */
enum type_kind {
    TYPE_NULL,
    TYPE_BOOLEAN,
    TYPE_NUMBER,
    TYPE_STRING,
    TYPE_ARRAY,
    TYPE_OBJECT,
    TYPE_SET,
    TYPE_ANY,
    TYPE_FUNCTION,
};

/* A known key of an object, and the type of its value. */
struct type_property {
    value key;
    const struct type *type;
};

struct type {
    uint8_t kind;
    bool has_nil; /* some part of it is not known */
    uint16_t depth;
    uint32_t len; /* of items or properties */
    union {
        const struct type *const
            *items; /* arrays, any (sorted, empty: every value), functions: operands */
        const struct type_property *properties; /* objects, by key */
    };
    const struct type *key; /* objects: of further keys, or NULL */
    const struct type *of;  /* arrays: of further items; objects: of further values; sets: of
                               elements;  functions: the result */
};

struct type_maker {
    struct rego_compiler *c;
    struct arena *a;
    uint64_t work; /* comparisons made; beyond TYPE_WORK_MAX everything is `any` */
};

/* Deeper types are `any`: chains of rules can nest without end. */
#define TYPE_DEPTH_MAX 48
#define TYPE_WORK_MAX 20000000ull

extern const struct type type_null, type_boolean, type_number, type_string, type_any;

const struct type *type_array(struct type_maker *m, const struct type *const *items, uint32_t len,
                              const struct type *of);
/* `properties` are sorted here; of equal keys the last counts. */
const struct type *type_object(struct type_maker *m, struct type_property *properties, uint32_t len,
                               const struct type *key, const struct type *of);
/* With a member of which neither key nor value is known. */
const struct type *type_object_unknown(struct type_maker *m, struct type_property *properties,
                                       uint32_t len);
const struct type *type_set(struct type_maker *m, const struct type *of);
const struct type *type_function(struct type_maker *m, const struct type *const *operands,
                                 uint32_t len, const struct type *result);
/* From the notation of builtins.def; NULL: operands of any number. */
const struct type *type_parse(struct type_maker *m, const char *text);

const struct type *type_or(struct type_maker *m, const struct type *a, const struct type *b);
const struct type *type_of_value(struct type_maker *m, value v);
/* Of the member with this key. */
const struct type *type_select(struct type_maker *m, const struct type *t, value key);
const struct type *type_keys(struct type_maker *m, const struct type *t);
const struct type *type_values(struct type_maker *m, const struct type *t);
/* A value may be of both. */
bool type_overlap(struct type_maker *m, const struct type *a, const struct type *b);
/* Of a document that several rules contribute to. */
const struct type *type_merge(struct type_maker *m, const struct type *a, const struct type *b);

static inline bool type_is_nil(const struct type *t)
{
    return t == NULL || t->has_nil;
}

/* A collection that can hold nothing. */
bool type_is_empty(const struct type *t);
/* The same with `any` in place of such collections. */
const struct type *type_relax(struct type_maker *m, const struct type *t);
