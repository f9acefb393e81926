/* rvps: stored forms, snapshots, expiry, registration. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "rvps/rvps.h"
#include "tap.h"
#include "value/json.h"

#define NOW 1761955200 /* 2025-11-01T00:00:00Z */
#define LATER "2025-12-12T00:00:00Z"
#define LATER_S 1765497600
#define BEFORE "2025-10-01T00:00:00Z"

static const char *path_of(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", tap_tmpdir(), name);
    return path;
}

static void put(const char *path, struct str text)
{
    struct error err = ERROR_INIT;
    CHECK_STATUS(file_write(path, text, 0644, &err), OK, &err);
}

struct warnings {
    char text[4096];
    size_t count;
};

static void warn(void *user, const char *text)
{
    struct warnings *w = user;
    w->count++;
    size_t len = strlen(w->text);
    snprintf(w->text + len, sizeof(w->text) - len, "%s\n", text);
}

static struct rvps *open_with(const char *path, bool enforce, struct warnings *w)
{
    struct rvps *r = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(rvps_open_file(path, STORAGE_MAKE, enforce, &r, &err), OK, &err);
    CHECK_STATUS(rvps_refresh(r, NOW, w != NULL ? warn : NULL, w, NULL, &err), OK, &err);
    return r;
}

static struct str text_of(struct arena *a, value v)
{
    return value_is_defined(v) ? json_text(a, v, JSON_COMPACT) : STR("undefined");
}

/* Every stored form of 12.5, and what does not count as an entry. */
static void test_forms(void)
{
    const struct {
        const char *name;
        const char *file;
        const char *want; /* data.reference at NOW */
        size_t warnings;
    } rows[] = {
        {"nothing", "", "{}", 0},
        {"only white space (README 14)", " \n", "{}", 0},
        {"empty array", "[]", "{}", 0},
        {"empty object", "{}", "{}", 0},
        {"v0.13",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"hash-value\":"
         "[{\"alg\":\"sha256\",\"value\":\"aa\"},{\"alg\":\"x\",\"value\":\"bb\"}]}]",
         "{\"p\":[\"aa\",\"bb\"]}", 0},
        {"v0.10: expired",
         "[{\"name\":\"p\",\"expired\":\"2030-01-01T00:00:00Z\",\"hash-value\":[]}]", "{\"p\":[]}",
         0},
        {"v0.14: any JSON",
         "[{\"version\":\"0.1.0\",\"name\":\"p\",\"expiration\":"
         "\"2030-01-01T00:00:00Z\",\"value\":3}]",
         "{\"p\":3}", 0},
        {"value wins over hash-value",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":[\"v\"],"
         "\"hash-value\":[{\"alg\":\"a\",\"value\":\"h\"}]}]",
         "{\"p\":[\"v\"]}", 0},
        {"object of objects, as the v0.21 operator writes",
         "{\"p\":{\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":true}}", "{\"p\":true}", 0},
        {"object of base64url, padded",
         "{\"p\":\"eyJuYW1lIjoicCIsImV4cGlyYXRpb24iOiIyMDMwLTAxLTAxVDAwOjAwOjAwWiIsInZhbHVlIjoxfQ=="
         "\"}",
         "{\"p\":1}", 0},
        {"object of base64url, unpadded",
         "{\"p\":"
         "\"eyJuYW1lIjoicCIsImV4cGlyYXRpb24iOiIyMDMwLTAxLTAxVDAwOjAwOjAwWiIsInZhbHVlIjoxfQ\"}",
         "{\"p\":1}", 0},
        {"duplicates: the last",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":1},"
         "{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":2}]",
         "{\"p\":2}", 0},
        {"one bad entry hides no other",
         "[7,{\"name\":\"q\"},{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":1}"
         "]",
         "{\"p\":1}", 2},
        {"offset in the date",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00+00:00\",\"value\":1}]", "{}", 1},
        {"fraction in the date",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00.5Z\",\"value\":1}]", "{}", 1},
        {"no date", "[{\"name\":\"p\",\"value\":1}]", "{}", 1},
        {"no name", "[{\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":1}]", "{}", 1},
        {"member without name", "{\"\":{\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":1}}",
         "{}", 1},
        {"hash without value",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"hash-value\":"
         "[{\"alg\":\"sha256\"}]}]",
         "{}", 1},
        {"bad base64", "{\"p\":\"*\"}", "{}", 1},
        {"null is a value",
         "[{\"name\":\"p\",\"expiration\":\"2030-01-01T00:00:00Z\",\"value\":null}]",
         "{\"p\":null}", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *path = path_of("forms.json");
        put(path, str_of(rows[i].file));
        struct warnings w = {0};
        CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, &w);
        CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        CHECK_STR_ROW(text_of(&a, rvps_all(s, NOW)), str_of(rows[i].want), rows[i].name);
        CHECK_ROW(w.count == rows[i].warnings, rows[i].name);
    }
}

