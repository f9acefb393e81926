/*
 * Policies that people use compile as they stand, and read no claim that no verifier
 * gives: the workshop's, and those of the recorded exchanges.
 */
#include <stdio.h>
#include <string.h>

#include "attestation/attestation_internal.h"
#include "base/file.h"
#include "tap.h"

int main(void)
{
    const char *const names[] = {
        "workshop/attestation-policy.rego",
        "workshop/resource-policy.rego",
        "vectors/ear/new-azsnp-policy.rego",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *path = tap_shared(names[i]);
        if (path == NULL)
            continue;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 4 << 20);
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 1 << 20);
        value schema = strstr(names[i], "resource") != NULL ? attestation_token_schema(&a)
                                                            : attestation_claim_schema(&a);
        struct policy p = {.rego = NULL};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(file_read(path, &b, &err), OK, &err, names[i]);
        CHECK_STATUS_ROW(policy_compile(&a, STR("default"), buf_str(&b), schema, &p, &err), OK,
                         &err, names[i]);
        if (!CHECK_ROW(p.note_count == 0, names[i]))
            printf("# %.*s\n", STR_ARG(p.notes[0]));
        CHECK_ROW(p.kind != POLICY_NOTHING || p.allow, names[i]);
        rego_policy_unref(p.rego);
    }
    return tap_done();
}
