#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "storage/storage_internal.h"

static bool part_is_ok(struct str part)
{
    return part.len > 0 && !str_is(part, ".") && !str_is(part, "..");
}

static bool parts_are_ok(struct str s)
{
    for (size_t at = 0; at <= s.len;) {
        size_t slash = str_find(s, '/', at);
        if (!part_is_ok(str_slice(s, at, slash - at)))
            return false;
        at = slash + 1;
    }
    return true;
}

bool storage_namespace_is_valid(struct str ns)
{
    return ns.len > 0 && ns.len < 256 && memchr(ns.ptr, '\0', ns.len) == NULL && parts_are_ok(ns);
}

static bool key_char_is_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
}

/*
 * kbs.md 10.2 for set.  We ask the same of get and delete on back ends whose
 * keys become file names, and refuse "." and ".." parts there: upstream does not.
 */
static enum status check_key(const struct storage *s, struct str key, struct error *err)
{
    if (key.len > STORAGE_KEY_MAX) {
        error_set(err, "key is longer than %d bytes", STORAGE_KEY_MAX);
        return ERR_INVALID;
    }
    if (!s->ops->strict_keys)
        return OK;
    for (size_t i = 0; i < key.len; i++) {
        if (!key_char_is_ok(key.ptr[i])) {
            error_set(err, "key contains invalid characters");
            return ERR_INVALID;
        }
    }
    if (!parts_are_ok(key)) {
        error_set(err, "key has an empty, \".\" or \"..\" part");
        return ERR_INVALID;
    }
    return OK;
}

void storage_base_init(struct storage *s, const struct storage_ops *ops)
{
    s->ops = ops;
    atomic_init(&s->refs, 1);
    atomic_init(&s->writes, 1);
    s->missing = NULL;
    pthread_mutex_init(&s->lock, NULL);
}

STATUS storage_note_missing(struct storage *s, const char *path, struct error *err)
{
    if (access(path, F_OK) == 0)
        return OK;
    s->missing = strdup(path);
    return s->missing == NULL ? error_nomem(err) : OK;
}

const char *storage_missing(const struct storage *s)
{
    return s->missing;
}

struct storage *storage_ref(struct storage *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

struct storage *storage_unref(struct storage *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    s->ops->done(s);
    pthread_mutex_destroy(&s->lock);
    free(s->missing);
    free(s);
    return NULL;
}

enum status storage_failed(enum status st, const char *verb, struct str key, struct error *err)
{
    error_prefix(err, "failed to %s key `%s`: ", verb, QUOTED(key));
    return st;
}

enum status storage_set(struct storage *s, struct str key, struct str bytes, bool overwrite,
                        struct error *err)
{
    enum status st = check_key(s, key, err);
    if (st == OK && bytes.len > STORAGE_VALUE_MAX) {
        error_set(err, "value is larger than %d bytes", STORAGE_VALUE_MAX);
        st = ERR_LIMIT;
    }
    if (st == OK) {
        pthread_mutex_lock(&s->lock);
        st = s->ops->set(s, key, bytes, overwrite, err);
        if (st == OK)
            atomic_fetch_add(&s->writes, 1);
        pthread_mutex_unlock(&s->lock);
    }
    return st == OK || st == ERR_EXISTS ? st : storage_failed(st, "set", key, err);
}

enum status storage_get(struct storage *s, struct str key, struct buf *out, struct error *err)
{
    enum status st = check_key(s, key, err);
    if (st == OK)
        st = s->ops->get(s, key, out, err);
    return st == OK ? OK : storage_failed(st, "get", key, err);
}

enum status storage_delete(struct storage *s, struct str key, bool *existed, struct error *err)
{
    bool was = false;
    enum status st = check_key(s, key, err);
    if (st == OK) {
        pthread_mutex_lock(&s->lock);
        st = s->ops->remove(s, key, &was, err);
        if (st == OK)
            atomic_fetch_add(&s->writes, 1);
        pthread_mutex_unlock(&s->lock);
    }
    if (st != OK)
        return storage_failed(st, "delete", key, err);
    if (existed != NULL)
        *existed = was;
    return OK;
}

static int compare_keys(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

enum status storage_list_add(struct arena *a, struct str *keys, size_t cap, size_t *count,
                             struct str key, struct error *err)
{
    if (*count == cap) {
        error_set(err, "more than %zu keys", cap);
        return ERR_LIMIT;
    }
    keys[*count] = arena_str(a, key);
    if (keys[*count].ptr == NULL) {
        error_set(err, "no memory for the list of keys");
        return arena_status(a);
    }
    (*count)++;
    return OK;
}

enum status storage_list(struct storage *s, struct arena *a, struct str **keys, size_t *count,
                         struct error *err)
{
    /* Collected outside the arena first: how many there are is not known before. */
    size_t cap = 256;
    for (;; cap *= 16) {
        struct arena_mark mark = arena_mark(a);
        struct str *list = malloc(cap * sizeof(*list));
        if (list == NULL)
            return error_nomem(err);
        size_t n = 0;
        enum status st = s->ops->list(s, a, list, cap, &n, err);
        if (st == ERR_LIMIT && arena_status(a) == OK && cap < STORAGE_LIST_MAX) {
            free(list);
            arena_rollback(a, mark);
            continue;
        }
        if (st == OK) {
            qsort(list, n, sizeof(*list), compare_keys);
            *keys = arena_alloc(a, n * sizeof(*list) + 1);
            if (*keys == NULL)
                st = arena_status(a);
            else if (n > 0)
                memcpy(*keys, list, n * sizeof(*list));
            *count = n;
        }
        free(list);
        if (st != OK)
            error_prefix(err, "failed to list keys: ");
        return st;
    }
}

uint64_t storage_version(struct storage *s)
{
    return hash_mix(s->ops->version(s), atomic_load(&s->writes));
}

void storage_confine(const struct storage *s, struct confine *c)
{
    if (s->ops->confine != NULL)
        s->ops->confine(s, c);
}
