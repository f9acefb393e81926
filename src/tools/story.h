/*
 * story - a decision for a person who did not write the policy: what was
 * decided, what stood in the way, what would have changed it.
 */
#pragma once

#include "base/buf.h"
#include "value/value.h"

/*
 * Append the text of a decision (INTERFACES.md, Decisions) and, below it, of the
 * attestation that it rests on, when `cause` is defined.
 */
void story_write(struct buf *out, value decision, value cause);

/*
 * One line for an operation of `change`: "reference value pcr08: also accept "ab12...""; places
 * of input and data are written as policies do: "input.snp.measurement would have to be ...".
 * `example`: its value is one of many.
 */
void story_operation(struct buf *out, value operation, bool example);
