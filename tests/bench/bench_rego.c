/*
 * What the policy engine costs: policies of the kinds that services ask
 * (rego_work.h), each compiled, evaluated for the first time ("cold": compile, new
 * context, one evaluation), evaluated again and again on one thread and on all
 * processors, and what memory it takes; and a few that stress one thing each, with
 * an explanation being recorded and without.
 *
 *   bench_rego [-w DIRECTORY | -c NAME]
 *
 * Microseconds of the fastest batch; "threads" are microseconds for each evaluation
 * when every processor evaluates.  BENCH_MS sets the time for each
 * figure (200), BENCH_ONLY a part of the names of those that are wanted, BENCH_JSON
 * names a file that gets {"name": microseconds, ...}.  -w writes the policies and
 * documents there and measures nothing: tools/rego-bench feeds them to other engines.
 * -c compiles and evaluates one of them, each once behind a first time, in functions
 * whose instructions tools/rego-bench/instructions counts.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "rego/rego.h"
#include "rego_work.h"
#include "jose/jose.h"
#include "value/json.h"

#define BATCH 10
#define THREADS_MAX 64

static struct arena memory;
static struct rego_ctx *ctx;
static const struct rego_limits limits = {.steps = 100000000, .memory = 256 << 20, .depth = 128};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_rego: %s failed\n", what);
        exit(1);
    }
}
#define MUST(cond) must((cond), #cond)

static const char comprehension[] = "package policy\nimport rego.v1\n"
                                    "odd := {x | some x in input.numbers; x % 2 == 1}\n"
                                    "total := sum([y | some x in input.numbers; y := x * x])\n";
static const char join_text[] =
    "package policy\nimport rego.v1\n"
    "pairs := count([1 | some a in input.users; some b in input.users; a.boss == b.name])\n";
static const char text[] =
    "package policy\nimport rego.v1\n"
    "r := [upper(sprintf(\"%s-%d\", [w, i])) | some i, w in split(input.line, \" \")]\n";

struct workload {
    const char *name;
    struct str policy, path;
    enum rego_trace_level trace;
    struct str input, data; /* JSON */
    struct str want;        /* of the result, as JSON; empty: any */
    const struct rego_policy *compiled;
    value input_value, data_value;
    struct rego_indexes *indexes;
};

static struct rego_eval parameters(const struct workload *w)
{
    return (struct rego_eval){
        .policy = w->compiled,
        .input = w->input_value,
        .data = w->data_value,
        .indexes = w->indexes,
        .now_ns = 1767225600000000000,
        .trace = w->trace,
    };
}

static void evaluate_in(struct rego_ctx *c, const struct workload *w)
{
    rego_ctx_reset(c);
    struct rego_eval e = parameters(w);
    value result = VALUE_UNDEFINED;
    MUST(rego_eval_path(c, &e, w->path, &result) == OK);
    MUST(value_is_defined(result));
}

static void evaluate(struct workload *w)
{
    evaluate_in(ctx, w);
}

static void compile(struct workload *w)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    struct rego_policy *policy = NULL;
    MUST(rego_compile_text(STR("f.rego"), w->policy, &options, &policy, NULL) == OK);
    rego_policy_unref(policy);
}

static value parse(struct str json)
{
    value v = VALUE_UNDEFINED;
    if (json.len > 0)
        MUST(json_parse(&memory, json, NULL, &v, NULL) == OK);
    return v;
}

static void prepare(struct workload *w)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    struct rego_policy *policy = NULL;
    struct error err = ERROR_INIT;
    if (rego_compile_text(STR("f.rego"), w->policy, &options, &policy, &err) != OK)
        must(false, err.text);
    w->compiled = policy;
    w->input_value = parse(w->input);
    w->data_value = parse(w->data);
    w->indexes = rego_indexes_new(w->data_value, 0);
    MUST(w->indexes != NULL);
    if (w->want.len == 0)
        return;
    /* A benchmark of a wrong answer is none. */
    rego_ctx_reset(ctx);
    struct rego_eval e = {.policy = policy, .input = w->input_value, .data = w->data_value};
    value result = VALUE_UNDEFINED;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    MUST(rego_eval_path(ctx, &e, w->path, &result) == OK);
    MUST(json_write(&out, result, JSON_COMPACT) == OK);
    must(str_equal(buf_str(&out), w->want), w->name);
}

static struct str numbers(int n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < n; i++)
        buf_add_format(&b, "%s%d", i == 0 ? "{\"numbers\":[" : ",", i);
    buf_add_cstr(&b, "]}");
    return buf_str(&b);
}

static struct str users(int n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < n; i++)
        buf_add_format(&b, "%s{\"name\":\"u%d\",\"boss\":\"u%d\"}", i == 0 ? "{\"users\":[" : ",",
                       i, i / 2);
    buf_add_cstr(&b, "]}");
    return buf_str(&b);
}

