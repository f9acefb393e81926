#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

void report_init(struct report *r)
{
    buf_init(&r->troubles, REPORT_MAX);
    buf_init(&r->notes, REPORT_MAX);
}

void report_done(struct report *r)
{
    buf_done(&r->troubles);
    buf_done(&r->notes);
}

PRINTF_LIKE(3, 0)
static void add(struct buf *lines, const char *head, const char *format, va_list ap)
{
    char text[ERROR_TEXT_MAX];
    vsnprintf(text, sizeof(text), format, ap);
    buf_add(lines, str_of(head));
    buf_add(lines, str_of(text));
    buf_add(lines, STR("\n"));
}

void report_trouble(struct report *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add(&r->troubles, "Error: ", format, ap);
    va_end(ap);
}

void report_note(struct report *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add(&r->notes, "", format, ap);
    va_end(ap);
}

/* Whether the line from `from` on stands before it, too. */
static bool is_repeated(struct str lines, size_t from)
{
    struct str line = str_from(lines, from);
    for (size_t i = 0, end; i < from; i = end) {
        const char *nl = memchr(lines.ptr + i, '\n', from - i);
        end = nl == NULL ? from : (size_t)(nl - lines.ptr) + 1;
        if (str_equal(str_slice(lines, i, end - i), line))
            return true;
    }
    return false;
}

void report_missing(struct report *r, const char *path)
{
    if (path == NULL)
        return;
    size_t from = r->notes.len;
    report_note(r, "\"%s\" does not exist yet and would be made", QUOTED(str_of(path)));
    if (is_repeated(buf_str(&r->notes), from))
        r->notes.len = from;
}
