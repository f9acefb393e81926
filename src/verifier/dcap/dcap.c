#include "verifier/dcap/dcap.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "verifier/verifier_cache.h"

/* Texts of upstream's quote verification crate for the library's codes (section 6). */
static const struct {
    enum qvl_code code;
    const char *text;
} descriptions[] = {
    {QVL_UNEXPECTED, "An unexpected internal error occurred."},
    {QVL_QE_REPORT, "The signature over the QE Report is invalid."},
    {QVL_PCK_CHAIN,
     "There was an error verifying the PCK certificate signature chain including PCK "
     "certificate revocation."},
    {QVL_TCB_INFO_FORMAT, "The format of the TCBInfo structure is unsupported."},
    {QVL_FMSPC, "PCK certificate FMSPc does not match the TCBInfo FMSPc."},
    {QVL_IDENTITY_FORMAT, "The format of the QEIdentity structure is unsupported."},
    {QVL_QE_IDENTITY, "The Quote\u2019s QE doesn\u2019t match the inputted expected QEIdentity."},
    {QVL_PCK_REVOKED, "PCK is revoked."},
    {QVL_IDENTITY_CHAIN, "There was an error verifying the QEIdentity signature chain including "
                         "QEIdentity revocation."},
    {QVL_TCB_INFO_CHAIN, "There was an error verifying the TCBInfo signature chain including "
                         "TCBInfo revocation."},
    {QVL_TDX_MODULE, "TDX SEAM module identity is NOT match to Intel signed TDX SEAM module."},
    {QVL_TCB_UNKNOWN, "Current TCB level cannot be found in platform/enclave TCB info."},
    {QVL_SIGNATURE, "Invalid signature during quote verification."},
};

STATUS dcap_fail(struct dcap_run *r, enum check_id id, const char *field, enum qvl_code code,
                 value expected, value actual)
{
    const char *text = "";
    for (size_t i = 0; i < ARRAY_LEN(descriptions); i++)
        if (descriptions[i].code == code)
            text = descriptions[i].text;
    return FAIL(r->v, id, field, expected, actual, "%stee_verify_quote failed: 0x%04x - %s",
                r->context, (unsigned)code, text);
}

static const char *field(struct dcap_run *r, const char *rest)
{
    return verify_field(r->v, r->quote_field, rest);
}

static enum status fail_bytes(struct dcap_run *r, enum check_id id, const char *rest,
                              enum qvl_code code, struct str expected, struct str actual)
{
    return dcap_fail(r, id, field(r, rest), code, check_hex(r->v->checks, expected),
                     check_hex(r->v->checks, actual));
}

STATUS dcap_open(struct dcap_run *r, struct str quote, const char *wrong_kind)
{
    struct quote_fault fault = {.field = ""};
    if (dcap_quote_parse(quote, &r->quote, &fault) != OK)
        return FAIL_PLAIN(r->v, CHECK_QUOTE_FORMAT, field(r, fault.field), "%s%s", r->context,
                          fault.message);
    if ((r->quote.kind != QUOTE_SGX) != r->tdx)
        return FAIL(r->v, CHECK_QUOTE_FORMAT, field(r, "/header"), VALUE_UNDEFINED,
                    value_small_int(r->quote.version), "%s%s", r->context, wrong_kind);
    PASS(r->v, CHECK_QUOTE_FORMAT);
    return OK;
}

/* ---- steps 3 to 5 ---- */

static enum status check_revocation(struct dcap_run *r)
{
    const struct pck_chain *p = r->pck;
    if (crl_revokes(r->endorsed->root_crl, cert_serial(p->certs[1])))
        return fail_bytes(r, CHECK_REVOCATION, "/signature/pck_chain/1", QVL_PCK_CHAIN, STR_EMPTY,
                          cert_serial(p->certs[1]));
    if (crl_revokes(r->endorsed->pck_crl, cert_serial(p->certs[0])))
        return fail_bytes(r, CHECK_REVOCATION, "/signature/pck_chain/0", QVL_PCK_REVOKED, STR_EMPTY,
                          cert_serial(p->certs[0]));
    PASS(r->v, CHECK_REVOCATION);
    return OK;
}

