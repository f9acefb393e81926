/*
 * dcap - verification of Intel's quotes against its collateral, by our own
 * reading of the quote verification library's rules: verifiers-intel.md 2 to 8.
 *
 * Shared by tdx, sgx and az-tdx-vtpm.  What is not evidence - the PCK chain,
 * the signed collateral - is checked once and remembered by its digest.
 */
#pragma once

#include "verifier/dcap/intel_url.h"
#include "verifier/dcap/pck.h"
#include "verifier/dcap/quote.h"
#include "verifier/dcap/tcb.h"
#include "verifier/deny_check.h"
#include "verifier/verifier_internal.h"

/* Leaf, intermediate, root of a platform: signatures checked up to a trusted key. */
struct pck_chain {
    unsigned refs;
    struct cert *certs[3];
    struct pck_info info;
    bool platform; /* CA, else processor */
};

enum { INTEL_ITEM_COUNT = INTEL_ROOT_CRL + 1 };

/* Collateral of one kind of platform: parsed, all its signatures checked. */
struct endorsements {
    unsigned refs;
    struct arena arena;
    struct str items[INTEL_ITEM_COUNT]; /* what it was made of */
    struct tcb_info tcb;
    struct qe_identity qe;
    struct crl *pck_crl, *root_crl;
    uint64_t pck_crl_number, root_crl_number;
    struct digest tcb_signer, qe_signer; /* SHA-256 of the SubjectPublicKeyInfo of their keys */
    /* Over issuer chains, lists and texts: what the date claims want. */
    int64_t earliest_issue_s, latest_issue_s, earliest_expiration_s;
};

/* One evaluation against the levels; TD 1.5 has two of them. */
struct tcb_result {
    enum tcb_status status;
    int64_t date_s; /* with the module's */
    int64_t date_no_module_s;
    const struct tcb_verdict *parts[3]; /* platform, QE, module or NULL */
};

struct dcap_run {
    struct verify *v;
    bool tdx;
    const char *quote_field; /* "/evidence/quote" */
    const char *context;     /* "TDX Verifier: " */

    struct dcap_quote quote;
    struct pck_chain *pck;         /* owned */
    struct endorsements *endorsed; /* owned */
    struct tcb_result launch, current;
    enum tcb_status status;
    bool expired; /* an item of collateral is past its date */
};

void dcap_run_done(struct dcap_run *r);

/* Parse the quote; other kinds than `tdx` says are refused with `wrong_kind`. */
STATUS dcap_open(struct dcap_run *r, struct str quote, const char *wrong_kind);

/* PCK chain, collateral, QE, quote signature, TCB: section 6, steps 2 to 11. */
STATUS dcap_verify(struct dcap_run *r);

/* Section 8. */
#define DCAP_CLAIMS /* and dcap_instance_claim() */                                                \
    "earliest_issue_date latest_issue_date earliest_expiration_date tcb_date pck_crl_num "         \
    "root_ca_crl_num tcb_eval_num platform_provider_id sgx_type is_dynamic_platform "              \
    "is_cached_keys is_smt_enabled root_key_id tcb_status collateral_expiration_status "           \
    "advisory_ids tcb_date_current tcb_status_current advisory_ids_current platform_instance_id "
void dcap_claims(struct dcap_run *r, struct value_builder *claims);
/* "platform_instance_id", of Platform CA chains. */
void dcap_instance_claim(struct dcap_run *r, struct value_builder *claims);
/* Fields of header or body as hex strings. */
value dcap_header_claims(struct dcap_run *r);
value dcap_body_claims(struct dcap_run *r);

/* What a deny list may name of a platform that passed. */
void dcap_deny_facts(struct dcap_run *r, struct deny_facts *f);

/*
 * What upstream's claims leave out (README.md): SVNs by name, the three
 * verdicts, dates.  `b` is the object that the caller finishes.
 */
void dcap_details(struct dcap_run *r, struct value_builder *b);

/* A word's bits by name, as an object of booleans. */
struct named_bit {
    const char *name;
    unsigned bit;
};
value dcap_bits(struct arena *a, uint64_t word, const struct named_bit *bits, size_t n);

/* ---- shared by dcap.c and endorsements.c ---- */

/* Codes of Intel's library (section 6). */
enum qvl_code {
    QVL_UNEXPECTED = 0xe001,
    QVL_PCK_CHAIN = 0xe022,
    QVL_TCB_INFO_FORMAT = 0xe023,
    QVL_FMSPC = 0xe024,
    QVL_IDENTITY_FORMAT = 0xe025,
    QVL_QE_IDENTITY = 0xe026,
    QVL_PCK_REVOKED = 0xe031,
    QVL_IDENTITY_CHAIN = 0xe039,
    QVL_TCB_INFO_CHAIN = 0xe03a,
    QVL_QE_REPORT = 0xe01f,
    QVL_TDX_MODULE = 0xe060,
    QVL_TCB_UNKNOWN = 0xe066,
    QVL_SIGNATURE = 0xe068,
};

/* A failure in the words of upstream: "CONTEXTtee_verify_quote failed: 0xe066 - ...". */
STATUS dcap_fail(struct dcap_run *r, enum check_id id, const char *field, enum qvl_code code,
                 value expected, value actual);

/* Sets r->pck from the quote's PEM chain. */
STATUS dcap_load_pck(struct dcap_run *r);
/* Sets r->endorsed: every item at hand, signed, from the trusted root. */
STATUS dcap_load_endorsements(struct dcap_run *r);
