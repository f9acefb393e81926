/*
 * positions - where each part of a document stood.
 */
#include "value/document_internal.h"
#include "value/json_internal.h"

void pointer_add_key(struct buf *pointer, struct str key)
{
    buf_add_byte(pointer, '/');
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '~')
            buf_add(pointer, STR("~0"));
        else if (key.ptr[i] == '/')
            buf_add(pointer, STR("~1"));
        else
            buf_add_byte(pointer, key.ptr[i]);
    }
}

void pointer_add_index(struct buf *pointer, size_t index)
{
    buf_add_format(pointer, "/%zu", index);
}

bool positions_add(struct positions *p, struct arena *a, struct str pointer, uint32_t line,
                   uint32_t col)
{
    if (p->len == p->cap) {
        size_t cap = p->cap == 0 ? 32 : p->cap * 2;
        struct position *items = arena_new_array(a, struct position, cap);
        if (items == NULL)
            return false;
        if (p->len > 0)
            memcpy(items, p->items, p->len * sizeof(*items));
        p->items = items;
        p->cap = cap;
    }
    struct str copy = arena_str(a, pointer);
    if (copy.ptr == NULL)
        return false;
    p->items[p->len++] = (struct position){copy, line, col};
    return true;
}

const struct position *positions_find(const struct positions *p, struct str pointer)
{
    const struct position *best = NULL;
    for (size_t i = 0; i < p->len; i++) {
        const struct position *x = &p->items[i];
        bool ancestor = str_has_prefix(pointer, x->pointer) &&
                        (pointer.len == x->pointer.len || pointer.ptr[x->pointer.len] == '/');
        if (ancestor && (best == NULL || x->pointer.len > best->pointer.len))
            best = x;
    }
    return best;
}

void line_tracker_init(struct line_tracker *t, struct str text)
{
    *t = (struct line_tracker){.text = text, .line = 1, .col = 1};
}

void line_tracker_move(struct line_tracker *t, size_t offset)
{
    for (; t->offset < offset && t->offset < t->text.len; t->offset++) {
        char c = t->text.ptr[t->offset];
        if (c == '\n') {
            t->line++;
            t->col = 1;
        } else if (((unsigned char)c & 0xc0) != 0x80) {
            t->col++;
        }
    }
}

void json_position(struct str text, size_t offset, uint32_t *line, uint32_t *col)
{
    struct line_tracker t;
    line_tracker_init(&t, text);
    line_tracker_move(&t, offset);
    *line = t.line;
    *col = t.col;
}

/* ---- following the JSON reader ---- */

static void track(struct json_tracker *t, size_t offset)
{
    line_tracker_move(&t->lines, offset);
    if (t->pointer.failed != OK)
        arena_fail(t->arena, t->pointer.failed);
    else
        positions_add(t->positions, t->arena, buf_str(&t->pointer), t->lines.line, t->lines.col);
}

void json_track_member(struct json_tracker *t, struct str key, size_t offset)
{
    t->lengths[t->depth++] = t->pointer.len;
    pointer_add_key(&t->pointer, key);
    track(t, offset);
}

void json_track_element(struct json_tracker *t, size_t index, size_t offset)
{
    t->lengths[t->depth++] = t->pointer.len;
    pointer_add_index(&t->pointer, index);
    track(t, offset);
}

void json_track_leave(struct json_tracker *t)
{
    t->pointer.len = t->lengths[--t->depth];
}
