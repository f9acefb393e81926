#include "attestation/attestation_internal.h"

#include <stdio.h>

#include "rego/builtin.h"

/* ---- reference values, by both ways to them (S6) ---- */

/*
 * Missing and expired are undefined, never null (README 13; HARDEN as-1: null
 * is smaller than every number, so `claim >= null` would hold).
 */
enum rego_outcome query_reference_value(struct rego_call *call, const value *args, value *out)
{
    struct reference_view *view = rego_call_user(call);
    if (!value_is_string(args[0]))
        return rego_call_type_error(call, 1, "string", args[0]);
    bool known;
    if (value_is_defined(view->replaced)) {
        *out = value_get(view->replaced, args[0]);
    } else if (view->snapshot != NULL) {
        reference_view_touch(view, rvps_entry(view->snapshot, value_str(args[0])));
        *out = rvps_query(view->snapshot, value_str(args[0]), view->now_s, &known);
    } else {
        return rego_call_error(call, "the reference values could not be read");
    }
    return value_is_defined(*out) ? REGO_VALUE : REGO_UNDEFINED;
}

void reference_view_touch(struct reference_view *v, const struct reference_value *entry)
{
    if (entry == NULL || entry->expires_s - RVPS_EXPIRES_SOON_S > v->now_s)
        return;
    for (size_t i = 0; i < v->expiring_count; i++)
        if (v->expiring[i] == entry)
            return;
    if (v->expiring_count < EXPIRING_MAX)
        v->expiring[v->expiring_count++] = entry;
}

value reference_view_all(const struct reference_view *v)
{
    if (value_is_defined(v->replaced))
        return v->replaced;
    return v->snapshot != NULL ? rvps_all(v->snapshot, v->now_s) : VALUE_UNDEFINED;
}

/* ---- evaluation (7) ---- */

static enum status failed_evaluation(struct rego_ctx *ctx, enum status st, const char *what,
                                     struct error *err)
{
    const struct rego_error *e = rego_ctx_error(ctx);
    if (e == NULL) {
        error_set(err, "%s: %s", what, status_name(st));
    } else {
        error_set(err, "%s: %.*s:%u: %s: %.*s", what, STR_ARG(e->file), e->row,
                  e->code == NULL ? status_name(st) : e->code, STR_ARG(e->message));
    }
    return st == ERR_NOMEM ? ERR_NOMEM : ERR_DENIED;
}

/* Add what the last evaluation tried; each expression once. */
static void collect(struct rego_ctx *ctx, struct rego_trace *out)
{
    struct rego_trace more = rego_ctx_trace(ctx);
    struct arena *a = rego_ctx_arena(ctx);
    struct rego_trace_rule *items = arena_new_array(a, struct rego_trace_rule, out->len + more.len);
    if (items == NULL || more.len == 0)
        return;
    size_t n = 0;
    for (; n < out->len; n++)
        items[n] = out->items[n];
    for (size_t i = 0; i < more.len; i++) {
        bool seen = false;
        for (size_t k = 0; k < n && !seen; k++)
            seen = items[k].row == more.items[i].row && items[k].col == more.items[i].col &&
                   items[k].held == more.items[i].held &&
                   str_equal(items[k].rule, more.items[i].rule) &&
                   value_equal(items[k].left, more.items[i].left) &&
                   value_equal(items[k].right, more.items[i].right);
        if (!seen)
            items[n++] = more.items[i];
    }
    *out = (struct rego_trace){items, n};
}

static enum status evaluate_path(struct rego_ctx *ctx, const struct rego_eval *eval,
                                 struct str path, struct rego_trace *trace, value *out,
                                 struct error *err)
{
    enum status st = rego_eval_path(ctx, eval, path, out);
    if (trace != NULL)
        collect(ctx, trace);
    if (st != OK)
        return failed_evaluation(ctx, st, "could not evaluate the policy", err);
    return OK;
}

static enum status set_claim(struct trust_vector *v, int claim, value result, const char *name,
                             struct error *err)
{
    int64_t n;
    if (!value_get_int64(result, &n) || n < INT8_MIN || n > INT8_MAX) {
        /* Upstream v0.16+ cuts to 8 bits: 300 becomes 44, which is a warning and not an error. */
        error_set(err, "trust claim %s is no integer between -128 and 127", name);
        return ERR_DENIED;
    }
    v->claim[claim] = (int8_t)n;
    v->set |= (uint8_t)(1u << claim);
    return OK;
}

