/*
 * The verifier: programs as the compiler made them are accepted, and each of the
 * changes below makes one that is refused (or, as the row says, is not).
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rego/program.h"
#include "tap.h"

static const char policy[] = //
    "package p\n"
    "f(x) := x + 1\n"
    "g(x) := y if [_, y] = x\n"
    "big if { some i, v in input.l; v > i; v == f(i) }\n"
    "names contains k if { some k in input.o; not startswith(k, \"x\") }\n"
    "all := {k: v | some k, v in input.o}\n"
    "q.a := 1\n"
    "q.b := input.b\n"
    "q.e.d := 3\n"
    "member := data.p.q[input.k]\n"
    "members := [k | some k; data.p.q[k]]\n"
    "again if { some k; r[k].s with input as {\"o\": {\"a\": 1}}; k == input.k }\n"
    "r[k].s := v if some k, v in input.o\n"
    "c := 1 if input.k == \"a\"\n"
    "c := 2 if input.k == \"b\"\n"
    "c := 3 if input.k == \"c\"\n"
    "c := 4 if input.k == \"d\"\n"
    "keyed if { k := input.k; r[k] }\n"
    "last := [input.a, input.b]\n";

/* What a number counts from. */
enum from {
    ZERO,
    LAST, /* the last register of the function, which nothing is put into */
    CODE, /* the function's first instruction */
};

struct row {
    const char *name;
    const char *rule;
    enum opcode op; /* the first one in its code, */
    int at;         /* and so many instructions on */
    char field;     /* o: the opcode itself */
    enum from from;
    int to;
    bool accepted;
};

static const struct row rows[] = {
    {"another constant", "data.p.f", OP_ARITH, 0, 'c', ZERO, OPERAND_CONST, true},
    {"another comparison", "data.p.big", OP_LT, 0, 'o', ZERO, OP_LE, true},
    {"a loop that may be empty", "data.p.big", OP_SCAN, 0, 'n', ZERO, 1, true},
    {"the result is not what was found", "data.p.f", OP_RETURN, 0, 'a', ZERO, 0, true},

    {"no instruction", "data.p.f", OP_ARITH, 0, 'o', ZERO, OP_COUNT, false},
    {"no operator", "data.p.f", OP_ARITH, 0, 'n', ZERO, '/', false},
    {"no register", "data.p.big", OP_LT, 0, 'a', ZERO, OPERAND_MAX, false},
    {"no constant", "data.p.f", OP_ARITH, 0, 'c', ZERO, 0xfff0, false},
    {"a constant where a register has to be", "data.p.g", OP_IS_ARRAY, 0, 'a', ZERO, 0x8000, false},
    {"no place", "data.p.big", OP_PLACE, 0, 'c', ZERO, 1000, false},
    {"no such function", "data.p.big", OP_CALL_RULE, 0, 'c', ZERO, 1000, false},
    {"out of the function", "data.p.big", OP_LT, 0, 'd', ZERO, 0, false},
    {"past the end of the program", "data.p.big", OP_LT, 0, 'd', ZERO, 1 << 20, false},
    {"a function of one operand, called with none", "data.p.big", OP_CALL_RULE, 0, 'n', ZERO, 0,
     false},
    {"a built-in of two, called with one", "data.p.names", OP_CALL_2, 0, 'o', ZERO, OP_CALL_1,
     false},
    {"a function evaluated as a rule", "data.p.again", OP_RULE, 0, 'c', ZERO, 0, false},
    {"keys of what has none", "data.p.keyed", OP_RULE_KEY, 0, 'c', ZERO, 0, false},

    {"nothing is in the register", "data.p.big", OP_LT, 0, 'b', LAST, 0, false},
    {"nothing is in one of several", "data.p.last", OP_MOVE, 1, 'a', LAST, 0, false},
    {"a value that may be undefined", "data.p.big", OP_MOVE, 0, 'o', ZERO, OP_UNDEF, false},
    {"the state of a loop as a value", "data.p.big", OP_LT, 0, 'a', ZERO, 4, false},
    {"the next of no loop", "data.p.big", OP_NEXT, 0, 'a', LAST, -1, false},
    {"a loop that begins elsewhere", "data.p.big", OP_SCAN, 0, 'a', ZERO, 1, false},
    {"an argument is written over", "data.p.f", OP_ARITH, 0, 'a', ZERO, 0, false},
    {"an item of what may be no array", "data.p.g", OP_IS_ARRAY, 0, 'o', ZERO, OP_TEST, false},
    {"an item past the end", "data.p.g", OP_ITEM, 0, 'c', ZERO, 2, false},
    {"an item of another length", "data.p.g", OP_IS_ARRAY, 0, 'c', ZERO, 1, false},
    {"an item into the builder of an object", "data.p.names", OP_BUILD, 0, 'n', ZERO, 2, false},
    {"a pair into the builder of a set", "data.p.all", OP_BUILD, 0, 'n', ZERO, 1, false},
    {"a builder finished as another", "data.p.names", OP_FINISH, 0, 'n', ZERO, 0, false},
    {"no builder", "data.p.names", OP_BUILD, 0, 'o', ZERO, OP_UNDEF, false},
    {"a builder given to the caller", "data.p.names", OP_FINISH, 0, 'a', LAST, 0, false},
    {"a step from no cursor", "data.p.member", OP_TREE, 0, 'o', ZERO, OP_UNDEF, false},
    {"scratch that was not made undefined", "data.p.member", OP_TREE_END, -1, 'a', LAST, 0, false},
    {"the keys of no cursor", "data.p.members", OP_TREE_SCAN, 0, 'b', ZERO, 0, false},
    {"modifiers left that nobody entered", "data.p.again", OP_WITH, 0, 'o', ZERO, OP_UNDEF, false},
    {"modifiers left twice", "data.p.again", OP_WITH_END, 1, 'o', ZERO, OP_WITH_END, false},
    {"modifiers never left", "data.p.again", OP_WITH_END, 0, 'o', ZERO, OP_COVER, false},
    {"modifiers entered again that were not", "data.p.again", OP_WITH_AGAIN, 0, 'a', ZERO, 0,
     false},
    {"the rules of no index", "data.p.c", OP_INDEX, 0, 'o', ZERO, OP_COVER, false},

    {"back to what does not take an item", "data.p.big", OP_LT, 0, 'd', CODE, 0, false},
    {"back to where a loop begins", "data.p.big", OP_EQ, 0, 'd', CODE, 3, false},
    {"round without an item", "data.p.big", OP_NEXT, 0, 'd', CODE, 4, false},
    {"back to the index", "data.p.c", OP_EQ, 0, 'd', CODE, 1, false},
    {"past the end of the function", "data.p.last", OP_RETURN, 0, 'o', ZERO, OP_TEST, false},
};

