/* The plain transport against a server that answers by script: one answer a request. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtualtee/plain_http.h"

#include "tap.h"

/* Answers in turn; NULL closes the connection instead, "" waits for a new one. */
struct server {
    int fd;
    int port;
    const char *const *answers;
    size_t count;
    struct buf seen; /* all requests, heads and bodies */
    pthread_t thread;
};

/* One request: a head, and the body that it announces. */
static bool read_request(struct server *s, int fd)
{
    char bytes[8192];
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, bytes + len, sizeof(bytes) - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        bytes[len] = '\0';
        char *end = strstr(bytes, "\r\n\r\n");
        char *length = strstr(bytes, "Content-Length: ");
        size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
        if (end != NULL && len >= (size_t)(end - bytes) + 4 + body) {
            buf_add(&s->seen, str_bytes(bytes, len));
            return true;
        }
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    size_t next = 0;
    while (next < s->count) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        while (next < s->count && read_request(s, fd)) {
            const char *answer = s->answers[next++];
            if (answer != NULL)
                send(fd, answer, strlen(answer), MSG_NOSIGNAL);
            if (answer == NULL || strstr(answer, "then close") != NULL)
                break;
        }
        close(fd);
    }
    return NULL;
}

static void server_start(struct server *s, const char *const *answers, size_t count)
{
    *s = (struct server){.answers = answers, .count = count};
    buf_init(&s->seen, 1024 * 1024);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    if (bind(s->fd, (struct sockaddr *)&address, len) != 0 || listen(s->fd, 4) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    s->port = ntohs(address.sin_port);
    pthread_create(&s->thread, NULL, serve, s);
}

static void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    buf_done(&s->seen);
}

static void test_answers(void)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: kbs-session-id=one; Expires=never\r\n"
        "Set-Cookie: balancer=b; Path=/\r\n\r\nab",
        "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n"
        "x-decision-id: 00112233445566778899aabbccddeeff\r\nSet-Cookie: kbs-session-id=two\r\n\r\n"
        "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Note: then close\r\n\r\n",
        /* the kept connection is gone: the client comes back on a new one */
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nz",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Note: then close\r\n\r\nshort",
        "no HTTP at all, then close\r\n\r\n",
    };
    static const struct {
        const char *name, *method, *body;
        enum status want;
        int status;
        const char *text;
    } rows[] = {
        {"length", "POST", "{}", OK, 200, "ab"},
        {"chunks", "GET", NULL, OK, 401, "abcd"},
        {"empty", "GET", NULL, OK, 200, ""},
        {"a new connection", "GET", NULL, OK, 200, "z"},
        {"cut", "GET", NULL, ERR_UNAVAILABLE, 200, NULL},
        {"no HTTP", "GET", NULL, ERR_UNAVAILABLE, 0, NULL},
    };
    struct server s;
    server_start(&s, answers, ARRAY_LEN(answers));
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/prefix/", s.port);
    struct plain_http h;
    struct error err = ERROR_INIT;
    if (CHECK(plain_http_init(&h, url, &err) == OK)) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct guest_answer a;
            guest_answer_init(&a);
            struct str body = {rows[i].body, rows[i].body != NULL ? strlen(rows[i].body) : 0};
            enum status st = h.transport.send(h.transport.user, rows[i].method, "/path", STR_EMPTY,
                                              body, &a, &err);
            CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].name);
            if (rows[i].text != NULL) {
                CHECK_ROW(a.status == rows[i].status, rows[i].name);
                CHECK_STR_ROW(buf_str(&a.body), str_of(rows[i].text), rows[i].name);
            }
            CHECK_ROW((strcmp(a.decision, "00112233445566778899aabbccddeeff") == 0) == (i == 1),
                      rows[i].name);
            guest_answer_done(&a);
        }
        CHECK_STR(str_of(h.cookies), STR("balancer=b; kbs-session-id=two"));
        plain_http_forget(&h);
        CHECK_STR(str_of(h.cookies), STR(""));
        plain_http_done(&h);
    }
    buf_add_byte(&s.seen, '\0');
    CHECK(strstr(s.seen.ptr, "POST /prefix/path HTTP/1.1\r\n") == s.seen.ptr);
    CHECK(strstr(s.seen.ptr, "Cookie: kbs-session-id=one; balancer=b\r\n") != NULL);
    CHECK(strstr(s.seen.ptr, "Cookie: balancer=b; kbs-session-id=two\r\n") != NULL);
    server_stop(&s);
}

static void test_urls(void)
{
    const struct {
        const char *url;
        enum status want;
        const char *host, *port, *prefix;
    } rows[] = {
        {"http://a", OK, "a", "80", ""},
        {"http://a:8080/", OK, "a", "8080", ""},
        {"http://[::1]:81/x/y//", OK, "::1", "81", "/x/y"},
        {"http://[::1]", OK, "::1", "80", ""},
        {"https://a", ERR_UNSUPPORTED, NULL, NULL, NULL},
        {"a:8080", ERR_INVALID, NULL, NULL, NULL},
        {"http://", ERR_INVALID, NULL, NULL, NULL},
        {"http://:80", ERR_INVALID, NULL, NULL, NULL},
        {"http://a:/", ERR_INVALID, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct plain_http h;
        struct error err = ERROR_INIT;
        enum status st = plain_http_init(&h, rows[i].url, &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].url);
        if (st != OK)
            continue;
        CHECK_STR_ROW(str_of(h.host), str_of(rows[i].host), rows[i].url);
        CHECK_STR_ROW(str_of(h.port), str_of(rows[i].port), rows[i].url);
        CHECK_STR_ROW(str_of(h.prefix), str_of(rows[i].prefix), rows[i].url);
        plain_http_done(&h);
    }
    struct plain_http never = {0};
    plain_http_done(&never);
}

int main(void)
{
    test_urls();
    test_answers();
    return tap_done();
}
