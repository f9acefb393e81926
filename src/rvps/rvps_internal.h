/*
 * rvps_internal - what the files of rvps share: entries and their stored forms
 * (attestation-service.md 12.5), and what an extractor hands over.
 */
#pragma once

#include "rvps/rvps.h"

#define RVPS_VERSION "0.1.0"
#define RVPS_ENTRIES_MAX 1000000
#define RVPS_NAME_MAX 1024 /* as STORAGE_KEY_MAX, so that every store can hold every name */

typedef void (*rvps_warn)(void *user, const char *text);

/* Entries in the order found; a growing array in an arena. */
struct rvps_entries {
    struct reference_value *items;
    size_t len, cap;
};

STATUS rvps_entries_add(struct rvps_entries *e, struct arena *a, const struct reference_value *v,
                        struct error *err);

/* Exactly YYYY-MM-DDTHH:MM:SSZ (12.5). */
bool rvps_parse_expiration(struct str text, int64_t *out);

/*
 * One entry in any of the forms of 12.5.  `name` is that of its member or key
 * and stands in for a missing one; empty in an array.  Everything points into
 * `v` and `a`.
 */
STATUS rvps_entry_read(struct arena *a, struct str name, value v, struct reference_value *out,
                       struct error *err);

/*
 * A whole file: array or object, by its first byte that is no white space
 * (S8).  Text without any is an empty array (README 14).  Malformed entries
 * are skipped and named by `warn`.
 */
STATUS rvps_container_read(struct arena *a, struct str text, struct rvps_entries *out,
                           rvps_warn warn, void *user, struct error *err);

/*
 * The text of the container with these entries set (an existing name is
 * replaced), or the one named `remove` taken out (ERR_NOT_FOUND).  The
 * container keeps its kind, and entries that nobody asked about stay as they are.
 */
STATUS rvps_container_change(struct arena *a, struct str text, const struct reference_value *set,
                             size_t n, const struct str *remove, struct buf *out,
                             struct error *err);

/* The JSON text of one entry as a key-value store holds it: version, name, expiration, value. */
STATUS rvps_entry_write(const struct reference_value *v, struct buf *out);

/* ---- extractors (12.3) ---- */

/* Check the envelope (12.2), extract: names and values, expiring 12 months from now. */
STATUS rvps_message_read(struct arena *a, struct str message, int64_t now_s,
                         struct rvps_entries *out, struct error *err);

/* What an extractor makes; the caller sets the expiry. */
typedef enum status (*rvps_extractor)(struct arena *a, struct str payload, struct rvps_entries *out,
                                      struct error *err);
STATUS rvps_extract_swid(struct arena *a, struct str payload, struct rvps_entries *out,
                         struct error *err);
STATUS rvps_extract_corim(struct arena *a, struct str payload, struct rvps_entries *out,
                          struct error *err);
