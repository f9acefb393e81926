#include "rego/layout.h"

#include <stdio.h>

#include "base/clock.h"

enum element {
    NONE,
    LONG_MONTH,   /* January */
    MONTH,        /* Jan */
    NUM_MONTH,    /* 1 */
    ZERO_MONTH,   /* 01 */
    LONG_WEEKDAY, /* Monday */
    WEEKDAY,      /* Mon */
    DAY,          /* 2 */
    UNDER_DAY,    /* _2 */
    ZERO_DAY,     /* 02 */
    UNDER_YDAY,   /* __2 */
    ZERO_YDAY,    /* 002 */
    HOUR,         /* 15 */
    HOUR12,       /* 3 */
    ZERO_HOUR12,  /* 03 */
    MINUTE,       /* 4 */
    ZERO_MINUTE,  /* 04 */
    SECOND,       /* 5 */
    ZERO_SECOND,  /* 05 */
    LONG_YEAR,    /* 2006 */
    YEAR,         /* 06 */
    UPPER_PM,     /* PM */
    LOWER_PM,     /* pm */
    ZONE_NAME,    /* MST */
    ZONE,         /* -0700 and its relatives, see struct chunk */
    FRACTION_0,   /* .000 */
    FRACTION_9,   /* .999 */
};

struct chunk {
    struct str prefix; /* literal text before it */
    enum element element;
    struct str text; /* of the element in the layout */
    struct str rest; /* after it */
    /* ZONE: */
    bool z;       /* "Z" for UTC */
    bool colon;   /* 07:00 */
    bool minutes; /* not just -07 */
    bool seconds; /* -070000 */
};

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

/* ---- reading a layout ---- */

static const struct literal {
    const char *text;
    enum element element;
    bool not_lower; /* no lower-case letter may follow: "Jan" but not "Janet" */
} literals[] = {
    /* longer before shorter */
    {"January", LONG_MONTH, false},
    {"Jan", MONTH, true},
    {"Monday", LONG_WEEKDAY, false},
    {"Mon", WEEKDAY, true},
    {"MST", ZONE_NAME, false},
    {"002", ZERO_YDAY, false},
    {"01", ZERO_MONTH, false},
    {"02", ZERO_DAY, false},
    {"03", ZERO_HOUR12, false},
    {"04", ZERO_MINUTE, false},
    {"05", ZERO_SECOND, false},
    {"06", YEAR, false},
    {"15", HOUR, false},
    {"1", NUM_MONTH, false},
    {"2006", LONG_YEAR, false},
    {"2", DAY, false},
    {"__2", UNDER_YDAY, false},
    {"3", HOUR12, false},
    {"4", MINUTE, false},
    {"5", SECOND, false},
    {"PM", UPPER_PM, false},
    {"pm", LOWER_PM, false},
};

/* After the sign or the Z. */
static const struct zone_form {
    const char *text;
    bool colon, minutes, seconds;
} zone_forms[] = {
    {"070000", false, true, true}, {"07:00:00", true, true, true}, {"0700", false, true, false},
    {"07:00", true, true, false},  {"07", false, false, false},
};

static bool digit_at(struct str s, size_t i)
{
    return i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9';
}

static bool match_zone(struct str s, struct chunk *c)
{
    if (s.len == 0 || (s.ptr[0] != '-' && s.ptr[0] != 'Z'))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(zone_forms); i++) {
        const struct zone_form *f = &zone_forms[i];
        if (!str_has_prefix(str_from(s, 1), str_of(f->text)))
            continue;
        c->element = ZONE;
        c->text.len = 1 + strlen(f->text);
        c->z = s.ptr[0] == 'Z';
        c->colon = f->colon;
        c->minutes = f->minutes;
        c->seconds = f->seconds;
        return true;
    }
    return false;
}

/* ".000" or ",999": one repeated digit, and no other digit after it. */
static bool match_fraction(struct str s, struct chunk *c)
{
    if (s.len < 2 || (s.ptr[0] != '.' && s.ptr[0] != ',') || (s.ptr[1] != '0' && s.ptr[1] != '9'))
        return false;
    size_t n = 1;
    while (n < s.len && s.ptr[n] == s.ptr[1])
        n++;
    if (digit_at(s, n))
        return false;
    c->element = s.ptr[1] == '0' ? FRACTION_0 : FRACTION_9;
    c->text.len = n;
    return true;
}

