/*
 * verifier - evidence in, claims or a reason out.
 *
 * A verifier is a pure function of bytes, expected data, endorsements and a
 * clock (RATS, RFC 9334: evidence, endorsements, reference values).  No I/O, no
 * globals: that makes every decision replayable.  Either the whole evidence
 * is accepted or the first check that failed is in the recorder.  Policies
 * judge the claims later.
 *
 * One folder a TEE, the same verbs in each: <tee>_evaluate(), <tee>_shape().
 * The table of verifiers is composed at build time.
 */
#pragma once

#include "base/arena.h"
#include "crypto/x509.h"
#include "decision/check.h"
#include "value/value.h"

enum era { ERA_OLD, ERA_NEW }; /* spec/README.md 1 */

/* Policy dialects whose claims have forms of their own: attestation-service.md S4, S5. */
enum dialect { DIALECT_A, DIALECT_B, DIALECT_C, DIALECT_D };

struct anchors;

/*
 * Bytes that a verifier needs beside the evidence, by the name that it asks
 * for: the URL under which the maker publishes them
 * ("https://kdsintf.amd.com/vcek/v1/Milan/...").  A set is immutable.
 */
struct collateral {
    bool (*find)(void *user, struct str url, struct str *bytes);
    void *user;
};

/*
 * Certificates whose issuer was checked before, remembered by digest until
 * they expire (verifier_cache.h): an optimisation that changes no outcome.
 */
struct verifier_cache;

/* Kill switches (deny_list.h). */
struct deny_list;

struct verifier_request {
    value evidence;
    bool has_report_data;
    struct str report_data; /* expected, raw bytes */
    bool has_init_data;
    struct str init_data; /* expected digest, raw bytes */
    enum era era;
    int64_t now_s;
    value config; /* the table verifier_config, or undefined */
    const struct anchors *anchors;
    const struct collateral *collateral; /* NULL: none */
    struct verifier_cache *cache;        /* NULL: none; may be shared by threads */
    bool details;                        /* somebody reads what upstream's claims leave out */
    /*
     * What verifier_config.deny_list names.  NULL while the configuration
     * names one: everything is refused.
     */
    const struct deny_list *deny;
};

#define VERIFIER_CLAIMS_MAX 32
#define VERIFIER_ANCHORS_MAX 4
#define VERIFIER_NEEDED_MAX 8

struct verifier_claims {
    const char *tee_class; /* "cpu", "gpu" */
    value claims;          /* object in the canonical form: that of dialect D */
    /* What upstream's claims leave out, the same in every dialect, if asked for; or undefined. */
    value details;
};

struct verifier_result {
    struct verifier_claims items[VERIFIER_CLAIMS_MAX];
    size_t len;
    /* SHA-256 of the public keys of extra trust anchors that the claims rest on. */
    struct digest extra_anchors[VERIFIER_ANCHORS_MAX];
    size_t extra_anchor_count;
    /* URLs of collateral that is missing, after ERR_UNAVAILABLE: fetch them and ask again. */
    struct str needed[VERIFIER_NEEDED_MAX];
    size_t needed_count;
    /* PCRs rest on a paravisor that nothing pins (HARDEN az-1): said in the decision. */
    bool unpinned_paravisor;
};

/*
 * OK, ERR_DENIED (checks->reason says which), ERR_UNAVAILABLE (collateral is
 * missing), ERR_LIMIT, ERR_NOMEM.  Claims and reason live in `a`, and may share
 * texts with the evidence.
 */
typedef enum status (*verifier_evaluate)(struct arena *a, const struct verifier_request *req,
                                         struct checks *checks, struct verifier_result *out,
                                         struct error *err);

/* Claims in the form that a dialect's upstream had (S5); NULL: all dialects alike. */
typedef value (*verifier_shape)(struct arena *a, value claims, enum dialect dialect);

struct verifier {
    const char *tee;          /* canonical name and claims key: "az-snp-vtpm" */
    const char *old_tee;      /* spelling up to v0.15, or NULL: "azsnpvtpm" */
    bool device;              /* HARDEN kbs-2: never named in auth */
    const char *needs_config; /* member of verifier_config without which it is refused, or NULL */
    verifier_evaluate evaluate;
    verifier_shape shape;
    /*
     * What its claims may be called, in any dialect: paths with "/" between levels,
     * "#" for 00 to 23 (PCRs), a space after each.
     */
    const char *claims;
};

/* By either spelling, exact case; NULL when it is unknown or not built in. */
const struct verifier *verifier_find(struct str tee);

/*
 * The TEE is a known name of the protocol (kbs.md 3.3), though perhaps without
 * a verifier in this build.
 */
bool tee_is_known(struct str tee);
bool tee_is_device(struct str tee);

/*
 * The names of all claims that a verifier of this build may give: an object by TEE, under both
 * spellings, whose members nest; `true` stands for whatever may be below.  TEEs of the protocol
 * that have no verifier here are `true`, too.  For the warnings of the policy engine.
 */
value verifier_claim_schema(struct arena *a);

/* Evaluate with the table's verifier: tee-enabled is its own check. */
STATUS verifier_run(struct arena *a, struct str tee, const struct verifier_request *req,
                    struct checks *checks, struct verifier_result *out, struct error *err);
