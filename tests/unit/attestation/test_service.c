/* The service: configuration to token, over sample evidence. */
#include <unistd.h>

#include "with_service.h"

#define NOW 1767225600 /* 2026-01-01T00:00:00Z */
#define SAMPLE "\"verifier_config\":{\"sample_verifier\":{},\"sample_device_verifier\":{}}"
#define NEW "{" SAMPLE ",\"storage_backend\":{\"storage_type\":\"Memory\"}}"
#define OLD                                                                                        \
    "{" SAMPLE ",\"attestation_token_broker\":{\"type\":\"Ear\",\"policy_dir\":\"%s/old\"},"       \
    "\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"type\":\"LocalJson\","                   \
    "\"file_path\":\"%s/old/values.json\"}}}"

static struct attestation_result evaluate(struct with_service *w, struct attestation_request *r,
                                          size_t n, struct checks *checks, enum status want,
                                          const char *row)
{
    struct attestation_result out;
    struct error err = ERROR_INIT;
    checks_init(checks, &w->a);
    enum status st = attestation_evaluate(w->s, &w->a, r, n, NULL, 0, w->now_ns / NS_PER_S, true,
                                          checks, &out, &err);
    CHECK_STATUS_ROW(st, want, &err, row);
    return out;
}

static struct str part(struct with_service *w, struct str token, int n)
{
    size_t from = 0;
    for (; n > 0; n--)
        from = str_find(token, '.', from) + 1;
    struct str out = STR_EMPTY;
    CHECK(base64_bytes(&w->a, str_slice(token, from, str_find(token, '.', from) - from), BASE64_URL,
                       &out, NULL) == OK);
    return out;
}

/* attestation-service.md 8.7, byte for byte. */
static void test_worked_example(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
    with_values(&w, STR("{\"svn\":[\"7\"],\"launch_digest\":[\"abcde\"],\"major_version\":1,"
                        "\"minimum_minor_version\":2}"));
    static const char runtime[] =
        "{\"additional-evidence\":\"\",\"nonce\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\","
        "\"tee-pubkey\":{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\","
        "\"x\":\"r3MTg1pQbQX7Ck6v9J0Hn1l2yq8s5uVwYzAbCdEfGhI\","
        "\"y\":\"0kLmNoPqRsTuVwXyZ1a2B3c4D5e6F7g8H9i0JkLmNoP\"}}";
    struct attestation_request r = with_sample(&w, "sample", "7", runtime);
    r.init_kind = INIT_TOML;
    r.init_data = STR("algorithm = \"sha256\"\nversion = \"0.1.0\"\n\n[data]\n\"aa.toml\" = '''\n"
                      "[token_configs.kbs]\nurl = \"http://kbs.example:8080\"\n'''\n"
                      "\"note\" = \"hello\"\n");
    struct checks checks;
    struct attestation_result out = evaluate(&w, &r, 1, &checks, OK, "8.7");
    CHECK(out.affirming && out.issued_s == NOW && out.expires_s == NOW + 300);
    CHECK(checks.reason.check == CHECK_NONE);
    CHECK_STR(
        part(&w, out.token, 1),
        STR("{\"eat_profile\":\"tag:github.com,2024:confidential-containers/Trustee\","
            "\"iat\":1767225600,\"ear.verifier-id\":{\"developer\":"
            "\"https://confidentialcontainers.org\",\"build\":\"attestation-service 0.1.0\"},"
            "\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":{"
            "\"instance-identity\":0,\"configuration\":2,\"executables\":3,\"file-system\":0,"
            "\"hardware\":2,\"runtime-opaque\":0,\"storage-opaque\":0,\"sourced-data\":0},"
            "\"ear.appraisal-policy-id\":\"default\",\"ear.veraison.annotated-evidence\":{"
            "\"init_data\":\"Sqm0fm29hHoO7XhA4hZBDpfKsL016E/nk9xLkmzep4c=\",\"init_data_claims\":{"
            "\"aa.toml\":{\"token_configs\":{\"kbs\":{\"url\":\"http://kbs.example:8080\"}}},"
            "\"note\":\"hello\"},\"report_data\":"
            "\"XcrIu7NPtqaYijHMmykHgnpboeZNzupGOHzRxd53WbeeYEkSVJWJmtKd3gUMiPuQ\","
            "\"runtime_data_claims\":{\"additional-evidence\":\"\",\"nonce\":"
            "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\",\"tee-pubkey\":{\"alg\":"
            "\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":"
            "\"r3MTg1pQbQX7Ck6v9J0Hn1l2yq8s5uVwYzAbCdEfGhI\",\"y\":"
            "\"0kLmNoPqRsTuVwXyZ1a2B3c4D5e6F7g8H9i0JkLmNoP\"}},\"sample\":{\"debug\":false,"
            "\"launch_digest\":\"abcde\",\"platform_version\":{\"major\":1,\"minor\":4},"
            "\"svn\":\"7\"}},\"ear.trustee.identifiers\":{\"validated\":{}}}},\"exp\":1767225900,"
            "\"iss\":\"CoCo-Attestation-Service\"}"));

    /* HARDEN as-2: the KBS beside it checks tokens under exactly this key, not the header's. */
    struct jws t;
    CHECK_STATUS(jws_parse(&w.a, out.token, &t, &err), OK, &err);
    CHECK_STATUS(jws_verify(&t, attestation_key(w.s), STR("ES256"), &err), OK, &err);
    value keys;
    CHECK(attestation_jwks(w.s, &w.a, &keys) == OK);
    CHECK(value_equal(value_at(value_get_lit(keys, "keys"), 0), value_get_lit(t.header, "jwk")));

    /* Signed again, only the signature may differ. */
    struct str again;
    CHECK_STATUS(attestation_sign(w.s, &w.a, out.claims, &again, &err), OK, &err);
    CHECK_STR(part(&w, again, 0), part(&w, out.token, 0));
    CHECK_STR(part(&w, again, 1), part(&w, out.token, 1));
}

/* Built-in policies of both eras (11): matching and not, in every combination. */
static void test_defaults(void)
{
    const struct {
        const char *svn, *digest;
        int executables, hardware;
        const char *status;
    } rows[] = {
        {"7", "abcde", 3, 2, NULL},
        {"8", "abcde", 3, 97, "contraindicated"},
        {"7", "other", 33, 2, "warning"},
        {"8", "other", 33, 97, "contraindicated"},
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        bool old = i >= ARRAY_LEN(rows);
        size_t k = i % ARRAY_LEN(rows);
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, old ? OLD : NEW, old ? ERA_OLD : ERA_NEW, NOW, &err), OK, &err);
        with_values(&w, arena_format(&w.a,
                                     "{\"svn\":[\"%s\"],\"launch_digest\":[\"%s\"],"
                                     "\"major_version\":1,\"minimum_minor_version\":4}",
                                     rows[k].svn, rows[k].digest));
        struct attestation_request r = with_sample(&w, "sample", "7", "{}");
        struct checks checks;
        struct attestation_result out = evaluate(&w, &r, 1, &checks, OK, rows[k].svn);
        value cpu =
            value_get_str(value_get_lit(out.claims, "submods"), old ? STR("cpu") : STR("cpu0"));
        value v = value_get_lit(cpu, "ear.trustworthiness-vector");
        int64_t executables = -1, hardware = -1, configuration = -1;
        CHECK(value_get_int64(value_get_lit(v, "executables"), &executables) &&
              executables == rows[k].executables);
        CHECK(value_get_int64(value_get_lit(v, "hardware"), &hardware) &&
              hardware == rows[k].hardware);
        /* v0.13 has no configuration row for sample. */
        CHECK(value_get_int64(value_get_lit(v, "configuration"), &configuration) &&
              configuration == (old ? 36 : 2));
        CHECK(value_len(v) == (old ? 3 : 8));
        CHECK(value_is_defined(value_get_lit(out.claims, "iss")) == !old);
        const char *status = rows[k].status != NULL ? rows[k].status
                             : old                  ? "warning"
                                                    : "affirming";
        CHECK_STR(out.status, str_of(status));
        CHECK(out.affirming == (strcmp(status, "affirming") == 0));
    }
}

