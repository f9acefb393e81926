#include "attestation/attestation_internal.h"

#include "value/document.h"
#include "value/json.h"

/* attestation-service.md 6.3: whole TOML documents below [data], worth reading. */
static value parsed_toml(struct arena *a, value text)
{
    struct error ignored = ERROR_INIT;
    value v;
    return toml_parse(a, value_str(text), &v, NULL, &ignored) == OK ? v : text;
}

/*
 * "policy_data := {" ... to the end of a Kata policy: the JSON object, when
 * nothing but white space follows it.
 */
static value agent_policy_claims(struct arena *a, struct str policy)
{
    static const struct str mark = {"policy_data := {", 16};
    const char *at =
        policy.len >= mark.len ? memmem(policy.ptr, policy.len, mark.ptr, mark.len) : NULL;
    if (at == NULL)
        return VALUE_UNDEFINED;
    struct str json = str_from(policy, (size_t)(at - policy.ptr) + mark.len - 1);
    struct error ignored = ERROR_INIT;
    value v;
    /* A repeated member is Rego's business, not ours: the last one wins, as upstream's reader has
     * it. */
    if (json_parse(a, json, &(struct json_options){.duplicates = JSON_DUP_LAST}, &v, &ignored) !=
        OK)
        return VALUE_UNDEFINED;
    return v;
}

static enum status data_claims(struct arena *a, value data, value *out, struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(data) + 1);
    for (size_t i = 0; i < value_len(data); i++) {
        const struct value_pair *p = &value_pairs(data)[i];
        struct str name = value_str(p->key);
        if (!value_is_string(p->val)) {
            error_set(err, "init data: data.\"%s\" is no string", QUOTED(name));
            return ERR_INVALID;
        }
        if (str_is(name, "cdh.toml") || str_is(name, "aa.toml")) {
            value_builder_put(&b, p->key, parsed_toml(a, p->val));
            continue;
        }
        if (str_is(name, "policy.rego")) {
            value claims = agent_policy_claims(a, value_str(p->val));
            if (value_is_defined(claims)) {
                value_builder_put_str(&b, "agent_policy_claims", claims);
                continue;
            }
        }
        value_builder_put(&b, p->key, p->val);
    }
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out) ? OK : error_nomem(err);
}

enum status init_data_parse(struct arena *a, struct str toml, struct init_data *out,
                            struct error *err)
{
    value root;
    enum status st = toml_parse(a, toml, &root, NULL, err);
    if (st != OK) {
        error_place(err);
        error_prefix(err, "init data is not TOML: ");
        return st;
    }

    value algorithm = value_get_lit(root, "algorithm");
    if (!value_is_string(value_get_lit(root, "version")) || !value_is_string(algorithm)) {
        error_set(err, "init data needs the strings version and algorithm");
        return ERR_INVALID;
    }
    struct init_data d = {0};
    if (digest_by_name(value_str(algorithm), false, &d.alg) != OK) {
        error_set(err, "init data has the unknown algorithm \"%s\"", QUOTED(value_str(algorithm)));
        return ERR_INVALID;
    }
    value data = value_get_lit(root, "data");
    if (!value_is_object(data)) {
        error_set(err, "init data needs the table data");
        return ERR_INVALID;
    }

    st = data_claims(a, data, &d.claims, err);
    if (st != OK)
        return st;
    digest_compute(d.alg, toml, &d.digest); /* of the text as received, byte for byte */
    *out = d;
    return OK;
}

/* attestation-service.md 6.2 */
enum status canonical_digest(struct arena *a, value v, enum digest_alg alg, struct str *out,
                             struct error *err)
{
    struct str text = json_text(a, v, JSON_CANONICAL);
    if (text.ptr == NULL) {
        error_set(err, "runtime or init data has no canonical form");
        return arena_status(a) == OK ? ERR_INVALID : arena_status(a);
    }
    struct digest d;
    digest_compute(alg, text, &d);
    *out = arena_str(a, digest_str(&d));
    return out->ptr != NULL ? OK : error_nomem(err);
}

enum status runtime_data_expect(struct arena *a, const struct attestation_request *r,
                                struct str *expected, value *claims, struct error *err)
{
    *expected = r->runtime_kind == RUNTIME_RAW ? r->runtime_raw : STR_EMPTY;
    *claims = VALUE_NULL;
    if (r->runtime_kind != RUNTIME_STRUCTURED)
        return OK;
    *claims = r->runtime_data;
    return canonical_digest(a, r->runtime_data, r->runtime_hash, expected, err);
}
