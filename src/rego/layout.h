/*
 * layout - times in and out of text by Go's layouts (../shared/spec/rego.md 6.12).
 *
 * A layout is written with the reference time Mon Jan 2 15:04:05 MST 2006;
 * everything else in it is literal.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Append `unix_s` (and nanoseconds) as it is in a zone at `offset_s` from UTC called `zone`. */
void layout_format(struct buf *out, struct str layout, int64_t unix_s, int ns, int offset_s,
                   struct str zone);

/* ERR_INVALID with Go's text.  All zone names count as UTC. */
STATUS layout_parse(struct str layout, struct str text, int64_t *unix_s, int *ns,
                    struct error *err);

/* Go's quoting in the texts of package time: non-ASCII bytes as \xNN. */
void layout_quote(struct buf *out, struct str s);
