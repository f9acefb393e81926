/* Plugin requests: administration without, secrets with a token and a policy (kbs.md 2.10, 7). */
#include "base/log.h"
#include "kbs/kbs_internal.h"
#include "value/json.h"

static bool name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (!first && c == '.');
}

/* kbs.md 7.2: three parts, each [A-Za-z0-9_-][A-Za-z0-9_.-]* */
bool resource_name_is_valid(const struct str *parts, size_t n)
{
    if (n != 3)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len == 0)
            return false;
        for (size_t k = 0; k < parts[i].len; k++)
            if (!name_char(parts[i].ptr[k], k == 0))
                return false;
    }
    return true;
}

static struct str resource_key(struct request *r)
{
    return arena_format(r->arena, "%.*s/%.*s/%.*s", STR_ARG(r->segments[1]),
                        STR_ARG(r->segments[2]), STR_ARG(r->segments[3]));
}

/* The client is told no more than that; what it was is in the decision and the log. */
static void plugin_error(struct request *r, enum check_id id, const char *field, const char *text)
{
    status_ignore(
        check_failed(&r->checks, NULL, id, field, VALUE_UNDEFINED, VALUE_UNDEFINED, "%s", text));
    r->decision.granted = false;
    answer_error(r, V_PLUGIN_INTERNAL, "Plugin internal error");
}

/* ---- administration ---- */

static void admin_write(struct request *r)
{
    struct error err = ERROR_INIT;
    enum status st;
    if (r->x->method == HTTP_DELETE) {
        metric_add(&r->kbs->metrics.resource_deletes);
        st = storage_delete(r->state->resources, resource_key(r), NULL, &err);
    } else {
        metric_add(&r->kbs->metrics.resource_writes);
        st = storage_set(r->state->resources, resource_key(r), r->x->body, true, &err);
    }
    if (st != OK) {
        plugin_error(r, CHECK_STORAGE, "", err.text);
        return;
    }
    r->decision.granted = true;
    answer_body(r, "text/xml");
}

static void resource_admin(struct request *r)
{
    /* A query is part of what a pattern could see, and no part of what is written (HARDEN kbs-9).
     */
    if (r->x->query.len > 0) {
        plugin_error(r, CHECK_REQUEST_FORMAT, "", "an administrative resource request has a query");
        return;
    }
    if (!resource_name_is_valid(r->segments + 1, r->segment_count - 1)) {
        plugin_error(r, CHECK_RESOURCE_PATH, "", "the resource's name is not repository/type/tag");
        return;
    }
    r->work = admin_write;
}

static void sample_admin(struct request *r)
{
    buf_add_cstr(&r->x->out, "sample plugin response");
    r->decision.granted = true;
    answer_body(r, "text/xml");
}

/* ---- with a token ---- */

struct bearer {
    value claims;
    bool legacy; /* answers to RSA1_5 keys have the form of protocol 0.1.1 */
};

/* Cookie first, then the header (5.7).  False: the answer is written. */
static bool find_claims(struct request *r, struct bearer *out)
{
    struct error err = ERROR_INIT;
    struct str cookie = http_cookie(r->x, SESSION_COOKIE);
    if (cookie.ptr != NULL) {
        enum cookie_kind kind;
        struct challenge challenge;
        struct session session;
        enum status st = cookie_open(r->arena, r->state->sealer, r->kbs->sessions, cookie, r->now_s,
                                     &kind, &challenge, &session, &err);
        if (st == OK && kind == COOKIE_SESSION) {
            check_passed(&r->checks, CHECK_SESSION);
            r->decision.cause = session.cause;
            out->claims = session.claims;
            out->legacy = str_is(session.version, "0.1.1");
            return true;
        }
        if (st != OK && st != ERR_CANCELLED)
            metric_add(&r->kbs->metrics.attestation_errors);
    }

    struct str token = bearer_token(http_header(r->x, "authorization"));
    if (token.ptr == NULL) {
        status_ignore(check_failed(&r->checks, NULL, CHECK_TOKEN_MISSING, "", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED,
                                   "the request has neither an attested session nor a token"));
        r->decision.anonymous = true;
        answer_error(r, V_TOKEN_NOT_FOUND, "Attestation Token not found");
        return false;
    }
    struct str header_key;
    enum status st = token_verify(r->state->tokens, r->arena, token, r->now_s, &r->checks,
                                  &out->claims, &header_key, &err);
    if (st != OK) {
        r->decision.anonymous = true; /* anybody can send any text */
        answer_error(r, V_TOKEN_VERIFIER, "Token Verifier error");
        return false;
    }
    if (header_key.len > 0)
        log_warn("kbs",
                 "accepted a token that only its own header vouches for, key thumbprint %.*s",
                 STR_ARG(header_key));
    out->legacy = true;
    return true;
}

/* HARDEN kbs-12: an EAR token with neither submodule says nothing about a CPU. */
static bool has_cpu(value claims)
{
    value submods = value_get_lit(claims, "submods");
    return !value_is_object(submods) || value_is_defined(value_get_lit(submods, "cpu")) ||
           value_is_defined(value_get_lit(submods, "cpu0"));
}

