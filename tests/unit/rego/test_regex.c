/*
 * The layer over RE2: a text without the bytes that every match contains is not
 * handed to RE2.  In a group, where no such bytes are looked for, a pattern must
 * say the same.
 */
#include <stdio.h>

#include "base/buf.h"
#include "rego/regex.h"
#include "tap.h"

#define PATTERNS 20000
#define TEXTS 8

static uint32_t state = 1;

static uint32_t draw(uint32_t n)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % n;
}

static const char *const pieces[] = {
    "a",        "b",       "ab",        "ba",    "-",        "/",      "{",       "}",
    ":",        "a*",      "b?",        "a+",    "b{2}",     "a{0,1}", "{|}",     "b{,2}",
    ".",        "^",       "$",         "\\b",   "[ab]",     "[^a]",   "[]a]",    "[[:alpha:]]",
    "[a\\]b]",  "(a|b)",   "(?:ab)",    "(ab)*", "\\.",      "\\/",    "|",       "(?i)",
    "(?P<n>a)", "\\x61",   "\\Qa|b\\E", "\\pL",  "\xc3\xa9", "(",      ")",       "[a",
    "\\d",      "(?i:ab)", "[(]",       "(\\))", "([)])",    "\\(",    "ab{1,2}", "?",
    "*",        "+",
};

static void make(struct buf *b, const char *const *list, size_t n, uint32_t len)
{
    buf_reset(b);
    for (uint32_t i = 0; i < len; i++)
        buf_add_cstr(b, list[draw((uint32_t)n)]);
}

int main(void)
{
    static const char *const letters[] = {"a", "b", "ab",       "-", "/", "{", "}", ":",  "|",  ".",
                                          "1", "A", "\xc3\xa9", "(", ")", "[", "]", "ba", "aab"};
    struct buf p, grouped, t;
    buf_init(&p, 4096);
    buf_init(&grouped, 4096);
    buf_init(&t, 4096);
    unsigned compiled = 0, matched = 0, differ = 0;
    for (int i = 0; i < PATTERNS; i++) {
        make(&p, pieces, ARRAY_LEN(pieces), 1 + draw(6));
        buf_reset(&grouped);
        buf_add_format(&grouped, "(?:%.*s)", STR_ARG(buf_str(&p)));
        CLEANUP(regex_cleanup) struct regex *bare = NULL;
        CLEANUP(regex_cleanup) struct regex *plain = NULL;
        if (regex_new(buf_str(&p), &bare, NULL) != OK ||
            regex_new(buf_str(&grouped), &plain, NULL) != OK)
            continue;
        compiled++;
        for (int k = 0; k < TEXTS; k++) {
            make(&t, letters, ARRAY_LEN(letters), draw(8));
            struct str text = buf_str(&t);
            bool want = regex_match(plain, text, 0, NULL, 0);
            matched += want;
            bool same = regex_match(bare, text, 0, NULL, 0) == want &&
                        regex_full_match(bare, text) == regex_full_match(plain, text);
            differ += !same;
            if (!same && differ < 5)
                printf("# %.*s in %.*s\n", STR_ARG(buf_str(&p)), STR_ARG(text));
        }
    }
    CHECK(compiled > PATTERNS / 4);
    CHECK(matched > PATTERNS / 4);
    CHECK(differ == 0);
    buf_done(&p);
    buf_done(&grouped);
    buf_done(&t);
    return tap_done();
}
