/*
 * confine - what a process of ours gives up for good (DESIGN.md, "Hardening").
 *
 *   confine_process()   no core dumps, no tracing by others, no new privileges
 *   confine_files()     Landlock: only the folders of a list, no TCP of its own
 *   confine_calls()     seccomp: only the system calls of a profile
 *
 * Landlock holds for the calling thread and those that it starts, so all of
 * this belongs before the first thread; seccomp reaches every thread anyway.
 * What the kernel does not have is ERR_UNSUPPORTED, and the caller decides: a
 * server warns, or ends when its configuration insists.  Nothing here can be
 * undone or switched off; only a build with a sanitizer, whose run time traces
 * and maps as it likes, answers ERR_UNSUPPORTED always.
 *
 * Paths follow what deployments do to files while a server runs: they replace
 * a file by another of its name, and they swap a folder by a symbolic link, as
 * Kubernetes does.  A rule of Landlock belongs to a file that is there, not to a
 * name, so a configured file opens the folder in which it stands, and each
 * link on its way opens the folder of the link and that of its target.  Folders
 * that hold other people's things ("/etc", "/home/me": confine_is_shared())
 * are never opened by that; there, only the file itself is.  Writing is for what
 * the name meant when the process was confined: a store behind a link that was
 * swapped is read on, and written after a restart.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

/*
 * A sanitizer's run time opens files under /proc, maps where it likes and, to
 * look for leaks, traces its own process.  Decided by the build alone.
 */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define CONFINE_SANITIZED true
#else
#define CONFINE_SANITIZED false
#endif

#define CONFINE_PATHS_MAX 512
#define CONFINE_LINKS_MAX 40 /* on one path, as the kernel has it */

enum confine_access {
    CONFINE_READ = 1,
    CONFINE_WRITE = 2, /* read, write, create, replace and remove */
    CONFINE_RUN = 4,   /* execute */
};

/* Zeroed is empty.  Adding remembers its first failure for confine_files(). */
struct confine {
    struct confine_path *paths;
    size_t len;
    bool network; /* TCP, signals and abstract sockets stay */
    enum status failed;
};
void confine_done(struct confine *c);

/* A file or everything below a folder, and nothing else.  One that is not there is left out. */
void confine_add(struct confine *c, const char *path, unsigned access);

/*
 * A file or folder that the configuration names; it need not be there yet.  The
 * folders of a file that is to be written are made.
 */
void confine_add_file(struct confine *c, const char *path, unsigned access);
void confine_add_folder(struct confine *c, const char *path, unsigned access);

/* Shared libraries, for dlopen(): theirs and the loader's cache. */
void confine_add_libraries(struct confine *c);

/* The modules that are opened when they are needed (base/module.h), with their libraries. */
void confine_add_modules(struct confine *c);

/* May this path be used once the process is confined?  Links are followed. */
bool confine_covers(const struct confine *c, const char *path, unsigned access);

/* The first path of `wanted` that may not be read under `c`; NULL: none. */
const char *confine_first_outside(const struct confine *wanted, const struct confine *c);

/* "/", "/etc", "/var/lib", "/home/me": a folder that is not one deployment's own. */
bool confine_is_shared(const char *folder);

void confine_process(void);

/*
 * *abi (may be NULL) is the kernel's version of Landlock.  ERR_UNSUPPORTED: it has
 * none, or does not allow it.
 */
STATUS confine_files(const struct confine *c, int *abi, struct error *err);

enum confine_profile {
    CONFINE_SERVER, /* a list of what is allowed: neither execve nor socket */
    CONFINE_CLIENT, /* a list of what is not: sockets, but nothing that starts or changes anything
                     */
    CONFINE_HELPER, /* as CONFINE_CLIENT, but it starts programs */
};

/* For all threads.  Anything refused answers EPERM, as if there were no right to it. */
STATUS confine_calls(enum confine_profile profile, struct error *err);

struct confined {
    bool files, calls;  /* what holds now */
    int abi;            /* of Landlock */
    struct error lacks; /* why not all of it does */
};

/*
 * All of it.  With `required`, what the kernel does not have is ERR_UNSUPPORTED;
 * without, OK, and out->lacks says it.
 */
STATUS confine_all(const struct confine *c, enum confine_profile profile, bool required,
                   struct confined *out, struct error *err);
