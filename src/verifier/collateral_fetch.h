/*
 * collateral_fetch - what a verifier said that it needs, from the network.
 *
 * The network itself is claviger-fetch's (net/fetch.h); here is which URL has
 * which parts.  Nothing is believed because it came: the verifier checks it.
 */
#pragma once

#include "net/fetch.h"
#include "verifier/collateral_set.h"

#define COLLATERAL_ROUNDS_MAX 8 /* items that one verification can lack, one after the other */

/*
 * GET `url` and put the answer into the set, and under url#header the issuer
 * chain that came with it.  ERR_NOT_FOUND: the service has no such item;
 * ERR_UNAVAILABLE: it does not answer, or not with that; or as the fetcher.
 */
STATUS collateral_fetch(struct collateral_set *s, struct fetcher *f, struct str url,
                        struct error *err);

/*
 * URL prefixes that verifiers under this verifier_config ask for, in the
 * arena, NULL-terminated: what fetcher_options.allow takes.
 */
const char *const *collateral_prefixes(struct arena *a, value verifier_config);
