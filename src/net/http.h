/*
 * http - the server: HTTP/1.1 with and without TLS on libevent.
 *
 * Reactor threads, one loop each, with SO_REUSEPORT listeners: they read,
 * parse, run the handler's `quick` part inline and write.  What may wait runs
 * on worker threads.  One request at a time on a connection; pipelined ones
 * wait in the buffer.  Limits, time-outs and status codes: kbs.md 2.1.
 *
 * The head parser is ours (http_head.h): strict, because two parties that read
 * a head differently are a smuggling hole.
 *
 * No body, cookie, authorization header, query or target ever reaches a log
 * from here; the access line is the handler's business.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/defs.h"
#include "base/error.h"
#include "net/http_head.h"
#include "value/value.h"

struct tls_server; /* net/tls.h */

/* Members that are 0 have the value that stands beside them, but for body_max. */
struct http_limits {
    size_t head_max;        /* 131072; beyond: 431 */
    size_t body_max;        /* beyond: 413, "payload reached size limit" */
    size_t request_memory;  /* arena of one request; 0: 4 * body_max + 1 MiB */
    int head_timeout_ms;    /* whole head, from its first byte or from accept: 5000; then 408 */
    int body_timeout_ms;    /* whole body: 30000 */
    int idle_timeout_ms;    /* between requests: 5000 */
    int write_timeout_ms;   /* no progress in writing: 30000 */
    int close_timeout_ms;   /* for the peer to close after our last answer: 2000 */
    size_t connections_max; /* 16384; beyond: accepted and closed */
    size_t buffers_max;     /* what requests that are more than a few KiB hold together while they
                               arrive: 256 MiB, at least 4 * body_max; beyond: 503 */
};

#define HTTP_LIMITS_DEFAULT                                                                        \
    ((struct http_limits){131072, 2 * 1048576, 0, 5000, 30000, 5000, 30000, 2000, 16384, 0})

/* The largest body of an answer; a handler that writes more is answered for with 500. */
#define HTTP_ANSWER_MAX (256 * 1024 * 1024)

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_OTHER,
};

/* One request and its answer.  Everything in it lives until the answer is written. */
struct http_exchange {
    struct arena arena; /* of this request, with a limit */
    const struct http_head *head;
    enum http_method method;
    struct str target;      /* as received: "/kbs/v0/auth?x=y" */
    struct str path, query; /* split at the first '?', still encoded; query without '?' */
    struct str body;
    struct str peer;  /* "10.0.0.1:4711" */
    bool tls;         /* came over TLS */
    int64_t start_ns; /* CLOCK_MONOTONIC, when the head was complete */

    int status;         /* set by the handler */
    struct buf headers; /* "Name: value\r\n" lines, by http_add_header() */
    struct buf out;     /* body; a secret buf */
    bool close;         /* answer with Connection: close */
    size_t body_len;    /* of the answer, for done(): `out` may have moved into the head by then */

    void *state; /* the handler's, between quick and work */
};

/* Value of a header (first occurrence, case-insensitive name); ptr is NULL when absent. */
struct str http_header(const struct http_exchange *x, const char *name);

/* Refuses (silently drops, returns false) names or values with CR, LF or NUL. */
bool http_add_header(struct http_exchange *x, const char *name, struct str v);

enum http_next {
    HTTP_ANSWER, /* status, headers and out are set: write them */
    HTTP_WORK,   /* call work() on a worker thread, then write */
};

struct http_handler {
    enum http_next (*quick)(void *user, struct http_exchange *x); /* on a reactor: never waits */
    void (*work)(void *user, struct http_exchange *x);            /* on a worker */
    /* After the last byte was handed to the kernel, or the connection broke; for the access log. */
    void (*done)(void *user, const struct http_exchange *x, size_t bytes_sent);
    /*
     * In place of done(), for a request that the server refused itself, which quick() has
     * never seen: at most one for each connection, which it ends.  x->status is the answer;
     * method, target, path and query are there when the head could be read (x->head is NULL
     * otherwise), start_ns is 0 when it was not whole.  May be NULL.
     */
    void (*refused)(void *user, const struct http_exchange *x);
    void *user;
};

