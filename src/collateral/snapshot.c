/* What is held in memory: immutable snapshots of counted entries, and views of them. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "collateral/service_internal.h"

/* ---- entries ---- */

STATUS entry_new(struct str url, struct str chain, struct str body, struct collateral_entry **out,
                 struct error *err)
{
    struct collateral_entry *e = malloc(sizeof(*e) + url.len + chain.len + body.len + 1);
    if (e == NULL)
        return error_nomem(err);
    char *bytes = (char *)(e + 1);
    *e = (struct collateral_entry){.kind = collateral_kind_of(url)};
    atomic_init(&e->refs, 1);
    memcpy(bytes, url.ptr, url.len);
    memcpy(bytes + url.len, chain.ptr, chain.len);
    memcpy(bytes + url.len + chain.len, body.ptr, body.len);
    e->item.url = (struct str){bytes, url.len};
    e->item.chain = (struct str){bytes + url.len, chain.len};
    e->item.body = (struct str){bytes + url.len + chain.len, body.len};
    e->hash = hash_bytes(url.ptr, url.len, 0);
    *out = e;
    return OK;
}

struct collateral_entry *entry_ref(struct collateral_entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void entry_unref(struct collateral_entry *e)
{
    if (e != NULL && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        free(e);
}

/* ---- snapshots ---- */

static struct collateral_snapshot *snapshot_new(size_t count)
{
    struct collateral_snapshot *n = calloc(1, sizeof(*n) + count * sizeof(n->entries[0]));
    if (n != NULL)
        atomic_init(&n->refs, 1);
    return n;
}

struct collateral_snapshot *snapshot_unref(struct collateral_snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    for (size_t i = 0; i < s->count; i++)
        entry_unref(s->entries[i]);
    free(s);
    return NULL;
}

struct collateral_entry *snapshot_find(const struct collateral_snapshot *s, struct str url)
{
    uint64_t hash = hash_bytes(url.ptr, url.len, 0);
    size_t low = 0, high = s == NULL ? 0 : s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->entries[mid]->hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    for (; s != NULL && low < s->count && s->entries[low]->hash == hash; low++)
        if (str_equal(s->entries[low]->item.url, url))
            return s->entries[low];
    return NULL;
}

struct collateral_snapshot *service_pin(struct collateral_service *s)
{
    pthread_mutex_lock(&s->lock);
    struct collateral_snapshot *n = s->snapshot;
    if (n != NULL)
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/*
 * The entry that has to go: of the unproved ones, when there are as many as may
 * be, else of all, the one whose use is the longest ago.  NULL: there is room.
 */
static struct collateral_entry *victim(const struct collateral_snapshot *s,
                                       const struct collateral_entry *incoming)
{
    struct collateral_entry *oldest = NULL, *unproved = NULL;
    size_t n_unproved = 0;
    for (size_t i = 0; s != NULL && i < s->count; i++) {
        struct collateral_entry *e = s->entries[i];
        if (oldest == NULL || atomic_load(&e->used_s) < atomic_load(&oldest->used_s))
            oldest = e;
        if (atomic_load(&e->proved))
            continue;
        n_unproved++;
        if (unproved == NULL || atomic_load(&e->used_s) < atomic_load(&unproved->used_s))
            unproved = e;
    }
    if (!atomic_load(&incoming->proved) && n_unproved >= COLLATERAL_UNPROVED)
        return unproved;
    return s != NULL && s->count >= COLLATERAL_ITEMS_HELD ? oldest : NULL;
}

/* Under the lock. */
static enum status replace(struct collateral_service *s, struct collateral_entry *in,
                           const struct collateral_entry *out)
{
    struct collateral_snapshot *old = s->snapshot;
    struct collateral_snapshot *n = snapshot_new((old == NULL ? 0 : old->count) + 1);
    if (n == NULL)
        return ERR_NOMEM;
    bool placed = in == NULL;
    for (size_t i = 0; old != NULL && i < old->count; i++) {
        struct collateral_entry *e = old->entries[i];
        if (e == out || (in != NULL && str_equal(e->item.url, in->item.url)))
            continue;
        if (!placed && in->hash <= e->hash) {
            n->entries[n->count++] = entry_ref(in);
            placed = true;
        }
        n->entries[n->count++] = entry_ref(e);
    }
    if (!placed)
        n->entries[n->count++] = entry_ref(in);
    s->snapshot = n;
    snapshot_unref(old);
    return OK;
}

STATUS service_install(struct collateral_service *s, struct collateral_entry *e, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    bool again = snapshot_find(s->snapshot, e->item.url) != NULL;
    enum status st = replace(s, e, again ? NULL : victim(s->snapshot, e));
    pthread_mutex_unlock(&s->lock);
    return st == OK ? OK : error_nomem(err);
}

void service_remove(struct collateral_service *s, struct collateral_entry *e)
{
    pthread_mutex_lock(&s->lock);
    status_ignore(replace(s, NULL, e)); /* without memory it stays a while longer */
    pthread_mutex_unlock(&s->lock);
}

/* ---- views ---- */

bool entry_serves(const struct collateral_service *s, const struct collateral_entry *e,
                  int64_t now_s)
{
    /* Dates of certificates and of AMD's lists are judged by the verifier, whose claims name
     * them. */
    if (e->file || e->kind != COLLATERAL_INTEL)
        return true;
    return e->item.dates.next_s >= now_s || now_s - e->item.dates.next_s <= s->sources.grace_s;
}

static uint64_t version_of(const struct stat *sb)
{
    uint64_t h = hash_mix(1, (uint64_t)sb->st_ino);
    h = hash_mix(h, (uint64_t)sb->st_size);
    return hash_mix(h, (uint64_t)sb->st_mtim.tv_sec * NS_PER_S + (uint64_t)sb->st_mtim.tv_nsec);
}

/* A file of the configuration (verifiers-intel.md 4.2, verifiers-snp.md 5), as an entry. */
static struct collateral_entry *read_file(struct str url)
{
    char path[4096];
    struct str name = str_from(url, strlen("file://"));
    struct stat sb;
    if (name.len == 0 || name.len >= sizeof(path) || memchr(name.ptr, '\0', name.len) != NULL)
        return NULL;
    memcpy(path, name.ptr, name.len);
    path[name.len] = '\0';
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, COLLATERAL_FILE_MAX);
    struct collateral_entry *e = NULL;
    if (stat(path, &sb) != 0 || file_read(path, &bytes, NULL) != OK ||
        entry_new(url, STR_EMPTY, buf_str(&bytes), &e, NULL) != OK)
        return NULL;
    e->file = true;
    e->file_version = version_of(&sb);
    atomic_store(&e->proved, true);
    return e;
}

static struct collateral_entry *find_file(struct collateral_view *v, struct str url)
{
    struct collateral_entry *e = read_file(url);
    if (e == NULL)
        return NULL;
    atomic_store(&e->used_s, v->now_s);
    enum status st = service_install(v->service, e, NULL);
    entry_unref(e);
    if (st != OK || v->pin_count == COLLATERAL_VIEW_PINS)
        return NULL;
    struct collateral_snapshot *now = service_pin(v->service);
    v->pins[v->pin_count++] = now;
    return snapshot_find(now, url);
}

static bool view_find(void *user, struct str url, struct str *bytes)
{
    struct collateral_view *v = user;
    size_t hash = str_find(url, '#', 0);
    bool chain = hash < url.len;
    url = str_slice(url, 0, hash);
    struct collateral_entry *e = NULL;
    for (size_t i = v->pin_count; e == NULL && i > 0; i--)
        e = snapshot_find(v->pins[i - 1], url);
    if (e == NULL && str_has_prefix(url, STR("file://")))
        e = find_file(v, url);
    if (e == NULL) {
        /* "if-available": nobody waits for it, but the keeper will have it soon. */
        if (v->service->sources.amd_lists && collateral_kind_of(url) == COLLATERAL_AMD)
            service_want(v->service, url);
        return false;
    }
    if (!entry_serves(v->service, e, v->now_s))
        return false;
    if (atomic_load_explicit(&e->used_s, memory_order_relaxed) != v->now_s)
        atomic_store_explicit(&e->used_s, v->now_s, memory_order_relaxed);
    if (e->kind == COLLATERAL_VCEK)
        v->vcek = e;
    *bytes = chain ? e->item.chain : e->item.body;
    return !chain || bytes->len > 0;
}

void collateral_view_open(struct collateral_service *s, int64_t now_s, struct collateral_view *v)
{
    *v = (struct collateral_view){.face = {view_find, v}, .service = s, .now_s = now_s};
    v->pins[0] = service_pin(s);
    v->pin_count = 1;
}

void collateral_view_close(struct collateral_view *v, bool verified)
{
    struct collateral_entry *e = v->vcek;
    if (verified && e != NULL && !atomic_exchange(&e->proved, true) && v->service->disk != NULL) {
        pthread_mutex_lock(&v->service->lock);
        v->service->work = true; /* the keeper writes it down */
        status_ignore(keeper_start(v->service, NULL));
        pthread_cond_broadcast(&v->service->changed);
        pthread_mutex_unlock(&v->service->lock);
    }
    for (size_t i = 0; i < v->pin_count; i++)
        snapshot_unref(v->pins[i]);
    v->pin_count = 0;
}

/* ---- files that change ---- */

static void follow_file(struct collateral_service *s, struct collateral_entry *e)
{
    char path[4096];
    struct str name = str_from(e->item.url, strlen("file://"));
    struct stat sb;
    memcpy(path, name.ptr, name.len); /* read_file() has seen that it fits */
    path[name.len] = '\0';
    if (stat(path, &sb) != 0) {
        service_remove(s, e);
        return;
    }
    if (version_of(&sb) == e->file_version)
        return;
    struct collateral_entry *fresh = read_file(e->item.url);
    if (fresh == NULL)
        return; /* on its way; the next look will tell */
    atomic_store(&fresh->used_s, atomic_load(&e->used_s));
    status_ignore(service_install(s, fresh, NULL));
    entry_unref(fresh);
}

void collateral_follow(struct collateral_service *s)
{
    struct collateral_snapshot *n = service_pin(s);
    for (size_t i = 0; n != NULL && i < n->count; i++)
        if (n->entries[i]->file)
            follow_file(s, n->entries[i]);
    snapshot_unref(n);
}
