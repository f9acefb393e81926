/* SEV-SNP: launch digests against recorded ones of sev-snp-measure 0.0.13, and broken firmware. */
#include "image.h"
#include "measure/snp.h"
#include "tap.h"

/* Recorded by tools/measure-peers, which also looks whether they still agree. */
static void test_recorded(void)
{
    static const struct {
        const char *name, *cpu, *cmdline;
        enum snp_vmm vmm;
        uint32_t vcpus;
        uint64_t features;
        bool hashes, kernel, initrd;
        const char *want;
    } rows[] = {
        {"QEMU", "EPYC-Genoa", "", SNP_VMM_QEMU, 1, 1, true, false, false,
         "e8c871beda1c56069a7419870166caf9459ebefb64741874eeb922e85e5d762930f63f90576829d1981031712"
         "d07f002"},
        {"QEMU, no place for hashes", "EPYC-Milan", "", SNP_VMM_QEMU, 2, 1, false, false, false,
         "07f354372d4e6318cf4b073c67ff39611cd521c62856a745037143b5faf0414de4a765a1ef9ab1599843f6c8c"
         "645eaa9"},
        {"QEMU, kernel", "EPYC-Genoa", "", SNP_VMM_QEMU, 1, 1, true, true, false,
         "78a6ba2e935b47fed70c1c848bb0ea8488ddac71fb27a4a788ab4ef3ef5da06c14a21d2c1d357b7e910e7897b"
         "b97ddad"},
        {"QEMU, kernel and initrd", "EPYC-Genoa", "", SNP_VMM_QEMU, 1, 1, true, true, true,
         "62453925d9bf99f1076b58c9ade5bba5182c24230bf225cc772b7a133b55427d11917e873256e9a89886da026"
         "b355dba"},
        {"QEMU, command line", "EPYC-Milan", "console=ttyS0 quiet", SNP_VMM_QEMU, 2, 1, true, true,
         true,
         "685b1fe53ea6011d75fe826510ed53b8b884ee145a3036b0f82ae807bb655c9ba490295d103306c6b32b2a24c"
         "551c6a4"},
        {"QEMU, three processors, features", "EPYC-Genoa", "", SNP_VMM_QEMU, 3, 0x21, true, true,
         true,
         "9248a0ec5c770471f8ae31ce5d9f357c1ab16d7c67b21e9a33d0f831e7cf92bd6ba6920ffd99680acc62fe661"
         "48c0e53"},
        {"EC2, one", "EPYC-Genoa", "", SNP_VMM_EC2, 1, 1, true, false, false,
         "01393885ce491120c2958bd8ab0f4aa2876871a520a72961110b6d863169d7b8dcf710c1a65970dcc6623c6b3"
         "90b2b80"},
        {"EC2, three", "EPYC-Genoa", "", SNP_VMM_EC2, 3, 0x21, true, false, false,
         "ba15a30fcb19b5c704c3cbda1859e44cf4c289b965bde09b8aed79740d565280d2b5ccb5f5d99f9b1a8676485"
         "d3d7b03"},
        {"GCE, one", "EPYC-Genoa", "", SNP_VMM_GCE, 1, 1, true, false, false,
         "8ea016b5c51aac7f81893e91147f5f824441491c6cf6d83508eba7a8f5a50c24b0c0a052d00e8edd14ec99544"
         "7097420"},
        {"GCE, three", "EPYC-Genoa", "", SNP_VMM_GCE, 3, 0x21, true, true, true,
         "807a2d94249c9bf14646a2595f7023c1103a71a54d6b360d242a2e2afd8ca1d3e4434c70159e8be32444d476b"
         "dc5d724"},
    };
    CLEANUP(buf_done) struct buf kernel, initrd, code;
    buf_init(&kernel, IMAGE_MAX);
    buf_init(&initrd, IMAGE_MAX);
    buf_init(&code, IMAGE_MAX);
    image_pattern(&code, 1000, 5);
    const struct image_section text = {".text", buf_str(&code)};
    image_pe(&kernel, &text, 1, STR("what follows"));
    image_pattern(&initrd, 3001, 4);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf firmware;
        buf_init(&firmware, IMAGE_MAX);
        image_ovmf(&firmware, 3, rows[i].hashes);
        struct snp_launch l = {
            .firmware = buf_str(&firmware),
            .kernel = rows[i].kernel ? buf_str(&kernel) : (struct str){NULL, 0},
            .initrd = rows[i].initrd ? buf_str(&initrd) : STR_EMPTY,
            .cmdline = str_of(rows[i].cmdline),
            .vcpus = rows[i].vcpus,
            .features = rows[i].features,
            .vmm = rows[i].vmm,
        };
        struct digest d;
        struct error err = ERROR_INIT;
        CHECK_ROW(cpu_signature_by_name(str_of(rows[i].cpu), &l.cpu_signature) == OK, rows[i].name);
        if (CHECK_STATUS_ROW(snp_launch_digest(&l, &d, &err), OK, &err, rows[i].name))
            CHECK_HEX_ROW(digest_str(&d), rows[i].want, rows[i].name);
    }
}

