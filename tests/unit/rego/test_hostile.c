/*
 * Hostile policies end at a limit: in time, within the memory that they were given,
 * on a thread with 256 KiB of stack.  Time is that of the thread's processor, so that
 * a busy machine changes nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "rego/rego.h"
#include "tap.h"
#include "value/json.h"

#define DEADLINE_NS (NS_PER_S / 10)
/* Beyond the deadline: some 10 ms on an idle machine, see what it prints; more on a busy one. */
#define OVER_NS (2 * NS_PER_S)
#define MEMORY ((size_t)32 << 20)
#ifdef __SANITIZE_ADDRESS__ /* GCC's makes frames eight times as large */
#define STACK (1024 * 1024)
#else
#define STACK (256 * 1024)
#endif
#define LETTERS 1000000
#define RANDOM "~" /* the input is random_text() */
#define TEXT_MAX ((size_t)1 << 20)

struct hostile {
    const char *name;
    /* A policy whose rule data.p.x is evaluated: head, part n times with $ for its number, tail. */
    const char *head, *part;
    int n;
    const char *tail;
    const char *input;
    bool may_end; /* small for this engine: it may also have a result */
};

struct outcome {
    const struct hostile *row;
    struct str text;
    enum status compiled, evaluated;
    char code[32];
    int64_t compile_ns, eval_ns;
    size_t bytes;
};

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* A JSON string of a million letters, "c" first, then "a" and "b" at random. */
static const char *random_text(struct arena *a)
{
    char *text = arena_alloc(a, LETTERS + 4);
    if (text == NULL)
        return NULL;
    uint64_t x = 88172645463325252u;
    memcpy(text, "\"c", 2);
    for (size_t i = 2; i < LETTERS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text[i] = (x >> 33 & 1) != 0 ? 'a' : 'b';
    }
    memcpy(text + LETTERS, "\"", 2);
    return text;
}

static void evaluate(struct outcome *o, const struct rego_policy *policy)
{
    struct rego_limits limits = {
        .steps = UINT64_MAX, .memory = MEMORY, .deadline_ns = clock_monotonic_ns() + DEADLINE_NS};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 << 20);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&limits);
    struct rego_eval params = {
        .policy = policy, .input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED, .strict_errors = true};
    const char *input = o->row->input;
    if (input != NULL && strcmp(input, RANDOM) == 0)
        input = random_text(&a);
    if (ctx == NULL ||
        (input != NULL && json_parse(&a, str_of(input), NULL, &params.input, NULL) != OK))
        return;
    value v = VALUE_UNDEFINED;
    int64_t from = cpu_ns();
    o->evaluated = rego_eval_path(ctx, &params, STR("data.p.x"), &v);
    o->eval_ns = cpu_ns() - from;
    o->bytes = rego_ctx_bytes(ctx);
    if (o->evaluated != OK)
        snprintf(o->code, sizeof(o->code), "%s", rego_ctx_error(ctx)->code);
}

static void *run(void *user)
{
    struct outcome *o = user;
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    options.deadline_ns = clock_monotonic_ns() + DEADLINE_NS;
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    int64_t from = cpu_ns();
    o->compiled = rego_compile_text(STR("p.rego"), o->text, &options, &policy, NULL);
    o->compile_ns = cpu_ns() - from;
    if (o->compiled == OK)
        evaluate(o, policy);
    return NULL;
}

static void make_text(const struct hostile *h, struct buf *out)
{
    buf_add_cstr(out, "package p\n");
    buf_add_cstr(out, h->head);
    for (int i = 0; i < h->n && buf_str(out).len < TEXT_MAX - 4096; i++)
        for (const char *c = h->part; *c != '\0'; c++)
            if (*c == '$')
                buf_add_format(out, "%d", i);
            else if (*c == '@') /* the one after it */
                buf_add_format(out, "%d", i + 1);
            else
                buf_add_byte(out, (uint8_t)*c);
    buf_add_cstr(out, h->tail);
}

