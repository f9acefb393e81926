/*
 * Real evidence of AMD's machines and of TPMs: every change of one byte of a
 * signed or hashed part, certificates of other machines, of no machine, past
 * their end, and signatures by keys of ours are refused as predicted
 * (mutants.h).
 */
#include <stdio.h>

#include "base/encode.h"
#include "mutants.h"
#include "verifier/snp/report.h"

#include "tap.h"

/* ---- a report's bytes ---- */

static void sweep_report_bytes(struct sweep *s, const struct subject *x, const struct member *m,
                               size_t at)
{
    bool numbered = load_le32(m->bytes.ptr + at) >= 3; /* names its processor */
    bool mitigations = load_le32(m->bytes.ptr + at) >= 5;
    const struct {
        const char *part;
        size_t from, to;
    } rows[] = {
        {"report-version", 0x00, 0x04},
        {"report", 0x04, 0x4c},
        {"report-reserved", 0x4c, 0x50},
        {"variable-data-digest", 0x50, 0x70},
        {"report", 0x70, 0x180},
        {"reported-tcb", 0x180, 0x188},
        {numbered ? "cpuid" : "report-reserved", 0x188, 0x18a},
        {numbered ? "report" : "report-reserved", 0x18a, 0x18b},
        {"report-reserved", 0x18b, 0x1a0},
        {"report", 0x1a0, 0x1eb},
        {"report-reserved", 0x1eb, 0x1ec},
        {"report", 0x1ec, 0x1ef},
        {"report-reserved", 0x1ef, 0x1f0},
        {"report", 0x1f0, 0x1f8},
        {mitigations ? "report" : "report-reserved", 0x1f8, 0x208},
        {"report-reserved", 0x208, SNP_SIGNED_LEN},
        {"report-signature", SNP_SIGNED_LEN, 0x330},
        {"report-reserved", 0x330, SNP_REPORT_LEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        sweep_member(s, x, m, rows[i].part, at + rows[i].from, at + rows[i].to, CHANGE_BITS);
}

/* r and s as AMD writes them: little-endian, 72 bytes each. */
static bool sign_report(struct str signed_part, uint8_t out[2 * SNP_SIGNATURE_PART])
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, SIGNATURE_MAX);
    if (!CHECK(privkey_generate(KEY_EC_P384, 0, &key, NULL) == OK &&
               privkey_sign(key, SIG_ECDSA_RAW, DIGEST_SHA384, signed_part, &sig, NULL) == OK &&
               sig.len == 96))
        return false;
    memset(out, 0, 2 * SNP_SIGNATURE_PART);
    for (size_t i = 0; i < 48; i++) {
        out[i] = (uint8_t)sig.ptr[47 - i];
        out[SNP_SIGNATURE_PART + i] = (uint8_t)sig.ptr[95 - i];
    }
    return true;
}

static bool sign_quote(struct arena *a, struct str message, struct str *out)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, SIGNATURE_MAX);
    bool good = CHECK(privkey_generate(KEY_RSA, 2048, &key, NULL) == OK &&
                      privkey_sign(key, SIG_RSA_PKCS1, DIGEST_SHA256, message, &sig, NULL) == OK);
    *out = arena_str(a, buf_str(&sig));
    return good;
}

/* ---- Azure ---- */

struct azure {
    const char *file;
    enum era era;
    enum form bytes, text; /* of quote; of report and certificate */
    const char *quote, *report;
    struct member signature, message, blob, vcek;
    struct subject x;
};

static bool azure_open(struct arena *a, struct azure *z)
{
    char path[128], pointer[64];
    snprintf(path, sizeof(path), "az-snp-vtpm/%s.evidence.json", z->file);
    z->x = (struct subject){.name = z->file,
                            .tee = "az-snp-vtpm",
                            .evidence = vector_json(a, path),
                            .era = z->era,
                            .now_s = VECTOR_NOW_S};
    snprintf(path, sizeof(path), "az-snp-vtpm/%s.expected.json", z->file);
    z->x.report_data = value_get_lit(vector_json(a, path), "report_data");
    bool v0 = z->bytes == FORM_ARRAY;
    z->quote = v0 ? "/quote" : "/tpm_quote";
    z->report = v0 ? "/report" : "/hcl_report";
    value e = z->x.evidence;
    snprintf(pointer, sizeof(pointer), "%s/signature", z->quote);
    bool good = member_read(a, e, arena_str(a, str_of(pointer)).ptr, z->bytes, &z->signature);
    snprintf(pointer, sizeof(pointer), "%s/message", z->quote);
    good = member_read(a, e, arena_str(a, str_of(pointer)).ptr, z->bytes, &z->message) && good;
    good = member_read(a, e, z->report, v0 ? FORM_ARRAY : FORM_BASE64_URL, &z->blob) && good;
    return member_read(a, e, "/vcek", v0 ? FORM_TEXT : FORM_BASE64_URL, &z->vcek) && good;
}

