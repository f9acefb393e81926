#include "kbs/token.h"

#include <stdlib.h>

#include "base/file.h"
#include "value/json.h"

#define KEY_FILE_MAX (4 * 1024 * 1024)

struct token_verifier {
    const struct kbs_config *config;
    struct pubkey *own;
    struct cert **roots;
    size_t root_count;
    struct keys *keys; /* borrowed: the key sets */
};

static enum status load_roots(struct token_verifier *t, struct error *err)
{
    const struct str_list *paths = &t->config->trusted_certs_paths;
    t->roots = calloc(paths->len * CERT_CHAIN_MAX + 1, sizeof(struct cert *));
    if (t->roots == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < paths->len; i++) {
        CLEANUP(buf_done) struct buf pem;
        buf_init(&pem, KEY_FILE_MAX);
        size_t n = 0;
        enum status st = file_read(paths->items[i].ptr, &pem, err);
        if (st == OK)
            st = cert_list_from_pem(buf_str(&pem), t->roots + t->root_count, &n, err);
        if (st == OK && n == 0) {
            error_set(err, "no certificate in it");
            st = ERR_INVALID;
        }
        if (st != OK) {
            error_prefix(err, "trusted certificates \"%s\": ", paths->items[i].ptr);
            return st;
        }
        t->root_count += n;
    }
    return OK;
}

enum status token_verifier_new(const struct kbs_config *config, struct pubkey *own,
                               struct keys *keys, struct token_verifier **out, struct error *err)
{
    CLEANUP(token_verifier_cleanup) struct token_verifier *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return error_nomem(err);
    t->config = config;
    t->own = own == NULL ? NULL : pubkey_ref(own);
    t->keys = keys;
    enum status st = load_roots(t, err);
    if (st == OK && config->era == ERA_NEW && own == NULL && t->root_count == 0 &&
        config->trusted_jwk_sets.len == 0 && !config->insecure_header_jwk) {
        error_set(err, "cannot verify tokens: no trusted JWK sets, PEM keys or certificates are "
                       "given in [attestation_token]");
        st = ERR_INVALID;
    }
    if (st != OK)
        return st;
    *out = TAKE(t);
    return OK;
}

struct token_verifier *token_verifier_free(struct token_verifier *t)
{
    if (t == NULL)
        return NULL;
    pubkey_unref(t->own);
    for (size_t i = 0; t->roots != NULL && i < t->root_count; i++)
        cert_unref(t->roots[i]);
    free(t->roots);
    free(t);
    return NULL;
}

static enum status deny(struct checks *checks, struct error *err, enum check_id id,
                        const char *text, const struct error *cause)
{
    return check_failed(checks, err, id, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "%s%s%s", text,
                        cause == NULL ? "" : ": ", cause == NULL ? "" : cause->text);
}

/* A token whose header carries its key: 5.2, step 2, first branch. */
static enum status verify_header_key(const struct token_verifier *t, struct arena *a,
                                     const struct jws *jws, value header_key, int64_t now_s,
                                     struct checks *checks, struct str *header_key_only,
                                     struct error *err)
{
    struct error cause = ERROR_INIT;
    struct jwk key;
    if (jwk_parse(header_key, true, &key, &cause) != OK)
        return deny(checks, err, CHECK_TOKEN_KEY, "the key in the token's header is unusable",
                    &cause);

    enum status st = OK;
    bool endorsed = t->root_count > 0 &&
                    jwk_endorsed(header_key, key.key, t->roots, t->root_count, now_s, &cause) == OK;
    /* README 16: with an attestation service of our own, only its key, unless asked twice. */
    bool foreign =
        t->config->insecure_header_jwk && (t->own == NULL || t->config->accept_foreign_header_keys);
    if (!endorsed && !foreign)
        st = deny(checks, err, CHECK_TOKEN_KEY,
                  "the key in the token's header is not the attestation service's and no trusted "
                  "certificate endorses it",
                  t->root_count > 0 ? &cause : NULL);
    if (st == OK && key.alg.len == 0)
        st = deny(checks, err, CHECK_TOKEN_KEY, "Failed to find key_algorithm in Jwk", NULL);
    if (st == OK && jws_verify(jws, key.key, key.alg, &cause) != OK)
        st = deny(checks, err, CHECK_TOKEN_SIGNATURE, "the token's signature is wrong", &cause);
    if (st == OK && !endorsed)
        st = jwk_thumbprint(a, key.key, header_key_only);
    jwk_done(&key);
    return st;
}

/* The first key of that kid in a set, or NULL. */
static const struct jwk *find_kid(const struct jwk_set *set, struct str kid)
{
    for (size_t i = 0; i < set->len; i++)
        if (str_equal(set->keys[i].kid, kid))
            return &set->keys[i];
    return NULL;
}

