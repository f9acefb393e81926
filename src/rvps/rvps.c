#include "rvps/rvps.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "rvps/rvps_internal.h"
#include "value/json.h"

#define SNAPSHOT_MEMORY_MAX                                                                        \
    ((size_t)512 * 1024 * 1024) /* values of a file at RVPS_FILE_MAX, and change */
#define FILE_MODE 0644          /* reference values are no secrets */

/* The object of unexpired values between two moments at which an entry expires. */
struct epoch {
    struct epoch *next;
    struct arena arena;
    int64_t from, until; /* valid for from <= now <= until */
    value all;
};

struct rvps_snapshot {
    atomic_size_t refs;
    struct arena arena;
    struct reference_value *entries; /* by name, each name once */
    size_t count;
    bool enforce;
    _Atomic(struct epoch *) current; /* the one used last: read without the lock */
    pthread_mutex_t lock;            /* guards epochs */
    struct epoch *epochs;
};

struct rvps {
    char *path;              /* one of the two */
    struct storage *storage; /* referenced */
    bool enforce;
    pthread_mutex_t work; /* one refresh or change at a time */
    struct file_state seen;
    uint64_t version;
    bool looked; /* seen or version are of the present snapshot or of the last failure */
    int64_t noticed_s,
        next_notice_s;   /* what was said about expiry up to when; when to speak again */
    pthread_mutex_t pin; /* guards only the pointer below; never held while working */
    struct rvps_snapshot *snapshot;
};

/* ---- snapshots ---- */

