/*
 * Handshakes with sample evidence against a whole kbs: what a guest may do in
 * which order, what a decision tells, and that the change that it names is true.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/file.h"
#include "base/log.h"
#include "jose/jose.h"
#include "value/json.h"
#include "virtualtee/rcar.h"
#include "virtualtee/sample.h"
#include "world.h"
#include "tap.h"

#define NOW 1787277031

#define COMMON                                                                                     \
    "[http_server]\ninsecure_http = true\n"                                                        \
    "[attestation_service]\ntype = \"coco_as_builtin\"\n"                                          \
    "[attestation_service.verifier_config.sample_verifier]\n"                                      \
    "[attestation_service.verifier_config.sample_device_verifier]\n"

static const char old_config[] = COMMON
    "[admin]\ninsecure_api = true\nauth_public_key = \"@DIR@/admin.pub\"\n"
    "[attestation_token]\ninsecure_key = true\n"
    "[attestation_service.attestation_token_broker]\ntype = \"Ear\"\npolicy_dir = \"@DIR@/as\"\n"
    "[attestation_service.rvps_config]\ntype = \"BuiltIn\"\n"
    "[attestation_service.rvps_config.storage]\ntype = \"LocalJson\"\nfile_path = "
    "\"@DIR@/rv.json\"\n"
    "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndir_path = \"@DIR@/repo\"\n"
    "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n";

static const char new_config[] = COMMON "[admin]\ntype = \"Simple\"\n[[admin.personas]]\nid = "
                                        "\"a\"\npublic_key_path = \"@DIR@/admin.pub\"\n"
                                        "[attestation_token]\ninsecure_header_jwk = true\n"
                                        "[[plugins]]\nname = \"resource\"\n";

static const char foreign_config[] =
    COMMON "[admin]\nauth_public_key = \"@DIR@/admin.pub\"\ninsecure_api = true\n"
           "[attestation_token]\ninsecure_key = true\naccept_foreign_header_keys = true\n"
           "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n"
           "[claviger]\nera = \"new\"\n"
           "[[plugins]]\nname = \"resource\"\n";

struct guest {
    struct world *w;
    struct privkey *key;
    enum rcar_version version;
    const char *tee;
    struct str cookie;
    struct rcar_challenge challenge;
};

static void auth(struct guest *g)
{
    struct world *w = g->w;
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, 1 << 20);
    CHECK(rcar_write_auth(g->version, g->tee, &body, NULL) == OK);
    struct answer a = world_send(w, "POST", "/kbs/v0/auth", NULL, buf_str(&body));
    CHECK(a.status == 200);
    CHECK(rcar_read_challenge(&w->arena, a.body, &g->challenge, NULL) == OK);
    g->cookie = a.cookie;
}

static struct str evidence(struct guest *g, enum rcar_version form, struct str additional)
{
    struct str text;
    struct digest d;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    CHECK(rcar_runtime_data(&g->w->arena, form, &g->challenge, privkey_public(g->key), &additional,
                            &text, NULL) == OK);
    digest_compute(DIGEST_SHA384, text, &d);
    CHECK(sample_evidence(STR("1"), digest_str(&d), &out, NULL) == OK);
    return arena_str(&g->w->arena, buf_str(&out));
}

static struct answer attest_with(struct guest *g, enum rcar_version form, struct str additional)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, 1 << 20);
    const struct rcar_attestation att = {
        .key = privkey_public(g->key),
        .evidence = evidence(g, form, additional),
        .additional = additional,
        .init_data = {NULL, 0},
    };
    CHECK(rcar_write_attest(form, &g->challenge, &att, &body, NULL) == OK);
    struct str headers =
        arena_format(&g->w->arena, "Cookie: kbs-session-id=%.*s\n", STR_ARG(g->cookie));
    return world_send(g->w, "POST", "/kbs/v0/attest", headers.ptr, buf_str(&body));
}

static struct answer attest(struct guest *g)
{
    auth(g);
    struct answer a = attest_with(g, g->version, STR_EMPTY);
    if (a.cookie.len > 0)
        g->cookie = a.cookie;
    return a;
}

static struct answer get(struct guest *g, const char *path)
{
    struct str headers =
        arena_format(&g->w->arena, "Cookie: kbs-session-id=%.*s\n", STR_ARG(g->cookie));
    return world_send(g->w, "GET", path, headers.ptr, STR_EMPTY);
}

static struct str open_answer(struct guest *g, const struct answer *a)
{
    CLEANUP(buf_done) struct buf plain;
    buf_init(&plain, 1 << 20);
    struct error err = ERROR_INIT;
    CHECK_STATUS(jwe_decrypt(&g->w->arena, a->body, g->key, &plain, &err), OK, &err);
    return arena_str(&g->w->arena, buf_str(&plain));
}

static struct guest new_guest(struct world *w, enum rcar_version version)
{
    struct guest g = {.w = w, .version = version, .tee = "sample"};
    CHECK(rcar_key_generate(RCAR_KEY_EC256, &g.key, NULL) == OK);
    return g;
}

static bool start(struct world *w, const char *config, const char *policy)
{
    struct error err = ERROR_INIT;
    world_prepare(w, config, NOW);
    if (policy != NULL)
        world_write(w, "policy.rego", policy);
    world_write(w, "repo/r/t/k", "secret");
    if (CHECK(world_run(w, &err)))
        return true;
    printf("# %s\n", err.text);
    return false;
}

static value decision_of(struct world *w, const struct answer *a)
{
    value d = world_decision(w, a->decision);
    CHECK(value_is_object(d));
    return d;
}

static bool check_is(value decision, const char *check)
{
    bool ok = str_is(value_str(value_get_lit(decision, "check")), check);
    if (!ok)
        printf("# check is %.*s\n", STR_ARG(value_str(value_get_lit(decision, "check"))));
    return ok;
}

/* HARDEN kbs-4: the sealed version decides which form is read, never the body. */
static void test_version_is_sealed(void)
{
    struct world w;
    if (!start(&w, old_config, "package policy\nallow := true\n"))
        return;
    const struct {
        enum rcar_version auth, attest;
        int status;
    } rows[] = {
        {RCAR_0_4_0, RCAR_0_4_0, 200}, {RCAR_0_2_0, RCAR_0_2_0, 200}, {RCAR_0_1_1, RCAR_0_2_0, 200},
        {RCAR_0_4_0, RCAR_0_2_0, 401}, {RCAR_0_2_0, RCAR_0_4_0, 401}, {RCAR_0_1_1, RCAR_0_4_0, 401},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct guest g = new_guest(&w, rows[i].auth);
        auth(&g);
        struct answer a = attest_with(&g, rows[i].attest, STR_EMPTY);
        CHECK_ROW(a.status == rows[i].status, rcar_version_name(rows[i].auth));
        if (a.status != 200)
            CHECK(check_is(decision_of(&w, &a), "request-format"));
        privkey_unref(g.key);
    }
    world_stop(&w);
}

