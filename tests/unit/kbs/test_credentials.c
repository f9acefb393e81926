/*
 * What a token must say, one rule a row: each row is a good token with one thing
 * changed.  (test_routes.c has the routes, tests/unit/jose the signatures.)
 */
#include <stdio.h>

#include "base/file.h"
#include "jose/jose.h"
#include "kbs/kbs_internal.h"
#include "value/json.h"
#include "world.h"
#include "tap.h"

#define NOW 1787277031 /* 2026-08-21T01:50:31Z */
#define SOON "1787277131"

#define SERVICE                                                                                    \
    "[http_server]\ninsecure_http = true\n[attestation_service]\ntype = \"coco_as_builtin\"\n"     \
    "[[plugins]]\nname = \"resource\"\n"

static const char old_form[] = SERVICE "[admin]\nauth_public_key = \"@DIR@/admin.pub\"\n"
                                       "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n";

static const char typed_form[] = SERVICE
    "[admin]\ntype = \"Simple\"\n"
    "[[admin.personas]]\nid = \"admin\"\npublic_key_path = \"@DIR@/admin.pub\"\n"
    "[[admin.personas]]\nid = \"other\"\npublic_key_path = \"@DIR@/other.pub\"\n"
    "[[admin.roles]]\nid = \"admin\"\nallowed_endpoints = \"^/kbs/v0/resource/team-a/.*$\"\n";

static const char modes_form[] = SERVICE
    "[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n"
    "[[admin.authentication.bearer_jwt.identity_providers]]\n"
    "public_key_uri = \"@DIR@/admin.pub\"\nissuer = \"us\"\naudience = \"kbs\"\n"
    "[[admin.authorization.regex_acl.acls]]\nrole = \"r\"\nallowed_endpoints = \"^/kbs/v0/.*$\"\n";

static bool run(struct world *w, const char *config)
{
    struct error err = ERROR_INIT;
    world_prepare(w, config, NOW);
    world_make_key(w, "other");
    if (CHECK(world_run(w, &err)))
        return true;
    printf("# %s\n", err.text);
    return false;
}

static struct str bearer(struct world *w, const struct privkey *key, const char *alg,
                         struct str header, struct str claims)
{
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, 100000);
    struct error err = ERROR_INIT;
    CHECK_STATUS(jws_sign(key, str_of(alg), header, claims, &token, &err), OK, &err);
    return arena_format(&w->arena, "Authorization: Bearer %.*s\n", STR_ARG(buf_str(&token)));
}

static struct privkey *admin_key(struct world *w, const char *name)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, 10000);
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s.key", w->dir, name);
    struct privkey *key = NULL;
    CHECK(file_read(path, &pem, NULL) == OK && privkey_from_pem(buf_str(&pem), &key, NULL) == OK);
    return key;
}

/* ---- administrators (kbs.md 6.2 to 6.4) ---- */

struct admin_row {
    const char *name;
    const char *key, *header, *claims, *target;
    int status;
};

#define JWT "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"
#define TEAM_A "/kbs/v0/resource/team-a/t/k"
#define TEAM_B "/kbs/v0/resource/team-b/t/k"
#define GOOD "{\"exp\":" SOON ",\"role\":\"r\",\"iss\":\"us\",\"aud\":\"kbs\"}"

static const struct admin_row old_rows[] = {
    {"as it should be", "admin", JWT, "{}", TEAM_A, 200},
    {"no typ", "admin", "{\"alg\":\"EdDSA\"}", "{}", TEAM_A, 200},
    {"typ in another case", "admin", "{\"alg\":\"EdDSA\",\"typ\":\"jwt\"}", "{}", TEAM_A, 200},
    {"typ of a profile", "admin", "{\"alg\":\"EdDSA\",\"typ\":\"at+JWT\"}", "{}", TEAM_A, 200},
    {"typ of something else", "admin", "{\"alg\":\"EdDSA\",\"typ\":\"JWE\"}", "{}", TEAM_A, 401},
    {"typ that only ends so", "admin", "{\"alg\":\"EdDSA\",\"typ\":\"notjwt\"}", "{}", TEAM_A, 401},
    {"another key", "other", JWT, "{}", TEAM_A, 401},
    {"a header that says another alg", "admin", "{\"alg\":\"ES256\"}", "{}", TEAM_A, 401},
};

