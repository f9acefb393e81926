/* What the back ends of storage share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "storage/storage.h"

struct storage_ops {
    STATUS(*set)
    (struct storage *s, struct str key, struct str bytes, bool overwrite, struct error *err);
    STATUS (*get)(struct storage *s, struct str key, struct buf *out, struct error *err);
    STATUS (*remove)(struct storage *s, struct str key, bool *existed, struct error *err);
    /* Keys in any order; storage_list() sorts. */
    STATUS(*list)
    (struct storage *s, struct arena *a, struct str *keys, size_t cap, size_t *count,
     struct error *err);
    uint64_t (*version)(struct storage *s);
    void (*done)(struct storage *s);
    bool strict_keys; /* the key rule of kbs.md 10.2 holds for set */
    void (*confine)(const struct storage *s, struct confine *c); /* NULL: no files */
};

struct storage {
    const struct storage_ops *ops;
    _Atomic unsigned refs;
    pthread_mutex_t lock;    /* of writers, and of memory's readers */
    _Atomic uint64_t writes; /* counted by this process */
    char *missing;           /* storage_missing() */
};

/* First part of every back end's struct. */
void storage_base_init(struct storage *s, const struct storage_ops *ops);

/* STORAGE_LOOK and nothing is at `path`: remember it. */
STATUS storage_note_missing(struct storage *s, const char *path, struct error *err);

/* "could not <verb> key \"...\": " in front of err's text. */
STATUS storage_failed(enum status st, const char *verb, struct str key, struct error *err);

/* For list(): append one key, copied into the arena. */
STATUS storage_list_add(struct arena *a, struct str *keys, size_t cap, size_t *count,
                        struct str key, struct error *err);
