#include "verifier/az_vtpm/az_vtpm.h"

#include <stdio.h>

#include "value/json.h"
#include "verifier/verifier_cache.h"

/* ---- step 2: forms of evidence, verifiers-azure-vtpm.md 2 ---- */

/* The first member that does not fit, for the report. */
struct misfit {
    const char *field, *wanted;
    value actual;
};

static enum status misfit(struct misfit *m, const char *field, const char *wanted, value actual)
{
    *m = (struct misfit){field, wanted, actual};
    return ERR_INVALID;
}

/* Bytes as versions 1 and 2 (text) or version 0 (arrays of numbers) write them. */
struct form {
    bool text;
    const char *quote, *report, *extra;
    bool extra_is_text; /* of version 0 */
};

static enum status read_pcrs(struct az_run *r, const struct form *form, value pcrs,
                             struct misfit *why)
{
    const char *field = verify_field(r->v, r->quote_field, "/pcrs");
    if (!value_is_array(pcrs))
        return misfit(why, field, "array", pcrs);
    if (value_len(pcrs) > AZ_PCRS_MAX)
        return misfit(why, field, "array of 24 PCR values", pcrs);
    r->pcr_count = value_len(pcrs);
    for (size_t i = 0; i < r->pcr_count; i++) {
        value item = value_at(pcrs, i);
        enum status st = form->text ? evidence_hex(r->v->a, item, TPM_DATA_MAX, &r->pcrs[i])
                                    : evidence_array(r->v->a, item, TPM_PCR_LEN, &r->pcrs[i]);
        /* Version 0 has arrays of fixed length (verifiers.md 6). */
        if (st == OK && !form->text && r->pcrs[i].len != TPM_PCR_LEN)
            st = ERR_INVALID;
        if (st == ERR_INVALID) {
            char rest[24];
            snprintf(rest, sizeof(rest), "/%zu", i);
            return misfit(why, verify_field(r->v, field, rest),
                          form->text ? "hexadecimal text" : "array of 32 bytes", item);
        }
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status read_extra(struct az_run *r, const struct form *form, value extra,
                              struct misfit *why)
{
    enum status st = OK;
    if (form->text) {
        st = evidence_base64(r->v->a, extra, BASE64_URL_ANY, AZ_EXTRA_MAX, &r->extra);
    } else if (form->extra_is_text) {
        r->extra = value_str(extra);
        st = value_is_string(extra) && r->extra.len <= AZ_EXTRA_MAX ? OK : ERR_INVALID;
    } else {
        st = evidence_array(r->v->a, extra, AZ_EXTRA_MAX, &r->extra);
    }
    return st != ERR_INVALID ? st
                             : misfit(why, r->extra_field,
                                      form->text            ? "base64url text"
                                      : form->extra_is_text ? "text in PEM form"
                                                            : "array of bytes",
                                      extra);
}

static enum status read_form(struct az_run *r, const struct form *form, struct misfit *why)
{
    struct verify *v = r->v;
    value e = v->req->evidence;
    r->quote_field = verify_field(v, "/evidence/", form->quote);
    r->hcl_field = verify_field(v, "/evidence/", form->report);
    r->extra_field = verify_field(v, "/evidence/", form->extra);
    r->hardware_field = verify_field(v, r->hcl_field, "/hardware_report");
    value quote = value_get_str(e, str_of(form->quote));
    value report = value_get_str(e, str_of(form->report));
    value signature = value_get_lit(quote, "signature"), message = value_get_lit(quote, "message");
    const char *bytes = form->text ? "hexadecimal text" : "array of bytes";

    if (!value_is_object(quote))
        return misfit(why, r->quote_field, "object", quote);
    enum status st = form->text ? evidence_hex(v->a, signature, TPM_SIGNATURE_MAX, &r->signature)
                                : evidence_array(v->a, signature, TPM_SIGNATURE_MAX, &r->signature);
    if (st == ERR_INVALID)
        return misfit(why, verify_field(v, r->quote_field, "/signature"), bytes, signature);
    if (st == OK)
        st = form->text ? evidence_hex(v->a, message, TPM_MESSAGE_MAX, &r->message)
                        : evidence_array(v->a, message, TPM_MESSAGE_MAX, &r->message);
    if (st == ERR_INVALID)
        return misfit(why, verify_field(v, r->quote_field, "/message"), bytes, message);
    if (st == OK)
        st = read_pcrs(r, form, value_get_lit(quote, "pcrs"), why);
    if (st != OK)
        return st;

    st = form->text ? evidence_base64(v->a, report, BASE64_URL_ANY, HCL_BLOB_MAX, &r->blob)
                    : evidence_array(v->a, report, HCL_BLOB_MAX, &r->blob);
    if (st == ERR_INVALID)
        return misfit(why, r->hcl_field, form->text ? "base64url text" : "array of bytes", report);
    return st == OK ? read_extra(r, form, value_get_str(e, str_of(form->extra)), why) : st;
}

static bool version_is(value evidence, int64_t n)
{
    value version = value_get_lit(evidence, "version");
    return value_is_small(version) && value_small(version) == n;
}

STATUS az_open(struct az_run *r)
{
    struct verify *v = r->v;
    const struct az_machine *m = r->machine;
    value e = v->req->evidence;
    if (!v->req->has_report_data)
        return FAIL_PLAIN(v, CHECK_REPORT_DATA, "/input/report_data",
                          "unexpected empty report data");
    if (!value_is_object(e))
        return verify_malformed(v, "/evidence", "object", e, m->undecodable);

    /*
     * Versions 2 and 1 say so; whatever has the members of version 0 is that,
     * whatever its `version` says.  The form that is reported when none fits
     * is the one that the evidence claims.
     */
    const struct form text = {true, "tpm_quote", "hcl_report", m->extra, false};
    const struct form arrays = {false, m->v0_quote, m->v0_report, m->v0_extra, m->v0_extra_is_text};
    r->version = version_is(e, 2) ? 2 : version_is(e, 1) ? 1 : 0;
    struct misfit why = {0}, why_v0 = {0};
    enum status st = read_form(r, r->version > 0 ? &text : &arrays, &why);
    if (st == ERR_INVALID && r->version > 0) {
        int claimed = r->version;
        r->version = 0;
        st = read_form(r, &arrays, &why_v0);
        if (st == ERR_INVALID)
            r->version = claimed;
    }
    if (st == ERR_INVALID) {
        /* Text members under a version that does not exist: name the version. */
        value version = value_get_lit(e, "version");
        if (r->version == 0 && value_is_defined(version))
            return FAIL(v, CHECK_EVIDENCE_VERSION, "/evidence/version", VALUE_UNDEFINED, version,
                        "%s: data did not match any variant of untagged enum Evidence",
                        m->undecodable);
        char message[160];
        snprintf(message, sizeof(message),
                 "%s: data did not match any variant of untagged enum Evidence", m->undecodable);
        return verify_malformed(v, why.field, why.wanted, why.actual, message);
    }
    if (st != OK)
        return st;
    PASS(v, CHECK_EVIDENCE_FORMAT);

    /* HARDEN az-2: evidence without user data may be refused. */
    if (r->version < 2 && value_is_true(verify_config(v, "az_vtpm", "require_user_data")))
        return FAIL(v, CHECK_EVIDENCE_VERSION, "/evidence/version", value_small_int(2),
                    value_small_int(r->version),
                    "evidence without user data is refused (verifier_config.az_vtpm."
                    "require_user_data)");
    PASS(v, CHECK_EVIDENCE_VERSION);
    return OK;
}

/* ---- steps 3 and 4: HCL blob and attestation key ---- */

static enum status check_hcl(struct az_run *r)
{
    struct verify *v = r->v;
    struct hcl_fault fault = {0};
    if (hcl_parse(r->blob, r->machine->type, &r->hcl, &fault) != OK) {
        struct arena *a = v->checks == NULL ? v->a : v->checks->arena;
        return FAIL(v, CHECK_HCL_HEADER, verify_field(v, r->hcl_field, fault.field),
                    value_uint(a, fault.expected), value_uint(a, fault.actual), "%s",
                    fault.message);
    }
    PASS(v, CHECK_HCL_HEADER);

    const struct json_options options = {JSON_DUP_REFUSE, 0};
    struct error why = ERROR_INIT;
    enum status st = json_parse(v->a, r->hcl.variable_data, &options, &r->variable_data, &why);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK || !value_is_object(r->variable_data))
        return FAIL_PLAIN(
            v, CHECK_VARIABLE_DATA_FORMAT, verify_field(v, r->hcl_field, "/variable_data"),
            "Failed to get AKpub: %s", st != OK ? why.text : "variable data is not a JSON object");
    PASS(v, CHECK_VARIABLE_DATA_FORMAT);
    return OK;
}

/* The first key with this id; "key_ops" says "encrypt" in 2023 reports and is not looked at. */
static value find_ak(value variable_data)
{
    value keys = value_get_lit(variable_data, "keys");
    for (size_t i = 0; value_is_array(keys) && i < value_len(keys); i++) {
        value key = value_items(keys)[i];
        if (str_is(value_str(value_get_lit(key, "kid")), "HCLAkPub"))
            return key;
    }
    return VALUE_UNDEFINED;
}

static enum status load_ak(struct az_run *r, struct pubkey **out)
{
    struct verify *v = r->v;
    const char *keys = verify_field(v, r->hcl_field, "/variable_data/keys");
    value ak = find_ak(r->variable_data);
    if (!value_is_defined(ak))
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, keys, "Failed to get AKpub: AkPub not found");

