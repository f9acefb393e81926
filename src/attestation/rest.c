#include "attestation/rest.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "value/json.h"

#define REQUESTS_MAX 64

/* ---- POST /attestation: the body (4.2) ---- */

static enum status malformed(struct error *err, const char *what)
{
    error_set(err, "malformed request: %s", what);
    return ERR_INVALID;
}

static enum status wrong_content(struct error *err, const char *what, enum status st)
{
    error_prefix(err, "%s: ", what);
    return st == ERR_INVALID || st == ERR_NOT_FOUND ? ERR_DENIED : st;
}

static bool given(value v)
{
    return value_is_defined(v) && value_kind(v) != VALUE_KIND_NULL;
}

static enum status read_hash(value v, enum digest_alg *out, struct error *err)
{
    *out = DIGEST_SHA384;
    if (!given(v))
        return OK;
    if (!value_is_string(v))
        return malformed(err, "a hash algorithm is no string");
    if (value_str(v).len == 0)
        return OK;
    if (digest_by_name(value_str(v), true, out) != OK) {
        error_set(err, "parse runtime data HashAlgorithm failed: \"%s\" is unknown",
                  QUOTED(value_str(v)));
        return ERR_DENIED;
    }
    return OK;
}

/* {"raw": base64url} or {"structured": JSON}, exactly one of them. */
static enum status read_runtime(struct arena *a, value v, struct attestation_request *r,
                                struct error *err)
{
    if (!given(v))
        return OK;
    value raw = value_get_lit(v, "raw"), structured = value_get_lit(v, "structured");
    if (value_len(v) != 1 || value_is_defined(raw) == value_is_defined(structured))
        return malformed(err, "runtime_data needs exactly one of raw and structured");
    if (value_is_defined(structured)) {
        r->runtime_kind = RUNTIME_STRUCTURED;
        r->runtime_data = structured;
        return OK;
    }
    if (!value_is_string(raw))
        return malformed(err, "runtime_data.raw is no string");
    r->runtime_kind = RUNTIME_RAW;
    enum status st = base64_bytes(a, value_str(raw), BASE64_URL, &r->runtime_raw, err);
    return st == OK ? OK : wrong_content(err, "base64 decode runtime data", st);
}

static enum status read_digest(struct arena *a, value text, struct attestation_request *r,
                               struct error *err)
{
    if (!value_is_string(text))
        return malformed(err, "an init data digest is no string");
    r->init_kind = INIT_DIGEST;
    enum status st = base64_bytes(a, value_str(text), BASE64_URL, &r->init_data, err);
    return st == OK ? OK : wrong_content(err, "base64 decode init data", st);
}

/*
 * {"init_data_digest"} or {"init_data_toml"}; in the older generation {"raw"} or
 * {"structured"}, whose canonical form is hashed with an algorithm of its own.
 */
static enum status read_init(struct arena *a, value v, bool old, value hash,
                             struct attestation_request *r, struct error *err)
{
    if (!given(v))
        return OK;
    value digest = old ? value_get_lit(v, "raw") : value_get_lit(v, "init_data_digest");
    value whole = old ? value_get_lit(v, "structured") : value_get_lit(v, "init_data_toml");
    if (value_len(v) != 1 || value_is_defined(digest) == value_is_defined(whole))
        return malformed(err, "init_data needs exactly one of its two forms");
    if (value_is_defined(digest))
        return read_digest(a, digest, r, err);
    if (!old) {
        if (!value_is_string(whole))
            return malformed(err, "init_data_toml is no string");
        r->init_kind = INIT_TOML;
        r->init_data = value_str(whole);
        return OK;
    }
    r->init_kind = INIT_STRUCTURED;
    r->init_claims = whole;
    return read_hash(hash, &r->init_hash, err);
}

