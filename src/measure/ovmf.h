/*
 * ovmf - what a UEFI firmware image for virtual machines (OVMF, TDVF) says
 * about its own launch.
 *
 * The last bytes of the file hold a table of GUIDs, read from its end:
 *
 *   ... | data | size u16, GUID | data | size u16, GUID | size u16, footer GUID | 32 bytes |
 *
 * Two entries lead to lists of memory areas, AMD's and Intel's.  The image is
 * hostile: every offset is checked against it, and nothing is allocated by a
 * count that was not.  Sections borrow from the image.
 */
#pragma once

#include "base/arena.h"
#include "base/defs.h"
#include "base/error.h"

#define OVMF_LEN_MAX ((size_t)64 * 1024 * 1024) /* real ones have 2 to 16 MiB */
#define OVMF_SECTIONS_MAX 64                    /* real ones have 6 to 10, of each kind */
#define OVMF_PAGE 4096
#define OVMF_PAGES_MAX 65536 /* of all sections of a list: 256 MiB; each is hashed */

/* The first entry `guid` of the table ("96b5...", lower case).  ERR_NOT_FOUND, ERR_INVALID. */
STATUS ovmf_entry_parse(struct str image, const char *guid, struct str *data, struct error *err);

/* ---- AMD (OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm) ---- */

enum sev_section_kind {
    SEV_SECTION_MEMORY = 1,
    SEV_SECTION_SECRETS = 2,
    SEV_SECTION_CPUID = 3,
    SEV_SECTION_SVSM_CAA = 4,
    SEV_SECTION_KERNEL_HASHES = 0x10,
};

struct sev_section {
    uint32_t gpa;
    uint32_t len; /* a multiple of OVMF_PAGE */
    enum sev_section_kind kind;
};

struct ovmf_sev {
    struct sev_section sections[OVMF_SECTIONS_MAX];
    size_t len;
    uint32_t reset_eip;  /* where processors after the first start; 0: the image does not say */
    uint32_t hashes_gpa; /* of the table of kernel hashes; 0: the image has none */
};

/* ERR_INVALID; ERR_UNSUPPORTED for a kind of section that is not known; ERR_LIMIT. */
STATUS ovmf_sev_parse(struct str image, struct ovmf_sev *out, struct error *err);

/* ---- Intel (TDX Virtual Firmware Design Guide, 11, "TDVF descriptor") ---- */

#define TDVF_MR_EXTEND 1u /* attribute: the content goes into MRTD */
#define TDVF_PAGE_AUG 2u  /* attribute: added by the guest later, not at launch */

struct tdvf_section {
    struct str data; /* in the image; empty, or all of the section when it is measured */
    uint64_t gpa;
    uint64_t len; /* a multiple of OVMF_PAGE */
    uint32_t kind;
    uint32_t attributes;
};

struct ovmf_tdx {
    struct tdvf_section sections[OVMF_SECTIONS_MAX];
    size_t len;
};

STATUS ovmf_tdx_parse(struct str image, struct ovmf_tdx *out, struct error *err);
