/*
 * keys - the keys that a configuration names by a path or a URL: trusted_jwk_sets
 * (kbs.md 5.5), jwk_set_uri and public_key_uri (6.4).
 *
 * A file is read when the configuration is loaded.  What lives at an https URL
 * is fetched by claviger-fetch, and looked at again when it has aged or when
 * somebody names a key that is not in it (at most once in KEYS_AGAIN_MS).  A
 * server that is down is no reason not to start or to stop: what was fetched
 * serves on for KEYS_STALE_S, then it counts as absent.
 *
 * Readers take an immutable snapshot and never wait.  Fetching is done by a
 * thread that keys_tend() starts when something is due, and by worker threads
 * in keys_resolve().
 */
#pragma once

#include "jose/jose.h"
#include "kbs/config.h"

#define KEYS_FILE_MAX (4 * 1024 * 1024)
#define KEYS_FETCH_MAX (1024 * 1024)
#define KEYS_TIMEOUT_MS 10000 /* of one request; a worker waits no longer */
#define KEYS_AGAIN_MS 10000
#define KEYS_AGE_DEFAULT_S 3600 /* when the server does not say; else between these: */
#define KEYS_AGE_MIN_S 60
#define KEYS_AGE_MAX_S 86400
#define KEYS_STALE_S 86400
#define KEYS_WAITERS_MAX 2 /* of four worker threads; more are answered without waiting */

enum keys_kind { KEYS_SET, KEYS_PEM };

struct keys;        /* all sources of a configuration */
struct keys_source; /* one of them */

struct keys_snapshot {
    _Atomic unsigned refs;
    struct arena arena;
    struct jwk_set set; /* KEYS_SET */
    struct pubkey *key; /* KEYS_PEM */
    int64_t fetched_ns; /* monotonic; 0: from a file, never stale */
};

struct keys_options {
    const char *fetch_program; /* NULL: claviger-fetch beside the running program */
    int again_ms, timeout_ms;  /* 0: as above */
};

/*
 * All sources of `config`, which must outlive the result.  Files are read now:
 * ERR_* with the reason.  What `before` (NULL: none) has fetched from the same URLs is
 * taken over.  Starts nothing.
 */
STATUS keys_new(const struct kbs_config *config, const struct keys_options *options,
                struct keys *before, struct keys **out, struct error *err);
/* Ends what is under way. */
struct keys *keys_free(struct keys *k);
DEFINE_CLEANUP(keys, struct keys, keys_free)

/* The source of that name; the configuration has it. */
struct keys_source *keys_find(struct keys *k, enum keys_kind kind, struct str uri);

/* What it has, referenced; NULL: nothing yet, or too old. */
struct keys_snapshot *keys_get(struct keys *k, struct keys_source *s);
struct keys_snapshot *keys_snapshot_unref(struct keys_snapshot *s);
DEFINE_CLEANUP(keys_snapshot, struct keys_snapshot, keys_snapshot_unref)

bool keys_are_remote(const struct keys *k); /* at least one */

/*
 * Is it worth a keys_resolve(), before a token with this kid (empty: none) is
 * looked at?  False at once when nothing is remote.
 */
bool keys_want(struct keys *k, struct str kid);
/* Fetch what may have that key; blocks, for KEYS_TIMEOUT_MS or a little more. */
void keys_resolve(struct keys *k, struct str kid);

/* Fetch what is due, on a thread of its own.  Call it twice a second, from one thread. */
void keys_tend(struct keys *k);

/* Fetch everything now: for --check-config. */
STATUS keys_check(struct keys *k, struct error *err);

/* Why a source has no keys or old ones, for a message; "" when all is well. */
void keys_trouble(struct keys *k, struct error *out);

/*
 * The URL prefixes that may be fetched: the origin of each source, and claviger.fetch_allow.
 * In the arena, NULL-terminated; NULL: no memory.  *n is 0 when nothing is remote.
 */
const char *const *keys_allowed_urls(const struct kbs_config *config, struct arena *a, size_t *n);
