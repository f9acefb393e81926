/*
 * file_collateral - endorsements out of local files, for services.
 *
 * Answers what a verifier asks for under file:// URLs: a dcap_verifier whose
 * collateral_service is one, and snp_verifier's OfflineStore (verifiers.md 2).
 * Thread-safe.  A file that was found is kept until the service ends.
 */
#pragma once

#include "verifier/collateral_set.h"

struct file_collateral;

STATUS file_collateral_new(struct file_collateral **out, struct error *err);
struct file_collateral *file_collateral_free(struct file_collateral *f);

/* What a verifier_request takes; borrowed. */
const struct collateral *file_collateral_get(const struct file_collateral *f);
