#include "verifier/tpm/quote.h"

#include <tss2/tss2_mu.h>

static bool copy(uint8_t *out, size_t *out_len, const uint8_t *from, size_t len)
{
    if (len > TPM_DATA_MAX)
        return false;
    memcpy(out, from, len);
    *out_len = len;
    return true;
}

STATUS tpm_quote_parse(struct str message, struct tpm_quote *out, size_t *trailing)
{
    *trailing = 0;
    if (message.len > TPM_MESSAGE_MAX)
        return ERR_INVALID;

    TPMS_ATTEST attest;
    memset(&attest, 0, sizeof(attest));
    size_t offset = 0;
    if (Tss2_MU_TPMS_ATTEST_Unmarshal((const uint8_t *)message.ptr, message.len, &offset,
                                      &attest) != TSS2_RC_SUCCESS)
        return ERR_INVALID;
    if (offset != message.len) {
        *trailing = message.len - offset;
        return ERR_INVALID;
    }

    struct tpm_quote q = {.magic = attest.magic, .type = attest.type};
    if (!copy(q.extra_data, &q.extra_data_len, attest.extraData.buffer, attest.extraData.size))
        return ERR_INVALID;
    if (attest.type == TPM2_ST_ATTEST_QUOTE) {
        const TPML_PCR_SELECTION *sel = &attest.attested.quote.pcrSelect;
        q.banks = sel->count;
        if (sel->count > 0) {
            q.bank_alg = sel->pcrSelections[0].hash;
            q.select_len = sel->pcrSelections[0].sizeofSelect;
            memcpy(q.select, sel->pcrSelections[0].pcrSelect,
                   q.select_len < sizeof(q.select) ? q.select_len : sizeof(q.select));
        }
        if (!copy(q.pcr_digest, &q.pcr_digest_len, attest.attested.quote.pcrDigest.buffer,
                  attest.attested.quote.pcrDigest.size))
            return ERR_INVALID;
    }
    *out = q;
    return OK;
}

bool tpm_quote_selects_all(const struct tpm_quote *q)
{
    return q->banks == 1 && q->bank_alg == TPM2_ALG_SHA256 && q->select_len == 3 &&
           q->select[0] == 0xff && q->select[1] == 0xff && q->select[2] == 0xff;
}

STATUS tpm_signature_parse(struct str bytes, struct str *signature, uint16_t *hash)
{
    /* sigAlg u16, hash u16, size u16, signature: Part 2, 11.3.4, for RSA schemes. */
    if (bytes.len < 6)
        return ERR_INVALID;
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    if (load_be16(p) != TPM2_ALG_RSASSA)
        return ERR_UNSUPPORTED;
    *hash = load_be16(p + 2);
    if (load_be16(p + 4) != bytes.len - 6)
        return ERR_INVALID;
    *signature = str_from(bytes, 6);
    return OK;
}
