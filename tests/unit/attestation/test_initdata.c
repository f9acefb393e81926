/* Init data and runtime data: attestation-service.md 6.2, 6.3; guest-initdata.md 2, 4, 5. */
#include <stdio.h>

#include "attestation/attestation_internal.h"
#include "attestation/initdata.h"
#include "base/encode.h"
#include "tap.h"
#include "value/json.h"

#define HEAD "algorithm = \"sha256\"\nversion = \"0.1.0\"\n"

static void test_claims(void)
{
    const struct {
        const char *name, *toml, *want; /* want NULL: refused */
    } rows[] = {
        {"nothing inside", HEAD "[data]\n", "{}"},
        {"other names stay texts", HEAD "[data]\nnote = \"a = 1\"\n", "{\"note\":\"a = 1\"}"},
        {"aa.toml and cdh.toml are read",
         HEAD "[data]\n\"aa.toml\" = 'a = 1'\n\"cdh.toml\" = 'b = [true]'\n",
         "{\"aa.toml\":{\"a\":1},\"cdh.toml\":{\"b\":[true]}}"},
        {"or stay texts", HEAD "[data]\n\"aa.toml\" = 'a ='\n", "{\"aa.toml\":\"a =\"}"},
        {"policy data",
         HEAD "[data]\n\"policy.rego\" = 'package p; policy_data := {\"a\": [1]} '\n",
         "{\"agent_policy_claims\":{\"a\":[1]}}"},
        {"policy data that is not the end",
         HEAD "[data]\n\"policy.rego\" = 'policy_data := {} x := 1'\n",
         "{\"policy.rego\":\"policy_data := {} x := 1\"}"},
        {"another spelling of it", HEAD "[data]\n\"policy.rego\" = 'policy_data  := {}'\n",
         "{\"policy.rego\":\"policy_data  := {}\"}"},
        {"the first one counts",
         HEAD "[data]\n\"policy.rego\" = 'policy_data := {}\npolicy_data := {}'\n", NULL},
        {"further members are ignored", HEAD "x = 1\n[data]\n", "{}"},
        {"other version", "algorithm = \"sha256\"\nversion = \"9\"\n[data]\n", "{}"},
        {"no version", "algorithm = \"sha256\"\n[data]\n", NULL},
        {"version is a number", "algorithm = \"sha256\"\nversion = 1\n[data]\n", NULL},
        {"no algorithm", "version = \"0.1.0\"\n[data]\n", NULL},
        {"upper case algorithm", "algorithm = \"SHA256\"\nversion = \"0.1.0\"\n[data]\n", NULL},
        {"IANA's name", "algorithm = \"sha-256\"\nversion = \"0.1.0\"\n[data]\n", NULL},
        {"no data", HEAD, NULL},
        {"data is no table", HEAD "data = 1\n", NULL},
        {"a number in data", HEAD "[data]\nx = 1\n", NULL},
        {"no TOML", "{", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct error err = ERROR_INIT;
        struct init_data d;
        enum status st = init_data_parse(&a, str_of(rows[i].toml), &d, &err);
        /* A literal string cannot hold a line feed, so that row is refused as TOML. */
        CHECK_STATUS_ROW(st, rows[i].want == NULL ? ERR_INVALID : OK, &err, rows[i].name);
        if (st == OK)
            CHECK_STR_ROW(json_text(&a, d.claims, JSON_COMPACT), str_of(rows[i].want),
                          rows[i].name);
    }
}

static void test_digests(void)
{
    static const char doc[] =
        "algorithm = \"sha256\"\nversion = \"0.1.0\"\n\n[data]\n\"aa.toml\" = '''\n"
        "[token_configs.kbs]\nurl = \"http://kbs.example:8080\"\n'''\n"
        "\"note\" = \"hello\"\n";
    static const char invented[] =
        "algorithm = \"sha256\"\nversion = \"0.1.0\"\n\n[data]\n\"aa.toml\" = '''\n'''";
    const struct {
        const char *name, *text, *digest, *pcr8;
    } rows[] = {
        {"attestation-service.md 8.7", doc,
         "4aa9b47e6dbd847a0eed7840e216410e97cab0bd35e84fe793dc4b926cdea787", NULL},
        {"what a guest without init data invents", invented,
         "adb48cc14fea9403d3d51f3b5f5068fd4d80445a14e94f1b3d5dbabaad66478d",
         "4b58b30becd30d16f7f60d56b32661d921ae0d3310c6a89f5d552f9bfee921a9"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1 << 20);
        struct error err = ERROR_INIT;
        struct init_data d;
        CHECK_STATUS_ROW(init_data_parse(&a, str_of(rows[i].text), &d, &err), OK, &err,
                         rows[i].name);
        CHECK_STR_ROW(hex_text(&a, digest_str(&d.digest)), str_of(rows[i].digest), rows[i].name);
        struct digest pcr;
        init_data_pcr8(&d.digest, &pcr);
        if (rows[i].pcr8 != NULL)
            CHECK_STR_ROW(hex_text(&a, digest_str(&pcr)), str_of(rows[i].pcr8), rows[i].name);
    }
}

static void test_text(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 << 20);
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, INIT_DATA_TEXT_MAX);
    CLEANUP(buf_done) struct buf back;
    buf_init(&back, INIT_DATA_MAX + 1);
    static const struct str doc = {HEAD "[data]\n", sizeof(HEAD "[data]\n") - 1};
    CHECK_STATUS(init_data_encode(doc, &text, &err), OK, &err);
    CHECK(memchr(text.ptr, '\n', text.len) == NULL);
    CHECK_STATUS(init_data_decode(buf_str(&text), &back, &err), OK, &err);
    CHECK_STR(buf_str(&back), doc);

    /* Lines of a shell's base64 without -w0. */
    struct str folded =
        arena_format(&a, "%.8s\r\n%s\n", text.ptr, arena_str(&a, buf_str(&text)).ptr + 8);
    buf_reset(&back);
    CHECK_STATUS(init_data_decode(folded, &back, &err), OK, &err);
    CHECK_STR(buf_str(&back), doc);

    struct str packed;
    CHECK(base64_bytes(&a, buf_str(&text), BASE64_STD, &packed, NULL) == OK);
    struct str twice = arena_format(&a, "%s", "");
    CLEANUP(buf_done) struct buf two;
    buf_init(&two, 1 << 16);
    buf_add(&two, packed);
    buf_add(&two, packed);
    twice = base64_text(&a, buf_str(&two), BASE64_STD);
    CLEANUP(buf_done) struct buf wrong_sum;
    buf_init(&wrong_sum, 1 << 16);
    buf_add(&wrong_sum, packed);
    wrong_sum.ptr[packed.len - 5] ^= 1;

    const struct {
        const char *name;
        struct str text;
        enum status want;
    } rows[] = {
        {"empty", STR_EMPTY, ERR_INVALID},
        {"not base64", STR("*"), ERR_INVALID},
        {"a blank inside", STR("H4sI AAAA"), ERR_INVALID},
        {"plain TOML in base64", base64_text(&a, doc, BASE64_STD), ERR_INVALID},
        {"cut off", base64_text(&a, str_slice(packed, 0, packed.len - 9), BASE64_STD), ERR_INVALID},
        {"wrong checksum", base64_text(&a, buf_str(&wrong_sum), BASE64_STD), ERR_INVALID},
        {"a second member", twice, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&back);
        CHECK_STATUS_ROW(init_data_decode(rows[i].text, &back, &err), rows[i].want, &err,
                         rows[i].name);
    }

    /* The limit, and one past it; both compress to next to nothing. */
    for (size_t over = 0; over < 2; over++) {
        char *zeros = arena_zalloc(&a, INIT_DATA_MAX + over, 1);
        buf_reset(&text);
        enum status st = init_data_encode(str_bytes(zeros, INIT_DATA_MAX + over), &text, &err);
        CHECK(st == (over == 0 ? OK : ERR_LIMIT));
        buf_reset(&back);
        if (over == 0)
            CHECK(init_data_decode(buf_str(&text), &back, &err) == OK && back.len == INIT_DATA_MAX);
    }
}

