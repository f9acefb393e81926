/* Administration: policies, reference values, decisions (kbs.md 2.6 to 2.9, INTERFACES.md). */
#include <stdio.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/utf8.h"
#include "kbs/kbs_internal.h"
#include "value/json.h"

#define POLICY_MAX (1024 * 1024)

static void refuse_admin(struct request *r, enum variant v, const struct error *err)
{
    /* Only behind a signature that verified is the caller somebody: anybody can send any token. */
    enum check_id why = r->checks.reason.check;
    r->decision.anonymous = why != CHECK_ADMIN_ROLE && why != CHECK_TOKEN_EXPIRED;
    if (r->state->config->era == ERA_OLD)
        answer_error(r, v, "Admin auth error: %s", err->text);
    else if (v == V_ADMIN_PLUGIN)
        answer_error(r, v, "failed to initialize [admin] configuration: %s", err->text);
    else
        answer_error(r, v, "admin access denied for endpoint %s: %s", QUOTED(r->segments[0]),
                     err->text);
}

bool admin_allowed(struct request *r, enum variant on_failure)
{
    struct error err = ERROR_INIT;
    r->decides = true;
    enum status st = admin_check(r->state->admin, r->arena, http_header(r->x, "authorization"),
                                 r->path, r->now_s, &r->checks, &err);
    if (st != OK) {
        refuse_admin(r, on_failure, &err);
        return false;
    }
    r->decision.anonymous = admin_is_open(r->state->admin);
    return true;
}

/*
 * A built-in ignores further segments (2.2), so a role's pattern must not see
 * them either: "^/kbs/v0/[^/]+/team-a/.*$" would allow a POST to
 * /kbs/v0/resource-policy/team-a/x, which replaces everybody's policy (HARDEN kbs-9).
 */
static bool begin_admin(struct request *r, bool segments_count)
{
    r->decision.kind = DECISION_ADMIN;
    if (!segments_count) {
        r->path = arena_format(r->arena, "/kbs/v0/%.*s", STR_ARG(r->segments[0]));
        if (r->path.ptr == NULL) {
            answer_empty(r, 500);
            return false;
        }
    }
    return admin_allowed(r, V_ADMIN_ENDPOINT);
}

/* Admitted, but the request could not be carried out. */
static void failed(struct request *r, enum check_id id, const char *text)
{
    status_ignore(
        check_failed(&r->checks, NULL, id, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "%s", text));
}

/* ---- resource-policy ---- */

/* NULL, or the text of kbs.md 2.8. */
static const char *policy_member(struct request *r, struct str *out)
{
    value body;
    if (json_parse(r->arena, r->x->body, NULL, &body, NULL) != OK)
        return "Illegal SetPolicy Request Json";
    value policy = value_get_lit(body, "policy");
    if (!value_is_defined(policy))
        return "No `policy` field inside SetPolicy Request Json";
    if (!value_is_string(policy))
        return "`policy` field is not a string in SetPolicy Request Json";
    *out = value_str(policy);
    return NULL;
}

static void set_resource_policy(struct request *r)
{
    struct str b64;
    const char *wrong = policy_member(r, &b64);
    if (wrong != NULL) {
        failed(r, CHECK_REQUEST_FORMAT, wrong);
        answer_error(r, V_PARSE_POLICY, "Failed to parse policy: %s", wrong);
        return;
    }
    struct error err = ERROR_INIT;
    struct str text;
    if (base64_bytes(r->arena, b64, BASE64_URL, &text, &err) != OK) {
        failed(r, CHECK_REQUEST_FORMAT, err.text);
        answer_error(r, V_PARSE_POLICY, "Failed to parse policy: Failed to decode policy: %s",
                     err.text);
        return;
    }
    enum status st = resource_policy_set(r->state->policy, text, &err);
    if (st != OK) {
        failed(r, st == ERR_INVALID ? CHECK_POLICY_ERROR : CHECK_STORAGE, err.text);
        answer_error(r, V_POLICY_ENGINE, "Policy engine error: Failed to load policy: %s",
                     err.text);
        return;
    }
    log_info("kbs", "the resource policy was replaced; decision %s", r->decision.id.text);
    r->decision.granted = true;
    answer_empty(r, 200);
}

static void get_resource_policy(struct request *r)
{
    struct error err = ERROR_INIT;
    enum status st;
    if (r->state->config->era == ERA_OLD) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, POLICY_MAX);
        st = resource_policy_text(r->state->policy, &text, &err);
        if (st == OK)
            base64_write(&r->x->out, buf_str(&text), BASE64_URL);
    } else {
        value names;
        st = resource_policy_names(r->state->policy, r->arena, &names, &err);
        if (st == OK)
            st = json_write(&r->x->out, names, JSON_COMPACT);
    }
    if (st != OK) {
        failed(r, CHECK_STORAGE, err.text);
        answer_error(r, V_POLICY_ENGINE, "Policy engine error: %s", err.text);
        return;
    }
    r->decision.granted = true;
    answer_body(r, r->state->config->era == ERA_OLD ? "text/xml" : "application/json");
}

