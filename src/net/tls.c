#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "crypto/locked.h"
#include "net/server_internal.h"

#define GROUPS_MAX 512
#define CHAIN_MAX 16

struct tls_server {
    atomic_uint refs;
    SSL_CTX *ctx;
    char groups[GROUPS_MAX];
};

/*
 * Mozilla's intermediate list without its DHE suites: those let a client make
 * the server compute for next to nothing (CVE-2002-20001), and no client of
 * ours needs them.
 */
#define SUITES_AEAD                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_CBC                                                                                 \
    ":ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"                                          \
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"

static const struct profile {
    const char *name; /* NULL: not for configuration files */
    int min_version, max_version;
    const char *ciphers;
} profiles[] = {
    [TLS_OLD] = {"old", 12, 13, SUITES_AEAD SUITES_CBC},
    [TLS_INTERMEDIATE] = {"intermediate", 12, 13, SUITES_AEAD},
    [TLS_MODERN] = {"modern", 13, 13, SUITES_AEAD},
    [TLS_CUSTOM] = {"custom", 12, 13, SUITES_AEAD},
    [TLS_PRESET_V4] = {NULL, 12, 12, SUITES_AEAD SUITES_CBC},
};

bool tls_profile_named(struct str name, enum tls_profile *out)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        if (profiles[i].name != NULL && str_is(name, profiles[i].name)) {
            *out = (enum tls_profile)i;
            return true;
        }
    }
    return false;
}

/* The reason of OpenSSL's first complaint; the queue is empty afterwards. */
static enum status tls_failed(struct error *err, enum status st, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    error_set(err, "%s: %s", what, reason == NULL ? "refused by OpenSSL" : reason);
    ERR_clear_error();
    return st;
}

/* ---- files ---- */

/* OpenSSL would ask the terminal. */
static int no_passphrase(char *out, int size, int writing, void *user)
{
    return 0;
}

static void bio_cleanup(BIO **b)
{
    BIO_free(*b);
}

static enum status read_pem(const char *path, struct buf *text, BIO **out, struct error *err)
{
    buf_init_secret(text, TLS_FILE_MAX);
    enum status st = file_read(path, text, err);
    if (st != OK)
        return st;
    *out = BIO_new_mem_buf(text->len > 0 ? text->ptr : "", (int)text->len);
    return *out == NULL ? error_nomem(err) : OK;
}

static enum status use_certificates(SSL_CTX *ctx, const char *path, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    CLEANUP(bio_cleanup) BIO *bio = NULL;
    enum status st = read_pem(path, &text, &bio, err);
    if (st != OK)
        return st;

    int count = 0;
    X509 *cert;
    while ((cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        bool ok = count == 0 ? SSL_CTX_use_certificate(ctx, cert) == 1
                             : SSL_CTX_add1_chain_cert(ctx, cert) == 1;
        X509_free(cert);
        if (!ok || ++count > CHAIN_MAX) {
            error_set(err, "certificate file \"%s\" cannot be used", path);
            ERR_clear_error();
            return ERR_INVALID;
        }
    }
    /* At the end of the file, "no start line" is as it should be. */
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (count == 0 ||
        !(ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)) {
        error_set(err, "certificate file \"%s\" %s", path,
                  count == 0 ? "holds no PEM certificate" : "has a malformed block");
        return ERR_INVALID;
    }
    return OK;
}

/* An RSA key gets its primes once more, prepared, with its first use. */
static void prepare_rsa(EVP_PKEY *key)
{
    uint8_t digest[32] = {0}, signature[2048];
    size_t len = sizeof(signature);
    EVP_PKEY_CTX *ctx =
        key != NULL && EVP_PKEY_is_a(key, "RSA") ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (ctx != NULL && EVP_PKEY_sign_init(ctx) == 1)
        (void)EVP_PKEY_sign(ctx, signature, &len, digest, sizeof(digest));
    EVP_PKEY_CTX_free(ctx);
}

static enum status use_private_key(SSL_CTX *ctx, const char *path, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    CLEANUP(bio_cleanup) BIO *bio = NULL;
    enum status st = read_pem(path, &text, &bio, err);
    if (st != OK)
        return st;

    locked_begin();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    prepare_rsa(key);
    locked_end();
    if (key == NULL) {
        /* OpenSSL's reason might quote the file's neighbourhood: ours says enough. */
        error_set(err, "private key file \"%s\" holds no PEM private key without passphrase", path);
        ERR_clear_error();
        return ERR_INVALID;
    }
    int ok = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (ok != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        error_set(err, "private key \"%s\" does not belong to the certificate", path);
        ERR_clear_error();
        return ERR_INVALID;
    }
    return OK;
}

/* ---- versions, suites, groups ---- */

static int wire_version(int version)
{
    return version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static enum status use_versions(SSL_CTX *ctx, const struct tls_options *o, int *min, int *max,
                                struct error *err)
{
    const struct profile *p = &profiles[o->profile];
    *min = o->min_version != 0 ? o->min_version : p->min_version;
    *max = o->max_version != 0 ? o->max_version : p->max_version;
    /* A limit that was given moves the profile's other one along. */
    if (*min > *max && o->max_version == 0)
        *max = *min;
    if (*min > *max && o->min_version == 0)
        *min = *max;
    if (*min > *max) {
        error_set(err, "tls_min_version (1.%d) cannot be greater than tls_max_version (1.%d)",
                  *min - 10, *max - 10);
        return ERR_INVALID;
    }
    if (SSL_CTX_set_min_proto_version(ctx, wire_version(*min)) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, wire_version(*max)) != 1)
        return tls_failed(err, ERR_UNSUPPORTED, "TLS versions");
    return OK;
}

static enum status use_ciphers(SSL_CTX *ctx, const struct tls_options *o, int min, int max,
                               struct error *err)
{
    const char *list = o->ciphers != NULL ? o->ciphers : profiles[o->profile].ciphers;
    bool for_12 = min < 13 && o->profile != TLS_MODERN;
    bool for_13 = max > 12 && o->ciphers != NULL;
    if ((for_12 && SSL_CTX_set_cipher_list(ctx, list) != 1) ||
        (for_13 && SSL_CTX_set_ciphersuites(ctx, list) != 1)) {
        error_set(err, "tls_ciphers \"%s\" names no usable suite", QUOTED(str_of(list)));
        ERR_clear_error();
        return ERR_INVALID;
    }
    return OK;
}

/* SSL_CTX_set1_groups_list() without its cast. */
static bool try_groups(SSL_CTX *ctx, const char *list)
{
    return SSL_CTX_ctrl(ctx, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)list) == 1;
}

