/*
 * builtins_internal - what the files of the built-in functions share.
 *
 * A built-in reads its operands with the arg_*() functions, which report a
 * wrong kind in OPA's words and return false (then: return REGO_FAILED), and
 * ends with one of the give_*() functions, which turn an exhausted arena or
 * buffer into REGO_FATAL.  Operands are counted from 1, as in error texts.
 */
#pragma once

#include "base/buf.h"
#include "rego/builtin.h"
#include "value/value.h"

/* ---- operands ---- */

bool arg_kind(struct rego_call *call, const value *args, unsigned operand, enum value_kind kind);
bool arg_string(struct rego_call *call, const value *args, unsigned operand, struct str *out);

/* rego.md 3.2: a machine integer (integer text within 64 bits, "2.0", not "1e3"). */
bool arg_int(struct rego_call *call, const value *args, unsigned operand, int64_t *out);

/* rego.md 3.2: any number with an integral value. */
bool arg_integer(struct rego_call *call, const value *args, unsigned operand);

/* `names` as the error text lists them: "array, set". */
bool arg_collection(struct rego_call *call, const value *args, unsigned operand, const char *names);

/* A string, or an array or set of strings; *items is then what to iterate over. */
bool arg_strings(struct rego_call *call, const value *args, unsigned operand, const char *names,
                 const value **items, size_t *len);

/* "operand 1 must be array of numbers but got array containing string" */
enum rego_outcome element_error(struct rego_call *call, unsigned operand, value composite,
                                value element, const char *expected);

/* ---- results ---- */

enum rego_outcome give(struct rego_call *call, value v, value *out);
enum rego_outcome give_str(struct rego_call *call, struct str s, value *out);
enum rego_outcome give_int(struct rego_call *call, int64_t n, value *out);
enum rego_outcome give_buf(struct rego_call *call, const struct buf *b, value *out);
enum rego_outcome give_status(struct rego_call *call, enum status st, const struct error *err,
                              value v, value *out);

static inline enum rego_outcome give_bool(bool b, value *out)
{
    *out = value_bool(b);
    return REGO_VALUE;
}

/*
 * A text from outside for an error text: as it is, as in OPA, but cut after
 * SHOWN_MAX bytes and with \\xNN for control characters and bad UTF-8.  NUL-terminated.
 */
#define SHOWN_MAX 300
const char *shown(struct rego_call *call, struct str s);

/* The same in double quotes, with the escapes of Go's strconv.Quote(). */
const char *quoted(struct rego_call *call, struct str s);

/* A limit of ours was passed: ends the evaluation. */
enum rego_outcome give_limit(struct rego_call *call, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * OK?  Without memory the arena fails, and the engine ends the call whatever it
 * returns: a missing buffer is no answer, and no error text either.
 */
bool worked(struct arena *a, enum status st);

/* A buffer for a result text, bounded by the call. */
void output_init(struct rego_call *call, struct buf *b);

/* JSON as OPA writes it; the buffer remembers any failure. */
void output_json(struct buf *b, value v);

/* ---- work ---- */

/* Bytes that one unit of work pays for: about as long as one instruction of the engine takes. */
#define BYTES_PER_UNIT 64

static inline bool charge_bytes(struct rego_call *call, size_t n)
{
    return rego_call_charge(call, 1 + n / BYTES_PER_UNIT);
}

/* Merge sort: stable, worst case n log n, which qsort() does not promise.  `scratch` holds as much.
 */
void stable_sort(void *items, void *scratch, size_t n, size_t size,
                 int (*compare)(const void *a, const void *b));

/* Units of work of sorting n items. */
uint64_t sort_cost(size_t n);

/* ---- text ---- */

/*
 * A decimal float as Go's strconv.ParseFloat takes it, appended as JSON writes
 * it: "+5" "007" "5." ".5" become 5 7 5 0.5.  False for any other text.
 */
bool normal_number(struct str s, struct buf *out);

/*
 * The code point at `at` (which is inside); returns the bytes it takes.  An
 * invalid byte is one code point, U+FFFD, as in Go.
 */
size_t rune_at(struct str s, size_t at, uint32_t *rune);

/* Number of code points: an invalid byte counts one. */
size_t rune_count(struct str s);

/* Byte index of the first occurrence at or after `from`, or SIZE_MAX. Linear time. */
size_t text_find(struct str s, struct str needle, size_t from);

/* ---- encodings, as the built-ins of these names read them ---- */

/* base64.decode; false with the offset that the message names. */
bool read_base64(struct str s, struct buf *out, size_t *bad);

/* base64url.decode; false with the message, in the arena. */
bool read_base64url(struct rego_call *call, struct str s, struct buf *out, const char **why);

/* json.unmarshal */
STATUS read_json(struct rego_call *call, struct str text, value *out, struct error *err);

/* Text of an IPv6 address, as Go writes it (IPv4 in IPv6 as IPv4). */
void net_write_v6(struct buf *b, const uint8_t bytes[16]);

/* ---- prototypes ---- */

#define BUILTIN(name, type, fn, flags)                                                             \
    enum rego_outcome builtin_##fn(struct rego_call *call, const value *args, value *out);
#include "rego/builtins.def"
#undef BUILTIN
