#include "kbs/config.h"

#include <stdlib.h>

#include "attestation/attestation.h"
#include "base/file.h"
#include "decision/decision.h"
#include "net/fetch.h"

#define DEFAULT_REPOSITORY "/opt/confidential-containers/kbs/repository"
#define DEFAULT_POLICY_PATH "/opt/confidential-containers/kbs/policy.rego"
#define DEFAULT_LOCAL_FS "/opt/confidential-containers/storage/local_fs"
#define DEFAULT_LOCAL_JSON "/opt/confidential-containers/storage/local_json"
#define DEFAULT_SQLITE "/opt/confidential-containers/storage/claviger.sqlite"

/*
 * Every key of kbs.md 13.2, and ours (INTERFACES.md); those of the attestation
 * service are its own to judge.  What they hold is judged where they are read.
 */
static const struct config_key known_keys[] = {
    {"http_server.sockets", CONFIG_ANY, NULL},
    {"http_server.insecure_http", CONFIG_ANY, NULL},
    {"http_server.private_key", CONFIG_ANY, NULL},
    {"http_server.certificate", CONFIG_ANY, NULL},
    {"http_server.payload_request_size", CONFIG_ANY, NULL},
    {"http_server.worker_count", CONFIG_ANY, NULL},
    {"http_server.tls_profile", CONFIG_ANY, NULL},
    {"http_server.tls_min_version", CONFIG_ANY, NULL},
    {"http_server.tls_max_version", CONFIG_ANY, NULL},
    {"http_server.tls_ciphers", CONFIG_ANY, NULL},
    {"http_server.tls_groups", CONFIG_ANY, NULL},
    {"admin.insecure_api", CONFIG_ANY, NULL},
    {"admin.auth_public_key", CONFIG_ANY, NULL},
    {"admin.type", CONFIG_ANY, NULL},
    {"admin.personas.[].id", CONFIG_ANY, NULL},
    {"admin.personas.[].public_key_path", CONFIG_ANY, NULL},
    {"admin.roles.[].id", CONFIG_ANY, NULL},
    {"admin.roles.[].allowed_endpoints", CONFIG_ANY, NULL},
    {"admin.authorization_mode", CONFIG_ANY, NULL},
    {"admin.authentication.bearer_jwt.identity_providers.[].issuer", CONFIG_ANY, NULL},
    {"admin.authentication.bearer_jwt.identity_providers.[].audience", CONFIG_ANY, NULL},
    {"admin.authentication.bearer_jwt.identity_providers.[].public_key_uri", CONFIG_ANY, NULL},
    {"admin.authentication.bearer_jwt.identity_providers.[].jwk_set_uri", CONFIG_ANY, NULL},
    {"admin.authorization.regex_acl.acls.[].role", CONFIG_ANY, NULL},
    {"admin.authorization.regex_acl.acls.[].allowed_endpoints", CONFIG_ANY, NULL},
    {"attestation_token.trusted_certs_paths", CONFIG_ANY, NULL},
    {"attestation_token.trusted_jwk_sets", CONFIG_ANY, NULL},
    {"attestation_token.extra_teekey_paths", CONFIG_ANY, NULL},
    {"attestation_token.insecure_key", CONFIG_ANY, NULL},
    {"attestation_token.insecure_header_jwk", CONFIG_ANY, NULL},
    {"attestation_token.accept_foreign_header_keys", CONFIG_ANY, NULL},
    {"attestation_token.attestation_token_type", CONFIG_ANY, NULL},
    {"attestation_service.*", CONFIG_ANY, NULL},
    {"policy_engine.policy_path", CONFIG_ANY, NULL},
    {"storage_backend.storage_type", CONFIG_ANY, NULL},
    {"storage_backend.backends.*", CONFIG_ANY, NULL},
    {"session_storage_type", CONFIG_ANY, NULL},
    {"plugins.[].name", CONFIG_ANY, NULL},
    {"plugins.[].type", CONFIG_ANY, NULL},
    {"plugins.[].storage_backend_type", CONFIG_ANY, NULL},
    {"plugins.[].dir_path", CONFIG_ANY, NULL},
    {"plugins.[].item", CONFIG_ANY, NULL},
    {"claviger.era", CONFIG_ANY, NULL},
    {"claviger.protocols", CONFIG_ANY, NULL},
    {"claviger.seal_keys", CONFIG_ANY, NULL},
    {"claviger.extra_trust_anchors", CONFIG_ANY, NULL},
    {"claviger.decision_ring", CONFIG_ANY, NULL},
    {"claviger.submod_naming", CONFIG_ANY, NULL},
    {"claviger.confinement", CONFIG_ANY, NULL},
    {"claviger.fetch_allow", CONFIG_ANY, NULL},
    {"claviger.fetch_ca", CONFIG_ANY, NULL},
    {NULL, CONFIG_ANY, NULL},
};

