/*
 * hash - keyed hashing for tables whose keys an attacker may choose.
 *
 * SipHash-1-3 (Aumasson, Bernstein) under a key drawn once per process, texts from
 * 128 bytes on in two halves.  Hash values never leave the process and never decide
 * an order that can be seen.
 */
#pragma once

#include "base/defs.h"

uint64_t hash_bytes(const void *data, size_t len, uint64_t tweak);

/* Mix one word into another; for hashes of composites. */
static inline uint64_t hash_mix(uint64_t h, uint64_t word)
{
    h ^= word;
    h *= 0x9fb21c651e98df25u;
    return h ^ h >> 32;
}

/*
 * Fix the key, for tests and instruction counts that must repeat.  What was
 * hashed before, and is kept, is not found any more: tables, values.
 */
void hash_set_key(uint64_t k0, uint64_t k1);
