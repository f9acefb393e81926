/*
 * Every exchange of ../shared/vectors/rcar against the whole broker: the clock
 * and the nonce are the vector's, requests are sent as they stand, answers are
 * equal but for what is drawn anew (token, cookie, encryption), and each
 * encrypted answer opens with the guest's key.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../unit/kbs/world.h"
#include "base/encode.h"
#include "base/file.h"
#include "jose/jose.h"
#include "value/json.h"
#include "tap.h"

static const char config[] =
    "[http_server]\ninsecure_http = true\n"
    "[admin]\nauth_public_key = \"@DIR@/admin.pub\"\n"
    "[claviger]\nera = \"new\"\n"
    "[attestation_token]\ntrusted_jwk_sets = [\"@DIR@/keys.json\"]\n"
    "[attestation_service]\ntype = \"coco_as_builtin\"\n"
    "[attestation_service.verifier_config.sample_verifier]\n"
    "[attestation_service.verifier_config.sample_device_verifier]\n"
    "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndir_path = \"@DIR@/repo\"\n"
    "[policy_engine]\npolicy_path = \"@DIR@/policy.rego\"\n";

static value member(value v, const char *pointer)
{
    return value_pointer(v, str_of(pointer));
}

/* An error's body without the decision id, which is always the last member. */
static struct str without_decision(struct world *w, struct str body)
{
    struct str marker = STR(",\"decision_id\":\"");
    for (size_t i = 0; i + marker.len < body.len; i++)
        if (str_equal(str_slice(body, i, marker.len), marker))
            return arena_format(&w->arena, "%.*s}", STR_ARG(str_slice(body, 0, i)));
    return body;
}

static struct str send_headers(struct world *w, value request, struct str cookie, struct str token)
{
    value headers = member(request, "/headers");
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < value_len(headers); i++) {
        struct str name = value_str(value_pairs(headers)[i].key);
        struct str v = value_str(value_pairs(headers)[i].val);
        if (str_is(name, "cookie"))
            buf_add_format(&text, "cookie: kbs-session-id=%.*s\n", STR_ARG(cookie));
        else if (str_is(name, "authorization"))
            buf_add_format(&text, "authorization: Bearer %.*s\n", STR_ARG(token));
        else
            buf_add_format(&text, "%.*s: %.*s\n", STR_ARG(name), STR_ARG(v));
    }
    return arena_str(&w->arena, buf_str(&text));
}

static void check_secret(struct world *w, value vector, struct str body, const char *row)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf plain;
    buf_init(&plain, 1 << 20);
    struct str want;
    struct error err = ERROR_INIT;
    CHECK_ROW(privkey_from_pem(value_str(member(vector, "/tee_key/pem")), &key, NULL) == OK, row);
    CHECK_ROW(base64_bytes(&w->arena, value_str(member(vector, "/plaintext_b64")), BASE64_STD,
                           &want, NULL) == OK,
              row);
    bool legacy = str_is(value_str(member(vector, "/protocol")), "0.1.1");
    enum status st = legacy ? jwe_decrypt_legacy(&w->arena, body, key, &plain, &err)
                            : jwe_decrypt(&w->arena, body, key, &plain, &err);
    CHECK_STATUS_ROW(st, OK, &err, row);
    CHECK_STR_ROW(buf_str(&plain), want, row);
}

