/*
 * What does not depend on an evaluation is computed with the program: calls of
 * built-ins with constant operands, and rules that reach neither input nor base
 * documents.
 *
 * Only what succeeds is kept.  A call or rule that fails, needs much, or is undefined
 * for a call, stays as it is and fails when it is evaluated, there and in those words.
 */
#include "rego/plan.h"
#include "rego/vm.h"

#define CALL_BYTES_MAX 4096           /* of the result of a call */
#define RULE_BYTES_MAX (64 << 10)     /* likewise, of a rule */
#define RULE_STEPS 20000              /* of all rules together */
#define FOLD_MEMORY ((size_t)1 << 20) /* while computing */
#define FOLD_DEPTH 32

/*
 * Pure, but not to be called while compiling: they load a library, read files, or
 * take long; a policy that is compiled and not evaluated should not pay for them.
 */
static bool is_heavy(struct str name)
{
    static const char *const prefixes[] = {
        "regex.",
        "glob.",
        "io.",
        "crypto.",
        "time.",
        "net.",
        "yaml.",
        "json.match_schema",
        "json.verify_schema",
        "opa.",
        "rego.",
        "http.",
        "graphql.",
        "providers.",
        "graph.",
        "numbers.",
        "uuid.",
    };
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_has_prefix(name, str_of(prefixes[i])))
            return true;
    return false;
}

static bool is_foldable(unsigned flags, struct str name)
{
    return (flags & REGO_PURE) != 0 && (flags & (REGO_NONDETERMINISTIC | REGO_NEEDS_ALL)) == 0 &&
           !is_heavy(name);
}

static struct rego_ctx *new_ctx(const struct plan *p)
{
    struct rego_limits limits = {.steps = RULE_STEPS,
                                 .memory = FOLD_MEMORY,
                                 .depth = FOLD_DEPTH,
                                 .deadline_ns = p->c->options.deadline_ns};
    return rego_ctx_new(&limits);
}

/* ---- calls ---- */

bool fold_call(struct plan *p, const struct term *call, uint32_t n, value *out)
{
    const struct callee *f = call->callee;
    value args[4];
    if (f->kind != CALLEE_BUILTIN || f->mocked || f->builtin->fn == NULL || n == 0 ||
        n > ARRAY_LEN(args) || p->failed || !is_foldable(f->builtin->flags, f->name))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!ast_is_constant(call->items[i + 1]))
            return false;
    for (uint32_t i = 0; i < n; i++)
        if (!constant_value(p, call->items[i + 1], &args[i]))
            return false;
    if (p->folding == NULL)
        p->folding = new_ctx(p);
    struct rego_ctx *ctx = p->folding;
    if (ctx == NULL) {
        p->failed = true;
        return false;
    }
    rego_ctx_reset(ctx);
    struct rego_call c = {ctx, f->name};
    value v = VALUE_UNDEFINED;
    ctx->until_deadline = DEADLINE_STEPS;
    if (f->builtin->fn(&c, args, &v) != REGO_VALUE || ctx->arena.failed != OK ||
        !value_is_defined(v) || value_size(v) > CALL_BYTES_MAX)
        return false;
    *out = value_copy(p->scratch, v);
    p->failed |= !value_is_defined(*out);
    return !p->failed;
}

/* ---- rules ---- */

enum fold_state { NOT_KNOWN, IS_VARIABLE, IS_CONSTANT };

struct folder {
    const struct rego_policy *p;
    uint8_t *states; /* enum fold_state, by function */
};

static bool is_constant(struct folder *f, uint32_t fn, uint32_t depth);

static bool is_constant_insn(struct folder *f, const struct insn *i, uint32_t depth)
{
    const struct prog_external *e;
    switch ((enum opcode)i->op) {
    case OP_INPUT:
    case OP_DATA:
    case OP_PLACE:
    case OP_EXTENT:
    case OP_TREE:
    case OP_WITH:
    case OP_COVER:
        return false;
    case OP_PATH:
        return i->n == 0 || i->n == 3;
    case OP_CALL:
    case OP_CALL_1:
    case OP_CALL_2:
    case OP_CALL_ALL:
        e = &f->p->externals[i->op == OP_CALL_1 || i->op == OP_CALL_2 ? i->n : i->c];
        return e->fn != NULL && !e->host && !e->mocked && is_foldable(e->flags, e->name);
    case OP_RULE:
    case OP_CALL_RULE:
        return is_constant(f, i->c, depth + 1);
    case OP_RULE_KEY:
        return is_constant(f, i->c, depth + 1) && is_constant(f, f->p->fns[i->c].by_key, depth + 1);
    default:
        return true;
    }
}

/* Rules are not recursive; chains of calls that are longer than FOLD_DEPTH are left alone. */
static bool is_constant(struct folder *f, uint32_t fn, uint32_t depth)
{
    if (depth > FOLD_DEPTH)
        return false;
    if (f->states[fn] == NOT_KNOWN) {
        const struct prog_fn *g = &f->p->fns[fn];
        bool constant = !g->mocked;
        for (uint32_t pc = g->entry; pc < g->end && constant; pc++)
            constant = is_constant_insn(f, &f->p->code[pc], depth);
        f->states[fn] = constant ? IS_CONSTANT : IS_VARIABLE;
    }
    return f->states[fn] == IS_CONSTANT;
}

/* Its value, unless it fails; false: memory is exhausted. */
static bool fold_rule(struct rego_policy *p, struct rego_ctx *ctx, uint32_t fn)
{
    value v = vm_memo(ctx, fn);
    if (v.word == 0 && vm_run(ctx, fn, &v) != OK)
        return true;
    if (ctx->has_builtin_error || ctx->arena.failed != OK || value_size(v) > RULE_BYTES_MAX)
        return true;
    if (p->known == NULL)
        p->known = arena_new_array(&p->arena, value, p->fn_count);
    if (p->known == NULL)
        return false;
    value copy = value_is_defined(v) ? value_copy(&p->arena, v) : v;
    if (value_is_defined(v) && !value_is_defined(copy))
        return false;
    p->known[fn] = copy;
    return true;
}

STATUS fold_rules(struct plan *p)
{
    struct rego_policy *pol = p->policy;
    struct folder f = {pol, arena_new_array(p->scratch, uint8_t, pol->fn_count)};
    if (f.states == NULL)
        return arena_status(p->scratch);
    struct rego_eval params = {
        .policy = pol, .input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED, .now_ns = 1};
    uint64_t left = RULE_STEPS;
    for (uint32_t i = 0; i < pol->named_fn_count && left > 0; i++) {
        if (pol->fns[i].kind == FN_FUNCTION || !is_constant(&f, i, 0))
            continue;
        if (p->folding == NULL && (p->folding = new_ctx(p)) == NULL)
            return ERR_NOMEM;
        struct rego_ctx *ctx = p->folding;
        if (ctx->status != OK || ctx->has_builtin_error || ctx->arena.failed != OK)
            rego_ctx_reset(ctx);
        rego_ctx_begin(ctx, &params);
        ctx->steps_left = ctx->steps_max = left;
        if (!fold_rule(pol, ctx, i))
            return arena_status(&pol->arena);
        left = ctx->steps_left;
    }
    return OK;
}
