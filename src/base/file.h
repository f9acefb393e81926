/*
 * file - whole files in, whole files out.
 *
 * Reading follows symbolic links (Kubernetes mounts are made of them).
 * Writing goes to a temporary name in the same directory, is flushed to the
 * disk and renamed over the target, so that a reader sees the old bytes or the
 * new ones and never a part.  Temporary names begin with FILE_TMP_PREFIX;
 * whoever lists a directory skips them, and a store removes those of a process
 * that was killed when it is opened.
 */
#pragma once

#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

#define FILE_TMP_PREFIX ".claviger-tmp."

/*
 * Append the content to `out` (whose max is the limit: ERR_LIMIT past it).
 * ERR_NOT_FOUND when nothing has that name, ERR_IO otherwise; a directory or
 * a device is ERR_IO.
 */
STATUS file_read(const char *path, struct buf *out, struct error *err);

/* Replace or create atomically with the given mode.  */
STATUS file_write(const char *path, struct str bytes, unsigned mode, struct error *err);

/* The same relative to an open directory; `name` has no slash. */
STATUS file_write_at(int dir_fd, const char *name, struct str bytes, unsigned mode,
                     struct error *err);
STATUS file_read_at(int dir_fd, const char *name, struct buf *out, struct error *err);

/*
 * Flush an open directory, so that a name made, renamed or removed in it survives a power
 * cut.  Fine where the file system knows no such thing.  Returns 0 or an errno.
 */
int file_sync_dir(int dir_fd);

/*
 * Remove what writers that were killed have left in a directory.  A writer
 * holds a lock on its temporary file, so those of others at work stay.
 */
void file_remove_leftovers(const char *dir);
void file_remove_leftovers_beside(const char *path); /* in the directory that holds it */

/* Create the directory and its parents (mode 0755 less the umask); existing ones are fine. */
STATUS file_make_dirs(const char *path, struct error *err);
/* Would that succeed?  Judged by the nearest folder that is there; the same error. */
STATUS file_can_make_dirs(const char *path, struct error *err);

/* What tells one state of a file from the next without reading it. */
struct file_state {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};
void file_state_get(const char *path, struct file_state *out);
bool file_state_equal(const struct file_state *a, const struct file_state *b);

/*
 * A number that changes when what stands behind the path may have changed, also
 * through a symbolic link that was swapped; 0: nothing is there.
 */
uint64_t file_version(const char *path);
uint64_t file_version_at(int dir_fd, const char *path);

/*
 * Fault injection, for tests only: called before each write, fsync, rename and
 * flush of a directory ("sync-dir") with the name of the call; a positive answer is the errno it
 * fails with, FILE_FAULT_SHORT lets a write take one byte only.
 */
#define FILE_FAULT_SHORT (-1)
extern int (*file_fault)(const char *call);
