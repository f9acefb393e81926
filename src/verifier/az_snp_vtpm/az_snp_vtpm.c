/*
 * az-snp-vtpm - Azure confidential VMs on AMD SEV-SNP: verifiers-azure-vtpm.md 5.
 *
 * The order of steps is upstream's, so that tampered evidence fails where it
 * fails there; checks of ours stand where they change no such outcome.
 */
#include "verifier/az_vtpm/az_vtpm.h"
#include "verifier/snp/vek.h"
#include "verifier/verifiers.h"

static const struct az_machine machine = {
    .type = HCL_SNP,
    .undecodable = "Failed to deserialize Azure vTPM SEV-SNP evidence",
    .v0_quote = "quote",
    .v0_report = "report",
    .v0_extra = "vcek",
    .extra = "vcek",
    .v0_extra_is_text = true,
};

/* Step 8: the report decodes, and its data is the digest of the variable data. */
static enum status check_report(struct az_run *az, struct snp_run *snp)
{
    struct verify *v = az->v;
    enum status st = snp_report_parse(az->hcl.hardware, &snp->report);
    if (st != OK) /* hcl_parse() gave all of its bytes */
        return FAIL_PLAIN(v, CHECK_REPORT_FORMAT, az->hardware_field, "invalid report type");
    PASS(v, CHECK_REPORT_FORMAT);
    st = snp_check_reserved(snp, "invalid report type");
    if (st == OK)
        st = az_check_variable_data(az, verify_field(v, az->hardware_field, "/report_data"),
                                    snp->report.report_data,
                                    "HCL variable data digest doesn't match SNP report data");
    return st == OK ? az_check_user_data(az) : st;
}

/* Steps 10 to 16: VCEK, generation, chain, TCB, signature, VMPL. */
static enum status check_hardware(struct az_run *az, struct snp_run *snp)
{
    enum status st = snp_vek_parse(snp, az->extra, az->version == 0,
                                   az->version == 0 ? "Invalid VCEK PEM" : "Invalid VCEK DER");
    if (st == OK)
        st = snp_check_generation(snp, NULL);
    if (st != OK)
        return st;

    /* Only the ASK, never the ASVK: a VLEK has no place on Azure. */
    snp->kind = VEK_VCEK;
    st = snp_check_issuer(snp, "Failed to validate VCEK");
    if (st == OK)
        st = snp_check_dates(snp);
    if (st == OK)
        st = snp_check_revocation(snp, snp->issuer->serial);
    if (st == OK)
        st = snp_check_tcb(snp);
    if (st == OK)
        st = snp_check_signature(snp, "Signature validation failed.");
    if (st == OK)
        st = snp_check_algorithm(snp);
    if (st == OK)
        st = snp_check_chip_id(snp);
    return st == OK ? snp_check_vmpl(snp, "VMPL of SNP report is not 0") : st;
}

/* 5.1: the same in every version and dialect, all values strings. */
static void report_claims(struct arena *a, const struct snp_report *r, struct value_builder *b)
{
    snp_report_claims(a, r, true, b);
    value_builder_put_str(b, "measurement", claim_base64(a, r->measurement));
}

static enum status run(struct az_run *az, struct snp_run *snp)
{
    struct verify *v = az->v;
    enum status st = az_open(az);
    if (st != OK)
        return st;
    snp->report_field = az->hardware_field;
    snp->vek_field = az->extra_field;

    st = az_check_quote(az);
    if (st == OK)
        st = check_report(az, snp);
    if (st == OK)
        st = check_hardware(az, snp);
    if (st == OK) {
        const struct str names[] = {snp->report.measurement, snp->report.id_key_digest};
        st = az_check_paravisor(az, verify_field(v, az->hardware_field, "/measurement"), names, 2);
    }
    return st == OK ? az_check_init_data(az) : st;
}

static enum status check_deny(struct az_run *az, struct snp_run *snp)
{
    struct deny_facts f;
    if (!deny_facts_init(&f, az->v, "az-snp-vtpm"))
        return OK;
    az_deny_facts(az, &f);
    snp_deny_facts(snp, &f);
    return deny_check(&f);
}

static enum status az_snp_evaluate(struct arena *a, const struct verifier_request *req,
                                   struct checks *checks, struct verifier_result *out,
                                   struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    struct az_run az = {.v = &v, .machine = &machine};
    CLEANUP(snp_run_done) struct snp_run snp = {.v = &v, .tcb_context = ""};
    enum status st = run(&az, &snp);
    if (st == OK)
        st = check_deny(&az, &snp);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 20);
    report_claims(a, &snp.report, &claims);
    az_claims(&az, &claims);
    snp_revocation_claim(&snp, &claims);
    return verify_finish(&v, &claims, req->details ? snp_details(&snp) : VALUE_UNDEFINED);
}

const struct verifier verifier_az_snp_vtpm = {
    .tee = "az-snp-vtpm",
    .old_tee = "azsnpvtpm",
    .evaluate = az_snp_evaluate,
    .claims = "measurement " SNP_REPORT_CLAIMS AZ_CLAIMS,
};
