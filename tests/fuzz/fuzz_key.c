/*
 * A key as PEM: private, then public.  Property: what was read is written as
 * PEM that is read back to the same key.
 */
#include <stdlib.h>

#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEM_MAX ((size_t)64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_bytes(data, size);
    struct error err = ERROR_INIT;
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    CLEANUP(privkey_cleanup) struct privkey *key_back = NULL;
    CLEANUP(pubkey_cleanup) struct pubkey *pub = NULL;
    CLEANUP(pubkey_cleanup) struct pubkey *pub_back = NULL;
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, PEM_MAX);

    if (privkey_from_pem(text, &key, &err) == OK) {
        if (privkey_to_pem(key, &pem) != OK ||
            privkey_from_pem(buf_str(&pem), &key_back, NULL) != OK ||
            !pubkey_equal(privkey_public(key), privkey_public(key_back)))
            abort();
    } else if (key != NULL || err.text[0] == '\0') {
        abort();
    }

    buf_reset(&pem);
    if (pubkey_from_pem(text, &pub, NULL) == OK) {
        if (pubkey_to_pem(pub, &pem) != OK ||
            pubkey_from_pem(buf_str(&pem), &pub_back, NULL) != OK || !pubkey_equal(pub, pub_back))
            abort();
    } else if (pub != NULL) {
        abort();
    }
    return 0;
}
