/*
 * check - what was checked on the way to a decision, and why it failed.
 *
 * A verifier, the attestation service and the broker record each check that
 * they make; the first that fails ends the work and leaves the reason.  All of
 * it lives in the arena of the request.  One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/defs.h"
#include "base/error.h"
#include "value/value.h"

enum check_id {
    CHECK_NONE = 0,
#define CHECK_NAME(id, name) CHECK_##id,
#include "decision/checks.def"
#undef CHECK_NAME
    CHECK_COUNT
};

/* "quote-signature", ... */
const char *check_name(enum check_id id);
enum check_id check_by_name(struct str name); /* CHECK_NONE when unknown */

enum check_outcome { CHECK_PASSED, CHECK_FAILED, CHECK_SKIPPED };

struct check {
    enum check_id id;
    enum check_outcome outcome;
    struct str why; /* of a skipped one */
};

/* The check that failed, in the words of INTERFACES.md. */
struct reason {
    enum check_id check;
    struct str field;       /* JSON pointer under /input, /data or /evidence; may be empty */
    value expected, actual; /* VALUE_UNDEFINED when there is no such side */
    struct str message;     /* for the operator; upstream's failure text where it has one */
};

#define CHECKS_MAX 256 /* further ones are not recorded; no verifier makes as many */

struct checks {
    struct arena *arena;
    struct check *items;
    size_t len, cap;
    struct reason reason; /* check is CHECK_NONE while nothing failed */
};

void checks_init(struct checks *c, struct arena *arena);

/* A check that held.  `c` may be NULL everywhere below: nobody records. */
void check_passed(struct checks *c, enum check_id id);

/* A check that was not made, and why. */
void check_skipped(struct checks *c, enum check_id id, const char *format, ...) PRINTF_LIKE(3, 4);

/*
 * A check that failed: records it with its reason (the first reason stays) and
 * returns ERR_DENIED.  The message goes to `err` as well.
 */
STATUS check_failed(struct checks *c, struct error *err, enum check_id id, const char *field,
                    value expected, value actual, const char *format, ...) PRINTF_LIKE(7, 8);

/* Both sides as lower-case hex strings in the recorder's arena; undefined without one. */
value check_hex(struct checks *c, struct str bytes);
