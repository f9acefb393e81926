/*
 * crypto - OpenSSL met in one place: digests, keys, signatures, key agreement,
 * authenticated encryption.
 *
 * Objects are immutable after creation and counted by references; threads share
 * them.  Nothing here reads a clock or a file.  Private keys and shared secrets
 * live in memory that is wiped when released.  Error texts never hold key bytes.
 * OpenSSL's own error queue is cleared on every path.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret.h"

/* ---- digests ---- */

enum digest_alg {
    DIGEST_MD5,
    DIGEST_SHA1,
    DIGEST_SHA256,
    DIGEST_SHA384,
    DIGEST_SHA512,
    DIGEST_SM3
};
#define DIGEST_MAX 64

struct digest {
    uint8_t bytes[DIGEST_MAX];
    size_t len;
};

size_t digest_len(enum digest_alg alg);

/* "sha256", "sha384", "sha512", "sm3"; ERR_NOT_FOUND for others.  `any_case` as gRPC callers may
 * write. */
STATUS digest_by_name(struct str name, bool any_case, enum digest_alg *out);

/* Digests cannot fail on input; a failing library ends the process, as without it nothing is safe.
 */
void digest_compute(enum digest_alg alg, struct str data, struct digest *out);

/* Concatenation of parts. */
void digest_parts(enum digest_alg alg, const struct str *parts, size_t n, struct digest *out);

static inline struct str digest_str(const struct digest *d)
{
    return str_bytes(d->bytes, d->len);
}

void hmac_compute(enum digest_alg alg, struct str key, struct str data, struct digest *out);

/* RFC 5869 extract and expand; out_len at most 255 digests. */
void hkdf_compute(enum digest_alg alg, struct str key, struct str salt, struct str info, void *out,
                  size_t out_len);

/* ---- public and private keys ---- */

/*
 * KEY_SM2 is for Hygon's evidence only: nothing of JOSE or X.509 uses it.
 * KEY_OTHER comes out of certificates only, and nothing verifies with it: other
 * algorithms, curves given by parameters, RSA outside of 1024 to 16384 bits.
 */
enum key_kind { KEY_RSA, KEY_EC_P256, KEY_EC_P384, KEY_EC_P521, KEY_ED25519, KEY_SM2, KEY_OTHER };

struct pubkey;
struct privkey;

struct pubkey *pubkey_ref(struct pubkey *k);
struct pubkey *pubkey_unref(struct pubkey *k);
DEFINE_CLEANUP(pubkey, struct pubkey, pubkey_unref)
struct privkey *privkey_ref(struct privkey *k);
struct privkey *privkey_unref(struct privkey *k);
DEFINE_CLEANUP(privkey, struct privkey, privkey_unref)

enum key_kind pubkey_kind(const struct pubkey *k);
unsigned pubkey_bits(const struct pubkey *k); /* RSA modulus or curve size */
bool pubkey_equal(const struct pubkey *a, const struct pubkey *b);

/* SubjectPublicKeyInfo, DER, whole input. RSA: 2048 to 16384 bits, exponent odd and >= 3. */
STATUS pubkey_from_der(struct str der, struct pubkey **out, struct error *err);
STATUS pubkey_from_pem(struct str pem, struct pubkey **out, struct error *err);
STATUS pubkey_from_rsa(struct str modulus, struct str exponent, struct pubkey **out,
                       struct error *err); /* big-endian; 1024 to 16384 bits */
/* Coordinates of exactly the curve's width; the point is checked to be on the curve. */
STATUS pubkey_from_ec(enum key_kind curve, struct str x, struct str y, struct pubkey **out,
                      struct error *err);
STATUS pubkey_from_ed25519(struct str raw, struct pubkey **out, struct error *err);

/* DER SubjectPublicKeyInfo; PEM of it. */
STATUS pubkey_to_der(const struct pubkey *k, struct buf *out);
STATUS pubkey_to_pem(const struct pubkey *k, struct buf *out);
/* SHA-256 of the DER SubjectPublicKeyInfo. */
STATUS pubkey_fingerprint(const struct pubkey *k, struct digest *out);

/* EC: fixed-width coordinates.  RSA: minimal big-endian.  ERR_UNSUPPORTED for another kind. */
STATUS pubkey_ec_xy(const struct pubkey *k, struct arena *a, struct str *x, struct str *y);
STATUS pubkey_rsa_ne(const struct pubkey *k, struct arena *a, struct str *n, struct str *e);
STATUS pubkey_ed25519_raw(const struct pubkey *k, struct arena *a, struct str *raw);

/* RSA modulus of the shape that Infineon's library made (ROCA, CVE-2017-15361): can be factored. */
bool pubkey_is_roca(const struct pubkey *k);

STATUS privkey_generate(enum key_kind kind, unsigned rsa_bits, struct privkey **out,
                        struct error *err);
/* PEM: PKCS#8, SEC1 or PKCS#1; unencrypted.  RSA from 2048 bits, made ones too. */
STATUS privkey_from_pem(struct str pem, struct privkey **out, struct error *err);
STATUS privkey_to_pem(const struct privkey *k, struct buf *out); /* PKCS#8; use a secret buf */
/* From the private scalar or seed, big-endian of the curve's width. */
STATUS privkey_from_raw(enum key_kind kind, struct str raw, struct privkey **out,
                        struct error *err);
