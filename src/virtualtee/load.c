#include "virtualtee/load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "virtualtee/guest_http.h"

#define STACK_BYTES (512 * 1024)

/*
 * Latencies in buckets: 32 a power of two of microseconds, so a bucket is at
 * most 3 % wide.
 */
#define SUB_BITS 5
#define SUBS (1u << SUB_BITS)
#define BUCKETS (40 * SUBS)

static size_t bucket_of(uint64_t us)
{
    if (us < SUBS)
        return us;
    unsigned top = 63 - (unsigned)__builtin_clzll(us);
    size_t i = (size_t)(top - SUB_BITS + 1) * SUBS + (us >> (top - SUB_BITS) & (SUBS - 1));
    return i < BUCKETS ? i : BUCKETS - 1;
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_top(size_t i)
{
    if (i < SUBS)
        return i;
    unsigned shift = (unsigned)(i / SUBS) - 1;
    return ((uint64_t)(SUBS + i % SUBS + 1) << shift) - 1;
}

struct worker {
    pthread_t thread;
    const struct load_options *options;
    struct machine *machine;
    struct guest_http http;
    const atomic_bool *stop;
    int64_t next_ns, every_ns; /* when the next exchange begins; every_ns 0: at once */
    uint64_t done, errors;
    int64_t max_ns;
    char first_error[ERROR_TEXT_MAX];
    uint32_t buckets[BUCKETS];
};

/* ---- one exchange ---- */

static enum status machine_attester(void *user, struct str report_data, struct buf *out,
                                    struct error *err)
{
    return machine_evidence(user, report_data, out, err);
}

static STATUS exchange(struct worker *w, struct error *err)
{
    const struct load_options *o = w->options;
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    enum status st = rcar_key_generate(o->key_kind, &key, err);
    if (st != OK)
        return st;

    guest_http_forget(&w->http);
    const struct guest g = {
        .version = o->version,
        .tee = o->tee,
        .key = key,
        .attester = {machine_attester, w->machine},
        .init_data = o->init_data,
        .transport = &w->http.transport,
    };
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, RCAR_TEXT_MAX);
    CLEANUP(guest_answer_done) struct guest_answer answer;
    guest_answer_init(&answer);
    struct str token;
    st = guest_attest(&g, &a, &token, &answer, err);
    if (st == OK) {
        CLEANUP(buf_done) struct buf plain;
        buf_init_secret(&plain, GUEST_ANSWER_MAX);
        st = guest_get_resource(&g, o->path, STR_EMPTY, &plain, &answer, err);
    }
    return st;
}

/* Wait for this worker's turn.  What is late is made up for, a second of it at most. */
static void wait_turn(struct worker *w)
{
    if (w->every_ns == 0)
        return;
    int64_t now = clock_monotonic_ns(), wait = w->next_ns - now;
    if (wait > 0) {
        struct timespec ts = {.tv_sec = wait / NS_PER_S, .tv_nsec = wait % NS_PER_S};
        nanosleep(&ts, NULL);
    } else if (wait < -NS_PER_S) {
        w->next_ns = now - NS_PER_S;
    }
    w->next_ns += w->every_ns;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        wait_turn(w);
        if (atomic_load_explicit(w->stop, memory_order_relaxed))
            break;
        struct error err = ERROR_INIT;
        int64_t from = clock_monotonic_ns();
        enum status st = exchange(w, &err);
        int64_t took = clock_monotonic_ns() - from;
        if (st != OK) {
            if (w->errors++ == 0)
                memcpy(w->first_error, err.text, sizeof(err.text));
            continue;
        }
        w->done++;
        w->buckets[bucket_of((uint64_t)took / 1000)]++;
        if (took > w->max_ns)
            w->max_ns = took;
    }
    return NULL;
}

/* ---- workers ---- */

static STATUS worker_init(struct worker *w, const struct load_options *o, const atomic_bool *stop,
                          struct error *err)
{
    w->options = o;
    w->stop = stop;
    enum status st = machine_clone(o->machine, &w->machine, err);
    const struct http_client_options https = {.ca_file = o->ca_file};
    return st == OK ? guest_http_init(&w->http, o->url, &https, err) : st;
}

static void worker_done(struct worker *w)
{
    guest_http_done(&w->http);
    machine_free(w->machine);
}

static STATUS start(struct worker *w, struct error *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&w->thread, &attr, work, w);
    pthread_attr_destroy(&attr);
    return rc == 0 ? OK : error_errno(err, rc, "could not start a thread");
}

/* The value that `share` of all are at most. */
static int64_t quantile(const uint64_t *buckets, uint64_t total, double share)
{
    uint64_t want = (uint64_t)((double)total * share), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += buckets[i];
        if (seen > want)
            return (int64_t)bucket_top(i) * 1000;
    }
    return 0;
}

static void add_up(const struct worker *workers, size_t n, struct load_result *out)
{
    uint64_t buckets[BUCKETS] = {0};
    for (size_t i = 0; i < n; i++) {
        const struct worker *w = &workers[i];
        out->done += w->done;
        out->errors += w->errors;
        if (w->max_ns > out->max_ns)
            out->max_ns = w->max_ns;
        if (out->first_error[0] == '\0')
            memcpy(out->first_error, w->first_error, sizeof(out->first_error));
        for (size_t k = 0; k < BUCKETS; k++)
            buckets[k] += w->buckets[k];
    }
    int64_t p50 = quantile(buckets, out->done, 0.50), p99 = quantile(buckets, out->done, 0.99);
    out->p50_ns = p50 < out->max_ns ? p50 : out->max_ns; /* a bucket's top may be above all */
    out->p99_ns = p99 < out->max_ns ? p99 : out->max_ns;
}

STATUS load_run(const struct load_options *o, struct load_result *out, struct error *err)
{
    *out = (struct load_result){.done = 0};

    /* The certificate is made once, before there are threads. */
    CLEANUP(buf_done) struct buf first;
    buf_init(&first, EVIDENCE_MAX);
    enum status st = machine_evidence(o->machine, STR("warm"), &first, err);
    if (st != OK)
        return st;

    struct worker *workers = calloc(o->connections, sizeof(*workers));
    if (workers == NULL)
        return error_nomem(err);
    atomic_bool stop = false;
    size_t made = 0, started = 0;
    while (st == OK && made < o->connections)
        st = worker_init(&workers[made++], o, &stop, err);

    int64_t from = clock_monotonic_ns();
    for (size_t i = 0; i < made && o->per_second > 0; i++) { /* turns spread evenly */
        workers[i].every_ns = (int64_t)(o->connections / o->per_second * (double)NS_PER_S);
        workers[i].next_ns = from + workers[i].every_ns * (int64_t)i / o->connections;
    }
    while (st == OK && started < o->connections) {
        st = start(&workers[started], err);
        if (st == OK)
            started++;
    }
    if (st == OK) {
        struct timespec wait = {.tv_sec = o->seconds};
        nanosleep(&wait, NULL);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    out->seconds = (double)(clock_monotonic_ns() - from) / (double)NS_PER_S;

    add_up(workers, made, out);
    for (size_t i = 0; i < made; i++)
        worker_done(&workers[i]);
    free(workers);
    return st;
}
