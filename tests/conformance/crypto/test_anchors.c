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

/* A little-endian number in a field of 72 bytes as big-endian (verifiers-hygon.md 1). */
static struct str field(struct str all, size_t at)
{
    char *p = arena_alloc(&memory, 32);
    for (size_t i = 0; i < 32; i++)
        p[i] = all.ptr[at + 31 - i];
    return str_bytes(p, 32);
}

/* Hygon's root key is no X.509: 832 bytes with an SM2 signature over the first 576. */
static void test_hygon_root(void)
{
    const char *path = tap_shared("vectors/anchors/hygon-hrk.cert");
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    if (path == NULL || !CHECK(file_read(path, &b, NULL) == OK && b.len == 832))
        return;
    struct str all = buf_str(&b);
    CLEANUP(pubkey_cleanup) struct pubkey *key = NULL;
    CHECK(pubkey_from_ec(KEY_SM2, field(all, 68), field(all, 140), &key, NULL) == OK);
    if (key == NULL)
        return;
    struct str user = str_slice(all, 214, load_le16(all.ptr + 212));
    char signature[64];
    memcpy(signature, field(all, 576).ptr, 32);
    memcpy(signature + 32, field(all, 648).ptr, 32);
    struct str signed_part = str_slice(all, 0, 576);
    CHECK(pubkey_verify_sm2(key, user, signed_part, str_bytes(signature, 64), NULL) == OK);
    b.ptr[0] ^= 1;
    CHECK(pubkey_verify_sm2(key, user, signed_part, str_bytes(signature, 64), NULL) == ERR_DENIED);
    struct digest d;
    CHECK(pubkey_fingerprint(key, &d) == OK);
    CHECK_STR(hex_text(&memory, digest_str(&d)),
              STR("cd0f130d93433c4854b7f2d883c23e281de453f4fde0621c3a07866c52c45b80"));
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
    test_hygon_root();
    arena_done(&memory);
    return tap_done();
}
