/* Whole event logs of ../shared/vectors/eventlog: parsed form, registers, old-era summaries. */
#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "eventlog/eventlog.h"
#include "tap.h"
#include "value/json.h"

static struct str read_vector(struct arena *a, const char *name)
{
    char relative[256];
    snprintf(relative, sizeof(relative), "vectors/eventlog/%s", name);
    const char *path = tap_shared(relative);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, EVENTLOG_LEN_MAX);
    if (path == NULL || !CHECK_ROW(file_read(path, &b, NULL) == OK, name))
        return (struct str){NULL, 0};
    return arena_str(a, buf_str(&b));
}

static const struct replayed everything = {EVENTLOG_ALL, 0};

static bool load(struct arena *a, const char *name, struct eventlog *log)
{
    struct str bytes = read_vector(a, name);
    struct error err = ERROR_INIT;
    return bytes.ptr != NULL &&
           CHECK_STATUS_ROW(eventlog_parse(a, bytes, log, &err), OK, &err, name);
}

static void test_claims(void)
{
    static const struct {
        const char *log, *json;
        size_t entries;
    } rows[] = {
        {"CCEL_data", "CCEL_data_out.json", 5},
        {"CCEL_data_ovmf", "CCEL_data_ovmf_out.json", 20},
        {"CCEL_data_grub", "CCEL_data_grub_out.json", 37},
        {"CCEL_data_grub_gke", "CCEL_data_grub_gke_out.json", 35},
        {"CCEL_AAEL_alibabacloud", "CCEL_AAEL_alibabacloud_out.json", 87},
        {"CCEL_data_csv", "CCEL_data_csv_out.json", 82},
        {"CCEL_data_gcp", NULL, 21},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024 * 1024);
        struct eventlog log;
        struct error err = ERROR_INIT;
        value got, want;
        if (!load(&a, rows[i].log, &log))
            continue;
        CHECK_ROW(log.len == rows[i].entries, rows[i].log);
        if (!CHECK_STATUS_ROW(eventlog_claims(&a, &log, everything, &got, &err), OK, &err,
                              rows[i].log) ||
            rows[i].json == NULL)
            continue;
        CHECK_ROW(json_parse(&a, read_vector(&a, rows[i].json), NULL, &want, &err) == OK,
                  rows[i].json);
        want = value_get_lit(want, "uefi_event_logs");
        CHECK_ROW(value_len(want) == value_len(got), rows[i].log);
        for (size_t k = 0; k < value_len(want); k++)
            if (!value_equal(value_at(got, k), value_at(want, k))) {
                printf("# %s[%zu]: got %.600s\n# want %.600s\n", rows[i].log, k,
                       json_text(&a, value_at(got, k), JSON_COMPACT).ptr,
                       json_text(&a, value_at(want, k), JSON_COMPACT).ptr);
                CHECK_ROW(false, rows[i].log);
            }
        CHECK_ROW(value_equal(got, want), rows[i].log);
    }
}

static value hex_of(struct arena *a, const struct digest *d)
{
    return value_string(a, hex_text(a, digest_str(d)));
}

/* vectors/verifiers/eventlog/replay.json: registers by log, algorithm id and index. */
static void test_replay(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    value cases;
    struct str text = read_vector(&a, "../verifiers/eventlog/replay.json");
    if (text.ptr == NULL || !CHECK(json_parse(&a, text, NULL, &cases, NULL) == OK))
        return;
    size_t compared = 0;
    for (size_t i = 0; i < value_len(cases); i++) {
        struct str name = value_str(value_pairs(cases)[i].key);
        struct str file = str_has_prefix(name, STR("tdx/"))
                              ? arena_format(&a, "../verifiers/%s", name.ptr)
                              : name;
        struct eventlog log;
        if (!load(&a, file.ptr, &log))
            continue;
        value algs = value_get_lit(value_pairs(cases)[i].val, "replay");
        int64_t entries = 0;
        CHECK_ROW(value_get_int64(value_get_lit(value_pairs(cases)[i].val, "entries"), &entries) &&
                      (size_t)entries == log.len,
                  name.ptr);
        for (size_t k = 0; k < value_len(algs); k++) {
            uint16_t alg = 0;
            for (const char *p = value_str(value_pairs(algs)[k].key).ptr + 2; *p != '\0'; p++)
                alg = (uint16_t)(alg * 16 + hex_digit(*p));
            value registers = value_pairs(algs)[k].val;
            for (uint32_t r = 1; r <= 4; r++) {
                struct digest d;
                char index[4];
                snprintf(index, sizeof(index), "%u", r);
                CHECK_ROW(eventlog_replay(&log, r, alg, &d) == OK, name.ptr);
                value want = value_get_str(registers, str_of(index));
                if (!value_is_defined(want)) {
                    struct digest zero = {.len = d.len};
                    want = hex_of(&a, &zero);
                }
                CHECK_STR_ROW(value_str(hex_of(&a, &d)), value_str(want), name.ptr);
                compared++;
            }
        }
    }
    CHECK(compared > 20);
}

