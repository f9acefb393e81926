/*
 * verify-evidence - one piece of evidence in, its claims or the check that
 * failed out (../shared/INTERFACES.md, Tools).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attestation/attestation.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "collateral/service.h"
#include "value/document.h"
#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/deny_list.h"
#include "verifier/verifier.h"

#define EVIDENCE_FILE_MAX (16 * 1024 * 1024)
#define MEMORY_MAX (512 * 1024 * 1024)
#define VERDICT_MEMORY_MAX (16 * 1024 * 1024)
#define REPEAT_MAX 64           /* of an option that may be repeated */
#define COLLATERAL_ROUNDS_MAX 8 /* of fetching what is missing and trying again */

enum { EXIT_PASS = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const char usage_text[] =
    "usage: verify-evidence --tee TEE --evidence FILE [options]\n"
    "\n"
    "Verify a piece of TEE evidence and print its claims, or the check that refused it.\n"
    "\n"
    "  --tee TEE                   az-snp-vtpm, az-tdx-vtpm, snp, tdx, sgx, tpm, sample, ...\n"
    "  --evidence FILE             evidence as JSON\n"
    "  --report-data HEX           report data that the evidence must hold\n"
    "  --init-data-hash HEX        digest of init data that the evidence must hold\n"
    "  --collateral FILE|DIR       endorsements: bundles, revocation lists; repeatable\n"
    "  --time RFC3339              moment of the verification (default: now)\n"
    "  --era old|new               behaviour and form of claims (default: new)\n"
    "  --config FILE               configuration with a table verifier_config\n"
    "  --extra-trust-anchors DIR   further roots of trust; repeatable\n"
    "  -f, --format text|json      form of the answer (default: text)\n"
    "      --online                fetch missing endorsements from their makers\n"
    "      --help                  this text\n"
    "      --version               the version\n"
    "\n"
    "Nothing is fetched from the network without --online.\n"
    "Exit status: 0 verified, 1 refused, 2 wrong usage, unreadable file or unknown name.\n";

struct options {
    const char *tee, *evidence, *report_data, *init_data, *time, *config;
    const char *collateral[REPEAT_MAX], *anchors[REPEAT_MAX];
    size_t collateral_count, anchor_count;
    enum era era;
    bool json, online;
};

static int usage_error(const char *what, const char *arg)
{
    fprintf(stderr, "verify-evidence: %s%s%s\n", what, arg == NULL ? "" : ": ",
            arg == NULL ? "" : QUOTED(str_of(arg)));
    fprintf(stderr, "try `verify-evidence --help`\n");
    return EXIT_USAGE;
}

static int failed(const struct error *err)
{
    fprintf(stderr, "verify-evidence: %s\n", err->text);
    return EXIT_USAGE;
}

static bool repeat(const char **list, size_t *count, const char *arg)
{
    if (*count == REPEAT_MAX)
        return false;
    list[(*count)++] = arg;
    return true;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"tee", required_argument, NULL, 't'},
        {"evidence", required_argument, NULL, 'e'},
        {"report-data", required_argument, NULL, 'r'},
        {"init-data-hash", required_argument, NULL, 'i'},
        {"collateral", required_argument, NULL, 'c'},
        {"time", required_argument, NULL, 'T'},
        {"era", required_argument, NULL, 'E'},
        {"config", required_argument, NULL, 'C'},
        {"extra-trust-anchors", required_argument, NULL, 'a'},
        {"format", required_argument, NULL, 'f'},
        {"online", no_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "f:", longs, NULL)) != -1;) {
        switch (c) {
        case 't':
            o->tee = optarg;
            break;
        case 'e':
            o->evidence = optarg;
            break;
        case 'r':
            o->report_data = optarg;
            break;
        case 'i':
            o->init_data = optarg;
            break;
        case 'T':
            o->time = optarg;
            break;
        case 'C':
            o->config = optarg;
            break;
        case 'c':
            if (!repeat(o->collateral, &o->collateral_count, optarg))
                return usage_error("too many --collateral", NULL);
            break;
        case 'a':
            if (!repeat(o->anchors, &o->anchor_count, optarg))
                return usage_error("too many --extra-trust-anchors", NULL);
            break;
        case 'E':
            if (strcmp(optarg, "old") != 0 && strcmp(optarg, "new") != 0)
                return usage_error("--era is neither old nor new", optarg);
            o->era = optarg[0] == 'o' ? ERA_OLD : ERA_NEW;
            break;
        case 'f':
            if (strcmp(optarg, "text") != 0 && strcmp(optarg, "json") != 0)
                return usage_error("--format is neither text nor json", optarg);
            o->json = optarg[0] == 'j';
            break;
        case 'o':
            o->online = true;
            break;
        case 'h':
            fputs(usage_text, stdout);
            return EXIT_PASS;
        case 'V':
            printf("verify-evidence %s\n", CLAVIGER_VERSION);
            return EXIT_PASS;
        default:
            fprintf(stderr, "try `verify-evidence --help`\n");
            return EXIT_USAGE;
        }
    }
    if (optind < argc)
        return usage_error("unexpected argument", argv[optind]);
    if (o->tee == NULL || o->evidence == NULL)
        return usage_error("--tee and --evidence are needed", NULL);
    return -1;
}

