#include "value/config_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

struct str reader_dotted(struct reader *r, struct str pointer)
{
    struct str out = arena_str(r->arena, pointer);
    if (out.ptr == NULL || out.len == 0)
        return STR("the file");
    char *w = (char *)(uintptr_t)out.ptr;
    for (size_t i = 0; i < out.len; i++)
        if (w[i] == '/')
            w[i] = '.';
    return str_from(out, 1);
}

/* Where it stands: "file:line:column", or "file" for what stands nowhere. */
static struct str place_of(struct reader *r, struct str pointer, struct error *at)
{
    const struct position *p = r->positions == NULL ? NULL : positions_find(r->positions, pointer);
    *at = (struct error)ERROR_INIT;
    if (p == NULL)
        return r->file;
    at->line = p->line;
    at->col = p->col;
    struct str place = arena_format(r->arena, "%.*s:%u:%u", STR_ARG(r->file), at->line, at->col);
    return place.ptr == NULL ? r->file : place;
}

/* "file:line:column: key: text" */
static void describe(struct reader *r, struct str pointer, const char *text, struct error *out,
                     struct error *at)
{
    struct str place = place_of(r, pointer, at);
    error_set(out, "%.*s: %.*s: %s", STR_ARG(place), STR_ARG(reader_dotted(r, pointer)), text);
}

void reader_fail(struct reader *r, struct str pointer, const char *format, ...)
{
    if (r->failed != OK)
        return;
    r->failed = ERR_INVALID;

    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    struct error line = ERROR_INIT;
    struct error at;
    describe(r, pointer, text, &line, &at);
    error_set_at(r->err, at.line, at.col, "%s", line.text);
}

void reader_warn(struct reader *r, struct str pointer, const char *format, ...)
{
    if (r->warn == NULL)
        return;
    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);

    struct error line = ERROR_INIT;
    struct error at;
    describe(r, pointer, text, &line, &at);
    r->warn(r->user, line.text);
}

struct str reader_at(struct reader *r, struct str pointer, const char *key)
{
    return arena_format(r->arena, "%.*s/%s", STR_ARG(pointer), key);
}

struct str reader_item(struct reader *r, struct str pointer, size_t i)
{
    return arena_format(r->arena, "%.*s/%zu", STR_ARG(pointer), i);
}

static const char *article(value v)
{
    switch (value_kind(v)) {
    case VALUE_KIND_NULL:
        return "null";
    case VALUE_KIND_BOOLEAN:
        return "a boolean";
    case VALUE_KIND_NUMBER:
        return "a number";
    case VALUE_KIND_STRING:
        return "a string";
    case VALUE_KIND_ARRAY:
        return "an array";
    default:
        return "a table";
    }
}

static bool wrong(struct reader *r, struct str at, const char *key, const char *expected, value got)
{
    reader_fail(r, reader_at(r, at, key), "expected %s, got %s", expected, article(got));
    return false;
}

bool reader_bool(struct reader *r, value table, struct str at, const char *key, bool *out)
{
    value v = value_get_str(table, str_of(key));
    if (!value_is_defined(v))
        return false;
    struct str s = value_str(v);
    if (value_kind(v) == VALUE_KIND_BOOLEAN)
        *out = value_is_true(v);
    else if (s.len == 4 && strncasecmp(s.ptr, "true", 4) == 0)
        *out = true;
    else if (s.len == 5 && strncasecmp(s.ptr, "false", 5) == 0)
        *out = false;
    else
        return wrong(r, at, key, "true or false", v);
    return true;
}

static bool digits(struct str s, int64_t *out)
{
    if (s.len == 0 || s.len > 18)
        return false;
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (s.ptr[i] - '0');
    }
    *out = n;
    return true;
}

bool reader_uint(struct reader *r, value table, struct str at, const char *key, unsigned max,
                 unsigned *out)
{
    value v = value_get_str(table, str_of(key));
    if (!value_is_defined(v))
        return false;
    int64_t n = 0;
    if (!value_get_int64(v, &n) && !(value_is_string(v) && digits(value_str(v), &n)))
        return wrong(r, at, key, "an integer", v);
    if (n < 0 || n > (int64_t)max) {
        reader_fail(r, reader_at(r, at, key), "expected an integer from 0 to %u, got %lld", max,
                    (long long)n);
        return false;
    }
    *out = (unsigned)n;
    return true;
}

static bool scalar_text(struct reader *r, value v, struct str *out)
{
    if (value_is_string(v)) {
        *out = value_str(v);
        return true;
    }
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return false;
    char scratch[VALUE_NUMBER_SCRATCH];
    *out = arena_str(r->arena, value_number_text(v, scratch));
    return true;
}

bool reader_str(struct reader *r, value table, struct str at, const char *key, struct str *out)
{
    value v = value_get_str(table, str_of(key));
    if (!value_is_defined(v))
        return false;
    struct str s;
    if (!scalar_text(r, v, &s))
        return wrong(r, at, key, "a string", v);
    /* Paths, URLs and names: a NUL inside would cut them short in C. */
    if (memchr(s.ptr, '\0', s.len) != NULL) {
        reader_fail(r, reader_at(r, at, key), "contains a NUL character");
        return false;
    }
    *out = arena_str(r->arena, s);
    return true;
}

