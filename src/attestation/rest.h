/*
 * rest - the RESTful API of a standalone attestation service
 * (attestation-service.md 4), without the network.
 *
 * A request is a method, a path and a body; the answer lives in the caller's
 * arena.  Thread-safe.  Both generations of POST /attestation are read.
 */
#pragma once

#include "attestation/attestation.h"

struct rest_request {
    const char *method; /* "GET", "POST", ... */
    struct str path;    /* decoded, without query */
    struct str content_type;
    struct str body;
};

struct rest_answer {
    int status;
    const char *content_type; /* NULL: none */
    const char *allow;        /* of a 405: methods; else NULL */
    struct str body;
    bool must_wait;
    struct str log; /* one line: what was done, or why not; never evidence or tokens */
    struct checks
        *checks; /* of an attestation, with the reason when it failed or is not affirming */
};

/*
 * Always answers; with ERR_NOMEM inside, status 500 and no body.  When `may_wait`
 * is false and collateral is not at hand that could be fetched, out->must_wait
 * is set instead: ask again on a thread that may wait.
 */
void rest_handle(struct attestation_service *s, struct arena *a, const struct rest_request *r,
                 int64_t now_s, bool may_wait, struct rest_answer *out);

/* A body of POST /attestation. */
struct rest_attestation {
    struct attestation_request *items;
    size_t len;
    struct str *policy_ids;
    size_t policy_count;
};

/*
 * ERR_INVALID: not JSON or a member missing or of the wrong type (400);
 * ERR_DENIED: well-formed, but an encoding or a name inside is wrong (500, as
 * upstream).
 */
STATUS rest_attestation_parse(struct arena *a, struct str body, struct rest_attestation *out,
                              struct error *err);
