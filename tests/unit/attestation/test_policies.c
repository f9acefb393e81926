/*
 * Policies that come with this program compile: the built-in ones of both eras and
 * kinds of token, and those of examples/ as an administrator would set them.  None reads
 * a claim that no verifier gives.
 */
#include <stdio.h>
#include <string.h>

#include "attestation/attestation_internal.h"
#include "base/file.h"
#include "tap.h"

static void compiles(const char *name, struct str text, bool resource)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 << 20);
    struct policy p = {.rego = NULL};
    struct error err = ERROR_INIT;
    value schema = resource ? attestation_token_schema(&a) : attestation_claim_schema(&a);
    CHECK_STATUS_ROW(policy_compile(&a, str_of(name), text, schema, &p, &err), OK, &err, name);
    if (!CHECK_ROW(p.note_count == 0, name))
        printf("# %.*s\n", STR_ARG(p.notes[0]));
    CHECK_ROW(p.kind != POLICY_NOTHING || p.allow, name);
    rego_policy_unref(p.rego);
}

static void test_builtin_policies(void)
{
    const struct {
        enum era era;
        enum token_kind kind;
    } rows[] = {{ERA_OLD, TOKEN_EAR}, {ERA_NEW, TOKEN_EAR}, {ERA_NEW, TOKEN_SIMPLE}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = 0;
        const struct builtin_policy *all = builtin_policies(rows[i].era, rows[i].kind, &n);
        CHECK(n > 0);
        for (size_t k = 0; k < n; k++)
            compiles(all[k].id, str_of(all[k].text), rows[i].kind == TOKEN_SIMPLE);
    }
}

static void test_examples(void)
{
    const char *const names[] = {
        "examples/azure-snp/attestation-policy.rego",
        "examples/azure-snp/resource-policy.rego",
        "examples/azure-snp/resource-policy-closed.rego",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 1 << 20);
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(file_read(tap_source(names[i]), &b, &err), OK, &err, names[i]);
        compiles(names[i], buf_str(&b), strstr(names[i], "resource") != NULL);
    }
}

int main(void)
{
    test_builtin_policies();
    test_examples();
    return tap_done();
}
