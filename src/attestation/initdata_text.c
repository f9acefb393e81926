#include <zlib.h>

#include "attestation/initdata.h"
#include "base/encode.h"

#define GZIP_WINDOW (15 + 16) /* zlib: window bits, plus 16 for gzip and nothing else */
#define CHUNK 16384

static void deflate_cleanup(z_stream *z)
{
    deflateEnd(z);
}

static void inflate_cleanup(z_stream *z)
{
    inflateEnd(z);
}

enum status init_data_encode(struct str toml, struct buf *out, struct error *err)
{
    if (toml.len > INIT_DATA_MAX) {
        error_set(err, "init data is longer than %d bytes", INIT_DATA_MAX);
        return ERR_LIMIT;
    }
    CLEANUP(deflate_cleanup) z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return error_nomem(err);
    CLEANUP(buf_done) struct buf packed;
    buf_init(&packed, INIT_DATA_TEXT_MAX);
    if (!buf_reserve(&packed, deflateBound(&z, toml.len)))
        return error_nomem(err);

    z.next_in = (Bytef *)(uintptr_t)toml.ptr;
    z.avail_in = (uInt)toml.len;
    z.next_out = (Bytef *)packed.ptr;
    z.avail_out = (uInt)packed.cap;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
        error_set(err, "could not compress the init data");
        return ERR_INTERNAL;
    }
    packed.len = packed.cap - z.avail_out;
    base64_write(out, buf_str(&packed), BASE64_STD);
    return buf_status(out);
}

static enum status unpack(struct str packed, struct buf *out, struct error *err)
{
    CLEANUP(inflate_cleanup) z_stream z = {0};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return error_nomem(err);
    z.next_in = (Bytef *)(uintptr_t)packed.ptr;
    z.avail_in = (uInt)packed.len;
    size_t start = out->len;
    for (;;) {
        char chunk[CHUNK];
        z.next_out = (Bytef *)chunk;
        z.avail_out = CHUNK;
        int rc = inflate(&z, Z_NO_FLUSH);
        if (rc == Z_MEM_ERROR)
            return error_nomem(err);
        if (rc != Z_OK && rc != Z_STREAM_END) {
            error_set(err, "init data is not gzip, or cut off: %s",
                      z.msg != NULL ? z.msg : "unexpected end");
            return ERR_INVALID;
        }
        buf_add(out, str_bytes(chunk, CHUNK - z.avail_out));
        if (out->len - start > INIT_DATA_MAX) {
            error_set(err, "init data is longer than %d bytes", INIT_DATA_MAX);
            return ERR_LIMIT;
        }
        if (rc == Z_STREAM_END)
            break;
    }
    if (z.avail_in != 0) {
        error_set(err, "something follows the gzip stream of the init data");
        return ERR_INVALID;
    }
    return buf_status(out);
}

enum status init_data_decode(struct str text, struct buf *out, struct error *err)
{
    if (text.len > INIT_DATA_TEXT_MAX) {
        error_set(err, "the encoded init data is longer than %d bytes", INIT_DATA_TEXT_MAX);
        return ERR_LIMIT;
    }
    CLEANUP(buf_done) struct buf line;
    buf_init(&line, INIT_DATA_TEXT_MAX);
    CLEANUP(buf_done) struct buf packed;
    buf_init(&packed, INIT_DATA_TEXT_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\r' && text.ptr[i] != '\n')
            buf_add_byte(&line, text.ptr[i]);
    enum status st = buf_status(&line);
    if (st != OK)
        return error_nomem(err);

    st = base64_read(buf_str(&line), BASE64_STD, &packed, err);
    if (st != OK) {
        error_prefix(err, "init data is not base64: ");
        return st;
    }
    return unpack(buf_str(&packed), out, err);
}

void init_data_pcr8(const struct digest *digest, struct digest *out)
{
    static const char zeros[32];
    struct str parts[] = {str_bytes(zeros, sizeof(zeros)), str_slice(digest_str(digest), 0, 32)};
    digest_parts(DIGEST_SHA256, parts, ARRAY_LEN(parts), out);
}
