/*
 * The engine through rego.h: results, explanations, limits, what a policy tells
 * about itself, and that nothing depends on chance.  OPA's own cases are in
 * tests/conformance/rego.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "rego/builtin.h"
#include "rego/rego.h"
#include "tap.h"
#include "value/json.h"

static struct rego_policy *compile(const char *text, const struct rego_options *options)
{
    struct rego_policy *p = NULL;
    struct error err = ERROR_INIT;
    enum status st = rego_compile_text(STR("t.rego"), str_of(text), options, &p, &err);
    if (st != OK)
        printf("# %s\n", err.text);
    return p;
}

static value parse(struct arena *a, const char *text)
{
    value v = VALUE_UNDEFINED;
    if (text != NULL && json_parse(a, str_of(text), NULL, &v, NULL) != OK)
        printf("# bad JSON: %s\n", text);
    return v;
}

/* The JSON of a document, "undefined", or "status: error". */
static struct str evaluate(struct rego_ctx *ctx, const struct rego_policy *p, const char *path,
                           const char *input, const char *data, enum rego_trace_level trace)
{
    rego_ctx_reset(ctx);
    struct arena *a = rego_ctx_arena(ctx);
    struct rego_eval params = {
        .policy = p, .input = parse(a, input), .data = parse(a, data), .trace = trace};
    value v = VALUE_UNDEFINED;
    enum status st = rego_eval_path(ctx, &params, str_of(path), &v);
    if (st != OK)
        return arena_format(a, "%s: %.*s", status_name(st), STR_ARG(rego_ctx_error(ctx)->message));
    return value_is_defined(v) ? json_text(a, v, JSON_COMPACT) : STR("undefined");
}

