/*
 * sample - evidence that anybody can make, for tests and first steps
 * (verifiers.md 4).  Off unless verifier_config names it (spec/README.md 6).
 */
#include "verifier/verifier_internal.h"
#include "verifier/verifiers.h"

#define SAMPLE_REPORT_DATA_MAX 4096

/* `svn` and `report_data` as received; the decoded report data is compared without padding. */
static enum status check_evidence(struct verify *v, struct str *svn, struct str *report_data)
{
    value evidence = v->req->evidence;
    const char *message = "Deserialize Quote failed.";
    value svn_member = value_get_lit(evidence, "svn");
    value data = value_get_lit(evidence, "report_data");
    if (!value_is_string(svn_member))
        return verify_malformed(v, "/evidence/svn", "string", svn_member, message);
    if (value_is_defined(data) && !value_is_string(data))
        return verify_malformed(v, "/evidence/report_data", "string", data, message);
    PASS(v, CHECK_EVIDENCE_FORMAT);
    *svn = value_str(svn_member);
    *report_data = value_str(data);

    if (!v->req->has_report_data) {
        check_skipped(v->checks, CHECK_REPORT_DATA, "no report data is expected");
        return OK;
    }
    struct str actual = STR_EMPTY;
    enum status st = value_is_defined(data)
                         ? evidence_base64(v->a, data, BASE64_STD, SAMPLE_REPORT_DATA_MAX, &actual)
                         : OK;
    if (st == ERR_INVALID)
        return FAIL_PLAIN(v, CHECK_EVIDENCE_FORMAT, "/evidence/report_data",
                          "base64 decode report data for sample evidence");
    if (st != OK)
        return st;
    return verify_same(v, CHECK_REPORT_DATA, "/evidence/report_data", v->req->report_data, actual,
                       "REPORT_DATA is different from that in Sample Quote");
}

static enum status sample_evaluate(struct arena *a, const struct verifier_request *req,
                                   struct checks *checks, struct verifier_result *out,
                                   struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    struct str svn, report_data;
    enum status st = check_evidence(&v, &svn, &report_data);
    if (st != OK)
        return st;

    struct value_builder version, claims;
    value_builder_init(&version, a, 2);
    value_builder_put_str(&version, "major", value_small_int(1));
    value_builder_put_str(&version, "minor", value_small_int(4));
    value_builder_init(&claims, a, 6);
    value_builder_put_str(&claims, "svn", value_string(a, svn));
    value_builder_put_str(&claims, "report_data", value_string(a, report_data));
    value_builder_put_str(&claims, "launch_digest", value_cstring(a, "abcde"));
    value_builder_put_str(&claims, "platform_version",
                          value_object_finish(&version, VALUE_DUP_LAST, NULL));
    value_builder_put_str(&claims, "debug", VALUE_FALSE);
    if (req->has_init_data) {
        check_skipped(checks, CHECK_INIT_DATA, "sample evidence binds no init data");
        value_builder_put_str(&claims, "init_data", claim_base64(a, req->init_data));
    }
    return verify_finish(&v, &claims, VALUE_UNDEFINED);
}

static enum status device_evaluate(struct arena *a, const struct verifier_request *req,
                                   struct checks *checks, struct verifier_result *out,
                                   struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    struct str svn, report_data;
    enum status st = check_evidence(&v, &svn, &report_data);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 2);
    value_builder_put_str(&claims, "svn", value_string(a, svn));
    value_builder_put_str(&claims, "report_data", value_string(a, report_data));
    st = verify_finish(&v, &claims, VALUE_UNDEFINED);
    if (st == OK)
        out->items[0].tee_class = "gpu";
    return st;
}

const struct verifier verifier_sample = {
    .tee = "sample",
    .needs_config = "sample_verifier",
    .claims = "svn report_data init_data launch_digest debug platform_version/major "
              "platform_version/minor ",
    .evaluate = sample_evaluate,
};

const struct verifier verifier_sample_device = {
    .tee = "sampledevice",
    .device = true,
    .needs_config = "sample_device_verifier",
    .claims = "svn report_data ",
    .evaluate = device_evaluate,
};
