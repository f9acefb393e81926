#include "attestation/attestation_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Defaults of attestation-service.md 2; the prefix is fixed, not work_dir. */
#define AS_DIR "/opt/confidential-containers/attestation-service"
#define DEFAULT_MINUTES 5
#define MINUTES_MAX (366 * 24 * 60) /* a token that outlives a year is a typing error */

void warn_text(const struct attestation_options *o, const char *format, ...)
{
    if (o->warn == NULL)
        return;
    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    o->warn(o->user, text);
}

/* ---- reading tables leniently: upstream's loader takes "5" for 5 and "true" for true ---- */

static value member(value table, const char *key)
{
    return value_get_str(table, str_of(key));
}

static enum status wrong(struct error *err, const char *key, const char *what)
{
    error_set(err, "configuration: %s must be %s", key, what);
    return ERR_INVALID;
}

static bool absent(value v)
{
    return !value_is_defined(v) || value_kind(v) == VALUE_KIND_NULL;
}

static enum status read_text(struct arena *a, value table, const char *key, struct str *out,
                             struct error *err)
{
    value v = member(table, key);
    if (absent(v))
        return OK;
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str s;
    if (value_is_string(v))
        s = value_str(v);
    else if (value_kind(v) == VALUE_KIND_NUMBER)
        s = value_number_text(v, scratch);
    else
        return wrong(err, key, "a string");
    if (memchr(s.ptr, '\0', s.len) != NULL)
        return wrong(err, key, "a string without NUL");
    *out = arena_str(a, s);
    return out->ptr == NULL ? error_nomem(err) : OK;
}

static enum status read_bool(value table, const char *key, bool *out, struct error *err)
{
    value v = member(table, key);
    if (absent(v))
        return OK;
    if (value_kind(v) == VALUE_KIND_BOOLEAN)
        *out = value_is_true(v);
    else if (str_is(value_str(v), "true") || str_is(value_str(v), "false"))
        *out = str_is(value_str(v), "true");
    else
        return wrong(err, key, "true or false");
    return OK;
}

static enum status read_minutes(value table, const char *key, int64_t *out, struct error *err)
{
    value v = member(table, key);
    if (absent(v))
        return OK;
    int64_t n;
    if (value_is_string(v)) {
        char *end;
        char text[24];
        struct str s = value_str(v);
        if (s.len == 0 || s.len >= sizeof(text))
            return wrong(err, key, "a number of minutes");
        memcpy(text, s.ptr, s.len);
        text[s.len] = '\0';
        n = strtoll(text, &end, 10);
        if (*end != '\0')
            return wrong(err, key, "a number of minutes");
    } else if (!value_get_int64(v, &n)) {
        return wrong(err, key, "a number of minutes");
    }
    if (n < 1 || n > MINUTES_MAX)
        return wrong(err, key, "between a minute and a year");
    *out = n * 60;
    return OK;
}

static enum status read_table(value table, const char *key, value *out, struct error *err)
{
    value v = member(table, key);
    *out = VALUE_UNDEFINED;
    if (absent(v))
        return OK;
    if (!value_is_object(v))
        return wrong(err, key, "a table");
    *out = v;
    return OK;
}

/* ---- unknown keys (S1): every silent failure of the eras was an ignored key ---- */

static enum status check_keys(struct arena *a, const struct attestation_options *o,
                              struct error *err)
{
    struct reader r = {a, STR("configuration"), NULL, OK, err, o->warn, o->user};
    if (!o->config_checked)
        attestation_config_check(&r, o->config, STR_EMPTY);
    return r.failed;
}

/* ---- eras ---- */

enum era attestation_config_era(value config)
{
    value broker = member(config, "attestation_token_broker");
    bool old = value_is_defined(member(broker, "type")) ||
               value_is_defined(member(broker, "policy_dir")) ||
               value_is_defined(member(member(config, "rvps_config"), "storage")) ||
               value_is_defined(member(config, "policy_engine")) || value_is_string(broker);
    /* kbs.md 13.4, 8: a storage backend makes it new whatever else there is */
    return old && !value_is_defined(member(config, "storage_backend")) ? ERA_OLD : ERA_NEW;
}

