/* Time: rego.md 6.12.  Layouts are in layout.c, zones in tz.c. */
#include "base/clock.h"
#include "rego/builtins_internal.h"
#include "rego/layout.h"
#include "rego/tz.h"
#include "rego/unicode.h"
#include "value/number.h"

static const struct named_layout {
    const char *name;
    const char *layout;
} named_layouts[] = {
    {"ANSIC", "Mon Jan _2 15:04:05 2006"},
    {"UnixDate", "Mon Jan _2 15:04:05 MST 2006"},
    {"RubyDate", "Mon Jan 02 15:04:05 -0700 2006"},
    {"RFC822", "02 Jan 06 15:04 MST"},
    {"RFC822Z", "02 Jan 06 15:04 -0700"},
    {"RFC850", "Monday, 02-Jan-06 15:04:05 MST"},
    {"RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"},
    {"RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"},
    {"RFC3339", "2006-01-02T15:04:05Z07:00"},
    {"RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"},
};

static struct str layout_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(named_layouts); i++)
        if (str_is(name, named_layouts[i].name))
            return str_of(named_layouts[i].layout);
    return name;
}

/* ---- operands ---- */

struct moment {
    int64_t ns;
    int64_t s; /* rounded down */
    int sub_ns;
    struct tz_period zone;
    const struct tz *tz;
    struct str layout; /* empty: none */
};

static void destroy_tz(void *object)
{
    tz_free(object);
}

static enum rego_outcome get_zone(struct rego_call *call, struct str name, const struct tz **out)
{
    *out = rego_call_cache_get(call, "tz", name);
    if (*out != NULL)
        return REGO_VALUE;
    if (!rego_call_charge(call, 1000)) /* reads a file */
        return REGO_FATAL;
    CLEANUP(tz_cleanup) struct tz *tz = NULL;
    struct error err = ERROR_INIT;
    enum status st = tz_open(name, &tz, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (!rego_call_cache_put(call, "tz", name, tz, destroy_tz))
        return rego_call_status(call, ERR_NOMEM, NULL);
    *out = TAKE(tz);
    return REGO_VALUE;
}

static void set_ns(struct moment *m, int64_t ns)
{
    m->ns = ns;
    bool below = ns % NS_PER_S < 0; /* the second begins before: m->s * NS_PER_S may not fit */
    m->s = ns / NS_PER_S - below;
    m->sub_ns = (int)(ns % NS_PER_S + (below ? NS_PER_S : 0));
    tz_lookup(m->tz, m->s, &m->zone);
}

/* ns, [ns, tz] or [ns, tz, layout] */
static enum rego_outcome arg_moment(struct rego_call *call, value v, struct moment *m)
{
    value parts[3] = {v, VALUE_UNDEFINED, VALUE_UNDEFINED};
    if (value_is_array(v) && value_len(v) > 0)
        for (size_t i = 0; i < 3; i++)
            parts[i] = value_at(v, i);
    else if (value_kind(v) != VALUE_KIND_NUMBER)
        return rego_call_type_error(call, 1, "either number (ns) or [number (ns), string (tz)]", v);

    if (value_kind(parts[0]) != VALUE_KIND_NUMBER)
        return rego_call_type_error(call, 1, "number", parts[0]);
    for (size_t i = 1; i < 3; i++)
        if (value_is_defined(parts[i]) && !value_is_string(parts[i]))
            return rego_call_type_error(call, 1, "string", parts[i]);
    *m = (struct moment){.layout = value_str(parts[2])};
    enum rego_outcome o = get_zone(call, value_str(parts[1]), &m->tz);
    if (o != REGO_VALUE)
        return o;
    int64_t ns;
    if (!value_get_int64(parts[0], &ns))
        return rego_call_error(call, "timestamp too big");
    set_ns(m, ns);
    return REGO_VALUE;
}

static struct utc local_time(const struct moment *m)
{
    return utc_from_s(m->s + m->zone.offset_s);
}

static enum rego_outcome give_ints(struct rego_call *call, const int *n, size_t count, value *out)
{
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), count);
    for (size_t i = 0; i < count; i++)
        value_builder_add(&b, value_int(rego_call_arena(call), n[i]));
    return give(call, value_array_finish(&b), out);
}

