/*
 * deny_list - kill switches: evidence that the operator does not want, however
 * well it verifies.
 *
 * A file (TOML, YAML or JSON, by the end of its name) with entries `deny`, each
 * with a reason, an end and what it matches:
 *
 *   [[deny]]
 *   reason = "stolen from rack 12"
 *   expires = 2027-01-31T00:00:00Z
 *   chip_id = "4f3a..."
 *
 * All of an entry's criteria must hold for it to refuse; `tee` narrows and does
 * not count as one.  From `expires` on an entry is void.  Unknown members are
 * refused: a typing error would deny less than was meant.
 *
 * A list is immutable, counted by references and shared by threads; the
 * request borrows it, so a verifier stays a pure function.  The configuration
 * names the file: verifier_config.deny_list.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"
#include "value/document.h"

#define DENY_LIST_FILE_MAX (4 * 1024 * 1024)
#define DENY_ENTRIES_MAX 8192 /* each is looked at in each verification: 0.1 ms at the limit */

struct deny_list;

/* ERR_INVALID with line and column in `err`; ERR_LIMIT, ERR_NOMEM. */
STATUS deny_list_parse(struct str text, enum document_format format, struct deny_list **out,
                       struct error *err);

/* The same of a file; the error's text names file, line and column. */
STATUS deny_list_load(const char *path, struct deny_list **out, struct error *err);

struct deny_list *deny_list_ref(struct deny_list *l);
struct deny_list *deny_list_unref(struct deny_list *l);
DEFINE_CLEANUP(deny_list, struct deny_list, deny_list_unref)

size_t deny_list_len(const struct deny_list *l);
/* Entries whose end lies after `from_s` and not after `to_s`. */
size_t deny_list_ended(const struct deny_list *l, int64_t from_s, int64_t to_s);
