#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/report.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "tap.h"

static void test_str(void)
{
    CHECK_STR(str_trim(STR(" \t a b\r\n")), STR("a b"));
    CHECK_STR(str_trim(STR("  ")), STR(""));
    CHECK(str_find(STR("a.b"), '.', 0) == 1);
    CHECK(str_find(STR("ab"), '.', 0) == 2);
    CHECK(str_find(STR("ab"), 'a', 9) == 2);
    CHECK(str_compare(STR("ab"), STR("abc")) < 0);
    CHECK(str_compare(STR("b"), STR("abc")) > 0);
    CHECK(str_compare(STR(""), STR("")) == 0);
    CHECK_STR(str_slice(STR("abc"), 1, 9), STR("bc"));
    CHECK_STR(str_from(STR("abc"), 9), STR(""));
}

static void test_utf8(void)
{
    const struct {
        const char *name;
        struct str text;
        bool valid;
        size_t count;
    } rows[] = {
        {"empty", STR(""), true, 0},
        {"ascii", STR("abcdefghij"), true, 10},
        {"two, three and four bytes", STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), true, 3},
        {"over-long slash", STR("\xc0\xaf"), false, 2},
        {"over-long three", STR("\xe0\x80\xaf"), false, 3},
        {"surrogate", STR("\xed\xa0\x80"), false, 3},
        {"above U+10FFFF", STR("\xf4\x90\x80\x80"), false, 4},
        {"largest", STR("\xf4\x8f\xbf\xbf"), true, 1},
        {"cut", STR("\xe2\x82"), false, 2},
        {"lone continuation", STR("a\x80"), false, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_ROW(utf8_is_valid(rows[i].text) == rows[i].valid, rows[i].name);
        CHECK_ROW(utf8_count(rows[i].text) == rows[i].count, rows[i].name);
    }
    for (uint32_t r = 0; r < 0x110000; r += 61) {
        char out[4];
        uint32_t back = 0;
        size_t n = utf8_encode(r, out);
        bool surrogate = r >= 0xd800 && r <= 0xdfff;
        if (surrogate ? n != 0 : utf8_decode(str_bytes(out, n), &back) != n || back != r) {
            CHECK_ROW(false, "round trip");
            return;
        }
    }
    CHECK_ROW(true, "round trip");
}

static void test_error(void)
{
    struct error err = ERROR_INIT;
    error_set_at(&err, 3, 4, "unexpected \"%s\"", QUOTED(STR("a\"b\n\xff")));
    CHECK_STR(str_of(err.text), STR("unexpected \"a\\x22b\\x0a\\xff\""));
    CHECK(err.line == 3 && err.col == 4);
    error_prefix(&err, "in %s: ", "x.rego");
    CHECK_STR(str_of(err.text), STR("in x.rego: unexpected \"a\\x22b\\x0a\\xff\""));
    CHECK(err.line == 3);
    error_place(&err);
    CHECK_STR(str_of(err.text),
              STR("line 3, column 4: in x.rego: unexpected \"a\\x22b\\x0a\\xff\""));
    error_set(&err, "nowhere");
    error_place(&err);
    CHECK_STR(str_of(err.text), STR("nowhere"));
    error_place(NULL);
    error_set(NULL, "nobody asks");

    /* What would act on the terminal of whoever reads it: here C1's CSI, NEL, a bidi override. */
    CHECK_STR(str_of(QUOTED(STR("\xc2\x9b"
                                "1m\xc2\x85\xe2\x80\xae\xc3\xa9\xc2\xa0"))),
              STR("\\xc2\\x9b1m\\xc2\\x85\\xe2\\x80\\xae\xc3\xa9\xc2\xa0"));
    char worst[QUOTE_MAX * 2 + 1];
    for (size_t i = 0; i < QUOTE_MAX; i++)
        memcpy(worst + 2 * i, "\xc2\x9b", 3);
    CHECK(strlen(QUOTED(str_of(worst))) == QUOTE_MAX * 4 + 3);
    /* A character across the limit is not begun: escaped, it would not fit any more. */
    memset(worst, '\xff', QUOTE_MAX - 1);
    memcpy(worst + QUOTE_MAX - 1, "\xf3\xa0\x80\x81", 5); /* U+E0001 */
    CHECK(strlen(QUOTED(str_of(worst))) == (QUOTE_MAX - 1) * 4 + 3);

    char longer[ERROR_TEXT_MAX * 2];
    memset(longer, 'a', sizeof(longer));
    memcpy(longer + ERROR_TEXT_MAX - 2, "\xe2\x82\xac", 3); /* a character across the cut */
    error_set(&err, "%.*s", (int)sizeof(longer), longer);
    CHECK(utf8_is_valid(str_of(err.text)) && strlen(err.text) == ERROR_TEXT_MAX - 2);
}

