/*
 * rego eval - one query over policies, data and input.
 */
#include "regotool/regotool_internal.h"

#include <string.h>

static int show_errors(const struct tool_options *o, const struct tool_errors *errors)
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

static int evaluate(const struct tool_options *o, struct tool_files *f, struct rego_ctx *ctx,
                    const struct rego_eval *params, struct str query)
{
    value set = VALUE_UNDEFINED;
    enum status st = rego_eval_query(ctx, params, query, &set);
    if (st != OK) {
        struct tool_errors errors = {.len = 0};
        struct rego_errors found = rego_ctx_errors(ctx);
        for (size_t i = 0; i < found.len; i++)
            tool_error_rego(&errors, &f->arena, &found.items[i]);
        /* A query has a position, though no file. */
        for (size_t i = 0; i < errors.len; i++)
            errors.items[i].has_location = errors.items[i].row > 0;
        return show_errors(o, &errors);
    }
    tool_write_results(stdout, set, o->format);
    bool defined = value_len(set) > 0;
    return (o->fail && !defined) || (o->fail_defined && defined) ? EXIT_USAGE : EXIT_DONE;
}

static int run(const struct tool_options *o, struct tool_files *f, struct str query)
{
    struct tool_errors errors = {.len = 0};
    struct error err = ERROR_INIT;
    value input = VALUE_UNDEFINED;
    if (tool_load_input(f, o, &input, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILED;
    }
    if (tool_load_all(f, o, &err) != OK) {
        tool_error_text(&errors, &f->arena, err.text);
        return show_errors(o, &errors);
    }
    if (str_trim(query).len == 0) {
        tool_error_text(&errors, &f->arena, "cannot evaluate empty query");
        return show_errors(o, &errors);
    }
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    struct rego_options options = tool_rego_options(o);
    if (o->schema != NULL && tool_load_claims(f, o, &options.claim_schema, &err) != OK) {
        tool_error_text(&errors, &f->arena, err.text);
        return show_errors(o, &errors);
    }
    if (tool_compile(f, &options, &policy, &errors) != OK)
        return show_errors(o, &errors);
    struct rego_limits limits = tool_limits(o);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&limits);
    if (ctx == NULL) {
        fputs("rego: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    struct str imports[64];
    struct rego_eval params = {
        .policy = policy,
        .input = input,
        .data = f->data,
        .strict_errors = o->strict_builtin_errors,
        .print = tool_print,
        .query_package = o->package == NULL ? STR_EMPTY : str_of(o->package),
        .query_imports = imports,
    };
    for (size_t i = 0; i < o->imports.len && i < ARRAY_LEN(imports); i++)
        imports[params.query_import_count++] = str_of(o->imports.items[i]);
    return evaluate(o, f, ctx, &params, query);
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
    if (o->fail && o->fail_defined)
        return "specify --fail or --fail-defined but not both";
    return o->imports.len > 64 ? "too many imports" : NULL;
}

int tool_eval(struct tool_options *o)
{
    const char *wrong = wrong_usage(o);
    if (wrong != NULL) {
        fprintf(stderr, "rego eval: %s\n", wrong);
        return EXIT_USAGE;
    }
    CLEANUP(tool_files_done) struct tool_files f;
    tool_files_init(&f);
    CLEANUP(buf_done) struct buf query;
    buf_init(&query, TOOL_SOURCE_MAX);
    struct error err = ERROR_INIT;
    if (read_query(o, &query, &err) != OK) {
        fprintf(stderr, "rego eval: %s\n", err.text);
        return EXIT_FAILED;
    }
    return run(o, &f, buf_str(&query));
}
