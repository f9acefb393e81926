#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "tap.h"
#include "value/json.h"

#define MEMORY (64u << 20)

static void test_read(void)
{
    const struct {
        const char *name;
        struct str text;
        enum status want;
        uint32_t line, col;
        const char *error; /* or the compact text */
    } rows[] = {
        {"scalars", STR(" [null,true,false,0,-1,1.50,1e3,\"x\"] "), OK, 0, 0,
         "[null,true,false,0,-1,1.50,1e3,\"x\"]"},
        {"order", STR("{\"b\":1,\"a\":{},\"c\":[]}"), OK, 0, 0, "{\"a\":{},\"b\":1,\"c\":[]}"},
        {"top-level scalar", STR("\"a\""), OK, 0, 0, "\"a\""},
        {"largest small", STR("[4611686018427387903,-4611686018427387904]"), OK, 0, 0,
         "[4611686018427387903,-4611686018427387904]"},
        {"escapes", STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\ud83d\\ude00\\u0000\""), OK, 0,
         0, "\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa4\xf0\x9f\x98\x80\\u0000\""},
        {"long string with escape", STR("\"0123456789abcdef\\n0123456789abcdef\""), OK, 0, 0,
         "\"0123456789abcdef\\n0123456789abcdef\""},
        {"empty", STR(""), ERR_INVALID, 1, 1, "unexpected end of text, expected a value"},
        {"blank", STR(" \n "), ERR_INVALID, 2, 2, "unexpected end of text, expected a value"},
        {"two values", STR("1 2"), ERR_INVALID, 1, 3,
         "unexpected \"2\", expected the end of the text"},
        {"form feed", STR("\f1"), ERR_INVALID, 1, 1, "unexpected \"\\x0c\", expected a value"},
        {"byte-order mark", STR("\xef\xbb\xbf{}"), ERR_INVALID, 1, 1,
         "unexpected \"\xef\xbb\xbf\", expected a value"},
        {"missing comma", STR("[1\n 2]"), ERR_INVALID, 2, 2,
         "unexpected \"2\", expected \",\" or \"]\""},
        {"trailing comma", STR("[1,]"), ERR_INVALID, 1, 4, "unexpected \"]\", expected a value"},
        {"wrong bracket", STR("[1}"), ERR_INVALID, 1, 3,
         "unexpected \"}\", expected \",\" or \"]\""},
        {"number as key", STR("{1:2}"), ERR_INVALID, 1, 2, "unexpected \"1\", expected a key"},
        {"no colon", STR("{\"a\" 1}"), ERR_INVALID, 1, 6, "unexpected \"1\", expected \":\""},
        {"columns count characters", STR("{\"\xc3\xa4\xe2\x82\xac\":x}"), ERR_INVALID, 1, 7,
         "unexpected \"x\", expected a value"},
        {"control character", STR("\"a\tb\""), ERR_INVALID, 1, 3,
         "unexpected \"\\x09\", expected the end of the string"},
        {"unfinished string", STR("\"abc"), ERR_INVALID, 1, 5,
         "unexpected end of text, expected the end of the string"},
        {"unfinished escape", STR("\"abc\\"), ERR_INVALID, 1, 6,
         "unexpected end of text, expected an escape"},
        {"unknown escape", STR("\"\\x41\""), ERR_INVALID, 1, 3,
         "unexpected \"x\", expected an escape"},
        {"NUL escape", STR("\"\\\0\""), ERR_INVALID, 1, 3,
         "unexpected \"\\x00\", expected an escape"},
        {"short hex", STR("\"\\u12\""), ERR_INVALID, 1, 2,
         "\\u is not followed by four hexadecimal digits"},
        {"lone high surrogate", STR("\"\\ud800\""), ERR_INVALID, 1, 2, "lone surrogate in string"},
        {"lone low surrogate", STR("\"\\udc00\""), ERR_INVALID, 1, 2, "lone surrogate in string"},
        {"high, then no low", STR("\"\\ud800\\u0041\""), ERR_INVALID, 1, 2,
         "lone surrogate in string"},
        {"bad UTF-8", STR("\"ab\xff\""), ERR_INVALID, 1, 4, "string is not valid UTF-8"},
        {"bad UTF-8 after an escape", STR("\"\\n\xff\""), ERR_INVALID, 1, 2,
         "string is not valid UTF-8"},
        {"duplicate", STR("{\"a\":{\"a\":\"}\"},\n \"b\":[1,2],\"a\":2}"), ERR_INVALID, 2, 12,
         "duplicate key \"a\""},
        {"duplicate by escape", STR("{\"a\":1,\"\\u0061\":2}"), ERR_INVALID, 1, 8,
         "duplicate key \"a\""},
        {"leading zero", STR("01"), ERR_INVALID, 1, 1, "\"01\" is no number"},
        {"minus", STR("[-]"), ERR_INVALID, 1, 2, "\"-\" is no number"},
        {"plus", STR("+1"), ERR_INVALID, 1, 1, "unexpected \"+\", expected a value"},
        {"exponent at the limit", STR("1e100000"), OK, 0, 0, "1e100000"},
        {"exponent past it", STR("1e100001"), ERR_LIMIT, 1, 1,
         "number has too many digits or too large an exponent"},
        {"exponent far past it", STR("1e-99999999999999999999999"), ERR_LIMIT, 1, 1,
         "number has too many digits or too large an exponent"},
        {"word", STR("nul"), ERR_INVALID, 1, 1, "unexpected \"n\", expected a value"},
        {"word with tail", STR("truex"), ERR_INVALID, 1, 5,
         "unexpected \"x\", expected the end of the text"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        /* a copy of the exact length, so that a sanitizer sees reads past the end */
        char *copy = malloc(rows[i].text.len + 1);
        memcpy(copy, rows[i].text.ptr, rows[i].text.len);
        char *exact = realloc(copy, rows[i].text.len == 0 ? 1 : rows[i].text.len);
        value v = VALUE_UNDEFINED;
        struct error err = ERROR_INIT;
        enum status st = json_parse(&a, str_bytes(exact, rows[i].text.len), NULL, &v, &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].name);
        if (rows[i].want == OK) {
            CHECK_STR_ROW(json_text(&a, v, JSON_COMPACT), str_of(rows[i].error), rows[i].name);
        } else {
            CHECK_STR_ROW(str_of(err.text), str_of(rows[i].error), rows[i].name);
            CHECK_ROW(err.line == rows[i].line && err.col == rows[i].col, rows[i].name);
            CHECK_ROW(!value_is_defined(v) && arena_status(&a) == OK, rows[i].name);
        }
        free(exact);
    }
}

