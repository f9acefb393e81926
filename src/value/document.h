/*
 * document - a configuration file of any format as a value that knows where
 * each part stood.
 *
 * TOML 1.0 (ours), YAML (libyaml; the JSON-compatible core schema, no tags, no
 * merge keys, aliases expanded under the arena's limit), JSON.  All end in the
 * same values.  TOML dates and times become strings in RFC 3339 form; floats
 * nan and inf are refused unless the options ask for text.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "value/value.h"

struct position {
    struct str pointer; /* RFC 6901 pointer of the member or element */
    uint32_t line, col; /* of its key, or of the element; 1-based */
};

struct positions {
    struct position *items; /* in the arena, in source order */
    size_t len;
    size_t cap;
};

/* Position of a pointer, of its nearest recorded ancestor, or NULL. */
const struct position *positions_find(const struct positions *p, struct str pointer);

enum document_format { DOCUMENT_TOML, DOCUMENT_YAML, DOCUMENT_JSON };

/* By the end of a file name: .toml, .yaml, .yml, .json; false for others. */
bool document_format_of(struct str path, enum document_format *out);

/*
 * `positions` may be NULL.  A YAML stream must hold one document (an empty one
 * is null).  Duplicate keys are refused in all three.  Errors carry line and column.
 */
STATUS document_parse(struct arena *a, struct str text, enum document_format format, value *out,
                      struct positions *positions, struct error *err);

STATUS toml_parse(struct arena *a, struct str text, value *out, struct positions *positions,
                  struct error *err);
STATUS yaml_parse(struct arena *a, struct str text, value *out, struct positions *positions,
                  struct error *err);

/*
 * For the toml-test suite: as toml_parse(), but every scalar becomes the
 * object {"type": ..., "value": text} that the suite compares.
 */
STATUS toml_parse_tagged(struct arena *a, struct str text, value *out, struct error *err);
