#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/fetch_internal.h"
#include "net/http_head.h"

#define TIMEOUT_DEFAULT_MS 30000
#define GRACE_DEFAULT_MS 3000
#define BODY_DEFAULT (1024 * 1024)
#define SEND_TIMEOUT_S 5
#define STARTS_MAX 5 /* in START_WINDOW_S; more often it is broken, and trying harms */
#define START_WINDOW_S 10

/* A running claviger-fetch.  Who waits on its socket holds a reference. */
struct process {
    int fd;
    pid_t pid; /* 0: started by somebody else */
    unsigned refs;
};

/* A request under way, shared by all threads that ask for the same. */
struct call {
    struct call *next;
    unsigned refs;
    uint32_t id;
    struct buf key; /* the request as a frame, with id 0 */
    bool shared;    /* a GET: others may join, and it may be tried again */
    int64_t deadline_ns;

    bool done, lost; /* lost: the process went away */
    enum status status;
    struct error err;
    int http_status;
    int64_t retry_after_s;
    struct buf headers, body;
};

/*
 * There is no thread of the fetcher's own: one of those who wait reads the
 * socket for all (`reading`), the others wait for `changed`.
 */
struct fetcher {
    struct fetcher_options options;
    uint32_t number;
    struct buf config; /* as a frame */
    char **allow;
    size_t allow_count;
    char *program;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct process *process; /* NULL: none */
    struct buf in;           /* from its socket, not yet a whole frame */
    bool reading;
    unsigned waiting; /* requests */
    struct call *calls;
    uint32_t last_id;
    int64_t starts_ns[STARTS_MAX]; /* a ring */
    unsigned start_count;
    bool stopped;
};

/* fetch_start_with(): set once, before threads. */
static struct {
    int (*start)(void *user, uint32_t fetcher, struct error *err);
    void *user;
} process_start;
static _Atomic uint32_t last_number;

void fetch_start_with(int (*start)(void *user, uint32_t fetcher, struct error *err), void *user)
{
    process_start.start = start;
    process_start.user = user;
}

/* ---- answers ---- */

void fetch_answer_init(struct fetch_answer *a)
{
    *a = (struct fetch_answer){0};
    buf_init(&a->headers, FETCH_HEADERS_MAX);
    buf_init(&a->body, FETCH_BODY_MAX);
}

void fetch_answer_done(struct fetch_answer *a)
{
    buf_done(&a->headers);
    buf_done(&a->body);
}

struct str fetch_answer_header(const struct fetch_answer *a, const char *name)
{
    return http_lines_get(buf_str(&a->headers), name);
}

/* ---- calls ---- */

static struct call *call_unref(struct call *c)
{
    if (c == NULL || --c->refs > 0)
        return NULL;
    buf_done(&c->key);
    buf_done(&c->headers);
    buf_done(&c->body);
    free(c);
    return NULL;
}

static void call_fail(struct call *c, enum status st, const char *text)
{
    c->done = true;
    c->status = st;
    error_set(&c->err, "%s", text);
}

/* Out of the list, whose reference goes to the caller. */
static struct call *remove_call(struct fetcher *f, uint32_t id)
{
    for (struct call **p = &f->calls; *p != NULL; p = &(*p)->next) {
        if ((*p)->id == id) {
            struct call *c = *p;
            *p = c->next;
            return c;
        }
    }
    return NULL;
}

/* ---- the process ---- */

static void process_unref(struct process *p)
{
    if (--p->refs > 0)
        return;
    close(p->fd);
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(p);
}

/* It is gone, or treated so: every call under way ends here. */
static void lose_process(struct fetcher *f, const char *why)
{
    struct process *p = TAKE(f->process);
    if (p != NULL) {
        shutdown(p->fd, SHUT_RDWR); /* wakes the reader */
        process_unref(p);
    }
    buf_done(&f->in);
    while (f->calls != NULL) {
        struct call *c = f->calls;
        f->calls = c->next;
        c->lost = true;
        call_fail(c, ERR_UNAVAILABLE, why);
        call_unref(c);
    }
    pthread_cond_broadcast(&f->changed);
}

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