static void warn(void *user, const char *text)
{
    fprintf(stderr, "verify-evidence: warning: %s\n", text);
}

/* A switch in words, or a misspelt deny_list, would be a protection that is off without a word. */
static enum status check_verifier_config(struct arena *a, struct str path, value config,
                                         struct str at, const struct positions *positions,
                                         struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, 1);
    value_builder_put_str(&b, "verifier_config", config);
    struct reader r = {a, path, positions, OK, err, warn, NULL};
    attestation_config_check(&r, value_object_finish(&b, VALUE_DUP_LAST, NULL), at);
    return r.failed;
}

/* verifier_config of any configuration of ours: at the root, or the KBS's attestation service. */
static enum status read_config(struct arena *a, const char *path, value *out, struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, EVIDENCE_FILE_MAX);
    enum status st = file_read(path, &b, err);
    enum document_format format = DOCUMENT_JSON;
    if (st == OK && !document_format_of(str_of(path), &format)) {
        error_set(err, "its name ends in none of .toml, .yaml, .yml and .json");
        st = ERR_INVALID;
    }
    value root = VALUE_UNDEFINED;
    struct positions positions = {0};
    if (st == OK)
        st = document_parse(a, buf_str(&b), format, &root, &positions, err);
    if (st != OK) {
        error_place(err);
        error_prefix(err, "configuration %s: ", QUOTED(str_of(path)));
        return st;
    }
    struct str at = STR_EMPTY;
    *out = value_get_lit(root, "verifier_config");
    if (!value_is_defined(*out)) {
        at = STR("/attestation_service");
        *out = value_get_lit(value_get_lit(root, "attestation_service"), "verifier_config");
    }
    if (!value_is_defined(*out))
        return OK;
    value deny = value_get_lit(*out, "deny_list");
    if (value_is_defined(deny) && value_str(deny).len == 0) {
        error_set(err, "%s: verifier_config.deny_list: expected the path of a file", path);
        return ERR_INVALID;
    }
    return check_verifier_config(a, str_of(path), *out, at, &positions, err);
}

/* ---- the answer ---- */

static void write_side(struct json_writer *w, const char *key, value v)
{
    json_key(w, key);
    json_value(w, v);
}

static void write_reason(struct json_writer *w, const struct reason *r)
{
    json_key(w, "reason");
    if (r->check == CHECK_NONE) {
        json_null(w);
        return;
    }
    json_object_begin(w);
    json_key(w, "check");
    json_cstring(w, check_name(r->check));
    json_key(w, "field");
    json_string(w, r->field);
    write_side(w, "expected", r->expected);
    write_side(w, "actual", r->actual);
    json_key(w, "message");
    json_string(w, r->message);
    json_object_end(w);
}

