/*
 * OPA's options, one table for all commands: a letter of a command says which
 * ones it takes.
 */
#include "regotool/regotool_internal.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* The commands that take an option. */
enum {
    E = 1,   /* eval */
    C = 2,   /* check */
    T = 4,   /* test */
    F = 8,   /* fmt */
    X = 16,  /* explain */
    B = 32,  /* bench */
    D = 64,  /* disasm */
    R = 128, /* repl */
};

enum option_kind { FLAG, LIST, TEXT, NUMBER, REAL, DURATION, FORMAT, WORD };

#define AT(member) offsetof(struct tool_options, member)

struct tool_option {
    const char *name;
    char letter;
    uint8_t kind;
    unsigned commands;
    size_t at;
    const char *what;
    const char *words; /* of a WORD: what it may be, apart by spaces */
};

static const struct tool_option options[] = {
    {"data", 'd', LIST, E | X | B | D | R, AT(data),
     "policy or data: a file, a folder, or PATH:FILE"},
    {"bundle", 'b', LIST, E | X | B | D | R, AT(bundles), "a folder as a bundle"},
    {"bundle", 'b', FLAG, C | T, AT(bundle_mode), "the arguments are bundles"},
    {"ignore", 0, LIST, E | C | T | X | B | D | R, AT(ignore), "names to leave out of folders"},
    {"input", 'i', TEXT, E | X | B | R, AT(input), "the input document, JSON or YAML"},
    {"stdin-input", 'I', FLAG, E | X | B, AT(stdin_input), "read the input from standard input"},
    {"stdin", 0, FLAG, E | X | B, AT(stdin_query), "read the query from standard input"},
    {"package", 0, TEXT, E | X | B | R, AT(package), "package that the query belongs to"},
    {"import", 0, LIST, E | X | B | R, AT(imports), "import of the query; repeatable"},
    {"format", 'f', FORMAT, E | C | T | X | B, AT(format), "form of the answer"},
    {"fail", 0, FLAG, E | B, AT(fail), "status 1 when the result is undefined"},
    {"fail", 0, FLAG, F, AT(fail), "status 1 when a file would change"},
    {"fail-defined", 0, FLAG, E, AT(fail_defined), "status 1 when the result is defined"},
    {"strict", 'S', FLAG, E | C | D, AT(strict), "unused locals and imports are errors"},
    {"disable-indexing", 0, FLAG, E, AT(unused_flag), "taken for OPA's sake"},
    {"disable-early-exit", 0, FLAG, E, AT(unused_flag), "taken for OPA's sake"},
    {"optimize", 'O', NUMBER, E, AT(unused_number), "taken for OPA's sake"},
    {"entrypoint", 'e', TEXT, E, AT(unused_text), "taken for OPA's sake"},
    {"unknowns", 'u', TEXT, E | B, AT(unused_text), "taken for OPA's sake"},
    {"pretty-limit", 0, NUMBER, E, AT(unused_number), "taken for OPA's sake"},
    {"var-values", 0, FLAG, E | T, AT(unused_flag), "taken for OPA's sake"},
    {"nondeterminstic-builtins", 0, FLAG, E, AT(unused_flag), "taken for OPA's sake"},
    {"target", 't', WORD, E | T | B, 0, "rego: there is no other", "rego"},
    {"explain", 0, WORD, E, 0, "off: see rego explain", "off"},
    {"explain", 0, WORD, T, 0, "taken for OPA's sake: -v tells why tests failed",
     "fails full notes debug"},
    {"optimize-store-for-read-speed", 0, FLAG, E | B, AT(unused_flag), "taken for OPA's sake"},
    {"strict-builtin-errors", 0, FLAG, E | X | B, AT(strict_builtin_errors),
     "a built-in function's error ends the evaluation"},
    {"v0-compatible", 0, FLAG, E | C | T | F | X | B | D | R, AT(v0), "policies are Rego v0"},
    {"v1-compatible", 0, FLAG, E | C | T | F | X | B | D | R, AT(v1),
     "policies are Rego v1 (default)"},
    {"experimental-keywords", 0, FLAG, E | C | T | F | X | B | D | R, AT(experimental),
     "allow import future.keywords.and and .or"},
    {"timeout", 0, DURATION, E | T | X | B, AT(timeout_ns),
     "end the evaluation after, e.g., 5s or 100ms"},
    {"max-errors", 'm', NUMBER, C | T, AT(max_errors), "errors of compiling to tell of; 0: all"},
    {"claims", 0, TEXT, E | C, AT(schema), "claims that exist, JSON: others get a warning"},
    {"verbose", 'v', FLAG, T, AT(verbose), "show passing tests, and why others failed"},
    {"run", 'r', TEXT, T, AT(run), "only tests whose name holds this regular expression"},
    {"coverage", 0, FLAG, E, AT(coverage), "report the lines that were evaluated"},
    {"metrics", 0, FLAG, E, AT(metrics), "report how long each step took"},
    {"instrument", 0, FLAG, E, AT(metrics), "the same"},
    {"show-builtin-errors", 0, FLAG, E, AT(show_builtin_errors),
     "go on after errors of built-in functions, and tell of them"},
    {"coverage", 'c', FLAG, T, AT(coverage), "report the lines that were evaluated"},
    {"threshold", 0, REAL, T, AT(threshold), "fail when coverage is less than this percentage"},
    {"exit-zero-on-skipped", 'z', FLAG, T, AT(exit_zero), "skipped tests are no failures"},
    {"fail-on-empty", 0, FLAG, T, AT(fail_on_empty), "status 1 when no test was run"},
    {"parallel", 'p', NUMBER, T, AT(unused_number), "taken for OPA's sake: tests run one by one"},
    {"count", 0, NUMBER, T | B, AT(count), "repetitions"},
    {"bench", 0, FLAG, T, AT(bench), "measure each test that passes"},
    {"benchmem", 0, FLAG, T | B, AT(benchmem), "tell of memory as well (default)"},
    {"metrics", 0, FLAG, B, AT(unused_flag), "taken for OPA's sake"},
    {"evaluations", 0, NUMBER, B, AT(evaluations), "so many, and not for a second"},
    {"threads", 0, NUMBER, B, AT(threads), "evaluate on this many threads"},
    {"write", 'w', FLAG, F, AT(write), "replace the file's text"},
    {"list", 'l', FLAG, F, AT(list), "only name the files that would change"},
    {"diff", 0, FLAG, F, AT(diff), "show what would change"},
    {"diff", 'd', FLAG, F, AT(diff), "show what would change"},
    {"rego-v1", 0, FLAG, F, AT(rego_v1), "make v0 policies good for both versions"},
    {"v0-v1", 0, FLAG, F, AT(rego_v1), "the same"},
    {"v0-v1", 0, FLAG, C, AT(rego_v1), "policies must be good for both versions"},
    {"check-result", 0, FLAG, F, AT(unused_flag), "taken for OPA's sake"},
    {"drop-v0-imports", 0, FLAG, F, AT(drop_v0_imports), "leave out imports that v1 does not need"},
};

