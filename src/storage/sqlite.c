/*
 * Namespaces of one SQLite file (docs/decisions/sqlite.md).
 *
 *   storage "kbs" ---------+
 *   storage "repository" --+--> struct database of the path --> one writer,
 *   storage "reference..." +                                    some readers
 *
 * All storages of one path share a database, also those of the configurations
 * before and after a reload, so that there is one writer in the process and
 * SQLite's own lock is for other processes only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/module.h"
#include "storage/sqlite_api.h"
#include "storage/storage_internal.h"

#define IDLE_READERS 4 /* connections kept for the next reads; each holds about 60 KiB */

struct database {
    struct database *next;
    unsigned refs; /* of registry_lock */
    pthread_mutex_t write_lock;
    struct sqlite_connection *writer;
    pthread_mutex_t read_lock;
    struct sqlite_connection *readers[IDLE_READERS];
    size_t reader_count;
    char path[];
};

struct sqlite_storage {
    struct storage base;
    struct database *db;
    size_t ns_len;
    char ns[];
};

/* Process-wide, since a file has one writer however often it is opened. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct database *registry;
static const struct sqlite_api *api; /* set once, never closed */

/* ---- databases ---- */

static enum status failed(enum status st, const char *text, struct error *err)
{
    error_set(err, "%s", text);
    return st;
}

static void database_free(struct database *db)
{
    if (db == NULL)
        return;
    /* The writer last: who closes the last connection empties the log. */
    for (size_t i = 0; i < db->reader_count; i++)
        api->close(db->readers[i]);
    if (db->writer != NULL)
        api->close(db->writer);
    pthread_mutex_destroy(&db->write_lock);
    pthread_mutex_destroy(&db->read_lock);
    free(db);
}

/* The folder of a path is made, or could be. */
static enum status make_parent(const char *path, enum storage_how how, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return OK;
    char *parent = strndup(path, (size_t)(slash - path));
    if (parent == NULL)
        return error_nomem(err);
    enum status st =
        how == STORAGE_MAKE ? file_make_dirs(parent, err) : file_can_make_dirs(parent, err);
    free(parent);
    return st;
}

/* SQLite would make it readable for everybody; its log and index get the mode of the file. */
static enum status make_file(const char *path, struct error *err)
{
    enum status st = make_parent(path, STORAGE_MAKE, err);
    if (st != OK)
        return st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return error_errno(err, errno, "could not open database \"%s\"", path);
    struct stat sb;
    bool regular = fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode);
    close(fd);
    return regular ? OK : error_errno(err, EINVAL, "could not open database \"%s\"", path);
}

/* registry_lock is held. */
static enum status need_module(struct error *err)
{
    const void *module = api;
    enum status st = OK;
    if (module == NULL)
        st = module_open("storage", "claviger-sqlite.so", CLAVIGER_SQLITE_SYMBOL,
                         CLAVIGER_SQLITE_VERSION, &module, err);
    api = module;
    if (st != OK)
        error_prefix(err, "SQLite is not available: ");
    return st;
}

/* registry_lock is held. */
static enum status database_open(const char *path, struct database **out, struct error *err)
{
    enum status st = need_module(err);
    if (st == OK)
        st = make_file(path, err);
    if (st != OK)
        return st;

    size_t size = strlen(path) + 1;
    struct database *db = calloc(1, sizeof(*db) + size);
    if (db == NULL)
        return error_nomem(err);
    memcpy(db->path, path, size);
    db->refs = 1;
    pthread_mutex_init(&db->write_lock, NULL);
    pthread_mutex_init(&db->read_lock, NULL);
    char text[SQLITE_ERROR_MAX];
    st = api->open(path, &db->writer, text);
    if (st != OK) {
        database_free(db);
        error_set(err, "could not open database \"%s\": %s", path, text);
        return st;
    }
    db->next = registry;
    registry = db;
    *out = db;
    return OK;
}

static enum status database_get(const char *path, struct database **out, struct error *err)
{
    pthread_mutex_lock(&registry_lock);
    struct database *db = registry;
    while (db != NULL && strcmp(db->path, path) != 0)
        db = db->next;
    enum status st = OK;
    if (db != NULL)
        db->refs++;
    else
        st = database_open(path, &db, err);
    pthread_mutex_unlock(&registry_lock);
    if (st == OK)
        *out = db;
    return st;
}

static void database_unref(struct database *db)
{
    pthread_mutex_lock(&registry_lock);
    bool last = --db->refs == 0;
    struct database **at = &registry;
    while (last && *at != db)
        at = &(*at)->next;
    if (last)
        *at = db->next;
    if (last)
        database_free(db); /* under the lock: the next to open the file finds it closed */
    pthread_mutex_unlock(&registry_lock);
}

static enum status reader_take(struct database *db, struct sqlite_connection **out, char *text)
{
    pthread_mutex_lock(&db->read_lock);
    struct sqlite_connection *c = db->reader_count > 0 ? db->readers[--db->reader_count] : NULL;
    pthread_mutex_unlock(&db->read_lock);
    if (c == NULL)
        return api->open(db->path, out, text);
    *out = c;
    return OK;
}

static void reader_give(struct database *db, struct sqlite_connection *c)
{
    pthread_mutex_lock(&db->read_lock);
    bool kept = db->reader_count < IDLE_READERS;
    if (kept)
        db->readers[db->reader_count++] = c;
    pthread_mutex_unlock(&db->read_lock);
    if (!kept)
        api->close(c);
}

/* ---- operations ---- */

