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

/* "..." at the end of a wanted error stands for any rest. */
static bool matches(struct str got, struct str want)
{
    if (str_has_suffix(want, STR("...")) && str_has_prefix(want, STR("ERROR ")))
        return str_has_prefix(got, str_slice(want, 0, want.len - 3));
    return str_equal(got, want);
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
    struct str got = harness_line(&h, expression);
    char row[400];
    snprintf(row, sizeof(row), "%.*s", STR_ARG(expression));
    if (matches(got, want))
        CHECK_ROW(true, row);
    else
        CHECK_STR_ROW(got, want, row);
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
    CHECK(n > 100);
}

int main(void)
{
    static const char *const files[] = {"spec",   "number",   "string",
                                        "object", "encoding", "time", "document", "crypto", "x509", "yaml", "template", "schema", "differs"};
    test_table();
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        test_examples(files[i]);
    return tap_done();
}
