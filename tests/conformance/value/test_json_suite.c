/*
 * JSONTestSuite (nst): y_ accepted, n_ refused, i_ as ../shared's manifest
 * decides; and what the reader makes of the texts of test_transform.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "tap.h"
#include "value/json.h"

#define MEMORY (64u << 20)

/* Refuse bad UTF-8, lone surrogates and byte-order marks; any number within the digit limit is
 * fine. */
static enum status expected(struct str name)
{
    static const char *const past_limits[] = {"i_number_huge_exp.json",
                                              "i_number_real_underflow.json",
                                              "i_structure_500_nested_arrays.json"};
    for (size_t i = 0; i < ARRAY_LEN(past_limits); i++)
        if (str_is(name, past_limits[i]))
            return ERR_LIMIT;
    if (str_has_prefix(name, STR("y_")) || str_has_prefix(name, STR("i_number_")))
        return OK;
    return ERR_INVALID;
}

/* Texts that are wrong only far behind the depth limit. */
static bool is_deep(struct str name)
{
    return str_is(name, "n_structure_100000_opening_arrays.json") ||
           str_is(name, "n_structure_open_array_object.json");
}

static void parse_file(const char *dir, const char *name)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    struct str path = arena_format(&a, "%s/%s", dir, name);
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(file_read(path.ptr, &text, &err), OK, &err, name);

    value v = VALUE_UNDEFINED;
    bool refuses_duplicates = strstr(name, "duplicated_key") != NULL;
    struct json_options last = {.duplicates = JSON_DUP_LAST};
    enum status st = json_parse(&a, buf_str(&text), refuses_duplicates ? &last : NULL, &v, &err);
    CHECK_STATUS_ROW(st, is_deep(str_of(name)) ? ERR_LIMIT : expected(str_of(name)), &err, name);
    if (st != OK) {
        CHECK_ROW(err.line > 0 && err.col > 0 && err.text[0] != '\0', name);
        return;
    }
    if (refuses_duplicates)
        CHECK_ROW(json_parse(&a, buf_str(&text), NULL, &v, &err) == ERR_INVALID, name);

    /* what is written reads back as the same value */
    struct str out = json_text(&a, v, JSON_COMPACT);
    value again = VALUE_UNDEFINED;
    CHECK_STATUS_ROW(json_parse(&a, out, NULL, &again, &err), OK, &err, name);
    CHECK_ROW(value_equal(v, again), name);
}

static void test_parsing(void)
{
    const char *dir = tap_shared("conformance/json/test_parsing");
    if (dir == NULL)
        return;
    char copy[4096];
    snprintf(copy, sizeof(copy), "%s", dir);
    struct dirent **entries;
    int n = scandir(copy, &entries, NULL, alphasort);
    int files = 0;
    for (int i = 0; i < n; i++) {
        if (str_has_suffix(str_of(entries[i]->d_name), STR(".json"))) {
            parse_file(copy, entries[i]->d_name);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    CHECK(files == 318);
}

static void test_transform(void)
{
    const struct {
        const char *file;
        const char *last; /* with the last duplicate winning; NULL: refused */
        bool strict;      /* accepted without that, too */
    } rows[] = {
        {"number_-9223372036854775808", "[-9223372036854775808]", true},
        {"number_-9223372036854775809", "[-9223372036854775809]", true},
        {"number_1.0", "[1.0]", true},
        {"number_1.000000000000000005", "[1.000000000000000005]", true},
        {"number_1000000000000000", "[1000000000000000]", true},
        {"number_10000000000000000999", "[10000000000000000999]", true},
        {"number_1e-999", "[1E-999]", true},
        {"number_1e6", "[1E6]", true},
        {"number_9223372036854775807", "[9223372036854775807]", true},
        {"number_9223372036854775808", "[9223372036854775808]", true},
        {"object_key_nfc_nfd", "{\"e\xcc\x81\":\"NFD\",\"\xc3\xa9\":\"NFC\"}", true},
        {"object_key_nfd_nfc", "{\"e\xcc\x81\":\"NFD\",\"\xc3\xa9\":\"NFC\"}", true},
        {"object_same_key_different_values", "{\"a\":2}", false},
        {"object_same_key_same_value", "{\"a\":1}", false},
        {"object_same_key_unclear_values", "{\"a\":-0}", false},
        {"string_1_escaped_invalid_codepoint", NULL, false},
        {"string_1_invalid_codepoint", NULL, false},
        {"string_2_escaped_invalid_codepoints", NULL, false},
        {"string_2_invalid_codepoints", NULL, false},
        {"string_3_escaped_invalid_codepoints", NULL, false},
        {"string_3_invalid_codepoints", NULL, false},
        {"string_with_escaped_NULL", "[\"A\\u0000B\"]", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 20);
        char relative[256];
        snprintf(relative, sizeof(relative), "conformance/json/test_transform/%s.json",
                 rows[i].file);
        const char *path = tap_shared(relative);
        if (path == NULL)
            return;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(file_read(path, &text, &err), OK, &err, rows[i].file);

        struct json_options last = {.duplicates = JSON_DUP_LAST};
        value v = VALUE_UNDEFINED;
        enum status st = json_parse(&a, buf_str(&text), &last, &v, &err);
        CHECK_STATUS_ROW(st, rows[i].last == NULL ? ERR_INVALID : OK, &err, rows[i].file);
        if (st == OK)
            CHECK_STR_ROW(json_text(&a, v, JSON_COMPACT), str_of(rows[i].last), rows[i].file);
        st = json_parse(&a, buf_str(&text), NULL, &v, &err);
        CHECK_STATUS_ROW(st, rows[i].strict ? OK : ERR_INVALID, &err, rows[i].file);
    }
}

int main(void)
{
    test_parsing();
    test_transform();
    return tap_done();
}
