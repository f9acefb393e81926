/*
 * pem - blocks of RFC 7468 text, as Go's encoding/pem finds them: text between
 * and around blocks is skipped, headers are not supported.
 */
#pragma once

#include "base/arena.h"

struct pem_block {
    struct str type; /* "CERTIFICATE" */
    struct str text; /* the block itself, from BEGIN to END */
    struct str der;  /* decoded, in the arena */
};

/* The first block of *text, which moves behind it.  False: there is none (or no memory). */
bool pem_next(struct arena *a, struct str *text, struct pem_block *out);
