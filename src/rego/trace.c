/*
 * Why a rule gave no value: made after the fact, from the place where it failed
 * and what its registers hold then.
 */
#include "rego/vm.h"

#include "rego/text.h"

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
        if (!value_is_defined(key) && (i == 0 || i + 1 < side->len))
            return STR_EMPTY;
        if (value_is_defined(key))
            add_pointer_part(&out, key);
        else
            buf_add_cstr(&out, "/-"); /* l[i] in a loop that never began */
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

/* One more entry, without what its expression says; NULL when there is no room. */
static struct rego_trace_rule *new_entry(struct rego_ctx *ctx, uint32_t rule)
{
    const struct rego_policy *p = ctx->policy;
    if (ctx->trace_len >= TRACE_MAX)
        return NULL;
    if (ctx->trace_len == ctx->trace_cap) {
        uint32_t cap = ctx->trace_cap == 0 ? 16 : ctx->trace_cap * 2;
        struct rego_trace_rule *items = arena_alloc(&ctx->arena, cap * sizeof(*items));
        if (items == NULL)
            return NULL;
        if (ctx->trace_len > 0)
            memcpy(items, ctx->trace, ctx->trace_len * sizeof(*items));
        ctx->trace = items;
        ctx->trace_cap = cap;
    }
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
        .part = VALUE_UNDEFINED,
        .whole = VALUE_UNDEFINED,
        .head_row = p->rules[rule].pos.row,
        .head_col = p->rules[rule].pos.col,
    };
    return t;
}

/* Where the code of the body around `pc` begins: behind the OP_MISS of the one before it, or behind
 * the end of another function. */
static uint32_t body_start(const struct rego_policy *p, uint32_t pc)
{
    while (pc > 0 && p->code[pc - 1].op != OP_MISS &&
           (p->code[pc - 1].op != OP_RETURN || p->code[pc - 1].n != 0))
        pc--;
    return pc;
}

static uint32_t expr_at(const struct rego_policy *p, uint32_t pc)
{
    uint32_t line = program_lines_to(p, pc);
    return line == 0 ? EXPR_NONE : p->lines[line - 1].expr;
}

#define CALLS_MAX 16 /* rules told of one expression */

static void add_calls(struct rego_ctx *ctx, struct rego_trace_rule *t, uint32_t from, uint32_t to)
{
    const struct rego_policy *p = ctx->policy;
    struct str names[CALLS_MAX];
    uint32_t n = 0;
    for (uint32_t pc = from; pc <= to && pc < p->code_len && n < CALLS_MAX; pc++) {
        const struct insn *i = &p->code[pc];
        if (i->op != OP_RULE && i->op != OP_RULE_KEY && i->op != OP_CALL_RULE)
            continue;
        uint32_t k = 0;
        while (k < n && !str_equal(names[k], p->fns[i->c].name))
            k++;
        if (k == n)
            names[n++] = p->fns[i->c].name;
    }
    struct str *kept = n == 0 ? NULL : arena_alloc(&ctx->arena, n * sizeof(*kept));
    if (kept == NULL)
        return;
    memcpy(kept, names, n * sizeof(*kept));
    t->calls = kept;
    t->call_count = n;
}

/*
 * The rules that the expression around `pc` asks for: its code is that of the lines with its
 * place in the text.  One that asks for none itself may test a variable of an expression before it.
 */
static void find_calls(struct rego_ctx *ctx, struct rego_trace_rule *t, uint32_t pc)
{
    const struct rego_policy *p = ctx->policy;
    uint32_t start = body_start(p, pc), line = program_lines_to(p, pc);
    uint32_t end = line < p->line_count ? p->lines[line].pc - 1 : pc;
    while (line > 0 && p->lines[line - 1].pc >= start && p->lines[line - 1].expr < p->expr_count &&
           p->exprs[p->lines[line - 1].expr].pos.row == t->row &&
           p->exprs[p->lines[line - 1].expr].pos.col == t->col)
        line--;
    add_calls(ctx, t, line < p->line_count ? p->lines[line].pc : start, end);
    if (t->call_count == 0)
        add_calls(ctx, t, start, pc);
}

