/*
 * rego disasm - the program that a policy becomes.
 */
#include "regotool/regotool_internal.h"

int tool_disasm(struct tool_options *o)
{
    if (o->arguments.len + o->data.len + o->bundles.len == 0) {
        fputs("rego disasm: specify at least one file\n", stderr);
        return EXIT_USAGE;
    }
    CLEANUP(tool_files_done) struct tool_files f;
    tool_files_init(&f);
    struct tool_errors errors = {.len = 0};
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < o->arguments.len && errors.len == 0; i++)
        if (tool_load(&f, o, o->arguments.items[i], false, &err) != OK)
            tool_error_text(&errors, &f.arena, err.text);
    if (errors.len == 0 && tool_load_all(&f, o, &err) != OK)
        tool_error_text(&errors, &f.arena, err.text);
    struct rego_options options = tool_rego_options(o);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    if (errors.len > 0 || tool_compile(&f, &options, &policy, &errors) != OK) {
        tool_write_errors_text(stderr, &errors);
        return EXIT_FAILED;
    }
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, TOOL_FILE_MAX);
    enum status st = rego_policy_disasm(policy, &out);
    if (st != OK) {
        fprintf(stderr, "rego disasm: %s\n", status_name(st));
        return EXIT_FAILED;
    }
    struct str text = buf_str(&out);
    fwrite(text.ptr, 1, text.len, stdout);
    return EXIT_DONE;
}
