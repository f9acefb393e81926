/*
 * rego bench - how long a prepared query takes, on one thread or several.
 */
#include "regotool/regotool_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

#define BENCH_NS (1 * NS_PER_S)
#define THREADS_MAX 64

struct bench {
    const struct rego_eval *params;
    struct str query;
    struct rego_limits limits;
    int64_t end_ns;
    uint64_t count; /* exactly so many; 0: until end_ns */
};

struct worker {
    const struct bench *b;
    pthread_t thread;
    uint64_t done;
    int64_t fastest_ns;
    size_t bytes;
    bool failed;
};

static bool once(struct rego_ctx *ctx, const struct bench *b)
{
    value set = VALUE_UNDEFINED;
    rego_ctx_reset(ctx);
    return rego_eval_query(ctx, b->params, b->query, &set) == OK;
}

static void *work(void *user)
{
    struct worker *w = user;
    const struct bench *b = w->b;
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&b->limits);
    if (ctx == NULL || !once(ctx, b)) {
        w->failed = true;
        return NULL;
    }
    w->fastest_ns = INT64_MAX;
    for (int64_t now = clock_monotonic_ns(); b->count > 0 ? w->done < b->count : now < b->end_ns;) {
        w->failed |= !once(ctx, b);
        int64_t then = now;
        now = clock_monotonic_ns();
        if (now - then < w->fastest_ns)
            w->fastest_ns = now - then;
        w->done++;
    }
    w->bytes = rego_ctx_bytes(ctx);
    return NULL;
}

/* Go's: four digits, however small the number. */
static void put_quantity(FILE *out, double v, const char *unit)
{
    double x = v < 0 ? -v : v;
    int decimals = x == 0 || x >= 999.95 ? 0 : x >= 99.995 ? 1 : x >= 9.9995 ? 2 : 3;
    fprintf(out, "%*.*f %s", decimals == 0 ? 10 : 11 + decimals, decimals, v, unit);
}

void tool_write_gobench(FILE *out, struct str name, const struct tool_measured *m, bool benchmem)
{
    fprintf(out, "%.*s\t%8llu\t", STR_ARG(name), (unsigned long long)m->count);
    put_quantity(out, m->total_ns / (double)m->count, "ns/op");
    if (m->extra_ns > 0) {
        fputc('\t', out);
        put_quantity(out, m->extra_ns / (double)m->count, "timer_rego_query_eval_ns/op");
    }
    /* What an evaluation takes is from its arena: no allocations that could be counted. */
    if (benchmem)
        fprintf(out, "\t%8zu B/op\t%8d allocs/op", m->bytes, 0);
    fputc('\n', out);
}

/* OPA's table, and below it what OPA does not measure. */
static void show_table(const struct tool_measured *m, size_t threads, int64_t fastest_ns,
                       bool benchmem)
{
    struct tool_pair rows[6] = {{.name = "samples"}, {.name = "ns/op"}};
    size_t n = 2;
    snprintf(rows[0].value, sizeof(rows[0].value), "%llu", (unsigned long long)m->count);
    snprintf(rows[1].value, sizeof(rows[1].value), "%.0f", m->total_ns / (double)m->count);
    if (benchmem) {
        rows[n].name = "B/op";
        snprintf(rows[n++].value, sizeof(rows[0].value), "%zu", m->bytes);
        rows[n++] = (struct tool_pair){"allocs/op", "0"};
    }
    rows[n].name = "fastest ns";
    snprintf(rows[n++].value, sizeof(rows[0].value), "%lld", (long long)fastest_ns);
    rows[n].name = "threads";
    snprintf(rows[n++].value, sizeof(rows[0].value), "%zu", threads);
    tool_write_pairs(stdout, NULL, rows, n, true);
}

static int measure(const struct tool_options *o, struct bench *b)
{
    size_t n = o->threads == 0 ? 1 : o->threads > THREADS_MAX ? THREADS_MAX : (size_t)o->threads;
    struct worker workers[THREADS_MAX] = {0};
    int64_t start = clock_monotonic_ns();
    b->end_ns = start + BENCH_NS;
    b->count = o->evaluations;
    for (size_t i = 0; i < n; i++) {
        workers[i].b = b;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            fputs("rego bench: could not start a thread\n", stderr);
            return EXIT_FAILED;
        }
    }
    work(&workers[0]);
    uint64_t done = 0;
    int64_t fastest = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            pthread_join(workers[i].thread, NULL);
        if (workers[i].failed) {
            fputs("rego bench: the query fails\n", stderr);
            return EXIT_FAILED;
        }
        done += workers[i].done;
        fastest = workers[i].fastest_ns < fastest ? workers[i].fastest_ns : fastest;
    }
    double ns = (double)(clock_monotonic_ns() - start);
    struct tool_measured m = {.count = done, .total_ns = ns * (double)n, .bytes = workers[0].bytes};
    if (o->format == FORMAT_GOBENCH)
        tool_write_gobench(stdout, STR("BenchmarkOPAEval"), &m, o->benchmem);
    else if (o->format == FORMAT_JSON)
        /* Go's benchmark result, as OPA has it; what it has no member for is in "Extra". */
        printf(
            "{\"N\": %llu, \"T\": %.0f, \"Bytes\": 0, \"MemAllocs\": 0, \"MemBytes\": %llu, "
            "\"Extra\": {\"threads\": %zu, \"ns_per_evaluation\": %.1f, \"fastest_ns\": %lld}}\n",
            (unsigned long long)done, ns, (unsigned long long)done * workers[0].bytes, n,
            ns * (double)n / (double)done, (long long)fastest);
    else
        show_table(&m, n, fastest, o->benchmem);
    return EXIT_DONE;
}

int tool_bench(struct tool_options *o)
{
    CLEANUP(tool_files_done) struct tool_files f;
    tool_files_init(&f);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    CLEANUP(buf_done) struct buf query;
    buf_init(&query, TOOL_SOURCE_MAX);
    struct rego_eval params;
    int status = tool_prepare(o, &f, &policy, &params, &query);
    if (status != EXIT_DONE)
        return status;
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *indexes = rego_indexes_new(params.data, 0);
    params.indexes = indexes;
    struct bench b = {.params = &params, .query = buf_str(&query), .limits = tool_limits(o)};
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&b.limits);
    value set = VALUE_UNDEFINED;
    if (ctx == NULL || rego_eval_query(ctx, &params, b.query, &set) != OK) {
        struct tool_errors errors = {.len = 0};
        if (ctx != NULL)
            tool_error_rego(&errors, &f.arena, rego_ctx_error(ctx));
        tool_write_errors_text(stderr, &errors);
        return EXIT_USAGE; /* OPA's */
    }
    if (o->fail && value_len(set) == 0) {
        fputs("1 error occurred: undefined result\n", stderr);
        return EXIT_USAGE;
    }
    for (uint64_t i = 0; i < (o->count == 0 ? 1 : o->count); i++) {
        status = measure(o, &b);
        if (status != EXIT_DONE)
            return status;
    }
    return EXIT_DONE;
}
