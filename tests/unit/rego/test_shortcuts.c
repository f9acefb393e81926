/*
 * What makes policies fast changes nothing but the work: indexes over base documents
 * and for loops, comprehensions that only collect, functions that are not remembered,
 * paths that are.  An evaluation that records an explanation does without indexes and
 * remembers every call; both must agree.
 */
#include <pthread.h>
#include <stdio.h>

#include "rego/rego.h"
#include "tap.h"
#include "value/json.h"

static struct rego_policy *compile(const char *text)
{
    struct rego_policy *p = NULL;
    struct error err = ERROR_INIT;
    if (rego_compile_text(STR("t.rego"), str_of(text), NULL, &p, &err) != OK)
        printf("# %s\n", err.text);
    return p;
}

static struct str evaluate(struct rego_ctx *ctx, const struct rego_eval *params)
{
    value v = VALUE_UNDEFINED;
    rego_ctx_reset(ctx);
    enum status st = rego_eval_path(ctx, params, STR("data.t"), &v);
    struct arena *a = rego_ctx_arena(ctx);
    if (st != OK)
        return arena_format(a, "%s: %.*s", status_name(st), STR_ARG(rego_ctx_error(ctx)->message));
    return value_is_defined(v) ? json_text(a, v, JSON_COMPACT) : STR("undefined");
}

/* Forty users and some that are none, with what a loop must not trip over. */
static value documents(struct arena *a)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_cstr(&b, "{\"users\":[");
    for (int i = 0; i < 40; i++)
        buf_add_format(&b, "{\"name\":\"u%d\",\"boss\":\"u%d\",\"n\":%d,\"at\":{\"x\":%d}},", i,
                       i / 3, i % 4, i % 5);
    buf_add_cstr(&b, "{},7,null,\"u1\",[\"name\"],{\"name\":null},{\"name\":\"u7\",\"n\":1.0},"
                     "{\"n\":1e0,\"at\":\"x\"},{\"n\":[1]},{\"n\":{\"a\":1}}],\"by\":{");
    for (int i = 0; i < 40; i++)
        buf_add_format(&b, "%s\"k%d\":{\"name\":\"u%d\",\"list\":[%d,1.0,\"1\"]}",
                       i == 0 ? "" : ",", i, i % 6, i);
    buf_add_cstr(&b, "},\"words\":[");
    for (int i = 0; i < 40; i++)
        buf_add_format(&b, "\"w%d\",%d,%d.0,", i, i, i + 20);
    buf_add_cstr(&b, "null,[1],{\"a\":[2]}],\"short\":[1,2]}");
    value v = VALUE_UNDEFINED;
    CHECK(json_parse(a, buf_str(&b), NULL, &v, NULL) == OK);
    return v;
}

