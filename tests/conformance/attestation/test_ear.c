/*
 * From claims to token, for both eras: vectors/ear (MANIFEST.md there), made by
 * the libraries that upstream uses; and the key and request files of vectors/as.
 */
#include "../../unit/attestation/with_service.h"
#include "attestation/rest.h"

#define EAR "vectors/ear/"
#define AS "vectors/as/"

static struct str read_shared(struct with_service *w, const char *relative)
{
    const char *path = tap_shared(relative);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 << 20);
    struct error err = ERROR_INIT;
    if (path == NULL || !CHECK_STATUS(file_read(path, &b, &err), OK, &err))
        return STR_EMPTY;
    return arena_str(&w->a, buf_str(&b));
}

static struct str shared_file(struct with_service *w, value name, const char *dir)
{
    struct str path = arena_format(&w->a, "%s%.*s", dir, STR_ARG(value_str(name)));
    return read_shared(w, path.ptr);
}

static value shared_json(struct with_service *w, value name, const char *dir)
{
    value v = VALUE_UNDEFINED;
    CHECK(json_parse(&w->a, shared_file(w, name, dir), NULL, &v, NULL) == OK);
    return v;
}

/* The verifier's claims that such an input comes from, beside what was sent with the evidence. */
static struct evidence_claims claims_of(struct with_service *w, value input,
                                        struct verifier *verifier)
{
    struct evidence_claims e = {.verifier = verifier,
                                .tee_class = "cpu",
                                .runtime_claims = value_get_lit(input, "runtime_data_claims"),
                                .init_claims = value_get_lit(input, "init_data_claims")};
    for (size_t i = 0; i < value_len(input); i++) {
        struct str key = value_str(value_pairs(input)[i].key);
        /* No shape: inputs are in the form of their dialect already. */
        if (str_is(key, "azsnpvtpm") || str_is(key, "az-snp-vtpm"))
            *verifier = (struct verifier){.tee = "az-snp-vtpm", .old_tee = "azsnpvtpm"};
        else if (str_is(key, "aztdxvtpm") || str_is(key, "az-tdx-vtpm"))
            *verifier = (struct verifier){.tee = "az-tdx-vtpm", .old_tee = "aztdxvtpm"};
        else if (str_is(key, "sample"))
            *verifier = (struct verifier){.tee = "sample"};
        else
            continue;
        e.claims = value_pairs(input)[i].val;
    }
    static const char *const up[] = {"init_data", "report_data"};
    for (size_t i = 0; i < ARRAY_LEN(up); i++)
        e.claims = value_object_with(&w->a, e.claims, value_cstring(&w->a, up[i]),
                                     value_get_str(input, str_of(up[i])));
    return e;
}

static struct str token_part(struct with_service *w, struct str token, int n)
{
    size_t from = 0;
    for (; n > 0; n--)
        from = str_find(token, '.', from) + 1;
    struct str out = STR_EMPTY;
    CHECK(base64_bytes(&w->a, str_slice(token, from, str_find(token, '.', from) - from), BASE64_URL,
                       &out, NULL) == OK);
    return out;
}

/* The policy of a case into the store, its reference values into the RVPS. */
static void prepare(struct with_service *w, value c, bool old)
{
    struct str policy = value_str(value_get_lit(c, "policy"));
    struct error err = ERROR_INIT;
    if (str_has_suffix(policy, STR(".rego"))) {
        struct str text = STR_EMPTY;
        if (str_has_prefix(policy, STR("../../")))
            text = read_shared(w, arena_str(&w->a, str_from(policy, 6)).ptr);
        else
            text = shared_file(w, value_get_lit(c, "policy"), EAR);
        CHECK_STATUS(attestation_set_policy(w->s, STR("default"),
                                            base64_text(&w->a, text, BASE64_URL), &err),
                     OK, &err);
    }
    value values = value_get_lit(c, "reference_values");
    if (value_is_defined(values))
        with_values(w, with_text(w, shared_json(w, values, EAR)));
}

