/*
 * http_head - RFC 9112 request and response heads, read strictly.
 *
 * Refused: bare LF or CR, obs-fold, white space before the colon, control
 * characters, empty header names, more than one Host, Content-Length that is
 * repeated or no plain number, Content-Length beside Transfer-Encoding, any
 * transfer coding but a single final "chunked", HTTP versions other than 1.0
 * and 1.1, targets other than origin-form (and "*" for OPTIONS, absolute-form
 * with http or https, whose authority is dropped).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

#define HTTP_HEADERS_MAX 100

struct http_field {
    struct str name, value; /* value without surrounding blanks */
};

struct http_head {
    struct str method, target; /* requests */
    int status;                /* responses */
    int minor;                 /* 0 or 1 */
    struct http_field fields[HTTP_HEADERS_MAX];
    size_t field_count;
    bool has_length, chunked;
    uint64_t length;
    bool keep_alive;      /* from version and Connection */
    bool expect_continue; /* 100-continue */
};

enum http_parse {
    HTTP_PARSE_DONE,
    HTTP_PARSE_MORE,    /* not all there yet */
    HTTP_PARSE_BAD,     /* 400 */
    HTTP_PARSE_VERSION, /* 505 */
    HTTP_PARSE_METHOD,  /* 501: a transfer coding that we don't speak */
};

/*
 * Parse a whole request head at the start of `text`; on DONE *used is its
 * length including the empty line.  Slices point into `text`.  `scan_from` is
 * where an earlier MORE ended, so that slow senders do not cost quadratic time
 * (0 at first; updated).
 */
enum http_parse http_head_parse_request(struct str text, size_t *scan_from, struct http_head *out,
                                        size_t *used);
enum http_parse http_head_parse_response(struct str text, size_t *scan_from, struct http_head *out,
                                         size_t *used);

/* Case-insensitive; ptr NULL when absent. */
struct str http_head_get(const struct http_head *h, const char *name);

/*
 * Incremental chunked body decoding (RFC 9112, 7.1).  Extensions are ignored,
 * trailers are read and dropped, both within limits.
 */
struct http_chunked {
    uint64_t left;
    int state;
    size_t line; /* bytes of the current line, to bound it */
};
void http_chunked_init(struct http_chunked *c);
/* Consume from `in`; bytes of the body are appended to `out` (its max is the limit). */
enum http_parse http_chunked_feed(struct http_chunked *c, struct str in, size_t *used,
                                  struct buf *out);
