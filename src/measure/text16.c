#include "measure/text16.h"

enum status text16_digest(enum digest_alg alg, struct str text, struct digest *out,
                          struct error *err)
{
    CLEANUP(buf_done) struct buf wide;
    buf_init(&wide, 2 * ((size_t)TEXT16_MAX + 64));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.ptr[i];
        if (c == 0 || c > 127) {
            error_set(err, "the command line holds a NUL or a character that is not ASCII");
            return ERR_UNSUPPORTED;
        }
        buf_add_byte(&wide, text.ptr[i]);
        buf_add_byte(&wide, 0);
    }
    buf_add(&wide, STR("\0\0"));
    enum status st = buf_status(&wide);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) {
        error_set(err, "the command line is longer than %d bytes", TEXT16_MAX);
        return st;
    }
    digest_compute(alg, buf_str(&wide), out);
    return OK;
}
