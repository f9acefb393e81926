#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

int64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

/* ---- the handler ---- */

static enum http_next answer(struct fixture *f, struct http_exchange *x)
{
    x->status = 200;
    if (str_is(x->path, "/echo")) {
        buf_add(&x->out, x->body);
    } else if (str_is(x->path, "/work") || str_is(x->path, "/slow")) {
        return HTTP_WORK;
    } else if (str_is(x->path, "/big")) {
        size_t n = 0;
        for (size_t i = 0; i < x->query.len; i++)
            n = n * 10 + (size_t)(x->query.ptr[i] - '0');
        if (buf_reserve(&x->out, n)) {
            memset(x->out.ptr, 'x', n);
            x->out.len = n;
        }
    } else if (str_is(x->path, "/close")) {
        x->close = true;
    } else if (str_is(x->path, "/header")) {
        buf_add(&x->out, http_header(x, "a"));
    } else if (str_is(x->path, "/redirect")) {
        x->status = 302;
        http_add_header(x, "Location", x->query);
    } else if (str_is(x->path, "/loop")) {
        x->status = 307;
        http_add_header(x, "Location", STR("/loop"));
    } else if (str_is(x->path, "/retry")) {
        x->status = 503;
        http_add_header(x, "Retry-After", STR("7"));
    } else if (str_is(x->path, "/cookie")) {
        http_add_header(x, "Set-Cookie", STR("kbs-session-id=abc"));
        buf_add(&x->out, http_cookie(x, "kbs-session-id"));
    } else if (str_is(x->path, "/count")) {
        buf_add_format(&x->out, "%d", atomic_fetch_add(&f->counter, 1) + 1);
    } else if (str_is(x->path, "/method")) {
        buf_add(&x->out, x->head->method);
        buf_add_format(&x->out, " %s", http_header(x, "content-type").ptr != NULL ? "typed" : "-");
        buf_add_format(&x->out, " %s", http_header(x, "expect").ptr != NULL ? "expects" : "-");
    } else if (str_is(x->path, "/none")) {
        x->status = 204;
    } else if (str_is(x->path, "/silent")) {
        x->status = 0;
    } else {
        x->status = 404;
    }
    return HTTP_ANSWER;
}

static enum http_next quick(void *user, struct http_exchange *x)
{
    return answer(user, x);
}

static void work(void *user, struct http_exchange *x)
{
    struct fixture *f = user;
    bool slow = str_is(x->path, "/slow");
    atomic_fetch_add(&f->slow, slow);
    while (slow && atomic_load(&f->released) == 0)
        usleep(200);
    x->status = 200;
    buf_add(&x->out, x->body);
}

static void done(void *user, const struct http_exchange *x, size_t bytes_sent)
{
    struct fixture *f = user;
    atomic_store(&f->last_sent, bytes_sent);
    atomic_store(&f->last_body, x->body_len);
    atomic_fetch_add(&f->done_calls, 1);
}

static void refused(void *user, const struct http_exchange *x)
{
    struct fixture *f = user;
    pthread_mutex_lock(&f->lock);
    snprintf(f->refused_line, sizeof(f->refused_line), "%.*s %.*s %.*s %d%s",
             STR_ARG(x->head == NULL ? STR("-") : x->head->method), STR_ARG(x->path),
             STR_ARG(x->query), x->status, x->start_ns == 0 ? "" : " timed");
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add(&f->refused_calls, 1);
}

/* ---- the server ---- */

struct http_limits fixture_limits(void)
{
    struct http_limits l = HTTP_LIMITS_DEFAULT;
    l.body_max = 100000;
    l.head_timeout_ms = l.body_timeout_ms = l.idle_timeout_ms = l.write_timeout_ms =
        10 * PATIENCE_MS;
    return l;
}

static void *run(void *user)
{
    struct fixture *f = user;
    struct error err = ERROR_INIT;
    f->result = http_server_run(f->server, &err);
    return NULL;
}

