/* kbs - the key broker service.  See man/kbs.8. */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attestation/attestation.h"
#include "base/cli.h"
#include "base/log.h"
#include "crypto/locked.h"
#include "collateral/sources.h"
#include "kbs/kbs.h"
#include "net/http.h"
#include "net/tls.h"
#include "value/json.h"

#define CLAIMS_MEMORY (4 * 1024 * 1024)
#define REFRESH_MS 250 /* "within one second" (spec/README.md 19): two looks, and loading */
#define LINGER_MS 5000 /* after SIGTERM: serve on, /healthz says 503 (DESIGN.md) */
#define DRAIN_MS 30000 /* then wait this long for running requests */

static const char usage_text[] =
    "usage: kbs -c FILE [--check-config] [--extra-trust-anchors DIR]... [--log-format text|json]\n"
    "       kbs --claims attestation|resource\n"
    "\n"
    "  -c, --config-file FILE       configuration: .toml, .yaml, .yml or .json\n"
    "                               (environment: KBS_CONFIG_FILE)\n"
    "      --check-config           read everything, print what is wrong, and exit\n"
    "      --extra-trust-anchors DIR\n"
    "                               further roots of trust, loudly warned about; repeatable\n"
    "      --claims KIND            print the claims that such policies can read, as JSON\n"
    "                               (rego check --claims), and exit\n"
    "      --log-format FORMAT      text (the default), or json: one object a line\n"
    "  -h, --help                   print this text\n"
    "  -V, --version                print the version\n"
    "\n"
    "RUST_LOG sets the log filter: a level, or target=level, in a comma list.\n"
    "Changed files are followed; SIGHUP loads them at once; SIGTERM drains and ends.\n";

struct arguments {
    const char *config;
    bool check;
    const char *anchors[16];
    size_t anchor_count;
};

/* What input of a policy may hold. */
static int print_claims(const char *kind)
{
    bool resource = strcmp(kind, "resource") == 0;
    if (!resource && strcmp(kind, "attestation") != 0) {
        fprintf(stderr, "kbs: --claims takes attestation or resource, not \"%s\"\n", kind);
        return 2;
    }
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf b;
    arena_init(&a, CLAIMS_MEMORY);
    buf_init(&b, CLAIMS_MEMORY);
    value names = resource ? attestation_token_schema(&a) : attestation_claim_schema(&a);
    if (!value_is_defined(names) || json_write(&b, names, JSON_PRETTY) != OK ||
        fwrite(buf_str(&b).ptr, 1, b.len, stdout) != b.len || putchar('\n') == EOF) {
        fputs("kbs: could not print the claims\n", stderr);
        return 1;
    }
    return 0;
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *out)
{
    enum { CHECK_CONFIG = 256, EXTRA_ANCHORS, CLAIMS, LOG_FORMAT };
    static const struct option options[] = {
        {"config-file", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, CHECK_CONFIG},
        {"extra-trust-anchors", required_argument, NULL, EXTRA_ANCHORS},
        {"claims", required_argument, NULL, CLAIMS},
        {"log-format", required_argument, NULL, LOG_FORMAT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->config = optarg;
            break;
        case CHECK_CONFIG:
            out->check = true;
            break;
        case EXTRA_ANCHORS:
            if (out->anchor_count == ARRAY_LEN(out->anchors)) {
                fprintf(stderr, "kbs: at most %zu folders of extra trust anchors\n",
                        ARRAY_LEN(out->anchors));
                return 2;
            }
            out->anchors[out->anchor_count++] = optarg;
            break;
        case CLAIMS:
            return print_claims(optarg);
        case LOG_FORMAT:
            if (!log_set_format(optarg)) {
                fprintf(stderr, "kbs: --log-format is text or json, not \"%s\"\n", optarg);
                return 2;
            }
            break;
        case 'h':
            fputs(usage_text, stdout);
            return 0;
        case 'V':
            puts("kbs " CLAVIGER_VERSION);
            return 0;
        default:
            fputs("try 'kbs --help'\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "kbs: unexpected argument \"%s\"\n", argv[optind]);
        return 2;
    }
    if (out->config == NULL)
        out->config = getenv("KBS_CONFIG_FILE");
    if (out->config == NULL || out->config[0] == '\0') {
        fputs("kbs: no configuration: give --config-file or set KBS_CONFIG_FILE\n", stderr);
        return 2;
    }
    return -1;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "Error: %s\n", err->text);
    return 1;
}

