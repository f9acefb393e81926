#include "net/fetch_internal.h"

/* ---- writing ---- */

static void put_u32(struct buf *b, uint32_t n)
{
    char bytes[4];
    store_be32(bytes, n);
    buf_add(b, str_bytes(bytes, sizeof(bytes)));
}

static void put_str(struct buf *b, struct str s)
{
    put_u32(b, (uint32_t)s.len); /* the frame's limit is far below 32 bits */
    buf_add(b, s);
}

/* Room for the length, which is known when the frame is whole. */
static size_t begin(struct buf *b, char kind)
{
    size_t start = b->len;
    put_u32(b, 0);
    buf_add_byte(b, kind);
    return start;
}

static void end(struct buf *b, size_t start)
{
    if (buf_status(b) == OK)
        store_be32(b->ptr + start, (uint32_t)(b->len - start - 4));
}

void fetch_write_config(struct buf *out, const struct fetch_config *c)
{
    size_t start = begin(out, 'C');
    put_u32(out, c->timeout_ms);
    put_u32(out, c->body_max);
    put_str(out, c->ca_file);
    put_str(out, c->any_certificate);
    put_u32(out, c->allow_count);
    for (uint32_t i = 0; i < c->allow_count; i++)
        put_str(out, c->allow[i]);
    end(out, start);
}

void fetch_write_job(struct buf *out, const struct fetch_job *j)
{
    size_t start = begin(out, 'R');
    put_u32(out, j->id);
    put_str(out, j->method);
    put_str(out, j->url);
    put_u32(out, j->header_count);
    for (uint32_t i = 0; i < j->header_count; i++)
        put_str(out, j->headers[i]);
    put_str(out, j->body);
    end(out, start);
}

void fetch_write_result(struct buf *out, const struct fetch_result *r)
{
    size_t start = begin(out, 'A');
    put_u32(out, r->id);
    put_u32(out, (uint32_t)r->status);
    put_u32(out, r->http_status);
    put_u32(out, r->retry_after_s);
    put_str(out, r->headers);
    put_str(out, r->body);
    put_str(out, r->text);
    end(out, start);
}

/* ---- reading ---- */

struct cursor {
    struct str rest;
    bool bad;
};

static uint32_t get_u32(struct cursor *c)
{
    if (c->bad || c->rest.len < 4) {
        c->bad = true;
        return 0;
    }
    uint32_t n = load_be32(c->rest.ptr);
    c->rest = str_from(c->rest, 4);
    return n;
}

static struct str get_str(struct cursor *c)
{
    uint32_t n = get_u32(c);
    if (c->bad || n > c->rest.len) {
        c->bad = true;
        return STR_EMPTY;
    }
    struct str s = str_slice(c->rest, 0, n);
    c->rest = str_from(c->rest, n);
    return s;
}

static void get_list(struct cursor *c, struct str *items, uint32_t max, uint32_t *count)
{
    uint32_t n = get_u32(c);
    if (n > max)
        c->bad = true;
    for (uint32_t i = 0; !c->bad && i < n; i++)
        items[i] = get_str(c);
    *count = c->bad ? 0 : n;
}

static struct cursor open_frame(struct str content, char kind)
{
    if (content.len == 0 || content.ptr[0] != kind)
        return (struct cursor){STR_EMPTY, true};
    return (struct cursor){str_from(content, 1), false};
}

static bool is_whole(const struct cursor *c)
{
    return !c->bad && c->rest.len == 0;
}

bool fetch_read_config(struct str content, struct fetch_config *out)
{
    struct cursor c = open_frame(content, 'C');
    out->timeout_ms = get_u32(&c);
    out->body_max = get_u32(&c);
    out->ca_file = get_str(&c);
    out->any_certificate = get_str(&c);
    get_list(&c, out->allow, FETCH_ALLOW_MAX, &out->allow_count);
    return is_whole(&c) && out->timeout_ms > 0 && out->timeout_ms <= INT32_MAX &&
           out->body_max <= FETCH_BODY_MAX;
}

bool fetch_read_job(struct str content, struct fetch_job *out)
{
    struct cursor c = open_frame(content, 'R');
    out->id = get_u32(&c);
    out->method = get_str(&c);
    out->url = get_str(&c);
    get_list(&c, out->headers, FETCH_REQUEST_HEADERS_MAX, &out->header_count);
    out->body = get_str(&c);
    return is_whole(&c);
}

bool fetch_read_result(struct str content, struct fetch_result *out)
{
    struct cursor c = open_frame(content, 'A');
    out->id = get_u32(&c);
    uint32_t status = get_u32(&c);
    out->status = (enum status)status;
    out->http_status = get_u32(&c);
    out->retry_after_s = get_u32(&c);
    out->headers = get_str(&c);
    out->body = get_str(&c);
    out->text = get_str(&c);
    return is_whole(&c) && status <= ERR_INTERNAL && out->http_status <= 999 &&
           out->headers.len <= FETCH_HEADERS_MAX && out->body.len <= FETCH_BODY_MAX &&
           out->text.len < ERROR_TEXT_MAX && (status != OK || out->http_status >= 100);
}

enum fetch_frame fetch_next_frame(struct str in, struct str *content, size_t *used)
{
    if (in.len < 4)
        return FETCH_FRAME_MORE;
    uint32_t n = load_be32(in.ptr);
    if (n > FETCH_FRAME_MAX)
        return FETCH_FRAME_BAD;
    if (in.len - 4 < n)
        return FETCH_FRAME_MORE;
    *content = str_slice(in, 4, n);
    *used = 4 + (size_t)n;
    return FETCH_FRAME_DONE;
}
