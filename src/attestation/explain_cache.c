#include "attestation/explain_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "value/json.h"

struct entry {
    struct digest digest;
    struct rvps_snapshot *snapshot; /* referenced, so that its address stays its name */
    int64_t from_s, until_s;        /* no reference value expires in between */
    struct arena arena;
    struct explanation explanation;
    bool used;
};

struct explain_cache {
    pthread_mutex_t lock;
    struct entry entries[EXPLAIN_CACHE_ENTRIES];
    size_t next; /* to be replaced */
};

enum status explain_cache_new(struct explain_cache **out, struct error *err)
{
    struct explain_cache *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return error_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return OK;
}

static void clear(struct entry *e)
{
    if (!e->used)
        return;
    rvps_snapshot_unref(e->snapshot);
    arena_done(&e->arena);
    *e = (struct entry){.used = false};
}

struct explain_cache *explain_cache_free(struct explain_cache *c)
{
    if (c == NULL)
        return NULL;
    for (size_t i = 0; i < EXPLAIN_CACHE_ENTRIES; i++)
        clear(&c->entries[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
    return NULL;
}

bool explain_key_make(struct explain_key *out, struct arena *a, const struct rego_policy *policy,
                      struct str policy_digest, struct str salt, value evidence,
                      struct rvps_snapshot *snapshot, int64_t now_s)
{
    /* What is new in each handshake. */
    static const char *const fresh[] = {"report_data", "runtime_data_claims"};
    for (size_t i = 0; i < ARRAY_LEN(fresh); i++) {
        struct str path = str_of(fresh[i]);
        if (policy == NULL || rego_policy_may_read_input(policy, &path, 1))
            return false;
        evidence = value_object_with(a, evidence, value_string(a, path), VALUE_UNDEFINED);
    }
    struct str text = json_text(a, evidence, JSON_COMPACT);
    if (text.ptr == NULL)
        return false;
    const struct str parts[] = {policy_digest, salt, STR("\0"), text};
    digest_parts(DIGEST_SHA256, parts, ARRAY_LEN(parts), &out->digest);
    out->snapshot = snapshot;
    out->now_s = now_s;
    return true;
}

static bool matches(const struct entry *e, const struct explain_key *key)
{
    return e->used && e->snapshot == key->snapshot && key->now_s >= e->from_s &&
           key->now_s <= e->until_s && str_equal(digest_str(&e->digest), digest_str(&key->digest));
}

static struct explanation copy(struct arena *a, const struct explanation *e)
{
    return (struct explanation){
        .rules = value_copy(a, e->rules),
        .held = value_copy(a, e->held),
        .expired = value_copy(a, e->expired),
        .change = value_copy(a, e->change),
        .examples = value_copy(a, e->examples),
        .check = e->check,
        .field = arena_str(a, e->field),
        .expected = value_copy(a, e->expected),
        .actual = value_copy(a, e->actual),
    };
}

bool explain_cache_get(struct explain_cache *c, const struct explain_key *key, struct arena *a,
                       struct explanation *out)
{
    bool found = false;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < EXPLAIN_CACHE_ENTRIES && !found; i++) {
        if (matches(&c->entries[i], key)) {
            *out = copy(a, &c->entries[i].explanation);
            found = true;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return found && arena_status(a) == OK;
}

/* The last second in which no further reference value has expired. */
static int64_t next_expiry(struct rvps_snapshot *s, int64_t now_s)
{
    int64_t until = INT64_MAX;
    for (size_t i = 0; s != NULL && i < rvps_entry_count(s); i++) {
        int64_t expires = rvps_entry_at(s, i)->expires_s;
        if (expires >= now_s && expires < until)
            until = expires;
    }
    return until;
}

void explain_cache_put(struct explain_cache *c, const struct explain_key *key,
                       const struct explanation *e)
{
    struct entry fresh = {
        .digest = key->digest,
        .from_s = key->now_s,
        .until_s = next_expiry(key->snapshot, key->now_s),
        .used = true,
    };
    arena_init(&fresh.arena, EXPLAIN_CACHE_ENTRY_MAX);
    fresh.explanation = copy(&fresh.arena, e);
    if (arena_status(&fresh.arena) != OK) {
        arena_done(&fresh.arena); /* too large to keep */
        return;
    }
    fresh.snapshot = key->snapshot == NULL ? NULL : rvps_snapshot_ref(key->snapshot);

    pthread_mutex_lock(&c->lock);
    /* What older reference values led to will not be asked for again. */
    size_t at = c->next;
    for (size_t i = 0; i < EXPLAIN_CACHE_ENTRIES; i++) {
        if (c->entries[i].used && c->entries[i].snapshot != key->snapshot)
            clear(&c->entries[i]);
        if (!c->entries[i].used)
            at = i;
    }
    clear(&c->entries[at]);
    c->entries[at] = fresh;
    c->next = (at + 1) % EXPLAIN_CACHE_ENTRIES;
    pthread_mutex_unlock(&c->lock);
}