static struct rvps_snapshot *snapshot_free(struct rvps_snapshot *s)
{
    if (s == NULL)
        return NULL;
    while (s->epochs != NULL) {
        struct epoch *e = s->epochs;
        s->epochs = e->next;
        arena_done(&e->arena);
        free(e);
    }
    arena_done(&s->arena);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

struct rvps_snapshot *rvps_snapshot_ref(struct rvps_snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

struct rvps_snapshot *rvps_snapshot_unref(struct rvps_snapshot *s)
{
    if (s != NULL && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        snapshot_free(s);
    return NULL;
}

static struct rvps_snapshot *snapshot_new(bool enforce)
{
    struct rvps_snapshot *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    atomic_init(&s->current, NULL);
    arena_init(&s->arena, SNAPSHOT_MEMORY_MAX);
    pthread_mutex_init(&s->lock, NULL);
    s->enforce = enforce;
    return s;
}

static int by_name_then_place(const void *x, const void *y)
{
    const struct reference_value *a = *(const struct reference_value *const *)x;
    const struct reference_value *b = *(const struct reference_value *const *)y;
    int c = str_compare(a->name, b->name);
    return c != 0 ? c : (a > b) - (a < b);
}

/* Sorted by name; of equal names the last one found stays (12.5). */
static enum status snapshot_fill(struct rvps_snapshot *s, const struct rvps_entries *found,
                                 struct error *err)
{
    s->entries = arena_new_array(&s->arena, struct reference_value, found->len);
    const struct reference_value **order =
        found->len > 0 ? malloc(found->len * sizeof(struct reference_value *)) : NULL;
    if (found->len > 0 && (s->entries == NULL || order == NULL)) {
        free(order);
        return error_nomem(err);
    }
    for (size_t i = 0; i < found->len; i++)
        order[i] = &found->items[i];
    if (found->len > 0)
        qsort(order, found->len, sizeof(struct reference_value *), by_name_then_place);
    for (size_t i = 0; i < found->len; i++) {
        if (i + 1 < found->len && str_equal(order[i]->name, order[i + 1]->name))
            continue;
        s->entries[s->count++] = *order[i];
    }
    free(order);
    return OK;
}

static bool is_expired(const struct rvps_snapshot *s, const struct reference_value *v,
                       int64_t now_s)
{
    return s->enforce && now_s > v->expires_s; /* 12.5: not yet at that second */
}

const struct reference_value *rvps_entry(const struct rvps_snapshot *s, struct str name)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = str_compare(name, s->entries[mid].name);
        if (c == 0)
            return &s->entries[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

size_t rvps_entry_count(const struct rvps_snapshot *s)
{
    return s->count;
}

const struct reference_value *rvps_entry_at(const struct rvps_snapshot *s, size_t i)
{
    return i < s->count ? &s->entries[i] : NULL;
}

bool rvps_enforces_expiration(const struct rvps_snapshot *s)
{
    return s->enforce;
}

value rvps_query(const struct rvps_snapshot *s, struct str name, int64_t now_s, bool *known)
{
    const struct reference_value *v = rvps_entry(s, name);
    *known = v != NULL;
    return v == NULL || is_expired(s, v, now_s) ? VALUE_UNDEFINED : v->val;
}

static struct epoch *epoch_new(const struct rvps_snapshot *s, int64_t now_s)
{
    struct epoch *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    arena_init(&e->arena, SNAPSHOT_MEMORY_MAX);
    e->from = INT64_MIN;
    e->until = INT64_MAX;

    struct value_builder b;
    value_builder_init(&b, &e->arena, s->count);
    for (size_t i = 0; i < s->count; i++) {
        const struct reference_value *v = &s->entries[i];
        if (is_expired(s, v, now_s)) {
            if (v->expires_s >= e->from)
                e->from = v->expires_s + 1;
            continue;
        }
        if (s->enforce && v->expires_s < e->until)
            e->until = v->expires_s;
        value_builder_put(&b, value_string(&e->arena, v->name), v->val);
    }
    e->all = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    if (!value_is_defined(e->all)) {
        arena_done(&e->arena);
        free(e);
        return NULL;
    }
    return e;
}

static bool covers(const struct epoch *e, int64_t now_s)
{
    return e != NULL && now_s >= e->from && now_s <= e->until;
}

value rvps_all(struct rvps_snapshot *s, int64_t now_s)
{
    struct epoch *e = atomic_load_explicit(&s->current, memory_order_acquire);
    if (covers(e, now_s))
        return e->all;

    /* Older epochs stay: another thread may be evaluating with one. */
    pthread_mutex_lock(&s->lock);
    for (e = s->epochs; e != NULL && !covers(e, now_s);)
        e = e->next;
    if (e == NULL) {
        e = epoch_new(s, now_s);
        if (e != NULL) {
            e->next = s->epochs;
            s->epochs = e;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (e == NULL)
        return VALUE_UNDEFINED;
    atomic_store_explicit(&s->current, e, memory_order_release);
    return e->all;
}

/* ---- stores ---- */

static struct rvps *rvps_new(bool enforce)
{
    struct rvps *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    pthread_mutex_init(&r->work, NULL);
    pthread_mutex_init(&r->pin, NULL);
    r->enforce = enforce;
    return r;
}

enum status rvps_open_file(const char *path, enum storage_how how, bool enforce_expiration,
                           struct rvps **out, struct error *err)
{
    CLEANUP(rvps_cleanup) struct rvps *r = rvps_new(enforce_expiration);
    if (r == NULL)
        return error_nomem(err);
    r->path = strdup(path);
    if (r->path == NULL)
        return error_nomem(err);
    if (how == STORAGE_MAKE)
        file_remove_leftovers_beside(path);
    *out = TAKE(r);
    return OK;
}

enum status rvps_open_storage(struct storage *storage, bool enforce_expiration, struct rvps **out,
                              struct error *err)
{
    struct rvps *r = rvps_new(enforce_expiration);
    if (r == NULL)
        return error_nomem(err);
    r->storage = storage_ref(storage);
    *out = r;
    return OK;
}

const char *rvps_missing(const struct rvps *r)
{
    return r->storage == NULL ? NULL : storage_missing(r->storage);
}

struct rvps *rvps_free(struct rvps *r)
{
    if (r == NULL)
        return NULL;
    rvps_snapshot_unref(r->snapshot);
    storage_unref(r->storage);
    pthread_mutex_destroy(&r->work);
    pthread_mutex_destroy(&r->pin);
    free(r->path);
    free(r);
    return NULL;
}

void rvps_confine(const struct rvps *r, struct confine *c)
{
    if (r->path != NULL)
        confine_add_file(c, r->path, CONFINE_READ | CONFINE_WRITE);
    else
        storage_confine(r->storage, c);
}

struct rvps_snapshot *rvps_snapshot_get(struct rvps *r)
{
    pthread_mutex_lock(&r->pin);
    struct rvps_snapshot *s = r->snapshot;
    if (s != NULL)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&r->pin);
    return s;
}

static void swap_snapshot(struct rvps *r, struct rvps_snapshot *s)
{
    pthread_mutex_lock(&r->pin);
    struct rvps_snapshot *old = r->snapshot;
    r->snapshot = s;
    pthread_mutex_unlock(&r->pin);
    rvps_snapshot_unref(old);
}

/* ---- refreshing ---- */

/* A store of v0.18 and before that the default type LocalFs left: a sled database. */
static bool is_sled(const char *path)
{
    static const char *const parts[] = {"conf", "db", "blobs"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char name[4096];
        struct stat sb;
        int n = snprintf(name, sizeof(name), "%s/%s", path, parts[i]);
        if (n < 0 || (size_t)n >= sizeof(name) || stat(name, &sb) != 0)
            return false;
    }
    return true;
}

static enum status read_file(struct rvps *r, struct rvps_snapshot *s, struct rvps_entries *found,
                             rvps_warn warn, void *user, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, RVPS_FILE_MAX);
    enum status st = file_read(r->path, &text, err);
    /*
     * A file that never was is an empty one; it is created by the first write.  One
     * that vanished is a broken one: the older state serves (README 19).
     */
    if (st == ERR_NOT_FOUND && r->snapshot == NULL)
        return OK;
    if (st == ERR_IO && is_sled(r->path)) {
        error_set(err,
                  "\"%s\" is a database of Trustee v0.18 or before; register its values again "
                  "with rvps_config.storage of type LocalJson, or with storage_backend",
                  r->path);
        return ERR_UNSUPPORTED;
    }
    if (st != OK)
        return st;
    st = rvps_container_read(&s->arena, buf_str(&text), found, warn, user, err);
    if (st != OK) {
        error_place(err);
        error_prefix(err, "could not read \"%s\": ", r->path);
    }
    return st;
}

static enum status read_stored(struct rvps *r, struct rvps_snapshot *s, struct str key,
                               struct rvps_entries *found, rvps_warn warn, void *user,
                               struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, RVPS_FILE_MAX);
    enum status st = storage_get(r->storage, key, &text, err);
    if (st == ERR_NOT_FOUND) /* deleted since the listing */
        return OK;
    if (st != OK)
        return st;

    struct error why = ERROR_INIT;
    value v;
    struct reference_value e;
    st = json_parse(&s->arena, buf_str(&text), NULL, &v, &why);
    if (st == OK)
        st = rvps_entry_read(&s->arena, key, v, &e, &why);
    if (st == OK)
        return rvps_entries_add(found, &s->arena, &e, err);
    if (st == ERR_NOMEM || st == ERR_LIMIT) {
        if (err != NULL)
            *err = why;
        return st;
    }
    if (warn != NULL) {
        error_prefix(&why, "reference value \"%s\" is skipped: ", QUOTED(key));
        warn(user, why.text);
    }
    return OK;
}

static enum status read_storage(struct rvps *r, struct rvps_snapshot *s, struct rvps_entries *found,
                                rvps_warn warn, void *user, struct error *err)
{
    struct str *keys = NULL;
    size_t count = 0;
    enum status st = storage_list(r->storage, &s->arena, &keys, &count, err);
    for (size_t i = 0; st == OK && i < count; i++)
        st = read_stored(r, s, keys[i], found, warn, user, err);
    return st;
}

static void warn_about(const struct rvps_snapshot *s, const struct reference_value *v, bool past,
                       rvps_warn warn, void *user)
{
    struct error text = ERROR_INIT;
    const char *used = !past        ? ""
                       : s->enforce ? " and is not used"
                                    : ", but enforce_expiration is false";
    error_set(&text, "reference value \"%s\" %s %.*s%s", QUOTED(v->name),
              past ? "expired at" : "expires soon, at", STR_ARG(v->expires), used);
    warn(user, text.text);
}

/*
 * README 3: a value is named when it is about to expire and again when it has,
 * also while the store does not change.
 */
static void notice_expiry(struct rvps *r, const struct rvps_snapshot *s, int64_t now_s,
                          rvps_warn warn, void *user)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < s->count; i++) {
        const struct reference_value *v = &s->entries[i];
        const int64_t moments[] = {v->expires_s - RVPS_EXPIRES_SOON_S, v->expires_s + 1};
        size_t due = ARRAY_LEN(moments); /* the last one that has come */
        for (size_t k = 0; k < ARRAY_LEN(moments); k++) {
            if (moments[k] <= now_s)
                due = k;
            else if (moments[k] < next)
                next = moments[k];
        }
        if (warn != NULL && due < ARRAY_LEN(moments) && moments[due] > r->noticed_s)
            warn_about(s, v, due == 1, warn, user);
    }
    r->noticed_s = now_s;
    r->next_notice_s = next;
}

static enum status refresh_locked(struct rvps *r, int64_t now_s, rvps_warn warn, void *user,
                                  bool *changed, struct error *err)
{
    *changed = false;
    struct file_state seen = {0};
    uint64_t version = 0;
    if (r->path != NULL)
        file_state_get(r->path, &seen);
    else
        version = storage_version(r->storage);
    if (r->looked &&
        (r->path != NULL ? file_state_equal(&seen, &r->seen) : version == r->version)) {
        if (r->snapshot != NULL && now_s >= r->next_notice_s)
            notice_expiry(r, r->snapshot, now_s, warn, user);
        return OK;
    }

    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = snapshot_new(r->enforce);
    if (s == NULL)
        return error_nomem(err);
    struct rvps_entries found = {0};
    enum status st = r->path != NULL ? read_file(r, s, &found, warn, user, err)
                                     : read_storage(r, s, &found, warn, user, err);
    if (st == OK)
        st = snapshot_fill(s, &found, err);
    /* Bad content is reported once, not each second; what may pass (memory, I/O) is tried again. */
    r->looked = st == OK || st == ERR_INVALID || st == ERR_UNSUPPORTED || st == ERR_LIMIT;
    r->seen = seen;
    r->version = version;
    if (st != OK)
        return st;

    r->noticed_s = INT64_MIN;
    notice_expiry(r, s, now_s, warn, user);
    swap_snapshot(r, TAKE(s));
    *changed = true;
    return OK;
}

enum status rvps_refresh(struct rvps *r, int64_t now_s, void (*warn)(void *user, const char *text),
                         void *user, bool *changed, struct error *err)
{
    bool ignored;
    pthread_mutex_lock(&r->work);
    enum status st =
        refresh_locked(r, now_s, warn, user, changed != NULL ? changed : &ignored, err);
    pthread_mutex_unlock(&r->work);
    return st;
}

/* ---- changing ---- */

static enum status make_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return OK;
    char *parent = strndup(path, (size_t)(slash - path));
    if (parent == NULL)
        return error_nomem(err);
    enum status st = file_make_dirs(parent, err);
    free(parent);
    return st;
}

