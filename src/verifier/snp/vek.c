#include "verifier/snp/vek.h"

#include "base/clock.h"
#include "verifier/snp/amd_item.h"
#include "verifier/verifier_cache.h"

#define OID_AMD "1.3.6.1.4.1.3704.1."
#define KDS_DEFAULT "https://kdsintf.amd.com"

void snp_run_done(struct snp_run *r)
{
    r->vek = cert_unref(r->vek);
}

static const char *report_field(struct snp_run *r, const char *rest)
{
    return verify_field(r->v, r->report_field, rest);
}

static const char *vek_field(struct snp_run *r, const char *rest)
{
    return verify_field(r->v, r->vek_field, rest);
}

static value number(struct snp_run *r, uint64_t n)
{
    return r->v->checks == NULL ? VALUE_UNDEFINED : value_uint(r->v->checks->arena, n);
}

static value text(struct snp_run *r, struct str s)
{
    return r->v->checks == NULL ? VALUE_UNDEFINED : value_string(r->v->checks->arena, s);
}

static value date(struct snp_run *r, int64_t s)
{
    char out[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(s, out);
    return text(r, str_of(out));
}

STATUS snp_vek_parse(struct snp_run *r, struct str bytes, bool pem, const char *message)
{
    struct verify *v = r->v;
    digest_compute(DIGEST_SHA256, bytes, &r->vek_digest);
    void *known = NULL;
    r->vek_from_cache = verifier_cache_get(v->req->cache, &r->vek_digest, v->req->now_s,
                                           &r->vek_cached_issuer, &cache_certs, &known);
    r->vek = known;
    if (!r->vek_from_cache) {
        struct error why = ERROR_INIT;
        enum status st =
            pem ? cert_from_pem(bytes, &r->vek, &why) : cert_from_der(bytes, &r->vek, &why);
        if (st == ERR_NOMEM)
            return error_nomem(v->err);
        if (st != OK)
            return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, r->vek_field, "%s: %s", message,
                              why.text);
    }
    r->kind = str_is(cert_subject_cn(r->vek), "SEV-VLEK") ? VEK_VLEK : VEK_VCEK;

    /* Both kinds are P-384 keys: verifiers-snp.md 4. */
    if (pubkey_kind(cert_pubkey(r->vek)) != KEY_EC_P384)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, vek_field(r, "/public_key"),
                          "%s: its key is not of the curve P-384", message);
    PASS(v, CHECK_CERTIFICATE_FORMAT);
    return OK;
}

STATUS snp_check_reserved(struct snp_run *r, const char *message)
{
    size_t offset = 0;
    if (snp_report_reserved_zero(&r->report, &offset)) {
        PASS(r->v, CHECK_REPORT_RESERVED);
        return OK;
    }
    return FAIL(r->v, CHECK_REPORT_RESERVED, report_field(r, "/reserved"), number(r, 0),
                number(r, (uint8_t)r->report.bytes.ptr[offset]), "%s: byte 0x%zx is reserved",
                message, offset);
}

STATUS snp_check_generation(struct snp_run *r, const char *too_old)
{
    struct verify *v = r->v;
    const struct snp_report *rep = &r->report;
    const char *context = "Failed to get CPU Generation: ";

    /* verifiers-azure-vtpm.md 5: an old-era configuration takes version 2, as Milan. */
    if (rep->version == 2 && v->req->era == ERA_OLD) {
        r->generation = SNP_MILAN;
        PASS(v, CHECK_REPORT_VERSION);
        check_skipped(v->checks, CHECK_PROCESSOR,
                      "a version 2 report does not name its processor: Milan, as in the old era");
        return OK;
    }
    if (rep->version > SNP_VERSION_MAX)
        return FAIL(v, CHECK_REPORT_VERSION, report_field(r, "/version"),
                    number(r, SNP_VERSION_MAX), number(r, rep->version),
                    "Unexpected attestation report version. Check SNP Firmware ABI specification");
    enum snp_generation_status st = snp_report_generation(rep, &r->generation);
    if (rep->version < SNP_VERSION_MIN || st == SNP_GENERATION_NO_FAMILY)
        return FAIL(
            v, CHECK_REPORT_VERSION, report_field(r, "/version"), number(r, SNP_VERSION_MIN),
            number(r, rep->version), "%s%s", too_old == NULL ? context : "",
            too_old == NULL ? "Attestation report version 3+ is missing CPU family ID" : too_old);
    PASS(v, CHECK_REPORT_VERSION);

    if (st == SNP_GENERATION_FAMILY)
        return FAIL(v, CHECK_PROCESSOR, report_field(r, "/cpuid_fam_id"), VALUE_UNDEFINED,
                    number(r, rep->family), "%sProcessor family not supported", context);
    if (st == SNP_GENERATION_MODEL)
        return FAIL(v, CHECK_PROCESSOR, report_field(r, "/cpuid_mod_id"), VALUE_UNDEFINED,
                    number(r, rep->model), "%sProcessor model not supported", context);
    PASS(v, CHECK_PROCESSOR);
    return OK;
}

