/*
 * rego - the policy engine: compile once, evaluate on many threads.
 *
 *   source -lex-> tokens -parse-> AST -resolve-> rule tree -safety-> ordered
 *   bodies -plan-> program of register code + constants + indexes
 *
 * Language, semantics and error codes are OPA's (../shared/spec/rego.md).  The
 * engine does no I/O and keeps no globals: time, random bytes, documents and
 * host functions are handed in.
 *
 * Ownership: a `rego_policy` is immutable and counted by references; threads
 * share it without locks.  A `rego_ctx` serves one evaluation at a time; every
 * value, trace and error text that it hands out lives in its arena until the
 * next evaluation or rego_ctx_free().  Values that are handed in (input, data)
 * must live at least as long.
 *
 * Outcomes never merge: an evaluation gives a value, undefined (OK with
 * VALUE_UNDEFINED) or an error (a status and a struct rego_error).  A caller
 * that authorises treats undefined as deny.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/defs.h"
#include "base/error.h"
#include "value/value.h"

struct rego_compiler;
struct rego_policy;
struct rego_ctx;

/* ---- diagnostics and errors ---- */

/*
 * One problem, with OPA's code ("rego_parse_error", "rego_compile_error",
 * "rego_type_error", "rego_unsafe_var_error", "rego_recursion_error";
 * evaluation: "eval_builtin_error", "eval_conflict_error", "eval_type_error",
 * "eval_cancel_error", "eval_with_merge_error", "eval_internal_error").
 * Rows and columns are 1-based, columns count characters; 0: no position.
 */
struct rego_error {
    const char *code; /* static */
    struct str message;
    struct str file;
    uint32_t row, col;
};

struct rego_errors {
    const struct rego_error *items;
    size_t len;
};

/* "file:row: code: message", as OPA prints it, appended to `out`. */
struct buf;
void rego_error_write(struct buf *out, const struct rego_error *e);

/* ---- host functions ---- */

enum rego_outcome {
    REGO_VALUE,     /* *out is set */
    REGO_UNDEFINED, /* the call has no result */
    REGO_FAILED,    /* a built-in error; rego_call_error() said why */
    REGO_FATAL,     /* a limit or exhausted memory: ends the evaluation */
};

struct rego_call; /* see rego/builtin.h */

typedef enum rego_outcome (*rego_function)(struct rego_call *call, const value *args, value *out);

#define REGO_PURE 1      /* same arguments, same result within one evaluation: calls are cached */
#define REGO_NEEDS_ALL 2 /* relation: `out` is an array of results (walk); for built-ins only */

struct rego_host_function {
    const char *name; /* "query_reference_value" */
    const char *type; /* "(string) any", the notation of builtins.def */
    unsigned flags;
    rego_function fn; /* gets the user pointer of the evaluation by rego_call_user() */
};

/* ---- compiling ---- */

enum rego_version {
    REGO_V1_OR_V0, /* as v1; if that fails to parse and nothing imports rego.v1, as v0 (S11) */
    REGO_V1,
    REGO_V0,
};

struct rego_options {
    enum rego_version version;    /* of modules added without one of their own */
    bool refuse_missing_builtins; /* http.send and the like: compile error (README 18) */
    bool strict;                  /* OPA's --strict: unused locals and imports are errors */
    bool keep_print;              /* keep calls of print(); else they are erased */
    bool experimental_keywords;   /* allow import future.keywords.and / .or */
    bool coverage;                /* rego_ctx_coverage() is wanted */
    bool test_cases;              /* rules test_p[name] report each case: rego_eval.test_case */
    bool always_not_keyword;      /* as if every module imported future.keywords.not */
    const struct rego_host_function *functions;
    size_t function_count;
    /*
     * Claims that the host may produce, as an object whose members nest ("any"
     * or an object; the member "*" stands for those of other names); a policy
     * that reads input outside of it gets a warning with the nearest name.
     * VALUE_UNDEFINED: no check.
     */
    value claim_schema;
    /* Gets each warning of rego_compile_text(); NULL: they are dropped. */
    void (*warn)(void *user, const struct rego_error *warning);
    void *warn_user;
    size_t errors_max;   /* that are kept; 0: 10.  Set, it does not count parse errors */
    size_t source_max;   /* bytes a module; 0: 1 MiB */
    int64_t deadline_ns; /* of compiling, CLOCK_MONOTONIC; 0: none.  Past it: ERR_CANCELLED */
};

