/*
 * re2_api - what claviger-re2.so offers: RE2 behind plain C functions.
 *
 * RE2 and the C++ runtime cost 2 MiB and 1 ms at start (DESIGN.md, "What is
 * loaded when"), so they are a module of their own that is opened with the
 * first regular expression.  The module has one symbol, CLAVIGER_RE2_SYMBOL,
 * and is met in regex.c only.
 *
 * Compiled expressions are immutable; threads may match with one at the same
 * time.  No exception leaves the module.
 */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLAVIGER_RE2_VERSION 2
#define CLAVIGER_RE2_SYMBOL "claviger_re2"

/* Byte offsets; both SIZE_MAX for a group that took no part. */
struct re2_span {
    size_t begin, end;
};

struct re2_expression;

struct re2_api {
    unsigned version; /* these two are base/module.h's struct module_head */
    const char *build;

    /*
     * Go's syntax.  NULL: `error` (of error_size bytes) has the text in Go's
     * words, "error parsing regexp: ...".
     */
    struct re2_expression *(*compile)(const char *pattern, size_t len, size_t memory_max,
                                      char *error, size_t error_size);
    void (*destroy)(struct re2_expression *re);

    size_t (*program_size)(const struct re2_expression *re);
    size_t (*group_count)(const struct re2_expression *re);

    /* Number of a named group; 0: no such group. */
    size_t (*group_index)(const struct re2_expression *re, const char *name, size_t len);

    /* The whole text.  1 match, 0 none. */
    int (*full_match)(const struct re2_expression *re, const char *text, size_t len);

    /*
     * Leftmost match that begins at or after `start`; what stands before is
     * context for ^ and \b.  1 match, 0 none.
     */
    int (*match)(const struct re2_expression *re, const char *text, size_t len, size_t start,
                 struct re2_span *spans, size_t span_count);
};

#ifdef __cplusplus
}
#endif
