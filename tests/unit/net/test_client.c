/* The client against a server of ours, plain and TLS. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cert.h"
#include "fixture.h"
#include "net/client.h"
#include "net/tls.h"
#include "tap.h"

static void answer_init(struct http_answer *a, size_t body_max)
{
    *a = (struct http_answer){0};
    buf_init(&a->body, body_max);
    buf_init(&a->headers, 65536);
}

static void answer_done(struct http_answer *a)
{
    buf_done(&a->body);
    buf_done(&a->headers);
}

static void test_requests(const char *address)
{
    static const char *const typed[] = {"Content-Type: application/json", "A: val", NULL};
    const struct {
        const char *name, *method, *path;
        struct str body;
        const char *const *headers;
        size_t max;
        enum status want;
        int status;
        const char *answer;
    } rows[] = {
        {"get", "GET", "/method", STR(""), NULL, 100, OK, 200, "GET - -"},
        {"post", "POST", "/method", STR("x"), NULL, 100, OK, 200, "POST - -"},
        {"post, empty", "POST", "/method", STR(""), NULL, 100, OK, 200, "POST - -"},
        {"put, typed", "PUT", "/method", STR("x"), typed, 100, OK, 200, "PUT typed -"},
        {"delete", "DELETE", "/method", STR(""), NULL, 100, OK, 200, "DELETE - -"},
        {"patch", "PATCH", "/method", STR("x"), NULL, 100, OK, 200, "PATCH - -"},
        {"head", "HEAD", "/big?5", STR(""), NULL, 100, OK, 200, ""},
        {"body", "POST", "/work", STR("hello\0you"), NULL, 100, OK, 200, NULL},
        {"header", "GET", "/header", STR(""), typed, 100, OK, 200, "val"},
        {"no content", "GET", "/none", STR(""), NULL, 100, OK, 204, ""},
        {"not found", "GET", "/nowhere", STR(""), NULL, 100, OK, 404, ""},
        {"redirect followed", "GET", "/redirect?/big%3f3", STR(""), NULL, 100, OK, 404, ""},
        {"redirect followed to the end", "GET", "/redirect?/method", STR(""), NULL, 100, OK, 200,
         "GET - -"},
        {"loop", "GET", "/loop", STR(""), NULL, 100, ERR_UNAVAILABLE, 0, ""},
        {"other scheme", "GET", "/redirect?file:///etc/passwd", STR(""), NULL, 100, ERR_INVALID, 0,
         ""},
        {"at the limit", "GET", "/big?100", STR(""), NULL, 100, OK, 200, NULL},
        {"one past it", "GET", "/big?101", STR(""), NULL, 100, ERR_LIMIT, 0, NULL},
    };
    struct http_client_options o = {.follow = true, .timeout_ms = PATIENCE_MS};
    CLEANUP(http_client_cleanup) struct http_client *c = NULL;
    if (!CHECK(http_client_new(&o, &c, NULL) == OK))
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_answer a;
        answer_init(&a, rows[i].max);
        char url[256];
        snprintf(url, sizeof(url), "http://%s%s", address, rows[i].path);
        struct error err = ERROR_INIT;
        enum status st =
            http_client_request(c, rows[i].method, url, rows[i].headers, rows[i].body, &a, &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].name);
        if (st == OK) {
            CHECK_ROW(a.status == rows[i].status, rows[i].name);
            CHECK_ROW(http_answer_header(&a, "DATE").len == 29, rows[i].name);
            if (rows[i].answer != NULL)
                CHECK_STR_ROW(buf_str(&a.body), str_of(rows[i].answer), rows[i].name);
        } else {
            CHECK_ROW(strstr(err.text, "http://") != NULL && strchr(err.text, '?') == NULL,
                      rows[i].name);
        }
        answer_done(&a);
    }

    struct http_answer a;
    answer_init(&a, 100);
    struct error err = ERROR_INIT;
    static const char *const evil[] = {"A: b\r\nC: d", NULL};
    char url[256];
    snprintf(url, sizeof(url), "http://%s/none", address);
    CHECK(http_client_request(c, "GET", url, evil, STR_EMPTY, &a, NULL) == ERR_INVALID);
    CHECK(http_client_request(c, "GET", "ftp://127.0.0.1/", NULL, STR_EMPTY, &a, NULL) ==
          ERR_INVALID);
    CHECK_STATUS(
        http_client_request(c, "GET", "http://127.0.0.1:1/x?secret", NULL, STR_EMPTY, &a, &err),
        ERR_UNAVAILABLE, &err);
    CHECK(strstr(err.text, "secret") == NULL && strstr(err.text, "http://127.0.0.1:1/x") != NULL);
    snprintf(url, sizeof(url), "http://%s/retry", address);
    CHECK(http_client_request(c, "GET", url, NULL, STR_EMPTY, &a, NULL) == OK && a.status == 503);
    CHECK(http_client_retry_after(c) == 7);
    answer_done(&a);
}

static void test_habits(struct fixture *f)
{
    char url[256];
    struct http_answer a;
    answer_init(&a, 100);
    for (int cookies = 0; cookies < 2; cookies++) {
        struct http_client_options o = {.cookies = cookies != 0};
        CLEANUP(http_client_cleanup) struct http_client *c = NULL;
        CHECK(http_client_new(&o, &c, NULL) == OK);
        snprintf(url, sizeof(url), "http://%s/cookie", f->address);
        CHECK(http_client_request(c, "GET", url, NULL, STR_EMPTY, &a, NULL) == OK &&
              a.body.len == 0);
        CHECK(http_client_request(c, "GET", url, NULL, STR_EMPTY, &a, NULL) == OK);
        CHECK_STR(buf_str(&a.body), cookies != 0 ? STR("abc") : STR(""));
    }

    /* Not followed unless asked to: the answer is the redirect, and says where to. */
    struct http_client_options o = {.timeout_ms = PATIENCE_MS};
    CLEANUP(http_client_cleanup) struct http_client *c = NULL;
    CHECK(http_client_new(&o, &c, NULL) == OK);
    snprintf(url, sizeof(url), "http://%s/redirect?/x", f->address);
    CHECK(http_client_request(c, "GET", url, NULL, STR_EMPTY, &a, NULL) == OK && a.status == 302);
    snprintf(url, sizeof(url), "http://%s/x", f->address);
    CHECK(http_client_redirect(c) != NULL && strcmp(http_client_redirect(c), url) == 0);

    o.timeout_ms = 100;
    CLEANUP(http_client_cleanup) struct http_client *hasty = NULL;
    CHECK(http_client_new(&o, &hasty, NULL) == OK);
    snprintf(url, sizeof(url), "http://%s/slow", f->address);
    int64_t start = now_ms();
    CHECK(http_client_request(hasty, "GET", url, NULL, STR_EMPTY, &a, NULL) == ERR_UNAVAILABLE);
    CHECK(now_ms() - start >= 95 && now_ms() - start < PATIENCE_MS);
    answer_done(&a);
}

