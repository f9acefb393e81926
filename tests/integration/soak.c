/*
 * soak - a kbs with TLS at half load for a long time: nothing grows, nothing fails.
 *
 *   MINUTES=60 soak        (1 unless said; `make soak`)
 *
 * First what this machine serves at full load is measured, then guests with sample and with
 * Azure SNP evidence come at half that rate, on connections that are new for each sample.
 * Beside them, all the time: a guest on one connection reads a secret that it overwrites, and
 * is denied another; policies and reference values change, broken ones among them, and SIGHUP
 * comes; clients leave in the middle of a handshake, a head, a body, by FIN and by RST.
 *
 * For each sample the load pauses and the server is looked at: resident and private memory,
 * file descriptors, threads.  Flat means: the most of the last third is at most 1 MiB above
 * the most of the first, and no sample has a descriptor more than after the full load.
 * Needs root: a server that is not dumpable hides its /proc from others.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cert.h"
#include "served.h"
#include "tap.h"
#include "virtualtee/load.h"

#define SAMPLES_MIN 6
#define SAMPLES_MAX 1440
#define FLAT_KIB 1024
#define SAMPLE_GUESTS 6
#define AZURE_GUESTS 2

static const char config_text[] =
    "[http_server]\nsockets = [\"127.0.0.1:0\"]\n"
    "certificate = \"%1$s/server.crt\"\nprivate_key = \"%1$s/server.key\"\n"
    "[admin]\ninsecure_api = true\n"
    "[attestation_service]\ntype = \"coco_as_builtin\"\n"
    "[attestation_service.verifier_config.sample_verifier]\n"
    "[attestation_service.attestation_token_broker]\ntype = \"Ear\"\npolicy_dir = \"%1$s/as\"\n"
    "[attestation_service.rvps_config]\ntype = \"BuiltIn\"\n"
    "[attestation_service.rvps_config.storage]\ntype = \"LocalJson\"\n"
    "file_path = \"%1$s/rv.json\"\n"
    "[policy_engine]\npolicy_path = \"%1$s/policy.rego\"\n"
    "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndir_path = \"%1$s/repo\"\n"
    "[claviger]\ndecision_ring = 1048576\n";

#define POLICY(more)                                                                               \
    "package policy\nimport rego.v1\ndefault allow := false\n"                                     \
    "allow if data[\"resource-path\"] != \"resource/r/t/never\"\n" more
#define VALUES(svn)                                                                                \
    "[{\"name\":\"svn\",\"expiration\":\"2099-01-01T00:00:00Z\",\"value\":\"" svn "\"}]"

static const char *in(const char *name)
{
    static _Thread_local char paths[4][4400];
    static _Thread_local int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", tap_tmpdir(), name);
    return path;
}

static bool put(const char *name, const char *text)
{
    return file_write(in(name), str_of(text), 0600, NULL) == OK;
}

static void deploy(struct pki **pki)
{
    char cert[256], key[256];
    make_cert("server", cert, key);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 16);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* a constant of ours */
    buf_add_format(&text, config_text, tap_tmpdir());
#pragma GCC diagnostic pop
    buf_add_byte(&text, '\0');
    CHECK(put("kbs.toml", text.ptr) && put("policy.rego", POLICY("")) &&
          put("rv.json", VALUES("1")));
    CHECK(file_make_dirs(in("repo/r/t"), NULL) == OK && put("repo/r/t/load", "a secret") &&
          put("repo/r/t/never", "another"));
    CHECK(pki_make(in("pki"), 1u << AMD_MILAN, NULL) == OK && pki_open(in("pki"), pki, NULL) == OK);
}

/* ---- what is looked at ---- */

struct sample {
    long rss_kib, dirty_kib, fds, threads;
    double cpu_s;
};

static long proc_number(pid_t pid, const char *file, const char *name)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    FILE *f = fopen(path, "r");
    long n = -1;
    while (f != NULL && n < 0 && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            n = strtol(line + strlen(name), NULL, 10);
    if (f != NULL)
        fclose(f);
    return n;
}

static long count_fds(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    if (d == NULL)
        return -1;
    long n = -2; /* . and .. */
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* Closed connections are gone a moment later: look until there are at most `fds_want`, for 10 s. */
static struct sample look(pid_t pid, long fds_want)
{
    struct sample s = {.fds = count_fds(pid)};
    for (int i = 0; i < 1000 && s.fds > fds_want; i++) {
        usleep(10000);
        s.fds = count_fds(pid);
    }
    s.rss_kib = proc_number(pid, "smaps_rollup", "Rss:");
    s.dirty_kib = proc_number(pid, "smaps_rollup", "Private_Dirty:");
    s.threads = proc_number(pid, "status", "Threads:");
    clockid_t clock;
    struct timespec ts = {0};
    if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &ts) == 0)
        s.cpu_s = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
    return s;
}

