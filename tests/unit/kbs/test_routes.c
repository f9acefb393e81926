/*
 * Every route without credentials, with a wrong key, an expired token, a token
 * for another purpose: each has a declared answer.
 */
#include <stdio.h>

#include "kbs/kbs_internal.h"
#include "value/json.h"
#include "world.h"
#include "tap.h"

#define NOW 1787277031 /* 2026-08-21T01:50:31Z */

static const char new_config[] =
    "[http_server]\ninsecure_http = true\n"
    "[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n"
    "[[admin.authentication.bearer_jwt.identity_providers]]\n"
    "public_key_uri = \"@DIR@/admin.pub\"\nissuer = \"us\"\naudience = \"kbs\"\n"
    "[[admin.authorization.regex_acl.acls]]\nrole = \"admin\"\nallowed_endpoints = "
    "\"^/kbs/v0/.*$\"\n"
    "[[admin.authorization.regex_acl.acls]]\nrole = \"team-a\"\n"
    "allowed_endpoints = \"^/kbs/v0/resource/team-a/.*$\"\n"
    "[[admin.authorization.regex_acl.acls]]\nrole = \"odd\"\n"
    "allowed_endpoints = \"^/kbs/v0/resource-policy|/x$\"\n"
    "[[admin.authorization.regex_acl.acls]]\nrole = \"wide\"\n"
    "allowed_endpoints = \"^/kbs/v0/[^/]+/team-a/.*$\"\n"
    "[attestation_service]\ntype = \"coco_as_builtin\"\n"
    "[attestation_service.verifier_config.sample_verifier]\n"
    "[[plugins]]\nname = \"resource\"\n[[plugins]]\nname = \"sample\"\nitem = \"x\"\n";

static const char old_config[] =
    "[http_server]\ninsecure_http = true\n"
    "[admin]\nauth_public_key = \"@DIR@/admin.pub\"\n"
    "[attestation_token]\ninsecure_key = true\n"
    "[attestation_service]\ntype = \"coco_as_builtin\"\n"
    "[attestation_service.verifier_config.sample_verifier]\n"
    "[attestation_service.attestation_token_broker]\ntype = \"Ear\"\npolicy_dir = \"@DIR@/as\"\n"
    "[attestation_service.rvps_config]\ntype = \"BuiltIn\"\n"
    "[attestation_service.rvps_config.storage]\ntype = \"LocalJson\"\nfile_path = "
    "\"@DIR@/rv.json\"\n"
    "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndir_path = \"@DIR@/repo\"\n"
    "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n";

/* Credentials that a row can name. */
enum credential {
    NOBODY,
    GARBAGE,     /* a header that is no bearer token */
    WRONG_KEY,   /* signed by a stranger */
    EXPIRED,     /* the right key, an hour too late */
    ANOTHER_USE, /* the right key, for another audience */
    TEAM_A,      /* the right key, a role for other paths */
    ADMIN,
    CREDENTIALS,
};
static const char *const credential_names[] = {"nobody",      "garbage", "wrong key", "expired",
                                               "another use", "team a",  "admin"};

static struct str headers_of(struct world *w, enum credential c)
{
    static const char *const claims[CREDENTIALS] = {
        [WRONG_KEY] =
            "{\"exp\":1787277131,\"role\":\"admin\",\"iss\":\"us\",\"aud\":[\"x\",\"kbs\"]}",
        [EXPIRED] = "{\"exp\":1787273431,\"role\":\"admin\",\"iss\":\"us\",\"aud\":\"kbs\"}",
        [ANOTHER_USE] = "{\"exp\":1787277131,\"role\":\"admin\",\"iss\":\"us\",\"aud\":\"else\"}",
        [TEAM_A] = "{\"exp\":1787277131,\"role\":\"team-a\",\"iss\":\"us\",\"aud\":\"kbs\"}",
        [ADMIN] = "{\"exp\":1787277131,\"role\":\"admin\",\"iss\":\"us\",\"aud\":[\"x\",\"kbs\"]}",
    };
    if (c == NOBODY)
        return STR_EMPTY;
    if (c == GARBAGE)
        return STR("Authorization: Basic YTpi\n");
    struct str bearer = world_bearer(w, c == WRONG_KEY ? "stranger" : "admin", claims[c]);
    return arena_format(&w->arena, "Authorization: %.*s\n", STR_ARG(bearer));
}