static enum status check_platform(struct dcap_run *r)
{
    const struct tcb_info *t = &r->endorsed->tcb;
    const struct pck_info *p = &r->pck->info;
    if (t->tdx != r->tdx)
        return dcap_fail(r, CHECK_TCB_INFO, "/data/collateral/tcb_info/id", QVL_FMSPC,
                         VALUE_UNDEFINED, VALUE_UNDEFINED);
    if (memcmp(t->fmspc, p->fmspc, 6) != 0)
        return fail_bytes(r, CHECK_TCB_INFO, "/signature/pck_chain/0/fmspc", QVL_FMSPC,
                          str_bytes(t->fmspc, 6), str_bytes(p->fmspc, 6));
    if (memcmp(t->pceid, p->pceid, 2) != 0)
        return fail_bytes(r, CHECK_TCB_INFO, "/signature/pck_chain/0/pceid", QVL_FMSPC,
                          str_bytes(t->pceid, 2), str_bytes(p->pceid, 2));
    PASS(r->v, CHECK_TCB_INFO);
    return OK;
}

static enum status check_module(struct dcap_run *r)
{
    if (!r->tdx)
        return OK;
    static const uint8_t zero[8];
    const uint8_t *svn = (const uint8_t *)quote_field(&r->quote, "tcb_svn").ptr;
    struct str signer = quote_field(&r->quote, "mrsigner_seam");
    struct str attributes = quote_field(&r->quote, "seam_attributes");
    const struct tdx_module *m = tcb_module(&r->endorsed->tcb, svn[1]);
    if (m == NULL)
        return fail_bytes(r, CHECK_TCB_INFO, "/body/tcb_svn", QVL_TDX_MODULE, STR_EMPTY,
                          str_bytes(svn, 16));
    if (!str_equal(signer, str_bytes(m->mrsigner, 48)))
        return fail_bytes(r, CHECK_TCB_INFO, "/body/mrsigner_seam", QVL_TDX_MODULE,
                          str_bytes(m->mrsigner, 48), signer);
    /* No attribute is defined yet: each must be zero, in the module and in Intel's word on it. */
    if (!str_equal(attributes, str_bytes(zero, 8)) ||
        !str_equal(attributes, str_bytes(m->attributes, 8)))
        return fail_bytes(r, CHECK_TCB_INFO, "/body/seam_attributes", QVL_TDX_MODULE,
                          str_bytes(m->attributes, 8), attributes);
    PASS(r->v, CHECK_TCB_INFO);
    return OK;
}

/* ---- steps 6 to 10 ---- */

/* The PCK key signed the QE report: the same for every quote until its enclave makes another key.
 */
static enum status check_qe_signature(struct dcap_run *r)
{
    const struct dcap_quote *q = &r->quote;
    struct verifier_cache *cache = r->v->req->cache;
    const struct cert *pck = r->pck->certs[0];
    const struct str parts[] = {q->qe_report, q->qe_signature};
    struct digest key, signer, known;
    void *none = NULL;
    digest_parts(DIGEST_SHA256, parts, 2, &key);
    cert_fingerprint(pck, &signer);
    if (verifier_cache_get(cache, &key, r->v->req->now_s, &known, NULL, &none) &&
        str_equal(digest_str(&known), digest_str(&signer)))
        return OK;
    enum status st = pubkey_verify(cert_pubkey(pck), SIG_ECDSA_RAW, DIGEST_SHA256, q->qe_report,
                                   q->qe_signature, NULL);
    if (st == ERR_NOMEM)
        return error_nomem(r->v->err);
    if (st != OK)
        return dcap_fail(r, CHECK_QE_REPORT, field(r, "/signature/qe_report_signature"),
                         QVL_QE_REPORT, VALUE_UNDEFINED, VALUE_UNDEFINED);
    verifier_cache_put(cache, &key, INT64_MAX, &signer, NULL, NULL);
    return OK;
}

