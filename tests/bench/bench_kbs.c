/*
 * bench_kbs - the broker as users run it: processor time, memory, start.
 *
 *   bench_kbs [SECONDS]
 *
 * Starts the `kbs` of this build (CLAVIGER_BUILD/programs, or KBS=PROGRAM) with a
 * configuration of its own and drives it over loopback: whole handshakes of guests with
 * sample and with Azure SNP evidence, `auth` alone, a resource in an open session.
 * SECONDS for each figure (3).  "cpu" is the server's processor time for one operation,
 * user and system, of all its threads.  For it server and guests share one processor, so
 * that the server is never slowed down by what runs on the other one (two processors that
 * are threads of one core, as virtual machines have them, do half as much each when both
 * are busy) and never woken up from sleep; the rate and the delays are taken with both.
 * Only ratios of one run mean something: the bare cryptography of a handshake is measured
 * on that same processor, on average, in turns with the server; what is told is the
 * median of the rounds.  Upstream's figures are those of docs/performance.md.
 * BENCH_JSON=FILE: the same as JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "virtualtee/load.h"
#include "virtualtee/plain_http.h"

#define CONNECTIONS 8
#define RING_BYTES 1048576
#define HANDSHAKES 100000
#define AUTHS 1000000

extern char **environ;

static char dir[] = "/tmp/bench-kbs-XXXXXX";
static char url[64];
static pid_t server;
static FILE *json;
static double seconds = 3;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_kbs: %s failed\n", what);
        if (server > 0)
            kill(server, SIGKILL);
        exit(1);
    }
}
#define MUST(cond) must((cond), #cond)

static void report(const char *name, double figure, const char *unit, double upstream,
                   const char *note)
{
    char than[32] = "";
    if (upstream > 0)
        snprintf(than, sizeof(than), "%.2f", figure / upstream);
    printf("%-34s %10.3f %-4s %6s  %s\n", name, figure, unit, than, note);
    fflush(stdout);
    if (json != NULL)
        fprintf(json, "%s\"%s (%s)\": %.4f", ftell(json) > 1 ? ",\n" : "", name, unit, figure);
}

/* ---- the server ---- */

static void write_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    must(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

static void write_configuration(void)
{
    char text[4096], folder[128];
    snprintf(text, sizeof(text),
             "[http_server]\n"
             "sockets = [\"127.0.0.1:0\"]\n"
             "insecure_http = true\n"
             "[admin]\n"
             "insecure_api = true\n"
             "[attestation_token]\n"
             "insecure_key = true\n"
             "[attestation_service]\n"
             "type = \"coco_as_builtin\"\n"
             "work_dir = \"%s/as\"\n"
             "[attestation_service.attestation_token_broker]\n"
             "type = \"Ear\"\n"
             "policy_dir = \"%s/policies\"\n"
             "[attestation_service.rvps_config]\n"
             "type = \"BuiltIn\"\n"
             "[attestation_service.rvps_config.storage]\n"
             "type = \"LocalJson\"\n"
             "file_path = \"%s/reference-values.json\"\n"
             "[attestation_service.verifier_config.sample_verifier]\n"
             "[policy_engine]\n"
             "policy_path = \"%s/policy.rego\"\n"
             "[[plugins]]\n"
             "name = \"resource\"\n"
             "type = \"LocalFs\"\n"
             "dir_path = \"%s/repository\"\n"
             "[claviger]\n"
             "decision_ring = %d\n",
             dir, dir, dir, dir, dir, RING_BYTES);
    write_text("kbs.toml", text);
    write_text("reference-values.json", "[]");
    write_text("policy.rego", "package policy\nimport rego.v1\ndefault allow := true\n");
    static const char *const folders[] = {"repository", "repository/default",
                                          "repository/default/key"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(folder, sizeof(folder), "%s/%s", dir, folders[i]);
        must(mkdir(folder, 0700) == 0, folder);
    }
    write_text("repository/default/key/1", "a secret of the usual size");
}

static void make_pki(struct pki **out)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/pki", dir);
    MUST(pki_make(path, 1u << AMD_MILAN, NULL) == OK);
    MUST(pki_open(path, out, NULL) == OK);
}