static void run_steps(struct world *w, value vector, const char *row)
{
    value steps = member(vector, "/steps");
    struct str cookie = STR_EMPTY;
    struct str token = STR_EMPTY;
    for (size_t i = 0; i < value_len(steps); i++) {
        value request = member(value_at(steps, i), "/request");
        value response = member(value_at(steps, i), "/response");
        struct str method = arena_str(&w->arena, value_str(member(request, "/method")));
        struct str path = arena_str(&w->arena, value_str(member(request, "/path")));
        struct str headers = send_headers(w, request, cookie, token);
        struct answer a =
            world_send(w, method.ptr, path.ptr, headers.ptr, value_str(member(request, "/body")));
        char step[512];
        snprintf(step, sizeof(step), "%s, step %zu: %s %s", row, i, method.ptr, path.ptr);

        int64_t status = 0;
        value_get_int64(member(response, "/status"), &status);
        if (!CHECK_ROW(a.status == status, step))
            printf("# got %d %.*s\n", a.status, STR_ARG(a.body));
        struct str type = value_str(member(response, "/headers/content-type"));
        CHECK_STR_ROW(answer_header(&a, "Content-Type"), type, step);
        if (a.cookie.len > 0)
            cookie = a.cookie;
        struct str set_cookie = value_str(member(response, "/headers/set-cookie"));
        CHECK_ROW((set_cookie.len > 0) == (a.cookie.len > 0), step);
        if (set_cookie.len > 0) {
            struct str expires = str_from(set_cookie, str_find(set_cookie, ';', 0));
            CHECK_ROW(strstr(answer_header(&a, "Set-Cookie").ptr, expires.ptr) != NULL, step);
        }

        value got = VALUE_UNDEFINED;
        CHECK_ROW(json_parse(&w->arena, a.body, NULL, &got, NULL) == OK, step);
        if (str_has_suffix(path, STR("/attest"))) {
            token = value_str(value_get_lit(got, "token"));
            CHECK_ROW(token.len > 0 && value_len(got) == 1, step);
        } else if (value_is_defined(value_get_lit(got, "ciphertext"))) {
            check_secret(w, vector, a.body, step);
        } else {
            CHECK_STR_ROW(without_decision(w, a.body), value_str(member(response, "/body")), step);
        }
    }
}

static void run_vector(const char *path, const char *name)
{
    struct world w = {.dir = ""};
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf text;
    arena_init(&a, 64 << 20);
    buf_init(&text, 4 << 20);
    value vector;
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS_ROW(file_read(path, &text, &err), OK, &err, name) ||
        !CHECK_STATUS_ROW(json_parse(&a, buf_str(&text), NULL, &vector, &err), OK, &err, name))
        return;
    int64_t now = 0;
    value_get_int64(member(vector, "/server/clock_auth"), &now);

    /* Files that the configuration names are there before it starts. */
    world_prepare(&w, config, now);
    world_write(&w, "keys.json", "{\"keys\":[]}");
    world_write(&w, "policy.rego", value_str(member(vector, "/server/resource_policy")).ptr);
    struct str secret;
    CHECK_ROW(base64_bytes(&a, value_str(member(vector, "/server/resource/bytes_b64")), BASE64_STD,
                           &secret, NULL) == OK,
              name);
    struct str file =
        arena_format(&a, "repo/%.*s", STR_ARG(value_str(member(vector, "/server/resource/path"))));
    world_write(&w, file.ptr, arena_str(&a, secret).ptr);
    if (!CHECK_ROW(world_run(&w, &err), name)) {
        printf("# %s\n", err.text);
        return;
    }
    CHECK_ROW(hex_bytes(&a, value_str(member(vector, "/server/nonce_hex")), &w.script, NULL) == OK,
              name);
    run_steps(&w, vector, name);
    world_stop(&w);
}

int main(void)
{
    const char *shared = tap_shared("vectors/rcar");
    if (shared == NULL)
        return tap_done();
    struct str dir = str_of(strdup(shared));
    struct dirent **names;
    int n = scandir(dir.ptr, &names, NULL, alphasort);
    CHECK(n > 0);
    int ran = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", dir.ptr, names[i]->d_name);
        if (str_has_prefix(str_of(names[i]->d_name), STR("exchange-"))) {
            run_vector(path, names[i]->d_name);
            ran++;
        }
        free(names[i]);
    }
    free(names);
    free((void *)(uintptr_t)dir.ptr);
    CHECK(ran == 8);
    return tap_done();
}