/* HARDEN as-1 and README 3, 13: an expired value is undefined, through both ways. */
static void test_expiry(void)
{
    const char *path = path_of("expiry.json");
    put(path, STR("[{\"name\":\"old\",\"expiration\":\"" BEFORE "\",\"value\":1},"
                  "{\"name\":\"new\",\"expiration\":\"" LATER "\",\"value\":2}]"));
    const struct {
        const char *name;
        bool enforce;
        int64_t now_s;
        const char *all, *new, *old;
    } rows[] = {
        {"one expired", true, NOW, "{\"new\":2}", "2", "undefined"},
        {"at the second itself", true, LATER_S, "{\"new\":2}", "2", "undefined"},
        {"a second later", true, LATER_S + 1, "{}", "undefined", "undefined"},
        {"before both", true, 0, "{\"new\":2,\"old\":1}", "2", "1"},
        {"not enforced", false, LATER_S + 1, "{\"new\":2,\"old\":1}", "2", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, rows[i].enforce, NULL);
        CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        bool known;
        CHECK_STR_ROW(text_of(&a, rvps_all(s, rows[i].now_s)), str_of(rows[i].all), rows[i].name);
        /* Twice: the second answer comes from the cache. */
        CHECK_STR_ROW(text_of(&a, rvps_all(s, rows[i].now_s)), str_of(rows[i].all), rows[i].name);
        CHECK_STR_ROW(text_of(&a, rvps_query(s, STR("new"), rows[i].now_s, &known)),
                      str_of(rows[i].new), rows[i].name);
        CHECK_ROW(known, rows[i].name);
        CHECK_STR_ROW(text_of(&a, rvps_query(s, STR("old"), rows[i].now_s, &known)),
                      str_of(rows[i].old), rows[i].name);
        CHECK_ROW(known, "HARDEN as-1: expired is told from unknown");
        CHECK_STR_ROW(text_of(&a, rvps_query(s, STR("none"), rows[i].now_s, &known)),
                      STR("undefined"), rows[i].name);
        CHECK_ROW(!known, rows[i].name);
    }

    struct warnings w = {0};
    CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, &w);
    CHECK(w.count == 1 && strstr(w.text, "\"old\" expired at " BEFORE) != NULL);
    put(path, STR("[{\"name\":\"soon\",\"expiration\":\"2025-11-02T00:00:00Z\",\"value\":1}]"));
    bool changed = false;
    w = (struct warnings){0};
    CHECK_STATUS(rvps_refresh(r, NOW, warn, &w, &changed, NULL), OK, NULL);
    CHECK(changed && w.count == 1 && strstr(w.text, "\"soon\" expires soon") != NULL);
    /* README 3: said once more when it has happened, though the file is as it was. */
    CHECK(rvps_refresh(r, NOW + 60, warn, &w, &changed, NULL) == OK && w.count == 1);
    CHECK(rvps_refresh(r, NOW + 86400, warn, &w, &changed, NULL) == OK && w.count == 1);
    CHECK(rvps_refresh(r, NOW + 86401, warn, &w, &changed, NULL) == OK && w.count == 2 && !changed);
    CHECK(strstr(w.text, "\"soon\" expired at") != NULL);
    CHECK(rvps_refresh(r, NOW + 86402, warn, &w, &changed, NULL) == OK && w.count == 2);
}

