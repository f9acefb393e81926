/*
 * explain_cache - explanations of appraisals that were asked for before.
 *
 * The same machine in the same state is refused for the same reason: one that
 * tries again and again costs its explanation once.  An entry is found by the
 * policy, the reference values and the claims that the policy can see, without
 * what differs from one handshake to the next (nonce, TEE key).  A policy that
 * may read that has no entries.  Thread-safe, bounded.
 */
#pragma once

#include "attestation/explain.h"
#include "crypto/crypto.h"

#define EXPLAIN_CACHE_ENTRIES 32
#define EXPLAIN_CACHE_ENTRY_MAX (64 * 1024)

struct explain_cache;

STATUS explain_cache_new(struct explain_cache **out, struct error *err);
struct explain_cache *explain_cache_free(struct explain_cache *c);

/* What an explanation depends on. */
struct explain_key {
    struct digest digest;           /* of policy and claims */
    struct rvps_snapshot *snapshot; /* borrowed; may be NULL */
    int64_t now_s;
};

/*
 * False: this policy's explanations are not kept.  `evidence` is the policy's
 * input without aliases; `salt` tells dialects and eras apart.
 */
bool explain_key_make(struct explain_key *out, struct arena *a, const struct rego_policy *policy,
                      struct str policy_digest, struct str salt, value evidence,
                      struct rvps_snapshot *snapshot, int64_t now_s);

/* A copy in `a`; false when there is none. */
bool explain_cache_get(struct explain_cache *c, const struct explain_key *key, struct arena *a,
                       struct explanation *out);
void explain_cache_put(struct explain_cache *c, const struct explain_key *key,
                       const struct explanation *e);
