/* The text log of agents up to v0.14: attestation-service.md 14.9. */
#include "base/encode.h"
#include "eventlog/eventlog.h"
#include "tap.h"
#include "value/json.h"

#define ZEROS                                                                                      \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0"                                                                                            \
    "000"
#define INIT "INIT sha384/" ZEROS "\n"
#define MANY 50000

static void test_rows(void)
{
    const struct {
        const char *name, *text;
        const char *claims; /* NULL: refused */
    } rows[] = {
        {"no events", INIT, "{}"},
        {"one event", INIT "d o c\n", "{\"d/o\":[\"c\"]}"},
        {"without the last line break", INIT "d o c", "{\"d/o\":[\"c\"]}"},
        {"names apart, contents in the order of the log",
         INIT "d o 2\nb x 1\nd o 1\nd n 3\nd o 2\n",
         "{\"b/x\":[\"1\"],\"d/n\":[\"3\"],\"d/o\":[\"2\",\"1\",\"2\"]}"},
        {"names that are spelt alike", INIT "a/b c 1\na b/c 2\n", "{\"a/b/c\":[\"1\",\"2\"]}"},
        {"two words", INIT "d o\n", NULL},
        {"four words", INIT "d o c e\n", NULL},
        {"two spaces", INIT "d  o c\n", NULL},
        {"an empty line", INIT "\nd o c\n", NULL},
        {"no INIT", "d o c\n", NULL},
        {"INIT of another form", "INIT/sha384 " ZEROS "\n", NULL},
        {"INIT that is cut", "INIT sha384/00\n", NULL},
        {"SM3", "INIT sm3/0000000000000000000000000000000000000000000000000000000000000000\n",
         NULL},
        {"no UTF-8", INIT "d o \xff\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct digest rtmr;
        value claims;
        enum status st = aael_parse(&a, str_of(rows[i].text), &rtmr, &claims, NULL);
        CHECK_ROW(st == (rows[i].claims == NULL ? ERR_INVALID : OK), rows[i].name);
        if (st == OK)
            CHECK_STR_ROW(json_text(&a, claims, JSON_COMPACT), str_of(rows[i].claims),
                          rows[i].name);
    }
}

/* Memory, and with it time, grow with the length of the log, not with its square. */
static void test_many(void)
{
    for (int distinct = 0; distinct < 2; distinct++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, AAEL_LEN_MAX);
        buf_add_cstr(&text, INIT);
        for (int i = 0; i < MANY; i++)
            buf_add_format(&text, "d%d o c\n", distinct * i);
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 24 << 20);
        struct digest rtmr;
        value claims;
        CHECK(aael_parse(&a, buf_str(&text), &rtmr, &claims, NULL) == OK);
        CHECK(value_len(claims) == (distinct == 1 ? MANY : 1));
    }
}

int main(void)
{
    test_rows();
    test_many();
    return tap_done();
}
