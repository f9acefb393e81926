/*
 * schema - JSON Schema drafts 4, 6 and 7, for json.match_schema and
 * json.verify_schema (../shared/spec/rego.md 6.8).
 *
 * A schema is a value; it is checked once and then read directly.  References
 * lead within the schema ("#/definitions/x", "#name", its own "$id"); remote
 * ones are refused.  Every step is charged to the call, nesting (references
 * included) is bounded.  Documents are JSON: without sets or keys that are no
 * strings.
 */
#pragma once

#include "rego/builtin.h"

#define SCHEMA_DEPTH_MAX 200

struct schema {
    struct rego_call *call;
    value root;
    int draft; /* 4, 6, 7; 99: all of them at once, without "$schema" */
};

/*
 * REGO_VALUE: well-formed.  REGO_UNDEFINED: *why (in the arena) says what is
 * wrong, in the words of OPA's library.  REGO_FATAL as usual.
 */
enum rego_outcome schema_check(struct rego_call *call, value root, struct schema *out,
                               struct str *why);

/* The complaints about a document, an array of {desc, error, field, type}; empty: it matches. */
enum rego_outcome schema_validate(const struct schema *s, value doc, value *out);
