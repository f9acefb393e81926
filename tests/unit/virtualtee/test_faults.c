/*
 * Every virtual machine without a fault passes the verifier; every fault is
 * refused with exactly the check and the field that it declares, under every
 * era and evidence version in which it exists.
 */
#include <stdio.h>
#include <stdlib.h>

#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/verifier.h"
#include "verifier/verifier_cache.h"
#include "virtualtee/machine.h"

#include "tap.h" /* last: its CHECK is another than that of check.h */

#define NOW 1764028800 /* 2025-11-25T00:00:00Z */

static struct pki *pki;
static struct anchors *anchors;
static struct collateral_set *collateral;
static struct verifier_cache *cache; /* NULL: nothing is remembered */
static const struct str report_data = STR("forty-eight bytes, as SHA-384 of the runtime dat");

struct outcome {
    enum status status;
    char check[64], field[160], message[ERROR_TEXT_MAX];
    size_t extra_anchors;
};

/* One run of the verifier over a machine's evidence. */
static void run(struct machine *m, enum era era, const struct digest *init_data, const char *config,
                struct outcome *out)
{
    *out = (struct outcome){.status = OK};
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, EVIDENCE_MAX);
    struct error err = ERROR_INIT;
    enum status st = machine_evidence(m, report_data, &text, &err);
    if (!CHECK_STATUS(st, OK, &err))
        return;

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct verifier_request req = {
        .has_report_data = true,
        .report_data = report_data,
        .has_init_data = init_data != NULL,
        .init_data = init_data != NULL ? digest_str(init_data) : STR_EMPTY,
        .era = era,
        .now_s = NOW,
        .config = VALUE_UNDEFINED,
        .anchors = anchors,
        .collateral = collateral_set_get(collateral),
        .cache = cache,
    };
    st = json_parse(&a, buf_str(&text), NULL, &req.evidence, &err);
    if (!CHECK_STATUS(st, OK, &err))
        return;
    if (config != NULL && !CHECK(json_parse(&a, str_of(config), NULL, &req.config, &err) == OK))
        return;

    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result = {.len = 0};
    out->status = verifier_run(&a, str_of(machine_kind_of(m)->tee), &req, &checks, &result, &err);
    snprintf(out->check, sizeof(out->check), "%s", check_name(checks.reason.check));
    snprintf(out->field, sizeof(out->field), "%.*s", STR_ARG(checks.reason.field));
    snprintf(out->message, sizeof(out->message), "%s", err.text);
    out->extra_anchors = result.extra_anchor_count;
}

/*
 * Copies of one machine of each kind that has made evidence once: its VCEK is
 * signed with an RSA-4096 key and does not change with most faults.
 */
#define KINDS_MAX 16
static struct machine *prototypes[KINDS_MAX];

static struct machine *prototype(const struct machine_kind *kind)
{
    size_t i = 0;
    while (i < KINDS_MAX && prototypes[i] != NULL && machine_kind_of(prototypes[i]) != kind)
        i++;
    if (i == KINDS_MAX)
        return NULL;
    struct error err = ERROR_INIT;
    struct buf text;
    buf_init(&text, EVIDENCE_MAX);
    if (prototypes[i] == NULL && machine_new(kind, pki, &prototypes[i], &err) == OK)
        CHECK(machine_evidence(prototypes[i], report_data, &text, &err) == OK);
    buf_done(&text);
    return prototypes[i];
}

static struct machine *machine(const char *tee)
{
    struct machine *m = NULL;
    struct machine *from = prototype(machine_kind_find(str_of(tee)));
    struct error err = ERROR_INIT;
    if (!CHECK_ROW(from != NULL && machine_clone(from, &m, &err) == OK, tee))
        exit(1);
    return m;
}

/* ---- machines without a fault ---- */

