/*
 * vectors - reading ../shared/vectors/verifiers for the conformance tests.
 */
#pragma once

#include "base/arena.h"
#include "verifier/anchors.h"
#include "verifier/verifier.h"

/* The clock of vectors that record none: every certificate in use is valid then. */
#define VECTOR_NOW_S 1785542400 /* 2026-08-01T00:00:00Z */

/* Whole file below vectors/verifiers, in the arena; {NULL, 0} after a SKIP or a failed check. */
struct str vector_read(struct arena *a, const char *relative);

/* The same, parsed as JSON; undefined when there is no such file. */
value vector_json(struct arena *a, const char *relative);

/* One evaluation and all that it left. */
struct vector_run {
    enum status status;
    struct checks checks;
    struct verifier_result result;
    struct error err;
};

/* Names of checks that this run passed contain the name. */
bool run_passed(const struct vector_run *run, enum check_id id);

/*
 * Evaluate; `hex` texts are expected report data and init data, undefined or
 * null: none.  `anchors` are the built-in ones.
 */
void vector_evaluate(struct arena *a, const char *tee, value evidence, value report_data_hex,
                     value init_data_hex, enum era era, int64_t now_s, value config,
                     const struct collateral *collateral, const struct anchors *anchors,
                     struct vector_run *out);

/* Members of `want` are in `got` and equal; prints the first that is not. */
bool claims_contain(value got, value want, const char *name);
/* The same, and nothing else is in `got`. */
bool claims_equal(value got, value want, const char *name);
