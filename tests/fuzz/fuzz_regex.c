/*
 * Regular expressions: the input is a pattern and a text, split at the first
 * NUL.  Groups of a match lie within the whole and the whole within the text;
 * a text that matches as a whole has a match that begins at its start or later.
 */
#include <stdlib.h>

#include "rego/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1000)
        return 0;
    struct str input = str_bytes(data, size);
    size_t split = str_find(input, '\0', 0);
    struct str text = str_from(input, split + 1);

    CLEANUP(regex_cleanup) struct regex *re = NULL;
    struct error err = ERROR_INIT;
    enum status st = regex_new(str_slice(input, 0, split), &re, &err);
    if (st != OK) {
        must(st == ERR_INVALID && err.text[0] != '\0');
        return 0;
    }
    must(regex_size(re) <= REGEX_PROGRAM_MAX);
    size_t groups = regex_groups(re);
    struct re2_span *spans = calloc(groups + 1, sizeof(*spans));
    must(spans != NULL);
    bool found = regex_match(re, text, 0, spans, groups + 1);
    must(found || !regex_full_match(re, text));
    must(!found || (spans[0].begin <= spans[0].end && spans[0].end <= text.len));
    for (size_t i = 1; found && i <= groups; i++)
        must(spans[i].begin == SIZE_MAX ||
             (spans[i].begin >= spans[0].begin && spans[i].end <= spans[0].end));
    free(spans);
    return 0;
}
