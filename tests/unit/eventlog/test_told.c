/* Entries that nothing has replayed are no claims: attestation-service.md 14.9. */
#include "eventlog/eventlog.h"
#include "tap.h"
#include "value/json.h"

enum { EV_NO_ACTION = 3, EV_EVENT_TAG = 6 };

static void add_u32(struct buf *b, uint32_t n)
{
    char bytes[4];
    store_le32(bytes, n);
    buf_add(b, str_bytes(bytes, sizeof(bytes)));
}

/* A tagged event that names the kernel's command line, with a digest of one repeated byte. */
static void add_event(struct buf *b, uint32_t index, char fill, uint32_t type, uint16_t alg)
{
    static const struct str text = {"LOADED_IMAGE::LoadOptions", 25};
    const uint16_t len = alg == EVENT_ALG_SHA256 ? 32 : 48;
    char digest[48], id[2];
    memset(digest, fill, sizeof(digest));
    store_le16(id, alg);
    add_u32(b, index);
    add_u32(b, type);
    add_u32(b, alg != 0);
    if (alg != 0) {
        buf_add(b, str_bytes(id, sizeof(id)));
        buf_add(b, str_bytes(digest, len));
    }
    add_u32(b, 8 + (uint32_t)text.len);
    add_u32(b, 0x8f3b22ed);
    add_u32(b, (uint32_t)text.len);
    buf_add(b, text);
}

/* The specification event: SHA-256 and SHA-384. */
static void begin_log(struct buf *b)
{
    char zeros[28] = {0};
    buf_init(b, 65536);
    zeros[4] = EV_NO_ACTION;
    buf_add(b, str_bytes(zeros, sizeof(zeros)));
    add_u32(b, 24 + 4 + 8 + 1);
    buf_add(b, str_bytes("Spec ID Event03\0\0\0\0\0\0\0\0\0", 24));
    add_u32(b, 2);
    buf_add(b, STR("\x0b\x00\x20\x00\x0c\x00\x30\x00\x00"));
}

static void test_told(void)
{
    CLEANUP(buf_done) struct buf bytes;
    begin_log(&bytes);
    /* In this order, so that whatever is not left out would win. */
    add_event(&bytes, 5, '\x55', EV_EVENT_TAG, EVENT_ALG_SHA384);
    add_event(&bytes, 0, '\x66', EV_EVENT_TAG, EVENT_ALG_SHA384);
    add_event(&bytes, 0, '\x77', EV_NO_ACTION, EVENT_ALG_SHA384);
    add_event(&bytes, 0, '\x00', EV_NO_ACTION, EVENT_ALG_SHA384);
    add_event(&bytes, 3, '\x88', EV_EVENT_TAG, EVENT_ALG_SHA256);
    add_event(&bytes, 3, '\x99', EV_EVENT_TAG, 0);
    add_event(&bytes, 3, '\xaa', EV_NO_ACTION, 0);
    add_event(&bytes, 4, '\x44', EV_EVENT_TAG, EVENT_ALG_SHA384);
    add_event(&bytes, 2, '\x22', EV_EVENT_TAG, EVENT_ALG_SHA384);

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct eventlog log;
    struct error err = ERROR_INIT;
    CHECK_STATUS(eventlog_parse(&a, buf_str(&bytes), &log, &err), OK, &err);
    CHECK(log.len == 9);

    const struct {
        const char *name;
        struct replayed replayed;
        size_t events;
        char digit;
    } rows[] = {
        {"everything", {EVENTLOG_ALL, 0}, 9, '5'},
        {"HARDEN as-3: what a TD's registers took in, and notes", {4, EVENT_ALG_SHA384}, 4, '4'},
        {"HARDEN as-3: register 4 of old guests", {3, EVENT_ALG_SHA384}, 3, '2'},
        {"by another algorithm", {4, EVENT_ALG_SHA256}, 3, '8'},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value events;
        CHECK_STATUS_ROW(eventlog_claims(&a, &log, rows[i].replayed, &events, &err), OK, &err,
                         rows[i].name);
        CHECK_ROW(value_len(events) == rows[i].events, rows[i].name);
        struct str cmdline =
            value_str(value_get_lit(eventlog_ccel(&a, &log, rows[i].replayed), "cmdline"));
        CHECK_ROW(cmdline.len > 0 && cmdline.ptr[0] == rows[i].digit, rows[i].name);
    }
}

/* Only the digest of an application event is measured: its text has to be the one it stands for. */
static void test_application(void)
{
    const struct {
        const char *name, *text, *digest_of;
        uint32_t tag;
        bool good;
    } rows[] = {
        {"its own", "d o c", "d o c", 0x4141454c, true},
        {"another's", "d o x", "d o c", 0x4141454c, false},
        {"of another tag", "d o x", "d o c", 0x8f3b22ed, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf bytes;
        CLEANUP(buf_done) struct buf measured;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        begin_log(&bytes);
        buf_init(&measured, 64);
        add_u32(&measured, rows[i].tag);
        add_u32(&measured, (uint32_t)strlen(rows[i].digest_of));
        buf_add_cstr(&measured, rows[i].digest_of);
        struct digest d;
        digest_compute(DIGEST_SHA384, buf_str(&measured), &d);

        add_u32(&bytes, 4);
        add_u32(&bytes, EV_EVENT_TAG);
        add_u32(&bytes, 1);
        buf_add(&bytes, STR("\x0c\x00"));
        buf_add(&bytes, digest_str(&d));
        add_u32(&bytes, 8 + (uint32_t)strlen(rows[i].text));
        add_u32(&bytes, rows[i].tag);
        add_u32(&bytes, (uint32_t)strlen(rows[i].text));
        buf_add_cstr(&bytes, rows[i].text);

        struct eventlog log;
        value events;
        struct error err = ERROR_INIT;
        const struct replayed td = {4, EVENT_ALG_SHA384};
        CHECK_ROW(eventlog_parse(&a, buf_str(&bytes), &log, &err) == OK, rows[i].name);
        enum status st = eventlog_claims(&a, &log, td, &events, &err);
        CHECK_ROW(st == (rows[i].good ? OK : ERR_INVALID), rows[i].name);
    }
}

int main(void)
{
    test_told();
    test_application();
    return tap_done();
}