static bool match_literal(struct str s, struct chunk *c)
{
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        size_t len = strlen(literals[i].text);
        if (!str_has_prefix(s, str_of(literals[i].text)))
            continue;
        if (literals[i].not_lower && s.len > len && s.ptr[len] >= 'a' && s.ptr[len] <= 'z')
            return false;
        c->element = literals[i].element;
        c->text.len = len;
        return true;
    }
    return false;
}

/* The first element of a layout; NONE: all of it is literal. */
static struct chunk next_chunk(struct str layout)
{
    struct chunk c = {.prefix = layout, .element = NONE, .text = STR_EMPTY, .rest = STR_EMPTY};
    for (size_t i = 0; i < layout.len; i++) {
        struct str s = str_from(layout, i);
        c.text = (struct str){s.ptr, 0};
        bool found;
        if (str_has_prefix(s, STR("_2")) && !str_has_prefix(s, STR("_2006"))) {
            c.element = UNDER_DAY;
            c.text.len = 2;
            found = true;
        } else {
            found = match_literal(s, &c) || match_zone(s, &c) || match_fraction(s, &c);
        }
        if (found) {
            c.prefix.len = i;
            c.rest = str_from(s, c.text.len);
            return c;
        }
    }
    return c;
}

/* ---- writing ---- */

static void format_zone(struct buf *out, const struct chunk *c, int offset)
{
    if (c->z && offset == 0) {
        buf_add_byte(out, 'Z');
        return;
    }
    int magnitude = offset < 0 ? -offset : offset;
    /* the sign is that of whole minutes, as in Go */
    buf_add_byte(out, offset / 60 < 0 ? '-' : '+');
    buf_add_format(out, "%02d", magnitude / 3600);
    if (c->minutes)
        buf_add_format(out, c->colon ? ":%02d" : "%02d", magnitude / 60 % 60);
    if (c->seconds)
        buf_add_format(out, c->colon ? ":%02d" : "%02d", magnitude % 60);
}

static void format_fraction(struct buf *out, const struct chunk *c, int ns)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%09d", ns);
    size_t n = c->text.len - 1 < 9 ? c->text.len - 1 : 9;
    if (c->element == FRACTION_9)
        while (n > 0 && digits[n - 1] == '0')
            n--;
    if (n == 0)
        return;
    buf_add_byte(out, c->text.ptr[0]);
    buf_add(out, str_bytes(digits, n));
}

static int day_of_year(const struct utc *t)
{
    struct utc first = {.year = t->year, .month = 1, .day = 1};
    struct utc today = {.year = t->year, .month = t->month, .day = t->day};
    return (int)((utc_to_s(&today) - utc_to_s(&first)) / 86400) + 1;
}

static void format_date(struct buf *out, enum element e, const struct utc *t)
{
    const char *month = months[t->month - 1];
    const char *weekday = weekdays[t->weekday];
    switch (e) {
    case LONG_MONTH:
    case MONTH:
        buf_add(out, str_slice(str_of(month), 0, e == MONTH ? 3 : SIZE_MAX));
        break;
    case LONG_WEEKDAY:
    case WEEKDAY:
        buf_add(out, str_slice(str_of(weekday), 0, e == WEEKDAY ? 3 : SIZE_MAX));
        break;
    case NUM_MONTH:
    case ZERO_MONTH:
        buf_add_format(out, e == NUM_MONTH ? "%d" : "%02d", t->month);
        break;
    case DAY:
        buf_add_format(out, "%d", t->day);
        break;
    case UNDER_DAY:
    case ZERO_DAY:
        buf_add_format(out, e == UNDER_DAY ? "%2d" : "%02d", t->day);
        break;
    case UNDER_YDAY:
    case ZERO_YDAY:
        buf_add_format(out, e == UNDER_YDAY ? "%3d" : "%03d", day_of_year(t));
        break;
    case LONG_YEAR:
        buf_add_format(out, "%04d", t->year);
        break;
    default: /* YEAR */
        buf_add_format(out, "%02d", t->year % 100);
        break;
    }
}

