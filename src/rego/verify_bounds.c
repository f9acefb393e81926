/*
 * Bounds: what of a program can be judged without knowing how it runs.
 */
#include "rego/index.h"
#include "rego/verify.h"

/* ---- instructions ---- */

/* `count` registers from `first` on. */
static bool regs_ok(const struct verifier *v, uint32_t first, uint32_t count)
{
    return first + count <= v->fn->regs;
}

static bool operand_ok(const struct verifier *v, uint32_t x)
{
    return (x & OPERAND_CONST) != 0 ? (x & ~OPERAND_CONST) < v->p->const_count : regs_ok(v, x, 1);
}

/* Values that WITH reads: of replacements, and keys of paths. */
static uint32_t with_count(const struct prog_with *w)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < w->count && n <= OPERAND_MAX; k++) {
        const struct prog_target *t = &w->targets[k];
        bool has_value = t->kind != WITH_EXTERNAL_FN && t->kind != WITH_RULE_FN;
        n += has_value + (t->kind <= WITH_DATA && t->path_len <= OPERAND_MAX ? t->path_len : 0);
    }
    return n;
}

uint32_t verify_count(const struct rego_policy *p, const struct insn *i)
{
    switch ((enum opcode)i->op) {
    case OP_ARRAY:
    case OP_SET:
        return i->c;
    case OP_OBJECT:
        return 2u * i->c;
    case OP_IS_OBJECT:
        return 1;
    case OP_WITH:
        return i->c < p->with_count ? with_count(&p->withs[i->c]) : 0;
    default:
        return i->n;
    }
}

/* Registers from an 'm' on that belong to the instruction. */
static uint32_t width(const struct insn *i)
{
    switch ((enum opcode)i->op) {
    case OP_SCAN:
    case OP_SCAN_BY:
    case OP_NEXT:
    case OP_TREE:
    case OP_TREE_STEP:
    case OP_TREE_SCAN:
    case OP_TREE_NEXT:
    case OP_INDEX:
    case OP_INDEX_NEXT:
        return 2;
    case OP_TREE_END:
        return 3;
    case OP_PATH:
        return i->n == 0 || i->n == 3;
    case OP_MISS:
        return i->a != OPERAND_NONE;
    default:
        return 1;
    }
}

/* Size of the table that the index operand of an instruction refers to. */
static uint64_t table_size(const struct rego_policy *p, const struct insn *i)
{
    switch ((enum opcode)i->op) {
    case OP_LOADK:
        return p->const_count;
    case OP_SCAN_BY:
        return p->loop_count;
    case OP_PLACE:
        return p->place_count;
    case OP_PATH:
        return p->path_count;
    case OP_CALL:
    case OP_CALL_1:
    case OP_CALL_2:
    case OP_CALL_ALL:
        return p->external_count;
    case OP_CALL_RULE:
    case OP_RULE:
    case OP_RULE_KEY:
        return p->fn_count;
    case OP_EXTENT:
    case OP_TREE:
        return p->node_count;
    case OP_WITH:
        return p->with_count;
    case OP_INDEX:
        return p->index_count;
    case OP_COVER:
        return i->n == 0 ? p->expr_count : p->rule_count;
    default: /* PUT, NEST, NEST_ADD, RESULT, MISS, VALUE */
        return p->rule_count;
    }
}

static bool number_ok(const struct insn *i)
{
    switch ((enum opcode)i->op) {
    case OP_ARITH:
        return i->n == '+' || i->n == '-' || i->n == '*';
    case OP_COMPARE:
    case OP_BUILD:
    case OP_PATH:
        return i->n <= 3;
    case OP_FINISH:
        return i->n <= 4;
    case OP_GET:
    case OP_IN:
    case OP_SCAN:
    case OP_COLLECT:
    case OP_RETURN:
    case OP_COVER:
    case OP_ADD:
    case OP_PUT:
        return i->n <= 1;
    default:
        return true;
    }
}

static bool external_ok(const struct verifier *v, uint32_t external, uint32_t n, bool all)
{
    const struct prog_external *e = &v->p->externals[external];
    return (e->arity < 0 || (uint32_t)e->arity == n) && all == ((e->flags & REGO_NEEDS_ALL) != 0);
}