/* Seconds from exec to the first answer.  `test_makers`: trust those of our machines. */
static double start_server(bool test_makers)
{
    const char *build = getenv("CLAVIGER_BUILD");
    const char *program = getenv("KBS");
    char path[4096], config[128], anchors[128], log[128];
    snprintf(path, sizeof(path), "%s/programs/kbs", build == NULL ? "build" : build);
    snprintf(config, sizeof(config), "%s/kbs.toml", dir);
    snprintf(anchors, sizeof(anchors), "%s/pki/anchors", dir);
    snprintf(log, sizeof(log), "%s/log", dir);
    char c[] = "-c", extra[] = "--extra-trust-anchors";
    char *argv[] = {path, c, config, test_makers ? extra : NULL, anchors, NULL};
    if (program != NULL)
        argv[0] = (char *)(uintptr_t)program;

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND,
                                     0600);
    int64_t from = clock_monotonic_ns();
    must(posix_spawn(&server, argv[0], &actions, NULL, argv, environ) == 0, argv[0]);
    posix_spawn_file_actions_destroy(&actions);

    url[0] = '\0';
    for (int i = 0; i < 100000 && url[0] == '\0'; i++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        if (file_read(log, &text, NULL) == OK) {
            buf_add_byte(&text, '\0');
            const char *at = strstr(text.ptr, "Starting HTTP server at [");
            char address[32];
            if (at != NULL && sscanf(at, "Starting HTTP server at [%31[0-9.:]", address) == 1)
                snprintf(url, sizeof(url), "http://%s", address);
        }
        must(waitpid(server, NULL, WNOHANG) == 0, "the server's start");
        if (url[0] == '\0')
            usleep(50);
    }
    struct plain_http http = {0};
    CLEANUP(guest_answer_done) struct guest_answer answer;
    guest_answer_init(&answer);
    MUST(plain_http_init(&http, url, NULL) == OK);
    MUST(http.transport.send(http.transport.user, "GET", "/healthz", STR_EMPTY,
                             (struct str){NULL, 0}, &answer, NULL) == OK);
    double took = (double)(clock_monotonic_ns() - from) / 1e9;
    plain_http_done(&http);
    return took;
}

static void stop_server(void)
{
    kill(server, SIGINT);
    waitpid(server, NULL, 0);
    server = 0;
}

/* Milliseconds of processor time of all threads so far. */
static double cpu_ms(void)
{
    clockid_t clock;
    struct timespec ts;
    MUST(clock_getcpuclockid(server, &clock) == 0 && clock_gettime(clock, &ts) == 0);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double memory_kib(const char *name)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", server);
    FILE *f = fopen(path, "r");
    must(f != NULL, path);
    double kib = -1;
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtod(line + strlen(name) + 1, NULL);
    fclose(f);
    return kib;
}

/* ---- the bare cryptography: on average, as the server's figures are ---- */

static double own_cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/*
 * Milliseconds of what no server of this protocol can do without in a handshake with an
 * EC key: a key pair and an agreement for the answer, a signature under the token, and,
 * as upstream's clients see it, one verification of that.
 */
