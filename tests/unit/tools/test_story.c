/* The story of a decision as people read it. */
#include <stdio.h>

#include "tools/story.h"
#include "tap.h"
#include "value/json.h"

static void check_story(const char *name, const char *decision, const char *want)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(&a, str_of(decision), NULL, &v, &err), OK, &err, name);
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    story_write(&out, v, VALUE_UNDEFINED);
    if (!CHECK_ROW(str_equal(buf_str(&out), str_of(want)), name))
        printf("# got %s\n", QUOTED(str_from(buf_str(&out), 0)));
}

#define HEAD "\"kind\":\"resource\",\"outcome\":\"denied\",\"time\":\"T\",\"id\":\"1\""
#define FIRST "A request for a resource was denied (T, decision 1)\n"
#define NO_CHANGE "  no small change is known with which it would have passed\n"

static value parse(struct arena *a, const char *text)
{
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS(json_parse(a, str_of(text), NULL, &v, &err), OK, &err);
    return v;
}

static void test_operations(void)
{
    static const struct {
        const char *operation, *want;
    } rows[] = {
        {"{\"op\":\"add\",\"path\":\"/reference-values/pcr08/-\",\"value\":\"bb\"}",
         "reference value pcr08: also accept \"bb\""},
        {"{\"op\":\"add\",\"path\":\"/reference-values/pcr08\",\"value\":[\"bb\"]}",
         "reference value pcr08: register [\"bb\"]"},
        {"{\"op\":\"replace\",\"path\":\"/reference-values/min\",\"value\":4}",
         "reference value min: set to 4"},
        {"{\"op\":\"remove\",\"path\":\"/reference-values/bad/1\",\"value\":\"x\"}",
         "reference value bad: no longer list \"x\""},
        {"{\"op\":\"remove\",\"path\":\"/reference-values/bad\"}",
         "reference value bad: remove it"},
        {"{\"op\":\"add\",\"path\":\"/reference-values/a~1b/-\",\"value\":1}",
         "reference value a/b: also accept 1"},
        {"{\"op\":\"replace\",\"path\":\"/input/az-snp-vtpm/tpm/pcr08\",\"value\":\"bb\"}",
         "input[\"az-snp-vtpm\"].tpm.pcr08 would have to be \"bb\""},
        {"{\"op\":\"replace\",\"path\":\"/input/t/list/1/n\",\"value\":2}",
         "input.t.list[1].n would have to be 2"},
        {"{\"op\":\"add\",\"path\":\"/input/t/parts/-\",\"value\":\"r\"}",
         "input.t.parts would have to list, too: \"r\""},
        {"{\"op\":\"remove\",\"path\":\"/input/t/parts/0\",\"value\":\"r\"}",
         "input.t.parts would have to be without \"r\""},
        {"{\"op\":\"remove\",\"path\":\"/input/t/debug\"}",
         "input.t.debug would have to be absent"},
        {"{\"op\":\"add\",\"path\":\"/data/allowed/-\",\"value\":\"u\"}",
         "data.allowed: also list \"u\""},
        {"{\"op\":\"replace\",\"path\":\"/data/resource-path\",\"value\":\"resource/a/b/c\"}",
         "the request would have to be for \"resource/a/b/c\""},
        {"{\"op\":\"replace\",\"path\":\"/data/a b/c\",\"value\":null}",
         "data[\"a b\"].c: set to null"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf out;
        arena_init(&a, 65536);
        buf_init(&out, 65536);
        story_operation(&out, parse(&a, rows[i].operation), false);
        CHECK_STR_ROW(buf_str(&out), str_of(rows[i].want), rows[i].operation);
    }
}

/* The lines below an expression. */
static void test_sides(void)
{
    static const struct {
        const char *rule, *want;
    } rows[] = {
        {"\"expression\":\"input.t.svn >= 5\",\"left\":4,\"right\":5",
         "        input.t.svn is 4\n"},
        {"\"expression\":\"input.t.a in query_reference_value(\\\"a == "
         "b\\\")\",\"left\":1,\"right\":[2]",
         "        input.t.a is 1\n        query_reference_value(\"a == b\") is [2]\n"},
        {"\"expression\":\"input.t.a in data.reference.a\",\"left\":1",
         "        input.t.a is 1\n        data.reference.a is undefined\n"},
        {"\"expression\":\"not input.t.debug\",\"left\":true", "        input.t.debug is true\n"},
        {"\"expression\":\"input.t.debug\"", ""},
        {"\"expression\":\"count(deny) == 0\",\"left\":2,\"right\":0",
         "        count(deny) is 2\n"},
        {"\"expression\":\"some x in input.l\",\"left\":\"q\",\"right\":[\"q\"]",
         "        x is \"q\"\n        input.l is [\"q\"]\n"},
        {"\"expression\":\"startswith(input.a, input.b)\",\"left\":\"x\",\"right\":\"y\"",
         "        input.a is \"x\"\n        input.b is \"y\"\n"},
        {"\"expression\":\"startswith(input.a, \\\"7,\\\")\",\"left\":\"x\",\"right\":\"7,\"",
         "        input.a is \"x\"\n"},
        {"\"expression\":\"f(input.a) - g(1, 2)\",\"left\":1,\"right\":2",
         "        left      1\n        right     2\n"},
        {"\"expression\":\"input.a[k] in data.reference[k]\"", "        input.a[k] is undefined\n"},
        {"\"expression\":\"x := input.a.b\"", "        input.a.b is undefined\n"},
        {"\"expression\":\"input.a in {\\\"0\\\", "
         "\\\"1\\\"}\",\"left\":\"2\",\"right\":[\"0\",\"1\"]",
         "        input.a is \"2\"\n"},
        {"\"expression\":\"a - b == set()\",\"left\":[1],\"right\":[],\"lacking\":[1]",
         "        a - b is [1]\n"},
        {"\"expression\":\"count(a - b) == 0\",\"left\":1,\"right\":0,\"lacking\":[\"x\"]",
         "        count(a - b) is 1\n        lacking   [\"x\"]\n"},
        {"\"expression\":\"f(\\\"unfinished\",\"left\":1", "        f(\"unfinished is 1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf out;
        arena_init(&a, 65536);
        buf_init(&out, 65536);
        struct str text = arena_format(
            &a, "{\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":7,%s}]}", rows[i].rule);
        story_write(&out, parse(&a, text.ptr), VALUE_UNDEFINED);
        /* Behind the headline, that no change is known, the title, the rule and its expression. */
        struct str below = buf_str(&out);
        for (int n = 0; n < 5; n++)
            below = str_from(below, str_find(below, '\n', 0) + 1);
        CHECK_STR_ROW(below, str_of(rows[i].want), rows[i].rule);
    }
}

