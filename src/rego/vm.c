/*
 * The machine.  One loop over instructions; a failing instruction goes to its
 * target d and leaves its place in `fail_pc`, which explanations read.
 */
#include "rego/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "rego/index.h"
#include "value/number.h"

/* ---- errors ---- */

enum status vm_fail(struct rego_ctx *ctx, enum status st, const char *code,
                    const struct prog_pos *pos, const char *format, ...)
{
    if (ctx->status != OK)
        return ctx->status;
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    ctx->status = st;
    ctx->error = (struct rego_error){.code = code, .message = arena_str(&ctx->arena, str_of(text))};
    if (ctx->error.message.ptr == NULL)
        ctx->error.message = STR("out of memory");
    if (pos != NULL) {
        ctx->error.file = pos->file;
        ctx->error.row = pos->row;
        ctx->error.col = pos->col;
    }
    return st;
}

enum status vm_no_memory(struct rego_ctx *ctx)
{
    if (ctx->status != OK)
        return ctx->status;
    enum status st = arena_status(&ctx->arena);
    ctx->status = st == OK ? ERR_NOMEM : st;
    ctx->error = (struct rego_error){
        .code = "eval_cancel_error",
        .message = st == ERR_LIMIT ? STR("evaluation needs more memory than allowed")
                                   : STR("out of memory"),
    };
    return ctx->status;
}

struct prog_pos vm_position(const struct rego_policy *p, uint32_t pc)
{
    uint32_t lo = 0;
    uint32_t hi = p->line_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->lines[mid].pc <= pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0 || p->lines[lo - 1].expr >= p->expr_count)
        return (struct prog_pos){0};
    return p->exprs[p->lines[lo - 1].expr].pos;
}

/* ---- steps ---- */

#define DEADLINE_GRACE_NS 50000000 /* that a step may end behind its deadline */

static bool spend_slowly(struct rego_ctx *ctx, uint64_t units)
{
    if (ctx->steps_left < units) {
        ctx->steps_left = 0;
        vm_fail(ctx, ERR_LIMIT, "eval_cancel_error", NULL, "evaluation took more than %llu steps",
                (unsigned long long)ctx->steps_max);
        return false;
    }
    ctx->steps_left -= units;
    if (ctx->until_deadline > units) {
        ctx->until_deadline -= (uint32_t)units;
        return true;
    }
    ctx->until_deadline = DEADLINE_STEPS;
    if (ctx->limits.deadline_ns != 0 && clock_monotonic_ns() > ctx->limits.deadline_ns) {
        vm_fail(ctx, ERR_CANCELLED, "eval_cancel_error", NULL, "evaluation took too long");
        return false;
    }
    return true;
}

static inline bool spend(struct rego_ctx *ctx, uint64_t units)
{
    if (UNLIKELY(ctx->steps_left < units || ctx->until_deadline <= units))
        return spend_slowly(ctx, units);
    ctx->steps_left -= units;
    ctx->until_deadline -= (uint32_t)units;
    return true;
}

/*
 * Looking at everything that a value holds takes its time, however often the same
 * part is in it: [a, a] of [b, b] of ... is small in memory only.  4 KiB are a step.
 */
#define WHOLE_SHIFT 12

static uint64_t whole_work(value v)
{
    return value_is_heap(v) ? (value_size(v) >> WHOLE_SHIFT) + rego_number_work(v) : 0;
}

static bool spend_whole(struct rego_ctx *ctx, value v)
{
    uint64_t n = whole_work(v);
    return n == 0 || spend(ctx, n);
}

static bool spend_both(struct rego_ctx *ctx, value x, value y)
{
    return spend_whole(ctx, value_size(x) < value_size(y) ? x : y);
}

/* For what was done already: the next step finds out whether it was too much. */
static void spend_later(struct rego_ctx *ctx, value v)
{
    uint64_t n = whole_work(v);
    ctx->steps_left -= n < ctx->steps_left ? n : ctx->steps_left;
    ctx->until_deadline -= n < ctx->until_deadline ? (uint32_t)n : ctx->until_deadline;
}

/* To compare values: what is one word, or has another hash where that decides, is free. */
static inline bool spend_compare(struct rego_ctx *ctx, value x, value y, bool hashed)
{
    if (LIKELY(!value_is_heap(x) || !value_is_heap(y)) || x.word == y.word)
        return true;
    return (hashed && value_heap(x)->hash != value_heap(y)->hash) || spend_both(ctx, x, y);
}

/* A key or member that is a collection is compared as a whole when it is found. */
static inline bool spend_key(struct rego_ctx *ctx, value key)
{
    if (LIKELY(!value_is_heap(key) || value_heap(key)->kind < VALUE_KIND_ARRAY))
        return true;
    return spend_whole(ctx, key);
}

static bool spend_keys(struct rego_ctx *ctx, const value *keys, uint32_t n, uint32_t stride)
{
    for (uint32_t i = 0; i < n; i++)
        if (!spend_key(ctx, keys[i * stride]))
            return false;
    return true;
}

bool vm_spend_whole(struct rego_ctx *ctx, value v)
{
    return spend_whole(ctx, v);
}

bool vm_spend(struct rego_ctx *ctx, uint64_t units)
{
    return spend(ctx, units);
}

bool rego_call_charge(struct rego_call *call, uint64_t units)
{
    return spend(call->ctx, units);
}

bool rego_call_charge_whole(struct rego_call *call, uint64_t units, uint64_t ns)
{
    struct rego_ctx *ctx = call->ctx;
    if (!spend(ctx, units))
        return false;
    if (ctx->limits.deadline_ns == 0 || ns < DEADLINE_GRACE_NS)
        return true;
    int64_t left = ctx->limits.deadline_ns - clock_monotonic_ns();
    if (left > 0 && ns - DEADLINE_GRACE_NS < (uint64_t)left)
        return true;
    vm_fail(ctx, ERR_CANCELLED, "eval_cancel_error", NULL, "evaluation would take too long");
    return false;
}

