/* Keys at URLs: claviger-fetch against a TLS server of ours that answers well, badly, late or not.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../net/cert.h"
#include "kbs/keys.h"
#include "net/http.h"
#include "net/tls.h"
#include "tap.h"

/* ---- a server ---- */

#define PAGES 16

struct page {
    char path[128];
    int status;
    const char *header, *value;
    char body[1024];
    size_t filler; /* further bytes of 'x' */
    bool slow;     /* not before `released` */
};

struct web {
    struct http_server *server;
    struct tls_server *tls;
    pthread_t thread;
    char origin[64];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct page pages[PAGES];
    size_t count;
    unsigned hits;
    bool released;
};

static void serve_page(struct web *w, struct http_exchange *x)
{
    pthread_mutex_lock(&w->lock);
    w->hits++;
    x->status = 404;
    for (size_t i = 0; i < w->count; i++) {
        const struct page *p = &w->pages[i];
        if (!str_is(x->path, p->path))
            continue;
        while (p->slow && !w->released)
            pthread_cond_wait(&w->changed, &w->lock);
        x->status = p->status;
        if (p->header != NULL)
            http_add_header(x, p->header, str_of(p->value));
        buf_add_cstr(&x->out, p->body);
        for (size_t n = 0; n < p->filler; n++)
            buf_add_byte(&x->out, 'x');
    }
    pthread_mutex_unlock(&w->lock);
}

static enum http_next web_quick(void *user, struct http_exchange *x)
{
    return HTTP_WORK;
}

static void web_work(void *user, struct http_exchange *x)
{
    serve_page(user, x);
}

static void web_done(void *user, const struct http_exchange *x, size_t sent)
{
}

static void *web_main(void *user)
{
    struct web *w = user;
    status_ignore(http_server_run(w->server, NULL));
    return NULL;
}

static bool web_start(struct web *w, const char *cert, const char *key)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    const struct tls_options to = {.certificate_path = cert, .private_key_path = key};
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(tls_server_new(&to, &w->tls, &err), OK, &err))
        return false;
    const struct http_listen listen = {"127.0.0.1:0", w->tls};
    const struct http_options o = {
        .listen = &listen,
        .listen_count = 1,
        .reactors = 1,
        .limits = HTTP_LIMITS_DEFAULT,
        .handler = {web_quick, web_work, web_done, NULL, w},
    };
    if (!CHECK_STATUS(http_server_new(&o, &w->server, &err), OK, &err))
        return false;
    struct str a = http_server_address(w->server, 0);
    snprintf(w->origin, sizeof(w->origin), "https://%.*s", STR_ARG(a));
    return pthread_create(&w->thread, NULL, web_main, w) == 0;
}

static void web_release(struct web *w)
{
    pthread_mutex_lock(&w->lock);
    w->released = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void web_stop(struct web *w)
{
    web_release(w);
    http_server_stop(w->server, 0, 0);
    pthread_join(w->thread, NULL);
    http_server_free(w->server);
    tls_server_unref(w->tls);
}

static struct page *web_page(struct web *w, const char *path, int status, const char *body)
{
    pthread_mutex_lock(&w->lock);
    struct page *p = NULL;
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->pages[i].path, path) == 0)
            p = &w->pages[i];
    if (p == NULL)
        p = &w->pages[w->count++];
    *p = (struct page){.status = status};
    snprintf(p->path, sizeof(p->path), "%s", path);
    snprintf(p->body, sizeof(p->body), "%s", body);
    pthread_mutex_unlock(&w->lock);
    return p;
}

static void web_clear(struct web *w)
{
    pthread_mutex_lock(&w->lock);
    w->count = 0;
    w->hits = 0;
    w->released = false;
    pthread_mutex_unlock(&w->lock);
}

static unsigned web_hits(struct web *w)
{
    pthread_mutex_lock(&w->lock);
    unsigned n = w->hits;
    pthread_mutex_unlock(&w->lock);
    return n;
}

/* A key set with one key of that id: RFC 8037, appendix A.2. */
static const char *set_of(const char *kid)
{
    static char text[512];
    snprintf(text, sizeof(text),
             "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"kid\":\"%s\","
             "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
             kid);
    return text;
}

/* ---- configurations ---- */

static char ca_path[256], program[4096];

