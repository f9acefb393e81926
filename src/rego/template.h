/*
 * template - the part of Go's text/template that strings.render_template needs.
 *
 * Fields, variables, pipelines, if, range, with, define, template, block, break
 * and continue, and the functions and or not len index slice print printf
 * println html urlquery eq ne lt le gt ge.  Methods and `call` have nothing to
 * call here.  Numbers of the data are texts, as in OPA (json.Number).
 *
 * Every node that is executed is charged to the call; the tree and the calls of
 * templates are bounded in depth.
 */
#pragma once

#include "base/buf.h"
#include "rego/builtin.h"

/* REGO_VALUE: the text was appended to `out`, whose failure is the caller's to check. */
enum rego_outcome template_render(struct rego_call *call, struct str text, value data,
                                  struct buf *out);
