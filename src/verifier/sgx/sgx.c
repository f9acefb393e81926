/* sgx - Intel SGX enclaves: verifiers-intel.md 10. */
#include "verifier/dcap/dcap.h"
#include "verifier/verifiers.h"

static const char deserialize_failed[] = "Deserialize SGX Evidence failed.";

static enum status check_field(struct verify *v, struct dcap_run *r, enum check_id id,
                               const char *name, bool expected, struct str want,
                               const char *message)
{
    if (!expected) {
        check_skipped(v->checks, id, "none is expected");
        return OK;
    }
    want = evidence_fit(v->a, want, 64);
    if (want.ptr == NULL)
        return error_nomem(v->err);
    return verify_same(v, id, verify_field(v, "/evidence/quote/body/", name), want,
                       quote_field(&r->quote, name), message);
}

static enum status run(struct verify *v, struct dcap_run *r)
{
    value e = v->req->evidence, quote = value_get_lit(e, "quote");
    struct str bytes;
    if (!value_is_object(e))
        return verify_malformed(v, "/evidence", "object", e, deserialize_failed);
    if (value_is_string(quote) && value_str(quote).len == 0)
        return FAIL_PLAIN(v, CHECK_EVIDENCE_FORMAT, "/evidence/quote/length",
                          "SGX Quote is empty.");
    enum status st = evidence_base64(v->a, quote, BASE64_STD, QUOTE_LEN_MAX, &bytes);
    if (st == ERR_INVALID)
        return verify_malformed(v, "/evidence/quote", "base64 text", quote, deserialize_failed);
    if (st != OK)
        return st;
    PASS(v, CHECK_EVIDENCE_FORMAT);

    st = dcap_open(r, bytes, "expected SGX quote (v3), got non-SGX quote");
    if (st == OK)
        st = dcap_verify(r);
    if (st == OK)
        st = check_field(v, r, CHECK_REPORT_DATA, "report_data", v->req->has_report_data,
                         v->req->report_data, "REPORT_DATA is different from that in SGX Quote");
    if (st == OK)
        st = check_field(v, r, CHECK_INIT_DATA, "config_id", v->req->has_init_data,
                         v->req->init_data, "CONFIGID is different from that in SGX Quote");
    return st;
}

static value sgx_details(struct dcap_run *r)
{
    /* Intel SDM volume 3D, "ATTRIBUTES": the flags of the enclave. */
    static const struct named_bit attributes[] = {
        {"init", 0},           {"debug", 1}, {"mode64bit", 2}, {"provision_key", 4},
        {"einittoken_key", 5}, {"cet", 6},   {"kss", 7},       {"aex_notify", 10},
    };
    struct value_builder b;
    value_builder_init(&b, r->v->a, 16);
    value_builder_put_str(
        &b, "attributes",
        dcap_bits(r->v->a, load_le64(r->quote.body.ptr + 48), attributes, ARRAY_LEN(attributes)));
    dcap_details(r, &b);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static enum status check_deny(struct verify *v, struct dcap_run *r)
{
    struct deny_facts f;
    if (!deny_facts_init(&f, v, "sgx"))
        return OK;
    dcap_deny_facts(r, &f);
    return deny_check(&f);
}

static enum status sgx_evaluate(struct arena *a, const struct verifier_request *req,
                                struct checks *checks, struct verifier_result *out,
                                struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    CLEANUP(dcap_run_done)
    struct dcap_run r = {.v = &v,
                         .quote_field = "/evidence/quote",
                         .context = "SGX Verifier: Evidence's identity verification error.: "};
    enum status st = run(&v, &r);
    if (st == OK)
        st = check_deny(&v, &r);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 32);
    value_builder_put_str(&claims, "header", dcap_header_claims(&r));
    value_builder_put_str(&claims, "body", dcap_body_claims(&r));
    value_builder_put_str(&claims, "report_data",
                          claim_hex(a, quote_field(&r.quote, "report_data")));
    value_builder_put_str(&claims, "init_data", claim_hex(a, quote_field(&r.quote, "config_id")));
    dcap_instance_claim(&r, &claims);
    dcap_claims(&r, &claims);
    return verify_finish(&v, &claims, req->details ? sgx_details(&r) : VALUE_UNDEFINED);
}

const struct verifier verifier_sgx = {
    .tee = "sgx",
    .evaluate = sgx_evaluate,
    .claims = "report_data init_data header/version header/att_key_type header/att_key_data_0 "
              "header/qe_svn header/pce_svn header/vendor_id header/user_data body/cpu_svn "
              "body/misc_select body/reserved1 body/isv_ext_prod_id body/attributes.flags "
              "body/attributes.xfrm body/mr_enclave body/reserved2 body/mr_signer body/reserved3 "
              "body/config_id body/isv_prod_id body/isv_svn body/config_svn body/reserved4 "
              "body/isv_family_id body/report_data " DCAP_CLAIMS,
};
