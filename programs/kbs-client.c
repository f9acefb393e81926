/* kbs-client - attest, get resources, administer a KBS.  See man/kbs-client.1. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "tools/admin_client.h"
#include "tools/story.h"
#include "value/json.h"
#include "virtualtee/guest_http.h"
#include "virtualtee/rcar.h"
#include "virtualtee/sample.h"

#define FILE_MAX (64 * 1024 * 1024)

static const char usage_text[] =
    "usage: kbs-client [--url URL] [--cert-file PEM] COMMAND\n"
    "\n"
    "  get-resource --path R/T/G [--tee-key-file PEM] [--attestation-token FILE] [INIT_DATA]\n"
    "  attest [--tee-key-file PEM] [INIT_DATA]\n"
    "  config [--admin-token-file FILE | --auth-private-key PEM] SUBCOMMAND\n"
    "      set-attestation-policy [--type T] [--id ID] --policy-file FILE\n"
    "      set-resource-policy (--policy-file FILE | --allow-all | --deny-all | --affirming |\n"
    "                           --default)\n"
    "      set-resource --path R/T/G --resource-file FILE\n"
    "      delete-resource --path R/T/G\n"
    "      get-reference-value --id ID\n"
    "      get-reference-values\n"
    "      set-sample-reference-value NAME VALUE [--as-integer | --as-bool] [--as-single-value]\n"
    "      set-reference-values FILE     JSON, as measure prints it\n"
    "      explain [-f text|json] ID     why a request was granted or denied\n"
    "\n"
    "  --url URL           of the server, http://127.0.0.1:8080 unless given\n"
    "  --cert-file PEM     a further root certificate\n"
    "  -f, --format        of explain: text (the default) or json\n"
    "  -h, --help          print this text\n"
    "  -V, --version       print the version\n";

enum option_id {
    O_URL = 256,
    O_CERT,
    O_PATH,
    O_TEE_KEY,
    O_TOKEN,
    O_ADMIN_TOKEN,
    O_AUTH_KEY,
    O_TYPE,
    O_ID,
    O_POLICY,
    O_ALLOW_ALL,
    O_DENY_ALL,
    O_AFFIRMING,
    O_DEFAULT,
    O_RESOURCE,
    O_INTEGER,
    O_BOOL,
    O_SINGLE,
};

struct options {
    const char *url, *cert, *path, *tee_key, *token, *admin_token, *auth_key, *type, *id, *policy;
    const char *resource, *format;
    const char *built_in; /* a built-in resource policy */
    int built_in_count;
    bool as_integer, as_bool, single;
    const char *words[8]; /* command, subcommand, arguments */
    size_t word_count;
};

PRINTF_LIKE(1, 2) static int usage_error(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("kbs-client: ", stderr);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("\ntry 'kbs-client --help'\n", stderr);
    return 2;
}

static int failed(const struct error *err)
{
    fprintf(stderr, "Error: %s\n", err->text);
    return 1;
}

static void built_in(struct options *o, const char *policy)
{
    o->built_in = policy;
    o->built_in_count++;
}

