/*
 * Heads: parsed as the bytes come, the verdict is at every split that of the
 * whole; slices stay inside; what was accepted, written again from its parts,
 * is accepted with the same parts.
 */
#include <stdlib.h>

#include "net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

typedef enum http_parse parse_fn(struct str, size_t *, struct http_head *, size_t *);

static bool inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_splits(parse_fn *parse, struct str text, enum http_parse whole, size_t used)
{
    size_t scan = 0, step = text.len > 1024 ? 61 : 1;
    for (size_t n = 0;; n = text.len - n < step ? text.len : n + step) {
        struct http_head head;
        size_t part_used = 0;
        enum http_parse st = parse(str_slice(text, 0, n), &scan, &head, &part_used);
        PROPERTY(st == HTTP_PARSE_MORE || st == whole);
        PROPERTY(st != HTTP_PARSE_DONE || part_used == used);
        if (st != HTTP_PARSE_MORE)
            return;
        if (n == text.len) {
            PROPERTY(whole == HTTP_PARSE_MORE);
            return;
        }
    }
}

static void check_again(parse_fn *parse, const struct http_head *h)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 22);
    if (h->status == 0) {
        buf_add(&b, h->method);
        buf_add_cstr(&b, " ");
        buf_add(&b, h->target);
        buf_add_format(&b, " HTTP/1.%d\r\n", h->minor);
    } else {
        buf_add_format(&b, "HTTP/1.%d %03d\r\n", h->minor, h->status);
    }
    for (size_t i = 0; i < h->field_count; i++) {
        buf_add(&b, h->fields[i].name);
        buf_add_cstr(&b, ":");
        buf_add(&b, h->fields[i].value);
        buf_add_cstr(&b, "\r\n");
    }
    buf_add_cstr(&b, "\r\n");

    struct http_head again;
    size_t scan = 0, used = 0;
    PROPERTY(parse(buf_str(&b), &scan, &again, &used) == HTTP_PARSE_DONE && used == b.len);
    PROPERTY(again.field_count == h->field_count && again.minor == h->minor);
    PROPERTY(again.status == h->status && again.length == h->length);
    PROPERTY(again.chunked == h->chunked && again.has_length == h->has_length);
    PROPERTY(again.keep_alive == h->keep_alive && again.expect_continue == h->expect_continue);
    PROPERTY(str_equal(again.method, h->method) && str_equal(again.target, h->target));
    for (size_t i = 0; i < h->field_count; i++)
        PROPERTY(str_equal(again.fields[i].value, h->fields[i].value));
}

static void check_one(parse_fn *parse, struct str text)
{
    struct http_head head;
    size_t scan = 0, used = 0;
    enum http_parse st = parse(text, &scan, &head, &used);
    check_splits(parse, text, st, used);
    if (st != HTTP_PARSE_DONE)
        return;
    PROPERTY(used <= text.len && !(head.chunked && head.has_length));
    PROPERTY(inside(head.method, text));
    for (size_t i = 0; i < head.field_count; i++)
        PROPERTY(inside(head.fields[i].name, text) && inside(head.fields[i].value, text));
    check_again(parse, &head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_bytes(data, size > 65536 ? 65536 : size);
    check_one(http_head_parse_request, text);
    check_one(http_head_parse_response, text);
    return 0;
}
