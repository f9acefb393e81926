/*
 * What the command line names, as modules and one base document.
 *
 * Files are told apart by their ends, as OPA does: .rego is policy, .json,
 * .yaml and .yml are data.  A file that is named itself lies at the root of
 * data; one that was found in a folder lies at the path of its folder.  In a
 * bundle only data.json, data.yaml and data.yml count, and `.manifest` says
 * which roots they and the packages may lie under.
 */
#include "regotool/regotool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fnmatch.h>

#include "base/file.h"
#include "value/document.h"
#include "value/json.h"

#define PATH_DEPTH_MAX 64

struct place {
    struct str parts[PATH_DEPTH_MAX];
    size_t len;
};

void tool_files_init(struct tool_files *f)
{
    *f = (struct tool_files){0};
    arena_init(&f->arena, TOOL_LOAD_MEMORY);
    f->data = VALUE_EMPTY_OBJECT(&f->arena);
}

void tool_files_done(struct tool_files *f)
{
    arena_done(&f->arena);
    free(f->modules);
    *f = (struct tool_files){0};
}

STATUS tool_read(const char *path, struct buf *out, struct error *err)
{
    return file_read(path, out, err);
}

STATUS tool_read_stdin(struct buf *out, struct error *err)
{
    for (;;) {
        if (!buf_reserve(out, 65536))
            break;
        ssize_t n = read(STDIN_FILENO, out->ptr + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "could not read standard input");
        if (n == 0)
            return OK;
        out->len += (size_t)n;
    }
    error_set(err, "standard input is too large");
    return ERR_LIMIT;
}

static STATUS parse_json(struct arena *a, struct str text, value *out, struct error *err)
{
    struct json_options options = {.duplicates = JSON_DUP_LAST, .depth_max = VALUE_DEPTH_MAX - 64};
    return json_parse(a, text, &options, out, err);
}

STATUS tool_parse_document(struct arena *a, struct str text, value *out, struct error *err)
{
    struct error json = ERROR_INIT;
    struct error yaml = ERROR_INIT;
    enum status st = parse_json(a, text, out, &json);
    if (st != ERR_INVALID || yaml_parse(a, text, out, NULL, &yaml) == OK)
        return st == ERR_INVALID ? OK : st;
    /* What is wrong with it as what it looks like. */
    struct str begin = str_trim(text);
    bool is_json = begin.len > 0 && (begin.ptr[0] == '{' || begin.ptr[0] == '[');
    if (err != NULL)
        *err = is_json ? json : yaml;
    return st;
}

/* ---- one tree of data ---- */

static bool merge(struct arena *a, value base, value more, value *out, struct buf *at)
{
    if (!value_is_object(base) || !value_is_object(more))
        return false;
    if (value_len(base) == 0 || value_len(more) == 0) {
        *out = value_len(base) == 0 ? more : base;
        return true;
    }
    struct value_builder b;
    value_builder_init(&b, a, value_len(base) + value_len(more));
    for (size_t i = 0; i < value_len(base); i++)
        value_builder_put(&b, value_pairs(base)[i].key, value_pairs(base)[i].val);
    for (size_t i = 0; i < value_len(more); i++) {
        struct value_pair p = value_pairs(more)[i];
        value have = value_get(base, p.key);
        size_t before = at->len;
        buf_add_format(at, "%s%.*s", before > 0 ? "." : "", STR_ARG(value_str(p.key)));
        if (value_is_defined(have) && !merge(a, have, p.val, &p.val, at))
            return false;
        at->len = before;
        value_builder_put(&b, p.key, p.val);
    }
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out);
}

/* Which of the earlier files has the place that `v` wants: the first that does not go with it. */
static STATUS conflict(const struct tool_files *f, value v, const char *path, struct str at,
                       struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, TOOL_LOAD_MEMORY);
    CLEANUP(buf_done) struct buf ignored;
    buf_init(&ignored, 4096);
    for (size_t i = 0; i < f->file_count; i++) {
        value out = VALUE_UNDEFINED;
        if (value_is_defined(f->files[i].doc) && !merge(&a, f->files[i].doc, v, &out, &ignored)) {
            error_set(err, "%s: merge error: conflicting values at data.%s, also defined in %s",
                      QUOTED(str_of(path)), QUOTED(at), QUOTED(f->files[i].path));
            return ERR_INVALID;
        }
    }
    error_set(err, "%s: merge error: conflicting values at data.%s", QUOTED(str_of(path)),
              QUOTED(at));
    return ERR_INVALID;
}

