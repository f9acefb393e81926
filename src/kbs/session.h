/*
 * session - the state between requests, kept by the client (DESIGN.md).
 *
 * A challenge and an attested session travel in the cookie kbs-session-id as
 * sealed text.  What is too large for a cookie waits in a bounded in-memory
 * store under a random id until it expires.
 *
 * Nothing is stored before evidence was accepted.
 */
#pragma once

#include "base/arena.h"
#include "base/random.h"
#include "crypto/crypto.h"
#include "value/value.h"

#define SESSION_COOKIE "kbs-session-id"
#define SESSION_COOKIE_MAX 3500 /* bytes of a cookie value that proxies take */
#define SESSION_STORE_MAX (64u * 1024 * 1024)
#define SESSION_NONCE_MAX 4096

struct challenge {
    struct str version; /* "0.4.0" */
    struct str tee;     /* as the client spelt it */
    struct str nonce;   /* text */
    int64_t expires_s;
};

struct session {
    struct str version;
    struct str cause; /* id of the decision on the attestation */
    value claims;     /* payload of the token */
    int64_t expires_s;
};

struct session_store;
STATUS session_store_new(size_t max, struct session_store **out, struct error *err);
struct session_store *session_store_free(struct session_store *s);

/* Cookie text in the arena. */
STATUS challenge_seal(struct arena *a, const struct sealer *sealer, const struct challenge *c,
                      const struct random_source *random, struct str *out, struct error *err);
STATUS session_seal(struct arena *a, const struct sealer *sealer, struct session_store *store,
                    const struct session *s, int64_t now_s, const struct random_source *random,
                    struct str *out, struct error *err);

enum cookie_kind { COOKIE_CHALLENGE, COOKIE_SESSION };

/*
 * What a cookie holds.  ERR_DENIED: not ours or altered, ERR_CANCELLED: expired,
 * ERR_NOT_FOUND: a stored session that is gone.
 */
STATUS cookie_open(struct arena *a, const struct sealer *sealer, struct session_store *store,
                   struct str cookie, int64_t now_s, enum cookie_kind *kind,
                   struct challenge *challenge, struct session *session, struct error *err);
