/*
 * claviger-rego - a Rego engine as a library.
 *
 *     crego_compiler *c;
 *     crego_policy *p;
 *     crego_ctx *ctx;
 *     crego_value v;
 *     crego_compiler_new(NULL, &c);
 *     crego_compiler_add(c, "policy.rego", text, strlen(text));
 *     crego_compiler_finish(c, &p);                 // crego_compiler_error() says why not
 *     crego_compiler_free(c);
 *     crego_ctx_new(NULL, &ctx);
 *     crego_ctx_set_input_json(ctx, input, strlen(input));
 *     if (crego_eval(ctx, p, "data.policy.allow", &v) == CREGO_OK)
 *         allowed = crego_is_true(v);               // CREGO_UNDEFINED is not CREGO_OK: deny
 *
 * Language and built-in functions are OPA's, v0 and v1; docs/rego-api.md has the
 * table.  The library reads no files, opens no sockets and keeps no globals.
 *
 * Threads: a policy and a data document never change and are counted by
 * references; any number of threads may evaluate them at once, without locks.
 * A compiler and a context belong to one thread at a time.
 *
 * Memory: values point into their context (or data document) and live until
 * the context is reset or evaluated with other parameters; nothing is copied.
 * Texts are given with their length and need no NUL.  Every failure, exhausted
 * memory too, is a status; nothing aborts.
 *
 * Three outcomes never merge: a value (CREGO_OK), undefined (CREGO_UNDEFINED)
 * and an error.  Whoever authorises treats all but the first as a denial.
 *
 * Numbers in this header are part of the ABI and never change; symbols carry
 * the version CREGO_1.
 */
#ifndef CLAVIGER_REGO_H
#define CLAVIGER_REGO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum crego_status {
    CREGO_OK = 0,
    CREGO_NOMEM = 1,       /* no memory */
    CREGO_LIMIT = 2,       /* size, steps, depth or memory of the limits */
    CREGO_INVALID = 3,     /* a policy, document or evaluation with an error */
    CREGO_NOT_FOUND = 4,   /* no module defines anything at the path, and no document has it */
    CREGO_CANCELLED = 10,  /* the deadline passed */
    CREGO_INTERNAL = 11,   /* used wrongly, or a mistake of ours that was noticed in time */
    CREGO_UNDEFINED = 100, /* the evaluation went well, there is no value */
} crego_status;

#ifndef CREGO_INTERNAL_TYPES /* the library itself has its own names for these three */
/* A value: pass it by value, compare it with crego_compare().  {0} is none. */
typedef struct crego_value {
    uint64_t word;
} crego_value;

/* What a function of the host ends with. */
typedef enum crego_outcome {
    CREGO_GIVE_VALUE = 0,     /* *out; without a value in it: like CREGO_GIVE_ERROR */
    CREGO_GIVE_UNDEFINED = 1, /* the call is undefined */
    CREGO_GIVE_ERROR = 2,     /* likewise, and crego_call_error() says why */
    CREGO_GIVE_FATAL = 3,     /* a limit, or no memory: the evaluation ends */
} crego_outcome;

typedef struct crego_call crego_call;
#endif

typedef struct crego_compiler crego_compiler;
typedef struct crego_policy crego_policy;
typedef struct crego_data crego_data;
typedef struct crego_ctx crego_ctx;

/* One problem.  Strings live as long as what they were asked of. */
typedef struct crego_error {
    const char *code; /* "rego_parse_error", "eval_builtin_error", ...; NUL-terminated */
    const char *message;
    size_t message_len;
    const char *file;
    size_t file_len;
    uint32_t row, col; /* 1-based, columns count characters; 0: none */
} crego_error;

/* ---- compiling ---- */

typedef enum crego_version { CREGO_V1_OR_V0 = 0, CREGO_V1 = 1, CREGO_V0 = 2 } crego_version;

