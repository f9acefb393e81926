/* device_path - UEFI device paths as texts: attestation-service.md 14.5. */
#pragma once

#include "base/error.h"
#include "value/value.h"

/* One string a node.  `path` has no end node.  ERR_INVALID: a node is cut or shorter than its head.
 */
STATUS device_path_texts(struct arena *a, struct str path, value *out, struct error *err);

/* The text of one node of a type and subtype; {NULL, 0} without memory. */
struct str device_node_text(struct arena *a, uint8_t type, uint8_t subtype, struct str payload);
