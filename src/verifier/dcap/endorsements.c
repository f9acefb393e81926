/* Certificates, lists and signed texts of Intel's: verifiers-intel.md 3 to 5. */
#include <stdlib.h>

#include "verifier/collateral_set.h"
#include "verifier/dcap/dcap.h"
#include "verifier/dcap/intel_item.h"
#include "verifier/verifier_cache.h"

#define SGX_EXTENSION_OID "1.2.840.113741.1.13.1"
#define SERVICE_DEFAULT "https://api.trustedservices.intel.com/sgx/certification/v4/"
#define ENDORSEMENTS_MEMORY_MAX (16 * 1024 * 1024)

/* ---- objects that the cache may hold ---- */

static void *pck_ref(void *object)
{
    struct pck_chain *p = object;
    __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

static void pck_unref(void *object)
{
    struct pck_chain *p = object;
    if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(p->certs); i++)
        cert_unref(p->certs[i]);
    free(p);
}

static void *endorsements_ref(void *object)
{
    struct endorsements *e = object;
    __atomic_add_fetch(&e->refs, 1, __ATOMIC_RELAXED);
    return e;
}

static void endorsements_unref(void *object)
{
    struct endorsements *e = object;
    if (e == NULL || __atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    crl_free(e->pck_crl);
    crl_free(e->root_crl);
    arena_done(&e->arena);
    free(e);
}

static const struct cache_kind pck_chains = {pck_ref, pck_unref};
static const struct cache_kind endorsement_sets = {endorsements_ref, endorsements_unref};

void dcap_run_done(struct dcap_run *r)
{
    pck_unref(r->pck);
    endorsements_unref(r->endorsed);
    r->pck = NULL;
    r->endorsed = NULL;
}

static void pck_cleanup(struct pck_chain **p)
{
    pck_unref(*p);
}

static void endorsements_cleanup(struct endorsements **e)
{
    endorsements_unref(*e);
}

/* ---- certificates ---- */

/* The trusted root whose key this certificate has, or NULL. */
static const struct anchor *trusted_root(struct verify *v, const struct cert *root)
{
    const struct anchor *an;
    for (size_t i = 0; (an = anchors_find(v->req->anchors, "intel-sgx-root-ca", i)) != NULL; i++)
        if (pubkey_equal(an->key, cert_pubkey(root)))
            return an;
    return NULL;
}

static const struct anchor *anchor_by_digest(struct verify *v, const struct digest *spki)
{
    const struct anchor *an;
    for (size_t i = 0; (an = anchors_find(v->req->anchors, "intel-sgx-root-ca", i)) != NULL; i++)
        if (str_equal(digest_str(&an->spki), digest_str(spki)))
            return an;
    return NULL;
}

/* ---- PCK chain ---- */

static const char *chain_field(struct dcap_run *r, const char *rest)
{
    return verify_field(r->v, verify_field(r->v, r->quote_field, "/signature/pck_chain"), rest);
}

static enum status check_pck_chain(struct dcap_run *r, struct pck_chain *p,
                                   const struct anchor **root)
{
    struct verify *v = r->v;
    struct str ca = cert_subject_cn(p->certs[1]);
    p->platform = str_is(ca, "Intel SGX PCK Platform CA");
    if (!p->platform && !str_is(ca, "Intel SGX PCK Processor CA"))
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, chain_field(r, "/1/subject"),
                          "%sunexpected PCK intermediate CA CN: %s", r->context, QUOTED(ca));
    if (!intel_name_has(cert_subject_cn(p->certs[0]), "SGX PCK Certificate") ||
        pubkey_kind(cert_pubkey(p->certs[0])) != KEY_EC_P256)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, chain_field(r, "/0/subject"),
                          "%sthe leaf is no PCK certificate", r->context);
    *root = trusted_root(v, p->certs[2]);
    if (*root == NULL || !intel_is_root(p->certs[2]))
        return dcap_fail(r, CHECK_CERTIFICATE_CHAIN, chain_field(r, "/2"), QVL_PCK_CHAIN,
                         VALUE_UNDEFINED, VALUE_UNDEFINED);
    for (int i = 1; i >= 0; i--)
        if (!intel_issued_by(p->certs[i], p->certs[i + 1]))
            return dcap_fail(r, CHECK_CERTIFICATE_CHAIN, chain_field(r, i == 1 ? "/1" : "/0"),
                             QVL_UNEXPECTED, VALUE_UNDEFINED, VALUE_UNDEFINED);
    PASS(v, CHECK_CERTIFICATE_CHAIN);

    struct str ext;
    const char *why = "SGX extensions OID not found in PCK leaf cert";
    enum status st = cert_extension(p->certs[0], SGX_EXTENSION_OID, &ext);
    if (st == OK)
        st = pck_parse(ext, p->platform, &p->info, &why);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, chain_field(r, "/0/sgx_extension"), "%s%s",
                          r->context, why);
    PASS(v, CHECK_CERTIFICATE_FORMAT);
    return OK;
}

