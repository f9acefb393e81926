#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/random.h"

int (*file_fault)(const char *call);

static int injected(const char *call)
{
    return file_fault == NULL ? 0 : file_fault(call);
}

static void close_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define PARENT_MAX 4096

/* The directory that holds a path; false: it is too long. */
static bool parent_of(const char *path, char out[PARENT_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    if (len >= PARENT_MAX)
        return false;
    memcpy(out, slash == NULL ? "." : path, len);
    out[len] = '\0';
    return true;
}

#define FIFO_WAIT_MS 30000

/* Nothing yet from whoever writes to a pipe: `--policy-file <(command)`.  True: read again. */
static bool wait_for_writer(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, FIFO_WAIT_MS);
    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0 || (n < 0 && errno == EINTR);
}

static enum status read_all(int fd, const char *name, struct buf *out, struct error *err)
{
    struct stat sb;
    if (fstat(fd, &sb) != 0)
        return error_errno(err, errno, "could not read \"%s\"", name);
    if (!S_ISREG(sb.st_mode) && !S_ISFIFO(sb.st_mode))
        return error_errno(err, S_ISDIR(sb.st_mode) ? EISDIR : EINVAL, "could not read \"%s\"",
                           name);

    for (;;) {
        size_t want = sb.st_size > 0 && out->len == 0 ? (size_t)sb.st_size + 1 : 4096;
        if (want > out->max - out->len)
            want = out->max - out->len;
        if (want == 0) {
            char extra;
            ssize_t n = read(fd, &extra, 1);
            if (n == 0)
                return OK;
            error_set(err, "could not read \"%s\": it is larger than %zu bytes", name, out->max);
            return ERR_LIMIT;
        }
        if (!buf_reserve(out, want)) {
            error_set(err, "could not read \"%s\": no memory", name);
            return buf_status(out);
        }
        ssize_t n = read(fd, out->ptr + out->len, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && S_ISFIFO(sb.st_mode) && wait_for_writer(fd))
            continue;
        if (n < 0)
            return error_errno(err, errno, "could not read \"%s\"", name);
        if (n == 0)
            return OK;
        out->len += (size_t)n;
        /* All of a regular file, and it gave no more.  Less may be a short read: go on. */
        if (S_ISREG(sb.st_mode) && n == sb.st_size && (size_t)n < want)
            return OK;
    }
}

enum status file_read_at(int dir_fd, const char *name, struct buf *out, struct error *err)
{
    /* O_NONBLOCK: opening a FIFO that nobody writes to must not hang. */
    CLEANUP(close_cleanup)
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int e = errno;
        status_ignore(error_errno(err, e, "could not read \"%s\"", name));
        return e == ENOENT || e == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    return read_all(fd, name, out, err);
}

enum status file_read(const char *path, struct buf *out, struct error *err)
{
    return file_read_at(AT_FDCWD, path, out, err);
}

static enum status write_all(int fd, struct str bytes, const char *name, struct error *err)
{
    size_t done = 0;
    while (done < bytes.len) {
        int fault = injected("write");
        size_t most = fault == FILE_FAULT_SHORT ? 1 : bytes.len - done;
        ssize_t n = fault > 0 ? -1 : write(fd, bytes.ptr + done, most);
        int e = fault > 0 ? fault : errno;
        if (n < 0 && e == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, e, "could not write \"%s\"", name);
        done += (size_t)n;
    }
    int fault = injected("fsync");
    if (fault != 0 || fsync(fd) != 0)
        return error_errno(err, fault != 0 ? fault : errno, "could not write \"%s\"", name);
    return OK;
}

/* Of this open file, not of the process: two threads are two writers. */
static bool lock_now(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &whole) == 0 || errno == EINVAL || errno == ENOLCK;
}

int file_sync_dir(int dir_fd)
{
    int fault = injected("sync-dir");
    if (fault != 0)
        return fault;
    return fsync(dir_fd) == 0 || errno == EINVAL ? 0 : errno;
}

#define TMP_NAME_MAX (sizeof(FILE_TMP_PREFIX) + 16)

/*
 * A temporary file of our own, locked.  file_remove_leftovers() may come between
 * making and locking it, and take it for one that was left: then another.
 */
static int make_tmp(int dir_fd, unsigned mode, char name[TMP_NAME_MAX])
{
    for (int attempt = 0; attempt < 100; attempt++) {
        uint64_t nonce;
        random_bytes(&nonce, sizeof(nonce));
        snprintf(name, TMP_NAME_MAX, FILE_TMP_PREFIX "%016llx", (unsigned long long)nonce);
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
            return -1;
        struct stat sb;
        if (lock_now(fd) && fstat(fd, &sb) == 0 && sb.st_nlink > 0)
            return fd;
        close(fd);
    }
    errno = EBUSY;
    return -1;
}

static void remove_leftovers_of(DIR *d)
{
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!str_has_prefix(str_of(e->d_name), STR(FILE_TMP_PREFIX)))
            continue;
        CLEANUP(close_cleanup)
        int fd = openat(dirfd(d), e->d_name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && lock_now(fd))
            unlinkat(dirfd(d), e->d_name, 0);
    }
}