static void test_case(value c, const char *name)
{
    bool old = str_is(value_str(value_get_lit(c, "era")), "old");
    int64_t iat = 0;
    CHECK(value_get_int64(value_get_lit(c, "iat"), &iat));

    /* The workshop's own file, which expires at its own time. */
    char values[4096], key[4096], config[16384];
    snprintf(values, sizeof(values), "%s", tap_shared(EAR "workshop-reference-values.json"));
    snprintf(key, sizeof(key), "%s", tap_shared(AS "jwk/signing-key.pem"));
    snprintf(config, sizeof(config),
             "{\"attestation_token_broker\":{%s\"signer\":{\"key_path\":\"%s\"}},"
             "\"rvps_config\":{\"type\":\"BuiltIn\"%s%s%s}%s}",
             old ? "\"type\":\"Ear\",\"policy_dir\":\"%s/ear\"," : "", key,
             value_is_defined(value_get_lit(c, "data"))
                 ? ",\"storage\":{\"type\":\"LocalJson\",\"file_path\":\""
                 : "",
             value_is_defined(value_get_lit(c, "data")) ? values : "",
             value_is_defined(value_get_lit(c, "data")) ? "\"}" : "",
             old ? "" : ",\"storage_backend\":{\"storage_type\":\"Memory\"}");

    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS_ROW(with_init(&w, config, old ? ERA_OLD : ERA_NEW, iat, &err), OK, &err,
                          name))
        return;
    prepare(&w, c, old);

    struct verifier verifier;
    struct evidence_claims e =
        claims_of(&w, shared_json(&w, value_get_lit(c, "input"), EAR), &verifier);
    struct checks checks;
    checks_init(&checks, &w.a);
    struct attestation_result out = {.claims = VALUE_UNDEFINED};
    CHECK_STATUS_ROW(
        attestation_appraise(w.s, &w.a, &e, 1, NULL, 0, iat, true, &checks, &out, &err), OK, &err,
        name);
    if (!value_is_defined(out.claims))
        return;

    CHECK_STR_ROW(out.status, value_str(value_get_lit(c, "status")), name);
    value submod = value_get(value_get_lit(out.claims, "submods"), value_get_lit(c, "submod"));
    CHECK_ROW(value_equal(value_get_lit(submod, "ear.trustworthiness-vector"),
                          value_get_lit(c, "trust_vector")),
              name);
    struct str want = str_trim(shared_file(&w, value_get_lit(c, "payload"), EAR));
    CHECK_STR_ROW(token_part(&w, out.token, 1), want, name);

    struct str file = value_str(value_get_lit(c, "payload"));
    struct str stem = str_slice(file, 0, file.len - strlen(".payload.json"));
    if (!str_is(stem, "old-azsnp") && !str_is(stem, "old-azsnp-pcr12") &&
        !str_is(stem, "new-azsnp-default"))
        return;
    struct str token =
        str_trim(read_shared(&w, arena_format(&w.a, EAR "%.*s.token.txt", STR_ARG(stem)).ptr));
    CHECK_STR_ROW(token_part(&w, out.token, 0), token_part(&w, token, 0), name);
    struct jws t;
    CHECK_STATUS_ROW(jws_parse(&w.a, token, &t, &err), OK, &err, name);
    CHECK_STATUS_ROW(jws_verify(&t, attestation_key(w.s), STR("ES256"), &err), OK, &err, name);
}

static void test_cases(void)
{
    CLEANUP(with_done) struct with_service w = {0};
    arena_init(&w.a, 16 << 20);
    struct str text = read_shared(&w, EAR "cases.json");
    value cases;
    if (text.len == 0 || !CHECK(json_parse(&w.a, text, NULL, &cases, NULL) == OK))
        return;
    for (size_t i = 0; i < value_len(cases); i++) {
        value c = value_at(cases, i);
        test_case(c, value_str(value_get_lit(c, "name")).ptr);
    }
}

static void test_tiers(void)
{
    CLEANUP(with_done) struct with_service w = {0};
    arena_init(&w.a, 16 << 20);
    struct str text = read_shared(&w, EAR "tiers.json");
    value root;
    if (text.len == 0 || !CHECK(json_parse(&w.a, text, NULL, &root, NULL) == OK))
        return;
    value list = value_get_lit(root, "claim_value_to_tier");
    for (size_t i = 0; i < value_len(list); i++) {
        int64_t n = 0;
        CHECK(value_get_int64(value_get_lit(value_at(list, i), "value"), &n));
        CHECK_STR(str_of(tier_name(trust_claim_tier((int8_t)n))),
                  value_str(value_get_lit(value_at(list, i), "tier")));
    }
    list = value_get_lit(root, "vector_to_status");
    for (size_t i = 0; i < value_len(list); i++) {
        value vector = value_get_lit(value_at(list, i), "vector");
        value status = value_get_lit(value_at(list, i), "status");
        struct trust_vector v = {.set = 0};
        for (size_t k = 0; k < value_len(vector); k++) {
            int claim = trust_claim_find(value_str(value_pairs(vector)[k].key));
            int64_t n = 0;
            CHECK(claim >= 0 && value_get_int64(value_pairs(vector)[k].val, &n));
            v.claim[claim] = (int8_t)n;
            v.set |= (uint8_t)(1u << claim);
        }
        if (value_is_defined(status)) /* the other is an error: test_service, README 2 */
            CHECK_STR(str_of(tier_name(trust_vector_tier(&v))), value_str(status));
        else
            CHECK(v.set == 0);
    }
}

