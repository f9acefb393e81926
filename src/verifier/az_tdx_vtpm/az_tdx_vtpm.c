/* az-tdx-vtpm - Azure confidential VMs on Intel TDX: verifiers-azure-vtpm.md 6. */
#include "verifier/az_vtpm/az_vtpm.h"
#include "verifier/tdx/td_claims.h"
#include "verifier/verifiers.h"

static const struct az_machine machine = {
    .type = HCL_TDX,
    .undecodable = "Failed to deserialize Azure vTPM TDX evidence",
    .v0_quote = "tpm_quote",
    .v0_report = "hcl_report",
    .v0_extra = "td_quote",
    .extra = "td_quote",
};

static enum status run(struct az_run *az, struct dcap_run *r)
{
    struct verify *v = az->v;
    enum status st = az_open(az);
    if (st == OK)
        st = az_check_quote(az);
    if (st != OK)
        return st;

    r->quote_field = az->extra_field;
    st = dcap_open(r, az->extra, "expected TDX quote (v4/v5), got SGX quote (v3)");
    if (st == OK)
        st = dcap_verify(r);
    if (st == OK)
        st = az_check_variable_data(az, verify_field(v, az->extra_field, "/body/report_data"),
                                    quote_field(&r->quote, "report_data"),
                                    "TDX Quote report data mismatch");
    if (st == OK)
        st = az_check_user_data(az);
    if (st == OK) {
        const struct str names[] = {quote_field(&r->quote, "mr_td")};
        st = az_check_paravisor(az, verify_field(v, az->extra_field, "/body/mr_td"), names, 1);
    }
    return st == OK ? az_check_init_data(az) : st;
}

static enum status check_deny(struct az_run *az, struct dcap_run *r)
{
    struct deny_facts f;
    if (!deny_facts_init(&f, az->v, "az-tdx-vtpm"))
        return OK;
    az_deny_facts(az, &f);
    dcap_deny_facts(r, &f);
    return deny_check(&f);
}

static enum status az_tdx_evaluate(struct arena *a, const struct verifier_request *req,
                                   struct checks *checks, struct verifier_result *out,
                                   struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    struct az_run az = {.v = &v, .machine = &machine};
    CLEANUP(dcap_run_done)
    struct dcap_run r = {.v = &v, .tdx = true, .quote_field = "/evidence/td_quote", .context = ""};
    enum status st = run(&az, &r);
    if (st == OK)
        st = check_deny(&az, &r);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 32);
    td_claims(&r, &claims);
    az_claims(&az, &claims); /* report_data is the nonce, init_data PCR 8 */
    dcap_claims(&r, &claims);
    return verify_finish(&v, &claims, req->details ? td_details(&r) : VALUE_UNDEFINED);
}

const struct verifier verifier_az_tdx_vtpm = {
    .tee = "az-tdx-vtpm",
    .old_tee = "aztdxvtpm",
    .evaluate = az_tdx_evaluate,
    .shape = td_shape,
    .claims = TD_CLAIMS DCAP_CLAIMS AZ_CLAIMS,
};
