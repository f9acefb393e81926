/*
 * tls - server-side TLS contexts (kbs.md 11.4).
 *
 * Immutable once made and counted by references; a reload makes a new one and
 * swaps it (http_server_set_tls()), so connections keep the one they began
 * with.  Private keys are read once and never leave the library.
 *
 * In every profile: no renegotiation, no compression, no client certificates,
 * no session cache (resumption by stateless tickets, one a handshake, sealed
 * under a key of this context and this process), ALPN http/1.1, record buffers
 * released while a connection is idle, a missing close_notify is an end like
 * any other.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

enum tls_profile {
    TLS_OLD,          /* 1.2 and up, the suites of TLS_INTERMEDIATE and AES-CBC with SHA-2 */
    TLS_INTERMEDIATE, /* 1.2 and up, ECDHE and AEAD only */
    TLS_MODERN,       /* 1.3 */
    TLS_CUSTOM,       /* as TLS_INTERMEDIATE where nothing is said */
    TLS_PRESET_V4,    /* what v0.11 to v0.19 have: TLS_OLD's suites, 1.2 and nothing else */
};

struct tls_options {
    const char *certificate_path; /* PEM chain, leaf first */
    const char *private_key_path; /* PEM without passphrase */
    enum tls_profile profile;
    int min_version, max_version; /* 12, 13, or 0: by profile */
    const char *ciphers, *groups; /* NULL: by profile */
};

#define TLS_FILE_MAX (1024 * 1024) /* of either PEM file */

struct tls_server;

/*
 * ERR_INVALID: files that are no certificate, no key, or no pair; versions
 * that contradict; ciphers or groups of which none is known.  ERR_NOT_FOUND,
 * ERR_IO: files.  The key exchange groups are chosen here: what this OpenSSL
 * has of the post-quantum ones first.
 */
STATUS tls_server_new(const struct tls_options *options, struct tls_server **out,
                      struct error *err);
struct tls_server *tls_server_ref(struct tls_server *t);
struct tls_server *tls_server_unref(struct tls_server *t); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(tls_server, struct tls_server, tls_server_unref)

/* The groups as chosen, a colon list. */
const char *tls_server_groups(const struct tls_server *t);

/* "intermediate" -> TLS_INTERMEDIATE and so on; false for an unknown name. */
bool tls_profile_named(struct str name, enum tls_profile *out);
