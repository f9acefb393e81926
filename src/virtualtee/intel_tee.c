#include "virtualtee/intel_tee.h"

#include "base/encode.h"
#include "value/json.h"

#define JSON_MAX EVIDENCE_MAX

/* ---- tdx and sgx ---- */

static void tdx_init(void *m)
{
    intel_machine_init(&((struct intel_tee *)m)->intel, true);
}

static void sgx_init(void *m)
{
    intel_machine_init(&((struct intel_tee *)m)->intel, false);
}

static void nothing(void *m)
{
    (void)m;
}

static size_t fields_tdx(struct field_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct field_table){tdx_fields, tdx_field_count, 0};
    out[1] = (struct field_table){intel_fields, intel_field_count, 0};
    return 2;
}

static size_t fields_sgx(struct field_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct field_table){sgx_fields, sgx_field_count, 0};
    out[1] = (struct field_table){intel_fields, intel_field_count, 0};
    return 2;
}

static size_t faults_tdx(struct fault_table out[MACHINE_TABLES_MAX])
{
    return intel_tee_faults(true, out);
}

static size_t faults_sgx(struct fault_table out[MACHINE_TABLES_MAX])
{
    return intel_tee_faults(false, out);
}

/* MRCONFIGID, 48 bytes; CONFIGID, 64: padded or cut (guest-initdata.md 4). */
static void init_data(void *m, struct str digest)
{
    struct intel_machine *i = &((struct intel_tee *)m)->intel;
    uint8_t *at = i->body + (i->tdx ? 184 : 192);
    size_t len = i->tdx ? 48 : 64;
    memset(at, 0, len);
    memcpy(at, digest.ptr, digest.len < len ? digest.len : len);
}

static void set_event_log(void *m, struct str log, const struct digest rtmrs[MACHINE_RTMRS])
{
    struct intel_tee *t = m;
    t->event_log = log;
    for (size_t i = 0; i < MACHINE_RTMRS; i++)
        memcpy(t->intel.body + 328 + 48 * i, rtmrs[i].bytes, 48);
}

static STATUS write_json(struct intel_tee_build *b, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    CLEANUP(buf_done) struct buf log;
    buf_init(&text, JSON_MAX);
    buf_init(&log, JSON_MAX);
    base64_write(&text, buf_str(&b->q.quote), BASE64_STD);
    base64_write(&log, b->event_log, BASE64_STD);
    struct json_writer w;
    json_begin(&w, &b->json);
    json_object_begin(&w);
    json_key(&w, "quote");
    json_string(&w, buf_str(&text));
    if (b->q.m.tdx) {
        json_key(&w, "cc_eventlog");
        if (b->event_log.ptr == NULL)
            json_null(&w);
        else
            json_string(&w, buf_str(&log));
    }
    json_object_end(&w);
    enum status st = text.failed != OK ? text.failed : log.failed;
    st = st != OK ? st : json_finish(&w);
    if (st != OK)
        error_set(err, "could not write the evidence: %s", status_name(st));
    return st;
}

static enum status evidence(void *m, struct pki *p, const struct fault *fault,
                            struct str report_data, struct buf *out, struct error *err)
{
    struct intel_tee_build b = {.event_log = ((struct intel_tee *)m)->event_log};
    intel_build_init(&b.q, &((struct intel_tee *)m)->intel);
    buf_init(&b.json, JSON_MAX);
    enum status st = intel_build_quote(&b.q, p, report_data, fault, &b, err);
    if (st == OK)
        st = write_json(&b, err);
    if (st == OK) {
        fault_strike(fault, FAULT_MEMBERS, &b);
        buf_add(out, buf_str(&b.json));
        st = buf_status(out);
    }
    intel_build_done(&b.q);
    buf_done(&b.json);
    return st;
}

const struct machine_kind tdx_kind = {
    .tee = "tdx",
    .needs_pki = true,
    .size = sizeof(struct intel_tee),
    .init = tdx_init,
    .done = nothing,
    .fields = fields_tdx,
    .faults = faults_tdx,
    .set_init_data = init_data,
    .set_event_log = set_event_log,
    .evidence = evidence,
};

const struct machine_kind sgx_kind = {
    .tee = "sgx",
    .needs_pki = true,
    .size = sizeof(struct intel_tee),
    .init = sgx_init,
    .done = nothing,
    .fields = fields_sgx,
    .faults = faults_sgx,
    .set_init_data = init_data,
    .evidence = evidence,
};

/* ---- az-tdx-vtpm ---- */

static const struct azure_names names = {
    .quote_v0 = "tpm_quote",
    .hcl_v0 = "hcl_report",
    .endorsement = "td_quote",
};

