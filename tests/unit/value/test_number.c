/*
 * Arithmetic against cases from exact rational arithmetic
 * (tools/gen-number-cases); another file of cases may be given as argument.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "tap.h"
#include "value/json.h"
#include "value/number.h"

#define MEMORY (64u << 20)

static enum status text_of(struct arena *a, int base, value x, value *out, struct error *err)
{
    struct str text;
    enum status st = number_format_int(a, x, base, &text, err);
    if (st == OK)
        *out = value_string(a, text);
    return st;
}

static enum status run(struct arena *a, struct str op, value x, value y, value *out,
                       struct error *err)
{
    static const struct {
        const char *name;
        enum status (*fn)(struct arena *, value, value, value *, struct error *);
    } binary[] = {
        {"add", number_add}, {"sub", number_sub}, {"mul", number_mul},
        {"div", number_div}, {"rem", number_rem},
    };
    static const char *const bits[] = {"and", "or", "xor", "andnot"};
    static const char *const rounding[] = {"round", "ceil", "floor", "trunc"};

    for (size_t i = 0; i < ARRAY_LEN(binary); i++)
        if (str_is(op, binary[i].name))
            return binary[i].fn(a, x, y, out, err);
    for (int i = 0; i < 4; i++) {
        if (str_is(op, bits[i]))
            return number_bitop(a, (enum number_bits)i, x, y, out, err);
        if (str_is(op, rounding[i]))
            return number_round(a, x, (enum number_rounding)i, out, err);
    }
    if (str_is(op, "lsh") || str_is(op, "rsh"))
        return number_shift(a, x, y, str_is(op, "lsh"), out, err);
    if (str_is(op, "not"))
        return number_not(a, x, out, err);
    if (str_is(op, "abs"))
        return number_abs(a, x, out, err);
    if (str_is(op, "cmp")) {
        *out = value_small_int(number_compare(x, y));
        return OK;
    }
    if (str_has_prefix(op, STR("fmt")))
        return text_of(a, atoi(op.ptr + 3), x, out, err);
    return ERR_UNSUPPORTED;
}

static bool run_line(struct arena *a, struct str line)
{
    struct str word[5] = {{NULL, 0}};
    size_t n = 0;
    for (size_t at = 0; at < line.len && n < ARRAY_LEN(word); n++) {
        size_t end = str_find(line, ' ', at);
        word[n] = str_slice(line, at, end - at);
        at = end + 1;
    }
    bool unary = n == 4;
    value x = value_number(a, word[1]);
    value y = unary ? VALUE_UNDEFINED : value_number(a, word[2]);
    value got = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = run(a, word[0], x, y, &got, &err);
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str text = value_is_string(got) ? value_str(got) : value_number_text(got, scratch);
    if (st == OK && str_equal(text, word[n - 1]))
        return true;
    printf("# %.*s\n#   got %s \"%.*s\" %s\n", STR_ARG(line), status_name(st), STR_ARG(text),
           err.text);
    return false;
}

static void test_cases(const char *path)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 512u << 20);
    struct error err = ERROR_INIT;
    CHECK_STATUS(file_read(path, &text, &err), OK, &err);

    size_t cases = 0;
    size_t wrong = 0;
    for (size_t at = 0; at < text.len;) {
        size_t end = str_find(buf_str(&text), '\n', at);
        struct str line = str_slice(buf_str(&text), at, end - at);
        at = end + 1;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        cases++;
        wrong += !run_line(&a, line);
        arena_reset(&a);
    }
    printf("# %zu cases\n", cases);
    CHECK(cases > 0 && wrong == 0);
}

static void test_errors(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    const struct {
        const char *op;
        const char *x;
        const char *y;
        enum status want;
        const char *error;
    } rows[] = {
        {"div", "1", "0", ERR_INVALID, "divide by zero"},
        {"div", "1.5", "0.0", ERR_INVALID, "divide by zero"},
        {"rem", "1", "0", ERR_INVALID, "modulo by zero"},
        {"rem", "1e30", "-0", ERR_INVALID, "modulo by zero"},
        {"rem", "2.5", "2", ERR_INVALID, "modulo on floating-point number"},
        {"and", "7.2", "1", ERR_INVALID, "must be integer number but got floating-point number"},
        {"not", "0.5", "0", ERR_INVALID, "must be integer number but got floating-point number"},
        {"lsh", "1", "-1", ERR_INVALID,
         "must be an unsigned integer number but got a negative integer"},
        {"lsh", "1", "1000001", ERR_LIMIT, "shift count is larger than 1000000"},
        {"lsh", "1", "1000000", ERR_LIMIT, "number is larger than 100000 digits"},
        {"lsh", "1", "332193", ERR_LIMIT, "number is larger than 100000 digits"},
        {"lsh", "1", "332192", OK, NULL},
        {"mul", "1e50000", "1e49999", OK, NULL},
        {"mul", "1e50000", "1e50000", ERR_LIMIT, "number is larger than 100000 digits"},
        {"mul", "1e99999", "1e99999", ERR_LIMIT, "number is larger than 100000 digits"},
        {"add", "1e99999", "1", OK, NULL},
        {"add", "1e100000", "1", ERR_LIMIT, "number is larger than 100000 digits"},
        {"mul", "1e-60000", "1e-60000", ERR_LIMIT, "number is larger than 100000 digits"},
        {"mul", "1e-50000", "1e-50000", OK, NULL},
        {"div", "1e-100000", "3", ERR_LIMIT, "number is larger than 100000 digits"},
        {"div", "3e-100000", "2", OK, NULL},
        {"fmt3", "1", "0", ERR_INVALID, "must be one of {2, 8, 10, 16}"},
        {"fmt10", "99e99999", "0", ERR_LIMIT, "number is larger than 100000 digits"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value out = VALUE_UNDEFINED;
        struct error err = ERROR_INIT;
        char row[64];
        snprintf(row, sizeof(row), "%s %s %s", rows[i].op, rows[i].x, rows[i].y);
        enum status st = run(&a, str_of(rows[i].op), value_number(&a, str_of(rows[i].x)),
                             value_number(&a, str_of(rows[i].y)), &out, &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, row);
        if (rows[i].want != OK) {
            CHECK_STR_ROW(str_of(err.text), str_of(rows[i].error), row);
            CHECK_ROW(!value_is_defined(out), row);
        }
    }
    value out;
    struct error err = ERROR_INIT;
    CHECK(number_add(&a, VALUE_TRUE, value_small_int(1), &out, &err) == ERR_INVALID);
    CHECK_STR(str_of(err.text), STR("must be number but got boolean"));
    CHECK(number_abs(&a, VALUE_UNDEFINED, &out, NULL) == ERR_INVALID);
    CHECK(number_format_int(&a, VALUE_NULL, 10, &(struct str){NULL, 0}, NULL) == ERR_INVALID);
}

static void test_questions(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    const struct {
        const char *text;
        bool integer;
        bool machine;
        int64_t want;
        double number;
    } rows[] = {
        {"7", true, true, 7, 7},
        {"2.0", true, true, 2, 2},
        {"-0", true, true, 0, 0},
        {"1e3", true, false, 0, 1000},
        {"2.5", false, false, 0, 2.5},
        {"25e-1", false, false, 0, 2.5},
        {"9223372036854775807", true, true, INT64_MAX, 9223372036854775807.0},
        {"-9223372036854775808.00", true, true, INT64_MIN, -9223372036854775808.0},
        {"9223372036854775808", true, false, 0, 9223372036854775808.0},
        {"9007199254740993", true, true, 9007199254740993, 9007199254740992.0},
        {"9007199254740993.00000000000000000000000000000001", false, false, 0, 9007199254740994.0},
        {"5e-324", false, false, 0, 5e-324},
        {"2e-324", false, false, 0, 0},
        {"1e400", true, false, 0, HUGE_VAL},
        {"0.1", false, false, 0, 0.1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value v = value_number(&a, str_of(rows[i].text));
        int64_t n = 0;
        CHECK_ROW(number_is_integer(v) == rows[i].integer, rows[i].text);
        CHECK_ROW(number_machine_int(v, &n) == rows[i].machine && n == rows[i].want, rows[i].text);
        CHECK_ROW(number_double(v) == rows[i].number, rows[i].text);
    }
    int64_t n;
    CHECK(!number_is_integer(VALUE_NULL) && !number_machine_int(VALUE_NULL, &n));
    CHECK(number_is_valid(STR("1e999999")) && !number_is_valid(STR("1.")));

    /* a midpoint of two doubles with a one far behind it, as far as the digits go */
    char text[1200];
    int len = snprintf(text, sizeof(text), "%.1074f", 5e-324 / 1);
    CHECK(len > 1000 && number_double(value_number(&a, str_of(text))) == 5e-324);
}

