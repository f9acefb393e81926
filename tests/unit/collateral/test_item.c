/* Records, names, and whether an item is what its URL says. */
#include <stdio.h>
#include <stdlib.h>

#include "collateral/item.h"
#include "collateral/pack.h"
#include "verifier/snp/amd_item.h"
#include "with_pki.h"

#define TCB "https://x/sgx/certification/v4/tcb?fmspc=FF906ED50000&update=early"

static void test_records(void)
{
    const struct collateral_item item = {
        STR(TCB), STR("chain"), STR("body\0with NUL"), 1764028800, {0, 0}};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    collateral_item_write(&b, &item);
    struct collateral_item back;
    struct error err = ERROR_INIT;
    CHECK_STATUS(collateral_item_parse(buf_str(&b), &back, &err), OK, &err);
    CHECK_STR(back.url, item.url);
    CHECK_STR(back.chain, item.chain);
    CHECK_STR(back.body, item.body);
    CHECK(back.fetched_s == item.fetched_s);
    for (size_t n = 0; n < b.len; n++)
        CHECK(collateral_item_parse(str_slice(buf_str(&b), 0, n), &back, NULL) == ERR_INVALID);

    static const char head[] = "claviger-collateral 1\nurl: ";
    const struct {
        const char *name, *text;
        enum status want;
    } rows[] = {
        {"smallest", "u\nfetched: 2026-01-01T00:00:00Z\nchain: 0\nbody: 0\n\n", OK},
        {"one byte more", "u\nfetched: 2026-01-01T00:00:00Z\nchain: 0\nbody: 0\n\nx", ERR_INVALID},
        {"one byte less", "u\nfetched: 2026-01-01T00:00:00Z\nchain: 0\nbody: 1\n\n", ERR_INVALID},
        {"no URL", "\nfetched: 2026-01-01T00:00:00Z\nchain: 0\nbody: 0\n\n", ERR_INVALID},
        {"a space in the URL", "u v\nfetched: 2026-01-01T00:00:00Z\nchain: 0\nbody: 0\n\n",
         ERR_INVALID},
        {"leading zero", "u\nfetched: 2026-01-01T00:00:00Z\nchain: 00\nbody: 0\n\n", ERR_INVALID},
        {"sign", "u\nfetched: 2026-01-01T00:00:00Z\nchain: +0\nbody: 0\n\n", ERR_INVALID},
        {"past the limit", "u\nfetched: 2026-01-01T00:00:00Z\nchain: 65537\nbody: 0\n\n",
         ERR_INVALID},
        {"wraps around",
         "u\nfetched: 2026-01-01T00:00:00Z\nchain: 18446744073709551616\nbody: 0\n\n", ERR_INVALID},
        {"date in another form", "u\nfetched: 2026-01-01T00:00:00+00:00\nchain: 0\nbody: 0\n\n",
         ERR_INVALID},
        {"before 1970", "u\nfetched: 1969-12-31T23:59:59Z\nchain: 0\nbody: 0\n\n", ERR_INVALID},
        {"other order", "u\nchain: 0\nfetched: 2026-01-01T00:00:00Z\nbody: 0\n\n", ERR_INVALID},
        {"CR LF", "u\r\nfetched: 2026-01-01T00:00:00Z\nchain: 0\nbody: 0\n\n", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        buf_add_cstr(&b, head);
        buf_add_cstr(&b, rows[i].text);
        CHECK_ROW(collateral_item_parse(buf_str(&b), &back, NULL) == rows[i].want, rows[i].name);
    }
}

static void test_packs(void)
{
    static const enum key_kind kinds[] = {KEY_ED25519, KEY_EC_P256, KEY_EC_P384, KEY_RSA};
    const struct collateral_item items[] = {
        {STR(TCB), STR("chain"), STR("body"), 1764028800, {0, 0}},
        {STR("https://x/sgx/certification/v4/rootcacrl"), STR_EMPTY, STR("\0\n"), 1, {0, 0}},
    };
    CLEANUP(buf_done) struct buf pack;
    buf_init(&pack, COLLATERAL_PACK_MAX);
    CLEANUP(privkey_cleanup) struct privkey *other = NULL;
    CHECK(privkey_generate(KEY_ED25519, 0, &other, NULL) == OK);
    struct collateral_pack p;
    struct collateral_item back;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(privkey_cleanup) struct privkey *key = NULL;
        buf_reset(&pack);
        CHECK(privkey_generate(kinds[i], 2048, &key, NULL) == OK);
        CHECK(collateral_pack_write(&pack, items, 2, 1764028800, key, NULL) == OK);
        CHECK(collateral_pack_open(buf_str(&pack), privkey_public(key), &p, NULL) == OK);
        CHECK(p.count == 2 && p.made_s == 1764028800);
        for (size_t k = 0; k < 2; k++) {
            CHECK(collateral_pack_next(&p, &back) && back.fetched_s == items[k].fetched_s);
            CHECK_STR(back.body, items[k].body);
        }
        CHECK(!collateral_pack_next(&p, &back));
        CHECK(collateral_pack_open(buf_str(&pack), privkey_public(other), &p, NULL) == ERR_DENIED);
        for (size_t n = 0; n < pack.len; n += 7)
            CHECK(collateral_pack_open(str_slice(buf_str(&pack), 0, n), privkey_public(key), &p,
                                       NULL) == ERR_INVALID);
        buf_add_byte(&pack, '\n');
        CHECK(collateral_pack_open(buf_str(&pack), privkey_public(key), &p, NULL) != OK);
    }
    CHECK(collateral_pack_write(&pack, items, COLLATERAL_PACK_ITEMS + 1, 0, other, NULL) ==
          ERR_LIMIT);
    buf_reset(&pack);
    CHECK(collateral_pack_write(&pack, items, 0, 0, other, NULL) == OK);
    CHECK(collateral_pack_open(buf_str(&pack), privkey_public(other), &p, NULL) == OK &&
          p.count == 0);
}