static bool error_is(const struct answer *a, const char *variant)
{
    char want[128];
    snprintf(want, sizeof(want),
             "{\"type\":\"https://github.com/confidential-containers/kbs/errors/%s\",", variant);
    return str_has_prefix(a->body, str_of(want));
}

/* Answers by credential: status, and for errors the variant. */
struct route {
    const char *method, *target, *body;
    const char *variant;     /* of refusals */
    int status[CREDENTIALS]; /* 0: not asked */
    bool public;             /* no decision, no credentials */
};

static const struct route routes[] = {
    /* administration: 401 to all but the administrator */
    {"GET",
     "/kbs/v0/resource-policy",
     "",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"POST",
     "/kbs/v0/resource-policy",
     "{\"policy\":\"cGFja2FnZSBwb2xpY3k\"}",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"POST",
     "/kbs/v0/attestation-policy",
     "{\"type\":\"rego\",\"policy_id\":\"x\",\"policy\":"
     "\"cGFja2FnZSBwb2xpY3kKdHJ1c3RfY2xhaW1zIDo9IHsiaGFyZHdhcmUiOiAyfQ\"}",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"POST",
     "/kbs/v0/reference-value",
     "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"eyJhIjoxfQ==\"}",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"GET",
     "/kbs/v0/reference-value/a",
     "",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"GET",
     "/kbs/v0/reference-value",
     "",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"POST",
     "/kbs/v0/resource/r/t/k",
     "secret",
     "AdminAuthInitialization",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"POST",
     "/kbs/v0/resource/team-a/t/k",
     "secret",
     "AdminAuthInitialization",
     {401, 401, 401, 401, 401, 200, 200},
     false},
    {"DELETE",
     "/kbs/v0/resource/r/t/k",
     "",
     "AdminAuthInitialization",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"GET",
     "/kbs/v0/sample/x",
     "",
     "AdminAuthInitialization",
     {401, 401, 401, 401, 401, 401, 200},
     false},
    {"GET",
     "/kbs/v0/decision/0123456789abcdef0123456789abcdef",
     "",
     "AdminAuthAccess",
     {401, 401, 401, 401, 401, 401, 404},
     false},
    /* resources: an administrator's token opens none */
    {"GET", "/kbs/v0/resource/r/t/k", "", "TokenNotFound", {401, 401, 0, 0, 0, 0, 0}, false},
    {"GET",
     "/kbs/v0/resource/r/t/k",
     "",
     "TokenVerifierError",
     {0, 0, 401, 401, 401, 401, 401},
     false},
    {"PUT", "/kbs/v0/resource/r/t/k", "x", "TokenNotFound", {401, 401, 0, 0, 0, 0, 0}, false},
    /* the protocol: no credentials, but a body and a cookie */
    {"POST",
     "/kbs/v0/attest",
     "{}",
     "AttestationError",
     {401, 401, 401, 401, 401, 401, 401},
     false},
    {"POST", "/kbs/v0/auth", "{}", "AttestationError", {401, 401, 401, 401, 401, 401, 401}, false},
    /* what there is not */
    {"GET", "/kbs/v0/auth", "", "PluginNotFound", {404, 404, 404, 404, 404, 404, 404}, false},
    {"GET", "/kbs/v0/nothing/x", "", "PluginNotFound", {404, 404, 404, 404, 404, 404, 404}, false},
    /* open to all */
    {"GET", "/healthz", "", NULL, {200, 200, 200, 200, 200, 200, 200}, true},
    {"GET", "/metrics", "", NULL, {200, 200, 200, 200, 200, 200, 200}, true},
    {"POST", "/metrics", "", NULL, {405, 405, 405, 405, 405, 405, 405}, true},
    {"POST", "/healthz", "", NULL, {404, 404, 404, 404, 404, 404, 404}, true},
    {"GET", "/", "", NULL, {404, 404, 404, 404, 404, 404, 404}, true},
    {"GET", "/kbs/v0", "", NULL, {404, 404, 404, 404, 404, 404, 404}, true},
    {"PATCH", "/kbs/v0/resource/r/t/k", "", NULL, {405, 405, 405, 405, 405, 405, 405}, true},
    {"OPTIONS", "/kbs/v0/resource/r/t/k", "", NULL, {405, 405, 405, 405, 405, 405, 405}, true},
    {"HEAD", "/kbs/v0/resource/r/t/k", "", NULL, {405, 405, 405, 405, 405, 405, 405}, true},
};

