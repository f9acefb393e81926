/*
 * An encrypted answer from outside.  The first byte chooses: the rest is an
 * answer, which was not made for this key and must not open; or the rest
 * changes an answer that we made, which then must not open.  Through it:
 * aead_open().
 */
#include <stdlib.h>

#include "jose/jose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct privkey *key;
static struct buf answer;

static void fill_counting(void *user, void *out, size_t len)
{
    uint8_t *next = user, *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (*next)++;
}

static bool opens(struct str text)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * 1024 * 1024);
    CLEANUP(buf_done) struct buf out;
    buf_init_secret(&out, 1024 * 1024);
    struct error err = ERROR_INIT;
    enum status st = jwe_decrypt(&a, text, key, &out, &err);
    if (st != OK && (out.len != 0 || (err.text[0] == '\0' && arena_status(&a) == OK)))
        abort();
    if (jwe_decrypt_legacy(&a, text, key, &out, NULL) == OK)
        abort(); /* an EC key has no legacy form */
    return st == OK;
}

static void set_up(void)
{
    uint8_t next = 1;
    const struct random_source counting = {fill_counting, &next};
    if (privkey_from_raw(KEY_EC_P256, STR("a private key that nobody uses.."), &key, NULL) != OK)
        abort();
    const struct tee_key tee = {privkey_public(key), "ECDH-ES+A256KW"};
    buf_init(&answer, 4096);
    if (jwe_encrypt(&tee, JWE_RFC7516, STR("text"), &counting, NULL, &answer, NULL) != OK ||
        !opens(buf_str(&answer)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (key == NULL)
        set_up();
    if (size < 4)
        return 0;
    if ((data[0] & 1) == 0) {
        if (opens(str_bytes(data + 1, size - 1)))
            abort();
        return 0;
    }
    size_t at = load_le16(data + 1) % answer.len;
    char change = (char)data[3];
    if (change == 0)
        return 0;
    answer.ptr[at] ^= change;
    if (opens(buf_str(&answer)))
        abort();
    answer.ptr[at] ^= change;
    return 0;
}
