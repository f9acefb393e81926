/*
 * text - the text form of values (../shared/spec/rego.md 3.6): what sprintf's
 * %v, template strings, print() and error texts show.
 */
#pragma once

#include "base/buf.h"
#include "value/value.h"

/* Append the text of a value; a string comes quoted, as inside of a collection. */
void rego_text_write(struct buf *out, value v);
