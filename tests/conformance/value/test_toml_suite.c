/*
 * toml-test, the list files-toml-1.0.0: valid documents against their tagged
 * JSON, invalid ones refused with a position.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "tap.h"
#include "value/document.h"
#include "value/json.h"
#include "value/number.h"

#define MEMORY (64u << 20)

static bool read_suite_file(struct str name, struct buf *out)
{
    char relative[512];
    snprintf(relative, sizeof(relative), "conformance/toml/tests/%.*s", STR_ARG(name));
    const char *path = tap_shared(relative);
    struct error err = ERROR_INIT;
    return path != NULL && CHECK_STATUS_ROW(file_read(path, out, &err), OK, &err, relative);
}

/* A date or time without the zeros at the end of its fraction: ".600" is ".6". */
static struct str without_zeros(struct arena *a, struct str s)
{
    size_t point = str_find(s, '.', 0);
    size_t end = point;
    while (end < s.len && (end == point || (s.ptr[end] >= '0' && s.ptr[end] <= '9')))
        end++;
    size_t keep = end;
    while (keep > point && (s.ptr[keep - 1] == '0' || s.ptr[keep - 1] == '.'))
        keep--;
    return arena_format(a, "%.*s%.*s", STR_ARG(str_slice(s, 0, keep)), STR_ARG(str_from(s, end)));
}

static bool same_scalar(struct arena *a, struct str type, struct str got, struct str want)
{
    if (str_is(type, "float") && number_is_valid(got) && number_is_valid(want))
        return number_double(value_number(a, got)) == number_double(value_number(a, want));
    if (str_has_prefix(type, STR("datetime")) || str_is(type, "time-local"))
        return str_equal(without_zeros(a, got), without_zeros(a, want));
    return str_equal(got, want);
}

static bool is_scalar(value v)
{
    return value_is_object(v) && value_len(v) == 2 && value_is_string(value_get_lit(v, "type")) &&
           value_is_string(value_get_lit(v, "value"));
}

static bool same(struct arena *a, value got, value want)
{
    if (is_scalar(got) && is_scalar(want)) {
        struct str type = value_str(value_get_lit(got, "type"));
        return str_equal(type, value_str(value_get_lit(want, "type"))) &&
               same_scalar(a, type, value_str(value_get_lit(got, "value")),
                           value_str(value_get_lit(want, "value")));
    }
    if (value_kind(got) != value_kind(want) || value_len(got) != value_len(want))
        return false;
    if (value_is_array(got)) {
        for (size_t i = 0; i < value_len(got); i++)
            if (!same(a, value_at(got, i), value_at(want, i)))
                return false;
        return true;
    }
    for (size_t i = 0; i < value_len(got); i++) {
        const struct value_pair *p = &value_pairs(got)[i];
        if (!same(a, p->val, value_get(want, p->key)))
            return false;
    }
    return value_is_object(got);
}

static void test_valid(struct str name)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    CLEANUP(buf_done) struct buf text;
    CLEANUP(buf_done) struct buf json;
    buf_init(&text, 1 << 20);
    buf_init(&json, 1 << 20);
    struct str row = arena_str(&a, name);
    struct str json_name = arena_format(&a, "%.*sjson", STR_ARG(str_slice(name, 0, name.len - 4)));
    if (!read_suite_file(name, &text) || !read_suite_file(json_name, &json))
        return;

    value want = VALUE_UNDEFINED;
    value got = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(&a, buf_str(&json), NULL, &want, &err), OK, &err, row.ptr);
    CHECK_STATUS_ROW(toml_parse_tagged(&a, buf_str(&text), &got, &err), OK, &err, row.ptr);
    if (!CHECK_ROW(same(&a, got, want), row.ptr))
        printf("# got  %s\n# want %s\n", json_text(&a, got, JSON_COMPACT).ptr,
               json_text(&a, want, JSON_COMPACT).ptr);

    /* plain: only nan and inf have no form */
    struct positions positions;
    enum status st = toml_parse(&a, buf_str(&text), &got, &positions, &err);
    bool special = strstr(err.text, "cannot be represented") != NULL;
    CHECK_STATUS_ROW(st, special ? ERR_INVALID : OK, &err, row.ptr);
}

static void test_invalid(struct str name)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    struct str row = arena_str(&a, name);
    if (!read_suite_file(name, &text))
        return;

    value got = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(toml_parse_tagged(&a, buf_str(&text), &got, &err), ERR_INVALID, &err, row.ptr);
    CHECK_ROW(!value_is_defined(got) && err.line > 0 && err.col > 0, row.ptr);
    CHECK_STATUS_ROW(toml_parse(&a, buf_str(&text), &got, NULL, &err), ERR_INVALID, &err, row.ptr);
}

int main(void)
{
    CLEANUP(buf_done) struct buf list;
    buf_init(&list, 1 << 20);
    if (!read_suite_file(STR("files-toml-1.0.0"), &list))
        return tap_done();

    size_t valid = 0;
    size_t invalid = 0;
    for (size_t at = 0; at < list.len;) {
        size_t end = str_find(buf_str(&list), '\n', at);
        struct str name = str_slice(buf_str(&list), at, end - at);
        at = end + 1;
        if (!str_has_suffix(name, STR(".toml")))
            continue;
        if (str_has_prefix(name, STR("valid/"))) {
            test_valid(name);
            valid++;
        } else {
            test_invalid(name);
            invalid++;
        }
    }
    printf("# %zu valid, %zu invalid\n", valid, invalid);
    CHECK(valid > 200 && invalid > 400);
    return tap_done();
}
