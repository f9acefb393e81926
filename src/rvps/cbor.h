/*
 * cbor - RFC 8949 as values, for tags of CoRIM.
 *
 *   integers        numbers (64 bits)
 *   byte strings    {"bytes": "<lower-case hex>"}
 *   text, arrays    the same; definite lengths only, as deterministic CBOR has them
 *   maps            objects; keys of any kind, each once
 *   tag n of v      {"tag": n, "of": v}
 *   false, true, null; other simple values and floats become null
 *
 * Lengths are checked against the bytes that are there before anything is
 * allocated.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "value/value.h"

#define CBOR_DEPTH_MAX 64

/* Whole input, one item. */
STATUS cbor_read(struct arena *a, struct str bytes, value *out, struct error *err);

/* The content of a byte string, decoded into the arena; ptr NULL when `v` is none. */
struct str cbor_bytes(struct arena *a, value v);

/* What tag `n` holds, or undefined. */
value cbor_tagged(value v, uint64_t n);