static void test_buf(void)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 100);
    buf_add(&b, STR("abc"));
    buf_add_byte(&b, '-');
    buf_add_format(&b, "%d", 42);
    CHECK_STR(buf_str(&b), STR("abc-42"));
    for (int i = 0; i < 94; i++)
        buf_add_byte(&b, 'x');
    CHECK(buf_status(&b) == OK && b.len == 100);
    buf_add_byte(&b, 'x');
    CHECK(buf_status(&b) == ERR_LIMIT && b.len == 100);
    CLEANUP(buf_done) struct buf small; /* smaller than the first allocation */
    buf_init(&small, 3);
    for (int i = 0; i < 4; i++)
        buf_add_byte(&small, 'x');
    CHECK(buf_status(&small) == ERR_LIMIT && small.len == 3);
    buf_reset(&b);
    buf_add(&b, STR("again"));
    CHECK_STR(buf_str(&b), STR("again"));
}

static void test_arena(void)
{
    struct arena fresh;
    arena_init(&fresh, 4096);
    CHECK(arena_alloc(&fresh, 0) != NULL);
    CHECK(arena_zalloc(&fresh, 0, 8) != NULL);
    CHECK(arena_status(&fresh) == OK);
    arena_fail(&fresh, ERR_LIMIT);
    CHECK(arena_alloc(&fresh, 0) == NULL);
    arena_done(&fresh);

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024);
    char *first = arena_alloc(&a, 10);
    CHECK(first != NULL && ((uintptr_t)first & (ARENA_ALIGN - 1)) == 0);
    CHECK_STR(arena_format(&a, "%s-%d", "x", 7), STR("x-7"));
    const struct str parts[] = {STR("a"), STR(""), STR("bc")};
    CHECK_STR(arena_join(&a, parts, 3), STR("abc"));
    CHECK_STR(arena_join(&a, parts, 0), STR(""));

    struct arena_mark mark = arena_mark(&a);
    for (int i = 0; i < 100; i++)
        CHECK_ROW(i % 25 != 0 || arena_alloc(&a, 300) != NULL, "fill");
    arena_rollback(&a, mark);
    char *again = arena_alloc(&a, 16);
    arena_rollback(&a, mark);
    CHECK(arena_alloc(&a, 16) == again);

    char *newest = arena_alloc(&a, 20);
    CHECK(arena_resize(&a, newest, 20, 100) && (char *)arena_alloc(&a, 1) == newest + 112);
    CHECK(!arena_resize(&a, newest, 100, 20)); /* no longer the newest */
    newest = arena_alloc(&a, 100);
    CHECK(arena_resize(&a, newest, 100, 1) && (char *)arena_alloc(&a, 1) == newest + 16);
    CHECK(!arena_resize(&a, newest + 16, 1, SIZE_MAX));
    CHECK(!arena_resize(&a, newest + 16, 1, 1024 * 1024));

    CHECK(arena_alloc(&a, 128 * 1024) == NULL);
    CHECK(arena_status(&a) == ERR_LIMIT);
    CHECK(arena_alloc(&a, 1) == NULL);
    arena_reset(&a);
    CHECK(arena_status(&a) == OK && arena_alloc(&a, 1) != NULL);
    CHECK(arena_zalloc(&a, SIZE_MAX / 2, 3) == NULL && arena_status(&a) == ERR_LIMIT);
    CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
    arena_reset(&a);
    arena_fail(&a, ERR_INVALID);
    CHECK(arena_alloc(&a, 1) == NULL && arena_status(&a) == ERR_INVALID);
}

