/*
 * explain: generated denials.  Each change is applied by code of this file, must
 * make the policy pass, must fail with any one operation left out, and has the
 * length that the generator knows to be the smallest.
 */
#include <stdarg.h>
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
    struct buf helpers;               /* rules that conditions need */
    unsigned conditions, helper_count, expired;
    bool by_data;
};

#define FAR "2030-01-01T00:00:00Z"
#define PAST "2020-01-01T00:00:00Z"

/* The reference value that belongs to the present condition, as a policy names it. */
static const char *reference(const struct denial *d)
{
    static char text[64];
    snprintf(text, sizeof(text),
             d->by_data ? "data.reference.r%u" : "query_reference_value(\"r%u\")", d->conditions);
    return text;
}

PRINTF_LIKE(2, 3) static void set_input(struct denial *d, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    buf_add_format(&d->input, "%s\"c%u\":%s", d->input.len > 1 ? "," : "", d->conditions, text);
}

static void set_value(struct denial *d, const char *expiration, const char *text)
{
    buf_add_format(&d->values, "{\"name\":\"r%u\",\"expiration\":\"%s\",\"value\":%s},",
                   d->conditions, expiration, text);
}

/* "%1$u" and "%2$s" of an expression filled in: printf's warnings are about literals only. */
static void expand(char *out, size_t size, const char *format, unsigned number, const char *text)
{
    size_t n = 0;
    while (*format != '\0' && n + 1 < size) {
        int len = -1;
        if (strncmp(format, "%1$u", 4) == 0)
            len = snprintf(out + n, size - n, "%u", number);
        else if (strncmp(format, "%2$s", 4) == 0)
            len = snprintf(out + n, size - n, "%s", text);
        if (len < 0)
            out[n++] = *format++;
        else
            n += (size_t)len, format += 4;
    }
    out[n < size ? n : size - 1] = '\0';
}

/* input.t.cN against a reference value or a constant. */
static unsigned plain_condition(struct denial *d, struct buf *p)
{
    static const struct {
        const char *input, *value; /* NULL: nothing has that name */
        const char *expression;    /* %1$u the number, %2$s the reference value */
        unsigned need;
        bool expired, counts;
    } rows[] = {
        {"\"actual\"", "[\"x\",\"y\"]", "input.t.c%1$u in %2$s", 1, false, false},
        {"\"actual\"", "[\"x\",\"actual\"]", "input.t.c%1$u in %2$s", 1, true, true},
        {"\"actual\"", "[\"x\",\"y\"]", "input.t.c%1$u in %2$s", 1, true, false},
        {"\"actual\"", NULL, "input.t.c%1$u in %2$s", 1, false, false},
        {"\"actual\"", "[\"actual\"]", "input.t.c%1$u in %2$s", 0, false, false},
        {"\"actual\"", NULL, "input.t.c%1$u == \"wanted\"", 1, false, false},
        {"4", "5", "input.t.c%1$u == %2$s", 1, false, false},
        {"4", "9", "input.t.c%1$u >= %2$s", 1, false, false},
        {"4", "4", "input.t.c%1$u > %2$s", 1, false, false},
        {"4", "3", "input.t.c%1$u <= %2$s", 1, false, false},
        {"4", "4", "input.t.c%1$u < %2$s", 1, false, false},
        {"4", "4", "%2$s < input.t.c%1$u", 1, false, false},
        {"4", "4", "%2$s <= input.t.c%1$u", 0, false, false},
        {"4", NULL, "input.t.c%1$u < 4", 1, false, false},
        {"4", NULL, "input.t.c%1$u <= 3", 1, false, false},
        {"0.5", NULL, "input.t.c%1$u > 0.5", 1, false, false},
        {"\"1.2.3\"", NULL, "input.t.c%1$u > \"1.2.3\"", 1, false, false},
        {"\"1.2.3\"", NULL, "input.t.c%1$u < \"1.2.3\"", 1, false, false},
        {"4", NULL, "input.t.c%1$u != 4", 1, false, false},
        {"true", NULL, "input.t.c%1$u != true", 1, false, false},
        {"\"actual\"", NULL, "input.t.c%1$u != \"actual\"", 1, false, false},
        {"\"\"", NULL, "input.t.c%1$u != \"\"", 1, false, false},
        {"\"actual\"", "\"actual\"", "input.t.c%1$u != %2$s", 1, false, false},
        {"\"actual\"", "\"other\"", "input.t.c%1$u != %2$s", 0, false, false},
        {"true", NULL, "not input.t.c%1$u", 1, false, false},
        {"\"text\"", NULL, "not input.t.c%1$u", 1, false, false},
        {"4", NULL, "not input.t.c%1$u == 4", 1, false, false},
        {"4", NULL, "not input.t.c%1$u != 5", 1, false, false},
        {"4", NULL, "not input.t.c%1$u < 5", 1, false, false},
        {"4", NULL, "not input.t.c%1$u >= 4", 1, false, false},
        {"\"actual\"", "[\"x\",\"actual\",\"y\"]", "not input.t.c%1$u in %2$s", 1, false, false},
        {"\"actual\"", "[\"actual\",\"actual\"]", "not input.t.c%1$u in %2$s", 1, false, false},
        {"\"actual\"", NULL, "not input.t.c%1$u in {\"actual\", \"\"}", 1, false, false},
        {"4", NULL, "not input.t.c%1$u in {4, 5}", 1, false, false},
        {"[\"p\",\"q\",\"s\"]", "[\"q\"]", "every x in input.t.c%1$u { x in %2$s }", 2, false,
         false},
        {"[{\"n\":1},{\"n\":7},{\"n\":9}]", NULL, "every x in input.t.c%1$u { x.n < 5 }", 2, false,
         false},
        /* Set differences: each item that is missing is one operation. */
        {"[\"p\",\"q\"]", NULL, "count({\"p\", \"q\", \"r\"} - {x | some x in input.t.c%1$u}) == 0",
         1, false, false},
        {"[\"p\",\"q\",\"r\"]", "[\"q\"]",
         "count({x | some x in input.t.c%1$u} - {x | some x in %2$s}) == 0", 2, false, false},
        {"[\"p\"]", "[\"p\",\"q\",\"r\"]",
         "{x | some x in %2$s} - {x | x := input.t.c%1$u[_]} == set()", 2, false, false},
        {"[\"p\",\"q\"]", NULL, "{x | some x in input.t.c%1$u} - {x | some x in %2$s} == set()", 0,
         false, false},
    };
    unsigned row = pick(ARRAY_LEN(rows)), i = d->conditions;
    set_input(d, "%s", rows[row].input);
    if (rows[row].value != NULL)
        set_value(d, rows[row].expired ? PAST : FAR, rows[row].value);
    else if (rows[row].need == 0)
        set_value(d, FAR, "[\"p\",\"q\"]");
    d->expired += rows[row].counts;
    char text[256];
    expand(text, sizeof(text), rows[row].expression, i, reference(d));
    buf_add(p, str_of(text));
    d->conditions++;
    return rows[row].need;
}

