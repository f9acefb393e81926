/* What Intel's evidence says beside the claims: for deny lists, and as details. */
#include "base/clock.h"
#include "verifier/dcap/dcap.h"

/* ---- for deny lists ---- */

static void deny_advisories(struct deny_facts *f, const struct tcb_result *t)
{
    static const char *const bases[] = {"/data/collateral/tcb_info", "/data/collateral/qe_identity",
                                        "/data/collateral/tcb_info/tdxModuleIdentities"};
    for (size_t i = 0; i < ARRAY_LEN(t->parts); i++)
        for (size_t k = 0; t->parts[i] != NULL && k < t->parts[i]->advisory_count; k++)
            deny_add_bytes(f, DENY_ADVISORY, bases[i], "/advisoryIDs", t->parts[i]->advisories[k]);
}

static void deny_keys(struct dcap_run *r, struct deny_facts *f)
{
    static const char *const certs[] = {"/0/public_key", "/1/public_key", "/2/public_key"};
    const char *quote = r->quote_field;
    const char *chain = verify_field(r->v, quote, "/signature/pck_chain");
    for (size_t i = 0; i < ARRAY_LEN(certs); i++)
        deny_add_key(f, chain, certs[i], cert_pubkey(r->pck->certs[i]));
    deny_add_bytes(f, DENY_SIGNING_KEY, "/data/collateral/tcb_info_issuer_chain", "",
                   digest_str(&r->endorsed->tcb_signer));
    deny_add_bytes(f, DENY_SIGNING_KEY, "/data/collateral/qe_identity_issuer_chain", "",
                   digest_str(&r->endorsed->qe_signer));

    CLEANUP(pubkey_cleanup) struct pubkey *key = NULL;
    if (pubkey_from_ec(KEY_EC_P256, str_slice(r->quote.key, 0, 32), str_from(r->quote.key, 32),
                       &key, NULL) == OK)
        deny_add_key(f, quote, "/signature/attestation_key", key);
    else
        f->failed = true; /* it was imported once: no memory */

    deny_add_bytes(f, DENY_SIGNING_KEY, quote, "/signature/qe_report/mr_signer",
                   sgx_body_field(r->quote.qe_report, "mr_signer"));
    if (r->tdx)
        deny_add_bytes(f, DENY_SIGNING_KEY, quote, "/body/mrsigner_seam",
                       quote_field(&r->quote, "mrsigner_seam"));
    else
        deny_add_bytes(f, DENY_SIGNING_KEY, quote, "/body/mr_signer",
                       quote_field(&r->quote, "mr_signer"));
}

static void deny_svns(struct deny_facts *f, unsigned first, const char *base, const char *rest,
                      const uint8_t svn[16])
{
    for (unsigned i = 0; i < 16; i++)
        deny_add_tcb(f, first + i, base, rest, svn[i]);
}

void dcap_deny_facts(struct dcap_run *r, struct deny_facts *f)
{
    const struct pck_info *p = &r->pck->info;
    const char *pck = verify_field(r->v, r->quote_field, "/signature/pck_chain/0");
    deny_add_bytes(f, DENY_CHIP_ID, pck, "/ppid", str_bytes(p->ppid, sizeof(p->ppid)));
    if (p->has_instance) {
        /* As the certificate stores it, and as the claim says it. */
        uint8_t *reversed = arena_alloc(r->v->a, sizeof(p->instance_id));
        for (size_t i = 0; reversed != NULL && i < sizeof(p->instance_id); i++)
            reversed[i] = p->instance_id[sizeof(p->instance_id) - 1 - i];
        deny_add_bytes(f, DENY_CHIP_ID, pck, "/platform_instance_id",
                       str_bytes(p->instance_id, sizeof(p->instance_id)));
        if (reversed != NULL)
            deny_add_bytes(f, DENY_CHIP_ID, pck, "/platform_instance_id",
                           str_bytes(reversed, sizeof(p->instance_id)));
    }
    deny_add_bytes(f, DENY_FMSPC, pck, "/fmspc", str_bytes(p->fmspc, sizeof(p->fmspc)));
    deny_keys(r, f);
    deny_advisories(f, &r->launch);
    deny_advisories(f, &r->current);

    deny_svns(f, DENY_TCB_SGX, pck, "/tcb/components", p->svn);
    deny_add_tcb(f, DENY_TCB_PCESVN, pck, "/tcb/pcesvn", p->pcesvn);
    deny_add_tcb(f, DENY_TCB_QE, r->quote_field, "/signature/qe_report/isv_svn",
                 load_le16(sgx_body_field(r->quote.qe_report, "isv_svn").ptr));
    if (r->tdx)
        deny_svns(f, DENY_TCB_TDX, r->quote_field, "/body/tcb_svn",
                  (const uint8_t *)quote_field(&r->quote, "tcb_svn").ptr);
    if (r->quote.kind == QUOTE_TD15)
        deny_svns(f, DENY_TCB_TDX_CURRENT, r->quote_field, "/body/tee_tcb_svn2",
                  (const uint8_t *)quote_field(&r->quote, "tee_tcb_svn2").ptr);
}

