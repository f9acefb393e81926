/*
 * explain: generated denials.  Each change is applied by code of this file, must
 * make the policy pass, must fail with any one operation left out, and has the
 * length that the generator knows to be the smallest.
 */
#include <time.h>

#include "with_service.h"

#define NOW 1767225600
#define DENIALS 200

/* xorshift64*: the same denials at each run. */
static uint64_t state = 0x9e3779b97f4a7c15u;

static unsigned pick(unsigned n)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (unsigned)((state * 0x2545f4914f6cdd1du) >> 33) % n;
}

struct denial {
    struct buf policy, values, input; /* texts */
    unsigned conditions, expired;
};

/* One condition of a rule; returns how many operations it takes to hold. */
static unsigned condition(struct denial *d, bool by_data)
{
    unsigned i = d->conditions++;
    struct buf *p = &d->policy;
    const char *far = "2030-01-01T00:00:00Z", *past = "2020-01-01T00:00:00Z";
    char ref[64];
    snprintf(ref, sizeof(ref), by_data ? "data.reference.r%u" : "query_reference_value(\"r%u\")",
             i);
    unsigned kind = pick(8);
    if (i > 0)
        buf_add_cstr(&d->input, ",");
    buf_add_format(&d->input, "\"c%u\":", i);
    buf_add_cstr(&d->input, kind == 5 || kind == 6 ? "4" : "\"actual\"");
    buf_add_cstr(p, "\t");
    switch (kind) {
    case 0: /* not a member */
    case 1: /* expired, and a member */
    case 2: /* expired, and not a member */
        buf_add_format(p, "input.t.c%u in %s\n", i, ref);
        buf_add_format(&d->values,
                       "{\"name\":\"r%u\",\"expiration\":\"%s\",\"value\":[\"x\",\"%s\"]},", i,
                       kind == 0 ? far : past, kind == 1 ? "actual" : "y");
        d->expired += kind == 1;
        return 1;
    case 3: /* nothing has that name */
        buf_add_format(p, "input.t.c%u in %s\n", i, ref);
        return 1;
    case 4: /* a constant */
        buf_add_format(p, "input.t.c%u == \"wanted\"\n", i);
        return 1;
    case 5: /* a minimum that is too high */
        buf_add_format(p, "input.t.c%u >= %s\n", i, ref);
        buf_add_format(&d->values, "{\"name\":\"r%u\",\"expiration\":\"%s\",\"value\":9},", i, far);
        return 1;
    case 6: /* equality with a reference value */
        buf_add_format(p, "input.t.c%u == %s\n", i, ref);
        buf_add_format(&d->values, "{\"name\":\"r%u\",\"expiration\":\"%s\",\"value\":5},", i, far);
        return 1;
    default: /* one that holds */
        buf_add_format(p, "input.t.c%u in %s\n", i, ref);
        buf_add_format(&d->values,
                       "{\"name\":\"r%u\",\"expiration\":\"%s\",\"value\":[\"actual\"]},", i, far);
        return 0;
    }
}

/* A rule with one or two bodies; the smaller need counts. */
static unsigned rule(struct denial *d, const char *name, int good, bool by_data)
{
    unsigned need = 100;
    for (unsigned bodies = 1 + (pick(4) == 0); bodies > 0; bodies--) {
        buf_add_format(&d->policy, "%s := %d if {\n", name, good);
        unsigned sum = 0;
        for (unsigned n = 1 + pick(3); n > 0; n--)
            sum += condition(d, by_data);
        buf_add_cstr(&d->policy, "}\n");
        need = sum < need ? sum : need;
    }
    return need;
}

static unsigned generate(struct denial *d, bool by_data)
{
    buf_init(&d->policy, 1 << 16);
    buf_init(&d->values, 1 << 16);
    buf_init(&d->input, 1 << 16);
    d->conditions = d->expired = 0;
    buf_add_cstr(&d->policy, "package policy\nimport rego.v1\ndefault executables := 33\n"
                             "default hardware := 97\ndefault configuration := 36\n");
    if (!by_data)
        buf_add_cstr(&d->policy,
                     "trust_claims := {\"executables\": executables, \"hardware\": hardware, "
                     "\"configuration\": configuration}\n");
    buf_add_cstr(&d->input, "{");
    buf_add_cstr(&d->values, "[");
    unsigned need = rule(d, "executables", 3, by_data);
    need += rule(d, "hardware", 2, by_data);
    need += rule(d, "configuration", 2, by_data);
    buf_add_cstr(&d->input, "}");
    if (d->values.len > 1)
        d->values.len--; /* the last comma */
    buf_add_cstr(&d->values, "]");
    return need;
}

