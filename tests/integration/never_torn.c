/*
 * Never torn, never lost, against a whole kbs:
 *
 *   reads   a secret of 700 kB is read while it is overwritten in a loop
 *   kills   writers of secrets, a policy and a deleter are at it when kill -9
 *           comes; afterwards every acknowledged write is there, none is half
 *           there, and what was being written is there whole or not at all
 *
 * CLAVIGER_LONG: 10,000 reads and 200 kills for each kind of storage.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/random.h"
#include "served.h"
#include "storage/storage.h"
#include "tap.h"

#define BIG 700000

struct kind {
    const char *name;
    const char *config; /* %1$s: the folder of the test */
};

#define COMMON                                                                                     \
    "[http_server]\nsockets = [\"127.0.0.1:0\"]\ninsecure_http = true\n"                           \
    "[admin]\nauthorization_mode = \"InsecureAllowAll\"\n"                                         \
    "[attestation_service]\ntype = \"coco_as_builtin\"\n"                                          \
    "[attestation_service.verifier_config.sample_verifier]\n"
#define NEW_ERA(type, backend)                                                                     \
    COMMON "[[plugins]]\nname = \"resource\"\nstorage_backend_type = \"kvstorage\"\n"              \
           "[storage_backend]\nstorage_type = \"" type "\"\n[storage_backend.backends." backend

static const struct kind kinds[] = {
    {"LocalFs", NEW_ERA("LocalFs", "local_fs]\ndir_path = \"%1$s/fs\"\n")},
    {"Sqlite", NEW_ERA("Sqlite", "sqlite]\npath = \"%1$s/db/claviger.sqlite\"\n")},
    {"LocalJson", NEW_ERA("LocalJson", "local_json]\nfile_dir_path = \"%1$s/json\"\n")},
    {"nested folders",
     "[http_server]\nsockets = [\"127.0.0.1:0\"]\ninsecure_http = true\n"
     "[admin]\ninsecure_api = true\n"
     "[attestation_service]\ntype = \"coco_as_builtin\"\n"
     "[attestation_service.verifier_config.sample_verifier]\n"
     "[policy_engine]\npolicy_path = \"%1$s/nested.rego\"\n"
     "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndir_path = \"%1$s/nested\"\n"},
};

static bool is_long(void)
{
    return getenv("CLAVIGER_LONG") != NULL;
}

static const char *path_in(const char *name)
{
    static char path[4300];
    snprintf(path, sizeof(path), "%s/%s", tap_tmpdir(), name);
    return path;
}

static bool write_config(const struct kind *k, struct served *s)
{
    static char path[4300];
    snprintf(path, sizeof(path), "%s", path_in("kbs.toml"));
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 16);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* a constant of ours */
    buf_add_format(&text, k->config, tap_tmpdir());
#pragma GCC diagnostic pop
    *s = (struct served){.config = path};
    return CHECK_ROW(file_write(path, buf_str(&text), 0600, NULL) == OK, k->name);
}

/* What the server keeps, looked at from outside. */
static struct storage *open_store(const struct kind *k, const char *ns)
{
    struct storage *s = NULL;
    enum status st;
    switch (k - kinds) {
    case 0:
        st = storage_open_local_fs(path_in("fs"), str_of(ns), STORAGE_MAKE, &s, NULL);
        break;
    case 1:
        st = storage_open_sqlite(path_in("db/claviger.sqlite"), str_of(ns), STORAGE_MAKE, &s, NULL);
        break;
    case 2:
        st = storage_open_local_json(path_in("json"), str_of(ns), STORAGE_MAKE, &s, NULL);
        break;
    default:
        st = storage_open_nested(path_in("nested"), STORAGE_MAKE, &s, NULL);
    }
    CHECK_ROW(st == OK, k->name);
    return s;
}

/* ---- values that say which they are ---- */

/* The n-th value of a key: its number, bytes that follow from it, its number. */
static void make_value(struct buf *out, uint64_t n, size_t size)
{
    buf_reset(out);
    buf_add_format(out, "%016llx", (unsigned long long)n);
    for (uint64_t x = n * 0x9e3779b97f4a7c15u; out->len + 24 <= size;) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        buf_add(out, str_bytes(&x, sizeof(x)));
    }
    buf_add_format(out, "%016llx", (unsigned long long)n);
}

/* The number of a whole value; -1: it is torn. */
static int64_t number_of(struct str got, size_t size)
{
    if (got.len < 32)
        return -1;
    char digits[17] = "";
    memcpy(digits, got.ptr, 16);
    uint64_t n = strtoull(digits, NULL, 16);
    CLEANUP(buf_done) struct buf want;
    buf_init(&want, 1 << 22);
    make_value(&want, n, size);
    return str_equal(buf_str(&want), got) ? (int64_t)n : -1;
}

static void make_policy_body(struct buf *out, struct str text)
{
    buf_reset(out);
    buf_add_cstr(out, "{\"policy\":\"");
    base64_write(out, text, BASE64_URL);
    buf_add_cstr(out, "\"}");
}