static const struct anchor *anchor_with(const struct anchors *set, const char *name,
                                        const struct digest *spki)
{
    const struct anchor *an;
    for (size_t i = 0; (an = anchors_find(set, name, i)) != NULL; i++)
        if (str_equal(digest_str(&an->spki), digest_str(spki)))
            return an;
    return NULL;
}

STATUS snp_check_issuer(struct snp_run *r, const char *message)
{
    struct verify *v = r->v;
    struct str name = arena_format(v->a, "amd-%s-%s", r->kind == VEK_VLEK ? "asvk" : "ask",
                                   snp_generation_name(r->generation));
    if (name.ptr == NULL)
        return error_nomem(v->err);

    struct error why = ERROR_INIT;
    r->issuer =
        r->vek_from_cache ? anchor_with(v->req->anchors, name.ptr, &r->vek_cached_issuer) : NULL;
    const struct anchor *an = NULL;
    for (size_t i = 0;
         r->issuer == NULL && (an = anchors_find(v->req->anchors, name.ptr, i)) != NULL; i++) {
        enum status st = cert_signed_by(r->vek, an->key, &why);
        if (st == ERR_NOMEM)
            return error_nomem(v->err);
        if (st == OK)
            r->issuer = an;
    }
    if (r->issuer == NULL)
        return FAIL(v, CHECK_CERTIFICATE_CHAIN, r->vek_field, text(r, name),
                    text(r, cert_issuer_cn(r->vek)), "%s: %s", message,
                    why.text[0] != '\0' ? why.text : "no trusted key signed it");
    verifier_cache_put(v->req->cache, &r->vek_digest, cert_not_after(r->vek), &r->issuer->spki,
                       &cache_certs, r->vek);
    verify_rests_on(v, r->issuer);
    PASS(v, CHECK_CERTIFICATE_CHAIN);
    return OK;
}

STATUS snp_check_dates(struct snp_run *r)
{
    struct verify *v = r->v;
    value option = verify_config(v, "snp_verifier", "enforce_vek_dates");
    /*
     * verifiers-snp.md 4: VLEKs live for a year and reports outlive them, so
     * their dates count only when the configuration says so in words.
     */
    bool enforce = value_is_defined(option) ? value_is_true(option) : r->kind == VEK_VCEK;
    if (!enforce) {
        check_skipped(v->checks, CHECK_CERTIFICATE_VALIDITY, "%s",
                      value_is_defined(option) ? "verifier_config.snp_verifier.enforce_vek_dates"
                                               : "dates of a VLEK are not enforced by default");
        return OK;
    }
    int64_t from = cert_not_before(r->vek), to = cert_not_after(r->vek);
    if (cert_valid_at(r->vek, v->req->now_s)) {
        PASS(v, CHECK_CERTIFICATE_VALIDITY);
        return OK;
    }
    bool early = v->req->now_s < from;
    return FAIL(v, CHECK_CERTIFICATE_VALIDITY,
                vek_field(r, early ? "/validity/not_before" : "/validity/not_after"),
                date(r, early ? from : to), date(r, v->req->now_s),
                "Failed to validate VCEK: the certificate %s",
                early ? "is not yet valid" : "has expired");
}

struct str snp_kds_base(struct verify *v)
{
    value sources = verify_config(v, "snp_verifier", "vcek_sources");
    for (size_t i = 0; i < value_len(sources); i++) {
        value source = value_at(sources, i);
        struct str base = value_str(value_get_lit(source, "base_url"));
        if (str_is(value_str(value_get_lit(source, "type")), "KDS") && base.len > 0) {
            while (base.len > 0 && base.ptr[base.len - 1] == '/')
                base.len--;
            return base;
        }
    }
    return STR(KDS_DEFAULT);
}

