/*
 * admin - who may administer (kbs.md 6), in all three generations of [admin].
 *
 * Immutable once made; keys are read at that time, but for those of identity
 * providers that are fetched (keys.h).
 */
#pragma once

#include "base/error.h"
#include "decision/check.h"
#include "jose/jose.h"
#include "kbs/config.h"
#include "kbs/keys.h"

#define ADMIN_TOKEN_MAX 1000000

struct admin;

/* `keys` are the configuration's, and outlive it. */
STATUS admin_new(const struct kbs_config *config, struct keys *keys, config_warn warn, void *user,
                 struct admin **out, struct error *err);
struct admin *admin_free(struct admin *a);
DEFINE_CLEANUP(admin, struct admin, admin_free)

/* Everybody is an administrator. */
bool admin_is_open(const struct admin *a);

/*
 * May the bearer of this Authorization header (ptr NULL: none) use the canonical
 * path?  ERR_DENIED: `err` is the reason that the client is told, checks the one
 * that the operator reads.
 */
STATUS admin_check(const struct admin *a, struct arena *arena, struct str authorization,
                   struct str path, int64_t now_s, struct checks *checks, struct error *err);

/* The same as if no mode were insecure: only a valid key opens (decisions are shown to nobody
 * else). */
STATUS admin_check_key(const struct admin *a, struct arena *arena, struct str authorization,
                       struct str path, int64_t now_s, struct checks *checks, struct error *err);

/* "Bearer <token>": scheme exact, split at the first space (kbs.md 5.7); ptr NULL if it is not
 * that. */
struct str bearer_token(struct str authorization);