static double bare_crypto_ms(void)
{
    struct privkey *signer = NULL, *guest = NULL;
    MUST(privkey_generate(KEY_EC_P256, 0, &signer, NULL) == OK);
    MUST(privkey_generate(KEY_EC_P256, 0, &guest, NULL) == OK);
    struct str message = STR("a token of some hundred bytes, which are hashed in a moment");
    double from = own_cpu_ms(), n = 0;
    for (int64_t until = clock_monotonic_ns() + NS_PER_S / 5; clock_monotonic_ns() < until; n++) {
        CLEANUP(privkey_cleanup) struct privkey *own = NULL;
        CLEANUP(buf_done) struct buf shared;
        CLEANUP(buf_done) struct buf signature;
        buf_init_secret(&shared, 64);
        buf_init(&signature, 64);
        MUST(privkey_generate(KEY_EC_P256, 0, &own, NULL) == OK);
        MUST(ecdh_compute(own, privkey_public(guest), &shared, NULL) == OK);
        MUST(privkey_sign(signer, SIG_ECDSA_RAW, DIGEST_SHA256, message, &signature, NULL) == OK);
        MUST(pubkey_verify(privkey_public(signer), SIG_ECDSA_RAW, DIGEST_SHA256, message,
                           buf_str(&signature), NULL) == OK);
    }
    double each = (own_cpu_ms() - from) / n;
    privkey_unref(signer);
    privkey_unref(guest);
    return each;
}

/*
 * Milliseconds of one P-384 verification, which the report of an SNP machine adds: as ASN.1,
 * which is OpenSSL's alone (crypto/multiples.h).
 */
static double bare_report_ms(void)
{
    struct privkey *signer = NULL;
    CLEANUP(buf_done) struct buf signature;
    buf_init(&signature, 128);
    struct str report = STR("a report of some hundred bytes");
    MUST(privkey_generate(KEY_EC_P384, 0, &signer, NULL) == OK);
    MUST(privkey_sign(signer, SIG_ECDSA_DER, DIGEST_SHA384, report, &signature, NULL) == OK);
    double from = own_cpu_ms(), n = 0;
    for (int64_t until = clock_monotonic_ns() + NS_PER_S / 5; clock_monotonic_ns() < until; n++)
        MUST(pubkey_verify(privkey_public(signer), SIG_ECDSA_DER, DIGEST_SHA384, report,
                           buf_str(&signature), NULL) == OK);
    double each = (own_cpu_ms() - from) / n;
    privkey_unref(signer);
    return each;
}

/* ---- operations ---- */

static struct load_result handshakes(struct machine *m, unsigned connections, double for_s,
                                     double *cpu)
{
    const struct load_options o = {
        .url = url,
        .connections = connections,
        .seconds = (unsigned)(for_s + 0.5),
        .version = RCAR_0_4_0,
        .key_kind = RCAR_KEY_EC256,
        .tee = machine_kind_of(m)->tee,
        .machine = m,
        .path = "/kbs/v0/resource/default/key/1",
    };
    struct load_result r;
    struct error err = ERROR_INIT;
    double before = cpu_ms();
    must(load_run(&o, &r, &err) == OK && r.errors == 0 && r.done > 0,
         err.text[0] != '\0' ? err.text : r.first_error);
    *cpu = (cpu_ms() - before) / (double)r.done;
    return r;
}

static enum status evidence(void *user, struct str report_data, struct buf *out, struct error *err)
{
    return machine_evidence(user, report_data, out, err);
}

/* A request over and over on one connection; `attested`: in a session. */
static double repeat(struct machine *m, bool attested, const char *method, const char *path,
                     struct str body, uint64_t count)
{
    struct plain_http http = {0};
    CLEANUP(guest_answer_done) struct guest_answer answer;
    guest_answer_init(&answer);
    MUST(plain_http_init(&http, url, NULL) == OK);
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    MUST(rcar_key_generate(RCAR_KEY_EC256, &key, NULL) == OK);
    if (attested) {
        const struct guest g = {
            .version = RCAR_0_4_0,
            .tee = machine_kind_of(m)->tee,
            .key = key,
            .attester = {evidence, m},
            .transport = &http.transport,
        };
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, RCAR_TEXT_MAX);
        struct str token;
        MUST(guest_attest(&g, &a, &token, &answer, NULL) == OK);
    }
    int64_t until = clock_monotonic_ns() + (int64_t)(seconds * 1e9);
    double before = cpu_ms();
    uint64_t n = 0;
    while (count > 0 ? n < count : clock_monotonic_ns() < until) {
        buf_reset(&answer.body);
        MUST(http.transport.send(http.transport.user, method, path, STR_EMPTY, body, &answer,
                                 NULL) == OK &&
             answer.status == 200);
        n++;
    }
    double each = (cpu_ms() - before) / (double)n;
    plain_http_done(&http);
    return each;
}

