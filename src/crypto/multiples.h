/*
 * Verification with a P-384 key that comes again.
 *
 * OpenSSL before 3.2 has no arithmetic of its own for P-384: a signature takes 0.6 ms, most
 * of it 384 doublings for u1 G + u2 Q (FIPS 186-5, 6.4.2).  With the multiples
 * Q, 2^48 Q, ... 2^336 Q at hand, u2 is cut into eight scalars and 48 doublings do; OpenSSL
 * does as much for G itself (EC_GROUP_precompute_mult(3)).  0.3 ms a signature, 3 KiB a key.
 */
#pragma once

#include "crypto/crypto_internal.h"

struct multiples;

#define MULTIPLES_MAX 1024 /* of the process: keys may come from whoever asks */

/*
 * NULL where they are of no use or cannot be made: another curve, OpenSSL from 3.2 on, a FIPS
 * provider, MULTIPLES_MAX keys that have theirs, no memory.  Never changes once it is made.
 */
struct multiples *multiples_make(const struct pubkey *k);
struct multiples *multiples_free(struct multiples *m);

enum multiples_verdict { MULTIPLES_GOOD, MULTIPLES_BAD, MULTIPLES_UNABLE };
/* `raw` is r || s, 96 bytes.  MULTIPLES_UNABLE: out of memory. */
enum multiples_verdict multiples_verify(const struct multiples *m, struct str digest,
                                        const uint8_t *raw);
