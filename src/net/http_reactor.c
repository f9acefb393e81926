#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/server_internal.h"

#define ACCEPTS_A_TURN 64
#define ACCEPT_PAUSE_MS 50 /* after running out of descriptors or memory */
#define KEEP_MAX 16384     /* a larger buffer goes back to the system between requests */
#define CHARGE_FREE 32768  /* a usual request is always welcome */
#define TRIM_PEAK 64       /* after so many connections at once, memory is given back, */
#define TRIM_DELAY_MS 300  /* once: when most of them are gone */

static struct timeval timeval_of_ns(int64_t ns)
{
    if (ns < 0)
        ns = 0;
    return (struct timeval){ns / NS_PER_S, (ns % NS_PER_S) / 1000};
}

/* ---- deadlines ---- */

static void arm_loop(struct reactor *r, int64_t at_ns, int64_t now_ns)
{
    /* A microsecond late rather than early: early would mean twice. */
    struct timeval tv = timeval_of_ns(at_ns - now_ns + 1000);
    r->deadline_armed_ns = at_ns;
    event_add(&r->deadline_event, &tv);
}

void reactor_disarm(struct deadline *d)
{
    if (d->kind == DEADLINE_NONE)
        return;
    d->prev->next = d->next;
    d->next->prev = d->prev;
    d->prev = d->next = NULL;
    d->kind = DEADLINE_NONE;
}

void reactor_arm(struct reactor *r, struct deadline *d, enum deadline_kind kind)
{
    reactor_disarm(d);
    int64_t now_ns = clock_monotonic_ns();
    struct deadline *ring = &r->deadlines[kind];
    d->kind = kind;
    d->at_ns = now_ns + r->durations_ns[kind];
    d->prev = ring->prev;
    d->next = ring;
    ring->prev->next = d;
    ring->prev = d;

    /* Most deadlines move on before they come: the loop's timer is left where it is. */
    if (r->deadline_armed_ns == 0 || d->at_ns < r->deadline_armed_ns)
        arm_loop(r, d->at_ns, now_ns);
}

static void on_deadline(evutil_socket_t fd, short what, void *user)
{
    struct reactor *r = user;
    int64_t now_ns = clock_monotonic_ns(), earliest_ns = 0;
    r->deadline_armed_ns = 0;

    for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
        struct deadline *ring = &r->deadlines[kind];
        while (ring->next != ring && ring->next->at_ns <= now_ns) {
            struct deadline *d = ring->next;
            struct conn *c = (struct conn *)(void *)((char *)d - offsetof(struct conn, deadline));
            conn_expired(c); /* disarms it, moves it to another ring, or frees it */
        }
    }
    for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
        struct deadline *ring = &r->deadlines[kind];
        if (ring->next != ring && (earliest_ns == 0 || ring->next->at_ns < earliest_ns))
            earliest_ns = ring->next->at_ns;
    }
    if (earliest_ns != 0 && (r->deadline_armed_ns == 0 || earliest_ns < r->deadline_armed_ns))
        arm_loop(r, earliest_ns, now_ns);
}

struct str reactor_date(struct reactor *r)
{
    int64_t now_s = clock_now_s(&clock_system);
    if (now_s != r->date_s) {
        r->date_s = now_s;
        time_write_http(now_s, r->date);
    }
    return (struct str){r->date, TIME_HTTP_LEN};
}

/* ---- exchanges ---- */

static void shrink(struct buf *b)
{
    if (b->cap > KEEP_MAX)
        buf_done(b);
}

void exchange_reset(struct exchange *ex)
{
    struct http_exchange *x = &ex->x;
    arena_reset(&x->arena);
    if (x->arena.used > KEEP_MAX)
        arena_done(&x->arena);
    buf_reset(&x->headers);
    buf_reset(&x->out);
    buf_reset(&ex->body);
    buf_reset(&ex->wire);
    shrink(&x->headers);
    shrink(&x->out);
    shrink(&ex->body);
    shrink(&ex->wire);

    x->head = &ex->head;
    x->method = HTTP_GET;
    x->target = x->path = x->query = x->body = x->peer = STR_EMPTY;
    x->status = 0;
    x->body_len = 0;
    x->start_ns = 0;
    x->close = false;
    x->state = NULL;
    ex->parsed_at = NULL;
    ex->scan_from = ex->head_len = ex->taken = ex->sent = 0;
    ex->refused = false;
}

/*
 * Sixteen thousand connections that each stop before the last byte of a body
 * would hold 34 GiB, and anybody may open them.
 */