static void test_devices(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
    with_values(&w, STR("{\"svn\":[\"7\"],\"launch_digest\":[\"abcde\"],\"major_version\":1,"
                        "\"minimum_minor_version\":2,\"device_svn\":[\"2\"]}"));
    struct attestation_request r[] = {with_sample(&w, "sample", "7", "{\"n\":1}"),
                                      with_sample(&w, "sampledevice", "2", "{\"n\":1}"),
                                      with_sample(&w, "sampledevice", "3", "{\"n\":1}")};
    struct checks checks;
    struct attestation_result out = evaluate(&w, r, 3, &checks, OK, "devices");
    value submods = value_get_lit(out.claims, "submods");
    CHECK_STR(value_str(value_get_lit(value_get_lit(submods, "cpu0"), "ear.status")),
              STR("affirming"));
    int64_t hardware = 0;
    CHECK(value_get_int64(value_get_lit(value_get_lit(value_get_lit(submods, "gpu0"),
                                                      "ear.trustworthiness-vector"),
                                        "hardware"),
                          &hardware) &&
          hardware == 2);
    CHECK(value_get_int64(value_get_lit(value_get_lit(value_get_lit(submods, "gpu1"),
                                                      "ear.trustworthiness-vector"),
                                        "hardware"),
                          &hardware) &&
          hardware == 97);
    CHECK(!out.affirming);
    CHECK_STR(out.status, STR("contraindicated"));

    /* A failing device fails the whole call (6.7). */
    r[2].runtime_data = with_json(&w, "{\"n\":2}");
    evaluate(&w, r, 3, &checks, ERR_DENIED, "one device is wrong");
    CHECK(checks.reason.check == CHECK_REPORT_DATA);
    evaluate(&w, r, 0, &checks, ERR_DENIED, "no requests");
    CHECK(checks.reason.check == CHECK_REQUEST_FORMAT);
}