    struct str n, e;
    if (!str_is(value_str(value_get_lit(ak, "kty")), "RSA"))
        return FAIL(v, CHECK_ATTESTATION_KEY, verify_field(v, keys, "/HCLAkPub/kty"),
                    VALUE_UNDEFINED, value_get_lit(ak, "kty"),
                    "Failed to get AKpub: the key is not an RSA key");
    enum status st =
        evidence_base64(v->a, value_get_lit(ak, "n"), BASE64_URL_ANY, TPM_SIGNATURE_MAX, &n);
    if (st == OK)
        st = evidence_base64(v->a, value_get_lit(ak, "e"), BASE64_URL_ANY, 8, &e);
    struct error why = ERROR_INIT;
    struct digest key, ignored;
    void *known = NULL;
    if (st == OK) {
        const uint8_t e_len = (uint8_t)e.len; /* at most 8: no two keys give the same bytes */
        const struct str parts[] = {str_bytes(&e_len, 1), e, n};
        digest_parts(DIGEST_SHA256, parts, 3, &key);
        if (verifier_cache_get(v->req->cache, &key, v->req->now_s, &ignored, &cache_keys, &known))
            *out = known;
        else
            st = pubkey_from_rsa(n, e, out, &why);
    }
    if (st == ERR_NOMEM || (st == ERR_LIMIT && arena_status(v->a) != OK))
        return st;
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, verify_field(v, keys, "/HCLAkPub/n"),
                          "Failed to get AKpub: %s",
                          why.text[0] != '\0' ? why.text : "modulus or exponent is no base64url");
    if (pubkey_bits(*out) < 2048)
        return FAIL_PLAIN(v, CHECK_ATTESTATION_KEY, verify_field(v, keys, "/HCLAkPub"),
                          "Failed to get AKpub: the key has only %u bits", pubkey_bits(*out));
    if (known == NULL)
        verifier_cache_put(v->req->cache, &key, INT64_MAX, &key, &cache_keys, *out);
    PASS(v, CHECK_ATTESTATION_KEY);
    return OK;
}

