/*
 * JSON Web Tokens: rego.md 6.16.
 *
 * The service's own tokens are judged by the jose module, which lets the key
 * decide the algorithm.  Here the policy decides it (by the function's name or
 * by the constraint "alg"), as OPA's functions promise; a key of another kind
 * just does not verify.
 */
#include "base/encode.h"
#include "rego/builtins_jwt.h"
#include "value/number.h"

#define NESTING_MAX 16 /* tokens within tokens */

/* ---- tokens ---- */

struct token {
    struct str text;
    struct str parts[3];      /* base64url texts */
    struct str signing_input; /* header.payload */
    value header;
    struct str alg, kid, cty;
    bool crit_ok; /* no critical extension that is unknown */
};

static enum rego_outcome split_token(struct rego_call *call, value v, struct token *t)
{
    if (!value_is_string(v))
        return rego_call_type_error(call, 1, "string", v);
    struct str s = value_str(v);
    *t = (struct token){.text = s, .header = VALUE_UNDEFINED, .crit_ok = true};
    size_t points = 0;
    for (size_t i = 0; i < s.len; i++)
        points += s.ptr[i] == '.';
    if (points == 0)
        return rego_call_error(call, "encoded JWT had no period separators");
    if (points != 2)
        return rego_call_error(call, "encoded JWT must have 3 sections, found %zu", points + 1);
    size_t first = str_find(s, '.', 0);
    size_t second = str_find(s, '.', first + 1);
    t->parts[0] = str_slice(s, 0, first);
    t->parts[1] = str_slice(s, first + 1, second - first - 1);
    t->parts[2] = str_from(s, second + 1);
    t->signing_input = str_slice(s, 0, second);
    return charge_bytes(call, s.len * 8) ? REGO_VALUE : REGO_FATAL;
}

/* A part's bytes, in the arena; `prefix` begins the message. */
static enum rego_outcome decode_part(struct rego_call *call, struct str part, const char *prefix,
                                     struct str *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    const char *why = "";
    if (!read_base64url(call, part, &b, &why))
        return rego_call_error(call, "%s%s", prefix, why);
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = give_buf(call, &b, &v);
    *out = value_str(v);
    return o;
}

static enum rego_outcome parse_object(struct rego_call *call, struct str text, const char *prefix,
                                      value *out)
{
    struct error err = ERROR_INIT;
    enum status st = read_json(call, text, out, &err);
    if (st == ERR_INVALID)
        return rego_call_error(call, "%sinvalid JSON: %s", prefix, err.text);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (!value_is_object(*out))
        return rego_call_error(call, "%sdecoded JSON type was not an Object", prefix);
    return REGO_VALUE;
}

static enum rego_outcome decode_header(struct rego_call *call, struct token *t)
{
    struct str text = STR_EMPTY;
    enum rego_outcome o =
        decode_part(call, t->parts[0], "JWT header had invalid encoding: ", &text);
    if (o == REGO_VALUE)
        o = parse_object(call, text, "bad JWT header: ", &t->header);
    if (o == REGO_VALUE && value_is_defined(value_get_lit(t->header, "enc")))
        o = rego_call_error(call, "JWT is a JWE object, which is not supported");
    return o;
}

/* RFC 7515, 4.1.11: a token with a critical extension that we do not know is not for us. */
static enum rego_outcome read_crit(struct rego_call *call, struct token *t)
{
    value crit = value_get_lit(t->header, "crit");
    if (!value_is_defined(crit))
        return REGO_VALUE;
    if (!value_is_array(crit))
        return rego_call_error(call, "crit: must be a list");
    static const char *const known[] = {"alg", "kid", "typ", "cty", "crit"};
    for (size_t i = 0; i < value_len(crit); i++) {
        value name = value_at(crit, i);
        bool is_known = false;
        for (size_t j = 0; j < ARRAY_LEN(known); j++)
            is_known = is_known || str_is(value_str(name), known[j]);
        if (!value_is_string(name))
            return rego_call_error(call, "crit: must be a list of strings");
        if (!is_known)
            t->crit_ok = false;
    }
    if (value_len(crit) == 0)
        return rego_call_error(call, "crit: must be a nonempty list");
    return REGO_VALUE;
}

/* The members of the header that have a meaning here. */
static enum rego_outcome read_header(struct rego_call *call, struct token *t)
{
    const struct {
        const char *name;
        struct str *out;
    } members[] = {{"alg", &t->alg}, {"cty", &t->cty}, {"kid", &t->kid}, {"typ", NULL}};
    t->alg = t->kid = t->cty = STR_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        value v = value_get_str(t->header, str_of(members[i].name));
        if (value_is_defined(v) && !value_is_string(v))
            return rego_call_error(call, "%s: must be a string", members[i].name);
        if (members[i].out != NULL)
            *members[i].out = value_str(v);
    }
    return read_crit(call, t);
}