static const struct {
    const char *name, *rules;
} rows[] = {
    {"some in, behind it the equality", "r := {u.n | some u in data.users; u.name == input.a}"},
    {"the other way round", "r := [u.n | some u in data.users; input.a == u.name]"},
    {"number and its spelling", "r := [u | some u in data.users; u.n == 1]"},
    {"a member of a member", "r := [u.name | some u in data.users; u.at.x == input.three]"},
    {"against null", "r if { some u in data.users; u.name == null }"},
    {"against a collection", "r := [u | some u in data.users; u.n == [1]]"},
    {"what is looked for is undefined", "r := [u | some u in data.users; u.name == input.none]"},
    {"keys as well", "r := [[i, u.n] | some i, u in data.users; u.name == \"u7\"]"},
    {"an object's values", "r := {k: v.list | some k, v in data.by; v.name == input.a}"},
    {"in one literal", "r := [i | data.users[i].name == input.a]"},
    {"in one literal, swapped", "r := [i | input.a == data.users[i].name]"},
    {"assigned", "r := [u | u := data.users[_]; u.n = 2]"},
    {"two loops", "r := [i | some k; data.by[k].list[i] == 1]"},
    {"a join", "r := [[a.name, b.name] | some a in data.users; some b in data.users; "
               "a.boss == b.name]"},
    {"a join in a function", "f(n) := [b.name | some b in data.users; b.boss == n]\n"
                             "r := {n: f(n) | n := data.users[_].name}"},
    {"a group for each", "r := {a: [b.name | some b in data.users; b.n == a] | "
                         "a := data.users[_].n}"},
    {"comparisons between", "r := [u.name | some u in data.users; u.n > 0; u.n != 3; "
                            "not u.boss == \"u2\"; u.at.x == 1]"},
    {"a call between: no index", "r := [u.name | some u in data.users; count(u.name) > 1; "
                                 "u.at.x == 1]"},
    {"an error between", "r := [u.name | some u in data.users; to_number(u.name) > 1; "
                         "u.at.x == 1]"},
    {"the items themselves", "r := [i | some i, w in data.words; w == input.three]"},
    {"a literal text", "r if { some w in data.words; w == \"w39\" }"},
    {"member of an array", "r if input.a in data.words\ns if \"w17\" in data.words"},
    {"number in an array", "r if 45 in data.words\ns if 25.0 in data.words\nt if 1e1 in data.words"
                           "\nu if 77 in data.words"},
    {"collection in an array", "r if [1] in data.words\ns if {\"a\": [2]} in data.words"
                               "\nt if {\"a\": [3]} in data.words"},
    {"not in", "r if not \"w40\" in data.words\ns if not null in data.words"},
    {"member of an object", "r if {\"name\": \"u3\", \"list\": [9, 1, \"1\"]} in data.by"},
    {"data replaced",
     "l := [u | some u in data.users; u.n == 1]\nr := x if x := l with data.users as [{\"n\": 1}]\n"
     "m := x if x := l with data.users as array.concat(data.users, data.users)\n"
     "s if 5 in data.short with data.short as numbers.range(1, 40)\n"
     "t if 5 in data.short\nu := [w | some w in data.words; w == 1]"},
    {"input replaced", "q := [u.name | some u in data.users; u.name == input.a]\n"
                       "r := x if x := q with input.a as \"u30\"\ns := q"},
    {"a set of names", "r := [s | some s in [numbers.range(1, i) | some i in numbers.range(1, 20)];"
                       " s == [1, 2]]\nt := [s | some s in {{sprintf(\"n%d\", [i]), \"name\"} | "
                       "some i in numbers.range(1, 20)}; s.name == \"name\"]"},
    {"a rule's value", "big contains {\"k\": i % 3, \"v\": i} if some i in numbers.range(1, 60)\n"
                       "r := {k: {b.v | some b in big; b.k == k} | k := big[_].k}"},
    {"first match ends it", "r := u.at if { some u in data.users; u.name == \"u39\" }"},
    {"a conflict", "r := u.name if { some u in data.users; u.n == 1 }"},
    {"collected", "r := {x | some x in data.words}\ns := [x | some x in data.by.k3.list]\n"
                  "t := [x | some x in data.none]\nu := {x | some x in 7}\n"
                  "v := {x | some x in data.by.k1}\nw := [x | some x in {3, 1, 2}]"},
    {"collected from a rule", "p := [3, 1, 2, 1]\nr := {x | some x in p}\n"
                              "s := [x | x := p[_]]\nq contains x if some x in p\n"
                              "t := [x | some x in q]"},
    {"nearly collected",
     "r := [x | some i, x in data.short; i > 0]\ns := [1 | some x in data.short]"
     "\nt := {[k, x] | some k, x in data.short}\nu := [x | some [x] in [[1]]]"},
    {"functions called again", "big(n) if n > 2\nsmall(n) if not big(n)\n"
                               "both(a, b) if { big(a); small(b) }\n"
                               "r := [[a, b] | a := data.users[_].n; b := data.users[_].n; "
                               "both(a, b)]"},
    {"a chain of functions", "a(n) := n + 1\nb(n) := a(n) * a(n)\nc(n) := b(n) + b(n + 1)\n"
                             "d(n) := c(n) + c(n + 1)\ne(n) := d(n) + d(n + 1)\nr := e(1)"},
    {"a function that conflicts", "f(n) := 1 if n > 1\nf(n) := 2 if n > 2\n"
                                  "r := [f(n) | n := data.users[_].n]"},
    {"rules by a member of an argument",
     "f(u) := 1 if u.name == \"u1\"\nf(u) := 2 if u.name == \"u2\"\nf(u) := 3 if u.n == 3\n"
     "f(u) := 4 if u.name in [\"u4\", \"u5\"]\nf(u) := 5 if u.name == null\n"
     "r := [f(u) | some u in data.users]"},
    {"constant calls", "r := count([1, 2, 3])\ns := concat(\",\", [\"a\", \"b\"])\nt := 1 + 2 * 3\n"
                       "u if startswith(\"abc\", \"ab\")\nv := to_number(\"x\")\nw := 1 / 0\n"
                       "x := split(\"a b\", \" \")[1]\ny := [i | i := 1 + input.three]\n"
                       "z if count([1]) == 2"},
    {"constant rules", "a := {\"x\": [1, 2]}\nb contains v if some v in a.x\n"
                       "c[k] := v if some k, v in a\nr := [a.x[0], b, c, f(2)]\nd := 1 if false\n"
                       "default e := 5\ne := 6 if a.x[0] == 2\ng := d\nf(n) := n + count(b)\n"
                       "h if b[2]\ni if c.x\nj if not b[7]"},
    {"constant rules that conflict", "a := 1 if true\na := 2 if true\nr := a"},
    {"constant rules that replace something",
     "a := [1]\nb := a[0]\nr := x if x := b with data.t.a as [7]\ns := b\n"
     "u := x if x := b with input.q as 1\nc contains 1\nv if c[1]\n"
     "w if c[5] with data.t.c as {5}"},
    {"constant rules of a replaced function",
     "b := count([1, 2])\nr := x if x := b with count as 9\ns := b\nf(n) := n\nc := f(1)\n"
     "g(n) := n + 1\nt := x if x := c with f as g\nu := c"},
    {"constant rules that take long",
     "a := count([1 | some i in numbers.range(1, 300); some j in numbers.range(1, 300)])\nr := a"},
    {"a long chain of constant rules",
     "a0 := 1\na1 := a0 + 1\na2 := a1 + 1\na3 := a2 + 1\na4 := a3 + 1\na5 := a4 + 1\n"
     "a6 := a5 + 1\nr := a6"},
    {"member of a constant array",
     "l := {\"w17\", 17}\nr := [x | some x in data.words; x in [\"w0\", "
     "\"w1\", \"w2\", \"w3\", 4, 5, 6, 7.0, 8, 9, 10, 11, 12, 13, 14, "
     "15, 16, \"w17\", [1], null]]"},
    {"walk without paths", "all := {\"by\": data.by, \"words\": data.words}\nr := [v | "
                           "walk(data.by.k1, [_, v])]\ns if { walk(all, [_, \"w3\"]) }"},
    {"walk to a path", "all := {\"by\": data.by, \"words\": data.words}\nr := [v | walk(all, "
                       "[[\"by\", \"k1\", \"list\", 1], v])]\n"
                       "s := [v | walk(all, [[\"by\", \"none\"], v])]\n"
                       "t := [v | walk(data.short, [[\"a\"], v])]\n"
                       "u := [v | walk(data.short, [[], v])]"},
    {"walk below a path", "all := {\"by\": data.by, \"words\": data.words}\nr := {k: v | walk(all, "
                          "[[\"by\", k, \"name\"], v])}\n"
                          "s := [[i, v] | walk(data.by.k1, [[_, i], v])]\n"
                          "t := [v | walk(data.short, [[-1], v])]\n"
                          "u := [v | walk(data.short, [[1.0], v])]"},
    {"walk into sets", "r := [v | walk({\"a\", {\"b\": 1}}, [[\"a\"], v])]\n"
                       "s := [v | walk({\"a\", {\"b\": 1}}, [[{\"b\": 1}, \"b\"], v])]\n"
                       "t := [p | walk({{1}, 2}, [p, _])]\nu := [p | walk([[7]], p)]"},
    {"rules by a member of a variable",
     "r := 1 if { x := input; x.a == \"u1\" }\nr := 2 if { x := input; x.a == \"u7\" }\n"
     "r := 3 if { x := input; x.a == \"u3\" }\nr := 4 if { x := input; x.a == \"u4\" }"},
};

