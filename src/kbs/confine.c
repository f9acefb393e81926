/* What the service reads and writes once its process is confined. */
#include "base/log.h"
#include "kbs/kbs_internal.h"

#define URLS_MEMORY (4 * (size_t)CONFIG_FILE_MAX)

static void add_file(struct confine *c, struct str path)
{
    if (str_has_prefix(path, STR("https://")))
        return;
    if (str_has_prefix(path, STR("file://")))
        path = str_from(path, 7);
    if (path.len > 0) /* texts of a configuration end with a NUL */
        confine_add_file(c, path.ptr, CONFINE_READ);
}

static void add_files(struct confine *c, const struct str_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        add_file(c, list->items[i]);
}

static void add_config(struct confine *c, const struct kbs_config *config)
{
    add_file(c, config->path);
    add_file(c, config->certificate);
    add_file(c, config->private_key);
    add_file(c, config->auth_public_key);
    add_file(c, config->fetch_ca);
    for (size_t i = 0; i < config->persona_count; i++)
        add_file(c, config->personas[i].public_key_path);
    for (size_t i = 0; i < config->provider_count; i++) {
        add_file(c, config->providers[i].public_key_uri);
        add_file(c, config->providers[i].jwk_set_uri);
    }
    add_files(c, &config->trusted_certs_paths);
    add_files(c, &config->trusted_jwk_sets);
    add_files(c, &config->seal_keys);
    for (size_t i = 0; i < config->extra_trust_anchors.len; i++)
        confine_add_folder(c, config->extra_trust_anchors.items[i].ptr, CONFINE_READ);
}

static void add_state(struct confine *c, const struct kbs *k, const struct kbs_state *s)
{
    add_config(c, s->config);
    for (size_t i = 0; i < k->anchor_dir_count; i++)
        confine_add_folder(c, k->anchor_dirs[i], CONFINE_READ);
    attestation_confine(s->attestation, c);
    if (s->kv != NULL)
        storage_confine(s->kv, c);
    else
        confine_add_file(c, s->config->policy_path.ptr, CONFINE_READ | CONFINE_WRITE);
    if (s->resources != NULL)
        storage_confine(s->resources, c);
}

/* All that a state may fetch, NULL-terminated in the arena; NULL: no memory. */
static const char *const *urls_of(const struct kbs_state *s, struct arena *a)
{
    size_t n = 0, more = 0;
    const char *const *keys = keys_allowed_urls(s->config, a, &n);
    const char *const *collateral = attestation_allowed_urls(s->attestation);
    while (collateral[more] != NULL)
        more++;
    const char **all = arena_new_array(a, const char *, n + more + 1);
    if (keys == NULL || all == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        all[i] = keys[i];
    for (size_t i = 0; i <= more; i++)
        all[n + i] = i < more ? arena_str(a, str_of(collateral[i])).ptr : NULL;
    return arena_status(a) == OK ? all : NULL;
}

/* A process without keys, which starts claviger-fetch from now on. */
static enum status start_helper(struct kbs *k, const struct kbs_state *s, struct error *err)
{
    arena_init(&k->urls, URLS_MEMORY);
    k->allowed = urls_of(s, &k->urls);
    if (k->allowed == NULL)
        return error_nomem(err);
    if (k->allowed[0] == NULL)
        return OK;
    struct helper_options o = {.allow = k->allowed, .program = k->options.helper_program};
    size_t n = 0;
    if (s->config->fetch_ca.len > 0)
        o.ca_files[n++] = s->config->fetch_ca.ptr;
    o.ca_files[n] = attestation_ca_file(s->attestation);
    struct error why = ERROR_INIT;
    enum status st = helper_new(&o, &k->helper, &why);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK)
        log_warn("kbs", "nothing can be fetched: %s", why.text);
    fetch_start_with(helper_start_fetch, k->helper);
    return OK;
}

enum status kbs_confine(struct kbs *k, struct confined *out, struct error *err)
{
    CLEANUP(kbs_state_cleanup) struct kbs_state *s = kbs_state_get(k);
    enum status st = start_helper(k, s, err);
    if (st != OK)
        return st;
    add_state(&k->reach, k, s);
    st = confine_all(&k->reach, CONFINE_SERVER, s->config->confinement_required, out, err);
    k->files_confined = st == OK && out->files;
    k->calls_confined = st == OK && out->calls;
    return st;
}

void kbs_confine_done(struct kbs *k)
{
    if (k->allowed != NULL && k->allowed[0] != NULL)
        fetch_start_with(NULL, NULL);
    helper_free(k->helper);
    arena_done(&k->urls);
    confine_done(&k->reach);
}

/* ---- reloading ---- */

static bool url_is_within(const struct kbs *k, const char *url)
{
    for (size_t i = 0; k->helper != NULL && k->allowed[i] != NULL; i++)
        if (fetch_url_allowed(str_of(url), str_of(k->allowed[i])))
            return true;
    return false;
}

static enum status files_are_within(const struct kbs *k, const struct confine *wanted,
                                    struct error *err)
{
    const char *path = k->files_confined ? confine_first_outside(wanted, &k->reach) : NULL;
    if (path == NULL)
        return OK;
    error_set(err,
              "\"%s\" is outside of the folders that the process was confined to at its start: "
              "restart it",
              QUOTED(str_of(path)));
    return ERR_DENIED;
}

enum status kbs_config_is_within(const struct kbs *k, const struct kbs_config *config,
                                 struct error *err)
{
    CLEANUP(confine_done) struct confine wanted = {.failed = OK};
    add_config(&wanted, config);
    return files_are_within(k, &wanted, err);
}

enum status kbs_state_is_within(const struct kbs *k, const struct kbs_state *s, struct error *err)
{
    if (!k->files_confined && !k->calls_confined)
        return OK; /* and no folder is made, as adding to a list does */
    CLEANUP(confine_done) struct confine wanted = {.failed = OK};
    add_state(&wanted, k, s);
    enum status st = files_are_within(k, &wanted, err);
    if (st != OK || !k->calls_confined)
        return st;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, URLS_MEMORY);
    const char *const *urls = urls_of(s, &a);
    if (urls == NULL)
        return error_nomem(err);
    for (; *urls != NULL; urls++)
        if (!url_is_within(k, *urls)) {
            error_set(err,
                      "%s was not in the configuration that the process started with: restart it",
                      QUOTED(str_of(*urls)));
            return ERR_DENIED;
        }
    return OK;
}
