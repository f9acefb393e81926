/*
 * Whole requests against a whole broker, without sockets: method, target,
 * headers and body from the fuzzer, the answer judged.
 *
 * Input: a byte for the method, then target LF headers LF LF body.
 *
 * Through them: cookie_open(), token_verify().
 *
 * Properties: every answer has a status that the protocol knows; an error of
 * ours is JSON with its decision id last; nobody without credentials gets 200
 * from an administrative route; no answer holds the secret.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "kbs/kbs.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "c2VjcmV0IG9mIHRoZSBmdXp6ZXI"

static char dir[64] = "/tmp/claviger-fuzz-XXXXXX";
static int64_t now_ns = 1787277031LL * NS_PER_S;

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    if (file_make_dirs(path, NULL) != OK)
        abort();
    *slash = '/';
    if (file_write(path, str_of(text), 0600, NULL) != OK)
        abort();
}

static void clean_up(void)
{
    static const char *const files[] = {"kbs.toml", "admin.pub",   "repo/a/b/c",
                                        "repo/a/b", "repo/a",      "repo/default",
                                        "repo",     "policy.rego", ""};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        remove(path);
    }
}

static struct kbs *start(void)
{
    static const struct clock clock = {clock_fixed_now, &now_ns};
    if (mkdtemp(dir) == NULL)
        abort();
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, 10000);
    if (privkey_generate(KEY_ED25519, 0, &key, NULL) != OK ||
        pubkey_to_pem(privkey_public(key), &pem) != OK)
        abort();
    buf_add_byte(&pem, '\0');
    write_file("admin.pub", pem.ptr);
    write_file("repo/a/b/c", SECRET);
    write_file("policy.rego", "package policy\nallow := true\n");
    char config[1024];
    snprintf(config, sizeof(config),
             "[http_server]\ninsecure_http = true\n[admin]\nauth_public_key = \"%s/admin.pub\"\n"
             "[attestation_token]\ninsecure_key = true\n"
             "[attestation_service]\ntype = \"coco_as_builtin\"\n"
             "[attestation_service.verifier_config.sample_verifier]\n"
             "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndir_path = \"%s/repo\"\n"
             "[policy_engine]\npolicy_path = \"%s/policy.rego\"\n",
             dir, dir, dir);
    write_file("kbs.toml", config);
    if (log_init("off", NULL) != OK)
        abort();
    char path[256];
    snprintf(path, sizeof(path), "%s/kbs.toml", dir);
    const struct kbs_options options = {.config_path = path, .clock = &clock};
    struct kbs *k = NULL;
    struct error err = ERROR_INIT;
    if (kbs_new(&options, &k, &err) != OK) {
        fputs(err.text, stderr);
        abort();
    }
    atexit(clean_up);
    return k;
}

static struct str take_line(struct str *rest)
{
    size_t end = str_find(*rest, '\n', 0);
    struct str line = str_slice(*rest, 0, end);
    *rest = str_from(*rest, end + 1);
    return line;
}

static void read_headers(struct http_head *head, struct str *rest)
{
    for (struct str line; (line = take_line(rest)).len > 0;) {
        size_t colon = str_find(line, ':', 0);
        if (head->field_count < HTTP_HEADERS_MAX)
            head->fields[head->field_count++] =
                (struct http_field){str_slice(line, 0, colon), str_trim(str_from(line, colon + 1))};
    }
}

/* The secret, or all of it but what stands before `from`. */
static bool holds_secret(struct str s, size_t from)
{
    struct str secret = str_from(STR(SECRET), from);
    return s.len >= secret.len && memmem(s.ptr, s.len, secret.ptr, secret.len) != NULL;
}

static void judge(const struct http_exchange *x)
{
    struct str body = buf_str(&x->out);
    if (x->status != 200 && x->status != 401 && x->status != 404 && x->status != 405)
        abort();
    /* Errors name the path that was asked for, the last two digits of an escape included. */
    if (holds_secret(body, 0) && !holds_secret(x->target, 2))
        abort();
    bool administers = str_has_prefix(x->path, STR("/kbs/v0/resource-policy")) ||
                       str_has_prefix(x->path, STR("/kbs/v0/decision")) ||
                       (str_has_prefix(x->path, STR("/kbs/v0/resource/")) && x->method != HTTP_GET);
    if (administers && x->status == 200)
        abort();
    if (x->status == 200 || body.len == 0)
        return;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    value v;
    if (json_parse(&a, body, NULL, &v, NULL) != OK || !value_is_string(value_get_lit(v, "type")) ||
        !value_is_string(value_get_lit(v, "detail")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET",    "HEAD",  "POST",    "PUT",
                                          "DELETE", "PATCH", "OPTIONS", "X"};
    static struct kbs *kbs;
    if (kbs == NULL)
        kbs = start();
    if (size < 2)
        return 0;
    struct str rest = str_bytes(data + 1, size - 1);
    unsigned m = data[0] % 8;
    struct str target = take_line(&rest);
    struct http_head head = {.method = str_of(methods[m]), .target = target, .minor = 1};
    read_headers(&head, &rest);
    size_t question = str_find(target, '?', 0);
    struct http_exchange x = {
        .head = &head,
        .method = (enum http_method)m,
        .target = target,
        .path = str_slice(target, 0, question),
        .query = str_from(target, question + 1),
        .body = rest,
        .peer = STR("127.0.0.1:1"),
        .start_ns = clock_monotonic_ns(),
    };
    arena_init(&x.arena, 16 << 20);
    buf_init(&x.headers, 1 << 20);
    buf_init_secret(&x.out, 16 << 20);
    if (kbs_quick(kbs, &x) == HTTP_WORK)
        kbs_work(kbs, &x);
    x.body_len = x.out.len;
    kbs_done(kbs, &x, x.out.len);
    judge(&x);
    buf_done(&x.headers);
    buf_done(&x.out);
    arena_done(&x.arena);
    return 0;
}
