/*
 * rego eval - one query over policies, data and input.
 */
#include "regotool/regotool_internal.h"

#include <string.h>

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
        for (size_t i = 0; i < errors.len; i++)
            if (errors.items[i].file.len == 0)
                tool_error_excerpt(&errors.items[i], query);
        return tool_show_errors(o, &errors);
    }
    tool_write_results(stdout, set, o->format);
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
    if (o->fail && o->fail_defined)
        return "specify --fail or --fail-defined but not both";
    return o->imports.len > 64 ? "too many imports" : NULL;
}

static STATUS load(const struct tool_options *o, struct tool_files *f, struct str query,
                   struct rego_policy **out, struct tool_errors *errors)
{
    struct error err = ERROR_INIT;
    struct rego_options options = tool_rego_options(o);
    enum status st = tool_load_all(f, o, &err);
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
