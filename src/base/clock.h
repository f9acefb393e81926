/*
 * clock - time, handed in.
 *
 * Everything that judges an expiry takes a time or a `struct clock`; only
 * programs read the system's.  Times are Unix time: seconds or nanoseconds
 * since 1970-01-01T00:00:00Z, without leap seconds.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

#define NS_PER_S 1000000000LL

struct clock {
    int64_t (*now_ns)(void *user);
    void *user;
};

/* CLOCK_REALTIME. */
extern const struct clock clock_system;

static inline int64_t clock_now_ns(const struct clock *c)
{
    return c->now_ns(c->user);
}

static inline int64_t clock_now_s(const struct clock *c)
{
    int64_t ns = c->now_ns(c->user);
    return ns >= 0 ? ns / NS_PER_S : -((-ns + NS_PER_S - 1) / NS_PER_S);
}

/* A clock that stands still at `*user`, nanoseconds. */
int64_t clock_fixed_now(void *user);

/* CLOCK_MONOTONIC, for time-outs and durations only. */
int64_t clock_monotonic_ns(void);

/* Broken-down UTC of a Unix time; proleptic Gregorian, years 0 to 9999. */
struct utc {
    int year;  /* 2026 */
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour, minute, second;
    int weekday; /* 0 = Sunday */
};
struct utc utc_from_s(int64_t s);
int64_t utc_to_s(const struct utc *t);

/* "2026-08-21T01:55:31Z", 20 characters and a NUL. */
#define TIME_RFC3339_LEN 20
void time_write_rfc3339(int64_t s, char out[TIME_RFC3339_LEN + 1]);

/* "2026-08-21T01:55:31.123456Z", microseconds, as log lines have it. */
#define TIME_RFC3339_US_LEN 27
void time_write_rfc3339_us(int64_t ns, char out[TIME_RFC3339_US_LEN + 1]);

/* "Fri, 21 Aug 2026 01:55:31 GMT", RFC 9110 5.6.7. */
#define TIME_HTTP_LEN 29
void time_write_http(int64_t s, char out[TIME_HTTP_LEN + 1]);

/*
 * RFC 3339 with optional fraction and offset ("Z" or "+hh:mm").  Sets *out to
 * nanoseconds.  ERR_INVALID for anything else, leap seconds included.
 */
STATUS time_parse_rfc3339(struct str s, int64_t *out_ns, struct error *err);