typedef struct crego_options {
    size_t size; /* sizeof(crego_options): newer fields are zero for older callers; 0 is refused */
    crego_version version;
    bool strict;                  /* unused locals and imports are errors */
    bool keep_print;              /* keep print(); see crego_ctx_set_print() */
    bool refuse_missing_builtins; /* http.send and the like: refused when compiling */
    bool experimental_keywords;   /* import future.keywords.and, .or */
    size_t source_max;            /* bytes a module; 0: 1 MiB */
    int64_t deadline_ns;          /* of compiling, CLOCK_MONOTONIC; 0: none; CREGO_CANCELLED */
} crego_options;

/* `options` may be NULL. */
crego_status crego_compiler_new(const crego_options *options, crego_compiler **out);
void crego_compiler_free(crego_compiler *c);

/*
 * A function of the host, before modules are added that call it: `type` is, for
 * example, "(string, number) any", with null, boolean, number, string, any,
 * array[T], set[T], object[K: V], [T, U] and any<T, U>.  A pure one gives equal
 * results for equal arguments within one evaluation, and is called once for
 * them.  The strings are copied.  CREGO_INVALID: no such name or type can be, or it
 * is the second of the name.  A built-in function of the name is replaced.
 */
typedef crego_outcome (*crego_function)(crego_call *call, const crego_value *args,
                                        crego_value *out);
crego_status crego_compiler_function(crego_compiler *c, const char *name, const char *type,
                                     bool pure, crego_function fn);

/*
 * Names that input may have, before modules are added: a JSON object whose members
 * nest, any other value for whatever may be below, the member "*" for other names.  A
 * policy that reads another name gets a warning with the nearest one.
 */
crego_status crego_compiler_claims(crego_compiler *c, const char *json, size_t len);

crego_status crego_compiler_add(crego_compiler *c, const char *file, const char *text, size_t len);

/* All modules as one policy; once. */
crego_status crego_compiler_finish(crego_compiler *c, crego_policy **out);

/* False past the last. */
bool crego_compiler_error(const crego_compiler *c, size_t i, crego_error *out);
bool crego_compiler_warning(const crego_compiler *c, size_t i, crego_error *out);

crego_policy *crego_policy_ref(crego_policy *p);
void crego_policy_unref(crego_policy *p);
/* A rule is defined with exactly this path, "data.policy.allow". */
bool crego_policy_has_rule(const crego_policy *p, const char *path);

/* ---- documents ---- */

/* Base documents, an object.  Duplicate keys: the last counts. */
crego_status crego_data_from_json(const char *text, size_t len, crego_data **out);
crego_data *crego_data_ref(crego_data *d);
void crego_data_unref(crego_data *d);
crego_value crego_data_value(const crego_data *d);

/* ---- evaluating ---- */

typedef struct crego_limits {
    size_t size;         /* sizeof(crego_limits); 0 is refused */
    uint64_t steps;      /* 0: 10,000,000 */
    size_t memory;       /* bytes; 0: 64 MiB */
    unsigned depth;      /* calls within calls; 0: 512 */
    int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
} crego_limits;

crego_status crego_ctx_new(const crego_limits *limits, crego_ctx **out); /* NULL: defaults */
void crego_ctx_free(crego_ctx *ctx);
/* Values of the last evaluation are gone, and the input; data, clock and user stay. */
void crego_ctx_reset(crego_ctx *ctx);
crego_status crego_ctx_set_limits(crego_ctx *ctx, const crego_limits *limits);

void crego_ctx_set_data(crego_ctx *ctx, crego_data *d); /* holds a reference; NULL: none */
crego_status crego_ctx_set_input_json(crego_ctx *ctx, const char *text, size_t len);
void crego_ctx_set_input(crego_ctx *ctx, crego_value v); /* of a document that lives long enough */
void crego_ctx_set_time(crego_ctx *ctx, int64_t ns);     /* time.now_ns(); 0: the system's */
void crego_ctx_set_seed(crego_ctx *ctx, uint64_t a, uint64_t b); /* rand.intn, uuid; 0, 0: random */
void crego_ctx_set_strict_errors(crego_ctx *ctx,
                                 bool strict); /* a built-in's error is one of the evaluation */
