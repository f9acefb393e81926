/*
 * tcb - Intel's TCB information and QE identity, and which level of them a
 * platform reaches: verifiers-intel.md 4.3, 4.4 and 7.
 *
 * Parsing believes nothing; the signatures over the texts are checked by
 * endorsements.h.  Parsed forms live in an arena and never change.
 */
#pragma once

#include "base/arena.h"
#include "value/value.h"

#define TCB_LEVELS_MAX 512
#define TCB_MODULES_MAX 64
#define TCB_ADVISORIES_MAX 256

enum tcb_status {
    TCB_UP_TO_DATE,
    TCB_SW_HARDENING_NEEDED,
    TCB_CONFIGURATION_NEEDED,
    TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TCB_OUT_OF_DATE,
    TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    TCB_REVOKED,
    TCB_TD_RELAUNCH_ADVISED,
    TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    TCB_STATUS_COUNT,
};

/* "UpToDate", ...; and what v0.12 to v0.14 said: "OK", ... */
const char *tcb_status_name(enum tcb_status s);
const char *tcb_status_old_name(enum tcb_status s);
bool tcb_status_by_name(struct str name, enum tcb_status *out);

/* What every level has. */
struct tcb_verdict {
    enum tcb_status status;
    int64_t date_s;
    const struct str *advisories;
    size_t advisory_count;
};

struct tcb_level {
    uint8_t sgx[16], tdx[16];
    uint16_t pcesvn;
    struct tcb_verdict verdict;
};

struct isv_level {
    uint16_t isvsvn;
    struct tcb_verdict verdict;
};

/* The TDX module: the default one, or that of a major version ("TDX_01"). */
struct tdx_module {
    struct str id; /* empty: the default one */
    uint8_t mrsigner[48], attributes[8], mask[8];
    struct isv_level *levels; /* descending */
    size_t level_count;
};

struct tcb_info {
    bool tdx;
    int64_t issue_s, next_s;
    uint8_t fmspc[6], pceid[2];
    uint32_t evaluation;
    struct tdx_module module;
    struct tdx_module *modules;
    size_t module_count;
    struct tcb_level *levels; /* descending */
    size_t level_count;
};

struct qe_identity {
    bool td_qe;
    int64_t issue_s, next_s;
    uint32_t evaluation;
    uint32_t miscselect, miscselect_mask; /* as numbers */
    uint8_t attributes[16], attributes_mask[16], mrsigner[32];
    uint16_t isvprodid;
    struct isv_level *levels; /* descending */
    size_t level_count;
};

/* The objects `tcbInfo` and `enclaveIdentity`.  ERR_INVALID: *message names the member. */
STATUS tcb_info_parse(struct arena *a, value object, struct tcb_info *out, const char **message);
STATUS qe_identity_parse(struct arena *a, value object, struct qe_identity *out,
                         const char **message);

/* First level that is reached, or NULL.  `tdx` NULL: SGX. */
const struct tcb_level *tcb_platform_level(const struct tcb_info *info, const uint8_t sgx[16],
                                           uint16_t pcesvn, const uint8_t *tdx);
const struct isv_level *tcb_isv_level(const struct isv_level *levels, size_t n, uint16_t isvsvn);

/* The module identity for tee_tcb_svn[1]; NULL when none is listed. */
const struct tdx_module *tcb_module(const struct tcb_info *info, uint8_t version);

/* Section 7, step 4: the platform's status under that of QE or module. */
enum tcb_status tcb_converge(enum tcb_status platform, enum tcb_status part);
/* Step 6: launch and current status of a TD 1.5. */
enum tcb_status tcb_relaunch(enum tcb_status launch, enum tcb_status current);