/* S3, S4 and 7.3: what each policy text gives. */
static void test_policies(void)
{
#define P "package policy\nimport rego.v1\n"
    const struct {
        const char *name, *id, *text;
        const char *want; /* the trust vector, or NULL: refused */
        enum check_id check;
        const char *extensions; /* members beside the four, or NULL */
    } rows[] = {
        {"D", "default", P "trust_claims := {\"hardware\": 2}", "{\"hardware\":2}", CHECK_NONE,
         NULL},
        {"D by parts", "default",
         P "trust_claims[k] := 2 if some k in [\"hardware\", \"file-system\"]",
         "{\"file-system\":2,\"hardware\":2}", CHECK_NONE, NULL},
        {"D by constant parts (7.4)", "default", P "trust_claims[\"hardware\"] := 2 if true",
         "{\"hardware\":2}", CHECK_NONE, NULL},
        {"C", "default_cpu", P "result := {\"executables\": 33}", "{\"executables\":33}",
         CHECK_NONE, NULL},
        {"D wins over C", "default",
         P "result := {\"executables\": 33}\ntrust_claims := {\"hardware\": 2}", "{\"hardware\":2}",
         CHECK_NONE, NULL},
        {"A", "default", P "hardware := 2\nfile_system := 3", "{\"file-system\":3,\"hardware\":2}",
         CHECK_NONE, NULL},
        {"B", "default_cpu", P "sourced_data := -2", "{\"sourced-data\":-2}", CHECK_NONE, NULL},
        {"v0", "default", "package policy\ndefault hardware = 97\nhardware = 2 { input.sample }",
         "{\"hardware\":2}", CHECK_NONE, NULL},
        {"largest and smallest", "default", P "hardware := 127\nexecutables := -128",
         "{\"executables\":-128,\"hardware\":127}", CHECK_NONE, NULL},
        {"one past the largest", "default", P "hardware := 128", NULL, CHECK_POLICY_ERROR, NULL},
        {"no integer", "default", P "hardware := 2.5", NULL, CHECK_POLICY_ERROR, NULL},
        {"a string", "default", P "hardware := \"2\"", NULL, CHECK_POLICY_ERROR, NULL},
        {"300 is no 44", "default", P "trust_claims := {\"hardware\": 300}", NULL,
         CHECK_TRUST_CLAIMS, NULL},
        {"unknown claim", "default", P "trust_claims := {\"hardware\": 2, \"hard_ware\": 2}", NULL,
         CHECK_TRUST_CLAIMS, NULL},
        {"not an object", "default", P "trust_claims := [2]", NULL, CHECK_TRUST_CLAIMS, NULL},
        {"undefined", "default", P "trust_claims := {\"hardware\": 2} if input.nothing", NULL,
         CHECK_TRUST_CLAIMS, NULL},
        {"undefined rule without default", "default", P "hardware := 2 if input.nothing", NULL,
         CHECK_POLICY_ERROR, NULL},
        {"README 2: no known rule, never none", "default", P "allow := true", NULL,
         CHECK_TRUST_CLAIMS, NULL},
        {"empty claims", "default", P "trust_claims := {}", NULL, CHECK_TRUST_CLAIMS, NULL},
        {"another package", "default", "package other\nhardware := 2", NULL, CHECK_TRUST_CLAIMS,
         NULL},
        {"a built-in error is an error in A too", "default",
         P "hardware := 2 if to_number(\"x\") == 1\ndefault hardware := 97", NULL,
         CHECK_POLICY_ERROR, NULL},
        {"two results", "default", P "hardware := 2\nhardware := 3", NULL, CHECK_POLICY_ERROR,
         NULL},
        {"extensions", "default",
         P "trust_claims := {\"hardware\": 2}\nextensions := [{\"name\": \"b\", \"key\": 2, "
           "\"value\": [1]}, "
           "{\"name\": \"a\", \"key\": 1, \"value\": input.sample.svn}, {\"name\": \"n\", \"key\": "
           "3, "
           "\"value\": null}]",
         "{\"hardware\":2}", CHECK_NONE, "{\"a\":\"7\",\"b\":[1]}"},
        {"extensions are absent", "default",
         P "trust_claims := {\"hardware\": 2}\nextensions := [] if input.nothing",
         "{\"hardware\":2}", CHECK_NONE, "{}"},
        {"extension twice", "default",
         P "trust_claims := {\"hardware\": 2}\nextensions := [{\"name\": \"a\", \"key\": 2, "
           "\"value\": 1}, "
           "{\"name\": \"a\", \"key\": 1, \"value\": 1}]",
         NULL, CHECK_POLICY_ERROR, NULL},
        {"key twice", "default",
         P "trust_claims := {\"hardware\": 2}\nextensions := [{\"name\": \"a\", \"key\": 1, "
           "\"value\": 1}, "
           "{\"name\": \"b\", \"key\": 1, \"value\": 1}]",
         NULL, CHECK_POLICY_ERROR, NULL},
        {"key too large", "default",
         P
         "trust_claims := {\"hardware\": 2}\nextensions := [{\"name\": \"a\", \"key\": 2147483648, "
         "\"value\": 1}]",
         NULL, CHECK_POLICY_ERROR, NULL},
        {"extension that would be the status", "default",
         P "trust_claims := {\"hardware\": 97}\nextensions := [{\"name\": \"ear.status\", \"key\": "
           "1, "
           "\"value\": \"affirming\"}]",
         NULL, CHECK_POLICY_ERROR, NULL},
        {"no array", "default", P "trust_claims := {\"hardware\": 2}\nextensions := {}", NULL,
         CHECK_POLICY_ERROR, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
        CHECK_STATUS_ROW(with_policy(&w, rows[i].id, rows[i].text, &err), OK, &err, rows[i].name);
        struct attestation_request r = with_sample(&w, "sample", "7", "{}");
        struct checks checks;
        struct attestation_result out =
            evaluate(&w, &r, 1, &checks, rows[i].want == NULL ? ERR_DENIED : OK, rows[i].name);
        if (rows[i].want == NULL) {
            CHECK_STR_ROW(str_of(check_name(checks.reason.check)),
                          str_of(check_name(rows[i].check)), rows[i].name);
            continue;
        }
        value cpu = value_get_lit(value_get_lit(out.claims, "submods"), "cpu0");
        CHECK_STR_ROW(with_text(&w, value_get_lit(cpu, "ear.trustworthiness-vector")),
                      str_of(rows[i].want), rows[i].name);
        CHECK_STR_ROW(value_str(value_get_lit(cpu, "ear.appraisal-policy-id")), STR("default"),
                      rows[i].name);
        if (rows[i].extensions == NULL)
            continue;
        static const char *const own[] = {"ear.status", "ear.trustworthiness-vector",
                                          "ear.appraisal-policy-id",
                                          "ear.veraison.annotated-evidence"};
        for (size_t k = 0; k < ARRAY_LEN(own); k++)
            cpu = value_object_with(&w.a, cpu, value_cstring(&w.a, own[k]), VALUE_UNDEFINED);
        CHECK_STR_ROW(with_text(&w, cpu), str_of(rows[i].extensions), rows[i].name);
    }
}

/* S3's order, 7.8, README 4. */
static void test_store(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
    value list;
    CHECK(attestation_list_policies(w.s, &w.a, &list, &err) == OK);
    CHECK_STR(value_str(value_get_lit(value_at(list, 0), "policy-id")), STR("default_cpu"));
    CHECK(value_len(list) == 4);

    CHECK_STATUS(with_policy(&w, "default", P "hardware := 2", &err), OK, &err);
    CHECK(attestation_list_policies(w.s, &w.a, &list, &err) == OK);
    CHECK_STR(
        with_text(&w, value_at(list, 0)),
        STR("{\"policy-hash\":\"Ml33DkxSuXGF2lMSZlknUn88ngVACKaCJq4la3wsyqjdgTlwdjkfD5swMgp_FVYk\","
            "\"policy-id\":\"default\"}"));
    CHECK_ROW(value_len(list) == 4, "a stored default hides the built-in for cpu");
    struct str text;
    CHECK(attestation_get_policy(w.s, &w.a, STR("default"), &text, &err) == OK);
    CHECK_STR(text, STR(P "hardware := 2"));
    CHECK(attestation_get_policy(w.s, &w.a, STR("default_gpu"), &text, &err) == OK);
    CHECK(attestation_get_policy(w.s, &w.a, STR("none"), &text, &err) == ERR_NOT_FOUND);

    CHECK_STATUS(with_policy(&w, "default_cpu", P "hardware := 3", &err), OK, &err);
    struct attestation_request r = with_sample(&w, "sample", "7", "{}");
    struct checks checks;
    struct attestation_result out = evaluate(&w, &r, 1, &checks, OK, "default_cpu wins");
    CHECK(memmem(out.token.ptr, out.token.len, ".", 1) != NULL);
    CHECK_STR(
        with_text(&w, value_pointer(out.claims, STR("/submods/cpu0/ear.trustworthiness-vector"))),
        STR("{\"hardware\":3}"));

    const struct {
        const char *id, *text, *says;
    } refused[] = {
        {"default", P "hardware := ", "default.rego:3"},
        {"default", P "hardware := http.send({})",
         "default.rego:3:13: rego_type_error: undefined "
         "function http.send"},
        {"default", P "hardware := 2 if net.lookup_ip_addr(\"a\") == set()",
         "undefined function net.lookup_ip_addr"},
        {"default", P "hardware := 2 if opa.runtime().env", "undefined function opa.runtime"},
        {"default", P "hardware := 2 if providers.aws.sign_req({}, {}, 1).x",
         "undefined function providers.aws.sign_req"},
        {"default", P "hardware := 2 if graphql.parse(\"\", \"\")[0]",
         "undefined function graphql.parse"},
        {"default", P "hardware := 2 if graphql.is_valid(\"\", \"\")",
         "undefined function graphql.is_valid"},
        {"default", P "hardware := 2 if graphql.parse_and_verify(\"\", \"\")[0]",
         "undefined function graphql.parse_and_verify"},
        {"default", P "hardware := 2 if graphql.parse_query(\"\").x",
         "undefined function graphql.parse_query"},
        {"default", P "hardware := 2 if graphql.parse_schema(\"\").x",
         "undefined function graphql.parse_schema"},
        {"default", P "hardware := 2 if graphql.schema_is_valid(\"\")",
         "undefined function graphql.schema_is_valid"},
        {"default", P "hardware := 2 if input.x with http.send as {}",
         "undefined function http.send"},
        {"default", P "hardware := 2 if count(input.x) == 1 with count as opa.runtime",
         "undefined function opa.runtime"},
        {"a/b", P "hardware := 2", "Illegal policy id"},
        {"", P "hardware := 2", "Illegal policy id"},
        {"..", P "hardware := 2", "Illegal policy id"},
        {"a b", P "hardware := 2", "Illegal policy id"},
        {"bad", "package policy\nhardware := \"\xff\"", "UTF-8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        CHECK_ROW(with_policy(&w, refused[i].id, refused[i].text, &err) != OK, refused[i].says);
        if (!CHECK_ROW(strstr(err.text, refused[i].says) != NULL, refused[i].says))
            printf("# %s\n", err.text);
    }
    CHECK(attestation_set_policy(w.s, STR("default"), STR("a="), &err) == ERR_INVALID);
    CHECK(attestation_get_policy(w.s, &w.a, STR("default"), &text, &err) == OK);
    CHECK_STR(text, STR(P "hardware := 2"));
}

/* As many as are there, each with its own text, also beside those of the load before. */
static void test_many_files(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 40; i++)
        with_file(arena_format(&a, "old/opa/p%d.rego", i).ptr,
                  arena_format(&a, P "hardware := %d", i));
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, OLD, ERA_OLD, NOW, &err), OK, &err);
    for (int i = 0; i < 40; i += 2)
        unlink(with_file(arena_format(&a, "old/opa/p%d.rego", i).ptr, STR("")));
    attestation_refresh(w.s);
    for (int i = 0; i < 40; i++) {
        struct str id = arena_format(&a, "p%d", i), text = STR_EMPTY;
        enum status want = i % 2 == 0 ? ERR_NOT_FOUND : OK;
        CHECK_STATUS_ROW(attestation_get_policy(w.s, &w.a, id, &text, &err), want, &err, id.ptr);
        if (want == OK)
            CHECK_STR_ROW(text, arena_format(&a, P "hardware := %d", i), id.ptr);
        unlink(with_file(arena_format(&a, "old/opa/p%d.rego", i).ptr, STR("")));
    }
}

