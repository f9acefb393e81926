/* What the files of the kbs module share.  See kbs.h for the outside. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "attestation/attestation.h"
#include "base/secret.h"
#include "decision/decision.h"
#include "kbs/admin.h"
#include "kbs/kbs.h"
#include "kbs/keys.h"
#include "kbs/metrics.h"
#include "kbs/policy.h"
#include "kbs/session.h"
#include "kbs/token.h"
#include "net/helper.h"
#include "storage/storage.h"

/* One configuration, loaded. Immutable but for the snapshots inside policy and attestation. */
struct kbs_state {
    _Atomic unsigned refs;
    struct kbs_config *config;
    struct anchors *anchors;
    struct attestation_service *attestation;
    uint64_t signer_version; /* of the files that the token key and the address of collateral
                                came from */
    struct keys *keys;       /* that the configuration names by path or URL */
    struct token_verifier *tokens;
    struct admin *admin;
    struct storage *kv; /* namespace `kbs`; NULL: the policy is a file */
    struct resource_policy *policy;
    struct error policy_trouble; /* when it was loaded */
    struct sealer *sealer;
    uint64_t files_version;             /* of all files that the configuration names */
    struct storage *resources;          /* of the resource plugin; NULL: no such plugin */
    const struct config_plugin *sample; /* the sample plugin, or NULL */
};

struct kbs {
    struct kbs_options options;
    char *config_path, *qcnl_path;
    char **anchor_dirs;
    size_t anchor_dir_count;
    const struct clock *clock;
    const struct random_source *random;
    struct decision_ring *decisions;
    struct session_store *sessions;
    struct metrics metrics;
    struct secret *seal_key; /* made at start, for configurations without seal_keys */
    atomic_bool stopping;
    struct confine reach; /* what the process may read and write, once it is confined */
    struct arena urls;    /* what may be fetched then: */
    const char *const *allowed;
    struct helper *helper; /* NULL: nothing may */
    bool files_confined, calls_confined;
    pthread_mutex_t lock; /* of `state` */
    struct kbs_state *state;

    /* Of the thread that calls kbs_refresh() and kbs_reload(): */
    struct kbs_config *refused; /* the newest one that was read, when its state was refused */
    uint64_t files_seen;        /* by the last try to load */
    uint64_t files_pending;     /* at the last look */
};

struct kbs_state *kbs_state_get(struct kbs *k); /* referenced */
struct kbs_state *kbs_state_unref(struct kbs_state *s);
DEFINE_CLEANUP(kbs_state, struct kbs_state, kbs_state_unref)

/* ---- watch.c ---- */

/* Of every file that it names; 0 is possible. */
uint64_t config_files_version(const struct kbs *k, const struct kbs_config *c);
/* kbs.c: of the token key, and of sgx_default_qcnl.conf. */
uint64_t signer_files_version(const struct kbs *k, const struct kbs_config *c);

/* True when files have changed since the last try to load, and not since the last look. */
bool watch_has_news(struct kbs *k, const struct kbs_state *s);
void watch_loaded(struct kbs *k, const struct kbs_state *s);
/* `seen`: of the state that serves on, before the try.  Takes `refused`, NULL when it did not
 * parse. */
void watch_refused(struct kbs *k, uint64_t seen, struct kbs_config *refused,
                   uint64_t refused_version);

/* Say which keys changed that a reload does not apply. */
void warn_about_restart(const struct kbs_config *old, const struct kbs_config *c);

#define SEGMENTS_MAX 64

/* A request on its way, in the exchange's arena. */
struct request {
    struct kbs *kbs;
    struct kbs_state *state; /* referenced */
    struct http_exchange *x;
    struct arena *arena;
    int64_t now_s;
    struct str path;                   /* canonical: "/kbs/v0/resource/a/b/c" */
    struct str segments[SEGMENTS_MAX]; /* decoded, behind /kbs/v0/ */
    size_t segment_count;
    struct checks checks;
    struct decision decision;
    bool decides;                    /* this request is recorded */
    void (*work)(struct request *r); /* what to do on a worker thread */
    void *pending;                   /* what it works on */
};

/* ---- confine.c ---- */

/* May this be loaded, now that the process is confined?  ERR_DENIED: it needs a restart. */
STATUS kbs_config_is_within(const struct kbs *k, const struct kbs_config *config,
                            struct error *err);
STATUS kbs_state_is_within(const struct kbs *k, const struct kbs_state *s, struct error *err);
void kbs_confine_done(struct kbs *k);

/* ---- answer.c ---- */

/* Which error of kbs.md 2.12; the era decides the spelling of some. */
enum variant {
    V_ADMIN_ENDPOINT, /* AdminAuthAccess; old: AdminAuth */
    V_ADMIN_PLUGIN,   /* AdminAuthInitialization; old: AdminAuth */
    V_ATTESTATION,
    V_INVALID_PATH,
    V_JWE,
    V_PLUGIN_NOT_FOUND,
    V_PLUGIN_INTERNAL,
    V_POLICY_DENY,
    V_PARSE_POLICY,  /* old: PolicyEngine */
    V_POLICY_ENGINE, /* old: PolicyEngine */
    V_RVPS,
    V_TOKEN_NOT_FOUND,
    V_TOKEN_VERIFIER,
    V_DECISION_NOT_FOUND, /* ours */
};

/* 404 for paths and plugins, 401 for everything else; detail as printf. Logs the whole reason. */
void answer_error(struct request *r, enum variant v, const char *format, ...) PRINTF_LIKE(3, 4);
void answer_empty(struct request *r, int status);
void answer_body(struct request *r, const char *content_type); /* 200, body is in x->out already */
void answer_cookie(struct request *r, struct str text, int64_t expires_s);

/* ---- rcar.c ---- */

void rcar_auth(struct request *r);
void rcar_attest(struct request *r);

/* ---- resource.c ---- */

void plugin_request(struct request *r);
bool resource_name_is_valid(const struct str *parts, size_t n);

/* ---- manage.c ---- */

/* Is the caller an administrator?  Otherwise the answer is written and false returned. */
bool admin_allowed(struct request *r, enum variant on_failure);
void manage_resource_policy(struct request *r);
void manage_attestation_policy(struct request *r);
void manage_reference_value(struct request *r);
void manage_decision(struct request *r);
