/*
 * Verifications per second on one core with warm collateral, against the bare
 * signature checks that the kind needs, in the same process.  Not a test:
 *
 *   build/tests/conformance/verifier/bench_verifiers [MILLISECONDS [KIND]]
 *
 * Each figure is the fastest of ROUNDS slices, the two kinds of work in turn,
 * so that other load on the machine does not count against one of them.  Cold
 * is with nothing checked before.  Human text, and JSON when BENCH_JSON names a
 * file; BENCH_CALLS=N instead runs one kind N times, for a profiler.
 *
 * A quote of Intel's needs two signatures, its own and that of the quoting
 * enclave's report; the second is the same for every quote of an enclave's key,
 * and is remembered.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "value/json.h"
#include "verifier/collateral_set.h"
#include "verifier/anchors.h"
#include "verifier/verifier.h"
#include "verifier/verifier_cache.h"

#include "tap.h"

#define ROUNDS 7

struct job {
    const char *name, *tee, *evidence, *report_data, *bundle, *at;
    /* Bare work: P-384, P-256 and RSA-2048 verifications. */
    unsigned p384, p256, rsa2048;
};

#define NONCE_AZ                                                                                   \
    "982f5c6e45df0ed3f10b6f60b02f0c8390e281300f3805e2279c16168cd6ae9aa398f647caa2338748cd0fd9f5f8" \
    "19ef"

static const struct job jobs[] = {
    {"az-snp-vtpm", "az-snp-vtpm", "az-snp-vtpm/v2.evidence.json", NONCE_AZ, NULL,
     "2026-08-01T00:00:00Z", 1, 0, 1},
    {"az-tdx-vtpm", "az-tdx-vtpm", "az-tdx-vtpm/v1.evidence.json", NULL, NULL, NULL, 0, 2, 1},
    {"snp", "snp", "snp/genoa-v3-e2e.evidence.json", NULL, NULL, "2026-08-01T00:00:00Z", 1, 0, 0},
    {"tdx", "tdx", "tdx/v5-90c06f-uptodate.evidence.json", NULL, "tdx-90c06f-2026-03.json",
     "2026-03-17T22:06:09Z", 0, 2, 0},
    {"sgx", "sgx", "sgx/v3-00a067-processor-ca.evidence.json", NULL,
     "sgx-00a067110000-2025-06.json", "2025-06-20T10:56:11Z", 0, 2, 0},
    {"tpm", "tpm", "tpm/tpm-live.evidence.json", NULL, NULL, "2026-08-01T00:00:00Z", 0, 0, 1},
};

/* Of this process: other load on the machine does not count. */
static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- bare signatures ---- */

struct signature {
    EVP_PKEY *key;
    EVP_MD *md;
    struct buf sig; /* DER, or PKCS#1 v1.5 */
};

static const struct str message =
    STR("a message of some length that is signed and verified many times over");

static bool signature_make(struct signature *s, enum key_kind kind, unsigned bits, enum sig_alg alg,
                           enum digest_alg digest, const char *md)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf der;
    buf_init(&der, 1024);
    *s = (struct signature){.md = EVP_MD_fetch(NULL, md, NULL)};
    buf_init(&s->sig, 4096);
    if (privkey_generate(kind, bits, &key, NULL) != OK ||
        privkey_sign(key, alg, digest, message, &s->sig, NULL) != OK ||
        pubkey_to_der(privkey_public(key), &der) != OK)
        return false;
    const unsigned char *p = (const unsigned char *)der.ptr;
    s->key = d2i_PUBKEY(NULL, &p, (long)der.len);
    return s->key != NULL && s->md != NULL;
}

static void signature_done(struct signature *s)
{
    EVP_PKEY_free(s->key);
    EVP_MD_free(s->md);
    buf_done(&s->sig);
}