static bool folder_has(struct str dir, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%.*s/opa/%s", STR_ARG(dir), name);
    return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}

bool attestation_config_has_cpu0(value config)
{
    struct str dir = value_str(member(member(config, "attestation_token_broker"), "policy_dir"));
    return dir.len > 0 && folder_has(dir, "default_cpu.rego") && !folder_has(dir, "default.rego");
}

static bool has_legacy_marker(value config)
{
    value rvps = member(config, "rvps_config");
    return value_is_defined(member(config, "work_dir")) ||
           value_is_defined(member(member(config, "attestation_token_broker"), "type")) ||
           value_is_defined(member(member(rvps, "storage"), "type")) ||
           value_is_defined(member(rvps, "store_type"));
}

/* ---- stores ---- */

struct backend {
    value table; /* {"storage_type", "backends"}, or undefined */
    struct str type;
    enum storage_how how;
};

static bool type_is(struct str type, const char *camel, const char *snake)
{
    return str_is(type, camel) || str_is(type, snake);
}

/* `<section>.<key>`, its synonym, or the default; a missing section is one of defaults (2.5). */
static enum status backend_dir(struct arena *a, const struct backend *b, const char *section,
                               const char *key, const char *synonym, const char *fallback,
                               struct str *out, struct error *err)
{
    value table = member(member(b->table, "backends"), section);
    *out = str_of(fallback);
    enum status st = OK;
    if (synonym != NULL)
        st = read_text(a, table, synonym, out, err);
    if (st == OK)
        st = read_text(a, table, key, out, err);
    return st;
}

#define LOCAL_FS_DIR "/opt/confidential-containers/storage/local_fs"
#define LOCAL_JSON_DIR "/opt/confidential-containers/storage/local_json"
#define SQLITE_PATH "/opt/confidential-containers/storage/claviger.sqlite"

/* v0.19.0 wrote hyphens where later versions have underscores: read on if only that is there
 * (13.1). */
static struct str spelled_namespace(struct arena *a, struct str dir, const char *ns)
{
    struct str hyphens = arena_str(a, str_of(ns));
    char *text = (char *)(uintptr_t)hyphens.ptr; /* made above, nobody else's yet */
    for (size_t i = 0; i < hyphens.len; i++)
        if (text[i] == '_')
            text[i] = '-';
    struct str now = arena_format(a, "%s/%s", dir.ptr, ns);
    struct str then = arena_format(a, "%s/%s", dir.ptr, hyphens.ptr);
    bool old = now.ptr != NULL && then.ptr != NULL && access(now.ptr, F_OK) != 0 &&
               access(then.ptr, F_OK) == 0;
    return old ? hyphens : str_of(ns);
}

static enum status open_namespace(struct arena *a, const struct backend *b, const char *ns,
                                  struct storage **out, struct error *err)
{
    struct str dir;
    enum status st;
    if (type_is(b->type, "Memory", "memory"))
        return storage_open_memory(out, err);
    if (type_is(b->type, "LocalFs", "local_fs")) {
        st = backend_dir(a, b, "local_fs", "dir_path", NULL, LOCAL_FS_DIR, &dir, err);
        return st != OK ? st
                        : storage_open_local_fs(dir.ptr, spelled_namespace(a, dir, ns), b->how, out,
                                                err);
    }
    if (type_is(b->type, "LocalJson", "local_json")) {
        st =
            backend_dir(a, b, "local_json", "file_dir_path", "dir_path", LOCAL_JSON_DIR, &dir, err);
        return st != OK ? st
                        : storage_open_local_json(dir.ptr, spelled_namespace(a, dir, ns), b->how,
                                                  out, err);
    }
    if (type_is(b->type, "Sqlite", "sqlite")) {
        st = backend_dir(a, b, "sqlite", "path", NULL, SQLITE_PATH, &dir, err);
        return st != OK ? st : storage_open_sqlite(dir.ptr, str_of(ns), b->how, out, err);
    }
    error_set(err, "configuration: storage type \"%s\" is not built in", QUOTED(b->type));
    return ERR_UNSUPPORTED;
}