/* HARDEN kbs-3: only devices and tpm among the additional evidence, no name twice, a bounded
 * number. */
static void test_additional_evidence(void)
{
    struct world w;
    if (!start(&w, new_config, NULL))
        return;
    static const struct {
        const char *text, *check;
    } refused[] = {
        {"{\"sample\":{\"svn\":\"1\",\"report_data\":\"\"}}", "additional-evidence"},
        {"{\"snp\":{}}", "additional-evidence"},
        {"{\"az-snp-vtpm\":{}}", "additional-evidence"},
        {"{\"nothing\":{}}", "additional-evidence"},
        {"{\"sampledevice\":{},\"sampledevice\":{}}", "additional-evidence"},
        {"{\"nvidia-dpu\":{},\"nvidiadpu\":{}}", "additional-evidence"},
        {"[]", "additional-evidence"},
        {"\"sampledevice\"", "additional-evidence"},
        {"{", "additional-evidence"},
        {"{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"9\":0,\"10\":0,\"11\":"
         "0,"
         "\"12\":0,\"13\":0,\"14\":0,\"15\":0,\"16\":0,\"17\":0}",
         "additional-evidence"},
        /* not bound to the key */
        {"{\"sampledevice\":{\"svn\":\"2\",\"report_data\":\"AAAA\"}}", "report-data"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct guest g = new_guest(&w, RCAR_0_4_0);
        auth(&g);
        struct answer a = attest_with(&g, RCAR_0_4_0, str_of(refused[i].text));
        CHECK_ROW(a.status == 401, refused[i].text);
        CHECK_ROW(check_is(decision_of(&w, &a), refused[i].check), refused[i].text);
        CHECK_ROW(strstr(a.body.ptr, "/AttestationError\",\"detail\":\"Attestation error: RCAR "
                                     "handshake Attest failed\"") != NULL,
                  refused[i].text);
        privkey_unref(g.key);
    }
    world_stop(&w);
}

/* The same challenge again, the attested session again, somebody else's nonce. */
static void test_session_order(void)
{
    struct world w;
    if (!start(&w, old_config, "package policy\nallow := true\n"))
        return;
    struct guest g = new_guest(&w, RCAR_0_4_0);
    auth(&g);
    struct str challenge = g.cookie;
    struct answer first = attest_with(&g, RCAR_0_4_0, STR_EMPTY);
    CHECK(first.status == 200 && first.cookie.len > 0);
    /*
     * HARDEN kbs-5: a sealed challenge may be answered twice until it expires.
     * Every answer of this build is encrypted to the key that the evidence
     * binds, so a replay gains nothing, and none is remembered (DESIGN.md).
     */
    struct answer again = attest_with(&g, RCAR_0_4_0, STR_EMPTY);
    CHECK(again.status == 200);

    /* An attested session gets its token newly signed, with the same times. */
    g.cookie = first.cookie;
    w.now_ns += 30 * NS_PER_S;
    struct answer resigned = attest_with(&g, RCAR_0_4_0, STR_EMPTY);
    CHECK(resigned.status == 200);
    struct str t1;
    struct str t2;
    struct jws j1;
    struct jws j2;
    CHECK(rcar_read_token(&w.arena, first.body, &t1, NULL) == OK);
    CHECK(rcar_read_token(&w.arena, resigned.body, &t2, NULL) == OK);
    CHECK(jws_parse(&w.arena, t1, &j1, NULL) == OK && jws_parse(&w.arena, t2, &j2, NULL) == OK);
    value c1;
    value c2;
    CHECK(json_parse(&w.arena, j1.payload, NULL, &c1, NULL) == OK);
    CHECK(json_parse(&w.arena, j2.payload, NULL, &c2, NULL) == OK);
    CHECK(value_equal(c1, c2));

    /* A challenge is no session. */
    g.cookie = challenge;
    struct answer a = get(&g, "/kbs/v0/resource/r/t/k");
    CHECK(a.status == 401 && strstr(a.body.ptr, "TokenNotFound") != NULL);

    /* Another session's nonce. */
    struct guest h = new_guest(&w, RCAR_0_4_0);
    auth(&h);
    struct str cookie = h.cookie;
    auth(&h);
    h.cookie = cookie;
    a = attest_with(&h, RCAR_0_4_0, STR_EMPTY);
    CHECK(a.status == 401 && check_is(decision_of(&w, &a), "nonce"));
    struct guest o = new_guest(&w, RCAR_0_2_0); /* not echoed there: the evidence tells */
    auth(&o);
    cookie = o.cookie;
    auth(&o);
    o.cookie = cookie;
    a = attest_with(&o, RCAR_0_2_0, STR_EMPTY);
    CHECK(a.status == 401 && check_is(decision_of(&w, &a), "report-data"));

    /* Five minutes later. */
    g.cookie = first.cookie;
    w.now_ns += 301 * NS_PER_S;
    a = get(&g, "/kbs/v0/resource/r/t/k");
    CHECK(a.status == 401 && strstr(a.body.ptr, "TokenNotFound") != NULL);
    a = attest_with(&g, RCAR_0_4_0, STR_EMPTY);
    CHECK(a.status == 401 && check_is(decision_of(&w, &a), "session-expired"));
    privkey_unref(g.key);
    privkey_unref(h.key);
    privkey_unref(o.key);
    world_stop(&w);
}

/* A session lives as long as the token that stands behind it, and no longer. */
static void test_session_ends_with_token(void)
{
    const struct {
        const char *config; /* minutes of a token, of a session */
        int last_s;
    } rows[] = {
        {"duration_min = 1\n", 60},
        {"duration_min = 9\n", 300},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char config[8192];
        snprintf(config, sizeof(config),
                 COMMON "[admin]\ninsecure_api = true\nauth_public_key = \"@DIR@/admin.pub\"\n"
                        "[attestation_service.attestation_token_broker]\ntype = \"Ear\"\n"
                        "policy_dir = \"@DIR@/as\"\n%s"
                        "[attestation_service.rvps_config.storage]\ntype = \"LocalJson\"\n"
                        "file_path = \"@DIR@/rv.json\"\n"
                        "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\n"
                        "dir_path = \"@DIR@/repo\"\n"
                        "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n",
                 rows[i].config);
        struct world w;
        if (!start(&w, config, "package policy\nallow := true\n"))
            return;
        struct guest g = new_guest(&w, RCAR_0_4_0);
        CHECK(attest(&g).status == 200);
        w.now_ns += rows[i].last_s * NS_PER_S;
        CHECK_ROW(get(&g, "/kbs/v0/resource/r/t/k").status == 200, rows[i].config);
        w.now_ns += NS_PER_S;
        CHECK_ROW(get(&g, "/kbs/v0/resource/r/t/k").status == 401, rows[i].config);
        privkey_unref(g.key);
        world_stop(&w);
    }
}

static struct str foreign_token(struct world *w, const struct privkey *signer, const char *submods,
                                value tee_key)
{
    value jwk;
    CHECK(jwk_from_pubkey(&w->arena, privkey_public(signer), &jwk) == OK);
    jwk = value_object_with(&w->arena, jwk, value_cstring(&w->arena, "alg"),
                            value_cstring(&w->arena, "ES256"));
    struct str header = arena_format(&w->arena, "{\"alg\":\"ES256\",\"jwk\":%.*s}",
                                     STR_ARG(json_text(&w->arena, jwk, JSON_COMPACT)));
    struct str payload =
        arena_format(&w->arena, "{\"exp\":%d,\"tee-pubkey\":%.*s%s}", NOW + 300,
                     STR_ARG(json_text(&w->arena, tee_key, JSON_COMPACT)), submods);
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, 1 << 20);
    CHECK(jws_sign(signer, STR("ES256"), header, payload, &token, NULL) == OK);
    return arena_format(&w->arena, "Authorization: Bearer %.*s\n", STR_ARG(buf_str(&token)));
}

