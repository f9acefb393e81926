#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "tap.h"
#include "value/json.h"
#include "value/number.h"
#include "value/value.h"

#define MEMORY (64u << 20)

static value read_json(struct arena *a, const char *text)
{
    value v = VALUE_UNDEFINED;
    struct json_options options = {.duplicates = JSON_DUP_LAST, .depth_max = VALUE_DEPTH_MAX};
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(a, str_of(text), &options, &v, &err), OK, &err, text);
    return v;
}

static value set_of(struct arena *a, const char *array)
{
    value v = read_json(a, array);
    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (size_t i = 0; i < value_len(v); i++)
        value_builder_add(&b, value_items(v)[i]);
    return value_set_finish(&b);
}

static void test_scalars(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    char scratch[VALUE_NUMBER_SCRATCH];

    CHECK(value_is_small(value_int(&a, VALUE_SMALL_MAX)));
    CHECK(value_is_small(value_int(&a, VALUE_SMALL_MIN)));
    CHECK(!value_is_small(value_int(&a, VALUE_SMALL_MAX + 1)));
    const int64_t ints[] = {
        0, 1, -1, 42, INT64_MAX, INT64_MIN, 1LL << 62, (1LL << 62) - 1, -(1LL << 62) - 1};
    for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
        value v = value_int(&a, ints[i]);
        char text[32];
        int n = snprintf(text, sizeof(text), "%lld", (long long)ints[i]);
        CHECK_STR_ROW(value_number_text(v, scratch), str_bytes(text, (size_t)n), text);
        CHECK_ROW(value_equal(v, value_number(&a, str_of(text))), text);
        int64_t back = 7;
        CHECK_ROW(value_get_int64(v, &back) && back == ints[i], text);
    }
    uint64_t u = 0;
    CHECK(value_get_uint64(value_uint(&a, UINT64_MAX), &u) && u == UINT64_MAX);
    CHECK_STR(value_number_text(value_uint(&a, UINT64_MAX), scratch), STR("18446744073709551615"));
    CHECK(!value_get_uint64(value_int(&a, -1), &u));
    CHECK(!value_get_uint64(value_number(&a, STR("18446744073709551616")), &u));
    int64_t n = 0;
    CHECK(!value_get_int64(value_uint(&a, 1ull << 63), &n));
    CHECK(value_get_int64(value_number(&a, STR("-9223372036854775808.0")), &n) && n == INT64_MIN);
    CHECK(!value_get_int64(value_number(&a, STR("-9223372036854775809")), &n));
    CHECK(value_get_int64(value_number(&a, STR("12.5e1")), &n) && n == 125);
    CHECK(!value_get_int64(value_number(&a, STR("1.5")), &n));
    CHECK(!value_get_int64(VALUE_TRUE, &n) && !value_get_int64(value_string(&a, STR("1")), &n));
    CHECK_STR(value_number_text(value_number(&a, STR("-0")), scratch), STR("-0"));
    CHECK(value_equal(value_number(&a, STR("-0")), value_small_int(0)));

    value s = value_string(&a, STR("a\0b"));
    CHECK_STR(value_str(s), STR("a\0b"));
    CHECK(value_heap(s)->flags == VALUE_FLAG_ASCII && value_heap(s)->extra == 3);
    s = value_string(&a, STR("\xc3\xa4\xe2\x82\xac"));
    CHECK(value_heap(s)->flags == 0 && value_heap(s)->extra == 2);
    s = value_string(&a, STR("\xff\xfe"));
    CHECK(value_heap(s)->flags == 0 && value_heap(s)->extra == 2);
    CHECK(value_str(VALUE_NULL).len == 0);
    CHECK_STR(str_of(value_kind_name(value_kind(s))), STR("string"));
    CHECK_STR(str_of(value_kind_name(value_kind(VALUE_UNDEFINED))), STR("undefined"));

    const char *bad[] = {"", "-", "01", "1.", ".5", "+1", "1e", "1e+", "0x1", "1 ", "--1", "1.5.2"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(arena_done) struct arena b;
        arena_init(&b, MEMORY);
        CHECK_ROW(!value_is_defined(value_number(&b, str_of(bad[i]))), bad[i]);
        CHECK_ROW(arena_status(&b) == ERR_INVALID, bad[i]);
    }
    CHECK(!value_is_defined(value_number(&a, STR("1e100001"))));
    CHECK(arena_status(&a) == ERR_LIMIT);
}

