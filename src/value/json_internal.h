/*
 * What the JSON reader tells document.c while it reads.
 */
#pragma once

#include "value/json.h"

/* Follows the reader through a document; offsets are into its text. */
struct json_tracker;
void json_track_member(struct json_tracker *t, struct str key, size_t offset);
void json_track_element(struct json_tracker *t, size_t index, size_t offset);
void json_track_leave(struct json_tracker *t);

/* As json_parse_prefix(); `tracker` may be NULL, and with a NULL `used` nothing may follow. */
enum status json_read(struct arena *a, struct str text, const struct json_options *options,
                      struct json_tracker *tracker, value *out, size_t *used, struct error *err);

/* Line and column of an offset, both 1-based, columns in characters. */
void json_position(struct str text, size_t offset, uint32_t *line, uint32_t *col);