/* Seconds and nanoseconds as nanoseconds, if they fit into 64 bits. */
static enum rego_outcome give_time(struct rego_call *call, int64_t s, int sub_ns, value *out)
{
    __int128 ns = (__int128)s * NS_PER_S + sub_ns;
    if (ns > INT64_MAX || ns < INT64_MIN)
        return rego_call_error(call, "time outside of valid range");
    return give_int(call, (int64_t)ns, out);
}

/* ---- parts ---- */

enum rego_outcome builtin_time_now_ns(struct rego_call *call, const value *args, value *out)
{
    (void)args;
    return give_int(call, rego_call_now_ns(call), out);
}

enum rego_outcome builtin_time_date(struct rego_call *call, const value *args, value *out)
{
    struct moment m;
    enum rego_outcome o = arg_moment(call, args[0], &m);
    if (o != REGO_VALUE)
        return o;
    struct utc t = local_time(&m);
    return give_ints(call, (int[]){t.year, t.month, t.day}, 3, out);
}

enum rego_outcome builtin_time_clock(struct rego_call *call, const value *args, value *out)
{
    struct moment m;
    enum rego_outcome o = arg_moment(call, args[0], &m);
    if (o != REGO_VALUE)
        return o;
    struct utc t = local_time(&m);
    return give_ints(call, (int[]){t.hour, t.minute, t.second}, 3, out);
}

enum rego_outcome builtin_time_weekday(struct rego_call *call, const value *args, value *out)
{
    struct moment m;
    enum rego_outcome o = arg_moment(call, args[0], &m);
    if (o != REGO_VALUE)
        return o;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    layout_format(&b, STR("Monday"), m.s, m.sub_ns, m.zone.offset_s, STR_EMPTY);
    return give_buf(call, &b, out);
}

enum rego_outcome builtin_time_format(struct rego_call *call, const value *args, value *out)
{
    struct moment m;
    enum rego_outcome o = arg_moment(call, args[0], &m);
    if (o != REGO_VALUE)
        return o;
    struct str layout = layout_of(m.layout.len == 0 ? STR("RFC3339Nano") : m.layout);
    if (!charge_bytes(call, layout.len * 16))
        return REGO_FATAL;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    layout_format(&b, layout, m.s, m.sub_ns, m.zone.offset_s, str_of(m.zone.name));
    return give_buf(call, &b, out);
}

/* ---- parsing ---- */

static enum rego_outcome parse(struct rego_call *call, struct str layout, struct str text,
                               value *out)
{
    if (!charge_bytes(call, (layout.len + text.len) * 16))
        return REGO_FATAL;
    int64_t s = 0;
    int ns = 0;
    struct error err = ERROR_INIT;
    enum status st = layout_parse(layout, text, &s, &ns, &err);
    return st == OK ? give_time(call, s, ns, out) : rego_call_status(call, st, &err);
}

enum rego_outcome builtin_time_parse_ns(struct rego_call *call, const value *args, value *out)
{
    struct str layout = STR_EMPTY;
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &layout) || !arg_string(call, args, 2, &text))
        return REGO_FAILED;
    return parse(call, layout_of(layout), text, out);
}

enum rego_outcome builtin_time_parse_rfc3339_ns(struct rego_call *call, const value *args,
                                                value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    return parse(call, layout_of(STR("RFC3339")), text, out);
}

/* ---- durations ---- */

#define GREEK_MICROSECOND "\xce\xbcs"

