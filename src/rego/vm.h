/*
 * vm - the state of one evaluation.
 *
 * Rules and functions run in frames of the machine, never on the C stack; the
 * registers of a frame are a window of the register stack.  Everything that an
 * evaluation makes is in the context's arena.
 */
#pragma once

#include "rego/program.h"

/* Pointers of the machine in registers (builders, ...): no kind of value has these low bits. */
#define VM_TAG 4u

#define STEPS_DEFAULT 10000000ull
#define MEMORY_DEFAULT ((size_t)64 << 20)
#define DEPTH_DEFAULT 512u
#define WITH_DEPTH_MAX 64u
#define OUTPUT_DEFAULT ((size_t)16 << 20)
#define TRACE_MAX 10000u
#define DEADLINE_STEPS 1024u

struct hide {
    uint32_t pre, post; /* tree nodes that a `with data...` covers */
    const struct hide *next;
};

struct mock {
    bool rule; /* `what` is a function of the program, else an external */
    bool is_value;
    uint32_t what;
    uint32_t replacement;
    value val;
    const struct mock *next;
};

/* Results of function calls, by function and arguments. */
struct call_memo {
    struct call_entry *slots;
    uint32_t cap, len;
};
struct call_entry {
    uint32_t hash;
    uint32_t fn;       /* program function, or external with REPLACEMENT_EXTERNAL */
    const value *args; /* NULL: free */
    value result;
};

/* What `with` changes; the outermost one has the documents of the evaluation. */
struct view {
    struct view *outer;
    value input;
    value data;
    const struct hide *hides;
    const struct mock *mocks;
    value *memo; /* by function: word 0 = not known; NULL until needed */
    struct call_memo calls;
    uint32_t depth;
};

/* How a frame's result is delivered. */
enum frame_return { RETURN_VALUE, RETURN_AGAIN, RETURN_HOST };

struct frame {
    value *regs;
    value *top; /* of the register stack when the caller runs */
    struct view *view;
    uint32_t fn;   /* that the frame runs */
    uint32_t back; /* pc of the calling instruction */
    uint32_t fail_pc;
    uint8_t how;
    bool remember;  /* functions: the result, if it took some work */
    uint32_t hash;  /* of the call, for that */
    uint64_t steps; /* that were left when it began */
};

struct segment {
    struct segment *next, *prev;
    value *start, *end;
};

/* Builders of sets, arrays and objects; see vm.c. */
struct vm_builder {
    struct value_builder b;
    uint32_t *rules; /* objects: the rule of each pair */
    uint32_t rules_cap;
    uint32_t kind;
    struct nest_entry *nests;
    uint32_t nest_len, nest_cap;
};

struct memo_item {
    struct memo_item *next;
    const char *name;
    value key;
    value val;
};

/* Where keys were found last, by the place in the program (value_get_near()). */
#define NEAR_MAX 2048 /* a power of two */
#define NEAR_PC(pc) (2 * (pc))
#define NEAR_PLACE(place) (2 * (place) + 1)

/* Found by its key's hash; the list is in order of use, the latest first. */
struct cached {
    struct cached *next, *prev;
    struct cached *chain; /* of the same bucket */
    const char *kind;
    char *key;
    size_t key_len;
    uint64_t hash;
    void *object;
    void (*destroy)(void *);
};
#define CACHE_MAX 256 /* a power of two */
#define HINTS 1024    /* likewise */

struct rego_ctx {
    struct arena arena;
    struct rego_limits limits;
    const struct rego_policy *policy;
    struct rego_eval params;
    struct view root;
    struct loop_seen *loops_seen;
    value *places; /* of the root view: word 0 = not known; NULL until needed */
    struct view *view;

    struct frame *frames;
    uint32_t frame_count, frame_cap;
    value *regs;
    value *top;
    struct segment *segment; /* the current one */
    struct segment first;

    uint64_t steps_left;
    uint64_t steps_max;
    uint32_t until_deadline;

    struct rego_error error;
    struct rego_errors errors; /* of a query's compiler; empty: `error` is the only one */
    enum status status;
    bool query_prepared;             /* query_policy is what rego_eval_query() is to run */
    struct rego_error builtin_error; /* the first one recorded */
    bool has_builtin_error;
    struct rego_error call_error; /* of the call that is being made */

    uint8_t *covered; /* bits: expressions, then rules; NULL: not wanted */
    const struct rego_policy *covered_of;
    struct rego_policy *covered_policy; /* the same, held */

    struct rego_trace_rule *trace;
    uint32_t trace_len, trace_cap;

    struct memo_item *memo_items;
    struct cached *cache, *cache_last;
    struct cached *cache_buckets[CACHE_MAX];
    struct cached *cache_hints[HINTS]; /* by the address of the key: what it had last */
    uint32_t cache_len;
    uint64_t random_state[2];
    int64_t now_ns;
    bool has_now;
    uint32_t pc; /* of the call that is being made */
    uint32_t near[NEAR_MAX];
    uint32_t last_fn; /* that rego_eval_path() found */

