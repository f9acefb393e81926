/*
 * What configuration changes in the verifiers, on virtual hardware: paravisor
 * pinning, user data, revocation, dates, anchors, the cache.  The faults of
 * tests/unit/virtualtee hold each check to its field; here are the switches.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/verifier.h"
#include "verifier/verifier_cache.h"
#include "virtualtee/machine.h"

#include "../../claim_names.h" /* last: tap.h's CHECK is another than that of check.h */

#define NOW 1764028800 /* 2025-11-25T00:00:00Z */

static struct pki *pki;
static struct anchors *anchors;
static struct verifier_cache *cache;
static const struct str report_data = STR("forty-eight bytes, as SHA-384 of the runtime dat");

struct run {
    struct arena a;
    enum status status;
    struct checks checks;
    struct verifier_result result;
    struct error err;
};

static void run_done(struct run *r)
{
    arena_done(&r->a);
}

static enum check_outcome outcome_of(const struct run *r, enum check_id id, struct str *why)
{
    for (size_t i = 0; i < r->checks.len; i++)
        if (r->checks.items[i].id == id) {
            *why = r->checks.items[i].why;
            return r->checks.items[i].outcome;
        }
    *why = STR("not made");
    return CHECK_SKIPPED;
}

static void evaluate(const char *tee, const char *const *sets, size_t n, const char *config,
                     const struct collateral *collateral, int64_t now_s, struct run *r)
{
    *r = (struct run){.err = ERROR_INIT};
    arena_init(&r->a, 64 * 1024 * 1024);
    CLEANUP(machine_cleanup) struct machine *m = NULL;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024 * 1024);
    CHECK(machine_new(machine_kind_find(str_of(tee)), pki, &m, &r->err) == OK);
    for (size_t i = 0; i < n && sets[i] != NULL; i++)
        CHECK_ROW(machine_set(m, str_of(sets[i]), &r->err) == OK, sets[i]);
    CHECK(machine_evidence(m, report_data, &text, &r->err) == OK);

    struct verifier_request req = {.has_report_data = true,
                                   .report_data = report_data,
                                   .era = ERA_NEW,
                                   .details = true,
                                   .now_s = now_s,
                                   .config = VALUE_UNDEFINED,
                                   .anchors = anchors,
                                   .collateral = collateral,
                                   .cache = cache};
    CHECK(json_parse(&r->a, buf_str(&text), NULL, &req.evidence, &r->err) == OK);
    if (config != NULL)
        CHECK_ROW(json_parse(&r->a, str_of(config), NULL, &req.config, &r->err) == OK, config);
    checks_init(&r->checks, &r->a);
    r->status = verifier_run(&r->a, str_of(tee), &req, &r->checks, &r->result, &r->err);
    if (r->status == OK)
        check_claim_names(&r->a, tee, &r->result);
}

#define MEASUREMENT                                                                                \
    "0101010101010101010101010101010101010101010101010101010101010101010101010101010101010101"     \
    "01010101"
#define KEY_DIGEST                                                                                 \
    "0202020202020202020202020202020202020202020202020202020202020202020202020202020202020202"     \
    "02020202"
#define BASE64_MEASUREMENT "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"