static void test_table(struct world *w)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const struct route *route = &routes[i];
        for (enum credential c = NOBODY; c < CREDENTIALS; c++) {
            if (route->status[c] == 0)
                continue;
            char row[256];
            snprintf(row, sizeof(row), "%s %s, %s", route->method, route->target,
                     credential_names[c]);
            struct answer a = world_send(w, route->method, route->target, headers_of(w, c).ptr,
                                         str_of(route->body));
            if (!CHECK_ROW(a.status == route->status[c], row))
                printf("# got %d %.*s\n", a.status, STR_ARG(a.body));
            bool refused = a.status == 401 || (a.status == 404 && route->variant != NULL);
            bool decision_lookup = route->status[c] == 404 && c == ADMIN && i == 10;
            if (refused && !decision_lookup)
                CHECK_ROW(error_is(&a, route->variant), row);
            CHECK_ROW((a.decision.len == 32) == !route->public, row);
            if (a.status == 405 && !str_is(str_of(route->target), "/metrics"))
                CHECK_STR_ROW(answer_header(&a, "Allow"), STR("GET, POST, PUT, DELETE"), row);
            /* README 10: the id is the last member of the error. */
            if (refused) {
                struct str tail =
                    arena_format(&w->arena, "\"decision_id\":\"%.*s\"}", STR_ARG(a.decision));
                CHECK_ROW(str_has_suffix(a.body, tail), row);
                CHECK_ROW(answer_header(&a, "Content-Type").len == 0, row);
            }
        }
    }
}

/* README 7: refused before any token is looked at. */
static void test_paths(struct world *w)
{
    static const char *const bad[] = {
        "/kbs/v0/resource//a/b/c",    "/kbs/v0/resource/a/../b/c",   "/kbs/v0/resource/./a/b",
        "/kbs/v0/resource/a%2Fb/c/d", "/kbs/v0/resource/%2e%2e/b/c", "/kbs/v0/resource/a/b/c/",
        "/kbs/v0/resource/a%00/b/c",  "/kbs/v0//resource/a/b/c",     "/kbs/v0/resource/%zz/b/c",
        "/kbs/v0/resource/%ff/b/c",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct answer a = world_send(w, "GET", bad[i], headers_of(w, ADMIN).ptr, STR_EMPTY);
        CHECK_ROW(a.status == 404 && error_is(&a, "InvalidRequestPath"), bad[i]);
        CHECK_ROW(a.decision.len == 32, bad[i]);
    }
    struct answer a = world_send(w, "GET", "/kbs/v0/", NULL, STR_EMPTY);
    CHECK(a.status == 404 && error_is(&a, "PluginNotFound"));
    CHECK(strstr(a.body.ptr, "Plugin  not found") != NULL);
}

