/*
 * vek - certificates of a processor's endorsement key, as AMD issues them
 * (../shared/spec/verifiers-snp.md 6; AMD 57230).
 */
#pragma once

#include "virtualtee/field.h"
#include "virtualtee/pki.h"

/* Deviations, for faults. */
enum vek_flaw {
    VEK_SOUND,
    VEK_OTHER_ISSUER, /* signed with a key that the issuer's name does not belong to */
    VEK_WEAK_CURVE,   /* certifies a P-256 key */
    VEK_NO_MICROCODE, /* without the extension 3.8 */
    VEK_NO_CHIP,      /* without the extension 4 */
    VEK_WIDE_SNP,     /* extension 3.3 does not fit a byte */
};

struct vek_request {
    enum amd_generation generation;
    bool vlek;
    struct amd_tcb tcb;
    uint8_t chip_id[AMD_CHIP_ID_LEN]; /* VCEK only; Turin: 8 bytes when the rest is zero */
    int64_t not_before, not_after;
    char common_name[FIELD_TEXT_MAX];  /* empty: SEV-VCEK or SEV-VLEK */
    char product_name[FIELD_TEXT_MAX]; /* empty: by generation */
    char csp_id[FIELD_TEXT_MAX];       /* VLEK only */
    enum vek_flaw flaw;
};

STATUS vek_make(struct pki *p, const struct vek_request *req, struct cert **out, struct error *err);
