/*
 * The examples in tests/data/rego/, one a line: expression => result.
 * Results were checked against OPA 1.20; # begins a comment.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "harness.h"
#include "tap.h"

#define ARROW "  =>  "
#define MALLOC_SWEEP 40 /* allocations that fail, one after the other */

/* "..." at the end of a wanted error stands for any rest. */
static bool matches(struct str got, struct str want)
{
    if (str_has_suffix(want, STR("...")) && str_has_prefix(want, STR("ERROR ")))
        return str_has_prefix(got, str_slice(want, 0, want.len - 3));
    return str_equal(got, want);
}

/*
 * Under a limit a function gives what it gives without, or REGO_FATAL: running
 * out of something must never look like another answer of the policy.
 */
static const struct limit {
    const char *name;
    uint64_t steps_max;
    size_t output_max;
    size_t call_memory;
} limits[] = {
    {"1 step", 1, SIZE_MAX, SIZE_MAX},
    {"10 steps", 10, SIZE_MAX, SIZE_MAX},
    {"100 steps", 100, SIZE_MAX, SIZE_MAX},
    {"8 bytes of output", UINT64_MAX, 8, SIZE_MAX},
    {"no memory", UINT64_MAX, SIZE_MAX, 0},
    {"16 bytes of memory", UINT64_MAX, SIZE_MAX, 16},
    {"32 bytes of memory", UINT64_MAX, SIZE_MAX, 32},
    {"48 bytes of memory", UINT64_MAX, SIZE_MAX, 48},
    {"64 bytes of memory", UINT64_MAX, SIZE_MAX, 64},
    {"96 bytes of memory", UINT64_MAX, SIZE_MAX, 96},
    {"128 bytes of memory", UINT64_MAX, SIZE_MAX, 128},
    {"192 bytes of memory", UINT64_MAX, SIZE_MAX, 192},
    {"256 bytes of memory", UINT64_MAX, SIZE_MAX, 256},
    {"512 bytes of memory", UINT64_MAX, SIZE_MAX, 512},
    {"1 KiB of memory", UINT64_MAX, SIZE_MAX, 1024},
    {"3 KiB of memory", UINT64_MAX, SIZE_MAX, 3072},
};

static bool same_or_fatal(const struct limit *l, struct str expression, struct str want,
                          struct str *got, struct arena *a)
{
    struct harness h;
    harness_init(&h);
    if (l->steps_max < h.steps_max)
        h.steps_max = l->steps_max;
    if (l->output_max < h.output_max)
        h.output_max = l->output_max;
    h.call_memory = l->call_memory;
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = harness_eval(&h, expression, &v);
    *got = harness_text(&h, o, v, a);
    harness_done(&h);
    return o == REGO_FATAL || str_equal(*got, want);
}

static void check_limits(struct str expression, struct str want, const char *row, struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct str got;
        if (same_or_fatal(&limits[i], expression, want, &got, a))
            continue;
        char text[480];
        snprintf(text, sizeof(text), "%s: %s", limits[i].name, row);
        CHECK_STR_ROW(got, want, text);
    }
}

/* The same for malloc() of what does not come from the arena: buffers, caches, OpenSSL. */
static void check_failing_malloc(struct str expression, struct str want, const char *row,
                                 struct arena *a)
{
    for (long n = 1; n <= MALLOC_SWEEP; n++) {
        struct harness h;
        harness_init(&h);
        value v = VALUE_UNDEFINED;
        tap_fail_malloc_after(n);
        enum rego_outcome o = harness_eval(&h, expression, &v);
        tap_fail_malloc_after(0);
        struct str got = harness_text(&h, o, v, a);
        harness_done(&h);
        if (o == REGO_FATAL || str_equal(got, want))
            continue;
        char text[480];
        snprintf(text, sizeof(text), "malloc %ld: %s", n, row);
        CHECK_STR_ROW(got, want, text);
    }
}

/* RE2 throws, and its library is not made to leave everything tidy then. */
static bool uses_regex(struct str expression)
{
    return str_has_prefix(expression, STR("regex.")) || str_has_prefix(expression, STR("re_")) ||
           memmem(expression.ptr, expression.len, "_schema(", 8) != NULL;
}

static void check_line(struct str line)
{
    const char *arrow = memmem(line.ptr, line.len, ARROW, strlen(ARROW));
    if (line.len == 0 || line.ptr[0] == '#' || arrow == NULL)
        return;
    struct str expression = str_slice(line, 0, (size_t)(arrow - line.ptr));
    struct str want = str_from(line, expression.len + strlen(ARROW));

    struct harness h;
    harness_init(&h);
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = harness_eval(&h, expression, &v);
    struct str got = harness_text(&h, o, v, &h.arena);
    char row[400];
    snprintf(row, sizeof(row), "%.*s", STR_ARG(expression));
    if (matches(got, want))
        CHECK_ROW(true, row);
    else
        CHECK_STR_ROW(got, want, row);
    check_limits(expression, got, row, &h.arena);
    if (!uses_regex(expression))
        check_failing_malloc(expression, got, row, &h.arena);
    harness_done(&h);
}

static void test_examples(const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "tests/data/rego/%s.txt", name);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 << 20);
    struct error err = ERROR_INIT;
    enum status st = file_read(tap_source(path), &b, &err);
    CHECK_STATUS(st, OK, &err);
    struct str text = buf_str(&b);
    for (size_t at = 0; st == OK && at < text.len;) {
        size_t end = str_find(text, '\n', at);
        check_line(str_slice(text, at, end - at));
        at = end + 1;
    }
}

static void test_table(void)
{
    size_t n = 0;
    const struct rego_builtin *table = rego_builtin_table(&n);
    bool sorted = true;
    for (size_t i = 1; i < n; i++)
        sorted = sorted && strcmp(table[i - 1].name, table[i].name) < 0;
    CHECK(sorted);
    CHECK(n >= 206);
}

int main(void)
{
    static const char *const files[] = {"spec",     "number",   "string", "object", "encoding",
                                        "time",     "document", "crypto", "x509",   "yaml",
                                        "template", "schema",   "differs"};
    test_table();
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        test_examples(files[i]);
    return tap_done();
}
