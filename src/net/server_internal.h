/*
 * server_internal - what the files of the HTTP server share.
 *
 *   http_server.c   listeners, threads, stop, statistics
 *   http_reactor.c  one loop: accepting, the inbox, deadlines, draining
 *   http_conn.c     one connection: a state machine from bytes to answers
 *   http_answer.c   the bytes of an answer
 *   http_io.c       reading and writing a socket, with and without TLS
 *   http_worker.c   threads for what may wait
 *   memory.c        flat memory after a crowd
 *
 * A connection belongs to one reactor and is touched by its thread only.  An
 * exchange travels: reactor -> queue -> worker -> inbox of the same reactor.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "net/http.h"
#include "net/tls.h"

/* ---- deadlines ---- */

enum deadline_kind {
    DEADLINE_HEAD, /* TLS handshake and first head; or a head from its first byte */
    DEADLINE_BODY,
    DEADLINE_IDLE,
    DEADLINE_WRITE,
    DEADLINE_CLOSE,
    DEADLINE_KINDS,
    DEADLINE_NONE = DEADLINE_KINDS,
};

/*
 * Each kind has one duration, so a list in order of arming is in order of
 * time: arming and disarming cost a few stores, and one libevent timer a
 * reactor looks at the heads of the lists.
 */
struct deadline {
    struct deadline *prev, *next; /* in a ring, or NULL */
    int64_t at_ns;
    enum deadline_kind kind;
};

/* ---- connections ---- */

enum conn_state {
    CONN_HANDSHAKE, /* TLS */
    CONN_READ,      /* idle, or in the middle of a head */
    CONN_BODY,
    CONN_WORK,  /* a worker has the exchange */
    CONN_WRITE, /* an answer is on its way */
    CONN_CLOSE, /* we have shut down our side and wait for the peer to do so */
};

struct reactor;
struct exchange;

/* Kept small: ten thousand idle ones are normal. */
struct conn {
    struct reactor *reactor;
    struct conn *prev, *next; /* of the reactor; `next` alone in an inbox */
    SSL *ssl;                 /* NULL: plain */
    struct exchange *ex;      /* NULL while idle */
    struct event read_event, write_event;
    struct deadline deadline;
    int fd;
    enum conn_state state;
    bool read_on; /* read_event is in the loop */
    bool drained; /* nothing to read until the loop says so */
    uint8_t peer_len;
    char peer[54]; /* "[ffff:...]:65535" */
};

/* A request in the making and its answer; reused by the next one. */
struct exchange {
    struct http_exchange x; /* first: the handler's view */
    struct http_head head;
    struct conn *conn;
    struct exchange *next; /* in the pool, a queue or an inbox */
    struct buf in;         /* as received: head, body, and what was pipelined; wiped */
    struct buf body;       /* a chunked body, decoded; wiped */
    struct buf wire;       /* head of the answer, and its body where that is small; wiped */
    const char *parsed_at; /* where in.ptr was when `head` was parsed */
    size_t scan_from;      /* of http_head_parse_request() */
    size_t head_len;       /* 0: the head is not complete */
    size_t taken;          /* bytes of `in` that belong to this request */
    size_t sent;           /* of wire and x.out */
    size_t charged;        /* to the server's buffers_max */
    struct http_chunked chunked;
    bool refused; /* answered by us: the handler has never seen it */
};

/* ---- reactors ---- */

struct listener {
    int fd; /* -1: closed */
    size_t index;
    struct reactor *reactor;
    struct event event;
    struct event resume; /* after running out of descriptors */
};

#define POOL_MAX 16 /* exchanges kept for the next requests */

struct reactor {
    struct http_server *server;
    struct event_base *base;
    unsigned index;
    struct listener *listeners; /* server->listen_count of them */
    pthread_t thread;           /* but for reactor 0, which runs on the caller's */
    bool started;

    struct conn *conns;
    size_t conn_count;
    size_t conn_peak;        /* since memory was last given back */
    struct event trim_event; /* when the closing has settled */

    struct deadline deadlines[DEADLINE_KINDS]; /* heads of rings */
    int64_t durations_ns[DEADLINE_KINDS];
    struct event deadline_event;
    int64_t deadline_armed_ns; /* when deadline_event fires; 0: not in the loop */

    struct exchange *pool;
    size_t pool_count;

    int64_t date_s; /* the second that `date` is of */
    char date[TIME_HTTP_LEN + 1];