static void sweep_pcrs(struct sweep *s, const struct subject *x, const char *quote, enum form form)
{
    for (unsigned i = 0; i < 24; i++) {
        char pointer[64];
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct member pcr;
        snprintf(pointer, sizeof(pointer), "%s/pcrs/%u", quote, i);
        if (member_read(&a, x->evidence, pointer, form, &pcr))
            sweep_member(s, x, &pcr, "pcr", 0, pcr.bytes.len, CHANGE_ALL);
    }
}

/* Whole certificates and signatures in the place of others. */
static void sweep_azure_endorsements(struct sweep *s, const struct azure *z,
                                     const struct azure *others, size_t n)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    for (size_t i = 0; i < n; i++)
        if (others[i].vcek.form == z->vcek.form && !str_equal(others[i].vcek.bytes, z->vcek.bytes))
            judge(s, &a, &z->x, member_replace(&a, z->x.evidence, &z->vcek, others[i].vcek.bytes),
                  "vcek-swapped", i, 0);
    judge(s, &a, &z->x,
          value_object_with(&a, z->x.evidence, value_cstring(&a, "vcek"), VALUE_UNDEFINED),
          "vcek-left-out", 0, 0);
    static const int64_t moments[] = {0, 4102444800}; /* 1970, 2100 */
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        struct subject x = z->x;
        x.now_s = moments[i];
        judge(s, &a, &x, x.evidence, "vcek-expired", i, 0);
    }

    struct str sig;
    if (sign_quote(&a, z->message.bytes, &sig))
        judge(s, &a, &z->x, member_replace(&a, z->x.evidence, &z->signature, sig),
              "quote-wrong-key", 0, 0);
    uint8_t raw[2 * SNP_SIGNATURE_PART];
    if (sign_report(str_slice(z->blob.bytes, 0x20, SNP_SIGNED_LEN), raw)) {
        char *blob = arena_alloc(&a, z->blob.bytes.len + 1);
        memcpy(blob, z->blob.bytes.ptr, z->blob.bytes.len);
        memcpy(blob + 0x20 + SNP_SIGNED_LEN, raw, sizeof(raw));
        judge(s, &a, &z->x,
              member_replace(&a, z->x.evidence, &z->blob, str_bytes(blob, z->blob.bytes.len)),
              "report-wrong-key", 0, 0);
    }
}

static void sweep_azure(struct sweep *s)
{
    struct azure rows[] = {
        {"v0", ERA_NEW, FORM_ARRAY, FORM_ARRAY},
        {"v1", ERA_NEW, FORM_HEX, FORM_BASE64_URL},
        {"v2", ERA_NEW, FORM_HEX, FORM_BASE64_URL},
        {"milan-empty-nonce", ERA_NEW, FORM_HEX, FORM_BASE64_URL},
        {"milan-report-v2", ERA_OLD, FORM_HEX, FORM_BASE64_URL},
    };
    CLEANUP(arena_done) struct arena keep;
    arena_init(&keep, 64 * 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!azure_open(&keep, &rows[i]) || !subject_passes(s, &rows[i].x))
            return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct azure *z = &rows[i];
        struct str blob = z->blob.bytes;
        sweep_member(s, &z->x, &z->signature, "quote-signature", 0, z->signature.bytes.len,
                     CHANGE_ALL);
        sweep_member(s, &z->x, &z->message, "quote-message", 0, z->message.bytes.len, CHANGE_ALL);
        sweep_pcrs(s, &z->x, z->quote, z->bytes);
        sweep_report_bytes(s, &z->x, &z->blob, 0x20);
        sweep_member(s, &z->x, &z->blob, "variable-data", 0x4d4,
                     0x4d4 + load_le32(blob.ptr + 0x4d0), CHANGE_BITS);
        sweep_member(s, &z->x, &z->vcek, "vcek", 0, z->vcek.bytes.len,
                     z->vcek.form == FORM_TEXT ? CHANGE_LETTER : CHANGE_BITS);
        sweep_azure_endorsements(s, z, rows, ARRAY_LEN(rows));
    }
}

/* ---- plain SNP: a report in JSON ---- */