static void format_clock(struct buf *out, enum element e, const struct utc *t)
{
    int hour12 = t->hour % 12 == 0 ? 12 : t->hour % 12;
    switch (e) {
    case HOUR:
        buf_add_format(out, "%02d", t->hour);
        break;
    case HOUR12:
    case ZERO_HOUR12:
        buf_add_format(out, e == HOUR12 ? "%d" : "%02d", hour12);
        break;
    case MINUTE:
    case ZERO_MINUTE:
        buf_add_format(out, e == MINUTE ? "%d" : "%02d", t->minute);
        break;
    case SECOND:
    case ZERO_SECOND:
        buf_add_format(out, e == SECOND ? "%d" : "%02d", t->second);
        break;
    case UPPER_PM:
        buf_add_cstr(out, t->hour >= 12 ? "PM" : "AM");
        break;
    default: /* LOWER_PM */
        buf_add_cstr(out, t->hour >= 12 ? "pm" : "am");
        break;
    }
}

void layout_format(struct buf *out, struct str layout, int64_t unix_s, int ns, int offset_s,
                   struct str zone)
{
    struct utc t = utc_from_s(unix_s + offset_s);
    while (layout.len > 0 && out->failed == OK) {
        struct chunk c = next_chunk(layout);
        buf_add(out, c.prefix);
        layout = c.rest;
        switch (c.element) {
        case NONE:
            return;
        case HOUR:
        case HOUR12:
        case ZERO_HOUR12:
        case MINUTE:
        case ZERO_MINUTE:
        case SECOND:
        case ZERO_SECOND:
        case UPPER_PM:
        case LOWER_PM:
            format_clock(out, c.element, &t);
            break;
        case ZONE:
            format_zone(out, &c, offset_s);
            break;
        case ZONE_NAME:
            buf_add(out, zone);
            break;
        case FRACTION_0:
        case FRACTION_9:
            format_fraction(out, &c, ns);
            break;
        default:
            format_date(out, c.element, &t);
            break;
        }
    }
}

/* ---- parsing ---- */

void layout_quote(struct buf *out, struct str s)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < s.len && out->failed == OK; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c >= 0x80) {
            buf_add_format(out, "\\x%02x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (char)c);
    }
    buf_add_byte(out, '"');
}

struct parser {
    struct str layout, text; /* the whole, for messages */
    struct str value;        /* what is left of the text */
    struct str rest;         /* what is left of the layout */
    struct error *err;
    int year, month, day, yday; /* -1: not given; year: 0 */
    int hour, minute, second, ns;
    bool am, pm;
    int offset;
};

/* "parsing time "x" as "y": cannot parse "z" as "w"" */
static enum status mismatch(struct parser *p, struct str element, struct str value)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    buf_add(&b, STR("parsing time "));
    layout_quote(&b, p->text);
    buf_add(&b, STR(" as "));
    layout_quote(&b, p->layout);
    buf_add(&b, STR(": cannot parse "));
    layout_quote(&b, value);
    buf_add(&b, STR(" as "));
    layout_quote(&b, element);
    error_set(p->err, "%.*s", STR_ARG(buf_str(&b)));
    return b.failed == ERR_NOMEM ? ERR_NOMEM : ERR_INVALID;
}

static enum status out_of_range(struct parser *p, const char *message)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    buf_add(&b, STR("parsing time "));
    layout_quote(&b, p->text);
    error_set(p->err, "%.*s: %s", STR_ARG(buf_str(&b)), message);
    return b.failed == ERR_NOMEM ? ERR_NOMEM : ERR_INVALID;
}

/* Literal text of the layout; a run of spaces matches any run. */
static bool skip_literal(struct parser *p, struct str prefix)
{
    while (prefix.len > 0) {
        if (prefix.ptr[0] == ' ') {
            if (p->value.len > 0 && p->value.ptr[0] != ' ')
                return false;
            while (prefix.len > 0 && prefix.ptr[0] == ' ')
                prefix = str_from(prefix, 1);
            while (p->value.len > 0 && p->value.ptr[0] == ' ')
                p->value = str_from(p->value, 1);
            continue;
        }
        if (p->value.len == 0 || p->value.ptr[0] != prefix.ptr[0])
            return false;
        prefix = str_from(prefix, 1);
        p->value = str_from(p->value, 1);
    }
    return true;
}