/* A secret arena holds nothing of the last round, whichever way it was given back. */
static void test_arena_wipes(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init_secret(&a, 1 << 20);
    char *first = arena_alloc(&a, 64);
    memset(first, 's', 64);
    struct arena_mark mark = arena_mark(&a);
    char *second = arena_alloc(&a, 64);
    memset(second, 's', 64);
    arena_rollback(&a, mark);
    bool clean = true;
    for (int i = 0; i < 64; i++)
        clean &= second[i] == 0 && first[i] == 's';
    CHECK(clean);
    arena_reset(&a);
    for (int i = 0; i < 64; i++)
        clean &= first[i] == 0;
    CHECK(clean);
    first = arena_alloc(&a, 64);
    memset(first, 's', 64);
    CHECK(arena_alloc(&a, 100000) != NULL);
    arena_reset(&a);
    for (int i = 0; i < 64; i++)
        clean &= first[i] == 0;
    CHECK(clean);

    /* Text that found no room has begun where it would have lain. */
    char text[ARENA_CHUNK_MIN];
    memset(text, 's', sizeof(text));
    CLEANUP(arena_done) struct arena small;
    arena_init_secret(&small, ARENA_CHUNK_MIN);
    first = arena_alloc(&small, 64);
    CHECK(arena_format(&small, "%.*s", (int)sizeof(text), text).ptr == NULL);
    arena_reset(&small);
    for (size_t i = 0; i < 2048; i++)
        clean &= first[i] != 's';
    CHECK(clean);

    CLEANUP(buf_done) struct buf b;
    buf_init_secret(&b, 64);
    buf_add_cstr(&b, "x");
    buf_add_format(&b, "%.*s", (int)sizeof(text), text);
    CHECK(buf_status(&b) == ERR_LIMIT);
    buf_reset(&b);
    for (size_t i = 0; i < 64; i++)
        clean &= b.ptr[i] != 's';
    CHECK(clean);
}

static void test_hash(void)
{
    /* SipHash-1-3 has no official vectors; what matters is that key, tweak and content count. */
    uint64_t h = hash_bytes("abc", 3, 0);
    CHECK(h == hash_bytes("abc", 3, 0));
    CHECK(h != hash_bytes("abd", 3, 0) && h != hash_bytes("abc", 3, 1));
    CHECK(hash_bytes("abc\0", 4, 0) != h);
    char text[300] = {0}; /* 128 bytes and more are hashed in halves */
    unsigned counts = 0;
    for (size_t len = 1; len < sizeof(text); len++) {
        uint64_t zeros = hash_bytes(text, len, 0);
        for (size_t i = 0; i < len; i++) {
            text[i] = 1;
            counts += hash_bytes(text, len, 0) != zeros;
            text[i] = 0;
        }
        counts += hash_bytes(text, len - 1, 0) != zeros;
    }
    CHECK(counts == 299 * 300 / 2 + 299);
    hash_set_key(1, 2);
    uint64_t h1 = hash_bytes("abc", 3, 0);
    hash_set_key(3, 4);
    CHECK(h1 != hash_bytes("abc", 3, 0));
}

