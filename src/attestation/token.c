#include "attestation/attestation_internal.h"

#include "base/encode.h"
#include "base/file.h"
#include "crypto/locked.h"
#include "crypto/x509.h"
#include "value/json.h"

#define KEY_FILE_MAX 65536
#define PAYLOAD_MAX (8 * 1024 * 1024)
#define RSA_BITS 2048 /* 10.3 */

/* ---- the signing key (8.4) ---- */

static enum status read_key(const struct as_config *c, struct privkey **out, struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, KEY_FILE_MAX);
    enum status st = file_read(c->key_path.ptr, &pem, err);
    if (st == OK)
        st = privkey_from_pem(buf_str(&pem), out, err);
    if (st != OK)
        error_prefix(err, "attestation token signer: ");
    return st;
}

static enum status load_key(const struct as_config *c, struct privkey **out, struct error *err)
{
    enum key_kind want = c->token == TOKEN_EAR ? KEY_EC_P256 : KEY_RSA;
    if (c->key_path.len == 0)
        return privkey_generate(want, RSA_BITS, out, err);

    enum status st = read_key(c, out, err);
    if (st != OK)
        return st;
    /* Before v0.21 another curve loads and then every signature fails. */
    if (pubkey_kind(privkey_public(*out)) != want) {
        error_set(err, "attestation token signer: \"%s\" is no %s key", QUOTED(c->key_path),
                  want == KEY_RSA ? "RSA" : "EC P-256");
        return ERR_INVALID;
    }
    return OK;
}

/* The one private key that lives as long as the service (crypto/locked.h). */
static enum status load_locked_key(const struct as_config *c, struct privkey **out,
                                   struct error *err)
{
    locked_begin();
    enum status st = load_key(c, out, err);
    if (st == OK && c->token != TOKEN_EAR) {
        /* An RSA key gets its primes once more, prepared, with the first signature. */
        CLEANUP(buf_done) struct buf ignored;
        buf_init_secret(&ignored, KEY_FILE_MAX);
        st = privkey_sign(*out, SIG_RSA_PKCS1, DIGEST_SHA384, STR_EMPTY, &ignored, err);
    }
    locked_end();
    return st;
}

/* Whatever certificates the file holds, in file order; the first one should be the key's. */
static enum status load_chain(struct arena *a, const struct as_config *c,
                              const struct attestation_options *o, const struct privkey *key,
                              value *x5c, struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, CERT_CHAIN_MAX * CERT_DER_MAX);
    struct cert *chain[CERT_CHAIN_MAX] = {0};
    size_t n = 0;
    enum status st = file_read(c->cert_path.ptr, &pem, err);
    if (st == OK)
        st = cert_list_from_pem(buf_str(&pem), chain, &n, err);
    if (st != OK) {
        error_prefix(err, "attestation token signer: ");
        return st;
    }

    if (n == 0 || !pubkey_equal(cert_pubkey(chain[0]), privkey_public(key)))
        warn_text(o, "the first certificate of \"%s\" is not that of the signing key",
                  QUOTED(c->cert_path));
    /* EAR as v0.21 writes it (RFC 7517 4.7); the simple token never did (10.2). */
    enum base64_form form = c->token == TOKEN_EAR ? BASE64_STD : BASE64_URL;
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++) {
        value_builder_add(&b, value_string(a, base64_text(a, cert_der(chain[i]), form)));
        cert_unref(chain[i]);
    }
    *x5c = value_array_finish(&b);
    return value_is_defined(*x5c) ? OK : error_nomem(err);
}

static const char *const jwk_order[] = {"alg", "x5u", "x5c", "kty", "crv", "x", "y"};

/* {"typ":"JWT","alg":"ES256","jwk":{...}}, in this order (8.1); RS384: sorted (10.2). */
static enum status write_header(struct arena *a, const struct as_config *c, struct token_signer *s,
                                struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, PAYLOAD_MAX);
    struct json_writer w;
    json_begin(&w, &b);
    json_object_begin(&w);
    if (c->token == TOKEN_EAR) {
        json_key(&w, "typ");
        json_cstring(&w, "JWT");
    }
    json_key(&w, "alg");
    json_string(&w, s->alg);
    json_key(&w, "jwk");
    if (c->token == TOKEN_EAR) {
        json_object_begin(&w);
        for (size_t i = 0; i < ARRAY_LEN(jwk_order); i++) {
            value v = value_get_str(s->jwk, str_of(jwk_order[i]));
            if (!value_is_defined(v))
                continue;
            json_key(&w, jwk_order[i]);
            json_value(&w, v);
        }
        json_object_end(&w);
    } else {
        json_value(&w, s->jwk);
        json_key(&w, "typ");
        json_cstring(&w, "JWT");
    }
    json_object_end(&w);
    enum status st = json_finish(&w);
    if (st != OK)
        return st == ERR_NOMEM ? error_nomem(err) : st;
    s->header = arena_str(a, buf_str(&b));
    return s->header.ptr != NULL ? OK : error_nomem(err);
}

