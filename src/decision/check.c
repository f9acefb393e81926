#include "decision/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/encode.h"

static const char *const names[] = {
    [CHECK_NONE] = "none",
#define CHECK_NAME(id, name) [CHECK_##id] = (name),
#include "decision/checks.def"
#undef CHECK_NAME
};

const char *check_name(enum check_id id)
{
    return (size_t)id < ARRAY_LEN(names) ? names[id] : "none";
}

enum check_id check_by_name(struct str name)
{
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return (enum check_id)i;
    return CHECK_NONE;
}

void checks_init(struct checks *c, struct arena *arena)
{
    *c = (struct checks){.arena = arena,
                         .reason = {.expected = VALUE_UNDEFINED, .actual = VALUE_UNDEFINED}};
}

static void record(struct checks *c, enum check_id id, enum check_outcome outcome, struct str why)
{
    if (c->len == c->cap) {
        size_t cap = c->cap == 0 ? 32 : c->cap * 2;
        struct check *items =
            cap > CHECKS_MAX ? NULL : arena_new_array(c->arena, struct check, cap);
        if (items == NULL)
            return; /* the arena remembers; the caller's next allocation fails */
        if (c->len > 0)
            memcpy(items, c->items, c->len * sizeof(*items));
        c->items = items;
        c->cap = cap;
    }
    c->items[c->len++] = (struct check){id, outcome, why};
}

void check_passed(struct checks *c, enum check_id id)
{
    if (c != NULL)
        record(c, id, CHECK_PASSED, STR_EMPTY);
}

void check_skipped(struct checks *c, enum check_id id, const char *format, ...)
{
    if (c == NULL)
        return;
    char text[ERROR_TEXT_MAX];
    const char *why = format;
    if (strchr(format, '%') != NULL) { /* most reasons are plain text, and printing costs */
        va_list ap;
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        why = text;
    }
    record(c, id, CHECK_SKIPPED, arena_str(c->arena, str_of(why)));
}

enum status check_failed(struct checks *c, struct error *err, enum check_id id, const char *field,
                         value expected, value actual, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    error_set(err, "%s", text);

    if (c != NULL) {
        record(c, id, CHECK_FAILED, STR_EMPTY);
        if (c->reason.check == CHECK_NONE)
            c->reason = (struct reason){id, arena_str(c->arena, str_of(field)), expected, actual,
                                        arena_str(c->arena, str_of(text))};
    }
    return ERR_DENIED;
}

value check_hex(struct checks *c, struct str bytes)
{
    if (c == NULL)
        return VALUE_UNDEFINED;
    struct str hex = hex_text(c->arena, bytes);
    return hex.ptr == NULL ? VALUE_UNDEFINED : value_string(c->arena, hex);
}
