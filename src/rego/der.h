/*
 * der - reading ASN.1 in DER (X.690), for the built-ins that show certificates
 * and keys as values.  What is trusted is judged by the crypto module.
 *
 * A reader takes one element after the other off the front of its input.
 * Lengths must be definite and minimal; tags of one byte only.
 */
#pragma once

#include "rego/builtin.h"

#define DER_BOOLEAN 0x01
#define DER_INTEGER 0x02
#define DER_BITS 0x03
#define DER_OCTETS 0x04
#define DER_OID 0x06
#define DER_SEQUENCE 0x30
#define DER_SET 0x31
#define DER_CONTEXT(n) (0x80 | (n))             /* primitive, context-specific */
#define DER_CONTEXT_CONSTRUCTED(n) (0xa0 | (n)) /* constructed */

struct der {
    uint8_t tag;
    struct str content;
    struct str whole; /* with tag and length */
};

/* The next element; false at the end and when malformed. */
bool der_next(struct str *in, struct der *out);

/* The next element if it has this tag (nothing is taken otherwise). */
bool der_take(struct str *in, uint8_t tag, struct str *content);

/* A non-negative INTEGER without leading zeros; a BIT STRING of whole bytes. */
bool der_take_unsigned(struct str *in, struct str *out);
bool der_take_bits(struct str *in, struct str *out);

/* Content of an OID equals this dotted text. */
bool der_oid_is(struct str oid, const char *dotted);

/* An OID as an array of numbers, or as dotted text; undefined: malformed or no memory. */
value der_oid_array(struct arena *a, struct str oid);
value der_oid_text(struct arena *a, struct str oid);

/* A big-endian number. */
#define DER_NUMBER_MAX 4096
value der_number(struct arena *a, struct str bytes);

/* Bytes as base64 in standard form; null when `bytes.ptr` is NULL. */
value der_base64(struct arena *a, struct str bytes);
