#include "base/clock.h"

#include <time.h>

static int64_t system_now(void *user)
{
    (void)user;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

const struct clock clock_system = {system_now, NULL};

int64_t clock_fixed_now(void *user)
{
    return *(const int64_t *)user;
}

int64_t clock_monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Days from civil date and back: Howard Hinnant, "chrono-compatible low-level date algorithms". */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct utc utc_from_s(int64_t s)
{
    int64_t days = s >= 0 ? s / 86400 : -((-s + 86399) / 86400);
    int64_t rest = s - days * 86400;

    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    struct utc t;
    t.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    t.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    t.year = (int)(yoe + era * 400 + (t.month <= 2));
    t.hour = (int)(rest / 3600);
    t.minute = (int)(rest / 60 % 60);
    t.second = (int)(rest % 60);
    t.weekday = (int)(((days + 4) % 7 + 7) % 7);
    return t;
}

int64_t utc_to_s(const struct utc *t)
{
    return days_from_civil(t->year, t->month, t->day) * 86400 + t->hour * 3600 + t->minute * 60 +
           t->second;
}

/* The range that four digits of year can show; beyond it the text is clamped. */
static int64_t clamp_s(int64_t s)
{
    const int64_t min = -62167219200; /* 0000-01-01 */
    const int64_t max = 253402300799; /* 9999-12-31T23:59:59Z */
    return s < min ? min : s > max ? max : s;
}

static void write_digits(char *out, int width, int n)
{
    while (width-- > 0) {
        out[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

void time_write_rfc3339(int64_t s, char out[TIME_RFC3339_LEN + 1])
{
    struct utc t = utc_from_s(clamp_s(s));
    /* Claims are full of dates: no printf. */
    memcpy(out, "....-..-..T..:..:..Z", TIME_RFC3339_LEN + 1);
    write_digits(out, 4, t.year);
    write_digits(out + 5, 2, t.month);
    write_digits(out + 8, 2, t.day);
    write_digits(out + 11, 2, t.hour);
    write_digits(out + 14, 2, t.minute);
    write_digits(out + 17, 2, t.second);
}

void time_write_rfc3339_us(int64_t ns, char out[TIME_RFC3339_US_LEN + 1])
{
    int64_t s = ns >= 0 ? ns / NS_PER_S : -((-ns + NS_PER_S - 1) / NS_PER_S);
    char text[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(s, text);
    memcpy(out, text, 19);
    memcpy(out + 19, ".......Z", 9);
    write_digits(out + 20, 6, (int)((ns - s * NS_PER_S) / 1000));
}

void time_write_http(int64_t s, char out[TIME_HTTP_LEN + 1])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct utc t = utc_from_s(clamp_s(s));
    memcpy(out, "..., .. ... .... ..:..:.. GMT", TIME_HTTP_LEN + 1);
    memcpy(out, days[t.weekday], 3);
    write_digits(out + 5, 2, t.day);
    memcpy(out + 8, months[t.month - 1], 3);
    write_digits(out + 12, 4, t.year);
    write_digits(out + 17, 2, t.hour);
    write_digits(out + 20, 2, t.minute);
    write_digits(out + 23, 2, t.second);
}

static bool read_digits(struct str s, size_t at, size_t n, int *out)
{
    if (at + n > s.len)
        return false;
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        v = v * 10 + (s.ptr[i] - '0');
    }
    *out = v;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

enum status time_parse_rfc3339(struct str s, int64_t *out_ns, struct error *err)
{
    struct utc t = {0};
    bool ok = read_digits(s, 0, 4, &t.year) && s.len >= 20 && s.ptr[4] == '-' &&
              read_digits(s, 5, 2, &t.month) && s.ptr[7] == '-' && read_digits(s, 8, 2, &t.day) &&
              (s.ptr[10] == 'T' || s.ptr[10] == 't') && read_digits(s, 11, 2, &t.hour) &&
              s.ptr[13] == ':' && read_digits(s, 14, 2, &t.minute) && s.ptr[16] == ':' &&
              read_digits(s, 17, 2, &t.second);
    if (!ok || t.month < 1 || t.month > 12 || t.day < 1 || t.day > days_in_month(t.year, t.month) ||
        t.hour > 23 || t.minute > 59 || t.second > 59) {
        error_set(err, "not an RFC 3339 time: \"%s\"", QUOTED(s));
        return ERR_INVALID;
    }

    size_t at = 19;
    int64_t ns = 0;
    if (s.ptr[at] == '.') {
        int64_t unit = NS_PER_S / 10;
        size_t start = ++at;
        for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++, unit /= 10)
            ns += (s.ptr[at] - '0') * unit;
        if (at == start)
            at = s.len; /* "." without a digit: refused below */
    }

    int hours = 0;
    int minutes = 0;
    int sign = 0;
    struct str zone = str_from(s, at);
    if (zone.len == 1 && (zone.ptr[0] == 'Z' || zone.ptr[0] == 'z')) {
        sign = 1;
    } else if (zone.len == 6 && (zone.ptr[0] == '+' || zone.ptr[0] == '-') && zone.ptr[3] == ':' &&
               read_digits(zone, 1, 2, &hours) && read_digits(zone, 4, 2, &minutes) && hours < 24 &&
               minutes < 60) {
        sign = zone.ptr[0] == '+' ? 1 : -1;
    }
    if (sign == 0) {
        error_set(err, "not an RFC 3339 time: \"%s\"", QUOTED(s));
        return ERR_INVALID;
    }

    int64_t seconds = utc_to_s(&t) - sign * (hours * 3600 + minutes * 60);
    int64_t total;
    if (__builtin_mul_overflow(seconds, (int64_t)NS_PER_S, &total) ||
        __builtin_add_overflow(total, ns, &total)) {
        error_set(err, "time is out of range: \"%s\"", QUOTED(s));
        return ERR_INVALID;
    }
    *out_ns = total;
    return OK;
}
