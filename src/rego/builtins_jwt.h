/*
 * builtins_jwt - what the files of JSON Web Tokens share: rego.md 6.16.
 *
 *   builtins_jwt.c       tokens, verifying, decoding
 *   builtins_jwt_keys.c  algorithms, and the keys to verify with
 *   builtins_jwt_sign.c  signing
 */
#pragma once

#include "jose/jose.h"
#include "rego/builtins_internal.h"

/* Asymmetric work, in units: about 0.1 ms. */
#define SIGNATURE_COST 2000
#define KEYS_MAX 100

enum family { FAMILY_HMAC, FAMILY_RSA, FAMILY_PSS, FAMILY_EC, FAMILY_ED };

struct algorithm {
    const char *name;
    enum family family;
    enum digest_alg digest;
};

/* By its name in a header; NULL: none. */
const struct algorithm *jwt_algorithm(struct str name);
bool jwt_key_fits(enum family f, enum key_kind k);
enum sig_alg jwt_sig_alg(enum family f);

struct jwt_key {
    struct pubkey *key; /* NULL: a symmetric one, or unusable */
    struct str secret;  /* of kty "oct" */
    struct str alg, kid;
};

struct jwt_keys {
    size_t len;
    struct jwt_key items[KEYS_MAX];
};

void jwt_keys_done(struct jwt_keys *k);

/* A PEM block, a JWK or a JWK set; kept in the context's cache. */
enum rego_outcome jwt_keys_read(struct rego_call *call, struct str text, struct jwt_keys *keys);