static void denial_done(struct denial *d)
{
    buf_done(&d->policy);
    buf_done(&d->values);
    buf_done(&d->input);
}

/* ---- applying, independent of the code under test ---- */

static void apply(struct with_service *w, value op, value *claims, value *references)
{
    struct str path = value_str(value_get_lit(op, "path"));
    bool add = str_is(value_str(value_get_lit(op, "op")), "add");
    value v = value_get_lit(op, "value");
    if (str_has_prefix(path, STR("/input/t/"))) {
        value key = value_string(&w->a, str_from(path, strlen("/input/t/")));
        CHECK(value_is_defined(value_get(*claims, key)) != add);
        *claims = value_object_with(&w->a, *claims, key, v);
        return;
    }
    CHECK(str_has_prefix(path, STR("/reference-values/")));
    struct str name = str_from(path, strlen("/reference-values/"));
    bool append = str_has_suffix(name, STR("/-"));
    if (append)
        name.len -= 2;
    value key = value_string(&w->a, name);
    value old = value_get(*references, key);
    CHECK(value_is_defined(old) == (append || !add));
    if (append) {
        struct value_builder b;
        value_builder_init(&b, &w->a, value_len(old) + 1);
        for (size_t i = 0; i < value_len(old); i++)
            value_builder_add(&b, value_items(old)[i]);
        value_builder_add(&b, v);
        v = value_array_finish(&b);
    }
    *references = value_object_with(&w->a, *references, key, v);
}

/* The policy with the change, or with all of it but operation `left_out`. */
static bool affirming(struct with_service *w, value change, size_t left_out, value claims,
                      value references)
{
    for (size_t i = 0; i < value_len(change); i++)
        if (i != left_out)
            apply(w, value_at(change, i), &claims, &references);
    struct value_builder b;
    value_builder_init(&b, &w->a, 1);
    value_builder_put_str(&b, "t", claims);
    CLEANUP(policy_set_cleanup) struct policy_set *set = service_policies(w->s);
    struct reference_view view = {NULL, NOW, references, {NULL}, 0};
    struct policy_outcome outcome;
    enum check_id check;
    struct rego_ctx *ctx = service_context_get(w->s);
    enum status st = policy_evaluate(ctx, &w->a, policy_set_find(set, STR("default")),
                                     value_object_finish(&b, VALUE_DUP_LAST, NULL), &view, NULL,
                                     &outcome, &check, NULL);
    service_context_put(w->s, ctx);
    return st == OK && trust_vector_tier(&outcome.vector) == TIER_AFFIRMING;
}

static void test_one(unsigned n)
{
    CLEANUP(denial_done) struct denial d;
    bool by_data = pick(2) == 0;
    unsigned need = generate(&d, by_data);
    with_file("explain.json", buf_str(&d.values));
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(
        with_init(&w,
                  "{\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"type\":\"LocalJson\","
                  "\"file_path\":\"%s/explain.json\"}},\"storage_backend\":{}}",
                  ERA_NEW, NOW, &err),
        OK, &err);
    struct str policy = arena_str(&w.a, buf_str(&d.policy));
    struct str input = arena_str(&w.a, buf_str(&d.input));
    CHECK_STATUS(with_policy(&w, "default", policy.ptr, &err), OK, &err);

    static const struct verifier verifier = {.tee = "t"};
    struct evidence_claims e = {&verifier, "cpu", with_json(&w, input.ptr), VALUE_NULL, VALUE_NULL,
                                false,     NULL};
    struct checks checks;
    checks_init(&checks, &w.a);
    struct attestation_result out = {.claims = VALUE_UNDEFINED};
    CHECK_STATUS(attestation_appraise(w.s, &w.a, &e, 1, NULL, 0, NOW, true, &checks, &out, &err),
                 OK, &err);
    if (need == 0) {
        CHECK(out.affirming && !value_is_defined(out.why.change));
        return;
    }

    CLEANUP(rvps_snapshot_cleanup)
    struct rvps_snapshot *s = rvps_snapshot_get(attestation_rvps(w.s));
    value references = rvps_all(s, NOW), change = out.why.change;
    bool ok = CHECK(!out.affirming && value_len(out.why.rules) > 0);
    if (need > EXPLAIN_OPERATIONS_MAX) {
        CHECK(!value_is_defined(change));
        return;
    }
    ok = CHECK(value_len(change) == need) && ok;
    ok = CHECK(affirming(&w, change, SIZE_MAX, e.claims, references)) && ok;
    for (size_t i = 0; i < value_len(change); i++)
        ok = CHECK(!affirming(&w, change, i, e.claims, references)) && ok;
    CHECK(checks.reason.check != CHECK_NONE);
    if (!ok)
        printf("# denial %u needs %u: %s\n# %s\n# values %.*s\n# input %s\n", n, need,
               with_text(&w, change).ptr, policy.ptr, STR_ARG(buf_str(&d.values)), input.ptr);
}