bool reader_strs(struct reader *r, value table, struct str at, const char *key,
                 struct str_list *out)
{
    value v;
    if (!reader_array(r, table, at, key, &v))
        return false;
    size_t n = value_len(v);
    struct str *items = arena_new_array(r->arena, struct str, n + 1);
    if (items == NULL)
        return false;
    struct str list_at = reader_at(r, at, key);
    for (size_t i = 0; i < n; i++) {
        if (!scalar_text(r, value_at(v, i), &items[i])) {
            reader_fail(r, reader_item(r, list_at, i), "expected a string, got %s",
                        article(value_at(v, i)));
            return false;
        }
        items[i] = arena_str(r->arena, items[i]);
    }
    *out = (struct str_list){items, n};
    return true;
}

bool reader_table(struct reader *r, value table, struct str at, const char *key, value *out)
{
    value v = value_get_str(table, str_of(key));
    if (!value_is_defined(v))
        return false;
    if (!value_is_object(v))
        return wrong(r, at, key, "a table", v);
    *out = v;
    return true;
}

bool reader_array(struct reader *r, value table, struct str at, const char *key, value *out)
{
    value v = value_get_str(table, str_of(key));
    if (!value_is_defined(v))
        return false;
    if (!value_is_array(v))
        return wrong(r, at, key, "an array", v);
    *out = v;
    return true;
}

int reader_choice(struct reader *r, struct str at, struct str text, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (str_is(text, choices[i]))
            return i;

    char list[256] = "";
    size_t len = 0;
    for (int i = 0; choices[i] != NULL; i++) {
        int n =
            snprintf(list + len, sizeof(list) - len, "%s\"%s\"", i == 0 ? "" : ", ", choices[i]);
        if (n < 0 || (size_t)n >= sizeof(list) - len)
            break;
        len += (size_t)n;
    }
    reader_fail(r, at, "expected one of %s, got \"%s\"", list, QUOTED(text));
    return -1;
}

/* ---- a table of keys ---- */

enum match {
    MATCH_NONE,
    MATCH_TABLE, /* a table leads on to it */
    MATCH_LIST,  /* an array does */
    MATCH_WHOLE,
    MATCH_BELOW, /* of a "*" */
};

/* How a dotted path meets one of the table's. */
static enum match match_path(const char *pattern, const char *path)
{
    for (;;) {
        if (strcmp(pattern, "*") == 0)
            return MATCH_BELOW;
        size_t n = strcspn(pattern, ".");
        size_t m = strcspn(path, ".");
        bool any = n == 2 && memcmp(pattern, "[]", 2) == 0;
        if (!any && (n != m || memcmp(pattern, path, n) != 0))
            return MATCH_NONE;
        pattern += n;
        path += m;
        if (*path == '\0' && *pattern == '\0')
            return MATCH_WHOLE;
        if (*path == '\0')
            return strncmp(pattern, ".[]", 3) == 0 ? MATCH_LIST : MATCH_TABLE;
        if (*pattern == '\0')
            return MATCH_NONE;
        pattern++;
        path++;
    }
}

