/*
 * The machine.  One loop over instructions; a failing instruction goes to its
 * target d and leaves its place in `fail_pc`, which explanations read.
 */
#include "rego/vm.h"

#include <stdlib.h>

#include "base/hash.h"
#include "rego/index.h"

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

/* ---- what is remembered ---- */

/*
 * Room for the values of rules.  Those of constant rules are known (fold.c), except
 * where `with` hides rules from them, or an explanation is to tell how they came about.
 */
static bool memo_begin(struct rego_ctx *ctx)
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

static bool store_value(struct rego_ctx *ctx, uint32_t fn, value v)
{
    if (ctx->view->memo == NULL && !memo_begin(ctx))
        return false;
    ctx->view->memo[fn] = v;
    return true;
}

uint32_t memo_hash(uint32_t fn, const value *args, uint32_t n)
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

bool memo_find(struct rego_ctx *ctx, uint32_t hash, uint32_t fn, const value *args, uint32_t n,
               value *out)
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
            vm_spend_later(ctx, args[i]);
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

bool memo_store(struct rego_ctx *ctx, uint32_t hash, uint32_t fn, const value *args, uint32_t n,
                value result)
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
static bool memo_result(struct rego_ctx *ctx, const struct frame *fr, value v)
{
    const struct prog_fn *f = &ctx->policy->fns[fr->fn];
    if (f->kind != FN_FUNCTION)
        return store_value(ctx, fr->fn, v);
    /* An explanation tells of each call once; what has effects has them once. */
    bool worth = fr->steps - ctx->steps_left >= REMEMBERED_STEPS || f->effects ||
                 ctx->params.trace != REGO_TRACE_OFF;
    return !fr->remember || !worth || memo_store(ctx, fr->hash, fr->fn, ctx->regs, f->args, v);
}

/* ---- single instructions ---- */

