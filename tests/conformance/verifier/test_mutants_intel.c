/*
 * Real quotes and collateral of Intel's: every change of one byte of a signed
 * or hashed part, and every item of collateral left out, cut, swapped with a
 * valid one of another platform or signed by a key of ours, is refused as
 * predicted (mutants.h).
 *
 * Collateral past its date is no mutant: Intel's library and upstream accept it
 * and say so in a claim, which test_intel.c looks at.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "eventlog/eventlog.h"
#include "mutants.h"
#include "value/json.h"
#include "verifier/collateral_set.h"
#include "verifier/dcap/intel_url.h"
#include "verifier/dcap/pck.h"
#include "verifier/dcap/quote.h"
#include "verifier/dcap/raw_json.h"

#include "tap.h"

#define SERVICE STR("https://api.trustedservices.intel.com")

/* A collateral set of which one item is something else. */
struct altered {
    const struct collateral *base;
    enum intel_item item;
    bool active, missing;
    struct str bytes;
};

static bool find_altered(void *user, struct str url, struct str *bytes)
{
    const struct altered *alt = user;
    struct intel_name n;
    if (alt->active && intel_url_parse(url, &n) && n.item == alt->item) {
        *bytes = alt->bytes;
        return !alt->missing;
    }
    return alt->base->find(alt->base->user, url, bytes);
}

/* A machine of Intel's and its collateral. */
struct intel {
    const char *tee, *file, *bundle, *at; /* bundle NULL: from the vector's expected.json */
    const char *quote;                    /* pointer of the quote */
    enum form form;
    bool whole; /* every value of every byte of the quote, else every bit */
    struct member m;
    struct dcap_quote q;
    bool platform;
    char fmspc[13];
    struct collateral_set *set;
    struct altered altered;
    struct collateral face;
    struct subject x;
};

static struct intel rows[] = {
    {"tdx", "v5-90c06f-uptodate", "tdx-90c06f-2026-03", "2026-03-17T22:06:09Z", "/quote",
     FORM_BASE64, true},
    {"tdx", "v4-b0c06f-uptodate", "tdx-b0c06f-2025-06", "2025-06-20T10:16:03Z", "/quote",
     FORM_BASE64, false},
    {"tdx", "v4-debug-50806f", "tdx-50806f-2026-03", "2026-03-17T22:21:30Z", "/quote", FORM_BASE64,
     false},
    {"tdx", "v4-aael-50806f", "tdx-50806f-2026-03", "2026-03-17T22:21:30Z", "/quote", FORM_BASE64,
     false},
    {"tdx", "v4-50806f-oe", "tdx-50806f-2026-03", "2026-03-17T22:21:30Z", "/quote", FORM_BASE64,
     false},
    {"tdx", "v4-00806f05-gcp-ccel", "tdx-00806f05-2025-02", "2025-02-14T03:50:41Z", "/quote",
     FORM_BASE64, false},
    {"sgx", "v3-00a067-processor-ca", "sgx-00a067110000-2025-06", "2025-06-20T10:56:11Z", "/quote",
     FORM_BASE64, true},
    {"az-tdx-vtpm", "v0", NULL, NULL, "/td_quote", FORM_ARRAY, false},
    {"az-tdx-vtpm", "v1", NULL, NULL, "/td_quote", FORM_BASE64_URL, false},
};

static bool load_set(struct arena *a, struct intel *m, struct str bundle)
{
    char path[256];
    snprintf(path, sizeof(path), "vectors/verifiers/dcap-collateral/%.*s.json", STR_ARG(bundle));
    struct error err = ERROR_INIT;
    enum status st = collateral_set_new(false, &m->set, &err);
    if (st == OK)
        st = collateral_set_add(m->set, tap_shared(path), &err);
    m->altered.base = st == OK ? collateral_set_get(m->set) : NULL;
    m->face = (struct collateral){find_altered, &m->altered};
    return CHECK_STATUS_ROW(st, OK, &err, path);
}

/* FMSPC and CA, which name the collateral, from the leaf's extension. */
static bool read_platform(struct intel *m)
{
    struct cert *certs[CERT_CHAIN_MAX];
    size_t n = 0;
    struct pck_info info = {0};
    const char *why = "";
    if (!CHECK(cert_list_from_pem(m->q.pck_chain, certs, &n, NULL) == OK && n == 3))
        return false;
    struct str ext;
    m->platform = str_is(cert_subject_cn(certs[1]), "Intel SGX PCK Platform CA");
    bool good = CHECK(cert_extension(certs[0], "1.2.840.113741.1.13.1", &ext) == OK &&
                      pck_parse(ext, m->platform, &info, &why) == OK);
    intel_fmspc_text(info.fmspc, m->fmspc);
    for (size_t i = 0; i < n; i++)
        cert_unref(certs[i]);
    return good;
}

