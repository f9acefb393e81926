/*
 * rcar - the messages of the KBS protocol as a guest writes and reads them
 * (../shared/spec/kbs.md 3, guest-kbs-client.md): request, challenge,
 * attestation, response, in the versions that guests in the field speak.
 *
 * Pure functions of text.  Nothing here knows a TEE or a socket.
 */
#pragma once

#include "crypto/crypto.h"
#include "value/value.h"

#define RCAR_TEXT_MAX (8 * 1024 * 1024) /* one message; evidence of the largest kinds fits */

enum rcar_version { RCAR_0_1_1, RCAR_0_2_0, RCAR_0_4_0 };

const char *rcar_version_name(enum rcar_version v); /* "0.4.0" */
bool rcar_version_by_name(struct str name, enum rcar_version *out);

/* A guest's key pair of the moment. */
enum rcar_key { RCAR_KEY_EC256, RCAR_KEY_EC521, RCAR_KEY_RSA };
bool rcar_key_by_name(struct str name, enum rcar_key *out); /* "ec256", "ec521", "rsa" */
STATUS rcar_key_generate(enum rcar_key kind, struct privkey **out, struct error *err);

/* Body of POST /auth. */
STATUS rcar_write_auth(enum rcar_version v, const char *tee, struct buf *out, struct error *err);

struct rcar_challenge {
    struct str nonce;     /* text as received, in the arena */
    enum digest_alg hash; /* SHA-384 unless the server selected another */
};

/* Answer to /auth.  ERR_INVALID. */
STATUS rcar_read_challenge(struct arena *a, struct str text, struct rcar_challenge *out,
                           struct error *err);

/*
 * The text that report data is the digest of: nonce and key in RFC 8785 form,
 * for the primary TEE of 0.4.0 with the text of the additional evidence
 * (`additional` not NULL, empty when there is none).
 */
STATUS rcar_runtime_data(struct arena *a, enum rcar_version v, const struct rcar_challenge *c,
                         const struct pubkey *key, const struct str *additional, struct str *out,
                         struct error *err);

struct rcar_attestation {
    const struct pubkey *key;
    struct str evidence;   /* JSON text */
    struct str additional; /* 0.4.0: JSON text or empty */
    struct str init_data;  /* 0.4.0: the document; ptr NULL: none */
};

/* Body of POST /attest. */
STATUS rcar_write_attest(enum rcar_version v, const struct rcar_challenge *c,
                         const struct rcar_attestation *att, struct buf *out, struct error *err);

/* Answer to /attest: the token, in the arena.  ERR_INVALID. */
STATUS rcar_read_token(struct arena *a, struct str text, struct str *token, struct error *err);

/* Member `decision_id` of an error answer, when it is 32 hex digits; else empty. */
struct str rcar_decision(struct arena *a, struct str text);

/*
 * Path below the server of a resource's name: "r/t/g" and "kbs:///r/t/g" give
 * "/kbs/v0/resource/r/t/g", "kbs+plugin:///p?q" gives "/kbs/v0/plugin/p?q".
 * ptr NULL after a failure of the arena.
 */
struct str rcar_resource_path(struct arena *a, struct str name);