/* The top-level table, with the type that the component's own key may replace (2.2, 2.5). */
static enum status backend_of(struct arena *a, const struct attestation_options *o,
                              struct backend *out, struct error *err)
{
    value table = value_is_defined(o->storage_backend) ? o->storage_backend
                                                       : member(o->config, "storage_backend");
    out->how = o->only_look ? STORAGE_LOOK : STORAGE_MAKE;
    out->table = absent(table) ? VALUE_UNDEFINED : table;
    out->type = STR("Memory");
    enum status st = read_text(a, out->table, "storage_type", &out->type, err);
    if (st == OK)
        st = read_text(a, o->config, "storage_type", &out->type, err);
    return st;
}

static bool is_explicit(const struct attestation_options *o, const struct backend *b)
{
    return value_is_defined(b->table) || value_is_defined(member(o->config, "storage_type"));
}

static enum status add_source(struct as_config *c, struct storage *s)
{
    c->policies[c->policy_count++] = s;
    return OK;
}

static enum status add_dir(struct as_config *c, const struct backend *b, const char *dir,
                           struct error *err)
{
    struct storage *s = NULL;
    enum status st = storage_open_local_fs(dir, STR("opa"), b->how, &s, err);
    return st != OK ? st : add_source(c, s);
}

/* S2: where policies are, in the order of search. */
static enum status open_policies(struct arena *a, const struct attestation_options *o,
                                 const struct backend *b, struct as_config *c, struct error *err)
{
    struct str dir = {NULL, 0};
    enum status st =
        read_text(a, member(o->config, "attestation_token_broker"), "policy_dir", &dir, err);
    if (st != OK)
        return st;

    if (is_explicit(o, b)) {
        struct storage *s = NULL;
        st = open_namespace(a, b, "attestation_service_policy", &s, err);
        if (st != OK)
            return st;
        status_ignore(add_source(c, s));
    }
    if (dir.ptr != NULL)
        return add_dir(c, b, dir.ptr, err);
    if (c->policy_count > 0)
        return OK;
    if (has_legacy_marker(o->config)) {
        st = add_dir(c, b,
                     c->token == TOKEN_SIMPLE ? AS_DIR "/token/simple/policies"
                                              : AS_DIR "/token/ear/policies",
                     err);
        if (st == OK && c->token == TOKEN_EAR)
            st = add_dir(c, b, AS_DIR "/token/policies", err);
        return st;
    }
    struct storage *s = NULL;
    st = storage_open_memory(&s, err);
    return st != OK ? st : add_source(c, s);
}

/* A namespace as a store of reference values; LocalJson's file may hold entries of every form (S8).
 */
static enum status open_values(struct arena *a, const struct backend *b, bool enforce,
                               struct rvps **out, struct error *err)
{
    if (type_is(b->type, "LocalJson", "local_json")) {
        struct str dir;
        enum status st =
            backend_dir(a, b, "local_json", "file_dir_path", "dir_path", LOCAL_JSON_DIR, &dir, err);
        if (st != OK)
            return st;
        struct str ns = spelled_namespace(a, dir, "reference_value");
        struct str path = arena_format(a, "%s/%.*s", dir.ptr, STR_ARG(ns));
        return path.ptr == NULL ? error_nomem(err)
                                : rvps_open_file(path.ptr, b->how, enforce, out, err);
    }
    CLEANUP(storage_cleanup) struct storage *s = NULL;
    enum status st = open_namespace(a, b, "reference_value", &s, err);
    return st != OK ? st : rvps_open_storage(s, enforce, out, err);
}

