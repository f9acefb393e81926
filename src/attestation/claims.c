#include "attestation/attestation_internal.h"

/* attestation-service.md 9.1: the order is that of the vector. */
const char *const trust_claim_names[TRUST_CLAIMS] = {
    "instance-identity", "configuration",  "executables",    "file-system",
    "hardware",          "runtime-opaque", "storage-opaque", "sourced-data",
};

const char *const trust_claim_rules[TRUST_CLAIMS] = {
    "instance_identity", "configuration",  "executables",    "file_system",
    "hardware",          "runtime_opaque", "storage_opaque", "sourced_data",
};

int trust_claim_find(struct str name)
{
    for (int i = 0; i < TRUST_CLAIMS; i++)
        if (str_is(name, trust_claim_names[i]))
            return i;
    return -1;
}

/* 9.3 */
enum tier trust_claim_tier(int8_t claim)
{
    if (claim >= -1 && claim <= 1)
        return TIER_NONE;
    if (claim >= -32 && claim <= 31)
        return TIER_AFFIRMING;
    if (claim >= -96 && claim <= 95)
        return TIER_WARNING;
    return TIER_CONTRAINDICATED;
}

enum tier trust_vector_tier(const struct trust_vector *v)
{
    enum tier worst = TIER_NONE;
    for (int i = 0; i < TRUST_CLAIMS; i++) {
        enum tier t = v->set >> i & 1 ? trust_claim_tier(v->claim[i]) : TIER_NONE;
        if (t > worst)
            worst = t;
    }
    return worst;
}

const char *tier_name(enum tier t)
{
    static const char *const names[] = {"none", "affirming", "warning", "contraindicated"};
    return names[t];
}

/* ---- the claims object (6.5) ---- */

const char *claims_key(const struct verifier *v, enum era era)
{
    return era == ERA_OLD && v->old_tee != NULL ? v->old_tee : v->tee;
}

static value without(struct arena *a, value object, const char *key)
{
    return value_object_with(a, object, value_cstring(a, key), VALUE_UNDEFINED);
}

/*
 * Move a member that the verifier reported to the top level and put the claims
 * behind its digest beside it.  Without the member nobody compared anything,
 * so the claims stay out as well.
 */
static enum status lift(struct arena *a, value *claims, const char *name, const char *claims_name,
                        value behind, struct value_builder *b, struct error *err)
{
    value v = value_get_str(*claims, str_of(name));
    if (!value_is_defined(v))
        return OK;
    if (!value_is_string(v)) {
        error_set(err, "the verifier's claim %s is no string", name);
        return ERR_INVALID;
    }
    value_builder_put_str(b, name, v);
    value_builder_put_str(b, claims_name, behind);
    *claims = without(a, *claims, name);
    return OK;
}

bool claims_numbers_fit(value v)
{
    int64_t n;
    struct str text;
    char scratch[VALUE_NUMBER_SCRATCH];
    switch (value_kind(v)) {
    case VALUE_KIND_NUMBER:
        if (value_get_int64(v, &n))
            return true;
        /* Written as an integer yet out of range; 1e30 is a double and fine. */
        text = value_number_text(v, scratch);
        for (size_t i = 0; i < text.len; i++)
            if (text.ptr[i] == '.' || text.ptr[i] == 'e' || text.ptr[i] == 'E')
                return true;
        return false;
    case VALUE_KIND_ARRAY:
        for (size_t i = 0; i < value_len(v); i++)
            if (!claims_numbers_fit(value_items(v)[i]))
                return false;
        return true;
    case VALUE_KIND_OBJECT:
        for (size_t i = 0; i < value_len(v); i++)
            if (!claims_numbers_fit(value_pairs(v)[i].val))
                return false;
        return true;
    default:
        return true;
    }
}

enum status claims_build(struct arena *a, const struct evidence_claims *e, enum dialect dialect,
                         const char *key, bool verbose, value *out, struct error *err)
{
    value claims =
        e->verifier->shape != NULL ? e->verifier->shape(a, e->claims, dialect) : e->claims;
    if (!value_is_object(claims)) {
        if (arena_status(a) != OK)
            return error_nomem(err);
        error_set(err, "the verifier's claims are no object");
        return ERR_INVALID;
    }

    value runtime = e->runtime_claims;
    if (!verbose && value_is_object(runtime))
        runtime = without(a, runtime, "additional-evidence");

    struct value_builder b;
    value_builder_init(&b, a, 5);
    enum status st = lift(a, &claims, "init_data", "init_data_claims", e->init_claims, &b, err);
    if (st == OK)
        st = lift(a, &claims, "report_data", "runtime_data_claims", runtime, &b, err);
    if (st != OK)
        return st;
    value_builder_put_str(&b, key, claims);

    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    if (!value_is_defined(*out)) {
        error_set(err, "the claims do not fit the memory of a request");
        return arena_status(a) == OK ? ERR_INTERNAL : arena_status(a);
    }
    if (!claims_numbers_fit(*out)) {
        error_set(err, "a claim is an integer beyond 64 bits");
        return ERR_INVALID;
    }
    return OK;
}

value claims_with_details(struct arena *a, const struct evidence_claims *e, value claims)
{
    if (e->details == NULL || !value_is_defined(*e->details))
        return claims;
    return value_object_with(a, claims, value_cstring(a, DETAILS_KEY), *e->details);
}

value claims_for_policy(struct arena *a, const struct evidence_claims *e, enum era era,
                        value claims)
{
    const struct verifier *v = e->verifier;
    claims = claims_with_details(a, e, claims);
    if (v->old_tee == NULL)
        return claims;
    const char *here = claims_key(v, era);
    const char *other = here == v->tee ? v->old_tee : v->tee;
    return value_object_with(a, claims, value_cstring(a, other),
                             value_get_str(claims, str_of(here)));
}

/* ---- names ---- */

static value lifted_names(struct arena *a, value names)
{
    return without(a, without(a, names, "init_data"), "report_data");
}

value attestation_claim_schema(struct arena *a)
{
    struct value_builder b;
    value_builder_init(&b, a, 32);
    value tees = verifier_claim_schema(a);
    for (size_t i = 0; i < value_len(tees); i++) {
        value names = value_pairs(tees)[i].val;
        value_builder_put(&b, value_pairs(tees)[i].key,
                          value_is_object(names) ? lifted_names(a, names) : names);
    }
    static const char *const lifted[] = {"init_data", "init_data_claims", "report_data",
                                         "runtime_data_claims"};
    for (size_t i = 0; i < ARRAY_LEN(lifted); i++)
        value_builder_put_str(&b, lifted[i], VALUE_TRUE);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* Only the evidence has fixed names: policies add members beside it, and other services more. */
value attestation_token_schema(struct arena *a)
{
    struct value_builder submod, submods, token;
    value_builder_init(&submod, a, 2);
    value_builder_init(&submods, a, 1);
    value_builder_init(&token, a, 2);
    value_builder_put_str(&submod, "ear.veraison.annotated-evidence", attestation_claim_schema(a));
    value_builder_put_str(&submod, "*", VALUE_TRUE);
    value_builder_put_str(&submods, "*", value_object_finish(&submod, VALUE_DUP_LAST, NULL));
    value_builder_put_str(&token, "submods", value_object_finish(&submods, VALUE_DUP_LAST, NULL));
    value_builder_put_str(&token, "*", VALUE_TRUE);
    return value_object_finish(&token, VALUE_DUP_LAST, NULL);
}
