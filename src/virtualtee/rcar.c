#include "virtualtee/rcar.h"

#include "base/encode.h"
#include "value/json.h"

static const char *const version_names[] = {
    [RCAR_0_1_1] = "0.1.1", [RCAR_0_2_0] = "0.2.0", [RCAR_0_4_0] = "0.4.0"};
static const char *const key_names[] = {
    [RCAR_KEY_EC256] = "ec256", [RCAR_KEY_EC521] = "ec521", [RCAR_KEY_RSA] = "rsa"};

const char *rcar_version_name(enum rcar_version v)
{
    return version_names[v];
}

static bool name_find(const char *const *names, size_t n, struct str name, size_t *out)
{
    for (*out = 0; *out < n; (*out)++) {
        if (str_is(name, names[*out]))
            return true;
    }
    return false;
}

bool rcar_version_by_name(struct str name, enum rcar_version *out)
{
    size_t i;
    if (!name_find(version_names, ARRAY_LEN(version_names), name, &i))
        return false;
    *out = (enum rcar_version)i;
    return true;
}

bool rcar_key_by_name(struct str name, enum rcar_key *out)
{
    size_t i;
    if (!name_find(key_names, ARRAY_LEN(key_names), name, &i))
        return false;
    *out = (enum rcar_key)i;
    return true;
}

STATUS rcar_key_generate(enum rcar_key kind, struct privkey **out, struct error *err)
{
    static const enum key_kind kinds[] = {
        [RCAR_KEY_EC256] = KEY_EC_P256, [RCAR_KEY_EC521] = KEY_EC_P521, [RCAR_KEY_RSA] = KEY_RSA};
    return privkey_generate(kinds[kind], 2048, out, err);
}

/* What writing in memory can fail with: memory and limits. */
static STATUS written(enum status st, const char *what, struct error *err)
{
    if (st != OK)
        error_set(err, "could not write the %s: %s", what, status_name(st));
    return st;
}

/* ---- auth ---- */

STATUS rcar_write_auth(enum rcar_version v, const char *tee, struct buf *out, struct error *err)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "version");
    json_cstring(&w, version_names[v]);
    json_key(&w, "tee");
    json_cstring(&w, tee);
    json_key(&w, "extra-params");
    json_object_begin(&w);
    json_key(&w, "supported-hash-algorithms");
    json_array_begin(&w);
    json_cstring(&w, "sha256");
    json_cstring(&w, "sha384");
    json_cstring(&w, "sha512");
    if (v >= RCAR_0_4_0) /* guests from v0.15 on */
        json_cstring(&w, "sm3");
    json_array_end(&w);
    json_object_end(&w);
    json_object_end(&w);
    return written(json_finish(&w), "request", err);
}

STATUS rcar_read_challenge(struct arena *a, struct str text, struct rcar_challenge *out,
                           struct error *err)
{
    value v;
    enum status st = json_parse(a, text, NULL, &v, err);
    if (st != OK) {
        error_prefix(err, "challenge: ");
        return st;
    }

    /* guest-kbs-client.md 2.2: both members must be there. */
    value nonce = value_get_lit(v, "nonce"), params = value_get_lit(v, "extra-params");
    if (!value_is_string(nonce) || !value_is_defined(params)) {
        error_set(err, "challenge has no nonce or no extra-params");
        return ERR_INVALID;
    }
    *out = (struct rcar_challenge){.nonce = value_str(nonce), .hash = DIGEST_SHA384};

    value selected = value_get_lit(params, "selected-hash-algorithm");
    if (!value_is_defined(selected))
        return OK;
    if (!value_is_string(selected) || digest_by_name(value_str(selected), true, &out->hash) != OK) {
        error_set(err, "challenge selects an unknown hash algorithm");
        return ERR_INVALID;
    }
    return OK;
}

/* ---- the key ---- */

/* Members of a tee-pubkey in the order in which guests write them (kbs.md 3.7). */
struct key_text {
    struct {
        const char *name;
        struct str text;
    } members[5];
    size_t len;
};

static void key_member(struct key_text *k, const char *name, struct str text)
{
    k->members[k->len].name = name;
    k->members[k->len++].text = text;
}

static STATUS key_text(struct arena *a, enum rcar_version v, const struct pubkey *key,
                       struct key_text *out, struct error *err)
{
    struct str first, second;
    out->len = 0;
    if (pubkey_kind(key) == KEY_RSA) {
        enum status st = pubkey_rsa_ne(key, a, &first, &second);
        if (st != OK)
            return written(st, "key", err);
        key_member(out, "kty", STR("RSA"));
        key_member(out, "alg", v == RCAR_0_1_1 ? STR("RSA1_5") : STR("RSA-OAEP-256"));
        key_member(out, "n", base64_text(a, first, BASE64_URL));
        key_member(out, "e", base64_text(a, second, BASE64_URL));
    } else {
        enum status st = pubkey_ec_xy(key, a, &first, &second);
        if (st != OK)
            return written(st, "key", err);
        key_member(out, "kty", STR("EC"));
        key_member(out, "crv", pubkey_kind(key) == KEY_EC_P521 ? STR("P-521") : STR("P-256"));
        key_member(out, "alg", STR("ECDH-ES+A256KW"));
        key_member(out, "x", base64_text(a, first, BASE64_URL));
        key_member(out, "y", base64_text(a, second, BASE64_URL));
    }
    return written(arena_status(a), "key", err);
}