static bool policy_allows(struct request *r, value claims)
{
    struct metrics *m = &r->kbs->metrics;
    struct error err = ERROR_INIT;
    struct policy_question q = {
        .claims = claims,
        .segments = r->segments,
        .segment_count = r->segment_count,
        .query = VALUE_UNDEFINED,
    };
    if (http_query_parse(r->arena, r->x->query, &q.query, &err) != OK) {
        plugin_error(r, CHECK_REQUEST_FORMAT, "/data/query", err.text);
        return false;
    }
    metric_add(&m->policy_evaluations);
    if (!has_cpu(claims)) {
        metric_add(&m->policy_violations);
        status_ignore(check_failed(&r->checks, NULL, CHECK_TOKEN_SUBMODULE, "/input/submods",
                                   VALUE_UNDEFINED, VALUE_UNDEFINED,
                                   "the token has neither a cpu nor a cpu0 submodule"));
        answer_error(r, V_POLICY_DENY, "Access denied by policy");
        return false;
    }

    struct explanation why = {
        .rules = VALUE_UNDEFINED,
        .held = VALUE_UNDEFINED,
        .expired = VALUE_UNDEFINED,
        .change = VALUE_UNDEFINED,
        .examples = VALUE_UNDEFINED,
        .field = STR_EMPTY,
        .expected = VALUE_UNDEFINED,
        .actual = VALUE_UNDEFINED,
    };
    enum policy_answer answer =
        resource_policy_ask(r->state->policy, r->arena, &q, r->now_s, &r->checks, &why, &err);
    r->decision.rules = why.rules;
    r->decision.held = why.held;
    r->decision.change = why.change;
    r->decision.examples = why.examples;
    switch (answer) {
    case POLICY_ALLOW:
        metric_add(&m->policy_approvals);
        return true;
    case POLICY_ERROR:
        metric_add(&m->policy_errors);
        answer_error(r, V_POLICY_ENGINE, "Policy engine error: %s", err.text);
        return false;
    case POLICY_ODD:
        metric_add(&m->policy_errors);
        metric_add(&m->policy_violations);
        if (r->state->config->era == ERA_OLD)
            answer_error(r, V_POLICY_ENGINE, "Policy engine error");
        else
            answer_error(r, V_POLICY_DENY, "Access denied by policy");
        return false;
    case POLICY_DENY:
        break;
    }
    metric_add(&m->policy_violations);
    answer_error(r, V_POLICY_DENY, "Access denied by policy");
    return false;
}

static void encrypt_answer(struct request *r, const struct bearer *bearer, struct str plain)
{
    struct error err = ERROR_INIT;
    struct tee_key key = {NULL, NULL};
    bool rsa15 = kbs_config_serves(r->state->config, STR("0.1.1")); /* HARDEN kbs-6 */
    enum status st = token_tee_key(r->state->config, bearer->claims, rsa15, &key, &err);
    if (st == ERR_UNSUPPORTED) {
        /* A key that parses, of a kind that no answer can be encrypted to (4.4). */
        status_ignore(check_failed(&r->checks, NULL, CHECK_TEE_KEY, "/input", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "%s", err.text));
        answer_error(r, V_JWE, "JWE failed");
        return;
    }
    if (st != OK) {
        status_ignore(check_failed(&r->checks, NULL, CHECK_TEE_KEY, "/input", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "%s", err.text));
        answer_error(r, V_TOKEN_VERIFIER, "Token Verifier error");
        return;
    }
    bool legacy = bearer->legacy && strcmp(key.alg, "RSA1_5") == 0;
    st = jwe_encrypt(&key, legacy ? JWE_LEGACY : JWE_RFC7516, plain, r->kbs->random, NULL,
                     &r->x->out, &err);
    tee_key_done(&key);
    if (st != OK) {
        status_ignore(check_failed(&r->checks, NULL, CHECK_TEE_KEY, "/input", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "%s", err.text));
        answer_error(r, V_JWE, "JWE failed");
        return;
    }
    check_passed(&r->checks, CHECK_TEE_KEY);
    r->decision.granted = true;
    answer_body(r, "application/json");
}

static void resource_get(struct request *r)
{
    struct bearer bearer;
    if (!find_claims(r, &bearer) || !policy_allows(r, bearer.claims))
        return;
    if (r->x->method != HTTP_GET) {
        plugin_error(r, CHECK_METHOD, "", "Illegal HTTP method");
        return;
    }
    if (!resource_name_is_valid(r->segments + 1, r->segment_count - 1)) {
        plugin_error(r, CHECK_RESOURCE_PATH, "", "the resource's name is not repository/type/tag");
        return;
    }
    metric_add(&r->kbs->metrics.resource_reads);
    CLEANUP(buf_done) struct buf plain;
    buf_init_secret(&plain, STORAGE_VALUE_MAX);
    struct error err = ERROR_INIT;
    enum status st = storage_get(r->state->resources, resource_key(r), &plain, &err);
    if (st != OK) {
        plugin_error(r, st == ERR_NOT_FOUND ? CHECK_RESOURCE_MISSING : CHECK_STORAGE, "", err.text);
        return;
    }
    encrypt_answer(r, &bearer, buf_str(&plain));
}

/* ---- dispatch ---- */

void plugin_request(struct request *r)
{
    struct str name = r->segments[0];
    bool resource = str_is(name, "resource") && r->state->resources != NULL;
    bool sample = str_is(name, "sample") && r->state->sample != NULL;
    r->decides = true;
    r->decision.kind = DECISION_RESOURCE;
    if (!resource && !sample) {
        r->decision.anonymous = true;
        status_ignore(check_failed(&r->checks, NULL, CHECK_PLUGIN, "", VALUE_UNDEFINED,
                                   value_string(r->arena, name), "there is no such plugin"));
        answer_error(r, V_PLUGIN_NOT_FOUND, "Plugin %s not found", QUOTED(name));
        return;
    }

    bool admin = sample || r->x->method == HTTP_POST || r->x->method == HTTP_DELETE;
    if (!admin) {
        resource_get(r);
        return;
    }
    r->decision.kind = DECISION_ADMIN;
    if (!admin_allowed(r, V_ADMIN_PLUGIN))
        return;
    if (sample)
        sample_admin(r);
    else
        resource_admin(r);
}