static size_t count_numbers(value v)
{
    size_t n = value_kind(v) == VALUE_KIND_NUMBER;
    for (size_t i = 0; value_is_array(v) && i < value_len(v); i++)
        n += count_numbers(value_items(v)[i]);
    for (size_t i = 0; value_is_object(v) && i < value_len(v); i++)
        n += count_numbers(value_pairs(v)[i].val);
    return n;
}

/* The index-th number below a member with some bits changed. */
static value change_number(struct arena *a, value v, size_t *index, uint8_t change)
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(v));
    if (value_kind(v) == VALUE_KIND_NUMBER) {
        uint64_t n = 0;
        return (*index)-- == 0 && value_get_uint64(v, &n) ? value_uint(a, n ^ change) : v;
    }
    if (value_is_array(v)) {
        for (size_t i = 0; i < value_len(v); i++)
            value_builder_add(&b, change_number(a, value_items(v)[i], index, change));
        return value_array_finish(&b);
    }
    if (value_is_object(v)) {
        for (size_t i = 0; i < value_len(v); i++)
            value_builder_put(&b, value_pairs(v)[i].key,
                              change_number(a, value_pairs(v)[i].val, index, change));
        return value_object_finish(&b, VALUE_DUP_LAST, NULL);
    }
    return v;
}

/* `from`: of the numbers below the member, objects in order of keys. */
static const char *part_of(const struct value_pair *member, size_t index)
{
    struct str name = value_str(member->key);
    if (str_is(name, "version"))
        return "report-version";
    if (str_is(name, "cpuid_fam_id") || str_is(name, "cpuid_mod_id"))
        return "cpuid";
    if (str_has_prefix(name, STR("_reserved")))
        return "report-reserved";
    if (!str_is(name, "signature"))
        return "report";
    /* The old shape has bytes behind the signature. */
    return index < count_numbers(value_get_lit(member->val, "_reserved")) ? "report-reserved"
                                                                          : "report-signature";
}

static void sweep_numbers(struct sweep *s, const struct subject *x)
{
    static const char none[256];
    value report = value_get_lit(x->evidence, "attestation_report");
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    for (size_t m = 0; m < value_len(report); m++) {
        const struct value_pair *pair = &value_pairs(report)[m];
        size_t n = count_numbers(pair->val);
        for (size_t from = 0; from < n; from += sizeof(none)) { /* 0 ^ the change is the change */
            struct walk w;
            size_t len = n - from < sizeof(none) ? n - from : sizeof(none);
            walk_init(&w, s, str_bytes(none, sizeof(none)), 0, len, CHANGE_BITS);
            while (walk_next(&w)) {
                arena_reset(&a);
                size_t index = from + w.at;
                value member = change_number(&a, pair->val, &index, w.value);
                value e =
                    value_object_with(&a, x->evidence, value_cstring(&a, "attestation_report"),
                                      value_object_with(&a, report, pair->key, member));
                judge(s, &a, x, e, part_of(pair, from + w.at), from + w.at, w.value);
            }
        }
    }
}

struct snp {
    const char *file;
    enum era era;
    struct member vek;
    struct subject x;
};

static void sweep_snp_endorsements(struct sweep *s, const struct snp *z, const struct snp *others,
                                   size_t n)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    const struct subject *x = &z->x;
    for (size_t i = 0; i < n; i++)
        if (!str_equal(others[i].vek.bytes, z->vek.bytes))
            judge(s, &a, x, member_replace(&a, x->evidence, &z->vek, others[i].vek.bytes),
                  "vek-swapped", i, 0);
    value key = value_cstring(&a, "cert_chain");
    judge(s, &a, x, value_object_with(&a, x->evidence, key, value_array(&a, NULL, 0)),
          "vek-left-out", 0, 0);
    judge(s, &a, x, value_object_with(&a, x->evidence, key, VALUE_NULL), "vek-not-at-hand", 0, 0);
    static const int64_t moments[] = {0, 4102444800}; /* 1970, 2100 */
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        struct subject then = *x;
        then.now_s = moments[i];
        judge(s, &a, &then, x->evidence, "vek-expired", i, 0);
    }

    uint8_t bytes[SNP_REPORT_LEN], raw[2 * SNP_SIGNATURE_PART];
    const char *field, *wanted;
    const struct member r = {"/attestation_report/signature/r", FORM_ARRAY, STR_EMPTY};
    const struct member v = {"/attestation_report/signature/s", FORM_ARRAY, STR_EMPTY};
    if (CHECK(snp_report_from_json(&a, value_get_lit(x->evidence, "attestation_report"), bytes,
                                   &field, &wanted) == OK) &&
        sign_report(str_bytes(bytes, SNP_SIGNED_LEN), raw)) {
        value e = member_replace(&a, x->evidence, &r, str_bytes(raw, SNP_SIGNATURE_PART));
        e = member_replace(&a, e, &v, str_bytes(raw + SNP_SIGNATURE_PART, SNP_SIGNATURE_PART));
        judge(s, &a, x, e, "report-wrong-key", 0, 0);
    }
}

