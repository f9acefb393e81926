#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/client.h"
#include "net/fetch_internal.h"

#define THREADS 4    /* slow servers at the same time before others wait */
#define QUEUE_MAX 64 /* jobs that wait; more are refused */

struct job {
    struct job *next;
    struct fetch_job job; /* slices point into `frame` */
    struct buf frame;
};

struct child {
    int fd;
    struct fetch_config config; /* slices point into config_frame */
    struct buf config_frame;
    const char *const *within; /* NULL: no bounds from outside */
    char *ca_file;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, **last;
    size_t count;
    pthread_mutex_t write_lock;
};

/* ---- one request ---- */

static bool allowed(const struct child *c, struct str url)
{
    bool inside = c->within == NULL;
    for (const char *const *w = c->within; !inside && *w != NULL; w++)
        inside = fetch_url_allowed(url, str_of(*w));
    if (!inside)
        return false;
    for (uint32_t i = 0; i < c->config.allow_count; i++)
        if (fetch_url_allowed(url, c->config.allow[i]))
            return true;
    return false;
}

static struct str shown(struct str url)
{
    return str_slice(url, 0, str_find(url, '?', 0));
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Where to go next, in `url`; false when this answer is the last. */
static bool next_url(const struct child *c, struct http_client *client, const struct http_answer *a,
                     struct buf *url, enum status *st, struct error *err)
{
    const char *to = is_redirect(a->status) ? http_client_redirect(client) : NULL;
    if (to == NULL)
        return false;
    struct str next = str_of(to);
    bool down = str_has_prefix(buf_str(url), STR("https:")) && !str_has_prefix(next, STR("https:"));
    if (down || !allowed(c, next)) {
        error_set(err, "%s redirects to %s, which is not on the list of allowed URLs",
                  QUOTED(shown(buf_str(url))), QUOTED(shown(next)));
        *st = ERR_DENIED;
        return false;
    }
    buf_reset(url);
    buf_add(url, next);
    buf_add_byte(url, '\0');
    return true;
}

/* NUL-terminated copies of what curl takes as C strings. */
struct texts {
    struct arena arena;
    const char *method;
    const char *headers[FETCH_REQUEST_HEADERS_MAX + 1];
};

static bool make_texts(struct texts *t, const struct fetch_job *j)
{
    t->method = arena_str(&t->arena, j->method).ptr;
    for (uint32_t i = 0; i < j->header_count; i++) {
        t->headers[i] = arena_str(&t->arena, j->headers[i]).ptr;
        if (memchr(j->headers[i].ptr, '\0', j->headers[i].len) != NULL)
            return false;
    }
    t->headers[j->header_count] = NULL;
    return arena_status(&t->arena) == OK && memchr(j->method.ptr, '\0', j->method.len) == NULL;
}

static enum status perform(const struct child *c, struct http_client *client,
                           const struct fetch_job *j, struct http_answer *a, struct error *err)
{
    if (!allowed(c, j->url)) {
        error_set(err, "%s is not on the list of allowed URLs", QUOTED(shown(j->url)));
        return ERR_DENIED;
    }
    CLEANUP(buf_done) struct buf url;
    buf_init(&url, FETCH_URL_MAX + 1);
    buf_add(&url, j->url);
    buf_add_byte(&url, '\0');
    struct texts t = {0};
    arena_init(&t.arena, 1 << 20);
    enum status st = OK;
    if (buf_status(&url) != OK || !make_texts(&t, j)) {
        error_set(err, "%s: malformed request", QUOTED(shown(j->url)));
        st = ERR_INVALID;
    }

    int64_t end_ms = clock_monotonic_ns() / 1000000 + c->config.timeout_ms;
    for (int hops = 0; st == OK; hops++) {
        int64_t left_ms = end_ms - clock_monotonic_ns() / 1000000;
        if (hops > FETCH_REDIRECTS_MAX || left_ms <= 0) {
            error_set(err, "%s: %s", QUOTED(shown(j->url)),
                      left_ms <= 0 ? "timed out" : "too many redirects");
            st = ERR_UNAVAILABLE;
            break;
        }
        http_client_set_timeout(client, (int)left_ms);
        http_client_check_server(client,
                                 !fetch_url_allowed(str_of(url.ptr), c->config.any_certificate));
        st = http_client_request(client, t.method, url.ptr, t.headers, j->body, a, err);
        if (st == OK && (str_is(j->method, "GET") || str_is(j->method, "HEAD")) &&
            next_url(c, client, a, &url, &st, err))
            continue;
        break;
    }
    arena_done(&t.arena);
    return st;
}

/* ---- answers ---- */

static bool send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = str_from(bytes, (size_t)n);
    }
    return true;
}

static void answer(struct child *c, const struct fetch_result *r)
{
    CLEANUP(buf_done) struct buf frame;
    buf_init(&frame, FETCH_FRAME_MAX + 4);
    fetch_write_result(&frame, r);
    pthread_mutex_lock(&c->write_lock);
    bool ok = buf_status(&frame) == OK && send_all(c->fd, buf_str(&frame));
    pthread_mutex_unlock(&c->write_lock);
    if (!ok)
        _exit(1); /* the other side is gone, or we have no memory: a new one is started */
}

