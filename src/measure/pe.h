/*
 * pe - executables of UEFI (PE/COFF): sections and the Authenticode digest.
 *
 * The file is hostile: headers and the content of every section lie inside of
 * it, or it is refused.  Everything borrows from the file.
 */
#pragma once

#include "crypto/crypto.h"

#define PE_LEN_MAX ((size_t)1024 * 1024 * 1024) /* kernels with their initrd */
#define PE_SECTIONS_MAX 96                      /* the limit of Windows' loader */

struct pe_section {
    struct str name; /* up to 8 bytes, without the NULs behind it */
    struct str raw;  /* in the file, filled up to the file's alignment */
    uint32_t len;    /* in memory: the content is the first `len` bytes of `raw`, then zeros */
};

struct pe {
    struct str file;
    struct pe_section sections[PE_SECTIONS_MAX];
    size_t len;
    size_t headers;      /* length of all headers */
    size_t checksum;     /* offset of the checksum, which no digest covers */
    size_t certificates; /* offset of the directory entry of the certificates; 0: none */
    size_t certificates_len;
};

/* ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED (neither PE32 nor PE32+). */
STATUS pe_parse(struct str file, struct pe *out, struct error *err);

/* The only section of that name, or NULL; *count, which may be NULL, is how many there are. */
const struct pe_section *pe_find(const struct pe *pe, const char *name, size_t *count);

/*
 * What a section holds in memory.  ERR_UNSUPPORTED when part of it is not in the file: such zeros
 * would be measured, too, and no tool makes such images.
 */
STATUS pe_section_content(const struct pe_section *s, struct str *out, struct error *err);

/*
 * The Authenticode digest as UEFI firmware measures an image (TCG PC Client Platform Firmware
 * Profile, 10.2.3, which cites "Windows Authenticode Portable Executable Signature Format").
 * ERR_INVALID when the certificates do not fit.
 */
STATUS pe_authenticode(const struct pe *pe, enum digest_alg alg, struct digest *out,
                       struct error *err);
