/*
 * plain_tpm - a machine with a TPM and nothing else (verifiers-azure-vtpm.md 7):
 * the key, a quote, the PCRs.  That the key is one of a TPM only a policy knows.
 */
#pragma once

#include "virtualtee/azure_vtpm.h"
#include "virtualtee/machine.h"

extern const struct machine_kind plain_tpm_kind;
