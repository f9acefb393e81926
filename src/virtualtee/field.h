/*
 * field - parts of a virtual machine that can be set by name.
 *
 * A kind of machine has one table of these.  Values are text: decimal or 0x
 * numbers, true/false, hex bytes, RFC 3339 times, plain text.  Hex shorter
 * than a fixed field fills it from the left, the rest is zero.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/defs.h"
#include "base/error.h"

#define FIELD_DATA_MAX 128
#define FIELD_TEXT_MAX 128

/* Bytes of a length that varies; `set` false: the machine chooses. */
struct field_data {
    bool set;
    uint16_t len;
    uint8_t bytes[FIELD_DATA_MAX];
};

/* The same with room for whatever a 16-bit length can say. */
struct field_long_data {
    bool set;
    uint16_t len;
    uint8_t bytes[UINT16_MAX];
};
_Static_assert(offsetof(struct field_data, bytes) == offsetof(struct field_long_data, bytes),
               "fields of both are set by the same code");

enum field_type {
    FIELD_BOOL,   /* bool */
    FIELD_UINT,   /* uint8_t to uint64_t: `size` bytes */
    FIELD_BITS,   /* `size` bits of a uint64_t, from bit `shift` */
    FIELD_BYTES,  /* uint8_t[size] */
    FIELD_DATA,   /* struct field_data, or field_long_data if `size` is UINT16_MAX */
    FIELD_TEXT,   /* char[FIELD_TEXT_MAX], printable ASCII without quotes */
    FIELD_TIME,   /* int64_t, Unix seconds */
    FIELD_FOLLOW, /* int16_t: a byte, or -1: as the field that it follows */
    FIELD_CALL,   /* `set` does it: a short hand for several fields */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* in the machine */
    unsigned size, shift;
    const char *what;
    enum status (*set)(void *machine, const struct field *f, struct str text, struct error *err);
};

/* Fields of one part of a machine, which begins at `base`. */
struct field_table {
    const struct field *items;
    size_t len;
    size_t base;
};

/* Find by name; NULL when there is none. */
const struct field *field_find(const struct field_table *table, struct str name);

/* Read the text into the part of the machine that the table is for.  ERR_INVALID, or ERR_LIMIT when
 * it does not fit. */
STATUS field_set(const struct field *f, void *machine, struct str text, struct error *err);

/* Append the present value in the form that field_set() reads. */
void field_write(const struct field *f, const void *machine, struct buf *out);

/* "number", "hex, 48 bytes", ...: what field_set() wants. */
void field_write_type(const struct field *f, struct buf *out);

/* A decimal or 0x number of at most `max`, whole text. */
bool field_number(struct str text, uint64_t max, uint64_t *out);
