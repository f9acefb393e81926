/*
 * tap - the smallest test helper: checks that print TAP version 13.
 *
 *   int main(void) { test_a(); test_b(); return tap_done(); }
 *
 * Each CHECK is one TAP line.  A failed check prints where and what, and the
 * test goes on.  SKIP prints a skip line that begins with its condition, which
 * tests/skips.txt must list ("no-shared", "no-namespaces", ...).
 */
#pragma once

#include "base/arena.h"
#include "base/defs.h"
#include "base/error.h"

bool tap_check(bool ok, const char *file, int line, const char *what, const char *row);
void tap_skip(const char *condition, const char *why);
int tap_done(void); /* prints the plan; the exit status of main */

#define CHECK(cond) tap_check((cond), __FILE__, __LINE__, #cond, NULL)
#define CHECK_ROW(cond, row) tap_check((cond), __FILE__, __LINE__, #cond, (row))

/* Compare bytes; on failure both are printed, quoted. */
bool tap_str(struct str got, struct str want, const char *file, int line, const char *row);
#define CHECK_STR(got, want) tap_str((got), (want), __FILE__, __LINE__, NULL)
#define CHECK_STR_ROW(got, want, row) tap_str((got), (want), __FILE__, __LINE__, (row))

/* The same of bytes whose hexadecimal text is known. */
bool tap_hex(struct str got, const char *want, const char *file, int line, const char *row);
#define CHECK_HEX(got, want) tap_hex((got), (want), __FILE__, __LINE__, NULL)
#define CHECK_HEX_ROW(got, want, row) tap_hex((got), (want), __FILE__, __LINE__, (row))

/* Bytes of a hexadecimal literal, in the arena. */
struct str tap_bytes(struct arena *a, const char *hex);

bool tap_status(enum status got, enum status want, const struct error *err, const char *file,
                int line, const char *row);
#define CHECK_STATUS(got, want, err) tap_status((got), (want), (err), __FILE__, __LINE__, NULL)
#define CHECK_STATUS_ROW(got, want, err, row)                                                      \
    tap_status((got), (want), (err), __FILE__, __LINE__, (row))

/* Path below ../shared in a static buffer, or NULL (after a SKIP line "no-shared") if absent. */
const char *tap_shared(const char *relative);

/* Path below the source tree. */
const char *tap_source(const char *relative);

/* A directory of this test's own, removed by tap_done(); the same at each call. */
const char *tap_tmpdir(void);

/*
 * Make the n-th malloc from now fail, and all after it (0: none).  For the
 * allocation sweep: loop n = 1, 2, ... until the code under test succeeds.
 */
void tap_fail_malloc_after(long n);

/* False under a sanitizer, whose malloc must stay: a sweep then ends after one round. */
bool tap_malloc_can_fail(void);
