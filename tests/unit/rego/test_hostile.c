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
#define STACK (256 * 1024)
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
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
    return tap_done();
}
