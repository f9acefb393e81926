/*
 * Real quotes and collateral of Intel's: every one-byte change of a signed or
 * hashed part, and every item of collateral left out, cut, swapped with a
 * valid one of another kind or signed by another key, is refused, by a check
 * that the part predicts.
 *
 * A seeded sample in the usual run; every byte with CLAVIGER_LONG.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "value/json.h"
#include "vectors.h"
#include "verifier/collateral_set.h"
#include "verifier/dcap/intel_url.h"
#include "verifier/dcap/quote.h"
#include "verifier/verifier_cache.h"

#include "tap.h"

#define SAMPLE 150
#define SEED 20261125u

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

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

struct sweep {
    const char *tee;
    const struct anchors *anchors;
    struct verifier_cache *cache;
    struct altered altered;
    struct collateral collateral;
    int64_t now_s;
    bool whole;
    size_t mutants, accepted, unexpected;
};

static enum status run(struct sweep *s, struct arena *a, struct str quote, struct checks *checks,
                       struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, 1);
    value_builder_put_str(&b, "quote", value_string(a, base64_text(a, quote, BASE64_STD)));
    const struct verifier_request req = {.evidence = value_object_finish(&b, VALUE_DUP_LAST, NULL),
                                         .era = ERA_NEW,
                                         .now_s = s->now_s,
                                         .config = VALUE_UNDEFINED,
                                         .anchors = s->anchors,
                                         .collateral = &s->collateral,
                                         .cache = s->cache};
    struct verifier_result result;
    checks_init(checks, a);
    return verifier_run(a, str_of(s->tee), &req, checks, &result, err);
}

#define CHECKS_OF(...)                                                                             \
    {                                                                                              \
        __VA_ARGS__, CHECK_NONE                                                                    \
    }

static void judge(struct sweep *s, struct arena *a, struct str quote, const char *what, size_t at,
                  const enum check_id *want)
{
    struct checks checks;
    struct error err = ERROR_INIT;
    enum status st = run(s, a, quote, &checks, &err);
    s->mutants++;
    if (st == OK) {
        s->accepted++;
        printf("# %s: byte %zu is accepted\n", what, at);
        return;
    }
    if (st == ERR_UNAVAILABLE && s->altered.missing)
        return;
    for (size_t i = 0; st == ERR_DENIED && want[i] != CHECK_NONE; i++)
        if (checks.reason.check == want[i])
            return;
    s->unexpected++;
    printf("# %s: byte %zu is refused by %s at %.*s: %s\n", what, at,
           check_name(checks.reason.check), STR_ARG(checks.reason.field), err.text);
}

static struct str changed(struct arena *a, struct str bytes, size_t at, uint8_t change)
{
    char *p = arena_alloc(a, bytes.len + 1);
    memcpy(p, bytes.ptr, bytes.len);
    p[at] ^= (char)change;
    return str_bytes(p, bytes.len);
}

static size_t mutant_count(const struct sweep *s, size_t len)
{
    return s->whole ? len : len < SAMPLE ? len : SAMPLE;
}

static void sweep_quote(struct sweep *s, struct str quote)
{
    struct dcap_quote q;
    struct quote_fault fault;
    if (!CHECK(dcap_quote_parse(quote, &q, &fault) == OK))
        return;
    const struct {
        const char *name;
        struct str part;
        enum check_id want[8];
    } rows[] = {
        {"header", q.header, CHECKS_OF(CHECK_QUOTE_FORMAT, CHECK_QUOTE_SIGNATURE)},
        {"body", q.body,
         CHECKS_OF(CHECK_QUOTE_SIGNATURE, CHECK_TCB_INFO)}, /* module fields come first */
        {"signature", q.signature, CHECKS_OF(CHECK_QUOTE_SIGNATURE)},
        {"attestation key", q.key, CHECKS_OF(CHECK_QE_REPORT)},
        {"QE report", q.qe_report, CHECKS_OF(CHECK_QE_REPORT)},
        {"QE signature", q.qe_signature, CHECKS_OF(CHECK_QE_REPORT)},
        {"QE authentication data", q.qe_auth, CHECKS_OF(CHECK_QE_REPORT)},
    };
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        uint32_t rnd = SEED;
        size_t from = (size_t)(rows[r].part.ptr - quote.ptr);
        for (size_t k = 0; k < mutant_count(s, rows[r].part.len); k++) {
            size_t at = s->whole ? k : next_random(&rnd) % rows[r].part.len;
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, 16 * 1024 * 1024);
            struct str mutant =
                changed(&a, quote, from + at, (uint8_t)(1u << next_random(&rnd) % 8));
            judge(s, &a, mutant, rows[r].name, at, rows[r].want);
        }
    }
}

