/*
 * anchors - the roots of trust.
 *
 * Built-in ones are public-key constants of the program with the SHA-256 of
 * their SubjectPublicKeyInfo (../shared/spec/verifiers-anchors.md).  Extra
 * ones come from folders that the operator named explicitly; whatever rests on
 * one says so.  Immutable as seen from outside, counted by references, shared by threads.
 *
 * Names are those of the files in an anchors folder, without ".pem":
 * "amd-ark-milan", "amd-ask-milan", "amd-asvk-milan", ..., "intel-sgx-root-ca".
 */
#pragma once

#include "crypto/x509.h"

#define ANCHORS_MAX 128             /* built-in and extra ones together */
#define ANCHOR_FILE_MAX (64 * 1024) /* bytes of one file */

struct anchors;

struct anchor {
    const char *name;
    struct pubkey *key; /* there in every anchor that one of these functions returns */
    struct digest spki; /* SHA-256 of SubjectPublicKeyInfo */
    struct str serial;  /* of its certificate, big-endian: revocation lists name it */
    struct cert *cert;  /* of an extra one that came as a certificate, else NULL */
    bool extra;
    const struct anchor *issuer; /* the AMD root that signed an extra ASK or ASVK, else NULL */
};

/*
 * The built-in set.  Its keys are made when they are first looked for; one that does not
 * have the fingerprint beside it is no anchor then (a test looks for each of them).
 */
STATUS anchors_new(struct anchors **out, struct error *err);

/*
 * The built-in set plus every known name in the folders: certificates or bare
 * public keys in PEM form.  A file with an unknown name is refused (a typo
 * would otherwise trust less than was meant); dot files, folders and *.md are
 * passed over.  An ASK or ASVK must come as a certificate that an ARK of the
 * same generation signed, extra or built in.
 */
STATUS anchors_load(const char *const *dirs, size_t n, struct anchors **out, struct error *err);
struct anchors *anchors_ref(struct anchors *a);
struct anchors *anchors_unref(struct anchors *a);
DEFINE_CLEANUP(anchors, struct anchors, anchors_unref)

/* The i-th anchor of a name, built-in first; NULL past the last. */
const struct anchor *anchors_find(const struct anchors *a, const char *name, size_t i);

size_t anchors_extra_count(const struct anchors *a);
/* The i-th extra one, of any name; NULL past the last. */
const struct anchor *anchors_extra(const struct anchors *a, size_t i);