static value tee_key_json(struct guest *g)
{
    value jwk;
    CHECK(jwk_from_pubkey(&g->w->arena, privkey_public(g->key), &jwk) == OK);
    return value_object_with(&g->w->arena, jwk, value_cstring(&g->w->arena, "alg"),
                             value_cstring(&g->w->arena, "ECDH-ES+A256KW"));
}

/* HARDEN kbs-8, as-2: a token that its own header vouches for, with and without the second key. */
static void test_foreign_tokens(void)
{
    const struct {
        const char *name, *config;
        int status;
    } rows[] = {
        {"insecure_header_jwk alone", new_config, 401},
        {"accept_foreign_header_keys", foreign_config, 200},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        if (!start(&w, rows[i].config, NULL))
            return;
        struct guest g = new_guest(&w, RCAR_0_4_0);
        struct str bearer = world_bearer(&w, "admin", "{\"exp\":1787277131}");
        struct str admin = arena_format(&w.arena, "Authorization: %.*s\n", STR_ARG(bearer));
        struct answer a =
            world_send(&w, "POST", "/kbs/v0/resource/r/t/k", admin.ptr, STR("secret"));
        CHECK_ROW(a.status == 200, rows[i].name);
        CLEANUP(privkey_cleanup) struct privkey *mallory = NULL;
        CHECK(privkey_generate(KEY_EC_P256, 0, &mallory, NULL) == OK);
        struct str h = foreign_token(&w, mallory, ",\"submods\":{\"cpu0\":{}}", tee_key_json(&g));
        a = world_send(&w, "GET", "/kbs/v0/resource/r/t/k", h.ptr, STR_EMPTY);
        CHECK_ROW(a.status == rows[i].status, rows[i].name);
        if (a.status == 200)
            CHECK_STR(open_answer(&g, &a), STR("secret"));
        else
            CHECK_ROW(check_is(decision_of(&w, &a), "token-key"), rows[i].name);
        privkey_unref(g.key);
        world_stop(&w);
    }
}

