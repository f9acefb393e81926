#include "jose/jose_internal.h"

#include "base/encode.h"
#include "value/json.h"

static const struct {
    enum key_kind kind;
    const char *crv;
    size_t width;
} curves[] = {
    {KEY_EC_P256, "P-256", 32},
    {KEY_EC_P384, "P-384", 48},
    {KEY_EC_P521, "P-521", 66},
};

enum key_kind jwk_curve_kind(struct str crv)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (str_is(crv, curves[i].crv))
            return curves[i].kind;
    return KEY_OTHER;
}

const char *jwk_curve_name(enum key_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (curves[i].kind == kind)
            return curves[i].crv;
    return NULL;
}

size_t jwk_curve_width(enum key_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (curves[i].kind == kind)
            return curves[i].width;
    return 0;
}

/* ---- reading ---- */

enum status jwk_read_member(value json, const char *name, struct buf *out, struct error *err)
{
    value v = value_get_str(json, str_of(name));
    if (!value_is_string(v)) {
        error_set(err, "key has no member \"%s\", or it is no string", name);
        return ERR_INVALID;
    }
    enum status st = base64_read(value_str(v), BASE64_URL, out, NULL);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) {
        error_set(err, "member \"%s\" of the key is no base64url, or too long", name);
        return ERR_INVALID;
    }
    return OK;
}

/* One coordinate into its place of `width` zero bytes. */
static STATUS read_coordinate(value json, const char *name, bool pad, uint8_t *out, size_t width,
                              struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, JWK_MEMBER_MAX);
    enum status st = jwk_read_member(json, name, &b, err);
    if (st != OK)
        return st;
    if (b.len > width || b.len == 0 || (b.len < width && !pad)) {
        error_set(err, "coordinate \"%s\" of the key is not of %zu bytes", name, width);
        return ERR_INVALID;
    }
    memcpy(out + width - b.len, b.ptr, b.len);
    return OK;
}

enum status jwk_read_ec(value json, enum key_kind kind, bool pad, struct pubkey **out,
                        struct error *err)
{
    uint8_t x[66] = {0}, y[66] = {0};
    size_t width = jwk_curve_width(kind);
    enum status st = read_coordinate(json, "x", pad, x, width, err);
    if (st == OK)
        st = read_coordinate(json, "y", pad, y, width, err);
    if (st != OK)
        return st;
    return pubkey_from_ec(kind, str_bytes(x, width), str_bytes(y, width), out, err);
}

static size_t bits_of(struct str n)
{
    while (n.len > 0 && n.ptr[0] == 0)
        n = str_from(n, 1);
    size_t bits = n.len * 8;
    for (unsigned top = n.len > 0 ? (uint8_t)n.ptr[0] : 0x80; top < 0x80; top <<= 1)
        bits--;
    return bits;
}

enum status jwk_read_rsa(value json, unsigned bits_max, unsigned exponent_bits_max,
                         struct pubkey **out, struct error *err)
{
    CLEANUP(buf_done) struct buf n, e;
    buf_init(&n, JWK_MEMBER_MAX);
    buf_init(&e, JWK_MEMBER_MAX);
    enum status st = jwk_read_member(json, "n", &n, err);
    if (st == OK)
        st = jwk_read_member(json, "e", &e, err);
    if (st != OK)
        return st;

    size_t bits = bits_of(buf_str(&n));
    if (bits < JWK_RSA_BITS_MIN || bits > bits_max || bits_of(buf_str(&e)) > exponent_bits_max) {
        error_set(err, "RSA key of %zu bits is not between %d and %u, or has a huge exponent", bits,
                  JWK_RSA_BITS_MIN, bits_max);
        return ERR_INVALID;
    }
    CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
    st = pubkey_from_rsa(buf_str(&n), buf_str(&e), &k, err);
    if (st != OK)
        return st;
    if (pubkey_is_roca(k)) {
        error_set(err, "RSA key was made by a broken library (CVE-2017-15361)");
        return ERR_INVALID;
    }
    *out = TAKE(k);
    return OK;
}

static STATUS read_okp(value json, struct pubkey **out, struct error *err)
{
    struct str crv = value_str(value_get_lit(json, "crv"));
    if (!str_is(crv, "Ed25519")) {
        error_set(err, "curve \"%s\" is not supported", QUOTED(crv));
        return ERR_UNSUPPORTED;
    }
    CLEANUP(buf_done) struct buf x;
    buf_init(&x, JWK_MEMBER_MAX);
    enum status st = jwk_read_member(json, "x", &x, err);
    return st != OK ? st : pubkey_from_ed25519(buf_str(&x), out, err);
}

static STATUS read_key(value json, bool pad, struct pubkey **out, struct error *err)
{
    struct str kty = value_str(value_get_lit(json, "kty"));
    if (str_is(kty, "EC")) {
        struct str crv = value_str(value_get_lit(json, "crv"));
        enum key_kind kind = jwk_curve_kind(crv);
        if (kind != KEY_OTHER)
            return jwk_read_ec(json, kind, pad, out, err);
        error_set(err, "curve \"%s\" is not supported", QUOTED(crv));
        return ERR_UNSUPPORTED;
    }
    if (str_is(kty, "RSA"))
        return jwk_read_rsa(json, JWK_RSA_BITS_MAX, JWK_EXPONENT_BITS_MAX, out, err);
    if (str_is(kty, "OKP"))
        return read_okp(json, out, err);
    error_set(err, "key type \"%s\" is not supported", QUOTED(kty));
    return ERR_UNSUPPORTED;
}