static void test_rows(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 << 20);
    value data = documents(&a);
    value input = VALUE_UNDEFINED;
    CHECK(json_parse(&a, STR("{\"a\":\"u7\",\"three\":3}"), NULL, &input, NULL) == OK);
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *indexes = rego_indexes_new(data, 0);
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *small = rego_indexes_new(data, 1);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    CHECK(indexes != NULL && small != NULL && ctx != NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        buf_add_format(&text, "package t\n%s\n%c", rows[i].rules, 0);
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(text.ptr);
        CHECK_ROW(p != NULL, rows[i].name);
        if (p == NULL)
            continue;
        struct rego_eval params = {
            .policy = p, .input = input, .data = data, .trace = REGO_TRACE_RULES};
        struct str want = arena_str(&a, evaluate(ctx, &params));
        params.trace = REGO_TRACE_OFF;
        struct rego_indexes *kept[] = {NULL, indexes, indexes, small};
        for (size_t k = 0; k < ARRAY_LEN(kept); k++) {
            params.indexes = kept[k];
            CHECK_STR_ROW(evaluate(ctx, &params), want, rows[i].name);
        }
    }
}

/* Known answers, so that both sides cannot be wrong together. */
static void test_answers(void)
{
    static const struct {
        const char *name, *rules, *want;
    } known[] = {
        {"by name", "r := {u.n | some u in data.users; u.name == input.a}", "{\"r\":[1.0,3]}"},
        {"number and its spelling", "r := count([1 | some u in data.users; u.n == 1])",
         "{\"r\":12}"},
        {"undefined", "r := [u | some u in data.users; u.name == input.none]", "{\"r\":[]}"},
        {"order", "r := [i | some i, w in data.words; w == 25]", "{\"r\":[17,76]}"},
        {"in", "r if 59 in data.words\ns if 60 in data.words", "{\"r\":true}"},
    };
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 << 20);
    value data = documents(&a);
    value input = VALUE_UNDEFINED;
    CHECK(json_parse(&a, STR("{\"a\":\"u7\"}"), NULL, &input, NULL) == OK);
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *indexes = rego_indexes_new(data, 0);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        buf_add_format(&text, "package t\n%s\n%c", known[i].rules, 0);
        CLEANUP(rego_policy_cleanup) struct rego_policy *p = compile(text.ptr);
        struct rego_eval params = {.policy = p, .input = input, .data = data, .indexes = indexes};
        CHECK_STR_ROW(p == NULL ? STR_EMPTY : evaluate(ctx, &params), str_of(known[i].want),
                      known[i].name);
    }
}

