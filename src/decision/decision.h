/*
 * decision - one attestation, resource or admin request, granted or denied, and
 * the ring that remembers them (INTERFACES.md, Decisions).
 *
 * A decision is built in the arena of its request and written to the ring as
 * JSON text.  The ring holds four queues with byte limits of their own, so that
 * denials outlive grants, and neither requests without any token nor refused
 * evidence, which anybody can send, can flush them.
 * The ring is thread-safe.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "decision/check.h"

#define DECISION_ID_LEN 32    /* lower-case hex digits */
#define DECISION_PATH_MAX 512 /* longer ones name nothing that there is, and are not told */

struct decision_id {
    char text[DECISION_ID_LEN + 1];
};

/* 128 random bits. */
void decision_id_new(struct decision_id *out);
bool decision_id_is_valid(struct str s);

enum decision_kind { DECISION_ATTESTATION, DECISION_RESOURCE, DECISION_ADMIN };

struct decision {
    struct decision_id id;
    enum decision_kind kind;
    bool granted;
    bool anonymous;  /* came without any token, or one that anybody can make: the smallest queue */
    bool unverified; /* evidence that no hardware vouched for: anybody can send it, so a queue of
                        its own */
    int64_t time_s;
    const struct checks *checks; /* reason included; may be NULL */
    /* Of an attestation that is not affirming, or a policy that denied; undefined: absent. */
    value rules, held, expired, change, examples;
    struct str path;   /* that was asked for, canonical; empty: not told */
    struct str cause;  /* id of the attestation below; empty: none */
    value anchors;     /* array of hex fingerprints, or undefined */
    struct str status; /* ear.status of a granted attestation; empty: none */
    value notes;       /* array of strings: what held but deserves a word; undefined: none */
};

/* All values undefined, a new id. */
void decision_init(struct decision *d, enum decision_kind kind, int64_t now_s);

/* The story as JSON text. */
STATUS decision_write(const struct decision *d, struct buf *out);

struct decision_ring;

#define DECISION_RING_DEFAULT (8u * 1024 * 1024)
#define DECISION_RING_MIN (64u * 1024)
#define DECISION_RING_MAX (1024u * 1024 * 1024)

/* Memory grows on demand up to about `max` bytes. */
STATUS decision_ring_new(size_t max, struct decision_ring **out, struct error *err);
struct decision_ring *decision_ring_free(struct decision_ring *r);

/*
 * A decision that is too large for its queue is kept without `held`, then without `rules`; one
 * that still is, or for which memory is missing, is dropped.
 */
void decision_ring_put(struct decision_ring *r, const struct decision *d);

/* Append the JSON text; false when the id is unknown (or was forgotten). */
bool decision_ring_get(struct decision_ring *r, struct str id, struct buf *out);

size_t decision_ring_bytes(struct decision_ring *r);