/* One option; false when it is unknown. */
static bool take_option(struct options *o, int c)
{
    switch (c) {
    case O_URL:
        o->url = optarg;
        return true;
    case O_CERT:
        o->cert = optarg;
        return true;
    case O_PATH:
        o->path = optarg;
        return true;
    case O_TEE_KEY:
        o->tee_key = optarg;
        return true;
    case O_TOKEN:
        o->token = optarg;
        return true;
    case O_ADMIN_TOKEN:
        o->admin_token = optarg;
        return true;
    case O_AUTH_KEY:
        o->auth_key = optarg;
        return true;
    case O_TYPE:
        o->type = optarg;
        return true;
    case O_ID:
        o->id = optarg;
        return true;
    case O_POLICY:
        o->policy = optarg;
        return true;
    case O_RESOURCE:
        o->resource = optarg;
        return true;
    case O_ALLOW_ALL:
        built_in(o, policy_allow_all);
        return true;
    case O_DENY_ALL:
        built_in(o, policy_deny_all);
        return true;
    case O_AFFIRMING:
        built_in(o, policy_affirming);
        return true;
    case O_DEFAULT:
        built_in(o, policy_default);
        return true;
    case O_INTEGER:
        o->as_integer = true;
        return true;
    case O_BOOL:
        o->as_bool = true;
        return true;
    case O_SINGLE:
        o->single = true;
        return true;
    case 'f':
        o->format = optarg;
        return true;
    default:
        return false;
    }
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, O_URL},
        {"cert-file", required_argument, NULL, O_CERT},
        {"path", required_argument, NULL, O_PATH},
        {"tee-key-file", required_argument, NULL, O_TEE_KEY},
        {"attestation-token", required_argument, NULL, O_TOKEN},
        {"admin-token-file", required_argument, NULL, O_ADMIN_TOKEN},
        {"auth-private-key", required_argument, NULL, O_AUTH_KEY},
        {"type", required_argument, NULL, O_TYPE},
        {"id", required_argument, NULL, O_ID},
        {"policy-file", required_argument, NULL, O_POLICY},
        {"resource-file", required_argument, NULL, O_RESOURCE},
        {"allow-all", no_argument, NULL, O_ALLOW_ALL},
        {"deny-all", no_argument, NULL, O_DENY_ALL},
        {"affirming", no_argument, NULL, O_AFFIRMING},
        {"default", no_argument, NULL, O_DEFAULT},
        {"as-integer", no_argument, NULL, O_INTEGER},
        {"as-bool", no_argument, NULL, O_BOOL},
        {"as-single-value", no_argument, NULL, O_SINGLE},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "f:hV", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage_text, stdout);
            return 0;
        }
        if (c == 'V') {
            puts("kbs-client " CLAVIGER_VERSION);
            return 0;
        }
        if (!take_option(o, c)) {
            fputs("try 'kbs-client --help'\n", stderr);
            return 2;
        }
    }
    while (optind < argc) {
        if (o->word_count == ARRAY_LEN(o->words))
            return usage_error("unexpected argument \"%s\"", argv[optind]);
        o->words[o->word_count++] = argv[optind++];
    }
    if (o->admin_token != NULL && o->auth_key != NULL)
        return usage_error("config takes one of --admin-token-file and --auth-private-key");
    return -1;
}

struct session {
    struct arena arena;
    struct options o;
    const char *url; /* without a slash at the end */
};

static enum status read_file(const char *path, struct buf *out, struct error *err)
{
    enum status st = file_read(path, out, err);
    if (st != OK)
        error_set(err, "Failed to read: %s", path); /* upstream's words */
    return st;
}

/* ---- a guest of the sample TEE ---- */

static enum status sample_attester(void *user, struct str report_data, struct buf *out,
                                   struct error *err)
{
    (void)user;
    return sample_evidence(STR("1"), report_data, out, err);
}

static enum status tee_key(struct session *s, struct privkey **out, struct error *err)
{
    if (s->o.tee_key == NULL)
        return rcar_key_generate(RCAR_KEY_EC256, out, err);
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, FILE_MAX);
    enum status st = read_file(s->o.tee_key, &pem, err);
    if (st == OK)
        st = privkey_from_pem(buf_str(&pem), out, err);
    if (st != OK)
        return st;
    switch (pubkey_kind(privkey_public(*out))) {
    case KEY_EC_P256:
    case KEY_EC_P521:
    case KEY_RSA:
        return OK;
    default:
        error_set(err, "\"%s\": a TEE key is RSA, P-256 or P-521", s->o.tee_key);
        *out = privkey_unref(*out);
        return ERR_INVALID;
    }
}

static enum status open_transport(struct session *s, struct guest_http *http, struct error *err)
{
    const struct http_client_options options = {
        .ca_file = s->o.cert,
        .user_agent = "kbs-client/" CLAVIGER_VERSION,
        .cookies = true,
    };
    return guest_http_init(http, s->url, &options, err);
}

/* A refusal: the server's answer, and the decision to ask about. */
static int refused(const struct guest_answer *answer, const struct error *err)
{
    fprintf(stderr, "Error: %s\n", err->text);
    if (answer->body.len > 0)
        fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&answer->body)));
    if (answer->decision[0] != '\0')
        fprintf(stderr, "decision: %s\n", answer->decision);
    return 1;
}