/* The fastest of many batches: other people's work on the machine only ever adds. */
static double fastest(void (*fn)(struct workload *), struct workload *w, int64_t budget_ns)
{
    int64_t start = clock_monotonic_ns(), best = INT64_MAX, now;
    int batch = BATCH;
    do {
        int64_t before = clock_monotonic_ns();
        for (int i = 0; i < batch; i++)
            fn(w);
        now = clock_monotonic_ns();
        int64_t one = (now - before) / batch;
        if (one < best)
            best = one > 0 ? one : 1;
        if (best * batch < 20000) /* the clock's own step must not count */
            batch *= 2;
        else if (best * batch > budget_ns / 4)
            batch = 1;
    } while (now - start < budget_ns);
    return (double)best / 1e3;
}

static void cold(struct workload *w)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    struct rego_policy *policy = NULL;
    MUST(rego_compile_text(STR("f.rego"), w->policy, &options, &policy, NULL) == OK);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *fresh = rego_ctx_new(&limits);
    MUST(fresh != NULL);
    struct rego_eval e = parameters(w);
    e.policy = policy;
    e.indexes = NULL;
    value result = VALUE_UNDEFINED;
    MUST(rego_eval_path(fresh, &e, w->path, &result) == OK);
    rego_policy_unref(policy);
}

/* ---- threads ---- */

struct runner {
    struct workload *w;
    pthread_barrier_t *start;
    int64_t budget_ns;
    int64_t took_ns; /* of a processor */
    int64_t count;
};

/*
 * Threads run at the same time, and each counts what it had of its processor: waiting
 * for one another, for locks or for cache lines, shows; other people's work does not.
 */
static int64_t processor_ns(void)
{
    struct timespec t;
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void *keep_evaluating(void *arg)
{
    struct runner *r = arg;
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *own = rego_ctx_new(&limits);
    MUST(own != NULL);
    pthread_barrier_wait(r->start);
    int64_t end = clock_monotonic_ns() + r->budget_ns;
    int64_t before = processor_ns();
    do {
        for (int i = 0; i < BATCH; i++)
            evaluate_in(own, r->w);
        r->count += BATCH;
    } while (clock_monotonic_ns() < end);
    r->took_ns = processor_ns() - before;
    return NULL;
}

/* Microseconds for an evaluation when `n` threads evaluate on as many processors. */
static double together(struct workload *w, int n, int64_t budget_ns)
{
    pthread_t threads[THREADS_MAX];
    struct runner runners[THREADS_MAX];
    pthread_barrier_t start;
    MUST(pthread_barrier_init(&start, NULL, (unsigned)n) == 0);
    for (int i = 0; i < n; i++) {
        runners[i] = (struct runner){w, &start, budget_ns, 0, 0};
        MUST(pthread_create(&threads[i], NULL, keep_evaluating, &runners[i]) == 0);
    }
    double a_second = 0;
    for (int i = 0; i < n; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
        a_second += (double)runners[i].count * 1e9 / (double)runners[i].took_ns;
    }
    pthread_barrier_destroy(&start);
    return 1e6 / a_second;
}

/* ---- output ---- */

static void figure(struct buf *json, const char *name, const char *what, double us)
{
    buf_add_format(json, "%s\"%s%s\":%.3f", json->len == 0 ? "{" : ",\n", name, what, us);
}

static size_t compiled_bytes(struct workload *w)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    struct rego_policy *policy = NULL;
    size_t before = mallinfo2().uordblks;
    MUST(rego_compile_text(STR("f.rego"), w->policy, &options, &policy, NULL) == OK);
    size_t bytes = mallinfo2().uordblks - before;
    rego_policy_unref(policy);
    return bytes;
}

static void measure(struct workload *w, int64_t budget, int threads, struct buf *json)
{
    size_t policy_bytes = compiled_bytes(w);
    prepare(w);
    evaluate(w);
    size_t bytes = rego_ctx_bytes(ctx);
    double compile_us = fastest(compile, w, budget);
    double cold_us = fastest(cold, w, budget);
    double us = fastest(evaluate, w, budget);
    double one = together(w, 1, budget);
    double all = together(w, threads, budget);
    printf("%-26s %9.1f %9.1f %9.2f %9.2f  x%.2f %8zu %8zu\n", w->name, compile_us, cold_us, us,
           all, one / all, policy_bytes / 1024, bytes / 1024);
    fflush(stdout);
    figure(json, w->name, ", compile", compile_us);
    figure(json, w->name, ", cold", cold_us);
    figure(json, w->name, "", us);
    figure(json, w->name, ", all processors", all);
    figure(json, w->name, ", policy KiB", (double)policy_bytes / 1024);
    figure(json, w->name, ", evaluation KiB", (double)bytes / 1024);
}

static void write_part(const char *dir, const char *file, struct str text_of)
{
    struct str path = arena_format(&memory, "%s/%s", dir, file);
    MUST(file_write(path.ptr, text_of, 0644, NULL) == OK);
}