static STATUS add_data(struct tool_files *f, const struct place *place, value v, const char *path,
                       struct error *err)
{
    if (place->len == 0 && !value_is_object(v)) {
        error_set(err, "%s: document must be of type object", QUOTED(str_of(path)));
        return ERR_INVALID;
    }
    for (size_t i = place->len; i > 0; i--) {
        struct value_pair pair = {value_string(&f->arena, place->parts[i - 1]), v};
        v = value_object(&f->arena, &pair, 1);
    }
    CLEANUP(buf_done) struct buf at;
    buf_init(&at, 4096);
    value merged = VALUE_UNDEFINED;
    if (!merge(&f->arena, f->data, v, &merged, &at)) {
        if (arena_status(&f->arena) != OK)
            return error_nomem(err);
        return conflict(f, v, path, buf_str(&at), err);
    }
    f->data = merged;
    f->files[f->file_count - 1].doc = v;
    return OK;
}

bool tool_reserve_module(struct tool_files *f)
{
    if (f->module_count < f->module_cap)
        return true;
    size_t cap = f->module_cap == 0 ? 16 : f->module_cap * 2;
    struct tool_module *more = realloc(f->modules, cap * sizeof(*more));
    if (more == NULL)
        return false;
    f->modules = more;
    f->module_cap = cap;
    return true;
}

static STATUS add_module(struct tool_files *f, const char *path, struct str text, struct error *err)
{
    if (!tool_reserve_module(f))
        return error_nomem(err);
    struct tool_module m = {
        .file = arena_str(&f->arena, str_of(path)),
        .text = arena_str(&f->arena, text),
        .roots = VALUE_UNDEFINED,
    };
    if (m.file.ptr == NULL || m.text.ptr == NULL)
        return error_nomem(err);
    f->modules[f->module_count++] = m;
    return OK;
}

/* ---- files ---- */

static bool has_end(const char *path, const char *end)
{
    return str_has_suffix(str_of(path), str_of(end));
}

static bool is_data_file(const char *path)
{
    return has_end(path, ".json") || has_end(path, ".yaml") || has_end(path, ".yml");
}

/* Without "./" and doubled slashes. */
static void add_clean_path(struct buf *out, struct str path)
{
    size_t start = out->len;
    for (size_t i = 0; i < path.len; i++) {
        bool first = out->len == start || out->ptr[out->len - 1] == '/';
        if (first && path.ptr[i] == '/' && out->len > start)
            continue;
        if (first && path.ptr[i] == '.' && i + 1 < path.len && path.ptr[i + 1] == '/') {
            while (i + 1 < path.len && path.ptr[i + 1] == '/')
                i++;
            continue;
        }
        buf_add_byte(out, (uint8_t)path.ptr[i]);
    }
}

/* A file that is named again, or lies in a folder that is named as well, counts once. */
static STATUS note_file(struct tool_files *f, const struct place *place, const char *path,
                        bool *again, struct error *err)
{
    CLEANUP(buf_done) struct buf key;
    buf_init(&key, 65536);
    for (size_t i = 0; i < place->len; i++)
        buf_add_format(&key, "%.*s\n", STR_ARG(place->parts[i]));
    add_clean_path(&key, str_of(path));
    for (size_t i = 0; i < f->file_count; i++)
        if (str_equal(f->files[i].key, buf_str(&key))) {
            *again = true;
            return OK;
        }
    if (f->file_count == f->file_cap) {
        size_t cap = f->file_cap == 0 ? 16 : f->file_cap * 2;
        struct tool_file *more = arena_new_array(&f->arena, struct tool_file, cap);
        if (more == NULL)
            return error_nomem(err);
        if (f->file_count > 0)
            memcpy(more, f->files, f->file_count * sizeof(*more));
        f->files = more;
        f->file_cap = cap;
    }
    struct tool_file file = {.key = arena_str(&f->arena, buf_str(&key)),
                             .path = arena_str(&f->arena, str_of(path)),
                             .doc = VALUE_UNDEFINED};
    if (buf_status(&key) != OK || file.key.ptr == NULL || file.path.ptr == NULL)
        return error_nomem(err);
    f->files[f->file_count++] = file;
    return OK;
}

static STATUS load_file(struct tool_files *f, const struct place *place, const char *path,
                        struct error *err)
{
    bool again = false;
    enum status noted = note_file(f, place, path, &again, err);
    if (noted != OK || again)
        return noted;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    enum status st = tool_read(path, &b, err);
    if (st != OK)
        return st;
    if (has_end(path, ".rego"))
        return add_module(f, path, buf_str(&b), err);
    value v = VALUE_UNDEFINED;
    st = has_end(path, ".json") ? parse_json(&f->arena, buf_str(&b), &v, err)
                                : yaml_parse(&f->arena, buf_str(&b), &v, NULL, err);
    if (st != OK) {
        error_prefix(err, "%s: ", QUOTED(str_of(path)));
        return st;
    }
    return add_data(f, place, v, path, err);
}