static enum status start_process(struct fetcher *f, struct error *err)
{
    if (f->stopped) {
        error_set(err, "the fetcher is closed");
        return ERR_UNAVAILABLE;
    }
    int64_t now_ns = clock_monotonic_ns();
    int64_t *slot = &f->starts_ns[f->start_count % STARTS_MAX];
    if (f->start_count >= STARTS_MAX && now_ns - *slot < START_WINDOW_S * NS_PER_S) {
        error_set(err, "claviger-fetch ends again and again");
        return ERR_UNAVAILABLE;
    }
    *slot = now_ns;
    f->start_count++;

    struct process *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return error_nomem(err);
    p->refs = 1;
    if (f->options.start != NULL)
        p->fd = f->options.start(f->options.user, err);
    else if (process_start.start != NULL)
        p->fd = process_start.start(process_start.user, f->number, err);
    else
        p->fd = fetch_spawn(f->program, &p->pid, err);
    if (p->fd < 0) {
        free(p);
        return ERR_UNAVAILABLE;
    }
    struct timeval tv = {SEND_TIMEOUT_S, 0};
    setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    f->process = p;
    if (!send_all(p->fd, buf_str(&f->config))) {
        lose_process(f, "claviger-fetch ended");
        error_set(err, "claviger-fetch ended at its start");
        return ERR_UNAVAILABLE;
    }
    return OK;
}

/* ---- reading ---- */

static void take_result(struct fetcher *f, const struct fetch_result *r)
{
    struct call *c = remove_call(f, r->id);
    if (c == NULL)
        return; /* nobody waits any more */
    c->http_status = (int)r->http_status;
    c->retry_after_s = r->retry_after_s;
    buf_add(&c->headers, r->headers);
    buf_add(&c->body, r->body);
    if (buf_status(&c->headers) != OK || buf_status(&c->body) != OK) {
        call_fail(c, ERR_NOMEM, "out of memory");
    } else if (r->status != OK) {
        char text[ERROR_TEXT_MAX];
        snprintf(text, sizeof(text), "%.*s", STR_ARG(r->text));
        call_fail(c, r->status, text);
    } else {
        c->done = true;
        c->status = OK;
    }
    call_unref(c);
}

static void take_frames(struct fetcher *f)
{
    struct str content;
    size_t used = 0;
    enum fetch_frame got;
    struct fetch_result r;
    while ((got = fetch_next_frame(buf_str(&f->in), &content, &used)) == FETCH_FRAME_DONE &&
           fetch_read_result(content, &r)) {
        take_result(f, &r);
        f->in.len -= used;
        memmove(f->in.ptr, f->in.ptr + used, f->in.len);
    }
    if (got != FETCH_FRAME_MORE)
        lose_process(f, "claviger-fetch says what is no answer");
}

/* Read once, for all who wait; called and left with the lock held. */
static void read_some(struct fetcher *f, int64_t until_ns)
{
    char part[65536];
    struct process *p = f->process;
    p->refs++;
    f->reading = true;
    pthread_mutex_unlock(&f->lock);

    int64_t left_ms = (until_ns - clock_monotonic_ns()) / 1000000 + 1;
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    int ready = poll(&pfd, 1, left_ms < 0 ? 0 : (int)left_ms);
    ssize_t n = ready > 0 ? recv(p->fd, part, sizeof(part), MSG_DONTWAIT) : 0;
    bool ended = ready > 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR));

    pthread_mutex_lock(&f->lock);
    f->reading = false;
    if (p == f->process) {
        if (ended) {
            lose_process(f, "claviger-fetch ended");
        } else if (n > 0) {
            buf_add(&f->in, str_bytes(part, (size_t)n));
            if (buf_status(&f->in) == OK)
                take_frames(f);
            else
                lose_process(f, "claviger-fetch says too much");
        }
    }
    process_unref(p);
    pthread_cond_broadcast(&f->changed);
}

static void wait_for(struct fetcher *f, struct call *c)
{
    while (!c->done) {
        if (clock_monotonic_ns() >= c->deadline_ns) {
            lose_process(f, "claviger-fetch does not answer");
            c->lost = false; /* no second try: the time is over */
        } else if (f->reading || f->process == NULL) {
            struct timespec ts = {c->deadline_ns / NS_PER_S, c->deadline_ns % NS_PER_S};
            pthread_cond_timedwait(&f->changed, &f->lock, &ts);
        } else {
            read_some(f, c->deadline_ns);
        }
    }
}

/* ---- requests ---- */

