/*
 * rego eval - one query over policies, data and input.
 */
#include "regotool/regotool_internal.h"

#include <string.h>

#include "base/clock.h"
#include "value/json.h"

int tool_show_errors(const struct tool_options *o, const struct tool_errors *errors)
{
    if (o->format == FORMAT_JSON || o->format == FORMAT_DISCARD)
        tool_write_errors_json(stdout, errors);
    else
        tool_write_errors_text(stderr, errors);
    return EXIT_FAILED;
}

static STATUS read_query(const struct tool_options *o, struct buf *out, struct error *err)
{
    if (o->stdin_query)
        return tool_read_stdin(out, err);
    buf_add_cstr(out, o->arguments.items[0]);
    return buf_status(out);
}

static int show_failure(const struct tool_options *o, struct tool_files *f,
                        const struct rego_ctx *ctx, struct str query)
{
    struct tool_errors errors = {.len = 0};
    struct rego_errors found = rego_ctx_errors(ctx);
    for (size_t i = 0; i < found.len; i++)
        tool_error_rego(&errors, &f->arena, &found.items[i]);
    for (size_t i = 0; i < errors.len; i++)
        /* Packages and imports of the command line have no lines to show. */
        if (errors.items[i].file.len == 0 && o->package == NULL && o->imports.len == 0)
            tool_error_excerpt(&errors.items[i], query);
    return tool_show_errors(o, &errors);
}

/* --show-builtin-errors: what the evaluation met, and went on. */
struct met {
    struct tool_errors errors;
    struct arena *arena;
};

static void add_met(void *user, const struct rego_error *e)
{
    struct met *m = user;
    tool_error_rego(&m->errors, m->arena, e);
}

static STATUS show_results(const struct tool_options *o, const struct tool_files *f,
                           const struct rego_ctx *ctx, const struct rego_policy *policy,
                           const struct tool_errors *met, value set)
{
    struct tool_report report = {.errors = met};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    if (o->coverage) {
        struct json_writer w;
        json_begin(&w, &b);
        enum status st = tool_write_coverage(&w, ctx, policy, &report.covered);
        if (st == OK)
            st = json_finish(&w);
        if (st != OK)
            return st;
        report.coverage = buf_str(&b);
    }
    if (o->metrics)
        report.timers_ns = f->timers_ns;
    tool_write_report(stdout, set, o->format, &report);
    return OK;
}

static int evaluate(const struct tool_options *o, struct tool_files *f, struct rego_ctx *ctx,
                    struct rego_eval *params, struct str query)
{
    struct met met = {.arena = &f->arena};
    if (o->show_builtin_errors) {
        params->builtin_error = add_met;
        params->user = &met;
    }
    struct rego_policy *policy = NULL;
    value set = VALUE_UNDEFINED;
    int64_t start = clock_monotonic_ns();
    enum status st = rego_prepare_query(ctx, params, query, &policy);
    int64_t compiled = clock_monotonic_ns();
    if (st == OK && o->coverage)
        st = rego_ctx_cover(ctx, policy);
    if (st == OK)
        st = rego_eval_query(ctx, params, query, &set);
    if (st != OK)
        return show_failure(o, f, ctx, query);
    f->timers_ns[TIMER_QUERY_COMPILE] = compiled - start;
    f->timers_ns[TIMER_QUERY_EVAL] = clock_monotonic_ns() - compiled;
    st = show_results(o, f, ctx, policy, &met.errors, set);
    if (st != OK) {
        fprintf(stderr, "rego eval: could not write the result: %s\n", status_name(st));
        return EXIT_FAILED;
    }
    bool defined = value_len(set) > 0;
    return (o->fail && !defined) || (o->fail_defined && defined) ? EXIT_USAGE : EXIT_DONE;
}

static const char *wrong_usage(const struct tool_options *o)
{
    if (o->arguments.len > 0 && o->stdin_query)
        return "specify query argument or --stdin but not both";
    if (o->arguments.len == 0 && !o->stdin_query)
        return "specify query argument or --stdin";
    if (o->arguments.len > 1)
        return "specify at most one query argument";
    if (o->stdin_query && o->stdin_input)
        return "specify --stdin or --stdin-input but not both";
    if (o->stdin_input && o->input != NULL)
        return "specify --stdin-input or --input but not both";
    if (o->show_builtin_errors && o->strict_builtin_errors)
        return "specify --show-builtin-errors or --strict-builtin-errors but not both";
    if (o->fail && o->fail_defined)
        return "specify --fail or --fail-defined but not both";
    return o->imports.len > 64 ? "too many imports" : NULL;
}

static STATUS load(const struct tool_options *o, struct tool_files *f, struct str query,
                   struct rego_policy **out, struct tool_errors *errors)
{
    struct error err = ERROR_INIT;
    struct rego_options options = tool_rego_options(o);
    options.coverage = o->coverage;
    int64_t start = clock_monotonic_ns();
    enum status st = tool_load_all(f, o, &err);
    f->timers_ns[TIMER_LOAD] = clock_monotonic_ns() - start;
    if (st == OK && str_trim(query).len == 0) {
        error_set(&err, "cannot evaluate empty query");
        st = ERR_INVALID;
    }
    if (st == OK && o->schema != NULL)
        st = tool_load_claims(f, o, &options.claim_schema, &err);
    if (st != OK) {
        tool_error_text(errors, &f->arena, err.text);
        return st;
    }
    st = tool_compile(f, &options, out, errors);
    errors->loading = false; /* OPA says it of what `check` and `test` load */
    return st;
}

int tool_prepare(const struct tool_options *o, struct tool_files *f, struct rego_policy **out,
                 struct rego_eval *params, struct buf *query)
{
    const char *wrong = wrong_usage(o);
    if (wrong != NULL) {
        fprintf(stderr, "rego %s: %s\n", o->command, wrong);
        return EXIT_USAGE;
    }
    struct error err = ERROR_INIT;
    value input = VALUE_UNDEFINED;
    if (read_query(o, query, &err) != OK || tool_load_input(f, o, &input, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILED;
    }
    struct tool_errors errors = {.len = 0};
    if (load(o, f, buf_str(query), out, &errors) != OK)
        return tool_show_errors(o, &errors);
    struct str *imports = arena_new_array(&f->arena, struct str, o->imports.len);
    for (size_t i = 0; imports != NULL && i < o->imports.len; i++)
        imports[i] = str_of(o->imports.items[i]);
    *params = (struct rego_eval){
        .policy = *out,
        .input = input,
        .data = f->data,
        .strict_errors = o->strict_builtin_errors,
        .print = tool_print,
        .query_package = o->package == NULL ? STR_EMPTY : str_of(o->package),
        .query_imports = imports,
        .query_import_count = imports == NULL ? 0 : o->imports.len,
    };
    return EXIT_DONE;
}

int tool_eval(struct tool_options *o)
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
    struct rego_limits limits = tool_limits(o);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&limits);
    if (ctx == NULL) {
        fputs("rego eval: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    return evaluate(o, &f, ctx, &params, buf_str(&query));
}