static void test_jwks(void)
{
    const char *key = tap_shared(AS "jwk/signing-key.pem");
    if (key == NULL)
        return;
    struct str key_path = str_of(key);
    char config[16384];
    size_t n = (size_t)snprintf(config, sizeof(config),
                                "{\"attestation_token_broker\":{\"signer\":{\"key_path\":\"%.*s\",",
                                STR_ARG(key_path));
    snprintf(config + n, sizeof(config) - n, "\"cert_path\":\"%s\"}}}",
             tap_shared(AS "jwk/cert-chain.pem"));
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w, config, ERA_NEW, 1767225600, &err), OK, &err);
    value got, want;
    CHECK(attestation_jwks(w.s, &w.a, &got) == OK);
    CHECK(json_parse(&w.a, read_shared(&w, AS "jwk/expected-jwks.json"), NULL, &want, NULL) == OK);
    CHECK_STR(with_text(&w, got), with_text(&w, want));
    CHECK_ROW(strstr(w.warnings, "first certificate") == NULL, "the chain is that of the key");
}

/* as/MANIFEST.md, Configurations: what each of them says. */
static void test_configs(void)
{
    const struct {
        const char *file;
        enum era era;
        enum token_kind token;
        const char *signer;
    } rows[] = {
        {AS "configs/main/example1.json", ERA_NEW, TOKEN_EAR, ""},
        {AS "configs/main/example2.json", ERA_NEW, TOKEN_EAR, "/etc/key"},
        {AS "configs/v0.13/example1.json", ERA_OLD, TOKEN_SIMPLE, ""},
        {AS "configs/v0.13/example2.json", ERA_OLD, TOKEN_SIMPLE, "/etc/key"},
        {AS "configs/v0.13/example3.json", ERA_OLD, TOKEN_EAR, ""},
        {AS "configs/v0.13/example4.json", ERA_OLD, TOKEN_EAR, "/etc/key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(with_done) struct with_service w = {0};
        arena_init(&w.a, 16 << 20);
        struct str text = read_shared(&w, rows[i].file);
        struct attestation_options o = {.era = rows[i].era};
        struct as_config c = {.duration_s = 0};
        struct error err = ERROR_INIT;
        if (text.len == 0 || !CHECK(json_parse(&w.a, text, NULL, &o.config, NULL) == OK))
            continue;
        CHECK_ROW(attestation_config_era(o.config) == rows[i].era, rows[i].file);
        CHECK_STATUS_ROW(as_config_read_broker(&w.a, &o, &c, &err), OK, &err, rows[i].file);
        CHECK_ROW(c.token == rows[i].token && c.duration_s == 300 && c.verbose_token, rows[i].file);
        CHECK_STR_ROW(c.issuer, STR("test"), rows[i].file);
        CHECK_STR_ROW(c.key_path, str_of(rows[i].signer), rows[i].file);
        if (rows[i].token == TOKEN_EAR) {
            CHECK_STR_ROW(c.developer, STR("someone"), rows[i].file);
            CHECK_STR_ROW(c.build, STR("0.1.0"), rows[i].file);
        }
        if (rows[i].signer[0] != '\0')
            CHECK_STR_ROW(c.cert_url, STR("https://example.io"), rows[i].file);
    }
}

/* Both generations of the REST request, from upstream's own files. */
static void test_requests(void)
{
    CLEANUP(with_done) struct with_service w = {0};
    arena_init(&w.a, 64 << 20);
    struct rest_attestation r;
    struct error err = ERROR_INIT;
    struct str text = read_shared(&w, AS "requests/request.json");
    if (text.len == 0)
        return;
    CHECK_STATUS(rest_attestation_parse(&w.a, text, &r, &err), OK, &err);
    CHECK(r.len == 1 && r.policy_count == 0 && str_is(r.items[0].tee, "sgx"));
    CHECK(value_is_string(value_get_lit(r.items[0].evidence, "quote")));

    text = read_shared(&w, AS "requests/check.json");
    CHECK_STATUS(rest_attestation_parse(&w.a, text, &r, &err), OK, &err);
    CHECK(r.len == 1 && r.policy_count == 1 && str_is(r.policy_ids[0], "some-id"));
}

int main(void)
{
    test_cases();
    test_tiers();
    test_jwks();
    test_configs();
    test_requests();
    return tap_done();
}