static const struct str first_policy = STR("package policy\nallow = true\n");

/* ---- reads ---- */

struct overwriter {
    const struct served *s;
    atomic_bool stop;
    uint64_t written;
};

static void *overwrite(void *user)
{
    struct overwriter *o = user;
    struct plain_http h;
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, 1 << 22);
    if (plain_http_init(&h, o->s->url, NULL) != OK)
        return NULL;
    while (!atomic_load(&o->stop)) {
        make_value(&body, o->written + 1, BIG);
        if (served_request(&h.transport, "POST", "/kbs/v0/resource/a/b/c", buf_str(&body)) != 200)
            break;
        o->written++;
    }
    plain_http_done(&h);
    return NULL;
}

static void test_reads(const struct kind *k, int reads)
{
    struct served s;
    if (!write_config(k, &s) || !served_start(&s))
        return;
    CLEANUP(buf_done) struct buf secret, policy;
    buf_init(&secret, 1 << 22);
    buf_init(&policy, 1 << 16);
    make_value(&secret, 0, BIG);
    struct served_guest g;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(served_guest_init(&g, &s, NULL, &err), OK, &err, k->name);
    make_policy_body(&policy, first_policy);
    CHECK(served_request(&g.http.transport, "POST", "/kbs/v0/resource-policy", buf_str(&policy)) ==
          200);
    CHECK(served_request(&g.http.transport, "POST", "/kbs/v0/resource/a/b/c", buf_str(&secret)) ==
          200);
    CHECK_STATUS_ROW(served_guest_attest(&g, &err), OK, &err, k->name);

    struct overwriter o = {.s = &s};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, overwrite, &o) == 0);
    int failed = 0, torn = 0, back = 0, seen = 0;
    int64_t last = 0;
    int64_t start = clock_monotonic_ns();
    /* However busy the machine, some of them are of a later value. */
    for (int i = 0; i < reads || (seen == 0 && clock_monotonic_ns() - start < 60 * NS_PER_S); i++) {
        buf_reset(&secret);
        enum status st = served_guest_get(&g, "/kbs/v0/resource/a/b/c", &secret, &err);
        if (st == ERR_DENIED && served_guest_attest(&g, &err) == OK) /* the session ended */
            st = served_guest_get(&g, "/kbs/v0/resource/a/b/c", &secret, &err);
        failed += st != OK;
        int64_t n = st == OK ? number_of(buf_str(&secret), BIG) : last;
        torn += n < 0;
        back += n >= 0 && n < last;
        seen += n > last;
        last = n > last ? n : last;
    }
    atomic_store(&o.stop, true);
    pthread_join(thread, NULL);
    printf("# %s: %d reads, %d of a new secret, %llu writes\n", k->name, reads, seen,
           (unsigned long long)o.written);
    CHECK_ROW(failed == 0 && torn == 0 && back == 0, k->name);
    CHECK_ROW(seen > 0 && o.written > 0, k->name);
    served_guest_done(&g);
    CHECK_ROW(served_end(&s, SIGINT) == 0, k->name);
}

/* ---- kills ---- */

enum job { SMALL, MIDDLE, LARGE, POLICY, DELETER, JOBS };
static const size_t sizes[JOBS] = {
    [SMALL] = 100, [MIDDLE] = 60000, [LARGE] = BIG, [DELETER] = 5000};

struct writer {
    const struct kind *kind;
    const struct served *s;
    enum job job;
    atomic_uint_fast64_t acknowledged; /* the last one */
    pthread_t thread;
};

static void make_policy(struct buf *out, uint64_t n)
{
    buf_reset(out);
    buf_add_format(out, "package policy\n# %llu\n", (unsigned long long)n);
    for (int i = 0; i < 200; i++)
        buf_add_format(out, "# line %d of a policy that is long enough to be torn\n", i);
    buf_add_format(out, "allow = %s\n# %llu\n", n % 2 == 0 ? "true" : "false",
                   (unsigned long long)n);
}

static bool write_one(struct writer *w, struct plain_http *h, uint64_t n, struct buf *body)
{
    char path[64];
    snprintf(path, sizeof(path), "/kbs/v0/resource/w/r/%d", w->job);
    if (w->job == POLICY) {
        CLEANUP(buf_done) struct buf policy;
        buf_init(&policy, 1 << 16);
        make_policy(&policy, n);
        make_policy_body(body, buf_str(&policy));
        return served_request(&h->transport, "POST", "/kbs/v0/resource-policy", buf_str(body)) ==
               200;
    }
    make_value(body, n, sizes[w->job]);
    /* The deleter's odd writes are there, its even ones are gone. */
    bool gone = w->job == DELETER && n % 2 == 0;
    return served_request(&h->transport, gone ? "DELETE" : "POST", path,
                          gone ? STR_EMPTY : buf_str(body)) == 200;
}

