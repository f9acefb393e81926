/* Answers: the error body of kbs.md 2.12, the cookie of 2.11. */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "kbs/kbs_internal.h"
#include "value/json.h"

#define ERROR_TYPE "https://github.com/confidential-containers/kbs/errors/"

static const char *variant_name(enum variant v, bool old)
{
    switch (v) {
    case V_ADMIN_ENDPOINT:
        return old ? "AdminAuth" : "AdminAuthAccess";
    case V_ADMIN_PLUGIN:
        return old ? "AdminAuth" : "AdminAuthInitialization";
    case V_ATTESTATION:
        return "AttestationError";
    case V_INVALID_PATH:
        return "InvalidRequestPath";
    case V_JWE:
        return "JweError";
    case V_PLUGIN_NOT_FOUND:
        return "PluginNotFound";
    case V_PLUGIN_INTERNAL:
        return "PluginInternalError";
    case V_POLICY_DENY:
        return "PolicyDeny";
    case V_PARSE_POLICY:
        return old ? "PolicyEngine" : "ParsePolicyError";
    case V_POLICY_ENGINE:
        return old ? "PolicyEngine" : "PolicyEngineError";
    case V_RVPS:
        return "RvpsError";
    case V_TOKEN_NOT_FOUND:
        return "TokenNotFound";
    case V_TOKEN_VERIFIER:
        return "TokenVerifierError";
    case V_DECISION_NOT_FOUND:
        return "DecisionNotFound";
    }
    return "Internal";
}

static void write_error(struct request *r, const char *name, const char *detail)
{
    struct json_writer w;
    buf_reset(&r->x->out);
    json_begin(&w, &r->x->out);
    json_object_begin(&w);
    json_key(&w, "type");
    char type[128];
    snprintf(type, sizeof(type), ERROR_TYPE "%s", name);
    json_cstring(&w, type);
    json_key(&w, "detail");
    json_cstring(&w, detail);
    if (r->decides) {
        json_key(&w, "decision_id"); /* README 10: always the last member */
        json_cstring(&w, r->decision.id.text);
    }
    json_object_end(&w);
    status_ignore(json_finish(&w));
}

void answer_error(struct request *r, enum variant v, const char *format, ...)
{
    char detail[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(detail, sizeof(detail), format, ap);
    va_end(ap);

    bool old = r->state->config->era == ERA_OLD;
    const char *name = variant_name(v, old);
    /* Up to v0.18 the policy engine said no more than this. */
    if (old && (v == V_PARSE_POLICY || v == V_POLICY_ENGINE))
        snprintf(detail, sizeof(detail), "Policy engine error");

    r->x->status =
        v == V_INVALID_PATH || v == V_PLUGIN_NOT_FOUND || v == V_DECISION_NOT_FOUND ? 404 : 401;
    write_error(r, name, detail);

    const struct reason *why = &r->checks.reason;
    if (why->check != CHECK_NONE)
        log_error("kbs", "%s: %s; check %s: %.*s%s%s", name, detail, check_name(why->check),
                  STR_ARG(why->message), r->decides ? "; decision " : "",
                  r->decides ? r->decision.id.text : "");
    else
        log_error("kbs", "%s: %s", name, detail);
}

void answer_empty(struct request *r, int status)
{
    r->x->status = status;
    buf_reset(&r->x->out);
}

void answer_body(struct request *r, const char *content_type)
{
    r->x->status = 200;
    if (content_type != NULL)
        http_add_header(r->x, "Content-Type", str_of(content_type));
    if (buf_status(&r->x->out) != OK)
        answer_error(r, V_PLUGIN_INTERNAL, "Plugin internal error");
}

void answer_cookie(struct request *r, struct str text, int64_t expires_s)
{
    char when[TIME_HTTP_LEN + 1];
    time_write_http(expires_s, when);
    long long left = expires_s > r->now_s ? (long long)(expires_s - r->now_s) : 0;
    /* Max-Age: clients prefer it, and theirs may be the wrong clock (kbs.md 2.11). */
    struct str tail = arena_format(r->arena, "; Expires=%s; Max-Age=%lld", when, left);
    const struct str parts[] = {STR(SESSION_COOKIE "="), text, tail};
    struct str cookie = arena_join(r->arena, parts, ARRAY_LEN(parts));
    if (cookie.ptr != NULL)
        http_add_header(r->x, "Set-Cookie", cookie);
}