static int not_above(const struct dirent *d)
{
    /* Kubernetes mounts keep what the links point to in "..data" and "..2026_11_25". */
    return strncmp(d->d_name, "..", 2) != 0 && strcmp(d->d_name, ".") != 0;
}

static bool is_ignored(const struct tool_options *o, const char *name)
{
    for (size_t i = 0; i < o->ignore.len; i++) {
        struct str list = str_of(o->ignore.items[i]);
        for (size_t at = 0; at <= list.len;) { /* --ignore '.*,*_test.rego' */
            size_t end = str_find(list, ',', at);
            char pattern[256];
            int n =
                snprintf(pattern, sizeof(pattern), "%.*s", STR_ARG(str_slice(list, at, end - at)));
            if (n > 0 && (size_t)n < sizeof(pattern) && fnmatch(pattern, name, 0) == 0)
                return true;
            at = end + 1;
        }
    }
    return false;
}

struct walk {
    struct tool_files *f;
    const struct tool_options *o;
    bool bundle;
};

static STATUS load_dir(struct walk *w, struct place *place, const char *path, struct error *err);

static STATUS load_entry(struct walk *w, struct place *place, const char *dir, const char *name,
                         struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    buf_add_format(&b, "%s%s%s", dir, has_end(dir, "/") ? "" : "/", name);
    buf_add_byte(&b, '\0');
    struct stat sb;
    if (buf_status(&b) != OK || stat(b.ptr, &sb) != 0)
        return error_errno(err, errno, "%s", QUOTED(buf_str(&b)));
    if (is_ignored(w->o, name))
        return OK;
    if (S_ISDIR(sb.st_mode)) {
        if (place->len == PATH_DEPTH_MAX) {
            error_set(err, "%s: folders nest too deep", QUOTED(str_of(dir)));
            return ERR_LIMIT;
        }
        place->parts[place->len++] = str_of(name);
        enum status st = load_dir(w, place, b.ptr, err);
        place->len--;
        return st;
    }
    bool data = w->bundle ? strcmp(name, "data.json") == 0 || strcmp(name, "data.yaml") == 0 ||
                                strcmp(name, "data.yml") == 0
                          : is_data_file(name);
    if (!has_end(name, ".rego") && (!data || w->o->policies_only))
        return OK;
    return load_file(w->f, place, b.ptr, err);
}

static STATUS load_dir(struct walk *w, struct place *place, const char *path, struct error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, not_above, alphasort);
    if (n < 0)
        return error_errno(err, errno, "%s", QUOTED(str_of(path)));
    enum status st = OK;
    for (int i = 0; i < n; i++) {
        if (st == OK)
            st = load_entry(w, place, path, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return st;
}

/* ---- bundles ---- */

/* "a/b" owns "a/b" and what is below it; "" owns everything. */
static bool owns(struct str root, struct str path)
{
    while (root.len > 0 && root.ptr[root.len - 1] == '/')
        root.len--;
    if (root.len > 0 && root.ptr[0] == '/')
        root = str_from(root, 1);
    return root.len == 0 ||
           (str_has_prefix(path, root) && (path.len == root.len || path.ptr[root.len] == '/'));
}

static bool any_owns(value roots, struct str path)
{
    for (size_t i = 0; i < value_len(roots); i++)
        if (owns(value_str(value_at(roots, i)), path))
            return true;
    return false;
}

/* A root may lie below `path`: then only parts of it are the bundle's. */
static bool leads_to_root(value roots, struct str path)
{
    for (size_t i = 0; i < value_len(roots); i++)
        if (owns(path, value_str(value_at(roots, i))))
            return true;
    return false;
}

static STATUS check_data_roots(value roots, value v, struct buf *at, struct error *err)
{
    if (any_owns(roots, buf_str(at)))
        return OK;
    if (!value_is_object(v) || !leads_to_root(roots, buf_str(at))) {
        error_set(err, "manifest roots do not permit data at path '/%s'", QUOTED(buf_str(at)));
        return ERR_INVALID;
    }
    for (size_t i = 0; i < value_len(v); i++) {
        size_t before = at->len;
        buf_add_format(at, "%s%.*s", before > 0 ? "/" : "",
                       STR_ARG(value_str(value_pairs(v)[i].key)));
        enum status st = check_data_roots(roots, value_pairs(v)[i].val, at, err);
        at->len = before;
        if (st != OK)
            return st;
    }
    return OK;
}

/* "data.a.b[\"c\"]" of a policy's package as "a/b/c". */
static void package_path(struct str package, struct buf *out)
{
    for (size_t i = 4; i < package.len; i++) {
        char c = package.ptr[i];
        if (c == '.' || (c == '[' && i + 1 < package.len)) {
            if (out->len > 0)
                buf_add_byte(out, '/');
        } else if (c != '"' && c != ']') {
            buf_add_byte(out, c);
        }
    }
}

STATUS tool_check_roots(const struct tool_module *m, struct str package, struct error *err)
{
    if (!value_is_array(m->roots))
        return OK;
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 65536);
    package_path(package, &path);
    if (any_owns(m->roots, buf_str(&path)))
        return OK;
    error_set(err, "manifest roots do not permit package '%s' in module '%s'",
              QUOTED(buf_str(&path)), QUOTED(m->file));
    return ERR_INVALID;
}