/* kbs.md 7.2, and the list of section 14. */
static void test_resource_names(struct world *w)
{
    const struct {
        const char *path;
        int status;
    } rows[] = {
        {"default/1/2", 200},
        {"repo/type/tag", 200},
        {"123--_default/1Abff-_/___-afds44BC", 200},
        {"1.ok/2ok./3...", 200},
        {"1/2", 401},
        {".1.ok/2ok./3...", 401},
        {"1.ok/.2ok./3...", 401},
        {"1.ok/2ok./.3...", 401},
        {"a/b/c/d", 401},
        {"a/b@/c", 401},
        {"a/b/c%20d", 401},
        {"a/b/c%3F", 401},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str target = arena_format(&w->arena, "/kbs/v0/resource/%s", rows[i].path);
        struct answer a = world_send(w, "POST", target.ptr, headers_of(w, ADMIN).ptr, STR("x"));
        CHECK_ROW(a.status == rows[i].status, rows[i].path);
        CHECK_ROW(rows[i].status == 200 || error_is(&a, "PluginInternalError"), rows[i].path);
    }
}

/* HARDEN kbs-9: the query is no part of what a pattern sees, and a pattern has to span the path. */
static void test_patterns(struct world *w)
{
    struct str team = headers_of(w, TEAM_A);
    struct answer a = world_send(w, "POST", "/kbs/v0/resource/team-b/x/y?/resource/team-a/k/v",
                                 team.ptr, STR("x"));
    CHECK(a.status == 401 && error_is(&a, "AdminAuthInitialization"));
    a = world_send(w, "POST", "/kbs/v0/resource/team-a/x/y?a=b", team.ptr, STR("x"));
    CHECK(a.status == 401 && error_is(&a, "PluginInternalError"));
    a = world_send(w, "POST", "/kbs/v0/resource/%74eam-a/x/y", team.ptr, STR("x"));
    CHECK(a.status == 200); /* the canonical path is the same */

    struct str bearer = world_bearer(
        w, "admin", "{\"exp\":1787277131,\"role\":\"odd\",\"iss\":\"us\",\"aud\":\"kbs\"}");
    struct str odd = arena_format(&w->arena, "Authorization: %.*s\n", STR_ARG(bearer));
    a = world_send(w, "POST", "/kbs/v0/resource/a/b/x", odd.ptr, STR("x"));
    CHECK(a.status == 401);
    CHECK(strstr(a.body.ptr, "Role odd not allowed for path /kbs/v0/resource/a/b/x") != NULL);

    /* Segments that a built-in ignores are ignored by the pattern, too; those that it uses count.
     */
    static const struct {
        const char *method, *target, *variant;
    } wide[] = {
        {"POST", "/kbs/v0/resource-policy/team-a/x", "AdminAuthAccess"},
        {"GET", "/kbs/v0/resource-policy/team-a/x", "AdminAuthAccess"},
        {"POST", "/kbs/v0/attestation-policy/team-a/x", "AdminAuthAccess"},
        {"POST", "/kbs/v0/reference-value/team-a/x", "AdminAuthAccess"},
        {"GET", "/kbs/v0/reference-value/team-a/x", "RvpsError"},
        {"GET", "/kbs/v0/reference-value/team-b/x", "AdminAuthAccess"},
    };
    bearer = world_bearer(w, "admin",
                          "{\"exp\":1787277131,\"role\":\"wide\",\"iss\":\"us\",\"aud\":\"kbs\"}");
    struct str header = arena_format(&w->arena, "Authorization: %.*s\n", STR_ARG(bearer));
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        a = world_send(w, wide[i].method, wide[i].target, header.ptr, STR("{}"));
        CHECK_ROW(a.status == 401 && error_is(&a, wide[i].variant), wide[i].target);
    }

    bearer = world_bearer(w, "admin", "{\"exp\":1787277131,\"iss\":\"us\",\"aud\":\"kbs\"}");
    struct str none = arena_format(&w->arena, "Authorization: %.*s\n", STR_ARG(bearer));
    a = world_send(w, "GET", "/kbs/v0/resource-policy", none.ptr, STR_EMPTY);
    CHECK(a.status == 401 && strstr(a.body.ptr, "Missing required `role` claim in JWT") != NULL);
}

