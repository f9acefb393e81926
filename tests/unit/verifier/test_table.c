/*
 * The table holds the verifiers that -Dverifiers names, and sample; what was
 * left out is refused in upstream's words.
 */
#include <stdio.h>

#include "verifier/verifier.h"

#include "tap.h" /* last: its CHECK is another than that of check.h */

static bool is_built(const char *tee)
{
    static const char list[] = "," VERIFIERS ",";
    char name[32];
    snprintf(name, sizeof(name), ",%s,", tee);
    return strstr(list, name) != NULL;
}

static void test_left_out(const char *tee)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result;
    struct error err = ERROR_INIT;
    const struct verifier_request req = {.evidence = VALUE_NULL, .config = VALUE_UNDEFINED};
    char want[96];
    snprintf(want, sizeof(want), "feature `%s-verifier` is not enabled for `verifier` crate.", tee);
    CHECK_ROW(verifier_run(&a, str_of(tee), &req, &checks, &result, &err) == ERR_DENIED, tee);
    CHECK_ROW(checks.reason.check == CHECK_TEE_ENABLED, tee);
    CHECK_STR_ROW(str_of(err.text), str_of(want), tee);
}

int main(void)
{
    static const struct {
        char tee[16], old[16];
    } rows[] = {
        {"az-snp-vtpm", "azsnpvtpm"},
        {"az-tdx-vtpm", "aztdxvtpm"},
        {"snp", ""},
        {"tdx", ""},
        {"sgx", ""},
        {"tpm", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct verifier *v = verifier_find(str_of(rows[i].tee));
        CHECK_ROW((v != NULL) == is_built(rows[i].tee), rows[i].tee);
        CHECK_ROW(tee_is_known(str_of(rows[i].tee)), rows[i].tee);
        if (rows[i].old[0] != '\0')
            CHECK_ROW(verifier_find(str_of(rows[i].old)) == v, rows[i].old);
        if (v == NULL)
            test_left_out(rows[i].tee);
    }
    CHECK(verifier_find(STR("sample")) != NULL && verifier_find(STR("sampledevice")) != NULL);
    return tap_done();
}
