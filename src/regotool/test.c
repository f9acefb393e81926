/*
 * rego test - rules named test_*, each of which must hold.
 *
 * A rule test_p[note] tells of several cases, by its members; cases that were met
 * and are no members have failed.
 * todo_test_* is shown as skipped.
 */
#include "regotool/regotool_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "rego/rego.h"
#include "value/json.h"

#define TESTS_MAX 100000
#define TEST_TIMEOUT_NS (5 * NS_PER_S)
#define BENCH_TIMEOUT_NS (30 * NS_PER_S)

struct test {
    struct str path, file;
    uint32_t row;
    unsigned again; /* so many rules of this name stand before */
    bool todo;
    bool cases; /* the name is followed by keys: test_p[note] */
};

struct run {
    const struct tool_options *o;
    struct arena *arena;
    struct rego_policy *policy;
    struct rego_ctx *ctx;
    value data;
    struct rego_indexes *indexes; /* of --bench */
    struct test *tests;
    size_t len, cap;
    size_t passed, failed, skipped, errors;
    bool dirty;
    struct str last_file;
    struct buf json;
    value *cases; /* of the present test, as it goes: each an array of names */
    size_t case_count, case_cap;
    struct buf printed; /* by the present test */
    bool no_memory;
};

/* ---- which tests there are ---- */

static struct str last_part(struct str path)
{
    size_t dot = path.len;
    while (dot > 0 && path.ptr[dot - 1] != '.')
        dot--;
    return str_from(path, dot);
}

static struct str package_of(struct str path)
{
    size_t n = path.len - last_part(path).len;
    return str_slice(path, 0, n > 0 ? n - 1 : 0);
}

/* --run is a regular expression: the engine has one.  A bad one ends the program. */
static bool is_wanted(struct run *r, struct str path, bool *bad)
{
    if (r->o->run == NULL)
        return true;
    struct value_pair pairs[2] = {
        {value_cstring(r->arena, "p"), value_cstring(r->arena, r->o->run)},
        {value_cstring(r->arena, "s"), value_string(r->arena, path)},
    };
    struct rego_eval params = {
        .policy = r->policy,
        .input = value_object(r->arena, pairs, 2),
        .data = VALUE_UNDEFINED,
        .strict_errors = true,
    };
    value set = VALUE_UNDEFINED;
    struct rego_limits limits = tool_limits(r->o);
    limits.deadline_ns = 0; /* --timeout is for tests, and the last one's may have passed */
    rego_ctx_set_limits(r->ctx, &limits);
    rego_ctx_reset(r->ctx);
    if (rego_eval_query(r->ctx, &params, STR("regex.match(input.p, input.s) == true"), &set) !=
        OK) {
        struct str why = rego_ctx_error(r->ctx)->message;
        if (str_has_prefix(why, STR("regex.match: ")))
            why = str_from(why, 13);
        fprintf(stderr, "%.*s\n", STR_ARG(why));
        *bad = true;
        return false;
    }
    return value_len(set) > 0 &&
           value_is_true(
               value_get_lit(value_at(value_get_lit(value_at(set, 0), "expressions"), 0), "value"));
}

static bool is_test_name(struct str name)
{
    return str_has_prefix(name, STR("todo_test_")) || str_has_prefix(name, STR("test_"));
}

/* data.a.test_x of data.a.test_x.more[name]: up to the first name of a test, in the package too. */
static struct str test_part(struct str path)
{
    bool found = false;
    for (size_t i = 0; i < path.len; i++) {
        if (found && (path.ptr[i] == '.' || path.ptr[i] == '['))
            return str_slice(path, 0, i);
        if (path.ptr[i] == '[' && i + 1 < path.len && path.ptr[i + 1] != '"')
            return str_slice(path, 0, i);
        found |= path.ptr[i] == '.' && is_test_name(str_from(path, i + 1));
    }
    return path;
}