/* (10^n - 1)^2 is 99...980...01: long enough for every way to multiply, read and print. */
static void test_long(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    const size_t sizes[] = {19, 100, 761, 999, 1000, 1001, 1601, 3000, 7777, 25000, 50000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        char *nines = arena_alloc(&a, n);
        char *want = arena_alloc(&a, 2 * n);
        memset(nines, '9', n);
        memset(want, '9', n - 1);
        want[n - 1] = '8';
        memset(want + n, '0', n - 1);
        want[2 * n - 1] = '1';

        char row[32];
        snprintf(row, sizeof(row), "%zu nines", n);
        value x = value_number(&a, str_bytes(nines, n));
        value square = VALUE_UNDEFINED;
        value out = VALUE_UNDEFINED;
        char scratch[VALUE_NUMBER_SCRATCH];
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(number_mul(&a, x, x, &square, &err), OK, &err, row);
        CHECK_STR_ROW(value_number_text(square, scratch), str_bytes(want, 2 * n), row);
        CHECK_STATUS_ROW(number_rem(&a, square, x, &out, &err), OK, &err, row);
        CHECK_ROW(out.word == value_small_int(0).word, row);

        /* x * 7 is 69...93 */
        want[0] = '6';
        memset(want + 1, '9', n - 1);
        want[n] = '3';
        CHECK_STATUS_ROW(number_mul(&a, x, value_small_int(7), &out, &err), OK, &err, row);
        CHECK_STR_ROW(value_number_text(out, scratch), str_bytes(want, n + 1), row);
        arena_reset(&a);
    }
}