static void test_options(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct json_options last = {.duplicates = JSON_DUP_LAST};
    value v;
    struct error err = ERROR_INIT;
    CHECK_STATUS(json_parse(&a, STR("{\"a\":1,\"b\":2,\"a\":3}"), &last, &v, &err), OK, &err);
    CHECK_STR(json_text(&a, v, JSON_COMPACT), STR("{\"a\":3,\"b\":2}"));

    /* depth: at the limit and one past it, for the default and the largest */
    const unsigned depths[] = {0, 3, VALUE_DEPTH_MAX, 100000};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        struct json_options o = {.depth_max = depths[i]};
        unsigned max = depths[i] == 0                ? JSON_DEPTH_MAX
                       : depths[i] > VALUE_DEPTH_MAX ? VALUE_DEPTH_MAX
                                                     : depths[i];
        char text[2 * VALUE_DEPTH_MAX + 2];
        for (unsigned extra = 0; extra < 2; extra++) {
            memset(text, '[', max + extra);
            memset(text + max + extra, ']', max + extra);
            enum status st = json_parse(&a, str_bytes(text, 2 * (max + extra)), &o, &v, &err);
            CHECK_STATUS(st, extra ? ERR_LIMIT : OK, &err);
        }
    }

    const struct {
        struct str text;
        size_t used;
    } rows[] = {
        {STR("{} tail"), 2}, {STR("  [1] 2"), 5}, {STR("12,"), 2},
        {STR("\"a\"b"), 3},  {STR("true"), 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t used = 0;
        CHECK_STATUS(json_parse_prefix(&a, rows[i].text, NULL, &v, &used, &err), OK, &err);
        CHECK(used == rows[i].used);
    }
}

