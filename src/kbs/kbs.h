/*
 * kbs - the key broker service: RCAR, resources, administration, decisions
 * (kbs.md).
 *
 * A `struct kbs` is the handler of an HTTP server.  What a configuration decides
 * is one immutable `struct kbs_state`, counted by references and swapped whole
 * by kbs_reload(); a request pins the state that it began with.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "confine/confine.h"
#include "kbs/config.h"
#include "net/http.h"

struct kbs;

struct kbs_options {
    const char *config_path;
    const char *const *extra_anchor_dirs; /* --extra-trust-anchors, beside the configuration's */
    size_t extra_anchor_count;
    const struct clock *clock;          /* NULL: the system's */
    const struct random_source *random; /* NULL: the system's */
    size_t decision_ring;               /* bytes; 0: DECISION_RING_DEFAULT */
};

/* Load the configuration and everything that it names.  Warnings go to the log. */
STATUS kbs_new(const struct kbs_options *options, struct kbs **out, struct error *err);
struct kbs *kbs_free(struct kbs *k);
DEFINE_CLEANUP(kbs, struct kbs, kbs_free)

/* The current configuration, borrowed: for the program's start; listeners do not change later. */
const struct kbs_config *kbs_current_config(const struct kbs *k);

/* Every policy compiles and reference values could be read: what /healthz says. */
bool kbs_is_healthy(struct kbs *k);

/* A new state from the same file.  On failure the old one serves on. */
STATUS kbs_reload(struct kbs *k, struct error *err);

/* Follow changed files; call it at least once a second. */
void kbs_refresh(struct kbs *k);

/* The files and folders that it reads and writes, for a process that confines itself. */
void kbs_confine(struct kbs *k, struct confine *c);

/* /healthz answers 503 from now on: SIGTERM was received. */
void kbs_stopping(struct kbs *k);

/* Parts of struct http_handler; `user` is the kbs. */
enum http_next kbs_quick(void *user, struct http_exchange *x);
void kbs_work(void *user, struct http_exchange *x);
void kbs_done(void *user, const struct http_exchange *x, size_t bytes_sent);
