/*
 * deny_watch - the deny list that a configuration names, followed as its file
 * changes (README 19).
 *
 * A broken file where an older list was loaded: the older one serves.  A broken
 * file at start: there is no list, and verifiers refuse everything until there
 * is one.  Thread-safe.
 */
#pragma once

#include "verifier/deny_list.h"

struct deny_watch;

/* Does not read the file. */
STATUS deny_watch_new(struct str path, struct deny_watch **out, struct error *err);
struct deny_watch *deny_watch_free(struct deny_watch *w);

/*
 * Look at the file; read it when it changed.  Texts for the log: entries that
 * have come to their end since the last look, and what was loaded.  A failure
 * says the same each time until the file changes again.
 */
STATUS deny_watch_refresh(struct deny_watch *w, int64_t now_s,
                          void (*warn)(void *user, const char *text), void *user,
                          struct error *err);

/* The present list, referenced, or NULL.  `w` may be NULL. */
struct deny_list *deny_watch_get(struct deny_watch *w);
