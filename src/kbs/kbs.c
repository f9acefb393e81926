/* The service's life: loading a configuration, reloading it, following files. */
#include "kbs/kbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "kbs/kbs_internal.h"

#define SEAL_FILE_MAX 4096

static void warn_log(void *user, const char *text)
{
    (void)user;
    log_warn("kbs", "%s", text);
}

/* ---- state ---- */

struct kbs_state *kbs_state_get(struct kbs *k)
{
    pthread_mutex_lock(&k->lock);
    struct kbs_state *s = k->state;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&k->lock);
    return s;
}

struct kbs_state *kbs_state_unref(struct kbs_state *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    storage_unref(s->resources);
    sealer_free(s->sealer);
    resource_policy_free(s->policy);
    storage_unref(s->kv);
    admin_free(s->admin);
    token_verifier_free(s->tokens);
    keys_free(s->keys);
    attestation_service_unref(s->attestation);
    anchors_unref(s->anchors);
    kbs_config_free(s->config);
    free(s);
    return NULL;
}

static enum status load_anchors(struct kbs *k, struct kbs_state *s, struct error *err)
{
    const struct str_list *more = &s->config->extra_trust_anchors;
    size_t n = k->anchor_dir_count + more->len;
    const char **dirs = calloc(n + 1, sizeof(*dirs));
    if (dirs == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < k->anchor_dir_count; i++)
        dirs[i] = k->anchor_dirs[i];
    for (size_t i = 0; i < more->len; i++)
        dirs[k->anchor_dir_count + i] = more->items[i].ptr;
    enum status st = anchors_load(dirs, n, &s->anchors, err);
    free(dirs);
    if (st == OK && anchors_extra_count(s->anchors) > 0)
        log_warn("kbs",
                 "EXTRA TRUST ANCHORS: %zu key%s beside the hardware makers' own; whoever has the "
                 "private halves can forge evidence",
                 anchors_extra_count(s->anchors), anchors_extra_count(s->anchors) == 1 ? "" : "s");
    return st;
}

/* README 11: default_cpu.rego without default.rego comes from v0.14 to v0.18. */
static bool uses_cpu0_names(const struct kbs_config *c)
{
    value dir = value_pointer(c->attestation_service, STR("/attestation_token_broker/policy_dir"));
    if (c->era != ERA_OLD || !value_is_string(dir))
        return false;
    struct str d = value_str(dir);
    char path[4096];
    int n = snprintf(path, sizeof(path), "%.*s/opa/default.rego", STR_ARG(d));
    if (n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) == 0)
        return false;
    snprintf(path, sizeof(path), "%.*s/opa/default_cpu.rego", STR_ARG(d));
    return access(path, F_OK) == 0;
}

/* The same keys under the same names: a replaced one must not be trusted on. */
static bool anchors_are_same(const struct anchors *a, const struct anchors *b)
{
    if (anchors_extra_count(a) != anchors_extra_count(b))
        return false;
    const struct anchor *x, *y;
    for (size_t i = 0; (x = anchors_extra(a, i)) != NULL; i++) {
        bool found = false;
        for (size_t k = 0; !found && (y = anchors_extra(b, k)) != NULL; k++)
            found = strcmp(x->name, y->name) == 0 &&
                    str_equal(digest_str(&x->spki), digest_str(&y->spki));
        if (!found)
            return false;
    }
    return true;
}

/* Of the files that the token key came from, and of sgx_default_qcnl.conf. */
uint64_t signer_files_version(const struct kbs *k, const struct kbs_config *c)
{
    static const char *const files[] = {"key_path", "cert_path"};
    value signer = value_pointer(c->attestation_service, STR("/attestation_token_broker/signer"));
    uint64_t h = k->qcnl_path == NULL ? 1 : hash_mix(1, file_version(k->qcnl_path));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct str path = value_str(value_get_str(signer, str_of(files[i])));
        char text[4096];
        if (path.len > 0 && path.len < sizeof(text)) {
            snprintf(text, sizeof(text), "%.*s", STR_ARG(path));
            h = hash_mix(h, file_version(text));
        }
    }
    return h;
}

