#include "kbs/admin.h"

#include <stdlib.h>

#include "base/file.h"
#include "rego/regex.h"
#include "value/json.h"

#define KEY_FILE_MAX (1024 * 1024)
#define LEEWAY_OLD_S 900 /* kbs.md 6.2 */
#define LEEWAY_S 60      /* 6.3, 6.4 */

struct provider {
    struct keys_source *key, *set; /* of public_key_uri and jwk_set_uri, or NULL */
    struct str issuer, audience;   /* the configuration's */
};

struct admin {
    const struct kbs_config *config;
    struct keys *keys;      /* borrowed: those of the providers */
    struct pubkey *old_key; /* 6.2; may be there beside insecure_api */
    struct pubkey **persona_keys;
    struct provider *providers;
    struct regex **patterns; /* one for each of config->acls */
};

static enum status read_public_key(struct str path, struct pubkey **out, struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, KEY_FILE_MAX);
    enum status st = file_read(path.ptr, &pem, err);
    if (st != OK) {
        error_prefix(err, "public key: "); /* the path is in the text */
        return st;
    }
    st = pubkey_from_pem(buf_str(&pem), out, err);
    if (st != OK)
        error_prefix(err, "public key \"%s\": ", path.ptr);
    return st;
}

static enum status require_ed25519(struct str path, const struct pubkey *key, struct error *err)
{
    if (pubkey_kind(key) == KEY_ED25519)
        return OK;
    error_set(err, "public key \"%s\" is not an Ed25519 key", path.ptr);
    return ERR_INVALID;
}

static enum status load_acls(struct admin *a, struct error *err)
{
    const struct kbs_config *c = a->config;
    a->patterns = calloc(c->acl_count + 1, sizeof(struct regex *));
    if (a->patterns == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < c->acl_count; i++) {
        enum status st = regex_new(c->acls[i].allowed_endpoints, &a->patterns[i], err);
        if (st != OK) {
            error_prefix(err, "admin role \"%s\": ", QUOTED(c->acls[i].role));
            return st;
        }
    }
    return OK;
}

static enum status load_keys(struct admin *a, config_warn warn, void *user, struct error *err)
{
    const struct kbs_config *c = a->config;
    if (c->auth_public_key.len > 0 && c->admin_form == ADMIN_FORM_OLD) {
        enum status st = read_public_key(c->auth_public_key, &a->old_key, err);
        if (st == OK)
            st = require_ed25519(c->auth_public_key, a->old_key, err);
        if (st != OK && c->admin_mode != ADMIN_INSECURE)
            return st;
        if (st != OK) {
            /* 6.2, PRODUCT: admin calls stay open, decisions are shown to nobody. */
            a->old_key = pubkey_unref(a->old_key);
            if (warn != NULL && err != NULL)
                warn(user, err->text);
        }
    }

    a->persona_keys = calloc(c->persona_count + 1, sizeof(struct pubkey *));
    a->providers = calloc(c->provider_count + 1, sizeof(struct provider));
    if (a->persona_keys == NULL || a->providers == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < c->persona_count; i++) {
        enum status st = read_public_key(c->personas[i].public_key_path, &a->persona_keys[i], err);
        if (st == OK)
            st = require_ed25519(c->personas[i].public_key_path, a->persona_keys[i], err);
        if (st != OK)
            return st;
    }
    for (size_t i = 0; i < c->provider_count; i++)
        a->providers[i] = (struct provider){
            .key = keys_find(a->keys, KEYS_PEM, c->providers[i].public_key_uri),
            .set = keys_find(a->keys, KEYS_SET, c->providers[i].jwk_set_uri),
            .issuer = c->providers[i].issuer,
            .audience = c->providers[i].audience,
        };
    return OK;
}

enum status admin_new(const struct kbs_config *config, struct keys *keys, config_warn warn,
                      void *user, struct admin **out, struct error *err)
{
    CLEANUP(admin_cleanup) struct admin *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return error_nomem(err);
    a->config = config;
    a->keys = keys;
    enum status st = load_keys(a, warn, user, err);
    if (st == OK)
        st = load_acls(a, err);
    if (st != OK)
        return st;
    *out = TAKE(a);
    return OK;
}

