/*
 * disk - a folder of collateral that processes share.
 *
 * One file an item, named by the SHA-256 of its URL, replaced as a whole, so
 * that a reader sees the old record or the new one.  A lock in the same folder
 * lets one process fetch while the others wait for what it brings; it ends with
 * the process that holds it.  At most COLLATERAL_DISK_ITEMS files: the oldest go.
 *
 * Any thread; each call opens what it needs relative to one folder descriptor.
 */
#pragma once

#include "collateral/item.h"

#define COLLATERAL_DISK_ITEMS 4096
#define COLLATERAL_DISK_SUFFIX ".item"

struct collateral_disk;

/* Made if it is missing (mode 0755).  ERR_IO: it cannot be read. */
STATUS collateral_disk_open(const char *dir, struct collateral_disk **out, struct error *err);
struct collateral_disk *collateral_disk_close(struct collateral_disk *d);
DEFINE_CLEANUP(collateral_disk, struct collateral_disk, collateral_disk_close)

/*
 * The record of a URL into `record`, and *out pointing into it.  ERR_NOT_FOUND;
 * ERR_INVALID: the file is something else; ERR_IO.
 */
STATUS collateral_disk_read(const struct collateral_disk *d, struct str url, struct buf *record,
                            struct collateral_item *out, struct error *err);
STATUS collateral_disk_write(const struct collateral_disk *d, const struct collateral_item *item,
                             struct error *err);

/*
 * Try to become the one who fetches `url`: a descriptor to close when done, or
 * -1 while somebody else is.  -2: this folder has no locks (read-only).
 */
int collateral_disk_lock(const struct collateral_disk *d, struct str url);

/* Every record that can be read, by file name; stops when `each` says no. */
typedef bool (*collateral_each)(void *user, const struct collateral_item *item);
STATUS collateral_disk_list(const struct collateral_disk *d, collateral_each each, void *user,
                            struct error *err);
