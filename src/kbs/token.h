/*
 * token - attestation tokens that clients present as bearers (kbs.md 5).
 *
 * The key of the attestation service beside the broker is always trusted (README
 * 5); others by certificate chain, by key set, or, where the configuration says so
 * twice (README 16), on the word of their own header.  Immutable once made, but for
 * key sets that are fetched (keys.h).
 */
#pragma once

#include "decision/check.h"
#include "jose/jose.h"
#include "kbs/config.h"
#include "kbs/keys.h"

#define TOKEN_LEEWAY_S 60

struct token_verifier;

/* `own` is the built-in service's key, or NULL.  `keys` are the configuration's, and outlive it. */
STATUS token_verifier_new(const struct kbs_config *config, struct pubkey *own, struct keys *keys,
                          struct token_verifier **out, struct error *err);
struct token_verifier *token_verifier_free(struct token_verifier *t);
DEFINE_CLEANUP(token_verifier, struct token_verifier, token_verifier_free)

/*
 * Verified claims.  `header_key_only` is set when nothing but the token's own
 * header vouches for its key (HARDEN kbs-8: the caller logs the thumbprint).
 */
STATUS token_verify(const struct token_verifier *t, struct arena *a, struct str token,
                    int64_t now_s, struct checks *checks, value *claims,
                    struct str *header_key_only, struct error *err);

/* The TEE's public key in claims, by the pointers of 5.6 (union of all versions). */
STATUS token_tee_key(const struct kbs_config *config, value claims, bool allow_rsa15,
                     struct tee_key *out, struct error *err);