/* README 4, 19: files are followed; one that breaks leaves what was there before. */
static void test_files(void)
{
    with_file("old/opa/default.rego", STR(P "hardware := 2"));
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, OLD, ERA_OLD, NOW, &err), OK, &err);
    CHECK(attestation_is_healthy(w.s));
    struct attestation_request r = with_sample(&w, "sample", "7", "{}");
    struct checks checks;
    static const struct str vector = {"/submods/cpu/ear.trustworthiness-vector", 39};
    struct attestation_result out = evaluate(&w, &r, 1, &checks, OK, "as mounted");
    CHECK_STR(with_text(&w, value_pointer(out.claims, vector)), STR("{\"hardware\":2}"));

    with_file("old/opa/default.rego", STR(P "hardware := 3"));
    attestation_refresh(w.s);
    out = evaluate(&w, &r, 1, &checks, OK, "changed");
    CHECK_STR(with_text(&w, value_pointer(out.claims, vector)), STR("{\"hardware\":3}"));

    with_file("old/opa/default.rego", STR("broken"));
    attestation_refresh(w.s);
    CHECK(strstr(w.warnings, "\"default\" does not compile, the one before it stays") != NULL);
    CHECK(attestation_is_healthy(w.s));
    out = evaluate(&w, &r, 1, &checks, OK, "broken");
    CHECK_STR(with_text(&w, value_pointer(out.claims, vector)), STR("{\"hardware\":3}"));

    CLEANUP(with_done) struct with_service fresh;
    CHECK_STATUS(with_init(&fresh, OLD, ERA_OLD, NOW, &err), OK, &err);
    CHECK_ROW(!attestation_is_healthy(fresh.s), "broken at start: /healthz is 503");
    evaluate(&fresh, &r, 1, &checks, ERR_DENIED, "and the policy engine's error");
    CHECK(checks.reason.check == CHECK_POLICY_ERROR);

    unlink(with_file("old/opa/default.rego", STR(P "hardware := 3")));
    attestation_refresh(fresh.s);
    CHECK(attestation_is_healthy(fresh.s));
    out = evaluate(&fresh, &r, 1, &checks, OK, "the built-in one");
    CHECK(value_len(value_pointer(out.claims, vector)) == 3);

    attestation_refresh(w.s);
    CHECK(strstr(w.warnings, "\"default\" has vanished, the one before it stays") != NULL);
    CHECK(attestation_is_healthy(w.s));
    out = evaluate(&w, &r, 1, &checks, OK, "vanished");
    CHECK_STR(with_text(&w, value_pointer(out.claims, vector)), STR("{\"hardware\":3}"));

    /* Reference values that cannot be read. */
    with_file("old/values.json", STR("{"));
    CLEANUP(with_done) struct with_service blind;
    CHECK_STATUS(with_init(&blind, OLD, ERA_OLD, NOW, &err), OK, &err);
    CHECK(!attestation_is_healthy(blind.s));
    evaluate(&blind, &r, 1, &checks, ERR_DENIED, "values unreadable");
    CHECK(checks.reason.check == CHECK_POLICY_ERROR);
    unlink(with_file("old/values.json", STR("[]")));
}

