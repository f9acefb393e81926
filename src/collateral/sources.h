/*
 * sources - from where a configuration wants its collateral, and how fresh.
 *
 * verifiers.md 2 names the tables `snp_verifier` and `dcap_verifier`; before
 * v0.18 Intel's own sgx_default_qcnl.conf said it (operator.md 5.4).  Ours is
 * the table `verifier_config.collateral`:
 *
 *   cache_dir    folder shared by processes; none: memory only
 *   grace_hours  how long after its nextUpdate an item still serves while its
 *                service does not answer; 0: not at all.  Claims show it.
 *   timeout_s    how long a service may take for an answer, 15 unless said
 *   offline      never ask the network
 *   ca_file      PEM roots for the TLS of a service beside the system's
 */
#pragma once

#include "base/arena.h"
#include "value/value.h"

#define QCNL_PATH "/etc/sgx_default_qcnl.conf"
#define QCNL_MAX (64 * 1024)
#define COLLATERAL_GRACE_HOURS_MAX (365 * 24)

struct collateral_sources {
    const char *const *allow; /* URL prefixes that may be asked, NULL-terminated; maybe empty */
    bool amd_lists;           /* the configuration speaks of AMD's revocation lists */
    struct str cache_dir, ca_file; /* empty: none; NUL-terminated */
    int64_t grace_s;
    int timeout_ms; /* of one request */
    bool offline;
    const char *any_certificate; /* dcap_verifier.use_secure_cert = false: its service's prefix */
};

/* Everything lives in `a`.  ERR_INVALID names the key. */
STATUS collateral_sources_read(struct arena *a, value verifier_config,
                               struct collateral_sources *out, struct error *err);

/*
 * The text of an sgx_default_qcnl.conf: JSON with line comments.  *service is
 * its collateral_service, else its pccs_url, else empty; *secure its
 * use_secure_cert.  ERR_INVALID: it is no such text.
 */
STATUS qcnl_parse(struct arena *a, struct str text, struct str *service, bool *secure,
                  struct error *err);

/*
 * verifier_config with what the file at `path` says, unless its own table
 * dcap_verifier has a collateral_service (spec/README.md 14).  No such file is
 * no trouble; for one that cannot be used, `err` says why and the configuration
 * stays as it was: ERR_INVALID, ERR_IO.
 */
STATUS qcnl_apply(struct arena *a, const char *path, value *verifier_config, struct error *err);
