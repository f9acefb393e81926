#include "verifier/verifier_cache.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS 4 /* places that a digest may stand in */

struct entry {
    bool used;
    uint8_t key[32], issuer[32];
    int64_t expires_s;
    uint64_t tick; /* of its last use */
    const struct cache_kind *kind;
    void *object;
};

static void *cert_hold(void *object)
{
    return cert_ref(object);
}

static void cert_drop(void *object)
{
    cert_unref(object);
}

const struct cache_kind cache_certs = {cert_hold, cert_drop};

static void *key_hold(void *object)
{
    return pubkey_ref(object);
}

static void key_drop(void *object)
{
    pubkey_unref(object);
}

const struct cache_kind cache_keys = {key_hold, key_drop};

struct verifier_cache {
    pthread_mutex_t lock;
    uint64_t tick;
    size_t sets;
    struct entry entries[];
};

STATUS verifier_cache_new(size_t entries, struct verifier_cache **out, struct error *err)
{
    if (entries == 0 || entries > VERIFIER_CACHE_MAX) {
        error_set(err, "a verifier cache has 1 to %d entries", VERIFIER_CACHE_MAX);
        return ERR_INVALID;
    }
    size_t sets = (entries + WAYS - 1) / WAYS;
    struct verifier_cache *c = calloc(1, sizeof(*c) + sets * WAYS * sizeof(struct entry));
    if (c == NULL)
        return error_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    c->sets = sets;
    *out = c;
    return OK;
}

static void entry_clear(struct entry *e)
{
    if (e->object != NULL)
        e->kind->unref(e->object);
    *e = (struct entry){.used = false};
}

void verifier_cache_flush(struct verifier_cache *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->sets * WAYS; i++)
        entry_clear(&c->entries[i]);
    pthread_mutex_unlock(&c->lock);
}

struct verifier_cache *verifier_cache_free(struct verifier_cache *c)
{
    if (c == NULL)
        return NULL;
    verifier_cache_flush(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
    return NULL;
}

/* The digest is of attacker-chosen bytes, but SHA-256: its first bytes spread well enough. */
static struct entry *set_of(struct verifier_cache *c, const struct digest *key)
{
    return &c->entries[load_le64(key->bytes) % c->sets * WAYS];
}

bool verifier_cache_get(struct verifier_cache *c, const struct digest *key, int64_t now_s,
                        struct digest *issuer, const struct cache_kind *kind, void **object)
{
    if (c == NULL || key->len != 32)
        return false;
    bool found = false;
    pthread_mutex_lock(&c->lock);
    struct entry *set = set_of(c, key);
    for (size_t i = 0; i < WAYS && !found; i++) {
        if (!set[i].used || set[i].kind != kind || memcmp(set[i].key, key->bytes, 32) != 0)
            continue;
        if (set[i].expires_s < now_s) {
            entry_clear(&set[i]);
            continue;
        }
        found = true;
        set[i].tick = ++c->tick;
        *issuer = (struct digest){.len = 32};
        memcpy(issuer->bytes, set[i].issuer, 32);
        *object = set[i].object == NULL ? NULL : kind->ref(set[i].object);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

void verifier_cache_put(struct verifier_cache *c, const struct digest *key, int64_t expires_s,
                        const struct digest *issuer, const struct cache_kind *kind, void *object)
{
    if (c == NULL || key->len != 32 || issuer->len != 32)
        return;
    pthread_mutex_lock(&c->lock);
    struct entry *set = set_of(c, key), *victim = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (!set[i].used || memcmp(set[i].key, key->bytes, 32) == 0) {
            victim = &set[i];
            break;
        }
        if (set[i].tick < victim->tick)
            victim = &set[i];
    }
    entry_clear(victim);
    *victim = (struct entry){.used = true, .expires_s = expires_s, .tick = ++c->tick, .kind = kind};
    memcpy(victim->key, key->bytes, 32);
    memcpy(victim->issuer, issuer->bytes, 32);
    victim->object = object == NULL ? NULL : kind->ref(object);
    pthread_mutex_unlock(&c->lock);
}