/* The list is whole, the ARK's and, when `required`, fresh. */
static enum status judge_crl(struct snp_run *r, struct str der, bool required,
                             struct str ask_serial)
{
    struct verify *v = r->v;
    CLEANUP(crl_cleanup) struct crl *crl = NULL;
    struct error why = ERROR_INIT;
    enum status st = crl_from_der(der, &crl, &why);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_COLLATERAL, "/data/collateral/crl",
                          "revocation list is malformed: %s", why.text);

    /* The root that the chain led to; of the same folder for an extra ASK, else the built-in one.
     */
    struct str name = arena_format(v->a, "amd-ark-%s", snp_generation_name(r->generation));
    if (name.ptr == NULL)
        return error_nomem(v->err);
    const struct anchor *ark = r->root != NULL ? r->root
                               : r->issuer != NULL && r->issuer->issuer != NULL
                                   ? r->issuer->issuer
                                   : anchors_find(v->req->anchors, name.ptr, 0);
    struct digest digest, signer;
    void *none = NULL;
    digest_compute(DIGEST_SHA256, der, &digest);
    bool known = verifier_cache_get(v->req->cache, &digest, v->req->now_s, &signer, NULL, &none) &&
                 str_equal(digest_str(&signer), digest_str(&ark->spki));
    if (!known && crl_signed_by(crl, ark->key, &why) != OK)
        return FAIL_PLAIN(v, CHECK_COLLATERAL, "/data/collateral/crl/signature",
                          "revocation list is not signed by %s", ark->name);
    verifier_cache_put(v->req->cache, &digest, crl_next_update(crl), &ark->spki, NULL, NULL);

    if (crl_revokes(crl, ask_serial))
        return FAIL(v, CHECK_REVOCATION, vek_field(r, "/issuer"), VALUE_UNDEFINED,
                    check_hex(v->checks, ask_serial), "the key that issued it is revoked");
    if (crl_revokes(crl, cert_serial(r->vek)))
        return FAIL(v, CHECK_REVOCATION, r->vek_field, VALUE_UNDEFINED,
                    check_hex(v->checks, cert_serial(r->vek)), "the certificate is revoked");

    if (crl_next_update(crl) >= v->req->now_s) {
        r->crl = "checked";
        PASS(v, CHECK_REVOCATION);
        return OK;
    }
    if (required)
        return FAIL(v, CHECK_REVOCATION, "/data/collateral/crl/next_update",
                    date(r, crl_next_update(crl)), date(r, v->req->now_s),
                    "revocation list is out of date");
    r->crl = "stale";
    check_skipped(v->checks, CHECK_REVOCATION, "stale: the list was good until its next update");
    return OK;
}

STATUS snp_check_revocation(struct snp_run *r, struct str ask_serial)
{
    struct verify *v = r->v;
    struct str mode = value_str(verify_config(v, "snp_verifier", "crl"));
    bool required = str_is(mode, "required");
    if (!required && mode.len > 0 && !str_is(mode, "if-available"))
        return FAIL(
            v, CHECK_REVOCATION, "/data/verifier_config/snp_verifier/crl",
            text(r, STR("if-available")), text(r, mode),
            "verifier_config.snp_verifier.crl is neither \"if-available\" nor \"required\"");

    struct str base = snp_kds_base(v);
    struct str url = amd_crl_url(v->a, base, r->kind == VEK_VLEK, r->generation);
    struct str der;
    if (required) {
        enum status st = verify_collateral(v, url, &der);
        if (st != OK)
            return st;
    } else if (url.ptr == NULL) {
        return error_nomem(v->err);
    } else if (!verify_collateral_find(v, url, &der)) {
        r->crl = "absent";
        check_skipped(v->checks, CHECK_REVOCATION, "absent: no revocation list at hand");
        return OK;
    }
    return judge_crl(r, der, required, ask_serial);
}

/* Order of the group of P-384, FIPS 186-4 D.1.2.4, big-endian. */
static const uint8_t p384_order[48] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};

/* HARDEN snp-1: 72 bytes little-endian into 48 big-endian; within 1 to order - 1, the rest zero. */
static bool read_scalar(struct str le, uint8_t out[48])
{
    uint8_t any = 0;
    for (size_t i = 48; i < le.len; i++)
        if (le.ptr[i] != 0)
            return false;
    for (size_t i = 0; i < 48; i++) {
        out[i] = (uint8_t)le.ptr[47 - i];
        any |= out[i];
    }
    return any != 0 && memcmp(out, p384_order, 48) < 0;
}