struct admin *admin_free(struct admin *a)
{
    if (a == NULL)
        return NULL;
    pubkey_unref(a->old_key);
    for (size_t i = 0; a->persona_keys != NULL && i < a->config->persona_count; i++)
        pubkey_unref(a->persona_keys[i]);
    for (size_t i = 0; a->patterns != NULL && i < a->config->acl_count; i++)
        regex_unref(a->patterns[i]);
    free(a->persona_keys);
    free(a->providers);
    free(a->patterns);
    free(a);
    return NULL;
}

bool admin_is_open(const struct admin *a)
{
    return a->config->admin_mode == ADMIN_INSECURE;
}

struct str bearer_token(struct str authorization)
{
    struct str none = {NULL, 0};
    if (authorization.ptr == NULL || authorization.len < 8 ||
        !str_has_prefix(authorization, STR("Bearer ")))
        return none;
    return str_from(authorization, 7);
}

/* ---- checking a request ---- */

struct caller {
    struct jws jws;
    value claims;
};

static enum status deny(struct checks *checks, struct error *err, enum check_id id,
                        const char *detail)
{
    status_ignore(
        check_failed(checks, NULL, id, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "%s", detail));
    error_set(err, "%s", detail);
    return ERR_DENIED;
}

/* The token of the header, parsed; nothing is verified yet. */
static enum status read_caller(struct arena *arena, struct str authorization, struct caller *out,
                               struct checks *checks, struct error *err)
{
    struct str token = bearer_token(authorization);
    if (token.ptr == NULL || token.len > ADMIN_TOKEN_MAX)
        return deny(checks, err, CHECK_ADMIN_TOKEN, "Failed to parse HTTP Auth Bearer header");
    struct error cause = ERROR_INIT;
    enum status st = jws_parse(arena, token, &out->jws, &cause);
    out->claims = VALUE_UNDEFINED;
    if (st == OK)
        st = json_parse(arena, out->jws.payload, NULL, &out->claims, &cause);
    if (st == OK && !value_is_object(out->claims)) {
        error_set(&cause, "the payload is no object");
        st = ERR_INVALID;
    }
    if (st == OK)
        return OK;
    status_ignore(check_failed(checks, NULL, CHECK_ADMIN_TOKEN, "", VALUE_UNDEFINED,
                               VALUE_UNDEFINED, "the admin token is malformed: %s", cause.text));
    return ERR_INVALID;
}

/* "typ", if present, is JWT or ...+jwt, in any letter case (kbs.md 6.2). */
static bool typ_is_fine(struct str typ)
{
    if (typ.len == 0)
        return true;
    char lower[64];
    if (typ.len >= sizeof(lower))
        return false;
    for (size_t i = 0; i < typ.len; i++)
        lower[i] = (char)(typ.ptr[i] >= 'A' && typ.ptr[i] <= 'Z' ? typ.ptr[i] + 32 : typ.ptr[i]);
    struct str s = {lower, typ.len};
    return str_is(s, "jwt") || str_has_suffix(s, STR("+jwt"));
}

static enum status check_old_key(const struct admin *a, const struct caller *caller, int64_t now_s,
                                 struct checks *checks)
{
    struct error cause = ERROR_INIT;
    enum status st = ERR_DENIED;
    if (!str_is(caller->jws.alg, "EdDSA") || !typ_is_fine(caller->jws.typ))
        error_set(&cause, "the token's alg must be EdDSA and its typ JWT");
    else
        st = jws_verify(&caller->jws, a->old_key, STR_EMPTY, &cause);
    if (st != OK)
        return check_failed(checks, NULL, CHECK_ADMIN_KEY, "", VALUE_UNDEFINED, VALUE_UNDEFINED,
                            "the admin token was not signed by the configured key: %s", cause.text);

