/*
 * bytes16 - sixteen bytes at a time, with the compilers' vectors: SSE2 on amd64,
 * plain code where a machine has none.
 *
 * A comparison gives all bits of a byte, or none.
 */
#pragma once

#include "base/defs.h"

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t signed16 __attribute__((vector_size(16))); /* compared in one step */

static inline bytes16 load16(const char *p)
{
    bytes16 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline bool is_zero16(bytes16 v)
{
    uint64_t w[2];
    memcpy(w, &v, sizeof(w));
    return (w[0] | w[1]) == 0;
}
