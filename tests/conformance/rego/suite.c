#include "suite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/file.h"
#include "tap.h"
#include "value/number.h"

/* ---- YAML ---- */

static bool next(yaml_parser_t *y, yaml_event_t *ev)
{
    return yaml_parser_parse(y, ev) != 0;
}

static value scalar(struct arena *a, const yaml_event_t *ev)
{
    struct str s = str_bytes(ev->data.scalar.value, ev->data.scalar.length);
    if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (s.len == 0 || str_is(s, "null") || str_is(s, "~"))
            return VALUE_NULL;
        if (str_is(s, "true") || str_is(s, "True") || str_is(s, "false") || str_is(s, "False"))
            return value_bool(s.ptr[0] == 't' || s.ptr[0] == 'T');
        if (number_is_valid(s))
            return value_number(a, s);
    }
    return value_string(a, s);
}

static bool node(struct arena *a, yaml_parser_t *y, const yaml_event_t *ev, value *out,
                 unsigned depth);

static bool sequence(struct arena *a, yaml_parser_t *y, value *out, unsigned depth)
{
    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (;;) {
        yaml_event_t ev;
        if (!next(y, &ev))
            return false;
        bool end = ev.type == YAML_SEQUENCE_END_EVENT;
        value v = VALUE_UNDEFINED;
        bool ok = end || node(a, y, &ev, &v, depth + 1);
        yaml_event_delete(&ev);
        if (!ok)
            return false;
        if (end)
            break;
        value_builder_add(&b, v);
    }
    *out = value_array_finish(&b);
    return true;
}

static bool mapping(struct arena *a, yaml_parser_t *y, value *out, unsigned depth)
{
    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (;;) {
        yaml_event_t ev;
        if (!next(y, &ev))
            return false;
        bool end = ev.type == YAML_MAPPING_END_EVENT;
        value key = VALUE_UNDEFINED;
        if (ev.type == YAML_SCALAR_EVENT)
            key = value_string(a, str_bytes(ev.data.scalar.value, ev.data.scalar.length));
        yaml_event_delete(&ev);
        if (end)
            break;
        if (!value_is_defined(key) || !next(y, &ev))
            return false;
        value v = VALUE_UNDEFINED;
        bool ok = node(a, y, &ev, &v, depth + 1);
        yaml_event_delete(&ev);
        if (!ok)
            return false;
        value_builder_put(&b, key, v);
    }
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return true;
}

static bool node(struct arena *a, yaml_parser_t *y, const yaml_event_t *ev, value *out,
                 unsigned depth)
{
    if (depth > 200)
        return false;
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        *out = scalar(a, ev);
        return true;
    case YAML_SEQUENCE_START_EVENT:
        return sequence(a, y, out, depth);
    case YAML_MAPPING_START_EVENT:
        return mapping(a, y, out, depth);
    default:
        return false;
    }
}

STATUS suite_load(struct arena *a, const char *path, value *out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 16 << 20);
    enum status st = file_read(path, &text, err);
    if (st != OK)
        return st;
    yaml_parser_t y;
    if (!yaml_parser_initialize(&y))
        return error_nomem(err);
    yaml_parser_set_input_string(&y, (const unsigned char *)text.ptr, text.len);
    bool ok = false;
    *out = VALUE_NULL;
    for (;;) {
        yaml_event_t ev;
        if (!next(&y, &ev)) {
            error_set_at(err, (uint32_t)y.problem_mark.line + 1,
                         (uint32_t)y.problem_mark.column + 1, "%s", y.problem);
            ok = false;
            break;
        }
        yaml_event_type_t type = ev.type;
        bool content = type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                       type == YAML_MAPPING_START_EVENT;
        if (content)
            ok = node(a, &y, &ev, out, 0);
        else if (type == YAML_DOCUMENT_START_EVENT)
            ok = true;
        yaml_event_delete(&ev);
        if (type == YAML_STREAM_END_EVENT || type == YAML_DOCUMENT_END_EVENT || (content && !ok))
            break;
    }
    yaml_parser_delete(&y);
    if (!ok && err != NULL && err->text[0] == '\0')
        error_set(err, "not the YAML of a case file");
    return ok ? OK : ERR_INVALID;
}

/* ---- folders ---- */

static int by_name(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static void walk(const char *dir, const char *relative,
                 void (*each)(void *, const char *, const char *), void *user)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    char *names[4096];
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL && n < ARRAY_LEN(names);)
        if (e->d_name[0] != '.')
            names[n++] = strdup(e->d_name);
    closedir(d);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        char path[1024];
        char below[512];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        snprintf(below, sizeof(below), "%s%s%s", relative, relative[0] == '\0' ? "" : "/",
                 names[i]);
        size_t len = strlen(names[i]);
        if (len > 5 && strcmp(names[i] + len - 5, ".yaml") == 0)
            each(user, path, below);
        else if (strchr(names[i], '.') == NULL || len > 20 || names[i][0] == 'r')
            walk(path, below, each, user);
        free(names[i]);
    }
}