static STATUS read_roots(struct tool_files *f, const char *dir, value *out, struct error *err)
{
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 4096);
    buf_add_format(&path, "%s/.manifest", dir);
    buf_add_byte(&path, '\0');
    enum status st = buf_status(&path);
    if (st != OK)
        return st;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, TOOL_FILE_MAX);
    st = tool_read(path.ptr, &text, err);
    if (st == ERR_NOT_FOUND)
        return OK;
    value manifest = VALUE_UNDEFINED;
    if (st == OK)
        st = parse_json(&f->arena, buf_str(&text), &manifest, err);
    if (st != OK) {
        error_prefix(err, "bundle %s: .manifest: ", QUOTED(str_of(dir)));
        return st;
    }
    *out = value_get_lit(manifest, "roots");
    return OK;
}

static size_t root_count(const struct tool_bundle *b)
{
    return value_is_array(b->roots) ? value_len(b->roots) : 1;
}

static struct str root_at(const struct tool_bundle *b, size_t i)
{
    return value_is_array(b->roots) ? value_str(value_at(b->roots, i)) : STR_EMPTY;
}

static bool has_empty_root(const struct tool_bundle *b)
{
    bool any = false;
    for (size_t i = 0; i < root_count(b); i++)
        any |= root_at(b, i).len == 0;
    return any;
}

static STATUS overlap(const struct tool_options *o, const struct tool_bundle *a,
                      const struct tool_bundle *b, struct str x, struct str y, struct error *err)
{
    const char *when = strcmp(o->command, "test") == 0 || strcmp(o->command, "check") == 0
                           ? ""
                           : "bundle activation failed: ";
    bool first = has_empty_root(a);
    bool second = has_empty_root(b);
    if (first || second)
        error_set(err,
                  "%sbundles [%s, %s] have overlapping roots and cannot be activated "
                  "simultaneously because bundle(s) [%s%s%s] specify empty root paths ('') which "
                  "overlap with any other bundle root",
                  when, QUOTED(a->path), QUOTED(b->path), first ? QUOTED(a->path) : "",
                  first && second ? ", " : "", second ? QUOTED(b->path) : "");
    else
        error_set(err,
                  "%sdetected overlapping roots in manifests for these bundles: [%s, %s] (%s "
                  "overlaps %s)",
                  when, QUOTED(a->path), QUOTED(b->path), QUOTED(x), QUOTED(y));
    return ERR_INVALID;
}

/* Nothing of data may be of two bundles: neither would have the last word on it. */
static STATUS note_bundle(struct tool_files *f, const struct tool_options *o, const char *path,
                          value roots, bool *again, struct error *err)
{
    if (f->bundle_count == TOOL_BUNDLES_MAX) {
        error_set(err, "there are more than %d bundles", TOOL_BUNDLES_MAX);
        return ERR_LIMIT;
    }
    struct tool_bundle b = {arena_str(&f->arena, str_of(path)), roots};
    if (b.path.ptr == NULL)
        return error_nomem(err);
    for (size_t k = 0; k < f->bundle_count && !*again; k++)
        *again = str_equal(f->bundles[k].path, b.path);
    for (size_t k = 0; k < f->bundle_count && !*again; k++) {
        const struct tool_bundle *a = &f->bundles[k];
        for (size_t i = 0; i < root_count(a); i++)
            for (size_t j = 0; j < root_count(&b); j++) {
                struct str x = root_at(a, i);
                struct str y = root_at(&b, j);
                if (owns(x, y) || owns(y, x))
                    return overlap(o, a, &b, x, y, err);
            }
    }
    if (!*again)
        f->bundles[f->bundle_count++] = b;
    return OK;
}