static const struct configuration {
    const char *name, *tee;
    const char *sets[3];
    const char *config;
    enum check_id refused; /* CHECK_NONE: accepted */
    const char *field;
} configurations[] = {
    {"HARDEN az-1: no list, and the result says that nothing pins the paravisor",
     "az-snp-vtpm",
     {NULL},
     NULL,
     CHECK_NONE,
     NULL},
    {"HARDEN az-1: the measurement is in the list",
     "az-snp-vtpm",
     {"measurement=" MEASUREMENT},
     "{\"az_vtpm\":{\"paravisor_measurements\":[\"00\",\"" MEASUREMENT "\"]}}",
     CHECK_NONE,
     NULL},
    {"HARDEN az-1: the measurement as the claim is written",
     "az-snp-vtpm",
     {"measurement=" MEASUREMENT},
     "{\"az_vtpm\":{\"paravisor_measurements\":[\"" BASE64_MEASUREMENT "\"]}}",
     CHECK_NONE,
     NULL},
    {"HARDEN az-1: the key of the paravisor's maker is in the list",
     "az-snp-vtpm",
     {"id_key_digest=" KEY_DIGEST},
     "{\"az_vtpm\":{\"paravisor_measurements\":[\"" KEY_DIGEST "\"]}}",
     CHECK_NONE,
     NULL},
    {"HARDEN az-1: another paravisor",
     "az-snp-vtpm",
     {"measurement=" MEASUREMENT},
     "{\"az_vtpm\":{\"paravisor_measurements\":[\"" KEY_DIGEST "\"]}}",
     CHECK_PARAVISOR,
     "/evidence/hcl_report/hardware_report/measurement"},
    {"HARDEN az-1: an empty list accepts none",
     "az-snp-vtpm",
     {NULL},
     "{\"az_vtpm\":{\"paravisor_measurements\":[]}}",
     CHECK_PARAVISOR,
     "/evidence/hcl_report/hardware_report/measurement"},
    {"HARDEN az-2: version 1 is accepted",
     "az-snp-vtpm",
     {"evidence_version=1"},
     NULL,
     CHECK_NONE,
     NULL},
    {"HARDEN az-2: unless user data is required",
     "az-snp-vtpm",
     {"evidence_version=1"},
     "{\"az_vtpm\":{\"require_user_data\":true}}",
     CHECK_EVIDENCE_VERSION,
     "/evidence/version"},
    {"HARDEN az-2: version 0, too",
     "az-snp-vtpm",
     {"evidence_version=0"},
     "{\"az_vtpm\":{\"require_user_data\":true}}",
     CHECK_EVIDENCE_VERSION,
     "/evidence/version"},
    {"HARDEN az-2: version 2 has it",
     "az-snp-vtpm",
     {NULL},
     "{\"az_vtpm\":{\"require_user_data\":true}}",
     CHECK_NONE,
     NULL},
    {"HARDEN az-3: a report type of another machine",
     "az-snp-vtpm",
     {"hcl_report_type=4"},
     NULL,
     CHECK_HCL_HEADER,
     "/evidence/hcl_report/report_type"},
    {"HARDEN az-5: a report version that nobody knows",
     "az-snp-vtpm",
     {"report_version=6"},
     NULL,
     CHECK_REPORT_VERSION,
     "/evidence/hcl_report/hardware_report/version"},
    {"BUG az-b1: user data that is shorter than what is expected",
     "az-snp-vtpm",
     {"user_data=0102"},
     NULL,
     CHECK_USER_DATA,
     "/evidence/hcl_report/variable_data/user-data"},
    {"BUG az-b2: the chip of another certificate",
     "az-snp-vtpm",
     {"vcek_chip_id="
      "0303030303030303030303030303030303030303030303030303030303030303030303030303030303030303"
      "0303030303030303030303030303030303030303"},
     NULL,
     CHECK_CHIP_ID,
     "/evidence/hcl_report/hardware_report/chip_id"},
    {"HARDEN snp-1: signature algorithm",
     "snp",
     {"signature_algorithm=2"},
     NULL,
     CHECK_SIGNATURE_ALGORITHM,
     "/evidence/attestation_report/sig_algo"},
    {"dates of a VCEK count",
     "snp",
     {"vcek_not_after=2025-11-24T00:00:00Z"},
     NULL,
     CHECK_CERTIFICATE_VALIDITY,
     "/evidence/cert_chain/0/validity/not_after"},
    {"dates of a VCEK, turned off",
     "snp",
     {"vcek_not_after=2025-11-24T00:00:00Z"},
     "{\"snp_verifier\":{\"enforce_vek_dates\":false}}",
     CHECK_NONE,
     NULL},
    {"dates of a VLEK do not count",
     "snp",
     {"signing_key=1", "vcek_not_after=2025-11-24T00:00:00Z"},
     NULL,
     CHECK_NONE,
     NULL},
    {"dates of a VLEK, turned on",
     "snp",
     {"signing_key=1", "vcek_not_after=2025-11-24T00:00:00Z"},
     "{\"snp_verifier\":{\"enforce_vek_dates\":true}}",
     CHECK_CERTIFICATE_VALIDITY,
     "/evidence/cert_chain/0/validity/not_after"},
    {"not yet valid",
     "az-snp-vtpm",
     {"vcek_not_before=2025-11-26T00:00:00Z"},
     NULL,
     CHECK_CERTIFICATE_VALIDITY,
     "/evidence/vcek/validity/not_before"},
    {"a revocation mode that is none",
     "snp",
     {NULL},
     "{\"snp_verifier\":{\"crl\":\"maybe\"}}",
     CHECK_REVOCATION,
     "/data/verifier_config/snp_verifier/crl"},
    {"sample evidence without the table", "sample", {NULL}, NULL, CHECK_TEE_ENABLED, "/input/tee"},
};