void manage_resource_policy(struct request *r)
{
    if (begin_admin(r, false))
        r->work = r->x->method == HTTP_GET ? get_resource_policy : set_resource_policy;
}

/* ---- attestation-policy ---- */

static void set_attestation_policy(struct request *r)
{
    struct error err = ERROR_INIT;
    value body;
    enum status st = json_parse(r->arena, r->x->body, NULL, &body, &err);
    value id = VALUE_UNDEFINED;
    value policy = VALUE_UNDEFINED;
    if (st == OK) {
        id = value_get_lit(body, "policy_id");
        policy = value_get_lit(body, "policy");
        if (!value_is_string(id) || !value_is_string(policy)) {
            error_set(&err, "policy_id and policy must be strings");
            st = ERR_INVALID;
        }
    }
    if (st == OK)
        st = attestation_set_policy(r->state->attestation, value_str(id), value_str(policy), &err);
    if (st != OK) {
        failed(r, CHECK_POLICY_ERROR, err.text);
        answer_error(r, V_ATTESTATION, "Attestation error: Set Attestation Policy failed");
        return;
    }
    log_info("kbs", "attestation policy %s was replaced; decision %s", QUOTED(value_str(id)),
             r->decision.id.text);
    r->decision.granted = true;
    answer_empty(r, 200);
}

void manage_attestation_policy(struct request *r)
{
    if (begin_admin(r, false))
        r->work = set_attestation_policy;
}

/* ---- reference-value ---- */

static void rvps_error(struct request *r, const char *prefix, const struct error *err)
{
    failed(r, CHECK_REFERENCE_VALUE, err->text);
    answer_error(r, V_RVPS, "RVPS configuration failed: %s%s", prefix, err->text);
}

static void set_reference_value(struct request *r)
{
    struct error err = ERROR_INIT;
    if (!utf8_is_valid(r->x->body)) {
        error_set(&err, "Failed to parse reference value message");
        rvps_error(r, "", &err);
        return;
    }
    if (rvps_register(attestation_rvps(r->state->attestation), r->x->body, r->now_s, &err) != OK) {
        rvps_error(r, "Failed to register reference value: ", &err);
        return;
    }
    attestation_refresh(r->state->attestation);
    r->decision.granted = true;
    answer_body(r, "application/json");
}

static struct str reference_value_id(struct request *r)
{
    CLEANUP(buf_done) struct buf id;
    buf_init(&id, 64 * 1024);
    for (size_t i = 1; i < r->segment_count; i++) {
        if (i > 1)
            buf_add_byte(&id, '/');
        buf_add(&id, r->segments[i]);
    }
    return arena_str(r->arena, buf_str(&id));
}

static void get_reference_value(struct request *r)
{
    struct error err = ERROR_INIT;
    struct rvps *rvps = attestation_rvps(r->state->attestation);
    status_ignore(rvps_refresh(rvps, r->now_s, NULL, NULL, &(bool){false}, NULL));
    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(rvps);
    struct str id = reference_value_id(r);
    if (s == NULL || id.ptr == NULL) {
        error_set(&err, "the reference values could not be read");
        rvps_error(r, "Failed to get reference_values: ", &err);
        return;
    }
    bool known = false;
    /* An empty id: all of them, in both eras (2.7, PRODUCT). */
    value v = id.len == 0 ? rvps_all(s, r->now_s) : rvps_query(s, id, r->now_s, &known);
    if (!value_is_defined(v)) {
        error_set(&err, "No reference value found for the given id: %s", QUOTED(id));
        rvps_error(r, "Failed to get reference_values: ", &err);
        return;
    }
    status_ignore(json_write(&r->x->out, v, JSON_COMPACT));
    r->decision.granted = true;
    answer_body(r, "application/json");
}

void manage_reference_value(struct request *r)
{
    if (begin_admin(r, r->x->method == HTTP_GET))
        r->work = r->x->method == HTTP_GET ? get_reference_value : set_reference_value;
}

/* ---- decision/<id> ---- */

void manage_decision(struct request *r)
{
    struct error err = ERROR_INIT;
    r->decides = true;
    r->decision.kind = DECISION_ADMIN;
    if (admin_check_key(r->state->admin, r->arena, http_header(r->x, "authorization"), r->path,
                        r->now_s, &r->checks, &err) != OK) {
        refuse_admin(r, V_ADMIN_ENDPOINT, &err);
        return;
    }
    struct str id = r->segment_count == 2 ? r->segments[1] : STR_EMPTY;
    if (!decision_ring_get(r->kbs->decisions, id, &r->x->out)) {
        failed(r, CHECK_REQUEST_FORMAT, "no such decision");
        answer_error(r, V_DECISION_NOT_FOUND, "Decision %s not found", QUOTED(id));
        return;
    }
    r->decision.granted = true;
    answer_body(r, "application/json");
}
