/*
 * bench_jobs - five fixed jobs whose instructions are counted, not their time.
 *
 *   bench_jobs NAME [EVIDENCE-FILE ANCHORS-DIR REPORT-DATA-HEX]
 *
 * tools/check-instructions runs each under callgrind, which counts what happens
 * inside of job_*(): set-up is free.  All that could vary is fixed: the key of the
 * hash tables, sealing keys, time, sizes.  What OpenSSL draws by itself (ECDSA's and
 * ECDH's one-time keys) changes a count by less than one in a thousand.
 */
#include <stdio.h>
#include <stdlib.h>

#include "attestation/attestation_internal.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/hash.h"
#include "jose/jose.h"
#include "value/json.h"
#include "verifier/anchors.h"

#define NOW 1767225600 /* 2026-01-01 */
/* Called by this name: neither inlined nor cloned. */
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

static struct arena memory;
static char **arguments; /* behind the name */

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_jobs: %s failed\n", what);
        exit(1);
    }
}
#define MUST(cond) must((cond), #cond)

/* Claims of the workshop's kind: 24 PCRs and what the report says. */
static struct str claims_text(void)
{
    struct str pcrs = STR_EMPTY;
    for (int i = 0; i < 24; i++)
        pcrs = arena_format(&memory, "%.*s%s\"pcr%02d\":\"%064d\"", STR_ARG(pcrs),
                            i == 0 ? "" : ",", i, i);
    return arena_format(
        &memory,
        "{\"measurement\":\"%096d\",\"platform_smt_enabled\":true,\"policy_abi_major\":0,"
        "\"policy_debug_allowed\":false,\"reported_tcb_bootloader\":4,"
        "\"reported_tcb_microcode\":219,\"report_data\":\"%0128d\",\"tpm\":{%.*s}}",
        7, 1, STR_ARG(pcrs));
}

/* 1: a document of claims is read. */
static NOINLINE void job_json(struct str text)
{
    for (int i = 0; i < 100; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        value v;
        MUST(json_parse(&a, text, NULL, &v, NULL) == OK);
    }
}

static void run_json(void)
{
    job_json(claims_text());
}

/* 2: a sealed challenge comes back. */
static NOINLINE void job_seal(const struct sealer *sealer, struct str sealed)
{
    for (int i = 0; i < 100; i++) {
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, 4096);
        MUST(seal_open(sealer, STR("challenge"), 1000, sealed, &out, NULL, NULL) == OK);
    }
}

static void run_seal(void)
{
    struct sealer *sealer = NULL;
    struct buf sealed;
    static const char challenge[80];
    MUST(sealer_new(&STR("32 bytes that seal nothing real."), 1, &sealer, NULL) == OK);
    buf_init(&sealed, 4096);
    MUST(seal_write(sealer, STR("challenge"), 2000, str_bytes(challenge, sizeof(challenge)),
                    &random_system, &sealed) == OK);
    job_seal(sealer, buf_str(&sealed));
}

/* 3: a token is verified, a secret encrypted to a TEE key. */
static NOINLINE void job_jose(struct str token, const struct pubkey *signer, struct tee_key *tee)
{
    for (int i = 0; i < 10; i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf out;
        struct jws t;
        arena_init(&a, 1 << 20);
        buf_init(&out, 4096);
        MUST(jws_parse(&a, token, &t, NULL) == OK);
        MUST(jws_verify(&t, signer, STR("ES256"), NULL) == OK);
        MUST(jwe_encrypt(tee, JWE_RFC7516, STR("Confidential_Secret!"), &random_system, NULL, &out,
                         NULL) == OK);
    }
}

static void run_jose(void)
{
    static const uint8_t scalar[32] = {[0] = 1, [31] = 7}; /* a private key that is none */
    static char payload[3000];
    struct privkey *signer = NULL;
    struct buf token;
    value jwk;
    struct tee_key tee;
    memset(payload, 'a', sizeof(payload));
    buf_init(&token, 8192);
    MUST(privkey_from_raw(KEY_EC_P256, str_bytes(scalar, sizeof(scalar)), &signer, NULL) == OK);
    MUST(jws_sign(signer, STR("ES256"), STR("{\"typ\":\"JWT\",\"alg\":\"ES256\"}"),
                  str_bytes(payload, sizeof(payload)), &token, NULL) == OK);
    MUST(jwk_from_pubkey(&memory, privkey_public(signer), &jwk) == OK);
    jwk = value_object_with(&memory, jwk, value_cstring(&memory, "alg"),
                            value_cstring(&memory, "ECDH-ES+A256KW"));
    MUST(tee_key_parse(jwk, false, &tee, NULL) == OK);
    job_jose(buf_str(&token), privkey_public(signer), &tee);
}

