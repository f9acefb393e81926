/*
 * A TDX or SGX quote.  Property: its parts lie inside and do not overlap, the
 * signed part ends where the body ends, and bytes behind it change nothing.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "verifier/dcap/pck.h"
#include "verifier/dcap/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(struct str input, const struct dcap_quote *q)
{
    const struct str parts[] = {q->header,    q->descriptor,   q->body,    q->signature, q->key,
                                q->qe_report, q->qe_signature, q->qe_auth, q->pck_chain};
    const char *at = input.ptr;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len == 0)
            continue;
        if (parts[i].ptr < at || parts[i].len > (size_t)(input.ptr + input.len - parts[i].ptr))
            abort();
        at = parts[i].ptr + parts[i].len;
    }
    if (q->signed_part.ptr != input.ptr ||
        q->signed_part.ptr + q->signed_part.len != q->body.ptr + q->body.len)
        abort();
    if (quote_field(q, "report_data").len != 64 || quote_field(q, "nothing").len != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size);
    struct pck_info info;
    const char *message = NULL;
    for (int platform = 0; platform < 2; platform++)
        if (pck_parse(input, platform, &info, &message) != OK && message == NULL)
            abort();

    struct dcap_quote q, again;
    struct quote_fault fault = {.field = NULL};
    if (dcap_quote_parse(input, &q, &fault) != OK) {
        if (fault.field == NULL || fault.message[0] == '\0')
            abort();
        return 0;
    }
    check_parts(input, &q);
    CLEANUP(buf_done) struct buf longer;
    buf_init(&longer, 1024 * 1024);
    buf_add(&longer, input);
    buf_add_cstr(&longer, "more");
    if (buf_status(&longer) == OK && (dcap_quote_parse(buf_str(&longer), &again, &fault) != OK ||
                                      !str_equal(again.pck_chain, q.pck_chain)))
        abort();
    return 0;
}
