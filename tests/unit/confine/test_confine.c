#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "confine/confine.h"
#include "tap.h"

static char path_text[4096];

static const char *in_dir(const char *name)
{
    snprintf(path_text, sizeof(path_text), "%s/%s", tap_tmpdir(), name);
    return path_text;
}

static void make_file(const char *name)
{
    CHECK(file_write(in_dir(name), STR("text"), 0644, NULL) == OK);
}

static void make_folder(const char *name)
{
    CHECK(file_make_dirs(in_dir(name), NULL) == OK);
}

static void make_link(const char *target, const char *name)
{
    CHECK(symlink(target, in_dir(name)) == 0);
}

/* ---- which folders are a deployment's own ---- */

static void test_shared(void)
{
    static const struct {
        const char *folder;
        bool shared;
    } rows[] = {
        {"/", true},
        {"/etc", true},
        {"/tmp", true},
        {"/opt", true},
        {"/root", true},
        {"/etc/kbs", false},
        {"/opt/confidential-containers", false},
        {"/srv/kbs", false},
        {"/tmp/claviger", false},
        {"/home/me", true},
        {"/home/me/kbs", false},
        {"/var/lib", true},
        {"/var/lib/claviger", false},
        {"/run/secrets", true},
        {"/run/secrets/kbs", false},
        {"/usr/share", true},
        {"/etc/ssl", true},
        {"/etc/ssl/private", true},
        {"/etc/sslx", false},
        {"/proc/self/fd", true},
        {"/dev/shm", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ROW(confine_is_shared(rows[i].folder) == rows[i].shared, rows[i].folder);
}

/* ---- what a list reaches ---- */

static void make_tree(void)
{
    make_folder("own");
    make_file("own/kbs.toml");
    /* A volume of Kubernetes: the files are links to ..data, which is a link to the version. */
    make_folder("mount/..v1");
    make_folder("mount/..v2");
    make_file("mount/..v1/tls.key");
    make_file("mount/..v2/tls.key");
    make_link("..v1", "mount/..data");
    make_link("..data/tls.key", "mount/tls.key");
    /* A path from elsewhere through such a volume. */
    make_link("../mount/tls.key", "own/linked.key");
    /* A folder that an administrator swaps: current -> releases/1. */
    make_folder("releases/1/policies");
    make_folder("releases/2/policies");
    make_folder("deploy");
    make_link("../releases/1", "deploy/current");
    make_folder("data/store");
    make_folder("other");
    make_file("other/secret");
    make_link("loop", "loop");
}

static void test_lists(void)
{
    static const struct {
        const char *name, *path;
        bool folder;
        unsigned access;
        const char *asked;
        unsigned needed;
        bool covered;
    } rows[] = {
        {"a file", "own/kbs.toml", false, CONFINE_READ, "own/kbs.toml", CONFINE_READ, true},
        {"another that takes its place", "own/kbs.toml", false, CONFINE_READ, "own/new",
         CONFINE_READ, true},
        {"it may not be written", "own/kbs.toml", false, CONFINE_READ, "own/kbs.toml",
         CONFINE_WRITE, false},
        {"another folder's", "own/kbs.toml", false, CONFINE_READ, "other/secret", CONFINE_READ,
         false},
        {"a folder's name in front is not enough", "own/kbs.toml", false, CONFINE_READ, "ownx",
         CONFINE_READ, false},
        {"Kubernetes: the version of today", "mount/tls.key", false, CONFINE_READ,
         "mount/..v1/tls.key", CONFINE_READ, true},
        {"Kubernetes: the version of tomorrow", "mount/tls.key", false, CONFINE_READ,
         "mount/..v2/tls.key", CONFINE_READ, true},
        {"the same through a link from outside", "own/linked.key", false, CONFINE_READ,
         "mount/..v2/tls.key", CONFINE_READ, true},
        {"a folder behind a link", "deploy/current/policies", true, CONFINE_READ,
         "deploy/current/policies", CONFINE_READ, true},
        {"and when the link is swapped", "deploy/current/policies", true, CONFINE_READ,
         "releases/2/policies", CONFINE_READ, true},
        {"but only for reading", "deploy/current/policies", true, CONFINE_READ | CONFINE_WRITE,
         "releases/2/policies", CONFINE_WRITE, false},
        {"a store", "data/store", true, CONFINE_READ | CONFINE_WRITE, "data/store/key",
         CONFINE_WRITE, true},
        {"a folder that gets its name", "data/store", true, CONFINE_READ | CONFINE_WRITE,
         "data/store2", CONFINE_READ, true},
        {"what stands beside a store is not written", "data/store", true,
         CONFINE_READ | CONFINE_WRITE, "data/key", CONFINE_WRITE, false},
        {"a file that is not there yet", "own/absent", false, CONFINE_READ | CONFINE_WRITE,
         "own/absent", CONFINE_WRITE, true},
        {"with folders that are not there", "own/a/b/c", false, CONFINE_READ | CONFINE_WRITE,
         "own/a/b/c", CONFINE_WRITE, true},
        {"which are there afterwards", "own/made/for/file", false, CONFINE_READ | CONFINE_WRITE,
         "own/made/for/other", CONFINE_WRITE, true},
        {"but not what is beside them", "own/made/for/file", false, CONFINE_READ | CONFINE_WRITE,
         "own/other", CONFINE_WRITE, false},
        {"a link to itself opens its folder and nothing more", "loop", false, CONFINE_READ,
         "/etc/passwd", CONFINE_READ, false},
        {"a file in a folder of everybody's", "/etc/passwd", false, CONFINE_READ, "/etc/passwd",
         CONFINE_READ, true},
        {"opens no other there", "/etc/passwd", false, CONFINE_READ, "/etc/group", CONFINE_READ,
         false},
        {"dots do not hide that", "/tmp/../etc/passwd", false, CONFINE_READ, "/etc/group",
         CONFINE_READ, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(confine_done) struct confine c = {.failed = OK};
        char path[4096];
        snprintf(path, sizeof(path), "%s",
                 rows[i].path[0] == '/' ? rows[i].path : in_dir(rows[i].path));
        if (rows[i].folder)
            confine_add_folder(&c, path, rows[i].access);
        else
            confine_add_file(&c, path, rows[i].access);
        CHECK_ROW(c.failed == OK, rows[i].name);
        const char *asked = rows[i].asked[0] == '/' ? rows[i].asked : in_dir(rows[i].asked);
        CHECK_ROW(confine_covers(&c, asked, rows[i].needed) == rows[i].covered, rows[i].name);
    }
}

static void test_memory(void)
{
    bool ended = false;
    for (long n = 1; !ended; n++) {
        CLEANUP(confine_done) struct confine c = {.failed = OK};
        char path[4096];
        snprintf(path, sizeof(path), "%s", in_dir("own/kbs.toml"));
        tap_fail_malloc_after(n);
        confine_add(&c, path, CONFINE_READ);
        tap_fail_malloc_after(0);
        ended = c.failed == OK || !tap_malloc_can_fail();
        struct error err = ERROR_INIT;
        if (c.failed != OK)
            CHECK_STATUS(confine_files(&c, NULL, &err), ERR_NOMEM, &err);
    }
}

/* ---- what is left to a confined process ---- */

/* 0 or the errno of an attempt; -1: it went wrong in another way. */
typedef int attempt(const char *path);

static int result(long got)
{
    return got >= 0 ? 0 : errno;
}

static int try_read(const char *path)
{
    int fd = open(path, O_RDONLY);
    int e = result(fd);
    if (fd >= 0)
        close(fd);
    return e;
}

static int try_write(const char *path)
{
    int fd = open(path, O_WRONLY);
    int e = result(fd);
    if (fd >= 0)
        close(fd);
    return e;
}

static int try_replace(const char *path)
{
    struct error err = ERROR_INIT;
    errno = 0;
    return file_write(path, STR("other"), 0600, &err) == OK ? 0 : errno;
}

static int try_mkdir(const char *path)
{
    return result(mkdir(path, 0755));
}

static int try_remove(const char *path)
{
    return result(unlink(path));
}

static int try_symlink(const char *path)
{
    return result(symlink("/etc/shadow", path));
}

static int try_hard_link(const char *path)
{
    return result(link(path, in_dir("data/store/hard")));
}

static int try_chmod(const char *path)
{
    return result(chmod(path, 0777));
}

static int try_truncate(const char *path)
{
    return result(truncate(path, 0));
}

static int try_execve(const char *path)
{
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    return result(execve(path, argv, argv));
}

static int try_fork(const char *path)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static void *do_nothing(void *user)
{
    return user;
}

static int try_thread(const char *path)
{
    pthread_t t;
    int e = pthread_create(&t, NULL, do_nothing, NULL);
    return e == 0 ? pthread_join(t, NULL) : e;
}

static int try_socket(const char *path)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_unix_socket(const char *path)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int tcp_fd;

static int try_connect(const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = 9, .sin_addr = {0x0100007f}};
    return result(connect(tcp_fd, (const struct sockaddr *)&to, sizeof(to)));
}

static int try_listen(const char *path)
{
    return result(listen(tcp_fd, 1));
}

static int try_ptrace(const char *path)
{
    return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int try_kill(const char *path)
{
    return result(kill(getppid(), 0));
}

static int try_signal_self(const char *path)
{
    return result(pthread_kill(pthread_self(), 0));
}

static int try_signal_thread_of_parent(const char *path)
{
    return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int map(int prot, int flags, int fd)
{
    void *p = mmap(NULL, 4096, prot, MAP_PRIVATE | flags, fd, 0);
    return p == MAP_FAILED ? errno : munmap(p, 4096);
}

static int try_new_code(const char *path)
{
    return map(PROT_READ | PROT_EXEC, MAP_ANONYMOUS, -1);
}

static int try_code_of_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    int e = fd < 0 ? errno : map(PROT_READ | PROT_EXEC, 0, fd);
    if (fd >= 0)
        close(fd);
    return e;
}

static int try_writable_code(const char *path)
{
    int fd = open(path, O_RDONLY);
    int e = fd < 0 ? errno : map(PROT_READ | PROT_WRITE | PROT_EXEC, 0, fd);
    if (fd >= 0)
        close(fd);
    return e;
}

static int try_data_to_code(const char *path)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_library(const char *path)
{
    void *handle = dlopen("libm.so.6", RTLD_NOW);
    return handle != NULL ? dlclose(handle) : -1;
}

static int try_dumpable(const char *path)
{
    return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int try_core_limit(const char *path)
{
    struct rlimit rl = {0, 0};
    return result(setrlimit(RLIMIT_CORE, &rl));
}

static int try_read_limit(const char *path)
{
    struct rlimit rl;
    return result(getrlimit(RLIMIT_CORE, &rl));
}

static int try_terminal(const char *path)
{
    return result(syscall(SYS_ioctl, 2, 0x5412 /* TIOCSTI */, "x"));
}

static int try_uring(const char *path)
{
    return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int try_memfd(const char *path)
{
    return result(memfd_create("x", 0));
}

static int try_unknown_call(const char *path)
{
    return result(syscall(4000));
}

static int try_setuid(const char *path)
{
    return result(syscall(SYS_setuid, getuid()));
}

static const struct row {
    const char *name;
    attempt *attempt;
    const char *path;
    int want;
    bool needs_files; /* it is Landlock that says no */
} rows[] = {
    {"read in a folder of its own", try_read, "own/kbs.toml", 0, false},
    {"read elsewhere", try_read, "other/secret", EACCES, true},
    {"read /etc/passwd", try_read, "/etc/passwd", EACCES, true},
    {"read its own memory", try_read, "/proc/self/mem", EACCES, true},
    {"write where it may only read", try_write, "own/kbs.toml", EACCES, true},
    {"replace where it may only read", try_replace, "own/kbs.toml", EACCES, true},
    {"remove where it may only read", try_remove, "own/kbs.toml", EACCES, true},
    {"replace in a store", try_replace, "data/store/key", 0, false},
    {"make a folder in a store", try_mkdir, "data/store/folder", 0, false},
    {"remove in a store", try_remove, "data/store/key", 0, false},
    {"make a folder elsewhere", try_mkdir, "other/folder", EACCES, true},
    {"symbolic link in a store", try_symlink, "data/store/link", EPERM, false},
    {"hard link into a store", try_hard_link, "own/kbs.toml", EPERM, false},
    {"change a mode", try_chmod, "data/store", EPERM, false},
    {"cut a file by its name", try_truncate, "own/kbs.toml", EPERM, false},
    {"execve", try_execve, "/bin/true", EPERM, false},
    {"fork", try_fork, NULL, EPERM, false},
    {"a thread", try_thread, NULL, 0, false},
    {"a socket", try_socket, NULL, EPERM, false},
    {"a local socket", try_unix_socket, NULL, EPERM, false},
    {"connect a socket that is there", try_connect, NULL, EPERM, false},
    {"listen on a socket that is there", try_listen, NULL, EPERM, false},
    {"ptrace", try_ptrace, NULL, EPERM, false},
    {"signal another process", try_kill, NULL, EPERM, false},
    {"signal a thread of its own", try_signal_self, NULL, 0, false},
    {"signal a thread of another", try_signal_thread_of_parent, NULL, EPERM, false},
    {"memory to execute", try_new_code, NULL, EPERM, false},
    {"memory that becomes code", try_data_to_code, NULL, EPERM, false},
    {"code from a file", try_code_of_file, "own/kbs.toml", 0, false},
    {"code from a file, writable", try_writable_code, "own/kbs.toml", EPERM, false},
    {"a shared library", try_library, NULL, 0, false},
    {"dumpable again", try_dumpable, NULL, EPERM, false},
    {"set a limit", try_core_limit, NULL, EPERM, false},
    {"read a limit", try_read_limit, NULL, 0, false},
    {"type into the terminal", try_terminal, NULL, EPERM, false},
    {"io_uring", try_uring, NULL, EPERM, false},
    {"a file without a name", try_memfd, NULL, EPERM, false},
    {"become another user", try_setuid, NULL, EPERM, false},
    {"a call that no kernel has", try_unknown_call, NULL, ENOSYS, false},
};

struct report {
    struct confined done;
    enum status status;
    int got[ARRAY_LEN(rows)];
};

static void confined_child(int out)
{
    struct report r = {.status = OK};
    CLEANUP(confine_done) struct confine c = {.failed = OK};
    confine_add_file(&c, in_dir("own/kbs.toml"), CONFINE_READ);
    confine_add_folder(&c, in_dir("data/store"), CONFINE_READ | CONFINE_WRITE);
    confine_add_libraries(&c);
    struct error err = ERROR_INIT;
    r.status = confine_all(&c, CONFINE_SERVER, false, &r.done, &err);
    for (size_t i = 0; r.done.calls && i < ARRAY_LEN(rows); i++) {
        char path[4096] = "";
        if (rows[i].path != NULL)
            snprintf(path, sizeof(path), "%s",
                     rows[i].path[0] == '/' ? rows[i].path : in_dir(rows[i].path));
        r.got[i] = rows[i].attempt(path);
    }
    _exit(write(out, &r, sizeof(r)) == sizeof(r) ? 0 : 1);
}

static bool run_child(void (*body)(int out), void *report, size_t size)
{
    int fds[2];
    if (pipe(fds) != 0)
        return false;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        body(fds[1]);
    }
    close(fds[1]);
    bool ok = read(fds[0], report, size) == (ssize_t)size;
    close(fds[0]);
    return waitpid(pid, NULL, 0) == pid && ok;
}

static void test_confined(void)
{
    static struct report r;
    tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(run_child(confined_child, &r, sizeof(r)));
    close(tcp_fd);
    CHECK_STATUS(r.status, OK, &r.done.lacks);
    if (CONFINE_SANITIZED) {
        CHECK(!r.done.files && !r.done.calls);
        return;
    }
    CHECK(r.done.calls);
    if (!r.done.files)
        tap_skip("no-landlock", r.done.lacks.text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (r.done.files || !rows[i].needs_files)
            if (!CHECK_ROW(r.got[i] == rows[i].want, rows[i].name))
                printf("# got %d (%s)\n", r.got[i], strerror(r.got[i]));
}

/* A configuration that insists is not served by half of it. */
static void required_child(int out)
{
    struct report r = {.status = OK};
    struct confine c = {.failed = ERR_LIMIT};
    r.status = confine_all(&c, CONFINE_SERVER, false, &r.done, NULL);
    status_ignore((enum status)write(out, &r, sizeof(r)));
    _exit(0);
}

static void test_too_many(void)
{
    static struct report r;
    CHECK(run_child(required_child, &r, sizeof(r)));
    CHECK_STATUS(r.status, ERR_LIMIT, &r.done.lacks);
    CHECK(!r.done.files && !r.done.calls);
}

int main(void)
{
    make_tree();
    test_shared();
    test_lists();
    test_memory();
    test_confined();
    test_too_many();
    return tap_done();
}