static const char *outcome_name(enum check_outcome o)
{
    return o == CHECK_PASSED ? "pass" : o == CHECK_FAILED ? "fail" : "skipped";
}

static enum status write_json(struct buf *out, bool pass, const struct checks *checks,
                              const struct verifier_claims *claims, size_t n)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "result");
    json_cstring(&w, pass ? "pass" : "fail");
    write_reason(&w, &checks->reason);
    json_key(&w, "checks");
    json_array_begin(&w);
    for (size_t i = 0; i < checks->len; i++) {
        const struct check *c = &checks->items[i];
        json_object_begin(&w);
        json_key(&w, "name");
        json_cstring(&w, check_name(c->id));
        json_key(&w, "outcome");
        json_cstring(&w, outcome_name(c->outcome));
        if (c->outcome == CHECK_SKIPPED) {
            json_key(&w, "why");
            json_string(&w, c->why);
        }
        json_object_end(&w);
    }
    json_array_end(&w);
    json_key(&w, "claims");
    json_array_begin(&w);
    for (size_t i = 0; i < n; i++) {
        json_object_begin(&w);
        json_key(&w, "class");
        json_cstring(&w, claims[i].tee_class);
        json_key(&w, "claims");
        json_value(&w, claims[i].claims);
        if (value_is_defined(claims[i].details)) {
            json_key(&w, "details");
            json_value(&w, claims[i].details);
        }
        json_object_end(&w);
    }
    json_array_end(&w);
    json_object_end(&w);
    return json_finish(&w);
}

static void text_side(struct buf *out, const char *name, value v)
{
    if (!value_is_defined(v))
        return;
    buf_add_format(out, "  %s ", name);
    status_ignore(json_write(out, v, JSON_COMPACT));
    buf_add_byte(out, '\n');
}

static enum status write_text(struct buf *out, bool pass, const struct checks *checks,
                              const struct verifier_claims *claims, size_t n)
{
    for (size_t i = 0; i < checks->len; i++) {
        const struct check *c = &checks->items[i];
        buf_add_format(out, "%-8s %s", outcome_name(c->outcome), check_name(c->id));
        if (c->outcome == CHECK_SKIPPED)
            buf_add_format(out, " because %.*s", STR_ARG(c->why));
        buf_add_byte(out, '\n');
    }
    const struct reason *r = &checks->reason;
    if (r->check != CHECK_NONE) {
        buf_add_format(out, "\nrefused by %s at %.*s: %.*s\n", check_name(r->check),
                       STR_ARG(r->field), STR_ARG(r->message));
        text_side(out, "expected", r->expected);
        text_side(out, "actual  ", r->actual);
    }
    for (size_t i = 0; i < n; i++) {
        buf_add_format(out, "\nclaims, class %s:\n", claims[i].tee_class);
        status_ignore(json_write(out, claims[i].claims, JSON_PRETTY));
        buf_add_byte(out, '\n');
        if (!value_is_defined(claims[i].details))
            continue;
        buf_add_cstr(out, "\ndetails beside them:\n");
        status_ignore(json_write(out, claims[i].details, JSON_PRETTY));
        buf_add_byte(out, '\n');
    }
    buf_add_format(out, "\n%s\n", pass ? "verified" : "refused");
    return buf_status(out);
}

static int answer(struct arena *a, const struct options *o, const struct verifier *vf, bool pass,
                  const struct checks *checks, struct verifier_result *result)
{
    for (size_t i = 0; pass && i < result->len; i++)
        if (vf->shape != NULL)
            result->items[i].claims =
                vf->shape(a, result->items[i].claims, o->era == ERA_OLD ? DIALECT_A : DIALECT_D);
    size_t n = pass ? result->len : 0;

    CLEANUP(buf_done) struct buf out;
    buf_init(&out, MEMORY_MAX);
    enum status st = o->json ? write_json(&out, pass, checks, result->items, n)
                             : write_text(&out, pass, checks, result->items, n);
    if (o->json)
        buf_add_byte(&out, '\n');
    if (st != OK || buf_status(&out) != OK) {
        fprintf(stderr, "verify-evidence: no memory for the answer\n");
        return EXIT_REFUSED;
    }
    if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
        fprintf(stderr, "verify-evidence: could not write the answer\n");
        return EXIT_REFUSED;
    }
    if (!pass)
        fprintf(stderr, "verify-evidence: %.*s\n", STR_ARG(checks->reason.message));
    return pass ? EXIT_PASS : EXIT_REFUSED;
}