#define CHIP                                                                                       \
    "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"                             \
    "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"
#define SPLS "blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"

static void test_names(void)
{
    static const struct {
        const char *url, *kind;
    } rows[] = {
        {TCB, "tcb"},
        {"https://x/tdx/certification/v4/qe/identity?update=standard", "qe-identity"},
        {"https://x/sgx/certification/v4/pckcrl?ca=platform&encoding=der", "pck-crl"},
        {"https://x/sgx/certification/v4/rootcacrl", "root-crl"},
        {"https://certificates.trustedservices.intel.com/IntelSGXRootCA.der", "root-crl"},
        {"https://x/vcek/v1/Milan/" CHIP "?" SPLS, "vcek"},
        {"https://x/base/vcek/v1/Genoa/" CHIP "?" SPLS, "vcek"},
        {"https://x/vcek/v1/Turin/0001020304050607?fmcSPL=01&" SPLS, "vcek"},
        {"https://x/vcek/v1/Milan/crl", "amd-crl"},
        {"https://x/vlek/v1/Turin/cert_chain", "amd-cert-chain"},

        {"https://x/sgx/certification/v4/tcb?fmspc=FF906ED5000&update=early", "unknown"},
        {"https://x/sgx/certification/v4/tcb?fmspc=GG906ED50000&update=early", "unknown"},
        {TCB "#tcb-info-issuer-chain", "unknown"},
        /* HARDEN ver-3: exactly the alphabet and length of a chip id, and of numbers. */
        {"https://x/vcek/v1/Milan/" CHIP "00?" SPLS, "unknown"},
        {"https://x/vcek/v1/Milan/00?" SPLS, "unknown"},
        {"https://x/vcek/v1/Milan/" CHIP, "unknown"},
        {"https://x/vcek/v1/Milan/" CHIP "?" SPLS "&x=1", "unknown"},
        {"https://x/vcek/v1/Milan/" CHIP "?blSPL=4&teeSPL=00&snpSPL=24&ucodeSPL=219", "unknown"},
        {"https://x/vcek/v1/Milan/" CHIP "?blSPL=256&teeSPL=00&snpSPL=24&ucodeSPL=219", "unknown"},
        {"https://x/vcek/v1/Milan/" CHIP "?blSPL=004&teeSPL=00&snpSPL=24&ucodeSPL=219", "unknown"},
        {"https://x/vcek/v1/Milan/" CHIP "?fmcSPL=01&" SPLS, "unknown"},
        {"https://x/vcek/v1/Turin/" CHIP "?fmcSPL=01&" SPLS, "unknown"},
        {"https://x/vcek/v1/Rome/" CHIP "?" SPLS, "unknown"},
        {"https://x/vcek/v1/Milan/../crl", "unknown"},
        {"https://x/vlek/v1/Milan/" CHIP "?" SPLS, "unknown"},
        {"https://x/", "unknown"},
        {"", "unknown"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_STR_ROW(str_of(collateral_kind_name(str_of(rows[i].url))), str_of(rows[i].kind),
                      rows[i].url);
        CHECK_ROW((collateral_kind_of(str_of(rows[i].url)) == COLLATERAL_UNKNOWN) ==
                      (strcmp(rows[i].kind, "unknown") == 0),
                  rows[i].url);
    }
}

/* What the verifier asks for is what the parser of names understands. */
static void test_vcek_urls(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 65536);
    for (enum snp_generation g = SNP_MILAN; g <= SNP_TURIN; g++) {
        uint8_t chip[64] = {1, 2, 0xfe, 4, 5, 6, 7, 8};
        struct snp_report r = {.chip_id = str_bytes(chip, 64),
                               .reported = {g == SNP_TURIN ? 9 : 0, 1, 20, 100, 255}};
        struct str url = amd_vcek_url(&a, STR("https://kdsintf.amd.com"), &r, g);
        struct amd_name n;
        CHECK(amd_url_parse(url, &n) && n.item == AMD_VCEK && n.generation == g && !n.vlek);
        CHECK(memcmp(n.chip_id, chip, n.chip_id_len) == 0 &&
              n.chip_id_len == (g == SNP_TURIN ? 8 : 64));
        CHECK(memcmp(&n.tcb, &r.reported, sizeof(n.tcb)) == 0);
        CHECK(amd_url_parse(amd_crl_url(&a, STR("https://k"), g == SNP_GENOA, g), &n) &&
              n.item == AMD_CRL && n.vlek == (g == SNP_GENOA));
    }
    /* An item of Intel's stays one, whatever its query says. */
    struct amd_name n;
    CHECK(!amd_url_parse(STR("https://x/sgx/certification/v4/rootcacrl?/vcek/v1/Milan/crl"), &n));
}