static void test_results(void)
{
    static const struct {
        const char *name, *module, *path, *input, *data, *want;
    } rows[] = {
        {"membership in data", "package p\ndefault x := 33\nx := 3 if input.a in data.r.a",
         "data.p.x", "{\"a\": 1}", "{\"r\": {\"a\": [0, 1]}}", "3"},
        /* The verifier: a register of an earlier literal is a loop within a loop later. */
        {"registers that are used anew",
         "package p\nx if {\n v := [q[\"d\"] | some w in min([1, 2])] with data.d.c as 0\n"
         " u := q\n}\nx if {\n some a in {false, q, null}\n some b, c in a\n}\n"
         "q contains input[z][1]",
         "data.p.x", "{\"c\": [null, \"b\"]}", "{\"d\": {\"c\": 1}}", "true"},
        {"arrays of two lengths, one within a loop",
         "package p\nx if {\n v := input.p\n [_, b] = v\n some i in input.l\n"
         " w := [c | [_, _, c] = v]\n i == b\n w == []\n}\n",
         "data.p.x", "{\"p\": [1, 2], \"l\": [2, 3]}", "{}", "true"},
        {"default", "package p\ndefault x := 33\nx := 3 if input.a in data.r.a", "data.p.x",
         "{\"a\": 1}", "{}", "33"},
        {"undefined", "package p\nx := 1 if input.a", "data.p.x", "{}", NULL, "undefined"},
        {"no such rule", "package p\nx := 1", "data.p.y", NULL, NULL, "not found: "},
        {"base document beside rules", "package p\nx := 1", "data.p.y", NULL, "{\"p\": {\"y\": 2}}",
         "2"},
        {"below a rule", "package p\nx := {\"a\": [5]}", "data.p.x.a", NULL, NULL, "[5]"},
        {"below a rule, missing", "package p\nx := {\"a\": [5]}", "data.p.x.b", NULL, NULL,
         "undefined"},
        {"package", "package p\nx := 1\ny := 2 if false\nf(a) := a", "data.p", NULL, NULL,
         "{\"x\":1}"},
        {"a function is no document", "package p\nf(a) := a", "data.p.f", NULL, NULL,
         "invalid: function data.p.f used as reference, not called"},
        {"bracket path", "package p\nx[\"a-b\"] := 7 if true", "data.p.x[\"a-b\"]", NULL, NULL,
         "7"},
        {"conflict", "package p\nx := 1 if true\nx := 2 if true", "data.p.x", NULL, NULL,
         "invalid: complete rules must not produce multiple outputs"},
        {"else chain", "package p\nx := 1 if input.a == 1 else := 2 if input.a == 2 else := 3",
         "data.p.x", "{\"a\": 2}", NULL, "2"},
        {"early solution of equal constants", "package p\nx if some i in [1, 2]\nx if false",
         "data.p.x", NULL, NULL, "true"},
        {"with hides the memo",
         "package p\nx := [a, b] if { a := y with input.n as 1; b := y with input.n as 2 }\ny := "
         "input.n",
         "data.p.x", NULL, NULL, "[1,2]"},
        {"same path, other depth", "package p\nx[a].b := 1 if some a in [\"k\"]\nx.k.c := 2",
         "data.p.x", NULL, NULL, "{\"k\":{\"b\":1,\"c\":2}}"},
        {"numbers keep their text", "package p\nx := 1.50", "data.p.x", NULL, NULL, "1.50"},
    };
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(rows[i].module, NULL);
        CHECK_ROW(p != NULL, rows[i].name);
        if (p == NULL)
            continue;
        struct str got =
            evaluate(ctx, p, rows[i].path, rows[i].input, rows[i].data, REGO_TRACE_OFF);
        CHECK_STR_ROW(got, str_of(rows[i].want), rows[i].name);
        got = evaluate(ctx, p, rows[i].path, rows[i].input, rows[i].data, REGO_TRACE_RULES);
        CHECK_STR_ROW(got, str_of(rows[i].want), rows[i].name);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *name, *module, *code, *message;
        uint32_t row, col;
        bool strict;
    } rows[] = {
        {"syntax", "package p\n\nx := {", "rego_parse_error", "unexpected eof token", 3, 6, false},
        {"no module", "# a comment\n", "rego_parse_error", "empty module", 0, 0, false},
        {"a default's place is its rule's", "package p\ndefault x := input.y", "rego_parse_error",
         "illegal default rule (value cannot contain ref)", 2, 1, false},
        {"a call of a template string", "package p\n$\"a{b}\"(1)", "rego_parse_error",
         "illegal ref (head cannot be templatestring)", 2, 1, false},
        {"columns count characters", "package p\nx := \"\u00e9\" + $", "rego_parse_error",
         "illegal $ character", 2, 12, false},
        {"unsafe", "package p\nx if {\n\ty > 1\n}", "rego_unsafe_var_error", "var y is unsafe", 3,
         2, false},
        {"a variable that only a reference into itself would bind",
         "package p\nx if y = {\"a\": y.b}", "rego_unsafe_var_error", "var y is unsafe", 2, 6,
         false},
        {"and one in a part of a reference", "package p\nx if y = input[y.b]",
         "rego_unsafe_var_error", "var y is unsafe", 2, 6, false},
        {"what some .. in binds is in its collection", "package p\nf(x) if { some x in [x] }",
         "rego_compile_error", "var x assigned before", 2, 11, false},
        {"a modifier names what every declares",
         "package p\nx if { every y in [1] { y == 1 } with input as y }", "rego_unsafe_var_error",
         "var y is unsafe", 2, 8, false},
        {"and is no use of it",
         "package p\nx if { every y in [1] { input == 1 } with input as data.q[y] }",
         "rego_compile_error", "declared var y unused", 2, 14, false},
        {"unknown function", "package p\nx := foo(1)", "rego_type_error", "undefined function foo",
         2, 6, false},
        {"recursion", "package p\nx if y\ny if x", "rego_recursion_error",
         "rule data.p.x is recursive: data.p.x -> data.p.y -> data.p.x", 2, 1, false},
        {"declared twice", "package p\nx if { a := 1; a := 2 }", "rego_compile_error",
         "var a assigned above", 2, 16, false},
        {"unused local", "package p\nx if { a := 1 }", "rego_compile_error",
         "assigned var a unused", 2, 8, true},
        {"unused import", "package p\nimport data.q\nx := 1", "rego_compile_error",
         "import data.q unused", 2, 1, true},
        {"v0 in v1", "package p\nx { true }", "rego_parse_error",
         "`if` keyword is required before rule body", 2, 1, false},
        {"a comprehension is no function", "package p\nx := [1 | true](2)", "rego_type_error",
         "undefined function [1 | true]", 2, 6, false},
        {"a constant is no head of a reference", "package p\nx if not true[0]", "rego_parse_error",
         "illegal ref (head cannot be boolean)", 2, 10, false},
        {"but a keyword is, where a literal begins", "package p\nx if true[0]",
         "rego_unsafe_var_error", "var true is unsafe", 2, 6, false},
        {"and nowhere else", "package p\nx := in.y", "rego_parse_error", "unexpected in keyword", 2,
         6, false},
        {"too deep", NULL, "rego_parse_error", "expression is nested too deeply", 2, 0, false},
    };
    CLEANUP(buf_done) struct buf deep;
    buf_init(&deep, 1 << 16);
    buf_add_cstr(&deep, "package p\nx := ");
    for (int i = 0; i < 3000; i++)
        buf_add_byte(&deep, '[');
    buf_add_byte(&deep, '\0');
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rego_options options = REGO_OPTIONS_DEFAULT;
        options.version = REGO_V1;
        options.strict = rows[i].strict;
        CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = NULL;
        struct str text = rows[i].module != NULL ? str_of(rows[i].module) : str_of(deep.ptr);
        enum status st = rego_compiler_add(c, STR("t.rego"), text);
        if (st == OK)
            st = rego_compiler_finish(c, &p);
        CHECK_ROW(st == ERR_INVALID, rows[i].name);
        struct rego_errors e = rego_compiler_errors(c);
        CHECK_ROW(e.len > 0, rows[i].name);
        if (e.len == 0)
            continue;
        CHECK_STR_ROW(str_of(e.items[0].code), str_of(rows[i].code), rows[i].name);
        CHECK_STR_ROW(e.items[0].message, str_of(rows[i].message), rows[i].name);
        CHECK_ROW(e.items[0].row == rows[i].row, rows[i].name);
        CHECK_ROW(rows[i].col == 0 || e.items[0].col == rows[i].col, rows[i].name);
    }
}