static enum rego_outcome decode_signature(struct rego_call *call, const struct token *t,
                                          struct str *out)
{
    return decode_part(call, t->parts[2], "", out);
}

/* ---- verifying ---- */

static bool verify_hmac(struct str secret, enum digest_alg digest, struct str message,
                        struct str signature)
{
    struct digest d;
    hmac_compute(digest, secret, message, &d);
    return signature.len == d.len && bytes_equal_ct(digest_str(&d), signature);
}

static bool verify_with(struct rego_call *call, const struct jwt_key *k,
                        const struct algorithm *alg, struct str message, struct str signature)
{
    if (alg->family == FAMILY_HMAC)
        return k->key == NULL && k->secret.len > 0 &&
               verify_hmac(k->secret, alg->digest, message, signature);
    return k->key != NULL && jwt_key_fits(alg->family, pubkey_kind(k->key)) &&
           worked(rego_call_arena(call), pubkey_verify(k->key, jwt_sig_alg(alg->family),
                                                       alg->digest, message, signature, NULL));
}

/*
 * The key of the token's "kid" alone, if there is one; else any that either
 * names no algorithm or the header's.
 */
static enum rego_outcome verify_any(struct rego_call *call, const struct token *t,
                                    const struct jwt_keys *keys, const struct algorithm *alg,
                                    struct str signature, bool *verified)
{
    *verified = false;
    if (!rego_call_charge(call, SIGNATURE_COST))
        return REGO_FATAL;
    for (size_t i = 0; t->kid.len > 0 && i < keys->len; i++) {
        if (str_equal(keys->items[i].kid, t->kid)) {
            *verified = verify_with(call, &keys->items[i], alg, t->signing_input, signature);
            return REGO_VALUE;
        }
    }
    for (size_t i = 0; i < keys->len && !*verified; i++) {
        const struct jwt_key *k = &keys->items[i];
        if (k->alg.len > 0 && !str_equal(k->alg, t->alg))
            continue;
        if (i > 0 && !rego_call_charge(call, SIGNATURE_COST))
            return REGO_FATAL;
        *verified = verify_with(call, k, alg, t->signing_input, signature);
    }
    return REGO_VALUE;
}

static enum rego_outcome verify(struct rego_call *call, const value *args, const char *name,
                                value *out)
{
    const struct algorithm *alg = jwt_algorithm(str_of(name));
    struct token t;
    struct str key = STR_EMPTY;
    struct str signature = STR_EMPTY;
    /* A secret comes before the token, a certificate after it (OPA). */
    if (alg->family == FAMILY_HMAC && value_is_string(args[0]) && !arg_string(call, args, 2, &key))
        return REGO_FAILED;
    enum rego_outcome o = split_token(call, args[0], &t);
    if (o != REGO_VALUE)
        return o;
    if (!arg_string(call, args, 2, &key))
        return REGO_FAILED;
    if (alg->family == FAMILY_HMAC) {
        o = decode_signature(call, &t, &signature);
        return o == REGO_VALUE
                   ? give_bool(verify_hmac(key, alg->digest, t.signing_input, signature), out)
                   : o;
    }

    CLEANUP(jwt_keys_done) struct jwt_keys keys = {.len = 0};
    bool verified = false;
    o = jwt_keys_read(call, key, &keys);
    if (o == REGO_VALUE)
        o = decode_signature(call, &t, &signature);
    if (o == REGO_VALUE)
        o = decode_header(call, &t);
    if (o == REGO_VALUE)
        o = read_header(call, &t);
    if (o == REGO_VALUE)
        o = verify_any(call, &t, &keys, alg, signature, &verified);
    return o == REGO_VALUE ? give_bool(verified, out) : o;
}

#define VERIFY(suffix, alg)                                                                        \
    enum rego_outcome builtin_io_jwt_verify_##suffix(struct rego_call *call, const value *args,    \
                                                     value *out)                                   \
    {                                                                                              \
        return verify(call, args, alg, out);                                                       \
    }
VERIFY(hs256, "HS256")
VERIFY(hs384, "HS384")
VERIFY(hs512, "HS512")
VERIFY(rs256, "RS256")
VERIFY(rs384, "RS384")
VERIFY(rs512, "RS512")
VERIFY(ps256, "PS256")
VERIFY(ps384, "PS384")
VERIFY(ps512, "PS512")
VERIFY(es256, "ES256")
VERIFY(es384, "ES384")
VERIFY(es512, "ES512")
VERIFY(eddsa, "EdDSA")

