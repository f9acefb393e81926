/*
 * metrics - the counters of kbs.md 11.1 in Prometheus' text format.
 *
 * Atomic, no locks.  Labels are TEE names and "*" only: no secret's name is
 * ever one (README 7).
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "base/defs.h"

#define METRIC_BUCKETS_MAX 8
#define METRIC_TEES_MAX 16

struct histogram {
    _Atomic uint64_t buckets[METRIC_BUCKETS_MAX]; /* not cumulative */
    _Atomic uint64_t over;
    _Atomic uint64_t count;
    _Atomic uint64_t sum; /* nanoseconds or bytes */
};

struct metrics {
    _Atomic uint64_t resource_reads, resource_writes, resource_deletes;
    _Atomic uint64_t http_requests;
    _Atomic int64_t http_active;
    _Atomic uint64_t policy_evaluations, policy_approvals, policy_violations, policy_errors;
    _Atomic uint64_t attestation_requests, attestation_errors;
    _Atomic uint64_t attestation_successes[METRIC_TEES_MAX], attestation_failures[METRIC_TEES_MAX];
    _Atomic uint64_t auth_requests, auth_successes, auth_errors;
    struct histogram duration, request_size, response_size;
};

static inline void metric_add(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Slot of a TEE name (either Azure spelling); names unknown to the protocol share the last one. */
size_t metric_tee(struct str tee);

void metric_observe_duration(struct metrics *m, int64_t ns);
void metric_observe_request(struct metrics *m, uint64_t bytes);
void metric_observe_response(struct metrics *m, uint64_t bytes);

/* The exposition; families without samples are left out. */
void metrics_write(const struct metrics *m, struct buf *out);
