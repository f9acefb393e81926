/*
 * TPMS_ATTEST and TPMT_SIGNATURE.  Property: what was read stands in the
 * message; one byte less is refused, one more is counted as trailing.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "verifier/tpm/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool stands_in(struct str message, const uint8_t *bytes, size_t len)
{
    return len == 0 || memmem(message.ptr, message.len, bytes, len) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size), signature;
    uint16_t hash;
    if (tpm_signature_parse(input, &signature, &hash) == OK && signature.len != size - 6)
        abort();

    struct tpm_quote q, other;
    size_t trailing = 0;
    if (tpm_quote_parse(input, &q, &trailing) != OK)
        return 0;
    if (!stands_in(input, q.extra_data, q.extra_data_len) ||
        !stands_in(input, q.pcr_digest, q.pcr_digest_len))
        abort();
    if (tpm_quote_selects_all(&q) && q.type != TPM_TYPE_QUOTE)
        abort();
    if (tpm_quote_parse(str_slice(input, 0, size - 1), &other, &trailing) == OK)
        abort();

    CLEANUP(buf_done) struct buf longer;
    buf_init(&longer, TPM_MESSAGE_MAX);
    buf_add(&longer, input);
    buf_add_byte(&longer, '\0');
    if (buf_status(&longer) == OK &&
        (tpm_quote_parse(buf_str(&longer), &other, &trailing) == OK || trailing != 1))
        abort();
    return 0;
}
