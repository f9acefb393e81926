/*
 * The agent's event log as text, of guests up to v0.14 (aael_parse).  Property:
 * its register is as long as its algorithm's digest, its claims are an object,
 * and the same text gives the same register again.
 */
#include <stdlib.h>

#include "eventlog/eventlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct str input = str_bytes(data, size);
    struct digest d = {.len = 0}, again = {.len = 0};
    value claims;
    struct error err = ERROR_INIT;
    if (aael_parse(&a, input, &d, &claims, &err) != OK) {
        check(err.text[0] != '\0');
        return 0;
    }
    check(d.len >= 32 && value_is_object(claims));
    check(aael_parse(&a, input, &again, &claims, NULL) == OK &&
          str_equal(digest_str(&d), digest_str(&again)));
    return 0;
}
