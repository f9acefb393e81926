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

/* The whole text.  ERR_NOMEM only. */
STATUS glob_match(const struct glob *g, struct str text, bool *out);