/* `get`: a resource instead of the token. */
static int as_guest(struct session *s, bool get)
{
    struct error err = ERROR_INIT;
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    struct str bearer = STR_EMPTY;
    enum status st = OK;
    if (s->o.token != NULL && s->o.tee_key == NULL)
        error_set(&err, "--attestation-token needs the --tee-key-file that it was made for"),
            st = ERR_INVALID;
    if (st == OK)
        st = tee_key(s, &key, &err);
    if (st == OK && s->o.token != NULL) {
        st = admin_token_from_file(&s->arena, s->o.token, &bearer, &err);
        if (st != OK)
            error_set(&err, "Failed to read: %s", s->o.token);
    }
    struct guest_http http = {0};
    if (st == OK)
        st = open_transport(s, &http, &err);
    if (st != OK)
        return failed(&err);

    const char *init_data = s->o.word_count > 1 ? s->o.words[1] : NULL;
    struct guest guest = {
        .version = RCAR_0_4_0,
        .tee = "sample",
        .key = key,
        .attester = {sample_attester, NULL},
        .init_data = {init_data, init_data == NULL ? 0 : strlen(init_data)},
        .transport = &http.transport,
    };
    struct guest_answer answer;
    guest_answer_init(&answer);
    struct str token;
    if (bearer.len == 0)
        st = guest_attest(&guest, &s->arena, &token, &answer, &err);
    CLEANUP(buf_done) struct buf plain;
    buf_init_secret(&plain, FILE_MAX);
    struct str path = get ? rcar_resource_path(&s->arena, str_of(s->o.path)) : STR_EMPTY;
    if (st == OK && get)
        st = guest_get_resource(&guest, path.ptr, bearer, &plain, &answer, &err);

    int status = st == OK ? 0 : refused(&answer, &err);
    if (st == OK && get) {
        struct str text = base64_text(&s->arena, buf_str(&plain), BASE64_STD);
        printf("%.*s\n", STR_ARG(text));
    } else if (st == OK) {
        printf("%.*s\n", STR_ARG(token));
    }
    guest_answer_done(&answer);
    guest_http_done(&http);
    return status;
}

/* ---- an administrator ---- */

static enum status admin_open(struct session *s, struct admin_client *c, struct error *err)
{
    *c = (struct admin_client){
        .url = s->url, .arena = &s->arena, .token = STR_EMPTY, .now_s = clock_now_s(&clock_system)};
    const struct http_client_options options = {
        .ca_file = s->o.cert,
        .user_agent = "kbs-client/" CLAVIGER_VERSION,
    };
    enum status st = http_client_new(&options, &c->http, err);
    if (st != OK)
        return st;
    if (s->o.auth_key != NULL)
        return admin_token_sign(&s->arena, s->o.auth_key, c->now_s, &c->token, err);
    if (s->o.admin_token != NULL) {
        st = admin_token_from_file(&s->arena, s->o.admin_token, &c->token, err);
        if (st != OK)
            error_set(err, "Failed to read: %s", s->o.admin_token);
        return st;
    }
    st = admin_token_find(&s->arena, &c->token, err);
    if (st == OK && c->token.len == 0)
        fputs("kbs-client: no admin token was found: asking anonymously\n", stderr);
    return st;
}

static void print_sent(struct session *s, const char *what, const char *label, struct str bytes)
{
    struct str text = base64_text(&s->arena, bytes, BASE64_STD);
    printf("%s success \n %s: %.*s\n", what, label, STR_ARG(text));
}

static int set_attestation_policy(struct session *s, struct admin_client *c)
{
    if (s->o.policy == NULL)
        return usage_error("set-attestation-policy needs %s", "--policy-file");
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, FILE_MAX);
    enum status st = read_file(s->o.policy, &text, &err);
    /* The id that the server of that time looked for (kbs.md 12.1). */
    const char *id = s->o.id != NULL ? s->o.id : s->o.auth_key != NULL ? "default" : "default_cpu";
    if (st == OK)
        st = admin_set_attestation_policy(c, s->o.type != NULL ? s->o.type : "rego", id,
                                          buf_str(&text), &err);
    if (st != OK)
        return failed(&err);
    print_sent(s, "Set attestation policy", "policy", buf_str(&text));
    return 0;
}

static int set_resource_policy(struct session *s, struct admin_client *c)
{
    struct error err = ERROR_INIT;
    if (s->o.built_in_count + (s->o.policy != NULL) > 1)
        return usage_error("set-resource-policy takes one of %s",
                           "--policy-file, --allow-all, --deny-all, --affirming, --default");
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, FILE_MAX);
    enum status st = OK;
    if (s->o.policy != NULL) {
        st = read_file(s->o.policy, &text, &err);
    } else if (s->o.built_in != NULL) {
        buf_add_cstr(&text, s->o.built_in);
    } else {
        error_set(&err, "No policy specified");
        st = ERR_INVALID;
    }
    if (st == OK)
        st = admin_set_resource_policy(c, buf_str(&text), &err);
    if (st != OK)
        return failed(&err);
    print_sent(s, "Set resource policy", "policy", buf_str(&text));
    return 0;
}

