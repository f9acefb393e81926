/* The RESTful API without the network: attestation-service.md 4. */
#include "attestation/rest.h"
#include "with_service.h"

#define NOW 1767225600
#define EVIDENCE "eyJzdm4iOiIxIn0" /* {"svn":"1"} */
#define ONE(more)                                                                                  \
    "{\"verification_requests\":[{\"tee\":\"sample\",\"evidence\":\"" EVIDENCE "\"" more "}]}"

int main(void)
{
    CLEANUP(with_done) struct with_service w;
    struct error err = ERROR_INIT;
    CHECK_STATUS(with_init(&w,
                           "{\"verifier_config\":{\"sample_verifier\":{}},\"storage_backend\":"
                           "{\"storage_type\":\"Memory\"}}",
                           ERA_NEW, NOW, &err),
                 OK, &err);

    const struct {
        const char *name, *method, *path, *type, *body;
        int status;
        const char *says; /* part of the body, or NULL */
    } rows[] = {
        {"evidence alone", "POST", "/attestation", "application/json", ONE(""), 200, "eyJ"},
        {"nulls are absences", "POST", "/attestation", "application/json",
         ONE(",\"runtime_data\":null,\"init_data\":null,\"runtime_data_hash_algorithm\":null"), 200,
         "eyJ"},
        {"parameters of the content type", "POST", "/attestation",
         "Application/JSON; charset=utf-8", ONE(""), 200, "eyJ"},
        {"a relative of JSON", "POST", "/attestation", "application/x+json", ONE(""), 200, "eyJ"},
        {"no content type", "POST", "/attestation", "", ONE(""), 400, NULL},
        {"text", "POST", "/attestation", "text/plain", ONE(""), 400, NULL},
        {"an array", "POST", "/attestation", "application/json", "[]", 400, "malformed"},
        {"no requests at all", "POST", "/attestation", "application/json", "{}", 400, "malformed"},
        {"an empty list fails in the service", "POST", "/attestation", "application/json",
         "{\"verification_requests\":[],\"policy_ids\":[]}", 500, "attestation report evaluate"},
        {"a member twice", "POST", "/attestation", "application/json", ONE(",\"tee\":\"snp\""), 400,
         NULL},
        {"no evidence", "POST", "/attestation", "application/json",
         "{\"verification_requests\":[{\"tee\":\"sample\"}]}", 400, "malformed"},
        {"a TEE that nobody knows", "POST", "/attestation", "application/json",
         "{\"tee\":\"SNP\",\"evidence\":\"" EVIDENCE "\"}", 500, "parse TEE type"},
        {"padded base64", "POST", "/attestation", "application/json",
         "{\"tee\":\"sample\",\"evidence\":\"eyJzdm4iOiIxIn0=\"}", 500, "Illegal input Evidence"},
        {"evidence that is not JSON", "POST", "/attestation", "application/json",
         "{\"tee\":\"sample\",\"evidence\":\"AAAA\"}", 500, "failed to parse tee evidence"},
        {"evidence that its verifier refuses", "POST", "/attestation", "application/json",
         ONE(",\"runtime_data\":{\"raw\":\"AAAA\"}"), 500,
         "1: Verifier evaluate failed: REPORT_DATA is different from that in Sample Quote"},
        {"evidence that nothing verifies", "POST", "/attestation", "application/json",
         "{\"tee\":\"se\",\"evidence\":\"" EVIDENCE "\"}", 500, "1: feature `se-verifier`"},
        {"two forms of runtime data", "POST", "/attestation", "application/json",
         ONE(",\"runtime_data\":{\"raw\":\"\",\"structured\":{}}"), 400, "exactly one"},
        {"raw runtime data", "POST", "/attestation", "application/json",
         ONE(",\"runtime_data\":{\"raw\":\"=\"}"), 500, "base64 decode runtime data"},
        {"an unknown hash", "POST", "/attestation", "application/json",
         ONE(",\"runtime_data_hash_algorithm\":\"md5\""), 500, "HashAlgorithm"},
        {"a hash in capitals", "POST", "/attestation", "application/json",
         ONE(",\"runtime_data_hash_algorithm\":\"SHA512\""), 200, "eyJ"},
        {"init data of the other generation", "POST", "/attestation", "application/json",
         ONE(",\"init_data\":{\"raw\":\"AAAA\"}"), 400, "exactly one"},
        {"init data that is no TOML", "POST", "/attestation", "application/json",
         ONE(",\"init_data\":{\"init_data_toml\":\"{\"}"), 500, "init data is not TOML"},
        {"old: structured init data", "POST", "/attestation", "application/json",
         "{\"tee\":\"sample\",\"evidence\":\"" EVIDENCE
         "\",\"init_data\":{\"structured\":{\"a\":1}},"
         "\"init_data_hash_algorithm\":\"sha256\"}",
         200, "eyJ"},
        {"a policy that is not there", "POST", "/attestation", "application/json",
         "{\"tee\":\"sample\",\"evidence\":\"" EVIDENCE "\",\"policy_ids\":[\"some-id\"]}", 500,
         "policy not found"},
        {"policy ids of another kind", "POST", "/attestation", "application/json",
         "{\"tee\":\"sample\",\"evidence\":\"" EVIDENCE "\",\"policy_ids\":[1]}", 400, "policy id"},
        {"challenge", "POST", "/challenge", "application/json",
         "{\"tee\":\"snp\",\"tee_params\":\"\"}", 200, NULL},
        {"challenge without parameters", "POST", "/challenge", "application/json",
         "{\"tee\":\"snp\"}", 500, "tee_params"},
        {"challenge of an unknown TEE", "POST", "/challenge", "application/json",
         "{\"tee\":\"x\",\"tee_params\":\"\"}", 500, "unknown TEE"},
        {"challenge that is no flat object", "POST", "/challenge", "application/json",
         "{\"tee\":1}", 400, NULL},
        {"challenge that is a list", "POST", "/challenge", "application/json", "[]", 400, NULL},
        {"policy without id", "POST", "/policy", "application/json", "{\"policy\":\"\"}", 400,
         NULL},
        {"policy list", "GET", "/policy", "", "", 200, "default_cpu"},
        {"policy text", "GET", "/policy/default_gpu", "", "", 200, "package policy"},
        {"no such policy", "GET", "/policy/none", "", "", 500, "Policy `none.rego` not found"},
        {"nothing below a policy", "GET", "/policy/default/x", "", "", 404, NULL},
        {"an empty id", "GET", "/policy/", "", "", 404, NULL},
        {"keys", "GET", "/.well-known/jwks.json", "", "", 200, "\"keys\""},
        {"health", "GET", "/healthz", "", "", 200, NULL},
        {"another method", "DELETE", "/policy", "", "", 405, NULL},
        {"another path", "GET", "/", "", "", 404, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 16 << 20);
        struct rest_request r = {rows[i].method, str_of(rows[i].path), str_of(rows[i].type),
                                 str_of(rows[i].body)};
        struct rest_answer out;
        rest_handle(w.s, &a, &r, NOW, false, &out);
        if (!CHECK_ROW(out.status == rows[i].status, rows[i].name))
            printf("#   got %d: %.*s\n", out.status, STR_ARG(out.body));
        bool said = rows[i].says == NULL ||
                    memmem(out.body.ptr, out.body.len, rows[i].says, strlen(rows[i].says)) != NULL;
        if (!CHECK_ROW(said, rows[i].name))
            printf("#   body: %.*s\n", STR_ARG(out.body));
        CHECK_ROW((out.status == 405) == (out.allow != NULL), rows[i].name);
        /* Whatever a client sent is in no line of the log. */
        CHECK_ROW(out.log.len == 0 || memmem(out.log.ptr, out.log.len, "eyJ", 3) == NULL,
                  rows[i].name);
    }
    return tap_done();
}
