/*
 * Kill switches: what a list may say, where a wrong one is wrong, and that each
 * criterion refuses the machine that it names and no other.
 */
#include <stdio.h>

#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/deny_check.h"
#include "verifier/deny_list.h"
#include "verifier/verifier.h"
#include "virtualtee/machine.h"

#include "tap.h" /* last: its CHECK is another than that of check.h */

#define NOW 1764028800 /* 2025-11-25T00:00:00Z */
#define HEAD "[[deny]]\nreason = \"r\"\nexpires = 2026-01-01T00:00:00Z\n"
#define ID64                                                                                       \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"                             \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* ---- reading ---- */

static void test_parse(void)
{
    const struct {
        const char *name, *text;
        enum document_format format;
        enum status want;
        uint32_t line, col;
        const char *message;
    } rows[] = {
        {"nothing", "", DOCUMENT_TOML, OK, 0, 0, NULL},
        {"nothing, YAML", "# none yet\n", DOCUMENT_YAML, OK, 0, 0, NULL},
        {"no entries", "{\"deny\":[]}", DOCUMENT_JSON, OK, 0, 0, NULL},
        {"chip id", HEAD "chip_id = \"" ID64 "\"\n", DOCUMENT_TOML, OK, 0, 0, NULL},
        {"Turin's chip id", HEAD "chip_id = \"0011223344556677\"\n", DOCUMENT_TOML, OK, 0, 0, NULL},
        {"YAML", "deny:\n- reason: r\n  expires: \"2026-01-01T00:00:00Z\"\n  cpu_family: 25\n",
         DOCUMENT_YAML, OK, 0, 0, NULL},
        {"a component", HEAD "tcb_component = \"sgx.16\"\ntcb_below = 65535\n", DOCUMENT_TOML, OK,
         0, 0, NULL},
        {"the older spelling of a TEE", HEAD "tee = \"azsnpvtpm\"\ncpu_model = 1\n", DOCUMENT_TOML,
         OK, 0, 0, NULL},

        {"no TOML", "[[deny]\n", DOCUMENT_TOML, ERR_INVALID, 1, 7, NULL},
        {"no list", "[1]", DOCUMENT_JSON, ERR_INVALID, 1, 1, "a table with an array `deny`"},
        {"another list", "[[denny]]\n", DOCUMENT_TOML, ERR_INVALID, 1, 3,
         "\"denny\" is not a member of a deny list"},
        {"no array", "{\"deny\":{}}", DOCUMENT_JSON, ERR_INVALID, 1, 1, "array `deny`"},
        {"no table", "{\"deny\":[1]}", DOCUMENT_JSON, ERR_INVALID, 1, 10,
         "entry 1: it is no table"},
        {"no reason", "[[deny]]\nexpires = 2026-01-01T00:00:00Z\ncpu_model = 1\n", DOCUMENT_TOML,
         ERR_INVALID, 1, 3, "entry 1: it has no reason"},
        {"an empty reason", "[[deny]]\nreason = \"\"\n", DOCUMENT_TOML, ERR_INVALID, 2, 1,
         "reason is not text"},
        {"no end", "[[deny]]\nreason = \"r\"\ncpu_model = 1\n", DOCUMENT_TOML, ERR_INVALID, 1, 3,
         "it has no expires"},
        {"a day is no moment", "[[deny]]\nreason = \"r\"\nexpires = 2026-01-01\ncpu_model = 1\n",
         DOCUMENT_TOML, ERR_INVALID, 3, 1, "RFC 3339"},
        {"no criterion", HEAD, DOCUMENT_TOML, ERR_INVALID, 1, 3, "it names no chip id"},
        {"a TEE is no criterion", HEAD "tee = \"snp\"\n", DOCUMENT_TOML, ERR_INVALID, 1, 3,
         "it names no chip id"},
        {"no such TEE", HEAD "tee = \"snpp\"\ncpu_model = 1\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "no TEE is called"},
        {"a typing error", HEAD "chip_ids = \"00\"\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "\"chip_ids\" is no member"},
        {"in the second entry", HEAD "cpu_model = 1\n" HEAD "fmspc = \"00\"\n", DOCUMENT_TOML,
         ERR_INVALID, 8, 1, "entry 2: fmspc is not 6 bytes in hexadecimal"},
        {"a short chip id", HEAD "chip_id = \"00\"\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "chip_id is not 64 or 8 or 16 bytes"},
        {"no hexadecimal", HEAD "signing_key = \"xy\"\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "signing_key is not 32 or 48 bytes"},
        {"an empty advisory", HEAD "advisory = \"\"\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "advisory is not text"},
        {"a family too large", HEAD "cpu_family = 256\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "cpu_family is not a number from 0 to 255"},
        {"a family of text", HEAD "cpu_family = \"25\"\n", DOCUMENT_TOML, ERR_INVALID, 4, 1,
         "cpu_family is not a number"},
        {"a component without a bound", HEAD "tcb_component = \"pcesvn\"\n", DOCUMENT_TOML,
         ERR_INVALID, 1, 3, "either tcb_below or tcb_equals"},
        {"a bound without a component", HEAD "tcb_below = 1\n", DOCUMENT_TOML, ERR_INVALID, 1, 3,
         "either tcb_below or tcb_equals"},
        {"both bounds", HEAD "tcb_component = \"pcesvn\"\ntcb_below = 1\ntcb_equals = 1\n",
         DOCUMENT_TOML, ERR_INVALID, 1, 3, "either tcb_below or tcb_equals"},
        {"no such component", HEAD "tcb_component = \"sgx.17\"\ntcb_below = 1\n", DOCUMENT_TOML,
         ERR_INVALID, 4, 1, "no TCB has a component"},
        {"a bound too large", HEAD "tcb_component = \"pcesvn\"\ntcb_below = 65536\n", DOCUMENT_TOML,
         ERR_INVALID, 5, 1, "not a number from 0 to 65535"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(deny_list_cleanup) struct deny_list *l = NULL;
        struct error err = ERROR_INIT;
        enum status st = deny_list_parse(str_of(rows[i].text), rows[i].format, &l, &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].name);
        CHECK_ROW((st == OK) == (l != NULL), rows[i].name);
        if (rows[i].want == OK)
            continue;
        CHECK_ROW(err.line == rows[i].line && err.col == rows[i].col, rows[i].name);
        if (err.line != rows[i].line || err.col != rows[i].col)
            printf("# %s: line %u, column %u: %s\n", rows[i].name, err.line, err.col, err.text);
        if (rows[i].message != NULL)
            CHECK_ROW(strstr(err.text, rows[i].message) != NULL, err.text);
    }
}

static void test_limit(void)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, DENY_LIST_FILE_MAX);
    const char *entry = HEAD "cpu_model = 1\n";
    for (int i = 0; i < DENY_ENTRIES_MAX; i++)
        buf_add_cstr(&text, entry);
    CLEANUP(deny_list_cleanup) struct deny_list *l = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(deny_list_parse(buf_str(&text), DOCUMENT_TOML, &l, &err), OK, &err);
    CHECK(l != NULL && deny_list_len(l) == DENY_ENTRIES_MAX);
    buf_add_cstr(&text, entry);
    struct deny_list *more = NULL;
    CHECK(deny_list_parse(buf_str(&text), DOCUMENT_TOML, &more, &err) == ERR_LIMIT && more == NULL);
}

static void test_ends(void)
{
    CLEANUP(deny_list_cleanup) struct deny_list *l = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(deny_list_parse(STR(HEAD "cpu_model = 1\n"), DOCUMENT_TOML, &l, &err), OK, &err);
    int64_t end = 1767225600; /* 2026-01-01T00:00:00Z */
    CHECK(deny_list_ended(l, 0, end - 1) == 0);
    CHECK(deny_list_ended(l, 0, end) == 1);
    CHECK(deny_list_ended(l, end, end + 1) == 0);
}

/* ---- refusing ---- */

static struct pki *pki;
static struct anchors *anchors;
static struct collateral_set *collateral;
static const struct str report_data = STR("forty-eight bytes, as SHA-384 of the runtime dat");

struct outcome {
    enum status status;
    enum check_id check;
    char field[160], reason[ERROR_TEXT_MAX], told[ERROR_TEXT_MAX], expected[512], actual[512];
};

static void run(const char *tee, struct str evidence, const char *list, int64_t now_s,
                struct outcome *out)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct error err = ERROR_INIT;
    CLEANUP(deny_list_cleanup) struct deny_list *deny = NULL;
    *out = (struct outcome){.status = ERR_INTERNAL};
    if (list != NULL && !CHECK_STATUS_ROW(deny_list_parse(str_of(list), DOCUMENT_TOML, &deny, &err),
                                          OK, &err, list))
        return;
    struct verifier_request req = {.has_report_data = true,
                                   .report_data = report_data,
                                   .now_s = now_s,
                                   .era = ERA_NEW,
                                   .config = VALUE_UNDEFINED,
                                   .anchors = anchors,
                                   .collateral = collateral_set_get(collateral),
                                   .deny = deny};
    if (!CHECK_STATUS(json_parse(&a, evidence, NULL, &req.evidence, &err), OK, &err))
        return;
    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result = {.len = 0};
    out->status = verifier_run(&a, str_of(tee), &req, &checks, &result, &err);
    out->check = checks.reason.check;
    struct str expected = json_text(&a, checks.reason.expected, JSON_COMPACT);
    struct str actual = json_text(&a, checks.reason.actual, JSON_COMPACT);
    snprintf(out->field, sizeof(out->field), "%.*s", STR_ARG(checks.reason.field));
    snprintf(out->reason, sizeof(out->reason), "%.*s", STR_ARG(checks.reason.message));
    snprintf(out->told, sizeof(out->told), "%s", err.text);
    if (out->check != CHECK_NONE) {
        snprintf(out->expected, sizeof(out->expected), "%.*s", STR_ARG(expected));
        snprintf(out->actual, sizeof(out->actual), "%.*s", STR_ARG(actual));
    }
    CHECK_ROW(out->status == OK || result.len == 0, "no claims beside a refusal");
}

/* Evidence of a machine with some fields set. */
static bool make(const char *tee, const char *const sets[], struct buf *out)
{
    struct machine *m = NULL;
    struct error err = ERROR_INIT;
    bool good =
        CHECK_STATUS_ROW(machine_new(machine_kind_find(str_of(tee)), pki, &m, &err), OK, &err, tee);
    for (size_t i = 0; good && sets[i] != NULL; i++)
        good = CHECK_STATUS_ROW(machine_set(m, str_of(sets[i]), &err), OK, &err, sets[i]);
    buf_reset(out);
    good = good && CHECK_STATUS_ROW(machine_evidence(m, report_data, out, &err), OK, &err, tee);
    machine_free(m);
    return good;
}

#define CHIP "chip_id=" ID64
#define ROW_MAX 4

static const struct row {
    const char *name, *tee;
    const char *sets[ROW_MAX];
    const char *hit, *miss; /* criteria that name the machine, and that do not */
    const char *field, *expected, *actual;
} rows[] = {
    {"chip id",
     "snp",
     {CHIP},
     "chip_id = \"" ID64 "\"",
     "chip_id = \"0011223344556677\"",
     "/evidence/attestation_report/chip_id",
     "{\"not\":\"" ID64 "\"}",
     "\"" ID64 "\""},
    {"chip id on Azure, upper case",
     "az-snp-vtpm",
     {"chip_id="
      "00112233445566770000000000000000000000000000000000000000000000000000000000000000000000"
      "000000000000000000000000000000000000000000"},
     "chip_id = \"0011223344556677\"",
     "chip_id = \"0011223344556678\"",
     NULL,
     NULL,
     NULL},
    {"a chip id that the host masks: the certificate names it",
     "snp",
     {"chip_id="
      "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "000000000000000000000000000000000000000000",
      "vcek_chip_id=" ID64},
     "chip_id = \"" ID64 "\"",
     "chip_id = \"0000000000000000\"",
     "/evidence/cert_chain/0/hw_id",
     NULL,
     "\"" ID64 "\""},
    {"PPID",
     "tdx",
     {"ppid=00112233445566778899aabbccddeeff"},
     "chip_id = \"00112233445566778899AABBCCDDEEFF\"",
     "chip_id = \"00112233445566778899aabbccddee00\"",
     "/evidence/quote/signature/pck_chain/0/ppid",
     NULL,
     NULL},
    {"platform instance id, as the claim writes it",
     "sgx",
     {"platform_instance_id=00112233445566778899aabbccddeeff"},
     "chip_id = \"ffeeddccbbaa99887766554433221100\"",
     "chip_id = \"ffeeddccbbaa99887766554433221101\"",
     "/evidence/quote/signature/pck_chain/0/platform_instance_id",
     NULL,
     NULL},
    {"processor family",
     "snp",
     {"cpuid_model=2"},
     "cpu_family = 25\ncpu_model = 2",
     "cpu_family = 25\ncpu_model = 1",
     "/evidence/attestation_report/cpuid_mod_id",
     "{\"not\":2}",
     "2"},
    {"processor stepping",
     "az-snp-vtpm",
     {"cpuid_stepping=2"},
     "cpu_stepping = 2",
     "cpu_stepping = 1",
     "/evidence/hcl_report/hardware_report/cpuid_step",
     NULL,
     "2"},
    {"FMSPC",
     "az-tdx-vtpm",
     {NULL},
     "fmspc = \"ff906ed50000\"",
     "fmspc = \"ff906ed50001\"",
     "/evidence/td_quote/signature/pck_chain/0/fmspc",
     "{\"not\":\"ff906ed50000\"}",
     "\"ff906ed50000\""},
    {"a component below a bound",
     "snp",
     {"tcb_microcode=200"},
     "tcb_component = \"reported.microcode\"\ntcb_below = 201",
     "tcb_component = \"reported.microcode\"\ntcb_below = 200",
     "/evidence/attestation_report/reported_tcb/microcode",
     "{\"at_least\":201}",
     "200"},
    {"committed firmware",
     "az-snp-vtpm",
     {"committed_tcb_snp=7"},
     "tcb_component = \"committed.snp\"\ntcb_equals = 7",
     "tcb_component = \"current.snp\"\ntcb_equals = 7",
     "/evidence/hcl_report/hardware_report/committed_tcb/snp",
     "{\"not\":7}",
     "7"},
    {"SGX component",
     "sgx",
     {NULL},
     "tcb_component = \"sgx.16\"\ntcb_below = 10",
     "tcb_component = \"sgx.16\"\ntcb_below = 9",
     "/evidence/quote/signature/pck_chain/0/tcb/components",
     NULL,
     "9"},
    {"TDX module",
     "tdx",
     {NULL},
     "tcb_component = \"tdx.2\"\ntcb_equals = 1",
     "tcb_component = \"tdx_current.2\"\ntcb_equals = 1", /* version 4 has none */
     "/evidence/quote/body/tcb_svn",
     NULL,
     "1"},
    {"current TCB of TD 1.5",
     "tdx",
     {"quote_version=5"},
     "tcb_component = \"tdx_current.3\"\ntcb_below = 7",
     "tcb_component = \"tdx_current.3\"\ntcb_below = 6",
     "/evidence/quote/body/tee_tcb_svn2",
     "{\"at_least\":7}",
     "6"},
    {"PCE SVN",
     "sgx",
     {NULL},
     "tcb_component = \"pcesvn\"\ntcb_below = 16",
     "tcb_component = \"pcesvn\"\ntcb_below = 15",
     "/evidence/quote/signature/pck_chain/0/tcb/pcesvn",
     NULL,
     "15"},
    {"only of one TEE",
     "sgx",
     {NULL},
     "tee = \"sgx\"\ntcb_component = \"pcesvn\"\ntcb_below = 16",
     "tee = \"tdx\"\ntcb_component = \"pcesvn\"\ntcb_below = 16",
     NULL,
     NULL,
     NULL},
};

static void test_rows(void)
{
    CLEANUP(buf_done) struct buf evidence;
    buf_init(&evidence, EVIDENCE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        char list[512];
        struct outcome o;
        if (verifier_find(str_of(r->tee)) == NULL) /* left out of this build */
            continue;
        if (!make(r->tee, r->sets, &evidence))
            continue;
        struct str text = buf_str(&evidence);
        snprintf(list, sizeof(list), HEAD "%s\n", r->miss);
        run(r->tee, text, list, NOW, &o);
        CHECK_ROW(o.status == OK, r->name);
        if (o.status != OK)
            printf("# %s: %s\n", r->name, o.reason);

        snprintf(list, sizeof(list), HEAD "%s\n" HEAD "%s\n", r->miss, r->hit);
        run(r->tee, text, list, NOW, &o);
        CHECK_ROW(o.status == ERR_DENIED && o.check == CHECK_KILL_SWITCH, r->name);
        if (r->field != NULL)
            CHECK_STR_ROW(str_of(o.field), str_of(r->field), r->name);
        if (r->expected != NULL)
            CHECK_STR_ROW(str_of(o.expected), str_of(r->expected), r->name);
        if (r->actual != NULL)
            CHECK_STR_ROW(str_of(o.actual), str_of(r->actual), r->name);
        CHECK_STR_ROW(str_of(o.reason),
                      STR("entry 2 of the deny list refuses it until 2026-01-01T00:00:00Z: r"),
                      r->name);
        /* The reason is the operator's. */
        CHECK_STR_ROW(str_of(o.told), STR("refused by the deny list"), r->name);

        run(r->tee, text, list, 1767225600 - 1, &o);
        CHECK_ROW(o.status == ERR_DENIED, r->name);
        run(r->tee, text, list, 1767225600, &o); /* from then on it is void */
        CHECK_ROW(o.status == OK, r->name);
    }
}

/* Keys and advisories are whatever the evidence rests on: learnt from its claims first. */
static void test_learnt(void)
{
    CLEANUP(buf_done) struct buf evidence;
    buf_init(&evidence, EVIDENCE_MAX);
    const char *const none[] = {NULL};
    const struct {
        const char *tee, *anchor; /* an extra anchor that the claims rest on */
    } keys[] = {{"snp", "amd-ask-milan"},
                {"az-snp-vtpm", "amd-ark-milan"},
                {"tdx", "intel-sgx-root-ca"},
                {"sgx", "intel-sgx-root-ca"}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct anchor *an = NULL;
        for (size_t k = 0; (an = anchors_find(anchors, keys[i].anchor, k)) != NULL && !an->extra;)
            k++;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        char list[512];
        struct outcome o;
        if (verifier_find(str_of(keys[i].tee)) == NULL)
            continue;
        if (!CHECK_ROW(an != NULL, keys[i].anchor) || !make(keys[i].tee, none, &evidence))
            continue;
        snprintf(list, sizeof(list), HEAD "signing_key = \"%.*s\"\n",
                 STR_ARG(hex_text(&a, digest_str(&an->spki))));
        run(keys[i].tee, buf_str(&evidence), list, NOW, &o);
        CHECK_ROW(o.status == ERR_DENIED && o.check == CHECK_KILL_SWITCH, keys[i].tee);
    }

    if (verifier_find(STR("sgx")) == NULL)
        return;
    struct outcome o;
    const char *const old[] = {"tcb_svn_all=4", NULL};
    CHECK(make("sgx", old, &evidence));
    run("sgx", buf_str(&evidence), HEAD "advisory = \"INTEL-SA-90003\"\n", NOW, &o);
    CHECK(o.status == ERR_DENIED && o.check == CHECK_KILL_SWITCH);
    CHECK_STR(str_of(o.field), STR("/data/collateral/tcb_info/advisoryIDs"));
    CHECK_STR(str_of(o.actual), STR("\"INTEL-SA-90003\""));
    run("sgx", buf_str(&evidence), HEAD "advisory = \"INTEL-SA-90001\"\n", NOW, &o);
    CHECK(o.status == OK);
}

/* A configuration that names a list that nobody could read: everything is refused. */
static void test_unread(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct verifier_request req = {.era = ERA_NEW, .now_s = NOW, .anchors = anchors};
    struct error err = ERROR_INIT;
    CHECK(json_parse(&a, STR("{\"deny_list\":\"/etc/deny.toml\",\"sample_verifier\":{}}"), NULL,
                     &req.config, &err) == OK);
    CHECK(json_parse(&a, STR("{\"svn\":\"1\"}"), NULL, &req.evidence, &err) == OK);
    struct checks checks;
    checks_init(&checks, &a);
    struct verifier_result result = {.len = 0};
    CHECK(verifier_run(&a, STR("sample"), &req, &checks, &result, &err) == ERR_DENIED);
    CHECK(checks.reason.check == CHECK_KILL_SWITCH);
    CHECK_STR(checks.reason.field, STR("/data/verifier_config/deny_list"));
}

static bool setup(const char *dir)
{
    char folder[512];
    struct error err = ERROR_INIT;
    enum status st = pki_make(dir, 1u << AMD_MILAN, &err);
    if (st == OK)
        st = pki_open(dir, &pki, &err);
    if (st == OK) {
        snprintf(folder, sizeof(folder), "%s/anchors", dir);
        const char *dirs[] = {folder};
        st = anchors_load(dirs, 1, &anchors, &err);
    }
    if (st == OK)
        st = collateral_set_new(true, &collateral, &err);
    if (st == OK) {
        snprintf(folder, sizeof(folder), "%s/collateral", dir);
        st = collateral_set_add(collateral, folder, &err);
    }
    return CHECK_STATUS(st, OK, &err);
}

int main(void)
{
    test_parse();
    test_limit();
    test_ends();
    if (setup(tap_tmpdir())) {
        test_rows();
        test_learnt();
        test_unread();
    }
    pki_free(pki);
    anchors_unref(anchors);
    collateral_set_free(collateral);
    return tap_done();
}
