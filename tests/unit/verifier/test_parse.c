/* Parsers of the verifiers at their edges, on bytes made here. */
#include <stdio.h>

#include "base/buf.h"
#include "value/json.h"
#include "verifier/az_vtpm/hcl.h"
#include "verifier/dcap/intel_url.h"
#include "verifier/dcap/pck.h"
#include "verifier/dcap/quote.h"
#include "verifier/dcap/raw_json.h"
#include "verifier/dcap/tcb.h"
#include "verifier/snp/report.h"
#include "verifier/tpm/quote.h"

#include "tap.h"

/* ---- HCL ---- */

static void test_hcl(void)
{
    const struct {
        const char *name;
        size_t len;
        struct {
            size_t offset;
            uint32_t word;
        } change;
        const char *field; /* NULL: accepted */
    } rows[] = {
        {"as it is", 2600, {0, 0}, NULL},
        {"an early host", 2048, {0, 0}, NULL},
        {"not a byte behind the data", 0x4d4 + 100, {0, 0}, NULL},
        {"one byte short", 0x4d4 + 99, {0, 0}, "/variable_data_size"},
        {"no room for the header", 0x4d3, {0, 0}, ""},
        {"HARDEN az-3: HCLA", 2600, {0x000, 0x414c4349}, "/signature"},
        {"HARDEN az-3: request type", 2600, {0x00c, 1}, "/request_type"},
        {"HARDEN az-3: data size", 2600, {0x4c0, 121}, "/data_size"},
        {"HARDEN az-3: report type", 2600, {0x4c8, 4}, "/report_type"},
        {"SHA-384", 2600, {0x4cc, 2}, "/hash_type"},
        {"a size that wraps", 2600, {0x4d0, 0xffffffff}, "/variable_data_size"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t blob[2600] = {0};
        memcpy(blob, "HCLA", 4);
        store_le32(blob + 0x0c, 2);
        store_le32(blob + 0x4c0, 120);
        store_le32(blob + 0x4c8, 2);
        store_le32(blob + 0x4cc, 1);
        store_le32(blob + 0x4d0, 100);
        if (rows[i].change.word != 0)
            store_le32(blob + rows[i].change.offset, rows[i].change.word);
        struct hcl_report r;
        struct hcl_fault fault = {.field = NULL};
        enum status st = hcl_parse(str_bytes(blob, rows[i].len), HCL_SNP, &r, &fault);
        CHECK_ROW(st == (rows[i].field == NULL ? OK : ERR_INVALID), rows[i].name);
        if (rows[i].field != NULL)
            CHECK_STR_ROW(str_of(fault.field), str_of(rows[i].field), rows[i].name);
        else
            CHECK_ROW(r.variable_data.len == 100 && r.hardware.len == 1184, rows[i].name);
    }
}

/* ---- TPM quotes ---- */

struct bank {
    uint16_t alg;
    uint8_t len, bits[4];
};

static void write_quote(struct buf *b, uint16_t type, size_t nonce, const struct bank *banks,
                        uint32_t n)
{
    uint8_t word[8] = {0};
    store_be32(word, TPM_MAGIC);
    buf_add(b, str_bytes(word, 4));
    store_be16(word, type);
    buf_add(b, str_bytes(word, 2));
    buf_add(b, STR("\x00\x02\x00\x0b")); /* qualifiedSigner */
    store_be16(word, (uint16_t)nonce);
    buf_add(b, str_bytes(word, 2));
    for (size_t i = 0; i < nonce; i++)
        buf_add_byte(b, 'n');
    for (size_t i = 0; i < 8 + 4 + 4 + 1 + 8; i++)
        buf_add_byte(b, '\0');
    store_be32(word, n);
    buf_add(b, str_bytes(word, 4));
    for (uint32_t i = 0; i < n; i++) {
        store_be16(word, banks[i].alg);
        buf_add(b, str_bytes(word, 2));
        buf_add_byte(b, (char)banks[i].len);
        buf_add(b, str_bytes(banks[i].bits, banks[i].len));
    }
    buf_add(b, STR("\x00\x02zz"));
}

static void test_quote(void)
{
    static const struct bank all = {0x000b, 3, {0xff, 0xff, 0xff}};
    const struct {
        const char *name;
        struct bank banks[2];
        uint32_t count;
        size_t nonce;
        enum status want;
        bool selects_all;
    } rows[] = {
        {"every PCR", {{0x000b, 3, {0xff, 0xff, 0xff}}}, 1, 48, OK, true},
        {"an empty nonce", {{0x000b, 3, {0xff, 0xff, 0xff}}}, 1, 0, OK, true},
        {"the longest nonce", {{0x000b, 3, {0xff, 0xff, 0xff}}}, 1, 64, OK, true},
        {"one past it", {{0x000b, 3, {0xff, 0xff, 0xff}}}, 1, 65, ERR_INVALID, false},
        {"HARDEN az-4: resettable PCRs 16 and 23 alone",
         {{0x000b, 3, {0, 0, 0x81}}},
         1,
         9,
         OK,
         false},
        {"HARDEN az-4: SHA-1", {{0x0004, 3, {0xff, 0xff, 0xff}}}, 1, 9, OK, false},
        {"HARDEN az-4: two banks", {all, {0x000c, 3, {0xff, 0xff, 0xff}}}, 2, 9, OK, false},
        {"HARDEN az-4: a fourth byte", {{0x000b, 4, {0xff, 0xff, 0xff, 0}}}, 1, 9, OK, false},
        {"HARDEN az-6: no bank", {all}, 0, 9, OK, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 4096);
        write_quote(&b, TPM_TYPE_QUOTE, rows[i].nonce, rows[i].banks, rows[i].count);
        struct tpm_quote q;
        size_t trailing = 0;
        CHECK_ROW(tpm_quote_parse(buf_str(&b), &q, &trailing) == rows[i].want, rows[i].name);
        if (rows[i].want != OK)
            continue;
        CHECK_ROW(tpm_quote_selects_all(&q) == rows[i].selects_all, rows[i].name);
        CHECK_ROW(q.extra_data_len == rows[i].nonce && q.pcr_digest_len == 2, rows[i].name);
        for (size_t k = 0; k < b.len; k++) /* cut anywhere */
            if (tpm_quote_parse(str_slice(buf_str(&b), 0, k), &q, &trailing) == OK)
                CHECK_ROW(false, rows[i].name);
        buf_add_byte(&b, 'x');
        CHECK_ROW(tpm_quote_parse(buf_str(&b), &q, &trailing) == ERR_INVALID && trailing == 1,
                  "HARDEN az-4: trailing bytes");
    }
}

static void test_signature(void)
{
    struct str signature;
    uint16_t hash = 0;
    CHECK(tpm_signature_parse(STR("\x00\x14\x00\x0b\x00\x02zz"), &signature, &hash) == OK &&
          hash == 0x0b && signature.len == 2);
    CHECK(tpm_signature_parse(STR("\x00\x14\x00\x04\x00\x02zz"), &signature, &hash) == OK &&
          hash == 0x04); /* HARDEN az-7: the verifier refuses what is not SHA-256 */
    CHECK(tpm_signature_parse(STR("\x00\x18\x00\x0b\x00\x02zz"), &signature, &hash) ==
          ERR_UNSUPPORTED);
    CHECK(tpm_signature_parse(STR("\x00\x14\x00\x0b\x00\x03zz"), &signature, &hash) == ERR_INVALID);
    CHECK(tpm_signature_parse(STR("\x00\x14\x00\x0b\x00\x01zz"), &signature, &hash) == ERR_INVALID);
    CHECK(tpm_signature_parse(STR("\x00\x14"), &signature, &hash) == ERR_INVALID);
}

/* ---- SNP ---- */

static void test_generation(void)
{
    const struct {
        uint32_t version;
        uint8_t family, model;
        enum snp_generation_status want;
        enum snp_generation generation;
    } rows[] = {
        {3, 0x19, 0x00, SNP_GENERATION_OK, SNP_MILAN},
        {3, 0x19, 0x0f, SNP_GENERATION_OK, SNP_MILAN},
        {3, 0x19, 0x10, SNP_GENERATION_OK, SNP_GENOA},
        {3, 0x19, 0xaf, SNP_GENERATION_OK, SNP_GENOA},
        {3, 0x19, 0xb0, SNP_GENERATION_MODEL, SNP_MILAN},
        {3, 0x19, 0x20, SNP_GENERATION_MODEL, SNP_MILAN},
        {5, 0x1a, 0x11, SNP_GENERATION_OK, SNP_TURIN},
        {5, 0x1a, 0x12, SNP_GENERATION_MODEL, SNP_MILAN},
        {3, 0x17, 0x31, SNP_GENERATION_FAMILY, SNP_MILAN},
        {2, 0x19, 0x01, SNP_GENERATION_NO_FAMILY, SNP_MILAN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t bytes[SNP_REPORT_LEN] = {0};
        store_le32(bytes, rows[i].version);
        bytes[0x188] = rows[i].family;
        bytes[0x189] = rows[i].model;
        struct snp_report r;
        enum snp_generation g = SNP_MILAN;
        char row[32];
        snprintf(row, sizeof(row), "%02x %02x", rows[i].family, rows[i].model);
        CHECK_ROW(snp_report_parse(str_bytes(bytes, sizeof(bytes)), &r) == OK, row);
        CHECK_ROW(snp_report_generation(&r, &g) == rows[i].want && g == rows[i].generation, row);
    }
}

static void test_reserved(void)
{
    static const uint16_t reserved[] = {0x4c,  0x4f,  0x18b, 0x19f, 0x1eb,
                                        0x1ef, 0x208, 0x29f, 0x330, 0x49f};
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        uint8_t bytes[SNP_REPORT_LEN] = {5};
        struct snp_report r;
        size_t offset = 0;
        CHECK(snp_report_parse(str_bytes(bytes, sizeof(bytes)), &r) == OK);
        CHECK(snp_report_reserved_zero(&r, &offset));
        bytes[reserved[i]] = 1;
        CHECK(!snp_report_reserved_zero(&r, &offset) && offset == reserved[i]);
    }
    uint8_t bytes[SNP_REPORT_LEN] = {5};
    struct snp_report r;
    CHECK(snp_report_parse(str_bytes(bytes, SNP_REPORT_LEN - 1), &r) == ERR_INVALID);
}

/* ---- Intel ---- */

static void test_td_quote(void)
{
    const struct {
        const char *name;
        size_t len;
        size_t offset;
        uint8_t byte;
        const char *field; /* NULL: accepted */
    } rows[] = {
        {"version 5, TD 1.5", 0, 0, 5, NULL},
        {"version 6", 0, 0, 6, "/header/version"},
        {"version 3 of a TD", 0, 0, 3, "/header/tee_type"},
        {"P-384", 0, 2, 3, "/header/att_key_type"},
        {"another maker", 0, 12, 0, "/header/vendor_id"},
        {"BUG intel-b1: a short header", 47, 0, 5, "/header"},
        {"BUG intel-b1: a short descriptor", 53, 0, 5, "/body/type"},
        {"BUG intel-b1: a short body", 48 + 6 + 647, 0, 5, "/body"},
        {"HARDEN intel-1: a size that is not the type's", 0, 50, 0x48, "/body/size"},
        {"an extended body", 0, 48, 4, "/body/type"},
        {"no signature", 48 + 6 + 648, 0, 5, "/signature"},
    };
    uint8_t quote[48 + 6 + 648 + 4 + 1024] = {0};
    static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    store_le16(quote, 5);
    store_le16(quote + 2, 2);
    store_le32(quote + 4, 0x81);
    memcpy(quote + 12, vendor, sizeof(vendor));
    store_le16(quote + 48, 3);
    store_le32(quote + 50, 648);
    uint8_t *s = quote + 54 + 648;
    store_le32(s, 128 + 6 + 384 + 64 + 2 + 4 + 6 + 5);
    store_le16(s + 4 + 128, 6);
    store_le32(s + 4 + 130, 384 + 64 + 2 + 4 + 6 + 5);
    uint8_t *qe = s + 4 + 134;
    store_le16(qe + 448, 4);
    store_le16(qe + 454, 5);
    store_le32(qe + 456, 5);
    memcpy(qe + 460, "chain", 5);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t copy[sizeof(quote)];
        memcpy(copy, quote, sizeof(quote));
        copy[rows[i].offset] = rows[i].byte;
        struct dcap_quote q;
        struct quote_fault fault = {.field = NULL};
        size_t len = rows[i].len == 0 ? sizeof(copy) : rows[i].len;
        enum status st = dcap_quote_parse(str_bytes(copy, len), &q, &fault);
        CHECK_ROW(st == (rows[i].field == NULL ? OK : ERR_INVALID), rows[i].name);
        if (rows[i].field != NULL)
            CHECK_STR_ROW(str_of(fault.field), str_of(rows[i].field), rows[i].name);
        else
            CHECK_STR_ROW(q.pck_chain, STR("chain"), rows[i].name);
    }
}