static STATUS load_tree(struct tool_files *f, const struct tool_options *o, struct place *place,
                        const char *path, bool bundle, struct error *err)
{
    value roots = VALUE_UNDEFINED;
    enum status st = read_roots(f, path, &roots, err);
    if (st != OK)
        return st;
    bool known = false;
    if (bundle)
        st = note_bundle(f, o, path, roots, &known, err);
    if (st != OK || known)
        return st;
    struct walk w = {f, o, bundle};
    if (!value_is_array(roots))
        return load_dir(&w, place, path, err);

    size_t first = f->module_count;
    value before = f->data;
    f->data = VALUE_EMPTY_OBJECT(&f->arena);
    st = load_dir(&w, place, path, err);
    CLEANUP(buf_done) struct buf at;
    buf_init(&at, 65536);
    if (st == OK)
        st = check_data_roots(roots, f->data, &at, err);
    for (size_t i = first; i < f->module_count; i++)
        f->modules[i].roots = roots;
    value own = f->data;
    f->data = before;
    if (st != OK)
        return st;
    struct place root = {.len = 0};
    bool again = false;
    st = note_file(f, &root, path, &again, err);
    return st != OK || again ? st : add_data(f, &root, own, path, err);
}

/* ---- the command line's words ---- */

/* "a.b:file" lies at data.a.b; a colon behind a slash belongs to the file's name. */
static const char *take_prefix(const char *path, struct place *place)
{
    const char *colon = strchr(path, ':');
    const char *slash = strchr(path, '/');
    if (colon == NULL || colon == path || (slash != NULL && slash < colon))
        return path;
    struct str prefix = {path, (size_t)(colon - path)};
    for (size_t at = 0; at <= prefix.len && place->len < PATH_DEPTH_MAX;) {
        size_t end = str_find(prefix, '.', at);
        place->parts[place->len++] = str_slice(prefix, at, end - at);
        at = end + 1;
    }
    return colon + 1;
}

STATUS tool_load(struct tool_files *f, const struct tool_options *o, const char *path, bool bundle,
                 struct error *err)
{
    struct place place = {.len = 0};
    if (strncmp(path, "file://", 7) == 0)
        path += 7;
    else
        path = take_prefix(path, &place);
    struct stat sb;
    if (stat(path, &sb) != 0) {
        int why = errno;
        error_set(err, "stat %s: %s", QUOTED(str_of(path)),
                  why == ENOENT ? "no such file or directory" : strerror(why));
        return why == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    if (S_ISDIR(sb.st_mode))
        return load_tree(f, o, &place, path, bundle, err);
    if (bundle) {
        error_set(err, "bundle %s: a bundle is a folder here, and no archive or file",
                  QUOTED(str_of(path)));
        return ERR_UNSUPPORTED;
    }
    if (o->policies_only && !has_end(path, ".rego"))
        return OK;
    if (!has_end(path, ".rego") && !is_data_file(path)) {
        error_set(err, "%s: unrecognized file", QUOTED(str_of(path)));
        return ERR_UNSUPPORTED;
    }
    return load_file(f, &place, path, err);
}

STATUS tool_load_all(struct tool_files *f, const struct tool_options *o, struct error *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < o->data.len; i++)
        st = tool_load(f, o, o->data.items[i], false, err);
    for (size_t i = 0; st == OK && i < o->bundles.len; i++)
        st = tool_load(f, o, o->bundles.items[i], true, err);
    return st;
}

STATUS tool_load_input(struct tool_files *f, const struct tool_options *o, value *out,
                       struct error *err)
{
    *out = VALUE_UNDEFINED;
    if (o->input == NULL && !o->stdin_input)
        return OK;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    const char *path = o->input;
    if (path != NULL && strncmp(path, "file://", 7) == 0)
        path += 7;
    enum status st = o->stdin_input ? tool_read_stdin(&b, err) : tool_read(path, &b, err);
    if (st == ERR_NOT_FOUND)
        error_set(err, "open %s: no such file or directory", QUOTED(str_of(path)));
    if (st != OK)
        return st;
    st = tool_parse_document(&f->arena, buf_str(&b), out, err);
    if (st != OK)
        error_prefix(err, "unable to parse input: ");
    return st;
}

STATUS tool_load_claims(struct tool_files *f, const struct tool_options *o, value *out,
                        struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    enum status st = tool_read(o->schema, &b, err);
    if (st == OK)
        st = tool_parse_document(&f->arena, buf_str(&b), out, err);
    if (st != OK)
        error_prefix(err, "claims %s: ", QUOTED(str_of(o->schema)));
    return st;
}
