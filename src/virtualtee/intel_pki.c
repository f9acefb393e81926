/*
 * Intel's part of a PKI: root, Platform CA and Processor CA, TCB Signing, keys of
 * one platform, and a full set of collateral for it (verifiers-intel.md 3, 4).
 *
 * The TCB information has a level for each status that a platform can have, so
 * that a machine reaches any of them by its fields.
 */
#include "virtualtee/pki_internal.h"

#include "base/encode.h"
#include "value/json.h"

#define FMSPC_TEXT "FF906ED50000" /* PKI_FMSPC */
#define ORGANISATION ",O=Claviger virtual TEE"
#define TEXT_MAX (128 * 1024)
#define ISSUE_DATE "2020-01-01T00:00:00Z"
#define NEXT_UPDATE "2045-01-01T00:00:00Z"

void pki_qe_signer(bool tdx, uint8_t out[32])
{
    struct digest d;
    digest_compute(DIGEST_SHA256,
                   tdx ? STR("virtual-tee TD quoting enclave") : STR("virtual-tee quoting enclave"),
                   &d);
    memcpy(out, d.bytes, 32);
}

/* ---- TCB information ---- */

/* A platform reaches the first level of which it has at least all numbers. */
static const struct level {
    uint8_t svn;     /* of all 16 SGX components */
    uint8_t tdx_svn; /* of TDX component 2, the SEAM loader's */
    uint8_t pcesvn;
    const char *date, *status, *advisory; /* advisory NULL: none */
} levels[] = {
    {8, 6, 15, "2025-03-12T00:00:00Z", "UpToDate", NULL},
    {7, 6, 14, "2024-11-13T00:00:00Z", "SWHardeningNeeded", "INTEL-SA-90001"},
    {6, 6, 13, "2024-08-14T00:00:00Z", "ConfigurationNeeded", "INTEL-SA-90002"},
    {5, 5, 12, "2024-03-13T00:00:00Z", "ConfigurationAndSWHardeningNeeded", "INTEL-SA-90002"},
    {4, 5, 11, "2023-08-09T00:00:00Z", "OutOfDate", "INTEL-SA-90003"},
    {3, 4, 10, "2023-02-15T00:00:00Z", "OutOfDateConfigurationNeeded", "INTEL-SA-90003"},
    {1, 1, 5, "2018-01-04T00:00:00Z", "Revoked", "INTEL-SA-90004"},
};

/* Levels by one number: of the TDX module and of the quoting enclave. */
static const struct {
    uint16_t isvsvn;
    const char *date, *status;
} isv_levels[] = {
    {5, "2025-03-12T00:00:00Z", "UpToDate"},
    {3, "2023-08-09T00:00:00Z", "OutOfDate"},
    {1, "2018-01-04T00:00:00Z", "Revoked"},
};

static void member(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    json_cstring(w, text);
}

static void number(struct json_writer *w, const char *key, int64_t n)
{
    json_key(w, key);
    json_int(w, n);
}

