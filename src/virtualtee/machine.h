/*
 * machine - virtual hardware of any kind behind one interface.
 *
 *   machine_new(), machine_set(), ... then machine_evidence() for each nonce
 *
 * A machine belongs to one thread, and so does the PKI that it borrows; but
 * once a machine has made evidence, its clones only read the PKI, as long as
 * nothing is set that needs another certificate.
 */
#pragma once

#include "eventlog/eventlog.h"
#include "virtualtee/fault.h"
#include "virtualtee/field.h"
#include "virtualtee/pki.h"

#define INIT_DATA_MAX (1024 * 1024)
#define EVIDENCE_MAX (4 * 1024 * 1024)
#define EVENT_LOG_MAX (1024 * 1024) /* as CCEL tables; in base64 it fits into evidence */
#define MACHINE_TABLES_MAX 4
#define MACHINE_RTMRS 4

/* One kind of TEE. */
struct machine_kind {
    const char *tee;     /* "az-snp-vtpm" */
    const char *old_tee; /* "azsnpvtpm": guests that speak 0.1.1 and 0.2.0; NULL: as `tee` */
    bool needs_pki;
    size_t size; /* of its machine */
    void (*init)(void *m);
    void (*done)(void *m);
    void (*share)(void *m); /* a copy of the bytes was made: take references; may be NULL */
    size_t (*fields)(struct field_table out[MACHINE_TABLES_MAX]); /* number of tables */
    size_t (*faults)(struct fault_table out[MACHINE_TABLES_MAX]); /* likewise */
    bool has_version;      /* its evidence has the versions 0, 1 and 2 ... */
    size_t version_offset; /* ... and here is the uint8_t that says which */
    /* NULL: it has none.  `digest`: of the document, by the algorithm that it names. */
    void (*set_init_data)(void *m, struct str digest);
    /* NULL: its evidence has none.  `log` is borrowed; `rtmrs`: what its replay gives. */
    void (*set_event_log)(void *m, struct str log, const struct digest rtmrs[MACHINE_RTMRS]);
    uint8_t (*(*pcrs)(void *m))[32]; /* its 24 PCRs; NULL: it has none */
    enum status (*evidence)(void *m, struct pki *p, const struct fault *fault,
                            struct str report_data, struct buf *out, struct error *err);
};

/* By either name; NULL when it is unknown. */
const struct machine_kind *machine_kind_find(struct str tee);
const struct machine_kind *const *machine_kinds(size_t *count);

/* The i-th fault of a kind; NULL past the last.  Its `part` is not set. */
const struct fault *machine_kind_fault(const struct machine_kind *kind, size_t i);

struct machine;

/* `pki` is borrowed for the life of the machine; NULL where none is needed ("sample"). */
STATUS machine_new(const struct machine_kind *kind, struct pki *pki, struct machine **out,
                   struct error *err);
struct machine *machine_free(struct machine *m);
DEFINE_CLEANUP(machine, struct machine, machine_free)

const struct machine_kind *machine_kind_of(const struct machine *m);
void *machine_state(struct machine *m); /* the kind's own struct */

/* "FIELD=VALUE".  ERR_NOT_FOUND: there is no such field. */
STATUS machine_set(struct machine *m, struct str assignment, struct error *err);

/* "N=HEX" with 64 digits. */
STATUS machine_set_pcr(struct machine *m, struct str assignment, struct error *err);

/* ERR_UNSUPPORTED when the kind has no versions, ERR_INVALID when it has not that one. */
STATUS machine_set_version(struct machine *m, unsigned version, struct error *err);

/* ERR_NOT_FOUND. */
STATUS machine_set_fault(struct machine *m, struct str name, struct error *err);
const struct fault *machine_fault(const struct machine *m); /* or NULL */

/*
 * Measure an init-data document as the guest does, with the algorithm that it
 * names, or SHA-256 when it is no document.  The digest is written to `digest`
 * unless that is NULL.
 */
STATUS machine_set_init_data(struct machine *m, struct str document, struct digest *digest,
                             struct error *err);

/*
 * An event log (CCEL) that goes with the evidence, with the RTMRs that its replay
 * gives.  `log` is borrowed for the life of the machine and of its clones.
 */
STATUS machine_set_event_log(struct machine *m, struct str log, struct error *err);

/* Valid TOML with the three members of guest-initdata.md 1. */
bool init_data_is_document(struct str text);

/* Another one like it, with the certificate that was made already; for threads. */
STATUS machine_clone(const struct machine *m, struct machine **out, struct error *err);

/* Append the evidence JSON. */
STATUS machine_evidence(struct machine *m, struct str report_data, struct buf *out,
                        struct error *err);
