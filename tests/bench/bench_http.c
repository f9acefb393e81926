/*
 * bench_http - what the HTTP server costs by itself, over loopback.
 *
 *   bench_http [SECONDS]
 *
 * The server runs in a child process, so that its processor time is its own
 * (user and system); the client is one thread with an epoll loop, each
 * connection sending the next request when its answer is there.  Then the
 * memory of idle connections: resident size before, with them, and after.
 * BENCH_JSON=FILE: the figures as JSON, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http.h"
#include "net/tls.h"

#define CONNECTIONS 8
#define SAMPLES_MAX 4000000

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* ---- the server, in a child ---- */

static enum http_next quick(void *user, struct http_exchange *x)
{
    if (str_is(x->path, "/work"))
        return HTTP_WORK;
    x->status = 200;
    http_add_header(x, "Content-Type", STR("application/json"));
    buf_add(&x->out, STR("{\"nonce\":\"0123456789abcdef0123456789abcdef0123456789ab\","
                         "\"extra-params\":\"\"}"));
    return HTTP_ANSWER;
}

static void work(void *user, struct http_exchange *x)
{
    x->status = 200;
    buf_add(&x->out, STR("{}"));
}

static void make_pair(const char *dir, char cert_path[256], char key_path[256])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    snprintf(cert_path, 256, "%s/crt", dir);
    snprintf(key_path, 256, "%s/key", dir);
    FILE *f = fopen(cert_path, "w");
    must(f != NULL && PEM_write_X509(f, cert) == 1 && fclose(f) == 0, cert_path);
    f = fopen(key_path, "w");
    must(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
             fclose(f) == 0,
         key_path);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static struct http_server *server;

static void on_term(void *user)
{
    http_server_stop(server, 0, 1000);
}

static void serve(int address_fd)
{
    char dir[] = "/tmp/bench-http-XXXXXX", cert[256], key[256];
    must(mkdtemp(dir) != NULL, dir);
    make_pair(dir, cert, key);
    struct tls_options t = {cert, key, TLS_INTERMEDIATE, 0, 0, NULL, NULL};
    struct tls_server *tls = NULL;
    must(tls_server_new(&t, &tls, NULL) == OK, "tls");
    unlink(cert);
    unlink(key);
    rmdir(dir);

    struct http_listen listen[] = {{"127.0.0.1:0", NULL}, {"127.0.0.1:0", tls}};
    struct http_options o = {.listen = listen,
                             .listen_count = 2,
                             .limits = HTTP_LIMITS_DEFAULT,
                             .handler = {quick, work, NULL, NULL}};
    o.limits.idle_timeout_ms = o.limits.head_timeout_ms = 600000;
    must(http_server_new(&o, &server, NULL) == OK, "listen");
    must(http_server_on_signal(server, SIGTERM, on_term, NULL) == OK, "signal");
    for (size_t i = 0; i < 2; i++) {
        char line[64] = "";
        snprintf(line, sizeof(line), "%.*s", STR_ARG(http_server_address(server, i)));
        must(write(address_fd, line, sizeof(line)) == sizeof(line), "pipe");
    }
    must(http_server_run(server, NULL) == OK, "run");
    http_server_free(server);
    tls_server_unref(tls);
    exit(0);
}

struct child {
    pid_t pid;
    char plain[64], tls[64];
};

static struct child start_server(void)
{
    struct child c = {0};
    int fds[2];
    must(pipe(fds) == 0, "pipe");
    fflush(NULL);
    c.pid = fork();
    must(c.pid >= 0, "fork");
    if (c.pid == 0)
        serve(fds[1]);
    close(fds[1]);
    must(read(fds[0], c.plain, 64) == 64 && read(fds[0], c.tls, 64) == 64, "server");
    close(fds[0]);
    return c;
}

static void stop_server(struct child c)
{
    kill(c.pid, SIGTERM);
    waitpid(c.pid, NULL, 0);
}