#define AUTH_MEMBERS                                                                               \
    "\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":"                                   \
    "{\"supported-hash-algorithms\":[\"sha256\",\"sha384\",\"sha512\"]}"
#define AUTH_BODY "{" AUTH_MEMBERS "}"
#define LARGE_AUTHS 220

/* This process, and the server that it starts next, on one processor or on all. */
static void share_processor(bool one)
{
    static cpu_set_t all;
    cpu_set_t first;
    if (CPU_COUNT(&all) == 0)
        MUST(sched_getaffinity(0, sizeof(all), &all) == 0);
    CPU_ZERO(&first);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&first) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &first);
    MUST(sched_setaffinity(0, sizeof(first), one ? &first : &all) == 0);
}

#define ROUNDS_MAX 32

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *numbers, size_t n)
{
    qsort(numbers, n, sizeof(*numbers), by_number);
    return numbers[n / 2];
}

/* In rounds of a second each with the bare cryptography before it: what else runs on the
 * machine, or on the one that it is a part of, slows both down. */
static void measure_handshake(const char *name, struct machine *m, unsigned guests,
                              double (*more)(void), double upstream)
{
    double cpu[ROUNDS_MAX], bare[ROUNDS_MAX], ratio[ROUNDS_MAX];
    size_t rounds = (size_t)(2 * seconds);
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    handshakes(m, guests, 1, &cpu[0]); /* warm */
    for (size_t i = 0; i < rounds; i++) {
        bare[i] = bare_crypto_ms() + (more != NULL ? more() : 0);
        handshakes(m, guests, 1, &cpu[i]);
        ratio[i] = cpu[i] / bare[i];
    }
    char note[96];
    snprintf(note, sizeof(note), "%.2f times the bare cryptography, %.3f", median(ratio, rounds),
             median(bare, rounds));
    report(name, median(cpu, rounds), "ms", upstream, note);
}

static void measure_cpu(struct machine *sample, struct machine *azure)
{
    share_processor(true);
    start_server(true);
    measure_handshake("handshake, sample, cpu", sample, CONNECTIONS, NULL, 1.24);
    measure_handshake("handshake, one guest, cpu", sample, 1, NULL, 1.24);
    measure_handshake("handshake, az-snp-vtpm, cpu", azure, CONNECTIONS, bare_report_ms, 1.36);
    double cpu =
        repeat(sample, true, "GET", "/kbs/v0/resource/default/key/1", (struct str){NULL, 0}, 0);
    report("resource in an open session, cpu", cpu, "ms", 0.505, "");
    cpu = repeat(sample, false, "POST", "/kbs/v0/auth", STR(AUTH_BODY), 0);
    report("auth, cpu", cpu, "ms", 0.018, "");
    report("bare cryptography of a handshake", bare_crypto_ms(), "ms", 0.097, "in this process");
    report("and of an SNP report", bare_report_ms(), "ms", 0.44, "one P-384 verification");
    stop_server();
    share_processor(false);
}

static void measure_rate(struct machine *sample)
{
    start_server(true);
    double cpu;
    handshakes(sample, 1, 1, &cpu); /* warm */
    struct load_result r = handshakes(sample, CONNECTIONS, seconds, &cpu);
    report("handshakes, 8 connections", (double)r.done / r.seconds, "/s", 1258, "guests included");
    report("handshake, 8 connections, cpu", cpu, "ms", 1.24, "beside its guests");
    report("handshake, 8 connections, p50", (double)r.p50_ns / 1e6, "ms", 0, "");
    report("handshake, 8 connections, p99", (double)r.p99_ns / 1e6, "ms", 12.5, "");
    stop_server();
}