static void test_raw_json(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 65536);
    struct str text = STR("{ \"a\" : [ 1, {\"x\": \"},]\\\"\"} ] , \"b\":{\"c\" : \" d \"}}");
    struct str raw, inner;
    CHECK(json_raw_member(text, "a", &raw));
    CHECK_STR(raw, STR("[ 1, {\"x\": \"},]\\\"\"} ]"));
    CHECK(json_raw_element(raw, 1, &inner));
    CHECK_STR(inner, STR("{\"x\": \"},]\\\"\"}"));
    CHECK(!json_raw_element(raw, 2, &inner));
    CHECK(json_raw_member(text, "b", &raw));
    CHECK_STR(json_raw_compact(&a, raw), STR("{\"c\":\" d \"}"));
    CHECK(!json_raw_member(text, "c", &raw));
    CHECK(!json_raw_member(STR(""), "c", &raw) && !json_raw_member(STR("{\"c"), "c", &raw));
}

static void test_urls(void)
{
    const struct {
        const char *url;
        bool known;
        enum intel_item item;
        bool tdx;
    } rows[] = {
        {"https://api.trustedservices.intel.com/tdx/certification/v4/"
         "tcb?fmspc=00806F050000&update=early",
         true, INTEL_TCB_INFO, true},
        {"https://pccs:8081/sgx/certification/v4/tcb?update=standard&fmspc=00806f050000"
         "#tcb-info-issuer-chain",
         true, INTEL_TCB_INFO_CHAIN, false},
        {"https://pccs/tdx/certification/v4/qe/identity?update=early", true, INTEL_QE_IDENTITY,
         true},
        {"https://pccs/sgx/certification/v4/pckcrl?ca=platform&encoding=der", true, INTEL_PCK_CRL,
         false},
        {"https://pccs/sgx/certification/v4/rootcacrl", true, INTEL_ROOT_CRL, false},
        {"https://certificates.trustedservices.intel.com/IntelSGXRootCA.der", true, INTEL_ROOT_CRL,
         false},
        {"https://pccs/tdx/certification/v4/tcb?fmspc=00806F05000", false, INTEL_TCB_INFO, true},
        {"https://pccs/tdx/certification/v4/tcb?fmspc=0080/F050000", false, INTEL_TCB_INFO, true},
        {"https://pccs/xyz/certification/v4/tcb?fmspc=00806F050000", false, INTEL_TCB_INFO, true},
        {"", false, INTEL_TCB_INFO, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct intel_name n;
        CHECK_ROW(intel_url_parse(str_of(rows[i].url), &n) == rows[i].known, rows[i].url);
        if (rows[i].known)
            CHECK_ROW(n.item == rows[i].item && n.tdx == rows[i].tdx, rows[i].url);
    }
    CHECK_STR(intel_url_base(STR("https://h:1/sgx/certification/v4/")), STR("https://h:1"));
    CHECK_STR(intel_url_base(STR("https://h")), STR("https://h"));
}

/* verifiers-intel.md 7, steps 4 and 6. */
static void test_status(void)
{
    const struct {
        enum tcb_status platform, part, want;
    } converge[] = {
        {TCB_UP_TO_DATE, TCB_UP_TO_DATE, TCB_UP_TO_DATE},
        {TCB_UP_TO_DATE, TCB_OUT_OF_DATE, TCB_OUT_OF_DATE},
        {TCB_SW_HARDENING_NEEDED, TCB_OUT_OF_DATE, TCB_OUT_OF_DATE},
        {TCB_CONFIGURATION_NEEDED, TCB_OUT_OF_DATE, TCB_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {TCB_OUT_OF_DATE, TCB_UP_TO_DATE, TCB_OUT_OF_DATE},
        {TCB_UP_TO_DATE, TCB_REVOKED, TCB_REVOKED},
        {TCB_REVOKED, TCB_OUT_OF_DATE, TCB_REVOKED},
    };
    for (size_t i = 0; i < ARRAY_LEN(converge); i++)
        CHECK(tcb_converge(converge[i].platform, converge[i].part) == converge[i].want);
    CHECK(tcb_relaunch(TCB_OUT_OF_DATE, TCB_UP_TO_DATE) == TCB_TD_RELAUNCH_ADVISED);
    CHECK(tcb_relaunch(TCB_OUT_OF_DATE, TCB_OUT_OF_DATE) == TCB_OUT_OF_DATE);
    CHECK(tcb_relaunch(TCB_OUT_OF_DATE, TCB_CONFIGURATION_NEEDED) ==
          TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED);
    CHECK(tcb_relaunch(TCB_UP_TO_DATE, TCB_OUT_OF_DATE) == TCB_UP_TO_DATE);
    CHECK_STR(str_of(tcb_status_old_name(TCB_UP_TO_DATE)), STR("OK"));
}

int main(void)
{
    test_hcl();
    test_quote();
    test_signature();
    test_generation();
    test_reserved();
    test_td_quote();
    test_raw_json();
    test_urls();
    test_status();
    return tap_done();
}