/* Ascending in Rego's order; neighbours with the same rank are equal. */
static void test_order(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    const struct {
        const char *text;
        int rank;
        bool set;
    } rows[] = {
        {"null", 0, false},
        {"false", 1, false},
        {"true", 2, false},
        {"-1e400", 3, false},
        {"-18446744073709551616", 4, false},
        {"-4611686018427387905", 5, false},
        {"-4611686018427387904", 6, false},
        {"-1.5", 7, false},
        {"-1", 8, false},
        {"-1.0", 8, false},
        {"-1e-400", 9, false},
        {"0", 10, false},
        {"-0", 10, false},
        {"0.000", 10, false},
        {"-0e5", 10, false},
        {"0e100000", 10, false},
        {"1e-100000", 11, false},
        {"0.1", 12, false},
        {"1e-1", 12, false},
        {"0.10000000000000000000000000000000000001", 13, false},
        {"1", 14, false},
        {"1.0", 14, false},
        {"1e0", 14, false},
        {"0.01E+2", 14, false},
        {"100e-2", 14, false},
        {"1.0000000000000000000000000000000001", 15, false},
        {"1.5", 16, false},
        {"10.0", 17, false},
        {"100", 18, false},
        {"1e2", 18, false},
        {"9007199254740992", 19, false},
        {"9007199254740993", 20, false},
        {"4611686018427387903", 21, false},
        {"4611686018427387903.0", 21, false},
        {"4611686018427387904", 22, false},
        {"4.611686018427387904e18", 22, false},
        {"18446744073709551615", 23, false},
        {"18446744073709551616", 24, false},
        {"18446744073709551616.00000000000000001", 25, false},
        {"1e100000", 26, false},
        {"\"\"", 27, false},
        {"\"a\"", 28, false},
        {"\"a\\u0000\"", 29, false},
        {"\"aa\"", 30, false},
        {"\"b\"", 31, false},
        {"\"\xee\x80\x80\"", 32, false},
        {"\"\xf0\x90\x80\x80\"", 33, false},
        {"[]", 34, false},
        {"[1]", 35, false},
        {"[1.0]", 35, false},
        {"[1,2]", 36, false},
        {"[2]", 37, false},
        {"[[]]", 38, false},
        {"{}", 39, false},
        {"{\"a\":1}", 40, false},
        {"{\"a\":1.0}", 40, false},
        {"{\"a\":1,\"b\":0}", 41, false},
        {"{\"a\":2}", 42, false},
        {"{\"b\":0}", 43, false},
        {"[]", 44, true},
        {"[1,1.0,1]", 45, true},
        {"[1]", 45, true},
        {"[2,1]", 46, true},
        {"[1,2,2]", 46, true},
        {"[[3]]", 47, true},
    };
    value v[ARRAY_LEN(rows)];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        v[i] = rows[i].set ? set_of(&a, rows[i].text) : read_json(&a, rows[i].text);

    unsigned wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t j = 0; j < ARRAY_LEN(rows); j++) {
            int want = (rows[i].rank > rows[j].rank) - (rows[i].rank < rows[j].rank);
            bool ok = value_compare(v[i], v[j]) == want && value_equal(v[i], v[j]) == (want == 0) &&
                      (want != 0 || value_hash(v[i]) == value_hash(v[j]));
            wrong += !ok;
            if (!ok)
                printf("# %s against %s\n", rows[i].text, rows[j].text);
        }
    }
    CHECK(wrong == 0);
    CHECK(value_compare(VALUE_UNDEFINED, VALUE_NULL) < 0);
}