/* Known, read without complaint by upstream, and without any effect (kbs.md 13.3). */
static const char *const dead_keys[] = {
    "/attestation_token/attestation_token_type",
    "/attestation_service/policy_engine",
    "/attestation_service/attestation_token_config",
    "/attestation_service/work_dir",
    "/session_storage_type",
};

static bool has(value root, const char *pointer)
{
    return value_is_defined(value_pointer(root, str_of(pointer)));
}

static void read_http(struct reader *r, struct kbs_config *c)
{
    value t = VALUE_UNDEFINED;
    struct str at = STR("/http_server");
    reader_table(r, c->root, STR_EMPTY, "http_server", &t);
    if (!reader_strs(r, t, at, "sockets", &c->sockets)) {
        struct str *one = arena_new(&c->arena, struct str);
        if (one != NULL) {
            *one = STR("127.0.0.1:8080");
            c->sockets = (struct str_list){one, 1};
        }
    }
    if (c->sockets.len == 0)
        reader_fail(r, STR("/http_server/sockets"), "expected at least one \"ip:port\"");
    reader_bool(r, t, at, "insecure_http", &c->insecure_http);
    reader_str(r, t, at, "private_key", &c->private_key);
    reader_str(r, t, at, "certificate", &c->certificate);
    reader_uint(r, t, at, "payload_request_size", 1024, &c->payload_mib);
    reader_uint(r, t, at, "worker_count", 1024, &c->worker_count);

    static const char *const profiles[] = {"old", "intermediate", "modern", "custom", NULL};
    static const enum tls_profile profile_of[] = {TLS_OLD, TLS_INTERMEDIATE, TLS_MODERN,
                                                  TLS_CUSTOM};
    static const char *const versions[] = {"1.2", "1.3", NULL};
    struct str s;
    if (reader_str(r, t, at, "tls_profile", &s)) {
        int i = reader_choice(r, STR("/http_server/tls_profile"), s, profiles);
        c->tls.profile = i < 0 ? TLS_INTERMEDIATE : profile_of[i];
    }
    if (reader_str(r, t, at, "tls_min_version", &s))
        c->tls.min_version =
            12 + reader_choice(r, STR("/http_server/tls_min_version"), s, versions);
    if (reader_str(r, t, at, "tls_max_version", &s))
        c->tls.max_version =
            12 + reader_choice(r, STR("/http_server/tls_max_version"), s, versions);
    if (c->tls.max_version != 0 && c->tls.min_version > c->tls.max_version)
        reader_fail(r, STR("/http_server/tls_min_version"),
                    "tls_min_version (1.3) cannot be greater than tls_max_version (1.2)");
    if (reader_str(r, t, at, "tls_ciphers", &s))
        c->tls.ciphers = s.ptr;
    if (reader_str(r, t, at, "tls_groups", &s))
        c->tls.groups = s.ptr;
    c->tls.certificate_path = c->certificate.len > 0 ? c->certificate.ptr : NULL;
    c->tls.private_key_path = c->private_key.len > 0 ? c->private_key.ptr : NULL;
    if (!c->insecure_http && r->failed == OK) {
        if (c->certificate.len == 0)
            reader_fail(r, STR("/http_server/certificate"),
                        "Missing certificate (or set insecure_http = true)");
        if (c->private_key.len == 0)
            reader_fail(r, STR("/http_server/private_key"),
                        "Missing private key (or set insecure_http = true)");
    }
}

/* ---- [admin], three generations (kbs.md 6) ---- */