static const struct duration_unit {
    const char *name;
    uint64_t ns;
} duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* micro sign */
    {GREEK_MICROSECOND, 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60 * 1000000000ull},
    {"h", 3600 * 1000000000ull},
    {"d", 24 * 3600 * 1000000000ull},
    {"w", 7 * 24 * 3600 * 1000000000ull},
    {"y", 365 * 24 * 3600 * 1000000000ull},
};

enum duration_fault { DURATION_OK, DURATION_INVALID, DURATION_NO_UNIT, DURATION_UNKNOWN_UNIT };

/* Digits with at most one point; more than 2^63 is refused. */
static bool take_decimal(struct str *s, uint64_t *whole, double *fraction)
{
    size_t i = 0;
    size_t digits = 0;
    *whole = 0;
    *fraction = 0;
    for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++, digits++) {
        if (*whole > (1ull << 63) / 10)
            return false;
        *whole = *whole * 10 + (uint64_t)(s->ptr[i] - '0');
        if (*whole > 1ull << 63)
            return false;
    }
    if (i < s->len && s->ptr[i] == '.') {
        uint64_t f = 0;
        double scale = 1;
        for (i++; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++, digits++) {
            if (f > ((1ull << 63) - 1) / 10 - 1)
                continue; /* beyond what 64 bits can tell */
            f = f * 10 + (uint64_t)(s->ptr[i] - '0');
            scale *= 10;
        }
        *fraction = (double)f / scale;
    }
    *s = str_from(*s, i);
    return digits > 0;
}

/* One "1.5h", added to *total; *unit is what stood for a unit. */
static enum duration_fault take_segment(struct str *s, uint64_t *total, struct str *unit)
{
    uint64_t whole;
    double fraction;
    if (!take_decimal(s, &whole, &fraction))
        return DURATION_INVALID;
    size_t n = 0;
    while (n < s->len && s->ptr[n] != '.' && (s->ptr[n] < '0' || s->ptr[n] > '9'))
        n++;
    *unit = str_slice(*s, 0, n);
    *s = str_from(*s, n);
    if (n == 0)
        return DURATION_NO_UNIT;
    for (size_t i = 0; i < ARRAY_LEN(duration_units); i++) {
        uint64_t ns = duration_units[i].ns;
        if (!str_is(*unit, duration_units[i].name))
            continue;
        if (whole > (1ull << 63) / ns)
            return DURATION_INVALID;
        *total += whole * ns + (uint64_t)(fraction * (double)ns);
        return *total > 1ull << 63 ? DURATION_INVALID : DURATION_OK;
    }
    return DURATION_UNKNOWN_UNIT;
}

/*
 * OPA reads texts with days, weeks or years by a grammar of its own, in which an unknown unit is
 * one letter, and a microsecond has no Greek mu.
 */
static bool is_extended(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == 'd' || s.ptr[i] == 'w' || s.ptr[i] == 'y')
            return true;
    return false;
}

static enum rego_outcome duration_error(struct rego_call *call, enum duration_fault fault,
                                        struct str text, struct str unit)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 2048);
    bool letter = unit.len == 1 && unit.ptr[0] >= 'a' && unit.ptr[0] <= 'z';
    if (is_extended(text) && !(fault == DURATION_UNKNOWN_UNIT && letter))
        fault = DURATION_INVALID;
    if (fault == DURATION_UNKNOWN_UNIT) {
        buf_add(&b, STR("time: unknown unit "));
        layout_quote(&b, unit);
        buf_add(&b, STR(" in duration "));
    } else {
        buf_add_cstr(&b, fault == DURATION_NO_UNIT ? "time: missing unit in duration "
                                                   : "time: invalid duration ");
    }
    if (is_extended(text))
        unicode_quote(&b, text);
    else
        layout_quote(&b, text);
    worked(rego_call_arena(call), buf_status(&b));
    return rego_call_error(call, "%.*s", STR_ARG(buf_str(&b)));
}

