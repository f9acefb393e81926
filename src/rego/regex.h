/*
 * regex - regular expressions in Go's syntax, in linear time: for the built-ins
 * and for the host program (roles, allow-lists).
 *
 * A thin layer over claviger-re2.so, which is opened with the first pattern and
 * stays: the one process-wide state of the engine.  It is looked for in the
 * folder of the installation, then (in builds with the option `uninstalled`)
 * in the build folder.  A program that closes its sandbox calls regex_load()
 * before, or keeps that folder readable and mappable.
 *
 * Compiled patterns are immutable and shared by threads.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"
#include "rego/re2_api.h"

#define REGEX_PATTERN_MAX 16384
#define REGEX_MEMORY_MAX (4 << 20) /* of one compiled pattern with its caches */
#define REGEX_PROGRAM_MAX 20000    /* instructions: what a match may cost for each byte */

struct regex;

/* ERR_INVALID: the pattern, with Go's text; ERR_UNAVAILABLE: the module could not be loaded;
 * ERR_NOMEM. */
STATUS regex_new(struct str pattern, struct regex **out, struct error *err);

/* Release a pattern.  NULL is fine.  Returns NULL. */
struct regex *regex_unref(struct regex *re);
DEFINE_CLEANUP(regex, struct regex, regex_unref)

/* The whole text matches. */
bool regex_full_match(const struct regex *re, struct str text);

/* Leftmost match that begins at `start` or later; spans[0] is the whole, then the groups. */
bool regex_match(const struct regex *re, struct str text, size_t start, struct re2_span *spans,
                 size_t span_count);

size_t regex_groups(const struct regex *re); /* without the whole match */
size_t regex_size(const struct regex *re);   /* instructions */

/* Number of a named group; 0: no such group. */
size_t regex_group_index(const struct regex *re, struct str name);
