/* Request and response heads, chunked bodies: each smuggling shape and its answer. */
#include <stdio.h>
#include <stdlib.h>

#include "net/http_head.h"
#include "tap.h"

#define H "Host: h\r\n"

/* The verdict on `text`, whole; at each split, too, the first verdict must be the same. */
static enum http_parse parse(struct str text, bool request, struct http_head *head, size_t *used,
                             bool *splits_agree)
{
    enum http_parse (*fn)(struct str, size_t *, struct http_head *, size_t *) =
        request ? http_head_parse_request : http_head_parse_response;
    size_t scan = 0;
    enum http_parse whole = fn(text, &scan, head, used);

    *splits_agree = true;
    size_t from = 0;
    for (size_t n = 0; n <= text.len; n++) {
        struct http_head part;
        size_t part_used = 0;
        enum http_parse st = fn(str_slice(text, 0, n), &from, &part, &part_used);
        if (st == HTTP_PARSE_MORE)
            continue;
        *splits_agree = st == whole && (st != HTTP_PARSE_DONE || part_used == *used);
        break;
    }
    return whole;
}

static void test_requests(void)
{
    const struct {
        const char *name;
        struct str text;
        enum http_parse want;
    } rows[] = {
        {"plain", STR("GET / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_DONE},
        {"HTTP/1.0 without host", STR("GET / HTTP/1.0\r\n\r\n"), HTTP_PARSE_DONE},
        {"one empty line in front", STR("\r\nGET / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_DONE},
        {"two empty lines in front", STR("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"nothing", STR(""), HTTP_PARSE_MORE},
        {"no empty line yet", STR("GET / HTTP/1.1\r\n" H), HTTP_PARSE_MORE},
        {"CR of the empty line only", STR("GET / HTTP/1.1\r\n" H "\r"), HTTP_PARSE_MORE},
        {"unknown method", STR("BREW / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_DONE},

        /* line ends */
        {"bare LF after the request line", STR("GET / HTTP/1.1\n" H "\r\n"), HTTP_PARSE_BAD},
        {"bare LF after a field", STR("GET / HTTP/1.1\r\nHost: h\n\r\n"), HTTP_PARSE_BAD},
        {"bare LF as empty line", STR("GET / HTTP/1.1\r\n" H "\n"), HTTP_PARSE_BAD},
        {"bare LFs throughout", STR("GET / HTTP/1.1\nHost: h\n\n"), HTTP_PARSE_BAD},
        {"bare CR in a value", STR("GET / HTTP/1.1\r\n" H "A: b\rC: d\r\n\r\n"), HTTP_PARSE_BAD},
        {"bare CR in front", STR("\rGET / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"CR CR LF", STR("GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n"), HTTP_PARSE_BAD},
        {"obs-fold with a blank", STR("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n"), HTTP_PARSE_BAD},
        {"obs-fold with a tab", STR("GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n"), HTTP_PARSE_BAD},
        {"obs-fold with a colon", STR("GET / HTTP/1.1\r\n" H "A: b\r\n c: d\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"blank before the first field", STR("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), HTTP_PARSE_BAD},

        /* request line */
        {"HTTP/0.9", STR("GET /\r\n\r\n"), HTTP_PARSE_BAD},
        {"two blanks", STR("GET  / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"tab as separator", STR("GET\t/ HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"blank after the version", STR("GET / HTTP/1.1 \r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"blank in the target", STR("GET /a b HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"NUL in the target", STR("GET /a\0 HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"DEL in the target", STR("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"beyond ASCII in the target", STR("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"fragment", STR("GET /a#b HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"no slash", STR("GET a HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"method with a colon", STR("GE:T / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"no method", STR(" / HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"TLS hello", STR("\x16\x03\x01\x02"), HTTP_PARSE_BAD},
        {"lower-case http", STR("GET / http/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"HTTP/1.2", STR("GET / HTTP/1.2\r\n" H "\r\n"), HTTP_PARSE_VERSION},
        {"HTTP/2.0", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_PARSE_VERSION},
        {"HTTP/1.10", STR("GET / HTTP/1.10\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"HTTP/01.1", STR("GET / HTTP/01.1\r\n" H "\r\n"), HTTP_PARSE_BAD},

        /* targets */
        {"OPTIONS *", STR("OPTIONS * HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_DONE},
        {"GET *", STR("GET * HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"absolute", STR("GET http://x/a?b HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_DONE},
        {"absolute without a path", STR("GET HTTPS://x:1 HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_DONE},
        {"absolute without an authority", STR("GET http:///a HTTP/1.1\r\n" H "\r\n"),
         HTTP_PARSE_BAD},
        {"absolute with user", STR("GET http://u@x/ HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"absolute, query first", STR("GET http://x?y HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"other scheme", STR("GET ftp://x/ HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},
        {"CONNECT", STR("CONNECT x:443 HTTP/1.1\r\n" H "\r\n"), HTTP_PARSE_BAD},

        /* fields */
        {"blank before the colon", STR("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), HTTP_PARSE_BAD},
        {"no colon", STR("GET / HTTP/1.1\r\n" H "A\r\n\r\n"), HTTP_PARSE_BAD},
        {"empty name", STR("GET / HTTP/1.1\r\n" H ": b\r\n\r\n"), HTTP_PARSE_BAD},
        {"NUL in a name", STR("GET / HTTP/1.1\r\n" H "A\0: b\r\n\r\n"), HTTP_PARSE_BAD},
        {"NUL in a value", STR("GET / HTTP/1.1\r\n" H "A: b\0\r\n\r\n"), HTTP_PARSE_BAD},
        {"control character in a long value",
         STR("GET / HTTP/1.1\r\n" H "A: 0123456789abcdef\x01\r\n\r\n"), HTTP_PARSE_BAD},
        {"DEL in a long value", STR("GET / HTTP/1.1\r\n" H "A: 01234567\x7f 9abcdef\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"tab inside a value", STR("GET / HTTP/1.1\r\n" H "A: 01234567\t9abcdef\r\n\r\n"),
         HTTP_PARSE_DONE},
        {"beyond ASCII in a value", STR("GET / HTTP/1.1\r\n" H "A: 0123456\xff\x80\r\n\r\n"),
         HTTP_PARSE_DONE},
        {"empty value", STR("GET / HTTP/1.1\r\n" H "A:\r\n\r\n"), HTTP_PARSE_DONE},

        /* Host */
        {"no Host", STR("GET / HTTP/1.1\r\n\r\n"), HTTP_PARSE_BAD},
        {"two Hosts", STR("GET / HTTP/1.1\r\n" H H "\r\n"), HTTP_PARSE_BAD},
        {"two Hosts, case", STR("GET / HTTP/1.1\r\n" H "HOST: i\r\n\r\n"), HTTP_PARSE_BAD},
        {"two Hosts in HTTP/1.0", STR("GET / HTTP/1.0\r\n" H H "\r\n"), HTTP_PARSE_BAD},
        {"Host with a path", STR("GET / HTTP/1.1\r\nHost: h/i\r\n\r\n"), HTTP_PARSE_BAD},
        {"Host with a blank", STR("GET / HTTP/1.1\r\nHost: h i\r\n\r\n"), HTTP_PARSE_BAD},
        {"Host with user", STR("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"), HTTP_PARSE_BAD},
        {"empty Host", STR("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_PARSE_DONE},
        {"Host, IPv6", STR("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), HTTP_PARSE_DONE},

        /* Content-Length */
        {"length", STR("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n"), HTTP_PARSE_DONE},
        {"length twice",
         STR("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"length twice, equal",
         STR("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"length list", STR("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"length +5", STR("POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"), HTTP_PARSE_BAD},
        {"length -5", STR("POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"), HTTP_PARSE_BAD},
        {"length 0x5", STR("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"), HTTP_PARSE_BAD},
        {"length 5 6", STR("POST / HTTP/1.1\r\n" H "Content-Length: 5 6\r\n\r\n"), HTTP_PARSE_BAD},
        {"length empty", STR("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), HTTP_PARSE_BAD},
        {"length of 19 digits",
         STR("POST / HTTP/1.1\r\n" H "Content-Length: 9999999999999999999\r\n\r\n"),
         HTTP_PARSE_DONE},
        {"length of 20 digits",
         STR("POST / HTTP/1.1\r\n" H "Content-Length: 10000000000000000000\r\n\r\n"),
         HTTP_PARSE_BAD},

        /* Transfer-Encoding */
        {"chunked", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
         HTTP_PARSE_DONE},
        {"Chunked", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"),
         HTTP_PARSE_DONE},
        {"TE.CL",
         STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"CL.TE",
         STR("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"TE.TE",
         STR("POST / HTTP/1.1\r\n" H
             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"TE.TE obscured",
         STR("POST / HTTP/1.1\r\n" H
             "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"chunked twice",
         STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"xchunked", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"quoted chunked", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"vertical tab before chunked",
         STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"chunked with parameter",
         STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;a=b\r\n\r\n"), HTTP_PARSE_BAD},
        {"chunked, identity",
         STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"identity", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"gzip", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"), HTTP_PARSE_BAD},
        {"gzip, chunked", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
         HTTP_PARSE_METHOD},
        {"gzip, chunked and a length",
         STR("POST / HTTP/1.1\r\n" H
             "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"empty coding", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), HTTP_PARSE_BAD},
        {"empty element", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: , chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"blank before the colon of TE",
         STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"), HTTP_PARSE_BAD},
        {"folded TE", STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
        {"chunked in HTTP/1.0", STR("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
         HTTP_PARSE_BAD},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_head head;
        size_t used = 0;
        bool agree;
        CHECK_ROW(parse(rows[i].text, true, &head, &used, &agree) == rows[i].want, rows[i].name);
        CHECK_ROW(agree, rows[i].name);
        CHECK_ROW(rows[i].want != HTTP_PARSE_DONE || used == rows[i].text.len, rows[i].name);
    }
}

static void test_meaning(void)
{
    const struct {
        const char *name;
        struct str text;
        bool keep, expect, chunked, has_length;
        uint64_t length;
        const char *target;
    } rows[] = {
        {"1.1 stays", STR("GET /a HTTP/1.1\r\n" H "\r\n"), true, 0, 0, 0, 0, "/a"},
        {"1.0 goes", STR("GET /a?b=c HTTP/1.0\r\n" H "\r\n"), false, 0, 0, 0, 0, "/a?b=c"},
        {"1.1 close", STR("GET / HTTP/1.1\r\n" H "Connection: foo, Close\r\n\r\n"), false, 0, 0, 0,
         0, "/"},
        {"1.0 keep-alive", STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true, 0, 0, 0,
         0, "/"},
        {"close wins",
         STR("GET / HTTP/1.1\r\n" H "Connection: close\r\nConnection: keep-alive\r\n\r\n"), false,
         0, 0, 0, 0, "/"},
        {"length", STR("PUT / HTTP/1.1\r\n" H "Content-Length: 0042\r\n\r\n"), true, 0, 0, true, 42,
         "/"},
        {"chunked", STR("PUT / HTTP/1.1\r\n" H "transfer-encoding:chunked\r\n\r\n"), true, 0, true,
         0, 0, "/"},
        {"expect", STR("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n"), true, true, 0, 0, 0,
         "/"},
        {"expect in 1.0", STR("PUT / HTTP/1.0\r\n" H "Expect: 100-continue\r\n\r\n"), 0, 0, 0, 0, 0,
         "/"},
        {"authority dropped", STR("GET http://evil/kbs?x HTTP/1.1\r\n" H "\r\n"), true, 0, 0, 0, 0,
         "/kbs?x"},
        {"no path", STR("GET http://evil HTTP/1.1\r\n" H "\r\n"), true, 0, 0, 0, 0, "/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_head h;
        size_t used, scan = 0;
        if (!CHECK_ROW(http_head_parse_request(rows[i].text, &scan, &h, &used) == HTTP_PARSE_DONE,
                       rows[i].name))
            continue;
        CHECK_ROW(h.keep_alive == rows[i].keep, rows[i].name);
        CHECK_ROW(h.expect_continue == rows[i].expect, rows[i].name);
        CHECK_ROW(h.chunked == rows[i].chunked, rows[i].name);
        CHECK_ROW(h.has_length == rows[i].has_length && h.length == rows[i].length, rows[i].name);
        CHECK_STR_ROW(h.target, str_of(rows[i].target), rows[i].name);
    }

    struct http_head h;
    size_t used = 0, scan = 0;
    struct str two =
        STR("GET /1 HTTP/1.1\r\nHost: h\r\nA: \t b c \t \r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
    CHECK(http_head_parse_request(two, &scan, &h, &used) == HTTP_PARSE_DONE);
    CHECK(str_has_prefix(str_from(two, used), STR("GET /2")));
    CHECK_STR(http_head_get(&h, "a"), STR("b c"));
    CHECK(http_head_get(&h, "b").ptr == NULL);
}

static void test_field_count(void)
{
    for (int count = HTTP_HEADERS_MAX; count <= HTTP_HEADERS_MAX + 1; count++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 65536);
        buf_add_cstr(&b, "GET / HTTP/1.1\r\nHost: h\r\n");
        for (int i = 1; i < count; i++)
            buf_add_format(&b, "X-%d: %d\r\n", i, i);
        buf_add_cstr(&b, "\r\n");
        struct http_head h;
        size_t used, scan = 0;
        CHECK(http_head_parse_request(buf_str(&b), &scan, &h, &used) ==
              (count <= HTTP_HEADERS_MAX ? HTTP_PARSE_DONE : HTTP_PARSE_LARGE));
    }
}

static void test_responses(void)
{
    const struct {
        const char *name;
        struct str text;
        enum http_parse want;
        int status;
    } rows[] = {
        {"plain", STR("HTTP/1.1 200 OK\r\n\r\n"), HTTP_PARSE_DONE, 200},
        {"no reason", STR("HTTP/1.1 204 \r\n\r\n"), HTTP_PARSE_DONE, 204},
        {"no blank", STR("HTTP/1.0 404\r\n\r\n"), HTTP_PARSE_DONE, 404},
        {"long reason", STR("HTTP/1.1 413 Payload Too Large\r\nA: b\r\n\r\n"), HTTP_PARSE_DONE,
         413},
        {"four digits", STR("HTTP/1.1 2000 OK\r\n\r\n"), HTTP_PARSE_BAD, 0},
        {"two digits", STR("HTTP/1.1 20 OK\r\n\r\n"), HTTP_PARSE_BAD, 0},
        {"below 100", STR("HTTP/1.1 099 OK\r\n\r\n"), HTTP_PARSE_BAD, 0},
        {"sign", STR("HTTP/1.1 +20 OK\r\n\r\n"), HTTP_PARSE_BAD, 0},
        {"control character", STR("HTTP/1.1 200 O\x01K\r\n\r\n"), HTTP_PARSE_BAD, 0},
        {"version 2", STR("HTTP/2.0 200 OK\r\n\r\n"), HTTP_PARSE_VERSION, 0},
        {"no version", STR("200 OK\r\n\r\n"), HTTP_PARSE_BAD, 0},
        {"both lengths",
         STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
         HTTP_PARSE_BAD, 0},
        {"bare LF", STR("HTTP/1.1 200 OK\n\n"), HTTP_PARSE_BAD, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_head head;
        size_t used = 0;
        bool agree;
        enum http_parse st = parse(rows[i].text, false, &head, &used, &agree);
        CHECK_ROW(st == rows[i].want && agree, rows[i].name);
        CHECK_ROW(st != HTTP_PARSE_DONE || head.status == rows[i].status, rows[i].name);
    }
}

static void test_chunked(void)
{
    const struct {
        const char *name;
        struct str text;
        enum http_parse want;
        const char *body;
        size_t rest; /* bytes left behind when done */
    } rows[] = {
        {"empty", STR("0\r\n\r\n"), HTTP_PARSE_DONE, "", 0},
        {"two chunks", STR("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), HTTP_PARSE_DONE, "abcde", 0},
        {"hex of both cases", STR("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
         HTTP_PARSE_DONE, "01234567890123456789", 0},
        {"leading zeros", STR("0003\r\nabc\r\n000\r\n\r\n"), HTTP_PARSE_DONE, "abc", 0},
        {"next request stays", STR("1\r\nx\r\n0\r\n\r\nGET"), HTTP_PARSE_DONE, "x", 3},
        {"extension", STR("1;a=b\r\nx\r\n0;c\r\n\r\n"), HTTP_PARSE_DONE, "x", 0},
        {"blank before the extension", STR("1 \t;a\r\nx\r\n0\r\n\r\n"), HTTP_PARSE_DONE, "x", 0},
        {"blank, then digits", STR("1 2\r\nx\r\n0\r\n\r\n"), HTTP_PARSE_BAD, "", 0},
        {"trailers", STR("1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n"), HTTP_PARSE_DONE, "x", 0},
        {"trailer, obs-fold", STR("0\r\nA: b\r\n c\r\n\r\n"), HTTP_PARSE_BAD, "", 0},
        {"trailer, bare LF", STR("0\r\nA: b\n\r\n"), HTTP_PARSE_BAD, "", 0},
        {"no size", STR("\r\nx\r\n"), HTTP_PARSE_BAD, "", 0},
        {"0x", STR("0x1\r\nx\r\n"), HTTP_PARSE_BAD, "", 0},
        {"sign", STR("+1\r\nx\r\n"), HTTP_PARSE_BAD, "", 0},
        {"blank in front", STR(" 1\r\nx\r\n"), HTTP_PARSE_BAD, "", 0},
        {"bare LF after the size", STR("1\nx\r\n"), HTTP_PARSE_BAD, "", 0},
        {"bare CR after the size", STR("1\rx"), HTTP_PARSE_BAD, "", 0},
        {"bare LF in an extension", STR("1;a\nx\r\n"), HTTP_PARSE_BAD, "", 0},
        {"bare LF after the data", STR("1\r\nx\n0\r\n\r\n"), HTTP_PARSE_BAD, "x", 0},
        {"data longer than said", STR("1\r\nxy\r\n"), HTTP_PARSE_BAD, "x", 0},
        {"bare LF at the end", STR("0\r\n\n"), HTTP_PARSE_BAD, "", 0},
        {"16 digits", STR("0000000000000001\r\nx\r\n0\r\n\r\n"), HTTP_PARSE_DONE, "x", 0},
        {"17 digits", STR("00000000000000001\r\n"), HTTP_PARSE_BAD, "", 0},
        {"huge", STR("ffffffffffffffff\r\n"), HTTP_PARSE_LARGE, "", 0},
        {"at the limit", STR("20\r\n0123456789abcdef0123456789abcdef\r\n0\r\n\r\n"),
         HTTP_PARSE_DONE, "0123456789abcdef0123456789abcdef", 0},
        {"one past the limit, announced", STR("21\r\n"), HTTP_PARSE_LARGE, "", 0},
        {"past the limit in pieces", STR("1\r\nx\r\n20\r\n"), HTTP_PARSE_LARGE, "x", 0},
        {"unfinished", STR("3\r\nab"), HTTP_PARSE_MORE, "ab", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str in = rows[i].text;
        for (size_t step = 1; step <= in.len; step = step < 4 ? step + 1 : step * 2 + 1) {
            CLEANUP(buf_done) struct buf body;
            buf_init(&body, 32);
            struct http_chunked c;
            http_chunked_init(&c);
            enum http_parse st = HTTP_PARSE_MORE;
            size_t at = 0;
            while (st == HTTP_PARSE_MORE && at < in.len) {
                size_t used = 0;
                st = http_chunked_feed(&c, str_slice(in, at, step), &used, &body);
                at += used;
            }
            CHECK_ROW(st == rows[i].want, rows[i].name);
            CHECK_STR_ROW(buf_str(&body), str_of(rows[i].body), rows[i].name);
            CHECK_ROW(st != HTTP_PARSE_DONE || in.len - at == rows[i].rest, rows[i].name);
        }
    }
}

/* What is dropped is bounded, too: a line, and all lines together. */
static void test_chunked_overhead(void)
{
    const struct {
        const char *name;
        size_t line, lines;
        enum http_parse want;
    } rows[] = {
        {"longest line", HTTP_CHUNK_LINE_MAX, 1, HTTP_PARSE_DONE},
        {"one past it", HTTP_CHUNK_LINE_MAX + 1, 1, HTTP_PARSE_BAD},
        {"all lines together", 1024, HTTP_CHUNK_OVERHEAD_MAX / 1024, HTTP_PARSE_DONE},
        {"one line more", 1024, HTTP_CHUNK_OVERHEAD_MAX / 1024 + 1, HTTP_PARSE_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf text, body;
        buf_init(&text, 1 << 20);
        buf_init(&body, 32);
        buf_add_cstr(&text, "0\r\n");
        for (size_t k = 0; k < rows[i].lines; k++) {
            for (size_t n = 0; n < rows[i].line; n++)
                buf_add_byte(&text, 'a');
            buf_add_cstr(&text, "\r\n");
        }
        buf_add_cstr(&text, "\r\n");
        struct http_chunked c;
        http_chunked_init(&c);
        size_t used;
        CHECK_ROW(http_chunked_feed(&c, buf_str(&text), &used, &body) == rows[i].want,
                  rows[i].name);
    }
}

int main(void)
{
    test_requests();
    test_meaning();
    test_field_count();
    test_responses();
    test_chunked();
    test_chunked_overhead();
    return tap_done();
}
