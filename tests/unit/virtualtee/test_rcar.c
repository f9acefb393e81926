/* The protocol's messages: what a guest refuses, names of resources, and memory that runs out. */
#include <stdio.h>

#include "virtualtee/guest.h"
#include "virtualtee/sample.h"

#include "tap.h"

static void test_challenge(void)
{
    const struct {
        const char *name, *text;
        enum status want;
        enum digest_alg hash;
    } rows[] = {
        {"plain", "{\"nonce\":\"n\",\"extra-params\":\"\"}", OK, DIGEST_SHA384},
        {"null", "{\"nonce\":\"n\",\"extra-params\":null}", OK, DIGEST_SHA384},
        {"selected", "{\"nonce\":\"n\",\"extra-params\":{\"selected-hash-algorithm\":\"sha512\"}}",
         OK, DIGEST_SHA512},
        {"any case", "{\"nonce\":\"n\",\"extra-params\":{\"selected-hash-algorithm\":\"SHA256\"}}",
         OK, DIGEST_SHA256},
        {"nothing selected", "{\"nonce\":\"n\",\"extra-params\":{}}", OK, DIGEST_SHA384},
        {"unknown hash",
         "{\"nonce\":\"n\",\"extra-params\":{\"selected-hash-algorithm\":\"sha3\"}}", ERR_INVALID,
         0},
        {"empty hash", "{\"nonce\":\"n\",\"extra-params\":{\"selected-hash-algorithm\":\"\"}}",
         ERR_INVALID, 0},
        {"hash is a number", "{\"nonce\":\"n\",\"extra-params\":{\"selected-hash-algorithm\":1}}",
         ERR_INVALID, 0},
        {"no extra-params", "{\"nonce\":\"n\"}", ERR_INVALID, 0},
        {"no nonce", "{\"extra-params\":\"\"}", ERR_INVALID, 0},
        {"nonce is a number", "{\"nonce\":1,\"extra-params\":\"\"}", ERR_INVALID, 0},
        {"two nonces", "{\"nonce\":\"a\",\"nonce\":\"b\",\"extra-params\":\"\"}", ERR_INVALID, 0},
        {"no object", "[]", ERR_INVALID, 0},
        {"no JSON", "nonce", ERR_INVALID, 0},
        {"empty", "", ERR_INVALID, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024);
        struct rcar_challenge c = {.nonce = STR_EMPTY};
        struct error err = ERROR_INIT;
        enum status st = rcar_read_challenge(&a, str_of(rows[i].text), &c, &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].name);
        if (st == OK)
            CHECK_ROW(c.hash == rows[i].hash && str_is(c.nonce, "n"), rows[i].name);
    }
}

static void test_answers(void)
{
    const struct {
        const char *text, *token, *decision;
    } rows[] = {
        {"{\"token\":\"t\"}", "t", ""},
        {"{\"token\":1}", NULL, ""},
        {"{}", NULL, ""},
        {"\"token\"", NULL, ""},
        {"", NULL, ""},
        {"{\"type\":\"x\",\"decision_id\":\"00112233445566778899aabbccddeeff\"}", NULL,
         "00112233445566778899aabbccddeeff"},
        {"{\"decision_id\":\"00112233445566778899aabbccddeef\"}", NULL, ""},
        {"{\"decision_id\":\"00112233445566778899aabbccddeefg\"}", NULL, ""},
        {"{\"decision_id\":7}", NULL, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024);
        struct str token = STR_EMPTY;
        enum status st = rcar_read_token(&a, str_of(rows[i].text), &token, NULL);
        CHECK_ROW((st == OK) == (rows[i].token != NULL), rows[i].text);
        if (rows[i].token != NULL)
            CHECK_STR_ROW(token, str_of(rows[i].token), rows[i].text);
        CHECK_STR_ROW(rcar_decision(&a, str_of(rows[i].text)), str_of(rows[i].decision),
                      rows[i].text);
    }
}

static void test_names(void)
{
    const struct {
        const char *name, *path;
    } rows[] = {
        {"default/kbsres1/key1", "/kbs/v0/resource/default/kbsres1/key1"},
        {"kbs:///default/kbsres1/key1", "/kbs/v0/resource/default/kbsres1/key1"},
        {"kbs+plugin:///path?a=b", "/kbs/v0/plugin/path?a=b"},
        {"kbs+plugin", "/kbs/v0/resource/kbs+plugin"},
        {"", "/kbs/v0/resource/"},
    };
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_STR_ROW(rcar_resource_path(&a, str_of(rows[i].name)), str_of(rows[i].path),
                      rows[i].name);

    enum rcar_version v;
    enum rcar_key k;
    CHECK(rcar_version_by_name(STR("0.2.0"), &v) && v == RCAR_0_2_0);
    CHECK(!rcar_version_by_name(STR("0.1.0"), &v) && !rcar_version_by_name(STR(""), &v));
    CHECK(rcar_key_by_name(STR("ec521"), &k) && k == RCAR_KEY_EC521);
    CHECK(!rcar_key_by_name(STR("EC521"), &k));
}

/* ---- memory that runs out ---- */

static enum status attest(void *user, struct str report_data, struct buf *out, struct error *err)
{
    (void)user;
    return sample_evidence(STR("1"), report_data, out, err);
}

/* A server that takes everything. */
static enum status serve(void *user, const char *method, const char *path, struct str bearer,
                         struct str body, struct guest_answer *out, struct error *err)
{
    (void)user, (void)method, (void)bearer, (void)body, (void)err;
    out->status = 200;
    buf_add_cstr(&out->body, strcmp(path, "/kbs/v0/auth") == 0
                                 ? "{\"nonce\":\"n\",\"extra-params\":\"\"}"
                                 : "{\"token\":\"t\"}");
    return buf_status(&out->body);
}

static void test_nomem(void)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    struct error err = ERROR_INIT;
    if (!CHECK(rcar_key_generate(RCAR_KEY_EC256, &key, &err) == OK))
        return;
    const struct guest_transport transport = {serve, NULL};
    const struct guest g = {.version = RCAR_0_4_0,
                            .tee = "sample",
                            .key = key,
                            .attester = {attest, NULL},
                            .init_data = STR("init data"),
                            .transport = &transport};
    enum status st = ERR_NOMEM;
    long n = 0;
    for (n = 1; st != OK && n < 1000; n++) {
        struct arena a;
        struct guest_answer answer;
        struct str token = STR_EMPTY;
        arena_init(&a, 1024 * 1024);
        guest_answer_init(&answer);
        tap_fail_malloc_after(n);
        st = guest_attest(&g, &a, &token, &answer, &err);
        tap_fail_malloc_after(0);
        if (st != OK && st != ERR_NOMEM)
            CHECK_STATUS(st, ERR_NOMEM, &err);
        CHECK((st == OK) == str_is(token, "t"));
        guest_answer_done(&answer);
        arena_done(&a);
    }
    CHECK(st == OK && (n > 5 || !tap_malloc_can_fail()));
}

int main(void)
{
    test_challenge();
    test_answers();
    test_names();
    test_nomem();
    return tap_done();
}