    struct rego_policy *query_policy; /* of the last rego_eval_query() */
    struct str query_text;
    const struct rego_policy *query_of;
};

struct rego_call {
    struct rego_ctx *ctx;
    struct str name;
};

/* ---- vm.c ---- */

uint32_t memo_hash(uint32_t fn, const value *args, uint32_t n);
/* The result of a call that was made before in the present view. */
bool memo_find(struct rego_ctx *ctx, uint32_t hash, uint32_t fn, const value *args, uint32_t n,
               value *out);
bool memo_store(struct rego_ctx *ctx, uint32_t hash, uint32_t fn, const value *args, uint32_t n,
                value result);

/* Run function `fn` without arguments to its end; *out may be undefined. */
STATUS vm_run(struct rego_ctx *ctx, uint32_t fn, value *out);

/* The document at a tree node; all rules below have been evaluated. */
value vm_document(struct rego_ctx *ctx, uint32_t node);

/* Base document at a node, or undefined. */
value vm_base(struct rego_ctx *ctx, uint32_t node);

static inline void *vm_untag(value v)
{
    return (void *)(uintptr_t)(v.word & ~(uint64_t)15);
}

static inline value vm_tag(const void *p)
{
    return (value){(uint64_t)(uintptr_t)p | VM_TAG};
}

static inline bool vm_is_tagged(value v)
{
    return (v.word & 15) == VM_TAG;
}

/* The next key and value of a collection; false at its end. */
static inline bool vm_next_item(value c, size_t i, value *key, value *val)
{
    if (i >= value_len(c))
        return false;
    switch (value_kind(c)) {
    case VALUE_KIND_OBJECT:
        *key = value_pairs(c)[i].key;
        *val = value_pairs(c)[i].val;
        return true;
    case VALUE_KIND_ARRAY:
        *key = value_small_int((int64_t)i);
        *val = value_items(c)[i];
        return true;
    default:
        *key = *val = value_items(c)[i];
        return true;
    }
}

/* base[key] at a place of the program. */
static inline value vm_lookup(struct rego_ctx *ctx, value base, value key, uint32_t place)
{
    if (LIKELY(value_is_object(base)))
        return value_get_near(base, key, &ctx->near[place % NEAR_MAX]);
    return value_lookup(base, key);
}

/* A member of a base document: a number also finds the member of that name, as in OPA's store. */
static inline value vm_document_lookup(struct rego_ctx *ctx, value base, value key, uint32_t place)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    if (UNLIKELY(value_kind(key) == VALUE_KIND_NUMBER) && value_is_object(base)) {
        value v = value_get_str(base, value_number_text(key, scratch));
        if (value_is_defined(v))
            return v;
    }
    return vm_lookup(ctx, base, key, place);
}

/* The next function at or after node `at` that is needed for the document at `top`; FN_NONE: all
 * are there. */
uint32_t vm_missing(struct rego_ctx *ctx, uint32_t top, uint32_t *at);

bool vm_is_hidden(const struct rego_ctx *ctx, uint32_t node);
value vm_memo(const struct rego_ctx *ctx, uint32_t fn);

/*
 * A cursor in the tree of rules: a node, or CURSOR_VALUE where only a value is left,
 * and the base document or value there.
 *
 * One step: *out gets both.  Returns the function that must be evaluated first, or
 * FN_NONE; *defined is false when the step leads nowhere.
 */
#define CURSOR_VALUE value_small_int(-1)
uint32_t cursor_step(struct rego_ctx *ctx, const value *from, value key, value *out, bool *defined);
/* Base keys first, then those of the rule tree (spec 5.10); `state` of TREE_SCAN. */
bool cursor_next(struct rego_ctx *ctx, value *state, const value *cursor, value *key);

/* ---- limits.c ---- */

/* End the evaluation with an error; returns the status. */
enum status vm_fail(struct rego_ctx *ctx, enum status st, const char *code,
                    const struct prog_pos *pos, const char *format, ...) PRINTF_LIKE(5, 6);
enum status vm_no_memory(struct rego_ctx *ctx);

/* Position of the literal at `pc`. */
struct prog_pos vm_position(const struct rego_policy *p, uint32_t pc);

bool vm_spend_slowly(struct rego_ctx *ctx, uint64_t units);

/* Steps that something takes; false: the evaluation has ended. */
static inline bool vm_spend(struct rego_ctx *ctx, uint64_t units)
{
    if (UNLIKELY(ctx->steps_left < units || ctx->until_deadline <= units))
        return vm_spend_slowly(ctx, units);
    ctx->steps_left -= units;
    ctx->until_deadline -= (uint32_t)units;
    return true;
}

/* To look at all that a value holds; at all that both hold, as far as the smaller goes. */
bool vm_spend_whole(struct rego_ctx *ctx, value v);
bool vm_spend_both(struct rego_ctx *ctx, value x, value y);
/* For what was done already: the next step finds out whether it was too much. */
void vm_spend_later(struct rego_ctx *ctx, value v);