/* ---- why ---- */

static enum rego_outcome reference(struct rego_call *call, const value *args, value *out)
{
    unsigned *calls = rego_call_user(call);
    if (calls != NULL)
        ++*calls;
    if (!str_is(value_str(args[0]), "pcr08"))
        return REGO_UNDEFINED;
    value item = value_cstring(rego_call_arena(call), "good");
    *out = value_array(rego_call_arena(call), &item, 1);
    return REGO_VALUE;
}

static const struct rego_host_function host[] = {
    {"query_reference_value", "(string) any", REGO_PURE, reference},
};

static struct rego_options host_options(void)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.functions = host;
    options.function_count = ARRAY_LEN(host);
    return options;
}

static void test_trace(void)
{
    static const struct {
        const char *name, *module, *input, *rule, *expression, *left, *left_path, *right,
            *right_path;
        enum rego_relation relation;
        uint32_t row;
    } rows[] = {
        {"in", "package p\nx if {\n\tinput.a.b in data.r\n}", "{\"a\": {\"b\": 4}}", "data.p.x",
         "input.a.b in data.r", "4", "/input/a/b", "[1,2]", "/data/r", REGO_REL_IN, 3},
        {"absent side", "package p\nx if input.a.b in data.r", "{}", "data.p.x",
         "input.a.b in data.r", "undefined", "/input/a/b", "[1,2]", "/data/r", REGO_REL_IN, 2},
        {"equal", "package p\nx if input[\"a/b\"] == 3", "{\"a/b\": 4}", "data.p.x",
         "input[\"a/b\"] == 3", "4", "/input/a~1b", "3", "", REGO_REL_EQUAL, 2},
        {"greater or equal", "package p\nx if input.n >= 7", "{\"n\": 4}", "data.p.x",
         "input.n >= 7", "4", "/input/n", "7", "", REGO_REL_GREATER_EQUAL, 2},
        {"bare term", "package p\nx if input.n", "{\"n\": false}", "data.p.x", "input.n", "false",
         "/input/n", "undefined", "", REGO_REL_DEFINED, 2},
        {"not", "package p\nx if not input.n", "{\"n\": true}", "data.p.x", "not input.n", "true",
         "/input/n", "undefined", "", REGO_REL_NOT, 2},
        {"every names the element",
         "package p\nx if {\n\tevery k in [\"a\", \"b\"] {\n\t\tinput[k] == 1\n\t}\n}",
         "{\"a\": 1, \"b\": 2}", "data.p.x", "input[k] == 1", "2", "/input/b", "1", "",
         REGO_REL_EQUAL, 4},
        {"a rule that names a part of input",
         "package p\nx if guest.tpm.pcr08 in query_reference_value(\"pcr08\")\nguest := input.g",
         "{\"g\": {\"tpm\": {\"pcr08\": \"bad\"}}}", "data.p.x",
         "guest.tpm.pcr08 in query_reference_value(\"pcr08\")", "\"bad\"", "/input/g/tpm/pcr08",
         "[\"good\"]", "/reference-values/pcr08", REGO_REL_IN, 2},
        {"a local that names a part of input", "package p\nx if {\n\tv := input.g\n\tv.a == 1\n}",
         "{\"g\": {\"a\": 2}}", "data.p.x", "v.a == 1", "2", "/input/g/a", "1", "", REGO_REL_EQUAL,
         4},
        {"a value of false", "package p\nx := input.a == 1", "{\"a\": 2}", "data.p.x",
         "input.a == 1", "2", "/input/a", "1", "", REGO_REL_EQUAL, 2},
        {"last try of a loop", "package p\nx if {\n\tsome i in [1, 2, 3]\n\ti > input.n\n}",
         "{\"n\": 5}", "data.p.x", "i > input.n", "3", "", "5", "/input/n", REGO_REL_GREATER, 4},
        {"any item of a list", "package p\nx if input.n == data.r[_]", "{\"n\": 4}", "data.p.x",
         "input.n == data.r[_]", "4", "/input/n", "2", "/data/r/-", REGO_REL_EQUAL, 2},
        {"a loop that never began", "package p\nx if {\n\tsome i\n\tinput.l[i] == 4\n}",
         "{\"l\": []}", "data.p.x", "input.l[i] == 4", "undefined", "/input/l/-", "4", "",
         REGO_REL_EQUAL, 4},
        {"undefined operand of a call", "package p\nx if count(input.l) > 1", "{}", "data.p.x",
         "count(input.l) > 1", "undefined", "", "1", "", REGO_REL_GREATER, 2},
    };
    struct rego_options options = host_options();
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(rows[i].module, &options);
        CHECK_ROW(p != NULL, rows[i].name);
        if (p == NULL)
            continue;
        (void)evaluate(ctx, p, "data.p.x", rows[i].input, "{\"r\": [1, 2]}", REGO_TRACE_RULES);
        struct rego_trace t = rego_ctx_trace(ctx);
        CHECK_ROW(t.len == 1, rows[i].name);
        if (t.len != 1)
            continue;
        struct arena *a = rego_ctx_arena(ctx);
        const struct rego_trace_rule *r = &t.items[0];
        struct str left =
            value_is_defined(r->left) ? json_text(a, r->left, JSON_COMPACT) : STR("undefined");
        struct str right =
            value_is_defined(r->right) ? json_text(a, r->right, JSON_COMPACT) : STR("undefined");
        CHECK_STR_ROW(r->rule, str_of(rows[i].rule), rows[i].name);
        CHECK_STR_ROW(r->expression, str_of(rows[i].expression), rows[i].name);
        CHECK_STR_ROW(left, str_of(rows[i].left), rows[i].name);
        CHECK_STR_ROW(right, str_of(rows[i].right), rows[i].name);
        CHECK_STR_ROW(r->left_path, str_of(rows[i].left_path), rows[i].name);
        CHECK_STR_ROW(r->right_path, str_of(rows[i].right_path), rows[i].name);
        CHECK_ROW(r->relation == rows[i].relation, rows[i].name);
        CHECK_ROW(r->row == rows[i].row, rows[i].name);
    }
}