/* README 19: a broken file where an older state was loaded leaves the older state. */
static void test_broken(void)
{
    const char *path = path_of("broken.json");
    struct rvps *r = NULL;
    struct error err = ERROR_INIT;
    bool changed = true;
    put(path, STR("not JSON"));
    CHECK_STATUS(rvps_open_file(path, STORAGE_MAKE, true, &r, &err), OK, &err);
    CHECK(rvps_refresh(r, NOW, NULL, NULL, &changed, &err) == ERR_INVALID && !changed);
    CHECK(strstr(err.text, "broken.json\": line 1, column 1: ") != NULL);
    CHECK(rvps_snapshot_get(r) == NULL);
    CHECK_STATUS(rvps_refresh(r, NOW, NULL, NULL, &changed, &err), OK, &err);
    CHECK_ROW(rvps_snapshot_get(r) == NULL, "an unchanged broken file is not read twice");

    put(path, STR("[{\"name\":\"p\",\"expiration\":\"" LATER "\",\"value\":1}]"));
    CHECK_STATUS(rvps_refresh(r, NOW, NULL, NULL, &changed, &err), OK, &err);
    CHECK(changed);
    put(path, STR("{"));
    CHECK(rvps_refresh(r, NOW, NULL, NULL, &changed, &err) == ERR_INVALID && !changed);
    struct rvps_snapshot *s = rvps_snapshot_get(r);
    CHECK(s != NULL && rvps_entry_count(s) == 1);
    rvps_snapshot_unref(s);
    unlink(path);
    CHECK(rvps_refresh(r, NOW, NULL, NULL, &changed, &err) == ERR_NOT_FOUND && !changed);
    rvps_free(r);

    CLEANUP(rvps_cleanup) struct rvps *none = open_with(path_of("missing.json"), true, NULL);
    s = rvps_snapshot_get(none);
    CHECK_ROW(s != NULL && rvps_entry_count(s) == 0, "a file that never was is empty");
    rvps_snapshot_unref(s);
    CHECK_ROW(access(path_of("missing.json"), F_OK) != 0, "and is not created by reading");
}

static struct str message(struct arena *a, const char *type, const char *payload)
{
    struct str b64 = base64_text(a, str_of(payload), BASE64_STD);
    return arena_format(a, "{\"version\":\"0.1.0\",\"type\":\"%s\",\"payload\":\"%.*s\"}", type,
                        STR_ARG(b64));
}

static void read_text(const char *path, struct buf *b)
{
    buf_init(b, 1 << 20);
    struct error err = ERROR_INIT;
    CHECK_STATUS(file_read(path, b, &err), OK, &err);
}