/* ---- steps 5 to 7: the quote ---- */

static enum status check_signature(struct az_run *r)
{
    struct verify *v = r->v;
    CLEANUP(pubkey_cleanup) struct pubkey *ak = NULL;
    enum status st = load_ak(r, &ak);
    if (st != OK)
        return st;
    st = pubkey_verify(ak, SIG_RSA_PKCS1, DIGEST_SHA256, r->message, r->signature, NULL);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_QUOTE_SIGNATURE, verify_field(v, r->quote_field, "/signature"),
                          "vTPM quote is not signed by AKpub");
    PASS(v, CHECK_QUOTE_SIGNATURE);
    return v->req->deny == NULL ? OK : pubkey_fingerprint(ak, &r->ak_spki);
}

static value hex_number(struct verify *v, uint64_t n)
{
    return v->checks == NULL
               ? VALUE_UNDEFINED
               : value_string(v->checks->arena,
                              arena_format(v->checks->arena, "0x%llx", (unsigned long long)n));
}

static enum status check_nonce(struct az_run *r)
{
    struct verify *v = r->v;
    const char *message = verify_field(v, r->quote_field, "/message");
    size_t trailing = 0;
    if (tpm_quote_parse(r->message, &r->quote, &trailing) != OK)
        return FAIL_PLAIN(v, CHECK_QUOTE_FORMAT, message, "TPM quote is malformed%s",
                          trailing > 0 ? ": bytes follow it" : "");
    /* HARDEN az-4: upstream does not look at the magic, which tells a TPM's word from a signature
     * that it made for somebody else. */
    if (r->quote.magic != TPM_MAGIC)
        return FAIL(v, CHECK_QUOTE_FORMAT, verify_field(v, message, "/magic"),
                    hex_number(v, TPM_MAGIC), hex_number(v, r->quote.magic),
                    "TPM quote was not made by a TPM");
    enum status st =
        verify_same(v, CHECK_NONCE, verify_field(v, message, "/extra_data"), v->req->report_data,
                    str_bytes(r->quote.extra_data, r->quote.extra_data_len),
                    "TPM quote nonce doesn't match expected report_data");
    if (st != OK)
        return st;
    if (r->quote.type != TPM_TYPE_QUOTE)
        return FAIL(v, CHECK_QUOTE_FORMAT, verify_field(v, message, "/type"),
                    hex_number(v, TPM_TYPE_QUOTE), hex_number(v, r->quote.type),
                    "TPM attestation is not a quote");
    PASS(v, CHECK_QUOTE_FORMAT);
    return OK;
}