static void test_clock(void)
{
    char text[40];
    time_write_rfc3339(1787277331, text);
    CHECK_STR(str_of(text), STR("2026-08-21T01:55:31Z"));
    time_write_http(1787277331, text);
    CHECK_STR(str_of(text), STR("Fri, 21 Aug 2026 01:55:31 GMT"));
    time_write_rfc3339_us(1787277331123456789, text);
    CHECK_STR(str_of(text), STR("2026-08-21T01:55:31.123456Z"));
    time_write_rfc3339(-1, text);
    CHECK_STR(str_of(text), STR("1969-12-31T23:59:59Z"));
    time_write_rfc3339(INT64_MAX, text);
    CHECK_STR(str_of(text), STR("9999-12-31T23:59:59Z"));

    const struct {
        struct str text;
        enum status want;
        int64_t ns;
    } rows[] = {
        {STR("1970-01-01T00:00:00Z"), OK, 0},
        {STR("2026-08-21T01:55:31.123456789Z"), OK, 1787277331123456789},
        {STR("2026-08-21T03:55:31+02:00"), OK, 1787277331000000000},
        {STR("2024-02-29T00:00:00Z"), OK, 1709164800000000000},
        {STR("2023-02-29T00:00:00Z"), ERR_INVALID, 0},
        {STR("2026-08-21T01:55:31"), ERR_INVALID, 0},
        {STR("2026-08-21 01:55:31Z"), ERR_INVALID, 0},
        {STR("2026-08-21T01:55:31.Z"), ERR_INVALID, 0},
        {STR("2026-08-21T01:55:31Zx"), ERR_INVALID, 0},
        {STR("2026-13-01T00:00:00Z"), ERR_INVALID, 0},
        {STR("2026-08-21T24:00:00Z"), ERR_INVALID, 0},
        {STR("9999-12-31T23:59:59Z"), ERR_INVALID, 0},
        {STR(""), ERR_INVALID, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ns = 0;
        CHECK_ROW(time_parse_rfc3339(rows[i].text, &ns, NULL) == rows[i].want && ns == rows[i].ns,
                  rows[i].text.ptr);
    }
    for (int64_t s = -62167219200; s <= 253402300799; s += 86399 * 1013) {
        struct utc t = utc_from_s(s);
        if (utc_to_s(&t) != s) {
            CHECK_ROW(false, "civil round trip");
            return;
        }
    }
    CHECK_ROW(true, "civil round trip");
}

static void test_encode(void)
{
    const struct {
        const char *name;
        struct str text;
        enum base64_form form;
        enum status want;
        struct str bytes;
    } rows[] = {
        {"RFC 4648, 10", STR("Zm9vYmFy"), BASE64_STD, OK, STR("foobar")},
        {"one byte", STR("Zg=="), BASE64_STD, OK, STR("f")},
        {"two bytes", STR("Zm8="), BASE64_STD, OK, STR("fo")},
        {"bad digit in the first four", STR("Z!9vYmFy"), BASE64_STD, ERR_INVALID, STR("")},
        {"bad digit at the end", STR("Zm9vYmF!"), BASE64_STD, ERR_INVALID, STR("")},
        {"every digit", STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
         BASE64_STD, OK,
         STR("\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96\x9b"
             "\x71\xd7\x9f"
             "\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3\x5d\xb7\xe3\x9e\xbb"
             "\xf3\xdf\xbf")},
        {"padding missing", STR("Zg"), BASE64_STD, ERR_INVALID, STR("")},
        {"padding too short", STR("Zg="), BASE64_STD, ERR_INVALID, STR("")},
        {"padding too long", STR("Zm8=="), BASE64_STD_ANY, ERR_INVALID, STR("")},
        {"padding in url form", STR("Zg=="), BASE64_URL, ERR_INVALID, STR("")},
        {"url", STR("-_8"), BASE64_URL, OK, STR("\xfb\xff")},
        {"std digits in url", STR("+/8"), BASE64_URL, ERR_INVALID, STR("")},
        {"url digits in std", STR("-_8="), BASE64_STD, ERR_INVALID, STR("")},
        {"url, padded", STR("-_8="), BASE64_URL_PAD, OK, STR("\xfb\xff")},
        {"url, any", STR("-_8="), BASE64_URL_ANY, OK, STR("\xfb\xff")},
        {"stray bits", STR("Zh=="), BASE64_STD, ERR_INVALID, STR("")},
        {"white space", STR("Zm9v YmFy"), BASE64_STD, ERR_INVALID, STR("")},
        {"one digit", STR("Z"), BASE64_URL, ERR_INVALID, STR("")},
        {"only padding", STR("===="), BASE64_STD, ERR_INVALID, STR("")},
        {"padding inside", STR("Zg==Zg=="), BASE64_STD, ERR_INVALID, STR("")},
        {"empty", STR(""), BASE64_STD, OK, STR("")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 100);
        CHECK_ROW(base64_read(rows[i].text, rows[i].form, &b, NULL) == rows[i].want, rows[i].name);
        if (rows[i].want == OK) {
            CHECK_STR_ROW(buf_str(&b), rows[i].bytes, rows[i].name);
            buf_reset(&b);
            if (rows[i].form <= BASE64_URL_PAD) {
                base64_write(&b, rows[i].bytes, rows[i].form);
                CHECK_STR_ROW(buf_str(&b), rows[i].text, rows[i].name);
            }
        }
    }

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 10000);
    struct str bytes;
    CHECK_STR(hex_text(&a, STR("\x00\xab")), STR("00ab"));
    CHECK(hex_bytes(&a, STR("00AB"), &bytes, NULL) == OK);
    CHECK_STR(bytes, STR("\x00\xab"));
    CHECK(hex_bytes(&a, STR("00A"), &bytes, NULL) == ERR_INVALID);
    CHECK(hex_bytes(&a, STR("0g"), &bytes, NULL) == ERR_INVALID);

    char two[2];
    CHECK(hex_exact(STR("1aF0"), two, 2, NULL) && memcmp(two, "\x1a\xf0", 2) == 0);
    CHECK(!hex_exact(STR("1aF"), two, 2, NULL) && !hex_exact(STR("1aF0"), two, 1, NULL));
    CHECK(!hex_exact(STR("1aF00"), two, 2, NULL) && !hex_exact(STR("1ax0"), two, 2, NULL));
}