/* As EVP_PKEY_verify(3) shows it, with key and digest at hand: nothing of ours is in it. */
static bool signature_check(const struct signature *s, unsigned times)
{
    bool good = true;
    for (unsigned i = 0; i < times; i++) {
        unsigned char hash[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(s->key, NULL);
        good &= EVP_Digest(message.ptr, message.len, hash, &len, s->md, NULL) == 1 &&
                EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, s->md) == 1 &&
                EVP_PKEY_verify(ctx, (const unsigned char *)s->sig.ptr, s->sig.len, hash, len) == 1;
        EVP_PKEY_CTX_free(ctx);
    }
    return good;
}

struct bare {
    struct signature p384, p256, rsa2048;
};

static bool bare_work(const struct bare *b, const struct job *j)
{
    return signature_check(&b->p384, j->p384) && signature_check(&b->p256, j->p256) &&
           signature_check(&b->rsa2048, j->rsa2048);
}

/* ---- verifications ---- */

struct work {
    struct arena keep, a;
    struct collateral_set *set;
    struct verifier_request req;
    const struct job *job;
};

static void work_done(struct work *w)
{
    collateral_set_free(w->set);
    arena_done(&w->keep);
    arena_done(&w->a);
}

static value read_json(struct arena *a, const char *relative)
{
    char name[256];
    snprintf(name, sizeof(name), "vectors/verifiers/%s", relative);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 * 1024 * 1024);
    value v = VALUE_UNDEFINED;
    const char *path = tap_shared(name);
    if (path != NULL && file_read(path, &b, NULL) == OK)
        status_ignore(json_parse(a, buf_str(&b), NULL, &v, NULL));
    return v;
}

static bool work_init(struct work *w, const struct job *j, const struct anchors *anchors)
{
    *w = (struct work){.job = j};
    arena_init(&w->keep, 64 * 1024 * 1024);
    arena_init(&w->a, 64 * 1024 * 1024);
    char path[256];
    struct str bundle = str_of(j->bundle == NULL ? "" : j->bundle);
    struct str at = str_of(j->at == NULL ? "" : j->at);
    struct str nonce = str_of(j->report_data == NULL ? "" : j->report_data);
    if (j->at == NULL) { /* all of it is in the vector's expected.json */
        size_t stem = strlen(j->evidence) - strlen(".evidence.json");
        snprintf(path, sizeof(path), "%.*s.expected.json", (int)stem, j->evidence);
        value want = read_json(&w->keep, path), dcap = value_get_lit(want, "dcap");
        nonce = value_str(value_get_lit(want, "report_data"));
        at = value_str(value_get_lit(dcap, "at"));
        bundle = arena_format(&w->keep, "%.*s.json",
                              STR_ARG(value_str(value_get_lit(dcap, "collateral"))));
    }
    snprintf(path, sizeof(path), "vectors/verifiers/dcap-collateral/%.*s", STR_ARG(bundle));
    int64_t now_ns = 0;
    w->req = (struct verifier_request){.evidence = read_json(&w->keep, j->evidence),
                                       .has_report_data = nonce.len > 0,
                                       .era = ERA_NEW,
                                       .config = VALUE_UNDEFINED,
                                       .anchors = anchors};
    if (time_parse_rfc3339(at, &now_ns, NULL) != OK ||
        collateral_set_new(false, &w->set, NULL) != OK ||
        (bundle.len > 0 && collateral_set_add(w->set, tap_shared(path), NULL) != OK) ||
        hex_bytes(&w->keep, nonce, &w->req.report_data, NULL) != OK)
        return false;
    w->req.now_s = now_ns / NS_PER_S;
    w->req.collateral = collateral_set_get(w->set);
    return true;
}

static bool work_once(struct work *w, struct verifier_cache *cache)
{
    struct checks checks;
    struct verifier_result result;
    arena_reset(&w->a);
    checks_init(&checks, &w->a);
    w->req.cache = cache;
    return verifier_run(&w->a, str_of(w->job->tee), &w->req, &checks, &result, NULL) == OK;
}

/* ---- the clock ---- */

enum which { COLD, WARM, BARE, WHICH_COUNT };

struct measured {
    double ns[WHICH_COUNT]; /* of one, in the fastest slice */
};