static bool attestation_is_same(const struct kbs_state *old, const struct kbs_state *s)
{
    const struct kbs_config *a = old->config;
    const struct kbs_config *b = s->config;
    value storage_a = a->storage_backend;
    value storage_b = b->storage_backend;
    return a->era == b->era && a->cpu0_names == b->cpu0_names &&
           a->has_submod_naming == b->has_submod_naming && a->submod_naming == b->submod_naming &&
           value_equal(a->attestation_service, b->attestation_service) &&
           value_equal(storage_a, storage_b) && anchors_are_same(old->anchors, s->anchors) &&
           old->signer_version == s->signer_version;
}

/*
 * A service whose tables did not change is kept: its token key and what it holds
 * in memory outlive a reload.  (Policies and values that are files are followed
 * by attestation_refresh() anyway.)
 */
static enum status load_attestation(struct kbs *k, struct kbs_state *s, struct kbs_state *old,
                                    struct error *err)
{
    s->config->cpu0_names = uses_cpu0_names(s->config);
    s->signer_version = signer_files_version(k, s->config);
    if (old != NULL && attestation_is_same(old, s)) {
        s->attestation = attestation_service_ref(old->attestation);
        return OK;
    }
    struct kbs_config *c = s->config;
    struct attestation_options options = {
        .config = c->attestation_service,
        .config_checked = true, /* by kbs_config_load() */
        .era = c->era,
        .cpu0_names = c->cpu0_names,
        .naming = c->has_submod_naming                  ? (enum submod_naming)c->submod_naming
                  : c->era == ERA_OLD && !c->cpu0_names ? SUBMOD_PLAIN
                                                        : SUBMOD_INDEXED,
        .anchors = s->anchors,
        .storage_backend = c->storage_backend,
        .clock = k->clock,
        .random = k->random,
        .qcnl_path = k->qcnl_path,
        .only_look = k->options.only_look,
        .warn = warn_log,
    };
    return attestation_service_new(&options, &s->attestation, err);
}

static bool storage_is_same(const struct kbs_state *old, const struct kbs_state *s)
{
    return old != NULL && old->config->storage_kind == s->config->storage_kind &&
           str_equal(old->config->storage_path, s->config->storage_path);
}

static enum storage_how how_of(const struct kbs *k)
{
    return k->options.only_look ? STORAGE_LOOK : STORAGE_MAKE;
}

static enum status open_namespace(struct kbs *k, struct kbs_state *s, struct str ns,
                                  struct storage **out, struct error *err)
{
    const char *path = s->config->storage_path.ptr;
    switch (s->config->storage_kind) {
    case STORAGE_KIND_LOCAL_FS:
        return storage_open_local_fs(path, ns, how_of(k), out, err);
    case STORAGE_KIND_LOCAL_JSON:
        return storage_open_local_json(path, ns, how_of(k), out, err);
    case STORAGE_KIND_SQLITE:
        return storage_open_sqlite(path, ns, how_of(k), out, err);
    case STORAGE_KIND_MEMORY:
        break;
    }
    return storage_open_memory(out, err);
}

static enum status load_policy(struct kbs *k, struct kbs_state *s, struct kbs_state *old,
                               struct error *err)
{
    enum status st = OK;
    if (!s->config->has_policy_path || s->config->has_storage_backend) {
        if (storage_is_same(old, s) && old->kv != NULL)
            s->kv = storage_ref(old->kv);
        else
            st = open_namespace(k, s, STR("kbs"), &s->kv, err);
    }
    if (st == OK)
        st = resource_policy_new(s->config, s->kv, how_of(k), &s->policy, err);
    if (st != OK)
        return st;

    bool same_file = old != NULL && s->kv == NULL && old->kv == NULL &&
                     str_equal(old->config->policy_path, s->config->policy_path);
    if (same_file || (s->kv != NULL && storage_is_same(old, s) && old->kv != NULL))
        resource_policy_inherit(s->policy, old->policy);

    /* README 19: a broken file at start is no reason not to start. */
    bool changed;
    s->policy_trouble = (struct error)ERROR_INIT;
    if (resource_policy_refresh(s->policy, &changed, &s->policy_trouble) != OK)
        log_error("kbs", "%s", s->policy_trouble.text);
    return OK;
}

