/*
 * Positions while they are collected: shared by the three readers.
 */
#pragma once

#include "base/buf.h"
#include "value/document.h"

/* Append a reference token with its slash, escaped (RFC 6901, 3). */
void pointer_add_key(struct buf *pointer, struct str key);
void pointer_add_index(struct buf *pointer, size_t index);

/* Remember where `pointer` stood; it is copied into the arena.  False: see arena_status(). */
bool positions_add(struct positions *p, struct arena *a, struct str pointer, uint32_t line,
                   uint32_t col);

/* Line and column of offsets that only grow, so that a text is looked through once. */
struct line_tracker {
    struct str text;
    size_t offset; /* line and col belong to it */
    uint32_t line;
    uint32_t col;
};

void line_tracker_init(struct line_tracker *t, struct str text);
void line_tracker_move(struct line_tracker *t, size_t offset);

/* Follows the JSON reader (json_internal.h). */
struct json_tracker {
    struct arena *arena;
    struct positions *positions;
    struct line_tracker lines;
    struct buf pointer;
    size_t depth;
    size_t lengths[VALUE_DEPTH_MAX]; /* of the pointer, before each open item */
};
