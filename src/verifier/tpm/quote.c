#include "verifier/tpm/quote.h"

/*
 * TPM 2.0 Library, Part 2.  Not tss2-mu, which prints a line on standard error
 * for each malformed message: a server's log is no place for strangers to
 * write.  Its reading and this one are compared by fuzz_tpm_quote.
 */
#define ALG_SHA256 0x000b
#define ALG_RSASSA 0x0014
#define NAME_MAX_LEN 68  /* TPMU_NAME */
#define NONCE_MAX_LEN 64 /* TPM2B_DATA as tss2 has it, without the algorithm of a TPMT_HA */
#define DIGEST_MAX_LEN 64
#define BANKS_MAX 16

const char tpm_pcr_names[TPM_PCR_COUNT][6] = {
    "pcr00", "pcr01", "pcr02", "pcr03", "pcr04", "pcr05", "pcr06", "pcr07",
    "pcr08", "pcr09", "pcr10", "pcr11", "pcr12", "pcr13", "pcr14", "pcr15",
    "pcr16", "pcr17", "pcr18", "pcr19", "pcr20", "pcr21", "pcr22", "pcr23",
};

struct reader {
    struct str left;
    bool failed;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    static const uint8_t zero[8];
    if (r->failed || n > r->left.len) {
        r->failed = true;
        return zero; /* enough for the integers; whoever takes more looks at `failed` first */
    }
    const uint8_t *p = (const uint8_t *)r->left.ptr;
    r->left = str_from(r->left, n);
    return p;
}

/* TPM2B: u16 size and bytes. */
static struct str take_sized(struct reader *r, size_t max)
{
    size_t n = load_be16(take(r, 2));
    if (n > max)
        r->failed = true;
    const uint8_t *p = take(r, n);
    return r->failed ? STR_EMPTY : str_bytes(p, n);
}

static void copy(uint8_t out[TPM_DATA_MAX], size_t *len, struct str from)
{
    memcpy(out, from.ptr, from.len); /* the limits of take_sized() are below TPM_DATA_MAX */
    *len = from.len;
}

/* TPMS_QUOTE_INFO: TPML_PCR_SELECTION and the digest. */
static void read_quote_info(struct reader *r, struct tpm_quote *q)
{
    q->banks = load_be32(take(r, 4));
    if (q->banks > BANKS_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < q->banks && !r->failed; i++) {
        uint16_t alg = load_be16(take(r, 2));
        size_t len = *take(r, 1);
        if (len > sizeof(q->select))
            r->failed = true;
        const uint8_t *bits = take(r, len);
        if (i != 0 || r->failed)
            continue;
        q->bank_alg = alg;
        q->select_len = len;
        memcpy(q->select, bits, len);
    }
    copy(q->pcr_digest, &q->pcr_digest_len, take_sized(r, DIGEST_MAX_LEN));
}

STATUS tpm_quote_parse(struct str message, struct tpm_quote *out, size_t *trailing)
{
    *trailing = 0;
    if (message.len > TPM_MESSAGE_MAX)
        return ERR_INVALID;

    struct reader r = {message, false};
    struct tpm_quote q = {.magic = load_be32(take(&r, 4)), .type = load_be16(take(&r, 2))};
    take_sized(&r, NAME_MAX_LEN); /* qualifiedSigner */
    copy(q.extra_data, &q.extra_data_len, take_sized(&r, NONCE_MAX_LEN));
    take(&r, 8 + 4 + 4);  /* clock, resetCount, restartCount */
    if (*take(&r, 1) > 1) /* safe: TPMI_YES_NO */
        r.failed = true;
    take(&r, 8); /* firmwareVersion */
    if (q.type == TPM_TYPE_QUOTE)
        read_quote_info(&r, &q);
    if (r.failed)
        return ERR_INVALID;
    if (q.type == TPM_TYPE_QUOTE && r.left.len > 0) {
        *trailing = r.left.len;
        return ERR_INVALID;
    }
    *out = q;
    return OK;
}

bool tpm_quote_selects_all(const struct tpm_quote *q)
{
    return q->banks == 1 && q->bank_alg == ALG_SHA256 && q->select_len == 3 &&
           q->select[0] == 0xff && q->select[1] == 0xff && q->select[2] == 0xff;
}

void tpm_pcrs_digest(const struct str *pcrs, size_t n, struct digest *out)
{
    uint8_t all[TPM_PCR_COUNT * TPM_PCR_LEN]; /* one call of the library's for 24 */
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (pcrs[i].len > sizeof(all) - len) { /* PCRs of a length that is refused later */
            digest_parts(DIGEST_SHA256, pcrs, n, out);
            return;
        }
        if (pcrs[i].len > 0)
            memcpy(all + len, pcrs[i].ptr, pcrs[i].len);
        len += pcrs[i].len;
    }
    digest_compute(DIGEST_SHA256, str_bytes(all, len), out);
}

STATUS tpm_signature_parse(struct str bytes, struct str *signature, uint16_t *hash)
{
    /* sigAlg u16, hash u16, size u16, signature: 11.3.4, for RSA schemes. */
    if (bytes.len < 6)
        return ERR_INVALID;
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    if (load_be16(p) != ALG_RSASSA)
        return ERR_UNSUPPORTED;
    *hash = load_be16(p + 2);
    if (load_be16(p + 4) != bytes.len - 6)
        return ERR_INVALID;
    *signature = str_from(bytes, 6);
    return OK;
}