static size_t edit_distance(struct str a, struct str b)
{
    size_t row[64];
    if (a.len >= ARRAY_LEN(row) || b.len >= ARRAY_LEN(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t up = row[j];
            size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[b.len];
}

/* As much of a path as has `parts` parts. */
static struct str path_head(const char *path, size_t parts)
{
    size_t n = 0;
    while (path[n] != '\0' && (path[n] != '.' || --parts > 0))
        n++;
    return str_bytes(path, n);
}

/* The known key, or table on the way to one, that is spelt most like it; empty: none is near. */
static struct str nearest(const struct config_key *keys, struct str dotted)
{
    size_t best = 4; /* further away it is no typo */
    struct str found = STR_EMPTY;
    size_t parts = 1;
    for (size_t i = 0; i < dotted.len; i++)
        parts += dotted.ptr[i] == '.';
    for (; keys->path != NULL; keys++) {
        struct str head = path_head(keys->path, parts);
        size_t d = edit_distance(dotted, head);
        if (d < best && !str_has_suffix(head, STR("*"))) {
            best = d;
            found = head;
        }
    }
    return found;
}

static bool is_flag(value v, bool strictly)
{
    struct str s = value_str(v);
    return value_kind(v) == VALUE_KIND_BOOLEAN ||
           (!strictly && ((s.len == 4 && strncasecmp(s.ptr, "true", 4) == 0) ||
                          (s.len == 5 && strncasecmp(s.ptr, "false", 5) == 0)));
}

static bool is_count(value v, int64_t least)
{
    int64_t n;
    return (value_get_int64(v, &n) || (value_is_string(v) && digits(value_str(v), &n))) &&
           n >= least;
}

static void check_texts(struct reader *r, value v, struct str at)
{
    for (size_t i = 0; i < value_len(v); i++)
        if (!value_is_string(value_at(v, i)))
            reader_fail(r, reader_item(r, at, i), "expected a string, got %s",
                        article(value_at(v, i)));
}

static void check_kind(struct reader *r, value v, struct str at, const struct config_key *key)
{
    const char *expected = NULL;
    if (value_kind(v) == VALUE_KIND_NULL && key->kind != CONFIG_SWITCH)
        return; /* as if it were absent */
    switch (key->kind) {
    case CONFIG_ANY:
        break;
    case CONFIG_TEXT:
        if (value_is_string(v) && key->choices != NULL)
            reader_choice(r, at, value_str(v), key->choices);
        else if (!value_is_string(v) &&
                 (key->choices != NULL || value_kind(v) != VALUE_KIND_NUMBER))
            expected = "a string";
        break;
    case CONFIG_FLAG:
    case CONFIG_SWITCH:
        expected = is_flag(v, key->kind == CONFIG_SWITCH) ? NULL : "true or false";
        break;
    case CONFIG_MINUTES:
        expected = is_count(v, 1) ? NULL : "a number of minutes, at least 1";
        break;
    case CONFIG_COUNT:
        expected = is_count(v, 0) ? NULL : "an integer from 0 on";
        break;
    case CONFIG_TEXTS:
        if (value_is_array(v))
            check_texts(r, v, at);
        else
            expected = "an array of strings";
        break;
    case CONFIG_TABLE:
        expected = value_is_object(v) ? NULL : "a table";
        break;
    }
    if (expected != NULL && value_kind(v) == VALUE_KIND_NUMBER) {
        char scratch[VALUE_NUMBER_SCRATCH];
        reader_fail(r, at, "expected %s, got %s", expected, QUOTED(value_number_text(v, scratch)));
    } else if (expected != NULL) {
        reader_fail(r, at, "expected %s, got %s", expected, article(v));
    }
}

struct key_walk {
    struct reader *r;
    struct str at; /* of what the table of keys begins below */
    const struct config_key *keys;
    const char *strict;
};

static void check_table(const struct key_walk *w, value table, struct str pointer, unsigned depth);

static void unknown(const struct key_walk *w, struct str pointer, struct str dotted)
{
    struct str guess = nearest(w->keys, dotted);
    struct str above = w->at.len > 0 ? reader_dotted(w->r, w->at) : STR_EMPTY;
    struct str hint = STR_EMPTY;
    if (guess.len > 0)
        hint = arena_format(w->r->arena, "; did you mean %.*s%s%.*s", STR_ARG(above),
                            above.len > 0 ? "." : "", STR_ARG(guess));
    if (w->strict != NULL && str_has_prefix(dotted, str_of(w->strict)))
        reader_fail(w->r, pointer, "unknown key%.*s", STR_ARG(hint));
    else
        reader_warn(w->r, pointer, "unknown key, ignored%.*s", STR_ARG(hint));
}

static void check_member(const struct key_walk *w, value v, struct str pointer, unsigned depth)
{
    struct str dotted = reader_dotted(w->r, str_from(pointer, w->at.len));
    const struct config_key *way = NULL;
    bool list = false;
    for (const struct config_key *key = w->keys; key->path != NULL; key++) {
        enum match match = match_path(key->path, dotted.ptr);
        switch (match) {
        case MATCH_WHOLE:
            check_kind(w->r, v, pointer, key);
            return;
        case MATCH_BELOW:
            return;
        case MATCH_TABLE:
        case MATCH_LIST:
            way = key;
            list = match == MATCH_LIST;
            break;
        case MATCH_NONE:
            break;
        }
    }
    /* A table on the way to a known key is known, and null is no table as absence is none. */
    if (way == NULL)
        unknown(w, pointer, dotted);
    else if (list ? value_is_array(v) : value_is_object(v))
        check_table(w, v, pointer, depth + 1);
    else if (value_kind(v) != VALUE_KIND_NULL && way->kind != CONFIG_ANY)
        reader_fail(w->r, pointer, "expected %s, got %s", list ? "an array of tables" : "a table",
                    article(v));
}

static void check_table(const struct key_walk *w, value table, struct str pointer, unsigned depth)
{
    struct reader *r = w->r;
    if (depth > 16)
        return;
    for (size_t i = 0; value_is_array(table) && i < value_len(table); i++)
        check_member(w, value_at(table, i), reader_item(r, pointer, i), depth);
    for (size_t i = 0; value_is_object(table) && i < value_len(table); i++) {
        const struct value_pair *p = &value_pairs(table)[i];
        struct str at =
            arena_format(r->arena, "%.*s/%.*s", STR_ARG(pointer), STR_ARG(value_str(p->key)));
        if (at.ptr == NULL)
            return; /* the arena remembers */
        check_member(w, p->val, at, depth);
    }
}

void reader_check_keys(struct reader *r, value table, struct str at, const struct config_key *keys,
                       const char *strict)
{
    struct key_walk w = {r, at, keys, strict};
    check_table(&w, table, at, 0);
}