bool fixture_start(struct fixture *f, struct http_limits limits, struct tls_server *tls,
                   unsigned reactors)
{
    *f = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER};
    struct http_listen listen = {"127.0.0.1:0", tls};
    struct http_options o = {
        .listen = &listen,
        .listen_count = 1,
        .reactors = reactors,
        .workers = 2,
        .limits = limits,
        .handler = {quick, work, done, refused, f},
    };
    struct error err = ERROR_INIT;
    if (http_server_new(&o, &f->server, &err) != OK) {
        fprintf(stderr, "# %s\n", err.text);
        return false;
    }
    snprintf(f->address, sizeof(f->address), "%.*s", STR_ARG(http_server_address(f->server, 0)));
    return pthread_create(&f->thread, NULL, run, f) == 0;
}

void fixture_release(struct fixture *f)
{
    atomic_store(&f->released, 1);
}

bool fixture_stop(struct fixture *f)
{
    fixture_release(f);
    http_server_stop(f->server, 0, 100);
    pthread_join(f->thread, NULL);
    f->server = http_server_free(f->server);
    return f->result == OK;
}

/* ---- the client ---- */

int raw_connect(const char *address)
{
    const char *colon = strrchr(address, ':');
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval tv = {PATIENCE_MS / 1000, 0};
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0 &&
        connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* By descriptor, so that what a test does is written once for both transports. */
static SSL *tls_on[65536];

static SSL *tls_of(int fd)
{
    return fd >= 0 && (size_t)fd < ARRAY_LEN(tls_on) ? tls_on[fd] : NULL;
}

int raw_connect_tls(const char *address, SSL_CTX *ctx)
{
    int fd = raw_connect(address);
    SSL *ssl = fd >= 0 && (size_t)fd < ARRAY_LEN(tls_on) ? SSL_new(ctx) : NULL;
    if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1) {
        tls_on[fd] = ssl;
        return fd;
    }
    SSL_free(ssl);
    if (fd >= 0)
        close(fd);
    return -1;
}

void raw_forget_tls(int fd)
{
    SSL *ssl = tls_of(fd);
    if (ssl != NULL)
        tls_on[fd] = NULL;
    SSL_free(ssl);
}

void raw_close(int fd)
{
    raw_forget_tls(fd);
    close(fd);
}

bool raw_send(int fd, struct str bytes)
{
    SSL *ssl = tls_of(fd);
    if (ssl != NULL)
        return bytes.len == 0 || SSL_write(ssl, bytes.ptr, (int)bytes.len) == (int)bytes.len;
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = str_from(bytes, (size_t)n);
    }
    return true;
}

void raw_answer_init(struct raw_answer *a)
{
    *a = (struct raw_answer){0};
    buf_init(&a->head, 1 << 20);
    buf_init(&a->body, 1 << 28);
}

void raw_answer_done(struct raw_answer *a)
{
    buf_done(&a->head);
    buf_done(&a->body);
}

static bool receive(int fd, struct buf *text)
{
    char part[65536];
    SSL *ssl = tls_of(fd);
    ssize_t n = ssl != NULL ? SSL_read(ssl, part, sizeof(part)) : recv(fd, part, sizeof(part), 0);
    if (n <= 0)
        return false;
    buf_add(text, str_bytes(part, (size_t)n));
    return true;
}

bool raw_read_answer(int fd, struct buf *text, bool no_body, struct raw_answer *out)
{
    struct http_head h;
    size_t scan = 0, used = 0;
    enum http_parse st;
    while ((st = http_head_parse_response(buf_str(text), &scan, &h, &used)) == HTTP_PARSE_MORE)
        if (!receive(fd, text))
            return false;
    if (st != HTTP_PARSE_DONE)
        return false;
    out->status = h.status;
    out->close = !h.keep_alive;
    size_t length = no_body ? 0 : (size_t)h.length;
    buf_reset(&out->head);
    buf_reset(&out->body);
    buf_add(&out->head, str_slice(buf_str(text), 0, used));
    while (text->len < used + length)
        if (!receive(fd, text))
            return false;
    buf_add(&out->body, str_slice(buf_str(text), used, length));
    text->len -= used + length;
    memmove(text->ptr, text->ptr + used + length, text->len);
    return true;
}

bool raw_at_end(int fd)
{
    char c;
    SSL *ssl = tls_of(fd);
    if (ssl != NULL) {
        int got = SSL_read(ssl, &c, 1);
        return got <= 0 && SSL_get_error(ssl, got) != SSL_ERROR_WANT_READ; /* that is a time-out */
    }
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}