/* Read, change, write: what others wrote in the meantime stays, one whole file at a time. */
static enum status change_file(struct rvps *r, const struct reference_value *set, size_t n,
                               const struct str *remove, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, SNAPSHOT_MEMORY_MAX);
    CLEANUP(buf_done) struct buf old;
    buf_init(&old, RVPS_FILE_MAX);
    CLEANUP(buf_done) struct buf new;
    buf_init(&new, RVPS_FILE_MAX);

    enum status st = file_read(r->path, &old, err);
    if (st != OK && st != ERR_NOT_FOUND)
        return st;
    st = rvps_container_change(&a, buf_str(&old), set, n, remove, &new, err);
    if (st != OK)
        return st;
    st = make_parent(r->path, err);
    if (st != OK)
        return st;
    return file_write(r->path, buf_str(&new), FILE_MODE, err);
}

/* Put back what was there before a registration that failed halfway. */
static void undo(struct rvps *r, const struct reference_value *set, const struct str *old, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        if (old[i - 1].ptr != NULL)
            status_ignore(storage_set(r->storage, set[i - 1].name, old[i - 1], true, NULL));
        else
            status_ignore(storage_delete(r->storage, set[i - 1].name, NULL, NULL));
    }
}

static enum status set_stored(struct rvps *r, struct arena *a, const struct reference_value *v,
                              struct str *old, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, RVPS_FILE_MAX);
    *old = (struct str){NULL, 0};
    enum status st = storage_get(r->storage, v->name, &text, err);
    if (st == OK) {
        *old = arena_str(a, buf_str(&text));
        if (old->ptr == NULL)
            return error_nomem(err);
    } else if (st != ERR_NOT_FOUND) {
        return st;
    }

    buf_reset(&text);
    st = rvps_entry_write(v, &text);
    if (st != OK)
        return st;
    return storage_set(r->storage, v->name, buf_str(&text), true, err);
}