static enum status read_object(struct policy_outcome *out, value claims, const char *rule,
                               struct error *err)
{
    if (!value_is_object(claims)) {
        error_set(err, "data.policy.%s is %s, not an object", rule,
                  value_kind_name(value_kind(claims)));
        return ERR_DENIED;
    }
    for (size_t i = 0; i < value_len(claims); i++) {
        struct str name = value_str(value_pairs(claims)[i].key);
        int claim = trust_claim_find(name);
        if (claim < 0) {
            error_set(err, "data.policy.%s has the unknown trust claim \"%s\"", rule, QUOTED(name));
            return ERR_DENIED;
        }
        enum status st = set_claim(&out->vector, claim, value_pairs(claims)[i].val,
                                   trust_claim_names[claim], err);
        if (st != OK)
            return st;
    }
    return OK;
}

/* Dialects A and B: a rule that exists must give a value; one that does not leaves its claim unset.
 */
static enum status read_rules(struct rego_ctx *ctx, const struct rego_eval *eval,
                              const struct policy *p, struct rego_trace *trace,
                              struct policy_outcome *out, struct error *err)
{
    for (int i = 0; i < TRUST_CLAIMS; i++) {
        if ((p->rules >> i & 1) == 0)
            continue;
        char path[64];
        value v;
        snprintf(path, sizeof(path), "data.policy.%s", trust_claim_rules[i]);
        enum status st = evaluate_path(ctx, eval, str_of(path), trace, &v, err);
        if (st != OK)
            return st;
        if (!value_is_defined(v)) {
            error_set(err, "%s is undefined for this input and has no default", path);
            return ERR_DENIED;
        }
        st = set_claim(&out->vector, i, v, trust_claim_rules[i], err);
        if (st != OK)
            return st;
    }
    return OK;
}

static bool is_reserved(struct str name)
{
    return str_is(name, "ear.status") || str_is(name, "ear.trustworthiness-vector") ||
           str_is(name, "ear.appraisal-policy-id") ||
           str_is(name, "ear.veraison.annotated-evidence");
}

/*
 * 7.6.  An extension named as a member of the appraisal itself could say
 * "affirming" beside the true status: refused.
 */
static enum status read_extensions(struct arena *a, value list, struct policy_outcome *out,
                                   struct error *err)
{
    if (!value_is_defined(list))
        return OK;
    struct value_builder names, keys;
    value_builder_init(&names, a, value_len(list));
    value_builder_init(&keys, a, value_len(list));
    for (size_t i = 0; i < value_len(list); i++) {
        value e = value_at(list, i);
        value name = value_get_lit(e, "name"), val = value_get_lit(e, "value");
        int64_t key;
        if (!value_is_string(name) || !value_get_int64(value_get_lit(e, "key"), &key) ||
            key < INT32_MIN || key > INT32_MAX || !value_is_defined(val)) {
            error_set(err, "extension %zu is not {\"name\": string, \"key\": integer, \"value\"}",
                      i + 1);
            return ERR_DENIED;
        }
        if (is_reserved(value_str(name))) {
            error_set(err, "extension \"%s\" has the name of a claim of the token itself",
                      QUOTED(value_str(name)));
            return ERR_DENIED;
        }
        value_builder_put(&keys, value_int(a, key), VALUE_TRUE);
        value_builder_put(&names, name, val);
    }

    value twice = VALUE_UNDEFINED;
    value all = value_object_finish(&names, VALUE_DUP_REFUSE, &twice);
    value all_keys = value_object_finish(&keys, VALUE_DUP_REFUSE, &twice);
    if (!value_is_array(list) || !value_is_defined(all) || !value_is_defined(all_keys)) {
        if (arena_status(a) != OK)
            return error_nomem(err);
        error_set(err, value_is_array(list) ? "two extensions have the same name or key"
                                            : "data.policy.extensions is no array");
        return ERR_DENIED;
    }
    /* A null value is dropped, after its name and key were seen. */
    for (size_t i = 0; i < value_len(list); i++) {
        value e = value_at(list, i);
        if (value_kind(value_get_lit(e, "value")) == VALUE_KIND_NULL)
            all = value_object_with(a, all, value_get_lit(e, "name"), VALUE_UNDEFINED);
    }
    if (value_len(all) > 0)
        out->extensions = value_copy(a, all);
    return OK;
}

static enum status evaluate_object(struct rego_ctx *ctx, struct arena *a,
                                   const struct rego_eval *eval, const struct policy *p,
                                   struct rego_trace *trace, struct policy_outcome *out,
                                   enum check_id *check, struct error *err)
{
    const char *rule = p->kind == POLICY_TRUST_CLAIMS ? "trust_claims" : "result";
    char path[64];
    value v;
    snprintf(path, sizeof(path), "data.policy.%s", rule);
    enum status st = evaluate_path(ctx, eval, str_of(path), trace, &v, err);
    if (st != OK)
        return st;
    *check = CHECK_TRUST_CLAIMS;
    st = read_object(out, v, rule, err);
    if (st != OK || !p->extensions)
        return st;