static enum status load_plugins(struct kbs *k, struct kbs_state *s, struct kbs_state *old,
                                struct error *err)
{
    for (size_t i = 0; i < s->config->plugin_count; i++) {
        const struct config_plugin *p = &s->config->plugins[i];
        if (p->kind == PLUGIN_SAMPLE) {
            s->sample = p;
            continue;
        }
        s->resources = storage_unref(s->resources); /* listed twice: the last one serves */
        enum status st = OK;
        if (p->backend == RESOURCE_NESTED)
            st = storage_open_nested(p->dir_path.ptr, how_of(k), &s->resources, err);
        else if (storage_is_same(old, s) && old->resources != NULL)
            s->resources = storage_ref(old->resources);
        else
            st = open_namespace(k, s, STR("repository"), &s->resources, err);
        if (st != OK)
            return st;
        if (p->backend == RESOURCE_KV && s->config->storage_kind == STORAGE_KIND_MEMORY)
            log_warn("kbs", "resources and policies are kept in memory: everything is lost at "
                            "restart; set [storage_backend] to keep it");
    }
    return OK;
}

/* ---- sealing keys ---- */

/* The key is the SHA-256 of the file, which must hold at least 32 bytes. */
static enum status read_seal_key(struct str path, struct digest *out, struct error *err)
{
    CLEANUP(buf_done) struct buf bytes;
    buf_init_secret(&bytes, SEAL_FILE_MAX);
    enum status st = file_read(path.ptr, &bytes, err);
    if (st != OK) {
        error_prefix(err, "sealing key: "); /* the path is in the text */
        return st;
    }
    if (bytes.len < SEAL_KEY_LEN) {
        error_set(err, "sealing key \"%s\": it holds fewer than %d bytes", path.ptr, SEAL_KEY_LEN);
        return ERR_INVALID;
    }
    digest_compute(DIGEST_SHA256, buf_str(&bytes), out);
    return OK;
}

static enum status load_sealer(struct kbs *k, struct kbs_state *s, struct error *err)
{
    const struct kbs_config *c = s->config;
    if (c->seal_keys.len == 0) {
        struct str key = secret_bytes(k->seal_key);
        return sealer_new(&key, 1, &s->sealer, err);
    }
    struct digest keys[SEAL_KEYS_MAX];
    struct str list[SEAL_KEYS_MAX];
    enum status st = OK;
    for (size_t i = 0; i < c->seal_keys.len && st == OK; i++) {
        st = read_seal_key(c->seal_keys.items[i], &keys[i], err);
        list[i] = str_bytes(keys[i].bytes, SEAL_KEY_LEN);
    }
    if (st == OK)
        st = sealer_new(list, c->seal_keys.len, &s->sealer, err);
    bytes_wipe(keys, sizeof(keys));
    return st;
}

/* ---- warnings that belong to a start ---- */

static void announce(const struct kbs_config *c)
{
    log_info("kbs", "Using config file %s", c->path.ptr);
    log_info("kbs", "era of the configuration: %s%s", c->era == ERA_OLD ? "old" : "new",
             c->era_configured ? " (as configured)" : "");
    if (c->insecure_http)
        log_warn("kbs", "insecure_http: requests and tokens travel without TLS");
    if (c->admin_mode == ADMIN_INSECURE)
        log_warn("kbs", "INSECURE ADMINISTRATION: everybody who reaches the port may set policies "
                        "and resources");
    if (c->insecure_header_jwk && c->accept_foreign_header_keys)
        log_warn("kbs", "INSECURE TOKENS: any key in a token's own header is trusted, so anybody "
                        "can write a token");
    else if (c->insecure_header_jwk)
        log_warn("kbs", "insecure_key: only tokens of the built-in attestation service are taken; "
                        "accept_foreign_header_keys = true would trust everybody's");
}

/* What the operator guide looks for in a new log. */
static void announce_parts(const struct kbs_config *c)
{
    log_info("attestation_service::rvps", "launch a built-in RVPS");
    value key =
        value_pointer(c->attestation_service, STR("/attestation_token_broker/signer/key_path"));
    if (value_is_string(key))
        log_info("attestation_service::token", "token signer: the key in %s",
                 QUOTED(value_str(key)));
    else
        log_info("attestation_service::token",
                 "token signer: no key in the configuration, made an ephemeral one");
}