/* `pc`: how far the body came; `at`: an instruction of the expression. */
static void add(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t id, uint32_t at,
                uint32_t pc, bool held)
{
    const struct rego_policy *p = ctx->policy;
    struct rego_trace_rule *t = new_entry(ctx, rule);
    if (t == NULL)
        return;
    t->held = held;
    if (id >= p->expr_count)
        return;
    const struct prog_expr *e = &p->exprs[id];
    t->file = e->pos.file;
    t->row = e->pos.row;
    t->col = e->pos.col;
    t->expression = e->text;
    t->relation = (enum rego_relation)e->relation;
    t->inner = (enum rego_relation)e->inner;
    t->left = side_value(ctx, regs, &e->left, pc);
    t->right = side_value(ctx, regs, &e->right, pc);
    t->left_path = side_path(ctx, regs, &e->left, pc);
    t->right_path = side_path(ctx, regs, &e->right, pc);
    if (ctx->params.trace == REGO_TRACE_ALL)
        find_calls(ctx, t, at);
    if (e->part.operand == OPERAND_NONE && e->whole.root == SIDE_NONE)
        return;
    t->part = side_value(ctx, regs, &e->part, pc);
    t->whole = side_value(ctx, regs, &e->whole, pc);
    t->part_path = side_path(ctx, regs, &e->part, pc);
    t->whole_path = side_path(ctx, regs, &e->whole, pc);
}

void trace_miss(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t fail_pc)
{
    add(ctx, regs, rule, expr_at(ctx->policy, fail_pc), fail_pc, fail_pc, false);
}

void trace_false(struct rego_ctx *ctx, const value *regs, uint32_t rule, uint32_t pc)
{
    add(ctx, regs, rule, expr_at(ctx->policy, pc), pc, pc, false);
}

#define HELD_MAX 64 /* expressions told of one body */
#define TRACE_HELD_MAX                                                                             \
    (TRACE_MAX / 4) /* entries after which only misses are added: loops hold often */

/* A loop whose body holds again and again: the first few times tell enough. */
static bool is_told(const struct rego_ctx *ctx, uint32_t rule)
{
    const struct prog_rule *r = &ctx->policy->rules[rule];
    uint32_t same = 0, from = ctx->trace_len < HELD_MAX ? 0 : ctx->trace_len - HELD_MAX;
    for (uint32_t i = ctx->trace_len; i > from; i--) {
        const struct rego_trace_rule *t = &ctx->trace[i - 1];
        same += t->held && t->head_row == r->pos.row && t->head_col == r->pos.col &&
                str_equal(t->rule, r->path);
    }
    return same >= HELD_MAX / 2;
}

/* The body before `pc` gave a value; its own OP_MISS, which follows, names its rule. */
void trace_held(struct rego_ctx *ctx, const value *regs, uint32_t pc)
{
    const struct rego_policy *p = ctx->policy;
    if (ctx->trace_len >= TRACE_HELD_MAX)
        return;
    uint32_t start = body_start(p, pc), miss = pc, line = program_lines_to(p, pc);
    while (miss < p->code_len && p->code[miss].op != OP_MISS)
        miss++;
    if (miss == p->code_len || is_told(ctx, p->code[miss].d))
        return;
    uint32_t seen[HELD_MAX], n = 0;
    for (; line > 0 && p->lines[line - 1].pc >= start && n < HELD_MAX; line--) {
        uint32_t id = p->lines[line - 1].expr, i = 0;
        while (i < n && seen[i] != id)
            i++;
        if (i < n || id == EXPR_NONE)
            continue;
        seen[n++] = id;
        add(ctx, regs, p->code[miss].d, id, p->lines[line - 1].pc, pc, true);
    }
}