static void test_tls(void)
{
    char cert[256], key[256], other_cert[256], other_key[256], url[256];
    make_cert("server", cert, key);
    make_cert("other", other_cert, other_key);
    struct tls_options to = {cert, key, TLS_INTERMEDIATE, 0, 0, NULL, NULL};
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&to, &t, NULL) == OK);
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), t, 1)))
        return;

    const struct {
        const char *name, *ca, *scheme, *path;
        enum status want;
    } rows[] = {
        {"trusted", cert, "https", "/method", OK},
        {"the system's roots only", NULL, "https", "/method", ERR_DENIED},
        {"another root", other_cert, "https", "/method", ERR_DENIED},
        {"no such file", "/nonexistent", "https", "/method", ERR_DENIED},
        {"from https to http", cert, "https", "/redirect?http://127.0.0.1:1/", ERR_INVALID},
        {"plain to a TLS port", NULL, "http", "/method", ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_client_options o = {.ca_file = rows[i].ca, .follow = true};
        CLEANUP(http_client_cleanup) struct http_client *c = NULL;
        CHECK(http_client_new(&o, &c, NULL) == OK);
        struct http_answer a;
        answer_init(&a, 100);
        struct error err = ERROR_INIT;
        snprintf(url, sizeof(url), "%s://%s%s", rows[i].scheme, f.address, rows[i].path);
        CHECK_STATUS_ROW(http_client_request(c, "GET", url, NULL, STR_EMPTY, &a, &err),
                         rows[i].want, &err, rows[i].name);
        answer_done(&a);
    }
    CHECK(fixture_stop(&f));
}

int main(void)
{
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), NULL, 1)))
        return tap_done();
    test_requests(f.address);
    test_habits(&f);
    CHECK(fixture_stop(&f));
    test_tls();
    return tap_done();
}