/* What is called takes as many operands, and what is asked for is there. */
static bool callee_ok(const struct verifier *v, const struct insn *i)
{
    const struct rego_policy *p = v->p;
    switch ((enum opcode)i->op) {
    case OP_CALL:
    case OP_CALL_ALL:
        return external_ok(v, i->c, i->n, i->op == OP_CALL_ALL);
    case OP_CALL_1:
    case OP_CALL_2:
        return external_ok(v, i->n, i->op == OP_CALL_1 ? 1 : 2, false) &&
               !p->externals[i->n].mocked;
    case OP_WALK:
        return (i->c & OPERAND_CONST) != 0 && value_is_array(p->consts[i->c & ~OPERAND_CONST]) &&
               value_len(p->consts[i->c & ~OPERAND_CONST]) < VALUE_DEPTH_MAX;
    case OP_CALL_RULE:
        return p->fns[i->c].kind == FN_FUNCTION && p->fns[i->c].args == i->n;
    case OP_RULE:
        return p->fns[i->c].kind != FN_FUNCTION;
    case OP_RULE_KEY:
        return p->fns[i->c].kind != FN_FUNCTION && p->fns[i->c].by_key != FN_NONE;
    default:
        return true;
    }
}

static bool target_ok(struct verifier *v, uint32_t pc, uint32_t target)
{
    if (target < v->fn->entry || target >= v->fn->end)
        return false;
    struct place *to = &v->places[target - v->fn->entry];
    if (to->last <= pc)
        to->last = pc + 1;
    return true;
}

/* The rules that an index leads to: their code; the references that it reads: arguments. */
static bool index_ok(struct verifier *v, uint32_t pc, const struct prog_index *x)
{
    for (uint32_t k = 0; k < x->all.len; k++)
        if (!target_ok(v, pc, x->entries[k]))
            return false;
    for (uint32_t k = 0; k < x->ref_count; k++)
        if (x->refs[k].is_arg && x->refs[k].arg >= v->fn->args)
            return false;
    return true;
}

bool verify_insn(struct verifier *v, uint32_t pc)
{
    const struct insn *i = &v->p->code[pc];
    if (i->op >= OP_COUNT || !number_ok(i))
        return false;
    const char *operands = rego_opcodes[i->op].operands;
    const uint32_t fields[5] = {i->n, i->a, i->b, i->c, i->d};
    for (int k = 0; k < 5; k++) {
        uint32_t x = fields[k];
        bool ok = true;
        switch (operands[k]) {
        case 'k':
            ok = x < table_size(v->p, i);
            break;
        case 'r':
            ok = regs_ok(v, x, 1);
            break;
        case 's':
            ok = regs_ok(v, x, verify_count(v->p, i));
            break;
        case 'm':
            ok = regs_ok(v, x, width(i)) || width(i) == 0;
            break;
        case 'x':
        case 'u':
            ok = operand_ok(v, x);
            break;
        case 'o':
            ok = x == OPERAND_NONE || regs_ok(v, x, 1);
            break;
        case 'j':
            ok = target_ok(v, pc, x);
            break;
        default:
            break;
        }
        if (!ok)
            return false;
    }
    return callee_ok(v, i) && (i->op != OP_INDEX || index_ok(v, pc, v->p->indexes[i->d]));
}

/* ---- tables ---- */

static bool part_ok(const struct verifier *v, const struct prog_side *side)
{
    for (uint32_t k = 0; k < side->len; k++)
        if (!operand_ok(v, side->parts[k].operand))
            return false;
    return side->operand == OPERAND_NONE || operand_ok(v, side->operand);
}

/* Each function begins with a line of its own. */
bool verify_lines(const struct verifier *v)
{
    const struct rego_policy *p = v->p;
    uint32_t k = program_lines_to(p, v->fn->entry);
    if (k == 0 || p->lines[k - 1].pc != v->fn->entry)
        return false;
    for (k--; k < p->line_count && p->lines[k].pc < v->fn->end; k++) {
        if (p->lines[k].expr >= p->expr_count)
            continue;
        const struct prog_expr *e = &p->exprs[p->lines[k].expr];
        if (!part_ok(v, &e->left) || !part_ok(v, &e->right) || !part_ok(v, &e->part) ||
            !part_ok(v, &e->whole))
            return false;
    }
    return true;
}

