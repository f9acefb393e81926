/*
 * A key from outside (pubkey_from_rsa, pubkey_from_ec, pubkey_from_ed25519).  Property: a key that
 * was accepted is written as a key that is read back equal, and cutting a TEE key to its members is
 * done once.
 */
#include <stdlib.h>

#include "jose/jose.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct arena *a, const struct pubkey *key)
{
    value again;
    struct jwk back = {0};
    if (jwk_from_pubkey(a, key, &again) != OK || jwk_parse(again, false, &back, NULL) != OK ||
        !pubkey_equal(back.key, key))
        abort();
    struct str one, two;
    if (jwk_thumbprint(a, key, &one) != OK || jwk_thumbprint(a, back.key, &two) != OK ||
        !str_equal(one, two))
        abort();
    jwk_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * 1024 * 1024);
    value json;
    if (json_parse(&a, str_bytes(data, size), NULL, &json, NULL) != OK)
        return 0;

    struct jwk strict = {0}, padded = {0};
    enum status st = jwk_parse(json, false, &strict, NULL);
    if (jwk_parse(json, true, &padded, NULL) == OK)
        check_round_trip(&a, padded.key);
    else if (st == OK)
        abort(); /* padding only ever adds keys */
    jwk_done(&strict);
    jwk_done(&padded);

    struct jwk_set set = {0};
    if (jwk_set_parse(&a, json, &set, NULL) == OK)
        jwk_set_done(&set);

    struct tee_key tee = {0};
    value members, twice;
    bool parsed = tee_key_parse(json, true, &tee, NULL) == OK;
    if (tee_key_members(&a, json, &members, NULL) == OK) {
        if (tee_key_members(&a, members, &twice, NULL) != OK || !value_equal(members, twice))
            abort();
    } else if (parsed) {
        abort();
    }
    tee_key_done(&tee);
    return 0;
}
