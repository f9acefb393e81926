/*
 * The program as text, for `rego disasm`.
 */
#include "rego/program.h"

#include "rego/text.h"

static void write_operand(struct buf *out, const struct rego_policy *p, uint16_t x)
{
    if (x == OPERAND_NONE)
        buf_add_byte(out, '_');
    else if ((x & OPERAND_CONST) != 0)
        rego_text_write(out, p->consts[x & ~OPERAND_CONST]);
    else
        buf_add_format(out, "r%u", (unsigned)x);
}

static void write_keys(struct buf *out, const struct prog_path *path)
{
    for (uint32_t i = 0; i < path->len; i++) {
        buf_add_byte(out, '[');
        rego_text_write(out, path->keys[i]);
        buf_add_byte(out, ']');
    }
}

static void write_place(struct buf *out, const struct rego_policy *p, uint32_t place)
{
    uint32_t chain[UINT8_MAX + 1];
    uint32_t n = 0;
    buf_add_cstr(out, p->places[place].data ? "data" : "input");
    for (; place != PLACE_NONE && n < ARRAY_LEN(chain); place = p->places[place].parent)
        chain[n++] = place;
    while (n > 0) {
        buf_add_byte(out, '[');
        rego_text_write(out, p->places[chain[--n]].key);
        buf_add_byte(out, ']');
    }
}

/* What the index operand of an instruction means. */
static void write_index(struct buf *out, const struct rego_policy *p, const struct insn *i,
                        uint32_t k)
{
    switch ((enum opcode)i->op) {
    case OP_LOADK:
        rego_text_write(out, p->consts[k]);
        break;
    case OP_PLACE:
        write_place(out, p, k);
        break;
    case OP_SCAN_BY:
        write_keys(out, &p->loops[k].path);
        break;
    case OP_PATH:
        buf_add_cstr(out, i->n == 1 ? "input" : i->n == 2 ? "data" : ".");
        write_keys(out, &p->paths[k]);
        break;
    case OP_CALL:
    case OP_CALL_1:
    case OP_CALL_2:
    case OP_CALL_ALL:
        buf_add(out, p->externals[k].name);
        break;
    case OP_CALL_RULE:
    case OP_RULE:
    case OP_RULE_KEY:
        buf_add(out, p->fns[k].name);
        break;
    case OP_PUT:
    case OP_NEST:
    case OP_NEST_ADD:
    case OP_RESULT:
    case OP_MISS:
    case OP_VALUE:
        if (k < p->rule_count)
            buf_add_format(out, "%.*s:%u", STR_ARG(p->rules[k].pos.file),
                           (unsigned)p->rules[k].pos.row);
        break;
    default:
        buf_add_format(out, "#%u", (unsigned)k);
    }
}

static void write_insn(struct buf *out, const struct rego_policy *p, uint32_t pc)
{
    const struct insn *i = &p->code[pc];
    const struct opcode_info *info = &rego_opcodes[i->op];
    const uint32_t fields[5] = {i->n, i->a, i->b, i->c, i->d};
    buf_add_format(out, "%6u  %-10s", (unsigned)pc, info->name);
    for (size_t k = 0; k < 5; k++) {
        char kind = info->operands[k];
        if (kind == '.')
            continue;
        buf_add_byte(out, ' ');
        if (kind == 'k')
            write_index(out, p, i, fields[k]);
        else if (kind == 'j')
            buf_add_format(out, "->%u", (unsigned)fields[k]);
        else if (kind == 'n')
            buf_add_format(out, "%u", (unsigned)fields[k]);
        else
            write_operand(out, p, (uint16_t)fields[k]);
    }
    buf_add_byte(out, '\n');
}

static void write_line(struct buf *out, const struct rego_policy *p, const struct prog_line *line)
{
    if (line->expr >= p->expr_count)
        return;
    const struct prog_expr *e = &p->exprs[line->expr];
    struct str text = str_slice(e->text, 0, str_find(e->text, '\n', 0));
    buf_add_format(out, "        ; %.*s:%u: %.*s\n", STR_ARG(e->pos.file), (unsigned)e->pos.row,
                   STR_ARG(text));
}

STATUS rego_policy_disasm(const struct rego_policy *p, struct buf *out)
{
    uint32_t line = 0;
    for (uint32_t pc = 0; pc < p->code_len; pc++) {
        for (uint32_t f = 0; f < p->fn_count; f++)
            if (p->fns[f].entry == pc)
                buf_add_format(out, "\n%.*s  (%u arguments, %u registers)\n",
                               STR_ARG(p->fns[f].name), (unsigned)p->fns[f].args,
                               (unsigned)p->fns[f].regs);
        for (; line < p->line_count && p->lines[line].pc <= pc; line++)
            if (p->lines[line].pc == pc)
                write_line(out, p, &p->lines[line]);
        write_insn(out, p, pc);
    }
    return buf_status(out);
}
