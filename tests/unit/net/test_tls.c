/* TLS: contexts and their refusals, handshakes by version, reload, renegotiation, dirty ends. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "cert.h"
#include "fixture.h"
#include "net/tls.h"
#include "tap.h"

#define H "Host: h\r\n"

/* ---- certificates of this test's own ---- */

static char cert_a[256], key_a[256], cert_b[256], key_b[256], junk[256], empty[256], locked[256];

/* The same key under a passphrase. */
static void make_locked(void)
{
    FILE *f = fopen(key_a, "r");
    EVP_PKEY *key = f == NULL ? NULL : PEM_read_PrivateKey(f, NULL, NULL, NULL);
    CHECK(key != NULL && fclose(f) == 0);
    snprintf(locked, sizeof(locked), "%s/locked.key", tap_tmpdir());
    f = fopen(locked, "w");
    CHECK(f != NULL &&
          PEM_write_PKCS8PrivateKey(f, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL) == 1 &&
          fclose(f) == 0);
    EVP_PKEY_free(key);
}

static void make_files(void)
{
    make_cert("a", cert_a, key_a);
    make_cert("b", cert_b, key_b);
    make_locked();
    snprintf(junk, sizeof(junk), "%s/junk", tap_tmpdir());
    snprintf(empty, sizeof(empty), "%s/empty", tap_tmpdir());
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    CHECK(file_read(cert_a, &b, NULL) == OK);
    buf_add_cstr(&b, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    CHECK(file_write(junk, buf_str(&b), 0600, NULL) == OK);
    CHECK(file_write(empty, STR(""), 0600, NULL) == OK);
}

static struct tls_options options_a(void)
{
    return (struct tls_options){cert_a, key_a, TLS_INTERMEDIATE, 0, 0, NULL, NULL};
}

/* ---- contexts ---- */

static void test_contexts(void)
{
    const struct {
        const char *name;
        struct tls_options o;
        enum status want;
        const char *text; /* part of the error */
    } rows[] = {
        {"intermediate", {cert_a, key_a, TLS_INTERMEDIATE, 0, 0, NULL, NULL}, OK, ""},
        {"old", {cert_a, key_a, TLS_OLD, 0, 0, NULL, NULL}, OK, ""},
        {"modern", {cert_a, key_a, TLS_MODERN, 0, 0, NULL, NULL}, OK, ""},
        {"custom",
         {cert_a, key_a, TLS_CUSTOM, 12, 12, "ECDHE-ECDSA-AES256-GCM-SHA384", "P-384"},
         OK,
         ""},
        {"one list for both versions",
         {cert_a, key_a, TLS_CUSTOM, 0, 0, "ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_256_GCM_SHA384",
          NULL},
         OK,
         ""},
        {"1.3 down to 1.2",
         {cert_a, key_a, TLS_INTERMEDIATE, 13, 12, NULL, NULL},
         ERR_INVALID,
         "tls_min_version (1.3) cannot be greater than tls_max_version (1.2)"},
        {"modern up to 1.2", {cert_a, key_a, TLS_MODERN, 0, 12, NULL, NULL}, OK, ""},
        {"unknown suites",
         {cert_a, key_a, TLS_CUSTOM, 0, 0, "NO-SUCH", NULL},
         ERR_INVALID,
         "NO-SUCH"},
        {"unknown 1.3 suites",
         {cert_a, key_a, TLS_MODERN, 0, 0, "TLS_NO_SUCH", NULL},
         ERR_INVALID,
         "TLS_NO_SUCH"},
        {"unknown group",
         {cert_a, key_a, TLS_CUSTOM, 0, 0, NULL, "P-256:P-7"},
         ERR_INVALID,
         "P-256:P-7"},
        {"no certificate file",
         {"/nonexistent", key_a, TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_NOT_FOUND,
         "/nonexistent"},
        {"no key file",
         {cert_a, "/nonexistent", TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_NOT_FOUND,
         "/nonexistent"},
        {"empty certificate",
         {empty, key_a, TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_INVALID,
         "no PEM certificate"},
        {"malformed chain",
         {junk, key_a, TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_INVALID,
         "malformed block"},
        {"certificate as key",
         {cert_a, cert_a, TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_INVALID,
         "no PEM private key"},
        {"passphrase",
         {cert_a, locked, TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_INVALID,
         "without passphrase"},
        {"other's key",
         {cert_a, key_b, TLS_INTERMEDIATE, 0, 0, NULL, NULL},
         ERR_INVALID,
         "does not belong"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(tls_server_new(&rows[i].o, &t, &err), rows[i].want, &err, rows[i].name);
        CHECK_ROW((t != NULL) == (rows[i].want == OK), rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL, rows[i].name);
        CHECK_ROW(ERR_peek_error() == 0, rows[i].name);
    }

    enum tls_profile p;
    CHECK(tls_profile_named(STR("old"), &p) && p == TLS_OLD);
    CHECK(tls_profile_named(STR("custom"), &p) && p == TLS_CUSTOM);
    CHECK(!tls_profile_named(STR("Old"), &p) && !tls_profile_named(STR(""), &p));

    /* The post-quantum groups come first wherever this OpenSSL has them. */
    struct tls_options o = options_a();
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&o, &t, NULL) == OK);
    SSL_CTX *probe = SSL_CTX_new(TLS_method());
    char best[] = "X25519MLKEM768"; /* the macro casts const away */
    bool pq = SSL_CTX_set1_groups_list(probe, best) == 1;
    SSL_CTX_free(probe);
    ERR_clear_error();
    CHECK(str_has_prefix(str_of(tls_server_groups(t)),
                         pq ? STR("X25519MLKEM768:") : STR("X25519:P-256:P-384")));
    CHECK(str_has_suffix(str_of(tls_server_groups(t)), STR("X25519:P-256:P-384")));
}

/* ---- handshakes ---- */

struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    bool connected;
};

static bool client_open(struct client *c, const char *address, int min, int max, const char *alpn)
{
    *c = (struct client){.fd = raw_connect(address), .ctx = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_min_proto_version(c->ctx, min);
    SSL_CTX_set_max_proto_version(c->ctx, max);
    c->ssl = SSL_new(c->ctx);
    if (alpn != NULL)
        SSL_set_alpn_protos(c->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    SSL_set_fd(c->ssl, c->fd);
    ERR_clear_error();
    c->connected = SSL_connect(c->ssl) == 1;
    ERR_clear_error();
    return c->connected;
}

static void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
}

/* One request whose answer has `length` bytes of body; false when it did not come whole. */
static bool exchange(struct client *c, struct str request, size_t length)
{
    if (SSL_write(c->ssl, request.ptr, (int)request.len) != (int)request.len)
        return false;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 25);
    struct http_head h;
    size_t scan = 0, used = 0;
    bool head = false;
    while (!head || text.len < used + length) {
        char part[16384];
        ERR_clear_error();
        int n = SSL_read(c->ssl, part, sizeof(part));
        if (n <= 0)
            return false;
        buf_add(&text, str_bytes(part, (size_t)n));
        if (!head)
            head = http_head_parse_response(buf_str(&text), &scan, &h, &used) == HTTP_PARSE_DONE;
    }
    return text.len == used + length && h.length == length && h.status == 200;
}

static void test_versions(void)
{
    const struct {
        const char *name;
        enum tls_profile profile;
        int min, max; /* of the server */
        int client;
        bool want;
    } rows[] = {
        {"intermediate, 1.3", TLS_INTERMEDIATE, 0, 0, TLS1_3_VERSION, true},
        {"intermediate, 1.2", TLS_INTERMEDIATE, 0, 0, TLS1_2_VERSION, true},
        {"intermediate, 1.1", TLS_INTERMEDIATE, 0, 0, TLS1_1_VERSION, false},
        {"old, 1.2", TLS_OLD, 0, 0, TLS1_2_VERSION, true},
        {"old, 1.3", TLS_OLD, 0, 0, TLS1_3_VERSION, true},
        {"preset of v0.11, 1.2", TLS_PRESET_V4, 0, 0, TLS1_2_VERSION, true},
        {"preset of v0.11, 1.3", TLS_PRESET_V4, 0, 0, TLS1_3_VERSION, false},
        {"modern, 1.3", TLS_MODERN, 0, 0, TLS1_3_VERSION, true},
        {"modern, 1.2", TLS_MODERN, 0, 0, TLS1_2_VERSION, false},
        {"up to 1.2, 1.3", TLS_INTERMEDIATE, 0, 12, TLS1_3_VERSION, false},
        {"from 1.3, 1.2", TLS_INTERMEDIATE, 13, 0, TLS1_2_VERSION, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_options o = options_a();
        o.profile = rows[i].profile;
        o.min_version = rows[i].min;
        o.max_version = rows[i].max;
        CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
        CHECK_ROW(tls_server_new(&o, &t, NULL) == OK, rows[i].name);
        struct fixture f;
        if (!CHECK_ROW(fixture_start(&f, fixture_limits(), t, 1), rows[i].name))
            return;
        struct client c;
        CHECK_ROW(client_open(&c, f.address, rows[i].client, rows[i].client, NULL) == rows[i].want,
                  rows[i].name);
        if (rows[i].want)
            CHECK_ROW(exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3), rows[i].name);
        client_close(&c);
        CHECK_ROW(fixture_stop(&f), rows[i].name);
    }
}

static void test_exchanges(void)
{
    struct tls_options o = options_a();
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&o, &t, NULL) == OK);
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), t, 2)))
        return;
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct client c;
        if (!CHECK(client_open(&c, f.address, versions[i], versions[i], "\x02h2\x08http/1.1")))
            continue;
        const unsigned char *alpn;
        unsigned alpn_len;
        SSL_get0_alpn_selected(c.ssl, &alpn, &alpn_len);
        CHECK_STR(str_bytes(alpn, alpn_len), STR("http/1.1"));

        CHECK(exchange(&c, STR("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), 5));
        CHECK(exchange(&c, STR("POST /work HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), 5));
        CHECK(exchange(&c, STR("GET /big?14300 HTTP/1.1\r\n" H "\r\n"),
                       14300)); /* around one record */
        CHECK(exchange(&c, STR("GET /big?16384 HTTP/1.1\r\n" H "\r\n"), 16384));
        CHECK(exchange(&c, STR("GET /big?9000000 HTTP/1.1\r\n" H "\r\n"), 9000000));

        /* A body over several records, in both directions. */
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, 1 << 20);
        buf_add_cstr(&out, "POST /echo HTTP/1.1\r\n" H "Content-Length: 90000\r\n\r\n");
        for (int k = 0; k < 90000; k++)
            buf_add_byte(&out, 'y');
        CHECK(exchange(&c, buf_str(&out), 90000));
        client_close(&c);
    }

    /* A client that only speaks h2 gets no ALPN, and is for himself to leave. */
    struct client c;
    CHECK(client_open(&c, f.address, 0, 0, "\x02h2"));
    const unsigned char *alpn;
    unsigned alpn_len;
    SSL_get0_alpn_selected(c.ssl, &alpn, &alpn_len);
    CHECK(alpn_len == 0);
    client_close(&c);

    /* Plain HTTP on a TLS port, and a hello cut short. */
    int fd = raw_connect(f.address);
    raw_send(fd, STR("GET / HTTP/1.1\r\n" H "\r\n"));
    char drop[256];
    while (recv(fd, drop, sizeof(drop), 0) > 0)
        ;
    CHECK(raw_at_end(fd));
    close(fd);
    fd = raw_connect(f.address);
    raw_send(fd, STR("\x16\x03\x01\x00"));
    shutdown(fd, SHUT_WR);
    while (recv(fd, drop, sizeof(drop), 0) > 0)
        ;
    CHECK(raw_at_end(fd));
    close(fd);
    CHECK(fixture_stop(&f));
}

/* TLS 1.2 client-initiated renegotiation: refused, and the connection lives on or dies, never more.
 */
static void test_renegotiation(void)
{
    struct tls_options o = options_a();
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&o, &t, NULL) == OK);
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), t, 1)))
        return;
    struct client c;
    if (CHECK(client_open(&c, f.address, TLS1_2_VERSION, TLS1_2_VERSION, NULL))) {
        CHECK(exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
        ERR_clear_error();
        SSL_renegotiate(c.ssl);
        CHECK(SSL_do_handshake(c.ssl) != 1 ||
              !exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
        CHECK(SSL_num_renegotiations(c.ssl) <= 1);
        ERR_clear_error();
    }
    client_close(&c);

    /* TLS 1.3 key updates are not renegotiation: they work, asking for ours, too. */
    if (CHECK(client_open(&c, f.address, TLS1_3_VERSION, TLS1_3_VERSION, NULL))) {
        for (int i = 0; i < 3; i++) {
            CHECK(SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
            CHECK(exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
        }
    }
    client_close(&c);
    CHECK(fixture_stop(&f));
}

static bool peer_is(struct client *c, const char *cn)
{
    X509 *cert = SSL_get1_peer_certificate(c->ssl);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
    X509_free(cert);
    return strcmp(name, cn) == 0;
}

static void test_reload(void)
{
    struct tls_options o = options_a();
    struct tls_server *a = NULL, *b = NULL;
    CHECK(tls_server_new(&o, &a, NULL) == OK);
    o.certificate_path = cert_b;
    o.private_key_path = key_b;
    CHECK(tls_server_new(&o, &b, NULL) == OK);
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), a, 2)))
        return;
    a = tls_server_unref(a); /* the server has its own */

    struct client before, after;
    CHECK(client_open(&before, f.address, 0, 0, NULL) && peer_is(&before, "a"));
    http_server_set_tls(f.server, 0, b);
    b = tls_server_unref(b);
    CHECK(client_open(&after, f.address, 0, 0, NULL) && peer_is(&after, "b"));
    CHECK(exchange(&before, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
    CHECK(exchange(&after, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
    client_close(&before);
    client_close(&after);
    CHECK(fixture_stop(&f));
}

/* A session resumes by its ticket, without the server keeping anything. */
static void test_resumption(void)
{
    struct tls_options o = options_a();
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&o, &t, NULL) == OK);
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), t, 1)))
        return;
    struct client c;
    CHECK(client_open(&c, f.address, 0, 0, NULL));
    CHECK(exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3)); /* reads the ticket, too */
    SSL_SESSION *session = SSL_get1_session(c.ssl);
    SSL_shutdown(c.ssl);
    client_close(&c);

    c = (struct client){.fd = raw_connect(f.address), .ctx = SSL_CTX_new(TLS_client_method())};
    c.ssl = SSL_new(c.ctx);
    SSL_set_session(c.ssl, session);
    SSL_set_fd(c.ssl, c.fd);
    CHECK(SSL_connect(c.ssl) == 1 && SSL_session_reused(c.ssl));
    CHECK(exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
    client_close(&c);
    SSL_SESSION_free(session);
    CHECK(fixture_stop(&f));
}

