/*
 * RCAR: the request, challenge, attestation, response exchange (kbs.md 3), in
 * protocols 0.1.1, 0.2.0 and 0.4.0.  The version that is sealed into the
 * challenge decides the form of everything that follows (HARDEN kbs-4).
 */
#include <stdio.h>

#include "base/encode.h"
#include "base/log.h"
#include "kbs/kbs_internal.h"
#include "value/json.h"

#define NONCE_LEN 32
#define ADDITIONAL_MAX 16

static const struct json_options strict_json = {JSON_DUP_REFUSE, 0};

/* ---- auth ---- */

static bool is_digits(struct str s)
{
    if (s.len == 0 || (s.len > 1 && s.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len <= 19;
}

static bool identifiers_are_ok(struct str s, bool numbers_strict)
{
    for (size_t at = 0; at <= s.len;) {
        size_t dot = str_find(s, '.', at);
        struct str part = str_slice(s, at, dot - at);
        bool digits = part.len > 0;
        for (size_t i = 0; i < part.len; i++) {
            char c = part.ptr[i];
            bool digit = c >= '0' && c <= '9';
            if (!digit && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-')
                return false;
            digits = digits && digit;
        }
        if (part.len == 0 || (numbers_strict && digits && !is_digits(part)))
            return false;
        at = dot + 1;
    }
    return true;
}

/*
 * SemVer 2.0.  *core is "major.minor.patch"; *pre tells whether there is a
 * pre-release part.  Build metadata is ignored.
 */
static bool parse_semver(struct str s, struct str *core, bool *pre)
{
    size_t plus = str_find(s, '+', 0);
    if (plus < s.len && !identifiers_are_ok(str_from(s, plus + 1), false))
        return false;
    s = str_slice(s, 0, plus);
    size_t dash = str_find(s, '-', 0);
    *pre = dash < s.len;
    if (*pre && !identifiers_are_ok(str_from(s, dash + 1), true))
        return false;
    *core = str_slice(s, 0, dash);
    size_t first = str_find(*core, '.', 0);
    size_t second = str_find(*core, '.', first + 1);
    return second < core->len && is_digits(str_slice(*core, 0, first)) &&
           is_digits(str_slice(*core, first + 1, second - first - 1)) &&
           is_digits(str_from(*core, second + 1));
}

static void auth_error(struct request *r, enum check_id id, const char *text)
{
    metric_add(&r->kbs->metrics.auth_errors);
    r->decides = true;
    r->decision.anonymous = true; /* anybody can ask */
    status_ignore(
        check_failed(&r->checks, NULL, id, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "%s", text));
    answer_error(r, V_ATTESTATION, "Attestation error: RCAR handshake Auth failed: %s", text);
}

static void version_mismatch(struct request *r, struct str version)
{
    char list[128] = "";
    size_t len = 0;
    const struct str_list *served = &r->state->config->protocols;
    for (size_t i = 0; i < served->len; i++) {
        int n = snprintf(list + len, sizeof(list) - len, "%s=%.*s", i == 0 ? "" : ", ",
                         STR_ARG(served->items[i]));
        if (n < 0 || (size_t)n >= sizeof(list) - len)
            break;
        len += (size_t)n;
    }
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof(text),
             "KBS Client Protocol Version Mismatch: expect %s while the request is %s", list,
             QUOTED(version));
    auth_error(r, CHECK_PROTOCOL_VERSION, text);
}

/* The TEE may be named in auth: devices may not (HARDEN kbs-2). */
static bool tee_is_welcome(struct str tee)
{
    return tee_is_known(tee) && !tee_is_device(tee);
}

void rcar_auth(struct request *r)
{
    metric_add(&r->kbs->metrics.auth_requests);
    value body;
    struct error err = ERROR_INIT;
    if (json_parse(r->arena, r->x->body, &strict_json, &body, &err) != OK) {
        auth_error(r, CHECK_REQUEST_FORMAT, "deserialize Request");
        return;
    }
    value version = value_get_lit(body, "version");
    value tee = value_get_lit(body, "tee");
    if (!value_is_string(version) || !value_is_string(tee) ||
        !value_is_defined(value_get_lit(body, "extra-params"))) {
        auth_error(r, CHECK_REQUEST_FORMAT, "deserialize Request");
        return;
    }
    if (!tee_is_welcome(value_str(tee))) {
        auth_error(r, CHECK_TEE_NAME, "deserialize Request");
        return;
    }
    struct str core;
    bool pre;
    if (!parse_semver(value_str(version), &core, &pre)) {
        auth_error(r, CHECK_PROTOCOL_VERSION, "failed to parse KBS version");
        return;
    }
    if (pre || !kbs_config_serves(r->state->config, core)) {
        version_mismatch(r, value_str(version));
        return;
    }

    uint8_t raw[NONCE_LEN];
    random_fill(r->kbs->random, raw, sizeof(raw));
    struct challenge c = {
        .version = core,
        .tee = value_str(tee),
        .nonce = base64_text(r->arena, str_bytes(raw, sizeof(raw)), BASE64_STD),
        .expires_s = r->now_s + (int64_t)r->state->config->session_minutes * 60,
    };
    struct str cookie;
    if (c.nonce.ptr == NULL ||
        challenge_seal(r->arena, r->state->sealer, &c, r->kbs->random, &cookie, &err) != OK) {
        auth_error(r, CHECK_INTERNAL, "Attestation Service generate challenge failed");
        return;
    }
    answer_cookie(r, cookie, c.expires_s);
    struct json_writer w;
    json_begin(&w, &r->x->out);
    json_object_begin(&w);
    json_key(&w, "nonce");
    json_string(&w, c.nonce);
    json_key(&w, "extra-params");
    json_cstring(&w, "");
    json_object_end(&w);
    status_ignore(json_finish(&w));
    metric_add(&r->kbs->metrics.auth_successes);
    answer_body(r, "application/json");
}

/* ---- attest ---- */

/* The client learns no cause (2.12); the decision has it. */
static void attest_error(struct request *r)
{
    r->decision.granted = false; /* also where the evidence held, but its session found no place */
    r->decision.unverified = !r->decision.anonymous;
    answer_error(r, V_ATTESTATION, "Attestation error: RCAR handshake Attest failed");
}

static void attest_reject(struct request *r, enum check_id id, const char *field, const char *text)
{
    metric_add(&r->kbs->metrics.attestation_errors);
    status_ignore(
        check_failed(&r->checks, NULL, id, field, VALUE_UNDEFINED, VALUE_UNDEFINED, "%s", text));
    attest_error(r);
}

struct attest_body {
    value tee_pubkey; /* as sent */
    value evidence;
    struct str additional; /* text; empty: none */
    bool has_init_data;
    struct str init_data;
    bool echoes_nonce; /* 0.4.0 */
    struct str nonce;
};

static const char *read_init_data(value body, struct attest_body *out)
{
    value init = value_get_lit(body, "init-data");
    if (!value_is_defined(init) || value_kind(init) == VALUE_KIND_NULL)
        return NULL;
    value format = value_get_lit(init, "format");
    value text = value_get_lit(init, "body");
    if (!value_is_string(format) || !value_is_string(text))
        return "init-data needs the strings format and body";
    if (!str_is(value_str(format), "toml"))
        return "Unsupported initdata format";
    out->has_init_data = true;
    out->init_data = value_str(text);
    return NULL;
}

/* NULL, or what is wrong with the body. */
static const char *read_body_0_4(value body, struct attest_body *out)
{
    value runtime = value_get_lit(body, "runtime-data");
    value tee = value_get_lit(body, "tee-evidence");
    value nonce = value_get_lit(runtime, "nonce");
    value additional = value_get_lit(tee, "additional_evidence");
    out->tee_pubkey = value_get_lit(runtime, "tee-pubkey");
    out->evidence = value_get_lit(tee, "primary_evidence");
    if (!value_is_string(nonce) || !value_is_object(out->tee_pubkey) ||
        !value_is_defined(out->evidence) || !value_is_string(additional))
        return "the body is no attestation of protocol 0.4.0";
    out->echoes_nonce = true;
    out->nonce = value_str(nonce);
    out->additional = value_str(additional);
    return read_init_data(body, out);
}

static const char *read_body_old(value body, struct attest_body *out)
{
    out->tee_pubkey = value_get_lit(body, "tee-pubkey");
    out->evidence = value_get_lit(body, "tee-evidence");
    if (!value_is_object(out->tee_pubkey) || !value_is_defined(out->evidence))
        return "the body is no attestation of protocol 0.1.1 or 0.2.0";
    return NULL;
}

/*
 * What the guest hashed into its evidence (3.8): the parsed key, written again
 * from the members that count.
 */
static value runtime_data(struct request *r, struct str nonce, value key, bool primary,
                          struct str additional)
{
    struct value_builder b;
    value_builder_init(&b, r->arena, 3);
    if (primary)
        value_builder_put_str(&b, "additional-evidence", value_string(r->arena, additional));
    value_builder_put_str(&b, "nonce", value_string(r->arena, nonce));
    value_builder_put_str(&b, "tee-pubkey", key);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* Device evidence beside the primary one (HARDEN kbs-3). */
static const char *read_additional(struct request *r, struct str text, value device_runtime,
                                   struct attestation_request *out, size_t *count)
{
    if (text.len == 0)
        return NULL;
    value object;
    if (json_parse(r->arena, text, &strict_json, &object, NULL) != OK || !value_is_object(object))
        return "additional_evidence is no JSON object";
    if (value_len(object) > ADDITIONAL_MAX)
        return "additional_evidence has too many members";
    for (size_t i = 0; i < value_len(object); i++) {
        struct str tee = value_str(value_pairs(object)[i].key);
        if (!tee_is_device(tee) && !str_is(tee, "tpm"))
            return "additional_evidence names a TEE that is no device";
        out[(*count)++] = (struct attestation_request){
            .tee = tee,
            .evidence = value_pairs(object)[i].val,
            .runtime_kind = RUNTIME_STRUCTURED,
            .runtime_data = device_runtime,
            .runtime_hash = DIGEST_SHA384,
        };
    }
    if (value_is_defined(value_get_lit(object, "nvidia-dpu")) &&
        value_is_defined(value_get_lit(object, "nvidiadpu")))
        return "additional_evidence names one TEE twice";
    return NULL;
}

/* Why it is not affirming, or what it rests on: into the decision. */
static void record_result(struct request *r, const struct attestation_result *result)
{
    struct decision *d = &r->decision;
    d->granted = true;
    d->status = result->status;
    d->anchors = result->anchors;
    if (!result->affirming) {
        d->rules = result->why.rules;
        d->held = result->why.held;
        d->expired = result->why.expired;
        d->change = result->why.change;
        d->examples = result->why.examples;
    }
    struct value_builder notes;
    value_builder_init(&notes, r->arena, 4);
    for (size_t i = 0; i < value_len(result->notes); i++)
        value_builder_add(&notes, value_at(result->notes, i));
    if (result->unpinned_paravisor)
        value_builder_add(&notes, value_cstring(r->arena,
                                                "PCR values were used although neither the "
                                                "configuration nor the policy pins the paravisor"));
    if (notes.len > 0)
        d->notes = value_array_finish(&notes);
}

static void write_token(struct request *r, struct str token)
{
    struct json_writer w;
    json_begin(&w, &r->x->out);
    json_object_begin(&w);
    json_key(&w, "token");
    json_string(&w, token);
    json_object_end(&w);
    status_ignore(json_finish(&w));
    answer_body(r, "application/json");
}

static void finish_attestation(struct request *r, const struct challenge *c,
                               const struct attestation_result *result)
{
    struct session s = {
        .version = c->version,
        .cause = str_of(r->decision.id.text),
        .claims = result->claims,
        .expires_s = c->expires_s < result->expires_s ? c->expires_s : result->expires_s,
    };
    struct str cookie;
    struct error err = ERROR_INIT;
    enum status st = session_seal(r->arena, r->state->sealer, r->kbs->sessions, &s, r->now_s,
                                  r->kbs->random, &cookie, &err);
    if (st != OK) {
        attest_reject(r, CHECK_INTERNAL, "", err.text);
        return;
    }
    answer_cookie(r, cookie, c->expires_s);
    write_token(r, result->token);
}

static void attest_again(struct request *r, const struct session *s)
{
    struct str token;
    struct error err = ERROR_INIT;
    if (attestation_sign(r->state->attestation, r->arena, s->claims, &token, &err) != OK) {
        attest_reject(r, CHECK_TOKEN_ISSUE, "", err.text);
        return;
    }
    check_passed(&r->checks, CHECK_SESSION);
    r->decision.granted = true;
    r->decision.cause = s->cause;
    answer_cookie(r, http_cookie(r->x, SESSION_COOKIE), s->expires_s);
    write_token(r, token);
}

/* Evidence whose requests are read, and which may have to wait for collateral. */
struct pending {
    struct challenge challenge; /* its strings are in the request's arena */
    struct attestation_request requests[1 + ADDITIONAL_MAX];
    size_t count;
    struct checks before; /* as they were when the evidence came to be verified */
};

static void attest_failed(struct request *r, const struct challenge *c, enum status st,
                          const struct error *err)
{
    metric_add(&r->kbs->metrics.attestation_failures[metric_tee(c->tee)]);
    if (r->checks.reason.check == CHECK_NONE)
        status_ignore(check_failed(&r->checks, NULL,
                                   st == ERR_UNAVAILABLE ? CHECK_COLLATERAL : CHECK_INTERNAL,
                                   st == ERR_UNAVAILABLE ? "/data/collateral" : "", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "%s", err->text));
    attest_error(r);
}

static void attest_verified(struct request *r, const struct challenge *c,
                            const struct attestation_result *result)
{
    metric_add(&r->kbs->metrics.attestation_successes[metric_tee(c->tee)]);
    log_info("kbs", "evidence of %.*s verified, status %.*s; decision %s", STR_ARG(c->tee),
             STR_ARG(result->status), r->decision.id.text);
    record_result(r, result);
    finish_attestation(r, c, result);
}

static const struct str policy_ids[] = {{"default", 7}};

/* On a worker: collateral was not at hand, so it is fetched first (DESIGN.md). */
static void attest_waiting(struct request *r)
{
    struct pending *p = r->pending;
    r->checks.len = p->before.len;
    r->checks.reason = p->before.reason;
    struct attestation_result result = {.token = STR_EMPTY, .notes = VALUE_UNDEFINED};
    struct error err = ERROR_INIT;
    enum status st =
        attestation_evaluate_waiting(r->state->attestation, r->arena, p->requests, p->count,
                                     policy_ids, 1, r->now_s, true, &r->checks, &result, &err);
    if (st != OK)
        attest_failed(r, &p->challenge, st, &err);
    else
        attest_verified(r, &p->challenge, &result);
}

static void attest_requests(struct request *r, struct pending *p)
{
    p->before = r->checks;
    struct attestation_result result = {.token = STR_EMPTY, .notes = VALUE_UNDEFINED};
    struct error err = ERROR_INIT;
    enum status st = attestation_evaluate(r->state->attestation, r->arena, p->requests, p->count,
                                          policy_ids, 1, r->now_s, true, &r->checks, &result, &err);
    if (st == OK) {
        attest_verified(r, &p->challenge, &result);
    } else if (st == ERR_UNAVAILABLE && attestation_may_resolve(r->state->attestation, &result)) {
        r->pending = p;
        r->work = attest_waiting;
    } else {
        attest_failed(r, &p->challenge, st, &err);
    }
}

static void attest_evidence(struct request *r, const struct challenge *c, value body)
{
    struct attest_body b = {.tee_pubkey = VALUE_UNDEFINED, .evidence = VALUE_UNDEFINED};
    bool primary = str_is(c->version, "0.4.0");
    const char *wrong = !value_is_object(body) ? "the body is no JSON object"
                        : primary              ? read_body_0_4(body, &b)
                                               : read_body_old(body, &b);
    if (wrong != NULL) {
        attest_reject(r, CHECK_REQUEST_FORMAT, "/evidence", wrong);
        return;
    }
    check_passed(&r->checks, CHECK_REQUEST_FORMAT);
    if (b.echoes_nonce && !str_equal(b.nonce, c->nonce)) {
        status_ignore(check_failed(&r->checks, NULL, CHECK_NONCE, "/evidence/runtime-data/nonce",
                                   value_string(r->arena, c->nonce),
                                   value_string(r->arena, b.nonce),
                                   "the nonce is that of another session"));
        attest_error(r);
        return;
    }

    struct error err = ERROR_INIT;
    value key;
    if (tee_key_members(r->arena, b.tee_pubkey, &key, &err) != OK) {
        attest_reject(r, CHECK_TEE_KEY, "/evidence/runtime-data/tee-pubkey", err.text);
        return;
    }
    struct pending *p = arena_new(r->arena, struct pending);
    if (p == NULL) {
        attest_reject(r, CHECK_INTERNAL, "", "out of memory");
        return;
    }
    p->challenge = *c;
    p->requests[0] = (struct attestation_request){
        .tee = c->tee,
        .evidence = b.evidence,
        .runtime_kind = RUNTIME_STRUCTURED,
        .runtime_data = runtime_data(r, c->nonce, key, primary, b.additional),
        .runtime_hash = DIGEST_SHA384,
        .init_kind = b.has_init_data ? INIT_TOML : INIT_ABSENT,
        .init_data = b.init_data,
    };
    p->count = 1;
    wrong = read_additional(r, b.additional, runtime_data(r, c->nonce, key, false, STR_EMPTY),
                            p->requests, &p->count);
    if (wrong != NULL) {
        attest_reject(r, CHECK_ADDITIONAL_EVIDENCE, "/evidence/tee-evidence/additional_evidence",
                      wrong);
        return;
    }

    attest_requests(r, p);
}

void rcar_attest(struct request *r)
{
    metric_add(&r->kbs->metrics.attestation_requests);
    r->decides = true;
    struct str cookie = http_cookie(r->x, SESSION_COOKIE);
    if (cookie.ptr == NULL) {
        r->decision.anonymous = true;
        attest_reject(r, CHECK_SESSION, "", "the request has no session cookie");
        return;
    }

    struct error err = ERROR_INIT;
    enum cookie_kind kind;
    struct challenge challenge;
    struct session session;
    enum status st = cookie_open(r->arena, r->state->sealer, r->kbs->sessions, cookie, r->now_s,
                                 &kind, &challenge, &session, &err);
    if (st == ERR_CANCELLED) {
        /* Not counted as an error upstream (11.1). */
        status_ignore(check_failed(&r->checks, NULL, CHECK_SESSION_EXPIRED, "", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "the session has expired"));
        attest_error(r);
        return;
    }
    if (st != OK) {
        r->decision.anonymous = true; /* anybody can send any cookie */
        attest_reject(r, CHECK_SESSION, "", "the session cookie is unknown or was altered");
        return;
    }
    if (kind == COOKIE_SESSION) {
        attest_again(r, &session);
        return;
    }
    check_passed(&r->checks, CHECK_SESSION);

    value body;
    if (json_parse(r->arena, r->x->body, &strict_json, &body, &err) != OK) {
        attest_reject(r, CHECK_REQUEST_FORMAT, "/evidence", err.text);
        return;
    }
    attest_evidence(r, &challenge, body);
}
