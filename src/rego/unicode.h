/*
 * unicode - the little that Rego needs to know about code points, as Go has it.
 *
 * Simple case mapping only (one code point to one); the tables are Unicode
 * 15's, made by tools/unicode-tables.go.
 */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

uint32_t unicode_to_upper(uint32_t rune);
uint32_t unicode_to_lower(uint32_t rune);

/* The White_Space property. */
bool unicode_is_space(uint32_t rune);

/* Go's strconv.IsPrint(): what %q shows as it is. */
bool unicode_is_printable(uint32_t rune);

/* Go's strconv.Quote(): a literal in double quotes; bad bytes as \xNN. */
void unicode_quote(struct buf *out, struct str s);

/* One code point of a literal in `quote` quotes, escaped where it must be. */
void unicode_quote_rune(struct buf *out, uint32_t rune, char quote);