bool exchange_charge(struct exchange *ex, struct http_server *s)
{
    size_t held = ex->in.cap + ex->body.cap;
    held = held > CHARGE_FREE ? held : 0;
    size_t before = ex->charged;
    ex->charged = held;
    if (held <= before) {
        atomic_fetch_sub_explicit(&s->buffered, before - held, memory_order_relaxed);
        return true;
    }
    size_t all = atomic_fetch_add_explicit(&s->buffered, held - before, memory_order_relaxed);
    return all + (held - before) <= s->limits.buffers_max;
}

static void exchange_free(struct exchange *ex)
{
    arena_done(&ex->x.arena);
    buf_done(&ex->x.headers);
    buf_done(&ex->x.out);
    buf_done(&ex->in);
    buf_done(&ex->body);
    buf_done(&ex->wire);
    free(ex);
}

struct exchange *reactor_take_exchange(struct reactor *r)
{
    struct exchange *ex = r->pool;
    if (ex != NULL) {
        r->pool = ex->next;
        r->pool_count--;
        ex->next = NULL;
        return ex;
    }

    const struct http_limits *l = &r->server->limits;
    ex = calloc(1, sizeof(*ex));
    if (ex == NULL)
        return NULL;
    arena_init(&ex->x.arena, l->request_memory);
    buf_init(&ex->x.headers, 65536);
    buf_init_secret(&ex->x.out, HTTP_ANSWER_MAX);
    buf_init_secret(&ex->in, 2 * l->head_max + l->body_max + 65536);
    buf_init_secret(&ex->body, l->body_max);
    buf_init_secret(&ex->wire, 131072);
    exchange_reset(ex);
    return ex;
}

void reactor_give_exchange(struct reactor *r, struct exchange *ex)
{
    ex->conn = NULL;
    exchange_reset(ex);
    buf_reset(&ex->in);
    shrink(&ex->in);
    exchange_charge(ex, r->server); /* nothing any more: what shrink() leaves is free */
    if (r->pool_count >= POOL_MAX) {
        exchange_free(ex);
        return;
    }
    ex->next = r->pool;
    r->pool = ex;
    r->pool_count++;
}

/* ---- accepting ---- */

static uint8_t write_peer(const struct sockaddr_storage *ss, char out[54])
{
    char host[INET6_ADDRSTRLEN] = "?";
    int n = 0;
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)ss;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        n = snprintf(out, 54, "%s:%u", host, ntohs(in->sin_port));
    } else if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)ss;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        n = snprintf(out, 54, "[%s]:%u", host, ntohs(in6->sin6_port));
    }
    return (uint8_t)(n > 0 && n < 54 ? n : 0);
}

/* A reference to the present context of a listener, or NULL. */
static struct tls_server *current_tls(struct http_server *s, size_t index)
{
    pthread_mutex_lock(&s->tls_lock);
    struct tls_server *t = s->addresses[index].tls;
    if (t != NULL)
        tls_server_ref(t);
    pthread_mutex_unlock(&s->tls_lock);
    return t;
}

static struct conn *conn_new(struct listener *l, int fd, const struct sockaddr_storage *ss)
{
    struct http_server *s = l->reactor->server;
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->fd = fd;
    c->peer_len = write_peer(ss, c->peer);
    if (!s->addresses[l->index].is_tls)
        return c;

    struct tls_server *t = current_tls(s, l->index);
    c->ssl = t == NULL ? NULL : SSL_new(tls_server_context(t)); /* keeps the context alive */
    tls_server_unref(t);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) {
        SSL_free(c->ssl);
        free(c);
        return NULL;
    }
    SSL_set_accept_state(c->ssl);
    return c;
}

/*
 * The kernel spreads connections over reactors by hash, which with a handful
 * of clients is uneven.  One that would have two more than another hands the
 * connection over.
 */
static struct reactor *choose_reactor(struct reactor *r)
{
    struct http_server *s = r->server;
    struct reactor *best = r;
    size_t least = atomic_load_explicit(&r->active, memory_order_relaxed);
    if (r->stops_seen > 0)
        return r; /* the other may be about to leave */
    for (unsigned i = 0; i < s->reactor_count; i++) {
        size_t n = atomic_load_explicit(&s->reactors[i].active, memory_order_relaxed);
        if (n + 1 < least) {
            least = n;
            best = &s->reactors[i];
        }
    }
    return best;
}

