/* tdx - Intel TDX guests with a quote and, perhaps, an event log: verifiers-intel.md 9. */
#include "eventlog/eventlog.h"
#include "verifier/tdx/td_claims.h"
#include "verifier/verifiers.h"

static const char deserialize_failed[] = "Deserialize TDX Evidence failed.";

struct tdx_run {
    struct dcap_run dcap;
    struct str quote, cc_eventlog, aa_eventlog;
    bool old_guest; /* evidence has the member aa_eventlog: guests up to v0.14 */
    struct eventlog log;
    bool has_log;
    value aael; /* claim of old dialects */
};

static void tdx_run_done(struct tdx_run *r)
{
    dcap_run_done(&r->dcap);
}

static enum status decode(struct verify *v, struct tdx_run *r)
{
    value e = v->req->evidence, quote = value_get_lit(e, "quote");
    if (!value_is_object(e))
        return verify_malformed(v, "/evidence", "object", e, deserialize_failed);
    if (value_is_string(quote) && value_str(quote).len == 0)
        return FAIL_PLAIN(v, CHECK_EVIDENCE_FORMAT, "/evidence/quote/length",
                          "TDX Quote is empty.");
    enum status st = evidence_base64(v->a, quote, BASE64_STD, QUOTE_LEN_MAX, &r->quote);
    if (st == ERR_INVALID)
        return verify_malformed(v, "/evidence/quote", "base64 text", quote, deserialize_failed);
    if (st != OK)
        return st;

    value cc = value_get_lit(e, "cc_eventlog"), aa = value_get_lit(e, "aa_eventlog");
    r->cc_eventlog = r->aa_eventlog = STR_EMPTY;
    if (value_is_defined(cc) && value_kind(cc) != VALUE_KIND_NULL) {
        st = evidence_base64(v->a, cc, BASE64_STD, EVENTLOG_LEN_MAX, &r->cc_eventlog);
        if (st == ERR_INVALID)
            return verify_malformed(v, "/evidence/cc_eventlog", "base64 text or null", cc,
                                    deserialize_failed);
        if (st != OK)
            return st;
    }
    r->old_guest = value_is_defined(aa);
    if (r->old_guest && value_kind(aa) != VALUE_KIND_NULL) {
        if (!value_is_string(aa))
            return verify_malformed(v, "/evidence/aa_eventlog", "text or null", aa,
                                    deserialize_failed);
        r->aa_eventlog = value_str(aa);
    }
    PASS(v, CHECK_EVIDENCE_FORMAT);
    return OK;
}

/* Steps 2 and 3: a field of the quote is the expected bytes, padded or cut. */
static enum status check_field(struct verify *v, struct tdx_run *r, enum check_id id,
                               const char *name, bool expected, struct str want, size_t len,
                               const char *message)
{
    if (!expected) {
        check_skipped(v->checks, id, "none is expected");
        return OK;
    }
    want = evidence_fit(v->a, want, len);
    if (want.ptr == NULL)
        return error_nomem(v->err);
    return verify_same(v, id, verify_field(v, "/evidence/quote/body/", name), want,
                       quote_field(&r->dcap.quote, name), message);
}

static enum status check_register(struct verify *v, struct tdx_run *r, uint32_t index)
{
    static const char *const names[] = {"rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"};
    struct str given = quote_field(&r->dcap.quote, names[index - 1]);
    struct digest d;
    enum status st = eventlog_replay(&r->log, index, EVENT_ALG_SHA384, &d);
    if (st != OK)
        return st;
    if (bytes_equal_ct(digest_str(&d), given))
        return OK;
    struct str x = hex_text(v->a, digest_str(&d)), y = hex_text(v->a, given);
    return FAIL(v, CHECK_EVENT_LOG, verify_field(v, "/evidence/quote/body/", names[index - 1]),
                check_hex(v->checks, digest_str(&d)), check_hex(v->checks, given),
                "TDX Verifier: Eventlog does not pass measurement replay CC Event Log Measurement "
                "Register [index = %u]. Calculated value: %.*s, Given value: %.*s",
                index, STR_ARG(x), STR_ARG(y));
}

/* The agent's text log of old guests must give RTMR 3 (attestation-service.md 14.9). */
static enum status check_aael(struct verify *v, struct tdx_run *r)
{
    if (r->aa_eventlog.len == 0)
        return OK;
    struct digest d = {.len = 0};
    struct error why = ERROR_INIT;
    enum status st = aael_parse(v->a, r->aa_eventlog, &d, &r->aael, &why);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_EVENT_LOG, "/evidence/aa_eventlog", "TDX Verifier: %s",
                          why.text);
    struct str given = quote_field(&r->dcap.quote, "rtmr_3");
    if (!bytes_equal_ct(digest_str(&d), given))
        return FAIL(v, CHECK_EVENT_LOG, "/evidence/aa_eventlog/replay",
                    check_hex(v->checks, digest_str(&d)), check_hex(v->checks, given),
                    "TDX Verifier: application event log does not give RTMR 3");
    return OK;
}

