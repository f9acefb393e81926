#include "virtualtee/azure_snp.h"

static const struct azure_names names = {
    .quote_v0 = "quote",
    .hcl_v0 = "report",
    .endorsement = "vcek",
    .endorsement_is_text_v0 = true,
};

void azure_snp_init(struct azure_snp *m)
{
    *m = (struct azure_snp){.vcek = {.cert = NULL}};
    azure_vtpm_init(&m->vtpm);
    amd_machine_init(&m->amd);
}

void azure_snp_done(struct azure_snp *m)
{
    vek_cache_done(&m->vcek);
}

/* The steps of one piece of evidence; a fault strikes before the one that it names. */
struct run {
    struct azure_snp_build b;
    struct azure_snp *m;
    struct pki *pki;
    const struct fault *fault;
    struct error *err;
};

static void strike(struct run *r, enum fault_stage stage)
{
    fault_strike(r->fault, stage, &r->b);
}

static STATUS run_report(struct run *r)
{
    struct amd_build *hw = &r->b.hw;
    strike(r, FAULT_MACHINE);
    amd_build_choose(hw, r->pki);
    enum status st = azure_build_variable_data(&r->b.az, r->err);
    if (st != OK)
        return st;

    strike(r, FAULT_VARIABLE_DATA);
    struct digest d;
    azure_variable_data_digest(&r->b.az, &d);
    memset(hw->amd.report.report_data, 0, sizeof(hw->amd.report.report_data));
    memcpy(hw->amd.report.report_data, d.bytes, d.len);
    st = amd_build_report(hw, &r->m->report, r->fault, r->err);
    if (st != OK)
        return st;

    memcpy(r->b.az.hardware, hw->report, AMD_REPORT_LEN);
    strike(r, FAULT_SIGNED_REPORT);
    st = azure_build_hcl(&r->b.az, r->err);
    if (st == OK)
        strike(r, FAULT_HCL);
    return st;
}

/* The certificate: text in version 0, as Azure's metadata service has it, else DER. */
static STATUS run_vek(struct run *r)
{
    strike(r, FAULT_VEK);
    struct cert *vcek = NULL;
    enum status st = vek_cache_get(&r->m->vcek, r->pki, &r->b.hw.vek, &vcek, r->err);
    if (st != OK)
        return st;

    struct buf *out = &r->b.az.endorsement;
    if (r->b.az.vtpm.evidence_version == 0) {
        st = cert_to_pem(vcek, out);
    } else {
        buf_add(out, cert_der(vcek));
        st = buf_status(out);
    }
    if (st != OK)
        error_set(r->err, "could not write the VCEK: %s", status_name(st));
    return st;
}

static STATUS run_quote(struct run *r, struct buf *out)
{
    enum status st = azure_build_quote(&r->b.az, r->err);
    if (st != OK)
        return st;

    strike(r, FAULT_QUOTE);
    st = azure_sign_quote(&r->b.az, r->err);
    if (st != OK)
        return st;

    strike(r, FAULT_PARTS);
    st = azure_build_members(&r->b.az, r->err);
    if (st != OK)
        return st;

    strike(r, FAULT_MEMBERS);
    return azure_write_evidence(&r->b.az, out, r->err);
}

STATUS azure_snp_endorse(struct azure_snp *m, struct pki *p, const struct pubkey *ak,
                         struct buf *hcl, struct cert **vcek, struct error *err)
{
    struct run r = {.m = m, .pki = p, .err = err};
    azure_build_init(&r.b.az, &names, &m->vtpm, p, STR_EMPTY);
    r.b.az.ak_public = ak;
    r.b.hw.amd = m->amd;
    enum status st = run_report(&r);
    struct cert *cert = NULL;
    if (st == OK)
        st = vek_cache_get(&m->vcek, p, &r.b.hw.vek, &cert, err);
    if (st == OK) {
        buf_add(hcl, buf_str(&r.b.az.hcl));
        st = buf_status(hcl);
        *vcek = cert_ref(cert);
    }
    azure_build_done(&r.b.az);
    return st;
}

STATUS azure_snp_evidence(struct azure_snp *m, struct pki *p, const struct fault *fault,
                          struct str report_data, struct buf *out, struct error *err)
{
    struct run r = {.m = m, .pki = p, .fault = fault, .err = err};
    azure_build_init(&r.b.az, &names, &m->vtpm, p, report_data);
    r.b.hw.amd = m->amd;
    uint8_t *version = &r.b.az.vtpm.evidence_version;
    if (fault != NULL && *version < fault->min_version)
        *version = fault->min_version;
    if (*version > 2) {
        error_set(err, "there is no evidence version %u", *version);
        return ERR_UNSUPPORTED;
    }

    enum status st = run_report(&r);
    if (st == OK)
        st = run_vek(&r);
    if (st == OK)
        st = run_quote(&r, out);
    azure_build_done(&r.b.az);
    return st;
}
