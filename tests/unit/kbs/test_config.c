/* The configuration of every version: what is read, the era, what is refused and where. */
#include <stdio.h>

#include "kbs/config.h"
#include "tap.h"

#define OLD_ADMIN "[admin]\ninsecure_api = true\n"
#define NEW_ADMIN "[admin]\nauthorization_mode = \"DenyAll\"\n"
#define AS "[attestation_service]\ntype = \"coco_as_builtin\"\n"
#define AZ AS "[attestation_service.verifier_config.az_vtpm]\n"
#define SNP AS "[attestation_service.verifier_config.snp_verifier]\n"
#define PLAIN "[http_server]\ninsecure_http = true\n"

struct warnings {
    char text[4096];
    int count;
};

static void warn(void *user, const char *text)
{
    struct warnings *w = user;
    w->count++;
    size_t len = strlen(w->text);
    snprintf(w->text + len, sizeof(w->text) - len, "%s\n", text);
}

static struct kbs_config *parse(const char *text, struct warnings *w, struct error *err)
{
    struct kbs_config *c = NULL;
    if (kbs_config_parse(STR("c.toml"), str_of(text), warn, w, &c, err) != OK)
        return NULL;
    return c;
}

/* kbs.md 13.4, rule 8. */
static void test_era(void)
{
    const struct {
        const char *name;
        const char *text;
        enum era era;
    } rows[] = {
        {"insecure_api", PLAIN OLD_ADMIN, ERA_OLD},
        {"auth_public_key", PLAIN "[admin]\nauth_public_key = \"/k\"\n", ERA_OLD},
        {"type", PLAIN "[admin]\ntype = \"DenyAll\"\n", ERA_NEW},
        {"type beside old keys (v0.17 operator)",
         PLAIN "[admin]\ntype = \"DenyAll\"\ninsecure_api = false\nauth_public_key = \"/k\"\n"
               "[policy_engine]\npolicy_path = \"/p\"\n[[plugins]]\nname = \"resource\"\n"
               "type = \"LocalFs\"\ndir_path = \"/d\"\n",
         ERA_NEW},
        {"storage_backend beside old keys", PLAIN OLD_ADMIN "[storage_backend]\n", ERA_NEW},
        {"storage_backend_type",
         PLAIN OLD_ADMIN "[[plugins]]\nname = \"resource\"\nstorage_backend_type = \"kvstorage\"\n",
         ERA_NEW},
        {"authorization_mode", PLAIN NEW_ADMIN, ERA_NEW},
        {"configured", PLAIN NEW_ADMIN "[claviger]\nera = \"old\"\n", ERA_OLD},
        {"configured the other way", PLAIN OLD_ADMIN "[claviger]\nera = \"new\"\n", ERA_NEW},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct warnings w = {"", 0};
        CLEANUP(kbs_config_cleanup) struct kbs_config *c = parse(rows[i].text, &w, &err);
        if (!CHECK_ROW(c != NULL, rows[i].name)) {
            printf("# %s\n", err.text);
            continue;
        }
        CHECK_ROW(c->era == rows[i].era, rows[i].name);
    }
}