STATUS snp_check_signature(struct snp_run *r, const char *message)
{
    struct verify *v = r->v;
    uint8_t raw[96];
    if (!read_scalar(r->report.r, raw))
        return FAIL(v, CHECK_REPORT_SIGNATURE, report_field(r, "/signature/r"), VALUE_UNDEFINED,
                    check_hex(v->checks, r->report.r), "%s: r is not a scalar of P-384", message);
    if (!read_scalar(r->report.s, raw + 48))
        return FAIL(v, CHECK_REPORT_SIGNATURE, report_field(r, "/signature/s"), VALUE_UNDEFINED,
                    check_hex(v->checks, r->report.s), "%s: s is not a scalar of P-384", message);

    enum status st = pubkey_verify(cert_pubkey(r->vek), SIG_ECDSA_RAW, DIGEST_SHA384,
                                   r->report.signed_part, str_bytes(raw, sizeof(raw)), NULL);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_REPORT_SIGNATURE, report_field(r, "/signature"), "%s", message);
    PASS(v, CHECK_REPORT_SIGNATURE);
    return OK;
}

STATUS snp_check_algorithm(struct snp_run *r)
{
    struct verify *v = r->v;
    if (r->report.sig_algo != 1)
        return FAIL(v, CHECK_SIGNATURE_ALGORITHM, report_field(r, "/sig_algo"), number(r, 1),
                    number(r, r->report.sig_algo),
                    "signature algorithm of the report is not ECDSA P-384 with SHA-384");
    PASS(v, CHECK_SIGNATURE_ALGORITHM);

    unsigned key = snp_signing_key(&r->report), want = r->kind == VEK_VLEK ? 1 : 0;
    if (key != want)
        return FAIL(v, CHECK_SIGNING_KEY, report_field(r, "/key_info"), number(r, want),
                    number(r, key), "the report was not signed by a key of the certificate's kind");
    PASS(v, CHECK_SIGNING_KEY);
    return OK;
}

/* An OCTET STRING of exactly `len` bytes, or the bytes themselves: both are in the field. */
static bool unwrap_hwid(struct str ext, size_t len, struct str *out)
{
    if (ext.len == len + 2 && ext.ptr[0] == 0x04 && (size_t)(uint8_t)ext.ptr[1] == len) {
        *out = str_from(ext, 2);
        return true;
    }
    *out = ext;
    return ext.len == len;
}

static bool all_zero(struct str s)
{
    uint8_t any = 0;
    for (size_t i = 0; i < s.len; i++)
        any |= (uint8_t)s.ptr[i];
    return any == 0;
}

bool vek_is_of_chip(const struct cert *vek, struct str chip_id)
{
    struct str ext, id;
    return cert_extension(vek, OID_AMD "4", &ext) == OK && unwrap_hwid(ext, chip_id.len, &id) &&
           str_equal(id, chip_id);
}

/*
 * BUG az-b2: upstream compares only when the CN is "VCEK", which no AMD
 * certificate has.  Turin's chip id has 8 bytes, the rest of the field is zero.
 */
STATUS snp_check_chip_id(struct snp_run *r)
{
    struct verify *v = r->v;
    struct str chip = r->report.chip_id, ext, id;
    if (r->kind == VEK_VLEK || all_zero(chip)) {
        check_skipped(v->checks, CHECK_CHIP_ID, "%s",
                      r->kind == VEK_VLEK ? "a VLEK belongs to no chip" : "the chip id is masked");
        return OK;
    }
    enum status st = cert_extension(r->vek, OID_AMD "4", &ext);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_CHIP_ID, vek_field(r, "/hw_id"),
                          "%sChip ID mismatch: the certificate names no chip", r->tcb_context);
    bool same = unwrap_hwid(ext, 64, &id)
                    ? str_equal(id, chip)
                    : unwrap_hwid(ext, 8, &id) && str_equal(id, str_slice(chip, 0, 8)) &&
                          all_zero(str_from(chip, 8));
    if (!same)
        return FAIL(v, CHECK_CHIP_ID, report_field(r, "/chip_id"), check_hex(v->checks, id),
                    check_hex(v->checks, chip), "%sChip ID mismatch", r->tcb_context);
    PASS(v, CHECK_CHIP_ID);
    return OK;
}