    const struct jwt_checks times = {false, true, true, LEEWAY_OLD_S};
    st = jwt_check_times(caller->claims, &times, now_s, &cause);
    if (st != OK)
        return check_failed(checks, NULL, CHECK_TOKEN_EXPIRED, "", VALUE_UNDEFINED, VALUE_UNDEFINED,
                            "the admin token is not valid now: %s", cause.text);
    return OK;
}

/* The whole canonical path has to match (HARDEN kbs-9). */
static bool acl_allows(const struct admin *a, struct str role, struct str path)
{
    for (size_t i = 0; i < a->config->acl_count; i++)
        if (str_equal(a->config->acls[i].role, role) && regex_full_match(a->patterns[i], path))
            return true;
    return false;
}

/* 6.3, v0.18 to v0.20: exp required, no aud, persona gives the role. */
static enum status check_personas(const struct admin *a, const struct caller *caller,
                                  struct str path, int64_t now_s, struct checks *checks,
                                  struct error *err)
{
    static const char refused[] = "Admin Token could not be verified for any admin persona";
    const struct jwt_checks times = {true, false, false, LEEWAY_S};
    for (size_t i = 0; i < a->config->persona_count; i++) {
        if (!str_is(caller->jws.alg, "EdDSA") ||
            jws_verify(&caller->jws, a->persona_keys[i], STR_EMPTY, NULL) != OK)
            continue;
        if (value_is_defined(value_get_lit(caller->claims, "aud")) ||
            jwt_check_times(caller->claims, &times, now_s, NULL) != OK)
            return deny(checks, err, CHECK_TOKEN_EXPIRED, refused);
        if (a->config->acl_count > 0 && !acl_allows(a, a->config->personas[i].id, path))
            return deny(checks, err, CHECK_ADMIN_ROLE, refused);
        return OK;
    }
    return deny(checks, err, CHECK_ADMIN_KEY, refused);
}

/* The key set decides where it knows the kid; the single key is for all others. */
static bool provider_verifies(const struct admin *a, const struct provider *p,
                              const struct caller *caller)
{
    CLEANUP(keys_snapshot_cleanup) struct keys_snapshot *set = NULL, *pem = NULL;
    if (p->set != NULL)
        set = keys_get(a->keys, p->set);
    for (size_t i = 0; set != NULL && i < set->set.len; i++) {
        const struct jwk *k = &set->set.keys[i];
        if (k->key != NULL && caller->jws.kid.len > 0 && str_equal(k->kid, caller->jws.kid))
            return jws_verify(&caller->jws, k->key, k->alg, NULL) == OK;
    }
    if (p->key != NULL)
        pem = keys_get(a->keys, p->key);
    return pem != NULL && jws_verify(&caller->jws, pem->key, STR_EMPTY, NULL) == OK;
}

static bool audience_has(value aud, struct str wanted)
{
    if (value_is_string(aud))
        return str_equal(value_str(aud), wanted);
    for (size_t i = 0; value_is_array(aud) && i < value_len(aud); i++)
        if (value_is_string(value_at(aud, i)) && str_equal(value_str(value_at(aud, i)), wanted))
            return true;
    return false;
}

