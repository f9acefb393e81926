/*
 * The checked examples of ../shared/spec/rego.md, appendix B: expressions (B.1)
 * and modules (B.2), each with the result of a running OPA.  pending-spec.txt
 * lists lines that are not as the page says, pending-opa.txt functions that are
 * not there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "rego/rego.h"
#include "suite.h"
#include "tap.h"
#include "value/json.h"

#define ARROW "  =>  "
#define LINE_END "\xe2\x8f\x8e"

static struct arena arena;
static struct pending pending, missing;

static value parse(struct str text)
{
    value v = VALUE_UNDEFINED;
    struct json_options options = {.duplicates = JSON_DUP_LAST};
    return json_parse(&arena, text, &options, &v, NULL) == OK ? v : VALUE_UNDEFINED;
}

/* What a line gives: "1", "1 , 2", "undef", "ERROR code: message". */
static struct str error_text(const char *code, struct str message)
{
    struct str s = arena_format(&arena, "ERROR %s: %.*s", code, STR_ARG(message));
    char *p = (char *)(uintptr_t)s.ptr;
    for (size_t i = 0; i < s.len; i++)
        if (p[i] == '\n')
            p[i] = ' ';
    return s;
}

static struct str compile_error(struct rego_compiler *c, enum status st)
{
    struct rego_errors errors = rego_compiler_errors(c);
    if (errors.len == 0)
        return arena_format(&arena, "STATUS %s", status_name(st));
    return error_text(errors.items[0].code, errors.items[0].message);
}

static struct str results(value set, const char *binding, const char *separator)
{
    if (value_len(set) == 0)
        return STR("undef");
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < value_len(set); i++) {
        value bindings = value_get_lit(value_at(set, i), "bindings");
        value v = binding == NULL ? bindings : value_get_str(bindings, str_of(binding));
        if (i > 0)
            buf_add_cstr(&b, separator);
        status_ignore(json_write(&b, v, JSON_COMPACT));
    }
    struct str s = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return s;
}

/* Escapes of the page and ours may differ; "..." ends a text that was cut. */
static bool same(struct str got, struct str want)
{
    value x = parse(got);
    value y = parse(want);
    if (value_is_string(x) && value_is_string(y))
        return value_equal(x, y);
    if (str_has_suffix(want, STR("...")) && str_has_prefix(want, STR("ERROR")))
        return str_has_prefix(got, str_slice(want, 0, want.len - 3));
    return str_equal(got, want);
}

struct example {
    struct str modules[1];
    struct str query;
    const char *binding;
    value input, data;
    bool v0, strict;
};

static struct str evaluate(const struct example *x, const char *separator)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = x->v0 ? REGO_V0 : REGO_V1;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    enum status st =
        x->modules[0].len == 0 ? OK : rego_compiler_add(c, STR("t0.rego"), x->modules[0]);
    if (st == OK)
        st = rego_compiler_finish(c, &policy);
    if (st != OK)
        return compile_error(c, st);
    struct rego_eval params = {.policy = policy,
                               .input = x->input,
                               .data = x->data,
                               .strict_errors = x->strict,
                               .now_ns = 1700000000000000000};
    value set = VALUE_UNDEFINED;
    st = rego_eval_query(ctx, &params, x->query, &set);
    if (st != OK)
        return error_text(rego_ctx_error(ctx)->code, rego_ctx_error(ctx)->message);
    return results(set, x->binding, separator);
}

static void check(struct str line, struct str got, struct str want)
{
    char row[256];
    snprintf(row, sizeof(row), "%.*s", STR_ARG(line));
    bool listed = pending_line(&pending, line);
    bool ok = same(got, want);
    if (ok || (!listed && !pending_names(&missing, line)))
        CHECK_STR_ROW(ok ? want : got, want, row);
    CHECK_ROW(!(ok && listed), row);
}

static void check_expression(struct str line, struct str expression, struct str want)
{
    struct example x = {
        .query = arena_format(&arena, "x := %.*s", STR_ARG(expression)),
        .binding = "x",
        .input = parse(STR("{\"a\": [10, 20], \"o\": {\"1\": 5}, \"n\": 3}")),
        .data = VALUE_UNDEFINED,
        .strict = true,
    };
    check(line, evaluate(&x, " , "), want);
}