static struct call *find_call(struct fetcher *f, struct str key)
{
    for (struct call *c = f->calls; c != NULL; c = c->next)
        if (c->shared && str_equal(buf_str(&c->key), key))
            return c;
    return NULL;
}

static enum status begin_call(struct fetcher *f, const struct fetch_job *job, struct str key,
                              struct call **out, struct error *err)
{
    enum status st = f->process == NULL ? start_process(f, err) : OK;
    if (st != OK)
        return st;
    struct call *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return error_nomem(err);
    buf_init(&c->key, FETCH_FRAME_MAX);
    buf_init(&c->headers, FETCH_HEADERS_MAX);
    buf_init(&c->body, FETCH_BODY_MAX);
    buf_add(&c->key, key);
    struct fetch_job numbered = *job;
    c->id = numbered.id = ++f->last_id;
    c->shared = str_is(job->method, "GET");
    c->deadline_ns = clock_monotonic_ns() +
                     ((int64_t)f->options.timeout_ms + f->options.grace_ms) * (NS_PER_S / 1000);
    c->refs = 2; /* the list's and the caller's */
    c->next = f->calls;
    f->calls = c;

    CLEANUP(buf_done) struct buf frame;
    buf_init(&frame, FETCH_FRAME_MAX + 4);
    fetch_write_job(&frame, &numbered);
    if (buf_status(&frame) != OK || buf_status(&c->key) != OK) {
        call_unref(remove_call(f, c->id));
        call_unref(c);
        return error_nomem(err);
    }
    if (!send_all(f->process->fd, buf_str(&frame)))
        lose_process(f, "claviger-fetch ended");
    *out = c;
    return OK;
}

static enum status hand_over(const struct call *c, struct fetch_answer *out, struct error *err)
{
    if (c->status != OK) {
        error_set(err, "%s", c->err.text);
        return c->status;
    }
    buf_reset(&out->headers);
    buf_reset(&out->body);
    buf_add(&out->headers, buf_str(&c->headers));
    buf_add(&out->body, buf_str(&c->body));
    out->status = c->http_status;
    out->retry_after_s = c->retry_after_s;
    if (buf_status(&out->headers) == OK && buf_status(&out->body) == OK)
        return OK;
    if (buf_status(&out->headers) == ERR_NOMEM || buf_status(&out->body) == ERR_NOMEM)
        return error_nomem(err);
    error_set(err, "the answer is too large");
    return ERR_LIMIT;
}

static enum status make_job(const struct fetcher *f, const struct fetch_request *r,
                            struct fetch_job *job, struct error *err)
{
    *job = (struct fetch_job){
        .method = str_of(r->method == NULL ? "GET" : r->method),
        .url = r->url,
        .body = r->body.ptr == NULL ? STR_EMPTY : r->body,
    };
    struct str shown = str_slice(r->url, 0, str_find(r->url, '?', 0));
    if (!http_is_token(job->method) || job->body.len > FETCH_BODY_MAX) {
        error_set(err, "%s: no such request", QUOTED(shown));
        return ERR_INVALID;
    }
    for (const char *const *h = r->headers; h != NULL && *h != NULL; h++) {
        if (job->header_count == FETCH_REQUEST_HEADERS_MAX) {
            error_set(err, "%s: too many headers", QUOTED(shown));
            return ERR_LIMIT;
        }
        job->headers[job->header_count++] = str_of(*h);
    }
    for (size_t i = 0; i < f->allow_count; i++)
        if (fetch_url_allowed(r->url, str_of(f->allow[i])))
            return OK;
    error_set(err, "%s is not on the list of allowed URLs", QUOTED(shown));
    return ERR_DENIED;
}

enum status fetcher_request(struct fetcher *f, const struct fetch_request *request,
                            struct fetch_answer *out, struct error *err)
{
    struct fetch_job job;
    enum status st = make_job(f, request, &job, err);
    if (st != OK)
        return st;
    CLEANUP(buf_done) struct buf key;
    buf_init(&key, FETCH_FRAME_MAX);
    fetch_write_job(&key, &job);
    if (buf_status(&key) != OK)
        return error_nomem(err);

    pthread_mutex_lock(&f->lock);
    for (int attempt = 0;; attempt++) {
        struct call *c = find_call(f, buf_str(&key));
        if (c != NULL)
            c->refs++;
        else if ((st = begin_call(f, &job, buf_str(&key), &c, err)) != OK)
            break;
        f->waiting++;
        wait_for(f, c);
        f->waiting--;
        bool again = c->lost && c->shared && attempt == 0 && !f->stopped;
        if (!again)
            st = hand_over(c, out, err);
        call_unref(c);
        if (!again)
            break;
    }
    pthread_mutex_unlock(&f->lock);
    return st;
}

