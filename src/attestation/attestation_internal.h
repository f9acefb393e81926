/*
 * attestation_internal - what the files of attestation share.
 *
 *   config.c     the table, its eras and defaults, the stores that it names
 *   policies.c   policy sources, compiled sets, lookup, dialects (S2 to S4)
 *   verdict.c    evaluation of one policy, reference values (S6, 7)
 *   claims.c     verifier claims to policy input (6.5, S5), trust vectors (9)
 *   evaluate.c   requests through verifier and policy to appraisals (6)
 *   token.c      appraisals to EAR bytes (8); simple.c: to CoCo simple tokens (10)
 *   initdata.c   init data and runtime data (6.2, 6.3)
 *   service.c    what holds it together
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "attestation/attestation.h"
#include "attestation/deny_watch.h"
#include "attestation/explain_cache.h"
#include "collateral/service.h"
#include "verifier/verifier_cache.h"

/* Endorsements remembered: one machine has two or three, of about 9 KiB each. */
#define CHECKED_ENDORSEMENTS 256

typedef void (*attestation_warn)(void *user, const char *text);

void warn_text(const struct attestation_options *o, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- configuration ---- */

enum token_kind { TOKEN_EAR, TOKEN_SIMPLE };

#define POLICY_SOURCES_MAX 4

/* Everything lives in the service's arena. */
struct as_config {
    enum token_kind token;
    int64_t duration_s;
    struct str issuer, developer, build, profile;
    struct str key_path, cert_url, cert_path; /* empty: not given */
    bool verbose_token;
    value verifier_config;
    struct str deny_list; /* verifier_config.deny_list, a path; empty: none */
    struct storage *policies[POLICY_SOURCES_MAX]; /* in the order of S2; referenced */
    size_t policy_count;
    struct rvps *rvps;
};

/* Opens the stores.  `out` must be released with as_config_done(), also after a failure. */
STATUS as_config_read(struct arena *a, const struct attestation_options *o, struct as_config *out,
                      struct error *err);
void as_config_done(struct as_config *c);

/* The part of it that opens nothing: 2.3. */
STATUS as_config_read_broker(struct arena *a, const struct attestation_options *o,
                             struct as_config *out, struct error *err);

/* ---- trust claims (AR4SI) ---- */

enum { TRUST_CLAIMS = 8 };
extern const char *const trust_claim_names[TRUST_CLAIMS]; /* "instance-identity", ... */
extern const char *const trust_claim_rules[TRUST_CLAIMS]; /* "instance_identity", ... */

enum tier { TIER_NONE, TIER_AFFIRMING, TIER_WARNING, TIER_CONTRAINDICATED };

struct trust_vector {
    int8_t claim[TRUST_CLAIMS];
    uint8_t set; /* bit i: claim i was set */
};

/* Index of a claim by its hyphenated name, or -1. */
int trust_claim_find(struct str name);
enum tier trust_claim_tier(int8_t claim);
enum tier
trust_vector_tier(const struct trust_vector *v); /* the worst; an unset claim counts as 0 */
const char *tier_name(enum tier t);

/* ---- claims ---- */

/* One pair of a verifier's result with what was learned beside it. */
struct evidence_claims {
    const struct verifier *verifier;
    const char *tee_class;
    value claims;                      /* canonical form */
    value runtime_claims, init_claims; /* VALUE_NULL: none */
    bool unpinned_paravisor;
    const value *details; /* verifier.h; for policies, not in tokens; NULL or undefined: none */
};

/* The key that a TEE's claims have in tokens of an era (S9). */
const char *claims_key(const struct verifier *v, enum era era);

/* The claims object of 6.5 under the given key, in the form of a dialect. */
STATUS claims_build(struct arena *a, const struct evidence_claims *e, enum dialect dialect,
                    const char *key, bool verbose, value *out, struct error *err);

/* The member of a policy's input, beside the claims, with what upstream's claims leave out. */
#define DETAILS_KEY "claviger"
value claims_with_details(struct arena *a, const struct evidence_claims *e, value claims);

/*
 * The input of a policy: with the details, and with the other Azure key beside
 * the first (S5).
 */
value claims_for_policy(struct arena *a, const struct evidence_claims *e, enum era era,
                        value claims);

/* Every number fits 64 bits signed or is no integer (6.5). */
bool claims_numbers_fit(value v);

/* ---- policies ---- */

enum policy_kind {
    POLICY_NOTHING,      /* none of the known rules */
    POLICY_TRUST_CLAIMS, /* dialect D */
    POLICY_RESULT,       /* dialect C */
    POLICY_RULES,        /* A or B */
};

struct policy {
    struct str id, text;
    uint8_t sha384[48];
    struct rego_policy *rego; /* NULL: does not compile, `why` says what is wrong */
    struct str why;
    bool stale; /* the stored text does not compile; this is the one before it */
    bool builtin;
    enum policy_kind kind;
    uint8_t rules; /* POLICY_RULES: which of the eight */
    bool extensions, reads_data, allow;
    struct str *values; /* reference values that it names as data.reference.<name> */
    size_t value_count;
    struct str *notes; /* warnings of the compiler, "default.rego:3: ...", until it is loaded */
    size_t note_count;
};

#define POLICY_NOTES_MAX 16

/* An immutable set of stored policies, by id; counted by references. */
struct policy_set {
    atomic_size_t refs;
    struct arena arena;
    struct policy *items;
    size_t count, cap;
    bool readable;      /* every source could be listed */
    bool reads_details; /* some policy may read input.claviger */
};

struct policy_set *policy_set_unref(struct policy_set *s);
DEFINE_CLEANUP(policy_set, struct policy_set, policy_set_unref)

/*
 * Compile and look at what it defines.  Text and id are borrowed.  `schema`: what input may
 * hold (attestation_claim_schema()), or undefined; what it reads beside that is in its notes.
 */
STATUS policy_compile(struct arena *a, struct str id, struct str text, value schema,
                      struct policy *out, struct error *err);

/* Read all sources; what did not change is taken from `before` (may be NULL). */
STATUS policy_set_load(struct storage *const *sources, size_t n, const struct policy_set *before,
                       const struct attestation_options *o, value schema, struct policy_set **out,
                       struct error *err);

const struct policy *policy_set_find(const struct policy_set *s, struct str id);

/* src/attestation/policies/ (*.rego), embedded by the build. */
extern const char policy_text_cpu[], policy_text_cpu_old[], policy_text_gpu[], policy_text_switch[],
    policy_text_ppcie[], policy_text_simple[];

struct builtin_policy {
    const char *id;
    const char *text;
};

/* Those of S3, step 3. */
const struct builtin_policy *builtin_policies(enum era era, enum token_kind kind, size_t *count);

/* S3.  NULL: not found.  *indexed: found as P_C, which makes rules dialect B. */
const struct policy *policy_lookup(const struct attestation_service *s,
                                   const struct policy_set *set, struct str id,
                                   const char *tee_class, bool *indexed);

enum dialect policy_dialect(const struct policy *p, bool indexed);

/* README 12: it compares the launch measurement of an Azure paravisor; true for other TEEs. */
bool policy_pins_paravisor(const struct policy *p, const struct verifier *v);

/* The host function of S6; its user pointer is a struct reference_view. */
enum rego_outcome query_reference_value(struct rego_call *call, const value *args, value *out);

#define EXPIRING_MAX 32 /* named in one decision */

/* What query_reference_value() and data.reference see. */
struct reference_view {
    struct rvps_snapshot *snapshot; /* NULL: could never be read */
    int64_t now_s;
    value replaced; /* an object that stands for the snapshot, or undefined */
    /* Values that were asked for and expire soon, or have (README 3). */
    const struct reference_value *expiring[EXPIRING_MAX];
    size_t expiring_count;
};

struct policy_outcome {
    struct trust_vector vector;
    value extensions; /* object, or undefined */
};

/*
 * Evaluate one policy (7).  On failure *check names the kind of failure.
 * Results are copied into `a`.  `trace` (NULL: off) lives in ctx until the
 * next evaluation.
 */
STATUS policy_evaluate(struct rego_ctx *ctx, struct arena *a, const struct policy *p, value input,
                       struct reference_view *references, struct rego_trace *trace,
                       struct policy_outcome *out, enum check_id *check, struct error *err);

/* data.policy.allow of a simple token's policy. */
STATUS policy_allows(struct rego_ctx *ctx, const struct policy *p, value input,
                     struct reference_view *references, struct rego_trace *trace, bool *out,
                     enum check_id *check, struct error *err);

/* Note a value that somebody reads, if its expiry deserves a word. */
void reference_view_touch(struct reference_view *v, const struct reference_value *entry);

/* The reference values as an object that an explanation may change. */
value reference_view_all(const struct reference_view *v);

/* ---- tokens ---- */

struct token_signer {
    struct privkey *key;
    struct str alg;    /* "ES256", "RS384" */
    struct str header; /* JSON text */
    value jwk;
};

/* Read or make the key; everything else lives in `a`. */
STATUS token_signer_load(struct arena *a, const struct as_config *c,
                         const struct attestation_options *o, struct token_signer *out,
                         struct error *err);

/* The payload's JSON text with members in the order of section 8. */
STATUS ear_payload_write(value claims, struct buf *out);

STATUS token_sign(const struct token_signer *signer, struct arena *a, enum token_kind kind,
                  value claims, struct str *token, struct error *err);

/* ---- evaluation ---- */

struct appraisal {
    struct str submod;
    value evidence; /* annotated evidence, under the era's key */
    struct policy_outcome outcome;
    enum tier tier;
    const struct evidence_claims *source;
    const struct policy *policy;
};

/*
 * From verified claims to the token: everything of attestation_evaluate() but
 * the verifiers.
 */
STATUS attestation_appraise(struct attestation_service *s, struct arena *a,
                            const struct evidence_claims *claims, size_t n,
                            const struct str *policy_ids, size_t n_ids, int64_t now_s, bool explain,
                            struct checks *checks, struct attestation_result *out,
                            struct error *err);

STATUS simple_appraise(struct attestation_service *s, struct arena *a,
                       const struct evidence_claims *claims, size_t n, const struct str *policy_ids,
                       size_t n_ids, int64_t now_s, struct checks *checks,
                       struct attestation_result *out, struct error *err);

/* Hash of the RFC 8785 form, in `a`. */
STATUS canonical_digest(struct arena *a, value v, enum digest_alg alg, struct str *out,
                        struct error *err);

/* Expected report data and its claims (6.2); both in `a`. */
STATUS runtime_data_expect(struct arena *a, const struct attestation_request *r,
                           struct str *expected, value *claims, struct error *err);

/* ---- the service ---- */

#define CONTEXT_POOL 64

struct attestation_service {
    atomic_size_t refs;
    struct arena arena; /* configuration; immutable once made */
    struct attestation_options options;
    struct as_config config;
    struct token_signer signer;
    value claim_schema; /* of the input of policies; undefined for simple tokens */
    struct policy *builtins;
    size_t builtin_count;
    pthread_mutex_t work; /* one refresh or change at a time */
    uint64_t policy_versions[POLICY_SOURCES_MAX];
    bool policies_looked;
    struct error told_policies, told_values, told_deny; /* the last trouble that was warned about */
    pthread_mutex_t pin;                                /* guards the pointer only */
    struct policy_set *policies;
    struct explain_cache *explanations;
    struct collateral_service *endorsements;
    struct deny_watch *deny;        /* NULL: the configuration names no deny list */
    struct verifier_cache *checked; /* endorsements that were good; of these anchors only */
    _Atomic(struct rego_ctx *) contexts[CONTEXT_POOL]; /* idle ones */
};

/* The present set, referenced; NULL before the first successful load. */
struct policy_set *service_policies(struct attestation_service *s);

/* A stored policy (borrowed from the set), or the built-in one of that name (S3); or NULL. */
const struct policy *service_policy(const struct attestation_service *s,
                                    const struct policy_set *set, struct str id);

/* An evaluation context of this thread's own until it is given back.  NULL: no memory. */
struct rego_ctx *service_context_get(struct attestation_service *s);
void service_context_put(struct attestation_service *s, struct rego_ctx *ctx);