/* Forms a and b of 2.5: v0.18 and before. */
static enum status open_old_values(const struct backend *b, struct str type, struct str path,
                                   bool enforce, struct rvps **out, struct error *err)
{
    if (str_is(type, "LocalJson")) {
        if (path.ptr == NULL)
            path = STR(AS_DIR "/reference_values.json");
        return rvps_open_file(path.ptr, b->how, enforce, out, err);
    }
    if (!str_is(type, "LocalFs")) {
        error_set(err, "configuration: reference values in a \"%s\" are unknown", QUOTED(type));
        return ERR_UNSUPPORTED;
    }
    /*
     * Upstream keeps a database of a Rust library there.  Nothing else reads
     * that; beside it, new values go to one file each.
     */
    if (path.ptr == NULL)
        path = STR(AS_DIR "/reference_values");
    CLEANUP(storage_cleanup) struct storage *s = NULL;
    enum status st = storage_open_local_fs(path.ptr, STR("reference_value"), b->how, &s, err);
    return st != OK ? st : rvps_open_storage(s, enforce, out, err);
}

static enum status open_rvps(struct arena *a, const struct attestation_options *o,
                             struct backend *b, struct as_config *c, struct error *err)
{
    value table, storage, old;
    bool enforce = true;
    struct str type = {NULL, 0}, remote = STR_EMPTY, old_type = STR("LocalFs"), path = {NULL, 0};
    enum status st = read_table(o->config, "rvps_config", &table, err);
    if (st == OK)
        st = read_bool(table, "enforce_expiration", &enforce, err);
    if (st == OK)
        st = read_text(a, table, "type", &type, err);
    if (st == OK)
        st = read_text(a, table, "remote_addr", &remote, err);
    if (st == OK)
        st = read_table(table, "storage", &storage, err);
    if (st == OK)
        st = read_table(table, "store_config", &old, err);
    if (st != OK)
        return st;
    if (remote.len > 0 || (type.ptr != NULL && str_is(type, "GrpcRemote"))) {
        error_set(err,
                  "configuration: a remote RVPS (rvps_config.type GrpcRemote) is not built in");
        return ERR_UNSUPPORTED;
    }
    if (type.ptr != NULL && !str_is(type, "BuiltIn")) {
        error_set(err, "configuration: rvps_config.type \"%s\" is unknown", QUOTED(type));
        return ERR_INVALID;
    }

    bool storage_old =
        value_is_defined(member(storage, "type")) ||
        (value_is_defined(storage) && !value_is_defined(member(storage, "storage_type")));
    bool form_a = value_is_defined(member(table, "store_type")) || value_is_defined(old);
    if (storage_old || form_a) {
        st = read_text(a, form_a ? table : storage, form_a ? "store_type" : "type", &old_type, err);
        if (st == OK)
            st = read_text(a, form_a ? old : storage, "file_path", &path, err);
        return st != OK ? st : open_old_values(b, old_type, path, enforce, &c->rvps, err);
    }

    if (value_is_defined(storage)) /* form e: the v0.21 operator's own sample */
        b->table = storage;
    bool named = is_explicit(o, b) || value_is_defined(member(table, "storage_type"));
    st = read_text(a, value_is_defined(storage) ? storage : table, "storage_type", &b->type, err);
    if (st != OK)
        return st;
    if (!named && has_legacy_marker(o->config))
        return open_old_values(b, old_type, path, enforce, &c->rvps, err);
    return open_values(a, b, enforce, &c->rvps, err);
}

/* ---- the broker ---- */

enum status as_config_read_broker(struct arena *a, const struct attestation_options *o,
                                  struct as_config *c, struct error *err)
{
    value broker = member(o->config, "attestation_token_broker");
    value signer = VALUE_UNDEFINED;
    struct str type = STR("Ear");
    enum status st = OK;
    c->duration_s = DEFAULT_MINUTES * 60;
    c->issuer = STR("CoCo-Attestation-Service");
    c->developer = STR("https://confidentialcontainers.org");
    c->build = STR("attestation-service 0.1.0");
    c->profile = STR("tag:github.com,2024:confidential-containers/Trustee");
    c->verbose_token = true;

