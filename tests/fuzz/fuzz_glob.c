/*
 * Globs: the input is a pattern and a text, split at the first NUL.  Whatever
 * compiles can be matched; a text is matched by itself with all its special
 * characters quoted, and by "**".
 */
#include <stdlib.h>

#include "base/buf.h"
#include "rego/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool matches(struct str pattern, struct str text)
{
    static const uint32_t dot[] = {'.'};
    CLEANUP(glob_cleanup) struct glob *g = NULL;
    bool result = false;
    must(glob_compile(pattern, dot, 1, &g, NULL) == OK && glob_match(g, text, NULL, &result) == OK);
    return result;
}

static void check_quoted(struct str text)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 2 * text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\0' && strchr("*?\\[]{}", text.ptr[i]) != NULL)
            buf_add_byte(&b, '\\');
        buf_add_byte(&b, text.ptr[i]);
    }
    must(matches(buf_str(&b), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2000)
        return 0;
    struct str input = str_bytes(data, size);
    size_t split = str_find(input, '\0', 0);
    struct str pattern = str_slice(input, 0, split);
    struct str text = str_from(input, split + 1);

    CLEANUP(glob_cleanup) struct glob *g = NULL;
    bool result = false;
    if (glob_compile(pattern, NULL, 0, &g, NULL) == OK) {
        must(glob_size(g) <= 4 * pattern.len + 8);
        must(glob_match(g, text, NULL, &result) == OK);
    }
    check_quoted(text);
    must(matches(STR("**"), text));
    return 0;
}