/* ---- beside the load ---- */

struct side {
    const struct served *served;
    const char *name;
    bool (*step)(struct side *s); /* one of what it does, with the lock held */
    unsigned every_ms;
    pthread_mutex_t *pause;
    atomic_bool *stop;
    pthread_t thread;
    uint64_t done, failed;
    int64_t start_ns;
    struct error first;
    struct served_guest guest; /* of the reader */
    bool has_guest;
};

static void *run_side(void *arg)
{
    struct side *s = arg;
    while (!atomic_load(s->stop)) {
        pthread_mutex_lock(s->pause);
        bool ok = s->step(s);
        pthread_mutex_unlock(s->pause);
        s->done++;
        s->failed += !ok;
        usleep(s->every_ms * 1000);
    }
    if (s->has_guest)
        served_guest_done(&s->guest);
    return NULL;
}

static bool note(struct side *s, const char *what, const struct error *err)
{
    if (s->first.text[0] == '\0')
        error_set(&s->first, "%s: %s (%.0f s after the start)", what, err->text,
                  (double)(clock_monotonic_ns() - s->start_ns) / 1e9);
    return false;
}

/* One request of an administrator; why not, when it was not done. */
static bool write_secret(struct served_guest *g, const char *path, const char *text,
                         struct error *err)
{
    const struct guest_transport *t = &g->http.transport;
    struct guest_answer a;
    guest_answer_init(&a);
    enum status st = t->send(t->user, "POST", path, STR_EMPTY, str_of(text), &a, err);
    if (st == OK && a.status != 200) {
        error_set(err, "status %d, %s", a.status, QUOTED(buf_str(&a.body)));
        st = ERR_DENIED;
    }
    guest_answer_done(&a);
    return st == OK;
}

/* Overwrite, read what was written, be denied another. */
static bool step_reader(struct side *s)
{
    struct error err = ERROR_INIT;
    if (!s->has_guest) {
        s->has_guest = true;
        if (served_guest_init(&s->guest, s->served, in("server.crt"), &err) != OK ||
            served_guest_attest(&s->guest, &err) != OK)
            return note(s, "attest", &err);
    }
    char text[64];
    snprintf(text, sizeof(text), "value %llu", (unsigned long long)s->done);
    if (!write_secret(&s->guest, "/kbs/v0/resource/r/t/written", text, &err))
        return note(s, "write", &err);
    CLEANUP(buf_done) struct buf got;
    buf_init(&got, 100);
    enum status st = served_guest_get(&s->guest, "/kbs/v0/resource/r/t/written", &got, &err);
    if (st == ERR_DENIED && served_guest_attest(&s->guest, &err) == OK) /* the session ended */
        st = served_guest_get(&s->guest, "/kbs/v0/resource/r/t/written", &got, &err);
    if (st != OK || !str_is(buf_str(&got), text))
        return note(s, "read", &err);
    st = served_guest_get(&s->guest, "/kbs/v0/resource/r/t/never", &got, &err);
    return st == ERR_DENIED || note(s, "a denied resource", &err);
}

/* New state, broken state, the same again; the resource that guests ask for stays allowed. */
static bool step_changer(struct side *s)
{
    static const struct {
        const char *file, *text;
    } changes[] = {
        {"policy.rego", POLICY("other := {x | some x in [1, 2, 3]}\n")},
        {"rv.json", VALUES("2")},
        {"policy.rego", POLICY("allow if {\n")},
        {"rv.json", "[{]"},
        {"policy.rego", POLICY("")},
        {"rv.json", VALUES("1")},
    };
    size_t i = s->done % (ARRAY_LEN(changes) + 1);
    if (i == ARRAY_LEN(changes))
        return kill(s->served->pid, SIGHUP) == 0;
    return put(changes[i].file, changes[i].text);
}

