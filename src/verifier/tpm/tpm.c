/*
 * tpm - a TPM whose attestation key a policy knows: verifiers-azure-vtpm.md 7.
 * The key is not authenticated here: the claim `ak_public` is for the policy.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "verifier/deny_check.h"
#include "verifier/tpm/quote.h"
#include "verifier/verifier_cache.h"
#include "verifier/verifier_internal.h"
#include "verifier/verifiers.h"

#define AK_PUBLIC_MAX 4096

/*
 * An attestation key under the text that it came in.  The text is compared, not
 * its digest: a machine's key is the same each time, and a third of all bytes
 * that would be hashed.
 */
struct known_ak {
    _Atomic unsigned refs;
    struct pubkey *key;
    size_t len;
    char text[];
};

static void *known_ak_ref(void *object)
{
    struct known_ak *k = object;
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

static void known_ak_unref(void *object)
{
    struct known_ak *k = object;
    if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    pubkey_unref(k->key);
    free(k);
}

static const struct cache_kind known_aks = {known_ak_ref, known_ak_unref};

/* Not a digest, but where to look: the hash is keyed, and whoever collides is only not remembered.
 */
static struct digest known_ak_place(value text)
{
    struct digest place = {.len = 32, .bytes = "ak_public"};
    store_le32(place.bytes, value_hash(text));
    store_le64(place.bytes + 16, value_str(text).len);
    return place;
}

static struct pubkey *known_ak_get(struct verify *v, value text)
{
    struct digest place = known_ak_place(text), ignored;
    void *found = NULL;
    if (!verifier_cache_get(v->req->cache, &place, v->req->now_s, &ignored, &known_aks, &found))
        return NULL;
    struct known_ak *k = found;
    bool same = str_equal((struct str){k->text, k->len}, value_str(text));
    struct pubkey *key = same ? pubkey_ref(k->key) : NULL;
    known_ak_unref(k);
    return key;
}

static void known_ak_put(struct verify *v, value text, struct pubkey *key)
{
    struct str s = value_str(text);
    struct known_ak *k = v->req->cache == NULL ? NULL : malloc(sizeof(*k) + s.len);
    if (k == NULL)
        return; /* it works without */
    *k = (struct known_ak){.refs = 1, .key = pubkey_ref(key), .len = s.len};
    memcpy(k->text, s.ptr, s.len);
    struct digest place = known_ak_place(text);
    verifier_cache_put(v->req->cache, &place, INT64_MAX, &place, &known_aks, k);
    known_ak_unref(k);
}

static const char convert_failed[] = "Failed to convert quote from string format: ";

struct tpm_run {
    struct verify *v;
    value ak, pcr_texts[TPM_PCR_COUNT]; /* of the evidence; undefined: not written as claims are */
    struct str signature, message;
    uint8_t pcrs[TPM_PCR_COUNT][TPM_PCR_LEN];
    struct tpm_quote quote;
    struct digest ak_spki; /* SHA-256 of the AK's SubjectPublicKeyInfo; with a deny list only */
};

static enum status read_pcr(struct tpm_run *r, value item, size_t i)
{
    struct verify *v = r->v;
    uint8_t surplus[TPM_PCR_LEN]; /* of evidence that holds too many: each is looked at */
    uint8_t *pcr = i < TPM_PCR_COUNT ? r->pcrs[i] : surplus;
    bool fits = value_is_string(item) && value_str(item).len == 2 * TPM_PCR_LEN, upper = false;
    if (fits && hex_exact(value_str(item), pcr, TPM_PCR_LEN, &upper)) {
        if (i < TPM_PCR_COUNT)
            r->pcr_texts[i] = upper ? VALUE_UNDEFINED : item;
        return OK;
    }

    char field[48];
    snprintf(field, sizeof(field), "/evidence/tpm_quote/pcrs/%zu", i);
    if (!value_is_string(item))
        return verify_malformed(v, field, "hexadecimal text", item,
                                "Failed to deserialize TPM Evidence");
    if (!fits)
        return FAIL_PLAIN(v, CHECK_PCR_VALUES, field,
                          "%sPCR should be 64 hex characters (32 bytes), got %zu", convert_failed,
                          value_str(item).len);
    return FAIL_PLAIN(v, CHECK_EVIDENCE_FORMAT, field,
                      "%sFailed to decode PCR from hex: not hexadecimal", convert_failed);
}

static enum status read_pcrs(struct tpm_run *r, value list)
{
    struct verify *v = r->v;
    if (!value_is_array(list))
        return verify_malformed(v, "/evidence/tpm_quote/pcrs", "array", list,
                                "Failed to deserialize TPM Evidence");
    for (size_t i = 0; i < value_len(list); i++) {
        enum status st = read_pcr(r, value_at(list, i), i);
        if (st != OK)
            return st;
    }
    if (value_len(list) != TPM_PCR_COUNT) /* fewer than nine make upstream panic */
        return FAIL(v, CHECK_PCR_VALUES, "/evidence/tpm_quote/pcrs", value_small_int(TPM_PCR_COUNT),
                    value_small_int((int64_t)value_len(list)),
                    "evidence does not hold 24 PCR values");
    PASS(v, CHECK_PCR_VALUES);
    return OK;
}

static enum status decode(struct tpm_run *r)
{
    struct verify *v = r->v;
    const char *undecodable = "Failed to deserialize TPM Evidence";
    value e = v->req->evidence, ak = value_get_lit(e, "ak_public");
    value quote = value_get_lit(e, "tpm_quote"), signature = value_get_lit(quote, "signature");
    value message = value_get_lit(quote, "message");
    if (!value_is_object(e))
        return verify_malformed(v, "/evidence", "object", e, undecodable);
    if (!value_is_string(ak))
        return verify_malformed(v, "/evidence/ak_public", "base64 text", ak, undecodable);
    if (!value_is_object(quote))
        return verify_malformed(v, "/evidence/tpm_quote", "object", quote, undecodable);
    if (!value_is_string(signature))
        return verify_malformed(v, "/evidence/tpm_quote/signature", "base64 text", signature,
                                undecodable);
    if (!value_is_string(message))
        return verify_malformed(v, "/evidence/tpm_quote/message", "base64 text", message,
                                undecodable);

    struct str tpmt;
    uint16_t hash = 0;
    enum status st = evidence_base64(v->a, signature, BASE64_STD, TPM_SIGNATURE_MAX, &tpmt);
    if (st == ERR_INVALID)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, "/evidence/tpm_quote/signature",
                          "%sFailed to decode signature from base64", convert_failed);
    if (st != OK)
        return st;
    st = tpm_signature_parse(tpmt, &r->signature, &hash);
    if (st == ERR_UNSUPPORTED)
        return FAIL_PLAIN(v, CHECK_SIGNATURE_ALGORITHM, "/evidence/tpm_quote/signature/sig_alg",
                          "%sUnsupported signature type, expected RSA-SSA", convert_failed);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, "/evidence/tpm_quote/signature/size",
                          "%sFailed to unmarshal TSS signature", convert_failed);
    if (hash != 0x000b) /* HARDEN az-7: upstream does not ask */
        return FAIL(v, CHECK_SIGNATURE_ALGORITHM, "/evidence/tpm_quote/signature/hash",
                    value_small_int(0x000b), value_small_int(hash),
                    "%sthe digest of the signature is not SHA-256", convert_failed);
    PASS(v, CHECK_SIGNATURE_ALGORITHM);

    st = evidence_base64(v->a, message, BASE64_STD, TPM_MESSAGE_MAX, &r->message);
    if (st == ERR_INVALID)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, "/evidence/tpm_quote/message",
                          "%sFailed to decode message from base64", convert_failed);
    if (st == OK)
        st = read_pcrs(r, value_get_lit(quote, "pcrs"));
    if (st != OK)
        return st;
    PASS(v, CHECK_EVIDENCE_FORMAT);
    r->ak = ak;
    return OK;
}