/* Rules called by rules come first; a rule that held is not told of. */
static void test_trace_order(void)
{
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *p = compile("package p\nx if y\nx if z\ny if input.a == 1\nz if input.b == "
                                    "1\nok if true\nx if { ok; input.c }",
                                    NULL);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    (void)evaluate(ctx, p, "data.p.x", "{}", NULL, REGO_TRACE_RULES);
    struct rego_trace t = rego_ctx_trace(ctx);
    static const uint32_t want[] = {4, 2, 5, 3, 7};
    CHECK(t.len == ARRAY_LEN(want));
    for (size_t i = 0; i < t.len && i < ARRAY_LEN(want); i++)
        CHECK(t.items[i].row == want[i]);
}

/* What a search for a change needs to know beyond that: REGO_TRACE_ALL. */
static void test_trace_all(void)
{
    static const char module[] = "package p\n"
                                 "x if not h\n"
                                 "x if {\n\tlacking := need - have\n\tcount(lacking) == 0\n}\n"
                                 "h if {\n\tinput.a == 1\n\tinput.b > 1\n}\n"
                                 "need := {\"p\"}\n"
                                 "have contains v if some v in input.l\n"
                                 "x if f(input.b)\n"
                                 "f(v) if v > 5\n"
                                 "x if {\n\tsome i in []\n\ti == 1\n}\n";
    static const struct {
        const char *rule, *expression, *calls, *part, *whole, *whole_path;
        enum rego_relation relation, inner;
        uint32_t head_row;
        bool held;
    } want[] = {
        {"data.p.h", "input.b > 1", "", "", "", "", REGO_REL_GREATER, REGO_REL_GREATER, 7, true},
        {"data.p.h", "input.a == 1", "", "", "", "", REGO_REL_EQUAL, REGO_REL_EQUAL, 7, true},
        {"data.p.x", "not h", "data.p.h", "", "", "", REGO_REL_NOT, REGO_REL_DEFINED, 2, false},
        {"data.p.have", "some v in input.l", "", "", "", "", REGO_REL_IN, REGO_REL_IN, 12, true},
        {"data.p.x", "count(lacking) == 0", "data.p.need data.p.have", "[\"p\"]", "[\"q\"]",
         "/input/l", REGO_REL_EQUAL, REGO_REL_EQUAL, 3, false},
        {"data.p.f", "v > 5", "", "", "", "", REGO_REL_GREATER, REGO_REL_GREATER, 14, false},
        {"data.p.x", "f(input.b)", "data.p.f", "", "", "", REGO_REL_OTHER, REGO_REL_OTHER, 13,
         false},
        {"data.p.x", "some i in []", "", "", "", "", REGO_REL_IN, REGO_REL_IN, 15, false},
    };
    CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(module, NULL);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    (void)evaluate(ctx, p, "data.p.x", "{\"a\": 1, \"b\": 2, \"l\": [\"q\"]}", NULL,
                   REGO_TRACE_ALL);
    struct rego_trace t = rego_ctx_trace(ctx);
    struct arena *a = rego_ctx_arena(ctx);
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++) {
        const struct rego_trace_rule *r = &t.items[i];
        if (r->held && str_is(r->rule, "data.p.need"))
            continue; /* its value, which is an expression to the compiler */
        if (!CHECK(n < ARRAY_LEN(want)))
            break;
        const char *row = want[n].expression;
        struct str calls = STR_EMPTY;
        for (size_t k = 0; k < r->call_count; k++)
            calls = arena_format(a, "%.*s%s%.*s", STR_ARG(calls), k == 0 ? "" : " ",
                                 STR_ARG(r->calls[k]));
        CHECK_STR_ROW(r->rule, str_of(want[n].rule), row);
        CHECK_STR_ROW(r->expression, str_of(want[n].expression), row);
        CHECK_STR_ROW(calls, str_of(want[n].calls), row);
        CHECK_STR_ROW(value_is_defined(r->part) ? json_text(a, r->part, JSON_COMPACT) : STR_EMPTY,
                      str_of(want[n].part), row);
        CHECK_STR_ROW(value_is_defined(r->whole) ? json_text(a, r->whole, JSON_COMPACT) : STR_EMPTY,
                      str_of(want[n].whole), row);
        CHECK_STR_ROW(r->whole_path, str_of(want[n].whole_path), row);
        CHECK_ROW(r->relation == want[n].relation && r->inner == want[n].inner, row);
        CHECK_ROW(r->head_row == want[n].head_row && r->held == want[n].held, row);
        n++;
    }
    CHECK(n == ARRAY_LEN(want));
}

