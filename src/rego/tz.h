/*
 * tz - time zones: TZif files (RFC 8536) as values.
 *
 * tz_parse() works on bytes.  tz_open() is the one place where the engine reads
 * a file: TZ_DIR/<name>, the system's zone database, which changes more often
 * than programs do.  Names that could leave that folder are refused.  Zones
 * are immutable.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

#define TZ_DIR "/usr/share/zoneinfo"
#define TZ_LOCAL "/etc/localtime"
#define TZ_FILE_MAX 65536 /* the largest of the database has 4 KiB */

struct tz;

/* What holds at one time, from `start` until before `end`. */
struct tz_period {
    int offset_s; /* east of UTC */
    char name[16];
    int64_t start, end;
};

/* "" and "UTC" need no file; "Local" reads TZ_LOCAL (UTC if it is not there). */
STATUS tz_open(struct str name, struct tz **out, struct error *err);

/* ERR_INVALID: no TZif.  `bytes` is copied. */
STATUS tz_parse(struct str bytes, struct tz **out, struct error *err);
struct tz *tz_free(struct tz *tz);
DEFINE_CLEANUP(tz, struct tz, tz_free)

void tz_lookup(const struct tz *tz, int64_t unix_s, struct tz_period *out);