static void write_components(struct json_writer *w, const char *key, uint8_t all, uint8_t third)
{
    json_key(w, key);
    json_array_begin(w);
    for (int i = 0; i < 16; i++) {
        json_object_begin(w);
        number(w, "svn", i == 2 ? third : all);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_level(struct json_writer *w, const struct level *l, bool tdx)
{
    json_object_begin(w);
    json_key(w, "tcb");
    json_object_begin(w);
    write_components(w, "sgxtcbcomponents", l->svn, l->svn);
    number(w, "pcesvn", l->pcesvn);
    if (tdx)
        write_components(w, "tdxtcbcomponents", 0, l->tdx_svn);
    json_object_end(w);
    member(w, "tcbDate", l->date);
    member(w, "tcbStatus", l->status);
    if (l->advisory != NULL) {
        json_key(w, "advisoryIDs");
        json_array_begin(w);
        json_cstring(w, l->advisory);
        json_array_end(w);
    }
    json_object_end(w);
}

static void write_isv_levels(struct json_writer *w)
{
    json_key(w, "tcbLevels");
    json_array_begin(w);
    for (size_t i = 0; i < ARRAY_LEN(isv_levels); i++) {
        json_object_begin(w);
        json_key(w, "tcb");
        json_object_begin(w);
        number(w, "isvsvn", isv_levels[i].isvsvn);
        json_object_end(w);
        member(w, "tcbDate", isv_levels[i].date);
        member(w, "tcbStatus", isv_levels[i].status);
        json_object_end(w);
    }
    json_array_end(w);
}

/* Intel's own modules are signed by key zero and have no attributes. */
static void write_module(struct json_writer *w)
{
    static const char zeros[] = "000000000000000000000000000000000000000000000000"
                                "000000000000000000000000000000000000000000000000";
    member(w, "mrsigner", zeros);
    member(w, "attributes", "0000000000000000");
    member(w, "attributesMask", "FFFFFFFFFFFFFFFF");
}

static void write_tcb_info(struct json_writer *w, bool tdx)
{
    json_object_begin(w);
    member(w, "id", tdx ? "TDX" : "SGX");
    number(w, "version", 3);
    member(w, "issueDate", ISSUE_DATE);
    member(w, "nextUpdate", NEXT_UPDATE);
    member(w, "fmspc", FMSPC_TEXT);
    member(w, "pceId", "0000");
    number(w, "tcbType", 0);
    number(w, "tcbEvaluationDataNumber", 17);
    if (tdx) {
        json_key(w, "tdxModule");
        json_object_begin(w);
        write_module(w);
        json_object_end(w);
        json_key(w, "tdxModuleIdentities");
        json_array_begin(w);
        json_object_begin(w);
        member(w, "id", "TDX_01");
        write_module(w);
        write_isv_levels(w);
        json_object_end(w);
        json_array_end(w);
    }
    json_key(w, "tcbLevels");
    json_array_begin(w);
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        write_level(w, &levels[i], tdx);
    json_array_end(w);
    json_object_end(w);
}

static void write_qe_identity(struct json_writer *w, bool tdx)
{
    uint8_t signer[32];
    char hex[65];
    pki_qe_signer(tdx, signer);
    for (size_t i = 0; i < sizeof(signer); i++) {
        hex[2 * i] = "0123456789ABCDEF"[signer[i] >> 4];
        hex[2 * i + 1] = "0123456789ABCDEF"[signer[i] & 15];
    }
    hex[64] = '\0';
    json_object_begin(w);
    member(w, "id", tdx ? "TD_QE" : "QE");
    number(w, "version", 2);
    member(w, "issueDate", ISSUE_DATE);
    member(w, "nextUpdate", NEXT_UPDATE);
    number(w, "tcbEvaluationDataNumber", 17);
    member(w, "miscselect", "00000000");
    member(w, "miscselectMask", "FFFFFFFF");
    member(w, "attributes", "11000000000000000000000000000000");
    member(w, "attributesMask", "FBFFFFFFFFFFFFFF0000000000000000");
    member(w, "mrsigner", hex);
    number(w, "isvprodid", tdx ? PKI_QE_PROD_ID_TDX : PKI_QE_PROD_ID_SGX);
    write_isv_levels(w);
    json_object_end(w);
}

/* {"tcbInfo": {...}, "signature": hex}: the signature is over the text of the member. */
static STATUS signed_text(bool tdx, bool identity, const struct privkey *key, struct buf *out,
                          struct error *err)
{
    CLEANUP(buf_done) struct buf body;
    CLEANUP(buf_done) struct buf signature;
    buf_init(&body, TEXT_MAX);
    buf_init(&signature, 128);
    struct json_writer w;
    json_begin(&w, &body);
    if (identity)
        write_qe_identity(&w, tdx);
    else
        write_tcb_info(&w, tdx);
    enum status st = json_finish(&w);
    if (st == OK)
        st = privkey_sign(key, SIG_ECDSA_RAW, DIGEST_SHA256, buf_str(&body), &signature, err);
    if (st != OK) {
        error_set(err, "could not write Intel's collateral: %s", status_name(st));
        return st;
    }
    buf_add_format(out, "{\"%s\":", identity ? "enclaveIdentity" : "tcbInfo");
    buf_add(out, buf_str(&body));
    buf_add_cstr(out, ",\"signature\":\"");
    hex_write(out, buf_str(&signature));
    buf_add_cstr(out, "\"}");
    return buf_status(out);
}

/* ---- making ---- */

enum intel_role { ROOT, PLATFORM_CA, PROCESSOR_CA, TCB_SIGNING, ROLES };

static const struct {
    const char *file, *subject;
    bool ca;
} roles[ROLES] = {
    [ROOT] = {"intel-sgx-root-ca", "CN=Intel SGX Root CA" ORGANISATION, true},
    [PLATFORM_CA] = {"intel-pck-platform-ca", "CN=Intel SGX PCK Platform CA" ORGANISATION, true},
    [PROCESSOR_CA] = {"intel-pck-processor-ca", "CN=Intel SGX PCK Processor CA" ORGANISATION, true},
    [TCB_SIGNING] = {"intel-tcb-signing", "CN=Intel SGX TCB Signing" ORGANISATION, false},
};

struct makers {
    struct privkey *keys[ROLES];
    struct cert *certs[ROLES];
};

static void makers_done(struct makers *m)
{
    for (int i = 0; i < ROLES; i++) {
        privkey_unref(m->keys[i]);
        cert_unref(m->certs[i]);
    }
}

/*
 * cRLDistributionPoints: where Intel's root list is (4.1), as
 * SEQUENCE { SEQUENCE { [0] { [0] { [6] url } } } }.
 */
#define ROOT_CRL_URL "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

static STATUS make_cert(struct makers *m, enum intel_role role, struct error *err)
{
    uint8_t points[128];
    const size_t n = strlen(ROOT_CRL_URL);
    const uint8_t head[] = {0x30, (uint8_t)(n + 8), 0x30, (uint8_t)(n + 6), 0xA0, (uint8_t)(n + 4),
                            0xA0, (uint8_t)(n + 2), 0x86, (uint8_t)n};
    memcpy(points, head, sizeof(head));
    memcpy(points + sizeof(head), ROOT_CRL_URL, n);
    const struct cert_extension extension = {.oid = "2.5.29.31",
                                             .der = str_bytes(points, sizeof(head) + n)};
    const uint8_t serial[] = {0x60, (uint8_t)(role + 1)};
    const struct cert_request req = {
        .subject = roles[role].subject,
        .serial = str_bytes(serial, sizeof(serial)),
        .not_before = PKI_NOT_BEFORE,
        .not_after = PKI_NOT_AFTER,
        .ca = roles[role].ca,
        .digest = DIGEST_SHA256,
        .extensions = &extension,
        .extension_count = 1,
    };
    return cert_make(&req, privkey_public(m->keys[role]), role == ROOT ? NULL : m->certs[ROOT],
                     m->keys[ROOT], &m->certs[role], err);
}

static STATUS make_makers(const char *dir, struct makers *m, struct error *err)
{
    for (int i = 0; i < ROLES; i++) {
        enum status st = privkey_generate(KEY_EC_P256, 0, &m->keys[i], err);
        if (st == OK)
            st = make_cert(m, (enum intel_role)i, err);
        if (st == OK)
            st = pki_save_key(dir, roles[i].file, m->keys[i], err);
        if (st == OK)
            st = pki_save_cert(dir, i == ROOT ? "anchors" : "certs", roles[i].file, m->certs[i],
                               err);
        if (st != OK)
            return st;
    }
    return OK;
}

/* ---- bundles: the form of ../shared/vectors/verifiers/dcap-collateral ---- */

static STATUS add_chain(struct json_writer *w, const char *key, const struct cert *leaf,
                        const struct cert *root)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, TEXT_MAX);
    enum status st = cert_to_pem(leaf, &pem);
    if (st == OK)
        st = cert_to_pem(root, &pem);
    json_key(w, key);
    json_string(w, buf_str(&pem));
    return st;
}