/* Of test_p.a[note], with the part test_p: a key follows that is not constant. */
static bool has_variable_key(struct str path)
{
    for (size_t i = 0; i + 1 < path.len; i++)
        if (path.ptr[i] == '[' && path.ptr[i + 1] != '"')
            return true;
    return false;
}

static void collect(void *user, const struct rego_rule_info *rule)
{
    struct run *r = user;
    struct str path = test_part(rule->path);
    struct str name = last_part(path);
    if (rule->is_function || rule->is_default || !is_test_name(name))
        return;
    unsigned again = 0;
    for (size_t i = 0; i < r->len; i++)
        again += str_equal(r->tests[i].path, path);
    if (r->len == r->cap) {
        size_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct test *more = realloc(r->tests, cap * sizeof(*more));
        if (more == NULL) {
            r->no_memory = true;
            return;
        }
        r->tests = more;
        r->cap = cap;
    }
    bool todo = str_has_prefix(name, STR("todo_test_"));
    bool cases = has_variable_key(rule->path);
    r->tests[r->len++] = (struct test){path, rule->file, rule->row, again, todo, cases};
}

/* ---- one test ---- */

enum outcome { PASS, FAIL, SKIPPED, ERROR };

struct verdict {
    enum outcome outcome;
    value result; /* an object: cases */
    int64_t ns;
};

static void add_print(void *user, struct str line)
{
    struct run *r = user;
    buf_add(&r->printed, line);
    buf_add_byte(&r->printed, '\n');
}

/* internal.test_case([name]): which cases there are. */
static void add_case(void *user, value names)
{
    struct run *r = user;
    if (r->case_count == r->case_cap) {
        size_t cap = r->case_cap == 0 ? 64 : r->case_cap * 2;
        value *more = realloc(r->cases, cap * sizeof(*more));
        if (more == NULL) {
            r->no_memory = true;
            return;
        }
        r->cases = more;
        r->case_cap = cap;
    }
    r->cases[r->case_count++] = names;
}