    if (value_is_string(broker)) {
        /* E10: the string "Simple", and its own table; in any later era that one is dead weight
         * (2.2). */
        type = value_str(broker);
        broker = member(o->config, "attestation_token_config");
    } else if (!absent(broker) && !value_is_object(broker)) {
        return wrong(err, "attestation_token_broker", "a table");
    } else if (o->era == ERA_OLD) {
        st = read_text(a, broker, "type", &type, err);
    }
    if (st == OK)
        st = read_minutes(broker, "duration_min", &c->duration_s, err);
    if (st == OK)
        st = read_text(a, broker, "issuer_name", &c->issuer, err);
    if (st == OK)
        st = read_text(a, broker, "developer_name", &c->developer, err);
    if (st == OK)
        st = read_text(a, broker, "build_name", &c->build, err);
    if (st == OK)
        st = read_text(a, broker, "profile_name", &c->profile, err);
    if (st == OK)
        st = read_bool(broker, "verbose_token", &c->verbose_token, err);
    if (st == OK)
        st = read_table(broker, "signer", &signer, err);
    if (st == OK)
        st = read_text(a, signer, "key_path", &c->key_path, err);
    if (st == OK)
        st = read_text(a, signer, "cert_url", &c->cert_url, err);
    if (st == OK)
        st = read_text(a, signer, "cert_path", &c->cert_path, err);
    if (st != OK)
        return st;

    if (!str_is(type, "Ear") && !str_is(type, "Simple")) {
        error_set(err, "configuration: attestation_token_broker.type \"%s\" is unknown",
                  QUOTED(type));
        return ERR_INVALID;
    }
    c->token = str_is(type, "Simple") ? TOKEN_SIMPLE : TOKEN_EAR;
    /* Each of them empty makes every token fail upstream: said at start. */
    if (c->developer.len == 0 || c->build.len == 0 || c->profile.len == 0)
        return wrong(err, "profile_name, build_name and developer_name", "not empty");
    if (value_is_defined(signer) && c->key_path.len == 0)
        return wrong(err, "attestation_token_broker.signer.key_path", "given");
    return OK;
}

/* A name that names no file must not pass for no list. */
static enum status read_deny_list(struct arena *a, value verifier_config, struct str *out,
                                  struct error *err)
{
    enum status st = read_text(a, verifier_config, "deny_list", out, err);
    if (st == OK && value_is_defined(member(verifier_config, "deny_list")) && out->len == 0)
        return wrong(err, "verifier_config.deny_list", "the path of a file");
    return st;
}

enum status as_config_read(struct arena *a, const struct attestation_options *o,
                           struct as_config *out, struct error *err)
{
    *out = (struct as_config){.verifier_config = VALUE_UNDEFINED};
    if (value_is_defined(o->config) && !value_is_object(o->config))
        return wrong(err, "the attestation service's part", "a table");
    struct backend b = {0};
    enum status st = check_keys(a, o, err);
    if (st == OK)
        st = as_config_read_broker(a, o, out, err);
    if (st == OK)
        st = read_table(o->config, "verifier_config", &out->verifier_config, err);
    if (st == OK)
        st = read_deny_list(a, out->verifier_config, &out->deny_list, err);
    if (st == OK)
        st = backend_of(a, o, &b, err);
    if (st == OK)
        st = open_policies(a, o, &b, out, err);
    if (st == OK)
        st = open_rvps(a, o, &b, out, err);
    /* README 8 */
    if (st == OK && !is_explicit(o, &b) && !has_legacy_marker(o->config) &&
        !value_is_defined(member(member(o->config, "attestation_token_broker"), "policy_dir")))
        warn_text(o, "without storage_backend, attestation policies and reference values that are "
                     "set here are kept in memory and lost at restart");
    return st;
}

void as_config_done(struct as_config *c)
{
    for (size_t i = 0; i < c->policy_count; i++)
        storage_unref(c->policies[i]);
    rvps_free(c->rvps);
    *c = (struct as_config){0};
}
