/*
 * index - which rules of a group can apply at all (../shared/spec/rego.md 7.6).
 *
 * Each rule requires some references (constant paths into input, arguments) to
 * have constant values.  Rules that constrain the same references form a class;
 * a class is a hash table from the tuple of values to its rules.  So the work
 * does not grow with the number of rules, only with that of classes.
 */
#pragma once

#include "rego/program.h"

#define INDEX_RULES_MIN 4
#define INDEX_CLASSES_MAX 8
#define INDEX_REFS_MAX 6    /* of one rule */
#define INDEX_TUPLES_MAX 64 /* of one rule: `x in {...}` makes several */

struct index_ref {
    bool exists; /* only: defined and not false */
    bool is_arg;
    uint32_t arg;
    struct prog_path path; /* into input, or into the argument */
    uint32_t place;        /* the same, of input; PLACE_NONE: there was no room for it */
};

struct index_list {
    uint32_t len;
    const uint32_t *rules; /* numbers of rules, ascending */
};

struct index_slot {
    uint64_t hash;
    const value *tuple; /* NULL: free */
    struct index_list list;
};

struct index_class {
    uint32_t ref_count;
    uint8_t refs[INDEX_REFS_MAX]; /* of the index */
    struct index_slot *slots;
    uint32_t cap;
};

struct prog_index {
    const struct index_ref *refs;
    uint32_t ref_count;
    const struct index_class *classes;
    uint32_t class_count;
    struct index_list all;
    uint32_t *entries; /* by rule number: pc */
};

struct rego_ctx;
struct expr;

/* Evaluating the literal raises no error and enters no rule; all it can do is not to hold. */
bool index_is_harmless(const struct expr *e);

/* The rules that may apply; false when the arena is exhausted. */
bool index_lookup(struct rego_ctx *ctx, const struct prog_index *x, const value *regs,
                  struct index_list *out);
