/*
 * intel_tee - guests on Intel hardware that send a quote: tdx, sgx, and an
 * Azure confidential VM on TDX (../shared/spec/verifiers-intel.md 1,
 * verifiers-azure-vtpm.md 6).
 */
#pragma once

#include "virtualtee/azure_vtpm.h"
#include "virtualtee/intel.h"
#include "virtualtee/machine.h"

struct intel_tee {
    struct intel_machine intel;
    struct str event_log; /* of tdx, borrowed; {NULL, 0}: none */
};

struct intel_tee_build {
    struct intel_build q;
    struct str event_log;
    struct buf json;
};

struct azure_tdx {
    struct azure_vtpm vtpm;
    struct intel_machine intel;
};

struct azure_tdx_build {
    struct intel_build q;
    struct azure_build az;
};

extern const struct machine_kind tdx_kind, sgx_kind, azure_tdx_kind;

/* Faults of quotes whose part of a build is a struct intel_build, by where the quote stands. */
size_t intel_tee_faults(bool tdx, struct fault_table out[MACHINE_TABLES_MAX]);
size_t azure_tdx_faults(struct fault_table out[MACHINE_TABLES_MAX]);