struct running {
    struct kbs *kbs;
    struct http_server *server;
    size_t listener_count; /* listeners are those of the start */
    pthread_t thread;
    sigset_t signals;
};

static enum status make_tls(const struct kbs_config *c, struct tls_server **out, struct error *err)
{
    *out = NULL;
    if (c->insecure_http)
        return OK;
    enum status st = tls_server_new(&c->tls, out, err);
    if (st != OK)
        error_prefix(err, "HTTPS initialization failed: ");
    return st;
}

/* The listeners' part of a reload: last, since nothing fails after it. */
static enum status accept_config(void *user, const struct kbs_config *c, struct error *err)
{
    struct running *run = user;
    struct tls_server *tls = NULL;
    enum status st = make_tls(c, &tls, err);
    for (size_t i = 0; tls != NULL && i < run->listener_count; i++)
        http_server_set_tls(run->server, i, tls);
    tls_server_unref(tls);
    return st;
}

/* Signals and the clock of file watching, on a thread that no request waits for. */
static void *supervise(void *arg)
{
    struct running *run = arg;
    kbs_refresh(run->kbs, accept_config, run); /* what is to be fetched is, at once */
    const struct timespec tick = {0, REFRESH_MS * 1000000L};
    for (;;) {
        int sig = sigtimedwait(&run->signals, NULL, &tick);
        switch (sig) {
        case SIGHUP:
            status_ignore(kbs_reload(run->kbs, accept_config, run, NULL));
            break;
        case SIGTERM:
            log_info("kbs", "SIGTERM: draining");
            kbs_stopping(run->kbs);
            http_server_stop(run->server, LINGER_MS, DRAIN_MS);
            break;
        case SIGINT:
        case SIGQUIT:
            kbs_stopping(run->kbs);
            http_server_stop(run->server, 0, 0);
            return NULL;
        case SIGUSR2: /* ours: the server has ended */
            return NULL;
        default:
            kbs_refresh(run->kbs, accept_config, run);
        }
    }
}

static enum status listen_on(struct running *run, const struct kbs_config *c, struct error *err)
{
    struct tls_server *tls = NULL;
    enum status st = make_tls(c, &tls, err);
    struct http_listen *listen = calloc(c->sockets.len, sizeof(*listen));
    if (st == OK && listen == NULL)
        st = error_nomem(err);
    for (size_t i = 0; st == OK && i < c->sockets.len; i++)
        listen[i] = (struct http_listen){c->sockets.items[i].ptr, tls};
    struct http_options options = {
        .listen = listen,
        .listen_count = c->sockets.len,
        .reactors = c->worker_count,
        .limits = HTTP_LIMITS_DEFAULT,
        .handler = {kbs_quick, kbs_work, kbs_done, kbs_refused, run->kbs},
    };
    options.limits.body_max = (size_t)c->payload_mib * 1048576;
    if (st == OK)
        st = http_server_new(&options, &run->server, err);
    run->listener_count = options.listen_count;
    if (st != OK && !c->insecure_http && tls != NULL)
        error_prefix(err, "HTTPS initialization failed: ");
    free(listen);
    tls_server_unref(tls);
    return st;
}

