/*
 * locked - private keys that live as long as the process, in locked memory.
 *
 * What OpenSSL allocates in a thread between locked_begin() and locked_end() comes from
 * one region that is not swapped, left out of core dumps and of forked
 * children, with an inaccessible page on either side, and wiped when freed:
 * keys that are loaded there stay there, with what is derived from them.
 *
 * OpenSSL's own secure heap is not used: once there is one, every ephemeral key
 * of every handshake comes from it, and when a crowd of half-open connections has
 * used it up, the others' handshakes fail.
 *
 * Programs without locked_init() keep keys where OpenSSL does.
 */
#pragma once

#include "base/defs.h"

#define LOCKED_MAX                                                                                 \
    (256 * 1024) /* address space; pages are taken, and locked, when they are used                 \
                  */

/*
 * First thing in main(), before OpenSSL allocates anything.  False: it has
 * already, or there is no memory; everything works, unlocked.
 */
bool locked_init(void);

/* They nest.  Without locked_init() they do nothing. */
void locked_begin(void);
void locked_end(void);

struct locked_state {
    bool ready;     /* locked_init() was there and the kernel locks (RLIMIT_MEMLOCK) */
    size_t used;    /* bytes of the region that are given out */
    size_t spilled; /* allocations for which it had no room: they are not locked */
};
void locked_get_state(struct locked_state *out);

/* Is this address in the region?  For tests. */
bool locked_holds(const void *p);