#define REGO_OPTIONS_DEFAULT ((struct rego_options){.claim_schema = {0x02}})

/* NULL when memory is exhausted.  `options` is copied; the functions it points to must outlive the
 * policy. */
struct rego_compiler *rego_compiler_new(const struct rego_options *options);
struct rego_compiler *rego_compiler_free(struct rego_compiler *c);
DEFINE_CLEANUP(rego_compiler, struct rego_compiler, rego_compiler_free)

/* Text is copied.  Parse errors are reported here (ERR_INVALID, see rego_compiler_errors()). */
STATUS rego_compiler_add(struct rego_compiler *c, struct str file, struct str text);
STATUS rego_compiler_add_version(struct rego_compiler *c, struct str file, struct str text,
                                 enum rego_version version);

/* Everything that was added, as one policy; a compiler compiles once. */
STATUS rego_compiler_finish(struct rego_compiler *c, struct rego_policy **out);

/* Errors and warnings so far; live as long as the compiler.  At most `errors_max` of its options.
 */
struct rego_errors rego_compiler_errors(const struct rego_compiler *c);
/* There were more of them. */
bool rego_compiler_had_more_errors(const struct rego_compiler *c);
struct rego_errors rego_compiler_warnings(const struct rego_compiler *c);

/*
 * All in one for a single module: on failure `err` has "file:row:col: code:
 * message" of the first error, and its position.
 */
STATUS rego_compile_text(struct str file, struct str text, const struct rego_options *options,
                         struct rego_policy **out, struct error *err);

struct rego_policy *rego_policy_ref(struct rego_policy *p);
struct rego_policy *rego_policy_unref(struct rego_policy *p);
DEFINE_CLEANUP(rego_policy, struct rego_policy, rego_policy_unref)

/* A rule (or default) is defined with exactly this path, e.g. "data.policy.allow". */
bool rego_policy_has_rule(const struct rego_policy *p, struct str path);

/* Package of the n-th module ("data.policy"); empty past the last. */
struct str rego_policy_package(const struct rego_policy *p, size_t n);

/* Any rule reads `data` outside the policy's own packages (attestation-service.md S6). */
bool rego_policy_reads_data(const struct rego_policy *p);

/*
 * Some rule reads input at or below this path of names, or dynamically so that it
 * may: {"az-snp-vtpm", "measurement"}.  `input.x` as a literal of its own asks only
 * whether x is there, which reads no member of it.
 */
bool rego_policy_may_read_input(const struct rego_policy *p, const struct str *path, size_t len);

/*
 * Reads of base documents: `each` gets the constant part of every path,
 * {"reference", "pcr08"}; a part that is no string has a NULL ptr.
 */
void rego_policy_data_reads(const struct rego_policy *p,
                            void (*each)(void *user, const struct str *path, size_t len),
                            void *user);

/* Calls of `function` with one constant string argument: `each` gets every distinct one. */
void rego_policy_constant_calls(const struct rego_policy *p, struct str function,
                                void (*each)(void *user, struct str arg), void *user);

/* What the policy's modules define, in the order of the text. */
struct rego_rule_info {
    struct str path; /* data.policy.allow */
    struct str file;
    uint32_t row, col;
    bool is_default, is_function;
};
void rego_policy_rules(const struct rego_policy *p,
                       void (*each)(void *user, const struct rego_rule_info *rule), void *user);

/* Human-readable program, for `rego disasm`. */
STATUS rego_policy_disasm(const struct rego_policy *p, struct buf *out);

/* ---- layout ---- */

enum rego_format_target {
    REGO_FORMAT_V1,   /* a v1 policy */
    REGO_FORMAT_V0,   /* a v0 policy, which stays one */
    REGO_FORMAT_BOTH, /* a v0 policy, made good for both (opa fmt --rego-v1) */
};

