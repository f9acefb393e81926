/*
 * A storm: threads that open connections, send pieces of good and bad
 * requests, and leave in every way there is.  The server must come through
 * with every connection accounted for and still answer.  Made for sanitizers;
 * the seed is printed.
 */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "cert.h"
#include "fixture.h"
#include "net/tls.h"
#include "tap.h"

#define H "Host: h\r\n"
#define THREADS 4
#define ROUNDS 150

static const struct str pieces[] = {
    STR("GET /none HTTP/1.1\r\n" H "\r\n"),
    STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"),
    STR("POST /work HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"),
    STR("POST /work HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    STR("GET /big?300000 HTTP/1.1\r\n" H "\r\n"),
    STR("POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"),
    STR("GET /close HTTP/1.1\r\n" H "\r\n"),
    STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 999999\r\n\r\n"),
    STR("GET / HTTP/1.1\n\n"),
    STR("GET / HTT"),
    STR("\x16\x03\x01"),
};

struct storm {
    const char *address;
    bool tls;
    uint64_t seed;
};

static unsigned pick(struct storm *s, unsigned n)
{
    s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(s->seed >> 33) % n;
}

struct line {
    int fd;
    SSL *ssl;
};

static void say(struct line *l, struct str bytes)
{
    if (l->ssl != NULL)
        status_ignore(SSL_write(l->ssl, bytes.ptr, (int)bytes.len) > 0 ? OK : ERR_IO);
    else
        status_ignore(raw_send(l->fd, bytes) ? OK : ERR_IO);
}

static void hear(struct line *l)
{
    char part[4096];
    struct timeval tv = {0, 2000};
    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    for (int i = 0; i < 4; i++) {
        long n = l->ssl != NULL ? SSL_read(l->ssl, part, sizeof(part))
                                : recv(l->fd, part, sizeof(part), 0);
        if (n <= 0)
            break;
    }
}

static void leave(struct storm *s, struct line *l)
{
    struct linger rst = {1, 0};
    switch (pick(s, 4)) {
    case 0:
        setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
        break;
    case 1:
        shutdown(l->fd, SHUT_WR);
        hear(l);
        break;
    case 2:
        if (l->ssl != NULL)
            SSL_shutdown(l->ssl);
        break;
    default:
        break;
    }
    SSL_free(l->ssl);
    close(l->fd);
}

static void one_connection(struct storm *s, SSL_CTX *ctx)
{
    struct line l = {raw_connect(s->address), NULL};
    if (l.fd < 0)
        return;
    if (s->tls && pick(s, 8) != 0) {
        l.ssl = SSL_new(ctx);
        SSL_set_fd(l.ssl, l.fd);
        if (SSL_connect(l.ssl) != 1) {
            SSL_free(l.ssl);
            close(l.fd);
            return;
        }
    }
    for (unsigned i = pick(s, 6); i > 0; i--) {
        struct str piece = pieces[pick(s, ARRAY_LEN(pieces))];
        if (pick(s, 6) == 0)
            piece.len = 1 + pick(s, (unsigned)piece.len); /* cut somewhere */
        say(&l, piece);
        if (pick(s, 3) == 0)
            hear(&l);
    }
    leave(s, &l);
}

static void *storm_main(void *user)
{
    struct storm *s = user;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    for (int i = 0; i < ROUNDS; i++)
        one_connection(s, ctx);
    SSL_CTX_free(ctx);
    return NULL;
}

static void test_storm(struct tls_server *tls, uint64_t seed)
{
    struct http_limits l = fixture_limits();
    l.head_timeout_ms = l.body_timeout_ms = l.idle_timeout_ms = l.write_timeout_ms = 100;
    l.close_timeout_ms = 20;
    struct fixture f;
    if (!CHECK(fixture_start(&f, l, tls, 2)))
        return;
    pthread_t threads[THREADS];
    struct storm storms[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        storms[i] = (struct storm){f.address, tls != NULL, seed + i};
        CHECK(pthread_create(&threads[i], NULL, storm_main, &storms[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    CHECK(WAIT_UNTIL(http_server_stats(f.server).active == 0));
    struct http_stats stats = http_server_stats(f.server);
    CHECK(stats.active == 0 && stats.accepted == stats.closed && stats.accepted > 0);
    CHECK(stats.requests == (uint64_t)atomic_load(&f.done_calls));
    CHECK(fixture_stop(&f));
}

/* Stopped in the middle of it. */
static void test_stop_in_storm(uint64_t seed)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 2)))
        return;
    pthread_t thread;
    struct storm storm = {f.address, false, seed};
    CHECK(pthread_create(&thread, NULL, storm_main, &storm) == 0);
    usleep(20000);
    http_server_stop(f.server, 10, 50);
    pthread_join(f.thread, NULL);
    f.server = http_server_free(f.server);
    CHECK(f.result == OK);
    pthread_join(thread, NULL);
}

int main(void)
{
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    const char *given = getenv("STORM_SEED");
    if (given != NULL)
        seed = strtoull(given, NULL, 16);
    printf("# STORM_SEED=%llx\n", (unsigned long long)seed);
    signal(SIGPIPE, SIG_IGN);

    char cert[256], key[256];
    make_cert("storm", cert, key);
    struct tls_options o = {cert, key, TLS_INTERMEDIATE, 0, 0, NULL, NULL};
    CLEANUP(tls_server_cleanup) struct tls_server *tls = NULL;
    CHECK(tls_server_new(&o, &tls, NULL) == OK);
    test_storm(NULL, seed);
    test_storm(tls, seed);
    test_stop_in_storm(seed);
    return tap_done();
}
