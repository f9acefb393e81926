/*
 * The static type checker: programs of our own with what OPA reports of them
 * (tests/data/rego/types.txt, made by tools/rego-types-peer).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "rego/rego.h"
#include "tap.h"

#define ARROW "  =>  "
#define LINE_END " \xe2\x8f\x8e "

static struct str source(struct str text, struct buf *out)
{
    buf_add_cstr(out, "package t\n");
    for (size_t i = 0; i < text.len;) {
        if (str_has_prefix(str_from(text, i), STR(LINE_END))) {
            buf_add_byte(out, '\n');
            i += strlen(LINE_END);
        } else {
            buf_add_byte(out, text.ptr[i++]);
        }
    }
    buf_add_byte(out, '\n');
    return buf_str(out);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* "rego_type_error 2, rego_type_error 3" in order of text, each once; "ok". */
static void verdict(struct str text, struct buf *out)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 65536);
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(NULL);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    enum status st = rego_compiler_add_version(c, STR("t.rego"), source(text, &b), REGO_V1);
    if (st == OK)
        st = rego_compiler_finish(c, &policy);
    struct rego_errors errors = rego_compiler_errors(c);
    char lines[10][64];
    size_t n = 0;
    for (size_t i = 0; i < errors.len && n < ARRAY_LEN(lines); i++)
        snprintf(lines[n++], sizeof(lines[0]), "%s %u", errors.items[i].code,
                 (unsigned)errors.items[i].row);
    qsort(lines, n, sizeof(lines[0]), by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(lines[i], lines[i - 1]) != 0)
            buf_add_format(out, "%s%s", out->len == 0 ? "" : ", ", lines[i]);
    if (st == OK)
        buf_add_cstr(out, "ok");
}

/* Programs where ours says something else, and why. */
static const struct {
    const char *program, *why;
} exceptions[] = {
    {"p := $\"{1 + \"a\"}\"", "OPA does not tell the row of an error in a template string"},
    {"q[x] := 1 if input[x] \xe2\x8f\x8e r := 0 if input.a \xe2\x8f\x8e r := q if input.b "
     "\xe2\x8f\x8e "
     "r := {x: \"s\" | input[x]} if input.c \xe2\x8f\x8e p if { r; q.x == \"a\" }",
     "OPA joins what r may be into the type that q and r share"},
};

static bool is_exception(struct str program)
{
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        if (str_is(program, exceptions[i].program))
            return true;
    return false;
}

static void test_programs(void)
{
    CLEANUP(buf_done) struct buf text, got;
    buf_init(&text, 1 << 20);
    buf_init(&got, 65536);
    struct error err = ERROR_INIT;
    enum status st = file_read(tap_source("tests/data/rego/types.txt"), &text, &err);
    CHECK_STATUS(st, OK, &err);
    size_t programs = 0;
    for (size_t at = 0; at < text.len;) {
        size_t end = str_find(buf_str(&text), '\n', at);
        struct str line = str_slice(buf_str(&text), at, end - at);
        at = end + 1;
        const char *arrow = memmem(line.ptr, line.len, ARROW, strlen(ARROW));
        if (arrow == NULL || line.ptr[0] == '#')
            continue;
        size_t n = (size_t)(arrow - line.ptr);
        struct str program = str_slice(line, 0, n);
        programs++;
        if (is_exception(program))
            continue;
        buf_reset(&got);
        verdict(program, &got);
        char row[512];
        snprintf(row, sizeof(row), "%.*s", STR_ARG(program));
        CHECK_STR_ROW(buf_str(&got), str_from(line, n + strlen(ARROW)), row);
    }
    CHECK(programs >= 200);
}

/* A chain of rules, each with the one before inside, must not make types without end. */
static void test_deep_types(void)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_cstr(&b, "package t\np0 := [1]\n");
    for (int i = 1; i < 2000; i++)
        buf_add_format(&b, "p%d := [p%d, p%d]\n", i, i - 1, i - 1);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(rego_compile_text(STR("t.rego"), buf_str(&b), NULL, &policy, &err), OK, &err);
}

int main(void)
{
    test_programs();
    test_deep_types();
    return tap_done();
}