/* A second look costs one step, not one for each item. */
static void test_work(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 << 20);
    value data = documents(&a);
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *indexes = rego_indexes_new(data, 0);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *p = compile("package t\nr if { some u in data.users; u.name == \"u39\" }");
    struct rego_eval params = {
        .policy = p, .input = VALUE_UNDEFINED, .data = data, .indexes = indexes};
    CHECK_STR(evaluate(ctx, &params), STR("{\"r\":true}"));
    CHECK_STR(evaluate(ctx, &params), STR("{\"r\":true}"));
    CHECK(rego_ctx_steps(ctx) < 5);
    params.indexes = NULL;
    CHECK_STR(evaluate(ctx, &params), STR("{\"r\":true}"));
    CHECK(rego_ctx_steps(ctx) > 30);
}

/* ---- threads share what is learnt ---- */

struct job {
    struct rego_eval params;
    struct str want;
    bool ok;
};

static void *run_job(void *arg)
{
    struct job *job = arg;
    struct rego_ctx *ctx = rego_ctx_new(NULL);
    job->ok = ctx != NULL;
    for (int i = 0; i < 20 && job->ok; i++)
        job->ok = str_equal(evaluate(ctx, &job->params), job->want);
    rego_ctx_free(ctx);
    return NULL;
}

static void test_threads(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 << 20);
    value data = documents(&a);
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *indexes = rego_indexes_new(data, 0);
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *p =
        compile("package t\nr := [u.n | some u in data.users; u.name == \"u7\"]\n"
                "s := [i | some i, w in data.words; w == 25]\nt if \"w3\" in data.words");
    struct job jobs[4];
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] =
            (struct job){{.policy = p, .input = VALUE_UNDEFINED, .data = data, .indexes = indexes},
                         STR("{\"r\":[3,1.0],\"s\":[17,76],\"t\":true}"),
                         false};
        CHECK(pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(jobs[i].ok);
    }
}

int main(void)
{
    test_rows();
    test_answers();
    test_work();
    test_threads();
    return tap_done();
}