/* A loop's two registers: collection and next number; or index and next item. */
static bool next_of_loop(value *state, value *key, value *val)
{
    int64_t k = value_small(state[1]);
    if (LIKELY(!vm_is_tagged(state[0]))) {
        state[1] = value_small_int(k + 1);
        return vm_next_item(state[0], (size_t)k, key, val);
    }
    const struct loop_index *x = vm_untag(state[0]);
    if (k == LOOP_END)
        return false;
    state[1] = value_small_int(loop_next(x, (uint32_t)k));
    return vm_next_item(loop_collection(x), (size_t)k, key, val);
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

static bool spend_keys(struct rego_ctx *ctx, const value *keys, uint32_t n, uint32_t stride)
{
    for (uint32_t i = 0; i < n; i++)
        if (!vm_spend_key(ctx, keys[i * stride]))
            return false;
    return true;
}

static bool is_member(struct rego_ctx *ctx, value x, value c, bool document, bool *out)
{
    size_t n = value_len(c);
    *out = false;
    if (!vm_spend_whole(ctx, x))
        return false;
    if (document && n >= 16 && value_is_array(c) && loop_is_kept(ctx)) {
        const struct loop_index *items = loop_find(ctx, c, NULL, 0, true);
        if (items != NULL)
            *out = loop_has(items, x);
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
    return n < 256 || vm_spend(ctx, n / 256);
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
            if (!vm_spend_key(ctx, X(i->c)))
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
            if (!vm_spend_compare(ctx, X(i->a), X(i->b), true))
                return ctx->status;
            if (!value_equal(X(i->a), X(i->b)))
                goto fail;
            break;
        case OP_NEQ:
            if (!vm_spend_compare(ctx, X(i->a), X(i->b), true))
                return ctx->status;
            if (value_equal(X(i->a), X(i->b)))
                goto fail;
            break;
        case OP_LT:
        case OP_LE: {
            value x = X(i->a);
            value y = X(i->b);
            if (!vm_spend_compare(ctx, x, y, false))
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
            if (!vm_spend_compare(ctx, x, y, i->n < 2))
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
            if (!external_arith(ctx, (char)i->n, x, y, pc, &v))
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
            if (!loop_begin(ctx, &p->loops[i->n], c, X(i->c), &R[i->a])) {
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
            if (!vm_spend(ctx, 1))
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
            value v = build_set(ctx, &R[i->b], i->c);
            CHECK_BUILT(v)
            R[i->a] = v;
            break;
        }
        case OP_OBJECT: {
            if (!spend_keys(ctx, &R[i->b], i->c, 2))
                return ctx->status;
            value v = build_object(ctx, &R[i->b], i->c);
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
            R[i->a] = vm_tag(b);
            break;
        }
        case OP_ADD: {
            if (UNLIKELY(i->n != 0 && ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            struct vm_builder *b = vm_untag(R[i->a]);
            value_builder_add(&b->b, X(i->b));
            if (b->b.failed)
                return vm_no_memory(ctx);
            break;
        }
        case OP_PUT:
            if (UNLIKELY(i->n != 0 && ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            if (!builder_put(ctx, vm_untag(R[i->a]), X(i->b), X(i->c), i->d))
                return vm_no_memory(ctx);
            break;
        case OP_NEST:
        case OP_NEST_ADD:
            if (!builder_nest(ctx, vm_untag(R[i->a]), &R[i->b], i->n, X(i->c), i->op == OP_NEST_ADD,
                              i->d))
                return vm_no_memory(ctx);
            break;
        case OP_FINISH: {
            value v = VALUE_UNDEFINED;
            if (!builder_finish(ctx, vm_untag(R[i->b]), i->n, &v))
                return vm_no_memory(ctx);
            R[i->a] = v;
            break;
        }
        case OP_COLLECT: {
            value c = X(i->b);
            if (value_kind(c) < VALUE_KIND_ARRAY)
                break;
            if (!vm_spend(ctx, value_len(c)))
                return ctx->status;
            value v = build_items(ctx, c, i->n);
            CHECK_BUILT(v)
            if (v.word != c.word && !vm_spend_whole(ctx, v))
                return ctx->status;
            R[i->a] = v;
            break;
        }
        case OP_CALL:
        case OP_CALL_ALL: {
            const struct prog_external *e = &p->externals[i->c];
            value v = VALUE_UNDEFINED;
            if (!vm_spend(ctx, 1))
                return ctx->status;
            const struct mock *m = e->mocked ? find_mock(ctx->view, false, i->c) : NULL;
            if (m == NULL) {
                if (!external_call(ctx, i->c, &R[i->b], i->n, pc, &v))
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
                    bool ok = external_call(ctx, m->replacement & ~REPLACEMENT_EXTERNAL, &R[i->b],
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
            if (!vm_spend(ctx, 1) || !external_walk(ctx, X(i->b), X(i->c), i->n, pc, &v))
                return ctx->status;
            R[i->a] = v;
            break;
        }
        case OP_CALL_1:
        case OP_CALL_2: {
            value args[2] = {X(i->b), i->op == OP_CALL_2 ? X(i->c) : VALUE_UNDEFINED};
            value v = VALUE_UNDEFINED;
            if (!vm_spend(ctx, 1) ||
                !external_call(ctx, i->n, args, i->op == OP_CALL_2 ? 2 : 1, pc, &v))
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
            if (!vm_spend(ctx, 1))
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
                bool ok = external_call(ctx, fn & ~REPLACEMENT_EXTERNAL, args, n, pc, &v);
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
            uint32_t hash = memo_hash(fn, args, n);
            value known;
            if (inside == before && memo_find(ctx, hash, fn, args, n, &known)) {
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
                if (!vm_spend(ctx, 1))
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
            if (!vm_spend_key(ctx, key))
                return ctx->status;
            value v = vm_memo(ctx, i->c);
            uint32_t fn = p->fns[i->c].by_key;
            if (UNLIKELY(ctx->view->hides != NULL) && vm_is_hidden(ctx, p->fns[fn].node)) {
                v = vm_base(ctx, p->fns[fn].node);
                v = value_is_defined(v) ? vm_document_lookup(ctx, v, key, NEAR_PC(pc)) : v;
            } else if (v.word != 0) {
                v = value_is_defined(v) ? value_lookup(v, key) : v;
            } else {
                uint32_t hash = memo_hash(fn, &key, 1);
                if (!memo_find(ctx, hash, fn, &key, 1, &v)) {
                    if (!vm_spend(ctx, 1))
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
                if (!vm_spend(ctx, 1))
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
            uint32_t fn = cursor_step(ctx, &R[i->b], X(i->c), &R[i->a], &defined);
            if (fn != FN_NONE) {
                if (!vm_spend(ctx, 1))
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
            if (!cursor_next(ctx, &R[i->a], &R[i->b], &key)) {
                pc = i->d;
                continue;
            }
            if (!vm_spend(ctx, 1))
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
                if (!vm_spend(ctx, 1))
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
            R[i->a] = vm_tag(v);
            break;
        }
        case OP_WITH_END:
            ctx->view = ctx->view->outer;
            break;
        case OP_WITH_AGAIN:
            ctx->view = vm_untag(R[i->a]);
            break;
        case OP_RESULT: {
            value v = X(i->b);
            if (UNLIKELY(ctx->params.trace == REGO_TRACE_ALL))
                trace_held(ctx, R, pc);
            if (!vm_spend_compare(ctx, R[i->a], v, true))
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
            if (!memo_result(ctx, fr, v))
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
            R[i->a] = vm_tag(l);
            R[i->a + 1] = vm_tag(p->indexes[i->d]);
            break;
        }
        case OP_INDEX_NEXT: {
            struct index_list *l = vm_untag(R[i->a]);
            if (l->len == 0) {
                pc = i->d;
                continue;
            }
            const struct prog_index *x = vm_untag(R[i->a + 1]);
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
    if (ctx->view->memo == NULL && !memo_begin(ctx))
        return vm_no_memory(ctx);
    uint32_t frames = ctx->frame_count;
    struct view *view = ctx->view;
    enum status st = run(ctx, fn, out);
    while (ctx->frame_count > frames)
        pop_frame(ctx);
    ctx->view = view;
    return st;
}
