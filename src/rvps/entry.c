#include "rvps/rvps_internal.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/utf8.h"
#include "value/json.h"

enum status rvps_entries_add(struct rvps_entries *e, struct arena *a,
                             const struct reference_value *v, struct error *err)
{
    if (e->len == RVPS_ENTRIES_MAX) {
        error_set(err, "more than %d reference values", RVPS_ENTRIES_MAX);
        return ERR_LIMIT;
    }
    if (e->len == e->cap) {
        size_t cap = e->cap == 0 ? 16 : e->cap * 2;
        struct reference_value *items = arena_new_array(a, struct reference_value, cap);
        if (items == NULL)
            return error_nomem(err);
        if (e->len > 0)
            memcpy(items, e->items, e->len * sizeof(*items));
        e->items = items;
        e->cap = cap;
    }
    e->items[e->len++] = *v;
    return OK;
}

bool rvps_parse_expiration(struct str text, int64_t *out)
{
    int64_t ns;
    if (text.len != TIME_RFC3339_LEN || text.ptr[text.len - 1] != 'Z' ||
        time_parse_rfc3339(text, &ns, NULL) != OK)
        return false;
    *out = ns / NS_PER_S - (ns % NS_PER_S < 0);
    return true;
}

/* [{"alg", "value"}, ...] is the array of the "value" strings; nobody ever looked at "alg". */
static value hash_values(struct arena *a, value list)
{
    if (!value_is_array(list))
        return VALUE_UNDEFINED;
    struct value_builder b;
    value_builder_init(&b, a, value_len(list));
    for (size_t i = 0; i < value_len(list); i++) {
        value v = value_get_lit(value_at(list, i), "value");
        if (!value_is_string(v))
            return VALUE_UNDEFINED;
        value_builder_add(&b, v);
    }
    return value_array_finish(&b);
}

enum status rvps_entry_read(struct arena *a, struct str name, value v, struct reference_value *out,
                            struct error *err)
{
    if (!value_is_object(v)) {
        error_set(err, "it is no object");
        return ERR_INVALID;
    }

    struct reference_value e = {.name = name};
    value named = value_get_lit(v, "name");
    if (value_is_string(named) && name.len == 0)
        e.name = value_str(named);
    if (e.name.len == 0 || e.name.len > RVPS_NAME_MAX) {
        error_set(err, e.name.len == 0 ? "it has no name" : "its name is too long");
        return ERR_INVALID;
    }

    value expiration = value_get_lit(v, "expiration");
    if (!value_is_defined(expiration))
        expiration = value_get_lit(v, "expired"); /* E10's word for it */
    e.expires = value_str(expiration);
    if (!rvps_parse_expiration(e.expires, &e.expires_s)) {
        error_set(err, "its expiration is not of the form 2026-01-31T00:00:00Z");
        return ERR_INVALID;
    }

    e.val = value_get_lit(v, "value");
    if (!value_is_defined(e.val))
        e.val = hash_values(a, value_get_lit(v, "hash-value"));
    if (!value_is_defined(e.val)) {
        if (arena_status(a) != OK)
            return error_nomem(err);
        error_set(err, "it has neither value nor a hash-value list");
        return ERR_INVALID;
    }
    *out = e;
    return OK;
}

/* Limits and exhausted memory end the reading of a file; anything else only skips the entry. */
static bool is_fatal(enum status st)
{
    return st == ERR_NOMEM || st == ERR_LIMIT;
}

static enum status decode_member(struct arena *a, struct str text, value *out, struct error *err)
{
    struct str json;
    enum status st = base64_bytes(a, text, BASE64_URL_ANY, &json, err);
    if (st != OK)
        return st;
    return json_parse(a, json, NULL, out, err);
}

static enum status read_one(struct arena *a, struct str name, value v, struct rvps_entries *out,
                            struct error *err)
{
    if (name.len > 0 && value_is_string(v)) {
        enum status st = decode_member(a, value_str(v), &v, err);
        if (st != OK)
            return st;
    }
    struct reference_value e;
    enum status st = rvps_entry_read(a, name, v, &e, err);
    if (st != OK)
        return st;
    return rvps_entries_add(out, a, &e, err);
}

static void warn_skipped(rvps_warn warn, void *user, struct str name, size_t index,
                         const struct error *err)
{
    if (warn == NULL)
        return;
    struct error text = ERROR_INIT;
    if (name.len > 0)
        error_set(&text, "reference value \"%s\" is skipped: %s", QUOTED(name), err->text);
    else
        error_set(&text, "reference value number %zu is skipped: %s", index + 1, err->text);
    warn(user, text.text);
}

/* The container as a value: an array or an object. */
static enum status container_parse(struct arena *a, struct str text, value *out, struct error *err)
{
    if (str_trim(text).len == 0) {
        *out = VALUE_EMPTY_ARRAY(a);
        return value_is_defined(*out) ? OK : error_nomem(err);
    }
    enum status st =
        json_parse(a, text, &(struct json_options){.duplicates = JSON_DUP_LAST}, out, err);
    if (st != OK) {
        error_place(err);
        return st;
    }
    if (!value_is_array(*out) && !value_is_object(*out)) {
        error_set(err, "reference values are neither an array nor an object");
        return ERR_INVALID;
    }
    return OK;
}

