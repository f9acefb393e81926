/*
 * Every vector of az-snp-vtpm, snp and sample gives the outcome and the claims
 * that its expected.json says.
 */
#include <stdio.h>

#include "value/json.h"
#include "vectors.h"

#include "tap.h" /* after decision/check.h, whose list has a CHECK of its own */

#define NULL_CONFIG VALUE_UNDEFINED

static const struct verifier *verifier_of(value expected)
{
    return verifier_find(value_str(value_get_lit(expected, "tee")));
}

/* One expected.json: the present behaviour, and that of the old era where it is recorded. */
static void run_expected(const char *folder, const char *stem, const struct anchors *anchors)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    char path[256];
    snprintf(path, sizeof(path), "%s/%s.expected.json", folder, stem);
    value want = vector_json(&a, path);
    snprintf(path, sizeof(path), "%s/%s.evidence.json", folder, stem);
    value evidence = value_is_defined(want) ? vector_json(&a, path) : VALUE_UNDEFINED;
    if (!value_is_defined(evidence))
        return;

    if (verifier_of(want) == NULL)
        return; /* left out of this build */
    value config;
    CHECK(json_parse(&a, STR("{\"sample_verifier\":{},\"sample_device_verifier\":{}}"), NULL,
                     &config, NULL) == OK);
    const char *tee = value_str(value_get_lit(want, "tee")).ptr;
    value report_data = value_get_lit(want, "report_data");
    value init_data = value_get_lit(want, "init_data");
    value outcome = value_get_lit(want, "result");
    if (!value_is_defined(outcome)) /* only the two eras are recorded */
        outcome = value_get_lit(value_get_lit(want, "v0_21"), "result");

    struct vector_run run;
    vector_evaluate(&a, tee, evidence, report_data, init_data, ERA_NEW, VECTOR_NOW_S, config, NULL,
                    anchors, &run);
    bool pass = str_is(value_str(outcome), "pass");
    CHECK_STATUS_ROW(run.status, pass ? OK : ERR_DENIED, &run.err, path);
    if (pass && run.status == OK) {
        CHECK_ROW(run.result.len == 1 && strcmp(run.result.items[0].tee_class, "cpu") == 0, path);
        CHECK_ROW(claims_equal(run.result.items[0].claims, value_get_lit(want, "claims"), path),
                  path);
    }
    struct str contains = value_str(value_get_lit(want, "error_contains"));
    if (!pass && contains.len > 0) {
        CHECK_ROW(strstr(run.err.text, contains.ptr) != NULL, path);
        CHECK_ROW(run.checks.reason.check != CHECK_NONE, path);
        CHECK_ROW(run.checks.reason.field.len > 0, path);
    }

    /* v0.12: an old-era configuration, claims in the form of dialect A. */
    value old = value_get_lit(want, "v0_12");
    value old_claims = value_get_lit(old, "claims");
    if (value_is_defined(value_get_lit(want, "claims_if_version_check_were_absent")))
        old_claims = value_get_lit(want, "claims_if_version_check_were_absent");
    if (!value_is_defined(old_claims))
        return;
    vector_evaluate(&a, tee, evidence, report_data, init_data, ERA_OLD, VECTOR_NOW_S, config, NULL,
                    anchors, &run);
    CHECK_STATUS_ROW(run.status, OK, &run.err, path);
    if (run.status != OK)
        return;
    value claims = run.result.items[0].claims;
    if (verifier_of(want)->shape != NULL)
        claims = verifier_of(want)->shape(&a, claims, DIALECT_A);
    CHECK_ROW(claims_contain(claims, old_claims, path), path);
}

