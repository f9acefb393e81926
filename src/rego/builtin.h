/*
 * builtin - what a built-in function sees of an evaluation.
 *
 * A built-in is a pure C function of its arguments and the call: it allocates
 * from the call's arena, charges its work, and reports errors as text.  Types
 * of arguments are NOT checked before the call: a built-in reports a wrong one
 * with rego_call_type_error(), in OPA's words.
 *
 * All built-ins are rows of builtins.def:
 *
 *   BUILTIN("concat", "(string, any<array[string], set[string]>) string", concat, REGO_PURE)
 *
 * in the notation of ../shared/spec/rego.md, appendix A.  NULL as function
 * means known to the compiler, not there at run time (http.send, ...).
 */
#pragma once

#include "base/clock.h"
#include "rego/rego.h"

struct rego_builtin {
    const char *name;
    const char *type;
    rego_function fn; /* NULL: not there */
    unsigned flags;
};

#define REGO_NONDETERMINISTIC                                                                      \
    4                     /* not folded, not cached across evaluations: time.now_ns, rand.intn */
#define REGO_DEPRECATED 8 /* refused in v1 modules */
#define REGO_INFIX 16     /* has an operator: plus, eq, ... */
#define REGO_CHEAP 32     /* takes no longer than looking up what it gave before */

/* By name, or NULL. */
const struct rego_builtin *rego_builtin_find(struct str name);

/* The whole table, sorted by name. */
const struct rego_builtin *rego_builtin_table(size_t *count);

/* Number of operands of a type in the notation of builtins.def; -1: any number. */
int rego_type_arity(const char *type);

/* False for print() and the like. */
bool rego_type_has_result(const char *type);

/* ---- inside a call ---- */

struct arena *rego_call_arena(struct rego_call *call);
void *rego_call_user(struct rego_call *call);     /* of struct rego_eval */
int64_t rego_call_now_ns(struct rego_call *call); /* constant within an evaluation */
void rego_call_random(struct rego_call *call, void *out, size_t len); /* seeded, deterministic */
void rego_call_print(struct rego_call *call, struct str line);
void rego_call_test_case(struct rego_call *call, value names);

/* Units of work of arithmetic with a long number, beyond those of its bytes: its digits squared. */
static inline uint64_t rego_number_work(value v)
{
    bool is_long = value_is_heap(v) && value_heap(v)->kind == VALUE_KIND_NUMBER;
    uint64_t n = is_long ? value_heap(v)->len >> 8 : 0;
    return n * n;
}

/* The syntax tree of a module as a value (ast_value.c); errors are those of the call. */
enum rego_outcome rego_call_parse_module(struct rego_call *call, struct str file, struct str text,
                                         value *out);

/*
 * A value that must be the same for the whole evaluation though it is not a
 * function of time (rand.intn per key, uuid.rfc4122 per key): looked up by
 * builtin name and key, created by the caller when undefined.
 */
value rego_call_memo_get(struct rego_call *call, const char *name, value key);
void rego_call_memo_put(struct rego_call *call, const char *name, value key, value v);

/*
 * Per-evaluation or per-policy cache of compiled objects (regular expressions,
 * globs): `key` is copied; `destroy` runs when the cache drops the object.
 */
void *rego_call_cache_get(struct rego_call *call, const char *kind, struct str key);
bool rego_call_cache_put(struct rego_call *call, const char *kind, struct str key, void *object,
                         void (*destroy)(void *object));

/* Units of work; false when the limit is reached: return REGO_FATAL at once. */
bool rego_call_charge(struct rego_call *call, uint64_t units);

/*
 * The same for work in a library that cannot be interrupted and takes `ns` at worst:
 * false also when that would end long after the deadline.
 */
bool rego_call_charge_whole(struct rego_call *call, uint64_t units, uint64_t ns);

/* Longest allowed string result, in bytes. */
size_t rego_call_output_max(struct rego_call *call);

/* Set the error text ("eval_builtin_error: name: text") and return REGO_FAILED. */
enum rego_outcome rego_call_error(struct rego_call *call, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* The same as an eval_type_error in OPA's words: "name: operand 1 must be string but got number".
 */
enum rego_outcome rego_call_type_error(struct rego_call *call, unsigned operand,
                                       const char *expected, value got);

/* An eval_type_error of any other wording, given without the name: "operand 2 must be one of {2, 8,
 * 10, 16}". */
enum rego_outcome rego_call_type_text(struct rego_call *call, const char *format, ...)
    PRINTF_LIKE(2, 3);

/*
 * A conflict that ends the evaluation ("eval_conflict_error: text", no name in
 * front); returns REGO_FATAL.
 */
enum rego_outcome rego_call_conflict(struct rego_call *call, const char *format, ...)
    PRINTF_LIKE(2, 3);

/*
 * For status results of other modules: what says nothing about the arguments
 * (limits, memory, a missing module) is fatal, the rest is a built-in error.
 */
enum rego_outcome rego_call_status(struct rego_call *call, enum status st, const struct error *err);
