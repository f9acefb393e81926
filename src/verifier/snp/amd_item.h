/*
 * amd_item - AMD's key distribution service: the names of what it has, and
 * whether an item is what its URL says (verifiers-snp.md 5, 6).
 *
 *   {base}/vcek/v1/Milan/{chip id}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115
 *   {base}/vcek/v1/Milan/crl            {base}/vcek/v1/Milan/cert_chain
 *   {base}/vlek/v1/Milan/crl            {base}/vlek/v1/Milan/cert_chain
 */
#pragma once

#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/snp/report.h"

enum amd_item_kind { AMD_VCEK, AMD_CRL, AMD_CERT_CHAIN };

struct amd_name {
    enum amd_item_kind item;
    bool vlek; /* of lists and chains */
    enum snp_generation generation;
    uint8_t chip_id[64];
    size_t chip_id_len; /* 64, of Turin 8 */
    struct snp_tcb tcb;
};

/* Exactly the forms above, whatever the host (HARDEN ver-3: hexadecimal and decimal digits only).
 */
bool amd_url_parse(struct str url, struct amd_name *out);

/* The URL of a VCEK; {NULL, 0} when the arena is exhausted.  `base` has no slash at its end. */
struct str amd_vcek_url(struct arena *a, struct str base, const struct snp_report *r,
                        enum snp_generation g);
struct str amd_crl_url(struct arena *a, struct str base, bool vlek, enum snp_generation g);

/*
 * A VCEK of that chip and TCB that a trusted ASK signed; a list or a chain of a
 * trusted ARK.  ERR_DENIED with the reason.
 */
STATUS amd_item_check(const struct anchors *anchors, const struct amd_name *name, struct str body,
                      struct collateral_dates *out, struct error *err);
