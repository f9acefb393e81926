/* Digests and message authentication: rego.md 6.15; certificates are in builtins_x509.c. */
#include "crypto/crypto.h"
#include "rego/builtins_internal.h"

/* A block of a digest costs about as much as some instructions of the engine. */
static bool charge_digest(struct rego_call *call, size_t n)
{
    return rego_call_charge(call, 8 + n / 16);
}

static enum rego_outcome give_hex(struct rego_call *call, const struct digest *d, value *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    for (size_t i = 0; i < d->len; i++)
        buf_add_format(&b, "%02x", d->bytes[i]);
    return give_buf(call, &b, out);
}

static enum rego_outcome digest_of(struct rego_call *call, const value *args, enum digest_alg alg,
                                   value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_digest(call, s.len))
        return REGO_FATAL;
    struct digest d;
    digest_compute(alg, s, &d);
    return give_hex(call, &d, out);
}

enum rego_outcome builtin_crypto_md5(struct rego_call *call, const value *args, value *out)
{
    return digest_of(call, args, DIGEST_MD5, out);
}

enum rego_outcome builtin_crypto_sha1(struct rego_call *call, const value *args, value *out)
{
    return digest_of(call, args, DIGEST_SHA1, out);
}

enum rego_outcome builtin_crypto_sha256(struct rego_call *call, const value *args, value *out)
{
    return digest_of(call, args, DIGEST_SHA256, out);
}

static enum rego_outcome hmac_of(struct rego_call *call, const value *args, enum digest_alg alg,
                                 value *out)
{
    struct str message = STR_EMPTY;
    struct str key = STR_EMPTY;
    if (!arg_string(call, args, 1, &message) || !arg_string(call, args, 2, &key))
        return REGO_FAILED;
    if (!charge_digest(call, message.len + key.len + 128))
        return REGO_FATAL;
    struct digest d;
    hmac_compute(alg, key, message, &d);
    return give_hex(call, &d, out);
}

enum rego_outcome builtin_crypto_hmac_md5(struct rego_call *call, const value *args, value *out)
{
    return hmac_of(call, args, DIGEST_MD5, out);
}

enum rego_outcome builtin_crypto_hmac_sha1(struct rego_call *call, const value *args, value *out)
{
    return hmac_of(call, args, DIGEST_SHA1, out);
}

enum rego_outcome builtin_crypto_hmac_sha256(struct rego_call *call, const value *args, value *out)
{
    return hmac_of(call, args, DIGEST_SHA256, out);
}

enum rego_outcome builtin_crypto_hmac_sha512(struct rego_call *call, const value *args, value *out)
{
    return hmac_of(call, args, DIGEST_SHA512, out);
}

enum rego_outcome builtin_crypto_hmac_equal(struct rego_call *call, const value *args, value *out)
{
    struct str a = STR_EMPTY;
    struct str b = STR_EMPTY;
    if (!arg_string(call, args, 1, &a) || !arg_string(call, args, 2, &b))
        return REGO_FAILED;
    return give_bool(a.len == b.len && bytes_equal_ct(a, b), out);
}