/* MANIFEST.md, "Digest look-ups of v0.13 and before". */
static void test_ccel(void)
{
    static const struct {
        const char *log, *member, *prefix;
    } rows[] = {
        {"CCEL_data", "kernel", "5b7aa6572f649714"},
        {"CCEL_data_ovmf", "kernel", "a2ccae1e7d6c668c"},
        {"CCEL_data_ovmf", "cmdline", "4230f84885a6f3f3"},
        {"CCEL_data_ovmf", "initrd", "b15af9286108d3d8"},
        {"CCEL_data_grub", "initrd", "15485f8c0ea5fb6c"},
        {"CCEL_data_grub", "cmdline", "f45887f32c15f51f"},
    };
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct eventlog log;
        if (!load(&a, rows[i].log, &log))
            continue;
        struct str got =
            value_str(value_get_str(eventlog_ccel(&a, &log, everything), str_of(rows[i].member)));
        CHECK_STR_ROW(str_slice(got, 0, 16), str_of(rows[i].prefix), rows[i].log);
    }
    struct eventlog log;
    value want;
    if (!load(&a, "CCEL_data", &log))
        return;
    CHECK(json_parse(&a, STR("{\"console\":\"hvc0\",\"root\":\"/dev/vda1\",\"rw\":null}"), NULL,
                     &want, NULL) == OK);
    CHECK(
        value_equal(value_get_lit(eventlog_ccel(&a, &log, everything), "kernel_parameters"), want));
}

static void test_aael(void)
{
    static const struct {
        const char *file, *rtmr;
    } rows[] = {
        {"aael-v0.13/AAEL_data_1",
         "71563a23b430b8637970b866169052815ef9434056516dc9f78c1b3bfb745cee"
         "18a2ca92aa53c8122be5cbe59a100764"},
        {"aael-v0.13/AAEL_data_2",
         "31fa17881137923029b1da5b368e92d8b22b14bbb4deaa360da61fce7aa530bd"
         "2f4c59ac7bd27021ef64104ff4dd04f9"},
        {"aael-v0.13/AAEL_data_3",
         "0de62b45b29775495d278c85ad63ff45e59406e509506b26c545a5419316e1c4"
         "bd2b00a4e803051fa98b550767e13f06"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1024 * 1024);
        struct digest rtmr;
        value claims;
        struct error err = ERROR_INIT;
        struct str text = read_vector(&a, rows[i].file);
        if (text.ptr == NULL)
            continue;
        CHECK_STATUS_ROW(aael_parse(&a, text, &rtmr, &claims, &err), OK, &err, rows[i].file);
        CHECK_STR_ROW(value_str(hex_of(&a, &rtmr)), str_of(rows[i].rtmr), rows[i].file);
        CHECK_ROW(value_len(claims) > 0, rows[i].file);
    }
}

/* HARDEN as-3: what nothing has replayed is left out of the claims. */
static void test_told_registers(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct eventlog log;
    value all, some;
    if (!load(&a, "CCEL_AAEL_alibabacloud", &log))
        return;
    CHECK(eventlog_claims(&a, &log, everything, &all, NULL) == OK);
    CHECK(eventlog_claims(&a, &log, (struct replayed){3, EVENT_ALG_SHA384}, &some, NULL) == OK);
    CHECK(value_len(all) == value_len(some) + 2); /* its two application events */
    for (size_t i = 0; i < value_len(some); i++) {
        int64_t index = 0;
        if (!value_get_int64(value_get_lit(value_at(some, i), "index"), &index) || index == 4)
            CHECK(false);
    }
}

/* No machine's own log has entries of other registers, but for notes of its firmware. */
static void test_real_logs_are_told_whole(void)
{
    static const char *const names[] = {"CCEL_data",          "CCEL_AAEL_alibabacloud",
                                        "CCEL_data_gcp",      "CCEL_data_grub",
                                        "CCEL_data_grub_gke", "CCEL_data_ovmf"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024 * 1024);
        struct eventlog log;
        value told;
        if (load(&a, names[i], &log) &&
            CHECK_ROW(eventlog_claims(&a, &log, (struct replayed){4, EVENT_ALG_SHA384}, &told,
                                      NULL) == OK,
                      names[i]))
            CHECK_ROW(value_len(told) == log.len, names[i]);
    }
}

int main(void)
{
    if (tap_shared("vectors/eventlog/MANIFEST.md") == NULL)
        return tap_done();
    test_claims();
    test_replay();
    test_ccel();
    test_aael();
    test_told_registers();
    test_real_logs_are_told_whole();
    return tap_done();
}
