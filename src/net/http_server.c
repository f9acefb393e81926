#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "net/server_internal.h"

#define BACKLOG 1024
#define REACTORS_MAX 64
#define WORKERS_DEFAULT 4
#define WORKERS_MAX 256
#define BUFFERS_DEFAULT ((size_t)256 * 1024 * 1024)
#define OTHER_DESCRIPTORS 256 /* beside connections: files, databases, the reactors' own */

/* A timer or a signal of the program's. */
struct hook {
    struct hook *next;
    struct event event;
    void (*fn)(void *user);
    void *user;
};

/* ---- addresses ---- */

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static bool parse_port(struct str s, uint16_t *out)
{
    if (s.len == 0 || s.len > 5)
        return false;
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(s.ptr[i] - '0');
    }
    *out = (uint16_t)n;
    return n <= 65535;
}

/* "1.2.3.4:80" or "[::1]:80"; numbers only, as upstream's SocketAddr. */
static bool parse_address(struct str text, union address *out, socklen_t *len)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    uint16_t port;
    if (colon == 0 || !parse_port(str_from(text, colon), &port))
        return false;

    struct str host = str_slice(text, 0, colon - 1);
    bool v6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (v6)
        host = str_slice(host, 1, host.len - 2);
    char name[INET6_ADDRSTRLEN];
    if (host.len >= sizeof(name))
        return false;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';

    *out = (union address){0};
    if (v6) {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(port);
        *len = sizeof(out->in6);
        return inet_pton(AF_INET6, name, &out->in6.sin6_addr) == 1;
    }
    out->in.sin_family = AF_INET;
    out->in.sin_port = htons(port);
    *len = sizeof(out->in);
    return inet_pton(AF_INET, name, &out->in.sin_addr) == 1;
}

static void write_address(const union address *a, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%u", host, ntohs(a->in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
        snprintf(out, size, "%s:%u", host, ntohs(a->in.sin_port));
    }
}

/* ---- listening ---- */

/*
 * One socket a reactor.  The first is bound without SO_REUSEPORT, so that a
 * second server on the port fails to start instead of taking half of the
 * connections; the others may join it afterwards.
 */
static int bind_one(const union address *a, socklen_t len, bool first)
{
    const int one = 1;
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool v6 = a->sa.sa_family == AF_INET6;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        (!v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)) == 0) &&
        (first || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0) &&
        bind(fd, &a->sa, len) == 0 &&
        (!first || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0) &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 && /* inherited */
        listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static enum status address_invalid(struct str text, struct error *err)
{
    error_set(err, "invalid listening address \"%s\"", QUOTED(text));
    return ERR_INVALID;
}

enum status http_check_address(struct str text, struct error *err)
{
    union address a;
    socklen_t len;
    return parse_address(text, &a, &len) ? OK : address_invalid(text, err);
}

static enum status bind_listener(struct http_server *s, size_t i, const char *text,
                                 struct error *err)
{
    union address a;
    socklen_t len;
    if (!parse_address(str_of(text), &a, &len))
        return address_invalid(str_of(text), err);
    for (unsigned k = 0; k < s->reactor_count; k++) {
        int fd = bind_one(&a, len, k == 0);
        if (fd < 0)
            return error_errno(err, errno, "could not listen on %s", text);
        s->reactors[k].listeners[i].fd = fd;
        /* Port 0: the others take the port that the first got. */
        if (getsockname(fd, &a.sa, &len) != 0)
            return error_errno(err, errno, "could not listen on %s", text);
    }
    write_address(&a, s->addresses[i].text, sizeof(s->addresses[i].text));
    return OK;
}

/* ---- making a server ---- */

static unsigned cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (unsigned)n;
}

static unsigned clamp(unsigned n, unsigned max)
{
    return n < max ? n : max;
}

static enum status set_up(struct http_server *s, const struct http_options *o, struct error *err)
{
    unsigned reactors = clamp(o->reactors > 0 ? o->reactors : cpu_count(), REACTORS_MAX);
    s->addresses = calloc(o->listen_count, sizeof(*s->addresses));
    s->reactors = calloc(reactors, sizeof(*s->reactors));
    if (s->addresses == NULL || s->reactors == NULL)
        return error_nomem(err);
    s->listen_count = o->listen_count;

