/* schema_internal - what the checker and the validator of schemas share. */
#pragma once

#include "rego/schema.h"

/* "array", "integer", ...: the type of a JSON value; integers are numbers without fraction. */
const char *schema_type_of(value v);

/* Where a "$ref" leads, or undefined with *why. */
value schema_resolve(const struct schema *s, struct str ref, struct str *why);

static inline bool schema_has_draft(const struct schema *s, int draft)
{
    return s->draft >= draft;
}

/* A compiled pattern, from the call's cache. */
struct regex;
enum rego_outcome schema_regex(struct rego_call *call, struct str pattern,
                               const struct regex **out);
