/*
 * plain_http - a guest's transport on a plain socket: http only, one
 * connection that is kept, a few cookies (the session's, a balancer's).
 *
 * A request costs two system calls and no library, so that load is the
 * server's and not the client's.
 */
#pragma once

#include "virtualtee/guest.h"

#define PLAIN_COOKIES_MAX 16384
#define PLAIN_TIMEOUT_S 30

struct plain_http {
    char *host, *port, *prefix; /* of the URL */
    bool connected;
    int fd;
    bool used; /* the connection has served a request already */
    struct buf in, head;
    char cookies[PLAIN_COOKIES_MAX]; /* "name=value; name=value" */
    struct guest_transport transport;
};

/* ERR_UNSUPPORTED for https, ERR_INVALID for what is no URL. */
STATUS plain_http_init(struct plain_http *h, const char *url, struct error *err);
void plain_http_done(struct plain_http *h);

/* Forget all cookies, keep the connection. */
void plain_http_forget(struct plain_http *h);
