#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

/*
 * Filters are put together here, not by libseccomp: that costs 0.4 ms and 170
 * KiB of a start that has 5 ms (measured for a list of 80 calls), and a filter of
 * ours is one comparison a call.  Since Linux 5.11 the kernel asks a filter once
 * for each number whose answer needs no argument, and remembers.
 */

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#elif defined(__s390x__)
#define OUR_ARCH AUDIT_ARCH_S390X
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OUR_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#else
#define OUR_ARCH 0
#endif

/* The last call of Linux 6.1.  Later ones are "not there", so that libc takes an older way. */
#define NEWEST 450
#define X32_BIT 0x40000000 /* numbers of x86-64's other ABI */

/* clone(): where its flags are; s390 has stack and flags the other way round. */
#ifdef __s390x__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* ---- what a server does once it serves ---- */

static const int allowed[] = {
    /* every request */
    SYS_futex,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    SYS_epoll_pwait,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_sendto,
    SYS_read,
    SYS_write,
    SYS_clock_gettime,
    SYS_getrandom,
    SYS_madvise,
    SYS_rt_sigprocmask,
    SYS_rt_sigtimedwait,
    /* connections: those that come, and those that a helper hands over */
    SYS_accept4,
    SYS_accept,
    SYS_recvmsg,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_readv,
    SYS_writev,
    SYS_ppoll,
    SYS_pselect6,
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_select
    SYS_select,
#endif
    SYS_epoll_ctl,
    SYS_epoll_create1,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_pipe2,
    /* files, where Landlock lets them */
    SYS_openat,
#ifdef SYS_open
    SYS_open,
#endif
    SYS_close,
    SYS_close_range,
    SYS_fstat,
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
#ifdef SYS_stat
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_rename,
    SYS_unlink,
    SYS_mkdir,
    SYS_rmdir,
#endif
    SYS_statx,
    SYS_fstatfs,
    SYS_statfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_lseek,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_fsync,
    SYS_fdatasync,
#ifdef SYS_sync_file_range
    SYS_sync_file_range,
#endif
    SYS_flock,
    SYS_fcntl,
    SYS_dup,
    SYS_umask,
    /* memory */
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_msync,
    /* threads, signals, time, and what libc asks about */
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_membarrier,
    SYS_exit,
    SYS_exit_group,
    SYS_wait4,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sigaltstack,
    SYS_rt_sigaction,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_restart_syscall,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_getres,
    SYS_gettimeofday,
#ifdef SYS_time
    SYS_time,
#endif
    SYS_times,
    SYS_getrusage,
#ifdef SYS_getrlimit
    SYS_getrlimit,
#endif
    SYS_getcpu,
    SYS_sysinfo,
    SYS_uname,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
};

/* ---- what claviger-fetch and the helper never do ---- */

static const int refused[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_mount,
    SYS_umount2,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsmount,
    SYS_fsconfig,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_kexec_load,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
#endif
    SYS_personality,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_unlinkat,
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mkdirat,
    SYS_mknodat,
#ifdef SYS_chmod
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_unlink,
    SYS_rename,
    SYS_link,
    SYS_symlink,
    SYS_mkdir,
    SYS_rmdir,
    SYS_mknod,
#endif
    SYS_truncate,
    SYS_ftruncate,
    SYS_setxattr,
    SYS_fsetxattr,
    SYS_lsetxattr,
    SYS_utimensat,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_memfd_create,
};

/* What starts programs or ends them: all but the helper. */
static const int starting[] = {
    SYS_execve, SYS_execveat,
#ifdef SYS_fork
    SYS_fork,   SYS_vfork,
#endif
    SYS_kill,   SYS_tkill,
};

/* ---- putting a filter together ---- */

struct filter {
    struct sock_filter code[512];
    size_t len;
};

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define ABSENT (SECCOMP_RET_ERRNO | ENOSYS)

static void emit(struct filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    if (f->len < ARRAY_LEN(f->code))
        f->code[f->len] = (struct sock_filter){code, yes, no, k};
    f->len++; /* past the end: confine_calls() sees it */
}

static void load(struct filter *f, size_t offset)
{
    emit(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void load_number(struct filter *f)
{
    load(f, offsetof(struct seccomp_data, nr));
}

/* Half of an argument; filters have 32 bits. */
static void load_argument(struct filter *f, size_t n, bool high)
{
    bool second = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? !high : high;
    load(f, offsetof(struct seccomp_data, args) + n * sizeof(uint64_t) + (second ? 4 : 0));
}

static void answer(struct filter *f, uint32_t ret)
{
    emit(f, BPF_RET | BPF_K, ret, 0, 0);
}

/* If `test` holds for what is loaded, this is the answer. */
static void answer_if(struct filter *f, uint16_t test, uint32_t k, uint32_t ret)
{
    emit(f, (uint16_t)(BPF_JMP | test | BPF_K), k, 0, 1);
    answer(f, ret);
}

static void answer_unless(struct filter *f, uint16_t test, uint32_t k, uint32_t ret)
{
    emit(f, (uint16_t)(BPF_JMP | test | BPF_K), k, 1, 0);
    answer(f, ret);
}

static void answer_each(struct filter *f, const int *numbers, size_t n, uint32_t ret)
{
    for (size_t i = 0; i < n; i++)
        answer_if(f, BPF_JEQ, (uint32_t)numbers[i], ret);
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/*
 * Numbers stand in runs, and the kernel tries a new filter with each number
 * that there is: a comparison a run instead of one a number saves a third of what
 * it costs to load (0.2 ms).
 */
static void allow_runs(struct filter *f, const int *numbers, size_t n)
{
    int sorted[ARRAY_LEN(allowed)];
    assert(n <= ARRAY_LEN(sorted));
    memcpy(sorted, numbers, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare);
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end + 1 < n && sorted[end + 1] <= sorted[end] + 1)
            end++;
        emit(f, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)sorted[end], 3, 0); /* behind this run */
        emit(f, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)sorted[i], 0, 1);   /* before it */
        answer(f, ALLOW);
        answer(f, REFUSE);
        i = end + 1;
    }
    answer(f, REFUSE);
}

