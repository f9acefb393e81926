/*
 * Chunked bodies: fed in any pieces, verdict, body and bytes used are those of
 * the whole; and what we encode is what is decoded.
 */
#include <stdlib.h>

#include "net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

#define BODY_MAX 4096

static enum http_parse feed(struct str in, size_t step, size_t *used, struct buf *body)
{
    struct http_chunked c;
    http_chunked_init(&c);
    enum http_parse st = HTTP_PARSE_MORE;
    size_t at = 0;
    while (st == HTTP_PARSE_MORE && at < in.len) {
        struct str part = str_slice(in, at, step);
        size_t n = 0;
        st = http_chunked_feed(&c, part, &n, body);
        PROPERTY(n <= part.len && (st != HTTP_PARSE_MORE || n == part.len));
        at += n;
    }
    *used = at;
    return st;
}

static void check_encoded(struct str body)
{
    CLEANUP(buf_done) struct buf text, out;
    buf_init(&text, 1 << 20);
    buf_init(&out, BODY_MAX);
    size_t at = 0;
    while (at < body.len) {
        struct str part = str_slice(body, at, 1 + ((uint8_t)body.ptr[at] & 63));
        buf_add_format(&text, "%zx;x\r\n", part.len);
        buf_add(&text, part);
        buf_add_cstr(&text, "\r\n");
        at += part.len;
    }
    buf_add_cstr(&text, "0\r\nA: b\r\n\r\n");
    size_t used;
    PROPERTY(feed(buf_str(&text), 7, &used, &out) == HTTP_PARSE_DONE && used == text.len);
    PROPERTY(str_equal(buf_str(&out), body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_bytes(data, size);
    CLEANUP(buf_done) struct buf whole;
    buf_init(&whole, BODY_MAX);
    size_t used;
    enum http_parse st = feed(in, size + 1, &used, &whole);
    PROPERTY(whole.len <= BODY_MAX);

    const size_t steps[] = {1, 2, 3, 17};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        CLEANUP(buf_done) struct buf part;
        buf_init(&part, BODY_MAX);
        size_t part_used;
        PROPERTY(feed(in, steps[i], &part_used, &part) == st && part_used == used);
        /* Past the limit a chunk may or may not have been copied in part. */
        PROPERTY(st == HTTP_PARSE_LARGE || str_equal(buf_str(&part), buf_str(&whole)));
    }
    if (size <= BODY_MAX)
        check_encoded(in);
    return 0;
}