/* Bytes of PEM: white space and line ends may change, base64 may not. */
static void sweep_chain(struct sweep *s, struct str quote)
{
    static const enum check_id want[] =
        CHECKS_OF(CHECK_CERTIFICATE_FORMAT, CHECK_CERTIFICATE_CHAIN, CHECK_TCB_INFO);
    struct dcap_quote q;
    struct quote_fault fault;
    CHECK(dcap_quote_parse(quote, &q, &fault) == OK);
    size_t from = (size_t)(q.pck_chain.ptr - quote.ptr);
    uint32_t rnd = SEED;
    for (size_t k = 0; k < mutant_count(s, q.pck_chain.len); k++) {
        size_t at = s->whole ? k : next_random(&rnd) % q.pck_chain.len;
        char c = q.pck_chain.ptr[at];
        /* A letter of base64 becomes another one. */
        if (!((c >= 'A' && c <= 'Y') || (c >= 'a' && c <= 'y') || (c >= '0' && c <= '8')) ||
            (at + 8 < q.pck_chain.len &&
             memmem(q.pck_chain.ptr + (at < 16 ? 0 : at - 16), 32, "---", 3)))
            continue;
        /* The last letter before "=" has bits that mean nothing. */
        if (at + 1 < q.pck_chain.len && q.pck_chain.ptr[at + 1] == '=')
            continue;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 * 1024 * 1024);
        struct str mutant = changed(&a, quote, from + at, (uint8_t)(c ^ (c + 1)));
        judge(s, &a, mutant, "PCK chain", at, want);
    }
}

/* What is signed of an item: white space of JSON outside of strings is not. */
static bool is_signed(enum intel_item item, struct str bytes, size_t at)
{
    (void)bytes;
    return item != INTEL_TCB_INFO_CHAIN && item != INTEL_QE_IDENTITY_CHAIN &&
           item != INTEL_PCK_CRL_CHAIN && at > 0;
}

static void sweep_collateral(struct sweep *s, struct str quote, const struct intel_name *names)
{
    static const enum check_id want[] =
        CHECKS_OF(CHECK_COLLATERAL, CHECK_REVOCATION, CHECK_TCB_INFO);
    for (unsigned i = 0; i <= INTEL_ROOT_CRL; i++) {
        CLEANUP(arena_done) struct arena keep;
        arena_init(&keep, 16 * 1024 * 1024);
        struct intel_name n = *names;
        n.item = (enum intel_item)i;
        struct str whole;
        struct str url = intel_url(&keep, STR("https://api.trustedservices.intel.com"), &n);
        s->altered.active = false;
        if (!CHECK_ROW(s->collateral.find(s->collateral.user, url, &whole), url.ptr))
            continue;
        s->altered.active = true;
        s->altered.item = n.item;

        /* Left out.  The chain of the PCK CRL is allowed to be absent. */
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 * 1024 * 1024);
        s->altered.missing = true;
        if (n.item != INTEL_PCK_CRL_CHAIN)
            judge(s, &a, quote, "left out", i, want);
        s->altered.missing = false;

        /* Cut, and another item in its place. */
        s->altered.bytes = str_slice(whole, 0, whole.len / 2);
        judge(s, &a, quote, "cut", i, want);
        s->altered.bytes = STR("{}");
        judge(s, &a, quote, "replaced", i, want);

        uint32_t rnd = SEED + i;
        for (size_t k = 0; k < mutant_count(s, whole.len); k++) {
            size_t at = s->whole ? k : next_random(&rnd) % whole.len;
            if (!is_signed(n.item, whole, at))
                continue;
            CLEANUP(arena_done) struct arena m;
            arena_init(&m, 16 * 1024 * 1024);
            s->altered.bytes = changed(&m, whole, at, 1);
            judge(s, &m, quote, url.ptr, at, want);
        }
        s->altered.active = false;
    }
}