/* ---- items of the test PKI ---- */

#define BASE "https://x"
#define TDX_TCB BASE "/tdx/certification/v4/tcb?fmspc=FF906ED50000&update=early"
#define SGX_TCB BASE "/sgx/certification/v4/tcb?fmspc=FF906ED50000&update=early"
#define OTHER_TCB BASE "/tdx/certification/v4/tcb?fmspc=FF906ED50001&update=early"
#define TD_QE BASE "/tdx/certification/v4/qe/identity?update=early"
#define QE BASE "/sgx/certification/v4/qe/identity?update=early"
#define PLATFORM_CRL BASE "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
#define PROCESSOR_CRL BASE "/sgx/certification/v4/pckcrl?ca=processor&encoding=der"
#define ROOT_CRL BASE "/sgx/certification/v4/rootcacrl"

static void test_checks(void)
{
    const struct {
        const char *name, *url, *body, *chain;
        const char *refusal; /* NULL: good */
    } rows[] = {
        {"TCB information", TDX_TCB, "tcb_info", "tcb_info_issuer_chain", NULL},
        {"QE identity", TD_QE, "qe_identity", "qe_identity_issuer_chain", NULL},
        {"list of the platform CA", PLATFORM_CRL, "pck_crl", "pck_crl_issuer_chain", NULL},
        {"list of the root", ROOT_CRL, "root_ca_crl", NULL, NULL},
        {"of another tee", SGX_TCB, "tcb_info", "tcb_info_issuer_chain", "another platform"},
        {"of another platform", OTHER_TCB, "tcb_info", "tcb_info_issuer_chain", "another platform"},
        {"of another enclave", QE, "qe_identity", "qe_identity_issuer_chain", "another enclave"},
        {"of another CA", PROCESSOR_CRL, "pck_crl", "pck_crl_issuer_chain", "another CA"},
        {"identity for TCB", TDX_TCB, "qe_identity", "qe_identity_issuer_chain",
         "it is no TCB information"},
        {"TCB for identity", TD_QE, "tcb_info", "tcb_info_issuer_chain", "it is no QE identity"},
        {"without a chain", TDX_TCB, "tcb_info", NULL, "without its issuer chain"},
        {"chain of another signer", TDX_TCB, "tcb_info", "pck_crl_issuer_chain",
         "its issuer chain does not hold"},
        {"list of the CA for the root's", ROOT_CRL, "pck_crl", NULL, "of a trusted root"},
        {"text for a list", PLATFORM_CRL, "tcb_info", "pck_crl_issuer_chain",
         "no revocation list of that CA"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct collateral_item item = {
            .url = str_of(rows[i].url),
            .body = bundle_member(rows[i].body),
            .chain = rows[i].chain == NULL ? STR_EMPTY : bundle_member(rows[i].chain)};
        struct error err = ERROR_INIT;
        enum status st = collateral_item_check(anchors, &item, &err);
        CHECK_ROW(st == (rows[i].refusal == NULL ? OK : ERR_DENIED), rows[i].name);
        if (rows[i].refusal != NULL)
            CHECK_ROW(strstr(err.text, rows[i].refusal) != NULL, rows[i].name);
        else
            CHECK_ROW(item.dates.issued_s == PKI_NOT_BEFORE && item.dates.next_s == PKI_NOT_AFTER,
                      rows[i].name);
    }
    /* Under other roots nothing of it counts. */
    CLEANUP(anchors_cleanup) struct anchors *makers = NULL;
    CHECK(anchors_new(&makers, NULL) == OK);
    for (size_t i = 0; i < 4; i++) {
        struct collateral_item item = {
            .url = str_of(rows[i].url),
            .body = bundle_member(rows[i].body),
            .chain = rows[i].chain == NULL ? STR_EMPTY : bundle_member(rows[i].chain)};
        CHECK_ROW(collateral_item_check(makers, &item, NULL) == ERR_DENIED, rows[i].name);
    }
}

/* Each byte of a signed text counts, but for white space between its tokens. */
static void test_bytes(void)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, 1024 * 1024);
    buf_add(&body, bundle_member("qe_identity"));
    size_t accepted = 0;
    for (size_t i = 0; i < body.len; i += 3) {
        body.ptr[i] ^= 1;
        struct collateral_item item = {.url = STR(TD_QE),
                                       .body = buf_str(&body),
                                       .chain = bundle_member("qe_identity_issuer_chain")};
        accepted += collateral_item_check(anchors, &item, NULL) != ERR_DENIED;
        body.ptr[i] ^= 1;
    }
    CHECK(accepted == 0);
}

int main(void)
{
    test_records();
    test_packs();
    test_names();
    test_vcek_urls();
    if (!make_pki(0))
        return tap_done();
    test_checks();
    test_bytes();
    drop_pki();
    return tap_done();
}