static bool fn_ok(const struct rego_policy *p, const struct prog_fn *f)
{
    const struct prog_fn *by_key = f->by_key < p->fn_count ? &p->fns[f->by_key] : NULL;
    return f->entry < f->end && f->end <= p->code_len && f->end - f->entry < PARAMETER_MAX &&
           f->args <= f->regs && f->regs <= OPERAND_MAX && f->node < p->node_count &&
           (f->kind == FN_FUNCTION || f->args == 0) &&
           (f->by_key == FN_NONE ||
            (by_key != NULL && by_key->kind == FN_FUNCTION && by_key->args == 1));
}

static bool node_ok(const struct rego_policy *p, uint32_t id)
{
    const struct prog_node *n = &p->nodes[id];
    for (uint32_t k = 0; k < n->child_count; k++)
        if (n->children[k] <= id || n->children[k] >= n->post)
            return false;
    return (id == 0 || n->parent < id) && n->post > id && n->post <= p->node_count &&
           (n->fn == FN_NONE || n->fn < p->fn_count);
}

/* A function is replaced by one that takes as many operands. */
static bool replacement_ok(const struct rego_policy *p, int arity, uint32_t by)
{
    uint32_t external = by & ~REPLACEMENT_EXTERNAL;
    if ((by & REPLACEMENT_EXTERNAL) != 0)
        return external < p->external_count && p->externals[external].arity == arity;
    return by < p->fn_count && p->fns[by].kind == FN_FUNCTION && p->fns[by].args == arity;
}

static bool target_is_there(const struct rego_policy *p, const struct prog_target *t)
{
    switch ((enum with_kind)t->kind) {
    case WITH_INPUT:
    case WITH_DATA:
        return t->node == FN_NONE || t->node < p->node_count;
    case WITH_EXTERNAL_VALUE:
        return t->what < p->external_count;
    case WITH_EXTERNAL_FN:
        return t->what < p->external_count &&
               replacement_ok(p, p->externals[t->what].arity, t->replacement);
    case WITH_RULE_VALUE:
        return t->what < p->fn_count;
    case WITH_RULE_FN:
        return t->what < p->fn_count && replacement_ok(p, p->fns[t->what].args, t->replacement);
    }
    return false;
}

static bool list_ok(const struct prog_index *x, const struct index_list *l)
{
    for (uint32_t k = 0; k < l->len; k++)
        if (l->rules[k] >= x->all.len)
            return false;
    return true;
}

static bool index_table_ok(const struct rego_policy *p, const struct prog_index *x)
{
    for (uint32_t k = 0; k < x->ref_count; k++)
        if (x->refs[k].place != PLACE_NONE && x->refs[k].place >= p->place_count)
            return false;
    for (uint32_t k = 0; k < x->class_count; k++) {
        const struct index_class *c = &x->classes[k];
        for (uint32_t r = 0; r < c->ref_count; r++)
            if (c->refs[r] >= x->ref_count)
                return false;
        for (uint32_t s = 0; s < c->cap; s++)
            if (!list_ok(x, &c->slots[s].list))
                return false;
    }
    return list_ok(x, &x->all);
}

bool verify_tables(const struct rego_policy *p)
{
    for (uint32_t k = 0; k < p->fn_count; k++)
        if (!fn_ok(p, &p->fns[k]))
            return false;
    for (uint32_t k = 0; k < p->node_count; k++)
        if (!node_ok(p, k))
            return false;
    for (uint32_t k = 0; k < p->place_count; k++)
        if (p->places[k].parent != PLACE_NONE && p->places[k].parent >= k)
            return false;
    for (uint32_t k = 0; k < p->with_count; k++)
        for (uint32_t t = 0; t < p->withs[k].count; t++)
            if (!target_is_there(p, &p->withs[k].targets[t]))
                return false;
    for (uint32_t k = 0; k < p->index_count; k++)
        if (!index_table_ok(p, p->indexes[k]))
            return false;
    return p->index_count <= PARAMETER_MAX;
}