/* ---- limits ---- */

static void test_limits(void)
{
    static const struct {
        const char *name, *module;
        struct rego_limits limits;
        enum status want;
    } rows[] = {
        {"steps reached",
         "package p\nx := [1 | some i in numbers.range(1, 100)]",
         {.steps = 90},
         ERR_LIMIT},
        {"steps enough",
         "package p\nx := [1 | some i in numbers.range(1, 100)]",
         {.steps = 1000},
         OK},
        {"memory",
         "package p\nx := [numbers.range(1, 9000) | some i in numbers.range(1, 9000)]",
         {.memory = 1 << 20},
         ERR_LIMIT},
        {"depth reached",
         "package p\nx := a\na := b\nb := c\nc := d\nd := time.now_ns()",
         {.depth = 4},
         ERR_LIMIT},
        {"depth enough",
         "package p\nx := a\na := b\nb := c\nc := d\nd := time.now_ns()",
         {.depth = 5},
         OK},
        {"deadline passed",
         "package p\nx := [1 | some i in numbers.range(1, 5000)]",
         {.deadline_ns = 1},
         ERR_CANCELLED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(rows[i].module, NULL);
        CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&rows[i].limits);
        struct rego_eval params = {.policy = p, .input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED};
        value v = VALUE_UNDEFINED;
        enum status st = rego_eval_path(ctx, &params, STR("data.p.x"), &v);
        CHECK_STATUS_ROW(st, rows[i].want, NULL, rows[i].name);
        if (st != OK)
            CHECK_STR_ROW(str_of(rego_ctx_error(ctx)->code), STR("eval_cancel_error"),
                          rows[i].name);
    }
}

