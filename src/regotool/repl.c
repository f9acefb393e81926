/*
 * rego repl - evaluate line by line.
 *
 * A line is a query, or the definition of a rule, which joins the module
 * `repl`, or a command: package P, import P, show, unset, help, exit.
 */
#include "regotool/regotool_internal.h"

#include <stdlib.h>
#include <unistd.h>

struct repl {
    struct tool_options *o;
    struct tool_files *f;
    value input;
    size_t loaded;    /* modules from files; ours comes behind them */
    struct buf rules; /* of the module repl */
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
    "  unset            forget them\n"
    "  exit             end\n";

static bool is_rule(struct str line)
{
    return memmem(line.ptr, line.len, ":=", 2) != NULL ||
           memmem(line.ptr, line.len, " if ", 4) != NULL ||
           memmem(line.ptr, line.len, " contains ", 10) != NULL ||
           str_has_prefix(line, STR("default "));
}

static struct rego_policy *compile(struct repl *r, struct str extra, struct tool_errors *errors)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, TOOL_SOURCE_MAX);
    buf_add_format(&text, "package %s\n", r->package);
    for (size_t i = 0; i < r->import_count; i++)
        buf_add_format(&text, "import %s\n", r->imports[i]);
    buf_add(&text, buf_str(&r->rules));
    buf_add(&text, extra);
    buf_add_byte(&text, '\n');
    r->f->modules[r->loaded] = (struct tool_module){
        .file = STR("repl"),
        .text = arena_str(&r->f->arena, buf_str(&text)),
        .roots = VALUE_UNDEFINED,
    };
    bool own = r->rules.len > 0 || extra.len > 0;
    r->f->module_count = r->loaded + own;
    struct rego_options options = tool_rego_options(r->o);
    struct rego_policy *policy = NULL;
    status_ignore(tool_compile(r->f, &options, &policy, errors));
    return policy;
}

static bool define(struct repl *r, struct str line)
{
    struct tool_errors errors = {.len = 0};
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = compile(r, line, &errors);
    if (policy == NULL)
        return false;
    buf_add(&r->rules, line);
    buf_add_byte(&r->rules, '\n');
    printf("Rule defined in package %s.\n", r->package);
    return true;
}

static void evaluate(struct repl *r, struct str line)
{
    struct tool_errors errors = {.len = 0};
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = compile(r, STR_EMPTY, &errors);
    struct rego_limits limits = tool_limits(r->o);
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = policy == NULL ? NULL : rego_ctx_new(&limits);
    if (ctx == NULL) {
        tool_write_errors_text(stdout, &errors);
        return;
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
        return;
    }
    struct rego_errors found = rego_ctx_errors(ctx);
    for (size_t i = 0; i < found.len; i++)
        tool_error_rego(&errors, &r->f->arena, &found.items[i]);
    tool_write_errors_text(stdout, &errors);
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
        printf("package %s\n%.*s", r->package, STR_ARG(buf_str(&r->rules)));
    } else if (str_is(line, "unset")) {
        buf_reset(&r->rules);
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

static void loop(struct repl *r)
{
    char *line = NULL;
    size_t cap = 0;
    bool tty = isatty(STDIN_FILENO);
    for (;;) {
        if (tty)
            fputs("> ", stdout);
        fflush(stdout);
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0)
            break;
        struct str s = str_trim(str_bytes(line, (size_t)n));
        bool end = false;
        if (s.len == 0)
            continue;
        if (!command(r, s, &end) && !(is_rule(s) && define(r, s)))
            evaluate(r, s);
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
    buf_init(&r.rules, TOOL_SOURCE_MAX);
    loop(&r);
    buf_done(&r.rules);
    return EXIT_DONE;
}
