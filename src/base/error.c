#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

static const char *const names[] = {
    [OK] = "ok",
    [ERR_NOMEM] = "no memory",
    [ERR_LIMIT] = "limit",
    [ERR_INVALID] = "invalid",
    [ERR_NOT_FOUND] = "not found",
    [ERR_EXISTS] = "exists",
    [ERR_DENIED] = "denied",
    [ERR_IO] = "i/o",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_CANCELLED] = "cancelled",
    [ERR_INTERNAL] = "internal",
};

const char *status_name(enum status st)
{
    return (size_t)st < ARRAY_LEN(names) ? names[st] : "unknown";
}

/* vsnprintf() may cut a UTF-8 character in two: step back to its start. */
static void trim_to_character(char *text, size_t cap, int wanted)
{
    if (wanted < 0) {
        text[0] = '\0';
        return;
    }
    if ((size_t)wanted < cap)
        return;

    size_t len = cap - 1;
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
        start--;
    if (!utf8_is_valid(str_bytes(text + start, len - start)))
        text[start] = '\0';
}

PRINTF_LIKE(4, 0)
static void set_va(struct error *err, uint32_t line, uint32_t col, const char *format, va_list ap)
{
    int n = vsnprintf(err->text, sizeof(err->text), format, ap);
    trim_to_character(err->text, sizeof(err->text), n);
    err->line = line;
    err->col = col;
}

void error_set(struct error *err, const char *format, ...)
{
    if (err == NULL)
        return;
    va_list ap;
    va_start(ap, format);
    set_va(err, 0, 0, format, ap);
    va_end(ap);
}

void error_set_at(struct error *err, uint32_t line, uint32_t col, const char *format, ...)
{
    if (err == NULL)
        return;
    va_list ap;
    va_start(ap, format);
    set_va(err, line, col, format, ap);
    va_end(ap);
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (err == NULL)
        return;

    struct error old = *err;
    va_list ap;
    va_start(ap, format);
    set_va(err, old.line, old.col, format, ap);
    va_end(ap);

    size_t len = strlen(err->text);
    int n = snprintf(err->text + len, sizeof(err->text) - len, "%s", old.text);
    trim_to_character(err->text + len, sizeof(err->text) - len, n);
}

void error_place(struct error *err)
{
    if (err == NULL || err->line == 0)
        return;
    error_prefix(err, "line %u, column %u: ", err->line, err->col);
    err->line = err->col = 0; /* it is in the text now */
}

enum status error_nomem(struct error *err)
{
    error_set(err, "out of memory");
    return ERR_NOMEM;
}

enum status error_errno(struct error *err, int errnum, const char *format, ...)
{
    if (err == NULL)
        return ERR_IO;

    va_list ap;
    va_start(ap, format);
    set_va(err, 0, 0, format, ap);
    va_end(ap);

    size_t len = strlen(err->text);
    char why[128];
    const char *text = strerror_r(errnum, why, sizeof(why));
    int n = snprintf(err->text + len, sizeof(err->text) - len, ": %s", text);
    trim_to_character(err->text + len, sizeof(err->text) - len, n);
    return ERR_IO;
}

const char *quote(struct str s, struct quoted *out)
{
    static const char hex[] = "0123456789abcdef";
    char *w = out->text;
    size_t i = 0;

    while (i < s.len) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, i), &rune);
        if (i + (n == 0 ? 1 : n) > QUOTE_MAX) /* a character is shown whole or not at all */
            break;
        if (n > 0 && rune_is_visible(rune) && rune != '"' && rune != '\\') {
            memcpy(w, s.ptr + i, n);
            w += n;
            i += n;
            continue;
        }
        for (size_t end = i + (n == 0 ? 1 : n); i < end; i++) {
            unsigned char c = (unsigned char)s.ptr[i];
            *w++ = '\\';
            *w++ = 'x';
            *w++ = hex[c >> 4];
            *w++ = hex[c & 15];
        }
    }
    if (i < s.len) {
        memcpy(w, "...", 3);
        w += 3;
    }
    *w = '\0';
    return out->text;
}
