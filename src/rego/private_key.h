/*
 * private_key - private keys as values, for policies that look at them
 * (crypto.parse_private_keys and its relatives).  Nothing is signed here.
 */
#pragma once

#include "rego/builtin.h"

enum private_kind { PRIVATE_RSA, PRIVATE_EC, PRIVATE_ED25519 };

struct private_key {
    enum private_kind kind;
    /* RSA, big-endian */
    struct str n, e, d, p, q, dp, dq, qi;
    /* EC (fixed width) and Ed25519 (x is the public key, d the seed) */
    const char *curve;
    struct str x, y;
};

/* PKCS#1, PKCS#8 or SEC1 in DER; parts point into `der` or the arena.  False: none of them. */
bool private_key_parse(struct arena *a, struct str der, struct private_key *out);

/* As Go's encoding/json writes the key, and as a JWK. */
value private_key_value(struct arena *a, const struct private_key *k);
value private_key_jwk(struct arena *a, const struct private_key *k);

/* The public half of a SubjectPublicKeyInfo's value (x509_public_key()) is this key's. */
bool private_key_matches(struct arena *a, const struct private_key *k, value public_key);
