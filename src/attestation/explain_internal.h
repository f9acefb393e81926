/*
 * explain_internal - what the two halves of explain share.
 *
 *   explain.c          evaluations, the search for the smallest change, the story
 *   explain_change.c   one expression that did not hold -> one operation; applying operations
 */
#pragma once

#include "attestation/explain.h"

/* Where a side of an expression comes from, in the order in which changing it is preferred. */
enum place {
    PLACE_REFERENCE, /* /reference-values/<name> */
    PLACE_DATA,
    PLACE_INPUT,
    PLACE_NONE, /* a constant, something computed, or frozen */
};

struct documents {
    value input, data, references;
};

/* An expression that did not hold, its paths in the form that is told. */
struct failed {
    struct str rule;
    enum rego_relation relation;
    value left, right;
    struct str left_path, right_path;
};

struct operation {
    bool add; /* else replace */
    struct str path;
    value val;
    enum place place;
    int expression; /* index into the first evaluation's, or -1 */
};

struct change {
    struct operation ops[EXPLAIN_OPERATIONS_MAX]; /* sorted by operation_compare() */
    size_t len;
};

enum place place_of(struct str path);

/* The name in /reference-values/<name>, unescaped; ptr NULL for any other path. */
struct str reference_name(struct arena *a, struct str path);

/* Aliases resolved, /data/reference/<name> as /reference-values/<name>; in `a`. */
struct str path_told(struct arena *a, const struct explain_subject *s, struct str path);

/* The operation that makes this expression hold; false when none is known. */
bool operation_for(struct arena *a, const struct explain_subject *s, const struct documents *d,
                   const struct failed *f, struct operation *out);

/* References, then data, then input; then by path, then by value. */
int operation_compare(const struct operation *x, const struct operation *y);

/* The documents with the operations done, in order.  False: one does not apply, or no memory. */
bool change_apply(struct arena *a, const struct documents *d, const struct change *c,
                  struct documents *out);

/* As a JSON Patch. */
value change_value(struct arena *a, const struct change *c);
