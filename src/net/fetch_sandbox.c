#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "confine/confine.h"
#include "net/fetch_internal.h"

/*
 * claviger-fetch parses what strangers send.  Should one of them take it over,
 * he finds: no new privileges, no execve, nobody else to trace or to signal,
 * no file that can be written, and of those that can be read only what name
 * resolution and TLS need.  What this kernel does not know is left out; the
 * rest holds.
 */

static void limit(int what, rlim_t max)
{
    struct rlimit rl = {max, max};
    setrlimit((__rlimit_resource_t)what, &rl);
}

static void set_limits(void)
{
    limit(RLIMIT_FSIZE, 0);   /* not even a descriptor that was forgotten can be written to */
    signal(SIGXFSZ, SIG_IGN); /* nor is a message on such a standard error deadly */
    limit(RLIMIT_NOFILE, 64);
    if (!CONFINE_SANITIZED) /* whose address space is terabytes */
        limit(RLIMIT_AS, (rlim_t)1 << 30);
}

void fetch_confine(struct confine *c, struct str ca_file)
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
        "/etc/pki",
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
    for (size_t i = 0; i < ARRAY_LEN(readable); i++)
        confine_add(c, readable[i], CONFINE_READ);
    confine_add_libraries(c);

    /* Where the roots are, if somebody has said so (fetch_spawn.c passes it on). */
    static const char *const roots[] = {"SSL_CERT_FILE", "SSL_CERT_DIR"};
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        const char *path = getenv(roots[i]);
        if (path != NULL && path[0] == '/')
            confine_add(c, path, CONFINE_READ);
    }
    char path[4096];
    if (ca_file.len > 0 && ca_file.len < sizeof(path)) {
        snprintf(path, sizeof(path), "%.*s", STR_ARG(ca_file));
        confine_add_file(c, path, CONFINE_READ);
    }
}

void fetch_drop_rights(struct str ca_file)
{
    CLEANUP(confine_done) struct confine c = {.network = true};
    fetch_confine(&c, ca_file);
    set_limits();
    struct confined done;
    status_ignore(confine_all(&c, CONFINE_CLIENT, false, &done, NULL));
}
