/*
 * jose - JWK, JWS and the JWE forms of the KBS protocol.
 *
 * The key decides the algorithm, never the token (HARDEN kbs-7): EC P-256 is
 * ES256, P-384 ES384, P-521 ES512, Ed25519 EdDSA, RSA RS256/384/512 or
 * PS256/384/512 (by the JWK's "alg" when it has one).  HMAC and "none" are
 * refused from whatever source, except in jws_verify_hmac() for Rego.
 * Strict everywhere: base64url without padding, no duplicate members, "crit"
 * refused.
 */
#pragma once

#include "crypto/crypto.h"
#include "crypto/x509.h"
#include "value/value.h"

/* ---- JWK ---- */

#define JWK_SET_MAX 256 /* keys of a set; each may cost a curve check */

struct jwk {
    struct pubkey *key;  /* owned; NULL: a member of a set with an unknown or unusable key */
    struct str kid, alg; /* borrowed from the value that was parsed; empty when absent */
    value json;          /* the whole object */
};

/*
 * A public JWK for verifying signatures (private members are ignored).
 * Coordinates shorter than the curve are left-padded when `pad`.  ERR_INVALID:
 * malformed, RSA below 2048 bits or with ROCA's fingerprint (CVE-2017-15361);
 * ERR_UNSUPPORTED: another kty or crv, or meant for something else by "use" or
 * "key_ops".
 */
STATUS jwk_parse(value json, bool pad, struct jwk *out, struct error *err);
void jwk_done(struct jwk *k);

/* Members in the order kty, crv, x, y / kty, n, e as an object value (order is the writer's
 * business). */
STATUS jwk_from_pubkey(struct arena *a, const struct pubkey *k, value *out);

/* RFC 7638, SHA-256, base64url. */
STATUS jwk_thumbprint(struct arena *a, const struct pubkey *k, struct str *out);

/* A JWK set: unusable keys stay in it with key = NULL. */
struct jwk_set {
    struct jwk *keys; /* array in the arena; each to be released by jwk_set_done() */
    size_t len;
};
STATUS jwk_set_parse(struct arena *a, value json, struct jwk_set *out, struct error *err);
void jwk_set_done(struct jwk_set *s);

/* ---- JWS, compact ---- */

#define JWS_MAX (1024 * 1024)      /* whole token: kbs.md 6.2 wants 1,000,000 */
#define JWS_HEADER_MAX (64 * 1024) /* of its text: an x5c chain fits several times */

struct jws {
    struct str text;          /* the whole token */
    struct str signing_input; /* header.payload as received */
    value header;             /* object */
    struct str payload;       /* decoded bytes */
    struct str signature;     /* decoded bytes */
    struct str alg, kid, typ; /* of the header; empty when absent */
};

/* Split, decode, parse the header.  Nothing is verified.  Everything lives in `a`, text is
 * borrowed. */
STATUS jws_parse(struct arena *a, struct str text, struct jws *out, struct error *err);

/*
 * Verify with a key.  `key_alg` is the JWK's "alg" or empty.  ERR_DENIED when
 * the header's alg does not fit the key, or the signature is wrong.
 */
STATUS jws_verify(const struct jws *t, const struct pubkey *key, struct str key_alg,
                  struct error *err);
STATUS jws_verify_hmac(const struct jws *t, struct str secret, struct error *err);

/*
 * `alg` is "ES256", "EdDSA", ...; ERR_UNSUPPORTED when the key cannot.
 * Sign a header and payload text that are written already; the compact token is appended.
 */
STATUS jws_sign(const struct privkey *key, struct str alg, struct str header_json,
                struct str payload_json, struct buf *out, struct error *err);

/* Algorithm that a key signs with when nothing else is said: "ES256", "EdDSA", ...; RSA: "RS256".
 */
struct str jws_default_alg(const struct pubkey *k);

/*
 * Registered claims of a payload object.  `exp` required or not, leeway in
 * seconds on exp/nbf/iat.  Wrong types, and fractions beyond int64, are refused
 * with ERR_INVALID, also of claims that are not checked; ERR_DENIED: expired or
 * not valid yet.
 */
struct jwt_checks {
    bool require_exp;
    bool check_nbf, check_iat;
    int64_t leeway_s;
};
STATUS jwt_check_times(value claims, const struct jwt_checks *checks, int64_t now_s,
                       struct error *err);

/*
 * A JWK in a token's header endorsed by its x5c chain (kbs.md 5.3): key equal
 * to the leaf's, chain to one of `roots` at `now_s`.  RSA and EC P-256 only.
 */
STATUS jwk_endorsed(value jwk, const struct pubkey *key, struct cert *const *roots, size_t n_roots,
                    int64_t now_s, struct error *err);

/* ---- JWE of the KBS protocol (kbs.md section 4) ---- */

enum jwe_form {
    JWE_RFC7516, /* flattened JSON, AAD = protected */
    JWE_LEGACY,  /* 0.1.1: protected is the header text itself, tag inside the ciphertext, no AAD */
};

/* A guest's key as it came: kbs.md 3.7. */
struct tee_key {
    struct pubkey *key; /* owned */
    const char *alg;    /* static: "RSA1_5", "RSA-OAEP-256", "ECDH-ES+A256KW" */
};

/*
 * Read and check a tee-pubkey (kbs.md 3.7, 4.4).  `allow_rsa15`: HARDEN kbs-6.
 * Importing costs a curve check: do it once per handshake.  ERR_INVALID: not of
 * a form of 3.7, members missing or no strings; ERR_UNSUPPORTED: of such a form,
 * but nothing can be encrypted to it (algorithm, curve, size, no point).
 */
STATUS tee_key_parse(value jwk, bool allow_rsa15, struct tee_key *out, struct error *err);
void tee_key_done(struct tee_key *k);

/*
 * Only the listed members of kbs.md 3.7 as an object value, for the hashed runtime data.
 * The content is not looked at (nor is it upstream).  ERR_INVALID as above.
 */
STATUS tee_key_members(struct arena *a, value jwk, value *out, struct error *err);

/*
 * What a test may fix; of the others, CEK, IV and ephemeral scalar are drawn from
 * `random` (from OpenSSL's generator when it is random_system), RSA's padding always
 * from OpenSSL's generator.
 */
struct jwe_fixed {
    struct str cek, iv;             /* 32, 12 bytes */
    struct privkey *ephemeral;      /* EC */
    struct str oaep_seed, pkcs1_ps; /* RSA, known-answer tests only */
};

/* Append the JSON answer (members in the order of kbs.md 4.1). */
STATUS jwe_encrypt(const struct tee_key *key, enum jwe_form form, struct str plain,
                   const struct random_source *random, const struct jwe_fixed *fixed,
                   struct buf *out, struct error *err);

/*
 * The guest's side: open an RFC 7516 answer with the header as it came.
 * ERR_INVALID: malformed; ERR_UNSUPPORTED: an algorithm that is not the key's,
 * RSA1_5 included (HARDEN gkbs-1); ERR_DENIED: does not open.
 */
STATUS jwe_decrypt(struct arena *a, struct str json, const struct privkey *key, struct buf *out,
                   struct error *err);

/* The same for the legacy form with RSA1_5, of protocol 0.1.1; for virtual TEEs and tests. */
STATUS jwe_decrypt_legacy(struct arena *a, struct str json, const struct privkey *key,
                          struct buf *out, struct error *err);