static const struct admin_row typed_rows[] = {
    {"in its role", "admin", JWT, "{\"exp\":" SOON "}", TEAM_A, 200},
    {"outside of its role", "admin", JWT, "{\"exp\":" SOON "}", TEAM_B, 401},
    {"a persona without a role", "other", JWT, "{\"exp\":" SOON "}", TEAM_A, 401},
    {"no exp", "admin", JWT, "{}", TEAM_A, 401},
    {"an audience", "admin", JWT, "{\"exp\":" SOON ",\"aud\":\"kbs\"}", TEAM_A, 401},
    {"a minute past", "admin", JWT, "{\"exp\":1787276971}", TEAM_A, 200},
    {"and a second", "admin", JWT, "{\"exp\":1787276970}", TEAM_A, 401},
};

static const struct admin_row modes_rows[] = {
    {"as it should be", "admin", JWT, GOOD, TEAM_A, 200},
    {"another issuer", "admin", JWT,
     "{\"exp\":" SOON ",\"role\":\"r\",\"iss\":\"them\",\"aud\":\"kbs\"}", TEAM_A, 401},
    {"no issuer", "admin", JWT, "{\"exp\":" SOON ",\"role\":\"r\",\"aud\":\"kbs\"}", TEAM_A, 401},
    {"an issuer that is a list", "admin", JWT,
     "{\"exp\":" SOON ",\"role\":\"r\",\"iss\":[\"us\"],\"aud\":\"kbs\"}", TEAM_A, 401},
    {"no audience", "admin", JWT, "{\"exp\":" SOON ",\"role\":\"r\",\"iss\":\"us\"}", TEAM_A, 401},
    {"no exp", "admin", JWT, "{\"role\":\"r\",\"iss\":\"us\",\"aud\":\"kbs\"}", TEAM_A, 401},
    {"a role that nobody has", "admin", JWT,
     "{\"exp\":" SOON ",\"role\":\"q\",\"iss\":\"us\",\"aud\":\"kbs\"}", TEAM_A, 401},
    {"a member twice", "admin", JWT,
     "{\"exp\":1,\"exp\":" SOON ",\"role\":\"r\",\"iss\":\"us\",\"aud\":\"kbs\"}", TEAM_A, 401},
};

static void test_admins(const char *config, const struct admin_row *rows, size_t n)
{
    struct world w;
    if (!run(&w, config))
        return;
    for (size_t i = 0; i < n; i++) {
        CLEANUP(privkey_cleanup) struct privkey *key = admin_key(&w, rows[i].key);
        struct str h = bearer(&w, key, "EdDSA", str_of(rows[i].header), str_of(rows[i].claims));
        struct answer a = world_send(&w, "POST", rows[i].target, h.ptr, STR("x"));
        if (!CHECK_ROW(a.status == rows[i].status, rows[i].name))
            printf("# %d %.*s\n", a.status, STR_ARG(a.body));
    }
    world_stop(&w);
}

/* ---- attestation tokens (kbs.md 5.2) ---- */

#define FOREIGN                                                                                    \
    "[attestation_token]\ninsecure_header_jwk = true\naccept_foreign_header_keys = true\n"         \
    "[admin]\ninsecure_api = true\nauth_public_key = \"@DIR@/admin.pub\"\n"                        \
    "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n"

struct token_row {
    const char *name;
    const char *alg;    /* of the header */
    const char *jwk;    /* "alg" of the header's key; NULL: none */
    const char *claims; /* beside tee-pubkey */
    const char *check;  /* NULL: released */
    enum era only;      /* with `in_one_era` */
    bool in_one_era;
};

static const struct token_row token_rows[] = {
    {"as it should be", "ES256", "ES256", "\"exp\":" SOON, NULL, 0, false},
    {"no exp", "ES256", "ES256", "\"iat\":1", "token-expired", 0, false},
    {"exp is a string", "ES256", "ES256", "\"exp\":\"" SOON "\"", "token-expired", 0, false},
    {"an hour past", "ES256", "ES256", "\"exp\":1787273431", "token-expired", 0, false},
    {"the key has no alg", "ES256", NULL, "\"exp\":" SOON, "token-key", 0, false},
    {"the key is for another alg", "ES256", "ES384", "\"exp\":" SOON, "token-signature", 0, false},
    {"an audience", "ES256", "ES256", "\"exp\":" SOON ",\"aud\":\"x\"", "token-format", ERA_OLD,
     true},
    {"an audience, later", "ES256", "ES256", "\"exp\":" SOON ",\"aud\":\"x\"", NULL, ERA_NEW, true},
    {"a member twice", "ES256", "ES256", "\"exp\":" SOON ",\"exp\":" SOON, "token-format", 0,
     false},
};

