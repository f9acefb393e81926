/*
 * raw_json - the bytes of a member, as they were signed.
 *
 * Intel signs the text of `tcbInfo` and `enclaveIdentity`, so their bytes must
 * survive: these functions find parts of a JSON text that json_parse() has
 * accepted.  On other input they find nothing or something, and read no byte
 * outside of it.
 */
#pragma once

#include "base/arena.h"

/* The value of a member of an object; names with escapes are not found. */
bool json_raw_member(struct str object, const char *name, struct str *out);

/* The i-th element of an array. */
bool json_raw_element(struct str array, size_t i, struct str *out);

/* White space outside of strings removed; {NULL, 0} when the arena is exhausted. */
struct str json_raw_compact(struct arena *a, struct str text);
