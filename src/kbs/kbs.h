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
#include "base/report.h"
#include "confine/confine.h"
#include "kbs/config.h"
#include "kbs/keys.h"
#include "net/http.h"

struct kbs;

struct kbs_options {
    const char *config_path;
    const char *const *extra_anchor_dirs; /* --extra-trust-anchors, beside the configuration's */
    size_t extra_anchor_count;
    const struct clock *clock;          /* NULL: the system's */
    const struct random_source *random; /* NULL: the system's */
    size_t decision_ring;               /* bytes; 0: as configured */
    const char *qcnl_path;      /* Intel's sgx_default_qcnl.conf (spec/README.md 14); NULL: none */
    struct keys_options keys;   /* of fetching; zeroed: the defaults */
    const char *helper_program; /* NULL: claviger-helper beside the running program */
    bool only_look;             /* nothing is made on disk that is not there: for kbs_check() */
};

/* Load the configuration and everything that it names.  Warnings go to the log. */
STATUS kbs_new(const struct kbs_options *options, struct kbs **out, struct error *err);
struct kbs *kbs_free(struct kbs *k);
DEFINE_CLEANUP(kbs, struct kbs, kbs_free)

/* The current configuration, borrowed: for the program's start; listeners do not change later. */
const struct kbs_config *kbs_current_config(const struct kbs *k);

/*
 * For --check-config: what keeps it from being healthy; keys at URLs are fetched, which blocks.
 * After only_look, notes name what a start would make on disk.
 */
void kbs_check(struct kbs *k, struct report *r);

/*
 * The program's part of a reload: called with a new configuration before its
 * state takes over, which a status other than OK prevents.  May be NULL.
 */
typedef enum status (*kbs_accept)(void *user, const struct kbs_config *c, struct error *err);

/* A new state from the same file.  On failure the old one serves on.  The log is told either way.
 */
STATUS kbs_reload(struct kbs *k, kbs_accept accept, void *user, struct error *err);

/*
 * Look at the files: policies and values that changed are read, and the whole
 * state is loaded anew when the configuration or anything that it names has
 * changed and has then stayed the same for one more look.  Four times a second
 * is within the second of README 19.  On one thread, which also calls kbs_reload().
 */
void kbs_refresh(struct kbs *k, kbs_accept accept, void *user);

/*
 * Give up what is not needed from now on (confine.h); before there are threads.
 * Where the configuration names URLs, claviger-helper is started first.  A reload that
 * needs files or URLs that this one did not name is refused afterwards.
 */
STATUS kbs_confine(struct kbs *k, struct confined *out, struct error *err);

/* /healthz answers 503 from now on: SIGTERM was received. */
void kbs_stopping(struct kbs *k);

/* Parts of struct http_handler; `user` is the kbs. */
enum http_next kbs_quick(void *user, struct http_exchange *x);
void kbs_work(void *user, struct http_exchange *x);
void kbs_done(void *user, const struct http_exchange *x, size_t bytes_sent);
void kbs_refused(void *user, const struct http_exchange *x);