/* `v` with a false at the end of the names, unless something is there. */
static value with_case(struct arena *a, value v, value names, size_t at)
{
    if (at == value_len(names))
        return value_kind(v) == VALUE_KIND_UNDEFINED ? VALUE_FALSE : v;
    if (value_kind(v) != VALUE_KIND_UNDEFINED && !value_is_object(v))
        return v;
    value key = value_at(names, at);
    value have = value_is_object(v) ? value_get(v, key) : VALUE_UNDEFINED;
    value next = with_case(a, have, names, at + 1);
    if (next.word == have.word)
        return v;
    struct value_builder b;
    value_builder_init(&b, a, value_len(v) + 1);
    for (size_t i = 0; value_is_object(v) && i < value_len(v); i++)
        if (!value_equal(value_pairs(v)[i].key, key))
            value_builder_put(&b, value_pairs(v)[i].key, value_pairs(v)[i].val);
    value_builder_put(&b, key, next);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* A case that was met and is not in the result has failed. */
static void add_failed_cases(struct run *r, struct verdict *v)
{
    for (size_t i = 0; i < r->case_count; i++)
        v->result = with_case(r->arena, v->result, r->cases[i], 0);
}

/* Leaves of an object are cases of their own; all must be true. */
static bool count_cases(value v, size_t *passed, size_t *failed)
{
    if (!value_is_object(v)) {
        bool ok = value_is_true(v);
        *(ok ? passed : failed) += 1;
        return ok;
    }
    bool all = true;
    for (size_t i = 0; i < value_len(v); i++)
        all &= count_cases(value_pairs(v)[i].val, passed, failed);
    return all;
}

static struct verdict run_test(struct run *r, const struct test *t)
{
    struct verdict v = {.outcome = SKIPPED, .result = VALUE_UNDEFINED};
    if (t->todo) {
        r->skipped++;
        return v;
    }
    struct rego_limits limits = tool_limits(r->o);
    int64_t start = clock_monotonic_ns();
    limits.deadline_ns = start + (r->o->timeout_ns > 0 ? r->o->timeout_ns : TEST_TIMEOUT_NS);
    rego_ctx_set_limits(r->ctx, &limits);
    rego_ctx_reset(r->ctx);
    struct rego_eval params = {
        .policy = r->policy,
        .input = VALUE_UNDEFINED,
        .data = r->data,
        .trace = r->o->verbose ? REGO_TRACE_RULES : REGO_TRACE_OFF,
        .print = add_print,
        .test_case = add_case,
        .user = r,
    };
    r->case_count = 0;
    buf_reset(&r->printed);
    enum status st = rego_eval_path(r->ctx, &params, t->path, &v.result);
    v.ns = clock_monotonic_ns() - start;
    if (st != OK && st != ERR_NOT_FOUND) {
        v.outcome = ERROR;
        r->errors++;
        return v;
    }
    if (t->cases)
        add_failed_cases(r, &v);
    bool cases = t->cases && value_is_object(v.result) && value_len(v.result) > 0;
    size_t passed = 0, failed = 0;
    bool ok = t->cases ? count_cases(v.result, &passed, &failed) : value_is_true(v.result);
    v.outcome = ok ? PASS : FAIL;
    r->passed += cases ? passed : (size_t)ok;
    r->failed += cases ? failed : (size_t)!ok;
    return v;
}

/* ---- measuring ---- */

#define BENCH_NS (1 * NS_PER_S)

/* --bench: a test that passed, again and again for a second. */
static bool measure(struct run *r, const struct test *t, struct tool_measured *m)
{
    struct rego_eval params = {
        .policy = r->policy, .input = VALUE_UNDEFINED, .data = r->data, .indexes = r->indexes};
    struct rego_limits limits = tool_limits(r->o);
    *m = (struct tool_measured){0};
    int64_t start = clock_monotonic_ns();
    limits.deadline_ns = start + (r->o->timeout_ns > 0 ? r->o->timeout_ns : BENCH_TIMEOUT_NS);
    rego_ctx_set_limits(r->ctx, &limits);
    while (m->total_ns < (double)BENCH_NS) {
        value v = VALUE_UNDEFINED;
        rego_ctx_reset(r->ctx);
        int64_t before = clock_monotonic_ns();
        if (rego_eval_path(r->ctx, &params, t->path, &v) != OK)
            return false;
        int64_t now = clock_monotonic_ns();
        m->extra_ns += (double)(now - before);
        m->total_ns = (double)(now - start);
        m->count++;
    }
    m->bytes = rego_ctx_bytes(r->ctx);
    return true;
}

/* "data.a_test.test_x" as Go's "BenchmarkDataATestTestX". */
static struct str gobench_name(struct arena *a, struct str path)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 65536);
    buf_add_cstr(&b, "Benchmark");
    bool upper = true;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool part = c == '.' || c == '_';
        if (!part)
            buf_add_byte(&b, (uint8_t)(upper && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
        upper = part;
    }
    return buf_status(&b) == OK ? arena_str(a, buf_str(&b)) : path;
}

/* ---- telling ---- */

static void duration(int64_t ns, char out[32])
{
    if (ns >= NS_PER_S)
        snprintf(out, 32, "%.9gs", (double)ns / 1e9);
    else if (ns >= 1000000)
        snprintf(out, 32, "%.9gms", (double)ns / 1e6);
    else if (ns >= 1000)
        snprintf(out, 32, "%.9gµs", (double)ns / 1e3);
    else
        snprintf(out, 32, "%dns", (int)ns);
}

static const char *const names[] = {
    [PASS] = "PASS", [FAIL] = "FAIL", [SKIPPED] = "SKIPPED", [ERROR] = "ERROR"};

/* A name that is no string, by its JSON text. */
static struct str case_name(struct arena *a, value key)
{
    if (value_is_string(key))
        return value_str(key);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    status_ignore(json_write(&b, key, JSON_COMPACT));
    return arena_str(a, buf_str(&b));
}

