/*
 * guest_http - a guest's transport by URL: a plain socket for http, libcurl for
 * https.  Cookies are kept in both.  One thread each.
 */
#pragma once

#include "net/client.h"
#include "virtualtee/plain_http.h"

struct guest_http {
    bool https;
    struct plain_http plain;
    struct http_client *client;
    char *base; /* https: URL without a slash at the end */
    struct guest_transport transport;
};

/*
 * `url`: of the server, "https://kbs.example:8080"; a path in it is kept as
 * prefix.  `options` (may be NULL) are those of https, where cookies are always
 * kept.  A zeroed struct may be given to guest_http_done().
 */
STATUS guest_http_init(struct guest_http *h, const char *url,
                       const struct http_client_options *options, struct error *err);
void guest_http_done(struct guest_http *h);

/* A new session: http drops its cookies, https has them replaced by name. */
void guest_http_forget(struct guest_http *h);