static void test_signatures(void)
{
    static const struct {
        uint32_t family, model, stepping, want;
    } rows[] = {
        {23, 1, 2, 0x00800f12}, /* Naples */
        {25, 1, 1, 0x00a00f11}, /* Milan */
        {25, 17, 0, 0x00a10f10}, {15, 255, 15, 0x000f0fff}, {6, 0x3c, 3, 0x000306c3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK(cpu_signature(rows[i].family, rows[i].model, rows[i].stepping) == rows[i].want);
    uint32_t n;
    CHECK(cpu_signature_by_name(STR("EPYC-Milan-v2"), &n) == OK && n == 0x00a00f11);
    CHECK(cpu_signature_by_name(STR("epyc-milan"), &n) == ERR_NOT_FOUND);
    CHECK(cpu_name_at(0) != NULL && cpu_name_at(1000) == NULL);
}

static uint8_t *from_end(struct buf *b, size_t n)
{
    return (uint8_t *)b->ptr + b->len - n;
}

static void store32(struct buf *b, size_t end, uint32_t v)
{
    store_le32(from_end(b, end), v);
}

/* What an image may lie about.  Offsets from the end: the table's footer is at 50. */
static void cut_all(struct buf *b)
{
    b->len = 0;
}
static void cut_to_footer(struct buf *b)
{
    memmove(b->ptr, from_end(b, 49), 49), b->len = 49;
}
static void other_guid(struct buf *b)
{
    *from_end(b, 40) ^= 1;
}
static void table_small(struct buf *b)
{
    store_le16(from_end(b, 50), 17);
}
static void table_large(struct buf *b)
{
    store_le16(from_end(b, 50), 65535);
}
static void entry_small(struct buf *b)
{
    store_le16(from_end(b, 68), 17);
}
static void entry_large(struct buf *b)
{
    store_le16(from_end(b, 68), 500);
}
static void no_list(struct buf *b)
{
    *from_end(b, 50 + 22 + 26 + 1) ^= 1;
}
static void list_outside(struct buf *b)
{
    store32(b, 50 + 22 + 26 + 22, 0x10000);
}
static void list_at_end(struct buf *b)
{
    store32(b, 50 + 22 + 26 + 22, 15);
}
static void list_signature(struct buf *b)
{
    *from_end(b, IMAGE_SEV_LIST) = 'B';
}
static void list_version(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 8, 2);
}
static void list_count(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 12, 65);
}
static void list_near_end(struct buf *b)
{
    memmove(from_end(b, 20), from_end(b, IMAGE_SEV_LIST), 16);
    store32(b, 50 + 22 + 26 + 22, 20);
}
static void section_kind(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 16 - 8, 5);
}
static void section_unaligned(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 16 - 4, 0x9001);
}
static void section_huge(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 16 - 4, 0xfffff000);
}
static void sections_many(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 16 - 4, 65536u / 2 * 4096);
    store32(b, IMAGE_SEV_LIST - 16 - 12 - 4, 65536u / 2 * 4096);
}
static void no_start(struct buf *b)
{
    store32(b, 50 + 22, 0);
}
static void hashes_elsewhere(struct buf *b)
{
    store32(b, 50 + 22 + 26, 0x820c00);
}
static void hashes_at_end(struct buf *b)
{
    store32(b, 50 + 22 + 26, 0x810f51);
}
static void hashes_long(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 16 - 60 - 4, 0x2000);
}
static void hashes_gone(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 12, IMAGE_SEV_SECTIONS - 1);
}
static void hashes_twice(struct buf *b)
{
    store32(b, IMAGE_SEV_LIST - 16 - 8, 0x10);
}
static void unaligned(struct buf *b)
{
    memmove(b->ptr, b->ptr + 1, --b->len);
}
static void nothing(struct buf *b)
{
    (void)b;
}