static void show_cases(struct arena *a, value v, unsigned depth, bool verbose)
{
    for (size_t i = 0; value_is_object(v) && i < value_len(v); i++) {
        struct value_pair p = value_pairs(v)[i];
        size_t passed = 0, failed = 0;
        bool ok = count_cases(p.val, &passed, &failed);
        if (ok && !verbose)
            continue;
        printf("%*s%.*s: %s\n", (int)(2 * depth), "", STR_ARG(case_name(a, p.key)),
               names[ok ? PASS : FAIL]);
        show_cases(a, p.val, depth + 1, verbose);
    }
}

/* What the test printed, each line indented, as OPA shows it. */
static void show_printed(struct str text)
{
    text = str_trim(text);
    if (text.len == 0)
        return;
    putchar('\n');
    for (size_t at = 0; at <= text.len;) {
        size_t end = str_find(text, '\n', at);
        printf("  %.*s\n", STR_ARG(str_slice(text, at, end - at)));
        at = end + 1;
    }
    putchar('\n');
}

static void show_misses(const struct rego_ctx *ctx)
{
    struct rego_trace trace = rego_ctx_trace(ctx);
    for (size_t i = 0; i < trace.len; i++)
        printf("    %.*s:%u: %.*s\n", STR_ARG(trace.items[i].file), (unsigned)trace.items[i].row,
               STR_ARG(trace.items[i].expression));
}

static void show(struct run *r, const struct test *t, const struct verdict *v)
{
    if (v->outcome == PASS && !r->o->verbose)
        return;
    if (r->last_file.len > 0 && !str_equal(r->last_file, t->file))
        putchar('\n');
    r->last_file = t->file;
    r->dirty = true;
    char time[32];
    duration(v->ns, time);
    printf("%.*s:%u:\n%.*s", STR_ARG(t->file), (unsigned)t->row, STR_ARG(t->path));
    if (t->again > 0)
        printf("#%02u", t->again);
    printf(": %s", names[v->outcome]);
    if (v->outcome == SKIPPED)
        putchar('\n');
    else
        printf(" (%s)\n", time);
    if (t->cases)
        show_cases(r->arena, v->result, 1, r->o->verbose);
    show_printed(buf_str(&r->printed));
    if (v->outcome == ERROR) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 65536);
        rego_error_write(&b, rego_ctx_error(r->ctx));
        printf("  %.*s\n", STR_ARG(buf_str(&b)));
    }
    if (v->outcome == FAIL && r->o->verbose)
        show_misses(r->ctx);
}

/* {"one": {"name": "one"}, "two": {"name": "two", "fail": true}} */
static void json_cases(struct json_writer *w, struct arena *a, value v)
{
    json_key(w, "sub_results");
    json_object_begin(w);
    for (size_t i = 0; i < value_len(v); i++) {
        struct value_pair p = value_pairs(v)[i];
        struct str name = case_name(a, p.key);
        size_t passed = 0, failed = 0;
        json_key_str(w, name);
        json_object_begin(w);
        json_key(w, "name");
        json_string(w, name);
        if (!count_cases(p.val, &passed, &failed)) {
            json_key(w, "fail");
            json_bool(w, true);
        }
        if (value_is_object(p.val) && value_len(p.val) > 0)
            json_cases(w, a, p.val);
        json_object_end(w);
    }
    json_object_end(w);
}

static void show_measured(struct run *r, const struct test *t, const struct tool_measured *m)
{
    struct str name = r->o->format == FORMAT_GOBENCH ? gobench_name(r->arena, t->path) : t->path;
    tool_write_gobench(stdout, name, m, r->o->benchmem);
    r->dirty = true;
}

