#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "jose/jose.h"
#include "kbs/config.h"
#include "value/json.h"
#include "tap.h"

static void scripted_fill(void *user, void *out, size_t len)
{
    struct world *w = user;
    size_t n = len < w->script.len ? len : w->script.len;
    if (n > 0)
        memcpy(out, w->script.ptr, n);
    w->script = str_from(w->script, n);
    random_bytes((char *)out + n, len - n);
}

void world_write(struct world *w, const char *name, const char *text)
{
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    struct error err = ERROR_INIT;
    CHECK_STATUS(file_make_dirs(path, &err), OK, &err);
    *slash = '/';
    CHECK_STATUS(file_write(path, str_of(text), 0600, &err), OK, &err);
}

void world_make_key(struct world *w, const char *name)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, 10000);
    char file[256];
    CHECK(privkey_generate(KEY_ED25519, 0, &key, NULL) == OK);
    CHECK(privkey_to_pem(key, &pem) == OK);
    buf_add_byte(&pem, '\0');
    snprintf(file, sizeof(file), "%s.key", name);
    world_write(w, file, pem.ptr);
    buf_reset(&pem);
    CHECK(pubkey_to_pem(privkey_public(key), &pem) == OK);
    buf_add_byte(&pem, '\0');
    snprintf(file, sizeof(file), "%s.pub", name);
    world_write(w, file, pem.ptr);
}

/* "@DIR@" filled in. */
static void write_config(struct world *w, const char *config)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    for (const char *at = config; *at != '\0';) {
        if (strncmp(at, "@DIR@", 5) == 0) {
            buf_add_cstr(&text, w->dir);
            at += 5;
        } else {
            buf_add_byte(&text, *at++);
        }
    }
    buf_add_byte(&text, '\0');
    world_write(w, "kbs.toml", text.ptr);
}

void world_prepare(struct world *w, const char *config, int64_t now_s)
{
    static int number;
    *w = (struct world){.script = STR_EMPTY};
    snprintf(w->dir, sizeof(w->dir), "%s/world-%d", tap_tmpdir(), number++);
    mkdir(w->dir, 0700);
    arena_init(&w->arena, 256 << 20);
    w->now_ns = now_s * NS_PER_S;
    w->clock = (struct clock){clock_fixed_now, &w->now_ns};
    w->random = (struct random_source){scripted_fill, w};
    world_make_key(w, "admin");
    write_config(w, config);
}

/* A default path of upstream's is one of the machine's own: no test reads or writes there. */
static bool stays_inside(const struct world *w, const struct kbs_config *c)
{
    struct str dir = str_of(w->dir);
    for (size_t i = 0; i < c->plugin_count; i++)
        if (c->plugins[i].kind == PLUGIN_RESOURCE && c->plugins[i].backend == RESOURCE_NESTED &&
            !str_has_prefix(c->plugins[i].dir_path, dir))
            return false;
    return (!c->has_policy_path || c->has_storage_backend || str_has_prefix(c->policy_path, dir)) &&
           (c->storage_kind == STORAGE_KIND_MEMORY || str_has_prefix(c->storage_path, dir));
}

bool world_run(struct world *w, struct error *err)
{
    char path[8192];
    snprintf(path, sizeof(path), "%s/kbs.toml", w->dir);
    const struct kbs_options options = {
        .config_path = path,
        .extra_anchor_dirs = w->anchors,
        .extra_anchor_count = w->anchors[0] != NULL,
        .decision_ring = w->decision_ring,
        .clock = &w->clock,
        .random = &w->random,
    };
    return kbs_new(&options, &w->kbs, err) == OK &&
           CHECK(stays_inside(w, kbs_current_config(w->kbs)));
}

bool world_start(struct world *w, const char *config, int64_t now_s, struct error *err)
{
    world_prepare(w, config, now_s);
    return world_run(w, err);
}

void world_stop(struct world *w)
{
    w->kbs = kbs_free(w->kbs);
    arena_done(&w->arena);
}

static enum http_method method_of(const char *name)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum http_method)i;
    return HTTP_OTHER;
}