/* ---- register stack ---- */

static bool next_segment(struct rego_ctx *ctx, size_t need)
{
    struct segment *s = ctx->segment->next;
    if (s == NULL || (size_t)(s->end - s->start) < need) {
        size_t size = need > 4096 ? need : 4096;
        s = arena_new(&ctx->arena, struct segment);
        value *regs = arena_alloc(&ctx->arena, size * sizeof(value));
        if (s == NULL || regs == NULL)
            return false;
        *s = (struct segment){.prev = ctx->segment, .start = regs, .end = regs + size};
        ctx->segment->next = s;
    }
    ctx->segment = s;
    ctx->top = s->start;
    return true;
}

static struct frame *push_frame(struct rego_ctx *ctx, uint32_t fn)
{
    const struct prog_fn *f = &ctx->policy->fns[fn];
    if (ctx->frame_count >= ctx->limits.depth) {
        vm_fail(ctx, ERR_LIMIT, "eval_cancel_error", &f->pos, "more than %u calls within calls",
                ctx->limits.depth);
        return NULL;
    }
    if (ctx->frame_count == ctx->frame_cap) {
        uint32_t cap = ctx->frame_cap * 2;
        struct frame *frames = realloc(ctx->frames, cap * sizeof(*frames));
        if (frames == NULL) {
            vm_no_memory(ctx);
            return NULL;
        }
        ctx->frames = frames;
        ctx->frame_cap = cap;
    }
    value *top = ctx->top;
    if (UNLIKELY((size_t)(ctx->segment->end - ctx->top) < f->regs) && !next_segment(ctx, f->regs)) {
        vm_no_memory(ctx);
        return NULL;
    }
    struct frame *fr = &ctx->frames[ctx->frame_count++];
    *fr = (struct frame){
        .regs = ctx->regs, .top = top, .view = ctx->view, .fn = fn, .steps = ctx->steps_left};
    ctx->regs = ctx->top;
    ctx->top += f->regs;
    if (UNLIKELY(ctx->params.trace != REGO_TRACE_OFF))
        for (uint32_t i = 0; i < f->regs; i++)
            ctx->regs[i] = VALUE_UNDEFINED;
    return fr;
}

static void pop_frame(struct rego_ctx *ctx)
{
    struct frame *fr = &ctx->frames[--ctx->frame_count];
    ctx->regs = fr->regs;
    ctx->top = fr->top;
    ctx->view = fr->view;
    while (ctx->top < ctx->segment->start || ctx->top > ctx->segment->end)
        ctx->segment = ctx->segment->prev;
}

/* ---- memo ---- */

/*
 * Room for the values of rules.  Those of constant rules are known (fold.c), except
 * where `with` hides rules from them, or an explanation is to tell how they came about.
 */
static bool make_memo(struct rego_ctx *ctx)
{
    const struct rego_policy *p = ctx->policy;
    struct view *view = ctx->view;
    view->memo = arena_alloc(&ctx->arena, p->fn_count * sizeof(value));
    if (view->memo == NULL)
        return false;
    if (p->known != NULL && view->hides == NULL && ctx->params.trace == REGO_TRACE_OFF)
        memcpy(view->memo, p->known, p->fn_count * sizeof(value));
    else
        memset(view->memo, 0, p->fn_count * sizeof(value));
    return true;
}

static bool store_memo(struct rego_ctx *ctx, uint32_t fn, value v)
{
    if (ctx->view->memo == NULL && !make_memo(ctx))
        return false;
    ctx->view->memo[fn] = v;
    return true;
}

static uint32_t call_hash(uint32_t fn, const value *args, uint32_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ fn;
    for (uint32_t i = 0; i < n; i++)
        h = hash_mix(h, value_hash(args[i]));
    return (uint32_t)(h ^ h >> 29);
}

/* The call's entry, or the free one where it belongs. */
static struct call_entry *find_call(struct call_memo *m, uint32_t hash, uint32_t fn,
                                    const value *args, uint32_t n)
{
    for (uint32_t at = hash;; at++) {
        struct call_entry *e = &m->slots[at & (m->cap - 1)];
        if (e->args == NULL)
            return e;
        if (e->hash != hash || e->fn != fn)
            continue;
        uint32_t i = 0;
        while (i < n && value_equal(e->args[i], args[i]))
            i++;
        if (i == n)
            return e;
    }
}

static bool lookup_call(struct rego_ctx *ctx, uint32_t hash, uint32_t fn, const value *args,
                        uint32_t n, value *out)
{
    struct call_memo *m = &ctx->view->calls;
    if (m->cap == 0)
        return false;
    struct call_entry *e = find_call(m, hash, fn, args, n);
    if (e->args == NULL)
        return false;
    *out = e->result;
    for (uint32_t i = 0; i < n; i++)
        if (UNLIKELY(e->args[i].word != args[i].word))
            spend_later(ctx, args[i]);
    return true;
}

static bool grow_calls(struct rego_ctx *ctx, struct call_memo *m)
{
    struct call_memo bigger = {.cap = m->cap == 0 ? 32 : m->cap * 4, .len = m->len};
    bigger.slots = arena_new_array(&ctx->arena, struct call_entry, bigger.cap);
    if (bigger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < m->cap; i++) {
        uint32_t at = m->slots[i].hash;
        while (m->slots[i].args != NULL && bigger.slots[at & (bigger.cap - 1)].args != NULL)
            at++;
        if (m->slots[i].args != NULL)
            bigger.slots[at & (bigger.cap - 1)] = m->slots[i];
    }
    *m = bigger;
    return true;
}