static enum status change_storage(struct rvps *r, const struct reference_value *set, size_t n,
                                  struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, SNAPSHOT_MEMORY_MAX);
    struct str *old = arena_new_array(&a, struct str, n);
    if (n > 0 && old == NULL)
        return error_nomem(err);

    for (size_t i = 0; i < n; i++) {
        enum status st = set_stored(r, &a, &set[i], &old[i], err);
        if (st != OK) {
            undo(r, set, old, i);
            return st;
        }
    }
    return OK;
}

/* The change is stored; whatever the look afterwards says is told by the next refresh. */
static void look_again(struct rvps *r, int64_t now_s)
{
    bool changed;
    r->looked = false;
    struct error ignored = ERROR_INIT;
    status_ignore(refresh_locked(r, now_s, NULL, NULL, &changed, &ignored));
}

enum status rvps_register(struct rvps *r, struct str message, int64_t now_s, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, SNAPSHOT_MEMORY_MAX);
    struct rvps_entries found = {0};
    enum status st = rvps_message_read(&a, message, now_s, &found, err);
    if (st != OK)
        return st;

    pthread_mutex_lock(&r->work);
    st = r->path != NULL ? change_file(r, found.items, found.len, NULL, err)
                         : change_storage(r, found.items, found.len, err);
    if (st == OK)
        look_again(r, now_s);
    pthread_mutex_unlock(&r->work);
    return st;
}

enum status rvps_remove(struct rvps *r, struct str name, int64_t now_s, struct error *err)
{
    pthread_mutex_lock(&r->work);
    enum status st;
    if (r->path != NULL) {
        st = change_file(r, NULL, 0, &name, err);
    } else {
        bool existed = false;
        st = storage_delete(r->storage, name, &existed, err);
        if (st == OK && !existed) {
            error_set(err, "no reference value has the name \"%s\"", QUOTED(name));
            st = ERR_NOT_FOUND;
        }
    }
    if (st == OK)
        look_again(r, now_s);
    pthread_mutex_unlock(&r->work);
    return st;
}
