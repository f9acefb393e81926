#include "base/encode.h"
#include "net/http_head.h"

/*
 *   SIZE --blank--> SIZE_BLANK --";"--> EXTENSION
 *    |                  |                  |
 *    +--CR--> SIZE_LF <-+--------CR--------+
 *                |
 *         size > 0: DATA -> DATA_CR -> DATA_LF -> SIZE
 *         size = 0: TRAILER, lines until an empty one -> DONE
 */
enum {
    SIZE_FIRST, /* at least one digit */
    SIZE,
    SIZE_BLANK,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* at the beginning of a trailer line */
    TRAILER,
    TRAILER_LF,
    LAST_LF,
    FINISHED,
};

void http_chunked_init(struct http_chunked *c)
{
    *c = (struct http_chunked){.state = SIZE_FIRST};
}

/* Part of a line that is read and dropped: bounded, and without control characters. */
static bool skip_byte(struct http_chunked *c, char byte)
{
    if (++c->line > HTTP_CHUNK_LINE_MAX || ++c->overhead > HTTP_CHUNK_OVERHEAD_MAX)
        return false;
    return http_is_field_value((struct str){&byte, 1});
}

static bool size_digit(struct http_chunked *c, int digit)
{
    if (digit < 0 || ++c->line > 16 || c->left > UINT64_MAX / 16)
        return false; /* a longer number is an attack on somebody's integers */
    c->left = c->left * 16 + (uint64_t)digit;
    return true;
}

/* The size line is complete. */
static enum http_parse size_done(struct http_chunked *c, const struct buf *out)
{
    c->line = 0;
    if (c->left == 0) {
        c->state = TRAILER_START;
        return HTTP_PARSE_MORE;
    }
    if (c->left > out->max - out->len)
        return HTTP_PARSE_LARGE;
    c->state = DATA;
    return HTTP_PARSE_MORE;
}

/* One byte of framing; MORE when it was fine. */
static enum http_parse frame_byte(struct http_chunked *c, char b, const struct buf *out)
{
    bool ok = true;
    switch (c->state) {
    case SIZE_FIRST:
        c->left = 0;
        c->line = 0;
        ok = size_digit(c, hex_digit(b));
        c->state = SIZE;
        break;
    case SIZE:
        if (b == '\r')
            c->state = SIZE_LF;
        else if (b == ';')
            c->state = EXTENSION;
        else if (b == ' ' || b == '\t') /* RFC 9112, 7.1.1: bad, but to be understood */
            c->state = SIZE_BLANK;
        else
            ok = size_digit(c, hex_digit(b));
        break;
    case SIZE_BLANK:
        if (b == '\r')
            c->state = SIZE_LF;
        else if (b == ';')
            c->state = EXTENSION;
        else
            ok = (b == ' ' || b == '\t') && skip_byte(c, b);
        break;
    case EXTENSION:
        if (b == '\r')
            c->state = SIZE_LF;
        else
            ok = skip_byte(c, b);
        break;
    case SIZE_LF:
        return b == '\n' ? size_done(c, out) : HTTP_PARSE_BAD;
    case DATA_CR:
        ok = b == '\r';
        c->state = DATA_LF;
        break;
    case DATA_LF:
        ok = b == '\n';
        c->state = SIZE_FIRST;
        break;
    case TRAILER_START:
        c->line = 0;
        c->state = b == '\r' ? LAST_LF : TRAILER;
        /* A trailer begins with a name: no obs-fold, no colon first. */
        ok = b == '\r' || (http_is_token((struct str){&b, 1}) && skip_byte(c, b));
        break;
    case TRAILER:
        if (b == '\r')
            c->state = TRAILER_LF;
        else
            ok = skip_byte(c, b);
        break;
    case TRAILER_LF:
        ok = b == '\n';
        c->state = TRAILER_START;
        break;
    case LAST_LF:
        c->state = FINISHED;
        return b == '\n' ? HTTP_PARSE_DONE : HTTP_PARSE_BAD;
    default:
        return HTTP_PARSE_BAD; /* fed again after the end or an error */
    }
    return ok ? HTTP_PARSE_MORE : HTTP_PARSE_BAD;
}

enum http_parse http_chunked_feed(struct http_chunked *c, struct str in, size_t *used,
                                  struct buf *out)
{
    enum http_parse st = HTTP_PARSE_MORE;
    size_t i = 0;
    while (i < in.len && st == HTTP_PARSE_MORE) {
        if (c->state != DATA) {
            st = frame_byte(c, in.ptr[i++], out);
            continue;
        }
        struct str part = str_slice(in, i, c->left < in.len - i ? (size_t)c->left : in.len - i);
        buf_add(out, part);
        if (buf_status(out) != OK)
            st = buf_status(out) == ERR_LIMIT ? HTTP_PARSE_LARGE : HTTP_PARSE_NOMEM;
        i += part.len;
        c->left -= part.len;
        if (c->left == 0)
            c->state = DATA_CR;
    }
    if (st != HTTP_PARSE_MORE)
        c->state = FINISHED;
    *used = i;
    return st;
}
