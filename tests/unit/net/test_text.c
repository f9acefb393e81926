/* Percent-decoding, forms, cookies, headers. */
#include "net/http.h"
#include "tap.h"

static void test_percent(void)
{
    const struct {
        struct str in;
        enum status want;
        struct str out;
    } rows[] = {
        {STR(""), OK, STR("")},
        {STR("a+b"), OK, STR("a+b")},
        {STR("%41%2f%2F"), OK, STR("A//")},
        {STR("%2541"), OK, STR("%41")}, /* once */
        {STR("%"), ERR_INVALID, STR("")},
        {STR("%4"), ERR_INVALID, STR("")},
        {STR("%4g"), ERR_INVALID, STR("")},
        {STR("%00"), ERR_INVALID, STR("")},
        {STR("%ff"), OK, STR("\xff")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 65536);
        struct str out = STR_EMPTY;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(http_percent_decode(&a, rows[i].in, &out, &err), rows[i].want, &err,
                         rows[i].in.ptr);
        CHECK_STR_ROW(out, rows[i].out, rows[i].in.ptr);
    }

    CLEANUP(arena_done) struct arena small;
    arena_init(&small, 16);
    struct str out = STR_EMPTY;
    CHECK(http_percent_decode(&small, STR("abc"), &out, NULL) == ERR_LIMIT);
}

static void test_form(void)
{
    struct str rest = STR("a=1&&b&c=x=y&=z&"), name, val;
    const char *const want[][2] = {{"a", "1"}, {"b", ""}, {"c", "x=y"}, {"", "z"}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CHECK(http_form_next(&rest, &name, &val));
        CHECK_STR(name, str_of(want[i][0]));
        CHECK_STR(val, str_of(want[i][1]));
    }
    CHECK(!http_form_next(&rest, &name, &val));

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 65536);
    struct str out = STR_EMPTY;
    CHECK(http_form_decode(&a, STR("a+%2B"), &out, NULL) == OK);
    CHECK_STR(out, STR("a +"));
    CHECK(http_form_decode(&a, STR("%ff"), &out, NULL) == ERR_INVALID);
}

static void test_query(void)
{
    const struct {
        const char *name;
        struct str in;
        enum status want;
        const char *const pairs[3][2];
    } rows[] = {
        {"empty", STR(""), OK, {{NULL}}},
        {"one", STR("a=b"), OK, {{"a", "b"}}},
        {"the last wins", STR("a=1&b=2&a=3"), OK, {{"a", "3"}, {"b", "2"}}},
        {"no value", STR("a&b="), OK, {{"a", ""}, {"b", ""}}},
        {"plus and escapes", STR("a+b=%41%2B+c"), OK, {{"a b", "A+ c"}}},
        {"same name, differently written", STR("%61=1&a=2"), OK, {{"a", "2"}}},
        {"bad escape", STR("a=%4"), ERR_INVALID, {{NULL}}},
        {"NUL", STR("a=%00"), ERR_INVALID, {{NULL}}},
        {"no UTF-8", STR("a=%c3"), ERR_INVALID, {{NULL}}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 65536);
        struct error err = ERROR_INIT;
        value v = VALUE_UNDEFINED;
        CHECK_STATUS_ROW(http_query_parse(&a, rows[i].in, &v, &err), rows[i].want, &err,
                         rows[i].name);
        size_t n = 0;
        for (; n < 3 && rows[i].pairs[n][0] != NULL; n++)
            CHECK_STR_ROW(value_str(value_get_str(v, str_of(rows[i].pairs[n][0]))),
                          str_of(rows[i].pairs[n][1]), rows[i].name);
        CHECK_ROW(value_len(v) == n, rows[i].name);
    }

    CLEANUP(arena_done) struct arena small;
    arena_init(&small, 32);
    value v = VALUE_UNDEFINED;
    CHECK(http_query_parse(&small, STR("a=b"), &v, NULL) == ERR_LIMIT && !value_is_defined(v));
}