/* "(input {...}) (data {...}) (v0) (strict) [query] module text" */
static bool take_prefix(struct str *text, const char *open, char close, struct str *out)
{
    if (!str_has_prefix(*text, str_of(open)))
        return false;
    size_t depth = 0;
    for (size_t i = 0; i < text->len; i++) {
        char ch = text->ptr[i];
        if (ch == open[0])
            depth++;
        if (ch == close && --depth == 0) {
            *out = str_slice(*text, strlen(open), i - strlen(open));
            *text = str_from(*text, i + 1);
            if (text->len > 0 && text->ptr[0] == ' ')
                *text = str_from(*text, 1);
            return true;
        }
    }
    return false;
}

static struct str with_lines(struct str text)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_add_cstr(&b, "package t\n");
    for (size_t i = 0; i < text.len;) {
        if (str_has_prefix(str_from(text, i), STR(" " LINE_END " "))) {
            buf_add_byte(&b, '\n');
            i += strlen(" " LINE_END " ");
        } else if (str_has_prefix(str_from(text, i), STR(LINE_END))) {
            buf_add_byte(&b, '\n');
            i += strlen(LINE_END);
        } else {
            buf_add_byte(&b, text.ptr[i++]);
        }
    }
    buf_add_byte(&b, '\n');
    struct str s = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static void check_module(struct str line, struct str text, struct str want)
{
    struct example x = {.input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED};
    struct str query = STR("data.t.p");
    struct str part;
    for (bool more = true; more;) {
        more = false;
        if (take_prefix(&text, "(input ", ')', &part))
            x.input = parse(part), more = true;
        else if (take_prefix(&text, "(data ", ')', &part))
            x.data = parse(part), more = true;
        else if (take_prefix(&text, "(v0", ')', &part))
            x.v0 = more = true;
        else if (take_prefix(&text, "(strict", ')', &part))
            x.strict = more = true;
        else if (take_prefix(&text, "[data", ']', &part)) {
            query = arena_format(&arena, "data%.*s", STR_ARG(part));
            more = true;
        }
    }
    x.modules[0] = with_lines(text);
    bool loops = str_has_suffix(query, STR("[k]"));
    x.query = loops ? query : arena_format(&arena, "x := %.*s", STR_ARG(query));
    x.binding = loops ? NULL : "x";
    check(line, evaluate(&x, " ; "), want);
}

static void run_section(struct str text, const char *title,
                        void (*each)(struct str, struct str, struct str))
{
    const char *at = memmem(text.ptr, text.len, title, strlen(title));
    CHECK(at != NULL);
    if (at == NULL)
        return;
    struct str rest = str_from(text, (size_t)(at - text.ptr));
    size_t open = (size_t)((const char *)memmem(rest.ptr, rest.len, "\n```\n", 5) - rest.ptr) + 5;
    rest = str_from(rest, open);
    const char *end = memmem(rest.ptr, rest.len, "\n```", 4);
    rest = str_slice(rest, 0, end == NULL ? rest.len : (size_t)(end - rest.ptr));
    for (size_t i = 0; i < rest.len;) {
        size_t eol = str_find(rest, '\n', i);
        struct str line = str_slice(rest, i, eol - i);
        i = eol + 1;
        const char *arrow = memmem(line.ptr, line.len, ARROW, strlen(ARROW));
        if (arrow == NULL)
            continue;
        arena_reset(&arena);
        size_t n = (size_t)(arrow - line.ptr);
        each(line, str_slice(line, 0, n), str_from(line, n + strlen(ARROW)));
    }
}

int main(void)
{
    const char *path = tap_shared("spec/rego.md");
    if (path == NULL)
        return tap_done();
    arena_init(&arena, 64 << 20);
    pending_load(&pending, tap_source("tests/conformance/rego/pending-spec.txt"));
    pending_load(&missing, tap_source("tests/conformance/rego/pending-opa.txt"));
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 8 << 20);
    struct error err = ERROR_INIT;
    enum status st = file_read(path, &b, &err);
    CHECK_STATUS(st, OK, &err);
    if (st == OK) {
        run_section(buf_str(&b), "## B.1 Expressions", check_expression);
        run_section(buf_str(&b), "## B.2 Modules", check_module);
    }
    arena_done(&arena);
    pending_done(&pending);
    pending_done(&missing);
    return tap_done();
}