static enum status parse_pck(struct dcap_run *r, struct pck_chain *p)
{
    struct verify *v = r->v;
    struct cert *certs[CERT_CHAIN_MAX];
    size_t count = 0;
    struct error why = ERROR_INIT;
    enum status st = cert_list_from_pem(r->quote.pck_chain, certs, &count, &why);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st == OK)
        for (size_t i = 0; i < count; i++) {
            if (count == ARRAY_LEN(p->certs))
                p->certs[i] = certs[i];
            else
                cert_unref(certs[i]);
        }
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, chain_field(r, ""), "%s%s", r->context,
                          why.text);
    if (count != ARRAY_LEN(p->certs))
        return FAIL(v, CHECK_CERTIFICATE_FORMAT, chain_field(r, "/count"), value_small_int(3),
                    value_small_int((int64_t)count),
                    "%sPCK cert chain must contain exactly 3 certificates (leaf, intermediate, "
                    "root), got %zu",
                    r->context, count);
    return OK;
}

STATUS dcap_load_pck(struct dcap_run *r)
{
    struct verify *v = r->v;
    struct digest key, issuer;
    void *known = NULL;
    digest_compute(DIGEST_SHA256, r->quote.pck_chain, &key);
    if (verifier_cache_get(v->req->cache, &key, v->req->now_s, &issuer, &pck_chains, &known)) {
        const struct anchor *an = anchor_by_digest(v, &issuer);
        if (an != NULL) {
            r->pck = known;
            verify_rests_on(v, an);
            PASS(v, CHECK_CERTIFICATE_CHAIN);
            PASS(v, CHECK_CERTIFICATE_FORMAT);
            return OK;
        }
        pck_unref(known);
    }

    CLEANUP(pck_cleanup) struct pck_chain *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return error_nomem(v->err);
    p->refs = 1;
    const struct anchor *root = NULL;
    enum status st = parse_pck(r, p);
    if (st == OK)
        st = check_pck_chain(r, p, &root);
    if (st != OK)
        return st;
    verify_rests_on(v, root);
    verifier_cache_put(v->req->cache, &key, INT64_MAX, &root->spki, &pck_chains, p);
    r->pck = TAKE(p);
    return OK;
}

/* ---- where collateral comes from ---- */

static const char *const item_fields[INTEL_ITEM_COUNT] = {
    [INTEL_TCB_INFO] = "/data/collateral/tcb_info",
    [INTEL_TCB_INFO_CHAIN] = "/data/collateral/tcb_info_issuer_chain",
    [INTEL_QE_IDENTITY] = "/data/collateral/qe_identity",
    [INTEL_QE_IDENTITY_CHAIN] = "/data/collateral/qe_identity_issuer_chain",
    [INTEL_PCK_CRL] = "/data/collateral/pck_crl",
    [INTEL_PCK_CRL_CHAIN] = "/data/collateral/pck_crl_issuer_chain",
    [INTEL_ROOT_CRL] = "/data/collateral/root_ca_crl",
};

static enum status find_items(struct dcap_run *r, struct str items[INTEL_ITEM_COUNT])
{
    struct verify *v = r->v;
    struct str service = value_str(verify_config(v, "dcap_verifier", "collateral_service"));
    struct str update = value_str(verify_config(v, "dcap_verifier", "tcb_update_type"));
    if (service.len == 0)
        service = STR(SERVICE_DEFAULT);

