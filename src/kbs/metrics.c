#include "kbs/metrics.h"

#include <stdio.h>

#ifndef CLAVIGER_VERSION
#define CLAVIGER_VERSION "0"
#endif

/* 10^-9 seconds and bytes; kbs.md 11.1. */
static const uint64_t duration_ns[] = {500000,   1000000,   5000000,   10000000,
                                       50000000, 500000000, 1000000000};
static const char *const duration_text[] = {"0.0005", "0.001", "0.005", "0.01", "0.05", "0.5", "1"};
static const uint64_t size_bytes[] = {32, 128, 512, 2048, 8192};
static const char *const size_text[] = {"32", "128", "512", "2048", "8192"};

static const char *const tees[METRIC_TEES_MAX] = {
    "sample", "az-snp-vtpm", "az-tdx-vtpm", "snp",       "tdx", "sgx",    "cca",      "csv",
    "se",     "tpm",         "azsnpvtpm",   "aztdxvtpm", "sev", "nvidia", "hygondcu", "other",
};

size_t metric_tee(struct str tee)
{
    for (size_t i = 0; i < METRIC_TEES_MAX; i++)
        if (str_is(tee, tees[i]))
            return i;
    return METRIC_TEES_MAX - 1;
}

static void observe(struct histogram *h, const uint64_t *limits, size_t n, uint64_t v)
{
    size_t i = 0;
    while (i < n && v > limits[i])
        i++;
    atomic_fetch_add_explicit(i < n ? &h->buckets[i] : &h->over, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, v, memory_order_relaxed);
}

void metric_observe_duration(struct metrics *m, int64_t ns)
{
    observe(&m->duration, duration_ns, ARRAY_LEN(duration_ns), ns < 0 ? 0 : (uint64_t)ns);
}

void metric_observe_request(struct metrics *m, uint64_t bytes)
{
    observe(&m->request_size, size_bytes, ARRAY_LEN(size_bytes), bytes);
}

void metric_observe_response(struct metrics *m, uint64_t bytes)
{
    observe(&m->response_size, size_bytes, ARRAY_LEN(size_bytes), bytes);
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t v)
{
    family(out, name, "counter", help);
    buf_add_format(out, "%s %llu\n", name, (unsigned long long)v);
}

/* A label vector that was never touched has no samples, and so no family. */
static void path_counter(struct buf *out, const char *name, const char *help, uint64_t v)
{
    if (v == 0)
        return;
    family(out, name, "counter", help);
    buf_add_format(out, "%s{resource_path=\"*\"} %llu\n", name, (unsigned long long)v);
}

static void tee_counter(struct buf *out, const char *name, const char *help,
                        const _Atomic uint64_t *values)
{
    bool any = false;
    for (size_t i = 0; i < METRIC_TEES_MAX; i++) {
        uint64_t v = atomic_load_explicit(&values[i], memory_order_relaxed);
        if (v == 0)
            continue;
        if (!any)
            family(out, name, "counter", help);
        any = true;
        buf_add_format(out, "%s{tee_type=\"%s\"} %llu\n", name, tees[i], (unsigned long long)v);
    }
}

static void histogram(struct buf *out, const char *name, const char *help,
                      const struct histogram *h, const char *const *texts, size_t n, bool seconds)
{
    family(out, name, "histogram", help);
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        buf_add_format(out, "%s_bucket{le=\"%s\"} %llu\n", name, texts[i],
                       (unsigned long long)total);
    }
    total += atomic_load_explicit(&h->over, memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    buf_add_format(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)total);
    if (seconds)
        buf_add_format(out, "%s_sum %llu.%09llu\n", name, (unsigned long long)(sum / 1000000000u),
                       (unsigned long long)(sum % 1000000000u));
    else
        buf_add_format(out, "%s_sum %llu\n", name, (unsigned long long)sum);
    buf_add_format(out, "%s_count %llu\n", name, (unsigned long long)total);
}

#define LOAD(field) atomic_load_explicit(&m->field, memory_order_relaxed)

/* Families sorted by name, as upstream's library writes them. */
void metrics_write(const struct metrics *m, struct buf *out)
{
    counter(out, "kbs_attestation_errors_total",
            "Total count of errors during attestation processing", LOAD(attestation_errors));
    tee_counter(out, "kbs_attestation_failures_total", "Total count of attestation failures",
                m->attestation_failures);
    counter(out, "kbs_attestation_requests_total", "Total count of attestation requests",
            LOAD(attestation_requests));
    tee_counter(out, "kbs_attestation_successes_total", "Total count of attestation successes",
                m->attestation_successes);
    counter(out, "kbs_auth_errors_total", "Total count of errors during auth processing",
            LOAD(auth_errors));
    counter(out, "kbs_auth_requests_total", "Total count of auth requests", LOAD(auth_requests));
    counter(out, "kbs_auth_successes_total", "Total count of successfully authenticated requests",
            LOAD(auth_successes));
    family(out, "kbs_build_info", "gauge", "KBS binary build info");
    buf_add_cstr(out, "kbs_build_info{build_date=\"\",git_hash=\"\",version=\"" CLAVIGER_VERSION
                      "\"} 1\n");
    family(out, "kbs_http_active_connections", "gauge",
           "Count of HTTP connections being processed at the moment");
    buf_add_format(out, "kbs_http_active_connections %lld\n", (long long)LOAD(http_active));
    histogram(out, "kbs_http_request_duration_seconds", "Distribution of request handling duration",
              &m->duration, duration_text, ARRAY_LEN(duration_text), true);
    histogram(out, "kbs_http_request_size_bytes", "Distribution of request body sizes",
              &m->request_size, size_text, ARRAY_LEN(size_text), false);
    counter(out, "kbs_http_requests_total", "Total HTTP requests count", LOAD(http_requests));
    histogram(out, "kbs_http_response_size_bytes", "Distribution of response body sizes",
              &m->response_size, size_text, ARRAY_LEN(size_text), false);
    counter(out, "kbs_policy_approvals_total", "Total count of requests approved by KBS policy",
            LOAD(policy_approvals));
    counter(out, "kbs_policy_errors_total", "Total count of errors during KBS evaluation",
            LOAD(policy_errors));
    counter(out, "kbs_policy_evaluations_total", "Total count of KBS policy evaluations",
            LOAD(policy_evaluations));
    counter(out, "kbs_policy_violations_total", "Total count of requests denied by KBS policy",
            LOAD(policy_violations));
    path_counter(out, "kbs_resource_deletes_total", "KBS resource delete count",
                 LOAD(resource_deletes));
    path_counter(out, "kbs_resource_reads_total", "KBS resource read count", LOAD(resource_reads));
    path_counter(out, "kbs_resource_writes_total", "KBS resource write count",
                 LOAD(resource_writes));
}
