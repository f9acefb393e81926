#include "confine/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/module.h"
#include "confine/landlock.h"

struct confine_path {
    char *real; /* no link in it, no trailing slash but of "/" */
    unsigned access;
};

void confine_done(struct confine *c)
{
    for (size_t i = 0; i < c->len; i++)
        free(c->paths[i].real);
    free(c->paths);
    *c = (struct confine){.failed = OK};
}

/* ---- the list ---- */

static void fail(struct confine *c, enum status st)
{
    if (c->failed == OK)
        c->failed = st;
}

/* Takes `real`. */
static void append(struct confine *c, char *real, unsigned access)
{
    for (size_t i = 0; i < c->len; i++)
        if (strcmp(c->paths[i].real, real) == 0) {
            c->paths[i].access |= access;
            free(real);
            return;
        }
    struct confine_path *more =
        c->len < CONFINE_PATHS_MAX ? realloc(c->paths, (c->len + 1) * sizeof(*more)) : NULL;
    if (more == NULL) {
        fail(c, c->len < CONFINE_PATHS_MAX ? ERR_NOMEM : ERR_LIMIT);
        free(real);
        return;
    }
    c->paths = more;
    c->paths[c->len++] = (struct confine_path){real, access};
}

void confine_add(struct confine *c, const char *path, unsigned access)
{
    char *real = realpath(path, NULL);
    if (real != NULL)
        append(c, real, access);
    else if (errno == ENOMEM)
        fail(c, ERR_NOMEM);
}

/* ---- names that a configuration has ---- */

static size_t depth_of(const char *path)
{
    size_t n = 0;
    for (const char *p = path; *p != '\0'; p++)
        n += p[0] == '/' && p[1] != '\0';
    return n;
}