static struct kbs_config *config_of(bool old_era, const char *uri, const char *pem_uri,
                                    const char *more)
{
    char text[4096];
    snprintf(text, sizeof(text),
             "[http_server]\ninsecure_http = true\n"
             "[attestation_service]\ntype = \"coco_as_builtin\"\n"
             "[attestation_token]\ntrusted_jwk_sets = [\"%s\"]\n"
             "[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n"
             "[[admin.authentication.bearer_jwt.identity_providers]]\n"
             "public_key_uri = \"%s\"\n"
             "[admin.authorization.regex_acl]\nacls = []\n"
             "[claviger]\nera = \"%s\"\n%s",
             uri, pem_uri, old_era ? "old" : "new", more);
    struct kbs_config *c = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(kbs_config_parse(STR("test.toml"), str_of(text), NULL, NULL, &c, &err), OK, &err);
    return c;
}

static const char *with_ca(const char *more)
{
    static char text[1024];
    snprintf(text, sizeof(text), "fetch_ca = \"%s\"\n%s", ca_path, more);
    return text;
}

static struct keys *keys_of(const struct kbs_config *c, int again_ms, struct keys *before)
{
    const struct keys_options o = {program, again_ms, 20000};
    struct keys *k = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(keys_new(c, &o, before, &k, &err), OK, &err);
    return k;
}

static bool knows(struct keys *k, const struct kbs_config *c, const char *kid)
{
    struct keys_source *s = keys_find(k, KEYS_SET, c->trusted_jwk_sets.items[0]);
    CLEANUP(keys_snapshot_cleanup) struct keys_snapshot *got = keys_get(k, s);
    for (size_t i = 0; got != NULL && i < got->set.len; i++)
        if (str_is(got->set.keys[i].kid, kid))
            return true;
    return false;
}

/* The PEM source of a configuration that is about key sets: a file, there always. */
static char pem_path[4200];

/* ---- where keys are looked for (kbs.md 5.5) ---- */

static const struct rule {
    const char *name;
    bool old_era;
    const char *uri; /* below the origin */
    struct {
        const char *path, *body; /* "SET": a key set; else %s is the origin, %o the other's */
    } pages[3];
    const char *more; /* configuration; %o as above */
    const char *trouble;
} rules[] = {
    {"the URL is a key set", false, "/keys", {{"/keys", "SET"}}, "", NULL},
    {"it is described below",
     false,
     "/realms/foo",
     {{"/realms/foo/.well-known/openid-configuration", "{\"jwks_uri\":\"%s/certs\"}"},
      {"/certs", "SET"}},
     "",
     NULL},
    {"below a URL that ends with a slash",
     false,
     "/realms/foo/",
     {{"/realms/foo/.well-known/openid-configuration", "{\"jwks_uri\":\"%s/certs\"}"},
      {"/certs", "SET"}},
     "",
     NULL},
    {"below a host without a path",
     false,
     "",
     {{"/.well-known/openid-configuration", "{\"jwks_uri\":\"%s/certs\"}"}, {"/certs", "SET"}},
     "",
     NULL},
    {"an empty set is none",
     false,
     "/keys",
     {{"/keys", "{\"keys\":[]}"},
      {"/keys/.well-known/openid-configuration", "{\"jwks_uri\":\"%s/certs\"}"},
      {"/certs", "SET"}},
     "",
     NULL},
    {"v0.16 to v0.20: at the host",
     false,
     "/anything",
     {{"/.well-known/openid-configuration", "{\"jwks_uri\":\"%s/certs\"}"}, {"/certs", "SET"}},
     "",
     NULL},
    {"old: path and query count for nothing",
     true,
     "/anything",
     {{"/.well-known/openid-configuration", "{\"jwks_uri\":\"%s/certs\"}"}, {"/certs", "SET"}},
     "",
     NULL},
    {"old: the URL is no key set", true, "/keys", {{"/keys", "SET"}}, "", "status 404"},
    {"nothing there", false, "/keys", {{NULL, NULL}}, "", "status 404"},
    {"no JSON", false, "/keys", {{"/keys", "<html>"}}, "", "/keys: "},
    {"keys at another host",
     true,
     "/",
     {{"/.well-known/openid-configuration", "{\"jwks_uri\":\"%o/certs\"}"}},
     "",
     "claviger.fetch_allow"},
    {"which the configuration allows",
     true,
     "/",
     {{"/.well-known/openid-configuration", "{\"jwks_uri\":\"%o/certs\"}"}},
     "fetch_allow = [\"%o/\"]",
     NULL},
    {"keys without TLS",
     true,
     "/",
     {{"/.well-known/openid-configuration", "{\"jwks_uri\":\"http://127.0.0.1/certs\"}"}},
     "",
     "no jwks_uri with https"},
    {"no jwks_uri",
     true,
     "/",
     {{"/.well-known/openid-configuration", "{}"}},
     "",
     "no jwks_uri with https"},
};

