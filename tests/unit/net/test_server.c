/* The server over loopback, plain: bytes of an answer, keep-alive, limits, slowness, stop. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"
#include "tap.h"

#define H "Host: h\r\n"

/* What an answer of ours looks like, byte for byte but for its date. */
static void test_bytes(void)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return;
    int fd = raw_connect(f.address);
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);

    raw_send(fd, STR("HEAD /big?7 HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(fd, &text, true, &a));
    struct str head = buf_str(&a.head);
    CHECK_STR(str_slice(head, 0, 23), STR("HTTP/1.1 200 OK\r\nDate: "));
    CHECK_STR(str_slice(head, 48, 4), STR(" GMT"));
    CHECK_STR(str_from(head, 52), STR("\r\nContent-Length: 7\r\n\r\n"));

    raw_send(fd, STR("GET /none HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(fd, &text, true, &a));
    CHECK_STR(str_from(buf_str(&a.head), 60), STR("\r\n\r\n"));

    raw_send(fd,
             STR("POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    CHECK(raw_read_answer(fd, &text, true, &a));
    CHECK_STR(buf_str(&a.head), STR("HTTP/1.1 100 Continue\r\n\r\n"));
    raw_send(fd, STR("hi"));
    CHECK(raw_read_answer(fd, &text, false, &a) && a.status == 200);
    CHECK_STR(buf_str(&a.body), STR("hi"));

    raw_send(fd, STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 200000\r\n\r\n"));
    CHECK(raw_read_answer(fd, &text, false, &a) && a.status == 413);
    head = buf_str(&a.head);
    CHECK_STR(str_from(head, 67), STR("\r\nContent-Length: 26\r\nConnection: close\r\n"
                                      "Content-Type: text/plain; charset=utf-8\r\n\r\n"));
    CHECK(raw_at_end(fd));
    close(fd);
    CHECK(atomic_load(&f.done_calls) == 3); /* not for what we refused */
    struct http_stats stats = http_server_stats(f.server);
    CHECK(stats.requests == 3 && stats.refused == 1);
    raw_answer_done(&a);
    CHECK(fixture_stop(&f));
}

/* What the server refuses by itself is told once, with what could be read of it. */
static void test_refused(void)
{
    CLEANUP(buf_done) struct buf moved, fields;
    buf_init(&moved, 1 << 20); /* a body that makes the buffer move, and then is none */
    buf_add_cstr(&moved,
                 "POST /echo?q HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n10000\r\n");
    for (int i = 0; i < 0x10000; i++)
        buf_add_byte(&moved, 'x');
    buf_add_cstr(&moved, "\r\nz\r\n");
    buf_init(&fields, 1 << 20);
    buf_add_cstr(&fields, "GET /none HTTP/1.1\r\n" H);
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        buf_add_cstr(&fields, "A: b\r\n");
    buf_add_cstr(&fields, "\r\n");
    const struct {
        const char *name;
        struct str send;
        bool after; /* an answer to a good request */
        const char *want;
    } rows[] = {
        {"bare LF", STR("GET /\x1b[31m HTTP/1.1\n"), false, "-   400"},
        {"pipelined", STR("GET /none HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\n"), true, "-   400"},
        {"too many fields", buf_str(&fields), false, "-   431"},
        {"HTTP/2", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), false, "-   505"},
        {"coding", STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
         false, "-   501"},
        {"length", STR("POST /echo?a=b HTTP/1.1\r\n" H "Content-Length: 200000\r\n\r\n"), false,
         "POST /echo a=b 413 timed"},
        {"chunk", STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n30000\r\n"),
         false, "POST /echo  413 timed"},
        {"not a chunk", buf_str(&moved), false, "POST /echo q 400 timed"},
        {"half a body", STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nab"), false,
         "POST /echo  408 timed"}, /* the last: with a time-out that it waits for */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_limits l = fixture_limits();
        if (i == ARRAY_LEN(rows) - 1)
            l.body_timeout_ms = 100;
        struct fixture f;
        if (!CHECK(fixture_start(&f, l, NULL, 1)))
            return;
        struct raw_answer a;
        raw_answer_init(&a);
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        int fd = raw_connect(f.address);
        raw_send(fd, rows[i].send);
        CHECK_ROW(!rows[i].after || raw_read_answer(fd, &text, true, &a), rows[i].name);
        CHECK_ROW(raw_read_answer(fd, &text, false, &a) && a.close, rows[i].name);
        CHECK_ROW(WAIT_UNTIL(atomic_load(&f.refused_calls) == 1), rows[i].name);
        raw_answer_done(&a);
        close(fd);
        CHECK_ROW(fixture_stop(&f), rows[i].name);
        CHECK_STR_ROW(str_of(f.refused_line), str_of(rows[i].want), rows[i].name);
        CHECK_ROW(f.refused_calls == 1 && f.done_calls == rows[i].after, rows[i].name);
    }
}

/* ---- sizes ---- */

static void add_field(struct buf *b, size_t len)
{
    buf_add_cstr(b, "A: ");
    for (size_t i = 0; i < len; i++)
        buf_add_byte(b, 'a');
    buf_add_cstr(b, "\r\n\r\n");
}

static void test_head_limit(void)
{
    static const char start[] = "GET /echo HTTP/1.1\r\n" H;
    const size_t fixed = sizeof(start) - 1 + 3 + 4;
    const struct {
        const char *name;
        size_t size;
        int want;
    } rows[] = {
        {"at the limit", 131072, 200},
        {"one past it", 131073, 431},
        {"far beyond", 300000, 431},
    };
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf out, text;
        buf_init(&out, 1 << 20);
        buf_init(&text, 1 << 20);
        buf_add_cstr(&out, start);
        add_field(&out, rows[i].size - fixed);
        struct raw_answer a;
        raw_answer_init(&a);
        int fd = raw_connect(f.address);
        raw_send(fd, buf_str(&out));
        CHECK_ROW(raw_read_answer(fd, &text, false, &a) && a.status == rows[i].want, rows[i].name);
        CHECK_STR_ROW(buf_str(&a.body), STR(""), rows[i].name);
        CHECK_ROW(rows[i].want == 200 || raw_at_end(fd), rows[i].name);
        raw_answer_done(&a);
        close(fd);
    }
    CHECK(fixture_stop(&f));
}

/* Bodies that do not end hold a bounded amount of memory together, and small requests go on. */
static void test_held_bodies(void)
{
    enum { HELD = 8, LEN = 100000 };
    struct fixture f;
    struct http_limits limits = fixture_limits();
    limits.buffers_max = 4 * LEN; /* three of 128 KiB */
    if (!CHECK(fixture_start(&f, limits, NULL, 2)))
        return;
    CLEANUP(buf_done) struct buf almost, text;
    buf_init(&almost, 1 << 24);
    buf_init(&text, 1 << 24);
    struct raw_answer a;
    raw_answer_init(&a);
    buf_add_format(&almost, "POST /echo HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", LEN);
    for (int i = 0; i < LEN - 1; i++)
        buf_add_byte(&almost, 'x');

    for (int round = 0; round < 2; round++) { /* what was held is given back */
        int fds[HELD];
        uint64_t refused_before = http_server_stats(f.server).refused;
        for (int i = 0; i < HELD; i++) {
            /* Its fate is known before the next one comes: it is held whole, or refused. */
            struct http_stats before = http_server_stats(f.server);
            fds[i] = raw_connect(f.address);
            raw_send(fds[i], buf_str(&almost));
            CHECK(WAIT_UNTIL(http_server_stats(f.server).refused > before.refused ||
                             http_server_stats(f.server).buffered >= before.buffered + LEN));
            int fd = raw_connect(f.address);
            raw_send(fd, STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi"));
            buf_reset(&text);
            CHECK(raw_read_answer(fd, &text, false, &a) && a.status == 200);
            close(fd);
        }
        CHECK(http_server_stats(f.server).refused == refused_before + HELD - 3);
        int answered = 0, unavailable = 0;
        for (int i = 0; i < HELD; i++) {
            raw_send(fds[i], STR("x")); /* the last byte */
            buf_reset(&text);
            bool whole = raw_read_answer(fds[i], &text, false, &a);
            answered += whole && a.status == 200 && a.body.len == LEN;
            unavailable += whole && a.status == 503;
            close(fds[i]);
        }
        CHECK(answered == 3 && answered + unavailable == HELD);
        CHECK(WAIT_UNTIL(http_server_stats(f.server).buffered == 0));
    }
    raw_answer_done(&a);
    CHECK(fixture_stop(&f));
}

/* done() is told how long the body was, wherever it stood when it was written. */
static void test_lengths(void)
{
    const struct {
        struct str send;
        size_t want;
        bool no_body;
    } rows[] = {
        {STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), 5, false},
        {STR("POST /work HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), 5, false},
        {STR("GET /big?14336 HTTP/1.1\r\n" H "\r\n"), 14336, false},
        {STR("GET /big?14337 HTTP/1.1\r\n" H "\r\n"), 14337, false},
        {STR("HEAD /big?14337 HTTP/1.1\r\n" H "\r\n"), 0, true},
        {STR("GET /none HTTP/1.1\r\n" H "\r\n"), 0, true},
    };
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return;
    int fd = raw_connect(f.address);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw_answer a;
        raw_answer_init(&a);
        raw_send(fd, rows[i].send);
        CHECK_ROW(raw_read_answer(fd, &text, rows[i].no_body, &a), rows[i].send.ptr);
        /* Called when the last byte is handed over, which is before we have read it, or just after.
         */
        for (int k = 0; atomic_load(&f.done_calls) <= (int)i && k < 5000; k++)
            usleep(200);
        CHECK_ROW(atomic_load(&f.last_body) == rows[i].want, rows[i].send.ptr);
        raw_answer_done(&a);
    }
    close(fd);
    CHECK(fixture_stop(&f));
}

static void test_big_bodies(void)
{
    const struct {
        const char *path;
        size_t size;
        bool chunked;
        int want;
    } rows[] = {
        {"/echo", 99999, false, 200}, {"/work", 100000, false, 200},  {"/echo", 100000, true, 200},
        {"/echo", 100001, true, 413}, {"/echo", 5000000, false, 413},
    };
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 2)))
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf out, body, text;
        buf_init(&out, 1 << 24);
        buf_init(&body, 1 << 24);
        buf_init(&text, 1 << 24);
        for (size_t k = 0; k < rows[i].size; k++)
            buf_add_byte(&body, (char)('a' + k % 26));
        buf_add_format(&out, "POST %s HTTP/1.1\r\n" H, rows[i].path);
        if (!rows[i].chunked) {
            buf_add_format(&out, "Content-Length: %zu\r\n\r\n", rows[i].size);
            buf_add(&out, buf_str(&body));
        } else {
            buf_add_cstr(&out, "Transfer-Encoding: chunked\r\n\r\n");
            for (size_t at = 0; at < body.len; at += 7001) {
                struct str part = str_slice(buf_str(&body), at, 7001);
                buf_add_format(&out, "%zX\r\n", part.len);
                buf_add(&out, part);
                buf_add_cstr(&out, "\r\n");
            }
            buf_add_cstr(&out, "0\r\n\r\n");
        }
        struct raw_answer a;
        raw_answer_init(&a);
        int fd = raw_connect(f.address);
        raw_send(fd, buf_str(&out)); /* all of it, although it may be refused at its head */
        CHECK_ROW(raw_read_answer(fd, &text, false, &a) && a.status == rows[i].want, rows[i].path);
        CHECK_ROW(rows[i].want != 200 || str_equal(buf_str(&a.body), buf_str(&body)), rows[i].path);
        raw_answer_done(&a);
        close(fd);
    }

    /* An answer that does not fit the socket's buffers, read late. */
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 26);
    int fd = raw_connect(f.address);
    raw_send(fd, STR("GET /big?20000000 HTTP/1.1\r\n" H "\r\nGET /none HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(fd, &text, false, &a) && a.body.len == 20000000);
    CHECK(raw_read_answer(fd, &text, true, &a) && a.status == 204);
    raw_answer_done(&a);
    close(fd);
    CHECK(fixture_stop(&f));
}

/* More than one turn's worth, in one packet stream. */
static void test_many_pipelined(void)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return;
    CLEANUP(buf_done) struct buf out, text;
    buf_init(&out, 1 << 20);
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 500; i++)
        buf_add_format(&out, "POST /%s HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n%03d",
                       i % 50 == 49 ? "work" : "echo", i);
    int fd = raw_connect(f.address);
    raw_send(fd, buf_str(&out));
    struct raw_answer a;
    raw_answer_init(&a);
    bool good = true;
    for (int i = 0; good && i < 500; i++) {
        char want[16];
        snprintf(want, sizeof(want), "%03d", i);
        good = raw_read_answer(fd, &text, false, &a) && str_is(buf_str(&a.body), want);
    }
    CHECK(good && text.len == 0);
    raw_answer_done(&a);
    close(fd);
    CHECK(fixture_stop(&f));
}

