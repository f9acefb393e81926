/*
 * Every one-byte change of a signed or hashed part of real evidence is
 * refused, by a check that the changed part predicts.
 *
 * A seeded sample in the usual run; every byte, three ways each, with
 * CLAVIGER_LONG in the environment.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "verifier/snp/report.h"
#include "value/json.h"
#include "vectors.h"
#include "verifier/verifier_cache.h"

#include "tap.h"

#define SAMPLE 250 /* mutants a part in the usual run */
#define SEED 20261125u

/* Evidence of versions 1 and 2 taken apart. */
struct parts {
    struct str signature, message, pcrs[24], blob, vcek;
    value version, report_data;
};

struct part {
    const char *name;
    size_t from, to; /* of the blob, or of the whole part */
    /* Checks that may refuse it; CHECK_NONE ends the list. */
    enum check_id checks[6];
};

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static struct str text_of(struct arena *a, struct str bytes, bool hex)
{
    return hex ? hex_text(a, bytes) : base64_text(a, bytes, BASE64_URL_PAD);
}

static bool take_apart(struct arena *a, const char *file, struct parts *p)
{
    value e = vector_json(a, file);
    value q = value_get_lit(e, "tpm_quote"), pcrs = value_get_lit(q, "pcrs");
    if (!value_is_defined(e) ||
        hex_bytes(a, value_str(value_get_lit(q, "signature")), &p->signature, NULL) != OK ||
        hex_bytes(a, value_str(value_get_lit(q, "message")), &p->message, NULL) != OK ||
        base64_bytes(a, value_str(value_get_lit(e, "hcl_report")), BASE64_URL_ANY, &p->blob,
                     NULL) != OK ||
        base64_bytes(a, value_str(value_get_lit(e, "vcek")), BASE64_URL_ANY, &p->vcek, NULL) != OK)
        return false;
    for (size_t i = 0; i < 24; i++)
        if (hex_bytes(a, value_str(value_at(pcrs, i)), &p->pcrs[i], NULL) != OK)
            return false;
    p->version = value_get_lit(e, "version");
    return true;
}

static value put_together(struct arena *a, const struct parts *p)
{
    struct value_builder q, pcrs, e;
    value_builder_init(&pcrs, a, 24);
    for (size_t i = 0; i < 24; i++)
        value_builder_add(&pcrs, value_string(a, text_of(a, p->pcrs[i], true)));
    value_builder_init(&q, a, 3);
    value_builder_put_str(&q, "signature", value_string(a, text_of(a, p->signature, true)));
    value_builder_put_str(&q, "message", value_string(a, text_of(a, p->message, true)));
    value_builder_put_str(&q, "pcrs", value_array_finish(&pcrs));
    value_builder_init(&e, a, 4);
    value_builder_put_str(&e, "version", p->version);
    value_builder_put_str(&e, "tpm_quote", value_object_finish(&q, VALUE_DUP_LAST, NULL));
    value_builder_put_str(&e, "hcl_report", value_string(a, text_of(a, p->blob, false)));
    value_builder_put_str(&e, "vcek", value_string(a, text_of(a, p->vcek, false)));
    return value_object_finish(&e, VALUE_DUP_LAST, NULL);
}

static bool expected_check(const struct part *part, enum check_id got)
{
    for (size_t i = 0; i < ARRAY_LEN(part->checks) && part->checks[i] != CHECK_NONE; i++)
        if (part->checks[i] == got)
            return true;
    return false;
}

struct sweep {
    const struct anchors *anchors;
    struct verifier_cache *cache;
    value report_data;
    bool whole;
    size_t mutants, accepted, unexpected;
};

/* Evaluate one mutant; a change that is not refused, or elsewhere than predicted, is printed. */
static void judge(struct sweep *s, struct arena *a, const char *tee, const char *row,
                  const struct part *part, size_t at, uint8_t change, value evidence)
{
    struct vector_run run;
    vector_evaluate(a, tee, evidence, s->report_data, VALUE_NULL, ERA_NEW, VECTOR_NOW_S,
                    VALUE_UNDEFINED, NULL, s->anchors, &run);
    s->mutants++;
    if (run.status == OK) {
        s->accepted++;
        printf("# %s, %s: byte %zu ^ %02x is accepted\n", row, part->name, at, change);
    } else if (run.status != ERR_DENIED || !expected_check(part, run.checks.reason.check)) {
        s->unexpected++;
        printf("# %s, %s: byte %zu ^ %02x is refused by %s at %.*s: %s\n", row, part->name, at,
               change, check_name(run.checks.reason.check), STR_ARG(run.checks.reason.field),
               run.err.text);
    }
}