static bool open_machine(struct sweep *s, struct arena *a, struct intel *m)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s.evidence.json", m->tee, m->file);
    value e = vector_json(a, path);
    snprintf(path, sizeof(path), "%s/%s.expected.json", m->tee, m->file);
    value want = vector_json(a, path), dcap = value_get_lit(want, "dcap");
    struct str bundle =
        m->bundle != NULL ? str_of(m->bundle) : value_str(value_get_lit(dcap, "collateral"));
    struct str at = m->at != NULL ? str_of(m->at) : value_str(value_get_lit(dcap, "at"));
    int64_t ns = 0;
    struct quote_fault fault;
    if (!CHECK(time_parse_rfc3339(at, &ns, NULL) == OK) || !load_set(a, m, bundle) ||
        !member_read(a, e, m->quote, m->form, &m->m) ||
        !CHECK(dcap_quote_parse(m->m.bytes, &m->q, &fault) == OK) || !read_platform(m))
        return false;
    m->x = (struct subject){
        .name = m->file,
        .tee = m->tee,
        .evidence = e,
        .report_data = m->form == FORM_BASE64 ? VALUE_NULL : value_get_lit(want, "report_data"),
        .era = ERA_NEW,
        .now_s = ns / NS_PER_S,
        .collateral = &m->face};
    return subject_passes(s, &m->x);
}

/* ---- the quote ---- */

static void sweep_quote(struct sweep *s, const struct intel *m)
{
    const struct dcap_quote *q = &m->q;
    struct str header = q->header;
    const struct {
        const char *part;
        struct str bytes;
    } parts[] = {
        {"quote-header-format", str_slice(header, 0, 8)}, /* version, key type, TEE */
        {"quote-header", str_slice(header, 8, 4)},
        {"quote-header-format", str_slice(header, 12, 16)}, /* vendor */
        {"quote-header", str_slice(header, 28, 20)},
        {"quote-descriptor", q->descriptor},
        {q->kind == QUOTE_SGX ? "quote-body" : "quote-body-module", str_slice(q->body, 0, 1 + 1)},
        {"quote-body", str_slice(q->body, 2, 62)},
        {q->kind == QUOTE_SGX ? "quote-body" : "quote-body-module", str_slice(q->body, 64, 56)},
        {"quote-body", str_from(q->body, 120)},
        {"quote-signature", q->signature},
        {"attestation-key", q->key},
        {"qe-report", q->qe_report},
        {"qe-signature", q->qe_signature},
        {"qe-auth-data", q->qe_auth},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].bytes.len == 0)
            continue;
        size_t from = (size_t)(parts[i].bytes.ptr - m->m.bytes.ptr);
        sweep_member(s, &m->x, &m->m, parts[i].part, from, from + parts[i].bytes.len,
                     m->whole ? CHANGE_ALL : CHANGE_BITS);
    }
    size_t from = (size_t)(q->pck_chain.ptr - m->m.bytes.ptr);
    sweep_member(s, &m->x, &m->m, "pck-chain", from, from + q->pck_chain.len, CHANGE_LETTER);
}

static bool sign_raw(struct privkey *key, struct str message, struct buf *sig)
{
    buf_reset(sig);
    return CHECK(privkey_sign(key, SIG_ECDSA_RAW, DIGEST_SHA256, message, sig, NULL) == OK &&
                 sig->len == 64);
}

static value with_part(struct arena *a, const struct intel *m, struct str part, struct str with)
{
    char *copy = arena_alloc(a, m->m.bytes.len + 1);
    memcpy(copy, m->m.bytes.ptr, m->m.bytes.len);
    memcpy(copy + (part.ptr - m->m.bytes.ptr), with.ptr, part.len);
    return member_replace(a, m->x.evidence, &m->m, str_bytes(copy, m->m.bytes.len));
}

static void sweep_wrong_keys(struct sweep *s, const struct intel *m)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, SIGNATURE_MAX);
    struct str x, y;
    if (!CHECK(privkey_generate(KEY_EC_P256, 0, &key, NULL) == OK &&
               pubkey_ec_xy(privkey_public(key), &a, &x, &y) == OK))
        return;
    if (sign_raw(key, m->q.signed_part, &sig))
        judge(s, &a, &m->x, with_part(&a, m, m->q.signature, buf_str(&sig)), "quote-wrong-key", 0,
              0);
    if (sign_raw(key, m->q.qe_report, &sig))
        judge(s, &a, &m->x, with_part(&a, m, m->q.qe_signature, buf_str(&sig)), "qe-wrong-key", 0,
              0);
    const struct str parts[] = {x, y};
    judge(s, &a, &m->x, with_part(&a, m, m->q.key, arena_join(&a, parts, 2)), "key-swapped", 0, 0);
}

/* ---- collateral ---- */

