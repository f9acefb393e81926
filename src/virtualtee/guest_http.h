/*
 * guest_http - a guest's transport on libcurl: http and https, cookies kept.
 */
#pragma once

#include "net/client.h"
#include "virtualtee/guest.h"

struct guest_http {
    struct http_client *client;
    char *base; /* URL without a slash at the end */
    struct guest_transport transport;
};

/* `url`: of the server, "https://kbs.example:8080"; a path in it is kept as prefix. */
STATUS guest_http_init(struct guest_http *h, const char *url,
                       const struct http_client_options *options, struct error *err);
void guest_http_done(struct guest_http *h);