static void test_write(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct json_options last = {.duplicates = JSON_DUP_LAST};
    value v;
    struct error err = ERROR_INIT;
    CHECK_STATUS(
        json_parse(&a, STR("{\"a\":[],\"b\":{},\"c\":[1,{\"d\":\"<\\u2028&\"}]}"), &last, &v, &err),
        OK, &err);
    CHECK_STR(json_text(&a, v, JSON_PRETTY),
              STR("{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": "
                  "\"<\xe2\x80\xa8&\"\n    }\n  ]\n}"));
    CHECK_STR(json_text(&a, v, JSON_GO),
              STR("{\"a\":[],\"b\":{},\"c\":[1,{\"d\":\"\\u003c\\u2028\\u0026\"}]}"));

    /* keys that are no strings, and keys that collide as text: the later one wins */
    struct value_builder b;
    value_builder_init(&b, &a, 0);
    value_builder_put(&b, value_small_int(1), value_cstring(&a, "number"));
    value_builder_put(&b, value_cstring(&a, "1"), value_cstring(&a, "string"));
    value_builder_put(&b, VALUE_NULL, VALUE_TRUE);
    value_builder_put(&b, value_array(&a, (value[]){value_small_int(1), value_cstring(&a, "x")}, 2),
                      VALUE_FALSE);
    value odd = value_object_finish(&b, VALUE_DUP_REFUSE, NULL);
    CHECK_STR(json_text(&a, odd, JSON_COMPACT),
              STR("{\"1\":\"string\",\"[1,\\\"x\\\"]\":false,\"null\":true}"));
    value nested = value_object(&a, &(struct value_pair){odd, VALUE_NULL}, 1);
    CHECK_STR(json_text(&a, nested, JSON_COMPACT),
              STR("{\"{\\\"1\\\":\\\"string\\\",\\\"[1,\\\\\\\"x\\\\\\\"]\\\":false,\\\"null\\\":"
                  "true}\":null}"));

    /* keys in keys double their backslashes: stopped by the buf, not by the address space */
    nested = odd;
    for (int i = 0; i < 200; i++)
        nested = value_object(&a, &(struct value_pair){nested, VALUE_NULL}, 1);
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1 << 16);
    CHECK(json_write(&out, nested, JSON_COMPACT) == ERR_LIMIT);

    value_builder_init(&b, &a, 0);
    value_builder_add(&b, value_small_int(2));
    value_builder_add(&b, value_small_int(1));
    value set = value_set_finish(&b);
    CHECK_STR(json_text(&a, set, JSON_COMPACT), STR("[1,2]"));
    CHECK_STR(json_text(&a, value_string(&a, STR("a\xff\xfe\x7f")), JSON_COMPACT),
              STR("\"a\xef\xbf\xbd\xef\xbf\xbd\x7f\""));

    const value refused[] = {set, odd, value_string(&a, STR("\xff")),
                             value_number(&a, STR("1e400"))};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        buf_reset(&out);
        CHECK(json_write(&out, refused[i], JSON_CANONICAL) == ERR_INVALID);
    }
    buf_reset(&out);
    CHECK(json_write(&out, VALUE_UNDEFINED, JSON_COMPACT) == ERR_INVALID);
    CHECK(json_text(&a, VALUE_UNDEFINED, JSON_COMPACT).ptr == NULL && arena_status(&a) == OK);
}

static void test_canonical(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    const struct {
        const char *text;
        const char *want;
    } rows[] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.0", "0"},
        {"1.0", "1"},
        {"1e0", "1"},
        {"5e-324", "5e-324"},
        {"4.9e-324", "5e-324"},
        {"2.2250738585072014e-308", "2.2250738585072014e-308"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"9007199254740992", "9007199254740992"},
        {"9007199254740993", "9007199254740992"},
        {"-9007199254740995", "-9007199254740996"},
        {"295147905179352830000", "295147905179352830000"},
        {"999999999999999999999", "1e+21"},
        {"1e21", "1e+21"},
        {"1e20", "100000000000000000000"},
        {"9.999999999999997e22", "9.999999999999997e+22"},
        {"1e23", "1e+23"},
        {"0.000001", "0.000001"},
        {"0.0000001", "1e-7"},
        {"123e-7", "0.0000123"},
        {"333333333.33333329", "333333333.3333333"},
        {"1424953923781206.25", "1424953923781206.2"},
        {"0.1", "0.1"},
        {"-1.5e-10", "-1.5e-10"},
        {"5.6843418860808015e-14", "5.684341886080802e-14"}, /* 2^-44 */
        {"9.5367431640625e-7", "9.5367431640625e-7"},
        {"{\"\xf0\x90\x80\x80\":1,\"\xee\x80\x80\":2,\"a\":3}",
         "{\"a\":3,\"\xf0\x90\x80\x80\":1,\"\xee\x80\x80\":2}"},
        {"{\"a\\u0000\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"a\\u0000\":1}"},
        {"\"\\u000f\\u007f<>&\\u2028\"", "\"\\u000f\x7f<>&\xe2\x80\xa8\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value v;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(json_parse(&a, str_of(rows[i].text), NULL, &v, &err), OK, &err,
                         rows[i].text);
        CHECK_STR_ROW(json_text(&a, v, JSON_CANONICAL), str_of(rows[i].want), rows[i].text);
    }
}

