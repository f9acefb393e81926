/*
 * harness - built-in functions without the engine: the rego_call_*() functions
 * of rego/builtin.h over a call of the test's own, and a reader of terms.
 *
 * An expression is a term in Rego's syntax in which calls of built-ins may
 * nest: concat(",", {"b", upper("a")}).  Infix operators, variables and
 * comprehensions are the engine's business.
 */
#pragma once

#include "rego/builtin.h"

struct harness {
    struct arena arena;
    const char *name; /* of the function being called */
    char error[1024]; /* "eval_builtin_error: name: text" */
    uint64_t steps;   /* charged so far */
    uint64_t steps_max;
    size_t output_max;
    size_t call_memory; /* arena bytes for each call; SIZE_MAX: no limit */
    int64_t now_ns;
    uint64_t random; /* state of the generator */
    struct memo *memos;
    struct cached *cache;
    char printed[256];
};

void harness_init(struct harness *h);
void harness_done(struct harness *h);

/* Value of an expression.  REGO_UNDEFINED, REGO_FAILED and REGO_FATAL as a built-in gives them. */
enum rego_outcome harness_eval(struct harness *h, struct str expression, value *out);

/* The result as a line: JSON text, several of walk joined by " , ", "undef", or "ERROR text". */
struct str harness_text(const struct harness *h, enum rego_outcome o, value v, struct arena *a);
