/*
 * The command's name, and who does the work.
 */
#include "regotool/regotool_internal.h"

#include <string.h>

struct command {
    const char *name;
    int (*run)(struct tool_options *o);
    const char *summary;
};

static const struct command commands[] = {
    {"eval", tool_eval, "evaluate a query"},
    {"check", tool_check, "parse and compile policies"},
    {"test", tool_test, "run the rules named test_*"},
    {"fmt", tool_fmt, "lay out policies in the one way"},
    {"explain", tool_explain, "why a query is undefined or false, and what would change it"},
    {"bench", tool_bench, "measure a query"},
    {"disasm", tool_disasm, "show the program of a policy"},
    {"repl", tool_repl, "evaluate line by line"},
};

static void usage(FILE *out)
{
    fputs("usage: rego COMMAND [options] [arguments]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`rego COMMAND --help` tells the options, --version the version; rego(1) is the "
          "manual.\n",
          out);
}

int regotool_main(int argc, char **argv, const char *version)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("rego %s\n", version);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        CLEANUP(tool_options_done)
        struct tool_options o = {.command = commands[i].name, .max_errors = 10, .benchmem = true};
        o.fail = strcmp(o.command, "bench") == 0; /* OPA's default there */
        int status = tool_options_read(argc - 1, argv + 1, &o);
        return status >= 0 ? status : commands[i].run(&o);
    }
    fprintf(stderr, "rego: unknown command %s\n", QUOTED(str_of(argv[1])));
    usage(stderr);
    return EXIT_USAGE;
}
