/*
 * initdata - the transport form of init data, and what is measured of it
 * (guest-initdata.md 2, 4).
 *
 * Text = base64(gzip(TOML)), one line.  gzip is not canonical, so the text of
 * one document differs between writers; its bytes and their digest do not.
 */
#pragma once

#include "attestation/attestation.h"

#define INIT_DATA_MAX (1024 * 1024)          /* of the document; upstream has no limit */
#define INIT_DATA_TEXT_MAX (2 * 1024 * 1024) /* of the transport form */

/* Append the transport form, without a line end. */
STATUS init_data_encode(struct str toml, struct buf *out, struct error *err);

/*
 * Append the document.  CR and LF inside the base64 are passed over, nothing
 * else.  ERR_INVALID: not base64, not gzip, cut off, or followed by something
 * (a second gzip member would be under the digest for some readers and not for
 * others); ERR_LIMIT past INIT_DATA_MAX.
 */
STATUS init_data_decode(struct str text, struct buf *out, struct error *err);

/*
 * PCR 8 of the SHA-256 bank after the guest's only extend of it: of the digest
 * cut to 32 bytes (guest-initdata.md 7.4).
 */
void init_data_pcr8(const struct digest *digest, struct digest *out);