static const struct {
    const char *name;
    unsigned letter;
    const char *arguments;
} takers[] = {
    {"eval", E, "QUERY"},       {"check", C, "PATH..."},  {"test", T, "PATH..."},
    {"fmt", F, "[PATH...]"},    {"explain", X, "QUERY"},  {"bench", B, "QUERY"},
    {"disasm", D, "[PATH...]"}, {"repl", R, "[PATH...]"},
};

static const char *const format_names[] = {
    [FORMAT_JSON] = "json",     [FORMAT_VALUES] = "values",   [FORMAT_BINDINGS] = "bindings",
    [FORMAT_PRETTY] = "pretty", [FORMAT_RAW] = "raw",         [FORMAT_DISCARD] = "discard",
    [FORMAT_TEXT] = "text",     [FORMAT_GOBENCH] = "gobench",
};

/* Forms that a command has; the first is its default. */
static const struct {
    unsigned command;
    uint8_t formats[8];
    uint8_t count;
} forms[] = {
    {E,
     {FORMAT_JSON, FORMAT_VALUES, FORMAT_BINDINGS, FORMAT_PRETTY, FORMAT_RAW, FORMAT_DISCARD},
     6},
    {C, {FORMAT_PRETTY, FORMAT_JSON}, 2},
    {T, {FORMAT_PRETTY, FORMAT_JSON, FORMAT_GOBENCH}, 3},
    {X, {FORMAT_TEXT, FORMAT_JSON}, 2},
    {B, {FORMAT_PRETTY, FORMAT_JSON, FORMAT_GOBENCH}, 3},
};

