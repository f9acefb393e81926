/*
 * eventlog - boot event logs of confidential machines: the CCEL table (TCG2
 * crypto-agile form) with the agent's own events, and the older text log.
 *
 * attestation-service.md 14.  A log is hostile until its replay gives what the
 * hardware signed; until then nothing of it may be used.  Bytes are borrowed
 * for the life of the parsed log, everything else is in the arena.
 */
#pragma once

#include "crypto/crypto.h"
#include "value/value.h"

#define EVENTLOG_LEN_MAX (4 * 1024 * 1024) /* tables are up to 1 MiB */
#define EVENTLOG_ENTRIES_MAX 16384
#define EVENTLOG_DIGESTS_MAX 8 /* of one entry, and algorithms of a log */

/* Algorithm identifiers of the TCG. */
#define EVENT_ALG_SHA1 0x04
#define EVENT_ALG_SHA256 0x0b
#define EVENT_ALG_SHA384 0x0c
#define EVENT_ALG_SHA512 0x0d
#define EVENT_ALG_SM3 0x12

struct event_digest {
    uint16_t alg;
    struct str bytes;
};

struct event {
    uint32_t index; /* measurement register of the log: 1 is RTMR 0 */
    uint32_t type;
    struct event_digest digests[EVENTLOG_DIGESTS_MAX];
    size_t digest_count;
    struct str data;
};

struct eventlog {
    struct event *events; /* without the first entry, which only names algorithms */
    size_t len;
};

/* ERR_INVALID, ERR_LIMIT, ERR_NOMEM. */
STATUS eventlog_parse(struct arena *a, struct str bytes, struct eventlog *out, struct error *err);

/* State of a register after all of its events: zeros extended by each digest in turn. */
STATUS eventlog_replay(const struct eventlog *log, uint32_t index, uint16_t alg,
                       struct digest *out);

/*
 * Which entries are told: those that the replay of registers 1 to `last` with
 * `alg` took in.  Any other - of another register, or without a digest of that
 * algorithm - could be put there by anybody who carries the log, so it is no
 * claim (HARDEN as-3).  EV_NO_ACTION is told without a digest, and of register 0
 * with digests of zeros, as firmware writes notes on itself: it measures nothing,
 * and is no part of `ccel`.
 */
struct replayed {
    uint32_t last; /* EVENTLOG_ALL: everything is told */
    uint16_t alg;
};
#define EVENTLOG_ALL UINT32_MAX
bool event_is_told(const struct event *e, struct replayed replayed);

/*
 * The array `uefi_event_logs` of 14.7.  An entry whose details cannot be read
 * fails the log, and so does an application event (AAEL) whose digest is not that
 * of its data: nothing but the digest is measured, and the agent makes no such.
 */
STATUS eventlog_claims(struct arena *a, const struct eventlog *log, struct replayed replayed,
                       value *out, struct error *err);

/* The agent's own: a tagged event with its tag (14.6). */
bool event_is_application(const struct event *e);

/* Details of one event (14.3 to 14.6), an object; in event_details.c. */
STATUS event_details(struct arena *a, const struct event *e, value *out, struct error *err);

/* "EV_SEPARATOR", or NULL for a type that is not known. */
const char *event_type_name(uint32_t type);

/* The object `ccel` of v0.13 (14.9), of the same entries; empty when nothing of it is in them. */
value eventlog_ccel(struct arena *a, const struct eventlog *log, struct replayed replayed);

/* ---- the text log of the agents up to v0.14 (14.9) ---- */

#define AAEL_LEN_MAX (1024 * 1024)

/*
 * Read "INIT <alg>/<hex>" and lines "domain operation content": *rtmr is what
 * they extend to, *claims the object `aael`.  ERR_INVALID.
 */
STATUS aael_parse(struct arena *a, struct str text, struct digest *rtmr, value *claims,
                  struct error *err);
