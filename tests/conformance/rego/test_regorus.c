/*
 * Cases of regorus (../shared/conformance/regorus, MANIFEST.md tells their
 * format and where OPA, and so we, differ).  pending-regorus.txt lists the cases
 * that we do not follow.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rego/builtin.h"
#include "rego/lexer.h"
#include "rego/rego.h"
#include "suite.h"
#include "tap.h"
#include "value/json.h"

struct run {
    struct arena arena;
    struct pending pending;
    struct tally tally;
    const char *only;
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

static bool contains(const char *s, const char *part)
{
    return strstr(s, part) != NULL;
}

/* "set!: [..]", "object!: [{key, value}, ..]", "#undefined" (spec of the cases). */
static value decode(struct arena *a, value v)
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(v));
    if (value_is_array(v)) {
        for (size_t i = 0; i < value_len(v); i++)
            value_builder_add(&b, decode(a, value_at(v, i)));
        return value_array_finish(&b);
    }
    if (!value_is_object(v))
        return v;
    value set = value_get_lit(v, "set!");
    value object = value_get_lit(v, "object!");
    if (value_is_array(set)) {
        for (size_t i = 0; i < value_len(set); i++)
            value_builder_add(&b, decode(a, value_at(set, i)));
        return value_set_finish(&b);
    }
    if (value_is_array(object)) {
        for (size_t i = 0; i < value_len(object); i++) {
            value pair = value_at(object, i);
            value_builder_put(&b, decode(a, value_get_lit(pair, "key")),
                              decode(a, value_get_lit(pair, "value")));
        }
        return value_object_finish(&b, VALUE_DUP_LAST, NULL);
    }
    for (size_t i = 0; i < value_len(v); i++)
        value_builder_put(&b, value_pairs(v)[i].key, decode(a, value_pairs(v)[i].val));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static bool is_undefined(value want)
{
    return str_is(value_str(want), "#undefined") || !value_is_defined(want);
}

/* A number written as a float there is any number here. */
static value loosen(struct arena *a, value v)
{
    struct str s = json_text(a, v, JSON_COMPACT);
    value out;
    return json_parse(a, s, &(struct json_options){.duplicates = JSON_DUP_LAST}, &out, NULL) == OK
               ? out
               : v;
}

/* One result: its bindings, or the value of its last expression. */
static bool matches(struct run *r, value result, value want)
{
    value bindings = value_get_lit(result, "bindings");
    value expressions = value_get_lit(result, "expressions");
    value last = value_get_lit(value_at(expressions, value_len(expressions) - 1), "value");
    value first = value_get_lit(value_at(expressions, 0), "value");
    if (value_len(bindings) > 0 && value_equal(bindings, want))
        return true;
    struct value_builder b;
    value_builder_init(&b, &r->arena, 4);
    for (size_t i = 0; i < value_len(expressions); i++)
        value_builder_add(&b, value_get_lit(value_at(expressions, i), "value"));
    value all = value_array_finish(&b);
    return value_equal(last, want) || value_equal(first, want) || value_equal(all, want) ||
           value_equal(loosen(&r->arena, last), want);
}

static bool compare(struct run *r, value results, value want_raw)
{
    value many = value_get_lit(want_raw, "many!");
    value want = decode(&r->arena, want_raw);
    struct str g = json_text(&r->arena, results, JSON_COMPACT);
    struct str w = json_text(&r->arena, want, JSON_COMPACT);
    if (value_is_array(many) && value_len(many) == value_len(results)) {
        for (size_t i = 0; i < value_len(many); i++)
            if (!matches(r, value_at(results, i), decode(&r->arena, value_at(many, i))))
                return fail(r, "got %.*s want %.*s", STR_ARG(g), STR_ARG(w));
        return true;
    }
    if (is_undefined(want_raw))
        return value_len(results) == 0 || fail(r, "got %.*s, want nothing", STR_ARG(g));
    for (size_t i = 0; i < value_len(results); i++)
        if (matches(r, value_at(results, i), want))
            return true;
    return fail(r, "got %.*s want %.*s", STR_ARG(g), STR_ARG(w));
}

/* ---- interpreter and rvm cases ---- */

struct expect {
    bool error;
    bool none;
    value want;
};

static bool check_results(struct run *r, struct rego_ctx *ctx, const struct rego_eval *params,
                          struct str query, const struct expect *x)
{
    value results = VALUE_UNDEFINED;
    enum status st = rego_eval_query(ctx, params, query, &results);
    if (st != OK) {
        const struct rego_error *e = rego_ctx_error(ctx);
        return x->error || fail(r, "error %u %s: %.*s", e->row, e->code, STR_ARG(e->message));
    }
    if (x->error)
        return fail(r, "no error");
    if (x->none)
        return value_len(results) == 0 || fail(r, "has a result");
    return compare(r, results, x->want);
}

static bool run_inputs(struct run *r, struct rego_ctx *ctx, struct rego_eval *params, value c,
                       struct expect *x)
{
    value input = value_get_lit(c, "input");
    value many = value_get_lit(input, "many!");
    struct str query = text_of(c, "query");
    if (!value_is_array(many)) {
        params->input = decode(&r->arena, input);
        return check_results(r, ctx, params, query, x);
    }
    value want = value_get_lit(x->want, "many!");
    for (size_t i = 0; i < value_len(many); i++) {
        struct expect one = *x;
        one.want = value_is_array(want) ? value_at(want, i) : x->want;
        params->input = decode(&r->arena, value_at(many, i));
        rego_ctx_reset(ctx);
        if (!check_results(r, ctx, params, query, &one))
            return false;
    }
    return true;
}