static void *write_on(void *user)
{
    struct writer *w = user;
    struct plain_http h;
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, 1 << 22);
    if (plain_http_init(&h, w->s->url, NULL) != OK)
        return NULL;
    while (write_one(w, &h, w->acknowledged + 1, &body))
        w->acknowledged++;
    plain_http_done(&h);
    return NULL;
}

/* The write that is there: the last acknowledged one or the one after it; -1: neither. */
static int64_t look(const struct writer *w, struct storage *store, struct buf *b)
{
    char key[16];
    snprintf(key, sizeof(key), "w/r/%d", w->job);
    buf_reset(b);
    struct error err = ERROR_INIT;
    enum status st = w->job != POLICY ? storage_get(store, str_of(key), b, &err)
                     : w->kind - kinds == 3
                         ? file_read(path_in("nested.rego"), b, &err)
                         : storage_get(store, STR("resource-policy.rego"), b, &err);
    for (uint64_t n = w->acknowledged; n <= w->acknowledged + 1; n++) {
        if (n == 0 || (w->job == DELETER && n % 2 == 0)) {
            if (st == ERR_NOT_FOUND || (w->job == POLICY && str_equal(buf_str(b), first_policy)))
                return (int64_t)n;
        } else if (st == OK && w->job == POLICY) {
            CLEANUP(buf_done) struct buf want;
            buf_init(&want, 1 << 16);
            make_policy(&want, n);
            if (str_equal(buf_str(&want), buf_str(b)))
                return (int64_t)n;
        } else if (st == OK && number_of(buf_str(b), sizes[w->job]) == (int64_t)n) {
            return (int64_t)n;
        }
    }
    printf("# %s, writer %d: %llu was acknowledged, there is %s %.40s\n", w->kind->name, w->job,
           (unsigned long long)atomic_load(&w->acknowledged), st == OK ? "another" : err.text,
           st == OK && b->len > 0 ? b->ptr : "");
    return -1;
}

static uint64_t sum(struct writer *writers)
{
    uint64_t n = 0;
    for (int job = 0; job < JOBS; job++)
        n += atomic_load(&writers[job].acknowledged);
    return n;
}

static void look_at_all(const struct kind *k, struct writer *writers, int *lost)
{
    CLEANUP(storage_cleanup) struct storage *resources = open_store(k, "repository");
    CLEANUP(storage_cleanup) struct storage *policies = open_store(k, "kbs");
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, STORAGE_VALUE_MAX);
    for (int job = 0; job < JOBS; job++) {
        int64_t n = look(&writers[job], job == POLICY ? policies : resources, &b);
        *lost += n < 0;
        if (n >= 0)
            writers[job].acknowledged = (uint64_t)n; /* go on from there */
    }
}

/* Temporary files below a folder: each holds a secret that nobody has asked for. */
static int leftovers(const char *dir, int depth)
{
    DIR *d = depth == 0 ? NULL : opendir(dir);
    int n = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char sub[4096];
        snprintf(sub, sizeof(sub), "%s/%.255s", dir, e->d_name);
        n += str_has_prefix(str_of(e->d_name), STR(FILE_TMP_PREFIX));
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            n += leftovers(sub, depth - 1);
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static void test_kills(const struct kind *k, int kills)
{
    struct served s;
    if (!write_config(k, &s))
        return;
    struct writer writers[JOBS];
    for (int job = 0; job < JOBS; job++)
        writers[job] = (struct writer){.kind = k, .s = &s, .job = (enum job)job};
    int lost = 0;
    bool all = true;
    for (int i = 0; i < kills && all; i++) {
        all = served_start(&s);
        if (i > 0)
            look_at_all(k, writers, &lost);
        uint64_t before = sum(writers);
        for (int job = 0; all && job < JOBS; job++)
            CHECK(pthread_create(&writers[job].thread, NULL, write_on, &writers[job]) == 0);
        int64_t start = clock_monotonic_ns();
        while (all && sum(writers) == before && clock_monotonic_ns() - start < 60 * NS_PER_S)
            usleep(1000);
        uint16_t random;
        random_bytes(&random, sizeof(random));
        usleep(10000u + random * 2u); /* up to 141 ms */
        served_end(&s, SIGKILL);
        for (int job = 0; all && job < JOBS; job++)
            pthread_join(writers[job].thread, NULL);
    }
    all = all && served_start(&s);
    look_at_all(k, writers, &lost);
    uint64_t written = sum(writers);
    printf("# %s: %d times kill -9, %llu acknowledged writes\n", k->name, kills,
           (unsigned long long)written);
    CHECK_ROW(all && lost == 0, k->name);
    CHECK_ROW(leftovers(tap_tmpdir(), 8) == 0, k->name);
    CHECK_ROW(written >= (uint64_t)kills, k->name);
    CHECK_ROW(served_end(&s, SIGINT) == 0, k->name);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        /* A JSON file is rewritten whole for each value, and is no choice for many large ones. */
        bool json = i == 2;
        test_reads(&kinds[i], is_long() ? json ? 500 : 10000 : json ? 20 : 120);
        test_kills(&kinds[i], is_long() ? json ? 50 : 200 : 10);
    }
    return tap_done();
}