enum status token_signer_load(struct arena *a, const struct as_config *c,
                              const struct attestation_options *o, struct token_signer *out,
                              struct error *err)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    struct token_signer s = {.alg = c->token == TOKEN_EAR ? STR("ES256") : STR("RS384")};
    enum status st = load_locked_key(c, &key, err);
    if (st != OK)
        return st;

    st = jwk_from_pubkey(a, privkey_public(key), &s.jwk);
    if (st != OK)
        return st == ERR_NOMEM ? error_nomem(err) : st;
    s.jwk = value_object_with(a, s.jwk, value_cstring(a, "alg"), value_string(a, s.alg));
    if (c->cert_url.len > 0)
        s.jwk = value_object_with(a, s.jwk, value_cstring(a, "x5u"), value_string(a, c->cert_url));
    if (c->cert_path.len > 0) {
        value x5c;
        st = load_chain(a, c, o, key, &x5c, err);
        if (st != OK)
            return st;
        s.jwk = value_object_with(a, s.jwk, value_cstring(a, "x5c"), x5c);
    }
    if (!value_is_defined(s.jwk))
        return error_nomem(err);
    st = write_header(a, c, &s, err);
    if (st != OK)
        return st;
    s.key = TAKE(key);
    *out = s;
    return OK;
}

/* ---- the payload (8.2, 8.3) ---- */

static void write_ordered(struct json_writer *w, value object, const char *const *order, size_t n)
{
    json_object_begin(w);
    for (size_t i = 0; i < n; i++) {
        value v = value_get_str(object, str_of(order[i]));
        if (!value_is_defined(v))
            continue;
        json_key(w, order[i]);
        json_value(w, v);
    }
    json_object_end(w);
}

static void write_appraisal(struct json_writer *w, value appraisal)
{
    static const char *const own[] = {"ear.status", "ear.trustworthiness-vector",
                                      "ear.appraisal-policy-id", "ear.veraison.annotated-evidence"};
    json_object_begin(w);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        value v = value_get_str(appraisal, str_of(own[i]));
        json_key(w, own[i]);
        if (i == 1)
            write_ordered(w, v, trust_claim_names, TRUST_CLAIMS);
        else
            json_value(w, v);
    }
    /* Extensions after them, by name; names of the four above were refused (policies.c). */
    for (size_t i = 0; i < value_len(appraisal); i++) {
        const struct value_pair *p = &value_pairs(appraisal)[i];
        bool is_own = false;
        for (size_t k = 0; k < ARRAY_LEN(own); k++)
            is_own = is_own || str_is(value_str(p->key), own[k]);
        if (is_own)
            continue;
        json_key_str(w, value_str(p->key));
        json_value(w, p->val);
    }
    json_object_end(w);
}

enum status ear_payload_write(value claims, struct buf *out)
{
    static const char *const verifier_order[] = {"developer", "build"};
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "eat_profile");
    json_value(&w, value_get_lit(claims, "eat_profile"));
    json_key(&w, "iat");
    json_value(&w, value_get_lit(claims, "iat"));
    json_key(&w, "ear.verifier-id");
    write_ordered(&w, value_get_lit(claims, "ear.verifier-id"), verifier_order,
                  ARRAY_LEN(verifier_order));
    json_key(&w, "submods");
    json_object_begin(&w);
    value submods = value_get_lit(claims, "submods");
    for (size_t i = 0; i < value_len(submods); i++) {
        json_key_str(&w, value_str(value_pairs(submods)[i].key));
        write_appraisal(&w, value_pairs(submods)[i].val);
    }
    json_object_end(&w);
    json_key(&w, "exp");
    json_value(&w, value_get_lit(claims, "exp"));
    value iss = value_get_lit(claims, "iss");
    if (value_is_defined(iss)) {
        json_key(&w, "iss");
        json_value(&w, iss);
    }
    json_object_end(&w);
    return json_finish(&w);
}

enum status token_sign(const struct token_signer *signer, struct arena *a, enum token_kind kind,
                       value claims, struct str *token, struct error *err)
{
    CLEANUP(buf_done) struct buf payload;
    buf_init(&payload, PAYLOAD_MAX);
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 2 * PAYLOAD_MAX);

    enum status st = kind == TOKEN_EAR ? ear_payload_write(claims, &payload)
                                       : json_write(&payload, claims, JSON_COMPACT);
    if (st != OK) {
        error_set(err, "could not write the token: %s", status_name(st));
        return st;
    }
    st = jws_sign(signer->key, signer->alg, signer->header, buf_str(&payload), &out, err);
    if (st != OK)
        return st;
    *token = arena_str(a, buf_str(&out));
    return token->ptr != NULL ? OK : error_nomem(err);
}