static void json_measured(struct json_writer *w, const struct tool_measured *m)
{
    char text[32];
    json_key(w, "benchmark_result");
    json_object_begin(w);
    json_key(w, "N");
    json_int(w, (int64_t)m->count);
    json_key(w, "T");
    json_int(w, (int64_t)m->total_ns);
    json_key(w, "Bytes");
    json_int(w, 0);
    json_key(w, "MemAllocs");
    json_int(w, 0);
    json_key(w, "MemBytes");
    json_int(w, (int64_t)(m->count * m->bytes));
    json_key(w, "Extra");
    json_object_begin(w);
    json_key(w, "timer_rego_query_eval_ns/op");
    snprintf(text, sizeof(text), "%.3f", m->extra_ns / (double)m->count);
    json_raw(w, str_of(text));
    json_object_end(w);
    json_object_end(w);
}

static void add_json(struct run *r, const struct test *t, const struct verdict *v,
                     const struct tool_measured *m)
{
    struct json_writer w;
    char again[16] = "";
    if (r->json.len > 1)
        buf_add_byte(&r->json, ',');
    json_begin(&w, &r->json);
    json_object_begin(&w);
    json_key(&w, "location");
    json_object_begin(&w);
    json_key(&w, "file");
    json_string(&w, t->file);
    json_key(&w, "row");
    json_int(&w, t->row);
    json_key(&w, "col");
    json_int(&w, 1);
    json_object_end(&w);
    json_key(&w, "package");
    json_string(&w, package_of(t->path));
    json_key(&w, "name");
    if (t->again > 0)
        snprintf(again, sizeof(again), "#%02u", t->again);
    struct str name = last_part(t->path);
    json_string(&w, arena_format(r->arena, "%.*s%s", STR_ARG(name), again));
    if (v->outcome == FAIL) {
        json_key(&w, "fail");
        json_bool(&w, true);
    }
    if (v->outcome == SKIPPED) {
        json_key(&w, "skip");
        json_bool(&w, true);
    }
    if (v->outcome == ERROR) {
        json_key(&w, "error");
        json_string(&w, rego_ctx_error(r->ctx)->message);
    }
    json_key(&w, "duration");
    json_int(&w, v->ns);
    if (r->printed.len > 0 && v->outcome != SKIPPED) {
        json_key(&w, "output");
        json_string(&w, base64_text(r->arena, buf_str(&r->printed), BASE64_STD));
    }
    if (t->cases && value_is_object(v->result) && value_len(v->result) > 0)
        json_cases(&w, r->arena, v->result);
    if (m != NULL)
        json_measured(&w, m);
    json_object_end(&w);
    status_ignore(json_finish(&w));
}

/* OPA's JSON of `opa test --coverage`. */
static double report_coverage(struct run *r)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    struct json_writer w;
    double percent = 0;
    json_begin(&w, &b);
    enum status st = tool_write_coverage(&w, r->ctx, r->policy, &percent);
    if (st == OK)
        st = json_finish(&w);
    if (st == OK)
        tool_write_compact(stdout, buf_str(&b));
    else
        fprintf(stderr, "rego test: could not write the coverage: %s\n", status_name(st));
    return percent;
}

/* ---- all of them ---- */

static void summary(const struct run *r)
{
    size_t all = r->passed + r->failed + r->skipped + r->errors;
    if (r->dirty)
        puts("--------------------------------------------------------------------------------");
    if (r->passed > 0)
        printf("PASS: %zu/%zu\n", r->passed, all);
    if (r->failed > 0)
        printf("FAIL: %zu/%zu\n", r->failed, all);
    if (r->skipped > 0)
        printf("SKIPPED: %zu/%zu\n", r->skipped, all);
    if (r->errors > 0)
        printf("ERROR: %zu/%zu\n", r->errors, all);
}

