#include "attestation/attestation_internal.h"

#include "base/encode.h"
#include "value/json.h"

#define JTI_LEN 10
#define POLICY_IDS_MAX 64

/* ---- flattened claims (10.1) ---- */

/* Nested objects become dotted names; arrays and scalars, null included, are leaves. */
static void flatten(struct value_builder *b, struct str prefix, value v)
{
    if (!value_is_object(v) || value_len(v) == 0) {
        if (!value_is_object(v))
            value_builder_put(b, value_string(b->arena, prefix), v);
        return;
    }
    for (size_t i = 0; i < value_len(v); i++) {
        struct str name = value_str(value_pairs(v)[i].key);
        struct str path = arena_format(b->arena, "%.*s.%.*s", STR_ARG(prefix), STR_ARG(name));
        if (path.ptr == NULL)
            b->failed = true;
        else
            flatten(b, path, value_pairs(v)[i].val);
    }
}

static enum status flatten_claims(struct attestation_service *s, struct arena *a,
                                  const struct evidence_claims *claims, size_t n, value *out,
                                  struct error *err)
{
    static const char *const bare[] = {"init_data", "report_data"};
    struct value_builder b;
    value_builder_init(&b, a, 32);
    for (size_t k = 0; k < ARRAY_LEN(bare); k++)
        value_builder_put_str(&b, bare[k], value_cstring(a, ""));
    for (size_t i = 0; i < n; i++) {
        const char *key = claims_key(claims[i].verifier, s->options.era);
        value v;
        enum status st = claims_build(a, &claims[i], DIALECT_A, key, true, &v, err);
        if (st != OK)
            return st;
        for (size_t k = 0; k < ARRAY_LEN(bare); k++) {
            value one = value_get_str(v, str_of(bare[k]));
            if (value_is_defined(one))
                value_builder_put_str(&b, bare[k], one);
        }
        flatten(&b, str_of(key), value_get_str(v, str_of(key)));
    }
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out) ? OK : error_nomem(err);
}

/* ---- policies: each id must allow ---- */

static enum status judge(struct attestation_service *s, struct rego_ctx *ctx,
                         const struct policy *p, struct str id, value input,
                         struct reference_view *view, struct checks *checks, struct error *err)
{
    if (p == NULL)
        return check_failed(checks, err, CHECK_POLICY_LOOKUP, "", VALUE_UNDEFINED, VALUE_UNDEFINED,
                            "policy not found: \"%s\"", QUOTED(id));
    struct error own = ERROR_INIT;
    enum check_id check = CHECK_POLICY_ERROR;
    bool allow = false;
    enum status st = policy_allows(ctx, p, input, view, NULL, &allow, &check, &own);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK)
        return check_failed(checks, err, check, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "%s",
                            own.text);
    if (!allow)
        return check_failed(checks, err, CHECK_POLICY, "", VALUE_TRUE, VALUE_FALSE,
                            "Reject by policy %s", QUOTED(id));
    check_passed(checks, CHECK_POLICY);
    return OK;
}