static int resource(struct session *s, struct admin_client *c, bool set)
{
    if (s->o.path == NULL)
        return usage_error("%s is missing", "--path");
    if (set && s->o.resource == NULL)
        return usage_error("%s is missing", "--resource-file");
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf bytes;
    CLEANUP(buf_done) struct buf answer;
    buf_init_secret(&bytes, FILE_MAX);
    buf_init(&answer, FILE_MAX);
    struct str path = arena_format(&s->arena, "/kbs/v0/resource/%s", s->o.path);
    enum status st = set ? read_file(s->o.resource, &bytes, &err) : OK;
    if (st == OK)
        st = admin_request(c, set ? "POST" : "DELETE", path.ptr, "application/octet-stream",
                           buf_str(&bytes), &answer, &err);
    if (st != OK)
        return failed(&err);
    if (set)
        print_sent(s, "Set resource", "resource", buf_str(&bytes));
    else
        puts("Delete resource success");
    return 0;
}

static int get_reference_value(struct session *s, struct admin_client *c, bool all)
{
    if (!all && s->o.id == NULL)
        return usage_error("get-reference-value needs %s", "--id");
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf answer;
    buf_init(&answer, FILE_MAX);
    struct str path = all ? STR("/kbs/v0/reference-value")
                          : arena_format(&s->arena, "/kbs/v0/reference-value/%s", s->o.id);
    enum status st = admin_request(c, "GET", path.ptr, NULL, STR_EMPTY, &answer, &err);
    if (st != OK)
        return failed(&err);
    /* Upstream prints the body as a quoted string. */
    putchar('"');
    for (size_t i = 0; i < answer.len; i++) {
        if (answer.ptr[i] == '"' || answer.ptr[i] == '\\')
            putchar('\\');
        putchar(answer.ptr[i]);
    }
    puts("\"");
    return 0;
}

static int set_reference_value(struct session *s, struct admin_client *c)
{
    if (s->o.word_count != 4)
        return usage_error("set-sample-reference-value needs %s", "NAME VALUE");
    struct error err = ERROR_INIT;
    const char *text = s->o.words[3];
    value v = value_cstring(&s->arena, text);
    if (s->o.as_integer) {
        char *end;
        long n = strtol(text, &end, 10);
        if (*text == '\0' || *end != '\0' || n < INT32_MIN || n > INT32_MAX)
            return usage_error("\"%s\" is not an integer of 32 bits", text);
        v = value_int(&s->arena, n);
    } else if (s->o.as_bool) {
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return usage_error("\"%s\" is neither true nor false", text);
        v = value_bool(text[0] == 't');
    }
    if (!s->o.single)
        v = value_array(&s->arena, &v, 1);
    if (admin_set_sample_reference_value(c, str_of(s->o.words[2]), v, &err) != OK)
        return failed(&err);
    puts("Reference Values Updated");
    return 0;
}

/* Ours: many at once, {"name": value}. */
static int set_reference_values(struct session *s, struct admin_client *c)
{
    if (s->o.word_count != 3)
        return usage_error("set-reference-values needs %s", "FILE");
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, ADMIN_ANSWER_MAX);
    value object;
    enum status st = read_file(s->o.words[2], &text, &err);
    if (st == OK)
        st = json_parse(&s->arena, buf_str(&text), NULL, &object, &err);
    if (st == OK && (!value_is_object(object) || value_len(object) == 0)) {
        error_set(&err, "%s: expected an object with a member for each reference value",
                  s->o.words[2]);
        st = ERR_INVALID;
    }
    if (st == OK)
        st = admin_set_reference_values(c, object, &err);
    if (st != OK)
        return failed(&err);
    puts("Reference Values Updated");
    return 0;
}

/* ---- explain ---- */