/* ---- what a policy tells about itself ---- */

static void add_arg(void *user, struct str arg)
{
    struct buf *b = user;
    buf_add(b, arg);
    buf_add_byte(b, ' ');
}

static void test_questions(void)
{
    struct rego_options options = host_options();
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *p =
        compile("package a.b\nx if input.snp.measurement in query_reference_value(\"m\")\n"
                "y if input.tdx[input.k] in query_reference_value(\"m\")\nz := "
                "query_reference_value(\"n\")\ndefault w := 1",
                &options);
    CHECK(rego_policy_has_rule(p, STR("data.a.b.x")));
    CHECK(rego_policy_has_rule(p, STR("data.a.b.w")));
    CHECK(!rego_policy_has_rule(p, STR("data.a.b.v")));
    CHECK_STR(rego_policy_package(p, 0), STR("data.a.b"));
    CHECK_STR(rego_policy_package(p, 1), STR(""));
    CHECK(!rego_policy_reads_data(p));
    CHECK(rego_policy_may_read_input(p, (struct str[]){STR("snp"), STR("measurement")}, 2));
    CHECK(!rego_policy_may_read_input(p, (struct str[]){STR("snp"), STR("debug")}, 2));
    CHECK(rego_policy_may_read_input(p, (struct str[]){STR("tdx"), STR("mr_td")}, 2));
    CHECK(!rego_policy_may_read_input(p, (struct str[]){STR("se")}, 1));
    CLEANUP(buf_done) struct buf args;
    buf_init(&args, 1000);
    rego_policy_constant_calls(p, STR("query_reference_value"), add_arg, &args);
    CHECK_STR(buf_str(&args), STR("m n "));
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *q = compile("package a\nx := data.reference.m", NULL);
    CHECK(rego_policy_reads_data(q));
}

static void test_host_cache(void)
{
    struct rego_options options = host_options();
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *p =
        compile("package p\nx := [query_reference_value(\"pcr08\"), "
                "query_reference_value(\"pcr08\"), f(\"pcr08\")]\n"
                "f(k) := query_reference_value(k)\ny if query_reference_value(\"none\")",
                &options);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    unsigned calls = 0;
    struct rego_eval params = {
        .policy = p, .input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED, .user = &calls};
    value v = VALUE_UNDEFINED;
    CHECK_STATUS(rego_eval_path(ctx, &params, STR("data.p.x"), &v), OK, NULL);
    CHECK(calls == 1);
    /* Equal parameters in a row share what was computed. */
    CHECK_STATUS(rego_eval_path(ctx, &params, STR("data.p.x"), &v), OK, NULL);
    CHECK(calls == 1);
    CHECK_STATUS(rego_eval_path(ctx, &params, STR("data.p.y"), &v), OK, NULL);
    CHECK(calls == 2);
}

static void test_claims(void)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.claim_schema = parse(&a, "{\"snp\": {\"measurement\": \"any\", \"policy\": {\"debug\": "
                                     "\"any\"}}, \"init_data\": \"any\"}");
    static const struct {
        const char *module, *warning;
    } rows[] = {
        {"package p\nx if input.snp.measurement", NULL},
        {"package p\nx if input.init_data.whatever", NULL},
        {"package p\nx if input.snp.mesurement",
         "input.snp.mesurement: no claim is named \"mesurement\" there, did you mean "
         "\"measurement\"?"},
        {"package p\nx if g.policy.debgu\ng := input.snp",
         "data.p.g.policy.debgu: no claim is named \"debgu\" there, did you mean \"debug\"?"},
        {"package p\nx if input.tdx", "input.tdx: no claim is named \"tdx\" there"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = NULL;
        CHECK_ROW(rego_compiler_add(c, STR("t.rego"), str_of(rows[i].module)) == OK,
                  rows[i].module);
        CHECK_ROW(rego_compiler_finish(c, &p) == OK, rows[i].module);
        struct rego_errors w = rego_compiler_warnings(c);
        CHECK_ROW(w.len == (rows[i].warning != NULL), rows[i].module);
        if (w.len == 1 && rows[i].warning != NULL)
            CHECK_STR_ROW(w.items[0].message, str_of(rows[i].warning), rows[i].module);
    }
    arena_done(&a);
}

