/*
 * snp - AMD SEV-SNP guests that send their report and certificates themselves:
 * verifiers-snp.md.  Steps in the order of its section 4.
 */
#include <stdio.h>

#include "verifier/snp/amd_item.h"
#include "verifier/snp/vek.h"
#include "verifier/verifiers.h"

#define SNP_CHAIN_MAX 16

static const char deserialize_failed[] = "Deserialize SNP Evidence failed";
static const char chain_failed[] = "Certificate chain provided by user failed to verify";
static const char offline_default[] = "/opt/confidential-containers/attestation-service/kds-store";

/* What the evidence brings: an entry of each kind, or nothing. */
struct entry {
    struct str bytes;
    const char *field; /* "/evidence/cert_chain/0", NULL: none */
};

struct snp_evidence {
    bool has_chain; /* null: fetch the VCEK */
    struct entry ark, ask, vek;
    bool vek_is_vlek;
    struct cert *ark_cert, *ask_cert; /* owned */
};

static void snp_evidence_done(struct snp_evidence *e)
{
    e->ark_cert = cert_unref(e->ark_cert);
    e->ask_cert = cert_unref(e->ask_cert);
}

/* ---- step 1: decode ---- */

static enum status read_entry(struct verify *v, value item, size_t i, struct snp_evidence *out)
{
    struct str field = arena_format(v->a, "/evidence/cert_chain/%zu", i);
    if (field.ptr == NULL)
        return error_nomem(v->err);
    value type = value_get_lit(item, "cert_type"), data = value_get_lit(item, "data");
    struct entry e = {.field = field.ptr};
    enum status st = evidence_array(v->a, data, VEK_CERT_MAX * 4, &e.bytes);
    if (st == ERR_INVALID)
        return verify_malformed(v, verify_field(v, field.ptr, "/data"), "array of bytes", data,
                                deserialize_failed);
    if (st != OK)
        return st;

    /* The first of each kind counts; CRL, Empty and {"OTHER": uuid} are passed over. */
    struct str name = value_str(type);
    bool vlek = str_is(name, "VLEK");
    if (str_is(name, "ARK"))
        out->ark = out->ark.field == NULL ? e : out->ark;
    else if (str_is(name, "ASK"))
        out->ask = out->ask.field == NULL ? e : out->ask;
    else if (vlek || str_is(name, "VCEK")) {
        out->vek_is_vlek = out->vek.field == NULL ? vlek : out->vek_is_vlek;
        out->vek = out->vek.field == NULL ? e : out->vek;
    } else if (!str_is(name, "CRL") && !str_is(name, "Empty") &&
               !value_is_string(value_get_lit(type, "OTHER"))) {
        return verify_malformed(v, verify_field(v, field.ptr, "/cert_type"), "kind of certificate",
                                type, deserialize_failed);
    }
    return OK;
}

static enum status decode(struct snp_run *r, struct snp_evidence *out)
{
    struct verify *v = r->v;
    value e = v->req->evidence, report = value_get_lit(e, "attestation_report");
    if (!value_is_object(e))
        return verify_malformed(v, "/evidence", "object", e, deserialize_failed);

    uint8_t *bytes = arena_alloc(v->a, SNP_REPORT_LEN);
    if (bytes == NULL)
        return error_nomem(v->err);
    const char *rest = "", *wanted = "";
    enum status st = snp_report_from_json(v->a, report, bytes, &rest, &wanted);
    if (st == ERR_INVALID)
        return verify_malformed(v, verify_field(v, r->report_field, rest), wanted,
                                value_pointer(report, str_of(rest)), deserialize_failed);
    if (st == OK)
        st = snp_report_parse(str_bytes(bytes, SNP_REPORT_LEN), &r->report);
    if (st != OK)
        return st;

    value chain = value_get_lit(e, "cert_chain");
    out->has_chain = value_is_defined(chain) && value_kind(chain) != VALUE_KIND_NULL;
    if (out->has_chain && (!value_is_array(chain) || value_len(chain) > SNP_CHAIN_MAX))
        return verify_malformed(v, "/evidence/cert_chain", "array of at most 16 certificates",
                                chain, deserialize_failed);
    for (size_t i = 0; out->has_chain && i < value_len(chain); i++) {
        st = read_entry(v, value_at(chain, i), i, out);
        if (st != OK)
            return st;
    }
    PASS(v, CHECK_EVIDENCE_FORMAT);
    return OK;
}

/* ---- steps 2 and 3: version and generation ---- */

