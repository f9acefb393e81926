/*
 * cli - what programs with a command line share: exit statuses, tables of names, standard input
 * and output.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/report.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/*
 * Where a name stands in a table whose rows begin with one (const char *):
 * CLI_FIND(commands, argv[1]) is ARRAY_LEN(commands) when it is in none.
 */
#define CLI_FIND(table, name) cli_find((table), ARRAY_LEN(table), sizeof((table)[0]), (name))
size_t cli_find(const void *table, size_t rows, size_t row_size, const char *name);

/* True: the only argument is --help or --version, and was answered. */
bool cli_is_answered(int argc, char **argv, const char *help, const char *version);

/* A file's content, or that of standard input for "-"; file_read() says what may fail. */
STATUS cli_read(const char *path, struct buf *out, struct error *err);

/* To standard output; the exit status, after a word on standard error when it failed. */
int cli_print(const char *program, struct str text);

/* A report's troubles to standard error and 1, or its notes to standard output and 0. */
int cli_print_report(const char *program, const struct report *r);