static struct answer auth(struct world *w, const char *version, const char *tee)
{
    struct str body = arena_format(
        &w->arena, "{\"version\":\"%s\",\"tee\":\"%s\",\"extra-params\":\"\"}", version, tee);
    return world_send(w, "POST", "/kbs/v0/auth", NULL, body);
}

/* kbs.md 3.2, 3.3: versions and names. */
static void test_auth(struct world *w)
{
    const struct {
        const char *version, *tee, *error; /* error NULL: accepted */
    } rows[] = {
        {"0.1.1", "sample", NULL},
        {"0.2.0", "azsnpvtpm", NULL},
        {"0.4.0", "az-snp-vtpm", NULL},
        {"0.4.0+build.7", "tdx", NULL},
        {"0.4.0", "tpm", NULL},
        {"0.4.0-rc1", "sample",
         "KBS Client Protocol Version Mismatch: expect =0.1.1, =0.2.0, =0.4.0 while the request is "
         "0.4.0-rc1"},
        {"0.1.0", "sample",
         "KBS Client Protocol Version Mismatch: expect =0.1.1, =0.2.0, =0.4.0 while the request is "
         "0.1.0"},
        {"0.3.0", "sample", "KBS Client Protocol Version Mismatch"},
        {"0.4", "sample", "failed to parse KBS version"},
        {"v0.4.0", "sample", "failed to parse KBS version"},
        {"00.4.0", "sample", "failed to parse KBS version"},
        {"0.4.0", "SAMPLE", "deserialize Request"},
        {"0.4.0", "nothing", "deserialize Request"},
        /* HARDEN kbs-2: devices are no TEE of their own */
        {"0.4.0", "nvidia", "deserialize Request"},
        {"0.4.0", "sampledevice", "deserialize Request"},
        {"0.4.0", "hygondcu", "deserialize Request"},
        {"0.4.0", "nvidia-dpu", "deserialize Request"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = auth(w, rows[i].version, rows[i].tee);
        char row[128];
        snprintf(row, sizeof(row), "%s %s", rows[i].version, rows[i].tee);
        if (rows[i].error == NULL) {
            CHECK_ROW(a.status == 200 && a.cookie.len > 32 && a.decision.len == 0, row);
            CHECK_ROW(str_has_prefix(a.body, STR("{\"nonce\":\"")) &&
                          str_has_suffix(a.body, STR("\",\"extra-params\":\"\"}")),
                      row);
            CHECK_STR_ROW(answer_header(&a, "Content-Type"), STR("application/json"), row);
            CHECK_ROW(strstr(a.headers.ptr, "Expires=Fri, 21 Aug 2026 01:55:31 GMT; Max-Age=300") !=
                          NULL,
                      row);
        } else {
            struct str want = arena_format(
                &w->arena, "\"detail\":\"Attestation error: RCAR handshake Auth failed: %s",
                rows[i].error);
            CHECK_ROW(a.status == 401 && error_is(&a, "AttestationError"), row);
            CHECK_ROW(strstr(a.body.ptr, want.ptr) != NULL, row);
        }
    }
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\"}",
        "{\"version\":1,\"tee\":\"sample\",\"extra-params\":\"\"}",
        "{\"version\":\"0.4.0\",\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":\"\"}",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":\"\"} x",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct answer a = world_send(w, "POST", "/kbs/v0/auth", NULL, str_of(bad[i]));
        CHECK_ROW(a.status == 401 && strstr(a.body.ptr, "deserialize Request") != NULL, bad[i]);
    }
    /* Thirteen nonces in a row differ, and each has 44 characters. */
    struct str nonces[13];
    bool distinct = true;
    for (size_t i = 0; i < 13; i++) {
        struct answer a = auth(w, "0.4.0", "sample");
        value v;
        CHECK_ROW(json_parse(&w->arena, a.body, NULL, &v, NULL) == OK, "nonce");
        nonces[i] = value_str(value_get_lit(v, "nonce"));
        distinct &= nonces[i].len == 44;
        for (size_t k = 0; k < i; k++)
            distinct &= !str_equal(nonces[i], nonces[k]);
    }
    CHECK(distinct);
}