static void az_init(void *m)
{
    struct azure_tdx *a = m;
    azure_vtpm_init(&a->vtpm);
    a->vtpm.hcl_report_type = HCL_TYPE_TDX;
    a->vtpm.user_data_upper = false;
    intel_machine_init(&a->intel, true);
    a->intel.padding = 70; /* as Azure's quotes have */
}

static size_t az_fields(struct field_table out[MACHINE_TABLES_MAX])
{
    const size_t intel = offsetof(struct azure_tdx, intel);
    out[0] = (struct field_table){azure_vtpm_fields, azure_vtpm_field_count,
                                  offsetof(struct azure_tdx, vtpm)};
    out[1] = (struct field_table){tpm_fields, tpm_field_count, offsetof(struct azure_tdx, vtpm)};
    out[2] = (struct field_table){tdx_fields, tdx_field_count, intel};
    out[3] = (struct field_table){intel_fields, intel_field_count, intel};
    return 4;
}

static void az_init_data(void *m, struct str digest)
{
    azure_vtpm_extend(&((struct azure_tdx *)m)->vtpm, 8, digest);
}

static uint8_t (*az_pcrs(void *m))[32]
{
    return ((struct azure_tdx *)m)->vtpm.pcrs;
}

/*
 * TDREPORT in place of the hardware report: REPORTMACSTRUCT with the report data
 * at offset 128, then the TD's info.  Only its report data is of any use to a
 * verifier; the MAC is the CPU's own affair.
 */
static void write_tdreport(struct azure_build *az, const struct intel_machine *m,
                           const struct digest *data)
{
    memset(az->hardware, 0, sizeof(az->hardware));
    az->hardware[0] = 0x81; /* REPORTTYPE: TDX */
    memcpy(az->hardware + 128, data->bytes, data->len);
    memcpy(az->hardware + 256, m->body, 16);            /* TEE_TCB_INFO: SVN */
    memcpy(az->hardware + 512, m->body + 120, 8);       /* TDINFO: attributes */
    memcpy(az->hardware + 512 + 16, m->body + 136, 48); /* MRTD */
}

static STATUS az_build(struct azure_tdx_build *b, struct pki *p, const struct fault *fault,
                       struct buf *out, struct error *err)
{
    struct azure_build *az = &b->az;
    fault_strike(fault, FAULT_MACHINE, b);
    enum status st = azure_build_variable_data(az, err);
    if (st != OK)
        return st;

    fault_strike(fault, FAULT_VARIABLE_DATA, b);
    struct digest d;
    azure_variable_data_digest(az, &d);
    write_tdreport(az, &b->q.m, &d);
    st = azure_build_hcl(az, err);
    if (st == OK)
        fault_strike(fault, FAULT_HCL, b);
    if (st == OK)
        st = intel_build_quote(&b->q, p, digest_str(&d), NULL, b, err);
    if (st == OK) {
        buf_add(&az->endorsement, buf_str(&b->q.quote));
        st = azure_build_quote(az, err);
    }
    if (st != OK)
        return st;

    fault_strike(fault, FAULT_QUOTE, b);
    st = azure_sign_quote(az, err);
    if (st != OK)
        return st;
    fault_strike(fault, FAULT_PARTS, b);
    st = azure_build_members(az, err);
    if (st != OK)
        return st;
    fault_strike(fault, FAULT_MEMBERS, b);
    return azure_write_evidence(az, out, err);
}

static enum status az_evidence(void *m, struct pki *p, const struct fault *fault,
                               struct str report_data, struct buf *out, struct error *err)
{
    struct azure_tdx *a = m;
    struct azure_tdx_build b = {.az = {.names = NULL}};
    intel_build_init(&b.q, &a->intel);
    azure_build_init(&b.az, &names, &a->vtpm, p, report_data);
    uint8_t *version = &b.az.vtpm.evidence_version;
    if (fault != NULL && *version < fault->min_version)
        *version = fault->min_version;
    enum status st = az_build(&b, p, fault, out, err);
    intel_build_done(&b.q);
    azure_build_done(&b.az);
    return st;
}

const struct machine_kind azure_tdx_kind = {
    .tee = "az-tdx-vtpm",
    .old_tee = "aztdxvtpm",
    .needs_pki = true,
    .size = sizeof(struct azure_tdx),
    .init = az_init,
    .done = nothing,
    .fields = az_fields,
    .faults = azure_tdx_faults,
    .has_version = true,
    .version_offset =
        offsetof(struct azure_tdx, vtpm) + offsetof(struct azure_vtpm, evidence_version),
    .set_init_data = az_init_data,
    .pcrs = az_pcrs,
    .evidence = az_evidence,
};
