/*
 * amd_report - the attestation report of AMD SEV-SNP as bytes
 * (AMD 56860; ../shared/spec/verifiers-snp.md 2).
 *
 *   0x000  version  guest_svn  policy          0x140  report_id  report_id_ma
 *   0x010  family_id  image_id                 0x180  reported_tcb  CPUID  0
 *   0x030  vmpl  signature algorithm           0x1A0  chip_id
 *   0x038  current_tcb  platform info          0x1E0  committed_tcb  versions
 *   0x048  key info  0                         0x1F0  launch_tcb  mit vectors
 *   0x050  report_data                         0x208  0
 *   0x090  measurement                         0x2A0  signature: r, s, little endian
 *   0x0C0  host_data  id and author key        0x330  0
 */
#pragma once

#include "crypto/crypto.h"

#define AMD_REPORT_LEN 1184
#define AMD_SIGNED_LEN 0x2A0
#define AMD_CHIP_ID_LEN 64
#define AMD_FAMILY_TURIN 0x1A

enum amd_generation { AMD_MILAN, AMD_GENOA, AMD_TURIN, AMD_GENERATIONS };

/* "Milan", "Genoa", "Turin": the spelling in certificates. */
const char *amd_generation_name(enum amd_generation g);
/* By that name, any case; false for others. */
bool amd_generation_by_name(struct str name, enum amd_generation *out);
/* By CPUID (verifiers-snp.md 3); Milan for anything unknown. */
enum amd_generation amd_generation_of(uint8_t family, uint8_t model);

struct amd_tcb {
    uint8_t fmc; /* Turin only */
    uint8_t bootloader, tee, snp, microcode;
};

struct amd_version {
    uint8_t major, minor, build;
};

/* Which key signed: bits 4:2 of `key_info`. */
#define AMD_KEY_SHIFT 2
#define AMD_KEY_VCEK 0
#define AMD_KEY_VLEK 1

struct amd_report {
    uint32_t version, guest_svn;
    uint64_t policy;
    uint8_t family_id[16], image_id[16];
    uint32_t vmpl, signature_algorithm;
    struct amd_tcb current_tcb, reported_tcb, committed_tcb, launch_tcb;
    uint64_t platform_info;
    uint64_t key_info; /* 32 bits in the report */
    uint8_t report_data[64];
    uint8_t measurement[48];
    uint8_t host_data[32];
    uint8_t id_key_digest[48], author_key_digest[48];
    uint8_t report_id[32], report_id_ma[32];
    uint8_t cpuid_family, cpuid_model, cpuid_stepping; /* version 3 and later */
    uint8_t chip_id[AMD_CHIP_ID_LEN];
    struct amd_version current, committed;
    uint64_t launch_mit_vector, current_mit_vector; /* version 5 and later */
};

/* The report without its signature. */
void amd_report_write(const struct amd_report *r, uint8_t out[AMD_REPORT_LEN]);

/* ECDSA P-384 with SHA-384 over the first 0x2A0 bytes, written at its place. */
STATUS amd_report_sign(uint8_t report[AMD_REPORT_LEN], const struct privkey *vek,
                       struct error *err);
