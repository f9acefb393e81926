/*
 * The public interface, through the shared library and its header alone.
 */
#include <claviger-rego.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"

static crego_outcome twice(crego_call *call, const crego_value *args, crego_value *out)
{
    int64_t n;
    int *calls = crego_call_user(call);
    if (!crego_get_int64(args[0], &n))
        return crego_call_error(call, "no integer");
    ++*calls;
    *out = crego_make_int64(call, 2 * n);
    return CREGO_GIVE_VALUE;
}

static crego_policy *compile(const char *text)
{
    crego_compiler *c = NULL;
    crego_policy *p = NULL;
    CHECK(crego_compiler_new(NULL, &c) == CREGO_OK);
    CHECK(crego_compiler_function(c, "twice", "(number) number", true, twice) == CREGO_OK);
    CHECK(crego_compiler_add(c, "p.rego", text, strlen(text)) == CREGO_OK);
    CHECK(crego_compiler_finish(c, &p) == CREGO_OK);
    crego_compiler_free(c);
    return p;
}

static const char policy[] =
    "package p\n\n"
    "allow if input.x == data.y\n\n"
    "doubled := twice(input.x)\n\n"
    "all := {\"list\": [1, 2.50], \"set\": {\"b\", \"a\"}, \"none\": null}\n\n"
    "bad if twice(\"a\" + 1)\n";

static void test_evaluating(void)
{
    static const char text[] =
        "package p\n\nallow if input.x == data.y\n\ndoubled := twice(input.x)\n\n"
        "all := {\"list\": [1, 2.50], \"set\": {\"b\", \"a\"}, \"none\": null}\n";
    crego_policy *p = compile(text);
    crego_ctx *ctx = NULL;
    crego_data *data = NULL;
    crego_value v;
    int calls = 0;
    CHECK(crego_policy_has_rule(p, "data.p.allow") && !crego_policy_has_rule(p, "data.p.none"));
    CHECK(crego_ctx_new(NULL, &ctx) == CREGO_OK);
    CHECK(crego_data_from_json("[1]", 3, &data) == CREGO_INVALID);
    CHECK(crego_data_from_json("{\"y\": 4}", 8, &data) == CREGO_OK);
    crego_ctx_set_data(ctx, data);
    crego_data_unref(data);
    crego_ctx_set_user(ctx, &calls);
    CHECK(crego_ctx_set_input_json(ctx, "{\"x\": 4}", 8) == CREGO_OK);
    CHECK(crego_eval(ctx, p, "data.p.allow", &v) == CREGO_OK && crego_is_true(v));
    int64_t n = 0;
    CHECK(crego_eval(ctx, p, "data.p.doubled", &v) == CREGO_OK && crego_get_int64(v, &n) && n == 8);
    CHECK(crego_eval(ctx, p, "data.p.doubled", &v) == CREGO_OK && calls == 1);
    CHECK(crego_eval(ctx, p, "data.none", &v) == CREGO_NOT_FOUND);

    CHECK(crego_eval(ctx, p, "data.p.all", &v) == CREGO_OK &&
          crego_kind_of(v) == CREGO_KIND_OBJECT);
    crego_value list = crego_get(v, "list", 4);
    char number[16];
    CHECK(crego_len(list) == 2 &&
          crego_number_text(crego_at(list, 1), number, sizeof(number)) == 4);
    CHECK(strcmp(number, "2.50") == 0);
    size_t len = 0;
    const char *a = crego_string(crego_at(crego_get(v, "set", 3), 0), &len);
    CHECK(a != NULL && len == 1 && a[0] == 'a');
    crego_value key, val;
    CHECK(crego_pair(v, 1, &key, &val) && crego_kind_of(val) == CREGO_KIND_NULL &&
          !crego_pair(v, 3, &key, &val));
    char *json = NULL;
    CHECK(crego_to_json(v, &json, &len) == CREGO_OK);
    CHECK(strcmp(json, "{\"list\":[1,2.50],\"none\":null,\"set\":[\"a\",\"b\"]}") == 0 &&
          len == strlen(json));
    crego_free(json);

    CHECK(crego_ctx_set_input_json(ctx, "{\"x\": 5}", 8) == CREGO_OK);
    crego_ctx_set_trace(ctx, true);
    CHECK(crego_eval(ctx, p, "data.p.allow", &v) == CREGO_UNDEFINED &&
          crego_kind_of(v) == CREGO_KIND_NONE);
    crego_miss miss;
    CHECK(crego_ctx_miss(ctx, 0, &miss) &&
          strncmp(miss.left_path, "/input/x", miss.left_path_len) == 0);
    CHECK(crego_get_int64(miss.left, &n) && n == 5 && !crego_ctx_miss(ctx, 1, &miss));
    static const char query[] = "x := data.p.doubled + 1";
    CHECK(crego_eval_query(ctx, p, query, strlen(query), &v) == CREGO_OK && crego_len(v) == 1);
    crego_ctx_free(ctx);
    crego_policy_unref(p);
}

