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

/* A tagged event that names the kernel's command line, with a SHA-384 digest of one repeated byte.
 */
static void add_event(struct buf *b, uint32_t index, char fill, uint32_t type)
{
    static const struct str text = {"LOADED_IMAGE::LoadOptions", 25};
    char digest[48];
    memset(digest, fill, sizeof(digest));
    add_u32(b, index);
    add_u32(b, type);
    add_u32(b, 1);
    buf_add(b, STR("\x0c\x00"));
    buf_add(b, str_bytes(digest, sizeof(digest)));
    add_u32(b, 8 + (uint32_t)text.len);
    add_u32(b, 0x8f3b22ed);
    add_u32(b, (uint32_t)text.len);
    buf_add(b, text);
}

static void make_log(struct buf *b)
{
    char zeros[28] = {0};
    buf_init(b, 65536);
    zeros[4] = 3; /* EV_NO_ACTION */
    buf_add(b, str_bytes(zeros, sizeof(zeros)));
    add_u32(b, 24 + 4 + 4 + 1);
    buf_add(b, str_bytes("Spec ID Event03\0\0\0\0\0\0\0\0\0", 24));
    add_u32(b, 1);
    buf_add(b, STR("\x0c\x00\x30\x00\x00"));
    /* In this order, so that whatever is not left out would win. */
    add_event(b, 5, '\x55', EV_EVENT_TAG);
    add_event(b, 0, '\x66', EV_EVENT_TAG);
    add_event(b, 0, '\x77', EV_NO_ACTION);
    add_event(b, 0, '\x00', EV_NO_ACTION);
    add_event(b, 4, '\x44', EV_EVENT_TAG);
    add_event(b, 2, '\x22', EV_EVENT_TAG);
}

int main(void)
{
    CLEANUP(buf_done) struct buf bytes;
    make_log(&bytes);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct eventlog log;
    struct error err = ERROR_INIT;
    CHECK_STATUS(eventlog_parse(&a, buf_str(&bytes), &log, &err), OK, &err);
    CHECK(log.len == 6);

    const struct {
        const char *name;
        uint32_t last;
        size_t events;
        char digit;
    } rows[] = {
        {"everything", EVENTLOG_ALL, 6, '5'},
        {"HARDEN as-3: registers that no quote has, but not the firmware's notes", 4, 3, '4'},
        {"HARDEN as-3: register 4 of old guests", 3, 2, '2'},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        value events;
        CHECK_STATUS_ROW(eventlog_claims(&a, &log, rows[i].last, &events, &err), OK, &err,
                         rows[i].name);
        CHECK_ROW(value_len(events) == rows[i].events, rows[i].name);
        struct str cmdline =
            value_str(value_get_lit(eventlog_ccel(&a, &log, rows[i].last), "cmdline"));
        CHECK_ROW(cmdline.len == 96 && cmdline.ptr[0] == rows[i].digit, rows[i].name);
    }
    return tap_done();
}
