#include "verifier/tdx/td_claims.h"

static value attributes_claim(struct dcap_run *r)
{
    static const struct {
        const char *name;
        unsigned bit;
    } bits[] = {
        {"debug", 0},       {"septve_disable", 28}, {"protection_keys", 30},
        {"key_locker", 31}, {"perfmon", 63},
    };
    uint64_t word = load_le64(quote_field(&r->quote, "td_attributes").ptr);
    struct value_builder b;
    value_builder_init(&b, r->v->a, ARRAY_LEN(bits));
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        value_builder_put_str(&b, bits[i].name, value_bool(word >> bits[i].bit & 1));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

value td_details(struct dcap_run *r)
{
    /* Intel 348549, "ATTRIBUTES"; bits without a name here are reserved and zero. */
    static const struct named_bit attributes[] = {
        {"debug", 0},
        {"hgs_plus_profiling", 4},
        {"performance_profiling", 5},
        {"pmt_profiling", 6},
        {"icssd", 16},
        {"lass", 27},
        {"septve_disable", 28},
        {"migratable", 29},
        {"protection_keys", 30},
        {"key_locker", 31},
        {"tpa", 62},
        {"perfmon", 63},
    };
    struct value_builder b;
    value_builder_init(&b, r->v->a, 16);
    value_builder_put_str(&b, "td_attributes",
                          dcap_bits(r->v->a, load_le64(quote_field(&r->quote, "td_attributes").ptr),
                                    attributes, ARRAY_LEN(attributes)));
    dcap_details(r, &b);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

void td_claims(struct dcap_run *r, struct value_builder *claims)
{
    struct arena *a = r->v->a;
    struct value_builder quote;
    value_builder_init(&quote, a, 4);
    value_builder_put_str(&quote, "header", dcap_header_claims(r));
    value_builder_put_str(&quote, "body", dcap_body_claims(r));
    if (r->quote.version == 5) {
        value_builder_put_str(&quote, "type", claim_hex(a, str_slice(r->quote.descriptor, 0, 2)));
        value_builder_put_str(&quote, "size", claim_hex(a, str_slice(r->quote.descriptor, 2, 4)));
    }
    value_builder_put_str(claims, "quote", value_object_finish(&quote, VALUE_DUP_LAST, NULL));
    value_builder_put_str(claims, "td_attributes", attributes_claim(r));
    dcap_instance_claim(r, claims);
}

value td_shape(struct arena *a, value claims, enum dialect dialect)
{
    value ccel = VALUE_UNDEFINED;
    if (dialect == DIALECT_A) {
        enum tcb_status status;
        if (tcb_status_by_name(value_str(value_get_lit(claims, "tcb_status")), &status))
            claims = value_object_with(a, claims, value_cstring(a, "tcb_status"),
                                       value_cstring(a, tcb_status_old_name(status)));
        ccel = value_get_lit(claims, "ccel");
        if (!value_is_defined(ccel))
            ccel = VALUE_EMPTY_OBJECT(a);
    }
    if (dialect == DIALECT_A || value_is_defined(value_get_lit(claims, "ccel")))
        claims = value_object_with(a, claims, value_cstring(a, "ccel"), ccel);
    if (dialect != DIALECT_A && dialect != DIALECT_B &&
        value_is_defined(value_get_lit(claims, "aael")))
        claims = value_object_with(a, claims, value_cstring(a, "aael"), VALUE_UNDEFINED);
    return claims;
}