/* ---- decoding ---- */

static struct str trim_quotes(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == '"' || s.ptr[0] == '\''))
        s = str_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == '"' || s.ptr[s.len - 1] == '\''))
        s.len--;
    return s;
}

enum rego_outcome builtin_io_jwt_decode(struct rego_call *call, const value *args, value *out)
{
    struct arena *a = rego_call_arena(call);
    value text = args[0];
    struct token t;
    struct str payload = STR_EMPTY;
    for (unsigned depth = 0;; depth++) {
        if (depth == NESTING_MAX)
            return rego_call_error(call, "tokens nest deeper than %d", NESTING_MAX);
        enum rego_outcome o = split_token(call, text, &t);
        if (o == REGO_VALUE)
            o = decode_header(call, &t);
        if (o == REGO_VALUE)
            o = decode_part(call, t.parts[1], "JWT payload had invalid encoding: ", &payload);
        if (o != REGO_VALUE)
            return o;
        if (!str_is(value_str(value_get_lit(t.header, "cty")), "JWT"))
            break;
        text = value_string(a, trim_quotes(payload)); /* a token in the token */
        if (!value_is_defined(text))
            return give(call, text, out);
    }

    value claims = VALUE_UNDEFINED;
    struct str signature = STR_EMPTY;
    enum rego_outcome o = parse_object(call, payload, "", &claims);
    if (o == REGO_VALUE)
        o = decode_part(call, t.parts[2], "JWT signature had invalid encoding: ", &signature);
    if (o != REGO_VALUE)
        return o;
    struct str hex = hex_text(a, signature);
    const value parts[] = {t.header, claims, value_string(a, hex.ptr == NULL ? STR_EMPTY : hex)};
    return give(call, value_array(a, parts, 3), out);
}

struct constraints {
    struct jwt_keys keys;
    bool has_keys;
    struct str secret, alg, iss, aud;
    value time; /* nanoseconds */
};

static void constraints_done(struct constraints *c)
{
    jwt_keys_done(&c->keys);
}

static enum rego_outcome constraint_time(struct rego_call *call, value v, struct constraints *c)
{
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return rego_call_error(call, "token time constraint: must be a number");
    if (number_compare(v, value_small_int(0)) < 0)
        return rego_call_error(call, "token time constraint: must not be negative");
    c->time = v;
    return REGO_VALUE;
}

static enum rego_outcome read_constraint(struct rego_call *call, const struct value_pair *p,
                                         struct constraints *c)
{
    struct str name = value_str(p->key);
    const struct {
        const char *name;
        struct str *out;
    } texts[] = {{"secret", &c->secret}, {"alg", &c->alg}, {"iss", &c->iss}, {"aud", &c->aud}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!str_is(name, texts[i].name))
            continue;
        if (!value_is_string(p->val))
            return rego_call_error(call, "%s constraint: must be a string", texts[i].name);
        *texts[i].out = value_str(p->val);
        return REGO_VALUE;
    }
    if (str_is(name, "time"))
        return constraint_time(call, p->val, c);
    if (!str_is(name, "cert"))
        return rego_call_error(call, "unknown token validation constraint: %s", shown(call, name));
    if (!value_is_string(p->val))
        return rego_call_error(call, "cert constraint: must be a string");
    c->has_keys = true;
    return jwt_keys_read(call, value_str(p->val), &c->keys);
}

static enum rego_outcome read_constraints(struct rego_call *call, value object,
                                          struct constraints *c)
{
    for (size_t i = 0; i < value_len(object); i++) {
        enum rego_outcome o = read_constraint(call, &value_pairs(object)[i], c);
        if (o != REGO_VALUE)
            return o;
    }
    if (c->has_keys && c->secret.len > 0)
        return rego_call_error(call, "duplicate key constraints");
    if (!c->has_keys && c->secret.len == 0)
        return rego_call_error(call, "no key constraint");
    if (value_is_defined(c->time))
        return REGO_VALUE;
    return constraint_time(call, value_int(rego_call_arena(call), rego_call_now_ns(call)), c);
}