static STATUS add_crl(struct json_writer *w, const char *key, const struct makers *m,
                      enum intel_role issuer, struct error *err)
{
    CLEANUP(buf_done) struct buf der;
    CLEANUP(buf_done) struct buf hex;
    buf_init(&der, TEXT_MAX);
    buf_init(&hex, TEXT_MAX);
    enum status st = crl_make(m->certs[issuer], m->keys[issuer], PKI_NOT_BEFORE, PKI_NOT_AFTER,
                              NULL, 0, false, &der, err);
    hex_write(&hex, buf_str(&der));
    json_key(w, key);
    json_string(w, buf_str(&hex));
    return st != OK ? st : buf_status(&hex);
}

static STATUS save_bundle(const char *dir, const struct makers *m, bool tdx, bool processor,
                          struct error *err)
{
    CLEANUP(buf_done) struct buf tcb;
    CLEANUP(buf_done) struct buf qe;
    CLEANUP(buf_done) struct buf out;
    buf_init(&tcb, TEXT_MAX);
    buf_init(&qe, TEXT_MAX);
    buf_init(&out, 4 * TEXT_MAX);
    enum intel_role ca = processor ? PROCESSOR_CA : PLATFORM_CA;
    enum status st = signed_text(tdx, false, m->keys[TCB_SIGNING], &tcb, err);
    if (st == OK)
        st = signed_text(tdx, true, m->keys[TCB_SIGNING], &qe, err);
    if (st != OK)
        return st;