/* README 3, 13, HARDEN as-1: an expired minimum does not let everything pass. */
static void test_expired(void)
{
    const struct {
        const char *name, *text;
        int64_t now_s;
        const char *want;
    } rows[] = {
        {"HARDEN as-1: in time",
         P "default hardware := 97\nhardware := 2 if 4 >= query_reference_value(\"min\")", NOW,
         "{\"hardware\":2}"},
        {"HARDEN as-1: expired",
         P "default hardware := 97\nhardware := 2 if 4 >= query_reference_value(\"min\")",
         NOW + 400 * 86400, "{\"hardware\":97}"},
        {"HARDEN as-1: unknown",
         P "default hardware := 97\nhardware := 2 if 4 >= query_reference_value(\"none\")", NOW,
         "{\"hardware\":97}"},
        {"by data: in time", P "default hardware := 97\nhardware := 2 if data.reference.min == 3",
         NOW, "{\"hardware\":2}"},
        {"by data: expired", P "default hardware := 97\nhardware := 2 if data.reference.min == 3",
         NOW + 400 * 86400, "{\"hardware\":97}"},
        {"S6: D reads data, too",
         P "default hardware := 97\nhardware := 2 if data[\"reference\"].min == 3\ntrust_claims := "
           "{\"hardware\": hardware}",
         NOW, "{\"hardware\":2}"},
        {"wrong argument", P "hardware := query_reference_value(1)", NOW, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
        with_values(&w, STR("{\"min\":3}"));
        enum status st = with_policy(&w, "default", rows[i].text, &err);
        if (rows[i].want == NULL && st != OK)
            continue; /* known while compiling */
        CHECK_STATUS_ROW(st, OK, &err, rows[i].name);
        w.now_ns = rows[i].now_s * NS_PER_S;
        struct attestation_request r = with_sample(&w, "sample", "7", "{}");
        struct checks checks;
        struct attestation_result out =
            evaluate(&w, &r, 1, &checks, rows[i].want == NULL ? ERR_DENIED : OK, rows[i].name);
        if (rows[i].want != NULL)
            CHECK_STR_ROW(
                with_text(&w, value_pointer(out.claims, STR("/submods/cpu0/"
                                                            "ear.trustworthiness-vector"))),
                str_of(rows[i].want), rows[i].name);
    }
}

/* README 3: what was read and expires soon is named in the decision, and nothing else. */
static void test_expiring(void)
{
    const struct {
        const char *name, *text;
        int64_t now_s;
        const char *want;
    } rows[] = {
        {"far away", P "hardware := 2 if data.reference.min == 3", NOW, "undefined"},
        {"soon, by data", P "hardware := 2 if data.reference.min == 3", NOW + 360 * 86400,
         "[\"reference value \\\"min\\\" expires soon, at 2027-01-01T00:00:00Z\"]"},
        {"soon, by the function",
         P "hardware := 2 if query_reference_value(concat(\"\", [\"m\", \"in\"])) == 3",
         NOW + 360 * 86400,
         "[\"reference value \\\"min\\\" expires soon, at 2027-01-01T00:00:00Z\"]"},
        {"one that is not read", P "hardware := 2 if input.sample", NOW + 360 * 86400, "undefined"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
        with_values(&w, STR("{\"min\":3,\"other\":3}"));
        CHECK_STATUS_ROW(with_policy(&w, "default", rows[i].text, &err), OK, &err, rows[i].name);
        /* Another policy set in between: what is carried over still knows its names. */
        CHECK_STATUS_ROW(with_policy(&w, "another", P "hardware := 2", &err), OK, &err,
                         rows[i].name);
        w.now_ns = rows[i].now_s * NS_PER_S;
        struct attestation_request r = with_sample(&w, "sample", "7", "{}");
        struct checks checks;
        struct attestation_result out = evaluate(&w, &r, 1, &checks, OK, rows[i].name);
        CHECK_STR_ROW(with_text(&w, out.notes), str_of(rows[i].want), rows[i].name);
    }
}

static void test_sample_switch(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, "{}", ERA_NEW, NOW, &err), OK, &err);
    CHECK_ROW(strstr(w.warnings, "lost at restart") != NULL, "README 8");
    struct attestation_request r = with_sample(&w, "sample", "7", "{}");
    struct checks checks;
    evaluate(&w, &r, 1, &checks, ERR_DENIED, "README 6: sample is off");
    CHECK(checks.reason.check == CHECK_TEE_ENABLED);
}