static void measure_memory(struct machine *sample)
{
    double best = 0;
    for (int i = 0; i < 10; i++) {
        if (server > 0)
            stop_server();
        double took = start_server(false);
        if (best == 0 || took < best)
            best = took;
    }
    report("start, exec to first answer", best * 1e3, "ms", 9, "best of 10");
    double rest = memory_kib("Rss:");
    report("resident at rest", rest / 1024, "MiB", 19.4, "");
    report("private and dirty at rest", memory_kib("Private_Dirty:") / 1024, "MiB", 0, "");

    double unused;
    const char *full = getenv("BENCH_FULL"); /* make test-long: the whole counts */
    uint64_t auths = full != NULL ? AUTHS : AUTHS / 20;
    uint64_t want = full != NULL ? HANDSHAKES : HANDSHAKES / 20, done = 0;
    while (done < want)
        done += handshakes(sample, CONNECTIONS, 1, &unused).done;
    char note[64];
    snprintf(note, sizeof(note), "above rest, after %llu, ring of 1 MiB", (unsigned long long)done);
    report("memory after handshakes", (memory_kib("Rss:") - rest) / 1024, "MiB", 0, note);
    double before = memory_kib("Rss:");
    repeat(sample, false, "POST", "/kbs/v0/auth", STR(AUTH_BODY), auths);
    snprintf(note, sizeof(note), "more, after %llu of them", (unsigned long long)auths);
    report("memory after auth calls", (memory_kib("Rss:") - before) / 1024, "MiB", 0, note);

    /* What anybody may send, as large as it may be. */
    CLEANUP(buf_done) struct buf large;
    buf_init(&large, 2 * 1048576);
    buf_add_cstr(&large, "{\"pad\":\"");
    while (large.len < 2000000)
        buf_add_byte(&large, 'x');
    buf_add_cstr(&large, "\"," AUTH_MEMBERS "}");
    repeat(sample, false, "POST", "/kbs/v0/auth", buf_str(&large), LARGE_AUTHS);
    usleep(200000); /* the answer comes before what it took is given back */
    snprintf(note, sizeof(note), "more, after %d of 2 MB", LARGE_AUTHS);
    report("memory after large auth calls", (memory_kib("Rss:") - before) / 1024, "MiB", 19, note);
}

static struct machine *machine_of(const char *tee, struct pki *pki)
{
    struct machine *m = NULL;
    MUST(machine_new(machine_kind_find(str_of(tee)), pki, &m, NULL) == OK);
    return m;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    const char *json_path = getenv("BENCH_JSON");
    if (json_path != NULL && (json = fopen(json_path, "w")) != NULL)
        fputs("{", json);
    must(mkdtemp(dir) != NULL, dir);
    struct pki *pki = NULL;
    make_pki(&pki);
    write_configuration();
    struct machine *sample = machine_of("sample", NULL);
    struct machine *azure = machine_of("az-snp-vtpm", pki);

    printf("%-34s %10s %-4s %6s\n", "", "", "", "of upstream's");
    measure_memory(sample);
    stop_server();
    measure_cpu(sample, azure);
    measure_rate(sample);

    machine_free(sample);
    machine_free(azure);
    pki_free(pki);
    char rm[] = "rm", flags[] = "-rf";
    char *remove_dir[] = {rm, flags, dir, NULL};
    pid_t pid;
    if (posix_spawnp(&pid, rm, NULL, NULL, remove_dir, environ) == 0)
        waitpid(pid, NULL, 0);
    if (json != NULL) {
        fputs("}\n", json);
        fclose(json);
    }
    return 0;
}