static struct str item_of(struct arena *a, const struct intel *m, enum intel_item item)
{
    struct intel_name n = {
        .item = item, .tdx = strcmp(m->tee, "sgx") != 0, .platform = m->platform};
    memcpy(n.fmspc, m->fmspc, sizeof(n.fmspc));
    struct str bytes = STR_EMPTY;
    m->altered.base->find(m->altered.base->user, intel_url(a, SERVICE, &n), &bytes);
    return bytes;
}

static void judge_item(struct sweep *s, struct arena *a, struct intel *m, enum intel_item item,
                       struct str bytes, const char *part, size_t at, unsigned change)
{
    m->altered.active = true;
    m->altered.item = item;
    m->altered.bytes = bytes;
    judge(s, a, &m->x, m->x.evidence, part, at, change);
    m->altered.active = false;
}

static bool is_chain(enum intel_item item)
{
    return item == INTEL_TCB_INFO_CHAIN || item == INTEL_QE_IDENTITY_CHAIN ||
           item == INTEL_PCK_CRL_CHAIN;
}

/* The text of a signed item, signed by a key of ours instead. */
static void judge_resigned(struct sweep *s, struct arena *a, struct intel *m, enum intel_item item,
                           struct str whole, const char *name)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, SIGNATURE_MAX);
    struct str text;
    if (!CHECK(json_raw_member(whole, name, &text) &&
               privkey_generate(KEY_EC_P256, 0, &key, NULL) == OK) ||
        !sign_raw(key, json_raw_compact(a, text), &sig))
        return;
    struct str bytes = arena_format(a, "{\"%s\":%.*s,\"signature\":\"%.*s\"}", name, STR_ARG(text),
                                    STR_ARG(hex_text(a, buf_str(&sig))));
    judge_item(s, a, m, item, bytes, "collateral-wrong-key", item, 0);
}

static void sweep_item(struct sweep *s, struct intel *m, enum intel_item item)
{
    CLEANUP(arena_done) struct arena keep;
    CLEANUP(arena_done) struct arena a;
    arena_init(&keep, 16 * 1024 * 1024);
    arena_init(&a, 64 * 1024 * 1024);
    struct str whole = item_of(&keep, m, item);
    if (!CHECK_ROW(whole.len > 0, m->file))
        return;
    if (item != INTEL_PCK_CRL_CHAIN) { /* a file of Intel's tool has none */
        m->altered.missing = true;
        judge_item(s, &a, m, item, STR_EMPTY, "collateral-left-out", item, 0);
        m->altered.missing = false;
    }
    judge_item(s, &a, m, item, str_slice(whole, 0, whole.len / 2), "collateral-cut", item, 0);
    judge_item(s, &a, m, item, STR("{}"), "collateral-cut", item, 1);
    if (item == INTEL_TCB_INFO)
        judge_resigned(s, &a, m, item, whole, "tcbInfo");
    if (item == INTEL_QE_IDENTITY)
        judge_resigned(s, &a, m, item, whole, "enclaveIdentity");

    struct walk w;
    walk_init(&w, s, whole, 0, whole.len, is_chain(item) ? CHANGE_LETTER : CHANGE_FEW);
    while (walk_next(&w)) {
        arena_reset(&a);
        judge_item(s, &a, m, item, walk_bytes(&a, &w),
                   is_chain(item) ? "collateral-chain" : "collateral", w.at, w.value);
    }
}

/* A valid item of another platform in the place of this one's. */
static void sweep_swapped(struct sweep *s, struct intel *m)
{
    static const enum intel_item items[] = {INTEL_TCB_INFO, INTEL_QE_IDENTITY, INTEL_PCK_CRL,
                                            INTEL_ROOT_CRL, INTEL_TCB_INFO_CHAIN};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct intel *other = &rows[i];
        if (other->set == NULL)
            continue;
        bool same_kind = (strcmp(other->tee, "sgx") == 0) == (strcmp(m->tee, "sgx") == 0);
        if (strcmp(other->fmspc, m->fmspc) != 0)
            judge_item(s, &a, m, INTEL_TCB_INFO, item_of(&a, other, INTEL_TCB_INFO),
                       "tcb-info-swapped", i, 0);
        if (!same_kind)
            judge_item(s, &a, m, INTEL_QE_IDENTITY, item_of(&a, other, INTEL_QE_IDENTITY),
                       "qe-identity-swapped", i, 0);
        if (other->platform != m->platform)
            judge_item(s, &a, m, INTEL_PCK_CRL, item_of(&a, other, INTEL_PCK_CRL),
                       "collateral-swapped", i, 0);
    }
    /* Each item of this machine in the place of each other one. */
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        for (size_t k = 0; k < ARRAY_LEN(items); k++)
            if (i != k)
                judge_item(s, &a, m, items[i], item_of(&a, m, items[k]), "collateral-swapped", i,
                           (unsigned)k);
}