static enum status check_qe_report(struct dcap_run *r)
{
    const struct dcap_quote *q = &r->quote;
    enum status st = check_qe_signature(r);
    if (st != OK)
        return st;
    const struct str parts[] = {q->key, q->qe_auth};
    struct digest digest;
    digest_parts(DIGEST_SHA256, parts, 2, &digest);
    struct str data = sgx_body_field(q->qe_report, "report_data");
    if (!bytes_equal_ct(digest_str(&digest), str_slice(data, 0, 32)))
        return fail_bytes(r, CHECK_QE_REPORT, "/signature/qe_report/report_data", QVL_UNEXPECTED,
                          digest_str(&digest), str_slice(data, 0, 32));
    PASS(r->v, CHECK_QE_REPORT);
    return OK;
}

static enum status check_qe_identity(struct dcap_run *r)
{
    const struct qe_identity *id = &r->endorsed->qe;
    struct str report = r->quote.qe_report;
    if (id->td_qe != r->tdx)
        return dcap_fail(r, CHECK_QE_IDENTITY, "/data/collateral/qe_identity/id", QVL_QE_IDENTITY,
                         VALUE_UNDEFINED, VALUE_UNDEFINED);

    struct str misc = sgx_body_field(report, "misc_select");
    if ((load_le32(misc.ptr) & id->miscselect_mask) != id->miscselect)
        return fail_bytes(r, CHECK_QE_IDENTITY, "/signature/qe_report/misc_select", QVL_QE_IDENTITY,
                          STR_EMPTY, misc);
    struct str attributes = str_slice(report, 48, 16); /* flags and xfrm */
    for (size_t i = 0; i < 16; i++)
        if (((uint8_t)attributes.ptr[i] & id->attributes_mask[i]) != id->attributes[i])
            return fail_bytes(r, CHECK_QE_IDENTITY, "/signature/qe_report/attributes",
                              QVL_QE_IDENTITY, str_bytes(id->attributes, 16), attributes);
    struct str signer = sgx_body_field(report, "mr_signer");
    if (!str_equal(signer, str_bytes(id->mrsigner, 32)))
        return fail_bytes(r, CHECK_QE_IDENTITY, "/signature/qe_report/mr_signer", QVL_QE_IDENTITY,
                          str_bytes(id->mrsigner, 32), signer);
    struct str prod = sgx_body_field(report, "isv_prod_id");
    if (load_le16(prod.ptr) != id->isvprodid)
        return dcap_fail(r, CHECK_QE_IDENTITY, field(r, "/signature/qe_report/isv_prod_id"),
                         QVL_QE_IDENTITY, value_small_int(id->isvprodid),
                         value_small_int(load_le16(prod.ptr)));
    PASS(r->v, CHECK_QE_IDENTITY);
    return OK;
}

/* The key of a quoting enclave: the same for all of a platform's quotes for a long time. */
static enum status load_key(struct dcap_run *r, struct pubkey **out)
{
    struct str raw = r->quote.key;
    struct verifier_cache *cache = r->v->req->cache;
    struct digest digest, ignored;
    void *known = NULL;
    digest_compute(DIGEST_SHA256, raw, &digest);
    if (verifier_cache_get(cache, &digest, r->v->req->now_s, &ignored, &cache_keys, &known)) {
        *out = known;
        return OK;
    }
    enum status st =
        pubkey_from_ec(KEY_EC_P256, str_slice(raw, 0, 32), str_from(raw, 32), out, NULL);
    if (st == OK) /* the QE report vouches for it: check_qe_report() came before */
        verifier_cache_put(cache, &digest, INT64_MAX, &digest, &cache_keys, *out);
    return st;
}

