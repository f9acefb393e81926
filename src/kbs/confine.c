/* What the service reads and writes once its process is confined. */
#include "kbs/kbs_internal.h"

static void add_file(struct confine *c, struct str path)
{
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

void kbs_confine(struct kbs *k, struct confine *c)
{
    CLEANUP(kbs_state_cleanup) struct kbs_state *s = kbs_state_get(k);
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
