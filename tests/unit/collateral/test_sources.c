/* From where a configuration wants its collateral; Intel's sgx_default_qcnl.conf. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "collateral/sources.h"
#include "tap.h"
#include "value/json.h"

#define DEFAULTS                                                                                   \
    "https://api.trustedservices.intel.com/ https://certificates.trustedservices.intel.com/ "      \
    "https://kdsintf.amd.com/ "

static void test_sources(void)
{
    static const struct {
        const char *config;
        const char *allow; /* with a space behind each; NULL: refused */
        const char *says;
    } rows[] = {
        {"{}", DEFAULTS, ""},
        {"{\"dcap_verifier\":{\"collateral_service\":\"https://pccs:8081/sgx/certification/v4/\"}}",
         "https://pccs:8081/ https://kdsintf.amd.com/ ", ""},
        {"{\"dcap_verifier\":{\"collateral_service\":\"file:///a.json\"}}",
         "https://kdsintf.amd.com/ ", ""},
        {"{\"snp_verifier\":{\"vcek_sources\":[{\"type\":\"OfflineStore\"}]},"
         "\"dcap_verifier\":{\"collateral_service\":\"file:///a.json\"}}",
         "", ""},
        {"{\"snp_verifier\":{\"vcek_sources\":[{\"type\":\"OfflineStore\"}],\"crl\":\"required\"},"
         "\"dcap_verifier\":{\"collateral_service\":\"file:///a.json\"}}",
         "https://kdsintf.amd.com/ ", ""},
        {"{\"snp_verifier\":{\"vcek_sources\":[{\"type\":\"KDS\",\"base_url\":\"https://k/kds/\"},"
         "{\"type\":\"KDS\"},{\"type\":\"KDS\"}]},"
         "\"dcap_verifier\":{\"collateral_service\":\"file:///a.json\"}}",
         "https://k/kds/ https://kdsintf.amd.com/ ", ""},
        {"{\"collateral\":{\"grace_hours\":24,\"offline\":true,\"cache_dir\":\"/c\"}}", DEFAULTS,
         ""},
        {"{\"dcap_verifier\":{\"collateral_service\":\"https://u@pccs/\"}}", NULL, "no address"},
        {"{\"snp_verifier\":{\"vcek_sources\":[{\"type\":\"KDS\",\"base_url\":\"ftp://k\"}]}}",
         NULL, "no address"},
        {"{\"collateral\":{\"grace\":24}}", NULL, "has no key \"grace\""},
        {"{\"collateral\":{\"grace_hours\":-1}}", NULL, "grace_hours"},
        {"{\"collateral\":{\"grace_hours\":8760}}", DEFAULTS, ""},
        {"{\"collateral\":{\"grace_hours\":8761}}", NULL, "grace_hours"},
        {"{\"collateral\":{\"grace_hours\":\"24\"}}", NULL, "grace_hours"},
        {"{\"collateral\":{\"offline\":\"yes\"}}", NULL, "offline"},
        {"{\"collateral\":{\"cache_dir\":7}}", NULL, "cache_dir"},
        {"{\"collateral\":{\"ca_file\":\"a\\u0000b\"}}", NULL, "ca_file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1024 * 1024);
        value config;
        struct collateral_sources s;
        struct error err = ERROR_INIT;
        CHECK_ROW(json_parse(&a, str_of(rows[i].config), NULL, &config, &err) == OK,
                  rows[i].config);
        enum status st = collateral_sources_read(&a, config, &s, &err);
        CHECK_ROW(st == (rows[i].allow != NULL ? OK : ERR_INVALID), rows[i].config);
        CHECK_ROW(strstr(err.text, rows[i].says) != NULL, rows[i].config);
        char all[1024] = "";
        for (size_t k = 0; st == OK && s.allow[k] != NULL; k++)
            snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", s.allow[k]);
        if (st == OK)
            CHECK_STR_ROW(str_of(all), str_of(rows[i].allow), rows[i].config);
    }
}

static void test_sources_sweep(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    value config;
    struct collateral_sources s;
    CHECK(json_parse(&a, STR("{\"collateral\":{\"cache_dir\":\"/c\"}}"), NULL, &config, NULL) ==
          OK);
    for (size_t max = 0; max < 8192; max += 512) {
        CLEANUP(arena_done) struct arena small;
        arena_init(&small, max);
        enum status st = collateral_sources_read(&small, config, &s, NULL);
        CHECK(st == OK || st == ERR_NOMEM);
    }
}

