/*
 * config - the KBS configuration of every version from v0.11 on, as one struct
 * (kbs.md 13).
 *
 * Immutable once loaded; lives in its own arena.  Unknown keys are warned about
 * once, with the nearest known name; below [admin] they are errors (HARDEN
 * kbs-10).  Errors name file, line, key and what was expected.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "net/tls.h"
#include "value/config_read.h"
#include "value/document.h"
#include "value/value.h"
#include "verifier/verifier.h"

#define CONFIG_FILE_MAX (4 * 1024 * 1024)

enum admin_mode {
    ADMIN_INSECURE, /* everybody may do everything */
    ADMIN_DENY_ALL,
    ADMIN_OLD_KEY, /* 6.2: one Ed25519 key */
    ADMIN_SIMPLE,  /* 6.3: personas and roles */
    ADMIN_BEARER,  /* 6.4: identity providers and ACLs */
};

/* Which generation of the [admin] table it is: it decides texts. */
enum admin_form { ADMIN_FORM_OLD, ADMIN_FORM_TYPED, ADMIN_FORM_MODES };

struct config_persona {
    struct str id, public_key_path;
};

struct config_acl {
    struct str role, allowed_endpoints;
};

struct config_provider {
    struct str issuer, audience, public_key_uri, jwk_set_uri; /* empty: absent */
};

enum plugin_kind { PLUGIN_RESOURCE, PLUGIN_SAMPLE };
enum resource_backend { RESOURCE_NESTED, RESOURCE_KV };

struct config_plugin {
    enum plugin_kind kind;
    enum resource_backend backend; /* resource */
    struct str dir_path;           /* RESOURCE_NESTED */
    struct str item;               /* sample */
};

enum storage_kind {
    STORAGE_KIND_MEMORY,
    STORAGE_KIND_LOCAL_FS,
    STORAGE_KIND_LOCAL_JSON,
    STORAGE_KIND_SQLITE,
};

struct kbs_config {
    struct arena arena;
    struct str path; /* of the file */
    value root;      /* the whole document */

    enum era era;
    bool era_configured;
    bool cpu0_names; /* README 11 */

    struct str_list sockets;
    bool insecure_http;
    struct str private_key, certificate;
    unsigned payload_mib;
    unsigned worker_count; /* 0: CPUs */
    struct tls_options tls;

    enum admin_form admin_form;
    enum admin_mode admin_mode;
    struct str auth_public_key; /* old form; may be set beside insecure_api */
    struct config_persona *personas;
    size_t persona_count;
    struct config_acl *acls; /* roles of 6.3, acls of 6.4 */
    size_t acl_count;
    struct config_provider *providers;
    size_t provider_count;

    struct str_list trusted_certs_paths, trusted_jwk_sets, extra_teekey_paths;
    bool insecure_header_jwk;        /* insecure_key, insecure_header_jwk */
    bool accept_foreign_header_keys; /* README 16 */

    value attestation_service; /* the table, or undefined: built-in with defaults */
    unsigned session_minutes;

    bool has_policy_path; /* old layout of the resource policy */
    struct str policy_path;

    bool has_storage_backend;
    enum storage_kind storage_kind;
    struct str storage_path; /* a folder; STORAGE_KIND_SQLITE: the database */
    value storage_backend;   /* the table, or undefined */

    struct config_plugin *plugins;
    size_t plugin_count;

    struct str_list protocols; /* "0.1.1", "0.2.0", "0.4.0" */
    struct str_list seal_keys; /* paths */
    struct str_list extra_trust_anchors;
    unsigned decision_ring; /* bytes; of the process, so a reload does not change it */
    bool has_submod_naming;
    int submod_naming; /* enum submod_naming */
    bool confinement_required;
    struct str_list fetch_allow; /* URL prefixes beside the origins of key sources */
    struct str fetch_ca;         /* further certification authorities for them */
};

typedef void (*config_warn)(void *user, const char *text);

/* Read and check a file.  `warn` gets one text a warning. */
STATUS kbs_config_load(const char *path, config_warn warn, void *user, struct kbs_config **out,
                       struct error *err);

/* The same from text; `path` is for messages and for the format. */
STATUS kbs_config_parse(struct str path, struct str text, config_warn warn, void *user,
                        struct kbs_config **out, struct error *err);
struct kbs_config *kbs_config_free(struct kbs_config *c);
DEFINE_CLEANUP(kbs_config, struct kbs_config, kbs_config_free)

bool kbs_config_serves(const struct kbs_config *c, struct str protocol);