static void check_rule(struct web *w, struct web *other, const struct rule *row)
{
    web_clear(w);
    for (size_t p = 0; p < ARRAY_LEN(row->pages) && row->pages[p].path != NULL; p++) {
        const char *b = row->pages[p].body;
        char body[1024];
        if (strcmp(b, "SET") == 0)
            snprintf(body, sizeof(body), "%s", set_of("new"));
        else if (strstr(b, "%o") != NULL)
            snprintf(body, sizeof(body), "{\"jwks_uri\":\"%s/certs\"}", other->origin);
        else if (strstr(b, "%s") != NULL)
            snprintf(body, sizeof(body), "{\"jwks_uri\":\"%s/certs\"}", w->origin);
        else
            snprintf(body, sizeof(body), "%s", b);
        web_page(w, row->pages[p].path, 200, body);
    }
    char uri[256], more[256] = "";
    snprintf(uri, sizeof(uri), "%s%s", w->origin, row->uri);
    if (row->more[0] != '\0')
        snprintf(more, sizeof(more), "fetch_allow = [\"%s/\"]", other->origin);
    CLEANUP(kbs_config_cleanup)
    struct kbs_config *c = config_of(row->old_era, uri, pem_path, with_ca(more));
    CLEANUP(keys_cleanup) struct keys *k = keys_of(c, 1, NULL);
    CHECK_ROW(keys_are_remote(k), row->name);
    CHECK_ROW(!knows(k, c, "new") && web_hits(w) == 0, row->name); /* nothing at the start */
    CHECK_ROW(keys_want(k, STR("new")), row->name);
    keys_resolve(k, STR("new"));
    struct error trouble;
    keys_trouble(k, &trouble);
    CHECK_ROW(knows(k, c, "new") == (row->trouble == NULL), row->name);
    bool told =
        row->trouble == NULL ? trouble.text[0] == '\0' : strstr(trouble.text, row->trouble) != NULL;
    if (!CHECK_ROW(told, row->name))
        printf("# %s\n", trouble.text);
}

static void test_rules(struct web *w, struct web *other)
{
    web_clear(other);
    web_page(other, "/certs", 200, set_of("new"));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        check_rule(w, other, &rules[i]);
}

/* ---- answers that are none ---- */