struct pubkey *privkey_public(const struct privkey *k); /* borrowed */

/* ---- signatures ---- */

enum sig_alg {
    SIG_RSA_PKCS1, /* RSASSA-PKCS1-v1_5 */
    SIG_RSA_PSS,   /* MGF1 with the same digest, salt of the digest's length */
    SIG_ECDSA_DER, /* ASN.1 SEQUENCE of r and s */
    SIG_ECDSA_RAW, /* r || s, fixed width (JWS, RFC 7518 3.4) */
    SIG_ED25519,   /* digest argument is ignored */
};

/* Longest signature of any kind: RSA of 16384 bits. */
#define SIGNATURE_MAX 2048

/* OK; ERR_DENIED when the signature does not verify (any malformed signature, too). */
STATUS pubkey_verify(const struct pubkey *k, enum sig_alg alg, enum digest_alg digest,
                     struct str message, struct str signature, struct error *err);
STATUS privkey_sign(const struct privkey *k, enum sig_alg alg, enum digest_alg digest,
                    struct str message, struct buf *out, struct error *err);

/*
 * SM2 with SM3 under a user id (GB/T 32918.2); the signature is r || s, 64 bytes, big-endian.
 * OK or ERR_DENIED.
 */
STATUS pubkey_verify_sm2(const struct pubkey *k, struct str user_id, struct str message,
                         struct str signature, struct error *err);

/* ---- encryption ---- */

/* Shared x coordinate, full width, into a secret buf.  Kinds must match. */
STATUS ecdh_compute(const struct privkey *mine, const struct pubkey *theirs, struct buf *out,
                    struct error *err);

/* NIST SP 800-56A Concat KDF with SHA-256, one or more rounds (RFC 7518, 4.6.2). */
void concat_kdf(struct str z, struct str alg_id, struct str apu, struct str apv, uint32_t key_bits,
                uint8_t *out);

#define KEYWRAP_MAX 1024 /* longest key that is wrapped; ours are of 32 bytes */

/* RFC 3394, default IV; `kek` of 16, 24 or 32 bytes.  Unwrap: ERR_DENIED. */
STATUS keywrap_wrap(struct str kek, struct str key, struct buf *out);
STATUS keywrap_unwrap(struct str kek, struct str wrapped, struct buf *out, struct error *err);

enum rsa_padding { RSA_PAD_PKCS1_15, RSA_PAD_OAEP_SHA1, RSA_PAD_OAEP_SHA256 };
STATUS pubkey_encrypt(const struct pubkey *k, enum rsa_padding padding, struct str plain,
                      struct buf *out, struct error *err);
/*
 * The bare RSA operation on a block of the modulus' length.  Without padding it
 * protects nothing: it is there for tests that must choose the padding's random bytes.
 */
STATUS pubkey_encrypt_raw(const struct pubkey *k, struct str block, struct buf *out,
                          struct error *err);
/* PKCS#1 v1.5: implicit rejection or ERR_DENIED without a timing difference that a padding oracle
 * could use. */
STATUS privkey_decrypt(const struct privkey *k, enum rsa_padding padding, struct str cipher,
                       struct buf *out, struct error *err);

#define AEAD_MAX (1024 * 1024 * 1024) /* OpenSSL counts in int */

/* AES-GCM (key 16 or 32 bytes, IV 12, tag 16 appended to the ciphertext).  Open: ERR_DENIED. */
STATUS aead_seal(struct str key, struct str iv, struct str aad, struct str plain, struct buf *out);
STATUS aead_open(struct str key, struct str iv, struct str aad, struct str sealed, struct buf *out,
                 struct error *err);

/* ---- sealed state (DESIGN.md, "State between requests") ---- */

/*
 * A ring of sealing keys: the first seals, all open.  Sealed text is
 * base64url without padding of  key id (4) || iv (12) || ciphertext || tag;
 * the expiry and the purpose are inside the authenticated part.  IVs are drawn,
 * so one key should seal at most 2^32 times (NIST SP 800-38D, 8.3): rotate.
 */
struct sealer;
#define SEAL_KEY_LEN 32
#define SEAL_KEYS_MAX 4
#define SEAL_PLAIN_MAX (1024 * 1024)
#define SEAL_TEXT_MAX (SEAL_PLAIN_MAX / 3 * 4 + 64) /* longer text is refused unread */

STATUS sealer_new(const struct str *keys, size_t n, struct sealer **out, struct error *err);
struct sealer *sealer_free(struct sealer *s);
DEFINE_CLEANUP(sealer, struct sealer, sealer_free)

/* `purpose` ("challenge", "session") separates uses: text of one never opens as another. */
STATUS seal_write(const struct sealer *s, struct str purpose, int64_t expires_s, struct str plain,
                  const struct random_source *random, struct buf *out);
/*
 * ERR_DENIED: not ours, altered, or for another purpose; ERR_CANCELLED: ours but expired,
 * that is, `now_s` is past it.  `expires_s` may be NULL.
 */
STATUS seal_open(const struct sealer *s, struct str purpose, int64_t now_s, struct str text,
                 struct buf *out, int64_t *expires_s, struct error *err);
