/*
 * Verifications per second on one core with warm collateral, against the bare
 * signature checks that the kind needs, in the same process.  Not a test:
 *
 *   build/tests/conformance/verifier/bench_verifiers [SECONDS]
 *
 * Human text, or JSON when BENCH_JSON names a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/encode.h"
#include "value/json.h"
#include "vectors.h"
#include "verifier/collateral_set.h"
#include "verifier/verifier_cache.h"

#include "tap.h"

struct job {
    const char *name, *tee, *evidence, *report_data, *bundle, *at;
    /* Bare work: P-384, P-256 and RSA-2048 verifications. */
    unsigned p384, p256, rsa2048;
};

static const struct job jobs[] = {
    {"az-snp-vtpm", "az-snp-vtpm", "az-snp-vtpm/v2.evidence.json",
     "982f5c6e45df0ed3f10b6f60b02f0c8390e281300f3805e2279c16168cd6ae9aa398f647caa2338748cd0fd9f5f81"
     "9"
     "ef",
     NULL, "2026-08-01T00:00:00Z", 1, 0, 1},
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

static double per_second(unsigned long n, int64_t ns)
{
    return ns == 0 ? 0 : (double)n * 1e9 / (double)ns;
}

/* Seconds of one verification with a fresh key of the kind. */
static double bare(enum key_kind kind, unsigned bits, enum sig_alg alg, enum digest_alg digest,
                   int64_t budget_ns)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, 4096);
    struct str message =
        STR("a message of some length that is signed and verified many times over");
    if (privkey_generate(kind, bits, &key, NULL) != OK ||
        privkey_sign(key, alg, digest, message, &sig, NULL) != OK)
        return 0;
    unsigned long n = 0;
    int64_t start = cpu_ns(), now = start;
    for (; now - start < budget_ns; n++, now = cpu_ns())
        if (pubkey_verify(privkey_public(key), alg, digest, message, buf_str(&sig), NULL) != OK)
            return 0;
    return 1 / per_second(n, now - start);
}

static double run(const struct job *j, const struct anchors *anchors, struct verifier_cache *cache,
                  int64_t budget_ns)
{
    CLEANUP(arena_done) struct arena keep;
    CLEANUP(arena_done) struct arena a;
    arena_init(&keep, 64 * 1024 * 1024);
    arena_init(&a, 64 * 1024 * 1024);
    CLEANUP(collateral_set_cleanup) struct collateral_set *set = NULL;
    char path[256];
    snprintf(path, sizeof(path), "vectors/verifiers/dcap-collateral/%s",
             j->bundle == NULL ? "" : j->bundle);
    int64_t now_ns = 0;
    struct verifier_request req = {.evidence = vector_json(&keep, j->evidence),
                                   .has_report_data = j->report_data != NULL,
                                   .era = ERA_NEW,
                                   .config = VALUE_UNDEFINED,
                                   .anchors = anchors,
                                   .cache = cache};
    if (time_parse_rfc3339(str_of(j->at), &now_ns, NULL) != OK ||
        collateral_set_new(false, &set, NULL) != OK ||
        (j->bundle != NULL && collateral_set_add(set, tap_shared(path), NULL) != OK) ||
        (j->report_data != NULL &&
         hex_bytes(&keep, str_of(j->report_data), &req.report_data, NULL) != OK))
        return 0;
    req.now_s = now_ns / NS_PER_S;
    req.collateral = collateral_set_get(set);

    unsigned long n = 0;
    int64_t start = cpu_ns(), now = start;
    for (; now - start < budget_ns; n++, now = cpu_ns()) {
        struct checks checks;
        struct verifier_result result;
        checks_init(&checks, &a);
        if (verifier_run(&a, str_of(j->tee), &req, &checks, &result, NULL) != OK)
            return 0;
        arena_reset(&a);
    }
    return per_second(n, now - start);
}

int main(int argc, char **argv)
{
    if (tap_shared("vectors/verifiers/MANIFEST.md") == NULL)
        return 0;
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    int64_t budget = (int64_t)(seconds * 1e9);
    const char *json = getenv("BENCH_JSON");
    FILE *out = json == NULL ? NULL : fopen(json, "w");
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    CLEANUP(verifier_cache_cleanup) struct verifier_cache *cache = NULL;
    if (anchors_new(&anchors, NULL) != OK || verifier_cache_new(64, &cache, NULL) != OK)
        return 1;
    double p384 = bare(KEY_EC_P384, 0, SIG_ECDSA_RAW, DIGEST_SHA384, budget);
    double p256 = bare(KEY_EC_P256, 0, SIG_ECDSA_RAW, DIGEST_SHA256, budget);
    double rsa = bare(KEY_RSA, 2048, SIG_RSA_PKCS1, DIGEST_SHA256, budget);
    printf("%-12s %12s %12s %12s %8s\n", "kind", "cold/s", "warm/s", "bare/s", "ratio");
    if (out != NULL)
        fprintf(out, "{");
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        const struct job *j = &jobs[i];
        double cold = run(j, anchors, NULL, budget), warm = run(j, anchors, cache, budget);
        double least = j->p384 * p384 + j->p256 * p256 + j->rsa2048 * rsa;
        printf("%-12s %12.0f %12.0f %12.0f %8.2f\n", j->name, cold, warm, 1 / least,
               1 / (warm * least));
        if (out != NULL)
            fprintf(out, "%s\"%s\":{\"cold\":%.0f,\"warm\":%.0f,\"bare\":%.0f}", i == 0 ? "" : ",",
                    j->name, cold, warm, 1 / least);
    }
    if (out != NULL) {
        fprintf(out, "}\n");
        fclose(out);
    }
    return 0;
}