static void test_members(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    value o = read_json(&a, "{\"b\":[10,20],\"a\":{\"\":1,\"m~n\":2,\"a/b\":3},\"0\":4}");

    const struct {
        const char *pointer;
        int64_t want; /* -1: undefined */
    } rows[] = {
        {"/b/0", 10},    {"/b/1", 20},   {"/b/2", -1},
        {"/b/01", -1},   {"/b/-", -1},   {"/b/", -1},
        {"/b/x", -1},    {"/a/", 1},     {"/a/m~0n", 2},
        {"/a/a~1b", 3},  {"/a/m~n", -1}, {"/a/m~", -1},
        {"/a/m~2n", -1}, {"/0", 4},      {"/c", -1},
        {"b", -1},       {"/0/0", -1},   {"/b/99999999999999999999", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value v = value_pointer(o, str_of(rows[i].pointer));
        bool ok =
            rows[i].want < 0 ? !value_is_defined(v) : value_equal(v, value_small_int(rows[i].want));
        CHECK_ROW(ok, rows[i].pointer);
    }
    CHECK(value_pointer(o, STR_EMPTY).word == o.word);
    CHECK(value_is_defined(value_get_lit(o, "a")));
    CHECK(!value_is_defined(value_get_str(VALUE_NULL, STR("a"))));
    CHECK(!value_is_defined(value_get(o, VALUE_UNDEFINED)));
    CHECK(value_get(o, value_string(&a, STR("0"))).word == value_small_int(4).word);

    value array = value_get_lit(o, "b");
    CHECK(value_lookup(array, value_small_int(1)).word == value_small_int(20).word);
    CHECK(value_lookup(array, value_number(&a, STR("1.0"))).word == value_small_int(20).word);
    CHECK(!value_is_defined(value_lookup(array, value_number(&a, STR("1e0")))));
    CHECK(!value_is_defined(value_lookup(array, value_number(&a, STR("1.5")))));
    CHECK(!value_is_defined(value_lookup(array, value_small_int(-1))));
    CHECK(!value_is_defined(value_lookup(array, value_small_int(2))));
    CHECK(!value_is_defined(value_lookup(array, VALUE_TRUE)));
    CHECK(!value_is_defined(value_lookup(value_small_int(1), value_small_int(0))));

    value set = set_of(&a, "[3,\"x\",1.0,[1]]");
    CHECK(value_set_has(set, value_small_int(1)));
    CHECK(value_set_has(set, read_json(&a, "[1e0]")));
    CHECK(!value_set_has(set, value_small_int(2)) && !value_set_has(array, value_small_int(10)));
    char scratch[VALUE_NUMBER_SCRATCH];
    CHECK_STR(value_number_text(value_lookup(set, value_small_int(1)), scratch), STR("1.0"));
    CHECK(!value_is_defined(value_lookup(set, VALUE_NULL)));
}

/* Small and large objects with keys of every kind: found by equal keys of another text, too. */
static void test_index(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    const size_t sizes[] = {0, 1, 2, 15, 16, 17, 18, 31, 32, 33, 100, 1000, 20000};

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        char row[32];
        snprintf(row, sizeof(row), "%zu keys", n);
        struct value_builder b;
        struct value_builder items;
        value_builder_init(&b, &a, s % 2 == 0 ? 0 : 2 * n);
        value_builder_init(&items, &a, 3);
        for (size_t i = 0; i < n; i++) {
            size_t k = i * 7919 % n; /* no order */
            struct str text = arena_format(&a, i % 3 == 0 ? "%zu.0" : "%zu", k);
            value key = i % 3 == 2 ? value_string(&a, text) : value_number(&a, text);
            value_builder_put(&b, key, value_small_int((int64_t)k));
            value_builder_add(&items, key);
        }
        value o = value_object_finish(&b, VALUE_DUP_REFUSE, NULL);
        value set = value_set_finish(&items);
        CHECK_ROW(value_len(o) == n && value_len(set) == n, row);

        size_t found = 0;
        size_t ordered = 0;
        for (size_t i = 0; i < n; i++) {
            size_t k = i * 7919 % n;
            struct str text = arena_format(&a, "%zu", k);
            value key = i % 3 == 2 ? value_string(&a, text) : value_small_int((int64_t)k);
            value want = value_small_int((int64_t)k);
            found += value_get(o, key).word == want.word && value_set_has(set, key) &&
                     (i % 3 != 2 || value_get_str(o, text).word == want.word);
            ordered +=
                i == 0 || (value_compare(value_pairs(o)[i - 1].key, value_pairs(o)[i].key) < 0 &&
                           value_compare(value_items(set)[i - 1], value_items(set)[i]) < 0);
        }
        CHECK_ROW(found == n && ordered == n, row);
        CHECK_ROW(!value_is_defined(value_get(o, value_small_int(-5))), row);
        CHECK_ROW(!value_is_defined(value_get_str(o, STR("nothing"))), row);
        CHECK_ROW(!value_is_defined(value_get(o, VALUE_TRUE)), row);
        CHECK_ROW(!value_set_has(set, value_string(&a, STR("nothing"))), row);
        CHECK_ROW(value_equal(value_copy(&a, o), o), row);
    }
}

