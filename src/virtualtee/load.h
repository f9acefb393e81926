/*
 * load - full exchanges from many guests at once, and how long they took.
 *
 * A thread a connection, blocking.  Each exchange is a whole one: a new TEE
 * key, auth, attest with fresh evidence, one resource, opened.  Connections
 * are kept between exchanges, sessions are not.
 */
#pragma once

#include "virtualtee/guest.h"
#include "virtualtee/machine.h"

#define LOAD_CONNECTIONS_MAX 10000

struct load_options {
    const char *url;     /* http on plain sockets, https on libcurl */
    const char *ca_file; /* https: further roots, or NULL */
    unsigned connections, seconds;
    double per_second; /* exchanges begun in a second by all of them; 0: as many as it takes */
    enum rcar_version version;
    enum rcar_key key_kind;
    const char *tee;         /* the name to use in /auth */
    struct machine *machine; /* borrowed, used by this thread first; cloned for each connection */
    struct str init_data;    /* sent with 0.4.0; ptr NULL: none */
    const char *path;        /* as rcar_resource_path() gives it */
};

struct load_result {
    uint64_t done, errors;
    double seconds; /* that it really took */
    int64_t p50_ns, p99_ns, max_ns;
    char first_error[ERROR_TEXT_MAX]; /* empty: none */
};

STATUS load_run(const struct load_options *o, struct load_result *out, struct error *err);