static const struct prog_fn *find_fn(const struct rego_policy *p, const char *name)
{
    for (uint32_t i = 0; i < p->named_fn_count; i++)
        if (str_is(p->fns[i].name, name))
            return &p->fns[i];
    return NULL;
}

static void apply(const struct row *row, const struct prog_fn *f, struct insn *i)
{
    const uint32_t from[] = {[ZERO] = 0, [LAST] = f->regs - 1u, [CODE] = f->entry};
    uint32_t x = from[row->from] + (uint32_t)row->to;
    switch (row->field) {
    case 'o':
        i->op = (uint8_t)x;
        break;
    case 'n':
        i->n = (uint8_t)x;
        break;
    case 'a':
        i->a = (uint16_t)x;
        break;
    case 'b':
        i->b = (uint16_t)x;
        break;
    case 'c':
        i->c = (uint16_t)x;
        break;
    default:
        i->d = x;
        break;
    }
}

static void test_changes(void)
{
    CLEANUP(rego_policy_cleanup) struct rego_policy *p = NULL;
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    uint32_t at;
    CHECK(rego_compile_text(STR("p.rego"), STR(policy), &options, &p, NULL) == OK);
    CHECK(program_verify(p, &at) == OK);
    const struct insn *original = p->code;
    size_t size = p->code_len * sizeof(*original);
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        const struct prog_fn *f = find_fn(p, rows[k].rule);
        uint32_t pc = f == NULL ? 0 : f->entry;
        while (f != NULL && pc < f->end && original[pc].op != rows[k].op)
            pc++;
        CHECK_ROW(f != NULL && pc < f->end, rows[k].name);
        if (f == NULL || pc == f->end)
            continue;
        struct insn *code = malloc(size);
        memcpy(code, original, size);
        pc += (uint32_t)rows[k].at;
        apply(&rows[k], f, &code[pc]);
        p->code = code;
        enum status st = program_verify(p, &at);
        CHECK_ROW(st == (rows[k].accepted ? OK : ERR_INTERNAL), rows[k].name);
        CHECK_ROW(rows[k].accepted || (at >= f->entry && at < f->end), rows[k].name);
        p->code = original;
        free(code);
    }
}

/* All of `n` loops are within one another: states grow with the square of it. */
static enum status compile_loops(unsigned n)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    buf_add_cstr(&text, "package p\nx if {\n");
    for (unsigned i = 0; i < n; i++)
        buf_add_format(&text, "some v%u in input.l\n", i);
    buf_add_cstr(&text, "}\n");
    CLEANUP(rego_policy_cleanup) struct rego_policy *p = NULL;
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    return rego_compile_text(STR("p.rego"), buf_str(&text), &options, &p, NULL);
}

static void test_size(void)
{
    CHECK(compile_loops(1000) == OK);
    CHECK(compile_loops(3000) == ERR_LIMIT);
}

int main(void)
{
    test_changes();
    test_size();
    return tap_done();
}
