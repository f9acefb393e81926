/*
 * pack - collateral in one signed file, for sites without a network.
 *
 *   claviger-collateral-pack 1
 *   made: 2026-11-25T19:00:00Z
 *   items: 2
 *   (an empty line)
 *   record: 1234
 *   (so many bytes, a record of item.h)
 *   record: ...
 *   signature: (base64; over every byte before this line)
 *
 * Whoever imports one names the key that it must be signed with.  That says who
 * packed it; each item is checked by itself, too.
 */
#pragma once

#include "collateral/item.h"
#include "crypto/crypto.h"

#define COLLATERAL_PACK_ITEMS 4096
#define COLLATERAL_PACK_MAX ((size_t)64 * 1024 * 1024)

/* Append a pack of the items, in this order. */
STATUS collateral_pack_write(struct buf *out, const struct collateral_item *items, size_t n,
                             int64_t made_s, const struct privkey *key, struct error *err);

struct collateral_pack {
    int64_t made_s;
    size_t count;
    struct str records;
};

/*
 * Split a pack and check its signature.  Borrowed.  ERR_INVALID: it is none;
 * ERR_DENIED: not signed by `key`; ERR_LIMIT.
 */
STATUS collateral_pack_open(struct str pack, const struct pubkey *key, struct collateral_pack *out,
                            struct error *err);

/* The next item, out of `p`, which has one less then; false at its end. */
bool collateral_pack_next(struct collateral_pack *p, struct collateral_item *out);
