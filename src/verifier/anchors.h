/*
 * anchors - the roots of trust.
 *
 * Built-in ones are public-key constants of the program with the SHA-256 of
 * their SubjectPublicKeyInfo (../shared/spec/verifiers-anchors.md).  Extra
 * ones come from folders that the operator named explicitly; whatever rests on
 * one says so.  Immutable, shared by threads.
 *
 * Names are those of the files in an anchors folder, without ".pem":
 * "amd-ark-milan", "amd-ask-milan", "amd-asvk-milan", ..., "intel-sgx-root-ca".
 */
#pragma once

#include "crypto/x509.h"

struct anchors;

struct anchor {
    const char *name;
    struct pubkey *key;
    struct digest spki; /* SHA-256 of SubjectPublicKeyInfo */
    bool extra;
};

/* The built-in set. */
STATUS anchors_new(struct anchors **out, struct error *err);

/*
 * The built-in set plus every known name in the folders.  A file with an
 * unknown name is refused (a typo would otherwise trust less than was meant).
 */
STATUS anchors_load(const char *const *dirs, size_t n, struct anchors **out, struct error *err);
struct anchors *anchors_ref(struct anchors *a);
struct anchors *anchors_unref(struct anchors *a);
DEFINE_CLEANUP(anchors, struct anchors, anchors_unref)

/* The i-th anchor of a name, built-in first; NULL past the last. */
const struct anchor *anchors_find(const struct anchors *a, const char *name, size_t i);

size_t anchors_extra_count(const struct anchors *a);