/* Changes to a part: every position with three patterns, or a seeded sample. */
struct mutants {
    const struct sweep *sweep;
    const struct part *part;
    uint32_t random;
    size_t count;
    size_t at;
    uint8_t change;
};

static bool next_mutant(struct mutants *m)
{
    static const uint8_t patterns[] = {0x01, 0x80, 0xff};
    size_t len = m->part->to - m->part->from, k = m->count++;
    if (m->sweep->whole) {
        m->at = m->part->from + k / ARRAY_LEN(patterns);
        m->change = patterns[k % ARRAY_LEN(patterns)];
        return k < len * ARRAY_LEN(patterns);
    }
    m->at = m->part->from + next_random(&m->random) % len;
    m->change = (uint8_t)(1u << (next_random(&m->random) & 7));
    return k < SAMPLE && k < len;
}

static struct str changed(struct arena *a, struct str bytes, size_t at, uint8_t change)
{
    char *p = arena_alloc(a, bytes.len + 1);
    memcpy(p, bytes.ptr, bytes.len);
    p[at] ^= (char)change;
    return str_bytes(p, bytes.len);
}

static void sweep_azure(struct sweep *s, const char *file)
{
    CLEANUP(arena_done) struct arena keep;
    arena_init(&keep, 16 * 1024 * 1024);
    struct parts whole;
    if (!take_apart(&keep, file, &whole))
        return;
    size_t variable = load_le32(whole.blob.ptr + 0x4d0);
    const struct part rows[] = {
        {"quote signature", 0, whole.signature.len, {CHECK_QUOTE_SIGNATURE}},
        {"quote message", 0, whole.message.len, {CHECK_QUOTE_SIGNATURE}},
        {"PCR value", 0, 24 * 32, {CHECK_PCR_DIGEST}},
        {"VCEK", 0, whole.vcek.len, {CHECK_CERTIFICATE_FORMAT, CHECK_CERTIFICATE_CHAIN}},
        {"hardware report, signed part",
         0x20,
         0x20 + SNP_SIGNED_LEN,
         {CHECK_REPORT_SIGNATURE, CHECK_TCB, CHECK_VARIABLE_DATA_DIGEST, CHECK_REPORT_RESERVED,
          CHECK_REPORT_VERSION, CHECK_PROCESSOR}},
        {"hardware report, generation",
         0x20 + 0x188,
         0x20 + 0x18a,
         {CHECK_PROCESSOR, CHECK_CERTIFICATE_CHAIN, CHECK_TCB, CHECK_REPORT_SIGNATURE}},
        {"hardware report, signature",
         0x20 + SNP_SIGNED_LEN,
         0x20 + SNP_SIGNED_LEN + 144,
         {CHECK_REPORT_SIGNATURE}},
        {"hardware report, end", 0x20 + 0x330, 0x20 + SNP_REPORT_LEN, {CHECK_REPORT_RESERVED}},
        {"variable data",
         0x4d4,
         0x4d4 + variable,
         {CHECK_VARIABLE_DATA_FORMAT, CHECK_ATTESTATION_KEY, CHECK_QUOTE_SIGNATURE,
          CHECK_VARIABLE_DATA_DIGEST, CHECK_USER_DATA}},
    };
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        struct mutants m = {.sweep = s, .part = &rows[r], .random = SEED};
        while (next_mutant(&m)) {
            size_t at = m.at;
            /* The generation's two bytes have a row of their own. */
            if (r == 4 && (at == 0x20 + 0x188 || at == 0x20 + 0x189))
                continue;
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, 16 * 1024 * 1024);
            struct parts p = whole;
            struct str *target = r == 0   ? &p.signature
                                 : r == 1 ? &p.message
                                 : r == 2 ? &p.pcrs[at / 32]
                                 : r == 3 ? &p.vcek
                                          : &p.blob;
            *target = changed(&a, *target, r == 2 ? at % 32 : at, m.change);
            judge(s, &a, "az-snp-vtpm", file, &rows[r], at, m.change, put_together(&a, &p));
        }
    }
}

