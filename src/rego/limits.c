/*
 * How an evaluation ends early: errors, steps and the deadline.
 */
#include "rego/vm.h"

#include <stdarg.h>
#include <stdio.h>

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
    uint32_t line = program_lines_to(p, pc);
    if (line == 0 || p->lines[line - 1].expr >= p->expr_count)
        return (struct prog_pos){0};
    return p->exprs[p->lines[line - 1].expr].pos;
}

/* ---- steps ---- */

#define DEADLINE_GRACE_NS 50000000 /* that a step may end behind its deadline */

bool vm_spend_slowly(struct rego_ctx *ctx, uint64_t units)
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

/*
 * Looking at everything that a value holds takes its time, however often the same
 * part is in it: [a, a] of [b, b] of ... is small in memory only.  4 KiB are a step.
 */
#define WHOLE_SHIFT 12

static uint64_t whole_work(value v)
{
    return value_is_heap(v) ? (value_size(v) >> WHOLE_SHIFT) + rego_number_work(v) : 0;
}

bool vm_spend_whole(struct rego_ctx *ctx, value v)
{
    uint64_t n = whole_work(v);
    return n == 0 || vm_spend(ctx, n);
}

bool vm_spend_both(struct rego_ctx *ctx, value x, value y)
{
    return vm_spend_whole(ctx, value_size(x) < value_size(y) ? x : y);
}

void vm_spend_later(struct rego_ctx *ctx, value v)
{
    uint64_t n = whole_work(v);
    ctx->steps_left -= n < ctx->steps_left ? n : ctx->steps_left;
    ctx->until_deadline -= n < ctx->until_deadline ? (uint32_t)n : ctx->until_deadline;
}

bool rego_call_charge(struct rego_call *call, uint64_t units)
{
    return vm_spend(call->ctx, units);
}

bool rego_call_charge_whole(struct rego_call *call, uint64_t units, uint64_t ns)
{
    struct rego_ctx *ctx = call->ctx;
    if (!vm_spend(ctx, units))
        return false;
    if (ctx->limits.deadline_ns == 0 || ns < DEADLINE_GRACE_NS)
        return true;
    int64_t left = ctx->limits.deadline_ns - clock_monotonic_ns();
    if (left > 0 && ns - DEADLINE_GRACE_NS < (uint64_t)left)
        return true;
    vm_fail(ctx, ERR_CANCELLED, "eval_cancel_error", NULL, "evaluation would take too long");
    return false;
}
