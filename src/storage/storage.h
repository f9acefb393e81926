/*
 * storage - keys and bytes behind one interface (kbs.md 10, 7.3).
 *
 * A `struct storage` is one namespace of one back end.  Writes are atomic: a
 * reader, also of another process, sees the old bytes or the new ones.
 * Thread-safe.  Values may be secrets: they are handed out in buffers that the
 * caller made, and never logged.
 *
 * Back ends: memory; local_fs (one flat file a key, "/" written as the four
 * characters \x2F); local_json (one JSON object a namespace); nested (the
 * old LocalFs of resources: directories per key part); sqlite (one database
 * file for all namespaces).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"
#include "confine/confine.h"

#define STORAGE_KEY_MAX 1024
#define STORAGE_VALUE_MAX (64 * 1024 * 1024)
#define STORAGE_LIST_MAX 1000000

struct storage;

/* "kbs", "repository", ...: not empty, no leading or trailing "/", no empty, "." or ".." part. */
bool storage_namespace_is_valid(struct str ns);

STATUS storage_open_memory(struct storage **out, struct error *err);

enum storage_how {
    STORAGE_MAKE, /* what is missing is made, what a killed process left is removed */
    STORAGE_LOOK, /* nothing is: for whoever only wants to know whether it would open */
};

/* `<dir>/<ns>`; created when missing, and usable read-only when it cannot be. */
STATUS storage_open_local_fs(const char *dir, struct str ns, enum storage_how how,
                             struct storage **out, struct error *err);
STATUS storage_open_local_json(const char *dir, struct str ns, enum storage_how how,
                               struct storage **out, struct error *err);

/*
 * A database file, made with its folders when missing; the folder must be
 * writable.  ERR_UNAVAILABLE: claviger-sqlite.so is not installed.  ERR_INVALID,
 * ERR_UNSUPPORTED: a file that is something else, or of a later version.  Looking
 * at a database that is there, SQLite makes and removes its log beside it; one
 * that is not there is an empty one.
 */
STATUS storage_open_sqlite(const char *path, struct str ns, enum storage_how how,
                           struct storage **out, struct error *err);

/* `<dir>/<part>/<part>/<part>`; symbolic links are followed, as Kubernetes mounts need. */
STATUS storage_open_nested(const char *dir, enum storage_how how, struct storage **out,
                           struct error *err);

/* After STORAGE_LOOK: the folder or file that STORAGE_MAKE would have made, or NULL. */
const char *storage_missing(const struct storage *s);

struct storage *storage_ref(struct storage *s);
struct storage *storage_unref(struct storage *s);
DEFINE_CLEANUP(storage, struct storage, storage_unref)

/*
 * ERR_INVALID: a key with other characters than letters, digits, - _ . /, with
 * an empty, "." or ".." part (local ones), or too long.  ERR_EXISTS: kept,
 * since !overwrite.  ERR_IO: the old state stays.
 */
STATUS storage_set(struct storage *s, struct str key, struct str bytes, bool overwrite,
                   struct error *err);

/* Append the value; ERR_NOT_FOUND. */
STATUS storage_get(struct storage *s, struct str key, struct buf *out, struct error *err);

/* *existed may be NULL; deleting a missing key is OK. */
STATUS storage_delete(struct storage *s, struct str key, bool *existed, struct error *err);

/* All keys, sorted, in the arena. */
STATUS storage_list(struct storage *s, struct arena *a, struct str **keys, size_t *count,
                    struct error *err);

/*
 * A number that changes when anything in the namespace may have changed, also
 * from outside: cheap (stat), for snapshots that must follow files within a second.
 */
uint64_t storage_version(struct storage *s);

/* The folders that it reads and writes, for a process that confines itself. */
void storage_confine(const struct storage *s, struct confine *c);
