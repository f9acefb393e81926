/* pki_internal - files of a PKI folder, shared by pki.c and intel_pki.c. */
#pragma once

#include "virtualtee/pki.h"

#define PKI_PATH_MAX 4096
#define PKI_FILE_MAX (256 * 1024)

/* DIR/FOLDER/NAME+SUFFIX, written atomically. */
STATUS pki_save(const char *dir, const char *folder, const char *name, const char *suffix,
                struct str bytes, unsigned mode, struct error *err);
STATUS pki_save_key(const char *dir, const char *name, const struct privkey *key,
                    struct error *err);
STATUS pki_save_cert(const char *dir, const char *folder, const char *name, const struct cert *cert,
                     struct error *err);
STATUS pki_load_key(const char *dir, const char *name, struct privkey **out, struct error *err);
STATUS pki_load_cert(const char *dir, const char *folder, const char *name, struct cert **out,
                     struct error *err);

/* Intel's part of pki_make() and of pki_open(). */
STATUS intel_pki_make(const char *dir, struct error *err);
STATUS intel_pki_open(const char *dir, struct pki_intel *out, struct error *err);
void intel_pki_done(struct pki_intel *p);
