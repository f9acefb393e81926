/*
 * fixture - a server of ours on loopback and a client of raw bytes.
 *
 * The server's handler answers by path:
 *
 *   /echo       the body, at once
 *   /work       the body, from a worker
 *   /big        `query` bytes of 'x' (decimal)
 *   /slow       from a worker, when fixture_release() was called
 *   /close      closes the connection
 *   /header     the value of the header "A"
 *   /redirect   302 to what the query says; /loop: 307 to itself
 *   /retry      503 with Retry-After: 7
 *   /cookie     sets the session cookie, answers with the one that came
 *   /count      how often it was asked for
 *   /method     the method, and whether there was a content type and an expectation
 *   /none       204; /silent: the handler sets no status
 *   others      404, empty
 */
#pragma once

#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "net/http.h"

struct fixture {
    struct http_server *server;
    pthread_t thread;
    char address[64];
    enum status result;
    atomic_int done_calls, released, counter, slow;
    atomic_int refused_calls; /* of refused(); of the last, what it was told: */
    pthread_mutex_t lock;
    char refused_line[256];             /* "METHOD PATH QUERY STATUS[ timed]" */
    atomic_size_t last_sent, last_body; /* of done(): all bytes, those of the body */
};

/*
 * How long a test waits for what must come.  Only a hang takes that long: on a
 * busy machine, under a sanitizer, anything else may take seconds.
 */
#define PATIENCE_MS 60000

/* True as soon as `cond` is; false when it still is not after PATIENCE_MS. */
#define WAIT_UNTIL(cond)                                                                           \
    __extension__({                                                                                \
        int64_t wait_start = now_ms();                                                             \
        bool wait_over;                                                                            \
        while (!(wait_over = (cond)) && now_ms() - wait_start < PATIENCE_MS)                       \
            usleep(1000);                                                                          \
        wait_over;                                                                                 \
    })

/* Limits whose time-outs are far beyond PATIENCE_MS: for tests that are not about them. */
struct http_limits fixture_limits(void);

bool fixture_start(struct fixture *f, struct http_limits limits, struct tls_server *tls,
                   unsigned reactors);
void fixture_release(struct fixture *f);
/* Stop at once and free; true when run() said OK. */
bool fixture_stop(struct fixture *f);

/* A connected socket with a receive time-out of PATIENCE_MS, or -1. */
int raw_connect(const char *address);
/* The same with a TLS handshake behind it; the others below then speak TLS on it. */
int raw_connect_tls(const char *address, SSL_CTX *ctx);
void raw_close(int fd);
void raw_forget_tls(int fd); /* free our side of TLS, saying nothing; fd stays open */

bool raw_send(int fd, struct str bytes);

/*
 * Read one answer into `text`, which keeps what came after it (call again for
 * the next).  False: the connection ended before it was whole.
 */
struct raw_answer {
    int status;
    bool close;      /* said Connection: close */
    struct buf head; /* status line and fields */
    struct buf body;
};
bool raw_read_answer(int fd, struct buf *text, bool no_body, struct raw_answer *out);
void raw_answer_init(struct raw_answer *a);
void raw_answer_done(struct raw_answer *a);

/* True when the next read finds the end (or a reset) and no byte before it. */
bool raw_at_end(int fd);

int64_t now_ms(void);
