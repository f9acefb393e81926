/* Trust vectors (9) and the claims object (6.5, S5). */
#include "attestation/attestation_internal.h"
#include "tap.h"
#include "value/json.h"

static void test_tiers(void)
{
    const struct {
        int8_t value;
        const char *tier;
    } rows[] = {
        {-128, "contraindicated"},
        {-97, "contraindicated"},
        {-96, "warning"},
        {-33, "warning"},
        {-32, "affirming"},
        {-2, "affirming"},
        {-1, "none"},
        {0, "none"},
        {1, "none"},
        {2, "affirming"},
        {31, "affirming"},
        {32, "warning"},
        {95, "warning"},
        {96, "contraindicated"},
        {127, "contraindicated"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_STR_ROW(str_of(tier_name(trust_claim_tier(rows[i].value))), str_of(rows[i].tier),
                      rows[i].tier);

    struct trust_vector v = {.claim = {99}, .set = 0};
    CHECK(trust_vector_tier(&v) == TIER_NONE); /* an unset claim counts as 0 */
    v.set = 1;
    CHECK(trust_vector_tier(&v) == TIER_CONTRAINDICATED);
    CHECK(trust_claim_find(STR("file-system")) == 3 && trust_claim_find(STR("file_system")) == -1);
}

static value reversed(struct arena *a, value claims, enum dialect dialect)
{
    return dialect == DIALECT_A ? value_object_with(a, claims, value_cstring(a, "old"), VALUE_TRUE)
                                : claims;
}

static void test_build(void)
{
    static const struct verifier plain = {.tee = "tee"};
    static const struct verifier azure = {.tee = "new-tee", .old_tee = "newtee", .shape = reversed};
    const struct {
        const char *name;
        const struct verifier *verifier;
        const char *claims, *runtime;
        enum dialect dialect;
        enum era era;
        bool verbose;
        const char *want, *alias; /* want NULL: refused; alias NULL: the same */
    } rows[] = {
        {"nothing reported, nothing told", &plain, "{\"a\":1}", "{\"n\":1}", DIALECT_D, ERA_NEW,
         true, "{\"tee\":{\"a\":1}}", NULL},
        {"report data moves up", &plain, "{\"report_data\":\"r\",\"a\":1}", "{\"n\":1}", DIALECT_D,
         ERA_NEW, true,
         "{\"report_data\":\"r\",\"runtime_data_claims\":{\"n\":1},\"tee\":{\"a\":1}}", NULL},
        {"init data moves up", &plain, "{\"init_data\":\"i\"}", "null", DIALECT_D, ERA_NEW, true,
         "{\"init_data\":\"i\",\"init_data_claims\":null,\"tee\":{}}", NULL},
        {"verbose_token = false", &plain, "{\"report_data\":\"r\"}",
         "{\"additional-evidence\":\"x\",\"n\":1}", DIALECT_D, ERA_NEW, false,
         "{\"report_data\":\"r\",\"runtime_data_claims\":{\"n\":1},\"tee\":{}}", NULL},
        {"report data that is no string", &plain, "{\"report_data\":1}", "null", DIALECT_D, ERA_NEW,
         true, NULL, NULL},
        {"an integer beyond 64 bits", &plain, "{\"a\":9223372036854775808}", "null", DIALECT_D,
         ERA_NEW, true, NULL, NULL},
        {"the largest", &plain, "{\"a\":9223372036854775807}", "null", DIALECT_D, ERA_NEW, true,
         "{\"tee\":{\"a\":9223372036854775807}}", NULL},
        {"a double is fine", &plain, "{\"a\":1e300}", "null", DIALECT_D, ERA_NEW, true,
         "{\"tee\":{\"a\":1e300}}", NULL},
        {"claims that are no object", &plain, "[]", "null", DIALECT_D, ERA_NEW, true, NULL, NULL},
        {"Azure, new", &azure, "{\"a\":1}", "null", DIALECT_D, ERA_NEW, true,
         "{\"new-tee\":{\"a\":1}}", "{\"new-tee\":{\"a\":1},\"newtee\":{\"a\":1}}"},
        {"Azure, old, in the dialect's shape", &azure, "{\"a\":1}", "null", DIALECT_A, ERA_OLD,
         true, "{\"newtee\":{\"a\":1,\"old\":true}}",
         "{\"new-tee\":{\"a\":1,\"old\":true},\"newtee\":{\"a\":1,\"old\":true}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct evidence_claims e = {
            .verifier = rows[i].verifier, .tee_class = "cpu", .init_claims = VALUE_NULL};
        CHECK(json_parse(&a, str_of(rows[i].claims), NULL, &e.claims, NULL) == OK);
        CHECK(json_parse(&a, str_of(rows[i].runtime), NULL, &e.runtime_claims, NULL) == OK);
        value got;
        struct error err = ERROR_INIT;
        enum status st = claims_build(&a, &e, rows[i].dialect, claims_key(e.verifier, rows[i].era),
                                      rows[i].verbose, &got, &err);
        CHECK_STATUS_ROW(st, rows[i].want == NULL ? ERR_INVALID : OK, &err, rows[i].name);
        if (st != OK)
            continue;
        CHECK_STR_ROW(json_text(&a, got, JSON_COMPACT), str_of(rows[i].want), rows[i].name);
        value input = claims_for_policy(&a, &e, rows[i].era, got);
        CHECK_STR_ROW(json_text(&a, input, JSON_COMPACT),
                      str_of(rows[i].alias == NULL ? rows[i].want : rows[i].alias), rows[i].name);

        /* Details stand beside the claims, for policies only. */
        const value details = value_array(&a, NULL, 0);
        e.details = &details;
        input = claims_for_policy(&a, &e, rows[i].era, got);
        CHECK_ROW(value_is_array(value_get_lit(input, "claviger")), rows[i].name);
        CHECK_ROW(!value_is_defined(value_get_lit(got, "claviger")), rows[i].name);
    }
}

int main(void)
{
    test_tiers();
    test_build();
    return tap_done();
}