/* Whatever allocation fails: ERR_NOMEM, and the output is untouched. */
static void test_query_sweep(void)
{
    enum status st = ERR_NOMEM;
    for (long n = 1; n < 100 && st != OK; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        value v = VALUE_UNDEFINED;
        tap_fail_malloc_after(n);
        st = http_query_parse(&a, STR("a=1&b=%41&c=x+y&d=&e=5"), &v, NULL);
        tap_fail_malloc_after(0);
        CHECK(st == OK ? value_len(v) == 5 : st == ERR_NOMEM && !value_is_defined(v));
    }
    CHECK(st == OK);
}

static void test_cookie(void)
{
    const struct {
        const char *name;
        const char *headers;
        const char *want; /* NULL: absent */
    } rows[] = {
        {"one", "Cookie: kbs-session-id=abc\r\n", "abc"},
        {"among others", "Cookie: a=b; kbs-session-id=abc;c=d\r\n", "abc"},
        {"blanks", "Cookie:   kbs-session-id = abc ; x\r\n", "abc"},
        {"first counts", "Cookie: kbs-session-id=1; kbs-session-id=2\r\n", "1"},
        {"second header", "Cookie: a=b\r\nCOOKIE: kbs-session-id=2\r\n", "2"},
        {"encoded", "Cookie: kbs%2dsession-id=%41%20\r\n", "A "},
        {"bad escape stands for itself", "Cookie: kbs-session-id=a%zz\r\n", "a%zz"},
        {"no UTF-8: skipped", "Cookie: kbs-session-id=%ff; kbs-session-id=2\r\n", "2"},
        {"NUL: skipped", "Cookie: kbs-session-id=%00; kbs-session-id=2\r\n", "2"},
        {"without =: skipped", "Cookie: kbs-session-id; kbs-session-id=2\r\n", "2"},
        {"empty value", "Cookie: kbs-session-id=\r\n", ""},
        {"case counts", "Cookie: KBS-session-id=1\r\n", NULL},
        {"longer name", "Cookie: xkbs-session-id=1\r\n", NULL},
        {"no cookie", "A: b\r\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 65536);
        buf_add_format(&text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", rows[i].headers);
        struct http_head head;
        size_t used, scan = 0;
        CHECK_ROW(http_head_parse_request(buf_str(&text), &scan, &head, &used) == HTTP_PARSE_DONE,
                  rows[i].name);
        struct http_exchange x = {.head = &head};
        arena_init(&x.arena, 65536);
        struct str got = http_cookie(&x, "kbs-session-id");
        CHECK_ROW((got.ptr == NULL) == (rows[i].want == NULL), rows[i].name);
        CHECK_STR_ROW(got, str_of(rows[i].want), rows[i].name);
        arena_done(&x.arena);
    }
}

static void test_add_header(void)
{
    const struct {
        const char *row;
        const char *name;
        struct str val;
        bool want;
    } rows[] = {
        {"plain", "Content-Type", STR("text/plain"), true},
        {"empty value", "X-Empty", STR(""), true},
        {"CRLF", "X", STR("a\r\nEvil: b"), false},
        {"LF", "X", STR("a\nEvil: b"), false},
        {"NUL", "X", STR("a\0b"), false},
        {"CRLF in the name", "X: y\r\nEvil", STR("a"), false},
        {"no name", "", STR("a"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_exchange x = {0};
        buf_init(&x.headers, 65536);
        CHECK_ROW(http_add_header(&x, rows[i].name, rows[i].val) == rows[i].want, rows[i].row);
        CHECK_ROW((x.headers.len > 0) == rows[i].want, rows[i].row);
        buf_done(&x.headers);
    }
}

static void test_words(void)
{
    CHECK(http_method_of(STR("GET")) == HTTP_GET);
    CHECK(http_method_of(STR("OPTIONS")) == HTTP_OPTIONS);
    CHECK(http_method_of(STR("get")) == HTTP_OTHER);
    CHECK(http_method_of(STR("BREW")) == HTTP_OTHER);
    CHECK_STR(str_of(http_reason(404)), STR("Not Found"));
    CHECK_STR(str_of(http_reason(299)), STR("Unknown"));
}

int main(void)
{
    test_percent();
    test_form();
    test_query();
    test_query_sweep();
    test_cookie();
    test_add_header();
    test_words();
    return tap_done();
}
