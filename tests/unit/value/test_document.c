#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "tap.h"
#include "value/document.h"
#include "value/json.h"

#define MEMORY (16u << 20)

struct row {
    const char *name;
    enum document_format format;
    struct str text;
    enum status want;
    uint32_t line, col;
    const char *result; /* compact JSON, or the error text */
};

static void check_row(const struct row *row)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    /* an exact copy, so that a sanitizer sees reads past the end */
    char *exact = malloc(row->text.len == 0 ? 1 : row->text.len);
    memcpy(exact, row->text.ptr, row->text.len);
    value v = VALUE_UNDEFINED;
    struct positions positions;
    struct error err = ERROR_INIT;
    enum status st =
        document_parse(&a, str_bytes(exact, row->text.len), row->format, &v, &positions, &err);
    CHECK_STATUS_ROW(st, row->want, &err, row->name);
    if (row->want == OK) {
        CHECK_STR_ROW(json_text(&a, v, JSON_COMPACT), str_of(row->result), row->name);
    } else {
        CHECK_STR_ROW(str_of(err.text), str_of(row->result), row->name);
        if (!CHECK_ROW(err.line == row->line && err.col == row->col, row->name))
            printf("# at %u:%u\n", err.line, err.col);
        CHECK_ROW(!value_is_defined(v), row->name);
    }
    free(exact);
}