static void test_ends(void)
{
    struct tls_options o = options_a();
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&o, &t, NULL) == OK);
    struct fixture f;
    if (!CHECK(fixture_start(&f, fixture_limits(), t, 1)))
        return;

    /* TCP closed without a close_notify, after an exchange. */
    struct client c;
    CHECK(client_open(&c, f.address, 0, 0, NULL));
    CHECK(exchange(&c, STR("GET /big?3 HTTP/1.1\r\n" H "\r\n"), 3));
    client_close(&c);

    /* Ours comes with one: the client reads a clean end. */
    CHECK(client_open(&c, f.address, 0, 0, NULL));
    CHECK(exchange(&c, STR("GET /close HTTP/1.1\r\n" H "\r\n"), 0));
    char byte;
    int n = SSL_read(c.ssl, &byte, 1);
    CHECK(n == 0 && SSL_get_error(c.ssl, n) == SSL_ERROR_ZERO_RETURN);
    client_close(&c);

    CHECK(WAIT_UNTIL(http_server_stats(f.server).active == 0));
    CHECK(fixture_stop(&f));

    /* A handshake that never comes is cut by the time for a head; a slow head gets its 408. */
    struct http_limits l = fixture_limits();
    l.head_timeout_ms = 150;
    if (!CHECK(fixture_start(&f, l, t, 1)))
        return;
    int fd = raw_connect(f.address);
    CHECK(raw_at_end(fd));
    close(fd);
    /* On a busy machine the time may be over before the handshake is: once more, then. */
    char text[64] = "";
    int64_t start = now_ms();
    for (bool heard = false; !heard && now_ms() - start < PATIENCE_MS; client_close(&c)) {
        if (!client_open(&c, f.address, 0, 0, NULL))
            continue;
        SSL_write(c.ssl, "GET /", 5);
        heard = SSL_read(c.ssl, text, sizeof(text) - 1) > 0;
    }
    CHECK(strncmp(text, "HTTP/1.1 408 ", 13) == 0);

    CHECK(WAIT_UNTIL(http_server_stats(f.server).active == 0));
    CHECK(fixture_stop(&f));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* the server may close first */
    make_files();
    test_contexts();
    test_versions();
    test_exchanges();
    test_renegotiation();
    test_reload();
    test_resumption();
    test_ends();
    return tap_done();
}
