/*
 * A deny list in each of its formats (the first byte chooses).  Properties: an
 * entry that was read has a reason, an end and a criterion; the length is
 * bounded; a refused list has a text, and inside a document a place.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "verifier/deny_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum document_format formats[] = {DOCUMENT_TOML, DOCUMENT_YAML, DOCUMENT_JSON};
    if (size == 0 || size > 65536)
        return 0;
    struct str text = str_bytes(data + 1, size - 1);
    CLEANUP(deny_list_cleanup) struct deny_list *l = NULL;
    struct error err = ERROR_INIT;
    enum status st = deny_list_parse(text, formats[data[0] % ARRAY_LEN(formats)], &l, &err);
    if (st != OK) {
        check(l == NULL && err.text[0] != '\0');
        return 0;
    }
    size_t n;
    const struct deny_entry *entries = deny_list_entries(l, &n);
    check(n <= DENY_ENTRIES_MAX && n == deny_list_len(l));
    for (size_t i = 0; i < n; i++) {
        const struct deny_entry *e = &entries[i];
        int64_t ns;
        check(e->reason.len > 0 && e->kinds != 0 && e->kinds < 1u << DENY_KINDS);
        check(time_parse_rfc3339(e->expires, &ns, NULL) == OK && e->expires_s == ns / NS_PER_S);
        for (unsigned k = DENY_CHIP_ID; k < DENY_KINDS; k++)
            check((e->kinds >> k & 1) == 0 || k == DENY_TCB || k > DENY_FMSPC ||
                  e->bytes[k].len > 0);
        check(e->component < DENY_TCB_COUNT);
    }
    return 0;
}