static void announce_sockets(const struct running *run, const struct kbs_config *c)
{
    char list[1024];
    size_t len = 0;
    for (size_t i = 0; i < run->listener_count && len < sizeof(list); i++) {
        struct str a = http_server_address(run->server, i);
        int n = snprintf(list + len, sizeof(list) - len, "%s%.*s", i == 0 ? "" : ", ", STR_ARG(a));
        len += n < 0 ? 0 : (size_t)n;
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    log_info("kbs", "starting %ld workers",
             c->worker_count > 0 ? (long)c->worker_count
             : cpus > 0          ? cpus
                                 : 1);
    log_info("kbs", "Starting %s server at [%s]", c->insecure_http ? "HTTP" : "HTTPS", list);
}

static void tell_about_memory(void)
{
    struct locked_state s;
    locked_get_state(&s);
    if (!s.ready || s.spilled > 0 || !secret_all_locked())
        log_warn("kbs", "not all keys are in locked memory: RLIMIT_MEMLOCK is too small, or this "
                        "build has a sanitizer");
}

/* From here on a request that takes the process over finds little in it (SECURITY.md). */
static enum status confine_us(struct kbs *kbs, struct error *err)
{
    struct confined done;
    enum status st = kbs_confine(kbs, &done, err);
    if (st == OK && !(done.files && done.calls))
        log_warn("kbs", "NOT FULLY CONFINED: %s", done.lacks.text);
    else if (st == OK)
        log_info("kbs", "confined by seccomp and Landlock %d", done.abi);
    return st;
}

static int serve(struct kbs *kbs)
{
    const struct kbs_config *c = kbs_current_config(kbs); /* until the first reload */
    struct running run = {.kbs = kbs};
    struct error err = ERROR_INIT;
    if (listen_on(&run, c, &err) != OK || confine_us(kbs, &err) != OK)
        return fail(&err);
    tell_about_memory();
    announce_sockets(&run, c);

    sigemptyset(&run.signals);
    static const int handled[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR2};
    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        sigaddset(&run.signals, handled[i]);
    pthread_sigmask(SIG_BLOCK, &run.signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_create(&run.thread, NULL, supervise, &run) != 0) {
        error_set(&err, "could not start a thread");
        return fail(&err);
    }
    enum status st = http_server_run(run.server, &err);
    pthread_kill(run.thread, SIGUSR2);
    pthread_join(run.thread, NULL);
    http_server_free(run.server);
    return st == OK ? 0 : fail(&err);
}

/* --check-config: what kbs_new() does not look at, then the verdict. */
static int check_config(struct kbs *kbs, const char *path)
{
    const struct kbs_config *c = kbs_current_config(kbs);
    CLEANUP(report_done) struct report report;
    report_init(&report);
    struct error err = ERROR_INIT;
    struct tls_server *tls = NULL;
    if (make_tls(c, &tls, &err) != OK)
        report_trouble(&report, "%s", err.text);
    tls_server_unref(tls);
    for (size_t i = 0; i < c->sockets.len; i++)
        if (http_check_address(c->sockets.items[i], &err) != OK)
            report_trouble(&report, "%s", err.text);
    kbs_check(kbs, &report);
    report_note(&report, "%s: the configuration is usable, era %s", path,
                c->era == ERA_OLD ? "old" : "new");
    return cli_print_report("kbs", &report);
}

int main(int argc, char **argv)
{
    locked_init(); /* before OpenSSL allocates anything */
    struct arguments args = {0};
    int status = parse_arguments(argc, argv, &args);
    if (status >= 0)
        return status;

    struct error err = ERROR_INIT;
    if (log_init(getenv("RUST_LOG"), &err) != OK) {
        fail(&err);
        return 101; /* as upstream */
    }
    confine_process(); /* keys will be in it */

    const struct kbs_options options = {
        .config_path = args.config,
        .only_look = args.check,
        .extra_anchor_dirs = args.anchors,
        .extra_anchor_count = args.anchor_count,
        .qcnl_path = getenv("QCNL_CONF_PATH") != NULL ? getenv("QCNL_CONF_PATH") : QCNL_PATH,
    };
    CLEANUP(kbs_cleanup) struct kbs *kbs = NULL;
    if (kbs_new(&options, &kbs, &err) != OK)
        return fail(&err);
    if (args.check)
        return check_config(kbs, args.config);
    return serve(kbs);
}