struct rego_format_options {
    enum rego_format_target target;
    bool drop_v0_imports; /* rego.v1 and future.keywords, where v1 does not need them */
};

/*
 * Append the text of a policy as `opa fmt` lays it out.  Errors of the text are
 * the compiler's (rego_compiler_errors()); nothing is added to it otherwise, and
 * a failure leaves `out` as it was.
 */
STATUS rego_format(struct rego_compiler *c, struct str file, struct str text,
                   const struct rego_format_options *o, struct buf *out);

/* ---- evaluating ---- */

struct rego_limits {
    uint64_t steps;      /* loop steps, calls, units of work of built-ins; 0: 10,000,000 */
    size_t memory;       /* bytes of the context's arena; 0: 64 MiB */
    unsigned depth;      /* calls within calls; 0: 512 */
    int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
    size_t output;       /* bytes of the longest string result; 0: 16 MiB */
};

struct rego_ctx *
rego_ctx_new(const struct rego_limits *limits); /* NULL: defaults; result NULL: no memory */
struct rego_ctx *rego_ctx_free(struct rego_ctx *ctx);
DEFINE_CLEANUP(rego_ctx, struct rego_ctx, rego_ctx_free)

/* Everything of the last evaluation is gone.  Up to 64 KiB of memory stay. */
void rego_ctx_reset(struct rego_ctx *ctx);

/* Limits of the following evaluations. */
void rego_ctx_set_limits(struct rego_ctx *ctx, const struct rego_limits *limits);

/* The arena of results, for callers that build the input there. Valid after rego_ctx_reset(). */
struct arena *rego_ctx_arena(struct rego_ctx *ctx);

enum rego_trace_level {
    REGO_TRACE_OFF,   /* costs nothing */
    REGO_TRACE_RULES, /* each rule tried: the first expression that did not hold, both sides */
    REGO_TRACE_ALL,   /* and the expressions of rules that held */
};

/*
 * What evaluations have learnt about base documents: hash indexes for loops and
 * membership, made when first needed, at most `max` bytes of them (0: 64 MiB).  Hand
 * it in together with the same `data`, which must outlive it.  Threads may share it.
 */
#define REGO_INDEXES_MAX ((size_t)64 << 20)
struct rego_indexes;
struct rego_indexes *rego_indexes_new(value data, size_t max); /* NULL: no memory */
struct rego_indexes *rego_indexes_free(struct rego_indexes *all);
DEFINE_CLEANUP(rego_indexes, struct rego_indexes, rego_indexes_free)

struct rego_eval {
    const struct rego_policy *policy;
    value input;                  /* VALUE_UNDEFINED: no input */
    value data;                   /* base documents, an object, or VALUE_UNDEFINED */
    struct rego_indexes *indexes; /* over `data`; NULL: none are kept */
    int64_t now_ns;               /* what time.now_ns() gives; 0: the system's clock at the start */
    uint64_t random_seed[2];      /* for rand.intn, uuid; both 0: from the operating system */
    bool strict_errors;           /* a built-in error ends the evaluation; else it is undefined */
    enum rego_trace_level trace;
    void *user;                                 /* for host functions */
    void (*print)(void *user, struct str line); /* print() and trace(); NULL: dropped */
    void (*test_case)(void *user, value names); /* an array, which lives as long as the result */
    /* Each error of a built-in function; its texts live as long as the result.  NULL: dropped. */
    void (*builtin_error)(void *user, const struct rego_error *e);
    /* For rego_eval_query(): whose rules the query may name, "a.b"; and "data.c as d". */
    struct str query_package;
    const struct str *query_imports;
    size_t query_import_count;
};

/*
 * Value of a document or rule, "data.policy.allow".  OK with VALUE_UNDEFINED
 * when it is undefined; ERR_NOT_FOUND when no module defines anything at the
 * path (and no base document has it).  Other statuses: rego_ctx_error().
 * Does not reset the context: several paths of one policy share caches when
 * they are evaluated in a row with equal parameters.
 */
