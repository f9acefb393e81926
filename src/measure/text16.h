/*
 * text16 - command lines as UEFI holds them: UTF-16, little-endian, ending in a
 * NUL that is measured, too.  Only ASCII: what becomes of other characters
 * differs between loaders.
 */
#pragma once

#include "crypto/crypto.h"

#define TEXT16_MAX 65536 /* Linux takes 2048 */

/* Digest of a text in this form.  ERR_UNSUPPORTED: not ASCII, or with a NUL; ERR_LIMIT; ERR_NOMEM.
 */
STATUS text16_digest(enum digest_alg alg, struct str text, struct digest *out, struct error *err);