/* `hN`, a rule of two conditions; `not hN`, of one that holds; a set that has to be empty. */
static unsigned nested_condition(struct denial *d, struct buf *p)
{
    unsigned h = d->helper_count++, need = 0, n = 1 + pick(2);
    switch (pick(5)) {
    case 0: /* rules within rules */
        buf_add_format(p, "h%u", h);
        buf_add_format(&d->helpers, "h%u if {\n\t", h);
        for (unsigned i = 0; i < n; i++, buf_add_cstr(&d->helpers, "\n\t"))
            need += plain_condition(d, &d->helpers);
        buf_add_cstr(&d->helpers, "true\n}\n");
        return need;
    case 1: /* one condition of it broken is enough, of each body that holds */
        buf_add_format(p, "not h%u", h);
        for (unsigned i = 0; i < n; i++) {
            buf_add_format(&d->helpers, "h%u if {\n\tinput.t.c%u == 1\n\tinput.t.c%u > 1\n}\n", h,
                           d->conditions, d->conditions + 1);
            set_input(d, "1");
            d->conditions++;
            set_input(d, "2");
            d->conditions++;
        }
        return n;
    case 2: /* what must not be */
        buf_add_format(p, pick(2) == 0 ? "count(h%u) == 0" : "h%u == set()", h);
        for (unsigned i = 0; i < n; i++) {
            buf_add_format(&d->helpers, "h%u contains \"m%u\" if input.t.c%u != 3\n", h, i,
                           d->conditions);
            set_input(d, "4");
            d->conditions++;
        }
        return n;
    case 3: /* sets that rules make */
        buf_add_format(p, "count(h%u - g%u) == 0", h, h);
        buf_add_format(&d->helpers,
                       "h%u := {\"p\", \"q\"}\ng%u contains x if some x in input.t.c%u\n", h, h,
                       d->conditions);
        set_input(d, n == 1 ? "[\"q\"]" : "[]");
        d->conditions++;
        return n;
    default: /* a function */
        buf_add_format(p, "h%u(input.t.c%u)", h, d->conditions);
        buf_add_format(&d->helpers, "h%u(x) if x >= 5\n", h);
        set_input(d, "4");
        d->conditions++;
        return 1;
    }
}