static struct str jwk_text(struct world *w, const struct privkey *key, const char *alg)
{
    value jwk;
    CHECK(jwk_from_pubkey(&w->arena, privkey_public(key), &jwk) == OK);
    if (alg != NULL)
        jwk = value_object_with(&w->arena, jwk, value_cstring(&w->arena, "alg"),
                                value_cstring(&w->arena, alg));
    return json_text(&w->arena, jwk, JSON_COMPACT);
}

/* One GET of a secret that any policy here allows, with a token that its own header vouches for. */
static struct answer ask(struct world *w, const struct privkey *issuer, const struct token_row *row,
                         struct str tee_key)
{
    struct str header = arena_format(&w->arena, "{\"alg\":\"%s\",\"jwk\":%.*s}", row->alg,
                                     STR_ARG(jwk_text(w, issuer, row->jwk)));
    struct str claims =
        arena_format(&w->arena, "{\"tee-pubkey\":%.*s,%s}", STR_ARG(tee_key), row->claims);
    struct str h = bearer(w, issuer, "ES256", header, claims);
    return world_send(w, "GET", TEAM_A, h.ptr, STR_EMPTY);
}

static void expect(struct world *w, const struct answer *a, const char *check, const char *row)
{
    if (!CHECK_ROW(a->status == (check == NULL ? 200 : 401), row))
        printf("# %d %.*s\n", a->status, STR_ARG(a->body));
    if (check != NULL && a->decision.len > 0)
        CHECK_STR_ROW(value_str(value_get_lit(world_decision(w, a->decision), "check")),
                      str_of(check), row);
}

static bool run_foreign(struct world *w, const char *more)
{
    char config[4096];
    snprintf(config, sizeof(config), "%s%s%s", FOREIGN, SERVICE, more);
    if (!run(w, config))
        return false;
    world_write(w, "policy.rego", "package policy\nimport rego.v1\ndefault allow := true\n");
    kbs_refresh(w->kbs, NULL, NULL);
    return CHECK(world_send(w, "POST", TEAM_A, NULL, STR("secret")).status == 200);
}

static void test_tokens(void)
{
    static const char *const eras[] = {"[claviger]\nera = \"old\"\n",
                                       "[claviger]\nera = \"new\"\n"};
    CLEANUP(privkey_cleanup) struct privkey *issuer = NULL, *guest = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &issuer, NULL) == OK);
    CHECK(privkey_generate(KEY_EC_P256, 0, &guest, NULL) == OK);
    for (size_t e = 0; e < ARRAY_LEN(eras); e++) {
        struct world w;
        if (!run_foreign(&w, eras[e]))
            return;
        struct str key = jwk_text(&w, guest, "ECDH-ES+A256KW");
        for (size_t i = 0; i < ARRAY_LEN(token_rows); i++) {
            const struct token_row *row = &token_rows[i];
            if (row->in_one_era && row->only != (e == 0 ? ERA_OLD : ERA_NEW))
                continue;
            struct answer a = ask(&w, issuer, row, key);
            expect(&w, &a, row->check, row->name);
        }
        world_stop(&w);
    }
}

/* HARDEN kbs-6: PKCS #1 v1.5 only for the guests that have nothing else. */
static void test_rsa15(void)
{
    const struct {
        const char *config, *alg, *check;
    } rows[] = {
        {"", "RSA1_5", NULL},
        {"", "RSA-OAEP-256", NULL},
        {"[claviger]\nprotocols = [\"0.2.0\", \"0.4.0\"]\n", "RSA1_5", "tee-key"},
        {"[claviger]\nprotocols = [\"0.2.0\", \"0.4.0\"]\n", "RSA-OAEP-256", NULL},
    };
    CLEANUP(privkey_cleanup) struct privkey *issuer = NULL, *guest = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &issuer, NULL) == OK);
    CHECK(privkey_generate(KEY_RSA, 2048, &guest, NULL) == OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        if (!run_foreign(&w, rows[i].config))
            return;
        struct answer a = ask(&w, issuer, &token_rows[0], jwk_text(&w, guest, rows[i].alg));
        expect(&w, &a, rows[i].check, rows[i].alg);
        world_stop(&w);
    }
}

int main(void)
{
    test_admins(old_form, old_rows, ARRAY_LEN(old_rows));
    test_admins(typed_form, typed_rows, ARRAY_LEN(typed_rows));
    test_admins(modes_form, modes_rows, ARRAY_LEN(modes_rows));
    test_tokens();
    test_rsa15();
    return tap_done();
}
