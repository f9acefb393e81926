/* builtins_path - paths of json.filter, json.remove and json.patch (rego.md 6.8). */
#pragma once

#include "rego/builtin.h"

/*
 * A path as an array of keys: an array is taken as it is, a string is split at
 * "/", leading slashes ignored, ~1 and ~0 replaced.  REGO_FAILED, without an
 * error text, for any other kind.
 */
enum rego_outcome builtin_path(struct rego_call *call, value path, value *out);
