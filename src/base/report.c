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

void report_missing(struct report *r, const char *path)
{
    if (path != NULL)
        report_note(r, "\"%s\" does not exist yet and would be made", QUOTED(str_of(path)));
}
