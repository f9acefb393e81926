/*
 * error - the text that goes with a failed status.
 *
 * The layer that first knows the reason writes the text: lower case, no full
 * stop, what went wrong and why.  Layers above pass it on unchanged, or put
 * context in front with error_prefix().  Keys, tokens and evidence are never
 * part of it.  Every function takes NULL for "nobody asks".
 */
#pragma once

#include "base/defs.h"

/* Enough for a path, a quoted input of QUOTE_MAX bytes and the reason. */
#define ERROR_TEXT_MAX 512

struct error {
    char text[ERROR_TEXT_MAX]; /* NUL-terminated; cut at the end of a UTF-8 character */
    uint32_t line;             /* 1-based position in the input, 0: none */
    uint32_t col;
};

/* An error without text yet; the initialiser of every struct error. */
#define ERROR_INIT                                                                                 \
    {                                                                                              \
        {0}, 0, 0                                                                                  \
    }

/* Replace the text and forget the position. */
void error_set(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same with a position in the input. */
void error_set_at(struct error *err, uint32_t line, uint32_t col, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* Put context in front: "could not read policy \"x\": " + the present text. */
void error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Put "line 3, column 5: " in front, once, when there is a position. */
void error_place(struct error *err);

/* Set the text for exhausted memory and return ERR_NOMEM. */
STATUS error_nomem(struct error *err);

/* Set the text for a failed system call ("`what`: strerror(errnum)"), return ERR_IO. */
STATUS error_errno(struct error *err, int errnum, const char *format, ...) PRINTF_LIKE(3, 4);

/*
 * Bytes from outside, made fit for one line of a log or an error text: cut at
 * QUOTE_MAX bytes ("..." marks the cut), control characters, quotes and
 * invalid UTF-8 escaped as \xNN.  `out` is NUL-terminated; returns out->text.
 */
#define QUOTE_MAX 96
struct quoted {
    char text[QUOTE_MAX * 4 + 8];
};
const char *quote(struct str s, struct quoted *out);

/* quote() for a call argument: lives until the end of the enclosing block. */
#define QUOTED(s) quote((s), &(struct quoted){{0}})