static void check_configuration(const struct configuration *row)
{
    CLEANUP(run_done) struct run r;
    evaluate(row->tee, row->sets, 3, row->config, NULL, NOW, &r);
    bool pass = row->refused == CHECK_NONE;
    CHECK_STATUS_ROW(r.status, pass ? OK : ERR_DENIED, &r.err, row->name);
    CHECK_ROW(r.checks.reason.check == row->refused, row->name);
    if (!pass) {
        CHECK_STR_ROW(r.checks.reason.field, str_of(row->field), row->name);
        CHECK_ROW(r.result.len == 0, row->name);
    }
    bool pinned = strncmp(row->tee, "az-", 3) != 0 ||
                  (row->config != NULL && strstr(row->config, "paravisor_measurements") != NULL);
    if (pass)
        CHECK_ROW(r.result.unpinned_paravisor == !pinned, row->name);
}

static void test_configuration(void)
{
    for (size_t i = 0; i < ARRAY_LEN(configurations); i++)
        check_configuration(&configurations[i]);
}

/* ---- revocation: spec/README.md 17 ---- */

struct one_item {
    const char *url;
    struct str bytes;
};

static bool find_one(void *user, struct str url, struct str *bytes)
{
    const struct one_item *it = user;
    *bytes = it->bytes;
    return it->bytes.len > 0 && str_is(url, it->url);
}

/* A list of the virtual ARK's: fresh or not, with or without the ASK in it. */
static void make_crl(const struct pki_amd *amd, const struct privkey *key, int64_t next_update,
                     bool revoke, struct buf *out)
{
    struct str serial = cert_serial(amd->ask);
    struct error err = ERROR_INIT;
    CHECK_STATUS(
        crl_make(amd->ark, key, NOW - 86400, next_update, &serial, revoke ? 1 : 0, true, out, &err),
        OK, &err);
}

