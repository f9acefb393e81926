/*
 * item - one answer of a collateral service, with the issuer chain that came
 * with it, and its form in a file.
 *
 *   claviger-collateral 1
 *   url: https://api.trustedservices.intel.com/sgx/certification/v4/tcb?fmspc=...
 *   fetched: 2026-11-25T19:00:00Z
 *   chain: 4711
 *   body: 12345
 *   (an empty line, then so many bytes of chain, of body, and nothing more)
 *
 * Nothing is believed because it is there: collateral_item_check() judges what
 * was read as it judges what was fetched.  Slices are borrowed.
 */
#pragma once

#include "base/buf.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"

#define COLLATERAL_URL_MAX 1024
#define COLLATERAL_CHAIN_MAX (64 * 1024)  /* two or three certificates, percent-encoded: 6 KiB */
#define COLLATERAL_BODY_MAX (1024 * 1024) /* HARDEN intel-2; TCB information has 60 KiB */
#define COLLATERAL_RECORD_MAX (COLLATERAL_BODY_MAX + COLLATERAL_CHAIN_MAX + 2048)

struct collateral_item {
    struct str url, chain, body;
    int64_t fetched_s;
    struct collateral_dates dates; /* set by collateral_item_check() */
};

enum collateral_kind {
    COLLATERAL_UNKNOWN,
    COLLATERAL_INTEL, /* TCB information, QE identity, lists */
    COLLATERAL_VCEK,  /* a certificate that never changes; its URL is from evidence */
    COLLATERAL_AMD,   /* lists and chains */
};

/* By the form of the URL, whatever its host. */
enum collateral_kind collateral_kind_of(struct str url);

/* "tcb", "qe-identity", "pck-crl", "root-crl", "vcek", "amd-crl", "amd-cert-chain", "unknown". */
const char *collateral_kind_name(struct str url);

/* HTTP header of an answer that has the issuer chain of the item, or NULL. */
const char *collateral_chain_header(struct str url);

/*
 * The item is what its URL says, is signed, and its chain leads to a trusted
 * root; sets item->dates.  ERR_DENIED with the reason and the URL; ERR_NOMEM.
 * Whether it is past its date is for whoever knows the time.
 */
STATUS collateral_item_check(const struct anchors *anchors, struct collateral_item *item,
                             struct error *err);

/* One record appended; what a record holds.  ERR_INVALID: it is none. */
void collateral_item_write(struct buf *out, const struct collateral_item *item);
STATUS collateral_item_parse(struct str record, struct collateral_item *out, struct error *err);
