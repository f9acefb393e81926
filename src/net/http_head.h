/*
 * http_head - RFC 9112 request and response heads, read strictly.
 *
 * Two parties that read the same bytes differently are a smuggling hole, so
 * whatever another reader might take differently is refused: bare LF or CR,
 * obs-fold, white space before the colon, control characters, empty header
 * names, more than one Host (or none in HTTP/1.1), Content-Length that is
 * repeated or no plain number, Content-Length beside Transfer-Encoding, any
 * transfer coding but a single final "chunked", HTTP versions other than 1.0
 * and 1.1, targets other than origin-form (and "*" for OPTIONS, absolute-form
 * with http or https, whose authority is dropped).
 *
 * Nothing here allocates.  Parsing the bytes of a head as they come gives, at
 * every split, the answer that the whole gives.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

#define HTTP_HEADERS_MAX 100 /* more: HTTP_PARSE_LARGE.  Proxies add ten or so */

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
    HTTP_PARSE_LARGE,   /* 431: more than HTTP_HEADERS_MAX fields; chunked: the body's limit, 413 */
    HTTP_PARSE_NOMEM,   /* chunked only: 500 */
};

/*
 * Parse a whole request head at the start of `text`; on DONE *used is its
 * length including the empty line.  Slices point into `text` (but for the
 * target "/" of an absolute-form without a path).  `scan_from` is where an
 * earlier MORE ended, so that slow senders do not cost quadratic time (0 at
 * first; updated).  One empty line in front is skipped (RFC 9112, 2.2).
 * Unless DONE, *out holds nothing of use.
 */
enum http_parse http_head_parse_request(struct str text, size_t *scan_from, struct http_head *out,
                                        size_t *used);
enum http_parse http_head_parse_response(struct str text, size_t *scan_from, struct http_head *out,
                                         size_t *used);

/* First field of that name, case-insensitive; ptr NULL when absent. */
struct str http_head_get(const struct http_head *h, const char *name);

/* A token of RFC 9110, 5.6.2: not empty, no blanks, no separators. */
bool http_is_token(struct str s);

/* Nothing below 0x20 but tabs, no DEL: what may stand in a field value. */
bool http_is_field_value(struct str s);

/* ASCII letters compare without case. */
bool http_equal_nocase(struct str a, struct str b);

/* First value of that name in raw "Name: value" lines, as libcurl hands them out; ptr NULL: none.
 */
struct str http_lines_get(struct str lines, const char *name);

/*
 * Incremental chunked body decoding (RFC 9112, 7.1).  Extensions are ignored,
 * trailers are read and dropped, both within limits.
 */
#define HTTP_CHUNK_LINE_MAX 4096      /* a size line with its extensions, or a trailer line */
#define HTTP_CHUNK_OVERHEAD_MAX 65536 /* all extensions and trailers of a body together */

struct http_chunked {
    uint64_t left; /* of the present chunk */
    int state;
    size_t line;     /* bytes of the current line, to bound it */
    size_t overhead; /* bytes of extensions and trailers so far */
};
void http_chunked_init(struct http_chunked *c);
/*
 * Consume from `in`; bytes of the body are appended to `out` (its max is the
 * limit: LARGE, already for a chunk whose announced size would pass it).
 * *used is how much of `in` was taken: all of it unless DONE or an error.
 */
enum http_parse http_chunked_feed(struct http_chunked *c, struct str in, size_t *used,
                                  struct buf *out);