static void read_acls(struct reader *r, struct kbs_config *c, value list, struct str at,
                      const char *role_key, bool unique)
{
    size_t n = value_len(list);
    c->acls = arena_new_array(&c->arena, struct config_acl, n + 1);
    if (c->acls == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        struct config_acl *acl = &c->acls[c->acl_count++];
        struct str item = reader_item(r, at, i);
        acl->role = acl->allowed_endpoints = STR_EMPTY;
        if (!reader_str(r, value_at(list, i), item, role_key, &acl->role))
            reader_fail(r, item, "missing `%s`", role_key);
        reader_str(r, value_at(list, i), item, "allowed_endpoints", &acl->allowed_endpoints);
        if (!str_has_prefix(acl->allowed_endpoints, STR("^/kbs")) ||
            !str_has_suffix(acl->allowed_endpoints, STR("$")))
            reader_fail(r, reader_at(r, item, "allowed_endpoints"),
                        "Admin Role regex must be anchored: expected ^/kbs...$");
        for (size_t k = 0; unique && k + 1 < c->acl_count; k++)
            if (str_equal(c->acls[k].role, acl->role))
                reader_fail(r, item, "duplicate role \"%s\"", QUOTED(acl->role));
    }
}

static void read_admin_old(struct reader *r, struct kbs_config *c, value t)
{
    struct str at = STR("/admin");
    bool insecure = false;
    reader_bool(r, t, at, "insecure_api", &insecure);
    reader_str(r, t, at, "auth_public_key", &c->auth_public_key);
    c->admin_form = ADMIN_FORM_OLD;
    c->admin_mode = insecure ? ADMIN_INSECURE : ADMIN_OLD_KEY;
    if (!insecure && c->auth_public_key.len == 0)
        reader_fail(r, at, "`auth_public_key` is not set in the config file");
}

static void read_admin_typed(struct reader *r, struct kbs_config *c, value t, struct str type)
{
    static const char *const types[] = {"InsecureAllowAll", "DenyAll", "Simple", NULL};
    static const enum admin_mode modes[] = {ADMIN_INSECURE, ADMIN_DENY_ALL, ADMIN_SIMPLE};
    struct str at = STR("/admin");
    int i = reader_choice(r, STR("/admin/type"), type, types);
    if (i < 0)
        return;
    c->admin_form = ADMIN_FORM_TYPED;
    c->admin_mode = modes[i];

    value list = VALUE_UNDEFINED;
    reader_array(r, t, at, "personas", &list);
    size_t n = value_len(list);
    c->personas = arena_new_array(&c->arena, struct config_persona, n + 1);
    for (size_t k = 0; k < n && c->personas != NULL; k++) {
        struct config_persona *p = &c->personas[c->persona_count++];
        struct str item = reader_item(r, STR("/admin/personas"), k);
        p->id = p->public_key_path = STR_EMPTY;
        if (!reader_str(r, value_at(list, k), item, "id", &p->id))
            reader_fail(r, item, "missing `id`");
        if (!reader_str(r, value_at(list, k), item, "public_key_path", &p->public_key_path))
            reader_fail(r, item, "missing `public_key_path`");
    }
    list = VALUE_UNDEFINED;
    if (reader_array(r, t, at, "roles", &list))
        read_acls(r, c, list, STR("/admin/roles"), "id", true);
}

static void read_providers(struct reader *r, struct kbs_config *c, value t)
{
    struct str at = STR("/admin/authentication/bearer_jwt/identity_providers");
    value list = value_pointer(t, STR("/authentication/bearer_jwt/identity_providers"));
    size_t n = value_len(list);
    if (!value_is_array(list) || n == 0) {
        reader_fail(
            r, at,
            "AuthenticatedAuthorization requires at least one `identity_providers` entry in "
            "[admin.authentication.bearer_jwt]");
        return;
    }
    c->providers = arena_new_array(&c->arena, struct config_provider, n);
    for (size_t i = 0; i < n && c->providers != NULL; i++) {
        struct config_provider *p = &c->providers[c->provider_count++];
        struct str item = reader_item(r, at, i);
        value v = value_at(list, i);
        *p = (struct config_provider){STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY};
        reader_str(r, v, item, "issuer", &p->issuer);
        reader_str(r, v, item, "audience", &p->audience);
        reader_str(r, v, item, "public_key_uri", &p->public_key_uri);
        reader_str(r, v, item, "jwk_set_uri", &p->jwk_set_uri);
        if (p->public_key_uri.len == 0 && p->jwk_set_uri.len == 0)
            reader_fail(r, item,
                        "identity_providers[%zu] must set `public_key_uri` and/or `jwk_set_uri`",
                        i);
    }
}