/* S8: the container that was found stays, and both generations can read the array back. */
static void test_register_file(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    const char *payload = "{\"p\":[\"aa\"],\"n\":1}";
    const struct {
        const char *name, *file, *want;
    } rows[] = {
        {"no file", NULL,
         "[{\"version\":\"0.1.0\",\"name\":\"n\",\"expiration\":\"2026-11-01T00:00:00Z\",\"value\":"
         "1},"
         "{\"version\":\"0.1.0\",\"name\":\"p\",\"expiration\":\"2026-11-01T00:00:00Z\","
         "\"value\":[\"aa\"],\"hash-value\":[{\"alg\":\"sha384\",\"value\":\"aa\"}]}]"},
        {"array with an entry that nobody understands",
         "[{\"name\":\"p\",\"expiration\":\"x\"},{\"name\":\"odd\"}]",
         "[{\"name\":\"odd\"},"
         "{\"version\":\"0.1.0\",\"name\":\"n\",\"expiration\":\"2026-11-01T00:00:00Z\",\"value\":"
         "1},"
         "{\"version\":\"0.1.0\",\"name\":\"p\",\"expiration\":\"2026-11-01T00:00:00Z\","
         "\"value\":[\"aa\"],\"hash-value\":[{\"alg\":\"sha384\",\"value\":\"aa\"}]}]"},
        {"object of objects", "{\"p\":{\"expiration\":\"" LATER "\",\"value\":1}}",
         "{\"n\":{\"version\":\"0.1.0\",\"name\":\"n\",\"expiration\":\"2026-11-01T00:00:00Z\","
         "\"value\":1},"
         "\"p\":{\"version\":\"0.1.0\",\"name\":\"p\",\"expiration\":\"2026-11-01T00:00:00Z\","
         "\"value\":[\"aa\"]}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *path = path_of("sub/register.json");
        unlink(path);
        if (rows[i].file != NULL)
            put(path, str_of(rows[i].file));
        CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, NULL);
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(rvps_register(r, message(&a, "sample", payload), NOW, &err), OK, &err,
                         rows[i].name);
        CLEANUP(buf_done) struct buf got;
        read_text(path, &got);
        CHECK_STR_ROW(buf_str(&got), str_of(rows[i].want), rows[i].name);

        CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
        CHECK_STR_ROW(text_of(&a, rvps_all(s, NOW)), STR("{\"n\":1,\"p\":[\"aa\"]}"), rows[i].name);
    }

    const char *path = path_of("strings.json");
    put(path, STR("{}"));
    CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, NULL);
    CHECK(rvps_register(r, message(&a, "sample", payload), NOW, NULL) == OK);
    CLEANUP(buf_done) struct buf got;
    read_text(path, &got);
    CHECK_ROW(buf_str(&got).len > 0 && memmem(got.ptr, got.len, "{\"n\":\"ey", 8) != NULL,
              "an object takes strings, as v0.19 reads");
    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
    CHECK_STR(text_of(&a, rvps_all(s, NOW)), STR("{\"n\":1,\"p\":[\"aa\"]}"));

    CHECK(rvps_remove(r, STR("n"), NOW, NULL) == OK);
    CHECK(rvps_remove(r, STR("n"), NOW, NULL) == ERR_NOT_FOUND);
    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *less = rvps_snapshot_get(r);
    CHECK_STR(text_of(&a, rvps_all(less, NOW)), STR("{\"p\":[\"aa\"]}"));
    CHECK_ROW(rvps_entry_count(s) == 2, "a pinned snapshot stays as it was");
}

static void test_register_storage(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct error err = ERROR_INIT;
    struct storage *st = NULL;
    struct rvps *r = NULL;
    CHECK_STATUS(
        storage_open_local_fs(tap_tmpdir(), STR("reference_value"), STORAGE_MAKE, &st, &err), OK,
        &err);
    CHECK_STATUS(rvps_open_storage(st, true, &r, &err), OK, &err);
    CHECK_STATUS(rvps_refresh(r, NOW, NULL, NULL, NULL, &err), OK, &err);
    CHECK_STATUS(rvps_register(r, message(&a, "sample", "{\"b\":2}"), NOW, &err), OK, &err);
    CLEANUP(buf_done) struct buf got;
    read_text(path_of("reference_value/b"), &got);
    CHECK_STR(buf_str(&got), STR("{\"version\":\"0.1.0\",\"name\":\"b\",\"expiration\":"
                                 "\"2026-11-01T00:00:00Z\",\"value\":2}"));

    /* The second name cannot be a key there: the first one is taken back. */
    CHECK(rvps_register(r, message(&a, "sample", "{\"b\":3,\"c d\":1}"), NOW, &err) != OK);
    struct rvps_snapshot *s = rvps_snapshot_get(r);
    CHECK_STR(text_of(&a, rvps_all(s, NOW)), STR("{\"b\":2}"));
    rvps_snapshot_unref(s);

    put(path_of("reference_value/x"), STR("{\"expiration\":\"" LATER "\",\"value\":[1]}"));
    put(path_of("reference_value/y"), STR("nonsense"));
    struct warnings w = {0};
    bool changed = false;
    CHECK_STATUS(rvps_refresh(r, NOW, warn, &w, &changed, &err), OK, &err);
    CHECK(changed && w.count == 1 && strstr(w.text, "\"y\" is skipped") != NULL);
    s = rvps_snapshot_get(r);
    CHECK_STR(text_of(&a, rvps_all(s, NOW)), STR("{\"b\":2,\"x\":[1]}"));
    rvps_snapshot_unref(s);
    rvps_free(r);
    storage_unref(st);
}