static int run_all(struct run *r)
{
    rego_policy_rules(r->policy, collect, r);
    buf_add_byte(&r->json, '[');
    bool quiet = r->o->coverage || r->o->format == FORMAT_JSON;
    uint64_t times = r->o->count == 0 ? 1 : r->o->count;
    bool bad = false;
    for (uint64_t n = 0; n < times && !bad; n++)
        for (size_t i = 0; i < r->len && !bad; i++) {
            if (!is_wanted(r, r->tests[i].path, &bad))
                continue;
            struct verdict v = run_test(r, &r->tests[i]);
            struct tool_measured m = {0};
            if (r->o->bench && v.outcome == PASS && !measure(r, &r->tests[i], &m)) {
                v.outcome = ERROR;
                r->passed--;
                r->errors++;
            }
            if (m.count > 0 && !quiet)
                show_measured(r, &r->tests[i], &m);
            else if (!quiet || (r->o->coverage && (v.outcome == FAIL || v.outcome == ERROR)))
                show(r, &r->tests[i], &v);
            if (r->o->format == FORMAT_JSON)
                add_json(r, &r->tests[i], &v, m.count > 0 ? &m : NULL);
        }
    if (bad)
        return EXIT_USAGE;
    if (r->no_memory) {
        fputs("rego test: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    if (r->o->fail_on_empty && r->passed + r->failed + r->skipped + r->errors == 0) {
        fputs("no tests were run\n", stderr);
        return EXIT_USAGE;
    }
    bad = r->failed > 0 || r->errors > 0 || (r->skipped > 0 && !r->o->exit_zero);
    if (r->o->coverage && r->failed == 0 && r->errors == 0) {
        double got = report_coverage(r);
        if (got < r->o->threshold) {
            fprintf(stderr, "Code coverage threshold not met: got %.2f instead of %.2f\n", got,
                    r->o->threshold);
            return EXIT_FAILED;
        }
    } else if (r->o->format == FORMAT_JSON) {
        buf_add_byte(&r->json, ']');
        tool_write_compact(stdout, buf_str(&r->json));
    } else {
        summary(r);
    }
    if (bad && r->o->coverage)
        return EXIT_USAGE; /* OPA's: there is no coverage to tell of */
    return bad ? EXIT_FAILED : EXIT_DONE;
}

static int run_policy(struct tool_options *o, struct tool_files *f, struct rego_policy *policy)
{
    struct rego_limits limits = tool_limits(o);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&limits);
    if (ctx == NULL || (o->coverage && rego_ctx_cover(ctx, policy) != OK)) {
        fputs("rego test: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    CLEANUP(rego_indexes_cleanup) struct rego_indexes *indexes = rego_indexes_new(f->data, 0);
    struct run r = {.o = o,
                    .arena = &f->arena,
                    .policy = policy,
                    .ctx = ctx,
                    .data = f->data,
                    .indexes = indexes};
    buf_init(&r.json, TOOL_FILE_MAX);
    buf_init(&r.printed, TOOL_FILE_MAX);
    int status = run_all(&r);
    buf_done(&r.json);
    buf_done(&r.printed);
    free(r.cases);
    free(r.tests);
    return status;
}

int tool_test(struct tool_options *o)
{
    if (o->arguments.len == 0) {
        fputs("rego test: specify at least one file\n", stderr);
        return EXIT_USAGE;
    }
    if (!(o->threshold >= 0 && o->threshold <= 100)) {
        fputs("Code coverage threshold must be between 0 and 100\n", stderr);
        return EXIT_USAGE;
    }
    if (o->format == FORMAT_GOBENCH && !o->bench) {
        fputs("cannot use output format gobench without running benchmarks (--bench)\n", stderr);
        return EXIT_USAGE;
    }
    o->coverage |= o->threshold > 0;
    CLEANUP(tool_files_done) struct tool_files f;
    tool_files_init(&f);
    struct tool_errors errors = {.len = 0};
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < o->arguments.len; i++)
        if (tool_load(&f, o, o->arguments.items[i], o->bundle_mode, &err) != OK) {
            tool_error_text(&errors, &f.arena, err.text);
            errors.loading = true;
        }
    struct rego_options options = tool_rego_options(o);
    options.coverage = o->coverage;
    options.test_cases = true;
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    if (tool_compile(&f, &options, &policy, &errors) == OK)
        return run_policy(o, &f, policy);
    tool_write_errors_text(stderr, &errors);
    return EXIT_USAGE; /* OPA's: 2 is for tests that failed */
}
