/*
 * client - HTTP requests of command line tools and of claviger-fetch, on
 * libcurl.  Servers never link it.  Blocking; one client a thread.  TLS 1.2 and
 * up, certificates checked; proxies from the environment as curl's.
 * Connections are kept for the next request of the same client.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

struct http_client;

struct http_client_options {
    const char *ca_file;    /* further PEM roots; NULL: the system's only */
    const char *user_agent; /* NULL: "claviger/<version>" */
    int timeout_ms;         /* whole request; 0: 60000 */
    bool cookies;           /* keep and send cookies, as a guest does */
    bool follow;            /* redirects, same scheme, at most 5 */
};

STATUS http_client_new(const struct http_client_options *options, struct http_client **out,
                       struct error *err);
struct http_client *http_client_free(struct http_client *c);
DEFINE_CLEANUP(http_client, struct http_client, http_client_free)

/* Of the requests to come. */
void http_client_set_timeout(struct http_client *c, int timeout_ms);

/*
 * Whether the server's certificate is checked in requests to come; it is, unless
 * this says no.
 */
void http_client_check_server(struct http_client *c, bool check);

struct http_answer {
    int status;
    struct buf body;    /* initialised by the caller, its max is the limit */
    struct buf headers; /* raw header lines; initialised by the caller */
};

/*
 * `headers`: NULL-terminated array of "Name: value", or NULL.  Any status is
 * an answer.  ERR_UNAVAILABLE: no answer (nobody there, too slow, broken off);
 * ERR_DENIED: the server's certificate is not trusted; ERR_LIMIT: more than
 * the bufs hold; ERR_INVALID: a URL that is none, or neither http nor https.
 * Error texts hold the URL without its query.
 */
STATUS http_client_request(struct http_client *c, const char *method, const char *url,
                           const char *const *headers, struct str body, struct http_answer *answer,
                           struct error *err);

/*
 * Value of a header of an answer (of the last one, after redirects), first
 * occurrence; ptr NULL when absent.
 */
struct str http_answer_header(const struct http_answer *a, const char *name);

/* Where the last answer redirects to, absolute, or NULL; until the next request. */
const char *http_client_redirect(const struct http_client *c);

/* Seconds that the last answer's Retry-After asks to wait (date or number), 0 without one. */
int64_t http_client_retry_after(const struct http_client *c);