static void test_messages(void)
{
    const struct {
        const char *name, *text;
        enum status want;
        const char *says;
    } rows[] = {
        {"not JSON", "x", ERR_INVALID, "parse message"},
        {"version", "{\"version\":\"0.2.0\",\"type\":\"sample\",\"payload\":\"e30=\"}", ERR_INVALID,
         "Version unmatched! Need 0.1.0, given 0.2.0."},
        {"version is no string", "{\"version\":1,\"type\":\"sample\",\"payload\":\"e30=\"}",
         ERR_INVALID, "must be strings"},
        {"default version", "{\"type\":\"sample\",\"payload\":\"e30=\"}", OK, ""},
        {"no payload", "{\"type\":\"sample\"}", ERR_INVALID, "must be strings"},
        {"unknown type", "{\"type\":\"in-toto\",\"payload\":\"e30=\"}", ERR_INVALID,
         "no extractor has the type \"in-toto\""},
        {"bad base64", "{\"type\":\"sample\",\"payload\":\"e30\"}", ERR_INVALID, "sample"},
        {"array", "{\"type\":\"sample\",\"payload\":\"W10=\"}", ERR_INVALID, "no object"},
        {"empty name", "{\"type\":\"sample\",\"payload\":\"eyIiOjF9\"}", ERR_INVALID, "no name"},
    };
    CLEANUP(rvps_cleanup) struct rvps *r = open_with(path_of("messages.json"), true, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(rvps_register(r, str_of(rows[i].text), NOW, &err), rows[i].want, &err,
                         rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].says) != NULL, rows[i].name);
    }

    /* 12 calendar months: 29 February has none of its own. */
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    CHECK(rvps_register(r, message(&a, "sample", "{\"leap\":1}"), 1709208000, NULL) == OK);
    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
    CHECK_STR(rvps_entry(s, STR("leap"))->expires, STR("2025-02-28T12:00:00Z"));
}

static void test_swid(void)
{
#define HEAD                                                                                       \
    "<S xmlns='http://standards.iso.org/iso/19770/-2/2015/schema.xsd' "                            \
    "xmlns:h='http://www.w3.org/2001/04/xmlenc#sha384' "                                           \
    "xmlns:r='https://trustedcomputinggroup.org/resource/"                                         \
    "tcg-reference-integrity-manifest-rim-information-model/'>"
#define META "<Meta r:PlatformManufacturerStr='A-B C' edition='E-1'/>"
    const struct {
        const char *name, *xml, *want; /* want NULL: refused */
    } rows[] = {
        {"names and zeros",
         HEAD META
         "<Payload><Directory><Resource type='Measurement' index='1' h:Hash0='00' h:Hash1='ab' "
         "h:Hash3='cd'/></Directory><Resource type='Measurement' index='2' h:Hash0='0'/>"
         "<Resource type='Other' h:Hash0='11'/></Payload></S>",
         "{\"A_B_C.E_1.measurement_1\":[\"ab\"]}"},
        {"a second Payload is not looked at",
         HEAD META
         "<Payload/><Payload><Resource type='Measurement' index='1' h:Hash0='ab'/></Payload></S>",
         "{}"},
        {"a measurement outside",
         HEAD META "<Resource type='Measurement' index='1' h:Hash0='ab'/><Payload/></S>", "{}"},
        {"hash of another namespace",
         HEAD META "<Payload><Resource type='Measurement' index='1' Hash0='ab'/></Payload></S>",
         "{}"},
        {"no Meta", HEAD "<Payload/></S>", NULL},
        {"no edition", HEAD "<Meta r:PlatformManufacturerStr='A'/><Payload/></S>", NULL},
        {"no Payload", HEAD META "</S>", NULL},
        {"no index", HEAD META "<Payload><Resource type='Measurement' h:Hash0='ab'/></Payload></S>",
         NULL},
        {"not XML", "{}", NULL},
        {"entities", "<!DOCTYPE s [<!ENTITY e 'e'>]>" HEAD META "<Payload/></S>", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        const char *path = path_of("swid.json");
        unlink(path);
        CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, NULL);
        struct error err = ERROR_INIT;
        enum status st = rvps_register(r, message(&a, "swid", rows[i].xml), NOW, &err);
        CHECK_STATUS_ROW(st, rows[i].want == NULL ? ERR_INVALID : OK, &err, rows[i].name);
        CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
        CHECK_STR_ROW(text_of(&a, rvps_all(s, NOW)),
                      str_of(rows[i].want == NULL ? "{}" : rows[i].want), rows[i].name);
    }
}

