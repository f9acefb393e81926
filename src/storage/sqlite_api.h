/*
 * sqlite_api - what claviger-sqlite.so offers: one database file as keys and
 * values, behind plain C functions.
 *
 * libsqlite3 is for deployments that name it (DESIGN.md, "What is loaded
 * when"), so it is a module of its own, opened with the first such storage and
 * met in sqlite_module.c only.
 *
 * A connection is used by one thread at a time; several may read while one
 * writes (write-ahead log).  Each write is one transaction, and is on the disk
 * when the function returns.  What the module frees is wiped: values are secrets.
 * `error` of each function has room for SQLITE_ERROR_MAX bytes.
 */
#pragma once

#include "base/defs.h"

#define CLAVIGER_SQLITE_VERSION 1
#define CLAVIGER_SQLITE_SYMBOL "claviger_sqlite"
#define SQLITE_ERROR_MAX 256

struct sqlite_connection;

struct sqlite_api {
    unsigned version; /* these two are base/module.h's struct module_head */
    const char *build;

    /*
     * Open the file, which exists (it may be empty), and make the tables in it
     * that are missing.  ERR_IO; ERR_INVALID: it is no database, or another
     * program's; ERR_UNSUPPORTED: a later version of ours made it.
     */
    enum status (*open)(const char *path, struct sqlite_connection **out, char *error);
    void (*close)(struct sqlite_connection *c);

    /* ERR_EXISTS: kept, since !overwrite. */
    enum status (*set)(struct sqlite_connection *c, struct str ns, struct str key, struct str bytes,
                       bool overwrite, char *error);

    /* Calls room(user, length) for where to put the value; NULL there is ERR_LIMIT. */
    enum status (*get)(struct sqlite_connection *c, struct str ns, struct str key,
                       char *(*room)(void *user, size_t len), void *user, char *error);

    enum status (*remove)(struct sqlite_connection *c, struct str ns, struct str key, bool *existed,
                          char *error);

    /* Calls each(user, key) until it is not OK. */
    enum status (*list)(struct sqlite_connection *c, struct str ns,
                        enum status (*each)(void *user, struct str key), void *user, char *error);

    /* How often the namespace was changed, by whomsoever. */
    enum status (*changes)(struct sqlite_connection *c, struct str ns, uint64_t *out, char *error);
};