static void check_row(const struct hostile *h)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 2 * TEXT_MAX);
    make_text(h, &text);
    struct outcome o = {.row = h, .text = buf_str(&text), .evaluated = ERR_INTERNAL};
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    CHECK_ROW(pthread_create(&thread, &attr, run, &o) == 0, h->name);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);

    CHECK_ROW(o.compiled != OK || o.evaluated != ERR_INTERNAL, h->name);
    bool refused = o.compiled == ERR_INVALID || o.compiled == ERR_LIMIT ||
                   o.compiled == ERR_CANCELLED || o.compiled == ERR_NOMEM;
    CHECK_ROW(o.compiled == OK || refused, h->name);
    /* A sanitizer makes everything slow, and has a malloc of its own. */
    bool plain = tap_malloc_can_fail();
    CHECK_ROW(!plain || o.compile_ns < DEADLINE_NS + OVER_NS, h->name);
    CHECK_ROW(!plain || o.eval_ns < DEADLINE_NS + OVER_NS, h->name);
    CHECK_ROW(o.bytes <= MEMORY, h->name);
    /* A regular expression or number that is too large is an error of the built-in. */
    if (o.compiled == OK && o.evaluated != OK &&
        !(h->may_end && strcmp(o.code, "eval_builtin_error") == 0))
        CHECK_STR_ROW(str_of(o.code), STR("eval_cancel_error"), h->name);
    CHECK_ROW(h->may_end || refused || o.evaluated != OK, h->name);
    printf("# %s: compiled %d in %d us, evaluated %d %s in %d us, %zu KiB\n", h->name,
           (int)o.compiled, (int)(o.compile_ns / 1000), (int)o.evaluated, o.code,
           (int)(o.eval_ns / 1000), o.bytes / 1024);
}

#define TRIPLES "[[a, b, c] | some a in r; some b in r; some c in r]"

