/*
 * collateral_set - endorsements out of files, for tools, tests and offline use.
 *
 * A source is one of
 *   - a bundle of Intel's collateral, a JSON object with the members tcb_info,
 *     qe_identity, pck_crl, root_ca_crl and their issuer chains, or some of
 *     them (the verifier says what is missing), with tee and fmspc;
 *   - a file of Intel's PcsClientTool ("collaterals");
 *   - a revocation list of AMD's in DER;
 *   - a folder: each file in it is one of the above, and below it a file
 *     stands at HOST/PATH[?QUERY] for the URL https://HOST/PATH[?QUERY].
 *
 * Nothing is believed because it is here: the verifier checks each item.
 * file:// URLs are read from where they point if that was allowed.  Immutable
 * once filled, except that found files are kept; one thread.
 */
#pragma once

#include "verifier/verifier.h"

/* When an item was issued, and until when it holds (the earliest end in its chain, too). */
struct collateral_dates {
    int64_t issued_s, next_s; /* next_s INT64_MAX: for ever */
};

#define COLLATERAL_FILE_MAX (4 * 1024 * 1024)
#define COLLATERAL_ITEMS_MAX 4096

struct collateral_set;

STATUS collateral_set_new(bool file_urls, struct collateral_set **out, struct error *err);
struct collateral_set *collateral_set_free(struct collateral_set *s);
DEFINE_CLEANUP(collateral_set, struct collateral_set, collateral_set_free)

/* A file or folder.  ERR_NOT_FOUND, ERR_IO, ERR_INVALID: of no known kind; ERR_LIMIT. */
STATUS collateral_set_add(struct collateral_set *s, const char *path, struct error *err);

/* The content of such a file; a folder has none. */
STATUS collateral_set_parse(struct collateral_set *s, struct str bytes, struct error *err);

/* Bytes under a URL, for callers that fetched them. */
STATUS collateral_set_put(struct collateral_set *s, struct str url, struct str bytes,
                          struct error *err);

/*
 * From now on, where all of Intel's collateral came in one bundle, it is handed
 * out for every platform: the verifier then says what does not fit, which tells
 * more than that something is missing.
 */
void collateral_set_only_bundle(struct collateral_set *s);

/* What a verifier_request takes; borrowed from the set. */
const struct collateral *collateral_set_get(const struct collateral_set *s);
