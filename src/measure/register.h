/*
 * register - a register that is only ever extended: a PCR of a TPM, an RTMR of
 * a TD.  value := H(value || digest), from zeros.
 */
#pragma once

#include "crypto/crypto.h"

/* Zeros of the algorithm's length. */
static inline void register_init(struct digest *reg, enum digest_alg alg)
{
    memset(reg, 0, sizeof(*reg));
    reg->len = digest_len(alg);
}

/* `digest` is of the same algorithm. */
static inline void register_extend(struct digest *reg, enum digest_alg alg, struct str digest)
{
    struct str parts[2] = {digest_str(reg), digest};
    struct digest next;
    digest_parts(alg, parts, 2, &next);
    *reg = next;
}

/* Extended by the digest of data, as firmware measures an event. */
static inline void register_measure(struct digest *reg, enum digest_alg alg, struct str data)
{
    struct digest d;
    digest_compute(alg, data, &d);
    register_extend(reg, alg, digest_str(&d));
}
