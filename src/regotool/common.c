/*
 * What several commands do: compile what was loaded, collect errors.
 */
#include "regotool/regotool_internal.h"

#include "base/clock.h"

void tool_error_text(struct tool_errors *e, struct arena *a, const char *text)
{
    if (e->len == ARRAY_LEN(e->items))
        return;
    e->items[e->len++] = (struct tool_error){.message = arena_str(a, str_of(text))};
}

void tool_error_rego(struct tool_errors *e, struct arena *a, const struct rego_error *r)
{
    if (e->len == ARRAY_LEN(e->items))
        return;
    e->items[e->len++] = (struct tool_error){
        .code = r->code,
        .message = arena_str(a, r->message),
        .file = arena_str(a, r->file),
        .row = r->row,
        .col = r->col,
        .has_location = r->row > 0,
    };
}

struct rego_options tool_rego_options(const struct tool_options *o)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = o->v0 && !o->v1 ? REGO_V0 : REGO_V1;
    options.strict = o->strict;
    options.keep_print = true;
    options.experimental_keywords = o->experimental;
    options.source_max = TOOL_SOURCE_MAX;
    return options;
}

static struct str source_line(const struct tool_files *f, const struct tool_error *e)
{
    for (size_t i = 0; i < f->module_count; i++) {
        if (!str_equal(f->modules[i].file, e->file))
            continue;
        struct str text = f->modules[i].text;
        size_t at = 0;
        for (uint32_t row = 1; row < e->row && at < text.len; row++)
            at = str_find(text, '\n', at) + 1;
        return at > text.len ? STR_EMPTY : str_slice(text, at, str_find(text, '\n', at) - at);
    }
    return (struct str){NULL, 0};
}

static void add_compiler_errors(struct tool_errors *errors, struct tool_files *f,
                                const struct rego_compiler *c, enum status st)
{
    struct rego_errors found = rego_compiler_errors(c);
    for (size_t i = 0; i < found.len; i++) {
        size_t at = errors->len;
        tool_error_rego(errors, &f->arena, &found.items[i]);
        if (errors->len > at && str_is(str_of(found.items[i].code), "rego_parse_error"))
            errors->items[at].line = source_line(f, &errors->items[at]);
    }
    if (found.len == 0)
        tool_error_text(errors, &f->arena,
                        st == ERR_NOMEM ? "out of memory" : "policy is too large");
}

static void show_warnings(const struct rego_compiler *c)
{
    struct rego_errors found = rego_compiler_warnings(c);
    for (size_t i = 0; i < found.len; i++)
        fprintf(stderr, "%.*s:%u:%u: warning: %.*s\n", STR_ARG(found.items[i].file),
                (unsigned)found.items[i].row, (unsigned)found.items[i].col,
                STR_ARG(found.items[i].message));
}

STATUS tool_compile(struct tool_files *f, const struct rego_options *options,
                    struct rego_policy **out, struct tool_errors *errors)
{
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(options);
    if (c == NULL) {
        tool_error_text(errors, &f->arena, "out of memory");
        return ERR_NOMEM;
    }
    enum status st = OK;
    for (size_t i = 0; i < f->module_count; i++) {
        enum status one = rego_compiler_add(c, f->modules[i].file, f->modules[i].text);
        if (st == OK)
            st = one;
    }
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    if (st == OK)
        st = rego_compiler_finish(c, &policy);
    show_warnings(c);
    if (st != OK) {
        add_compiler_errors(errors, f, c, st);
        return st;
    }
    struct error err = ERROR_INIT;
    for (size_t i = 0; st == OK && i < f->module_count; i++)
        st = tool_check_roots(&f->modules[i], rego_policy_package(policy, i), &err);
    if (st != OK) {
        tool_error_text(errors, &f->arena, err.text);
        return st;
    }
    *out = TAKE(policy);
    return OK;
}

struct rego_limits tool_limits(const struct tool_options *o)
{
    struct rego_limits limits = {
        .steps = TOOL_STEPS, .memory = TOOL_MEMORY, .depth = 10000, .output = TOOL_FILE_MAX};
    if (o->timeout_ns > 0)
        limits.deadline_ns = clock_monotonic_ns() + o->timeout_ns;
    return limits;
}

void tool_print(void *user, struct str line)
{
    (void)user;
    fprintf(stderr, "%.*s\n", STR_ARG(line));
}
