/*
 * report - the attestation report of AMD SEV-SNP firmware.
 *
 * AMD 56860, table "ATTESTATION_REPORT"; verifiers-snp.md 2.  1184 bytes,
 * little-endian, of which 0x000 to 0x29f are signed.  Bytes in, fields out;
 * nothing is believed before snp_verify_signature().
 */
#pragma once

#include "base/arena.h"
#include "value/value.h"

#define SNP_REPORT_LEN 1184
#define SNP_SIGNED_LEN 0x2a0
#define SNP_SIGNATURE_PART 72 /* r and s, little-endian, 48 significant bytes each */

/* Versions that firmware has made so far (HARDEN az-5: later ones are unknown). */
#define SNP_VERSION_MIN 3 /* 2 in an old-era configuration */
#define SNP_VERSION_MAX 5

enum snp_generation { SNP_MILAN, SNP_GENOA, SNP_TURIN };

/* Name in anchors and in AMD's URLs: "milan", "Milan". */
const char *snp_generation_name(enum snp_generation g);
const char *snp_generation_product(enum snp_generation g);

struct snp_tcb {
    uint8_t fmc; /* Turin only, else 0 */
    uint8_t bootloader, tee, snp, microcode;
};

struct snp_report {
    struct str bytes; /* all 1184; the fields below point into it or were read from it */
    uint32_t version, guest_svn;
    uint64_t policy;
    uint32_t vmpl, sig_algo;
    uint64_t platform_info;
    uint32_t key_info;
    struct str report_data;                      /* 64 */
    struct str measurement;                      /* 48 */
    struct str host_data;                        /* 32 */
    struct str id_key_digest, author_key_digest; /* 48 each; zeros: none */
    struct str family_id, image_id;              /* 16 each */
    struct str report_id, report_id_ma;          /* 32 each */
    struct str chip_id;                          /* 64 */
    struct snp_tcb current, reported, committed, launch;
    uint8_t family, model, stepping; /* of CPUID; 0 before version 3 */
    struct str signed_part;
    struct str r, s; /* 72 each, little-endian */
};

/* Bits of policy and platform information that have claims. */
#define SNP_POLICY_SMT (1ull << 16)
#define SNP_POLICY_MIGRATE (1ull << 18)
#define SNP_POLICY_DEBUG (1ull << 19)
#define SNP_POLICY_SINGLE_SOCKET (1ull << 20)
#define SNP_PLATFORM_SMT (1ull << 0)
#define SNP_PLATFORM_TSME (1ull << 1)

static inline unsigned snp_signing_key(const struct snp_report *r) /* 0 VCEK, 1 VLEK, 7 none */
{
    return r->key_info >> 2 & 7;
}

/*
 * Split the first SNP_REPORT_LEN bytes of `bytes`, which are borrowed for the
 * life of *out; more may follow.  ERR_INVALID: too short.
 */
STATUS snp_report_parse(struct str bytes, struct snp_report *out);

/*
 * Every reserved byte of the report's version is zero.  If not, *offset is the
 * first that is not.
 */
bool snp_report_reserved_zero(const struct snp_report *r, size_t *offset);

enum snp_generation_status {
    SNP_GENERATION_OK,
    SNP_GENERATION_NO_FAMILY, /* version 2: the report does not say */
    SNP_GENERATION_FAMILY,    /* unknown family */
    SNP_GENERATION_MODEL,     /* unknown model of a known family */
};
enum snp_generation_status snp_report_generation(const struct snp_report *r,
                                                 enum snp_generation *out);

/*
 * The decoded JSON form of guests (verifiers-snp.md 1), that of v0.14 and later
 * or, recognised by `_author_key_en`, that of v0.9 to v0.13, back into the
 * bytes that the firmware signed.
 *
 * ERR_INVALID: *field is the JSON pointer below the report ("/policy") of the
 * member that is missing, mistyped or out of range, *wanted what it should be.
 */
STATUS snp_report_from_json(struct arena *a, value report, uint8_t out[SNP_REPORT_LEN],
                            const char **field, const char **wanted);
