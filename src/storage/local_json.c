/*
 * One JSON object a namespace, key -> base64url with padding (kbs.md 10.3).
 * Read at each operation, rewritten whole and atomically at each change.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "storage/storage_internal.h"
#include "value/json.h"

#define FILE_MAX (64 * 1024 * 1024)

struct local_json {
    struct storage base;
    char path[];
};

/* The object of the file; an absent or empty file is an empty object. */
static enum status load(struct local_json *j, struct arena *a, value *out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init_secret(&text, FILE_MAX);
    enum status st = file_read(j->path, &text, err);
    if (st != OK && st != ERR_NOT_FOUND)
        return st;
    if (st == ERR_NOT_FOUND || str_trim(buf_str(&text)).len == 0) {
        *out = VALUE_EMPTY_OBJECT(a);
        return arena_status(a);
    }
    st = json_parse(a, buf_str(&text), NULL, out, err);
    error_place(err);
    if (st == OK && !value_is_object(*out)) {
        error_set(err, "not a JSON object");
        st = ERR_INVALID;
    }
    if (st != OK)
        error_prefix(err, "malformed value: \"%s\": ", j->path);
    return st;
}

static enum status save(struct local_json *j, value object, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init_secret(&text, FILE_MAX);
    enum status st = json_write(&text, object, JSON_COMPACT);
    if (st != OK) {
        error_set(err, "\"%s\" would be larger than %d bytes", j->path, FILE_MAX);
        return st;
    }
    return file_write(j->path, buf_str(&text), 0600, err);
}

static enum status json_set(struct storage *s, struct str key, struct str bytes, bool overwrite,
                            struct error *err)
{
    struct local_json *j = (struct local_json *)s;
    CLEANUP(arena_done) struct arena a;
    arena_init_secret(&a, 4 * (size_t)FILE_MAX);
    value object;
    enum status st = load(j, &a, &object, err);
    if (st != OK)
        return st;
    if (!overwrite && value_is_defined(value_get_str(object, key)))
        return ERR_EXISTS;

    struct str text = base64_text(&a, bytes, BASE64_URL_PAD);
    object = value_object_with(&a, object, value_string(&a, key), value_string(&a, text));
    if (arena_status(&a) != OK)
        return error_nomem(err);
    return save(j, object, err);
}

static enum status json_get(struct storage *s, struct str key, struct buf *out, struct error *err)
{
    struct local_json *j = (struct local_json *)s;
    CLEANUP(arena_done) struct arena a;
    arena_init_secret(&a, 4 * (size_t)FILE_MAX);
    value object;
    enum status st = load(j, &a, &object, err);
    if (st != OK)
        return st;

    value v = value_get_str(object, key);
    if (!value_is_defined(v)) {
        error_set(err, "not found");
        return ERR_NOT_FOUND;
    }
    if (!value_is_string(v)) {
        error_set(err, "malformed value: not a string");
        return ERR_INVALID;
    }
    st = base64_read(value_str(v), BASE64_URL_PAD, out, err);
    if (st != OK)
        error_prefix(err, "malformed value: ");
    return st;
}

static enum status json_remove(struct storage *s, struct str key, bool *existed, struct error *err)
{
    struct local_json *j = (struct local_json *)s;
    CLEANUP(arena_done) struct arena a;
    arena_init_secret(&a, 4 * (size_t)FILE_MAX);
    value object;
    enum status st = load(j, &a, &object, err);
    if (st != OK)
        return st;
    *existed = value_is_defined(value_get_str(object, key));
    if (!*existed)
        return OK;
    object = value_object_with(&a, object, value_string(&a, key), VALUE_UNDEFINED);
    if (arena_status(&a) != OK)
        return error_nomem(err);
    return save(j, object, err);
}

static enum status json_list(struct storage *s, struct arena *a, struct str *keys, size_t cap,
                             size_t *count, struct error *err)
{
    struct local_json *j = (struct local_json *)s;
    CLEANUP(arena_done) struct arena mine;
    arena_init_secret(&mine, 4 * (size_t)FILE_MAX);
    value object;
    enum status st = load(j, &mine, &object, err);
    for (size_t i = 0; st == OK && i < value_len(object); i++)
        st = storage_list_add(a, keys, cap, count, value_str(value_pairs(object)[i].key), err);
    return st;
}

static uint64_t json_version(struct storage *s)
{
    return file_version(((struct local_json *)s)->path);
}

static void json_done(struct storage *s)
{
    (void)s;
}

static void json_confine(const struct storage *s, struct confine *c)
{
    confine_add_file(c, ((const struct local_json *)s)->path, CONFINE_READ | CONFINE_WRITE);
}

static const struct storage_ops json_ops = {
    json_set, json_get, json_remove, json_list, json_version, json_done, false, json_confine,
};

enum status storage_open_local_json(const char *dir, struct str ns, enum storage_how how,
                                    struct storage **out, struct error *err)
{
    if (!storage_namespace_is_valid(ns)) {
        error_set(err, "invalid storage namespace: %s", QUOTED(ns));
        return ERR_INVALID;
    }
    size_t size = strlen(dir) + ns.len + 2;
    struct local_json *j = calloc(1, sizeof(*j) + size);
    if (j == NULL)
        return error_nomem(err);
    snprintf(j->path, size, "%s/%.*s", dir, STR_ARG(ns));
    storage_base_init(&j->base, &json_ops);
    if (how == STORAGE_LOOK) {
        enum status st = storage_note_missing(&j->base, dir, err);
        *out = st == OK ? &j->base : storage_unref(&j->base);
        return st;
    }
    status_ignore(file_make_dirs(dir, NULL)); /* as for files: mattering only when we write */
    file_remove_leftovers(dir);
    *out = &j->base;
    return OK;
}
