/*
 * Sealed text from outside, as fuzz_jwe.c: what we did not make, and what we
 * made and somebody changed, does not open.
 */
#include <stdlib.h>

#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sealer *sealer;
static struct buf sealed;

static enum status open_text(struct str text, struct str purpose)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, SEAL_TEXT_MAX);
    enum status st = seal_open(sealer, purpose, 1000, text, &out, NULL, NULL);
    if (st != OK && out.len != 0)
        abort();
    return st;
}

static void set_up(void)
{
    if (sealer_new(&STR("32 bytes that seal nothing real."), 1, &sealer, NULL) != OK)
        abort();
    buf_init(&sealed, 4096);
    if (seal_write(sealer, STR("challenge"), 1000, STR("text"), &random_system, &sealed) != OK ||
        open_text(buf_str(&sealed), STR("challenge")) != OK ||
        open_text(buf_str(&sealed), STR("session")) != ERR_DENIED)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (sealer == NULL)
        set_up();
    if (size < 3)
        return 0;
    if ((data[0] & 1) == 0) {
        if (open_text(str_bytes(data + 1, size - 1), STR("challenge")) != ERR_DENIED)
            abort();
        return 0;
    }
    size_t at = data[1] % sealed.len;
    if (data[2] == 0)
        return 0;
    sealed.ptr[at] ^= (char)data[2];
    if (open_text(buf_str(&sealed), STR("challenge")) != ERR_DENIED)
        abort();
    sealed.ptr[at] ^= (char)data[2];
    return 0;
}