static void test_toml(void)
{
    const struct row rows[] = {
        {"empty", DOCUMENT_TOML, STR(""), OK, 0, 0, "{}"},
        {"byte-order mark", DOCUMENT_TOML,
         STR("\xef\xbb\xbf"
             "a = 1"),
         OK, 0, 0, "{\"a\":1}"},
        {"tables", DOCUMENT_TOML,
         STR("a.b = 1\n[x.y]\nz = [1, 2,\n # c\n]\r\n[x]\n[[l]]\nn = {p = true, q.r = "
             "'lit\\'}\n[[l]]\n[l.m]\n"),
         OK, 0, 0,
         "{\"a\":{\"b\":1},\"l\":[{\"n\":{\"p\":true,\"q\":{\"r\":\"lit\\\\\"}}},{\"m\":{}}],"
         "\"x\":{\"y\":{\"z\":[1,2]}}}"},
        {"numbers", DOCUMENT_TOML,
         STR("a=[+1,-0,0xff,0o17,0b11,1_000,9223372036854775807,-9223372036854775808]\n"
             "b=[1.0,-0.0,+6.5e+3,1e-2,5_0.2_5]\n"),
         OK, 0, 0,
         "{\"a\":[1,0,255,15,3,1000,9223372036854775807,-9223372036854775808],"
         "\"b\":[1.0,-0.0,6.5e3,1e-2,50.25]}"},
        {"dates", DOCUMENT_TOML,
         STR("a=[1979-05-27t07:32:00z, 1979-05-27 00:32:00.5-07:00, 1979-05-27T07:32:00, "
             "1979-05-27, 07:32:60]"),
         OK, 0, 0,
         "{\"a\":[\"1979-05-27T07:32:00Z\",\"1979-05-27T00:32:00.5-07:00\","
         "\"1979-05-27T07:32:00\",\"1979-05-27\",\"07:32:60\"]}"},
        {"strings", DOCUMENT_TOML,
         STR("a = \"\\u00e4\\t\\\"\"\nb = \"\"\"\r\n1\r\n2 \\\n   3\"\"\"\"\"\nc = "
             "'''\n'a''b'''''\n"),
         OK, 0, 0, "{\"a\":\"\xc3\xa4\\t\\\"\",\"b\":\"1\\n2 3\\\"\\\"\",\"c\":\"'a''b''\"}"},
        {"dotted extends", DOCUMENT_TOML, STR("a.b.c=1\na.b.d=2\n[a.e]\n[a.b.f]"), OK, 0, 0,
         "{\"a\":{\"b\":{\"c\":1,\"d\":2,\"f\":{}},\"e\":{}}}"},

        {"duplicate key", DOCUMENT_TOML, STR("a = 1\nb = 2\n  a = 3"), ERR_INVALID, 3, 3,
         "key \"a\" is there already"},
        {"duplicate, quoted", DOCUMENT_TOML, STR("a = 1\n\"a\" = 3"), ERR_INVALID, 2, 1,
         "key \"a\" is there already"},
        {"duplicate table", DOCUMENT_TOML, STR("[a]\n[a]"), ERR_INVALID, 2, 2,
         "key \"a\" is a table that is there already"},
        {"table over dotted", DOCUMENT_TOML, STR("a.b = 1\n[a]"), ERR_INVALID, 2, 2,
         "key \"a\" is a table that is there already"},
        {"dotted into a table", DOCUMENT_TOML, STR("[a.b]\n[a]\nb.c = 1"), ERR_INVALID, 3, 1,
         "key \"b\" is a table that is complete already"},
        {"dotted into a value", DOCUMENT_TOML, STR("a = 1\na.b = 1"), ERR_INVALID, 2, 1,
         "key \"a\" is no table"},
        {"table in an inline table", DOCUMENT_TOML, STR("a = {}\n[a.b]"), ERR_INVALID, 2, 2,
         "key \"a\" is no table"},
        {"list over array", DOCUMENT_TOML, STR("a = []\n[[a]]"), ERR_INVALID, 2, 3,
         "key \"a\" is there already and no array of tables"},
        {"inline table over lines", DOCUMENT_TOML, STR("a = {b = 1,\nc = 2}"), ERR_INVALID, 1, 12,
         "unexpected \"\\x0a\", expected a key"},
        {"two on a line", DOCUMENT_TOML, STR("a = 1 b = 2"), ERR_INVALID, 1, 7,
         "unexpected \"b\", expected the end of the line"},
        {"no value", DOCUMENT_TOML, STR("a ="), ERR_INVALID, 1, 4,
         "unexpected end of text, expected a value"},
        {"no equals", DOCUMENT_TOML, STR("\xc3\xa4 = 1"), ERR_INVALID, 1, 1,
         "unexpected \"\xc3\xa4\", expected a key"},
        {"columns count characters", DOCUMENT_TOML, STR("\"\xc3\xa4\" 1"), ERR_INVALID, 1, 5,
         "unexpected \"1\", expected \"=\""},
        {"open header", DOCUMENT_TOML, STR("[a\n"), ERR_INVALID, 1, 3,
         "unexpected \"\\x0a\", expected \"]\""},
        {"header of the other kind", DOCUMENT_TOML, STR("[[a]\n"), ERR_INVALID, 1, 4,
         "unexpected \"]\", expected \"]]\""},
        {"bad escape", DOCUMENT_TOML, STR("a = \"\\x41\""), ERR_INVALID, 1, 7,
         "unexpected \"x\", expected an escape"},
        {"surrogate", DOCUMENT_TOML, STR("a = \"\\ud800\""), ERR_INVALID, 1, 6,
         "escape is no Unicode scalar value"},
        {"short escape", DOCUMENT_TOML, STR("a = \"\\U0041\""), ERR_INVALID, 1, 6,
         "escape needs 8 hexadecimal digits"},
        {"open string", DOCUMENT_TOML, STR("a = \"b\n\""), ERR_INVALID, 1, 7,
         "unexpected \"\\x0a\", expected the end of the string"},
        {"multi-line key", DOCUMENT_TOML, STR("'''a''' = 1"), ERR_INVALID, 1, 1,
         "a key is no multi-line string"},
        {"leading zero", DOCUMENT_TOML, STR("a = 012"), ERR_INVALID, 1, 5, "\"012\" is no value"},
        {"underscores", DOCUMENT_TOML, STR("a = 1__2"), ERR_INVALID, 1, 5, "\"1__2\" is no value"},
        {"too large", DOCUMENT_TOML, STR("a = 9223372036854775808"), ERR_INVALID, 1, 5,
         "integer does not fit 64 bits"},
        {"too large, hexadecimal", DOCUMENT_TOML, STR("a = 0x8000000000000000"), ERR_INVALID, 1, 5,
         "integer does not fit 64 bits"},
        {"not a number", DOCUMENT_TOML, STR("a = nan"), ERR_INVALID, 1, 5,
         "\"nan\" cannot be represented"},
        {"word", DOCUMENT_TOML, STR("a = yes"), ERR_INVALID, 1, 5, "\"yes\" is no value"},
        {"no such day", DOCUMENT_TOML, STR("a = 2023-02-29"), ERR_INVALID, 1, 5,
         "\"2023-02-29\" is no date or time"},
        {"bad UTF-8", DOCUMENT_TOML, STR("# \xff"), ERR_INVALID, 1, 3, "text is not valid UTF-8"},
        {"huge exponent", DOCUMENT_TOML, STR("a = 1e100001"), ERR_LIMIT, 1, 5,
         "number has too many digits or too large an exponent"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

static void test_yaml(void)
{
    const struct row rows[] = {
        {"empty", DOCUMENT_YAML, STR(""), OK, 0, 0, "null"},
        {"comment", DOCUMENT_YAML, STR("# x\n---\n"), OK, 0, 0, "null"},
        {"block", DOCUMENT_YAML,
         STR("a:\n  - 1\n  - b: [x, \"1\", 'true', ~, null, True, false, yes]\n1: |\n  text\n"), OK,
         0, 0,
         "{\"1\":\"text\\n\",\"a\":[1,{\"b\":[\"x\",\"1\",\"true\",null,null,true,false,\"yes\"]}]"
         "}"},
        {"numbers", DOCUMENT_YAML,
         STR("[0, -0, +12, 0o17, 0xfF, 1., .5, -1.5e3, 1e3, 0x, 1_000, 1e, ., -, 12x, "
             "18446744073709551616, 1.2.3, 0xffffffffffffffffff]"),
         OK, 0, 0,
         "[0,-0,12,15,255,1.0,0.5,-1.5e3,1e3,\"0x\",\"1_000\",\"1e\",\".\",\"-\",\"12x\","
         "18446744073709551616,\"1.2.3\",\"0xffffffffffffffffff\"]"},
        {"aliases", DOCUMENT_YAML, STR("a: &x {b: 1}\nc: *x\nd: &x 2\ne: *x"), OK, 0, 0,
         "{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":2,\"e\":2}"},
        {"JSON", DOCUMENT_YAML, STR("{\"a\": [1, {}]}"), OK, 0, 0, "{\"a\":[1,{}]}"},
        {"byte-order mark", DOCUMENT_YAML,
         STR("\xef\xbb\xbf"
             "a: 1"),
         OK, 0, 0, "{\"a\":1}"},

        {"duplicate", DOCUMENT_YAML, STR("a: 1\nb: 2\n\"a\": 3"), ERR_INVALID, 3, 1,
         "duplicate key \"a\""},
        {"duplicate deeper", DOCUMENT_YAML, STR("a:\n  b: {x: 1, y: 2, x: 3}"), ERR_INVALID, 2, 19,
         "duplicate key \"x\""},
        {"tag", DOCUMENT_YAML, STR("a: !!str 1"), ERR_INVALID, 1, 4,
         "tags are not supported: \"tag:yaml.org,2002:str\""},
        {"merge key", DOCUMENT_YAML, STR("a: &x {}\nb:\n  <<: *x"), ERR_INVALID, 3, 3,
         "merge keys are not supported"},
        {"unknown alias", DOCUMENT_YAML, STR("a: *x"), ERR_INVALID, 1, 4,
         "alias \"x\" has no anchor before it"},
        {"recursive alias", DOCUMENT_YAML, STR("a: &x [*x]"), ERR_INVALID, 1, 8,
         "alias \"x\" has no anchor before it"},
        {"two documents", DOCUMENT_YAML, STR("a\n---\nb"), ERR_INVALID, 2, 1,
         "more than one document"},
        {"key that is no scalar", DOCUMENT_YAML, STR("? [a]\n: b"), ERR_INVALID, 1, 3,
         "a key must be text"},
        {"infinity", DOCUMENT_YAML, STR("a: .inf"), ERR_INVALID, 1, 4,
         "\".inf\" cannot be represented"},
        {"octal of YAML 1.1", DOCUMENT_YAML, STR("mode: 0644"), ERR_INVALID, 1, 7,
         "number \"0644\" begins with zero; 0o is octal, quotes make text"},
        {"syntax", DOCUMENT_YAML, STR("a: [1,\nb: 2"), ERR_INVALID, 3, 1,
         "did not find expected ',' or ']'"},
        {"tab", DOCUMENT_YAML, STR("a:\n\t- 1"), ERR_INVALID, 2, 1,
         "found character that cannot start any token"},
        {"huge exponent", DOCUMENT_YAML, STR("1e100001"), ERR_LIMIT, 1, 1,
         "number has too many digits or too large an exponent"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);

    /* bytes that are no UTF-8, and UTF-16 */
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    value v;
    struct error err = ERROR_INIT;
    CHECK_STATUS(yaml_parse(&a, STR("a: \xff"), &v, NULL, &err), ERR_INVALID, &err);
    CHECK_STATUS(yaml_parse(&a,
                            STR("\xff\xfe"
                                "a\0"),
                            &v, NULL, &err),
                 ERR_INVALID, &err);
}

static void test_limits(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    value v;
    struct error err = ERROR_INIT;

    /* nesting, at the limit and one past it */
    char text[1024];
    for (int extra = 0; extra < 2; extra++) {
        int n = 128 + extra;
        snprintf(
            text, sizeof(text), "a = %.*s%.*s", n,
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            n,
            "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
            "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        enum status want = extra ? ERR_LIMIT : OK;
        CHECK_STATUS(toml_parse(&a, str_of(text), &v, NULL, &err), want, &err);
        CHECK_STATUS(yaml_parse(&a, str_of(text + 4), &v, NULL, &err), want, &err);
        CHECK_STATUS(document_parse(&a, str_of(text + 4), DOCUMENT_JSON, &v, NULL, &err), want,
                     &err);
    }
    for (int parts = 64; parts <= 65; parts++) {
        snprintf(text, sizeof(text), "%.*sx = 1", 2 * (parts - 1),
                 "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
                 "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.");
        CHECK_STATUS(toml_parse(&a, str_of(text), &v, NULL, &err), parts > 64 ? ERR_LIMIT : OK,
                     &err);
    }

    /* a billion laughs: 10^9 times "lol" from 500 bytes */
    size_t len = (size_t)snprintf(text, sizeof(text), "a0: &a0 lol\n");
    for (int i = 1; i < 10; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
                                i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
                                i - 1);
    CHECK_STATUS(yaml_parse(&a, str_bytes(text, len), &v, NULL, &err), ERR_LIMIT, &err);
    CHECK_STR(str_of(err.text), STR("text needs more memory than allowed"));

    /* anchors: 256 and one more */
    for (int n = 256; n <= 257; n++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 1 << 20);
        for (int i = 0; i < n; i++)
            buf_add_format(&b, "- &x%d a\n", i);
        arena_reset(&a);
        CHECK_STATUS(yaml_parse(&a, buf_str(&b), &v, NULL, &err), n > 256 ? ERR_LIMIT : OK, &err);
    }
}

static void test_positions(void)
{
    const struct {
        enum document_format format;
        const char *text;
        const char *pointer;
        uint32_t line, col; /* 0: none */
        const char *found;
    } rows[] = {
        {DOCUMENT_JSON, "{\n \"a\": [1,\n  {\"b~/\": 2}]}", "/a", 2, 2, "/a"},
        {DOCUMENT_JSON, "{\n \"a\": [1,\n  {\"b~/\": 2}]}", "/a/0", 2, 8, "/a/0"},
        {DOCUMENT_JSON, "{\n \"a\": [1,\n  {\"b~/\": 2}]}", "/a/1/b~0~1", 3, 4, "/a/1/b~0~1"},
        {DOCUMENT_JSON, "{\n \"a\": [1,\n  {\"b~/\": 2}]}", "/a/1/x/y", 3, 3, "/a/1"},
        {DOCUMENT_JSON, "{\n \"a\": [1,\n  {\"b~/\": 2}]}", "/ab", 0, 0, NULL},
        {DOCUMENT_JSON, "{}", "", 0, 0, NULL},
        {DOCUMENT_TOML,
         "x = 1\n[a]\n  b = [1,\n 2]\n\xc3\xa4"
         "\n",
         "/a", 0, 0, NULL},
        {DOCUMENT_TOML, "x = 1\n[a]\n  b = [1,\n 2]", "/x", 1, 1, "/x"},
        {DOCUMENT_TOML, "x = 1\n[a]\n  b = [1,\n 2]", "/a", 2, 2, "/a"},
        {DOCUMENT_TOML, "x = 1\n[a]\n  b = [1,\n 2]", "/a/b", 3, 3, "/a/b"},
        {DOCUMENT_TOML, "x = 1\n[a]\n  b = [1,\n 2]", "/a/b/1", 4, 2, "/a/b/1"},
        {DOCUMENT_TOML, "[[l]]\n[[l]]\nx.y = {z = 1}\n[l.m.n]\n", "/l/0", 1, 3, "/l/0"},
        {DOCUMENT_TOML, "[[l]]\n[[l]]\nx.y = {z = 1}\n[l.m.n]\n", "/l/1", 2, 3, "/l/1"},
        {DOCUMENT_TOML, "[[l]]\n[[l]]\nx.y = {z = 1}\n[l.m.n]\n", "/l/1/x", 3, 1, "/l/1/x"},
        {DOCUMENT_TOML, "[[l]]\n[[l]]\nx.y = {z = 1}\n[l.m.n]\n", "/l/1/x/y/z", 3, 8, "/l/1/x/y/z"},
        {DOCUMENT_TOML, "[[l]]\n[[l]]\nx.y = {z = 1}\n[l.m.n]\n", "/l/1/m/n", 4, 6, "/l/1/m/n"},
        {DOCUMENT_YAML, "a:\n - b: 1\n   c: 2\n - x\n", "/a", 1, 1, "/a"},
        {DOCUMENT_YAML, "a:\n - b: 1\n   c: 2\n - x\n", "/a/0", 2, 4, "/a/0"},
        {DOCUMENT_YAML, "a:\n - b: 1\n   c: 2\n - x\n", "/a/0/c", 3, 4, "/a/0/c"},
        {DOCUMENT_YAML, "a:\n - b: 1\n   c: 2\n - x\n", "/a/1", 4, 4, "/a/1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        value v;
        struct positions positions;
        struct error err = ERROR_INIT;
        enum status st =
            document_parse(&a, str_of(rows[i].text), rows[i].format, &v, &positions, &err);
        const struct position *p = positions_find(&positions, str_of(rows[i].pointer));
        if (st != OK) { /* the row whose text ends badly: what was read is still there */
            CHECK_ROW(err.line == 5 && err.col == 1, rows[i].pointer);
            continue;
        }
        CHECK_ROW((p == NULL) == (rows[i].found == NULL), rows[i].pointer);
        if (p != NULL) {
            CHECK_STR_ROW(p->pointer, str_of(rows[i].found), rows[i].pointer);
            CHECK_ROW(p->line == rows[i].line && p->col == rows[i].col, rows[i].pointer);
        }
    }
}

static void test_formats(void)
{
    const struct {
        const char *path;
        bool known;
        enum document_format format;
    } rows[] = {
        {"a.toml", true, DOCUMENT_TOML}, {"/x/b.yaml", true, DOCUMENT_YAML},
        {"c.yml", true, DOCUMENT_YAML},  {"d.tar.json", true, DOCUMENT_JSON},
        {"toml", false, DOCUMENT_TOML},  {"a.toml.bak", false, DOCUMENT_TOML},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum document_format format = DOCUMENT_TOML;
        CHECK_ROW(document_format_of(str_of(rows[i].path), &format) == rows[i].known, rows[i].path);
        CHECK_ROW(format == rows[i].format, rows[i].path);
    }
}

static void test_no_memory(void)
{
    const struct {
        const char *name;
        enum document_format format;
        const char *text;
    } rows[] = {
        {"toml", DOCUMENT_TOML, "a.b=[1,\"x\\n\",{c=1.5}]\n[[l]]\nd=1979-05-27\n[l.m]\n"},
        {"yaml", DOCUMENT_YAML, "a: &x [1, {b: 2.5}]\nc: *x\n"},
        {"json", DOCUMENT_JSON, "{\"a\":[1,{\"b\":\"c\\n\"}]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool done = false;
        for (long n = 1; !done && n < 400; n++) {
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, MEMORY);
            value v = VALUE_UNDEFINED;
            struct positions positions;
            struct error err = ERROR_INIT;
            tap_fail_malloc_after(n);
            enum status st =
                document_parse(&a, str_of(rows[i].text), rows[i].format, &v, &positions, &err);
            tap_fail_malloc_after(0);
            done = st == OK;
            if (!done && (st != ERR_NOMEM || value_is_defined(v)))
                CHECK_STATUS_ROW(st, ERR_NOMEM, &err, rows[i].name);
        }
        CHECK_ROW(done, rows[i].name);

        done = false;
        for (size_t max = 64; !done && max < 1u << 20; max += 64) {
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, max);
            value v = VALUE_UNDEFINED;
            struct positions positions;
            struct error err = ERROR_INIT;
            enum status st =
                document_parse(&a, str_of(rows[i].text), rows[i].format, &v, &positions, &err);
            done = st == OK;
            if (!done && st != ERR_LIMIT)
                CHECK_STATUS_ROW(st, ERR_LIMIT, &err, rows[i].name);
        }
        CHECK_ROW(done, rows[i].name);
    }
}

int main(void)
{
    test_toml();
    test_yaml();
    test_limits();
    test_positions();
    test_formats();
    test_no_memory();
    return tap_done();
}