static bool take_number(struct parser *p, size_t min, size_t max, int *out)
{
    int n = 0;
    size_t i = 0;
    for (; i < max && digit_at(p->value, i); i++)
        n = n * 10 + (p->value.ptr[i] - '0');
    if (i < min)
        return false;
    *out = n;
    p->value = str_from(p->value, i);
    return true;
}

/* Index of the name that the text begins with, in any case of letters; -1: none. */
static int take_name(struct parser *p, const char *const *names, size_t n, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        size_t name_len = len == 0 ? strlen(names[i]) : len;
        if (p->value.len >= name_len && strncasecmp(p->value.ptr, names[i], name_len) == 0) {
            p->value = str_from(p->value, name_len);
            return (int)i;
        }
    }
    return -1;
}

/* A point or comma and digits, of which nine count. */
static void take_fraction(struct parser *p, size_t digits)
{
    int ns = 0;
    for (size_t i = 1; i <= 9; i++)
        ns = ns * 10 + (i <= digits ? p->value.ptr[i] - '0' : 0);
    p->ns = ns;
    p->value = str_from(p->value, digits + 1);
}

static size_t fraction_digits(struct str s)
{
    if (s.len == 0 || (s.ptr[0] != '.' && s.ptr[0] != ','))
        return 0;
    size_t n = 0;
    while (digit_at(s, n + 1))
        n++;
    return n;
}

/* How one element went: matched, did not match, or is out of range (which wins, as in Go). */
enum outcome { MATCHED, MISMATCH, RANGE };

static enum outcome parse_second(struct parser *p, bool two_digits)
{
    if (!take_number(p, two_digits ? 2 : 1, 2, &p->second))
        return MISMATCH;
    if (p->second >= 60)
        return RANGE;
    /* a fraction is accepted even where the layout has none */
    size_t digits = fraction_digits(p->value);
    enum element next = next_chunk(p->rest).element;
    if (digits > 0 && next != FRACTION_0 && next != FRACTION_9)
        take_fraction(p, digits);
    return MATCHED;
}

static enum outcome parse_clock(struct parser *p, enum element e)
{
    switch (e) {
    case HOUR:
        if (!take_number(p, 1, 2, &p->hour))
            return MISMATCH;
        return p->hour >= 24 ? RANGE : MATCHED;
    case HOUR12:
    case ZERO_HOUR12:
        if (!take_number(p, e == ZERO_HOUR12 ? 2 : 1, 2, &p->hour))
            return MISMATCH;
        return p->hour > 12 ? RANGE : MATCHED;
    case MINUTE:
    case ZERO_MINUTE:
        if (!take_number(p, e == ZERO_MINUTE ? 2 : 1, 2, &p->minute))
            return MISMATCH;
        return p->minute >= 60 ? RANGE : MATCHED;
    case SECOND:
    case ZERO_SECOND:
        return parse_second(p, e == ZERO_SECOND);
    default: {
        struct str two = str_slice(p->value, 0, 2);
        p->pm = p->pm || str_is(two, e == UPPER_PM ? "PM" : "pm");
        p->am = p->am || str_is(two, e == UPPER_PM ? "AM" : "am");
        bool ok =
            str_is(two, e == UPPER_PM ? "PM" : "pm") || str_is(two, e == UPPER_PM ? "AM" : "am");
        p->value = str_from(p->value, 2);
        return ok ? MATCHED : MISMATCH;
    }
    }
}

static void skip_pad(struct parser *p, size_t max)
{
    for (; max > 0 && p->value.len > 0 && p->value.ptr[0] == ' '; max--)
        p->value = str_from(p->value, 1);
}

