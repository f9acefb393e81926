/*
 * attestation - the attestation service: evidence to token
 * (attestation-service.md 6 to 11).
 *
 * A `struct attestation_service` is made from a configuration table and shared
 * by threads.  Policies and reference values are immutable snapshots behind
 * it, refreshed by attestation_refresh() (call it at least once a second) and by
 * the set calls.  attestation_evaluate() does no I/O and takes no lock.
 */
#pragma once

#include "base/arena.h"
#include "attestation/explain.h"
#include "base/clock.h"
#include "base/report.h"
#include "confine/confine.h"
#include "decision/check.h"
#include "jose/jose.h"
#include "rego/rego.h"
#include "rvps/rvps.h"
#include "value/config_read.h"
#include "verifier/anchors.h"
#include "verifier/verifier.h"

struct attestation_service;

enum submod_naming { SUBMOD_PLAIN, SUBMOD_INDEXED, SUBMOD_BOTH };

/*
 * The era of a standalone service's configuration (S1).  A KBS decides by its
 * whole file (kbs.md 13.4, 8).
 */
enum era attestation_config_era(value config);

/*
 * README 11: the policy folder of an old-era configuration holds
 * default_cpu.rego and no default.rego, so it comes from v0.14 to v0.18.
 */
bool attestation_config_has_cpu0(value config);

/*
 * Warn about unknown keys of the table, fail where one holds what it should
 * not.  `r` knows the file, `at` where in it the table stands.
 */
void attestation_config_check(struct reader *r, value config, struct str at);

struct attestation_options {
    value config; /* the table: attestation_service of a KBS, or a whole file of restful-as */
    bool config_checked; /* by attestation_config_check(), with file and line */
    enum era era;
    bool cpu0_names;               /* README 11: an old-era configuration from v0.14 to v0.18 */
    enum submod_naming naming;     /* S9; by era unless configured */
    const struct anchors *anchors; /* referenced */
    value storage_backend;         /* top-level table of the KBS, or undefined: that of config */
    /* Intel's sgx_default_qcnl.conf, below the configuration (spec/README.md 14); NULL: none. */
    const char *qcnl_path;
    bool only_look; /* nothing is made on disk that is not there: for attestation_check() */
    const struct clock *clock;
    const struct random_source *random;
    /* Texts for the log: warnings at start and on refresh; may be NULL. */
    void (*warn)(void *user, const char *text);
    void *user;
};

STATUS attestation_service_new(const struct attestation_options *options,
                               struct attestation_service **out, struct error *err);
struct attestation_service *attestation_service_ref(struct attestation_service *s);
struct attestation_service *attestation_service_unref(struct attestation_service *s);
DEFINE_CLEANUP(attestation_service, struct attestation_service, attestation_service_unref)

/* Follow changed policies, reference values, collateral.  Errors are warned about; the old state
 * serves. */
void attestation_refresh(struct attestation_service *s);

/* The files and folders that it reads and writes, for a process that confines itself. */
void attestation_confine(const struct attestation_service *s, struct confine *c);

/* What it may fetch (URL prefixes, NULL-terminated, maybe empty), and with which roots beside the
 * system's (NULL: none).  Borrowed. */
const char *const *attestation_allowed_urls(const struct attestation_service *s);
const char *attestation_ca_file(const struct attestation_service *s);

/* Policies or reference values that were never readable: /healthz is 503. */
bool attestation_is_healthy(const struct attestation_service *s);

/*
 * For a check of the configuration: what keeps the service from being healthy, as it was at the
 * last refresh, and (after only_look) what would be made on disk.
 */
void attestation_check(const struct attestation_service *s, struct report *r);

/* ---- evaluation ---- */

enum runtime_data_kind { RUNTIME_ABSENT, RUNTIME_RAW, RUNTIME_STRUCTURED };
enum init_data_kind { INIT_ABSENT, INIT_DIGEST, INIT_TOML, INIT_STRUCTURED };