static int connect_to(const struct served *s)
{
    const char *colon = strrchr(s->url, ':');
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* In the clear, before any TLS; or, with TLS, in place of a request. */
static bool step_rude(struct side *s)
{
    static const struct {
        bool tls;
        const char *bytes;
    } shapes[] = {
        {false, ""},
        {false, "GET / HTTP/1.1\r\n\r\n"},
        {false, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
        {true, ""},
        {true, "GET /kbs/v0/reso"},
        {true, "GET / HTTP/1.1\nHost: x\n\n"},
        {true, "POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{\"ver"},
        {true, "POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"},
        {true,
         "POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n"},
    };
    size_t i = s->done % ARRAY_LEN(shapes);
    struct error err = ERROR_INIT;
    int fd = connect_to(s->served);
    if (fd < 0)
        return note(s, "connect", &err);
    SSL_CTX *ctx = NULL;
    SSL *ssl = NULL;
    bool ok = true;
    size_t len = strlen(shapes[i].bytes);
    if (shapes[i].tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);
        ok = SSL_connect(ssl) == 1 && (len == 0 || SSL_write(ssl, shapes[i].bytes, (int)len) > 0);
    } else if (len > 0) {
        ok = write(fd, shapes[i].bytes, len) == (ssize_t)len;
    }
    struct linger hard = {.l_onoff = 1};
    if (s->done / ARRAY_LEN(shapes) % 2 == 1) /* RST */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return ok || note(s, "a rude client's own part", &err);
}

/* ---- the load ---- */

struct guests {
    struct load_options options;
    struct load_result result;
    enum status st;
    struct error err;
    pthread_t thread;
};

static void *run_guests(void *arg)
{
    struct guests *g = arg;
    g->err = (struct error)ERROR_INIT;
    g->st = load_run(&g->options, &g->result, &g->err);
    return NULL;
}

/* Both kinds at once; `per_second` 0: as fast as it goes.  How many exchanges, -1: some failed. */
static double run_load(struct guests kinds[2], unsigned seconds, double per_second)
{
    double done = 0;
    for (int i = 0; i < 2; i++) {
        kinds[i].options.seconds = seconds;
        kinds[i].options.per_second =
            per_second * kinds[i].options.connections / (SAMPLE_GUESTS + AZURE_GUESTS);
        if (pthread_create(&kinds[i].thread, NULL, run_guests, &kinds[i]) != 0)
            abort();
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(kinds[i].thread, NULL);
        struct guests *g = &kinds[i];
        if (g->st != OK || g->result.errors > 0) {
            printf("# %s: %llu failed: %s\n", g->options.tee, (unsigned long long)g->result.errors,
                   g->st != OK ? g->err.text : g->result.first_error);
            done = -1;
        }
        if (done >= 0)
            done += (double)g->result.done;
    }
    return done;
}

static bool flat(const struct sample *samples, size_t n, long first, size_t offset,
                 const char *name)
{
    long early = first, late = 0;
    for (size_t i = 0; i < n; i++) {
        long v;
        memcpy(&v, (const char *)&samples[i] + offset, sizeof(v));
        if (i < n / 3 && v > early)
            early = v;
        if (i >= n - n / 3 && v > late)
            late = v;
    }
    printf("# %s: %ld KiB at most in the first third, %ld in the last\n", name, early, late);
    return late > 0 && late <= early + FLAT_KIB;
}

static void soak(const struct served *s, struct guests kinds[2], double minutes)
{
    struct sample rest = look(s->pid, LONG_MAX);
    CHECK(rest.rss_kib > 0 && rest.fds > 0);
    double most = run_load(kinds, 5, 0) / 5;
    CHECK(most > 0);

    pthread_mutex_t pauses[3] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                 PTHREAD_MUTEX_INITIALIZER};
    atomic_bool stop = false;
    struct side sides[] = {
        {.name = "reads and writes", .step = step_reader, .every_ms = 50},
        {.name = "changed files", .step = step_changer, .every_ms = 1000},
        {.name = "rude clients", .step = step_rude, .every_ms = 50},
    };
    struct sample full = look(s->pid, rest.fds);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        sides[i].served = s;
        sides[i].pause = &pauses[i];
        sides[i].stop = &stop;
        sides[i].start_ns = clock_monotonic_ns();
        sides[i].first = (struct error)ERROR_INIT;
        CHECK(pthread_create(&sides[i].thread, NULL, run_side, &sides[i]) == 0);
    }

    size_t n = (size_t)minutes < SAMPLES_MIN ? SAMPLES_MIN : (size_t)minutes;
    n = n > SAMPLES_MAX ? SAMPLES_MAX : n;
    unsigned each = (unsigned)(minutes * 60 / (double)n + 0.5);
    each = each == 0 ? 1 : each;
    struct sample *samples = calloc(n, sizeof(*samples));
    printf("# at rest: %ld KiB resident, %ld private and dirty, %ld descriptors, %ld threads\n"
           "# after %.0f exchanges a second: %ld, %ld, %ld, %ld; so from now %.0f a second\n"
           "# %7s %9s %7s %8s %8s %8s %8s %6s %8s\n",
           rest.rss_kib, rest.dirty_kib, rest.fds, rest.threads, most, full.rss_kib, full.dirty_kib,
           full.fds, full.threads, most / 2, "seconds", "exchanges", "cpu %", "p50 ms", "p99 ms",
           "Rss", "Private", "fds", "threads");
    bool served = true;
    long fds_most = 0;
    double cpu = full.cpu_s;
    int64_t start = clock_monotonic_ns();
    for (size_t i = 0; i < n; i++) {
        int64_t from = clock_monotonic_ns();
        double done = run_load(kinds, each, most / 2);
        served = served && done > 0;
        double took = (double)(clock_monotonic_ns() - from) / 1e9;
        for (size_t k = 0; k < ARRAY_LEN(sides); k++)
            pthread_mutex_lock(&pauses[k]);
        samples[i] = look(s->pid, full.fds + 1); /* the reader's connection */
        for (size_t k = 0; k < ARRAY_LEN(sides); k++)
            pthread_mutex_unlock(&pauses[k]);
        const struct sample *v = &samples[i];
        fds_most = v->fds > fds_most ? v->fds : fds_most;
        printf("# %7.0f %9.0f %7.1f %8.2f %8.2f %8ld %8ld %6ld %8ld\n",
               (double)(clock_monotonic_ns() - start) / 1e9, done, (v->cpu_s - cpu) / took * 100,
               (double)kinds[0].result.p50_ns / 1e6, (double)kinds[0].result.p99_ns / 1e6,
               v->rss_kib, v->dirty_kib, v->fds, v->threads);
        fflush(stdout);
        cpu = v->cpu_s;
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        pthread_join(sides[i].thread, NULL);
        printf("# %s: %llu, %llu failed %s\n", sides[i].name, (unsigned long long)sides[i].done,
               (unsigned long long)sides[i].failed, sides[i].first.text);
        CHECK_ROW(sides[i].done > 0 && sides[i].failed == 0, sides[i].name);
    }
    CHECK(served);
    CHECK(fds_most <= full.fds + 1);
    CHECK(flat(samples, n, full.rss_kib, offsetof(struct sample, rss_kib), "resident"));
    CHECK(
        flat(samples, n, full.dirty_kib, offsetof(struct sample, dirty_kib), "private and dirty"));
    CHECK(samples[n - 1].threads == full.threads);
    free(samples);
}