static void test_configurations(void)
{
    const struct {
        const char *name, *config;
        enum era era;
        enum status want;
        const char *warns; /* or NULL */
    } rows[] = {
        {"nothing", "{}", ERA_NEW, OK, NULL},
        {"unknown key", "{\"x\":1}", ERA_NEW, OK, "configuration: x: unknown key"},
        {"unknown key below", "{\"attestation_token_broker\":{\"y\":1}}", ERA_NEW, OK,
         "configuration: attestation_token_broker.y: unknown key"},
        {"a protection that would be off",
         "{\"verifier_config\":{\"snp_verifier\":{\"enforce_vek_dates\":\"true\"}}}", ERA_NEW,
         ERR_INVALID, NULL},
        {"a broker that is a number", "{\"attestation_token_broker\":5}", ERA_NEW, ERR_INVALID,
         NULL},
        {"numbers in strings", "{\"attestation_token_broker\":{\"duration_min\":\"7\"}}", ERA_NEW,
         OK, NULL},
        {"no minutes", "{\"attestation_token_broker\":{\"duration_min\":0}}", ERA_NEW, ERR_INVALID,
         NULL},
        {"empty profile", "{\"attestation_token_broker\":{\"profile_name\":\"\"}}", ERA_NEW,
         ERR_INVALID, NULL},
        {"signer without key", "{\"attestation_token_broker\":{\"signer\":{}}}", ERA_NEW,
         ERR_INVALID, NULL},
        {"signer that is not there",
         "{\"attestation_token_broker\":{\"signer\":{\"key_path\":\"%s/none\"}}}", ERA_NEW,
         ERR_NOT_FOUND, NULL},
        {"remote RVPS", "{\"rvps_config\":{\"type\":\"GrpcRemote\"}}", ERA_NEW, ERR_UNSUPPORTED,
         NULL},
        {"storage_type in both cases", "{\"storage_backend\":{\"storage_type\":\"memory\"}}",
         ERA_NEW, OK, NULL},
        {"unknown storage", "{\"storage_backend\":{\"storage_type\":\"Tape\"}}", ERA_NEW,
         ERR_UNSUPPORTED, NULL},
        {"LocalFs",
         "{\"storage_backend\":{\"storage_type\":\"LocalFs\",\"backends\":{\"local_fs\":"
         "{\"dir_path\":\"%s/fs\"}}}}",
         ERA_NEW, OK, NULL},
        {"Sqlite",
         "{\"storage_backend\":{\"storage_type\":\"Sqlite\",\"backends\":{\"sqlite\":"
         "{\"path\":\"%s/db/x.sqlite\"}}}}",
         ERA_NEW, OK, NULL},
        {"LocalJson by the operator's key",
         "{\"storage_backend\":{\"storage_type\":\"LocalJson\",\"backends\":{\"local_json\":"
         "{\"dir_path\":\"%s/json\"}}}}",
         ERA_NEW, OK, NULL},
        {"form a of the RVPS",
         "{\"rvps_config\":{\"store_type\":\"LocalJson\",\"store_config\":"
         "{\"file_path\":\"%s/a.json\"}},\"attestation_token_broker\":{\"policy_dir\":"
         "\"%s/p\"}}",
         ERA_OLD, OK, NULL},
        {"form e of the RVPS",
         "{\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"storage_type\":"
         "\"Memory\",\"backends\":{}}}}",
         ERA_NEW, OK, NULL},
        {"E10",
         "{\"attestation_token_broker\":\"Simple\",\"attestation_token_config\":{\"duration_min\":"
         "5},"
         "\"rvps_config\":{\"storage\":{\"type\":\"LocalJson\",\"file_path\":\"%s/x.json\"}},"
         "\"storage_backend\":{}}",
         ERA_OLD, OK, NULL},
        {"a broker of another kind", "{\"attestation_token_broker\":{\"type\":\"Ears\"}}", ERA_OLD,
         ERR_INVALID, NULL},
        {"which the new era does not look at",
         "{\"attestation_token_broker\":{\"type\":\"Ears\",\"policy_dir\":\"%s/"
         "q\"},\"storage_backend\":{}}",
         ERA_NEW, OK, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(with_init(&w, rows[i].config, rows[i].era, NOW, &err), rows[i].want, &err,
                         rows[i].name);
        if (rows[i].warns != NULL)
            CHECK_ROW(strstr(w.warnings, rows[i].warns) != NULL, rows[i].name);
    }
}

/* A policy that asks for a claim which no verifier gives: once, when it is set or loaded. */
static void test_claim_warnings(void)
{
    static const struct {
        const char *policy, *warns; /* NULL: nothing */
        const char *tee;            /* whose claims must be known */
    } rows[] = {
        {"input[\"az-snp-vtpm\"].tpm.pcr08 == \"a\"", NULL, NULL},
        {"input.azsnpvtpm.measurement == \"a\"", NULL, NULL},
        {"input.csv.whatever", NULL, NULL}, /* no verifier here, but somewhere */
        {"input.init_data_claims.version == 1", NULL, NULL},
        {"input.az_snp_vtpm.tpm.pcr08 == \"a\"",
         "policy \"default\": default.rego:3: input.az_snp_vtpm.tpm.pcr08: no claim is named "
         "\"az_snp_vtpm\" there, did you mean \"az-snp-vtpm\"?",
         NULL},
        {"input[\"az-snp-vtpm\"].tpm.pcr8 == \"a\"", "did you mean \"pcr08\"?", "az-snp-vtpm"},
        {"input.snp.report_data == \"a\"", "no claim is named \"report_data\" there", "snp"},
        {"{ t := input.tdx.quote; t.body.mrtd == \"a\" }", "did you mean \"mr_td\"?", "tdx"},
        {"input.sgx.body[\"attributes.flag\"] == \"a\"", "did you mean \"attributes.flags\"?",
         "sgx"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].tee != NULL && verifier_find(str_of(rows[i].tee)) == NULL)
            continue; /* left out of this build */
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, "{}", ERA_NEW, NOW, &err), OK, &err);
        CHECK_ROW(strstr(w.warnings, "claim") == NULL, "built-in policies");
        struct str text = arena_format(
            &w.a, "package policy\ndefault hardware := 97\nhardware := 2 if %s\n", rows[i].policy);
        CHECK_STATUS_ROW(with_policy(&w, "default", text.ptr, &err), OK, &err, rows[i].policy);
        attestation_refresh(w.s);
        const char *found = strstr(w.warnings, "no claim is named");
        CHECK_ROW((found != NULL) == (rows[i].warns != NULL), rows[i].policy);
        if (rows[i].warns != NULL) {
            CHECK_ROW(strstr(w.warnings, rows[i].warns) != NULL, rows[i].policy);
            CHECK_ROW(strstr(found + 1, "no claim is named") == NULL, "said once");
        }
    }
}