static struct str ns_of(const struct sqlite_storage *q)
{
    return (struct str){q->ns, q->ns_len};
}

static enum status sqlite_set(struct storage *s, struct str key, struct str bytes, bool overwrite,
                              struct error *err)
{
    struct sqlite_storage *q = (struct sqlite_storage *)s;
    char text[SQLITE_ERROR_MAX] = "";
    pthread_mutex_lock(&q->db->write_lock);
    enum status st = api->set(q->db->writer, ns_of(q), key, bytes, overwrite, text);
    pthread_mutex_unlock(&q->db->write_lock);
    return st == OK || st == ERR_EXISTS ? st : failed(st, text, err);
}

static char *room_in_buf(void *user, size_t len)
{
    struct buf *out = user;
    if (!buf_reserve(out, len + 1)) /* + 1: so that there is a pointer for nothing, too */
        return NULL;
    char *at = out->ptr + out->len;
    out->len += len;
    return at;
}

static enum status sqlite_get(struct storage *s, struct str key, struct buf *out, struct error *err)
{
    struct sqlite_storage *q = (struct sqlite_storage *)s;
    char text[SQLITE_ERROR_MAX] = "";
    struct sqlite_connection *c = NULL;
    enum status st = reader_take(q->db, &c, text);
    if (st == OK) {
        st = api->get(c, ns_of(q), key, room_in_buf, out, text);
        reader_give(q->db, c);
    }
    if (st == ERR_LIMIT && buf_status(out) == ERR_NOMEM)
        return error_nomem(err);
    return st == OK ? OK : failed(st, text, err);
}

static enum status sqlite_remove(struct storage *s, struct str key, bool *existed,
                                 struct error *err)
{
    struct sqlite_storage *q = (struct sqlite_storage *)s;
    char text[SQLITE_ERROR_MAX] = "";
    pthread_mutex_lock(&q->db->write_lock);
    enum status st = api->remove(q->db->writer, ns_of(q), key, existed, text);
    pthread_mutex_unlock(&q->db->write_lock);
    return st == OK ? OK : failed(st, text, err);
}

struct listing {
    struct arena *arena;
    struct str *keys;
    size_t cap, *count;
    struct error *err;
};

static enum status list_one(void *user, struct str key)
{
    struct listing *l = user;
    return storage_list_add(l->arena, l->keys, l->cap, l->count, key, l->err);
}

static enum status sqlite_list(struct storage *s, struct arena *a, struct str *keys, size_t cap,
                               size_t *count, struct error *err)
{
    struct sqlite_storage *q = (struct sqlite_storage *)s;
    char text[SQLITE_ERROR_MAX] = "";
    struct sqlite_connection *c = NULL;
    struct listing l = {a, keys, cap, count, err};
    enum status st = reader_take(q->db, &c, text);
    if (st == OK) {
        st = api->list(c, ns_of(q), list_one, &l, text);
        reader_give(q->db, c);
    }
    if (st != OK && text[0] != '\0')
        error_set(err, "%s", text); /* else it is list_one()'s */
    return st;
}

static uint64_t sqlite_version(struct storage *s)
{
    struct sqlite_storage *q = (struct sqlite_storage *)s;
    char text[SQLITE_ERROR_MAX];
    struct sqlite_connection *c = NULL;
    uint64_t n = 0;
    if (reader_take(q->db, &c, text) == OK) {
        if (api->changes(c, ns_of(q), &n, text) != OK)
            n = UINT64_MAX; /* whoever looks because of that is told what is wrong */
        reader_give(q->db, c);
    }
    return n;
}

static void sqlite_done(struct storage *s)
{
    database_unref(((struct sqlite_storage *)s)->db);
}

/* Its log and index stand beside it. */
static void sqlite_confine(const struct storage *s, struct confine *c)
{
    confine_add_file(c, ((const struct sqlite_storage *)s)->db->path, CONFINE_READ | CONFINE_WRITE);
}

static const struct storage_ops sqlite_ops = {
    sqlite_set,     sqlite_get,  sqlite_remove, sqlite_list,
    sqlite_version, sqlite_done, false,         sqlite_confine,
};

/* A database that is not there, and would be made: an empty one. */
static enum status look_at_nothing(const char *path, struct storage **out, struct error *err)
{
    pthread_mutex_lock(&registry_lock);
    enum status st = need_module(err);
    pthread_mutex_unlock(&registry_lock);
    if (st == OK)
        st = make_parent(path, STORAGE_LOOK, err);
    if (st == OK)
        st = storage_open_memory(out, err);
    if (st != OK)
        return st;
    st = storage_note_missing(*out, path, err);
    if (st != OK)
        *out = storage_unref(*out);
    return st;
}

enum status storage_open_sqlite(const char *path, struct str ns, enum storage_how how,
                                struct storage **out, struct error *err)
{
    if (!storage_namespace_is_valid(ns)) {
        error_set(err, "invalid storage namespace: %s", QUOTED(ns));
        return ERR_INVALID;
    }
    if (how == STORAGE_LOOK && access(path, F_OK) != 0 && errno == ENOENT)
        return look_at_nothing(path, out, err);
    struct sqlite_storage *q = calloc(1, sizeof(*q) + ns.len + 1);
    if (q == NULL)
        return error_nomem(err);
    enum status st = database_get(path, &q->db, err);
    if (st != OK) {
        free(q);
        return st;
    }
    memcpy(q->ns, ns.ptr, ns.len);
    q->ns_len = ns.len;
    storage_base_init(&q->base, &sqlite_ops);
    *out = &q->base;
    return OK;
}