static enum status verify_with(const struct jwk *k, const struct jws *jws, struct checks *checks,
                               struct error *err)
{
    struct error cause = ERROR_INIT;
    if (k->key == NULL)
        return deny(checks, err, CHECK_TOKEN_KEY, "the key of that kid is unusable", NULL);
    if (k->alg.len == 0)
        return deny(checks, err, CHECK_TOKEN_KEY, "Failed to find key_algorithm in Jwk", NULL);
    if (jws_verify(jws, k->key, k->alg, &cause) != OK)
        return deny(checks, err, CHECK_TOKEN_SIGNATURE, "the token's signature is wrong", &cause);
    return OK;
}

static enum status verify_by_kid(const struct token_verifier *t, const struct jws *jws,
                                 struct checks *checks, struct error *err)
{
    const struct str_list *sources = &t->config->trusted_jwk_sets;
    for (size_t i = 0; i < sources->len && jws->kid.len > 0; i++) {
        struct keys_source *source = keys_find(t->keys, KEYS_SET, sources->items[i]);
        CLEANUP(keys_snapshot_cleanup) struct keys_snapshot *s = keys_get(t->keys, source);
        const struct jwk *k = s == NULL ? NULL : find_kid(&s->set, jws->kid);
        if (k != NULL)
            return verify_with(k, jws, checks, err);
    }
    struct error trouble;
    keys_trouble(t->keys, &trouble);
    return deny(checks, err, CHECK_TOKEN_KEY, "no trusted key has the token's kid",
                trouble.text[0] == '\0' ? NULL : &trouble);
}

enum status token_verify(const struct token_verifier *t, struct arena *a, struct str token,
                         int64_t now_s, struct checks *checks, value *claims,
                         struct str *header_key_only, struct error *err)
{
    struct error cause = ERROR_INIT;
    struct jws jws;
    value payload = VALUE_UNDEFINED;
    *header_key_only = STR_EMPTY;
    enum status st = jws_parse(a, token, &jws, &cause);
    if (st == OK)
        st = json_parse(a, jws.payload, NULL, &payload, &cause);
    if (st == OK && !value_is_object(payload)) {
        error_set(&cause, "the payload is no object");
        st = ERR_INVALID;
    }
    if (st == ERR_NOMEM || st == ERR_LIMIT) {
        *err = cause;
        return st;
    }
    if (st != OK)
        return deny(checks, err, CHECK_TOKEN_FORMAT, "the token is malformed", &cause);
    check_passed(checks, CHECK_TOKEN_FORMAT);

    value header_key = value_get_lit(jws.header, "jwk");
    if (t->own != NULL && jws_verify(&jws, t->own, STR_EMPTY, NULL) == OK)
        st = OK;
    else if (value_is_defined(header_key))
        st = verify_header_key(t, a, &jws, header_key, now_s, checks, header_key_only, err);
    else
        st = verify_by_kid(t, &jws, checks, err);
    if (st != OK)
        return st;
    check_passed(checks, CHECK_TOKEN_SIGNATURE);

    const struct jwt_checks times = {true, false, false, TOKEN_LEEWAY_S};
    if (jwt_check_times(payload, &times, now_s, &cause) != OK)
        return deny(checks, err, CHECK_TOKEN_EXPIRED, "the token is not valid now", &cause);
    if (t->config->era == ERA_OLD && value_is_defined(value_get_lit(payload, "aud")))
        return deny(checks, err, CHECK_TOKEN_FORMAT, "the token has an audience", NULL);
    check_passed(checks, CHECK_TOKEN_EXPIRED);
    *claims = payload;
    return OK;
}

enum status token_tee_key(const struct kbs_config *config, value claims, bool allow_rsa15,
                          struct tee_key *out, struct error *err)
{
    static const char *const pointers[] = {
        "/attester_runtime_data/tee-pubkey",
        "/attester_user_data/tee-pubkey",
        "/tdx/attester_runtime_data/tee-pubkey",
        "/tdx/attester_user_data/tee-pubkey",
        "/customized_claims/runtime_data/tee-pubkey",
        "/submods/cpu0/ear.veraison.annotated-evidence/runtime_data_claims/tee-pubkey",
        "/submods/cpu/ear.veraison.annotated-evidence/runtime_data_claims/tee-pubkey",
        "/tee-pubkey",
    };
    for (size_t i = 0; i < config->extra_teekey_paths.len; i++) {
        value v = value_pointer(claims, config->extra_teekey_paths.items[i]);
        if (value_is_defined(v))
            return tee_key_parse(v, allow_rsa15, out, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
        value v = value_pointer(claims, str_of(pointers[i]));
        if (value_is_defined(v))
            return tee_key_parse(v, allow_rsa15, out, err);
    }
    error_set(err, "the token has no TEE public key");
    return ERR_NOT_FOUND;
}