/* A path with a typing error must not pass for a deployment without policies. */
static void warn_missing(struct str path, const char *below, const char *key, const char *instead)
{
    char full[4096];
    int n = snprintf(full, sizeof(full), "%.*s%s", STR_ARG(path), below);
    if (path.len > 0 && n > 0 && (size_t)n < sizeof(full) && access(full, F_OK) != 0)
        log_warn("kbs", "%s: \"%s\" does not exist: %s", key, QUOTED(str_of(full)), instead);
}

static void warn_missing_files(const struct kbs_config *c)
{
    if (c->has_policy_path && !c->has_storage_backend)
        warn_missing(c->policy_path, "", "policy_engine.policy_path",
                     "the built-in resource policy applies");
    value dir = value_pointer(c->attestation_service, STR("/attestation_token_broker/policy_dir"));
    if (value_is_string(dir) && c->era == ERA_OLD)
        warn_missing(value_str(dir), "/opa", "attestation_token_broker.policy_dir",
                     "the built-in attestation policies apply");
    value file = value_pointer(c->attestation_service, STR("/rvps_config/storage/file_path"));
    if (value_is_string(file))
        warn_missing(value_str(file), "", "rvps_config.storage.file_path",
                     "there are no reference values yet");
}

/* Everything that the configuration in `s` names. */
static enum status fill_state(struct kbs *k, struct kbs_state *s, struct kbs_state *old,
                              struct error *err)
{
    announce(s->config);
    warn_missing_files(s->config);
    enum status st = load_anchors(k, s, err);
    if (st == OK)
        st = load_attestation(k, s, old, err);
    if (st == OK)
        st = keys_new(s->config, &k->options.keys, old == NULL ? NULL : old->keys, &s->keys, err);
    if (st == OK)
        st = token_verifier_new(s->config, attestation_key(s->attestation), s->keys, &s->tokens,
                                err);
    if (st == OK)
        st = admin_new(s->config, s->keys, warn_log, NULL, &s->admin, err);
    if (st == OK)
        st = load_policy(k, s, old, err);
    if (st == OK)
        st = load_plugins(k, s, old, err);
    if (st == OK)
        st = load_sealer(k, s, err);
    if (st == OK)
        st = kbs_state_is_within(k, s, err);
    return st;
}

/* A new state, which `accept` may refuse.  What it is made of is remembered in k for the next look.
 */
static enum status load_state(struct kbs *k, struct kbs_state *old, kbs_accept accept, void *user,
                              struct kbs_state **out, struct error *err)
{
    CLEANUP(kbs_state_cleanup) struct kbs_state *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    atomic_init(&s->refs, 1);
    /* Before anything is read: what changes meanwhile is news. */
    uint64_t seen = old == NULL ? 0 : config_files_version(k, old->config);
    enum status st = kbs_config_load(k->config_path, warn_log, NULL, &s->config, err);
    if (st == OK) {
        s->files_version = config_files_version(k, s->config);
        st = kbs_config_is_within(k, s->config, err);
    }
    if (st == OK)
        st = fill_state(k, s, old, err);
    if (st == OK && accept != NULL)
        st = accept(user, s->config, err);
    if (st != OK) {
        watch_refused(k, seen, TAKE(s->config), s->files_version);
        return st;
    }
    announce_parts(s->config);
    watch_loaded(k, s);
    *out = TAKE(s);
    return OK;
}

/* ---- the service ---- */

static enum status copy_options(struct kbs *k, const struct kbs_options *o, struct error *err)
{
    k->config_path = strdup(o->config_path);
    k->qcnl_path = o->qcnl_path == NULL ? NULL : strdup(o->qcnl_path);
    k->anchor_dirs = calloc(o->extra_anchor_count + 1, sizeof(char *));
    if (k->config_path == NULL || k->anchor_dirs == NULL ||
        (k->qcnl_path == NULL && o->qcnl_path != NULL))
        return error_nomem(err);
    for (size_t i = 0; i < o->extra_anchor_count; i++) {
        k->anchor_dirs[i] = strdup(o->extra_anchor_dirs[i]);
        if (k->anchor_dirs[i] == NULL)
            return error_nomem(err);
        k->anchor_dir_count++;
    }
    k->options.keys = o->keys;
    k->options.helper_program = o->helper_program; /* borrowed until kbs_confine() */
    k->options.only_look = o->only_look;
    k->clock = o->clock != NULL ? o->clock : &clock_system;
    k->random = o->random != NULL ? o->random : &random_system;
    return OK;
}

