/* TDX: MRTD of firmware, RTMRs of a direct boot, and what is refused. */
#include "image.h"
#include "measure/register.h"
#include "measure/tdx.h"
#include "tap.h"

/*
 * Recorded from another implementation (tools/measure-peers); with the same code, the firmware of
 * Ubuntu's ovmf 2025.02-3ubuntu2 gives what virtee/tdx-measure recorded on a real machine,
 * 7357a10d...1114.
 */
static void test_mrtd(void)
{
    static const struct {
        const char *name;
        enum tdx_order order;
        const char *want;
    } rows[] = {
        {"page by page", TDX_ORDER_PAGE,
         "4e57f607436f4c8eb4aecca4d90571a49b35e9291a203a7981730319f401d96ccda422c9b997d5cd0cebe0fbf"
         "5e443f0"},
        {"section by section", TDX_ORDER_SECTION,
         "2cf94590c0ea671d616278b171d525136500743924f41db8e9e3d2330c725a03dcc64201ca744675673d45d22"
         "cb04c2c"},
    };
    CLEANUP(buf_done) struct buf firmware;
    buf_init(&firmware, IMAGE_MAX);
    image_ovmf(&firmware, 3, true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct digest d = {.len = 0};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(tdx_mrtd(buf_str(&firmware), rows[i].order, &d, &err), OK, &err,
                         rows[i].name);
        CHECK_HEX_ROW(digest_str(&d), rows[i].want, rows[i].name);
    }
}

/* Fields of the first section, from the end of the file. */
#define SECTION (IMAGE_TDX_LIST - 16)