static void test_revocation(void)
{
    const struct pki_amd *amd = NULL;
    CHECK(pki_amd(pki, AMD_MILAN, &amd, NULL) == OK);
    enum { NONE, FRESH, STALE, REVOKED, FOREIGN, BROKEN };
    const struct {
        const char *name;
        int list;
        const char *mode;
        enum status want;
        enum check_id check;
        const char *field, *claim; /* NULL: no claim */
    } rows[] = {
        {"no list, nothing said", NONE, NULL, OK, CHECK_NONE, NULL, NULL},
        {"no list, said", NONE, "if-available", OK, CHECK_NONE, NULL, "absent"},
        {"no list, required", NONE, "required", ERR_UNAVAILABLE, CHECK_NONE, NULL, NULL},
        {"a list", FRESH, NULL, OK, CHECK_NONE, NULL, "checked"},
        {"a list, required", FRESH, "required", OK, CHECK_NONE, NULL, "checked"},
        {"an old list", STALE, NULL, OK, CHECK_NONE, NULL, "stale"},
        {"an old list, required", STALE, "required", ERR_DENIED, CHECK_REVOCATION,
         "/data/collateral/crl/next_update", NULL},
        {"the ASK is in it", REVOKED, NULL, ERR_DENIED, CHECK_REVOCATION,
         "/evidence/cert_chain/0/issuer", NULL},
        {"a list of somebody else's", FOREIGN, NULL, ERR_DENIED, CHECK_COLLATERAL,
         "/data/collateral/crl/signature", NULL},
        {"no list at all", BROKEN, NULL, ERR_DENIED, CHECK_COLLATERAL, "/data/collateral/crl",
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf der;
        buf_init(&der, 64 * 1024);
        if (rows[i].list == BROKEN)
            buf_add_cstr(&der, "not a list");
        else if (rows[i].list != NONE)
            make_crl(amd, rows[i].list == FOREIGN ? amd->asvk_key : amd->ark_key,
                     rows[i].list == STALE ? NOW - 1 : NOW + 86400, rows[i].list == REVOKED, &der);
        struct one_item item = {"https://kdsintf.amd.com/vcek/v1/Milan/crl", buf_str(&der)};
        const struct collateral collateral = {find_one, &item};
        char config[64];
        snprintf(config, sizeof(config), "{\"snp_verifier\":{\"crl\":\"%s\"}}",
                 rows[i].mode == NULL ? "" : rows[i].mode);
        CLEANUP(run_done) struct run r;
        evaluate("snp", NULL, 0, rows[i].mode == NULL ? NULL : config, &collateral, NOW, &r);
        CHECK_STATUS_ROW(r.status, rows[i].want, &r.err, rows[i].name);
        CHECK_ROW(r.checks.reason.check == rows[i].check, rows[i].name);
        if (rows[i].field != NULL)
            CHECK_STR_ROW(r.checks.reason.field, str_of(rows[i].field), rows[i].name);
        if (rows[i].want == ERR_UNAVAILABLE)
            CHECK_STR_ROW(r.result.needed[0], str_of(item.url), rows[i].name);
        if (r.status == OK) {
            value claim = value_get_lit(r.result.items[0].claims, "crl_status");
            CHECK_STR_ROW(value_str(claim), str_of(rows[i].claim == NULL ? "" : rows[i].claim),
                          rows[i].name);
        }
        struct str why;
        if (rows[i].list == NONE && r.status == OK)
            CHECK_ROW(outcome_of(&r, CHECK_REVOCATION, &why) == CHECK_SKIPPED, rows[i].name);
    }
}

/* ---- the VCEK from elsewhere ---- */

static void test_vcek_sources(void)
{
    const char *sets[] = {"cert_chain=none", "tcb_microcode=7"};
    const struct {
        const char *name, *config, *prefix;
        enum status want;
    } rows[] = {
        {"AMD's service", NULL, "https://kdsintf.amd.com/vcek/v1/Milan/", ERR_UNAVAILABLE},
        {"another service",
         "{\"snp_verifier\":{\"vcek_sources\":[{\"type\":\"OfflineStore\"},"
         "{\"type\":\"KDS\",\"base_url\":\"https://mirror.example/\"}]}}",
         "https://mirror.example/vcek/v1/Milan/", ERR_UNAVAILABLE},
        {"only the offline store",
         "{\"snp_verifier\":{\"vcek_sources\":[{\"type\":\"OfflineStore\"}]}}", "", ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(run_done) struct run r;
        evaluate("snp", sets, 2, rows[i].config, NULL, NOW, &r);
        CHECK_STATUS_ROW(r.status, rows[i].want, &r.err, rows[i].name);
        struct str needed = r.result.needed_count == 0 ? STR_EMPTY : r.result.needed[0];
        CHECK_ROW(str_has_prefix(needed, str_of(rows[i].prefix)), rows[i].name);
        if (rows[i].want == ERR_UNAVAILABLE) /* HARDEN ver-3: hex digits and numbers only */
            CHECK_ROW(str_has_suffix(r.result.needed[0], STR("&ucodeSPL=07")), rows[i].name);
        else
            CHECK_STR_ROW(r.checks.reason.message,
                          STR("Failed to fetch VCEK from any configured source"), rows[i].name);
    }
}

/* ---- claims ---- */

/* HARDEN ver-1: comparisons are of whole byte strings: a prefix or a longer text is another. */
static void test_comparison(void)
{
    static const char *const fields[] = {"nonce=00", "nonce=", "user_data=00"};
    static const enum check_id checks[] = {CHECK_NONCE, CHECK_NONCE, CHECK_USER_DATA};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        CLEANUP(run_done) struct run r;
        evaluate("az-snp-vtpm", &fields[i], 1, NULL, NULL, NOW, &r);
        CHECK_STATUS_ROW(r.status, ERR_DENIED, &r.err, fields[i]);
        CHECK_ROW(r.checks.reason.check == checks[i], fields[i]);
        CHECK_ROW(value_is_string(r.checks.reason.expected), fields[i]);
    }
}

/* Names that virtual hardware has no claim for: logs, quotes of version 5, no init data. */
static bool is_rare(struct str name)
{
    static const char *const rare[] = {"aael",         "uefi_event_logs", "ccel",
                                       "tee_tcb_svn2", "mr_servicetd",    "type",
                                       "size",         "crl_status"};
    for (size_t i = 0; i < ARRAY_LEN(rare); i++)
        if (str_is(name, rare[i]))
            return true;
    return false;
}

static bool names_are_claims(value schema, value claims, const char *tee)
{
    bool ok = true;
    for (size_t i = 0; i < value_len(schema); i++) {
        struct value_pair name = value_pairs(schema)[i];
        value claim = value_get(claims, name.key);
        if (!value_is_defined(claim) && !is_rare(value_str(name.key))) {
            printf("# %s: no claim %.*s\n", tee, STR_ARG(value_str(name.key)));
            ok = false;
        }
        if (value_is_defined(claim) && value_is_object(name.val))
            ok = names_are_claims(name.val, claim, tee) && ok;
    }
    return ok;
}

/* Each name stands for a claim; that each claim has a name is checked at every evaluation. */
static void test_claim_names(void)
{
    static const char *const tees[] = {"az-snp-vtpm", "az-tdx-vtpm", "snp", "tdx", "sgx"};
    char folder[512];
    snprintf(folder, sizeof(folder), "%s/collateral", tap_tmpdir());
    struct collateral_set *intel = NULL;
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(collateral_set_new(false, &intel, &err), OK, &err))
        return;
    CHECK_STATUS(collateral_set_add(intel, folder, &err), OK, &err);
    for (size_t i = 0; i < ARRAY_LEN(tees); i++) {
        if (verifier_find(str_of(tees[i])) == NULL) /* left out of this build */
            continue;
        CLEANUP(run_done) struct run r;
        evaluate(tees[i], NULL, 0, NULL, collateral_set_get(intel), NOW, &r);
        if (CHECK_STATUS_ROW(r.status, OK, &r.err, tees[i]))
            CHECK_ROW(names_are_claims(value_get_str(verifier_claim_schema(&r.a), str_of(tees[i])),
                                       r.result.items[0].claims, tees[i]),
                      tees[i]);
    }
    collateral_set_free(intel);
}