/* attestation-service.md 10. */
static void test_simple(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(
        with_init(&w,
                  "{" SAMPLE ",\"attestation_token_broker\":{\"type\":\"Simple\",\"policy_dir\":"
                  "\"%s/simple\"},\"rvps_config\":{\"type\":\"BuiltIn\",\"storage\":{\"type\":"
                  "\"LocalJson\",\"file_path\":\"%s/simple.json\"}}}",
                  ERA_OLD, NOW, &err),
        OK, &err);
    struct attestation_request r = with_sample(&w, "sample", "7", "{\"n\":1}");
    struct checks checks;
    struct attestation_result out = evaluate(&w, &r, 1, &checks, OK, "no reference values");
    CHECK_STR(value_str(value_get_lit(out.claims, "tcb-status")),
              STR("{\"init_data\":\"\",\"report_data\":"
                  "\"Wa2fMTeeuIYyJHjVNKHNVhaojQVKCitr1OAyBeW7KnnFo3plIhB8M7ciy06X3W1C\","
                  "\"sample.debug\":false,\"sample.launch_digest\":\"abcde\","
                  "\"sample.platform_version.major\":1,\"sample.platform_version.minor\":4,"
                  "\"sample.svn\":\"7\"}"));
    CHECK_STR(with_text(&w, value_get_lit(out.claims, "customized_claims")),
              STR("{\"init_data\":null,\"runtime_data\":{\"n\":1}}"));
    struct jws t;
    CHECK_STATUS(jws_parse(&w.a, out.token, &t, &err), OK, &err);
    CHECK_STR(t.alg, STR("RS384"));
    CHECK_STATUS(jws_verify(&t, attestation_key(w.s), STR("RS384"), &err), OK, &err);
    value jti = value_get_lit(out.claims, "jti");
    CHECK(value_str(jti).len == 10);

    with_values(&w, STR("{\"sample.svn\":[\"7\"],\"sample.debug\":false}"));
    evaluate(&w, &r, 1, &checks, OK, "they match");
    with_values(&w, STR("{\"sample.svn\":[]}"));
    evaluate(&w, &r, 1, &checks, OK, "an empty list has no opinion");
    with_values(&w, STR("{\"sample.debug\":true}"));
    evaluate(&w, &r, 1, &checks, ERR_DENIED, "one differs");
    CHECK(checks.reason.check == CHECK_POLICY);
    CHECK_STR(checks.reason.message, STR("Reject by policy default"));
}