static void test_versions(void)
{
    /* S11: v1 first, then v0, unless the text says rego.v1. */
    CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile("package p\nx { input.a }", NULL);
    CHECK(p != NULL);
    struct rego_policy *q = NULL;
    struct error err = ERROR_INIT;
    CHECK(rego_compile_text(STR("t.rego"), STR("package p\nimport rego.v1\nx { input.a }"), NULL,
                            &q, &err) == ERR_INVALID);
    CHECK_STR(str_of(err.text),
              STR("t.rego:3:1: rego_parse_error: `if` keyword is required before rule body"));
    CHECK(err.line == 3 && err.col == 1);
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.refuse_missing_builtins = true;
    CHECK(rego_compile_text(STR("t.rego"), STR("package p\nx := http.send({})"), &options, &q,
                            &err) == ERR_INVALID);
    options.refuse_missing_builtins = false;
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *r = compile("package p\nx := http.send({})", &options);
    CHECK(r != NULL);
}

/* ---- the index changes nothing but the work ---- */

static void many_rules(struct buf *b, unsigned n)
{
    buf_add_cstr(b, "package p\ndefault x := \"none\"\n");
    for (unsigned i = 0; i < n; i++)
        buf_add_format(
            b, "x := \"r%u\" if { input.a == %u; input.b == \"v%u\"; input.c in [%u, %u] }\n", i,
            i % 10, i % 7, i, i + 1000000);
    buf_add_cstr(b, "x := \"other\" if { input.c > 5000000; input.d }\n");
}

static void test_index(void)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    many_rules(&text, 1000);
    buf_add_byte(&text, '\0');
    CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(text.ptr, NULL);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    CHECK(p != NULL);
    for (unsigned i = 0; i < 58 && p != NULL; i++) {
        char input[128];
        char want[32];
        bool none = i % 9 == 8;
        unsigned k = i * 17;
        snprintf(input, sizeof(input), "{\"a\": %u.0, \"b\": \"v%u\", \"c\": %u}", k % 10,
                 (k + none) % 7, i % 2 ? k : k + 1000000);
        snprintf(want, sizeof(want), none ? "\"none\"" : "\"r%u\"", k);
        CHECK_STR_ROW(evaluate(ctx, p, "data.p.x", input, NULL, REGO_TRACE_OFF), str_of(want),
                      input);
        if (i < 10) /* without the index */
            CHECK_STR_ROW(evaluate(ctx, p, "data.p.x", input, NULL, REGO_TRACE_RULES), str_of(want),
                          input);
    }
    CHECK_STR(evaluate(ctx, p, "data.p.x", "{\"c\": 6000000, \"d\": true}", NULL, REGO_TRACE_OFF),
              STR("\"other\""));
    CHECK_STR(evaluate(ctx, p, "data.p.x", NULL, NULL, REGO_TRACE_OFF), STR("\"none\""));
}

/* ---- threads ---- */

struct job {
    const struct rego_policy *policy;
    bool ok;
};

/* On 256 KiB of stack: nothing may recurse with the policy or the data. */
static void *run_job(void *arg)
{
    struct job *job = arg;
    struct rego_ctx *ctx = rego_ctx_new(NULL);
    job->ok = ctx != NULL;
    for (int i = 0; i < 50 && job->ok; i++)
        job->ok =
            str_equal(evaluate(ctx, job->policy, "data.p.x", "{\"n\": 3}", NULL, REGO_TRACE_OFF),
                      STR("[1,2,3]"));
    rego_ctx_free(ctx);
    return NULL;
}

