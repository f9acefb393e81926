/*
 * sandbox - run a command in private mount and network namespaces, so that a
 * test may use the absolute paths and ports of a deployment without touching
 * the machine's own.
 *
 *   sandbox COMMAND [ARGUMENT]...
 *
 * Inside: loopback is up and nothing else, /opt is an empty tmpfs, /etc is the
 * machine's with a writable layer of its own, nothing that is mounted is seen
 * outside.  Without root a user namespace comes first.  Prints the TAP line
 * of a skipped test, with the condition no-namespaces, where that cannot be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void skip(const char *what)
{
    printf("1..0 # SKIP no-namespaces: %s: %s\n", what, strerror(errno));
    exit(0);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

static void become_root(void)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(CLONE_NEWUSER) != 0)
        skip("user namespace");
    char map[64];
    snprintf(map, sizeof(map), "0 %u 1\n", uid);
    if (write_file("/proc/self/uid_map", map) != 0)
        skip("uid_map");
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "0 %u 1\n", gid);
    if (write_file("/proc/self/gid_map", map) != 0)
        skip("gid_map");
}

static void loopback_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq req;
    memset(&req, 0, sizeof(req));
    memcpy(req.ifr_name, "lo", 3);
    req.ifr_flags = IFF_UP | IFF_RUNNING;
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) != 0)
        skip("loopback");
    close(fd);
}

/* A writable layer over /etc, in a tmpfs that only we see. */
static void layer_etc(void)
{
    static const char base[] = "/opt/.etc-layer";
    char options[256];
    if (mkdir(base, 0755) != 0 || mkdir("/opt/.etc-layer/upper", 0755) != 0 ||
        mkdir("/opt/.etc-layer/work", 0755) != 0)
        skip("/opt");
    snprintf(options, sizeof(options), "lowerdir=/etc,upperdir=%s/upper,workdir=%s/work", base,
             base);
    if (mount("overlay", "/etc", "overlay", 0, options) != 0)
        skip("overlay on /etc");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: sandbox COMMAND [ARGUMENT]...\n", stderr);
        return 2;
    }
    char cwd[4096];
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        skip("getcwd");
    if (geteuid() != 0)
        become_root();
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0)
        skip("mount and network namespaces");
    /* In a chroot "/" is no mount point, and cannot be made private before it is one. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 &&
        (mount("/", "/", NULL, MS_BIND | MS_REC, NULL) != 0 || chdir("/") != 0 ||
         chroot("/") != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
        skip("a private root");
    if (mount("tmpfs", "/opt", "tmpfs", 0, "mode=0755") != 0)
        skip("tmpfs on /opt");
    layer_etc();
    loopback_up();
    if (chdir(cwd) != 0)
        skip(cwd);
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