static enum outcome parse_date(struct parser *p, enum element e)
{
    switch (e) {
    case LONG_MONTH:
    case MONTH:
        p->month = take_name(p, months, ARRAY_LEN(months), e == MONTH ? 3 : 0) + 1;
        return p->month == 0 ? MISMATCH : MATCHED;
    case LONG_WEEKDAY:
    case WEEKDAY:
        return take_name(p, weekdays, ARRAY_LEN(weekdays), e == WEEKDAY ? 3 : 0) < 0 ? MISMATCH
                                                                                     : MATCHED;
    case NUM_MONTH:
    case ZERO_MONTH:
        if (!take_number(p, e == ZERO_MONTH ? 2 : 1, 2, &p->month))
            return MISMATCH;
        return p->month < 1 || p->month > 12 ? RANGE : MATCHED;
    case DAY:
    case UNDER_DAY:
    case ZERO_DAY:
        skip_pad(p, e == UNDER_DAY);
        return take_number(p, e == ZERO_DAY ? 2 : 1, 2, &p->day) ? MATCHED : MISMATCH;
    case UNDER_YDAY:
    case ZERO_YDAY:
        skip_pad(p, e == UNDER_YDAY ? 2 : 0);
        return take_number(p, e == ZERO_YDAY ? 3 : 1, 3, &p->yday) ? MATCHED : MISMATCH;
    case LONG_YEAR:
        return take_number(p, 4, 4, &p->year) ? MATCHED : MISMATCH;
    default: /* YEAR: Unix time starts in 1969 in some zones */
        if (!take_number(p, 2, 2, &p->year))
            return MISMATCH;
        p->year += p->year >= 69 ? 1900 : 2000;
        return MATCHED;
    }
}

static enum outcome parse_offset(struct parser *p, const struct chunk *c, const char **what)
{
    if (c->z && p->value.len > 0 && p->value.ptr[0] == 'Z') {
        p->value = str_from(p->value, 1);
        p->offset = 0;
        return MATCHED;
    }
    if (p->value.len < c->text.len)
        return MISMATCH;
    char sign = p->value.ptr[0];
    p->value = str_from(p->value, 1);
    int parts[3] = {0, 0, 0};
    size_t n = c->seconds ? 3 : c->minutes ? 2 : 1;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && c->colon) {
            if (p->value.len == 0 || p->value.ptr[0] != ':')
                return MISMATCH;
            p->value = str_from(p->value, 1);
        }
        if (!take_number(p, 2, 2, &parts[i]))
            return MISMATCH;
    }
    static const char *const names[] = {"time zone offset hour", "time zone offset minute",
                                        "time zone offset second"};
    static const int max[] = {24, 60, 60};
    *what = NULL;
    for (size_t i = 0; i < 3; i++)
        *what = parts[i] > max[i] ? names[i] : *what;
    if (*what != NULL)
        return RANGE;
    if (sign != '+' && sign != '-')
        return MISMATCH;
    p->offset = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * (sign == '-' ? -1 : 1);
    return MATCHED;
}

/* "+3", "-03": length, 0 if it is none or beyond 23 hours. */
static size_t signed_offset(struct str s)
{
    if (s.len == 0 || (s.ptr[0] != '-' && s.ptr[0] != '+'))
        return 0;
    int n = 0;
    size_t i = 1;
    for (; digit_at(s, i); i++)
        n = n > 23 ? n : n * 10 + (s.ptr[i] - '0');
    return i == 1 || n > 23 ? 0 : i;
}

/* Length of a zone abbreviation at the start of s, 0: none. */
static size_t zone_name(struct str s)
{
    if (s.len < 3)
        return 0;
    if (str_has_prefix(s, STR("ChST")) || str_has_prefix(s, STR("MeST")))
        return 4;
    if (str_has_prefix(s, STR("GMT")))
        return 3 + signed_offset(str_from(s, 3));
    if (s.ptr[0] == '+' || s.ptr[0] == '-')
        return signed_offset(s);
    size_t upper = 0;
    while (upper < 6 && upper < s.len && s.ptr[upper] >= 'A' && s.ptr[upper] <= 'Z')
        upper++;
    if (upper == 5)
        return s.ptr[4] == 'T' ? 5 : 0;
    if (upper == 4)
        return s.ptr[3] == 'T' || str_has_prefix(s, STR("WITA")) ? 4 : 0;
    return upper == 3 ? 3 : 0;
}

/* Checked for its form only: without a zone of its own, Go takes the time as UTC, even with GMT+3.
 */