/* What was wanted of the actual value, in words. */
static void test_wanted(void)
{
    static const struct {
        const char *expression, *left, *right, *actual, *expected, *want;
    } rows[] = {
        {"input.a == 1", "2", "1", "2", "1", "1"},
        {"1 == input.a", "1", "2", "2", "1", "1"},
        {"input.a != 1", "1", "1", "1", "1", "something else than 1"},
        {"not input.a == 1", "1", "1", "1", "1", "something else than 1"},
        {"input.a >= 4", "1", "4", "1", "4", "at least 4"},
        {"4 <= input.a", "4", "1", "1", "4", "at least 4"},
        {"input.a < 4", "5", "4", "5", "4", "less than 4"},
        {"not input.a < 4", "3", "4", "3", "4", "at least 4"},
        {"4 > input.a", "4", "5", "5", "4", "less than 4"},
        {"input.a in input.b", "1", "[2]", "1", "[2]", "one of [2]"},
        {"not input.a in input.b", "1", "[1]", "1", "[1]", "none of [1]"},
        {"3 in input.b", "3", "[2]", "[2]", "3", "to list 3"},
        {"startswith(input.a, input.b)", "1", "2", "1", "2", NULL},
        {"another == 9", "8", "9", "1", "2", "2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf out;
        arena_init(&a, 65536);
        buf_init(&out, 65536);
        struct str text = arena_format(
            &a,
            "{\"actual\":%s,\"expected\":%s,\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":7,"
            "\"expression\":\"%s\",\"left\":%s,\"right\":%s}]}",
            rows[i].actual, rows[i].expected, rows[i].expression, rows[i].left, rows[i].right);
        story_write(&out, parse(&a, text.ptr), VALUE_UNDEFINED);
        buf_add_byte(&out, '\0');
        const char *at = strstr(out.ptr, "  expected  ");
        CHECK_ROW((at == NULL) == (rows[i].want == NULL), rows[i].expression);
        if (at != NULL && rows[i].want != NULL)
            CHECK_STR_ROW(str_slice(str_of(at + 12), 0, strcspn(at + 12, "\n")),
                          str_of(rows[i].want), rows[i].expression);
    }
}

static void test_whole(void)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf out;
    arena_init(&a, 65536);
    buf_init(&out, 65536);
    value cause = parse(
        &a, "{\"id\":\"2\",\"time\":\"T\",\"kind\":\"attestation\",\"outcome\":\"granted\","
            "\"status\":\"warning\",\"check\":\"reference-value\",\"field\":\"/input/t/pcr08\","
            "\"expected\":[\"aa\"],\"actual\":\"bb\",\"message\":\"the policy gives a warning\","
            "\"expired\":[{\"name\":\"pcr08\",\"expiration\":\"2025-12-12T00:00:00Z\"}],"
            "\"change\":[{\"op\":\"add\",\"path\":\"/reference-values/pcr08/-\",\"value\":\"bb\"}],"
            "\"rules\":[{\"rule\":\"data.policy.executables\",\"file\":\"default.rego\",\"row\":3,"
            "\"expression\":\"input.t.pcr08 in\\n\\t\\tdata.reference.pcr08\",\"left\":\"bb\","
            "\"right\":[\"aa\"]}],\"anchors\":[\"0d\"],\"notes\":[\"n\"]}");
    value decision = parse(&a, "{\"id\":\"1\",\"time\":\"T\",\"kind\":\"resource\",\"outcome\":"
                               "\"denied\",\"check\":\"policy\",\"message\":\"no\"}");
    story_write(&out, decision, cause);
    CHECK_STR(
        buf_str(&out),
        STR("A request for a resource was denied (T, decision 1)\n"
            "  reason    no\n"
            "  check     policy\n"
            "\n"
            "It rests on this attestation:\n"
            "An attestation was verified, but not affirmed: its status is warning (T, decision 2)\n"
            "  reason    the policy gives a warning\n"
            "  check     reference-value\n"
            "  field     /input/t/pcr08\n"
            "  expected  one of [\"aa\"]\n"
            "  actual    \"bb\"\n"
            "  expired   reference value pcr08: it would have counted until 2025-12-12T00:00:00Z\n"
            "  the smallest change that would have passed:\n"
            "    reference value pcr08: also accept \"bb\"\n"
            "  rules tried, and the first expression of each that did not hold:\n"
            "    data.policy.executables (default.rego:3)\n"
            "      input.t.pcr08 in\n"
            "      data.reference.pcr08\n"
            "        input.t.pcr08 is \"bb\"\n"
            "        data.reference.pcr08 is [\"aa\"]\n"
            "  anchor    0d\n"
            "  note      n\n"));
}