/* ---- time ---- */

/* Slowloris: a byte now and then does not prolong the time for a head. */
static void test_slow_head(void)
{
    struct http_limits l = fixture_limits();
    l.head_timeout_ms = 200;
    struct fixture f;
    if (!CHECK(fixture_start(&f, l, NULL, 1)))
        return;
    int fd = raw_connect(f.address);
    bool told = false; /* while we were still at it */
    int64_t start = now_ms();
    while (!told && now_ms() - start < PATIENCE_MS && raw_send(fd, STR("G"))) {
        char c;
        told = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
        usleep(5000);
    }
    CHECK(told);
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    CHECK(raw_read_answer(fd, &text, false, &a) && a.status == 408);
    raw_answer_done(&a);
    close(fd);

    /* Who does not read his answer is let go, too. */
    l = fixture_limits();
    l.write_timeout_ms = 100;
    CHECK(fixture_stop(&f));
    if (!CHECK(fixture_start(&f, l, NULL, 1)))
        return;
    fd = raw_connect(f.address);
    raw_send(fd, STR("GET /big?20000000 HTTP/1.1\r\n" H "\r\n"));
    CHECK(WAIT_UNTIL(http_server_stats(f.server).closed == 1));
    CHECK(atomic_load(&f.done_calls) == 1 && atomic_load(&f.last_sent) < 20000000);
    close(fd);
    CHECK(fixture_stop(&f));
}

