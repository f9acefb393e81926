/*
 * regotool_internal - what the commands share.
 */
#pragma once

#include <stdio.h>

#include "regotool/regotool.h"

#define TOOL_FILE_MAX ((size_t)256 << 20)
#define TOOL_SOURCE_MAX ((size_t)16 << 20)
#define TOOL_LOAD_MEMORY ((size_t)4 << 30)
/* A person waits: more than the engine allows a server by default. */
#define TOOL_STEPS 2000000000ull
#define TOOL_MEMORY ((size_t)2 << 30)

enum tool_format {
    FORMAT_JSON,
    FORMAT_VALUES,
    FORMAT_BINDINGS,
    FORMAT_PRETTY,
    FORMAT_RAW,
    FORMAT_DISCARD,
    FORMAT_TEXT,
    FORMAT_GOBENCH,
};

struct tool_list {
    const char **items;
    size_t len, cap;
};

/* What the command line says. */
struct tool_options {
    const char *command;
    struct tool_list data, bundles, imports, arguments, ignore;
    const char *input, *package, *run;
    bool stdin_query, stdin_input;
    enum tool_format format;
    bool has_format;
    bool fail, fail_defined;
    bool strict, strict_builtin_errors;
    bool v0, v1;
    bool verbose, coverage, exit_zero, fail_on_empty;
    bool metrics, show_builtin_errors;
    bool bundle_mode;
    bool policies_only; /* documents are left alone */
    bool write, list, diff, rego_v1, drop_v0_imports;
    double threshold;
    int64_t timeout_ns;   /* 0: none */
    uint64_t count;       /* of repetitions */
    uint64_t evaluations; /* in a benchmark; 0: for a second */
    uint64_t threads;
    bool experimental;
    bool unused_flag; /* options of OPA's that change nothing here */
    uint64_t unused_number;
    const char *unused_text;
    bool bench, benchmem;
    const char *schema;  /* claims that exist: --claims */
    uint64_t max_errors; /* 0: all */
};

/* -1: go on; else the exit status. */
int tool_options_read(int argc, char **argv, struct tool_options *o);
void tool_options_done(struct tool_options *o);

/* A policy text on its way to the compiler. */
struct tool_module {
    struct str file, text;
    value roots; /* of its bundle; undefined: anything is permitted */
};

/* What --metrics tells of, in the order of the names. */
enum tool_timer {
    TIMER_LOAD,
    TIMER_MODULE_COMPILE,
    TIMER_MODULE_PARSE,
    TIMER_QUERY_COMPILE,
    TIMER_QUERY_EVAL,
    TIMER_COUNT,
};

/* A file that was loaded, or a bundle with roots. */
struct tool_file {
    struct str key, path;
    value doc; /* where it lies in data; undefined: it is a policy */
};

#define TOOL_BUNDLES_MAX 64

/* Everything that -d, -b and -i name. */
struct tool_files {
    struct arena arena;
    struct tool_module *modules;
    size_t module_count, module_cap;
    value data;              /* an object */
    struct tool_file *files; /* in the arena */
    size_t file_count, file_cap;
    struct tool_bundle {
        struct str path;
        value roots; /* undefined: all of data */
    } bundles[TOOL_BUNDLES_MAX];
    size_t bundle_count;
    int64_t timers_ns[TIMER_COUNT];
};

void tool_files_init(struct tool_files *f);
void tool_files_done(struct tool_files *f);

/* An error that may stand in OPA's list: a message, and a position when there is one. */
struct tool_error {
    const char *code; /* NULL: none */
    struct str message;
    struct str file;
    uint32_t row, col;
    bool has_location;
    struct str line;  /* of a parse error: the text of its line; ptr NULL: none */
    uint32_t line_at; /* of that line, where the error is; 0: at its beginning */
};

/* The list grows in the arena that its texts are in. */
struct tool_errors {
    struct tool_error *items;
    size_t len, cap;
    bool loading; /* met before compiling: OPA's heading says so */
};

/* Text and place of a parse error's line; `text` is where it was found, and outlives `e`. */
void tool_error_excerpt(struct tool_error *e, struct str text);

/* Texts are copied into the arena; what finds no room is dropped. */
void tool_error_text(struct tool_errors *e, struct arena *a, const char *text);
void tool_error_rego(struct tool_errors *e, struct arena *a, const struct rego_error *r);