/* ---- details ---- */

value dcap_bits(struct arena *a, uint64_t word, const struct named_bit *bits, size_t n)
{
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++)
        value_builder_put_str(&b, bits[i].name, value_bool(word >> bits[i].bit & 1));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value date(struct dcap_run *r, int64_t s)
{
    char text[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(s, text);
    return value_cstring(r->v->a, text);
}

static value svns(struct dcap_run *r, const uint8_t svn[16])
{
    struct value_builder b;
    value_builder_init(&b, r->v->a, 16);
    for (unsigned i = 0; i < 16; i++)
        value_builder_add(&b, value_small_int(svn[i]));
    return value_array_finish(&b);
}

/* {"status", "tcb_date", "advisory_ids"} of one matched level. */
static value verdict(struct dcap_run *r, const struct tcb_verdict *v)
{
    struct arena *a = r->v->a;
    struct value_builder b, ids;
    value_builder_init(&ids, a, v->advisory_count);
    for (size_t i = 0; i < v->advisory_count; i++)
        value_builder_add(&ids, value_string(a, v->advisories[i]));
    value_builder_init(&b, a, 3);
    value_builder_put_str(&b, "status", value_cstring(a, tcb_status_name(v->status)));
    value_builder_put_str(&b, "tcb_date", date(r, v->date_s));
    value_builder_put_str(&b, "advisory_ids", value_array_finish(&ids));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* The levels of platform, quoting enclave and module that an evaluation matched. */
static value levels(struct dcap_run *r, const struct tcb_result *t)
{
    static const char *const names[] = {"platform", "qe", "tdx_module"};
    struct value_builder b;
    value_builder_init(&b, r->v->a, 5);
    for (size_t i = 0; i < ARRAY_LEN(t->parts); i++)
        if (t->parts[i] != NULL)
            value_builder_put_str(&b, names[i], verdict(r, t->parts[i]));
    value_builder_put_str(&b, "status", value_cstring(r->v->a, tcb_status_name(t->status)));
    value_builder_put_str(&b, "tcb_date", date(r, t->date_s)); /* with the module's */
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value components(struct dcap_run *r)
{
    struct value_builder b;
    value_builder_init(&b, r->v->a, 5);
    value_builder_put_str(&b, "sgx", svns(r, r->pck->info.svn));
    value_builder_put_str(&b, "pcesvn", value_small_int(r->pck->info.pcesvn));
    value_builder_put_str(
        &b, "qe_isvsvn",
        value_small_int(load_le16(sgx_body_field(r->quote.qe_report, "isv_svn").ptr)));
    if (r->tdx)
        value_builder_put_str(&b, "tdx",
                              svns(r, (const uint8_t *)quote_field(&r->quote, "tcb_svn").ptr));
    if (r->quote.kind == QUOTE_TD15)
        value_builder_put_str(&b, "tdx_current",
                              svns(r, (const uint8_t *)quote_field(&r->quote, "tee_tcb_svn2").ptr));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

void dcap_details(struct dcap_run *r, struct value_builder *b)
{
    struct arena *a = r->v->a;
    const struct pck_info *p = &r->pck->info;
    value_builder_put_str(b, "tcb_components", components(r));
    value_builder_put_str(b, "tcb_launch", levels(r, &r->launch));
    value_builder_put_str(b, "tcb_current", levels(r, &r->current));
    value_builder_put_str(b, "fmspc", claim_hex(a, str_bytes(p->fmspc, sizeof(p->fmspc))));
    value_builder_put_str(b, "pceid", claim_hex(a, str_bytes(p->pceid, sizeof(p->pceid))));
    value_builder_put_str(b, "pck_ca",
                          value_cstring(a, r->pck->platform ? "platform" : "processor"));
    value_builder_put_str(b, "qe_mr_enclave",
                          claim_hex(a, sgx_body_field(r->quote.qe_report, "mr_enclave")));
    value_builder_put_str(b, "tcb_info_next_update", date(r, r->endorsed->tcb.next_s));
    value_builder_put_str(b, "qe_identity_next_update", date(r, r->endorsed->qe.next_s));
    value_builder_put_str(b, "pck_crl_next_update", date(r, crl_next_update(r->endorsed->pck_crl)));
    value_builder_put_str(b, "root_ca_crl_next_update",
                          date(r, crl_next_update(r->endorsed->root_crl)));
}
