/*
 * rego check - do these policies compile?
 */
#include "regotool/regotool_internal.h"

static int show(const struct tool_options *o, const struct tool_errors *errors)
{
    if (o->format == FORMAT_JSON)
        tool_write_errors_json(stderr, errors);
    else
        tool_write_errors_text(stderr, errors);
    return EXIT_USAGE; /* OPA's status of a failed check */
}

int tool_check(struct tool_options *o)
{
    if (o->arguments.len == 0) {
        fputs("rego check: specify at least one file\n", stderr);
        return EXIT_USAGE;
    }
    o->policies_only = !o->bundle_mode; /* OPA's: a broken document is no matter of `check` */
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
    if (o->schema != NULL && tool_load_claims(&f, o, &options.claim_schema, &err) != OK) {
        tool_error_text(&errors, &f.arena, err.text);
        return show(o, &errors);
    }
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    if (o->rego_v1) { /* --v0-v1: the same text as both */
        CLEANUP(rego_policy_cleanup) struct rego_policy *v0 = NULL;
        options.version = REGO_V0;
        if (tool_compile(&f, &options, &v0, &errors) != OK)
            return show(o, &errors);
        options.version = REGO_V1;
    }
    return tool_compile(&f, &options, &policy, &errors) == OK ? EXIT_DONE : show(o, &errors);
}