static void accepted(struct listener *l, int fd, const struct sockaddr_storage *ss)
{
    struct reactor *r = l->reactor;
    struct http_server *s = r->server;
    size_t before = atomic_fetch_add_explicit(&s->active, 1, memory_order_relaxed);
    struct conn *c = before < s->limits.connections_max ? conn_new(l, fd, ss) : NULL;
    if (c == NULL) {
        atomic_fetch_sub_explicit(&s->active, 1, memory_order_relaxed);
        close(fd);
        return;
    }

    struct reactor *to = choose_reactor(r);
    atomic_fetch_add_explicit(&to->active, 1, memory_order_relaxed);
    if (to == r) {
        conn_start(c, r);
        return;
    }
    pthread_mutex_lock(&to->lock);
    c->next = to->inbox_conns;
    to->inbox_conns = c;
    pthread_mutex_unlock(&to->lock);
    reactor_wake(to);
}

/* False when nobody waits any more. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        accepted(l, fd, &ss);
        return true;
    }
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
        return true;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        /* The others wait in the backlog; without a pause this would be a busy loop. */
        struct timeval pause = {0, ACCEPT_PAUSE_MS * 1000};
        event_del(&l->event);
        event_add(&l->resume, &pause);
    }
    return false;
}

static void on_accept(evutil_socket_t fd, short what, void *user)
{
    struct listener *l = user;
    for (int i = 0; i < ACCEPTS_A_TURN; i++)
        if (!accept_one(l))
            return;
}

static void on_resume(evutil_socket_t fd, short what, void *user)
{
    struct listener *l = user;
    if (l->fd >= 0)
        event_add(&l->event, NULL);
}

static void close_listeners(struct reactor *r, bool serve_waiting)
{
    for (size_t i = 0; i < r->server->listen_count; i++) {
        struct listener *l = &r->listeners[i];
        if (l->fd < 0)
            continue;
        /* close() resets those that the kernel has accepted already: take them first. */
        while (serve_waiting && accept_one(l))
            ;
        if (event_initialized(&l->event)) {
            event_del(&l->event);
            event_del(&l->resume);
        }
        close(l->fd);
        l->fd = -1;
    }
}

/* ---- the inbox ---- */

void reactor_wake(struct reactor *r)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t n = write(r->wake_fd, &one, sizeof(one)); /* EAGAIN: it is awake already */
    (void)n;
    errno = saved;
}

void reactor_return(struct reactor *r, struct exchange *ex)
{
    pthread_mutex_lock(&r->lock);
    bool first = r->inbox_done == NULL;
    ex->next = r->inbox_done;
    r->inbox_done = ex;
    pthread_mutex_unlock(&r->lock);
    if (first)
        reactor_wake(r);
}

static void take_inbox(struct reactor *r)
{
    pthread_mutex_lock(&r->lock);
    struct conn *c = TAKE(r->inbox_conns);
    struct exchange *ex = TAKE(r->inbox_done);
    pthread_mutex_unlock(&r->lock);

    while (c != NULL) {
        struct conn *next = c->next;
        conn_start(c, r);
        c = next;
    }
    while (ex != NULL) {
        struct exchange *next = TAKE(ex->next);
        conn_worked(ex->conn);
        ex = next;
    }
}

/* ---- stopping ---- */

/* From here on answers say close, and who has no request under way is closed. */
static void drain(struct reactor *r)
{
    r->draining = true;
    close_listeners(r, true);
    struct conn *c = r->conns;
    while (c != NULL) {
        struct conn *next = c->next; /* driving one connection never frees another */
        if (c->state == CONN_READ && (c->ex == NULL || c->ex->in.len == 0))
            conn_drive(c);
        c = next;
    }
    struct timeval tv = timeval_of_ns(atomic_load(&r->server->drain_ms) * (NS_PER_S / 1000));
    event_add(&r->stop_event, &tv);
}

static void on_stop_time(evutil_socket_t fd, short what, void *user)
{
    struct reactor *r = user;
    if (!r->draining) {
        drain(r);
        return;
    }
    struct conn *c = r->conns;
    while (c != NULL) {
        struct conn *next = c->next;
        if (c->state != CONN_WORK)
            conn_close(c);
        c = next;
    }
    r->finished = true; /* what workers still have is closed by reactor_done() */
}

static void on_wake(evutil_socket_t fd, short what, void *user)
{
    struct reactor *r = user;
    uint64_t count;
    ssize_t n = read(r->wake_fd, &count, sizeof(count));
    (void)n;
    take_inbox(r);

    int stops = atomic_load(&r->server->stop);
    if (stops == r->stops_seen)
        return;
    r->stops_seen = stops;
    const atomic_int *ms = r->draining ? &r->server->drain_ms : &r->server->linger_ms;
    struct timeval tv = timeval_of_ns(atomic_load(ms) * (NS_PER_S / 1000));
    event_add(&r->stop_event, &tv);
}

