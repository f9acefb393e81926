/* Extractors on upstream's own documents: vectors/as/rvps (MANIFEST.md there). */
#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "rvps/rvps_internal.h"
#include "tap.h"
#include "value/json.h"

#define NOW 1761955200

static bool read_shared(const char *relative, struct buf *b)
{
    const char *path = tap_shared(relative);
    struct error err = ERROR_INIT;
    return path != NULL && CHECK_STATUS(file_read(path, b, &err), OK, &err);
}

static struct rvps_entries extract(struct arena *a, const char *type, struct str payload)
{
    struct str message =
        arena_format(a, "{\"type\":\"%s\",\"payload\":\"%.*s\"}", type, STR_ARG(payload));
    struct rvps_entries e = {0};
    struct error err = ERROR_INIT;
    CHECK_STATUS(rvps_message_read(a, message, NOW, &e, &err), OK, &err);
    return e;
}

static void test_swid(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 << 20);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    if (!read_shared("vectors/as/rvps/test-rim.b64", &b))
        return;
    static const int with_hashes[] = {1, 2, 3, 4, 5, 6, 9, 11, 12};
    struct rvps_entries e = extract(&a, "swid", str_trim(buf_str(&b)));
    CHECK(e.len == ARRAY_LEN(with_hashes));
    for (size_t i = 0; i < e.len && i < ARRAY_LEN(with_hashes); i++) {
        char name[64];
        snprintf(name, sizeof(name), "NVIDIA_Corporation.GPU.measurement_%d", with_hashes[i]);
        CHECK_STR(e.items[i].name, str_of(name));
    }
    value last = e.items[e.len - 1].val;
    CHECK(value_len(last) == 3);
    CHECK_STR(
        value_str(value_at(last, 0)),
        STR("758af96044c700f98a85347be27124d51c05b8784ba216b629b9aaab6d538c759aed9922a133e4ac473564"
            "d359b271d5"));
}

static void test_corim(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 << 20);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    if (!read_shared("vectors/as/rvps/unsigned-example-corim.cbor", &b))
        return;
    static const char *const digests[] = {
        "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7",
        "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f",
        "a3a5e715f0cc574a73c3f9bebb6bc24f32ffd5b67b387244c2c909da779a1478",
    };
    struct rvps_entries e = extract(&a, "corim", base64_text(&a, buf_str(&b), BASE64_STD));
    CHECK(e.len == ARRAY_LEN(digests));
    for (size_t i = 0; i < e.len && i < ARRAY_LEN(digests); i++) {
        CHECK_STR(e.items[i].name,
                  STR("ACME/RoadRunner/31fb5abf-023e-4992-aa4e-95f9c1503bfa/digests"));
        CHECK(value_len(e.items[i].val) == 1);
        CHECK_STR(value_str(value_at(e.items[i].val, 0)), str_of(digests[i]));
    }

    /* Cut anywhere it is refused, and nothing is read past its end. */
    size_t refused = 0;
    for (size_t n = 0; n < b.len; n++) {
        struct rvps_entries none = {0};
        struct str cut = base64_text(&a, str_bytes(b.ptr, n), BASE64_STD);
        refused += rvps_extract_corim(&a, cut, &none, NULL) == ERR_INVALID;
    }
    CHECK(refused == b.len);
}

int main(void)
{
    test_swid();
    test_corim();
    return tap_done();
}