static void test_sound(void)
{
    const struct {
        const char *name, *tee;
        const char *sets[4];
        const char *config;
        bool needs_old_era;
    } rows[] = {
        {"Azure SNP, as it is", "az-snp-vtpm", {NULL}, NULL, false},
        {"version 1", "az-snp-vtpm", {"evidence_version=1"}, NULL, false},
        {"version 0", "az-snp-vtpm", {"evidence_version=0"}, NULL, false},
        {"Turin", "az-snp-vtpm", {"generation=turin"}, NULL, false},
        {"Turin, report version 5",
         "az-snp-vtpm",
         {"generation=turin", "report_version=5", "current_mit_vector=7", "tcb_fmc=3"},
         NULL,
         false},
        {"report version 4", "az-snp-vtpm", {"report_version=4"}, NULL, false},
        {"report version 2", "az-snp-vtpm", {"report_version=2"}, NULL, true},
        {"an old TCB", "az-snp-vtpm", {"tcb_microcode=1", "tcb_snp=0"}, NULL, false},
        {"a microcode above 127", "az-snp-vtpm", {"tcb_microcode=255"}, NULL, false},
        {"debug bit, SMT off",
         "az-snp-vtpm",
         {"policy_debug_allowed=true", "platform_smt_enabled=false"},
         NULL,
         false},
        {"an early host: one key, 2,048 bytes",
         "az-snp-vtpm",
         {"hcl_version=1", "hcl_size=2048", "ek_present=false", "evidence_version=1"},
         NULL,
         false},
        {"masked chip id",
         "az-snp-vtpm",
         {"chip_id=00000000", "chip_key_masked=true"},
         NULL,
         false},
        {"user data in small letters", "az-snp-vtpm", {"user_data_upper=false"}, NULL, false},
        {"SNP", "snp", {NULL}, NULL, false},
        {"SNP, full chain", "snp", {"cert_chain=full"}, NULL, false},
        {"SNP, VLEK", "snp", {"signing_key=1"}, NULL, false},
        {"SNP, VLEK, full chain", "snp", {"signing_key=1", "cert_chain=full"}, NULL, false},
        {"SNP, Turin, version 5",
         "snp",
         {"generation=turin", "report_version=5", "cert_chain=full", "tcb_fmc=200"},
         NULL,
         false},
        {"SNP, members of old guests, version 3", "snp", {"old_shape=true"}, NULL, false},
        {"SNP, members of old guests, version 2",
         "snp",
         {"old_shape=true", "report_version=2"},
         NULL,
         true},
        {"TDX, version 4", "tdx", {NULL}, NULL, false},
        {"TDX, version 5, TD 1.0", "tdx", {"quote_version=5", "body_type=2"}, NULL, false},
        {"TDX, version 5, TD 1.5", "tdx", {"quote_version=5", "padding=300"}, NULL, false},
        {"TDX, a platform out of date", "tdx", {"tcb_svn_all=4", "pcesvn=11"}, NULL, false},
        {"TDX, the old module", "tdx", {"tcb_svn=03010600"}, NULL, false},
        {"TDX, Processor CA", "tdx", {"pck_ca=processor"}, NULL, false},
        {"TDX, a debug TD", "tdx", {"td_attributes_debug=true"}, NULL, false},
        {"SGX", "sgx", {NULL}, NULL, false},
        {"SGX, Processor CA", "sgx", {"pck_ca=processor", "sgx_type=0"}, NULL, false},
        {"SGX, PCESVN of two bytes", "sgx", {"pcesvn=300", "tcb_svn_all=200"}, NULL, false},
        {"TPM", "tpm", {"reset_count=9"}, NULL, false},
        {"Azure TDX", "az-tdx-vtpm", {NULL}, NULL, false},
        {"Azure TDX, version 1", "az-tdx-vtpm", {"evidence_version=1"}, NULL, false},
        {"Azure TDX, version 0", "az-tdx-vtpm", {"evidence_version=0"}, NULL, false},
        {"sample", "sample", {NULL}, "{\"sample_verifier\":{}}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(machine_cleanup) struct machine *m = machine(rows[i].tee);
        for (size_t k = 0; k < 4 && rows[i].sets[k] != NULL; k++) {
            struct error err = ERROR_INIT;
            enum status st = machine_set(m, str_of(rows[i].sets[k]), &err);
            CHECK_STATUS_ROW(st, OK, &err, rows[i].sets[k]);
        }
        for (int era = ERA_OLD; era <= ERA_NEW; era++) {
            struct outcome o;
            run(m, (enum era)era, NULL, rows[i].config, &o);
            bool want = !rows[i].needs_old_era || era == ERA_OLD;
            if (!CHECK_ROW((o.status == OK) == want, rows[i].name))
                printf("# %s %s: %s\n", o.check, o.field, o.message);
            /* A TPM's key is for the policy to know. */
            bool anchored = strcmp(rows[i].tee, "sample") != 0 && strcmp(rows[i].tee, "tpm") != 0;
            if (want && anchored)
                CHECK_ROW(o.extra_anchors > 0, rows[i].name);
        }
    }
}

/* PCR 8 is the SHA-256 of zeros and the document's digest (guest-initdata.md 4). */
static void test_init_data(void)
{
    const struct {
        const char *name, *document, *pcr; /* extra --pcr, or NULL */
        bool want;
    } rows[] = {
        {"sha256", "algorithm = \"sha256\"\nversion = \"0.1.0\"\n[data]\n", NULL, true},
        {"no document at all", "free text", NULL, true},
        {"sha384 has no place in PCR 8", "algorithm = \"sha384\"\nversion = \"0.1.0\"\n[data]\n",
         NULL, false},
        {"another PCR 8", "free text",
         "8=0000000000000000000000000000000000000000000000000000000000000000", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(machine_cleanup) struct machine *m = machine("az-snp-vtpm");
        struct digest digest;
        struct error err = ERROR_INIT;
        enum status st = machine_set_init_data(m, str_of(rows[i].document), &digest, &err);
        CHECK_STATUS_ROW(st, OK, &err, rows[i].name);
        if (rows[i].pcr != NULL)
            CHECK_ROW(machine_set_pcr(m, str_of(rows[i].pcr), &err) == OK, rows[i].name);
        struct outcome o;
        run(m, ERA_NEW, &digest, NULL, &o);
        CHECK_ROW((o.status == OK) == rows[i].want, rows[i].name);
        if (!rows[i].want)
            CHECK_STR_ROW(str_of(o.check), STR("init-data"), rows[i].name);
    }
}

/*
 * The quoting enclave's authentication data: any length that its 16 bits can
 * say is made; what makes the quote longer than QUOTE_LEN_MAX is refused unread.
 */
static void test_qe_auth_data(void)
{
    static const char *const tees[] = {"sgx", "tdx", "az-tdx-vtpm"};
    static const size_t lengths[] = {0, 1, 33, 4096, 56000, UINT16_MAX, UINT16_MAX + 1};
    static char text[64 + 2 * (UINT16_MAX + 1)];
    const struct str name = STR("qe_auth_data=");
    memcpy(text, name.ptr, name.len);
    for (size_t i = 0; i < 2 * (UINT16_MAX + 1); i++)
        text[name.len + i] = "0123456789abcdef"[i % 13];
    for (size_t t = 0; t < ARRAY_LEN(tees); t++)
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            CLEANUP(machine_cleanup) struct machine *m = machine(tees[t]);
            struct error err = ERROR_INIT;
            char row[64];
            snprintf(row, sizeof(row), "%s, %zu bytes", tees[t], lengths[i]);
            struct str assignment = {text, name.len + 2 * lengths[i]};
            enum status st = machine_set(m, assignment, &err);
            CHECK_STATUS_ROW(st, lengths[i] <= UINT16_MAX ? OK : ERR_LIMIT, &err, row);
            struct outcome o;
            run(m, ERA_NEW, NULL, NULL, &o);
            CHECK_ROW(o.status == (lengths[i] == UINT16_MAX ? ERR_DENIED : OK), row);
            if (lengths[i] == UINT16_MAX)
                CHECK_STR_ROW(str_of(o.check), STR("evidence-format"), row);
        }
}

/* ---- faults ---- */

static void try_fault(const struct machine_kind *kind, const struct fault *f, unsigned version,
                      enum era era)
{
    CLEANUP(machine_cleanup) struct machine *m = machine(kind->tee);
    struct error err = ERROR_INIT;
    char row[128];
    snprintf(row, sizeof(row), "%s %s, version %u, %s era", kind->tee, f->name, version,
             era == ERA_OLD ? "old" : "new");
    enum status st = machine_set_fault(m, str_of(f->name), &err);
    if (st == OK && kind->has_version)
        st = machine_set_version(m, version, &err);
    CHECK_STATUS_ROW(st, OK, &err, row);

    struct digest digest;
    digest_compute(DIGEST_SHA256, STR("init data"), &digest);
    if (f->init_data)
        CHECK_ROW(machine_set_init_data(m, STR("init data"), NULL, &err) == OK, row);
    struct outcome o;
    run(m, era, f->init_data ? &digest : NULL, "{\"sample_verifier\":{}}", &o);
    CHECK_ROW(o.status == ERR_DENIED, row);
    CHECK_STR_ROW(str_of(o.check), str_of(f->check), row);
    /* Version 0 has other names of members; the rest of a pointer is the same. */
    if (version > 0 || !kind->has_version)
        CHECK_STR_ROW(str_of(o.field), str_of(f->field), row);
}

static void test_faults(void)
{
    size_t kinds;
    const struct machine_kind *const *list = machine_kinds(&kinds);
    for (size_t k = 0; k < kinds; k++) {
        const struct fault *f;
        CHECK_ROW(machine_kind_fault(list[k], 0) != NULL, list[k]->tee);
        for (size_t i = 0; (f = machine_kind_fault(list[k], i)) != NULL; i++) {
            CHECK_ROW(check_by_name(str_of(f->check)) != CHECK_NONE, f->name);
            unsigned last = list[k]->has_version ? 2 : 0;
            for (unsigned version = f->min_version; version <= last; version++) {
                try_fault(list[k], f, version, ERA_NEW);
                if (version == last)
                    try_fault(list[k], f, version, ERA_OLD);
            }
        }
    }
}

/* A machine whose keys and signatures are known already: no fault is overlooked for it. */
static void test_known(const char *tee)
{
    const struct machine_kind *kind = machine_kind_find(str_of(tee));
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(verifier_cache_new(64, &cache, &err), OK, &err))
        return;
    for (int i = 0; i < 3; i++) {
        CLEANUP(machine_cleanup) struct machine *m = machine(tee);
        struct outcome o;
        run(m, ERA_NEW, NULL, NULL, &o);
        CHECK_ROW(o.status == OK, tee);
    }
    const struct fault *f;
    for (size_t i = 0; (f = machine_kind_fault(kind, i)) != NULL; i++)
        try_fault(kind, f, 0, ERA_NEW);
    cache = verifier_cache_free(cache);
}