/* RFC 7517, 4.2 and 4.3: a key that says what it is for is for nothing else. */
static bool is_for_signatures(value json)
{
    value use = value_get_lit(json, "use");
    if (value_is_defined(use) && !str_is(value_str(use), "sig"))
        return false;
    value ops = value_get_lit(json, "key_ops");
    if (!value_is_defined(ops))
        return true;
    for (size_t i = 0; value_is_array(ops) && i < value_len(ops); i++)
        if (str_is(value_str(value_at(ops, i)), "verify"))
            return true;
    return false;
}

/* A string member that may be absent. */
static STATUS optional_string(value json, const char *name, struct str *out, struct error *err)
{
    value v = value_get_str(json, str_of(name));
    if (value_is_defined(v) && !value_is_string(v)) {
        error_set(err, "member \"%s\" of the key is no string", name);
        return ERR_INVALID;
    }
    *out = value_str(v);
    return OK;
}

enum status jwk_parse(value json, bool pad, struct jwk *out, struct error *err)
{
    if (!value_is_object(json)) {
        error_set(err, "key is no object");
        return ERR_INVALID;
    }
    struct jwk k = {.json = json};
    enum status st = optional_string(json, "kid", &k.kid, err);
    if (st == OK)
        st = optional_string(json, "alg", &k.alg, err);
    if (st != OK)
        return st;
    if (!is_for_signatures(json)) {
        error_set(err, "key is not meant for signatures");
        return ERR_UNSUPPORTED;
    }
    st = read_key(json, pad, &k.key, err);
    if (st == OK)
        *out = k;
    return st;
}

void jwk_done(struct jwk *k)
{
    k->key = pubkey_unref(k->key);
}

enum status jwk_set_parse(struct arena *a, value json, struct jwk_set *out, struct error *err)
{
    value keys = value_get_lit(json, "keys");
    if (!value_is_array(keys)) {
        error_set(err, "key set has no array \"keys\"");
        return ERR_INVALID;
    }
    size_t n = value_len(keys);
    if (n > JWK_SET_MAX) {
        error_set(err, "key set has more than %d keys", JWK_SET_MAX);
        return ERR_LIMIT;
    }
    struct jwk *all = arena_new_array(a, struct jwk, n == 0 ? 1 : n);
    if (all == NULL)
        return arena_status(a);

    struct jwk_set set = {all, n};
    for (size_t i = 0; i < n; i++) {
        value member = value_at(keys, i);
        enum status st = jwk_parse(member, false, &all[i], err);
        if (st == ERR_NOMEM) {
            jwk_set_done(&set);
            return st;
        }
        if (st != OK) {
            /* RFC 7517, 5: keys that are not understood are passed over. */
            all[i] = (struct jwk){
                .json = member,
                .kid = value_str(value_get_lit(member, "kid")),
                .alg = value_str(value_get_lit(member, "alg")),
            };
        }
    }
    *out = set;
    return OK;
}

void jwk_set_done(struct jwk_set *s)
{
    for (size_t i = 0; i < s->len; i++)
        jwk_done(&s->keys[i]);
    s->len = 0;
}

/* ---- writing ---- */

static value base64_value(struct arena *a, struct str bytes)
{
    struct str text = base64_text(a, bytes, BASE64_URL);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
}

/* The required members; of kinds that have no JWK form: ERR_UNSUPPORTED. */
static STATUS put_members(struct arena *a, const struct pubkey *k, struct value_builder *b)
{
    enum key_kind kind = pubkey_kind(k);
    const char *crv = jwk_curve_name(kind);
    struct str x, y;
    enum status st;
    if (crv != NULL) {
        st = pubkey_ec_xy(k, a, &x, &y);
        if (st != OK)
            return st;
        value_builder_put_str(b, "kty", value_cstring(a, "EC"));
        value_builder_put_str(b, "crv", value_cstring(a, crv));
        value_builder_put_str(b, "x", base64_value(a, x));
        value_builder_put_str(b, "y", base64_value(a, y));
    } else if (kind == KEY_RSA) {
        st = pubkey_rsa_ne(k, a, &x, &y);
        if (st != OK)
            return st;
        value_builder_put_str(b, "kty", value_cstring(a, "RSA"));
        value_builder_put_str(b, "n", base64_value(a, x));
        value_builder_put_str(b, "e", base64_value(a, y));
    } else {
        st = pubkey_ed25519_raw(k, a, &x);
        if (st != OK)
            return st;
        value_builder_put_str(b, "kty", value_cstring(a, "OKP"));
        value_builder_put_str(b, "crv", value_cstring(a, "Ed25519"));
        value_builder_put_str(b, "x", base64_value(a, x));
    }
    return OK;
}

enum status jwk_from_pubkey(struct arena *a, const struct pubkey *k, value *out)
{
    struct value_builder b;
    value_builder_init(&b, a, 4);
    enum status st = put_members(a, k, &b);
    if (st != OK)
        return st;
    value v = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    if (!value_is_defined(v))
        return arena_status(a);
    *out = v;
    return OK;
}

enum status jwk_thumbprint(struct arena *a, const struct pubkey *k, struct str *out)
{
    value v;
    enum status st = jwk_from_pubkey(a, k, &v);
    if (st != OK)
        return st;
    /* RFC 7638, 3: the required members only, in lexicographic order, without white space. */
    struct str text = json_text(a, v, JSON_COMPACT);
    if (text.ptr == NULL)
        return arena_status(a);
    struct digest d;
    digest_compute(DIGEST_SHA256, text, &d);
    *out = base64_text(a, digest_str(&d), BASE64_URL);
    return out->ptr == NULL ? arena_status(a) : OK;
}