/* null where version 3 has a number: upstream's own words for it. */
static enum status check_cpuid(struct snp_run *r, const char *member, const char *what)
{
    struct verify *v = r->v;
    value report = value_get_lit(v->req->evidence, "attestation_report");
    if (r->report.version < 3 ||
        value_kind(value_get_str(report, str_of(member + 1))) != VALUE_KIND_NULL)
        return OK;
    return FAIL(v, CHECK_REPORT_VERSION, verify_field(v, r->report_field, member), VALUE_UNDEFINED,
                VALUE_NULL, "Attestation report version 3+ is missing %s", what);
}

static enum status check_generation(struct snp_run *r)
{
    enum status st = check_cpuid(r, "/cpuid_fam_id", "CPU family ID");
    if (st == OK)
        st = check_cpuid(r, "/cpuid_mod_id", "CPU model ID");
    return st == OK ? snp_check_generation(r, "Attestation Report version is too old. Please "
                                              "update your firmware.")
                    : st;
}

/* ---- step 4: the chain in the evidence ---- */

static enum status parse_cert(struct verify *v, const struct entry *e, struct cert **out)
{
    bool pem = str_has_prefix(e->bytes, STR("-----BEGIN"));
    struct error why = ERROR_INIT;
    enum status st = pem ? cert_from_pem(e->bytes, out, &why) : cert_from_der(e->bytes, out, &why);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_FORMAT, e->field, "%s: %s", chain_failed, why.text);
    return OK;
}

/* The root of the generation whose key signed the certificate, or NULL. */
static const struct anchor *root_of(struct snp_run *r, const struct cert *cert)
{
    char name[32];
    snprintf(name, sizeof(name), "amd-ark-%s", snp_generation_name(r->generation));
    const struct anchor *an;
    for (size_t i = 0; (an = anchors_find(r->v->req->anchors, name, i)) != NULL; i++)
        if (cert_signed_by(cert, an->key, NULL) == OK)
            return an;
    return NULL;
}

static enum status check_ark(struct snp_run *r, struct snp_evidence *e)
{
    struct verify *v = r->v;
    if (e->ark.field == NULL)
        return OK;
    enum status st = parse_cert(v, &e->ark, &e->ark_cert);
    if (st != OK)
        return st;
    const struct anchor *root = root_of(r, e->ark_cert);
    if (root == NULL)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_CHAIN, e->ark.field,
                          "Provided ARK has an invalid signature");
    /* Self-signed, and so the root's own: its ASK, too, is signed by the root. */
    if (!pubkey_equal(cert_pubkey(e->ark_cert), root->key))
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_CHAIN, verify_field(v, e->ark.field, "/public_key"),
                          "%s: the ARK is not %s", chain_failed, root->name);
    verify_rests_on(v, root);
    return OK;
}

/* An ASK (for a VLEK an ASVK) that came along is signed by a root and signed the VEK. */
static enum status check_provided_ask(struct snp_run *r, struct snp_evidence *e)
{
    struct verify *v = r->v;
    enum status st = parse_cert(v, &e->ask, &e->ask_cert);
    if (st != OK)
        return st;
    const struct anchor *root = root_of(r, e->ask_cert);
    if (root == NULL || (e->ark_cert != NULL && !pubkey_equal(cert_pubkey(e->ark_cert), root->key)))
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_CHAIN, e->ask.field,
                          "%s: the ARK did not sign the ASK", chain_failed);
    st = cert_signed_by(r->vek, cert_pubkey(e->ask_cert), NULL);
    if (st == ERR_NOMEM)
        return error_nomem(v->err);
    if (st != OK)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_CHAIN, r->vek_field, "%s: the ASK did not sign it",
                          chain_failed);
    r->root = root;
    verify_rests_on(v, root);
    PASS(v, CHECK_CERTIFICATE_CHAIN);
    return OK;
}

static enum status check_chain(struct snp_run *r, struct snp_evidence *e)
{
    struct verify *v = r->v;
    enum status st = check_ark(r, e);
    if (st != OK)
        return st;
    if (e->vek.field == NULL)
        return FAIL_PLAIN(v, CHECK_CERTIFICATE_CHAIN, "/evidence/cert_chain",
                          "If a cert chain is provided, it must include a VCEK/VLEK");
    r->vek_field = e->vek.field;
    st = snp_vek_parse(r, e->vek.bytes, str_has_prefix(e->vek.bytes, STR("-----BEGIN")),
                       chain_failed);
    if (st != OK)
        return st;
    if ((r->kind == VEK_VLEK) != e->vek_is_vlek)
        return FAIL_PLAIN(v, CHECK_SIGNING_KEY, verify_field(v, r->vek_field, "/cert_type"),
                          "the certificate is not of the kind that the evidence says");
    return e->ask.field != NULL ? check_provided_ask(r, e) : snp_check_issuer(r, chain_failed);
}

