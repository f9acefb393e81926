/* text - texts of firmware made fit for JSON: UTF-16, replacement characters. */
#pragma once

#include "base/arena.h"

/*
 * UTF-16LE to UTF-8.  A lone surrogate, or an odd byte, is refused, or (lossy)
 * becomes U+FFFD.  False: refused, or no memory.
 */
bool text_from_utf16(struct arena *a, struct str bytes, bool lossy, struct str *out);

enum text_filter {
    TEXT_ALL,
    TEXT_NO_NULS, /* every U+0000 is left out */
    TEXT_CLEAN,   /* U+0010 becomes a space, other control characters are left out */
};

/* UTF-8 with U+FFFD for each longest invalid part, filtered; {NULL, 0} without memory. */
struct str text_lossy(struct arena *a, struct str bytes, enum text_filter filter);