/* ---- life of a reactor ---- */

/*
 * Most of the connections of a crowd are gone: what malloc() keeps of them goes
 * back to the system, a moment later, when the others have left, too.
 */
static void on_trim(evutil_socket_t fd, short what, void *user)
{
    struct reactor *r = user;
    r->conn_peak = r->conn_count;
    memory_give_back();
}

void reactor_left(struct reactor *r)
{
    if (r->conn_peak < TRIM_PEAK || r->conn_count > r->conn_peak / 8)
        return;
    struct timeval delay = {0, TRIM_DELAY_MS * 1000};
    event_add(&r->trim_event, &delay);
}

void reactor_run(struct reactor *r)
{
    while (!r->finished && !(r->draining && r->conn_count == 0) &&
           event_base_loop(r->base, EVLOOP_ONCE) == 0)
        ;
}

enum status reactor_listen(struct reactor *r, struct error *err)
{
    for (size_t i = 0; i < r->server->listen_count; i++) {
        struct listener *l = &r->listeners[i];
        event_assign(&l->event, r->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
        event_assign(&l->resume, r->base, -1, 0, on_resume, l);
        if (event_add(&l->event, NULL) != 0) {
            error_set(err, "could not watch the listening socket");
            return ERR_IO;
        }
    }
    return OK;
}

enum status reactor_init(struct reactor *r, struct http_server *s, unsigned index,
                         struct error *err)
{
    r->server = s;
    r->index = index;
    r->wake_fd = -1;
    pthread_mutex_init(&r->lock, NULL);
    const int ms[DEADLINE_KINDS] = {
        [DEADLINE_HEAD] = s->limits.head_timeout_ms,
        [DEADLINE_BODY] = s->limits.body_timeout_ms,
        [DEADLINE_IDLE] = s->limits.idle_timeout_ms,
        [DEADLINE_WRITE] = s->limits.write_timeout_ms,
        [DEADLINE_CLOSE] = s->limits.close_timeout_ms,
    };
    for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
        r->deadlines[kind].prev = r->deadlines[kind].next = &r->deadlines[kind];
        r->durations_ns[kind] = ms[kind] * (NS_PER_S / 1000);
    }

    r->listeners = calloc(s->listen_count, sizeof(*r->listeners));
    if (r->listeners == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < s->listen_count; i++)
        r->listeners[i] = (struct listener){.fd = -1, .index = i, .reactor = r};

    /* One thread a base: no locks inside libevent. */
    struct event_config *cfg = event_config_new();
    if (cfg != NULL) {
        event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
        r->base = event_base_new_with_config(cfg);
        event_config_free(cfg);
    }
    if (r->base == NULL)
        return error_nomem(err);

    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->wake_fd < 0)
        return error_errno(err, errno, "could not make an eventfd");
    event_assign(&r->wake_event, r->base, r->wake_fd, EV_READ | EV_PERSIST, on_wake, r);
    event_assign(&r->deadline_event, r->base, -1, 0, on_deadline, r);
    event_assign(&r->stop_event, r->base, -1, 0, on_stop_time, r);
    event_assign(&r->trim_event, r->base, -1, 0, on_trim, r);
    if (event_add(&r->wake_event, NULL) != 0) {
        error_set(err, "could not watch an eventfd");
        return ERR_IO;
    }
    return OK;
}

/* Called when no thread runs any more. */
void reactor_done(struct reactor *r)
{
    for (struct conn *c = TAKE(r->inbox_conns); c != NULL;) {
        struct conn *next = c->next; /* handed over, and never started */
        SSL_free(c->ssl);
        close(c->fd);
        free(c);
        c = next;
    }
    if (r->listeners != NULL)
        close_listeners(r, false);
    if (r->base != NULL) {
        while (r->conns != NULL) {
            struct conn *c = r->conns;
            if (c->state == CONN_WORK)
                c->state = CONN_WRITE; /* queued or just done: dropped */
            conn_close(c);
        }
        if (event_initialized(&r->wake_event)) {
            event_del(&r->wake_event);
            event_del(&r->deadline_event);
            event_del(&r->stop_event);
            event_del(&r->trim_event);
        }
        event_base_free(r->base);
    }
    while (r->pool != NULL) {
        struct exchange *ex = r->pool;
        r->pool = ex->next;
        exchange_free(ex);
    }
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    free(r->listeners);
    pthread_mutex_destroy(&r->lock);
}