static void test_no_memory(void)
{
    CLEANUP(arena_done) struct arena keep;
    arena_init(&keep, MEMORY);
    value x = value_number(&keep, STR("123456789012345678901234567890"));
    value y = value_number(&keep, STR("1.5e-300"));
    const char *ops[] = {"add", "sub", "mul", "div", "rem", "and", "lsh", "rsh", "abs", "fmt16"};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        bool needs_integer = i >= 4;
        bool done = false;
        for (long n = 1; !done && n < 50; n++) {
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, MEMORY);
            value out = VALUE_UNDEFINED;
            struct error err = ERROR_INIT;
            value second = i == 6 || i == 7 ? value_small_int(5) : needs_integer ? x : y;
            tap_fail_malloc_after(n);
            enum status st = run(&a, str_of(ops[i]), x, second, &out, &err);
            tap_fail_malloc_after(0);
            done = st == OK;
            if (!done && (st != ERR_NOMEM || value_is_defined(out)))
                CHECK_STATUS_ROW(st, ERR_NOMEM, &err, ops[i]);
        }
        CHECK_ROW(done, ops[i]);
    }
}

int main(int argc, char **argv)
{
    test_cases(argc > 1 ? argv[1] : tap_source("tests/unit/value/number_cases.txt"));
    if (argc == 1) {
        test_errors();
        test_questions();
        test_long();
        test_no_memory();
    }
    return tap_done();
}