static void test_errors(void)
{
    crego_compiler *c = NULL;
    crego_policy *p = NULL;
    crego_error e;
    CHECK(crego_compiler_new(NULL, &c) == CREGO_OK);
    CHECK(crego_compiler_function(c, "twice", "(number) number", true, twice) == CREGO_OK);
    CHECK(crego_compiler_add(c, "p.rego", policy, strlen(policy)) == CREGO_OK);
    CHECK(crego_compiler_function(c, "late", "() any", true, twice) == CREGO_INTERNAL);
    CHECK(crego_compiler_finish(c, &p) == CREGO_INVALID);
    CHECK(crego_compiler_error(c, 0, &e) && strcmp(e.code, "rego_type_error") == 0 && e.row == 9);
    CHECK(!crego_compiler_error(c, 10, &e));
    crego_compiler_free(c);

    const crego_options late = {.size = sizeof(late), .deadline_ns = 1};
    CHECK(crego_compiler_new(&late, &c) == CREGO_OK);
    CHECK(crego_compiler_add(c, "p.rego", policy, strlen(policy)) == CREGO_OK);
    CHECK(crego_compiler_finish(c, &p) == CREGO_CANCELLED);
    CHECK(crego_compiler_error(c, 0, &e) && strcmp(e.code, "rego_compile_error") == 0);
    crego_compiler_free(c);

    p = compile(
        "package p\n\nr := {k: v | some k, v in input.l}\n\ns := count(numbers.range(1, 1000))\n");
    crego_limits limits = {.size = sizeof(limits), .steps = 100};
    crego_ctx *ctx = NULL;
    crego_value v;
    CHECK(crego_ctx_new(&limits, &ctx) == CREGO_OK);
    CHECK(crego_ctx_set_input_json(ctx, "{", 1) == CREGO_INVALID);
    crego_ctx_error(ctx, &e);
    CHECK(strcmp(e.code, "json_error") == 0 && e.message_len > 0);
    CHECK(crego_eval(ctx, p, "data.p.s", &v) == CREGO_LIMIT);
    crego_ctx_error(ctx, &e);
    CHECK(strcmp(e.code, "eval_cancel_error") == 0);
    CHECK(crego_eval_query(ctx, p, "x", 1, &v) == CREGO_INVALID);
    crego_ctx_free(ctx);
    crego_policy_unref(p);
    crego_ctx_free(NULL);
    crego_policy_unref(NULL);
    crego_data_unref(NULL);
}

