/*
 * random - bytes from the operating system, and a way to replay them.
 *
 * Code that needs randomness in a decision takes a `struct random_source`, so
 * that tests and replays can choose the bytes.
 */
#pragma once

#include "base/defs.h"

/* Bytes from getrandom(2).  Ends the process if the kernel has none: going on would be worse. */
void random_bytes(void *out, size_t len);

struct random_source {
    void (*fill)(void *user, void *out, size_t len);
    void *user;
};

/* The operating system's. */
extern const struct random_source random_system;

static inline void random_fill(const struct random_source *source, void *out, size_t len)
{
    source->fill(source->user, out, len);
}
