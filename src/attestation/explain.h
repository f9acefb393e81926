/*
 * explain - why a policy said no, and the smallest change that would have made
 * it say yes (INTERFACES.md, Decisions).
 *
 * Works on any compiled policy: the caller gives the documents and a predicate
 * on the result; the answer is proved by applying the change and evaluating
 * again, and is minimal (removing any operation fails again).
 */
#pragma once

#include "decision/check.h"
#include "rego/rego.h"
#include "rvps/rvps.h"

struct explain_alias {
    struct str alias, real; /* "/input/az-snp-vtpm", "/input/azsnpvtpm" */
};

/* Evaluate with these documents: did the decision pass?  Sets *trace from the evaluation when
 * asked. */
struct explain_subject {
    /*
     * True when the decision passes with the given input, data and reference
     * values (object name -> value, as a policy sees them).  Leaves the trace
     * of the evaluation in `trace`, valid until the next call.
     */
    bool (*passes)(void *user, struct arena *a, value input, value data, value references,
                   struct rego_trace *trace);
    void *user;
    value input, data, references;
    /* Pointers below which nothing may be changed: derived values, aliases ("/input/submods"). */
    const struct str *frozen;
    size_t frozen_count;
    /* Where the policy reads a copy: paths at or below `alias` are told and changed at `real`. */
    const struct explain_alias *aliases;
    size_t alias_count;
    /* Rules that make the decision, as traces name them ("data.policy.allow"). */
    const struct str *results;
    size_t result_count;
    /* Expired entries that may count; NULL when there is no RVPS. */
    const struct rvps_snapshot *reference_values;
    int64_t now_s;
};

/* One rule or expression that did not hold, by INTERFACES.md: rules, expired, change. */
struct explanation {
    value rules;    /* array of objects, or undefined */
    value held;     /* likewise: expressions of rules that held where `rules` needed them not to */
    value expired;  /* array of {"name","expiration"}, or undefined */
    value change;   /* array (JSON Patch), or undefined when there is none */
    value examples; /* array of those paths of it where any other value may do, or undefined */
    /* The expression that the change begins with (else the first that tells anything): the reason.
     */
    enum check_id check; /* CHECK_POLICY, _REFERENCE_VALUE, _REFERENCE_VALUE_EXPIRED; _NONE: nothing
                            was tried */
    struct str field;    /* "/input/azsnpvtpm/tpm/pcr08"; may be empty */
    value expected, actual; /* the two sides, or undefined */
};

#define EXPLAIN_OPERATIONS_MAX 8    /* of one change */
#define EXPLAIN_EVALUATIONS_MAX 330 /* evaluations spent on one denial */
#define EXPLAIN_RULES_MAX 64        /* told of one evaluation */
#define EXPLAIN_HELD_MAX 16         /* likewise, of those that held */
#define EXPLAIN_CPU_NS 500000000    /* of the thread; then the denial has no `change` */

/* Fill rules, expired and change.  `rules` come from the first, unchanged evaluation. */
STATUS explain(struct arena *a, const struct explain_subject *subject, struct explanation *out,
               struct error *err);
