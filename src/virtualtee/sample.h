/* sample - the evidence that anybody can make: {"svn", "report_data"} (verifiers.md 4). */
#pragma once

#include "virtualtee/machine.h"

extern const struct machine_kind sample_kind, sampledevice_kind;

/* Append it. */
STATUS sample_evidence(struct str svn, struct str report_data, struct buf *out, struct error *err);