static bool is_canonical(const struct pubkey *key, struct str der)
{
    CLEANUP(buf_done) struct buf again;
    buf_init(&again, AK_PUBLIC_MAX);
    return pubkey_to_der(key, &again) == OK && str_equal(buf_str(&again), der);
}

static enum status import_ak(struct tpm_run *r, struct pubkey **out)
{
    struct verify *v = r->v;
    struct str der;
    CLEANUP(pubkey_cleanup) struct pubkey *ak = NULL;
    enum status st = evidence_base64(v->a, r->ak, BASE64_STD, AK_PUBLIC_MAX, &der);
    if (st == ERR_INVALID)
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, "/evidence/ak_public",
                          "Base64 decode of AK public failed");
    if (st != OK)
        return st;
    st = pubkey_from_der(der, &ak, NULL);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, "/evidence/ak_public/der",
                          "Failed to parse AK public key");
    if (pubkey_kind(ak) != KEY_RSA) /* HARDEN az-7 */
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, "/evidence/ak_public/kind",
                          "Failed to parse AK public key: it is not an RSA key");
    /* OpenSSL reads more than one spelling of a key; policies compare the text. */
    if (!is_canonical(ak, der))
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, "/evidence/ak_public/encoding",
                          "Failed to parse AK public key: it is not in DER as it should be");
    *out = TAKE(ak);
    return OK;
}