int main(void)
{
    test_operations();
    test_sides();
    test_wanted();
    test_whole();
    check_story(
        "a path, and rules that held where they should not",
        "{" HEAD ",\"path\":\"/kbs/v0/resource/a/b/c\",\"field\":\"/data/policy/bad\","
        "\"actual\":true,\"rules\":["
        "{\"rule\":\"r.bad\",\"file\":\"f\",\"row\":9,\"expression\":\"input.y\"},"
        "{\"rule\":\"r.allow\",\"file\":\"f\",\"row\":3,\"expression\":\"not bad\","
        "\"left\":true}],\"held\":["
        "{\"rule\":\"r.bad\",\"file\":\"f\",\"row\":7,\"expression\":\"input.x == 1\","
        "\"left\":1,\"right\":1},"
        "{\"rule\":\"r.bad\",\"file\":\"f\",\"row\":8,\"expression\":\"m := \\\"why\\\"\"}]}",
        "A request for the resource a/b/c was denied (T, decision 1)\n"
        "  field     /data/policy/bad\n  actual    true\n" NO_CHANGE
        "  rules tried, and the first expression of each that did not hold:\n"
        "    r.allow (f:3)\n      not bad\n        bad is true\n"
        "  because these hold:\n"
        "    r.bad (f:7)\n      input.x == 1\n        input.x is 1\n"
        "    r.bad (f:8)\n      m := \"why\"\n");
    check_story("a value that is one of many",
                "{" HEAD
                ",\"change\":[{\"op\":\"replace\",\"path\":\"/input/t/m\",\"value\":\"\"}],"
                "\"examples\":[\"/input/t/m\"]}",
                FIRST "  the smallest change that would have passed:\n"
                      "    input.t.m would have to be something else, such as \"\"\n");
    check_story("what is not there",
                "{" HEAD
                ",\"field\":\"/input/t/x\",\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":3,"
                "\"expression\":\"input.t[k] == k\"}]}",
                FIRST "  field     /input/t/x\n  actual    nothing: it is not there\n" NO_CHANGE
                      "  rules tried, and the first expression of each that did not hold:\n"
                      "    r (f:3)\n      input.t[k] == k\n        input.t[k] is undefined\n");
    check_story("a check and both values",
                "{" HEAD ",\"check\":\"c\",\"message\":\"m\",\"field\":\"/f\",\"expected\":[1],"
                "\"actual\":null}",
                FIRST "  reason    m\n  check     c\n  field     /f\n  expected  [1]\n"
                      "  actual    null\n");
    check_story(
        "an undefined side is said",
        "{" HEAD ",\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":3,\"expression\":\"e\","
        "\"right\":1}]}",
        FIRST NO_CHANGE "  rules tried, and the first expression of each that did not hold:\n"
                        "    r (f:3)\n      e\n        left      undefined\n        right     1\n");
    check_story(
        "no comparison has no sides",
        "{" HEAD ",\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":3,\"expression\":\"e\"}]}",
        FIRST NO_CHANGE "  rules tried, and the first expression of each that did not hold:\n"
                        "    r (f:3)\n      e\n");
    check_story("nothing acts on the terminal: CSI of C1, a bidi override, a line of its own",
                "{" HEAD
                ",\"message\":\"\\u009b31m\\u202e\\n  check     forged\",\"actual\":\"\\u009b\"}",
                FIRST "  reason    \\u009b31m\\u202e\\u000a  check     forged\n"
                      "  actual    \"\\u009b\"\n");
    check_story("an expired value, and the change",
                "{" HEAD ",\"expired\":[{\"name\":\"n\",\"expiration\":\"E\"}],\"change\":[{\"op\":"
                "\"add\",\"path\":\"/reference-values/n\",\"value\":[\"v\"]}]}",
                FIRST "  expired   reference value n: it would have counted until E\n"
                      "  the smallest change that would have passed:\n"
                      "    reference value n: register [\"v\"]\n");
    /* Cut between characters, and counted in them: 99 of two bytes follow the quote. */
    char decision[1024] = "{" HEAD ",\"actual\":\"", want[1024] = FIRST "  actual    \"";
    for (int i = 0; i < 120; i++)
        strcat(decision, "\xc3\xa9");
    strcat(decision, "\"}");
    for (int i = 0; i < 99; i++)
        strcat(want, "\xc3\xa9");
    strcat(want, "... (122 characters)\n");
    check_story("a long value", decision, want);
    return tap_done();
}
