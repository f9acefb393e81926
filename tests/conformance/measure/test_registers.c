/* Registers of real machines: from their logs, as their quotes have them; of a direct boot. */
#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "measure/tdx.h"
#include "tap.h"
#include "value/json.h"

static struct str load(struct arena *a, const char *relative)
{
    const char *path = tap_shared(relative);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, EVENTLOG_LEN_MAX);
    if (path == NULL || !CHECK_ROW(file_read(path, &b, NULL) == OK, relative))
        return (struct str){NULL, 0};
    return arena_str(a, buf_str(&b));
}

static bool load_log(struct arena *a, const char *relative, struct eventlog *log)
{
    struct str bytes = load(a, relative);
    struct error err = ERROR_INIT;
    return bytes.ptr != NULL &&
           CHECK_STATUS_ROW(eventlog_parse(a, bytes, log, &err), OK, &err, relative);
}

/* verifiers-intel.md: a quote's header has 48 bytes, and RTMR 0 stands at 328 of its body. */
static void test_quote(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct eventlog log;
    struct digest rtmrs[TDX_RTMRS];
    struct error err = ERROR_INIT;
    struct str quote = load(&a, "vectors/verifiers/tdx/v4-00806f05-gcp-ccel.quote.bin");
    if (quote.ptr == NULL ||
        !load_log(&a, "vectors/verifiers/tdx/v4-00806f05-gcp-ccel.ccel.bin", &log))
        return;
    CHECK_STATUS(tdx_rtmrs(&log, rtmrs, &err), OK, &err);
    for (size_t i = 0; i < 3; i++) /* the log is of an agent that did not log RTMR 3 */
        CHECK_STR(digest_str(&rtmrs[i]), str_slice(quote, 48 + 328 + 48 * i, 48));
}

/* Every log of a TD against recorded registers; those that are not named are zeros. */
static void test_logs(void)
{
    static const char *const names[] = {"CCEL_data",      "CCEL_data_ovmf",
                                        "CCEL_data_grub", "CCEL_data_grub_gke",
                                        "CCEL_data_gcp",  "CCEL_AAEL_alibabacloud"};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 256 * 1024 * 1024);
    struct str text = load(&a, "vectors/verifiers/eventlog/replay.json");
    value replay;
    if (text.ptr == NULL || !CHECK(json_parse(&a, text, NULL, &replay, NULL) == OK))
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "vectors/eventlog/%s", names[i]);
        struct eventlog log;
        struct digest rtmrs[TDX_RTMRS];
        value want = value_get_str(replay, str_of(names[i]));
        want = value_get_lit(value_get_lit(want, "replay"), "0xc");
        if (!load_log(&a, path, &log) || !CHECK_ROW(value_is_object(want), names[i]) ||
            !CHECK_ROW(tdx_rtmrs(&log, rtmrs, NULL) == OK, names[i]))
            continue;
        for (size_t r = 0; r < TDX_RTMRS; r++) {
            char index[2] = {(char)('1' + r), '\0'};
            struct str hex = value_str(value_get_str(want, str_of(index)));
            static const char zeros[96 + 1] =
                "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
                "0000000000000000";
            CHECK_STR_ROW(hex_text(&a, digest_str(&rtmrs[r])), hex.len > 0 ? hex : str_of(zeros),
                          names[i]);
        }
    }
    struct eventlog log;
    struct digest rtmrs[TDX_RTMRS];
    if (load_log(&a, "vectors/eventlog/CCEL_data_csv", &log)) /* SM3: of another processor */
        CHECK(tdx_rtmrs(&log, rtmrs, NULL) == ERR_UNSUPPORTED);
}

static const struct event_digest *digest_of(const struct eventlog *log, uint32_t index, size_t nth)
{
    for (size_t i = 0; i < log->len; i++)
        if (log->events[i].index == index && nth-- == 0)
            return &log->events[i].digests[0];
    return NULL;
}

static void take(const struct event_digest *from, struct digest *to)
{
    to->len = 48;
    memcpy(to->bytes, from->bytes.ptr, 48);
}

/*
 * A machine that QEMU booted directly: its kernel's, options' and initrd's digests, in the order
 * and with the events that tdx_boot_measure() supposes, give its RTMR 1 and 2.
 */
static void test_direct_boot(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct eventlog log;
    struct digest rtmrs[TDX_RTMRS], kernel, options, initrd, got;
    if (!load_log(&a, "vectors/eventlog/CCEL_data_ovmf", &log) ||
        !CHECK(tdx_rtmrs(&log, rtmrs, NULL) == OK) || !CHECK(digest_of(&log, 3, 1) != NULL))
        return;
    take(digest_of(&log, 2, 0), &kernel);
    take(digest_of(&log, 3, 0), &options);
    take(digest_of(&log, 3, 1), &initrd);
    tdx_boot_rtmr1(&kernel, false, &got);
    CHECK_STR(digest_str(&got), digest_str(&rtmrs[1]));
    tdx_boot_rtmr2(&options, &initrd, &got);
    CHECK_STR(digest_str(&got), digest_str(&rtmrs[2]));
}

int main(void)
{
    test_quote();
    test_logs();
    test_direct_boot();
    return tap_done();
}
