/*
 * glob - path patterns of glob.match (../shared/spec/rego.md 6.7).
 *
 * A pattern becomes a small non-deterministic automaton; matching keeps the
 * set of states it can be in, so the time is at most states times text,
 * whatever the pattern.  Compiled patterns are immutable.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

#define GLOB_PATTERN_MAX 16384
#define GLOB_DEPTH_MAX 64 /* nesting of {...} */

struct glob;

/* `delimiters` are code points that * and ? do not match; copied.  ERR_INVALID, ERR_LIMIT,
 * ERR_NOMEM. */
STATUS glob_compile(struct str pattern, const uint32_t *delimiters, size_t delimiter_count,
                    struct glob **out, struct error *err);
struct glob *glob_free(struct glob *g);
DEFINE_CLEANUP(glob, struct glob, glob_free)

/* States of the automaton: what a match costs for each code point of the text. */
size_t glob_size(const struct glob *g);

/* Asked for leave to go on, every so much work; false: ERR_CANCELLED. */
struct glob_watch {
    bool (*go_on)(void *user);
    void *user;
};
#define GLOB_WATCH_STATES 65536 /* states looked at between two questions */

/* The whole text.  `watch` may be NULL.  ERR_NOMEM, ERR_CANCELLED. */
STATUS glob_match(const struct glob *g, struct str text, const struct glob_watch *watch, bool *out);
