/*
 * uki - PCRs of a virtual TPM after a unified kernel image was booted: 3, 9, 11
 * and 12 of the SHA-256 bank.
 *
 * A unified kernel image is a UEFI executable with systemd-stub as its code and
 * kernel, initrd, command line and more as sections.  Who measures what:
 *
 *   PCR 3   firmware: a separator, and nothing else on a machine without option ROMs
 *   PCR 9   the kernel: its options, then its initrd, as the stub hands them over
 *   PCR 11  the stub: name and content of each section; systemd: a word for each phase
 *   PCR 12  the stub: options that did not come from the image
 *
 * PCR 8 is that of the init data (attestation/initdata.h).
 *
 * The stub of each systemd version knows other sections and hands other pieces
 * to the kernel; its version stands in the image.  Credentials, system
 * extensions and addons beside the image on its partition would change PCR 9,
 * 12 and 13: these values are those of an image alone.
 */
#pragma once

#include "measure/pe.h"

#define UKI_STUB_MIN 252 /* the first that measures sections */
#define UKI_STUB_MAX 258 /* the last one that was looked at */

/* Phases of a system that is up (systemd-pcrphase(8)). */
#define UKI_PHASES_READY "enter-initrd:leave-initrd:sysinit:ready"

#define UKI_PHASES_MAX 32 /* words of a path */

struct uki_options {
    unsigned stub;      /* version; 0: as the image says */
    struct str phases;  /* words with colons between; empty: none */
    struct str cmdline; /* from the boot loader, {NULL, 0}: none.  It replaces the image's own */
};

struct uki_pcrs {
    unsigned stub;
    struct digest pcr3, pcr9, pcr11, pcr12;
};

/*
 * ERR_INVALID (no kernel in it, a section twice, phases), ERR_UNSUPPORTED (a stub that is not
 * known, several profiles, device trees that the machine chooses, other than ASCII in the command
 * line), ERR_NOMEM.
 */
STATUS uki_measure(const struct pe *pe, const struct uki_options *options, struct uki_pcrs *out,
                   struct error *err);

/*
 * A file as the stub packs it for the kernel (src/boot/cpio.c of systemd): an archive with the
 * folder .extra and the file in it.  In uki_initrd.c, as the next one.
 */
void uki_cpio(struct buf *out, const char *name, struct str content);

/* Append the initrd that the kernel gets.  ERR_NOMEM, ERR_LIMIT, and as pe_section_content(). */
STATUS uki_initrd(const struct pe *pe, unsigned stub, struct buf *out, struct error *err);
