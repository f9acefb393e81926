/*
 * fetch - outbound HTTP by a process of its own (DESIGN.md, "What is loaded when").
 *
 *   server thread --fetcher_request()--> socket pair --> claviger-fetch --> the world
 *
 * claviger-fetch has libcurl, an allow-list and nothing else: no keys, no
 * secrets, no right to write or to start anything.  It is started on first
 * need, started again when it dies or hangs, and may be killed at any time.
 * What it says is read as any other bytes from outside.
 *
 * A fetcher may be used by any number of threads.  Requests block the calling
 * thread, at most for time-out and grace.  Equal GETs under way
 * at the same time are one request to the world.  Nothing is cached here.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

#define FETCH_URL_MAX 4096
#define FETCH_ALLOW_MAX 256               /* prefixes */
#define FETCH_BODY_MAX (16 * 1024 * 1024) /* of a request or an answer, at most */
#define FETCH_HEADERS_MAX 65536           /* of an answer; Intel puts certificate chains there */
#define FETCH_REDIRECTS_MAX 3             /* each to be on the allow-list, never down to http */
#define FETCH_GRACE_MS 3000               /* later than its time-out: it hangs, and is killed */
#define FETCH_FD 3                        /* the socket, in claviger-fetch */

struct fetcher_options {
    /*
     * NULL-terminated URL prefixes, "https://host[:port]/path": scheme, host
     * and port must be equal, the path equal or below.  No query.
     */
    const char *const *allow;
    const char *program; /* NULL: claviger-fetch beside the running program */
    const char *ca_file; /* further PEM roots; NULL: the system's only */
    /*
     * Prefix of a server that may have any certificate, NULL: none.  For answers
     * that are signed themselves, from services with certificates of their own making.
     */
    const char *any_certificate;
    size_t body_max; /* of an answer; 0: 1 MiB */
    int timeout_ms;  /* of a request with its redirects; 0: 30000 */
    int grace_ms;    /* later than that it hangs, and is killed; 0: 3000 */

    /*
     * Another way to start one, for a process that may not: a connected
     * socket, or -1 with `err` set.  NULL: fetch_spawn().
     */
    int (*start)(void *user, struct error *err);
    void *user;
};

/*
 * How fetchers without a `start` of their own start claviger-fetch from now on:
 * for a process that is about to give up execve (net/helper.h).  `fetcher` is a
 * number of the one that asks; what it got before is dead to it.  Called before
 * there are threads: this is the one mutable state of the module.
 */
void fetch_start_with(int (*start)(void *user, uint32_t fetcher, struct error *err), void *user);

struct fetcher;

/* Starts nothing yet.  ERR_INVALID: a prefix that is none. */
STATUS fetcher_new(const struct fetcher_options *options, struct fetcher **out, struct error *err);
/* Requests under way fail at once, and so do all that come: the end is near.  Any thread. */
void fetcher_stop(struct fetcher *f);

/* Ends the process.  No request may be under way. */
struct fetcher *fetcher_free(struct fetcher *f);
DEFINE_CLEANUP(fetcher, struct fetcher, fetcher_free)

struct fetch_request {
    const char *method; /* NULL: GET */
    struct str url;
    const char *const *headers; /* NULL-terminated "Name: value", or NULL */
    struct str body;
};

struct fetch_answer {
    int status;            /* HTTP's */
    int64_t retry_after_s; /* of Retry-After, 0: none */
    struct buf headers;    /* raw lines */
    struct buf body;
};
void fetch_answer_init(struct fetch_answer *a);
void fetch_answer_done(struct fetch_answer *a);

/* First header of that name, ptr NULL when absent. */
struct str fetch_answer_header(const struct fetch_answer *a, const char *name);

/*
 * Any HTTP status is OK.  ERR_DENIED: not on the allow-list, redirected off
 * it, or a certificate that is not trusted; ERR_LIMIT: too large;
 * ERR_UNAVAILABLE: no answer (a GET has been tried twice if the process died).
 * Error texts hold URLs without queries.
 */
STATUS fetcher_request(struct fetcher *f, const struct fetch_request *request,
                       struct fetch_answer *out, struct error *err);

/* Requests that wait for an answer now, those that share another's included. */
unsigned fetcher_waiting(struct fetcher *f);

/* True when `url` is below `prefix`; false also when either is not a URL of the strict kind. */
bool fetch_url_allowed(struct str url, struct str prefix);

/* A URL of the strict kind: http or https, no user, no fragment, no dot segments, ASCII. */
bool fetch_url_is_valid(struct str url);

/*
 * Start `program` (NULL: beside the running one) with a socket as FETCH_FD, its
 * environment cut down to proxies and certificate folders.  Returns our end
 * (close-on-exec), or -1.
 */
int fetch_spawn(const char *program, pid_t *pid, struct error *err);

/*
 * The program's side: serve `fd` until it ends; the exit status.  In net_client_dep.
 * `within` (NULL: anything) bounds the list of the server from outside: a server
 * that was taken over cannot widen it.
 */
int fetch_serve_within(int fd, const char *const *within);
