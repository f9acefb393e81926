/* claviger-helper's side of helper.h. */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/fetch_internal.h"
#include "net/helper.h"

#define REAP_MS 1000

struct child {
    pid_t pid; /* 0: none */
    uint32_t fetcher;
    uint64_t started; /* a number that grows */
};

struct helping {
    int fd;
    char fetch[4096]; /* claviger-fetch */
    char **argv;      /* its command line */
    struct child children[HELPER_FETCHERS_MAX];
    uint64_t started;
};

/* ---- what is left to it ---- */

/* The loader that the kernel starts for us, and so for claviger-fetch. */
static const char *interpreter(void)
{
    const ElfW(Phdr) *p = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t n = getauxval(AT_PHNUM);
    uintptr_t base = 0;
    for (size_t i = 0; p != NULL && i < n; i++)
        if (p[i].p_type == PT_PHDR)
            base = (uintptr_t)p - p[i].p_vaddr;
    for (size_t i = 0; p != NULL && i < n; i++)
        if (p[i].p_type == PT_INTERP)
            return (const char *)(base + p[i].p_vaddr);
    return NULL;
}

/* All that claviger-fetch may, which inherits it, and to start that. */
static void confine_us(const struct helping *h, const char *const *ca_files)
{
    CLEANUP(confine_done) struct confine c = {.network = true};
    fetch_confine(&c, STR_EMPTY);
    for (size_t i = 0; i < HELPER_CA_FILES_MAX && ca_files[i] != NULL; i++)
        confine_add_file(&c, ca_files[i], CONFINE_READ);
    confine_add(&c, h->fetch, CONFINE_READ | CONFINE_RUN);
    const char *loader = interpreter();
    if (loader != NULL)
        confine_add(&c, loader, CONFINE_READ | CONFINE_RUN);
    confine_add(&c, "/dev/null", CONFINE_READ | CONFINE_WRITE);
    struct confined done;
    status_ignore(confine_all(&c, CONFINE_HELPER, false, &done, NULL));
}

/* ---- children ---- */

static void end_child(struct child *c)
{
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
}

static void reap(struct helping *h)
{
    for (size_t i = 0; i < ARRAY_LEN(h->children); i++)
        if (h->children[i].pid > 0 && waitpid(h->children[i].pid, NULL, WNOHANG) != 0)
            h->children[i].pid = 0;
}

static bool has_children(const struct helping *h)
{
    for (size_t i = 0; i < ARRAY_LEN(h->children); i++)
        if (h->children[i].pid > 0)
            return true;
    return false;
}

/* A free place for a fetcher's process; its own before, or the oldest, makes room. */
static struct child *place_for(struct helping *h, uint32_t fetcher)
{
    struct child *oldest = &h->children[0];
    for (size_t i = 0; i < ARRAY_LEN(h->children); i++) {
        struct child *c = &h->children[i];
        if (c->pid > 0 && c->fetcher == fetcher)
            end_child(c);
        if (c->pid == 0)
            oldest = c;
        else if (oldest->pid > 0 && c->started < oldest->started)
            oldest = c;
    }
    if (oldest->pid > 0)
        end_child(oldest);
    return oldest;
}

/* ---- questions ---- */

static bool send_packet(int fd, struct str text, int passed)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(char *)(uintptr_t)text.ptr, text.len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (passed >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(passed));
        memcpy(CMSG_DATA(c), &passed, sizeof(passed));
    }
    ssize_t n;
    while ((n = sendmsg(fd, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)text.len;
}

static bool start_fetch(struct helping *h, uint32_t fetcher)
{
    struct child *c = place_for(h, fetcher);
    struct error err = ERROR_INIT;
    int fd = program_spawn(h->fetch, h->argv, SOCK_STREAM, &c->pid, &err);
    if (fd < 0) {
        c->pid = 0;
        char text[ERROR_TEXT_MAX + 1];
        int n = snprintf(text, sizeof(text), "E%s", err.text);
        return send_packet(h->fd, str_bytes(text, (size_t)n), -1);
    }
    c->fetcher = fetcher;
    c->started = ++h->started;
    bool sent = send_packet(h->fd, STR("O"), fd);
    close(fd);
    return sent;
}

/* False: the server is gone, or asks for what there is not. */
static bool answer(struct helping *h)
{
    char question[16];
    ssize_t n;
    while ((n = recv(h->fd, question, sizeof(question), 0)) < 0 && errno == EINTR)
        ;
    if (n <= 0)
        return false;
    if (n != 5 || question[0] != 'F') {
        fprintf(stderr, "claviger-helper: malformed question from the server\n");
        return false;
    }
    return start_fetch(h, load_be32(question + 1));
}

static char **make_argv(const struct helper_options *o)
{
    size_t n = 0;
    while (o->allow[n] != NULL)
        n++;
    char **argv = calloc(n + 2, sizeof(*argv));
    if (argv == NULL)
        return NULL;
    argv[0] = (char *)(uintptr_t) "claviger-fetch";
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = (char *)(uintptr_t)o->allow[i];
    return argv;
}

int helper_serve(int fd, const struct helper_options *options)
{
    struct helping h = {.fd = fd};
    h.argv = make_argv(options);
    if (h.argv == NULL || !program_beside("claviger-fetch", h.fetch, sizeof(h.fetch))) {
        fprintf(stderr, "claviger-helper: could not find claviger-fetch\n");
        free(h.argv);
        return 1;
    }
    /* It ends with the server, which may go on for a while after a signal to all of a group. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    confine_us(&h, options->ca_files);

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, has_children(&h) ? REAP_MS : -1);
        reap(&h);
        if (ready > 0 && !answer(&h))
            break;
    }
    for (size_t i = 0; i < ARRAY_LEN(h.children); i++)
        if (h.children[i].pid > 0)
            end_child(&h.children[i]);
    free(h.argv);
    return 0;
}