void crego_ctx_set_user(crego_ctx *ctx, void *user); /* for functions of the host */
void crego_ctx_set_print(crego_ctx *ctx, void (*print)(void *user, const char *line, size_t len));

/* Value of "data.policy.allow": CREGO_OK, CREGO_UNDEFINED, CREGO_NOT_FOUND or an error. */
crego_status crego_eval(crego_ctx *ctx, const crego_policy *p, const char *path, crego_value *out);

/* A query: an array of {"bindings": {...}, "expressions": [...]}, as `opa eval` has it; empty:
 * undefined. */
crego_status crego_eval_query(crego_ctx *ctx, const crego_policy *p, const char *query, size_t len,
                              crego_value *out);

/* Why the last call on this context failed. */
void crego_ctx_error(const crego_ctx *ctx, crego_error *out);
uint64_t crego_ctx_steps(const crego_ctx *ctx);
size_t crego_ctx_bytes(const crego_ctx *ctx);

/* ---- why ---- */

typedef struct crego_miss {
    const char *rule, *file, *expression, *left_path,
        *right_path; /* paths: JSON pointers, or empty */
    size_t rule_len, file_len, expression_len, left_path_len, right_path_len;
    uint32_t row, col;
    crego_value left, right; /* crego_kind_of() an absent side is CREGO_KIND_NONE */
} crego_miss;

/* Trace the evaluations from now on: each rule tried, what did not hold. */
void crego_ctx_set_trace(crego_ctx *ctx, bool on);
bool crego_ctx_miss(const crego_ctx *ctx, size_t i, crego_miss *out); /* false past the last */

/* ---- reading values ---- */

typedef enum crego_kind {
    CREGO_KIND_NONE = 0, /* no value */
    CREGO_KIND_NULL = 1,
    CREGO_KIND_BOOLEAN = 2,
    CREGO_KIND_NUMBER = 3,
    CREGO_KIND_STRING = 4,
    CREGO_KIND_ARRAY = 5,
    CREGO_KIND_OBJECT = 6,
    CREGO_KIND_SET = 7,
} crego_kind;

crego_kind crego_kind_of(crego_value v);
bool crego_is_true(crego_value v);
bool crego_get_int64(crego_value v, int64_t *out); /* an integral number in range */
size_t crego_number_text(crego_value v, char *out,
                         size_t size);                /* as snprintf(): 0 for no number */
const char *crego_string(crego_value v, size_t *len); /* NULL for no string; NUL-terminated */
size_t crego_len(crego_value v);                      /* of an array, object or set */
crego_value crego_at(crego_value v, size_t i);        /* element of an array or set, in order */
bool crego_pair(crego_value v, size_t i, crego_value *key,
                crego_value *val); /* of an object, in order */
crego_value crego_get(crego_value object, const char *key, size_t len);
int crego_compare(crego_value a, crego_value b); /* Rego's order */

/* JSON text, compact; freed with crego_free(). */
crego_status crego_to_json(crego_value v, char **out, size_t *len);
void crego_free(void *p);

/* ---- inside a function of the host ---- */

void *crego_call_user(crego_call *call);
crego_outcome crego_call_error(crego_call *call, const char *message);
crego_value crego_make_null(void);
crego_value crego_make_bool(bool b);
crego_value crego_make_int64(crego_call *call, int64_t n);
crego_value crego_make_string(crego_call *call, const char *s, size_t len);
crego_value crego_make_json(crego_call *call, const char *text,
                            size_t len); /* no value: malformed */
crego_value crego_make_array(crego_call *call, const crego_value *items, size_t len);
/* keys and values in turn; of arrays, too: one that is no value, and the result is none */
crego_value crego_make_object(crego_call *call, const crego_value *pairs, size_t pair_count);

const char *crego_version_text(void);

#ifdef __cplusplus
}
#endif
#endif
