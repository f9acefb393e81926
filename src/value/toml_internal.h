/*
 * The TOML reader's two halves: toml.c knows tables, toml_scalar.c knows
 * strings, numbers, dates and times.
 */
#pragma once

#include "value/document_internal.h"

struct toml {
    struct arena *arena;  /* for the result */
    struct arena scratch; /* for the tree of tables */
    const char *begin;
    const char *p;
    const char *end;
    struct error *err;
    bool tagged; /* scalars as the toml-test suite wants them */

    struct positions *positions; /* may be NULL */
    struct line_tracker lines;
    struct buf pointer; /* of what is being read */

    struct toml_node *root;
    struct toml_node *table;  /* the one that the last header named */
    size_t table_pointer_len; /* of `pointer` */
    uint32_t section;         /* number of headers so far, from 1 */
    unsigned depth;           /* of arrays and inline tables */

    struct toml_node **slots; /* members of all tables, by parent and key */
    size_t n_slots;           /* a power of two, or 0 */
    size_t n_nodes;
};

/* Set the error at a place of the text, and return `st`. */
enum status toml_fail(struct toml *t, const char *at, enum status st, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* The arena or scratch space failed: say so. */
enum status toml_fail_memory(struct toml *t);

/* "unexpected X, expected ..." at t->p. */
enum status toml_fail_unexpected(struct toml *t, const char *wanted);

/* Is there a line ending, LF or CR LF, at p?  Its length, or 0. */
size_t toml_newline_at(const struct toml *t, const char *p);

/* A string at t->p, which is a quote.  Keys are never multi-line. */
enum status toml_read_string(struct toml *t, bool key, value *out);

/* Any scalar, tagged if wanted. */
enum status toml_read_scalar(struct toml *t, value *out);

/* Bytes that may stand in comments and strings (TOML 1.0: not U+0000-0008, 000A-001F, 007F). */
static inline bool toml_is_text(char c)
{
    return (unsigned char)c >= 0x20 ? c != 0x7f : c == '\t';
}
