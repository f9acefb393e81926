/* Explanations are found again for the same question, and for no other. */
#include <stdio.h>

#include "attestation/explain_cache.h"
#include "base/file.h"
#include "tap.h"
#include "value/json.h"

#define NOW 1787277031

static struct rvps_snapshot *snapshot_of(const char *text, struct rvps **rvps)
{
    static int number;
    char path[5000];
    snprintf(path, sizeof(path), "%s/values-%d.json", tap_tmpdir(), number++);
    CHECK(file_write(path, str_of(text), 0600, NULL) == OK);
    bool changed;
    CHECK(rvps_open_file(path, STORAGE_MAKE, true, rvps, NULL) == OK);
    CHECK(rvps_refresh(*rvps, NOW, NULL, NULL, &changed, NULL) == OK);
    return rvps_snapshot_get(*rvps);
}

static struct rego_policy *policy_of(const char *text)
{
    struct rego_policy *p = NULL;
    struct error err = ERROR_INIT;
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    CHECK_STATUS(rego_compile_text(STR("p.rego"), str_of(text), &options, &p, &err), OK, &err);
    return p;
}

static value parse(struct arena *a, const char *text)
{
    value v = VALUE_UNDEFINED;
    CHECK(json_parse(a, str_of(text), NULL, &v, NULL) == OK);
    return v;
}

static struct explanation sample(struct arena *a)
{
    return (struct explanation){
        .rules = parse(a, "[{\"rule\":\"data.policy.x\"}]"),
        .held = VALUE_UNDEFINED,
        .expired = VALUE_UNDEFINED,
        .change = VALUE_UNDEFINED,
        .examples = VALUE_UNDEFINED,
        .check = CHECK_REFERENCE_VALUE,
        .field = STR("/input/x"),
        .expected = VALUE_UNDEFINED,
        .actual = value_int(a, 7),
    };
}

int main(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 << 20);
    struct rvps *r1 = NULL;
    struct rvps *r2 = NULL;
    struct rvps_snapshot *s1 =
        snapshot_of("[{\"name\":\"a\",\"expiration\":\"2026-08-21T02:00:00Z\",\"value\":1}]", &r1);
    struct rvps_snapshot *s2 = snapshot_of("[]", &r2);
    struct rego_policy *p = policy_of("package policy\nx := 1 if input.svn == data.y\n");
    struct rego_policy *nosy = policy_of("package policy\nx := 1 if input.report_data == data.y\n");
    struct explain_cache *c = NULL;
    CHECK(explain_cache_new(&c, NULL) == OK);

    value e1 =
        parse(&a, "{\"svn\":1,\"report_data\":\"aa\",\"runtime_data_claims\":{\"nonce\":\"n1\"}}");
    value e2 =
        parse(&a, "{\"svn\":1,\"report_data\":\"bb\",\"runtime_data_claims\":{\"nonce\":\"n2\"}}");
    value e3 =
        parse(&a, "{\"svn\":2,\"report_data\":\"aa\",\"runtime_data_claims\":{\"nonce\":\"n1\"}}");
    struct explain_key k1;
    struct explain_key k;
    struct explanation out;
    CHECK(explain_key_make(&k1, &a, p, STR("P"), STR("s"), e1, s1, NOW));
    CHECK(!explain_cache_get(c, &k1, &a, &out));
    struct explanation e = sample(&a);
    explain_cache_put(c, &k1, &e);

    const struct {
        const char *name;
        struct str policy, salt;
        value evidence;
        struct rvps_snapshot *snapshot;
        int64_t now_s;
        bool found;
    } rows[] = {
        {"the same", STR("P"), STR("s"), e1, s1, NOW, true},
        {"another nonce", STR("P"), STR("s"), e2, s1, NOW + 5, true},
        {"at the expiry", STR("P"), STR("s"), e2, s1, 1787277600, true},
        {"past the expiry", STR("P"), STR("s"), e2, s1, 1787277601, false},
        {"before it was made", STR("P"), STR("s"), e1, s1, NOW - 1, false},
        {"other claims", STR("P"), STR("s"), e3, s1, NOW, false},
        {"another policy", STR("Q"), STR("s"), e1, s1, NOW, false},
        {"another dialect", STR("P"), STR("t"), e1, s1, NOW, false},
        {"other reference values", STR("P"), STR("s"), e1, s2, NOW, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_ROW(explain_key_make(&k, &a, p, rows[i].policy, rows[i].salt, rows[i].evidence,
                                   rows[i].snapshot, rows[i].now_s),
                  rows[i].name);
        CHECK_ROW(explain_cache_get(c, &k, &a, &out) == rows[i].found, rows[i].name);
        if (rows[i].found)
            CHECK_ROW(value_equal(out.rules, e.rules) && out.check == e.check &&
                          str_equal(out.field, e.field) && value_equal(out.actual, e.actual) &&
                          !value_is_defined(out.change),
                      rows[i].name);
    }
    CHECK(!explain_key_make(&k, &a, nosy, STR("P"), STR("s"), e1, s1, NOW));

    /* Bounded: the oldest gives way; other reference values empty it. */
    for (int i = 0; i < 3 * EXPLAIN_CACHE_ENTRIES; i++) {
        struct str salt = arena_format(&a, "s%d", i);
        CHECK_ROW(explain_key_make(&k, &a, p, STR("P"), salt, e1, s1, NOW), "fill");
        explain_cache_put(c, &k, &e);
    }
    CHECK(explain_cache_get(c, &k, &a, &out) && !explain_cache_get(c, &k1, &a, &out));
    k1.snapshot = s2;
    explain_cache_put(c, &k1, &e);
    CHECK(!explain_cache_get(c, &k, &a, &out) && explain_cache_get(c, &k1, &a, &out));

    /* What is too large to keep is not kept. */
    CLEANUP(arena_done) struct arena large;
    arena_init(&large, 4 << 20);
    char *text = arena_zalloc(&large, EXPLAIN_CACHE_ENTRY_MAX + 1, 1);
    memset(text, 'x', EXPLAIN_CACHE_ENTRY_MAX);
    e.actual = value_cstring(&large, text);
    CHECK(explain_key_make(&k, &a, p, STR("P"), STR("large"), e1, s2, NOW));
    explain_cache_put(c, &k, &e);
    CHECK(!explain_cache_get(c, &k, &a, &out));

    explain_cache_free(c);
    rvps_snapshot_unref(s1);
    rvps_snapshot_unref(s2);
    rvps_free(r1);
    rvps_free(r2);
    rego_policy_unref(p);
    rego_policy_unref(nosy);
    return tap_done();
}
