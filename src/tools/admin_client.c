#include "tools/admin_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "jose/jose.h"
#include "value/json.h"

#define KEY_FILE_MAX (64 * 1024)
#define TOKEN_FILE_MAX (1024 * 1024)
#define TOKEN_LIFETIME_S 7200 /* as kbs-client v0.12 to v0.20 */

const char policy_allow_all[] = "package policy\n"
                                "\n"
                                "default allow := false\n"
                                "\n"
                                "# Every resource, for every attested guest.\n"
                                "allow if data.plugin == \"resource\"\n";

const char policy_deny_all[] = "package policy\n"
                               "\n"
                               "# Nothing, for nobody.\n"
                               "default allow := false\n";

const char policy_affirming[] =
    "package policy\n"
    "\n"
    "default allow := false\n"
    "\n"
    "# There is a submodule, and none that says anything but affirming.\n"
    "allow if {\n"
    "    count(input.submods) > 0\n"
    "    count(doubtful) == 0\n"
    "}\n"
    "\n"
    "doubtful contains name if {\n"
    "    some name, submodule in input.submods\n"
    "    submodule[\"ear.status\"] != \"affirming\"\n"
    "}\n";

const char policy_default[] =
    "package policy\n"
    "\n"
    "default allow := false\n"
    "\n"
    "evidence := input.submods.cpu0[\"ear.veraison.annotated-evidence\"]\n"
    "\n"
    "# Every resource, but not for evidence that everybody can make: a plain TPM names its own "
    "key.\n"
    "allow if {\n"
    "    data.plugin == \"resource\"\n"
    "    not evidence.sample\n"
    "    not evidence.tpm\n"
    "    not input.tee == \"tpm\"\n"
    "}\n";

/* ---- tokens ---- */

enum status admin_token_from_file(struct arena *a, const char *path, struct str *out,
                                  struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init_secret(&text, TOKEN_FILE_MAX);
    enum status st = file_read(path, &text, err);
    if (st != OK)
        return st;
    *out = arena_str(a, str_trim(buf_str(&text)));
    return out->ptr == NULL ? arena_status(a) : OK;
}

enum status admin_token_find(struct arena *a, struct str *out, struct error *err)
{
    *out = STR_EMPTY;
    enum status st = admin_token_from_file(a, "kbs/config/docker-compose/admin-token", out, err);
    if (st != ERR_NOT_FOUND)
        return st;
    const char *home = getenv("HOME");
    struct str path = arena_format(a, "%s/.trustee/admin-token", home == NULL ? "" : home);
    if (path.ptr == NULL)
        return arena_status(a);
    st = admin_token_from_file(a, path.ptr, out, err);
    return st == ERR_NOT_FOUND ? OK : st;
}

enum status admin_token_sign(struct arena *a, const char *key_path, int64_t now_s, struct str *out,
                             struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, KEY_FILE_MAX);
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    enum status st = file_read(key_path, &pem, err);
    if (st != OK)
        return st;
    st = privkey_from_pem(buf_str(&pem), &key, err);
    if (st == OK && pubkey_kind(privkey_public(key)) != KEY_ED25519) {
        error_set(err, "not an Ed25519 key");
        st = ERR_INVALID;
    }
    if (st != OK) {
        error_prefix(err, "\"%s\": ", key_path);
        return st;
    }
    struct str claims =
        arena_format(a, "{\"iat\":%lld,\"exp\":%lld,\"nbf\":%lld}", (long long)now_s,
                     (long long)(now_s + TOKEN_LIFETIME_S), (long long)now_s);
    CLEANUP(buf_done) struct buf token;
    buf_init_secret(&token, TOKEN_FILE_MAX);
    st = claims.ptr == NULL
             ? arena_status(a)
             : jws_sign(key, STR("EdDSA"), STR("{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"), claims,
                        &token, err);
    if (st != OK)
        return st;
    *out = arena_str(a, buf_str(&token));
    return out->ptr == NULL ? arena_status(a) : OK;
}

/* ---- requests ---- */

/* The server's text in the way that Rust's {:?} prints a string: upstream's users grep for it. */
static void debug_quote(struct buf *out, struct str s)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '"' || c == '\\')
            buf_add_format(out, "\\%c", c);
        else if (c == '\n')
            buf_add_cstr(out, "\\n");
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            buf_add_format(out, "\\u{%x}", c);
        else
            buf_add_byte(out, c);
    }
    buf_add_byte(out, '"');
}

