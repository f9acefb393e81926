/*
 * plain_http - a guest's transport on a plain socket: http only, one
 * connection that is kept, the session cookie and no other.
 *
 * For load: a request costs two system calls and no library.
 */
#pragma once

#include "virtualtee/guest.h"

#define PLAIN_COOKIE_MAX 8192
#define PLAIN_TIMEOUT_S 30

struct plain_http {
    char *host, *port, *prefix; /* of the URL */
    int fd;                     /* -1: not connected */
    bool used;                  /* the connection has served a request already */
    struct buf in, head;
    char cookie[PLAIN_COOKIE_MAX]; /* "name=value" */
    struct guest_transport transport;
};

/* ERR_UNSUPPORTED for https, ERR_INVALID for what is no URL. */
STATUS plain_http_init(struct plain_http *h, const char *url, struct error *err);
void plain_http_done(struct plain_http *h);

/* Forget the session, keep the connection. */
void plain_http_forget(struct plain_http *h);
