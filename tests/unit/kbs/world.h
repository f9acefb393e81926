/*
 * world - a whole kbs in a folder of its own, called without sockets: for tests
 * of routes, exchanges and decisions.
 *
 * The clock stands still until told otherwise; random bytes come from a script
 * first, then from the system.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "kbs/kbs.h"

struct world {
    char dir[4096];
    int64_t now_ns;
    struct clock clock;
    struct str script; /* random bytes to give out first; set it after the start */
    struct random_source random;
    const char *anchors[1]; /* a folder of extra trust anchors; set between prepare and run */
    size_t decision_ring;   /* its bytes, 0: the default; likewise */
    struct kbs *kbs;
    struct arena arena; /* of answers */
};

/*
 * Write `config` (TOML; "@DIR@" becomes the folder) and start.  An Ed25519 key
 * pair is at @DIR@/admin.key and @DIR@/admin.pub.  False: it did not start, and
 * *err says why.
 */
bool world_start(struct world *w, const char *config, int64_t now_s, struct error *err);

/* The same in two steps, so that files can be written between. */
void world_prepare(struct world *w, const char *config, int64_t now_s);
bool world_run(struct world *w, struct error *err);
void world_stop(struct world *w);

/* A file below the folder. */
void world_write(struct world *w, const char *name, const char *text);

struct answer {
    int status;
    struct str body;
    struct str headers;  /* "Name: value\r\n" lines */
    struct str decision; /* x-decision-id, or empty */
    struct str cookie;   /* value of kbs-session-id set, or empty */
};

/* One request.  `headers` is "Name: value" lines ended by LF, or NULL. */
struct answer world_send(struct world *w, const char *method, const char *target,
                         const char *headers, struct str body);

/* "Bearer ..." of a token signed with a PEM key file: claims as JSON text. */
struct str world_bearer(struct world *w, const char *key_name, const char *claims);

/* A new Ed25519 pair NAME.key, NAME.pub in the folder. */
void world_make_key(struct world *w, const char *name);

/* The decision as a value, asked for with the admin key. */
value world_decision(struct world *w, struct str id);

/* What a header line of an answer says; empty when there is none. */
struct str answer_header(const struct answer *a, const char *name);