static bool store_call(struct rego_ctx *ctx, uint32_t hash, uint32_t fn, const value *args,
                       uint32_t n, value result)
{
    struct call_memo *m = &ctx->view->calls;
    value *copy = arena_alloc(&ctx->arena, n * sizeof(value));
    if (copy == NULL || (m->len * 2 >= m->cap && !grow_calls(ctx, m)))
        return false;
    memcpy(copy, args, n * sizeof(value));
    struct call_entry *e = find_call(m, hash, fn, args, n);
    m->len += e->args == NULL;
    *e = (struct call_entry){hash, fn, copy, result};
    return true;
}

/* What took fewer steps is done again as quickly as it is found. */
#define REMEMBERED_STEPS 4

/* The value that the frame's function returns; its arguments are still in their registers. */
static bool remember_result(struct rego_ctx *ctx, const struct frame *fr, value v)
{
    const struct prog_fn *f = &ctx->policy->fns[fr->fn];
    if (f->kind != FN_FUNCTION)
        return store_memo(ctx, fr->fn, v);
    /* An explanation tells of each call once; what has effects has them once. */
    bool worth = fr->steps - ctx->steps_left >= REMEMBERED_STEPS || f->effects ||
                 ctx->params.trace != REGO_TRACE_OFF;
    return !fr->remember || !worth || store_call(ctx, fr->hash, fr->fn, ctx->regs, f->args, v);
}

/* ---- external calls ---- */

/* A built-in error: recorded, and the call is undefined. */
static void record_error(struct rego_ctx *ctx, const struct prog_external *e, uint32_t pc)
{
    if (ctx->has_builtin_error)
        return;
    struct prog_pos pos = vm_position(ctx->policy, pc);
    ctx->has_builtin_error = true;
    ctx->builtin_error = ctx->call_error;
    if (ctx->builtin_error.code == NULL) {
        ctx->builtin_error.code = "eval_builtin_error";
        ctx->builtin_error.message = arena_format(&ctx->arena, "%.*s: failed", STR_ARG(e->name));
    }
    ctx->builtin_error.file = pos.file;
    ctx->builtin_error.row = pos.row;
    ctx->builtin_error.col = pos.col;
}

/* One call; *out is undefined when there is no result. False: the evaluation ends. */
static bool call_external(struct rego_ctx *ctx, const struct prog_external *e, const value *args,
                          uint32_t n, uint32_t pc, value *out)
{
    struct rego_call call = {ctx, e->name};
    ctx->pc = pc;
    ctx->call_error.code = NULL;
    enum rego_outcome got = REGO_FAILED;
    for (uint32_t i = 0; (e->flags & REGO_CHEAP) == 0 && i < n; i++)
        if (!spend_whole(ctx, args[i]))
            return false;
    if (e->fn == NULL)
        (void)rego_call_error(&call, "built-in function is not available");
    else
        got = e->fn(&call, args, out);
    if (UNLIKELY(ctx->arena.failed != OK))
        got = REGO_FATAL; /* an error text or a value that memory ran out for is no answer */
    switch (got) {
    case REGO_VALUE:
        if (value_kind(*out) == VALUE_KIND_NUMBER && value_is_heap(*out))
            spend_later(ctx, *out); /* 1e30000 + 1 is short only before */
        if (value_is_defined(*out))
            return true;
        vm_no_memory(ctx);
        return false;
    case REGO_UNDEFINED:
        *out = VALUE_UNDEFINED;
        return true;
    case REGO_FAILED:
        record_error(ctx, e, pc);
        *out = VALUE_UNDEFINED;
        return true;
    case REGO_FATAL:
        break;
    }
    if (ctx->status == OK)
        vm_no_memory(ctx);
    return false;
}

/* Host functions that promise it are called once for the same operands. */
static bool call_cached(struct rego_ctx *ctx, uint32_t index, const value *args, uint32_t n,
                        uint32_t pc, value *out)
{
    const struct prog_external *e = &ctx->policy->externals[index];
    if (!e->host || (e->flags & REGO_PURE) == 0)
        return call_external(ctx, e, args, n, pc, out);
    uint32_t key = index | REPLACEMENT_EXTERNAL;
    uint32_t hash = call_hash(key, args, n);
    if (lookup_call(ctx, hash, key, args, n, out))
        return true;
    if (!call_external(ctx, e, args, n, pc, out))
        return false;
    if (!store_call(ctx, hash, key, args, n, *out)) {
        vm_no_memory(ctx);
        return false;
    }
    return true;
}

/* ---- slow paths of single instructions ---- */

/* An explanation tells of the last node that was tried, so all are. */
static bool walk_all(struct rego_ctx *ctx, value v, value prefix, uint8_t n, uint32_t pc,
                     value *out)
{
    struct rego_call call = {ctx, STR("walk")};
    ctx->pc = pc;
    bool all = ctx->params.trace != REGO_TRACE_OFF;
    enum rego_outcome got =
        all ? walk_narrowed(&call, v, VALUE_UNDEFINED, true, SIZE_MAX, out)
            : walk_narrowed(&call, v, prefix, n != 1, n < 2 ? SIZE_MAX : n - 2u, out);
    if (got == REGO_VALUE && ctx->arena.failed == OK)
        return true;
    vm_no_memory(ctx);
    return false;
}

static const struct prog_external infix[] = {
    {.name = {"plus", 4}},
    {.name = {"minus", 5}},
    {.name = {"mul", 3}},
};

static bool slow_arith(struct rego_ctx *ctx, char sign, value x, value y, uint32_t pc, value *out)
{
    struct prog_external e = infix[sign == '+' ? 0 : sign == '-' ? 1 : 2];
    const struct rego_builtin *b = rego_builtin_find(e.name);
    e.fn = b == NULL ? NULL : b->fn;
    value args[2] = {x, y};
    return call_external(ctx, &e, args, 2, pc, out);
}