static void test_refused(void)
{
    const struct {
        const char *name;
        const char *text;
        const char *error; /* file, line, key and what was expected */
    } rows[] = {
        {"no admin table", PLAIN, "`auth_public_key` is not set in the config file"},
        {"empty admin table", PLAIN "[admin]\n", "`auth_public_key` is not set in the config file"},
        {"wrong type", "[http_server]\nsockets = 8080\n" OLD_ADMIN,
         "c.toml:2:1: http_server.sockets: expected an array, got a number"},
        {"wrong element", "[http_server]\nsockets = [\n  true,\n]\n" OLD_ADMIN,
         "c.toml:3:3: http_server.sockets.0: expected a string, got a boolean"},
        {"no certificate", "[http_server]\n" OLD_ADMIN, "Missing certificate"},
        {"misspelt admin key (HARDEN kbs-10)", PLAIN "[admin]\ninsecure_api = true\ntipe = \"x\"\n",
         "c.toml:5:1: admin.tipe: unknown key; did you mean admin.type"},
        {"old key beside authorization_mode",
         PLAIN "[admin]\nauthorization_mode = \"DenyAll\"\ninsecure_api = true\n",
         "admin.insecure_api: unknown key beside `authorization_mode`"},
        {"unknown mode", PLAIN "[admin]\nauthorization_mode = \"Simple\"\n",
         "expected one of \"InsecureAllowAll\", \"DenyAll\", \"AuthenticatedAuthorization\", got "
         "\"Simple\""},
        {"no providers", PLAIN "[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n",
         "requires at least one `identity_providers` entry"},
        {"provider without keys",
         PLAIN "[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n"
               "[[admin.authentication.bearer_jwt.identity_providers]]\nissuer = \"x\"\n"
               "[admin.authorization.regex_acl]\n",
         "must set `public_key_uri` and/or `jwk_set_uri`"},
        {"pattern without anchors",
         PLAIN
         "[admin]\ntype = \"Simple\"\n[[admin.roles]]\nid = \"a\"\nallowed_endpoints = \"/kbs\"\n",
         "Admin Role regex must be anchored"},
        {"role twice",
         PLAIN
         "[admin]\ntype = \"Simple\"\n[[admin.roles]]\nid = \"a\"\nallowed_endpoints = \"^/kbs$\"\n"
         "[[admin.roles]]\nid = \"a\"\nallowed_endpoints = \"^/kbs$\"\n",
         "duplicate role \"a\""},
        {"another attestation service",
         PLAIN OLD_ADMIN "[attestation_service]\ntype = \"intel_ta\"\n",
         "\"intel_ta\" is not in this build"},
        {"service without type", PLAIN OLD_ADMIN "[attestation_service]\ntimeout = 5\n",
         "attestation_service: missing `type`"},
        {"unknown plugin", PLAIN OLD_ADMIN "[[plugins]]\nname = \"resorce\"\n",
         "expected one of \"resource\""},
        {"TLS versions crossed",
         PLAIN "tls_min_version = \"1.3\"\ntls_max_version = \"1.2\"\n" OLD_ADMIN,
         "tls_min_version (1.3) cannot be greater than tls_max_version (1.2)"},
        {"protocol that nobody has", PLAIN OLD_ADMIN "[claviger]\nprotocols = [\"0.1.0\"]\n",
         "expected one of \"0.1.1\", \"0.2.0\", \"0.4.0\""},
        {"a ring too small for anything", PLAIN OLD_ADMIN "[claviger]\ndecision_ring = 65535\n",
         "expected at least 65536 bytes"},
        {"a ring of no machine's size", PLAIN OLD_ADMIN "[claviger]\ndecision_ring = 1073741825\n",
         "claviger.decision_ring"},
        /* Of the attestation service, with the line, too. */
        {"minutes of another kind",
         PLAIN OLD_ADMIN AS
         "[attestation_service.attestation_token_broker]\nduration_min = \"x\"\n",
         "c.toml:8:1: attestation_service.attestation_token_broker.duration_min: expected a number "
         "of minutes"},
        {"an RVPS of another kind",
         PLAIN OLD_ADMIN AS "[attestation_service.rvps_config]\ntype = \"Builtin\"\n",
         "c.toml:8:1: attestation_service.rvps_config.type: expected one of \"BuiltIn\""},
        /* Read as `false` these would be protections that are off without a word. */
        {"a switch in words", PLAIN OLD_ADMIN AZ "require_user_data = \"true\"\n",
         "az_vtpm.require_user_data: expected true or false, got a string"},
        {"a switch that is a number", PLAIN OLD_ADMIN SNP "enforce_vek_dates = 1\n",
         "snp_verifier.enforce_vek_dates: expected true or false, got 1"},
        {"one measurement outside of a list",
         PLAIN OLD_ADMIN AZ "paravisor_measurements = \"00\"\n",
         "az_vtpm.paravisor_measurements: expected an array of strings, got a string"},
        {"no measurement", PLAIN OLD_ADMIN AZ "paravisor_measurements = [\"00\", 1]\n",
         "az_vtpm.paravisor_measurements.1: expected a string, got a number"},
        {"a mode that nobody has", PLAIN OLD_ADMIN SNP "crl = \"always\"\n",
         "snp_verifier.crl: expected one of \"if-available\", \"required\""},
        {"a table that is none",
         PLAIN OLD_ADMIN AS "[attestation_service.verifier_config]\nsnp_verifier = true\n",
         "verifier_config.snp_verifier: expected a table, got a boolean"},
        {"a list of words where tables belong", PLAIN OLD_ADMIN SNP "vcek_sources = [\"KDS\"]\n",
         "vcek_sources.0: expected a table, got a string"},
        {"a table where a list of them belongs",
         PLAIN OLD_ADMIN SNP "vcek_sources = { type = \"KDS\" }\n",
         "vcek_sources: expected an array of tables, got a table"},
        {"an empty list where a table belongs",
         PLAIN OLD_ADMIN AS "[attestation_service.verifier_config]\nsnp_verifier = []\n",
         "verifier_config.snp_verifier: expected a table, got an array"},
        {"broken TOML", "[http_server\n", "line 1, column"},
        {"NUL in a path", PLAIN "[admin]\nauth_public_key = \"/a\\u0000b\"\n", "contains a NUL"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct warnings w = {"", 0};
        CLEANUP(kbs_config_cleanup) struct kbs_config *c = parse(rows[i].text, &w, &err);
        CHECK_ROW(c == NULL, rows[i].name);
        if (!CHECK_ROW(strstr(err.text, rows[i].error) != NULL, rows[i].name))
            printf("#   got \"%s\"\n", err.text);
        CHECK_ROW(strstr(err.text, "failed to load configuration file") != NULL, rows[i].name);
    }
}

/* Keys of all versions beside each other; unknown ones warn once, with the nearest name. */
static void test_values(void)
{
    struct error err = ERROR_INIT;
    struct warnings w = {"", 0};
    CLEANUP(kbs_config_cleanup)
    struct kbs_config *c = parse(
        "[http_server]\nsockets = [\"0.0.0.0:8080\", \"[::1]:1\"]\ninsecure_http = \"true\"\n"
        "payload_request_size = \"7\"\nworker_cuont = 3\n"
        "[admin]\ntype = \"Simple\"\n[[admin.personas]]\nid = \"a\"\npublic_key_path = \"/a\"\n"
        "[attestation_token]\ninsecure_key = true\nattestation_token_type = \"CoCo\"\n"
        "[attestation_service]\ntype = \"coco_as_builtin\"\ntimeout = 9\n"
        "[storage_backend]\nstorage_type = \"local_json\"\n"
        "[storage_backend.backends.local_json]\ndir_path = \"/x\"\n"
        "[[plugins]]\nname = \"resource\"\n[[plugins]]\nname = \"sample\"\nitem = 5\n"
        "[elsewhere]\nx = 1\n",
        &w, &err);
    if (!CHECK(c != NULL)) {
        printf("# %s\n", err.text);
        return;
    }
    CHECK(c->sockets.len == 2 && str_is(c->sockets.items[1], "[::1]:1"));
    CHECK(c->insecure_http && c->payload_mib == 7 && c->session_minutes == 9);
    CHECK(c->insecure_header_jwk && !c->accept_foreign_header_keys);
    CHECK(c->admin_mode == ADMIN_SIMPLE && c->persona_count == 1);
    CHECK(c->storage_kind == STORAGE_KIND_LOCAL_JSON && str_is(c->storage_path, "/x"));
    CHECK(c->plugin_count == 2 && c->plugins[0].backend == RESOURCE_KV);
    CHECK(str_is(c->plugins[1].item, "5"));
    CHECK(kbs_config_serves(c, STR("0.1.1")) && !kbs_config_serves(c, STR("0.1.0")));
    CHECK(strstr(w.text, "c.toml:5:1: http_server.worker_cuont: unknown key, ignored; did you mean "
                         "http_server.worker_count") != NULL);
    CHECK(strstr(w.text, "elsewhere: unknown key, ignored") != NULL);
    CHECK(strstr(w.text, "attestation_token.attestation_token_type: has no effect") != NULL);
    CHECK(w.count == 3);
}

/* kbs.md 10.1, and SQLite beside it: every name, the path where one is given and where not. */
static void test_storage(void)
{
    const struct {
        const char *type, *backends; /* what stands in the tables */
        enum storage_kind kind;
        const char *path;
    } rows[] = {
        {"Memory", "", STORAGE_KIND_MEMORY, ""},
        {"LocalFs", "", STORAGE_KIND_LOCAL_FS, "/opt/confidential-containers/storage/local_fs"},
        {"local_fs", "[storage_backend.backends.local_fs]\ndir_path = \"/d\"",
         STORAGE_KIND_LOCAL_FS, "/d"},
        {"LocalJson", "", STORAGE_KIND_LOCAL_JSON,
         "/opt/confidential-containers/storage/local_json"},
        {"LocalJson",
         "[storage_backend.backends.local_json]\nfile_dir_path = \"/a\"\ndir_path = \"/b\"",
         STORAGE_KIND_LOCAL_JSON, "/a"},
        {"Sqlite", "", STORAGE_KIND_SQLITE, "/opt/confidential-containers/storage/claviger.sqlite"},
        {"sqlite", "[storage_backend.backends.sqlite]\npath = \"/x/y.db\"", STORAGE_KIND_SQLITE,
         "/x/y.db"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "[http_server]\ninsecure_http = true\n[admin]\nauthorization_mode = \"DenyAll\"\n"
                 "[storage_backend]\nstorage_type = \"%s\"\n%s\n",
                 rows[i].type, rows[i].backends);
        struct error err = ERROR_INIT;
        struct warnings w = {"", 0};
        CLEANUP(kbs_config_cleanup) struct kbs_config *c = parse(text, &w, &err);
        if (!CHECK_ROW(c != NULL, rows[i].type))
            continue;
        CHECK_ROW(c->storage_kind == rows[i].kind && c->era == ERA_NEW, rows[i].type);
        CHECK_ROW(rows[i].kind == STORAGE_KIND_MEMORY || str_is(c->storage_path, rows[i].path),
                  rows[i].type);
        CHECK_ROW(w.count == 0, rows[i].type);
    }
}

/* A misspelt key is told, wherever it stands; a word that is right is not. */
static void test_unknown(void)
{
    const struct {
        const char *text, *warning; /* NULL: none */
    } rows[] = {
        {AZ "paravisor_mesurements = []\n",
         "c.toml:8:1: attestation_service.verifier_config.az_vtpm.paravisor_mesurements: unknown "
         "key, "
         "ignored; did you mean "
         "attestation_service.verifier_config.az_vtpm.paravisor_measurements"},
        {AS "[attestation_service.verifier_config.sample_verfier]\n",
         "did you mean attestation_service.verifier_config.sample_verifier\n"},
        {AS "[attestation_service.verifier_config.snp_verifer]\ncrl = \"required\"\n",
         "did you mean attestation_service.verifier_config.snp_verifier\n"},
        {AS "[attestation_service.attestation_token_broker]\ndurration_min = 3\n",
         "did you mean attestation_service.attestation_token_broker.duration_min"},
        {AS "[[plugins]]\nname = \"resource\"\ntype = \"LocalFs\"\ndirpath = \"/x\"\n",
         "plugins.0.dirpath: unknown key, ignored; did you mean plugins.[].dir_path"},
        {AZ "paravisor_measurements = [\"00\"]\nrequire_user_data = true\n", NULL},
        {SNP "vcek_sources = [{type = \"KDS\"}, {type = \"OfflineStore\", path = \"/x\"}]\n", NULL},
        {AS "[attestation_service.verifier_config.sample_verifier]\nx = 1\n", NULL},
        {AS "[attestation_service.attestation_token_broker]\nduration_min = \"7\"\n"
            "verbose_token = \"True\"\n",
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct warnings w = {"", 0};
        char text[1024];
        snprintf(text, sizeof(text), "%s%s", PLAIN OLD_ADMIN, rows[i].text);
        CLEANUP(kbs_config_cleanup) struct kbs_config *c = parse(text, &w, &err);
        CHECK_STATUS_ROW(c == NULL ? ERR_INVALID : OK, OK, &err, rows[i].text);
        CHECK_ROW(w.count == (rows[i].warning != NULL), rows[i].text);
        if (rows[i].warning != NULL &&
            !CHECK_ROW(strstr(w.text, rows[i].warning) != NULL, rows[i].text))
            printf("#   got \"%s\"\n", w.text);
    }
}

/* YAML and JSON carry the same keys. */
static void test_formats(void)
{
    static const char json[] =
        "{\"http_server\":{\"insecure_http\":true},\"admin\":{\"insecure_api\":true}}";
    static const char yaml[] =
        "http_server:\n  insecure_http: true\nadmin:\n  insecure_api: true\n";
    struct kbs_config *c = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(kbs_config_parse(STR("c.json"), str_of(json), NULL, NULL, &c, &err), OK, &err);
    c = kbs_config_free(c);
    CHECK_STATUS(kbs_config_parse(STR("c.yaml"), str_of(yaml), NULL, NULL, &c, &err), OK, &err);
    c = kbs_config_free(c);
    CHECK(kbs_config_parse(STR("c.ini"), STR("a"), NULL, NULL, &c, &err) == ERR_INVALID);
    CHECK(kbs_config_parse(STR("c.json"), STR("[]"), NULL, NULL, &c, &err) == ERR_INVALID);
}

int main(void)
{
    test_era();
    test_refused();
    test_values();
    test_storage();
    test_unknown();
    test_formats();
    return tap_done();
}