static void store(struct buf *b, size_t end, uint64_t v, size_t len)
{
    uint8_t *at = (uint8_t *)b->ptr + b->len - end;
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

static void data_outside(struct buf *b)
{
    store(b, SECTION, 0x1001, 4);
}
static void data_far(struct buf *b)
{
    store(b, SECTION, 0xffffffff, 4);
}
static void data_long(struct buf *b)
{
    store(b, SECTION - 4, 0x3001, 4);
}
static void address_unaligned(struct buf *b)
{
    store(b, SECTION - 8, 0xffffe001, 8);
}
static void address_wraps(struct buf *b)
{
    store(b, SECTION - 8, 0xfffffffffffff000, 8);
}
static void less_memory(struct buf *b)
{
    store(b, SECTION - 16, 0x1000, 8);
}
static void more_memory(struct buf *b)
{
    store(b, SECTION - 16, 0x3000, 8);
}
static void part_of_a_page(struct buf *b)
{
    store(b, SECTION - 32 - 16, 0x1001, 8);
}
static void endless(struct buf *b)
{
    store(b, SECTION - 64 - 16, 1ull << 40, 8);
}
static void limit(struct buf *b)
{
    store(b, SECTION - 64 - 16, (65536ull - 2 - 1 - 2 - 16) << 12, 8);
}
static void past_limit(struct buf *b)
{
    store(b, SECTION - 64 - 16, (65536ull - 2 - 1 - 2 - 15) << 12, 8);
}
static void signature(struct buf *b)
{
    store(b, IMAGE_TDX_LIST, 0, 1);
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
        {"data one byte outside", data_outside, ERR_INVALID, "lies outside"},
        {"data far outside", data_far, ERR_INVALID, "lies outside"},
        {"data longer than the file", data_long, ERR_INVALID, "lies outside"},
        {"address in a page", address_unaligned, ERR_INVALID, "impossible address"},
        {"address wraps around", address_wraps, ERR_INVALID, "impossible address"},
        {"less memory than data", less_memory, ERR_INVALID, "impossible address"},
        {"measured beyond its data", more_memory, ERR_INVALID, "not all of it"},
        {"part of a page", part_of_a_page, ERR_INVALID, "page's end"},
        {"a terabyte", endless, ERR_LIMIT, "more than 65536 pages"},
        {"as many pages as possible", limit, OK, ""},
        {"one page more", past_limit, ERR_LIMIT, "more than 65536 pages"},
        {"another signature", signature, ERR_INVALID, "signature or version"},
        {"unchanged", nothing, OK, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf firmware;
        buf_init(&firmware, IMAGE_MAX);
        image_ovmf(&firmware, 3, true);
        rows[i].change(&firmware);
        struct digest d = {.len = 7};
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(tdx_mrtd(buf_str(&firmware), TDX_ORDER_PAGE, &d, &err), rows[i].want, &err,
                         rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL, rows[i].name);
        CHECK_ROW(d.len == (rows[i].want == OK ? 48 : 7), rows[i].name);
    }
}

/* Every byte that is measured counts, and each attribute. */
static void test_all_counts(void)
{
    CLEANUP(buf_done) struct buf firmware;
    buf_init(&firmware, IMAGE_MAX);
    image_ovmf(&firmware, 3, true);
    struct digest plain, d;
    CHECK(tdx_mrtd(buf_str(&firmware), TDX_ORDER_PAGE, &plain, NULL) == OK);
    size_t same = 0;
    for (size_t at = 0x1000; at < 0x1000 + 256; at++) {
        firmware.ptr[at] ^= 1;
        same += tdx_mrtd(buf_str(&firmware), TDX_ORDER_PAGE, &d, NULL) != OK ||
                str_equal(digest_str(&d), digest_str(&plain));
        firmware.ptr[at] ^= 1;
    }
    CHECK(same == 0);
    firmware.ptr[0] ^= 1; /* of variables, which are added but not measured */
    CHECK(tdx_mrtd(buf_str(&firmware), TDX_ORDER_PAGE, &d, NULL) == OK &&
          str_equal(digest_str(&d), digest_str(&plain)));
}

static void test_boot(void)
{
    CLEANUP(buf_done) struct buf kernel, code;
    buf_init(&kernel, IMAGE_MAX);
    buf_init(&code, IMAGE_MAX);
    image_pattern(&code, 1000, 5);
    const struct image_section text = {".text", buf_str(&code)};
    image_pe(&kernel, &text, 1, STR("what follows"));
    struct tdx_boot b;
    struct error err = ERROR_INIT;
    CHECK_STATUS(tdx_boot_measure(buf_str(&kernel), STR("initrd"), STR("quiet"), &b, &err), OK,
                 &err);
    CHECK(b.options == 2 && !b.no_options);
    struct digest want, initrd;
    digest_compute(DIGEST_SHA384,
                   STR("q\0u\0i\0e\0t\0 \0i\0n\0i\0t\0r\0d\0=\0i\0n\0i\0t\0r\0d\0\0\0"), &want);
    CHECK_STR(digest_str(&b.load_options[0]), digest_str(&want));
    digest_compute(DIGEST_SHA384,
                   STR("i\0n\0i\0t\0r\0d\0=\0i\0n\0i\0t\0r\0d\0 \0q\0u\0i\0e\0t\0\0\0"), &want);
    CHECK_STR(digest_str(&b.load_options[1]), digest_str(&want));
    digest_compute(DIGEST_SHA384, STR("initrd"), &initrd);
    struct digest rtmr2;
    tdx_boot_rtmr2(&want, &initrd, &rtmr2);
    CHECK_STR(digest_str(&b.rtmr2[1]), digest_str(&rtmr2));
    CHECK(!str_equal(digest_str(&b.rtmr1[0]), digest_str(&b.rtmr1[1])));

    const struct str none = {NULL, 0};
    CHECK(tdx_boot_measure(buf_str(&kernel), none, STR("quiet"), &b, &err) == OK && b.options == 1);
    CHECK(tdx_boot_measure(buf_str(&kernel), none, STR_EMPTY, &b, &err) == OK && b.no_options);
    register_init(&want, DIGEST_SHA384);
    CHECK_STR(digest_str(&b.rtmr2[0]), digest_str(&want)); /* nothing was measured */

    CHECK(tdx_boot_measure(buf_str(&kernel), none, STR("qu\xc3\xa4t"), &b, &err) ==
          ERR_UNSUPPORTED);
    CHECK(tdx_boot_measure(buf_str(&kernel), none, STR("a\0b"), &b, &err) == ERR_UNSUPPORTED);
    CHECK(tdx_boot_measure(STR("MZ"), none, STR("a"), &b, &err) == ERR_INVALID);
    CLEANUP(buf_done) struct buf line;
    buf_init(&line, 100000);
    while (line.len < 65536)
        buf_add_byte(&line, 'a');
    CHECK(tdx_boot_measure(buf_str(&kernel), STR("i"), buf_str(&line), &b, &err) == OK);
    buf_add_byte(&line, 'a');
    CHECK(tdx_boot_measure(buf_str(&kernel), STR("i"), buf_str(&line), &b, &err) == ERR_LIMIT);
}

static void test_log(void)
{
    struct event e = {.index = 1, .type = 4};
    const struct eventlog log = {&e, 1};
    struct digest rtmrs[TDX_RTMRS], d;
    struct error err = ERROR_INIT;
    CHECK(tdx_rtmrs(&log, rtmrs, &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.text, "event 1 ") != NULL);
    e.index = 5; /* of no register of a TD */
    CHECK(tdx_rtmrs(&log, rtmrs, &err) == OK);
    e.index = 2;
    digest_compute(DIGEST_SHA384, STR("x"), &d);
    e.digests[e.digest_count++] = (struct event_digest){EVENT_ALG_SHA384, digest_str(&d)};
    CHECK(tdx_rtmrs(&log, rtmrs, &err) == OK);
    struct digest want;
    register_init(&want, DIGEST_SHA384);
    CHECK_STR(digest_str(&rtmrs[0]), digest_str(&want));
    register_measure(&want, DIGEST_SHA384, STR("x"));
    CHECK_STR(digest_str(&rtmrs[1]), digest_str(&want));
}

static void test_no_memory(void)
{
    CLEANUP(buf_done) struct buf firmware;
    buf_init(&firmware, IMAGE_MAX);
    image_ovmf(&firmware, 3, true);
    for (long n = 1;; n++) {
        struct digest d = {.len = 7};
        tap_fail_malloc_after(tap_malloc_can_fail() ? n : 0);
        enum status st = tdx_mrtd(buf_str(&firmware), TDX_ORDER_PAGE, &d, NULL);
        tap_fail_malloc_after(0);
        if (st == OK)
            break;
        CHECK(st == ERR_NOMEM && d.len == 7);
    }
}

int main(void)
{
    test_mrtd();
    test_broken();
    test_all_counts();
    test_boot();
    test_log();
    test_no_memory();
    return tap_done();
}