static enum status read_request(struct arena *a, value v, bool old, struct attestation_request *r,
                                struct error *err)
{
    value tee = value_get_lit(v, "tee"), evidence = value_get_lit(v, "evidence");
    if (!value_is_string(tee) || !value_is_string(evidence))
        return malformed(err, "tee and evidence must be strings");
    *r = (struct attestation_request){
        .tee = value_str(tee), .runtime_data = VALUE_UNDEFINED, .init_claims = VALUE_UNDEFINED};
    if (!tee_is_known(r->tee)) {
        error_set(err, "parse TEE type: tee `%s` not supported", QUOTED(r->tee));
        return ERR_DENIED;
    }

    struct str json;
    enum status st = base64_bytes(a, value_str(evidence), BASE64_URL, &json, err);
    if (st != OK)
        return wrong_content(err, "Illegal input Evidence", st);
    st = json_parse(a, json, NULL, &r->evidence, err);
    if (st != OK)
        return wrong_content(err, "failed to parse tee evidence", st);
    st = read_runtime(a, value_get_lit(v, "runtime_data"), r, err);
    if (st == OK)
        st = read_hash(value_get_lit(v, "runtime_data_hash_algorithm"), &r->runtime_hash, err);
    if (st == OK)
        st = read_init(a, value_get_lit(v, "init_data"), old,
                       value_get_lit(v, "init_data_hash_algorithm"), r, err);
    return st;
}

static enum status read_policy_ids(struct arena *a, value v, struct rest_attestation *out,
                                   struct error *err)
{
    if (!given(v))
        return OK;
    if (!value_is_array(v))
        return malformed(err, "policy_ids is no array");
    out->policy_ids = arena_new_array(a, struct str, value_len(v));
    if (value_len(v) > 0 && out->policy_ids == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < value_len(v); i++) {
        if (!value_is_string(value_items(v)[i]))
            return malformed(err, "a policy id is no string");
        out->policy_ids[out->policy_count++] = value_str(value_items(v)[i]);
    }
    return OK;
}

enum status rest_attestation_parse(struct arena *a, struct str body, struct rest_attestation *out,
                                   struct error *err)
{
    value root;
    *out = (struct rest_attestation){0};
    enum status st = json_parse(a, body, NULL, &root, err);
    if (st != OK) {
        error_prefix(err, "malformed request: ");
        return st;
    }

    bool old = value_is_defined(value_get_lit(root, "tee"));
    value list = value_get_lit(root, "verification_requests");
    if (!old && (!value_is_object(root) || !value_is_array(list)))
        return malformed(err, "there is no list verification_requests");
    size_t n = old ? 1 : value_len(list);
    if (n > REQUESTS_MAX) {
        error_set(err, "more than %d verification requests", REQUESTS_MAX);
        return ERR_LIMIT;
    }
    out->items = arena_new_array(a, struct attestation_request, n);
    if (n > 0 && out->items == NULL)
        return error_nomem(err);
    for (; st == OK && out->len < n; out->len++)
        st = read_request(a, old ? root : value_items(list)[out->len], old, &out->items[out->len],
                          err);
    return st != OK ? st : read_policy_ids(a, value_get_lit(root, "policy_ids"), out, err);
}

/* ---- answers ---- */

static void answer(struct rest_answer *out, int status, const char *type, struct str body)
{
    out->status = status;
    out->content_type = type;
    out->body = body.ptr != NULL ? body : STR_EMPTY;
}

/* 4.1: whatever a handler fails with is 500 and a numbered chain of texts. */
static void failed(struct rest_answer *out, struct arena *a, const char *what,
                   const struct error *err)
{
    answer(out, 500, "text/plain; charset=utf-8",
           arena_format(a, "An internal error occured:\n0: %s\n1: %s\n", what, err->text));
    out->log = arena_format(a, "%s: %s", what, err->text);
}

static void malformed_answer(struct rest_answer *out, struct arena *a, const struct error *err)
{
    answer(out, 400, "text/plain; charset=utf-8", arena_str(a, str_of(err->text)));
    out->log = arena_str(a, str_of(err->text));
}