/* The worst of all; and what has no opinion is no affirmation of the whole. */
static void test_status_of_the_whole(void)
{
    const struct {
        const char *cpu, *device, *status;
    } rows[] = {
        {"2", "2", "affirming"},
        {"2", "0", "none"},
        {"0", "2", "none"},
        {"0", "0", "none"},
        {"2", "33", "warning"},
        {"33", "2", "warning"},
        {"33", "97", "contraindicated"},
        {"97", "0", "contraindicated"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        char name[64];
        snprintf(name, sizeof(name), "%s and %s", rows[i].cpu, rows[i].device);
        CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
        struct str cpu = arena_format(&w.a, P "hardware := %s", rows[i].cpu);
        struct str device = arena_format(&w.a, P "hardware := %s", rows[i].device);
        CHECK_STATUS(with_policy(&w, "default_cpu", cpu.ptr, &err), OK, &err);
        CHECK_STATUS(with_policy(&w, "default_gpu", device.ptr, &err), OK, &err);
        struct attestation_request r[] = {with_sample(&w, "sample", "7", "{}"),
                                          with_sample(&w, "sampledevice", "2", "{}")};
        struct checks checks;
        struct attestation_result out = evaluate(&w, r, 2, &checks, OK, name);
        CHECK_STR_ROW(out.status, str_of(rows[i].status), name);
        CHECK_ROW(out.affirming == str_is(out.status, "affirming"), name);
    }
}

/* S9: the era's name, the other, or both as equal entries; devices are numbered in each. */
static void test_naming(void)
{
    const struct {
        enum submod_naming naming;
        const char *names;
    } rows[] = {
        {SUBMOD_PLAIN, "cpu cpu1 gpu0 "},
        {SUBMOD_INDEXED, "cpu0 cpu1 gpu0 "},
        {SUBMOD_BOTH, "cpu cpu0 cpu1 gpu0 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w;
        struct error err = ERROR_INIT;
        CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
        w.s->options.naming = rows[i].naming;
        struct attestation_request r[] = {with_sample(&w, "sample", "7", "{}"),
                                          with_sample(&w, "sampledevice", "2", "{}"),
                                          with_sample(&w, "sample", "8", "{}")};
        struct checks checks;
        struct attestation_result out = evaluate(&w, r, 3, &checks, OK, rows[i].names);
        value submods = value_get_lit(out.claims, "submods");
        struct str names = STR_EMPTY;
        for (size_t k = 0; k < value_len(submods); k++)
            names = arena_format(&w.a, "%.*s%.*s ", STR_ARG(names),
                                 STR_ARG(value_str(value_pairs(submods)[k].key)));
        CHECK_STR(names, str_of(rows[i].names));
        if (rows[i].naming == SUBMOD_BOTH)
            CHECK(value_equal(value_get_lit(submods, "cpu"), value_get_lit(submods, "cpu0")));
    }
}

/* README 11: by what v0.14 to v0.18 always wrote, and v0.11 to v0.13 never did. */
static void test_cpu0_names(void)
{
    const char *config =
        "{\"attestation_token_broker\":{\"type\":\"Ear\",\"policy_dir\":\"%s/cpu0\"},"
        "\"rvps_config\":{\"storage\":{\"type\":\"LocalJson\",\"file_path\":\"%s/cpu0.json\"}}}";
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    with_file("cpu0/opa/default_cpu.rego", STR(P "hardware := 2"));
    CHECK_STATUS(with_init(&w, config, ERA_OLD, NOW, &err), OK, &err);
    CHECK(attestation_config_era(w.s->options.config) == ERA_OLD);
    CHECK(attestation_config_has_cpu0(w.s->options.config));
    with_file("cpu0/opa/default.rego", STR(P "hardware := 2"));
    CHECK(!attestation_config_has_cpu0(w.s->options.config));
    CHECK(attestation_config_era(with_json(&w, "{\"policy_engine\":\"opa\"}")) == ERA_OLD);
    CHECK(attestation_config_era(
              with_json(&w, "{\"policy_engine\":\"opa\",\"storage_backend\":{}}")) == ERA_NEW);
}

/* The first allocation fails, then the second, ...: a status, no leak, and nothing is issued. */
static void test_no_memory(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
    struct attestation_request r = with_sample(&w, "sample", "7", "{}");
    long n = 1;
    for (bool done = false; !done && n < 20000; n++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, (size_t)64 << 20);
        struct checks checks;
        checks_init(&checks, &a);
        struct attestation_result out;
        tap_fail_malloc_after(n);
        enum status st =
            attestation_evaluate(w.s, &a, &r, 1, NULL, 0, NOW, true, &checks, &out, &err);
        tap_fail_malloc_after(0);
        /* An explanation that ran out of memory is shorter; the token is whole or there is none. */
        done = st == OK && value_is_defined(out.why.change);
        if (st == OK && !done)
            CHECK(out.token.len > 0);
        else if (st != OK && st != ERR_NOMEM)
            CHECK_STATUS(st, ERR_NOMEM, &err);
    }
    CHECK(n < 20000);
}

struct stress {
    struct with_service *w;
    bool stop;
    unsigned issued;
};

static void *evaluate_on(void *arg)
{
    struct stress *t = arg;
    struct attestation_request r = {
        .tee = STR("sample"), .runtime_data = VALUE_UNDEFINED, .init_claims = VALUE_UNDEFINED};
    CLEANUP(arena_done) struct arena input;
    arena_init(&input, 1 << 20);
    if (json_parse(&input, STR("{\"svn\":\"7\"}"), NULL, &r.evidence, NULL) != OK)
        return NULL;
    do {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 << 20);
        struct attestation_result out;
        struct error err = ERROR_INIT;
        if (attestation_evaluate(t->w->s, &a, &r, 1, NULL, 0, NOW, true, NULL, &out, &err) == OK)
            t->issued++;
    } while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED));
    return NULL;
}

/* Policies and reference values change under evaluations on other threads. */
static void test_threads(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, NEW, ERA_NEW, NOW, &err), OK, &err);
    struct stress t[3];
    pthread_t threads[ARRAY_LEN(t)];
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        t[i] = (struct stress){&w, false, 0};
        CHECK(pthread_create(&threads[i], NULL, evaluate_on, &t[i]) == 0);
    }
    for (unsigned i = 0; i < 40; i++) {
        with_policy(&w, "default",
                    i % 2 == 0 ? P "hardware := 2" : P "trust_claims := {\"hardware\": 97}", &err);
        with_values(&w, i % 2 == 0 ? STR("{\"svn\":[\"7\"]}") : STR("{\"svn\":[\"8\"]}"));
        attestation_refresh(w.s);
    }
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        __atomic_store_n(&t[i].stop, true, __ATOMIC_RELAXED);
        pthread_join(threads[i], NULL);
        CHECK(t[i].issued > 0);
    }
}

int main(void)
{
    test_worked_example();
    test_defaults();
    test_devices();
    test_policies();
    test_store();
    test_many_files();
    test_files();
    test_expired();
    test_expiring();
    test_sample_switch();
    test_configurations();
    test_claim_warnings();
    test_simple();
    test_status_of_the_whole();
    test_naming();
    test_cpu0_names();
    test_no_memory();
    test_threads();
    return tap_done();
}