enum status rvps_container_read(struct arena *a, struct str text, struct rvps_entries *out,
                                rvps_warn warn, void *user, struct error *err)
{
    value root;
    enum status st = container_parse(a, text, &root, err);
    if (st != OK)
        return st;

    for (size_t i = 0; i < value_len(root); i++) {
        struct error why = ERROR_INIT;
        struct str name = STR_EMPTY;
        value v;
        if (value_is_object(root)) {
            name = value_str(value_pairs(root)[i].key);
            v = value_pairs(root)[i].val;
            if (name.len == 0) {
                error_set(&why, "it has no name");
                warn_skipped(warn, user, name, i, &why);
                continue;
            }
        } else {
            v = value_items(root)[i];
        }
        st = read_one(a, name, v, out, &why);
        if (is_fatal(st)) {
            if (err != NULL)
                *err = why;
            return st;
        }
        if (st != OK)
            warn_skipped(warn, user, name.len > 0 ? name : value_str(value_get_lit(v, "name")), i,
                         &why);
    }
    return OK;
}

/* ---- writing ---- */

static bool is_string_array(value v)
{
    if (!value_is_array(v))
        return false;
    for (size_t i = 0; i < value_len(v); i++)
        if (!value_is_string(value_items(v)[i]))
            return false;
    return true;
}

static void entry_members(struct json_writer *w, const struct reference_value *v)
{
    json_key(w, "version");
    json_cstring(w, RVPS_VERSION);
    json_key(w, "name");
    json_string(w, v->name);
    json_key(w, "expiration");
    json_string(w, v->expires);
    json_key(w, "value");
    json_value(w, v->val);
}

enum status rvps_entry_write(const struct reference_value *v, struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    entry_members(&w, v);
    json_object_end(&w);
    return json_finish(&w);
}

/*
 * In an array both generations of readers must be served (S8): `value` for
 * v0.14 to v0.18, and `hash-value` for v0.11 to v0.13, which can only hold strings.
 */
static void array_entry(struct json_writer *w, const struct reference_value *v)
{
    json_object_begin(w);
    entry_members(w, v);
    if (is_string_array(v->val)) {
        json_key(w, "hash-value");
        json_array_begin(w);
        for (size_t i = 0; i < value_len(v->val); i++) {
            json_object_begin(w);
            json_key(w, "alg");
            json_cstring(w, "sha384");
            json_key(w, "value");
            json_value(w, value_items(v->val)[i]);
            json_object_end(w);
        }
        json_array_end(w);
    }
    json_object_end(w);
}

static const struct reference_value *find(const struct reference_value *set, size_t n,
                                          struct str name)
{
    for (size_t i = n; i > 0; i--)
        if (str_equal(set[i - 1].name, name))
            return &set[i - 1];
    return NULL;
}

static bool is_removed(const struct str *remove, struct str name)
{
    return remove != NULL && str_equal(*remove, name);
}

/* Later entries of one name win, so each new one is written once, at the end. */
static void write_array(struct json_writer *w, value root, const struct reference_value *set,
                        size_t n, const struct str *remove, bool *removed)
{
    json_array_begin(w);
    for (size_t i = 0; i < value_len(root); i++) {
        value old = value_items(root)[i];
        struct str name = value_str(value_get_lit(old, "name"));
        if (is_removed(remove, name))
            *removed = true;
        else if (find(set, n, name) == NULL)
            json_value(w, old);
    }
    for (size_t i = 0; i < n; i++)
        if (find(set, n, set[i].name) == &set[i])
            array_entry(w, &set[i]);
    json_array_end(w);
}

static void member(struct json_writer *w, const struct reference_value *v, bool as_object,
                   struct buf *scratch)
{
    json_key_str(w, v->name);
    buf_reset(scratch);
    if (rvps_entry_write(v, scratch) != OK) {
        w->failed = w->failed == OK ? buf_status(scratch) : w->failed;
        return;
    }
    if (as_object) {
        json_raw(w, buf_str(scratch));
        return;
    }
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, RVPS_FILE_MAX);
    base64_write(&text, buf_str(scratch), BASE64_URL_PAD);
    if (buf_status(&text) != OK)
        w->failed = w->failed == OK ? buf_status(&text) : w->failed;
    json_string(w, buf_str(&text));
}

/* Members are strings, as upstream reads them, unless all that are there already are objects. */
static void write_object(struct json_writer *w, value root, const struct reference_value *set,
                         size_t n, const struct str *remove, bool *removed)
{
    bool as_object = value_len(root) > 0;
    for (size_t i = 0; i < value_len(root); i++)
        as_object = as_object && value_is_object(value_pairs(root)[i].val);

    CLEANUP(buf_done) struct buf scratch;
    buf_init(&scratch, RVPS_FILE_MAX);
    json_object_begin(w);
    for (size_t i = 0; i < value_len(root); i++) {
        const struct value_pair *p = &value_pairs(root)[i];
        struct str name = value_str(p->key);
        if (is_removed(remove, name)) {
            *removed = true;
        } else if (find(set, n, name) == NULL) {
            json_key_str(w, name);
            json_value(w, p->val);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (find(set, n, set[i].name) == &set[i])
            member(w, &set[i], as_object, &scratch);
    json_object_end(w);
}

enum status rvps_container_change(struct arena *a, struct str text,
                                  const struct reference_value *set, size_t n,
                                  const struct str *remove, struct buf *out, struct error *err)
{
    value root;
    enum status st = container_parse(a, text, &root, err);
    if (st != OK)
        return st;

    bool removed = false;
    struct json_writer w;
    json_begin(&w, out);
    if (value_is_array(root))
        write_array(&w, root, set, n, remove, &removed);
    else
        write_object(&w, root, set, n, remove, &removed);
    st = json_finish(&w);
    if (st != OK) {
        error_set(err, "could not write the reference values: %s", status_name(st));
        return st;
    }
    if (remove != NULL && !removed) {
        error_set(err, "no reference value has the name \"%s\"", QUOTED(*remove));
        return ERR_NOT_FOUND;
    }
    return OK;
}
