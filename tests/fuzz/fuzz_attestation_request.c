/*
 * A body of POST /attestation, against a service that knows sample evidence;
 * rest_attestation_parse() reads it.
 * Properties: there is always an answer, 200, 400 or 500; a 200 is a token that
 * verifies under the service's own key and says the status that it has; what
 * was not parsed (400) never reached a verifier.
 */
#include <stdlib.h>

#include "attestation/rest.h"
#include "base/random.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct attestation_service *service;

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* Made once; a fuzzer ends without cleaning up. */
static void start(void)
{
    static struct arena a;
    arena_init(&a, 1 << 20);
    struct attestation_options o = {.era = ERA_NEW,
                                    .naming = SUBMOD_INDEXED,
                                    .storage_backend = VALUE_UNDEFINED,
                                    .clock = &clock_system,
                                    .random = &random_system};
    check(json_parse(&a,
                     STR("{\"storage_backend\":{\"storage_type\":\"Memory\"},\"verifier_config\":{"
                         "\"sample_verifier\":{},\"sample_device_verifier\":{}}}"),
                     NULL, &o.config, NULL) == OK);
    check(attestation_service_new(&o, &service, NULL) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (service == NULL)
        start();
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, (size_t)64 * 1024 * 1024);
    struct rest_request r = {"POST", STR("/attestation"), STR("application/json"),
                             str_bytes(data, size)};
    struct rest_answer out;
    rest_handle(service, &a, &r, 1767225600, false, &out);

    check(out.status == 200 || out.status == 400 || out.status == 500);
    check((out.status == 400) == (out.checks == NULL) || arena_status(&a) != OK);
    if (out.status != 200)
        return 0;
    struct jws t;
    value claims;
    check(jws_parse(&a, out.body, &t, NULL) == OK);
    check(jws_verify(&t, attestation_key(service), STR("ES256"), NULL) == OK);
    check(json_parse(&a, t.payload, NULL, &claims, NULL) == OK);
    check(value_len(value_get_lit(claims, "submods")) > 0);
    return 0;
}
