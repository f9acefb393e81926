/*
 * The two back ends that keep one file a key.
 *
 *   local_fs   <dir>/<namespace>/<key>, "/" in the key as the four characters \x2F
 *   nested     <dir>/<part>/<part>/<part>
 *
 * Files may be changed by others at any time (Kubernetes swaps whole folders by
 * symlink), so the directory is opened anew for each operation and nothing is
 * remembered between them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "storage/storage_internal.h"

/* Every "/" of a key may become four characters. */
#define NAME_MAX_ESCAPED (STORAGE_KEY_MAX * 4 + 1)
#define NESTED_DEPTH_MAX 8 /* folders below the root that list() looks into */

struct files {
    struct storage base;
    bool nested;
    char dir[];
};

static void close_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum status open_root(const struct files *f, int *out, struct error *err)
{
    *out = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out >= 0)
        return OK;
    int e = errno;
    status_ignore(error_errno(err, e, "could not open directory \"%s\"", f->dir));
    return e == ENOENT ? ERR_NOT_FOUND : ERR_IO;
}

/* "a/b/c" -> "a\x2Fb\x2Fc" */
static void escape_key(struct str key, char out[NAME_MAX_ESCAPED])
{
    char *w = out;
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '/') {
            memcpy(w, "\\x2F", 4);
            w += 4;
        } else {
            *w++ = key.ptr[i];
        }
    }
    *w = '\0';
}

static struct str unescape_key(const char *name, char out[NAME_MAX_ESCAPED])
{
    size_t n = 0;
    for (size_t i = 0; name[i] != '\0';) {
        if (strncmp(name + i, "\\x2F", 4) == 0) {
            out[n++] = '/';
            i += 4;
        } else {
            out[n++] = name[i++];
        }
    }
    return (struct str){out, n};
}

static void key_name(const struct files *f, struct str key, char out[NAME_MAX_ESCAPED])
{
    if (!f->nested) {
        escape_key(key, out);
        return;
    }
    memcpy(out, key.ptr, key.len);
    out[key.len] = '\0';
}

/* A new folder whose own name is lost in a power cut takes the secret in it along. */
static enum status make_folder(int dir, const char *name, struct error *err)
{
    if (mkdirat(dir, name, 0755) != 0)
        return errno == EEXIST ? OK : error_errno(err, errno, "could not create a folder");
    int e = file_sync_dir(dir);
    return e == 0 ? OK : error_errno(err, e, "could not create a folder");
}

/*
 * Open the folder that holds the file of a nested key, making what is missing if that is
 * wanted, and point *name at the last part.  ERR_NOT_FOUND: there is no such folder.
 */
static enum status open_parent(int root, char *path, bool make, int *out, char **name,
                               struct error *err)
{
    CLEANUP(close_cleanup) int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (dir < 0)
        return error_errno(err, errno, "could not open the storage folder");

    char *part = path;
    for (char *slash; (slash = strchr(part, '/')) != NULL; part = slash + 1) {
        *slash = '\0';
        enum status st = make ? make_folder(dir, part, err) : OK;
        if (st != OK)
            return st;
        int next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (next < 0) {
            int e = errno;
            status_ignore(error_errno(err, e, "could not open a folder"));
            return !make && (e == ENOENT || e == ENOTDIR) ? ERR_NOT_FOUND : ERR_IO;
        }
        close(dir);
        dir = next;
    }
    *name = part;
    *out = dir;
    dir = -1;
    return OK;
}

static enum status files_set(struct storage *s, struct str key, struct str bytes, bool overwrite,
                             struct error *err)
{
    struct files *f = (struct files *)s;
    char path[NAME_MAX_ESCAPED];
    key_name(f, key, path);

    CLEANUP(close_cleanup) int root = -1;
    enum status st = open_root(f, &root, err);
    if (st == ERR_NOT_FOUND) {
        st = file_make_dirs(f->dir, err);
        if (st == OK)
            st = open_root(f, &root, err);
    }
    if (st != OK)
        return st == ERR_NOT_FOUND ? ERR_IO : st;
    if (!overwrite && faccessat(root, path, F_OK, 0) == 0)
        return ERR_EXISTS;