static void write_work(const char *dir, const struct rego_work *work, size_t n)
{
    (void)mkdir(dir, 0755);
    for (size_t i = 0; i < n; i++) {
        const char *sub = arena_format(&memory, "%s/%02zu", dir, i).ptr;
        (void)mkdir(sub, 0755);
        write_part(sub, "name", str_of(work[i].name));
        write_part(sub, "policy.rego", work[i].policy);
        write_part(sub, "path", work[i].path);
        write_part(sub, "input.json", work[i].input);
        write_part(sub, "data.json", work[i].data.len > 0 ? work[i].data : STR("{}"));
        write_part(sub, "want.json", work[i].want);
    }
}

/* The bare check of the JWT's signature, for comparison. */
static struct jws token;
static const struct pubkey *token_key;

static void check_signature(struct workload *w)
{
    (void)w;
    MUST(jws_verify(&token, token_key, STR_EMPTY, NULL) == OK);
}

static void read_token(value input)
{
    value text_of = value_get_lit(input, "token");
    MUST(jws_parse(&memory, value_str(text_of), &token, NULL) == OK);
}

/* Called by these names: neither inlined nor cloned. */
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

static NOINLINE void counted_evaluate(struct workload *w)
{
    evaluate(w);
}

static NOINLINE void counted_compile(struct workload *w)
{
    compile(w);
}

static void count(const struct rego_work *work, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(work[i].name, name) != 0)
            continue;
        struct workload row = {.name = name,
                               .policy = work[i].policy,
                               .path = work[i].path,
                               .input = work[i].input,
                               .data = work[i].data,
                               .want = work[i].want};
        prepare(&row);
        evaluate(&row);
        counted_evaluate(&row);
        counted_compile(&row);
        return;
    }
    must(false, name);
}

static bool wanted(const char *name)
{
    const char *only = getenv("BENCH_ONLY");
    return only == NULL || strstr(name, only) != NULL;
}

int main(int argc, char **argv)
{
    const char *ms = getenv("BENCH_MS");
    int64_t budget = (ms != NULL ? strtol(ms, NULL, 10) : 200) * (NS_PER_S / 1000);
    hash_set_key(1, 2);
    arena_init(&memory, (size_t)1 << 30);
    const char *source = getenv("CLAVIGER_SOURCE");
    struct str dir = arena_format(&memory, "%s/tests/bench/rego", source != NULL ? source : ".");
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    MUST(privkey_generate(KEY_EC_P256, 0, &key, NULL) == OK);
    size_t n = 0;
    const struct rego_work *work = rego_work_make(&memory, dir.ptr, key, &n);
    if (argc == 3 && strcmp(argv[1], "-w") == 0) {
        write_work(argv[2], work, n);
        return 0;
    }
    ctx = rego_ctx_new(&limits);
    MUST(ctx != NULL);
    if (argc == 3 && strcmp(argv[1], "-c") == 0) {
        count(work, n, argv[2]);
        return 0;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX : (int)processors;

    CLEANUP(buf_done) struct buf json;
    buf_init(&json, 64 * 1024);
    printf("%-26s %9s %9s %9s %9s %6s %8s %8s\n", "us", "compile", "cold", "prepared", "threads",
           "", "policy K", "eval K");
    for (size_t i = 0; i < n; i++) {
        if (!wanted(work[i].name))
            continue;
        struct workload row = {
            .name = work[i].name,
            .policy = work[i].policy,
            .path = work[i].path,
            .input = work[i].input,
            .data = work[i].data,
            .want = work[i].want,
        };
        measure(&row, budget, threads, &json);
        if (str_equal(row.path, STR("data.token.allow"))) {
            token_key = privkey_public(key);
            read_token(row.input_value);
            double us = fastest(check_signature, NULL, budget);
            printf("%-26s %9s %9s %9.2f\n", "  its signature alone", "", "", us);
            figure(&json, row.name, ", its signature alone", us);
        }
    }

    struct workload rows[] = {
        {.name = "attestation, denied, explained",
         .policy = work[1].policy,
         .input = work[1].input,
         .data = work[1].data,
         .path = work[1].path,
         .trace = REGO_TRACE_RULES},
        {.name = "comprehensions over 1,000 numbers",
         .policy = str_of(comprehension),
         .input = numbers(1000),
         .path = STR("data.policy.total"),
         .want = STR("332833500")},
        {.name = "a set of 500 of 1,000",
         .policy = str_of(comprehension),
         .input = numbers(1000),
         .path = STR("data.policy.odd")},
        {.name = "join of 100 by 100",
         .policy = str_of(join_text),
         .input = users(100),
         .path = STR("data.policy.pairs"),
         .want = STR("100")},
        {.name = "split, sprintf, upper of 8 words",
         .policy = str_of(text),
         .input = STR("{\"line\":\"the quick brown fox jumps over lazy dogs\"}"),
         .path = STR("data.policy.r")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!wanted(rows[i].name))
            continue;
        prepare(&rows[i]);
        double us = fastest(evaluate, &rows[i], budget);
        printf("%-36s %19.2f\n", rows[i].name, us);
        figure(&json, rows[i].name, "", us);
    }
    buf_add_cstr(&json, "}\n");
    const char *file = getenv("BENCH_JSON");
    if (file != NULL)
        MUST(file_write(file, buf_str(&json), 0644, NULL) == OK);
    return 0;
}