static void test_claims(void)
{
    CLEANUP(run_done) struct run r;
    evaluate("snp", NULL, 0, NULL, NULL, NOW, &r);
    if (!CHECK_STATUS(r.status, OK, &r.err))
        return;
    value c = r.result.items[0].claims;
    CHECK(r.result.extra_anchor_count == 2);
    CHECK(value_len(value_get_lit(c, "extra_trust_anchors")) == 2);
    CHECK(value_len(value_get_lit(c, "report_data")) == 0 &&
          value_str(value_get_lit(c, "report_data")).len == 128);

    const struct verifier *vf = verifier_find(STR("snp"));
    value a = vf->shape(&r.a, c, DIALECT_A), b = vf->shape(&r.a, c, DIALECT_B);
    CHECK(value_equal(vf->shape(&r.a, c, DIALECT_D), c));
    CHECK(value_is_string(value_get_lit(a, "policy_abi_minor")));
    CHECK_STR(value_str(value_get_lit(a, "policy_debug_allowed")), STR("false"));
    CHECK(value_kind(value_get_lit(b, "policy_abi_minor")) == VALUE_KIND_NUMBER);
    CHECK(value_str(value_get_lit(b, "measurement")).len == 64);
    CHECK(!value_is_defined(value_get_lit(b, "chip_id")));
}

/* What upstream's claims leave out (docs/claims.md): each from the place that the report has for
 * it. */
