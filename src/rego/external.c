/*
 * Calls of built-in functions and of the host's.
 */
#include "rego/vm.h"

/* A built-in error: told of, the first one recorded, and the call is undefined. */
static void record_error(struct rego_ctx *ctx, const struct prog_external *e, uint32_t pc)
{
    if (ctx->has_builtin_error && ctx->params.builtin_error == NULL)
        return;
    struct prog_pos pos = vm_position(ctx->policy, pc);
    struct rego_error error = ctx->call_error;
    if (error.code == NULL) {
        error.code = "eval_builtin_error";
        error.message = arena_format(&ctx->arena, "%.*s: failed", STR_ARG(e->name));
    }
    error.file = pos.file;
    error.row = pos.row;
    error.col = pos.col;
    if (!ctx->has_builtin_error)
        ctx->builtin_error = error;
    ctx->has_builtin_error = true;
    if (ctx->params.builtin_error != NULL)
        ctx->params.builtin_error(ctx->params.user, &error);
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
        if (!vm_spend_whole(ctx, args[i]))
            return false;
    if (e->fn == NULL)
        (void)rego_call_error(&call, "built-in function is not available");
    else
        got = e->fn(&call, args, out);
    /* A host that says so and gives none: {0} would be a pointer. */
    if (UNLIKELY(e->host && got == REGO_VALUE && (out->word == 0 || !value_is_defined(*out))))
        got = rego_call_error(&call, "the function of the host gave no value");
    if (UNLIKELY(ctx->arena.failed != OK))
        got = REGO_FATAL; /* an error text or a value that memory ran out for is no answer */
    switch (got) {
    case REGO_VALUE:
        if (value_kind(*out) == VALUE_KIND_NUMBER && value_is_heap(*out))
            vm_spend_later(ctx, *out); /* 1e30000 + 1 is short only before */
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
bool external_call(struct rego_ctx *ctx, uint32_t index, const value *args, uint32_t n, uint32_t pc,
                   value *out)
{
    const struct prog_external *e = &ctx->policy->externals[index];
    if (!e->host || (e->flags & REGO_PURE) == 0)
        return call_external(ctx, e, args, n, pc, out);
    uint32_t key = index | REPLACEMENT_EXTERNAL;
    uint32_t hash = memo_hash(key, args, n);
    if (memo_find(ctx, hash, key, args, n, out))
        return true;
    if (!call_external(ctx, e, args, n, pc, out))
        return false;
    if (!memo_store(ctx, hash, key, args, n, *out)) {
        vm_no_memory(ctx);
        return false;
    }
    return true;
}

/* An explanation tells of the last node that was tried, so all are. */
bool external_walk(struct rego_ctx *ctx, value v, value prefix, uint8_t n, uint32_t pc, value *out)
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

bool external_arith(struct rego_ctx *ctx, char sign, value x, value y, uint32_t pc, value *out)
{
    struct prog_external e = infix[sign == '+' ? 0 : sign == '-' ? 1 : 2];
    const struct rego_builtin *b = rego_builtin_find(e.name);
    e.fn = b == NULL ? NULL : b->fn;
    value args[2] = {x, y};
    return call_external(ctx, &e, args, 2, pc, out);
}