static void test_qcnl(void)
{
    static const struct {
        const char *text, *service;
        bool secure;
        enum status want;
    } rows[] = {
        {"{\"collateral_service\": \"https://a/sgx/certification/v4/\"}",
         "https://a/sgx/certification/v4/", true, OK},
        {"{// comment\n\"pccs_url\": \"https://localhost:8081/sgx/certification/v4/\" // \"x\"\n,"
         "\"use_secure_cert\": false, \"retry_times\": 6}",
         "https://localhost:8081/sgx/certification/v4/", false, OK},
        {"{\"pccs_url\":\"https://p/\",\"collateral_service\":\"https://c/\"}", "https://c/", true,
         OK},
        {"{\"pccs_url\":\"https://p/?a=\\\"//\"}", "https://p/?a=\"//", true, OK},
        {"{\"collateral_service\":\"file:///x.json\"}", "file:///x.json", true, OK},
        {"{}", "", true, OK},
        {"{\"Collateral_Service\":\"https://c/\"}", "", true, OK},
        {"", "", true, ERR_INVALID},
        {"[]", "", true, ERR_INVALID},
        {"{\"collateral_service\":\"gopher://c/\"}", "", true, ERR_INVALID},
        {"{\"collateral_service\":\"https://u@c/\"}", "", true, ERR_INVALID},
        {"{\"collateral_service\":7}", "", true, ERR_INVALID},
        {"{\"pccs_url\":null}", "", true, ERR_INVALID},
        {"{\"use_secure_cert\":\"FALSE\"}", "", true, ERR_INVALID},
        {"PCCS_URL=https://localhost:8081/", "", true, ERR_INVALID}, /* its form before 1.12 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1024 * 1024);
        struct str service = STR_EMPTY;
        bool secure = true;
        enum status st = qcnl_parse(&a, str_of(rows[i].text), &service, &secure, NULL);
        CHECK_ROW(st == rows[i].want, rows[i].text);
        if (st == OK) {
            CHECK_STR_ROW(service, str_of(rows[i].service), rows[i].text);
            CHECK_ROW(secure == rows[i].secure, rows[i].text);
        }
    }
}

static void test_apply(void)
{
    static const struct {
        const char *name, *file; /* NULL: not there */
        const char *config;
        const char *want; /* the configuration afterwards */
        enum status status;
    } rows[] = {
        {"no file", NULL, "{}", "{}", OK},
        {"its service", "{\"collateral_service\":\"https://q/\"}", "{\"a\":1}",
         "{\"a\":1,\"dcap_verifier\":{\"collateral_service\":\"https://q/\",\"use_secure_cert\":"
         "true}}",
         OK},
        {"beside other keys", "{\"pccs_url\":\"https://q/\",\"use_secure_cert\":false}",
         "{\"dcap_verifier\":{\"tcb_update_type\":\"standard\"}}",
         "{\"dcap_verifier\":{\"collateral_service\":\"https://q/\",\"tcb_update_type\":"
         "\"standard\",\"use_secure_cert\":false}}",
         OK},
        {"the configuration wins", "{\"collateral_service\":\"https://q/\"}",
         "{\"dcap_verifier\":{\"collateral_service\":\"https://t/\"}}",
         "{\"dcap_verifier\":{\"collateral_service\":\"https://t/\"}}", OK},
        {"malformed", "{", "{}", "{}", ERR_INVALID},
        {"says nothing", "{}", "{}", "{}", OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 1024 * 1024);
        char path[4096];
        snprintf(path, sizeof(path), "%s/qcnl-%zu", tap_tmpdir(), i);
        if (rows[i].file != NULL)
            CHECK(file_write(path, str_of(rows[i].file), 0644, NULL) == OK);
        value config, want = VALUE_UNDEFINED;
        CHECK(json_parse(&a, str_of(rows[i].config), NULL, &config, NULL) == OK &&
              json_parse(&a, str_of(rows[i].want), NULL, &want, NULL) == OK);
        CHECK_ROW(qcnl_apply(&a, path, &config, NULL) == rows[i].status, rows[i].name);
        CHECK_ROW(value_equal(config, want), rows[i].name);
    }
}

int main(void)
{
    test_sources();
    test_sources_sweep();
    test_qcnl();
    test_apply();
    return tap_done();
}