static struct machine *machine_of(const char *tee, struct pki *pki)
{
    struct machine *m = NULL;
    CHECK_ROW(machine_new(machine_kind_find(str_of(tee)), pki, &m, NULL) == OK, tee);
    return m;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (geteuid() != 0) {
        printf("SKIP no-root: the memory of a server that is not dumpable\n");
        return 77;
    }
    const char *text = getenv("MINUTES");
    double minutes = text != NULL ? strtod(text, NULL) : 1;
    struct pki *pki = NULL;
    deploy(&pki);
    struct served s = {.config = strdup(in("kbs.toml")), .anchors = strdup(in("pki/anchors"))};
    char *ca = strdup(in("server.crt"));
    if (CHECK(minutes > 0) && served_start(&s)) {
        struct guests kinds[2] = {
            {.options = {.tee = "sample", .connections = SAMPLE_GUESTS}},
            {.options = {.tee = "az-snp-vtpm", .connections = AZURE_GUESTS}},
        };
        for (int i = 0; i < 2; i++) {
            struct load_options *o = &kinds[i].options;
            o->url = s.url;
            o->ca_file = ca;
            o->version = RCAR_0_4_0;
            o->key_kind = RCAR_KEY_EC256;
            o->machine = machine_of(o->tee, pki);
            o->path = "/kbs/v0/resource/r/t/load";
        }
        soak(&s, kinds, minutes);
        for (int i = 0; i < 2; i++)
            machine_free(kinds[i].options.machine);
        CHECK(served_end(&s, SIGINT) == 0);
    }
    pki_free(pki);
    free(ca);
    free((void *)(uintptr_t)s.config);
    free((void *)(uintptr_t)s.anchors);
    return tap_done();
}