    struct json_writer w;
    json_begin(&w, &out);
    json_object_begin(&w);
    member(&w, "version", "3.1");
    member(&w, "tee", tdx ? "TDX" : "SGX");
    member(&w, "fmspc", FMSPC_TEXT);
    st = add_chain(&w, "pck_crl_issuer_chain", m->certs[ca], m->certs[ROOT]);
    if (st == OK)
        st = add_crl(&w, "root_ca_crl", m, ROOT, err);
    if (st == OK)
        st = add_crl(&w, "pck_crl", m, ca, err);
    if (st == OK)
        st = add_chain(&w, "tcb_info_issuer_chain", m->certs[TCB_SIGNING], m->certs[ROOT]);
    if (st != OK)
        return st;
    json_key(&w, "tcb_info");
    json_string(&w, buf_str(&tcb));
    st = add_chain(&w, "qe_identity_issuer_chain", m->certs[TCB_SIGNING], m->certs[ROOT]);
    json_key(&w, "qe_identity");
    json_string(&w, buf_str(&qe));
    json_object_end(&w);
    if (st == OK)
        st = json_finish(&w);
    if (st != OK) {
        error_set(err, "could not write Intel's collateral: %s", status_name(st));
        return st;
    }
    return pki_save(dir, "collateral",
                    tdx         ? processor ? "intel-tdx-processor" : "intel-tdx"
                    : processor ? "intel-sgx-processor"
                                : "intel-sgx",
                    ".json", buf_str(&out), 0644, err);
}

/* ---- one file for all: the form of Intel's PcsClientTool (4.2) ---- */

/* Headers carry certificates with %XX for all but unreserved characters (RFC 3986, 2.3). */
static void add_percent(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain)
            buf_add_byte(out, c);
        else
            buf_add_format(out, "%%%02X", (unsigned)(uint8_t)c);
    }
}

static STATUS add_encoded_chain(struct json_writer *w, const char *key, const struct makers *m,
                                enum intel_role leaf)
{
    CLEANUP(buf_done) struct buf pem;
    CLEANUP(buf_done) struct buf text;
    buf_init(&pem, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    enum status st = cert_to_pem(m->certs[leaf], &pem);
    if (st == OK)
        st = cert_to_pem(m->certs[ROOT], &pem);
    add_percent(&text, buf_str(&pem));
    json_key(w, key);
    json_string(w, buf_str(&text));
    return st != OK ? st : buf_status(&text);
}

static STATUS add_signed(struct json_writer *w, const char *key, const struct makers *m, bool tdx,
                         bool identity, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, TEXT_MAX);
    enum status st = signed_text(tdx, identity, m->keys[TCB_SIGNING], &text, err);
    json_key(w, key);
    json_raw(w, st == OK ? buf_str(&text) : STR("null"));
    return st;
}