static void do_job(struct child *c, struct http_client *client, const struct fetch_job *j)
{
    struct http_answer a = {0};
    buf_init(&a.body, c->config.body_max);
    buf_init(&a.headers, FETCH_HEADERS_MAX);
    struct error err = ERROR_INIT;
    struct fetch_result r = {.id = j->id};
    r.status = perform(c, client, j, &a, &err);
    if (r.status == OK) {
        int64_t wait_s = http_client_retry_after(client);
        r.http_status = (uint32_t)a.status;
        r.retry_after_s = wait_s > INT32_MAX ? INT32_MAX : (uint32_t)wait_s;
        r.headers = buf_str(&a.headers);
        r.body = buf_str(&a.body);
    } else {
        r.text = str_of(err.text);
    }
    answer(c, &r);
    buf_done(&a.body);
    buf_done(&a.headers);
}

/* ---- threads ---- */

static struct job *job_free(struct job *j)
{
    if (j != NULL) {
        buf_done(&j->frame);
        free(j);
    }
    return NULL;
}

static void *thread_main(void *user)
{
    struct child *c = user;
    struct http_client_options o = {.ca_file = c->ca_file};
    struct http_client *client = NULL;
    if (http_client_new(&o, &client, NULL) != OK)
        _exit(1);
    for (;;) {
        pthread_mutex_lock(&c->lock);
        while (c->first == NULL)
            pthread_cond_wait(&c->more, &c->lock);
        struct job *j = c->first;
        c->first = j->next;
        if (c->first == NULL)
            c->last = &c->first;
        c->count--;
        pthread_mutex_unlock(&c->lock);
        do_job(c, client, &j->job);
        job_free(j);
    }
    return NULL;
}

static bool push(struct child *c, struct str content)
{
    struct job *j = calloc(1, sizeof(*j));
    if (j == NULL)
        return false;
    buf_init(&j->frame, FETCH_FRAME_MAX);
    buf_add(&j->frame, content);
    if (buf_status(&j->frame) != OK || !fetch_read_job(buf_str(&j->frame), &j->job)) {
        job_free(j);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    bool room = c->count < QUEUE_MAX;
    if (room) {
        *c->last = j;
        c->last = &j->next;
        c->count++;
        pthread_cond_signal(&c->more);
    }
    pthread_mutex_unlock(&c->lock);
    if (!room) {
        struct fetch_result r = {j->job.id,
                                 ERR_UNAVAILABLE,
                                 0,
                                 0,
                                 STR_EMPTY,
                                 STR_EMPTY,
                                 STR("too many requests wait for claviger-fetch")};
        answer(c, &r);
        job_free(j);
    }
    return true;
}

/* ---- the socket ---- */

/* Read until a whole frame is at the front of `in`; false at the end of the stream. */
static bool read_frame(int fd, struct buf *in, struct str *content, size_t *used)
{
    for (;;) {
        switch (fetch_next_frame(buf_str(in), content, used)) {
        case FETCH_FRAME_DONE:
            return true;
        case FETCH_FRAME_BAD:
            return false;
        case FETCH_FRAME_MORE:
            break;
        }
        if (!buf_reserve(in, 65536))
            return false;
        ssize_t n = recv(fd, in->ptr + in->len, in->cap - in->len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        in->len += (size_t)n;
    }
}

static void drop(struct buf *in, size_t used)
{
    in->len -= used;
    memmove(in->ptr, in->ptr + used, in->len);
}

static bool take_config(struct child *c, struct buf *in)
{
    struct str content;
    size_t used;
    if (!read_frame(c->fd, in, &content, &used))
        return false;
    buf_init(&c->config_frame, FETCH_FRAME_MAX);
    buf_add(&c->config_frame, content);
    drop(in, used);
    if (buf_status(&c->config_frame) != OK ||
        !fetch_read_config(buf_str(&c->config_frame), &c->config))
        return false;
    if (c->config.ca_file.len > 0)
        c->ca_file = strndup(c->config.ca_file.ptr, c->config.ca_file.len);
    return c->config.ca_file.len == 0 || c->ca_file != NULL;
}

static bool start_threads(struct child *c)
{
    for (int i = 0; i < THREADS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, thread_main, c) != 0 || pthread_detach(t) != 0)
            return false;
    }
    return true;
}

int fetch_serve_within(int fd, const char *const *within)
{
    struct child *c = calloc(1, sizeof(*c)); /* of the process */
    if (c == NULL)
        return 1;
    c->fd = fd;
    c->within = within;
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->write_lock, NULL);
    pthread_cond_init(&c->more, NULL);

    struct buf in;
    buf_init(&in, FETCH_FRAME_MAX + 131072);
    if (!take_config(c, &in)) {
        fprintf(stderr, "claviger-fetch: no configuration from the server\n");
        return 1;
    }
    fetch_drop_rights(c->config.ca_file); /* before the threads, which inherit it */
    if (!start_threads(c)) {
        fprintf(stderr, "claviger-fetch: could not start a thread\n");
        return 1;
    }

    struct str content;
    size_t used;
    while (read_frame(fd, &in, &content, &used)) {
        if (!push(c, content)) {
            fprintf(stderr, "claviger-fetch: malformed request from the server\n");
            return 1;
        }
        drop(&in, used);
    }
    _exit(0); /* the server is gone: so are we, whatever threads are doing */
}
