/* restful-as - the attestation service behind a RESTful API.  See man/restful-as.8. */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "attestation/rest.h"
#include "base/cli.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/locked.h"
#include "collateral/sources.h"
#include "decision/decision.h"
#include "net/helper.h"
#include "net/http.h"
#include "net/tls.h"

#define CONFIG_MAX (1024 * 1024)
#define MEMORY_MAX ((size_t)64 * 1024 * 1024)
#define REFRESH_MS 500 /* "within one second" (spec/README.md 19) */
#define LINGER_MS 5000
#define DRAIN_MS 30000
#define ORIGINS_MAX 64
#define ANCHOR_DIRS_MAX 16

static const char usage_text[] =
    "usage: restful-as -s IP:PORT [options]\n"
    "       restful-as --check-config [options]\n"
    "\n"
    "  -c, --config-file PATH       configuration, JSON; without it the defaults apply\n"
    "  -s, --socket IP:PORT         where to serve\n"
    "  -t, --https-pubkey-cert PATH certificate chain, PEM; with -k: HTTPS\n"
    "  -k, --https-prikey PATH      private key, PEM\n"
    "  -r, --allowed_origin ORIGIN  web pages that may ask; repeatable, comma lists\n"
    "      --check-config           read everything, print what is wrong, and exit\n"
    "      --extra-trust-anchors DIR\n"
    "                               further roots of trust, loudly warned about; repeatable\n"
    "      --log-format FORMAT      text (the default), or json: one object a line\n"
    "  -h, --help                   print this text\n"
    "  -V, --version                print the version\n"
    "\n"
    "RUST_LOG sets the log filter.  SIGTERM drains and ends.\n";

struct arguments {
    const char *config, *socket, *certificate, *key;
    bool check;
    const char *anchors[ANCHOR_DIRS_MAX];
    size_t anchor_count;
    struct str origins[ORIGINS_MAX];
    size_t origin_count;
};

struct program {
    struct arguments args;
    struct attestation_service *service;
    struct http_server *server;
    sigset_t signals;
    bool confinement_required;
    struct helper *helper; /* starts claviger-fetch, once we may not */
    atomic_bool stopping;  /* /healthz says 503 (DESIGN.md) */
};

/* ---- command line ---- */

static int wrong_usage(const char *what)
{
    fprintf(stderr, "restful-as: %s\ntry 'restful-as --help'\n", what);
    return 2;
}

/* 4.4: only http and https origins count; others are logged and skipped. */
static bool add_origins(struct arguments *args, struct str list)
{
    while (list.len > 0) {
        size_t n = str_find(list, ',', 0);
        struct str origin = str_trim(str_slice(list, 0, n));
        list = str_from(list, n + 1);
        if (!str_has_prefix(origin, STR("http://")) && !str_has_prefix(origin, STR("https://"))) {
            log_warn("restful-as", "origin \"%s\" is neither http:// nor https:// and is skipped",
                     QUOTED(origin));
            continue;
        }
        if (args->origin_count == ORIGINS_MAX)
            return false;
        args->origins[args->origin_count++] = origin;
    }
    return true;
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *out)
{
    enum { EXTRA_ANCHORS = 256, CHECK_CONFIG, LOG_FORMAT };
    static const struct option options[] = {
        {"config-file", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"https-pubkey-cert", required_argument, NULL, 't'},
        {"https-prikey", required_argument, NULL, 'k'},
        {"allowed_origin", required_argument, NULL, 'r'},
        {"check-config", no_argument, NULL, CHECK_CONFIG},
        {"extra-trust-anchors", required_argument, NULL, EXTRA_ANCHORS},
        {"log-format", required_argument, NULL, LOG_FORMAT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "c:s:t:k:r:hV", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            out->config = optarg;
            break;
        case 's':
            out->socket = optarg;
            break;
        case 't':
            out->certificate = optarg;
            break;
        case 'k':
            out->key = optarg;
            break;
        case 'r':
            if (!add_origins(out, str_of(optarg)))
                return wrong_usage("too many origins");
            break;
        case CHECK_CONFIG:
            out->check = true;
            break;
        case EXTRA_ANCHORS:
            if (out->anchor_count == ANCHOR_DIRS_MAX)
                return wrong_usage("too many folders of extra trust anchors");
            out->anchors[out->anchor_count++] = optarg;
            break;
        case LOG_FORMAT:
            if (!log_set_format(optarg))
                return wrong_usage("--log-format is text or json");
            break;
        case 'h':
            fputs(usage_text, stdout);
            return 0;
        case 'V':
            puts("restful-as " CLAVIGER_VERSION);
            return 0;
        default:
            return wrong_usage("wrong option");
        }
    }
    if (optind < argc)
        return wrong_usage("unexpected argument");
    return out->socket == NULL && !out->check ? wrong_usage("--socket is needed") : -1;
}

