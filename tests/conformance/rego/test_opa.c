/*
 * OPA's own evaluation and compile cases (../shared/conformance/rego,
 * MANIFEST.md tells their format).  pending-opa.txt lists what does not pass yet.
 *
 *   test_opa [FOLDER]   only cases below that folder, for work on the engine
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "rego/builtin.h"
#include "rego/rego.h"
#include "suite.h"
#include "tap.h"
#include "value/json.h"

struct run {
    struct arena arena;
    struct pending pending;
    struct tally tally;
    const char *only;
    bool bigint;
    bool force_not; /* as upstream: the same results with future.keywords.not everywhere */
    char why[1024];
};

__attribute__((format(printf, 2, 3))) static bool fail(struct run *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->why, sizeof(r->why), format, ap);
    va_end(ap);
    for (char *p = r->why; *p != '\0'; p++)
        if (*p == '\n')
            *p = ' ';
    return false;
}

/* ---- functions of the wasm cases ---- */

static enum rego_outcome custom_test(struct rego_call *call, const value *args, value *out)
{
    int64_t n;
    if (!value_get_int64(args[0], &n))
        return rego_call_type_error(call, 1, "number", args[0]);
    *out = value_int(rego_call_arena(call), n + 1);
    return REGO_VALUE;
}

/* The suite's own; there the point is that time.now_ns() does not move meanwhile. */
static enum rego_outcome custom_sleep(struct rego_call *call, const value *args, value *out)
{
    *out = VALUE_NULL;
    return REGO_VALUE;
}

static const struct rego_host_function custom[] = {
    {"test.sleep", "(string) null", 0, custom_sleep},
    {"custom_builtin_test", "(number) number", REGO_PURE, custom_test},
};

/* ---- comparing ---- */

/* As JSON: sets become arrays, keys become strings. */
static value as_json(struct run *r, value v)
{
    struct str text = json_text(&r->arena, v, JSON_COMPACT);
    value out = VALUE_UNDEFINED;
    struct json_options options = {.duplicates = JSON_DUP_LAST, .depth_max = 500};
    if (json_parse(&r->arena, text, &options, &out, NULL) != OK)
        return VALUE_UNDEFINED;
    return out;
}

static int order(const void *x, const void *y)
{
    return value_compare(*(const value *)x, *(const value *)y);
}

static value sorted(struct run *r, value array)
{
    size_t n = value_len(array);
    value *items = arena_new_array(&r->arena, value, n + 1);
    if (!value_is_array(array) || items == NULL)
        return array;
    memcpy(items, value_items(array), n * sizeof(value));
    qsort(items, n, sizeof(value), order);
    return value_array(&r->arena, items, n);
}