static const struct hostile rows[] = {
    /* deep nesting */
    {"brackets", "x := ", "[", 500000, "", NULL, false},
    {"braces", "x if ", "{", 500000, "", NULL, false},
    {"parentheses", "x := ", "(", 500000, "", NULL, false},
    {"comprehensions in comprehensions", "x := ", "[1 | ", 100000, "true", NULL, false},
    {"not not not", "x if ", "not ", 100000, "true", NULL, false},
    {"a long sum", "x := 1", " + 1", 250000, "", NULL, false},
    {"a long path", "x := input", ".b", 400000, "", NULL, true},
    {"else else else", "x := 1 if input.a", " else := $ if input.b", 40000, "\n", "{}", true},
    {"template strings", "x := ", "$\"{", 50000, "", NULL, false},
    /* many of everything */
    {"rules", "x := 1\n", "r$ := $\n", 60000, "", NULL, true},
    {"a chain of rules", "x := r0\n", "r$ := r@\n", 30000, "", NULL, false},
    {"rules that nest", "r0 := [1]\n", "r@ := [r$, r$]\n", 25000, "x := r20000\n", NULL, false},
    {"rules of one name", "x := 1 if input.x == -1\n", "x := $ if input.x == $\n", 30000, "",
     "{\"x\": 29000}", true},
    {"each reads all", "x if data.p[_]\n", "r$ if data.p[_]\n", 20000, "", NULL, false},
    {"variables that wait for each other", "x if {\n", "v$ = v@\n", 50000, "}\n", NULL, false},
    {"unsafe variables", "x if {\n", "count(v$, w$)\n", 40000, "}\n", NULL, false},
    {"modifiers of all", "x := 1\nr0 := 1\n", "r@ := r$\nw@ if r5 with data.p.r$ as 1\n", 10000, "",
     NULL, true},
    {"imports", "x := 1\n", "import data.a$\n", 40000, "", NULL, true},
    /* exponential search */
    {"triples of a thousand", "r := numbers.range(1, 1000)\nx := count(", "", 0, TRIPLES ")\n",
     NULL, false},
    {"a search without an end", "r := numbers.range(1, 100)\nx if {\n", "some v$ in r\n", 20,
     "v0 == -1\n}\n", NULL, false},
    {"doubled strings", "s0 := \"aaaaaaaaaaaaaaaa\"\nx := count(s60)\n",
     "s@ := concat(\"\", [s$, s$])\n", 61, "", NULL, false},
    {"doubled arrays", "s0 := [1]\nx := count(s60)\n", "s@ := array.concat(s$, s$)\n", 61, "", NULL,
     false},
    {"doubled calls", "f0(a) := a\nx := f40(1)\n", "f@(a) := f$(a + 1) + f$(a + 2)\n", 40, "", NULL,
     true},
    {"all walks of a walk", "r := numbers.range(1, 3000)\nx := count(", "", 0,
     "[1 | walk(r, a); walk(r, b); walk(r, c); a == [b, c]])\n", NULL, false},
    {"unions", "r := {v | some v in numbers.range(1, 100000)}\nx := count(union({", "r | {$}, ",
     3000, "r}))\n", NULL, false},
    {"reachable everywhere",
     "g := {k: numbers.range(1, 1000) | some k in numbers.range(1, 1000)}\n"
     "x := count(graph.reachable_paths(g, {1}))\n",
     "", 0, "", NULL, false},
    /* recursion through data */
    {"recursion through data", "x if data.p[y]\ny contains k if data.p[k]\n", "", 0, "", NULL,
     false},
    {"recursion through a function's name", "f(a) := data.p[a]\nx := f(\"x\")\n", "", 0, "", NULL,
     false},
    /* regular expressions and globs */
    {"repeats of repeats", "x if regex.match(`((a{1,100}){1,100}){1,100}$`, ", "", 0,
     "concat(\"\", [\"a\" | numbers.range(1, 100000)[_]]))\n", NULL, true},
    {"a choice of everything",
     "x if regex.match(concat(\"|\", [sprintf(\"(a*)*b%d\", [i]) | some i "
     "in numbers.range(1, 2000)]), ",
     "", 0, "concat(\"\", [\"a\" | numbers.range(1, 50000)[_]]))\n", NULL, true},
    {"states without end", "x if regex.match(`(a|b)*a(a|b){200}c`, input)\n", "", 0, "", RANDOM,
     true},
    {"many states, many times",
     "x if every n in numbers.range(1, 199) { regex.match(sprintf(`(a|b)*a(a|b){%d}c`, [n]), "
     "input) "
     "== false }\n",
     "", 0, "", RANDOM, true},
    {"every expression compiled", "x if every i in numbers.range(1, 1000000) { regex.match(", "", 0,
     "sprintf(\"a{%d}b{%d}\", [i % 900, i % 700]), \"c\") == false }\n", NULL, false},
    {"stars", "x if glob.match(concat(\"\", [\"*a\" | numbers.range(1, 2000)[_]]), [], ", "", 0,
     "concat(\"\", [\"a\" | numbers.range(1, 60000)[_]]))\n", NULL, true},
    /* numbers */
    {"a huge range", "x := count(numbers.range(1, 1000000000000))\n", "", 0, "", NULL, false},
    {"a range of steps", "x := numbers.range_step(-1000000000, 1000000000, 1)\n", "", 0, "", NULL,
     false},
    {"a number of a billion digits", "x := to_number(\"1e1000000000\") + 1\n", "", 0, "", NULL,
     true},
    {"its negative exponent", "x := to_number(\"1e-1000000000\") * 3 == 0\n", "", 0, "", NULL,
     true},
    {"a number of a million digits", "x := ", "7", 1000000, " + 1\n", NULL, false},
    {"powers", "n0 := 9999999999999999999999\nx := n60 + 1\n", "n@ := n$ * n$\n", 61, "", NULL,
     true},
    {"shifts", "x := bits.lsh(1, 1000000000000)\n", "", 0, "", NULL, true},
    {"a modulus of what is long", "x := n20 % 7\nn0 := 123456789012345678901234567890\n",
     "n@ := bits.lsh(n$, 1000000)\n", 21, "", NULL, true},
    {"digits that are printed", "x := sprintf(\"%d\", [bits.lsh(1, 100000000)])\n", "", 0, "", NULL,
     true},
    {"a width of a billion", "x := sprintf(\"%1000000000d\", [1])\n", "", 0, "", NULL, true},
    {"a precision of a billion", "x := sprintf(\"%.1000000000f\", [1])\n", "", 0, "", NULL, true},
    /* long strings */
    {"ten megabytes",
     "s := concat(\"\", [t | some i in numbers.range(1, 10000); t := u])\n"
     "u := concat(\"\", [\"0123456789\" | numbers.range(1, 100)[_]])\nx := count(split(s, \"\"))\n",
     "", 0, "", NULL, false},
    {"replaced by more",
     "s := concat(\"\", [\"a\" | numbers.range(1, 100000)[_]])\n"
     "x := count(replace(s, \"\", s))\n",
     "", 0, "", NULL, false},
    {"found everywhere",
     "s := concat(\"\", [\"a\" | numbers.range(1, 200000)[_]])\n"
     "x := count([1 | some i in numbers.range(1, 200000); indexof_n(s, substring(s, i, -1)) == "
     "[]])\n",
     "", 0, "", NULL, false},
    {"decoded again and again", "s0 := \"a\"\nx := count(s40)\n",
     "s@ := base64.encode(json.marshal([s$, "
     "s$]))\n",
     41, "", NULL, false},
    /* found by looking for what is not charged for */
    {"objects in objects", "x := ", "{\"a\":", 200000, "", NULL, false},
    {"references in references", "x := input", "[input", 150000, "", NULL, false},
    {"calls in calls", "x := ", "count(", 150000, "", NULL, false},
    {"every in every", "x if ", "every v$ in [1] { ", 50000, "", NULL, false},
    {"a long object", "x := {\n", "\"k$\": $,\n", 60000, "}\n", NULL, true},
    {"modifiers without end", "x := 1 if true", " with input.a$ as $", 40000, "\n", NULL, true},
    {"modifiers of one name", "x := 1 if true", " with input.a as $", 40000, "\n", NULL, true},
    {"variables without end", "x if {\nsome v0", ", v@", 80000, "\nv0 = 1\n}\n", NULL, true},
    {"types that double", "x := r40\nr0 := input\n", "r@ := r$ if input.a\nr@ := [r$] if input.b\n",
     40, "", "{\"a\": 1}", true},
    {"types of objects that double", "x := r40\nr0 := input\n",
     "r@ := {\"a\": r$, \"b\": r$} if input.a\nr@ := {\"c\": r$} if input.b\n", 40, "",
     "{\"a\": 1}", true},
    {"types of many members", "x := r[input.a]\n", "r.k$ := {\"a$\": $, \"b\": [$]}\n", 20000, "",
     "{\"a\": 1}", true},
    {"comprehensions that see all", "x if {\nv0 := 1\n", "v@ := [w | w := v$]\n", 30000, "}\n",
     NULL, true},
    {"texts that are folded", "x := r5[0]\n", "r$ := sprintf(\"%1000000d\", [$])\n", 20000, "",
     NULL, true},
    {"ranges that are folded", "x := r5[0]\n", "r$ := numbers.range($, 1000000)\n", 20000, "", NULL,
     true},
    {"numbers that are folded", "x := r5\n", "r$ := bits.lsh($, 900000)\n", 20000, "", NULL, true},
    {"powers that are folded", "x := r5\n", "r$ := 1e99999 + $\n", 40000, "", NULL, true},
    {"patterns that are compiled", "x := r5\n", "r$ := regex.match(`(a|b$)*c{900}`, input)\n",
     20000, "", "\"a\"", true},
    {"globs that are compiled", "x := r5\n",
     "r$ := glob.match(\"{a,b}*{c,d}*{e,f}*$\", [], input)\n", 20000, "", "\"a\"", true},
    {"an index over all", "x := input.z\n",
     "f(a, b) := $ if { a == $; b == \"x$\"; input.k$ == $ }\n", 15000, "", "{\"z\": 1}", true},
    {"equal trees", "x := a60 == b60\na0 := input\nb0 := json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 60, "", "[\"q\"]", true},
    {"different trees", "x := a60 < b60\na0 := input\nb0 := json.unmarshal(\"[\\\"r\\\"]\")\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 60, "", "[\"q\"]", true},
    {"a tree as a key",
     "x := {a60: 1}[b60]\na0 := input\nb0 := json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 60, "", "[\"q\"]", true},
    {"a tree in a set",
     "x := count({a60, b60, a59, b59})\na0 := input\nb0 := json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 60, "", "[\"q\"]", true},
    {"a tree that is sorted",
     "x := sort([a60, b60, a60, b60])[0][0][0]\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 60, "", "[\"q\"]", true},
    {"a tree that is written", "x := json.marshal(a60)\na0 := input\n", "a@ := [a$, a$]\n", 60, "",
     "[\"q\"]", false},
    {"a tree that is printed", "x := sprintf(\"%v\", [a60])\na0 := input\n", "a@ := [a$, a$]\n", 60,
     "", "[\"q\"]", false},
    {"a tree as YAML", "x := yaml.marshal(a60)\na0 := input\n", "a@ := [a$, a$]\n", 60, "",
     "[\"q\"]", false},
    {"a tree that is walked", "x := count([1 | walk(a60)])\na0 := input\n", "a@ := [a$, a$]\n", 60,
     "", "[\"q\"]", false},
    {"a tree in a template", "x := $\"{a60}\"\na0 := input\n", "a@ := [a$, a$]\n", 60, "",
     "[\"q\"]", false},
    {"a tree united with itself",
     "x := count(object.union(a60, b60))\na0 := {\"a\": input}\nb0 := {\"b\": input}\n",
     "a@ := {\"a\": a$, \"b\": a$}\nb@ := {\"a\": b$, \"b\": b$}\n", 60, "", "[\"q\"]", false},
    {"a tree that is a subset",
     "x := object.subset(a60, b60)\na0 := {\"a\": input}\nb0 := {\"a\": "
     "json.unmarshal(json.marshal(input))}\n",
     "a@ := {\"a\": a$, \"b\": a$}\nb@ := {\"a\": b$, \"b\": b$}\n", 60, "", "[\"q\"]", true},
    {"a tree and its schema",
     "x := json.match_schema({\"a\": a60}, {\"definitions\": {\"n\": {\"items\": {\"$ref\": "
     "\"#/definitions/n\"}}}, \"properties\": {\"a\": {\"$ref\": \"#/definitions/n\"}}})\na0 := "
     "input\n",
     "a@ := [a$, a$]\n", 60, "", "[\"q\"]", true},
    {"a tree as the result", "x := a60\na0 := input\n", "a@ := [a$, a$]\n", 60, "", "[\"q\"]",
     true},
    {"patches at the beginning",
     "r := numbers.range(1, 100000)\nx := count(json.patch(r, [{\"op\": \"add\", \"path\": \"/0\", "
     "\"value\": i} | some i in r]))\n",
     "", 0, "", NULL, false},
    {"removed one by one",
     "r := numbers.range(1, 60000)\nx := count(json.remove({\"a\": r}, [[\"a\", i] | some i in "
     "r]))\n",
     "", 0, "", NULL, true},
    {"kept one by one",
     "r := numbers.range(1, 60000)\nx := count(json.filter({\"a\": r}, [[\"a\", i] | some i in "
     "r]))\n",
     "", 0, "", NULL, true},
    {"members left out",
     "r := numbers.range(1, 60000)\nx := count(object.remove({sprintf(\"%d\", [i]): 1 | some i in "
     "r}, r))\n",
     "", 0, "", NULL, true},
    {"all paths",
     "r := numbers.range(1, 40)\nx := count(graph.reachable_paths({i: r | some i in r}, [1]))\n",
     "", 0, "", NULL, false},
    {"many to replace",
     "r := numbers.range(1, 20000)\nx := count(strings.replace_n({sprintf(\"a%d\", [i]): \"b\" | "
     "some i in r}, concat(\"\", [\"aaaaaaaaaa\" | some i in r])))\n",
     "", 0, "", NULL, true},
    {"layouts",
     "s := concat(\"\", [\"2006\" | numbers.range(1, 100000)[_]])\nx := count(time.format([0, "
     "\"UTC\", s]))\n",
     "", 0, "", NULL, true},
    {"layouts that are read",
     "s := concat(\"\", [\"_2\" | numbers.range(1, 200000)[_]])\nx := time.parse_ns(s, s)\n", "", 0,
     "", NULL, true},
    {"a schema of choices",
     "x := json.match_schema({\"a\": 1}, s40)\ns0 := {\"type\": \"object\"}\n",
     "s@ := {\"anyOf\": [s$, s$], \"oneOf\": [s$, s$]}\n", 40, "", NULL, false},
    {"a schema of itself",
     "x := json.match_schema({\"a\": 1}, {\"allOf\": [{\"$ref\": \"#\"}, {\"$ref\": \"#\"}]})\n",
     "", 0, "", NULL, true},
    {"a schema of unique items",
     "r := [[i] | some i in numbers.range(1, 30000)]\nx := json.match_schema({\"a\": r}, "
     "{\"properties\": {\"a\": {\"uniqueItems\": true}}})\n",
     "", 0, "", NULL, true},
    {"a schema of patterns",
     "r := numbers.range(1, 3000)\nx := json.match_schema({sprintf(\"a%d\", [i]): 1 | some i in "
     "r}, {\"patternProperties\": {sprintf(\"^a*%d\", [i]): {} | some i in r}})\n",
     "", 0, "", NULL, true},
    {"aliases of aliases",
     "x := count(yaml.unmarshal(concat(\"\\n\", array.concat([\"a0: &a0 [x]\"], [sprintf(\"a%d: "
     "&a%d [*a%d, *a%d]\", [i, i, i - 1, i - 1]) | some i in numbers.range(1, 60)]))))\n",
     "", 0, "", NULL, true},
    {"YAML that nests",
     "x := yaml.unmarshal(concat(\"\", [\"[\" | numbers.range(1, 1000000)[_]]))\n", "", 0, "", NULL,
     true},
    {"YAML by its indentation",
     "x := yaml.unmarshal(concat(\"\", [\"- \" | numbers.range(1, 500000)[_]]))\n", "", 0, "", NULL,
     true},
    {"YAML of many keys",
     "x := count(yaml.unmarshal(concat(\"\\n\", [sprintf(\"k%d: 1\", [i]) | some i in "
     "numbers.range(1, 200000)])))\n",
     "", 0, "", NULL, true},
    {"JSON that nests",
     "x := json.unmarshal(concat(\"\", [\"[\" | numbers.range(1, 1000000)[_]]))\n", "", 0, "", NULL,
     true},
    {"indented by more",
     "s := concat(\"\", [\"aaaaaaaaaa\" | numbers.range(1, 50000)[_]])\nx := "
     "count(json.marshal_with_options([[i] | some i in numbers.range(1, 50000)], {\"indent\": "
     "s}))\n",
     "", 0, "", NULL, false},
    {"joined by more",
     "s := concat(\"\", [\"aaaaaaaaaa\" | numbers.range(1, 50000)[_]])\nx := count(concat(s, "
     "[\"a\" | numbers.range(1, 50000)[_]]))\n",
     "", 0, "", NULL, false},
    {"groups that all match",
     "s := concat(\"\", [\"a\" | numbers.range(1, 100000)[_]])\np := concat(\"\", [\"(a?)\" | "
     "numbers.range(1, 300)[_]])\nx := count(regex.find_all_string_submatch_n(p, s, -1))\n",
     "", 0, "", NULL, true},
    {"groups that never match",
     "s := concat(\"\", [\"a\" | numbers.range(1, 100000)[_]])\np := concat(\"\", [\"(a?)\" | "
     "numbers.range(1, 300)[_]])\nx := count(regex.find_n(concat(\"\", [p, \"b\"]), s, -1))\n",
     "", 0, "", NULL, true},
    {"replaced by itself",
     "s := concat(\"\", [\"a\" | numbers.range(1, 100000)[_]])\nx := count(regex.replace(s, \"\", "
     "s))\n",
     "", 0, "", NULL, false},
    {"both globs",
     "s := concat(\"\", [\"a*.*\" | numbers.range(1, 3000)[_]])\nx := "
     "regex.globs_match(concat(\"\", [s, \"b\"]), concat(\"\", [s, \"c\"]))\n",
     "", 0, "", NULL, true},
    {"choices of choices",
     "s := concat(\"\", [\"{a,b}\" | numbers.range(1, 500)[_]])\nx := glob.match(s, [], "
     "concat(\"\", [\"a\" | numbers.range(1, 100000)[_]]))\n",
     "", 0, "", NULL, true},
    {"stars and stars",
     "s := concat(\"\", [\"**a\" | numbers.range(1, 500)[_]])\nx := glob.match(concat(\"\", [s, "
     "\"b\"]), [], concat(\"\", [\"a\" | numbers.range(1, 100000)[_]]))\n",
     "", 0, "", NULL, true},
    {"all addresses", "x := count(net.cidr_expand(\"::/0\"))\n", "", 0, "", NULL, false},
    {"16 million addresses", "x := count(net.cidr_expand(\"10.0.0.0/8\"))\n", "", 0, "", NULL,
     false},
    {"networks times networks",
     "r := [sprintf(\"10.%d.%d.0/24\", [i, j]) | some i in numbers.range(0, 100); some j in "
     "numbers.range(0, 100)]\nx := count(net.cidr_contains_matches(r, r))\n",
     "", 0, "", NULL, false},
    {"networks that are merged",
     "r := [sprintf(\"10.%d.%d.0/24\", [i, j]) | some i in numbers.range(0, 255); some j in "
     "numbers.range(0, 255)]\nx := net.cidr_merge(r)\n",
     "", 0, "", NULL, true},
    {"an exponent of a million", "x := units.parse(\"1e999999\")\n", "", 0, "", NULL, true},
    {"a negative exponent of a million", "x := units.parse(\"1e-999999\")\n", "", 0, "", NULL,
     true},
    {"bytes with an exponent", "x := units.parse_bytes(\"1e999999\")\n", "", 0, "", NULL, true},
    {"rounded numbers", "x := count([ceil(1e29999 + i) | some i in numbers.range(1, 10000)])\n", "",
     0, "", NULL, true},
    {"divided numbers", "x := count([1e29999 / i | some i in numbers.range(1, 100000)])\n", "", 0,
     "", NULL, true},
    {"numbers far apart",
     "x := count(sort([n | some i in numbers.range(1, 3000); some n in [1e29999 + i, 1e-29999 * i, "
     "to_number(sprintf(\"%de-29999\", [i]))]]))\n",
     "", 0, "", NULL, true},
    {"printed numbers",
     "x := count([sprintf(\"%d\", [n]) | some i in numbers.range(1, 10000); n := bits.lsh(i, "
     "300000)])\n",
     "", 0, "", NULL, false},
    {"a product", "x := product(numbers.range(1, 100000))\n", "", 0, "", NULL, false},
    {"runs within runs",
     "r := [1 | numbers.range(1, 100000)[_]]\nx := object.subset(r, array.concat(array.slice(r, 0, "
     "50000), [2]))\n",
     "", 0, "", NULL, true},
    {"found late",
     "s := concat(\"\", [\"a\" | numbers.range(1, 1000000)[_]])\nx := indexof(s, concat(\"\", "
     "[substring(s, 0, 500000), \"b\"]))\n",
     "", 0, "", NULL, true},
    {"trimmed by much",
     "s := concat(\"\", [\"a\" | numbers.range(1, 300000)[_]])\nx := trim(s, concat(\"\", [[\"b\" "
     "| numbers.range(1, 300000)[_]][_], \"a\"]))\n",
     "", 0, "", NULL, true},
    {"trimmed by many letters",
     "s := concat(\"\", [\"ä\" | numbers.range(1, 300000)[_]])\nc := concat(\"\", "
     "array.concat([\"ö\" | numbers.range(1, 300000)[_]], [\"ä\"]))\nx := trim(s, c)\n",
     "", 0, "", NULL, true},
    {"prefixes of all",
     "r := [sprintf(\"aaaaaaaaaaaaaaaaaaaa%d\", [i]) | some i in numbers.range(1, 50000)]\nq := "
     "[sprintf(\"aaaaaaaaaaaaaaaaaaaab%d\", [i]) | some i in numbers.range(1, 50000)]\nx := "
     "strings.any_prefix_match(r, q)\n",
     "", 0, "", NULL, true},
    {"a template of loops",
     "x := strings.render_template(\"{{range .r}}{{range $.r}}{{range "
     "$.r}}{{end}}{{end}}{{end}}\", {\"r\": numbers.range(1, 10000)})\n",
     "", 0, "", NULL, false},
    {"a template of itself",
     "x := strings.render_template(\"{{define \\\"t\\\"}}{{template \\\"t\\\" .}}{{end}}{{template "
     "\\\"t\\\" .}}\", {})\n",
     "", 0, "", NULL, true},
    {"a template of widths",
     "x := strings.render_template(\"{{range .r}}{{printf \\\"%1000000d\\\" .}}{{end}}\", {\"r\": "
     "numbers.range(1, 10000)})\n",
     "", 0, "", NULL, true},
    {"queries of a URL",
     "x := count(urlquery.decode_object(concat(\"&\", [sprintf(\"a%d=1\", [i]) | some i in "
     "numbers.range(1, 200000)])))\n",
     "", 0, "", NULL, true},
    {"keys for a token",
     "x := io.jwt.verify_rs256(\"eyJhbGciOiJSUzI1NiJ9.e30.AAAA\", json.marshal({\"keys\": "
     "[{\"kty\": \"RSA\", \"e\": \"AQAB\", \"n\": n} | some i in numbers.range(1, 3000)]}))\nn := "
     "concat(\"\", [\"qqqq\" | numbers.range(1, 500)[_]])\n",
     "", 0, "", NULL, true},
    {"a key of a million bits",
     "x := io.jwt.verify_rs256(\"eyJhbGciOiJSUzI1NiJ9.e30.AAAA\", json.marshal({\"kty\": \"RSA\", "
     "\"e\": n, \"n\": n}))\nn := concat(\"\", [\"qqqq\" | numbers.range(1, 40000)[_]])\n",
     "", 0, "", NULL, true},
    {"fields of a format",
     "s := concat(\"\", [\"%[1]*d\" | numbers.range(1, 100000)[_]])\nx := count(sprintf(s, "
     "[1000000]))\n",
     "", 0, "", NULL, true},
    {"shared elements",
     "r := {[i] | some i in numbers.range(1, 20000)}\nx := count(intersection({or(r, {[i]}) | some "
     "i "
     "in numbers.range(20001, 20400)}))\n",
     "", 0, "", NULL, true},
    {"members of a list",
     "r := numbers.range(1, 20000)\nx if every i in r { not sprintf(\"%d\", [i]) in r }\n", "", 0,
     "", NULL, true},
    {"trees, compared again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { [a18, i] == [b18, i] }\na0 := input\nb0 := json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, ordered again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { [a18, i] <= [b18, i] }\na0 := input\nb0 := json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, collected again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { count({[a18, i], [b18, i]}) == 1 }\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, looked up again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { {[a18, i]: 1}[[b18, i]] == 1 }\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, called with again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { f([a18, i], 1) == f([b18, i], 1) }\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, searched again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { [b18, i] in [[a18, i]] }\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, sorted again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { sort([[b18, i], [a18, i], [b18, i]]) }\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, united again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { count({[a18, i]} | {[b18, i]}) == 1 }\na0 := input\nb0 := "
     "json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
    {"trees, patched again and again",
     "f(v, n) := count(v) + count(v) + count(v) + count(v) + n\nx if every i in numbers.range(1, "
     "1000000) { json.patch([a18, i], [{\"op\": \"test\", \"path\": \"/0\", \"value\": b18}]) "
     "}\na0 := input\nb0 := json.unmarshal(json.marshal(input))\n",
     "a@ := [a$, a$]\nb@ := [b$, b$]\n", 18, "", "[\"q\"]", false},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
    return tap_done();
}
