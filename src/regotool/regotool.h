/*
 * regotool - the `rego` program as a function: OPA's commands on our engine.
 *
 * Everything that touches files, standard streams and the command line is here;
 * the engine below does no I/O.  One thread, except where a command says so.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "rego/rego.h"
#include "value/value.h"

/* As OPA's: 1 is a wrong command line (and a failed `check`), 2 a failed evaluation or test. */
enum { EXIT_DONE = 0, EXIT_USAGE = 1, EXIT_FAILED = 2 };

int regotool_main(int argc, char **argv, const char *version);
