#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define RULES_MAX 16
#define TARGET_MAX 64
#define MESSAGE_MAX 4096

enum log_format { LOG_TEXT, LOG_JSON };

static struct {
    enum log_format format;
    int fd;
    int base; /* level of targets without a rule; -1: off */
    size_t rule_count;
    struct {
        char target[TARGET_MAX];
        int level;
    } rules[RULES_MAX];
} state = {.fd = STDERR_FILENO, .base = LOG_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};
static const char *const level_labels[] = {"ERROR", " WARN", " INFO", "DEBUG", "TRACE"};

static bool parse_level(struct str s, int *out)
{
    if (s.len == 3 && strncasecmp(s.ptr, "off", 3) == 0) {
        *out = -1;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (s.len == strlen(level_names[i]) && strncasecmp(s.ptr, level_names[i], s.len) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

enum status log_init(const char *filter, struct error *err)
{
    state.base = LOG_INFO;
    state.rule_count = 0;
    if (filter == NULL)
        return OK;

    struct str rest = str_of(filter);
    while (rest.len > 0) {
        size_t comma = str_find(rest, ',', 0);
        struct str part = str_trim(str_slice(rest, 0, comma));
        rest = str_from(rest, comma + 1);
        if (part.len == 0)
            continue;

        size_t eq = str_find(part, '=', 0);
        int level = LOG_TRACE;
        bool bare = eq == part.len;
        if (bare && parse_level(part, &level)) {
            state.base = level;
            continue;
        }
        struct str target = str_slice(part, 0, eq);
        if ((!bare && !parse_level(str_from(part, eq + 1), &level)) || target.len == 0 ||
            target.len >= TARGET_MAX || state.rule_count == RULES_MAX) {
            error_set(err, "invalid log filter \"%s\"", QUOTED(part));
            return ERR_INVALID;
        }
        memcpy(state.rules[state.rule_count].target, target.ptr, target.len);
        state.rules[state.rule_count].target[target.len] = '\0';
        state.rules[state.rule_count].level = level;
        state.rule_count++;
    }
    return OK;
}

bool log_set_format(const char *name)
{
    static const char *const names[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            state.format = (enum log_format)i;
            return true;
        }
    }
    return false;
}

void log_set_fd(int fd)
{
    state.fd = fd;
}

bool log_enabled(enum log_level level, const char *target)
{
    int limit = state.base;
    size_t best = 0;
    for (size_t i = 0; i < state.rule_count; i++) {
        size_t n = strlen(state.rules[i].target);
        if (n >= best && strncmp(target, state.rules[i].target, n) == 0) {
            best = n;
            limit = state.rules[i].level;
        }
    }
    return (int)level <= limit;
}

/* How much of `s`, at most `max` bytes, is printable ASCII that stands for itself. */
static size_t plain_run(struct str s, size_t max, bool json)
{
    size_t n = 0, end = s.len < max ? s.len : max;
    while (n < end && s.ptr[n] >= 0x20 && s.ptr[n] < 0x7f &&
           !(json && (s.ptr[n] == '"' || s.ptr[n] == '\\')))
        n++;
    return n;
}

/* Append with control characters (and for JSON, quotes) escaped; returns the new length. */
static size_t add_escaped(char *line, size_t len, size_t cap, struct str s, bool json)
{
    for (size_t i = 0; i < s.len && len + 16 < cap;) {
        size_t run = plain_run(str_from(s, i), cap - len - 16, json);
        memcpy(line + len, s.ptr + i, run);
        len += run;
        i += run;
        if (i == s.len || len + 16 >= cap)
            break;

        uint32_t rune;
        size_t n = utf8_decode(str_from(s, i), &rune);
        unsigned char c = (unsigned char)s.ptr[i];
        if (n == 0) {
            len += (size_t)snprintf(line + len, cap - len, json ? "\\ufffd" : "\\x%02x", c);
            i++;
            continue;
        }
        if (!rune_is_visible(rune) && json)
            len += (size_t)snprintf(line + len, cap - len, "\\u%04x", rune);
        else if (!rune_is_visible(rune))
            for (size_t k = 0; k < n; k++)
                len +=
                    (size_t)snprintf(line + len, cap - len, "\\x%02x", (unsigned char)s.ptr[i + k]);
        else if (json && (c == '"' || c == '\\'))
            len += (size_t)snprintf(line + len, cap - len, "\\%c", c);
        else {
            memcpy(line + len, s.ptr + i, n);
            len += n;
        }
        i += n;
    }
    return len;
}

/* The parts of a line that stand before and after what was said. */
static size_t add_parts(char *line, size_t len, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t add = strlen(parts[i]);
        memcpy(line + len, parts[i], add);
        len += add;
    }
    return len;
}

void log_write(enum log_level level, const char *target, const char *format, ...)
{
    if (!log_enabled(level, target))
        return;

    char message[MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    if (n < 0)
        return;

    char when[TIME_RFC3339_US_LEN + 1];
    time_write_rfc3339_us(clock_now_ns(&clock_system), when);

    bool json = state.format == LOG_JSON;
    const char *const as_json[] = {
        "{\"timestamp\":\"", when,   "\",\"level\":\"",  level_names[level],
        "\",\"target\":\"",  target, "\",\"message\":\""};
    const char *const as_text[] = {when, " ", level_labels[level], " ", target, ": "};
    char line[MESSAGE_MAX * 2];
    size_t len = json ? add_parts(line, 0, as_json, ARRAY_LEN(as_json))
                      : add_parts(line, 0, as_text, ARRAY_LEN(as_text));
    len = add_escaped(line, len, sizeof(line) - 8, str_of(message), json);
    const char *const end[] = {json ? "\"}\n" : "\n"};
    len = add_parts(line, len, end, 1);

    /* Nothing sensible can be done about a log that cannot be written. */
    ssize_t written = write(state.fd, line, len);
    (void)written;
}
