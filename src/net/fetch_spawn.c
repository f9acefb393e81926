#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/fetch_internal.h"

/* What claviger-fetch may learn from our environment; nothing of it is a secret of ours. */
static const char *const passed[] = {
    "http_proxy", "https_proxy", "HTTPS_PROXY",  "all_proxy",     "ALL_PROXY",
    "no_proxy",   "NO_PROXY",    "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ",
};

extern char **environ;

static void cut_environment(char *out[ARRAY_LEN(passed) + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        size_t len = strlen(passed[i]);
        for (char **e = environ; *e != NULL; e++)
            if (strncmp(*e, passed[i], len) == 0 && (*e)[len] == '=') {
                out[n++] = *e;
                break;
            }
    }
    out[n] = NULL;
}

/* "/usr/bin/kbs" -> "/usr/bin/claviger-fetch". */
bool program_beside(const char *name, char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) + 2 + strlen(name) > size)
        return false;
    memcpy(slash + 1, name, strlen(name) + 1);
    return true;
}

/* Standard input and output go nowhere; FETCH_FD is the socket; nothing else is inherited. */
static int spawn(const char *path, char *const *argv, int fd, pid_t *pid)
{
    char *env[ARRAY_LEN(passed) + 1];
    cut_environment(env);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int e = posix_spawn_file_actions_init(&actions);
    if (e != 0)
        return e;
    e = posix_spawnattr_init(&attr);
    if (e != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return e;
    }

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if ((e = posix_spawn_file_actions_adddup2(&actions, fd, FETCH_FD)) == 0 &&
        (e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
        (e = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)) == 0 &&
        (e = posix_spawn_file_actions_addclosefrom_np(&actions, FETCH_FD + 1)) == 0)
        e = posix_spawn(pid, path, &actions, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

int program_spawn(const char *path, char *const *argv, int type, pid_t *pid, struct error *err)
{
    char beside[4096];
    if (path == NULL) {
        if (!program_beside(argv[0], beside, sizeof(beside))) {
            error_set(err, "could not find %s beside the running program", argv[0]);
            return -1;
        }
        path = beside;
    }
    int fds[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) {
        status_ignore(error_errno(err, errno, "could not make a socket pair"));
        return -1;
    }
    int e = spawn(path, argv, fds[1], pid);
    close(fds[1]);
    if (e != 0) {
        close(fds[0]);
        status_ignore(error_errno(err, e, "could not start %s", path));
        return -1;
    }
    return fds[0];
}

int fetch_spawn(const char *program, pid_t *pid, struct error *err)
{
    char *argv[] = {(char *)(uintptr_t) "claviger-fetch", NULL};
    return program_spawn(program, argv, SOCK_STREAM, pid, err);
}