void file_remove_leftovers(const char *dir)
{
    DIR *d = opendir(dir);
    if (d != NULL) {
        remove_leftovers_of(d);
        closedir(d);
    }
}

void file_remove_leftovers_beside(const char *path)
{
    char dir[PARENT_MAX];
    if (parent_of(path, dir))
        file_remove_leftovers(dir);
}

enum status file_write_at(int dir_fd, const char *name, struct str bytes, unsigned mode,
                          struct error *err)
{
    char tmp[TMP_NAME_MAX];
    CLEANUP(close_cleanup) int fd = make_tmp(dir_fd, mode, tmp);
    if (fd < 0)
        return error_errno(err, errno, "could not write \"%s\"", name);

    enum status st = write_all(fd, bytes, name, err);
    if (st == OK) {
        int fault = injected("rename");
        if (fault != 0 || renameat(dir_fd, tmp, dir_fd, name) != 0)
            st = error_errno(err, fault != 0 ? fault : errno, "could not write \"%s\"", name);
    }
    if (st != OK) {
        unlinkat(dir_fd, tmp, 0);
        return st;
    }
    /* The rename itself must survive a power cut too. */
    int e = file_sync_dir(dir_fd);
    return e == 0 ? OK : error_errno(err, e, "could not write \"%s\"", name);
}

enum status file_write(const char *path, struct str bytes, unsigned mode, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char dir[PARENT_MAX];
    if (!parent_of(path, dir))
        return error_errno(err, ENAMETOOLONG, "could not write \"%s\"", path);

    CLEANUP(close_cleanup) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "could not write \"%s\"", path);
    return file_write_at(dir_fd, name, bytes, mode, err);
}

uint64_t file_version_at(int dir_fd, const char *path)
{
    struct stat sb;
    if (fstatat(dir_fd, path, &sb, 0) != 0)
        return 0;
    uint64_t h = hash_mix(1, (uint64_t)sb.st_ino);
    h = hash_mix(h, (uint64_t)sb.st_dev);
    h = hash_mix(h, (uint64_t)sb.st_size);
    h = hash_mix(h, (uint64_t)sb.st_mtim.tv_sec);
    h = hash_mix(h, (uint64_t)sb.st_mtim.tv_nsec);
    h = hash_mix(h, (uint64_t)sb.st_ctim.tv_sec);
    return hash_mix(h, (uint64_t)sb.st_ctim.tv_nsec);
}

uint64_t file_version(const char *path)
{
    return file_version_at(AT_FDCWD, path);
}

enum status file_make_dirs(const char *path, struct error *err)
{
    char part[4096];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return error_errno(err, ENAMETOOLONG, "could not create directory \"%s\"", path);

    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            int e = errno;
            struct stat sb;
            /* A read-only or forbidden parent that exists already is no obstacle. */
            if (stat(part, &sb) == 0 && S_ISDIR(sb.st_mode))
                continue;
            return error_errno(err, e, "could not create directory \"%s\"", part);
        }
    }
    struct stat sb;
    if (stat(path, &sb) != 0 || !S_ISDIR(sb.st_mode))
        return error_errno(err, ENOTDIR, "could not create directory \"%s\"", path);
    return OK;
}

enum status file_can_make_dirs(const char *path, struct error *err)
{
    char part[4096];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part))
        return error_errno(err, len == 0 ? ENOENT : ENAMETOOLONG,
                           "could not create directory \"%s\"", path);
    memcpy(part, path, len + 1);
    char missing[sizeof(part)] = ""; /* the first one that would be made */
    struct stat sb;
    while (stat(part, &sb) != 0) {
        if (errno != ENOENT)
            return error_errno(err, errno, "could not create directory \"%s\"", part);
        memcpy(missing, part, strlen(part) + 1);
        char *slash = strrchr(part, '/');
        if (slash == NULL)
            memcpy(part, ".", 2);
        else
            slash[slash == part ? 1 : 0] = '\0';
    }
    if (missing[0] == '\0')
        return S_ISDIR(sb.st_mode)
                   ? OK
                   : error_errno(err, ENOTDIR, "could not create directory \"%s\"", path);
    if (!S_ISDIR(sb.st_mode))
        return error_errno(err, ENOTDIR, "could not create directory \"%s\"", missing);
    if (access(part, W_OK | X_OK) != 0)
        return error_errno(err, errno, "could not create directory \"%s\"", missing);
    return OK;
}

void file_state_get(const char *path, struct file_state *out)
{
    struct stat sb;
    if (stat(path, &sb) != 0)
        *out = (struct file_state){.exists = false};
    else
        *out = (struct file_state){true, sb.st_dev, sb.st_ino, sb.st_size, sb.st_mtim, sb.st_ctim};
}

static bool time_equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_state_equal(const struct file_state *a, const struct file_state *b)
{
    return a->exists == b->exists &&
           (!a->exists || (a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
                           time_equal(a->mtime, b->mtime) && time_equal(a->ctime, b->ctime)));
}