    *check = CHECK_POLICY_ERROR;
    st = evaluate_path(ctx, eval, STR("data.policy.extensions"), NULL, &v, err);
    if (st != OK)
        return st;
    return read_extensions(a, v, out, err);
}

/*
 * S6: the data document, built once per expiry epoch; empty for a policy that
 * does not look.  Undefined when the reference values could never be read.
 */
static value data_document(struct arena *a, const struct policy *p,
                           struct reference_view *references)
{
    bool wanted = p->kind == POLICY_RULES || p->reads_data;
    struct value_builder b;
    value_builder_init(&b, a, 1);
    if (wanted) {
        value_builder_put_str(&b, "reference", reference_view_all(references));
        for (size_t i = 0; references->snapshot != NULL && i < p->value_count; i++)
            reference_view_touch(references, rvps_entry(references->snapshot, p->values[i]));
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static struct rego_eval eval_parameters(struct rego_ctx *ctx, const struct policy *p, value input,
                                        struct reference_view *references, bool trace)
{
    return (struct rego_eval){
        .policy = p->rego,
        .input = input,
        .data = data_document(rego_ctx_arena(ctx), p, references),
        .now_ns = references->now_s * NS_PER_S,
        .strict_errors = true, /* 7.7 */
        .trace = trace ? REGO_TRACE_ALL : REGO_TRACE_OFF,
        .user = references,
    };
}

static enum status without_data(struct rego_ctx *ctx, struct error *err)
{
    if (arena_status(rego_ctx_arena(ctx)) != OK)
        return error_nomem(err);
    error_set(err, "the reference values could not be read");
    return ERR_DENIED;
}

enum status policy_evaluate(struct rego_ctx *ctx, struct arena *a, const struct policy *p,
                            value input, struct reference_view *references,
                            struct rego_trace *trace, struct policy_outcome *out,
                            enum check_id *check, struct error *err)
{
    *out = (struct policy_outcome){.extensions = VALUE_UNDEFINED};
    if (trace != NULL)
        *trace = (struct rego_trace){0};
    *check = CHECK_POLICY_ERROR;
    if (p->rego == NULL) {
        error_set(err, "policy \"%s\" does not compile: %.*s", QUOTED(p->id), STR_ARG(p->why));
        return ERR_DENIED;
    }

    rego_ctx_reset(ctx);
    struct rego_eval eval = eval_parameters(ctx, p, input, references, trace != NULL);
    if (!value_is_defined(eval.data))
        return without_data(ctx, err);
    enum status st;
    if (p->kind == POLICY_TRUST_CLAIMS || p->kind == POLICY_RESULT)
        st = evaluate_object(ctx, a, &eval, p, trace, out, check, err);
    else
        st = read_rules(ctx, &eval, p, trace, out, err);
    if (st != OK)
        return st;

    if (out->vector.set == 0) { /* README 2, S4: never `none` by forgetting everything */
        *check = CHECK_TRUST_CLAIMS;
        error_set(err, "policy \"%s\": at least one policy claim must be set", QUOTED(p->id));
        return ERR_DENIED;
    }
    return OK;
}

enum status policy_allows(struct rego_ctx *ctx, const struct policy *p, value input,
                          struct reference_view *references, struct rego_trace *trace, bool *out,
                          enum check_id *check, struct error *err)
{
    *check = CHECK_POLICY_ERROR;
    if (trace != NULL)
        *trace = (struct rego_trace){0};
    if (p->rego == NULL || !p->allow) {
        error_set(err, "policy \"%s\" %s%.*s", QUOTED(p->id),
                  p->rego == NULL ? "does not compile: " : "defines no rule data.policy.allow",
                  STR_ARG(p->why));
        return ERR_DENIED;
    }
    rego_ctx_reset(ctx);
    struct rego_eval eval = eval_parameters(ctx, p, input, references, trace != NULL);
    if (!value_is_defined(eval.data))
        return without_data(ctx, err);
    value v;
    enum status st = evaluate_path(ctx, &eval, STR("data.policy.allow"), trace, &v, err);
    if (st != OK)
        return st;
    if (value_kind(v) != VALUE_KIND_BOOLEAN) {
        error_set(err, "data.policy.allow of policy \"%s\" is %s, not a boolean", QUOTED(p->id),
                  value_kind_name(value_kind(v)));
        return ERR_DENIED;
    }
    *out = value_is_true(v);
    return OK;
}