/* To compare values: what is one word, or has another hash where that decides, is free. */
static inline bool vm_spend_compare(struct rego_ctx *ctx, value x, value y, bool hashed)
{
    if (LIKELY(!value_is_heap(x) || !value_is_heap(y)) || x.word == y.word)
        return true;
    return (hashed && value_heap(x)->hash != value_heap(y)->hash) || vm_spend_both(ctx, x, y);
}

/* A key or member that is a collection is compared as a whole when it is found. */
static inline bool vm_spend_key(struct rego_ctx *ctx, value key)
{
    if (LIKELY(!value_is_heap(key) || value_heap(key)->kind < VALUE_KIND_ARRAY))
        return true;
    return vm_spend_whole(ctx, key);
}

/* ---- external.c ---- */

/*
 * A call of an external function; host functions that promise it are called once for
 * the same operands.  *out is undefined when there is no result.  False: the
 * evaluation ends.
 */
bool external_call(struct rego_ctx *ctx, uint32_t index, const value *args, uint32_t n, uint32_t pc,
                   value *out);
/* WALK; `n` as there. */
bool external_walk(struct rego_ctx *ctx, value v, value prefix, uint8_t n, uint32_t pc, value *out);
/* ARITH of what is not two small numbers. */
bool external_arith(struct rego_ctx *ctx, char sign, value x, value y, uint32_t pc, value *out);

/* ---- places.c ---- */

/* What stands at a place of the present view's documents, or undefined; word 0: no memory. */
value place_find(struct rego_ctx *ctx, uint32_t place);

static inline value vm_place(struct rego_ctx *ctx, uint32_t place)
{
    if (LIKELY(ctx->view == &ctx->root && ctx->places != NULL && ctx->places[place].word != 0))
        return ctx->places[place];
    return place_find(ctx, place);
}

/* ---- loops.c ---- */

struct loop_index;
#define LOOP_END UINT32_MAX

/*
 * Index of a collection by what its items have at a path of names; NULL: go through
 * all of them, or (ctx->status) the evaluation has ended.  `document`: it is part of
 * the base documents of the present view.
 */
const struct loop_index *loop_find(struct rego_ctx *ctx, value c, const value *path, uint32_t len,
                                   bool document);
/* Indexes over base documents of the present view are kept. */
bool loop_is_kept(const struct rego_ctx *ctx);
/* The number of the next item that may have the same key; LOOP_END: none. */
uint32_t loop_next(const struct loop_index *x, uint32_t item);
value loop_collection(const struct loop_index *x);

/* What SCAN_BY begins; false: no item can have the key, or (ctx->status) the evaluation ends. */
bool loop_begin(struct rego_ctx *ctx, const struct prog_loop *loop, value c, value key,
                value *state);
/* x is an item of the indexed array. */
bool loop_has(const struct loop_index *items, value x);

/* ---- builtins_graph.c ---- */

/*
 * Results of walk(v) whose paths begin with the array `prefix` (undefined: all); with
 * null in place of the paths, unless `paths`; only those at `depth`, unless SIZE_MAX.
 */
enum rego_outcome walk_narrowed(struct rego_call *call, value v, value prefix, bool paths,
                                size_t depth, value *out);

/* ---- ctx.c ---- */

/* Take over the parameters, and forget the caches of others. */
void rego_ctx_begin(struct rego_ctx *ctx, const struct rego_eval *params);
/* What the evaluation ends with: strict mode turns a recorded error into a failure. */
STATUS rego_ctx_finish(struct rego_ctx *ctx, enum status st);

/* ---- trace.c ---- */

void trace_miss(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t fail_pc);
void trace_false(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t pc);
void trace_held(struct rego_ctx *ctx, const value *regs, uint32_t pc);

/* ---- build.c ---- */

struct vm_builder *builder_new(struct rego_ctx *ctx, uint32_t kind);
bool builder_put(struct rego_ctx *ctx, struct vm_builder *b, value key, value val, uint32_t rule);
bool builder_nest(struct rego_ctx *ctx, struct vm_builder *b, const value *path, uint32_t len,
                  value val, bool element, uint32_t rule);
/* False: the error is in the context. */
bool builder_finish(struct rego_ctx *ctx, struct vm_builder *b, uint32_t kind, value *out);
/* Of registers; undefined: no memory. */
value build_object(struct rego_ctx *ctx, const value *pairs, uint32_t n);
value build_set(struct rego_ctx *ctx, const value *items, uint32_t n);
/* What a comprehension over all items of a collection gives; `n`: 0 an array, 1 a set. */
value build_items(struct rego_ctx *ctx, value c, int n);

/* ---- modify.c ---- */

/* A new view on top of the present one. */
struct view *view_enter(struct rego_ctx *ctx, const struct prog_with *w, const value *values);
/* The present view without the replacements of one function. */
struct view *view_without(struct rego_ctx *ctx, bool rule, uint32_t what);
const struct mock *find_mock(const struct view *v, bool rule, uint32_t what);