static bool run_entry_points(struct run *r, struct rego_ctx *ctx, struct rego_eval *params, value c)
{
    value points = value_get_lit(c, "entry_points");
    value wants = value_get_lit(c, "want_results");
    for (size_t i = 0; i < value_len(points); i++) {
        struct expect x = {.want = value_is_array(wants) ? value_at(wants, i)
                                                         : value_get(wants, value_at(points, i))};
        if (!check_results(r, ctx, params, value_str(value_at(points, i)), &x))
            return false;
    }
    return true;
}

static bool run_case(struct run *r, value c, enum rego_version version, bool strict)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = version;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *compiler = rego_compiler_new(&options);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    struct expect x = {
        .error = value_is_defined(value_get_lit(c, "error")) ||
                 value_is_defined(value_get_lit(c, "want_error")),
        .none = value_is_true(value_get_lit(c, "no_result")),
        .want = value_get_lit(c, "want_result"),
    };
    value modules = value_get_lit(c, "modules");
    enum status st = OK;
    for (size_t i = 0; st == OK && i < value_len(modules); i++)
        st = rego_compiler_add(compiler, STR("case.rego"), value_str(value_at(modules, i)));
    if (st == OK)
        st = rego_compiler_finish(compiler, &policy);
    if (st != OK) {
        struct rego_errors e = rego_compiler_errors(compiler);
        if (x.error || e.len == 0)
            return x.error;
        return fail(r, "compile %u:%u %s: %.*s", e.items[0].row, e.items[0].col, e.items[0].code,
                    STR_ARG(e.items[0].message));
    }
    value data = decode(&r->arena, value_get_lit(c, "data"));
    value strict_option = value_get_lit(c, "strict");
    struct rego_eval params = {
        .policy = policy,
        .input = decode(&r->arena, value_get_lit(c, "input")),
        .data = value_is_object(data) ? data : VALUE_EMPTY_OBJECT(&r->arena),
        .strict_errors = value_is_defined(strict_option) ? value_is_true(strict_option) : strict,
    };
    if (value_is_defined(value_get_lit(c, "want_results")))
        return run_entry_points(r, ctx, &params, c);
    return run_inputs(r, ctx, &params, c, &x);
}

/* ---- lexer and parser cases ---- */

/* Some of what regorus finds while lexing is found by our parser. */
static bool parses(struct run *r, struct str text)
{
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *compiler = rego_compiler_new(NULL);
    struct str module = arena_format(&r->arena, "package t\nx = %.*s\n", STR_ARG(text));
    return rego_compiler_add_version(compiler, STR("t.rego"), module, REGO_V0) == OK;
}

static bool run_lexer(struct run *r, value c)
{
    struct lexer lx;
    struct token_at t;
    char scratch[VALUE_NUMBER_SCRATCH];
    value v = value_get_lit(c, "rego");
    struct str text = value_is_string(v) ? value_str(v) : value_number_text(v, scratch);
    bool illegal = false;
    lexer_init(&lx, text, 0);
    do {
        lexer_next(&lx, &t);
        illegal |= t.kind == TOK_ILLEGAL;
    } while (t.kind != TOK_EOF);
    bool want = value_is_defined(value_get_lit(c, "error"));
    if (want && !illegal)
        illegal = !parses(r, text);
    return illegal == want || fail(r, "illegal token: %d", illegal);
}

static bool run_parser(struct run *r, value c)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V0;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *compiler = rego_compiler_new(&options);
    enum status st = rego_compiler_add(compiler, STR("case.rego"), text_of(c, "rego"));
    bool want = value_is_defined(value_get_lit(c, "error"));
    struct rego_errors e = rego_compiler_errors(compiler);
    if ((st != OK) == want)
        return true;
    return want
               ? fail(r, "was accepted")
               : fail(r, "%u:%u %.*s", e.items[0].row, e.items[0].col, STR_ARG(e.items[0].message));
}

/* ---- files ---- */

static bool applies(value c, const char *relative)
{
    struct str note = text_of(c, "note");
    (void)note;
    (void)relative;
    return !value_is_true(value_get_lit(c, "skip")) &&
           !value_is_defined(value_get_lit(c, "host_await_responses")) &&
           !value_is_defined(value_get_lit(c, "execution_mode"));
}

static bool run_one(struct run *r, value c, const char *relative)
{
    if (contains(relative, "lexer/"))
        return run_lexer(r, c);
    if (contains(relative, "parser/"))
        return run_parser(r, c);
    if (contains(relative, "rvm/")) {
        bool v0 = value_is_true(value_get_lit(c, "rego_v0"));
        return run_case(r, c, v0 ? REGO_V0 : REGO_V1, false);
    }
    return run_case(r, c, contains(relative, "bindings.yaml") ? REGO_V1 : REGO_V0, true);
}

static void run_file(void *user, const char *path, const char *relative)
{
    struct run *r = user;
    if (strncmp(relative, "rego-cpp", 8) == 0 ||
        (r->only != NULL && strncmp(relative, r->only, strlen(r->only)) != 0))
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
        if (!applies(c, relative)) {
            tally_skip(&r->tally, relative);
            continue;
        }
        r->why[0] = '\0';
        bool ok = run_one(r, c, relative);
        tally_case(&r->tally, &r->pending, relative, i, ok, STR_EMPTY, r->why);
    }
}

int main(int argc, char **argv)
{
    const char *dir = tap_shared("conformance/regorus");
    if (dir == NULL)
        return tap_done();
    char *folder = strdup(dir);
    struct run r = {.only = argc > 1 ? argv[1] : NULL};
    arena_init(&r.arena, 256 << 20);
    pending_load(&r.pending, tap_source("tests/conformance/rego/pending-regorus.txt"));
    suite_walk(folder, run_file, &r);
    tally_done(&r.tally);
    pending_done(&r.pending);
    arena_done(&r.arena);
    free(folder);
    return tap_done();
}
