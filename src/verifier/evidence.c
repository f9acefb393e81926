/* Reading evidence, recording comparisons, building claims: verifier_internal.h. */
#include "verifier/verifier_internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "verifier/tpm/quote.h"

const char *verify_field(struct verify *v, const char *prefix, const char *rest)
{
    /* Made for each check, though only a failing one is seen: no printf. */
    const struct str parts[] = {str_of(prefix), str_of(rest)};
    struct str s = arena_join(v->a, parts, 2);
    return s.ptr == NULL ? "/evidence" : s.ptr;
}

STATUS verify_same(struct verify *v, enum check_id id, const char *field, struct str expected,
                   struct str actual, const char *message)
{
    if (expected.len == actual.len && bytes_equal_ct(expected, actual)) {
        PASS(v, id);
        return OK;
    }
    return FAIL(v, id, field, check_hex(v->checks, expected), check_hex(v->checks, actual), "%s",
                message);
}

STATUS verify_pcr8(struct verify *v, const char *field, struct str pcr, const char *message)
{
    struct str init_data = v->req->init_data;
    if (!v->req->has_init_data) {
        check_skipped(v->checks, CHECK_INIT_DATA, "no init data is expected");
        return OK;
    }
    /* BUG ver-b1: another length has no place in a SHA-256 PCR; upstream panics. */
    if (init_data.len != TPM_PCR_LEN)
        return FAIL(v, CHECK_INIT_DATA, "/input/init_data", value_small_int(TPM_PCR_LEN),
                    value_small_int((int64_t)init_data.len), "%s", message);

    const uint8_t zero[TPM_PCR_LEN] = {0};
    const struct str parts[] = {str_bytes(zero, sizeof(zero)), init_data};
    struct digest want;
    digest_parts(DIGEST_SHA256, parts, 2, &want);
    return verify_same(v, CHECK_INIT_DATA, field, digest_str(&want), pcr, message);
}

STATUS verify_malformed(struct verify *v, const char *field, const char *expected, value actual,
                        const char *message)
{
    struct arena *a = v->checks == NULL ? v->a : v->checks->arena;
    return FAIL(v, CHECK_EVIDENCE_FORMAT, field, value_cstring(a, expected),
                value_cstring(a, value_kind_name(value_kind(actual))), "%s", message);
}

static void add_anchor(struct verifier_result *out, const struct digest *spki)
{
    for (size_t i = 0; i < out->extra_anchor_count; i++)
        if (str_equal(digest_str(&out->extra_anchors[i]), digest_str(spki)))
            return;
    if (out->extra_anchor_count < VERIFIER_ANCHORS_MAX)
        out->extra_anchors[out->extra_anchor_count++] = *spki;
}

void verify_rests_on(struct verify *v, const struct anchor *an)
{
    if (an->issuer != NULL)
        add_anchor(v->out, &an->issuer->spki);
    if (an->extra)
        add_anchor(v->out, &an->spki);
}

void verify_anchor_claims(struct verify *v, struct value_builder *claims)
{
    if (v->out->extra_anchor_count == 0)
        return;
    struct value_builder b;
    value_builder_init(&b, v->a, v->out->extra_anchor_count);
    for (size_t i = 0; i < v->out->extra_anchor_count; i++)
        value_builder_add(&b, claim_hex(v->a, digest_str(&v->out->extra_anchors[i])));
    value_builder_put_str(claims, "extra_trust_anchors", value_array_finish(&b));
}

bool verify_collateral_find(struct verify *v, struct str url, struct str *out)
{
    const struct collateral *c = v->req->collateral;
    return c != NULL && c->find(c->user, url, out);
}

void verify_needs(struct verify *v, struct str url)
{
    for (size_t i = 0; i < v->out->needed_count; i++)
        if (str_equal(v->out->needed[i], url))
            return;
    if (v->out->needed_count < VERIFIER_NEEDED_MAX)
        v->out->needed[v->out->needed_count++] = url;
}

STATUS verify_collateral(struct verify *v, struct str url, struct str *out)
{
    if (url.ptr == NULL)
        return error_nomem(v->err);
    if (verify_collateral_find(v, url, out))
        return OK;
    verify_needs(v, url);
    error_set(v->err, "collateral is missing: %s", QUOTED(url));
    return ERR_UNAVAILABLE;
}

