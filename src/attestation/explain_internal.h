/*
 * explain_internal - what the two halves of explain share.
 *
 *   explain.c          evaluations, the search among short changes, the story
 *   explain_mend.c     longer changes: one body of a rule after the other
 *   explain_change.c   an expression -> the operations that change whether it holds; applying them
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

/* An expression that did not hold, or that did and should not; its paths in the form that is told.
 */
struct tried {
    struct str rule;
    enum rego_relation relation, inner;
    bool held;
    value left, right;
    struct str left_path, right_path;
    value part, whole; /* defined: part has to be a part of whole */
    struct str part_path, whole_path;
    uint32_t row, col;           /* of the expression */
    uint32_t head_row, head_col; /* of its body */
    const struct str *calls;     /* rules that it asks for */
    size_t call_count;
};

/* What one evaluation tried. */
#define HELD_MAX 96
struct attempt {
    bool passes;
    struct tried failed[EXPLAIN_RULES_MAX];
    size_t failed_len;
    struct tried held[HELD_MAX]; /* expressions of rules that held */
    size_t held_len;
};

enum edit {
    EDIT_ADD,
    EDIT_REPLACE,
    EDIT_REMOVE,
    EDIT_REMOVE_ITEM, /* `path` is the array, `val` what it must not hold; told with its index */
};

struct operation {
    enum edit edit;
    struct str path;
    value val;
    bool any_other; /* `val` is an example: anything but what is there may do */
    bool seed;      /* a list with nothing in it of use: see change_fold() */
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

/* The path without what is below /reference-values/<name>. */
struct str reference_path(struct str path);

/* The list of a path to any item of it, "/reference-values/pcr08/-"; any other path as it is. */
struct str list_of(struct str path);

/* Aliases resolved, /data/reference/<name> as /reference-values/<name>; in `a`. */
struct str path_told(struct arena *a, const struct explain_subject *s, struct str path);

/*
 * The operations each of which makes this expression hold, or no longer hold if it did, preferred
 * ones first; 0 when none is known.
 */
#define OPERATIONS_MAX 4
size_t operations_for(struct arena *a, const struct explain_subject *s, const struct documents *d,
                      const struct tried *t, struct operation out[OPERATIONS_MAX]);

/* Of an array or a set. */
bool collection_has(value collection, value item);

/* References, then data, then input; then by path, then by value. */
int operation_compare(const struct operation *x, const struct operation *y);

/* The documents with the operations done, in order.  False: one does not apply, or no memory. */
bool change_apply(struct arena *a, const struct documents *d, const struct change *c,
                  struct documents *out);

/*
 * Of a loop over a list that is not there, only what the next expression says is known: the list
 * is begun with what it had before it expired, or with a null, and the rest is added to it.
 * Operation `i`, that began a list, and all that change the list become one; in *fewer it has
 * only what was added.  False: it is no such operation.
 */
bool change_fold(struct arena *a, const struct documents *d, struct change *c, size_t i,
                 struct change *fewer);

/* As a JSON Patch for these documents. */
value change_value(struct arena *a, const struct documents *d, const struct change *c);

/* The paths in it whose value is an example, or undefined. */
value change_examples(struct arena *a, const struct change *c);

/* ---- explain.c ---- */

/* One search; everything lives in `scratch` until it is over. */
struct search {
    const struct explain_subject *subject;
    struct arena scratch;
    struct documents start;
    struct attempt *first; /* of the unchanged evaluation */
    unsigned evaluations;
    int64_t until_ns; /* of the thread's own clock */
};

/* No time is left. */
bool search_is_late(const struct search *s);

/* Evaluate with the change: what was tried, and the documents.  False: it does not apply. */
bool search_try(struct search *s, const struct change *c, struct documents *d, struct attempt *at);

/* A change with one more operation, in order; false when it has that one, or is full. */
bool change_extend(const struct change *c, const struct operation *op, struct change *out);
int change_compare(const struct change *x, const struct change *y);

/* Is `rule` one whose value makes the decision? */
bool is_result(const struct explain_subject *s, struct str rule);

/* Does `rule` stand among those that `t` asks for? */
bool tried_calls(const struct tried *t, struct str rule);

/* Those asked for by `t`, and by expressions of theirs that held, and so on. */
#define CLOSURE_MAX 32
size_t search_closure(const struct attempt *at, const struct tried *t,
                      struct str rules[CLOSURE_MAX]);

/* ---- explain_mend.c ---- */

/*
 * A change found by mending: of the first rule that failed, each body is mended expression by
 * expression, and the one that takes the least is kept; then the next rule.  Rules that an
 * expression asks for are mended in the same way, or broken, where they must not hold.
 */
bool mend(struct search *s, unsigned evaluations, struct change *out);