/* The old era's spellings of the same refusals. */
static void test_old_era(void)
{
    struct world w = {.dir = ""};
    struct error err = ERROR_INIT;
    if (!CHECK(world_start(&w, old_config, NOW, &err))) {
        printf("# %s\n", err.text);
        return;
    }
    world_make_key(&w, "stranger");
    struct answer a = world_send(&w, "POST", "/kbs/v0/resource-policy", NULL, STR("{}"));
    CHECK(a.status == 401 && error_is(&a, "AdminAuth"));
    CHECK(strstr(a.body.ptr,
                 "\"detail\":\"Admin auth error: Failed to parse HTTP Auth Bearer header\"") !=
          NULL);
    a = world_send(&w, "POST", "/kbs/v0/resource/a/b/c", headers_of(&w, WRONG_KEY).ptr, STR("x"));
    CHECK(a.status == 401 && error_is(&a, "AdminAuth"));
    CHECK(strstr(a.body.ptr, "Admin auth error: Admin Token verification failed") != NULL);
    value d = world_decision(&w, a.decision);
    CHECK_STR(value_str(value_get_lit(d, "check")), STR("admin-key"));
    CHECK_STR(value_str(value_get_lit(d, "kind")), STR("admin"));
    CHECK_STR(value_str(value_get_lit(d, "outcome")), STR("denied"));
    CHECK_STR(value_str(value_get_lit(d, "path")), STR("/kbs/v0/resource/a/b/c"));
    char target[DECISION_PATH_MAX + 2] = "/kbs/v0/resource/a/b/";
    for (int over = 0; over < 2; over++) { /* as long as it may be, and one more */
        for (size_t i = strlen(target); i < DECISION_PATH_MAX + (size_t)over; i++)
            target[i] = 'x';
        a = world_send(&w, "POST", target, headers_of(&w, WRONG_KEY).ptr, STR("x"));
        value path = value_get_lit(world_decision(&w, a.decision), "path");
        CHECK(over ? !value_is_defined(path) : str_equal(value_str(path), str_of(target)));
    }

    /* 6.2: no claim is required, times have 900 s of leeway. */
    const struct {
        const char *claims;
        int status;
    } rows[] = {
        {"{}", 200},
        {"{\"exp\":1787276200}", 200},
        {"{\"exp\":1787276100}", 401},
        {"{\"nbf\":1787277900}", 200},
        {"{\"nbf\":1787278000}", 401},
        {"{\"aud\":\"x\",\"iss\":\"y\"}", 200},
        {"{\"exp\":\"soon\"}", 401},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str bearer = world_bearer(&w, "admin", rows[i].claims);
        struct str h = arena_format(&w.arena, "Authorization: %.*s\n", STR_ARG(bearer));
        a = world_send(&w, "POST", "/kbs/v0/resource/a/b/c", h.ptr, STR("x"));
        CHECK_ROW(a.status == rows[i].status, rows[i].claims);
    }

    struct str bearer = world_bearer(&w, "admin", "{}");
    struct str admin = arena_format(&w.arena, "Authorization: %.*s\n", STR_ARG(bearer));
    a = world_send(&w, "GET", "/kbs/v0/resource-policy", admin.ptr, STR_EMPTY);
    CHECK(a.status == 200);
    CHECK_STR(answer_header(&a, "Content-Type"), STR("text/xml"));
    a = world_send(&w, "POST", "/kbs/v0/resource-policy", admin.ptr, STR("{\"policy\":\"!\"}"));
    CHECK(a.status == 401 && error_is(&a, "PolicyEngine"));
    CHECK(strstr(a.body.ptr, "\"detail\":\"Policy engine error\"") != NULL);
    a = world_send(&w, "GET", "/kbs/v0/", NULL, STR_EMPTY);
    CHECK(a.status == 404 && a.body.len == 0);
    world_stop(&w);
}