static enum status check_pcrs(struct az_run *r)
{
    struct verify *v = r->v;
    const char *message = verify_field(v, r->quote_field, "/message");
    if (!tpm_quote_selects_all(&r->quote)) {
        struct arena *a = v->checks == NULL ? v->a : v->checks->arena;
        struct str got = arena_format(a, "%u bank(s), 0x%04x, %02x%02x%02x%02x", r->quote.banks,
                                      r->quote.bank_alg, r->quote.select[0], r->quote.select[1],
                                      r->quote.select[2], r->quote.select[3]);
        return FAIL(v, CHECK_PCR_SELECTION, verify_field(v, message, "/pcr_select"),
                    value_cstring(a, "1 bank(s), 0x000b, ffffff00"), value_string(a, got),
                    "TPM quote does not cover the SHA-256 PCRs 0 to 23, and only them");
    }
    PASS(v, CHECK_PCR_SELECTION);

    struct digest digest;
    tpm_pcrs_digest(r->pcrs, r->pcr_count, &digest);
    enum status st =
        verify_same(v, CHECK_PCR_DIGEST, verify_field(v, r->quote_field, "/pcrs"),
                    str_bytes(r->quote.pcr_digest, r->quote.pcr_digest_len), digest_str(&digest),
                    "Digest of PCRs does not match digest in Quote");
    if (st != OK)
        return st;

    /* The same bytes cut in other places have the same digest. */
    const char *pcrs = verify_field(v, r->quote_field, "/pcrs");
    if (r->pcr_count != TPM_PCR_COUNT)
        return FAIL(v, CHECK_PCR_VALUES, pcrs, value_small_int(TPM_PCR_COUNT),
                    value_small_int((int64_t)r->pcr_count), "evidence does not hold 24 PCR values");
    for (size_t i = 0; i < r->pcr_count; i++) {
        if (r->pcrs[i].len == TPM_PCR_LEN)
            continue;
        char rest[24];
        snprintf(rest, sizeof(rest), "/%zu", i);
        return FAIL(v, CHECK_PCR_VALUES, verify_field(v, pcrs, rest), value_small_int(TPM_PCR_LEN),
                    value_small_int((int64_t)r->pcrs[i].len),
                    "Invalid PCR length, expected 32 bytes");
    }
    PASS(v, CHECK_PCR_VALUES);
    return OK;
}

STATUS az_check_quote(struct az_run *r)
{
    enum status st = check_hcl(r);
    if (st == OK)
        st = check_signature(r);
    if (st == OK)
        st = check_nonce(r);
    return st == OK ? check_pcrs(r) : st;
}

/* ---- bindings ---- */

