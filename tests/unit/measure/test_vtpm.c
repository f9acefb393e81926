/* Executables, PCRs of unified kernel images, and reference values as text. */
#include <stdio.h>

#include "image.h"
#include "measure/reference.h"
#include "measure/register.h"
#include "measure/uki.h"
#include "tap.h"
#include "value/json.h"

static const struct uki_options ready = {
    .phases = {UKI_PHASES_READY, sizeof(UKI_PHASES_READY) - 1}};

/*
 * PCR 11 as systemd-measure 252 gives it for the same sections (integration/measure compares the
 * two), PCR 9 from an independent reading of systemd's sources (tools/measure-peers).
 */
static void test_recorded(void)
{
    static const struct {
        unsigned stub;
        const char *pcr9, *pcr11;
    } rows[] = {
        {252, "8facfd0a7637bec35a32a759201a04dc59aa6dc60c7730fca18725ea6280effc",
         "253db4e37cd02cc09b0b3dcc6f9d4b328c20bfc2bb998b4a2682f0d0d37afa12"},
        {257, "251dae87c96cf33467e8ab181e619d53f384ebe7a81828e91461e1a46734da13",
         "825a46274359de320bf0ff9cf64aa57fade7d5f56577c2bd0096f11f4d9aafe9"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf image;
        buf_init(&image, IMAGE_MAX);
        image_uki(&image, rows[i].stub);
        struct pe pe;
        struct uki_pcrs pcrs = {.stub = 0};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(pe_parse(buf_str(&image), &pe, &err), OK, &err, rows[i].pcr9);
        CHECK_STATUS_ROW(uki_measure(&pe, &ready, &pcrs, &err), OK, &err, rows[i].pcr9);
        CHECK(pcrs.stub == rows[i].stub);
        CHECK_HEX(digest_str(&pcrs.pcr9), rows[i].pcr9);
        CHECK_HEX(digest_str(&pcrs.pcr11), rows[i].pcr11);
        /* The value of the workshop, and of every real machine in the vectors. */
        CHECK_HEX(digest_str(&pcrs.pcr3),
                  "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969");
        CHECK_HEX(digest_str(&pcrs.pcr12),
                  "0000000000000000000000000000000000000000000000000000000000000000");
    }
}

/* A command line from the boot loader takes the place of the image's and shows in PCR 12. */
static void test_cmdline(void)
{
    static const struct {
        const char *name;
        struct str given, clean;
    } rows[] = {
        {"as it is", STR("a b"), STR("a b")},
        {"white space around", STR("\t a b \r\n"), STR("a b")},
        {"control characters inside", STR("a\tb\x1fz"), STR("a b z")},
        {"control character in front", STR("\x01 a"), STR("  a")},
        {"cut at a NUL", STR("a\0b"), STR("a")},
        {"nothing but space", STR(" \n"), STR("")},
        {"empty", STR(""), STR("")},
    };
    CLEANUP(buf_done) struct buf image, code;
    buf_init(&image, IMAGE_MAX);
    const struct image_section sections[] = {{".linux", STR("kernel")}, {".cmdline", STR("other")}};
    image_pe(&image, sections, 2, STR_EMPTY);
    buf_init(&code, 64);
    struct pe pe;
    CHECK(pe_parse(buf_str(&image), &pe, NULL) == OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct uki_options o = {.stub = 254, .cmdline = rows[i].given};
        struct uki_pcrs pcrs;
        struct digest want;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(uki_measure(&pe, &o, &pcrs, &err), OK, &err, rows[i].name);
        register_init(&want, DIGEST_SHA256);
        CLEANUP(buf_done) struct buf wide;
        buf_init(&wide, 256);
        for (size_t j = 0; j < rows[i].clean.len; j++) {
            buf_add_byte(&wide, rows[i].clean.ptr[j]);
            buf_add_byte(&wide, 0);
        }
        buf_add(&wide, STR("\0\0"));
        if (rows[i].clean.len > 0)
            register_measure(&want, DIGEST_SHA256, buf_str(&wide));
        CHECK_STR_ROW(digest_str(&pcrs.pcr12), digest_str(&want), rows[i].name);
        CHECK_STR_ROW(digest_str(&pcrs.pcr9), digest_str(&want), rows[i].name);
    }
    const struct uki_options umlaut = {.stub = 254, .cmdline = STR("\xc3\xa4")};
    struct uki_pcrs pcrs;
    CHECK(uki_measure(&pe, &umlaut, &pcrs, NULL) == ERR_UNSUPPORTED);
}

static void test_images(void)
{
    static const struct image_section
        linux_only[] = {{".linux", STR("k")}},
        none[] = {{".text", STR("k")}}, twice[] = {{".linux", STR("k")}, {".linux", STR("k")}},
        profiles[] = {{".linux", STR("k")}, {".profile", STR("ID=a")}, {".profile", STR("ID=b")}},
        trees[] = {{".linux", STR("k")}, {".dtbauto", STR("d")}},
        old[] = {{".linux", STR("k")}, {".sdmagic", STR("systemd-stub 251")}},
        later[] = {{".linux", STR("k")}, {".sdmagic", STR("systemd-stub 259~rc1")}},
        huge[] = {{".linux", STR("k")}, {".sdmagic", STR("systemd-stub 99999999999")}};
    static const struct {
        const char *name;
        const struct image_section *sections;
        size_t n;
        unsigned stub;
        struct str phases;
        enum status want;
        const char *text;
    } rows[] = {
        {"a kernel alone", linux_only, 1, 252, STR(""), OK, ""},
        {"does not name its stub", linux_only, 1, 0, STR(""), ERR_UNSUPPORTED, "does not say"},
        {"no kernel", none, 1, 252, STR(""), ERR_INVALID, "no section .linux"},
        {"two kernels", twice, 2, 252, STR(""), ERR_INVALID, "2 sections .linux"},
        {"two profiles", profiles, 3, 257, STR(""), ERR_UNSUPPORTED, "2 profiles"},
        {"before profiles", profiles, 3, 254, STR(""), ERR_INVALID, "2 sections .profile"},
        {"device trees to choose from", trees, 2, 257, STR(""), ERR_UNSUPPORTED, "device trees"},
        {"before device trees", trees, 2, 256, STR(""), OK, ""},
        {"older stub", old, 2, 0, STR(""), ERR_UNSUPPORTED, "systemd-stub 251"},
        {"later stub", later, 2, 0, STR(""), ERR_UNSUPPORTED, "systemd-stub 259"},
        {"later stub, said to be older", later, 2, 258, STR(""), OK, ""},
        {"version that is none", huge, 2, 0, STR(""), ERR_UNSUPPORTED, "not known"},
        {"no word before a colon", linux_only, 1, 252, STR(":a"), ERR_INVALID, "empty word"},
        {"no word after a colon", linux_only, 1, 252, STR("a:"), ERR_INVALID, "empty word"},
        {"no word between", linux_only, 1, 252, STR("a::b"), ERR_INVALID, "empty word"},
        {"32 words", linux_only, 1, 252,
         STR("a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a"), OK, ""},
        {"33 words", linux_only, 1, 252,
         STR("a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a"), ERR_INVALID,
         "more than 32"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf image;
        buf_init(&image, IMAGE_MAX);
        image_pe(&image, rows[i].sections, rows[i].n, STR_EMPTY);
        struct pe pe;
        struct uki_pcrs pcrs = {.stub = 7};
        struct error err = ERROR_INIT;
        const struct uki_options o = {.stub = rows[i].stub, .phases = rows[i].phases};
        CHECK_ROW(pe_parse(buf_str(&image), &pe, NULL) == OK, rows[i].name);
        CHECK_STATUS_ROW(uki_measure(&pe, &o, &pcrs, &err), rows[i].want, &err, rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL, rows[i].name);
        CHECK_ROW((pcrs.stub == 7) == (rows[i].want != OK), rows[i].name);
    }
}

/* Offsets in image_pe()'s files: PE header at 0x80, optional header at 0x98, sections at 0x188. */
static void test_pe_broken(void)
{
    static const struct {
        const char *name;
        size_t at;
        uint32_t v;
        size_t len; /* of the number; 0: the file is cut at `at` */
        enum status want;
        const char *text;
    } rows[] = {
        {"empty", 0, 0, 0, ERR_INVALID, "MZ"},
        {"cut in the DOS header", 0x3f, 0, 0, ERR_INVALID, "MZ"},
        {"cut in the PE header", 0x97, 0, 0, ERR_INVALID, "no PE header"},
        {"cut in the section table", 0x1af, 0, 0, ERR_INVALID, "headers end outside"},
        {"cut in a section", 0x5ff, 0, 0, ERR_INVALID, "section lies outside"},
        {"no MZ", 0, 0, 1, ERR_INVALID, "MZ"},
        {"header outside", 0x3c, 0xffffffff, 4, ERR_INVALID, "no PE header"},
        {"header at the end", 0x3c, 0x5f0, 4, ERR_INVALID, "no PE header"},
        {"no PE", 0x80, 0, 1, ERR_INVALID, "no PE header"},
        {"97 sections", 0x86, 97, 2, ERR_LIMIT, "97 sections"},
        {"96 sections", 0x86, 96, 2, ERR_INVALID, "headers"},
        {"short optional header", 0x94, 67, 2, ERR_INVALID, "too short"},
        {"without directories", 0x94, 111, 2, ERR_INVALID, "too short"},
        {"without the certificates' directory", 0x94, 151, 2, ERR_INVALID, "too short"},
        {"another kind", 0x98, 0x107, 2, ERR_UNSUPPORTED, "neither PE32"},
        {"headers longer than the file", 0x98 + 60, 0x601, 4, ERR_INVALID, "length of its headers"},
        {"headers without the section table", 0x98 + 60, 0x1af, 4, ERR_INVALID,
         "length of its headers"},
        {"section longer than the file", 0x188 + 16, 0x601, 4, ERR_INVALID, "lies outside"},
        {"section outside", 0x188 + 20, 0x401, 4, ERR_INVALID, "lies outside"},
        {"section far outside", 0x188 + 20, 0xffffffff, 4, ERR_INVALID, "lies outside"},
        {"unchanged", 0x98 + 64, 0, 4, OK, ""},
    };
    const struct image_section text = {".text", STR("code")};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf file;
        buf_init(&file, IMAGE_MAX);
        image_pe(&file, &text, 1, STR_EMPTY);
        if (rows[i].len == 0)
            file.len = rows[i].at;
        for (size_t j = 0; j < rows[i].len; j++)
            file.ptr[rows[i].at + j] = (char)(rows[i].v >> 8 * j);
        struct pe pe = {.len = 7};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(pe_parse(buf_str(&file), &pe, &err), rows[i].want, &err, rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL, rows[i].name);
        CHECK_ROW(pe.len == (rows[i].want == OK ? 1 : 7), rows[i].name);
    }
    struct pe pe;
    CHECK(pe_parse((struct str){"MZ", PE_LEN_MAX + 1}, &pe, NULL) == ERR_LIMIT);
}

/* Compared with osslsigncode, whose SHA-256 of the same file was recorded. */
static void test_authenticode(void)
{
    CLEANUP(buf_done) struct buf file;
    buf_init(&file, IMAGE_MAX);
    image_uki(&file, 252);
    struct pe pe;
    struct digest plain, d;
    CHECK(pe_parse(buf_str(&file), &pe, NULL) == OK);
    CHECK(pe_authenticode(&pe, DIGEST_SHA256, &plain, NULL) == OK);
    CHECK_HEX(digest_str(&plain),
              "e9ffc88d2b36a0ed40a02ae0f84ba8f83d3e738fd843f58e2c51d2219e6b6192");

    /* Checksum and certificates are not covered: signing an image does not change its digest. */
    store_le32(file.ptr + 0x98 + 64, 0xabcdef);
    store_le32(file.ptr + 0x98 + 112 + 32, (uint32_t)file.len);
    store_le32(file.ptr + 0x98 + 112 + 36, 16);
    buf_add(&file, STR("0123456789abcdef"));
    CHECK(pe_parse(buf_str(&file), &pe, NULL) == OK);
    CHECK(pe_authenticode(&pe, DIGEST_SHA256, &d, NULL) == OK);
    CHECK_STR(digest_str(&d), digest_str(&plain));
    store_le32(file.ptr + 0x98 + 112 + 36, 17);
    CHECK(pe_parse(buf_str(&file), &pe, NULL) == OK);
    CHECK(pe_authenticode(&pe, DIGEST_SHA256, &d, NULL) == ERR_INVALID);
    store_le32(file.ptr + 0x98 + 112 + 36, 15); /* a byte between is covered */
    CHECK(pe_parse(buf_str(&file), &pe, NULL) == OK);
    CHECK(pe_authenticode(&pe, DIGEST_SHA256, &d, NULL) == OK);
    CHECK(!str_equal(digest_str(&d), digest_str(&plain)));
}

static void test_content(void)
{
    struct str content;
    const struct pe_section s = {STR(".linux"), STR("0123"), 3},
                            longer = {STR(".bss"), STR("0123"), 5};
    CHECK(pe_section_content(&s, &content, NULL) == OK);
    CHECK_STR(content, STR("012"));
    CHECK(pe_section_content(&longer, &content, NULL) == ERR_UNSUPPORTED);
}

/* ---- reference values ---- */

static void test_reference(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    struct references refs = {.len = 0};
    const struct digest one = {{1, 2}, 2}, two = {{3, 4}, 2};
    struct reference *pcr = references_add(&refs, STR("pcr11"), "sha256");
    CHECK(reference_add_value(pcr, &a, &one, false) == OK);
    CHECK(reference_add_value(pcr, &a, &one, false) == OK); /* written once */
    CHECK(reference_add_value(pcr, &a, &two, false) == OK);
    struct reference *ld = references_add(&refs, STR("kernel"), "sha384");
    CHECK(reference_add_value(ld, &a, &one, true) == OK);
    ld->single = true;

    static const struct {
        const char *name;
        enum reference_format format;
        const char *want;
    } rows[] = {
        {"text", REFERENCE_TEXT, "pcr11 0102\npcr11 0304\nkernel AQI=\n"},
        {"json", REFERENCE_JSON, "{\"pcr11\":[\"0102\",\"0304\"],\"kernel\":\"AQI=\"}\n"},
        {"store", REFERENCE_STORE,
         "[{\"version\":\"0.1.0\",\"name\":\"pcr11\",\"expiration\":\"2027-01-31T00:00:00Z\","
         "\"value\":[\"0102\",\"0304\"]},{\"version\":\"0.1.0\",\"name\":\"kernel\","
         "\"expiration\":\"2027-01-31T00:00:00Z\",\"value\":\"AQI=\"}]\n"},
        {"older store", REFERENCE_STORE_OLD,
         "[{\"version\":\"0.1.0\",\"name\":\"pcr11\",\"expiration\":\"2027-01-31T00:00:00Z\","
         "\"hash-value\":[{\"alg\":\"sha256\",\"value\":\"0102\"},{\"alg\":\"sha256\",\"value\":"
         "\"0304\"}]},{\"version\":\"0.1.0\",\"name\":\"kernel\",\"expiration\":"
         "\"2027-01-31T00:00:00Z\",\"hash-value\":[{\"alg\":\"sha384\",\"value\":\"AQI=\"}]}]\n"},
        {"message", REFERENCE_MESSAGE,
         "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":"
         "\"eyJwY3IxMSI6WyIwMTAyIiwiMDMwNCJdLCJrZXJuZWwiOiJBUUk9In0=\"}\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf out;
        buf_init(&out, 4096);
        CHECK_ROW(references_write(&refs, rows[i].format, STR("2027-01-31T00:00:00Z"), &out) == OK,
                  rows[i].name);
        CHECK_STR_ROW(buf_str(&out), str_of(rows[i].want), rows[i].name);
        CLEANUP(buf_done) struct buf small;
        buf_init(&small, out.len - 1);
        CHECK_ROW(references_write(&refs, rows[i].format, STR("2027-01-31T00:00:00Z"), &small) ==
                      ERR_LIMIT,
                  rows[i].name);
    }
    for (size_t i = refs.len; i < REFERENCES_MAX; i++)
        CHECK(references_add(&refs, STR("x"), "sha256") != NULL);
    CHECK(references_add(&refs, STR("x"), "sha256") == NULL);
    for (uint8_t i = 2; i < REFERENCE_VALUES_MAX; i++)
        CHECK(reference_add_value(pcr, &a, &(struct digest){{i, 9}, 2}, false) == OK);
    CHECK(reference_add_value(pcr, &a, &(struct digest){{99, 9}, 2}, false) == ERR_LIMIT);
}

static void test_no_memory(void)
{
    CLEANUP(buf_done) struct buf image;
    buf_init(&image, IMAGE_MAX);
    image_uki(&image, 257);
    struct pe pe;
    CHECK(pe_parse(buf_str(&image), &pe, NULL) == OK);
    for (long n = 1;; n++) {
        struct uki_pcrs pcrs = {.stub = 7};
        tap_fail_malloc_after(tap_malloc_can_fail() ? n : 0);
        enum status st = uki_measure(&pe, &ready, &pcrs, NULL);
        tap_fail_malloc_after(0);
        if (st == OK)
            break;
        CHECK(st == ERR_NOMEM && pcrs.stub == 7);
    }
}

int main(void)
{
    test_recorded();
    test_cmdline();
    test_images();
    test_pe_broken();
    test_authenticode();
    test_content();
    test_reference();
    test_no_memory();
    return tap_done();
}