/* A policy that does not compile is refused and the old one stays (README 4). */
static void test_policy(struct world *w)
{
    const struct {
        const char *body, *variant, *text;
    } rows[] = {
        {"x", "ParsePolicyError", "Failed to parse policy: Illegal SetPolicy Request Json"},
        {"[]", "ParsePolicyError", "No `policy` field inside SetPolicy Request Json"},
        {"{\"policy\":1}", "ParsePolicyError",
         "`policy` field is not a string in SetPolicy Request Json"},
        {"{\"policy\":\"a=\"}", "ParsePolicyError", "Failed to decode policy: "},
        /* "package policy\nallow if {" */
        {"{\"policy\":\"cGFja2FnZSBwb2xpY3kKYWxsb3cgaWYgew\"}", "PolicyEngineError",
         "Policy engine error: Failed to load policy: "},
        /* "package policy\nallow if http.send({}).x" (README 18) */
        {"{\"policy\":\"cGFja2FnZSBwb2xpY3kKYWxsb3cgaWYgaHR0cC5zZW5kKHt9KS54\"}",
         "PolicyEngineError", "http.send"},
        /* "allow := true" without a package */
        {"{\"policy\":\"YWxsb3cgOj0gdHJ1ZQ\"}", "PolicyEngineError", "Failed to load policy"},
    };
    struct str admin = headers_of(w, ADMIN);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a =
            world_send(w, "POST", "/kbs/v0/resource-policy", admin.ptr, str_of(rows[i].body));
        if (!CHECK_ROW(a.status == 401 && error_is(&a, rows[i].variant), rows[i].body))
            printf("# %d %.*s\n", a.status, STR_ARG(a.body));
        CHECK_ROW(strstr(a.body.ptr, rows[i].text) != NULL, rows[i].body);
    }
    struct answer a = world_send(w, "GET", "/kbs/v0/resource-policy", admin.ptr, STR_EMPTY);
    CHECK_STR(a.body, STR("[\"resource-policy\"]"));
}

/* No secret's name and no path is a label. */
static void test_metrics(struct world *w)
{
    struct answer a = world_send(w, "GET", "/metrics", NULL, STR_EMPTY);
    CHECK(strstr(a.body.ptr, "kbs_resource_writes_total{resource_path=\"*\"}") != NULL);
    CHECK(strstr(a.body.ptr, "team-a") == NULL && strstr(a.body.ptr, "repo") == NULL);
    CHECK(strstr(a.body.ptr, "kbs_http_request_duration_seconds_bucket{le=\"+Inf\"}") != NULL);
    CHECK(answer_header(&a, "Content-Type").len == 0);
}

static void write_anchor(struct world *w)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, 10000);
    CHECK(privkey_generate(KEY_EC_P256, 0, &key, NULL) == OK);
    CHECK(pubkey_to_pem(privkey_public(key), &pem) == OK);
    buf_add_byte(&pem, '\0');
    world_write(w, "anchors/intel-sgx-root-ca.pem", pem.ptr);
}

/* A reload keeps the attestation service, but not with an anchor that was replaced. */
static void test_replaced_anchor(void)
{
    struct world w;
    struct error err = ERROR_INIT;
    world_prepare(&w, new_config, NOW);
    write_anchor(&w);
    char dir[8192];
    snprintf(dir, sizeof(dir), "%s/anchors", w.dir);
    w.anchors[0] = dir;
    if (!CHECK(world_run(&w, &err))) {
        printf("# %s\n", err.text);
        return;
    }
    const struct attestation_service *first = w.kbs->state->attestation;
    CHECK(kbs_reload(w.kbs, NULL, NULL, NULL) == OK && w.kbs->state->attestation == first);
    write_anchor(&w);
    CHECK(kbs_reload(w.kbs, NULL, NULL, NULL) == OK && w.kbs->state->attestation != first);
    world_stop(&w);
}