/* 4: evidence of a virtual Azure SNP machine is verified, nothing remembered. */
static NOINLINE void job_evidence(struct verifier_request *req)
{
    for (int i = 0; i < 5; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 << 20);
        struct checks checks;
        struct verifier_result result;
        struct error err = ERROR_INIT;
        checks_init(&checks, &a);
        MUST(verifier_run(&a, STR("az-snp-vtpm"), req, &checks, &result, &err) == OK);
    }
}

static void run_evidence(void)
{
    CLEANUP(buf_done) struct buf text, report_data;
    struct anchors *anchors = NULL;
    struct verifier_request req = {.has_report_data = true, .era = ERA_NEW, .now_s = NOW};
    MUST(arguments[0] != NULL && arguments[1] != NULL && arguments[2] != NULL);
    buf_init(&text, 4 << 20);
    buf_init(&report_data, 64);
    MUST(file_read(arguments[0], &text, NULL) == OK);
    MUST(json_parse(&memory, buf_str(&text), NULL, &req.evidence, NULL) == OK);
    MUST(anchors_load((const char *const *)&arguments[1], 1, &anchors, NULL) == OK);
    MUST(hex_read(str_of(arguments[2]), &report_data, NULL) == OK);
    req.anchors = anchors;
    req.report_data = buf_str(&report_data);
    req.config = VALUE_UNDEFINED;
    job_evidence(&req);
}

/* 5: a policy of the workshop's kind appraises the claims. */
static NOINLINE void job_policy(struct attestation_service *s, const struct evidence_claims *claims)
{
    for (int i = 0; i < 100; i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 << 20);
        struct checks checks;
        struct attestation_result result;
        struct error err = ERROR_INIT;
        checks_init(&checks, &a);
        if (attestation_appraise(s, &a, claims, 1, NULL, 0, NOW, false, &checks, &result, &err) !=
            OK)
            must(false, err.text);
        MUST(result.affirming);
    }
}

static void run_policy(void)
{
    static const char policy[] =
        "package policy\nimport rego.v1\ndefault executables := 33\ndefault hardware := 97\n"
        "executables := 3 if {\n\tinput.azsnpvtpm.tpm.pcr03 in data.reference.pcr03\n"
        "\tinput.azsnpvtpm.tpm.pcr08 in data.reference.pcr08\n"
        "\tinput.azsnpvtpm.tpm.pcr11 in data.reference.pcr11\n}\n"
        "hardware := 0 if input.azsnpvtpm\n";
    static int64_t now = (int64_t)NOW * NS_PER_S;
    static const struct clock clock = {clock_fixed_now, &now};
    static const struct verifier azure = {.tee = "az-snp-vtpm", .old_tee = "azsnpvtpm"};
    struct attestation_service *s = NULL;
    struct attestation_options o = {.era = ERA_OLD,
                                    .naming = SUBMOD_PLAIN,
                                    .storage_backend = VALUE_UNDEFINED,
                                    .clock = &clock,
                                    .random = &random_system};
    struct evidence_claims e = {&azure, "cpu", VALUE_UNDEFINED, VALUE_UNDEFINED, VALUE_NULL, false};
    MUST(json_parse(&memory, STR("{\"storage_backend\":{\"storage_type\":\"Memory\"}}"), NULL,
                    &o.config, NULL) == OK);
    MUST(attestation_service_new(&o, &s, NULL) == OK);
    MUST(attestation_set_policy(s, STR("default"), base64_text(&memory, str_of(policy), BASE64_URL),
                                NULL) == OK);
    struct str values = base64_text(
        &memory,
        arena_format(&memory, "{\"pcr03\":[\"%064d\"],\"pcr08\":[\"%064d\"],\"pcr11\":[\"%064d\"]}",
                     3, 8, 11),
        BASE64_STD);
    MUST(rvps_register(
             attestation_rvps(s),
             arena_format(&memory, "{\"type\":\"sample\",\"payload\":\"%.*s\"}", STR_ARG(values)),
             NOW, NULL) == OK);
    MUST(json_parse(&memory, claims_text(), NULL, &e.claims, NULL) == OK);
    MUST(json_parse(&memory, STR("{\"nonce\":\"AAAA\"}"), NULL, &e.runtime_claims, NULL) == OK);
    job_policy(s, &e);
}

int main(int argc, char **argv)
{
    const struct {
        const char *name;
        void (*run)(void);
    } rows[] = {
        {"json", run_json},         {"seal", run_seal},     {"jose", run_jose},
        {"evidence", run_evidence}, {"policy", run_policy},
    };
    hash_set_key(1, 2);
    arena_init(&memory, 64 << 20);
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(rows); i++)
        if (strcmp(argv[1], rows[i].name) == 0) {
            arguments = argv + 2;
            rows[i].run();
            return 0;
        }
    fprintf(stderr, "usage: bench_jobs json|seal|jose|evidence|policy\n");
    return 2;
}
