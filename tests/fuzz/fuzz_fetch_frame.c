/*
 * What comes over the socket pair between a server and its claviger-fetch:
 * each message that is read is, written again, the same bytes; frames are
 * found alike at every split.
 */
#include <stdlib.h>

#include "net/fetch_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static void check_frames(struct str in)
{
    struct str content = STR_EMPTY, part = STR_EMPTY;
    size_t used = 0, part_used = 0;
    enum fetch_frame whole = fetch_next_frame(in, &content, &used);
    for (size_t n = 0; n <= in.len; n++) {
        enum fetch_frame got = fetch_next_frame(str_slice(in, 0, n), &part, &part_used);
        PROPERTY(got == FETCH_FRAME_MORE || got == whole);
        PROPERTY(got != FETCH_FRAME_DONE || (part_used == used && str_equal(part, content)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fetch_config config; /* 4 KB */
    struct fetch_job job;
    struct fetch_result result;
    struct str in = str_bytes(data, size > 4096 ? 4096 : size);
    check_frames(in);

    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    if (fetch_read_config(in, &config))
        fetch_write_config(&b, &config);
    else if (fetch_read_job(in, &job))
        fetch_write_job(&b, &job);
    else if (fetch_read_result(in, &result))
        fetch_write_result(&b, &result);
    else
        return 0;
    PROPERTY(buf_status(&b) == OK && str_equal(str_from(buf_str(&b), 4), in));
    return 0;
}