static bool once(enum which which, struct work *w, struct verifier_cache *cache,
                 const struct bare *bare)
{
    return which == BARE ? bare_work(bare, w->job) : work_once(w, which == WARM ? cache : NULL);
}

static bool measure(struct work *w, struct verifier_cache *cache, const struct bare *bare,
                    int64_t slice_ns, struct measured *out)
{
    *out = (struct measured){{0}};
    if (!work_once(w, cache)) /* warm from here on */
        return false;
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned which = COLD; which < WHICH_COUNT; which++) {
            unsigned long n = 0;
            int64_t start = cpu_ns(), now = start;
            for (; now - start < slice_ns; n++, now = cpu_ns())
                if (!once((enum which)which, w, cache, bare))
                    return false;
            double ns = (double)(now - start) / (double)n;
            if (round == 0 || ns < out->ns[which])
                out->ns[which] = ns;
        }
    return true;
}

static void report(const struct job *j, const struct measured *m, FILE *out, bool first)
{
    double s[WHICH_COUNT];
    for (unsigned i = 0; i < WHICH_COUNT; i++)
        s[i] = 1e9 / m->ns[i];
    printf("%-12s %12.0f %12.0f %12.0f %8.2f\n", j->name, s[COLD], s[WARM], s[BARE],
           m->ns[WARM] / m->ns[BARE]);
    if (out != NULL)
        fprintf(out, "%s\"%s\":{\"cold\":%.0f,\"warm\":%.0f,\"bare\":%.0f}", first ? "" : ",",
                j->name, s[COLD], s[WARM], s[BARE]);
}

static int run_all(int64_t slice_ns, const char *kind, const struct anchors *anchors,
                   struct verifier_cache *cache, const struct bare *bare, FILE *out)
{
    const char *calls = getenv("BENCH_CALLS");
    bool first = true;
    int status = 0;
    if (calls == NULL)
        printf("%-12s %12s %12s %12s %8s\n", "kind", "cold/s", "warm/s", "bare/s", "ratio");
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        if (kind != NULL && strcmp(kind, jobs[i].name) != 0)
            continue;
        CLEANUP(work_done) struct work w;
        struct measured m;
        if (verifier_find(str_of(jobs[i].tee)) == NULL)
            continue; /* left out of this build */
        bool good = work_init(&w, &jobs[i], anchors);
        for (unsigned long n = 0; good && calls != NULL && n < strtoul(calls, NULL, 10); n++)
            good = work_once(&w, cache);
        if (good && calls == NULL) {
            good = measure(&w, cache, bare, slice_ns, &m);
            if (good)
                report(&jobs[i], &m, out, first);
            first = false;
        }
        if (!good) {
            printf("%s: not verified\n", jobs[i].name);
            status = 1;
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return 0;
    int64_t slice_ns = (argc > 1 ? strtol(argv[1], NULL, 10) : 100) * 1000000;
    const char *json = getenv("BENCH_JSON");
    FILE *out = json == NULL ? NULL : fopen(json, "w");
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    CLEANUP(verifier_cache_cleanup) struct verifier_cache *cache = NULL;
    CLEANUP(signature_done) struct signature p384, p256, rsa;
    bool good = signature_make(&p384, KEY_EC_P384, 0, SIG_ECDSA_DER, DIGEST_SHA384, "SHA384");
    good = signature_make(&p256, KEY_EC_P256, 0, SIG_ECDSA_DER, DIGEST_SHA256, "SHA256") && good;
    good = signature_make(&rsa, KEY_RSA, 2048, SIG_RSA_PKCS1, DIGEST_SHA256, "SHA256") && good;
    if (!good || anchors_new(&anchors, NULL) != OK || verifier_cache_new(64, &cache, NULL) != OK)
        return 1;
    const struct bare bare = {p384, p256, rsa};
    if (out != NULL)
        fprintf(out, "{");
    int status = run_all(slice_ns, argc > 2 ? argv[2] : NULL, anchors, cache, &bare, out);
    if (out != NULL) {
        fprintf(out, "}\n");
        fclose(out);
    }
    return status;
}