/* ---- answering ---- */

static const char *method_name(enum http_method m)
{
    switch (m) {
    case HTTP_GET:
    case HTTP_HEAD: /* the body is left out by the server */
        return "GET";
    case HTTP_POST:
        return "POST";
    case HTTP_OPTIONS:
        return "OPTIONS";
    default:
        return "OTHER";
    }
}

/* The page's origin is one of ours: it may read the answer. */
static bool allow_origin(const struct program *p, struct http_exchange *x)
{
    struct str origin = http_header(x, "Origin");
    for (size_t i = 0; origin.ptr != NULL && i < p->args.origin_count; i++)
        if (str_equal(origin, p->args.origins[i])) {
            http_add_header(x, "Access-Control-Allow-Origin", origin);
            http_add_header(x, "Vary", STR("Origin"));
            return true;
        }
    return false;
}

static bool is_preflight(const struct http_exchange *x)
{
    return x->method == HTTP_OPTIONS && http_header(x, "Origin").ptr != NULL &&
           http_header(x, "Access-Control-Request-Method").ptr != NULL;
}

static void answer_preflight(struct http_exchange *x, bool allowed)
{
    x->status = allowed ? 200 : 400;
    if (!allowed)
        return;
    http_add_header(x, "Access-Control-Allow-Methods", STR("POST, GET, OPTIONS"));
    http_add_header(x, "Access-Control-Allow-Headers", STR("content-type, authorization"));
    http_add_header(x, "Access-Control-Max-Age", STR("86400"));
}

static void log_answer(const struct rest_answer *a, const struct decision_id *id)
{
    if (a->checks != NULL && a->checks->reason.check != CHECK_NONE)
        log_warn("restful-as", "decision %s: %.*s (check %s, field %.*s)", id->text,
                 STR_ARG(a->log), check_name(a->checks->reason.check),
                 STR_ARG(a->checks->reason.field));
    else if (a->log.len > 0)
        log_info("restful-as", "decision %s: %.*s", id->text, STR_ARG(a->log));
}

/* False: what it needs is not at hand, and this thread may not wait for it. */
static bool answer(struct program *p, struct http_exchange *x, bool may_wait)
{
    struct error err = ERROR_INIT;
    struct rest_request r = {method_name(x->method), STR_EMPTY, http_header(x, "Content-Type"),
                             x->body};
    struct rest_answer a = {.status = 400, .body = STR_EMPTY, .log = STR_EMPTY};
    if (is_preflight(x)) {
        answer_preflight(x, allow_origin(p, x));
        return true;
    }
    if (http_percent_decode(&x->arena, x->path, &r.path, &err) == OK)
        rest_handle(p->service, &x->arena, &r, clock_now_s(&clock_system), may_wait, &a);
    if (a.must_wait)
        return false;
    struct decision_id id;
    decision_id_new(&id);
    log_answer(&a, &id);

    allow_origin(p, x);
    x->status = a.status;
    if (str_is(r.path, "/healthz") && atomic_load(&p->stopping))
        x->status = 503;
    if (a.content_type != NULL)
        http_add_header(x, "Content-Type", str_of(a.content_type));
    if (a.allow != NULL)
        http_add_header(x, "Allow", str_of(a.allow));
    if (a.checks != NULL)
        http_add_header(x, "x-decision-id", str_of(id.text));
    buf_add(&x->out, a.body);
    return true;
}

/* Setting a policy writes a file, and collateral may have to be fetched; nothing else waits. */
static enum http_next quick(void *user, struct http_exchange *x)
{
    if (x->method == HTTP_POST && str_is(x->path, "/policy"))
        return HTTP_WORK;
    return answer(user, x, false) ? HTTP_ANSWER : HTTP_WORK;
}

static void work(void *user, struct http_exchange *x)
{
    answer(user, x, true);
}

static void done(void *user, const struct http_exchange *x, size_t bytes_sent)
{
    log_debug("restful-as", "%.*s \"%s\" %d %zu", STR_ARG(x->peer), QUOTED(x->path), x->status,
              bytes_sent);
}

static void refused(void *user, const struct http_exchange *x)
{
    log_debug("restful-as", "%.*s \"%s\" %d %zu", STR_ARG(x->peer),
              x->head == NULL ? "-" : QUOTED(x->path), x->status, x->body_len);
}