/* Each byte at each place of base64: eleven groups of four digits and a rest, and back. */
static void test_base64_digits(void)
{
    static const char alphabets[2][65] = {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
    bool right = true;
    for (size_t form = 0; form < 2; form++)
        for (size_t at = 0; at < 46; at++) /* the last one has bits that must be zero */
            for (unsigned c = 0; c < 256; c++) {
                CLEANUP(arena_done) struct arena a;
                arena_init(&a, 1000);
                char text[] = "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmE";
                text[at] = (char)c;
                struct str bytes = STR_EMPTY;
                enum status st =
                    base64_bytes(&a, (struct str){text, sizeof(text) - 1},
                                 form == 0 ? BASE64_STD_ANY : BASE64_URL, &bytes, NULL);
                const char *digit = c == 0 ? NULL : strchr(alphabets[form], (int)c);
                right &= (st == OK) == (digit != NULL);
                if (st != OK || digit == NULL)
                    continue;
                uint32_t group = 0; /* of 24 bits, around the digit */
                for (size_t i = 0; i < 3; i++) {
                    size_t byte = at / 4 * 3 + i;
                    group = group << 8 | (byte < bytes.len ? (unsigned char)bytes.ptr[byte] : 0);
                }
                right &= (group >> (18 - 6 * (at % 4)) & 63) == (uint32_t)(digit - alphabets[form]);
                struct str back = base64_text(&a, bytes, form == 0 ? BASE64_STD : BASE64_URL);
                right &= str_is(str_slice(back, 0, sizeof(text) - 1), text);
            }
    CHECK(right);
}

/* An upper-case letter is told of where the text is not what hex_text() makes of its bytes. */
static bool same_as_written(struct arena *a, struct str text)
{
    uint8_t bytes[17];
    bool upper = false;
    return hex_exact(text, bytes, text.len / 2, &upper) &&
           upper != str_equal(text, hex_text(a, str_bytes(bytes, text.len / 2)));
}

/* Blocks of sixteen digits and what is left: each byte at each place of texts of each length. */
static void test_hex_words(void)
{
    static const char digits[] = "9f8E7d6C5b4A3012fedcba98765432101f";
    bool refused = true, read = true, written = true, place = true, lower = true;
    for (size_t len = 0; len <= 34; len += 2)
        for (size_t at = 0; at < len; at++)
            for (unsigned c = 0; c < 256; c++) {
                CLEANUP(arena_done) struct arena a;
                arena_init(&a, 1000);
                char text[34], again[34];
                memcpy(text, digits, len);
                text[at] = (char)c;
                struct str bytes = STR_EMPTY;
                struct error err = ERROR_INIT;
                enum status st = hex_bytes(&a, (struct str){text, len}, &bytes, &err);
                if (!isxdigit((int)c)) {
                    char want[64];
                    snprintf(want, sizeof(want), "not a hexadecimal digit at offset %zu", at);
                    refused &= st == ERR_INVALID;
                    place &= strcmp(err.text, want) == 0;
                    continue;
                }
                read &= st == OK && bytes.len == len / 2;
                for (size_t i = 0; read && i < len; i++) {
                    unsigned n = (unsigned char)bytes.ptr[i / 2];
                    again[i] = "0123456789abcdef"[i % 2 == 0 ? n >> 4 : n & 15];
                    read &= again[i] == tolower((unsigned char)text[i]);
                }
                written &= str_equal(hex_text(&a, bytes), (struct str){again, len});
                struct str typed = {text, len};
                lower &= same_as_written(&a, typed);
                memcpy(text, again, len); /* so that only this byte decides */
                text[at] = (char)c;
                lower &= same_as_written(&a, typed);
            }
    CHECK(refused);
    CHECK(place);
    CHECK(read);
    CHECK(written);
    CHECK(lower);
}

static int fault_errno;
static const char *fault_call;

static int inject(const char *call)
{
    return strcmp(call, fault_call) == 0 ? fault_errno : 0;
}

/* The same answer and text as the real thing, and nothing made. */
static void test_can_make_dirs(void)
{
    char dir[200], file[220];
    snprintf(dir, sizeof(dir), "%s/can", tap_tmpdir());
    snprintf(file, sizeof(file), "%s/file", tap_tmpdir());
    CHECK(file_write(file, STR("x"), 0600, NULL) == OK);
    const struct {
        const char *name, *below;
        enum status want;
    } rows[] = {
        {"deep", "can/a/b/", OK},
        {"relative to what is there", ".", OK},
        {"a file", "file", ERR_IO},
        {"below a file", "file/a", ERR_IO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char path[300];
        snprintf(path, sizeof(path), "%s/%s", tap_tmpdir(), rows[i].below);
        struct error can = ERROR_INIT, made = ERROR_INIT;
        CHECK_STATUS_ROW(file_can_make_dirs(path, &can), rows[i].want, &can, rows[i].name);
        CHECK_ROW(access(dir, F_OK) != 0, rows[i].name);
        CHECK_STATUS_ROW(file_make_dirs(path, &made), rows[i].want, &made, rows[i].name);
        CHECK_STR_ROW(str_of(can.text), str_of(made.text), rows[i].name);
        char undo[320];
        snprintf(undo, sizeof(undo), "%s/a/b", dir);
        rmdir(undo);
        snprintf(undo, sizeof(undo), "%s/a", dir);
        rmdir(undo);
        rmdir(dir);
    }
    CHECK(file_can_make_dirs("a-name-without-a-folder", NULL) == OK);
    CHECK(file_can_make_dirs("", NULL) == ERR_IO);
    if (geteuid() != 0)
        CHECK(file_can_make_dirs("/proc/none", NULL) == ERR_IO);
}

static void test_cli(void)
{
    const struct {
        const char *name;
        int number;
    } table[] = {{"one", 1}, {"two", 2}, {"", 0}};
    CHECK(CLI_FIND(table, "one") == 0 && CLI_FIND(table, "two") == 1 && CLI_FIND(table, "") == 2);
    CHECK(CLI_FIND(table, "on") == ARRAY_LEN(table) && CLI_FIND(table, "ones") == 3);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 100);
    CHECK(cli_read("/nowhere", &b, NULL) == ERR_NOT_FOUND);
    char program[] = "program", option[] = "--hel";
    char *words[] = {program, option, NULL};
    CHECK(!cli_is_answered(1, words, "", "") && !cli_is_answered(2, words, "", ""));
}

static void test_report(void)
{
    CLEANUP(report_done) struct report r;
    report_init(&r);
    report_missing(&r, NULL);
    CHECK(r.notes.len == 0);
    report_missing(&r, "/a\n\"b");
    report_trouble(&r, "%d of %s", 2, "them");
    report_trouble(&r, "three");
    CHECK_STR(buf_str(&r.troubles), STR("Error: 2 of them\nError: three\n"));
    CHECK(r.notes.len > 0 && str_find(buf_str(&r.notes), '\n', 0) == r.notes.len - 1);
    size_t one = r.notes.len; /* four stores may be in one database */
    report_missing(&r, "/a\n\"b");
    CHECK(r.notes.len == one);
    report_missing(&r, "/a");
    report_missing(&r, "/a\n\"b");
    CHECK(r.notes.len > one && str_has_prefix(str_from(buf_str(&r.notes), one), STR("\"/a\" ")));
    CHECK(str_find(str_from(buf_str(&r.notes), one), '\n', 0) == r.notes.len - one - 1);
}

/* Written in place, replaced, gone: each is seen without reading. */
static void test_file_state(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/state", tap_tmpdir());
    struct file_state none, first, same, second;
    file_state_get(path, &none);
    CHECK(!none.exists && file_state_equal(&none, &none));
    CHECK(file_write(path, STR("1"), 0600, NULL) == OK);
    file_state_get(path, &first);
    file_state_get(path, &same);
    CHECK(first.exists && file_state_equal(&first, &same) && !file_state_equal(&first, &none));
    CHECK(file_write(path, STR("22"), 0600, NULL) == OK);
    file_state_get(path, &second);
    CHECK(second.exists && !file_state_equal(&first, &second));
}

static void test_file(void)
{
    const char *dir = tap_tmpdir();
    char path[256];
    snprintf(path, sizeof(path), "%s/a/b", dir);
    CHECK(file_make_dirs(path, NULL) == OK);
    CHECK(file_make_dirs(path, NULL) == OK);
    snprintf(path, sizeof(path), "%s/a/b/c", dir);

    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 5);
    CHECK(file_read(path, &b, NULL) == ERR_NOT_FOUND);
    CHECK(file_write(path, STR("12345"), 0600, NULL) == OK);
    CHECK(file_read(path, &b, NULL) == OK);
    CHECK_STR(buf_str(&b), STR("12345"));
    CHECK(file_write(path, STR("123456"), 0600, NULL) == OK);
    buf_reset(&b);
    CHECK(file_read(path, &b, NULL) == ERR_LIMIT);
    CHECK(file_make_dirs(path, NULL) == ERR_IO);

    static const char *const calls[] = {"write", "fsync", "rename"};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct error err = ERROR_INIT;
        fault_call = calls[i];
        fault_errno = ENOSPC;
        file_fault = inject;
        CHECK_ROW(file_write(path, STR("new"), 0600, &err) == ERR_IO, calls[i]);
        file_fault = NULL;
        CHECK_ROW(strstr(err.text, "No space left") != NULL, calls[i]);
        buf_done(&b);
        buf_init(&b, 100);
        CHECK_ROW(file_read(path, &b, NULL) == OK, calls[i]);
        CHECK_STR_ROW(buf_str(&b), STR("123456"), calls[i]);
    }
}