/* One condition of a rule; returns how many operations it takes to hold. */
static unsigned condition(struct denial *d)
{
    buf_add_cstr(&d->policy, "\t");
    unsigned need = pick(4) == 0 ? nested_condition(d, &d->policy) : plain_condition(d, &d->policy);
    buf_add_cstr(&d->policy, "\n");
    return need;
}

/* A rule with one or two bodies; the smaller need counts. */
static unsigned rule(struct denial *d, const char *name, int good)
{
    unsigned need = 100;
    for (unsigned bodies = 1 + (pick(4) == 0); bodies > 0; bodies--) {
        buf_add_format(&d->policy, "%s := %d if {\n", name, good);
        unsigned sum = 0;
        for (unsigned n = 1 + pick(3); n > 0; n--)
            sum += condition(d);
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
    buf_init(&d->helpers, 1 << 16);
    d->conditions = d->helper_count = d->expired = 0;
    d->by_data = by_data;
    buf_add_cstr(&d->policy, "package policy\nimport rego.v1\ndefault executables := 33\n"
                             "default hardware := 97\ndefault configuration := 36\n");
    if (!by_data)
        buf_add_cstr(&d->policy,
                     "trust_claims := {\"executables\": executables, \"hardware\": hardware, "
                     "\"configuration\": configuration}\n");
    buf_add_cstr(&d->input, "{");
    buf_add_cstr(&d->values, "[");
    static const struct {
        const char *name;
        int good;
    } rules[] = {{"executables", 3}, {"hardware", 2}, {"configuration", 2}};
    unsigned need = 0;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (pick(3) > 0)
            need += rule(d, rules[i].name, rules[i].good);
        else
            buf_add_format(&d->policy, "%s := %d if input\n", rules[i].name, rules[i].good);
    }
    buf_add(&d->policy, buf_str(&d->helpers));
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
    buf_done(&d->helpers);
}

/* ---- applying, independent of the code under test ---- */

/* RFC 6902 for one operation, at what is left of its path. */
static value patched(struct with_service *w, value doc, struct str path, struct str op, value v)
{
    if (!CHECK(path.len > 1 && path.ptr[0] == '/'))
        return doc;
    size_t end = str_find(path, '/', 1);
    struct str token = str_slice(path, 1, end - 1), rest = str_from(path, end);
    if (str_is(token, "x~1y")) /* the only name of these tests with a slash */
        token = STR("x/y");
    CHECK(memchr(token.ptr, '~', token.len) == NULL);
    bool last = rest.len == 0, append = str_is(token, "-");
    if (value_is_object(doc)) {
        value key = value_string(&w->a, token), old = value_get(doc, key);
        CHECK(value_is_defined(old) == !(last && str_is(op, "add")));
        value new = !last                  ? patched(w, old, rest, op, v)
                    : str_is(op, "remove") ? VALUE_UNDEFINED
                                           : v;
        return value_object_with(&w->a, doc, key, new);
    }
    size_t at = append ? value_len(doc) : strtoul(arena_str(&w->a, token).ptr, NULL, 10);
    CHECK(value_is_array(doc) && (append ? last && str_is(op, "add") : at < value_len(doc)));
    struct value_builder b;
    value_builder_init(&b, &w->a, value_len(doc) + 1);
    for (size_t i = 0; i < value_len(doc); i++) {
        if (i != at)
            value_builder_add(&b, value_items(doc)[i]);
        else if (!last)
            value_builder_add(&b, patched(w, value_items(doc)[i], rest, op, v));
        else if (!str_is(op, "remove"))
            value_builder_add(&b, v);
    }
    if (append)
        value_builder_add(&b, v);
    return value_array_finish(&b);
}