/* Microseconds of processor time of all threads so far. */
static double cpu_us(struct child c)
{
    clockid_t clock;
    struct timespec ts;
    must(clock_getcpuclockid(c.pid, &clock) == 0 && clock_gettime(clock, &ts) == 0, "cpu clock");
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static long status_kb(struct child c, const char *name)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", c.pid);
    FILE *f = fopen(path, "r");
    must(f != NULL, path);
    long kb = -1;
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kb = strtol(line + strlen(name) + 1, NULL, 10);
    fclose(f);
    return kb;
}

/* ---- the client ---- */

struct peer {
    int fd;
    SSL *ssl;
    int64_t sent_ns;
    struct buf in;
};

static SSL_CTX *client_context;

static void peer_open(struct peer *p, const char *address, bool tls)
{
    const char *colon = strrchr(address, ':');
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    *p = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    must(p->fd >= 0 && connect(p->fd, (struct sockaddr *)&in, sizeof(in)) == 0, "connect");
    if (tls) {
        p->ssl = SSL_new(client_context);
        must(p->ssl != NULL && SSL_set_fd(p->ssl, p->fd) == 1 && SSL_connect(p->ssl) == 1,
             "TLS connect");
    }
    buf_init(&p->in, 1 << 20);
}

static void peer_close(struct peer *p)
{
    SSL_free(p->ssl);
    close(p->fd);
    buf_done(&p->in);
}

static void peer_send(struct peer *p, struct str request)
{
    p->sent_ns = clock_monotonic_ns();
    ssize_t n = p->ssl != NULL ? SSL_write(p->ssl, request.ptr, (int)request.len)
                               : send(p->fd, request.ptr, request.len, MSG_NOSIGNAL);
    must(n == (ssize_t)request.len, "send");
}

/* True when the answer is whole. */
static bool peer_receive(struct peer *p)
{
    char part[4096];
    do {
        ssize_t n = p->ssl != NULL ? SSL_read(p->ssl, part, sizeof(part))
                                   : recv(p->fd, part, sizeof(part), 0);
        must(n > 0, "receive");
        buf_add(&p->in, str_bytes(part, (size_t)n));
    } while (p->ssl != NULL && SSL_pending(p->ssl) > 0);

    struct http_head h;
    size_t scan = 0, used;
    if (http_head_parse_response(buf_str(&p->in), &scan, &h, &used) != HTTP_PARSE_DONE ||
        p->in.len < used + h.length)
        return false;
    must(h.status == 200, "status");
    buf_reset(&p->in);
    return true;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

struct figures {
    double rate, cpu_us, p50_us, p99_us;
};

static struct figures run_load(const char *path, bool tls, double seconds)
{
    static uint32_t samples[SAMPLES_MAX];
    char text[512];
    const char *body = "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":"
                       "{\"supported-hash-algorithms\":[\"sha256\",\"sha384\",\"sha512\"]}}";
    int len = snprintf(text, sizeof(text),
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
                       "User-Agent: attestation-agent-kbs-client/0.1.0\r\nAccept: */*\r\n"
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       path, strlen(body), body);
    struct str request = {text, (size_t)len};

    struct child c = start_server();
    struct peer peers[CONNECTIONS];
    int ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < CONNECTIONS; i++) {
        peer_open(&peers[i], tls ? c.tls : c.plain, tls);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &peers[i]};
        must(epoll_ctl(ep, EPOLL_CTL_ADD, peers[i].fd, &ev) == 0, "epoll");
        peer_send(&peers[i], request);
    }

    double cpu = cpu_us(c);
    int64_t start = clock_monotonic_ns(), now = start;
    size_t count = 0;
    while ((double)(now - start) < seconds * 1e9 && count + CONNECTIONS < SAMPLES_MAX) {
        struct epoll_event events[CONNECTIONS];
        int n = epoll_wait(ep, events, CONNECTIONS, 1000);
        must(n > 0, "no answer");
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!peer_receive(p))
                continue;
            now = clock_monotonic_ns();
            samples[count++] = (uint32_t)(now - p->sent_ns);
            peer_send(p, request);
        }
    }
    cpu = cpu_us(c) - cpu;
    qsort(samples, count, sizeof(samples[0]), compare);
    struct figures f = {(double)count / ((double)(now - start) / 1e9), cpu / (double)count,
                        samples[count / 2] / 1e3, samples[count * 99 / 100] / 1e3};
    for (int i = 0; i < CONNECTIONS; i++)
        peer_close(&peers[i]);
    close(ep);
    stop_server(c);
    return f;
}

