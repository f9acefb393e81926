/*
 * intel_item - one item of Intel's collateral by itself: its chain, its
 * signature, its dates (verifiers-intel.md 5).
 *
 * A verifier judges a whole set against a quote (endorsements.c); who fetches
 * or keeps single items asks here first whether they are what their URL says.
 * Both stand on the same functions.
 */
#pragma once

#include "crypto/x509.h"
#include "value/value.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/dcap/intel_url.h"

/* `s` has `part` in it: Intel's rules on common names. */
bool intel_name_has(struct str s, const char *part);

/* The certificate names this issuer and its key signed it. */
bool intel_issued_by(const struct cert *c, const struct cert *issuer);

/* Named as the root and signed by itself; whether its key is trusted is another question. */
bool intel_is_root(const struct cert *c);

/*
 * A chain of two, signer and root, in PEM, percent-encoded or not: the signer's
 * common name has `cn` in it, the root signed it and itself.  New references.
 * ERR_INVALID: it is none.
 */
STATUS intel_chain_load(struct arena *a, struct str pem, const char *cn, struct cert *out[2]);

/*
 * A revocation list in DER, PEM or hexadecimal of either, by that issuer, with
 * a number and an authority key id.  ERR_INVALID.
 */
STATUS intel_crl_load(struct arena *a, struct str bytes, struct str issuer_cn,
                      const struct pubkey *key, struct crl **out, uint64_t *number);

/*
 * {"<member>": {...}, "signature": hex}.  ERR_INVALID: not of this form;
 * ERR_DENIED: not signed by that key.
 */
STATUS intel_text_load(struct arena *a, struct str body, const char *member,
                       const struct pubkey *key, value *out);

/*
 * The item is what `name` says and rests on a trusted root.  `chain` is the
 * issuer chain that came with it; the root's list has none.  ERR_DENIED with
 * the reason.
 */
STATUS intel_item_check(const struct anchors *anchors, const struct intel_name *name,
                        struct str body, struct str chain, struct collateral_dates *out,
                        struct error *err);