/* *ok: the signature and the header fit the constraints. */
static enum rego_outcome check_token(struct rego_call *call, struct token *t,
                                     const struct constraints *c, bool *ok)
{
    *ok = false;
    struct str signature = STR_EMPTY;
    enum rego_outcome o = decode_header(call, t);
    if (o == REGO_VALUE)
        o = read_header(call, t);
    if (o != REGO_VALUE || t->alg.len == 0 || !t->crit_ok ||
        (c->alg.len > 0 && !str_equal(c->alg, t->alg)))
        return o;
    o = decode_signature(call, t, &signature);
    const struct algorithm *alg = jwt_algorithm(t->alg);
    if (o != REGO_VALUE || alg == NULL)
        return o;
    if (c->has_keys)
        return verify_any(call, t, &c->keys, alg, signature, ok);
    *ok = alg->family == FAMILY_HMAC &&
          verify_hmac(c->secret, alg->digest, t->signing_input, signature);
    return REGO_VALUE;
}

static bool audience_fits(value aud, struct str wanted)
{
    if (value_is_string(aud))
        return str_equal(value_str(aud), wanted);
    for (size_t i = 0; i < (value_is_array(aud) ? value_len(aud) : 0); i++)
        if (value_is_string(value_at(aud, i)) && str_equal(value_str(value_at(aud, i)), wanted))
            return true;
    return false;
}

/* The constraint's time against a claim in seconds: -1, 0, 1; exact. */
static enum rego_outcome compare_time(struct rego_call *call, const struct constraints *c,
                                      value claim, const char *name, int *order)
{
    if (value_kind(claim) != VALUE_KIND_NUMBER)
        return rego_call_error(call, "%s value must be a number", name);
    value ns = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st =
        number_mul(rego_call_arena(call), claim, value_small_int(1000000000), &ns, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    *order = number_compare(c->time, ns);
    return REGO_VALUE;
}

static enum rego_outcome check_claims(struct rego_call *call, value claims,
                                      const struct constraints *c, bool *ok)
{
    value iss = value_get_lit(claims, "iss");
    value aud = value_get_lit(claims, "aud");
    value exp = value_get_lit(claims, "exp");
    value nbf = value_get_lit(claims, "nbf");
    *ok = false;
    if (c->iss.len > 0 && !(value_is_string(iss) && str_equal(value_str(iss), c->iss)))
        return REGO_VALUE;
    if (value_is_defined(aud) ? !audience_fits(aud, c->aud) : c->aud.len > 0)
        return REGO_VALUE;
    int order = 0;
    if (value_is_defined(exp)) {
        enum rego_outcome o = compare_time(call, c, exp, "exp", &order);
        if (o != REGO_VALUE || order >= 0) /* RFC 7519, 4.1.4: refused at the expiry time, too */
            return o;
    }
    if (value_is_defined(nbf)) {
        enum rego_outcome o = compare_time(call, c, nbf, "nbf", &order);
        if (o != REGO_VALUE || order < 0)
            return o;
    }
    *ok = true;
    return REGO_VALUE;
}

static enum rego_outcome give_verdict(struct rego_call *call, bool ok, value header, value claims,
                                      value *out)
{
    struct arena *a = rego_call_arena(call);
    value none = VALUE_EMPTY_OBJECT(a);
    const value parts[] = {value_bool(ok), ok ? header : none, ok ? claims : none};
    return give(call, value_array(a, parts, 3), out);
}

enum rego_outcome builtin_io_jwt_decode_verify(struct rego_call *call, const value *args,
                                               value *out)
{
    if (!arg_kind(call, args, 2, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    CLEANUP(constraints_done) struct constraints c = {.time = VALUE_UNDEFINED};
    enum rego_outcome o = read_constraints(call, args[1], &c);
    if (o != REGO_VALUE)
        return o;

    value text = args[0];
    struct token t;
    struct str payload = STR_EMPTY;
    bool ok = false;
    for (unsigned depth = 0;; depth++) {
        if (depth == NESTING_MAX)
            return rego_call_error(call, "tokens nest deeper than %d", NESTING_MAX);
        o = split_token(call, text, &t);
        if (o == REGO_VALUE)
            o = check_token(call, &t, &c, &ok);
        if (o != REGO_VALUE)
            return o;
        if (!ok)
            return give_verdict(call, false, VALUE_NULL, VALUE_NULL, out);
        o = decode_part(call, t.parts[1], "JWT payload had invalid encoding: ", &payload);
        if (o != REGO_VALUE)
            return o;
        if (t.cty.len != 3 || strncasecmp(t.cty.ptr, "JWT", 3) != 0)
            break;
        text = value_string(rego_call_arena(call), payload);
        if (!value_is_defined(text))
            return give(call, text, out);
    }

    value claims = VALUE_UNDEFINED;
    o = parse_object(call, payload, "", &claims);
    if (o == REGO_VALUE)
        o = check_claims(call, claims, &c, &ok);
    return o == REGO_VALUE ? give_verdict(call, ok, t.header, claims, out) : o;
}
