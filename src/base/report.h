/*
 * report - what a check of a configuration found, a line each: `troubles` ("Error: ...\n"), which
 * make it unusable, and `notes`.  Whoever runs the check prints them.  On the caller's stack.
 */
#pragma once

#include "base/buf.h"

#define REPORT_MAX (1024 * 1024) /* what is more is left out */

struct report {
    struct buf troubles, notes;
};

void report_init(struct report *r);
void report_done(struct report *r);

void report_trouble(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
void report_note(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* A note that a start would make a folder or file, once for each; NULL: it would not. */
void report_missing(struct report *r, const char *path);
