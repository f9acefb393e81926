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

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_add(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t sip_end(struct sip *s)
{
    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

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

/*
 * Long texts in two halves, each with a state of its own, since a processor can do two
 * rounds in the time of one: the hash of the second half is the word behind the first.
 */
static inline const uint8_t *add_halves(struct sip *s, const uint8_t *p, size_t words)
{
    size_t half = words / 2;
    struct sip t = {s->v0 ^ half, s->v1, s->v2, s->v3 ^ half};
    for (size_t i = 0; i < half; i++) {
        sip_add(s, load_le64(p + 8 * i));
        sip_add(&t, load_le64(p + 8 * (half + i)));
    }
    sip_add(s, sip_end(&t));
    return p + 16 * half;
}

#define LONG_TEXT 128

uint64_t hash_bytes(const void *data, size_t len, uint64_t tweak)
{
    const uint8_t *p = data, *end = p + len;
    uint64_t k0 = atomic_load_explicit(&key.k0, memory_order_relaxed) ^ tweak;
    uint64_t k1 = atomic_load_explicit(&key.k1, memory_order_relaxed);
    struct sip s = {0x736f6d6570736575u ^ k0, 0x646f72616e646f6du ^ k1, 0x6c7967656e657261u ^ k0,
                    0x7465646279746573u ^ k1};

    if (len >= LONG_TEXT)
        p = add_halves(&s, p, len / 8);
    for (; end - p >= 8; p += 8)
        sip_add(&s, load_le64(p));
    sip_add(&s, (uint64_t)len << 56 | last_bytes(p, (size_t)(end - p), len));
    return sip_end(&s);
}