/* ---- starting ---- */

static void warn(void *user, const char *text)
{
    log_warn("restful-as", "%s", text);
}

static int fail(const struct error *err)
{
    fprintf(stderr, "Error: %s\n", err->text);
    return 1;
}

static enum status read_config(const struct arguments *args, struct arena *a, value *out,
                               struct error *err)
{
    *out = VALUE_EMPTY_OBJECT(a);
    if (args->config == NULL)
        return OK;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, CONFIG_MAX);
    struct positions positions = {0};
    enum status st = file_read(args->config, &text, err);
    /* JSON only, whatever the file's name (2.1). */
    if (st == OK) {
        st = document_parse(a, buf_str(&text), DOCUMENT_JSON, out, &positions, err);
        if (st != OK)
            error_place(err);
    }
    if (st != OK) {
        error_prefix(err, "configuration \"%s\": ", args->config);
        return st;
    }
    struct reader r = {a, str_of(args->config), &positions, OK, err, warn, NULL};
    attestation_config_check(&r, *out, STR_EMPTY);
    return r.failed;
}

static enum status naming_of(value config, enum era era, enum submod_naming *out, struct error *err)
{
    value v = value_get_lit(config, "submod_naming");
    bool cpu0 = era == ERA_OLD && attestation_config_has_cpu0(config);
    *out = era == ERA_OLD && !cpu0 ? SUBMOD_PLAIN : SUBMOD_INDEXED;
    if (!value_is_defined(v))
        return OK;
    static const char *const names[] = {"plain", "indexed", "both"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(value_str(v), names[i])) {
            *out = (enum submod_naming)i;
            return OK;
        }
    error_set(err, "configuration: submod_naming must be plain, indexed or both");
    return ERR_INVALID;
}

/* claviger.confinement, as in a KBS's configuration. */
static enum status confinement_of(value config, bool *required, struct error *err)
{
    value v = value_pointer(config, STR("/claviger/confinement"));
    *required = str_is(value_str(v), "required");
    if (!value_is_defined(v) || *required || str_is(value_str(v), "available"))
        return OK;
    error_set(err, "configuration: claviger.confinement must be available or required");
    return ERR_INVALID;
}

static enum status make_service(struct program *p, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY_MAX);
    value config;
    enum status st = read_config(&p->args, &a, &config, err);
    if (st != OK)
        return st;
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    st = anchors_load(p->args.anchors, p->args.anchor_count, &anchors, err);
    if (st != OK)
        return st;
    if (anchors_extra_count(anchors) > 0)
        log_warn("restful-as",
                 "%zu extra trust anchors: evidence of hardware that nobody vouches "
                 "for may be accepted",
                 anchors_extra_count(anchors));

    struct attestation_options o = {
        .config = config,
        .config_checked = true,
        .era = attestation_config_era(config),
        .anchors = anchors,
        .storage_backend = VALUE_UNDEFINED,
        .only_look = p->args.check,
        .clock = &clock_system,
        .random = &random_system,
        .qcnl_path = getenv("QCNL_CONF_PATH") != NULL ? getenv("QCNL_CONF_PATH") : QCNL_PATH,
        .warn = warn,
        .user = p,
    };
    st = naming_of(config, o.era, &o.naming, err);
    if (st == OK)
        st = confinement_of(config, &p->confinement_required, err);
    if (st != OK)
        return st;
    log_info("restful-as", "era of the configuration: %s", o.era == ERA_OLD ? "old" : "new");
    return attestation_service_new(&o, &p->service, err);
}

/* 4.4: TLS when both files are given; one alone is no error here. */
static enum status make_tls(const struct program *p, struct tls_server **out, struct error *err)
{
    *out = NULL;
    if (p->args.certificate != NULL && p->args.key != NULL) {
        struct tls_options o = {.certificate_path = p->args.certificate,
                                .private_key_path = p->args.key,
                                .profile = TLS_INTERMEDIATE};
        return tls_server_new(&o, out, err);
    }
    if (p->args.certificate != NULL || p->args.key != NULL)
        log_warn("restful-as", "certificate or key alone: serving plain HTTP");
    return OK;
}

/* --check-config: what making the service does not look at, then the verdict. */
static int check_config(const struct program *p)
{
    CLEANUP(report_done) struct report report;
    report_init(&report);
    struct error err = ERROR_INIT;
    struct tls_server *tls = NULL;
    if (make_tls(p, &tls, &err) != OK ||
        (p->args.socket != NULL && http_check_address(str_of(p->args.socket), &err) != OK))
        report_trouble(&report, "%s", err.text);
    tls_server_unref(tls);
    attestation_check(p->service, &report);
    report_note(&report, "%s: the configuration is usable",
                p->args.config == NULL ? "defaults" : p->args.config);
    return cli_print_report("restful-as", &report);
}