static void test_details(void)
{
    const struct {
        const char *tee, *set, *pointer, *want;
    } rows[] = {
        {"snp", "platform_alias_check_complete=true", "/platform/alias_check_complete", "true"},
        {"snp", "platform_alias_check_complete=false", "/platform/alias_check_complete", "false"},
        {"snp", "platform_ciphertext_hiding=true", "/platform/ciphertext_hiding", "true"},
        {"snp", "platform_tsme_enabled=true", "/platform/tsme_enabled", "true"},
        {"snp", "platform_smt_enabled=false", "/platform/smt_enabled", "false"},
        {"snp", "platform_ecc_enabled=false", "/platform/ecc_enabled", "false"},
        {"snp", "platform_rapl_disabled=true", "/platform/rapl_disabled", "true"},
        {"snp", "platform_tio_enabled=true", "/platform/tio_enabled", "true"},
        {"snp", "policy_smt_allowed=false", "/policy/smt_allowed", "false"},
        {"snp", "policy_migrate_ma=true", "/policy/migrate_ma", "true"},
        {"snp", "policy_debug_allowed=true", "/policy/debug_allowed", "true"},
        {"snp", "policy_single_socket=true", "/policy/single_socket", "true"},
        {"snp", "policy_cxl_allowed=true", "/policy/cxl_allowed", "true"},
        {"snp", "policy_aes_256_xts=true", "/policy/aes_256_xts_required", "true"},
        {"snp", "policy_rapl_disabled=true", "/policy/rapl_disabled", "true"},
        {"snp", "policy_ciphertext_hiding=true", "/policy/ciphertext_hiding", "true"},
        {"snp", "policy_page_swap_disabled=true", "/policy/page_swap_disabled", "true"},
        {"snp", "current_tcb_snp=99", "/tcb/current/snp", "99"},
        {"snp", "committed_tcb_microcode=99", "/tcb/committed/microcode", "99"},
        {"snp", "launch_tcb_tee=99", "/tcb/launch/tee", "99"},
        {"snp", "tcb_bootloader=99", "/tcb/reported/bootloader", "99"},
        {"snp", "cpuid_model=7", "/cpuid_model", "7"},
        {"snp", "cpuid_stepping=7", "/cpuid_stepping", "7"},
        {"snp", "cpuid_stepping=0", "/cpuid_family", "25"},
        {"snp", "cpuid_stepping=0", "/generation", "\"milan\""},
        {"snp", "current_minor=99", "/firmware_current", "\"1.99.29\""},
        {"snp", "committed_build=99", "/firmware_committed", "\"1.55.99\""},
        {"snp", "author_key_enabled=true", "/key_info/author_key_enabled", "true"},
        {"snp", "vcek_not_after=2040-01-01T00:00:00Z", "/vek/not_after",
         "\"2040-01-01T00:00:00Z\""},
        {"snp", "guest_svn=9", "/guest_svn", "9"},
        {"az-snp-vtpm", "platform_ciphertext_hiding=true", "/platform/ciphertext_hiding", "true"},
        {"az-snp-vtpm", "report_version=5", "/report_version", "5"},
        {"az-snp-vtpm",
         "host_data=0101010101010101010101010101010101010101010101010101010101010101", "/host_data",
         "\"0101010101010101010101010101010101010101010101010101010101010101\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(run_done) struct run r;
        const char *set = rows[i].set;
        evaluate(rows[i].tee, &set, 1, NULL, NULL, NOW, &r);
        if (!CHECK_STATUS_ROW(r.status, OK, &r.err, rows[i].set))
            continue;
        value got = value_pointer(r.result.items[0].details, str_of(rows[i].pointer));
        CHECK_STR_ROW(json_text(&r.a, got, JSON_COMPACT), str_of(rows[i].want), rows[i].set);
    }
}

/* ---- the cache changes no outcome ---- */

static void test_cache(void)
{
    struct error err = ERROR_INIT;
    CHECK(verifier_cache_new(0, &cache, &err) == ERR_INVALID);
    CHECK_STATUS(verifier_cache_new(8, &cache, &err), OK, &err);
    for (unsigned round = 0; round < 2; round++) {
        test_configuration();
        test_revocation();
        if (round == 0)
            verifier_cache_flush(cache);
    }
    /* A chain that was checked under other anchors is checked again. */
    struct anchors *ours = anchors;
    CLEANUP(anchors_cleanup) struct anchors *builtin = NULL;
    CHECK_STATUS(anchors_new(&builtin, &err), OK, &err);
    anchors = builtin;
    CLEANUP(run_done) struct run r;
    evaluate("snp", NULL, 0, NULL, NULL, NOW, &r);
    CHECK(r.checks.reason.check == CHECK_CERTIFICATE_CHAIN);
    anchors = ours;

    const struct digest key = {.bytes = {1}, .len = 32}, issuer = {.bytes = {2}, .len = 32};
    struct digest got;
    void *object = NULL;
    verifier_cache_put(cache, &key, NOW, &issuer, NULL, NULL);
    CHECK(verifier_cache_get(cache, &key, NOW, &got, NULL, &object) && object == NULL &&
          str_equal(digest_str(&got), digest_str(&issuer)));
    CHECK(!verifier_cache_get(cache, &key, NOW, &got, &cache_certs, &object));
    CHECK(!verifier_cache_get(cache, &key, NOW + 1, &got, NULL, &object));
    CHECK(!verifier_cache_get(NULL, &key, NOW, &got, NULL, &object));
    cache = verifier_cache_free(cache);
}

/* ---- anchors ---- */

static void copy_file(const char *from, const char *dir, const char *name)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1024 * 1024);
    char path[600];
    snprintf(path, sizeof(path), "%s/anchors/%s.pem", tap_tmpdir(), from);
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(file_read(path, &b, &err), OK, &err, path);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_STATUS_ROW(file_write(path, buf_str(&b), 0644, &err), OK, &err, path);
}