struct attestation_request {
    struct str tee; /* either spelling */
    value evidence;
    enum runtime_data_kind runtime_kind;
    struct str runtime_raw;
    value runtime_data;           /* structured */
    enum digest_alg runtime_hash; /* DIGEST_SHA384 */
    enum init_data_kind init_kind;
    struct str init_data; /* digest bytes or TOML text */
    value init_claims;    /* INIT_STRUCTURED: clients up to v0.13, 3.3 */
    enum digest_alg init_hash;
};

struct attestation_result {
    struct str token;  /* compact JWT */
    value claims;      /* the token's payload as a value */
    struct str status; /* worst ear.status of all appraisals */
    bool affirming;
    int64_t issued_s, expires_s;
    struct explanation why; /* when not affirming */
    value anchors;          /* array of hex fingerprints, or undefined */
    /* After ERR_UNAVAILABLE: URLs of collateral to get before asking again. */
    struct str needed[VERIFIER_NEEDED_MAX];
    size_t needed_count;
    bool unpinned_paravisor;
    /* Array of texts: reference values that were read and expire soon (README 3); or undefined. */
    value notes;
};

/*
 * Everything lives in `a`.  ERR_DENIED with checks->reason; ERR_UNAVAILABLE
 * with out->needed (collateral that is not at hand); ERR_LIMIT, ERR_NOMEM.  When the status is not
 * affirming, checks->reason says what stood in the way (reference-value, ... or policy) though the
 * result is OK.  `explain` false leaves `why` and that reason out (benchmarks).
 */
STATUS attestation_evaluate(struct attestation_service *s, struct arena *a,
                            const struct attestation_request *requests, size_t n,
                            const struct str *policy_ids, size_t n_ids, int64_t now_s, bool explain,
                            struct checks *checks, struct attestation_result *out,
                            struct error *err);

/*
 * After ERR_UNAVAILABLE: is it worth a worker's time to get what was needed?
 * (collateral/service.h)
 */
bool attestation_may_resolve(const struct attestation_service *s,
                             const struct attestation_result *result);

/*
 * The same as attestation_evaluate(), but what is needed is fetched: for
 * threads that may wait.
 */
STATUS attestation_evaluate_waiting(struct attestation_service *s, struct arena *a,
                                    const struct attestation_request *requests, size_t n,
                                    const struct str *policy_ids, size_t n_ids, int64_t now_s,
                                    bool explain, struct checks *checks,
                                    struct attestation_result *out, struct error *err);

/* A token newly signed over claims that were issued before (same iat and exp): kbs.md 3.10, 4. */
STATUS attestation_sign(struct attestation_service *s, struct arena *a, value claims,
                        struct str *token, struct error *err);

/* ---- policies, keys, reference values ---- */

/*
 * What `input` may hold, as rego_options.claim_schema has it: input of attestation policies (of
 * EAR tokens), and of resource policies, whose input is the payload of a token.
 */
value attestation_claim_schema(struct arena *a);
value attestation_token_schema(struct arena *a);

/* `policy` is base64url text of Rego; compiled before it is stored (README 4). */
STATUS attestation_set_policy(struct attestation_service *s, struct str id, struct str policy_b64,
                              struct error *err);
STATUS attestation_get_policy(struct attestation_service *s, struct arena *a, struct str id,
                              struct str *text, struct error *err);
/* [{"policy-id","policy-hash"}] */
STATUS attestation_list_policies(struct attestation_service *s, struct arena *a, value *out,
                                 struct error *err);

struct pubkey *
attestation_key(const struct attestation_service *s); /* borrowed: trusted by the KBS beside it */
STATUS attestation_jwks(struct attestation_service *s, struct arena *a, value *out);

struct rvps *attestation_rvps(const struct attestation_service *s); /* borrowed */

/* Supplemental challenge: empty for every TEE built in so far. */
STATUS attestation_challenge(struct attestation_service *s, struct str tee, struct str params,
                             struct arena *a, struct str *out, struct error *err);

/* ---- init data (6.3), also for the `initdata` tool ---- */

struct init_data {
    enum digest_alg alg;
    struct digest digest;
    value claims;
};
STATUS init_data_parse(struct arena *a, struct str toml, struct init_data *out, struct error *err);
