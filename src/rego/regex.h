/*
 * regex - RE2 patterns for the host program (roles, allow-lists), through the
 * same module that the built-ins use: RE2 and its C++ runtime are loaded with
 * the first pattern.  Patterns are immutable and shared by threads; matching
 * takes linear time.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

struct regex;

/* ERR_INVALID: the pattern, with RE2's reason; ERR_UNAVAILABLE: the module could not be loaded. */
STATUS regex_new(struct str pattern, struct regex **out, struct error *err);
struct regex *regex_unref(struct regex *re);

/* The whole text matches. */
bool regex_full_match(const struct regex *re, struct str text);
