/*
 * Following the files that a configuration names (README 19): looked at, not
 * notified of, since inotify says nothing about a folder that is swapped by a
 * symbolic link further up (Kubernetes' ..data), a network file system, or a
 * file that is not there yet.  A look is a stat() for each, four times a second.
 *
 * Policies, reference values and resources are followed by those that keep them.
 */
#include <dirent.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "kbs/kbs_internal.h"

static uint64_t mix_path(uint64_t h, struct str path)
{
    if (str_has_prefix(path, STR("file://")))
        path = str_from(path, 7);
    return path.len == 0 ? h : hash_mix(h, file_version(path.ptr)); /* they end with a NUL */
}

static uint64_t mix_list(uint64_t h, const struct str_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        h = mix_path(h, list->items[i]);
    return h;
}

/* The folder and what is in it, in any order. */
static uint64_t mix_folder(uint64_t h, const char *path)
{
    h = hash_mix(h, file_version(path));
    DIR *d = opendir(path);
    uint64_t sum = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, "..") != 0)
            sum += hash_mix(hash_bytes(e->d_name, strlen(e->d_name), 0),
                            file_version_at(dirfd(d), e->d_name));
    if (d != NULL)
        closedir(d);
    return hash_mix(h, sum);
}

uint64_t config_files_version(const struct kbs *k, const struct kbs_config *c)
{
    uint64_t h = mix_path(1, c->path);
    h = mix_path(h, c->certificate);
    h = mix_path(h, c->private_key);
    h = mix_path(h, c->auth_public_key);
    for (size_t i = 0; i < c->persona_count; i++)
        h = mix_path(h, c->personas[i].public_key_path);
    for (size_t i = 0; i < c->provider_count; i++) {
        h = mix_path(h, c->providers[i].public_key_uri);
        h = mix_path(h, c->providers[i].jwk_set_uri);
    }
    h = mix_list(h, &c->trusted_certs_paths);
    h = mix_list(h, &c->trusted_jwk_sets);
    h = mix_list(h, &c->extra_teekey_paths);
    h = mix_list(h, &c->seal_keys);
    for (size_t i = 0; i < c->extra_trust_anchors.len; i++)
        h = mix_folder(h, c->extra_trust_anchors.items[i].ptr);
    for (size_t i = 0; i < k->anchor_dir_count; i++)
        h = mix_folder(h, k->anchor_dirs[i]);
    return hash_mix(h, signer_files_version(k, c));
}

/* ---- looking ---- */

/* Not hash_mix() of the two: it makes the same of any pair of equal numbers. */
static uint64_t both(uint64_t serving, uint64_t refused)
{
    return hash_mix(hash_mix(serving, 1), refused);
}

/* What there is now of the state that serves and of the one that was refused after it. */
static uint64_t look(const struct kbs *k, const struct kbs_state *s)
{
    uint64_t h = config_files_version(k, s->config);
    return k->refused == NULL ? h : both(h, config_files_version(k, k->refused));
}

bool watch_has_news(struct kbs *k, const struct kbs_state *s)
{
    uint64_t now = look(k, s);
    bool news = now != k->files_seen && now == k->files_pending;
    /*
     * Once more before anything is loaded: a certificate and its key, or a
     * configuration and what it names, are rarely written at the same moment.
     */
    k->files_pending = now;
    return news;
}

void watch_loaded(struct kbs *k, const struct kbs_state *s)
{
    k->refused = kbs_config_free(k->refused);
    k->files_seen = s->files_version;
}

void watch_refused(struct kbs *k, uint64_t seen, struct kbs_config *refused,
                   uint64_t refused_version)
{
    kbs_config_free(k->refused);
    k->refused = refused;
    k->files_seen = refused == NULL ? seen : both(seen, refused_version);
}

/* ---- what a reload cannot change ---- */

static bool lists_are_equal(const struct str_list *a, const struct str_list *b)
{
    bool equal = a->len == b->len;
    for (size_t i = 0; equal && i < a->len; i++)
        equal = str_equal(a->items[i], b->items[i]);
    return equal;
}

void warn_about_restart(const struct kbs_config *old, const struct kbs_config *c)
{
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"sockets", lists_are_equal(&old->sockets, &c->sockets)},
        {"insecure_http", old->insecure_http == c->insecure_http},
        {"payload_request_size", old->payload_mib == c->payload_mib},
        {"worker_count", old->worker_count == c->worker_count},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!keys[i].same)
            log_warn("kbs",
                     "http_server.%s has changed: that takes a restart, until which the old "
                     "value holds",
                     keys[i].key);
}
