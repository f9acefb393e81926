/*
 * tls - server-side TLS contexts (kbs.md 11.4).
 *
 * Immutable once made; a reload makes a new one.  Private keys are read once
 * and never leave the library.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

enum tls_profile { TLS_OLD, TLS_INTERMEDIATE, TLS_MODERN, TLS_CUSTOM };

struct tls_options {
    const char *certificate_path; /* PEM chain, leaf first */
    const char *private_key_path;
    enum tls_profile profile;
    int min_version, max_version; /* 12, 13, or 0: by profile */
    const char *ciphers, *groups; /* NULL: by profile */
};

struct tls_server;

STATUS tls_server_new(const struct tls_options *options, struct tls_server **out, struct error *err);
struct tls_server *tls_server_ref(struct tls_server *t);
struct tls_server *tls_server_unref(struct tls_server *t);