typedef void (*handler)(struct attestation_service *s, struct arena *a,
                        const struct rest_request *r, int64_t now_s, bool may_wait,
                        struct rest_answer *out);

static void post_attestation(struct attestation_service *s, struct arena *a,
                             const struct rest_request *r, int64_t now_s, bool may_wait,
                             struct rest_answer *out)
{
    struct error err = ERROR_INIT;
    struct rest_attestation req;
    enum status st = rest_attestation_parse(a, r->body, &req, &err);
    if (st == ERR_INVALID || st == ERR_LIMIT) {
        malformed_answer(out, a, &err);
        return;
    }
    struct attestation_result *result = arena_new(a, struct attestation_result);
    out->checks = arena_new(a, struct checks);
    if (result == NULL || out->checks == NULL)
        return;
    checks_init(out->checks, a);
    if (st == OK)
        st = (may_wait ? attestation_evaluate_waiting : attestation_evaluate)(
            s, a, req.items, req.len, req.policy_ids, req.policy_count, now_s, true, out->checks,
            result, &err);
    if (st == ERR_UNAVAILABLE && !may_wait && attestation_may_resolve(s, result)) {
        out->must_wait = true;
        return;
    }
    if (st == ERR_UNAVAILABLE && out->checks->reason.check == CHECK_NONE)
        status_ignore(check_failed(out->checks, NULL, CHECK_COLLATERAL, "/data/collateral",
                                   VALUE_UNDEFINED, VALUE_UNDEFINED, "%s", err.text));
    if (st != OK) {
        failed(out, a, "attestation report evaluate", &err);
        return;
    }
    answer(out, 200, "text/plain; charset=utf-8", result->token);
    out->log = arena_format(a, "attestation token issued, status %.*s", STR_ARG(result->status));
}

static void post_policy(struct attestation_service *s, struct arena *a,
                        const struct rest_request *r, int64_t now_s, bool may_wait,
                        struct rest_answer *out)
{
    struct error err = ERROR_INIT;
    value v;
    if (json_parse(a, r->body, NULL, &v, &err) != OK) {
        malformed_answer(out, a, &err);
        return;
    }
    value id = value_get_lit(v, "policy_id"), policy = value_get_lit(v, "policy");
    if (!value_is_string(id) || !value_is_string(policy)) {
        status_ignore(malformed(&err, "policy_id and policy must be strings"));
        malformed_answer(out, a, &err);
        return;
    }
    if (attestation_set_policy(s, value_str(id), value_str(policy), &err) != OK) {
        failed(out, a, "set policy", &err);
        return;
    }
    answer(out, 200, NULL, STR_EMPTY);
    out->log = arena_format(a, "attestation policy \"%s\" set", QUOTED(value_str(id)));
}

static void answer_value(struct rest_answer *out, struct arena *a, value v)
{
    answer(out, 200, "application/json", json_text(a, v, JSON_COMPACT));
}

static void get_policies(struct attestation_service *s, struct arena *a,
                         const struct rest_request *r, int64_t now_s, bool may_wait,
                         struct rest_answer *out)
{
    struct error err = ERROR_INIT;
    value list;
    if (attestation_list_policies(s, a, &list, &err) != OK)
        failed(out, a, "get policies", &err);
    else
        answer_value(out, a, list);
}

/* A handler of upstream that was never routed (4.1). */
static void get_policy(struct attestation_service *s, struct arena *a, const struct rest_request *r,
                       int64_t now_s, bool may_wait, struct rest_answer *out)
{
    struct error err = ERROR_INIT;
    struct str text;
    struct str id = str_from(r->path, strlen("/policy/"));
    if (attestation_get_policy(s, a, id, &text, &err) != OK)
        failed(out, a, "get policy", &err);
    else
        answer(out, 200, "text/plain; charset=utf-8", text);
}