/* 6.4: a provider vouches for the token, its role claim meets the ACL. */
static enum status check_providers(const struct admin *a, const struct caller *caller,
                                   struct str path, int64_t now_s, struct checks *checks,
                                   struct error *err)
{
    static const char refused[] =
        "Admin access denied: Cannot verify token with any of the issuers";
    const char *why = "no provider's key made the signature"; /* for the log, not for the caller */
    struct error trouble;
    keys_trouble(a->keys, &trouble);
    const struct jwt_checks times = {true, false, false, LEEWAY_S};
    for (size_t i = 0; i < a->config->provider_count; i++) {
        const struct provider *p = &a->providers[i];
        if (!provider_verifies(a, p, caller))
            continue;
        why = "exp is missing or past, or nbf is in the future";
        if (jwt_check_times(caller->claims, &times, now_s, NULL) != OK)
            continue;
        value role = value_get_lit(caller->claims, "role");
        if (!value_is_string(role))
            return deny(checks, err, CHECK_ADMIN_ROLE,
                        "Admin access denied: Missing required `role` claim in JWT");
        value iss = value_get_lit(caller->claims, "iss");
        why = "iss is not the provider's issuer";
        if (p->issuer.len > 0 && !(value_is_string(iss) && str_equal(value_str(iss), p->issuer)))
            continue;
        why = "aud does not hold the provider's audience";
        if (p->audience.len > 0 && !audience_has(value_get_lit(caller->claims, "aud"), p->audience))
            continue;
        if (acl_allows(a, value_str(role), path))
            return OK;
        status_ignore(check_failed(checks, NULL, CHECK_ADMIN_ROLE, "", VALUE_UNDEFINED, role,
                                   "Role %s not allowed for path %s", QUOTED(value_str(role)),
                                   QUOTED(path)));
        error_set(err, "Admin access denied: Role %s not allowed for path %s",
                  QUOTED(value_str(role)), QUOTED(path));
        return ERR_DENIED;
    }
    status_ignore(check_failed(checks, NULL, CHECK_ADMIN_KEY, "", VALUE_UNDEFINED, VALUE_UNDEFINED,
                               "%s: %s%s%s", refused, why, trouble.text[0] == '\0' ? "" : "; ",
                               trouble.text));
    error_set(err, "%s", refused);
    return ERR_DENIED;
}

/* A token that cannot even be read gets the text that its mode has for a wrong one. */
static enum status unreadable(const struct admin *a, struct error *err)
{
    switch (a->config->admin_form) {
    case ADMIN_FORM_OLD:
        error_set(err, "Admin Token verification failed");
        break;
    case ADMIN_FORM_TYPED:
        error_set(err, "Admin Token could not be verified for any admin persona");
        break;
    case ADMIN_FORM_MODES:
        error_set(err, "Admin access denied: Cannot verify token with any of the issuers");
        break;
    }
    return ERR_DENIED;
}

enum status admin_check_key(const struct admin *a, struct arena *arena, struct str authorization,
                            struct str path, int64_t now_s, struct checks *checks,
                            struct error *err)
{
    const struct kbs_config *c = a->config;
    if (c->admin_mode == ADMIN_DENY_ALL)
        return deny(checks, err, CHECK_ADMIN_DISABLED,
                    c->admin_form == ADMIN_FORM_TYPED
                        ? "Admin endpoints disabled."
                        : "Admin access denied: Admin access denied as DenyAll authorization_mode "
                          "is enabled");
    bool has_key = a->old_key != NULL || c->persona_count > 0 || c->provider_count > 0;
    if (!has_key && admin_is_open(a))
        return deny(checks, err, CHECK_ADMIN_KEY, "no admin key is configured");

    struct caller caller;
    enum status st = read_caller(arena, authorization, &caller, checks, err);
    if (st == ERR_INVALID)
        return unreadable(a, err);
    if (st != OK)
        return st;
    switch (c->admin_form) {
    case ADMIN_FORM_OLD:
        st = check_old_key(a, &caller, now_s, checks);
        if (st != OK)
            error_set(err, "Admin Token verification failed");
        break;
    case ADMIN_FORM_TYPED:
        st = check_personas(a, &caller, path, now_s, checks, err);
        break;
    case ADMIN_FORM_MODES:
        st = check_providers(a, &caller, path, now_s, checks, err);
        break;
    }
    if (st == OK)
        check_passed(checks, CHECK_ADMIN_KEY);
    return st;
}

enum status admin_check(const struct admin *a, struct arena *arena, struct str authorization,
                        struct str path, int64_t now_s, struct checks *checks, struct error *err)
{
    if (admin_is_open(a)) {
        check_skipped(checks, CHECK_ADMIN_KEY, "the configuration lets everybody administer");
        return OK;
    }
    return admin_check_key(a, arena, authorization, path, now_s, checks, err);
}