static enum status check_signature(struct tpm_run *r)
{
    struct verify *v = r->v;
    CLEANUP(pubkey_cleanup) struct pubkey *ak = known_ak_get(v, r->ak);
    enum status st = OK;
    if (ak == NULL) { /* importing costs five times what verifying does */
        st = import_ak(r, &ak);
        if (st == OK)
            known_ak_put(v, r->ak, ak);
    }
    if (st != OK)
        return st;
    PASS(v, CHECK_ATTESTATION_KEY);
    st = pubkey_verify(ak, SIG_RSA_PKCS1, DIGEST_SHA256, r->message, r->signature, NULL);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_QUOTE_SIGNATURE, "/evidence/tpm_quote/signature",
                          "TPM quote signature verification failed");
    PASS(v, CHECK_QUOTE_SIGNATURE);
    /* Not the digest of the text's own DER, which may be written in more than one way. */
    return v->req->deny == NULL ? OK : pubkey_fingerprint(ak, &r->ak_spki);
}

static enum status check_quote(struct tpm_run *r)
{
    struct verify *v = r->v;
    size_t trailing = 0;
    if (tpm_quote_parse(r->message, &r->quote, &trailing) != OK)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, "/evidence/tpm_quote/message/structure",
                          "TPM quote is malformed%s", trailing > 0 ? ": bytes follow it" : "");
    /* HARDEN az-6: as on Azure, magic and selection count. */
    if (r->quote.magic != TPM_MAGIC)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, "/evidence/tpm_quote/message/magic",
                          "TPM quote was not made by a TPM");
    if (r->quote.type != TPM_TYPE_QUOTE)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, "/evidence/tpm_quote/message/type",
                          "TPM attestation is not a quote");
    PASS(v, CHECK_QUOTE_FORMAT);
    if (!tpm_quote_selects_all(&r->quote))
        return FAIL_PLAIN(v, CHECK_PCR_SELECTION, "/evidence/tpm_quote/message/pcr_select",
                          "TPM quote does not cover the SHA-256 PCRs 0 to 23, and only them");
    PASS(v, CHECK_PCR_SELECTION);

    struct digest digest;
    digest_compute(DIGEST_SHA256, str_bytes(r->pcrs, sizeof(r->pcrs)), &digest);
    return verify_same(v, CHECK_PCR_DIGEST, "/evidence/tpm_quote/pcrs",
                       str_bytes(r->quote.pcr_digest, r->quote.pcr_digest_len), digest_str(&digest),
                       "Digest of PCRs does not match digest in Quote");
}

static enum status check_binding(struct tpm_run *r)
{
    struct verify *v = r->v;
    enum status st = OK;
    if (v->req->has_report_data) {
        struct str want = evidence_fit(v->a, v->req->report_data, 32);
        if (want.ptr == NULL)
            return error_nomem(v->err);
        st = verify_same(v, CHECK_NONCE, "/evidence/tpm_quote/message/extra_data", want,
                         str_bytes(r->quote.extra_data, r->quote.extra_data_len),
                         "TPM quote nonce doesn't match expected report_data");
    } else {
        check_skipped(v->checks, CHECK_NONCE, "no report data is expected");
    }
    if (st != OK)
        return st;
    return verify_pcr8(v, "/evidence/tpm_quote/pcrs/8", str_bytes(r->pcrs[8], TPM_PCR_LEN),
                       "TPM PCR[8] doesn't match expected initdata hash");
}

static enum status check_deny(struct tpm_run *r)
{
    struct deny_facts f;
    if (!deny_facts_init(&f, r->v, "tpm"))
        return OK;
    deny_add_bytes(&f, DENY_SIGNING_KEY, "/evidence/ak_public", "", digest_str(&r->ak_spki));
    return deny_check(&f);
}

/* The evidence's own text, where it is written as claims are. */
static value pcr_claim(const struct tpm_run *r, size_t i)
{
    bool same = value_is_defined(r->pcr_texts[i]);
    return same ? r->pcr_texts[i] : claim_hex(r->v->a, str_bytes(r->pcrs[i], TPM_PCR_LEN));
}

static enum status tpm_evaluate(struct arena *a, const struct verifier_request *req,
                                struct checks *checks, struct verifier_result *out,
                                struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    struct tpm_run r = {.v = &v};
    enum status st = decode(&r);
    if (st == OK)
        st = check_signature(&r);
    if (st == OK)
        st = check_quote(&r);
    if (st == OK)
        st = check_binding(&r);
    if (st == OK)
        st = check_deny(&r);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 2 * (TPM_PCR_COUNT + 4)); /* in the order that an object has */
    value_builder_put_str(&claims, "ak_public", r.ak);
    value_builder_put_str(&claims, "init_data", pcr_claim(&r, 8));
    for (unsigned i = 0; i < TPM_PCR_COUNT; i++)
        value_builder_put(&claims, claim_pcr_name(a, i), pcr_claim(&r, i));
    value_builder_put_str(&claims, "report_data",
                          claim_hex(a, str_bytes(r.quote.extra_data, r.quote.extra_data_len)));
    return verify_finish(&v, &claims, VALUE_UNDEFINED);
}

const struct verifier verifier_tpm = {
    .tee = "tpm",
    .evaluate = tpm_evaluate,
    .claims = "init_data report_data ak_public pcr# ",
};
