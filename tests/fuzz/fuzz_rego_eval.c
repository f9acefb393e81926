/*
 * A policy and an input, divided by a line "---", under small limits.
 * Properties: limits hold; the result does not depend on the hash key, on
 * explanations being recorded or on an earlier evaluation in the context.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "rego/rego.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 20000

static struct str input_of(struct str *text)
{
    const char *at = memmem(text->ptr, text->len, "\n---\n", 5);
    if (at == NULL)
        return STR_EMPTY;
    struct str rest = str_from(*text, (size_t)(at - text->ptr) + 5);
    text->len = (size_t)(at - text->ptr) + 1;
    return rest;
}

/* The result as text. A result that a limit ended may differ: then `limited`. */
static void evaluate(struct rego_ctx *ctx, const struct rego_policy *policy, struct str input,
                     enum rego_trace_level trace, struct buf *out, bool *limited)
{
    struct rego_eval params = {
        .policy = policy,
        .input = VALUE_UNDEFINED,
        .data = VALUE_UNDEFINED,
        .now_ns = 1700000000000000000,
        .random_seed = {1, 2},
        .trace = trace,
    };
    rego_ctx_reset(ctx);
    value v = VALUE_UNDEFINED;
    if (input.len > 0 && json_parse(rego_ctx_arena(ctx), input, NULL, &v, NULL) == OK)
        params.input = v;
    params.data = v;
    value result = VALUE_UNDEFINED;
    enum status st = rego_eval_path(ctx, &params, STR("data"), &result);
    if (rego_ctx_steps(ctx) > STEPS || rego_ctx_bytes(ctx) > (8u << 20))
        abort();
    if (st == ERR_INTERNAL)
        abort();
    *limited = st == ERR_LIMIT || st == ERR_NOMEM || st == ERR_CANCELLED;
    if (st != OK)
        rego_error_write(out, rego_ctx_error(ctx));
    else if (value_is_defined(result))
        status_ignore(json_write(out, result, JSON_COMPACT));
}

static bool run(struct str policy_text, struct str input, bool v0, uint64_t key,
                enum rego_trace_level trace, struct buf *out)
{
    hash_set_key(key, key + 1);
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = v0 ? REGO_V0 : REGO_V1;
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    CLEANUP(rego_ctx_cleanup)
    struct rego_ctx *ctx =
        rego_ctx_new(&(struct rego_limits){.steps = STEPS, .memory = 8 << 20, .depth = 64});
    if (ctx == NULL || rego_compile_text(STR("f.rego"), policy_text, &options, &policy, NULL) != OK)
        return false;
    bool limited = false;
    evaluate(ctx, policy, input, trace, out, &limited);
    CLEANUP(buf_done) struct buf again;
    buf_init(&again, 32 << 20);
    bool limited_again = false;
    evaluate(ctx, policy, input, trace, &again, &limited_again);
    if (!limited && !limited_again && !str_equal(buf_str(out), buf_str(&again)))
        abort();
    return !limited;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 8192)
        return 0;
    struct str text = str_bytes(data + 1, size - 1);
    struct str input = input_of(&text);
    CLEANUP(buf_done) struct buf first;
    CLEANUP(buf_done) struct buf second;
    buf_init(&first, 32 << 20);
    buf_init(&second, 32 << 20);
    bool v0 = (data[0] & 1) != 0;
    if (run(text, input, v0, 1, REGO_TRACE_OFF, &first) &&
        run(text, input, v0, 99, REGO_TRACE_ALL, &second) &&
        !str_equal(buf_str(&first), buf_str(&second)))
        abort();
    return 0;
}