    CLEANUP(close_cleanup) int dir = -1;
    char *name = NULL;
    st = open_parent(root, path, true, &dir, &name, err);
    if (st != OK)
        return st;
    return file_write_at(dir, name, bytes, 0600, err);
}

static enum status files_get(struct storage *s, struct str key, struct buf *out, struct error *err)
{
    struct files *f = (struct files *)s;
    char path[NAME_MAX_ESCAPED], whole[PATH_MAX];
    key_name(f, key, path);

    /* In one step; if there is nothing, then once more to know what is missing. */
    int n = snprintf(whole, sizeof(whole), "%s/%s", f->dir, path);
    enum status st =
        n > 0 && (size_t)n < sizeof(whole) ? file_read(whole, out, err) : ERR_NOT_FOUND;
    if (st != ERR_NOT_FOUND)
        return st;
    CLEANUP(close_cleanup) int root = -1;
    st = open_root(f, &root, err);
    if (st != OK)
        return st;
    st = file_read_at(root, path, out, err);
    if (st == ERR_NOT_FOUND)
        error_set(err, "not found");
    return st;
}

static enum status files_remove(struct storage *s, struct str key, bool *existed, struct error *err)
{
    struct files *f = (struct files *)s;
    char path[NAME_MAX_ESCAPED];
    key_name(f, key, path);

    CLEANUP(close_cleanup) int root = -1;
    enum status st = open_root(f, &root, err);
    if (st == ERR_NOT_FOUND)
        return OK;
    if (st != OK)
        return st;
    CLEANUP(close_cleanup) int dir = -1;
    char *name = NULL;
    st = open_parent(root, path, false, &dir, &name, err);
    if (st != OK)
        return st == ERR_NOT_FOUND ? OK : st;
    if (unlinkat(dir, name, 0) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? OK
                   : error_errno(err, errno, "could not remove the file");
    *existed = true;
    /* A deleted secret must stay deleted after a power cut. */
    int e = file_sync_dir(dir);
    return e == 0 ? OK : error_errno(err, e, "could not flush the folder");
}

struct walk {
    struct arena *arena;
    struct str *keys;
    size_t cap;
    size_t *count;
    bool nested;
};

static enum status walk_folder(struct walk *w, int dir_fd, const char *prefix, unsigned depth,
                               struct error *err);

static enum status walk_entry(struct walk *w, int dir_fd, const char *prefix, const char *name,
                              unsigned depth, struct error *err)
{
    if (str_has_prefix(str_of(name), STR(FILE_TMP_PREFIX)))
        return OK;
    if (!w->nested) {
        char key[NAME_MAX_ESCAPED];
        if (strlen(name) >= sizeof(key))
            return OK;
        return storage_list_add(w->arena, w->keys, w->cap, w->count, unescape_key(name, key), err);
    }
    if (name[0] == '.') /* no key part begins with a dot: Kubernetes' ..data and the like */
        return OK;

    char path[STORAGE_KEY_MAX + 1];
    int n = snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] == '\0' ? "" : "/", name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return OK;
    struct stat sb;
    if (fstatat(dir_fd, name, &sb, 0) != 0)
        return OK; /* removed meanwhile, or a dangling link */
    if (S_ISREG(sb.st_mode))
        return storage_list_add(w->arena, w->keys, w->cap, w->count, str_of(path), err);
    if (!S_ISDIR(sb.st_mode) || depth == NESTED_DEPTH_MAX)
        return OK;
    int sub = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sub < 0)
        return OK;
    return walk_folder(w, sub, path, depth + 1, err);
}

/* Takes dir_fd. */
static enum status walk_folder(struct walk *w, int dir_fd, const char *prefix, unsigned depth,
                               struct error *err)
{
    DIR *d = fdopendir(dir_fd);
    if (d == NULL) {
        int e = errno;
        close(dir_fd);
        return error_errno(err, e, "could not read the folder");
    }
    enum status st = OK;
    for (struct dirent *e; st == OK && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            st = walk_entry(w, dirfd(d), prefix, e->d_name, depth, err);
    }
    closedir(d);
    return st;
}

