#include "base/hash.h"

#include <stdatomic.h>

#include "base/random.h"

static struct {
    _Atomic uint64_t k0;
    _Atomic uint64_t k1;
} key;

/* Drawn before main(), so that no table can have been built without it. */
__attribute__((constructor)) static void draw_key(void)
{
    uint64_t k[2];
    random_bytes(k, sizeof(k));
    hash_set_key(k[0], k[1]);
}

void hash_set_key(uint64_t k0, uint64_t k1)
{
    atomic_store_explicit(&key.k0, k0, memory_order_relaxed);
    atomic_store_explicit(&key.k1, k1, memory_order_relaxed);
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

#define SIP_ROUND                                                                                  \
    do {                                                                                           \
        v0 += v1;                                                                                  \
        v1 = rotl(v1, 13) ^ v0;                                                                    \
        v0 = rotl(v0, 32);                                                                         \
        v2 += v3;                                                                                  \
        v3 = rotl(v3, 16) ^ v2;                                                                    \
        v0 += v3;                                                                                  \
        v3 = rotl(v3, 21) ^ v0;                                                                    \
        v2 += v1;                                                                                  \
        v1 = rotl(v1, 17) ^ v2;                                                                    \
        v2 = rotl(v2, 32);                                                                         \
    } while (0)

/* The last bytes, fewer than eight, in as few loads as can be; `len`: of all. */
static inline uint64_t last_bytes(const uint8_t *p, size_t left, size_t len)
{
    if (left == 0)
        return 0;
    if (len >= 8) /* reaches back into the word before */
        return load_le64(p + left - 8) >> (8 * (8 - left));
    if (left >= 4) /* two that overlap */
        return load_le32(p) | (uint64_t)load_le32(p + left - 4) << (8 * (left - 4));
    return p[0] | (uint64_t)p[left / 2] << (8 * (left / 2)) |
           (uint64_t)p[left - 1] << (8 * (left - 1));
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t tweak)
{
    const uint8_t *p = data;
    uint64_t k0 = atomic_load_explicit(&key.k0, memory_order_relaxed) ^ tweak;
    uint64_t k1 = atomic_load_explicit(&key.k1, memory_order_relaxed);
    uint64_t v0 = 0x736f6d6570736575u ^ k0;
    uint64_t v1 = 0x646f72616e646f6du ^ k1;
    uint64_t v2 = 0x6c7967656e657261u ^ k0;
    uint64_t v3 = 0x7465646279746573u ^ k1;

    size_t left = len;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t m = load_le64(p);
        v3 ^= m;
        SIP_ROUND;
        v0 ^= m;
    }
    uint64_t last = (uint64_t)len << 56 | last_bytes(p, left, len);
    v3 ^= last;
    SIP_ROUND;
    v0 ^= last;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}