static enum status check_signature(struct dcap_run *r)
{
    const struct dcap_quote *q = &r->quote;
    CLEANUP(pubkey_cleanup) struct pubkey *key = NULL;
    enum status st = load_key(r, &key);
    if (st == OK)
        st = pubkey_verify(key, SIG_ECDSA_RAW, DIGEST_SHA256, q->signed_part, q->signature, NULL);
    if (st == ERR_NOMEM)
        return error_nomem(r->v->err);
    if (st != OK)
        return dcap_fail(r, CHECK_QUOTE_SIGNATURE, field(r, "/signature/quote_signature"),
                         QVL_SIGNATURE, VALUE_UNDEFINED, VALUE_UNDEFINED);
    PASS(r->v, CHECK_QUOTE_SIGNATURE);
    return OK;
}

/* ---- step 11: section 7 ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* `svn_name`: the TD's SVN field, NULL for SGX. */
static enum status evaluate(struct dcap_run *r, const char *svn_name, struct tcb_result *out)
{
    const struct endorsements *e = r->endorsed;
    const uint8_t *tdx =
        svn_name == NULL ? NULL : (const uint8_t *)quote_field(&r->quote, svn_name).ptr;
    const char *svn_field = svn_name == NULL ? "" : verify_field(r->v, "/body/", svn_name);
    const struct tcb_level *platform =
        tcb_platform_level(&e->tcb, r->pck->info.svn, r->pck->info.pcesvn, tdx);
    if (platform == NULL)
        return fail_bytes(r, CHECK_TCB,
                          tdx == NULL ? "/signature/pck_chain/0/tcb"
                                      : verify_field(r->v, svn_field, "/platform"),
                          QVL_TCB_UNKNOWN, STR_EMPTY, str_bytes(r->pck->info.svn, 16));

    uint16_t isv = load_le16(sgx_body_field(r->quote.qe_report, "isv_svn").ptr);
    const struct isv_level *qe = tcb_isv_level(e->qe.levels, e->qe.level_count, isv);
    if (qe == NULL)
        return dcap_fail(r, CHECK_TCB, field(r, "/signature/qe_report/isv_svn"), QVL_TCB_UNKNOWN,
                         VALUE_UNDEFINED, value_small_int(isv));

    const struct isv_level *module = NULL;
    if (tdx != NULL && tdx[1] > 0) {
        const struct tdx_module *m = tcb_module(&e->tcb, tdx[1]);
        module = m == NULL ? NULL : tcb_isv_level(m->levels, m->level_count, tdx[0]);
        if (module == NULL)
            return fail_bytes(r, CHECK_TCB, verify_field(r->v, svn_field, "/module"),
                              QVL_TCB_UNKNOWN, STR_EMPTY, str_bytes(tdx, 16));
    }

    *out = (struct tcb_result){
        .status = tcb_converge(platform->verdict.status, qe->verdict.status),
        .parts = {&platform->verdict, &qe->verdict, module == NULL ? NULL : &module->verdict}};
    out->date_no_module_s = out->date_s = earlier(platform->verdict.date_s, qe->verdict.date_s);
    if (module != NULL) {
        out->status = tcb_converge(out->status, module->verdict.status);
        out->date_s = earlier(out->date_s, module->verdict.date_s);
    }
    return OK;
}

static enum status check_tcb(struct dcap_run *r)
{
    enum status st = evaluate(r, r->tdx ? "tcb_svn" : NULL, &r->launch);
    if (st != OK)
        return st;
    r->current = r->launch;
    if (r->quote.kind == QUOTE_TD15) {
        st = evaluate(r, "tee_tcb_svn2", &r->current);
        if (st != OK)
            return st;
    }
    r->status = tcb_relaunch(r->launch.status, r->current.status);
    if (r->status == TCB_REVOKED || r->current.status == TCB_REVOKED) {
        struct arena *a = r->v->checks == NULL ? r->v->a : r->v->checks->arena;
        return FAIL(r->v, CHECK_TCB, field(r, "/tcb_status"), VALUE_UNDEFINED,
                    value_cstring(a, tcb_status_name(TCB_REVOKED)),
                    "%sVerification completed with Terminal result: 0xa005", r->context);
    }
    PASS(r->v, CHECK_TCB);
    return OK;
}