void suite_walk(const char *dir, void (*each)(void *user, const char *path, const char *relative),
                void *user)
{
    walk(dir, "", each, user);
}

/* ---- pending ---- */

void pending_load(struct pending *p, const char *file)
{
    buf_init(&p->storage, 4 << 20);
    status_ignore(file_read(file, &p->storage, NULL));
    p->text = buf_str(&p->storage);
}

void pending_done(struct pending *p)
{
    buf_done(&p->storage);
}

bool pending_has(const struct pending *p, const char *relative, size_t index)
{
    char name[600];
    int n = snprintf(name, sizeof(name), "%s#%zu ", relative, index);
    for (size_t at = 0; at < p->text.len;) {
        size_t end = str_find(p->text, '\n', at);
        if (str_has_prefix(str_slice(p->text, at, end - at), str_bytes(name, (size_t)n)))
            return true;
        at = end + 1;
    }
    return false;
}

/* The name on a "built-in" line, or empty. */
static struct str listed_function(struct str line)
{
    if (!str_has_prefix(line, STR("built-in ")))
        return STR_EMPTY;
    struct str name = str_from(line, 9);
    return str_slice(name, 0, str_find(name, ' ', 0));
}

bool pending_names(const struct pending *p, struct str text)
{
    for (size_t at = 0; at < p->text.len;) {
        size_t end = str_find(p->text, '\n', at);
        struct str name = listed_function(str_slice(p->text, at, end - at));
        if (name.len > 0 && memmem(text.ptr, text.len, name.ptr, name.len) != NULL)
            return true;
        at = end + 1;
    }
    return false;
}

bool pending_line(const struct pending *p, struct str text)
{
    for (size_t at = 0; at < p->text.len;) {
        size_t end = str_find(p->text, '\n', at);
        struct str line = str_slice(p->text, at, end - at);
        at = end + 1;
        if (line.len > 0 && line.ptr[0] != '#' && str_has_prefix(text, line))
            return true;
    }
    return false;
}

void pending_check(const struct pending *p, bool (*is_there)(struct str name))
{
    for (size_t at = 0; at < p->text.len;) {
        size_t end = str_find(p->text, '\n', at);
        struct str name = listed_function(str_slice(p->text, at, end - at));
        char row[128];
        snprintf(row, sizeof(row), "%.*s is still missing", STR_ARG(name));
        if (name.len > 0 && name.ptr[name.len - 1] != '.')
            CHECK_ROW(!is_there(name), row);
        at = end + 1;
    }
}

/* ---- results ---- */

static void end_folder(struct tally *t)
{
    if (t->folder[0] == '\0')
        return;
    char row[256];
    snprintf(row, sizeof(row), "%s: %zu passed, %zu pending, %zu failed, %zu do not apply",
             t->folder, t->passed, t->pending, t->failed, t->skipped);
    CHECK_ROW(t->failed == 0, row);
    t->all_passed += t->passed;
    t->all_pending += t->pending;
    t->all_failed += t->failed;
    t->all_skipped += t->skipped;
    t->passed = t->pending = t->failed = t->skipped = 0;
}

void tally_folder(struct tally *t, const char *relative)
{
    char folder[128];
    snprintf(folder, sizeof(folder), "%s", relative);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    if (strcmp(folder, t->folder) == 0)
        return;
    end_folder(t);
    memcpy(t->folder, folder, sizeof(folder));
}

void tally_case(struct tally *t, const struct pending *p, const char *relative, size_t index,
                bool ok, struct str text, const char *why)
{
    bool pending = pending_has(p, relative, index);
    if (ok && pending) {
        printf("# %s#%zu passes now: take it off the list\n", relative, index);
        t->failed++;
    } else if (ok) {
        t->passed++;
    } else if (pending || pending_names(p, text)) {
        t->pending++;
    } else {
        printf("# FAILED %s#%zu %s\n", relative, index, why);
        t->failed++;
    }
}

void tally_skip(struct tally *t, const char *relative)
{
    (void)relative;
    t->skipped++;
}

void tally_done(struct tally *t)
{
    end_folder(t);
    printf("# all: %zu passed, %zu pending, %zu failed, %zu do not apply\n", t->all_passed,
           t->all_pending, t->all_failed, t->all_skipped);
}