/* DER INTEGER, 0 to 255: 02 01 xx, or 02 02 00 xx above 127. */
static bool read_spl(struct str ext, uint8_t *out)
{
    const uint8_t *p = (const uint8_t *)ext.ptr;
    if (ext.len == 3 && p[0] == 2 && p[1] == 1 && p[2] < 0x80) {
        *out = p[2];
        return true;
    }
    if (ext.len == 4 && p[0] == 2 && p[1] == 2 && p[2] == 0 && p[3] >= 0x80) {
        *out = p[3];
        return true;
    }
    return false;
}

bool vek_has_tcb(const struct cert *vek, const struct snp_tcb *t, enum snp_generation g)
{
    const struct {
        const char *oid;
        uint8_t want;
    } rows[] = {{OID_AMD "3.1", t->bootloader},
                {OID_AMD "3.2", t->tee},
                {OID_AMD "3.3", t->snp},
                {OID_AMD "3.8", t->microcode},
                {OID_AMD "3.9", t->fmc}};
    for (size_t i = 0; i < ARRAY_LEN(rows) - (g == SNP_TURIN ? 0 : 1); i++) {
        struct str ext;
        uint8_t spl = 0;
        if (cert_extension(vek, rows[i].oid, &ext) != OK || !read_spl(ext, &spl) ||
            spl != rows[i].want)
            return false;
    }
    return true;
}

STATUS snp_check_tcb(struct snp_run *r)
{
    const struct snp_tcb *t = &r->report.reported;
    const struct {
        const char *oid, *field, *message;
        uint8_t reported;
        bool turin_only;
    } rows[] = {
        {OID_AMD "3.8", "/microcode", "Microcode version mismatch", t->microcode, false},
        {OID_AMD "3.3", "/snp", "SNP version mismatch", t->snp, false},
        {OID_AMD "3.2", "/tee", "TEE version mismatch", t->tee, false},
        {OID_AMD "3.1", "/bootloader", "Boot loader version mismatch", t->bootloader, false},
        /* HARDEN az-5: on Azure, too. */
        {OID_AMD "3.9", "/fmc", "FMC version mismatch", t->fmc, true},
    };
    struct verify *v = r->v;
    const char *tcb = report_field(r, "/reported_tcb"), *context = r->tcb_context;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].turin_only && r->generation != SNP_TURIN)
            continue;
        struct str ext;
        uint8_t spl = 0;
        enum status st = cert_extension(r->vek, rows[i].oid, &ext);
        if (st != OK)
            return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT,
                              vek_field(r, verify_field(v, "/tcb", rows[i].field)), "%s%s", context,
                              st == ERR_NOT_FOUND ? "Oid not found" : "Oid found twice");
        if (!read_spl(ext, &spl))
            return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT,
                              vek_field(r, verify_field(v, "/tcb", rows[i].field)),
                              "%sUnexpected data size", context);
        if (spl != rows[i].reported)
            return FAIL(v, CHECK_TCB, verify_field(v, tcb, rows[i].field), number(r, spl),
                        number(r, rows[i].reported), "%s%s", context, rows[i].message);
    }
    PASS(v, CHECK_TCB);
    return OK;
}

STATUS snp_check_vmpl(struct snp_run *r, const char *message)
{
    if (r->report.vmpl != 0)
        return FAIL(r->v, CHECK_VMPL, report_field(r, "/vmpl"), number(r, 0),
                    number(r, r->report.vmpl), "%s", message);
    PASS(r->v, CHECK_VMPL);
    return OK;
}

static void deny_tcb(struct deny_facts *f, unsigned first, const char *base,
                     const struct snp_tcb *t, bool turin)
{
    const struct {
        const char *rest;
        uint8_t svn;
    } rows[] = {{"/fmc", t->fmc},
                {"/bootloader", t->bootloader},
                {"/tee", t->tee},
                {"/snp", t->snp},
                {"/microcode", t->microcode}};
    for (unsigned i = turin ? 0 : 1; i < ARRAY_LEN(rows); i++)
        deny_add_tcb(f, first + i, base, rows[i].rest, rows[i].svn);
}

