/*
 * TPMS_ATTEST and TPMT_SIGNATURE.  Property: what was read stands in the
 * message; one byte less of a quote is refused, one more is counted as trailing;
 * tss2-mu, the reference, reads the same.
 */
#include <stdlib.h>
#include <tss2/tss2_mu.h>

#include "base/buf.h"
#include "verifier/tpm/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool stands_in(struct str message, const uint8_t *bytes, size_t len)
{
    return len == 0 || memmem(message.ptr, message.len, bytes, len) != NULL;
}

/* `q` NULL: we refused the message. */
static void check_reference(struct str message, const struct tpm_quote *q)
{
    setenv("TSS2_LOG", "all+none", 1);
    TPMS_ATTEST ref;
    memset(&ref, 0, sizeof(ref));
    size_t offset = 0;
    bool good = Tss2_MU_TPMS_ATTEST_Unmarshal((const uint8_t *)message.ptr, message.len, &offset,
                                              &ref) == TSS2_RC_SUCCESS &&
                offset == message.len;
    if (q == NULL || q->type != TPM_TYPE_QUOTE) {
        if (good && ref.type == TPM2_ST_ATTEST_QUOTE && message.len <= TPM_MESSAGE_MAX &&
            ref.clockInfo.safe <= 1)
            abort();
        return;
    }
    const TPMS_QUOTE_INFO *info = &ref.attested.quote;
    const TPMS_PCR_SELECTION *bank = &info->pcrSelect.pcrSelections[0];
    if (!good || ref.magic != q->magic || ref.extraData.size != q->extra_data_len ||
        memcmp(ref.extraData.buffer, q->extra_data, q->extra_data_len) != 0 ||
        info->pcrSelect.count != q->banks || info->pcrDigest.size != q->pcr_digest_len ||
        memcmp(info->pcrDigest.buffer, q->pcr_digest, q->pcr_digest_len) != 0)
        abort();
    if (q->banks > 0 && (bank->hash != q->bank_alg || bank->sizeofSelect != q->select_len ||
                         memcmp(bank->pcrSelect, q->select, q->select_len) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size), signature;
    uint16_t hash;
    if (tpm_signature_parse(input, &signature, &hash) == OK && signature.len != size - 6)
        abort();

    struct tpm_quote q, other;
    size_t trailing = 0;
    if (tpm_quote_parse(input, &q, &trailing) != OK) {
        check_reference(input, NULL);
        return 0;
    }
    check_reference(input, &q);
    if (!stands_in(input, q.extra_data, q.extra_data_len) ||
        !stands_in(input, q.pcr_digest, q.pcr_digest_len))
        abort();
    if (tpm_quote_selects_all(&q) && q.type != TPM_TYPE_QUOTE)
        abort();
    if (q.type != TPM_TYPE_QUOTE)
        return 0;
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
