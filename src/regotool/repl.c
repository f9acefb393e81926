/*
 * rego repl - evaluate line by line.
 *
 * A line is a query, or the definition of a rule, which joins the module
 * `repl`, or a command: package P, import P, show, unset, help, exit.  What
 * ends too soon goes on in the next line, up to an empty one; a rule with :=
 * takes the place of those of its name, as OPA has it.
 */
#include "regotool/regotool_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RULES_MAX 256

struct rule {
    struct str name, text; /* in the arena of the files */
};

struct repl {
    struct tool_options *o;
    struct tool_files *f;
    value input;
    size_t loaded; /* modules from files; ours comes behind them */
    struct rule rules[RULES_MAX];
    size_t rule_count;
    struct buf pending; /* lines of what did not end yet */
    char package[1024];
    const char *imports[64];
    size_t import_count;
};

static const char help_text[] =
    "  QUERY            evaluate it\n"
    "  x := 1           define a rule (also: f(a) := b if ..., p contains x if ...)\n"
    "  package a.b      queries see the rules of data.a.b\n"
    "  import data.a    queries see it as a\n"
    "  show             the rules that were defined here\n"
    "  unset [NAME]     forget them, or those of a name\n"
    "  exit             end\n";

static bool is_rule(struct str line)
{
    return memmem(line.ptr, line.len, ":=", 2) != NULL ||
           memmem(line.ptr, line.len, " if ", 4) != NULL ||
           memmem(line.ptr, line.len, " contains ", 10) != NULL ||
           str_has_prefix(line, STR("default "));
}

/* The name that a rule begins with: f of "f(x) := 1". */
static struct str rule_name(struct str line)
{
    if (str_has_prefix(line, STR("default ")))
        line = str_trim(str_from(line, 8));
    size_t n = 0;
    while (n < line.len && (line.ptr[n] == '_' || (line.ptr[n] >= '0' && line.ptr[n] <= '9') ||
                            ((line.ptr[n] | 0x20) >= 'a' && (line.ptr[n] | 0x20) <= 'z')))
        n++;
    return str_slice(line, 0, n);
}

/* x := 1 and f(a) := b, but no default and no set: there is only one of them. */
static bool replaces(struct str line)
{
    const char *assign = memmem(line.ptr, line.len, ":=", 2);
    const char *cond = memmem(line.ptr, line.len, " if ", 4);
    return assign != NULL && (cond == NULL || assign < cond) &&
           !str_has_prefix(line, STR("default "));
}

/* True: there was one. */
static bool forget(struct repl *r, struct str name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->rule_count; i++)
        if (!str_equal(r->rules[i].name, name))
            r->rules[n++] = r->rules[i];
    bool any = n < r->rule_count;
    r->rule_count = n;
    return any;
}

/* Something of the text is not complete, and nothing else is wrong with it. */
static bool ends_too_soon(const struct tool_errors *errors)
{
    for (size_t i = 0; i < errors->len; i++)
        if (memmem(errors->items[i].message.ptr, errors->items[i].message.len,
                   "unexpected eof token", 20) != NULL)
            return true;
    return false;
}

/* Without the rules of the name `without`. */
static struct rego_policy *compile(struct repl *r, struct str without, struct str extra,
                                   struct tool_errors *errors)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, TOOL_SOURCE_MAX);
    buf_add_format(&text, "package %s\n", r->package);
    for (size_t i = 0; i < r->import_count; i++)
        buf_add_format(&text, "import %s\n", r->imports[i]);
    for (size_t i = 0; i < r->rule_count; i++)
        if (without.len == 0 || !str_equal(r->rules[i].name, without))
            buf_add_format(&text, "%.*s\n", STR_ARG(r->rules[i].text));
    buf_add(&text, extra);
    buf_add_byte(&text, '\n');
    r->f->modules[r->loaded] = (struct tool_module){
        .file = STR("repl"),
        .text = arena_str(&r->f->arena, buf_str(&text)),
        .roots = VALUE_UNDEFINED,
    };
    bool own = r->rule_count > 0 || extra.len > 0;
    r->f->module_count = r->loaded + own;
    struct rego_options options = tool_rego_options(r->o);
    struct rego_policy *policy = NULL;
    status_ignore(tool_compile(r->f, &options, &policy, errors));
    return policy;
}

enum said { DONE, NO_RULE, NOT_YET };

static enum said define(struct repl *r, struct str line)
{
    struct tool_errors errors = {.len = 0};
    struct str name = rule_name(line);
    struct str without = replaces(line) ? name : STR_EMPTY;
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = compile(r, without, line, &errors);
    if (policy == NULL)
        return ends_too_soon(&errors) ? NOT_YET : NO_RULE;
    bool again = without.len > 0 && forget(r, name);
    struct rule rule = {arena_str(&r->f->arena, name), arena_str(&r->f->arena, line)};
    if (r->rule_count == RULES_MAX || rule.name.ptr == NULL || rule.text.ptr == NULL) {
        puts("There is no room for more rules.");
        return DONE;
    }
    r->rules[r->rule_count++] = rule;
    printf("Rule '%.*s' %s in package %s. Type 'show' to see rules.\n", STR_ARG(name),
           again ? "re-defined" : "defined", r->package);
    return DONE;
}