/* No two with the same name, and none with the same check and field (INTERFACES.md). */
static void test_table(void)
{
    size_t kinds;
    const struct machine_kind *const *list = machine_kinds(&kinds);
    for (size_t k = 0; k < kinds; k++) {
        const struct fault *f;
        for (size_t i = 0; (f = machine_kind_fault(list[k], i)) != NULL; i++) {
            bool alone = true;
            for (size_t j = 0; j < i; j++) {
                const struct fault *g = machine_kind_fault(list[k], j);
                alone = alone && strcmp(f->name, g->name) != 0 &&
                        (strcmp(f->check, g->check) != 0 || strcmp(f->field, g->field) != 0);
            }
            CHECK_ROW(alone, f->name);
        }
    }
    const struct machine_kind *azure = machine_kind_find(STR("azsnpvtpm"));
    CHECK(azure == machine_kind_find(STR("az-snp-vtpm")));
    CHECK(azure != NULL && machine_kind_fault(azure, 34) != NULL);
    CHECK(machine_kind_find(STR("az-snp")) == NULL);
}

int main(void)
{
    struct error err = ERROR_INIT;
    const char *dir = tap_tmpdir();
    enum status st = pki_make(dir, 1u << AMD_MILAN | 1u << AMD_TURIN, &err);
    if (st == OK)
        st = pki_open(dir, &pki, &err);
    char folder[512];
    snprintf(folder, sizeof(folder), "%s/anchors", dir);
    const char *dirs[] = {folder};
    if (st == OK)
        st = anchors_load(dirs, 1, &anchors, &err);
    snprintf(folder, sizeof(folder), "%s/collateral", dir);
    if (st == OK)
        st = collateral_set_new(false, &collateral, &err);
    if (st == OK)
        st = collateral_set_add(collateral, folder, &err);
    if (CHECK_STATUS(st, OK, &err)) {
        test_table();
        test_sound();
        test_init_data();
        test_qe_auth_data();
        test_faults();
        test_known("tpm");
        test_known("snp");
        test_known("az-snp-vtpm");
        test_known("az-tdx-vtpm");
    }
    for (size_t i = 0; i < KINDS_MAX; i++)
        machine_free(prototypes[i]);
    collateral_set_free(collateral);
    anchors_unref(anchors);
    pki_free(pki);
    return tap_done();
}
