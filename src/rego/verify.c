/*
 * What the machine relies on, checked once after planning: registers, constants,
 * table indexes and jump targets are within bounds, no function runs past its end.
 */
#include "rego/program.h"

struct verifier {
    const struct rego_policy *p;
    const struct prog_fn *fn;
    uint32_t end; /* of the function's code */
};

/* `count` registers from `first` on. */
static bool regs_ok(const struct verifier *v, uint32_t first, uint32_t count)
{
    return first + count <= v->fn->regs;
}

static bool operand_ok(const struct verifier *v, uint16_t x)
{
    return (x & OPERAND_CONST) != 0 ? (x & ~OPERAND_CONST) < v->p->const_count : regs_ok(v, x, 1);
}

/* Registers that belong to an operand, by instruction. */
static uint32_t width(const struct insn *i, int field)
{
    switch ((enum opcode)i->op) {
    case OP_ARRAY:
    case OP_SET:
        return field == 2 ? i->c : 1;
    case OP_OBJECT:
        return field == 2 ? 2u * i->c : 1;
    case OP_CALL:
    case OP_CALL_ALL:
    case OP_CALL_RULE:
    case OP_NEST:
    case OP_NEST_ADD:
        return field == 2 ? i->n : 1;
    case OP_TREE:
        return 3;
    case OP_TREE_STEP:
        return field <= 2 ? 3 : 1;
    case OP_TREE_SCAN:
        return field == 1 ? 2 : 3;
    case OP_TREE_NEXT:
        return field == 1 ? 2 : field == 2 ? 3 : 1;
    case OP_TREE_END:
        return field == 2 ? 3 : 1;
    case OP_INDEX:
    case OP_INDEX_NEXT:
        return 2;
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
    case OP_PUT:
    case OP_NEST:
    case OP_NEST_ADD:
    case OP_RESULT:
    case OP_MISS:
    case OP_VALUE:
        return p->rule_count;
    case OP_COVER:
        return i->n == 0 ? p->expr_count : p->rule_count;
    default:
        return UINT64_MAX; /* a count */
    }
}

static bool field_ok(const struct verifier *v, const struct insn *i, int field, uint32_t x)
{
    switch (rego_opcodes[i->op].operands[field]) {
    case 'r':
    case 's':
        return regs_ok(v, x, width(i, field));
    case 'i':
        return regs_ok(v, x, 2);
    case 'x':
        return operand_ok(v, (uint16_t)x);
    case 'o':
        return x == OPERAND_NONE || regs_ok(v, x, 1);
    case 'j':
        return x >= v->fn->entry && x < v->end;
    case 'k':
        return x < table_size(v->p, i);
    default:
        return true;
    }
}

/* Values and keys that WITH reads. */
static bool with_ok(const struct verifier *v, const struct insn *i)
{
    const struct prog_with *w = &v->p->withs[i->c];
    uint64_t n = 0;
    for (uint32_t k = 0; k < w->count; k++) {
        const struct prog_target *t = &w->targets[k];
        bool has_value = t->kind != WITH_EXTERNAL_FN && t->kind != WITH_RULE_FN;
        n += has_value + (t->kind <= WITH_DATA ? t->path_len : 0);
        if (t->node != FN_NONE && t->node >= v->p->node_count)
            return false;
    }
    return n <= v->fn->regs && regs_ok(v, i->b, (uint32_t)n);
}

static bool insn_ok(const struct verifier *v, const struct insn *i)
{
    if (i->op >= OP_COUNT)
        return false;
    const uint32_t fields[5] = {i->n, i->a, i->b, i->c, i->d};
    for (int k = 0; k < 5; k++)
        if (!field_ok(v, i, k, fields[k]))
            return false;
    switch ((enum opcode)i->op) {
    case OP_WITH:
        return with_ok(v, i);
    case OP_CALL_RULE:
        return v->p->fns[i->c].args == i->n;
    case OP_RULE_KEY:
        return v->p->fns[i->c].by_key < v->p->fn_count;
    default:
        return true;
    }
}

static bool ends_control(enum opcode op)
{
    return op == OP_RETURN || op == OP_JUMP || op == OP_FAIL || op == OP_INDEX_NEXT;
}

STATUS program_verify(const struct rego_policy *p, uint32_t *at)
{
    for (uint32_t f = 0; f < p->fn_count; f++) {
        struct verifier v = {.p = p, .fn = &p->fns[f], .end = p->fns[f].end};
        *at = v.fn->entry;
        if (v.fn->entry >= v.end || v.end > p->code_len || v.fn->args > v.fn->regs)
            return ERR_INTERNAL;
        for (uint32_t pc = v.fn->entry; pc < v.end; pc++) {
            *at = pc;
            if (!insn_ok(&v, &p->code[pc]))
                return ERR_INTERNAL;
        }
        if (!ends_control(p->code[v.end - 1].op))
            return ERR_INTERNAL;
    }
    return OK;
}
