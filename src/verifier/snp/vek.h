/*
 * vek - the key that signed an SNP report: VCEK (chip) or VLEK (cloud), its
 * chain, its dates, its revocation and what it says about the TCB.
 *
 * verifiers-snp.md 4 and 6, shared by snp and az-snp-vtpm.  Each function makes
 * one check and records it.
 */
#pragma once

#include "verifier/deny_check.h"
#include "verifier/snp/report.h"
#include "verifier/verifier_internal.h"

#define VEK_CERT_MAX (16 * 1024) /* about 1,360 bytes in the field */

enum vek_kind { VEK_VCEK, VEK_VLEK };

struct snp_run {
    struct verify *v;
    const char *report_field; /* "/evidence/attestation_report" */
    const char *vek_field;    /* "/evidence/vcek" */
    const char *tcb_context;  /* put before the texts of the TCB check, "" on Azure */

    struct snp_report report;
    enum snp_generation generation;
    struct cert *vek; /* owned */
    enum vek_kind kind;
    struct digest vek_digest; /* SHA-256 of its DER */
    bool vek_from_cache;
    struct digest vek_cached_issuer;
    const struct anchor *issuer; /* ASK or ASVK, NULL when it came with the evidence */
    const struct anchor *root;   /* that signed an ASK which came with the evidence, else NULL */
    const char *crl;             /* "checked", "absent", "stale": spec/README.md 17 */
};

void snp_run_done(struct snp_run *r);

/*
 * Parse the certificate, or take it from the cache: DER, or the first block
 * of PEM.  `message` is upstream's text for a failure.
 */
STATUS snp_vek_parse(struct snp_run *r, struct str bytes, bool pem, const char *message);

/*
 * Version within bounds, then the generation from the CPUID bytes.  `too_old`
 * is the text for a version before 3; NULL: the one that Azure's has upstream.
 */
STATUS snp_check_generation(struct snp_run *r, const char *too_old);
STATUS snp_check_reserved(struct snp_run *r, const char *message);

/* An anchor of the generation (ASK for a VCEK, ASVK for a VLEK) signed the VEK. */
STATUS snp_check_issuer(struct snp_run *r, const char *message);
STATUS snp_check_dates(struct snp_run *r);
STATUS snp_check_revocation(struct snp_run *r, struct str ask_serial);

/* ECDSA P-384 with SHA-384 over the signed part; r and s within the group. */
STATUS snp_check_signature(struct snp_run *r, const char *message);
/* HARDEN snp-1: signature algorithm and key selection of the report. */
STATUS snp_check_algorithm(struct snp_run *r);
STATUS snp_check_chip_id(struct snp_run *r);
STATUS snp_check_tcb(struct snp_run *r);
STATUS snp_check_vmpl(struct snp_run *r, const char *message);

/* What a deny list may name of a machine that passed: chip, processor, keys, TCBs. */
void snp_deny_facts(struct snp_run *r, struct deny_facts *f);

/*
 * Claim "crl_status" (spec/README.md 17: checked, absent or stale), where a
 * list was looked at or the configuration speaks of one; without both the
 * claims are upstream's, and the check says that no list was at hand.
 */
void snp_revocation_claim(struct snp_run *r, struct value_builder *claims);

/* What upstream's claims leave out (README.md): the rest of the report, and of its certificate. */
value snp_details(struct snp_run *r);

/* What a certificate says: hwID (64 bytes, of Turin 8), SPLs. */
bool vek_is_of_chip(const struct cert *vek, struct str chip_id);
bool vek_has_tcb(const struct cert *vek, const struct snp_tcb *tcb, enum snp_generation g);

/* Base of AMD's key distribution service, without a slash at the end. */
struct str snp_kds_base(struct verify *v);

/*
 * Claims on policy, TCB and platform, which both verifiers of SNP reports make:
 * numbers and booleans, or (`as_text`, Azure's) the same as strings.
 */
#define SNP_REPORT_CLAIMS /* and crl_status */                                                     \
    "policy_abi_major policy_abi_minor reported_tcb_bootloader reported_tcb_tee "                  \
    "reported_tcb_snp reported_tcb_microcode policy_smt_allowed policy_migrate_ma "                \
    "policy_debug_allowed policy_single_socket platform_tsme_enabled platform_smt_enabled "        \
    "crl_status "
void snp_report_claims(struct arena *a, const struct snp_report *r, bool as_text,
                       struct value_builder *b);