    int wake_fd; /* eventfd: look at the inbox and at server->stop */
    struct event wake_event;
    struct event stop_event; /* end of lingering, then of draining */
    int stops_seen;          /* of server->stop */
    bool draining, finished;

    pthread_mutex_t lock; /* of the inbox */
    struct conn *inbox_conns;
    struct exchange *inbox_done;

    /* statistics: written by this reactor (`active` also by others), read by anybody */
    atomic_uint_fast64_t accepted, closed, requests, refused;
    atomic_size_t active;
};

struct worker_pool;

struct http_server {
    struct http_limits limits;
    struct http_handler handler;
    size_t listen_count;
    struct listen_address {
        char text[64];
        struct tls_server *tls;
        bool is_tls;
    } * addresses;
    pthread_mutex_t tls_lock;

    struct reactor *reactors;
    unsigned reactor_count;
    unsigned worker_count;
    struct worker_pool *workers;

    struct hook *hooks; /* timers and signals, on reactor 0 */

    atomic_size_t active;   /* connections of all reactors */
    atomic_size_t buffered; /* bytes that exchanges are charged with; see exchange_charge() */
    atomic_int stop;        /* how often http_server_stop() was called */
    atomic_int linger_ms, drain_ms;
};

/* ---- http_reactor.c ---- */

STATUS reactor_init(struct reactor *r, struct http_server *s, unsigned index, struct error *err);
STATUS reactor_listen(struct reactor *r, struct error *err); /* put the listeners into the loop */
void reactor_done(struct reactor *r);
void reactor_run(struct reactor *r);
void reactor_wake(struct reactor *r); /* any thread; async-signal-safe */

void reactor_left(struct reactor *r); /* a connection is gone */

/* A worker gives an exchange back. */
void reactor_return(struct reactor *r, struct exchange *ex);

void reactor_arm(struct reactor *r, struct deadline *d, enum deadline_kind kind);
void reactor_disarm(struct deadline *d);

/* "Fri, 21 Aug 2026 01:55:31 GMT" of now. */
struct str reactor_date(struct reactor *r);

/* An empty exchange, or NULL; and back. */
struct exchange *reactor_take_exchange(struct reactor *r);
void reactor_give_exchange(struct reactor *r, struct exchange *ex);
void exchange_reset(struct exchange *ex); /* ready for the next request; `in` stays */

/* Charge it with the buffers that it has by now.  False: all together have too much. */
bool exchange_charge(struct exchange *ex, struct http_server *s);

/* ---- http_conn.c ---- */

void conn_start(struct conn *c, struct reactor *r); /* takes the connection over */
void conn_drive(struct conn *c);                    /* go on as far as it goes; may free it */
void conn_close(struct conn *c);   /* now, and free it; not while a worker is at it */
void conn_expired(struct conn *c); /* its deadline is over */
void conn_worked(struct conn *c);  /* its exchange is back */

/* ---- http_answer.c ---- */

/* Fill ex->wire from x.status, x.headers and x.out; decides whether the connection stays. */
void answer_prepare(struct exchange *ex, struct reactor *r);

/* An answer of our own: no handler, and the connection ends. */
void answer_refuse(struct exchange *ex, int status);

/* ---- http_io.c ---- */

enum io {
    IO_OK,
    IO_AGAIN,      /* wait until readable (reads) or writable (writes) */
    IO_WANT_WRITE, /* a read that has to wait until writable, a write ... until readable: */
    IO_WANT_READ,  /* TLS has messages of its own */
    IO_EOF,
    IO_FAILED,
};

enum io io_handshake(struct conn *c);
enum io io_read(struct conn *c, char *p, size_t room, size_t *n);
enum io io_write(struct conn *c, struct str first, struct str second, size_t *n);
enum io io_discard(struct conn *c); /* read and forget, below TLS */
void io_shutdown(struct conn *c);   /* say that no more comes */

/* ---- http_worker.c ---- */

STATUS workers_start(struct http_server *s, struct error *err);
void workers_push(struct worker_pool *p, struct exchange *ex);
void workers_stop(struct http_server *s); /* waits for those at work; queued ones are dropped */

/* ---- memory.c ---- */

void memory_init(void);      /* before anything of libevent */
void memory_give_back(void); /* the thread's and the process's free memory, to the system */

/* ---- tls.c ---- */

SSL_CTX *tls_server_context(const struct tls_server *t);