/* Of the CCEL; old guests kept the agent's events, which went to RTMR 3, in their text log. */
static uint32_t replayed_registers(const struct tdx_run *r)
{
    return r->old_guest ? 3 : 4;
}

/* Step 4.  Nothing of a log is used before its replay gives the registers. */
static enum status check_eventlogs(struct verify *v, struct tdx_run *r)
{
    r->has_log = r->cc_eventlog.len > 0;
    if (!r->has_log && r->aa_eventlog.len == 0) {
        check_skipped(v->checks, CHECK_EVENT_LOG, "the evidence has none");
        return OK;
    }
    struct error why = ERROR_INIT;
    enum status st = OK;
    if (r->has_log) {
        st = eventlog_parse(v->a, r->cc_eventlog, &r->log, &why);
        if (st == ERR_NOMEM)
            return error_nomem(v->err);
        if (st != OK)
            return FAIL_PLAIN(v, CHECK_EVENT_LOG, "/evidence/cc_eventlog",
                              "TDX Verifier: Parse CC Eventlog failed: %s", why.text);
        for (uint32_t i = 1; st == OK && i <= replayed_registers(r); i++)
            st = check_register(v, r, i);
    }
    if (st == OK)
        st = check_aael(v, r);
    if (st == OK)
        PASS(v, CHECK_EVENT_LOG);
    return st;
}

static enum status log_claims(struct verify *v, struct tdx_run *r, struct value_builder *claims)
{
    if (value_is_defined(r->aael))
        value_builder_put_str(claims, "aael", r->aael);
    if (!r->has_log)
        return OK;
    value events;
    struct error why = ERROR_INIT;
    const struct replayed replayed = {replayed_registers(r), EVENT_ALG_SHA384}; /* HARDEN as-3 */
    enum status st = eventlog_claims(v->a, &r->log, replayed, &events, &why);
    if (st == ERR_NOMEM || arena_status(v->a) != OK)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_EVENT_LOG, "/evidence/cc_eventlog/details",
                          "TDX Verifier: Parse CC Eventlog failed: %s", why.text);
    value_builder_put_str(claims, "uefi_event_logs", events);
    value_builder_put_str(claims, "ccel", eventlog_ccel(v->a, &r->log, replayed));
    return OK;
}

static enum status run(struct verify *v, struct tdx_run *r)
{
    enum status st = decode(v, r);
    if (st == OK)
        st = dcap_open(&r->dcap, r->quote, "expected TDX quote (v4/v5), got SGX quote (v3)");
    if (st == OK)
        st = dcap_verify(&r->dcap);
    if (st == OK)
        st = check_field(v, r, CHECK_REPORT_DATA, "report_data", v->req->has_report_data,
                         v->req->report_data, 64,
                         "TDX Verifier: REPORT_DATA is different from that in TDX Quote");
    if (st == OK)
        st = check_field(v, r, CHECK_INIT_DATA, "mr_config_id", v->req->has_init_data,
                         v->req->init_data, 48,
                         "TDX Verifier: MRCONFIGID is different from that in TDX Quote");
    return st == OK ? check_eventlogs(v, r) : st;
}

static enum status check_deny(struct verify *v, struct dcap_run *r)
{
    struct deny_facts f;
    if (!deny_facts_init(&f, v, "tdx"))
        return OK;
    dcap_deny_facts(r, &f);
    return deny_check(&f);
}

static enum status tdx_evaluate(struct arena *a, const struct verifier_request *req,
                                struct checks *checks, struct verifier_result *out,
                                struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    CLEANUP(tdx_run_done)
    struct tdx_run r = {.dcap = {.v = &v,
                                 .tdx = true,
                                 .quote_field = "/evidence/quote",
                                 .context = "TDX Verifier: "},
                        .aael = VALUE_UNDEFINED};
    struct dcap_run *dcap = &r.dcap;
    enum status st = run(&v, &r);
    if (st == OK)
        st = check_deny(&v, dcap);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 32);
    td_claims(dcap, &claims);
    value_builder_put_str(&claims, "report_data",
                          claim_hex(a, quote_field(&dcap->quote, "report_data")));
    value_builder_put_str(&claims, "init_data",
                          claim_hex(a, quote_field(&dcap->quote, "mr_config_id")));
    dcap_claims(dcap, &claims);
    st = log_claims(&v, &r, &claims);
    return st == OK ? verify_finish(&v, &claims, req->details ? td_details(dcap) : VALUE_UNDEFINED)
                    : st;
}

const struct verifier verifier_tdx = {
    .tee = "tdx",
    .evaluate = tdx_evaluate,
    .shape = td_shape,
    .claims = "report_data init_data aael uefi_event_logs " TD_CLAIMS DCAP_CLAIMS,
};
