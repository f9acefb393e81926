/*
 * An event log, binary or as text, with names in UTF-16 (text_from_utf16).  Property: parts lie
 * inside, a log that parses replays, and its claims have an entry for each event that was measured.
 */
#include <stdlib.h>

#include "eventlog/eventlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct digest d = {.len = 0};
    value claims;
    if (aael_parse(&a, input, &d, &claims, NULL) == OK && (d.len < 32 || !value_is_object(claims)))
        abort();

    struct eventlog log;
    struct error err = ERROR_INIT;
    if (eventlog_parse(&a, input, &log, &err) != OK) {
        if (err.text[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < log.len; i++)
        if (log.events[i].data.len > size || event_type_name(log.events[i].type) == NULL)
            abort();
    if (eventlog_replay(&log, 1, EVENT_ALG_SHA384, &d) != OK || d.len != 48)
        abort();
    const struct replayed everything = {EVENTLOG_ALL, 0}, td = {4, EVENT_ALG_SHA384};
    if (eventlog_claims(&a, &log, everything, &claims, &err) == OK && value_len(claims) != log.len)
        abort();
    /* What is told of a TD was measured, or measures nothing. */
    for (size_t i = 0; i < log.len; i++) {
        const struct event *e = &log.events[i];
        bool measured = false;
        for (size_t k = 0; k < e->digest_count; k++)
            measured = measured || e->digests[k].alg == EVENT_ALG_SHA384;
        if (event_is_told(e, td) && e->type != 3 && (!measured || e->index < 1 || e->index > 4))
            abort();
    }
    if (!value_is_object(eventlog_ccel(&a, &log, everything)) && arena_status(&a) == OK)
        abort();
    return 0;
}