/* A valid item of another platform in the place of this one's. */
static void sweep_swapped(struct sweep *s, struct str quote, const struct collateral *other,
                          const struct intel_name *other_names)
{
    static const enum check_id want[] =
        CHECKS_OF(CHECK_COLLATERAL, CHECK_TCB_INFO, CHECK_QE_IDENTITY);
    static const enum intel_item items[] = {INTEL_TCB_INFO, INTEL_QE_IDENTITY, INTEL_PCK_CRL};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 * 1024 * 1024);
        struct intel_name n = *other_names;
        n.item = items[i];
        s->altered.active = true;
        s->altered.item = items[i];
        if (!CHECK(other->find(other->user,
                               intel_url(&a, STR("https://api.trustedservices.intel.com"), &n),
                               &s->altered.bytes)))
            continue;
        judge(s, &a, quote, "swapped", i, want);
        s->altered.active = false;
    }
}

static struct collateral_set *load_set(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "vectors/verifiers/dcap-collateral/%s", name);
    struct collateral_set *set = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(collateral_set_new(false, &set, &err), OK, &err, name);
    CHECK_STATUS_ROW(collateral_set_add(set, tap_shared(path), &err), OK, &err, name);
    return set;
}

int main(void)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return tap_done();
    static const struct {
        const char *tee, *quote, *bundle, *other, *at;
        struct intel_name names, other_names;
    } rows[] = {
        {"tdx",
         "tdx/v5-90c06f-uptodate.quote.bin",
         "tdx-90c06f-2026-03.json",
         "sgx-00a067110000-2025-06.json",
         "2026-03-17T22:06:09Z",
         {.tdx = true, .platform = true, .fmspc = "90C06F000000"},
         {.tdx = false, .platform = false, .fmspc = "00A067110000"}},
        {"sgx",
         "sgx/v3-00a067-processor-ca.quote.bin",
         "sgx-00a067110000-2025-06.json",
         "tdx-90c06f-2026-03.json",
         "2025-06-20T10:56:11Z",
         {.tdx = false, .platform = false, .fmspc = "00A067110000"},
         {.tdx = true, .platform = true, .fmspc = "90C06F000000"}},
    };
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    CLEANUP(verifier_cache_cleanup) struct verifier_cache *cache = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(anchors_new(&anchors, &err), OK, &err);
    CHECK_STATUS(verifier_cache_new(64, &cache, &err), OK, &err);
    struct sweep s = {.anchors = anchors, .cache = cache, .whole = getenv("CLAVIGER_LONG") != NULL};
    s.collateral = (struct collateral){find_altered, &s.altered};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 * 1024 * 1024);
        struct str quote = vector_read(&a, rows[i].quote);
        CLEANUP(collateral_set_cleanup) struct collateral_set *set = load_set(rows[i].bundle);
        CLEANUP(collateral_set_cleanup) struct collateral_set *other = load_set(rows[i].other);
        int64_t ns = 0;
        CHECK(time_parse_rfc3339(str_of(rows[i].at), &ns, NULL) == OK);
        s.tee = rows[i].tee;
        s.now_s = ns / NS_PER_S;
        s.altered = (struct altered){.base = collateral_set_get(set)};

        /* As it is it passes, cold and warm. */
        struct checks checks;
        CHECK_STATUS_ROW(run(&s, &a, quote, &checks, &err), OK, &err, rows[i].quote);
        CHECK_STATUS_ROW(run(&s, &a, quote, &checks, &err), OK, &err, rows[i].quote);
        sweep_quote(&s, quote);
        sweep_chain(&s, quote);
        sweep_collateral(&s, quote, &rows[i].names);
        sweep_swapped(&s, quote, collateral_set_get(other), &rows[i].other_names);
    }
    printf("# %zu mutants, %zu accepted, %zu refused by another check than predicted\n", s.mutants,
           s.accepted, s.unexpected);
    CHECK(s.mutants > 1000);
    CHECK(s.accepted == 0);
    CHECK(s.unexpected == 0);
    return tap_done();
}