static STATUS write_tool_file(struct json_writer *w, const struct makers *m, struct error *err)
{
    json_object_begin(w);
    json_key(w, "collaterals");
    json_object_begin(w);
    member(w, "version", "3.1");
    json_key(w, "tcbinfos");
    json_array_begin(w);
    json_object_begin(w);
    member(w, "fmspc", FMSPC_TEXT);
    enum status st = add_signed(w, "sgx_tcbinfo", m, false, false, err);
    if (st == OK)
        st = add_signed(w, "tdx_tcbinfo", m, true, false, err);
    json_object_end(w);
    json_array_end(w);
    json_key(w, "pckcacrl");
    json_object_begin(w);
    if (st == OK)
        st = add_crl(w, "processorCrl", m, PROCESSOR_CA, err);
    if (st == OK)
        st = add_crl(w, "platformCrl", m, PLATFORM_CA, err);
    json_object_end(w);
    if (st == OK)
        st = add_signed(w, "qeidentity", m, false, true, err);
    if (st == OK)
        st = add_signed(w, "tdqeidentity", m, true, true, err);
    json_key(w, "certificates");
    json_object_begin(w);
    if (st == OK)
        st = add_encoded_chain(w, "TCB-Info-Issuer-Chain", m, TCB_SIGNING);
    if (st == OK)
        st = add_encoded_chain(w, "SGX-Enclave-Identity-Issuer-Chain", m, TCB_SIGNING);
    json_key(w, "SGX-PCK-Certificate-Issuer-Chain");
    json_object_begin(w);
    if (st == OK)
        st = add_encoded_chain(w, "PROCESSOR", m, PROCESSOR_CA);
    if (st == OK)
        st = add_encoded_chain(w, "PLATFORM", m, PLATFORM_CA);
    json_object_end(w);
    json_object_end(w);
    if (st == OK)
        st = add_crl(w, "rootcacrl", m, ROOT, err);
    member(w, "rootcacrl_cdp", ROOT_CRL_URL);
    json_object_end(w);
    json_object_end(w);
    return st;
}

static STATUS save_tool_file(const char *dir, const struct makers *m, struct error *err)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 8 * TEXT_MAX);
    struct json_writer w;
    json_begin(&w, &out);
    enum status st = write_tool_file(&w, m, err);
    if (st == OK)
        st = json_finish(&w);
    if (st != OK) {
        error_set(err, "could not write Intel's collateral: %s", status_name(st));
        return st;
    }
    return pki_save(dir, "collateral", "platform_collaterals", ".json", buf_str(&out), 0644, err);
}

STATUS intel_pki_make(const char *dir, struct error *err)
{
    CLEANUP(makers_done) struct makers m = {.keys = {NULL}};
    enum status st = make_makers(dir, &m, err);
    static const char *const platform[] = {"intel-pck", "intel-qe"};
    for (size_t i = 0; st == OK && i < ARRAY_LEN(platform); i++) {
        CLEANUP(privkey_cleanup) struct privkey *key = NULL;
        st = privkey_generate(KEY_EC_P256, 0, &key, err);
        if (st == OK)
            st = pki_save_key(dir, platform[i], key, err);
    }
    for (int i = 0; st == OK && i < 4; i++)
        st = save_bundle(dir, &m, (i & 1) != 0, (i & 2) != 0, err);
    return st == OK ? save_tool_file(dir, &m, err) : st;
}

/* ---- reading ---- */

STATUS intel_pki_open(const char *dir, struct pki_intel *out, struct error *err)
{
    const struct {
        const char *name;
        struct privkey **slot;
    } keys[] = {
        {"intel-pck-platform-ca", &out->platform_ca_key},
        {"intel-pck-processor-ca", &out->processor_ca_key},
        {"intel-pck", &out->pck_key},
        {"intel-qe", &out->qe_key},
    };
    const struct {
        const char *folder, *name;
        struct cert **slot;
    } certs[] = {
        {"anchors", "intel-sgx-root-ca", &out->root},
        {"certs", "intel-pck-platform-ca", &out->platform_ca},
        {"certs", "intel-pck-processor-ca", &out->processor_ca},
    };
    enum status st = OK;
    for (size_t i = 0; st == OK && i < ARRAY_LEN(keys); i++)
        st = pki_load_key(dir, keys[i].name, keys[i].slot, err);
    for (size_t i = 0; st == OK && i < ARRAY_LEN(certs); i++)
        st = pki_load_cert(dir, certs[i].folder, certs[i].name, certs[i].slot, err);
    if (st != OK) {
        intel_pki_done(out);
        *out = (struct pki_intel){.root = NULL};
        error_prefix(err, "the PKI has no keys of Intel's: ");
    }
    return st;
}

void intel_pki_done(struct pki_intel *p)
{
    privkey_unref(p->platform_ca_key);
    privkey_unref(p->processor_ca_key);
    privkey_unref(p->pck_key);
    privkey_unref(p->qe_key);
    cert_unref(p->root);
    cert_unref(p->platform_ca);
    cert_unref(p->processor_ca);
}