STATUS dcap_verify(struct dcap_run *r)
{
    enum status st = dcap_load_pck(r);
    if (st == OK)
        st = dcap_load_endorsements(r);
    if (st == OK)
        st = check_revocation(r);
    if (st == OK)
        st = check_platform(r);
    if (st == OK)
        st = check_module(r);
    if (st == OK)
        st = check_qe_report(r);
    if (st == OK)
        st = check_qe_identity(r);
    if (st == OK)
        st = check_signature(r);
    if (st == OK)
        st = check_tcb(r);
    if (st != OK)
        return st;

    /* HARDEN intel-3: any item past its date, not only the two texts. */
    int64_t expiration = r->endorsed->earliest_expiration_s;
    for (size_t i = 0; i < ARRAY_LEN(r->pck->certs); i++)
        expiration = earlier(expiration, cert_not_after(r->pck->certs[i]));
    r->expired = expiration <= r->v->req->now_s;
    return OK;
}

/* ---- claims: section 8 ---- */

static value date_claim(struct dcap_run *r, int64_t s)
{
    char text[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(s, text);
    return value_cstring(r->v->a, text);
}

static int compare_ids(const void *x, const void *y)
{
    return str_compare(*(const struct str *)x, *(const struct str *)y);
}

/* Step 5: the union of the matched levels' advisories, sorted, without duplicates. */
static value advisories(struct dcap_run *r, const struct tcb_result *t)
{
    struct arena *a = r->v->a;
    size_t n = 0, count = 0;
    for (size_t i = 0; i < ARRAY_LEN(t->parts); i++)
        count += t->parts[i] == NULL ? 0 : t->parts[i]->advisory_count;
    struct str *ids = arena_new_array(a, struct str, count + 1);
    if (ids == NULL)
        return VALUE_UNDEFINED;
    for (size_t i = 0; i < ARRAY_LEN(t->parts); i++)
        for (size_t k = 0; t->parts[i] != NULL && k < t->parts[i]->advisory_count; k++)
            ids[n++] = t->parts[i]->advisories[k];
    qsort(ids, n, sizeof(*ids), compare_ids);

    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !str_equal(ids[i], ids[i - 1]))
            value_builder_add(&b, value_string(a, ids[i]));
    return value_array_finish(&b);
}

static value sgx_type_claim(struct dcap_run *r)
{
    static const char *const names[] = {"Standard", "Scalable", "Scalable with Integrity"};
    unsigned type = r->pck->info.sgx_type;
    char text[32];
    snprintf(text, sizeof(text), "Unknown (%u)", type);
    return value_cstring(r->v->a, type < ARRAY_LEN(names) ? names[type] : text);
}

/* SHA-384 over the uncompressed point of the root's key. */
static value root_key_claim(struct dcap_run *r)
{
    struct str x, y;
    if (pubkey_ec_xy(cert_pubkey(r->pck->certs[2]), r->v->a, &x, &y) != OK)
        return VALUE_UNDEFINED;
    const struct str parts[] = {STR("\x04"), x, y};
    struct digest d;
    digest_parts(DIGEST_SHA384, parts, 3, &d);
    return claim_hex(r->v->a, digest_str(&d));
}

static void platform_claims(struct dcap_run *r, struct value_builder *b)
{
    const struct pck_info *p = &r->pck->info;
    value_builder_put_str(b, "platform_provider_id",
                          claim_hex(r->v->a, str_bytes(p->ppid, sizeof(p->ppid))));
    value_builder_put_str(b, "sgx_type", sgx_type_claim(r));
    if (p->sgx_type == 0)
        return;
    value_builder_put_str(b, "is_dynamic_platform", value_bool(p->dynamic_platform));
    value_builder_put_str(b, "is_cached_keys", value_bool(p->cached_keys));
    value_builder_put_str(b, "is_smt_enabled", value_bool(p->smt_enabled));
}

