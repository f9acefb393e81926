/* The vendors' own certificates, against the table of vectors/anchors/MANIFEST.md. */
#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "crypto/x509.h"
#include "tap.h"

enum column { FILE_NAME = 1, SERIAL = 5, DER_DIGEST = 10, SPKI_DIGEST = 11, COLUMNS = 13 };

static struct arena memory;

static struct cert *read_cert(struct str name)
{
    char relative[256];
    snprintf(relative, sizeof(relative), "vectors/anchors/%.*s", STR_ARG(name));
    const char *path = tap_shared(relative);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 64 * 1024);
    struct cert *c = NULL;
    struct error err = ERROR_INIT;
    if (path != NULL && CHECK_STATUS(file_read(path, &text, &err), OK, &err))
        CHECK_STATUS_ROW(cert_from_pem(buf_str(&text), &c, &err), OK, &err, relative);
    return c;
}

static void check_row(const struct str *cols, struct cert **all, size_t *n)
{
    CLEANUP(cert_cleanup) struct cert *c = read_cert(cols[FILE_NAME]);
    if (c == NULL)
        return;
    const char *row = arena_str(&memory, cols[FILE_NAME]).ptr;
    struct digest d;
    cert_fingerprint(c, &d);
    CHECK_STR_ROW(hex_text(&memory, digest_str(&d)), cols[DER_DIGEST], row);
    CHECK_ROW(pubkey_fingerprint(cert_pubkey(c), &d) == OK, row);
    CHECK_STR_ROW(hex_text(&memory, digest_str(&d)), cols[SPKI_DIGEST], row);
    struct str serial = hex_text(&memory, cert_serial(c));
    while (serial.len > cols[SERIAL].len && serial.ptr[0] == '0')
        serial = str_from(serial, 1);
    CHECK_STR_ROW(serial, cols[SERIAL], row);
    CHECK_ROW(pubkey_kind(cert_pubkey(c)) != KEY_OTHER, row);

    /* Issuers come before those that they issued. */
    bool issued = false;
    for (size_t i = 0; i < *n && !issued; i++)
        issued = cert_signed_by(c, cert_pubkey(all[i]), NULL) == OK;
    bool self = cert_is_self_issued(c);
    CHECK_ROW(self ? cert_signed_by(c, cert_pubkey(c), NULL) == OK : issued, row);

    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(cert_verify_chain(c, all, *n < CERT_CHAIN_MAX ? *n : 0, self ? &c : all,
                                       self ? 1 : *n, cert_not_before(c) + 3600, &err),
                     OK, &err, row);
    all[(*n)++] = TAKE(c);
}

int main(void)
{
    arena_init(&memory, 1024 * 1024);
    struct cert *all[64];
    size_t n = 0;
    const char *path = tap_shared("vectors/anchors/MANIFEST.md");
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024 * 1024);
    if (path != NULL && CHECK(file_read(path, &text, NULL) == OK)) {
        struct str all_text = buf_str(&text);
        for (size_t at = 0; at < text.len && n < ARRAY_LEN(all);) {
            size_t end = str_find(all_text, '\n', at);
            struct str line = str_slice(all_text, at, end - at);
            at = end + 1;
            struct str cols[COLUMNS];
            size_t found = 0;
            for (size_t p = 0; p < line.len && found < COLUMNS;) {
                size_t bar = str_find(line, '|', p);
                cols[found++] = str_trim(str_slice(line, p, bar - p));
                p = bar + 1;
            }
            if (found == COLUMNS && str_has_suffix(cols[FILE_NAME], STR(".pem")))
                check_row(cols, all, &n);
        }
        CHECK(n >= 19);
    }
    while (n > 0)
        cert_unref(all[--n]);
    arena_done(&memory);
    return tap_done();
}