/* HARDEN kbs-12: the alias of the submodule, and a token that says nothing about a CPU. */
static void test_submodules(void)
{
    struct world w;
    if (!start(&w, foreign_config, NULL))
        return;
    struct guest g = new_guest(&w, RCAR_0_4_0);
    CLEANUP(privkey_cleanup) struct privkey *issuer = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &issuer, NULL) == OK);
    struct str bearer = world_bearer(&w, "admin", "{\"exp\":1787277131}");
    struct str admin = arena_format(&w.arena, "Authorization: %.*s\n", STR_ARG(bearer));
    CHECK(world_send(&w, "POST", "/kbs/v0/resource/r/t/k", admin.ptr, STR("x")).status == 200);
    const struct {
        const char *name, *submods, *check;
    } rows[] = {
        {"sample under the old name",
         ",\"submods\":{\"cpu\":{\"ear.veraison.annotated-evidence\":{\"sample\":{\"svn\":\"1\"}}}"
         "}",
         "policy"},
        {"sample under the new name",
         ",\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":{\"sample\":{\"svn\":\"1\"}}}"
         "}",
         "policy"},
        {"a plain TPM, whose key anybody can make",
         ",\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":{\"tpm\":{\"pcr00\":\"00\"}}}"
         "}",
         "policy"},
        {"a plain TPM under the old name",
         ",\"submods\":{\"cpu\":{\"ear.veraison.annotated-evidence\":{\"tpm\":{\"pcr00\":\"00\"}}}"
         "}",
         "policy"},
        {"a plain TPM in a simple token", ",\"tee\":\"tpm\"", "policy"},
        {"a vTPM whose key the hardware signed",
         ",\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":{\"az-snp-vtpm\":{\"tpm\":{}}"
         "}}}",
         NULL},
        {"only a device", ",\"submods\":{\"gpu0\":{}}", "token-submodule"},
        {"no submodule", ",\"submods\":{}", "token-submodule"},
        {"another TEE", ",\"submods\":{\"cpu\":{\"ear.veraison.annotated-evidence\":{\"tdx\":{}}}}",
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str h = foreign_token(&w, issuer, rows[i].submods, tee_key_json(&g));
        struct answer a = world_send(&w, "GET", "/kbs/v0/resource/r/t/k", h.ptr, STR_EMPTY);
        CHECK_ROW(a.status == (rows[i].check == NULL ? 200 : 401), rows[i].name);
        if (rows[i].check != NULL)
            CHECK_ROW(check_is(decision_of(&w, &a), rows[i].check), rows[i].name);
    }
    privkey_unref(g.key);
    world_stop(&w);
}

/* README 19: a policy that was loaded serves on when its file breaks or vanishes, until it is back.
 */
static void test_vanished_policy(void)
{
    static const char allow[] = "package policy\nimport rego.v1\ndefault allow := true\n";
    static const char deny[] = "package policy\nimport rego.v1\ndefault allow := false\n";
    struct world w;
    if (!start(&w, old_config, allow)) /* which the built-in one would not: it is sample evidence */
        return;
    char path[8192];
    snprintf(path, sizeof(path), "%s/policy.rego", w.dir);
    struct guest g = new_guest(&w, RCAR_0_2_0);
    CHECK(attest(&g).status == 200);
    const struct {
        const char *name, *text; /* NULL: no file */
        int status;
    } rows[] = {
        {"as it was", allow, 200},  {"vanished", NULL, 200}, {"still gone", NULL, 200},
        {"broken", "package", 200}, {"another", deny, 401},  {"gone again", NULL, 401},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].text != NULL)
            world_write(&w, "policy.rego", rows[i].text);
        else
            unlink(path);
        if (i % 2 == 0)
            CHECK_ROW(kbs_reload(w.kbs, NULL, NULL, NULL) == OK, rows[i].name);
        else
            kbs_refresh(w.kbs, NULL, NULL);
        CHECK_ROW(get(&g, "/kbs/v0/resource/r/t/k").status == rows[i].status, rows[i].name);
        CHECK_ROW(world_send(&w, "GET", "/healthz", NULL, STR_EMPTY).status == 200, rows[i].name);
    }
    privkey_unref(g.key);
    world_stop(&w);
}

static int lines_with(const char *path, const char *text)
{
    CLEANUP(buf_done) struct buf log;
    buf_init(&log, 1 << 20);
    int n = 0;
    if (file_read(path, &log, NULL) != OK)
        return -1;
    buf_add_byte(&log, '\0');
    for (const char *at = log.ptr; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

/* DESIGN: the current key and the previous one; files are followed, a broken one is told once. */
static void test_sealing_keys(void)
{
    static const char allow[] = "package policy\nimport rego.v1\ndefault allow := true\n";
    static const char keys[] =
        "[claviger]\nseal_keys = [\"@DIR@/current.key\", \"@DIR@/previous.key\"]\n";
    char config[8192], log[8192];
    snprintf(config, sizeof(config), "%s%s", old_config, keys);
    struct world w;
    struct error err = ERROR_INIT;
    world_prepare(&w, config, NOW);
    world_write(&w, "policy.rego", allow);
    world_write(&w, "current.key", "the first key, and longer than 32 bytes");
    world_write(&w, "previous.key", "the key before it, also longer than 32 bytes");
    snprintf(log, sizeof(log), "%s/log", w.dir);
    int fd = open(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    log_set_fd(fd);
    if (!CHECK(world_run(&w, &err))) {
        printf("# %s\n", err.text);
        return;
    }
    CHECK(world_send(&w, "POST", "/kbs/v0/resource/r/t/k", NULL, STR("x")).status == 200);
    struct guest g = new_guest(&w, RCAR_0_2_0);
    CHECK(attest(&g).status == 200);
    const struct {
        const char *name, *current, *previous;
        int status;
        int told; /* in all, how often */
    } rows[] = {
        {"as they were", "the first key, and longer than 32 bytes",
         "the key before it, also longer than 32 bytes", 200, 0},
        {"rotated", "the second key, and longer than 32 bytes",
         "the first key, and longer than 32 bytes", 200, 0},
        {"too short", "short", "the first key, and longer than 32 bytes", 200, 1},
        {"too short in another way", "shorter", "the first key, and longer than 32 bytes", 200, 2},
        {"whole again", "the second key, and longer than 32 bytes",
         "the first key, and longer than 32 bytes", 200, 2},
        {"rotated away", "the third key, and longer than 32 bytes",
         "the second key, and longer than 32 bytes", 401, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        world_write(&w, "previous.key", rows[i].previous);
        world_write(&w, "current.key", rows[i].current);
        for (int k = 0; k < 3; k++)
            kbs_refresh(w.kbs, NULL, NULL);
        CHECK_ROW(get(&g, "/kbs/v0/resource/r/t/k").status == rows[i].status, rows[i].name);
        CHECK_ROW(lines_with(log, "it holds fewer than 32 bytes") == rows[i].told, rows[i].name);
    }
    log_set_fd(STDERR_FILENO);
    close(fd);
    privkey_unref(g.key);
    world_stop(&w);
}

/* HARDEN kbs-11: a quote in the path is a character of a string, whatever follows it. */
static void test_path_in_policy(void)
{
    struct world w;
    if (!start(&w, old_config,
               "package policy\nimport rego.v1\ndefault allow := false\n"
               "allow if data.injected\nallow if input.injected\n"
               "allow if data[\"resource-path\"] == \"resource/r/t/k\"\n"))
        return;
    struct guest g = new_guest(&w, RCAR_0_2_0);
    CHECK(attest(&g).status == 200);
    struct answer a = get(&g, "/kbs/v0/resource/r/t/k%22,%22injected%22:%22x");
    CHECK(a.status == 401 && check_is(decision_of(&w, &a), "policy"));
    a = get(&g, "/kbs/v0/resource/r/t/k");
    CHECK(a.status == 200);
    CHECK_STR(open_answer(&g, &a), STR("secret"));
    privkey_unref(g.key);
    world_stop(&w);
}

/* The change that a decision on the path names is the path. */
static void test_path_is_the_change(void)
{
    struct world w;
    if (!start(&w, old_config,
               "package policy\nimport rego.v1\ndefault allow := false\n"
               "allow if data[\"resource-path\"] == \"resource/r/t/k\"\n"))
        return;
    struct guest g = new_guest(&w, RCAR_0_2_0);
    CHECK(attest(&g).status == 200);
    struct answer a = get(&g, "/kbs/v0/resource/r/t/other");
    value d = decision_of(&w, &a);
    value op = value_at(value_get_lit(d, "change"), 0);
    CHECK_STR(value_str(value_get_lit(op, "path")), STR("/data/resource-path"));
    CHECK_STR(value_str(value_get_lit(op, "value")), STR("resource/r/t/k"));
    CHECK(value_len(value_get_lit(d, "rules")) > 0);
    CHECK_STR(value_str(value_get_lit(value_at(value_get_lit(d, "rules"), 0), "file")),
              STR("resource-policy.rego"));
    CHECK(value_str(value_get_lit(d, "cause")).len == 32);
    privkey_unref(g.key);
    world_stop(&w);
}

/* What the decision calls the change is applied, and the same request passes. */
static void test_change_is_true(void)
{
    struct world w;
    struct error err = ERROR_INIT;
    world_prepare(&w, old_config, NOW);
    world_write(&w, "policy.rego",
                "package policy\nimport rego.v1\ndefault allow := false\n"
                "allow if input.submods.cpu[\"ear.status\"] == \"affirming\"\n");
    world_write(&w, "as/opa/default.rego",
                "package policy\nimport rego.v1\ndefault executables := 33\n"
                "executables := 3 if input.sample.svn in data.reference.svn\n");
    world_write(&w, "rv.json", "[]");
    world_write(&w, "repo/r/t/k", "secret");
    if (!CHECK(world_run(&w, &err))) {
        printf("# %s\n", err.text);
        return;
    }
    struct guest g = new_guest(&w, RCAR_0_2_0);
    CHECK(attest(&g).status == 200);
    struct answer a = get(&g, "/kbs/v0/resource/r/t/k");
    CHECK(a.status == 401);
    value d = decision_of(&w, &a);
    CHECK(check_is(d, "policy") && !value_is_defined(value_get_lit(d, "change")));
    value cause = world_decision(&w, value_str(value_get_lit(d, "cause")));
    CHECK_STR(value_str(value_get_lit(cause, "outcome")), STR("granted"));
    CHECK_STR(value_str(value_get_lit(cause, "status")), STR("warning"));
    value op = value_at(value_get_lit(cause, "change"), 0);
    CHECK_STR(value_str(value_get_lit(op, "path")), STR("/reference-values/svn"));

    struct str payload =
        arena_format(&w.arena, "{\"svn\":%.*s}",
                     STR_ARG(json_text(&w.arena, value_get_lit(op, "value"), JSON_COMPACT)));
    struct str message = arena_format(&w.arena, "{\"type\":\"sample\",\"payload\":\"%.*s\"}",
                                      STR_ARG(base64_text(&w.arena, payload, BASE64_STD)));
    CHECK(world_send(&w, "POST", "/kbs/v0/reference-value", NULL, message).status == 200);
    CHECK(attest(&g).status == 200);
    a = get(&g, "/kbs/v0/resource/r/t/k");
    CHECK(a.status == 200);
    CHECK_STR(open_answer(&g, &a), STR("secret"));
    privkey_unref(g.key);
    world_stop(&w);
}

int main(void)
{
    test_version_is_sealed();
    test_additional_evidence();
    test_session_order();
    test_session_ends_with_token();
    test_foreign_tokens();
    test_submodules();
    test_vanished_policy();
    test_sealing_keys();
    test_path_in_policy();
    test_path_is_the_change();
    test_change_is_true();
    return tap_done();
}