void snp_deny_facts(struct snp_run *r, struct deny_facts *f)
{
    const struct snp_report *rep = &r->report;
    const char *report = r->report_field;
    struct str ext, id;
    if (!all_zero(rep->chip_id))
        deny_add_bytes(f, DENY_CHIP_ID, report, "/chip_id", rep->chip_id);
    /* A host may mask the id in reports; the certificate names the chip all the same. */
    if (r->kind == VEK_VCEK && cert_extension(r->vek, OID_AMD "4", &ext) == OK &&
        (unwrap_hwid(ext, 64, &id) || unwrap_hwid(ext, 8, &id)))
        deny_add_bytes(f, DENY_CHIP_ID, r->vek_field, "/hw_id", id);

    deny_add_key(f, r->vek_field, "/public_key", cert_pubkey(r->vek));
    if (r->issuer != NULL)
        deny_add_bytes(f, DENY_SIGNING_KEY, r->vek_field, "/issuer", digest_str(&r->issuer->spki));
    const struct anchor *root = r->root != NULL     ? r->root
                                : r->issuer != NULL ? r->issuer->issuer
                                                    : NULL;
    if (root != NULL)
        deny_add_bytes(f, DENY_SIGNING_KEY, r->vek_field, "/root", digest_str(&root->spki));
    if (!all_zero(rep->id_key_digest))
        deny_add_bytes(f, DENY_SIGNING_KEY, report, "/id_key_digest", rep->id_key_digest);
    if (!all_zero(rep->author_key_digest))
        deny_add_bytes(f, DENY_SIGNING_KEY, report, "/author_key_digest", rep->author_key_digest);

    if (rep->version >= 3) { /* version 2 does not name its processor */
        deny_add_number(f, DENY_CPU_FAMILY, report, "/cpuid_fam_id", rep->family);
        deny_add_number(f, DENY_CPU_MODEL, report, "/cpuid_mod_id", rep->model);
        deny_add_number(f, DENY_CPU_STEPPING, report, "/cpuid_step", rep->stepping);
    }
    bool turin = r->generation == SNP_TURIN;
    deny_tcb(f, DENY_TCB_REPORTED, verify_field(r->v, report, "/reported_tcb"), &rep->reported,
             turin);
    deny_tcb(f, DENY_TCB_CURRENT, verify_field(r->v, report, "/current_tcb"), &rep->current, turin);
    deny_tcb(f, DENY_TCB_COMMITTED, verify_field(r->v, report, "/committed_tcb"), &rep->committed,
             turin);
    deny_tcb(f, DENY_TCB_LAUNCH, verify_field(r->v, report, "/launch_tcb"), &rep->launch, turin);
}

void snp_revocation_claim(struct snp_run *r, struct value_builder *claims)
{
    bool configured = value_is_defined(verify_config(r->v, "snp_verifier", "crl"));
    if (r->crl != NULL && (configured || !str_is(str_of(r->crl), "absent")))
        value_builder_put_str(claims, "crl_status", value_cstring(r->v->a, r->crl));
}

/* ---- claims ---- */

void snp_report_claims(struct arena *a, const struct snp_report *r, bool as_text,
                       struct value_builder *b)
{
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {
        {"policy_abi_major", r->policy >> 8 & 0xff},
        {"policy_abi_minor", r->policy & 0xff},
        {"reported_tcb_bootloader", r->reported.bootloader},
        {"reported_tcb_tee", r->reported.tee},
        {"reported_tcb_snp", r->reported.snp},
        {"reported_tcb_microcode", r->reported.microcode},
    };
    const struct {
        const char *name;
        bool flag;
    } flags[] = {
        {"policy_smt_allowed", r->policy & SNP_POLICY_SMT},
        {"policy_migrate_ma", r->policy & SNP_POLICY_MIGRATE},
        {"policy_debug_allowed", r->policy & SNP_POLICY_DEBUG},
        {"policy_single_socket", r->policy & SNP_POLICY_SINGLE_SOCKET},
        {"platform_tsme_enabled", r->platform_info & SNP_PLATFORM_TSME},
        {"platform_smt_enabled", r->platform_info & SNP_PLATFORM_SMT},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        value_builder_put_str(b, numbers[i].name,
                              as_text ? claim_decimal(a, numbers[i].number)
                                      : value_uint(a, numbers[i].number));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        value_builder_put_str(b, flags[i].name,
                              as_text ? claim_flag_text(a, flags[i].flag)
                                      : value_bool(flags[i].flag));
}