/* Nor with a token key that was replaced: tokens under the old one are no longer ours. */
static void test_replaced_token_key(void)
{
    static const char config[] =
        "[http_server]\ninsecure_http = true\n[admin]\ninsecure_api = true\n"
        "[attestation_service]\ntype = \"coco_as_builtin\"\n"
        "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n"
        "[attestation_service.attestation_token_broker]\n"
        "signer = { key_path = \"@DIR@/token.key\" }\n";
    struct world w;
    struct error err = ERROR_INIT;
    world_prepare(&w, config, NOW);
    for (int i = 0; i < 2; i++) {
        CLEANUP(privkey_cleanup) struct privkey *key = NULL;
        CLEANUP(buf_done) struct buf pem;
        buf_init_secret(&pem, 10000);
        CHECK(privkey_generate(KEY_EC_P256, 0, &key, NULL) == OK);
        CHECK(privkey_to_pem(key, &pem) == OK);
        buf_add_byte(&pem, '\0');
        world_write(&w, "token.key", pem.ptr);
        if (!CHECK(i == 0 ? world_run(&w, &err) : kbs_reload(w.kbs, NULL, NULL, &err) == OK)) {
            printf("# %s\n", err.text);
            return;
        }
        CHECK(pubkey_equal(attestation_key(w.kbs->state->attestation), privkey_public(key)));
    }
    world_stop(&w);
}

/* Whatever a stranger sends, an administrator finds the denials that were somebody's. */
static void test_nobody_flushes_decisions(void)
{
    static const struct {
        const char *name, *method, *target, *body;
        enum credential credential;
    } floods[] = {
        {"auth", "POST", "/kbs/v0/auth", "{", NOBODY},
        {"no token", "GET", "/kbs/v0/resource-policy", "", NOBODY},
        {"garbage", "GET", "/kbs/v0/resource-policy", "", GARBAGE},
        {"a stranger's token", "GET", "/kbs/v0/resource-policy", "", WRONG_KEY},
        {"a stranger's token for a resource", "GET", "/kbs/v0/resource/r/t/k", "", WRONG_KEY},
        {"a cookie", "POST", "/kbs/v0/attest", "{}", NOBODY},
        {"no plugin", "GET", "/kbs/v0/nothing/x", "", NOBODY},
    };
    struct world w;
    struct error err = ERROR_INIT;
    world_prepare(&w, new_config, NOW);
    w.decision_ring = DECISION_RING_MIN;
    if (!CHECK(world_run(&w, &err))) {
        printf("# %s\n", err.text);
        return;
    }
    world_make_key(&w, "stranger");
    struct answer a =
        world_send(&w, "GET", "/kbs/v0/resource-policy", headers_of(&w, TEAM_A).ptr, STR_EMPTY);
    struct str kept = a.decision;
    CHECK(a.status == 401 && kept.len == 32);
    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        struct str headers = headers_of(&w, floods[i].credential);
        for (size_t k = 0; k < DECISION_RING_MIN / 200; k++)
            a = world_send(&w, floods[i].method, floods[i].target, headers.ptr,
                           str_of(floods[i].body));
        struct answer found = world_send(
            &w, "GET", arena_format(&w.arena, "/kbs/v0/decision/%.*s", STR_ARG(kept)).ptr,
            headers_of(&w, ADMIN).ptr, STR_EMPTY);
        CHECK_ROW(a.decision.len == 32 && found.status == 200, floods[i].name);
    }
    world_stop(&w);
}

int main(void)
{
    struct world w = {.dir = ""};
    struct error err = ERROR_INIT;
    if (!CHECK(world_start(&w, new_config, NOW, &err))) {
        printf("# %s\n", err.text);
        return tap_done();
    }
    world_make_key(&w, "stranger");
    test_table(&w);
    test_paths(&w);
    test_resource_names(&w);
    test_patterns(&w);
    test_auth(&w);
    test_policy(&w);
    test_metrics(&w);
    world_stop(&w);
    test_old_era();
    test_replaced_anchor();
    test_replaced_token_key();
    test_nobody_flushes_decisions();
    return tap_done();
}