/* A byte of the report's JSON form: an element of an array, or a number with a bit changed. */
static value change_member(struct arena *a, value v, size_t *index, uint8_t change)
{
    if (value_kind(v) == VALUE_KIND_NUMBER) {
        uint64_t n = 0;
        if ((*index)-- != 0 || !value_get_uint64(v, &n))
            return v;
        return value_uint(a, n ^ change);
    }
    if (value_is_array(v)) {
        struct value_builder b;
        value_builder_init(&b, a, value_len(v));
        for (size_t i = 0; i < value_len(v); i++)
            value_builder_add(&b, change_member(a, value_items(v)[i], index, change));
        return value_array_finish(&b);
    }
    if (value_is_object(v)) {
        struct value_builder b;
        value_builder_init(&b, a, value_len(v));
        for (size_t i = 0; i < value_len(v); i++)
            value_builder_put(&b, value_pairs(v)[i].key,
                              change_member(a, value_pairs(v)[i].val, index, change));
        return value_object_finish(&b, VALUE_DUP_LAST, NULL);
    }
    return v;
}

static size_t count_numbers(value v)
{
    size_t n = value_kind(v) == VALUE_KIND_NUMBER;
    for (size_t i = 0; value_is_array(v) && i < value_len(v); i++)
        n += count_numbers(value_items(v)[i]);
    for (size_t i = 0; value_is_object(v) && i < value_len(v); i++)
        n += count_numbers(value_pairs(v)[i].val);
    return n;
}

static void sweep_snp(struct sweep *s, const char *file)
{
    CLEANUP(arena_done) struct arena keep;
    arena_init(&keep, 64 * 1024 * 1024);
    value e = vector_json(&keep, file);
    if (!value_is_defined(e))
        return;
    const struct {
        const char *member;
        struct part part;
    } rows[] = {
        {"attestation_report",
         {"report",
          0,
          0,
          {CHECK_REPORT_SIGNATURE, CHECK_REPORT_VERSION, CHECK_PROCESSOR, CHECK_CERTIFICATE_CHAIN,
           CHECK_EVIDENCE_FORMAT}}},
        {"cert_chain", {"certificate", 0, 0, {CHECK_CERTIFICATE_FORMAT, CHECK_CERTIFICATE_CHAIN}}},
    };
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        value member = value_get_str(e, str_of(rows[r].member));
        struct part part = rows[r].part;
        part.to = count_numbers(member);
        struct mutants m = {.sweep = s, .part = &part, .random = SEED};
        while (next_mutant(&m)) {
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, 64 * 1024 * 1024);
            size_t index = m.at;
            value mutant = value_object_with(&a, e, value_cstring(&a, rows[r].member),
                                             change_member(&a, member, &index, m.change));
            /* FMC decides nothing before Turin, nor do vectors that the report has no place for. */
            judge(s, &a, "snp", file, &part, m.at, m.change, mutant);
        }
    }
}

int main(void)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return tap_done();
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(anchors_new(&anchors, &err), OK, &err))
        return tap_done();

    const char *azure[] = {"az-snp-vtpm/v1.evidence.json", "az-snp-vtpm/v2.evidence.json"};
    const char *snp[] = {"snp/genoa-v3-e2e.evidence.json", "snp/turin-v5-aci.evidence.json"};
    struct sweep s = {.anchors = anchors, .whole = getenv("CLAVIGER_LONG") != NULL};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(azure); i++) {
        char name[128];
        snprintf(name, sizeof(name), "az-snp-vtpm/v%zu.expected.json", i + 1);
        s.report_data = value_get_lit(vector_json(&a, name), "report_data");
        sweep_azure(&s, azure[i]);
    }
    s.report_data = VALUE_NULL;
    for (size_t i = 0; i < ARRAY_LEN(snp); i++)
        sweep_snp(&s, snp[i]);

    printf("# %zu mutants, %zu accepted, %zu refused by another check than predicted\n", s.mutants,
           s.accepted, s.unexpected);
    CHECK(s.mutants > 1000);
    CHECK(s.accepted == 0);
    CHECK(s.unexpected == 0);
    return tap_done();
}