static unsigned letter_of(const char *command, const char **arguments)
{
    for (size_t i = 0; i < ARRAY_LEN(takers); i++)
        if (strcmp(takers[i].name, command) == 0) {
            *arguments = takers[i].arguments;
            return takers[i].letter;
        }
    *arguments = "";
    return 0;
}

static void put_forms(FILE *out, unsigned command)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        for (size_t k = 0; forms[i].command == command && k < forms[i].count; k++)
            fprintf(out, "%s%s%s", k == 0 ? "one of {" : ",", format_names[forms[i].formats[k]],
                    k + 1 == forms[i].count ? "}" : "");
}

/* Why it is no value of the option. */
static int wrong(const struct tool_options *o, unsigned command, const struct tool_option *x,
                 const char *arg)
{
    static const char *const wanted[] = {
        [FLAG] = "true or false",
        [NUMBER] = "a number",
        [REAL] = "a number",
        [DURATION] = "a duration like \"30s\" or \"5m\"",
    };
    fprintf(stderr, "rego %s: invalid argument \"%s\" for --%s: must be ", o->command,
            QUOTED(str_of(arg)), x->name);
    if (x->kind == WORD)
        fprintf(stderr, "one of {%s}", x->words);
    else if (x->kind == FORMAT)
        put_forms(stderr, command);
    else
        fputs(wanted[x->kind], stderr);
    fprintf(stderr, "\ntry `rego %s --help`\n", o->command);
    return EXIT_USAGE;
}

static int no_memory(const struct tool_options *o)
{
    fprintf(stderr, "rego %s: out of memory\n", o->command);
    return EXIT_FAILED;
}

static void help(const struct tool_options *o, unsigned command, const char *arguments)
{
    printf("usage: rego %s [options] %s\n\n", o->command, arguments);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct tool_option *x = &options[i];
        if ((x->commands & command) == 0)
            continue;
        static const char *const arg[] = {"",   " ARG",  " ARG",  " N",
                                          " N", " TIME", " FORM", " WORD"};
        char left[64];
        snprintf(left, sizeof(left), "%c%c%s --%s%s", x->letter ? '-' : ' ',
                 x->letter ? x->letter : ' ', x->letter ? "," : " ", x->name, arg[x->kind]);
        printf("  %-32s %s\n", left, x->what);
    }
    printf("  %-32s %s\n", "-h, --help", "this text");
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (forms[i].command == command) {
            fputs("\nforms:", stdout);
            for (size_t k = 0; k < forms[i].count; k++)
                printf(" %s", format_names[forms[i].formats[k]]);
            fputc('\n', stdout);
        }
}

/* "1.5s", "100ms", "1m30s": Go's durations. */
static bool read_duration(const char *text, int64_t *out)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    double total = 0;
    if (*text == '\0')
        return false;
    while (*text != '\0') {
        char *end;
        double n = strtod(text, &end);
        if (end == text || !(n >= 0 && n < 1e9))
            return false;
        size_t len = 0;
        while (end[len] >= 'a' && end[len] <= 'z')
            len++;
        size_t i = 0;
        while (i < ARRAY_LEN(units) && !str_equal(str_of(units[i].unit), str_bytes(end, len)))
            i++;
        if (i == ARRAY_LEN(units))
            return false;
        total += n * units[i].ns;
        text = end + len;
    }
    *out = total < 9e18 ? (int64_t)total : INT64_MAX / 2;
    return true;
}

