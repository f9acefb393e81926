/*
 * What several commands do: compile what was loaded, collect errors.
 */
#include "regotool/regotool_internal.h"

#include <string.h>

#include "base/clock.h"

static void add(struct tool_errors *e, struct arena *a, struct tool_error one)
{
    if (e->len == e->cap) {
        size_t cap = e->cap == 0 ? 16 : e->cap * 2;
        struct tool_error *more = arena_new_array(a, struct tool_error, cap);
        if (more == NULL)
            return;
        if (e->len > 0)
            memcpy(more, e->items, e->len * sizeof(*more));
        e->items = more;
        e->cap = cap;
    }
    e->items[e->len++] = one;
}

void tool_error_text(struct tool_errors *e, struct arena *a, const char *text)
{
    add(e, a, (struct tool_error){.message = arena_str(a, str_of(text))});
}

void tool_error_rego(struct tool_errors *e, struct arena *a, const struct rego_error *r)
{
    struct tool_error one = {
        .code = r->code,
        .message = arena_str(a, r->message),
        .file = arena_str(a, r->file),
        .row = r->row,
        .col = r->col,
        .has_location = r->row > 0 || r->file.len > 0,
    };
    add(e, a, one);
}

struct rego_options tool_rego_options(const struct tool_options *o)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = o->v0 && !o->v1 ? REGO_V0 : REGO_V1;
    options.strict = o->strict;
    options.keep_print = true;
    options.experimental_keywords = o->experimental;
    options.source_max = TOOL_SOURCE_MAX;
    options.errors_max = o->max_errors == 0 ? SIZE_MAX : (size_t)o->max_errors;
    return options;
}

/* Rules that are no rules are told of without the line, as OPA does. */
static bool has_excerpt(struct str message)
{
    static const char *const without[] = {
        "empty module",
        "package expected",
        " cannot be used for rule name",
        " cannot be used for rule head",
        " must have value assignment and/or body declaration",
        "`if` keyword is required before",
        "`contains` keyword is required for",
        "expected METADATA block",
        "invalid annotation scope",
        "yaml: ",
    };
    for (size_t i = 0; i < ARRAY_LEN(without); i++)
        if (memmem(message.ptr, message.len, without[i], strlen(without[i])) != NULL)
            return false;
    return message.len > 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void tool_error_excerpt(struct tool_error *e, struct str text)
{
    if (e->code == NULL || !str_is(str_of(e->code), "rego_parse_error") || !has_excerpt(e->message))
        return;
    size_t at = 0;
    for (uint32_t row = 1; row < e->row && at < text.len; row++)
        at = str_find(text, '\n', at) + 1;
    for (uint32_t col = 1; col < e->col && at < text.len; col++)
        do
            at++; /* columns count characters */
        while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80);
    /* At the end of the text, or in white space: what stands before. */
    at = at < text.len ? at : text.len > 0 ? text.len - 1 : 0;
    while (at > 0 && is_space(text.ptr[at]))
        at--;
    size_t begin = at;
    while (begin > 0 && text.ptr[begin - 1] != '\n' && text.ptr[begin - 1] != '\r')
        begin--;
    e->line = str_slice(text, begin, str_find(text, '\n', begin) - begin);
    if (str_has_suffix(e->line, STR("\r")))
        e->line.len--;
    e->line_at = (uint32_t)(at - begin);
}

static void add_excerpt(const struct tool_files *f, struct tool_error *e)
{
    for (size_t i = 0; i < f->module_count; i++)
        if (str_equal(f->modules[i].file, e->file)) {
            tool_error_excerpt(e, f->modules[i].text);
            return;
        }
}

static void add_compiler_errors(struct tool_errors *errors, struct tool_files *f,
                                const struct rego_compiler *c, enum status st)
{
    struct rego_errors found = rego_compiler_errors(c);
    for (size_t i = 0; i < found.len; i++) {
        size_t at = errors->len;
        tool_error_rego(errors, &f->arena, &found.items[i]);
        if (errors->len > at)
            add_excerpt(f, &errors->items[at]);
    }
    if (rego_compiler_had_more_errors(c)) {
        struct tool_error limit = {.code = "rego_compile_error",
                                   .message = STR("error limit reached")};
        add(errors, &f->arena, limit);
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
    int64_t start = clock_monotonic_ns();
    for (size_t i = 0; i < f->module_count; i++) {
        enum status one = rego_compiler_add(c, f->modules[i].file, f->modules[i].text);
        if (st == OK)
            st = one;
    }
    f->timers_ns[TIMER_MODULE_PARSE] = clock_monotonic_ns() - start;
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    if (st == OK && errors->len > 0)
        return ERR_INVALID; /* something could not be loaded: what was has been parsed */
    if (st == OK)
        st = rego_compiler_finish(c, &policy);
    else
        errors->loading = true;
    f->timers_ns[TIMER_MODULE_COMPILE] =
        clock_monotonic_ns() - start - f->timers_ns[TIMER_MODULE_PARSE];
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