/* ---- ends of connections ---- */

static void test_broken(void)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return;
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);

    /* Half-closed after the request: still answered. */
    int fd = raw_connect(f.address);
    raw_send(fd, STR("POST /work HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi"));
    shutdown(fd, SHUT_WR);
    CHECK(raw_read_answer(fd, &text, false, &a) && a.status == 200);
    CHECK(raw_at_end(fd));
    close(fd);

    /* Half-closed within a request: nobody to answer. */
    const struct str parts[] = {STR(""), STR("GET /"),
                                STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nab")};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        fd = raw_connect(f.address);
        raw_send(fd, parts[i]);
        shutdown(fd, SHUT_WR);
        CHECK(raw_at_end(fd));
        close(fd);
    }

    /* Reset, idle and while a worker is at it: the server goes on. */
    for (int i = 0; i < 2; i++) {
        fd = raw_connect(f.address);
        if (i == 1)
            raw_send(fd, STR("GET /slow HTTP/1.1\r\n" H "\r\nGET /none HTTP/1.1\r\n" H "\r\n"));
        struct linger rst = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
        CHECK(WAIT_UNTIL(i == 0 ? http_server_stats(f.server).accepted == 5
                                : atomic_load(&f.slow) == 1));
        close(fd);
    }
    fixture_release(&f);
    fd = raw_connect(f.address);
    raw_send(fd, STR("GET /none HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(fd, &text, true, &a) && a.status == 204);
    close(fd);

    CHECK(WAIT_UNTIL(http_server_stats(f.server).active == 0));
    struct http_stats s = http_server_stats(f.server);
    CHECK(s.active == 0 && s.accepted == s.closed && s.accepted == 7);
    raw_answer_done(&a);
    CHECK(fixture_stop(&f));
}

static void test_many_idle(void)
{
    enum { COUNT = 1000 };
    struct http_limits l = fixture_limits();
    l.connections_max = COUNT;
    struct fixture f;
    if (!CHECK(fixture_start(&f, l, NULL, 2)))
        return;
    static int fds[COUNT];
    bool good = true;
    for (int i = 0; i < COUNT; i++) {
        fds[i] = raw_connect(f.address);
        good &= fds[i] >= 0;
    }
    CHECK(good);
    CHECK(WAIT_UNTIL(http_server_stats(f.server).active == COUNT));

    /* One more is accepted and closed. */
    int more = raw_connect(f.address);
    CHECK(more >= 0 && raw_at_end(more));
    close(more);

    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < COUNT; i += 100) {
        raw_send(fds[i], STR("GET /none HTTP/1.1\r\n" H "\r\n"));
        good &= raw_read_answer(fds[i], &text, true, &a) && a.status == 204;
    }
    CHECK(good);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    raw_answer_done(&a);
    CHECK(fixture_stop(&f));
}