static bool add_item(struct tool_list *list, const char *item)
{
    if (list->len == list->cap) {
        size_t cap = list->cap == 0 ? 8 : list->cap * 2;
        const char **items = realloc(list->items, cap * sizeof(*items));
        if (items == NULL)
            return false;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->len++] = item;
    return true;
}

static bool read_format(struct tool_options *o, unsigned command, const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        for (size_t k = 0; forms[i].command == command && k < forms[i].count; k++)
            if (strcmp(format_names[forms[i].formats[k]], text) == 0) {
                o->format = forms[i].formats[k];
                o->has_format = true;
                return true;
            }
    return false;
}

static bool is_one_of(const char *words, const char *arg)
{
    struct str all = str_of(words);
    for (size_t at = 0; at <= all.len;) {
        size_t end = str_find(all, ' ', at);
        if (str_equal(str_slice(all, at, end - at), str_of(arg)))
            return true;
        at = end + 1;
    }
    return false;
}

static bool set(struct tool_options *o, unsigned command, const struct tool_option *x,
                const char *arg)
{
    void *at = (char *)o + x->at;
    char *end;
    switch ((enum option_kind)x->kind) {
    case FLAG: /* Go's flags: --strict, --strict=false */
        *(bool *)at = arg == NULL || strcmp(arg, "true") == 0;
        return arg == NULL || *(bool *)at || strcmp(arg, "false") == 0;
    case LIST:
        return add_item(at, arg);
    case TEXT:
        *(const char **)at = arg;
        return true;
    case NUMBER:
        errno = 0;
        *(uint64_t *)at = strtoull(arg, &end, 10);
        return errno == 0 && end != arg && *end == '\0' && arg[0] != '-';
    case REAL:
        *(double *)at = strtod(arg, &end);
        return end != arg && *end == '\0';
    case DURATION:
        return read_duration(arg, at);
    case WORD: /* what changes nothing: the one thing that there is */
        return is_one_of(x->words, arg);
    case FORMAT:
        return read_format(o, command, arg);
    }
    return false;
}

#define LONG_BASE 256

int tool_options_read(int argc, char **argv, struct tool_options *o)
{
    const char *arguments;
    unsigned command = letter_of(o->command, &arguments);
    struct option longs[ARRAY_LEN(options) + 2] = {0};
    char shorts[2 * ARRAY_LEN(options) + 4] = "h";
    size_t n = 0;
    size_t s = 1;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct tool_option *x = &options[i];
        if ((x->commands & command) == 0)
            continue;
        int has = x->kind == FLAG ? optional_argument : required_argument;
        longs[n++] = (struct option){x->name, has, NULL, LONG_BASE + (int)i};
        if (x->letter != 0) {
            shorts[s++] = x->letter;
            if (x->kind != FLAG)
                shorts[s++] = ':';
        }
    }
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (forms[i].command == command)
            o->format = forms[i].formats[0];
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == 'h') {
            help(o, command, arguments);
            return EXIT_DONE;
        }
        size_t i = c >= LONG_BASE ? (size_t)(c - LONG_BASE) : 0;
        while (c < LONG_BASE && i < ARRAY_LEN(options) &&
               ((options[i].commands & command) == 0 || options[i].letter != c))
            i++;
        if (c == '?' || i == ARRAY_LEN(options)) {
            fprintf(stderr, "try `rego %s --help`\n", o->command);
            return EXIT_USAGE;
        }
        if (set(o, command, &options[i], optarg))
            continue;
        if (options[i].kind == LIST) /* whose words are all good */
            return no_memory(o);
        return wrong(o, command, &options[i], optarg == NULL ? "" : optarg);
    }
    for (int i = optind; i < argc; i++)
        if (!add_item(&o->arguments, argv[i]))
            return no_memory(o);
    return -1;
}

void tool_options_done(struct tool_options *o)
{
    free(o->data.items);
    free(o->bundles.items);
    free(o->imports.items);
    free(o->arguments.items);
    free(o->ignore.items);
}