    enum status st = OK;
    for (; st == OK && s->reactor_count < reactors; s->reactor_count++)
        st = reactor_init(&s->reactors[s->reactor_count], s, s->reactor_count, err);
    for (size_t i = 0; st == OK && i < o->listen_count; i++) {
        s->addresses[i].is_tls = o->listen[i].tls != NULL;
        s->addresses[i].tls = o->listen[i].tls == NULL ? NULL : tls_server_ref(o->listen[i].tls);
        st = bind_listener(s, i, o->listen[i].address, err);
    }
    for (unsigned k = 0; st == OK && k < s->reactor_count; k++)
        st = reactor_listen(&s->reactors[k], err);
    return st;
}

static void fill_limits(struct http_limits *l)
{
    const struct http_limits defaults = HTTP_LIMITS_DEFAULT;
    if (l->head_max == 0)
        l->head_max = defaults.head_max;
    if (l->request_memory == 0)
        l->request_memory = 4 * l->body_max + 1048576;
    if (l->connections_max == 0)
        l->connections_max = defaults.connections_max;
    if (l->buffers_max == 0)
        l->buffers_max = BUFFERS_DEFAULT;
    if (l->buffers_max / 4 < l->body_max)
        l->buffers_max = 4 * l->body_max;
    int *const ms[] = {&l->head_timeout_ms, &l->body_timeout_ms, &l->idle_timeout_ms,
                       &l->write_timeout_ms, &l->close_timeout_ms};
    const int default_ms[] = {defaults.head_timeout_ms, defaults.body_timeout_ms,
                              defaults.idle_timeout_ms, defaults.write_timeout_ms,
                              defaults.close_timeout_ms};
    for (size_t i = 0; i < ARRAY_LEN(ms); i++)
        if (*ms[i] <= 0)
            *ms[i] = default_ms[i];
}

/* The usual soft limit is 1024: a few idle clients would lock out the others. */
static void raise_descriptor_limit(size_t connections)
{
    struct rlimit rl;
    rlim_t want = connections + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur >= want)
        return;
    rl.rlim_cur = rl.rlim_max < want ? rl.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &rl);
}

DEFINE_CLEANUP(http_server, struct http_server, http_server_free)

enum status http_server_new(const struct http_options *options, struct http_server **out,
                            struct error *err)
{
    if (options->listen_count == 0) {
        error_set(err, "no listening address");
        return ERR_INVALID;
    }
    memory_init();
    CLEANUP(http_server_cleanup) struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    pthread_mutex_init(&s->tls_lock, NULL);
    s->handler = options->handler;
    s->limits = options->limits;
    fill_limits(&s->limits);
    raise_descriptor_limit(s->limits.connections_max);
    s->worker_count = clamp(options->workers > 0 ? options->workers : WORKERS_DEFAULT, WORKERS_MAX);

    enum status st = set_up(s, options, err);
    if (st != OK)
        return st;
    *out = TAKE(s);
    return OK;
}

struct http_server *http_server_free(struct http_server *s)
{
    if (s == NULL)
        return NULL;
    workers_stop(s);
    while (s->hooks != NULL) {
        struct hook *h = s->hooks;
        s->hooks = h->next;
        event_del(&h->event);
        free(h);
    }
    for (unsigned k = 0; k < s->reactor_count; k++)
        reactor_done(&s->reactors[k]);
    for (size_t i = 0; i < s->listen_count; i++)
        tls_server_unref(s->addresses[i].tls);
    pthread_mutex_destroy(&s->tls_lock);
    free(s->reactors);
    free(s->addresses);
    free(s);
    return NULL;
}

/* ---- running ---- */

static void *reactor_main(void *user)
{
    reactor_run(user);
    return NULL;
}

static enum status run_threads(struct http_server *s, struct error *err)
{
    enum status st = workers_start(s, err);
    if (st != OK)
        return st;
    unsigned started = 1;
    for (; started < s->reactor_count; started++) {
        struct reactor *r = &s->reactors[started];
        int e = pthread_create(&r->thread, NULL, reactor_main, r);
        if (e != 0) {
            st = error_errno(err, e, "could not start a reactor thread");
            http_server_stop(s, 0, 0);
            break;
        }
        r->started = true;
    }
    return st;
}