/* ---- stop ---- */

static bool is_refused(const char *address)
{
    int fd = raw_connect(address);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void test_stop(void)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 2)))
        return;
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text, slow_text;
    buf_init(&text, 1 << 20);
    buf_init(&slow_text, 1 << 20);

    int idle = raw_connect(f.address), slow = raw_connect(f.address), half = raw_connect(f.address);
    raw_send(idle, STR("GET /none HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(idle, &text, true, &a));
    raw_send(slow, STR("POST /slow HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi"));
    raw_send(half, STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nh"));
    CHECK(WAIT_UNTIL(http_server_stats(f.server).requests == 2));

    /* While it lingers everything is as before, for new connections too. */
    http_server_stop(f.server, PATIENCE_MS, PATIENCE_MS);
    raw_send(idle, STR("GET /none HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(idle, &text, true, &a) && a.status == 204 && !a.close);
    int late = raw_connect(f.address);
    raw_send(late, STR("GET /none HTTP/1.1\r\n" H "\r\n"));
    CHECK(raw_read_answer(late, &text, true, &a) && a.status == 204);

    /* Then the idle ones go, nobody new comes, the others are answered with close. */
    http_server_stop(f.server, 0, PATIENCE_MS);
    CHECK(raw_at_end(idle));
    CHECK(raw_at_end(late));
    CHECK(WAIT_UNTIL(is_refused(f.address))); /* by the last reactor, too */
    raw_send(half, STR("i"));
    CHECK(raw_read_answer(half, &text, false, &a) && a.status == 200 && a.close);
    CHECK(raw_at_end(half));
    fixture_release(&f);
    CHECK(raw_read_answer(slow, &slow_text, false, &a) && a.status == 200 && a.close);
    CHECK_STR(buf_str(&a.body), STR("hi"));
    close(idle);
    close(late);
    close(half);
    close(slow);
    pthread_join(f.thread, NULL);
    CHECK(f.result == OK);
    f.server = http_server_free(f.server);
    raw_answer_done(&a);
}

/* A connection that never ends does not keep the process beyond the time to drain. */
static void test_stop_is_bounded(void)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 2)))
        return;
    int fd = raw_connect(f.address), slow = raw_connect(f.address);
    raw_send(fd, STR("GET / HT"));
    raw_send(slow, STR("GET /slow HTTP/1.1\r\n" H "\r\n"));
    CHECK(WAIT_UNTIL(http_server_stats(f.server).requests == 1));
    int64_t start = now_ms();
    http_server_stop(f.server, 0, 50);
    CHECK(raw_at_end(fd)); /* by the end of the drain: its time for a head is much longer */
    CHECK(now_ms() - start >= 49);
    fixture_release(&f); /* run() joins the worker */
    pthread_join(f.thread, NULL);
    close(fd);
    close(slow);
    f.server = http_server_free(f.server);
}

