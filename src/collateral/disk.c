#include "collateral/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/file.h"
#include "crypto/crypto.h"

struct collateral_disk {
    int fd;
};

#define NAME_LEN (64 + sizeof(COLLATERAL_DISK_SUFFIX))

static void item_name(struct str url, char out[NAME_LEN])
{
    struct digest d;
    digest_compute(DIGEST_SHA256, url, &d);
    for (size_t i = 0; i < d.len; i++)
        snprintf(out + 2 * i, 3, "%02x", d.bytes[i]);
    memcpy(out + 64, COLLATERAL_DISK_SUFFIX, sizeof(COLLATERAL_DISK_SUFFIX));
}

STATUS collateral_disk_open(const char *dir, struct collateral_disk **out, struct error *err)
{
    status_ignore(file_make_dirs(dir, NULL)); /* open() says what is wrong */
    struct collateral_disk *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return error_nomem(err);
    d->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0) {
        enum status st = error_errno(err, errno, "could not open folder \"%s\"", dir);
        free(d);
        return st;
    }
    *out = d;
    return OK;
}

struct collateral_disk *collateral_disk_close(struct collateral_disk *d)
{
    if (d != NULL) {
        close(d->fd);
        free(d);
    }
    return NULL;
}

static enum status read_name(const struct collateral_disk *d, const char *name, struct buf *record,
                             struct collateral_item *out, struct error *err)
{
    buf_reset(record);
    enum status st = file_read_at(d->fd, name, record, err);
    return st == OK ? collateral_item_parse(buf_str(record), out, err) : st;
}

STATUS collateral_disk_read(const struct collateral_disk *d, struct str url, struct buf *record,
                            struct collateral_item *out, struct error *err)
{
    char name[NAME_LEN];
    item_name(url, name);
    enum status st = read_name(d, name, record, out, err);
    if (st == OK && !str_equal(out->url, url)) {
        error_set(err, "the record \"%s\" is of another URL", name);
        return ERR_INVALID;
    }
    return st;
}

/* ---- room ---- */

struct oldest {
    char name[NAME_LEN];
    struct timespec when;
};

static bool is_item(const char *name)
{
    return strlen(name) == NAME_LEN - 1 &&
           str_has_suffix(str_of(name), STR(COLLATERAL_DISK_SUFFIX));
}

static DIR *open_list(const struct collateral_disk *d)
{
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL && fd >= 0)
        close(fd);
    return list;
}

/* One file is written at a time, so one file has to go at most. */
static void make_room(const struct collateral_disk *d)
{
    DIR *list = open_list(d);
    if (list == NULL)
        return;
    struct oldest oldest = {.when = {INT64_MAX, 0}};
    size_t count = 0;
    for (struct dirent *e; (e = readdir(list)) != NULL;) {
        struct stat sb;
        if (!is_item(e->d_name) || fstatat(d->fd, e->d_name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        count++;
        if (sb.st_mtim.tv_sec < oldest.when.tv_sec ||
            (sb.st_mtim.tv_sec == oldest.when.tv_sec && sb.st_mtim.tv_nsec < oldest.when.tv_nsec)) {
            oldest.when = sb.st_mtim;
            memcpy(oldest.name, e->d_name, NAME_LEN);
        }
    }
    closedir(list);
    if (count >= COLLATERAL_DISK_ITEMS)
        unlinkat(d->fd, oldest.name, 0);
}

STATUS collateral_disk_write(const struct collateral_disk *d, const struct collateral_item *item,
                             struct error *err)
{
    char name[NAME_LEN];
    item_name(item->url, name);
    CLEANUP(buf_done) struct buf record;
    buf_init(&record, COLLATERAL_RECORD_MAX);
    collateral_item_write(&record, item);
    if (buf_status(&record) != OK) {
        error_set(err, "collateral %s does not fit a record", QUOTED(item->url));
        return buf_status(&record);
    }
    if (faccessat(d->fd, name, F_OK, 0) != 0)
        make_room(d);
    return file_write_at(d->fd, name, buf_str(&record), 0644, err);
}

int collateral_disk_lock(const struct collateral_disk *d, struct str url)
{
    char name[NAME_LEN], lock[16];
    item_name(url, name);
    snprintf(lock, sizeof(lock), "lock-%.2s", name); /* 256 of them: who shares one waits */
    int fd = openat(d->fd, lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -2;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int e = errno;
    close(fd);
    return e == EWOULDBLOCK || e == EINTR ? -1 : -2;
}

/* ---- listing ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

STATUS collateral_disk_list(const struct collateral_disk *d, collateral_each each, void *user,
                            struct error *err)
{
    DIR *list = open_list(d);
    if (list == NULL)
        return error_errno(err, errno, "could not list the folder of collateral");
    char(*names)[NAME_LEN] = calloc(COLLATERAL_DISK_ITEMS, NAME_LEN);
    size_t n = 0;
    for (struct dirent *e;
         names != NULL && n < COLLATERAL_DISK_ITEMS && (e = readdir(list)) != NULL;)
        if (is_item(e->d_name))
            memcpy(names[n++], e->d_name, NAME_LEN);
    closedir(list);
    if (names == NULL)
        return error_nomem(err);
    qsort(names, n, NAME_LEN, by_name);

    CLEANUP(buf_done) struct buf record;
    buf_init(&record, COLLATERAL_RECORD_MAX);
    for (size_t i = 0; i < n; i++) {
        struct collateral_item item;
        if (read_name(d, names[i], &record, &item, NULL) == OK && !each(user, &item))
            break;
    }
    free(names);
    return OK;
}
