/*
 * What holds for a document of any format: each position leads to a part of
 * the value, positions come in the order of the text, and the value is JSON.
 */
#pragma once

#include <stdlib.h>

#include "base/arena.h"
#include "value/document.h"
#include "value/json.h"

#define MEMORY (64u << 20)

static inline void must(bool ok)
{
    if (!ok)
        abort();
}

static inline void check_document(struct arena *a, value v, const struct positions *positions)
{
    const struct position *before = NULL;
    for (size_t i = 0; i < positions->len; i++) {
        const struct position *p = &positions->items[i];
        must(value_is_defined(value_pointer(v, p->pointer)));
        must(p->line > 0 && p->col > 0);
        must(before == NULL || before->line < p->line ||
             (before->line == p->line && before->col <= p->col));
        before = p;
        if (i < 100) {
            const struct position *found = positions_find(positions, p->pointer);
            must(found != NULL && str_equal(found->pointer, p->pointer));
        }
    }

    struct str text = json_text(a, v, JSON_COMPACT);
    must(text.ptr != NULL || arena_status(a) != OK);
    if (text.ptr == NULL)
        return;
    value again = VALUE_UNDEFINED;
    struct json_options options = {.depth_max = VALUE_DEPTH_MAX};
    enum status st = json_parse(a, text, &options, &again, NULL);
    must(st == ERR_LIMIT || (st == OK && value_equal(again, v)));
}
