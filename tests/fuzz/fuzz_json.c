/*
 * The JSON reader: json_parse() and json_parse_prefix() above json_read().  What reads can be
 * written in every style and reads back as an equal value; the canonical form
 * is a fixed point.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/json.h"

#define MEMORY (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_reads_back(struct arena *a, value v, enum json_style style)
{
    /* a tenfold input can be written: each byte becomes six at most, and then there is indentation
     */
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, MEMORY);
    enum status st = json_write(&text, v, style);
    if (style == JSON_CANONICAL && st == ERR_INVALID)
        return; /* a number past the doubles */
    must(st == OK);

    value again = VALUE_UNDEFINED;
    struct json_options options = {.depth_max = VALUE_DEPTH_MAX};
    struct error err = ERROR_INIT;
    must(json_parse(a, buf_str(&text), &options, &again, &err) == OK);
    if (style != JSON_CANONICAL) {
        must(value_equal(v, again) && value_hash(v) == value_hash(again));
        return;
    }
    CLEANUP(buf_done) struct buf twice;
    buf_init(&twice, MEMORY);
    must(json_write(&twice, again, style) == OK && str_equal(buf_str(&text), buf_str(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct str text = str_bytes(data, size);
    struct json_options strict = {.depth_max = VALUE_DEPTH_MAX};
    struct json_options last = {.duplicates = JSON_DUP_LAST, .depth_max = VALUE_DEPTH_MAX};
    struct error err = ERROR_INIT;

    value v = VALUE_UNDEFINED;
    value w = VALUE_UNDEFINED;
    enum status st = json_parse(&a, text, &strict, &v, &err);
    must((st == OK) == value_is_defined(v));
    must(st == OK || (err.text[0] != '\0' && err.line > 0 && err.col > 0));

    /* what is accepted strictly means the same when the last duplicate wins */
    enum status lax = json_parse(&a, text, &last, &w, NULL);
    must(st != OK || (lax == OK && value_equal(v, w)));

    size_t used = 0;
    value prefix = VALUE_UNDEFINED;
    enum status head = json_parse_prefix(&a, text, &last, &prefix, &used, NULL);
    must(lax != OK || (head == OK && value_equal(prefix, w)));
    must(head != OK || used <= size);

    if (lax == OK) {
        check_reads_back(&a, w, JSON_COMPACT);
        check_reads_back(&a, w, JSON_PRETTY);
        check_reads_back(&a, w, JSON_GO);
        check_reads_back(&a, w, JSON_CANONICAL);
        must(value_equal(value_copy(&a, w), w));
    }
    return 0;
}
