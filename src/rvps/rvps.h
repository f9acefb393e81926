/*
 * rvps - the reference value provider (attestation-service.md 12).
 *
 * A `struct rvps` is one store of reference values.  Reading goes through an
 * immutable snapshot, counted by references, which rvps_refresh() swaps when
 * the store changed; so evaluations never wait and see one state throughout.
 * Expiry is judged at each read against the time that the caller gives.
 *
 * Forms read: every one of 12.5 (array or object container, hash-value,
 * value, expired); a malformed entry is skipped and named in the warnings.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"
#include "storage/storage.h"
#include "value/value.h"

#define RVPS_FILE_MAX (16 * 1024 * 1024)
#define RVPS_EXPIRES_SOON_S (14 * 86400) /* "soon" in warnings */

struct rvps;
struct rvps_snapshot;

struct reference_value {
    struct str name;
    value val;          /* what a policy sees */
    int64_t expires_s;  /* Unix seconds; expired means now > expires_s */
    struct str expires; /* as written */
};

/* Old layout: one JSON file (rvps_config.storage LocalJson). Created on the first write only. */
STATUS rvps_open_file(const char *path, enum storage_how how, bool enforce_expiration,
                      struct rvps **out, struct error *err);

/* New layout: the namespace `reference_value` (storage is referenced). */
STATUS rvps_open_storage(struct storage *storage, bool enforce_expiration, struct rvps **out,
                         struct error *err);

/* storage_missing() of the storage; NULL for a file. */
const char *rvps_missing(const struct rvps *r);
struct rvps *rvps_free(struct rvps *r);
DEFINE_CLEANUP(rvps, struct rvps, rvps_free)

/*
 * Look whether the store changed and swap the snapshot.  A store that cannot be
 * read keeps the old snapshot (error returned; the caller logs); never having
 * had one, reads answer ERR_UNAVAILABLE.  `warn` (may be NULL) gets one text for
 * each skipped, expired or soon-to-expire entry of a new snapshot.
 */
STATUS rvps_refresh(struct rvps *r, int64_t now_s, void (*warn)(void *user, const char *text),
                    void *user, bool *changed, struct error *err);

struct rvps_snapshot *
rvps_snapshot_get(struct rvps *r); /* referenced; NULL before the first refresh */
struct rvps_snapshot *rvps_snapshot_ref(struct rvps_snapshot *s);
struct rvps_snapshot *rvps_snapshot_unref(struct rvps_snapshot *s);
DEFINE_CLEANUP(rvps_snapshot, struct rvps_snapshot, rvps_snapshot_unref)

/*
 * A value by name at a time.  Undefined: expired (rule 13: missing or expired is
 * undefined in a policy); *known tells the two apart.  Lives as long as the snapshot.
 */
value rvps_query(const struct rvps_snapshot *s, struct str name, int64_t now_s, bool *known);

/* All unexpired values as an object (data.reference); built once per expiry epoch and cached in the
 * snapshot. */
value rvps_all(struct rvps_snapshot *s, int64_t now_s);

/* The stored entry, expired or not; NULL when unknown. */
const struct reference_value *rvps_entry(const struct rvps_snapshot *s, struct str name);
size_t rvps_entry_count(const struct rvps_snapshot *s);
const struct reference_value *rvps_entry_at(const struct rvps_snapshot *s, size_t i);
bool rvps_enforces_expiration(const struct rvps_snapshot *s);

/* The files that it reads and writes, for a process that confines itself. */
void rvps_confine(const struct rvps *r, struct confine *c);

/*
 * A registration message (12.2): extract, store, refresh.  ERR_INVALID with
 * upstream's words for a bad message.
 */
STATUS rvps_register(struct rvps *r, struct str message, int64_t now_s, struct error *err);

/* Remove by name; ERR_NOT_FOUND. */
STATUS rvps_remove(struct rvps *r, struct str name, int64_t now_s, struct error *err);