enum rego_outcome builtin_time_parse_duration_ns(struct rego_call *call, const value *args,
                                                 value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    if (!charge_bytes(call, text.len))
        return REGO_FATAL;
    struct str s = text;
    bool negative = s.len > 0 && s.ptr[0] == '-';
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        s = str_from(s, 1);
    if (str_is(s, "0"))
        return give_int(call, 0, out);

    uint64_t total = 0;
    struct str unit = STR_EMPTY;
    enum duration_fault fault = s.len == 0 ? DURATION_INVALID : DURATION_OK;
    while (fault == DURATION_OK && s.len > 0) {
        fault = take_segment(&s, &total, &unit);
        if (fault == DURATION_OK && str_is(unit, GREEK_MICROSECOND) && is_extended(text))
            fault = DURATION_INVALID;
    }
    if (fault == DURATION_OK && total > (1ull << 63) - !negative)
        fault = DURATION_INVALID;
    if (fault != DURATION_OK)
        return duration_error(call, fault, text, unit);
    return give_int(call, (int64_t)(negative ? -total : total), out);
}

/* ---- calendar ---- */

/* Fields far outside of what nanoseconds can say; also keeps the arithmetic within int. */
#define FIELD_MAX 1000000

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

enum rego_outcome builtin_time_add_date(struct rego_call *call, const value *args, value *out)
{
    struct moment m;
    int64_t n[3];
    enum rego_outcome o = arg_moment(call, args[0], &m);
    if (o != REGO_VALUE)
        return o;
    for (unsigned i = 0; i < 3; i++) {
        if (!arg_int(call, args, i + 2, &n[i]))
            return REGO_FAILED;
        if (n[i] > FIELD_MAX || n[i] < -FIELD_MAX)
            return rego_call_error(call, "time outside of valid range");
    }

    struct utc t = local_time(&m);
    int64_t month = t.month - 1 + n[1];
    t.year = (int)(t.year + n[0] + floor_div(month, 12));
    t.month = (int)(month - floor_div(month, 12) * 12) + 1;
    int64_t local = utc_to_s(&t) + n[2] * 86400; /* a day too many rolls into the next month */

    /* the offset that holds then, as Go finds it: try the local time as UTC first */
    struct tz_period p;
    tz_lookup(m.tz, local, &p);
    int64_t s = local - p.offset_s;
    if (s < p.start || s >= p.end) {
        tz_lookup(m.tz, s, &p);
        s = local - p.offset_s;
    }
    return give_time(call, s, m.sub_ns, out);
}

enum rego_outcome builtin_time_diff(struct rego_call *call, const value *args, value *out)
{
    struct moment a;
    struct moment b;
    enum rego_outcome o = arg_moment(call, args[0], &a);
    if (o == REGO_VALUE)
        o = arg_moment(call, args[1], &b);
    if (o != REGO_VALUE)
        return o;
    b.tz = a.tz;
    set_ns(&b, b.ns);
    struct utc from = local_time(a.ns > b.ns ? &b : &a);
    struct utc to = local_time(a.ns > b.ns ? &a : &b);

    int d[] = {to.year - from.year, to.month - from.month,   to.day - from.day,
               to.hour - from.hour, to.minute - from.minute, to.second - from.second};
    if (d[5] < 0) {
        d[5] += 60;
        d[4]--;
    }
    if (d[4] < 0) {
        d[4] += 60;
        d[3]--;
    }
    if (d[3] < 0) {
        d[3] += 24;
        d[2]--;
    }
    if (d[2] < 0) { /* borrow the days of the earlier date's month */
        struct utc first = {.year = from.year, .month = from.month, .day = 1};
        struct utc day32 = utc_from_s(utc_to_s(&first) + 31 * 86400);
        d[2] += 32 - day32.day;
        d[1]--;
    }
    if (d[1] < 0) {
        d[1] += 12;
        d[0]--;
    }
    return give_ints(call, d, 6, out);
}
