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
#define FIRST "resource denied at T, decision 1\n"

int main(void)
{
    check_story("a check and both values",
                "{" HEAD ",\"check\":\"c\",\"message\":\"m\",\"field\":\"/f\",\"expected\":[1],"
                "\"actual\":null}",
                FIRST "  check     c\n  reason    m\n  field     /f\n  expected  [1]\n"
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
                FIRST "  expired   reference value n, on E\n"
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
