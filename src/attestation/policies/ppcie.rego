# Claviger's built-in policy for protected-PCIe topologies, id default_ppcie.
#
# The class exists only when the verifier has found a valid topology, so there
# is nothing left to ask.
package policy

import rego.v1

trust_claims := {
	"instance-identity": 0,
	"configuration": 2,
	"executables": 0,
	"file-system": 0,
	"hardware": 0,
	"runtime-opaque": 0,
	"storage-opaque": 0,
	"sourced-data": 0,
}