static void write_key(struct json_writer *w, const struct key_text *k)
{
    json_object_begin(w);
    for (size_t i = 0; i < k->len; i++) {
        json_key(w, k->members[i].name);
        json_string(w, k->members[i].text);
    }
    json_object_end(w);
}

STATUS rcar_runtime_data(struct arena *a, enum rcar_version v, const struct rcar_challenge *c,
                         const struct pubkey *key, const struct str *additional, struct str *out,
                         struct error *err)
{
    struct key_text text;
    enum status st = key_text(a, v, key, &text, err);
    if (st != OK)
        return st;

    struct value_builder jwk, object;
    value_builder_init(&jwk, a, text.len);
    for (size_t i = 0; i < text.len; i++)
        value_builder_put_str(&jwk, text.members[i].name, value_string(a, text.members[i].text));
    value_builder_init(&object, a, 3);
    value_builder_put_str(&object, "nonce", value_string(a, c->nonce));
    value_builder_put_str(&object, "tee-pubkey", value_object_finish(&jwk, VALUE_DUP_LAST, NULL));
    if (v >= RCAR_0_4_0 && additional != NULL)
        value_builder_put_str(&object, "additional-evidence", value_string(a, *additional));
    *out = json_text(a, value_object_finish(&object, VALUE_DUP_LAST, NULL), JSON_CANONICAL);
    return written(out->ptr == NULL && arena_status(a) == OK ? ERR_INVALID : arena_status(a),
                   "runtime data", err);
}

/* ---- attest ---- */

static void write_attest_0_4_0(struct json_writer *w, const struct rcar_challenge *c,
                               const struct rcar_attestation *att, const struct key_text *key)
{
    json_key(w, "init-data");
    if (att->init_data.ptr == NULL) {
        json_null(w);
    } else {
        json_object_begin(w);
        json_key(w, "format");
        json_cstring(w, "toml");
        json_key(w, "body");
        json_string(w, att->init_data);
        json_object_end(w);
    }
    json_key(w, "runtime-data");
    json_object_begin(w);
    json_key(w, "nonce");
    json_string(w, c->nonce);
    json_key(w, "tee-pubkey");
    write_key(w, key);
    json_object_end(w);
    json_key(w, "tee-evidence"); /* whose members have underscores: kbs.md 3.5 */
    json_object_begin(w);
    json_key(w, "primary_evidence");
    json_raw(w, att->evidence);
    json_key(w, "additional_evidence");
    json_string(w, att->additional);
    json_object_end(w);
}

STATUS rcar_write_attest(enum rcar_version v, const struct rcar_challenge *c,
                         const struct rcar_attestation *att, struct buf *out, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024);
    struct key_text key;
    enum status st = key_text(&a, v, att->key, &key, err);
    if (st != OK)
        return st;

    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    if (v >= RCAR_0_4_0) {
        write_attest_0_4_0(&w, c, att, &key);
    } else {
        json_key(&w, "tee-pubkey");
        write_key(&w, &key);
        json_key(&w, "tee-evidence");
        json_raw(&w, att->evidence);
    }
    json_object_end(&w);
    return written(json_finish(&w), "attestation", err);
}

/* ---- answers ---- */

STATUS rcar_read_token(struct arena *a, struct str text, struct str *token, struct error *err)
{
    value v;
    enum status st = json_parse(a, text, NULL, &v, err);
    if (st != OK) {
        error_prefix(err, "answer to the attestation: ");
        return st;
    }
    value t = value_get_lit(v, "token");
    if (!value_is_string(t) || value_len(v) == 0) {
        error_set(err, "answer to the attestation has no token");
        return ERR_INVALID;
    }
    *token = value_str(t);
    return OK;
}

struct str rcar_decision(struct arena *a, struct str text)
{
    value v;
    if (json_parse(a, text, NULL, &v, NULL) != OK)
        return STR_EMPTY;
    struct str id = value_str(value_get_lit(v, "decision_id"));
    bool fits = id.len == 32;
    for (size_t i = 0; i < id.len && fits; i++)
        fits = hex_digit(id.ptr[i]) >= 0;
    return fits ? id : STR_EMPTY;
}

struct str rcar_resource_path(struct arena *a, struct str name)
{
    struct str plugin = STR("resource");
    if (str_has_prefix(name, STR("kbs:///"))) {
        name = str_from(name, strlen("kbs:///"));
    } else if (str_has_prefix(name, STR("kbs+"))) {
        size_t colon = str_find(name, ':', 0);
        struct str rest = str_from(name, colon);
        if (str_has_prefix(rest, STR(":///"))) {
            plugin = str_slice(name, strlen("kbs+"), colon - strlen("kbs+"));
            name = str_from(rest, strlen(":///"));
        }
    }
    return arena_format(a, "/kbs/v0/%.*s/%.*s", STR_ARG(plugin), STR_ARG(name));
}