/* Hashes differ in nearly every step: compare only these. */
static bool is_item(const value *items, size_t n, value x)
{
    if (!value_is_string(x)) {
        for (size_t i = 0; i < n; i++)
            if (value_equal(items[i], x))
                return true;
        return false;
    }
    uint32_t hash = value_heap(x)->hash;
    for (size_t i = 0; i < n; i++)
        if (value_is_heap(items[i]) && value_heap(items[i])->hash == hash &&
            value_equal(items[i], x))
            return true;
    return false;
}

/* In an array of the base documents, by an index that is kept. */
static bool is_indexed(const struct loop_index *items, value x)
{
    const value *all = value_items(loop_collection(items));
    uint32_t i = loop_first(items, x);
    while (i != LOOP_END && !value_equal(all[i], x))
        i = loop_next(items, i);
    return i != LOOP_END;
}

static bool is_member(struct rego_ctx *ctx, value x, value c, bool document, bool *out)
{
    size_t n = value_len(c);
    *out = false;
    if (!spend_whole(ctx, x))
        return false;
    if (document && n >= 16 && value_is_array(c) && loop_is_kept(ctx)) {
        const struct loop_index *items = loop_find(ctx, c, NULL, 0, true);
        if (items != NULL)
            *out = is_indexed(items, x);
        if (items != NULL || ctx->status != OK)
            return ctx->status == OK;
    }
    switch (value_kind(c)) {
    case VALUE_KIND_SET:
        *out = value_set_has(c, x);
        return true;
    case VALUE_KIND_ARRAY:
        *out = is_item(value_items(c), n, x);
        break;
    case VALUE_KIND_OBJECT:
        for (size_t i = 0; i < n && !*out; i++)
            *out = value_equal(value_pairs(c)[i].val, x);
        break;
    default:
        return true;
    }
    return n < 256 || spend(ctx, n / 256);
}

static void *untag(value v)
{
    return (void *)(uintptr_t)(v.word & ~(uint64_t)15);
}

static value tag(const void *p)
{
    return (value){(uint64_t)(uintptr_t)p | VM_TAG};
}

static bool is_tagged(value v)
{
    return (v.word & 15) == VM_TAG;
}

/* The next key and value of a collection; false at its end. */
static bool next_item(value c, size_t i, value *key, value *val)
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

/* A loop's two registers: collection and next number; or index and next item. */
static bool next_of_loop(value *state, value *key, value *val)
{
    int64_t k = value_small(state[1]);
    if (LIKELY(!is_tagged(state[0]))) {
        state[1] = value_small_int(k + 1);
        return next_item(state[0], (size_t)k, key, val);
    }
    const struct loop_index *x = untag(state[0]);
    if (k == LOOP_END)
        return false;
    state[1] = value_small_int(loop_next(x, (uint32_t)k));
    return next_item(loop_collection(x), (size_t)k, key, val);
}

/* What SCAN_BY begins; false: no item can have the key, or (ctx->status) the evaluation ends. */
static bool begin_narrowed(struct rego_ctx *ctx, const struct prog_loop *loop, value c, value key,
                           value *state)
{
    const struct loop_index *x = loop_find(ctx, c, loop->path.keys, loop->path.len, loop->document);
    state[0] = c;
    state[1] = value_small_int(0);
    if (x == NULL)
        return ctx->status == OK;
    uint32_t first = value_is_defined(key) ? loop_first(x, key) : LOOP_END;
    state[0] = tag(x);
    state[1] = value_small_int(first);
    return first != LOOP_END;
}

static value make_object(struct rego_ctx *ctx, const value *pairs, uint32_t n)
{
    return value_object(&ctx->arena, (const struct value_pair *)pairs, n);
}

static value make_set(struct rego_ctx *ctx, const value *items, uint32_t n)
{
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, n);
    for (uint32_t i = 0; i < n; i++)
        value_builder_add(&b, items[i]);
    return value_set_finish(&b);
}

/* What a comprehension over all items of a collection gives; `n`: 0 an array, 1 a set. */
static value collect(struct rego_ctx *ctx, value c, int n)
{
    enum value_kind kind = value_kind(c);
    if (kind == (n == 0 ? VALUE_KIND_ARRAY : VALUE_KIND_SET))
        return c;
    size_t len = value_len(c);
    struct value_builder b;
    value_builder_init(&b, &ctx->arena, len);
    for (size_t i = 0; i < len; i++)
        value_builder_add(&b,
                          kind == VALUE_KIND_OBJECT ? value_pairs(c)[i].val : value_items(c)[i]);
    return n == 0 ? value_array_finish(&b) : value_set_finish(&b);
}

static void conflict(struct rego_ctx *ctx, uint32_t fn, uint32_t rule)
{
    const struct prog_fn *f = &ctx->policy->fns[fn];
    const char *text = f->keyed ? "object keys must be unique"
                       : f->kind == FN_FUNCTION
                           ? "functions must not produce multiple outputs for same inputs"
                           : "complete rules must not produce multiple outputs";
    vm_fail(ctx, ERR_INVALID, "eval_conflict_error", &ctx->policy->rules[rule].pos, "%s", text);
}

