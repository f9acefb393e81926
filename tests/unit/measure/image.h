/*
 * image - small firmware and executables for tests, the same bytes each time.
 * Shared by unit tests, fuzz corpora and the integration test, through make_image.c.
 */
#pragma once

#include "base/buf.h"

#define IMAGE_MAX (256 * 1024)

/*
 * A firmware of `pages` pages (at least 3) as OVMF ends: a table of GUIDs with AMD's and Intel's
 * lists.  Without `hashes` it has no section for kernel hashes.
 */
void image_ovmf(struct buf *out, size_t pages, bool hashes);

/* Where tests break it: offsets from the end of the file. */
#define IMAGE_SEV_LIST 0x800
#define IMAGE_TDX_LIST 0x600
#define IMAGE_SEV_SECTIONS 6
#define IMAGE_TDX_SECTIONS 5

struct image_section {
    const char *name;
    struct str content;
};

/* PE32+ with these sections, each filled up to 512 bytes; `trailing` is appended. */
void image_pe(struct buf *out, const struct image_section *sections, size_t n, struct str trailing);

/* A unified kernel image whose stub says `version`. */
void image_uki(struct buf *out, unsigned version);

/* Pattern bytes, for kernels and initrds. */
void image_pattern(struct buf *out, size_t len, unsigned seed);