/* `path` as OPA's --data takes it: "file", "dir", "a.b:file", "file://..."; or a bundle. */
STATUS tool_load(struct tool_files *f, const struct tool_options *o, const char *path, bool bundle,
                 struct error *err);
/* All of the options' data and bundles; the first failure ends it. */
STATUS tool_load_all(struct tool_files *f, const struct tool_options *o, struct error *err);

/* Room for one more module. */
bool tool_reserve_module(struct tool_files *f);

/* The bundle of a module permits its package. */
STATUS tool_check_roots(const struct tool_module *m, struct str package, struct error *err);

/* JSON or, when it is none, YAML. */
STATUS tool_parse_document(struct arena *a, struct str text, value *out, struct error *err);
STATUS tool_read(const char *path, struct buf *out, struct error *err);
STATUS tool_read_stdin(struct buf *out, struct error *err);
/* Undefined when no input was named. */
STATUS tool_load_input(struct tool_files *f, const struct tool_options *o, value *out,
                       struct error *err);

/* --claims: what the host produces, for warnings. */
STATUS tool_load_claims(struct tool_files *f, const struct tool_options *o, value *out,
                        struct error *err);

/* Options of the compiler that the command line chose. */
struct rego_options tool_rego_options(const struct tool_options *o);
/* Compile what was loaded; errors (and what they point to) go to `errors`. */
STATUS tool_compile(struct tool_files *f, const struct rego_options *options,
                    struct rego_policy **out, struct tool_errors *errors);
struct rego_limits tool_limits(const struct tool_options *o);

/* print() and trace() lines, on standard error. */
void tool_print(void *user, struct str line);

/* ---- output ---- */

/* {"errors": [...]}, in OPA's order of members. */
void tool_write_errors_json(FILE *out, const struct tool_errors *errors);
/* "1 error occurred: file:1: code: message". */
void tool_write_errors_text(FILE *out, const struct tool_errors *errors);
void tool_write_json(FILE *out, value v, bool pretty);
/* A result set in one of OPA's forms. */
void tool_write_results(FILE *out, value set, enum tool_format format);

struct json_writer;
/* What `eval` may add to a result set. */
struct tool_report {
    const struct tool_errors *errors; /* of built-in functions; NULL or empty: none */
    const int64_t *timers_ns;         /* NULL: none */
    struct str coverage;              /* JSON text; empty: none */
    double covered;                   /* per cent */
};
/* A result set with that, in the forms that have a place for it. */
void tool_write_report(FILE *out, value set, enum tool_format format, const struct tool_report *r);

/* Two columns, the second to the left, or to the right when it is of numbers alone. */
struct tool_pair {
    const char *name;
    char value[32];
};
void tool_write_pairs(FILE *out, const struct tool_pair *title, const struct tool_pair *rows,
                      size_t n, bool right);

/* Lines that `ctx` reached of `policy`, as OPA's JSON, and how many per cent they are. */
STATUS tool_write_coverage(struct json_writer *w, const struct rego_ctx *ctx,
                           const struct rego_policy *policy, double *percent);

/* Go's line of a benchmark, as OPA prints it; `extra_ns` under the name of OPA's metric, 0: none.
 */
struct tool_measured {
    uint64_t count;
    double total_ns, extra_ns;
    size_t bytes; /* an evaluation */
};
void tool_write_gobench(FILE *out, struct str name, const struct tool_measured *m, bool benchmem);

/* JSON text, laid out. */
void tool_write_compact(FILE *out, struct str json);

/*
 * What eval, bench and explain begin with: query, documents, policy.  EXIT_DONE,
 * or the exit status, with the reason told.  `*params` borrows from the others.
 */
int tool_prepare(const struct tool_options *o, struct tool_files *f, struct rego_policy **out,
                 struct rego_eval *params, struct buf *query);
/* In the form that the options ask for; EXIT_FAILED. */
int tool_show_errors(const struct tool_options *o, const struct tool_errors *errors);

/* ---- commands ---- */

int tool_eval(struct tool_options *o);
int tool_check(struct tool_options *o);
int tool_test(struct tool_options *o);
int tool_fmt(struct tool_options *o);
int tool_explain(struct tool_options *o);
int tool_bench(struct tool_options *o);
int tool_disasm(struct tool_options *o);
int tool_repl(struct tool_options *o);
