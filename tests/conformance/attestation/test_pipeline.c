/* Evidence of real machines through verifier, the workshop's policy and token. */
#include "../../unit/attestation/with_service.h"
#include "attestation/rest.h"

#define NOW 1761955200 /* 2025-11-01T00:00:00Z */
#define AZURE "vectors/verifiers/az-snp-vtpm/"

static struct str read_shared(struct with_service *w, const char *relative)
{
    const char *path = tap_shared(relative);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 << 20);
    struct error err = ERROR_INIT;
    if (path == NULL || !CHECK_STATUS(file_read(path, &b, &err), OK, &err))
        return STR_EMPTY;
    return arena_str(&w->a, buf_str(&b));
}

/* With the built-in anchors, as a server has them. */
static void restart(struct with_service *w, const char *config, enum era era)
{
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(with_init(w, config, era, NOW, &err), OK, &err))
        return;
    struct anchors *anchors = NULL;
    CHECK_STATUS(anchors_new(&anchors, &err), OK, &err);
    w->s->options.anchors = anchors; /* the service releases it */
}

/* PCRs of the claims as reference values; PCR 8 is another one. */
static void register_pcrs(struct with_service *w, value tpm, const char *pcr08)
{
    static const char *const names[] = {"pcr03", "pcr09", "pcr11", "pcr12"};
    struct value_builder b;
    value_builder_init(&b, &w->a, 5);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        value v = value_get_str(tpm, str_of(names[i]));
        value_builder_put_str(&b, names[i], value_array(&w->a, &v, 1));
    }
    value other = value_cstring(&w->a, pcr08);
    value_builder_put_str(&b, "pcr08", value_array(&w->a, &other, 1));
    with_values(w, with_text(w, value_object_finish(&b, VALUE_DUP_LAST, NULL)));
}

/* The main job: what a user of the operator guide sees when init data and reference value differ.
 */
static void test_workshop(void)
{
    CLEANUP(with_done) struct with_service w;
    restart(&w,
            "{\"attestation_token_broker\":{\"type\":\"Ear\",\"policy_dir\":\"%s/workshop\"},"
            "\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"type\":\"LocalJson\","
            "\"file_path\":\"%s/workshop/values.json\"}}}",
            ERA_OLD);
    struct str evidence = read_shared(&w, AZURE "v1.evidence.json");
    struct str policy = read_shared(&w, "workshop/attestation-policy.rego");
    struct str expected = read_shared(&w, AZURE "v1.expected.json");
    value want = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    if (evidence.len == 0 || policy.len == 0 || expected.len == 0)
        return;
    CHECK(json_parse(&w.a, expected, NULL, &want, NULL) == OK);
    want = value_get_lit(want, "claims");
    CHECK_STATUS(with_policy(&w, "default", policy.ptr, &err), OK, &err);
    CHECK_ROW(strstr(w.warnings, "compares PCRs of az-snp-vtpm but no launch measurement") != NULL,
              "README 12");
    register_pcrs(&w, value_get_lit(want, "tpm"), "aa");

    struct attestation_request r = {.tee = STR("azsnpvtpm"),
                                    .runtime_kind = RUNTIME_RAW,
                                    .runtime_raw = STR("challenge"),
                                    .runtime_data = VALUE_UNDEFINED,
                                    .init_claims = VALUE_UNDEFINED};
    CHECK(json_parse(&w.a, evidence, NULL, &r.evidence, NULL) == OK);
    struct checks checks;
    struct attestation_result out;
    for (int round = 0; round < 2; round++) {
        checks_init(&checks, &w.a);
        enum status st =
            attestation_evaluate(w.s, &w.a, &r, 1, NULL, 0, NOW, true, &checks, &out, &err);
        if (!CHECK_STATUS(st, OK, &err))
            return;
        value claims = value_pointer(out.claims,
                                     STR("/submods/cpu/ear.veraison.annotated-evidence/azsnpvtpm"));
        CHECK(value_equal(value_get_lit(claims, "tpm"), value_get_lit(want, "tpm")));
        CHECK(
            value_equal(value_get_lit(claims, "measurement"), value_get_lit(want, "measurement")));
        CHECK_ROW(out.unpinned_paravisor, "README 12: said in each decision");
        if (round == 0) {
            CHECK_STR(out.status, STR("warning"));
            CHECK_STR(str_of(check_name(checks.reason.check)), STR("reference-value"));
            CHECK_STR(checks.reason.field, STR("/input/azsnpvtpm/tpm/pcr08"));
            CHECK_STR(with_text(&w, checks.reason.expected), STR("[\"aa\"]"));
            CHECK_STR(
                with_text(&w, out.why.change),
                STR("[{\"op\":\"add\",\"path\":\"/reference-values/pcr08/-\",\"value\":"
                    "\"0000000000000000000000000000000000000000000000000000000000000000\"}]"));
            register_pcrs(&w, value_get_lit(want, "tpm"),
                          "0000000000000000000000000000000000000000000000000000000000000000");
        } else {
            CHECK_STR(out.status, STR("affirming"));
            CHECK(checks.reason.check == CHECK_NONE);
        }
    }

    /* A year and a day later every value has expired: all five are named, and so is the cure. */
    checks_init(&checks, &w.a);
    struct attestation_result late;
    CHECK_STATUS(attestation_evaluate(w.s, &w.a, &r, 1, NULL, 0, NOW + 366 * 86400, true, &checks,
                                      &late, &err),
                 OK, &err);
    CHECK_STR(late.status, STR("warning"));
    CHECK(value_len(late.why.expired) == 5 && value_len(late.why.change) == 5);
    CHECK_STR(str_of(check_name(checks.reason.check)), STR("reference-value-expired"));
}

/* as/MANIFEST.md, Requests: the body of upstream's end-to-end test answers with a token. */
static void test_snp_request(void)
{
    CLEANUP(with_done) struct with_service w;
    restart(&w, "{}", ERA_NEW);
    struct str evidence = read_shared(&w, "vectors/as/requests/evidence.json");
    if (evidence.len == 0)
        return;
    struct str b64 = base64_text(&w.a, evidence, BASE64_URL);
    struct rest_request r = {
        "POST", STR("/attestation"), STR("application/json; charset=utf-8"),
        arena_format(&w.a,
                     "{\"verification_requests\":[{\"tee\":\"snp\",\"evidence\":"
                     "\"%.*s\"}],\"policy_ids\":[]}",
                     STR_ARG(b64))};
    struct rest_answer out;
    rest_handle(w.s, &w.a, &r, NOW, false, &out);
    if (!CHECK(out.status == 200))
        printf("# %.*s\n", STR_ARG(out.body));
}

int main(void)
{
    test_workshop();
    test_snp_request();
    return tap_done();
}
