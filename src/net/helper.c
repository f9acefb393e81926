#include "net/helper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/fetch_internal.h"

#define ANSWER_TIMEOUT_S 5

struct helper {
    pthread_mutex_t lock; /* one question at a time */
    int fd;
    pid_t pid;
};

/* "claviger-helper [--ca-file FILE] URL...", borrowed but for the array. */
static char **make_argv(const struct helper_options *o)
{
    size_t n = 0;
    while (o->allow[n] != NULL)
        n++;
    char **argv = calloc(n + 2 + 2 * (size_t)HELPER_CA_FILES_MAX, sizeof(*argv));
    if (argv == NULL)
        return NULL;
    size_t at = 0;
    argv[at++] = (char *)(uintptr_t) "claviger-helper";
    for (size_t i = 0; i < HELPER_CA_FILES_MAX && o->ca_files[i] != NULL; i++) {
        argv[at++] = (char *)(uintptr_t) "--ca-file";
        argv[at++] = (char *)(uintptr_t)o->ca_files[i];
    }
    for (size_t i = 0; i < n; i++)
        argv[at++] = (char *)(uintptr_t)o->allow[i];
    return argv;
}

enum status helper_new(const struct helper_options *options, struct helper **out, struct error *err)
{
    CLEANUP(helper_cleanup) struct helper *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return error_nomem(err);
    pthread_mutex_init(&h->lock, NULL);
    char **argv = make_argv(options);
    h->fd = -1;
    if (argv == NULL)
        return error_nomem(err);
    h->fd = program_spawn(options->program, argv, SOCK_SEQPACKET, &h->pid, err);
    free(argv);
    if (h->fd < 0)
        return ERR_UNAVAILABLE;
    const struct timeval tv = {ANSWER_TIMEOUT_S, 0};
    setsockopt(h->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(h->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    *out = TAKE(h);
    return OK;
}

struct helper *helper_free(struct helper *h)
{
    if (h == NULL)
        return NULL;
    if (h->fd >= 0)
        close(h->fd);
    /* It ends by itself; a confined server may not signal it, and need not wait for long. */
    if (h->pid > 0)
        while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    pthread_mutex_destroy(&h->lock);
    free(h);
    return NULL;
}

/* The descriptor that came with a packet, or -1. */
static int descriptor_of(struct msghdr *m)
{
    int fd = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

/* One packet; its length, 0 at the end, -1 for a failure. */
static ssize_t receive(int fd, char *text, size_t size, int *passed)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {text, size};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    ssize_t n;
    while ((n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    *passed = n > 0 ? descriptor_of(&m) : -1;
    return n;
}

int helper_start_fetch(void *user, uint32_t fetcher, struct error *err)
{
    struct helper *h = user;
    if (h == NULL) {
        error_set(err, "nothing can be fetched: claviger-helper could not be started");
        return -1;
    }
    char question[5] = {'F'};
    store_be32(question + 1, fetcher);
    char text[ERROR_TEXT_MAX];
    int passed = -1;

    pthread_mutex_lock(&h->lock);
    ssize_t n = send(h->fd, question, sizeof(question), MSG_NOSIGNAL) == sizeof(question)
                    ? receive(h->fd, text, sizeof(text) - 1, &passed)
                    : -1;
    if (n <= 0) {
        /* What comes late would be taken for the answer to the next question. */
        shutdown(h->fd, SHUT_RDWR);
        error_set(err, "claviger-helper has ended; nothing can be fetched before a restart");
    }
    pthread_mutex_unlock(&h->lock);
    if (n <= 0 || (text[0] == 'O' && passed >= 0))
        return n <= 0 ? -1 : passed;
    text[n] = '\0';
    error_set(err, "%s", text[0] == 'E' ? text + 1 : "claviger-helper says what is no answer");
    if (passed >= 0)
        close(passed);
    return -1;
}
