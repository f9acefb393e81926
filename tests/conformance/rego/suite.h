/*
 * suite - what the runners of YAML case files share: a loader that keeps the
 * text of numbers, the list of pending cases, and a walk over folders.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "value/value.h"

/*
 * Case files are YAML of a simple kind.  Numbers keep their text, keys are
 * always strings (a bare `y` or `1`, too).
 */
STATUS suite_load(struct arena *a, const char *path, value *out, struct error *err);

/* Calls `each` for every .yaml file below `dir`, in order of names. */
void suite_walk(const char *dir, void (*each)(void *user, const char *path, const char *relative),
                void *user);

/*
 * What does not pass yet, one a line:
 *
 *   <relative path>#<index> <reason>
 *   built-in <name> <reason>     cases that call a function which is not there
 *
 * A line that is not needed any more fails the run: the list only gets shorter.
 */
struct pending {
    struct str text;
    struct buf storage;
};
void pending_load(struct pending *p, const char *file);
void pending_done(struct pending *p);
bool pending_has(const struct pending *p, const char *relative, size_t index);
/* The text of a case names a listed function. */
bool pending_names(const struct pending *p, struct str text);
/* A line of the list is this text, up to its end or the first two spaces. */
bool pending_line(const struct pending *p, struct str text);
/* Each listed function is really missing: `is_there` says what exists. */
void pending_check(const struct pending *p, bool (*is_there)(struct str name));

/* One file's results; prints TAP lines for what is wrong, and one for the folder at its end. */
struct tally {
    char folder[128];
    size_t passed, pending, failed, skipped;
    size_t all_passed, all_pending, all_failed, all_skipped;
};
void tally_case(struct tally *t, const struct pending *p, const char *relative, size_t index,
                bool ok, struct str text, const char *why);
void tally_skip(struct tally *t, const char *relative);
void tally_folder(struct tally *t, const char *relative); /* a file begins */
void tally_done(struct tally *t);

static inline struct str text_of(value object, const char *key)
{
    return value_str(value_get_str(object, str_of(key)));
}