static void test_log(void)
{
    int fd[2];
    if (!CHECK(pipe(fd) == 0))
        return;
    CHECK(log_init("warn,kbs=debug", NULL) == OK);
    CHECK(log_enabled(LOG_DEBUG, "kbs::http") && !log_enabled(LOG_INFO, "rvps"));
    CHECK(log_init("kbs=loud", NULL) == ERR_INVALID);
    CHECK(log_init("info", NULL) == OK);
    log_set_fd(fd[1]);
    log_info("kbs", "forged\nline %s", "\xff");
    char line[256];
    ssize_t n = read(fd[0], line, sizeof(line));
    CHECK_STR(str_from(str_bytes(line, (size_t)n), TIME_RFC3339_US_LEN),
              STR("  INFO kbs: forged\\x0aline \\xff\n"));
    log_info("kbs", "\xc2\x9bm\xe2\x80\xae\xc3\xa9");
    n = read(fd[0], line, sizeof(line));
    CHECK_STR(str_from(str_bytes(line, (size_t)n), TIME_RFC3339_US_LEN),
              STR("  INFO kbs: \\xc2\\x9bm\\xe2\\x80\\xae\xc3\xa9\n"));
    CHECK(log_set_format("json") && !log_set_format("JSON") && !log_set_format(""));
    log_info("kbs", "a \"b\"\n\xc2\x9b\xff");
    n = read(fd[0], line, sizeof(line));
    CHECK_STR(
        str_from(str_bytes(line, (size_t)n), strlen("{\"timestamp\":\"") + TIME_RFC3339_US_LEN),
        STR("\",\"level\":\"info\",\"target\":\"kbs\",\"message\":\"a \\\"b\\\"\\u000a\\u009b"
            "\\ufffd\"}\n"));
    CHECK(log_set_format("text"));
    log_set_fd(2);
    close(fd[0]);
    close(fd[1]);
}

