/*
 * verifier_internal - what the verifiers' own files share: the state of one
 * run, reading of evidence members, comparison with a record of it.
 */
#pragma once

#include "base/encode.h"
#include "base/secret.h"
#include "verifier/anchors.h"
#include "verifier/verifier.h"

/* One run of one verifier; on the stack of its evaluate function. */
struct verify {
    struct arena *a;
    const struct verifier_request *req;
    struct checks *checks;
    struct verifier_result *out;
    struct error *err;
};

/* check_failed() with the run's recorder: FAIL(v, id, field, expected, actual, format, ...). */
#define FAIL(v, id, field, expected, actual, ...)                                                  \
    check_failed((v)->checks, (v)->err, (id), (field), (expected), (actual), __VA_ARGS__)

/* A failure that has no two sides. */
#define FAIL_PLAIN(v, id, field, ...)                                                              \
    FAIL(v, id, field, VALUE_UNDEFINED, VALUE_UNDEFINED, __VA_ARGS__)

#define PASS(v, id) check_passed((v)->checks, (id))

/* "prefix" + "rest" in the arena, for JSON pointers; never NULL. */
const char *verify_field(struct verify *v, const char *prefix, const char *rest);

/*
 * Compare bytes in constant time (HARDEN ver-1); a difference of length is a
 * difference.  Records the pass, or the failure with both sides in hex.
 */
STATUS verify_same(struct verify *v, enum check_id id, const char *field, struct str expected,
                   struct str actual, const char *message);

/*
 * PCR 8 of a TPM, extended once from zero by the expected init data, if any is
 * expected; `field` is the pointer of the PCR.
 */
STATUS verify_pcr8(struct verify *v, const char *field, struct str pcr, const char *message);

/* Evidence of this shape is refused: records expected and actual kind. */
STATUS verify_malformed(struct verify *v, const char *field, const char *expected, value actual,
                        const char *message);

/* Remember that the claims rest on an anchor, when it is an extra one. */
void verify_rests_on(struct verify *v, const struct anchor *an);

/* The claim "extra_trust_anchors", when there is something to say. */
void verify_anchor_claims(struct verify *v, struct value_builder *claims);

/*
 * Collateral by URL.  ERR_UNAVAILABLE, with result->needed set, when the
 * caller does not have it.
 */
STATUS verify_collateral(struct verify *v, struct str url, struct str *out);
bool verify_collateral_find(struct verify *v, struct str url, struct str *out);
void verify_needs(struct verify *v, struct str url); /* into result->needed, once */

/* A member of verifier_config: /name/member, or undefined. */
value verify_config(const struct verify *v, const char *table, const char *member);

/*
 * Bytes of an evidence member.  ERR_INVALID when it is something else or
 * longer than `max`; ERR_NOMEM, ERR_LIMIT from the arena.
 */
STATUS evidence_array(struct arena *a, value member, size_t max, struct str *out);
STATUS evidence_hex(struct arena *a, value member, size_t max, struct str *out);
STATUS evidence_base64(struct arena *a, value member, enum base64_form form, size_t max,
                       struct str *out);

/* "Padded / truncated" of verifiers.md 1: exactly n bytes in the arena, NULL ptr on failure. */
struct str evidence_fit(struct arena *a, struct str s, size_t n);

/*
 * "pcr00" to "pcr23" as names of claims, for objects in any arena: made by the
 * first caller and kept for the process; without memory for that, in `a`.
 */
value claim_pcr_name(struct arena *a, unsigned i);

/* Claims: text in hex or standard base64, decimal text, flags as text. */
value claim_hex(struct arena *a, struct str bytes);
value claim_base64(struct arena *a, struct str bytes);
value claim_decimal(struct arena *a, uint64_t n);
value claim_flag_text(struct arena *a, bool flag);

/*
 * Add the finished claims object as the only result, class "cpu"; `details`
 * may be undefined.
 */
STATUS verify_finish(struct verify *v, struct value_builder *claims, value details);