static void test_builders(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct value_builder b;
    char scratch[VALUE_NUMBER_SCRATCH];

    /* the first key's text and the last value stay */
    value_builder_init(&b, &a, 0);
    value_builder_put(&b, value_number(&a, STR("1.0")), VALUE_TRUE);
    value_builder_put(&b, value_small_int(1), VALUE_FALSE);
    value o = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    CHECK(value_len(o) == 1 && value_pairs(o)[0].val.word == VALUE_FALSE.word);
    CHECK_STR(value_number_text(value_pairs(o)[0].key, scratch), STR("1.0"));

    for (int same = 0; same < 2; same++) {
        for (int dup = VALUE_DUP_REFUSE; dup <= VALUE_DUP_SAME; dup++) {
            value_builder_init(&b, &a, 0);
            value_builder_put_str(&b, "k", VALUE_TRUE);
            value_builder_put_str(&b, "j", VALUE_TRUE);
            value_builder_put_str(&b, "k", value_bool(same));
            value duplicate = VALUE_UNDEFINED;
            o = value_object_finish(&b, (enum value_duplicates)dup, &duplicate);
            if (dup == VALUE_DUP_SAME && same)
                CHECK(value_len(o) == 2 && !value_is_defined(duplicate));
            else
                CHECK(!value_is_defined(o) && str_is(value_str(duplicate), "k"));
        }
    }

    value_builder_init(&b, &a, 0);
    value_builder_add(&b, VALUE_UNDEFINED);
    value_builder_add(&b, VALUE_TRUE);
    CHECK(!value_is_defined(value_array_finish(&b)));
    CHECK(!value_is_defined(value_array(&a, &(value){VALUE_UNDEFINED.word}, 1)));
    CHECK(arena_status(&a) == OK);

    value_builder_init(&b, &a, 0);
    CHECK(value_len(value_set_finish(&b)) == 0);
    CHECK(value_kind(VALUE_EMPTY_ARRAY(&a)) == VALUE_KIND_ARRAY);
    CHECK(value_kind(VALUE_EMPTY_OBJECT(&a)) == VALUE_KIND_OBJECT);

    /* changed copies, at sizes with and without index */
    for (size_t n = 0; n < 40; n++) {
        o = VALUE_EMPTY_OBJECT(&a);
        for (size_t i = 0; i < n; i++)
            o = value_object_with(&a, o, value_small_int((int64_t)(i * 41 % n)), VALUE_TRUE);
        value changed = value_object_with(&a, o, value_small_int(3), VALUE_NULL);
        value without = value_object_with(&a, changed, value_small_int(3), VALUE_UNDEFINED);
        size_t has = n > 3;
        CHECK(value_len(o) == n && value_len(changed) == n + !has && value_len(without) == n - has);
        CHECK(value_get(changed, value_small_int(3)).word == VALUE_NULL.word);
        CHECK(!value_is_defined(value_get(without, value_small_int(3))));
        CHECK(has || value_equal(without, o));
    }
    CHECK(!value_is_defined(value_object_with(&a, VALUE_NULL, VALUE_TRUE, VALUE_TRUE)));
}

static void test_limits(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    value v = VALUE_NULL;
    for (int i = 0; i < VALUE_DEPTH_MAX; i++)
        v = value_array(&a, &v, 1);
    CHECK(value_is_defined(v) && value_heap(v)->depth == VALUE_DEPTH_MAX);
    value copy = value_copy(&a, v);
    CHECK(value_equal(copy, v) && copy.word != v.word);
    CHECK(value_size(v) == (size_t)VALUE_DEPTH_MAX * 32);
    CHECK(!value_is_defined(value_array(&a, &v, 1)));
    CHECK(arena_status(&a) == ERR_LIMIT);

    /* shared parts count each time: 2^60 blocks are refused before the work begins */
    arena_reset(&a);
    v = value_string(&a, STR("x"));
    for (int i = 0; i < 60; i++)
        v = value_array(&a, (value[]){v, v}, 2);
    CHECK(value_is_defined(v) && value_size(v) >= (size_t)UINT32_MAX * 16);
    CHECK(!value_is_defined(value_copy(&a, v)) && arena_status(&a) == ERR_LIMIT);
}

static bool build_everything(struct arena *a, value source, value *out)
{
    struct value_builder b;
    value_builder_init(&b, a, 0);
    for (int i = 40; i > 0; i--) {
        struct str text = arena_format(a, "key %d", i % 30);
        value_builder_put(&b, value_string(a, text.ptr == NULL ? STR_EMPTY : text),
                          value_int(a, INT64_MAX - i));
    }
    value o = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    value_builder_init(&b, a, 0);
    for (int i = 40; i > 0; i--)
        value_builder_add(&b, value_array(a, &o, 1));
    value s = value_set_finish(&b);
    value c = value_copy(a, source);
    value w = value_object_with(a, o, c, s);
    *out = value_array(a, (value[]){o, s, c, w}, 4);
    return value_is_defined(*out);
}

static void test_no_memory(void)
{
    CLEANUP(arena_done) struct arena keep;
    arena_init(&keep, MEMORY);
    value source = read_json(&keep, "{\"a\":[1,2.5,\"x\",{}]}");

    bool done = false;
    for (long n = 1; !done && n < 100; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        value v;
        tap_fail_malloc_after(n);
        done = build_everything(&a, source, &v);
        tap_fail_malloc_after(0);
        if (!done)
            CHECK(arena_status(&a) == ERR_NOMEM);
    }
    CHECK(done);

    done = false;
    for (size_t max = 64; !done && max < 1u << 20; max += 64) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, max);
        value v;
        done = build_everything(&a, source, &v);
        if (!done && arena_status(&a) != ERR_LIMIT)
            CHECK_ROW(false, "arena limit");
    }
    CHECK(done);
}

int main(void)
{
    test_scalars();
    test_order();
    test_members();
    test_index();
    test_builders();
    test_limits();
    test_no_memory();
    return tap_done();
}