static void read_admin_modes(struct reader *r, struct kbs_config *c, value t, struct str mode)
{
    static const char *const names[] = {"InsecureAllowAll", "DenyAll", "AuthenticatedAuthorization",
                                        NULL};
    static const enum admin_mode modes[] = {ADMIN_INSECURE, ADMIN_DENY_ALL, ADMIN_BEARER};
    int i = reader_choice(r, STR("/admin/authorization_mode"), mode, names);
    if (i < 0)
        return;
    c->admin_form = ADMIN_FORM_MODES;
    c->admin_mode = modes[i];

    static const char *const older[] = {"insecure_api", "auth_public_key", "type", "personas",
                                        "roles"};
    for (size_t k = 0; k < ARRAY_LEN(older); k++)
        if (value_is_defined(value_get_str(t, str_of(older[k]))))
            reader_fail(r, reader_at(r, STR("/admin"), older[k]),
                        "unknown key beside `authorization_mode`: it belongs to an older form of "
                        "[admin]");
    if (c->admin_mode != ADMIN_BEARER)
        return;
    read_providers(r, c, t);
    value acl = value_pointer(t, STR("/authorization/regex_acl"));
    if (!value_is_object(acl)) {
        reader_fail(r, STR("/admin/authorization"),
                    "AuthenticatedAuthorization requires [admin.authorization.regex_acl]");
        return;
    }
    value list = VALUE_UNDEFINED;
    if (reader_array(r, acl, STR("/admin/authorization/regex_acl"), "acls", &list))
        read_acls(r, c, list, STR("/admin/authorization/regex_acl/acls"), "role", false);
}

/* kbs.md 6.5: the keys decide. */
static void read_admin(struct reader *r, struct kbs_config *c)
{
    value t;
    if (!reader_table(r, c->root, STR_EMPTY, "admin", &t)) {
        reader_fail(
            r, STR("/admin"),
            "`auth_public_key` is not set in the config file: the table [admin] is missing");
        return;
    }
    struct str s;
    if (reader_str(r, t, STR("/admin"), "authorization_mode", &s))
        read_admin_modes(r, c, t, s);
    else if (reader_str(r, t, STR("/admin"), "type", &s))
        read_admin_typed(r, c, t, s);
    else
        read_admin_old(r, c, t);
}

/* ---- the rest ---- */

static void read_token(struct reader *r, struct kbs_config *c)
{
    value t = VALUE_UNDEFINED;
    struct str at = STR("/attestation_token");
    reader_table(r, c->root, STR_EMPTY, "attestation_token", &t);
    reader_strs(r, t, at, "trusted_certs_paths", &c->trusted_certs_paths);
    reader_strs(r, t, at, "trusted_jwk_sets", &c->trusted_jwk_sets);
    reader_strs(r, t, at, "extra_teekey_paths", &c->extra_teekey_paths);
    bool old = false;
    bool new = false;
    reader_bool(r, t, at, "insecure_key", &old);
    reader_bool(r, t, at, "insecure_header_jwk", &new);
    c->insecure_header_jwk = old || new;
    reader_bool(r, t, at, "accept_foreign_header_keys", &c->accept_foreign_header_keys);
}

static void read_attestation_service(struct reader *r, struct kbs_config *c)
{
    static const char *const types[] = {"coco_as_builtin",
                                        "CoCoASBuiltIn",
                                        "coco_as_grpc",
                                        "CoCoASGrpc",
                                        "intel_ta",
                                        "IntelTA",
                                        NULL};
    struct str at = STR("/attestation_service");
    if (!reader_table(r, c->root, STR_EMPTY, "attestation_service", &c->attestation_service))
        return;
    struct str type;
    if (reader_str(r, c->attestation_service, at, "type", &type)) {
        int i = reader_choice(r, STR("/attestation_service/type"), type, types);
        if (i > 1)
            reader_fail(r, STR("/attestation_service/type"),
                        "\"%s\" is not in this build; it has \"coco_as_builtin\"", types[i]);
    } else {
        reader_fail(r, at, "missing `type`");
    }
    reader_uint(r, c->attestation_service, at, "timeout", 7 * 24 * 60, &c->session_minutes);
    if (c->session_minutes == 0)
        reader_fail(r, STR("/attestation_service/timeout"), "expected at least 1 minute");
}

