#include <errno.h>
#include <openssl/err.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/server_internal.h"

/*
 * SIGPIPE: plain writes say MSG_NOSIGNAL; OpenSSL's cannot, so the threads of
 * the server block the signal (http_server_run()).
 */

static enum io plain_result(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return IO_AGAIN;
    return errno == EINTR ? IO_OK : IO_FAILED;
}

/*
 * A TCP close without a close_notify counts as an end (SSL_OP_IGNORE_UNEXPECTED_EOF):
 * HTTP's own framing tells a whole request from a truncated one.
 */
static enum io tls_result(struct conn *c, int result, bool reading)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return reading ? IO_AGAIN : IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return reading ? IO_WANT_WRITE : IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    default:
        return IO_FAILED;
    }
}

enum io io_handshake(struct conn *c)
{
    ERR_clear_error(); /* the queue is the thread's: what others left decides SSL_get_error() */
    int result = SSL_accept(c->ssl);
    return result == 1 ? IO_OK : tls_result(c, result, true);
}

enum io io_read(struct conn *c, char *p, size_t room, size_t *n)
{
    *n = 0;
    if (c->ssl != NULL) {
        ERR_clear_error();
        int result = SSL_read_ex(c->ssl, p, room, n);
        if (result != 1)
            return tls_result(c, result, true);
        c->drained = SSL_has_pending(c->ssl) == 0;
        return IO_OK;
    }

    ssize_t got = recv(c->fd, p, room, 0);
    if (got < 0)
        return plain_result();
    if (got == 0)
        return IO_EOF;
    *n = (size_t)got;
    c->drained = *n < room; /* saves the recv() that would say EAGAIN */
    return IO_OK;
}

enum io io_write(struct conn *c, struct str first, struct str second, size_t *n)
{
    *n = 0;
    if (c->ssl != NULL) {
        struct str part = first.len > 0 ? first : second;
        ERR_clear_error();
        int result = SSL_write_ex(c->ssl, part.ptr, part.len, n);
        return result == 1 ? IO_OK : tls_result(c, result, false);
    }

    struct iovec iov[2] = {
        {(void *)(uintptr_t)first.ptr, first.len},
        {(void *)(uintptr_t)second.ptr, second.len},
    };
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = second.len > 0 ? 2 : 1};
    ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    if (sent < 0)
        return plain_result();
    *n = (size_t)sent;
    return IO_OK;
}

enum io io_discard(struct conn *c)
{
    char scratch[16384];
    ssize_t got = recv(c->fd, scratch, sizeof(scratch), 0);
    if (got < 0)
        return plain_result();
    return got == 0 ? IO_EOF : IO_OK;
}

void io_shutdown(struct conn *c)
{
    if (c->ssl != NULL && SSL_is_init_finished(c->ssl)) {
        ERR_clear_error();
        SSL_shutdown(c->ssl); /* sends close_notify; whether it arrives does not matter to us */
    }
    shutdown(c->fd, SHUT_WR);
}