static void *compile_deep(void *arg)
{
    bool *ok = arg;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_cstr(&b, "package p\nx := ");
    for (int i = 0; i < 120; i++)
        buf_add_cstr(&b, "[{\"a\": ");
    buf_add_cstr(&b, "[1");
    for (int i = 0; i < 400; i++)
        buf_add_cstr(&b, " + 1");
    buf_add_byte(&b, '\n');
    struct error err = ERROR_INIT;
    struct rego_policy *p = NULL;
    *ok = rego_compile_text(STR("t.rego"), buf_str(&b), NULL, &p, &err) == ERR_INVALID;
    buf_reset(&b);
    buf_add_cstr(&b, "package p\nx := ");
    for (int i = 0; i < 60; i++)
        buf_add_cstr(&b, "[");
    buf_add_cstr(&b, "f(1");
    for (int i = 0; i < 200; i++)
        buf_add_cstr(&b, " + 1");
    buf_add_cstr(&b, ")");
    for (int i = 0; i < 60; i++)
        buf_add_cstr(&b, "]");
    buf_add_cstr(&b, "\nf(a) := a\n");
    *ok = *ok && rego_compile_text(STR("t.rego"), buf_str(&b), NULL, &p, &err) == OK;
    rego_policy_unref(p);
    buf_done(&b);
    return NULL;
}

static void test_threads(void)
{
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *p = compile(
        "package p\nx := [v | some v in numbers.range(1, y)]\ny := f(input.n)\nf(a) := a if a > 0",
        NULL);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    pthread_t threads[4];
    struct job jobs[4];
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct job){rego_policy_ref(p), false};
        CHECK(pthread_create(&threads[i], &attr, run_job, &jobs[i]) == 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        pthread_join(threads[i], NULL);
        CHECK(jobs[i].ok);
        rego_policy_unref((struct rego_policy *)(uintptr_t)jobs[i].policy);
    }
    bool ok = false;
    CHECK(pthread_create(&threads[0], &attr, compile_deep, &ok) == 0);
    pthread_join(threads[0], NULL);
    CHECK(ok);
    pthread_attr_destroy(&attr);
}

/* ---- no memory ---- */

static const char sweep_module[] = "package p\ndefault x := 1\nx := [v | some k, v in input.o; k "
                                   "!= f(v)] if count(input.o) > 1\nf(a) := a + 1\n"
                                   "q contains v if some v in input.l\nr[k].s := v if some k, v in "
                                   "input.o\nz := y if y := $\"{input.o}\" with input.n as 2\n";

static enum status sweep_once(void)
{
    struct rego_policy *p = NULL;
    enum status st = rego_compile_text(STR("t.rego"), str_of(sweep_module), NULL, &p, NULL);
    if (st != OK) {
        CHECK(p == NULL);
        return st;
    }
    struct rego_ctx *ctx = rego_ctx_new(NULL);
    st = ctx == NULL ? ERR_NOMEM : OK;
    if (st == OK) {
        value in = VALUE_UNDEFINED;
        st = json_parse(rego_ctx_arena(ctx), STR("{\"o\": {\"a\": 1, \"b\": 2}, \"l\": [1, 2]}"),
                        NULL, &in, NULL);
        struct rego_eval params = {.policy = p, .input = in, .data = VALUE_UNDEFINED};
        value v = VALUE_UNDEFINED;
        if (st == OK)
            st = rego_eval_path(ctx, &params, STR("data"), &v);
        if (st == OK)
            st = rego_eval_query(ctx, &params, STR("x := data.p.x; y = data.p.r[k]"), &v);
    }
    rego_ctx_free(ctx);
    rego_policy_unref(p);
    return st;
}

static void test_memory(void)
{
    enum status st = ERR_NOMEM;
    long n = 1;
    for (; n < 500 && st != OK; n++) {
        tap_fail_malloc_after(n);
        st = sweep_once();
        tap_fail_malloc_after(0);
        if (st != OK && st != ERR_NOMEM)
            break;
    }
    if (st != OK)
        printf("# allocation %ld\n", n);
    CHECK_STATUS(st, OK, NULL);
}

/* Results do not follow the order of hash tables. */
static void test_determinism(void)
{
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    CLEANUP(buf_done) struct buf first;
    buf_init(&first, 1 << 16);
    for (uint64_t key = 1; key < 20; key++) {
        hash_set_key(key, ~key);
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(sweep_module, NULL);
        struct str got = evaluate(ctx, p, "data", "{\"o\": {\"a\": 1, \"b\": 2}, \"l\": [3, 1, 2]}",
                                  NULL, REGO_TRACE_OFF);
        if (key == 1)
            buf_add(&first, got);
        CHECK_STR(got, buf_str(&first));
    }
}

int main(void)
{
    test_results();
    test_errors();
    test_trace();
    test_trace_order();
    test_trace_all();
    test_limits();
    test_questions();
    test_host_cache();
    test_claims();
    test_versions();
    test_index();
    test_threads();
    test_memory();
    test_determinism();
    return tap_done();
}
