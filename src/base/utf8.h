/*
 * utf8 - UTF-8 as RFC 3629 defines it: no surrogates, nothing above U+10FFFF,
 * shortest form only.
 */
#pragma once

#include "base/defs.h"

/*
 * Decode the first code point of `s`.  Returns the number of bytes it takes,
 * 1 to 4, and sets *rune; returns 0 when `s` is empty or does not begin with
 * a valid sequence.
 */
size_t utf8_decode(struct str s, uint32_t *rune);

/* Write one code point into `out` (4 bytes of room); returns 1 to 4, 0 for a non-scalar. */
size_t utf8_encode(uint32_t rune, char out[4]);

bool utf8_is_valid(struct str s);

/*
 * False for what acts on a terminal or on the order of the text around it
 * instead of being seen: C0 and C1 controls (U+009B begins an escape sequence),
 * line and paragraph separators, bidirectional marks.
 */
bool rune_is_visible(uint32_t rune);

/* Number of code points; each invalid byte counts as one. */
size_t utf8_count(struct str s);