/* ---- step 5: the VCEK from elsewhere ---- */

/* Chip id and TCB as AMD's service and the offline store name them. */
static const char *chip_hex(struct snp_run *r)
{
    struct str id = r->report.chip_id;
    if (r->generation == SNP_TURIN)
        id.len = 8;
    struct str hex = hex_text(r->v->a, id);
    return hex.ptr == NULL ? "" : arena_str(r->v->a, hex).ptr;
}

static bool find_offline(struct snp_run *r, struct str path, struct str *out)
{
    struct arena *a = r->v->a;
    const struct snp_tcb *t = &r->report.reported;
    char fmc[16] = "";
    if (r->generation == SNP_TURIN)
        snprintf(fmc, sizeof(fmc), "_fmc%02u", t->fmc);
    struct str dir = arena_format(a, "file://%.*s/vcek/%s", STR_ARG(path), chip_hex(r));
    struct str exact = arena_format(a, "%s/bl%02u_tee%02u_snp%02u_ucode%02u%s_vcek.der", dir.ptr,
                                    t->bootloader, t->tee, t->snp, t->microcode, fmc);
    struct str any = arena_format(a, "%s/vcek.der", dir.ptr);
    if (any.ptr == NULL)
        return false;
    return verify_collateral_find(r->v, exact, out) || verify_collateral_find(r->v, any, out);
}

static struct str kds_url(struct snp_run *r)
{
    return amd_vcek_url(r->v->a, snp_kds_base(r->v), &r->report, r->generation);
}

static enum status find_vcek(struct snp_run *r, struct str *out)
{
    struct verify *v = r->v;
    uint8_t any = 0;
    for (size_t i = 0; i < r->report.chip_id.len; i++)
        any |= (uint8_t)r->report.chip_id.ptr[i];
    if (any == 0)
        return FAIL_PLAIN(v, CHECK_CHIP_ID, verify_field(v, r->report_field, "/chip_id/masked"),
                          "Hardware ID is 0s on attestation report. Confirm that MASK_CHIP_ID is "
                          "set to 0 to request VCEK from KDS.");

    value sources = verify_config(v, "snp_verifier", "vcek_sources");
    bool kds = !value_is_defined(sources);
    for (size_t i = 0; i < value_len(sources); i++) {
        value source = value_at(sources, i);
        struct str type = value_str(value_get_lit(source, "type"));
        struct str path = value_str(value_get_lit(source, "path"));
        if (str_is(type, "KDS")) {
            kds = true;
            struct str url = kds_url(r);
            if (url.ptr != NULL && verify_collateral_find(v, url, out))
                return OK;
        } else if (str_is(type, "OfflineStore") &&
                   find_offline(r, path.len > 0 ? path : str_of(offline_default), out)) {
            return OK;
        }
    }
    if (kds)
        return verify_collateral(v, kds_url(r), out);
    return FAIL_PLAIN(v, CHECK_COLLATERAL, "/data/collateral/vcek",
                      "Failed to fetch VCEK from any configured source");
}

static enum status fetch_vcek(struct snp_run *r)
{
    struct str bytes;
    enum status st = find_vcek(r, &bytes);
    if (st != OK)
        return st;
    r->vek_field = "/data/collateral/vcek";
    st = snp_vek_parse(r, bytes, false, "Failed to convert KDS VCEK into certificate");
    return st == OK ? snp_check_issuer(r, "Certificate chain from KDS failed verification") : st;
}

/* ---- steps 6 to 10 ---- */

static enum status check_binding(struct snp_run *r)
{
    struct verify *v = r->v;
    enum status st = OK;
    if (v->req->has_report_data) {
        struct str want = evidence_fit(v->a, v->req->report_data, 64);
        if (want.ptr == NULL)
            return error_nomem(v->err);
        st = verify_same(v, CHECK_REPORT_DATA, verify_field(v, r->report_field, "/report_data"),
                         want, r->report.report_data, "Report Data Mismatch");
    } else {
        check_skipped(v->checks, CHECK_REPORT_DATA, "no report data is expected");
    }
    if (st != OK)
        return st;
    if (!v->req->has_init_data) {
        check_skipped(v->checks, CHECK_INIT_DATA, "no init data is expected");
        return OK;
    }
    struct str want = evidence_fit(v->a, v->req->init_data, 32);
    if (want.ptr == NULL)
        return error_nomem(v->err);
    return verify_same(v, CHECK_INIT_DATA, verify_field(v, r->report_field, "/host_data"), want,
                       r->report.host_data, "Host Data Mismatch");
}

