/*
 * intel_url - names of Intel's collateral: the URLs of the provisioning
 * certification service, version 4 (verifiers-intel.md 4.1).
 *
 * The issuer chain of an item comes in a header of the same answer; its name
 * here is the item's URL, "#" and the header's name.
 */
#pragma once

#include "base/arena.h"

enum intel_item {
    INTEL_TCB_INFO,
    INTEL_TCB_INFO_CHAIN,
    INTEL_QE_IDENTITY,
    INTEL_QE_IDENTITY_CHAIN,
    INTEL_PCK_CRL,
    INTEL_PCK_CRL_CHAIN,
    INTEL_ROOT_CRL,
};

struct intel_name {
    enum intel_item item;
    bool tdx;       /* of TCB information and identity */
    bool platform;  /* of PCK CRL: platform, else processor */
    bool standard;  /* update=standard, else early */
    char fmspc[13]; /* upper-case hex, of TCB information */
};

/* `base` is scheme, host and port; {NULL, 0} when the arena is exhausted. */
struct str intel_url(struct arena *a, struct str base, const struct intel_name *n);

/* Whatever host; false when it is no such name. */
bool intel_url_parse(struct str url, struct intel_name *out);

/* Scheme, host and port of a URL: a path of a PCCS is dropped as upstream drops it. */
struct str intel_url_base(struct str url);

/* An FMSPC as URLs have it: upper-case hexadecimal. */
void intel_fmspc_text(const uint8_t fmspc[6], char out[13]);