static void test_corim(void)
{
    /* 501({1: [506(<< {4: {0: [[{0: {1: "V", 2: "M"}}, [{0: 7, 1: {2: [[1, h'ab']], 4: 560(h'cd'),
     * 11: "n"}}]]]}} >>)]}) */
    static const struct str good =
        STR("\xd9\x01\xf5\xa1\x01\x81\xd9\x01\xfa\x58\x24"
            "\xa1\x04\xa1\x00\x81\x82\xa1\x00\xa2\x01\x61V\x02\x61M\x81\xa2\x00\x07\x01\xa3"
            "\x02\x81\x82\x01\x41\xab\x04\xd9\x02\x30\x41\xcd\x0b\x61n");
    const struct {
        const char *name;
        struct str cbor;
        const char *want;
    } rows[] = {
        {"unsigned", good, "{\"V/M/claim7/n/digests\":[\"ab\"],\"V/M/claim7/n/raw_bytes\":\"cd\"}"},
        {"nothing in it", STR("\xd9\x01\xf5\xa1\x01\x80"), "{}"},
        {"wrapped in 500 and 502", STR("\xd9\x01\xf4\xd9\x01\xf6\xd9\x01\xf5\xa1\x01\x80"), "{}"},
        {"signed", STR("\xd2\x84\x40\xa0\x46\xd9\x01\xf5\xa1\x01\x80\x40"), "{}"},
        {"no tags", STR("\xd9\x01\xf5\xa0"), NULL},
        {"a number", STR("\x01"), NULL},
        {"indefinite length", STR("\xd9\x01\xf5\xbf\x01\x80\xff"), NULL},
        {"length beyond the end", STR("\xd9\x01\xf5\xa1\x01\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"),
         NULL},
        {"a key twice", STR("\xd9\x01\xf5\xa2\x01\x80\x01\x80"), NULL},
        {"something after it", STR("\xd9\x01\xf5\xa1\x01\x80\x00"), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        const char *path = path_of("corim.json");
        unlink(path);
        CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, NULL);
        struct str b64 = base64_text(&a, rows[i].cbor, BASE64_STD);
        struct str m = arena_format(&a, "{\"type\":\"corim\",\"payload\":\"%.*s\"}", STR_ARG(b64));
        struct error err = ERROR_INIT;
        enum status st = rvps_register(r, m, NOW, &err);
        CHECK_STATUS_ROW(st, rows[i].want == NULL ? ERR_INVALID : OK, &err, rows[i].name);
        CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *s = rvps_snapshot_get(r);
        CHECK_STR_ROW(text_of(&a, rvps_all(s, NOW)),
                      str_of(rows[i].want == NULL ? "{}" : rows[i].want), rows[i].name);
    }
}

/* Every allocation fails once; nothing leaks, the old file and snapshot stay. */
static void test_no_memory(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    const char *path = path_of("memory.json");
    put(path, STR("[{\"name\":\"p\",\"expiration\":\"" LATER "\",\"value\":[\"a\"]}]"));
    CLEANUP(rvps_cleanup) struct rvps *r = open_with(path, true, NULL);
    struct str m = message(&a, "sample", "{\"q\":[\"b\"]}");
    for (long n = 1; n < 1000; n++) {
        struct error err = ERROR_INIT;
        tap_fail_malloc_after(n);
        enum status st = rvps_register(r, m, NOW, &err);
        tap_fail_malloc_after(0);
        if (st == OK)
            break;
        if (!CHECK_STATUS(st, ERR_NOMEM, &err))
            break;
    }
}

int main(void)
{
    test_forms();
    test_expiry();
    test_broken();
    test_register_file();
    test_register_storage();
    test_messages();
    test_swid();
    test_corim();
    test_no_memory();
    return tap_done();
}