static enum status files_list(struct storage *s, struct arena *a, struct str *keys, size_t cap,
                              size_t *count, struct error *err)
{
    struct files *f = (struct files *)s;
    int root = -1;
    enum status st = open_root(f, &root, err);
    if (st == ERR_NOT_FOUND)
        return OK;
    if (st != OK)
        return st;
    struct walk w = {a, keys, cap, count, f->nested};
    return walk_folder(&w, root, "", 0, err);
}

/* The folder and each file in it: a ConfigMap's link swap changes the folder, an edit a file. */
static uint64_t files_version(struct storage *s)
{
    struct files *f = (struct files *)s;
    uint64_t h = file_version(f->dir);
    if (h == 0 || f->nested)
        return h; /* nested folders are read at each request: nobody keeps a snapshot of them */

    int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return h;
    }
    uint64_t sum = 0; /* order of readdir() must not matter */
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, "..") == 0 || str_has_prefix(str_of(e->d_name), STR(FILE_TMP_PREFIX)))
            continue;
        uint64_t name = hash_bytes(e->d_name, strlen(e->d_name), 0);
        sum += hash_mix(name, file_version_at(dirfd(d), e->d_name));
    }
    closedir(d);
    return hash_mix(h, sum);
}

static void files_done(struct storage *s)
{
    (void)s;
}

static void files_confine(const struct storage *s, struct confine *c)
{
    confine_add_folder(c, ((const struct files *)s)->dir, CONFINE_READ | CONFINE_WRITE);
}

static const struct storage_ops files_ops = {
    files_set, files_get, files_remove, files_list, files_version, files_done, true, files_confine,
};

/* What a process that was killed was writing: here, and in the folders of nested keys. */
static void remove_leftovers(const char *dir, unsigned depth)
{
    file_remove_leftovers(dir);
    DIR *d = depth == 0 ? NULL : opendir(dir);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char sub[4096];
        struct stat sb;
        int n = snprintf(sub, sizeof(sub), "%s/%s", dir, e->d_name);
        /* Links lead to mounts, which nobody here writes to. */
        if (e->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(sub) && lstat(sub, &sb) == 0 &&
            S_ISDIR(sb.st_mode))
            remove_leftovers(sub, depth - 1);
    }
    closedir(d);
}

static enum status open_files(const char *dir, struct str sub, bool nested, enum storage_how how,
                              struct storage **out, struct error *err)
{
    size_t dir_len = strlen(dir);
    size_t size = sizeof(struct files) + dir_len + sub.len + 2;
    struct files *f = calloc(1, size);
    if (f == NULL)
        return error_nomem(err);
    snprintf(f->dir, dir_len + sub.len + 2, "%s%s%.*s", dir, sub.len > 0 ? "/" : "", STR_ARG(sub));
    f->nested = nested;
    storage_base_init(&f->base, &files_ops);

    if (how == STORAGE_LOOK) {
        enum status st = storage_note_missing(&f->base, f->dir, err);
        *out = st == OK ? &f->base : storage_unref(&f->base);
        return st;
    }
    /* Upstream creates it at start.  A read-only mount that is not there yet is no reason not to
     * start. */
    status_ignore(file_make_dirs(f->dir, NULL));
    remove_leftovers(f->dir, nested ? NESTED_DEPTH_MAX : 0);
    *out = &f->base;
    return OK;
}

enum status storage_open_local_fs(const char *dir, struct str ns, enum storage_how how,
                                  struct storage **out, struct error *err)
{
    if (!storage_namespace_is_valid(ns)) {
        error_set(err, "invalid storage namespace: %s", QUOTED(ns));
        return ERR_INVALID;
    }
    return open_files(dir, ns, false, how, out, err);
}

enum status storage_open_nested(const char *dir, enum storage_how how, struct storage **out,
                                struct error *err)
{
    return open_files(dir, STR_EMPTY, true, how, out, err);
}