static enum said evaluate(struct repl *r, struct str line, bool last)
{
    struct tool_errors errors = {.len = 0};
    CLEANUP(rego_policy_cleanup)
    struct rego_policy *policy = compile(r, STR_EMPTY, STR_EMPTY, &errors);
    struct rego_limits limits = tool_limits(r->o);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = policy == NULL ? NULL : rego_ctx_new(&limits);
    if (ctx == NULL) {
        tool_write_errors_text(stdout, &errors);
        return DONE;
    }
    struct str imports[64];
    struct rego_eval params = {
        .policy = policy,
        .input = r->input,
        .data = r->f->data,
        .print = tool_print,
        .query_package = str_of(r->package),
        .query_imports = imports,
        .query_import_count = r->import_count,
    };
    for (size_t i = 0; i < r->import_count; i++)
        imports[i] = str_of(r->imports[i]);
    value set = VALUE_UNDEFINED;
    if (rego_eval_query(ctx, &params, line, &set) == OK) {
        tool_write_results(stdout, set, FORMAT_PRETTY);
        return DONE;
    }
    struct rego_errors found = rego_ctx_errors(ctx);
    for (size_t i = 0; i < found.len; i++) {
        tool_error_rego(&errors, &r->f->arena, &found.items[i]);
        if (errors.len > i && found.items[i].file.len == 0)
            tool_error_excerpt(&errors.items[i], line);
    }
    if (!last && ends_too_soon(&errors))
        return NOT_YET;
    tool_write_errors_text(stdout, &errors);
    return DONE;
}

static void show(const struct repl *r)
{
    printf("package %s\n", r->package);
    for (size_t i = 0; i < r->import_count; i++)
        printf("import %s\n", r->imports[i]);
    for (size_t i = 0; i < r->rule_count; i++)
        printf("%.*s\n", STR_ARG(r->rules[i].text));
}

/* Unless the others need it. */
static void unset(struct repl *r, struct str name)
{
    struct tool_errors errors = {.len = 0};
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = compile(r, name, STR_EMPTY, &errors);
    if (policy == NULL)
        tool_write_errors_text(stdout, &errors);
    else if (!forget(r, name))
        printf("There is no rule '%.*s' of yours.\n", STR_ARG(name));
}

/* True: the line was a command. */
static bool command(struct repl *r, struct str line, bool *end)
{
    *end = str_is(line, "exit") || str_is(line, "quit");
    if (*end)
        return true;
    if (str_is(line, "help")) {
        fputs(help_text, stdout);
    } else if (str_is(line, "show")) {
        show(r);
    } else if (str_is(line, "unset")) {
        r->rule_count = 0;
    } else if (str_has_prefix(line, STR("unset "))) {
        struct str name = str_trim(str_from(line, 6));
        unset(r, name);
    } else if (str_has_prefix(line, STR("package "))) {
        struct str name = str_trim(str_from(line, 8));
        snprintf(r->package, sizeof(r->package), "%.*s", STR_ARG(name));
    } else if (str_has_prefix(line, STR("import ")) && r->import_count < ARRAY_LEN(r->imports)) {
        struct str path = arena_str(&r->f->arena, str_trim(str_from(line, 7)));
        if (path.ptr != NULL)
            r->imports[r->import_count++] = path.ptr;
    } else {
        return false;
    }
    return true;
}

/* One line: `last` when nothing may follow that completes it. */
static void take(struct repl *r, struct str line, bool last, bool *end)
{
    if (r->pending.len == 0 && command(r, line, end))
        return;
    if (line.len == 0)
        last = true; /* an empty line ends what is not complete */
    buf_add(&r->pending, line);
    struct str text = arena_str(&r->f->arena, str_trim(buf_str(&r->pending)));
    if (text.len == 0)
        return;
    enum said said = is_rule(text) ? define(r, text) : NO_RULE;
    if (said == NO_RULE || (said == NOT_YET && last))
        said = evaluate(r, text, last);
    if (said == NOT_YET) {
        buf_add_byte(&r->pending, '\n');
        return;
    }
    buf_reset(&r->pending);
}

static void loop(struct repl *r)
{
    char *line = NULL;
    size_t cap = 0;
    bool tty = isatty(STDIN_FILENO);
    for (;;) {
        if (tty)
            fputs(r->pending.len > 0 ? "| " : "> ", stdout);
        fflush(stdout);
        ssize_t n = getline(&line, &cap, stdin);
        bool end = n < 0;
        if (!end || r->pending.len > 0)
            take(r, end ? STR_EMPTY : str_trim(str_bytes(line, (size_t)n)), end, &end);
        if (end)
            break;
    }
    free(line);
}

int tool_repl(struct tool_options *o)
{
    CLEANUP(tool_files_done) struct tool_files f;
    tool_files_init(&f);
    struct error err = ERROR_INIT;
    enum status st = OK;
    for (size_t i = 0; i < o->arguments.len && st == OK; i++)
        st = tool_load(&f, o, o->arguments.items[i], false, &err);
    if (st == OK)
        st = tool_load_all(&f, o, &err);
    struct repl r = {.o = o, .f = &f, .input = VALUE_UNDEFINED, .package = "repl"};
    if (st == OK)
        st = tool_load_input(&f, o, &r.input, &err);
    if (st == OK && !tool_reserve_module(&f))
        st = error_nomem(&err);
    if (st != OK) {
        fprintf(stderr, "rego repl: %s\n", err.text);
        return EXIT_FAILED;
    }
    r.loaded = f.module_count;
    if (o->package != NULL)
        snprintf(r.package, sizeof(r.package), "%s", o->package);
    buf_init(&r.pending, TOOL_SOURCE_MAX);
    loop(&r);
    buf_done(&r.pending);
    return EXIT_DONE;
}