/*
 * OpenSSL 3.5 has ML-KEM, 3.0 does not, and a list with an unknown name is
 * refused as a whole: so each name is tried.
 */
static enum status use_groups(SSL_CTX *ctx, const struct tls_options *o, char *out,
                              struct error *err)
{
    static const char *const wanted[] = {
        "X25519MLKEM768", "SecP256r1MLKEM768",
        "X448MLKEM1024",  "SecP384r1MLKEM1024",
        "X25519",         "P-256",
        "P-384",
    };
    size_t len = 0;
    out[0] = '\0';
    if (o->groups != NULL)
        len = (size_t)snprintf(out, GROUPS_MAX, "%s", o->groups);
    for (size_t i = 0; o->groups == NULL && i < ARRAY_LEN(wanted); i++)
        if (try_groups(ctx, wanted[i]))
            len += (size_t)snprintf(out + len, GROUPS_MAX - len, "%s%s", len > 0 ? ":" : "",
                                    wanted[i]);
    ERR_clear_error();
    if (len == 0 || len >= GROUPS_MAX || !try_groups(ctx, out)) {
        error_set(err, "tls_groups \"%s\" cannot be used", QUOTED(str_of(out)));
        ERR_clear_error();
        return ERR_INVALID;
    }
    return OK;
}

/* kbs.md 2.1 has h2; spec/README.md 1: not yet. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                       const unsigned char *in, unsigned inlen, void *user)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, outlen, ours, sizeof(ours) - 1, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void use_habits(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record by one recv() instead of two */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
}

/* ---- life ---- */

static enum status set_up(struct tls_server *t, const struct tls_options *o, struct error *err)
{
    int min, max;
    enum status st = use_versions(t->ctx, o, &min, &max, err);
    if (st == OK)
        st = use_ciphers(t->ctx, o, min, max, err);
    if (st == OK)
        st = use_groups(t->ctx, o, t->groups, err);
    if (st == OK)
        st = use_certificates(t->ctx, o->certificate_path, err);
    if (st == OK)
        st = use_private_key(t->ctx, o->private_key_path, err);
    return st;
}

enum status tls_server_new(const struct tls_options *options, struct tls_server **out,
                           struct error *err)
{
    CLEANUP(tls_server_cleanup) struct tls_server *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return error_nomem(err);
    atomic_init(&t->refs, 1);
    locked_begin(); /* it makes the keys of tickets */
    t->ctx = SSL_CTX_new(TLS_server_method());
    locked_end();
    if (t->ctx == NULL)
        return error_nomem(err);
    use_habits(t->ctx);

    enum status st = set_up(t, options, err);
    if (st != OK)
        return st;
    *out = TAKE(t);
    return OK;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct tls_server *tls_server_unref(struct tls_server *t)
{
    if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        SSL_CTX_free(t->ctx);
        free(t);
    }
    return NULL;
}

SSL_CTX *tls_server_context(const struct tls_server *t)
{
    return t->ctx;
}

const char *tls_server_groups(const struct tls_server *t)
{
    return t->groups;
}
