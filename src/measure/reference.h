/*
 * reference - measurements written down as reference values
 * (attestation-service.md 12).
 *
 * A reference value is a name and the list of what a claim may be.  Four forms:
 *
 *   text              "name value", a line for each value
 *   json              {"name": ["value"]}
 *   reference-values  the entries of a store of the RVPS: [{"version", "name", "expiration", ...}];
 *                     "value" since v0.14, "hash-value" before (12.5)
 *   message           a registration of the extractor `sample` (12.2): what POST
 *                     /kbs/v0/reference-value takes
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "crypto/crypto.h"

#define REFERENCES_MAX 16
#define REFERENCE_VALUES_MAX 16

enum reference_format {
    REFERENCE_TEXT,
    REFERENCE_JSON,
    REFERENCE_STORE,
    REFERENCE_STORE_OLD, /* up to v0.13 */
    REFERENCE_MESSAGE,
};

struct reference {
    struct str name;
    const char *alg; /* "sha384"; written in the older form only */
    struct str values[REFERENCE_VALUES_MAX];
    size_t len;
    bool single; /* policies compare it with ==: a string in place of the list */
};

struct references {
    struct reference items[REFERENCES_MAX];
    size_t len;
};

/* A new one without values; NULL when there are REFERENCES_MAX.  `name` is borrowed. */
struct reference *references_add(struct references *refs, struct str name, const char *alg);

/* A digest in hexadecimal, or in standard base64; equal ones are written once.  ERR_NOMEM,
 * ERR_LIMIT.
 */
STATUS reference_add_value(struct reference *ref, struct arena *a, const struct digest *d,
                           bool base64);

/*
 * Append them.  `expiration` ("2026-08-21T01:55:31Z") is of the two forms for stores.  Text and
 * JSON end in a line end.
 */
STATUS references_write(const struct references *refs, enum reference_format format,
                        struct str expiration, struct buf *out);
