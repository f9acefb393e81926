/*
 * Hostile traffic and the answer that each shape gets: over TCP and over TLS, in
 * one piece and byte by byte.  Behind whatever is refused waits a request that
 * a confused server would serve: it never is.  Then a crowd that says nothing.
 */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cert.h"
#include "fixture.h"
#include "net/tls.h"
#include "tap.h"

#define H "Host: h\r\n"

/* ---- one connection, one row ---- */

static const struct str smuggled = STR("GET /count HTTP/1.1\r\n" H "\r\n");

static const struct row {
    const char *name;
    struct str send;
    int want[4];      /* statuses, in order */
    const char *body; /* of the last answer */
    bool stays;       /* the connection, afterwards */
} rows[] = {
    {"get", STR("GET /none HTTP/1.1\r\n" H "\r\n"), {204}, "", true},
    {"echo",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"),
     {200},
     "hello",
     true},
    {"worker",
     STR("POST /work HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"),
     {200},
     "hello",
     true},
    {"HTTP/1.0", STR("POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"), {200}, "hi", false},
    {"HTTP/1.0, keep-alive",
     STR("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"),
     {200},
     "hi",
     true},
    {"close asked for",
     STR("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 2\r\n\r\nhi"),
     {200},
     "hi",
     false},
    {"handler closes", STR("GET /close HTTP/1.1\r\n" H "\r\n"), {200}, "", false},
    {"handler says nothing", STR("GET /silent HTTP/1.1\r\n" H "\r\n"), {500}, "", true},
    {"unknown method", STR("BREW /echo HTTP/1.1\r\n" H "\r\n"), {200}, "", true},
    {"pipelined",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n1POST /work HTTP/1.1\r\n" H
         "Content-Length: 1\r\n\r\n2POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n3"),
     {200, 200, 200},
     "3",
     true},
    {"chunked",
     STR("POST /echo HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"),
     {200},
     "abcde",
     true},
    {"chunked, pipelined",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
         "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"),
     {200, 200},
     "de",
     true},
    {"header behind a body in pieces",
     STR("POST /header HTTP/1.1\r\n" H
         "A: val\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
     {200},
     "val",
     true},
    {"100-continue",
     STR("POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n1"),
     {200},
     "1",
     true}, /* the body was there already */

    /* refused, and the connection with it: what follows is never read as a request */
    {"bare LF", STR("GET /none HTTP/1.1\n" H "\n"), {400}, "", false},
    {"obs-fold", STR("GET /none HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n"), {400}, "", false},
    {"blank before the colon", STR("GET /none HTTP/1.1\r\n" H "A : b\r\n\r\n"), {400}, "", false},
    {"no host", STR("GET /none HTTP/1.1\r\n\r\n"), {400}, "", false},
    {"two hosts", STR("GET /none HTTP/1.1\r\n" H H "\r\n"), {400}, "", false},
    {"two lengths",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1"),
     {400},
     "",
     false},
    {"CL.TE",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 6\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\nGET /none HTTP/1.1\r\n" H "\r\n"),
     {400},
     "",
     false},
    {"TE.CL",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: "
         "6\r\n\r\n0\r\n\r\nGET /none HTTP/1.1\r\n" H "\r\n"),
     {400},
     "",
     false},
    {"TE.TE",
     STR("POST /echo HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"gzip, chunked",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
     {501},
     "",
     false},
    {"HTTP/2 preface", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), {505}, "", false},
    {"TLS hello", STR("\x16\x03\x01\x00\xa5\x01\x00\x00"), {400}, "", false},
    {"bad chunk",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nz\r\n"),
     {400},
     "",
     false},
    {"chunk size with a sign",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"chunk size of 17 digits",
     STR("POST /echo HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n"),
     {400},
     "",
     false},
    {"no line end behind a chunk",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nxy0\r\n\r\n"),
     {400},
     "",
     false},
    {"obs-fold in a trailer",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n"),
     {400},
     "",
     false},
    {"bare LF in chunks",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n"),
     {400},
     "",
     false},
    {"refused after a good one",
     STR("POST /echo HTTP/1.1\r\n" H
         "Content-Length: 1\r\n\r\n1GET / HTTP/1.1\n\nGET /none HTTP/1.1\r\n" H "\r\n"),
     {200, 400},
     "",
     false},

    /* one framing, or none: what two parsers could read differently */
    {"different lengths",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 0\r\nContent-Length: 44\r\n\r\n"),
     {400},
     "",
     false},
    {"a list of lengths",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 0, 44\r\n\r\n"),
     {400},
     "",
     false},
    {"length with a sign",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: +0\r\n\r\n"),
     {400},
     "",
     false},
    {"length, blank before the colon",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length : 0\r\n\r\n"),
     {400},
     "",
     false},
    {"length of 20 digits",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n"),
     {400},
     "",
     false},
    {"length in hexadecimal",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 0x0\r\n\r\n"),
     {400},
     "",
     false},
    {"xchunked",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"chunked twice",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"chunked, identity",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"identity",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
     {400},
     "",
     false},
    {"vertical tab before chunked",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
         "chunked\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"quoted chunked",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"folded coding",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"chunked in HTTP/1.0",
     STR("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     {400},
     "",
     false},
    {"coding behind a bare CR",
     STR("POST /echo HTTP/1.1\r\n" H "A: b\rTransfer-Encoding: chunked\r\n\r\n"),
     {400},
     "",
     false},
    {"coding behind a NUL",
     STR("POST /echo HTTP/1.1\r\n" H "A: b\0\r\nContent-Length: 0\r\n\r\n"),
     {400},
     "",
     false},
    {"bare LF before the empty line",
     STR("GET /none HTTP/1.1\r\n" H "A: b\n\r\n"),
     {400},
     "",
     false},
    {"a request in the body of a GET without a length",
     STR("GET /none HTTP/1.1\r\n" H "\r\nsmuggled\r\n\r\n"),
     {204, 400},
     "",
     false},

    /* who is meant, and in which language */
    {"other authority in the target",
     STR("GET http://elsewhere/none HTTP/1.1\r\n" H "\r\n"),
     {204},
     "",
     true},
    {"CONNECT", STR("CONNECT elsewhere:443 HTTP/1.1\r\n" H "\r\n"), {400}, "", false},
    {"user in the target", STR("GET http://u@h/none HTTP/1.1\r\n" H "\r\n"), {400}, "", false},
    {"Host with a path", STR("GET /none HTTP/1.1\r\nHost: h/i\r\n\r\n"), {400}, "", false},
    {"HTTP/0.9", STR("GET /none\r\n"), {400}, "", false},
    {"HTTP/1.2", STR("GET /none HTTP/1.2\r\n" H "\r\n"), {505}, "", false},
    {"h2c asked for",
     STR("GET /none HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: "
         "h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
     {204},
     "",
     true},
    {"a tab between the words", STR("GET\t/none\tHTTP/1.1\r\n" H "\r\n"), {400}, "", false},
    {"beyond ASCII in the target", STR("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"), {400}, "", false},
    {"an empty line in front", STR("\r\nGET /none HTTP/1.1\r\n" H "\r\n"), {204}, "", true},
    {"two empty lines in front", STR("\r\n\r\nGET /none HTTP/1.1\r\n" H "\r\n"), {400}, "", false},

    /* limits */
    {"declared length at the limit",
     STR("POST /none HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\n"),
     {0},
     "",
     true},
    {"declared length past the limit",
     STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 100001\r\n\r\n"),
     {413},
     "payload reached size limit",
     false},
    {"past it, with expectation",
     STR("POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n"),
     {413},
     "payload reached size limit",
     false},
    {"chunk past the limit",
     STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n186a1\r\n"),
     {413},
     "payload reached size limit",
     false},
};

static struct tls_server *new_tls(void)
{
    static char cert[256], key[256];
    make_cert("hostile", cert, key);
    struct tls_options o = {cert, key, TLS_INTERMEDIATE, 0, 0, NULL, NULL};
    struct tls_server *t = NULL;
    CHECK(tls_server_new(&o, &t, NULL) == OK);
    return t;
}

static void test_row(struct fixture *f, SSL_CTX *ctx, const struct row *r, bool bytes)
{
    int fd = ctx == NULL ? raw_connect(f->address) : raw_connect_tls(f->address, ctx);
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text, all;
    buf_init(&text, 1 << 20);
    buf_init(&all, 1 << 20);
    buf_add(&all, r->send);
    if (!r->stays && r->want[0] >= 400)
        buf_add(&all, smuggled);
    /* A refusal may come before the last byte is sent: that sending may fail. */
    size_t step = bytes ? 1 : all.len;
    for (size_t at = 0; at < all.len; at += step)
        if (!raw_send(fd, str_slice(buf_str(&all), at, step)))
            break;
    bool closed = false;
    for (size_t k = 0; k < 4 && r->want[k] != 0; k++) {
        bool whole = raw_read_answer(fd, &text, r->want[k] == 204, &a);
        if (whole && a.status == 100) /* the body was not there yet */
            whole = raw_read_answer(fd, &text, false, &a);
        CHECK_ROW(whole && a.status == r->want[k], r->name);
        closed = a.close;
    }
    CHECK_STR_ROW(buf_str(&a.body), str_of(r->body), r->name);
    CHECK_ROW(closed == !r->stays, r->name);
    CHECK_ROW(r->stays || (text.len == 0 && raw_at_end(fd)), r->name);
    CHECK_ROW(atomic_load(&f->counter) == 0, r->name);
    raw_answer_done(&a);
    raw_close(fd);
}

static void test_traffic(bool over_tls)
{
    CLEANUP(tls_server_cleanup) struct tls_server *tls = over_tls ? new_tls() : NULL;
    SSL_CTX *ctx = over_tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    struct fixture f;
    if (CHECK(fixture_start(&f, fixture_limits(), tls, 2))) {
        for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++)
            test_row(&f, ctx, &rows[i / 2], i % 2 == 1);
        CHECK(fixture_stop(&f));
    }
    SSL_CTX_free(ctx);
}

