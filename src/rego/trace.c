/*
 * Why a rule gave no value: made after the fact, from the place where it failed
 * and what its registers hold then.
 */
#include "rego/vm.h"

#include "rego/text.h"

static uint32_t expr_at(const struct rego_policy *p, uint32_t pc)
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
    return lo == 0 ? EXPR_NONE : p->lines[lo - 1].expr;
}

static value operand_value(const struct rego_policy *p, const value *regs, uint16_t x)
{
    if (x == OPERAND_NONE)
        return VALUE_UNDEFINED;
    value v = x & OPERAND_CONST ? p->consts[x & ~OPERAND_CONST] : regs[x];
    return value_kind(v) == VALUE_KIND_UNDEFINED ? VALUE_UNDEFINED : v;
}

/* RFC 6901, 3: "~" and "/" inside of a name are escaped. */
static void add_pointer_part(struct buf *out, value key)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 4096);
    if (value_is_string(key))
        buf_add(&text, value_str(key));
    else
        rego_text_write(&text, key);
    buf_add_byte(out, '/');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '~')
            buf_add_cstr(out, "~0");
        else if (text.ptr[i] == '/')
            buf_add_cstr(out, "~1");
        else
            buf_add_byte(out, text.ptr[i]);
    }
}

static struct str side_path(struct rego_ctx *ctx, const value *regs, const struct prog_side *side,
                            uint32_t pc)
{
    static const char *const roots[] = {
        [SIDE_INPUT] = "/input", [SIDE_DATA] = "/data", [SIDE_REFERENCE] = "/reference-values"};
    if (side->root == SIDE_NONE)
        return STR_EMPTY;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 16384);
    buf_add_cstr(&out, roots[side->root]);
    for (uint32_t i = 0; i < side->len; i++) {
        const struct prog_part *part = &side->parts[i];
        bool constant = (part->operand & OPERAND_CONST) != 0;
        value key = constant || pc > part->ready ? operand_value(ctx->policy, regs, part->operand)
                                                 : VALUE_UNDEFINED;
        if (!value_is_defined(key))
            return STR_EMPTY;
        add_pointer_part(&out, key);
    }
    struct str s = buf_status(&out) == OK ? arena_str(&ctx->arena, buf_str(&out)) : STR_EMPTY;
    return s.ptr == NULL ? STR_EMPTY : s;
}

/* A side that was not reached yet, read where it comes from: input and base documents have no
 * secrets. */
static value look_up(struct rego_ctx *ctx, const value *regs, const struct prog_side *side,
                     uint32_t pc)
{
    value v = side->root == SIDE_INPUT  ? ctx->view->input
              : side->root == SIDE_DATA ? ctx->view->data
                                        : VALUE_UNDEFINED;
    for (uint32_t i = 0; i < side->len && value_is_defined(v); i++) {
        const struct prog_part *part = &side->parts[i];
        bool constant = (part->operand & OPERAND_CONST) != 0;
        value key = constant || pc > part->ready ? operand_value(ctx->policy, regs, part->operand)
                                                 : VALUE_UNDEFINED;
        v = value_is_defined(key) ? value_lookup(v, key) : VALUE_UNDEFINED;
    }
    return v;
}

static value side_value(struct rego_ctx *ctx, const value *regs, const struct prog_side *side,
                        uint32_t pc)
{
    bool constant = side->operand != OPERAND_NONE && (side->operand & OPERAND_CONST) != 0;
    bool there = side->operand != OPERAND_NONE && (constant || pc > side->ready);
    return there ? operand_value(ctx->policy, regs, side->operand) : look_up(ctx, regs, side, pc);
}

static void add(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t pc)
{
    const struct rego_policy *p = ctx->policy;
    if (ctx->trace_len >= TRACE_MAX)
        return;
    if (ctx->trace_len == ctx->trace_cap) {
        uint32_t cap = ctx->trace_cap == 0 ? 16 : ctx->trace_cap * 2;
        struct rego_trace_rule *items = arena_alloc(&ctx->arena, cap * sizeof(*items));
        if (items == NULL)
            return;
        if (ctx->trace_len > 0)
            memcpy(items, ctx->trace, ctx->trace_len * sizeof(*items));
        ctx->trace = items;
        ctx->trace_cap = cap;
    }
    uint32_t id = expr_at(p, pc);
    struct rego_trace_rule *t = &ctx->trace[ctx->trace_len++];
    *t = (struct rego_trace_rule){
        .rule = p->rules[rule].path,
        .file = p->rules[rule].pos.file,
        .row = p->rules[rule].pos.row,
        .col = p->rules[rule].pos.col,
        .expression = STR_EMPTY,
        .left = VALUE_UNDEFINED,
        .right = VALUE_UNDEFINED,
        .left_path = STR_EMPTY,
        .right_path = STR_EMPTY,
    };
    if (id >= p->expr_count)
        return;
    const struct prog_expr *e = &p->exprs[id];
    t->file = e->pos.file;
    t->row = e->pos.row;
    t->col = e->pos.col;
    t->expression = e->text;
    t->relation = (enum rego_relation)e->relation;
    t->left = side_value(ctx, regs, &e->left, pc);
    t->right = side_value(ctx, regs, &e->right, pc);
    t->left_path = side_path(ctx, regs, &e->left, pc);
    t->right_path = side_path(ctx, regs, &e->right, pc);
}

void trace_miss(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t fail_pc)
{
    add(ctx, regs, rule, fail_pc);
}

void trace_false(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t pc)
{
    add(ctx, regs, rule, pc);
}