static void apply(struct with_service *w, value op, value *claims, value *references)
{
    struct str path = value_str(value_get_lit(op, "path")),
               name = value_str(value_get_lit(op, "op"));
    bool input = str_has_prefix(path, STR("/input/t/"));
    CHECK(input || str_has_prefix(path, STR("/reference-values/")));
    value *doc = input ? claims : references;
    *doc = patched(w, *doc, str_from(path, strlen(input ? "/input/t" : "/reference-values")), name,
                   value_get_lit(op, "value"));
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

/* It makes the policy pass, and none of its operations can be left out. */
static bool is_smallest(struct with_service *w, value change, value claims)
{
    CLEANUP(rvps_snapshot_cleanup)
    struct rvps_snapshot *s = rvps_snapshot_get(attestation_rvps(w->s));
    value references = rvps_all(s, NOW);
    bool ok = affirming(w, change, SIZE_MAX, claims, references);
    for (size_t i = 0; i < value_len(change); i++)
        ok = !affirming(w, change, i, claims, references) && ok;
    return ok;
}

static const struct verifier tee_t = {.tee = "t"};

/* A service with these reference values. */
static void init_with_values(struct with_service *w, struct str values, const char *row)
{
    with_file("explain.json", values);
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(
        with_init(w,
                  "{\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"type\":\"LocalJson\","
                  "\"file_path\":\"%s/explain.json\"}},\"storage_backend\":{}}",
                  ERA_NEW, NOW, &err),
        OK, &err, row);
}

/* What this policy says of a machine with these claims. */
static struct attestation_result appraise(struct with_service *w, const struct verifier *verifier,
                                          const char *policy, value claims, struct checks *checks,
                                          const char *row)
{
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(with_policy(w, "default", policy, &err), OK, &err, row);
    struct evidence_claims e = {verifier, "cpu", claims, VALUE_NULL, VALUE_NULL, false, NULL};
    checks_init(checks, &w->a);
    struct attestation_result out = {.claims = VALUE_UNDEFINED};
    CHECK_STATUS_ROW(
        attestation_appraise(w->s, &w->a, &e, 1, NULL, 0, NOW, true, checks, &out, &err), OK, &err,
        row);
    return out;
}

/* How many denials needed so many operations. */
static unsigned seen[EXPLAIN_OPERATIONS_MAX + 1];

static void test_one(unsigned n)
{
    CLEANUP(denial_done) struct denial d;
    bool by_data = pick(2) == 0;
    unsigned need = generate(&d, by_data);
    CLEANUP(with_done) struct with_service w;
    init_with_values(&w, buf_str(&d.values), NULL);
    struct str policy = arena_str(&w.a, buf_str(&d.policy));
    struct str input = arena_str(&w.a, buf_str(&d.input));
    value claims = with_json(&w, input.ptr);
    struct checks checks;
    struct attestation_result out = appraise(&w, &tee_t, policy.ptr, claims, &checks, NULL);
    if (need == 0) {
        CHECK(out.affirming && !value_is_defined(out.why.change));
        return;
    }

    value change = out.why.change;
    bool ok = CHECK(!out.affirming && value_len(out.why.rules) > 0);
    if (need > EXPLAIN_OPERATIONS_MAX) {
        CHECK(!value_is_defined(change));
        return;
    }
    ok = CHECK(value_len(change) == need) && ok;
    seen[need < ARRAY_LEN(seen) ? need : ARRAY_LEN(seen) - 1]++;
    ok = CHECK(is_smallest(&w, change, claims)) && ok;
    CHECK(checks.reason.check != CHECK_NONE);
    if (!ok)
        printf("# denial %u needs %u: %s\n# %s\n# values %.*s\n# input %s\n", n, need,
               with_text(&w, change).ptr, policy.ptr, STR_ARG(buf_str(&d.values)), input.ptr);
}

#define P "package policy\nimport rego.v1\ndefault hardware := 97\nhardware := 2 if "

#define OK_AB "[{\"name\":\"ok\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"a\",\"b\"]}]"

#define OK_EXPIRED "[{\"name\":\"ok\",\"expiration\":\"2020-01-01T00:00:00Z\",\"value\":[\"z\"]}]"

/* The cases of INTERFACES.md and of the task, word for word. */
static void test_words(void)
{
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
        {"a minimum", P "input.t.svn >= query_reference_value(\"min\")",
         "[{\"name\":\"min\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":9}]", "{\"svn\":4}",
         "[{\"op\":\"replace\",\"path\":\"/reference-values/min\",\"value\":4}]", "undefined",
         "reference-value", "/input/t/svn", "9", "4"},
        {"below", P "input.t.svn < 3", "[]", "{\"svn\":3}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/svn\",\"value\":2}]", "undefined", "policy",
         "/input/t/svn", "3", "3"},
        {"a later version as text", P "input.t.v > \"1.2\"", "[]", "{\"v\":\"1.2\"}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/v\",\"value\":\"1.20\"}]", "undefined", "policy",
         "/input/t/v", "\"1.2\"", "\"1.2\""},
        {"nothing is before the empty text", P "input.t.v < \"\"", "[]", "{\"v\":\"1\"}",
         "undefined", "undefined", "policy", "/input/t/v", "\"\"", "\"1\""},
        {"different", P "input.t.mode != \"open\"", "[]", "{\"mode\":\"open\"}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/mode\",\"value\":\"\"}]", "undefined", "policy",
         "/input/t/mode", "\"open\"", "\"open\""},
        {"not equal to a list of bad ones", P "not input.t.chip in query_reference_value(\"bad\")",
         "[{\"name\":\"bad\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"a\",\"b\"]}]",
         "{\"chip\":\"b\"}",
         "[{\"op\":\"remove\",\"path\":\"/reference-values/bad/1\",\"value\":\"b\"}]", "undefined",
         "reference-value", "/input/t/chip", "[\"a\",\"b\"]", "\"b\""},
        {"twice in the list", P "not input.t.chip in query_reference_value(\"bad\")",
         "[{\"name\":\"bad\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"b\",\"a\",\"b\"]}"
         "]",
         "{\"chip\":\"b\"}",
         "[{\"op\":\"replace\",\"path\":\"/reference-values/bad\",\"value\":[\"a\"]}]", "undefined",
         "reference-value", "/input/t/chip", "[\"b\",\"a\",\"b\"]", "\"b\""},
        {"not a rule", P "not debug\ndebug if input.t.debug", "[]", "{\"debug\":true}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/debug\",\"value\":false}]", "undefined",
         "policy", "/data/policy/debug", "undefined", "true"},
        {"not what a rule must not say", P "not a\na if not input.t.x", "[]", "{\"x\":false}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/x\",\"value\":true}]", "undefined", "policy",
         "/data/policy/a", "undefined", "true"},
        {"an empty set of complaints",
         P "count(deny) == 0\ndeny contains \"debug\" if input.t.debug\ndeny contains \"old\" if "
           "input.t.svn < 5",
         "[]", "{\"debug\":true,\"svn\":4}",
         "[{\"op\":\"replace\",\"path\":\"/input/t/debug\",\"value\":false},{\"op\":\"replace\","
         "\"path\":\"/input/t/svn\",\"value\":5}]",
         "undefined", "policy", "", "0", "2"},
        {"complaints that a loop makes, behind a long one",
         P "count(deny) == 0\nseen contains x if some x in numbers.range(1, 3000)\ndeny contains x "
           "if {\n\tcount(seen) > 5\n\tsome x in input.t.open\n\tx in "
           "query_reference_value(\"bad\")\n}",
         "[{\"name\":\"bad\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[22,23]}]",
         "{\"open\":[22,80,23]}",
         "[{\"op\":\"remove\",\"path\":\"/reference-values/bad/"
         "0\",\"value\":22},{\"op\":\"remove\","
         "\"path\":\"/reference-values/bad/0\",\"value\":23}]",
         "undefined", "policy", "", "0", "2"},
        {"nothing failed: the value is what is wrong",
         "package policy\nimport rego.v1\nhardware := 97 if input.t.debug == true\nelse := 2", "[]",
         "{\"debug\":true}", "[{\"op\":\"replace\",\"path\":\"/input/t/debug\",\"value\":false}]",
         "undefined", "policy", "", "undefined", "undefined"},
        {"what is missing from a set",
         P "count({x | some x in input.t.parts} - {x | some x in query_reference_value(\"ok\")}) "
           "== 0",
         "[{\"name\":\"ok\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"a\"]}]",
         "{\"parts\":[\"a\",\"b\",\"c\"]}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"b\"},{\"op\":\"add\","
         "\"path\":\"/reference-values/ok/-\",\"value\":\"c\"}]",
         "undefined", "policy", "", "0", "2"},
        {"all that is missing from a list that is not there: one operation",
         P "count({x | some x in input.t.parts} - {x | some x in query_reference_value(\"ok\")}) "
           "== 0",
         "[]", "{\"parts\":[\"a\",\"b\"]}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"a\",\"b\"]}]",
         "undefined", "policy", "", "0", "2"},
        {"a set of what has expired",
         P "count({x | some x in input.t.parts} - {x | some x in query_reference_value(\"ok\")}) "
           "== 0",
         "[{\"name\":\"ok\",\"expiration\":\"2020-01-01T00:00:00Z\",\"value\":[\"a\",\"b\"]}]",
         "{\"parts\":[\"b\"]}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"a\",\"b\"]}]",
         "[{\"expiration\":\"2020-01-01T00:00:00Z\",\"name\":\"ok\"}]", "reference-value-expired",
         "", "0", "1"},
        {"a set of what has expired, and would not have counted",
         P "count({x | some x in input.t.parts} - {x | some x in query_reference_value(\"ok\")}) "
           "== 0",
         "[{\"name\":\"ok\",\"expiration\":\"2020-01-01T00:00:00Z\",\"value\":[\"a\"]}]",
         "{\"parts\":[\"b\"]}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"b\"]}]", "undefined",
         "policy", "", "0", "1"},
        {"any value of a list: it learns one, and loses none",
         P "{\n\tsome v in query_reference_value(\"ok\")\n\tv == input.t.m\n}",
         "[{\"name\":\"ok\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"a\",\"b\"]}]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "/input/t/m", "\"b\"", "\"z\""},
        {"one item of a list", P "input.t.m == query_reference_value(\"ok\")[0]",
         "[{\"name\":\"ok\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"a\",\"b\"]}]",
         "{\"m\":\"z\"}",
         "[{\"op\":\"replace\",\"path\":\"/reference-values/ok/0\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/m", "\"a\"", "\"z\""},
        {"any item of a list: it learns one", P "input.t.m == data.reference.ok[_]", OK_AB,
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "/input/t/m", "\"b\"", "\"z\""},
        {"any item of a list, by its index",
         P "{\n\tsome i\n\tquery_reference_value(\"ok\")[i] == input.t.m\n}", OK_AB,
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "/input/t/m", "\"b\"", "\"z\""},
        {"any item of a list that has none", P "input.t.m == data.reference.ok[_]",
         "[{\"name\":\"ok\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[]}]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "/input/t/m", "undefined", "\"z\""},
        {"any item of a list that is not there", P "data.reference.ok[_] == input.t.m", "[]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "undefined", "reference-value", "/input/t/m", "undefined", "\"z\""},
        {"no member is made up where any will do", P "input.t.m[_] == 3", "[]", "{\"m\":{\"a\":4}}",
         "undefined", "undefined", "policy", "/input/t/m", "3", "4"},
        {"a set of reference values that is a rule",
         P "input.t.m in good\ngood := {v | some v in data.reference.ok}", OK_AB, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/m", "[\"a\",\"b\"]", "\"z\""},
        {"one that learns its members",
         P "input.t.m in good\ngood contains v if some v in query_reference_value(\"ok\")", OK_AB,
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "/input/t/m", "[\"a\",\"b\"]", "\"z\""},
        {"its member by brackets",
         P "good[input.t.m]\ngood contains v if some v in query_reference_value(\"ok\")", OK_AB,
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "/input/t/m", "undefined", "\"z\""},
        {"its member by brackets, every time",
         P "{\n\tevery x in input.t.l {\n\t\tgood[x]\n\t}\n}\ngood := {v | some v in "
           "data.reference.ok}",
         OK_AB, "{\"l\":[\"a\",\"z\"]}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/l/1", "undefined", "\"z\""},
        {"an array of them", P "input.t.m in good\ngood := [v | some v in data.reference.ok]",
         OK_AB, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/m", "[\"a\",\"b\"]", "\"z\""},
        {"an index of an array is no member",
         P "good[input.t.m]\ngood := [v | some v in data.reference.ok]", OK_AB, "{\"m\":2}",
         "undefined", "undefined", "policy", "", "undefined", "undefined"},
        {"another name of the list", P "input.t.m in good\ngood := query_reference_value(\"ok\")",
         OK_AB, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/m", "[\"a\",\"b\"]", "\"z\""},
        {"any item of the set",
         P "{\n\tsome x in good\n\tx == input.t.m\n}\ngood := {v | some v in data.reference.ok}",
         OK_AB, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/m", "\"b\"", "\"z\""},
        {"a set of two lists",
         P "input.t.m in good\ngood contains v if some v in data.reference.ok\ngood contains v if "
           "some v in data.reference.more",
         OK_AB, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]", "undefined",
         "reference-value", "/input/t/m", "[\"a\",\"b\"]", "\"z\""},
        {"a set of a list that is not there",
         P "input.t.m in good\ngood contains v if some v in query_reference_value(\"ok\")", "[]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "undefined", "reference-value", "/input/t/m", "[]", "\"z\""},
        {"a set of a list that has expired",
         P "good[input.t.m]\ngood contains v if some v in query_reference_value(\"ok\")",
         OK_EXPIRED, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "[{\"expiration\":\"2020-01-01T00:00:00Z\",\"name\":\"ok\"}]", "reference-value-expired",
         "/input/t/m", "undefined", "\"z\""},
        {"not one of the set",
         P "not good[input.t.m]\ngood contains v if some v in query_reference_value(\"ok\")", OK_AB,
         "{\"m\":\"b\"}",
         "[{\"op\":\"remove\",\"path\":\"/reference-values/ok/1\",\"value\":\"b\"}]", "undefined",
         "reference-value", "/input/t/m", "undefined", "\"b\""},
        {"any value of a list that has expired",
         P "{\n\tsome v in query_reference_value(\"ok\")\n\tv == input.t.m\n}", OK_EXPIRED,
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "[{\"expiration\":\"2020-01-01T00:00:00Z\",\"name\":\"ok\"}]", "reference-value-expired",
         "", "undefined", "undefined"},
        {"the same of data.reference", P "{\n\tsome v in data.reference.ok\n\tv == input.t.m\n}",
         OK_EXPIRED, "{\"m\":\"z\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "[{\"expiration\":\"2020-01-01T00:00:00Z\",\"name\":\"ok\"}]", "reference-value-expired",
         "", "undefined", "undefined"},
        {"any value of a list that has expired, and would not have counted",
         P "{\n\tsome v in query_reference_value(\"ok\")\n\tv == input.t.m\n}",
         "[{\"name\":\"ok\",\"expiration\":\"2020-01-01T00:00:00Z\",\"value\":[\"a\"]}]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "undefined", "reference-value-expired", "", "undefined", "undefined"},
        {"any value of a list that is not there",
         P "{\n\tsome v in query_reference_value(\"ok\")\n\tv == input.t.m\n}", "[]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\"]}]",
         "undefined", "reference-value", "", "undefined", "undefined"},
        {"any value of a list that has none",
         P "{\n\tsome v in query_reference_value(\"ok\")\n\tv == input.t.m\n}",
         "[{\"name\":\"ok\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[]}]",
         "{\"m\":\"z\"}", "[{\"op\":\"add\",\"path\":\"/reference-values/ok/-\",\"value\":\"z\"}]",
         "undefined", "reference-value", "", "undefined", "undefined"},
        {"any value of a list that is not there, and nothing that says which",
         P "{\n\tsome v in query_reference_value(\"ok\")\n\tinput.t.m >= v\n}", "[]",
         "{\"m\":\"z\"}", "undefined", "undefined", "reference-value", "", "undefined",
         "undefined"},
        {"two values of a list that is not there: one operation",
         P "{\n\tinput.t.m in data.reference.ok\n\tinput.t.n in data.reference.ok\n}", "[]",
         "{\"m\":\"z\",\"n\":\"y\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/ok\",\"value\":[\"z\",\"y\"]}]",
         "undefined", "reference-value", "/input/t/m", "undefined", "\"z\""},
        {"two lists, and one of them needs what it began with",
         P "{\n\tinput.t.m in data.reference.ok\n\tinput.t.n in data.reference.ok\n\tsome v in "
           "data.reference.more\n\tv == input.t.m\n}",
         "[]", "{\"m\":\"z\",\"n\":\"y\"}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/"
         "more\",\"value\":[\"z\"]},{\"op\":\"add\",\"path\":\"/reference-values/"
         "ok\",\"value\":[\"z\",\"y\"]}]",
         "undefined", "reference-value", "/input/t/m", "undefined", "\"z\""},
        {"a member of what has expired", P "input.t.m >= query_reference_value(\"ok\").min",
         "[{\"name\":\"ok\",\"expiration\":\"2020-01-01T00:00:00Z\",\"value\":{\"min\":2}}]",
         "{\"m\":3}", "undefined", "[{\"expiration\":\"2020-01-01T00:00:00Z\",\"name\":\"ok\"}]",
         "reference-value-expired", "/input/t/m", "undefined", "3"},
        {"one value for two conditions rather than two changes",
         P "{\n\tinput.t.m in query_reference_value(\"a\")\n\tinput.t.m in "
           "query_reference_value(\"b\")\n}",
         "[{\"name\":\"a\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"x\"]},"
         "{\"name\":\"b\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"x\"]}]",
         "{\"m\":\"y\"}", "[{\"op\":\"replace\",\"path\":\"/input/t/m\",\"value\":\"x\"}]",
         "undefined", "reference-value", "/input/t/m", "[\"x\"]", "\"y\""},
        {"an argument of a function", P "enough(input.t.svn)\nenough(x) if x >= 7", "[]",
         "{\"svn\":4}", "[{\"op\":\"replace\",\"path\":\"/input/t/svn\",\"value\":7}]", "undefined",
         "policy", "/input/t/svn", "7", "4"},
        {"another TEE's claims are not made up", P "input.u.debug == false", "[]",
         "{\"debug\":true}", "undefined", "undefined", "policy", "/input/u/debug", "false",
         "undefined"},
        {"a name with a slash", P "input.t.a in query_reference_value(\"x/y\")", "[]", "{\"a\":1}",
         "[{\"op\":\"add\",\"path\":\"/reference-values/x~1y\",\"value\":[1]}]", "undefined",
         "reference-value", "/input/t/a", "undefined", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        init_with_values(&w, str_of(rows[i].values), rows[i].name);
        value claims = with_json(&w, rows[i].claims);
        struct checks checks;
        struct attestation_result out =
            appraise(&w, &tee_t, rows[i].text, claims, &checks, rows[i].name);
        CHECK_STR_ROW(with_text(&w, out.why.change), str_of(rows[i].change), rows[i].name);
        if (value_is_defined(out.why.change))
            CHECK_ROW(is_smallest(&w, out.why.change, claims), rows[i].name);
        CHECK_STR_ROW(with_text(&w, out.why.expired), str_of(rows[i].expired), rows[i].name);
        CHECK_STR_ROW(str_of(check_name(checks.reason.check)), str_of(rows[i].check), rows[i].name);
        CHECK_STR_ROW(checks.reason.field, str_of(rows[i].field), rows[i].name);
        CHECK_STR_ROW(with_text(&w, checks.reason.expected), str_of(rows[i].expected),
                      rows[i].name);
        CHECK_STR_ROW(with_text(&w, checks.reason.actual), str_of(rows[i].actual), rows[i].name);
    }
}

/* What held where it should not, and which values are examples. */
static void test_held(void)
{
    const struct {
        const char *name, *text, *claims;
        const char *held;     /* "row expression; " of each, rows counted from that of `hardware` */
        const char *examples; /* "undefined": none */
    } rows[] = {
        {"nothing of the kind", P "input.t.a == 1", "{\"a\":2}", "", "undefined"},
        {"a rule that had to hold, and did", P "{\n\tfine\n\tinput.t.a == 1\n}\nfine if input.t.b",
         "{\"a\":2,\"b\":1}", "", "undefined"},
        {"not a rule", P "not bad\nbad if input.t.a == 2\nbad if input.t.b == 2",
         "{\"a\":2,\"b\":1}", "1 input.t.a == 2; ", "[\"/input/t/a\"]"},
        {"a rule of a rule", P "not bad\nbad if worse\nworse if input.t.a", "{\"a\":true}",
         "2 input.t.a; 1 worse; ", "undefined"},
        {"complaints of a loop, each once",
         P "count(deny) == 0\ndeny contains x if {\n\tsome x in input.t.l\n\tx > 3\n}",
         "{\"l\":[4,5,6]}", "2 some x in input.t.l; 3 x > 3; ", "undefined"},
        {"nothing failed: the value is what is wrong",
         "package policy\nimport rego.v1\n\nhardware := 97 if input.t.debug == true\nelse := 2",
         "{\"debug\":true}", "0 input.t.debug == true; ", "undefined"},
        {"another text", P "input.t.a != \"x\"", "{\"a\":\"x\"}", "", "[\"/input/t/a\"]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, "{\"storage_backend\":{}}", ERA_NEW, NOW, &err), OK, &err);
        struct checks checks;
        struct attestation_result out = appraise(
            &w, &tee_t, rows[i].text, with_json(&w, rows[i].claims), &checks, rows[i].name);
        CLEANUP(buf_done) struct buf got;
        buf_init(&got, 65536);
        for (size_t k = 0; k < value_len(out.why.held); k++) {
            value h = value_at(out.why.held, k);
            int64_t row = 0;
            value_get_int64(value_get_lit(h, "row"), &row);
            buf_add_format(&got, "%lld %.*s; ", (long long)row - 4,
                           STR_ARG(value_str(value_get_lit(h, "expression"))));
        }
        CHECK_STR_ROW(buf_str(&got), str_of(rows[i].held), rows[i].name);
        CHECK_STR_ROW(with_text(&w, out.why.examples), str_of(rows[i].examples), rows[i].name);
    }
}

/* An alias is told and changed under its real name (S9): the token's own key. */
static void test_alias(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, "{\"storage_backend\":{}}", ERA_NEW, NOW, &err), OK, &err);
    static const struct verifier verifier = {.tee = "new-tee", .old_tee = "newtee"};
    struct checks checks;
    struct attestation_result out = appraise(&w, &verifier, P "input.newtee.a == 1",
                                             with_json(&w, "{\"a\":2}"), &checks, "alias");
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
            .part = VALUE_UNDEFINED,
            .whole = VALUE_UNDEFINED,
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
    test_held();
    test_alias();
    test_slow_policy();
    for (unsigned i = 0; i < DENIALS; i++)
        test_one(i);
    for (unsigned i = 1; i <= EXPLAIN_OPERATIONS_MAX; i++)
        CHECK(seen[i] > 0);
    return tap_done();
}
