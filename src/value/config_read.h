/*
 * config_read - typed members of a configuration document, with errors that
 * name file, line, key and what was expected.
 *
 * The first error stays; later reads do nothing, so a loader checks once.
 * Scalars are read as leniently as upstream's loader does (kbs.md 13.1): numbers
 * and booleans may be written as strings, integers are accepted for strings.
 *
 * A table of keys says which there are, and for those that nobody reads through
 * a reader (a table that is handed on whole) also what they hold.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "value/document.h"
#include "value/value.h"

struct str_list {
    struct str *items;
    size_t len;
};

struct reader {
    struct arena *arena;
    struct str file;
    const struct positions *positions; /* NULL: texts name the file and the key alone */
    enum status failed;
    struct error *err;
    void (*warn)(void *user, const char *text);
    void *user;
};

/* "file:line: key: " + text as the error; the first one stays. */
void reader_fail(struct reader *r, struct str pointer, const char *format, ...) PRINTF_LIKE(3, 4);
void reader_warn(struct reader *r, struct str pointer, const char *format, ...) PRINTF_LIKE(3, 4);

/* Pointer of a member or element, in the arena. */
struct str reader_at(struct reader *r, struct str pointer, const char *key);
struct str reader_item(struct reader *r, struct str pointer, size_t i);

/* A member of `table` by key; each returns false and leaves *out alone when it is absent. */
bool reader_bool(struct reader *r, value table, struct str at, const char *key, bool *out);
bool reader_uint(struct reader *r, value table, struct str at, const char *key, unsigned max,
                 unsigned *out);
bool reader_str(struct reader *r, value table, struct str at, const char *key, struct str *out);
bool reader_strs(struct reader *r, value table, struct str at, const char *key,
                 struct str_list *out);
bool reader_table(struct reader *r, value table, struct str at, const char *key, value *out);
bool reader_array(struct reader *r, value table, struct str at, const char *key, value *out);

/* Index of the string in a NULL-terminated list of accepted spellings, or -1 after reader_fail().
 */
int reader_choice(struct reader *r, struct str at, struct str text, const char *const *choices);

enum config_kind {
    CONFIG_ANY,     /* somebody else reads it */
    CONFIG_TEXT,    /* a string, or a number in its place */
    CONFIG_FLAG,    /* true or false, also as a string */
    CONFIG_SWITCH,  /* true or false and nothing else: a protection that must not be off by mistake
                     */
    CONFIG_MINUTES, /* an integer from 1 on, also as a string */
    CONFIG_COUNT,   /* an integer from 0 on, also as a string */
    CONFIG_TEXTS,   /* an array of strings */
    CONFIG_TABLE,   /* a table of anything */
};

struct config_key {
    const char *path; /* dotted; "[]" stands for any element, a last "*" for anything below */
    enum config_kind kind;
    const char *const *choices; /* of CONFIG_TEXT: the words that it may be, up to NULL; or NULL */
};

/*
 * Check what stands below `table`, which is at `at`, against `keys` (up to one
 * whose path is NULL; paths begin below `at`): warn about each key that they do
 * not have, fail where a value is of another kind or no table leads to it.
 * Unknown keys whose path begins with `strict` (may be NULL) fail, too.
 */
void reader_check_keys(struct reader *r, value table, struct str at, const struct config_key *keys,
                       const char *strict);

/* "admin.roles[0].id" for "/admin/roles/0/id". */
struct str reader_dotted(struct reader *r, struct str pointer);
