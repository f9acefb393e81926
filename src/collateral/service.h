/*
 * service - the collateral of all verifiers: needs, fetch, verify.
 *
 *   reactor:  view_open -> verifier -> view_close            never waits
 *   worker:   resolve(what the verifier needed), then again  may wait
 *   keeper:   a thread of ours that renews what is used before it ends
 *
 *            memory <- folder shared by processes <- claviger-fetch <- the makers
 *
 * Items are checked (item.h) wherever they come from, before anybody sees them.
 * Equal questions under way are one, between threads and, through locks in the
 * folder, between processes.  Hosts that fail are left alone (throttle.h).
 *
 * Freshness: an item of Intel's past its nextUpdate is not served, or, while
 * its service does not answer, for the configuration's grace; the claim
 * collateral_expiration_status is "1" then.  A list of AMD's past its date is
 * served; the claim crl_status calls it stale, or the verifier refuses it.
 * An item older than the one at hand is refused.
 *
 * What evidence names before it was checked (chip ids) is asked for at a bounded
 * rate; at most COLLATERAL_UNPROVED such certificates are held, and none goes to
 * the folder, before a verification succeeded with them.
 *
 * Any thread.  file:// URLs of the configuration are read here too and followed.
 */
#pragma once

#include "base/clock.h"
#include "collateral/item.h"
#include "net/fetch.h"
#include "verifier/verifier.h"

#define COLLATERAL_ITEMS_HELD 1024
#define COLLATERAL_UNPROVED 64
#define COLLATERAL_EVIDENCE_FETCHES 2 /* at the same time; workers are left for others */
#define COLLATERAL_WAIT_MS 40000      /* of one resolve(): guests give up after 50 s */

struct collateral_service;

struct collateral_options {
    value verifier_config;         /* read once (sources.h); need not outlive the call */
    const struct anchors *anchors; /* referenced */
    const struct clock *clock;     /* NULL: the system's */
    bool keeper;                   /* with a thread that renews; else call collateral_keep() */
    bool only_look; /* the folder is not made: for whoever only wants to know what would be */
    bool impatient; /* else who waits sits out a host's back-off of up to 3 s, and asks again */

    /* Another way to GET, for tests; NULL: claviger-fetch. */
    enum status (*get)(void *user, struct str url, struct fetch_answer *out, struct error *err);
    /* One line for the log; may be NULL. */
    void (*tell)(void *user, bool trouble, const char *text);
    void *user; /* of get and tell */
};

/* ERR_INVALID: the configuration.  A cache folder that cannot be used is told about, and done
 * without. */
STATUS collateral_service_new(const struct collateral_options *options,
                              struct collateral_service **out, struct error *err);
/* Ends what is under way.  Views must be closed. */
struct collateral_service *collateral_service_free(struct collateral_service *s);
DEFINE_CLEANUP(collateral_service, struct collateral_service, collateral_service_free)

/* For a process that confines itself: URL prefixes that may be asked (NULL-terminated; none when
 * offline), the file of further TLS roots and the folder; the last two may be NULL. */
const char *const *collateral_allowed(const struct collateral_service *s);
const char *collateral_ca_file(const struct collateral_service *s);
const char *collateral_folder(const struct collateral_service *s);
/* The folder, where it is not there and was not made (only_look); or NULL. */
const char *collateral_missing(const struct collateral_service *s);

/* ---- reading ---- */

#define COLLATERAL_VIEW_PINS 4

/*
 * What is at hand now, unchanging while it is open: what a verifier_request
 * takes is `face`.  On the caller's stack; one thread.
 */
struct collateral_view {
    struct collateral face;
    struct collateral_service *service;
    int64_t now_s;
    struct collateral_snapshot *pins[COLLATERAL_VIEW_PINS];
    size_t pin_count;
    struct collateral_entry *vcek; /* the last one that was found, in a pin */
};
void collateral_view_open(struct collateral_service *s, int64_t now_s, struct collateral_view *v);
/* `verified`: the verification succeeded, so a VCEK that it found is a real one. */
void collateral_view_close(struct collateral_view *v, bool verified);

/* ---- fetching ---- */

/* Worth asking resolve() for: the configuration allows this URL. */
bool collateral_may_resolve(const struct collateral_service *s, const struct str *urls, size_t n);

/*
 * Get what is missing, from the folder or the network; blocks, for
 * COLLATERAL_WAIT_MS at most.  ERR_NOT_FOUND: there is no such item;
 * ERR_UNAVAILABLE: nobody answers, or not yet again, or with what is out of
 * date; ERR_DENIED: the answer was refused; ERR_LIMIT, ERR_NOMEM.
 */
STATUS collateral_resolve(struct collateral_service *s, const struct str *urls, size_t n,
                          struct error *err);

/* Somebody brought what was missing, or mended a service: ask again at once. */
void collateral_forget_failures(struct collateral_service *s);

/* Follow changed files of the configuration; call it at least once a second.  No network. */
void collateral_follow(struct collateral_service *s);

/* One round of the keeper's work; seconds until the next is due.  Blocks. */
int64_t collateral_keep(struct collateral_service *s);