    /* 4.2: a file of PcsClientTool instead of a service. */
    CLEANUP(collateral_set_cleanup) struct collateral_set *set = NULL;
    const struct collateral *source = v->req->collateral;
    if (str_has_prefix(service, STR("file://"))) {
        struct str bytes;
        enum status st = verify_collateral(v, arena_str(v->a, service), &bytes);
        if (st == OK)
            st = collateral_set_new(false, &set, v->err);
        if (st == OK)
            st = collateral_set_parse(set, bytes, v->err);
        if (st == ERR_INVALID)
            return FAIL_PLAIN(v, CHECK_COLLATERAL, "/data/collateral", "%s", v->err->text);
        if (st != OK)
            return st;
        source = collateral_set_get(set);
    }

    struct str base = intel_url_base(service);
    struct intel_name n = {
        .tdx = r->tdx, .platform = r->pck->platform, .standard = str_is(update, "standard")};
    intel_fmspc_text(r->pck->info.fmspc, n.fmspc);
    for (unsigned i = 0; i < INTEL_ITEM_COUNT; i++) {
        n.item = (enum intel_item)i;
        struct str url = intel_url(v->a, base, &n);
        if (url.ptr == NULL)
            return error_nomem(v->err);
        if (source != NULL && source->find(source->user, url, &items[i])) {
            if (set != NULL)
                items[i] = arena_str(v->a, items[i]); /* the set goes */
            if (items[i].ptr == NULL)
                return error_nomem(v->err);
            continue;
        }
        /* A file of the tool has only one chain for TCB information and lists. */
        if (i == INTEL_PCK_CRL_CHAIN) {
            items[i] = STR_EMPTY;
            continue;
        }
        if (set != NULL)
            return FAIL_PLAIN(v, CHECK_COLLATERAL, item_fields[i],
                              "%scollateral not available from %s", r->context, QUOTED(service));
        verify_needs(v, str_slice(url, 0, str_find(url, '#', 0))); /* all of them at once */
    }
    if (v->out->needed_count == 0)
        return OK;
    error_set(v->err, "%scollateral is missing: %s", r->context, QUOTED(v->out->needed[0]));
    return ERR_UNAVAILABLE;
}

/* ---- signed items ---- */

static void note_dates(struct endorsements *e, int64_t issue_s, int64_t expiration_s)
{
    if (issue_s < e->earliest_issue_s)
        e->earliest_issue_s = issue_s;
    if (issue_s > e->latest_issue_s)
        e->latest_issue_s = issue_s;
    if (expiration_s < e->earliest_expiration_s)
        e->earliest_expiration_s = expiration_s;
}

/*
 * A chain of two: signer and root, the root being `root`.  *signer is a new
 * reference.
 */
static enum status load_chain(struct dcap_run *r, struct endorsements *e, enum intel_item item,
                              struct str pem, const char *cn, const struct anchor *root,
                              enum qvl_code code, struct cert **signer)
{
    struct cert *certs[2] = {NULL, NULL};
    enum status st = intel_chain_load(r->v->a, pem, cn, certs);
    if (st == ERR_NOMEM)
        return error_nomem(r->v->err);
    bool good = st == OK && pubkey_equal(cert_pubkey(certs[1]), root->key);
    if (good) {
        *signer = cert_ref(certs[0]);
        for (size_t i = 0; i < 2; i++)
            note_dates(e, cert_not_before(certs[i]), cert_not_after(certs[i]));
    }
    cert_unref(certs[0]);
    cert_unref(certs[1]);
    return good ? OK
                : dcap_fail(r, CHECK_COLLATERAL, item_fields[item], code, VALUE_UNDEFINED,
                            VALUE_UNDEFINED);
}

static enum status load_crl(struct dcap_run *r, struct endorsements *e, enum intel_item item,
                            struct str bytes, const struct cert *issuer, struct crl **out,
                            uint64_t *number)
{
    enum status st =
        intel_crl_load(&e->arena, bytes, cert_subject_cn(issuer), cert_pubkey(issuer), out, number);
    if (st == ERR_NOMEM)
        return error_nomem(r->v->err);
    if (st != OK)
        return dcap_fail(r, CHECK_COLLATERAL, item_fields[item], QVL_PCK_CHAIN, VALUE_UNDEFINED,
                         VALUE_UNDEFINED);
    note_dates(e, crl_this_update(*out), crl_next_update(*out));
    return OK;
}