/* What follows up to end_call() is for one number; it ends with an answer. */
static size_t begin_call(struct filter *f, int number)
{
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 0);
    return f->len - 1;
}

static void end_call(struct filter *f, size_t start)
{
    if (start < ARRAY_LEN(f->code))
        f->code[start].jf = (uint8_t)(f->len - start - 1);
}

static void begin(struct filter *f)
{
    load(f, offsetof(struct seccomp_data, arch));
    answer_unless(f, BPF_JEQ, OUR_ARCH, SECCOMP_RET_KILL_PROCESS);
    load_number(f);
#ifdef __x86_64__
    answer_if(f, BPF_JGE, X32_BIT, REFUSE);
#endif
    answer_if(f, BPF_JGT, NEWEST, ABSENT);
}

/* Threads, no processes.  clone3() hides its flags behind a pointer: libc falls back to clone(). */
static void threads_only(struct filter *f)
{
    answer_if(f, BPF_JEQ, SYS_clone3, ABSENT);
    size_t start = begin_call(f, SYS_clone);
    load_argument(f, CLONE_FLAGS, false);
    answer_if(f, BPF_JSET, CLONE_THREAD, ALLOW);
    answer(f, REFUSE);
    end_call(f, start);
}

/* Code comes from files (dlopen) and is never writable; nothing becomes code later. */
static void no_new_code(struct filter *f)
{
    size_t start = begin_call(f, SYS_mmap);
    load_argument(f, 2, false);
    answer_unless(f, BPF_JSET, PROT_EXEC, ALLOW);
    answer_if(f, BPF_JSET, PROT_WRITE, REFUSE);
    load_argument(f, 3, false);
    answer_if(f, BPF_JSET, MAP_ANONYMOUS, REFUSE);
    answer(f, ALLOW);
    end_call(f, start);

    start = begin_call(f, SYS_mprotect);
    load_argument(f, 2, false);
    answer_if(f, BPF_JSET, PROT_EXEC, REFUSE);
    answer(f, ALLOW);
    end_call(f, start);
}

static void allow_argument(struct filter *f, int number, size_t argument, const uint32_t *values,
                           size_t n)
{
    size_t start = begin_call(f, number);
    load_argument(f, argument, false);
    for (size_t i = 0; i < n; i++)
        answer_if(f, BPF_JEQ, values[i], ALLOW);
    answer(f, REFUSE);
    end_call(f, start);
}

static void make_server(struct filter *f)
{
    threads_only(f);
    no_new_code(f);

    /* Never dumpable again; threads may have names. */
    static const uint32_t options[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA};
    allow_argument(f, SYS_prctl, 0, options, ARRAY_LEN(options));
    /* TIOCSTI would type into the terminal that we were started from. */
    static const uint32_t requests[] = {TCGETS, FIONBIO, FIONREAD};
    allow_argument(f, SYS_ioctl, 1, requests, ARRAY_LEN(requests));
    /* pthread_kill(), raise(), abort(). */
    const uint32_t self = (uint32_t)getpid();
    allow_argument(f, SYS_tgkill, 0, &self, 1);

    /* Limits are read, not set: the new ones are at a null pointer. */
    size_t start = begin_call(f, SYS_prlimit64);
    load_argument(f, 2, false);
    answer_unless(f, BPF_JEQ, 0, REFUSE);
    load_argument(f, 2, true);
    answer_unless(f, BPF_JEQ, 0, REFUSE);
    answer(f, ALLOW);
    end_call(f, start);

    allow_runs(f, allowed, ARRAY_LEN(allowed));
}

static void make_client(struct filter *f, bool starts_programs)
{
    answer_each(f, refused, ARRAY_LEN(refused), REFUSE);
    if (!starts_programs) {
        answer_each(f, starting, ARRAY_LEN(starting), REFUSE);
        threads_only(f);
    }
    answer(f, ALLOW);
}

enum status confine_calls(enum confine_profile profile, struct error *err)
{
    if (CONFINE_SANITIZED || OUR_ARCH == 0) {
        error_set(err, CONFINE_SANITIZED
                           ? "this build has a sanitizer, which needs calls of its own"
                           : "there is no filter for this architecture");
        return ERR_UNSUPPORTED;
    }
    struct filter f;
    f.len = 0;
    begin(&f);
    if (profile == CONFINE_SERVER)
        make_server(&f);
    else
        make_client(&f, profile == CONFINE_HELPER);
    if (f.len > ARRAY_LEN(f.code)) {
        error_set(err, "a filter of %zu instructions", f.len);
        return ERR_INTERNAL;
    }
    struct sock_fprog program = {(unsigned short)f.len, f.code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        error_set(err, "the kernel takes no filter for system calls: %s", strerror(errno));
        return ERR_UNSUPPORTED;
    }
    return OK;
}