enum status admin_request(struct admin_client *c, const char *method, const char *path,
                          const char *content_type, struct str body, struct buf *answer,
                          struct error *err)
{
    struct str url = arena_format(c->arena, "%s%s", c->url, path);
    struct str auth = arena_format(c->arena, "Authorization: Bearer %.*s", STR_ARG(c->token));
    struct str type = arena_format(c->arena, "Content-Type: %s",
                                   content_type == NULL ? "application/json" : content_type);
    if (url.ptr == NULL || auth.ptr == NULL || type.ptr == NULL)
        return error_nomem(err);
    const char *headers[3] = {type.ptr, c->token.len > 0 ? auth.ptr : NULL, NULL};

    struct http_answer a = {0};
    buf_init(&a.headers, 1024 * 1024);
    buf_init(&a.body, ADMIN_ANSWER_MAX);
    enum status st = http_client_request(c->http, method, url.ptr, headers, body, &a, err);
    if (st == OK) {
        buf_add(answer, buf_str(&a.body));
        st = buf_status(answer);
    }
    if (st == OK && a.status != 200) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, ERROR_TEXT_MAX);
        debug_quote(&text, str_slice(buf_str(&a.body), 0, ERROR_TEXT_MAX / 2));
        if (a.body.len > 0)
            error_set(err, "Request Failed, Response: %.*s", STR_ARG(buf_str(&text)));
        else
            error_set(err, "Request Failed, status %d without a body", a.status);
        st = ERR_DENIED;
    }
    buf_done(&a.headers);
    buf_done(&a.body);
    return st;
}

static enum status post(struct admin_client *c, const char *path, struct str body,
                        struct error *err)
{
    CLEANUP(buf_done) struct buf answer;
    buf_init(&answer, ADMIN_ANSWER_MAX);
    return admin_request(c, "POST", path, NULL, body, &answer, err);
}

enum status admin_set_attestation_policy(struct admin_client *c, const char *type, const char *id,
                                         struct str text, struct error *err)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ADMIN_ANSWER_MAX);
    struct json_writer w;
    json_begin(&w, &body);
    json_object_begin(&w);
    json_key(&w, "type");
    json_cstring(&w, type);
    json_key(&w, "policy_id");
    json_cstring(&w, id);
    json_key(&w, "policy");
    json_string(&w, base64_text(c->arena, text, BASE64_URL));
    json_object_end(&w);
    enum status st = json_finish(&w);
    return st == OK ? post(c, "/kbs/v0/attestation-policy", buf_str(&body), err) : st;
}

enum status admin_set_resource_policy(struct admin_client *c, struct str text, struct error *err)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ADMIN_ANSWER_MAX);
    struct json_writer w;
    json_begin(&w, &body);
    json_object_begin(&w);
    json_key(&w, "policy");
    json_string(&w, base64_text(c->arena, text, BASE64_URL));
    json_object_end(&w);
    enum status st = json_finish(&w);
    return st == OK ? post(c, "/kbs/v0/resource-policy", buf_str(&body), err) : st;
}

enum status admin_set_sample_reference_value(struct admin_client *c, struct str name, value v,
                                             struct error *err)
{
    struct value_pair pair = {value_string(c->arena, name), v};
    return admin_set_reference_values(c, value_object(c->arena, &pair, 1), err);
}

enum status admin_set_reference_values(struct admin_client *c, value object, struct error *err)
{
    struct str payload = json_text(c->arena, object, JSON_COMPACT);
    if (payload.ptr == NULL)
        return error_nomem(err);
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, ADMIN_ANSWER_MAX);
    struct json_writer w;
    json_begin(&w, &body);
    json_object_begin(&w);
    json_key(&w, "version");
    json_cstring(&w, "0.1.0");
    json_key(&w, "type");
    json_cstring(&w, "sample");
    json_key(&w, "payload");
    json_string(&w, base64_text(c->arena, payload, BASE64_STD));
    json_object_end(&w);
    enum status st = json_finish(&w);
    return st == OK ? post(c, "/kbs/v0/reference-value", buf_str(&body), err) : st;
}