bool confine_is_shared(const char *folder)
{
    /* Below these, the second level is still everybody's: "/var/lib", "/home/me", "/run/user". */
    static const char *const two[] = {"/usr/", "/var/",  "/home/",  "/run/",   "/proc/",
                                      "/sys/", "/dev/",  "/lib/",   "/lib64/", "/boot/",
                                      "/mnt/", "/snap/", "/media/", "/nix/"};
    static const char *const whole[] = {"/etc/ssl/", "/etc/pki/", "/proc/", "/sys/", "/dev/"};
    size_t depth = depth_of(folder);
    if (depth <= 1)
        return true;
    struct str name = str_of(folder);
    for (size_t i = 0; i < ARRAY_LEN(two); i++)
        if (depth == 2 && str_has_prefix(name, str_of(two[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (str_has_prefix(name, str_of(whole[i])) ||
            (name.len + 1 == strlen(whole[i]) && str_has_prefix(str_of(whole[i]), name)))
            return true;
    return false;
}

/* Unless it is shared. */
static void add_own_folder(struct confine *c, const char *folder, unsigned access)
{
    char *real = realpath(folder, NULL);
    if (real == NULL)
        return;
    if (confine_is_shared(real))
        free(real);
    else
        append(c, real, access);
}

/* "/a/b" -> "/a", "/a" -> "/", in place. */
static void to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    slash[slash == path ? 1 : 0] = '\0';
}

static void add_parent(struct confine *c, const char *path, unsigned access)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%s", path);
    to_parent(parent);
    add_own_folder(c, parent, access);
}

/*
 * The path with its first link replaced by what the link says, in `path`; the
 * folders of both are added for reading.  False: there is no link in it, or it ends early.
 */
static bool follow_link(struct confine *c, char path[PATH_MAX])
{
    char part[PATH_MAX], target[PATH_MAX];
    for (size_t i = 1;; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        struct stat sb;
        if (lstat(part, &sb) != 0)
            return false;
        if (S_ISLNK(sb.st_mode)) {
            ssize_t n = readlink(part, target, sizeof(target) - 1);
            if (n <= 0)
                return false;
            target[n] = '\0';
            add_parent(c, part, CONFINE_READ);
            char next[PATH_MAX];
            to_parent(part);
            const char *base = target[0] == '/' ? "" : part;
            int len =
                snprintf(next, sizeof(next), "%s%s%s", base, base[0] == '\0' ? "" : "/", target);
            if (len <= 0 || (size_t)len + strlen(path + i) >= sizeof(next))
                return false;
            add_parent(c, next, CONFINE_READ);
            memcpy(next + len, path + i, strlen(path + i) + 1);
            memcpy(path, next, PATH_MAX);
            return true;
        }
        if (path[i] == '\0')
            return false;
    }
}

static bool make_absolute(const char *path, char out[PATH_MAX])
{
    char cwd[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
        return false;
    int n = snprintf(out, PATH_MAX, "%s%s%s", cwd, path[0] == '/' ? "" : "/", path);
    if (n <= 0 || n >= PATH_MAX)
        return false;
    for (; n > 1 && out[n - 1] == '/'; n--)
        out[n - 1] = '\0';
    return true;
}

/*
 * From a configured name to what is there: every link on the way leaves its
 * folders in the list.  True: `out` exists; else it is the nearest folder above
 * what does not.
 */
static bool resolve(struct confine *c, const char *path, char out[PATH_MAX])
{
    if (!make_absolute(path, out)) {
        out[0] = '\0';
        return false;
    }
    for (int i = 0; i < CONFINE_LINKS_MAX && follow_link(c, out); i++)
        ;
    if (access(out, F_OK) == 0)
        return true;
    while (strcmp(out, "/") != 0 && access(out, F_OK) != 0)
        to_parent(out);
    return false;
}

void confine_add_file(struct confine *c, const char *path, unsigned access)
{
    char end[PATH_MAX];
    bool found = resolve(c, path, end);
    if (!found && (access & CONFINE_WRITE) != 0 && make_absolute(path, end)) {
        /* Later there would be no right to make them. */
        to_parent(end);
        status_ignore(file_make_dirs(end, NULL));
        found = resolve(c, path, end);
    }
    if (!found) {
        if (end[0] != '\0')
            add_own_folder(c, end, access);
        return;
    }
    add_parent(c, end, access);
    confine_add(c, end, access);
}

void confine_add_folder(struct confine *c, const char *path, unsigned access)
{
    char end[PATH_MAX];
    if (!resolve(c, path, end)) {
        if (end[0] != '\0')
            add_own_folder(c, end, access);
        return;
    }
    confine_add(c, end, access);
    add_parent(c, end, CONFINE_READ); /* another folder may get its name */
}

void confine_add_libraries(struct confine *c)
{
    static const char *const places[] = {"/usr/lib",   "/lib",           "/lib64",
                                         "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        confine_add(c, places[i], CONFINE_READ);
}

void confine_add_modules(struct confine *c)
{
    for (const char *const *folder = module_folders(); *folder != NULL; folder++)
        confine_add(c, *folder, CONFINE_READ);
    confine_add_libraries(c);
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 1);
}

bool confine_covers(const struct confine *c, const char *path, unsigned access)
{
    struct confine scratch = {.failed = OK};
    char end[PATH_MAX];
    resolve(&scratch, path, end);
    confine_done(&scratch);
    char *real = end[0] == '\0' ? NULL : realpath(end, NULL);
    unsigned found = 0;
    for (size_t i = 0; real != NULL && i < c->len; i++)
        if (is_below(real, c->paths[i].real))
            found |= c->paths[i].access;
    free(real);
    if (found & CONFINE_WRITE)
        found |= CONFINE_READ;
    return (found & access) == access;
}

const char *confine_first_outside(const struct confine *wanted, const struct confine *c)
{
    for (size_t i = 0; i < wanted->len; i++)
        if (!confine_covers(c, wanted->paths[i].real, CONFINE_READ))
            return wanted->paths[i].real;
    return NULL;
}

/* ---- Landlock ---- */

static uint64_t handled_by(int abi)
{
    return LANDLOCK_ALL_ABI1 | (abi >= 2 ? LANDLOCK_REFER : 0) |
           (abi >= 3 ? LANDLOCK_TRUNCATE : 0) | (abi >= 5 ? LANDLOCK_IOCTL_DEV : 0);
}

static uint64_t rights_of(unsigned access)
{
    uint64_t rights = 0;
    if (access & (CONFINE_READ | CONFINE_WRITE))
        rights |= LANDLOCK_READ_FILE | LANDLOCK_READ_DIR;
    if (access & CONFINE_WRITE)
        rights |= LANDLOCK_WRITE_FILE | LANDLOCK_REMOVE_FILE | LANDLOCK_MAKE_DIR |
                  LANDLOCK_MAKE_REG | LANDLOCK_TRUNCATE;
    if (access & CONFINE_RUN)
        rights |= LANDLOCK_EXECUTE | LANDLOCK_READ_FILE;
    return rights;
}

static enum status add_rule(int ruleset, uint64_t handled, const struct confine_path *p,
                            struct error *err)
{
    static const uint64_t of_files =
        LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE;
    struct landlock_path_beneath rule = {rights_of(p->access) & handled,
                                         open(p->real, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return OK; /* gone meanwhile, or out of our reach anyway */
    struct stat sb;
    if (fstat(rule.parent_fd, &sb) == 0 && !S_ISDIR(sb.st_mode))
        rule.allowed_access &= of_files;
    long e = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
    int why = errno;
    close(rule.parent_fd);
    return e == 0 ? OK : error_errno(err, why, "Landlock takes no rule for \"%s\"", p->real);
}

static enum status unsupported(struct error *err, int why)
{
    error_set(err, "the kernel has no Landlock for us: %s", strerror(why));
    return ERR_UNSUPPORTED;
}

/* Tasks of this process; 0: /proc does not say. */
static size_t count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    size_t n = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d != NULL)
        closedir(d);
    return n;
}

enum status confine_files(const struct confine *c, int *abi, struct error *err)
{
    if (c->failed == ERR_NOMEM)
        return error_nomem(err);
    if (c->failed != OK) {
        error_set(err, "more than %d folders and files", CONFINE_PATHS_MAX);
        return c->failed;
    }
    if (count_threads() > 1) {
        error_set(err, "there are threads already, which would stay as they are");
        return ERR_INTERNAL;
    }
    if (CONFINE_SANITIZED) {
        error_set(err, "this build has a sanitizer, which needs files of its own");
        return ERR_UNSUPPORTED;
    }
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
    if (version < 1) /* ENOSYS, EOPNOTSUPP, or EPERM of a container's seccomp */
        return unsupported(err, errno);
    if (abi != NULL)
        *abi = version;

    struct landlock_ruleset attr = {.handled_access_fs = handled_by(version)};
    if (!c->network && version >= 4)
        attr.handled_access_net = LANDLOCK_NET_ALL;
    if (!c->network && version >= 6)
        attr.scoped = LANDLOCK_SCOPE_ALL;
    size_t size = version >= 6   ? sizeof(attr)
                  : version >= 4 ? offsetof(struct landlock_ruleset, scoped)
                                 : offsetof(struct landlock_ruleset, handled_access_net);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return unsupported(err, errno);

    enum status st = OK;
    for (size_t i = 0; i < c->len && st == OK; i++)
        st = add_rule(ruleset, attr.handled_access_fs, &c->paths[i], err);
    if (st == OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        st = unsupported(err, errno);
    close(ruleset);
    return st;
}