struct http_listen {
    const char *address;    /* "0.0.0.0:8080", "[::1]:8080"; port 0: any free one */
    struct tls_server *tls; /* NULL: plain; swapped by http_server_set_tls() */
};

struct http_options {
    const struct http_listen *listen;
    size_t listen_count;
    unsigned reactors; /* 0: number of CPUs */
    unsigned workers;  /* 0: 4 */
    struct http_limits limits;
    struct http_handler handler;
};

struct http_server;

/*
 * Binds all listeners (all or none), starts nothing yet.  Raises the process's
 * soft limit of descriptors to what connections_max needs, as far as it may.
 */
STATUS http_server_new(const struct http_options *options, struct http_server **out,
                       struct error *err);

/* OK for a listening address as http_server_new() takes it; nothing is bound. */
STATUS http_check_address(struct str text, struct error *err);

/* Address of the i-th listener as bound, "127.0.0.1:40123". */
struct str http_server_address(const struct http_server *s, size_t i);

/*
 * Serve on the calling thread and reactors - 1 others until http_server_stop()
 * has drained.  Returns when the last work() has returned, so that what
 * handlers use may be freed afterwards.
 */
STATUS http_server_run(struct http_server *s, struct error *err);

/*
 * From any thread, an event or a signal handler: for `linger_ms` go on serving, then
 * answers carry Connection: close, idle connections are closed, and run()
 * returns when the last is gone, or after `drain_ms`.  Called again it sets
 * the time for the present step anew.
 */
void http_server_stop(struct http_server *s, int linger_ms, int drain_ms);

/* New certificate for new connections of the i-th listener. */
void http_server_set_tls(struct http_server *s, size_t i, struct tls_server *tls);

/* Call `fn` on a reactor every `ms`; before run().  ERR_NOMEM. */
STATUS http_server_every(struct http_server *s, int ms, void (*fn)(void *user), void *user);

/*
 * Call `fn` on a reactor, outside signal context, whenever the process gets
 * the signal; before run(), and for one server of a process only.
 */
STATUS http_server_on_signal(struct http_server *s, int signo, void (*fn)(void *user), void *user);

struct http_stats {
    uint64_t accepted, closed, active; /* connections */
    uint64_t requests;                 /* that a handler has seen */
    uint64_t refused;                  /* answered here: 400, 408, 413, 431, 501, 503, 505 */
    uint64_t buffered; /* bytes that arriving requests hold, of buffers_max; small ones: none */
};
struct http_stats http_server_stats(const struct http_server *s);

struct http_server *http_server_free(struct http_server *s); /* after run() returned */

/* ---- texts that every handler needs ---- */

const char *http_reason(int status);

/* Percent-decode (once); '+' is left alone.  ERR_INVALID: a bad escape, or NUL inside. */
STATUS http_percent_decode(struct arena *a, struct str s, struct str *out, struct error *err);

/* By its exact name; HTTP_OTHER for anything else. */
enum http_method http_method_of(struct str name);

/*
 * Next "name=value" of application/x-www-form-urlencoded text, still encoded;
 * empty pieces are skipped, a piece without '=' has the empty value.  False at
 * the end.
 */
bool http_form_next(struct str *rest, struct str *name, struct str *val);

/* Percent-decode with '+' as space.  ERR_INVALID also where the result is not UTF-8. */
STATUS http_form_decode(struct arena *a, struct str s, struct str *out, struct error *err);

/* application/x-www-form-urlencoded, '+' is a space; later duplicates win; -> object of strings. */
STATUS http_query_parse(struct arena *a, struct str query, value *out, struct error *err);

/*
 * First cookie of that name over all Cookie headers, percent-decoded; kbs.md
 * 2.11.  ptr NULL when absent.
 */
struct str http_cookie(struct http_exchange *x, const char *name);