/* {"<member>": {...}, "signature": hex}: the text of the member, signed by the key. */
static enum status load_signed(struct dcap_run *r, struct endorsements *e, enum intel_item item,
                               struct str body, const char *member, const struct cert *signer,
                               enum qvl_code format, enum qvl_code code, value *out)
{
    enum status st = intel_text_load(&e->arena, body, member, cert_pubkey(signer), out);
    if (st == ERR_NOMEM)
        return error_nomem(r->v->err);
    if (st == ERR_INVALID)
        return dcap_fail(r, CHECK_COLLATERAL, item_fields[item], format, VALUE_UNDEFINED,
                         VALUE_UNDEFINED);
    if (st != OK)
        return dcap_fail(r, CHECK_COLLATERAL, verify_field(r->v, item_fields[item], "/signature"),
                         code, VALUE_UNDEFINED, VALUE_UNDEFINED);
    return OK;
}

static enum status parse_failed(struct dcap_run *r, enum intel_item item, enum qvl_code code,
                                enum status st, const char *why)
{
    if (st != ERR_INVALID)
        return error_nomem(r->v->err);
    struct arena *a = r->v->checks == NULL ? r->v->a : r->v->checks->arena;
    return dcap_fail(r, CHECK_COLLATERAL, verify_field(r->v, item_fields[item], "/content"), code,
                     VALUE_UNDEFINED, value_cstring(a, why));
}

static enum status build(struct dcap_run *r, struct endorsements *e,
                         const struct str items[INTEL_ITEM_COUNT], const struct anchor *root)
{
    const struct pck_chain *p = r->pck;
    CLEANUP(cert_cleanup) struct cert *tcb_signer = NULL;
    CLEANUP(cert_cleanup) struct cert *qe_signer = NULL;
    CLEANUP(cert_cleanup) struct cert *pck_ca = NULL;
    value tcb, qe;
    enum status st = load_chain(r, e, INTEL_TCB_INFO_CHAIN, items[INTEL_TCB_INFO_CHAIN],
                                "SGX TCB Signing", root, QVL_TCB_INFO_CHAIN, &tcb_signer);
    if (st == OK)
        st = load_chain(r, e, INTEL_QE_IDENTITY_CHAIN, items[INTEL_QE_IDENTITY_CHAIN],
                        "SGX TCB Signing", root, QVL_IDENTITY_CHAIN, &qe_signer);
    if (st == OK && items[INTEL_PCK_CRL_CHAIN].len > 0)
        st = load_chain(r, e, INTEL_PCK_CRL_CHAIN, items[INTEL_PCK_CRL_CHAIN], "CA", root,
                        QVL_PCK_CHAIN, &pck_ca);
    if (st == OK)
        st = load_crl(r, e, INTEL_ROOT_CRL, items[INTEL_ROOT_CRL], p->certs[2], &e->root_crl,
                      &e->root_crl_number);
    /* Section 6, step 3: the list is of the CA that issued the PCK certificate. */
    if (st == OK)
        st = load_crl(r, e, INTEL_PCK_CRL, items[INTEL_PCK_CRL], p->certs[1], &e->pck_crl,
                      &e->pck_crl_number);
    if (st == OK)
        st = load_signed(r, e, INTEL_TCB_INFO, items[INTEL_TCB_INFO], "tcbInfo", tcb_signer,
                         QVL_TCB_INFO_FORMAT, QVL_TCB_INFO_CHAIN, &tcb);
    if (st == OK)
        st = load_signed(r, e, INTEL_QE_IDENTITY, items[INTEL_QE_IDENTITY], "enclaveIdentity",
                         qe_signer, QVL_IDENTITY_FORMAT, QVL_IDENTITY_CHAIN, &qe);
    if (st == OK)
        st = pubkey_fingerprint(cert_pubkey(tcb_signer), &e->tcb_signer);
    if (st == OK)
        st = pubkey_fingerprint(cert_pubkey(qe_signer), &e->qe_signer);
    if (st != OK)
        return st;

    const char *why = "";
    st = tcb_info_parse(&e->arena, tcb, &e->tcb, &why);
    if (st != OK)
        return parse_failed(r, INTEL_TCB_INFO, QVL_TCB_INFO_FORMAT, st, why);
    st = qe_identity_parse(&e->arena, qe, &e->qe, &why);
    if (st != OK)
        return parse_failed(r, INTEL_QE_IDENTITY, QVL_IDENTITY_FORMAT, st, why);
    note_dates(e, e->tcb.issue_s, e->tcb.next_s);
    note_dates(e, e->qe.issue_s, e->qe.next_s);

    /* Section 5, step 4: no signer is in the root's list. */
    const struct cert *signers[] = {tcb_signer, qe_signer};
    for (size_t i = 0; i < ARRAY_LEN(signers); i++)
        if (crl_revokes(e->root_crl, cert_serial(signers[i])))
            return dcap_fail(r, CHECK_REVOCATION,
                             item_fields[i == 0 ? INTEL_TCB_INFO_CHAIN : INTEL_QE_IDENTITY_CHAIN],
                             i == 0 ? QVL_TCB_INFO_CHAIN : QVL_IDENTITY_CHAIN, VALUE_UNDEFINED,
                             check_hex(r->v->checks, cert_serial(signers[i])));
    return OK;
}