static enum status get_decision(struct session *s, struct admin_client *c, struct str id,
                                struct buf *text, value *out, struct error *err)
{
    struct str path = arena_format(&s->arena, "/kbs/v0/decision/%.*s", STR_ARG(id));
    if (path.ptr == NULL)
        return error_nomem(err);
    enum status st = admin_request(c, "GET", path.ptr, NULL, STR_EMPTY, text, err);
    static const char unknown[] = "/DecisionNotFound\"";
    if (st == ERR_DENIED && memmem(text->ptr, text->len, unknown, strlen(unknown)) != NULL)
        error_set(err,
                  "the server does not know the decision \"%s\": it keeps some MiB of the last "
                  "ones, and forgets them when it ends",
                  QUOTED(id));
    return st == OK ? json_parse(&s->arena, buf_str(text), NULL, out, err) : st;
}

static int explain_decision(struct session *s, struct admin_client *c)
{
    if (s->o.word_count != 3)
        return usage_error("explain needs %s", "the id of a decision");
    bool json = s->o.format != NULL && strcmp(s->o.format, "json") == 0;
    if (s->o.format != NULL && !json && strcmp(s->o.format, "text") != 0)
        return usage_error("unknown format \"%s\"", s->o.format);
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf text;
    CLEANUP(buf_done) struct buf cause_text;
    CLEANUP(buf_done) struct buf story;
    buf_init(&text, FILE_MAX);
    buf_init(&cause_text, FILE_MAX);
    buf_init(&story, FILE_MAX);
    value decision = VALUE_UNDEFINED;
    value cause = VALUE_UNDEFINED;
    if (get_decision(s, c, str_of(s->o.words[2]), &text, &decision, &err) != OK)
        return failed(&err);
    if (json) {
        printf("%.*s\n", STR_ARG(buf_str(&text)));
        return 0;
    }
    struct str below = value_str(value_get_lit(decision, "cause"));
    if (below.len > 0 && get_decision(s, c, below, &cause_text, &cause, &err) != OK)
        fprintf(stderr, "kbs-client: the attestation below: %s\n", err.text);
    story_write(&story, decision, cause);
    printf("%.*s", STR_ARG(buf_str(&story)));
    return 0;
}

static int as_admin(struct session *s)
{
    if (s->o.word_count < 2) {
        fputs(usage_text, stderr);
        return 2;
    }
    struct error err = ERROR_INIT;
    struct admin_client c;
    if (admin_open(s, &c, &err) != OK)
        return failed(&err);
    const char *command = s->o.words[1];
    int status;
    if (strcmp(command, "set-attestation-policy") == 0)
        status = set_attestation_policy(s, &c);
    else if (strcmp(command, "set-resource-policy") == 0)
        status = set_resource_policy(s, &c);
    else if (strcmp(command, "set-resource") == 0)
        status = resource(s, &c, true);
    else if (strcmp(command, "delete-resource") == 0)
        status = resource(s, &c, false);
    else if (strcmp(command, "get-reference-value") == 0)
        status = get_reference_value(s, &c, false);
    else if (strcmp(command, "get-reference-values") == 0)
        status = get_reference_value(s, &c, true);
    else if (strcmp(command, "set-sample-reference-value") == 0)
        status = set_reference_value(s, &c);
    else if (strcmp(command, "set-reference-values") == 0)
        status = set_reference_values(s, &c);
    else if (strcmp(command, "explain") == 0)
        status = explain_decision(s, &c);
    else
        status = usage_error("unknown command \"%s\"", command);
    http_client_free(c.http);
    return status;
}

int main(int argc, char **argv)
{
    struct session s = {.o = {.url = "http://127.0.0.1:8080"}};
    int status = parse_arguments(argc, argv, &s.o);
    if (status >= 0)
        return status;
    if (s.o.word_count == 0) {
        fputs(usage_text, stderr);
        return 2;
    }
    arena_init_secret(&s.arena, 4 * (size_t)FILE_MAX);
    struct str url = str_of(s.o.url);
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.len--;
    url = arena_str(&s.arena, url);
    s.url = url.ptr;
    if (s.url == NULL)
        return failed(&(struct error){.text = "out of memory"});

    const char *command = s.o.words[0];
    if (strcmp(command, "attest") == 0)
        status = as_guest(&s, false);
    else if (strcmp(command, "get-resource") == 0 && s.o.path == NULL)
        status = usage_error("get-resource needs %s", "--path");
    else if (strcmp(command, "get-resource") == 0)
        status = as_guest(&s, true);
    else if (strcmp(command, "config") == 0)
        status = as_admin(&s);
    else
        status = usage_error("unknown command \"%s\"", command);
    arena_done(&s.arena);
    return status;
}