void dcap_claims(struct dcap_run *r, struct value_builder *b)
{
    const struct endorsements *e = r->endorsed;
    struct arena *a = r->v->a;
    int64_t earliest = e->earliest_issue_s, latest = e->latest_issue_s;
    int64_t expiration = e->earliest_expiration_s;
    for (size_t i = 0; i < ARRAY_LEN(r->pck->certs); i++) {
        const struct cert *c = r->pck->certs[i];
        earliest = earlier(earliest, cert_not_before(c));
        latest = cert_not_before(c) > latest ? cert_not_before(c) : latest;
        expiration = earlier(expiration, cert_not_after(c));
    }
    value_builder_put_str(b, "earliest_issue_date", date_claim(r, earliest));
    value_builder_put_str(b, "latest_issue_date", date_claim(r, latest));
    value_builder_put_str(b, "earliest_expiration_date", date_claim(r, expiration));
    value_builder_put_str(b, "tcb_date", date_claim(r, r->launch.date_no_module_s));
    value_builder_put_str(b, "pck_crl_num", value_uint(a, e->pck_crl_number));
    value_builder_put_str(b, "root_ca_crl_num", value_uint(a, e->root_crl_number));
    value_builder_put_str(
        b, "tcb_eval_num",
        value_uint(a, e->tcb.evaluation < e->qe.evaluation ? e->tcb.evaluation : e->qe.evaluation));
    platform_claims(r, b);
    value_builder_put_str(b, "root_key_id", root_key_claim(r));
    value_builder_put_str(b, "tcb_status", value_cstring(a, tcb_status_name(r->status)));
    value_builder_put_str(b, "collateral_expiration_status",
                          value_cstring(a, r->expired ? "1" : "0"));
    value_builder_put_str(b, "advisory_ids", advisories(r, &r->launch));
    value_builder_put_str(b, "tcb_date_current", date_claim(r, r->current.date_s));
    value_builder_put_str(b, "tcb_status_current",
                          value_cstring(a, tcb_status_name(r->current.status)));
    value_builder_put_str(b, "advisory_ids_current", advisories(r, &r->current));
}

void dcap_instance_claim(struct dcap_run *r, struct value_builder *b)
{
    const struct pck_info *p = &r->pck->info;
    uint8_t reversed[sizeof(p->instance_id)]; /* section 3: little-endian in the certificate */
    if (!p->has_instance)
        return;
    for (size_t i = 0; i < sizeof(reversed); i++)
        reversed[i] = p->instance_id[sizeof(reversed) - 1 - i];
    value_builder_put_str(b, "platform_instance_id",
                          claim_hex(r->v->a, str_bytes(reversed, sizeof(reversed))));
}

value dcap_header_claims(struct dcap_run *r)
{
    static const struct body_field td[] = {
        {"version", 0, 2},  {"att_key_type", 2, 2}, {"tee_type", 4, 4},
        {"reserved", 8, 4}, {"vendor_id", 12, 16},  {"user_data", 28, 20},
    };
    static const struct body_field sgx[] = {
        {"version", 0, 2},  {"att_key_type", 2, 2}, {"att_key_data_0", 4, 4}, {"qe_svn", 8, 2},
        {"pce_svn", 10, 2}, {"vendor_id", 12, 16},  {"user_data", 28, 20},
    };
    const struct body_field *fields = r->tdx ? td : sgx;
    size_t n = r->tdx ? ARRAY_LEN(td) : ARRAY_LEN(sgx);
    struct value_builder b;
    value_builder_init(&b, r->v->a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_put_str(
            &b, fields[i].name,
            claim_hex(r->v->a, str_slice(r->quote.header, fields[i].offset, fields[i].len)));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

value dcap_body_claims(struct dcap_run *r)
{
    const struct body_field *fields = r->tdx ? td_body_fields : sgx_body_fields;
    size_t n = r->tdx ? td_body_field_count(r->quote.kind) : sgx_body_field_count;
    struct value_builder b;
    value_builder_init(&b, r->v->a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_put_str(
            &b, fields[i].name,
            claim_hex(r->v->a, str_slice(r->quote.body, fields[i].offset, fields[i].len)));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}
