#include <stdio.h>

#include "net/server_internal.h"

/* A body up to this goes out with its head: one TLS record, one system call. */
#define SMALL_BODY_MAX 14336

static void add_number(struct buf *b, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_add(b, str_bytes(digits + i, sizeof(digits) - i));
}

/* RFC 9110, 8.6 and 15: these have no body, and 1xx and 204 no Content-Length, either. */
static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void add_head(struct exchange *ex, struct reactor *r)
{
    struct http_exchange *x = &ex->x;
    struct buf *b = &ex->wire;
    buf_reset(b);
    buf_reserve(b, 128 + x->headers.len);
    buf_add(b, STR("HTTP/1.1 "));
    add_number(b, (uint64_t)x->status);
    buf_add_byte(b, ' ');
    buf_add_cstr(b, http_reason(x->status));
    buf_add(b, STR("\r\nDate: "));
    buf_add(b, reactor_date(r));
    if (!has_no_body(x->status)) {
        buf_add(b, STR("\r\nContent-Length: "));
        add_number(b, x->out.len);
    }
    if (x->close)
        buf_add(b, STR("\r\nConnection: close"));
    else if (ex->head.minor == 0)
        buf_add(b, STR("\r\nConnection: keep-alive"));
    buf_add(b, STR("\r\n"));
    buf_add(b, buf_str(&x->headers));
    buf_add(b, STR("\r\n"));
}

void answer_prepare(struct exchange *ex, struct reactor *r)
{
    struct http_exchange *x = &ex->x;
    bool failed = buf_status(&x->out) != OK || buf_status(&x->headers) != OK || x->status < 200 ||
                  x->status > 599;
    if (failed) {
        x->status = 500;
        buf_reset(&x->out);
        buf_reset(&x->headers);
    }
    if (r->draining || !ex->head.keep_alive)
        x->close = true;

    add_head(ex, r);
    ex->sent = 0;
    if (has_no_body(x->status) || x->method == HTTP_HEAD)
        buf_reset(&x->out);
    x->body_len = x->out.len;
    if (x->out.len > 0 && x->out.len <= SMALL_BODY_MAX) {
        buf_add(&ex->wire, buf_str(&x->out));
        buf_reset(&x->out);
    }
    if (buf_status(&ex->wire) != OK) {
        /* No memory for a head: an empty answer closes the connection. */
        buf_reset(&ex->wire);
        buf_reset(&x->out);
        x->close = true;
    }
}

void answer_refuse(struct exchange *ex, int status)
{
    struct http_exchange *x = &ex->x;
    ex->refused = true;
    ex->head.keep_alive = false;
    ex->head.minor = 1;
    x->status = status;
    x->close = true;
    buf_reset(&x->headers);
    buf_reset(&x->out);
    if (status == 413) { /* kbs.md 2.1 */
        buf_add(&x->headers, STR("Content-Type: text/plain; charset=utf-8\r\n"));
        buf_add(&x->out, STR("payload reached size limit"));
    }
}
