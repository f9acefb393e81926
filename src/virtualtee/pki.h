/*
 * pki - makers of hardware that exist only here.
 *
 * A folder with everything that AMD, Intel and Microsoft keep in vaults:
 *
 *   DIR/anchors/amd-ark-milan.pem ...   what --extra-trust-anchors takes
 *   DIR/collateral/amd-milan.crl ...    revocation lists, DER
 *   DIR/collateral/intel-tdx.json ...   TCB information, QE identity, lists
 *   DIR/certs/                          intermediate certificates
 *   DIR/keys/amd-ark-milan.pem ...      private keys, mode 0600
 *
 * A PKI is opened once and then read by one thread at a time: the RSA-4096
 * keys of a generation are loaded when first asked for.  All dates are fixed
 * (PKI_NOT_BEFORE, PKI_NOT_AFTER), so that nothing here reads a clock.
 */
#pragma once

#include "crypto/x509.h"
#include "virtualtee/amd_report.h"

#define PKI_NOT_BEFORE 1577836800LL /* 2020-01-01T00:00:00Z */
#define PKI_NOT_AFTER 2366841600LL  /* 2045-01-01T00:00:00Z */

struct pki;

/*
 * Make a PKI in `dir`, which is created when it is missing; files of an
 * earlier one are replaced.  `generations`: a bit for each that is wanted.
 * Costs three RSA-4096 keys a generation, made by a thread for each CPU.
 */
#define PKI_ALL_GENERATIONS ((1u << AMD_GENERATIONS) - 1)
STATUS pki_make(const char *dir, unsigned generations, struct error *err);

STATUS pki_open(const char *dir, struct pki **out, struct error *err);
struct pki *pki_free(struct pki *p);
DEFINE_CLEANUP(pki, struct pki, pki_free)

/* AMD's keys of one generation. */
struct pki_amd {
    struct privkey *ark_key, *ask_key, *asvk_key;
    struct cert *ark, *ask, *asvk;
};

/* Borrowed.  ERR_NOT_FOUND when the PKI was made without that generation. */
STATUS pki_amd(struct pki *p, enum amd_generation g, const struct pki_amd **out, struct error *err);

/* Keys of the one virtual processor and of its vTPM, borrowed. */
const struct privkey *pki_vcek(const struct pki *p);        /* EC P-384 */
const struct privkey *pki_vlek(const struct pki *p);        /* EC P-384 */
const struct privkey *pki_ak(const struct pki *p);          /* RSA-2048: HCLAkPub */
const struct privkey *pki_ek(const struct pki *p);          /* RSA-2048: HCLEkPub */
const struct privkey *pki_stranger_ak(const struct pki *p); /* RSA-2048: of another machine */
/* RSA-2048: of a plain TPM. */
STATUS pki_tpm_ak(struct pki *p, const struct privkey **out, struct error *err);

/* Intel's keys, all EC P-256: of the makers, of one platform, of its quoting enclave. */
struct pki_intel {
    struct privkey *platform_ca_key, *processor_ca_key, *pck_key, *qe_key;
    struct cert *root, *platform_ca, *processor_ca;
};
STATUS pki_intel(struct pki *p, const struct pki_intel **out, struct error *err);

/* What the collateral of the PKI is about; machines have the same unless a field says otherwise. */
#define PKI_FMSPC "\xFF\x90\x6E\xD5\x00\x00"
#define PKI_QE_PROD_ID_SGX 1
#define PKI_QE_PROD_ID_TDX 2
void pki_qe_signer(bool tdx, uint8_t out[32]);