static enum status run(struct snp_run *r, struct snp_evidence *e)
{
    enum status st = decode(r, e);
    if (st == OK)
        st = check_generation(r);
    if (st == OK)
        st = e->has_chain ? check_chain(r, e) : fetch_vcek(r);
    if (st == OK)
        st = snp_check_dates(r);
    if (st == OK)
        st = snp_check_revocation(r, e->ask_cert != NULL ? cert_serial(e->ask_cert)
                                                         : r->issuer->serial);
    if (st == OK)
        st = snp_check_signature(r, "Report signature verification against VEK signature failed");
    if (st == OK) /* of the old shape; signed, but for the bytes after the signature */
        st = snp_check_reserved(r, deserialize_failed);
    if (st == OK)
        st = snp_check_algorithm(r);
    if (st == OK)
        st = snp_check_chip_id(r);
    if (st == OK)
        st = snp_check_tcb(r);
    if (st == OK)
        st = snp_check_vmpl(r, "VMPL Check Failed");
    return st == OK ? check_binding(r) : st;
}

static enum status check_deny(struct snp_run *r, const struct snp_evidence *e)
{
    struct deny_facts f;
    if (!deny_facts_init(&f, r->v, "snp"))
        return OK;
    snp_deny_facts(r, &f);
    if (e->ask_cert != NULL)
        deny_add_key(&f, e->ask.field, "/public_key", cert_pubkey(e->ask_cert));
    return deny_check(&f);
}

/* ---- claims: verifiers-snp.md 7 ---- */

static void report_claims(struct arena *a, const struct snp_report *r, struct value_builder *b)
{
    snp_report_claims(a, r, false, b);
    value_builder_put_str(b, "measurement", claim_hex(a, r->measurement));
    value_builder_put_str(b, "report_data", claim_hex(a, r->report_data));
    value_builder_put_str(b, "init_data", claim_hex(a, r->host_data));
    value_builder_put_str(b, "chip_id", claim_hex(a, r->chip_id));
}

static enum status snp_evaluate(struct arena *a, const struct verifier_request *req,
                                struct checks *checks, struct verifier_result *out,
                                struct error *err)
{
    struct verify v = {a, req, checks, out, err};
    CLEANUP(snp_evidence_done) struct snp_evidence evidence = {.has_chain = false};
    CLEANUP(snp_run_done)
    struct snp_run r = {.v = &v,
                        .report_field = "/evidence/attestation_report",
                        .vek_field = "/evidence/cert_chain",
                        .tcb_context = "Reported TCB values do not match: "};
    enum status st = run(&r, &evidence);
    if (st == OK)
        st = check_deny(&r, &evidence);
    if (st != OK)
        return st;

    struct value_builder claims;
    value_builder_init(&claims, a, 20);
    report_claims(a, &r.report, &claims);
    snp_revocation_claim(&r, &claims);
    return verify_finish(&v, &claims, req->details ? snp_details(&r) : VALUE_UNDEFINED);
}

/*
 * attestation-service.md S5: dialects before D have the three byte claims in
 * base64 (v0.14 to v0.17), dialect A every value as text (v0.13 and before).
 */
static value reshape(struct arena *a, struct str name, value v, enum dialect dialect)
{
    struct str bytes;
    if (str_is(name, "measurement") || str_is(name, "report_data") || str_is(name, "init_data"))
        return hex_bytes(a, value_str(v), &bytes, NULL) == OK ? claim_base64(a, bytes)
                                                              : VALUE_UNDEFINED;
    if (dialect != DIALECT_A)
        return v;
    if (value_kind(v) == VALUE_KIND_BOOLEAN)
        return claim_flag_text(a, value_is_true(v));
    char scratch[VALUE_NUMBER_SCRATCH];
    return value_kind(v) == VALUE_KIND_NUMBER ? value_string(a, value_number_text(v, scratch)) : v;
}

static value snp_shape(struct arena *a, value claims, enum dialect dialect)
{
    if (dialect == DIALECT_D)
        return claims;
    struct value_builder b;
    value_builder_init(&b, a, value_len(claims));
    const struct value_pair *pairs = value_pairs(claims);
    for (size_t i = 0; i < value_len(claims); i++) {
        struct str name = value_str(pairs[i].key);
        if (!str_is(name, "chip_id")) /* came after v0.21.0 */
            value_builder_put(&b, pairs[i].key, reshape(a, name, pairs[i].val, dialect));
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

const struct verifier verifier_snp = {
    .tee = "snp",
    .evaluate = snp_evaluate,
    .shape = snp_shape,
    .claims = "measurement report_data init_data chip_id " SNP_REPORT_CLAIMS,
};