static void test_runtime_data(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct attestation_request r = {.runtime_hash = DIGEST_SHA384};
    struct str expected;
    value claims;
    CHECK(runtime_data_expect(&a, &r, &expected, &claims, NULL) == OK);
    CHECK(expected.len == 0 && value_kind(claims) == VALUE_KIND_NULL);

    r.runtime_kind = RUNTIME_RAW;
    r.runtime_raw = STR("aaaaa");
    CHECK(runtime_data_expect(&a, &r, &expected, &claims, NULL) == OK);
    CHECK_STR(expected, STR("aaaaa"));
    CHECK(value_kind(claims) == VALUE_KIND_NULL);

    r.runtime_kind = RUNTIME_STRUCTURED;
    CHECK(json_parse(&a, STR("{\"b\":1,\"a\":\"test\",\"c\":{\"d\":\"e\"}}"), NULL, &r.runtime_data,
                     NULL) == OK);
    CHECK(runtime_data_expect(&a, &r, &expected, &claims, NULL) == OK);
    CHECK_STR(
        hex_text(&a, expected),
        STR("e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c4597480a186427c813ca94"
            "1da78870c3"));
    CHECK(value_equal(claims, r.runtime_data));
}

int main(void)
{
    test_claims();
    test_digests();
    test_text();
    test_runtime_data();
    return tap_done();
}