enum status kbs_new(const struct kbs_options *options, struct kbs **out, struct error *err)
{
    CLEANUP(kbs_cleanup) struct kbs *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return error_nomem(err);
    pthread_mutex_init(&k->lock, NULL);
    enum status st = secret_new_empty(SEAL_KEY_LEN, &k->seal_key, err);
    if (st == OK) {
        random_bytes(secret_writable(k->seal_key), SEAL_KEY_LEN);
        st = copy_options(k, options, err);
    }
    if (st == OK)
        st = session_store_new(SESSION_STORE_MAX, &k->sessions, err);
    if (st == OK)
        st = load_state(k, NULL, NULL, NULL, &k->state, err);
    if (st == OK)
        st = decision_ring_new(options->decision_ring == 0 ? k->state->config->decision_ring
                                                           : options->decision_ring,
                               &k->decisions, err);
    if (st != OK)
        return st;
    if (!secret_all_locked())
        log_warn("kbs", "keys could not be locked into memory, so they may reach the swap space: "
                        "raise RLIMIT_MEMLOCK");
    *out = TAKE(k);
    return OK;
}

struct kbs *kbs_free(struct kbs *k)
{
    if (k == NULL)
        return NULL;
    kbs_state_unref(k->state);
    kbs_confine_done(k);
    kbs_config_free(k->refused);
    session_store_free(k->sessions);
    decision_ring_free(k->decisions);
    for (size_t i = 0; i < k->anchor_dir_count; i++)
        free(k->anchor_dirs[i]);
    free(k->anchor_dirs);
    free(k->config_path);
    free(k->qcnl_path);
    secret_unref(k->seal_key);
    pthread_mutex_destroy(&k->lock);
    free(k);
    return NULL;
}

const struct kbs_config *kbs_current_config(const struct kbs *k)
{
    return k->state->config;
}

void kbs_check(struct kbs *k, struct report *r)
{
    CLEANUP(kbs_state_cleanup) struct kbs_state *s = kbs_state_get(k);
    struct error err = ERROR_INIT;
    if (keys_check(s->keys, &err) != OK)
        report_trouble(r, "%s", err.text);
    if (!resource_policy_is_healthy(s->policy))
        report_trouble(r, "%s", s->policy_trouble.text);
    attestation_check(s->attestation, r);
    report_missing(r, s->kv == NULL ? NULL : storage_missing(s->kv));
    report_missing(r, s->resources == NULL ? NULL : storage_missing(s->resources));
}

enum status kbs_reload(struct kbs *k, kbs_accept accept, void *user, struct error *err)
{
    CLEANUP(kbs_state_cleanup) struct kbs_state *old = kbs_state_get(k);
    struct kbs_state *fresh = NULL;
    struct error why = ERROR_INIT;
    enum status st = load_state(k, old, accept, user, &fresh, &why);
    if (st != OK) {
        log_error("kbs", "reload refused: %s; the old state serves on", why.text);
        if (err != NULL)
            *err = why;
        return st;
    }
    warn_about_restart(old->config, fresh->config);
    pthread_mutex_lock(&k->lock);
    struct kbs_state *replaced = k->state;
    k->state = fresh;
    pthread_mutex_unlock(&k->lock);
    kbs_state_unref(replaced);
    log_info("kbs", "the configuration was loaded anew");
    return OK;
}

void kbs_refresh(struct kbs *k, kbs_accept accept, void *user)
{
    CLEANUP(kbs_state_cleanup) struct kbs_state *s = kbs_state_get(k);
    if (watch_has_news(k, s)) {
        status_ignore(kbs_reload(k, accept, user, NULL)); /* it tells the log */
        return; /* the new state has looked at its files */
    }
    attestation_refresh(s->attestation);
    keys_tend(s->keys);

    struct error err = ERROR_INIT;
    bool changed = false;
    if (resource_policy_refresh(s->policy, &changed, &err) != OK)
        log_error("kbs", "%s; the policy that was loaded before serves on", err.text);
    else if (changed)
        log_info("kbs", "the resource policy was loaded anew");
}

void kbs_stopping(struct kbs *k)
{
    atomic_store(&k->stopping, true);
}
