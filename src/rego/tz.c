#include "rego/tz.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"

#define DAY_S 86400

struct local_type {
    int offset_s;
    bool dst;
    char name[16];
};

struct tz {
    int64_t *times; /* ascending */
    uint8_t *types; /* of each time on */
    size_t time_count;
    struct local_type *locals;
    size_t local_count;
    char *footer; /* POSIX TZ text for times after the last; "" for none */
};

struct tz *tz_free(struct tz *tz)
{
    if (tz != NULL) {
        free(tz->times);
        free(tz->types);
        free(tz->locals);
        free(tz->footer);
        free(tz);
    }
    return NULL;
}

/* ---- TZif ---- */

struct header {
    uint32_t utc, std, leap, times, types, chars;
};

#define HEADER_LEN 44

static bool read_header(struct str bytes, struct header *h)
{
    if (bytes.len < HEADER_LEN || memcmp(bytes.ptr, "TZif", 4) != 0)
        return false;
    const char *p = bytes.ptr + 20;
    *h = (struct header){load_be32(p),      load_be32(p + 4),  load_be32(p + 8),
                         load_be32(p + 12), load_be32(p + 16), load_be32(p + 20)};
    /* far below what a file of TZ_FILE_MAX bytes can hold, so that sums cannot wrap */
    return h->utc <= TZ_FILE_MAX && h->std <= TZ_FILE_MAX && h->leap <= TZ_FILE_MAX &&
           h->times <= TZ_FILE_MAX && h->types >= 1 && h->types <= 256 && h->chars <= TZ_FILE_MAX;
}

static size_t block_len(const struct header *h, size_t time_len)
{
    return h->times * (time_len + 1) + h->types * 6 + h->chars + h->leap * (time_len + 4) + h->std +
           h->utc;
}

static enum status bad_file(struct error *err)
{
    error_set(err, "malformed time zone data");
    return ERR_INVALID;
}

/* Local types, after the transitions; *at moves behind them and the names. */
static bool read_types(struct tz *tz, const struct header *h, struct str block, size_t *at)
{
    const char *p = block.ptr + *at;
    const char *names = p + h->types * 6;
    for (size_t i = 0; i < h->types; i++, p += 6) {
        struct local_type *t = &tz->locals[i];
        uint8_t index = (uint8_t)p[5];
        t->offset_s = (int)load_be32(p);
        t->dst = p[4] != 0;
        if (index >= h->chars || t->offset_s > 7 * DAY_S || t->offset_s < -7 * DAY_S)
            return false;
        size_t n = 0;
        while (index + n < h->chars && names[index + n] != '\0' && n < sizeof(t->name) - 1) {
            t->name[n] = names[index + n];
            n++;
        }
        t->name[n] = '\0';
    }
    *at += h->types * 6 + h->chars;
    return true;
}

static bool read_block(struct tz *tz, const struct header *h, size_t time_len, struct str block)
{
    size_t at = 0;
    for (size_t i = 0; i < h->times; i++, at += time_len) {
        const char *p = block.ptr + at;
        tz->times[i] = time_len == 8 ? (int64_t)load_be64(p) : (int32_t)load_be32(p);
        if (i > 0 && tz->times[i] <= tz->times[i - 1])
            return false;
    }
    for (size_t i = 0; i < h->times; i++, at++) {
        tz->types[i] = (uint8_t)block.ptr[at];
        if (tz->types[i] >= h->types)
            return false;
    }
    return read_types(tz, h, block, &at);
}

STATUS tz_parse(struct str bytes, struct tz **out, struct error *err)
{
    struct header h;
    size_t time_len = 4;
    if (bytes.len > TZ_FILE_MAX || !read_header(bytes, &h))
        return bad_file(err);
    bool second = bytes.ptr[4] >= '2'; /* RFC 8536, 3.1: a second block with 64-bit times */
    if (second) {
        bytes = str_from(bytes, HEADER_LEN + block_len(&h, 4));
        time_len = 8;
        if (!read_header(bytes, &h))
            return bad_file(err);
    }
    bytes = str_from(bytes, HEADER_LEN);
    size_t len = block_len(&h, time_len);
    if (bytes.len < len)
        return bad_file(err);

    CLEANUP(tz_cleanup) struct tz *tz = calloc(1, sizeof(*tz));
    if (tz == NULL)
        return error_nomem(err);
    tz->times = calloc(h.times + 1, sizeof(*tz->times));
    tz->types = calloc(h.times + 1, sizeof(*tz->types));
    tz->locals = calloc(h.types, sizeof(*tz->locals));
    /* "\n" text "\n" after the second block */
    struct str footer = second ? str_from(bytes, len + 1) : STR_EMPTY;
    footer.len = str_find(footer, '\n', 0);
    tz->footer = strndup(footer.ptr, footer.len);
    if (tz->times == NULL || tz->types == NULL || tz->locals == NULL || tz->footer == NULL)
        return error_nomem(err);
    tz->time_count = h.times;
    tz->local_count = h.types;
    if (!read_block(tz, &h, time_len, bytes))
        return bad_file(err);
    *out = TAKE(tz);
    return OK;
}