static void test_claims(void)
{
    static const char names[] = "{\"snp\": {\"measurement\": true}, \"more\": {\"*\": true}}";
    static const char text[] = "package p\n\na := input.snp.mesurement\n\nb := input.more.x.y\n";
    crego_compiler *c = NULL;
    crego_policy *p = NULL;
    crego_error e;
    CHECK(crego_compiler_new(NULL, &c) == CREGO_OK);
    CHECK(crego_compiler_claims(c, "[]", 2) == CREGO_INVALID);
    CHECK(crego_compiler_claims(c, names, strlen(names)) == CREGO_OK);
    CHECK(crego_compiler_add(c, "p.rego", text, strlen(text)) == CREGO_OK);
    CHECK(crego_compiler_claims(c, names, strlen(names)) == CREGO_INTERNAL);
    CHECK(crego_compiler_finish(c, &p) == CREGO_OK);
    CHECK(crego_compiler_warning(c, 0, &e) && e.row == 3 &&
          strstr(e.message, "did you mean \"measurement\"") != NULL);
    CHECK(!crego_compiler_warning(c, 1, &e) && !crego_compiler_error(c, 0, &e));
    crego_compiler_free(c);
    crego_policy_unref(p);
}

struct worker {
    pthread_t thread;
    crego_policy *p;
    int wrong;
};

static void *work(void *user)
{
    struct worker *w = user;
    crego_ctx *ctx = NULL;
    if (crego_ctx_new(NULL, &ctx) != CREGO_OK)
        return NULL;
    int calls = 0;
    crego_ctx_set_user(ctx, &calls);
    for (int i = 0; i < 2000; i++) {
        char input[32];
        crego_value v;
        int64_t n = 0;
        snprintf(input, sizeof(input), "{\"x\": %d}", i);
        w->wrong += crego_ctx_set_input_json(ctx, input, strlen(input)) != CREGO_OK;
        w->wrong += crego_eval(ctx, w->p, "data.p.doubled", &v) != CREGO_OK;
        w->wrong += !crego_get_int64(v, &n) || n != 2 * i;
    }
    crego_ctx_free(ctx);
    return NULL;
}

static crego_outcome gives_nothing(crego_call *call, const crego_value *args, crego_value *out)
{
    (void)args;
    *out = crego_make_json(call, "{", 1);
    return CREGO_GIVE_VALUE;
}

static crego_outcome gives_zero(crego_call *call, const crego_value *args, crego_value *out)
{
    (void)args;
    crego_value zero = {0};
    *out = crego_make_array(call, &zero, 1);
    if (crego_kind_of(*out) == CREGO_KIND_NONE)
        *out = zero;
    return CREGO_GIVE_VALUE;
}

