/*
 * quote - what a TPM signed when it was asked for its PCRs: TPMS_ATTEST of a
 * quote (TPM 2.0 Library, Part 2, 10.12.8): verifiers-azure-vtpm.md 4.
 * Big-endian; bytes in, small copies out.
 */
#pragma once

#include "base/defs.h"
#include "crypto/crypto.h"

#define TPM_MESSAGE_MAX 2048 /* 113 bytes and the nonce on Azure */
#define TPM_SIGNATURE_MAX 1024
#define TPM_PCR_COUNT 24
#define TPM_PCR_LEN 32
#define TPM_DATA_MAX 128

/* "pcr00" to "pcr23": the names of claims. */
extern const char tpm_pcr_names[TPM_PCR_COUNT][6];

struct tpm_quote {
    uint32_t magic; /* 0xff544347 */
    uint16_t type;  /* 0x8018: a quote */
    uint8_t extra_data[TPM_DATA_MAX];
    size_t extra_data_len;
    uint32_t banks; /* of the PCR selection; the first is described here */
    uint16_t bank_alg;
    uint8_t select[4];
    size_t select_len;
    uint8_t pcr_digest[TPM_DATA_MAX];
    size_t pcr_digest_len;
};

#define TPM_MAGIC 0xff544347u
#define TPM_TYPE_QUOTE 0x8018u

/*
 * ERR_INVALID: malformed, cut, or with bytes behind it; then *trailing is the
 * number of those, 0 for another reason.  Of a type other than a quote only
 * magic, type and extra data are set.
 */
STATUS tpm_quote_parse(struct str message, struct tpm_quote *out, size_t *trailing);

/* Exactly one bank, SHA-256, with PCRs 0 to 23 (HARDEN az-4, HARDEN az-6). */
bool tpm_quote_selects_all(const struct tpm_quote *q);

/* What a quote's digest must be: over the concatenated PCRs, at most TPM_PCR_COUNT of any length.
 */
void tpm_pcrs_digest(const struct str *pcrs, size_t n, struct digest *out);

/*
 * TPMT_SIGNATURE: the RSASSA signature inside, borrowed.  ERR_INVALID;
 * ERR_UNSUPPORTED: another scheme; *hash is its digest algorithm.
 */
STATUS tpm_signature_parse(struct str bytes, struct str *signature, uint16_t *hash);