static value prepare(struct run *r, value bindings, bool sort, bool drop_generated)
{
    struct value_builder b;
    value_builder_init(&b, &r->arena, value_len(bindings));
    for (size_t i = 0; i < value_len(bindings); i++) {
        struct value_pair pair = value_pairs(bindings)[i];
        if (drop_generated && str_has_prefix(value_str(pair.key), STR("__localq")))
            continue;
        value_builder_put(&b, pair.key, sort ? sorted(r, pair.val) : pair.val);
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value set_of(struct run *r, value list, bool sort, bool drop_generated)
{
    struct value_builder b;
    value_builder_init(&b, &r->arena, value_len(list));
    for (size_t i = 0; i < value_len(list); i++)
        value_builder_add(&b, prepare(r, value_at(list, i), sort, drop_generated));
    return value_set_finish(&b);
}

/*
 * rego-cpp's big integers: each wanted element is one binding of the single
 * result.  Its division cuts to an integer, ours (OPA's) does not: MANIFEST.md.
 */
static bool compare_bindings(struct run *r, value c, value results)
{
    value bindings = value_get_lit(value_at(results, 0), "bindings");
    value want = value_get_lit(c, "want_result");
    for (size_t i = 0; i < value_len(want); i++) {
        value one = value_at(want, i);
        for (size_t k = 0; k < value_len(one); k++) {
            struct value_pair pair = value_pairs(one)[k];
            if (!str_is(value_str(pair.key), "d") &&
                !value_equal(value_get(bindings, pair.key), pair.val))
                return fail(r, "binding %.*s differs", STR_ARG(value_str(pair.key)));
        }
    }
    return value_len(want) > 0;
}

static bool compare_results(struct run *r, value c, value results)
{
    if (r->bigint)
        return compare_bindings(r, c, results);
    bool sort = value_is_true(value_get_lit(c, "sort_bindings"));
    bool drop = value_is_true(value_get_lit(c, "ignore_generated_vars"));
    struct value_builder b;
    value_builder_init(&b, &r->arena, value_len(results));
    for (size_t i = 0; i < value_len(results); i++)
        value_builder_add(&b, as_json(r, value_get_lit(value_at(results, i), "bindings")));
    value got = set_of(r, value_array_finish(&b), sort, drop);
    value want = set_of(r, value_get_lit(c, "want_result"), sort, false);
    if (value_equal(got, want))
        return true;
    struct str g = json_text(&r->arena, got, JSON_COMPACT);
    struct str w = json_text(&r->arena, want, JSON_COMPACT);
    return fail(r, "got %.*s want %.*s", STR_ARG(str_slice(g, 0, 300)),
                STR_ARG(str_slice(w, 0, 300)));
}

static bool contains(struct str s, struct str part)
{
    return part.len == 0 || memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

static bool compare_error(struct run *r, value c, const struct rego_error *e, bool wasm)
{
    struct str code = text_of(c, "want_error_code");
    struct str text = text_of(c, "want_error");
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    rego_error_write(&b, e);
    if (wasm)
        return str_is(str_of(e->code), "eval_conflict_error") ||
               fail(r, "got %.*s", STR_ARG(buf_str(&b)));
    if (code.len > 0 && !str_is(code, e->code))
        return fail(r, "got error %.*s want code %.*s", STR_ARG(buf_str(&b)), STR_ARG(code));
    if (!contains(buf_str(&b), text))
        return fail(r, "got error %.*s want %.*s", STR_ARG(buf_str(&b)), STR_ARG(text));
    return true;
}

/* ---- evaluation cases ---- */

static struct rego_compiler *start(struct run *r, value c, bool v0)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = v0 ? REGO_V0 : REGO_V1;
    options.experimental_keywords = value_is_true(value_get_lit(c, "experimental_keywords"));
    options.always_not_keyword = r->force_not;
    options.strict = value_is_true(value_get_lit(c, "strict"));
    options.keep_print = value_is_true(value_get_lit(c, "print_statements"));
    options.functions = custom;
    options.function_count = ARRAY_LEN(custom);
    return rego_compiler_new(&options);
}

static STATUS add_modules(struct rego_compiler *c, value modules)
{
    for (size_t i = 0; i < value_len(modules); i++) {
        char name[32];
        snprintf(name, sizeof(name), "test-%zu.rego", i);
        enum status st = rego_compiler_add(c, str_of(name), value_str(value_at(modules, i)));
        if (st != OK)
            return st;
    }
    return OK;
}

static value term_value(struct run *r, struct rego_ctx *ctx, struct rego_eval *params,
                        struct str term)
{
    struct str query = arena_format(&r->arena, "x = %.*s", STR_ARG(term));
    value set = VALUE_UNDEFINED;
    if (rego_eval_query(ctx, params, query, &set) != OK)
        return VALUE_UNDEFINED;
    value x =
        value_copy(&r->arena, value_get_lit(value_get_lit(value_at(set, 0), "bindings"), "x"));
    rego_ctx_reset(ctx);
    return x;
}

/* The compiled form drops a result when one of its expressions is false. */
static bool is_true(value results)
{
    for (size_t i = 0; i < value_len(results); i++) {
        value expressions = value_get_lit(value_at(results, i), "expressions");
        bool all = true;
        for (size_t k = 0; k < value_len(expressions); k++)
            all = all && value_get_lit(value_at(expressions, k), "value").word != VALUE_FALSE.word;
        if (all)
            return true;
    }
    return false;
}

static bool run_eval(struct run *r, value c, bool v0, bool wasm)
{
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *compiler = start(r, c, v0);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    CLEANUP(rego_ctx_cleanup)
    struct rego_ctx *ctx = rego_ctx_new(&(struct rego_limits){.steps = 50000000});
    bool want_error = value_is_defined(value_get_lit(c, "want_error")) ||
                      value_is_defined(value_get_lit(c, "want_error_code"));
    enum status st = add_modules(compiler, value_get_lit(c, "modules"));
    if (st == OK)
        st = rego_compiler_finish(compiler, &policy);
    if (st != OK) {
        struct rego_errors e = rego_compiler_errors(compiler);
        if (e.len == 0)
            return fail(r, "compile: %s", status_name(st));
        if (want_error)
            return compare_error(r, c, &e.items[0], wasm);
        return fail(r, "compile: %u:%u %s: %.*s", e.items[0].row, e.items[0].col, e.items[0].code,
                    STR_ARG(e.items[0].message));
    }
    value data = value_get_lit(c, "data");
    struct rego_eval params = {
        .policy = policy,
        .input = value_get_lit(c, "input"),
        .data = value_is_object(data) ? data : VALUE_EMPTY_OBJECT(&r->arena),
        .strict_errors = value_is_true(value_get_lit(c, "strict_error")),
    };
    struct str term = text_of(c, "input_term");
    if (term.len > 0)
        params.input = term_value(r, ctx, &params, term);
    value results = VALUE_UNDEFINED;
    st = rego_eval_query(ctx, &params, text_of(c, "query"), &results);
    if (st != OK) {
        const struct rego_error *e = rego_ctx_error(ctx);
        if (want_error)
            return compare_error(r, c, e, wasm);
        return fail(r, "error %.*s:%u %s: %.*s", STR_ARG(e->file), e->row, e->code,
                    STR_ARG(e->message));
    }
    if (want_error)
        return fail(r, "no error, want %.*s %.*s", STR_ARG(text_of(c, "want_error_code")),
                    STR_ARG(text_of(c, "want_error")));
    value want_defined = value_get_lit(c, "want_defined");
    if (value_is_defined(want_defined) && value_is_true(want_defined) != is_true(results))
        return fail(r, "defined: %zu results", value_len(results));
    return !value_is_defined(value_get_lit(c, "want_result")) || compare_results(r, c, results);
}

/* ---- compile cases ---- */

static bool has_error(struct rego_errors errors, value want)
{
    struct str file = text_of(want, "module");
    if (file.len == 0)
        file = STR("test-0.rego");
    int64_t row = 0;
    int64_t col = 0;
    bool ok = value_get_int64(value_get_lit(want, "row"), &row);
    bool has_col = value_get_int64(value_get_lit(want, "col"), &col);
    for (size_t i = 0; ok && i < errors.len; i++) {
        const struct rego_error *e = &errors.items[i];
        if (str_equal(e->file, file) && str_equal(text_of(want, "code"), str_of(e->code)) &&
            e->row == row && (!has_col || e->col == col) &&
            str_equal(e->message, text_of(want, "message")))
            return true;
    }
    return false;
}

static bool run_compile(struct run *r, value c)
{
    bool v0 = str_is(text_of(c, "rego_version"), "v0");
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *compiler = start(r, c, v0);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    enum status st = add_modules(compiler, value_get_lit(c, "modules"));
    if (st == OK)
        st = rego_compiler_finish(compiler, &policy);
    struct rego_errors errors = rego_compiler_errors(compiler);
    value want = value_get_lit(c, "want_errors");
    CLEANUP(buf_done) struct buf got;
    buf_init(&got, 1 << 16);
    for (size_t i = 0; i < errors.len; i++)
        buf_add_format(&got, "[%u:%u %s %.*s]", errors.items[i].row, errors.items[i].col,
                       errors.items[i].code, STR_ARG(errors.items[i].message));
    for (size_t i = 0; i < value_len(want); i++)
        if (!has_error(errors, value_at(want, i)))
            return fail(r, "got %.*s, error %zu is missing", STR_ARG(buf_str(&got)), i);
    if (value_is_true(value_get_lit(c, "exhaustive")) && errors.len != value_len(want))
        return fail(r, "got %.*s, too many", STR_ARG(buf_str(&got)));
    return st != OK || value_len(want) == 0 || fail(r, "compiled");
}

/* ---- files ---- */

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Impure test functions that the suite's own harness provides. */
static bool applies(struct run *r, value c)
{
    struct str all = json_text(&r->arena, c, JSON_COMPACT);
    return !contains(all, STR("custom_builtin_test_impure")) &&
           !contains(all, STR("custom_builtin_test_memoization"));
}

static void run_file(void *user, const char *path, const char *relative)
{
    struct run *r = user;
    if (r->only != NULL && !has_prefix(relative, r->only))
        return;
    arena_reset(&r->arena);
    tally_folder(&r->tally, relative);
    value file = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    if (suite_load(&r->arena, path, &file, &err) != OK) {
        printf("# FAILED %s: %s\n", relative, err.text);
        r->tally.failed++;
        return;
    }
    value cases = value_get_lit(file, "cases");
    for (size_t i = 0; i < value_len(cases); i++) {
        value c = value_at(cases, i);
        if (!applies(r, c)) {
            tally_skip(&r->tally, relative);
            continue;
        }
        bool wasm = has_prefix(relative, "wasm/");
        r->bigint = has_prefix(relative, "rego-cpp/bigint");
        r->why[0] = '\0';
        bool ok = has_prefix(relative, "compilecases/")
                      ? run_compile(r, c)
                      : run_eval(r, c, has_prefix(relative, "v0/"), wasm);
        struct str text = ok ? STR_EMPTY : json_text(&r->arena, c, JSON_COMPACT);
        tally_case(&r->tally, &r->pending, relative, i, ok, text, r->why);
    }
}

static void run_rego_cpp(void *user, const char *path, const char *relative)
{
    if (has_prefix(relative, "rego-cpp/"))
        run_file(user, path, relative);
}

static bool is_there(struct str name)
{
    const struct rego_builtin *b = rego_builtin_find(name);
    return b != NULL && b->fn != NULL;
}

int main(int argc, char **argv)
{
    const char *dir = tap_shared("conformance/rego");
    if (dir == NULL)
        return tap_done();
    char *folder = strdup(dir);
    struct run r = {.only = argc > 1 ? argv[1] : NULL,
                    .force_not = getenv("REGO_FORCE_NOT") != NULL};
    arena_init(&r.arena, 256 << 20);
    pending_load(&r.pending, tap_source("tests/conformance/rego/pending-opa.txt"));
    suite_walk(folder, run_file, &r);
    free(folder);
    /* rego-cpp's cases have the same format; they are v1. */
    folder = strdup(tap_shared("conformance/regorus"));
    suite_walk(folder, run_rego_cpp, &r);
    tally_done(&r.tally);
    if (r.only == NULL)
        pending_check(&r.pending, is_there);
    pending_done(&r.pending);
    arena_done(&r.arena);
    free(folder);
    return tap_done();
}
