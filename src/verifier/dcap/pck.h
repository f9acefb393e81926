/*
 * pck - what a PCK certificate says of its platform: the SGX extension,
 * OID 1.2.840.113741.1.13.1 (verifiers-intel.md 3).
 */
#pragma once

#include "base/defs.h"

struct pck_info {
    uint8_t ppid[16];
    uint8_t svn[16];
    uint16_t pcesvn;
    uint8_t pceid[2];
    uint8_t fmspc[6];
    unsigned sgx_type; /* 0 standard, 1 scalable, 2 scalable with integrity */
    bool has_instance; /* Platform CA only */
    uint8_t instance_id[16];
    bool dynamic_platform, cached_keys, smt_enabled;
};

/*
 * `extension`: content of the extension's OCTET STRING, which is read to its
 * last byte.  `platform`: the issuer is the Platform CA.  ERR_INVALID:
 * *message is the reason.
 */
STATUS pck_parse(struct str extension, bool platform, struct pck_info *out, const char **message);
