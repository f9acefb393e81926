/*
 * throttle - whether a service may be asked now: back-off after failures, and a
 * bound on questions that strangers can cause.
 *
 * Three rules, judged by a monotonic clock that is handed in:
 *
 *  - A host that failed is left alone for 1 s, then 2, 4, ... up to 5 minutes, or
 *    as long as its Retry-After says (an hour at most).  One success ends it.
 *  - A URL that was not found, or whose content was refused, is not asked for
 *    again for a minute, one that evidence named for ten.  The table of them is
 *    bounded; the oldest goes.
 *  - Evidence names chips before anything in it was checked.  So URLs that come
 *    from unchecked evidence share one bucket: a burst of 64, then one a second.
 *
 * Not thread-safe: the service's lock is around it.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

#define THROTTLE_HOSTS 8
#define THROTTLE_ABSENT 1024
#define THROTTLE_BURST 64
#define THROTTLE_FIRST_S 1
#define THROTTLE_LONGEST_S 300
#define THROTTLE_RETRY_AFTER_MAX_S 3600
#define THROTTLE_ABSENT_S 60
#define THROTTLE_ABSENT_EVIDENCE_S 600

struct throttle {
    struct {
        uint64_t host; /* hash; 0: free */
        unsigned failures;
        int64_t until_ns;
    } hosts[THROTTLE_HOSTS];
    struct {
        uint64_t url;
        int64_t until_ns;
    } absent[THROTTLE_ABSENT]; /* a ring */
    size_t next_absent;
    int64_t tokens_ns; /* the bucket's content, in nanoseconds of refill */
    int64_t refilled_ns;
    bool started;
};

/* May `url` be asked for?  ERR_UNAVAILABLE with the reason and for how long not; ERR_NOT_FOUND. */
STATUS throttle_ask(struct throttle *t, struct str url, bool from_evidence, int64_t now_ns,
                    struct error *err);

/* Would it be, by the first two rules? */
bool throttle_peek(const struct throttle *t, struct str url, int64_t now_ns);

/* Until when the URL's host is left alone; the past: it is not. */
int64_t throttle_until(const struct throttle *t, struct str url);

/* What came of it. */
void throttle_succeeded(struct throttle *t, struct str url);
void throttle_failed(struct throttle *t, struct str url, int64_t retry_after_s, int64_t now_ns);
void throttle_absent(struct throttle *t, struct str url, bool from_evidence, int64_t now_ns);

/* Somebody brought what was missing: ask at once the next time. */
void throttle_forget(struct throttle *t);