STATUS rego_eval_path(struct rego_ctx *ctx, const struct rego_eval *params, struct str path,
                      value *out);

/*
 * A query text (a body, parsed as v1): the result set in OPA's shape, an array
 * of {"expressions": [...], "bindings": {...}}.  Empty array: undefined.
 */
STATUS rego_eval_query(struct rego_ctx *ctx, const struct rego_eval *params, struct str query,
                       value *out);

/*
 * The first half of rego_eval_query(): compile the query.  A call of that with equal
 * parameters, next on this context, then only runs it.  *out, borrowed from the context,
 * is the program that will run, which holds the policy: for rego_ctx_cover().
 */
STATUS rego_prepare_query(struct rego_ctx *ctx, const struct rego_eval *params, struct str query,
                          struct rego_policy **out);

/* Why the last evaluation failed. */
const struct rego_error *rego_ctx_error(const struct rego_ctx *ctx);

/* The same, with all errors of a query that did not compile. */
struct rego_errors rego_ctx_errors(const struct rego_ctx *ctx);

uint64_t rego_ctx_steps(const struct rego_ctx *ctx);
size_t rego_ctx_bytes(const struct rego_ctx *ctx);

/*
 * Lines that were reached since rego_ctx_cover(), with the option `coverage`:
 * each expression and each head, a line may come more than once.
 */
STATUS rego_ctx_cover(struct rego_ctx *ctx, struct rego_policy *p); /* begin; ERR_NOMEM */
void rego_ctx_coverage(const struct rego_ctx *ctx, const struct rego_policy *p,
                       void (*each)(void *user, struct str file, uint32_t row, bool covered),
                       void *user);

/* ---- why ---- */

enum rego_relation {
    REGO_REL_OTHER,   /* a call, a unification with a pattern, ... */
    REGO_REL_DEFINED, /* a bare term: undefined or false */
    REGO_REL_EQUAL,
    REGO_REL_NOT_EQUAL,
    REGO_REL_LESS,
    REGO_REL_LESS_EQUAL,
    REGO_REL_GREATER,
    REGO_REL_GREATER_EQUAL,
    REGO_REL_IN,
    REGO_REL_NOT, /* negated; `inner` is the relation of what is negated, with its two sides */
};

/*
 * A rule that was tried and gave no value (or false).  `left` and `right` are
 * the two sides of the expression that did not hold, VALUE_UNDEFINED for an
 * absent one.  A `*_path` is a JSON pointer when that side is a ground
 * reference: "/input/az-snp-vtpm/tpm/pcr08", "/data/reference/pcr08", or
 * "/reference-values/pcr08" for query_reference_value("pcr08"); else empty.
 * "/data/reference/pcr08/-" is any item of a list, as in data.reference.pcr08[_].
 * A loop (some .. in) that never succeeded reports its last try.
 *
 * `count(a - b) == 0` and `a - b == set()` are tests of a set for being a part of
 * another: `part` and `whole` are a and b, and their paths those of the arrays
 * that they were made of, {x | some x in input.l}.  Of `x in b` and b[x] with such
 * a set, `whole_path` is the array's; of b[x], `part` is x and has its path.
 *
 * With REGO_TRACE_ALL, an entry that is `held` is an expression of a rule that gave a value.
 */
struct rego_trace_rule {
    struct str rule; /* "data.policy.executables" */
    struct str file;
    uint32_t row, col;     /* of the expression */
    struct str expression; /* source text of the expression */
    enum rego_relation relation, inner;
    bool held;
    value left, right;
    struct str left_path, right_path;
    value part, whole; /* undefined: no such test */
    struct str part_path, whole_path;
    uint32_t head_row, head_col; /* of the body's head: tells bodies of one rule apart */
    const struct str *calls;     /* rules that the expression asks for, "data.policy.helper" */
    uint32_t call_count;
};

struct rego_trace {
    const struct rego_trace_rule *items; /* in the order tried; rules called by rules come first */
    size_t len;
};

struct rego_trace rego_ctx_trace(const struct rego_ctx *ctx);