/* ---- the run ---- */

struct inputs {
    struct anchors *anchors;
    struct collateral_set *collateral;
    struct deny_list *deny;
    struct verifier_request req;
};

static void inputs_done(struct inputs *in)
{
    anchors_unref(in->anchors);
    collateral_set_free(in->collateral);
    deny_list_unref(in->deny);
}

static int read_inputs(struct arena *a, const struct options *o, struct inputs *in)
{
    struct error err = ERROR_INIT;
    struct verifier_request *req = &in->req;
    *req = (struct verifier_request){.era = o->era,
                                     .details = true,
                                     .now_s = clock_now_s(&clock_system),
                                     .has_report_data = o->report_data != NULL,
                                     .has_init_data = o->init_data != NULL,
                                     .evidence = VALUE_UNDEFINED,
                                     .config = VALUE_UNDEFINED};
    int64_t ns;
    if (o->time != NULL) {
        if (time_parse_rfc3339(str_of(o->time), &ns, &err) != OK)
            return usage_error("--time is not in RFC 3339 form", o->time);
        req->now_s = clock_now_s(&(struct clock){clock_fixed_now, &ns});
    }
    if (o->report_data != NULL &&
        hex_bytes(a, str_of(o->report_data), &req->report_data, NULL) != OK)
        return usage_error("--report-data is not hexadecimal", o->report_data);
    if (o->init_data != NULL && hex_bytes(a, str_of(o->init_data), &req->init_data, NULL) != OK)
        return usage_error("--init-data-hash is not hexadecimal", o->init_data);
    if (o->config != NULL && read_config(a, o->config, &req->config, &err) != OK)
        return failed(&err);
    struct str deny = value_str(value_get_lit(req->config, "deny_list"));
    if (deny.len > 0 && deny_list_load(deny.ptr, &in->deny, &err) != OK)
        return failed(&err);
    req->deny = in->deny;
    if (anchors_load(o->anchors, o->anchor_count, &in->anchors, &err) != OK ||
        collateral_set_new(true, &in->collateral, &err) != OK)
        return failed(&err);
    for (size_t i = 0; i < o->collateral_count; i++)
        if (collateral_set_add(in->collateral, o->collateral[i], &err) != OK)
            return failed(&err);
    if (o->anchor_count > 0)
        fprintf(stderr, "verify-evidence: warning: %zu extra trust anchors are trusted\n",
                anchors_extra_count(in->anchors));
    if (!o->online)
        collateral_set_only_bundle(in->collateral);
    req->anchors = in->anchors;
    req->collateral = collateral_set_get(in->collateral);
    return -1;
}

/* A verdict that no verifier gave: text that is no JSON, collateral that is missing. */
static void refuse(struct checks *checks, enum check_id id, const char *field, value expected,
                   const char *message)
{
    if (checks->reason.check == CHECK_NONE)
        status_ignore(
            check_failed(checks, NULL, id, field, expected, VALUE_UNDEFINED, "%s", message));
}

/* The URLs of what is missing, in full: a message has no room for them. */
static value missing_urls(struct arena *a, const struct verifier_result *result)
{
    struct value_builder b;
    value_builder_init(&b, a, result->needed_count);
    for (size_t i = 0; i < result->needed_count; i++)
        value_builder_add(&b, value_string(a, result->needed[i]));
    return value_array_finish(&b);
}