static void post_challenge(struct attestation_service *s, struct arena *a,
                           const struct rest_request *r, int64_t now_s, bool may_wait,
                           struct rest_answer *out)
{
    struct error err = ERROR_INIT;
    value v;
    if (json_parse(a, r->body, NULL, &v, &err) != OK) {
        malformed_answer(out, a, &err);
        return;
    }
    for (size_t i = 0; i < value_len(v) || !value_is_object(v); i++) {
        if (value_is_object(v) && value_is_string(value_pairs(v)[i].val))
            continue;
        status_ignore(malformed(&err, "a flat object of strings is needed"));
        malformed_answer(out, a, &err);
        return;
    }
    value tee = value_get_lit(v, "tee"), params = value_get_lit(v, "tee_params");
    struct str challenge;
    if (!value_is_defined(tee) || !value_is_defined(params)) {
        error_set(&err, "Failed to get inner %s", value_is_defined(tee) ? "tee_params" : "tee");
        failed(out, a, "generate challenge", &err);
    } else if (attestation_challenge(s, value_str(tee), value_str(params), a, &challenge, &err) !=
               OK) {
        failed(out, a, "generate challenge", &err);
    } else {
        answer(out, 200, "text/plain; charset=utf-8", challenge);
    }
}

static void get_jwks(struct attestation_service *s, struct arena *a, const struct rest_request *r,
                     int64_t now_s, bool may_wait, struct rest_answer *out)
{
    value keys;
    if (attestation_jwks(s, a, &keys) == OK)
        answer_value(out, a, keys);
}

static void get_health(struct attestation_service *s, struct arena *a, const struct rest_request *r,
                       int64_t now_s, bool may_wait, struct rest_answer *out)
{
    answer(out, attestation_is_healthy(s) ? 200 : 503, NULL, STR_EMPTY);
}

static const struct {
    const char *path;
    bool prefix; /* one more path segment follows */
    const char *method;
    const char *allow; /* of all rows of this path */
    handler handle;
} routes[] = {
    {"/attestation", false, "POST", "POST", post_attestation},
    {"/policy", false, "POST", "GET, POST", post_policy},
    {"/policy", false, "GET", "GET, POST", get_policies},
    {"/policy/", true, "GET", "GET", get_policy},
    {"/challenge", false, "POST", "POST", post_challenge},
    {"/.well-known/jwks.json", false, "GET", "GET", get_jwks},
    {"/healthz", false, "GET", "GET", get_health},
};

static bool path_matches(size_t route, struct str path)
{
    struct str want = str_of(routes[route].path);
    if (!routes[route].prefix)
        return str_equal(path, want);
    return path.len > want.len && str_has_prefix(path, want) &&
           str_find(path, '/', want.len) == path.len;
}

/* application/json and anything/...+json, parameters aside. */
static bool is_json(struct str content_type)
{
    struct str type = str_trim(str_slice(content_type, 0, str_find(content_type, ';', 0)));
    if (type.len == 0 || type.len > 100)
        return false;
    char lower[101];
    for (size_t i = 0; i < type.len; i++)
        lower[i] =
            (char)(type.ptr[i] >= 'A' && type.ptr[i] <= 'Z' ? type.ptr[i] + 32 : type.ptr[i]);
    struct str t = str_bytes(lower, type.len);
    return str_is(t, "application/json") || str_has_suffix(t, STR("+json"));
}

void rest_handle(struct attestation_service *s, struct arena *a, const struct rest_request *r,
                 int64_t now_s, bool may_wait, struct rest_answer *out)
{
    *out = (struct rest_answer){.status = 500, .body = STR_EMPTY, .log = STR_EMPTY};
    const char *allow = NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!path_matches(i, r->path))
            continue;
        allow = routes[i].allow;
        if (strcmp(routes[i].method, r->method) != 0)
            continue;
        if (strcmp(r->method, "POST") == 0 && !is_json(r->content_type)) {
            answer(out, 400, "text/plain; charset=utf-8", STR("Content type error"));
            return;
        }
        routes[i].handle(s, a, r, now_s, may_wait, out);
        return;
    }
    answer(out, allow == NULL ? 404 : 405, NULL, STR_EMPTY);
    out->allow = allow;
}