/* ---- addresses ---- */

static void test_addresses(void)
{
    const struct {
        const char *address;
        enum status want;
        const char *prefix;
    } rows[] = {
        {"127.0.0.1:0", OK, "127.0.0.1:"},   {"[::1]:0", OK, "[::1]:"},
        {"0.0.0.0:0", OK, "0.0.0.0:"},       {"127.0.0.1", ERR_INVALID, NULL},
        {"127.0.0.1:", ERR_INVALID, NULL},   {"127.0.0.1:65536", ERR_INVALID, NULL},
        {"127.0.0.1:8o", ERR_INVALID, NULL}, {"::1:80", ERR_INVALID, NULL},
        {"[::1:80", ERR_INVALID, NULL},      {"localhost:80", ERR_INVALID, NULL},
        {"192.0.2.1:0", ERR_IO, NULL}, /* TEST-NET: not ours */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_listen listen = {rows[i].address, NULL};
        struct http_options o = {
            .listen = &listen, .listen_count = 1, .reactors = 2, .limits = HTTP_LIMITS_DEFAULT};
        struct http_server *s = NULL;
        struct error err = ERROR_INIT;
        enum status st = http_server_new(&o, &s, &err);
        if (st == ERR_IO && strcmp(rows[i].address, "[::1]:0") == 0)
            continue; /* a machine without IPv6 */
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].address);
        if (s != NULL) {
            struct str got = http_server_address(s, 0);
            CHECK_ROW(str_has_prefix(got, str_of(rows[i].prefix)) &&
                          !str_has_suffix(got, STR(":0")),
                      rows[i].address);
        }
        s = http_server_free(s);
    }

    /* SO_REUSEPORT is for our own reactors: a second server is told. */
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 2)))
        return;
    struct http_listen listen = {f.address, NULL};
    struct http_options o = {
        .listen = &listen, .listen_count = 1, .reactors = 1, .limits = HTTP_LIMITS_DEFAULT};
    struct http_server *second = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(http_server_new(&o, &second, &err), ERR_IO, &err);
    CHECK(second == NULL && strstr(err.text, f.address) != NULL);
    CHECK(fixture_stop(&f));

    /* All listeners or none. */
    struct http_listen both[] = {{"127.0.0.1:0", NULL}, {"nonsense", NULL}};
    o = (struct http_options){.listen = both, .listen_count = 2, .limits = HTTP_LIMITS_DEFAULT};
    CHECK(http_server_new(&o, &second, NULL) == ERR_INVALID && second == NULL);
}