/* Child of a tree node by key; FN_NONE: none. */
static uint32_t child_node(const struct rego_policy *p, uint32_t node, value key)
{
    const struct prog_node *n = &p->nodes[node];
    uint32_t lo = 0;
    uint32_t hi = n->child_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = value_compare(key, p->nodes[n->children[mid]].key);
        if (order == 0)
            return n->children[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return FN_NONE;
}

#define CURSOR_VALUE value_small_int(-1)

/*
 * One step of a cursor: *out gets node and base document.  Returns the function
 * that must be evaluated first, or FN_NONE; *defined is false when the step
 * leads nowhere.
 */
static uint32_t step_cursor(struct rego_ctx *ctx, const value *from, value key, value *out,
                            bool *defined)
{
    const struct rego_policy *p = ctx->policy;
    value base =
        value_is_defined(from[1]) ? vm_document_lookup(ctx, from[1], key, 0) : VALUE_UNDEFINED;
    int64_t node = value_small(from[0]);
    uint32_t child = node < 0 ? FN_NONE : child_node(p, (uint32_t)node, key);
    *defined = true;
    if (child != FN_NONE && !vm_is_hidden(ctx, child)) {
        uint32_t fn = p->nodes[child].fn;
        if (fn == FN_NONE) {
            out[0] = value_small_int(child);
            out[1] = base;
            return FN_NONE;
        }
        if (p->fns[fn].kind != FN_FUNCTION) {
            base = vm_memo(ctx, fn);
            if (base.word == 0)
                return fn;
        }
    }
    out[0] = CURSOR_VALUE;
    out[1] = base;
    *defined = value_is_defined(base);
    return FN_NONE;
}

/* Base keys first, then those of the rule tree (spec 5.10). */
static bool next_key(struct rego_ctx *ctx, value *state, const value *cursor, value *key)
{
    value val;
    int64_t i = value_small(state[1]);
    state[1] = value_small_int(i + 1);
    size_t n = value_is_defined(cursor[1]) ? value_len(cursor[1]) : 0;
    if ((size_t)i < n)
        return next_item(cursor[1], (size_t)i, key, &val);
    int64_t node = value_small(cursor[0]);
    size_t k = (size_t)i - n;
    if (node < 0 || k >= ctx->policy->nodes[node].child_count)
        return false;
    *key = ctx->policy->nodes[ctx->policy->nodes[node].children[k]].key;
    return true;
}

/* ---- the loop ---- */

/* GCC would load the fields of an instruction into a vector register and take them out again:
 * a tenth of all time. */
#ifdef __clang__
#define NO_VECTORS
#else
#define NO_VECTORS __attribute__((optimize("no-tree-vectorize")))
#endif

/* An instruction ends with `break`: on to the next one; with `goto fail`: to its target; or with
 * `continue`, when it has set pc itself. */

#define X(operand) ((operand)&OPERAND_CONST ? consts[(operand) & ~OPERAND_CONST] : R[operand])

/* A constructor ran out of memory. */
#define CHECK_BUILT(v)                                                                             \
    if (UNLIKELY(!value_is_defined(v))) {                                                          \
        vm_no_memory(ctx);                                                                         \
        return ctx->status;                                                                        \
    }

/* Enter function `fn_`; its first arguments are in `args_`. */
#define ENTER(fn_, how_)                                                                           \
    {                                                                                              \
        struct frame *fr_ = push_frame(ctx, (fn_));                                                \
        if (fr_ == NULL)                                                                           \
            return ctx->status;                                                                    \
        fr_->back = pc;                                                                            \
        fr_->fail_pc = fail_pc;                                                                    \
        fr_->how = (how_);                                                                         \
        R = ctx->regs;                                                                             \
        pc = p->fns[(fn_)].entry;                                                                  \
        fail_pc = pc;                                                                              \
    }

NO_VECTORS static STATUS run(struct rego_ctx *ctx, uint32_t start, value *out)
{
    const struct rego_policy *p = ctx->policy;
    const struct insn *code = p->code;
    const value *consts = p->consts;
    uint32_t bottom = ctx->frame_count;
    uint32_t pc = 0;
    uint32_t fail_pc = 0;
    value *R = ctx->regs;

    ENTER(start, RETURN_HOST)
    for (;;) {
        const struct insn *i = &code[pc];
        switch ((enum opcode)i->op) {
        case OP_MOVE:
            R[i->a] = X(i->b);
            break;
        case OP_LOADK:
            R[i->a] = consts[i->d];
            break;
        case OP_UNDEF:
            R[i->a] = VALUE_UNDEFINED;
            break;
        case OP_JUMP:
            pc = i->d;
            continue;
        case OP_FAIL:
            goto fail;
        case OP_INPUT:
            if (!value_is_defined(ctx->view->input))
                goto fail;
            R[i->a] = ctx->view->input;
            break;
        case OP_DATA:
            if (!value_is_defined(ctx->view->data))
                goto fail;
            R[i->a] = ctx->view->data;
            break;
        case OP_GET: {
            if (!spend_key(ctx, X(i->c)))
                return ctx->status;
            value v = i->n == 0 ? vm_lookup(ctx, X(i->b), X(i->c), NEAR_PC(pc))
                                : vm_document_lookup(ctx, X(i->b), X(i->c), NEAR_PC(pc));
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_PLACE: {
            value v = vm_place(ctx, i->c);
            if (UNLIKELY(v.word == 0))
                return vm_no_memory(ctx);
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_PATH: {
            value v = i->n == 1 ? ctx->view->input : i->n == 2 ? ctx->view->data : R[i->b];
            const struct prog_path *path = &p->paths[i->c];
            for (uint32_t k = 0; k < path->len && value_is_defined(v); k++)
                v = i->n < 2 ? vm_lookup(ctx, v, path->keys[k], NEAR_PC(pc + 67 * k))
                             : vm_document_lookup(ctx, v, path->keys[k], NEAR_PC(pc + 67 * k));
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_TEST:
            if (X(i->a).word == VALUE_FALSE.word)
                goto fail;
            break;
        case OP_EQ:
            if (!spend_compare(ctx, X(i->a), X(i->b), true))
                return ctx->status;
            if (!value_equal(X(i->a), X(i->b)))
                goto fail;
            break;
        case OP_NEQ:
            if (!spend_compare(ctx, X(i->a), X(i->b), true))
                return ctx->status;
            if (value_equal(X(i->a), X(i->b)))
                goto fail;
            break;
        case OP_LT:
        case OP_LE: {
            value x = X(i->a);
            value y = X(i->b);
            if (!spend_compare(ctx, x, y, false))
                return ctx->status;
            int order = value_is_small(x) && value_is_small(y)
                            ? (value_small(x) > value_small(y)) - (value_small(x) < value_small(y))
                            : value_compare(x, y);
            if (i->op == OP_LT ? order >= 0 : order > 0)
                goto fail;
            break;
        }
        case OP_IN: {
            bool found;
            if (!is_member(ctx, X(i->a), X(i->b), i->n == 1, &found))
                return ctx->status;
            if (!found)
                goto fail;
            break;
        }
        case OP_COMPARE: {
            value x = X(i->b);
            value y = X(i->c);
            if (!spend_compare(ctx, x, y, i->n < 2))
                return ctx->status;
            bool holds = i->n == 0   ? value_equal(x, y)
                         : i->n == 1 ? !value_equal(x, y)
                         : i->n == 2 ? value_compare(x, y) < 0
                                     : value_compare(x, y) <= 0;
            R[i->a] = value_bool(holds);
            break;
        }
        case OP_ARITH: {
            value x = X(i->b);
            value y = X(i->c);
            int64_t n;
            if (value_is_small(x) && value_is_small(y)) {
                bool overflow =
                    i->n == '+'   ? __builtin_add_overflow(value_small(x), value_small(y), &n)
                    : i->n == '-' ? __builtin_sub_overflow(value_small(x), value_small(y), &n)
                                  : __builtin_mul_overflow(value_small(x), value_small(y), &n);
                if (!overflow && value_small_fits(n)) {
                    R[i->a] = value_small_int(n);
                    break;
                }
            }
            value v = VALUE_UNDEFINED;
            if (!slow_arith(ctx, (char)i->n, x, y, pc, &v))
                return ctx->status;
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_SCAN: {
            value c = X(i->b);
            if (value_kind(c) < VALUE_KIND_ARRAY || (i->n == 0 && value_len(c) == 0))
                goto fail;
            R[i->a] = c;
            R[i->a + 1] = value_small_int(0);
            break;
        }
        case OP_SCAN_BY: {
            value c = X(i->b);
            if (value_kind(c) < VALUE_KIND_ARRAY || value_len(c) == 0)
                goto fail;
            if (!begin_narrowed(ctx, &p->loops[i->n], c, X(i->c), &R[i->a])) {
                if (ctx->status != OK)
                    return ctx->status;
                goto fail;
            }
            break;
        }
        case OP_NEXT: {
            value key, val;
            if (!next_of_loop(&R[i->a], &key, &val)) {
                pc = i->d;
                continue;
            }
            if (!spend(ctx, 1))
                return ctx->status;
            if (i->b != OPERAND_NONE)
                R[i->b] = key;
            if (i->c != OPERAND_NONE)
                R[i->c] = val;
            break;
        }
        case OP_ARRAY: {
            value v = value_array(&ctx->arena, &R[i->b], i->c);
            CHECK_BUILT(v)
            R[i->a] = v;
            break;
        }
        case OP_SET: {
            if (!spend_keys(ctx, &R[i->b], i->c, 1))
                return ctx->status;
            value v = make_set(ctx, &R[i->b], i->c);
            CHECK_BUILT(v)
            R[i->a] = v;
            break;
        }
        case OP_OBJECT: {
            if (!spend_keys(ctx, &R[i->b], i->c, 2))
                return ctx->status;
            value v = make_object(ctx, &R[i->b], i->c);
            CHECK_BUILT(v)
            R[i->a] = v;
            break;
        }
        case OP_IS_ARRAY:
            if (!value_is_array(R[i->a]) || value_len(R[i->a]) != i->c)
                goto fail;
            break;
        case OP_ITEM:
            R[i->a] = value_items(R[i->b])[i->c];
            break;
        case OP_IS_OBJECT:
            if (!value_is_object(R[i->a]) || value_len(R[i->a]) != i->c)
                goto fail;
            break;
        case OP_BUILD: {
            struct vm_builder *b = builder_new(ctx, i->n);
            if (b == NULL)
                return vm_no_memory(ctx);
            R[i->a] = tag(b);
            break;
        }
        case OP_ADD: {
            if (UNLIKELY(i->n != 0 && ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            struct vm_builder *b = untag(R[i->a]);
            value_builder_add(&b->b, X(i->b));
            if (b->b.failed)
                return vm_no_memory(ctx);
            break;
        }
        case OP_PUT:
            if (UNLIKELY(i->n != 0 && ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            if (!builder_put(ctx, untag(R[i->a]), X(i->b), X(i->c), i->d))
                return vm_no_memory(ctx);
            break;
        case OP_NEST:
        case OP_NEST_ADD:
            if (!builder_nest(ctx, untag(R[i->a]), &R[i->b], i->n, X(i->c), i->op == OP_NEST_ADD,
                              i->d))
                return vm_no_memory(ctx);
            break;
        case OP_FINISH: {
            value v = VALUE_UNDEFINED;
            if (!builder_finish(ctx, untag(R[i->b]), i->n, &v))
                return vm_no_memory(ctx);
            R[i->a] = v;
            break;
        }
        case OP_COLLECT: {
            value c = X(i->b);
            if (value_kind(c) < VALUE_KIND_ARRAY)
                break;
            if (!spend(ctx, value_len(c)))
                return ctx->status;
            value v = collect(ctx, c, i->n);
            CHECK_BUILT(v)
            if (v.word != c.word && !spend_whole(ctx, v))
                return ctx->status;
            R[i->a] = v;
            break;
        }
        case OP_CALL:
        case OP_CALL_ALL: {
            const struct prog_external *e = &p->externals[i->c];
            value v = VALUE_UNDEFINED;
            if (!spend(ctx, 1))
                return ctx->status;
            const struct mock *m = e->mocked ? find_mock(ctx->view, false, i->c) : NULL;
            if (m == NULL) {
                if (!call_cached(ctx, i->c, &R[i->b], i->n, pc, &v))
                    return ctx->status;
            } else if (m->is_value) {
                v = m->val;
            } else {
                struct view *view = view_without(ctx, false, i->c);
                if (view == NULL)
                    return ctx->status;
                if ((m->replacement & REPLACEMENT_EXTERNAL) != 0) {
                    struct view *before = ctx->view;
                    ctx->view = view;
                    bool ok = call_cached(ctx, m->replacement & ~REPLACEMENT_EXTERNAL, &R[i->b],
                                          i->n, pc, &v);
                    ctx->view = before;
                    if (!ok)
                        return ctx->status;
                } else {
                    const value *args = &R[i->b];
                    uint32_t n = i->n;
                    struct view *before = ctx->view;
                    ENTER(m->replacement, RETURN_VALUE)
                    ctx->frames[ctx->frame_count - 1].view = before;
                    ctx->view = view;
                    memcpy(R, args, n * sizeof(value));
                    continue;
                }
            }
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_WALK: {
            value v = VALUE_UNDEFINED;
            if (!spend(ctx, 1) || !walk_all(ctx, X(i->b), X(i->c), i->n, pc, &v))
                return ctx->status;
            R[i->a] = v;
            break;
        }
        case OP_CALL_1:
        case OP_CALL_2: {
            value args[2] = {X(i->b), i->op == OP_CALL_2 ? X(i->c) : VALUE_UNDEFINED};
            value v = VALUE_UNDEFINED;
            if (!spend(ctx, 1) || !call_cached(ctx, i->n, args, i->op == OP_CALL_2 ? 2 : 1, pc, &v))
                return ctx->status;
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_CALL_RULE: {
            uint32_t fn = i->c;
            struct view *before = ctx->view;
            struct view *inside = before;
            if (!spend(ctx, 1))
                return ctx->status;
            if (UNLIKELY(p->fns[fn].mocked)) {
                const struct mock *m = find_mock(before, true, fn);
                if (m != NULL && m->is_value) {
                    R[i->a] = m->val;
                    break;
                }
                if (m != NULL) {
                    inside = view_without(ctx, true, fn);
                    if (inside == NULL)
                        return ctx->status;
                    fn = m->replacement;
                }
            }
            const value *args = &R[i->b];
            uint32_t n = i->n;
            if ((fn & REPLACEMENT_EXTERNAL) != 0) {
                value v = VALUE_UNDEFINED;
                ctx->view = inside;
                bool ok = call_cached(ctx, fn & ~REPLACEMENT_EXTERNAL, args, n, pc, &v);
                ctx->view = before;
                if (!ok)
                    return ctx->status;
                if (!value_is_defined(v))
                    goto fail;
                R[i->a] = v;
                break;
            }
            if (p->fns[fn].cheap && ctx->params.trace == REGO_TRACE_OFF) {
                ENTER(fn, RETURN_VALUE)
                ctx->view = inside;
                memcpy(R, args, n * sizeof(value));
                continue;
            }
            uint32_t hash = call_hash(fn, args, n);
            value known;
            if (inside == before && lookup_call(ctx, hash, fn, args, n, &known)) {
                if (!value_is_defined(known))
                    goto fail;
                R[i->a] = known;
                break;
            }
            ENTER(fn, RETURN_VALUE)
            ctx->view = inside;
            ctx->frames[ctx->frame_count - 1].hash = hash;
            ctx->frames[ctx->frame_count - 1].remember = true;
            memcpy(R, args, n * sizeof(value));
            continue;
        }
        case OP_RULE: {
            uint32_t fn = i->c;
            value v = vm_memo(ctx, fn);
            if (UNLIKELY(ctx->view->hides != NULL) && vm_is_hidden(ctx, p->fns[fn].node)) {
                v = vm_base(ctx, p->fns[fn].node);
            } else if (v.word == 0) {
                if (!spend(ctx, 1))
                    return ctx->status;
                ENTER(fn, RETURN_VALUE)
                continue;
            }
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_RULE_KEY: {
            value key = X(i->b);
            if (!spend_key(ctx, key))
                return ctx->status;
            value v = vm_memo(ctx, i->c);
            uint32_t fn = p->fns[i->c].by_key;
            if (UNLIKELY(ctx->view->hides != NULL) && vm_is_hidden(ctx, p->fns[fn].node)) {
                v = vm_base(ctx, p->fns[fn].node);
                v = value_is_defined(v) ? vm_document_lookup(ctx, v, key, NEAR_PC(pc)) : v;
            } else if (v.word != 0) {
                v = value_is_defined(v) ? value_lookup(v, key) : v;
            } else {
                uint32_t hash = call_hash(fn, &key, 1);
                if (!lookup_call(ctx, hash, fn, &key, 1, &v)) {
                    if (!spend(ctx, 1))
                        return ctx->status;
                    ENTER(fn, RETURN_VALUE)
                    ctx->frames[ctx->frame_count - 1].hash = hash;
                    ctx->frames[ctx->frame_count - 1].remember = true;
                    R[0] = key;
                    continue;
                }
            }
            if (!value_is_defined(v))
                goto fail;
            R[i->a] = v;
            break;
        }
        case OP_EXTENT: {
            uint32_t at = value_is_defined(R[i->b]) ? (uint32_t)value_small(R[i->b]) : i->c;
            uint32_t fn = vm_missing(ctx, i->c, &at);
            if (fn != FN_NONE) {
                R[i->b] = value_small_int(at);
                if (!spend(ctx, 1))
                    return ctx->status;
                ENTER(fn, RETURN_AGAIN)
                continue;
            }
            value v = vm_document(ctx, i->c);
            if (!value_is_defined(v)) {
                if (arena_status(&ctx->arena) != OK)
                    return vm_no_memory(ctx);
                goto fail;
            }
            R[i->a] = v;
            break;
        }
        case OP_TREE:
            R[i->a] = vm_is_hidden(ctx, i->c) ? CURSOR_VALUE : value_small_int(i->c);
            R[i->a + 1] = vm_base(ctx, i->c);
            break;
        case OP_TREE_STEP: {
            bool defined;
            uint32_t fn = step_cursor(ctx, &R[i->b], X(i->c), &R[i->a], &defined);
            if (fn != FN_NONE) {
                if (!spend(ctx, 1))
                    return ctx->status;
                ENTER(fn, RETURN_AGAIN)
                continue;
            }
            if (!defined)
                goto fail;
            break;
        }
        case OP_TREE_SCAN:
            R[i->a] = VALUE_NULL;
            R[i->a + 1] = value_small_int(0);
            break;
        case OP_TREE_NEXT: {
            value key;
            if (!next_key(ctx, &R[i->a], &R[i->b], &key)) {
                pc = i->d;
                continue;
            }
            if (!spend(ctx, 1))
                return ctx->status;
            R[i->c] = key;
            break;
        }
        case OP_TREE_END: {
            int64_t node = value_small(R[i->b]);
            if (node < 0) {
                if (!value_is_defined(R[i->b + 1]))
                    goto fail;
                R[i->a] = R[i->b + 1];
                break;
            }
            value *scratch = &R[i->b + 2];
            uint32_t at =
                value_is_defined(*scratch) ? (uint32_t)value_small(*scratch) : (uint32_t)node;
            uint32_t fn = vm_missing(ctx, (uint32_t)node, &at);
            if (fn != FN_NONE) {
                *scratch = value_small_int(at);
                if (!spend(ctx, 1))
                    return ctx->status;
                ENTER(fn, RETURN_AGAIN)
                continue;
            }
            value v = vm_document(ctx, (uint32_t)node);
            if (!value_is_defined(v)) {
                if (arena_status(&ctx->arena) != OK)
                    return vm_no_memory(ctx);
                goto fail;
            }
            R[i->a] = v;
            break;
        }
        case OP_WITH: {
            struct view *v = view_enter(ctx, &p->withs[i->c], &R[i->b]);
            if (v == NULL)
                return ctx->status;
            ctx->view = v;
            R[i->a] = tag(v);
            break;
        }
        case OP_WITH_END:
            ctx->view = ctx->view->outer;
            break;
        case OP_WITH_AGAIN:
            ctx->view = untag(R[i->a]);
            break;
        case OP_RESULT: {
            value v = X(i->b);
            if (UNLIKELY(ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            if (!spend_compare(ctx, R[i->a], v, true))
                return ctx->status;
            if (!value_is_defined(R[i->a])) {
                R[i->a] = v;
            } else if (!value_equal(R[i->a], v)) {
                conflict(ctx, ctx->frames[ctx->frame_count - 1].fn, i->d);
                return ctx->status;
            }
            break;
        }
        case OP_RETURN: {
            value v = X(i->a);
            if (UNLIKELY(i->n != 0 && ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            const struct frame *fr = &ctx->frames[ctx->frame_count - 1];
            if (!remember_result(ctx, fr, v))
                return vm_no_memory(ctx);
            enum frame_return how = (enum frame_return)fr->how;
            pc = fr->back;
            fail_pc = fr->fail_pc;
            pop_frame(ctx);
            R = ctx->regs;
            if (how == RETURN_VALUE) {
                i = &code[pc];
                if (!value_is_defined(v))
                    goto fail;
                R[i->a] = v;
                break;
            }
            if (how == RETURN_AGAIN)
                continue;
            if (ctx->frame_count == bottom) {
                *out = v;
                return OK;
            }
            continue;
        }
        case OP_IF_DEFINED:
            pc = value_is_defined(R[i->a]) ? i->d : pc + 1;
            continue;
        case OP_MISS:
            if (UNLIKELY(ctx->params.trace != REGO_TRACE_OFF) &&
                (i->a == OPERAND_NONE || !value_is_defined(R[i->a])))
                trace_miss(ctx, R, i->d, fail_pc);
            break;
        case OP_VALUE:
            if (UNLIKELY(ctx->params.trace != REGO_TRACE_OFF) && X(i->a).word == VALUE_FALSE.word)
                trace_false(ctx, R, i->d, pc);
            break;
        case OP_COVER:
            if (ctx->covered != NULL && ctx->covered_of == p) {
                uint32_t bit = i->d + (i->n == 0 ? 0 : p->expr_count);
                ctx->covered[bit / 8] |= (uint8_t)(1u << (bit & 7));
            }
            break;
        case OP_INDEX: {
            struct index_list *l = arena_alloc(&ctx->arena, sizeof(*l));
            if (l == NULL || !index_lookup(ctx, p->indexes[i->d], R, l))
                return vm_no_memory(ctx);
            R[i->a] = tag(l);
            R[i->a + 1] = tag(p->indexes[i->d]);
            break;
        }
        case OP_INDEX_NEXT: {
            struct index_list *l = untag(R[i->a]);
            if (l->len == 0) {
                pc = i->d;
                continue;
            }
            const struct prog_index *x = untag(R[i->a + 1]);
            pc = x->entries[*l->rules];
            l->rules++;
            l->len--;
            continue;
        }
        case OP_COUNT: /* program_verify() has seen to it */
            __builtin_unreachable();
        }
        pc++;
        continue;
    fail:
        fail_pc = pc;
        pc = i->d;
    }
}

STATUS vm_run(struct rego_ctx *ctx, uint32_t fn, value *out)
{
    if (ctx->view->memo == NULL && !make_memo(ctx))
        return vm_no_memory(ctx);
    uint32_t frames = ctx->frame_count;
    struct view *view = ctx->view;
    enum status st = run(ctx, fn, out);
    while (ctx->frame_count > frames)
        pop_frame(ctx);
    ctx->view = view;
    return st;
}
