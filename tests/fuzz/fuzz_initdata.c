/*
 * Init data as a document and in its transport form.  Properties: a document
 * that parses keeps its digest through encoding and decoding; what decodes is
 * within the limit and encodes back to something that decodes to the same.
 */
#include <stdlib.h>

#include "attestation/initdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void round_trip(struct str doc)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, INIT_DATA_TEXT_MAX);
    CLEANUP(buf_done) struct buf back;
    buf_init(&back, INIT_DATA_MAX + 1);
    check(init_data_encode(doc, &text, NULL) == OK);
    check(init_data_decode(buf_str(&text), &back, NULL) == OK);
    check(str_equal(buf_str(&back), doc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 * 1024 * 1024);
    struct str input = str_bytes(data, size);
    if (size > 65536)
        return 0;

    struct init_data d;
    if (init_data_parse(&a, input, &d, NULL) == OK) {
        check(value_is_object(d.claims) && d.digest.len == digest_len(d.alg));
        round_trip(input);
    }
    CLEANUP(buf_done) struct buf doc;
    buf_init(&doc, INIT_DATA_MAX + 1);
    if (init_data_decode(input, &doc, NULL) == OK) {
        check(doc.len <= INIT_DATA_MAX);
        round_trip(buf_str(&doc));
    }
    return 0;
}