/* The cases of INTERFACES.md and of the task, word for word. */
static void test_words(void)
{
#define P "package policy\nimport rego.v1\ndefault hardware := 97\nhardware := 2 if "
    const struct {
        const char *name, *text, *values, *claims;
        const char *change, *expired; /* "undefined": none */
        const char *check, *field, *expected, *actual;
    } rows[] = {
        {"member of one that exists", P "input.t.pcr08 in query_reference_value(\"pcr08\")",
         "[{\"name\":\"pcr08\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"aa\"]}]",
         "{\"pcr08\":\"bb\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/pcr08/-\",\"value\":\"bb\"}]", "undefined",
         "reference-value", "/input/t/pcr08", "[\"aa\"]", "\"bb\""},
        {"data.reference is told the same way", P "input.t.pcr08 in data.reference.pcr08",
         "[{\"name\":\"pcr08\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"aa\"]}]",
         "{\"pcr08\":\"bb\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/pcr08/-\",\"value\":\"bb\"}]", "undefined",
         "reference-value", "/input/t/pcr08", "[\"aa\"]", "\"bb\""},
        {"expired", P "input.t.pcr08 in data.reference.pcr08",
         "[{\"name\":\"pcr08\",\"expiration\":\"2025-12-12T00:00:00Z\",\"value\":[\"aa\",\"bb\"]}]",
         "{\"pcr08\":\"bb\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/pcr08\",\"value\":[\"aa\",\"bb\"]}]",
         "[{\"expiration\":\"2025-12-12T00:00:00Z\",\"name\":\"pcr08\"}]",
         "reference-value-expired", "/input/t/pcr08", "undefined", "\"bb\""},
        {"expired, and would not have counted", P "input.t.pcr08 in data.reference.pcr08",
         "[{\"name\":\"pcr08\",\"expiration\":\"2025-12-12T00:00:00Z\",\"value\":[\"aa\"]}]",
         "{\"pcr08\":\"bb\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/pcr08\",\"value\":[\"bb\"]}]", "undefined",
         "reference-value-expired", "/input/t/pcr08", "undefined", "\"bb\""},
        {"missing", P "input.t.pcr08 in query_reference_value(\"pcr08\")", "[]",
         "{\"pcr08\":\"bb\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/pcr08\",\"value\":[\"bb\"]}]", "undefined",
         "reference-value", "/input/t/pcr08", "undefined", "\"bb\""},
        {"constant", P "input.t.debug == false", "[]", "{\"debug\":true}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/debug\",\"value\":false}]", "undefined",
         "policy", "/input/t/debug", "false", "true"},
        {"negation", P "not input.t.debug", "[]", "{\"debug\":true}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/debug\",\"value\":false}]", "undefined",
         "policy", "/input/t/debug", "undefined", "true"},
        {"another TEE's claims are not made up", P "input.u.debug == false", "[]",
         "{\"debug\":true}", "undefined", "undefined", "policy", "/input/u/debug", "false",
         "undefined"},
        {"a name with a slash", P "input.t.a in query_reference_value(\"x/y\")", "[]", "{\"a\":1}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/x~1y\",\"value\":[1]}]", "undefined",
         "reference-value", "/input/t/a", "undefined", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        with_file("words.json", str_of(rows[i].values));
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(
            with_init(&w,
                      "{\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"type\":\"LocalJson\","
                      "\"file_path\":\"%s/words.json\"}},\"storage_backend\":{}}",
                      ERA_NEW, NOW, &err),
            OK, &err);
        CHECK_STATUS_ROW(with_policy(&w, "default", rows[i].text, &err), OK, &err, rows[i].name);
        static const struct verifier verifier = {.tee = "t"};
        struct evidence_claims e = {
            &verifier, "cpu", with_json(&w, rows[i].claims), VALUE_NULL, VALUE_NULL, false, NULL};
        struct checks checks;
        checks_init(&checks, &w.a);
        struct attestation_result out = {.claims = VALUE_UNDEFINED};
        CHECK_STATUS_ROW(
            attestation_appraise(w.s, &w.a, &e, 1, NULL, 0, NOW, true, &checks, &out, &err), OK,
            &err, rows[i].name);
        CHECK_STR_ROW(with_text(&w, out.why.change), str_of(rows[i].change), rows[i].name);
        CHECK_STR_ROW(with_text(&w, out.why.expired), str_of(rows[i].expired), rows[i].name);
        CHECK_STR_ROW(str_of(check_name(checks.reason.check)), str_of(rows[i].check), rows[i].name);
        CHECK_STR_ROW(checks.reason.field, str_of(rows[i].field), rows[i].name);
        CHECK_STR_ROW(with_text(&w, checks.reason.expected), str_of(rows[i].expected),
                      rows[i].name);
        CHECK_STR_ROW(with_text(&w, checks.reason.actual), str_of(rows[i].actual), rows[i].name);
    }
}

/* An alias is told and changed under its real name (S9): the token's own key. */
static void test_alias(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, "{\"storage_backend\":{}}", ERA_NEW, NOW, &err), OK, &err);
    CHECK_STATUS(with_policy(&w, "default", P "input.newtee.a == 1", &err), OK, &err);
    static const struct verifier verifier = {.tee = "new-tee", .old_tee = "newtee"};
    struct evidence_claims e = {
        &verifier, "cpu", with_json(&w, "{\"a\":2}"), VALUE_NULL, VALUE_NULL, false, NULL};
    struct checks checks;
    checks_init(&checks, &w.a);
    struct attestation_result out = {.claims = VALUE_UNDEFINED};
    CHECK_STATUS(attestation_appraise(w.s, &w.a, &e, 1, NULL, 0, NOW, true, &checks, &out, &err),
                 OK, &err);
    CHECK_STR(with_text(&w, out.why.change),
              STR("[{\"op\":\"replace\",\"path\":\"/input/new-tee/a\",\"value\":1}]"));
    CHECK_STR(checks.reason.field, STR("/input/new-tee/a"));
}