/*
 * A large block that was freed does not move the size from which blocks are
 * mapped: what bodies of strangers take goes back to the system.
 */
static void test_large_blocks(void)
{
    if (!tap_malloc_can_fail())
        return; /* a sanitizer's malloc, which keeps what it likes */
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return;
    void *volatile block = malloc(8 << 20);
    free(block);
    size_t before = mallinfo2().hblkhd;
    block = malloc(1 << 20);
    CHECK(mallinfo2().hblkhd >= before + (1 << 20));
    free(block);
    CHECK(fixture_stop(&f));
}

/* ---- hooks ---- */

struct ticks {
    struct http_server *server;
    int timer, signals;
};

static void on_tick(void *user)
{
    struct ticks *t = user;
    if (++t->timer == 1)
        kill(getpid(), SIGUSR1);
}

static void on_signal(void *user)
{
    struct ticks *t = user;
    t->signals++;
    http_server_stop(t->server, 0, 0);
}

static void test_hooks(void)
{
    struct http_listen listen[] = {{"127.0.0.1:0", NULL}, {"127.0.0.1:0", NULL}};
    struct http_options o = {
        .listen = listen, .listen_count = 2, .reactors = 2, .limits = HTTP_LIMITS_DEFAULT};
    struct ticks t = {0};
    if (!CHECK(http_server_new(&o, &t.server, NULL) == OK))
        return;
    CHECK(!str_equal(http_server_address(t.server, 0), http_server_address(t.server, 1)));
    CHECK(http_server_every(t.server, 5, on_tick, &t) == OK);
    CHECK(http_server_on_signal(t.server, SIGUSR1, on_signal, &t) == OK);
    CHECK(http_server_run(t.server, NULL) == OK);
    CHECK(t.timer >= 1 && t.signals == 1);
    t.server = http_server_free(t.server);
}

int main(void)
{
    test_bytes();
    test_refused();
    test_head_limit();
    test_held_bodies();
    test_lengths();
    test_big_bodies();
    test_many_pipelined();
    test_slow_head();
    test_broken();
    test_many_idle();
    test_stop();
    test_stop_is_bounded();
    test_addresses();
    test_large_blocks();
    test_hooks();
    return tap_done();
}
