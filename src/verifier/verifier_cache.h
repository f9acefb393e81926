/*
 * verifier_cache - what was checked once and need not be checked again.
 *
 * A certificate or revocation list whose signature by a certain key was good
 * stays good: it is remembered by the SHA-256 of its DER bytes, with the
 * SHA-256 of the key, until it expires.  A hit saves work and never changes an
 * outcome; dates, revocation and trust in the key are judged anew each time.
 * Bounded, thread-safe (one lock, held for a look-up).
 */
#pragma once

#include "crypto/x509.h"

#define VERIFIER_CACHE_DEFAULT 1024 /* entries; a VCEK takes about 9 KiB once parsed */
#define VERIFIER_CACHE_MAX 65536

struct verifier_cache;

STATUS verifier_cache_new(size_t entries, struct verifier_cache **out, struct error *err);
struct verifier_cache *verifier_cache_free(struct verifier_cache *c);
DEFINE_CLEANUP(verifier_cache, struct verifier_cache, verifier_cache_free)

/* How the cache holds on to an object: both are thread-safe. */
struct cache_kind {
    void *(*ref)(void *object);
    void (*unref)(void *object);
};
extern const struct cache_kind cache_certs; /* struct cert */
extern const struct cache_kind cache_keys;  /* struct pubkey: imported, signed by nobody */

/*
 * True when bytes with the digest `key` were checked before and have not
 * expired: *issuer is the digest of the SubjectPublicKeyInfo of the key that
 * signed them, *object a new reference to what was made of them, or NULL if
 * nothing was stored.  An object of another kind than `kind` is not found.
 * `c` may be NULL: false.
 */
bool verifier_cache_get(struct verifier_cache *c, const struct digest *key, int64_t now_s,
                        struct digest *issuer, const struct cache_kind *kind, void **object);

/* Remember; the oldest of a few others may be forgotten.  `object` is borrowed, may be NULL. */
void verifier_cache_put(struct verifier_cache *c, const struct digest *key, int64_t expires_s,
                        const struct digest *issuer, const struct cache_kind *kind, void *object);

/* Forget everything: news about revocation or other anchors. */
void verifier_cache_flush(struct verifier_cache *c);
