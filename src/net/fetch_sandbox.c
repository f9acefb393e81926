#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "net/fetch_internal.h"

/*
 * claviger-fetch parses what strangers send.  Should one of them take it over,
 * he finds: no new privileges, no execve, nobody else to trace or to signal,
 * no file that can be written, and of those that can be read only what name
 * resolution and TLS need.  Each step that this kernel does not know is left
 * out; the ones before hold.
 */

/* Under a sanitizer the address space is terabytes. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void limit(int what, rlim_t max)
{
    struct rlimit rl = {max, max};
    setrlimit((__rlimit_resource_t)what, &rl);
}

static void set_limits(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);   /* not even a descriptor that was forgotten can be written to */
    signal(SIGXFSZ, SIG_IGN); /* nor is a message on such a standard error deadly */
    limit(RLIMIT_NOFILE, 64);
    if (!SANITIZED)
        limit(RLIMIT_AS, (rlim_t)1 << 30);
}

/* ---- Landlock: Debian 12's headers are older than the kernels it runs on ---- */

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define LANDLOCK_READ_FILE (1u << 2)
#define LANDLOCK_READ_DIR (1u << 3)
#define LANDLOCK_ALL_ABI1 ((1u << 13) - 1) /* EXECUTE, WRITE_FILE, ..., MAKE_SYM */
#define LANDLOCK_PATH_BENEATH 1

struct landlock_ruleset {
    uint64_t handled_access_fs;
};

struct landlock_path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

static void allow_reading(int ruleset, const char *path)
{
    struct landlock_path_beneath rule = {LANDLOCK_READ_FILE | LANDLOCK_READ_DIR,
                                         open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return; /* not there: nothing to allow */
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0) != 0) {
        rule.allowed_access = LANDLOCK_READ_FILE; /* a file has no entries to list */
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
    }
    close(rule.parent_fd);
}

static void restrict_files(struct str ca_file)
{
    static const char *const readable[] = {
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/host.conf",
        "/etc/nsswitch.conf",
        "/etc/gai.conf",
        "/etc/services",
        "/etc/localtime",
        "/etc/ssl",
        "/etc/ld.so.cache",
        "/usr/lib",
        "/lib",
        "/lib64",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/usr/share/zoneinfo",
        "/run/systemd/resolve",
        "/run/NetworkManager",
        "/run/resolvconf",
        "/dev/urandom",
        "/dev/random",
        "/proc/sys/vm/overcommit_memory",
    };
    struct landlock_ruleset attr = {LANDLOCK_ALL_ABI1};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(readable); i++)
        allow_reading(ruleset, readable[i]);
    char path[4096];
    if (ca_file.len > 0 && ca_file.len < sizeof(path)) {
        snprintf(path, sizeof(path), "%.*s", STR_ARG(ca_file));
        allow_reading(ruleset, path);
    }
    syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
}

/* ---- seccomp ---- */

#ifdef HAVE_SECCOMP
static void restrict_calls(void)
{
    static const char *const refused[] = {
        "execve",
        "execveat",
        "fork",
        "vfork",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
        "pidfd_open",
        "pidfd_getfd",
        "pidfd_send_signal",
        "kill",
        "tkill",
        "rt_sigqueueinfo",
        "mount",
        "umount2",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsmount",
        "fsconfig",
        "mount_setattr",
        "pivot_root",
        "chroot",
        "setns",
        "unshare",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "keyctl",
        "add_key",
        "request_key",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "iopl",
        "ioperm",
        "personality",
        "quotactl",
        "settimeofday",
        "clock_settime",
        "adjtimex",
        "clock_adjtime",
        "sethostname",
        "setdomainname",
        "syslog",
        "chmod",
        "fchmod",
        "fchmodat",
        "chown",
        "fchown",
        "fchownat",
        "lchown",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
        "mknod",
        "mknodat",
        "truncate",
        "ftruncate",
        "setxattr",
        "listen",
        "accept",
        "accept4",
        "memfd_create",
    };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        int nr = seccomp_syscall_resolve_name(refused[i]);
        if (nr >= 0)
            (void)seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
    }
    (void)seccomp_load(ctx);
    seccomp_release(ctx);
}
#else
static void restrict_calls(void)
{
}
#endif

void fetch_drop_rights(struct str ca_file)
{
    set_limits();
    restrict_files(ca_file);
    restrict_calls();
}