static void read_storage(struct reader *r, struct kbs_config *c)
{
    static const char *const kinds[] = {"Memory",     "memory", "LocalFs", "local_fs", "LocalJson",
                                        "local_json", "Sqlite", "sqlite",  "Postgres", "postgres",
                                        "Redis",      "redis",  NULL};
    static const struct {
        const char *table, *key, *synonym, *path;
    } backends[] = {
        [STORAGE_KIND_LOCAL_FS] = {"local_fs", "dir_path", NULL, DEFAULT_LOCAL_FS},
        /* dir_path is what the v0.21 operator writes; the real name wins */
        [STORAGE_KIND_LOCAL_JSON] = {"local_json", "file_dir_path", "dir_path", DEFAULT_LOCAL_JSON},
        [STORAGE_KIND_SQLITE] = {"sqlite", "path", NULL, DEFAULT_SQLITE},
    };
    if (!reader_table(r, c->root, STR_EMPTY, "storage_backend", &c->storage_backend))
        return;
    c->has_storage_backend = true;
    struct str at = STR("/storage_backend");
    struct str kind;
    if (!reader_str(r, c->storage_backend, at, "storage_type", &kind))
        return;
    int i = reader_choice(r, STR("/storage_backend/storage_type"), kind, kinds);
    if (i >= 8)
        reader_fail(r, STR("/storage_backend/storage_type"),
                    "\"%s\" is not in this build; it has Memory, LocalFs, LocalJson, Sqlite",
                    kinds[i]);
    if (i < 0 || i >= 8)
        return;
    c->storage_kind = (enum storage_kind)(i / 2);
    if (c->storage_kind == STORAGE_KIND_MEMORY)
        return;

    /* A missing section is a section of defaults (attestation-service.md 2.5). */
    const char *name = backends[c->storage_kind].table;
    value table = VALUE_UNDEFINED;
    reader_table(r, value_get_lit(c->storage_backend, "backends"), STR("/storage_backend/backends"),
                 name, &table);
    struct str table_at = reader_at(r, STR("/storage_backend/backends"), name);
    c->storage_path = str_of(backends[c->storage_kind].path);
    if (backends[c->storage_kind].synonym != NULL)
        reader_str(r, table, table_at, backends[c->storage_kind].synonym, &c->storage_path);
    reader_str(r, table, table_at, backends[c->storage_kind].key, &c->storage_path);
}

static void read_resource_plugin(struct reader *r, struct config_plugin *p, value t, struct str at)
{
    static const char *const backends[] = {"LocalFs", "KvStorage", "kvstorage", "Aliyun", "aliyun",
                                           "Vault",   "vault",     "Aws",       "aws",    "Gcp",
                                           "gcp",     "Pkcs11",    NULL};
    struct str type = STR("kvstorage");
    struct str key = reader_at(r, at, "storage_backend_type");
    reader_str(r, t, at, "storage_backend_type", &type);
    if (reader_str(r, t, at, "type", &type)) /* old keys win (kbs.md 7.3) */
        key = reader_at(r, at, "type");
    int i = reader_choice(r, key, type, backends);
    if (i > 2)
        reader_fail(r, key, "\"%s\" is not in this build; it has \"LocalFs\" and \"kvstorage\"",
                    backends[i]);
    p->backend = i == 0 ? RESOURCE_NESTED : RESOURCE_KV;
    p->dir_path = STR(DEFAULT_REPOSITORY);
    reader_str(r, t, at, "dir_path", &p->dir_path);
}

static void read_plugins(struct reader *r, struct kbs_config *c)
{
    static const char *const names[] = {
        "resource",       "ResourceStorage", "sample", "Sample",   "nebula-ca",
        "NebulaCaPlugin", "pkcs11",          "Pkcs11", "external", "ExternalPlugin",
        "provisioner",    "Provisioner",     NULL};
    value list;
    if (!reader_array(r, c->root, STR_EMPTY, "plugins", &list))
        return;
    size_t n = value_len(list);
    c->plugins = arena_new_array(&c->arena, struct config_plugin, n + 1);
    for (size_t i = 0; i < n && c->plugins != NULL && r->failed == OK; i++) {
        struct config_plugin *p = &c->plugins[c->plugin_count++];
        struct str at = reader_item(r, STR("/plugins"), i);
        value t = value_at(list, i);
        struct str name;
        if (!reader_str(r, t, at, "name", &name)) {
            reader_fail(r, at, "missing `name`");
            return;
        }
        int k = reader_choice(r, reader_at(r, at, "name"), name, names);
        if (k >= 4)
            reader_fail(r, reader_at(r, at, "name"),
                        "plugin \"%s\" is not in this build; it has \"resource\" and \"sample\"",
                        names[k]);
        p->kind = k < 2 ? PLUGIN_RESOURCE : PLUGIN_SAMPLE;
        p->item = STR_EMPTY;
        if (p->kind == PLUGIN_RESOURCE)
            read_resource_plugin(r, p, t, at);
        else if (!reader_str(r, t, at, "item", &p->item))
            reader_fail(r, at, "missing `item`");
    }
}

