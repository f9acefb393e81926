/* Claims against the names that verifier_claim_schema() has of them. */
#pragma once

#include <stdio.h>

#include "tap.h"
#include "verifier/verifier.h"

static UNUSED bool claims_are_named(value schema, value claims, const char *name)
{
    bool ok = true;
    for (size_t i = 0; value_is_object(schema) && i < value_len(claims); i++) {
        value key = value_pairs(claims)[i].key;
        value below = value_get(schema, key);
        if (!value_is_defined(below)) {
            printf("# %s: no name for the claim %.*s\n", name, STR_ARG(value_str(key)));
            ok = false;
        } else if (value_is_object(value_pairs(claims)[i].val)) {
            ok = claims_are_named(below, value_pairs(claims)[i].val, name) && ok;
        }
    }
    return ok;
}

/* All claims of a result, in the form of each dialect. */
static UNUSED void check_claim_names(struct arena *a, const char *tee,
                                     const struct verifier_result *r)
{
    const struct verifier *v = verifier_find(str_of(tee));
    value schema = value_get_str(verifier_claim_schema(a), str_of(tee));
    for (size_t i = 0; i < r->len; i++) {
        CHECK_ROW(value_is_object(schema) && claims_are_named(schema, r->items[i].claims, tee),
                  tee);
        for (int d = DIALECT_A; v->shape != NULL && d <= DIALECT_D; d++)
            CHECK_ROW(
                claims_are_named(schema, v->shape(a, r->items[i].claims, (enum dialect)d), tee),
                tee);
    }
}