STATUS az_check_variable_data(struct az_run *r, const char *field, struct str report_data,
                              const char *message)
{
    struct digest digest; /* over the blob's own bytes: never re-serialised */
    digest_compute(DIGEST_SHA256, r->hcl.variable_data, &digest);
    return verify_same(r->v, CHECK_VARIABLE_DATA_DIGEST, field, digest_str(&digest),
                       str_slice(report_data, 0, 32), message);
}

STATUS az_check_user_data(struct az_run *r)
{
    struct verify *v = r->v;
    if (r->version < 2) {
        check_skipped(v->checks, CHECK_USER_DATA, "evidence of version %d binds no user data",
                      r->version);
        return OK;
    }
    const char *variable = verify_field(v, r->hcl_field, "/variable_data");
    const char *field = verify_field(v, variable, "/user-data");
    value member = value_get_lit(r->variable_data, "user-data");
    if (!value_is_string(member))
        return FAIL(v, CHECK_USER_DATA, variable, VALUE_UNDEFINED, member,
                    "Failed to parse var data as JSON: user-data is missing");
    struct str bytes;
    enum status st = evidence_hex(v->a, member, HCL_BLOB_MAX, &bytes);
    if (st == ERR_INVALID)
        return FAIL_PLAIN(v, CHECK_VARIABLE_DATA_FORMAT, field,
                          "Failed to decode user_data from hex string");
    if (st != OK)
        return st;

    /* BUG az-b1: more expected bytes than there are is a mismatch, not a crash. */
    return verify_same(v, CHECK_USER_DATA, field, v->req->report_data,
                       str_slice(bytes, 0, v->req->report_data.len),
                       "User-data in HCL variable data doesn't match report_data");
}

/* A configured measurement: hexadecimal, or standard base64 as the claim is written. */
static bool names_equal(struct arena *a, struct str configured, struct str name)
{
    struct str bytes;
    return (hex_bytes(a, configured, &bytes, NULL) == OK && str_equal(bytes, name)) ||
           (base64_bytes(a, configured, BASE64_STD, &bytes, NULL) == OK && str_equal(bytes, name));
}

STATUS az_check_paravisor(struct az_run *r, const char *field, const struct str *names, size_t n)
{
    struct verify *v = r->v;
    value list = verify_config(v, "az_vtpm", "paravisor_measurements");
    if (!value_is_defined(list)) {
        v->out->unpinned_paravisor = true;
        check_skipped(v->checks, CHECK_PARAVISOR,
                      "verifier_config.az_vtpm.paravisor_measurements is not set: PCR values are "
                      "worth what the policy knows of the measurement");
        return OK;
    }
    for (size_t i = 0; i < value_len(list); i++)
        for (size_t k = 0; k < n; k++)
            if (names_equal(v->a, value_str(value_at(list, i)), names[k])) {
                PASS(v, CHECK_PARAVISOR);
                return OK;
            }
    return FAIL(v, CHECK_PARAVISOR, field, list, check_hex(v->checks, names[0]),
                "the paravisor is none of verifier_config.az_vtpm.paravisor_measurements");
}

STATUS az_check_init_data(struct az_run *r)
{
    return verify_pcr8(r->v, verify_field(r->v, r->quote_field, "/pcrs/8"), r->pcrs[8],
                       "Expected init_data digest is different from the content of PCR8");
}

void az_deny_facts(struct az_run *r, struct deny_facts *f)
{
    deny_add_bytes(f, DENY_SIGNING_KEY, r->hcl_field, "/variable_data/keys/HCLAkPub",
                   digest_str(&r->ak_spki));
}

void az_claims(struct az_run *r, struct value_builder *claims)
{
    struct arena *a = r->v->a;
    struct value_builder tpm;
    value_builder_init(&tpm, a, 2 * TPM_PCR_COUNT);
    for (unsigned i = 0; i < r->pcr_count; i++) /* 24: az_check_quote() saw to it */
        value_builder_put(&tpm, claim_pcr_name(a, i), claim_hex(a, r->pcrs[i]));
    value_builder_put_str(claims, "tpm", value_object_finish(&tpm, VALUE_DUP_LAST, NULL));
    value_builder_put_str(claims, "report_data",
                          claim_hex(a, str_bytes(r->quote.extra_data, r->quote.extra_data_len)));
    value_builder_put_str(claims, "init_data", claim_hex(a, r->pcrs[8]));
}
