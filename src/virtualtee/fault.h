/*
 * fault - one deliberate mistake in evidence, by name.
 *
 * Each names the check that must refuse it (../src/decision/checks.def) and
 * the JSON pointer that the reason must carry.  A fault is refused under any
 * policy, and no two of a TEE have the same check and field.
 */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

/* Before which step of the build it strikes; later ones are not covered by a signature. */
enum fault_stage {
    FAULT_MACHINE,       /* the machine's fields, before anything is built */
    FAULT_VARIABLE_DATA, /* its text, before it is hashed */
    FAULT_REPORT,        /* members of the hardware report, before it is signed */
    FAULT_REPORT_BYTES,  /* its bytes, before they are signed */
    FAULT_SIGNED_REPORT, /* and after */
    FAULT_VEK,           /* the request for the certificate */
    FAULT_HCL,           /* the blob, which no signature covers as a whole */
    FAULT_QUOTE,         /* the quote, before it is signed */
    FAULT_PARTS,         /* quote, signature, PCRs and certificates, before they become JSON */
    FAULT_MEMBERS,       /* the JSON text, or those of its members */
};

struct fault {
    const char *name;
    const char *check, *field;
    const char *what;
    enum fault_stage stage;
    uint8_t min_version; /* evidence version that it needs; the machine uses at least this */
    bool turin;          /* the machine becomes a Turin one */
    bool init_data;      /* refused when init data is expected */
    size_t part;         /* where in the build apply()'s part begins; set by machine_set_fault() */
    void (*apply)(void *part);
};

/* Faults that work on one part of a build, which begins at `part`. */
struct fault_table {
    const struct fault *items;
    size_t len;
    size_t part;
};

/* Apply the fault if it strikes at this stage; `f` may be NULL. */
static inline void fault_strike(const struct fault *f, enum fault_stage stage, void *build)
{
    if (f != NULL && f->stage == stage)
        f->apply((char *)build + f->part);
}

/* ---- what faults do to bytes and texts; nothing where there is no such place ---- */

void edit_replace(struct buf *b, const char *text);
void edit_flip(struct buf *b, size_t offset);
void edit_store_le32(struct buf *b, size_t offset, uint32_t n);

/* Where the byte behind the first `mark` is, or NULL. */
char *edit_behind(struct buf *b, const char *mark);

/* The first `from` becomes `to`, which may have another length. */
void edit_exchange(struct buf *b, const char *from, const char *to);