static void add_headers(struct http_head *head, const char *headers)
{
    struct str rest = str_of(headers);
    while (rest.len > 0 && head->field_count < HTTP_HEADERS_MAX) {
        size_t end = str_find(rest, '\n', 0);
        struct str line = str_slice(rest, 0, end);
        size_t colon = str_find(line, ':', 0);
        head->fields[head->field_count++] =
            (struct http_field){str_slice(line, 0, colon), str_trim(str_from(line, colon + 1))};
        rest = str_from(rest, end + 1);
    }
}

struct str answer_header(const struct answer *a, const char *name)
{
    struct str rest = a->headers;
    size_t n = strlen(name);
    while (rest.len > 0) {
        size_t end = str_find(rest, '\n', 0);
        struct str line = str_slice(rest, 0, end);
        if (line.len > n && line.ptr[n] == ':' && strncasecmp(line.ptr, name, n) == 0)
            return str_trim(str_from(line, n + 1));
        rest = str_from(rest, end + 1);
    }
    return STR_EMPTY;
}

struct answer world_send(struct world *w, const char *method, const char *target,
                         const char *headers, struct str body)
{
    struct http_head head = {.method = str_of(method), .target = str_of(target), .minor = 1};
    add_headers(&head, headers == NULL ? "" : headers);
    struct http_exchange x = {
        .head = &head,
        .method = method_of(method),
        .target = str_of(target),
        .body = body,
        .peer = STR("127.0.0.1:1"),
        .start_ns = clock_monotonic_ns(),
    };
    size_t question = str_find(x.target, '?', 0);
    x.path = str_slice(x.target, 0, question);
    x.query = str_from(x.target, question + 1);
    arena_init(&x.arena, 64 << 20);
    buf_init(&x.headers, 1 << 20);
    buf_init_secret(&x.out, 64 << 20);
    if (kbs_quick(w->kbs, &x) == HTTP_WORK)
        kbs_work(w->kbs, &x);
    x.body_len = x.out.len;
    kbs_done(w->kbs, &x, x.out.len);

    struct answer a = {
        .status = x.status,
        .body = arena_str(&w->arena, buf_str(&x.out)),
        .headers = arena_str(&w->arena, buf_str(&x.headers)),
    };
    a.decision = answer_header(&a, "x-decision-id");
    struct str cookie = answer_header(&a, "set-cookie");
    if (str_has_prefix(cookie, STR("kbs-session-id=")))
        a.cookie = str_slice(str_from(cookie, 15), 0, str_find(cookie, ';', 0) - 15);
    else
        a.cookie = STR_EMPTY;
    buf_done(&x.headers);
    buf_done(&x.out);
    arena_done(&x.arena);
    return a;
}

struct str world_bearer(struct world *w, const char *key_name, const char *claims)
{
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s.key", w->dir, key_name);
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, 10000);
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, 100000);
    buf_add_cstr(&token, "Bearer ");
    CHECK(file_read(path, &pem, NULL) == OK);
    CHECK(privkey_from_pem(buf_str(&pem), &key, NULL) == OK);
    CHECK(jws_sign(key, jws_default_alg(privkey_public(key)),
                   STR("{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"), str_of(claims), &token, NULL) == OK);
    return arena_str(&w->arena, buf_str(&token));
}

value world_decision(struct world *w, struct str id)
{
    char claims[128];
    snprintf(claims, sizeof(claims), "{\"exp\":%lld}", (long long)(w->now_ns / NS_PER_S + 100));
    struct str bearer = world_bearer(w, "admin", claims);
    struct str headers = arena_format(&w->arena, "Authorization: %.*s\n", STR_ARG(bearer));
    struct str target = arena_format(&w->arena, "/kbs/v0/decision/%.*s", STR_ARG(id));
    struct answer a = world_send(w, "GET", target.ptr, headers.ptr, STR_EMPTY);
    value v = VALUE_UNDEFINED;
    if (a.status != 200 || json_parse(&w->arena, a.body, NULL, &v, NULL) != OK)
        return VALUE_UNDEFINED;
    return v;
}