/*
 * What endorsements are found by: the kind of platform and the certificate whose
 * list it is.  Their items are compared byte by byte, which costs a tenth of a
 * digest.
 */
static void endorsements_key(const struct dcap_run *r, struct digest *out)
{
    const uint8_t tdx = r->tdx;
    const struct str parts[] = {str_bytes(&tdx, 1), str_bytes(r->pck->info.fmspc, 6),
                                cert_der(r->pck->certs[1])};
    digest_parts(DIGEST_SHA256, parts, ARRAY_LEN(parts), out);
}

static bool same_items(const struct endorsements *e, const struct str items[INTEL_ITEM_COUNT])
{
    for (size_t i = 0; i < INTEL_ITEM_COUNT; i++)
        if (!str_equal(e->items[i], items[i]))
            return false;
    return true;
}

static bool keep_items(struct endorsements *e, const struct str items[INTEL_ITEM_COUNT])
{
    for (size_t i = 0; i < INTEL_ITEM_COUNT; i++) {
        e->items[i] = arena_str(&e->arena, items[i]);
        if (e->items[i].ptr == NULL)
            return false;
    }
    return true;
}

STATUS dcap_load_endorsements(struct dcap_run *r)
{
    struct verify *v = r->v;
    struct str items[INTEL_ITEM_COUNT];
    enum status st = find_items(r, items);
    if (st != OK)
        return st;
    const struct anchor *root = trusted_root(v, r->pck->certs[2]);

    struct digest key, issuer;
    void *known = NULL;
    endorsements_key(r, &key);
    if (verifier_cache_get(v->req->cache, &key, v->req->now_s, &issuer, &endorsement_sets,
                           &known)) {
        if (str_equal(digest_str(&issuer), digest_str(&root->spki)) && same_items(known, items)) {
            r->endorsed = known;
            PASS(v, CHECK_COLLATERAL);
            return OK;
        }
        endorsements_unref(known);
    }

    CLEANUP(endorsements_cleanup) struct endorsements *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return error_nomem(v->err);
    e->refs = 1;
    e->earliest_issue_s = e->earliest_expiration_s = INT64_MAX;
    e->latest_issue_s = INT64_MIN;
    arena_init(&e->arena, ENDORSEMENTS_MEMORY_MAX);
    st = build(r, e, items, root);
    if (st != OK)
        return st;
    if (v->req->cache != NULL && keep_items(e, items))
        verifier_cache_put(v->req->cache, &key, INT64_MAX, &root->spki, &endorsement_sets, e);
    r->endorsed = TAKE(e);
    PASS(v, CHECK_COLLATERAL);
    return OK;
}