/* ---- silence ---- */

#define FIRST "GET /none HTTP/1.1\r\n" H "\r\n"

/* A TLS handshake has the same time as a head: once more where that was too short. */
static int connect_in_time(const char *address, SSL_CTX *ctx)
{
    int fd = -1;
    if (ctx == NULL)
        return raw_connect(address);
    CHECK(WAIT_UNTIL((fd = raw_connect_tls(address, ctx)) >= 0));
    return fd;
}

/*
 * Read the answer to FIRST.  On a busy machine the time for the head, which runs
 * from accept, may have been over before we came to send it: once more, then.
 */
static bool first_in_time(const char *address, SSL_CTX *ctx, struct str text, int *fd,
                          struct buf *in, struct raw_answer *a)
{
    int64_t start = now_ms();
    while (raw_read_answer(*fd, in, true, a) && now_ms() - start < PATIENCE_MS) {
        if (a->status != 408)
            return a->status == 204;
        raw_close(*fd);
        buf_reset(in);
        *fd = connect_in_time(address, ctx);
        raw_send(*fd, text);
    }
    return false;
}

static void test_timeouts(bool over_tls)
{
    const struct {
        const char *name;
        struct str send; /* then silence */
        int want;        /* 0: closed without a word */
        int skip;        /* 1: after the answer to FIRST */
    } silences[] = {
        {"not a byte", STR(""), 408, 0},
        {"half a head", STR("GET / HT"), 408, 0},
        {"half a second head", STR(FIRST "GET /"), 408, 1},
        {"half a body", STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nab"), 408, 0},
        {"half a chunk",
         STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n9\r\nab"), 408, 0},
        {"idle", STR(FIRST), 0, 1},
    };
    struct http_limits l = fixture_limits();
    l.head_timeout_ms = l.body_timeout_ms = l.idle_timeout_ms = l.close_timeout_ms = 120;
    CLEANUP(tls_server_cleanup) struct tls_server *tls = over_tls ? new_tls() : NULL;
    SSL_CTX *ctx = over_tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    struct fixture f;
    if (!CHECK(fixture_start(&f, l, tls, 2)))
        return;

    int fds[ARRAY_LEN(silences)];
    int64_t start = now_ms();
    for (size_t i = 0; i < ARRAY_LEN(silences); i++) {
        fds[i] = connect_in_time(f.address, ctx);
        raw_send(fds[i], silences[i].send);
    }
    for (size_t i = 0; i < ARRAY_LEN(silences); i++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        struct raw_answer a;
        raw_answer_init(&a);
        if (silences[i].skip > 0)
            CHECK_ROW(first_in_time(f.address, ctx, silences[i].send, &fds[i], &text, &a),
                      silences[i].name);
        if (silences[i].want != 0) {
            CHECK_ROW(raw_read_answer(fds[i], &text, false, &a) && a.status == silences[i].want &&
                          a.close,
                      silences[i].name);
            CHECK_STR_ROW(buf_str(&a.body), STR(""), silences[i].name);
        }
        CHECK_ROW(raw_at_end(fds[i]), silences[i].name);
        CHECK_ROW(now_ms() - start >= 119, silences[i].name);
        raw_answer_done(&a);
        raw_close(fds[i]);
    }
    CHECK(fixture_stop(&f));
    SSL_CTX_free(ctx);
}

/*
 * What never comes to its end although it goes on all the time: a byte every few
 * milliseconds wins nobody more time than silence does.
 */
static void test_trickles(struct tls_server *tls)
{
    const struct {
        const char *name;
        bool tls, below; /* below: of TLS itself, which gets no answer of HTTP */
        struct str first;
        char byte;
        int want;
    } trickles[] = {
        {"a head", false, false, STR(""), 'G', 408},
        {"fields", false, false, STR("GET /none HTTP/1.1\r\nA: "), 'a', 408},
        {"a body", false, false, STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 90000\r\n\r\n"),
         'x', 408},
        {"a chunk", false, false,
         STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n8000\r\n"), 'x', 408},
        {"a size of a chunk", false, false,
         STR("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;"), 'x', 408},
        {"a body over TLS", true, false,
         STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 90000\r\n\r\n"), 'x', 408},
        {"a TLS hello", true, true, STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 'r', 0},
        {"a TLS record", true, true, STR("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"), 'r', 0},
    };
    struct http_limits l = fixture_limits();
    l.head_timeout_ms = l.body_timeout_ms = 200;
    l.close_timeout_ms = 10 * PATIENCE_MS; /* no reset while we send on */
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    for (int over_tls = 0; over_tls < 2; over_tls++) {
        struct fixture f;
        if (!CHECK(fixture_start(&f, l, over_tls ? tls : NULL, 1)))
            return;
        int fds[ARRAY_LEN(trickles)];
        int64_t start = now_ms();
        for (size_t i = 0; i < ARRAY_LEN(trickles); i++) {
            if (trickles[i].tls != over_tls)
                continue;
            fds[i] = connect_in_time(f.address, trickles[i].below || !over_tls ? NULL : ctx);
            raw_send(fds[i], trickles[i].first);
        }
        /* Well beyond the time that there is, then look at what came. */
        int64_t trickling = now_ms();
        while (now_ms() - trickling < 600) {
            for (size_t i = 0; i < ARRAY_LEN(trickles); i++)
                if (trickles[i].tls == over_tls)
                    raw_send(fds[i], (struct str){&trickles[i].byte, 1});
            usleep(5000);
        }
        for (size_t i = 0; i < ARRAY_LEN(trickles); i++) {
            if (trickles[i].tls != over_tls)
                continue;
            CLEANUP(buf_done) struct buf text;
            buf_init(&text, 1 << 20);
            struct raw_answer a;
            raw_answer_init(&a);
            if (trickles[i].want != 0)
                CHECK_ROW(raw_read_answer(fds[i], &text, false, &a) && a.status == trickles[i].want,
                          trickles[i].name);
            CHECK_ROW(raw_at_end(fds[i]), trickles[i].name);
            CHECK_ROW(now_ms() - start >= 199, trickles[i].name);
            raw_answer_done(&a);
            raw_close(fds[i]);
        }
        CHECK(WAIT_UNTIL(http_server_stats(f.server).active == 0));
        CHECK(fixture_stop(&f));
    }
    SSL_CTX_free(ctx);
}

/* ---- a crowd that says nothing ---- */

/* Resident bytes of a process. */
static long resident(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    long pages = 0;
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
        pages = -1;
    if (f != NULL)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* A server in a process of its own, whose memory is the server's alone; ends when its input does.
 */
static pid_t start_server(struct tls_server *tls, char address[64], int *control)
{
    int in[2], out[2];
    if (!CHECK(pipe(in) == 0 && pipe(out) == 0))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(in[1]);
        struct fixture f;
        struct http_limits l = fixture_limits();
        l.connections_max = 20000;
        char c;
        bool ok = fixture_start(&f, l, tls, 2) && write(out[1], f.address, 64) == 64;
        status_ignore(ok && read(in[0], &c, 1) == 0 && fixture_stop(&f) ? OK : ERR_IO);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    CHECK(pid > 0 && read(out[0], address, 64) == 64);
    close(out[0]);
    *control = in[1];
    return pid;
}

#define IDLE_BYTES_MAX (24 * 1024)       /* one connection, while it is open */
#define REST_BYTES_MAX (2 * 1024 * 1024) /* all together, afterwards */

static void test_crowd(struct tls_server *tls, int count)
{
    char address[64];
    int control;
    pid_t pid = start_server(tls, address, &control);
    if (pid <= 0)
        return;
    SSL_CTX *ctx = tls == NULL ? NULL : SSL_CTX_new(TLS_client_method());
    int *fds = calloc((size_t)count, sizeof(*fds));
    /* A first one: what is made once is not the crowd's. */
    int first = ctx == NULL ? raw_connect(address) : raw_connect_tls(address, ctx);
    struct raw_answer a;
    raw_answer_init(&a);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    CHECK(raw_send(first, STR("GET /none HTTP/1.1\r\n" H "\r\n")) &&
          raw_read_answer(first, &text, true, &a) && a.status == 204);
    long rest = resident(pid);

    int opened = 0;
    for (int i = 0; i < count; i++) {
        fds[i] = ctx == NULL ? raw_connect(address) : raw_connect_tls(address, ctx);
        opened += fds[i] >= 0;
        raw_forget_tls(fds[i]); /* ours would be as large as theirs; the connection stays */
    }
    CHECK(opened == count);
    long each = (resident(pid) - rest) / count;
    /* Somebody among them is served. */
    CHECK(raw_send(first, STR("GET /none HTTP/1.1\r\n" H "\r\n")) &&
          raw_read_answer(first, &text, true, &a) && a.status == 204);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    bool back = WAIT_UNTIL(resident(pid) - rest <= REST_BYTES_MAX);
    printf("# %d idle connections %s: %ld bytes each, %ld KiB above rest afterwards\n", count,
           tls == NULL ? "over TCP" : "over TLS", each, (resident(pid) - rest) / 1024);
    /* A sanitizer's memory is its own affair. */
    CHECK(each <= IDLE_BYTES_MAX || !tap_malloc_can_fail());
    CHECK(back || !tap_malloc_can_fail());
    raw_answer_done(&a);
    raw_close(first);
    SSL_CTX_free(ctx);
    close(control);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* As many as the process may have, at most 10,000. */
static int crowd_size(void)
{
    struct rlimit rl;
    int want = getenv("CLAVIGER_LONG") != NULL ? 10000 : 1500;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    return rl.rlim_max < (rlim_t)want + 300 ? (int)rl.rlim_max - 300 : want;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    /* Forks, so before the first thread. */
    CLEANUP(tls_server_cleanup) struct tls_server *tls = new_tls();
    int count = crowd_size();
    if (!tap_malloc_can_fail())
        count = 200; /* a sanitizer: for its findings, not for figures */
    test_crowd(NULL, count);
    test_crowd(tls, count);
    test_traffic(false);
    test_traffic(true);
    test_timeouts(false);
    test_timeouts(true);
    test_trickles(tls);
    return tap_done();
}
