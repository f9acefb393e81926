/* What the files of this module share. */
#pragma once

#include "jose/jose.h"

#define JWK_MEMBER_MAX 2048   /* decoded: an RSA modulus of 16384 bits */
#define JWK_RSA_BITS_MIN 2048 /* RFC 7518, 3.3 and 4.2 */
#define JWK_RSA_BITS_MAX 16384
#define JWK_EXPONENT_BITS_MAX 64

/* Values of tee_key.alg. */
extern const char tee_alg_rsa15[];
extern const char tee_alg_oaep[];
extern const char tee_alg_ecdh[];

/*
 * A string member, base64url without padding, decoded and appended to `out`.
 * ERR_INVALID when it is absent or no string.
 */
STATUS jwk_read_member(value json, const char *name, struct buf *out, struct error *err);

/* EC coordinates x and y of exactly the curve's width, left-padded when `pad`. */
STATUS jwk_read_ec(value json, enum key_kind kind, bool pad, struct pubkey **out,
                   struct error *err);
STATUS jwk_read_rsa(value json, unsigned bits_max, unsigned exponent_bits_max, struct pubkey **out,
                    struct error *err);

/* Kind for a "crv" of kty EC; KEY_OTHER when unknown.  Width of its coordinates. */
enum key_kind jwk_curve_kind(struct str crv);
const char *jwk_curve_name(enum key_kind kind); /* NULL: not EC */
size_t jwk_curve_width(enum key_kind kind);
