/* claviger-sqlite.so: see sqlite_api.h.  The one file that knows libsqlite3. */
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/sqlite_api.h"

/*
 * entries      what there is
 * namespaces   how often each was changed: the triggers count for every writer,
 *              so that a change by another program is followed, too
 */
#define APPLICATION_ID 0x434c5647 /* "CLVG" */
#define SCHEMA_VERSION 1
static const char schema[] =
    "CREATE TABLE entries (namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY (namespace, key));"
    "CREATE TABLE namespaces (name TEXT PRIMARY KEY NOT NULL, changes INTEGER NOT NULL)"
    " WITHOUT ROWID;"
#define COUNT(when, which)                                                                         \
    "CREATE TRIGGER entries_" when " AFTER " when " ON entries BEGIN"                              \
    " INSERT INTO namespaces VALUES (" which ".namespace, 1)"                                      \
    " ON CONFLICT (name) DO UPDATE SET changes = changes + 1; END;"
    COUNT("insert", "new") COUNT("update", "new") COUNT("delete", "old")
#undef COUNT
        "PRAGMA application_id = 1129076295;" /* APPLICATION_ID */
        "PRAGMA user_version = 1;";

/*
 * synchronous = FULL: a write that was acknowledged survives a power cut.
 * secure_delete: what is deleted or replaced is overwritten in the file.
 * The cache is small, since values are read once and the kernel has its own.
 */
static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA secure_delete = ON;"
                               "PRAGMA cache_size = -256;"
                               "PRAGMA journal_size_limit = 4194304;"
                               "PRAGMA trusted_schema = OFF;";

#define BUSY_MS 5000 /* another process writes, a backup perhaps */

enum statement { PUT, PUT_NEW, GET, DELETE, LIST, CHANGES, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [PUT] = "INSERT INTO entries VALUES (?1, ?2, ?3)"
            " ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value",
    [PUT_NEW] = "INSERT INTO entries VALUES (?1, ?2, ?3)"
                " ON CONFLICT (namespace, key) DO NOTHING",
    [GET] = "SELECT value FROM entries WHERE namespace = ?1 AND key = ?2",
    [DELETE] = "DELETE FROM entries WHERE namespace = ?1 AND key = ?2",
    [LIST] = "SELECT key FROM entries WHERE namespace = ?1",
    [CHANGES] = "SELECT changes FROM namespaces WHERE name = ?1",
};

struct sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

/* ---- memory ---- */

static void *memory_alloc(int size)
{
    return malloc((size_t)size);
}

