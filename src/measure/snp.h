/*
 * snp - the launch digest of an AMD SEV-SNP guest: `measurement` of its report.
 *
 * The firmware starts from zeros and, for each page that the host puts into the
 * guest, hashes the digest so far, the digest of the page, its kind and its
 * address (AMD 56860, 8.17.2, PAGE_INFO).  The host chooses the order, so each
 * kind of host has its own; the pages are those of the firmware image, of its
 * list of sections, and one save area (VMSA) for each virtual processor.
 */
#pragma once

#include "crypto/crypto.h"
#include "measure/ovmf.h"

#define SNP_VCPUS_MAX 4096     /* KVM's limit */
#define SNP_FEATURES_DEFAULT 1 /* SEV_FEATURES: SNP active */

enum snp_vmm { SNP_VMM_QEMU, SNP_VMM_EC2, SNP_VMM_GCE };

struct snp_launch {
    struct str firmware;
    struct str kernel;  /* {NULL, 0}: none, and then no initrd and no command line */
    struct str initrd;  /* may be empty */
    struct str cmdline; /* without a NUL */
    uint32_t vcpus;
    uint32_t cpu_signature; /* CPUID 1, EAX; of QEMU's machines only */
    uint64_t features;
    enum snp_vmm vmm;
};

/*
 * OK; ERR_INVALID (broken image, no processor, more than SNP_VCPUS_MAX, a kernel where the image
 * has no place for its hashes), ERR_UNSUPPORTED, ERR_LIMIT, ERR_NOT_FOUND (not an OVMF image).
 */
STATUS snp_launch_digest(const struct snp_launch *launch, struct digest *out, struct error *err);

/* The table of kernel hashes as QEMU writes it; in snp_hashes.c. */
#define SNP_HASHES_LEN 176
void snp_hashes_table(struct str kernel, struct str initrd, struct str cmdline,
                      uint8_t out[SNP_HASHES_LEN]);

/* The save area of a virtual processor that starts at `eip`; in vmsa.c. */
void snp_vmsa_page(enum snp_vmm vmm, uint32_t eip, uint32_t cpu_signature, uint64_t features,
                   uint8_t page[OVMF_PAGE]);

/* ---- processors, in cpu.c ---- */

/* CPUID 1, EAX (AMD 25481). */
uint32_t cpu_signature(uint32_t family, uint32_t model, uint32_t stepping);

/* QEMU's name of a processor: "EPYC-Milan", "EPYC-Genoa-v1"; ERR_NOT_FOUND. */
STATUS cpu_signature_by_name(struct str name, uint32_t *out);

/* The names, NULL past the last. */
const char *cpu_name_at(size_t i);
