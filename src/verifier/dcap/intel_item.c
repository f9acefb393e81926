#include "verifier/dcap/intel_item.h"

#include "base/encode.h"
#include "value/json.h"
#include "verifier/dcap/raw_json.h"
#include "verifier/dcap/tcb.h"
#include "verifier/verifier_internal.h"

#define ITEM_MEMORY_MAX (16 * 1024 * 1024)

bool intel_name_has(struct str s, const char *part)
{
    return s.len > 0 && memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

bool intel_issued_by(const struct cert *c, const struct cert *issuer)
{
    CLEANUP(buf_done) struct buf a;
    CLEANUP(buf_done) struct buf b;
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    return cert_issuer_text(c, &a) == OK && cert_subject_text(issuer, &b) == OK &&
           str_equal(buf_str(&a), buf_str(&b)) &&
           cert_signed_by(c, cert_pubkey(issuer), NULL) == OK;
}

bool intel_is_root(const struct cert *c)
{
    return intel_name_has(cert_subject_cn(c), "SGX Root CA") && intel_issued_by(c, c);
}

/* %XX of headers, undone; text without any is returned as it is. */
static struct str percent_decode(struct arena *a, struct str s)
{
    if (str_find(s, '%', 0) == s.len)
        return s;
    char *out = arena_alloc(a, s.len + 1);
    if (out == NULL)
        return (struct str){NULL, 0};
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int hi = s.ptr[i] == '%' && i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(s.ptr[i + 2]) : -1;
        if (lo >= 0) {
            out[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = s.ptr[i];
        }
    }
    return (struct str){out, n};
}

STATUS intel_chain_load(struct arena *a, struct str pem, const char *cn, struct cert *out[2])
{
    struct cert *certs[CERT_CHAIN_MAX];
    size_t count = 0;
    pem = percent_decode(a, pem);
    enum status st = pem.ptr == NULL ? ERR_NOMEM : cert_list_from_pem(pem, certs, &count, NULL);
    if (st == ERR_NOMEM)
        return st;
    if (st != OK)
        return ERR_INVALID;
    bool good = count == 2 && intel_name_has(cert_subject_cn(certs[0]), cn) &&
                intel_is_root(certs[1]) && intel_issued_by(certs[0], certs[1]);
    for (size_t i = 0; i < count; i++) {
        if (good)
            out[i] = cert_ref(certs[i]);
        cert_unref(certs[i]);
    }
    return good ? OK : ERR_INVALID;
}

/* DER, PEM, or hexadecimal of either (4.1). */
static enum status parse_crl(struct arena *a, struct str bytes, struct crl **out)
{
    struct str raw = bytes, trimmed = str_trim(bytes);
    if (trimmed.len > 1 && hex_digit(trimmed.ptr[0]) >= 0 && hex_digit(trimmed.ptr[1]) >= 0 &&
        hex_bytes(a, trimmed, &raw, NULL) != OK)
        raw = bytes;
    return str_has_prefix(raw, STR("-----BEGIN")) ? crl_from_pem(raw, out, NULL)
                                                  : crl_from_der(raw, out, NULL);
}

STATUS intel_crl_load(struct arena *a, struct str bytes, struct str issuer_cn,
                      const struct pubkey *key, struct crl **out, uint64_t *number)
{
    CLEANUP(crl_cleanup) struct crl *crl = NULL;
    enum status st = parse_crl(a, bytes, &crl);
    if (st == ERR_NOMEM)
        return st;
    if (st != OK || !str_equal(crl_issuer_cn(crl), issuer_cn) ||
        crl_signed_by(crl, key, NULL) != OK || crl_number(crl, number) != OK ||
        !crl_has_authority_key_id(crl))
        return ERR_INVALID;
    *out = TAKE(crl);
    return OK;
}

STATUS intel_text_load(struct arena *a, struct str body, const char *member,
                       const struct pubkey *key, value *out)
{
    const struct json_options options = {JSON_DUP_REFUSE, 32};
    value root = VALUE_UNDEFINED;
    struct str text, signature;
    enum status st = json_parse(a, body, &options, &root, NULL);
    if (st == ERR_NOMEM)
        return st;
    *out = value_get_str(root, str_of(member));
    if (st != OK || !value_is_object(*out) || !json_raw_member(body, member, &text))
        return ERR_INVALID;
    struct str compact = json_raw_compact(a, text); /* BUG intel-b2: order and case are kept */
    if (compact.ptr == NULL)
        return ERR_NOMEM;
    if (evidence_hex(a, value_get_lit(root, "signature"), 64, &signature) != OK ||
        pubkey_verify(key, SIG_ECDSA_RAW, DIGEST_SHA256, compact, signature, NULL) != OK)
        return ERR_DENIED;
    return OK;
}

/* ---- one item ---- */

struct item_run {
    struct arena arena;
    const struct anchors *anchors;
    const struct intel_name *name;
    struct cert *certs[2]; /* signer, root */
    struct crl *crl;
    struct collateral_dates *out;
    struct error *err;
};

static void item_run_done(struct item_run *c)
{
    cert_unref(c->certs[0]);
    cert_unref(c->certs[1]);
    crl_free(c->crl);
    arena_done(&c->arena);
}

static enum status refuse(struct item_run *c, enum status st, const char *why)
{
    if (st == ERR_NOMEM)
        return error_nomem(c->err);
    error_set(c->err, "%s", why);
    return ERR_DENIED;
}

static enum status check_chain(struct item_run *c, struct str chain, const char *cn)
{
    if (chain.len == 0)
        return refuse(c, ERR_INVALID, "it came without its issuer chain");
    enum status st = intel_chain_load(&c->arena, chain, cn, c->certs);
    if (st != OK)
        return refuse(c, st, "its issuer chain does not hold");
    const struct anchor *an = NULL;
    bool trusted = false;
    for (size_t i = 0; !trusted && (an = anchors_find(c->anchors, "intel-sgx-root-ca", i)) != NULL;
         i++)
        trusted = pubkey_equal(an->key, cert_pubkey(c->certs[1]));
    if (!trusted)
        return refuse(c, ERR_DENIED, "its issuer chain leads to no trusted root");
    for (size_t i = 0; i < 2; i++)
        if (cert_not_after(c->certs[i]) < c->out->next_s)
            c->out->next_s = cert_not_after(c->certs[i]);
    return OK;
}

static void note(struct item_run *c, int64_t issued_s, int64_t next_s)
{
    c->out->issued_s = issued_s;
    if (next_s < c->out->next_s)
        c->out->next_s = next_s;
}

static enum status check_tcb_info(struct item_run *c, struct str body)
{
    value v;
    struct tcb_info t;
    const char *why = "";
    enum status st = intel_text_load(&c->arena, body, "tcbInfo", cert_pubkey(c->certs[0]), &v);
    if (st != OK)
        return refuse(c, st,
                      st == ERR_DENIED ? "its signature is wrong" : "it is no TCB information");
    st = tcb_info_parse(&c->arena, v, &t, &why);
    if (st != OK)
        return refuse(c, st, why);
    char fmspc[13];
    intel_fmspc_text(t.fmspc, fmspc);
    if (t.tdx != c->name->tdx || strcmp(fmspc, c->name->fmspc) != 0)
        return refuse(c, ERR_DENIED, "it is of another platform than was asked for");
    note(c, t.issue_s, t.next_s);
    return OK;
}

static enum status check_identity(struct item_run *c, struct str body)
{
    value v;
    struct qe_identity q;
    const char *why = "";
    enum status st =
        intel_text_load(&c->arena, body, "enclaveIdentity", cert_pubkey(c->certs[0]), &v);
    if (st != OK)
        return refuse(c, st, st == ERR_DENIED ? "its signature is wrong" : "it is no QE identity");
    st = qe_identity_parse(&c->arena, v, &q, &why);
    if (st != OK)
        return refuse(c, st, why);
    if (q.td_qe != c->name->tdx)
        return refuse(c, ERR_DENIED, "it is of another enclave than was asked for");
    note(c, q.issue_s, q.next_s);
    return OK;
}

static enum status check_pck_crl(struct item_run *c, struct str body)
{
    uint64_t number;
    struct str cn = cert_subject_cn(c->certs[0]);
    if (!str_is(cn, c->name->platform ? "Intel SGX PCK Platform CA" : "Intel SGX PCK Processor CA"))
        return refuse(c, ERR_DENIED, "it is of another CA than was asked for");
    enum status st =
        intel_crl_load(&c->arena, body, cn, cert_pubkey(c->certs[0]), &c->crl, &number);
    if (st != OK)
        return refuse(c, st, "it is no revocation list of that CA");
    note(c, crl_this_update(c->crl), crl_next_update(c->crl));
    return OK;
}

static enum status check_root_crl(struct item_run *c, struct str body)
{
    const struct anchor *an;
    uint64_t number;
    enum status st = ERR_INVALID;
    for (size_t i = 0;
         st == ERR_INVALID && (an = anchors_find(c->anchors, "intel-sgx-root-ca", i)) != NULL; i++)
        st = intel_crl_load(&c->arena, body, STR("Intel SGX Root CA"), an->key, &c->crl, &number);
    if (st != OK)
        return refuse(c, st, "it is no revocation list of a trusted root");
    note(c, crl_this_update(c->crl), crl_next_update(c->crl));
    return OK;
}

STATUS intel_item_check(const struct anchors *anchors, const struct intel_name *name,
                        struct str body, struct str chain, struct collateral_dates *out,
                        struct error *err)
{
    *out = (struct collateral_dates){.next_s = INT64_MAX};
    CLEANUP(item_run_done)
    struct item_run c = {.anchors = anchors, .name = name, .out = out, .err = err};
    arena_init(&c.arena, ITEM_MEMORY_MAX);
    enum status st;
    switch (name->item) {
    case INTEL_TCB_INFO:
        st = check_chain(&c, chain, "SGX TCB Signing");
        return st == OK ? check_tcb_info(&c, body) : st;
    case INTEL_QE_IDENTITY:
        st = check_chain(&c, chain, "SGX TCB Signing");
        return st == OK ? check_identity(&c, body) : st;
    case INTEL_PCK_CRL:
        st = check_chain(&c, chain, "CA");
        return st == OK ? check_pck_crl(&c, body) : st;
    case INTEL_ROOT_CRL:
        return check_root_crl(&c, body);
    default:
        return refuse(&c, ERR_INVALID, "a chain is no item by itself");
    }
}
