/*
 * defs - the handful of words that every other file uses.
 *
 * Status codes, borrowed byte strings, ownership macros and checked
 * arithmetic.  Nothing here allocates or does I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What a function that can fail returns.  The numbers are stable: they are
 * part of the public ABI of librego.
 */
enum status {
    OK = 0,
    ERR_NOMEM = 1,       /* the system has no memory left */
    ERR_LIMIT = 2,       /* a limit of ours was reached: size, depth, steps, time */
    ERR_INVALID = 3,     /* malformed or wrong-typed input */
    ERR_NOT_FOUND = 4,   /* the named thing does not exist */
    ERR_EXISTS = 5,      /* it exists already and was kept */
    ERR_DENIED = 6,      /* understood, checked and refused */
    ERR_IO = 7,          /* the operating system said no */
    ERR_UNSUPPORTED = 8, /* well-formed, but of a kind that is not handled here */
    ERR_UNAVAILABLE = 9, /* could work later: a dependency does not answer */
    ERR_CANCELLED = 10,  /* the caller or a deadline ended it */
    ERR_INTERNAL = 11,   /* a mistake of ours that was noticed in time */
};

/* The return type of everything that can fail; dropping it is a warning. */
#define STATUS __attribute__((warn_unused_result)) enum status

/* Say that a status is dropped on purpose. */
static inline void status_ignore(enum status st)
{
    (void)st;
}

/* Stable lower-case name of a status, "ok", "limit", ...; never NULL. */
const char *status_name(enum status st);

/* Borrowed bytes: not owned, not NUL-terminated, may hold any byte. */
struct str {
    const char *ptr;
    size_t len;
};

/* A string literal as bytes; NULs inside the literal count. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_EMPTY ((struct str){"", 0})

static inline struct str str_of(const char *cstring)
{
    return (struct str){cstring, cstring == NULL ? 0 : strlen(cstring)};
}

static inline struct str str_bytes(const void *ptr, size_t len)
{
    return (struct str){(const char *)ptr, len};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(struct str a, const char *cstring)
{
    return str_equal(a, str_of(cstring));
}

static inline bool str_has_prefix(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool str_has_suffix(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part from `from` on, empty when `from` is past the end. */
static inline struct str str_from(struct str s, size_t from)
{
    return from >= s.len ? (struct str){s.ptr + s.len, 0}
                         : (struct str){s.ptr + from, s.len - from};
}

/* At most `len` bytes from `from` on. */
static inline struct str str_slice(struct str s, size_t from, size_t len)
{
    struct str rest = str_from(s, from);
    if (rest.len > len)
        rest.len = len;
    return rest;
}

/* Index of the first `c` at or after `from`, or s.len. */
size_t str_find(struct str s, char c, size_t from);

/* Spaces, tabs, CR and LF removed at both ends. */
struct str str_trim(struct str s);

/* Byte order: negative, zero or positive, shorter first on a common prefix. */
int str_compare(struct str a, struct str b);

/* For printf: "%.*s", STR_ARG(s).  Cut at INT_MAX, which no text of ours reaches. */
#define STR_ARG(s) ((int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len)), ((s).ptr)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Ownership: the variable is released by `fn` when it leaves scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Move a pointer out of an owning variable, leaving NULL behind. */
#define TAKE(var)                                                                                  \
    __extension__({                                                                                \
        __typeof__(var) take_ = (var);                                                             \
        (var) = NULL;                                                                              \
        take_;                                                                                     \
    })

/* Define `name##_cleanup` for CLEANUP() from a free function that takes the pointer. */
#define DEFINE_CLEANUP(name, type, free_fn)                                                        \
    static inline void name##_cleanup(type **p)                                                    \
    {                                                                                              \
        free_fn(*p);                                                                               \
    }

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define HIDDEN __attribute__((visibility("hidden")))
#define EXPORT __attribute__((visibility("default")))
#define UNUSED __attribute__((unused))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Checked arithmetic on lengths: false when the result does not fit. */
static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Unaligned integers out of bytes; the caller has checked the length. */
static inline uint16_t load_le16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t load_le32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t load_le64(const void *p)
{
    const uint8_t *b = p;
    return (uint64_t)load_le32(b) | (uint64_t)load_le32(b + 4) << 32;
}

static inline uint16_t load_be16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t load_be32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static inline uint64_t load_be64(const void *p)
{
    const uint8_t *b = p;
    return (uint64_t)load_be32(b) << 32 | (uint64_t)load_be32(b + 4);
}

static inline void store_le16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline void store_le32(void *p, uint32_t v)
{
    store_le16(p, (uint16_t)v);
    store_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void store_le64(void *p, uint64_t v)
{
    store_le32(p, (uint32_t)v);
    store_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline void store_be16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
}

static inline void store_be32(void *p, uint32_t v)
{
    store_be16(p, (uint16_t)(v >> 16));
    store_be16((uint8_t *)p + 2, (uint16_t)v);
}

static inline void store_be64(void *p, uint64_t v)
{
    store_be32(p, (uint32_t)(v >> 32));
    store_be32((uint8_t *)p + 4, (uint32_t)v);
}