static void memory_free(void *p)
{
    if (p != NULL)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *memory_realloc(void *p, int size)
{
    void *fresh = malloc((size_t)size);
    if (fresh == NULL)
        return NULL;
    if (p != NULL) {
        size_t had = malloc_usable_size(p);
        memcpy(fresh, p, had < (size_t)size ? had : (size_t)size);
    }
    memory_free(p);
    return fresh;
}

static int memory_size(void *p)
{
    return p == NULL ? 0 : (int)malloc_usable_size(p);
}

static int memory_roundup(int size)
{
    return (size + 7) & ~7;
}

static int memory_init(void *user)
{
    (void)user;
    return SQLITE_OK;
}

static void memory_shutdown(void *user)
{
    (void)user;
}

/* Before the library is used for the first time; it is nobody else's in this process. */
__attribute__((constructor)) static void configure(void)
{
    static const sqlite3_mem_methods methods = {
        memory_alloc,   memory_free, memory_realloc,  memory_size,
        memory_roundup, memory_init, memory_shutdown, NULL,
    };
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* or freed pieces would not be wiped */
}

/* ---- errors ---- */

static enum status fail(sqlite3 *db, char *error)
{
    int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db);
    int os = db == NULL ? 0 : sqlite3_system_errno(db);
    bool system = (code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && os != 0;
    snprintf(error, SQLITE_ERROR_MAX, "%s%s%s", db == NULL ? "out of memory" : sqlite3_errmsg(db),
             system ? ": " : "", system ? strerror(os) : "");
    switch (code) {
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return ERR_INVALID;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}

static enum status fail_with(enum status st, const char *text, char *error)
{
    snprintf(error, SQLITE_ERROR_MAX, "%s", text);
    return st;
}

/* ---- opening ---- */

static enum status read_number(sqlite3 *db, const char *sql, int64_t *out, char *error)
{
    sqlite3_stmt *s = NULL;
    enum status st = OK;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
        st = fail(db, error);
    else
        *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return st;
}

/* Within a transaction: two processes may meet at an empty file. */
static enum status check_schema(sqlite3 *db, char *error)
{
    int64_t tables, id, version;
    enum status st = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (st == OK)
        st = read_number(db, "PRAGMA application_id", &id, error);
    if (st == OK)
        st = read_number(db, "PRAGMA user_version", &version, error);
    if (st != OK)
        return st;
    if (tables == 0 && id == 0)
        return sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK ? OK : fail(db, error);
    if (id != APPLICATION_ID)
        return fail_with(ERR_INVALID, "it is a database of another program", error);
    if (version > SCHEMA_VERSION)
        return fail_with(ERR_UNSUPPORTED, "a later version of Claviger made it", error);
    return OK;
}

static enum status prepare_schema(sqlite3 *db, char *error)
{
    int64_t id, version;
    enum status st = read_number(db, "PRAGMA application_id", &id, error);
    if (st == OK)
        st = read_number(db, "PRAGMA user_version", &version, error);
    if (st != OK)
        return st;
    if (id == APPLICATION_ID && version == SCHEMA_VERSION)
        return OK; /* as nearly always: nothing to lock, and a reader may be without rights */
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, error);
    st = check_schema(db, error);
    if (st == OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        st = fail(db, error);
    if (st != OK)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

static void close_connection(struct sqlite_connection *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(c->statements[i]);
    sqlite3_close(c->db);
    free(c);
}

static enum status open_connection(const char *path, struct sqlite_connection **out, char *error)
{
    struct sqlite_connection *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return fail(NULL, error);
    /* No URI file names: a "?" in a path is a "?". */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    enum status st = OK;
    if (sqlite3_open_v2(path, &c->db, flags, "unix") != SQLITE_OK)
        st = fail(c->db, error);
    if (st == OK) {
        sqlite3_busy_timeout(c->db, BUSY_MS);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        if (sqlite3_exec(c->db, settings, NULL, NULL, NULL) != SQLITE_OK)
            st = fail(c->db, error);
    }
    if (st == OK)
        st = prepare_schema(c->db, error);
    if (st != OK) {
        close_connection(c);
        return st;
    }
    *out = c;
    return OK;
}

/* ---- statements ---- */

static enum status bind(struct sqlite_connection *c, enum statement which, struct str ns,
                        const struct str *key, sqlite3_stmt **out, char *error)
{
    sqlite3_stmt **s = &c->statements[which];
    if (*s == NULL && sqlite3_prepare_v3(c->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, s,
                                         NULL) != SQLITE_OK)
        return fail(c->db, error);
    if (sqlite3_bind_text(*s, 1, ns.ptr, (int)ns.len, SQLITE_STATIC) != SQLITE_OK ||
        (key != NULL &&
         sqlite3_bind_text(*s, 2, key->ptr, (int)key->len, SQLITE_STATIC) != SQLITE_OK))
        return fail(c->db, error);
    *out = *s;
    return OK;
}

/* Ready for the next time, and without a pointer to what was bound. */
static void unbind(sqlite3_stmt *s)
{
    if (s != NULL) {
        sqlite3_reset(s);
        sqlite3_clear_bindings(s);
    }
}

static enum status set(struct sqlite_connection *c, struct str ns, struct str key, struct str bytes,
                       bool overwrite, char *error)
{
    sqlite3_stmt *s = NULL;
    enum status st = bind(c, overwrite ? PUT : PUT_NEW, ns, &key, &s, error);
    /* A NULL pointer would be an SQL NULL. */
    if (st == OK && sqlite3_bind_blob64(s, 3, bytes.len == 0 ? "" : bytes.ptr, bytes.len,
                                        SQLITE_STATIC) != SQLITE_OK)
        st = fail(c->db, error);
    if (st == OK && sqlite3_step(s) != SQLITE_DONE)
        st = fail(c->db, error);
    if (st == OK && sqlite3_changes(c->db) == 0)
        st = ERR_EXISTS;
    unbind(s);
    return st;
}

static enum status get(struct sqlite_connection *c, struct str ns, struct str key,
                       char *(*room)(void *user, size_t len), void *user, char *error)
{
    sqlite3_stmt *s = NULL;
    enum status st = bind(c, GET, ns, &key, &s, error);
    int step = st == OK ? sqlite3_step(s) : SQLITE_DONE;
    if (st == OK && step == SQLITE_DONE)
        st = fail_with(ERR_NOT_FOUND, "not found", error);
    if (st == OK && step != SQLITE_ROW)
        st = fail(c->db, error);
    if (st == OK) {
        const void *p = sqlite3_column_blob(s, 0);
        size_t len = (size_t)sqlite3_column_bytes(s, 0);
        char *to = p == NULL && len > 0 ? NULL : room(user, len);
        if (p == NULL && len > 0)
            st = fail(NULL, error);
        else if (to == NULL)
            st = fail_with(ERR_LIMIT, "the value is too large", error);
        else if (len > 0)
            memcpy(to, p, len);
    }
    unbind(s);
    sqlite3_db_release_memory(c->db); /* and with it the pages of a secret */
    return st;
}

static enum status remove_entry(struct sqlite_connection *c, struct str ns, struct str key,
                                bool *existed, char *error)
{
    sqlite3_stmt *s = NULL;
    enum status st = bind(c, DELETE, ns, &key, &s, error);
    if (st == OK && sqlite3_step(s) != SQLITE_DONE)
        st = fail(c->db, error);
    *existed = st == OK && sqlite3_changes(c->db) > 0;
    unbind(s);
    /* What was deleted leaves the log as well, unless somebody reads just now. */
    if (st == OK && *existed)
        sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return st;
}

static enum status list(struct sqlite_connection *c, struct str ns,
                        enum status (*each)(void *user, struct str key), void *user, char *error)
{
    sqlite3_stmt *s = NULL;
    enum status st = bind(c, LIST, ns, NULL, &s, error);
    int step = SQLITE_DONE;
    while (st == OK && (step = sqlite3_step(s)) == SQLITE_ROW) {
        const void *p = sqlite3_column_text(s, 0);
        size_t len = (size_t)sqlite3_column_bytes(s, 0);
        st = p == NULL ? fail(NULL, error) : each(user, str_bytes(p, len));
    }
    if (st == OK && step != SQLITE_DONE)
        st = fail(c->db, error);
    unbind(s);
    return st;
}

static enum status changes(struct sqlite_connection *c, struct str ns, uint64_t *out, char *error)
{
    sqlite3_stmt *s = NULL;
    enum status st = bind(c, CHANGES, ns, NULL, &s, error);
    int step = st == OK ? sqlite3_step(s) : SQLITE_DONE;
    *out = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    if (st == OK && step != SQLITE_ROW && step != SQLITE_DONE)
        st = fail(c->db, error);
    unbind(s);
    return st;
}

extern __attribute__((visibility("default"))) const struct sqlite_api claviger_sqlite;

const struct sqlite_api claviger_sqlite = {
    CLAVIGER_SQLITE_VERSION,
    CLAVIGER_VERSION,
    open_connection,
    close_connection,
    set,
    get,
    remove_entry,
    list,
    changes,
};
