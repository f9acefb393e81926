/*
 * tdx - the launch measurement of an Intel TD (MRTD) and its runtime registers
 * (RTMR 0 to 3).
 *
 * MRTD covers what the host puts into the TD before it runs: the TDX module
 * hashes a record for each page that is added, and for each 256 bytes that are
 * measured a record and the bytes (Intel TDX Module 1.5 ABI, TDH.MEM.PAGE.ADD,
 * TDH.MR.EXTEND).  The RTMRs are extended inside; an event log replays to them.
 *
 * Without a log, RTMR 1 and RTMR 2 of a machine that QEMU boots directly (-kernel)
 * follow from kernel, initrd and command line, if it passes the kernel on unchanged.  Firmware of
 * different ages measures the same boot slightly differently, so there is a list of values: each
 * stands for these files and no others.
 */
#pragma once

#include "crypto/crypto.h"
#include "eventlog/eventlog.h"
#include "measure/ovmf.h"

enum tdx_order {
    TDX_ORDER_PAGE,    /* a page is added and measured before the next: KVM */
    TDX_ORDER_SECTION, /* all pages of a section are added, then measured: early KVM */
};

STATUS tdx_mrtd(struct str firmware, enum tdx_order order, struct digest *out, struct error *err);

/* RTMR 0 to 3 from a log of SHA-384.  ERR_UNSUPPORTED when an event of theirs has no such digest.
 */
#define TDX_RTMRS 4
STATUS tdx_rtmrs(const struct eventlog *log, struct digest out[TDX_RTMRS], struct error *err);

#define TDX_BOOT_VALUES 2
struct tdx_boot {
    struct digest kernel;                        /* Authenticode */
    struct digest load_options[TDX_BOOT_VALUES]; /* with "initrd=initrd" behind, and in front */
    struct digest rtmr1[TDX_BOOT_VALUES];        /* with a separator, and without */
    struct digest rtmr2[TDX_BOOT_VALUES];
    size_t options;  /* how many load_options and rtmr2: 1 without an initrd */
    bool no_options; /* neither a command line nor an initrd: no such event */
};

/*
 * `initrd` may be {NULL, 0}: none.  ERR_UNSUPPORTED: the command line is not ASCII or holds a
 * NUL; what pe_parse() answers.
 */
STATUS tdx_boot_measure(struct str kernel, struct str initrd, struct str cmdline,
                        struct tdx_boot *out, struct error *err);

/* RTMR 1 of a direct boot from the kernel's digest; RTMR 2 from those of the options and of the
 * initrd, of which each may be NULL: there is none. */
void tdx_boot_rtmr1(const struct digest *kernel, bool separator, struct digest *out);
void tdx_boot_rtmr2(const struct digest *options, const struct digest *initrd, struct digest *out);
