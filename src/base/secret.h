/*
 * secret - bytes that must not leave the process by accident.
 *
 * Each secret has pages of its own: locked into memory, left out of core dumps
 * and of forked children, with an inaccessible page on either side, wiped when
 * released.  There is no printing function.  Where locking is refused
 * (RLIMIT_MEMLOCK) the secret works all the same; secret_all_locked() tells.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

#define SECRET_MAX (64 * 1024 * 1024)

struct secret;

/* A copy of the bytes; the caller wipes his own.  ERR_LIMIT, ERR_NOMEM. */
STATUS secret_new(struct str bytes, struct secret **out, struct error *err);

/* `len` zero bytes, to be filled through secret_writable(). */
STATUS secret_new_empty(size_t len, struct secret **out, struct error *err);

struct secret *secret_ref(struct secret *s);
struct secret *secret_unref(struct secret *s); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(secret, struct secret, secret_unref)

struct str secret_bytes(const struct secret *s);
char *secret_writable(struct secret *s);

/* Constant time in the content; different lengths are told apart at once. */
bool secret_equal(const struct secret *s, struct str other);

/* Constant-time comparison of equal lengths, for digests and nonces. */
bool bytes_equal_ct(struct str a, struct str b);

/* Wipe bytes of the caller's. */
void bytes_wipe(void *p, size_t len);

/* False once any secret could not be locked. */
bool secret_all_locked(void);