static void test_secret(void)
{
    CLEANUP(secret_cleanup) struct secret *s = NULL;
    CHECK(secret_new(STR("key"), &s, NULL) == OK);
    CHECK(secret_equal(s, STR("key")) && !secret_equal(s, STR("kex")) &&
          !secret_equal(s, STR("keys")));
    char a[20], b[20];
    memset(a, 'k', sizeof(a));
    memset(b, 'k', sizeof(b));
    bool told = true;
    for (size_t len = 1; len <= sizeof(a); len++)
        for (size_t i = 0; i < len; i++) {
            told &= bytes_equal_ct(str_bytes(a, len), str_bytes(b, len));
            b[i] ^= 64;
            told &= !bytes_equal_ct(str_bytes(a, len), str_bytes(b, len));
            b[i] ^= 64;
        }
    CHECK(told);
    struct secret *other = secret_ref(s);
    secret_unref(other);
    CHECK_STR(secret_bytes(s), STR("key"));
    struct secret *big = NULL;
    CHECK(secret_new_empty(SECRET_MAX + 1, &big, NULL) == ERR_LIMIT && big == NULL);
}

static void *write_late(void *user)
{
    int *fd = user;
    usleep(50000);
    status_ignore(write(*fd, "late", 4) == 4 ? OK : ERR_IO); /* the reader tells */
    close(*fd);
    return NULL;
}

/* A pipe whose writer takes its time, as a shell's <(command) on a busy machine. */
static void test_slow_pipe(void)
{
    int ends[2];
    pthread_t thread;
    if (!CHECK(pipe(ends) == 0) || !CHECK(pthread_create(&thread, NULL, write_late, &ends[1]) == 0))
        return;
    char path[32];
    snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 100);
    struct error err = ERROR_INIT;
    CHECK_STATUS(file_read(path, &b, &err), OK, &err);
    CHECK_STR(buf_str(&b), STR("late"));
    pthread_join(thread, NULL);
    close(ends[0]);
}

int main(void)
{
    test_slow_pipe();
    test_str();
    test_utf8();
    test_error();
    test_buf();
    test_arena();
    test_arena_wipes();
    test_hash();
    test_clock();
    test_encode();
    test_hex_words();
    test_base64_digits();
    test_file();
    test_file_state();
    test_can_make_dirs();
    test_report();
    test_cli();
    test_log();
    test_secret();
    return tap_done();
}