static void test_broken(void)
{
    static const struct {
        const char *name;
        void (*change)(struct buf *b);
        enum status want;
        const char *text;
    } rows[] = {
        {"no file", cut_all, ERR_NOT_FOUND, "no table of GUIDs"},
        {"shorter than a footer", cut_to_footer, ERR_NOT_FOUND, "no table of GUIDs"},
        {"another footer", other_guid, ERR_NOT_FOUND, "no table of GUIDs"},
        {"table shorter than its footer", table_small, ERR_INVALID, "has 17 bytes"},
        {"table longer than the file", table_large, ERR_INVALID, "has 65535 bytes"},
        {"entry shorter than its head", entry_small, ERR_INVALID, "has 17 bytes"},
        {"entry longer than the table", entry_large, ERR_INVALID, "has 500 bytes"},
        {"no list of AMD's", no_list, ERR_NOT_FOUND, "has no dc886566"},
        {"list before the file", list_outside, ERR_INVALID, "lies outside"},
        {"list behind the file", list_at_end, ERR_INVALID, "lies outside"},
        {"another signature", list_signature, ERR_INVALID, "signature or version"},
        {"another version", list_version, ERR_INVALID, "signature or version"},
        {"one section too many", list_count, ERR_LIMIT, "65 sections"},
        {"sections behind the file", list_near_end, ERR_INVALID, "ends outside"},
        {"unknown kind", section_kind, ERR_UNSUPPORTED, "unknown kind 0x5"},
        {"part of a page", section_unaligned, ERR_INVALID, "page's end"},
        {"4 GiB of zeros", section_huge, ERR_LIMIT, "more than 65536 pages"},
        {"one page too many", sections_many, ERR_LIMIT, "more than 65536 pages"},
        {"no start of a second processor", no_start, ERR_INVALID, "second processor"},
        {"hashes in another page", hashes_elsewhere, ERR_INVALID, "not in the section"},
        {"hashes beyond the page", hashes_at_end, ERR_INVALID, "not in the section"},
        {"hashes in two pages", hashes_long, ERR_INVALID, "not in the section"},
        {"kernel, no place for its hashes", hashes_gone, ERR_INVALID, "would not measure it"},
        {"kernel, two places", hashes_twice, ERR_INVALID, "would not measure it"},
        {"no whole pages", unaligned, ERR_INVALID, "multiple of 4096"},
        {"unchanged", nothing, OK, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf firmware;
        buf_init(&firmware, IMAGE_MAX);
        image_ovmf(&firmware, 3, true);
        rows[i].change(&firmware);
        const struct snp_launch l = {
            .firmware = buf_str(&firmware), .kernel = STR("kernel"), .vcpus = 2, .features = 1};
        struct digest d = {.len = 7};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(snp_launch_digest(&l, &d, &err), rows[i].want, &err, rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL, rows[i].name);
        CHECK_ROW(rows[i].want == OK ? d.len == 48 : d.len == 7, rows[i].name);
    }
}

static void test_limits(void)
{
    static const struct {
        const char *name;
        uint32_t vcpus;
        enum status want;
    } rows[] = {
        {"none", 0, ERR_INVALID},
        {"as many as possible", SNP_VCPUS_MAX, OK},
        {"one more", SNP_VCPUS_MAX + 1, ERR_INVALID},
    };
    CLEANUP(buf_done) struct buf firmware;
    buf_init(&firmware, IMAGE_MAX);
    image_ovmf(&firmware, 3, true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct snp_launch l = {.firmware = buf_str(&firmware), .vcpus = rows[i].vcpus};
        struct digest d;
        CHECK_ROW(snp_launch_digest(&l, &d, NULL) == rows[i].want, rows[i].name);
    }
    /* A firmware past the limit is refused before it is read. */
    const struct snp_launch l = {.firmware = {firmware.ptr, OVMF_LEN_MAX + 1}, .vcpus = 1};
    struct digest d;
    CHECK(snp_launch_digest(&l, &d, NULL) == ERR_LIMIT);
}

/* One processor starts at the reset vector and needs no second start. */
static void test_one_processor(void)
{
    CLEANUP(buf_done) struct buf firmware;
    buf_init(&firmware, IMAGE_MAX);
    image_ovmf(&firmware, 3, true);
    no_start(&firmware);
    struct snp_launch l = {.firmware = buf_str(&firmware), .vcpus = 1};
    struct digest d;
    CHECK(snp_launch_digest(&l, &d, NULL) == OK);
    l.vcpus = 2;
    CHECK(snp_launch_digest(&l, &d, NULL) == ERR_INVALID);
}

int main(void)
{
    test_recorded();
    test_signatures();
    test_broken();
    test_limits();
    test_one_processor();
    return tap_done();
}
