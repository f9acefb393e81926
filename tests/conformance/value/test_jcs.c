/*
 * RFC 8785 (JCS): the test data of cyberphone/json-canonicalization, and the
 * double formatting samples of the RFC's appendix B.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "tap.h"
#include "value/json.h"

#define MEMORY (64u << 20)

static bool read_shared(const char *folder, const char *name, struct buf *out)
{
    char relative[256];
    snprintf(relative, sizeof(relative), "conformance/jcs/testdata/%s/%s", folder, name);
    const char *path = tap_shared(relative);
    struct error err = ERROR_INIT;
    return path != NULL && CHECK_STATUS_ROW(file_read(path, out, &err), OK, &err, relative);
}

static void test_files(void)
{
    const char *names[] = {"arrays", "french", "structures", "unicode", "values", "weird"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        CLEANUP(buf_done) struct buf input;
        CLEANUP(buf_done) struct buf output;
        CLEANUP(buf_done) struct buf hex;
        buf_init(&input, 1 << 20);
        buf_init(&output, 1 << 20);
        buf_init(&hex, 1 << 20);
        char json[64];
        char text[64];
        snprintf(json, sizeof(json), "%s.json", names[i]);
        snprintf(text, sizeof(text), "%s.txt", names[i]);
        if (!read_shared("input", json, &input) || !read_shared("output", json, &output) ||
            !read_shared("outhex", text, &hex))
            continue;

        value v = VALUE_UNDEFINED;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(json_parse(&a, buf_str(&input), NULL, &v, &err), OK, &err, names[i]);
        struct str got = json_text(&a, v, JSON_CANONICAL);
        CHECK_STR_ROW(got, str_trim(buf_str(&output)), names[i]);

        /* the same bytes as hexadecimal numbers */
        size_t at = 0;
        char *p = hex.ptr;
        buf_add_byte(&hex, '\0');
        for (char *end; at < got.len; at++, p = end) {
            unsigned long byte = strtoul(p, &end, 16);
            if (end == p || byte != (unsigned char)got.ptr[at])
                break;
        }
        CHECK_ROW(at == got.len, names[i]);
    }
}

/* RFC 8785, appendix B: the bits of a double and its text. */
static void test_numbers(void)
{
    const struct {
        uint64_t bits;
        const char *want; /* NULL: no form */
    } rows[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MEMORY);
        double x;
        memcpy(&x, &rows[i].bits, sizeof(x));
        struct str text = arena_format(&a, "%.17g", x);
        value v = value_number(&a, text);
        CHECK_STR_ROW(json_text(&a, v, JSON_CANONICAL), str_of(rows[i].want), rows[i].want);
    }
}

int main(void)
{
    test_files();
    test_numbers();
    return tap_done();
}