/* A policy that takes 20 ms whatever is changed, and always says no to each of ten expressions. */
static bool slow_refusal(void *user, struct arena *a, value input, value data, value references,
                         struct rego_trace *trace)
{
    enum { FAILED = 10 };
    unsigned *evaluations = user;
    ++*evaluations;
    struct timespec now, start;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - start.tv_sec) * NS_PER_S + now.tv_nsec - start.tv_nsec < 20000000);

    struct rego_trace_rule *items = arena_new_array(a, struct rego_trace_rule, FAILED);
    for (int i = 0; items != NULL && i < FAILED; i++)
        items[i] = (struct rego_trace_rule){
            .rule = STR("data.policy.allow"),
            .relation = REGO_REL_EQUAL,
            .left = VALUE_UNDEFINED,
            .right = value_small_int((int)*evaluations),
            .left_path = arena_format(a, "/input/t/c%d", i),
        };
    *trace = (struct rego_trace){items, items == NULL ? 0 : FAILED};
    return false;
}

/* Who sends what makes evaluations slow is told why, not how long a search can be. */
static void test_slow_policy(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 24);
    unsigned evaluations = 0;
    struct value_builder b, t;
    value_builder_init(&t, &a, 0);
    value_builder_init(&b, &a, 1);
    value_builder_put_str(&b, "t", value_object_finish(&t, VALUE_DUP_LAST, NULL));
    const struct explain_subject subject = {
        .passes = slow_refusal,
        .user = &evaluations,
        .input = value_object_finish(&b, VALUE_DUP_LAST, NULL),
        .data = VALUE_EMPTY_OBJECT(&a),
        .references = VALUE_EMPTY_OBJECT(&a),
        .now_s = NOW,
    };
    struct explanation out;
    struct error err = ERROR_INIT;
    CHECK_STATUS(explain(&a, &subject, &out, &err), OK, &err);
    CHECK(value_len(out.rules) > 0 && !value_is_defined(out.change));
    if (!CHECK(evaluations > 1 && evaluations < 30))
        printf("# %u evaluations of 20 ms\n", evaluations);
}

int main(void)
{
    test_words();
    test_alias();
    test_slow_policy();
    for (unsigned i = 0; i < DENIALS; i++)
        test_one(i);
    return tap_done();
}