/* Vectors that hold only under one expectation: the manifests' words. */
static void test_expectations(const struct anchors *anchors)
{
    const struct {
        const char *name, *tee, *evidence, *report_data, *init_data;
        enum check_id check;
        const char *field, *message;
    } rows[] = {
        {"az: another nonce", "az-snp-vtpm", "az-snp-vtpm/v1.evidence.json", "6368616c6c656e6766",
         NULL, CHECK_NONCE, "/evidence/tpm_quote/message/extra_data",
         "TPM quote nonce doesn't match expected report_data"},
        {"az: a zero-padded nonce is another", "az-snp-vtpm", "az-snp-vtpm/v1.evidence.json",
         "6368616c6c656e676500", NULL, CHECK_NONCE, "/evidence/tpm_quote/message/extra_data",
         "TPM quote nonce doesn't match expected report_data"},
        {"az: an empty nonce is not any nonce", "az-snp-vtpm",
         "az-snp-vtpm/milan-empty-nonce.evidence.json", "00", NULL, CHECK_NONCE,
         "/evidence/tpm_quote/message/extra_data",
         "TPM quote nonce doesn't match expected report_data"},
        {"az: no report data expected", "az-snp-vtpm", "az-snp-vtpm/v1.evidence.json", NULL, NULL,
         CHECK_REPORT_DATA, "/input/report_data", "unexpected empty report data"},
        {"az: init data that PCR 8 does not have", "azsnpvtpm", "az-snp-vtpm/v0.evidence.json",
         "6368616c6c656e6765", "0000000000000000000000000000000000000000000000000000000000000000",
         CHECK_INIT_DATA, "/evidence/quote/pcrs/8",
         "Expected init_data digest is different from the content of PCR8"},
        {"BUG ver-b1: init data of 48 bytes", "az-snp-vtpm", "az-snp-vtpm/v0.evidence.json",
         "6368616c6c656e6765",
         "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0"
         "000000",
         CHECK_INIT_DATA, "/input/init_data",
         "Expected init_data digest is different from the content of PCR8"},
        {"snp: another nonce", "snp", "snp/genoa-v3-e2e.evidence.json", "01", NULL,
         CHECK_REPORT_DATA, "/evidence/attestation_report/report_data", "Report Data Mismatch"},
        {"snp: another init data", "snp", "snp/genoa-v3-aci.evidence.json", NULL, "01",
         CHECK_INIT_DATA, "/evidence/attestation_report/host_data", "Host Data Mismatch"},
        {"sample: a zero-padded expectation", "sample", "sample/sample.evidence.json",
         "6368616c6c656e676500", NULL, CHECK_REPORT_DATA, "/evidence/report_data",
         "REPORT_DATA is different from that in Sample Quote"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (verifier_find(str_of(rows[i].tee)) == NULL)
            continue;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024 * 1024);
        value evidence = vector_json(&a, rows[i].evidence), config;
        if (!value_is_defined(evidence))
            return;
        CHECK(json_parse(&a, STR("{\"sample_verifier\":{}}"), NULL, &config, NULL) == OK);
        value report_data =
            rows[i].report_data == NULL ? VALUE_NULL : value_cstring(&a, rows[i].report_data);
        value init_data =
            rows[i].init_data == NULL ? VALUE_NULL : value_cstring(&a, rows[i].init_data);
        struct vector_run run;
        vector_evaluate(&a, rows[i].tee, evidence, report_data, init_data, ERA_NEW, VECTOR_NOW_S,
                        config, NULL, anchors, &run);
        CHECK_STATUS_ROW(run.status, ERR_DENIED, &run.err, rows[i].name);
        CHECK_ROW(run.checks.reason.check == rows[i].check, rows[i].name);
        CHECK_STR_ROW(run.checks.reason.field, str_of(rows[i].field), rows[i].name);
        CHECK_STR_ROW(run.checks.reason.message, str_of(rows[i].message), rows[i].name);
    }
}

int main(void)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return tap_done();
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(anchors_new(&anchors, &err), OK, &err))
        return tap_done();

    const struct {
        const char *folder, *stem;
    } rows[] = {
        {"az-snp-vtpm", "v0"},
        {"az-snp-vtpm", "v1"},
        {"az-snp-vtpm", "v2"},
        {"az-snp-vtpm", "milan-empty-nonce"},
        {"az-snp-vtpm", "milan-report-v2"},
        {"snp", "genoa-v3-aci"},
        {"snp", "genoa-v3-e2e"},
        {"snp", "milan-v2"},
        {"snp", "milan-v2-aci"},
        {"snp", "milan-v2-e2e-v0.12"},
        {"snp", "milan-v2-gce"},
        {"snp", "milan-v3-aci"},
        {"snp", "milan-v3-vlek-vmpl1"},
        {"snp", "turin-v5-aci"},
        {"sample", "sample"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        run_expected(rows[i].folder, rows[i].stem, anchors);
    test_expectations(anchors);
    return tap_done();
}