static void sweep_snp(struct sweep *s)
{
    struct snp rows[] = {
        {"genoa-v3-aci", ERA_NEW}, {"genoa-v3-e2e", ERA_NEW},       {"milan-v3-aci", ERA_NEW},
        {"turin-v5-aci", ERA_NEW}, {"milan-v2", ERA_OLD},           {"milan-v2-aci", ERA_OLD},
        {"milan-v2-gce", ERA_OLD}, {"milan-v2-e2e-v0.12", ERA_OLD},
    };
    CLEANUP(arena_done) struct arena keep;
    arena_init(&keep, 64 * 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snp *z = &rows[i];
        char path[128];
        snprintf(path, sizeof(path), "snp/%s.evidence.json", z->file);
        z->x = (struct subject){.name = z->file,
                                .tee = "snp",
                                .evidence = vector_json(&keep, path),
                                .report_data = VALUE_NULL,
                                .era = z->era,
                                .now_s = VECTOR_NOW_S};
        if (!member_read(&keep, z->x.evidence, "/cert_chain/0/data", FORM_ARRAY, &z->vek) ||
            !subject_passes(s, &z->x))
            return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct snp *z = &rows[i];
        bool pem = z->vek.bytes.ptr[0] == '-';
        sweep_numbers(s, &z->x);
        sweep_member(s, &z->x, &z->vek, "vek", 0, z->vek.bytes.len,
                     pem ? CHANGE_LETTER : CHANGE_BITS);
        sweep_snp_endorsements(s, z, rows, ARRAY_LEN(rows));
    }
}

/* ---- a TPM ---- */

static void sweep_tpm(struct sweep *s)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    const struct subject x = {.name = "tpm-live",
                              .tee = "tpm",
                              .evidence = vector_json(&a, "tpm/tpm-live.evidence.json"),
                              .report_data = VALUE_NULL,
                              .era = ERA_NEW,
                              .now_s = VECTOR_NOW_S};
    struct member ak, signature, message;
    if (!subject_passes(s, &x) || !member_read(&a, x.evidence, "/ak_public", FORM_BASE64, &ak) ||
        !member_read(&a, x.evidence, "/tpm_quote/signature", FORM_BASE64, &signature) ||
        !member_read(&a, x.evidence, "/tpm_quote/message", FORM_BASE64, &message))
        return;
    sweep_member(s, &x, &ak, "ak", 0, ak.bytes.len, CHANGE_BITS);
    sweep_member(s, &x, &signature, "signature-algorithm", 0, 4, CHANGE_ALL);
    sweep_member(s, &x, &signature, "signature-size", 4, 6, CHANGE_ALL);
    sweep_member(s, &x, &signature, "quote-signature", 6, signature.bytes.len, CHANGE_ALL);
    sweep_member(s, &x, &message, "quote-message", 0, message.bytes.len, CHANGE_ALL);
    sweep_pcrs(s, &x, "/tpm_quote", FORM_HEX);

    struct str sig;
    if (sign_quote(&a, message.bytes, &sig)) {
        char *whole = arena_alloc(&a, 6 + sig.len);
        memcpy(whole, signature.bytes.ptr, 6); /* as long as the real one */
        memcpy(whole + 6, sig.ptr, sig.len);
        judge(s, &a, &x, member_replace(&a, x.evidence, &signature, str_bytes(whole, 6 + sig.len)),
              "quote-wrong-key", 0, 0);
    }
}

int main(void)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return tap_done();
    CLEANUP(sweep_done) struct sweep s;
    if (!sweep_init(&s))
        return tap_done();
    if (verifier_find(STR("az-snp-vtpm")) != NULL)
        sweep_azure(&s);
    if (verifier_find(STR("snp")) != NULL)
        sweep_snp(&s);
    if (verifier_find(STR("tpm")) != NULL)
        sweep_tpm(&s);
    sweep_report(&s, MUTANTS_AT_LEAST(4000), MUTANTS_AT_LEAST(1000000));
    return tap_done();
}