static void test_bad_answers(struct web *w, struct web *other)
{
    char away[128];
    snprintf(away, sizeof(away), "%s/certs", other->origin);
    const struct {
        const char *name;
        int status;
        const char *header, *value;
        size_t filler;
        bool ca;
        const char *trouble;
    } rows[] = {
        {"redirect within the host", 302, "Location", "/moved", 0, true, NULL},
        {"redirect to another host", 302, "Location", away, 0, true, "is not on the list"},
        {"redirect to http", 302, "Location", "http://127.0.0.1/", 0, true, "is not on the list"},
        {"redirect to itself", 307, "Location", "/keys", 0, true, "too many redirects"},
        {"megabytes", 200, NULL, NULL, KEYS_FETCH_MAX + 1, true, "too large"},
        {"a certificate that nobody vouches for", 200, NULL, NULL, 0, false, "certificate"},
        {"an error", 500, NULL, NULL, 0, true, "status 500"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        web_clear(w);
        web_page(w, "/moved", 200, set_of("new"));
        struct page *p = web_page(w, "/keys", rows[i].status, set_of("new"));
        p->header = rows[i].header;
        p->value = rows[i].value;
        p->filler = rows[i].filler;
        char uri[256];
        snprintf(uri, sizeof(uri), "%s/keys?x", w->origin); /* a query: no description below */
        CLEANUP(kbs_config_cleanup)
        struct kbs_config *c = config_of(false, uri, pem_path, rows[i].ca ? with_ca("") : "");
        CLEANUP(keys_cleanup) struct keys *k = keys_of(c, 1, NULL);
        struct error err = ERROR_INIT;
        enum status st = keys_check(k, &err);
        CHECK_ROW((st == OK) == (rows[i].trouble == NULL), rows[i].name);
        CHECK_ROW(knows(k, c, "new") == (rows[i].trouble == NULL), rows[i].name);
        if (rows[i].trouble != NULL && !CHECK_ROW(strstr(err.text, rows[i].trouble), rows[i].name))
            printf("# %s\n", err.text);
    }
}

/* ---- caching ---- */

static void test_again(struct web *w)
{
    web_clear(w);
    web_page(w, "/keys", 200, set_of("one"));
    char uri[256];
    snprintf(uri, sizeof(uri), "%s/keys", w->origin);
    CLEANUP(kbs_config_cleanup)
    struct kbs_config *c = config_of(false, uri, pem_path, with_ca(""));
    CLEANUP(keys_cleanup) struct keys *k = keys_of(c, 3600000, NULL);
    keys_resolve(k, STR("one"));
    CHECK(knows(k, c, "one") && web_hits(w) == 1);
    CHECK(!keys_want(k, STR("one")));
    CHECK(!keys_want(k, STR_EMPTY));

    /* Whoever names keys that are not there makes us ask once in a while, not each time. */
    web_page(w, "/keys", 200, set_of("two"));
    CHECK(!keys_want(k, STR("two")));
    keys_resolve(k, STR("two"));
    CHECK(!knows(k, c, "two") && web_hits(w) == 1);

    /* A reload takes over what was fetched; a rotated key is found when it is asked for. */
    CLEANUP(keys_cleanup) struct keys *after = keys_of(c, 1, k);
    CHECK(knows(after, c, "one") && web_hits(w) == 1);
    usleep(2000);
    CHECK(keys_want(after, STR("two")));
    keys_resolve(after, STR("two"));
    CHECK(knows(after, c, "two") && !knows(after, c, "one") && web_hits(w) == 2);

    /* A server that fails takes nothing away. */
    web_page(w, "/keys", 500, "");
    usleep(2000);
    keys_resolve(after, STR("three"));
    struct error trouble;
    keys_trouble(after, &trouble);
    CHECK(knows(after, c, "two") && strstr(trouble.text, "status 500") != NULL);

    /* Another era reads the URL in another way. */
    CLEANUP(kbs_config_cleanup)
    struct kbs_config *old = config_of(true, uri, pem_path, with_ca(""));
    CLEANUP(keys_cleanup) struct keys *other = keys_of(old, 1, after);
    CHECK(!knows(other, old, "two"));
}

static void test_pem(struct web *w)
{
    web_clear(w);
    web_page(w, "/key", 200,
             "-----BEGIN PUBLIC KEY-----\n"
             "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
             "-----END PUBLIC KEY-----\n");
    char uri[256], set[4200];
    snprintf(uri, sizeof(uri), "%s/key", w->origin);
    snprintf(set, sizeof(set), "%s/set.json", tap_tmpdir());
    FILE *f = fopen(set, "w");
    CHECK(f != NULL && fputs(set_of("file"), f) >= 0 && fclose(f) == 0);
    CLEANUP(kbs_config_cleanup) struct kbs_config *c = config_of(false, set, uri, with_ca(""));
    CLEANUP(keys_cleanup) struct keys *k = keys_of(c, 1, NULL);
    CHECK(knows(k, c, "file"));
    CHECK(!keys_want(k, STR("file"))); /* which is here already */
    CHECK(keys_want(k, STR_EMPTY));
    keys_resolve(k, STR_EMPTY);
    struct keys_source *s = keys_find(k, KEYS_PEM, str_of(uri));
    CLEANUP(keys_snapshot_cleanup) struct keys_snapshot *got = keys_get(k, s);
    CHECK(got != NULL && got->key != NULL);
    CHECK(!keys_want(k, STR_EMPTY));
    CHECK(!keys_want(k, STR("other"))); /* a single key has no id to miss */
}

/* ---- waiting ---- */

struct waiter {
    struct keys *keys;
    pthread_t thread;
    atomic_bool ended;
};

static void *wait_for_key(void *user)
{
    struct waiter *w = user;
    keys_resolve(w->keys, STR("slow"));
    atomic_store(&w->ended, true);
    return NULL;
}

static void until_hit(struct web *w, unsigned n)
{
    while (web_hits(w) < n)
        usleep(1000);
}

static void test_slow(struct web *w)
{
    web_clear(w);
    web_page(w, "/keys", 200, set_of("slow"))->slow = true;
    char uri[256];
    snprintf(uri, sizeof(uri), "%s/keys", w->origin);
    CLEANUP(kbs_config_cleanup)
    struct kbs_config *c = config_of(false, uri, pem_path, with_ca(""));
    struct keys *k = keys_of(c, 1, NULL);

    /* Due at the start: fetched by a thread, while readers go on. */
    keys_tend(k);
    until_hit(w, 1);
    keys_tend(k);
    CHECK(!knows(k, c, "slow"));
    CHECK(keys_want(k, STR("slow"))); /* it may be what is coming */

    /* Workers that wait for it are few; further ones are not kept. */
    struct waiter waiters[KEYS_WAITERS_MAX] = {0};
    for (size_t i = 0; i < ARRAY_LEN(waiters); i++) {
        waiters[i].keys = k;
        CHECK(pthread_create(&waiters[i].thread, NULL, wait_for_key, &waiters[i]) == 0);
    }
    while (keys_want(k, STR("slow")))
        usleep(1000);
    keys_resolve(k, STR("slow"));
    CHECK(!knows(k, c, "slow"));
    for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
        CHECK(!atomic_load(&waiters[i].ended));
    web_release(w);
    for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
        pthread_join(waiters[i].thread, NULL);
    CHECK(knows(k, c, "slow") && web_hits(w) == 1);
    keys_free(k);

    /* The end of a configuration does not wait for a server that does not answer. */
    web_clear(w);
    web_page(w, "/keys", 200, set_of("slow"))->slow = true;
    k = keys_of(c, 1, NULL);
    keys_tend(k);
    until_hit(w, 1);
    keys_free(k);
    web_release(w);
}

/* Names that are not fetched, and not read. */
static void test_names(void)
{
    static const struct {
        const char *name, *uri, *why;
    } rows[] = {
        {"no TLS", "http://example.com/keys", "unsupported scheme"},
        {"another scheme", "ftp://example.com/keys", "unsupported scheme"},
        {"no host", "https://", "no URL that is fetched"},
        {"a user", "https://me@example.com/keys", "no URL that is fetched"},
        {"dots", "https://example.com/a/../keys", "no URL that is fetched"},
        {"a missing file", "file:///nowhere/keys", "could not read"},
        {"a missing path", "/nowhere/keys", "could not read"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(kbs_config_cleanup)
        struct kbs_config *c = config_of(false, rows[i].uri, pem_path, "");
        const struct keys_options o = {program, 0, 0};
        struct keys *k = NULL;
        struct error err = ERROR_INIT;
        CHECK_ROW(keys_new(c, &o, NULL, &k, &err) != OK && k == NULL, rows[i].name);
        if (!CHECK_ROW(strstr(err.text, rows[i].why), rows[i].name))
            printf("# %s\n", err.text);
    }
}

static void test_sweep(void)
{
    CLEANUP(kbs_config_cleanup)
    struct kbs_config *c = config_of(false, "https://example.com/keys", pem_path, "");
    const struct keys_options o = {program, 0, 0};
    enum status st = ERR_NOMEM;
    for (long n = 1; st != OK && n < 500; n++) {
        struct keys *k = NULL;
        tap_fail_malloc_after(n);
        st = keys_new(c, &o, NULL, &k, NULL);
        tap_fail_malloc_after(0);
        if (st != OK && !tap_malloc_can_fail())
            break;
        CHECK(st == OK ? k != NULL : k == NULL);
        keys_free(k);
    }
    CHECK(st == OK || !tap_malloc_can_fail());
}

int main(void)
{
    char key_path[256], other_cert[256], other_key[256];
    make_cert("keys", ca_path, key_path);
    make_cert("other", other_cert, other_key);
    const char *build = getenv("CLAVIGER_BUILD");
    snprintf(program, sizeof(program), "%s/programs/claviger-fetch", build == NULL ? "." : build);
    snprintf(pem_path, sizeof(pem_path), "%s/admin.pub", tap_tmpdir());
    FILE *f = fopen(pem_path, "w");
    CHECK(f != NULL &&
          fputs("-----BEGIN PUBLIC KEY-----\n"
                "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                "-----END PUBLIC KEY-----\n",
                f) >= 0 &&
          fclose(f) == 0);

    static struct web web, other;
    if (web_start(&web, ca_path, key_path) && web_start(&other, ca_path, key_path)) {
        test_rules(&web, &other);
        test_bad_answers(&web, &other);
        test_again(&web);
        test_pem(&web);
        test_slow(&web);
        web_stop(&web);
        web_stop(&other);
    }
    test_names();
    test_sweep();
    return tap_done();
}