static enum status listen_on(struct program *p, struct error *err)
{
    struct tls_server *tls = NULL;
    enum status st = make_tls(p, &tls, err);
    if (st != OK)
        return st;
    struct http_listen listen = {p->args.socket, tls};
    struct http_options options = {
        .listen = &listen,
        .listen_count = 1,
        .limits = HTTP_LIMITS_DEFAULT,
        .handler = {quick, work, done, refused, p},
    };
    st = http_server_new(&options, &p->server, err);
    tls_server_unref(tls);
    return st;
}

/* Signals and the clock of file watching, on a thread that no request waits for. */
static void *supervise(void *arg)
{
    struct program *p = arg;
    const struct timespec tick = {0, REFRESH_MS * 1000000L};
    for (;;) {
        switch (sigtimedwait(&p->signals, NULL, &tick)) {
        case SIGTERM:
            atomic_store(&p->stopping, true);
            http_server_stop(p->server, LINGER_MS, DRAIN_MS);
            break;
        case SIGINT:
            http_server_stop(p->server, 0, 0);
            break;
        case SIGUSR2: /* ours: the server has ended */
            return NULL;
        default:
            attestation_refresh(p->service);
        }
    }
}

static int serve(struct program *p)
{
    struct error err = ERROR_INIT;
    static const int handled[] = {SIGTERM, SIGINT, SIGUSR2};
    sigemptyset(&p->signals);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        sigaddset(&p->signals, handled[i]);
    pthread_sigmask(SIG_BLOCK, &p->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    pthread_t thread;
    if (pthread_create(&thread, NULL, supervise, p) != 0) {
        error_set(&err, "could not start a thread");
        return fail(&err);
    }
    struct locked_state s;
    locked_get_state(&s);
    if (!s.ready || s.spilled > 0 || !secret_all_locked())
        log_warn("restful-as", "not all keys are in locked memory: RLIMIT_MEMLOCK is too small, or "
                               "this build has a sanitizer");
    log_info("restful-as", "Starting RESTful Attestation Service at %.*s",
             STR_ARG(http_server_address(p->server, 0)));
    enum status st = http_server_run(p->server, &err);
    pthread_kill(thread, SIGUSR2);
    pthread_join(thread, NULL);
    return st == OK ? 0 : fail(&err);
}

/* From here on a request that takes the process over finds little in it (SECURITY.md). */
static enum status confine_us(struct program *p, struct error *err)
{
    const struct helper_options o = {
        .allow = attestation_allowed_urls(p->service),
        .ca_files = {attestation_ca_file(p->service)},
    };
    if (o.allow[0] != NULL) {
        if (helper_new(&o, &p->helper, err) != OK)
            log_warn("restful-as", "nothing can be fetched: %s", err->text);
        fetch_start_with(helper_start_fetch, p->helper);
    }
    CLEANUP(confine_done) struct confine list = {.failed = OK};
    attestation_confine(p->service, &list);
    struct confined done;
    enum status st = confine_all(&list, CONFINE_SERVER, p->confinement_required, &done, err);
    if (st == OK && !(done.files && done.calls))
        log_warn("restful-as", "NOT FULLY CONFINED: %s", done.lacks.text);
    else if (st == OK)
        log_info("restful-as", "confined by seccomp and Landlock %d", done.abi);
    return st;
}

int main(int argc, char **argv)
{
    locked_init(); /* before OpenSSL allocates anything */
    struct error err = ERROR_INIT;
    const char *filter = getenv("RUST_LOG");
    if (log_init(filter != NULL && filter[0] != '\0' ? filter : "info", &err) != OK) {
        fail(&err);
        return 101; /* as upstream */
    }
    struct program p = {0};
    int status = read_arguments(argc, argv, &p.args);
    if (status >= 0)
        return status;

    confine_process(); /* the signing key will be in it */
    if (make_service(&p, &err) != OK)
        status = fail(&err);
    else if (p.args.check)
        status = check_config(&p);
    else if (listen_on(&p, &err) == OK && confine_us(&p, &err) == OK)
        status = serve(&p);
    else
        status = fail(&err);
    http_server_free(p.server);
    attestation_service_unref(p.service);
    helper_free(p.helper);
    return status;
}