static void read_claviger(struct reader *r, struct kbs_config *c)
{
    static const char *const served[] = {"0.1.1", "0.2.0", "0.4.0", NULL};
    static const char *const eras[] = {"old", "new", NULL};
    static const char *const naming[] = {"plain", "indexed", "both", NULL};
    c->protocols = (struct str_list){arena_new_array(&c->arena, struct str, 3), 3};
    for (size_t i = 0; i < 3 && c->protocols.items != NULL; i++)
        c->protocols.items[i] = str_of(served[i]);

    value t = VALUE_UNDEFINED;
    struct str at = STR("/claviger");
    reader_table(r, c->root, STR_EMPTY, "claviger", &t);
    struct str s;
    if (reader_str(r, t, at, "era", &s)) {
        c->era = reader_choice(r, STR("/claviger/era"), s, eras) == 0 ? ERA_OLD : ERA_NEW;
        c->era_configured = true;
    }
    if (reader_strs(r, t, at, "protocols", &c->protocols)) {
        for (size_t i = 0; i < c->protocols.len; i++)
            if (reader_choice(r, reader_item(r, STR("/claviger/protocols"), i),
                              c->protocols.items[i], served) < 0)
                return;
        if (c->protocols.len == 0)
            reader_fail(r, STR("/claviger/protocols"), "expected at least one version");
    }
    if (reader_strs(r, t, at, "seal_keys", &c->seal_keys) &&
        (c->seal_keys.len == 0 || c->seal_keys.len > 4))
        reader_fail(r, STR("/claviger/seal_keys"), "expected one to four files");
    reader_strs(r, t, at, "extra_trust_anchors", &c->extra_trust_anchors);
    reader_strs(r, t, at, "fetch_allow", &c->fetch_allow);
    for (size_t i = 0; i < c->fetch_allow.len; i++)
        if (!str_has_prefix(c->fetch_allow.items[i], STR("https://")) ||
            !fetch_url_allowed(c->fetch_allow.items[i], c->fetch_allow.items[i]))
            reader_fail(r, reader_item(r, STR("/claviger/fetch_allow"), i),
                        "expected https://host[:port]/path without a query");
    reader_str(r, t, at, "fetch_ca", &c->fetch_ca);
    static const char *const confinement[] = {"available", "required", NULL};
    if (reader_str(r, t, at, "confinement", &s))
        c->confinement_required =
            reader_choice(r, STR("/claviger/confinement"), s, confinement) == 1;
    c->decision_ring = DECISION_RING_DEFAULT;
    if (reader_uint(r, t, at, "decision_ring", DECISION_RING_MAX, &c->decision_ring) &&
        c->decision_ring < DECISION_RING_MIN)
        reader_fail(r, STR("/claviger/decision_ring"), "expected at least %u bytes",
                    DECISION_RING_MIN);
    if (reader_str(r, t, at, "submod_naming", &s)) {
        c->submod_naming = reader_choice(r, STR("/claviger/submod_naming"), s, naming);
        c->has_submod_naming = true;
    }
}

/* kbs.md 13.4, rule 8. */
static void decide_era(struct kbs_config *c)
{
    bool old_plugin = false;
    bool new_plugin = false;
    value plugins = value_get_lit(c->root, "plugins");
    for (size_t i = 0; i < value_len(plugins); i++) {
        value p = value_at(plugins, i);
        new_plugin |= value_is_defined(value_get_lit(p, "storage_backend_type"));
        old_plugin |= str_is(value_str(value_get_lit(p, "type")), "LocalFs");
    }
    bool new = has(c->root, "/admin/authorization_mode") || has(c->root, "/admin/type") ||
               c->has_storage_backend || new_plugin;
    bool old = has(c->root, "/policy_engine") || has(c->root, "/admin/insecure_api") ||
               has(c->root, "/admin/auth_public_key") ||
               has(c->root, "/attestation_service/attestation_token_broker/type") ||
               has(c->root, "/attestation_service/attestation_token_broker/policy_dir") ||
               has(c->root, "/attestation_service/rvps_config/storage") || old_plugin;

    if (!c->era_configured)
        c->era = !new &&old ? ERA_OLD : ERA_NEW;

    /* Rule 7: with other legacy keys, upstream's default path applied. */
    if (!c->has_policy_path && !c->has_storage_backend && !new &&old) {
        c->has_policy_path = true;
        c->policy_path = STR(DEFAULT_POLICY_PATH);
    }
}