/* --collateral first, then what the service has. */
struct both {
    const struct collateral *files, *service;
};

static bool find_in_both(void *user, struct str url, struct str *bytes)
{
    const struct both *b = user;
    return b->files->find(b->files->user, url, bytes) ||
           b->service->find(b->service->user, url, bytes);
}

/* Verify with what is missing fetched. */
static enum status verify_online(struct arena *a, const struct options *o, struct inputs *in,
                                 struct checks *checks, struct verifier_result *result,
                                 struct error *err)
{
    /* Of the configuration only the addresses: this run keeps nothing. */
    const struct collateral_options options = {.verifier_config = in->req.config,
                                               .anchors = in->anchors};
    CLEANUP(collateral_service_cleanup) struct collateral_service *service = NULL;
    enum status st = collateral_service_new(&options, &service, err);
    for (unsigned round = 0; st == OK; round++) {
        struct collateral_view view;
        collateral_view_open(service, in->req.now_s, &view);
        struct both both = {in->req.collateral, &view.face};
        struct collateral face = {find_in_both, &both};
        struct verifier_request req = in->req;
        req.collateral = &face;
        checks_init(checks, checks->arena);
        st = verifier_run(a, str_of(o->tee), &req, checks, result, err);
        collateral_view_close(&view, st == OK);
        if (st != ERR_UNAVAILABLE || round == COLLATERAL_ROUNDS_MAX)
            return st;
        st = collateral_resolve(service, result->needed, result->needed_count, err);
        if (st != OK && st != ERR_NOMEM)
            return ERR_UNAVAILABLE;
    }
    return st;
}

static enum status verify(struct arena *a, const struct options *o, struct inputs *in,
                          struct checks *checks, struct verifier_result *result, struct error *err)
{
    if (o->online)
        return verify_online(a, o, in, checks, result, err);
    return verifier_run(a, str_of(o->tee), &in->req, checks, result, err);
}

static int run(const struct options *o)
{
    const struct verifier *vf = verifier_find(str_of(o->tee));
    if (vf == NULL)
        return usage_error(tee_is_known(str_of(o->tee)) ? "no verifier is built in for this TEE"
                                                        : "no TEE has this name",
                           o->tee);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY_MAX);
    CLEANUP(inputs_done) struct inputs in = {0};
    int exit_status = read_inputs(&a, o, &in);
    if (exit_status >= 0)
        return exit_status;

    CLEANUP(buf_done) struct buf text;
    buf_init(&text, EVIDENCE_FILE_MAX);
    struct error err = ERROR_INIT;
    if (file_read(o->evidence, &text, &err) != OK)
        return failed(&err);

    /* Of its own: a verdict has to be told, too, when the evidence has used up its memory. */
    CLEANUP(arena_done) struct arena verdict;
    arena_init(&verdict, VERDICT_MEMORY_MAX);
    struct checks checks;
    checks_init(&checks, &verdict);
    struct verifier_result result = {.len = 0};
    enum status st = json_parse(&a, buf_str(&text), NULL, &in.req.evidence, &err);
    if (st != OK) {
        error_prefix(&err, "evidence is not JSON: line %u, column %u: ", err.line, err.col);
        refuse(&checks, CHECK_EVIDENCE_FORMAT, "/evidence", VALUE_UNDEFINED, err.text);
    } else {
        st = verify(&a, o, &in, &checks, &result, &err);
        if (st == ERR_UNAVAILABLE)
            refuse(&checks, CHECK_COLLATERAL, "/data/collateral", missing_urls(&verdict, &result),
                   err.text);
        else if (st != OK)
            refuse(&checks, CHECK_INTERNAL, "", VALUE_UNDEFINED, err.text);
    }
    return answer(&a, o, vf, st == OK, &checks, &result);
}

int main(int argc, char **argv)
{
    struct options o = {.era = ERA_NEW};
    int exit_status = read_options(argc, argv, &o);
    return exit_status >= 0 ? exit_status : run(&o);
}