/* ---- files ---- */

static bool is_safe_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '+' || (c == '/' && i > 0);
        if (!ok)
            return false;
    }
    return name.len > 0 && name.len < 128;
}

static enum status open_file(const char *path, struct tz **out, struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TZ_FILE_MAX);
    enum status st = file_read(path, &b, err);
    return st == OK ? tz_parse(buf_str(&b), out, err) : st;
}

static enum status make_utc(struct tz **out, struct error *err)
{
    struct tz *tz = calloc(1, sizeof(*tz));
    if (tz == NULL)
        return error_nomem(err);
    tz->locals = calloc(1, sizeof(*tz->locals));
    tz->footer = strdup("");
    if (tz->locals == NULL || tz->footer == NULL) {
        tz_free(tz);
        return error_nomem(err);
    }
    tz->local_count = 1;
    memcpy(tz->locals[0].name, "UTC", 4);
    *out = tz;
    return OK;
}

STATUS tz_open(struct str name, struct tz **out, struct error *err)
{
    if (name.len == 0 || str_is(name, "UTC"))
        return make_utc(out, err);
    if (str_is(name, "Local"))
        return open_file(TZ_LOCAL, out, NULL) == OK ? OK : make_utc(out, err);
    if (!is_safe_name(name)) {
        bool leaves = name.ptr[0] == '/' || name.ptr[0] == '\\'; /* Go's words */
        for (size_t i = 0; i + 1 < name.len; i++)
            leaves |= name.ptr[i] == '.' && name.ptr[i + 1] == '.';
        if (leaves)
            error_set(err, "time: invalid location name");
        else
            error_set(err, "unknown time zone %.*s", STR_ARG(name));
        return ERR_INVALID;
    }
    char path[sizeof(TZ_DIR) + 160];
    snprintf(path, sizeof(path), "%s/%.*s", TZ_DIR, STR_ARG(name));
    enum status st = open_file(path, out, err);
    if (st == OK || st == ERR_NOMEM)
        return st;
    error_set(err, "unknown time zone %.*s", STR_ARG(name));
    return ERR_INVALID;
}

/* ---- POSIX TZ texts: "CET-1CEST,M3.5.0,M10.5.0/3" (RFC 8536, 3.3) ---- */

enum rule_kind { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY };

struct rule {
    enum rule_kind kind;
    int month, week, day;
    int time_s;
};

struct posix {
    char std[16], dst[16];
    int std_offset_s, dst_offset_s;
    bool has_dst;
    struct rule start, end;
};

static bool take_name(const char **s, char out[16])
{
    bool quoted = **s == '<';
    const char *p = *s + quoted;
    size_t n = 0;
    while (p[n] != '\0' && (quoted ? p[n] != '>' : strchr("0123456789,+-", p[n]) == NULL))
        n++;
    if (n < (quoted ? 1 : 3) || n > 15 || (quoted && p[n] != '>'))
        return false;
    memcpy(out, p, n);
    out[n] = '\0';
    *s = p + n + quoted;
    return true;
}

