/*
 * planted - an attacker inside kbs, for tests/integration/confined.sh.
 *
 * The program kbs-planted is programs/kbs.c as it is, but for the linker, which
 * puts these functions in front of kbs_quick(), kbs_work() and kbs_refresh().
 * A request for /planted/WHAT?PATH then tries WHAT on a reactor thread,
 * /planted-work/WHAT on a worker, and a file named PATH.try beside the one in
 * PLANTED on the supervising thread; the answer is the name of the error, or
 * "done".  Nothing of this is in the kbs that is installed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kbs/kbs.h"

enum http_next __real_kbs_quick(void *user, struct http_exchange *x);
void __real_kbs_work(void *user, struct http_exchange *x);
void __real_kbs_refresh(struct kbs *k, kbs_accept accept, void *user);
enum http_next __wrap_kbs_quick(void *user, struct http_exchange *x);
void __wrap_kbs_work(void *user, struct http_exchange *x);
void __wrap_kbs_refresh(struct kbs *k, kbs_accept accept, void *user);

static int try(const char *what, const char *path)
{
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    long got = -1;
    errno = 0;
    if (strcmp(what, "execve") == 0)
        got = execve(path, argv, argv);
    else if (strcmp(what, "fork") == 0)
        got = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    else if (strcmp(what, "socket") == 0)
        got = socket(AF_INET, SOCK_STREAM, 0);
    else if (strcmp(what, "datagram") == 0)
        got = socket(AF_INET6, SOCK_DGRAM, 0);
    else if (strcmp(what, "local-socket") == 0)
        got = socket(AF_UNIX, SOCK_STREAM, 0);
    else if (strcmp(what, "read") == 0)
        got = open(path, O_RDONLY | O_CLOEXEC);
    else if (strcmp(what, "write") == 0)
        got = open(path, O_WRONLY | O_CLOEXEC);
    else if (strcmp(what, "create") == 0)
        got = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    else if (strcmp(what, "ptrace") == 0)
        got = ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    else if (strcmp(what, "attach") == 0)
        got = ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
    else if (strcmp(what, "kill") == 0)
        got = kill(getppid(), 0);
    else if (strcmp(what, "code") == 0)
        got = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                      MAP_FAILED
                  ? 0
                  : -1;
    else if (strcmp(what, "dumpable") == 0)
        got = prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    else if (strcmp(what, "is-dumpable") == 0)
        return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? ESRCH : 0;
    else
        errno = EINVAL;
    return got < 0 ? errno : 0;
}

static const char *attempt(const char *what, const char *path)
{
    int e = try(what, path);
    return e == 0 ? "done" : strerrorname_np(e);
}

/* "/planted/read?/etc/shadow": path and query are text of a head, not NUL-terminated. */
static void answer(struct http_exchange *x, struct str what)
{
    char name[64], path[1024];
    snprintf(name, sizeof(name), "%.*s", STR_ARG(what));
    snprintf(path, sizeof(path), "%.*s", STR_ARG(x->query));
    x->status = 200;
    buf_add_cstr(&x->out, attempt(name, path));
}

#define ON_REACTOR STR("/planted/")
#define ON_WORKER STR("/planted-work/")

enum http_next __wrap_kbs_quick(void *user, struct http_exchange *x)
{
    if (str_has_prefix(x->path, ON_WORKER))
        return HTTP_WORK;
    if (!str_has_prefix(x->path, ON_REACTOR))
        return __real_kbs_quick(user, x);
    answer(x, str_from(x->path, ON_REACTOR.len));
    return HTTP_ANSWER;
}

void __wrap_kbs_work(void *user, struct http_exchange *x)
{
    if (str_has_prefix(x->path, ON_WORKER))
        answer(x, str_from(x->path, ON_WORKER.len));
    else
        __real_kbs_work(user, x);
}

/* PLANTED_LOG is in the store, which may be written: a line of "WHAT PATH RESULT" each. */
void __wrap_kbs_refresh(struct kbs *k, kbs_accept accept, void *user)
{
    static const char *const attempts[][2] = {
        {"execve", "/bin/true"},    {"socket", ""}, {"read", "/etc/shadow"}, {"ptrace", ""},
        {"create", "/tmp/outside"},
    };
    const char *path = getenv("PLANTED_LOG");
    FILE *f = path == NULL || access(path, F_OK) == 0 ? NULL : fopen(path, "w");
    if (f != NULL) {
        for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
            fprintf(f, "%s %s\n", attempts[i][0], attempt(attempts[i][0], attempts[i][1]));
        fclose(f);
    }
    __real_kbs_refresh(k, accept, user);
}