static void join_threads(struct http_server *s)
{
    for (unsigned k = 1; k < s->reactor_count; k++)
        if (s->reactors[k].started)
            pthread_join(s->reactors[k].thread, NULL);
    workers_stop(s);
}

/* A SIGPIPE of OpenSSL's write() is pending by now: take it before it is let in. */
static void restore_signals(const sigset_t *before)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (sigismember(before, SIGPIPE) == 0)
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0, 0}) == SIGPIPE)
            ;
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

enum status http_server_run(struct http_server *s, struct error *err)
{
    /* Our threads take no signals: they are for the calling one, and SIGPIPE for nobody. */
    sigset_t all, pipe, before;
    sigfillset(&all);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum status st = run_threads(s, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);

    if (st == OK)
        reactor_run(&s->reactors[0]);
    join_threads(s);
    restore_signals(&before);
    return st;
}

void http_server_stop(struct http_server *s, int linger_ms, int drain_ms)
{
    /* Nothing here that a signal handler could not do. */
    atomic_store(&s->linger_ms, linger_ms);
    atomic_store(&s->drain_ms, drain_ms);
    atomic_fetch_add(&s->stop, 1);
    for (unsigned k = 0; k < s->reactor_count; k++)
        reactor_wake(&s->reactors[k]);
}

/* ---- small things ---- */

struct str http_server_address(const struct http_server *s, size_t i)
{
    return i < s->listen_count ? str_of(s->addresses[i].text) : STR_EMPTY;
}

void http_server_set_tls(struct http_server *s, size_t i, struct tls_server *tls)
{
    if (i >= s->listen_count || !s->addresses[i].is_tls || tls == NULL)
        return; /* a plain listener stays plain, a TLS one stays TLS */
    tls_server_ref(tls);
    pthread_mutex_lock(&s->tls_lock);
    struct tls_server *old = s->addresses[i].tls;
    s->addresses[i].tls = tls;
    pthread_mutex_unlock(&s->tls_lock);
    tls_server_unref(old);
}

struct http_stats http_server_stats(const struct http_server *s)
{
    struct http_stats out = {0};
    for (unsigned k = 0; k < s->reactor_count; k++) {
        struct reactor *r = &s->reactors[k];
        out.accepted += atomic_load_explicit(&r->accepted, memory_order_relaxed);
        out.closed += atomic_load_explicit(&r->closed, memory_order_relaxed);
        out.requests += atomic_load_explicit(&r->requests, memory_order_relaxed);
        out.refused += atomic_load_explicit(&r->refused, memory_order_relaxed);
    }
    struct http_server *unconst =
        (struct http_server *)(uintptr_t)s; /* C17's atomic_load wants it */
    out.active = atomic_load_explicit(&unconst->active, memory_order_relaxed);
    out.buffered = atomic_load_explicit(&unconst->buffered, memory_order_relaxed);
    return out;
}

static void on_hook(evutil_socket_t fd, short what, void *user)
{
    struct hook *h = user;
    h->fn(h->user);
}

static enum status add_hook(struct http_server *s, int fd, short what, int ms,
                            void (*fn)(void *user), void *user)
{
    struct hook *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return ERR_NOMEM;
    h->fn = fn;
    h->user = user;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    if (event_assign(&h->event, s->reactors[0].base, fd, what, on_hook, h) != 0 ||
        event_add(&h->event, ms > 0 ? &tv : NULL) != 0) {
        free(h);
        return ERR_NOMEM;
    }
    h->next = s->hooks;
    s->hooks = h;
    return OK;
}

enum status http_server_every(struct http_server *s, int ms, void (*fn)(void *user), void *user)
{
    return add_hook(s, -1, EV_PERSIST, ms > 0 ? ms : 1, fn, user);
}

enum status http_server_on_signal(struct http_server *s, int signo, void (*fn)(void *user),
                                  void *user)
{
    return add_hook(s, signo, EV_SIGNAL | EV_PERSIST, 0, fn, user);
}