/* ---- event logs: what the registers are hashes of ---- */

static void sweep_ccel(struct sweep *s, const struct intel *m)
{
    struct member log;
    struct eventlog parsed;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    if (!member_read(&a, m->x.evidence, "/cc_eventlog", FORM_BASE64, &log) ||
        !CHECK(eventlog_parse(&a, log.bytes, &parsed, NULL) == OK))
        return;
    size_t digests = 0;
    for (size_t i = 0; i < parsed.len; i++) {
        const struct event *e = &parsed.events[i];
        for (size_t k = 0; k < e->digest_count; k++) {
            struct str d = e->digests[k].bytes;
            if (e->index < 1 || e->index > 4 || e->digests[k].alg != EVENT_ALG_SHA384)
                continue;
            size_t from = (size_t)(d.ptr - log.bytes.ptr);
            sweep_member(s, &m->x, &log, "event-digest", from, from + d.len, CHANGE_BITS);
            digests++;
        }
    }
    CHECK(digests > 20);
}

static void sweep_aael(struct sweep *s, const struct intel *m)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    struct subject x = m->x;
    x.evidence = value_object_with(&a, x.evidence, value_cstring(&a, "aa_eventlog"),
                                   value_string(&a, vector_read(&a, "tdx/aael-v0.12/AAEL_data_1")));
    struct member log;
    if (!subject_passes(s, &x) || !member_read(&a, x.evidence, "/aa_eventlog", FORM_TEXT, &log))
        return;
    /* Letters only: what a JSON string may hold whatever its byte is. */
    struct walk w;
    CLEANUP(arena_done) struct arena b;
    arena_init(&b, 16 * 1024 * 1024);
    walk_init(&w, s, log.bytes, 0, log.bytes.len, CHANGE_LETTER);
    while (walk_next(&w)) {
        arena_reset(&b);
        judge(s, &b, &x, member_replace(&b, x.evidence, &log, walk_bytes(&b, &w)), "aael", w.at,
              w.value);
    }
}

/* ---- Azure's half of az-tdx-vtpm ---- */

static void sweep_azure(struct sweep *s, const struct intel *m)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    bool v0 = m->form == FORM_ARRAY;
    enum form form = v0 ? FORM_ARRAY : FORM_HEX;
    struct member signature, message, blob;
    if (!member_read(&a, m->x.evidence, "/tpm_quote/signature", form, &signature) ||
        !member_read(&a, m->x.evidence, "/tpm_quote/message", form, &message) ||
        !member_read(&a, m->x.evidence, "/hcl_report", m->form, &blob))
        return;
    sweep_member(s, &m->x, &signature, "tpm-signature", 0, signature.bytes.len, CHANGE_ALL);
    sweep_member(s, &m->x, &message, "tpm-message", 0, message.bytes.len, CHANGE_ALL);
    sweep_member(s, &m->x, &blob, "variable-data", 0x4d4, 0x4d4 + load_le32(blob.bytes.ptr + 0x4d0),
                 CHANGE_BITS);
    for (unsigned i = 0; i < 24; i++) {
        char pointer[64];
        struct member pcr;
        snprintf(pointer, sizeof(pointer), "/tpm_quote/pcrs/%u", i);
        if (member_read(&a, m->x.evidence, pointer, form, &pcr))
            sweep_member(s, &m->x, &pcr, "pcr", 0, pcr.bytes.len, CHANGE_ALL);
    }
}

static void sweep_machine(struct sweep *s, struct intel *m)
{
    bool azure = strcmp(m->tee, "az-tdx-vtpm") == 0;
    sweep_quote(s, m);
    sweep_wrong_keys(s, m);
    for (unsigned i = 0; i <= INTEL_ROOT_CRL; i++)
        sweep_item(s, m, (enum intel_item)i);
    sweep_swapped(s, m);
    if (azure)
        sweep_azure(s, m);
    if (strcmp(m->file, "v4-00806f05-gcp-ccel") == 0)
        sweep_ccel(s, m);
    if (strcmp(m->file, "v4-aael-50806f") == 0)
        sweep_aael(s, m);
}

int main(void)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return tap_done();
    CLEANUP(sweep_done) struct sweep s;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 256 * 1024 * 1024);
    if (!sweep_init(&s))
        return tap_done();
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (verifier_find(str_of(rows[i].tee)) != NULL)
            good = open_machine(&s, &a, &rows[i]) && good;
    for (size_t i = 0; good && i < ARRAY_LEN(rows); i++)
        if (rows[i].set != NULL)
            sweep_machine(&s, &rows[i]);
    sweep_report(&s, MUTANTS_AT_LEAST(2000), MUTANTS_AT_LEAST(1000000));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        collateral_set_free(rows[i].set);
    return tap_done();
}