static enum outcome parse_zone_name(struct parser *p)
{
    size_t n = str_has_prefix(p->value, STR("UTC")) ? 3 : zone_name(p->value);
    p->value = str_from(p->value, n);
    return n == 0 ? MISMATCH : MATCHED;
}

static enum outcome parse_fraction(struct parser *p, const struct chunk *c)
{
    size_t have = fraction_digits(p->value);
    if (c->element == FRACTION_9) {
        if (have > 0)
            take_fraction(p, have);
        return MATCHED;
    }
    size_t want = c->text.len - 1;
    if (have < want)
        return MISMATCH;
    take_fraction(p, want);
    return MATCHED;
}

static enum status parse_element(struct parser *p, const struct chunk *c)
{
    struct str hold = p->value;
    const char *what = NULL;
    enum outcome o;
    switch (c->element) {
    case HOUR:
    case HOUR12:
    case ZERO_HOUR12:
        what = "hour";
        o = parse_clock(p, c->element);
        break;
    case MINUTE:
    case ZERO_MINUTE:
        what = "minute";
        o = parse_clock(p, c->element);
        break;
    case SECOND:
    case ZERO_SECOND:
        what = "second";
        o = parse_clock(p, c->element);
        break;
    case UPPER_PM:
    case LOWER_PM:
        o = parse_clock(p, c->element);
        break;
    case ZONE:
        o = parse_offset(p, c, &what);
        break;
    case ZONE_NAME:
        o = parse_zone_name(p);
        break;
    case FRACTION_0:
    case FRACTION_9:
        o = parse_fraction(p, c);
        break;
    default:
        what = "month";
        o = parse_date(p, c->element);
        break;
    }
    if (o == MATCHED)
        return OK;
    if (o == MISMATCH)
        return mismatch(p, c->text, hold);
    char text[64];
    snprintf(text, sizeof(text), "%s out of range", what);
    return out_of_range(p, text);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Month and day from the day of the year; both must agree if given, too. */
static enum status settle_year_day(struct parser *p)
{
    int month = 1;
    int day = p->yday;
    while (month <= 12 && day > days_in_month(p->year, month))
        day -= days_in_month(p->year, month++);
    if (day < 1 || month > 12)
        return out_of_range(p, "day-of-year out of range");
    if (p->month >= 0 && p->month != month)
        return out_of_range(p, "day-of-year does not match month");
    if (p->day >= 0 && p->day != day)
        return out_of_range(p, "day-of-year does not match day");
    p->month = month;
    p->day = day;
    return OK;
}

STATUS layout_parse(struct str layout, struct str text, int64_t *unix_s, int *ns, struct error *err)
{
    struct parser p = {.layout = layout,
                       .text = text,
                       .value = text,
                       .rest = layout,
                       .err = err,
                       .month = -1,
                       .day = -1,
                       .yday = -1};
    for (;;) {
        struct chunk c = next_chunk(p.rest);
        if (!skip_literal(&p, c.prefix))
            return mismatch(&p, c.prefix, p.value);
        if (c.element == NONE)
            break;
        p.rest = c.rest;
        enum status st = parse_element(&p, &c);
        if (st != OK)
            return st;
    }
    if (p.value.len > 0) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 4096);
        buf_add(&b, STR("extra text: "));
        layout_quote(&b, p.value);
        buf_add_byte(&b, '\0');
        if (b.failed == ERR_NOMEM)
            return ERR_NOMEM;
        return out_of_range(&p, b.failed == OK ? b.ptr : "extra text");
    }

    if (p.pm && p.hour < 12)
        p.hour += 12;
    else if (p.am && p.hour == 12)
        p.hour = 0;
    if (p.yday >= 0) {
        enum status st = settle_year_day(&p);
        if (st != OK)
            return st;
    }
    p.month = p.month < 0 ? 1 : p.month;
    p.day = p.day < 0 ? 1 : p.day;
    if (p.day < 1 || p.day > days_in_month(p.year, p.month))
        return out_of_range(&p, "day out of range");

    const struct utc t = {.year = p.year,
                          .month = p.month,
                          .day = p.day,
                          .hour = p.hour,
                          .minute = p.minute,
                          .second = p.second};
    *unix_s = utc_to_s(&t) - p.offset;
    *ns = p.ns;
    return OK;
}
