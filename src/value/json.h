/*
 * json - RFC 8259 in and out of values.
 *
 * The reader is strict: UTF-8 only, no byte-order mark, no lone surrogates,
 * nothing after the value, depth and size bounded.  Errors carry line and
 * column (both 1-based, columns count characters).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "value/value.h"

#define JSON_DEPTH_MAX 128 /* of a request; kbs.md 2.1 */

enum json_duplicates {
    JSON_DUP_REFUSE, /* requests and evidence: two meanings are one too many */
    JSON_DUP_LAST,   /* policy data, as OPA reads it */
};

struct json_options {
    enum json_duplicates duplicates;
    unsigned depth_max; /* 0: JSON_DEPTH_MAX; at most VALUE_DEPTH_MAX */
};

/* Whole text, one value.  ERR_INVALID, ERR_LIMIT (depth, arena), ERR_NOMEM.  `options` may be NULL.
 */
STATUS json_parse(struct arena *a, struct str text, const struct json_options *options, value *out,
                  struct error *err);

/*
 * One value at the start of `text`; *used is the number of bytes read, without
 * following white space.  For texts in which JSON is followed by something else.
 */
STATUS json_parse_prefix(struct arena *a, struct str text, const struct json_options *options,
                         value *out, size_t *used, struct error *err);

enum json_style {
    JSON_COMPACT,
    JSON_PRETTY,    /* two spaces, as `opa eval` prints */
    JSON_CANONICAL, /* RFC 8785: members by UTF-16 code units, numbers as ECMAScript prints them */
    JSON_GO,        /* compact, with < > & U+2028 U+2029 escaped: Rego's json.marshal */
};

/*
 * Append the text of a value.  Sets become arrays in order; non-string keys
 * become their JSON text (later ones win); strings with invalid UTF-8 get
 * U+FFFD.  JSON_CANONICAL refuses with ERR_INVALID what RFC 8785 has no form
 * for: sets, non-string keys, strings of invalid UTF-8, numbers that are no
 * finite double; the undefined value is refused in every style.  Other
 * failures are the buf's.
 */
STATUS json_write(struct buf *out, value v, enum json_style style);

/* The text in the arena; {NULL, 0} on failure. */
struct str json_text(struct arena *a, value v, enum json_style style);

/* A JSON string literal with its quotes. */
void json_write_string(struct buf *out, struct str s);

/*
 * A writer for texts whose member order matters (tokens, RCAR bodies):
 *
 *   json_begin(&w, buf); json_object_begin(&w); json_key(&w, "nonce"); json_string(&w, s);
 *   json_object_end(&w); st = json_finish(&w);
 *
 * Commas are its business.  Misuse (a value without key in an object, too
 * deep, unbalanced) is remembered as ERR_INTERNAL.
 */
#define JSON_WRITER_DEPTH 32
struct json_writer {
    struct buf *out;
    uint8_t depth;
    uint8_t state[JSON_WRITER_DEPTH]; /* see json.c */
    enum status failed;
};

void json_begin(struct json_writer *w, struct buf *out);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_key_str(struct json_writer *w, struct str key);
void json_string(struct json_writer *w, struct str s);
void json_cstring(struct json_writer *w, const char *s);
void json_int(struct json_writer *w, int64_t n);
void json_bool(struct json_writer *w, bool b);
void json_null(struct json_writer *w);
void json_value(struct json_writer *w, value v);       /* compact; undefined is written as null */
void json_raw(struct json_writer *w, struct str text); /* JSON text, believed */
STATUS json_finish(struct json_writer *w);