value verify_config(const struct verify *v, const char *table, const char *member)
{
    return value_get_str(value_get_str(v->req->config, str_of(table)), str_of(member));
}

STATUS evidence_array(struct arena *a, value member, size_t max, struct str *out)
{
    size_t n = value_len(member);
    if (!value_is_array(member) || n > max)
        return ERR_INVALID;
    uint8_t *p = arena_alloc(a, n + 1);
    if (p == NULL)
        return arena_status(a);
    const value *items = value_items(member);
    for (size_t i = 0; i < n; i++) {
        /* An integer as it is written, 0 to 255: "1.0" is none (verifiers.md 6). */
        if (!value_is_small(items[i]) || value_small(items[i]) < 0 || value_small(items[i]) > 255)
            return ERR_INVALID;
        p[i] = (uint8_t)value_small(items[i]);
    }
    *out = str_bytes(p, n);
    return OK;
}

STATUS evidence_hex(struct arena *a, value member, size_t max, struct str *out)
{
    if (!value_is_string(member) || value_str(member).len > 2 * max)
        return ERR_INVALID;
    return hex_bytes(a, value_str(member), out, NULL);
}

STATUS evidence_base64(struct arena *a, value member, enum base64_form form, size_t max,
                       struct str *out)
{
    if (!value_is_string(member) || value_str(member).len / 4 > max / 3 + 1)
        return ERR_INVALID;
    enum status st = base64_bytes(a, value_str(member), form, out, NULL);
    return st == OK && out->len > max ? ERR_INVALID : st;
}

struct str evidence_fit(struct arena *a, struct str s, size_t n)
{
    char *p = arena_zalloc(a, n, 1);
    if (p == NULL)
        return (struct str){NULL, 0};
    if (s.len > 0)
        memcpy(p, s.ptr, s.len < n ? s.len : n);
    return (struct str){p, n};
}

struct kept_names {
    struct arena arena;
    value names[TPM_PCR_COUNT];
};

static void kept_names_free(struct kept_names *k)
{
    if (k != NULL)
        arena_done(&k->arena);
    free(k);
}

static const struct kept_names *pcr_names(void)
{
    static _Atomic(struct kept_names *) kept; /* set once, constant from then on */
    struct kept_names *present = atomic_load_explicit(&kept, memory_order_acquire);
    if (present != NULL)
        return present;

    struct kept_names *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return NULL;
    arena_init(&k->arena, 64 * 1024);
    for (size_t i = 0; i < TPM_PCR_COUNT; i++)
        k->names[i] = value_cstring(&k->arena, tpm_pcr_names[i]);
    /* Of two that come first at once, one's is kept and the other's is freed. */
    if (arena_status(&k->arena) == OK &&
        atomic_compare_exchange_strong_explicit(&kept, &present, k, memory_order_acq_rel,
                                                memory_order_acquire))
        return k;
    kept_names_free(k);
    return present;
}

value claim_pcr_name(struct arena *a, unsigned i)
{
    const struct kept_names *k = pcr_names();
    return k != NULL ? k->names[i] : value_cstring(a, tpm_pcr_names[i]);
}

value claim_hex(struct arena *a, struct str bytes)
{
    struct str text = hex_text(a, bytes);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
}

value claim_base64(struct arena *a, struct str bytes)
{
    struct str text = base64_text(a, bytes, BASE64_STD);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
}

value claim_decimal(struct arena *a, uint64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, n);
    return value_cstring(a, text);
}

value claim_flag_text(struct arena *a, bool flag)
{
    return value_cstring(a, flag ? "true" : "false");
}

STATUS verify_finish(struct verify *v, struct value_builder *claims, value details)
{
    verify_anchor_claims(v, claims);
    value object = value_object_finish(claims, VALUE_DUP_LAST, NULL);
    if (!value_is_defined(object)) {
        enum status st = arena_status(v->a);
        error_set(v->err, "no memory for claims");
        return st == OK ? ERR_NOMEM : st;
    }
    v->out->items[v->out->len++] = (struct verifier_claims){"cpu", object, details};
    return OK;
}
