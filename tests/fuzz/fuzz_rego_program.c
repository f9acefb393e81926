/*
 * The verifier of compiled programs: the first byte chooses a policy, each six bytes
 * after it change one instruction of its program.  Properties: what the compiler made
 * is accepted; of what is accepted each operand is within its bounds, whatever was
 * changed, and the disassembler can show it; an operand that was put out of bounds is
 * refused.  The verifier knows bounds, not what a register holds: a changed program is
 * not run.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rego/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHANGE_LEN 6

static const char *const policies[] = {
    "package p\nx := 1",
    "package p\ndefault x := false\nx if { some i, v in input.l; v > i; not y[v] }\ny contains v "
    "if "
    "some v in input.s",
    "package p\nf(a, b) := a + b if a < b\nf(a, b) := [a, b] if a >= b\nx := f(input.a, 2)\n"
    "z := {k: v | some k, v in data.d; k in [\"a\", \"b\"]}",
    "package p\nr[k].s := v if some k, v in input.o\nq[a] contains b if { a := input.a[_]; b := "
    "{a} | {1} }\nw if r with input as {\"o\": {\"a\": 1}} with data.d as 2 with count as 3\n"
    "n := count(input)",
    "package p\nx := 1 if input.k == \"a\"\nx := 2 if input.k == \"b\"\nx := 3 if input.k == "
    "\"c\"\n"
    "x := 4 if input.k in {\"d\", \"e\"}\nt := $\"{x} and {data.q}\"",
    "package p\nx if every v in input.l { v.a == [1, {\"b\": v.c}] }\ny := [v | walk(input, [p, "
    "v]); "
    "count(p) > 1]\nz := data.q[input.name]",
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Letters of opcodes.def that name registers or a register or constant. */
static bool in_bounds(const struct rego_policy *p, const struct prog_fn *f, const struct insn *i)
{
    const uint32_t fields[5] = {i->n, i->a, i->b, i->c, i->d};
    for (int k = 0; k < 5; k++) {
        uint32_t x = fields[k];
        switch (rego_opcodes[i->op].operands[k]) {
        case 'r':
        case 'i':
            if (x >= f->regs)
                return false;
            break;
        case 's': /* of several, which may be none */
            if (x > f->regs)
                return false;
            break;
        case 'o':
            if (x >= f->regs && x != OPERAND_NONE)
                return false;
            break;
        case 'x':
            if ((x & OPERAND_CONST) != 0 ? (x & ~OPERAND_CONST) >= p->const_count : x >= f->regs)
                return false;
            break;
        case 'j':
            if (x < f->entry || x >= f->end)
                return false;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool all_in_bounds(const struct rego_policy *p)
{
    for (uint32_t f = 0; f < p->fn_count; f++)
        for (uint32_t pc = p->fns[f].entry; pc < p->fns[f].end; pc++)
            if (p->code[pc].op >= OP_COUNT || !in_bounds(p, &p->fns[f], &p->code[pc]))
                return false;
    return true;
}

static void change(struct insn *i, const uint8_t *data)
{
    uint32_t x = (uint32_t)data[3] << 16 | (uint32_t)data[4] << 8 | data[5];
    switch (data[2] % 6) {
    case 0:
        i->op = (uint8_t)x;
        break;
    case 1:
        i->n = (uint8_t)x;
        break;
    case 2:
        i->a = (uint16_t)x;
        break;
    case 3:
        i->b = (uint16_t)x;
        break;
    case 4:
        i->c = (uint16_t)x;
        break;
    default:
        i->d = x;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 + 64 * CHANGE_LEN)
        return 0;
    CLEANUP(rego_policy_cleanup) struct rego_policy *p = NULL;
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    must(rego_compile_text(STR("p.rego"), str_of(policies[data[0] % ARRAY_LEN(policies)]), &options,
                           &p, NULL) == OK);
    uint32_t at;
    must(program_verify(p, &at) == OK && all_in_bounds(p));

    const struct insn *original = p->code;
    struct insn *code = malloc(p->code_len * sizeof(*code)); /* its end is watched */
    must(code != NULL);
    memcpy(code, original, p->code_len * sizeof(*code));
    for (size_t i = 1; i + CHANGE_LEN <= size; i += CHANGE_LEN)
        change(&code[((uint32_t)data[i] << 8 | data[i + 1]) % p->code_len], data + i);
    p->code = code;
    if (program_verify(p, &at) == OK) {
        must(all_in_bounds(p));
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        must(rego_policy_disasm(p, &text) == OK);
    } else {
        must(at < p->code_len);
    }
    p->code = original;
    free(code);
    return 0;
}
