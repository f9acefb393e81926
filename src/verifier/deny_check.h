/*
 * deny_check - what verified evidence says of its machine, held against the
 * deny list.  For the verifiers' own files; the last check of each.
 *
 *   struct deny_facts f;
 *   if (!deny_facts_init(&f, v, "snp"))
 *       return OK;                        // nobody has a list
 *   deny_add_bytes(&f, DENY_CHIP_ID, field, "/chip_id", id);
 *   return deny_check(&f);
 */
#pragma once

#include "verifier/deny_list.h"
#include "verifier/verifier_internal.h"

/* Criteria, in the order in which an entry's reason names one of them. */
enum deny_kind {
    DENY_CHIP_ID,
    DENY_SIGNING_KEY,
    DENY_ADVISORY,
    DENY_TCB,
    DENY_FMSPC,
    DENY_CPU_STEPPING,
    DENY_CPU_MODEL,
    DENY_CPU_FAMILY,
    DENY_KINDS
};

/* Components of a TCB by number: sets of AMD's five, then Intel's. */
enum {
    DENY_TCB_REPORTED = 0, /* + 0 fmc, 1 bootloader, 2 tee, 3 snp, 4 microcode */
    DENY_TCB_CURRENT = 5,
    DENY_TCB_COMMITTED = 10,
    DENY_TCB_LAUNCH = 15,
    DENY_TCB_SGX = 20, /* + 0 to 15: sgx.1 to sgx.16, of the PCK certificate */
    DENY_TCB_TDX = 36,
    DENY_TCB_TDX_CURRENT = 52, /* TD 1.5: tee_tcb_svn2 */
    DENY_TCB_PCESVN = 68,
    DENY_TCB_QE = 69, /* qe.isvsvn */
    DENY_TCB_COUNT
};

struct deny_entry {
    struct str reason, expires; /* as written */
    int64_t expires_s;
    struct str tee;               /* empty: any */
    unsigned kinds;               /* bits of enum deny_kind */
    struct str bytes[DENY_KINDS]; /* of chip id, signing key, advisory, FMSPC */
    uint64_t number[DENY_KINDS];  /* of the others; the bound of a TCB component */
    unsigned component;
    bool below; /* the component is below the bound, else it equals it */
};

/* Borrowed for the list's life. */
const struct deny_entry *deny_list_entries(const struct deny_list *l, size_t *n);

/* "reported.microcode" to a component's number; false for none. */
bool deny_component_by_name(struct str name, unsigned *out);

struct deny_fact {
    struct str bytes;
    uint64_t number;
    unsigned component;
    const char *base, *rest; /* of the JSON pointer, put together when it is needed */
    struct deny_fact *next;
};

struct deny_facts {
    struct verify *v;
    const char *tee;
    struct deny_fact *first[DENY_KINDS], *last[DENY_KINDS]; /* as they were added */
    bool failed; /* a fact could not be made: deny_check() says so */
};

/* False: there is no list, which is recorded. */
bool deny_facts_init(struct deny_facts *f, struct verify *v, const char *tee);

/* `bytes` is borrowed; empty ones (a chip id that is masked) are none. */
void deny_add_bytes(struct deny_facts *f, enum deny_kind kind, const char *base, const char *rest,
                    struct str bytes);
void deny_add_number(struct deny_facts *f, enum deny_kind kind, const char *base, const char *rest,
                     uint64_t n);
void deny_add_tcb(struct deny_facts *f, unsigned component, const char *base, const char *rest,
                  uint64_t n);
/* SHA-256 of its SubjectPublicKeyInfo, as a signing key. */
void deny_add_key(struct deny_facts *f, const char *base, const char *rest,
                  const struct pubkey *key);

/* Check "kill-switch": refuses by the first entry that holds. */
STATUS deny_check(struct deny_facts *f);
