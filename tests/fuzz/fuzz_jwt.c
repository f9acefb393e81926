/*
 * A token from outside: parsed, read as claims, verified with keys that signed
 * nothing.  Property: what parses is spelled in one way only, and nothing verifies.
 */
#include <stdlib.h>

#include "base/encode.h"
#include "jose/jose.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pubkey *keys[2];

static void make_keys(void)
{
    static const enum key_kind kinds[] = {KEY_EC_P256, KEY_ED25519};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct privkey *k = NULL;
        if (privkey_generate(kinds[i], 0, &k, NULL) != OK)
            abort();
        keys[i] = pubkey_ref(privkey_public(k));
        privkey_unref(k);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (keys[0] == NULL)
        make_keys();
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * 1024 * 1024);
    struct str text = str_bytes(data, size);
    struct jws t;
    struct error err = ERROR_INIT;
    if (jws_parse(&a, text, &t, &err) != OK) {
        if (err.text[0] == '\0' && arena_status(&a) == OK)
            abort();
        return 0;
    }

    struct str payload = base64_text(&a, t.payload, BASE64_URL);
    struct str signature = base64_text(&a, t.signature, BASE64_URL);
    if (!str_has_suffix(t.signing_input, payload) || !str_has_suffix(text, signature) ||
        t.signing_input.len + 1 + signature.len != text.len)
        abort();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (jws_verify(&t, keys[i], STR_EMPTY, NULL) == OK)
            abort();
    if (jws_verify_hmac(&t, STR("a secret that no corpus knows"), NULL) == OK)
        abort();

    value claims;
    if (json_parse(&a, t.payload, NULL, &claims, NULL) != OK)
        return 0;
    const struct jwt_checks checks = {true, true, true, 60};
    bool now = jwt_check_times(claims, &checks, 1800000000, NULL) == OK;
    bool never = jwt_check_times(claims, &checks, INT64_MAX, NULL) == OK;
    value exp = value_get_lit(claims, "exp");
    if (now && value_kind(exp) != VALUE_KIND_NUMBER)
        abort();
    int64_t n = 0;
    if (never && value_get_int64(exp, &n) && n < INT64_MAX - 60)
        abort();
    return 0;
}
