/*
 * Lines that an evaluation reached, as OPA's report: by file, each line once,
 * neighbours as one range.
 */
#include "regotool/regotool_internal.h"

#include <stdlib.h>

#include "value/json.h"

struct line {
    struct str file;
    uint32_t row;
    bool covered;
};

struct lines {
    struct line *items;
    size_t len, cap;
    bool no_memory;
};

static void add_line(void *user, struct str file, uint32_t row, bool covered)
{
    struct lines *l = user;
    if (file.len == 0) /* the query's own */
        return;
    if (l->len == l->cap) {
        size_t cap = l->cap == 0 ? 256 : l->cap * 2;
        struct line *more = realloc(l->items, cap * sizeof(*more));
        if (more == NULL) {
            l->no_memory = true;
            return;
        }
        l->items = more;
        l->cap = cap;
    }
    l->items[l->len++] = (struct line){file, row, covered};
}

static int by_line(const void *x, const void *y)
{
    const struct line *a = x;
    const struct line *b = y;
    int c = str_compare(a->file, b->file);
    return c != 0 ? c : a->row < b->row ? -1 : a->row > b->row;
}

/* Each line once, covered when anything of it was. */
static void merge_lines(struct lines *l)
{
    size_t n = 0;
    if (l->len > 0)
        qsort(l->items, l->len, sizeof(*l->items), by_line);
    for (size_t i = 0; i < l->len; i++) {
        if (n > 0 && by_line(&l->items[n - 1], &l->items[i]) == 0)
            l->items[n - 1].covered |= l->items[i].covered;
        else
            l->items[n++] = l->items[i];
    }
    l->len = n;
}

static double percent_of(size_t part, size_t whole)
{
    return whole == 0 ? 100.0 : (double)part * 100.0 / (double)whole;
}

static void add_row(struct json_writer *w, const char *key, uint32_t row)
{
    json_key(w, key);
    json_object_begin(w);
    json_key(w, "row");
    json_int(w, row);
    json_object_end(w);
}

static void add_ranges(struct json_writer *w, const struct line *lines, size_t len, bool covered,
                       const char *key)
{
    bool any = false;
    for (size_t i = 0; i < len; i++) {
        if (lines[i].covered != covered)
            continue;
        size_t end = i;
        while (end + 1 < len && lines[end + 1].covered == covered &&
               lines[end + 1].row == lines[end].row + 1)
            end++;
        if (!any) {
            json_key(w, key);
            json_array_begin(w);
        }
        any = true;
        json_object_begin(w);
        add_row(w, "start", lines[i].row);
        add_row(w, "end", lines[end].row);
        json_object_end(w);
        i = end;
    }
    if (any)
        json_array_end(w);
}

static size_t covered_in(const struct line *lines, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += lines[i].covered;
    return n;
}

static void add_counts(struct json_writer *w, const struct line *lines, size_t len)
{
    char text[32];
    size_t covered = covered_in(lines, len);
    json_key(w, "covered_lines");
    json_int(w, (int64_t)covered);
    if (len > covered) {
        json_key(w, "not_covered_lines");
        json_int(w, (int64_t)(len - covered));
    }
    snprintf(text, sizeof(text), "%.4g", percent_of(covered, len));
    json_key(w, "coverage");
    json_raw(w, str_of(text));
}

STATUS tool_write_coverage(struct json_writer *w, const struct rego_ctx *ctx,
                           const struct rego_policy *policy, double *percent)
{
    struct lines l = {0};
    rego_ctx_coverage(ctx, policy, add_line, &l);
    merge_lines(&l);
    json_object_begin(w);
    json_key(w, "files");
    json_object_begin(w);
    for (size_t i = 0; i < l.len;) {
        size_t end = i;
        while (end < l.len && str_equal(l.items[end].file, l.items[i].file))
            end++;
        json_key_str(w, l.items[i].file);
        json_object_begin(w);
        add_ranges(w, l.items + i, end - i, true, "covered");
        add_ranges(w, l.items + i, end - i, false, "not_covered");
        add_counts(w, l.items + i, end - i);
        json_object_end(w);
        i = end;
    }
    json_object_end(w);
    add_counts(w, l.items, l.len);
    json_object_end(w);
    *percent = percent_of(covered_in(l.items, l.len), l.len);
    free(l.items);
    return l.no_memory ? ERR_NOMEM : OK;
}