static value report(struct arena *a, struct str id, const struct policy *p)
{
    struct value_builder b;
    value_builder_init(&b, a, 2);
    value_builder_put_str(&b, "policy-id", value_string(a, id));
    struct str hash = hex_text(a, str_bytes(p->sha384, sizeof(p->sha384)));
    value_builder_put_str(&b, "policy-hash",
                          hash.ptr != NULL ? value_string(a, hash) : VALUE_UNDEFINED);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static enum status judge_all(struct attestation_service *s, struct arena *a, value input,
                             const struct str *ids, size_t n, int64_t now_s, struct checks *checks,
                             value *reports, struct error *err)
{
    static const struct str fallback = {"default", 7};
    if (n == 0) {
        ids = &fallback;
        n = 1;
    }
    if (n > POLICY_IDS_MAX) {
        error_set(err, "more than %d policy ids", POLICY_IDS_MAX);
        return ERR_LIMIT;
    }
    CLEANUP(policy_set_cleanup) struct policy_set *set = service_policies(s);
    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *values = rvps_snapshot_get(s->config.rvps);
    struct rego_ctx *ctx = service_context_get(s);
    if (ctx == NULL)
        return error_nomem(err);

    struct reference_view view = {values, now_s, VALUE_UNDEFINED, {NULL}, 0};
    struct value_builder b;
    value_builder_init(&b, a, n);
    enum status st = OK;
    for (size_t i = 0; st == OK && i < n; i++) {
        const struct policy *p = service_policy(s, set, ids[i]);
        st = judge(s, ctx, p, ids[i], input, &view, checks, err);
        if (st == OK)
            value_builder_add(&b, report(a, ids[i], p));
    }
    service_context_put(s, ctx);
    if (st == OK)
        *reports = value_array_finish(&b);
    return st;
}

/* ---- the token (10.3) ---- */

static value random_id(struct arena *a, const struct random_source *random)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char text[JTI_LEN];
    for (size_t i = 0; i < JTI_LEN;) {
        uint8_t byte;
        random_fill(random, &byte, 1);
        if (byte < 4 * (sizeof(letters) - 1)) /* 248 = 4 * 62: every letter equally likely */
            text[i++] = letters[byte % (sizeof(letters) - 1)];
    }
    return value_string(a, str_bytes(text, JTI_LEN));
}

static value payload(struct attestation_service *s, struct arena *a,
                     const struct evidence_claims *first, value flat, value reports, int64_t now_s)
{
    struct value_builder b, custom;
    value_builder_init(&custom, a, 2);
    value_builder_put_str(&custom, "init_data", first->init_claims);
    value_builder_put_str(&custom, "runtime_data", first->runtime_claims);
    struct str tcb = json_text(a, flat, JSON_COMPACT);
    value_builder_init(&b, a, 9);
    value_builder_put_str(&b, "iss", value_string(a, s->config.issuer));
    value_builder_put_str(&b, "iat", value_int(a, now_s));
    value_builder_put_str(&b, "nbf", value_int(a, now_s));
    value_builder_put_str(&b, "exp", value_int(a, now_s + s->config.duration_s));
    value_builder_put_str(&b, "jti", random_id(a, s->options.random));
    value_builder_put_str(&b, "tee", value_cstring(a, claims_key(first->verifier, s->options.era)));
    value_builder_put_str(&b, "evaluation-reports", reports);
    value_builder_put_str(&b, "tcb-status",
                          tcb.ptr != NULL ? value_string(a, tcb) : VALUE_UNDEFINED);
    value_builder_put_str(&b, "customized_claims",
                          value_object_finish(&custom, VALUE_DUP_LAST, NULL));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

enum status simple_appraise(struct attestation_service *s, struct arena *a,
                            const struct evidence_claims *claims, size_t n,
                            const struct str *policy_ids, size_t n_ids, int64_t now_s,
                            struct checks *checks, struct attestation_result *out,
                            struct error *err)
{
    value flat, reports;
    enum status st = flatten_claims(s, a, claims, n, &flat, err);
    if (st == OK)
        st = judge_all(s, a, flat, policy_ids, n_ids, now_s, checks, &reports, err);
    if (st != OK)
        return st;

    out->claims = payload(s, a, &claims[0], flat, reports, now_s);
    if (!value_is_defined(out->claims)) {
        error_set(err, "the token does not fit the memory of a request");
        return arena_status(a) == OK ? ERR_INTERNAL : arena_status(a);
    }
    out->status = STR("affirming"); /* a simple token exists only when every policy allowed */
    out->affirming = true;
    out->issued_s = now_s;
    out->expires_s = now_s + s->config.duration_s;
    st = token_sign(&s->signer, a, TOKEN_SIMPLE, out->claims, &out->token, err);
    if (st == OK)
        check_passed(checks, CHECK_TOKEN_ISSUE);
    return st;
}