static void test_registering(void)
{
    static const struct {
        const char *name, *type;
        crego_status want;
    } rows[] = {
        {"f", "(number) number", CREGO_OK},
        {"f", "(string) number", CREGO_INVALID}, /* there is one */
        {"a.b_1.c", "(string, any<null, boolean>) [number, string]", CREGO_OK},
        {"count", "(object[string: array[number]]) set[any]", CREGO_OK},
        {"none", "()", CREGO_OK},
        {"g", "number", CREGO_INVALID},
        {"g", "(nubmer) number", CREGO_INVALID},
        {"g", "(number) number x", CREGO_INVALID},
        {"g", "(number", CREGO_INVALID},
        {"g", "(array[]) any", CREGO_INVALID},
        {"g", "(any<>) any", CREGO_INVALID},
        {"g", "(set[number, string]) any", CREGO_INVALID},
        {"g", "([[[[[[[[[[[[[[[[[[[[any]]]]]]]]]]]]]]]]]]]]) any", CREGO_INVALID},
        {"", "() any", CREGO_INVALID},
        {"a b", "() any", CREGO_INVALID},
        {"a.", "() any", CREGO_INVALID},
        {".a", "() any", CREGO_INVALID},
        {"1a", "() any", CREGO_INVALID},
    };
    crego_compiler *c = NULL;
    CHECK(crego_compiler_new(NULL, &c) == CREGO_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_ROW(crego_compiler_function(c, rows[i].name, rows[i].type, true, twice) ==
                      rows[i].want,
                  rows[i].type);
    crego_compiler_free(c);
}

/* What a host forgets to set is no value, and no pointer that is followed. */
static void test_no_values(void)
{
    static const char text[] = "package p\n\na := nothing()\n\nb := zero()\n\nc := input\n";
    static const char *const paths[] = {"data.p.a", "data.p.b", "data.p.c"};
    crego_compiler *c = NULL;
    crego_policy *p = NULL;
    crego_ctx *ctx = NULL;
    crego_value v = {0};
    crego_value key, val;
    crego_error e;
    char number[8];
    int64_t n;
    CHECK(crego_kind_of(v) == CREGO_KIND_NONE && crego_len(v) == 0 && !crego_is_true(v));
    CHECK(!crego_get_int64(v, &n) && crego_number_text(v, number, sizeof(number)) == 0);
    CHECK(crego_string(v, NULL) == NULL && crego_kind_of(crego_at(v, 0)) == CREGO_KIND_NONE);
    CHECK(!crego_pair(v, 0, &key, &val) && crego_compare(v, v) == 0);
    CHECK(crego_kind_of(crego_get(v, "x", 1)) == CREGO_KIND_NONE);
    CHECK(crego_compiler_new(NULL, &c) == CREGO_OK);
    CHECK(crego_compiler_function(c, "nothing", "() any", false, gives_nothing) == CREGO_OK);
    CHECK(crego_compiler_function(c, "zero", "() any", false, gives_zero) == CREGO_OK);
    CHECK(crego_compiler_add(c, "p.rego", text, strlen(text)) == CREGO_OK);
    CHECK(crego_compiler_finish(c, &p) == CREGO_OK);
    crego_compiler_free(c);
    CHECK(crego_ctx_new(NULL, &ctx) == CREGO_OK);
    crego_ctx_set_input(ctx, v);
    for (size_t i = 0; i < 3; i++)
        CHECK_ROW(crego_eval(ctx, p, paths[i], &v) == CREGO_UNDEFINED, paths[i]);
    crego_ctx_set_strict_errors(ctx, true);
    for (size_t i = 0; i < 2; i++) {
        CHECK_ROW(crego_eval(ctx, p, paths[i], &v) == CREGO_INVALID, paths[i]);
        crego_ctx_error(ctx, &e);
        CHECK_ROW(strcmp(e.code, "eval_builtin_error") == 0, paths[i]);
    }
    crego_ctx_free(ctx);
    crego_policy_unref(p);
}

/* A forgotten size would leave the limits out, and nobody would know. */
static void test_sizes(void)
{
    struct {
        crego_limits known;
        size_t newer;
    } more = {{.size = sizeof(more), .steps = 5}, 0};
    const crego_limits forgotten = {.steps = 5};
    const crego_options options = {.strict = true};
    const crego_options version = {.size = sizeof(version), .version = (crego_version)7};
    crego_compiler *c = NULL;
    crego_ctx *ctx = NULL;
    CHECK(crego_ctx_new(&forgotten, &ctx) == CREGO_INTERNAL && ctx == NULL);
    CHECK(crego_compiler_new(&options, &c) == CREGO_INTERNAL && c == NULL);
    CHECK(crego_compiler_new(&version, &c) == CREGO_INTERNAL && c == NULL);
    CHECK(crego_ctx_new(&more.known, &ctx) == CREGO_OK);
    CHECK(crego_ctx_set_limits(ctx, &forgotten) == CREGO_INTERNAL);
    more.newer = 1; /* a newer host wants what this library does not have */
    CHECK(crego_ctx_set_limits(ctx, &more.known) == CREGO_INTERNAL);
    crego_ctx_free(ctx);
}

static void test_threads(void)
{
    struct worker workers[4] = {0};
    crego_policy *p = compile("package p\n\ndoubled := twice(input.x)\n");
    for (size_t i = 0; i < 4; i++) {
        workers[i].p = crego_policy_ref(p);
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    crego_policy_unref(p);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        CHECK(workers[i].wrong == 0);
        crego_policy_unref(workers[i].p);
    }
}

int main(void)
{
    test_evaluating();
    test_errors();
    test_claims();
    test_threads();
    test_registering();
    test_sizes();
    test_no_values();
    CHECK(crego_version_text()[0] != '\0');
    return tap_done();
}
