/*
 * fault - one deliberate mistake in evidence, by name.
 *
 * Each names the check that must refuse it (../src/decision/checks.def) and
 * the JSON pointer that the reason must carry.  A fault is refused under any
 * policy, and no two of a TEE have the same check and field.
 */
#pragma once

#include "base/defs.h"

/* Before which step of the build it strikes; later ones are not covered by a signature. */
enum fault_stage {
    FAULT_MACHINE,       /* the machine's fields, before anything is built */
    FAULT_VARIABLE_DATA, /* its text, before it is hashed */
    FAULT_REPORT,        /* the hardware report, before it is signed */
    FAULT_SIGNED_REPORT, /* and after */
    FAULT_VEK,           /* the request for the certificate */
    FAULT_HCL,           /* the blob, which no signature covers as a whole */
    FAULT_QUOTE,         /* the quote, before it is signed */
    FAULT_PARTS,         /* quote, signature, PCRs and endorsement, before they become JSON */
    FAULT_MEMBERS,       /* the JSON texts of the members */
};

struct fault {
    const char *name;
    const char *check, *field;
    const char *what;
    enum fault_stage stage;
    uint8_t min_version; /* evidence version that it needs; the machine uses at least this */
    bool turin;          /* the machine becomes a Turin one */
    bool init_data;      /* refused when init data is expected */
    void (*apply)(void *build);
};

struct fault_table {
    const struct fault *items;
    size_t len;
};