unsigned fetcher_waiting(struct fetcher *f)
{
    pthread_mutex_lock(&f->lock);
    unsigned n = f->waiting;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* ---- life ---- */

static enum status copy_options(struct fetcher *f, const struct fetcher_options *o,
                                struct error *err)
{
    size_t count = 0;
    while (o->allow != NULL && o->allow[count] != NULL)
        count++;
    if (count > FETCH_ALLOW_MAX) {
        error_set(err, "more than %d allowed URLs", FETCH_ALLOW_MAX);
        return ERR_LIMIT;
    }
    f->allow = calloc(count + 1, sizeof(*f->allow));
    if (f->allow == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        if (!fetch_url_allowed(str_of(o->allow[i]), str_of(o->allow[i]))) {
            error_set(err, "\"%s\" is no prefix for allowed URLs", QUOTED(str_of(o->allow[i])));
            return ERR_INVALID;
        }
        f->allow[i] = strdup(o->allow[i]);
        if (f->allow[i] == NULL)
            return error_nomem(err);
        f->allow_count++;
    }
    f->program = o->program == NULL ? NULL : strdup(o->program);
    return f->program == NULL && o->program != NULL ? error_nomem(err) : OK;
}

static enum status write_config(struct fetcher *f, struct error *err)
{
    const struct fetcher_options *o = &f->options;
    CLEANUP(buf_done) struct buf scratch;
    buf_init(&scratch, sizeof(struct fetch_config));
    if (!buf_reserve(&scratch, sizeof(struct fetch_config)))
        return error_nomem(err);
    struct fetch_config *c = (struct fetch_config *)(void *)scratch.ptr;
    *c = (struct fetch_config){
        .timeout_ms = (uint32_t)o->timeout_ms,
        .body_max = (uint32_t)o->body_max,
        .ca_file = o->ca_file == NULL ? STR_EMPTY : str_of(o->ca_file),
        .any_certificate = o->any_certificate == NULL ? STR_EMPTY : str_of(o->any_certificate),
        .allow_count = (uint32_t)f->allow_count,
    };
    for (size_t i = 0; i < f->allow_count; i++)
        c->allow[i] = str_of(f->allow[i]);
    fetch_write_config(&f->config, c);
    return buf_status(&f->config) == OK ? OK : error_nomem(err);
}

enum status fetcher_new(const struct fetcher_options *options, struct fetcher **out,
                        struct error *err)
{
    CLEANUP(fetcher_cleanup) struct fetcher *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return error_nomem(err);
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);
    buf_init(&f->config, FETCH_FRAME_MAX);
    buf_init(&f->in, FETCH_FRAME_MAX + 65536 + 4);

    f->options = *options;
    f->number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
    if (f->options.timeout_ms <= 0)
        f->options.timeout_ms = TIMEOUT_DEFAULT_MS;
    if (f->options.grace_ms <= 0)
        f->options.grace_ms = GRACE_DEFAULT_MS;
    if (f->options.body_max == 0)
        f->options.body_max = BODY_DEFAULT;
    if (f->options.body_max > FETCH_BODY_MAX)
        f->options.body_max = FETCH_BODY_MAX;
    enum status st = copy_options(f, options, err);
    if (st == OK)
        st = write_config(f, err);
    if (st != OK)
        return st;
    f->options.allow = NULL; /* the caller's; ours are copies */
    f->options.program = f->options.ca_file = f->options.any_certificate = NULL;
    *out = TAKE(f);
    return OK;
}

void fetcher_stop(struct fetcher *f)
{
    pthread_mutex_lock(&f->lock);
    f->stopped = true;
    lose_process(f, "the fetcher is closed");
    pthread_mutex_unlock(&f->lock);
}

struct fetcher *fetcher_free(struct fetcher *f)
{
    if (f == NULL)
        return NULL;
    lose_process(f, "the fetcher is closed");
    for (size_t i = 0; i < f->allow_count; i++)
        free(f->allow[i]);
    free(f->allow);
    free(f->program);
    buf_done(&f->config);
    buf_done(&f->in);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return NULL;
}
