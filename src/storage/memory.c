/* The memory back end: a hash table of secrets.  Everything is gone at exit. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/secret.h"
#include "storage/storage_internal.h"

struct entry {
    struct entry *next;
    uint64_t hash;
    struct buf bytes; /* wiped when released: many values are secrets, most are small */
    size_t key_len;
    char key[];
};

struct memory {
    struct storage base;
    struct entry **slots;
    size_t slot_count; /* a power of two */
    size_t count;
};

static uint64_t hash_key(struct str key)
{
    return hash_bytes(key.ptr, key.len, 0x73746f72);
}

static struct entry **find(struct memory *m, struct str key, uint64_t hash)
{
    struct entry **at = &m->slots[hash & (m->slot_count - 1)];
    while (*at != NULL &&
           ((*at)->hash != hash || !str_equal((struct str){(*at)->key, (*at)->key_len}, key)))
        at = &(*at)->next;
    return at;
}

static void free_entry(struct entry *e)
{
    buf_done(&e->bytes);
    free(e);
}

/* Twice the slots; on exhausted memory the table stays as it is, only slower. */
static void grow(struct memory *m)
{
    size_t n = m->slot_count * 2;
    struct entry **slots = calloc(n, sizeof(struct entry *));
    if (slots == NULL)
        return;
    for (size_t i = 0; i < m->slot_count; i++) {
        while (m->slots[i] != NULL) {
            struct entry *e = m->slots[i];
            m->slots[i] = e->next;
            e->next = slots[e->hash & (n - 1)];
            slots[e->hash & (n - 1)] = e;
        }
    }
    free(m->slots);
    m->slots = slots;
    m->slot_count = n;
}

static enum status memory_set(struct storage *s, struct str key, struct str bytes, bool overwrite,
                              struct error *err)
{
    struct memory *m = (struct memory *)s;
    uint64_t hash = hash_key(key);
    struct entry **at = find(m, key, hash);
    if (*at != NULL && !overwrite)
        return ERR_EXISTS;

    struct buf copy;
    buf_init_secret(&copy, STORAGE_VALUE_MAX);
    buf_add(&copy, bytes);
    if (buf_status(&copy) != OK) {
        buf_done(&copy);
        return error_nomem(err);
    }
    if (*at != NULL) {
        buf_done(&(*at)->bytes);
        (*at)->bytes = copy;
        return OK;
    }

    struct entry *e = malloc(sizeof(*e) + key.len);
    if (e == NULL) {
        buf_done(&copy);
        return error_nomem(err);
    }
    e->next = NULL;
    e->hash = hash;
    e->bytes = copy;
    e->key_len = key.len;
    if (key.len > 0)
        memcpy(e->key, key.ptr, key.len);
    *at = e;
    if (++m->count > m->slot_count)
        grow(m);
    return OK;
}

static enum status memory_get(struct storage *s, struct str key, struct buf *out, struct error *err)
{
    struct memory *m = (struct memory *)s;
    pthread_mutex_lock(&s->lock);
    struct entry *e = *find(m, key, hash_key(key));
    if (e != NULL)
        buf_add(out, buf_str(&e->bytes));
    pthread_mutex_unlock(&s->lock);

    if (e == NULL) {
        error_set(err, "not found");
        return ERR_NOT_FOUND;
    }
    return buf_status(out);
}

static enum status memory_remove(struct storage *s, struct str key, bool *existed,
                                 struct error *err)
{
    struct memory *m = (struct memory *)s;
    struct entry **at = find(m, key, hash_key(key));
    struct entry *e = *at;
    *existed = e != NULL;
    if (e != NULL) {
        *at = e->next;
        free_entry(e);
        m->count--;
    }
    return OK;
}

static enum status memory_list(struct storage *s, struct arena *a, struct str *keys, size_t cap,
                               size_t *count, struct error *err)
{
    struct memory *m = (struct memory *)s;
    enum status st = OK;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < m->slot_count && st == OK; i++)
        for (struct entry *e = m->slots[i]; e != NULL && st == OK; e = e->next)
            st = storage_list_add(a, keys, cap, count, (struct str){e->key, e->key_len}, err);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static uint64_t memory_version(struct storage *s)
{
    return 1; /* nobody else can change it; storage_version() adds our own writes */
}

static void memory_done(struct storage *s)
{
    struct memory *m = (struct memory *)s;
    for (size_t i = 0; i < m->slot_count; i++) {
        while (m->slots[i] != NULL) {
            struct entry *e = m->slots[i];
            m->slots[i] = e->next;
            free_entry(e);
        }
    }
    free(m->slots);
}

static const struct storage_ops memory_ops = {
    memory_set, memory_get, memory_remove, memory_list, memory_version, memory_done, false,
};

enum status storage_open_memory(struct storage **out, struct error *err)
{
    struct memory *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return error_nomem(err);
    m->slot_count = 64;
    m->slots = calloc(m->slot_count, sizeof(struct entry *));
    if (m->slots == NULL) {
        free(m);
        return error_nomem(err);
    }
    storage_base_init(&m->base, &memory_ops);
    *out = &m->base;
    return OK;
}
