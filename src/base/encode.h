/*
 * encode - hexadecimal and base64, written and read strictly.
 *
 * Readers refuse what RFC 4648 calls non-canonical: a wrong alphabet, white
 * space, missing or unexpected padding (by the form asked for) and non-zero
 * trailing bits.  Writers append to a buf.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

enum base64_form {
    BASE64_STD,     /* + and /, padded */
    BASE64_URL,     /* - and _, no padding */
    BASE64_URL_PAD, /* - and _, padded */
    BASE64_STD_ANY, /* reading only: padding may be missing */
    BASE64_URL_ANY, /* reading only: padding may be missing */
};

void hex_write(struct buf *out, struct str bytes);
void base64_write(struct buf *out, struct str bytes, enum base64_form form);

/* Text in the arena; {NULL, 0} when the arena is exhausted. */
struct str hex_text(struct arena *a, struct str bytes);
struct str base64_text(struct arena *a, struct str bytes, enum base64_form form);

/* Decoded bytes appended to `out`.  ERR_INVALID, or what the buf failed with. */
STATUS hex_read(struct str text, struct buf *out, struct error *err);
STATUS base64_read(struct str text, enum base64_form form, struct buf *out, struct error *err);

/* The same into the arena. */
STATUS hex_bytes(struct arena *a, struct str text, struct str *out, struct error *err);
STATUS base64_bytes(struct arena *a, struct str text, enum base64_form form, struct str *out,
                    struct error *err);

/*
 * Exactly `len` bytes: false, and `out` holds anything, if the text is not 2 * len digits.
 * *upper, unless NULL: whether one is an upper-case letter; if not, it is what hex_text() writes.
 */
bool hex_exact(struct str text, void *out, size_t len, bool *upper);

/* Value of one hexadecimal digit of either case, or -1. */
int hex_digit(char c);