struct memory {
    long rest_kb, open_kb, closed_kb;
    double each_kb;
};

static struct memory run_idle(bool tls, int count)
{
    struct child c = start_server();
    struct peer *peers = calloc((size_t)count, sizeof(*peers));
    struct str request = STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    must(peers != NULL, "memory");
    struct memory m;
    for (int i = 0; i < count; i++) {
        if (i == 8)
            m.rest_kb = status_kb(c, "Pss_Anon"); /* code and tables are touched by then */
        peer_open(&peers[i], tls ? c.tls : c.plain, tls);
        peer_send(&peers[i], request);
        while (!peer_receive(&peers[i]))
            ;
    }
    m.open_kb = status_kb(c, "Pss_Anon");
    m.each_kb = (double)(m.open_kb - m.rest_kb) / (count - 8);
    for (int i = 0; i < count; i++)
        peer_close(&peers[i]);
    for (int i = 0; i < 200 && (i < 20 || status_kb(c, "Pss_Anon") > m.rest_kb + 1024); i++)
        usleep(10000);
    m.closed_kb = status_kb(c, "Pss_Anon");
    free(peers);
    stop_server(c);
    return m;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    signal(SIGPIPE, SIG_IGN);
    client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(client_context, SSL_MODE_RELEASE_BUFFERS);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    int idle = rl.rlim_cur > 10100 ? 10000 : (int)rl.rlim_cur - 100;

    const char *path = getenv("BENCH_JSON");
    FILE *json = path == NULL ? NULL : fopen(path, "w");
    const struct {
        const char *name, *path;
        bool tls;
    } loads[] = {
        {"plain", "/", false},
        {"plain_worker", "/work", false},
        {"tls", "/", true},
    };
    printf("%-14s %12s %12s %10s %10s   (%d connections)\n", "load", "requests/s", "server us",
           "p50 us", "p99 us", CONNECTIONS);
    if (json != NULL)
        fprintf(json, "{\"http\":{");
    for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
        struct figures f = run_load(loads[i].path, loads[i].tls, seconds);
        printf("%-14s %12.0f %12.2f %10.1f %10.1f\n", loads[i].name, f.rate, f.cpu_us, f.p50_us,
               f.p99_us);
        if (json != NULL)
            fprintf(json, "\"%s\":{\"rate\":%.0f,\"cpu_us\":%.2f,\"p50_us\":%.1f,\"p99_us\":%.1f},",
                    loads[i].name, f.rate, f.cpu_us, f.p50_us, f.p99_us);
    }

    printf("\n%-14s %12s %12s %10s %10s\n", "idle", "connections", "KiB each", "KiB rest",
           "KiB after");
    for (int tls = 0; tls < 2; tls++) {
        struct memory m = run_idle(tls != 0, idle);
        printf("%-14s %12d %12.2f %10ld %10ld\n", tls ? "tls" : "plain", idle, m.each_kb, m.rest_kb,
               m.closed_kb);
        if (json != NULL)
            fprintf(json,
                    "%s\"idle_%s\":{\"connections\":%d,\"kib_each\":%.2f,\"kib_rest\":%ld,"
                    "\"kib_after\":%ld}",
                    tls ? "," : "", tls ? "tls" : "plain", idle, m.each_kb, m.rest_kb, m.closed_kb);
    }
    if (json != NULL) {
        fprintf(json, "}}\n");
        must(fclose(json) == 0, path);
    }
    SSL_CTX_free(client_context);
    return 0;
}
