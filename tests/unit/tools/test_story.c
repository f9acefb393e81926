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
        {"{\"op\":\"replace\",\"path\":\"/data/a b/c\",\"value\":null}",
         "data[\"a b\"].c: set to null"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        CLEANUP(buf_done) struct buf out;
        arena_init(&a, 65536);
        buf_init(&out, 65536);
        story_operation(&out, parse(&a, rows[i].operation));
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
         "        left      \"x\"\n        right     \"y\"\n"},
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
        /* Behind the headline, the title, the rule and its expression. */
        struct str below = buf_str(&out);
        for (int n = 0; n < 4; n++)
            below = str_from(below, str_find(below, '\n', 0) + 1);
        CHECK_STR_ROW(below, str_of(rows[i].want), rows[i].rule);
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
            "An attestation was granted, with the status warning (T, decision 2)\n"
            "  reason    the policy gives a warning\n"
            "  check     reference-value\n"
            "  field     /input/t/pcr08\n"
            "  expected  [\"aa\"]\n"
            "  actual    \"bb\"\n"
            "  expired   reference value pcr08, on 2025-12-12T00:00:00Z: it would have counted\n"
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
    test_whole();
    check_story("a check and both values",
                "{" HEAD ",\"check\":\"c\",\"message\":\"m\",\"field\":\"/f\",\"expected\":[1],"
                "\"actual\":null}",
                FIRST "  reason    m\n  check     c\n  field     /f\n  expected  [1]\n"
                      "  actual    null\n");
    check_story("an undefined side is said",
                "{" HEAD
                ",\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":3,\"expression\":\"e\","
                "\"right\":1}]}",
                FIRST "  rules tried, and the first expression of each that did not hold:\n"
                      "    r (f:3)\n      e\n        left      undefined\n        right     1\n");
    check_story("no comparison has no sides",
                "{" HEAD
                ",\"rules\":[{\"rule\":\"r\",\"file\":\"f\",\"row\":3,\"expression\":\"e\"}]}",
                FIRST "  rules tried, and the first expression of each that did not hold:\n"
                      "    r (f:3)\n      e\n");
    check_story("nothing acts on the terminal: CSI of C1, a bidi override, a line of its own",
                "{" HEAD
                ",\"message\":\"\\u009b31m\\u202e\\n  check     forged\",\"actual\":\"\\u009b\"}",
                FIRST "  reason    \\u009b31m\\u202e\\u000a  check     forged\n"
                      "  actual    \"\\u009b\"\n");
    check_story("an expired value, and the change",
                "{" HEAD ",\"expired\":[{\"name\":\"n\",\"expiration\":\"E\"}],\"change\":[{\"op\":"
                "\"add\",\"path\":\"/reference-values/n\",\"value\":[\"v\"]}]}",
                FIRST "  expired   reference value n, on E: it would have counted\n"
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