static void test_writer(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1 << 16);
    struct json_writer w;

    json_begin(&w, &out);
    json_object_begin(&w);
    json_key(&w, "z");
    json_string(&w, STR("\"\n"));
    json_key(&w, "a");
    json_array_begin(&w);
    json_int(&w, INT64_MIN);
    json_bool(&w, true);
    json_null(&w);
    json_value(&w, VALUE_EMPTY_OBJECT(&a));
    json_value(&w, VALUE_UNDEFINED);
    json_raw(&w, STR("[1]"));
    json_array_end(&w);
    json_key(&w, "e");
    json_object_begin(&w);
    json_object_end(&w);
    json_object_end(&w);
    CHECK(json_finish(&w) == OK);
    CHECK_STR(buf_str(&out), STR("{\"z\":\"\\\"\\n\",\"a\":[-9223372036854775808,true,null,{},null,"
                                 "[1]],\"e\":{}}"));

    for (int misuse = 0; misuse < 8; misuse++) {
        buf_reset(&out);
        json_begin(&w, &out);
        switch (misuse) {
        case 0: /* nothing at all */
            break;
        case 1:
            json_null(&w);
            json_null(&w);
            break;
        case 2:
            json_object_begin(&w);
            json_null(&w);
            json_object_end(&w);
            break;
        case 3:
            json_object_begin(&w);
            json_key(&w, "a");
            json_object_end(&w);
            break;
        case 4:
            json_array_begin(&w);
            json_key(&w, "a");
            json_array_end(&w);
            break;
        case 5:
            json_array_begin(&w);
            json_object_end(&w);
            break;
        case 6:
            json_array_begin(&w);
            break;
        default:
            for (int i = 0; i < JSON_WRITER_DEPTH; i++)
                json_array_begin(&w);
            for (int i = 0; i < JSON_WRITER_DEPTH; i++)
                json_array_end(&w);
        }
        CHECK(json_finish(&w) == ERR_INTERNAL);
    }

    struct buf small;
    buf_init(&small, 4);
    json_begin(&w, &small);
    json_cstring(&w, "too long");
    CHECK(json_finish(&w) == ERR_LIMIT);
    buf_done(&small);
}

static void test_no_memory(void)
{
    char text[8192] = "[";
    for (int i = 0; i < 300; i++)
        strncat(text, "{\"b\":1e5,\"a\":\"x\\n\"},", sizeof(text) - strlen(text) - 1);
    text[strlen(text) - 1] = ']';

    bool done = false;
    for (long n = 1; !done && n < 200; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        value v = VALUE_UNDEFINED;
        struct error err = ERROR_INIT;
        tap_fail_malloc_after(n);
        enum status st = json_parse(&a, str_of(text), NULL, &v, &err);
        struct str back = {NULL, 0};
        if (st == OK) {
            back = json_text(&a, v, JSON_CANONICAL);
            st = back.ptr == NULL ? ERR_NOMEM : OK;
        }
        tap_fail_malloc_after(0);
        done = st == OK;
        if (!done && st != ERR_NOMEM)
            CHECK_STATUS(st, ERR_NOMEM, &err);
    }
    CHECK(done);

    /* an arena that is too small says so */
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8192);
    value v;
    struct error err = ERROR_INIT;
    CHECK_STATUS(json_parse(&a, str_of(text), NULL, &v, &err), ERR_LIMIT, &err);
    CHECK_STR(str_of(err.text), STR("text needs more memory than allowed"));
}

int main(void)
{
    test_read();
    test_options();
    test_write();
    test_canonical();
    test_writer();
    test_no_memory();
    return tap_done();
}