static void test_anchors(void)
{
    const struct {
        const char *name, *from[2], *to[2];
        enum status want;
        size_t extra;
    } rows[] = {
        {"a root", {"amd-ark-milan"}, {"amd-ark-milan.pem"}, OK, 1},
        {"a root and its ASK",
         {"amd-ark-milan", "amd-ask-milan"},
         {"amd-ark-milan.pem", "amd-ask-milan.pem"},
         OK,
         2},
        {"an ASK without its root", {"amd-ask-milan"}, {"amd-ask-milan.pem"}, ERR_INVALID, 0},
        {"an ASK under another generation's root",
         {"amd-ark-milan", "amd-ask-milan"},
         {"amd-ark-turin.pem", "amd-ask-milan.pem"},
         ERR_INVALID,
         0},
        {"a name with a typo", {"amd-ark-milan"}, {"amd-ark-milano.pem"}, ERR_INVALID, 0},
        {"a name without .pem", {"amd-ark-milan"}, {"amd-ark-milan"}, ERR_INVALID, 0},
        {"notes beside it",
         {"amd-ark-milan", "amd-ark-milan"},
         {"amd-ark-milan.pem", "README.md"},
         OK,
         1},
        {"nothing that counts", {"amd-ark-milan"}, {".hidden"}, ERR_INVALID, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char dir[512];
        snprintf(dir, sizeof(dir), "%s/case-%zu", tap_tmpdir(), i);
        struct error err = ERROR_INIT;
        CHECK_STATUS(file_make_dirs(dir, &err), OK, &err);
        for (size_t k = 0; k < 2 && rows[i].from[k] != NULL; k++)
            copy_file(rows[i].from[k], dir, rows[i].to[k]);
        CLEANUP(anchors_cleanup) struct anchors *set = NULL;
        const char *dirs[] = {dir};
        CHECK_STATUS_ROW(anchors_load(dirs, 1, &set, &err), rows[i].want, &err, rows[i].name);
        if (set != NULL) {
            CHECK_ROW(anchors_extra_count(set) == rows[i].extra, rows[i].name);
            const struct anchor *first = anchors_find(set, "amd-ark-milan", 0);
            CHECK_ROW(first != NULL && !first->extra, rows[i].name);
        }
    }
    const char *missing[] = {"/nonexistent"};
    CLEANUP(anchors_cleanup) struct anchors *set = NULL;
    CHECK(anchors_load(missing, 1, &set, NULL) == ERR_IO);
    CHECK(anchors_find(anchors, "amd-ark-naples", 0) == NULL);

    /* Each built-in key can be made and has its fingerprint. */
    static const char *const names[] = {
        "amd-ark-milan", "amd-ark-genoa",  "amd-ark-turin",  "amd-ask-milan",  "amd-ask-genoa",
        "amd-ask-turin", "amd-asvk-milan", "amd-asvk-genoa", "amd-asvk-turin", "intel-sgx-root-ca",
    };
    CLEANUP(anchors_cleanup) struct anchors *builtin = NULL;
    CHECK(anchors_new(&builtin, NULL) == OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct anchor *an = anchors_find(builtin, names[i], 0);
        struct digest d;
        CHECK_ROW(an != NULL && !an->extra && pubkey_fingerprint(an->key, &d) == OK &&
                      str_equal(digest_str(&d), digest_str(&an->spki)),
                  names[i]);
        CHECK_ROW(an == anchors_find(builtin, names[i], 0), names[i]);
    }
}

/* ---- names ---- */

static void test_names(void)
{
    static const char *const known[] = {"az-snp-vtpm", "azsnpvtpm", "az-tdx-vtpm", "aztdxvtpm",
                                        "snp",         "tdx",       "sgx",         "tpm",
                                        "sample",      "csv",       "nvidia",      "nvidiadpu"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        CHECK_ROW(tee_is_known(str_of(known[i])), known[i]);
    CHECK(!tee_is_known(STR("AzSnpVtpm")) && !tee_is_known(STR("az_snp_vtpm")) &&
          !tee_is_known(STR("")));
    CHECK(tee_is_device(STR("sampledevice")) && tee_is_device(STR("nvidia")) &&
          !tee_is_device(STR("tpm")));
    CHECK(verifier_find(STR("azsnpvtpm")) == verifier_find(STR("az-snp-vtpm")));
    CHECK(verifier_find(STR("csv")) == NULL);

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result;
    struct error err = ERROR_INIT;
    const struct verifier_request req = {.evidence = VALUE_NULL, .config = VALUE_UNDEFINED};
    CHECK(verifier_run(&a, STR("csv"), &req, &checks, &result, &err) == ERR_DENIED);
    CHECK_STR(str_of(err.text), STR("feature `csv-verifier` is not enabled for `verifier` crate."));
    CHECK(checks.reason.check == CHECK_TEE_ENABLED);
    /* Without a recorder the answer is the same. */
    CHECK(verifier_run(&a, STR("nobody"), &req, NULL, &result, &err) == ERR_DENIED);
}

/* ---- no memory ---- */

static enum status run_bounded(const char *tee, struct str text, size_t max)
{
    CLEANUP(arena_done) struct arena evidence;
    CLEANUP(arena_done) struct arena a;
    arena_init(&evidence, 64 * 1024 * 1024);
    arena_init(&a, max);
    struct verifier_request req = {.has_report_data = true,
                                   .report_data = report_data,
                                   .now_s = NOW,
                                   .config = VALUE_UNDEFINED,
                                   .anchors = anchors};
    CHECK(json_parse(&evidence, text, NULL, &req.evidence, NULL) == OK);
    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result;
    struct error err = ERROR_INIT;
    enum status st = verifier_run(&a, str_of(tee), &req, &checks, &result, &err);
    if (st != OK)
        CHECK_ROW(result.len == 0 && checks.reason.check == CHECK_NONE, err.text);
    return st;
}

/* An arena that is too small, by ever less, until it is not: never a verdict in between. */
static void test_no_memory(void)
{
    static const char *const tees[] = {"az-snp-vtpm", "snp"};
    for (size_t t = 0; t < ARRAY_LEN(tees); t++) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1024 * 1024);
        CLEANUP(machine_cleanup) struct machine *m = NULL;
        CHECK(machine_new(machine_kind_find(str_of(tees[t])), pki, &m, NULL) == OK);
        CHECK(machine_evidence(m, report_data, &text, NULL) == OK);
        enum status st = ERR_LIMIT;
        size_t max = 16, steps = 0;
        for (; st != OK && max < 1024 * 1024; max += 512, steps++) {
            st = run_bounded(tees[t], buf_str(&text), max);
            if (st != OK)
                CHECK_ROW(st == ERR_LIMIT, tees[t]);
        }
        CHECK_ROW(st == OK && steps > 8, tees[t]);
    }
}

int main(void)
{
    struct error err = ERROR_INIT;
    const char *dir = tap_tmpdir();
    enum status st = pki_make(dir, 1u << AMD_MILAN, &err);
    if (st == OK)
        st = pki_open(dir, &pki, &err);
    char folder[512];
    snprintf(folder, sizeof(folder), "%s/anchors", dir);
    const char *dirs[] = {folder};
    if (st == OK)
        st = anchors_load(dirs, 1, &anchors, &err);
    if (CHECK_STATUS(st, OK, &err)) {
        test_names();
        test_configuration();
        test_revocation();
        test_vcek_sources();
        test_claims();
        test_details();
        test_claim_names();
        test_comparison();
        test_cache();
        test_anchors();
        test_no_memory();
    }
    anchors_unref(anchors);
    pki_free(pki);
    return tap_done();
}
