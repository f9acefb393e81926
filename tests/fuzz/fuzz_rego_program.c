/*
 * The verifier of compiled programs: the first byte chooses a policy, each six bytes
 * after it change one instruction of its program.  Properties: what the compiler made
 * is accepted; what is accepted, whatever was changed, can be shown by the
 * disassembler and is evaluated to an end, with explanations and without, and no
 * sanitizer has anything to say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rego/program.h"
#include "value/json.h"

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
    "package p\n"
    "x if { some a in input.l; some b in input.s; a.a[0] == b }\n"
    "else := 2 if {\n"
    "some i; data.p.r[i].s == input.a with input as {\"o\": input.o}; i == \"k\" }\n"
    "r[k].s := v if some k, v in input.o\n"
    "r.b.c := 1\n"
    "r.d contains 2 if not input.x\n"
    "y := r[input.name]\n"
    "z[k] := data[\"p\"].r[k] if some k in [\"k\", \"b\"]\n",
    "package p\n"
    "f(x) := {k | some k; x[k] == 1}\n"
    "g(x) := x\n"
    "x := c if { c := count(input.o) with count as f }\n"
    "y := {k: v | [k, v] = input.pairs[_]; k != 2}\n"
    "z := {v | some v in input.s} - {1}\n"
    "w[a][b] := c if { some a, b; c := data.d[a][b] }\n"
    "u := data.p.w[input.name].e\n"
    "t := [k | some k; data.q[k]; k != \"t\"]\n"
    "v := [k | some k; data[k].n; k != \"q\"]\n",
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Numbers that are mostly within bounds: what is not is refused at once, and tells little. */
static void change(const struct rego_policy *p, const struct prog_fn *f, struct insn *code,
                   uint32_t pc, const uint8_t *data)
{
    struct insn *i = &code[pc];
    uint32_t x = (uint32_t)data[4] << 8 | data[5];
    uint32_t any = data[3] < 240 ? x % (f->regs + 1u) : (uint32_t)data[3] << 16 | x;
    uint32_t operand =
        data[3] % 3 == 0 && p->const_count > 0 ? OPERAND_CONST | x % p->const_count : any;
    switch (data[2] % 8) {
    case 0:
        i->op = (uint8_t)(data[3] < 240 ? x % OP_COUNT : x);
        break;
    case 1:
        i->n = (uint8_t)(data[3] < 240 ? x % 5 : x);
        break;
    case 2:
        i->a = (uint16_t)operand;
        break;
    case 3:
        i->b = (uint16_t)operand;
        break;
    case 4:
        i->c = (uint16_t)(data[3] % 2 == 0 ? x % 8 : operand);
        break;
    case 5:
        i->d = data[3] < 240 ? f->entry + x % (f->end - f->entry) : any;
        break;
    case 6: /* an instruction from elsewhere */
        *i = code[x % p->code_len];
        break;
    default: { /* two of them in the other order */
        struct insn *other = &code[f->entry + x % (f->end - f->entry)];
        struct insn was = *i;
        *i = *other;
        *other = was;
    }
    }
}

static void evaluate(const struct rego_policy *p, bool trace)
{
    static const char input[] =
        "{\"l\": [{\"a\": [1, {\"b\": 2}], \"c\": 2}, 3, [1]], \"s\": [1, \"x\", 1, {\"b\": []}], "
        "\"o\": {\"k\": 1, \"b\": {\"c\": 1}}, \"k\": \"b\", \"a\": 1, \"name\": \"n\", "
        "\"pairs\": [[1, 2], [2, 3], [\"a\", null]]}";
    static const char base[] = "{\"d\": {\"n\": {\"e\": 4}, \"a\": [1, 2]}, \"q\": {\"n\": \"a\"}, "
                               "\"p\": {\"r\": {\"e\": 1}, \"m\": 1}}";
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct rego_limits limits = {.steps = 2000, .memory = 4 << 20, .depth = 16};
    struct rego_eval params = {.policy = p, .trace = trace ? REGO_TRACE_ALL : REGO_TRACE_OFF};
    must(json_parse(&a, str_of(input), NULL, &params.input, NULL) == OK &&
         json_parse(&a, str_of(base), NULL, &params.data, NULL) == OK);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&limits);
    must(ctx != NULL);
    for (uint32_t i = 0; i < p->named_fn_count; i++) {
        value v;
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        if (p->fns[i].kind != FN_FUNCTION &&
            rego_eval_path(ctx, &params, p->fns[i].name, &v) == OK && value_is_defined(v))
            must(json_write(&text, v, JSON_COMPACT) == OK);
    }
}

/* The function that an instruction belongs to. */
static const struct prog_fn *function_at(const struct rego_policy *p, uint32_t pc)
{
    for (uint32_t i = 0; i < p->fn_count; i++)
        if (pc >= p->fns[i].entry && pc < p->fns[i].end)
            return &p->fns[i];
    abort();
}

/* Once: compiling takes a hundred times what the rest does. */
static struct rego_policy *compiled(size_t number)
{
    static struct rego_policy *all[ARRAY_LEN(policies)];
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    uint32_t at;
    if (all[number] == NULL) {
        must(rego_compile_text(STR("p.rego"), str_of(policies[number]), &options, &all[number],
                               NULL) == OK);
        must(program_verify(all[number], &at) == OK);
    }
    return all[number];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 + 64 * CHANGE_LEN)
        return 0;
    struct rego_policy *p = compiled(data[0] % ARRAY_LEN(policies));
    uint32_t at;
    const struct insn *original = p->code;
    value *known = p->known;
    struct insn *code = malloc(p->code_len * sizeof(*code)); /* its end is watched */
    must(code != NULL);
    memcpy(code, original, p->code_len * sizeof(*code));
    for (size_t i = 1; i + CHANGE_LEN <= size; i += CHANGE_LEN) {
        uint32_t pc = ((uint32_t)data[i] << 8 | data[i + 1]) % p->code_len;
        change(p, function_at(p, pc), code, pc, data + i);
    }
    p->code = code;
    p->known = NULL; /* what the constant rules gave before */
    if (program_verify(p, &at) == OK) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        must(rego_policy_disasm(p, &text) == OK);
        evaluate(p, false);
        evaluate(p, true);
    } else {
        must(at < p->code_len);
    }
    p->code = original;
    p->known = known;
    free(code);
    return 0;
}