static void warn_dead_keys(struct reader *r, struct kbs_config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(dead_keys); i++)
        if (has(c->root, dead_keys[i]))
            reader_warn(r, str_of(dead_keys[i]), "has no effect");
}

static enum status load(struct kbs_config *c, struct str text, config_warn warn, void *user,
                        struct error *err)
{
    enum document_format format;
    if (!document_format_of(c->path, &format)) {
        error_set(err,
                  "failed to load configuration file %s: its name must end in .toml, .yaml, "
                  ".yml or .json",
                  c->path.ptr);
        return ERR_INVALID;
    }
    struct positions positions = {0};
    enum status st = document_parse(&c->arena, text, format, &c->root, &positions, err);
    if (st != OK) {
        struct error cause = err == NULL ? (struct error)ERROR_INIT : *err;
        error_set_at(err, cause.line, cause.col,
                     "failed to load configuration file %s: line %u, column %u: %s", c->path.ptr,
                     cause.line, cause.col, cause.text);
        return st;
    }

    struct reader r = {&c->arena, c->path, &positions, OK, err, warn, user};
    if (!value_is_object(c->root))
        reader_fail(&r, STR_EMPTY, "expected a table");
    read_http(&r, c);
    read_admin(&r, c);
    read_token(&r, c);
    read_attestation_service(&r, c);
    read_storage(&r, c);
    value t = VALUE_UNDEFINED;
    reader_table(&r, c->root, STR_EMPTY, "policy_engine", &t);
    c->has_policy_path = reader_str(&r, t, STR("/policy_engine"), "policy_path", &c->policy_path);
    read_plugins(&r, c);
    read_claviger(&r, c);
    decide_era(c);
    reader_check_keys(&r, c->root, STR_EMPTY, known_keys, "admin");
    attestation_config_check(&r, c->attestation_service, STR("/attestation_service"));
    warn_dead_keys(&r, c);
    if (r.failed != OK) {
        error_prefix(err, "failed to load configuration file ");
        return r.failed;
    }
    if (arena_status(&c->arena) != OK) {
        error_set(err, "failed to load configuration file %s: it is too large", c->path.ptr);
        return arena_status(&c->arena);
    }
    return OK;
}

enum status kbs_config_parse(struct str path, struct str text, config_warn warn, void *user,
                             struct kbs_config **out, struct error *err)
{
    CLEANUP(kbs_config_cleanup) struct kbs_config *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return error_nomem(err);
    arena_init(&c->arena, 16 * (size_t)CONFIG_FILE_MAX);
    c->path = arena_str(&c->arena, path);
    if (c->path.ptr == NULL)
        return error_nomem(err);
    c->attestation_service = VALUE_UNDEFINED;
    c->storage_backend = VALUE_UNDEFINED;
    c->payload_mib = 2;
    c->session_minutes = 5;
    c->tls.profile = TLS_INTERMEDIATE;

    enum status st = load(c, text, warn, user, err);
    if (st != OK)
        return st;
    *out = TAKE(c);
    return OK;
}

enum status kbs_config_load(const char *path, config_warn warn, void *user, struct kbs_config **out,
                            struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, CONFIG_FILE_MAX);
    enum status st = file_read(path, &text, err);
    if (st != OK) {
        error_prefix(err, "failed to load configuration file %s: ", path);
        return st;
    }
    return kbs_config_parse(str_of(path), buf_str(&text), warn, user, out, err);
}

struct kbs_config *kbs_config_free(struct kbs_config *c)
{
    if (c != NULL)
        arena_done(&c->arena);
    free(c);
    return NULL;
}

bool kbs_config_serves(const struct kbs_config *c, struct str protocol)
{
    for (size_t i = 0; i < c->protocols.len; i++)
        if (str_equal(c->protocols.items[i], protocol))
            return true;
    return false;
}