static bool take_int(const char **s, int min, int max, int *out)
{
    int n = 0;
    const char *p = *s;
    for (; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (*p - '0');
        if (n > max)
            return false;
    }
    if (p == *s || n < min)
        return false;
    *s = p;
    *out = n;
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool take_offset(const char **s, int *out)
{
    bool negative = **s == '-';
    if (**s == '-' || **s == '+')
        (*s)++;
    int parts[3] = {0, 0, 0};
    if (!take_int(s, 0, 24 * 7, &parts[0]))
        return false;
    for (int i = 1; i < 3 && **s == ':'; i++) {
        (*s)++;
        if (!take_int(s, 0, 59, &parts[i]))
            return false;
    }
    *out = (parts[0] * 60 + parts[1]) * 60 + parts[2];
    if (negative)
        *out = -*out;
    return true;
}

static bool take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool take_rule(const char **s, struct rule *r)
{
    *r = (struct rule){.time_s = 2 * 3600};
    bool ok;
    if (take_char(s, 'J')) {
        r->kind = RULE_JULIAN;
        ok = take_int(s, 1, 365, &r->day);
    } else if (take_char(s, 'M')) {
        r->kind = RULE_WEEKDAY;
        ok = take_int(s, 1, 12, &r->month) && take_char(s, '.') && take_int(s, 1, 5, &r->week) &&
             take_char(s, '.') && take_int(s, 0, 6, &r->day);
    } else {
        r->kind = RULE_DAY;
        ok = take_int(s, 0, 365, &r->day);
    }
    return ok && (!take_char(s, '/') || take_offset(s, &r->time_s));
}

static bool parse_posix(const char *s, struct posix *p)
{
    *p = (struct posix){.has_dst = false};
    if (!take_name(&s, p->std) || !take_offset(&s, &p->std_offset_s))
        return false;
    p->std_offset_s = -p->std_offset_s; /* POSIX counts west of UTC */
    if (*s == '\0')
        return true;
    p->has_dst = true;
    if (!take_name(&s, p->dst))
        return false;
    p->dst_offset_s = p->std_offset_s + 3600;
    if (*s != ',' && *s != '\0') {
        if (!take_offset(&s, &p->dst_offset_s))
            return false;
        p->dst_offset_s = -p->dst_offset_s;
    }
    return take_char(&s, ',') && take_rule(&s, &p->start) && take_char(&s, ',') &&
           take_rule(&s, &p->end) && *s == '\0';
}

static int64_t day_start(int year, int month, int day)
{
    const struct utc t = {.year = year, .month = month, .day = day};
    return utc_to_s(&t);
}

/* The moment of a rule in a year, UTC, when `offset_s` holds before it. */
static int64_t rule_time(const struct rule *r, int year, int offset_s)
{
    int64_t first = day_start(year, 1, 1);
    int64_t day = 0;
    switch (r->kind) {
    case RULE_JULIAN: { /* 29 February does not count */
        bool leap = day_start(year, 3, 1) - day_start(year, 2, 28) == 2 * DAY_S;
        day = first + (int64_t)(r->day - 1 + (leap && r->day >= 60)) * DAY_S;
        break;
    }
    case RULE_DAY:
        day = first + (int64_t)r->day * DAY_S;
        break;
    case RULE_WEEKDAY: {
        int64_t month = day_start(year, r->month, 1);
        int64_t next =
            r->month == 12 ? day_start(year + 1, 1, 1) : day_start(year, r->month + 1, 1);
        int skip = (r->day - utc_from_s(month).weekday + 7) % 7 + 7 * (r->week - 1);
        day = month + (int64_t)skip * DAY_S;
        while (day >= next) /* week 5 is the last one */
            day -= 7 * DAY_S;
        break;
    }
    }
    return day + r->time_s - offset_s;
}

static void posix_lookup(const struct posix *p, int64_t unix_s, struct tz_period *out)
{
    out->offset_s = p->std_offset_s;
    memcpy(out->name, p->std, sizeof(out->name));
    if (!p->has_dst)
        return;
    int year = utc_from_s(unix_s).year;
    int64_t start = rule_time(&p->start, year, p->std_offset_s);
    int64_t end = rule_time(&p->end, year, p->dst_offset_s);
    bool south = end < start; /* summer over the turn of the year */
    int64_t first = south ? end : start;
    int64_t second = south ? start : end;
    bool middle = unix_s >= first && unix_s < second;
    if (middle != south) {
        out->offset_s = p->dst_offset_s;
        memcpy(out->name, p->dst, sizeof(out->name));
    }
    out->start = unix_s < first ? day_start(year, 1, 1) : unix_s < second ? first : second;
    out->end = unix_s < first ? first : unix_s < second ? second : day_start(year + 1, 1, 1);
}

/* ---- lookup ---- */

static bool is_used(const struct tz *tz, uint8_t type)
{
    for (size_t i = 0; i < tz->time_count; i++)
        if (tz->types[i] == type)
            return true;
    return false;
}

/* What holds before the first transition: type 0, or the first standard time if 0 comes later (as
 * in Go). */
static const struct local_type *first_type(const struct tz *tz)
{
    for (size_t i = 0; i < tz->local_count && is_used(tz, 0); i++)
        if (!tz->locals[i].dst)
            return &tz->locals[i];
    return &tz->locals[0];
}

void tz_lookup(const struct tz *tz, int64_t unix_s, struct tz_period *out)
{
    size_t lo = 0;
    size_t hi = tz->time_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (tz->times[mid] <= unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    const struct local_type *t = lo == 0 ? first_type(tz) : &tz->locals[tz->types[lo - 1]];
    *out = (struct tz_period){.offset_s = t->offset_s,
                              .start = lo == 0 ? INT64_MIN : tz->times[lo - 1],
                              .end = lo == tz->time_count ? INT64_MAX : tz->times[lo]};
    memcpy(out->name, t->name, sizeof(out->name));
    struct posix p;
    if (lo == tz->time_count && tz->footer[0] != '\0' && parse_posix(tz->footer, &p))
        posix_lookup(&p, unix_s, out);
}
