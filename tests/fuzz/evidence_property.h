/*
 * evidence_property - evidence as JSON through a whole verifier under the
 * built-in roots of trust.  No corpus holds evidence that they vouch for, and
 * no fuzzer makes any: whatever is accepted is a finding, and every refusal
 * names its check and a field.
 */
#pragma once

#include <stdlib.h>

#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/verifier.h"

static inline void evidence_must_fail(const char *tee, struct str text,
                                      const struct collateral *collateral)
{
    static struct anchors *anchors; /* as long as the process */
    if (anchors == NULL && anchors_new(&anchors, NULL) != OK)
        abort();
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 32 * 1024 * 1024);
    struct verifier_request req = {.has_report_data = true,
                                   .report_data =
                                       STR("forty-eight bytes, as SHA-384 of the runtime dat"),
                                   .now_s = 1764028800,
                                   .era = text.len % 2 == 0 ? ERA_OLD : ERA_NEW,
                                   .config = VALUE_UNDEFINED,
                                   .anchors = anchors,
                                   .collateral = collateral};
    if (json_parse(&a, text, NULL, &req.evidence, NULL) != OK)
        return;
    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result;
    struct error err = ERROR_INIT;
    enum status st = verifier_run(&a, str_of(tee), &req, &checks, &result, &err);
    if (st == OK || result.len != 0 || err.text[0] == '\0')
        abort();
    if (st == ERR_DENIED && (checks.reason.check == CHECK_NONE || checks.reason.field.len == 0 ||
                             checks.reason.field.ptr[0] != '/' || checks.reason.message.len == 0))
        abort();
    if (st == ERR_UNAVAILABLE && result.needed_count == 0)
        abort();
}
